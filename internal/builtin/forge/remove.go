package forge

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const removeDoc = `Lifts the protection of a branch for a while.

` + "```forge.protection-remove" + `
asset: monorepo
branch: main
within: 30m
` + "```" + `

What is removed is saved before, in full, in the journal and in a file beside the other
copies. Removing it opens a debt: the run cannot end, and everybody is reminded when the time is
over, until forge.protection-restore has put it back. Undo puts it back too.

Only rules of this branch alone are removed. Rulesets, wildcards and what a group or pattern
sets for several branches stay, and the plan names them: they may still refuse a push.

Saves: file, digest.
`

type removeParams struct {
	Asset  string        `param:"asset,required" help:"the repository whose branch it is"`
	Branch string        `param:"branch" help:"the branch, without refs/heads/" default:"main"`
	Within time.Duration `param:"within" help:"how long it may stay open before everybody is reminded" default:"30m"`
}

func (d Deps) remove() action.Action {
	return action.New(action.Def[removeParams]{
		Name: "forge.protection-remove", Summary: "Lift the protection of a branch for a while", Doc: removeDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Check: func(p removeParams) error {
			var short error
			if p.Within < time.Minute {
				short = &action.ArgError{Name: "within", Msg: "is less than a minute", Fix: `give the time that the change takes, as in "30m"`}
			}
			return errors.Join(checkBranch(p.Branch), short)
		},
		Plan: d.planRemove, Run: d.runRemove, Probe: d.probeRemove,
		Inverse: &action.Inverse[removeParams]{Plan: d.planPutBack, Run: d.runPutBack, Probe: d.probePutBack},
	})
}

func (d Deps) planRemove(ctx context.Context, env *action.Env, p removeParams) (action.Plan, error) {
	g, err := d.open(ctx, env, p.Asset, p.Branch)
	if err != nil {
		return action.Plan{}, err
	}
	s, err := g.now(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	if len(s.Rules) == 0 && len(s.Beside) > 0 {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: %s has no protection of its own to lift; it is guarded by %s, which also guards other branches", action.ErrRefused, g.branch, s.Beside[0]),
			"change that rule where it is kept, for as short a time as you can; or use the people whom it lets through")
	}
	rules, err := packed(s.Rules)
	if err != nil {
		return action.Plan{}, err
	}
	plan := action.Plan{
		Summary: fmt.Sprintf("lifts the protection of %s: %s -> unprotected, for %s at most", g.branch, s.short(), p.Within),
		Target:  g.target(), Token: g.branch + "@" + s.short(),
		Facts:   map[string]string{"digest": s.digest, "rules": rules, "api": g.API, "count": strconv.Itoa(len(s.Rules))},
		Nothing: len(s.Rules) == 0,
		Stop:    "No: the service may have removed it already. Wait, or look with the probe.",
		Back:    "restores exactly what is removed, from the journal",
		Lines: []action.Line{
			{Label: "removes", Text: g.target() + "   " + s.short()},
		},
	}
	for _, f := range s.fields {
		plan.Lines = append(plan.Lines, action.Line{Label: "lost", Text: label(f.Path) + ": " + f.text()})
	}
	kept := "all of it"
	if s.Unseen != "" {
		kept = "all of this"
		plan.Lines = append(plan.Lines, action.Line{Label: "not seen", Text: s.Unseen + ". What it has of these is lost for good: look in the settings before"})
	}
	plan.Lines = append(plan.Lines, action.Line{Label: "kept", Text: kept + ", in the journal and as a file in " + printable.Line(g.folder())})
	for _, b := range s.Beside {
		plan.Lines = append(plan.Lines, action.Line{Label: "stays", Text: b + ": it may still refuse a push"})
	}
	mayPush, _ := g.says(nil)
	plan.Lines = append(plan.Lines, action.Line{Label: "then", Text: mayPush + " may push, force-push and delete " + g.branch + ", also by mistake"},
		action.Line{Label: "token", Text: "from " + g.token.From})
	plan.Checks = []action.Check{{Text: g.branch + " is " + s.short(), OK: true, Evidence: "read at " + env.Now().Format(time.TimeOnly)}}
	if plan.Nothing {
		plan.Summary = g.branch + " has no protection of its own"
		return plan, nil
	}
	plan.Command = g.removal(s)
	plan.Opens = []action.Debt{{ID: g.debt(), Text: fmt.Sprintf("%s of %s is open to everybody with write access: put %s back", g.branch, g.Project, s.short()), Within: p.Within}}
	return plan, nil
}

// removal is what a person would type.
func (g *gate) removal(s state) []string {
	var out []string
	switch g.Service {
	case GitHub, GitLab:
		if reqs, err := g.requests(g.branch, nil); err == nil {
			out = g.commands(reqs, "")
		}
	case Bitbucket:
		if b, ok := g.driver.(*bitbucket); ok {
			for _, r := range s.Rules {
				if path, err := b.one(r); err == nil {
					out = append(out, g.commands([]Request{{Method: "DELETE", Path: path}}, "")...)
				}
			}
		}
	}
	return out
}

func (d Deps) runRemove(ctx context.Context, env *action.Env, p removeParams, plan action.Plan) (action.Result, error) {
	g, err := d.open(ctx, env, p.Asset, p.Branch)
	if err != nil {
		return action.Result{}, err
	}
	s, err := g.unchanged(ctx, plan, "digest")
	if err != nil {
		return action.Result{}, err
	}
	res := action.Result{Outputs: map[string]any{"file": "", "digest": s.digest}}
	if len(s.Rules) == 0 {
		res.Evidence = g.branch + " had no protection of its own"
		return res, nil
	}
	path, _, err := g.keep(env, s)
	if err != nil {
		return action.Result{}, fmt.Errorf("nothing was removed: %w", err)
	}
	env.Printf("kept as %s", path)
	res.Outputs["file"] = path
	res.Facts = map[string]string{"file": path}
	if err := g.write(ctx, g.branch, s.Rules, nil); err != nil {
		return action.Result{}, err
	}
	after, err := g.now(ctx)
	if err != nil {
		return res, doubt("the protection was removed", err)
	}
	res.Evidence = fmt.Sprintf("%s is %s; kept as %s", g.branch, after.short(), filepath.Base(path))
	res.Checks = []action.Check{{Text: g.branch + " has no protection of its own", OK: len(after.Rules) == 0, Evidence: after.short()}}
	res.Back = plan.Back
	if len(after.Rules) > 0 {
		return res, fmt.Errorf("%w: the protection of %s was removed, and it is %s: somebody else protects it", action.ErrCheck, g.branch, after.short())
	}
	return res, nil
}

// unchanged reads the protection and refuses when it is not what the plan saw.
func (g *gate) unchanged(ctx context.Context, plan action.Plan, fact string) (state, error) {
	if err := g.same(plan); err != nil {
		return state{}, err
	}
	s, err := g.now(ctx)
	if err != nil {
		return s, err
	}
	if s.digest != plan.Facts[fact] {
		return s, hint.Wrap(fmt.Errorf("%w: somebody changed the protection of %s meanwhile: it is %s now", action.ErrChanged, g.branch, s.short()),
			"ask who is at work on it, look at the new plan, and decide again")
	}
	return s, nil
}

func (d Deps) probeRemove(ctx context.Context, env *action.Env, p removeParams, plan action.Plan) (action.Probe, error) {
	before := planned(plan, "digest", "count")
	return d.probe(ctx, env, p.Asset, p.Branch, before, open, means{
		"the protection was lifted; the debt stays until it is put back", "the protection still stands",
		"look at it, then put it back from the saved copy, and lift it anew"})
}

// open is how an unprotected branch is named.
const open = "unprotected"

// planned is the short name of a state in the facts of a plan.
func planned(plan action.Plan, digest, count string) string {
	n, err := strconv.Atoi(plan.Facts[count])
	if err != nil || len(plan.Facts[digest]) < 7 {
		return "unknown"
	}
	return shortDigest(plan.Facts[digest], n)
}

// probe looks at a protection after a write whose end is not known.
func (d Deps) probe(ctx context.Context, env *action.Env, asset, branch, before, wanted string, m means) (action.Probe, error) {
	g, err := d.open(ctx, env, asset, branch)
	if err != nil {
		return action.Probe{}, err
	}
	s, err := g.now(ctx)
	if err != nil {
		return action.Probe{}, err
	}
	out := action.Probe{Command: []string{g.reading()}, Before: before, Wanted: wanted, Found: s.short()}
	out.Finding, out.Means = settle(s.short(), before, wanted, m)
	return out, nil
}
