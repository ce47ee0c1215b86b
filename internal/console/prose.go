package console

import (
	"regexp"
	"strings"

	"lifeboat/internal/console/widget"
)

var (
	link   = regexp.MustCompile(`!?\[([^\]]*)\]\(([^)\s]*)[^)]*\)`)
	strong = regexp.MustCompile(`\*\*([^*]+)\*\*|__([^_]+)__`)
	attrs  = regexp.MustCompile(`\s*\{[#a-z][^}]*\}\s*$`)
)

// prose lays Markdown out in w cells: paragraphs flow, lists hang, code stands as it
// is, alerts carry weight. Marks of emphasis go, because a terminal at night needs
// sentences. Fences are left out when bare: their content is shown as the plan.
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
	for _, l := range strings.Split(markdown, "\n") {
		t := strings.TrimSpace(l)
		if fence != "" {
			if strings.HasPrefix(t, fence) {
				fence = ""
			} else if !bare {
				rs = append(rs, line(txt(rText, "  "+strings.TrimRight(l, " \r"))))
			}
			continue
		}
		switch {
		case strings.HasPrefix(t, "```") || strings.HasPrefix(t, "~~~"):
			flush()
			fence = t[:3]
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
		case item(t) > 0:
			flush()
			n := item(t)
			marker, para = t[:n], []string{t[n:]} // it may go on in the next lines
		default:
			para = append(para, t)
		}
	}
	flush()
	for len(rs) > 0 && rs[len(rs)-1].spare == 1 {
		rs = rs[:len(rs)-1]
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
