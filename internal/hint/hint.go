// Package hint joins an error with advice: what the person who reads it can do now.
//
// An error says what went wrong and where; a hint says what to do. They are kept
// apart so that code may compare errors without seeing advice, and so that the one
// place that prints errors (package app) can print the advice on lines of its own.
package hint

import (
	"errors"
	"fmt"
)

type hinted struct {
	err    error
	advice string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// Wrap returns err with advice for a person. A nil err stays nil, and so does an error
// without advice.
func Wrap(err error, advice string) error {
	if err == nil || advice == "" {
		return err
	}
	return &hinted{err: err, advice: advice}
}

// Wrapf is [Wrap] with a formatted advice.
func Wrapf(err error, format string, args ...any) error {
	return Wrap(err, fmt.Sprintf(format, args...))
}

// New returns an error with a message and advice.
func New(message, advice string) error { return Wrap(errors.New(message), advice) }

// All lists the advice found in err and in everything it wraps, outermost first,
// each sentence once.
func All(err error) []string {
	var out []string
	seen := map[string]bool{}
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if h, ok := err.(*hinted); ok && !seen[h.advice] {
			seen[h.advice] = true
			out = append(out, h.advice)
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				walk(e)
			}
		}
	}
	walk(err)
	return out
}
