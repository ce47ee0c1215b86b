// Package sqlite captures SQLite databases as restore points, whole or as the pages
// that changed, and proves what it puts together again.
//
// A point is one read transaction: consistent whatever others write meanwhile. A whole
// one is the database file; a difference is an ordinary write-ahead log of the changed
// pages with one commit, so the stock sqlite3 program restores every point. Each point
// carries the SHA-256 of the whole database after applying it, because a difference on
// the wrong base gives a wrong database that passes every check of SQLite itself.
package sqlite

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Names of the files of a point, and of the database in a replica.
const (
	BaseName    = "base.db"
	DeltaName   = "delta.wal"
	IndexName   = "pages.idx"
	ReplicaName = "database.db"
)

// Roles of the objects of a point.
const (
	roleBase  = "base"
	roleDelta = "delta"
	roleIndex = "index"
)

// What a capture made.
const (
	full        = "full"
	incremental = "incremental"
	unchanged   = "unchanged"
)

// Facts prove the equality of a database with a point. JSON of the manifest.
type Facts struct {
	PageSize      int              `json:"page_size"`
	Pages         uint32           `json:"pages"`
	DBSHA256      string           `json:"db_sha256"`      // of the file after the whole chain is applied
	Content       string           `json:"content_sha256"` // equal after SQLite copied it into another file, too
	JournalMode   string           `json:"journal_mode"`   // "wal" or "rollback", as the file says
	UserVersion   int64            `json:"user_version"`
	ApplicationID int64            `json:"application_id"`
	SchemaSHA256  string           `json:"schema_sha256"`
	Rows          map[string]int64 `json:"rows,omitempty"`
	RowsPartial   bool             `json:"rows_partial,omitempty"`   // some tables were not counted
	Uncounted     []string         `json:"uncounted,omitempty"`      // their names
	TablesCut     bool             `json:"tables_cut,omitempty"`     // some tables are not even named
	CommitOffsets []int64          `json:"commit_offsets,omitempty"` // ends of commits in this point's log, bytes
}

// maxDelta is the part of the pages above which a difference is not worth a longer
// chain, in percent.
const maxDelta = 40

// Kind is what the vault asks of this kind of asset.
type Kind struct {
	// Assertions are what the owner says must be true of every point: SELECT statements
	// that give one number, not 0. They run on a restored replica in a full proof.
	Assertions []string
}

// Name is "sqlite".
func (Kind) Name() string { return "sqlite" }

// Capture makes one restore point of the database file source, which may be in WAL or
// rollback mode and in use. With the facts of a parent it stores the difference, or
// the whole database when the parent's index is missing, the page size has changed or
// more than 40 % of the pages have. An unchanged database makes no object at all: the
// index of the point before stays the one to compare with.
//
// Errors: [ErrBusy] when another program holds it exclusively, [ErrDamaged] when it
// is no readable database.
func (Kind) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (kind string, facts []byte, err error) {
	c := capture{create: create, progress: progress, log: log}
	if c.log == nil {
		c.log = io.Discard
	}
	if c.progress == nil {
		c.progress = func(int64, int64, string) {}
	}
	if c.snap, err = pin(ctx, source, c.log); err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, c.snap.close()) }()
	if c.facts, err = describe(ctx, c.snap); err != nil {
		return "", nil, err
	}
	fmt.Fprintf(c.log, "%s: %d pages of %d bytes, %s mode\n", source, c.facts.Pages, c.facts.PageSize, c.facts.JournalMode)
	if c.facts.JournalMode == rollback {
		if derr := c.snap.detach(ctx); derr != nil {
			if ctx.Err() != nil {
				return "", nil, ctx.Err()
			}
			fmt.Fprintf(c.log, "no room for a private copy (%v): writers wait until the backup is done\n", derr)
		}
	}
	kind, err = c.point(ctx, parent, open)
	if err != nil {
		return "", nil, err
	}
	if err = c.snap.rows.add(&c.facts); err != nil {
		return "", nil, err
	}
	facts, err = json.Marshal(c.facts)
	return kind, facts, err
}

type capture struct {
	snap     *snapshot
	facts    Facts
	create   func(role, name string) (io.WriteCloser, error)
	progress func(done, total int64, unit string)
	log      io.Writer
}

// point decides between whole and difference and writes it.
func (c *capture) point(ctx context.Context, parent []byte, open func(role string) (io.ReadCloser, error)) (string, error) {
	if parent == nil {
		return full, c.full(ctx)
	}
	var old Facts
	if err := json.Unmarshal(parent, &old); err != nil {
		return "", fmt.Errorf("read the facts of the parent point: %w", err)
	}
	d, why, err := c.compare(ctx, old, open)
	switch {
	case err != nil:
		return "", err
	case why != "":
		fmt.Fprintf(c.log, "whole backup: %s\n", why)
		return full, c.full(ctx)
	case d.changed.count == 0 && c.facts.Pages == old.Pages:
		fmt.Fprintf(c.log, "nothing has changed\n")
		return unchanged, nil
	}
	fmt.Fprintf(c.log, "%d of %d pages have changed\n", d.changed.count, c.facts.Pages)
	return incremental, c.delta(ctx, d, open)
}

// hashed is a writer that hashes what it is given anyway. The sum is that of all bytes,
// in hexadecimal, once Close has returned nil.
type hashed interface{ SHA256() string }

// full writes the database and its index in one pass. What it leaves open after an
// error was created by the caller, who drops it.
func (c *capture) full(ctx context.Context) error {
	base, err := c.create(roleBase, BaseName)
	if err != nil {
		return err
	}
	index, err := c.create(roleIndex, IndexName)
	if err != nil {
		return err
	}
	x := newIndexWriter(index, c.facts)
	put := func(h [pageHashSize]byte) { _ = x.put(h) } // end tells
	known, ok := base.(hashed)
	err = c.snap.hash(ctx, &c.facts, !ok, put, func(first uint32, pages []byte) error {
		_, err := base.Write(pages)
		c.progress(int64(first)-1+int64(len(pages)/c.snap.pageSize), int64(c.snap.pages), "pages")
		return err
	})
	if err != nil {
		return err
	}
	if err := base.Close(); err != nil {
		return fmt.Errorf("store %s: %w", BaseName, err)
	}
	if ok {
		c.facts.DBSHA256 = known.SHA256()
	}
	if err := c.trailer(x); err != nil {
		return err
	}
	if err := index.Close(); err != nil {
		return fmt.Errorf("store %s: %w", IndexName, err)
	}
	return nil
}

// difference tells which pages are not as the parent has them.
type difference struct {
	changed pageSet
	old     uint32 // pages of the parent
}

// compare reads every page once: it hashes the database and finds what has changed.
// why says why no difference can be made.
func (c *capture) compare(ctx context.Context, old Facts, open func(role string) (io.ReadCloser, error)) (d difference, why string, err error) {
	if old.PageSize != c.snap.pageSize {
		return d, fmt.Sprintf("the page size has changed from %d to %d", old.PageSize, c.snap.pageSize), nil
	}
	r, err := open(roleIndex)
	if err != nil {
		if ctx.Err() != nil {
			return d, "", ctx.Err()
		}
		return d, fmt.Sprintf("the page index of the parent cannot be read: %v", err), nil
	}
	defer r.Close() // a second Close is harmless
	x, err := newIndexReader(r, old)
	if err != nil {
		return d, err.Error(), nil
	}
	d.old = old.Pages
	var bad error
	number, lock := uint32(0), lockPage(c.snap.pageSize)
	same := func(h [pageHashSize]byte) {
		if number++; bad != nil {
			return
		}
		was, ok, err := x.next()
		bad = err
		if number != lock && (!ok || was != h) {
			d.changed.add(number)
		}
	}
	err = c.snap.hash(ctx, &c.facts, true, same, func(first uint32, pages []byte) error {
		c.progress(int64(first)-1+int64(len(pages)/c.snap.pageSize), int64(c.snap.pages), "pages")
		return nil
	})
	if err == nil {
		err = bad
	}
	if err == nil {
		err = x.end()
	}
	if cerr := r.Close(); err == nil && cerr != nil {
		err = &indexError{fmt.Sprintf("cannot be read: %v", cerr)}
	}
	if bad, ok := errors.AsType[*indexError](err); ok {
		return difference{}, bad.Error(), nil
	}
	if err != nil {
		return difference{}, "", err
	}
	if d.changed.count > 0 && int64(d.changed.count)*100 > int64(c.snap.pages)*maxDelta {
		return d, fmt.Sprintf("%d of %d pages have changed", d.changed.count, c.snap.pages), nil
	}
	return d, "", nil
}

// delta writes the changed pages as a log, and the index of the new state, whose
// entries for the other pages come from the parent.
func (c *capture) delta(ctx context.Context, d difference, open func(role string) (io.ReadCloser, error)) error {
	old, err := open(roleIndex)
	if err != nil {
		return fmt.Errorf("read the page index of the parent again: %w", err)
	}
	defer old.Close()
	before := bufio.NewReaderSize(old, batchSize)
	if _, err := before.Discard(indexHeader); err != nil {
		return fmt.Errorf("read the page index of the parent again: %w", err)
	}
	delta, err := c.create(roleDelta, DeltaName)
	if err != nil {
		return err
	}
	index, err := c.create(roleIndex, IndexName)
	if err != nil {
		return err
	}
	if err := c.writeDelta(ctx, d, before, delta, index); err != nil {
		return err
	}
	if err := delta.Close(); err != nil {
		return fmt.Errorf("store %s: %w", DeltaName, err)
	}
	if err := index.Close(); err != nil {
		return fmt.Errorf("store %s: %w", IndexName, err)
	}
	return nil
}

func (c *capture) writeDelta(ctx context.Context, d difference, before io.Reader, delta, index io.Writer) error {
	l, err := newWALWriter(delta, c.snap.pageSize)
	if err != nil {
		return err
	}
	x := newIndexWriter(index, c.facts)
	page := make([]byte, c.snap.pageSize)
	zero := pageHash(page)
	var was [pageHashSize]byte
	for n := uint32(1); n <= c.snap.pages; n++ {
		if n <= d.old {
			if _, err := io.ReadFull(before, was[:]); err != nil {
				return fmt.Errorf("read the page index of the parent again: %w", err)
			}
		}
		if n == lockPage(c.snap.pageSize) {
			was = zero
		}
		// Page 1 carries the counters that tell SQLite its cache is old.
		if n != 1 && !d.changed.has(n) {
			if err := x.put(was); err != nil {
				return err
			}
			continue
		}
		if err := c.snap.page(ctx, n, page); err != nil {
			return err
		}
		if err := l.add(n, page); err != nil {
			return fmt.Errorf("store %s: %w", DeltaName, err)
		}
		if err := x.put(pageHash(page)); err != nil {
			return err
		}
	}
	end, err := l.commit(c.snap.pages)
	if err != nil {
		return fmt.Errorf("store %s: %w", DeltaName, err)
	}
	c.facts.CommitOffsets = []int64{end}
	return c.trailer(x)
}

// trailer ends the index with the hash of the database.
func (c *capture) trailer(x *indexWriter) error {
	hash, err := hex.DecodeString(c.facts.DBSHA256)
	if err != nil {
		return err
	}
	return x.end(hash)
}
