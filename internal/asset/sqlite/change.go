package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// Change changes a database by statements of other people, as one transaction: all of
// them, or none. The file is hostile, and so are the statements: they reach nothing but
// its data.
type Change struct {
	Path string
	Want string // hash of the content that it must still have
	Keep string // where the old state is kept; must not exist. Empty: it is not kept

	ForeignKeys bool // they are enforced, as for an application that asks for it
	Wipe        bool // what is deleted is overwritten in the file

	Progress func(done, total int64, unit string) // optional

	beat func(point string) error // named points of the way; tests fail and crash there
}

// Changed is what a change has left.
type Changed struct {
	Content string // hash
	Rows    int64  // that the statements inserted, changed and deleted
}

// Do runs the statements that do executes and commits when it gives no error and the
// database is sound after them. A crash leaves the old state, what
// SQLite rolls back to it, or the new one. After an error that is not
// [durable.ErrUnclear] the old state stands and nothing is kept.
//
// Errors: [ErrChanged] when the content is not Want, [ErrBusy], [ErrDamaged].
func (c Change) Do(ctx context.Context, do func(tx Tx) error) (out Changed, err error) {
	db, err := Open(ctx, c.Path, WriteLive)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, db.Close()) }() // which rolls back what was not committed
	conn, err := db.Conn(ctx)
	if err != nil {
		return out, Explain("open", c.Path, err)
	}
	defer conn.Close()
	if err := c.lock(ctx, conn); err != nil {
		return out, err
	}
	kept, err := c.hold(ctx, conn)
	if err == nil {
		out, err = c.run(ctx, conn, do)
	}
	if err == nil {
		err = c.commit(ctx, conn)
	}
	if kept && err != nil && !errors.Is(err, durable.ErrUnclear) {
		err = errors.Join(err, os.Remove(c.Keep)) // a copy of what still stands there
	}
	return out, err
}

// Tx is the transaction of a [Change].
type Tx struct {
	// Exec executes one statement and tells how many rows it changed.
	Exec func(statement string, args ...any) (rows int64, err error)
	// Count gives the one number that a query finds, with what was executed before it.
	Count func(query string, args ...any) (int64, error)
}

// lock sets the connection up and keeps every other writer out.
func (c Change) lock(ctx context.Context, conn *sql.Conn) error {
	statements := []string{"PRAGMA foreign_keys=OFF", "PRAGMA secure_delete=OFF", "BEGIN IMMEDIATE"}
	if c.ForeignKeys {
		statements[0] = "PRAGMA foreign_keys=ON"
	}
	if c.Wipe {
		statements[1] = "PRAGMA secure_delete=ON"
	}
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return Explain("lock", c.Path, err)
		}
	}
	return nil
}

// hold compares the content with Want and keeps it.
func (c Change) hold(ctx context.Context, conn *sql.Conn) (kept bool, err error) {
	s := &snapshot{path: c.Path, q: conn, end: func() error { return nil }}
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	var out *durable.File
	if c.Keep != "" {
		if Free(c.Keep) != c.Keep {
			return false, fmt.Errorf("keep the old database as %q: it is there already", c.Keep)
		}
		if out, err = durable.NewFile(c.Keep, 0o600); err != nil {
			return false, fmt.Errorf("keep the old database: %w", err)
		}
		defer out.Close()
	}
	var f Facts
	err = s.hash(ctx, &f, false, nil, func(first uint32, pages []byte) error {
		if c.Progress != nil {
			c.Progress(int64(first)-1, int64(s.pages), "pages")
		}
		if out == nil {
			return nil
		}
		_, err := out.Write(pages)
		return err
	})
	switch {
	case err != nil:
		return false, fmt.Errorf("read the old database: %w", err)
	case f.Content != c.Want:
		return false, fmt.Errorf("%w: %q was written to since", ErrChanged, c.Path)
	case out == nil:
		return false, nil
	}
	if err := out.Commit(); err != nil {
		return false, fmt.Errorf("keep the old database as %q: %w", c.Keep, err)
	}
	return true, c.at("kept")
}

func (c Change) at(point string) error {
	if c.beat == nil {
		return nil
	}
	return c.beat(point)
}

// run executes the statements in the transaction and looks at what they have left.
func (c Change) run(ctx context.Context, conn *sql.Conn, do func(Tx) error) (out Changed, err error) {
	before, err := ForeignKeys(ctx, conn)
	if err != nil {
		return out, Explain("check", c.Path, err)
	}
	if err := authorize(conn, mayChange); err != nil {
		return out, fmt.Errorf("confine the statements on %q: %w", c.Path, err)
	}
	tx := Tx{Count: func(query string, args ...any) (int64, error) { return count(ctx, conn, query, args...) }}
	tx.Exec = func(statement string, args ...any) (int64, error) {
		if err := c.at("statement"); err != nil {
			return 0, err
		}
		res, err := conn.ExecContext(ctx, statement, args...)
		if err != nil {
			return 0, notAllowed(err)
		}
		n, err := res.RowsAffected()
		out.Rows += n
		return n, err
	}
	err = do(tx)
	if aerr := authorize(conn, nil); err == nil {
		err = aerr
	}
	if err != nil {
		return out, err
	}
	complaints, err := Integrity(ctx, conn, false)
	if err != nil {
		return out, Explain("check", c.Path, err)
	}
	after, err := ForeignKeys(ctx, conn)
	if err != nil {
		return out, Explain("check", c.Path, err)
	}
	for _, complaint := range after {
		if !slices.Contains(before, complaint) && len(before) < maxComplaints {
			complaints = append(complaints, complaint)
		}
	}
	if len(complaints) > 0 {
		return out, hint.Wrap(fmt.Errorf("change database %q: %w: %s", c.Path, ErrUnsound, strings.Join(complaints, "; ")),
			"nothing was changed; leave out the statements that make it so")
	}
	s := &snapshot{path: c.Path, q: conn, end: func() error { return nil }}
	if err := s.begin(ctx); err != nil {
		return out, err
	}
	var f Facts
	if err := s.hash(ctx, &f, false, nil, nil); err != nil {
		return out, err
	}
	out.Content = f.Content
	return out, nil
}

// ErrUnsound is a change that would leave a database in which something does not hold.
var ErrUnsound = errors.New("the database would not be sound")

// commit makes it last. Also when ctx ends meanwhile: what is begun here is ended.
func (c Change) commit(ctx context.Context, conn *sql.Conn) error {
	if err := errors.Join(c.at("commit"), ctx.Err()); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		err = Explain("commit the changes of", c.Path, err)
		if errors.Is(err, ErrBusy) { // a reader holds it: nothing was written
			return err
		}
		return fmt.Errorf("%w: %w", durable.ErrUnclear, err)
	}
	if err := c.at("committed"); err != nil {
		return fmt.Errorf("%w: %w", durable.ErrUnclear, err)
	}
	// Best effort: the log of a database in WAL mode belongs to its content all the same.
	_, _ = conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return nil
}

// authorize sets what the statements on a connection may do; nil lets them do everything.
func authorize(conn *sql.Conn, may driver.AuthorizerFn) error {
	attached := 0
	if may == nil {
		attached = 10
	}
	if _, err := driver.Limit(conn, lib.SQLITE_LIMIT_ATTACHED, attached); err != nil {
		return err
	}
	return conn.Raw(func(dc any) error {
		r, ok := dc.(driver.AuthorizerRegisterer)
		if !ok {
			return errors.New("the driver has no authorizer")
		}
		return r.RegisterAuthorizer(may)
	})
}

// modules that keep their data in the database itself.
var modules = map[string]bool{"fts3": true, "fts4": true, "fts5": true, "rtree": true, "rtree_i32": true}

// mayChange says what a statement, and the triggers and views that it sets off, may do:
// everything within the database but to end our transaction.
func mayChange(action driver.AuthorizerActionCode, arg1, arg2, _, _ string) driver.AuthorizerReturnCode {
	switch action {
	case driver.AuthAttach, driver.AuthDetach, driver.AuthTransaction, driver.AuthSavepoint:
		return driver.AuthorizerDeny
	case driver.AuthFunction:
		if name := strings.ToLower(arg2); name == "load_extension" || name == "fts3_tokenizer" {
			return driver.AuthorizerDeny
		}
	case driver.AuthCreateVTable:
		if !modules[strings.ToLower(arg2)] {
			return driver.AuthorizerDeny
		}
	case driver.AuthPragma:
		name := strings.ToLower(arg1)
		if !readPragmas[name] && name != "user_version" && name != "application_id" {
			return driver.AuthorizerDeny
		}
	}
	return driver.AuthorizerOK
}

// notAllowed says of a statement that was refused what the reason is.
func notAllowed(err error) error {
	e, ok := errors.AsType[*driver.Error](err)
	switch {
	case ok && e.Code()&0xff == lib.SQLITE_AUTH:
		return fmt.Errorf("it reaches beyond the data of this database: %w", err)
	case ok && e.Code() == lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return hint.Wrap(err, "where the application does not ask for foreign keys, execute it as the application did, with without_foreign_keys: true")
	}
	return err
}

// Ask gives the only value of a query on a file that nobody else uses. It can only read,
// and is bounded as an assertion is.
func Ask(ctx context.Context, path string, mode Mode, query string, args ...any) (value any, err error) {
	db, err := Open(ctx, path, mode)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, Explain("open", path, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := confine(conn); err != nil {
		return nil, fmt.Errorf("confine the query on %q: %w", path, err)
	}
	limit, cancel := context.WithTimeout(ctx, assertTime)
	defer cancel()
	return single(limit, conn, strings.TrimRight(strings.TrimSpace(query), "; \t\r\n"), args...)
}

// Copy writes the state of a database that may be in use into a new file, whole and
// without sidecars.
func Copy(ctx context.Context, from, to string) (f Facts, err error) {
	s, err := pin(ctx, from, nil)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if f, err = describe(ctx, s); err != nil {
		return f, err
	}
	out, err := durable.NewFile(to, 0o600)
	if err != nil {
		return f, fmt.Errorf("copy database %q: %w", from, err)
	}
	defer out.Close()
	err = s.hash(ctx, &f, true, nil, func(_ uint32, pages []byte) error {
		_, err := out.Write(pages)
		return err
	})
	if err != nil {
		return f, err
	}
	if err := out.Commit(); err != nil {
		return f, fmt.Errorf("copy database %q: %w", from, err)
	}
	return f, s.rows.add(&f)
}

// Assert says whether SQL that its owner wrote holds of a file that nobody else uses. Where
// it does not the error wraps [ErrAssertion].
func Assert(ctx context.Context, replica string, assertions []string) error {
	return assert(ctx, replica, assertions)
}
