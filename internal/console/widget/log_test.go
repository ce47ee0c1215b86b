package widget

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

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

// watcher is a pane with what drives it in the console.
type watcher struct {
	Log
	spool *Spool
	src   Source
	now   time.Time
}

func watch(src Source, w, h int) *watcher {
	x := &watcher{spool: NewSpool(src), src: src, now: time.Unix(0, 0)}
	x.Fit(w, h)
	return x.look()
}

// look is a tick of the clock.
func (x *watcher) look() *watcher {
	x.now = x.now.Add(50 * time.Millisecond)
	x.fetch()
	for range 1000 {
		if !x.Hungry() {
			return x
		}
		x.fetch()
	}
	panic("the pane never has enough lines")
}

func (x *watcher) fetch() {
	w := x.Want()
	x.Take(w, x.spool.Fetch(w), x.now)
}

// search looks for a text to its end.
func (x *watcher) search(text string) *watcher {
	f := NewFinder(x.src, text, false, x.From(), func(s string) string { return s })
	x.Search(text, f)
	for range 1000 {
		g := f.Work()
		x.Found(f, g)
		if g.Done || g.Err != nil {
			return x.look()
		}
	}
	panic("the search never ends")
}

func (x *watcher) lines() []string {
	var out []string
	for _, r := range x.Rows() {
		out = append(out, r.Text)
	}
	return out
}

// numbers are those of the first and the last line shown.
func (x *watcher) numbers() string {
	ls := x.Rows()
	if len(ls) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d-%d", ls[0].Line.No, ls[len(ls)-1].Line.No)
}

// TestLogMoves is the table of what moves the pane, over 1 000 lines on ten rows.
func TestLogMoves(t *testing.T) {
	keys := map[string]func(*watcher){
		"up": func(x *watcher) { x.Scroll(-1) }, "down": func(x *watcher) { x.Scroll(1) },
		"page up": func(x *watcher) { x.Scroll(-10) }, "page down": func(x *watcher) { x.Scroll(10) },
		"far up": func(x *watcher) { x.Scroll(-700) }, "far down": func(x *watcher) { x.Scroll(5000) },
		"first": func(x *watcher) { x.First() }, "follow": func(x *watcher) { x.Follow() },
		"grow":    func(x *watcher) { x.src.(file).WriteString(numbered(1000, 1500)) },
		"wrap":    func(x *watcher) { x.Wrap() },
		"right":   func(x *watcher) { x.Side(8) },
		"find 7":  func(x *watcher) { x.search("line 0000007") },
		"find 99": func(x *watcher) { x.search("99 of the") },
		"find no": func(x *watcher) { x.search("is not there") },
		"n":       func(x *watcher) { x.Again(1) }, "N": func(x *watcher) { x.Again(-1) },
		"e": func(x *watcher) { x.Alarm(1) }, "E": func(x *watcher) { x.Alarm(-1) },
		"esc": func(x *watcher) { x.EndSearch() },
	}
	for _, tt := range []struct {
		keys, lines, state string
	}{
		{"", "991-1000", "following"},
		{"down", "991-1000", "following"},
		{"right", "991-1000", "following"},
		{"up", "990-999", "paused · end follows"},
		{"up grow", "990-999", "paused · 500 new lines · end follows"},
		{"grow", "1491-1500", "following · 10 000 lines/s"},
		{"page up,page up", "971-980", "paused · end follows"},
		{"page up,page up,page down", "981-990", "paused · end follows"},
		{"up,far down", "991-1000", "paused · end follows"},
		{"far up", "291-300", "paused · end follows"},
		{"far up,far up", "1-10", "paused · end follows"},
		{"far up,grow,far down", "1491-1500", "paused · 500 new lines · end follows"},
		{"first", "1-10", "paused · end follows"},
		{"first,up", "1-10", "paused · end follows"},
		{"first,down,down", "3-12", "paused · end follows"},
		{"first,grow", "1-10", "paused · 500 new lines · end follows"},
		{"first,follow", "991-1000", "following"},
		{"first,grow,follow", "1491-1500", "following"},
		{"find 7", "5-14", "paused · end follows"},
		{"find 99", "991-1000", "paused · end follows"},
		{"find 99,N", "897-906", "paused · end follows"},
		{"find 99,N,N", "797-806", "paused · end follows"},
		{"find 99,N,N,n", "897-906", "paused · end follows"},
		{"find 99,n", "991-1000", "no hit below"},
		{"find 99,n,up", "990-999", "paused · end follows"},
		{"first,find 99,N", "97-106", "no hit above"},
		{"find no", "991-1000", "not found"},
		{"find no,esc", "991-1000", "following"},
		{"e", "991-1000", "no warning below"},
		{"E", "991-1000", "no warning above"},
		{"E,follow", "991-1000", "following"},
		{"wrap", "997-1000", "following"},
		{"wrap,up", "997-1000", "paused · end follows"},
		{"wrap,page up,page down", "997-1000", "paused · end follows"},
		{"first,wrap,page down", "4-7", "paused · end follows"},
		{"first,wrap,page down,wrap", "4-13", "paused · end follows"},
	} {
		t.Run(tt.keys, func(t *testing.T) {
			f := newFile(t)
			f.write(t, numbered(0, 1000))
			x := watch(f, 40, 10)
			for _, k := range strings.FieldsFunc(tt.keys, func(r rune) bool { return r == ',' }) {
				for _, k := range strings.SplitN(k, " grow", 2) {
					if k == "" {
						k = "grow"
					}
					keys[k](x)
					x.look()
				}
			}
			if got := x.numbers(); got != tt.lines {
				t.Errorf("lines %s, want %s", got, tt.lines)
			}
			words, following := x.State()
			if strings.HasSuffix(tt.state, "lines/s") {
				if !following {
					t.Errorf("state %q", words)
				}
			} else if words != tt.state || following != (tt.state == "following") {
				t.Errorf("state %q, want %q", words, tt.state)
			}
		})
	}
}

// TestLogAlarms counts and finds lines that warn, and jumps between them.
func TestLogAlarms(t *testing.T) {
	for line, want := range map[string]string{
		"ERROR: disk": "error", "error": "error", "an error.": "error", "errors: 3": "error", "2 errors": "error", "[error]": "error",
		"fatal: not a git repository": "error", "FAIL\tpkg": "error", "failed to push": "error", "failure": "error", "panic: x": "error", "CRITICAL x": "error",
		"warning: x": "warning", "WARN x": "warning", "2 warnings": "warning", "warned": "warning", "10 warnings": "warning",
		"warning: this is an error": "error", "error=1": "error", "error: 0.5 is too much": "error",
		"\x1b[31mERROR\x1b[0m: x": "error", "\x1b[1;33mwarn\x1b[m x": "warning", "\x1b[merror": "error", "31merror": "", "[merror": "", "merror": "",
		"": "", "terror": "", "no errors": "", "0 errors, 0 warnings": "", "errors: 0": "", "error=0": "", `"errors":0`: "", "without warnings": "",
		"failover done": "", "fail2ban": "", "warner": "", "errored_rows": "", "erroneous": "", "copied error_log.txt": "", "0 errors, 1 warning": "warning",
		"e": "", "erro": "", "w": "",
	} {
		bad, ok := Alarm(line)
		if got := map[bool]string{true: "error", false: "warning"}[bad]; ok && got != want || !ok && want != "" {
			t.Errorf("%q: %v %v, want %q", line, ok, got, want)
		}
	}
	f := newFile(t)
	f.write(t, numbered(0, 500)+"warning: slow\n"+numbered(501, 700)+"ERROR: no\n"+numbered(701, 1000))
	x := watch(f, 80, 10)
	if e, w, known := x.Alarms(); e != 1 || w != 1 || !known {
		t.Errorf("%d errors, %d warnings", e, w)
	}
	for _, tt := range []struct {
		way  int
		line int64
		says string
	}{{-1, 701, ""}, {-1, 501, ""}, {-1, 501, "no warning above"}, {1, 701, ""}, {1, 701, "no warning below"}} {
		x.Alarm(tt.way)
		x.look()
		at := int64(0)
		for _, r := range x.Rows() {
			if r.Cursor {
				at = r.Line.No
			}
		}
		if at != tt.line || x.miss != tt.says {
			t.Errorf("jumped to %d, %q; want %d, %q", at, x.miss, tt.line, tt.says)
		}
	}
	f.write(t, "error: the last one") // has no end yet
	x.look()
	if e, _, _ := x.Alarms(); e != 1 {
		t.Errorf("%d errors before the line has ended", e)
	}
	f.write(t, " of all\n")
	x.look()
	if e, _, _ := x.Alarms(); e != 2 {
		t.Errorf("%d errors", e)
	}
	if got := x.Shown(); len(got) != 1 || got[0] != "ERROR: no" {
		t.Errorf("shown: %q", got)
	}
}

// TestLogSearch finds texts and expressions in a log of several megabytes.
func TestLogSearch(t *testing.T) {
	f := newFile(t)
	f.write(t, numbered(0, 30000)+"Here is the ERROR (42).\n\x1b[31mHere is the\x1b[0m colour\n"+numbered(30000, 60000))
	strip := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for _, tt := range []struct {
		text string
		hits int
		full bool
	}{
		{"[ERROR]", 1, false}, {"=[ERROR]", 0, false}, {"=ERROR (42).", 1, false}, {"=.$", 0, false},
		{`error \(\d+`, 1, false}, {"ERROR (42).", 1, false}, {"error (42).", 1, false}, {"Error (42).", 0, false}, {"line 0059990", 1, false},
		{"(42", 1, false}, {"here is the", 2, false}, {"Here is the colour", 1, false}, {"^Here", 2, false}, {`^line 00000\d\d of`, 100, false}, {`\.$`, 1, false},
		{"of the log", 10000, true}, {"grün", 0, false}, {"Line", 0, false}, {`LINE`, 0, false}, {`\Sine 0000001`, 1, false},
	} {
		for _, from := range []int64{0, 3 << 20, 6_000_000} {
			x := watch(f, 80, 10)
			text, plain := strings.CutPrefix(tt.text, "=")
			fin := NewFinder(f, text, plain, from, func(s string) string { return strip.ReplaceAllString(s, "") })
			x.Search(tt.text, fin)
			var g Found
			for !g.Done {
				g = fin.Work()
			}
			if len(g.Hits) != tt.hits || g.Full != tt.full || !slices.IsSorted(g.Hits) {
				t.Errorf("%q from %d: %d hits, full %v, in order %v", tt.text, from, len(g.Hits), g.Full, slices.IsSorted(g.Hits))
			}
		}
	}
	x := watch(f, 80, 10)
	fin := NewFinder(f, "colour", false, x.From(), func(s string) string { return s })
	x.Search("colour", fin)
	x.Found(fin, fin.Work())
	if x.look(); x.Finding() != "1 hit" && x.Finding() != "hit 1 of 1" {
		t.Errorf("%q", x.Finding())
	}
	f.write(t, "colour again\n")
	x.Found(fin, fin.Work())
	if got := x.Finding(); got != "hit 1 of 2" {
		t.Errorf("%q: what is added is not searched", got)
	}
	x.EndSearch()
	if x.Found(fin, fin.Work()) || x.Finding() != "" {
		t.Error("a search that was given up goes on")
	}
}

func TestLogOddFiles(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
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
		{"NULs", "\x00\x00\n\x00", []string{"", ""}, "1 line"},
		{"progress", "start\n" + strings.Repeat("\r 42 %", 100_000) + "\r 99 %", []string{"start", "␍ 99 %"}, "1 line"},
		{"one endless line", long, slices.Repeat([]string{long[:lineLimit] + "…"}, 5), "1 line"},
		{"a long line", "a\n" + long[:9000] + "\nb\n", []string{"a", long[:lineLimit] + "…", "b"}, "3 lines"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFile(t)
			f.write(t, tc.data)
			x := watch(f, 1<<20, 5)
			if got := x.lines(); !slices.Equal(got, tc.want) && tc.name != "progress" || tc.name == "progress" && got[len(got)-1] != "␍ 99 %" {
				t.Errorf("got %.60q", got)
			}
			if x.Total() != tc.total {
				t.Errorf("total %q, want %q", x.Total(), tc.total)
			}
			for range 300 { // scrolling ends at the first byte, whatever the lines are
				x.Scroll(-4)
				x.look()
			}
			if x.top != 0 {
				t.Errorf("scrolling up ended at byte %d", x.top)
			}
		})
	}
}

type brokenSource struct{ size, read error }

func (b brokenSource) Size() (int64, error)                    { return 100, b.size }
func (b brokenSource) ReadAt(p []byte, off int64) (int, error) { return 0, b.read }

func TestLogBrokenFile(t *testing.T) {
	for _, src := range []brokenSource{{size: os.ErrClosed}, {read: os.ErrPermission}, {read: io.EOF}} {
		x := watch(src, 80, 5)
		words, _ := x.State()
		if (src.read != io.EOF) != (words == "the log cannot be read") {
			t.Errorf("%+v: state %q", src, words)
		}
		if g := NewFinder(src, "x", false, 50, func(s string) string { return s }).Work(); (g.Err == nil) != (src.read == io.EOF) {
			t.Errorf("%+v: search %v", src, g.Err)
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

// memory is a log with an index and a part that is gone, as package spool has them.
type memory struct {
	data     []byte
	from, to int64
	every    int // bytes between marks; 0: no index
	wrong    bool
}

func (m *memory) Size() (int64, error) { return int64(len(m.data)), nil }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	end := int64(len(m.data))
	switch {
	case off >= end:
		return 0, io.EOF
	case m.from == m.to:
	case off < m.from:
		end = m.from
	case off < m.to:
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, m.data[off:end])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) Gap() (from, to, before int64) {
	return m.from, m.to, int64(bytes.Count(m.data[:m.to], []byte{'\n'}))
}

func (m *memory) Mark(off int64) (start, lines, ms int64, ok bool) {
	if m.every == 0 {
		return 0, 0, 0, false
	}
	at := min(off, int64(len(m.data))) / int64(m.every) * int64(m.every)
	i := bytes.LastIndexByte(m.data[:at], '\n') + 1
	if int64(i) < m.to && off >= m.to {
		i = int(m.to)
	}
	start = int64(i)
	lines = int64(bytes.Count(m.data[:start], []byte{'\n'}))
	if m.wrong && start > 0 {
		return start - 1, lines + 7, 1, true
	}
	return start, lines, start + 1, true
}

// model is what the pane must show, computed from all lines.
type model struct {
	lines []Line
	w, h  int
}

func newModel(m *memory, w, h int) *model {
	x := &model{w: w, h: h}
	no := int64(0)
	region := func(from, to int64) {
		for at := from; at < to; {
			end, ended := to, false
			if i := bytes.IndexByte(m.data[at:to], '\n'); i >= 0 {
				end, ended = at+int64(i)+1, true
			}
			// A piece ends at a multiple of 64 KiB with no line end in the 64 KiB before it.
			for a := (at/piece + 1) * piece; a < end || a <= end && !ended; a += piece {
				if a-piece >= at {
					end, ended = a, false
					break
				}
			}
			text, more := clip(m.data[at:end])
			x.lines = append(x.lines, Line{Start: at, Text: text, No: no + 1, More: more, end: end, ended: ended})
			if ended {
				no++
			}
			at = end
		}
	}
	region(0, m.from)
	if m.to > m.from {
		_, _, before := m.Gap()
		lost := before - no
		note := Line{Start: m.from, Text: "… " + lines(lost, "") + " not kept …", Note: true, end: m.to}
		if lost == 0 {
			note.Text = "… " + Count(m.to-m.from) + " bytes not kept …"
		}
		x.lines = append(x.lines, note)
		no = before
	}
	region(m.to, int64(len(m.data)))
	return x
}

// rows are those of the lines from the one at i on, n at least.
func (x *model) rows(l *Log, i, n int) (rows []Row) {
	for ; i < len(x.lines) && len(rows) < n; i++ {
		for k, text := range l.draw(&x.lines[i]) {
			rows = append(rows, Row{Line: x.lines[i], Text: text, Sub: k})
		}
	}
	return rows
}

// want is what must be shown, given the first row that is.
func (x *model) want(l *Log, got []Row) []Row {
	if !l.Paused() {
		i, rows := len(x.lines), []Row(nil)
		for i > 0 && len(rows) < x.h {
			i--
			rows = append(x.rows(l, i, 1), rows...)
		}
		return rows[max(0, len(rows)-x.h):]
	}
	for i := range x.lines {
		if len(got) > 0 && x.lines[i].Start == got[0].Line.Start {
			rows := x.rows(l, i, got[0].Sub+x.h)
			return rows[min(got[0].Sub, len(rows)):min(got[0].Sub+x.h, len(rows))]
		}
	}
	return nil
}

// TestLogModel appends, loses, scrolls, wraps and searches at random, and compares every
// screen with what a naive reader of the whole file would show.
func TestLogModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &memory{every: rapid.SampledFrom([]int{0, 10, 1000}).Draw(t, "every")}
		m.wrong = rapid.IntRange(0, 9).Draw(t, "wrong") == 9
		x := watch(m, rapid.IntRange(20, 60).Draw(t, "w"), rapid.IntRange(1, 20).Draw(t, "h"))
		var top Row // the first row before the step, when paused
		anchored := false
		check := func() {
			for x.look(); x.rate > 0; { // in a flood the lines come later
				x.look()
			}
			x.look()
			got := x.Rows()
			if x.Total() != lines(max(int64(bytes.Count(m.data, []byte{'\n'})), min(int64(len(m.data)), 1)), "") && !m.wrong {
				t.Fatalf("total %q of %d", x.Total(), bytes.Count(m.data, []byte{'\n'}))
			}
			all := newModel(m, x.w, x.h)
			want := all.want(&x.Log, got)
			if len(want) == 0 && len(all.lines) > 0 {
				t.Fatalf("what is shown is no line: %.60v", got)
			}
			for i := range want {
				if len(got) != len(want) || got[i].Line.Start != want[i].Line.Start || got[i].Text != want[i].Text {
					t.Fatalf("row %d of %d is not that of line %d: %.60q, want %.60q of %d", i, len(got), want[i].Line.Start, got[min(i, len(got)-1)].Text, want[i].Text, len(want))
				}
				if no := got[i].Line.No; no != want[i].Line.No && !m.wrong && (m.every > 0 || m.from == m.to) && !got[i].Line.Note {
					t.Fatalf("row %d has line number %d, want %d", i, no, want[i].Line.No)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d rows, want %d", len(got), len(want))
			}
			if anchored && x.Paused() && len(got) > 0 && (got[0].Line.Start != top.Line.Start || got[0].Text != top.Text) && top.Line.ended && (m.to == 0 || top.Line.Start >= m.to || top.Line.Start < m.from) {
				t.Fatalf("the anchor moved from %d %q to %d %q", top.Line.Start, top.Text, got[0].Line.Start, got[0].Text)
			}
			anchored = false
		}
		hold := func() {
			if got := x.Rows(); x.Paused() && len(got) > 0 {
				top, anchored = got[0], true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				hold()
				b := rapid.SliceOfN(rapid.SampledFrom([]byte("aab \n\n\r\x00\xffé")), 1, 40).Draw(t, "data")
				m.data = append(m.data, bytes.Repeat(b, rapid.SampledFrom([]int{1, 3, 50, 400}).Draw(t, "times"))...)
			},
			"append a long line": func(t *rapid.T) {
				hold()
				m.data = append(m.data, bytes.Repeat([]byte("z"), rapid.SampledFrom([]int{9, 9000, piece, 2*piece + 7}).Draw(t, "long"))...)
			},
			"lose": func(t *rapid.T) {
				hold()
				if m.from == m.to {
					m.from = rapid.Int64Range(0, int64(len(m.data))).Draw(t, "from")
					m.from = int64(bytes.LastIndexByte(m.data[:m.from], '\n') + 1)
					m.to = m.from
				}
				if m.from == 0 {
					m.to = 0
					return
				}
				to := rapid.Int64Range(m.to, int64(len(m.data))).Draw(t, "to")
				if i := bytes.LastIndexByte(m.data[:to], '\n') + 1; int64(i) > m.to {
					m.to = int64(i)
				}
				x.got.Lines = nil // what is held would still be shown
			},
			"scroll": func(t *rapid.T) { x.Scroll(rapid.IntRange(-50, 50).Draw(t, "n")) },
			"leap":   func(t *rapid.T) { x.Scroll(rapid.IntRange(-5000, 5000).Draw(t, "n")) },
			"first":  func(*rapid.T) { x.First() },
			"follow": func(*rapid.T) { x.Follow() },
			"wrap":   func(*rapid.T) { x.Wrap() },
			"side":   func(t *rapid.T) { x.Side(rapid.SampledFrom([]int{8, -8}).Draw(t, "n")) },
			"fit": func(t *rapid.T) {
				x.Fit(rapid.IntRange(20, 60).Draw(t, "w"), rapid.IntRange(1, 20).Draw(t, "h"))
			},
			"search": func(t *rapid.T) {
				text := rapid.SampledFrom([]string{"ab", "b a", "zzz", "a\r"}).Draw(t, "text")
				f := NewFinder(m, text, false, x.From(), func(s string) string { return s })
				x.Search(text, f)
				var g Found
				for !g.Done {
					g = f.Work()
					x.Found(f, g)
				}
				var want []int64
				whole := true // not a piece of a longer one
				for _, l := range newModel(m, x.w, x.h).lines {
					if !l.Note && whole && l.ended && bytes.Contains(m.data[l.Start:l.end-1], []byte(text)) {
						want = append(want, l.Start)
					}
					whole = l.ended
				}
				for _, at := range want[:min(len(want), 2000)] {
					if _, ok := slices.BinarySearch(g.Hits, at); !ok && !g.Full {
						t.Fatalf("%q at %d is not found", text, at)
					}
				}
			},
			"": func(*rapid.T) { check() },
		})
	})
}

// TestFlood writes a million lines while the pane looks on: memory stays flat.
func TestFlood(t *testing.T) {
	f := newFile(t)
	block := numbered(0, 10000)
	x := watch(f, 120, 30)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	bodies, last := 0, int64(0)
	for range 100 {
		f.write(t, block)
		x.look()
		if got := x.Rows(); len(got) != 30 {
			t.Fatalf("%d rows", len(got))
		} else if at := got[29].Line.Start; at != last {
			bodies, last = bodies+1, at
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if x.Total() != "1 000 000 lines" {
		t.Errorf("total %q", x.Total())
	}
	if words, _ := x.State(); !strings.HasPrefix(words, "following · ") || !strings.HasSuffix(words, " k lines/s") {
		t.Errorf("state %q does not tell the rate", words)
	}
	if bodies > 35 || bodies < 15 { // 5 s at 20 ticks a second, and 4 to 5 bodies
		t.Errorf("the lines were drawn %d times in 5 s", bodies)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes over a log of %d lines", grown, 1_000_000)
	}
	for range 20 {
		x.look()
	}
	if got := x.Rows(); number(got[29].Line.Text) != "0009999" || got[29].Line.No != 1_000_000 {
		t.Errorf("after the flood the last line is %d %q", got[29].Line.No, got[29].Text)
	}
}

func number(line string) string {
	if len(line) < 12 {
		return line
	}
	return line[5:12]
}

func BenchmarkLook(b *testing.B) {
	f := newFile(b)
	f.write(b, numbered(0, 200000))
	x := watch(f, 120, 30)
	for b.Loop() {
		x.look()
	}
}

func BenchmarkAlarms(b *testing.B) {
	text := []byte(numbered(0, 10000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var a alarms
		a.search(text, 0)
	}
}

func BenchmarkFind(b *testing.B) {
	f := newFile(b)
	f.write(b, numbered(0, 200000))
	b.SetBytes(int64(len(numbered(0, 1))) * 200000)
	for b.Loop() {
		for g, fin := (Found{}), NewFinder(f, "is not there", false, 0, nil); !g.Done; {
			g = fin.Work()
		}
	}
}

func TestLower(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	got := lower(nil, all)
	for i, c := range got {
		want := byte(i)
		if want >= 'A' && want <= 'Z' {
			want += 'a' - 'A'
		}
		if c != want {
			t.Errorf("%q became %q", byte(i), c)
		}
	}
	if got := lower(nil, []byte("ABCzé1")); string(got) != "abczé1" {
		t.Errorf("%q", got)
	}
}
