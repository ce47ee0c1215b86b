package sqlite

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A delta is an ordinary write-ahead log, so that the stock sqlite3 program can apply
// it: beside the database as <name>-wal, it is replayed by the next checkpoint.
//
//	header, 32 bytes   magic 377f0683 | 3007000 | page size | sequence | salt | salt | sum | sum
//	frame, 24 + page   page number | pages after commit, else 0 | salt | salt | sum | sum | page
//
// All numbers are big-endian. The sums run on from the header through every frame.

const (
	walMagicBig    = 0x377f0683 // sums over big-endian words
	walMagicLittle = 0x377f0682
	walVersion     = 3007000
	walHeaderSize  = 32
	frameHeader    = 24
)

// walSum is the running checksum of a write-ahead log.
type walSum struct {
	order  binary.ByteOrder
	s0, s1 uint32
}

// add takes whole pairs of words; what is left over must not be.
func (c *walSum) add(b []byte) {
	s0, s1 := c.s0, c.s1
	if c.order == binary.BigEndian {
		for ; len(b) >= 8; b = b[8:] {
			s0 += binary.BigEndian.Uint32(b) + s1
			s1 += binary.BigEndian.Uint32(b[4:]) + s0
		}
	} else {
		for ; len(b) >= 8; b = b[8:] {
			s0 += binary.LittleEndian.Uint32(b) + s1
			s1 += binary.LittleEndian.Uint32(b[4:]) + s0
		}
	}
	c.s0, c.s1 = s0, s1
}

// walWriter writes a log of one commit. It keeps the newest page back, because the
// last frame says how many pages the database has.
type walWriter struct {
	w       *bufio.Writer
	sum     walSum
	salt    [8]byte
	held    []byte
	heldNo  uint32
	frame   [frameHeader]byte
	written int64
}

func newWALWriter(w io.Writer, pageSize int) (*walWriter, error) {
	l := &walWriter{w: bufio.NewWriterSize(w, batchSize), held: make([]byte, pageSize), sum: walSum{order: binary.BigEndian}}
	if _, err := rand.Read(l.salt[:]); err != nil {
		return nil, err
	}
	var h [walHeaderSize]byte
	binary.BigEndian.PutUint32(h[0:], walMagicBig)
	binary.BigEndian.PutUint32(h[4:], walVersion)
	binary.BigEndian.PutUint32(h[8:], uint32(pageSize))
	copy(h[16:], l.salt[:])
	l.sum.add(h[:24])
	binary.BigEndian.PutUint32(h[24:], l.sum.s0)
	binary.BigEndian.PutUint32(h[28:], l.sum.s1)
	l.written = walHeaderSize
	_, err := l.w.Write(h[:])
	return l, err
}

// add appends a page; numbers ascend.
func (l *walWriter) add(number uint32, page []byte) error {
	if err := l.flush(0); err != nil {
		return err
	}
	l.heldNo = number
	copy(l.held, page)
	return nil
}

func (l *walWriter) flush(commit uint32) error {
	if l.heldNo == 0 {
		return nil
	}
	f := l.frame[:]
	binary.BigEndian.PutUint32(f[0:], l.heldNo)
	binary.BigEndian.PutUint32(f[4:], commit)
	copy(f[8:], l.salt[:])
	l.sum.add(f[:8])
	l.sum.add(l.held)
	binary.BigEndian.PutUint32(f[16:], l.sum.s0)
	binary.BigEndian.PutUint32(f[20:], l.sum.s1)
	if _, err := l.w.Write(f); err != nil {
		return err
	}
	l.written += int64(len(f) + len(l.held))
	_, err := l.w.Write(l.held)
	return err
}

// commit ends the log: the database has that many pages now. It returns the length
// of the log up to and with the commit.
func (l *walWriter) commit(pages uint32) (int64, error) {
	if l.heldNo == 0 {
		return 0, errors.New("a log without pages")
	}
	if err := l.flush(pages); err != nil {
		return 0, err
	}
	return l.written, l.w.Flush()
}

// errWAL is a log that is not sound from end to end.
var errWAL = errors.New("unsound write-ahead log")

// readWAL checks a log to its end and calls frame for each page, which is valid until
// frame returns; commit is the number of pages after this frame's commit, 0 within
// one. SQLite itself stops silently at the first bad frame, which would give an older
// state without a word: here everything up to the end must be right, and the end must
// be a commit.
func readWAL(r io.Reader, frame func(number, commit uint32, page []byte) error) (pageSize int, err error) {
	br := bufio.NewReaderSize(r, batchSize)
	var h [walHeaderSize]byte
	if _, err := io.ReadFull(br, h[:]); err != nil {
		return 0, fmt.Errorf("%w: no header: %w", errWAL, err)
	}
	c := walSum{}
	switch binary.BigEndian.Uint32(h[0:]) {
	case walMagicBig:
		c.order = binary.BigEndian
	case walMagicLittle:
		c.order = binary.LittleEndian
	default:
		return 0, fmt.Errorf("%w: it does not begin as one", errWAL)
	}
	if v := binary.BigEndian.Uint32(h[4:]); v != walVersion {
		return 0, fmt.Errorf("%w: version %d", errWAL, v)
	}
	size := binary.BigEndian.Uint32(h[8:])
	if !validPageSize(size) {
		return 0, fmt.Errorf("%w: page size %d", errWAL, size)
	}
	c.add(h[:24])
	if binary.BigEndian.Uint32(h[24:]) != c.s0 || binary.BigEndian.Uint32(h[28:]) != c.s1 {
		return 0, fmt.Errorf("%w: the checksum of its header is wrong", errWAL)
	}
	buf := make([]byte, frameHeader+int(size))
	var commit uint32
	for n := 1; ; n++ {
		if _, err := io.ReadFull(br, buf); err == io.EOF {
			if commit == 0 {
				return 0, fmt.Errorf("%w: it does not end with a commit", errWAL)
			}
			return int(size), nil
		} else if err != nil {
			return 0, fmt.Errorf("%w: frame %d is cut off: %w", errWAL, n, err)
		}
		f, page := buf[:frameHeader], buf[frameHeader:]
		c.add(f[:8])
		c.add(page)
		if string(f[8:16]) != string(h[16:24]) ||
			binary.BigEndian.Uint32(f[16:]) != c.s0 || binary.BigEndian.Uint32(f[20:]) != c.s1 {
			return 0, fmt.Errorf("%w: the checksum of frame %d is wrong", errWAL, n)
		}
		number := binary.BigEndian.Uint32(f[0:])
		commit = binary.BigEndian.Uint32(f[4:])
		if number == 0 || number == lockPage(int(size)) {
			return 0, fmt.Errorf("%w: frame %d is for page %d, which cannot be", errWAL, n, number)
		}
		if err := frame(number, commit, page); err != nil {
			return 0, err
		}
	}
}

func validPageSize(n uint32) bool { return n >= 512 && n <= 65536 && n&(n-1) == 0 }
