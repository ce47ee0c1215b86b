package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/durable"
)

// A machine that encrypts cannot read what it wrote, and an increment needs the index of
// the parent point, a roll-up that of the full one. So the machine keeps the plain indexes
// of its own newest points, and of the one that their chain begins with, in a private
// directory, <cache>/<asset>/<point>-<name>. They are taken for what they are
// only when they have the hash that the manifest names; without them the next backup is a
// full one.
const cachedPoints = 2

// cachePath is where the plain bytes of an object are cached.
func (v *Vault) cachePath(o Object) string {
	return filepath.Join(v.o.Cache, o.asset(), o.attempt()+"-"+o.bareName())
}

// cached opens the cached bytes of an object, of which the reader knows at their end
// whether they are the recorded ones.
func (v *Vault) cached(o Object) (*plainReader, error) {
	if v.o.Cache == "" {
		return nil, errors.New("there is no cache on this machine")
	}
	f, err := os.Open(v.cachePath(o))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the cache of this machine does not have it")
	}
	if err != nil {
		return nil, err
	}
	plain := o
	plain.Size, plain.SHA256, plain.Compression, plain.Encryption = o.PlainSize, o.PlainSHA256, schemeNone, Encryption{Scheme: schemeNone}
	proof := newPlainReader(plain, f, f, nil)
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{proof}); err != nil {
		return nil, errors.Join(fmt.Errorf("the cache of this machine: %w", err), f.Close(), os.Remove(f.Name()))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return newPlainReader(plain, f, f, nil), nil
}

// beginCached begins to keep the plain bytes of an index. A cache that cannot be written
// makes the next backup larger and stops nothing.
func (v *Vault) beginCached(o Object, log io.Writer) *durable.File {
	path := v.cachePath(o)
	err := durable.MkdirAll(filepath.Dir(path))
	if err == nil {
		var f *durable.File
		if f, err = durable.NewFile(path, 0o600); err == nil {
			return f
		}
	}
	fmt.Fprintf(log, "the index of this point is not cached: %v\n", err)
	return nil
}

// keepCached puts what an attempt has cached in its place and removes what is older than
// the newest points and not base, the beginning of the newest chain. It is called once the
// point exists.
func (v *Vault) keepCached(asset, base string, files []*durable.File, log io.Writer) {
	for _, f := range files {
		if err := f.Commit(); err != nil {
			fmt.Fprintf(log, "the index of this point is not cached: %v\n", err)
		}
	}
	if len(files) == 0 {
		return
	}
	if err := v.trimCache(filepath.Join(v.o.Cache, asset), base); err != nil {
		fmt.Fprintf(log, "old indexes stay in the cache: %v\n", err)
	}
}

func (v *Vault) trimCache(dir, base string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	const idLength = len(stampLayout) + 1 + 26
	var points []string
	for _, e := range entries {
		if name := e.Name(); len(name) > idLength && pointForm.MatchString(name[:idLength]) && !slices.Contains(points, name[:idLength]) {
			points = append(points, name[:idLength])
		}
	}
	slices.Sort(points)
	slices.Reverse(points)
	past := Past(points, v.o.Now()) // the next increment builds on none of the others
	kept := slices.Concat(past[:min(cachedPoints, len(past))], []string{base})
	var errs []error
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, ".") && strings.Contains(name, ".tmp-"): // of a crash, or of another process
			if info, err := e.Info(); err != nil || v.o.Now().Sub(info.ModTime()) < 24*time.Hour {
				continue
			}
		case len(name) <= idLength || !slices.Contains(points, name[:idLength]) || slices.Contains(kept, name[:idLength]):
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// beginning is the point that the chain of m begins with.
func beginning(m Manifest) string {
	if len(m.Chain) == 0 {
		return m.ID
	}
	return m.Chain[0].attempt()
}
