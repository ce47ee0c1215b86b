package sqlite

import (
	"context"
	"errors"
	"io"
)

// WithBeat makes r call beat at the named points of its way.
func (r Replacement) WithBeat(beat func(point string)) Replacement {
	r.beat = beat
	return r
}

// WithFault makes r ask fault before each change of the name of a file.
func (r Replacement) WithFault(fault func(what, path string) error) Replacement {
	r.fault = fault
	return r
}

// BothWays pins one state and hashes it from the file and through SQLite. direct is
// false when it could be read through SQLite only.
func BothWays(ctx context.Context, path string) (file, through Facts, direct bool, err error) {
	s, err := pin(ctx, path, nil)
	if err != nil {
		return Facts{}, Facts{}, false, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if s.main == nil {
		return Facts{}, Facts{}, false, nil
	}
	if err := s.hash(ctx, &file, true, nil, nil); err != nil {
		return Facts{}, Facts{}, true, err
	}
	main := s.main
	s.main = nil
	err = s.hash(ctx, &through, true, nil, nil)
	s.main = main
	return file, through, true, err
}

// Split cuts SQL into statements.
func Split(r io.Reader) (list []Statement, err error) {
	s := newSplitter(r)
	for {
		st, err := s.next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		list = append(list, st)
	}
}

// WithBeat makes c call beat at the named points of its way, and fail where that does.
func (c Change) WithBeat(beat func(point string) error) Change {
	c.beat = beat
	return c
}

// Beat calls the beat of r.
func (r Replacement) Beat() error {
	r.at("")
	return nil
}
