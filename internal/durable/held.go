package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Held is a directory that belongs to this process until Release or its death, however it
// dies. The lock is on the directory itself, so that none is left in it.
type Held struct {
	Dir  string
	file *os.File
}

// holdTries bounds how often a sweeper may be quicker than the one who makes a directory.
const holdTries = 16

// Hold makes a private directory (0700) in parent, whose name is the prefix and digits.
// Where the file system knows no locks of directories (some network mounts) it is not
// held, and [Stale] takes it for held.
func Hold(parent, prefix string) (*Held, error) {
	for range holdTries {
		dir, err := os.MkdirTemp(parent, prefix+"*") // the last star counts: the prefix may have one
		if err != nil {
			return nil, fmt.Errorf("make a directory of this process: %w", err)
		}
		f, err := openDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a sweeper was quicker than the lock
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("hold %q: %w", dir, err), os.Remove(dir))
		}
		if err := flock(f); !errors.Is(err, syscall.EWOULDBLOCK) && isStill(f, dir) {
			return &Held{Dir: dir, file: f}, nil
		}
		f.Close() // a sweeper has it, and removes it
	}
	return nil, fmt.Errorf("hold a directory in %q: other processes remove each", parent)
}

// Stale holds those directories in parent that [Hold] made for the prefix, as this user,
// in processes that are gone: at most limit of them, none that a living process has. The
// caller removes and releases each. A parent that does not exist has none.
func Stale(parent, prefix string, limit int) ([]*Held, error) {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for directories of processes that are gone: %w", err)
	}
	var out []*Held
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" || !e.IsDir() {
			continue
		}
		if len(out) == limit {
			break
		}
		dir := filepath.Join(parent, e.Name())
		f, err := openDir(dir)
		if err != nil {
			continue // gone meanwhile, or of somebody else
		}
		if !ours(f) || flock(f) != nil || !isStill(f, dir) {
			f.Close()
			continue
		}
		out = append(out, &Held{Dir: dir, file: f})
	}
	return out, nil
}

// Release lets go of the directory, which the caller has removed. A second call does
// nothing.
func (h *Held) Release() error {
	if h.file == nil {
		return nil
	}
	f := h.file
	h.file = nil
	return f.Close()
}

func openDir(dir string) (*os.File, error) {
	return os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// isStill says whether the open directory has that name: it may have been removed between
// its opening and its lock.
func isStill(f *os.File, dir string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(dir)
	return err == nil && os.SameFile(open, named)
}

func ours(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Getuid()
}

// RemoveTree removes a directory even where directories in it were made read-only, as git
// and archives do.
func RemoveTree(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	werr := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return errors.Join(werr, os.RemoveAll(dir))
}
