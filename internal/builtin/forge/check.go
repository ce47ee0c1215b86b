package forge

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

const checkDoc = `Looks how a branch is protected, and compares it with a saved copy.

` + "```forge.protection-check" + `
asset: monorepo
branch: main
expect: protected
` + "```" + `

What is expected decides what fails the step: ` + "`protected`" + ` wants rules of the branch's own that
forbid force pushes; ` + "`same`" + ` wants exactly what the copy says; ` + "`open`" + ` wants no rule of its own,
after it was lifted on purpose; ` + "`any`" + ` only looks, and problem tells what somebody should know.
Each says in words who may push, whether force pushes are allowed, what else guards the branch
(rulesets, wildcards, the group's own rules), and field by field what differs from the copy.

A forge that cannot be asked fails the step. With expect: any and ` + "`allow_unknown: true`" + ` it is a
problem that is told, with state unknown; an asset without a forge then has the state none.

Saves: protected, state (missing, different, same, unsaved, unknown, none), problem, digest,
may_push, force_pushes, differences, beside, copy.
`

type checkParams struct {
	Asset  string `param:"asset,required" help:"the repository whose branch it is"`
	Branch string `param:"branch" help:"the branch, without refs/heads/" default:"main"`
	Expect string `param:"expect" help:"what must hold" enum:"protected,same,open,any" default:"protected"`
	From   string `param:"from" help:"the copy to compare with: newest, a digest, or a file" default:"newest"`
	Blind  bool   `param:"allow_unknown" help:"with expect any: a forge that cannot be asked, or none at all, is told and fails nothing"`
	Force  bool   `param:"allow_force_pushes" help:"do not mind that force pushes are allowed"`
}

func (d Deps) check() action.Action {
	return action.New(action.Def[checkParams]{
		Name: "forge.protection-check", Summary: "Look how a branch is protected", Doc: checkDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p checkParams) error { return checkBranch(p.Branch) },
		Run:   d.runCheck,
	})
}

// States of a protection beside its saved copy.
const (
	missingState   = "missing"   // there is a copy, and no protection
	differentState = "different" // it is not what the copy says
	sameState      = "same"
	unsavedState   = "unsaved" // there is no copy to compare with
	unknownState   = "unknown" // the forge could not be asked
	noState        = "none"    // the asset has no forge
)

func (d Deps) runCheck(ctx context.Context, env *action.Env, p checkParams, _ action.Plan) (action.Result, error) {
	blind := p.Blind && p.Expect == "any"
	if r, err := d.Remote(p.Asset); err == nil && r.Service == "" && blind {
		return action.Result{Evidence: fmt.Sprintf("asset %q has no forge: nothing to look at", p.Asset), Outputs: outputs(noState, "")}, nil
	}
	g, s, err := d.look(ctx, env, p)
	if err != nil && blind && ctx.Err() == nil {
		for _, advice := range hint.All(err) {
			env.Printf("%s", advice)
		}
		text := fmt.Sprintf("it is not known whether %s is protected: %v", p.Branch, err)
		return action.Result{Evidence: text, Outputs: outputs(unknownState, text)}, nil
	}
	if err != nil {
		return action.Result{}, err
	}
	copied, fields, cerr := g.choose(env, p.From)
	if cerr == nil && len(s.Rules) > 0 {
		cerr = g.seen(s, fields)
	}
	if cerr != nil && p.Expect == "same" {
		return action.Result{}, cerr
	}
	mayPush, force := g.says(s.Rules)
	res := action.Result{Outputs: outputs(unsavedState, "")}
	for key, v := range map[string]any{"protected": len(s.Rules) > 0, "digest": s.digest, "may_push": mayPush, "force_pushes": force,
		"beside": nonNil(s.Beside), "copy": copied.filePath} {
		res.Outputs[key] = v
	}
	var ds []Difference
	switch {
	case cerr != nil:
	case len(s.Rules) == 0:
		res.Outputs["state"] = missingState
		ds = compare(fields, nil)
	default:
		res.Outputs["state"] = sameState
		if ds = compare(fields, s.fields); len(ds) > 0 {
			res.Outputs["state"] = differentState
		}
	}
	res.Outputs["differences"] = sentences(ds)
	res.Outputs["problem"] = g.problem(s, ds, force && !p.Force)
	res.Evidence = g.describe(s, ds, copied, mayPush, force)
	for _, f := range s.fields {
		env.Printf("%s: %s", label(f.Path), f.text())
	}
	for _, b := range s.Beside {
		env.Printf("beside it: %s", b)
	}
	if s.Unseen != "" {
		env.Printf("not seen: %s", s.Unseen)
	}
	for _, one := range ds {
		if len(s.Rules) > 0 { // else all of it is missing
			env.Printf("DIFFERS  %s", one)
		}
	}
	return g.judge(res, s, ds, copied, p, force)
}

// outputs are those of a check that saw nothing.
func outputs(state, problem string) map[string]any {
	return map[string]any{"state": state, "problem": problem, "protected": false, "digest": "", "may_push": "", "force_pushes": false,
		"beside": []string{}, "differences": []string{}, "copy": ""}
}

// look opens the forge and reads the protection.
func (d Deps) look(ctx context.Context, env *action.Env, p checkParams) (*gate, state, error) {
	g, err := d.open(ctx, env, p.Asset, p.Branch)
	if err != nil {
		return nil, state{}, err
	}
	s, err := g.now(ctx)
	return g, s, err
}

// problem is what somebody should know, "" when all is well.
func (g *gate) problem(s state, ds []Difference, force bool) string {
	switch {
	case len(s.Rules) == 0 && len(ds) > 0:
		return g.branch + " is not protected any more"
	case len(s.Rules) == 0 && len(s.Beside) == 0:
		return g.branch + " is not protected"
	case len(s.Rules) > 0 && force:
		return g.branch + " allows force pushes"
	case len(ds) > 0:
		return fmt.Sprintf("%s is not protected as it was saved: %s", g.branch, strings.Join(sentences(ds), "; "))
	}
	return ""
}

// describe is the whole finding in one line.
func (g *gate) describe(s state, ds []Difference, copied Saved, mayPush string, force bool) string {
	text := fmt.Sprintf("%s is %s: may push: %s; force pushes %s", g.branch, s.short(), mayPush, map[bool]string{true: "allowed", false: "forbidden"}[force])
	switch {
	case copied.filePath == "":
		text += "; no saved copy to compare with"
	case len(s.Rules) == 0:
		text += "; last saved in " + filepath.Base(copied.filePath)
	case len(ds) == 0:
		text += "; as saved in " + filepath.Base(copied.filePath)
	default:
		text += fmt.Sprintf("; differs from %s in %d of its fields", filepath.Base(copied.filePath), len(ds))
	}
	if len(s.Beside) > 0 {
		text += "; beside it: " + strings.Join(s.Beside, ", ")
	}
	return text
}

// judge fails the check as it was asked to.
func (g *gate) judge(res action.Result, s state, ds []Difference, copied Saved, p checkParams, force bool) (action.Result, error) {
	check := func(ok bool, text, evidence string) {
		res.Checks = append(res.Checks, action.Check{Text: text, OK: ok, Evidence: evidence})
	}
	guarded := len(s.Rules) > 0
	var err error
	switch p.Expect {
	case "open":
		check(!guarded, g.branch+" has no protection of its own", s.short())
		if guarded {
			err = fmt.Errorf("%w: %s is %s", action.ErrCheck, g.branch, s.short())
		}
	case "same":
		check(len(ds) == 0, g.branch+" is protected as saved", s.short()+", saved "+shortDigest(copied.Digest, len(copied.Rules)))
		if len(ds) > 0 {
			err = fmt.Errorf("%w: %s is not protected as saved in %s: %s", action.ErrCheck, g.branch, filepath.Base(copied.filePath), strings.Join(sentences(ds), "; "))
		}
	case "protected":
		check(guarded, g.branch+" is protected", s.short())
		check(!force || p.Force, g.branch+" cannot be force-pushed", res.Evidence)
		switch {
		case !guarded:
			err = fmt.Errorf("%w: %s has no protection of its own", action.ErrCheck, g.branch)
			if len(s.Beside) > 0 {
				err = fmt.Errorf("%w; it is guarded by %s", err, strings.Join(s.Beside, ", "))
			}
		case force && !p.Force:
			err = fmt.Errorf("%w: %s allows force pushes", action.ErrCheck, g.branch)
		}
	}
	if err != nil && p.Expect != "open" {
		err = hint.Wrap(err, "run branch-protection, which compares and puts the last saved copy back")
	}
	return res, err
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
