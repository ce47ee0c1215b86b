package console

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// screenBuffer is a terminal that tells when a text has been written to it.
type screenBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
	want string
	seen chan struct{}
}

func (s *screenBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.Write(p)
	if s.want != "" && bytes.Contains(s.data.Bytes(), []byte(s.want)) {
		close(s.seen)
		s.want = ""
	}
	return len(p), nil
}

// TestRunProgram starts the whole program on pipes: it draws the open run, and the end
// of its context detaches without an error.
func TestRunProgram(t *testing.T) {
	s := newStory(t).keepGate()
	b := &fakeBackend{books: library(), runs: pastRuns(), events: s.events, now: s.now}
	in, typed := io.Pipe()
	defer typed.Close()
	out := &screenBuffer{want: "CONFIRM", seen: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		o := Options{In: in, Out: out, Env: []string{"TERM=xterm-256color"}, User: "m.ito", Run: runID}
		ended <- show(ctx, b, o, tea.WithWindowSize(120, 36))
	}()
	<-out.seen
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("detaching is an error: %v", err)
	}
	if len(b.answers) != 0 || b.stopped != 0 {
		t.Error("detaching touched the run")
	}
}

// deadTerminal takes no byte: an SSH link that hangs.
type deadTerminal struct {
	once        sync.Once
	stuck, free chan struct{}
}

func (d *deadTerminal) Write(p []byte) (int, error) {
	d.once.Do(func() { close(d.stuck) })
	<-d.free
	return len(p), nil
}

func TestDeadTerminal(t *testing.T) {
	b := &fakeBackend{books: library(), now: began}
	in, typed := io.Pipe()
	defer typed.Close()
	dead := &deadTerminal{stuck: make(chan struct{}), free: make(chan struct{})}
	defer close(dead.free)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- show(ctx, b, Options{In: in, Out: dead, Env: []string{"TERM=xterm"}}, tea.WithWindowSize(80, 24))
	}()
	<-dead.stuck
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("a dead terminal is an error: %v", err)
	}
}
