package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
)

// asserted is a point with something in it to ask for.
func asserted(t *testing.T) (dir string, facts []byte) {
	t.Helper()
	path, db := database(t, "user_version=7")
	fill(t, db, 50)
	do(t, db, "CREATE VIRTUAL TABLE words USING fts5(body)", "INSERT INTO words VALUES ('the quick brown fox')",
		"CREATE TABLE flag (ok BOOLEAN, at DATETIME)", "INSERT INTO flag VALUES (1, '2026-11-23 00:00:00')",
		"CREATE VIEW evil AS SELECT load_extension('evil') AS e",
		"CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
		"CREATE TABLE \"\x1b[2J\" (a)")
	c := &chain{t: t, source: path}
	p := c.add("full")
	return filepath.Dir(c.restore(0)), p.facts
}

func TestAssertionsHold(t *testing.T) {
	dir, facts := asserted(t)
	k := sqlite.Kind{Assertions: []string{
		"SELECT count(*) > 0 FROM booking", "SELECT count(*) FROM booking;", " select 1 ; ;\n", "SELECT 0.5 -- half",
		"WITH n AS (SELECT max(id) AS m FROM booking) SELECT m = 50 FROM n", "VALUES (1)",
		"SELECT count(*) = 1 FROM words WHERE words MATCH 'quick'", "SELECT ok FROM flag",
		"SELECT user_version >= 7 FROM pragma_user_version", "SELECT count(*) = 3 FROM pragma_table_info('booking')",
		"SELECT EXISTS (SELECT 1 FROM booking WHERE id = 3)",
	}}
	evidence, err := k.Probe(t.Context(), dir, io.Discard)
	if err != nil || !strings.Contains(evidence, fmt.Sprintf("%d assertions hold", len(k.Assertions))) {
		t.Errorf("Probe = %q, %v", evidence, err)
	}
	if evidence, err = (sqlite.Kind{}).Probe(t.Context(), dir, io.Discard); err != nil || strings.Contains(evidence, "assertion") {
		t.Errorf("without any: Probe = %q, %v", evidence, err)
	}
	k.Assertions = []string{"SELECT 0"}
	if _, err := k.Prove(t.Context(), dir, facts, true, io.Discard); err != nil {
		t.Errorf("the replica is equal, and yet %v", err)
	}
	k.Assertions = []string{"SELECT 1"}
	if evidence, err = k.Probe(t.Context(), dir, io.Discard); err != nil || !strings.Contains(evidence, "1 assertion holds") {
		t.Errorf("Probe = %q, %v", evidence, err)
	}
}

// TestAssertionsFail has assertions that do not hold, say nothing, or try to do more
// than to ask. Each error names its assertion, and none shows content of the database.
func TestAssertionsFail(t *testing.T) {
	dir, _ := asserted(t)
	replica := filepath.Join(dir, sqlite.ReplicaName)
	before := read(t, replica)
	other := filepath.Join(t.TempDir(), "other.db")
	for name, tt := range map[string]struct {
		sql, text string
		failed    bool // the assertion itself, not the asking
	}{
		"false":              {"SELECT count(*) > 1000 FROM booking", "gives 0", true},
		"null":               {"SELECT max(id) > 1 FROM booking WHERE id > 1000", "gives NULL", true},
		"text":               {"SELECT who FROM booking LIMIT 1", "gives a text", true},
		"time":               {"SELECT at FROM flag", "gives a text", true},
		"no row":             {"SELECT 1 FROM booking WHERE id > 1000", "no row", false},
		"rows":               {"SELECT 1 FROM booking", "more than one row", false},
		"columns":            {"SELECT 1, 2", "2 columns", false},
		"no table":           {"SELECT count(*) FROM nowhere", "no such table", false},
		"misspelt column":    {`SELECT count(*) FROM booking WHERE "nonsense" IS NOT NULL`, "no such column", false},
		"syntax":             {"count bookings", "no such table", false},
		"nothing":            {" ; ", "syntax", false},
		"two statements":     {"SELECT 0; SELECT 1", "syntax", false},
		"way out":            {"SELECT 1) ; DELETE FROM booking; SELECT (1", "not authorized", false},
		"write":              {"DELETE FROM booking RETURNING 1", "syntax", false},
		"pragma":             {"PRAGMA user_version", "no such table", false},
		"setting pragma":     {"SELECT * FROM pragma_user_version(9)", "", false},
		"attach":             {"ATTACH '" + other + "' AS x", "syntax", false},
		"extension":          {"SELECT load_extension('evil')", "not authorized", false},
		"extension by view":  {"SELECT e FROM evil", "", false},
		"memory":             {"SELECT length(zeroblob(1000000000))", "too big", false},
		"escape in its text": {"SELECT \x1b]0;owned\x07 FROM booking", "", false},
		"large":              {"SELECT 1 " + strings.Repeat("+ 1 ", 40_000), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlite.Kind{Assertions: []string{"SELECT 1", tt.sql}}.Probe(t.Context(), dir, io.Discard)
			if err == nil || errors.Is(err, sqlite.ErrAssertion) != tt.failed || len(hint.All(err)) == 0 {
				t.Fatalf("Probe = %v %q", err, hint.All(err))
			}
			if !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "assert") {
				t.Errorf("%q does not say %q", err, tt.text)
			}
			if head := strings.TrimSpace(tt.sql); len(head) > 8 && !strings.Contains(err.Error(), strings.Trim(strconv.Quote(head[:8]), "\"")) {
				t.Errorf("%q does not name the assertion", err)
			}
			if strings.ContainsRune(err.Error(), 0x1b) || len(err.Error()) > 2000 {
				t.Errorf("%q is not printable", err)
			}
		})
	}
	if string(before) != string(read(t, replica)) {
		t.Error("an assertion changed the replica")
	}
}

// TestAssertionStops has one that never ends.
func TestAssertionStops(t *testing.T) {
	dir, _ := asserted(t)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	soon(t, func() {
		_, err := sqlite.Kind{Assertions: []string{"SELECT count(*) FROM endless"}}.Probe(ctx, dir, io.Discard)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Probe = %v", err)
		}
	})
}

func TestDiff(t *testing.T) {
	path, db := database(t, "user_version=1")
	fill(t, db, 3000)
	do(t, db, "CREATE TABLE same (a)", "CREATE TABLE old (a)", "INSERT INTO old VALUES (1)")
	c := &chain{t: t, source: path}
	a := c.add("full")
	index := c.index
	do(t, db, "DROP TABLE old", "CREATE TABLE fresh (a)", "DELETE FROM booking WHERE id < 3", "PRAGMA user_version=2",
		"INSERT INTO booking (who, note) VALUES ('x', zeroblob(50000))")
	b := c.add("incremental")
	opener := func(x []byte) func(string) (io.ReadCloser, error) {
		return func(role string) (io.ReadCloser, error) {
			if role != "index" || x == nil {
				return nil, fmt.Errorf("no %s", role)
			}
			return io.NopCloser(strings.NewReader(string(x))), nil
		}
	}
	diff := func(a, b point, x, y []byte) (lines [][4]string, err error) {
		err = sqlite.Kind{}.Diff(t.Context(), a.facts, b.facts, opener(x), opener(y), func(what, name, before, after string) {
			lines = append(lines, [4]string{what, name, before, after})
		})
		return lines, err
	}
	got, err := diff(a, b, index, c.index)
	if err != nil {
		t.Fatal(err)
	}
	fa, fb := a.decode(t), b.decode(t)
	want := [][4]string{
		{"table", "booking", "3000 rows", "2999 rows"}, {"table", "fresh", "", "0 rows"}, {"table", "old", "1 row", ""},
		{"schema", "database.db", fa.SchemaSHA256[:12], fb.SchemaSHA256[:12]}, {"user_version", "database.db", "1", "2"},
		{"size", "database.db", fmt.Sprintf("%d bytes", fa.Pages*4096), fmt.Sprintf("%d bytes", fb.Pages*4096)},
	}
	last := got[len(got)-1]
	if !reflect.DeepEqual(got[:len(got)-1], want) || last[0] != "pages" || !strings.HasSuffix(last[3], " differ") {
		t.Errorf("changes %q, want %q and pages", got, want)
	}
	var pages, changed uint32
	if _, err := fmt.Sscanf(last[3], "%d, of which %d differ", &pages, &changed); err != nil || pages != fb.Pages || changed < fb.Pages-fa.Pages || changed >= pages {
		t.Errorf("%q", last[3])
	}
	if got, err := diff(a, b, nil, c.index); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without an index: %q, %v", got, err)
	}
	if got, err := diff(a, b, index[:60], c.index); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with a cut index: %q, %v", got, err)
	}
	if got, err := diff(a, a, index, index); err != nil || len(got) != 0 {
		t.Errorf("of a point with itself: %q, %v", got, err)
	}
	if _, err := diff(point{facts: []byte("{")}, a, nil, nil); err == nil {
		t.Error("broken facts gave no error")
	}
	// What was not counted is no change, and what is not named may be there.
	part := point{facts: []byte(`{"rows":{"a":1},"rows_partial":true,"uncounted":["b"]}`)}
	full := point{facts: []byte(`{"rows":{"a":1,"b":2,"c":3}}`)}
	cut := point{facts: []byte(`{"rows":{"a":2},"rows_partial":true}`)}
	if got, err := diff(part, full, nil, nil); err != nil || !reflect.DeepEqual(got, [][4]string{{"table", "b", "not counted", "2 rows"}, {"table", "c", "", "3 rows"}}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := diff(cut, full, nil, nil); err != nil || !reflect.DeepEqual(got, [][4]string{{"table", "a", "2 rows", "1 row"}}) {
		t.Errorf("%q, %v", got, err)
	}
}
