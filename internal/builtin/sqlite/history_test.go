package sqlite_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// dump is all that an application sees of a database, as text.
func dump(t *testing.T, file string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out strings.Builder
	for _, q := range []string{
		"SELECT quote(id) || quote(name) || quote(twice) FROM person ORDER BY id", "SELECT quote(k) || quote(v) FROM pair ORDER BY k",
		"SELECT rowid || quote(a) FROM loose ORDER BY rowid", "SELECT rowid || quote(text) FROM words ORDER BY rowid", "SELECT text FROM words WHERE words MATCH 'w1' ORDER BY rowid",
		"SELECT quote(what) FROM audit", "SELECT name || seq FROM sqlite_sequence ORDER BY name", "SELECT user_version || '' FROM pragma_user_version",
	} {
		rows, err := db.QueryContext(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&out, s)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return out.String()
}

// TestRewindProperty: whatever has happened, and however it was backed up, a database that
// is wound back with its log is as it was at that time, to the row; and without the log as
// it was when the nearest proven point was cut.
func TestRewindProperty(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 4))) })
	}
}

type moment struct {
	at    time.Time
	state string
	point bool // a proven one; else a commit
}

func history(t *testing.T, r *rand.Rand) {
	b := newBench(t, "journal_mode="+[]string{"wal", "delete"}[r.IntN(2)], fmt.Sprintf("page_size=%d", 512<<r.IntN(5)))
	b.change("CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT, name, twice GENERATED ALWAYS AS (name || name) STORED)",
		"CREATE TABLE pair (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID", "CREATE TABLE loose (a)", "CREATE VIRTUAL TABLE words USING fts5(text)", "CREATE TABLE audit (what)",
		"CREATE TRIGGER told AFTER INSERT ON person BEGIN INSERT INTO audit VALUES (NEW.name); UPDATE pair SET v = v || NEW.id; END")
	var log strings.Builder
	var all []moment
	point := func(mode string) {
		s := b.play("sqlite.backup", map[string]any{"asset": "db", "mode": mode})
		cut, err := time.Parse(time.RFC3339Nano, s.res.Outputs["cut"].(string))
		if err != nil {
			t.Fatal(err)
		}
		proven := len(all) == 0 || r.IntN(3) > 0
		if proven {
			b.prove(s.res.Outputs["point"].(string))
			all = append(all, moment{cut, dump(t, b.path), true})
		}
	}
	fmt.Fprintf(&log, "-- %s\nSELECT 1;\n", clock(b.now))
	point("full")
	for i := range 14 {
		if r.IntN(4) == 0 {
			point([]string{"auto", "full"}[r.IntN(2)])
			continue
		}
		pool := []string{
			fmt.Sprintf("INSERT INTO person (name) VALUES ('p;%d''s -- x')", i), "DELETE FROM person WHERE id = (SELECT max(id) FROM person)",
			fmt.Sprintf("INSERT OR REPLACE INTO pair VALUES ('k%d', x'00%02x')", r.IntN(5), i), "DELETE FROM pair WHERE k < 'k2'",
			fmt.Sprintf("INSERT INTO loose VALUES (%d), (NULL)", i), "UPDATE loose SET a = a || 'x' WHERE rowid % 2", "DELETE FROM loose WHERE rowid = 3",
			fmt.Sprintf("INSERT INTO words VALUES ('w%d w%d')", r.IntN(3), i), fmt.Sprintf("PRAGMA user_version = %d", i),
			fmt.Sprintf("INSERT INTO loose WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n", 1+r.IntN(300)),
		}
		var list []string
		for range 1 + r.IntN(4) {
			list = append(list, pool[r.IntN(len(pool))])
		}
		at := b.clock()
		nl := []string{"\n", "\r\n"}[r.IntN(2)]
		begun := at.Add(-50 * time.Second) // a transaction belongs to the time of its commit
		fmt.Fprintf(&log, "-- %s%sBEGIN;%s%s;%s-- %s%sCOMMIT;%s", clock(begun), nl, nl, strings.Join(list, ";"+nl), nl, clock(at), nl, nl)
		b.change(append(append([]string{"BEGIN"}, list...), "COMMIT")...)
		all = append(all, moment{at, dump(t, b.path), false})
	}
	b.put("log.sql", log.String())
	now := b.clock()
	for i := range 4 {
		span := now.Sub(all[0].at)
		at := all[0].at.Add(time.Duration(r.Int64N(int64(span)))).Truncate(time.Millisecond)
		if i == 3 { // to the very moment of something
			at = all[r.IntN(len(all))].at
		}
		with, without := all[0].state, all[0].state
		for _, m := range all {
			if m.at.After(at) {
				break
			}
			if with = m.state; m.point {
				without = m.state
			}
		}
		for name, want := range map[string]string{"log.sql": with, "": without} {
			file := fmt.Sprintf("side%d%s.db", i, name)
			b.play("sqlite.rewind", map[string]any{"asset": "db", "at": clock(at), "to": file, "log": name, "without_foreign_keys": true})
			if got := dump(t, b.beside(file)); got != want {
				t.Errorf("at %s, log %q: got\n%s\nwant\n%s", clock(at), name, got, want)
			}
		}
	}
}
