package sqlite_test

import (
	"fmt"
	"testing"
)

// TestCaptureMatrix takes databases of every page size, journal mode and auto_vacuum
// through growth and loss. Every point is restored, the newest with the stock program
// too, which applies every difference on the way.
func TestCaptureMatrix(t *testing.T) {
	for _, pageSize := range []int{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536} {
		for _, mode := range []string{"delete", "wal"} {
			for vacuum := range 3 {
				t.Run(fmt.Sprintf("%d %s auto_vacuum %d", pageSize, mode, vacuum), func(t *testing.T) {
					t.Parallel()
					matrix(t, pageSize, mode, vacuum)
				})
			}
		}
	}
}

func matrix(t *testing.T, pageSize int, mode string, vacuum int) {
	path, db := database(t, fmt.Sprintf("page_size=%d", pageSize), fmt.Sprintf("auto_vacuum=%d", vacuum),
		"journal_mode="+mode, "synchronous=OFF")
	rows := func(n int) string {
		return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) ", n)
	}
	// A row to a page. What stays comes first, so that VACUUM does not move it.
	kept, lost := 20, 90
	blob := fmt.Sprintf("randomblob(%d)", pageSize*3/5)
	do(t, db, "CREATE TABLE stays (id INTEGER PRIMARY KEY, data BLOB)",
		rows(kept)+"INSERT INTO stays SELECT i, "+blob+" FROM n",
		"CREATE TABLE goes (id INTEGER PRIMARY KEY, data BLOB)",
		rows(lost)+"INSERT INTO goes SELECT i, "+blob+" FROM n", "VACUUM")
	c := &chain{t: t, source: path}
	first := c.add("full").decode(t)
	if first.PageSize != pageSize || int(first.Pages) < kept+lost {
		t.Fatalf("facts %+v", first)
	}
	do(t, db, "UPDATE stays SET data = "+blob+" WHERE id = 3")
	c.add("incremental")
	do(t, db, rows(14)+"INSERT INTO goes (data) SELECT "+blob+" FROM n", "CREATE INDEX size ON stays (length(data))")
	grown := c.add("incremental").decode(t)
	if grown.Pages <= first.Pages {
		t.Errorf("%d pages after growth, %d before", grown.Pages, first.Pages)
	}
	// 84 % of the rows, from the end: with auto_vacuum the file is cut at once.
	do(t, db, "DROP INDEX size", fmt.Sprintf("DELETE FROM goes WHERE id > %d", (kept+lost)*16/100), "PRAGMA incremental_vacuum")
	less := c.add("").decode(t)
	if vacuum > 0 && less.Pages > grown.Pages/2 {
		t.Errorf("auto_vacuum left %d of %d pages", less.Pages, grown.Pages)
	}
	do(t, db, "DROP TABLE goes", "VACUUM")
	least := c.add("").decode(t)
	if least.Pages > first.Pages/3 {
		t.Errorf("VACUUM left %d of %d pages", least.Pages, first.Pages)
	}
	do(t, db, "PRAGMA user_version=5")
	if f := c.add("incremental").decode(t); f.UserVersion != 5 {
		t.Errorf("user_version %d", f.UserVersion)
	}
	c.add("unchanged")
	compareStock(t, c)
	for i, p := range c.points {
		if pageSize == 4096 && vacuum == 1 && p.kind != "unchanged" {
			if _, err := c.stock(i); err != nil {
				t.Errorf("point %d with the stock program: %v", i+1, err)
			}
		}
	}
}

// TestCaptureShrinksInDifference cuts a database to a sixth by a difference: the commit
// of the log says how short it is.
func TestCaptureShrinksInDifference(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			path, db := database(t, "page_size=1024", "auto_vacuum=1", "journal_mode="+mode)
			do(t, db, "CREATE TABLE goes (data BLOB)", "CREATE TABLE stays (data BLOB)",
				"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO stays SELECT randomblob(800) FROM n",
				"INSERT INTO goes VALUES (zeroblob(520000))")
			c := &chain{t: t, source: path}
			before := c.add("full").decode(t)
			do(t, db, "DELETE FROM goes")
			after := c.add("incremental").decode(t)
			if after.Pages*5 > before.Pages {
				t.Errorf("%d of %d pages are left; the test shows little", after.Pages, before.Pages)
			}
			do(t, db, "INSERT INTO goes VALUES (zeroblob(30000))")
			c.add("incremental")
			compareStock(t, c)
		})
	}
}

func compareStock(t tb, c *chain) {
	t.Helper()
	needSQLite3(t)
	last := len(c.points) - 1
	got, err := c.stock(last)
	if err != nil {
		t.Fatal(err)
	}
	same(t, c.restore(last), got)
}
