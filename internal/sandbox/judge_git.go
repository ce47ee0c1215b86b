package sandbox

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const mainRef = "refs/heads/main"

func short(id string) string { return id[:min(7, len(id))] }

// ancestor says whether old is new or one of its ancestors.
func ancestor(ctx context.Context, r repo, old, new string) bool {
	return r.git(ctx, time.Time{}, "merge-base", "--is-ancestor", old, new) == nil
}

// describe names a commit for a person: "3f2a1c9 "demo" by Klara Lind". The id alone
// where no repository can read it.
func describe(ctx context.Context, id string, in ...repo) string {
	for _, r := range in {
		if text, err := r.out(ctx, "show", "--no-patch", "--format=%h \"%s\" by %an", id); err == nil {
			return text
		}
	}
	return short(id)
}

// origin checks the shared repository.
func (j *judge) origin(ctx context.Context) {
	r := repo{dir: j.s.Origin()}
	j.fsck(ctx, r, "the origin")
	has := survey(ctx, r)
	if has.broken != nil {
		j.check(false, "the origin can be read", has.broken.Error())
		return
	}
	var wrong []string
	want := only(j.t.Origin, func(ref string) bool { return j.t.Good == "" || ref != mainRef })
	for _, ref := range want {
		id, got := j.t.Origin[ref], has.refs[ref]
		switch {
		case got == id:
		case got == "":
			wrong = append(wrong, ref+" is gone")
			j.lost("%s of the origin, it was at %s", ref, short(id))
		case strings.HasPrefix(ref, "refs/heads/") && ancestor(ctx, r, id, got):
		default:
			wrong = append(wrong, fmt.Sprintf("%s is at %s, not %s", ref, short(got), short(id)))
		}
	}
	evidence := fmt.Sprintf("%d of %d", len(want)-len(wrong), len(want))
	if len(wrong) > 0 {
		evidence += ": " + strings.Join(wrong[:min(3, len(wrong))], ", ")
	}
	text := "branches and tags of the origin are as they were"
	if j.t.Good != "" {
		text = "the other " + text
	}
	j.check(len(wrong) == 0, text, evidence)
	if j.t.Good != "" {
		j.forced(ctx, has)
	}
}

// forced checks main after a force push.
func (j *judge) forced(ctx context.Context, origin holding) {
	clone := survey(ctx, repo{dir: j.s.Clone()})
	everywhere := append([]holding{origin, clone}, j.others...)
	repos := make([]repo, len(everywhere))
	for i, h := range everywhere {
		repos[i] = h.repo
	}
	tip := origin.refs[mainRef]
	if tip == "" {
		j.check(false, "the origin has a branch main", "it is gone")
	} else {
		ok := ancestor(ctx, origin.repo, j.t.Good, tip)
		j.check(ok, "main contains the last good commit "+short(j.t.Good), "main is at "+describe(ctx, tip, origin.repo))
	}
	onMain := map[string]bool{}
	if tip != "" {
		ids, err := origin.list(ctx, "rev-list", tip)
		if err != nil {
			j.check(false, "main can be read", err.Error())
		}
		for _, id := range ids {
			onMain[id] = true
		}
	}
	missing := slices.DeleteFunc(slices.Clone(j.t.Lost), func(id string) bool { return onMain[id] })
	j.check(len(missing) == 0, "every commit that the push dropped is on main again",
		fmt.Sprintf("%d of %d", len(j.t.Lost)-len(missing), len(j.t.Lost)))
	j.whereabouts(ctx, missing, everywhere, repos)
	j.whereabouts(ctx, slices.DeleteFunc(slices.Clone(j.t.Foreign), func(id string) bool { return onMain[id] }), everywhere, repos)
}

// whereabouts sorts commits that are not where they belong into kept and lost. ids are
// newest first, each the parent of the one before, so what follows a commit that the
// vault ends with is in the vault too.
func (j *judge) whereabouts(ctx context.Context, ids []string, everywhere []holding, repos []repo) {
	vault := false
	for _, id := range ids {
		vault = vault || j.tips[id]
		what := describe(ctx, id, repos...)
		if at := whereIs(id, everywhere); at != "" {
			j.kept("commit %s: %s", what, at)
		} else if vault {
			j.kept("commit %s: in the vault", what)
		} else {
			j.lost("commit %s: %s", what, j.unreferenced(ctx, id, repos))
		}
	}
}

// whereIs names the first repository, and a ref at the commit where there is one, that
// still leads to a commit.
func whereIs(id string, everywhere []holding) string {
	for _, h := range everywhere {
		if !h.commits[id] {
			continue
		}
		for _, ref := range slices.Sorted(maps.Keys(h.refs)) {
			if h.refs[ref] == id {
				return ref + " of " + h.name
			}
		}
		return "below a ref of " + h.name
	}
	return ""
}

func (j *judge) unreferenced(ctx context.Context, id string, repos []repo) string {
	for _, r := range repos {
		if r.git(ctx, time.Time{}, "cat-file", "-e", id+"^{commit}") == nil {
			return "no ref leads to it, " + filepath.Base(r.dir) + " still has its object"
		}
	}
	return "no repository has it"
}

// clone checks the developer's working clone.
func (j *judge) clone(ctx context.Context) {
	r := repo{dir: j.s.Clone()}
	j.fsck(ctx, r, "the working clone")
	has := survey(ctx, r)
	if has.broken != nil {
		j.check(false, "the history of the working clone can be read", has.broken.Error())
	}
	if j.t.Good == "" { // after a force push the developer may stand anywhere
		head, err := r.out(ctx, "symbolic-ref", "HEAD")
		if err != nil {
			head = "no branch"
		}
		j.check(head == j.t.Head, "the working clone has "+j.t.Head+" checked out", head)
		j.branches(ctx, has)
	}
	everywhere := append([]holding{has, survey(ctx, repo{dir: j.s.Origin()})}, j.others...)
	repos := make([]repo, len(everywhere))
	for i, h := range everywhere {
		repos[i] = h.repo
	}
	missing := slices.DeleteFunc(slices.Clone(j.t.Local), func(id string) bool { return has.commits[id] })
	before := len(j.v.Lost)
	j.whereabouts(ctx, missing, everywhere, repos)
	j.check(len(j.v.Lost) == before, "no commit that only the working clone had is lost",
		fmt.Sprintf("%d of %d in place, %d kept elsewhere", len(j.t.Local)-len(missing), len(j.t.Local), len(missing)-(len(j.v.Lost)-before)))
	if id := j.t.Clone["refs/stash"]; id != "" && !has.commits[id] {
		j.whereabouts(ctx, []string{id}, everywhere, repos)
	}
}

// branches compares the clone's own branches. One that is missing does no harm as long
// as another ref leads to its commits, as after a fresh clone.
func (j *judge) branches(ctx context.Context, has holding) {
	var wrong []string
	want := only(j.t.Clone, func(ref string) bool { return strings.HasPrefix(ref, "refs/heads/") })
	for _, ref := range want {
		id, got := j.t.Clone[ref], has.refs[ref]
		switch {
		case got == id && has.commits[id]:
		case got == "" && has.commits[id]:
		case got == "" && slices.Contains(j.t.Local, id): // judged commit by commit
		case got == "":
			wrong = append(wrong, ref+" is gone")
		case has.commits[got] && ancestor(ctx, has.repo, id, got):
		case got == id:
			wrong = append(wrong, ref+" cannot be read")
		default:
			wrong = append(wrong, fmt.Sprintf("%s is at %s, not %s", ref, short(got), short(id)))
		}
	}
	evidence := fmt.Sprintf("%d of %d", len(want)-len(wrong), len(want))
	if len(wrong) > 0 {
		evidence += ": " + strings.Join(wrong, ", ")
	}
	j.check(len(wrong) == 0, "the branches of the working clone are as they were", evidence)
}

// files looks for what was never committed.
func (j *judge) files() {
	for _, name := range slices.Sorted(maps.Keys(j.t.Files)) {
		local := filepath.FromSlash(name)
		if sum, err := hashFile(filepath.Join(j.s.Clone(), local)); err == nil && sum == j.t.Files[name] {
			continue
		}
		if dir := j.elsewhere(local, j.t.Files[name]); dir != "" {
			j.kept("%s: in %s", name, dir)
		} else {
			j.lost("%s of the working clone, never committed", name)
		}
	}
}

// elsewhere finds the directory in the sandbox under which a file with that content
// lies, such as a damaged clone that was put aside.
func (j *judge) elsewhere(name, sum string) string {
	for _, dir := range glob(j.s.dir, "*", "*/*") {
		if got, err := hashFile(filepath.Join(j.s.dir, dir, name)); err == nil && got == sum {
			return dir
		}
	}
	return ""
}
