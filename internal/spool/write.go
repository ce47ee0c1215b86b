package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/durable"
)

// file is what a log needs of a file; tests put faults in between.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
}

// disk is what a log needs of the operating system.
type disk struct {
	create func(path string) (file, error)
	remove func(path string) error
	free   func(dir string) (free, total int64, err error)
	now    func() time.Time
}

func system() disk {
	return disk{
		create: func(path string) (file, error) {
			return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
		},
		remove: os.Remove,
		free: func(dir string) (free, total int64, err error) {
			var s unix.Statfs_t
			if err := unix.Statfs(dir, &s); err != nil {
				return 0, 0, err
			}
			return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
		},
		now: time.Now,
	}
}

// held is a file that is being written, or was.
type held struct {
	part
	path  string
	file  file
	index file // nil: without one
	size  int64
	marks int64 // bytes of the index
	limit int64
}

// Writer writes a log. Its methods may be called from several goroutines.
type Writer struct {
	path   string
	limits Limits
	disk   disk

	mu       sync.Mutex
	timer    *time.Timer
	buf      []byte
	since    time.Time // when the first byte of buf came
	files    []*held   // the first one, then the parts that are kept
	line     int64     // lines of output so far
	mid      bool      // the output does not end at the end of a line
	last     mark
	sum      hash.Hash
	head     []byte // state of sum at the end of the first file; nil: still in it
	headLine int64  // lines up to there
	gone     bool   // parts were deleted
	lost     int64  // bytes not kept
	missed   int64  // line ends lost to writes that failed, not yet said in the log
	silent   bool   // something was lost that is not yet said
	looked   time.Time
	low      bool
	budget   int64 // bytes of all parts
	closed   bool
}

// Create makes a log, in place of one of the same name.
func Create(path string, limits Limits) (*Writer, error) { return create(path, limits, system()) }

func create(path string, limits Limits, d disk) (*Writer, error) {
	w := &Writer{path: path, limits: limits, disk: d, sum: sha256.New(), budget: limits.Tail}
	if old, err := list(path); err == nil {
		for _, p := range old {
			_ = d.remove(p.name) // a name that stands in the way fails when it is used
			_ = d.remove(p.name + indexSuffix)
		}
	}
	if err := w.open(path, part{name: path}, limits.Head); err != nil {
		return nil, fmt.Errorf("create log %q: %w", filepath.Base(path), err)
	}
	w.timer = time.AfterFunc(time.Hour, w.late)
	w.timer.Stop()
	return w, nil
}

// open goes on in a new file.
func (w *Writer) open(path string, p part, limit int64) error {
	f, err := w.disk.create(path)
	if err != nil {
		return err
	}
	h := &held{part: p, path: path, file: f, limit: limit}
	if x, err := w.disk.create(path + indexSuffix); err == nil { // a log is whole without one
		h.index = x
	}
	w.files = append(w.files, h)
	w.last = mark{off: -1}
	return nil
}

// Write takes output. It never fails and never blocks for longer than the disk does:
// losing a log must not lose a restore.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	if w.closed {
		w.lost += int64(n)
		return n, nil
	}
	for len(p) > 0 {
		if len(w.buf) == 0 {
			w.since = w.disk.now()
			w.timer.Reset(w.limits.Every)
		}
		k := min(len(p), max(w.limits.Buffer-len(w.buf), 1))
		w.buf, p = append(w.buf, p[:k]...), p[k:]
		if len(w.buf) >= w.limits.Buffer {
			w.flush()
		}
	}
	return n, nil
}

// late writes out what has waited long enough.
func (w *Writer) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.flush()
	}
}

// flush writes out the buffer, and loses what cannot be written.
func (w *Writer) flush() {
	w.timer.Stop()
	b := w.buf
	w.buf = w.buf[:0]
	if len(b) == 0 {
		return
	}
	w.look()
	if w.silent && !w.confess() {
		w.lose(b)
		return
	}
	for len(b) > 0 {
		f := w.files[len(w.files)-1]
		n := fit(b, f.limit-f.size, w.mid)
		if n == 0 {
			if err := w.roll(); err != nil {
				w.lose(b)
				return
			}
			continue
		}
		k := w.put(f, b[:n])
		if k < n {
			w.lose(b[k:])
			return
		}
		b = b[n:]
	}
}

// fit is how much of b goes into a file with that much room: whole lines where it can be,
// even if the line that is under way takes a little more. mid says that one is.
func fit(b []byte, room int64, mid bool) int {
	if int64(len(b)) <= room {
		return len(b)
	}
	if room > 0 {
		if i := bytes.LastIndexByte(b[:room], '\n'); i >= 0 {
			return i + 1
		}
	}
	spare := int(max(room+markBytes, 0))
	if room <= 0 && !mid {
		return 0
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 && i < spare {
		return i + 1
	}
	return min(len(b), spare)
}

// put writes at the known end of a file, so that it does not matter what a write that
// failed has left there. It returns how much is kept.
func (w *Writer) put(f *held, b []byte) int {
	n, _ := f.file.WriteAt(b, f.size) // what an error leaves out is counted by the caller
	n = min(max(n, 0), len(b))
	w.note(f, b[:n])
	w.sum.Write(b[:n])
	f.size += int64(n)
	if n > 0 {
		w.mid = b[n-1] != '\n'
	}
	return n
}

// note counts the lines of what was written to the end of f, and marks some.
func (w *Writer) note(f *held, b []byte) {
	var marks []byte
	ms := w.since.UnixMilli()
	base := f.start + f.size
	for at := 0; at < len(b); {
		m := mark{base + int64(at), w.line, ms}
		begins := at > 0 || !w.mid || f.size == 0
		if begins && (w.last.off < 0 || m.line-w.last.line >= markLines && m.off-w.last.off >= markBytes/16 || m.off-w.last.off >= markBytes || ms-w.last.ms >= markTime) {
			marks = m.append(marks)
			w.last = m
		}
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			break
		}
		w.line++
		at += i + 1
	}
	if f.index == nil || len(marks) == 0 {
		return
	}
	if f.marks == 0 {
		marks = append([]byte(magic), marks...)
	}
	if n, err := f.index.WriteAt(marks, f.marks); err != nil || n < len(marks) {
		_ = f.index.Truncate(f.marks) // half a mark is ignored anyhow
		_ = f.index.Close()
		f.index = nil
		return
	}
	f.marks += int64(len(marks))
}

// lose counts what could not be written.
func (w *Writer) lose(b []byte) {
	w.lost += int64(len(b))
	w.missed += int64(bytes.Count(b, []byte{'\n'}))
	w.silent = true
}

// confess writes the line that stands for what could not be written. It says whether
// it could be written.
func (w *Writer) confess() bool {
	text := Record(max(w.missed, 1)) + "\n"
	if w.mid {
		text = "\n" + text
	}
	if w.put(w.files[len(w.files)-1], []byte(text)) < len(text) {
		return false
	}
	w.missed, w.silent = 0, false
	return true
}

// roll goes on in a new part, and deletes the oldest ones that are too many.
func (w *Writer) roll() error {
	f := w.files[len(w.files)-1]
	if w.head == nil {
		state, err := w.sum.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return err
		}
		w.head, w.headLine = state, w.line
	}
	limit := w.limits.Part
	if w.low {
		limit = min(limit, w.limits.Low/2)
	}
	total := limit
	for _, p := range w.files[1:] {
		total += p.size
	}
	for total > w.budget && len(w.files) > 1 {
		old := w.files[1]
		total -= old.size
		w.discard(old)
		w.files = append(w.files[:1], w.files[2:]...)
		w.gone = true
		w.lost += old.size
	}
	p := part{head: w.files[0].size, start: f.start + f.size, line: w.line}
	p.name = partName(w.path, p.head, p.start, p.line)
	return w.open(p.name, p, limit)
}

// discard deletes a part. One that cannot be deleted stays behind unread.
func (w *Writer) discard(f *held) {
	_ = f.file.Close()
	_ = w.disk.remove(f.path)
	if f.index != nil {
		_ = f.index.Close()
	}
	_ = w.disk.remove(f.path + indexSuffix)
}

// lookEvery is how often the room on the disk is looked at.
const lookEvery = time.Second

// look sees whether the disk is low. From then on the log grows by no more than Low:
// the file that is written ends, and small parts follow each other.
func (w *Writer) look() {
	now := w.disk.now()
	if !w.looked.IsZero() && now.Sub(w.looked) < lookEvery {
		return
	}
	w.looked = now
	free, total, err := w.disk.free(filepath.Dir(w.path))
	low := err == nil && (free < w.limits.Floor || free < total/100*w.limits.Share)
	if low == w.low {
		return
	}
	w.low = low
	f := w.files[len(w.files)-1]
	if !low {
		w.budget = w.limits.Tail
		if len(w.files) == 1 {
			f.limit = w.limits.Head
		}
		return
	}
	w.budget = w.limits.Low
	for _, p := range w.files[1:] {
		w.budget += p.size
	}
	w.budget = min(w.budget, w.limits.Tail)
	f.limit = max(f.size, min(f.limit, w.limits.Low/2))
}

// Close makes the log durable and tells what is kept of it. After an error it is not
// known what is.
func (w *Writer) Close() (Kept, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return Kept{}, os.ErrClosed
	}
	w.flush()
	if w.silent {
		w.confess() // when it fails, Lost still tells
	}
	w.closed = true
	kept, err := w.seal()
	for _, f := range w.files {
		if f.index != nil {
			err = errors.Join(err, f.index.Close())
		}
		err = errors.Join(err, f.file.Close())
	}
	if err == nil && len(w.files) > 1 {
		err = durable.SyncDir(filepath.Dir(w.path))
	}
	if err != nil {
		return Kept{Lost: kept.Lost}, fmt.Errorf("close log %q: %w", filepath.Base(w.path), err)
	}
	return kept, nil
}

// seal brings the files to the size that is known of them and proves their content.
func (w *Writer) seal() (Kept, error) {
	kept := Kept{Parts: len(w.files) - 1, Lost: w.lost}
	sum := w.sum
	if w.gone {
		var err error
		if sum, err = w.sealGap(); err != nil {
			return kept, err
		}
	}
	for _, f := range w.files {
		info, err := f.file.Stat()
		if err != nil {
			return kept, err
		}
		if info.Size() != f.size {
			if err := f.file.Truncate(f.size); err != nil {
				return kept, err
			}
		}
		if err := f.file.Sync(); err != nil {
			return kept, err
		}
		kept.Size += f.size
	}
	kept.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return kept, nil
}

// sealGap ends the first file with the record of what is not kept, and takes the sum
// anew: what was deleted is in the running one.
func (w *Writer) sealGap() (hash.Hash, error) {
	sum := sha256.New()
	if err := sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(w.head); err != nil {
		return nil, err
	}
	head := w.files[0]
	text := Record(w.files[1].line-w.headLine) + "\n"
	var end [1]byte
	if n, _ := head.file.ReadAt(end[:], head.size-1); n == 1 && end[0] != '\n' {
		text = "\n" + text
	}
	n, err := head.file.WriteAt([]byte(text), head.size)
	if err != nil {
		n = 0
	}
	sum.Write([]byte(text)[:n])
	head.size += int64(n)
	for _, f := range w.files[1:] {
		if n, err := io.Copy(sum, io.NewSectionReader(f.file, 0, f.size)); err != nil || n != f.size {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
	}
	return sum, nil
}
