package sqlite_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"lifeboat/internal/asset/sqlite"
)

const (
	largePage = 65536
	largeLock = 1<<30/largePage + 1 // the page with the lock bytes
)

// TestLargeDatabase takes a database over the page at 1 GiB that no log may hold, by a
// difference with content on both sides of it. The database is sound; nearly all of its
// pages are free ones and holes in the file, so that the test hashes gigabytes, and
// writes little.
func TestLargeDatabase(t *testing.T) {
	path, db := database(t, "page_size=65536", "journal_mode=WAL")
	do(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)", "INSERT INTO t VALUES (1, 'first')")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	freePages(t, path, largeLock-5)
	c := &chain{t: t, source: path}
	dir := t.TempDir()
	replica, stock := filepath.Join(dir, sqlite.ReplicaName), filepath.Join(t.TempDir(), "stock.db")
	c.push(captureSparse(t, path, &c.index, replica, stock))

	freePages(t, path, largeLock+40)
	do(t, openDB(t, path), "INSERT INTO t VALUES (2, randomblob(1500000))")
	p, err := c.capture(false)
	if err != nil || p.kind != "incremental" {
		t.Fatalf("%q, %v; log:\n%s", p.kind, err, p.log)
	}
	delta := p.objects["delta"]
	if numbers := frames(delta); numbers[0] != 1 || !numbers.around(largeLock) || p.decode(t).Pages != largeLock+40 {
		t.Errorf("of %d pages the difference holds %v; the test shows little", p.decode(t).Pages, numbers)
	}
	object := filepath.Join(t.TempDir(), "delta")
	write(t, object, delta)
	if err := (sqlite.Kind{}).Apply(t.Context(), dir, "delta", object, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := (sqlite.Kind{}).Prove(t.Context(), dir, p.facts, true, io.Discard); err != nil {
		t.Error(err)
	}
	needSQLite3(t)
	write(t, stock+"-wal", delta)
	if out, err := stockSQL(t, stock, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sameData(t, replica, stock)
}

// captureSparse takes a whole point into files with holes.
func captureSparse(t *testing.T, source string, index *[]byte, files ...string) point {
	t.Helper()
	create := func(role, name string) (io.WriteCloser, error) {
		if role == "index" {
			return &object{close: func(b []byte) { *index = b }}, nil
		}
		s := &sparse{}
		for _, name := range files {
			f, err := os.Create(name)
			if err != nil {
				return nil, err
			}
			s.files = append(s.files, f)
		}
		return s, nil
	}
	kind, facts, err := sqlite.Kind{}.Capture(t.Context(), source, nil, nil, create, nil, nil)
	if err != nil || kind != "full" {
		t.Fatal(kind, err)
	}
	return point{kind: kind, facts: facts}
}

// sparse writes the same to several files, zeros as holes.
type sparse struct {
	files []*os.File
	size  int64
}

var zeros [largePage]byte

func (s *sparse) Write(p []byte) (int, error) {
	for at := 0; at < len(p); at += largePage {
		part := p[at:min(len(p), at+largePage)]
		if bytes.Equal(part, zeros[:len(part)]) {
			continue
		}
		for _, f := range s.files {
			if _, err := f.WriteAt(part, s.size+int64(at)); err != nil {
				return at, err
			}
		}
	}
	s.size += int64(len(p))
	return len(p), nil
}

func (s *sparse) Close() error {
	var err error
	for _, f := range s.files {
		err = errors.Join(err, f.Truncate(s.size), f.Close())
	}
	return err
}

// freePages makes a closed database of the given number of pages of 64 KiB: all that
// its tables do not use become free pages. What the file format says of these: page 1
// names the first of a list of trunk pages and how many free pages there are; a trunk
// page holds the number of the next one, a count, and numbers of free pages. The lock
// page is not among them.
func freePages(t *testing.T, path string, pages uint32) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var head [100]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		t.Fatal(err)
	}
	be := binary.BigEndian
	trunk := be.Uint32(head[32:])
	if trunk == 0 {
		trunk = be.Uint32(head[28:]) + 1 // behind the tables
	}
	var free []uint32
	if pages > largeLock {
		free = append(free, largeLock+3) // the first is taken first, then those nearby
	}
	for n := pages; n > trunk+1; n-- {
		if n != largeLock && n != largeLock+3 {
			free = append(free, n)
		}
	}
	half := len(free) / 2
	for i, part := range [][]uint32{free[:half], free[half:]} {
		page := make([]byte, largePage)
		if i == 0 {
			be.PutUint32(page, trunk+1)
		}
		be.PutUint32(page[4:], uint32(len(part)))
		for k, n := range part {
			be.PutUint32(page[8+4*k:], n)
		}
		if _, err := f.WriteAt(page, int64(trunk-1+uint32(i))*largePage); err != nil {
			t.Fatal(err)
		}
	}
	be.PutUint32(head[24:], be.Uint32(head[24:])+1) // the change counter
	be.PutUint32(head[92:], be.Uint32(head[24:]))
	be.PutUint32(head[28:], pages)
	be.PutUint32(head[32:], trunk)
	be.PutUint32(head[36:], uint32(len(free)+2))
	if _, err := f.WriteAt(head[:], 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(pages) * largePage); err != nil {
		t.Fatal(err)
	}
}

// pageNumbers are those of the frames of a log, in their order.
type pageNumbers []uint32

func frames(log []byte) (numbers pageNumbers) {
	for at := 32; at < len(log); at += 24 + largePage {
		numbers = append(numbers, binary.BigEndian.Uint32(log[at:]))
	}
	return numbers
}

// around says whether there are pages on both sides of one that is not there itself.
func (p pageNumbers) around(n uint32) bool {
	below, above := false, false
	for _, x := range p[1:] {
		if x == n {
			return false
		}
		below, above = below || x+20 > n && x < n, above || x > n
	}
	return below && above
}

// sameData compares two files where either has data. What neither has are zeros.
func sameData(t *testing.T, a, b string) {
	t.Helper()
	const seekData, seekHole = 3, 4 // of lseek(2)
	files := make([]*os.File, 2)
	var sizes [2]int64
	for i, name := range []string{a, b} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		files[i], sizes[i] = f, info.Size()
	}
	if sizes[0] != sizes[1] {
		t.Fatalf("%d and %d bytes", sizes[0], sizes[1])
	}
	compared := int64(0)
	for _, f := range files {
		for at := int64(0); ; {
			from, err := f.Seek(at, seekData)
			if errors.Is(err, syscall.ENXIO) {
				break // only a hole is left
			}
			if err != nil {
				t.Fatal(err)
			}
			if at, err = f.Seek(from, seekHole); err != nil {
				t.Fatal(err)
			}
			x, y := make([]byte, at-from), make([]byte, at-from)
			_, xerr := files[0].ReadAt(x, from)
			_, yerr := files[1].ReadAt(y, from)
			if err := errors.Join(xerr, yerr); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if !bytes.Equal(x, y) {
				t.Fatalf("they differ between %d and %d", from, at)
			}
			compared += at - from
		}
	}
	if compared < 3_000_000 {
		t.Errorf("only %d bytes were compared", compared)
	}
}
