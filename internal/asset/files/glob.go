package files

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"lifeboat/internal/hint"
)

// pattern is one entry of Include or Exclude, in components.
type pattern struct {
	text  string
	parts []string
	dir   bool // matches directories only
}

// Validate says what is wrong with the patterns, the first mistake.
func (k Kind) Validate() error {
	_, err := compile("include", k.Include)
	if err == nil {
		_, err = compile("exclude", k.Exclude)
	}
	return err
}

func compile(what string, list []string) ([]pattern, error) {
	var out []pattern
	for _, text := range list {
		p := pattern{text: text, dir: strings.HasSuffix(text, "/")}
		bad := func(why, advice string) ([]pattern, error) {
			return nil, hint.Wrap(fmt.Errorf("%s pattern %q: %s", what, text, why), advice)
		}
		clean := strings.TrimSuffix(strings.TrimPrefix(text, "./"), "/")
		switch {
		case strings.HasPrefix(text, "/"):
			return bad("it is absolute", "write it relative to the path of the asset: apps/*/.env")
		case strings.HasPrefix(text, "!"):
			return bad("a leading \"!\" means nothing here", "write it under exclude")
		case clean == "." || text == "./":
			p.parts = []string{"**"}
		case clean == "":
			return bad("it is empty", "remove it; without any include everything is kept")
		default:
			p.parts = strings.Split(clean, "/")
		}
		for _, part := range p.parts {
			if part == "" || part == "." || part == ".." {
				return bad(fmt.Sprintf("it has the component %q", part), "write it relative to the path of the asset, without \".\" and \"..\"")
			}
			if strings.Contains(part, "**") && part != "**" {
				return bad("\"**\" stands beside something else", "write \"**\" as a component of its own: apps/**/.env")
			}
			if _, err := path.Match(part, ""); err != nil {
				return bad(err.Error(), "a \"[\" needs its \"]\"; write \"\\[\" for the character itself")
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// state says that parts[:at] of a pattern have matched the path so far.
type state struct{ pattern, at int }

// globs are patterns on their way down a tree.
type globs struct {
	patterns []pattern
	hit      []bool // which patterns have matched anything
}

func newGlobs(p []pattern) *globs { return &globs{patterns: p, hit: make([]bool, len(p))} }

// start are the states before the first component.
func (g *globs) start() (s []state) {
	for i := range g.patterns {
		s = g.add(s, state{i, 0})
	}
	return s
}

// add adds a state, and those that it reaches without a component.
func (g *globs) add(s []state, n state) []state {
	for {
		if slices.Contains(s, n) {
			return s
		}
		s = append(s, n)
		if parts := g.patterns[n.pattern].parts; n.at == len(parts) || parts[n.at] != "**" {
			return s
		}
		n.at++
	}
}

// step goes down one component. matched says that a whole pattern is used up by it; next
// are the states for what lies below, none when nothing there can match.
func (g *globs) step(s []state, name string, dir bool) (matched bool, next []state) {
	for _, st := range s {
		p := g.patterns[st.pattern]
		if st.at == len(p.parts) {
			continue
		}
		if part := p.parts[st.at]; part == "**" {
			next = g.add(next, st)
		} else if ok, _ := path.Match(part, name); ok { // the form was checked
			next = g.add(next, state{st.pattern, st.at + 1})
		}
	}
	for _, st := range next {
		if p := g.patterns[st.pattern]; st.at == len(p.parts) && (dir || !p.dir) {
			matched, g.hit[st.pattern] = true, true
		}
	}
	return matched, next
}
