package runner

import (
	"fmt"
	"os"
	"path/filepath"

	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/run"
	"lifeboat/internal/spool"
)

// Files keeps the output of steps under a directory: runs/<run>/<nn>-<step>.<attempt>.log,
// in the format of package spool.
type Files struct {
	Dir    string       // of all runs; 0700
	Limits spool.Limits // of one log; zero: the standard ones
}

var _ engine.Spool = Files{}

// Run is the directory of one run.
func (f Files) Run(id run.ID) string { return filepath.Join(f.Dir, string(id)) }

// Create makes the file of one attempt. A file of that name can only be left from a
// crash before the intent of the same attempt was durable: nothing happened then, and
// it is begun anew.
func (f Files) Create(id run.ID, name string) (engine.SpoolFile, error) {
	if err := durable.MkdirAll(f.Run(id)); err != nil {
		return nil, err
	}
	limits := f.Limits
	if limits == (spool.Limits{}) {
		limits = spool.Standard()
	}
	w, err := spool.Create(filepath.Join(f.Run(id), name), limits)
	if err != nil {
		return nil, err
	}
	return spoolFile{w, name}, nil
}

// Log opens the output of an attempt, which may still grow.
func (f Files) Log(id run.ID, name string) (*spool.Log, error) {
	if name != filepath.Base(name) || name == ".." || name == "." {
		return nil, fmt.Errorf("open log %q: not the name of a log", name)
	}
	return spool.Open(filepath.Join(f.Run(id), name))
}

// Scratch makes a private directory on the file system of the state. The caller hosts the
// run: what is in it when nobody does is what [Files.Abandon] takes away.
func (f Files) Scratch(id run.ID, name string) (string, func(), error) {
	base := filepath.Join(f.Run(id), scratchName)
	if err := durable.MkdirAll(base); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(base, name+".")
	if err != nil {
		return "", nil, fmt.Errorf("make scratch directory: %w", err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

type spoolFile struct {
	*spool.Writer
	name string
}

// Close makes the log durable and proves its content.
func (s spoolFile) Close() (run.Log, error) {
	k, err := s.Writer.Close()
	return run.Log{Name: s.name, Size: k.Size, SHA256: k.SHA256, Parts: k.Parts, Lost: k.Lost}, err
}
