package git

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const pushDoc = `Moves a branch of the shared repository to a commit of the working clone.

Before anything is sent, the commit that the branch has now is brought into the clone and
kept as refs/lifeboat/<run>/before-push, so that nothing is lost and the way back stays
open. The push names the commit it expects to replace (--force-with-lease): when somebody
pushed in between, nothing happens. With force: no only moves forward are made.

` + "```git.push effect=destroy" + `
asset: monorepo
branch: main
commit: main
force: with-lease
` + "```" + `
`

type pushParams struct {
	Asset  string `param:"asset,required" help:"the repository to push to"`
	Branch string `param:"branch,required" help:"the branch to move, without refs/heads/"`
	Commit string `param:"commit,required" help:"the commit to move it to: an id, or a name in the working clone"`
	Force  string `param:"force" help:"with-lease may drop commits, but only those that the plan shows; no refuses to drop any" enum:"no,with-lease" default:"with-lease"`
}

func (d Deps) push() action.Action {
	return action.New(action.Def[pushParams]{
		Name: "git.push", Summary: "Move a branch of the shared repository", Doc: pushDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Check: func(p pushParams) error { return errors.Join(checkBranch(p.Branch), checkCommit("commit", p.Commit)) },
		Plan:  d.planPush, Run: d.runPush, Probe: d.probePush,
		Inverse: &action.Inverse[pushParams]{Plan: d.planUnpush, Run: d.runUnpush, Probe: d.probeUnpush},
	})
}

// pushable finds the repository and asks the fence.
func (d Deps) pushable(env *action.Env, asset string) (Repo, error) {
	r, err := d.Repo(asset)
	if err != nil {
		return r, err
	}
	if err := errors.Join(r.needRemote(), r.needDir()); err != nil {
		return r, err
	}
	for _, target := range []string{r.Remote, r.Dir} {
		if err := env.Allowed(target); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (d Deps) planPush(ctx context.Context, env *action.Env, p pushParams) (action.Plan, error) {
	r, err := d.pushable(env, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	k, err := openDesk(ctx, env, r)
	if err != nil {
		return action.Plan{}, err
	}
	defer k.close()
	to, err := k.commit(ctx, r.Dir, "commit", p.Commit)
	if err != nil {
		return action.Plan{}, err
	}
	old, err := k.tip(ctx, r, p.Branch)
	if err != nil {
		return action.Plan{}, err
	}
	checked := env.Now()
	if old != "" {
		if err := k.see(ctx, r, p.Branch, old); err != nil {
			return action.Plan{}, err
		}
	}
	plan, err := d.describePush(ctx, env, k, r, p, old, to)
	if err != nil {
		return action.Plan{}, err
	}
	name := r.remoteName() + "/" + p.Branch
	plan.Checks = append(plan.Checks,
		action.Check{Text: fmt.Sprintf("%s is %s", name, orAbsent(old)), OK: true, Evidence: "git ls-remote at " + checked.Format(time.TimeOnly)},
		action.Check{Text: fmt.Sprintf("%s is complete in the clone", short(to)), OK: whole(ctx, r.Dir, to), Evidence: "git rev-list --objects"})
	if !plan.Checks[len(plan.Checks)-1].OK {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: commit %s is not complete in %q: objects are missing", action.ErrRefused, short(to), r.Dir),
			"check the clone with git.check, and bring the commit in with git.keep")
	}
	return plan, nil
}

func orAbsent(oid string) string {
	if oid == "" {
		return "absent"
	}
	return short(oid)
}

// describePush says what a push would bring and drop.
func (d Deps) describePush(ctx context.Context, env *action.Env, k *desk, r Repo, p pushParams, old, to string) (action.Plan, error) {
	brings, err := k.between(ctx, old, to)
	if err != nil {
		return action.Plan{}, err
	}
	drops, err := k.between(ctx, to, old)
	if err != nil {
		return action.Plan{}, err
	}
	name := r.remoteName() + "/" + p.Branch
	plain := p.Force == "no"
	if plain && len(drops) > 0 {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: moving %s from %s to %s would drop %s", action.ErrRefused, name, short(old), short(to), summary(drops)),
			"use force: with-lease if that is what you want")
	}
	l := lease{branch: p.Branch, old: old, new: to, plain: plain}
	plan := action.Plan{
		Summary: fmt.Sprintf("moves %s %s -> %s", name, orAbsent(old), short(to)),
		Target:  showURL(r.Remote) + " refs/heads/" + p.Branch,
		Token:   p.Branch + "@" + orAbsent(old),
		Command: []string{l.command(r)},
		Facts:   map[string]string{"old": old, "new": to, "remote": showURL(r.Remote), "branch": p.Branch},
		Stop:    "No: the server may have moved the branch already. Wait, or look with the probe.",
		Nothing: old == to,
		Lines:   []action.Line{{Label: "moves", Text: fmt.Sprintf("%s %s -> %s   %s", name, orAbsent(old), short(to), printable.Line(showRemote(r)))}},
	}
	if plain {
		plan.Effect = action.Write // nothing can be lost by moving forward
	}
	text := summary(brings)
	if len(brings) > 0 {
		n := newest(brings)
		text += fmt.Sprintf(", newest %s from %s", short(n.oid), clock(env.Now(), n.when))
	}
	plan.Lines = append(plan.Lines, action.Line{Label: "brings in", Text: text})
	if len(drops) == 0 {
		plan.Lines = append(plan.Lines, action.Line{Label: "drops", Text: "nothing"})
	} else {
		plan.Lines = append(plan.Lines, action.Line{Label: "drops", Text: summary(drops) + ": " + subjects(drops)})
	}
	if old == "" {
		plan.Back = "delete the branch again"
	} else {
		plan.Back = fmt.Sprintf("push %s again; it closes when people pull", short(old))
		plan.Lines = append(plan.Lines, action.Line{Label: "kept", Text: short(old) + " as " + keptUnder(env) + "/before-push in the clone"})
	}
	return plan, nil
}

func (d Deps) runPush(ctx context.Context, env *action.Env, p pushParams, plan action.Plan) (action.Result, error) {
	r, err := d.pushable(env, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	old, to := plan.Facts["old"], plan.Facts["new"]
	if plan.Facts["remote"] != showURL(r.Remote) || plan.Facts["branch"] != p.Branch {
		return action.Result{}, fmt.Errorf("%w: it was made for another branch or remote", action.ErrChanged)
	}
	k, err := openDesk(ctx, env, r)
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	if err := k.unmoved(ctx, r, p.Branch, old); err != nil {
		return action.Result{}, err
	}
	now, err := k.commit(ctx, r.Dir, "commit", p.Commit)
	if err != nil {
		return action.Result{}, err
	}
	if now != to {
		return action.Result{}, fmt.Errorf("%w: %q is %s now, not %s", action.ErrChanged, p.Commit, short(now), short(to))
	}
	result := action.Result{Outputs: map[string]any{"old": old, "new": to, "branch": p.Branch, "kept": ""}}
	if old != "" {
		kept, err := d.keepBefore(ctx, env, k, r, p.Branch, old)
		if err != nil {
			return action.Result{}, fmt.Errorf("keep %s before the push: %w", short(old), err)
		}
		result.Outputs["kept"] = kept
		result.Facts = map[string]string{"kept": kept}
	}
	l := lease{branch: p.Branch, old: old, new: to, plain: p.Force == "no"}
	if err := l.do(ctx, env, k, r); err != nil {
		return action.Result{}, err
	}
	return d.pushed(ctx, k, r, p.Branch, to, plan, result)
}

// pushed looks at the branch after a push that succeeded.
func (d Deps) pushed(ctx context.Context, k *desk, r Repo, branch, to string, plan action.Plan, result action.Result) (action.Result, error) {
	found, err := k.tip(ctx, r, branch)
	if err != nil {
		return result, fmt.Errorf("%w: pushed, and then %w", action.ErrUnclear, err)
	}
	name := r.remoteName() + "/" + branch
	result.Evidence = fmt.Sprintf("%s is %s", name, orAbsent(found))
	result.Checks = []action.Check{{Text: fmt.Sprintf("%s is %s", name, orAbsent(to)), OK: found == to, Evidence: "git ls-remote: " + orAbsent(found)}}
	result.Back = plan.Back
	if found != to {
		return result, fmt.Errorf("%w: %s was pushed and is %s now: somebody else pushed", action.ErrCheck, name, orAbsent(found))
	}
	return result, nil
}

// unmoved is the first half of compare-and-set; the lease is the second.
func (k *desk) unmoved(ctx context.Context, r Repo, branch, old string) error {
	live, err := k.tip(ctx, r, branch)
	if err != nil {
		return err
	}
	if live != old {
		return fmt.Errorf("%w: %s/%s is %s now, not %s", action.ErrChanged, r.remoteName(), branch, orAbsent(live), orAbsent(old))
	}
	return nil
}

// keepBefore makes the replaced commit part of the clone and gives it a name there.
func (d Deps) keepBefore(ctx context.Context, env *action.Env, k *desk, r Repo, branch, old string) (string, error) {
	if err := k.see(ctx, r, branch, old); err != nil {
		return "", err
	}
	if err := k.importInto(ctx, r.Dir, old); err != nil {
		return "", err
	}
	ref := keptUnder(env) + "/before-push"
	before, err := refIn(ctx, r.Dir, ref)
	if err != nil {
		return "", err
	}
	if before == old {
		return ref, nil
	}
	if before != "" { // of another push of this run, which must not lose its copy
		ref += "-" + short(old)
		if before, err = refIn(ctx, r.Dir, ref); err != nil || before == old {
			return ref, err
		}
	}
	return ref, setRef(ctx, r.Dir, ref, old, before)
}

func (d Deps) probePush(ctx context.Context, env *action.Env, p pushParams, plan action.Plan) (action.Probe, error) {
	return d.probeBranch(ctx, env, p, plan.Facts["old"], plan.Facts["new"])
}

// probeBranch compares the branch with what it was and what it should be.
func (d Deps) probeBranch(ctx context.Context, env *action.Env, p pushParams, old, to string) (action.Probe, error) {
	r, err := d.Repo(p.Asset)
	if err != nil {
		return action.Probe{}, err
	}
	if err := r.needRemote(); err != nil {
		return action.Probe{}, err
	}
	k, err := openDesk(ctx, env, Repo{Name: r.Name, Remote: r.Remote, RemoteName: r.RemoteName})
	if err != nil {
		return action.Probe{}, err
	}
	defer k.close()
	found, err := k.tip(ctx, r, p.Branch)
	if err != nil {
		return action.Probe{}, err
	}
	name := r.remoteName() + "/" + p.Branch
	out := action.Probe{
		Command: []string{fmt.Sprintf("git ls-remote %s %s", shellWord(showURL(r.Remote)), shellWord("refs/heads/"+p.Branch))},
		Before:  orAbsent(old), Wanted: orAbsent(to), Found: orAbsent(found),
		Outputs: map[string]any{"old": old, "new": to, "branch": p.Branch},
	}
	switch found {
	case to:
		out.Finding, out.Means = action.Applied, fmt.Sprintf("the push arrived: %s is where this step wanted it", name)
	case old:
		out.Finding, out.Means = action.NotApplied, fmt.Sprintf("the push did not arrive: %s is where it was before", name)
	default:
		out.Finding, out.Means = action.Unknown, fmt.Sprintf("%s is neither where it was nor where this step wanted it: somebody else pushed", name)
	}
	return out, nil
}

func (d Deps) planUnpush(ctx context.Context, env *action.Env, p pushParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	r, err := d.pushable(env, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	k, err := openDesk(ctx, env, r)
	if err != nil {
		return action.Plan{}, err
	}
	defer k.close()
	old, to := plan.Facts["new"], plan.Facts["old"]
	live, err := k.tip(ctx, r, p.Branch)
	if err != nil {
		return action.Plan{}, err
	}
	name := r.remoteName() + "/" + p.Branch
	if live != old && live != to {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: %s is %s, not %s as this step left it: somebody pushed since", action.ErrRefused, name, orAbsent(live), orAbsent(old)),
			"look at what came in since (git.activity), and use git.push to move the branch")
	}
	if to != "" && !whole(ctx, r.Dir, to) {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: %s is not in the clone any more", action.ErrRefused, short(to)), "bring it in with git.keep")
	}
	l := lease{branch: p.Branch, old: old, new: to}
	drops, err := k.between(ctx, to, old)
	if err != nil {
		return action.Plan{}, err
	}
	dropped := summary(drops)
	if len(drops) > 0 {
		dropped += ": " + subjects(drops)
	}
	return action.Plan{
		Summary: fmt.Sprintf("moves %s back %s -> %s", name, orAbsent(old), orAbsent(to)),
		Target:  plan.Target, Token: p.Branch + "@" + orAbsent(live), Nothing: live == to,
		Command: []string{l.command(r)},
		Facts:   map[string]string{"old": old, "new": to},
		Lines: []action.Line{
			{Label: "moves", Text: fmt.Sprintf("%s %s -> %s   %s", name, orAbsent(old), orAbsent(to), printable.Line(showRemote(r)))},
			{Label: "drops", Text: dropped},
			{Label: "kept", Text: orAbsent(old) + " stays in the clone"},
		},
		Checks: []action.Check{{Text: fmt.Sprintf("%s is %s", name, orAbsent(live)), OK: true, Evidence: "git ls-remote"}},
		Stop:   "No: the server may have moved the branch already.",
	}, nil
}

func (d Deps) runUnpush(ctx context.Context, env *action.Env, p pushParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
	r, err := d.pushable(env, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	k, err := openDesk(ctx, env, r)
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	l := lease{branch: p.Branch, old: undo.Facts["old"], new: undo.Facts["new"]}
	if undo.Nothing {
		return d.pushed(ctx, k, r, p.Branch, l.new, undo, action.Result{})
	}
	if err := k.unmoved(ctx, r, p.Branch, l.old); err != nil {
		return action.Result{}, err
	}
	if err := l.do(ctx, env, k, r); err != nil {
		return action.Result{}, err
	}
	return d.pushed(ctx, k, r, p.Branch, l.new, undo, action.Result{})
}

func (d Deps) probeUnpush(ctx context.Context, env *action.Env, p pushParams, undo, _ action.Plan, _ action.Result) (action.Probe, error) {
	return d.probeBranch(ctx, env, p, undo.Facts["old"], undo.Facts["new"])
}
