package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"

	"lifeboat/internal/hint"
)

// snapshot is one consistent state of a database: a read transaction held open, or,
// after [snapshot.detach], a private copy of its pages.
//
// A reader in WAL mode keeps nobody from writing; what it sees includes the committed
// content of the -wal file. A reader in rollback mode keeps every writer from
// committing, so a slow upload must not hold it.
type snapshot struct {
	path     string
	q        querier      // sees the state; nil once detached
	end      func() error // ends the transaction; nil once detached
	pageSize int
	pages    uint32
	rows     *counting // nil until it was described
	main     *direct   // reads from the file itself; nil where only SQLite may
	spool    *os.File  // unlinked at once, so a crash leaves nothing; nil until detached
}

// pin opens the database and begins the read transaction. log, if any, is told why the
// database is not read directly.
func pin(ctx context.Context, path string, log io.Writer) (*snapshot, error) {
	// Where it cannot be had, direct finds out.
	_ = Locks()
	before, err := os.Stat(path)
	if err != nil {
		before = nil // Open says what is wrong
	}
	db, err := Open(ctx, path, ReadLive)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, errors.Join(Explain("read", path, err), db.Close())
	}
	s := &snapshot{path: path, q: tx, end: func() error {
		err := tx.Rollback() // nothing was written
		if errors.Is(err, sql.ErrTxDone) {
			err = nil // the context has ended it
		}
		return errors.Join(err, db.Close())
	}}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.main, err = s.direct(ctx, before)
	if err != nil && !errors.Is(err, errIndirect) {
		return nil, errors.Join(err, s.close())
	}
	if err != nil && log != nil {
		fmt.Fprintf(log, "%v\n", err)
	}
	return s, nil
}

// begin fixes what the transaction sees and learns its size.
func (s *snapshot) begin(ctx context.Context) error {
	var n int
	// The first read fixes the state; BEGIN alone does not.
	for _, v := range []struct {
		query string
		to    any
	}{
		{"SELECT count(*) FROM sqlite_schema", &n}, {"PRAGMA page_size", &s.pageSize}, {"PRAGMA page_count", &s.pages},
	} {
		if err := s.q.QueryRowContext(ctx, v.query).Scan(v.to); err != nil {
			return Explain("read", s.path, err)
		}
	}
	if s.pages == 0 {
		return hint.Wrap(fmt.Errorf("read database %q: %w: it holds no page", s.path, ErrDamaged),
			"the file was cut off, never filled, or is encrypted; restore it with sqlite.restore")
	}
	return nil
}

// close ends the transaction.
func (s *snapshot) close() error {
	s.rows.end()
	var errs []error
	if s.end != nil {
		errs = append(errs, s.end())
		s.q, s.end = nil, nil
	}
	if s.main != nil {
		errs = append(errs, s.main.f.Close())
		s.main = nil
	}
	if s.spool != nil {
		errs = append(errs, s.spool.Close())
		s.spool = nil
	}
	return errors.Join(errs...)
}

// detach copies the pages to a private file and ends the transaction. On an error
// the snapshot is as before.
func (s *snapshot) detach(ctx context.Context) error {
	f, err := os.CreateTemp("", "lifeboat-snapshot-*")
	if err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(err, f.Close())
	}
	err = s.batches(ctx, nil, func(first uint32, pages []byte) error {
		_, err := f.Write(pages)
		return err
	})
	if err != nil {
		return errors.Join(err, f.Close())
	}
	err = errors.Join(s.rows.wait(), s.close())
	s.spool = f
	return err
}

// batchSize is how many bytes of pages are handed on at once.
const batchSize = 256 << 10

// batches calls f with runs of pages in ascending order; first is the number of the
// first page of the run. Each run is in a buffer of its own from next, which is given
// the capacity; nil: the bytes are valid until f returns.
func (s *snapshot) batches(ctx context.Context, next func(capacity int) []byte, f func(first uint32, pages []byte) error) error {
	if next == nil {
		var one []byte
		next = func(capacity int) []byte {
			if one == nil {
				one = make([]byte, 0, capacity)
			}
			return one
		}
	}
	if s.spool != nil || s.main != nil {
		return s.chunks(ctx, next, f)
	}
	rows, err := s.q.QueryContext(ctx, "SELECT data FROM sqlite_dbpage('main') ORDER BY pgno")
	if err != nil {
		return Explain("read", s.path, err)
	}
	defer rows.Close()
	per := max(1, batchSize/s.pageSize)
	buf := next(per * s.pageSize)
	var n uint32
	var page sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&page); err != nil {
			return Explain("read", s.path, err)
		}
		if len(page) != s.pageSize {
			return fmt.Errorf("read database %q: page %d has %d bytes instead of %d", s.path, n+1, len(page), s.pageSize)
		}
		buf = append(buf, page...)
		n++
		if len(buf) == cap(buf) {
			if err := f(n-uint32(len(buf)/s.pageSize)+1, buf); err != nil {
				return err
			}
			buf = next(per * s.pageSize)
		}
	}
	if err := rows.Err(); err != nil {
		return Explain("read", s.path, err)
	}
	if len(buf) > 0 {
		if err := f(n-uint32(len(buf)/s.pageSize)+1, buf); err != nil {
			return err
		}
	}
	if n != s.pages {
		return fmt.Errorf("read database %q: %d pages came instead of %d", s.path, n, s.pages)
	}
	return nil
}

// chunks is batches of what can be read at any place.
func (s *snapshot) chunks(ctx context.Context, next func(capacity int) []byte, f func(first uint32, pages []byte) error) error {
	per := uint32(max(1, batchSize/s.pageSize))
	for n := uint32(0); n < s.pages; n += min(per, s.pages-n) {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := next(int(per) * s.pageSize)[:int(min(per, s.pages-n))*s.pageSize]
		if err := s.read(ctx, n+1, part); err != nil {
			return err
		}
		if err := f(n+1, part); err != nil {
			return err
		}
	}
	return nil
}

// read fills buf with the pages from first on.
func (s *snapshot) read(ctx context.Context, first uint32, buf []byte) error {
	switch {
	case s.spool != nil:
		if _, err := s.spool.ReadAt(buf, int64(first-1)*int64(s.pageSize)); err != nil {
			return fmt.Errorf("read the private copy of %q: %w", s.path, err)
		}
		return nil
	case s.main != nil:
		return s.main.read(ctx, s, first, buf)
	}
	for at := 0; at < len(buf); at += s.pageSize {
		if err := s.queryPage(ctx, first+uint32(at/s.pageSize), buf[at:at+s.pageSize]); err != nil {
			return err
		}
	}
	return nil
}

// page reads one page into buf, which has the size of a page.
func (s *snapshot) page(ctx context.Context, number uint32, buf []byte) error {
	return s.read(ctx, number, buf)
}

// queryPage reads one page through SQLite.
func (s *snapshot) queryPage(ctx context.Context, number uint32, buf []byte) error {
	var data []byte
	err := s.q.QueryRowContext(ctx, "SELECT data FROM sqlite_dbpage('main') WHERE pgno = ?", number).Scan(&data)
	if err != nil {
		return Explain("read", s.path, err)
	}
	if len(data) != len(buf) {
		return fmt.Errorf("read database %q: page %d has %d bytes instead of %d", s.path, number, len(data), len(buf))
	}
	copy(buf, data)
	return nil
}

// lockPage is the page that holds SQLite's lock bytes at 1 GiB. It belongs to no
// b-tree and must never be written.
func lockPage(pageSize int) uint32 { return uint32((1<<30)/pageSize) + 1 }
