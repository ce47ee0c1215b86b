// Package vault holds the actions on the vault as a whole, whatever kind its assets are
// of: making points of all of them, proving, restoring and copying them, and giving up
// those that need not be kept. What is peculiar to a kind has a family of its own.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const latestDoc = `Reads which backup of an asset is the newest, and how old it is. The age counts from the
moment to which the backup holds everything, not from the end of its upload. With max_age
the step fails when the backup is older, so that a recovery does not begin on a stale one.
Without asset it looks at all of them and names each that has none, or none fresh enough.

` + "```vault.latest save=newest" + `
asset: monorepo
max_age: 24h
` + "```" + `

Later steps use ` + "`${newest.point}`, `${newest.cut}`, `${newest.age_seconds}` and `${newest.kind}`" + `.
`

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

// Deps are what the actions need of the rest.
type Deps struct {
	// Vault gives the vault, which belongs to the giver and is not closed here.
	Vault func(ctx context.Context) (*vault.Vault, error) // required
	// Asset finds an asset by its name; the error advises. class is that of the point to
	// be made: what is kept for months has forms that a daily one does without. It is ""
	// for everything but a backup.
	Asset func(name, class string) (Protected, error) // required
	// Names lists the assets that can be in the vault.
	Names func() []string // required
	// Archive gives the documents that a recovery needs beside the data, as an asset.
	Archive func(ctx context.Context) (Protected, error) // required for vault.archive
	// Retention says what is kept.
	Retention func() vault.Keep // required for vault.retention and vault.prune
	// Copies opens the other vaults, in the order of the estate. The caller closes them.
	Copies func(ctx context.Context) ([]*vault.Vault, error) // required for vault.copy
	// Hold keeps other processes of this host from pruning the same vault; it is Busy
	// while one does.
	Hold func(ctx context.Context) (release func() error, err error) // required for vault.prune
	// Alert is the hook for whoever wants to know at once: it is told of what went
	// wrong, and its own failure is an error of the step only by being logged.
	Alert func(ctx context.Context, log io.Writer, a Alert) // nil: nobody
}

// Protected is an asset with what understands its kind.
type Protected struct {
	vault.Asset
	Understands vault.Kind
	Restores    vault.Kind // without the probes of the asset's owner, which a verification fails on and a recovery must not; nil: Understands
	RPO         time.Duration
	Reads       []string // paths and URLs that a backup reaches, for the fence; nil: the source
}

// Alert is something that somebody has to know.
type Alert struct {
	Event  string `json:"event"` // one of [Events]
	Asset  string `json:"asset,omitempty"`
	Vault  string `json:"vault,omitempty"`
	Text   string `json:"text"`
	Run    string `json:"run,omitempty"`
	Advice string `json:"advice,omitempty"`
}

// What alerts are about.
const (
	BackupFailed       = "backup-failed"
	BackupLate         = "backup-late" // or absent
	VerificationFailed = "verification-failed"
	CopyFailed         = "copy-failed"
	PruneFrozen        = "prune-frozen"
	VaultProblem       = "vault-problem"
)

func (d Deps) alert(ctx context.Context, env *action.Env, a Alert) {
	if d.Alert != nil && !env.Dry {
		a.Run = env.RunID
		d.Alert(ctx, env.Log, a)
	}
}

type latestParams struct {
	Asset  string        `param:"asset" help:"the asset whose newest backup is wanted; all assets when left out"`
	MaxAge time.Duration `param:"max_age" help:"fail when the newest backup is older: 24h" unit:"duration"`
}

type verifyParams struct {
	Asset  string `param:"asset" help:"the asset to verify; all assets when left out"`
	Point  string `param:"point" help:"the id of the backup to verify; the newest when left out"`
	Level  string `param:"level" help:"how much to prove: stored, checked, applied or restored" default:"checked" enum:"stored,checked,applied,restored"`
	Reread bool   `param:"reread" help:"read also what earlier receipts have proven"`
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{
		action.New(action.Def[latestParams]{
			Name: "vault.latest", Summary: "Find the newest backup of an asset", Doc: latestDoc,
			Effect: action.Read, Repeat: action.Safe,
			Plan: d.planLatest, Run: d.latest,
		}),
		action.New(action.Def[verifyParams]{
			Name: "vault.verify", Summary: "Prove that backups can be restored", Doc: verifyDoc,
			Effect: action.Read, Repeat: action.Safe,
			Check: func(p verifyParams) error {
				if p.Point != "" && p.Asset == "" {
					return &action.ArgError{Name: "point", Msg: "is the point of no asset", Fix: "add asset: to the block"}
				}
				return nil
			},
			Plan: d.planVerify, Run: d.verify,
		}),
		d.backup(), d.archive(), d.restore(), d.copy(), d.doctor(), d.retention(), d.prune(),
	}
}

func (d Deps) planLatest(ctx context.Context, _ *action.Env, p latestParams) (action.Plan, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	if p.Asset == "" {
		return action.Plan{
			Summary: fmt.Sprintf("looks for the newest backup of every asset in %s", v),
			Target:  v.String(), Stop: "Yes: it only reads.",
		}, nil
	}
	a, err := d.Asset(p.Asset, "")
	if err != nil {
		return action.Plan{}, err
	}
	return action.Plan{
		Summary: fmt.Sprintf("looks for the newest backup of %s in %s", p.Asset, v),
		Target:  v.String() + " " + vault.AssetID(a.Asset), Stop: "Yes: it only reads.",
	}, nil
}

// latestAll looks at every asset, also after one that has no backup: the person wants
// to know them all.
func (d Deps) latestAll(ctx context.Context, env *action.Env, p latestParams, plan action.Plan) (action.Result, error) {
	var (
		all  action.Result
		errs []error
		aged int64
	)
	names := d.Names()
	if len(names) == 0 {
		return all, hint.Wrap(fmt.Errorf("%w: the estate has no assets", action.ErrCheck), "add what should be protected to lifeboat.yaml")
	}
	for _, name := range names {
		p.Asset = name
		res, err := d.latest(ctx, env, p, plan)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		all.Checks = append(all.Checks, action.Check{Text: name + " has a backup", OK: true, Evidence: res.Evidence})
		aged = max(aged, res.Outputs["age_seconds"].(int64))
	}
	all.Outputs = map[string]any{"assets": int64(len(names)), "oldest_seconds": aged}
	all.Evidence = fmt.Sprintf("%d of %d assets have a backup, the oldest of them is %s old", len(names)-len(errs), len(names), round(time.Duration(aged)*time.Second))
	return all, errors.Join(errs...)
}

func (d Deps) latest(ctx context.Context, env *action.Env, p latestParams, plan action.Plan) (action.Result, error) {
	if p.Asset == "" {
		return d.latestAll(ctx, env, p, plan)
	}
	a, err := d.Asset(p.Asset, "")
	if err != nil {
		return action.Result{}, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Result{}, err
	}
	m, err := v.Latest(ctx, vault.AssetID(a.Asset))
	if err != nil {
		if errors.Is(err, vault.ErrNoBackup) || errors.Is(err, vault.ErrDamaged) {
			d.alert(ctx, env, Alert{Event: BackupLate, Asset: p.Asset, Vault: v.String(), Text: err.Error()})
			err = fmt.Errorf("%w: %w", action.ErrCheck, err)
		}
		return action.Result{}, err
	}
	age := env.Now().Sub(m.Cut)
	res := action.Result{
		Evidence: fmt.Sprintf("the newest backup of %s is %s old: %s, %s", p.Asset, round(age), m.Kind, m.ID),
		Outputs: map[string]any{
			"point": m.ID, "cut": m.Cut.UTC().Format(time.RFC3339), "age_seconds": int64(age / time.Second),
			"kind": m.Kind, "objects": int64(len(m.Chain)), "bytes": m.Size(),
		},
	}
	level, err := d.level(ctx, v, m)
	if err != nil {
		return res, err
	}
	res.Outputs["level"] = level
	env.Printf("%s, %d objects, %d bytes, proven: %s", res.Evidence, len(m.Chain), m.Size(), level)
	res, err = judge(res, p, m, age)
	if err != nil {
		d.alert(ctx, env, Alert{Event: BackupLate, Asset: p.Asset, Vault: v.String(), Text: err.Error()})
	}
	return res, err
}

// judge compares the age of a backup with what is wanted.
func judge(res action.Result, p latestParams, m vault.Manifest, age time.Duration) (action.Result, error) {
	const skew = 5 * time.Minute // of two clocks that are called right
	if age < -skew {
		res.Checks = []action.Check{{Text: "dated in the past", Evidence: m.ID}}
		return res, hint.Wrap(fmt.Errorf("%w: the newest backup of %q is dated %s in the future", action.ErrCheck, p.Asset, round(-age)),
			"compare the clock of this machine with that of "+m.Host)
	}
	if p.MaxAge == 0 {
		return res, nil
	}
	ok := age <= p.MaxAge
	res.Checks = []action.Check{{Text: "not older than " + printable.Span(p.MaxAge), OK: ok, Evidence: round(age) + " old"}}
	if !ok {
		return res, hint.Wrap(fmt.Errorf("%w: the newest backup of %q is %s old, wanted is at most %s", action.ErrCheck, p.Asset, round(age), printable.Span(p.MaxAge)),
			"make a new backup first, or decide that this one will do")
	}
	return res, nil
}

// level is the strongest level at which the point was proven; "failed" while a failed
// verification stands, "none" when there was none.
func (d Deps) level(ctx context.Context, v *vault.Vault, m vault.Manifest) (string, error) {
	receipts, err := v.Receipts(ctx, m.Asset, m.ID)
	if err != nil && len(receipts) == 0 {
		return "", err
	}
	proven, failed := vault.Standing(receipts)
	switch {
	case failed:
		return "failed", nil
	case proven == "":
		return "none", nil
	}
	return string(proven), nil
}

func round(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// chosen lists the assets that a verification goes through.
func (d Deps) chosen(p verifyParams) ([]string, error) {
	if p.Asset != "" {
		if _, err := d.Asset(p.Asset, ""); err != nil {
			return nil, err
		}
		return []string{p.Asset}, nil
	}
	names := d.Names()
	if len(names) == 0 {
		return nil, hint.Wrap(fmt.Errorf("%w: there are no assets to verify", action.ErrRefused), "add assets to lifeboat.yaml")
	}
	return slices.Sorted(slices.Values(names)), nil
}

func (d Deps) planVerify(ctx context.Context, env *action.Env, p verifyParams) (action.Plan, error) {
	names, err := d.chosen(p)
	if err != nil {
		return action.Plan{}, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	if err := env.Allowed(v.String()); err != nil { // receipts are written there
		return action.Plan{}, err
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
	lastPoint string
}

func (d Deps) verify(ctx context.Context, env *action.Env, p verifyParams, _ action.Plan) (action.Result, error) {
	names, err := d.chosen(p)
	if err != nil {
		return action.Result{}, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Result{}, err
	}
	if err := env.Allowed(v.String()); err != nil {
		return action.Result{}, err
	}
	var t tally
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return action.Result{}, err
		}
		r, err := d.verifyOne(ctx, env, v, name, p)
		t.add(env, name, vault.Level(p.Level), r, err)
		if err != nil && ctx.Err() == nil {
			d.alert(ctx, env, Alert{Event: VerificationFailed, Asset: name, Vault: v.String(), Text: err.Error()})
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
	c := action.Check{Text: fmt.Sprintf("%s is %s", name, level), OK: err == nil}
	switch {
	case err == nil:
		t.passed++
		c.Evidence = r.Point + ": " + strings.Join(r.Evidence, "; ")
	case errors.Is(err, vault.ErrDamaged), errors.Is(err, vault.ErrMissing), errors.Is(err, vault.ErrNoBackup), errors.Is(err, vault.ErrUntrusted):
		t.bad = append(t.bad, fmt.Errorf("%s: %w", name, err))
		c.Evidence = err.Error()
	default:
		t.unclear = append(t.unclear, fmt.Errorf("%s: %w", name, err))
		c.Evidence = "not known: " + err.Error()
	}
	t.bytes += r.Bytes
	t.took += r.Took
	t.lastPoint = r.Point
	t.res.Checks = append(t.res.Checks, c)
	env.Printf("%s: %s", name, c.Evidence)
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
		failed := hint.Wrap(fmt.Errorf("%w: %w", action.ErrCheck, errors.Join(t.bad...)),
			"make a full backup now, and verify older points before you rely on them")
		err = errors.Join(failed, err)
	}
	return t.res, err
}
