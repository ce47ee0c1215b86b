package widget

import (
	"strings"
	"testing"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

func same(s string) string { return s }

func bare(c *Canvas) string {
	return c.Render(Paint{Prefix: func(Role, Attr) string { return "" }})
}

func TestCanvasClips(t *testing.T) {
	c := NewCanvas(5, 2, same)
	c.Put(3, 0, 99, 0, 0, "abcdef")
	c.Put(-2, 1, 99, 0, 0, "abcd")
	c.Put(0, 7, 99, 0, 0, "below")
	c.Put(0, -1, 99, 0, 0, "above")
	if got, want := bare(c), "   ab\ncd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	NewCanvas(0, 0, same).Put(0, 0, 9, 0, 0, "x")
	NewCanvas(-3, -1, same).Fade(0, 0, 9, 9, 1)
}

func TestCanvasWide(t *testing.T) {
	c := NewCanvas(6, 1, same)
	if n := c.Put(0, 0, 5, 0, 0, "日本語"); n != 4 {
		t.Errorf("used %d cells, want 4: half a character fits nowhere", n)
	}
	c.Put(1, 0, 1, 0, 0, "x") // cuts the first one in half
	if got, want := bare(c), " x本"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.Put(2, 0, 1, 0, 0, "y")
	if got := bare(c); ansi.StringWidth(got) > 6 || got != " xy" {
		t.Errorf("got %q", got)
	}
}

func TestCanvasStyled(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"plain", "plain"},
		{"\x1b[31mred\x1b[0m x", "\x1b[31mred\x1b[m x"},
		{"\x1b[1m\x1b[31mboth", "\x1b[1;31mboth\x1b[m"},
		{"\x1b[0;32mgreen", "\x1b[32mgreen\x1b[m"},
		{"a\x1b[2Jb", "a[2Jb"}, // no colour: its introducer is gone
		{"a\x1b]0;t\x07b", "a]0;tb"},
		{"end\x1b", "end"},
		{"end\x1b[", "end["},
		{strings.Repeat("\x1b[1m", 99) + "x", "\x1b["},
	} {
		c := NewCanvas(30, 1, same)
		c.PutStyled(0, 0, 30, tc.in)
		if got := bare(c); got != tc.want && !(strings.HasSuffix(tc.in, "mx") && strings.HasPrefix(got, tc.want) && len(got) < 90) {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		in   string
		w    int
		want string
	}{{"abcdef", 6, "abcdef"}, {"abcdef", 4, "abc…"}, {"ab cd", 4, "ab…"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"abc", 0, ""}, {"", 3, ""}} {
		if got := Cut(tc.in, tc.w, "…"); got != tc.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tc.in, tc.w, got, tc.want)
		}
	}
}

// printable is the least that a canvas asks of its cleaner: valid text without controls.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return -1
	}
	return r
}

func FuzzCanvas(f *testing.F) {
	for _, s := range []string{"abc", "日本語", "a\u0301b", "\x1b[31mx", "\U0001f9d1\u200d\U0001f680", "\xff\xfe", "本\xf4"} {
		f.Add(s, 3, 7)
	}
	f.Fuzz(func(t *testing.T, s string, x, w int) {
		x, w = x%40, min(max(w%40, 0), 39)
		c := NewCanvas(w, 2, func(s string) string { return strings.Map(printable, strings.ToValidUTF8(s, "\ufffd")) })
		c.Put(x, 0, 20, 0, 0, s)
		c.PutStyled(x, 1, 20, s)
		c.Put(x+1, 1, 1, 0, 0, "|")
		for _, l := range strings.Split(bare(c), "\n") {
			if got := ansi.StringWidthWc(l); got > w {
				t.Fatalf("%q is %d cells wide, canvas %d", l, got, w)
			}
		}
	})
}

func TestField(t *testing.T) {
	key := func(code rune, mod tea.KeyMod) tea.KeyPressMsg { return tea.KeyPressMsg{Code: code, Mod: mod} }
	typed := func(s string) []tea.KeyPressMsg {
		var ks []tea.KeyPressMsg
		for _, r := range s {
			ks = append(ks, tea.KeyPressMsg{Code: r, Text: string(r)})
		}
		return ks
	}
	for _, tc := range []struct {
		name string
		keys []tea.KeyPressMsg
		want string
	}{
		{"type", typed("grün 日"), "grün 日"},
		{"insert before", append(typed("bc"), append([]tea.KeyPressMsg{key(tea.KeyHome, 0)}, typed("a")...)...), "abc"},
		{"backspace", append(typed("ab"), key(tea.KeyBackspace, 0)), "a"},
		{"backspace at the start", []tea.KeyPressMsg{key(tea.KeyBackspace, 0)}, ""},
		{"delete", append(typed("ab"), key(tea.KeyLeft, 0), key(tea.KeyDelete, 0)), "a"},
		{"delete word", append(typed("one two "), key('w', tea.ModCtrl)), "one "},
		{"delete line", append(typed("one two"), key('u', tea.ModCtrl)), ""},
		{"delete rest", append(typed("abc"), key(tea.KeyLeft, 0), key('k', tea.ModCtrl)), "ab"},
	} {
		var f Field
		for _, k := range tc.keys {
			f.Key(k)
		}
		if f.Value() != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, f.Value(), tc.want)
		}
	}
	f := NewField("hunter2")
	f.Mask = true
	if b, _, a := f.View(20); strings.Contains(b+a, "hunter2") {
		t.Error("a masked field shows its value")
	}
	f = Field{Limit: 4}
	f.Insert("a\nb\x00\x1bcdef")
	if f.Value() != "a bc" {
		t.Errorf("%q", f.Value())
	}
	f = NewField(strings.Repeat("x", 500))
	if b, at, a := f.View(20); Width(b+at+a) > 20 {
		t.Errorf("%d cells, want at most 20", Width(b+at+a))
	}
}
