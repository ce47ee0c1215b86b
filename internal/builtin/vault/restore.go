package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const restoreDoc = `Rebuilds any asset from a restore point into a directory that does not exist yet: a bare
repository, a folder with the database, the files, or the dump. It is proven with every
check there is before it gets its name, and nothing of the present state is touched. To
put it in the place of what is there, each kind has its own action, with a safety copy:
git.restore, sqlite.restore, files.restore, stream.restore.

` + "```vault.restore" + `
asset: monorepo
to: ./from-the-vault
` + "```" + `

at takes the newest point that holds nothing later than a time: ` + "`at: 2026-11-22 14:30`" + ` (UTC).
`

type restoreParams struct {
	Asset string `param:"asset,required" help:"the asset to restore"`
	To    string `param:"to,required" help:"a directory that does not exist yet, or is empty"`
	Point string `param:"point" help:"the restore point; the newest when left out"`
	At    string `param:"at" help:"instead of point: the newest point that holds nothing later than this time"`
}

func (d Deps) restore() action.Action {
	return action.New(action.Def[restoreParams]{
		Name: "vault.restore", Summary: "Rebuild an asset beside what is there", Doc: restoreDoc,
		Effect: action.Write, Repeat: action.Once,
		Check: func(p restoreParams) error {
			if err := vault.CheckPoint(p.Point, p.At); err != nil {
				return &action.ArgError{Name: "at", Msg: err.Error(), Fix: `write it like "2026-11-22 14:30", without point:`}
			}
			return nil
		},
		Plan: d.planRestore, Run: d.runRestore, Probe: d.probeRestore,
	})
}

// choose finds the point that is asked for.
func (d Deps) choose(ctx context.Context, env *action.Env, p restoreParams) (*vault.Vault, Protected, vault.Manifest, error) {
	a, err := d.Asset(p.Asset, "")
	if err != nil {
		return nil, a, vault.Manifest{}, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return nil, a, vault.Manifest{}, err
	}
	m, err := vault.Point(ctx, v, a.Asset, p.Point, p.At, env.Now())
	return v, a, m, err
}

func (d Deps) planRestore(ctx context.Context, env *action.Env, p restoreParams) (action.Plan, error) {
	dir := absolute(env, p.To)
	if err := env.Allowed(dir); err != nil {
		return action.Plan{}, err
	}
	v, a, m, err := d.choose(ctx, env, p)
	if err != nil {
		return action.Plan{}, err
	}
	if err := vacant(dir); err != nil {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: %w", action.ErrRefused, err), "name a directory that does not exist yet; nothing is ever overwritten")
	}
	level, err := d.level(ctx, v, m)
	if err != nil {
		level = "not known: " + flat(err) // a broken receipt is not in the way of a recovery
	}
	return action.Plan{
		Summary: fmt.Sprintf("rebuilds %s as it was at %s in %s", a.Name, m.Cut.UTC().Format("2006-01-02 15:04:05 UTC"), printable.Line(dir)),
		Target:  dir,
		Lines: []action.Line{
			{Label: "point", Text: fmt.Sprintf("%s, %s, %s old", m.ID, m.Kind, round(env.Now().Sub(m.Cut)))},
			{Label: "proven", Text: level},
			{Label: "downloads", Text: fmt.Sprintf("%s in %s", printable.Size(m.Size()), printable.Count(len(m.Chain), "object"))},
			{Label: "not touched", Text: "the present state of " + a.Name},
		},
		Facts: map[string]string{"point": m.ID, "manifest": m.Sum(), "dir": dir},
		Stop:  "Yes: nothing has the name of the target before it is proven.",
		Back:  "remove " + dir,
	}, nil
}

func absolute(env *action.Env, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(env.Dir, path)
}

// vacant refuses a target that is anything but absent or an empty directory. A link is
// not followed: the restore would take the place of the link, not of what it leads to.
func vacant(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%q is a file or a link", dir)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%q is not empty", dir)
	}
	return err
}

func (d Deps) runRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Result, error) {
	dir := plan.Facts["dir"]
	if err := env.Allowed(dir); err != nil {
		return action.Result{}, err
	}
	a, err := d.Asset(p.Asset, "")
	if err != nil {
		return action.Result{}, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Result{}, err
	}
	m, err := v.Get(ctx, vault.AssetID(a.Asset), plan.Facts["point"])
	if err != nil {
		return action.Result{}, err
	}
	if m.Sum() != plan.Facts["manifest"] {
		return action.Result{}, fmt.Errorf("%w: the manifest of point %s is another one", action.ErrChanged, m.ID)
	}
	if err := vacant(dir); err != nil {
		return action.Result{}, fmt.Errorf("%w: %w", action.ErrChanged, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return action.Result{}, err
	}
	r, err := v.Restore(ctx, m, a.Understands, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log})
	if err != nil {
		return action.Result{}, err
	}
	return action.Result{
		Evidence: fmt.Sprintf("%s: %s, in %s", r.Dir, r.Evidence, printable.Span(r.Took)),
		Outputs: map[string]any{
			"dir": r.Dir, "point": r.Point, "cut": r.Cut.UTC().Format(time.RFC3339), "bytes": r.Bytes, "took_seconds": r.Took.Seconds(),
		},
		Back: "remove " + r.Dir,
	}, nil
}

// probeRestore looks whether the target has its name: it gets it when it is whole.
func (d Deps) probeRestore(_ context.Context, _ *action.Env, _ restoreParams, plan action.Plan) (action.Probe, error) {
	dir := plan.Facts["dir"]
	out := action.Probe{Finding: action.NotApplied, Command: []string{"ls", dir}, Before: "nothing there", Wanted: "the restored asset", Found: "nothing there",
		Means: "The restore did not end; at most a directory beside it, whose name begins with a dot, was left."}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return out, err
	case len(entries) > 0:
		out.Finding, out.Found = action.Applied, printable.Count(len(entries), "name")
		out.Means = "The target gets its name only when it is whole and proven, so the restore has ended."
	}
	return out, nil
}
