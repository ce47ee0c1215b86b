package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/hint"
)

// move puts one file in its place, or takes one away.
type move struct {
	change        // Before is what must stand there
	from   string // the file that comes; "": what stands there goes
}

// exchange replaces files of a tree one by one and keeps what was there. All names are
// relative to root, and what comes lies below it too, so that each file changes by one
// rename: at any moment it is the old or the new one.
//
// First every old file is kept durably, as a second name where the filesystem has those;
// only then the first one is replaced. A crash leaves some old and some new files, and
// all old ones below keep.
type exchange struct {
	root   *os.Root
	key    string // of the states
	keep   string // directory for what goes, by its path; must not exist
	moves  []move // directories before what lies in them
	report func(done, total int64, unit string)
	dirs   []string // that have changed, to be made durable
}

// run returns [action.ErrChanged] when nothing has happened because a file is another by
// now, and [action.ErrUnclear] for whatever happens after the first file was replaced.
func (x *exchange) run(ctx context.Context) error {
	if err := x.keepAll(ctx); err != nil {
		return err
	}
	for i, m := range x.moves {
		err := ctx.Err()
		if err == nil {
			err = x.one(ctx, m)
		}
		if err != nil && i == 0 {
			return err
		}
		if err != nil {
			return hint.Wrap(fmt.Errorf("%w: %d of %d files were done, then: %v", action.ErrUnclear, i, len(x.moves), err), // not %w: it may be ErrChanged
				"undo puts back the old ones")
		}
		x.report(int64(i+1), int64(len(x.moves)), "files")
	}
	// Directories that were made get their modes when they are full, and go when they are
	// empty, the deepest first.
	for _, m := range slices.Backward(x.moves) {
		var err error
		switch {
		case m.Dir && m.from != "":
			err = x.root.Chmod(m.Path, m.Mode)
		case m.Dir:
			err = x.gone(m.Path)
		}
		if err != nil {
			return fmt.Errorf("%w: all files were done, then: %w", action.ErrUnclear, err)
		}
	}
	if err := x.sync(); err != nil {
		return fmt.Errorf("%w: all files were done, then: %w", action.ErrUnclear, err)
	}
	return nil
}

// gone removes a directory that a restore had made, unless somebody uses it.
func (x *exchange) gone(dir string) error {
	d, err := x.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if names, err := d.Readdirnames(1); len(names) > 0 || !errors.Is(err, io.EOF) {
		return nil
	}
	return x.root.Remove(dir)
}

func (x *exchange) keepAll(ctx context.Context) error {
	for _, m := range x.moves {
		if m.Before == absent || m.Dir {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		to := path.Join(x.keep, m.Path)
		if err := x.root.MkdirAll(path.Dir(to), 0o700); err != nil {
			return fmt.Errorf("keep %q: %w", m.Path, err)
		}
		if err := x.keepOne(m.Path, to); err != nil {
			return fmt.Errorf("keep %q: %w", m.Path, err)
		}
		for dir := path.Dir(to); dir != "."; dir = path.Dir(dir) {
			x.touched(dir)
		}
	}
	return x.sync()
}

// keepOne gives a file a second name, or copies it where that cannot be.
func (x *exchange) keepOne(from, to string) error {
	if x.root.Link(from, to) == nil {
		return nil
	}
	info, err := x.root.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := x.root.Readlink(from)
		if err != nil {
			return err
		}
		return x.root.Symlink(target, to)
	}
	in, err := x.root.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := x.root.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(info.Mode().Perm()), out.Sync(), out.Close(), x.root.Chtimes(to, info.ModTime(), info.ModTime()))
}

// one makes one move, if what stands there is still what was planned with.
func (x *exchange) one(ctx context.Context, m move) error {
	got, _, err := now(ctx, x.root, x.key, m.Path)
	if errors.Is(err, tree.ErrMoving) || errors.Is(err, tree.ErrUnsuitable) || err == nil && got != m.Before {
		return hint.Wrap(fmt.Errorf("%w: %q", action.ErrChanged, m.Path), "stop what writes to it, then look at the new plan")
	}
	if err != nil {
		return err
	}
	x.touched(path.Dir(m.Path))
	switch {
	case m.Dir && m.from != "":
		return x.root.Mkdir(m.Path, 0o700)
	case m.Dir:
		return nil
	case m.from == "":
		return x.root.Remove(m.Path)
	case m.Before == absent:
		// A second name never replaces what somebody has put there meanwhile.
		if err := x.root.Link(m.from, m.Path); err == nil {
			return nil
		} else if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: %q is there by now", action.ErrChanged, m.Path)
		}
	}
	return x.root.Rename(m.from, m.Path)
}

func (x *exchange) touched(dir string) {
	if !slices.Contains(x.dirs, dir) {
		x.dirs = append(x.dirs, dir)
	}
}

// sync makes the names in the directories durable.
func (x *exchange) sync() error {
	for _, dir := range x.dirs {
		d, err := x.root.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed
		}
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("make %q durable: %w", dir, err)
		}
	}
	x.dirs = nil
	return nil
}
