package stream

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"strings"
)

// mongoArchive reads an archive of mongodump as it passes: which collections it holds, how
// many documents each has, and whether each came to its end with the right checksum. An
// archive has no mark at its end, so that is how one shows that it is whole.
//
//	magic {header} {collection}* ff ff ff ff ( {db, collection, EOF, CRC} {document}* ff ff ff ff )*
//
// Only the headers are looked into; documents are counted and summed while they pass, in
// flat memory. Version 0.1 is known. What is not known is not judged.
type mongoArchive struct {
	part  []byte // of a length, or of a header
	want  int    // bytes of part that make it whole
	pass  int64  // bytes of a document that still pass by
	state mongoState

	known  bool // the header names a version that is known
	alien  bool // something that is not known: nothing is judged any more
	bad    string
	list   map[string]*mongoCollection
	begun  int // collections without an end
	inside *mongoCollection
}

type mongoState int

const (
	mongoMagicHere mongoState = iota
	mongoHeader
	mongoPrelude
	mongoSegment // a header of a segment comes
	mongoBody    // documents come
	mongoEnded   // the terminator behind an end comes
)

type mongoCollection struct {
	name         string
	documents    int64
	sum          uint64
	must         bool // an archive that is whole has its end
	begun, ended bool
}

const (
	mostCollections = 20_000   // beyond that nothing is counted
	mostHeader      = 17 << 20 // a document of MongoDB
)

func newMongoArchive() *mongoArchive {
	return &mongoArchive{want: 4, list: map[string]*mongoCollection{}}
}

// Write implements io.Writer; it never fails.
func (m *mongoArchive) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !m.alien && m.bad == "" {
		if m.pass > 0 {
			k := int(min(m.pass, int64(len(p))))
			m.inside.sum = crc64.Update(m.inside.sum, crc64.MakeTable(crc64.ECMA), p[:k])
			m.pass -= int64(k)
			p = p[k:]
			continue
		}
		k := min(m.want-len(m.part), len(p))
		m.part = append(m.part, p[:k]...)
		if p = p[k:]; len(m.part) == m.want {
			m.whole()
		}
	}
	return n, nil
}

// whole takes part, which is a length or a header.
func (m *mongoArchive) whole() {
	part := m.part
	next := func(s mongoState) { m.state, m.part, m.want = s, m.part[:0], 4 }
	if m.state == mongoMagicHere {
		next(mongoHeader)
		return
	}
	size := binary.LittleEndian.Uint32(part)
	end := size == 0xffffffff
	if len(part) == 4 {
		switch {
		case end && m.state == mongoPrelude, end && m.state == mongoEnded, end && m.state == mongoBody:
			next(mongoSegment)
			m.inside = nil
		case end, m.state == mongoEnded:
			m.wrong("something else stands where a segment should begin or end")
		case size < 5 || size > mostHeader:
			m.wrong(fmt.Sprintf("a document of %d bytes", size))
		case m.state == mongoBody:
			m.inside.documents++
			m.inside.sum = crc64.Update(m.inside.sum, crc64.MakeTable(crc64.ECMA), part)
			m.pass = int64(size) - 4
			next(mongoBody)
		default:
			m.want = int(size)
		}
		return
	}
	d, ok := flatDocument(part)
	switch {
	case !ok:
		m.alien = true
	case m.state == mongoHeader:
		m.known = d["version"] == "0.1"
		m.alien = !m.known
		next(mongoPrelude)
	case m.state == mongoPrelude:
		m.collection(d)
		next(mongoPrelude)
	default:
		next(m.segment(d))
	}
}

func (m *mongoArchive) wrong(what string) {
	if !m.known {
		m.alien = true
		return
	}
	m.bad = what
}

func mongoName(d map[string]any) string {
	db, _ := d["db"].(string)
	name, _ := d["collection"].(string)
	if db == "" {
		return name // the oplog
	}
	return db + "." + name
}

// collection takes a line of the prelude. Views have no documents and no end.
func (m *mongoArchive) collection(d map[string]any) {
	if len(m.list) == mostCollections {
		m.alien = true
		return
	}
	name := mongoName(d)
	m.list[name] = &mongoCollection{name: name, must: d["type"] == "collection"}
}

func (m *mongoArchive) segment(d map[string]any) mongoState {
	name := mongoName(d)
	c := m.list[name]
	if c == nil { // time series: the prelude names the view, the documents are in buckets
		if len(m.list) == mostCollections {
			m.alien = true
			return mongoSegment
		}
		c = &mongoCollection{name: name}
		m.list[name] = c
	}
	if c.ended {
		m.wrong(fmt.Sprintf("%q goes on after its end", name))
	}
	if !c.begun {
		c.begun = true
		m.begun++
	}
	m.inside = c
	if d["EOF"] != true {
		return mongoBody
	}
	if crc, ok := d["CRC"].(int64); ok && uint64(crc) != c.sum && crc != 0 {
		m.wrong(fmt.Sprintf("the checksum of %q does not fit", name))
	}
	c.ended = true
	m.begun--
	return mongoEnded
}

// end says what the archive held, nil where that is not known, and what is wrong with it.
func (m *mongoArchive) end() (contents map[string]int64, bad string) {
	switch {
	case m.alien, !m.known:
		return nil, ""
	case m.bad != "":
		return nil, m.bad
	case m.state != mongoSegment || len(m.part) > 0:
		return nil, "it ends in the middle"
	}
	contents = map[string]int64{}
	for _, c := range m.list {
		if c.begun != c.ended || c.must && !c.ended {
			return nil, fmt.Sprintf("the end of %q is missing", c.name)
		}
		if c.ended {
			contents[c.name] = c.documents
		}
	}
	return contents, ""
}

// flatDocument reads a BSON document of texts, numbers and truth values; ok is false for
// any other.
func flatDocument(b []byte) (d map[string]any, ok bool) {
	d = map[string]any{}
	if len(b) < 5 || b[len(b)-1] != 0 {
		return nil, false
	}
	rest := b[4 : len(b)-1]
	for len(rest) > 0 {
		kind := rest[0]
		name, tail, found := strings.Cut(string(rest[1:]), "\x00")
		if !found {
			return nil, false
		}
		rest = rest[len(rest)-len(tail):]
		size := map[byte]int{0x01: 8, 0x08: 1, 0x0a: 0, 0x10: 4, 0x12: 8}[kind]
		if kind == 0x02 {
			if len(rest) < 4 {
				return nil, false
			}
			n := binary.LittleEndian.Uint32(rest)
			if n < 1 || int64(n) > int64(len(rest)-4) {
				return nil, false
			}
			d[name], rest = string(rest[4:4+n-1]), rest[4+n:]
			continue
		}
		if size == 0 && kind != 0x0a || len(rest) < size {
			return nil, false
		}
		switch kind {
		case 0x08:
			d[name] = rest[0] == 1
		case 0x10:
			d[name] = int64(int32(binary.LittleEndian.Uint32(rest)))
		case 0x12:
			d[name] = int64(binary.LittleEndian.Uint64(rest))
		}
		rest = rest[size:]
	}
	return d, true
}
