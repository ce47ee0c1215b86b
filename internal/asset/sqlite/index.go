package sqlite

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// An index lists the hashes of the pages of a point, to find what has changed since.
//
//	header, 24 bytes   "lifeboat-pages/1" | page size | pages, big-endian
//	per page, 16       first half of the SHA-256 of the page
//	trailer, 32        SHA-256 of the whole database: the point it belongs to

const (
	indexMagic   = "lifeboat-pages/1"
	indexHeader  = len(indexMagic) + 8
	pageHashSize = 16
)

func pageHash(page []byte) [pageHashSize]byte {
	h := sha256.Sum256(page)
	return [pageHashSize]byte(h[:pageHashSize])
}

type indexWriter struct {
	w        *bufio.Writer
	pageSize int
	err      error
}

func newIndexWriter(w io.Writer, f Facts) *indexWriter {
	x := &indexWriter{w: bufio.NewWriterSize(w, 64<<10), pageSize: f.PageSize}
	h := binary.BigEndian.AppendUint32([]byte(indexMagic), uint32(f.PageSize))
	_, x.err = x.w.Write(binary.BigEndian.AppendUint32(h, f.Pages))
	return x
}

// put adds the hash of the next page. An error comes again from end.
func (x *indexWriter) put(h [pageHashSize]byte) error {
	if x.err == nil {
		_, x.err = x.w.Write(h[:])
	}
	if x.err != nil {
		return fmt.Errorf("store %s: %w", IndexName, x.err)
	}
	return nil
}

// end writes the trailer.
func (x *indexWriter) end(dbSHA256 []byte) error {
	if x.err == nil {
		_, x.err = x.w.Write(dbSHA256)
	}
	if x.err == nil {
		x.err = x.w.Flush()
	}
	if x.err != nil {
		return fmt.Errorf("store %s: %w", IndexName, x.err)
	}
	return nil
}

// indexError is an index that cannot be compared with: the point becomes a whole one.
type indexError struct{ why string }

func (e *indexError) Error() string { return "the page index of the parent " + e.why }

type indexReader struct {
	r    *bufio.Reader
	left uint32
	want []byte
}

// newIndexReader reads the index of the point with facts f.
func newIndexReader(r io.Reader, f Facts) (*indexReader, error) {
	x := &indexReader{r: bufio.NewReaderSize(r, 64<<10)}
	pageSize, pages, err := x.header()
	if err != nil {
		return nil, err
	}
	if pageSize != f.PageSize || pages != f.Pages {
		return nil, &indexError{fmt.Sprintf("is of another point: %d pages of %d bytes", pages, pageSize)}
	}
	if x.want, err = hex.DecodeString(f.DBSHA256); err != nil {
		return nil, &indexError{fmt.Sprintf("belongs to facts without a hash: %v", err)}
	}
	return x, nil
}

func (x *indexReader) header() (pageSize int, pages uint32, err error) {
	var h [indexHeader]byte
	if _, err := io.ReadFull(x.r, h[:]); err != nil {
		return 0, 0, &indexError{fmt.Sprintf("is cut off: %v", err)}
	}
	if string(h[:len(indexMagic)]) != indexMagic {
		return 0, 0, &indexError{"does not begin as one"}
	}
	size := binary.BigEndian.Uint32(h[len(indexMagic):])
	if !validPageSize(size) {
		return 0, 0, &indexError{fmt.Sprintf("has the page size %d", size)}
	}
	x.left = binary.BigEndian.Uint32(h[len(indexMagic)+4:])
	return int(size), x.left, nil
}

// next gives the hash of the next page; ok is false past the last one.
func (x *indexReader) next() (h [pageHashSize]byte, ok bool, err error) {
	if x.left == 0 {
		return h, false, nil
	}
	x.left--
	if _, err := io.ReadFull(x.r, h[:]); err != nil {
		return h, false, &indexError{fmt.Sprintf("is cut off: %v", err)}
	}
	return h, true, nil
}

// end reads what is left and checks that the index belongs to its point.
func (x *indexReader) end() error {
	for x.left > 0 {
		if _, _, err := x.next(); err != nil {
			return err
		}
	}
	var trailer [sha256.Size + 1]byte
	n, err := io.ReadFull(x.r, trailer[:])
	if err != io.ErrUnexpectedEOF || n != sha256.Size {
		return &indexError{"has a bad end"}
	}
	if x.want != nil && !bytes.Equal(trailer[:n], x.want) {
		return &indexError{"belongs to another point"}
	}
	return nil
}
