package forge

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const restoreDoc = `Makes the protection of a branch exactly what a saved copy says.

` + "```forge.protection-restore" + `
asset: monorepo
branch: main
from: newest
` + "```" + `

The copy is the newest one, one named by its digest, or a file: of this run, of a daily
forge.protection-save, or brought back from the vault. What stands now is kept before, in the
journal and as a file, and undo puts it back. After writing, the protection is read again and
compared field by field. The debt of forge.protection-remove is closed.

A copy that no longer applies is refused: its branch is gone, or people, teams or apps that it
names. The plan says which. Bring them back, or leave them out by name:
` + "`without: [team leads]`" + `.

Saves: digest, changed, before.
`

type restoreParams struct {
	Asset   string   `param:"asset,required" help:"the repository whose branch it is"`
	Branch  string   `param:"branch" help:"the branch, without refs/heads/" default:"main"`
	From    string   `param:"from" help:"the copy: newest, a digest, or a file" default:"newest"`
	Without []string `param:"without" help:"those who are gone and are left out, as the plan names them"`
}

func (d Deps) restore() action.Action {
	return action.New(action.Def[restoreParams]{
		Name: "forge.protection-restore", Summary: "Put the protection of a branch back as it was saved", Doc: restoreDoc,
		Effect: action.Write, Repeat: action.Safe,
		Check: func(p restoreParams) error {
			_, err := left(p.Without)
			return errors.Join(checkBranch(p.Branch), err)
		},
		Plan: d.planRestore, Run: d.runRestore, Probe: d.probeRestore,
		Inverse: &action.Inverse[restoreParams]{Plan: d.planUnrestore, Run: d.runUnrestore, Probe: d.probeUnrestore},
	})
}

// left reads the names of without:.
func left(names []string) ([]Who, error) {
	var out []Who
	for _, n := range names {
		for _, kind := range []string{"user", "team", "group", "app", "deploy key"} {
			if name, ok := strings.CutPrefix(n, kind+" "); ok && name != "" {
				out = append(out, Who{kind, name})
			}
		}
	}
	if len(out) != len(names) {
		return nil, &action.ArgError{Name: "without", Msg: "names nobody: each begins with user, team, group, app or deploy key", Fix: `write it as the plan names them: ["team leads"]`}
	}
	return out, nil
}

// wish is the protection that a restore is to make.
func (g *gate) wish(ctx context.Context, env *action.Env, p restoreParams) (Saved, []Field, error) {
	copied, fields, err := g.choose(env, p.From)
	if err != nil {
		return copied, nil, err
	}
	if len(copied.Rules) == 0 {
		return copied, nil, hint.Wrap(fmt.Errorf("%w: the copy %q says that the branch was not protected", action.ErrRefused, copied.filePath),
			"to lift a protection use forge.protection-remove, which remembers that it has to come back")
	}
	gone, err := g.gone(ctx, copied.Rules)
	if err != nil {
		return copied, nil, err
	}
	out, err := left(p.Without)
	if err != nil {
		return copied, nil, err
	}
	var missing []string
	for _, w := range gone {
		if !slices.Contains(out, w) {
			missing = append(missing, printable.Line(w.String()))
		}
	}
	if len(missing) > 0 {
		return copied, nil, hint.Wrapf(hint.Blame(fmt.Errorf("%w: the copy %q names some whom %s does not know any more: %s", action.ErrRefused, copied.filePath, services[g.Service], strings.Join(missing, ", ")), "without"),
			"bring them back under the same name; or leave them out: without: [%s]; or edit a copy of the file, take its digest out, and restore from that", strings.Join(missing, ", "))
	}
	if len(out) == 0 {
		return copied, fields, nil
	}
	if copied.Rules, err = g.without(copied.Rules, out); err != nil {
		return copied, nil, err
	}
	copied.Digest, fields, err = g.digest(copied.Rules)
	return copied, fields, err
}

func (d Deps) planRestore(ctx context.Context, env *action.Env, p restoreParams) (action.Plan, error) {
	g, err := d.open(ctx, env, p.Asset, p.Branch)
	if err != nil {
		return action.Plan{}, err
	}
	s, err := g.now(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	want, fields, err := g.wish(ctx, env, p)
	if err != nil {
		return action.Plan{}, err
	}
	if err := g.seen(s, fields); err != nil {
		return action.Plan{}, err
	}
	plan, err := g.change(env, s, want.Rules, want.Digest, fields)
	if err != nil {
		return plan, err
	}
	from := action.Line{Label: "from", Text: fmt.Sprintf("%s, saved %s", printable.Line(want.filePath), want.Saved.Format("2006-01-02 15:04 MST"))}
	plan.Lines = slices.Insert(plan.Lines, 1, from)
	for _, w := range p.Without {
		plan.Lines = append(plan.Lines, action.Line{Label: "left out", Text: printable.Line(w)})
	}
	plan.Closes = []string{g.debt()}
	if len(p.Without) == 0 && !plan.Nothing {
		reqs, err := g.requests(g.branch, want.Rules)
		if err != nil {
			return plan, err
		}
		plan.Command = g.commands(reqs, want.filePath)
	}
	if age := env.Now().Sub(want.Saved); age > 31*24*time.Hour {
		plan.Lines = append(plan.Lines, action.Line{Label: "old", Text: fmt.Sprintf("the copy is %d days old: ask whether the protection was changed since", int(age.Hours()/24))})
	}
	return plan, nil
}

// change plans to make a protection what want says.
func (g *gate) change(env *action.Env, s state, want []Rule, digest string, fields []Field) (action.Plan, error) {
	before, err := packed(s.Rules)
	if err != nil {
		return action.Plan{}, err
	}
	after, err := packed(want)
	if err != nil {
		return action.Plan{}, err
	}
	to := shortDigest(digest, len(want))
	plan := action.Plan{
		Summary: fmt.Sprintf("makes the protection of %s what was saved: %s -> %s", g.branch, s.short(), to),
		Target:  g.target(),
		Facts: map[string]string{"before": s.digest, "before_rules": before, "before_count": strconv.Itoa(len(s.Rules)),
			"after": digest, "after_rules": after, "after_count": strconv.Itoa(len(want)), "api": g.API},
		Nothing: s.digest == digest,
		Stop:    "No: the service may have changed it already. Wait, or look with the probe.",
		Back:    back(s),
		Lines:   []action.Line{{Label: "changes", Text: g.target() + "   " + s.short() + " -> " + to}},
	}
	ds := compare(fields, s.fields)
	for _, one := range ds {
		plan.Lines = append(plan.Lines, action.Line{Label: "", Text: fmt.Sprintf("%s: %s -> %s", label(one.Path), one.Have, one.Want)})
	}
	if len(s.Rules) > 0 && !plan.Nothing {
		plan.Lines = append(plan.Lines, action.Line{Label: "kept", Text: s.short() + ", in the journal and as a file in " + printable.Line(g.folder())})
	}
	plan.Lines = append(plan.Lines, besideLines(s)...)
	plan.Lines = append(plan.Lines, action.Line{Label: "token", Text: "from " + g.token.From})
	plan.Checks = []action.Check{{Text: g.branch + " is " + s.short(), OK: true, Evidence: "read at " + env.Now().Format(time.TimeOnly)}}
	if plan.Nothing {
		plan.Summary = fmt.Sprintf("the protection of %s is what was saved: %s", g.branch, to)
		return plan, nil
	}
	reqs, err := g.requests(g.branch, want)
	if err != nil {
		return plan, err
	}
	plan.Command = g.commands(reqs, g.copyOf(digest))
	return plan, nil
}

// back is the way back of a restore.
func back(s state) string {
	if len(s.Rules) == 0 {
		return "lifts the protection again, which asks for a token"
	}
	return "puts " + s.short() + " back"
}

func (d Deps) runRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Result, error) {
	g, err := d.open(ctx, env, p.Asset, p.Branch)
	if err != nil {
		return action.Result{}, err
	}
	return g.make(ctx, env, plan, true)
}

// make has the effect of a planned [gate.change], and compares what it reads back. wished
// says that what is made is what somebody saved, and so the newest copy; an undo may bring
// back what nobody wanted.
func (g *gate) make(ctx context.Context, env *action.Env, plan action.Plan, wished bool) (action.Result, error) {
	s, err := g.unchanged(ctx, plan, "before")
	if err != nil {
		return action.Result{}, err
	}
	want, err := unpacked(plan.Facts["after_rules"])
	if err != nil {
		return action.Result{}, err
	}
	digest, fields, err := g.digest(want)
	if err != nil {
		return action.Result{}, err
	}
	res := action.Result{Outputs: map[string]any{"digest": digest, "changed": s.digest != digest, "before": ""}, Facts: map[string]string{"before": s.digest}}
	if s.digest != digest {
		if len(s.Rules) > 0 {
			path, err := g.keepReplaced(env, s)
			if err != nil {
				return action.Result{}, fmt.Errorf("nothing was changed: %w", err)
			}
			res.Outputs["before"] = path
		}
		if err := g.write(ctx, g.branch, s.Rules, want); err != nil {
			return action.Result{}, err
		}
	}
	after, err := g.now(ctx)
	if err != nil {
		return res, doubt("the protection was written", err)
	}
	ds := compare(fields, after.fields)
	wrong := map[string]Difference{}
	for _, one := range ds {
		wrong[one.Path] = one
	}
	for _, f := range fields {
		c := action.Check{Text: label(f.Path) + ": " + f.text(), OK: true, Evidence: "read back"}
		if d, ok := wrong[f.Path]; ok {
			c.OK, c.Evidence = false, "is "+d.Have
		}
		res.Checks = append(res.Checks, c)
	}
	res.Back = plan.Back
	res.Evidence = fmt.Sprintf("%s is %s; %d of %d fields are as saved", g.branch, after.short(), len(fields)-len(wrong), len(fields))
	if len(ds) > 0 {
		return res, hint.Wrap(fmt.Errorf("%w: the protection of %s was written and reads back different: %s", action.ErrCheck, g.branch, strings.Join(sentences(ds), "; ")),
			"the service took less than it was given: look for people, teams or apps that lost access to the project, or for a plan that lacks the feature; mend it there, then run the step again")
	}
	if wished && len(after.Rules) > 0 { // last: the newest copy is what stands now
		path, _, err := g.keep(env, after)
		if err != nil {
			return res, err
		}
		env.Printf("as saved in %s", filepath.Base(path))
	}
	return res, nil
}

func (d Deps) probeRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Probe, error) {
	return d.probe(ctx, env, p.Asset, p.Branch, planned(plan, "before", "before_count"), planned(plan, "after", "after_count"),
		means{"the protection is what was saved", "the protection is what it was before; doing it again does no harm", again})
}

// turned is a plan that leads to the rules of a fact.
func (g *gate) turned(ctx context.Context, env *action.Env, rules string) (action.Plan, error) {
	want, err := unpacked(rules)
	if err != nil {
		return action.Plan{}, err
	}
	s, err := g.now(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	digest, fields, err := g.digest(want)
	if err != nil {
		return action.Plan{}, err
	}
	plan, err := g.change(env, s, want, digest, fields)
	plan.Effect = action.Write
	if len(want) == 0 && !plan.Nothing { // the way back of a restore over nothing is to open the branch again
		plan.Effect, plan.Token = action.Destroy, g.branch+"@"+s.short()
		plan.Summary = fmt.Sprintf("lifts the protection of %s again: %s -> unprotected", g.branch, s.short())
		plan.Command = g.removal(s)
	}
	return plan, err
}

func (d Deps) planPutBack(ctx context.Context, env *action.Env, p removeParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	g, err := d.open(ctx, env, p.Asset, p.Branch)
	if err != nil {
		return action.Plan{}, err
	}
	undo, err := g.turned(ctx, env, plan.Facts["rules"])
	undo.Closes = []string{g.debt()}
	return undo, err
}

func (d Deps) runPutBack(ctx context.Context, env *action.Env, p removeParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
	return d.runTurned(ctx, env, p.Asset, p.Branch, undo)
}

func (d Deps) probePutBack(ctx context.Context, env *action.Env, p removeParams, undo, _ action.Plan, _ action.Result) (action.Probe, error) {
	return d.probe(ctx, env, p.Asset, p.Branch, planned(undo, "before", "before_count"), planned(undo, "after", "after_count"),
		means{"the protection is back", "the branch is still open", again})
}

func (d Deps) planUnrestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	g, err := d.open(ctx, env, p.Asset, p.Branch)
	if err != nil {
		return action.Plan{}, err
	}
	return g.turned(ctx, env, plan.Facts["before_rules"])
}

func (d Deps) runUnrestore(ctx context.Context, env *action.Env, p restoreParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
	return d.runTurned(ctx, env, p.Asset, p.Branch, undo)
}

func (d Deps) probeUnrestore(ctx context.Context, env *action.Env, p restoreParams, undo, _ action.Plan, _ action.Result) (action.Probe, error) {
	return d.probe(ctx, env, p.Asset, p.Branch, planned(undo, "before", "before_count"), planned(undo, "after", "after_count"),
		means{"the protection is what it was before the step", "nothing was undone", again})
}

func (d Deps) runTurned(ctx context.Context, env *action.Env, asset, branch string, undo action.Plan) (action.Result, error) {
	g, err := d.open(ctx, env, asset, branch)
	if err != nil {
		return action.Result{}, err
	}
	return g.make(ctx, env, undo, false)
}
