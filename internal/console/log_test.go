package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"lifeboat/internal/console/widget"
)

// longLog is what a restore prints that has trouble.
func longLog(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		switch {
		case i%97 == 41:
			fmt.Fprintf(&b, "warning: table bookings_%04d has no primary key, rows are compared by hash\n", i)
		case i == n-20:
			fmt.Fprintf(&b, "\x1b[31mERROR\x1b[0m: connection to db-02:5432 was reset by the peer, trying again (1 of 5)\n")
		default:
			fmt.Fprintf(&b, "restored bookings_%04d: %d rows, checksum %08x holds; index built in %d ms, vacuum is not needed, next table\n", i, i*37, i*2654435, i%90)
		}
	}
	return b.Bytes()
}

// reading opens the full log of a step that has printed a lot.
func reading(t testing.TB, w, h int) *driver {
	t.Helper()
	d := drive(t, w, h, newStory(t).keeping(), func(b *fakeBackend, _ *Options) { b.logs["keep.1.log"] = longLog(400) })
	d.press("l")
	d.frame()
	d.tick()
	return d
}

var logScenes = []scene{
	{"log-following", func(t *testing.T, w, h int) *driver { return reading(t, w, h) }},
	{"log-paused", func(t *testing.T, w, h int) *driver {
		d := reading(t, w, h).press("pgup", "up")
		d.b.logs["keep.1.log"] = append(d.b.logs["keep.1.log"], longLog(1204)...)
		d.tick()
		return d
	}},
	{"log-warning", func(t *testing.T, w, h int) *driver { return reading(t, w, h).press("E") }},
	{"log-wrapped", func(t *testing.T, w, h int) *driver { return reading(t, w, h).press("E", "w") }},
	{"log-sideways", func(t *testing.T, w, h int) *driver { return reading(t, w, h).press("right", "right") }},
	{"log-search", func(t *testing.T, w, h int) *driver { return reading(t, w, h).press("/").typeText("bookings_00") }},
	{"log-found", func(t *testing.T, w, h int) *driver {
		return reading(t, w, h).press("/").typeText("bookings_00[0-4]").press("enter")
	}},
	{"log-other-step", func(t *testing.T, w, h int) *driver { return reading(t, w, h).press("[") }},
	{"log-missing", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStory(t).keeping(), func(b *fakeBackend, _ *Options) { delete(b.logs, "keep.1.log") }).press("l")
	}},
}

// TestLogKeys is the table of what the keys of the full log do.
func TestLogKeys(t *testing.T) {
	for _, tt := range []struct {
		name  string
		keys  []string
		shows []string
		not   string
	}{
		{"it follows", nil, []string{"following", "bookings_0399", "▲ 1 error", "4 warnings"}, "bookings_0300"},
		{"up pauses", []string{"up"}, []string{"paused · end follows"}, "bookings_0399"},
		{"end follows again", []string{"pgup", "end"}, []string{"following", "bookings_0399"}, ""},
		{"home", []string{"home"}, []string{"bookings_0000"}, "bookings_0399"},
		{"g and G", []string{"g", "G"}, []string{"bookings_0399"}, ""},
		{"the time stays sideways", []string{"right", "right", "right"}, []string{"following", "│"[:0] + ":"}, "restored bookings"},
		{"left of the first column", []string{"left", "left"}, []string{"restored bookings_0399"}, ""},
		{"e finds the error", []string{"E"}, []string{"ERROR: connection", "▸"}, ""},
		{"E goes on to the warning before", []string{"E", "E"}, []string{"bookings_0332 has no", "▸"}, ""},
		{"no warning below", []string{"E", "e"}, []string{"no warning below"}, ""},
		{"search", []string{"/", "0123", "enter"}, []string{"bookings_0123", "hit 1 of 1", "▸"}, ""},
		{"search is typed, not obeyed", []string{"/", "qwes/n", "enter"}, []string{"not found", "0 hits"}, ""},
		{"an expression", []string{"/", `_00[12]\d:`, "enter"}, []string{"hit 20 of 20"}, ""},
		{"the same as text", []string{"/", `_00[12]\d:`, "tab", "enter"}, []string{"not found"}, ""},
		{"previous hit", []string{"/", "has no primary", "enter", "N"}, []string{"hit 3 of 4"}, ""},
		{"next hit", []string{"/", "has no primary", "enter", "N", "N", "n"}, []string{"hit 3 of 4"}, ""},
		{"no hit below", []string{"/", "has no primary", "enter", "n"}, []string{"no hit below"}, ""},
		{"esc ends the search first", []string{"/", "0123", "enter", "esc"}, []string{"SSS"[:0] + "LOG", "paused"}, "hit 1"},
		{"esc cancels the field", []string{"/", "0123", "esc"}, []string{"following"}, "SEARCH"},
		{"an empty search is none", []string{"/", "enter"}, []string{"following"}, "hits"},
		{"n without a search says why", []string{"n"}, []string{"nothing has been searched for"}, ""},
		{"wrap", []string{"w"}, []string{"wrapped"}, ""},
		{"the step before", []string{"["}, []string{"reading reflog", "step 2"}, ""},
		{"and back", []string{"[", "]"}, []string{"bookings_0399", "step 3"}, ""},
		{"no log before", []string{"[", "["}, []string{"it is the first log"}, ""},
		{"no log behind", []string{"]"}, []string{"it is the newest log"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := reading(t, 120, 36)
			for _, k := range tt.keys {
				if len(k) > 1 && d.m.top().field() != nil && k != "enter" && k != "esc" && k != "tab" {
					d.typeText(k)
					continue
				}
				d.press(k)
			}
			f := plainFrame(d.frame())
			for _, s := range tt.shows {
				if !strings.Contains(f, s) {
					t.Errorf("%q is not shown:\n%s", s, f)
				}
			}
			if tt.not != "" && strings.Contains(f, tt.not) {
				t.Errorf("%q is shown:\n%s", tt.not, f)
			}
		})
	}
}

// TestLogLeft: whoever leaves the log finds the run as before, with the small pane on the
// current step.
func TestLogLeft(t *testing.T) {
	d := reading(t, 120, 36).press("[", "/").typeText("x").press("enter", "esc", "esc")
	if _, ok := d.m.top().(*runScreen); !ok {
		t.Fatalf("%T is on top", d.m.top())
	}
	if f := plainFrame(d.frame()); !strings.Contains(f, "bookings_0399") {
		t.Errorf("the log of the current step is not shown:\n%s", f)
	}
	if d.m.log.pane.Searching() != nil || d.m.log.pane.Paused() || d.m.log.pinned {
		t.Error("the small pane searches, stands still, or stays with another step")
	}
	if d.b.closed != 2 {
		t.Errorf("%d logs were closed, want 2", d.b.closed)
	}
}

func TestLogCopy(t *testing.T) {
	d := reading(t, 120, 36)
	if c, ok := copyLog(&d.m.log.pane).(copyText); !ok || strings.Count(c.text, "\n") < 20 || strings.Contains(c.text, "\x1b") || !strings.Contains(c.text, "ERROR: connection") {
		t.Errorf("copied %+v", c)
	}
	d.press("E")
	d.frame()
	if c, ok := copyLog(&d.m.log.pane).(copyText); !ok || c.text != "ERROR: connection to db-02:5432 was reset by the peer, trying again (1 of 5)" {
		t.Errorf("copied %+v", c)
	}
	d = drive(t, 120, 36, newStory(t).keeping(), func(b *fakeBackend, _ *Options) { b.logs["keep.1.log"] = []byte(strings.Repeat(hostile, 9)) })
	d.press("l")
	d.frame()
	c, ok := copyLog(&d.m.log.pane).(copyText)
	if !ok || len(c.text) > copyMost {
		t.Fatalf("copied %+v", c)
	}
	for _, r := range c.text {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e {
			t.Errorf("%U is copied", r)
		}
	}
}

// fingers is a keyboard that waits.
type fingers struct{ keys chan string }

func (k fingers) Read(p []byte) (int, error) {
	s, ok := <-k.keys
	if !ok {
		return 0, io.EOF
	}
	return copy(p, s), nil
}

// grower is a log that grows between ticks.
type grower struct {
	*bytes.Buffer
	err error
}

func (g *grower) Size() (int64, error) { return int64(g.Len()), g.err }
func (g *grower) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(g.Bytes()).ReadAt(p, off)
}

// TestStream plays what a log does while it is shown on the normal screen.
func TestStream(t *testing.T) {
	var out bytes.Buffer
	g := &grower{Buffer: &bytes.Buffer{}}
	asks := false
	s := &stream{ctx: t.Context(), src: g, title: "log of step 3", asks: func() bool { return asks }, out: &out}
	now := time.Unix(0, 0)
	step := func() string {
		t.Helper()
		out.Reset()
		now = now.Add(time.Second)
		if err := s.step(now); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	g.WriteString("one\nx\u202ey\n" + hostile + "\n10%\r99%\n")
	if err := s.begin(); err != nil || !strings.Contains(out.String(), "log of step 3; q, s or esc goes back") {
		t.Errorf("%v %q", err, out.String())
	}
	got := step()
	if !strings.HasPrefix(got, "one\r\n") || !strings.HasSuffix(got, "␍99%\r\n") || strings.Contains(got, "\x1b") || !strings.Contains(got, "<U+202E>") {
		t.Errorf("%q", got)
	}
	g.WriteString("no end")
	if got := step(); got != "" {
		t.Errorf("a line without an end: %q", got)
	}
	g.WriteString(" yet\n")
	if got := step(); got != "no end yet\r\n" {
		t.Errorf("%q", got)
	}
	asks = true
	if got := step(); !strings.Contains(got, "A PERSON IS NEEDED") {
		t.Errorf("%q", got)
	}
	if got := step(); got != "" {
		t.Errorf("it is said twice: %q", got)
	}
	g.WriteString(strings.Repeat("a line that comes in a flood\n", 30_000)) // below the lag
	for n := 0; s.pos < int64(g.Len()); n++ {
		if got := step(); len(got) > 2*streamMost || n > 100 {
			t.Fatalf("%d bytes in one tick, after %d", len(got), n)
		}
	}
	g.WriteString(strings.Repeat("a line that comes in a flood\n", 300_000) + "the last one\n")
	if got := step(); !strings.Contains(got, " left out here, to keep up") || !strings.HasSuffix(got, "the last one\r\n") {
		t.Errorf("%.200q", got)
	}
	g.WriteString(strings.Repeat("x", 300_000)) // a line without an end
	for range 10 {
		if got := step(); len(got) > 2*streamMost {
			t.Fatalf("%d bytes in one tick", len(got))
		}
	}
	if int64(g.Len())-s.pos > streamAlone {
		t.Errorf("%d bytes of a line without an end wait", int64(g.Len())-s.pos)
	}
	g.err = errors.New("gone")
	if err := s.step(now); err == nil {
		t.Error("a log that cannot be read is no error")
	}
}

// TestStreamEnds: q, s, esc, ctrl+c and the end of the console end it, other keys do not.
func TestStreamEnds(t *testing.T) {
	for _, tt := range []struct {
		key  string
		ends bool
	}{{"q", true}, {"s", true}, {"\x1b", true}, {"\x03", true}, {"x", false}, {"\x1b[A", false}, {"\r", false}} {
		keys, tick := make(chan string), make(chan time.Time)
		var out bytes.Buffer
		s := &stream{ctx: t.Context(), src: &grower{Buffer: bytes.NewBufferString("one\n")}, in: fingers{keys}, out: &out, tick: tick}
		ended := make(chan error, 1)
		go func() { ended <- s.Run() }()
		tick <- time.Unix(1, 0)
		keys <- tt.key
		if !tt.ends {
			select {
			case keys <- "q": // it still listens
			case <-ended:
				t.Errorf("%q ends it", tt.key)
				continue
			}
		}
		if err := <-ended; err != nil || !strings.Contains(out.String(), "one\r\n") {
			t.Errorf("%q: %v, %q", tt.key, err, out.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	keys := make(chan string)
	defer close(keys)
	s := &stream{ctx: ctx, src: &grower{Buffer: &bytes.Buffer{}}, in: fingers{keys}, out: io.Discard, tick: make(chan time.Time)}
	if err := s.Run(); err != nil {
		t.Error(err)
	}
}

// slowly is a terminal that takes its time.
type slowly struct {
	now  time.Time
	take time.Duration
}

func (s *slowly) Write(p []byte) (int, error) { s.now = s.now.Add(s.take); return len(p), nil }

// TestSlowLink: three writes that take long make the link a slow one, and it recovers.
func TestSlowLink(t *testing.T) {
	s := &slowly{now: time.Unix(100, 0)}
	w := newWire(s)
	w.now = func() time.Time { return s.now }
	for i, tt := range []struct {
		take, pause time.Duration
		slow        bool
	}{
		{0, 0, false}, {90 * time.Millisecond, 0, false}, {90 * time.Millisecond, 0, false}, {80 * time.Millisecond, 0, false}, {100 * time.Millisecond, 0, true},
		{time.Millisecond, time.Second, true}, {time.Millisecond, 4 * time.Second, false},
		{90 * time.Millisecond, 0, false}, {0, 4 * time.Second, false}, {90 * time.Millisecond, 0, false}, {90 * time.Millisecond, 0, false}, {9 * time.Second, 0, true},
	} {
		s.take = tt.take
		w.Write([]byte("x"))
		s.now = s.now.Add(tt.pause)
		if w.slow() != tt.slow {
			t.Errorf("write %d: slow %v", i, w.slow())
		}
	}
	if (*wire)(nil).slow() {
		t.Error("no wire is slow")
	}
	d := reading(t, 120, 36)
	d.m.wire = w
	d.tick()
	if f := plainFrame(d.frame()); !strings.Contains(f, "slow link") || d.m.logWait() != logSlow {
		t.Errorf("it is not said, or ticks stay quick:\n%s", f)
	}
	s.now = s.now.Add(time.Hour)
	d.tick()
	if f := plainFrame(d.frame()); strings.Contains(f, "slow link") {
		t.Error("it does not recover")
	}
}

// TestFrameRate: how often a frame is drawn, and a log looked at.
func TestFrameRate(t *testing.T) {
	for _, tt := range []struct {
		fps  int
		env  []string
		want int
		tick time.Duration
	}{
		{0, nil, 30, logBusy}, {0, []string{"SSH_TTY=/dev/pts/1"}, 10, logSSH}, {0, []string{"SSH_CONNECTION=x"}, 10, logSSH}, {0, []string{"SSH_TTY="}, 30, logBusy},
		{60, nil, 60, logBusy}, {4, nil, 4, 250 * time.Millisecond}, {1000, nil, 120, logBusy}, {30, []string{"SSH_TTY=x"}, 30, logSSH},
		{0, []string{"LIFEBOAT_FPS=15"}, 15, time.Second / 15}, {5, []string{"LIFEBOAT_FPS=15"}, 5, 200 * time.Millisecond}, {0, []string{"LIFEBOAT_FPS=fast"}, 30, logBusy}, {0, []string{"LIFEBOAT_FPS=-1", "SSH_TTY=x"}, 10, logSSH},
	} {
		o := Options{FPS: tt.fps, Env: tt.env}
		if got := o.frames(); got != tt.want {
			t.Errorf("%+v: %d frames", tt, got)
		}
		d := reading(t, 80, 24)
		d.m.o.FPS, d.m.o.Env = tt.fps, tt.env
		d.m.log.pane.Alarm(1) // it wants lines, so it moves
		if got := d.m.logWait(); got != tt.tick {
			t.Errorf("%+v: a tick every %v", tt, got)
		}
	}
}

var _ tea.ExecCommand = (*stream)(nil)
var _ widget.Source = (*grower)(nil)

// TestPace: frames that nobody asked for are kept apart, what a key does is drawn at once,
// and nothing stays undrawn.
func TestPace(t *testing.T) {
	d := reading(t, 120, 36)
	d.m.pace.every = time.Second / 30
	grow := func(i int) {
		d.b.logs["keep.1.log"] = fmt.Appendf(d.b.logs["keep.1.log"], "new line %d\n", i)
		d.fire(func(m tea.Msg) bool { _, log := m.(logTickMsg); return log })
	}
	shows := func(text string, want bool) {
		t.Helper()
		if strings.Contains(d.m.View().Content, text) != want {
			t.Errorf("%q is shown: %v", text, !want)
		}
	}
	grow(1)
	shows("new line 1", true)
	grow(2)
	shows("new line 2", false)
	d.send(keyPress("w"))
	shows("new line 2", true)
	shows("wrapped", true)
	grow(3)
	shows("new line 3", false)
	d.fire(func(m tea.Msg) bool { _, frame := m.(frameMsg); return frame })
	shows("new line 3", true)
	d.send(keyPress("g"))
	shows("bookings_0000", true)
}

// TestLogBesideTheStep: the small log on the run screen moves with the same keys while no
// gate has them, and follows again.
func TestLogBesideTheStep(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).keeping(), func(b *fakeBackend, _ *Options) { b.logs["keep.1.log"] = longLog(400) })
	d.frame()
	d.tick()
	for _, tt := range []struct{ key, shows, not string }{
		{"G", "bookings_0399", "paused"}, {"pgup", "paused", "bookings_0399"}, {"G", "bookings_0399", "paused"}, {"g", "bookings_0000", "bookings_0399"},
	} {
		d.press(tt.key)
		d.frame()
		d.tick()
		if got := ansi.Strip(d.frame()); !strings.Contains(got, tt.shows) || strings.Contains(got, tt.not) {
			t.Errorf("%s: no %q, or %q in\n%s", tt.key, tt.shows, tt.not, got)
		}
	}
}
