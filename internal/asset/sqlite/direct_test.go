package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/asset/sqlite"
)

// TestDirectEqualsSQLite reads one pinned state both ways, again and again, while
// another process writes, copies its log into the file and begins it anew.
func TestDirectEqualsSQLite(t *testing.T) {
	for name, tt := range map[string]struct {
		pragmas []string
		env     map[string]string
	}{
		"wal":                          {[]string{"page_size=1024", "journal_mode=WAL"}, nil},
		"wal, locks of a process":      {[]string{"page_size=4096", "auto_vacuum=2", "journal_mode=WAL"}, map[string]string{"PROCESS_LOCKS": "1"}},
		"rollback":                     {[]string{"page_size=1024", "auto_vacuum=1"}, nil},
		"rollback, locks of a process": {[]string{"page_size=512"}, map[string]string{"PROCESS_LOCKS": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			path, db := database(t, append(tt.pragmas, "synchronous=OFF")...)
			makeLedger(t, db)
			stop := writer(t, path, tt.env)
			seen := map[string]bool{}
			direct, rounds := 0, 0
			// A slow machine gets more time for as much.
			enough := func() bool { return direct >= 5 && len(seen) >= 3 }
			for began := time.Now(); time.Since(began) < 900*time.Millisecond || !enough() && time.Since(began) < time.Minute; rounds++ {
				file, through, ok, err := sqlite.BothWays(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					continue
				}
				direct++
				if file.DBSHA256 != through.DBSHA256 || file.Content != through.Content {
					t.Fatalf("round %d: the file gives %s, SQLite %s", rounds, file.DBSHA256, through.DBSHA256)
				}
				seen[file.DBSHA256] = true
			}
			stop()
			if !enough() {
				t.Errorf("of %d rounds %d were direct with %d states: the test shows little", rounds, direct, len(seen))
			}
		})
	}
}

// TestDirectLeavesLocks holds that reading the file beside SQLite drops no lock of
// another connection of this process.
func TestDirectLeavesLocks(t *testing.T) {
	path, db := database(t)
	fill(t, db, 300)
	do(t, db, "BEGIN IMMEDIATE", "UPDATE booking SET who = 'mine' WHERE id = 1")
	if _, _, ok, err := sqlite.BothWays(t.Context(), path); err != nil || !ok {
		t.Fatalf("read beside a writer: direct %v, %v", ok, err)
	}
	if b, err := os.ReadFile(path); err != nil || len(b) == 0 { // opens and closes it
		t.Fatal(err)
	}
	needSQLite3(t)
	if out, err := stockSQL(t, path, ".timeout 50", "UPDATE booking SET who = 'theirs' WHERE id = 2"); err == nil {
		t.Errorf("another process could write while a connection of this one held the lock: %s", out)
	}
	do(t, db, "COMMIT")
}

// TestDirectRefuses holds that what is not certain is read through SQLite, and gives
// the same.
func TestDirectRefuses(t *testing.T) {
	t.Run("a log with many pages", func(t *testing.T) {
		path, db := database(t, "page_size=1024", "journal_mode=WAL", "wal_autocheckpoint=0")
		fill(t, db, 3000)
		if _, _, direct, err := sqlite.BothWays(t.Context(), path); err != nil || direct {
			t.Errorf("direct %v, %v", direct, err)
		}
		do(t, db, "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE booking SET who = 'x' WHERE id = 7")
		file, through, direct, err := sqlite.BothWays(t.Context(), path)
		if err != nil || !direct || file.DBSHA256 != through.DBSHA256 {
			t.Errorf("with a short log: direct %v, %v", direct, err)
		}
	})
	t.Run("a link", func(t *testing.T) {
		path, db := database(t, "journal_mode=WAL")
		fill(t, db, 300)
		do(t, db, "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE booking SET who = 'x' WHERE id = 7")
		link := filepath.Join(t.TempDir(), "link.db")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		file, through, direct, err := sqlite.BothWays(t.Context(), link)
		if err != nil || !direct || file.DBSHA256 != through.DBSHA256 {
			t.Errorf("through a link: direct %v, %v", direct, err)
		}
	})
}

// TestCaptureBesideAnotherProcess takes a chain of points while another process writes.
// Every point keeps what that process keeps, restored by Lifeboat and with the stock
// program.
func TestCaptureBesideAnotherProcess(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			path, db := database(t, "page_size=1024", "auto_vacuum=2", "journal_mode="+mode, "synchronous=OFF")
			makeLedger(t, db)
			stop := writer(t, path, nil)
			c := &chain{t: t, source: path}
			was := -1
			for range 5 {
				c.add("")
				was = movedOn(t, db, was)
			}
			stop()
			seen := map[string]bool{}
			for i, p := range c.points {
				keeps(t, p.kind+" point", c.restore(i))
				seen[p.decode(t).DBSHA256] = true
			}
			if len(seen) < 3 {
				t.Error("hardly anything was written meanwhile; the test shows little")
			}
			compareStock(t, c)
		})
	}
}
