package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Counter counts rows by queries of other people, on one connection that can only read.
type Counter struct {
	path string
	db   *sql.DB
	conn *sql.Conn
}

// OpenCounter opens a database for counting.
func OpenCounter(ctx context.Context, path string, mode Mode) (*Counter, error) {
	db, err := Open(ctx, path, mode)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		err = confine(conn)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("confine the queries on %q: %w", path, err), db.Close())
	}
	return &Counter{path: path, db: db, conn: conn}, nil
}

// Count gives the one number that a query finds.
func (c *Counter) Count(ctx context.Context, query string, args ...any) (int64, error) {
	return count(ctx, c.conn, query, args...)
}

func count(ctx context.Context, conn *sql.Conn, query string, args ...any) (int64, error) {
	limit, cancel := context.WithTimeout(ctx, assertTime)
	defer cancel()
	v, err := single(limit, conn, query, args...)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("it gives %s, not a number of rows", describeValue(v))
	}
	return n, nil
}

// Close ends it.
func (c *Counter) Close() error { return errors.Join(c.conn.Close(), c.db.Close()) }
