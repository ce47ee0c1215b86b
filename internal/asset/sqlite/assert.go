package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// ErrForeignKeys is a database that is sound, and in which rows refer to nothing.
var ErrForeignKeys = errors.New("foreign keys do not hold")

// ErrAssertion is a database that is sound, but not what its owner says it must be.
var ErrAssertion = errors.New("the assertion does not hold")

// Bounds of one assertion. The views of a hostile database could otherwise make the
// simplest one run for ever or fill the memory.
const (
	assertTime   = 30 * time.Second
	assertSteps  = 100_000  // instructions of the compiled statement
	assertLength = 64 << 20 // bytes of one value on the way
	assertText   = 64 << 10 // bytes of the statement
)

// assert runs each statement on the replica. Each must give one value, a number that
// is not 0. They cannot write, and reach no other file: see [allowed].
func assert(ctx context.Context, replica string, assertions []string) (err error) {
	if len(assertions) == 0 {
		return nil
	}
	db, err := Open(ctx, replica, askReplica)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return Explain("open", replica, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := confine(conn); err != nil {
		return fmt.Errorf("confine the assertions on %q: %w", replica, err)
	}
	for _, a := range assertions {
		if err := assertOne(ctx, conn, a); err != nil {
			return err
		}
	}
	return nil
}

func assertOne(ctx context.Context, conn *sql.Conn, statement string) error {
	text := strings.TrimSpace(strings.TrimRight(strings.TrimSpace(statement), "; \t\r\n"))
	name := shown(statement)
	limit, cancel := context.WithTimeout(ctx, assertTime)
	defer cancel()
	value, err := single(limit, conn, text)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limit.Err() != nil:
		return hint.Wrapf(fmt.Errorf("assertion %s: no result within %v", name, assertTime),
			"ask for less, for instance of the newest rows only, or add an index to the database")
	case err != nil:
		return hint.Wrap(fmt.Errorf("assertion %s: %s", name, printable.Line(err.Error())), // it repeats names of the schema
			"an assertion is one SELECT that gives one number, as in \"SELECT count(*) > 0 FROM users\"; it may only read")
	case !holds(value):
		return hint.Wrap(fmt.Errorf("%w: %s gives %s", ErrAssertion, name, describeValue(value)),
			"the database is whole, but not what it should be: use an older point, or correct the assertion")
	}
	return nil
}

// single gives the only value of a query. As a subquery it must be one statement.
func single(ctx context.Context, conn *sql.Conn, text string, args ...any) (value any, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT * FROM (\n"+text+"\n) LIMIT 2", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	if len(columns) != 1 {
		return nil, fmt.Errorf("it gives %d columns, not one", len(columns))
	}
	n := 0
	for ; rows.Next(); n++ {
		if n == 1 {
			return nil, errors.New("it gives more than one row")
		}
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("it gives no row")
	}
	return value, rows.Close()
}

// holds is stricter than SQLite, for which 'x' is 0 and '1' is 1.
func holds(value any) bool {
	switch v := value.(type) {
	case int64:
		return v != 0
	case float64:
		return v != 0
	case bool: // of a column that was declared as one
		return v
	}
	return false
}

// describeValue tells numbers, and of all else only what it is: the content of a
// database has no place in a message.
func describeValue(value any) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case int64, float64, bool:
		return fmt.Sprint(v)
	}
	return "a text, not a number"
}

// shown is a statement for a message.
func shown(statement string) string {
	const most = 200
	text := strings.Join(strings.Fields(statement), " ")
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return strconv.Quote(text)
}

// confine sets the bounds of a connection and lets it only read.
func confine(conn *sql.Conn) error {
	for id, most := range map[int]int{
		lib.SQLITE_LIMIT_ATTACHED: 0, lib.SQLITE_LIMIT_WORKER_THREADS: 0, lib.SQLITE_LIMIT_LENGTH: assertLength,
		lib.SQLITE_LIMIT_SQL_LENGTH: assertText, lib.SQLITE_LIMIT_VDBE_OP: assertSteps,
	} {
		if _, err := driver.Limit(conn, id, most); err != nil {
			return err
		}
	}
	return conn.Raw(func(dc any) error {
		r, ok := dc.(driver.AuthorizerRegisterer)
		if !ok {
			return errors.New("the driver has no authorizer")
		}
		return r.RegisterAuthorizer(allowed)
	})
}

// readPragmas only tell, whatever their argument.
var readPragmas = map[string]bool{
	"table_info": true, "table_xinfo": true, "table_list": true, "index_list": true, "index_info": true,
	"index_xinfo": true, "foreign_key_list": true, "foreign_key_check": true, "quick_check": true, "integrity_check": true,
	"page_count": true, "freelist_count": true, "data_version": true, "collation_list": true,
}

// askPragmas tell without an argument and set with one.
var askPragmas = map[string]bool{
	"user_version": true, "application_id": true, "schema_version": true, "encoding": true, "page_size": true,
	"journal_mode": true, "auto_vacuum": true,
}

// allowed says what an assertion, and the views and modules that it uses, may do.
func allowed(action driver.AuthorizerActionCode, arg1, arg2, _, _ string) driver.AuthorizerReturnCode {
	switch action {
	case driver.AuthSelect, driver.AuthRead, driver.AuthRecursive:
		return driver.AuthorizerOK
	case driver.AuthFunction:
		// arg2 is the name. These two run code or take addresses for it.
		if name := strings.ToLower(arg2); name != "load_extension" && name != "fts3_tokenizer" {
			return driver.AuthorizerOK
		}
	case driver.AuthPragma:
		name := strings.ToLower(arg1)
		if readPragmas[name] || askPragmas[name] && arg2 == "" {
			return driver.AuthorizerOK
		}
	}
	return driver.AuthorizerDeny
}
