package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/run"
)

// sweepLimit is how many runs one sweep looks at, the newest: the older ones were looked at
// when they were new.
const sweepLimit = 4096

// Abandon moves what killed hosts left in the scratch directories of their runs into dir,
// which lies on the same file system, and says how many it moved. It holds a point in the
// clear, and the run that is taken up again has no use for it. Runs that a living process
// hosts are not touched: their locks say so. What could not be moved is in the error, and
// does not keep the others.
func (f Files) Abandon(dir string) (int, error) {
	entries, err := os.ReadDir(f.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for scratch directories: %w", err)
	}
	moved := 0
	var errs []error
	for _, e := range slices.Backward(entries[max(0, len(entries)-sweepLimit):]) { // ids begin with the time
		if !e.IsDir() {
			continue
		}
		ok, err := f.abandon(run.ID(e.Name()), filepath.Join(dir, e.Name()))
		if ok {
			moved++
		}
		errs = append(errs, err)
	}
	return moved, errors.Join(errs...)
}

// abandon moves the scratch directory of one run. It holds the lock of the run for the
// moment of a rename, and without a note, for which a host that comes then waits.
func (f Files) abandon(id run.ID, to string) (moved bool, err error) {
	scratch := filepath.Join(f.Run(id), scratchName)
	if !holds(scratch) {
		return false, nil
	}
	lock, err := durable.Lock(filepath.Join(f.Run(id), lockName), "")
	var held *durable.LockedError
	if errors.As(err, &held) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if !holds(scratch) {
		return false, nil // another sweep was quicker, or a host has come and gone
	}
	if err := os.Rename(scratch, to); err != nil {
		return false, fmt.Errorf("take the scratch directory of run %s away: %w", id.Short(), err)
	}
	return true, nil
}

// holds says whether anything is in a directory.
func holds(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) > 0
}

// A host waits so long for a lock whose holder has not said who it is: a sweeper has it for
// a moment, and a host says so at once.
const (
	lockPause    = 5 * time.Millisecond
	lockTries    = 4 // also when a note is there: that of a dead host stays for the first moment
	lockPatience = 2 * time.Second
)

// lockRun takes the lock of a run for a host.
func lockRun(dir, note string) (*durable.FileLock, error) {
	until := time.Now().Add(lockPatience)
	pause := time.NewTicker(lockPause)
	defer pause.Stop()
	for try := 1; ; try++ {
		lock, err := durable.Lock(filepath.Join(dir, lockName), note)
		var held *durable.LockedError
		if !errors.As(err, &held) || held.Note != "" && try >= lockTries || time.Now().After(until) {
			return lock, err
		}
		<-pause.C
	}
}
