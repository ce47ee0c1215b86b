package sqlite_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
)

// soon fails the test when f waits for something that never comes.
func soon(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
	}
}

func pipe(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// closed makes a database that no program has open.
func closed(t *testing.T, pragmas ...string) string {
	t.Helper()
	path, db := database(t, pragmas...)
	fill(t, db, 400)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNoRegularFile holds that named pipes, directories and links in the place of a
// database or of what belongs to it give an error at once, and are left alone.
func TestNoRegularFile(t *testing.T) {
	for _, suffix := range []string{"", "-wal", "-journal", "-shm"} {
		for name, put := range map[string]func(t *testing.T, path string){
			"pipe":      pipe,
			"directory": func(t *testing.T, path string) { mkdir(t, path) },
			"link to a pipe": func(t *testing.T, path string) {
				pipe(t, path+"-there")
				if err := os.Symlink(path+"-there", path); err != nil {
					t.Fatal(err)
				}
			},
		} {
			for _, mode := range []string{"delete", "wal"} {
				t.Run(fmt.Sprintf("%s as database%s, %s", name, suffix, mode), func(t *testing.T) {
					path := closed(t, "journal_mode="+mode)
					if suffix == "" {
						if err := os.Remove(path); err != nil {
							t.Fatal(err)
						}
					}
					put(t, path+suffix)
					soon(t, func() {
						c := &chain{t: t, source: path}
						if _, err := c.capture(true); err == nil || len(hint.All(err)) == 0 || !strings.Contains(err.Error(), "regular file") && !strings.Contains(err.Error(), "directory") {
							t.Errorf("Capture = %v %q", err, hint.All(err))
						}
						if _, err := sqlite.Open(t.Context(), path, sqlite.WriteLive); err == nil {
							t.Error("it was opened for writing")
						}
					})
					if info, err := os.Lstat(path + suffix); err != nil || info.Mode().IsRegular() {
						t.Errorf("what stood there is gone: %v", err)
					}
				})
			}
		}
	}
}

// TestNoRegularObject holds the same of what a point is put together from.
func TestNoRegularObject(t *testing.T) {
	k := sqlite.Kind{}
	soon(t, func() {
		dir := t.TempDir()
		object := filepath.Join(t.TempDir(), "object")
		pipe(t, object)
		if err := k.Apply(t.Context(), dir, "base", object, io.Discard); err == nil {
			t.Error("a pipe was taken for a base")
		}
		replica := filepath.Join(dir, sqlite.ReplicaName)
		pipe(t, replica)
		if _, err := k.Prove(t.Context(), dir, []byte(`{"db_sha256":"x"}`), true, io.Discard); err == nil {
			t.Error("a pipe was proven")
		}
		if err := k.Apply(t.Context(), dir, "delta", object, io.Discard); err == nil {
			t.Error("a pipe was written to")
		}
	})
}

// patched changes bytes of a closed database.
func patched(t *testing.T, path string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLyingHeader has headers that claim what the file does not hold.
func TestLyingHeader(t *testing.T) {
	u32 := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for name, tt := range map[string]struct {
		at    int64
		bytes []byte
		text  string
	}{
		"4 billion pages":    {28, u32(0xfffffffe), "malformed"},
		"one page more":      {28, u32(1 << 20), "malformed"},
		"page size 3":        {16, []byte{0, 3}, "not a database"},
		"page size 0":        {16, []byte{0, 0}, "not a database"},
		"later file format":  {18, []byte{9, 9}, "not a database"},
		"reserved all":       {20, []byte{255, 64}, "not a database"},
		"unknown schema":     {44, u32(77), "unsupported file format"},
		"encoding of nobody": {56, u32(99), ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := closed(t, "page_size=512")
			patched(t, path, tt.at, tt.bytes)
			before := read(t, path)
			c := &chain{t: t, source: path}
			p, err := c.capture(true)
			if tt.text == "" && err == nil { // SQLite lives with it; then so does the point
				c.push(p)
				same(t, path, c.restore(0))
			} else if err == nil || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), filepath.Base(path)) {
				t.Errorf("Capture = %v, want %q", err, tt.text)
			}
			if !bytes.Equal(before, read(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
	t.Run("as a base", func(t *testing.T) {
		path := closed(t)
		patched(t, path, 28, u32(0xfffffffe))
		k := sqlite.Kind{}
		if err := k.Check(t.Context(), "base", bytes.NewReader(read(t, path))); !errors.Is(err, sqlite.ErrDamaged) {
			t.Errorf("Check = %v", err)
		}
		if err := k.Apply(t.Context(), t.TempDir(), "base", path, io.Discard); !errors.Is(err, sqlite.ErrDamaged) {
			t.Errorf("Apply = %v", err)
		}
	})
}

// TestCutInTheMiddle cuts a database anywhere. What can still be read as one is
// captured as it is, and the full proof finds it unsound.
func TestCutInTheMiddle(t *testing.T) {
	for _, legacy := range []bool{false, true} { // written by a SQLite that kept no count of pages
		for _, share := range []int64{1, 30, 50, 99} {
			t.Run(fmt.Sprintf("%d %%, legacy %v", share, legacy), func(t *testing.T) {
				path := closed(t)
				if legacy {
					patched(t, path, 92, []byte{0, 0, 0, 0})
				}
				size := int64(len(read(t, path))) * share / 100
				if err := os.Truncate(path, size); err != nil {
					t.Fatal(err)
				}
				c := &chain{t: t, source: path}
				p, err := c.capture(true)
				if err != nil {
					if !errors.Is(err, sqlite.ErrDamaged) || len(hint.All(err)) == 0 {
						t.Errorf("Capture = %v", err)
					}
					return
				}
				// A part of the last page is read with zeros for the rest.
				if !legacy && share < 99 {
					t.Error("it was captured")
				}
				unsound(t, p)
			})
		}
	}
}

// unsound holds that a point restores, and that the full proof finds fault with it.
func unsound(t *testing.T, p point) {
	t.Helper()
	dir := t.TempDir()
	object := filepath.Join(t.TempDir(), "base")
	write(t, object, p.objects["base"])
	if err := (sqlite.Kind{}).Apply(t.Context(), dir, "base", object, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := (sqlite.Kind{}).Prove(t.Context(), dir, p.facts, true, io.Discard); !errors.Is(err, sqlite.ErrDamaged) {
		t.Errorf("Prove(full) = %v, want ErrDamaged", err)
	}
}

// TestTailOfNoPage leaves out what is no whole page, as SQLite does.
func TestTailOfNoPage(t *testing.T) {
	path := closed(t)
	whole := read(t, path)
	write(t, path, append(bytes.Clone(whole), "some bytes at the end"...))
	c := &chain{t: t, source: path}
	c.add("full")
	if !bytes.Equal(c.points[0].objects["base"], whole) {
		t.Error("the point is not the database")
	}
}

// TestForeignLog puts logs beside a database that are not its own. What counts is what
// SQLite sees.
func TestForeignLog(t *testing.T) {
	donor, ddb := database(t, "journal_mode=WAL")
	fill(t, ddb, 400)
	do(t, ddb, "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE booking SET who = 'of another database' WHERE id < 5")
	log := read(t, donor+"-wal")
	salted := bytes.Clone(log)
	salted[16] ^= 0xff // the header only: its checksum is wrong
	frame := bytes.Clone(log)
	frame[32+8] ^= 0xff // the first frame is left of an earlier log
	for name, tt := range map[string]struct {
		log     []byte
		ignored bool
	}{
		"salts of the header": {salted, true}, "salts of the frames": {frame, true},
		"cut in a frame": {log[:len(log)/2], false}, "whole": {log, false}, "empty": {nil, true}, "text": {[]byte("no log"), true},
	} {
		for _, mode := range []string{"wal", "delete"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				path := closed(t, "journal_mode="+mode)
				before := read(t, path)
				write(t, path+"-wal", tt.log)
				file, through, _, err := sqlite.BothWays(t.Context(), path)
				if err != nil && !errors.Is(err, sqlite.ErrDamaged) {
					t.Fatal(err)
				}
				if file.DBSHA256 != through.DBSHA256 {
					t.Errorf("the file gives %s, SQLite %s", file.DBSHA256, through.DBSHA256)
				}
				if !bytes.Equal(before, read(t, path)) {
					t.Error("the file was changed")
				}
				c := &chain{t: t, source: path}
				p, err := c.capture(true)
				if tt.ignored && (err != nil || !bytes.Equal(p.objects["base"], before)) {
					t.Errorf("the log was not ignored: %v", err)
				}
			})
		}
	}
}

// TestFlippedBytes flips bytes all over a database. Each is captured as it is or not at
// all; never does it hang, change the file, or restore to something else.
func TestFlippedBytes(t *testing.T) {
	path, db := database(t, "page_size=512", "auto_vacuum=1")
	fill(t, db, 60)
	do(t, db, "CREATE TABLE child (p INTEGER REFERENCES booking (id), c CHECK (c > 0), g AS (p + 1))",
		"INSERT INTO child VALUES (1, 1)", "DELETE FROM booking WHERE id BETWEEN 20 AND 40")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	sound := read(t, path)
	bad := filepath.Join(t.TempDir(), "bad.db")
	captured, refused := 0, 0
	flip := func(at int) {
		b := bytes.Clone(sound)
		b[at] ^= 0xa5
		write(t, bad, b)
		c := &chain{t: t, source: bad}
		p, err := c.capture(true)
		if !bytes.Equal(b, read(t, bad)) {
			t.Fatalf("byte %d: the file was changed", at)
		}
		if err != nil {
			refused++
			return
		}
		captured++
		if !bytes.Equal(p.objects["base"], b) {
			t.Errorf("byte %d: the point is not the file", at)
		}
		dir := t.TempDir()
		if err := (sqlite.Kind{}).Apply(t.Context(), dir, "base", bad, io.Discard); err != nil {
			return // said at once
		}
		// Whether it is sound is for SQLite to say; that it is the point is certain.
		_, err = sqlite.Kind{}.Prove(t.Context(), dir, p.facts, true, io.Discard)
		if err != nil && strings.Contains(err.Error(), "SHA-256") {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	for at := range 120 {
		flip(at)
	}
	for at := 121; at < len(sound); at += 173 {
		flip(at)
	}
	if captured == 0 || refused == 0 {
		t.Errorf("%d captured, %d refused; the test shows little", captured, refused)
	}
}

// TestHostileContent has a schema that would act, or fill the screen, if anything ran or
// printed it.
func TestHostileContent(t *testing.T) {
	path, db := database(t, "journal_mode=WAL")
	do(t, db, "CREATE TABLE b (x CHECK (x <> 'never'), y AS (abs(x)), z DEFAULT (hex(randomblob(8))))",
		"INSERT INTO b (x) VALUES (1), (2)", "CREATE INDEX by_sum ON b (x + y)",
		"CREATE TRIGGER empties AFTER INSERT ON b BEGIN DELETE FROM b; END",
		"CREATE VIEW evil AS SELECT load_extension('evil') AS e",
		"CREATE TRIGGER loads INSTEAD OF DELETE ON evil BEGIN SELECT load_extension('evil'); END",
		"CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
		"CREATE TABLE \"\x1b]0;owned\x07\u202egnp.exe\" (a)",
		fmt.Sprintf("CREATE TABLE \"%s\" (a)", strings.Repeat("n", 5000)),
		"CREATE TABLE wide (a TEXT DEFAULT '"+strings.Repeat("d", 1_000_000)+"')",
		"PRAGMA writable_schema=ON",
		"INSERT INTO sqlite_schema VALUES ('trigger', 'starts', 'b', 0, 'CREATE TRIGGER starts BEFORE UPDATE ON b BEGIN DELETE FROM b; END')",
		"PRAGMA writable_schema=OFF")
	c := &chain{t: t, source: path}
	f := c.add("full").decode(t)
	if f.Rows["b"] != 2 || len(f.Rows) != 3 || !f.RowsPartial || !f.TablesCut {
		t.Errorf("facts %+v", f)
	}
	do(t, db, "PRAGMA user_version=1")
	c.add("incremental")
	if now := inspect(t, path); now.Rows["b"] != 2 {
		t.Errorf("a trigger ran: %v", now.Rows)
	}
	compareStock(t, c)
}

// TestSchemaThatCannotBeRead has statements in its schema that SQLite does not
// understand. Its message repeats a name, which is left to who prints it.
func TestSchemaThatCannotBeRead(t *testing.T) {
	for name, statement := range map[string]string{
		"cut off":           "CREATE TABLE \x1b[2J (((",
		"dangerous column":  "CREATE TABLE booking (id INTEGER PRIMARY KEY, who AS (load_extension(''evil'')), note)",
		"another statement": "DROP TABLE booking",
	} {
		t.Run(name, func(t *testing.T) {
			path, db := database(t)
			fill(t, db, 10)
			conn, err := db.Conn(t.Context()) // which reads the schema no more
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{"PRAGMA writable_schema=ON", "UPDATE sqlite_schema SET sql = '" + statement + "' WHERE name = 'booking'"} {
				if _, err := conn.ExecContext(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(conn.Close(), db.Close()); err != nil {
				t.Fatal(err)
			}
			before := read(t, path)
			c := &chain{t: t, source: path}
			if _, err := c.capture(true); !errors.Is(err, sqlite.ErrDamaged) || len(hint.All(err)) == 0 {
				t.Errorf("Capture = %v, want ErrDamaged with advice", err)
			}
			if !bytes.Equal(before, read(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
}

// TestManyTables holds the bounds of what facts name.
func TestManyTables(t *testing.T) {
	path, db := database(t, "synchronous=OFF")
	do(t, db, "BEGIN")
	for n := range 1050 {
		do(t, db, fmt.Sprintf("CREATE TABLE t%04d (a)", n))
	}
	do(t, db, "INSERT INTO t0003 VALUES (1)", "COMMIT")
	f := (&chain{t: t, source: path}).add("full").decode(t)
	if len(f.Rows) != 500 || f.Rows["t0003"] != 1 || len(f.Uncounted) != 500 || !f.RowsPartial || !f.TablesCut {
		t.Errorf("%d counted, %d named, partial %v, cut %v", len(f.Rows), len(f.Uncounted), f.RowsPartial, f.TablesCut)
	}
}
