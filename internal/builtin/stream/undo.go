package stream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"lifeboat/internal/action"
	dump "lifeboat/internal/asset/stream"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// planUndo says how the state of before comes back. It works from the plan alone, since
// an effect that ended in the middle has no result.
func (d Deps) planUndo(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	if plan.Facts["how"] == howNew {
		return planAside(env, plan)
	}
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	if plan.Facts["safety"] == "" {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: the step kept nothing of the state before", action.ErrRefused), "load an older point with stream.restore")
	}
	m, ok, err := kept(ctx, v, a, plan.Facts)
	if err != nil {
		return action.Plan{}, err
	}
	if !ok {
		return action.Plan{
			Target: a.target(), Effect: action.Write, Nothing: true, Facts: map[string]string{"how": howLoad},
			Summary: "nothing was loaded: " + a.target() + " is as it was",
		}, nil
	}
	_, f, err := point(ctx, v, a, m.ID, "", env.Now())
	if err != nil {
		return action.Plan{}, err
	}
	return action.Plan{
		Summary: fmt.Sprintf("loads the state of before, point %s, into %s", m.ID, a.target()),
		Target:  a.target(), Token: a.target(), Command: []string{dump.CommandLine(a.Kind.Load)},
		Facts: map[string]string{
			"how": howLoad, "point": m.ID, "want": f.SHA256, "loader": a.loader(),
			"safety": safetyRun(env, "before-undo"),
		},
		Lines: []action.Line{
			{Label: "brings", Text: fmt.Sprintf("%s, of %s", words(f), age(env.Now(), m.Cut))},
			{Label: "is kept", Text: "the present state, dumped into " + v.String() + " first"},
		},
		Stop: "No: the database may hold half of the dump then.",
		Back: "the point that is made of the present state can be loaded with stream.restore",
	}, nil
}

func planAside(env *action.Env, plan action.Plan) (action.Plan, error) {
	dir, aside := plan.Facts["path"], plan.Facts["aside"]
	if err := env.Allowed(dir); err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: dir, Effect: action.Write, Facts: map[string]string{"how": howNew},
		Summary: fmt.Sprintf("moves %s aside to %s", dir, aside), Stop: "Yes: it is one rename.", Back: "the directory is kept as " + aside,
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
	if undo.Facts["how"] == howNew {
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
		return action.Result{Evidence: "undone: the restored dump is in " + aside}, nil
	}
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	if a.loader() != undo.Facts["loader"] {
		return action.Result{}, fmt.Errorf("%w: the load command of asset %q is another now", action.ErrChanged, a.Name)
	}
	m, f, err := point(ctx, v, a, undo.Facts["point"], "", env.Now())
	if err != nil {
		return action.Result{}, err
	}
	l, err := load(ctx, env, a, v, m, f, undo.Facts["safety"])
	if err != nil {
		return action.Result{}, err
	}
	return action.Result{Evidence: "undone: " + l.evidence, Facts: map[string]string{"kept": l.safety}}, nil
}

func (d Deps) probeUndo(ctx context.Context, env *action.Env, p restoreParams, undo, plan action.Plan, _ action.Result) (action.Probe, error) {
	if undo.Facts["how"] != howNew {
		return d.probeLoad(ctx, env, p, undo.Facts["want"], undo.Facts)
	}
	pr := probeNew(plan)
	switch pr.Finding {
	case action.Applied:
		pr.Finding, pr.Means = action.NotApplied, "The directory still has its name."
	case action.NotApplied:
		pr.Finding, pr.Means = action.Applied, "The directory was moved aside."
	}
	pr.Before, pr.Wanted = pr.Wanted, pr.Before
	return pr, nil
}
