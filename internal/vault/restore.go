package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// RestoreOptions of [Vault.Restore].
type RestoreOptions struct {
	Progress func(done, total int64, unit string)
	Log      io.Writer
}

// Restored is what a restore made.
type Restored struct {
	Dir      string
	Point    string
	Cut      time.Time // what is newer is not in it
	Evidence string    // of the proof
	Bytes    int64     // downloaded
	Took     time.Duration
}

// Restore rebuilds a point in the directory dir, which must not exist or be empty, proves
// it with every check there is, makes it durable, and only then gives it its name. After
// an error dir is as it was and nothing is left beside it. A crash leaves at most a
// directory .<dir>.restore-… beside it, which the next restore to dir removes, and never a
// part of the point under dir.
//
// Errors: ErrDamaged and ErrMissing, naming the object.
func (v *Vault) Restore(ctx context.Context, m Manifest, k Kind, dir string, o RestoreOptions) (r Restored, err error) {
	defer func() {
		if err != nil {
			r, err = Restored{}, fmt.Errorf("restore point %s: %w", m.ID, err)
		}
	}()
	began := time.Now()
	if err := fits(m, k); err != nil {
		return r, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return r, err
	}
	if err := vacant(dir); err != nil {
		return r, err
	}
	held, err := beside(dir, orDiscard(o.Log))
	if err != nil {
		return r, err
	}
	scratch := held.Dir
	defer func() { err = errors.Join(err, durable.RemoveTree(scratch), held.Release()) }()
	p := replay{
		v: v, m: m, k: k, dir: filepath.Join(scratch, "replica"), objects: filepath.Join(scratch, "objects"),
		log: orDiscard(o.Log), progress: orSilent(o.Progress),
	}
	if err := errors.Join(os.Mkdir(p.dir, 0o700), os.Mkdir(p.objects, 0o700)); err != nil {
		return r, err
	}
	if err := p.run(ctx); err != nil {
		return r, err
	}
	evidence, err := p.prove(ctx, true)
	if err != nil {
		return r, err
	}
	if err := syncTree(ctx, p.dir); err != nil {
		return r, fmt.Errorf("make the restored files durable: %w", err)
	}
	if err := place(p.dir, dir); err != nil {
		return r, err
	}
	return Restored{Dir: dir, Point: m.ID, Cut: m.Cut, Evidence: evidence, Bytes: p.done, Took: time.Since(began)}, nil
}

// maxStale bounds how much of killed restores one restore removes.
const maxStale = 100

// beside makes the directory beside the target in which a point is rebuilt, and removes
// those that killed restores to the same target left: they hold a point in the clear. What
// cannot be removed is not in the way of a recovery.
func beside(dir string, log io.Writer) (*durable.Held, error) {
	parent, prefix := filepath.Dir(dir), "."+filepath.Base(dir)+".restore-"
	stale, err := durable.Stale(parent, prefix, maxStale)
	if err != nil {
		fmt.Fprintf(log, "%v\n", err)
	}
	for _, h := range stale {
		if err := errors.Join(durable.RemoveTree(h.Dir), h.Release()); err != nil {
			fmt.Fprintf(log, "what a killed restore left stays: %v\n", err)
		}
	}
	return durable.Hold(parent, prefix)
}

// fits refuses a manifest that was not read from a vault, and another kind of asset.
func fits(m Manifest, k Kind) error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if m.Type != k.Name() {
		return fmt.Errorf("it is of type %q and was given to %q", m.Type, k.Name())
	}
	return nil
}

// vacant refuses a target that holds anything.
func vacant(dir string) error {
	if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return hint.Wrap(fmt.Errorf("%q is a symbolic link", dir), "name the directory itself; a link would be replaced")
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return hint.Wrap(err, "the target must not exist yet, or be an empty directory")
	case len(entries) > 0:
		return hint.Wrap(fmt.Errorf("%q is not empty", dir), "name a directory that does not exist yet; nothing is ever overwritten")
	}
	return nil
}

// place gives the replica its name.
func place(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take the place of %q: %w", to, err) // no longer empty, or in use
	}
	return durable.Rename(from, to)
}

// syncTree makes every file and directory below dir durable.
func syncTree(ctx context.Context, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
