package git

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/printable"
)

// commit is one commit, its texts as they are: hostile until printed.
type commit struct {
	oid, author, subject string
	when                 time.Time // committed
}

// between lists the commits of to that from does not have, newest first; with an empty
// from, all of to.
func (k *desk) between(ctx context.Context, from, to string, more ...string) ([]commit, error) {
	if to == "" {
		return nil, nil
	}
	args := append([]string{"log", "--no-show-signature", "--format=%H%x1f%ct%x1f%an%x1f%s%x1e"}, more...)
	args = append(args, to)
	if from != "" {
		args = append(args, "^"+from)
	}
	out, err := k.output(ctx, append(args, "--")...)
	if err != nil {
		return nil, fmt.Errorf("list commits: %w", err)
	}
	var list []commit
	for record := range strings.SplitSeq(out, "\x1e") {
		f := strings.SplitN(strings.TrimPrefix(record, "\n"), "\x1f", 4)
		if len(f) != 4 {
			continue
		}
		sec, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("list commits: %q is no time", f[1])
		}
		list = append(list, commit{oid: f[0], when: time.Unix(sec, 0), author: f[2], subject: f[3]})
	}
	return list, nil
}

// authors lists who made the commits, the busiest first.
func authors(list []commit) []string {
	count := map[string]int{}
	var names []string
	for _, c := range list {
		name := printable.Line(c.author)
		if count[name]++; count[name] == 1 {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return count[b] - count[a] })
	return names
}

// newest is the commit with the latest date, which need not be the first.
func newest(list []commit) commit {
	var out commit
	for _, c := range list {
		if out.oid == "" || c.when.After(out.when) {
			out = c
		}
	}
	return out
}

// summary says how many commits there are and by whom: "14 commits by 6 people".
func summary(list []commit) string {
	people := authors(list)
	switch len(people) {
	case 0:
		return "no commits"
	case 1:
		return fmt.Sprintf("%s by %s", printable.Count(len(list), "commit"), people[0])
	}
	return fmt.Sprintf("%s by %d people", printable.Count(len(list), "commit"), len(people))
}

// subjects names the first commits: `3f2a1c9 "demo", 8e02b6f "squash for demo"`.
func subjects(list []commit) string {
	const shown = 3
	var out []string
	for _, c := range list[:min(shown, len(list))] {
		out = append(out, fmt.Sprintf("%s \"%s\"", short(c.oid), clip(printable.Line(c.subject))))
	}
	if n := len(list) - shown; n > 0 {
		out = append(out, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(out, ", ")
}

// clock shows a time as a person near now would say it.
func clock(now, t time.Time) string {
	t = t.In(now.Location())
	if now.Sub(t) < 12*time.Hour && t.Sub(now) < time.Hour {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// mergeBase is the newest common commit, empty when there is none.
func (k *desk) mergeBase(ctx context.Context, a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	out, err := k.output(ctx, "merge-base", a, b)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(out, "\n")
	return first
}

// descends says whether a commit has another in its history.
func (k *desk) descends(ctx context.Context, commit, ancestor string) bool {
	_, err := k.output(ctx, "merge-base", "--is-ancestor", ancestor, commit)
	return err == nil
}
