// Package widget draws without knowing what it draws: a canvas of cells, a text
// field, a pane over a growing log file, and the reader behind that pane.
//
// Everything is drawn on a [Canvas]. A canvas has a fixed size and clips, so no frame
// can be wider or taller than the terminal, whatever is written on it; and it cleans
// all text on its way in, so no control sequence of foreign text can reach the
// terminal. Neither depends on the care of the code that draws.
package widget

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Role says what a piece of text means; a theme gives it its colour. The zero Role is
// plain text.
type Role uint8

// Attr is what a single cell adds to its role.
type Attr uint8

// The attributes.
const (
	Bold   Attr = 1 << iota
	Under       // underlined: the part that a search found
	Tint        // on the tinted ground of a chosen row
	Invert      // the cursor of a text field
)

type cell struct {
	text string // one grapheme cluster; empty is a blank
	sgr  string // parameters of foreign colours, "31;1"; empty: the role decides
	role Role
	attr Attr
	tail bool // the right half of a wide character
}

// Canvas is a rectangle of cells.
type Canvas struct {
	W, H  int
	clean func(string) string
	cells []cell
}

// NewCanvas makes a blank canvas. clean makes one line of foreign text printable: no
// escape, no control character, valid UTF-8. A size below zero is zero.
func NewCanvas(w, h int, clean func(string) string) *Canvas {
	w, h = max(w, 0), max(h, 0)
	return &Canvas{W: w, H: h, clean: clean, cells: make([]cell, w*h)}
}

// Put writes s at x, y, at most limit cells of it, and returns how many cells it used.
// What does not fit is cut without a mark.
func (c *Canvas) Put(x, y, limit int, role Role, attr Attr, s string) int {
	return c.put(x, y, limit, cell{role: role, attr: attr}, c.clean(s))
}

// PutStyled writes one line that holds SGR colour sequences, as [printable.Styled]
// leaves them. Any other sequence is dropped together with its introducer.
func (c *Canvas) PutStyled(x, y, limit int, s string) int {
	used, sgr := 0, ""
	for len(s) > 0 && used < limit {
		i := strings.IndexByte(s, '\x1b')
		if i < 0 {
			i = len(s)
		}
		used += c.put(x+used, y, limit-used, cell{sgr: sgr}, c.clean(s[:i]))
		if i == len(s) {
			break
		}
		var params string
		var ok bool
		if params, s, ok = cutSGR(s[i+1:]); ok {
			sgr = join(sgr, params)
		}
	}
	return used
}

// cutSGR takes "[31m" off the front of s.
func cutSGR(s string) (params, rest string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return "", s, false
	}
	end := 1
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == ';' || s[end] == ':') {
		end++
	}
	if end < len(s) && s[end] == 'm' {
		return s[1:end], s[end+1:], true
	}
	return "", s, false
}

// maxSGR bounds what a line without a reset can pile up, in bytes, and maxParams in
// parameters: a terminal may ignore a sequence with more than 16 of them, and the renderer
// of Bubble Tea panics at the 33rd.
const (
	maxSGR    = 64
	maxParams = 16
)

func join(have, more string) string {
	switch {
	case more == "" || more == "0" || params(more) > maxParams:
		return ""
	case strings.HasPrefix(more, "0;"):
		have, more = "", more[2:]
	}
	if have == "" || len(have)+len(more) > maxSGR || params(have)+params(more) > maxParams {
		return more
	}
	return have + ";" + more
}

func params(sgr string) int { return 1 + strings.Count(sgr, ";") + strings.Count(sgr, ":") }

func (c *Canvas) put(x, y, limit int, like cell, s string) int {
	if y < 0 || y >= c.H {
		return 0
	}
	used := 0
	for len(s) > 0 {
		text, w := cluster(s)
		s = s[len(text):]
		if w == 0 {
			continue // a combining mark without a base
		}
		if used+w > limit || x+used+w > c.W {
			break
		}
		if x+used >= 0 {
			like.text, like.tail = text, false
			c.set(x+used, y, like)
			if w == 2 {
				like.text, like.tail = "", true
				c.cells[y*c.W+x+used+1] = like
			}
		}
		used += w
	}
	return used
}

// set overwrites a cell and breaks up a wide character that it cuts in half.
func (c *Canvas) set(x, y int, v cell) {
	i := y*c.W + x
	if c.cells[i].tail && x > 0 {
		c.cells[i-1].text = ""
	}
	if x+1 < c.W && c.cells[i+1].tail {
		c.cells[i+1].tail, c.cells[i+1].text = false, ""
	}
	c.cells[i] = v
}

func cluster(s string) (string, int) {
	if s[0] >= ' ' && s[0] < 0x7f && (len(s) == 1 || s[1] < 0x80) {
		return s[:1], 1
	}
	text, w := ansi.FirstGraphemeCluster(s, ansi.WcWidth)
	if text == "" {
		return s[:1], 0
	}
	return text, min(w, 2)
}

// Width is how many cells s takes, which must be clean.
func Width(s string) int {
	n := 0
	for len(s) > 0 {
		text, w := cluster(s)
		s = s[len(text):]
		n += w
	}
	return n
}

// Cut shortens clean text to w cells, with mark at the end when something is missing.
func Cut(s string, w int, mark string) string {
	if Width(s) <= w {
		return s
	}
	room := w - Width(mark)
	if room < 0 {
		return ""
	}
	n, end := 0, 0
	for end < len(s) {
		text, cw := cluster(s[end:])
		if n+cw > room {
			break
		}
		n, end = n+cw, end+len(text)
	}
	return strings.TrimRight(s[:end], " ") + mark
}

// each calls do for the cells of a rectangle, clipped.
func (c *Canvas) each(x, y, w, h int, do func(*cell)) {
	for row := max(y, 0); row < min(y+h, c.H); row++ {
		for col := max(x, 0); col < min(x+w, c.W); col++ {
			do(&c.cells[row*c.W+col])
		}
	}
}

// Fade gives every cell of a rectangle one role, without attributes: it steps back
// behind what is drawn over it. Heavy borders become light ones, because only what is
// to be looked at has one.
func (c *Canvas) Fade(x, y, w, h int, role Role) {
	c.each(x, y, w, h, func(v *cell) {
		v.role, v.attr, v.sgr = role, 0, ""
		if thin, ok := light[v.text]; ok {
			v.text = thin
		}
	})
}

var light = map[string]string{"━": "─", "┃": "│", "┏": "╭", "┓": "╮", "┗": "╰", "┛": "╯"}

// Mark adds an attribute to a rectangle.
func (c *Canvas) Mark(x, y, w, h int, attr Attr) {
	c.each(x, y, w, h, func(v *cell) { v.attr |= attr })
}

// Clear blanks a rectangle.
func (c *Canvas) Clear(x, y, w, h int) {
	for row := max(y, 0); row < min(y+h, c.H); row++ {
		for col := max(x, 0); col < min(x+w, c.W); col++ {
			c.set(col, row, cell{})
		}
	}
}

// Paint says how a canvas is written: the SGR prefix of a role with attributes, that of
// foreign colours (nil: as they came), and the plain form of a character where the
// terminal has only ASCII (nil: as it is).
type Paint struct {
	Prefix  func(Role, Attr) string
	Foreign func(params string) string
	Plain   func(string) string
	Full    bool // blanks are painted too: the ground is not that of the terminal
}

// Render gives the frame: H lines of at most W cells. Blanks at the end of a line are
// kept only where they are visible.
func (c *Canvas) Render(p Paint) string {
	var b strings.Builder
	b.Grow(len(c.cells) * 2)
	for y := range c.H {
		if y > 0 {
			b.WriteByte('\n')
		}
		c.renderLine(&b, c.cells[y*c.W:(y+1)*c.W], p)
	}
	return b.String()
}

func (c *Canvas) renderLine(b *strings.Builder, line []cell, p Paint) {
	end := len(line)
	for !p.Full && end > 0 && line[end-1] == (cell{role: line[end-1].role}) {
		end--
	}
	open := false
	for i := range end {
		v := &line[i]
		if i == 0 || v.role != line[i-1].role || v.attr != line[i-1].attr || v.sgr != line[i-1].sgr {
			if open {
				b.WriteString("\x1b[m")
			}
			prefix := ""
			switch {
			case v.sgr == "":
				prefix = p.Prefix(v.role, v.attr)
			case p.Foreign != nil:
				prefix = p.Foreign(v.sgr)
			default:
				prefix = "\x1b[" + v.sgr + "m"
			}
			b.WriteString(prefix)
			open = prefix != ""
		}
		switch {
		case v.tail:
		case v.text == "":
			b.WriteByte(' ')
		case p.Plain != nil:
			b.WriteString(p.Plain(v.text))
		default:
			b.WriteString(v.text)
		}
	}
	if open {
		b.WriteString("\x1b[m")
	}
}
