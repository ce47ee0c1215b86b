package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"

	"lifeboat/internal/printable"
)

// Formats that a dump shows by itself.
const (
	formatMongo     = "mongodump archive"
	formatPgCustom  = "pg_dump custom"
	formatPgPlain   = "pg_dump plain"
	formatMySQL     = "mysqldump"
	formatD1        = "D1 export"
	formatSQLite    = "SQLite database"
	formatUnknown   = ""
	gzipOf          = "gzip of "
	gzipOfSomething = "gzip"
)

// mongoMagic begins an archive of mongodump: 0x8199e26d, little endian. With --gzip the
// whole archive is compressed, so it stands inside.
var mongoMagic = []byte{0x6d, 0xe2, 0x99, 0x81}

// headSize and tailSize are what is looked at of a dump.
const (
	headSize = 1024
	tailSize = 1024
)

// inspector reads a dump on its way and tells what it is and whether its own format
// shows it to be incomplete. What it does not know it does not judge.
type inspector struct {
	head, tail []byte
	n          int64
	mongo      *mongoArchive // of what begins like one
	inner      *inspector    // of what a gzip file holds
	pipe       *io.PipeWriter
	done       chan struct{} // closed by the goroutine that decompresses; end waits for it
	bad        error         // of the decompressor; read after done
	broken     bool          // the decompressor takes no more
}

func newInspector() *inspector { return &inspector{} }

func (x *inspector) Write(p []byte) (int, error) {
	n := len(p)
	if x.n == 0 && n > 0 && p[0] == 0x1f {
		x.gunzip()
	}
	if x.pipe != nil && !x.broken {
		_, err := x.pipe.Write(p)
		x.broken = err != nil // bad tells at the end
	}
	x.read(p)
	x.n += int64(n)
	if spare := headSize - len(x.head); spare > 0 {
		x.head = append(x.head, p[:min(spare, n)]...)
	}
	if n >= tailSize {
		x.tail = append(x.tail[:0], p[n-tailSize:]...)
		return n, nil
	}
	if over := len(x.tail) + n - tailSize; over > 0 {
		x.tail = append(x.tail[:0], x.tail[over:]...)
	}
	x.tail = append(x.tail, p...)
	return n, nil
}

// read follows what begins like an archive of mongodump. Its first bytes may come one by
// one; they are taken from the head then.
func (x *inspector) read(p []byte) {
	switch {
	case x.mongo != nil:
		_, _ = x.mongo.Write(p) // cannot fail
	case x.n < int64(len(mongoMagic)):
		begin := append(slices.Clip(x.head), p[:min(len(p), len(mongoMagic))]...)
		if bytes.HasPrefix(begin, mongoMagic) {
			x.mongo = newMongoArchive()
			_, _ = x.mongo.Write(x.head)
			_, _ = x.mongo.Write(p)
		}
	}
}

// contents are the collections of an archive of mongodump with their documents, nil for
// what is not known.
func (x *inspector) contents() map[string]int64 {
	if x.inner != nil {
		x = x.inner
	}
	if x.mongo == nil {
		return nil
	}
	list, _ := x.mongo.end()
	return list
}

// gunzip starts to decompress. Only one layer: what is inside is not opened again.
func (x *inspector) gunzip() {
	r, w := io.Pipe()
	x.pipe, x.inner, x.done = w, newInspector(), make(chan struct{})
	x.inner.done = x.done // not nil: an inner inspector opens nothing
	go func() {
		defer close(x.done)
		z, err := gzip.NewReader(r)
		if err == nil {
			_, err = io.CopyBuffer(onlyBytes{x.inner}, struct{ io.Reader }{z}, make([]byte, 64<<10))
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		x.bad = err
		r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	}()
}

// onlyBytes keeps an inner inspector from opening another layer.
type onlyBytes struct{ x *inspector }

func (o onlyBytes) Write(p []byte) (int, error) {
	if o.x.n == 0 && len(p) > 0 && p[0] == 0x1f {
		o.x.head = append(o.x.head, p[0])
		o.x.n++
		if _, err := o.x.Write(p[1:]); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return o.x.Write(p)
}

// stop ends the decompressor without a verdict. It may be called after end.
func (x *inspector) stop() {
	if x.pipe != nil {
		x.pipe.CloseWithError(io.ErrClosedPipe)
		<-x.done
	}
}

// end says what the dump is. note is a doubt that is no error. The error is [ErrShape].
func (x *inspector) end() (format, note string, err error) {
	if x.pipe == nil {
		return x.verdict()
	}
	x.pipe.Close()
	<-x.done
	if len(x.head) < 3 || x.head[1] != 0x8b || x.head[2] != 8 {
		return x.verdict() // a first byte is no gzip file yet
	}
	if x.bad != nil {
		return "", "", fmt.Errorf("%w: it begins like a gzip file, and then: %w", ErrShape, x.bad)
	}
	format, note, err = x.inner.verdict()
	if format == formatUnknown {
		return gzipOfSomething, note, err
	}
	return gzipOf + format, note, err
}

func (x *inspector) verdict() (format, note string, err error) {
	head := bytes.TrimPrefix(x.head, []byte("\xef\xbb\xbf"))
	begins := func(texts ...string) bool {
		for _, t := range texts {
			if bytes.HasPrefix(head, []byte(t)) {
				return true
			}
		}
		return false
	}
	ends := func(text string) bool { return bytes.Contains(x.tail, []byte(text)) }
	switch {
	case begins("PGDMP"):
		return formatPgCustom, "", nil
	case begins("SQLite format 3\x00"):
		return formatSQLite, "", nil
	case begins("PRAGMA defer_foreign_keys"):
		return formatD1, "", nil
	case begins(string(mongoMagic)):
		if x.mongo != nil {
			contents, bad := x.mongo.end()
			if bad != "" {
				return formatMongo, "", fmt.Errorf("%w: an archive of mongodump, and %s", ErrShape, printable.Line(bad))
			}
			if contents != nil {
				return formatMongo, "", nil
			}
		}
		if !bytes.HasSuffix(x.tail, []byte{0xff, 0xff, 0xff, 0xff}) {
			note = "the archive of mongodump does not end as its archives usually do"
		}
		return formatMongo, note, nil
	case begins("--\n-- PostgreSQL database dump"):
		return formatPgPlain, "", complete(ends("-- PostgreSQL database dump complete"), "-- PostgreSQL database dump complete")
	case begins("--\n-- PostgreSQL database cluster dump"):
		return formatPgPlain, "", complete(ends("-- PostgreSQL database cluster dump complete"), "-- PostgreSQL database cluster dump complete")
	case bytes.Contains(firstLines(head), []byte("-- MySQL dump ")), bytes.Contains(firstLines(head), []byte("-- MariaDB dump ")):
		return formatMySQL, "", complete(ends("-- Dump completed"), "-- Dump completed")
	}
	return formatUnknown, "", nil
}

// firstLines are the first three: MariaDB writes a comment for its sandbox before the
// line that names the program.
func firstLines(head []byte) []byte {
	at := 0
	for range 3 {
		i := bytes.IndexByte(head[at:], '\n')
		if i < 0 {
			return head
		}
		at += i + 1
	}
	return head[:at]
}

func complete(ok bool, mark string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%w: the line %q that the program writes at the end is missing", ErrShape, mark)
}

// expect compares what a dump is with what its command should write. Only where the
// command leaves no choice it is an error.
func expect(argv []string, format string) (note string, err error) {
	inner := format
	if len(format) > len(gzipOf) && format[:len(gzipOf)] == gzipOf {
		inner = format[len(gzipOf):]
	}
	is := func(program, want string) bool { return containsProgram(argv, program) && inner != want }
	switch {
	case containsProgram(argv, "pg_dump") && has(argv, "--format=custom", "-Fc", "--format=c") && inner != formatPgCustom:
		return "", fmt.Errorf("%w: it does not begin like a dump of pg_dump in the custom format", ErrShape)
	case is("mongodump", formatMongo):
		note = "it does not begin like an archive of mongodump"
	case is("mysqldump", formatMySQL), is("mariadb-dump", formatMySQL):
		note = "it does not begin like a dump of mysqldump, so its end could not be checked"
	case is("wrangler", formatD1):
		note = "it does not begin like an export of D1"
	}
	return note, nil
}

func has(argv []string, options ...string) bool {
	for _, a := range argv {
		for _, o := range options {
			if a == o {
				return true
			}
		}
	}
	return false
}
