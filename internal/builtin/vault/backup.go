package vault

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const backupDoc = `Makes a restore point of one asset, or of every asset of the estate, each by its kind. One
that fails does not keep the others from being made; the step fails then, and says which.
With shard "2/4" it makes those of the third of four parts, for estates that several
machines share: each asset belongs to exactly one part, always the same.

` + "```vault.backup" + `
class: daily
` + "```" + `

What is kept for a week or longer (class weekly, monthly, quarterly) has the forms that
people expect to find years later: a repository also as ` + "`mirror.tar.gz`" + `.
`

const archiveDoc = `Makes the monthly archive: a full point of every asset, and beside them one of what a
recovery needs to read: the runbooks, the estate file, the documents that it lists, and
how to restore without Lifeboat. The documents are an asset of their own, "archive".

` + "```vault.archive" + `
class: monthly
` + "```" + `
`

type backupParams struct {
	Asset string `param:"asset" help:"the asset to back up; all assets when left out"`
	Mode  string `param:"mode" help:"full copies everything, auto takes an increment when it can" enum:"auto,full" default:"auto"`
	Class string `param:"class" help:"what the point is kept as" enum:"daily,weekly,monthly,quarterly"`
	Shard string `param:"shard" help:"only one part of the assets: 0/4 is the first of four"`
}

type archiveParams struct {
	Class string `param:"class" help:"what the points are kept as" enum:"monthly,quarterly" default:"monthly"`
	Shard string `param:"shard" help:"only one part of the assets: 0/4 is the first of four; the documents go with the first"`
}

func (d Deps) backup() action.Action {
	return action.New(action.Def[backupParams]{
		Name: "vault.backup", Summary: "Back up one asset or all of them", Doc: backupDoc,
		Effect: action.Write, Repeat: action.Safe,
		Check: func(p backupParams) error { return checkShard(p.Shard, p.Asset) },
		Plan:  d.planBackup, Run: d.runBackup,
	})
}

func (d Deps) archive() action.Action {
	full := func(p archiveParams) backupParams {
		return backupParams{Mode: "full", Class: p.Class, Shard: p.Shard}
	}
	return action.New(action.Def[archiveParams]{
		Name: "vault.archive", Summary: "Archive every asset, with the documents of a recovery", Doc: archiveDoc,
		Effect: action.Write, Repeat: action.Safe,
		Check: func(p archiveParams) error { return checkShard(p.Shard, "") },
		Plan: func(ctx context.Context, env *action.Env, p archiveParams) (action.Plan, error) {
			plan, err := d.planBackup(ctx, env, full(p))
			plan.Lines = append(plan.Lines, action.Line{Label: "documents", Text: "runbooks, estate file, documents, how to restore"})
			return plan, err
		},
		Run: func(ctx context.Context, env *action.Env, p archiveParams, plan action.Plan) (action.Result, error) {
			a, err := d.Archive(ctx)
			if err != nil {
				return action.Result{}, fmt.Errorf("collect the documents: %w", err)
			}
			var extra []Protected
			if i, _, _ := parseShard(p.Shard); i == 0 {
				extra = append(extra, a)
			}
			return d.backUp(ctx, env, full(p), extra)
		},
	})
}

// parseShard reads "i/n", where "" is "0/1".
func parseShard(text string) (i, n int, err error) {
	if text == "" {
		return 0, 1, nil
	}
	a, b, _ := strings.Cut(text, "/")
	i, err = strconv.Atoi(a)
	if err == nil {
		n, err = strconv.Atoi(b)
	}
	if err != nil || n < 1 || n > 10000 || i < 0 || i >= n {
		return 0, 0, fmt.Errorf("%q is no part of a whole", text)
	}
	return i, n, nil
}

func checkShard(shard, asset string) error {
	if _, _, err := parseShard(shard); err != nil {
		return &action.ArgError{Name: "shard", Msg: err.Error(), Fix: "write 0/4, 1/4, 2/4 or 3/4 for one of four parts"}
	}
	if shard != "" && asset != "" {
		return &action.ArgError{Name: "shard", Msg: "one asset has no parts", Fix: "leave out asset: or shard:"}
	}
	return nil
}

// Shard says which of n parts an asset belongs to. It hangs on the name alone, so that
// an asset which comes or goes moves no other.
func Shard(name string, n int) int {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	return int(h.Sum32() % uint32(n))
}

// wanted lists the assets of a backup, in the order of their names.
func (d Deps) wanted(p backupParams) ([]Protected, error) {
	names := []string{p.Asset}
	if p.Asset == "" {
		if names = slices.Sorted(slices.Values(d.Names())); len(names) == 0 {
			return nil, hint.Wrap(fmt.Errorf("%w: there are no assets to back up", action.ErrRefused), "add assets to lifeboat.yaml")
		}
	}
	i, n, err := parseShard(p.Shard)
	if err != nil {
		return nil, err
	}
	var out []Protected
	for _, name := range names {
		if Shard(name, n) != i {
			continue
		}
		a, err := d.Asset(name, p.Class)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func (d Deps) planBackup(ctx context.Context, env *action.Env, p backupParams) (action.Plan, error) {
	list, err := d.wanted(p)
	if err != nil {
		return action.Plan{}, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	if err := allowed(env, v, list); err != nil {
		return action.Plan{}, err
	}
	plan := action.Plan{
		Target: v.String(), Stop: "Yes: a point counts only once it is whole.",
		Lines: []action.Line{{Label: "writes to", Text: v.String()}},
	}
	var names []string
	for _, a := range list {
		names = append(names, a.Name)
		last, err := v.Latest(ctx, vault.AssetID(a.Asset))
		text := ""
		switch {
		case errors.Is(err, vault.ErrNoBackup):
			text = "its first point"
		case vault.Unusable(err):
			text = "a new full point: " + err.Error()
		case err != nil:
			return action.Plan{}, err
		default:
			text = fmt.Sprintf("the newest point is %s old", round(env.Now().Sub(last.Cut)))
		}
		plan.Lines = append(plan.Lines, action.Line{Label: a.Name, Text: text})
	}
	plan.Summary = fmt.Sprintf("makes a point of %s", printable.Line(strings.Join(names, ", ")))
	if len(list) == 0 {
		plan.Summary, plan.Nothing = "makes nothing: no asset belongs to part "+p.Shard, true
	}
	return plan, nil
}

// allowed asks the fence for the vault, which is written, and for the sources, which are
// sent our credentials.
func allowed(env *action.Env, v *vault.Vault, list []Protected) error {
	if err := env.Allowed(v.String()); err != nil {
		return err
	}
	for _, a := range list {
		reads := a.Reads
		if reads == nil {
			reads = []string{a.Source}
		}
		for _, target := range reads {
			if err := env.Allowed(target); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d Deps) runBackup(ctx context.Context, env *action.Env, p backupParams, _ action.Plan) (action.Result, error) {
	return d.backUp(ctx, env, p, nil)
}

func (d Deps) backUp(ctx context.Context, env *action.Env, p backupParams, extra []Protected) (action.Result, error) {
	list, err := d.wanted(p)
	if err != nil {
		return action.Result{}, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Result{}, err
	}
	if err := allowed(env, v, list); err != nil {
		return action.Result{}, err
	}
	var (
		res   action.Result
		errs  []error
		bytes int64
		last  vault.Manifest
	)
	list = append(list, extra...)
	for _, a := range list {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		began := env.Now()
		m, err := v.Backup(ctx, a.Asset, a.Understands, vault.BackupOptions{
			Full: p.Mode == "full", Class: p.Class, RunID: env.RunID, RPO: a.RPO,
			Now: env.Now, Progress: env.Progress, Log: env.Log,
		})
		c := action.Check{Text: a.Name + " has a new point", OK: err == nil}
		if err != nil {
			errs = append(errs, err)
			c.Evidence = err.Error()
			if ctx.Err() == nil {
				d.alert(ctx, env, Alert{Event: BackupFailed, Asset: a.Name, Vault: v.String(), Text: err.Error(), Advice: strings.Join(hint.All(err), "; ")})
			}
		} else {
			n := written(m)
			bytes += n
			last = m
			c.Evidence = fmt.Sprintf("%s, %s, %s written in %s", m.ID, m.Kind, printable.Size(n), round(env.Now().Sub(began)))
		}
		env.Printf("%s: %s", a.Name, c.Evidence)
		res.Checks = append(res.Checks, c)
	}
	res.Outputs = map[string]any{
		"assets": int64(len(list)), "failed": int64(len(errs)), "bytes": bytes,
	}
	res.Evidence = fmt.Sprintf("%d of %s backed up, %s written", len(list)-len(errs), printable.Count(len(list), "asset"), printable.Size(bytes))
	if len(list) == 1 && len(errs) == 0 {
		res.Outputs["point"], res.Outputs["kind"] = last.ID, last.Kind
		res.Outputs["cut"] = last.Cut.UTC().Format(time.RFC3339)
		res.Evidence = fmt.Sprintf("%s point %s, %s written", last.Kind, last.ID, printable.Size(bytes))
	}
	return res, errors.Join(errs...)
}

// written counts the stored bytes that are the point's own.
func written(m vault.Manifest) int64 {
	var n int64
	for _, o := range slices.Concat(m.Chain, m.Aux) {
		if strings.Contains(o.Key, "/d/"+m.ID+"/") {
			n += o.Size
		}
	}
	return n
}
