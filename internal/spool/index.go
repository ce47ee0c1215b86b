package spool

import (
	"encoding/binary"
	"io"
)

// mark is an entry of an index.
type mark struct{ off, line, ms int64 }

const (
	magic    = "lbindex1" // a later version of the format has another one
	markSize = 24
)

func (m mark) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(m.off))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.line))
	return binary.LittleEndian.AppendUint64(b, uint64(m.ms))
}

// follows says whether a mark can stand behind another one.
func (m mark) follows(p mark) bool {
	return m.off > p.off && m.line >= p.line && m.line-p.line <= m.off-p.off
}

// indexReader reads an index that still grows.
type indexReader struct {
	marks []mark
	read  int64 // bytes of the file that are used up
	bad   bool  // what follows cannot be used
}

// grow takes the marks that have come since, up to the byte end of the output. The first
// one must be that of the part. A mark that cannot be right ends the use of the index.
func (x *indexReader) grow(src io.ReaderAt, first mark, end int64) {
	var buf [1024 * markSize]byte
	for !x.bad {
		want := buf[:]
		if x.read == 0 {
			want = buf[:len(magic)]
		}
		n, err := src.ReadAt(want, x.read)
		if err != nil && err != io.EOF {
			x.bad = true
			return
		}
		if x.read == 0 {
			if n == len(magic) {
				x.bad = string(want) != magic
				x.read = int64(n)
				continue
			}
			return // not written yet
		}
		got := 0
		for ; n-got >= markSize; got += markSize {
			m := mark{
				int64(binary.LittleEndian.Uint64(buf[got:])), int64(binary.LittleEndian.Uint64(buf[got+8:])), int64(binary.LittleEndian.Uint64(buf[got+16:])),
			}
			if m.off > end { // its bytes are not seen yet
				break
			}
			if last := len(x.marks) - 1; last >= 0 && !m.follows(x.marks[last]) || last < 0 && (m.off != first.off || m.line != first.line) {
				x.bad = true
				return
			}
			x.marks = append(x.marks, m)
		}
		x.read += int64(got)
		if got < len(buf) {
			return
		}
	}
}
