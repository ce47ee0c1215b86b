package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"lifeboat/internal/printable"
)

// Journal modes, as the header of a database tells them.
const (
	wal      = "wal"
	rollback = "rollback"
)

// Bounds of counting rows: it is evidence, not worth holding a backup up.
const (
	maxTables    = 500
	maxNamed     = 1000
	maxTableName = 200 // bytes
	countTime    = 3 * time.Second
)

// Inspect reads a database that may be in use: the hashes of its content, counters,
// schema and rows, all of one state. They are those that a backup would have.
func Inspect(ctx context.Context, path string) (f Facts, err error) {
	s, err := pin(ctx, path, nil)
	if err != nil {
		return Facts{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if f, err = describe(ctx, s); err != nil {
		return Facts{}, err
	}
	if err := s.hash(ctx, &f, true, nil, nil); err != nil {
		return Facts{}, err
	}
	return f, s.rows.add(&f)
}

// hash fills in the hashes of f, that of the whole file only when it is asked for. each,
// if any, is handed all pages in order; sums, if any, the hash of each page, on another
// goroutine that has ended when hash returns. The hashes are worth nothing after an
// error.
func (s *snapshot) hash(ctx context.Context, f *Facts, file bool, sums func([pageHashSize]byte), each func(first uint32, pages []byte) error) error {
	var c contentSum
	takers := []func([]byte){func(pages []byte) {
		for ; len(pages) > 0; pages = pages[s.pageSize:] {
			sum := pageHash(pages[:s.pageSize])
			c.add(pages[:s.pageSize], sum)
			if sums != nil {
				sums(sum)
			}
		}
	}}
	whole := sha256.New()
	if file {
		takers = append(takers, func(pages []byte) { whole.Write(pages) })
	}
	h := newFan(takers...)
	err := s.batches(ctx, h.buffer, func(first uint32, pages []byte) error {
		h.add(pages)
		if each == nil {
			return nil
		}
		return each(first, pages)
	})
	h.end()
	if file {
		f.DBSHA256 = hex.EncodeToString(whole.Sum(nil))
	}
	f.Content = c.end()
	return err
}

// contentSum is a hash over the hashes of all pages, without those bytes of page 1
// that SQLite changes whenever it copies a database into another file: journal mode,
// change counter, schema cookie and the version that wrote it last. Two databases
// with the same sum hold the same.
type contentSum struct{ h hash.Hash }

func (c *contentSum) add(page []byte, sum [pageHashSize]byte) {
	if c.h == nil {
		c.h = sha256.New()
		first := bytes.Clone(page)
		for _, part := range [][2]int{{18, 20}, {24, 28}, {40, 44}, {92, 100}} {
			clear(first[part[0]:part[1]])
		}
		sum = pageHash(first)
	}
	c.h.Write(sum[:])
}

func (c *contentSum) end() string {
	if c.h == nil {
		return ""
	}
	return hex.EncodeToString(c.h.Sum(nil))
}

// describe reads everything of the facts but the hashes and the rows, and has the rows
// counted meanwhile where others can read beside it.
func describe(ctx context.Context, s *snapshot) (Facts, error) {
	f := Facts{PageSize: s.pageSize, Pages: s.pages, JournalMode: rollback}
	first := make([]byte, s.pageSize)
	if err := s.page(ctx, 1, first); err != nil {
		return Facts{}, err
	}
	if first[18] == 2 {
		f.JournalMode = wal
	}
	for pragma, v := range map[string]*int64{"user_version": &f.UserVersion, "application_id": &f.ApplicationID} {
		if err := s.q.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(v); err != nil {
			return Facts{}, Explain("read", s.path, err)
		}
	}
	var err error
	if f.SchemaSHA256, err = SchemaHash(ctx, s.q); err != nil {
		return Facts{}, Explain("read the schema of", s.path, err)
	}
	s.rows = countRows(ctx, s)
	if s.main == nil {
		err = s.rows.wait()
	}
	return f, err
}

// SchemaHash is a hash of all statements that made the schema.
func SchemaHash(ctx context.Context, q querier) (string, error) {
	rows, err := q.QueryContext(ctx, "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name, tbl_name, sql")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	h := sha256.New()
	for rows.Next() {
		var part [4]string
		if err := rows.Scan(&part[0], &part[1], &part[2], &part[3]); err != nil {
			return "", err
		}
		for _, p := range part {
			fmt.Fprintf(h, "%d:%s", len(p), p)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), rows.Err()
}

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// counting is the rows of a state, which are counted while its pages are read.
type counting struct {
	stop context.CancelFunc
	done chan struct{}
	f    Facts // with what is counted, once done is closed
	err  error
}

// countRows counts the rows of ordinary tables, as far as the bounds allow. A table
// that cannot be counted is named only: whether the database is sound is for its check
// to say.
func countRows(ctx context.Context, s *snapshot) *counting {
	c := &counting{done: make(chan struct{})}
	ctx, c.stop = context.WithCancel(ctx)
	q, path := s.q, s.path
	go func() {
		defer close(c.done)
		if err := c.f.countRows(ctx, q); err != nil {
			c.err = Explain("count the rows of", path, err)
		}
	}()
	return c
}

// wait until it is done.
func (c *counting) wait() error {
	<-c.done
	return c.err
}

// add waits and puts the result into f.
func (c *counting) add(f *Facts) error {
	if err := c.wait(); err != nil {
		return err
	}
	f.Rows, f.RowsPartial, f.Uncounted, f.TablesCut = c.f.Rows, c.f.RowsPartial, c.f.Uncounted, c.f.TablesCut
	return nil
}

// end stops it, if it was begun.
func (c *counting) end() {
	if c != nil {
		c.stop()
		<-c.done
	}
}

func (f *Facts) countRows(ctx context.Context, q querier) error {
	names, err := tables(ctx, q)
	if err != nil {
		return err
	}
	if len(names) > maxNamed {
		names, f.RowsPartial, f.TablesCut = names[:maxNamed], true, true
	}
	limit, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	f.Rows = make(map[string]int64, min(len(names), maxTables))
	for i, name := range names {
		if len(name) > maxTableName {
			f.RowsPartial, f.TablesCut = true, true
			continue
		}
		if i < maxTables && limit.Err() == nil {
			n, err := countTable(limit, q, name)
			if err == nil {
				f.Rows[name] = n
				continue
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.RowsPartial, f.Uncounted = true, append(f.Uncounted, name)
	}
	return nil
}

func countTable(ctx context.Context, q querier, name string) (n int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT count(*) FROM main."+quoteName(name)).Scan(&n)
	return n, err
}

// tables lists the ordinary tables, without SQLite's own and virtual ones, whose
// reading would run their modules.
func tables(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT name FROM sqlite_schema
		WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND rootpage > 0 ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Rows counts the rows of the named tables, of every table when names is empty.
func Rows(ctx context.Context, db querier, names []string) (map[string]int64, error) {
	if len(names) == 0 {
		var err error
		if names, err = tables(ctx, db); err != nil {
			return nil, err
		}
	}
	counts := make(map[string]int64, len(names))
	for _, name := range names {
		n, err := countTable(ctx, db, name)
		if err != nil {
			return nil, fmt.Errorf("count the rows of table %q: %w", name, err)
		}
		counts[name] = n
	}
	return counts, nil
}

// Greatest is the greatest value of a column as text, "" when the table has no rows.
func Greatest(ctx context.Context, db querier, table, column string) (string, error) {
	var v sql.NullString
	// With the table before it a quoted name is never taken for a string.
	query := fmt.Sprintf("SELECT CAST(max(t.%s) AS TEXT) FROM main.%s AS t", quoteName(column), quoteName(table))
	if err := db.QueryRowContext(ctx, query).Scan(&v); err != nil {
		return "", fmt.Errorf("find the greatest %q of table %q: %w", column, table, err)
	}
	return v.String, nil
}

// maxComplaints is how many complaints of a check are kept.
const maxComplaints = 20

// Integrity runs SQLite's own check of the structure, the quick one without comparing
// indexes with tables. It lists at most 20 complaints; none means that the database is
// sound. err says that the check could not be done.
func Integrity(ctx context.Context, db querier, quick bool) (complaints []string, err error) {
	pragma := "integrity_check"
	if quick {
		pragma = "quick_check"
	}
	rows, err := db.QueryContext(ctx, fmt.Sprintf("PRAGMA main.%s(%d)", pragma, maxComplaints))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if text != "ok" { // those of one database may be in one row, below its name
			lines := strings.Split(strings.TrimPrefix(text, "*** in database main ***\n"), "\n")
			complaints = append(complaints, lines...)
		}
	}
	return complaints[:min(len(complaints), maxComplaints)], rows.Err()
}

// ForeignKeys lists rows that refer to nothing, at most 20 of them. They are no damage:
// SQLite keeps to foreign keys only for programs that ask it to, and a database may hold
// a key that cannot be checked at all, which is a complaint here too.
func ForeignKeys(ctx context.Context, db querier) (complaints []string, err error) {
	defer func() {
		if e, ok := errors.AsType[*driver.Error](err); ok && e.Code()&0xff == lib.SQLITE_ERROR {
			complaints, err = append(complaints, "a key cannot be checked: "+printable.Line(e.Error())), nil
		}
	}()
	rows, err := db.QueryContext(ctx, "PRAGMA main.foreign_key_check")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() && len(complaints) < maxComplaints {
		var table, parent string
		var row sql.NullInt64
		var key int
		if err := rows.Scan(&table, &row, &parent, &key); err != nil {
			return nil, err
		}
		complaints = append(complaints, fmt.Sprintf("row %d of table %q refers to a row of %q that is not there", row.Int64, table, parent))
	}
	return complaints, rows.Err()
}
