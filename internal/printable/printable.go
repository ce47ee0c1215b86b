// Package printable makes text from elsewhere harmless on a terminal: output of
// programs, names of files, hosts and branches, runbooks and notes of other people.
//
// A terminal obeys what it is shown. Escape sequences set its title, answer on the
// keyboard's behalf or hide lines; a carriage return overwrites what was there; bidi
// controls turn "not" around. So this stands between every foreign string and the
// screen, and never between the string and its record: evidence is stored as it came.
//
// What could be mistaken is shown rather than dropped: a carriage return as ␍, a bidi
// override as <U+202E>, a broken byte as U+FFFD. Escape sequences are dropped whole.
package printable

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tab is what a tab becomes: width must not depend on the column.
const tab = "    "

// Line makes one line of plain text. Newlines become a visible sign.
func Line(s string) string { return clean(s, false) }

// Text makes plain text that keeps its lines. "\r\n" counts as a newline.
func Text(s string) string { return clean(s, true) }

// Quote makes one line in Go's double quotes, with everything unusual escaped. Use it
// where the exact value matters, as in a confirmation: two different strings never look
// the same.
func Quote(s string) string { return strconv.QuoteToASCII(s) }

func clean(s string, lines bool) string {
	if harmless(s, lines) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	before := rune(0)
	for i := 0; i < len(s); {
		if n := sequence(s[i:]); n > 0 {
			i += n
			continue
		}
		if lines && s[i] == '\n' {
			b.WriteByte('\n')
			i, before = i+1, 0
			continue
		}
		if lines && strings.HasPrefix(s[i:], "\r\n") {
			i++
			continue
		}
		n, r := visible(&b, s[i:], before)
		i, before = i+n, r
	}
	return b.String()
}

// harmless says whether s is printable ASCII throughout, which nearly every line is.
func harmless(s string, lines bool) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < ' ' || s[i] > '~') && (!lines || s[i] != '\n') {
			return false
		}
	}
	return true
}

// visible writes the first character of s so that it is seen, and returns its length and
// the character that the next one stands behind.
func visible(b *strings.Builder, s string, before rune) (int, rune) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		b.WriteRune(utf8.RuneError)
	case r == '\t':
		b.WriteString(tab)
	case r < ' ':
		b.WriteRune('\u2400' + r) // the pictures of C0: ␀ to ␟
	case r == 0x7f:
		b.WriteRune('\u2421')
	case joins(r, before):
		return size, before
	case deceptive(r):
		fmt.Fprintf(b, "<U+%02X>", r)
	default:
		b.WriteString(s[:size])
	}
	return size, r
}
