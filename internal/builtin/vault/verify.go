package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/alert"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const verifyDoc = `Proves that backups can be restored, and writes a receipt of the outcome into the vault,
passed or failed. Without asset it goes through all of them and does not stop at the first
that fails. Each level includes those before it:

- stored: every object is there with its size
- checked: the bytes are the recorded ones, and their structure is sound
- applied: a replica made of them equals what was backed up
- restored: so does one made by restore.sh with stock tools; its time is the measured RTO

What earlier receipts have proven is not read again at level checked, unless reread is true.

` + "```vault.verify save=proof" + `
asset: monorepo
level: applied
` + "```" + `
`

type verifyParams struct {
	Asset  string `param:"asset" help:"the asset to verify; all assets when left out"`
	Point  string `param:"point" help:"the id of the backup to verify; the newest when left out"`
	Level  string `param:"level" help:"how much to prove: stored, checked, applied or restored" default:"checked" enum:"stored,checked,applied,restored"`
	Shard  string `param:"shard" help:"only one part of the assets: 0/4 is the first of four"`
	Reread bool   `param:"reread" help:"read also what earlier receipts have proven"`
}

func (d Deps) verification() action.Action {
	return action.New(action.Def[verifyParams]{
		Name: "vault.verify", Summary: "Prove that backups can be restored", Doc: verifyDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p verifyParams) error {
			if p.Point != "" && p.Asset == "" {
				return &action.ArgError{Name: "point", Msg: "is the point of no asset", Fix: "add asset: to the block"}
			}
			return checkShard(p.Shard, p.Asset)
		},
		Plan: d.planVerify, Run: d.verify,
	})
}

func (d Deps) planVerify(ctx context.Context, env *action.Env, p verifyParams) (action.Plan, error) {
	names, err := d.part(p.Asset, p.Shard)
	if err != nil {
		return action.Plan{}, err
	}
	v, err := d.writable(ctx, env) // receipts go there
	if err != nil {
		return action.Plan{}, err
	}
	if len(names) == 0 {
		return action.Plan{Summary: "verifies nothing: no asset belongs to part " + p.Shard, Target: v.String(), Stop: "Yes.", Nothing: true}, nil
	}
	return action.Plan{
		Summary: fmt.Sprintf("verifies %s in %s at level %s", strings.Join(names, ", "), v, p.Level),
		Target:  v.String(),
		Lines: []action.Line{
			{Label: "reads", Text: "the backups, nothing of the assets themselves"},
			{Label: "writes", Text: "a receipt for each, into the vault"},
		},
		Stop: "Yes: what was not finished has no receipt.",
	}, nil
}

// tally is what a verification of several assets adds up to.
type tally struct {
	res       action.Result
	passed    int
	bytes     int64
	took      float64
	bad       []error // failed verifications
	unclear   []error // could not be verified
	damaged   bool    // one of bad is a backup that does not come back
	lastPoint string
}

func (d Deps) verify(ctx context.Context, env *action.Env, p verifyParams, _ action.Plan) (action.Result, error) {
	names, err := d.part(p.Asset, p.Shard)
	if err != nil {
		return action.Result{}, err
	}
	v, err := d.writable(ctx, env)
	if err != nil {
		return action.Result{}, err
	}
	var t tally
	if env.Dry { // receipts are writes
		env.Printf("a dry run verifies nothing and writes no receipt")
		res, _ := t.result(names, p)
		res.Evidence = "not verified: a dry run writes no receipts"
		return res, nil
	}
	for _, name := range names {
		r, err := d.verifyOne(ctx, env, v, name, p)
		t.add(env, name, vault.Level(p.Level), r, err)
		if err != nil && !unfit(err) && !errors.Is(err, vault.ErrProbe) {
			err = fmt.Errorf("it could not be verified: %w", err)
		}
		if err != nil {
			d.alert(ctx, env, alert.VerificationFailed, name, v, err)
		}
	}
	return t.result(names, p)
}

func (d Deps) verifyOne(ctx context.Context, env *action.Env, v *vault.Vault, name string, p verifyParams) (vault.Receipt, error) {
	a, err := d.Asset(name, "")
	if err != nil {
		return vault.Receipt{}, err
	}
	var m vault.Manifest
	if p.Point != "" {
		m, err = v.Get(ctx, vault.AssetID(a.Asset), p.Point)
	} else {
		m, err = v.Latest(ctx, vault.AssetID(a.Asset))
	}
	if err != nil {
		return vault.Receipt{}, err
	}
	env.Printf("%s: %s of %s", name, m.ID, m.Cut.UTC().Format(time.RFC3339))
	return v.Verify(ctx, m, a.Understands, vault.Level(p.Level), vault.VerifyOptions{
		Reread: p.Reread, RunID: env.RunID, Scratch: env.Scratch, Now: env.Now, Progress: env.Progress, Log: env.Log,
	})
}

func (t *tally) add(env *action.Env, name string, level vault.Level, r vault.Receipt, err error) {
	c := action.Check{Text: fmt.Sprintf("%s is %s", name, level), OK: err == nil, About: name}
	switch {
	case err == nil:
		t.passed++
		c.Evidence = r.Point + ": " + strings.Join(r.Evidence, "; ")
	case errors.Is(err, vault.ErrProbe):
		t.bad = append(t.bad, hint.Wrap(fmt.Errorf("%s: %w", name, err), "the backup is whole: look what changed in the source, or correct its probes in lifeboat.yaml"))
		c.Evidence = err.Error()
	case unfit(err):
		t.damaged = true
		t.bad = append(t.bad, fmt.Errorf("%s: %w", name, err))
		c.Evidence = err.Error()
	default:
		t.unclear = append(t.unclear, fmt.Errorf("%s: %w", name, err))
		c.Evidence = "not known: " + err.Error()
	}
	line := c.Evidence
	if err == nil {
		line = "proven at level " + string(level)
	}
	t.bytes += r.Bytes
	t.took += r.Took
	t.lastPoint = r.Point
	t.res.Checks = append(t.res.Checks, c)
	env.Printf("%s: %s", name, line)
}

func (t *tally) result(names []string, p verifyParams) (action.Result, error) {
	t.res.Evidence = fmt.Sprintf("%d of %s proven at level %s, %s read", t.passed, printable.Count(len(names), "asset"), p.Level, printable.Size(t.bytes))
	t.res.Outputs = map[string]any{
		"level": p.Level, "passed": int64(t.passed), "failed": int64(len(t.bad)), "unclear": int64(len(t.unclear)),
		"bytes": t.bytes, "took_seconds": t.took,
	}
	if len(names) == 1 {
		t.res.Outputs["point"] = t.lastPoint
	}
	err := errors.Join(t.unclear...)
	if len(t.bad) > 0 {
		failed := fmt.Errorf("%w: %w", action.ErrCheck, errors.Join(t.bad...))
		if t.damaged {
			failed = hint.Wrap(failed, "make a full backup now, and verify older points before you rely on them")
		}
		err = errors.Join(failed, err)
	}
	return t.res, err
}
