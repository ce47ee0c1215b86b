package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"lifeboat/internal/printable"
)

// What Diff tells of a table whose rows were not counted.
const uncounted = "not counted"

// Diff tells what changed between two points of one database, from their facts and
// page indexes alone: "table" with its numbers of rows, "schema", "user_version",
// "application_id", "journal", "page size", "size", and "pages" with how many of them
// differ. Rows that were changed in place show in the pages only; those are left out
// where an index cannot be read.
func (Kind) Diff(ctx context.Context, older, newer []byte,
	openOlder, openNewer func(role string) (io.ReadCloser, error),
	report func(what, name, before, after string),
) error {
	var a, b Facts
	if err := errors.Join(json.Unmarshal(older, &a), json.Unmarshal(newer, &b)); err != nil {
		return fmt.Errorf("read the facts of a point: %w", err)
	}
	diffTables(a, b, report)
	name := ReplicaName
	changed := func(what, before, after string) {
		if before != after {
			report(what, name, before, after)
		}
	}
	changed("schema", a.SchemaSHA256[:min(12, len(a.SchemaSHA256))], b.SchemaSHA256[:min(12, len(b.SchemaSHA256))])
	changed("user_version", strconv.FormatInt(a.UserVersion, 10), strconv.FormatInt(b.UserVersion, 10))
	changed("application_id", strconv.FormatInt(a.ApplicationID, 10), strconv.FormatInt(b.ApplicationID, 10))
	changed("journal", a.JournalMode, b.JournalMode)
	changed("page size", strconv.Itoa(a.PageSize), strconv.Itoa(b.PageSize))
	changed("size", fmt.Sprintf("%d bytes", a.size()), fmt.Sprintf("%d bytes", b.size()))
	if a.DBSHA256 == b.DBSHA256 || a.PageSize != b.PageSize {
		return nil
	}
	n, err := diffPages(ctx, a, b, openOlder, openNewer)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		report("pages", name, strconv.FormatUint(uint64(a.Pages), 10), fmt.Sprintf("%d, of which %d differ", b.Pages, n))
	}
	return nil
}

// size is that of the database file, in bytes.
func (f Facts) size() int64 { return int64(f.PageSize) * int64(f.Pages) }

// diffTables reports tables in the order of their names. Of a table that the facts do
// not name nothing is said when they do not name all.
func diffTables(a, b Facts, report func(what, name, before, after string)) {
	before, after := a.tables(), b.tables()
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		x, was := before[name]
		y, is := after[name]
		if x == y || !was && a.unnamed() || !is && b.unnamed() {
			continue
		}
		report("table", name, x, y)
	}
}

// tables says of each table that the facts name how many rows it has.
func (f Facts) tables() map[string]string {
	t := make(map[string]string, len(f.Rows)+len(f.Uncounted))
	for name, n := range f.Rows {
		t[name] = printable.Count(int(n), "row")
	}
	for _, name := range f.Uncounted {
		t[name] = uncounted
	}
	return t
}

// unnamed says whether there may be tables that the facts do not name. Those of an
// early Lifeboat named no table that was not counted.
func (f Facts) unnamed() bool {
	return f.TablesCut || f.RowsPartial && len(f.Uncounted) == 0
}

// diffPages counts the pages that both have and that differ, and those that only one has.
func diffPages(ctx context.Context, a, b Facts, openOlder, openNewer func(role string) (io.ReadCloser, error)) (n int64, err error) {
	x, closeX, err := openIndex(openOlder, a)
	if err != nil {
		return 0, err
	}
	defer closeX()
	y, closeY, err := openIndex(openNewer, b)
	if err != nil {
		return 0, err
	}
	defer closeY()
	for i := 0; ; i++ {
		if i%1024 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		p, had, err := x.next()
		if err != nil {
			return 0, err
		}
		q, has, err := y.next()
		if err != nil {
			return 0, err
		}
		if !had && !has {
			return n, errors.Join(x.end(), y.end())
		}
		if had != has || p != q {
			n++
		}
	}
}

func openIndex(open func(role string) (io.ReadCloser, error), f Facts) (x *indexReader, done func(), err error) {
	r, err := open(roleIndex)
	if err != nil {
		return nil, nil, err
	}
	done = func() { r.Close() } // it was only read
	if x, err = newIndexReader(r, f); err != nil {
		done()
		return nil, nil, err
	}
	return x, done, nil
}
