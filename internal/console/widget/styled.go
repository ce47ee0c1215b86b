package widget

import "strings"

// sgrBefore bounds the colours that a part of a line takes over from what is before it.
const sgrBefore = 256

// walk calls each for the characters of styled text, with the cell where they begin, and
// the colours that hold there.
func walk(s string, each func(text, sgr string, cell, width int) bool) {
	cell, sgr := 0, ""
	for len(s) > 0 {
		if s[0] == '\x1b' {
			params, rest, ok := cutSGR(s[1:])
			switch {
			case !ok:
			case params == "" || params == "0" || len(sgr) > sgrBefore:
				sgr = ""
			default:
				sgr += "\x1b[" + params + "m"
			}
			s = rest
			continue
		}
		text, w := cluster(s)
		s = s[len(text):]
		if w > 0 && !each(text, sgr, cell, w) {
			return
		}
		cell += w
	}
}

// Slice is the part of a line of styled text that begins at a cell and has at most w
// cells. A wide character that is cut in half is a blank. more says that text follows.
func Slice(s string, from, w int) (part string, more bool) {
	var b strings.Builder
	now := ""
	walk(s, func(text, sgr string, cell, width int) bool {
		switch {
		case cell+width <= from:
			return true
		case cell+width > from+w:
			more = true
			return false
		}
		if sgr != now {
			b.WriteString("\x1b[0m" + sgr)
			now = sgr
		}
		if cell < from {
			text = " "
		}
		b.WriteString(text)
		return true
	})
	if now != "" {
		b.WriteString("\x1b[0m")
	}
	return b.String(), more
}

// Fold breaks a line of styled text into rows of at most w cells, without losing any. It
// has at least one row.
func Fold(s string, w int) []string {
	rows := []string{""}
	w = max(w, 2)
	var b strings.Builder
	used, now := 0, ""
	end := func() {
		if now != "" {
			b.WriteString("\x1b[0m")
		}
		rows[len(rows)-1] = b.String()
	}
	walk(s, func(text, sgr string, _, width int) bool {
		if used+width > w {
			end()
			b.Reset()
			rows, used, now = append(rows, ""), 0, ""
		}
		if sgr != now {
			b.WriteString("\x1b[0m" + sgr)
			now = sgr
		}
		b.WriteString(text)
		used += width
		return true
	})
	end()
	return rows
}
