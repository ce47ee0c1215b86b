package app

import (
	"io"
	"sync"
	"unicode"
	"unicode/utf8"
)

// tame is standard output or standard error as everything in Lifeboat writes to it. CI
// systems take orders from what a job prints, so what a step, a file name or an error
// message says must not read like one:
//
//	::set-env name=x::y    first in a line, after any white space (GitHub)
//	##[add-path]x          anywhere in a line (GitHub)
//	##vso[task.x]y         anywhere in a line (Azure)
//
// The first gets a bar in front, the others a changed bracket: one that JSON reads as
// the same text. A write that fails is kept in mind; whoever prints need not look.
type tame struct {
	w    io.Writer
	json bool // of the line: it begins with a brace

	mu     sync.Mutex // guards what follows
	begun  bool       // something but white space stands in the line
	hashes int        // how many # stand right before
	armed  bool       // "##" and letters stand right before
	cut    []byte     // a character at the start of a line whose end was not written yet
	buf    []byte
	err    error // the first one
}

// Write implements io.Writer.
func (t *tame) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = t.buf[:0]
	rest := append(t.cut, p...)
	for t.cut = nil; len(rest) > 0; {
		if !t.begun && !utf8.FullRune(rest) {
			t.cut = rest
			break
		}
		r, n := utf8.DecodeRune(rest)
		t.put(r, rest[:n])
		rest = rest[n:]
	}
	if _, err := t.w.Write(t.buf); err != nil {
		if t.err == nil {
			t.err = err
		}
		return 0, err
	}
	return len(p), nil
}

// put adds one character. Every decision is made from what came before, so it does not
// matter how the text was cut into writes.
func (t *tame) put(r rune, as []byte) {
	armed := t.armed
	switch {
	case r == '#':
		t.hashes++
		t.armed = t.hashes >= 2
	case unicode.IsLetter(r):
		t.hashes = 0
	default:
		t.hashes, t.armed = 0, false
	}
	switch {
	case r == '\n', r == '\r':
		t.begun = false
	case !t.begun && !unicode.IsSpace(r):
		t.begun, t.json = true, r == '{'
		if r == ':' {
			t.buf = append(t.buf, "| "...)
		}
	}
	if r != '[' || !armed {
		t.buf = append(t.buf, as...)
	} else if t.json {
		t.buf = append(t.buf, `\u005b`...)
	} else {
		t.buf = append(t.buf, '(')
	}
}

// failed is the first write that did not work, nil when all did.
func (t *tame) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
