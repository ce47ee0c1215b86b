package files

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// sink is what becomes of the entries of an archive, in their order. Whatever it is told
// is hostile, but names, targets, order, types and limits are checked already.
type sink interface {
	dir(e Entry, h *tar.Header) error
	file(e Entry, h *tar.Header, r io.Reader) error // reads r to its end
	link(e Entry, h *tar.Header) error
	list(r io.Reader) error // reads r to its end
}

// known are the PAX records that an archive of this package can have. Others may mean
// something to one tar and nothing to another: two readers would see two archives.
var known = map[string]bool{
	"path": true, "linkpath": true, "size": true, "uid": true, "gid": true, "uname": true, "gname": true, "mtime": true,
}

// maxPadding is how much may follow the last entry: zero bytes only.
const maxPadding = 64 << 10

// readArchive reads an archive to its end and takes nothing but the form that Capture
// writes. Errors of the archive are [ErrDamaged].
func readArchive(ctx context.Context, r io.Reader, to sink) (Facts, error) {
	a := archive{ctx: ctx, raw: &tailReader{r: bufio.NewReaderSize(r, chunk)}, to: to, buf: make([]byte, chunk)}
	a.tar = tar.NewReader(a.raw)
	if err := a.head(); err != nil {
		return Facts{}, err
	}
	for {
		h, err := a.next()
		if err != nil {
			return Facts{}, err
		}
		if h.Name == ListName {
			if err := a.list(h); err != nil {
				return Facts{}, err
			}
			break
		}
		if err := a.entry(h); err != nil {
			return Facts{}, err
		}
	}
	if h, err := a.tar.Next(); err != io.EOF {
		if err == nil {
			return Facts{}, damaged("%q follows the list, which is the last entry", h.Name)
		}
		return Facts{}, a.wrap(err)
	}
	return a.sums.facts, a.end()
}

type archive struct {
	ctx   context.Context
	raw   *tailReader
	tar   *tar.Reader
	to    sink
	order order
	sums  *sums
	buf   []byte
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

// wrap tells an error of the transport from one of the archive.
func (a *archive) wrap(err error) error {
	switch {
	case a.ctx.Err() != nil:
		return a.ctx.Err()
	case a.raw.err != nil:
		return fmt.Errorf("read the archive: %w", a.raw.err)
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return damaged("%w", err)
}

// next reads a header and refuses forms that are never written.
func (a *archive) next() (*tar.Header, error) {
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	h, err := a.tar.Next()
	if err != nil {
		return nil, a.wrap(err)
	}
	if h.Typeflag != tar.TypeXGlobalHeader && h.Format&(tar.FormatUSTAR|tar.FormatPAX) == 0 {
		return nil, damaged("%q is written in the form %s", h.Name, h.Format)
	}
	for key := range h.PAXRecords {
		if !known[key] && h.Typeflag != tar.TypeXGlobalHeader {
			return nil, damaged("%q has the record %q", h.Name, key)
		}
	}
	return h, nil
}

// head reads the salt and the directory of the tree.
func (a *archive) head() error {
	h, err := a.next()
	if err != nil {
		return err
	}
	salt, ok := strings.CutPrefix(h.PAXRecords["comment"], listFormat)
	if h.Typeflag != tar.TypeXGlobalHeader || len(h.PAXRecords) != 1 || !ok || !isHash(salt) {
		return damaged("it does not begin with the comment %q and a salt", listFormat)
	}
	a.sums = newSums(salt)
	if h, err = a.next(); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeDir || h.Name != TreeName+"/" {
		return damaged("its first entry is %q", h.Name)
	}
	return nil
}

// entry takes one file, directory or link.
func (a *archive) entry(h *tar.Header) error {
	e, err := parseHeader(h)
	if err == nil {
		err = a.order.next(e)
	}
	if err != nil {
		return damaged("%w", err)
	}
	switch e.Type {
	case Dir:
		err = a.to.dir(e, h)
	case Link:
		e.Sum = hashText(e.Target)
		err = a.to.link(e, h)
	case File:
		sum := sha256.New()
		in := io.TeeReader(a.content(), sum)
		if err = a.to.file(e, h, in); err == nil {
			e.Sum = hex.EncodeToString(sum.Sum(nil))
		}
	}
	if err != nil {
		return err
	}
	a.sums.add(e)
	return nil
}

// parseHeader says what an entry is, without believing its name.
func parseHeader(h *tar.Header) (Entry, error) {
	name, ok := strings.CutPrefix(h.Name, TreeName+"/")
	if !ok {
		return Entry{}, fmt.Errorf("%q lies outside of %s/", h.Name, TreeName)
	}
	e := Entry{Path: name, Mode: fs.FileMode(h.Mode) & fs.ModePerm, UID: h.Uid, GID: h.Gid}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Type, e.Size, e.Mtime = File, h.Size, h.ModTime.Unix()
	case tar.TypeDir:
		e.Type = Dir
		if e.Path, ok = strings.CutSuffix(name, "/"); !ok {
			return Entry{}, fmt.Errorf("the directory %q has no slash at its end", h.Name)
		}
	case tar.TypeSymlink:
		e.Type, e.Target = Link, h.Linkname
		if err := checkTarget(name, e.Target); err != nil {
			return Entry{}, err
		}
	default:
		return Entry{}, fmt.Errorf("%q is no file, directory or symbolic link: type %q", h.Name, string(h.Typeflag))
	}
	switch {
	case h.Mode < 0 || h.Mode > 0o777 || e.Type == Link && h.Mode != 0o777:
		return Entry{}, fmt.Errorf("%q has the mode %#o", h.Name, h.Mode)
	case e.UID < 0 || e.GID < 0 || int64(e.UID) > 1<<32-2 || int64(e.GID) > 1<<32-2:
		return Entry{}, fmt.Errorf("%q belongs to %d:%d", h.Name, h.Uid, h.Gid)
	case e.Type != File && h.Size != 0:
		return Entry{}, fmt.Errorf("%q is no file and has %d bytes", h.Name, h.Size)
	case e.Type != Link && h.Linkname != "":
		return Entry{}, fmt.Errorf("%q is no link and has a target", h.Name)
	case h.ModTime.Year() < 1902 || h.ModTime.Year() > 2261: // what nanoseconds in 64 bits can say
		return Entry{}, fmt.Errorf("%q is of the year %d", h.Name, h.ModTime.Year())
	}
	return e, nil
}

// content reads an entry and tells errors of the archive from those of who reads.
func (a *archive) content() io.Reader { return contentReader{a} }

type contentReader struct{ a *archive }

func (c contentReader) Read(p []byte) (int, error) {
	if err := c.a.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.a.tar.Read(p)
	if err != nil && err != io.EOF {
		err = c.a.wrap(err)
	}
	return n, err
}

// list compares the list of the archive with what came before it.
func (a *archive) list(h *tar.Header) error {
	if h.Typeflag != tar.TypeReg || h.Size != a.sums.n {
		return damaged("its list has %d bytes, not the %d of its entries", h.Size, a.sums.n)
	}
	sum := sha256.New()
	if err := a.to.list(io.TeeReader(a.content(), sum)); err != nil {
		return err
	}
	a.sums.facts.ListSHA256 = hex.EncodeToString(sum.Sum(nil))
	if a.sums.facts.ListSHA256 != a.sums.end() {
		return damaged("its files are not those of its list")
	}
	return nil
}

// end reads what is left: the mark of the end, two blocks of zero bytes, without which a
// cut archive would look whole, and nothing else.
func (a *archive) end() error {
	before := a.raw.n
	if _, err := copyContext(a.ctx, io.Discard, io.LimitReader(a.raw, maxPadding+1), a.buf); err != nil {
		return a.wrap(err)
	}
	switch {
	case a.raw.n-before > maxPadding || a.raw.zeros < a.raw.n-before:
		return damaged("something follows its end")
	case a.raw.zeros < 1024 || a.raw.n%512 != 0:
		return damaged("its end is missing")
	}
	return nil
}

// tailReader counts bytes, and the zero bytes that were last.
type tailReader struct {
	r        io.Reader
	n, zeros int64
	err      error // of the transport
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	zeros := int64(0)
	for i := n - 1; i >= 0 && p[i] == 0; i-- {
		zeros++
	}
	if zeros == int64(n) {
		t.zeros += zeros
	} else {
		t.zeros = zeros
	}
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

// discard is the sink that only reads.
type discard struct{ buf []byte }

func (discard) dir(Entry, *tar.Header) error  { return nil }
func (discard) link(Entry, *tar.Header) error { return nil }

func (d discard) file(_ Entry, _ *tar.Header, r io.Reader) error { return d.list(r) }

func (d discard) list(r io.Reader) error {
	_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, d.buf)
	return err
}
