package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
)

const mirrorDoc = `Makes the branches and tags of mirrors those of the repository: of what is shared when the
asset has a remote, of the working clone otherwise. The new commits stream through from one
server to the other; no ref moves unless they arrived whole. All mirrors of the asset are
tried, also after one failed, and each is read again at the end: the step fails when one is
not equal to the source.

Every ref is moved only from what the mirror had when it was looked at, so a change that
somebody makes there meanwhile is not overwritten. Refs that only the mirror has stay,
unless prune: true; even then none is deleted when the source has lost its branches, or when
five or more and over max_share percent of the mirror's refs would go.

A mirror follows deletions and force pushes. It is a second home for the repository when the
first is down, never a backup.

New branches, moves forward and rewinds to what the source knows are a write. Deleting refs,
and replacing commits that only the mirror has, destroys, and asks for the token shown.

A mirror over https takes its credentials from LIFEBOAT_TOKEN_<NAME> in the environment; a
name that its forge wants to see beside it stands in the address, as in
https://x-token-auth@bitbucket.org/team/repo.git. Over ssh the key comes from the agent, and
the host must be in known_hosts.

` + "```git.mirror save=mirrors" + `
asset: monorepo
prune: false
` + "```" + `
`

type mirrorParams struct {
	Asset    string `param:"asset,required" help:"the repository to mirror"`
	Mirror   string `param:"mirror" help:"the name of one mirror of the asset; all of them when left out"`
	Prune    bool   `param:"prune" help:"also delete branches and tags that the source does not have" default:"false"`
	MaxShare int    `param:"max_share" help:"how much of a mirror one prune may delete, in percent of its refs" default:"25" unit:"%"`
}

func (d Deps) mirror() action.Action {
	return action.New(action.Def[mirrorParams]{
		Name: "git.mirror", Summary: "Bring mirrors of a repository up to date", Doc: mirrorDoc,
		Effect: action.Destroy, Repeat: action.Safe,
		Check: func(p mirrorParams) error {
			if p.MaxShare < 1 || p.MaxShare > 100 {
				return &action.ArgError{Name: "max_share", Msg: fmt.Sprintf("%d is no share", p.MaxShare), Fix: "give a number from 1 to 100"}
			}
			return nil
		},
		Plan: d.planMirror, Run: d.runMirror, Probe: d.probeMirror,
	})
}

// mirrors finds the repository and those of its mirrors that are meant.
func (d Deps) mirrors(env *action.Env, p mirrorParams) (Repo, []Mirror, error) {
	r, err := d.Repo(p.Asset)
	if err != nil {
		return r, nil, err
	}
	var names []string
	var out []Mirror
	for _, m := range r.Mirrors {
		names = append(names, m.Name)
		if p.Mirror == "" || p.Mirror == m.Name {
			out = append(out, m)
		}
	}
	switch {
	case len(r.Mirrors) == 0:
		return r, nil, hint.Wrap(fmt.Errorf("%w: asset %q has no mirrors", action.ErrRefused, r.Name), "add mirrors: to the asset in lifeboat.yaml")
	case len(out) == 0:
		return r, nil, hint.Wrapf(fmt.Errorf("%w: asset %q has no mirror %q", action.ErrRefused, r.Name, p.Mirror), "give one of: %s", strings.Join(names, ", "))
	}
	if err := env.Allowed(r.source()); err != nil {
		return r, nil, err
	}
	for _, m := range out {
		for _, own := range []string{r.Remote, r.Dir} {
			if own != "" && repo.SameRepository(m.URL, own) {
				return r, nil, hint.Wrap(fmt.Errorf("%w: the mirror %q is the repository itself", action.ErrRefused, m.Name), "give the mirror an address of its own in lifeboat.yaml")
			}
		}
		if err := env.Allowed(m.URL); err != nil {
			return r, nil, err
		}
	}
	return r, out, nil
}

func (p mirrorParams) options(env *action.Env, r Repo, m Mirror) repo.RelayOptions {
	return repo.RelayOptions{
		Exclude: r.Kind.Exclude, Prune: p.Prune, MaxShare: p.MaxShare, HTTP: r.Kind.HTTP, Idle: r.Kind.Idle,
		Auth: func(address string) (string, secret.String) {
			if address != m.URL {
				return "", secret.String{} // the source has credentials of its own
			}
			return "", m.Token
		},
		Progress: env.Report, Log: env.Log,
	}
}

func (d Deps) planMirror(ctx context.Context, env *action.Env, p mirrorParams) (action.Plan, error) {
	r, mirrors, err := d.mirrors(env, p)
	if err != nil {
		return action.Plan{}, err
	}
	plan := action.Plan{
		Effect: action.Write, Nothing: true,
		Lines: []action.Line{{Label: "reads", Text: showURL(r.source())}},
		Facts: map[string]string{"source": showURL(r.source())},
		Stop:  "Yes: a mirror moves no ref until it has everything. What was pushed stays, and the next run goes on from there.",
	}
	var names, targets, losses []string
	var failed []error
	for _, m := range mirrors {
		names = append(names, m.Name)
		targets = append(targets, showURL(m.URL))
		rep, err := repo.RelayPlan(ctx, r.source(), m.URL, p.options(env, r, m))
		if ctx.Err() != nil {
			return action.Plan{}, err
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.Name, err))
			plan.Nothing = false
			plan.Checks = append(plan.Checks, action.Check{Text: m.Name + " can be mirrored to", Evidence: printable.Line(err.Error())})
			continue
		}
		plan.Nothing = plan.Nothing && rep.Equal
		describeMirror(&plan, m, rep)
		if lost := lossesOf(m, rep); len(lost) > 0 {
			plan.Effect = action.Destroy
			losses = append(losses, lost...)
		}
	}
	if len(failed) == len(mirrors) {
		return action.Plan{}, errors.Join(failed...)
	}
	plan.Summary = fmt.Sprintf("makes %s equal to %s", strings.Join(names, ", "), showURL(r.source()))
	plan.Target = strings.Join(targets, ", ")
	plan.Facts["mirrors"], plan.Facts["losses"] = plan.Target, strings.Join(losses, "\n")
	if len(losses) > 0 {
		plan.Token = mirrorToken(losses)
	}
	return plan, nil
}

// shownRefs is how many refs of a kind a plan names of each mirror.
const shownRefs = 8

// describeMirror adds to a plan what would become of one mirror.
func describeMirror(plan *action.Plan, m Mirror, rep repo.RelayReport) {
	line := func(label, text string) { plan.Lines = append(plan.Lines, action.Line{Label: label, Text: text}) }
	line(m.Name, fmt.Sprintf("%s: %s", showURL(m.URL), counts(rep)))
	force := ""
	for _, kind := range []struct {
		status repo.RelayStatus
		label  string
	}{{repo.Created, "creates"}, {repo.Updated, "updates"}, {repo.Forced, "forces"}, {repo.Deleted, "deletes"}, {repo.Kept, "keeps"}} {
		shown := 0
		for _, ref := range rep.Refs {
			if ref.Status != kind.status {
				continue
			}
			if shown++; shown > shownRefs && !ref.Loses() {
				continue
			}
			text := fmt.Sprintf("%s %s %s -> %s", m.Name, printable.Line(ref.Name), orAbsent(ref.Old), orAbsent(ref.New))
			switch {
			case ref.Status == repo.Kept:
				text = fmt.Sprintf("%s %s %s, which the source does not have", m.Name, printable.Line(ref.Name), orAbsent(ref.Old))
			case ref.Status == repo.Deleted:
				text = fmt.Sprintf("%s %s %s", m.Name, printable.Line(ref.Name), orAbsent(ref.Old))
			case ref.Status == repo.Forced && ref.Own:
				text += "; drops what the source does not have"
			}
			line(kind.label, text)
		}
		if more := rep.Count(kind.status) - shownRefs; more > 0 && kind.status != repo.Deleted && kind.status != repo.Forced {
			line(kind.label, fmt.Sprintf("%s and %d more", m.Name, more))
		}
	}
	if rep.Guard != "" {
		plan.Checks = append(plan.Checks, action.Check{Text: m.Name + " can be pruned", Evidence: "nothing will be deleted: " + rep.Guard})
	}
	if rep.Count(repo.Deleted) > 0 {
		force = "--prune "
	}
	plan.Command = append(plan.Command, fmt.Sprintf("git push %s%s '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*'", force, shellWord(showURL(m.URL))))
}

// counts says how many refs of a mirror have which fate.
func counts(rep repo.RelayReport) string {
	var parts []string
	for _, s := range []repo.RelayStatus{repo.Created, repo.Updated, repo.Forced, repo.Deleted, repo.Kept, repo.Rejected, repo.Doubtful} {
		if n := rep.Count(s); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(append(parts, fmt.Sprintf("%d unchanged", rep.Unchanged)), ", ")
}

// lossesOf lists what a mirror would lose that is nowhere else, a line each: this is what
// the person approves.
func lossesOf(m Mirror, rep repo.RelayReport) (out []string) {
	for _, ref := range rep.Refs {
		if ref.Loses() {
			out = append(out, fmt.Sprintf("%s %q %s", m.Name, ref.Name, ref.Old))
		}
	}
	return out
}

// mirrorToken names the first loss as it is at its mirror now, and how many more there are.
func mirrorToken(losses []string) string {
	words := strings.Fields(losses[0])
	token := words[0] + "@" + short(words[len(words)-1])
	if more := len(losses) - 1; more > 0 {
		token += fmt.Sprintf("+%d", more)
	}
	return token
}

func (d Deps) runMirror(ctx context.Context, env *action.Env, p mirrorParams, plan action.Plan) (action.Result, error) {
	r, mirrors, err := d.mirrors(env, p)
	if err != nil {
		return action.Result{}, err
	}
	var targets []string
	for _, m := range mirrors {
		targets = append(targets, showURL(m.URL))
	}
	if plan.Facts["source"] != showURL(r.source()) || plan.Facts["mirrors"] != strings.Join(targets, ", ") {
		return action.Result{}, fmt.Errorf("%w: it was made for other repositories", action.ErrChanged)
	}
	approved := strings.Split(plan.Facts["losses"], "\n")
	sum := tally{outputs: map[string]int64{}}
	for _, m := range mirrors {
		if ctx.Err() != nil {
			sum.errs = append(sum.errs, fmt.Errorf("%s: %w", m.Name, context.Cause(ctx)))
			break
		}
		o := p.options(env, r, m)
		o.Approve = func(rep repo.RelayReport) error {
			for _, loss := range lossesOf(m, rep) {
				if !slices.Contains(approved, loss) {
					return fmt.Errorf("%w: %s would lose %s", action.ErrChanged, m.Name, printable.Line(loss))
				}
			}
			return nil
		}
		rep, err := repo.Relay(ctx, r.source(), m.URL, o)
		sum.add(env, m, rep, err)
	}
	return sum.result()
}

// tally gathers what became of all mirrors.
type tally struct {
	outputs  map[string]int64
	texts    []string
	checks   []action.Check
	notEqual []string
	errs     []error
	pushed   bool
}

func (t *tally) add(env *action.Env, m Mirror, rep repo.RelayReport, err error) {
	for _, ref := range rep.Refs {
		text := fmt.Sprintf("%s: %s %s %s -> %s", m.Name, ref.Status, printable.Line(ref.Name), orAbsent(ref.Old), orAbsent(ref.New))
		if ref.Reason != "" {
			text += ": " + ref.Reason
		}
		env.Printf("%s", text)
		t.outputs[strings.ReplaceAll(string(ref.Status), " ", "_")]++
	}
	t.outputs["unchanged"] += int64(rep.Unchanged)
	t.outputs["bytes"] += rep.Bytes
	t.pushed = t.pushed || rep.Pushes > 0
	evidence := counts(rep)
	if err != nil {
		t.errs = append(t.errs, fmt.Errorf("%s: %w", m.Name, err))
		env.Printf("%s: %v", m.Name, err)
	}
	if !rep.Equal {
		t.notEqual = append(t.notEqual, m.Name)
		if len(rep.Differences) > 0 {
			evidence = rep.Differences[0]
		} else if err != nil {
			evidence = printable.Line(err.Error())
		}
	}
	t.checks = append(t.checks, action.Check{Text: m.Name + " is equal to the source", OK: rep.Equal, Evidence: evidence})
	t.texts = append(t.texts, m.Name+": "+counts(rep))
}

func (t *tally) result() (action.Result, error) {
	out := action.Result{
		Evidence: strings.Join(t.texts, "; "), Checks: t.checks,
		Outputs: map[string]any{"equal": len(t.notEqual) == 0, "not_equal": nonNil(t.notEqual)},
	}
	for _, name := range []string{"created", "updated", "forced", "deleted", "kept", "rejected", "in_doubt", "unchanged", "bytes"} {
		out.Outputs[name] = t.outputs[name]
	}
	err := errors.Join(t.errs...)
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, repo.ErrInDoubt):
		return out, fmt.Errorf("%w: %w", action.ErrUnclear, err)
	case errors.Is(err, action.ErrChanged) && t.pushed:
		// Others were brought up to date, so this is no run that did nothing.
		return out, hint.Wrap(fmt.Errorf("not all mirrors could be brought up to date: %v", err), "run the step again: its plan shows what would be lost now")
	case errors.Is(err, repo.ErrUnsuitable) || errors.Is(err, repo.ErrSame) || errors.Is(err, repo.ErrNothing):
		if !t.pushed {
			return out, fmt.Errorf("%w: %w", action.ErrRefused, err) // a second try finds the same
		}
	}
	return out, err
}

func (d Deps) probeMirror(ctx context.Context, env *action.Env, p mirrorParams, plan action.Plan) (action.Probe, error) {
	r, mirrors, err := d.mirrors(env, p)
	if err != nil {
		return action.Probe{}, err
	}
	out := action.Probe{Finding: action.Applied, Before: "not equal", Wanted: "equal", Found: "equal", Means: "every mirror is equal to the source"}
	var differ []string
	for _, m := range mirrors {
		out.Command = append(out.Command, "git ls-remote --heads --tags "+shellWord(showURL(m.URL)))
		rep, err := repo.RelayPlan(ctx, r.source(), m.URL, p.options(env, r, m))
		if err != nil {
			return action.Probe{}, fmt.Errorf("%s: %w", m.Name, err)
		}
		if !rep.Equal {
			differ = append(differ, m.Name)
		}
	}
	if len(differ) > 0 {
		out.Finding, out.Found = action.NotApplied, "not equal: "+strings.Join(differ, ", ")
		out.Means = "not every mirror is equal to the source; doing it again moves only what differs"
	}
	return out, nil
}
