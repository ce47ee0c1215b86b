package printable

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// DefaultMax is how many bytes of a line [Styled] shows when it is told nothing else.
const DefaultMax = 8 << 10

const reset = "\x1b[0m"

// Styled makes one line that keeps colours and weights and nothing else that a terminal
// obeys: not blinking, not concealed text, no links, no cursor. At most max bytes of text
// are kept (0: [DefaultMax]), then "…". When a colour is kept, a reset ends the line.
func Styled(s string, max int) string {
	if max <= 0 {
		max = DefaultMax
	}
	if len(s) <= max && harmless(s, false) {
		return s
	}
	var b strings.Builder
	b.Grow(min(len(s), max) + 16)
	coloured, text, before := false, 0, rune(0)
	for i := 0; i < len(s); {
		if n := sequence(s[i:]); n > 0 {
			if kept := colours(s[i : i+n]); kept != "" {
				b.WriteString(kept)
				coloured = true
			}
			i += n
			continue
		}
		was := b.Len()
		n, r := visible(&b, s[i:], before)
		if text += b.Len() - was; text > max {
			end := b.String()[:was]
			b.Reset()
			b.WriteString(end)
			b.WriteRune('…')
			break
		}
		before = r
		i += n
	}
	if coloured {
		b.WriteString(reset)
	}
	return b.String()
}

// colours keeps the harmless parameters of a sequence "ESC [ … m", and gives "" for any
// other sequence and when nothing is left.
func colours(seq string) string {
	body, ok := strings.CutPrefix(seq, "\x1b[")
	if !ok {
		return ""
	}
	if body, ok = strings.CutSuffix(body, "m"); !ok {
		return ""
	}
	var kept []string
	params := strings.Split(body, ";")
	for i := 0; i < len(params); i++ {
		n, ok := number(params[i])
		switch {
		case !ok:
			continue
		case n == 38 || n == 48:
			size := extended(params[i:])
			if size == 0 {
				return "" // what follows cannot be told apart from its parameters
			}
			kept = append(kept, params[i:i+size]...)
			i += size - 1
		case plain(n):
			kept = append(kept, strconv.Itoa(n))
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return "\x1b[" + strings.Join(kept, ";") + "m"
}

// plain lists the parameters without parameters of their own that are kept. 5, 6 (blink)
// and 8 (conceal) are not.
func plain(n int) bool {
	return n >= 0 && n <= 4 || n == 7 || n == 9 || n >= 21 && n <= 29 || n >= 30 && n <= 49 || n >= 90 && n <= 107
}

// extended is the length of "38;5;n" or "38;2;r;g;b" at the start of params, else 0.
func extended(params []string) int {
	size := 0
	switch {
	case len(params) >= 3 && params[1] == "5":
		size = 3
	case len(params) >= 5 && params[1] == "2":
		size = 5
	default:
		return 0
	}
	for _, p := range params[2:size] {
		if n, ok := number(p); !ok || n > 255 || p == "" {
			return 0
		}
	}
	return size
}

// number reads a parameter; an empty one is 0.
func number(s string) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' || i > 3 {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// joins says whether r only shapes the picture before it, as in many emoji: it is dropped
// there, and shown everywhere else.
func joins(r, before rune) bool {
	return (r == 0x200d || r == 0xfe0e || r == 0xfe0f) && before >= 0x2000 && before != utf8.RuneError && !deceptive(before)
}
