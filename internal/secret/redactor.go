package secret

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// Shortest is the length in bytes from which a secret is masked. Masking something shorter
// would blacken every log and still tell where the secret stands.
const Shortest = 4

// ErrShort says that a secret is too short to be masked.
var ErrShort = errors.New("secret is too short to be masked in output")

// Redactor masks known secrets in text that is on its way to a sink: log, journal, screen,
// report, error. It finds them as they are and as programs transform them: base64 (also
// inside a longer encoded text), hexadecimal, URL-, JSON- and shell-quoted, in one letter
// case, and line by line.
//
// All methods may be used at the same time. A secret that is added while a Writer is in use
// is masked in everything that the Writer has not yet passed on.
type Redactor struct {
	mu      sync.Mutex
	known   map[string]bool
	machine atomic.Pointer[machine] // nil: nothing is known yet
}

// NewRedactor makes a redactor that knows no secret.
func NewRedactor() *Redactor { return &Redactor{known: map[string]bool{}} }

// Add makes a secret known. An empty one is ignored; one shorter than [Shortest] is not
// masked and gives an error that wraps [ErrShort].
func (r *Redactor) Add(s String) error {
	if s.IsZero() {
		return nil
	}
	if len(s.value) < Shortest {
		return fmt.Errorf("%w: it has %d bytes, %d are needed", ErrShort, len(s.value), Shortest)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[s.value] {
		return nil
	}
	r.known[s.value] = true
	patterns := map[string]bool{}
	for value := range r.known {
		for _, f := range forms(value) {
			patterns[f] = true
		}
	}
	r.machine.Store(build(patterns))
	return nil
}

// Text masks every known secret in a whole text. Secrets that overlap become one mask.
func (r *Redactor) Text(s string) string {
	if r.machine.Load() == nil {
		return s
	}
	var b strings.Builder
	w := r.Writer(&b)
	_, _ = io.WriteString(w, s) // a Builder takes everything
	_ = w.Close()
	return b.String()
}

// Writer masks what is written to w, whatever the chunks. It holds back the few bytes that
// may be the start of a secret until more is written. Close passes them on and does not
// close w. A Writer is for one goroutine.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser { return &writer{redactor: r, to: w} }

// span is a part of the stream, in bytes from its start, without its end.
type span struct{ start, end int64 }

// writer is a position in a stream:
//
//	… passed on |base   held   base+len(held)| not written yet
//	            ^ never before the cut: where the longest possible match may begin
type writer struct {
	redactor *Redactor
	to       io.Writer
	machine  *machine
	state    int32
	held     []byte
	base     int64
	spans    []span // to be masked, after base: in order, without overlap
	masked   int64  // up to here the mask is already written
	out      []byte
	err      error
}

func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if m := w.redactor.machine.Load(); m != w.machine {
		w.machine, w.state = m, 0
		w.scan(w.held, w.base) // what is held may hold the new secret
	}
	if w.machine == nil {
		n, err := w.to.Write(p)
		w.base += int64(n)
		w.err = err
		return n, err
	}
	at := w.base + int64(len(w.held))
	w.held = append(w.held, p...)
	w.scan(p, at)
	w.release(at + int64(len(p)) - int64(w.machine.states[w.state].depth))
	return len(p), w.flush()
}

func (w *writer) Close() error {
	w.release(w.base + int64(len(w.held)))
	return w.flush()
}

// scan advances over p, which stands at offset at, and notes every match.
func (w *writer) scan(p []byte, at int64) {
	if w.machine == nil {
		return
	}
	m, state := w.machine, w.state
	for i, c := range p {
		state = m.step(state, c)
		if n := m.states[state].match; n > 0 {
			end := at + int64(i) + 1
			w.mark(span{end - int64(n), end})
		}
	}
	w.state = state
}

// mark joins a match with those that it overlaps.
func (w *writer) mark(s span) {
	if s.start < w.masked { // its start is behind a mask that is written already
		w.masked = max(w.masked, s.end)
		return
	}
	for n := len(w.spans); n > 0 && w.spans[n-1].end > s.start; n-- {
		s.start, s.end = min(s.start, w.spans[n-1].start), max(s.end, w.spans[n-1].end)
		w.spans = w.spans[:n-1]
	}
	w.spans = append(w.spans, s)
}

// release passes on what stands before cut. No match that is found later begins there.
func (w *writer) release(cut int64) {
	end := w.base + int64(len(w.held))
	pos := w.base
	for pos < cut {
		pos = max(pos, min(w.masked, end))
		if pos >= cut {
			break
		}
		stop := cut
		if len(w.spans) > 0 && w.spans[0].start < cut {
			stop = w.spans[0].start
		}
		w.out = append(w.out, w.held[pos-w.base:stop-w.base]...)
		pos = stop
		if stop < cut {
			w.out = append(w.out, Mask...)
			w.masked = w.spans[0].end
			w.spans = w.spans[1:]
		}
	}
	pos = min(max(pos, w.base), cut)
	w.held = w.held[:copy(w.held, w.held[pos-w.base:])]
	w.base = pos
}

func (w *writer) flush() error {
	if len(w.out) == 0 || w.err != nil {
		return w.err
	}
	_, w.err = w.to.Write(w.out)
	w.out = w.out[:0]
	return w.err
}
