package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"lifeboat/internal/hint"
)

// busy is an error that trying again later may mend. Who runs actions asks for the
// method, because it knows no database.
type busy string

func (b busy) Error() string { return string(b) }

// Busy marks the error.
func (busy) Busy() bool { return true }

var (
	// ErrBusy is a database that another program holds locked.
	ErrBusy error = busy("the database is busy")
	// ErrDamaged is a file that SQLite cannot read as a database: damaged, encrypted,
	// cut off or never one.
	ErrDamaged = errors.New("no readable SQLite database")
)

// busyTimeout is how long a lock of another program is waited for.
const busyTimeout = 5 * time.Second

// Mode of opening a database.
type Mode int

const (
	// ReadLive reads a database that others may be writing. It never changes the
	// database, but a database in WAL mode gets its -shm and -wal files if they are
	// not there.
	ReadLive Mode = iota
	// ReadReplica reads a file that nobody else touches, ignoring any -wal beside it.
	ReadReplica
	// WriteLive changes a database that others may be using.
	WriteLive
	// askReplica is ReadReplica for statements of other people: nothing can be written,
	// and what looks like a column and is none is an error, not a text.
	askReplica
)

// Open opens a database with one connection and the settings for a file that may be
// hostile: its schema is not trusted to call functions, cells are checked, nothing is
// mapped into memory. Errors are as of [Explain].
//
// A file that SQLite has open must never be opened and closed by other means in the
// same process: that drops SQLite's locks on it. Everything here therefore reads a
// live database through SQLite, unless [Locks] has made them outlive that.
func Open(ctx context.Context, path string, mode Mode) (*sql.DB, error) {
	if err := preflight(path); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %q: %w", path, err)
	}
	db, err := sql.Open("sqlite", dsn(abs, mode))
	if err != nil {
		return nil, Explain("open", path, err)
	}
	db.SetMaxOpenConns(1)
	var n int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
		return nil, errors.Join(Explain("open", path, err), db.Close())
	}
	return db, nil
}

func dsn(path string, mode Mode) string {
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"trusted_schema(0)", "cell_size_check(1)", "mmap_size(0)",
	}}
	switch mode {
	case ReadLive:
		q.Set("mode", "ro")
	case ReadReplica, askReplica:
		q.Set("mode", "ro")
		q.Set("immutable", "1")
		if mode == askReplica {
			q.Set("_defensive", "1")
			q.Set("_dqs", "0")
			q.Add("_pragma", "query_only(1)")
		}
	case WriteLive:
		q.Set("mode", "rw")
		q.Add("_pragma", "synchronous(2)")
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

// preflight finds what is wrong with a path before SQLite does, whose messages do not
// tell these cases apart.
func preflight(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if l, lerr := os.Lstat(path); lerr == nil && l.Mode()&fs.ModeSymlink != 0 {
			target, _ := os.Readlink(path)
			return hint.Wrapf(fmt.Errorf("open database %q: %w", path, fs.ErrNotExist),
				"it is a symbolic link to %q, which is not there", target)
		}
		return hint.Wrap(fmt.Errorf("open database %q: %w", path, fs.ErrNotExist),
			"check the path of the asset; if the file was lost, restore it with sqlite.restore")
	case err != nil:
		return fmt.Errorf("open database %q: %w", path, err)
	case info.IsDir():
		return hint.Wrap(fmt.Errorf("open database %q: it is a directory", path), "name the database file in it")
	case !info.Mode().IsRegular():
		return hint.Wrap(fmt.Errorf("open database %q: it is no regular file (%s)", path, info.Mode().Type()),
			"name the database file")
	case info.Size() == 0:
		return hint.Wrap(fmt.Errorf("open database %q: %w: the file has 0 bytes", path, ErrDamaged),
			"it was emptied or never filled; restore it with sqlite.restore")
	}
	// SQLite looks for them beside the file itself, and waits for ever where one is a
	// named pipe.
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("open database %q: %w", path, err)
	}
	for _, suffix := range sidecars {
		if info, err := os.Lstat(file + suffix); err == nil && !info.Mode().IsRegular() {
			return hint.Wrap(fmt.Errorf("open database %q: %q is no regular file (%s)", path, file+suffix, info.Mode().Type()),
				"find out who put it there; move it away while no program has the database open")
		}
	}
	return nil
}

// openPlain opens a regular file for reading, and nothing that could wait or act.
func openPlain(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is no regular file (%s)", path, info.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// advice for what SQLite reports, by result code; the extended code is looked up
// first, then the primary one.
var advice = map[int]struct {
	sentinel error
	hint     string
}{
	lib.SQLITE_BUSY: {ErrBusy, "another program holds a lock on it: wait for it or stop it (\"fuser FILE\" names it), then try again"},
	lib.SQLITE_LOCKED: {ErrBusy,
		"another connection is changing its schema: wait a moment, then try again"},
	lib.SQLITE_NOTADB: {ErrDamaged,
		"the file is damaged, no SQLite database, or encrypted (SQLCipher and others): an encrypted database must be dumped by its application; a damaged one is put back with sqlite.restore"},
	lib.SQLITE_CORRUPT: {ErrDamaged,
		"keep the file as evidence and put the last sound state back with sqlite.restore"},
	lib.SQLITE_CANTOPEN: {nil,
		"the file and, for a database in WAL mode, its directory must be accessible to this user (SQLite makes -wal and -shm files there)"},
	lib.SQLITE_READONLY_ROLLBACK: {nil,
		"a crash left a -journal file beside it that has to be rolled back first: open it once with its application or with \"sqlite3 FILE 'SELECT 1 FROM sqlite_schema'\", then try again; do not delete the -journal"},
	lib.SQLITE_READONLY_RECOVERY: {nil,
		"its -wal file needs recovery, which needs write access: open it once with its application, then try again"},
	lib.SQLITE_READONLY: {nil, "this user may not write the file or its directory"},
	lib.SQLITE_FULL:     {nil, "the disk is full: make room, then try again"},
	lib.SQLITE_IOERR:    {nil, "the disk reports errors: look at the kernel log (dmesg) before trying again"},
	lib.SQLITE_PERM:     {nil, "this user may not access the file"},
}

// Explain wraps an error of SQLite with what was done, to which file, and advice.
// Where it matters to code it is [ErrBusy] or [ErrDamaged] too.
func Explain(what, path string, err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return fmt.Errorf("%s database %q: %w", what, path, err)
	}
	a, ok := advice[e.Code()]
	if !ok {
		a = advice[e.Code()&0xff]
	}
	if a.sentinel != nil {
		err = fmt.Errorf("%s database %q: %w: %w", what, path, a.sentinel, err)
	} else {
		err = fmt.Errorf("%s database %q: %w", what, path, err)
	}
	if a.hint == "" {
		return err
	}
	return hint.Wrap(err, a.hint)
}
