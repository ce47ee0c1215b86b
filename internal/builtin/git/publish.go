package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const publishDoc = `Fills the shared repository of an asset with every branch, tag and other ref from a restore
point of the vault, and with what mirrors and clones have newer (see git.gather): what is
needed after the repository was lost, deleted or emptied. A remote that is a directory of this
machine and does not exist is made; at a forge make an empty repository first.

Nothing is overwritten. Refs are created, and moved forward where the target has an older
state; each only from what the plan showed, so what somebody pushes meanwhile stays. Where
histories part the step refuses and names the refs; git.push moves those, and keeps both.

At the end every ref of the target is read again and compared, and the default branch with
that of the copy. The way back of a target that was empty is to empty it again.

` + "```git.publish" + `
asset: monorepo
from: clone
` + "```" + `

Saves: refs, created, updated, unchanged, newer, left_out, point, base, branch, sha256.
`

func (d Deps) publish() action.Action {
	return action.New(action.Def[gatherParams]{
		Name: "git.publish", Summary: "Fill the shared repository from what all copies have", Doc: publishDoc,
		Effect: action.Write, Repeat: action.Once,
		Check: gatherParams.check,
		Plan:  d.planPublish, Run: d.runPublish, Probe: d.probePublish,
		Inverse: &action.Inverse[gatherParams]{Plan: d.planUnpublish, Run: d.runUnpublish},
	})
}

// move is one ref to create, or to move forward.
type move struct{ name, old, new string }

// moves says what has to happen at the target. It refuses where histories part.
func (k *desk) moves(ctx context.Context, r Repo, a assembly, t target) (todo []move, ahead int, err error) {
	at := t.at()
	var parted []string
	for _, p := range a.picks {
		old := at[p.name]
		branch, isBranch := strings.CutPrefix(p.name, "refs/heads/")
		switch {
		case old == p.oid:
		case old == "":
			todo = append(todo, move{p.name, "", p.oid})
		case !isBranch:
			parted = append(parted, fmt.Sprintf("%s is %s there and %s in %s", printable.Line(p.name), short(old), short(p.oid), p.from))
		default:
			if err := k.see(ctx, r, branch, old); err != nil {
				return nil, 0, err
			}
			switch {
			case k.descends(ctx, p.oid, old):
				todo = append(todo, move{p.name, old, p.oid})
			case k.descends(ctx, old, p.oid):
				ahead++ // people have gone on already
			default:
				parted = append(parted, fmt.Sprintf("%s parts: %s there, %s in %s", printable.Line(p.name), short(old), short(p.oid), p.from))
			}
		}
	}
	if len(parted) > 0 {
		return nil, 0, hint.Wrap(fmt.Errorf("%w: the target has other history: %s", action.ErrRefused, few(parted, nil)),
			"publish into an empty repository, or decide ref by ref with git.push, which keeps both versions")
	}
	return todo, ahead, nil
}

// prepare is what plan and run have in common: the copies, the target, and the difference.
func (d Deps) prepare(ctx context.Context, env *action.Env, p gatherParams, objects bool) (Repo, assembly, *desk, target, error) {
	r, err := d.Repo(p.Asset)
	if err == nil {
		err = r.needRemote()
	}
	if err == nil {
		err = env.Allowed(r.Remote)
	}
	if err != nil {
		return r, assembly{}, nil, target{}, err
	}
	a, k, err := d.assemble(ctx, env, r, p.gathering(), objects)
	if err != nil {
		return r, a, nil, target{}, err
	}
	t, err := k.aim(ctx, r)
	if err != nil {
		k.close()
	}
	return r, a, k, t, err
}

func (d Deps) planPublish(ctx context.Context, env *action.Env, p gatherParams) (action.Plan, error) {
	r, a, k, t, err := d.prepare(ctx, env, p, false)
	if err != nil {
		return action.Plan{}, err
	}
	defer k.close()
	if len(t.refs) > 0 && a.point != "" { // to see where histories part, both have to be read
		if err := d.bring(ctx, env, k, r, a.point); err != nil {
			return action.Plan{}, err
		}
	}
	todo, ahead, err := k.moves(ctx, r, a, t)
	if err != nil {
		return action.Plan{}, err
	}
	created := 0
	for _, m := range todo {
		if m.old == "" {
			created++
		}
	}
	plan := action.Plan{
		Summary: fmt.Sprintf("puts %s into %s, from %s", printable.Count(len(todo), "ref"), printable.Line(showRemote(r)), a.base),
		Target:  showURL(r.Remote),
		Facts:   map[string]string{"remote": showURL(r.Remote), "wanted": a.digest(), "live": t.digest(), "point": a.point, "head": a.head},
		Stop:    "Yes: what has arrived stays, and doing it again sends the rest.",
		Nothing: len(todo) == 0 && !t.absent && (t.dir == "" || t.head == a.head),
		Command: []string{
			a.fetching(),
			"git -C restored.git push " + shellWord(showURL(r.Remote)) + " '+refs/*:refs/*'",
		},
	}
	plan.Lines = append([]action.Line{{Label: "into", Text: whatIsThere(r, t)}}, a.tell(env)...)
	plan.Lines = append(plan.Lines,
		action.Line{Label: "creates", Text: printable.Count(created, "ref")},
		action.Line{Label: "moves", Text: printable.Count(len(todo)-created, "ref") + " forward"},
		action.Line{Label: "loses", Text: "nothing: no ref is moved back, replaced or deleted"},
		action.Line{Label: "default", Text: orNone(strings.TrimPrefix(a.head, "refs/heads/"))})
	if ahead > 0 {
		plan.Lines = append(plan.Lines, action.Line{Label: "leaves", Text: printable.Count(ahead, "ref") + " that went on already"})
	}
	plan.Back = "go back ref by ref with git.push"
	if len(t.refs) == 0 {
		plan.Facts["empty"] = "yes"
		plan.Back = "empty it again"
	}
	plan.Checks = []action.Check{{Text: fmt.Sprintf("%s has %s now", r.remoteName(), printable.Count(len(t.refs), "ref")), OK: true, Evidence: "git ls-remote"}}
	return plan, nil
}

// fetching is how a person gets what the assembly stands on.
func (a assembly) fetching() string {
	if a.point == "" {
		return "git clone --mirror COPY restored.git (" + a.base + ")"
	}
	return "git clone --mirror BUNDLE restored.git (each bundle of the point, in order; see RESTORE.md beside it)"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return printable.Line(s)
}

func whatIsThere(r Repo, t target) string {
	switch {
	case t.absent:
		return showURL(r.Remote) + ", which is made: nothing is there"
	case len(t.refs) == 0:
		return showURL(r.Remote) + ", which is empty"
	}
	return fmt.Sprintf("%s, which has %s", showURL(r.Remote), printable.Count(len(t.refs), "ref"))
}

func (d Deps) runPublish(ctx context.Context, env *action.Env, p gatherParams, plan action.Plan) (action.Result, error) {
	r, a, k, t, err := d.prepare(ctx, env, p, true)
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	switch {
	case plan.Facts["remote"] != showURL(r.Remote):
		return action.Result{}, fmt.Errorf("%w: it was made for %q", action.ErrChanged, plan.Facts["remote"])
	case plan.Facts["wanted"] != a.digest():
		return action.Result{}, fmt.Errorf("%w: the copies have other refs now", action.ErrChanged)
	case plan.Facts["live"] != t.digest():
		return action.Result{}, fmt.Errorf("%w: %s has other refs now: somebody is at work there", action.ErrChanged, r.remoteName())
	}
	todo, _, err := k.moves(ctx, r, a, t)
	if err != nil {
		return action.Result{}, err
	}
	if t.absent {
		if err := initRepo(ctx, t.dir, true, k.format); err != nil {
			return action.Result{}, err
		}
	}
	if t.dir != "" && a.head != "" && t.head != a.head {
		// HEAD first: a branch that is never named by a half-filled repository is no default.
		if _, err := command.Run(ctx, command.Git(t.dir, "symbolic-ref", "HEAD", a.head)); err != nil {
			return action.Result{}, fmt.Errorf("set the default branch: %w", err)
		}
	}
	if err := k.pushAll(ctx, env, r, a.head, todo); err != nil {
		return d.halfPublished(ctx, k, r, a, err)
	}
	return d.published(ctx, k, r, a, todo)
}

// mostPushed is how many refs go in one push: each takes room on a command line.
const mostPushed = 300

// pushAll sends the default branch first, alone: that is what a forge makes the default of an
// empty repository. Every ref carries a lease for what the plan showed.
func (k *desk) pushAll(ctx context.Context, env *action.Env, r Repo, head string, todo []move) error {
	var batches [][]move
	if i := slices.IndexFunc(todo, func(m move) bool { return m.name == head }); i >= 0 {
		batches = append(batches, todo[i:i+1])
		todo = append(slices.Clone(todo[:i]), todo[i+1:]...)
	}
	batches = slices.AppendSeq(batches, slices.Chunk(todo, mostPushed))
	sent := 0
	for _, batch := range batches {
		args := []string{"push", "--porcelain", "--no-verify"}
		var specs []string
		for _, m := range batch {
			args = append(args, "--force-with-lease="+m.name+":"+m.old)
			specs = append(specs, m.new+":"+m.name)
		}
		args = append(append(args, "--", r.Remote), specs...)
		if err := k.send(ctx, env, r, args, "what arrived stays; allow the ref at the server, or leave it out, and try again"); err != nil {
			return err
		}
		sent += len(batch)
		env.Report(int64(sent), int64(len(todo)), "refs")
	}
	return nil
}

// halfPublished says how far a push that failed has come. What is known to have arrived is
// no refusal, and what is not known stays in doubt.
func (d Deps) halfPublished(ctx context.Context, k *desk, r Repo, a assembly, cause error) (action.Result, error) {
	t, err := k.aim(context.WithoutCancel(ctx), r)
	if err != nil {
		return action.Result{}, fmt.Errorf("%w: %w; and then %w", action.ErrUnclear, cause, err)
	}
	have := a.arrived(t)
	if have == len(a.picks) && ctx.Err() == nil {
		return d.published(ctx, k, r, a, nil) // only the answer was lost
	}
	if errors.Is(cause, action.ErrChanged) && have > 0 {
		// Something was moved, so this is no run that did nothing.
		return action.Result{}, hint.Wrap(fmt.Errorf("%d of %d refs arrived: %s", have, len(a.picks), cause), "run the step again: its plan shows what is there now")
	}
	return action.Result{}, fmt.Errorf("%d of %d refs arrived: %w", have, len(a.picks), cause)
}

func (a assembly) arrived(t target) (n int) {
	at := t.at()
	for _, p := range a.picks {
		if at[p.name] == p.oid {
			n++
		}
	}
	return n
}

// published reads every ref again and compares.
func (d Deps) published(ctx context.Context, k *desk, r Repo, a assembly, todo []move) (action.Result, error) {
	t, err := k.aim(ctx, r)
	if err != nil {
		return action.Result{}, fmt.Errorf("%w: pushed, and then %w", action.ErrUnclear, err)
	}
	at, wanted := t.at(), a.refs()
	var found []repo.Ref
	for _, p := range a.picks {
		if at[p.name] != "" {
			found = append(found, repo.Ref{Name: p.name, OID: at[p.name]})
		}
	}
	if diff := repo.Difference(found, wanted); diff != "" && len(todo) == 0 {
		// Nothing was to be moved: what differs is what people have pushed since.
		for _, p := range a.picks {
			if old := at[p.name]; old != "" && old != p.oid && k.descends(ctx, old, p.oid) {
				wanted = slices.DeleteFunc(wanted, func(ref repo.Ref) bool { return ref.Name == p.name })
				found = slices.DeleteFunc(found, func(ref repo.Ref) bool { return ref.Name == p.name })
			}
		}
	}
	diff := repo.Difference(found, wanted)
	created := 0
	for _, m := range todo {
		if m.old == "" {
			created++
		}
	}
	result := action.Result{Outputs: a.outputs()}
	result.Outputs["created"], result.Outputs["updated"], result.Outputs["unchanged"] = int64(created), int64(len(todo)-created), int64(len(a.picks)-len(todo))
	result.Evidence = fmt.Sprintf("%s of %s are as in %s (%d newer elsewhere), sha256 %.12s of names and ids", printable.Count(len(a.picks), "ref"),
		printable.Line(showRemote(r)), a.base, a.newer, a.digest())
	heads := a.head == "" || t.head == a.head
	result.Checks = []action.Check{
		{Text: "every ref is there", OK: diff == "", Evidence: fmt.Sprintf("git ls-remote: %d of %d", a.arrived(t), len(a.picks))},
		{Text: "the default branch is " + orNone(strings.TrimPrefix(a.head, "refs/heads/")), OK: heads, Evidence: "HEAD is " + orNone(strings.TrimPrefix(t.head, "refs/heads/"))},
	}
	switch {
	case diff != "":
		return result, fmt.Errorf("%w: %s differs from what was pushed: %s", action.ErrCheck, r.remoteName(), diff)
	case !heads:
		return result, hint.Wrap(fmt.Errorf("%w: every ref is there, but the default branch is %s and not %s", action.ErrCheck,
			orNone(strings.TrimPrefix(t.head, "refs/heads/")), orNone(strings.TrimPrefix(a.head, "refs/heads/"))), "set the default branch in the settings of the repository at the forge, then try this step again")
	}
	return result, nil
}

func (d Deps) probePublish(ctx context.Context, env *action.Env, p gatherParams, plan action.Plan) (action.Probe, error) {
	r, a, k, t, err := d.prepare(ctx, env, p, false)
	if err != nil {
		return action.Probe{}, err
	}
	defer k.close()
	have := a.arrived(t)
	out := action.Probe{
		Command: []string{"git ls-remote " + shellWord(showURL(r.Remote))}, Before: "not all of them", Wanted: printable.Count(len(a.picks), "ref"),
		Found: fmt.Sprintf("%d of %d", have, len(a.picks)),
	}
	switch {
	case t.digest() == plan.Facts["live"] && have < len(a.picks):
		out.Finding, out.Means = action.NotApplied, "the target is as it was before"
	case a.digest() != plan.Facts["wanted"]:
		out.Finding, out.Means = action.Unknown, "the copies have changed since, so it cannot be said what was meant to be there"
	case have == len(a.picks):
		out.Finding, out.Means, out.Outputs = action.Applied, "every ref is there, as the copies have it", a.outputs()
	default:
		out.Finding, out.Means = action.NotApplied, "a part arrived; doing it again sends the rest, and its plan shows what is there"
	}
	return out, nil
}
