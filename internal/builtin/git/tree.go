package git

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/printable"
)

// dotGit is what is left out of a work tree.
func dotGit(path string) bool { return path == ".git" }

// copyTree copies a directory without what leave names into the rebuilt clone: files with
// mode and time, links as links. Nothing is followed, so nothing outside is read or written.
// What is neither file, directory nor link, or cannot be read, is named in skipped.
func copyTree(ctx context.Context, from, to string, leave func(path string) bool) (files int, skipped []string, err error) {
	src, err := os.OpenRoot(from)
	if err != nil {
		if os.IsNotExist(err) {
			return 0, nil, nil
		}
		return 0, nil, err
	}
	defer src.Close()
	dst, err := os.OpenRoot(to)
	if err != nil {
		return 0, nil, err
	}
	defer dst.Close()
	err = fs.WalkDir(src.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if path == "." {
			return err
		}
		if leave(path) {
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err == nil {
			err = copyEntry(src, dst, path, e)
		}
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("%s was not copied: %s", printable.Line(path), printable.Line(err.Error())))
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !e.IsDir() {
			files++
		}
		return nil
	})
	return files, skipped, err
}

func copyEntry(src, dst *os.Root, path string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return dst.MkdirAll(path, info.Mode().Perm()|0o700)
	case fs.ModeSymlink:
		target, err := src.Readlink(path)
		if err != nil {
			return err
		}
		return dst.Symlink(target, path)
	case 0:
		return copyFile(src, dst, path, info)
	}
	return fmt.Errorf("it is a %s", filepath.Base(info.Mode().Type().String()))
}

func copyFile(src, dst *os.Root, path string, info fs.FileInfo) (err error) {
	in, err := src.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := dst.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return dst.Chtimes(path, info.ModTime(), info.ModTime())
}
