package look

import (
	"strings"

	"lifeboat/internal/console/widget"
)

// The glyphs that screens may draw, and the one cell of ASCII that stands for each, so
// that no layout moves.
var asciiGlyphs = map[string]string{
	"✓": "v", "✗": "x", "▸": ">", "╸": ">", "○": "o", "□": "_", "◆": "*", "▲": "!", "◂": "<",
	"━": "=", "─": "-", "–": "-", "┊": ":", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
	"┃": "#", "┏": "#", "┓": "#", "┗": "#", "┛": "#", "·": ".", "…": "~", "␍": "~", "■": "#", "▾": "v", "▴": "^",
	"├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+", "→": ">", "←": "<", "↑": "^", "↓": "v",
	"█": "#", "▇": "#", "▆": "#", "▅": "=", "▄": "=", "▃": "-", "▂": "_", "▁": "_",
}

// ASCII gives the ASCII cell for a cell. What it does not know becomes "?".
func ASCII(cell string) string {
	if g, ok := asciiGlyphs[cell]; ok {
		return g
	}
	if len(cell) > 1 { // one cell of anything else that such a terminal cannot show
		return strings.Repeat("?", max(widget.Width(cell), 1))
	}
	return cell
}

// NeedsASCII says whether a terminal cannot show our glyphs, judged by its environment
// ("NAME=value"): its locale is another than UTF-8, it is a serial terminal, or the
// console of Linux, whose fonts have none of ✓ ✗ ▸ ╸. Without any locale, as in most
// containers, it is taken for UTF-8. LIFEBOAT_ASCII decides where it is set: 0, no and
// false mean our glyphs.
func NeedsASCII(env []string) bool {
	if v := of(env, "LIFEBOAT_ASCII"); v != "" {
		return v != "0" && v != "no" && v != "false"
	}
	if term := of(env, "TERM"); term == "linux" || strings.HasPrefix(term, "vt") {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set decides
		if v := strings.ToLower(of(env, name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}
