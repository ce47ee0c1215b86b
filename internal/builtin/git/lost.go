package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const lostDoc = `Finds the commit that a branch had before it was overwritten. It looks in the reflogs of
the working clone, of the shared repository, of mirrors and of the clones of other people that
the estate lists on this machine, among commits there that nothing refers to any more, and in
the restore points of the vault.

The best candidate is the latest state that the branch had and that is not part of it now;
where somebody had pushed on top of it, the top; after several overwrites in a day, the state
before the first that took work of people away. All candidates are in the log, the best
first, each with the reasons for its place: where it was seen, who pushed it, what it brings
back, which of the others it contains. With remembered: the commit that somebody has noted,
in a chat or in the log of a build, comes first when it fits. It fails when nothing is lost.

` + "```git.find-lost save=good" + `
asset: monorepo
branch: main
` + "```" + `

Saves: commit, short, current, base, lost and dropped (numbers of commits), authors,
newest_time, source, why, places, available (it is in the clone; if not, git.keep brings it
in), candidates.
`

type lostParams struct {
	Asset      string `param:"asset,required" help:"the repository to look in"`
	Branch     string `param:"branch,required" help:"the branch that was overwritten, without refs/heads/"`
	Remembered string `param:"remembered" help:"a commit that somebody remembers: an id, also a shortened one"`
}

func (d Deps) findLost() action.Action {
	return action.New(action.Def[lostParams]{
		Name: "git.find-lost", Summary: "Find the last good commit of an overwritten branch", Doc: lostDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p lostParams) error {
			return errors.Join(checkBranch(p.Branch), checkCommit("remembered", p.Remembered))
		},
		Run: d.runFindLost,
	})
}

// finder looks for what a branch had.
type finder struct {
	d       Deps
	env     *action.Env
	r       Repo
	branch  string
	k       *desk
	current string // what the branch is now, empty when it is gone

	remembered string // the commit that somebody remembers, empty when nobody does
}

func (d Deps) runFindLost(ctx context.Context, env *action.Env, p lostParams, _ action.Plan) (action.Result, error) {
	r, err := d.Repo(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	if err := r.needRemote(); err != nil {
		return action.Result{}, err
	}
	k, err := d.deskFor(ctx, env, r, r.places()...)
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	f := finder{d: d, env: env, r: r, branch: p.Branch, k: k}
	if f.current, err = k.tip(ctx, r, p.Branch); err != nil {
		return action.Result{}, err
	}
	if f.current != "" {
		if err := k.see(ctx, r, p.Branch, f.current); err != nil {
			return action.Result{}, err
		}
	}
	seen := f.gather(ctx)
	if seen, err = f.bringFromVault(ctx, seen); err != nil {
		return action.Result{}, err
	}
	lost, err := f.lost(ctx, seen)
	if err != nil {
		return action.Result{}, err
	}
	for _, s := range seen {
		k.known = append(k.known, s.oid)
	}
	best, err := f.best(ctx, lost, seen)
	if err == nil && p.Remembered != "" {
		best, err = f.recall(ctx, lost, p.Remembered)
		f.remembered = best.oid
	}
	if err != nil {
		return action.Result{}, err
	}
	if best.oid == "" {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: nothing is known that %s/%s had and does not have now (%s)",
			action.ErrCheck, r.remoteName(), p.Branch, orAbsent(f.current)),
			"ask the others for a clone that still has it (list it under clones of the asset), or restore an older point with git.restore")
	}
	return f.tell(ctx, best, lost, seen)
}

// tell makes the result of the best candidate.
func (f finder) tell(ctx context.Context, best sighting, all, seen []sighting) (action.Result, error) {
	back, err := f.k.between(ctx, f.current, best.oid)
	if err != nil {
		return action.Result{}, err
	}
	dropped, err := f.k.between(ctx, best.oid, f.current)
	if err != nil {
		return action.Result{}, err
	}
	since, err := f.since(ctx, best, seen, back, dropped)
	if err != nil {
		return action.Result{}, err
	}
	base := f.k.mergeBase(ctx, f.current, best.oid)
	list := f.rank(ctx, best, all)
	var candidates []string
	for i, c := range list {
		candidates = append(candidates, c.String())
		f.env.Printf("candidate %d  %s", i+1, c)
	}
	if more := len(all) - len(list); more > 0 {
		f.env.Printf("and %d more, older or less likely", more)
	}
	n := newest(back)
	available := false
	if f.r.Dir != "" {
		available = whole(ctx, f.r.Dir, best.oid)
	}
	where := "in the clone"
	if !available {
		where = "not in the clone, git.keep brings it in"
	}
	return action.Result{
		Evidence: fmt.Sprintf("%s/%s was %s, seen %s: %s lost, newest from %s; now %s, which has %s of its own%s; %s", f.r.remoteName(), f.branch,
			short(best.oid), best.where, summary(back), clock(f.env.Now(), n.when), orAbsent(f.current), summary(dropped), since, where),
		Outputs: map[string]any{
			"commit": best.oid, "short": short(best.oid), "current": f.current, "base": base,
			"lost": int64(len(back)), "dropped": int64(len(dropped)), "authors": nonNil(authors(back)),
			"newest_time": n.when.UTC().Format(time.RFC3339), "source": best.where, "available": available,
			"why": strings.Join(list[0].reasons, "; "), "places": nonNil(list[0].places), "candidates": nonNil(candidates),
		},
	}, nil
}

// lost keeps the candidates that are commits which the branch does not have, the latest
// seen first.
func (f finder) lost(ctx context.Context, seen []sighting) ([]sighting, error) {
	oids := make([]string, 0, len(seen))
	for _, s := range seen {
		oids = append(oids, s.oid)
	}
	types, err := f.k.types(ctx, oids)
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(merged(seen), func(s sighting) bool { return types[s.oid] != "commit" || s.oid == f.current })
	outside, all := f.outside(ctx, list)
	var out []sighting
	for _, s := range list {
		if all && !outside[s.oid] || !all && f.current != "" && f.k.descends(ctx, f.current, s.oid) {
			continue // still part of the branch
		}
		if f.current != "" && f.k.descends(ctx, s.oid, f.current) {
			continue // builds on the branch as it is now, so it was never taken from it
		}
		if !all {
			if _, err := f.k.output(ctx, "rev-list", "--count", s.oid); err != nil {
				f.env.Printf("passing over %s (%s): its history is not complete here", short(s.oid), s.where)
				continue
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// outside is one walk for all candidates: the commits that the branch does not have.
// ok is false when a history is not complete, and each must be looked at by itself.
func (f finder) outside(ctx context.Context, list []sighting) (set map[string]bool, ok bool) {
	in := ""
	for _, s := range list {
		in += s.oid + "\n"
	}
	if f.current != "" {
		in += "^" + f.current + "\n"
	}
	call := f.k.git("rev-list", "--stdin")
	call.Stdin = strings.NewReader(in)
	out, err := command.Output(ctx, call)
	if err != nil {
		return nil, false
	}
	set = map[string]bool{}
	for oid := range strings.Lines(string(out)) {
		set[strings.TrimSpace(oid)] = true
	}
	return set, true
}

// best chooses: of the states that the shared branch is known to have had, those that no
// other one contains, and of these the one seen last.
//
// A commit that nothing refers to proves something only in the shared repository, where
// it must have been pushed: it counts when it builds on a state that was lost, and when
// no lost state is known, on any state. Loose commits of clones may never have been
// pushed; they count only when nothing at all is known of the branch's past.
func (f finder) best(ctx context.Context, lost, seen []sighting) (sighting, error) {
	isCertain := func(s sighting) bool { return s.certain && s.oid != f.current }
	known := slices.DeleteFunc(slices.Clone(lost), func(s sighting) bool { return !s.certain })
	ground := known
	if len(known) == 0 {
		ground = slices.DeleteFunc(merged(seen), func(s sighting) bool { return !isCertain(s) })
	}
	candidates := known
	for _, s := range lost {
		if s.certain {
			continue
		}
		onTop := s.pushed && slices.ContainsFunc(ground, func(t sighting) bool { return f.k.descends(ctx, s.oid, t.oid) })
		related := len(ground) == 0 && (f.current == "" || f.k.mergeBase(ctx, f.current, s.oid) != "")
		if onTop || related {
			candidates = append(candidates, s)
		}
	}
	if len(candidates) == 0 {
		return sighting{}, nil
	}
	args := []string{"merge-base", "--independent"}
	for _, s := range candidates {
		args = append(args, s.oid)
	}
	out, err := f.k.output(ctx, args...)
	if err != nil {
		return sighting{}, fmt.Errorf("compare candidates: %w", err)
	}
	tops := strings.Fields(out)
	candidates = slices.DeleteFunc(slices.Clone(candidates), func(s sighting) bool { return !slices.Contains(tops, s.oid) })
	return f.beforeAll(ctx, candidates)
}

// oneAccident is how far apart overwrites are that may belong together.
const oneAccident = 24 * time.Hour

// beforeAll is the state before the first of several overwrites. Who pushes a demo over a
// branch often does it twice, and then the state seen last is the first demo. A state that was
// overwritten not long before that one comes first when it has more commits, and people have
// work in it who have none in the later one; after a rebase everybody still has.
func (f finder) beforeAll(ctx context.Context, tops []sighting) (sighting, error) {
	slices.SortStableFunc(tops, func(a, b sighting) int { return b.when.Compare(a.when) })
	best := tops[0]
	back, err := f.k.between(ctx, f.current, best.oid)
	if err != nil {
		return best, err
	}
	for _, s := range tops[1:] {
		if !s.certain || !s.when.Before(best.when) || best.when.Sub(s.when) > oneAccident {
			continue
		}
		earlier, err := f.k.between(ctx, f.current, s.oid)
		if err != nil {
			return best, err
		}
		have := authors(back)
		if len(earlier) > len(back) && slices.ContainsFunc(authors(earlier), func(name string) bool { return !slices.Contains(have, name) }) {
			f.env.Printf("%s was overwritten more than once: %s, seen %s, has %s, and %s came between", f.branch, short(s.oid), s.where, summary(earlier), short(best.oid))
			best, back = s, earlier
		}
	}
	return best, nil
}

// since says what a person must know of the branch as it is now before it is put back: that
// people have pushed on top of the overwrite, that the commits are on it under other ids, or
// that another branch has them.
func (f finder) since(ctx context.Context, best sighting, seen []sighting, back, dropped []commit) (string, error) {
	const mostCompared = 500 // the change of each commit is computed
	text := ""
	last := -1
	for _, s := range seen { // the oldest state that the overwritten branch was seen in
		i := slices.IndexFunc(dropped, func(c commit) bool { return c.oid == s.oid })
		if s.certain && s.oid != f.current && i > last {
			last = i
		}
	}
	if last > 0 {
		later, err := f.k.between(ctx, dropped[last].oid, f.current)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("; %s of it pushed on top since, keep both sides: %s", summary(later), subjects(later))
	}
	if f.current != "" && len(back) <= mostCompared {
		out, err := f.k.output(ctx, "rev-list", "--right-only", "--cherry-mark", f.current+"..."+best.oid)
		if err != nil {
			return "", fmt.Errorf("compare changes: %w", err)
		}
		if same := strings.Count("\n"+out, "\n="); same > 0 {
			text += fmt.Sprintf("; %d of the %d lost are on it with other ids, as after a rebase", same, len(back))
		}
	}
	if f.current == "" {
		refs, err := f.k.remoteRefs(ctx, f.r, "refs/heads/*")
		if err != nil {
			return "", err
		}
		const mostAsked = 100 // each takes a walk
		for _, ref := range refs[:min(mostAsked, len(refs))] {
			if f.k.descends(ctx, ref.OID, best.oid) {
				text += fmt.Sprintf("; the branch %s has all of it: was it renamed?", printable.Line(strings.TrimPrefix(ref.Name, "refs/heads/")))
			}
		}
	}
	return text, nil
}
