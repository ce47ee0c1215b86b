package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/printable"
)

// TableDiff is what distinguishes the rows of a table in two databases.
type TableDiff struct {
	Table    string
	Key      []string // the columns that say which row is which; "rowid" where there is no primary key
	Here     int64    // rows
	There    int64
	OnlyHere RowSet
	OnlyThat RowSet   // only in the other
	Changed  RowSet   // in both, with other values
	Lacks    []string // columns that only one of them has, in words; they are not compared
	Why      string   // rows were not compared: the reason
	Alone    bool     // only one of the databases has the table: its rows are all OnlyHere or OnlyThat
	Inner    bool     // it is what a virtual table is made of, an index of text or places, and has no rows of people
}

// Same says that rows and columns are the same.
func (d TableDiff) Same() bool {
	return d.Why == "" && !d.Alone && d.OnlyHere.N+d.OnlyThat.N+d.Changed.N == 0 && len(d.Lacks) == 0
}

// RowSet is a number of rows, and the newest of them as words: key and newest column only,
// never more of what is in a row.
type RowSet struct {
	N      int64
	Newest []string
	ranks  []any
}

// shownRows is how many of them are named.
const shownRows = 3

// add counts a row and keeps it when it belongs to the newest.
func (s *RowSet) add(rank any, words func() string) {
	s.N++
	i, _ := slices.BinarySearchFunc(s.ranks, rank, func(a, b any) int { return -compareValues(a, b) })
	if i >= shownRows {
		return
	}
	s.ranks = slices.Insert(s.ranks, i, rank)
	s.Newest = slices.Insert(s.Newest, i, words())
	if len(s.ranks) > shownRows {
		s.ranks, s.Newest = s.ranks[:shownRows], s.Newest[:shownRows]
	}
}

// CompareRows walks a table in two databases side by side, in the order of its key. It
// holds one row of each. newest, if any, is the column by which rows are called new.
func CompareRows(ctx context.Context, here, there querier, table, newest string, progress func(rows int64)) (d TableDiff, err error) {
	d = TableDiff{Table: table}
	var s shape
	if s, d.Lacks, d.Why, err = commonShape(ctx, here, there, table, newest); err != nil || d.Why != "" {
		return d, err
	}
	d.Key = s.key
	a, err := openCursor(ctx, here, table, s)
	if err != nil {
		return d, err
	}
	defer a.close()
	b, err := openCursor(ctx, there, table, s)
	if err != nil {
		return d, err
	}
	defer b.close()
	for a.ok || b.ok {
		if (a.n+b.n)%5000 == 0 && progress != nil {
			progress(a.n + b.n)
		}
		order := 0
		switch {
		case !b.ok:
			order = -1
		case !a.ok:
			order = 1
		default:
			order = compareKeys(a.row[:len(s.key)], b.row[:len(s.key)])
		}
		switch {
		case order < 0:
			d.OnlyHere.add(a.rank(), a.words)
		case order > 0:
			d.OnlyThat.add(b.rank(), b.words)
		case !slices.EqualFunc(a.row[len(s.key):], b.row[len(s.key):], sameValue):
			d.Changed.add(b.rank(), b.words)
		}
		if order <= 0 {
			if err := a.step(); err != nil {
				return d, err
			}
		}
		if order >= 0 {
			if err := b.step(); err != nil {
				return d, err
			}
		}
	}
	d.Here, d.There = a.n, b.n
	return d, nil
}

// shape is how a table is read.
type shape struct {
	key    []string // columns of the key
	rest   []string
	newest int  // place of the newest column in a row; -1: the key tells
	rowid  bool // the key is the row number, which is no column
}

// commonShape finds the key and the columns that a table has in both databases.
func commonShape(ctx context.Context, here, there querier, table, newest string) (s shape, lacks []string, why string, err error) {
	a, err := columns(ctx, here, table)
	if err != nil {
		return s, nil, "", err
	}
	b, err := columns(ctx, there, table)
	if err != nil {
		return s, nil, "", err
	}
	for _, c := range a.names {
		if !slices.Contains(b.names, c) {
			lacks = append(lacks, fmt.Sprintf("column %q is not in the other", printable.Line(c)))
		}
	}
	for _, c := range b.names {
		if !slices.Contains(a.names, c) {
			lacks = append(lacks, fmt.Sprintf("column %q is only in the other", printable.Line(c)))
		}
	}
	if s.key = a.key; !slices.Equal(a.key, b.key) || a.encoding != b.encoding {
		return s, lacks, "the primary keys or the encodings differ", nil
	}
	if a.encoding != "UTF-8" {
		return s, lacks, "its text is not in UTF-8", nil
	}
	if len(s.key) == 0 {
		s.rowid = true
		if s.key = []string{rowidName(a.names, b.names)}; s.key[0] == "" {
			return s, lacks, "it has no key", nil
		}
	}
	for _, c := range a.names {
		if slices.Contains(b.names, c) && !slices.Contains(s.key, c) {
			s.rest = append(s.rest, c)
		}
	}
	s.newest = -1
	if newest != "" {
		if s.newest = slices.Index(slices.Concat(s.key, s.rest), newest); s.newest < 0 {
			return s, lacks, "", fmt.Errorf("table %q has no column %q in both", table, newest)
		}
	}
	return s, lacks, "", nil
}

// rowidName is a name of the row number that no column has taken.
func rowidName(lists ...[]string) string {
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		taken := false
		for _, list := range lists {
			taken = taken || slices.ContainsFunc(list, func(c string) bool { return strings.EqualFold(c, name) })
		}
		if !taken {
			return name
		}
	}
	return ""
}

type columnList struct {
	names, key []string
	encoding   string
}

// columns lists the stored columns of a table: computing the others could run functions.
func columns(ctx context.Context, q querier, table string) (c columnList, err error) {
	if err := q.QueryRowContext(ctx, "PRAGMA encoding").Scan(&c.encoding); err != nil {
		return c, err
	}
	rows, err := q.QueryContext(ctx, "SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", table)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	keys := map[int]string{}
	for rows.Next() {
		var name string
		var pk int
		if err := rows.Scan(&name, &pk); err != nil {
			return c, err
		}
		c.names = append(c.names, name)
		if pk > 0 {
			keys[pk] = name
		}
	}
	for i := 1; i <= len(keys); i++ {
		c.key = append(c.key, keys[i])
	}
	return c, rows.Err()
}

// cursor is one side of the walk.
type cursor struct {
	shape
	table string
	rows  *sql.Rows
	row   []any
	to    []any
	ok    bool
	n     int64
}

func openCursor(ctx context.Context, q querier, table string, s shape) (*cursor, error) {
	var list, order []string
	for i, c := range slices.Concat(s.key, s.rest) {
		name := "t." + quoteName(c)
		if s.rowid && i == 0 {
			name = "t." + c
		}
		// The plus takes its declared type away, after which the driver would change values.
		list = append(list, "+"+name)
		if i < len(s.key) {
			order = append(order, name+" COLLATE BINARY")
		}
	}
	query := fmt.Sprintf("SELECT %s FROM main.%s AS t ORDER BY %s", strings.Join(list, ", "), quoteName(table), strings.Join(order, ", "))
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read table %q: %w", table, err)
	}
	c := &cursor{shape: s, table: table, rows: rows, row: make([]any, len(list)), to: make([]any, len(list)), n: -1}
	for i := range c.row {
		c.to[i] = &c.row[i]
	}
	if err := c.step(); err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return c, nil
}

func (c *cursor) close() { c.rows.Close() } // its error came with the last step

func (c *cursor) step() error {
	c.n++
	if c.ok = c.rows.Next(); !c.ok {
		if err := c.rows.Err(); err != nil {
			return fmt.Errorf("read table %q: %w", c.table, err)
		}
		return nil
	}
	if err := c.rows.Scan(c.to...); err != nil {
		return fmt.Errorf("read table %q: %w", c.table, err)
	}
	return nil
}

// rank orders rows by how new they are.
func (c *cursor) rank() any {
	if c.newest >= 0 {
		return c.row[c.newest]
	}
	return c.row[0]
}

func (c *cursor) words() string {
	var parts []string
	for i, k := range c.key {
		parts = append(parts, fmt.Sprintf("%s %s", printable.Line(k), valueWords(c.row[i])))
	}
	if c.newest >= len(c.key) {
		parts = append(parts, fmt.Sprintf("%s %s", printable.Line(c.rest[c.newest-len(c.key)]), valueWords(c.row[c.newest])))
	}
	return strings.Join(parts, ", ")
}

func valueWords(v any) string {
	const most = 40
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		return fmt.Sprintf("%x", v[:min(len(v), most/2)])
	}
	text := []rune(fmt.Sprint(v))
	if len(text) > most {
		text = append(text[:most], '…')
	}
	return printable.Line(string(text))
}

func compareKeys(a, b []any) int {
	for i := range a {
		if o := compareValues(a[i], b[i]); o != 0 {
			return o
		}
	}
	return 0
}

// compareValues orders values as SQLite does: nothing, numbers, text, bytes.
func compareValues(a, b any) int {
	if o := cmp.Compare(storage(a), storage(b)); o != 0 {
		return o
	}
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
		return -compareMixed(b.(float64), x)
	case float64:
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y)
		}
		return compareMixed(x, b.(int64))
	case string:
		return strings.Compare(x, b.(string))
	case []byte:
		return bytes.Compare(x, b.([]byte))
	}
	return 0
}

// compareMixed compares exactly, also past 2^53.
func compareMixed(f float64, n int64) int {
	switch {
	case f < -9223372036854775808:
		return -1
	case f >= 9223372036854775808:
		return 1
	}
	if o := cmp.Compare(int64(f), n); o != 0 {
		return o
	}
	return cmp.Compare(f, float64(int64(f)))
}

func storage(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case int64, float64:
		return 1
	case string:
		return 2
	}
	return 3
}

func sameValue(a, b any) bool {
	_, intA := a.(int64)
	_, intB := b.(int64)
	return intA == intB && compareValues(a, b) == 0
}

// RowDiff compares the rows of all ordinary tables that two databases have, or of the named
// ones. Of a table that only one of them has it counts the rows.
func RowDiff(ctx context.Context, here, there string, modes [2]Mode, names []string, newest map[string]string, progress func(done, total int64, unit string)) (out []TableDiff, err error) {
	var sides [2]*sql.Tx
	inner, has := map[string]bool{}, map[string][2]bool{}
	for i, path := range []string{here, there} {
		db, oerr := Open(ctx, path, modes[i])
		if oerr != nil {
			return nil, oerr
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if sides[i], err = db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
			return nil, Explain("compare", path, err)
		}
		defer sides[i].Rollback() // it only read
		list, err := tables(ctx, sides[i])
		if err == nil {
			err = innerTables(ctx, sides[i], inner)
		}
		if err != nil {
			return nil, Explain("compare", path, err)
		}
		for _, name := range list {
			both := has[name]
			both[i] = true
			has[name] = both
		}
	}
	for _, table := range slices.Sorted(maps.Keys(has)) {
		if len(names) > 0 && !slices.Contains(names, table) {
			continue
		}
		d := TableDiff{Table: table, Alone: true}
		switch both := has[table]; {
		case !both[1]:
			d.Here, err = countTable(ctx, sides[0], table)
			d.OnlyHere.N = d.Here
		case !both[0]:
			d.There, err = countTable(ctx, sides[1], table)
			d.OnlyThat.N = d.There
		default:
			d, err = CompareRows(ctx, sides[0], sides[1], table, newest[table], func(rows int64) {
				if progress != nil {
					progress(rows, 0, "rows of "+printable.Line(table))
				}
			})
		}
		if err != nil {
			return nil, Explain("compare", here, err)
		}
		d.Inner = inner[table]
		out = append(out, d)
	}
	return out, nil
}

// innerTables are the tables of which virtual ones are made, but for those that hold one
// row for each of theirs.
func innerTables(ctx context.Context, q querier, out map[string]bool) error {
	rows, err := q.QueryContext(ctx, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		out[name] = !strings.HasSuffix(name, "_content") && !strings.HasSuffix(name, "_rowid")
	}
	return rows.Err()
}
