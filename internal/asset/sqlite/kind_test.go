package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"lifeboat/internal/asset/sqlite"
)

func TestCaptureChain(t *testing.T) {
	path, db := database(t, "journal_mode=WAL", "user_version=7", "application_id=42")
	fill(t, db, 500)
	c := &chain{t: t, source: path}
	f := c.add("full").decode(t)
	if f.UserVersion != 7 || f.ApplicationID != 42 || f.JournalMode != "wal" || f.Rows["booking"] != 500 || f.PageSize != 4096 {
		t.Errorf("facts %+v", f)
	}
	if p := c.add("unchanged"); len(p.objects) != 0 {
		t.Errorf("an unchanged point made objects: %v", p.names)
	}
	do(t, db, "UPDATE booking SET who = 'moved' WHERE id = 250")
	p := c.add("incremental")
	if f := p.decode(t); len(f.CommitOffsets) != 1 || f.CommitOffsets[0] != int64(len(p.objects["delta"])) {
		t.Errorf("commit offsets %v, the log has %d bytes", f.CommitOffsets, len(p.objects["delta"]))
	}
	do(t, db, "DELETE FROM booking WHERE id > 10", "VACUUM")
	c.add("full")
	fill(t, db, 1)
	c.add("")
	if _, err := os.Stat(c.restore(0)); err != nil {
		t.Error(err)
	}
}

func TestCaptureFallsBackToFull(t *testing.T) {
	for name, change := range map[string]struct {
		do  func(t *testing.T, c *chain)
		why string
	}{
		"no index":    {func(t *testing.T, c *chain) { c.index = nil }, "cannot be read"},
		"cut index":   {func(t *testing.T, c *chain) { c.index = c.index[:len(c.index)/2] }, "cut off"},
		"cut trailer": {func(t *testing.T, c *chain) { c.index = c.index[:len(c.index)-1] }, "bad end"},
		"garbage":     {func(t *testing.T, c *chain) { c.index = []byte("no index at all, but some text") }, "does not begin"},
		"other point": {func(t *testing.T, c *chain) { c.index[len(c.index)-1] ^= 1 }, "belongs to another point"},
		"other size":  {func(t *testing.T, c *chain) { c.index[23] ^= 1 }, "of another point"},
		"much has changed": {func(t *testing.T, c *chain) {
			do(t, openDB(t, c.source), "UPDATE booking SET note = randomblob(200)")
		}, "pages have changed"},
		"page size": {func(t *testing.T, c *chain) {
			do(t, openDB(t, c.source), "PRAGMA page_size=1024", "VACUUM")
		}, "the page size has changed from 4096 to 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			path, db := database(t)
			fill(t, db, 300)
			c := &chain{t: t, source: path}
			c.add("full")
			change.do(t, c)
			p := c.add("full")
			if !strings.Contains(p.log, change.why) {
				t.Errorf("log %q does not say %q", p.log, change.why)
			}
		})
	}
}

// TestCaptureWhileWriting takes points while another connection writes as fast as it
// can; transfers keep a sum, so a torn state would show.
func TestCaptureWhileWriting(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			path, db := database(t, "journal_mode="+mode, "synchronous=OFF")
			fill(t, db, 2000)
			do(t, db, "CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER)",
				"INSERT INTO account (cents) SELECT 100 FROM booking")
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			begun := make(chan struct{})
			writer := openDB(t, path)
			go func() {
				r := rand.New(rand.NewPCG(1, 2))
				for n := 0; ; n++ {
					a, b := 1+r.IntN(2000), 1+r.IntN(2000)
					_, err := writer.ExecContext(ctx, fmt.Sprintf(`BEGIN IMMEDIATE;
						UPDATE account SET cents = cents - 1 WHERE id = %d;
						UPDATE account SET cents = cents + 1 WHERE id = %d;
						INSERT INTO booking (who, note) VALUES ('%d', randomblob(100)); COMMIT`, a, b, n))
					if ctx.Err() != nil {
						done <- nil
						return
					}
					if err != nil {
						done <- err
						return
					}
					if n == 10 {
						close(begun)
					}
				}
			}()
			<-begun
			c := &chain{t: t, source: path}
			for range 5 {
				c.add("")
			}
			stop()
			if err := <-done; err != nil {
				t.Fatalf("the writer was disturbed: %v", err)
			}
			for i := range c.points {
				replica := openDB(t, c.restore(i))
				var sum int64
				if err := replica.QueryRowContext(t.Context(), "SELECT sum(cents) FROM account").Scan(&sum); err != nil {
					t.Fatal(err)
				}
				if sum != 200000 {
					t.Errorf("point %d holds a sum of %d, want 200000: a torn state", i+1, sum)
				}
			}
			if c.points[0].decode(t).DBSHA256 == c.points[4].decode(t).DBSHA256 {
				t.Error("nothing was written meanwhile; the test shows nothing")
			}
		})
	}
}

// TestCaptureLeavesSource holds that reading changes nothing of a database at rest.
func TestCaptureLeavesSource(t *testing.T) {
	path, db := database(t)
	fill(t, db, 100)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{t: t, source: path}
	c.add("full")
	replica := c.restore(0)
	same(t, path, replica)
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("the source was changed")
	}
}

func TestCaptureStopsWithContext(t *testing.T) {
	path, db := database(t)
	fill(t, db, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	create := func(role, name string) (io.WriteCloser, error) {
		cancel()
		return &object{close: func([]byte) { t.Errorf("%s was stored", role) }}, nil
	}
	_, _, err := sqlite.Kind{}.Capture(ctx, path, nil, nil, create, nil, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Capture = %v, want context.Canceled", err)
	}
}

// faulty fails at its n-th write or at its close; then what was written may or may not
// be there, and Capture must say that it failed either way.
type faulty struct {
	left    *int
	stored  bool
	kept    map[string]bool
	role    string
	onClose bool
}

var errFault = errors.New("fault")

func (f *faulty) Write(p []byte) (int, error) {
	if !f.onClose {
		if *f.left--; *f.left < 0 {
			return 0, errFault
		}
	}
	return len(p), nil
}

func (f *faulty) Close() error {
	if f.onClose {
		if *f.left--; *f.left < 0 {
			f.kept[f.role] = f.stored
			return errFault
		}
	}
	f.kept[f.role] = true
	return nil
}

func TestCaptureReportsEveryFailedWrite(t *testing.T) {
	path, db := database(t)
	fill(t, db, 2000)
	c := &chain{t: t, source: path}
	c.add("full")
	do(t, db, "UPDATE booking SET who = 'x' WHERE id = 5")
	for _, parent := range []bool{false, true} {
		for _, onClose := range []bool{false, true} {
			for _, stored := range []bool{false, true} {
				for n := 0; ; n++ {
					left, kept := n, map[string]bool{}
					create := func(role, name string) (io.WriteCloser, error) {
						return &faulty{left: &left, kept: kept, role: role, onClose: onClose, stored: stored}, nil
					}
					open := func(string) (io.ReadCloser, error) {
						return io.NopCloser(strings.NewReader(string(c.index))), nil
					}
					var facts []byte
					if parent {
						facts = c.points[0].facts
					}
					_, _, err := sqlite.Kind{}.Capture(t.Context(), path, facts, open, create, nil, nil)
					if left >= 0 {
						if err != nil || n == 0 {
							t.Fatalf("without a fault: %v after %d writes", err, n)
						}
						break
					}
					if !errors.Is(err, errFault) {
						t.Fatalf("parent %v, close %v, fault %d: Capture = %v, want the fault", parent, onClose, n, err)
					}
				}
			}
		}
	}
}
