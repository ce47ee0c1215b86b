package sqlite_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/command"
)

// propertyTime bounds the whole property test: histories that come later are not run.
// Failures are repeated with -rapid.failfile whatever they take.
const propertyTime = 5 * time.Second

// TestCaptureProperty makes databases with whatever SQLite offers, changes them at
// random and takes points. Every point restores to the database of its hash, and one of
// each history, with the stock program, to the same dump.
func TestCaptureProperty(t *testing.T) {
	_, err := command.Look("sqlite3")
	stock := !errors.Is(err, command.ErrNotFound)
	began, histories, kinds := time.Now(), 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		if time.Since(began) > propertyTime {
			return
		}
		histories++
		h := newHistory(randomTest{rt, t}, rt)
		points := rapid.IntRange(2, 6).Draw(rt, "points")
		dumped := rapid.IntRange(0, points-1).Draw(rt, "dumped")
		for i := range points {
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				h.change(rt)
			}
			p := h.chain.add("")
			kinds[p.kind]++
			h.sameFile(rt, p)
			if stock && i == dumped {
				h.sameDump()
			}
		}
	})
	t.Logf("%d histories, points %v", histories, kinds)
	if kinds["incremental"] == 0 || kinds["full"] == 0 || kinds["unchanged"] == 0 {
		t.Errorf("kinds of points %v; the test shows little", kinds)
	}
}

// randomTest is one history, with the directories of the test around it.
type randomTest struct {
	*rapid.T
	outer *testing.T
}

func (r randomTest) TempDir() string { return r.outer.TempDir() }

// history is a database that changes.
type history struct {
	db    *sql.DB
	chain *chain
	n     int
}

func newHistory(t tb, rt *rapid.T) *history {
	size := rapid.SampledFrom([]int{512, 1024, 4096, 16384, 65536}).Draw(rt, "page size")
	encoding := rapid.SampledFrom([]string{"UTF-8", "UTF-16le", "UTF-16be"}).Draw(rt, "encoding")
	path, db := database(t, fmt.Sprintf("page_size=%d", size), fmt.Sprintf("encoding='%s'", encoding),
		fmt.Sprintf("auto_vacuum=%d", rapid.IntRange(0, 2).Draw(rt, "auto_vacuum")), "synchronous=OFF",
		"journal_mode="+rapid.SampledFrom([]string{"delete", "wal"}).Draw(rt, "journal"),
		fmt.Sprintf("wal_autocheckpoint=%d", rapid.SampledFrom([]int{0, 8, 1000}).Draw(rt, "autocheckpoint")))
	do(t, db, "CREATE TABLE plain (id INTEGER PRIMARY KEY, name TEXT, data BLOB)",
		"CREATE TABLE keyed (a TEXT, b INTEGER, c, PRIMARY KEY (a, b)) WITHOUT ROWID",
		"CREATE TABLE made (x INTEGER, y AS (x * 2), z TEXT GENERATED ALWAYS AS (x || 'ü') STORED)",
		"CREATE VIRTUAL TABLE words USING fts5(body)",
		"CREATE INDEX plain_part ON plain (name) WHERE id % 2 = 0", "CREATE VIEW seen AS SELECT id, name FROM plain",
		"CREATE TRIGGER logged AFTER DELETE ON plain BEGIN INSERT INTO keyed VALUES (old.name, abs(random()), 'gone') ON CONFLICT DO NOTHING; END",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO plain SELECT i, 'näme ' || i, randomblob(500) FROM n")
	return &history{db: db, chain: &chain{t: t, source: path}}
}

// change does something to the database, or beside it.
func (h *history) change(rt *rapid.T) {
	t := h.chain.t
	h.n++
	id := rapid.IntRange(1, 90).Draw(rt, "id")
	switch rapid.IntRange(0, 17).Draw(rt, "change") {
	case 0:
		do(t, h.db, fmt.Sprintf("UPDATE plain SET name = 'new %d', data = randomblob(%d) WHERE id = %d", h.n, id*20, id))
	case 1:
		do(t, h.db, fmt.Sprintf("DELETE FROM plain WHERE id BETWEEN %d AND %d", id, id+15))
	case 2:
		do(t, h.db, fmt.Sprintf("INSERT INTO plain (name, data) VALUES ('large', zeroblob(%d))", id*3000))
	case 3:
		do(t, h.db, "DELETE FROM plain WHERE length(data) > 2000")
	case 4:
		do(t, h.db, fmt.Sprintf("INSERT OR REPLACE INTO keyed VALUES ('k%d', %d, randomblob(300))", id, h.n))
	case 5:
		do(t, h.db, fmt.Sprintf("INSERT INTO made (x) VALUES (%d)", id))
	case 6:
		do(t, h.db, fmt.Sprintf("INSERT INTO words VALUES ('the quick brown %d fox %d')", id, h.n))
	case 7:
		do(t, h.db, "INSERT INTO words (words) VALUES ('optimize')")
	case 8:
		do(t, h.db, fmt.Sprintf("CREATE TABLE extra_%d (a, b DEFAULT 'x')", h.n), fmt.Sprintf("INSERT INTO extra_%d SELECT id, data FROM plain", h.n))
	case 9:
		do(t, h.db, fmt.Sprintf("ALTER TABLE plain ADD COLUMN more_%d TEXT DEFAULT 'd'", h.n))
	case 10:
		do(t, h.db, "VACUUM")
	case 11:
		do(t, h.db, "PRAGMA incremental_vacuum(3)")
	case 12:
		do(t, h.db, fmt.Sprintf("PRAGMA user_version=%d", id), fmt.Sprintf("PRAGMA application_id=%d", id))
	case 13:
		do(t, h.db, "PRAGMA journal_mode=wal")
	case 14: // In WAL mode the page size would stay.
		do(t, h.db, "PRAGMA journal_mode=delete", fmt.Sprintf("PRAGMA page_size=%d", 512<<(id%8)),
			fmt.Sprintf("PRAGMA auto_vacuum=%d", id%3), "VACUUM")
	case 15:
		do(t, h.db, "PRAGMA wal_checkpoint("+[]string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"}[id%4]+")")
	case 16:
		do(t, h.db, "PRAGMA journal_mode=delete", "REINDEX", "ANALYZE")
	case 17:
		h.uncommitted()
	}
}

// uncommitted has another connection write without committing while a point is taken.
func (h *history) uncommitted() {
	t := h.chain.t
	other := openDB(t, h.chain.source)
	do(t, other, "BEGIN IMMEDIATE", "UPDATE plain SET name = 'never'", "DELETE FROM keyed")
	h.chain.add("")
	do(t, other, "ROLLBACK")
	if err := other.Close(); err != nil { // or the journal mode could not change
		t.Fatal(err)
	}
}

// sameFile compares the hash of a point with the file itself, once everything is in it.
func (h *history) sameFile(rt *rapid.T, p point) {
	t := h.chain.t
	if !rapid.Bool().Draw(rt, "compare the file") {
		return
	}
	do(t, h.db, "PRAGMA wal_checkpoint(TRUNCATE)")
	sum := sha256.Sum256(read(t, h.chain.source))
	if got := hex.EncodeToString(sum[:]); got != p.decode(t).DBSHA256 {
		t.Fatalf("the file is %s, the point %s", got, p.decode(t).DBSHA256)
	}
}

// sameDump restores the newest point with the stock program and compares its dump with
// that of the database, which has not changed since.
func (h *history) sameDump() {
	t, i := h.chain.t, len(h.chain.points)-1
	restored, err := h.chain.stock(i)
	if err != nil {
		t.Fatalf("restore point %d with the stock program: %v", i+1, err)
	}
	want, err := stockSQL(t, h.chain.source, ".dump")
	if err != nil {
		t.Fatal(err)
	}
	got, err := stockSQL(t, restored, ".dump")
	if err != nil {
		t.Fatal(err)
	}
	if got != want || len(want) < 500 {
		t.Fatalf("point %d: the dump of %s has %d bytes, that of the source %d", i+1, filepath.Base(restored), len(got), len(want))
	}
}
