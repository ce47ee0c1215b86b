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
	"lifeboat/internal/alert"
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
			if err != nil || !firstShard(p.Shard) {
				return plan, err
			}
			plan.Lines = append(plan.Lines, action.Line{Label: archiveName, Text: "runbooks, estate file, documents, how to restore"})
			if plan.Nothing {
				plan.Summary, plan.Nothing, plan.Effect = "makes a point of the documents only: no asset belongs to part "+p.Shard, false, action.Write
			}
			return plan, nil
		},
		Run: func(ctx context.Context, env *action.Env, p archiveParams, _ action.Plan) (action.Result, error) {
			if !firstShard(p.Shard) {
				return d.backUp(ctx, env, full(p), nil)
			}
			return d.backUp(ctx, env, full(p), d.Archive)
		},
	})
}

// archiveName is the asset that holds the documents of a recovery. No estate lists it.
const archiveName = "archive"

func firstShard(text string) bool {
	i, _, err := ParseShard(text)
	return err == nil && i == 0
}

// ParseShard reads "i/n", where "" is "0/1": the first of one.
func ParseShard(text string) (i, n int, err error) {
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
	if _, _, err := ParseShard(shard); err != nil {
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

// candidate is an asset to be backed up, or why it cannot even be tried: the mistake of
// one asset in the estate does not keep the others from being made.
type candidate struct {
	Protected
	err error
}

// wanted lists the assets of a backup, in the order of their names.
func (d Deps) wanted(p backupParams) ([]candidate, error) {
	names, err := d.part(p.Asset, p.Shard)
	if err != nil {
		return nil, err
	}
	var out []candidate
	for _, name := range names {
		a, err := d.Asset(name, p.Class)
		if err == nil && a.Stranger {
			return nil, hint.Wrap(fmt.Errorf("%w: asset %q is in the vault and not in the estate: what its manifests name as its source is not read", action.ErrRefused, name),
				"list it in lifeboat.yaml, and back it up by its name there")
		}
		if err != nil {
			a.Name = name
		}
		out = append(out, candidate{a, err})
	}
	return out, nil
}

func (d Deps) planBackup(ctx context.Context, env *action.Env, p backupParams) (action.Plan, error) {
	list, err := d.wanted(p)
	if err != nil {
		return action.Plan{}, err
	}
	v, err := d.writable(ctx, env)
	if err != nil {
		return action.Plan{}, err
	}
	if err := allowed(env, list); err != nil {
		return action.Plan{}, err
	}
	plan := action.Plan{
		Target: v.String(), Stop: "Yes: a point counts only once it is whole.",
		Lines: []action.Line{{Label: "writes to", Text: v.String()}},
	}
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
		plan.Lines = append(plan.Lines, action.Line{Label: c.Name, Text: outlook(ctx, env, v, c)})
	}
	plan.Summary = fmt.Sprintf("makes a point of %s", printable.Line(strings.Join(names, ", ")))
	if len(list) == 0 {
		plan.Summary, plan.Nothing, plan.Effect = "makes nothing: no asset belongs to part "+p.Shard, true, action.Read
	}
	return plan, ctx.Err()
}

// outlook says what is known of an asset before its backup. What cannot be known is not in
// the way of trying: it is the run that fails then, and alerts.
func outlook(ctx context.Context, env *action.Env, v *vault.Vault, c candidate) string {
	if c.err != nil {
		return "cannot be backed up: " + flat(c.err)
	}
	last, err := v.Latest(ctx, vault.AssetID(c.Asset))
	switch {
	case errors.Is(err, vault.ErrNoBackup):
		return "its first point"
	case vault.Unusable(err):
		return "a new full point: " + flat(err)
	case err != nil:
		return "its newest point is not known: " + flat(err)
	}
	return fmt.Sprintf("the newest point is %s old", round(env.Now().Sub(last.Cut)))
}

// allowed asks the fence for the sources, which are sent our credentials.
func allowed(env *action.Env, list []candidate) error {
	for _, c := range list {
		reads := c.Reads
		if reads == nil && c.err == nil {
			reads = []string{c.Source}
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

// backUp makes the points of the chosen assets, then that of documents, which nil leaves
// out. The step is as good as its worst point.
func (d Deps) backUp(ctx context.Context, env *action.Env, p backupParams, documents func(context.Context) (Protected, error)) (action.Result, error) {
	list, err := d.wanted(p)
	if err != nil {
		return action.Result{}, err
	}
	v, err := d.writable(ctx, env)
	if err != nil {
		return action.Result{}, err
	}
	if err := allowed(env, list); err != nil {
		return action.Result{}, err
	}
	if documents != nil {
		a, err := documents(ctx)
		if err != nil {
			a.Name, err = archiveName, fmt.Errorf("collect the documents: %w", err)
		}
		list = append(list, candidate{a, err})
	}
	var (
		res  action.Result
		errs []error
		size int64
		last vault.Manifest
	)
	for _, c := range list {
		began := env.Now()
		m, err := d.makePoint(ctx, env, v, c, p)
		check := action.Check{Text: c.Name + " has a new point", OK: err == nil, About: c.Name}
		if err != nil {
			errs = append(errs, err)
			check.Evidence = err.Error()
			d.alert(ctx, env, alert.BackupFailed, c.Name, v, err)
		} else {
			n := written(m)
			size, last = size+n, m
			check.Evidence = fmt.Sprintf("%s, %s, %s written in %s", m.ID, m.Kind, printable.Size(n), round(env.Now().Sub(began)))
		}
		env.Printf("%s: %s", c.Name, check.Evidence)
		res.Checks = append(res.Checks, check)
	}
	res.Outputs = map[string]any{"assets": int64(len(list)), "failed": int64(len(errs)), "bytes": size}
	res.Evidence = fmt.Sprintf("%d of %s backed up, %s written", len(list)-len(errs), printable.Count(len(list), "asset"), printable.Size(size))
	if len(list) == 1 && len(errs) == 0 {
		res.Outputs["point"], res.Outputs["kind"] = last.ID, last.Kind
		res.Outputs["cut"] = last.Cut.UTC().Format(time.RFC3339)
		res.Evidence = fmt.Sprintf("%s point %s, %s written", last.Kind, last.ID, printable.Size(size))
	}
	return res, errors.Join(errs...)
}

// makePoint backs up one asset. Its error names the asset.
func (d Deps) makePoint(ctx context.Context, env *action.Env, v *vault.Vault, c candidate, p backupParams) (vault.Manifest, error) {
	if c.err != nil {
		return vault.Manifest{}, fmt.Errorf("back up %q: %w", c.Name, c.err)
	}
	m, err := v.Backup(ctx, c.Asset, c.Understands, vault.BackupOptions{
		Full: p.Mode == "full", Class: p.Class, RunID: env.RunID, RPO: c.RPO,
		Now: env.Now, Progress: env.Progress, Log: env.Log,
	})
	if err != nil || m.Kind != vault.Empty {
		return m, err
	}
	// An empty point is a true one. Where there was something before, it is rather the
	// trace of a loss than a backup, and nobody looks at a step that is green: not the
	// second time either, which may be a retry a moment later.
	before, err := held(ctx, v, m)
	if err == nil && before.ID != "" {
		err = hint.Wrap(fmt.Errorf("back up %q: it holds nothing now, and held something at %s; point %s says so", c.Name, before.Cut.UTC().Format(time.RFC3339), m.ID),
			"look at the source; point "+before.ID+" still has what it held. If it is meant to be empty, take it out of the estate")
	}
	return m, err
}

// held is the newest point before m that holds something, the zero Manifest when none of
// the last thousand does.
func held(ctx context.Context, v *vault.Vault, m vault.Manifest) (vault.Manifest, error) {
	const most = 1000
	ids, err := v.Points(ctx, m.Asset, time.Time{})
	if err != nil {
		return vault.Manifest{}, err
	}
	for _, id := range ids[:min(most, len(ids))] {
		before, err := v.Get(ctx, m.Asset, id)
		switch {
		case vault.Unusable(err) || errors.Is(err, vault.ErrNoBackup): // says nothing
		case err != nil:
			return vault.Manifest{}, err
		case len(before.Chain) > 0:
			return before, nil
		}
	}
	return vault.Manifest{}, nil
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
