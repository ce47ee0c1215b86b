package journal

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

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

const (
	applicationID = 0x4c424a31 // "LBJ1", stands in the header of the file
	schemaVersion = 3
)

// schemaOne is version 1, to which upgrades adds. Table events is the truth, head proves that it is whole. Table runs is
// a cache of what the list of runs shows, and forms lists what a reader must understand.
const schemaOne = `
CREATE TABLE events (
	n     INTEGER PRIMARY KEY,  -- 1, 2, 3 … over all runs, without gaps
	run   TEXT    NOT NULL,
	seq   INTEGER NOT NULL,     -- 1, 2, 3 … within the run, without gaps
	bytes BLOB    NOT NULL,     -- run.Encode
	link  BLOB    NOT NULL,     -- SHA-256 over the run so far
	chain BLOB    NOT NULL,     -- SHA-256 over everything so far
	UNIQUE (run, seq)
) STRICT;
CREATE TABLE head (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	id    TEXT    NOT NULL,     -- of this journal, random
	n     INTEGER NOT NULL,
	chain BLOB    NOT NULL
) STRICT;
CREATE TABLE runs (
	run     TEXT PRIMARY KEY,
	short   TEXT    NOT NULL,   -- upper case
	first   INTEGER NOT NULL,   -- n of the first event
	started TEXT    NOT NULL,   -- run.Started as JSON, without steps
	steps   INTEGER NOT NULL,   -- how many there are
	begun   INTEGER NOT NULL,   -- microseconds since 1970
	last    INTEGER NOT NULL,
	seq     INTEGER NOT NULL,
	kind    TEXT    NOT NULL,
	outcome TEXT    NOT NULL    -- empty while it is open
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_newest ON runs (outcome = '' DESC, first DESC);
CREATE INDEX runs_short ON runs (short);
CREATE TABLE forms (kind TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
`

// upgrades brings schema n+1 to n+2. Version 2 knows when a run ended, what it is a drill
// of and how that went; runs_late finds what a Lifeboat that only knows version 1 has ended
// since, because it was at work already when the journal was brought up to date. Version 3
// knows the facts of a run; runs_stale finds what an older Lifeboat has added to since.
var upgrades = []string{`
ALTER TABLE runs ADD COLUMN ended    INTEGER NOT NULL DEFAULT 0;   -- microseconds since 1970, 0 while it is open
ALTER TABLE runs ADD COLUMN scenario TEXT    NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN trainee  TEXT    NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN score    TEXT    NOT NULL DEFAULT '';  -- run.Score as JSON, without its lists
CREATE INDEX runs_late ON runs (run) WHERE outcome <> '' AND ended = 0;
`, `
ALTER TABLE runs ADD COLUMN facts TEXT    NOT NULL DEFAULT '{}';  -- Facts as JSON
ALTER TABLE runs ADD COLUMN upto  INTEGER NOT NULL DEFAULT 0;     -- seq of the newest event in them
CREATE INDEX runs_stale ON runs (run) WHERE upto <> seq;
CREATE INDEX runs_first ON runs (first DESC);
`}

// private refuses a journal that others may read or change.
func private(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return unwrapPath(err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a directory", dir)
	}
	if err := owned(dir, info, "chmod 700"); err != nil {
		return err
	}
	info, err = os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unwrapPath(err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("it is not a regular file but %s", info.Mode().Type())
	}
	return owned(path, info, "chmod 600")
}

func owned(path string, info fs.FileInfo, repair string) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return hint.Wrapf(fmt.Errorf("%q belongs to user %d, and this is user %d", path, stat.Uid, os.Geteuid()),
			"Run Lifeboat as the owner, or choose another state directory with XDG_STATE_HOME.")
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return hint.Wrapf(fmt.Errorf("%q is open to other users (mode %04o)", path, perm), "%s %q", repair, path)
	}
	return nil
}

// ensureFile makes the file with the right mode before SQLite would make it with another.
func ensureFile(path string, seen *witness) error {
	if _, err := os.Lstat(path); err == nil {
		return nil // and not opened here: closing it would drop the locks of other handles in this process
	}
	if seen != nil && seen.Count > 0 {
		return rolledBack(fmt.Errorf("%w: the file is gone, and %d events were in it", ErrRolledBack, seen.Count))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return unwrapPath(err)
	}
	return f.Close()
}

// connect makes a pool of connections with everything that a connection must have.
func connect(path string, o options, readOnly bool) (*sql.DB, error) {
	q := url.Values{}
	for _, p := range []string{
		fmt.Sprintf("busy_timeout(%d)", o.busy.Milliseconds()),
		"synchronous(FULL)", "fullfsync(1)", "checkpoint_fullfsync(1)", // the latter two count on macOS
		"trusted_schema(0)", "cell_size_check(1)", "mmap_size(0)", "foreign_keys(1)",
	} {
		q.Add("_pragma", p)
	}
	if readOnly {
		q.Set("mode", "ro")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Set("mode", "rw")
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(2)
	return db, nil
}

// prepare brings a new file to the schema, checks that of an old one, and reads back what
// durability rests on.
func (j *Journal) prepare(ctx context.Context) error {
	give := time.Now().Add(j.options.busy)
	for {
		err := j.setUp(ctx)
		// Two processes that both make the journal do not wait for each other in the change
		// to WAL: SQLite sees a deadlock there and tells one of them at once.
		if !isBusy(err) || time.Now().After(give) {
			return explain(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (j *Journal) setUp(ctx context.Context) error {
	if err := checkSchema(ctx, j.write, true); err != nil {
		return err
	}
	var mode string
	if err := j.write.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	var sync int
	if err := j.write.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync); err != nil {
		return err
	}
	if mode != "wal" || sync != 2 {
		return hint.Wrap(fmt.Errorf("durability is not to be had: journal mode %q, synchronous %d", mode, sync),
			"Keep the state directory on a local file system, not on a network mount.")
	}
	if err := exec(ctx, j.write, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := create(ctx, j.write)
	if err == nil {
		return exec(ctx, j.write, "COMMIT")
	}
	_ = exec(ctx, j.write, "ROLLBACK")
	return err
}

// create fills an empty database and brings an old one up to date, inside a transaction.
func create(ctx context.Context, conn *sql.Conn) error {
	v, _, err := version(ctx, conn)
	if err != nil {
		return err
	}
	if v == 0 {
		h := head{id: newID(), chain: make([]byte, 32)}
		for _, stmt := range []string{schemaOne, fmt.Sprintf("PRAGMA application_id = %d", applicationID)} {
			if err := exec(ctx, conn, stmt); err != nil {
				return err
			}
		}
		if err := exec(ctx, conn, "INSERT INTO head (one, id, n, chain) VALUES (1, ?, 0, ?)", h.id, h.chain); err != nil {
			return err
		}
		v = 1
	}
	if v < schemaVersion {
		for _, stmt := range upgrades[v-1:] {
			if err := exec(ctx, conn, stmt); err != nil {
				return err
			}
		}
		if err := exec(ctx, conn, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
			return err
		}
	}
	return fillIn(ctx, conn)
}

// fillIn makes the rows of runs whole that an older Lifeboat has written.
func fillIn(ctx context.Context, conn *sql.Conn) error {
	late, err := runsWhere(ctx, conn, "outcome <> '' AND ended = 0")
	if err != nil {
		return err
	}
	for _, id := range late {
		if err := fillInRun(ctx, conn, id); err != nil {
			return err
		}
	}
	stale, err := runsWhere(ctx, conn, "upto <> seq")
	if err != nil {
		return err
	}
	for _, id := range stale {
		if err := fillInFacts(ctx, conn, id); err != nil {
			return err
		}
	}
	return nil
}

func runsWhere(ctx context.Context, conn *sql.Conn, what string) (out []string, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT run FROM runs WHERE "+what)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// fillInRun finds the end of a run, which is among its last events.
func fillInRun(ctx context.Context, conn *sql.Conn, id string) error {
	rows, err := conn.QueryContext(ctx, "SELECT bytes FROM events WHERE run = ? ORDER BY seq DESC", id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return err
		}
		ev, err := run.Decode(data)
		if err != nil {
			return nil // Verify says what is wrong with it; nothing of it is shown wrongly
		}
		if ev.Kind == run.RunEnded {
			rows.Close()
			return exec(ctx, conn, "UPDATE runs SET ended = ? WHERE run = ?", ev.At.UnixMicro(), id)
		}
	}
	return rows.Err()
}

func version(ctx context.Context, db querier) (version, application int, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, 0, err
	}
	err = db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application)
	return version, application, err
}

// checkSchema refuses a database that is not ours, or not of our time.
func checkSchema(ctx context.Context, db querier, append bool) error {
	v, application, err := version(ctx, db)
	if err != nil {
		return explain(err)
	}
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return explain(err)
	}
	switch {
	case v == 0 && application == 0 && tables == 0 && append:
		return nil // new
	case application != applicationID:
		return hint.Wrap(errors.New("it is a database of another program"), "Choose another state directory with XDG_STATE_HOME, or move the file away.")
	case v > schemaVersion && append:
		return newer(fmt.Errorf("%w: schema %d, this one knows %d", ErrNewer, v, schemaVersion))
	case v < 1:
		return fmt.Errorf("%w: schema %d", ErrCorrupt, v)
	case append:
		return checkForms(ctx, db)
	}
	return nil
}

// checkForms refuses to append when an event is stored that this version does not know.
func checkForms(ctx context.Context, db querier) error {
	rows, err := db.QueryContext(ctx, "SELECT kind FROM forms")
	if err != nil {
		return explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind run.Kind
		if err := rows.Scan(&kind); err != nil {
			return explain(err)
		}
		if !kind.Known() {
			return newer(fmt.Errorf("%w: event %q is not known", ErrNewer, kind))
		}
	}
	return explain(rows.Err())
}

func newer(err error) error {
	return hint.Wrap(err, "Update Lifeboat. This version can show the journal and verify it, but not add to it.")
}

func exec(ctx context.Context, conn *sql.Conn, query string, args ...any) error {
	_, err := conn.ExecContext(ctx, query, args...)
	return err
}

func unwrapPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == lib.SQLITE_BUSY || e.Code()&0xff == lib.SQLITE_LOCKED)
}

// explain turns the codes of SQLite into our words and says what to do.
func explain(err error) error {
	var e *sqlite.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return hint.Wrap(fmt.Errorf("%w: %w", ErrBusy, err), "Find it with lsof or fuser on journal.db; a backup program or a stopped Lifeboat may hold it.")
	case lib.SQLITE_FULL:
		return hint.Wrap(fmt.Errorf("the disk is full: %w", err), "Free space on the file system of the state directory, then resume the run.")
	case lib.SQLITE_IOERR:
		return hint.Wrap(fmt.Errorf("the disk failed: %w", err), "Check free space, quotas and the log of the kernel, then resume the run.")
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return hint.Wrap(fmt.Errorf("%w: %w", ErrCorrupt, err), "Keep the file as evidence. Restore journal.db and journal.head from a backup of the state directory.")
	case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM:
		return hint.Wrap(err, "Check that the state directory and journal.db can be written by this user.")
	}
	return err
}
