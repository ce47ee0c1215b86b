package console

import (
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// The roles of the theme, then the badges, which no theme can change.
const (
	rText widget.Role = iota
	rStrong
	rDim
	rFaint
	rFrame
	rHeavy
	rOK
	rWarn
	rFail
	rNow
	rGate
	rLive
	rDrill
	rDry
	rBrand
	rFade
	themed // number of roles a theme decides
)

const (
	rLiveBadge = themed + iota
	rDrillBadge
	rDryBadge
	rGateBadge
	rWarnBadge
	rFailBadge
	rOKBadge
	rKeycap
	roles // number of all
)

var roleNames = [themed]string{
	"text", "strong", "dim", "faint", "frame", "heavy", "ok", "warn", "fail", "now",
	"gate", "live", "drill", "dry", "brand", "fade",
}

// style holds the escape sequence in front of every role with every attribute, made
// once from the theme and what the terminal can show.
type style struct {
	prefix [roles][16]string
	ascii  bool
}

// newStyle resolves a theme. mono means a terminal without colours: badges are then
// reverse video, and the words do the rest.
func newStyle(t theme, dark, mono, ascii bool) *style {
	s := &style{ascii: ascii}
	tint, _ := t.color(t.Tint, dark) // checked when the theme was read
	for r := range roles {
		look := badge(r, mono)
		if r < themed {
			look = t.style(roleNames[r], dark)
		}
		for a := range s.prefix[r] {
			l := look
			attr := widget.Attr(a)
			if attr&widget.Bold != 0 {
				l = l.Bold(true).Faint(false)
			}
			if attr&widget.Under != 0 {
				l = l.Underline(true)
			}
			if (attr&widget.Tint != 0 && r < themed || r == rKeycap && !mono) && tint != nil {
				l = l.Background(tint)
			}
			if attr&widget.Invert != 0 {
				l = l.Reverse(true)
			}
			s.prefix[r][a], _, _ = strings.Cut(l.Render("x"), "x")
		}
	}
	return s
}

func (t *theme) style(name string, dark bool) lipgloss.Style {
	look := t.Roles[name]
	l := lipgloss.NewStyle().Bold(look.Bold).Faint(look.Faint).Reverse(look.Reverse)
	if c, _ := t.color(look.FG, dark); c != nil {
		l = l.Foreground(c)
	}
	if c, _ := t.color(look.BG, dark); c != nil {
		l = l.Background(c)
	}
	return l
}

func badge(r widget.Role, mono bool) lipgloss.Style {
	l := lipgloss.NewStyle().Bold(true)
	if mono {
		return l.Reverse(true)
	}
	black, white := lipgloss.Black, lipgloss.BrightWhite
	switch r { // exact colours where there are any: some palettes have a pink red or a navy blue
	case rLiveBadge, rFailBadge:
		return l.Foreground(white).Background(lipgloss.Color("#c62a20"))
	case rDrillBadge:
		return l.Foreground(lipgloss.Color("#08121f")).Background(lipgloss.Color("#6fb4ff"))
	case rDryBadge:
		return l.Foreground(lipgloss.Color("#08121f")).Background(lipgloss.Color("#62d3d6"))
	case rGateBadge:
		return l.Foreground(black).Background(lipgloss.Magenta)
	case rWarnBadge:
		return l.Foreground(black).Background(lipgloss.Yellow)
	case rOKBadge:
		return l.Foreground(black).Background(lipgloss.Green)
	}
	return l // a key cap: bold on the tint
}

// paint is how the canvas writes itself.
func (s *style) paint() widget.Paint {
	p := widget.Paint{Prefix: func(r widget.Role, a widget.Attr) string { return s.prefix[r][a] }}
	if s.ascii {
		p.Plain = plainGlyph
	}
	return p
}

// plainGlyph gives the ASCII cell for a cell, so that no layout moves.
func plainGlyph(cell string) string {
	switch cell {
	case "✓":
		return "v"
	case "✗":
		return "x"
	case "▸", "╸":
		return ">"
	case "○":
		return "o"
	case "□":
		return "_"
	case "◆":
		return "*"
	case "▲":
		return "!"
	case "◂":
		return "<"
	case "━":
		return "="
	case "─", "–":
		return "-"
	case "┊":
		return ":"
	case "│":
		return "|"
	case "╭", "╮", "╰", "╯":
		return "+"
	case "┃", "┏", "┓", "┗", "┛":
		return "#"
	case "·":
		return "."
	case "…", "␍":
		return "~"
	}
	if len(cell) > 1 { // one cell of anything else that such a terminal cannot show
		return strings.Repeat("?", max(widget.Width(cell), 1))
	}
	return cell
}

// modeLook is how a mode is drawn: its word, its badge, its border.
func modeLook(m run.Mode) (word string, badge, border widget.Role) {
	switch m {
	case run.Drill:
		return "DRILL", rDrillBadge, rDrill
	case run.Dry:
		return "DRY RUN", rDryBadge, rDry
	}
	return "LIVE", rLiveBadge, rLive
}

// stepLook is the glyph of a step before it runs and what it will ask.
func stepLook(o run.Outline) (glyph string, role widget.Role, words string) {
	switch {
	case o.Hand:
		return "□", rText, "you do it"
	case o.Effect == "destroy":
		return "◆", rGate, "typed token"
	case o.Effect == "write":
		return "○", rText, "asks, then runs"
	}
	return "○", rText, "runs itself"
}

// stateLook is the glyph of a step as it stands now.
func stateLook(s *run.Step) (glyph string, role widget.Role) {
	switch s.State {
	case run.Verified, run.Claimed:
		return "✓", rOK
	case run.Failed:
		if s.ElseTo != "" {
			return "–", rDim
		}
		return "✗", rFail
	case run.InDoubt:
		return "?", rWarn
	case run.Skipped:
		return "–", rDim
	case run.Overridden:
		return "▲", rWarn
	case run.Undone:
		return "◂", rDim
	case run.Running, run.Checking:
		return "▸", rNow
	}
	glyph, role, _ = stepLook(s.Outline)
	return glyph, role
}

// clock writes a length of time as 2:46, 60:00 or 2:02:46.
func clock(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	n := int(d / time.Second)
	if n >= 100*60 {
		return sign + itoa(n/3600) + ":" + two(n/60%60) + ":" + two(n%60)
	}
	return sign + itoa(n/60) + ":" + two(n%60)
}

// words writes a length of time for people: 47 s, 1 min 56 s, 2 h 20, 12 days.
func words(d time.Duration) string {
	n := int(d / time.Second)
	switch {
	case n < 60:
		return itoa(n) + " s"
	case n < 600 && n%60 != 0:
		return itoa(n/60) + " min " + itoa(n%60) + " s"
	case n < 3600:
		return itoa(n/60) + " min"
	case n < 48*3600:
		if n/60%60 == 0 {
			return itoa(n/3600) + " h"
		}
		return itoa(n/3600) + " h " + two(n/60%60)
	}
	return itoa(n/86400) + " days"
}

func two(n int) string {
	if n < 10 {
		return "0" + itoa(n)
	}
	return itoa(n)
}
