package console

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

const (
	streamTick  = 50 * time.Millisecond
	streamBack  = 1000        // lines shown first
	streamMost  = 64 << 10    // bytes of log written per tick
	streamLag   = 1 << 20     // bytes behind, from which it leaves lines out
	streamAlone = 64 << 10    // a line that is longer than this is broken
	streamAsk   = time.Second // between two looks at the run
)

// stream shows the plain log on the normal screen, where the terminal itself scrolls,
// selects and searches. It runs in place of the console, in the event loop: nothing else
// of the console happens meanwhile, and the run does not notice. What it writes is made
// harmless line by line, and has no colours. A terminal that takes no more stops it in a
// write; when it takes bytes again, what was missed is left out and said.
type stream struct {
	ctx   context.Context // its end ends the stream
	src   widget.Source
	title string
	asks  func() bool // a person is needed now

	in   io.Reader
	out  io.Writer
	tick <-chan time.Time // nil: a clock of its own

	pos   int64
	asked time.Time
	told  bool
}

// streamedMsg says that the console has the terminal again.
type streamedMsg struct{ err error }

func (m *Model) streamLog() tea.Cmd {
	if m.log.file == nil {
		return nil
	}
	s := &stream{ctx: m.ctx, src: m.log.file, title: strings.TrimSpace("log of " + m.logOf())}
	return m.perform(streamLog{s, m.snap.ID, m.snap.Seq})
}

// asksPerson says whether a gate is open after these events.
func asksPerson(events []run.Event) bool {
	open := false
	for _, ev := range events {
		switch ev.Kind {
		case run.GateOpened:
			open = true
		case run.GateAnswered:
			open = false
		}
	}
	return open
}

// streamed takes the terminal back. Keys that were meant for the stream are not heard.
func (m *Model) streamed(msg streamedMsg) tea.Cmd {
	if msg.err != nil && m.ctx.Err() == nil {
		return tea.Batch(m.hush(), m.do(say{"the plain log could not be shown: " + msg.err.Error()}))
	}
	return m.hush()
}

func (s *stream) SetStdin(r io.Reader)  { s.in = r }
func (s *stream) SetStdout(w io.Writer) { s.out = w }
func (s *stream) SetStderr(io.Writer)   {}

// Run streams until q, s, esc or ctrl+c is pressed, or ctx ends.
func (s *stream) Run() error {
	if f, ok := s.in.(interface{ Fd() uintptr }); ok && term.IsTerminal(int(f.Fd())) {
		old, err := term.MakeRaw(int(f.Fd()))
		if err != nil {
			return fmt.Errorf("read single keys: %w", err)
		}
		defer func() { _ = term.Restore(int(f.Fd()), old) }() // the console makes it raw again
	}
	over := make(chan struct{})
	go s.keys(over)
	if s.tick == nil {
		t := time.NewTicker(streamTick)
		defer t.Stop()
		s.tick = t.C
	}
	if err := s.begin(); err != nil {
		return err
	}
	for {
		select {
		case <-over:
			return s.say("back to the console")
		case <-s.ctx.Done():
			return nil
		case now := <-s.tick:
			if err := s.step(now); err != nil {
				return err
			}
		}
	}
}

// keys waits for a key that ends the stream. It ends with that key, or, when the console
// ends first, with the process.
func (s *stream) keys(over chan<- struct{}) {
	defer close(over)
	buf := make([]byte, 64)
	for {
		n, err := s.in.Read(buf)
		if err != nil {
			return
		}
		if n == 1 && buf[0] == 0x1b { // alone it is the key, else the beginning of another one
			return
		}
		if buf[0] != 0x1b && strings.ContainsAny(string(buf[:n]), "qs\x03\x04") {
			return
		}
	}
}

// say writes a line of its own, which no line of the log can be mistaken for at the end
// of a long one.
func (s *stream) say(text string) error {
	_, err := io.WriteString(s.out, "-- lifeboat: "+printable.Line(text)+"\r\n")
	return err
}

// begin writes what there is to see first.
func (s *stream) begin() error {
	if err := s.say(s.title + "; q, s or esc goes back to the console, the run goes on meanwhile"); err != nil {
		return err
	}
	g := widget.NewSpool(s.src).Fetch(widget.Want{Follow: true, Lines: streamBack})
	if g.Err != nil {
		return g.Err
	}
	if len(g.Lines) > 0 {
		s.pos = g.Lines[0].Start
	}
	if s.pos > 0 {
		return s.say("what comes before is in the log")
	}
	return nil
}

// step writes what has come since the last one, and not too much of it.
func (s *stream) step(now time.Time) error {
	if s.asks != nil && now.Sub(s.asked) >= streamAsk {
		s.asked = now
		asks := s.asks()
		if asks && !s.told {
			if err := s.say("A PERSON IS NEEDED: the run asks something. Press q."); err != nil {
				return err
			}
		}
		s.told = asks
	}
	size, err := s.src.Size()
	if err != nil {
		return err
	}
	if err := s.skip(size); err != nil {
		return err
	}
	buf := make([]byte, min(streamMost, size-s.pos))
	n, err := s.src.ReadAt(buf, s.pos)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	text, used := s.lines(buf[:n], s.pos+int64(n) == size)
	if text == "" {
		return nil
	}
	s.pos += int64(used)
	_, err = io.WriteString(s.out, text)
	return err
}

// skip leaves out what cannot be read, and what the terminal was too slow for.
func (s *stream) skip(size int64) error {
	if x, ok := s.src.(widget.Indexed); ok {
		if from, to, _ := x.Gap(); from < to && s.pos >= from && s.pos < to {
			s.pos = to
			if err := s.say("lines that were not kept are missing here"); err != nil {
				return err
			}
		}
	}
	behind := size - s.pos
	if behind <= streamLag {
		return nil
	}
	g := widget.NewSpool(s.src).Fetch(widget.Want{Follow: true, Lines: streamBack})
	if g.Err != nil || len(g.Lines) == 0 || g.Lines[0].Start <= s.pos {
		return g.Err
	}
	left := g.Lines[0].Start - s.pos
	s.pos = g.Lines[0].Start
	return s.say(printable.Size(left) + " left out here, to keep up; they are in the log")
}

// lines makes whole lines harmless and says how many bytes it took. Where more follows, a
// line that does not end in b is left for later, unless it is too long for that.
func (s *stream) lines(b []byte, last bool) (string, int) {
	var out strings.Builder
	used := 0
	for used < len(b) {
		line := b[used:]
		n := strings.IndexByte(string(line[:min(len(line), streamAlone)]), '\n')
		switch {
		case n >= 0:
			line, n = line[:n], n+1
		case len(line) >= streamAlone || !last && used == 0:
			n = min(len(line), streamAlone)
			line = line[:n]
		default:
			return out.String(), used
		}
		text := printable.Line(widget.Overwritten(string(line)))
		out.WriteString(widget.Cut(text, streamAlone, "…"))
		out.WriteString("\r\n")
		used += n
	}
	return out.String(), used
}
