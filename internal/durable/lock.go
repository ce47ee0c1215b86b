package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// FileLock is held until Unlock or the death of the process, however it dies.
type FileLock struct{ file *os.File }

// LockedError says that somebody else holds a lock.
type LockedError struct {
	Path string
	Note string // what the holder said about itself; empty in the first moment
}

func (e *LockedError) Error() string {
	if e.Note == "" {
		return fmt.Sprintf("%q is locked by another process", e.Path)
	}
	return fmt.Sprintf("%q is locked by %s", e.Path, e.Note)
}

const noteLimit = 4 << 10

// Lock takes the lock of a file, which it makes (0600) and never removes: a removed lock
// file could be locked twice. The note tells others who holds it. It does not wait: when
// the lock is taken, the error is a [*LockedError].
func Lock(path, note string) (*FileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, cause(err))
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		held, _ := io.ReadAll(io.LimitReader(f, noteLimit)) // only to tell a person
		return nil, &LockedError{Path: path, Note: strings.TrimSpace(string(held))}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w (does the file system know locks? not every network mount does)", path, err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, note)); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w", path, cause(err))
	}
	return &FileLock{file: f}, nil
}

func writeAt(f *os.File, note string) error {
	if note == "" {
		return nil
	}
	_, err := f.WriteAt([]byte(note+"\n"), 0)
	return err
}

// Unlock gives the lock back. A second call does nothing.
func (l *FileLock) Unlock() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	// Closing alone would not do: a child that was forked just now and has not become its
	// program yet has the file open, too, and the lock is that of all who have.
	return errors.Join(f.Truncate(0), syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}
