package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is what fits into a Unix socket address everywhere.
const maxSocketPath = 100

// addressable gives a short name for a file in a directory that may lie too deep for a
// socket address: the kernel knows an open directory by its number. The name is good
// until done is called.
func addressable(dir, name string) (address string, done func(), err error) {
	path := filepath.Join(dir, name)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), func() { _ = syscall.Close(fd) }, nil
}

// Listen makes a Unix socket in the runtime directory of the sandbox, in the place of one
// that a killed process has left.
func (s *Sandbox) Listen(name string) (net.Listener, error) {
	dir := s.runtime("")
	address, done, err := addressable(dir, name)
	if err != nil {
		return nil, fmt.Errorf("listen in %q: %w", dir, err)
	}
	defer done()
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen in %q: %w", dir, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen in %q: %w", dir, err)
	}
	l.SetUnlinkOnClose(false) // the short name is gone by then
	return l, os.Chmod(filepath.Join(dir, name), 0o600)
}

// Dial connects to a Unix socket in the runtime directory.
func (s *Sandbox) Dial(ctx context.Context, name string) (net.Conn, error) {
	return dial(ctx, s.runtime(""), name)
}

func dial(ctx context.Context, dir, name string) (net.Conn, error) {
	address, done, err := addressable(dir, name)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}
