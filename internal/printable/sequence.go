package printable

import "unicode"

// deceptive says whether a character above ASCII acts on a terminal, or cannot be seen
// and so lets two different strings look alike.
func deceptive(r rune) bool {
	switch {
	case r < 0x80:
		return false
	case r <= 0x9f: // C1: U+009B is a control sequence introducer
		return true
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0:
		return true // soft hyphen, joiner, Arabic letter mark, fillers
	case r >= 0x180b && r <= 0x180f, r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true // zero width, line separators, bidi
	case r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff, r >= 0xfff0 && r <= 0xfffb:
		return true // variation selectors, byte order mark, annotations
	case r >= 0xe000 && r <= 0xf8ff, r >= 0xe0000 && r <= 0xe0fff, r >= 0xf0000:
		return true // private use, tags
	}
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cs, r)
}

const (
	bel = 0x07
	can = 0x18
	sub = 0x1a
	esc = 0x1b
)

// sequence gives the length of the escape sequence at the start of s, 0 when there is
// none. One that does not end counts up to the end of s, or of the line: whatever the
// author wanted the terminal to swallow is not shown as text either.
func sequence(s string) int {
	if s == "" || s[0] != esc {
		return 0
	}
	if len(s) == 1 {
		return 1
	}
	switch s[1] {
	case '[':
		return control(s)
	case ']', 'P', 'X', '^', '_': // OSC, DCS, SOS, PM, APC
		return text(s)
	}
	i := 1
	for i < len(s) && s[i] >= 0x20 && s[i] <= 0x2f { // intermediates
		i++
	}
	if i < len(s) && s[i] >= 0x30 && s[i] <= 0x7e {
		i++
	}
	return i
}

// control is the length of "ESC [ parameters intermediates final".
func control(s string) int {
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x3f: // not part of a sequence: it is broken off here
			return i
		}
	}
	return len(s)
}

// text is the length of a sequence that carries text up to BEL or ESC \.
func text(s string) int {
	for i := 2; i < len(s); i++ {
		switch s[i] {
		case bel, can, sub:
			return i + 1
		case '\n':
			return i
		case esc:
			if i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
			return i
		}
	}
	return len(s)
}
