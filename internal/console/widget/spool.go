package widget

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
)

// Source is a file that may still grow.
type Source interface {
	io.ReaderAt
	// Size in bytes, now.
	Size() (int64, error)
}

const (
	window    = 128 << 10 // bytes read around the place that is shown
	countStep = 64 << 20  // most bytes counted per Fetch, so that it stays quick
	findStep  = 64 << 20  // most bytes searched per Fetch
	lineLimit = 8 << 10   // bytes of one line that are kept for display
)

// Spool reads the visible part of a log file. It keeps no lines: places are byte
// offsets, which never move in a file that only grows, so a file of ten million lines
// costs as much memory as one of ten. One Fetch at a time; it belongs to whoever
// fetches.
type Spool struct {
	src     Source
	counted int64 // bytes whose line ends are counted
	lines   int64
	buf     []byte
}

// NewSpool reads from src, which it does not close.
func NewSpool(src Source) *Spool { return &Spool{src: src} }

// Want is the wish for a part of the file.
type Want struct {
	Follow bool  // the newest lines
	Top    int64 // else: offset of the first line
	Move   int   // lines to move from Top, negative is up
	Lines  int   // how many are needed
	Find   string
	Back   bool // search upwards
}

// Got is that part.
type Got struct {
	Lines  []string // raw, each at most 8 KiB, without line ends
	Starts []int64  // offset of each of them
	Top    int64    // offset of the first of them
	End    bool     // the last line of the file is among them
	Size   int64    // bytes
	Total  int64    // lines counted so far
	All    bool     // the whole file is counted
	Missed bool     // Find was given and nothing was found
	Err    error
}

// Fetch reads what is wanted. It reads at most a few windows, and counts at most
// 64 MiB of what is new.
func (s *Spool) Fetch(w Want) Got {
	size, err := s.src.Size()
	if err != nil {
		return Got{Err: fmt.Errorf("size of log: %w", err)}
	}
	g := Got{Size: size}
	if g.Err = s.count(size); g.Err != nil {
		return g
	}
	g.Total, g.All = s.lines, s.counted == size
	top := min(max(w.Top, 0), size)
	switch {
	case w.Find != "":
		at, found, err := s.find(w, top, size)
		if err != nil {
			g.Err = err
			return g
		}
		g.Missed = !found
		top = at
	case w.Follow:
		if top, err = s.back(size, w.Lines, size); err != nil {
			g.Err = err
			return g
		}
	case w.Move < 0:
		if top, err = s.back(top, -w.Move, size); err != nil {
			g.Err = err
			return g
		}
	case w.Move > 0:
		top, err = s.forward(top, w.Move, w.Lines, size)
		if err != nil {
			g.Err = err
			return g
		}
	}
	g.Top = top
	g.Err = s.read(&g, w.Lines)
	return g
}

// count advances the line counter.
func (s *Spool) count(size int64) error {
	for budget := int64(countStep); s.counted < size && budget > 0; {
		b, err := s.at(s.counted, min(size-s.counted, 1<<20))
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return nil
		}
		s.lines += int64(bytes.Count(b, []byte{'\n'}))
		s.counted += int64(len(b))
		budget -= int64(len(b))
	}
	return nil
}

// at reads up to n bytes at an offset; fewer at the end of the file.
func (s *Spool) at(off, n int64) ([]byte, error) {
	if int64(cap(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	got, err := s.src.ReadAt(s.buf[:n], off)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read log at %d: %w", off, err)
	}
	return s.buf[:got], nil
}

// back finds the start of the line that lies n lines above the one at off.
func (s *Spool) back(off int64, n int, size int64) (int64, error) {
	from := max(off-window, 0)
	b, err := s.at(from, off-from)
	if err != nil {
		return 0, err
	}
	end := len(b)
	if end > 0 && b[end-1] == '\n' {
		end-- // the end of the line above, or of the file
	}
	for i := range n {
		nl := bytes.LastIndexByte(b[:end], '\n')
		if nl < 0 {
			switch {
			case from == 0:
				return 0, nil
			case i == 0: // one line fills the window: go up by a part of it
				return max(off-lineLimit, 0), nil
			}
			return from + int64(end) + 1, nil
		}
		if i == n-1 {
			return from + int64(nl) + 1, nil
		}
		end = nl
	}
	return from + int64(end), nil
}

// forward finds the start of the line n lines below, but never so far that fewer than
// keep lines are left.
func (s *Spool) forward(off int64, n, keep int, size int64) (int64, error) {
	last, err := s.back(size, keep, size)
	if err != nil || off >= last {
		return min(off, max(last, 0)), err
	}
	b, err := s.at(off, min(window, size-off))
	if err != nil {
		return 0, err
	}
	at := 0
	for range n {
		nl := bytes.IndexByte(b[at:], '\n')
		if nl < 0 {
			at = min(at+lineLimit, len(b))
			break
		}
		at += nl + 1
	}
	return min(off+int64(at), last), nil
}

// read cuts up to n lines at g.Top out of the file.
func (s *Spool) read(g *Got, n int) error {
	b, err := s.at(g.Top, min(window, g.Size-g.Top))
	if err != nil {
		return err
	}
	at := g.Top
	whole := at+int64(len(b)) >= g.Size
	for len(g.Lines) < n && len(b) > 0 {
		nl := bytes.IndexByte(b, '\n')
		if nl < 0 && !whole && len(g.Lines) > 0 {
			break // the rest of this line lies behind the window
		}
		if nl < 0 {
			nl = len(b) - 1
			g.Lines = append(g.Lines, clip(b))
		} else {
			g.Lines = append(g.Lines, clip(b[:nl]))
		}
		g.Starts = append(g.Starts, at)
		at, b = at+int64(nl)+1, b[nl+1:]
	}
	g.End = whole && len(b) == 0
	return nil
}

// clip copies the part of a line that can be shown.
func clip(b []byte) string {
	b = bytes.TrimSuffix(b, []byte{'\r'})
	if len(b) > lineLimit {
		b = b[:lineLimit]
	}
	return string(b)
}

// find looks for a regular expression, or for the text itself when it is none,
// ignoring case when it has no capital. It searches below top, or above it.
func (s *Spool) find(w Want, top, size int64) (at int64, found bool, err error) {
	pattern := w.Find
	if pattern == string(bytes.ToLower([]byte(pattern))) {
		pattern = "(?i)" + pattern
	}
	re, bad := regexp.Compile(pattern)
	if bad != nil {
		re = regexp.MustCompile("(?i)" + regexp.QuoteMeta(w.Find))
	}
	const chunk = 1 << 20
	if w.Back {
		for end, budget := top, int64(findStep); end > 0 && budget > 0; budget -= chunk {
			from := max(end-chunk, 0)
			b, err := s.at(from, end-from)
			if err != nil {
				return top, false, err
			}
			if all := re.FindAllIndex(b, -1); len(all) > 0 {
				return from + start(b, all[len(all)-1][0]), true, nil
			}
			end = from
		}
		return top, false, nil
	}
	from := top
	if b, err := s.at(top, min(window, size-top)); err == nil {
		if nl := bytes.IndexByte(b, '\n'); nl >= 0 {
			from = top + int64(nl) + 1
		}
	}
	for budget := int64(findStep); from < size && budget > 0; budget -= chunk {
		b, err := s.at(from, min(chunk, size-from))
		if err != nil {
			return top, false, err
		}
		if hit := re.FindIndex(b); hit != nil {
			return from + start(b, hit[0]), true, nil
		}
		if len(b) == 0 {
			break
		}
		step := int64(len(b))
		if nl := bytes.LastIndexByte(b, '\n'); nl >= 0 {
			step = int64(nl) + 1 // a line is never cut between two chunks
		}
		from += step
	}
	return top, false, nil
}

// start is where the line of the byte i begins.
func start(b []byte, i int) int64 { return int64(bytes.LastIndexByte(b[:i], '\n') + 1) }
