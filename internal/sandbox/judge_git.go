package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/command"
)

const mainRef = "refs/heads/main"

func short(id string) string { return id[:min(7, len(id))] }

// ancestor says whether old is new or one of its ancestors.
func ancestor(ctx context.Context, r repo, old, new string) bool {
	return r.git(ctx, time.Time{}, "merge-base", "--is-ancestor", old, new) == nil
}

// describe names commits for a person, "3f2a1c9 "demo" by Klara Lind", with the
// repository that was read. A commit that none of them can read is not in the result.
func describe(ctx context.Context, ids []string, in []holding) map[string]described {
	out := map[string]described{}
	for _, h := range in {
		ask := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return out[id].text != "" })
		if len(ask) == 0 {
			break
		}
		c := h.command(time.Time{}, "cat-file", "--batch")
		c.Stdin = strings.NewReader(strings.Join(ask, "\n") + "\n")
		answer, err := command.Output(ctx, c)
		if err != nil {
			continue // it ends at the first damaged object; another repository may do better
		}
		for len(answer) > 0 {
			head, rest, _ := strings.Cut(string(answer), "\n")
			answer = []byte(rest)
			var id, kind string
			var size int
			if n, _ := fmt.Sscan(head, &id, &kind, &size); n != 3 || size >= len(rest) {
				continue // "… missing"
			}
			if kind == "commit" {
				out[id] = described{short(id) + " " + title(rest[:size]), h.name}
			}
			answer = answer[size+1:]
		}
	}
	return out
}

type described struct{ text, in string }

// title reads subject and author of a raw commit.
func title(raw string) string {
	header, message, _ := strings.Cut(raw, "\n\n")
	_, author, _ := strings.Cut(header, "\nauthor ")
	author, _, _ = strings.Cut(author, " <")
	subject, _, _ := strings.Cut(message, "\n")
	return fmt.Sprintf("\"%s\" by %s", subject, author)
}

// origin checks the shared repository.
func (j *judge) origin(ctx context.Context) {
	r := repo{dir: j.s.Origin()}
	j.fsck(ctx, r, "the origin")
	has := j.repos[0]
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
	tip := origin.refs[mainRef]
	if tip == "" {
		j.check(false, "the origin has a branch main", "it is gone")
	} else {
		ok := ancestor(ctx, origin.repo, j.t.Good, tip)
		j.check(ok, "main contains the last good commit "+short(j.t.Good), "main is at "+cmp.Or(describe(ctx, []string{tip}, j.repos)[tip].text, short(tip)))
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
	j.whereabouts(ctx, missing)
	j.whereabouts(ctx, slices.DeleteFunc(slices.Clone(j.t.Foreign), func(id string) bool { return onMain[id] }))
}

// whereabouts sorts commits that are not where they belong into kept and lost. ids are
// newest first, each the parent of the one before, so what follows a commit that the
// vault ends with is in the vault too.
func (j *judge) whereabouts(ctx context.Context, ids []string) {
	known, vault := describe(ctx, ids, j.repos), false
	for _, id := range ids {
		vault = vault || j.tips[id]
		what, at := known[id], whereIs(id, j.repos)
		switch {
		case at != "":
			j.kept("commit %s: %s", what.text, at)
		case vault:
			j.kept("commit %s: in the vault", cmp.Or(what.text, short(id)))
		case what.in != "":
			j.lost("commit %s: no ref leads to it, %s still has its object", what.text, what.in)
		default:
			j.lost("commit %s: no repository has it", short(id))
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

// clone checks the developer's working clone.
func (j *judge) clone(ctx context.Context) {
	r := repo{dir: j.s.Clone()}
	j.fsck(ctx, r, "the working clone")
	has := j.repos[1]
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
	missing := slices.DeleteFunc(slices.Clone(j.t.Local), func(id string) bool { return has.commits[id] })
	gone := j.losing(func() { j.whereabouts(ctx, missing) })
	j.only("commit", gone, fmt.Sprintf("%d of %d in place, %d kept elsewhere", len(j.t.Local)-len(missing), len(j.t.Local), len(missing)-gone))
	gone = j.losing(func() {
		for _, id := range j.t.Stash { // not below each other, so each by itself
			if !has.commits[id] {
				j.whereabouts(ctx, []string{id})
			}
		}
		j.tags(has)
		j.files()
	})
	j.only("stash, tag or file in work", gone, fmt.Sprintf("%d of %d are nowhere", gone, len(j.t.Stash)+len(j.t.tags())+len(j.t.Files)))
}

// losing counts what a look finds to be lost.
func (j *judge) losing(look func()) int {
	before := len(j.v.Lost)
	look()
	return len(j.v.Lost) - before
}

// only checks that nothing of what only the working clone had is lost.
func (j *judge) only(what string, gone int, evidence string) {
	text := "no " + what + " that only the working clone had is lost"
	if j.t.Breakage == CloneWiped { // nobody could bring it back, so nobody has to
		gone, text = 0, "what only the working clone had is counted: "+what
	}
	j.check(gone == 0, text, evidence)
}

// tags are those that only the clone has.
func (t truth) tags() []string {
	return only(t.Clone, func(ref string) bool { return strings.HasPrefix(ref, "refs/tags/") && t.Origin[ref] != t.Clone[ref] })
}

// tags looks for them in the clone, or else anywhere under any name.
func (j *judge) tags(has holding) {
	for _, ref := range j.t.tags() {
		id := j.t.Clone[ref]
		if has.refs[ref] == id {
			continue
		}
		if i := slices.IndexFunc(j.repos, func(h holding) bool { return slices.Contains(slices.Collect(maps.Values(h.refs)), id) }); i >= 0 {
			j.kept("%s at %s: in %s", ref, short(id), j.repos[i].name)
		} else {
			j.lost("%s of the working clone, it was at %s", ref, short(id))
		}
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
