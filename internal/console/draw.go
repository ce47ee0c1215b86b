package console

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
)

// span is a piece of text with a meaning. Its text may come from anywhere: the canvas
// cleans it.
type span struct {
	text string
	role widget.Role
	attr widget.Attr
}

func txt(role widget.Role, text string) span { return span{text: text, role: role} }
func bold(role widget.Role, text string) span {
	return span{text: text, role: role, attr: widget.Bold}
}

// row is a line of a screen: text from the left and text at the right end.
type row struct {
	left, right []span
	styled      string // a log line that holds its own colours
	tint        bool   // the chosen row
	here        bool   // has the cursor: scrolling keeps it in sight
	spare       int    // when room is short: 1 goes first, 2 goes next, 0 stays
}

func line(spans ...span) row { return row{left: spans} }

// gap is an empty line that gives way first.
func gap() row { return row{spare: 1} }

// extra marks rows that explain: they go before what must be known.
func extra(rs []row) []row {
	for i := range rs {
		rs[i].spare = 2
	}
	return rs
}

// area is a rectangle of the canvas.
type area struct {
	c          *widget.Canvas
	x, y, w, h int
}

// sub is the part of the area that begins at row y and has h rows.
func (a area) sub(y, h int) area {
	y = min(max(y, 0), a.h)
	return area{a.c, a.x, a.y + y, a.w, min(max(h, 0), a.h-y)}
}

// split cuts the area in two columns, the left one w wide.
func (a area) split(w int) (left, right area) {
	w = min(max(w, 0), a.w)
	return area{a.c, a.x, a.y, w, a.h}, area{a.c, a.x + w, a.y, a.w - w, a.h}
}

// spans writes spans from x on, and returns where they end.
func (a area) spans(x, y, end int, spans []span) int {
	if y < 0 || y >= a.h {
		return x
	}
	for i, s := range spans {
		text := printable.Line(s.text)
		more := i < len(spans)-1 && strings.TrimSpace(spans[i+1].text) != ""
		if room := end - x; widget.Width(text) > room || more && widget.Width(text) == room {
			text = widget.Cut(text+" ", room, "…")
			return x + a.c.Put(a.x+x, a.y+y, room, s.role, s.attr, text)
		}
		x += a.c.Put(a.x+x, a.y+y, end-x, s.role, s.attr, text)
	}
	return x
}

// row writes one row; what stands at the right end goes first when room is short.
func (a area) row(y int, r row) {
	if y < 0 || y >= a.h {
		return
	}
	end := a.w
	if need := spansWidth(r.right); need > 0 && need+min(spansWidth(r.left)+1, a.w/2) <= a.w {
		a.spans(a.w-need, y, a.w, r.right)
		end = a.w - need - 1
	}
	if r.styled != "" {
		a.c.PutStyled(a.x, a.y+y, end, r.styled)
	} else {
		a.spans(0, y, end, r.left)
	}
	if r.tint {
		a.c.Mark(a.x, a.y+y, a.w, 1, widget.Tint)
	}
}

// rows writes rows from the top and returns how many there was room for. When room is
// short the empty lines go first, then the last row says that something is missing.
func (a area) rows(rs []row) int {
	rs = squeeze(rs, a.h)
	for i, r := range rs {
		if i == a.h-1 && len(rs) > a.h {
			a.row(i, line(txt(rFaint, "… "+strconv.Itoa(len(rs)-i)+" more lines")))
			return a.h
		}
		if i >= a.h {
			break
		}
		a.row(i, r)
	}
	return min(len(rs), a.h)
}

// squeeze drops empty lines until the rows fit, then what only explains.
func squeeze(rs []row, h int) []row {
	for tier := 1; tier <= 2 && len(rs) > h; tier++ {
		rs = shed(rs, len(rs)-h, tier)
	}
	return rs
}

// shed drops up to n rows of a tier, the last ones first.
func shed(rs []row, n, tier int) []row {
	out := make([]row, 0, len(rs))
	for _, r := range slices.Backward(rs) {
		if r.spare == tier && n > 0 {
			n--
			continue
		}
		out = append(out, r)
	}
	slices.Reverse(out)
	return out
}

func spansWidth(spans []span) int {
	n := 0
	for _, s := range spans {
		n += widget.Width(printable.Line(s.text))
	}
	return n
}

// frame is a box with a title on its left and a remark on its right. One box of a
// screen is heavy: the thing to look at.
type frame struct {
	title, right []span
	heavy        bool
	role         widget.Role
}

// box draws a frame and returns the area inside, one cell away from the border.
func (a area) box(f frame) area {
	if a.w < 4 || a.h < 2 {
		return area{a.c, a.x, a.y, 0, 0}
	}
	h, v, tl, tr, bl, br := "─", "│", "╭", "╮", "╰", "╯"
	if f.heavy {
		h, v, tl, tr, bl, br = "━", "┃", "┏", "┓", "┗", "┛"
	}
	put := func(x, y int, s string) { a.c.Put(a.x+x, a.y+y, a.w-x, f.role, 0, s) }
	put(0, 0, tl+strings.Repeat(h, a.w-2)+tr)
	put(0, a.h-1, bl+strings.Repeat(h, a.w-2)+br)
	for y := 1; y < a.h-1; y++ {
		put(0, y, v)
		put(a.w-1, y, v)
	}
	end := 2
	if len(f.title) > 0 {
		end = a.spans(2, 0, a.w-3, append([]span{txt(rText, " ")}, f.title...))
		end += a.c.Put(a.x+end, a.y, 1, rText, 0, " ")
	}
	if need := spansWidth(f.right) + 2; len(f.right) > 0 && end+need+3 <= a.w {
		x := a.w - 2 - need
		a.spans(x, 0, a.w-2, append(append([]span{txt(rText, " ")}, f.right...), txt(rText, " ")))
	}
	return area{a.c, a.x + 2, a.y + 1, a.w - 4, a.h - 2}
}

// rule draws a line across.
func (a area) rule(y int, role widget.Role, heavy bool) {
	mark := "─"
	if heavy {
		mark = "━"
	}
	if y >= 0 && y < a.h {
		a.c.Put(a.x, a.y+y, a.w, role, 0, strings.Repeat(mark, a.w))
	}
}

// bar is a gauge w cells wide, filled to part of 1.
func bar(w int, part float64, role widget.Role) []span {
	if w < 2 {
		return nil
	}
	part = min(max(part, 0), 1)
	n := int(part * float64(w))
	if n >= w {
		return []span{txt(role, strings.Repeat("━", w))}
	}
	return []span{
		txt(role, strings.Repeat("━", n)), txt(rStrong, "╸"), txt(rFrame, strings.Repeat("─", w-n-1)),
	}
}

// wrap breaks text into lines of at most w cells; what is beyond limit lines is cut
// with "…". A limit of 0 is none.
func wrap(text string, w, limit int) []string {
	var out []string
	for _, para := range strings.Split(printable.Text(text), "\n") {
		now := ""
		for _, word := range strings.Fields(para) {
			switch {
			case now == "":
				now = word
			case widget.Width(now)+1+widget.Width(word) <= w:
				now += " " + word
			default:
				out = append(out, now)
				now = word
			}
			for w > 0 && widget.Width(now) > w { // a word longer than a line
				head := widget.Cut(now, w, "")
				if head == "" {
					break
				}
				out = append(out, head)
				now = now[len(head):]
			}
		}
		if now != "" {
			out = append(out, now)
		}
	}
	if limit > 0 && len(out) > limit {
		out = out[:limit]
		out[limit-1] = widget.Cut(out[limit-1]+" …", w, "…")
	}
	return out
}

// wrapped makes rows of wrapped text.
func wrapped(role widget.Role, text string, w, limit int) []row {
	var rs []row
	for _, l := range wrap(text, w, limit) {
		rs = append(rs, line(txt(role, l)))
	}
	return rs
}

// labelled makes rows of a label column of the given width and wrapped text beside it.
func labelled(label string, col int, role widget.Role, text string, w, limit int) []row {
	lines := wrap(text, w-col, limit)
	if len(lines) == 0 {
		return nil
	}
	rs := make([]row, len(lines))
	for i, l := range lines {
		head := ""
		if i == 0 {
			head = label
		}
		rs[i] = line(txt(rDim, pad(head, col)), txt(role, l))
	}
	return rs
}

// pad fills text with blanks to w cells, or cuts it so that one blank follows.
func pad(text string, w int) string {
	text = widget.Cut(printable.Line(text), max(w-1, 0), "…")
	return text + strings.Repeat(" ", max(w-widget.Width(text), 0))
}

func itoa(n int) string { return strconv.Itoa(n) }

func hhmmss(t time.Time) string { return t.UTC().Format("15:04:05") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return itoa(n) + " " + many
}
