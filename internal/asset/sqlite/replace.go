package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	Share    bool // Create: the new file is for the programs that used the one that is gone

	Progress func(done, total int64, unit string) // optional

	beat  func(point string)            // named points of the way; tests crash there
	fault func(what, path string) error // before each change of a name; tests fail there
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
// only when nobody could see that it does. Errors: [ErrBusy], [ErrChanged], [ErrDamaged].
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
	if err != nil && (errors.Is(err, ErrBusy) || errors.Is(err, ErrChanged) || ctx.Err() != nil || r.stands(context.WithoutCancel(ctx))) {
		// A copy of what still stands there; a full disk needs the room.
		err = errors.Join(err, os.Remove(r.Keep))
	}
	return err
}

// stands says whether the old state is surely still there.
func (r Replacement) stands(ctx context.Context) bool {
	f, err := Inspect(ctx, r.Live)
	return err == nil && f.Content == r.Want
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
