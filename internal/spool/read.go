package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
)

// Log reads a log that may still grow. Places in it are bytes of output. Its methods may
// be called from several goroutines.
type Log struct {
	path string

	mu    sync.RWMutex
	files []*shown // the first one, then the parts that are there, in order
	end   int64    // of the output
	stale bool     // the list of parts may have changed
}

// shown is an open file of a log.
type shown struct {
	part
	file  *os.File
	index *os.File
	marks indexReader
	size  int64
}

// Open opens a log, also one that is being written, one of a writer that has crashed, and
// one from before there were parts and indexes.
func Open(path string) (*Log, error) {
	f, err := openShown(part{name: path})
	if err != nil {
		return nil, fmt.Errorf("open log %q: %w", filepath.Base(path), err)
	}
	return &Log{path: path, files: []*shown{f}, stale: true}, nil
}

func openShown(p part) (*shown, error) {
	f, err := openFile(p.name)
	if err != nil {
		return nil, err
	}
	s := &shown{part: p, file: f}
	s.index, _ = openFile(p.name + indexSuffix) // without one, lines are counted
	return s, nil
}

// openFile opens a file that a [Writer] has made. Whatever was put in its place, such as a
// pipe that nobody writes to, is an error and holds nobody up; a link is not followed.
func openFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *shown) close() error {
	if s.index != nil {
		s.index.Close() // it was only read
	}
	return s.file.Close()
}

// Close closes all files.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, f := range l.files {
		err = errors.Join(err, f.close())
	}
	return err
}

// list gives the parts of a log in order, with the paths of their files as names.
func list(path string) ([]part, error) {
	dir, base := filepath.Dir(path), filepath.Base(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []part
	for _, e := range entries {
		if p, ok := parsePart(base, e.Name()); ok {
			p.name = filepath.Join(dir, e.Name())
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// Size looks at the files again and gives the bytes of output, also of what is not kept.
func (l *Log) Size() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.files[len(l.files)-1]
	before := last.size
	if err := l.measure(); err != nil {
		return 0, err
	}
	if l.stale || last.size == before { // it may go on in another file
		l.stale = false
		if err := l.relist(); err != nil {
			return 0, err
		}
		if err := l.measure(); err != nil {
			return 0, err
		}
	}
	for i, f := range l.files {
		if f.index == nil || f.marks.bad {
			continue
		}
		if i >= len(l.files)-2 || len(f.marks.marks) == 0 { // the others are read to their end
			f.marks.grow(f.index, mark{off: f.start, line: f.line}, f.start+f.size)
		}
	}
	return l.end, nil
}

// measure takes the sizes of the files that may have grown.
func (l *Log) measure() error {
	head := l.files[0]
	last := l.files[len(l.files)-1]
	info, err := last.file.Stat()
	if err != nil {
		return fmt.Errorf("size of log: %w", err)
	}
	last.size = max(info.Size(), 0)
	if last != head {
		head.size = last.head // behind it stands the record of what is not kept
	}
	l.end = last.start + last.size
	return nil
}

// relist opens new parts and lets go of deleted ones.
func (l *Log) relist() error {
	parts, err := list(l.path)
	if err != nil {
		return fmt.Errorf("parts of log: %w", err)
	}
	known := map[string]*shown{}
	for _, f := range l.files[1:] {
		known[f.name] = f
	}
	files := l.files[:1:1]
	for _, p := range parts {
		f := known[p.name]
		if f == nil {
			if f, err = openShown(p); err != nil {
				continue // deleted meanwhile, or the next look finds it
			}
			info, err := f.file.Stat()
			if err != nil {
				f.close()
				continue
			}
			f.size = info.Size()
		}
		delete(known, p.name)
		if last := files[len(files)-1]; last.start+last.size != p.start && len(files) > 1 || last.head != p.head && len(files) > 1 {
			for _, gone := range files[1:] { // there is a hole: what is before it is left out
				gone.close()
			}
			files = files[:1]
		}
		files = append(files, f)
	}
	for _, f := range known {
		f.close()
	}
	l.files = files
	return nil
}

// ReadAt reads output. It never reads across a place where some is missing; in there it
// reads nothing and gives [io.ErrUnexpectedEOF].
func (l *Log) ReadAt(p []byte, off int64) (int, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	read := 0
	for read < len(p) {
		f := l.at(off)
		if f == nil {
			if read == 0 && off < l.end {
				return 0, io.ErrUnexpectedEOF
			}
			return read, io.EOF
		}
		n, err := f.file.ReadAt(p[read:min(int64(len(p)), int64(read)+f.start+f.size-off)], off-f.start)
		read, off = read+n, off+int64(n)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF // it has become shorter: somebody truncates it
			}
			return read, err
		}
	}
	return read, nil
}

// at is the file that holds a byte of output.
func (l *Log) at(off int64) *shown {
	i := sort.Search(len(l.files), func(i int) bool { return l.files[i].start > off }) - 1
	if i < 0 || off >= l.files[i].start+l.files[i].size {
		return nil
	}
	return l.files[i]
}

// Gap is the part of the output that is not kept: from its first byte to the one behind
// its last, with the number of lines that end before that. Both are equal when all is kept.
func (l *Log) Gap() (from, to, before int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.files) == 1 {
		return 0, 0, 0
	}
	head, first := l.files[0], l.files[1]
	if head.size >= first.start {
		return 0, 0, 0
	}
	return head.size, first.start, first.line
}

// Mark gives the last entry of the index at or before a byte: where a line begins, how
// many lines are before it, and when it came (Unix milliseconds; 0 is not known).
func (l *Log) Mark(off int64) (start, lines, ms int64, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i := len(l.files) - 1; i >= 0; i-- {
		f := l.files[i]
		if f.start > off {
			continue
		}
		ms := f.marks.marks
		if k := sort.Search(len(ms), func(k int) bool { return ms[k].off > off }) - 1; k >= 0 {
			return ms[k].off, ms[k].line, ms[k].ms, true
		}
		if i > 0 { // the name of a part tells where it begins
			return f.start, f.line, 0, true
		}
	}
	return 0, 0, 0, false
}

// WriteTo copies the log as it is on disk, with the record of what is not kept.
func (l *Log) WriteTo(to io.Writer) (int64, error) {
	if _, err := l.Size(); err != nil {
		return 0, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	var n int64
	for _, f := range l.files {
		info, err := f.file.Stat()
		if err != nil {
			return n, fmt.Errorf("read log: %w", err)
		}
		k, err := io.Copy(to, io.NewSectionReader(f.file, 0, info.Size()))
		n += k
		if err != nil {
			return n, fmt.Errorf("read log: %w", err)
		}
	}
	return n, nil
}
