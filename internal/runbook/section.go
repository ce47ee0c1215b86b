package runbook

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/hint"
)

var (
	// ErrNoSection is an anchor that selects nothing, or more than one heading.
	ErrNoSection = errors.New("no such section")
	// ErrNoSteps is a section that is there and has only text.
	ErrNoSteps = errors.New("no steps")
)

// Section gives the part of a book below one heading. anchor is its slug, or a
// beginning of the slug that no other heading has: "scenario-2" finds
// "scenario-2-accidental-force-push". Name becomes "book#slug"; Source and Digest stay
// those of the whole document, so that a pinned copy can be parsed and selected again.
// Parameters of a plain document that the part does not use are left out.
func (b *Book) Section(anchor string) (*Book, error) {
	i, err := b.heading(anchor)
	if err != nil {
		return nil, err
	}
	h := b.Headings[i]
	last := i + 1
	for last < len(b.Headings) && b.Headings[last].Level > h.Level {
		last++
	}
	out := *b
	out.Name, out.Anchor, out.Title = b.Name+"#"+h.Slug, h.Slug, h.Title
	out.Intro, out.Outro, out.Steps = h.prose, "", nil
	out.Meta.Pos = maps.Clone(b.Meta.Pos)
	for _, s := range b.Steps {
		if s.heading >= i && s.heading < last {
			out.Steps = append(out.Steps, s)
		}
	}
	if len(out.Steps) == 0 {
		return nil, hint.Wrap(fmt.Errorf("section %q of %s: %w, only text to read", h.Slug, b.File, ErrNoSteps), b.beside(i))
	}
	if b.Plain {
		out.Meta.Params = slices.DeleteFunc(slices.Clone(b.Meta.Params), func(p Param) bool {
			return !slices.ContainsFunc(out.Steps, func(s *Step) bool { return s.refers(p.Name) || s.expands(p.Name) })
		})
	}
	return &out, nil
}

// heading finds the heading that an anchor means.
func (b *Book) heading(anchor string) (int, error) {
	want := Slug(strings.TrimPrefix(anchor, "#"))
	none := func(what string, list []string) error {
		return hint.Wrapf(fmt.Errorf("%s in %s: %w", what, b.File, ErrNoSection), "sections: %s", strings.Join(list, ", "))
	}
	if want == "" {
		return 0, none("an empty anchor", b.sections())
	}
	var whole, start []int // whole: "scenario-2" of "scenario-2-x", not of "scenario-20"
	for i, h := range b.Headings {
		switch {
		case h.Slug == want:
			return i, nil
		case strings.HasPrefix(h.Slug, want+"-"):
			whole = append(whole, i)
		case strings.HasPrefix(h.Slug, want):
			start = append(start, i)
		}
	}
	for _, found := range [][]int{whole, start} {
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			var list []string
			for _, i := range found {
				list = append(list, b.Headings[i].Slug)
			}
			return 0, none(fmt.Sprintf("%q means several headings", anchor), list)
		}
	}
	return 0, none(fmt.Sprintf("no heading for %q", anchor), b.sections())
}

// sections lists the anchors of headings with steps below them.
func (b *Book) sections() []string {
	const most = 60
	var out []string
	for _, h := range b.Headings {
		if h.Steps == 0 {
			continue
		}
		if len(out) == most {
			return append(out, "...")
		}
		out = append(out, h.Slug)
	}
	if out == nil {
		return []string{"none"}
	}
	return out
}

// beside advises with the sections that have steps, nearest to heading i first.
func (b *Book) beside(i int) string {
	all := b.sections()
	if all[0] == "none" {
		return "no section of it has steps"
	}
	level := b.Headings[i].Level
	for up := i - 1; up >= 0; up-- {
		h := b.Headings[up]
		if h.Level >= level {
			continue
		}
		var near []string
		for _, o := range b.Headings[up+1:] {
			if o.Level <= h.Level {
				break
			}
			if o.Steps > 0 {
				near = append(near, o.Slug)
			}
		}
		if level = h.Level; len(near) > 0 && len(near) < len(all) {
			return fmt.Sprintf("sections with steps beside it: %s; elsewhere: %s", strings.Join(near, ", "),
				strings.Join(slices.DeleteFunc(all, func(s string) bool { return slices.Contains(near, s) }), ", "))
		}
	}
	return "sections with steps: " + strings.Join(all, ", ")
}

// uses says whether the step may refer to a name, as ${name} or by any word of its
// shell text: awk and envsubst read variables without a dollar.
func (s *Step) uses(name string) bool {
	for _, b := range s.Blocks() {
		if b.Action == Shell && mentions(b.Text, name) {
			return true
		}
	}
	return s.refers(name)
}

// refers says whether the step has ${name} outside of shell text.
func (s *Step) refers(name string) bool {
	found := false
	s.names(func(r Ref, _ Pos) { found = found || r.Name == name })
	return found
}

// expands says whether shell text of the step reads the variable. The word alone does
// not count: a page with {repo} in one place names fresh-repo and repo.git in others.
func (s *Step) expands(name string) bool {
	for _, b := range s.Blocks() {
		for _, dollar := range []string{"$", "${"} {
			rest, want := b.Text, dollar+name
			for i := strings.Index(rest, want); i >= 0; i = strings.Index(rest, want) {
				if rest = rest[i+len(want):]; !wordByte(rest, 0) {
					return true
				}
			}
		}
	}
	return false
}

// names calls f for every reference in items, arguments and attributes of the step.
// Shell text has none: there ${name} is the shell's.
func (s *Step) names(f func(r Ref, at Pos)) {
	each := func(text string, at Pos) {
		for _, r := range Names(text) {
			f(r, at)
		}
	}
	for _, it := range s.Items {
		each(it.Text, it.Pos)
		each(it.Expect, it.Pos)
	}
	for _, b := range s.Blocks() {
		b.names(f)
	}
}

func (b *Block) names(f func(r Ref, at Pos)) {
	b.scalars(func(text string, at Pos) {
		for _, r := range Names(text) {
			f(r, at)
		}
	})
}

// scalars calls f for every text of a block in which names are substituted.
func (b *Block) scalars(f func(text string, at Pos)) {
	if b.Target != "" {
		f(b.Target, b.AttrPos["target"])
	}
	if b.Stop != "" {
		f(b.Stop, b.AttrPos["stop"])
	}
	var walk func(v any, path string, at Pos)
	walk = func(v any, path string, at Pos) {
		if p, ok := b.ArgPos[path]; ok {
			at = p
		}
		switch v := v.(type) {
		case string:
			f(v, at)
		case []any:
			for i, e := range v {
				walk(e, fmt.Sprintf("%s[%d]", path, i), at)
			}
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(v[k], path+"."+k, at)
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(b.Args)) {
		walk(b.Args[k], k, b.Pos)
	}
}
