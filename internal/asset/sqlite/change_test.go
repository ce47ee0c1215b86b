package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/durable"
)

// changes are enough statements to be stopped between.
func changes(tx sqlite.Tx) error {
	for _, s := range []string{"UPDATE booking SET who = 'new'", "DELETE FROM booking WHERE id % 7 = 0", "CREATE TABLE more (a)", "INSERT INTO more VALUES (1)"} {
		if _, err := tx.Exec(s); err != nil {
			return err
		}
	}
	return nil
}

func TestChangeSurvivesKill(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		older := filepath.Join(t.TempDir(), "old.db")
		db := openDB(t, older, "page_size=512", "synchronous=OFF")
		fill(t, db, 3000)
		do(t, db, "PRAGMA journal_mode="+mode, "UPDATE booking SET who = 'old'")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		before := inspect(t, older)
		seen := map[string]int{}
		sweep(t, "change", func(live string) (string, string) {
			write(t, live, read(t, older))
			return older, before.Content
		}, func(live, keep string, killed bool) {
			now := inspect(t, live)
			_, more := now.Rows["more"]
			switch {
			case now.Content == before.Content:
				seen["old"]++
				if !killed {
					t.Error("it ended well and nothing has changed")
				}
			case more && now.Rows["more"] == 1:
				seen["new"]++
				if kept := inspect(t, keep); kept.Content != before.Content {
					t.Error("the new state stands and the old one was not kept")
				}
			default:
				t.Errorf("neither old nor new: %+v", now)
			}
			sound(t, live)
		})
		if seen["old"] == 0 || seen["new"] == 0 {
			t.Errorf("%s: states seen: %v, want both", mode, seen)
		}
	}
}

// TestChangeFails fails at every point: before the commit nothing is left, after it the end
// is called unclear, and it is done.
func TestChangeFails(t *testing.T) {
	for n := 1; ; n++ {
		path := filepath.Join(t.TempDir(), "x.db")
		db := openDB(t, path, "journal_mode=WAL")
		fill(t, db, 200)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		before, left := inspect(t, path), n
		point := ""
		c := sqlite.Change{Path: path, Want: before.Content, Keep: path + ".kept"}.WithBeat(func(p string) error {
			if left--; left == 0 {
				point = p
				return errFault
			}
			return nil
		})
		_, err := c.Do(t.Context(), changes)
		if point == "" {
			if err != nil || n < 6 {
				t.Errorf("%d points, %v", n, err)
			}
			return
		}
		now := inspect(t, path)
		_, serr := os.Stat(path + ".kept")
		switch {
		case !errors.Is(err, errFault):
			t.Errorf("at %s: %v", point, err)
		case point == "committed" && (!errors.Is(err, durable.ErrUnclear) || now.Content == before.Content || serr != nil):
			t.Errorf("at %s: %v, kept %v", point, err, serr)
		case point != "committed" && (errors.Is(err, durable.ErrUnclear) || now.Content != before.Content || serr == nil):
			t.Errorf("at %s: %v, kept %v", point, err, serr)
		}
	}
}

// TestChangeConfined: statements, and what a hostile schema sets off, stay in the database.
func TestChangeConfined(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	db := openDB(t, path)
	fill(t, db, 10)
	do(t, db, "CREATE TABLE t (a)", "CREATE VIEW v AS SELECT fts3_tokenizer('simple') AS a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := inspect(t, path)
	for _, s := range []string{
		"ATTACH '" + dir + "/other.db' AS o", "VACUUM INTO '" + dir + "/other.db'", "COMMIT", "ROLLBACK", "SAVEPOINT x", "BEGIN",
		"SELECT load_extension('x')", "INSERT INTO t SELECT a FROM v", "PRAGMA writable_schema=ON", "PRAGMA journal_mode=DELETE",
		"DELETE FROM sqlite_schema", "UPDATE sqlite_schema SET sql = 'x'", "INSERT INTO t VALUES (1); COMMIT",
		"CREATE VIRTUAL TABLE z USING sqlite_dbpage",
	} {
		_, err := sqlite.Change{Path: path, Want: before.Content}.Do(t.Context(), func(tx sqlite.Tx) error {
			if _, err := tx.Exec("INSERT INTO t VALUES (7)"); err != nil {
				t.Fatal(err)
			}
			_, err := tx.Exec(s)
			return err
		})
		if err == nil {
			t.Errorf("%q was executed", s)
		}
		if now := inspect(t, path); now.Content != before.Content {
			t.Errorf("%q changed the database", s)
		}
	}
	if _, err := os.Stat(dir + "/other.db"); err == nil {
		t.Error("another file was made")
	}
	if _, err := (sqlite.Change{Path: path, Want: "other"}).Do(t.Context(), changes); !errors.Is(err, sqlite.ErrChanged) {
		t.Errorf("another content: %v, want ErrChanged", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := sqlite.Change{Path: path, Want: before.Content}.Do(ctx, func(tx sqlite.Tx) error {
		defer cancel()
		return changes(tx)
	})
	if !errors.Is(err, context.Canceled) || inspect(t, path).Content != before.Content {
		t.Errorf("cancelled: %v", err)
	}
}
