package console

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	framesNear = 30
	framesSSH  = 10
	framesMost = 120

	slowFlush = 80 * time.Millisecond  // a write that takes longer is a sign of a slow link
	slowAfter = 3                      // that many of them
	quickFor  = 3 * time.Second        // so long without one, and it is quick again
	logBusy   = 50 * time.Millisecond  // between two looks at a log that grows
	logSSH    = 100 * time.Millisecond // over SSH
	logSlow   = 250 * time.Millisecond // of one that does not, or over a slow link
)

// wire is the way to the terminal. It measures how long the terminal takes to take what
// is drawn, which happens in the goroutine of the renderer; anybody may ask.
type wire struct {
	to  io.Writer
	now func() time.Time

	mu   sync.Mutex
	late int       // slow writes, each within quickFor of the one before
	last time.Time // end of the newest of them
}

func newWire(to io.Writer) *wire { return &wire{to: to, now: time.Now} }

func (l *wire) Write(p []byte) (int, error) {
	began := l.now()
	n, err := l.to.Write(p)
	end := l.now()
	if end.Sub(began) <= slowFlush {
		return n, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if began.Sub(l.last) > quickFor {
		l.late = 0
	}
	l.late, l.last = l.late+1, end
	return n, err
}

// slow says whether writes take too long. A nil wire is quick.
func (l *wire) slow() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.late >= slowAfter && l.now().Sub(l.last) <= quickFor
}

// file is what Bubble Tea needs of a terminal beyond writing: its size and its mode.
type file interface {
	io.ReadWriteCloser
	Fd() uintptr
}

// fileWire is a wire to one.
type fileWire struct {
	file
	wire *wire
}

func (f fileWire) Write(p []byte) (int, error) { return f.wire.Write(p) }

// output puts a wire before the terminal.
func output(to io.Writer) (io.Writer, *wire) {
	w := newWire(to)
	if f, ok := to.(file); ok {
		return fileWire{f, w}, w
	}
	return w, w
}

// variable is one of the environment.
func (o *Options) variable(name string) string {
	for _, e := range o.Env {
		if k, v, _ := strings.Cut(e, "="); k == name {
			return v
		}
	}
	return ""
}

// remote says that the terminal is at the other end of an SSH connection.
func (o *Options) remote() bool {
	return o.variable("SSH_TTY") != "" || o.variable("SSH_CONNECTION") != ""
}

// frames is how many frames are drawn in a second at most.
func (o *Options) frames() int {
	n := o.FPS
	if n == 0 {
		n, _ = strconv.Atoi(o.variable("LIFEBOAT_FPS")) // one that is no number counts as none
	}
	switch {
	case n > 0:
		return min(n, framesMost)
	case o.remote():
		return framesSSH
	}
	return framesNear
}

// logWait is how long until the log is looked at again.
func (m *Model) logWait() time.Duration {
	switch {
	case m.slow || !m.log.pane.Moving():
		return logSlow
	case m.o.remote():
		return max(logSSH, time.Second/time.Duration(m.o.frames()))
	}
	return max(logBusy, time.Second/time.Duration(m.o.frames()))
}
