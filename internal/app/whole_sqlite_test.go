package app

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/command"
	"lifeboat/internal/estate"
	"lifeboat/internal/vault"
)

// TestStockWholeSQLite lets databases live, with everything that happens to them, and
// restores each point with sqlite3, age and gpg alone.
func TestStockWholeSQLite(t *testing.T) {
	t.Parallel()
	stock(t, "sqlite3", "age", "gpg")
	seen := newTally()
	histories(t, 3*time.Second, func(rt *rapid.T) {
		w := newWhole(rt, newFolderBucket(rt), rapid.Bool().Draw(rt, "blind"), seen)
		d := newDatabase(rt, rt)
		w.live(rt, d, rapid.Permutation(d.changes()).Draw(rt, "order"))
		w.judge(d, w.sample(rt, nil))
	})
	seen.require(t, "encryption", seen.schemes, "none", "age", "gpg")
	seen.require(t, "points", seen.kinds, vault.Full, vault.Incremental)
	seen.require(t, "changes", seen.changes, sorted(sqliteChanges)...)
	t.Logf("%d points restored, the longest chain has %d objects", seen.restored, seen.chain)
}

// TestStockWholeSQLiteSteps makes a chain of a database grow, until its increments hold
// too much and are rolled up.
func TestStockWholeSQLiteSteps(t *testing.T) {
	t.Parallel()
	stock(t, "sqlite3", "age")
	seen := newTally()
	histories(t, 0, func(rt *rapid.T) {
		w := newWhole(rt, newFolderBucket(rt), false, seen)
		d := newDatabase(rt, rt)
		d.do("PRAGMA journal_mode=delete", "PRAGMA page_size=1024", "VACUUM",
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO plain (id, data) SELECT 1000 + i, randomblob(8000) FROM n")
		w.steps(rt, d, 6, func() {
			d.do(fmt.Sprintf("UPDATE plain SET data = randomblob(8000) WHERE id BETWEEN 1000 + %[1]d AND 1001 + %[1]d", rapid.IntRange(1, 59).Draw(rt, "id")))
		})
	})
	seen.require(t, "points", seen.kinds, vault.Full, vault.Incremental, vault.RollUp)
}

// database is a SQLite database that lives.
type database struct {
	t    tester
	path string
	db   *sql.DB
	n    int
	open bool // another connection has a transaction open during the next backup
}

var _ subject = (*database)(nil)

// newDatabase makes one with whatever SQLite offers.
func newDatabase(t tester, rt *rapid.T) *database {
	t.Helper()
	d := &database{t: t, path: filepath.Join(scratch(t), "bookings #1?.db")}
	d.db = d.connect()
	for _, p := range []string{
		fmt.Sprintf("page_size=%d", rapid.SampledFrom([]int{512, 1024, 4096, 16384, 65536}).Draw(rt, "page size")),
		fmt.Sprintf("encoding='%s'", rapid.SampledFrom([]string{"UTF-8", "UTF-16le", "UTF-16be"}).Draw(rt, "encoding")),
		fmt.Sprintf("auto_vacuum=%d", rapid.IntRange(0, 2).Draw(rt, "auto_vacuum")), "synchronous=OFF",
		"journal_mode=" + rapid.SampledFrom([]string{"delete", "wal"}).Draw(rt, "journal"),
		fmt.Sprintf("wal_autocheckpoint=%d", rapid.SampledFrom([]int{0, 8, 1000}).Draw(rt, "autocheckpoint")),
	} {
		d.do("PRAGMA " + p)
	}
	d.do("CREATE TABLE plain (id INTEGER PRIMARY KEY, name TEXT, data BLOB)",
		"CREATE TABLE keyed (a TEXT, b INTEGER, c, PRIMARY KEY (a, b)) WITHOUT ROWID",
		"CREATE TABLE made (x INTEGER, y AS (x * 2), z TEXT GENERATED ALWAYS AS (x || 'ü') STORED)",
		"CREATE TABLE room (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
		"CREATE TABLE booking (id INTEGER PRIMARY KEY, room INTEGER REFERENCES room(id) DEFERRABLE INITIALLY DEFERRED, called TEXT REFERENCES room(name))",
		"CREATE VIRTUAL TABLE words USING fts5(body)",
		"CREATE INDEX plain_part ON plain (name) WHERE id % 2 = 0", "CREATE VIEW seen AS SELECT id, name FROM plain",
		"CREATE TRIGGER logged AFTER DELETE ON plain BEGIN INSERT INTO keyed VALUES (old.name, abs(random()), 'gone') ON CONFLICT DO NOTHING; END",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO plain SELECT i, 'näme ' || i, randomblob(500) FROM n")
	return d
}

// connect opens the database as an application does.
func (d *database) connect() *sql.DB {
	d.t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("?", "%3f", "#", "%23", " ", "%20").Replace(d.path)+"?_pragma=busy_timeout(20000)")
	must(d.t, err)
	db.SetMaxOpenConns(1)
	d.t.Cleanup(func() { db.Close() })
	return db
}

func (d *database) do(statements ...string) {
	d.t.Helper()
	for _, s := range statements {
		if _, err := d.db.ExecContext(d.t.Context(), s); err != nil {
			d.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (d *database) asset() vault.Asset {
	return vault.Asset{Name: "bookings", Kind: estate.SQLite, Source: d.path}
}

func (d *database) kind(string) vault.Kind { return sqlite.Kind{} }
func (d *database) changes() []string      { return sorted(sqliteChanges) }

func (d *database) change(rt *rapid.T, name string) {
	d.n++
	sqliteChanges[name](d, rapid.IntRange(1, 90).Draw(rt, "id"))
}

// during calls backup, sometimes while another connection has changed something and not
// committed it.
func (d *database) during(backup func()) {
	d.t.Helper()
	if !d.open {
		backup()
		return
	}
	d.open = false
	other := d.connect()
	for _, s := range []string{"BEGIN IMMEDIATE", "UPDATE plain SET name = 'never'", "DELETE FROM keyed"} {
		_, err := other.ExecContext(d.t.Context(), s)
		must(d.t, err)
	}
	backup()
	_, err := other.ExecContext(d.t.Context(), "ROLLBACK")
	must(d.t, errors.Join(err, other.Close())) // or the journal mode could not change
}

// state copies the files of the database, in which nothing goes on, and lets sqlite3 put
// the log into its file.
func (d *database) state() string {
	d.t.Helper()
	to := filepath.Join(scratch(d.t), "copy.db")
	for _, end := range []string{"", "-wal"} {
		in, err := os.Open(d.path + end)
		if end != "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		must(d.t, err)
		out, err := os.Create(to + end)
		must(d.t, err)
		_, err = io.Copy(out, in)
		must(d.t, errors.Join(err, in.Close(), out.Close()))
	}
	sqlite3(d.t, to, "PRAGMA wal_checkpoint(TRUNCATE)")
	return databaseState(d.t, to)
}

func (d *database) restored(dir string) string {
	d.t.Helper()
	left, err := os.ReadDir(dir)
	must(d.t, err)
	if len(left) != 1 {
		d.t.Errorf("beside the database there is something: %v", left)
	}
	return databaseState(d.t, filepath.Join(dir, sqlite.ReplicaName))
}

// databaseState is the hash of every byte of the file and, for people to read when it
// differs, of what sqlite3 finds in it.
func databaseState(t tester, path string) string {
	t.Helper()
	file, err := os.ReadFile(path)
	must(t, err)
	what := sqlite3(t, path, "PRAGMA user_version; PRAGMA application_id; PRAGMA page_size; PRAGMA encoding; PRAGMA auto_vacuum; PRAGMA journal_mode; PRAGMA integrity_check; SELECT count(*) FROM plain;")
	dump := sqlite3(t, path, ".dump")
	if len(dump) < 500 {
		t.Fatalf("the dump of %s has %d bytes", path, len(dump))
	}
	return fmt.Sprintf("%d bytes %x\n%sdump %x\n", len(file), sha256.Sum256(file), what, sha256.Sum256([]byte(dump)))
}

func sqlite3(t tester, path, commands string) string {
	t.Helper()
	return tool(t, command.Cmd{Argv: []string{"sqlite3", "-batch", "-bail", "-init", os.DevNull, path, commands}})
}

// sqliteChanges are what happens to databases, by name.
var sqliteChanges = map[string]func(d *database, id int){
	"update": func(d *database, id int) {
		d.do(fmt.Sprintf("UPDATE plain SET name = 'new %d', data = randomblob(%d) WHERE id = %d", d.n, id*20, id))
	},
	"delete": func(d *database, id int) {
		d.do(fmt.Sprintf("DELETE FROM plain WHERE id BETWEEN %d AND %d", id, id+15))
	},
	"grow": func(d *database, id int) {
		d.do(fmt.Sprintf("INSERT INTO plain (name, data) VALUES ('large', zeroblob(%d))", id*3000))
	},
	"shrink": func(d *database, _ int) { d.do("DELETE FROM plain WHERE length(data) > 2000") },
	"upsert": func(d *database, id int) {
		d.do(fmt.Sprintf("INSERT OR REPLACE INTO keyed VALUES ('k%d', %d, randomblob(300))", id, d.n))
	},
	"made up": func(d *database, id int) { d.do(fmt.Sprintf("INSERT INTO made (x) VALUES (%d)", id)) },
	"foreign key": func(d *database, id int) {
		d.do(fmt.Sprintf("INSERT INTO room (name) VALUES ('room %d of %d')", d.n, id), "INSERT INTO booking (room, called) SELECT id, name FROM room")
	},
	"words": func(d *database, id int) {
		d.do(fmt.Sprintf("INSERT INTO words VALUES ('the quick brown %d fox %d')", id, d.n))
	},
	"merge words": func(d *database, _ int) { d.do("INSERT INTO words (words) VALUES ('optimize')") },
	"new table": func(d *database, _ int) {
		d.do(fmt.Sprintf("CREATE TABLE extra_%d AS SELECT id, data FROM plain", d.n))
	},
	"drop a table": func(d *database, _ int) { d.do("CREATE TABLE IF NOT EXISTS gone (a)", "DROP TABLE gone") },
	"new column": func(d *database, _ int) {
		d.do(fmt.Sprintf("ALTER TABLE plain ADD COLUMN more_%d TEXT DEFAULT 'd'", d.n))
	},
	"vacuum":       func(d *database, _ int) { d.do("VACUUM") },
	"vacuum a bit": func(d *database, _ int) { d.do("PRAGMA incremental_vacuum(3)") },
	"numbers": func(d *database, id int) {
		d.do(fmt.Sprintf("PRAGMA user_version=%d", id), fmt.Sprintf("PRAGMA application_id=%d", id))
	},
	"to a log":   func(d *database, _ int) { d.do("PRAGMA journal_mode=wal") },
	"from a log": func(d *database, _ int) { d.do("PRAGMA journal_mode=delete", "REINDEX", "ANALYZE") },
	"other pages": func(d *database, id int) { // in WAL mode the page size would stay
		d.do("PRAGMA journal_mode=delete", fmt.Sprintf("PRAGMA page_size=%d", 512<<(id%8)), fmt.Sprintf("PRAGMA auto_vacuum=%d", id%3), "VACUUM")
	},
	"checkpoint": func(d *database, id int) {
		d.do("PRAGMA wal_checkpoint(" + []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"}[id%4] + ")")
	},
	"rolled back": func(d *database, _ int) { d.do("BEGIN", "DELETE FROM plain", "DROP TABLE words", "ROLLBACK") },
	"uncommitted": func(d *database, _ int) { d.open = true },
	"replaced by a restore": func(d *database, _ int) { // another file takes its name
		d.do("PRAGMA journal_mode=delete", fmt.Sprintf("VACUUM INTO '%s'", d.path+".new"))
		must(d.t, d.db.Close())
		must(d.t, os.Rename(d.path+".new", d.path))
		d.db = d.connect()
	},
}
