package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"lifeboat/internal/hint"
)

// folder is a store in a directory. It is not fileblob, which is not durable (no fsync),
// creates atomically within one process only, and lists a directory that it may not
// read as empty: "no backups" where the truth is "permission denied".
//
// An object is written under a name that begins with a dot, synced, and then linked to
// its own name: link(2) creates or refuses, across processes, and a crash leaves at most
// a dot file, which nothing lists. Directories are 0700, files 0600; os.Root keeps a
// symbolic link in the folder from leading outside.
type folder struct {
	root *os.Root

	mu      sync.Mutex      // protects below
	durable map[string]bool // directories whose entry in their parent was synced
}

var _ store = (*folder)(nil)

func openFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root: root, durable: map[string]bool{".": true}}, nil
}

func (f *folder) Close() error { return f.root.Close() }

// mkdir makes dir and its parents durable.
func (f *folder) mkdir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mkdirLocked(dir)
}

func (f *folder) mkdirLocked(dir string) error {
	if f.durable[dir] {
		return nil
	}
	parent := path.Dir(dir)
	if err := f.mkdirLocked(parent); err != nil {
		return err
	}
	// A directory that another process has just made may not be durable yet, so the
	// parent is synced in either case.
	if err := f.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := f.sync(parent); err != nil {
		return err
	}
	f.durable[dir] = true
	return nil
}

func (f *folder) sync(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

func (f *folder) put(ctx context.Context, key string, _ putOptions) (io.WriteCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, base := path.Split(key)
	var salt [6]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, err
	}
	w := &folderWriter{ctx: ctx, f: f, key: key, temp: dir + "." + base + "." + hex.EncodeToString(salt[:])}
	for try := 1; ; try++ {
		err := f.mkdir(path.Clean(dir))
		if err == nil {
			w.file, err = f.root.OpenFile(w.temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		}
		if err == nil {
			return w, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || try == 3 {
			return nil, err
		}
		f.forget() // a prune in another process has just removed the directory, which was empty
	}
}

func (f *folder) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.durable = map[string]bool{".": true}
}

type folderWriter struct {
	ctx       context.Context
	f         *folder
	file      *os.File
	temp, key string
	err       error // the first; an object with an error is not linked
}

func (w *folderWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.file.Write(p)
	w.err = err
	return n, err
}

func (w *folderWriter) Close() error {
	err := w.err
	if err == nil {
		err = w.ctx.Err()
	}
	if err == nil {
		err = w.file.Sync()
	}
	if cerr := w.file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, w.f.root.Remove(w.temp))
	}
	err = w.f.root.Link(w.temp, w.key)
	switch {
	case errors.Is(err, fs.ErrExist):
		err = fmt.Errorf("%w: %w", errExists, err)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		err = hint.Wrap(fmt.Errorf("create %q: the file system has no hard links: %w", w.key, err),
			"put the vault on a local file system, or in a bucket (s3://, gs://, azblob://)")
	}
	// From here the object exists, whatever else fails.
	return errors.Join(err, w.f.root.Remove(w.temp), w.f.sync(path.Dir(w.key)))
}

func (f *folder) get(ctx context.Context, key string) (io.ReadCloser, error) {
	if _, err := f.stat(ctx, key); err != nil {
		return nil, err
	}
	file, err := f.root.Open(key)
	if err != nil {
		return nil, absent(err)
	}
	return &folderReader{ctx, file}, nil
}

type folderReader struct {
	ctx context.Context
	*os.File
}

func (r *folderReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.File.Read(p)
}

func (f *folder) stat(ctx context.Context, key string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	fi, err := f.root.Stat(key)
	if err != nil {
		return 0, absent(err)
	}
	if !fi.Mode().IsRegular() { // a pipe would hold the reader for ever
		return 0, fmt.Errorf("%q is no regular file: %w", key, errNotExist)
	}
	return fi.Size(), nil
}

func (f *folder) list(ctx context.Context, prefix string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := f.root.Open(strings.TrimSuffix(prefix, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	defer d.Close()
	entries, err := d.ReadDir(maxListed + 1)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	if len(entries) > maxListed {
		return nil, fmt.Errorf("list %q: more than %d names", prefix, maxListed)
	}
	var names []string
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			names = append(names, e.Name()+"/")
		default:
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

func (f *folder) remove(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := f.root.Remove(key)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", errLocked, err)
	}
	if err != nil {
		return absent(err)
	}
	dir := path.Dir(key)
	if err := f.sync(dir); err != nil {
		return err
	}
	f.prune(dir)
	return nil
}

// prune removes directories that have become empty, which nobody would miss: a listing
// shows no directory without objects.
func (f *folder) prune(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for strings.Count(dir, "/") >= 3 && f.root.Remove(dir) == nil {
		delete(f.durable, dir)
		dir = path.Dir(dir)
	}
}

func (f *folder) scan(ctx context.Context, prefix, from string, visit func(stored) error) error {
	n := 0
	top := strings.TrimSuffix(prefix, "/")
	err := fs.WalkDir(f.root.FS(), top, func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // the prefix itself, or removed meanwhile
			return nil
		case err != nil:
			return err
		case d.IsDir() && name != top && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") || name < from:
			return nil
		}
		fi, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if n++; err == nil && n > maxListed {
			err = fmt.Errorf("more than %d names", maxListed)
		}
		if err != nil {
			return err
		}
		return visit(stored{name, fi.Size(), fi.ModTime()})
	})
	if err != nil {
		return fmt.Errorf("list %q: %w", prefix, err)
	}
	return nil
}

// remnants lists what writers that died have left: files under their temporary names
// that were last touched before a time.
func (f *folder) remnants(ctx context.Context, prefix string, before time.Time) ([]string, error) {
	var found []string
	top := strings.TrimSuffix(prefix, "/")
	err := fs.WalkDir(f.root.FS(), top, func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.Type().IsRegular() || !tempForm.MatchString(d.Name()):
			return nil
		}
		fi, err := d.Info()
		if err == nil && fi.ModTime().Before(before) {
			found = append(found, name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	return found, nil
}

// tempForm is the form of a temporary name: .NAME.SALT
var tempForm = regexp.MustCompile(`^\..+\.[0-9a-f]{12}$`)

func (f *folder) locks() bool { return false }

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errNotExist, err)
	}
	return err
}
