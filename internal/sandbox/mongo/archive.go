package mongo

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
)

// An archive of mongodump:
//
//	6d e2 99 81                                magic
//	{concurrent_collections, version, …}       header
//	{db, collection, metadata, size, type} *   what is in it
//	ff ff ff ff                                end of the prelude
//	( {db, collection, EOF: false, CRC: 0}     a segment of one collection; collections
//	  document *                               may take turns
//	  ff ff ff ff
//	| {db, collection, EOF: true, CRC}         the end of a collection: the CRC-64 (ECMA)
//	  ff ff ff ff ) *                          of all its documents
//
// Nothing marks the end of the whole: an archive is complete when each collection of the
// prelude came to its end.
var (
	magic      = []byte{0x6d, 0xe2, 0x99, 0x81} // 0x8199e26d, little endian
	terminator = []byte{0xff, 0xff, 0xff, 0xff}
)

const formatVersion = "0.1"

// Meta is what the prelude says of a collection.
type Meta struct {
	DB, Collection string
	Metadata       string // extended JSON: options and indexes
	Size           int64
}

// Namespace is "auth_db.sessions".
func (m Meta) Namespace() string { return m.DB + "." + m.Collection }

var (
	// ErrArchive is an archive that cannot be.
	ErrArchive = errors.New("corruption found in archive")
	// ErrCut is an archive that ends before its end.
	ErrCut = errors.New("archive ends in the middle")
)

func table() *crc64.Table { return crc64.MakeTable(crc64.ECMA) }

// segmentSize bounds the bytes of one segment, so that collections take turns.
const segmentSize = 64 << 10

// source is a collection to write; next gives its documents, io.EOF at the end.
type source struct {
	Meta
	next func() ([]byte, error)
}

// writeArchive writes the collections, a segment of each in turn as a dump of several at
// once does.
func writeArchive(w io.Writer, list []source) (counts map[string]int, err error) {
	out := bufio.NewWriter(w)
	put := func(b []byte) {
		if err == nil {
			_, err = out.Write(b)
		}
	}
	doc := func(d Doc) {
		b, merr := d.Marshal()
		if put(b); err == nil {
			err = merr
		}
	}
	put(magic)
	doc(Doc{{"concurrent_collections", int32(4)}, {"version", formatVersion}, {"server_version", "8.0.4"}, {"tool_version", "100.13.0"}})
	for _, c := range list {
		doc(Doc{{"db", c.DB}, {"collection", c.Collection}, {"metadata", c.Metadata}, {"size", int32(min(c.Size, 1<<31-1))}, {"type", "collection"}})
	}
	put(terminator)
	counts = map[string]int{}
	sums := make([]hash.Hash64, len(list))
	for i := range sums {
		sums[i] = crc64.New(table())
	}
	for open := len(list); open > 0 && err == nil; {
		for i, c := range list {
			if sums[i] == nil || err != nil {
				continue
			}
			n, ended, serr := segment(c, sums[i], func(b []byte) { put(b) })
			counts[c.Namespace()] += n
			if err = errors.Join(err, serr); err == nil && ended {
				doc(Doc{{"db", c.DB}, {"collection", c.Collection}, {"EOF", true}, {"CRC", int64(sums[i].Sum64())}})
				put(terminator)
				sums[i] = nil
				open--
			}
		}
	}
	return counts, errors.Join(err, out.Flush())
}

// segment writes some documents of a collection, and nothing at its end.
func segment(c source, sum hash.Hash64, put func([]byte)) (n int, ended bool, err error) {
	for size := 0; size < segmentSize; {
		b, err := c.next()
		if err == io.EOF {
			ended = true
			break
		}
		if err != nil {
			return n, false, err
		}
		if n == 0 {
			head, err := Doc{{"db", c.DB}, {"collection", c.Collection}, {"EOF", false}, {"CRC", int64(0)}}.Marshal()
			if err != nil {
				return n, false, err
			}
			put(head)
		}
		put(b)
		sum.Write(b)
		size += len(b)
		n++
	}
	if n > 0 {
		put(terminator)
	}
	return n, ended, nil
}

// sink is told what an archive holds, as it is read. An error ends the reading.
type sink interface {
	prelude(list []Meta) error
	document(m Meta, raw []byte) error // raw is valid until the next call
	end(m Meta, documents int) error   // the CRC of the collection was right
}

// readArchive reads an archive to its end and tells to as it goes, before it can know
// whether the archive is whole. Its errors wrap [ErrArchive], [ErrCut], [ErrBSON], or are
// those of to.
func readArchive(r io.Reader, to sink) error {
	in := &archiveReader{r: bufio.NewReader(r)}
	list, err := in.prelude()
	if err != nil {
		return fmt.Errorf("prelude: %w", err)
	}
	if err := to.prelude(list); err != nil {
		return err
	}
	progress := make(map[string]*open, len(list))
	for _, m := range list {
		progress[m.Namespace()] = &open{Meta: m, sum: crc64.New(table())}
	}
	for {
		raw, err := in.document()
		if err == io.EOF {
			break
		}
		if err == nil && raw == nil {
			err = fmt.Errorf("%w: a terminator where the header of a segment belongs", ErrArchive)
		}
		if err == nil {
			err = in.segment(raw, progress, to)
		}
		if err != nil {
			return err
		}
	}
	for _, m := range list {
		if o := progress[m.Namespace()]; !o.ended {
			return fmt.Errorf("%w: %s has no end", ErrCut, m.Namespace())
		}
	}
	return nil
}

// open is a collection that is being read.
type open struct {
	Meta
	sum   hash.Hash64
	n     int
	ended bool
}

type archiveReader struct{ r *bufio.Reader }

func (a *archiveReader) prelude() ([]Meta, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(a.r, head); err != nil || string(head) != string(magic) {
		return nil, fmt.Errorf("%w: stream or file does not appear to be a mongodump archive", ErrArchive)
	}
	raw, err := a.body()
	if err != nil {
		return nil, err
	}
	d, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	if v := d.Text("version"); v != formatVersion {
		return nil, fmt.Errorf("%w: format version %q", ErrArchive, v)
	}
	var list []Meta
	seen := map[string]bool{}
	for {
		raw, err := a.document()
		if err == io.EOF {
			return nil, fmt.Errorf("%w: in its prelude", ErrCut)
		}
		if err != nil || raw == nil {
			return list, err
		}
		d, err := Parse(raw)
		if err != nil {
			return nil, err
		}
		m := Meta{DB: d.Text("db"), Collection: d.Text("collection"), Metadata: d.Text("metadata")}
		switch size, _ := d.Get("size"); n := size.(type) {
		case int32:
			m.Size = int64(n)
		case int64:
			m.Size = n
		}
		if m.DB == "" || m.Collection == "" || seen[m.Namespace()] {
			return nil, fmt.Errorf("%w: the prelude has %q twice, or without a name", ErrArchive, m.Namespace())
		}
		seen[m.Namespace()] = true
		list = append(list, m)
	}
}

// segment reads what follows a header, up to the terminator.
func (a *archiveReader) segment(header []byte, progress map[string]*open, to sink) error {
	d, err := Parse(header)
	if err != nil {
		return fmt.Errorf("header of a segment: %w", err)
	}
	o := progress[d.Text("db")+"."+d.Text("collection")]
	if o == nil || o.ended {
		return fmt.Errorf("%w: a segment of %q, which is not in the prelude or came to its end", ErrArchive, d.Text("db")+"."+d.Text("collection"))
	}
	if last, _ := d.Get("EOF"); last == true {
		if crc, _ := d.Get("CRC"); crc != int64(o.sum.Sum64()) {
			return fmt.Errorf("%w: checksum mismatch in %s", ErrArchive, o.Namespace())
		}
		raw, err := a.document()
		if err == io.EOF {
			return fmt.Errorf("%w: behind the end of %s", ErrCut, o.Namespace())
		}
		if err != nil || raw != nil {
			return errors.Join(fmt.Errorf("%w: documents behind the end of %s", ErrArchive, o.Namespace()), err)
		}
		o.ended = true
		return to.end(o.Meta, o.n)
	}
	for {
		raw, err := a.document()
		if err == io.EOF {
			return fmt.Errorf("%w: in a segment of %s", ErrCut, o.Namespace())
		}
		if err != nil || raw == nil {
			return err
		}
		o.sum.Write(raw)
		o.n++
		if err := to.document(o.Meta, raw); err != nil {
			return err
		}
	}
}

// body is document where no terminator may stand.
func (a *archiveReader) body() ([]byte, error) {
	raw, err := a.document()
	if err == io.EOF || err == nil && raw == nil {
		return nil, fmt.Errorf("%w: it has no header", ErrArchive)
	}
	return raw, err
}

// document reads the bytes of a document, nil for a terminator, io.EOF at a clean end.
func (a *archiveReader) document() ([]byte, error) {
	head := make([]byte, 4)
	switch _, err := io.ReadFull(a.r, head); {
	case err == io.EOF:
		return nil, io.EOF
	case err == io.ErrUnexpectedEOF:
		return nil, fmt.Errorf("%w: in a length", ErrCut)
	case err != nil:
		return nil, err
	case string(head) == string(terminator):
		return nil, nil
	}
	n := binary.LittleEndian.Uint32(head)
	if n < minDocument || n > maxDocument {
		return nil, fmt.Errorf("%w: a document of %d bytes", ErrArchive, n)
	}
	// Memory grows with what is there, not with what the length claims.
	b := head
	for len(b) < int(n) {
		at := len(b)
		b = append(b, make([]byte, min(int(n)-at, 64<<10))...)
		if _, err := io.ReadFull(a.r, b[at:]); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("%w: in a document", ErrCut)
		} else if err != nil {
			return nil, err
		}
	}
	if b[n-1] != 0 {
		return nil, fmt.Errorf("%w: a document does not end with a zero", ErrArchive)
	}
	return b, nil
}
