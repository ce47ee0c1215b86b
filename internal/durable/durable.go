// Package durable writes files that are there after a power cut, or are not there at
// all: never half, and never in place of the old ones before they are whole.
//
// The way is always the same: write a temporary file beside the target, fsync it, rename
// it over the target, fsync the directory. A crash may leave a temporary file named
// ".NAME.tmp-…" behind; it is never read and may be deleted.
//
// When a function returns an error, the target holds the old content, except when the
// error wraps [ErrUnclear]: the new content stands there, but a power cut may still bring
// the old one back. Nothing is tried twice: a second fsync may report success for data
// that the kernel has already dropped.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrUnclear says that a change was made but may not survive a power cut.
var ErrUnclear = errors.New("the change may not be durable")

// disk is what the operating system does for this package; tests put faults in between.
type disk struct {
	sync   func(*os.File) error
	rename func(from, to string) error
	link   func(from, to string) error
}

func system() disk { return disk{sync: (*os.File).Sync, rename: os.Rename, link: os.Link} }

// WriteFile replaces a file, or makes it, with exactly the permissions perm.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return system().writeFile(path, data, perm)
}

func (d disk) writeFile(path string, data []byte, perm fs.FileMode) error {
	f, err := d.newFile(path, perm)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// Create makes a file that must not exist. Of several callers one wins; the others get an
// error that wraps [fs.ErrExist]. The file system must know hard links.
func Create(path string, data []byte, perm fs.FileMode) error {
	return system().create(path, data, perm)
}

func (d disk) create(path string, data []byte, perm fs.FileMode) error {
	f, err := d.newFile(path, perm)
	if err != nil {
		return err
	}
	defer f.Close() // removes the temporary name; the link stays
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.settle(); err != nil {
		return err
	}
	if err := d.link(f.file.Name(), path); err != nil {
		return fmt.Errorf("create %q: %w", path, cause(err))
	}
	return d.syncDir(filepath.Dir(path))
}

// MkdirAll makes a directory and its missing parents, each with mode 0700, durably.
// Directories that exist stay as they are.
func MkdirAll(path string) error { return system().mkdirAll(path) }

func (d disk) mkdirAll(path string) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("make directory %q: a file of that name exists", path)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("make directory %q: %w", path, cause(err))
	}
	parent := filepath.Dir(path)
	if err := d.mkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory %q: %w", path, cause(err))
	}
	return d.syncDir(parent)
}

// Rename moves a file or directory within a file system.
func Rename(from, to string) error { return system().move(from, to) }

func (d disk) move(from, to string) error {
	if err := d.rename(from, to); err != nil {
		return fmt.Errorf("rename %q to %q: %w", from, to, cause(err))
	}
	err := d.syncDir(filepath.Dir(to))
	if filepath.Dir(from) != filepath.Dir(to) {
		err = errors.Join(err, d.syncDir(filepath.Dir(from)))
	}
	return err
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error { return system().syncDir(dir) }

func (d disk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory %q: %w: %w", dir, ErrUnclear, cause(err))
	}
	defer f.Close()
	if err := d.sync(f); err != nil {
		return fmt.Errorf("sync directory %q: %w: %w", dir, ErrUnclear, cause(err))
	}
	return nil
}

// File is a file in the making. Nobody sees it under its name before Commit.
type File struct {
	disk disk
	path string
	perm fs.FileMode
	file *os.File // the temporary one
	done bool     // committed or closed
	err  error    // the first failure; nothing is committed after one
}

// NewFile begins a file that replaces path at Commit. The caller calls Close in any case.
func NewFile(path string, perm fs.FileMode) (*File, error) { return system().newFile(path, perm) }

func (d disk) newFile(path string, perm fs.FileMode) (*File, error) {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("write %q: a directory of that name exists", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return nil, fmt.Errorf("write %q: %w", path, cause(err))
	}
	return &File{disk: d, path: path, perm: perm, file: f}, nil
}

// Name is the path of the temporary file, for a program that writes it itself.
func (f *File) Name() string { return f.file.Name() }

func (f *File) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	return n, f.keep(err)
}

// ReadFrom lets [io.Copy] move data without our buffers.
func (f *File) ReadFrom(r io.Reader) (int64, error) {
	n, err := f.file.ReadFrom(r)
	return n, f.keep(err)
}

func (f *File) keep(err error) error {
	if err != nil {
		err = fmt.Errorf("write %q: %w", f.path, cause(err))
		if f.err == nil {
			f.err = err
		}
	}
	return err
}

// settle makes the content and the permissions of the temporary file durable.
func (f *File) settle() error {
	if f.err != nil {
		return f.err
	}
	if err := f.file.Chmod(f.perm); err != nil { // not subject to the umask
		return f.keep(err)
	}
	return f.keep(f.disk.sync(f.file))
}

// Commit puts the file in its place, durably. It works once, and not after a failed write.
func (f *File) Commit() error {
	if f.done {
		return fmt.Errorf("write %q: %w", f.path, fs.ErrClosed)
	}
	if err := f.settle(); err != nil {
		return err
	}
	if err := f.keep(f.disk.rename(f.file.Name(), f.path)); err != nil {
		return err
	}
	f.done = true
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("write %q: %w: %w", f.path, ErrUnclear, cause(err))
	}
	return f.disk.syncDir(filepath.Dir(f.path))
}

// Close drops the file unless it was committed.
func (f *File) Close() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.file.Close(), os.Remove(f.file.Name()))
}

// cause drops what os adds to an error: our message names the path already, and the name
// of a temporary file would only confuse.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
