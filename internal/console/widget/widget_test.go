package widget

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
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

// file is a growing log on disk.
type file struct{ *os.File }

func (f file) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func newFile(t testing.TB) file {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return file{f}
}

func (f file) write(t testing.TB, s string) {
	t.Helper()
	if _, err := f.WriteString(s); err != nil {
		t.Fatal(err)
	}
}

func numbered(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %07d of the log of a step that writes a lot, as some do when they are asked to tell everything\n", i)
	}
	return b.String()
}

// look fetches what the pane wants and gives what it shows on h lines.
func look(l *Log, s *Spool, h int, now *time.Time) []string {
	*now = now.Add(50 * time.Millisecond)
	w := l.Want()
	l.Take(w, s.Fetch(w), *now)
	return l.Lines(h)
}

func number(line string) string {
	if len(line) < 12 {
		return line
	}
	return line[5:12]
}

func TestLogFollowsAndPauses(t *testing.T) {
	f, now := newFile(t), time.Unix(0, 0)
	f.write(t, numbered(0, 1000))
	var l Log
	s := NewSpool(f)
	if got := look(&l, s, 10, &now); number(got[9]) != "0000999" || len(got) != 10 {
		t.Fatalf("following shows %q", got)
	}
	l.Scroll(-5, 10)
	got := look(&l, s, 10, &now)
	if number(got[0]) != "0000985" || number(got[9]) != "0000994" {
		t.Fatalf("five up shows %s to %s", number(got[0]), number(got[9]))
	}
	f.write(t, numbered(1000, 3000)) // the anchor does not move while the file grows
	for range 3 {
		got = look(&l, s, 10, &now)
	}
	if number(got[0]) != "0000985" {
		t.Errorf("the anchor moved to %s", number(got[0]))
	}
	if words, following := l.State(); words != "paused · 2 000 new lines" || following {
		t.Errorf("state %q", words)
	}
	l.First()
	if got = look(&l, s, 10, &now); number(got[0]) != "0000000" {
		t.Errorf("the first line is %s", number(got[0]))
	}
	l.Scroll(-7, 10)
	if got = look(&l, s, 10, &now); number(got[0]) != "0000000" {
		t.Errorf("above the first line is %s", number(got[0]))
	}
	l.Scroll(3, 10)
	if got = look(&l, s, 10, &now); number(got[0]) != "0000003" {
		t.Errorf("three down is %s", number(got[0]))
	}
	l.Follow()
	if got = look(&l, s, 10, &now); number(got[9]) != "0002999" {
		t.Errorf("following again shows %s", number(got[9]))
	}
	if l.Total() != "3 000 lines" {
		t.Errorf("total %q", l.Total())
	}
}

func TestLogSearch(t *testing.T) {
	f, now := newFile(t), time.Unix(0, 0)
	f.write(t, numbered(0, 30000)+"Here is the ERROR (42).\n"+numbered(30000, 60000))
	var l Log
	s := NewSpool(f)
	look(&l, s, 10, &now)
	for _, tc := range []struct {
		text  string
		back  bool
		first string
	}{{"error \\(\\d+", true, "Here is the ERROR (42)."}, {"line 0059990", false, "0059990"}, {"0000007 of", true, "0000007"}, {"(42", false, "Here is the ERROR (42)."}} {
		l.Search(tc.text, tc.back, 10)
		got := look(&l, s, 10, &now)
		if len(got) == 0 || number(got[0]) != tc.first && got[0] != tc.first {
			t.Errorf("%q found %q", tc.text, got)
		}
	}
	l.Search("is not there", false, 10)
	look(&l, s, 10, &now)
	if words, _ := l.State(); words != "not found" {
		t.Errorf("state %q", words)
	}
}

func TestLogOddFiles(t *testing.T) {
	for _, tc := range []struct {
		name, data string
		want       []string
		total      string
	}{
		{"empty", "", nil, "0 lines"},
		{"no newline", "only", []string{"only"}, "1 line"},
		{"unfinished last line", "a\nb", []string{"a", "b"}, "1 line"},
		{"empty lines", "\n\na\n", []string{"", "", "a"}, "3 lines"},
		{"dos", "a\r\nb\r\n", []string{"a", "b"}, "2 lines"},
		{"one endless line", strings.Repeat("x", 1<<20), []string{strings.Repeat("x", lineLimit)}, "1 line"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, now := newFile(t), time.Unix(0, 0)
			f.write(t, tc.data)
			var l Log
			got := look(&l, NewSpool(f), 5, &now)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %.60q", got)
			}
			if l.Total() != tc.total {
				t.Errorf("total %q, want %q", l.Total(), tc.total)
			}
			for range 300 { // scrolling ends at the first byte, whatever the lines are
				l.Scroll(-4, 5)
				look(&l, NewSpool(f), 5, &now)
			}
			if l.top != 0 {
				t.Errorf("scrolling up ended at byte %d", l.top)
			}
		})
	}
}

type brokenSource struct{ size, read error }

func (b brokenSource) Size() (int64, error)                    { return 100, b.size }
func (b brokenSource) ReadAt(p []byte, off int64) (int, error) { return 0, b.read }

func TestLogBrokenFile(t *testing.T) {
	for _, src := range []brokenSource{{size: os.ErrClosed}, {read: os.ErrPermission}, {read: io.EOF}} {
		now := time.Unix(0, 0)
		var l Log
		look(&l, NewSpool(src), 5, &now)
		words, _ := l.State()
		if (src.read != io.EOF) != (words == "the log cannot be read") {
			t.Errorf("%+v: state %q", src, words)
		}
	}
}

func TestOverwritten(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "a\r": "a", "10%\r100%": "␍100%", "DESTROY prod\rall good": "␍all good", "\r\r": ""} {
		if got := Overwritten(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestFlood writes a million lines while the pane looks on: looking stays quick, and
// memory stays flat.
func TestFlood(t *testing.T) {
	f, now := newFile(t), time.Unix(0, 0)
	block := numbered(0, 10000)
	var l Log
	s := NewSpool(f)
	look(&l, s, 30, &now)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var slowest time.Duration
	for range 100 {
		f.write(t, block)
		began := time.Now()
		got := look(&l, s, 30, &now)
		slowest = max(slowest, time.Since(began))
		if len(got) != 30 || number(got[29]) != "0009999" {
			t.Fatalf("the newest lines are not shown: %q", got[len(got)-1])
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if l.Total() != "1 000 000 lines" {
		t.Errorf("total %q", l.Total())
	}
	if words, _ := l.State(); !strings.HasSuffix(words, " lines/s") {
		t.Errorf("state %q does not tell the rate", words)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes over a log of %d lines", grown, 1_000_000)
	}
	if slowest > 500*time.Millisecond { // a loaded machine; 1 ms is usual
		t.Errorf("a look took %v", slowest)
	}
}

func BenchmarkLook(b *testing.B) {
	f, now := newFile(b), time.Unix(0, 0)
	f.write(b, numbered(0, 200000))
	var l Log
	s := NewSpool(f)
	look(&l, s, 30, &now)
	for b.Loop() {
		look(&l, s, 30, &now)
	}
}
