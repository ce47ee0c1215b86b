package git

import (
	"context"
	"io"
	"strconv"
	"strings"
)

// Diff reports what changed from one point to another: HEAD, refs that were made, moved
// and deleted, branches first and then tags, and how much of Git LFS is kept and missing.
// Everything it needs stands in the facts; no object is opened. See vault.Differ.
func (Kind) Diff(ctx context.Context, older, newer []byte,
	_, _ func(role string) (io.ReadCloser, error),
	report func(what, name, before, after string)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	was, now, before, after, err := parseTwo(older, newer)
	if err != nil {
		return err
	}
	if was.Head != now.Head {
		report("head", "HEAD", showHead(was), showHead(now))
	}
	for _, prefix := range []string{"refs/heads/", "refs/tags/", ""} {
		for _, r := range merge(before, after) {
			place := "" // of refs that are neither branch nor tag
			for _, p := range []string{"refs/heads/", "refs/tags/"} {
				if strings.HasPrefix(r.name, p) {
					place = p
				}
			}
			if place == prefix && r.before != r.after {
				report("ref", encodeName(r.name), short(r.before), short(r.after))
			}
		}
	}
	diffLFS(was.LFS, now.LFS, report)
	return nil
}

func parseTwo(older, newer []byte) (was, now Facts, before, after []Ref, err error) {
	if was, err = ParseFacts(older); err != nil {
		return
	}
	if now, err = ParseFacts(newer); err != nil {
		return
	}
	if before, err = was.List(); err != nil {
		return
	}
	after, err = now.List()
	return
}

// pair is a ref of two points, empty where one has no such ref.
type pair struct{ name, before, after string }

// merge walks two lists that are sorted by name.
func merge(before, after []Ref) []pair {
	var out []pair
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Name < after[0].Name:
			out = append(out, pair{name: before[0].Name, before: before[0].OID})
			before = before[1:]
		case len(before) == 0 || after[0].Name < before[0].Name:
			out = append(out, pair{name: after[0].Name, after: after[0].OID})
			after = after[1:]
		default:
			out = append(out, pair{before[0].Name, before[0].OID, after[0].OID})
			before, after = before[1:], after[1:]
		}
	}
	return out
}

func diffLFS(was, now *LFSFacts, report func(what, name, before, after string)) {
	count := func(l *LFSFacts, field func(*LFSFacts) int) string {
		if l == nil {
			return ""
		}
		return strconv.Itoa(field(l))
	}
	for _, f := range []struct {
		name  string
		field func(*LFSFacts) int
	}{
		{"pointers", func(l *LFSFacts) int { return l.Pointers }},
		{"objects kept", func(l *LFSFacts) int { return l.Stored }},
		{"objects missing", func(l *LFSFacts) int { return l.Absent }},
	} {
		if before, after := count(was, f.field), count(now, f.field); before != after {
			report("lfs", f.name, before, after)
		}
	}
}

func showHead(f Facts) string {
	if oid, detached := f.Detached(); detached {
		return short(oid)
	}
	return f.Head
}

// short is as much of an object id as a person compares.
func short(oid string) string { return oid[:min(len(oid), 10)] }
