package vault

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/pgzip"

	"lifeboat/internal/durable"
)

// objectWriter is the pipeline of one object, one pass, flat memory:
//
//	Kind -> buffer -> plain hash -> gzip -> encrypt -> stored hash -> bucket
type objectWriter struct {
	at      *attempt
	object  Object
	buf     *bufio.Writer
	plain   hash.Hash
	zip     *pgzip.Writer  // nil: not compressed
	crypt   io.WriteCloser // nil: not encrypted; used by one goroutine at a time, the compressor's while there is one
	cache   *durable.File  // a copy of the plain bytes; nil: none
	sum     hash.Hash      // of what is stored; nil when that is plain
	out     io.WriteCloser
	cancel  context.CancelFunc // before out.Close: nothing is stored
	closed  bool
	dropped bool
	err     error

	mu      sync.Mutex // protects below, and while the object is open sum, out and object.Size
	refusal error      // of the bucket; nothing is written after it
}

// An object holds writeBuffer bytes, and about three zipBlocks for each worker.
const (
	writeBuffer = 64 << 10 // less than what kinds write at once: that passes by it uncopied
	zipBlock    = 1 << 20
	zipWorkers  = 4
)

func newObjectWriter(at *attempt, o Object) *objectWriter {
	w := &objectWriter{at: at, object: o, plain: sha256.New()}
	if o.Encryption.Scheme != schemeNone || o.Compression == "gzip" {
		w.sum = sha256.New()
	}
	if o.Compression == "gzip" {
		w.zip, _ = pgzip.NewWriterLevel(writerFunc(w.encrypt), pgzip.BestSpeed) // the level is a valid one
		w.zip.SetConcurrency(zipBlock, zipWorkers)                              // and so are these
	}
	w.buf = bufio.NewWriterSize(writerFunc(w.hash), writeBuffer)
	return w
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (w *objectWriter) hash(p []byte) (int, error) {
	w.plain.Write(p)
	w.object.PlainSize += int64(len(p))
	if w.cache != nil {
		if _, err := w.cache.Write(p); err != nil {
			fmt.Fprintf(w.at.log, "the index of this point is not cached: %v\n", err)
			w.cache.Close()
			w.cache = nil
		}
	}
	if w.zip == nil {
		w.encrypt(p)
	} else if n, err := w.zip.Write(p); err != nil {
		return n, err
	}
	return len(p), w.refused()
}

// encrypt is called by the compressor's goroutine. It never returns an error, after which
// the compressor would leave that goroutine behind; the error waits in refusal.
func (w *objectWriter) encrypt(p []byte) (int, error) {
	if w.crypt == nil {
		return w.store(p)
	}
	if _, err := w.crypt.Write(p); err != nil {
		w.refuse(err)
	}
	return len(p), nil
}

// refuse remembers the first error behind the compressor.
func (w *objectWriter) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusal == nil {
		w.refusal = err
	}
}

// store never returns an error either.
func (w *objectWriter) store(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusal != nil {
		return len(p), nil
	}
	if w.sum != nil {
		w.sum.Write(p)
	}
	n, err := w.out.Write(p)
	w.object.Size += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.refusal = err
	return len(p), nil
}

func (w *objectWriter) refused() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal
}

func (w *objectWriter) Write(p []byte) (int, error) {
	if w.closed {
		return 0, fmt.Errorf("write object %q: it is closed", w.object.Key)
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.object.PlainSize == 0 && w.buf.Buffered() == 0 {
		w.at.touch()
	}
	n, err := w.buf.Write(p)
	return n, w.check(err)
}

// check remembers the first error and ends the attempt with it.
func (w *objectWriter) check(err error) error {
	if err == nil || w.err != nil {
		return w.err
	}
	w.err = fmt.Errorf("write object %q: %w", w.object.Key, err)
	w.at.fail(w.err)
	return w.err
}

// Close stores the object.
func (w *objectWriter) Close() error {
	if w.closed {
		return w.err
	}
	w.at.touch()
	if w.err == nil {
		w.check(w.buf.Flush())
	}
	if w.err == nil && w.zip != nil {
		w.check(w.zip.Close())
	}
	if w.err == nil && w.crypt != nil && w.check(w.refused()) == nil {
		w.check(w.crypt.Close())
	}
	if w.err == nil {
		w.check(w.refused())
	}
	if w.err == nil {
		w.check(w.at.ctx.Err())
	}
	w.closed = true
	defer w.cancel()
	if w.err != nil { // the attempt's context has ended by now: this stores nothing
		w.dropped = true
		w.stop()
		return errors.Join(w.err, w.out.Close())
	}
	w.object.PlainSHA256 = hex.EncodeToString(w.plain.Sum(nil))
	w.object.SHA256 = w.object.PlainSHA256
	if w.sum != nil {
		w.object.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	}
	return w.check(w.at.v.settle(w.at.ctx, w.object, w.out.Close()))
}

// SHA256 is the hash of the plain bytes, in hexadecimal, once Close has returned nil.
func (w *objectWriter) SHA256() string { return w.object.PlainSHA256 }

// Abort drops an object that Kind began and does not want. Nothing is stored.
func (w *objectWriter) Abort() error {
	w.drop()
	return nil
}

func (w *objectWriter) drop() {
	if !w.closed {
		w.closed, w.dropped = true, true
		w.cancel()
		w.stop()
		w.out.Close() // says that the context has ended
	}
}

// stop ends the goroutines of the compressor, whose output goes nowhere any more.
func (w *objectWriter) stop() {
	w.refuse(context.Canceled)
	if w.zip != nil {
		w.zip.Close()
	}
}
