package console

import (
	"reflect"
	"time"
	"unsafe"

	tea "charm.land/bubbletea/v2"
)

const (
	beatBase = 75                     // looks in a second where the clock cannot be reached
	beatNow  = 2 * time.Millisecond   // between two looks while a frame is on its way
	beatCalm = 30 * time.Millisecond  // a frame is written by then
	beatRest = 100 * time.Millisecond // between two looks while there is none
)

// beat is the clock by which Bubble Tea looks whether there is a new frame. At one pace a
// key waits for it, or a console that nobody touches wakes up all the time; so it is quick
// while a frame is on its way and slow otherwise. A nil beat leaves it as it is.
//
// Only the goroutine of the event loop, which has started the clock, may use it.
type beat struct {
	program *tea.Program
	written func() int64 // writes to the terminal so far

	frames int64 // that were drawn
	before int64 // writes at the last of them
	tries  int   // how often it was not written in time
}

// calmMsg asks whether a frame is on the terminal.
type calmMsg struct{ frame int64 }

// clock is nil where this version of Bubble Tea has none under that name; a test tells.
func (b *beat) clock() *time.Ticker {
	f := reflect.ValueOf(b.program).Elem().FieldByName("ticker")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*time.Ticker]() {
		return nil
	}
	return *(**time.Ticker)(unsafe.Pointer(f.UnsafeAddr())) // Bubble Tea keeps it to itself
}

// quicken is called when a frame is about to be drawn. The message has to be given to calm
// after beatCalm.
func (b *beat) quicken() (calmMsg, bool) {
	if b == nil {
		return calmMsg{}, false
	}
	c := b.clock()
	if c == nil {
		return calmMsg{}, false
	}
	c.Reset(beatNow)
	b.frames++
	b.before, b.tries = b.written(), 0
	return calmMsg{b.frames}, true
}

// calm slows the clock down when the newest frame has been written. One that looks like
// the frame before it never is, so this ends after a few times; it says whether to ask
// again.
func (b *beat) calm(msg calmMsg) (again bool) {
	const most = 8
	if b == nil || msg.frame != b.frames {
		return false
	}
	if b.tries++; b.written() == b.before && b.tries < most {
		return true
	}
	if c := b.clock(); c != nil {
		c.Reset(beatRest)
	}
	return false
}

// started takes what concerns the program and no screen: its beginning, and its frames.
func (m *Model) started(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case beginMsg:
		ctx, begin := m.ctx, m.o.Begin
		return func() tea.Msg { return begunMsg{begin(ctx)} }
	case begunMsg:
		if msg.err != nil {
			m.failed = msg.err
			return tea.Quit
		}
		return m.reads()
	case calmMsg:
		if m.beat.calm(msg) {
			return m.after(beatCalm, msg)
		}
	}
	return nil
}
