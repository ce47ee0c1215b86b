package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// wayBack is the inverse of everything that puts a database in a place.
func wayBack[P any]() *action.Inverse[P] {
	return &action.Inverse[P]{Plan: planUndo[P], Run: runUndo[P], Probe: probeUndo[P]}
}

// planUndo says how the old database comes back. It works from the plan alone, since
// an effect that ended in the middle has no result.
func planUndo[P any](ctx context.Context, env *action.Env, _ P, plan action.Plan, _ action.Result) (action.Plan, error) {
	path, keep, how := plan.Facts["path"], plan.Facts["keep"], plan.Facts["how"]
	aside := path + ".undone-" + env.Run
	if err := env.Allowed(path); err != nil {
		return action.Plan{}, err
	}
	t, err := look(ctx, path)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: path,
		Facts: map[string]string{
			"how": how, "now": t.how, "hash": t.hash, "keep": db.KeepAs(path, aside),
		},
		Stop: "Yes: it ends with one step that either happens or does not.",
	}
	out.Back = "the database of now is kept as " + out.Facts["keep"]
	out.Lines = []action.Line{{Label: "is kept", Text: out.Facts["keep"]}}
	switch {
	case cutShort(plan):
		out.Facts["how"], out.Facts["keep"] = howBack, aside
		out.Effect, out.Lines, out.Back = action.Write, nil, ""
		out.Summary = fmt.Sprintf("puts what the step took away from %s back from %s", path, keep)
		return out, nil
	case how == howNew && db.Astray(path, aside):
		out.Facts["keep"], out.Effect = aside, action.Write
		out.Summary = fmt.Sprintf("moves what is left of the restored database at %s aside", path)
		return out, nil
	case t.how == how && t.hash == plan.Facts["hash"]:
		out.Nothing, out.Effect, out.Summary = true, action.Write, path+" is as it was before"
		return out, nil
	}
	if how == howNew {
		out.Effect, out.Summary = action.Write, fmt.Sprintf("moves %s aside", path)
		return out, nil
	}
	if _, err := os.Stat(keep); err != nil {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: the old database is not there: %w", action.ErrRefused, err), "restore an older point instead")
	}
	out.Effect, out.Token = action.Destroy, t.token()
	out.Summary = fmt.Sprintf("puts the old database back from %s", keep)
	if how == howOverwrite && t.how != howOverwrite {
		out.Facts["how"] = howSwap // it was damaged since, so SQLite cannot overwrite it
	}
	return out, nil
}

func runUndo[P any](ctx context.Context, env *action.Env, _ P, undo, plan action.Plan, _ action.Result) (action.Result, error) {
	path, keep := plan.Facts["path"], plan.Facts["keep"]
	if err := env.Allowed(path); err != nil {
		return action.Result{}, err
	}
	t, err := look(ctx, path)
	if err != nil {
		return action.Result{}, err
	}
	if t.how != undo.Facts["now"] || t.hash != undo.Facts["hash"] {
		return action.Result{}, changed(path)
	}
	old := db.Replacement{Live: path, Keep: keep, From: undo.Facts["keep"]}
	if undo.Nothing {
		if plan.Facts["how"] != howOverwrite { // second names may be left of an attempt
			err = old.Settle(ctx)
		}
		if err != nil {
			return action.Result{}, err
		}
		return action.Result{Evidence: path + " is as it was before"}, nil
	}
	r := db.Replacement{Live: path, From: keep, Keep: undo.Facts["keep"], Want: t.hash, Progress: env.Progress}
	switch undo.Facts["how"] {
	case howNew:
		// Then sidecars come back that lay there alone before.
		if err = r.MoveAside(ctx); err == nil {
			err = old.Settle(ctx)
		}
	case howBack:
		if err = old.Settle(ctx); err == nil {
			return action.Result{Evidence: "undone: what stood at " + path + " is back in its place"}, nil
		}
	case howOverwrite:
		err = r.Overwrite(ctx)
	case howSwap:
		r.Sidecars = true
		if t.how != howSwap { // what stands there is sound or absent; a rename needs the file's own hash
			if r.Want, err = db.FileHash(ctx, path); errors.Is(err, fs.ErrNotExist) {
				r.Want, err = "", nil
			}
		}
		if err == nil {
			err = r.Swap(ctx)
		}
	}
	switch {
	case errors.Is(err, db.ErrChanged):
		return action.Result{}, fmt.Errorf("%w: %w", changed(path), err)
	case errors.Is(err, durable.ErrUnclear):
		return action.Result{}, fmt.Errorf("%w: %w", action.ErrUnclear, err)
	case err != nil:
		return action.Result{}, err
	}
	return action.Result{Evidence: "undone: the database of before is in " + path + ", the restored one in " + r.Keep}, nil
}

// probeUndo compares with the state before the restore and before the undo.
func probeUndo[P any](ctx context.Context, _ *action.Env, _ P, undo, plan action.Plan, _ action.Result) (action.Probe, error) {
	pr := action.Probe{Finding: action.Unknown, Before: short(undo.Facts["hash"]), Wanted: short(plan.Facts["hash"])}
	t, err := look(ctx, plan.Facts["path"])
	if err != nil {
		pr.Found, pr.Means = err.Error(), "The database cannot be read now, so nobody can tell."
		return pr, nil
	}
	pr.Found = short(t.hash)
	switch {
	case cutShort(plan) || db.Astray(plan.Facts["path"], undo.Facts["keep"]):
		pr.Found = "nothing at " + plan.Facts["path"]
		pr.Means = "The undo was cut short: nothing stands in the place, and not all is back. Another attempt ends it."
	case t.how == plan.Facts["how"] && t.hash == plan.Facts["hash"]:
		pr.Finding, pr.Means = action.Applied, "The database is as it was before the restore."
	case t.how == undo.Facts["now"] && t.hash == undo.Facts["hash"]:
		pr.Finding, pr.Means = action.NotApplied, "The database is still the restored one."
	default:
		pr.Means = "The database is neither the old nor the restored one: somebody has written to it."
	}
	return pr, nil
}
