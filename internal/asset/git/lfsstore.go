package git

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/printable"
)

// lfsName is the only form of a name in an archive of LFS content.
var lfsName = regexp.MustCompile(`^lfs/objects/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{64})$`)

// lfsPath is where git-lfs looks for an object, below the directory of a repository.
func lfsPath(oid string) string { return path.Join(lfsDir, oid[:2], oid[2:4], oid) }

// lfsOID reads the name of an object out of its path.
func lfsOID(name string) (oid string, ok bool) {
	m := lfsName.FindStringSubmatch(name)
	if m == nil || m[3][:2] != m[1] || m[3][2:4] != m[2] {
		return "", false
	}
	return m[3], true
}

// hashLines is the hash that LFSFacts.ObjectsSHA256 describes.
func hashLines(sorted []string) string {
	h := sha256.New()
	for _, s := range sorted {
		io.WriteString(h, s+"\n")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hashFile hashes a plain file; links and devices are errors.
func hashFile(ctx context.Context, name string) (sum string, size int64, err error) {
	f, err := openPlain(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, withContext(ctx, f))
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// openPlain opens a file that is no link and no device.
func openPlain(name string) (*os.File, error) {
	before, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("open %q: not a plain file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(before, now) {
		f.Close()
		return nil, fmt.Errorf("open %q: it was replaced meanwhile", name)
	}
	return f, nil
}

// storeLFS writes what the chain does not hold yet, and the index for the next increment.
func (c *capture) storeLFS(kind string) error {
	if c.lfs == nil || kind == Empty {
		return nil
	}
	if c.lfs.brings() {
		if err := c.writeObject(RoleLFS, FileNameLFS, c.writeLFS); err != nil {
			return err
		}
	}
	// An unchanged point has its parent's index, unless it has objects of its own.
	if len(c.lfs.chain) == 0 || kind == Unchanged && !c.k.Mirror {
		return nil
	}
	return c.writeObject(RoleIndex, FileNameIndex, func(w io.Writer) error {
		for _, oid := range c.lfs.chain {
			if _, err := io.WriteString(w, oid+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeObject makes one object. It is closed, and so made real, only when it is whole.
func (c *capture) writeObject(role, name string, content func(w io.Writer) error) error {
	w, err := c.create(role, name)
	if err != nil {
		return err
	}
	buf := bufio.NewWriterSize(w, 256<<10)
	if err := content(buf); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("finish %s: %w", name, err)
	}
	return nil
}

func (c *capture) writeLFS(w io.Writer) error {
	tw := tar.NewWriter(w)
	meter := &meter{report: c.progress}
	for _, o := range c.lfs.fresh {
		if err := tw.WriteHeader(fileEntry(lfsPath(o.oid), o.size)); err != nil {
			return err
		}
		if err := o.copyTo(io.MultiWriter(tw, meter)); err != nil {
			return err
		}
	}
	return tw.Close()
}

// copyTo writes the content, which must still be what it was when it was found.
func (o lfsObject) copyTo(w io.Writer) error {
	f, err := openPlain(o.path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w, h), f, o.size); err != nil {
		return fmt.Errorf("copy object %s of Git LFS: %w", o.oid, err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != o.oid {
		return fmt.Errorf("copy object %s of Git LFS: it changed meanwhile", o.oid)
	}
	return nil
}

// readLFS reads an archive of LFS content. keep, where it is not nil, gives the place for
// each object; the content is proven when it is closed.
func readLFS(ctx context.Context, r io.Reader, keep func(oid string) (io.WriteCloser, error)) error {
	return readTar(withContext(ctx, r), func(h *tar.Header, body io.Reader) error {
		oid, ok := lfsOID(h.Name)
		if !ok || h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%w: entry %.200q is no object of Git LFS", ErrDamaged, h.Name)
		}
		return provenCopy(oid, body, keep)
	})
}

// provenCopy reads content that must have the hash oid.
func provenCopy(oid string, body io.Reader, keep func(oid string) (io.WriteCloser, error)) error {
	sum := sha256.New()
	var to io.Writer = sum
	var file io.WriteCloser
	if keep != nil {
		f, err := keep(oid)
		if err != nil {
			return err
		}
		if f != nil {
			file, to = f, io.MultiWriter(sum, f)
		}
	}
	_, err := io.Copy(to, body)
	err = cutArchive(err)
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return fmt.Errorf("read object %s of Git LFS: %w", oid, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != oid {
		return fmt.Errorf("%w: object %s of Git LFS has the content of %s", ErrDamaged, oid, got)
	}
	return nil
}

func checkLFS(ctx context.Context, r io.Reader) error { return readLFS(ctx, r, nil) }

// applyLFS puts content into the replica, where git-lfs finds it. What is there already
// was proven when it came, and stays.
func applyLFS(ctx context.Context, dir, object string) error {
	f, err := os.Open(object)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return readLFS(ctx, f, func(oid string) (io.WriteCloser, error) {
		name := lfsPath(oid)
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return nil, err
		}
		w, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return nil, nil
		}
		return w, err
	})
}

// proveLFS compares the content in a replica with the facts. With full every object is
// hashed, and every pointer must have its object but those that were missing then.
func proveLFS(ctx context.Context, dir string, f Facts, full bool) (string, error) {
	oids, err := lfsObjects(dir)
	if err != nil {
		return "", fmt.Errorf("list objects of Git LFS: %w", err)
	}
	if got := hashLines(oids); got != f.LFS.ObjectsSHA256 {
		return "", fmt.Errorf("%w: %d objects of Git LFS (list %.12s), recorded are %d (%.12s)",
			ErrUnequal, len(oids), got, f.LFS.Stored, f.LFS.ObjectsSHA256)
	}
	words := ", " + printable.Count(len(oids), "object") + " of Git LFS"
	if f.LFS.Absent > 0 {
		words += fmt.Sprintf(" (%d were missing already)", f.LFS.Absent)
	}
	if !full {
		return words, nil
	}
	for _, oid := range oids {
		sum, _, err := hashFile(ctx, filepath.Join(dir, filepath.FromSlash(lfsPath(oid))))
		if err != nil {
			return "", fmt.Errorf("read object %s of Git LFS: %w", oid, err)
		}
		if sum != oid {
			return "", fmt.Errorf("%w: object %s of Git LFS has the content of %s", ErrUnequal, oid, sum)
		}
	}
	pointers, err := findPointers(ctx, dir, f)
	if err != nil {
		return "", fmt.Errorf("look for pointers of Git LFS: %w", err)
	}
	named := len(pointers)
	for _, oid := range oids {
		delete(pointers, oid)
	}
	missing := slices.Sorted(maps.Keys(pointers))
	if named != f.LFS.Pointers || len(missing) != f.LFS.Absent || !slices.Equal(missing[:min(len(missing), maxMissing)], f.LFS.Missing) {
		return "", fmt.Errorf("%w: %d pointers of Git LFS lack %d objects, recorded are %d and %d",
			ErrUnequal, named, len(missing), f.LFS.Pointers, f.LFS.Absent)
	}
	return words + " whole", nil
}

// lfsObjects lists the names of all content in a replica, sorted.
func lfsObjects(dir string) ([]string, error) {
	top := filepath.Join(dir, filepath.FromSlash(lfsDir))
	var out []string
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if name == top && errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll
			}
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		oid, ok := lfsOID(filepath.ToSlash(rel))
		if !ok || !d.Type().IsRegular() {
			return fmt.Errorf("%w: %q is no object of Git LFS", ErrUnequal, rel)
		}
		out = append(out, oid)
		return nil
	})
	slices.SortFunc(out, strings.Compare)
	return out, err
}
