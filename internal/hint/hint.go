// Package hint joins an error with advice: what the person who reads it can do now.
//
// An error says what went wrong and where; a hint says what to do. They are kept
// apart so that code may compare errors without seeing advice, and so that the one
// place that prints errors (package app) can print the advice on lines of its own.
package hint

import (
	"errors"
	"fmt"
	"slices"
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

type blamed struct {
	err  error
	args []string
}

func (b *blamed) Error() string    { return b.err.Error() }
func (b *blamed) Unwrap() error    { return b.err }
func (b *blamed) Blamed() []string { return b.args }

// Blame says of err that it lies with the values of the named arguments: the same once more
// fails once more, and another value may help. A nil err stays nil.
func Blame(err error, args ...string) error {
	if err == nil || len(args) == 0 {
		return err
	}
	return &blamed{err, args}
}

// Blamed lists the arguments that err, and everything it wraps, lies with, outermost first,
// each once: what [Blame] says, and what errors with a method Blamed say.
func Blamed(err error) []string {
	var out []string
	walk(err, func(err error) {
		if b, ok := err.(interface{ Blamed() []string }); ok {
			for _, name := range b.Blamed() {
				if !slices.Contains(out, name) {
					out = append(out, name)
				}
			}
		}
	})
	return out
}

// All lists the advice found in err and in everything it wraps, outermost first,
// each sentence once.
func All(err error) []string {
	var out []string
	walk(err, func(err error) {
		if h, ok := err.(*hinted); ok && !slices.Contains(out, h.advice) {
			out = append(out, h.advice)
		}
	})
	return out
}

// walk visits err and everything it wraps, outermost first.
func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		walk(u.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			walk(e, visit)
		}
	}
}
