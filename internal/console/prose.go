package console

import (
	"regexp"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
)

var (
	link   = regexp.MustCompile(`!?\[([^\]]*)\]\(([^)\s]*)[^)]*\)`)
	strong = regexp.MustCompile(`\*\*([^*]+)\*\*|__([^_]+)__`)
	attrs  = regexp.MustCompile(`\s*\{[#a-z][^}]*\}\s*$`)
)

// prose lays Markdown out in w cells: paragraphs flow, lists hang, code stands as it
// is, alerts carry weight. Marks of emphasis go, because a terminal at night needs
// sentences. Fences are left out when bare: their content is shown as the plan.
//
// Glamour was tried in its place. It drops what looks like HTML, so of "restore <asset>
// <point>" only "restore" is left; it knows no alerts, does not hang lists, and takes 3 ms
// for a page that takes 0.2 ms here.
func prose(markdown string, w int, bare bool) []row {
	var rs []row
	var para []string
	role, marker := rDim, ""
	flush := func() {
		text := strings.Join(para, " ")
		switch {
		case len(para) == 0:
		case marker != "": // attributes go first: without its backticks ${name} looks like one
			rs = append(rs, hang(marker, inline(attrs.ReplaceAllString(text, "")), w)...)
		default:
			rs = append(rs, wrapped(role, inline(text), w, 0)...)
		}
		para, role, marker = nil, rDim, ""
	}
	fence := ""
	var table []string
	for _, l := range strings.Split(markdown, "\n") {
		t := strings.TrimSpace(l)
		if len(table) > 0 && !strings.HasPrefix(t, "|") {
			rs, table = append(rs, tableRows(table, w)...), nil
		}
		if fence != "" {
			if strings.HasPrefix(t, fence) {
				fence = ""
			} else if !bare {
				rs = append(rs, codeRows(l, w)...)
			}
			continue
		}
		switch {
		case strings.HasPrefix(t, "```") || strings.HasPrefix(t, "~~~"):
			flush()
			fence = t[:3]
			if info := strings.TrimSpace(strings.TrimLeft(t, "`~")); info != "" && !bare {
				rs = append(rs, line(txt(rFaint, "  "+info)))
			}
		case t == "":
			flush()
			if n := len(rs); n > 0 && rs[n-1].spare != 1 {
				rs = append(rs, gap())
			}
		case strings.HasPrefix(t, "#"):
			flush()
			rs = append(rs, line(txt(rStrong, inline(attrs.ReplaceAllString(strings.TrimLeft(t, "# "), "")))))
		case strings.HasPrefix(t, "> [!") || strings.HasPrefix(t, ">[!"):
			flush()
			role = rWarn
			name := strings.Trim(strings.TrimLeft(t, "> "), "[!]")
			para = append(para, "▲ "+strings.ToUpper(name)+":")
		case strings.HasPrefix(t, ">"):
			para = append(para, strings.TrimSpace(t[1:]))
		case strings.HasPrefix(t, "|"):
			flush()
			table = append(table, t)
		case len(para) == 0 && (strings.HasPrefix(l, "    ") || strings.HasPrefix(l, "\t")) && !bare:
			rs = append(rs, codeRows(strings.TrimPrefix(strings.TrimPrefix(l, "\t"), "    "), w)...)
		case item(t) > 0:
			flush()
			n := item(t)
			marker, para = t[:n], []string{t[n:]} // it may go on in the next lines
		default:
			para = append(para, t)
		}
	}
	flush()
	rs = append(rs, tableRows(table, w)...)
	for len(rs) > 0 && rs[len(rs)-1].spare == 1 {
		rs = rs[:len(rs)-1]
	}
	return rs
}

// codeRows shows a line of code as it is; a long one goes on in the next row, because a
// command that is cut cannot be read.
func codeRows(l string, w int) []row {
	l = printable.Line(strings.TrimRight(l, " \r"))
	var rs []row
	for room := max(w-4, 8); ; {
		head := widget.Cut(l, room, "")
		if head == "" || head == l || widget.Width(l) <= room {
			return append(rs, line(txt(rText, "  "+l)))
		}
		rs = append(rs, line(txt(rText, "  "+head), txt(rFaint, " …")))
		l = strings.TrimLeft(l[len(head):], " ")
	}
}

// tableRows lays a table out: columns as wide as they must be, the last one flows.
func tableRows(lines []string, w int) []row {
	var cells [][]string
	var cols []int
	for _, l := range lines {
		var now []string
		for _, c := range strings.Split(strings.Trim(l, "| "), "|") {
			now = append(now, inline(strings.TrimSpace(printable.Line(c))))
		}
		if strings.Trim(strings.Join(now, ""), "-: ") == "" {
			continue // the rule below the head
		}
		for i, c := range now {
			if i == len(cols) {
				cols = append(cols, 0)
			}
			cols[i] = max(cols[i], min(widget.Width(c)+2, max(w/3, 8)))
		}
		cells = append(cells, now)
	}
	var rs []row
	for n, now := range cells {
		role := rDim
		if n == 0 {
			role = rStrong
		}
		rest, high := w, 0
		flow := make([][]string, len(now))
		for i, c := range now {
			room := cols[i] - 2
			if i == len(now)-1 {
				room = max(rest, 8)
			}
			flow[i] = wrap(c, room, 0)
			rest, high = rest-cols[i], max(high, len(flow[i]))
		}
		for k := range high {
			text := ""
			for i := range flow {
				cell := ""
				if k < len(flow[i]) {
					cell = flow[i][k]
				}
				text += cell + strings.Repeat(" ", max(cols[i]-widget.Width(cell), 0))
			}
			rs = append(rs, line(txt(role, strings.TrimRight(text, " "))))
		}
	}
	return rs
}

// item tells the length of a list marker at the start of a line, 0 when there is none.
func item(t string) int {
	for _, m := range []string{"- [ ] ", "- [x] ", "- [X] ", "* [ ] ", "- ", "* ", "+ "} {
		if strings.HasPrefix(t, m) {
			return len(m)
		}
	}
	n := 0
	for n < len(t) && t[n] >= '0' && t[n] <= '9' {
		n++
	}
	if n > 0 && n < 4 && strings.HasPrefix(t[n:], ". ") {
		return n + 2
	}
	return 0
}

func hang(marker, text string, w int) []row {
	mark := "·"
	switch {
	case strings.Contains(marker, "[ ]"):
		mark = "□"
	case marker[0] >= '0' && marker[0] <= '9':
		mark = strings.TrimSpace(marker)
	}
	col := widget.Width(mark) + 1
	return labelled(mark, col, rDim, text, w, 0)
}

func inline(s string) string {
	s = link.ReplaceAllString(s, "$1")
	s = strong.ReplaceAllString(s, "$1$2")
	return strings.ReplaceAll(s, "`", "")
}

// excerpt is the first paragraph of Markdown, as one line of plain text.
func excerpt(markdown string) string {
	for _, para := range strings.Split(strings.ReplaceAll(markdown, "\r", ""), "\n\n") {
		p := strings.TrimSpace(para)
		if p == "" || strings.HasPrefix(p, "#") || strings.HasPrefix(p, "```") || item(p) > 0 || strings.HasPrefix(p, ">") {
			continue
		}
		return inline(strings.Join(strings.Fields(p), " "))
	}
	return ""
}
