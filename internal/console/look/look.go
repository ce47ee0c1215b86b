// Package look is how the console looks: what a piece of text means (its role), the
// themes that give roles their colours, what a terminal can show of them, and the
// glyphs. It draws nothing and reads no files.
//
// Colour means state and nothing else, and it never stands alone: a state also has a
// glyph and a word. So every theme may be replaced by none at all.
package look

import (
	"strconv"
	"strings"

	"github.com/charmbracelet/colorprofile"

	"lifeboat/internal/console/widget"
)

// The roles that a theme decides, then the badges, which no theme can change or take
// away.
const (
	Text widget.Role = iota
	Strong
	Dim
	Faint
	Frame
	Heavy
	OK
	Warn
	Fail
	Now
	Gate
	Live
	Drill
	Dry
	Brand
	Fade
	Themed // number of roles that a theme decides
)

// The badges.
const (
	LiveBadge = Themed + iota
	DrillBadge
	DryBadge
	GateBadge
	WarnBadge
	FailBadge
	OKBadge
	Keycap
	Roles // number of all
)

var roleNames = [Roles]string{
	"text", "strong", "dim", "faint", "frame", "heavy", "ok", "warn", "fail", "now",
	"gate", "live", "drill", "dry", "brand", "fade",
	"LIVE badge", "DRILL badge", "DRY RUN badge", "gate badge", "warn badge", "fail badge", "ok badge", "key cap",
}

// RoleName is the name of a role in a theme, or of a badge.
func RoleName(r widget.Role) string { return roleNames[r] }

// RoleMeans says in a few words what a role is for.
func RoleMeans(r widget.Role) string {
	return [Themed]string{
		"what you read", "what you must read, key names", "explanation, labels, units", "time stamps, evidence of done steps",
		"light borders, rules, empty bars", "heavy border where no run is", "done, inside the promise",
		"look at this, or in doubt", "failed, promise broken", "progress of the running step", "typed token needed",
		"mode LIVE: rule, heavy border", "mode DRILL: rule, heavy border", "mode DRY RUN: rule, heavy border", "the word mark", "what stepped back behind a card",
	}[r]
}

// Terminal is what a terminal can show.
type Terminal struct {
	Profile colorprofile.Profile
	Dark    bool // its own ground is dark
}

// colours says whether it shows any.
func (t Terminal) colours() bool { return t.Profile > colorprofile.ASCII }

// Style holds the escape sequence in front of every role with every attribute, made
// once from a theme and what the terminal can show.
type Style struct {
	prefix [Roles][16]string
	logs   bool // lines of logs keep their own colours
	Full   bool // the theme has a ground of its own: blanks are painted too
}

// Style resolves a theme for a terminal.
func (t *Theme) Style(term Terminal) *Style {
	s := &Style{logs: !t.plainLogs, Full: t.ground.on(term).seen()}
	for r := range Roles {
		for a := range s.prefix[r] {
			s.prefix[r][a] = t.face(r, term).with(widget.Attr(a), t, r, term).sgr()
		}
	}
	return s
}

// Prefix is the escape sequence that begins a role; empty where it needs none.
func (s *Style) Prefix(r widget.Role, a widget.Attr) string { return s.prefix[r][a] }

// Foreign begins a piece of a log line that brought colours of its own: SGR parameters.
// On a ground of the theme they become the colours of the theme: those of the terminal
// were chosen for another ground.
func (s *Style) Foreign(sgr string) string {
	switch {
	case !s.logs:
		return s.prefix[Text][0]
	case !s.Full:
		return "\x1b[" + sgr + "m"
	}
	role, attr := Text, widget.Attr(0)
	for p, rest := "", sgr; rest != ""; {
		p, rest, _ = strings.Cut(rest, ";")
		switch p {
		case "38", "48": // a colour of 256 or an exact one: its parameters are passed over
			kind, more, _ := strings.Cut(rest, ";")
			n := map[string]int{"5": 1, "2": 3}[kind]
			for rest = more; n > 0; n-- {
				_, rest, _ = strings.Cut(rest, ";")
			}
		case "1":
			attr |= widget.Bold
		case "4":
			attr |= widget.Under
		case "22":
			attr &^= widget.Bold
		case "39":
			role = Text
		default:
			if r, ok := foreignRoles[p]; ok {
				role = r
			}
		}
	}
	return s.prefix[role][attr]
}

// foreignRoles have the colours that programs mean with the sixteen.
var foreignRoles = map[string]widget.Role{
	"31": Fail, "32": OK, "33": Warn, "34": Drill, "35": Gate, "36": Now,
	"91": Fail, "92": OK, "93": Warn, "94": Drill, "95": Gate, "96": Now,
	"2": Faint, "90": Faint, "37": Text, "97": Strong,
}

// Paint is how a canvas writes itself in this style, with ASCII glyphs or ours.
func (s *Style) Paint(ascii bool) widget.Paint {
	p := widget.Paint{Prefix: s.Prefix, Foreign: s.Foreign, Full: s.Full}
	if ascii {
		p.Plain = ASCII
	}
	return p
}

// face is what a cell looks like.
type face struct {
	fg, bg               colour
	bold, under, reverse bool
	faint                bool
}

// face is a role on a terminal, without attributes of single cells.
func (t *Theme) face(r widget.Role, term Terminal) face {
	if r >= Themed {
		return t.badge(r, term)
	}
	l := t.roles[r]
	return face{fg: l.fg.on(term), bg: l.bg.on(term), bold: l.bold, faint: l.faint, reverse: l.reverse}
}

// with adds the attributes of a cell, the ground of a chosen row and that of the theme.
// Where a terminal has no colour for the chosen row, it is underlined: what is chosen
// can always be seen.
func (f face) with(a widget.Attr, t *Theme, r widget.Role, term Terminal) face {
	f.bold = f.bold || a&widget.Bold != 0 && r < Themed // a badge knows itself: bold black is grey on some terminals
	f.under = a&widget.Under != 0
	tint := t.tint.on(term)
	switch {
	case a&widget.Tint != 0 && r < Themed && tint.seen():
		f.bg = tint
	case a&widget.Tint != 0 && r < Themed:
		f.under = true
	}
	if a&widget.Invert != 0 {
		f.reverse = true
	}
	if g := t.ground.on(term); g.seen() && !f.bg.seen() {
		f.bg = g
	}
	return f
}

func (f face) sgr() string {
	var p []string
	if f.bold {
		p = append(p, "1")
	}
	if (f.faint || f.fg.kind == faintText) && !f.bold {
		p = append(p, "2")
	}
	if f.under {
		p = append(p, "4")
	}
	if f.reverse {
		p = append(p, "7")
	}
	if s := f.fg.sgr(30); s != "" {
		p = append(p, s)
	}
	if s := f.bg.sgr(40); s != "" {
		p = append(p, s)
	}
	if len(p) == 0 {
		return ""
	}
	return "\x1b[" + strings.Join(p, ";") + "m"
}

// The badges of the modes. They are the same in every theme but those for the night,
// which have no other colour than red.
var (
	white  = colour{kind: exact, r: 255, g: 255, b: 255}
	ink    = colour{kind: exact, r: 0x08, g: 0x12, b: 0x1f}
	black  = colour{kind: exact}
	bright = colour{kind: basic, n: 15}
)

type badgeLook struct{ day, night, few face } // few: on terminals with sixteen colours

var badges = map[widget.Role]badgeLook{
	LiveBadge: {
		day:   face{fg: white, bg: rgb(0xc62a20), bold: true},
		night: face{fg: black, bg: rgb(0xff4530), bold: true},
		few:   face{fg: bright, bg: colour{kind: basic, n: 1}, bold: true},
	},
	DrillBadge: {
		day:   face{fg: ink, bg: rgb(0x6fb4ff), bold: true},
		night: face{fg: rgb(0xff7a66), bg: rgb(0x4a0e08), bold: true},
		few:   face{fg: bright, bg: colour{kind: basic, n: 4}, bold: true},
	},
	DryBadge: {
		day:   face{fg: ink, bg: rgb(0x62d3d6), bold: true},
		night: face{fg: rgb(0xff7a66), bg: rgb(0x2a0805), bold: true},
		few:   face{fg: colour{kind: basic}, bg: colour{kind: basic, n: 6}}, // bold black is grey on some
	},
}

// badge is the look of a badge: that of a mode is ours, the others are the colour of
// their role turned around.
func (t *Theme) badge(r widget.Role, term Terminal) face {
	turned := face{bold: true, reverse: true}
	if !term.colours() {
		return turned
	}
	if b, ok := badges[r]; ok {
		switch {
		case term.Profile == colorprofile.ANSI:
			return b.few
		case t.night:
			return b.night.in(term)
		}
		return b.day.in(term)
	}
	if r == Keycap {
		if tint := t.tint.on(term); tint.seen() {
			return face{fg: t.roles[Strong].fg.on(term), bg: tint, bold: true}
		}
		return turned
	}
	of := map[widget.Role]widget.Role{GateBadge: Gate, WarnBadge: Warn, FailBadge: Fail, OKBadge: OK}[r]
	fg := t.roles[of].fg.on(term)
	if !fg.seen() {
		return turned
	}
	f := face{fg: fg.ink(term.Dark), bg: fg}
	f.bold = f.fg != (colour{kind: basic})
	return f
}

// in converts the colours of a face to what the terminal has.
func (f face) in(term Terminal) face {
	f.fg, f.bg = f.fg.in(term.Profile), f.bg.in(term.Profile)
	return f
}

func itoa(n int) string { return strconv.Itoa(n) }
