package console

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/vt"

	"lifeboat/internal/console/look"
)

// firstWrite keeps what was written until a text was in it.
type firstWrite struct {
	mu   sync.Mutex
	data bytes.Buffer
	want string
	seen chan []byte
}

func (f *firstWrite) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data.Write(p)
	if f.want != "" && bytes.Contains(f.data.Bytes(), []byte(f.want)) {
		f.want = ""
		f.seen <- bytes.Clone(f.data.Bytes())
	}
	return len(p), nil
}

// TestTerminalGets holds the golden frames to the truth: what the whole program writes
// in each colour profile, read by a terminal emulator, is what the frame is decoded to.
func TestTerminalGets(t *testing.T) {
	const w, h = 80, 24
	auto, err := look.Named(look.Standard)
	if err != nil {
		t.Fatal(err)
	}
	s := newStory(t).pushGate()
	for _, p := range profiles {
		t.Run(p.name, func(t *testing.T) {
			out := &firstWrite{want: "DANGER GATE", seen: make(chan []byte, 1)}
			b := &fakeBackend{books: library(), team: team(t), runs: pastRuns(), events: s.events, now: s.now}
			in, typed := io.Pipe()
			defer typed.Close()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				o := Options{In: in, Out: out, Env: []string{"TERM=xterm-256color"}, User: "m.ito", Run: runID, Theme: auto}
				ended <- show(ctx, b, o, tea.WithWindowSize(w, h), tea.WithColorProfile(p.of))
			}()
			data := <-out.seen
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			em := vt.NewEmulator(w, h)
			go io.Copy(io.Discard, em)                                     // its answers
			em.Write(bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))) // as a line discipline does
			defer em.Close()
			d := drive(t, w, h, s, func(b *fakeBackend, o *Options) { b.now, o.Theme = s.now, auto })
			d.send(tea.ColorProfileMsg{Profile: p.of})
			want := decode(d.frame(), w, h)
			for y := range h {
				for x := range w {
					g, e := em.CellAt(x, y), want.CellAt(x, y)
					if g.Content != e.Content || sgrIn(p.of, g.Style) != sgrIn(p.of, e.Style) && !unseen(e) {
						t.Fatalf("cell %d,%d is %q in %q on the terminal, and %q in %q in the frame", x, y, g.Content, sgrIn(p.of, g.Style), e.Content, sgrIn(p.of, e.Style))
					}
				}
			}
		})
	}
}
