package printable

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLineTextStyled(t *testing.T) {
	for _, tt := range []struct{ name, in, line, text, styled string }{
		{"plain", "all good", "all good", "all good", "all good"},
		{"letters", "größer 東京 → ✓ é", "größer 東京 → ✓ é", "größer 東京 → ✓ é", "größer 東京 → ✓ é"},
		{"lines", "a\nb\r\nc", "a␊b␍␊c", "a\nb\nc", "a␊b␍␊c"},
		{"hidden by carriage return", "DESTROY prod\rall good", "DESTROY prod␍all good", "DESTROY prod␍all good", "DESTROY prod␍all good"},
		{"backspace, bell, delete", "a\bb\ac\x7f", "a␈b␇c␡", "a␈b␇c␡", "a␈b␇c␡"},
		{"tab", "a\tb", "a    b", "a    b", "a    b"},
		{"colours", "\x1b[1;31mred\x1b[m.", "red.", "red.", "\x1b[1;31mred\x1b[0m.\x1b[0m"},
		{"256 and true colour", "\x1b[38;5;196;48;2;1;2;3mx", "x", "x", "\x1b[38;5;196;48;2;1;2;3mx\x1b[0m"},
		{"conceal and blink", "\x1b[8;5;6mx\x1b[8;32my", "xy", "xy", "x\x1b[32my\x1b[0m"},
		{"colour out of range", "\x1b[38;5;999mx\x1b[38;2;1mx\x1b[99999999mx", "xxx", "xxx", "xxx"},
		{"colon parameters", "\x1b[4:3mx", "x", "x", "x"},
		{"private mode", "\x1b[?1049hx\x1b[?25lx\x1b[>0mx", "xxx", "xxx", "xxx"},
		{"cursor and erase", "\x1b[2J\x1b[1;1Hx\x1b[K", "x", "x", "x"},
		{"title", "\x1b]0;evil\ax", "x", "x", "x"},
		{"clipboard, ST", "\x1b]52;c;ZXZpbA==\x1b\\x", "x", "x", "x"},
		{"link", "\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "text", "text", "text"},
		{"sixel, kitty, SOS, PM", "\x1bPq#0\x1b\\a\x1b_Ga\x1b\\b\x1bXx\x1b\\c\x1b^x\x1b\\d", "abcd", "abcd", "abcd"},
		{"unterminated title", "a\x1b]0;everything after", "a", "a", "a"},
		{"unterminated up to the line", "a\x1b]0;x\nb", "a␊b", "a\nb", "a␊b"},
		{"unterminated control", "a\x1b[31", "a", "a", "a"},
		{"control broken off", "a\x1b[3\x1b[1mb", "ab", "ab", "a\x1b[1mb\x1b[0m"},
		{"control broken off by text", "a\x1b[3\u00e9b", "aéb", "aéb", "aéb"},
		{"other escapes", "\x1b(0a\x1bcb\x1b7c\x1b#8d\x1b", "abcd", "abcd", "abcd"},
		{"C1 as UTF-8", "a\u009b31mb\u009c", "a<U+9B>31mb<U+9C>", "a<U+9B>31mb<U+9C>", "a<U+9B>31mb<U+9C>"},
		{"C1 as a byte", "a\x9b31mb", "a�31mb", "a�31mb", "a�31mb"},
		{"bidi", "a\u202eb\u2066c", "a<U+202E>b<U+2066>c", "a<U+202E>b<U+2066>c", "a<U+202E>b<U+2066>c"},
		{"zero width", "pro\u200bd\u200d\ufeff", "pro<U+200B>d<U+200D><U+FEFF>", "pro<U+200B>d<U+200D><U+FEFF>", "pro<U+200B>d<U+200D><U+FEFF>"},
		{"tags", "a\U000e0041", "a<U+E0041>", "a<U+E0041>", "a<U+E0041>"},
		{"emoji", "⚠\ufe0f 👩\u200d🚒", "⚠ 👩🚒", "⚠ 👩🚒", "⚠ 👩🚒"},
		{"joiner after a letter", "a\ufe0fb", "a<U+FE0F>b", "a<U+FE0F>b", "a<U+FE0F>b"},
		{"broken", "a\xff\xc3", "a��", "a��", "a��"},
		{"NUL", "a\x00b", "a␀b", "a␀b", "a␀b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Line(tt.in); got != tt.line {
				t.Errorf("Line   %q, want %q", got, tt.line)
			}
			if got := Text(tt.in); got != tt.text {
				t.Errorf("Text   %q, want %q", got, tt.text)
			}
			if got := Styled(tt.in, 0); got != tt.styled {
				t.Errorf("Styled %q, want %q", got, tt.styled)
			}
		})
	}
}

func TestStyledIsBounded(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{strings.Repeat("x", 20), "xxxxxxxxxx…"},
		{strings.Repeat("x", 10), "xxxxxxxxxx"},
		{"\x1b[31m" + strings.Repeat("é", 20), "\x1b[31mééééé…\x1b[0m"},
		{strings.Repeat("\u202e", 3), "<U+202E>…"},
	} {
		if got := Styled(tt.in, 10); got != tt.want {
			t.Errorf("%q gave %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := Styled(strings.Repeat("x", 1<<20), 0); len(got) != DefaultMax+len("…") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestQuoteTellsStringsApart(t *testing.T) {
	a, b := Quote("prod"), Quote("pro\u200bd")
	if a != `"prod"` || b != `"pro\u200bd"` || Quote("pr\u043ed") != `"pr\u043ed"` {
		t.Errorf("%s %s", a, b)
	}
}

var sgr = regexp.MustCompile(`\x1b\[[0-9;]+m`)

func dangerous(r rune) bool {
	return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r)
}

// FuzzClean holds what the terminal may get (invariant S9): no control, no C1, no bidi, no
// zero width; of escape sequences only colours, closed by a reset.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{
		"", "plain", "\x1b[31mred", "\x1b]0;t\a", "\x1bP\x1b\\", "a\rb\nc\r\n", "\u009b\u202e\u200d⚠\ufe0f\u200d", "\xff\x1b[\xff", "\x1b[38;5;1;8m\t",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line, text, styled := Line(s), Text(s), Styled(s, 1<<20)
		for name, got := range map[string]string{
			"Line": line, "Text": strings.ReplaceAll(text, "\n", ""), "Styled": sgr.ReplaceAllString(styled, ""),
		} {
			if i := strings.IndexFunc(got, dangerous); i >= 0 || !utf8.ValidString(got) {
				t.Errorf("%s(%q) = %q is dangerous at %d", name, s, got, i)
			}
		}
		if Line(line) != line || Text(text) != text {
			t.Errorf("%q is changed again", s)
		}
		if got := sgr.ReplaceAllString(styled, ""); got != line {
			t.Errorf("Styled(%q) shows %q, Line shows %q", s, got, line)
		}
		if strings.Contains(styled, "\x1b") && !strings.HasSuffix(styled, reset) {
			t.Errorf("Styled(%q) = %q does not reset", s, styled)
		}
	})
}

func BenchmarkStyled(b *testing.B) {
	for name, s := range map[string]string{
		"plain":    strings.Repeat("objects/pack 42% ", 7),
		"coloured": strings.Repeat("\x1b[32mok\x1b[0m objects ", 7),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Styled(s, 0)
			}
		})
	}
}
