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
}

func (h Holder) String() string { return fmt.Sprintf("process %d (%s)", h.PID, printable.Line(h.Name)) }

// maxProcesses bounds the look at /proc.
const maxProcesses = 100_000

// Holders lists the processes, besides this one, that have a file open. all is false where
// the system does not tell, or not of every process: then there may be more.
func Holders(path string) (list []Holder, all bool) {
	want, err := os.Stat(path)
	if err != nil {
		return nil, os.IsNotExist(err)
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
		dir := filepath.Join("/proc", e.Name())
		names, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			if !os.IsNotExist(err) { // another user's
				all = false
			}
			continue
		}
		for _, n := range names {
			fd := filepath.Join(dir, "fd", n.Name())
			target, err := os.Readlink(fd)
			if err != nil || !strings.HasPrefix(target, "/") {
				continue // what is no file is not opened by a look at it
			}
			if info, err := os.Stat(fd); err == nil && os.SameFile(info, want) {
				name, _ := os.ReadFile(filepath.Join(dir, "comm"))
				list = append(list, Holder{PID: pid, Name: strings.TrimSpace(string(name))})
				break
			}
		}
	}
	return list, all
}
