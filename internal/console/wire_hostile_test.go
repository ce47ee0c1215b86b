package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// hostileLines are what programs print by accident and attackers on purpose.
var hostileLines = []string{
	"title \x1b]0;owned\x07 and \x1b]2;owned\x1b\\ end", "clipboard \x1b]52;c;ZXZpbA==\x07 end", "link \x1b]8;;http://evil/\x1b\\text\x1b]8;;\x1b\\ end",
	"screen \x1b[2J\x1b[H\x1b[?1049l\x1b[?1000h\x1b[?2004l end", "queries \x1b[c\x1b[6n\x1b[?2026$p\x1b[>q\x1bZ\x05 end", "reset \x1bc\x1b[!p\x1b#8 end",
	"sixel \x1bPq#0;2;0;0;0#0~~\x1b\\ end", "kitty \x1b_Gi=1,a=T;AAAA\x1b\\ end", "SOS \x1bXsos\x1b\\ PM \x1b^pm\x1b\\ end", "DECUDK \x1bP0;1|17/41\x1b\\ end",
	"C1 as text \u009b31m\u009d0;owned\u009c\u0090q\u009c\u0098\u009e\u009f end", "C1 as bytes \x9b2J\x9d0;x\x9c\x90q\x9c end",
	"no end \x1b]0;everything after", "no end \x1bPq", "no end \x1b[38;5", "no end \x1b", "broken off \x1b[3\x1b[1m\x1b[3\n",
	"bidi \u202eevil\u202c \u2066x\u2069 \u061c\u200e\u200f end", "zero width pro\u200bd\u2060\ufeff\u00ad\u034f\u180e end", "tags \U000e0041\U000e007f end", "variation a\ufe0fb\U000e0100 end",
	"wide 日本語 한국어 end", "ZWJ 👩\u200d🚒 👨\u200d👩\u200d👧\u200d👦 end", "VS16 ⚠\ufe0f ❤\ufe0f 1\ufe0f\u20e3 end", "flags 🇩🇪🇯🇵🇩 end", "new 🫆 end", "marks " + strings.Repeat("a\u0301\u0302\u0303", 40) + " end",
	"private \ue000\U000f0000 end", "invalid \xff\xfe\xc3\x28\xed\xa0\x80\xf4\x90\x80\x80 end", "NUL a\x00b DEL \x7f BS a\b\b BEL \a SO \x0e SI \x0f VT \v FF \f end",
	"DESTROY prod\rall good", "10%\r20%\r100%\r", "tabs \t\t\t end", "conceal \x1b[8mhidden\x1b[28m blink \x1b[5;6mx\x1b[m end", "colours \x1b[1;31;48;2;1;2;3mred \x1b[7mreverse end",
	"colons \x1b[4:3;58:2::1:2:3mx end", "long numbers \x1b[99999999999999999999m\x1b[" + strings.Repeat("1;", 400) + "1m end", strings.Repeat("long ", 4000), strings.Repeat("\x1b[31m", 3000) + "x",
	strings.Repeat("日", 5000), "line separators a\u2028b\u2029c\u0085d end",
}

// ours are all control sequences that the console may send: colours, moving the cursor,
// erasing and repeating cells, scroll regions, the alternate screen and modes of the
// keyboard and the cursor, its title, and two questions to the terminal.
var ours = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`\x1b\[[0-9;:]*m`, `\x1b\[[0-9;]*[ABCDEFGHIJKLMPSTXZ@abdefr` + "`" + `]`, `\x1b\[[0-9]+ q`,
	`\x1b\[\?(?:1049|25|2004|2026|2027|1004|1000|1002|1003|1006|7)[hl]`, `\x1b\[\?(?:2026|2027)\$p`, `\x1b\[[>=<]?[0-9;]*u`, `\x1b\[\?u`, `\x1b\[>4(?:;[0-9])?m`, `\x1b\[\?[0-9]*W`,
	`\x1b\](?:2|0);[^\x1b\x07]*\x07`, `\x1b\]11;\?\x07`, `\x1b\]1[012]1?\x07`, `\x1bM`, `\x1b[78]`, `\x1b\[[0-9;]*[su]`, `\r`, `\n`, `\x08`, `\t`,
}, "|") + `)`)

// onlyOurs finds the first thing in what was sent to a terminal that is neither text nor
// a control sequence of our own.
func onlyOurs(sent []byte) error {
	for at := 0; at < len(sent); {
		if n := len(ours.Find(sent[at:])); n > 0 {
			if title := sent[at : at+n]; bytes.Contains(title, []byte("owned")) {
				return fmt.Errorf("at %d: %q", at, title)
			}
			at += n
			continue
		}
		r, n := utf8.DecodeRune(sent[at:])
		// A joiner between the parts of an emoji is no text that hides.
		if r == utf8.RuneError && n == 1 || r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Co, r) {
			return fmt.Errorf("at %d: %U in %q", at, r, sent[max(0, at-30):min(len(sent), at+30)])
		}
		at += n
	}
	return nil
}

// tapped is a terminal that keeps what it was sent and shows it.
type tapped struct {
	mu     sync.Mutex
	sent   bytes.Buffer
	screen *vt.Emulator
	want   string
	seen   chan struct{}
}

func (s *tapped) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.Write(p)
	s.screen.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))) // as a terminal that is not in raw mode does
	if s.want != "" && strings.Contains(plainFrame(s.screen.Render()), s.want) {
		s.want = ""
		close(s.seen)
	}
	return len(p), nil
}

func (s *tapped) wait(text string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want, s.seen = text, make(chan struct{})
	if strings.Contains(plainFrame(s.screen.Render()), text) {
		s.want = ""
		close(s.seen)
	}
	return s.seen
}

// program runs the whole program on a log, through the real renderer, until the end of
// the log is on the terminal, and gives every byte that the terminal was sent.
func program(t testing.TB, log []byte) []byte {
	t.Helper()
	s := newStory(t).keeping()
	const end = "and this is the end"
	b := &fakeBackend{books: library(), runs: pastRuns(), events: s.events, now: s.now, logs: map[string][]byte{"keep.1.log": append(log, "\n"+end+"\n"...)}}
	in, keys := io.Pipe()
	defer keys.Close()
	out := &tapped{screen: vt.NewEmulator(120, 40)}
	go io.Copy(io.Discard, out.screen) // its answers
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		o := Options{In: in, Out: out, Env: []string{"TERM=xterm-256color", "COLORTERM=truecolor"}, User: "m.ito", Run: runID}
		ended <- show(ctx, b, o, tea.WithWindowSize(120, 40))
	}()
	select {
	case <-out.wait(end):
	case <-time.After(time.Minute):
		out.mu.Lock()
		t.Fatalf("the end of the log is not shown:\n%s", plainFrame(out.screen.Render()))
	}
	cancel()
	<-ended
	out.mu.Lock()
	defer out.mu.Unlock()
	return bytes.Clone(out.sent.Bytes())
}

// TestHostileLogOnTerminal: whatever is in a log, the terminal is sent nothing but text and
// our own control sequences, by the program as a whole.
func TestHostileLogOnTerminal(t *testing.T) {
	for i := 0; i < len(hostileLines); i += 3 {
		lines := hostileLines[i:min(i+3, len(hostileLines))]
		sent := program(t, []byte(strings.Join(lines, "\n")))
		if err := onlyOurs(sent); err != nil {
			t.Errorf("%q: %v", lines, err)
		}
	}
}

// TestOnlyOurs: the judge of the test above finds what it is to find.
func TestOnlyOurs(t *testing.T) {
	for _, s := range hostileLines[:17] {
		if utf8.ValidString(s) && !strings.ContainsAny(s, "\x1b\u009b") {
			continue
		}
		if err := onlyOurs([]byte(s)); err == nil && !strings.HasPrefix(s, "screen") {
			t.Errorf("%q is taken for ours", s)
		}
	}
	if err := onlyOurs([]byte("\x1b[?2004h\x1b[31mtext\x1b[m\x1b[3;4Hé日\r\n")); err != nil {
		t.Error(err)
	}
}

// FuzzLog holds the same for the frames of the full log, wrapped and not, and that no
// frame is wider than the terminal; and for the plain log.
func FuzzLog(f *testing.F) {
	for _, s := range hostileLines {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		d := drive(t, 80, 24, newStory(t).keeping(), func(b *fakeBackend, _ *Options) { b.logs["keep.1.log"] = log })
		for _, k := range []string{"l", "w", "g", "G", "w", "right"} {
			frame := d.press(k).frame()
			if err := onlyOurs([]byte(frame)); err != nil {
				t.Fatalf("%s: %v", k, err)
			}
			for _, l := range strings.Split(frame, "\n") {
				if w := ansi.StringWidthWc(l); w > 80 {
					t.Fatalf("%s: a line of %d cells: %q", k, w, l)
				}
			}
		}
		if c, ok := copyLog(&d.m.log.pane).(copyText); ok {
			if err := onlyOurs([]byte(c.text)); err != nil || strings.Contains(c.text, "\x1b") {
				t.Fatalf("copied: %v %q", err, c.text)
			}
		}
		var out bytes.Buffer
		s := &stream{ctx: t.Context(), src: &grower{Buffer: bytes.NewBuffer(log)}, out: &out}
		if err := s.step(began); err != nil {
			t.Fatal(err)
		}
		if err := onlyOurs(out.Bytes()); err != nil || bytes.Contains(out.Bytes(), []byte("\x1b")) {
			t.Fatalf("streamed: %v %q", err, out.Bytes())
		}
	})
}
