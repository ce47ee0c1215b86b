package look

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/colorprofile"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/themes"
)

// Standard is the theme of who asks for none.
const Standard = "auto"

// Theme is a look: what colours the roles have. It is read by [Parse] and does not
// change.
type Theme struct {
	Name  string
	File  string // empty: one of ours
	About string // one line

	night     bool     // no other colour than red, also for badges
	plainLogs bool     // lines of logs lose their own colours
	fixed     string   // "dark" or "light": the values that are used whatever the terminal answers
	contrast  float64  // of text to its ground, at least; 0: the usual
	apart     []string // eyes that must tell ok, warn and fail apart by colour alone

	ground, tint shade
	roles        [Themed]roleLook

	// As it was written, for themes that extend this one: names are looked up in the
	// palette of the one that is used.
	file file
}

// file is a theme as it is written.
type file struct {
	palette      map[string]shade
	ground, tint string
	roles        [Themed]fileLook
}

type fileLook struct {
	fg, bg               string
	bold, faint, reverse bool
}

// shade is one colour on dark and on light terminals, and on those with sixteen colours.
type shade struct {
	dark, light, few colour
	hasFew           bool
}

// on picks the colour for a terminal.
func (s shade) on(term Terminal) colour {
	c := s.light
	if term.Dark {
		c = s.dark
	}
	if s.hasFew && term.Profile <= colorprofile.ANSI {
		c = s.few
	}
	return c.in(term.Profile)
}

type roleLook struct {
	fg, bg               shade
	bold, faint, reverse bool
}

// Problem is a mistake in a theme with its place; its error reads "file:line:col: …".
type Problem struct {
	File      string
	Line, Col int
	Msg       string
}

func (p Problem) Error() string { return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Msg) }

// MaxTheme is the size of a theme in bytes, at most.
const MaxTheme = 64 << 10

// Ours lists the themes that come with Lifeboat, the standard one first.
func Ours() []string {
	return []string{Standard, "dark", "light", "high-contrast", "deuteranopia", "red-night", "mono"}
}

// Named gives one of ours.
func Named(name string) (*Theme, error) {
	src, err := themes.FS.ReadFile(name + ".yaml")
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("there is no theme %q", name), "themes are "+strings.Join(Ours(), ", ")+", or a file")
	}
	t, err := Parse("themes/"+name+".yaml", src)
	if err != nil {
		return nil, err
	}
	t.Name, t.File = name, ""
	return t, nil
}

// reader reads a theme and remembers what it found wrong.
type reader struct {
	file  string
	errs  []error
	theme *Theme
}

// Parse reads a theme strictly: an unknown key, role or colour is an error, so that a
// typing mistake does not look like a preference. The error joins all [Problem] values.
func Parse(file string, src []byte) (*Theme, error) {
	r := &reader{file: printable.Line(file), theme: &Theme{File: file}}
	r.theme.file.palette = map[string]shade{}
	top := r.document(src)
	if top != nil {
		r.read(top)
	}
	if len(r.errs) > 0 {
		return nil, hint.Wrap(errors.Join(r.errs...), "lifeboat theme show auto is a theme that works; its file says how one is written")
	}
	return r.theme, nil
}

func (r *reader) bad(n ast.Node, format string, args ...any) {
	p := Problem{File: r.file, Line: 1, Col: 1, Msg: printable.Line(fmt.Sprintf(format, args...))}
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Col = t.Position.Line, t.Position.Column
	}
	r.errs = append(r.errs, p)
}

func (r *reader) document(src []byte) *ast.MappingNode {
	if len(src) > MaxTheme {
		r.errs = append(r.errs, Problem{r.file, 1, 1, fmt.Sprintf("the file has %d bytes, more than %d", len(src), MaxTheme)})
		return nil
	}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		p := Problem{File: r.file, Line: 1, Col: 1, Msg: err.Error()}
		if e, ok := errors.AsType[yaml.Error](err); ok {
			p.Msg = e.GetMessage()
			if t := e.GetToken(); t != nil && t.Position != nil {
				p.Line, p.Col = t.Position.Line, t.Position.Column
			}
		}
		p.Msg = printable.Line(p.Msg)
		r.errs = append(r.errs, p)
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		r.errs = append(r.errs, Problem{r.file, 1, 1, "a theme is one document with a palette and roles"})
		return nil
	}
	return r.mapping(file.Docs[0].Body, "a theme")
}

func (r *reader) mapping(n ast.Node, what string) *ast.MappingNode {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: &ast.BaseNode{}, Start: m.Start, Values: []*ast.MappingValueNode{m}}
	}
	r.bad(n, "%s is a mapping of names to values", what)
	return nil
}

// each calls do for the keys of a mapping that are among known.
func (r *reader) each(n ast.Node, what string, known []string, do func(key string, k, v ast.Node)) {
	m := r.mapping(n, what)
	if m == nil {
		return
	}
	seen := map[string]bool{}
	for _, f := range m.Values {
		key := f.Key.String()
		if t := f.Key.GetToken(); t != nil {
			key = t.Value
		}
		switch {
		case known != nil && !slices.Contains(known, key):
			near := ""
			if n := hint.Nearest(key, known); n != "" {
				near = fmt.Sprintf("; did you mean %q?", n)
			}
			r.bad(f.Key, "%s %q is not known%s It is one of %s", what, key, cmp.Or(near, "."), strings.Join(known, ", "))
		case seen[key]:
			r.bad(f.Key, "%s %q is said twice", what, key)
		default:
			seen[key] = true
			do(key, f.Key, f.Value)
		}
	}
}

var themeKeys = []string{"about", "extends", "ground", "tint", "fixed", "night", "logs", "contrast", "apart", "palette", "roles"}

func (r *reader) read(top *ast.MappingNode) {
	parts := map[string]ast.Node{}
	r.each(top, "key", themeKeys, func(key string, _, v ast.Node) { parts[key] = v })
	t := r.theme
	if n, ok := parts["extends"]; ok {
		base, err := Named(r.text(n))
		if err != nil {
			r.bad(n, "%v: a theme extends one of %s", err, strings.Join(Ours(), ", "))
			return
		}
		file := t.File
		*t = *base
		t.File, t.file.palette = file, maps.Clone(base.file.palette)
	}
	if n, ok := parts["palette"]; ok {
		r.each(n, "palette", nil, func(key string, _, v ast.Node) { t.file.palette[key] = r.shade(v) })
	}
	for _, key := range themeKeys { // in this order, whatever that of the file
		if n, ok := parts[key]; ok {
			r.value(key, n)
		}
	}
	if n, ok := parts["roles"]; ok {
		r.each(n, "role", roleNames[:Themed], func(key string, _, v ast.Node) {
			t.file.roles[slices.Index(roleNames[:], key)] = r.role(v)
		})
	}
	t.resolve()
}

// value reads a key that is one value.
func (r *reader) value(key string, n ast.Node) {
	t := r.theme
	switch key {
	case "about":
		t.About = printable.Line(r.text(n))
	case "ground":
		t.file.ground = r.colour(n)
	case "tint":
		t.file.tint = r.colour(n)
	case "fixed":
		if t.fixed = r.text(n); t.fixed != "dark" && t.fixed != "light" {
			r.bad(n, "fixed is dark or light: whose values of the palette are used on every terminal")
		}
	case "night":
		t.night = r.yes(n)
	case "logs":
		s := r.text(n)
		if s != "plain" && s != "coloured" {
			r.bad(n, "logs is plain or coloured")
		}
		t.plainLogs = s == "plain"
	case "contrast":
		f, err := strconv.ParseFloat(r.text(n), 64)
		if err != nil || f < 1 || f > 21 {
			r.bad(n, "contrast is a ratio from 1 to 21")
		}
		t.contrast = f
	case "apart":
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			r.bad(n, "apart is a list of deuteranopia, protanopia")
			return
		}
		t.apart = nil
		for _, v := range seq.Values {
			name := r.text(v)
			if name != eyes[1].name && name != eyes[2].name {
				r.bad(v, "apart is a list of deuteranopia, protanopia")
			}
			t.apart = append(t.apart, name)
		}
	}
}

func (r *reader) text(n ast.Node) string {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.LiteralNode:
		return n.GetToken().Value
	}
	r.bad(n, "this is one value, in quotes where it has special characters")
	return ""
}

func (r *reader) yes(n ast.Node) bool {
	s := r.text(n)
	if s != "true" && s != "false" {
		r.bad(n, "this is true or false")
	}
	return s == "true"
}

// colour reads a colour or a name of the palette.
func (r *reader) colour(n ast.Node) string {
	name := r.text(n)
	if _, ok := r.theme.file.palette[name]; ok {
		return name
	}
	if _, err := parseColour(name); err != nil {
		known := slices.Sorted(maps.Keys(r.theme.file.palette))
		near := hint.Nearest(name, append(known, append(basicNames[:], "default", "faint")...))
		if near != "" {
			near = fmt.Sprintf("; did you mean %q?", near)
		}
		r.bad(n, "%v%s A colour is a name like red or bright-red, a number up to 255, \"#rrggbb\", default, or a name of the palette", err, cmp.Or(near, "."))
	}
	return name
}

func (r *reader) plain(n ast.Node) colour {
	c, err := parseColour(r.text(n))
	if err != nil {
		r.bad(n, "%v. A colour of the palette is a name like red or bright-red, a number up to 255, \"#rrggbb\", default or faint", err)
	}
	return c
}

// shade reads an entry of the palette: one colour, or one for each kind of terminal.
func (r *reader) shade(n ast.Node) shade {
	if _, ok := n.(*ast.StringNode); ok {
		c := r.plain(n)
		return shade{dark: c, light: c}
	}
	var s shade
	r.each(n, "key", []string{"dark", "light", "few"}, func(key string, _, v ast.Node) {
		switch c := r.plain(v); key {
		case "dark":
			s.dark = c
		case "light":
			s.light = c
		default:
			s.few, s.hasFew = c, true
			if c.kind >= indexed {
				r.bad(v, "few is for terminals with sixteen colours: a name like red or bright-red, default or faint")
			}
		}
	})
	return s
}

func (r *reader) role(n ast.Node) fileLook {
	var l fileLook
	r.each(n, "key", []string{"fg", "bg", "bold", "faint", "reverse"}, func(key string, _, v ast.Node) {
		switch key {
		case "fg":
			l.fg = r.colour(v)
		case "bg":
			l.bg = r.colour(v)
		case "bold":
			l.bold = r.yes(v)
		case "faint":
			l.faint = r.yes(v)
		default:
			l.reverse = r.yes(v)
		}
	})
	return l
}

// resolve looks the names up.
func (t *Theme) resolve() {
	find := func(name string) shade {
		s, ok := t.file.palette[name]
		if !ok {
			c, _ := parseColour(name) // checked when it was read
			s = shade{dark: c, light: c}
		}
		switch t.fixed {
		case "dark":
			s.light = s.dark
		case "light":
			s.dark = s.light
		}
		return s
	}
	t.ground, t.tint = find(t.file.ground), find(t.file.tint)
	for i, l := range t.file.roles {
		t.roles[i] = roleLook{find(l.fg), find(l.bg), l.bold, l.faint, l.reverse}
	}
}
