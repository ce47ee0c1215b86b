package command

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile makes a file that exists only as long as somebody holds it open, so that
// nothing has to be written, protected and removed on a disk. A child opens it as
// /proc/self/fd/N, as often as it likes.
func memoryFile(content string) (*os.File, error) {
	fd, err := unix.MemfdCreate("lifeboat", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memory")
	if _, err := io.WriteString(f, content); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
