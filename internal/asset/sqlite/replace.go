package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	driver "modernc.org/sqlite"

	"lifeboat/internal/durable"
)

// ErrChanged is a database that is no longer what it was when the replacement was
// planned. It has not been touched.
var ErrChanged = errors.New("the database has changed")

// Replacement puts a proven database in the place of a live one.
type Replacement struct {
	Live string // the database to replace
	From string // the new one: a private file without -wal, which stays
	Keep string // where the old one is kept; must not exist
	Want string // content hash or file hash that the live one must still have, see the methods

	Sidecars bool // Swap: From has a -wal, -shm or -journal of its own, which go with it

	Progress func(done, total int64, unit string) // optional

	beat func(point string) // named points of the way; tests crash there
}

func (r Replacement) at(point string) {
	if r.beat != nil {
		r.beat(point)
	}
}

// stepPages is how many pages are copied between two looks at the context.
const stepPages = 1024

// Overwrite replaces the content of a sound database that others may have open, as
// one transaction of SQLite: they see the old or the new state, and keep their
// connections. Before it, a whole copy of the old state is made durable as Keep. Want
// is the old state's content hash.
//
// A crash leaves the old state, or the new one, or what SQLite rolls back to the old
// one when it is opened next. After an error the old state stands. Keep is there then
// only when the disk failed. Errors: [ErrBusy], [ErrChanged], [ErrDamaged].
func (r Replacement) Overwrite(ctx context.Context) (err error) {
	db, err := Open(ctx, r.Live, WriteLive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return Explain("open", r.Live, err)
	}
	defer conn.Close()
	version, err := r.keepLocked(ctx, conn)
	if err != nil {
		return err
	}
	r.at("kept")
	err = conn.Raw(func(dc any) error { return r.copyOver(ctx, dc, version) })
	r.at("done")
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrChanged) || ctx.Err() != nil && err != nil {
		err = errors.Join(err, os.Remove(r.Keep)) // a copy of what still stands there
	}
	return err
}

// keepLocked copies the old state to Keep while writers wait, and returns the version
// of the database by which a later change shows.
func (r Replacement) keepLocked(ctx context.Context, conn *sql.Conn) (version uint32, err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return 0, Explain("lock", r.Live, err)
	}
	defer func() {
		// Not with ctx: a lock that stays would hold up everybody else.
		if _, rerr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); rerr != nil {
			err = errors.Join(err, Explain("unlock", r.Live, rerr))
		}
	}()
	s := &snapshot{path: r.Live, q: conn, end: func() error { return nil }}
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	out, err := durable.NewFile(r.Keep, 0o600)
	if err != nil {
		return 0, fmt.Errorf("keep the old database: %w", err)
	}
	defer out.Close()
	var f Facts
	err = s.hash(ctx, &f, true, nil, func(first uint32, pages []byte) error {
		r.report(int64(first)-1, int64(s.pages))
		_, err := out.Write(pages)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("keep the old database as %q: %w", r.Keep, err)
	}
	if f.Content != r.Want {
		return 0, fmt.Errorf("%w: %q was written to since", ErrChanged, r.Live)
	}
	if Free(r.Keep) != r.Keep {
		return 0, fmt.Errorf("keep the old database as %q: %w", r.Keep, fs.ErrExist)
	}
	if err := out.Commit(); err != nil {
		return 0, fmt.Errorf("keep the old database as %q: %w", r.Keep, err)
	}
	err = conn.Raw(func(dc any) error {
		version, err = dc.(driver.FileControl).FileControlDataVersion("main")
		return err
	})
	return version, err
}

func (r Replacement) report(done, total int64) {
	if r.Progress != nil {
		r.Progress(done, total, "pages")
	}
}

// restorer is what the driver's connection can do.
type restorer interface {
	NewRestore(source string) (*driver.Backup, error)
	driver.FileControl
}

// copyOver copies the pages. The first step takes the lock for writing, after which
// nobody can change the database any more; then it is looked whether somebody did so
// since keepLocked let go.
func (r Replacement) copyOver(ctx context.Context, dc any, version uint32) (err error) {
	c, ok := dc.(restorer)
	if !ok {
		return fmt.Errorf("replace database %q: the driver cannot restore", r.Live)
	}
	from, err := filepath.Abs(r.From)
	if err != nil {
		return fmt.Errorf("replace database %q: %w", r.Live, err)
	}
	b, err := c.NewRestore(dsn(from, ReadReplica))
	if err != nil {
		return Explain("replace", r.Live, err)
	}
	done := false
	defer func() {
		// Without the last step this rolls everything back.
		if ferr := b.Finish(); ferr != nil && (done || err == nil) {
			err = errors.Join(err, Explain("replace", r.Live, ferr))
		}
	}()
	more, err := b.Step(1)
	if err != nil {
		return Explain("replace", r.Live, err)
	}
	now, err := c.FileControlDataVersion("main")
	if err != nil {
		return Explain("replace", r.Live, err)
	}
	if now != version {
		return fmt.Errorf("%w: %q was written to just now", ErrChanged, r.Live)
	}
	for more {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("replace database %q: %w", r.Live, err)
		}
		r.at("copying")
		if more, err = b.Step(stepPages); err != nil {
			return Explain("replace", r.Live, err)
		}
		r.report(int64(b.PageCount()-b.Remaining()), int64(b.PageCount()))
	}
	done = true
	return nil
}

// sidecars are the files that belong to a database and must go where it goes: a log
// left beside another database would be applied to it.
var sidecars = []string{"-wal", "-shm", "-journal"}

// Swap replaces a file by rename, for a database that SQLite cannot work with any more
// or that is not there. The old file and its sidecars are kept together as Keep,
// Keep-wal and so on. Want is [FileHash] of the old file, "" when there is none.
// Programs that have the old file open go on using it until they are restarted.
//
// From is used up. Crash: the sidecars go first and the new file comes last, with one
// rename, so the place always holds the old file or the new one, and never the new
// one beside an old log.
func (r Replacement) Swap(ctx context.Context) error {
	now, err := FileHash(ctx, r.Live)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace %q: %w", r.Live, err)
	}
	if now != r.Want {
		return fmt.Errorf("%w: %q is another file now", ErrChanged, r.Live)
	}
	if free := Free(r.Keep); free != r.Keep {
		return fmt.Errorf("keep the old database as %q: %w", r.Keep, fs.ErrExist)
	}
	if err := likeOld(r.Live, r.From); err != nil {
		return fmt.Errorf("replace %q: %w", r.Live, err)
	}
	r.at("before")
	if err := moveSidecars(r.Live, r.Keep); err != nil {
		return err
	}
	r.at("sidecars moved")
	if r.Want != "" {
		if err := link(r.Live, r.Keep); err != nil {
			return errors.Join(fmt.Errorf("keep the old database as %q: %w", r.Keep, err), moveSidecars(r.Keep, r.Live))
		}
	}
	if err := durable.SyncDir(filepath.Dir(r.Live)); err != nil {
		return fmt.Errorf("replace %q: %w", r.Live, err)
	}
	r.at("kept")
	if err := durable.Rename(r.From, r.Live); err != nil {
		return fmt.Errorf("replace %q: %w", r.Live, err)
	}
	r.at("done")
	if !r.Sidecars {
		return nil
	}
	return errors.Join(moveSidecars(r.From, r.Live), durable.SyncDir(filepath.Dir(r.Live)))
}

// Create puts the new file where none is, and is [ErrChanged] when there is one by now:
// it never replaces. A sidecar that is left of an earlier file is kept as Keep-wal and
// so on. A crash leaves no file or the new one. From stays.
func (r Replacement) Create() error {
	if _, err := os.Lstat(r.Live); err == nil {
		return fmt.Errorf("%w: %q is there by now", ErrChanged, r.Live)
	}
	if err := moveSidecars(r.Live, r.Keep); err != nil {
		return err
	}
	err := link(r.From, r.Live)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %q is there by now", ErrChanged, r.Live)
	}
	if err != nil {
		return fmt.Errorf("make %q: %w", r.Live, err)
	}
	return durable.SyncDir(filepath.Dir(r.Live))
}

// MoveAside takes a database with its sidecars out of the way: nothing stands at path
// then. It keeps what it moves; to must not exist.
func MoveAside(path, to string) error {
	if Free(to) != to {
		return fmt.Errorf("move %q aside to %q: %w", path, to, fs.ErrExist)
	}
	// The file first: without it nothing reads the sidecars that are still there.
	if err := durable.Rename(path, to); err != nil {
		return fmt.Errorf("move %q aside: %w", path, err)
	}
	return errors.Join(moveSidecars(path, to), durable.SyncDir(filepath.Dir(path)))
}

// Free gives the first of name, name-2, name-3 … at which neither a database nor a
// sidecar of one stands.
func Free(name string) string {
	for n := 1; ; n++ {
		path := name
		if n > 1 {
			path = fmt.Sprintf("%s-%d", name, n)
		}
		taken := false
		for _, suffix := range append([]string{""}, sidecars...) {
			if _, err := os.Lstat(path + suffix); err == nil {
				taken = true
			}
		}
		if !taken {
			return path
		}
	}
}

// moveSidecars moves what belongs to one database file to where another is.
func moveSidecars(from, to string) error {
	for _, suffix := range sidecars {
		err := os.Rename(from+suffix, to+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("move %q aside: %w", from+suffix, err)
		}
	}
	return nil
}

// link gives a file a second name, or copies it where the filesystem has no links.
func link(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := durable.NewFile(to, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Commit()
}

// likeOld gives the new file the mode and, where this user may, the owner of the old
// one, so that the programs that used it still can.
func likeOld(old, file string) error {
	info, err := os.Stat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(file, int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return os.Chmod(file, info.Mode().Perm())
}

// FileHash is the SHA-256 of a file as it lies on the disk, for a database that SQLite
// cannot read. No connection of this process may have it open: reading it by other
// means drops SQLite's locks.
func FileHash(ctx context.Context, path string) (string, error) {
	hash, _, err := hashFile(ctx, path)
	return hash, err
}
