package console

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// clockModel looks for the clock of its program and ends.
type clockModel struct {
	beat  *beat
	found *time.Ticker
}

func (c *clockModel) Init() tea.Cmd  { return tea.Quit }
func (c *clockModel) View() tea.View { return tea.NewView("") }
func (c *clockModel) Update(tea.Msg) (tea.Model, tea.Cmd) {
	c.found = c.beat.clock()
	return c, nil
}

// TestClock fails when a version of Bubble Tea keeps its clock elsewhere: keys then wait
// for the renderer, and an idle console wakes up more often.
func TestClock(t *testing.T) {
	c := &clockModel{beat: &beat{}}
	c.beat.program = tea.NewProgram(c, tea.WithInput(nil), tea.WithOutput(io.Discard), tea.WithWindowSize(80, 24))
	if _, err := c.beat.program.Run(); err != nil {
		t.Fatal(err)
	}
	if c.found == nil {
		t.Error("the clock of the renderer was not found")
	}
}

// TestBeatCalms: the clock stays quick until the frame has been written, but not for ever.
func TestBeatCalms(t *testing.T) {
	written := int64(0)
	b := &beat{program: tea.NewProgram(nil), written: func() int64 { return written }}
	b.frames, b.before = 2, 0
	if b.calm(calmMsg{1}) {
		t.Error("an older frame is asked for again")
	}
	if !b.calm(calmMsg{2}) {
		t.Error("a frame that is not written is given up at once")
	}
	written++
	if b.calm(calmMsg{2}) {
		t.Error("a frame that is written is asked for again")
	}
	written, b.tries = 0, 0
	asked := 0
	for b.calm(calmMsg{2}) {
		asked++
	}
	if asked == 0 || asked > 10 {
		t.Errorf("asked %d times for a frame that is never written", asked)
	}
	if _, ok := (*beat)(nil).quicken(); ok || (*beat)(nil).calm(calmMsg{}) {
		t.Error("no beat does something")
	}
}

// TestBegin: the first frame stands before what has to begin, nothing is read before it
// has, and its error ends the console.
func TestBegin(t *testing.T) {
	out := &screenBuffer{want: "WHAT HAPPENED?", seen: make(chan struct{})}
	b := &fakeBackend{books: library(), now: began}
	bad := errors.New("no sandbox")
	o := Options{Out: out, Env: []string{"TERM=xterm-256color"}, Begin: func(ctx context.Context) error {
		select {
		case <-out.seen:
			return bad
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	in, typed := io.Pipe()
	defer typed.Close()
	o.In = in
	if err := show(t.Context(), b, o, tea.WithWindowSize(120, 36)); !errors.Is(err, bad) {
		t.Errorf("ended with %v", err)
	}
}
