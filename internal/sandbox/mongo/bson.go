package mongo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Doc is a document, its fields in their order.
type Doc []Field

// Field is one of them. Value is a string, bool, int32, int64, float64, [time.Time]
// (milliseconds, UTC), [ObjectID], [Binary], [Doc], []any or nil.
type Field struct {
	Name  string
	Value any
}

// ObjectID is what MongoDB names documents with.
type ObjectID [12]byte

// Binary is a value of bytes.
type Binary struct {
	Subtype byte
	Data    []byte
}

// Get gives the value of a field.
func (d Doc) Get(name string) (value any, ok bool) {
	for _, f := range d {
		if f.Name == name {
			return f.Value, true
		}
	}
	return nil, false
}

// Text gives a field that is a string, "" for any other.
func (d Doc) Text(name string) string {
	v, _ := d.Get(name)
	s, _ := v.(string)
	return s
}

// ErrBSON is what is no document.
var ErrBSON = errors.New("no sound BSON")

const (
	minDocument = 5               // length and terminator
	maxDocument = 16<<20 + 16<<10 // what a server takes: 16 MiB and room for its own fields
	maxDepth    = 100             // as a server
	typeDouble  = 0x01            // the types that are known here
	typeString  = 0x02
	typeDoc     = 0x03
	typeArray   = 0x04
	typeBinary  = 0x05
	typeID      = 0x07
	typeBool    = 0x08
	typeTime    = 0x09
	typeNull    = 0x0a
	typeInt32   = 0x10
	typeInt64   = 0x12
)

// Marshal encodes a document.
func (d Doc) Marshal() ([]byte, error) { return d.append(nil, 0) }

func (d Doc) append(b []byte, depth int) ([]byte, error) {
	at := len(b)
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrBSON, maxDepth)
	}
	b = append(b, 0, 0, 0, 0)
	for _, f := range d {
		var err error
		if b, err = f.append(b, depth); err != nil {
			return nil, err
		}
	}
	b = append(b, 0)
	if len(b)-at > maxDocument {
		return nil, fmt.Errorf("%w: %d bytes, a document has at most %d", ErrBSON, len(b)-at, maxDocument)
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b, nil
}

func (f Field) append(b []byte, depth int) (_ []byte, err error) {
	if strings.IndexByte(f.Name, 0) >= 0 || !utf8.ValidString(f.Name) {
		return nil, fmt.Errorf("%w: %q is no name of a field", ErrBSON, f.Name)
	}
	le := binary.LittleEndian
	head := func(kind byte) { b = append(append(append(b, kind), f.Name...), 0) }
	switch v := f.Value.(type) {
	case nil:
		head(typeNull)
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("%w: field %q is no UTF-8", ErrBSON, f.Name)
		}
		head(typeString)
		b = append(append(le.AppendUint32(b, uint32(len(v)+1)), v...), 0)
	case bool:
		head(typeBool)
		if b = append(b, 0); v {
			b[len(b)-1] = 1
		}
	case int32:
		head(typeInt32)
		b = le.AppendUint32(b, uint32(v))
	case int64:
		head(typeInt64)
		b = le.AppendUint64(b, uint64(v))
	case float64:
		head(typeDouble)
		b = le.AppendUint64(b, math.Float64bits(v))
	case time.Time:
		head(typeTime)
		b = le.AppendUint64(b, uint64(v.UnixMilli()))
	case ObjectID:
		head(typeID)
		b = append(b, v[:]...)
	case Binary:
		head(typeBinary)
		b = append(append(le.AppendUint32(b, uint32(len(v.Data))), v.Subtype), v.Data...)
	case Doc:
		head(typeDoc)
		b, err = v.append(b, depth+1)
	case []any:
		head(typeArray)
		list := make(Doc, len(v))
		for i, e := range v {
			list[i] = Field{strconv.Itoa(i), e}
		}
		b, err = list.append(b, depth+1)
	default:
		return nil, fmt.Errorf("%w: field %q is a %T", ErrBSON, f.Name, v)
	}
	return b, err
}

// Parse decodes one document, which is all of b.
func Parse(b []byte) (Doc, error) {
	r := reader{rest: b}
	d, err := r.document(0)
	if err == nil && len(r.rest) > 0 {
		err = fmt.Errorf("%w: %d bytes follow the document", ErrBSON, len(r.rest))
	}
	return d, err
}

type reader struct{ rest []byte }

func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.rest) {
		return nil, fmt.Errorf("%w: %d bytes are missing", ErrBSON, n-len(r.rest))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b, nil
}

func (r *reader) length() (int, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint32(b)
	if n > maxDocument {
		return 0, fmt.Errorf("%w: a length of %d", ErrBSON, n)
	}
	return int(n), nil
}

// document reads as much as the length at its beginning says, not a byte more or less.
func (r *reader) document(depth int) (Doc, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrBSON, maxDepth)
	}
	n, err := r.length()
	if err != nil {
		return nil, err
	}
	if n < minDocument {
		return nil, fmt.Errorf("%w: a document of %d bytes", ErrBSON, n)
	}
	body, err := r.take(n - 4)
	if err != nil {
		return nil, err
	}
	if body[len(body)-1] != 0 {
		return nil, fmt.Errorf("%w: a document does not end with a zero", ErrBSON)
	}
	in := reader{rest: body[:len(body)-1]}
	var d Doc
	for len(in.rest) > 0 {
		f, err := in.field(depth)
		if err != nil {
			return nil, err
		}
		d = append(d, f)
	}
	return d, nil
}

func (r *reader) field(depth int) (f Field, err error) {
	kind, err := r.take(1)
	if err != nil {
		return f, err
	}
	end := bytes.IndexByte(r.rest, 0)
	if end < 0 || !utf8.Valid(r.rest[:end]) {
		return f, fmt.Errorf("%w: the name of a field does not end, or is no UTF-8", ErrBSON)
	}
	f.Name = string(r.rest[:end])
	r.rest = r.rest[end+1:]
	f.Value, err = r.value(kind[0], depth)
	if err != nil {
		return f, fmt.Errorf("field %q: %w", f.Name, err)
	}
	return f, nil
}

func (r *reader) value(kind byte, depth int) (any, error) {
	le := binary.LittleEndian
	switch kind {
	case typeNull:
		return nil, nil
	case typeString:
		return r.text()
	case typeBool:
		b, err := r.take(1)
		if err != nil || b[0] > 1 {
			return nil, errors.Join(fmt.Errorf("%w: neither true nor false", ErrBSON), err)
		}
		return b[0] == 1, nil
	case typeInt32:
		b, err := r.take(4)
		if err != nil {
			return nil, err
		}
		return int32(le.Uint32(b)), nil
	case typeDouble, typeInt64, typeTime:
		b, err := r.take(8)
		if err != nil {
			return nil, err
		}
		switch n := le.Uint64(b); kind {
		case typeDouble:
			return math.Float64frombits(n), nil
		case typeInt64:
			return int64(n), nil
		default:
			return time.UnixMilli(int64(n)).UTC(), nil
		}
	case typeID:
		b, err := r.take(len(ObjectID{}))
		if err != nil {
			return nil, err
		}
		return ObjectID(b), nil
	case typeBinary:
		return r.binary()
	case typeDoc:
		return r.document(depth + 1)
	case typeArray:
		d, err := r.document(depth + 1)
		if err != nil {
			return nil, err
		}
		list := make([]any, len(d))
		for i, f := range d {
			list[i] = f.Value
		}
		return list, nil
	}
	return nil, fmt.Errorf("%w: type 0x%02x is not known here", ErrBSON, kind)
}

func (r *reader) text() (any, error) {
	n, err := r.length()
	if err != nil {
		return nil, err
	}
	b, err := r.take(n)
	if err != nil {
		return nil, err
	}
	if n == 0 || b[n-1] != 0 || !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: a text does not end with a zero, or is no UTF-8", ErrBSON)
	}
	return string(b[:n-1]), nil
}

func (r *reader) binary() (any, error) {
	n, err := r.length()
	if err != nil {
		return nil, err
	}
	b, err := r.take(n + 1)
	if err != nil {
		return nil, err
	}
	return Binary{Subtype: b[0], Data: append([]byte(nil), b[1:]...)}, nil
}
