package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lifeboat/internal/printable"
)

// Holder is another process that has a database open.
type Holder struct {
	PID  int
	Name string
	// Gone says that the file that it has open has lost its name: it was deleted, or another
	// one was put in its place. Until the process ends all of it can be read from File, and
	// its log from Log, if there is one.
	Gone      bool
	File, Log string
}

func (h Holder) String() string { return fmt.Sprintf("process %d (%s)", h.PID, printable.Line(h.Name)) }

// maxProcesses bounds the look at /proc.
const maxProcesses = 100_000

// Holders lists the processes, besides this one, that have a file open, or one that was
// deleted at that path. all is false where the system does not tell, or not of every
// process: then there may be more.
func Holders(path string) (list []Holder, all bool) {
	want, err := os.Stat(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil || len(entries) > maxProcesses {
		return nil, false
	}
	all = true
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		h, ok, err := opened(filepath.Join("/proc", e.Name()), path, want)
		if err != nil && !os.IsNotExist(err) { // another user's
			all = false
		}
		if ok {
			h.PID = pid
			list = append(list, h)
		}
	}
	return list, all
}

// opened looks through the open files of one process. want is nil when nothing is at path.
func opened(dir, path string, want os.FileInfo) (h Holder, ok bool, err error) {
	const deleted = " (deleted)" // as the kernel writes it
	names, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return h, false, err
	}
	for _, n := range names {
		fd := filepath.Join(dir, "fd", n.Name())
		target, err := os.Readlink(fd)
		if err != nil || !strings.HasPrefix(target, "/") {
			continue // what is no file is not opened by a look at it
		}
		switch target {
		case path + deleted:
			h.Gone, h.File, ok = true, fd, true
			continue
		case path + "-wal" + deleted:
			h.Log = fd
			continue
		}
		if info, err := os.Stat(fd); want != nil && err == nil && os.SameFile(info, want) {
			ok = true
		}
	}
	if !ok {
		return Holder{}, false, nil
	}
	name, _ := os.ReadFile(filepath.Join(dir, "comm"))
	h.Name = strings.TrimSpace(string(name))
	return h, true, nil
}
