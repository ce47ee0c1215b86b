package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// small reads a document whole.
func (v *Vault) small(ctx context.Context, key string) ([]byte, error) {
	r, err := v.store.get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	return raw, nil
}

// putSmall writes a document and settles the two ways in which that can end unclearly: an
// error although it is stored, and success although only a part is stored. A bucket that
// is busy with the key is asked again, a few times.
func (v *Vault) putSmall(ctx context.Context, key string, o putOptions, data []byte) error {
	var err error
	for try := 1; ; try++ {
		err = v.putOnce(ctx, key, o, data)
		if !errors.Is(err, errBusy) || try == 4 || v.wait(ctx, try) != nil {
			break
		}
	}
	if err == nil {
		return v.stored(ctx, key, int64(len(data)))
	}
	if ctx.Err() != nil {
		return fmt.Errorf("write %q: %w", key, err)
	}
	if there, rerr := v.small(ctx, key); rerr == nil && bytes.Equal(there, data) {
		return nil
	}
	return fmt.Errorf("write %q: %w", key, err)
}

func (v *Vault) putOnce(ctx context.Context, key string, o putOptions, data []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := v.store.put(ctx, key, o)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		cancel() // so that Close does not store a part
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// stored checks that an object is there with its size.
func (v *Vault) stored(ctx context.Context, key string, size int64) error {
	var got int64
	err := v.again(ctx, func() (err error) {
		got, err = v.store.stat(ctx, key)
		return err
	})
	switch {
	case errors.Is(err, errNotExist):
		return fmt.Errorf("object %q: %w", key, ErrMissing)
	case err != nil:
		return fmt.Errorf("object %q: %w", key, err)
	case got != size:
		return fmt.Errorf("object %q: %w: it has %d bytes, recorded are %d", key, ErrDamaged, got, size)
	}
	return nil
}

// plainReader gives the plain bytes of an object. In place of io.EOF it returns
// ErrDamaged when anything is not as recorded, so that whoever reads to the end knows.
// What came before the end is not proven.
type plainReader struct {
	o      Object
	closer io.Closer
	stored *measured
	crypt  *lazyCrypt // over stored; nil: not encrypted
	plain  io.Reader  // stored itself, or what decrypts and decompresses it
	sum    hash.Hash  // of the plain bytes; nil when the plain bytes are the stored ones
	n      int64
	err    error // final, io.EOF when all is as recorded
	closed bool
}

// measured hashes what it reads, refuses more than limit bytes, and remembers an error of
// the transport, which decompressors hide.
type measured struct {
	r     io.Reader
	sum   hash.Hash
	n     int64
	limit int64
	err   error
	seen  func(n int)
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.sum.Write(p[:n])
	m.n += int64(n)
	if m.seen != nil {
		m.seen(n)
	}
	if m.n > m.limit && (err == nil || err == io.EOF) {
		return 0, fmt.Errorf("%w: more than the recorded %d bytes", ErrDamaged, m.limit)
	}
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}

// raw opens the stored bytes of an object.
func (v *Vault) raw(ctx context.Context, o Object, seen func(n int)) (*measured, io.Closer, error) {
	var r io.ReadCloser
	err := v.again(ctx, func() (err error) {
		r, err = v.store.get(ctx, o.Key)
		return err
	})
	if errors.Is(err, errNotExist) {
		return nil, nil, fmt.Errorf("object %q: %w", o.Key, ErrMissing)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("object %q: %w", o.Key, err)
	}
	return &measured{r: r, sum: sha256.New(), limit: o.Size, seen: seen}, r, nil
}

// reader opens the plain bytes of an object. Nothing is asked of the bucket when there is
// no key for it: ErrNoKey and ErrWrongKey.
func (v *Vault) reader(ctx context.Context, o Object, seen func(n int)) (*plainReader, error) {
	var crypt *lazyCrypt
	if o.Encryption.Scheme != schemeNone {
		key, err := v.keyFor(ctx, o)
		if err != nil {
			return nil, err
		}
		crypt = &lazyCrypt{key: key}
	}
	m, c, err := v.raw(ctx, o, seen)
	if err != nil {
		return nil, err
	}
	p := newPlainReader(o, m.r, c, crypt)
	p.stored.seen = seen
	return p, nil
}

// newPlainReader reads an object out of its stored bytes r, decrypted by crypt if that is
// not nil, and closes c in the end.
func newPlainReader(o Object, r io.Reader, c io.Closer, crypt *lazyCrypt) *plainReader {
	m := &measured{r: r, sum: sha256.New(), limit: o.Size}
	p := &plainReader{o: o, closer: c, stored: m, plain: m, crypt: crypt}
	if crypt != nil {
		crypt.r, p.plain, p.sum = m, crypt, sha256.New()
	}
	if o.Compression == "gzip" {
		p.plain, p.sum = &lazyGzip{r: p.plain}, sha256.New()
	}
	return p
}

// lazyGzip reads the header at the first Read, where errors have a place to go.
type lazyGzip struct {
	r io.Reader
	z *gzip.Reader
}

func (l *lazyGzip) Read(p []byte) (int, error) {
	if l.z == nil {
		z, err := gzip.NewReader(l.r)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		l.z = z
	}
	return l.z.Read(p)
}

func (p *plainReader) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.plain.Read(b)
	p.n += int64(n)
	if p.sum != nil {
		p.sum.Write(b[:n])
	}
	if p.n > p.o.PlainSize {
		p.err = p.end(fmt.Errorf("more than the recorded %d plain bytes", p.o.PlainSize))
		return 0, p.err
	}
	if err != nil {
		p.err = p.end(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, p.err
}

func (p *plainReader) damaged(format string, args ...any) error {
	return fmt.Errorf("object %q: %w: %s", p.o.Key, ErrDamaged, fmt.Sprintf(format, args...))
}

// end decides what the end of the plain bytes means.
func (p *plainReader) end(err error) error {
	if p.crypt != nil && err == io.EOF { // a decompressor may leave the end unread, which proves the ciphertext
		io.Copy(io.Discard, struct{ io.Reader }{p.crypt}) // which remembers its error
	}
	if p.sum != nil { // what follows, and whether the stored bytes are to blame for an error
		if _, serr := io.Copy(io.Discard, struct{ io.Reader }{p.stored}); serr != nil {
			err = serr
		}
	}
	if p.stored.err != nil { // not the object's fault, as far as anybody knows
		return fmt.Errorf("read object %q: %w", p.o.Key, p.stored.err)
	}
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("object %q: %w", p.o.Key, err)
	}
	if err := p.o.match(p.stored); err != nil {
		return err
	}
	if p.crypt != nil && p.crypt.err != nil && p.crypt.err != io.EOF {
		return p.o.unopened(p.crypt.err)
	}
	if err != io.EOF {
		return p.damaged("%v", err)
	}
	if p.sum != nil && (p.n != p.o.PlainSize || hex.EncodeToString(p.sum.Sum(nil)) != p.o.PlainSHA256) {
		return p.damaged("the unpacked bytes are not the recorded ones")
	}
	return io.EOF
}

// match compares all stored bytes with the record.
func (o Object) match(m *measured) error {
	if m.n != o.Size {
		return fmt.Errorf("object %q: %w: it is truncated: it ends after %d bytes, recorded are %d", o.Key, ErrDamaged, m.n, o.Size)
	}
	if got := hex.EncodeToString(m.sum.Sum(nil)); got != o.SHA256 {
		return fmt.Errorf("object %q: %w: it was altered: its SHA-256 is %s, recorded is %s", o.Key, ErrDamaged, got, o.SHA256)
	}
	return nil
}

// Close reads to the end first, so that a reader which did not want all bytes still
// learns of damage. It may be called again, and answers the same.
func (p *plainReader) Close() error {
	if !p.closed {
		p.closed = true
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{p}); err != nil {
			p.err = err
		}
		if err := p.closer.Close(); err != nil && p.err == io.EOF {
			p.err = fmt.Errorf("read object %q: %w", p.o.Key, err)
		}
	}
	if p.err == io.EOF {
		return nil
	}
	return p.err
}

// fetch downloads the plain bytes of an object into a file and returns nil only when they
// are the recorded ones; otherwise there is no file. Damage is believed when a second
// download has it too: the first may have been damaged on the way.
func (v *Vault) fetch(ctx context.Context, o Object, file string, seen func(n int)) error {
	return v.download(ctx, o, file, func() (io.Reader, func() error, error) {
		r, err := v.reader(ctx, o, seen)
		if err != nil {
			return nil, nil, err
		}
		return r, r.closer.Close, nil
	})
}

// fetchStored is fetch for the bytes as they are stored.
func (v *Vault) fetchStored(ctx context.Context, o Object, file string, seen func(n int)) error {
	return v.download(ctx, o, file, func() (io.Reader, func() error, error) {
		m, c, err := v.raw(ctx, o, seen)
		if err != nil {
			return nil, nil, err
		}
		return &storedReader{o, m}, c.Close, nil
	})
}

type storedReader struct {
	o Object
	m *measured
}

func (r *storedReader) Read(p []byte) (int, error) {
	n, err := r.m.Read(p)
	switch {
	case err == io.EOF:
		if merr := r.o.match(r.m); merr != nil {
			err = merr
		}
	case err != nil:
		err = fmt.Errorf("read object %q: %w", r.o.Key, err)
	}
	return n, err
}

func (v *Vault) download(ctx context.Context, o Object, file string, open func() (io.Reader, func() error, error)) error {
	return twice(func() error {
		r, closeIt, err := open()
		if err != nil {
			return err
		}
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return errors.Join(err, closeIt())
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, make([]byte, 256<<10))
		err = errors.Join(err, f.Close(), closeIt())
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(err, os.Remove(file))
		}
		return nil
	})
}

// twice runs f again when it found damage.
func twice(f func() error) error {
	err := f()
	if errors.Is(err, ErrDamaged) {
		err = f()
	}
	return err
}
