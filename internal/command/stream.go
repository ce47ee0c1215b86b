package command

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stream carries one output of a program to its writer. Owned by Process; its fields may
// be read after finish.
type stream struct {
	from *os.File // our end of the pipe, nil when there is nothing to carry
	to   io.Writer
	keep bool // the tail goes into the Result
	tail *tail
	over chan struct{}
	err  error // of the writer
	held bool  // cut off, because somebody still held the pipe
}

func (s *stream) start() {
	if s.from == nil {
		return
	}
	s.over = make(chan struct{})
	go s.carry()
}

// carry reads to the end. A writer that fails gets no more, but reading goes on: a
// program must not die of SIGPIPE in the middle of its effect because a log is full.
func (s *stream) carry() {
	defer close(s.over)
	defer s.from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := s.from.Read(buf)
		_, _ = s.tail.Write(buf[:n]) // cannot fail
		if s.to != nil && s.err == nil && n > 0 {
			_, s.err = s.to.Write(buf[:n])
		}
		if err != nil {
			s.held = errors.Is(err, os.ErrDeadlineExceeded)
			return
		}
	}
}

// finish waits for the end of the output, and cuts it off at limit.
func (s *stream) finish(limit time.Time) error {
	if s.from == nil {
		return nil
	}
	_ = s.from.SetReadDeadline(limit) // fails only when carry has closed the file already
	<-s.over
	return s.err
}

func (s *stream) kept(truncated *bool) []byte {
	if !s.keep {
		return nil
	}
	data, cut := s.tail.bytes()
	*truncated = *truncated || cut
	return data
}

// feed carries a reader into the input of a program.
type feed struct {
	from io.Reader
	to   *os.File
}

// start leaves a goroutine that ends when the reader ends or the program stops reading.
func (f *feed) start() {
	if f == nil {
		return
	}
	go func() {
		_, _ = io.Copy(f.to, f.from) // a program may stop reading early; that is its right
		f.to.Close()
	}()
}

func (f *feed) stop() {
	if f != nil {
		f.to.Close()
	}
}

// plumb connects the three standard streams. It returns the ends that belong to the
// child, to be closed once the child has them.
func (p *Process) plumb() (theirs []*os.File, err error) {
	c := &p.cmd
	p.stdout.tail, p.stderr.tail = &tail{limit: c.Keep}, &tail{limit: c.Keep}
	pair := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	keep := func(f *os.File) *os.File { // theirs
		if f != nil {
			theirs = append(theirs, f)
		}
		return f
	}
	if c.StdinPipe {
		r, w := pair()
		p.exec.Stdin, p.Stdin = keep(r), w
	} else if f, ok := c.Stdin.(*os.File); ok {
		p.exec.Stdin = f
	} else if c.Stdin != nil {
		r, w := pair()
		p.exec.Stdin, p.stdin = keep(r), &feed{from: c.Stdin, to: w}
	}
	if c.StdoutPipe {
		r, w := pair()
		p.exec.Stdout, p.pipe = keep(w), &heldReader{file: r}
		p.Stdout = p.pipe
	} else if f, ok := c.Stdout.(*os.File); ok {
		p.exec.Stdout = f
	} else {
		r, w := pair()
		p.exec.Stdout, p.stdout.from, p.stdout.to, p.stdout.keep = keep(w), r, c.Stdout, c.Stdout == nil
	}
	if f, ok := c.Stderr.(*os.File); ok {
		p.exec.Stderr = f
	} else if c.Stderr != nil && !c.StdoutPipe && same(c.Stderr, c.Stdout) {
		p.exec.Stderr = p.exec.Stdout // one pipe, so that lines keep their order
		p.stderr.tail = p.stdout.tail
	} else {
		r, w := pair()
		p.exec.Stderr, p.stderr.from, p.stderr.to, p.stderr.keep = keep(w), r, c.Stderr, c.Stderr == nil
	}
	if c.Stderr != nil {
		p.stderr.tail.limit = min(c.Keep, errorTail)
	}
	return theirs, err
}

// unplumb closes our ends after a start that did not succeed.
func (p *Process) unplumb() {
	p.stdin.stop()
	for _, c := range []io.Closer{p.Stdin, p.Stdout} {
		if c != nil {
			c.Close()
		}
	}
	for _, f := range []*os.File{p.stdout.from, p.stderr.from} {
		if f != nil {
			f.Close()
		}
	}
}

func same(a, b io.Writer) bool {
	t := reflect.TypeOf(a)
	return b != nil && t == reflect.TypeOf(b) && t.Comparable() && a == b
}

// heldReader is the reading end of a StdoutPipe. Once the program is gone, a read that
// waits longer than the grace ends with [ErrHeld] instead of for ever.
type heldReader struct {
	file  *os.File
	mu    sync.Mutex
	grace time.Duration // 0 while the program lives
}

func (h *heldReader) childExited(grace time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.grace = grace
	_ = h.file.SetReadDeadline(time.Now().Add(grace)) // for a read that waits now
}

func (h *heldReader) Read(p []byte) (int, error) {
	h.mu.Lock()
	if h.grace > 0 {
		_ = h.file.SetReadDeadline(time.Now().Add(h.grace))
	}
	h.mu.Unlock()
	n, err := h.file.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrHeld
	}
	return n, err
}

func (h *heldReader) Close() error { return h.file.Close() }

// groupAlive says whether a process of the group still runs. Zombies do not count: in a
// container whose first process collects nothing they stay for ever.
func groupAlive(pgid int) bool {
	if syscall.Kill(-pgid, 0) == syscall.ESRCH {
		return false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return true
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// "pid (name) state ppid pgrp …": the name may hold anything, also ')'.
		rest := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(rest) > 2 && rest[2] == strconv.Itoa(pgid) && rest[0] != "Z" && rest[0] != "X" {
			return true
		}
	}
	return false
}
