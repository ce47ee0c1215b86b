package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// scratchDir is the private directory of this process in the state directory. What is read
// from a vault lies there in the clear, and nowhere where nobody would look for it after a
// crash:
//
//	scratch/process-<digits>/   0700, held while the process lives, removed when it ends
//	  runs/<run>/               scratch of a run whose host was killed, on its way out
//
// The process that opens the state directory to drive runs is the one that sweeps: a run
// knows only of itself, and its scratch may be left by one that nobody takes up again.
type scratchDir struct {
	held  *durable.Held
	stale []*durable.Held // of processes that are gone
	done  chan struct{}   // closed when the removal has ended
	err   error           // of the sweep; read it after done
}

// maxStale bounds how many directories of other processes one process removes.
const maxStale = 64

// openScratch makes the directory of this process and takes what killed processes left.
// Taking is quick, and done when it returns; the removal, of what may be large, goes on
// beside the work, because a recovery does not wait for it.
func openScratch(w *world) (*scratchDir, error) {
	dir := filepath.Join(w.state, "scratch")
	if err := durable.MkdirAll(dir); err != nil {
		return nil, err
	}
	const prefix = "process-"
	s := &scratchDir{done: make(chan struct{})}
	var err error
	if s.held, err = durable.Hold(dir, prefix); err != nil {
		return nil, err
	}
	var missed, failed error
	s.stale, missed = durable.Stale(dir, prefix, maxStale)
	runs := filepath.Join(s.held.Dir, "runs")
	if failed = os.Mkdir(runs, 0o700); failed == nil {
		_, failed = w.files.Abandon(runs)
	}
	s.err = errors.Join(missed, failed)
	go func() {
		defer close(s.done)
		for _, h := range s.stale {
			s.err = errors.Join(s.err, durable.RemoveTree(h.Dir), h.Release())
		}
		s.err = errors.Join(s.err, durable.RemoveTree(runs))
	}()
	return s, nil
}

// dir is where decrypted things may lie; "", the system's, in a world that only looks.
func (s *scratchDir) dir() string {
	if s == nil {
		return ""
	}
	return s.held.Dir
}

// close waits for the removal, removes the directory and says what could not be removed.
// The next process tries again.
func (s *scratchDir) close() error {
	if s == nil {
		return nil
	}
	<-s.done
	err := errors.Join(s.err, durable.RemoveTree(s.held.Dir), s.held.Release())
	if err == nil {
		return nil
	}
	return hint.Wrap(fmt.Errorf("remove scratch directories: %w", err), "what is in them may be a part of a backup in the clear; the next command tries again")
}
