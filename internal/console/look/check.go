package look

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/colorprofile"

	"lifeboat/internal/console/widget"
)

// State is one thing that the console tells apart: how it is drawn, and in which group
// it has to differ from others.
type State struct {
	Group string // "step", "outcome", …
	Name  string
	Glyph string // empty: the word is a badge and stands alone
	Word  string // what stands beside it
	Role  widget.Role
}

// Finding is what a check says: lines to print, and which promises do not hold.
type Finding struct {
	Lines []string
	Fails []string
}

func (f *Finding) say(format string, args ...any) {
	f.Lines = append(f.Lines, fmt.Sprintf(format, args...))
}
func (f *Finding) fail(format string, args ...any) {
	f.Fails = append(f.Fails, fmt.Sprintf(format, args...))
}

// What a colour must have against its ground, as a ratio of WCAG 2. Colours of the
// terminal's own palette are its owner's choice: they are counted on common palettes,
// and must only be visible. Lines and what stepped back are not read.
const (
	readable = 4.5
	visible  = 3.0
	lines    = 1.5
)

// grounds that terminals have, for themes that leave them alone.
var grounds = map[bool][]struct {
	name string
	c    colour
}{
	true:  {{"black", rgb(0x000000)}, {"#1e1e1e", rgb(0x1e1e1e)}, {"Nord", rgb(0x2e3440)}, {"Solarized", rgb(0x002b36)}},
	false: {{"white", rgb(0xffffff)}, {"Solarized", rgb(0xfdf6e3)}},
}

// states whose colours are compared.
var stateRoles = []widget.Role{OK, Warn, Fail, Now, Gate, Live, Drill}

// Check counts the contrast of a theme and compares its colours as other eyes see them.
func (t *Theme) Check() Finding {
	var f Finding
	need := cmp.Or(t.contrast, readable)
	f.say("contrast: text needs %.1f, colours of the terminal's own palette %.1f, lines %.1f", need, visible, lines)
	f.say("  %-8s %-32s %s", "", "on dark terminals", "on light terminals")
	for r := range Themed {
		var cols [2]string
		for i, dark := range []bool{true, false} {
			if t.fixed == "dark" && !dark || t.fixed == "light" && dark {
				cols[i] = "-"
				continue
			}
			cols[i] = t.worst(&f, r, dark, need)
		}
		f.say("  %-8s %-32s %s", RoleName(r), cols[0], cols[1])
	}
	for _, r := range []widget.Role{LiveBadge, DrillBadge, DryBadge} {
		b := t.badge(r, Terminal{colorprofile.TrueColor, true})
		f.say("  %-8s %.1f in itself, the same in every theme", strings.TrimSuffix(RoleName(r), " badge"), ratio(b.fg, b.bg, xterm))
	}
	for _, e := range eyes {
		for _, dark := range []bool{true, false} {
			if t.fixed == "dark" && !dark || t.fixed == "light" && dark {
				continue
			}
			t.seen(&f, e, dark)
		}
	}
	return f
}

// worst finds the ground on which a role is read worst, also that of the chosen row.
func (t *Theme) worst(f *Finding, r widget.Role, dark bool, need float64) string {
	term := Terminal{colorprofile.TrueColor, dark}
	face := t.face(r, term)
	if !face.fg.seen() && !face.bg.seen() {
		return "the terminal's own"
	}
	worst, where := 22.0, ""
	try := func(c, ground colour, p palette, name string) {
		if v := ratio(c, ground, p); v < worst {
			worst, where = v, name
		}
	}
	quiet := r == Frame || r == Heavy || r == Fade
	own := t.ground.on(term)
	if face.bg.seen() {
		own = face.bg
	}
	if face.reverse {
		face.fg, own = own, face.fg
	}
	if tint := t.tint.on(term); tint.seen() && face.fg.kind == exact && !quiet {
		try(face.fg, tint, xterm, "the chosen row")
	}
	switch {
	case face.fg.kind == basic:
		if t.contrast == 0 {
			need = visible
		}
		for _, p := range palettes {
			if p.dark == dark || own.seen() {
				try(face.fg, own, p, face.fg.String()+" of "+p.name)
			}
		}
	case own.seen():
		try(face.fg, own, xterm, "its own ground")
	default:
		for _, g := range grounds[dark] {
			try(face.fg, g.c, xterm, g.name)
		}
	}
	switch {
	case quiet:
		need = lines
	case r == Brand:
		need = visible // a mark, not a text
	}
	mark := ""
	if worst < need {
		mark = "  TOO LOW"
		kind := map[bool]string{true: "dark", false: "light"}[dark]
		f.fail("%s on %s terminals has a contrast of %.1f (%s), and needs %.1f", RoleName(r), kind, worst, where, need)
	}
	return fmt.Sprintf("%.1f %s%s", worst, where, mark)
}

// alike is a distance of two colours below which they do not tell states apart.
const alike = 0.1

// seen compares the colours of states as an eye sees them.
func (t *Theme) seen(f *Finding, e eye, dark bool) {
	term := Terminal{colorprofile.TrueColor, dark}
	p := palettes[3] // as good as any for names
	at := func(r widget.Role) ([3]float64, bool) {
		fg := t.face(r, term).fg
		return e.oklab(fg.rgb(p)), fg.seen()
	}
	var same []string
	for i, a := range stateRoles {
		for _, b := range stateRoles[i+1:] {
			ca, _ := at(a)
			cb, _ := at(b)
			d := apart(ca, cb)
			if d >= alike {
				continue
			}
			same = append(same, RoleName(a)+"/"+RoleName(b))
			if a <= Fail && b <= Fail && slices.Contains(t.apart, e.name) {
				f.fail("%s and %s look alike with %s (%.2f apart, %.2f needed), and the theme promises that they do not", RoleName(a), RoleName(b), e.name, d, alike)
			}
		}
	}
	text := "colour tells all states apart too"
	switch all := len(stateRoles) * (len(stateRoles) - 1) / 2; {
	case len(same) == all:
		text = "colour tells nothing, glyph and word do"
	case len(same) > 0:
		text = "told apart by glyph and word only: " + strings.Join(same, ", ")
	}
	f.say("%s, %s: %s", e.name, map[bool]string{true: "dark", false: "light"}[dark], text)
}

// CheckStates proves that the states of each group are told apart without colour, with
// our glyphs and with ASCII: every one has a word, and two never share glyph and word.
func CheckStates(states []State) Finding {
	var f Finding
	var groups []string
	by := map[string][]State{}
	for _, s := range states {
		if _, ok := by[s.Group]; !ok {
			groups = append(groups, s.Group)
		}
		by[s.Group] = append(by[s.Group], s)
	}
	for _, g := range groups {
		f.say("%s", g)
		for i, s := range by[g] {
			f.say("  %s %s  %-22s %s", cmp.Or(s.Glyph, " "), ASCII(cmp.Or(s.Glyph, " ")), s.Name, s.Word)
			if strings.TrimSpace(s.Word) == "" {
				f.fail("%s %q has no word", g, s.Name)
			}
			if s.Glyph != "" && (widget.Width(s.Glyph) != 1 || len(ASCII(s.Glyph)) != 1 || s.Glyph != "?" && ASCII(s.Glyph) == "?") {
				f.fail("%s %q: the glyph %q is not one cell in both sets", g, s.Name, s.Glyph)
			}
			for _, o := range by[g][:i] {
				if o.Word == s.Word && ASCII(o.Glyph) == ASCII(s.Glyph) {
					f.fail("%s: %q and %q look the same without colour", g, o.Name, s.Name)
				}
			}
		}
	}
	return f
}

// Swatch draws every role and every state in a theme: one line of cells each, for
// [widget.Canvas]. It is handed to do with the place, the role and the text.
func Swatch(states []State, do func(x, y int, r widget.Role, a widget.Attr, text string)) (rows int) {
	x, y := 2, 0
	for _, r := range []widget.Role{LiveBadge, DrillBadge, DryBadge, GateBadge, WarnBadge, FailBadge, OKBadge, Keycap} {
		word := strings.ToUpper(strings.TrimSuffix(RoleName(r), " badge"))
		do(x, y, r, 0, " "+word+" ")
		x += len(word) + 4
	}
	y += 2
	for r := range Themed {
		do(2, y, r, 0, fmt.Sprintf("%-8s", RoleName(r)))
		do(12, y, r, widget.Bold, "bold")
		do(18, y, r, widget.Tint, " chosen ")
		do(28, y, r, widget.Under, "found")
		do(35, y, r, widget.Invert, "cursor")
		do(43, y, r, 0, RoleMeans(r))
		y++
	}
	y++
	group := ""
	for _, s := range states {
		if s.Group != group {
			group = s.Group
			y++
			do(2, y, Strong, 0, group)
			y++
		}
		if s.Glyph != "" {
			do(2, y, s.Role, 0, s.Glyph)
		}
		do(4, y, Text, 0, s.Name)
		if s.Role >= Themed {
			do(30, y, s.Role, 0, " "+s.Word+" ")
		} else {
			do(30, y, s.Role, 0, s.Word)
		}
		y++
	}
	return y
}
