package sqlite_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
)

func TestCaptureBadSource(t *testing.T) {
	garbage := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	for name, tt := range map[string]struct {
		make   func(t *testing.T, path string)
		is     error
		text   string // in the message
		advice string
	}{
		"missing":   {func(t *testing.T, path string) {}, fs.ErrNotExist, "", "sqlite.restore"},
		"directory": {func(t *testing.T, path string) { mkdir(t, path) }, nil, "it is a directory", "name the database file"},
		"dangling link": {func(t *testing.T, path string) {
			if err := os.Symlink("nowhere", path); err != nil {
				t.Fatal(err)
			}
		}, fs.ErrNotExist, "", `symbolic link to "nowhere"`},
		"0 bytes":   {func(t *testing.T, path string) { write(t, path, nil) }, sqlite.ErrDamaged, "0 bytes", "sqlite.restore"},
		"1 byte":    {func(t *testing.T, path string) { write(t, path, []byte("x")) }, sqlite.ErrDamaged, "", "encrypted"},
		"text":      {func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("no database\n", 500))) }, sqlite.ErrDamaged, "", "encrypted"},
		"encrypted": {func(t *testing.T, path string) { write(t, path, garbage) }, sqlite.ErrDamaged, "not a database", "encrypted"},
		"header only": {func(t *testing.T, path string) {
			h := make([]byte, 100)
			copy(h, "SQLite format 3\x00")
			binary.BigEndian.PutUint16(h[16:], 4096)
			h[18], h[19], h[21], h[22], h[23] = 1, 1, 64, 32, 32
			write(t, path, h)
		}, sqlite.ErrDamaged, "", "sqlite.restore"},
		"broken schema": {func(t *testing.T, path string) {
			fill(t, openDB(t, path), 200)
			b := read(t, path)
			for i := 100; i < 4096; i++ {
				b[i] ^= 0x55
			}
			write(t, path, b)
		}, sqlite.ErrDamaged, "", "sqlite.restore"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			tt.make(t, path)
			create := func(role, name string) (io.WriteCloser, error) {
				t.Errorf("object %s was begun", name)
				return nil, errors.New("not expected")
			}
			_, _, err := sqlite.Kind{}.Capture(t.Context(), path, nil, nil, create, nil, nil)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Fatalf("Capture = %v, want %v", err, tt.is)
			}
			if !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "a.db") {
				t.Errorf("message %q does not say %q and which file", err, tt.text)
			}
			if advice := strings.Join(hint.All(err), "\n"); !strings.Contains(advice, tt.advice) {
				t.Errorf("advice %q does not say %q", advice, tt.advice)
			}
		})
	}
}

func TestCaptureFollowsLink(t *testing.T) {
	path, db := database(t, "journal_mode=WAL")
	fill(t, db, 10)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	c := &chain{t: t, source: link}
	if f := c.add("full").decode(t); f.Rows["booking"] != 10 {
		t.Errorf("rows %v: the -wal beside the real file was not read", f.Rows)
	}
}

func TestCaptureBusy(t *testing.T) {
	t.Parallel() // it waits as long as a backup would
	path, db := database(t)
	fill(t, db, 10)
	do(t, db, "BEGIN EXCLUSIVE")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := sqlite.Inspect(ctx, path)
	if !errors.Is(err, sqlite.ErrBusy) || len(hint.All(err)) == 0 {
		t.Fatalf("Inspect of a locked database = %v %q, want ErrBusy with advice", err, hint.All(err))
	}
	do(t, db, "ROLLBACK")
	if _, err := sqlite.Inspect(ctx, path); err != nil {
		t.Errorf("Inspect after the lock is gone: %v", err)
	}
}

// TestCaptureHotJournal holds that a database whose writer crashed is not captured
// half-written: the journal beside it has to be rolled back first.
func TestCaptureHotJournal(t *testing.T) {
	path, db := database(t)
	fill(t, db, 300)
	do(t, db, "PRAGMA cache_size=2", "PRAGMA cache_spill=1", "BEGIN IMMEDIATE", "UPDATE booking SET note = randomblob(200)")
	crashed := filepath.Join(t.TempDir(), "crashed.db")
	write(t, crashed, read(t, path))
	write(t, crashed+"-journal", read(t, path+"-journal"))
	do(t, db, "ROLLBACK")
	c := &chain{t: t, source: crashed}
	_, err := c.capture(true)
	if err == nil {
		same(t, path, c.restore(0))
		t.Fatal("captured although a hot journal lies beside it")
	}
	if advice := strings.Join(hint.All(err), "\n"); !strings.Contains(advice, "-journal") {
		t.Errorf("Capture = %v, advice %q does not speak of the journal", err, advice)
	}
}

func TestHostileSchema(t *testing.T) {
	path, db := database(t)
	do(t, db, `CREATE TABLE "a""; DROP TABLE b; --" (x)`, "CREATE TABLE b (x)", "INSERT INTO b VALUES (1)",
		"CREATE TABLE \"esc\x1b[2J\" (x)", `CREATE VIEW evil AS SELECT load_extension('x')`,
		`CREATE TRIGGER t AFTER INSERT ON b BEGIN DELETE FROM b; END`)
	c := &chain{t: t, source: path}
	f := c.add("full").decode(t)
	if len(f.Rows) != 3 || f.Rows["b"] != 1 {
		t.Errorf("rows %v", f.Rows)
	}
}

// TestCheckFindsDamage flips every tenth byte and cuts at many places.
func TestCheckFindsDamage(t *testing.T) {
	path, db := database(t, "page_size=512")
	fill(t, db, 40)
	c := &chain{t: t, source: path}
	c.add("full")
	do(t, db, "UPDATE booking SET who = 'x' WHERE id < 3")
	delta := c.add("incremental").objects["delta"]
	k := sqlite.Kind{}
	for i := 0; i < len(delta); i += 7 {
		bad := bytes.Clone(delta)
		bad[i] ^= 0x10
		// The sequence number and the two unused words around it are covered too.
		if k.Check(t.Context(), "delta", bytes.NewReader(bad)) == nil {
			t.Errorf("a flipped bit at %d of the log was not found", i)
		}
	}
	for i := 0; i < len(delta); i += 11 {
		if k.Check(t.Context(), "delta", bytes.NewReader(delta[:i])) == nil {
			t.Errorf("a log cut at %d was not found", i)
		}
	}
	base := c.points[0].objects["base"]
	for _, cut := range []int{0, 1, 99, 100, 511, 512, 1000, len(base) - 512, len(base) - 1} {
		if err := k.Check(t.Context(), "base", bytes.NewReader(base[:cut])); !errors.Is(err, sqlite.ErrDamaged) {
			t.Errorf("a base cut at %d: %v", cut, err)
		}
	}
	if k.Check(t.Context(), "bundle", bytes.NewReader(base)) == nil {
		t.Error("a role of another kind was accepted")
	}
}

// TestApplyRefuses holds that a log that is damaged or for another database changes
// nothing of the replica.
func TestApplyRefuses(t *testing.T) {
	path, db := database(t, "page_size=1024")
	fill(t, db, 200)
	c := &chain{t: t, source: path}
	c.add("full")
	do(t, db, "INSERT INTO booking (who, note) VALUES ('x', zeroblob(20000))")
	delta := c.add("incremental").objects["delta"]

	small, sdb := database(t, "page_size=1024")
	fill(t, sdb, 2)
	other, odb := database(t, "page_size=512")
	fill(t, odb, 200)
	flipped := bytes.Clone(delta)
	flipped[len(flipped)-5] ^= 1
	for name, tt := range map[string]struct {
		base  string
		delta []byte
		want  string
	}{
		"flipped":         {path, flipped, "checksum of frame"},
		"without commit":  {path, delta[:len(delta)-1024-24], "does not end with a commit"},
		"empty":           {path, nil, "no header"},
		"too short a db":  {small, delta, "made for another database"},
		"other page size": {other, delta, "its pages have 1024 bytes"},
		"far page":        {path, forged(t, 1024, 4_000_000_000, 4_000_000_000), "made for another database"},
		"far commit":      {path, forged(t, 1024, 2, 4_000_000_000), "made for another database"},
		"page 0":          {path, forged(t, 1024, 0, 5), "cannot be"},
		"lock page":       {path, forged(t, 1024, 1<<20+1, 1<<20+1), "cannot be"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			replica := filepath.Join(dir, sqlite.ReplicaName)
			before := read(t, tt.base)
			write(t, replica, before)
			object := filepath.Join(t.TempDir(), "d")
			write(t, object, tt.delta)
			err := sqlite.Kind{}.Apply(t.Context(), dir, "delta", object, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Apply = %v, want %q", err, tt.want)
			}
			if !bytes.Equal(before, read(t, replica)) {
				t.Error("the replica was changed")
			}
		})
	}
}

// forged is a log with right checksums and one frame.
func forged(t *testing.T, pageSize int, number, commit uint32) []byte {
	t.Helper()
	var s0, s1 uint32
	sum := func(b []byte) {
		for ; len(b) >= 8; b = b[8:] {
			s0 += binary.BigEndian.Uint32(b) + s1
			s1 += binary.BigEndian.Uint32(b[4:]) + s0
		}
	}
	h := make([]byte, 32)
	binary.BigEndian.PutUint32(h, 0x377f0682+1)
	binary.BigEndian.PutUint32(h[4:], 3007000)
	binary.BigEndian.PutUint32(h[8:], uint32(pageSize))
	sum(h[:24])
	binary.BigEndian.PutUint32(h[24:], s0)
	binary.BigEndian.PutUint32(h[28:], s1)
	f := make([]byte, 24+pageSize)
	binary.BigEndian.PutUint32(f, number)
	binary.BigEndian.PutUint32(f[4:], commit)
	sum(f[:8])
	sum(f[24:])
	binary.BigEndian.PutUint32(f[16:], s0)
	binary.BigEndian.PutUint32(f[20:], s1)
	return append(h, f...)
}

// TestApplyAcrossLockPage grows a database over the page at 1 GiB that no log may
// hold. The file is sparse.
func TestApplyAcrossLockPage(t *testing.T) {
	path, db := database(t, "page_size=65536")
	fill(t, db, 10)
	dir := t.TempDir()
	replica := filepath.Join(dir, sqlite.ReplicaName)
	write(t, replica, read(t, path))
	const before = 1 << 30 / 65536 // pages up to the lock page
	if err := os.Truncate(replica, before*65536); err != nil {
		t.Fatal(err)
	}
	object := filepath.Join(t.TempDir(), "d")
	write(t, object, forged(t, 65536, before+2, before+2))
	if err := (sqlite.Kind{}).Apply(t.Context(), dir, "delta", object, io.Discard); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(replica)
	if err != nil || info.Size() != (before+2)*65536 {
		t.Errorf("the replica has %d bytes (%v), want %d", info.Size(), err, (before+2)*65536)
	}
}

// TestProveRefuses has a replica that SQLite finds nothing wrong with, but is another.
func TestProveRefuses(t *testing.T) {
	path, db := database(t)
	fill(t, db, 50)
	c := &chain{t: t, source: path}
	p := c.add("full")
	k := sqlite.Kind{}
	for name, change := range map[string]func(replica string){
		"another row": func(r string) { do(t, openDB(t, r), "UPDATE booking SET who = 'other' WHERE id = 3") },
		"stale wal":   func(r string) { write(t, r+"-wal", []byte("left over")) },
		"one bit":     func(r string) { b := read(t, r); b[len(b)-1] ^= 1; write(t, r, b) },
		"not there":   func(r string) { os.Remove(r) },
		"hot journal": func(r string) { write(t, r+"-journal", []byte("left over")) },
		"cut":         func(r string) { write(t, r, read(t, r)[:8192]) },
		"longer":      func(r string) { write(t, r, append(read(t, r), make([]byte, 4096)...)) },
	} {
		t.Run(name, func(t *testing.T) {
			replica := c.restore(0)
			change(replica)
			for _, full := range []bool{false, true} {
				if got, err := k.Prove(t.Context(), filepath.Dir(replica), p.facts, full, io.Discard); err == nil {
					t.Errorf("Prove(full %v) = %q, want an error", full, got)
				}
			}
		})
	}
}

// TestForeignKeysAreNoDamage captures databases whose rows refer to nothing, which is
// legal: they are restored as they are, and a probe says so.
func TestForeignKeysAreNoDamage(t *testing.T) {
	for name, tt := range map[string]struct{ parent, says string }{
		"violated":      {"CREATE TABLE parent (id INTEGER PRIMARY KEY)", `of "parent" that is not there`},
		"not checkable": {"CREATE TABLE parent (id)", "a key cannot be checked"},
	} {
		t.Run(name, func(t *testing.T) {
			path, db := database(t)
			do(t, db, tt.parent, "CREATE TABLE child (p REFERENCES parent(id))", "PRAGMA foreign_keys=OFF", "INSERT INTO child VALUES (9)")
			c := &chain{t: t, source: path}
			p, err := c.capture(true)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			object := filepath.Join(t.TempDir(), "o")
			write(t, object, p.objects["base"])
			if err := (sqlite.Kind{}).Apply(t.Context(), dir, "base", object, io.Discard); err != nil {
				t.Fatal(err)
			}
			if _, err := (sqlite.Kind{}).Prove(t.Context(), dir, p.facts, true, io.Discard); err != nil {
				t.Errorf("Prove(full) = %v: the replica is equal", err)
			}
			_, err = sqlite.Kind{}.Probe(t.Context(), dir, io.Discard)
			if !errors.Is(err, sqlite.ErrForeignKeys) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Probe = %v, want %q", err, tt.says)
			}
		})
	}
}

// TestScriptRefuses holds that the stock way does not end well with what is not the
// point, above all a cut log, which sqlite3 takes silently.
func TestScriptRefuses(t *testing.T) {
	needSQLite3(t)
	path, db := database(t, "journal_mode=WAL")
	fill(t, db, 300)
	c := &chain{t: t, source: path}
	c.add("full")
	do(t, db, "UPDATE booking SET who = 'x' WHERE id = 9")
	c.add("incremental")
	if _, err := c.stock(1); err != nil {
		t.Fatalf("the sound chain: %v", err)
	}
	delta := c.points[1].objects["delta"]
	facts := sqlite.Kind{}.Script([]string{"a"}, []string{"base"}, []byte(`{"db_sha256":"$(touch x)"}`))
	if !strings.Contains(facts, "exit 1") || strings.Contains(facts, "touch") {
		t.Errorf("facts without a hash give the script:\n%s", facts)
	}
	bad := *c
	bad.points = append([]point(nil), c.points...)
	in, links := bad.files(1)
	write(t, links[1].file, delta[:len(delta)-4096-24])
	out := filepath.Join(t.TempDir(), "out")
	err := runScript(t, in, out, links, bad.points[1].facts)
	if err == nil {
		t.Error("a cut log was restored without an error")
	}
}

func mkdir(t tb, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func read(t tb, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"", "SQLite format 3\x00", "\x37\x7f\x06\x83\x00\x2d\xe2\x18\x00\x00\x02\x00", "lifeboat-pages/1\x00\x00\x10\x00\x00\x00\x00\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, role := range []string{"base", "delta", "index"} {
			if err := (sqlite.Kind{}).Check(t.Context(), role, bytes.NewReader(b)); err == nil && len(b) < 32 {
				t.Errorf("%q is a sound %s", b, role)
			}
		}
	})
}
