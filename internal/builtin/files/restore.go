package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const restoreDoc = `Puts a restore point into a new directory, or, with replace: true, the files of the
point in the place of those that are there, one by one.

The point is rebuilt aside and proven first. A file that is replaced is kept under
.lifeboat-before-<run> at the top of the asset's directory, and the files that the point
does not have stay as they are. Nothing happens when a file has changed since the plan.

` + "```files.restore save=restored" + `
asset: env
point: latest
to: ./env-restored
` + "```" + `
`

type restoreParams struct {
	Asset   string   `param:"asset,required" help:"the files to restore"`
	Point   string   `param:"point" help:"id of the restore point, or latest" default:"latest"`
	At      string   `param:"at" help:"the newest point that is not younger than this time: 2026-11-23T14:30:00Z"`
	To      string   `param:"to" help:"a new directory to restore into; the files come to files/ in it"`
	Replace bool     `param:"replace" help:"put the files in their place instead"`
	Files   []string `param:"files" help:"with replace: only these files and directories, relative to the asset's directory"`
}

// How a point comes to its place.
const (
	howNew     = "new"
	howReplace = "replace"
)

func (d Deps) restore() action.Action {
	return action.New(action.Def[restoreParams]{
		Name: "files.restore", Summary: "Restore files from the vault", Doc: restoreDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Check: checkRestore,
		Plan:  d.planRestore, Run: d.runRestore, Probe: d.probeRestore,
		Inverse: &action.Inverse[restoreParams]{Plan: d.planUndo, Run: d.runUndo, Probe: d.probeUndo},
	})
}

func checkRestore(p restoreParams) error {
	switch {
	case p.To == "" && !p.Replace:
		return &action.ArgError{Name: "to", Msg: "there is nowhere to restore to", Fix: "give to: DIRECTORY, or replace: true"}
	case p.To != "" && p.Replace:
		return &action.ArgError{Name: "to", Msg: "there is replace: too", Fix: "give one of them"}
	case len(p.Files) > 0 && !p.Replace:
		return &action.ArgError{Name: "files", Msg: "only replace: takes a part of the files", Fix: "remove it, and take what you need out of the new directory"}
	}
	for _, f := range p.Files {
		if tree.CheckName(f) != nil {
			return &action.ArgError{Name: "files", Msg: fmt.Sprintf("%q is no path below the asset's directory", f), Fix: "write apps/web/.env, without \"..\" and without a slash at the end"}
		}
	}
	return checkTime(p.Point, p.At)
}

func (d Deps) planRestore(ctx context.Context, env *action.Env, p restoreParams) (action.Plan, error) {
	s, v, err := d.open(ctx, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	m, f, err := point(ctx, v, s, p.Point, p.At, env.Now())
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Facts: map[string]string{"point": m.ID, "list": f.ListSHA256},
		Lines: []action.Line{
			{Label: "point", Text: fmt.Sprintf("%s, of %s", m.ID, age(env.Now(), m.Cut))},
			{Label: "brings", Text: fmt.Sprintf("%s, %s", printable.Count(f.Files, "file"), printable.Size(f.Bytes))},
		},
		Checks: []action.Check{{Text: "the point is listed in the vault", OK: true, Evidence: "list sha256 " + short(f.ListSHA256)}},
	}
	if p.Replace {
		return d.planReplace(ctx, env, p, s, v, m, out)
	}
	dir := absolute(env, p.To)
	if err := env.Allowed(dir); err != nil {
		return action.Plan{}, err
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return action.Plan{}, errors.Join(hint.Wrap(hint.Blame(fmt.Errorf("%w: %q is there already", action.ErrRefused, dir), "to"), "name a directory that does not exist"), err)
	}
	out.Effect, out.Target = action.Write, dir
	out.Facts["how"], out.Facts["path"], out.Facts["aside"] = howNew, dir, dir+".undone-"+env.Run
	out.Summary = fmt.Sprintf("restores point %s into the new directory %s", m.ID, dir)
	out.Stop = "Yes: the directory gets its name only when it is proven."
	out.Back = "the directory is moved aside"
	return out, nil
}

func (d Deps) runRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Result, error) {
	s, v, err := d.open(ctx, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	m, f, err := point(ctx, v, s, plan.Facts["point"], "", env.Now())
	if err != nil {
		return action.Result{}, err
	}
	if f.ListSHA256 != plan.Facts["list"] {
		return action.Result{}, fmt.Errorf("%w: point %s is another now", action.ErrChanged, m.ID)
	}
	res := action.Result{Back: plan.Back, Outputs: map[string]any{
		"point": m.ID, "files": int64(f.Files), "cut": m.Cut.UTC().Format("2006-01-02T15:04:05.000Z"),
	}}
	if plan.Facts["how"] == howReplace {
		return d.runReplace(ctx, env, p, s, v, m, plan, res)
	}
	dir := plan.Facts["path"]
	if err := env.Allowed(dir); err != nil {
		return action.Result{}, err
	}
	restored, err := v.Restore(ctx, m, s.Kind, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log})
	if err != nil {
		return action.Result{}, unclear(err)
	}
	res.Evidence = fmt.Sprintf("%s holds point %s: %s", dir, m.ID, restored.Evidence)
	res.Outputs["dir"] = filepath.Join(dir, tree.TreeName)
	return res, nil
}

func (d Deps) probeRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Probe, error) {
	if plan.Facts["how"] == howReplace {
		return d.probeReplace(ctx, plan)
	}
	dir := plan.Facts["path"]
	pr := action.Probe{Finding: action.Unknown, Command: []string{"ls -la " + dir}, Before: "not there", Wanted: "there",
		Outputs: map[string]any{"point": plan.Facts["point"], "dir": filepath.Join(dir, tree.TreeName)}}
	switch _, err := os.Lstat(dir); {
	case err == nil:
		pr.Finding, pr.Found, pr.Means = action.Applied, "there", "The directory gets its name only when it is proven."
	case errors.Is(err, fs.ErrNotExist):
		pr.Finding, pr.Found, pr.Means = action.NotApplied, "not there", "Nothing was put there."
	default:
		pr.Found, pr.Means = err.Error(), "The place cannot be looked at now, so nobody can tell."
	}
	return pr, nil
}

func (d Deps) planUndo(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	if plan.Facts["how"] == howReplace {
		return d.planPutBack(ctx, env, plan)
	}
	dir, aside := plan.Facts["path"], plan.Facts["aside"]
	if err := env.Allowed(dir); err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: dir, Effect: action.Write, Summary: fmt.Sprintf("moves %s aside to %s", dir, aside),
		Stop: "Yes: it is one rename.", Back: "the directory is kept as " + aside,
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		out.Nothing, out.Summary = true, dir+" is not there, as before"
	}
	return out, nil
}

func (d Deps) runUndo(ctx context.Context, env *action.Env, p restoreParams, undo, plan action.Plan, _ action.Result) (action.Result, error) {
	if undo.Nothing {
		return action.Result{Evidence: undo.Summary}, nil
	}
	if plan.Facts["how"] == howReplace {
		return d.runPutBack(ctx, env, undo, plan)
	}
	dir, aside := plan.Facts["path"], plan.Facts["aside"]
	if err := env.Allowed(dir); err != nil {
		return action.Result{}, err
	}
	if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
		return action.Result{}, errors.Join(hint.Wrap(fmt.Errorf("%w: %q is there already", action.ErrRefused, aside), "move it away"), err)
	}
	if err := durable.Rename(dir, aside); err != nil {
		return action.Result{}, unclear(err)
	}
	return action.Result{Evidence: "undone: the restored files are in " + aside}, nil
}

func (d Deps) probeUndo(ctx context.Context, env *action.Env, p restoreParams, undo, plan action.Plan, _ action.Result) (action.Probe, error) {
	pr, err := d.probeRestore(ctx, env, p, plan)
	switch pr.Finding {
	case action.Applied:
		pr.Finding, pr.Means = action.NotApplied, "What the restore put there is still there."
	case action.NotApplied:
		pr.Finding, pr.Means = action.Applied, "It is as it was before the restore."
	}
	pr.Before, pr.Wanted = pr.Wanted, pr.Before
	return pr, err
}
