package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path/filepath"

	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/run"
)

// Files keeps the output of steps under a directory: runs/<run>/<nn>-<step>.<attempt>.log.
type Files struct {
	Dir string // of all runs; 0700
}

var _ engine.Spool = Files{}

// keep is how many bytes of one file are kept. What comes after is counted and left
// out: a restore must never fail because its log has filled the disk.
const keep = 1 << 30

// Run is the directory of one run.
func (f Files) Run(id run.ID) string { return filepath.Join(f.Dir, string(id)) }

// Create makes the file of one attempt. A file of that name can only be left from a
// crash before the intent of the same attempt was durable: nothing happened then, and
// it is begun anew.
func (f Files) Create(id run.ID, name string) (engine.SpoolFile, error) {
	if err := durable.MkdirAll(f.Run(id)); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(f.Run(id), name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create log %q: %w", name, err)
	}
	return newSpoolFile(file, name, keep), nil
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
	file *os.File
	name string
	hash hash.Hash
	keep int64 // how much is written at most
	size int64 // written
	lost int64 // not kept
	err  error
}

func newSpoolFile(file *os.File, name string, keep int64) *spoolFile {
	return &spoolFile{file: file, name: name, hash: sha256.New(), keep: keep}
}

// Write keeps what it can and never fails: losing a log must not lose a restore. A
// full disk shows when the file is closed.
func (s *spoolFile) Write(p []byte) (int, error) {
	n := len(p)
	if s.err != nil || s.size >= s.keep {
		s.lost += int64(n)
		return n, nil
	}
	w, err := s.file.Write(p)
	s.hash.Write(p[:w])
	s.size += int64(w)
	if err != nil {
		s.err = err
		s.lost += int64(n - w)
	}
	return n, nil
}

// Close makes the file durable and proves its content.
func (s *spoolFile) Close() (run.Log, error) {
	if s.lost > 0 && s.err == nil {
		line := fmt.Appendf(nil, "\n… %d bytes not kept …\n", s.lost)
		if w, err := s.file.Write(line); err == nil {
			s.hash.Write(line)
			s.size += int64(w)
		}
	}
	err := s.err
	if e := s.file.Sync(); err == nil {
		err = e
	}
	if e := s.file.Close(); err == nil {
		err = e
	}
	return run.Log{Name: s.name, Size: s.size, SHA256: hex.EncodeToString(s.hash.Sum(nil))}, err
}
