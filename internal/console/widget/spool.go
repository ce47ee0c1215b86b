package widget

import (
	"bytes"
	"fmt"
	"io"
	"sort"
)

// Source is a file that may still grow. Places in it are bytes, and do not move.
type Source interface {
	io.ReaderAt
	// Size in bytes, now.
	Size() (int64, error)
}

// Indexed is a Source that knows more than its bytes.
type Indexed interface {
	// Mark gives an entry of a sparse index at or before a byte: where a line begins, how
	// many lines are before it, and when it came (Unix milliseconds; 0 is not known).
	Mark(off int64) (start, lines, ms int64, ok bool)
	// Gap is a part that cannot be read, from its first byte to the one behind its last,
	// with the number of lines that end before that. Both are equal when there is none.
	Gap() (from, to, before int64)
}

const (
	near      = 32 << 10  // bytes read around the place that is shown
	far       = 256 << 10 // where that is not enough: twice what keeps a line in one piece, and more
	farthest  = 4 << 20   // where the lines are pieces of endless ones
	countStep = 64 << 20  // most bytes counted per Fetch, so that it stays quick
	alarmStep = 8 << 20   // most bytes searched for warnings per Fetch
	lineLimit = 8 << 10   // bytes of one line that are kept for display
	piece     = 64 << 10  // what is longer than this is more than one line of the screen
	markEvery = 64 << 10  // bytes between two marks of the lines that were counted
)

// Spool reads the visible part of a log file. It keeps no lines: places are byte
// offsets, so a file of ten million lines costs as much memory as one of ten. Lines are
// numbered by the sparse index of the source, and where there is none, or it turns out
// to be wrong, by counting. One Fetch at a time; it belongs to whoever fetches.
//
// A line that is longer than 64 KiB is shown in pieces. A piece begins at a multiple of
// 64 KiB without an end of line in the 64 KiB before it, so that the pieces are the same
// from wherever they are looked at.
type Spool struct {
	src   Source
	index Indexed // nil: none, or not trusted

	gap struct{ from, to, before int64 }

	counted int64 // bytes whose line ends are counted
	lines   int64
	marks   []mark // of what was counted without an index
	alarms  alarms
	buf     []byte
}

type mark struct{ off, lines, ms int64 }

// NewSpool reads from src, which it does not close.
func NewSpool(src Source) *Spool {
	s := &Spool{src: src}
	s.index, _ = src.(Indexed)
	return s
}

// Line is one line of a log.
type Line struct {
	Start int64  // where it begins
	Text  string // raw, at most 8 KiB, without the line end
	No    int64  // its number, from 1; 0 is not known
	At    int64  // when it came, in Unix milliseconds; 0 is not known
	More  bool   // it is longer than Text
	Note  bool   // not of the log: it says what is missing there

	end   int64 // the byte behind it
	ended bool  // with a line end
}

// Want is the wish for a part of the file.
type Want struct {
	Follow bool  // the newest lines
	At     int64 // else: those around this place
	Lines  int   // how many, on each side
	Head   bool  // no lines at all, only how much there is
	Alarm  int   // else: those around the next warning or error below At (1) or above it (-1)
}

// Got is that part.
type Got struct {
	Lines []Line
	At    int64 // the place that they are around; that of the warning, when one was asked for
	First bool  // the first line of the file is among them
	Last  bool  // the last one is

	Size   int64 // bytes
	Total  int64 // lines counted so far
	All    bool  // the whole file is counted
	Missed bool  // a warning was asked for and there is none

	Errors, Warnings int64
	Judged           bool // the whole file was searched for those
	Err              error
}

// Fetch reads what is wanted. It reads at most a few windows, counts at most 64 MiB of
// what is new, and searches at most 8 MiB of it for warnings.
func (s *Spool) Fetch(w Want) Got {
	size, err := s.src.Size()
	if err != nil {
		return Got{Err: fmt.Errorf("size of log: %w", err)}
	}
	g := Got{Size: size, At: w.At}
	if x, ok := s.src.(Indexed); ok {
		s.gap.from, s.gap.to, s.gap.before = x.Gap()
	}
	if g.Err = s.count(size); g.Err != nil {
		return g
	}
	if g.Err = s.alarms.scan(s, size); g.Err != nil {
		return g
	}
	g.Total, g.All = s.lines, s.counted == size
	g.Errors, g.Warnings, g.Judged = s.alarms.errors, s.alarms.warnings, s.alarms.seen == size
	switch {
	case w.Head:
		return g
	case w.Alarm != 0:
		if g.At, g.Missed = s.alarms.from(w.At, w.Alarm); g.Missed {
			return g
		}
	case w.Follow:
		g.At = size
	}
	g.Err = s.window(&g, w)
	return g
}

// at reads up to n bytes at an offset; fewer at the end of the file and before a gap.
func (s *Spool) at(off, n int64) ([]byte, error) {
	if int64(cap(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	return readAt(s.src, s.buf[:n], off)
}

func readAt(src Source, buf []byte, off int64) ([]byte, error) {
	n, err := src.ReadAt(buf, off)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("read log at %d: %w", off, err)
	}
	return buf[:n], nil
}

// skip is the next byte that can be read at or behind off, and the end of what can be
// read from there.
func (s *Spool) skip(off, size int64) (from, end int64) {
	switch {
	case s.gap.from == s.gap.to:
		return off, size
	case off < s.gap.from:
		return off, s.gap.from
	}
	return max(off, s.gap.to), size
}

// count advances the line counter: by the index where there is one, else by reading.
func (s *Spool) count(size int64) error {
	if s.index != nil {
		if start, lines, _, ok := s.index.Mark(size); ok && start > s.counted && s.trust(start) {
			s.counted, s.lines = start, lines
		}
	}
	for budget := int64(countStep); s.counted < size && budget > 0; {
		from, end := s.skip(s.counted, size)
		if from > s.counted {
			s.counted, s.lines = from, s.gap.before
			continue
		}
		b, err := s.at(s.counted, min(end-s.counted, 1<<20))
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return nil
		}
		s.counts(b)
		budget -= int64(len(b))
	}
	return nil
}

// counts takes bytes that follow what is counted, and keeps marks of its own where the
// source has none.
func (s *Spool) counts(b []byte) {
	for len(b) > 0 {
		n := len(b)
		if s.index == nil {
			last := int64(0)
			if len(s.marks) > 0 {
				last = s.marks[len(s.marks)-1].off
			}
			if due := last + markEvery - s.counted; due <= 0 {
				if i := bytes.IndexByte(b, '\n'); i >= 0 {
					s.lines++
					s.counted += int64(i) + 1
					s.marks = append(s.marks, mark{off: s.counted, lines: s.lines})
					b = b[i+1:]
					continue
				}
			} else {
				n = int(min(due, int64(n)))
			}
		}
		s.lines += int64(bytes.Count(b[:n], []byte{'\n'}))
		s.counted += int64(n)
		b = b[n:]
	}
}

// trust looks whether a line begins where the index says so. If not, the index is that
// of another file, or damaged: it is not used any more.
func (s *Spool) trust(start int64) bool {
	if start == 0 || start == s.gap.to {
		return true
	}
	var one [1]byte
	b, err := readAt(s.src, one[:], start-1)
	if err == nil && len(b) == 1 && b[0] == '\n' {
		return true
	}
	s.index, s.counted, s.lines = nil, 0, 0
	return false
}

// before is the last mark at or before a place. Without one, the file begins there.
func (s *Spool) before(off int64) mark {
	if s.index != nil {
		start, lines, ms, _ := s.index.Mark(off)
		return mark{start, lines, ms}
	}
	if i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].off > off }) - 1; i >= 0 {
		return s.marks[i]
	}
	return mark{}
}

// window collects the lines around g.At.
func (s *Spool) window(g *Got, w Want) error {
	up, down := w.Lines, w.Lines
	if w.Follow {
		down = 0
	}
	at := min(max(g.At, 0), g.Size)
	var err error
	switch gap := s.gap; {
	case gap.from == gap.to:
		g.Lines, err = s.around(0, g.Size, at, up, down)
	case at >= gap.to:
		if g.Lines, err = s.around(gap.to, g.Size, at, up, down); err == nil {
			err = s.addHead(g, at, up)
		}
	default:
		if at = min(at, gap.from); at == gap.from {
			g.Lines, err = s.around(0, gap.from, at, up, 0)
		} else {
			g.Lines, err = s.around(0, gap.from, at, up, down)
		}
		if err == nil {
			err = s.addTail(g, at, down)
		}
	}
	if err != nil {
		return err
	}
	g.First, g.Last = true, true
	if n := len(g.Lines); n > 0 {
		g.First = g.Lines[0].Start == 0
		g.Last = g.Lines[n-1].end == g.Size
		for _, l := range g.Lines {
			if l.Start <= at {
				g.At = l.Start
			}
		}
	}
	return nil
}

// addHead puts the gap, and what is before it, above lines that begin behind it.
func (s *Spool) addHead(g *Got, at int64, up int) error {
	for _, l := range g.Lines {
		if l.Start < at {
			up--
		}
	}
	if up <= 0 || len(g.Lines) > 0 && g.Lines[0].Start != s.gap.to {
		return nil
	}
	head, err := s.around(0, s.gap.from, s.gap.from, up-1, 0)
	g.Lines = append(append(head, s.note()), g.Lines...)
	return err
}

// addTail puts the gap, and what is behind it, below lines that end before it.
func (s *Spool) addTail(g *Got, at int64, down int) error {
	for _, l := range g.Lines {
		if l.Start >= at {
			down--
		}
	}
	if n := len(g.Lines); down <= 0 || n > 0 && g.Lines[n-1].end != s.gap.from {
		return nil
	}
	tail, err := s.around(s.gap.to, g.Size, s.gap.to, 0, down)
	g.Lines = append(append(g.Lines, s.note()), tail...)
	return err
}

// note is the line that stands for what is not kept.
func (s *Spool) note() Line {
	text := "… " + Count(s.gap.to-s.gap.from) + " bytes not kept …"
	before, err := s.number(s.gap.from)
	if n := s.gap.before - before; err == nil && n > 0 {
		text = "… " + lines(n, "") + " not kept …"
	}
	return Line{Start: s.gap.from, Text: text, Note: true, end: s.gap.to}
}

// number is how many lines end before a place.
func (s *Spool) number(off int64) (int64, error) {
	m := s.before(off)
	if off-m.off > 4<<20 || off > s.counted && s.index == nil {
		return 0, fmt.Errorf("no mark near %d", off)
	}
	b, err := s.at(m.off, off-m.off)
	if err != nil || int64(len(b)) != off-m.off {
		return 0, fmt.Errorf("count up to %d: %w", off, err)
	}
	return m.lines + int64(bytes.Count(b, []byte{'\n'})), nil
}

// around cuts out the lines around a place of the region from begin to end, at most up
// above it and down from it on.
func (s *Spool) around(begin, end, at int64, up, down int) ([]Line, error) {
	for _, span := range []int64{near, far, farthest} {
		lo, hi := max(begin, at-span), min(end, at+span)
		if down == 0 {
			hi = at
		}
		b, err := s.at(lo, hi-lo)
		if err != nil {
			return nil, err
		}
		hi = lo + int64(len(b))
		lines, whole := cut(b, lo, begin, hi == end)
		split := sort.Search(len(lines), func(i int) bool { return lines[i].Start > at })
		if split > 0 && (down > 0 || lines[split-1].end > at) {
			split-- // the line that holds the place counts as below
		}
		if down == 0 {
			split = len(lines)
		}
		enough := (split >= up || len(lines) > 0 && lines[0].Start == begin) && (len(lines)-split >= down || whole)
		if !enough && span != farthest {
			continue
		}
		lines = lines[max(split-up, 0):min(split+down, len(lines))]
		out := make([]Line, len(lines))
		for i, l := range lines {
			l.Text, l.More = clip(b[l.Start-lo : l.end-lo])
			out[i] = l
		}
		s.label(out)
		return out, nil
	}
	return nil, nil
}

// label numbers and times lines that follow each other.
func (s *Spool) label(lines []Line) {
	if len(lines) == 0 {
		return
	}
	no, err := s.number(lines[0].Start)
	for i := range lines {
		if err == nil {
			lines[i].No = no + 1
			if lines[i].ended {
				no++
			}
		}
		lines[i].At = s.before(lines[i].Start).ms
	}
}

// cut finds the lines in b, which lies at lo of a region that begins at begin. Without
// last, what is not ended in b is left out. whole says that nothing follows.
func cut(b []byte, lo, begin int64, last bool) (lines []Line, whole bool) {
	hi := lo + int64(len(b))
	nl := func(from int64) int64 { // the first line end from there on; hi for none
		if i := bytes.IndexByte(b[from-lo:], '\n'); i >= 0 {
			return from + int64(i)
		}
		return hi
	}
	aligned := func(from int64) int64 { return (from + 2*piece - 1) &^ (piece - 1) }
	at := lo
	if lo != begin {
		n, a := nl(lo), aligned(lo)
		if at = n + 1; n >= a {
			at = a
		}
	}
	for at < hi {
		l := Line{Start: at}
		n, a := nl(at), aligned(at)
		switch {
		case n < a && n < hi:
			l.end, l.ended = n+1, true
		case a <= hi:
			l.end = a
		case last:
			l.end = hi
		default:
			return lines, false
		}
		lines = append(lines, l)
		at = l.end
	}
	return lines, last
}

// clip copies the part of a line that can be shown: its beginning, or what stands behind
// its last carriage return, because only that would be seen on a terminal.
func clip(b []byte) (text string, more bool) {
	b = bytes.TrimRight(bytes.TrimSuffix(b, []byte{'\n'}), "\r")
	if len(b) <= lineLimit {
		return string(b), false
	}
	if i := bytes.LastIndexByte(b[len(b)-lineLimit:], '\r'); i >= 0 {
		return string(b[len(b)-lineLimit+i:]), false
	}
	return string(b[:lineLimit]), true
}
