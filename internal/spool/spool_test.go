package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// small makes every limit be reached soon.
func small() Limits {
	return Limits{Head: 4 << 10, Tail: 8 << 10, Part: 2 << 10, Buffer: 512, Every: time.Hour, Floor: 1000, Share: 5, Low: 1 << 10}
}

// faulty is a disk that can be made to fail.
type faulty struct {
	disk
	write func(path string, b []byte) (n, stored int, err error) // nil: as it is
	free  int64
	at    time.Time
}

type faultyFile struct {
	*os.File
	d *faulty
}

func (f faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if f.d.write != nil {
		n, stored, err := f.d.write(f.Name(), b)
		if stored > 0 {
			if _, err := f.File.WriteAt(b[:stored], off); err != nil {
				return 0, err
			}
		}
		return n, err
	}
	return f.File.WriteAt(b, off)
}

func newFaulty() *faulty {
	f := &faulty{free: 1 << 40, at: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)}
	f.disk = system()
	f.disk.create = func(path string) (file, error) {
		x, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
		return faultyFile{x, f}, err
	}
	f.disk.free = func(string) (int64, int64, error) { return f.free, 1 << 41, nil }
	f.disk.now = func() time.Time { return f.at }
	return f
}

// onDisk joins the files of a log as a person would: in the order of their names.
func onDisk(t testing.TB, path string) []byte {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, n := range names { // Glob sorts
		if strings.HasSuffix(n, indexSuffix) {
			continue
		}
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func proven(t testing.TB, path string, k Kept) []byte {
	t.Helper()
	all := onDisk(t, path)
	sum := sha256.Sum256(all)
	if k.Size != int64(len(all)) || k.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("the record tells of %d bytes, %d are on disk; the sum is right: %v", k.Size, len(all), k.SHA256 == hex.EncodeToString(sum[:]))
	}
	return all
}

// readAll reads a log as the pane does: by places in the output.
func readAll(t testing.TB, l *Log) (head, tail []byte, from, to int64) {
	t.Helper()
	size, err := l.Size()
	if err != nil {
		t.Fatal(err)
	}
	from, to, _ = l.Gap()
	read := func(a, b int64) []byte {
		buf := make([]byte, b-a)
		if n, err := l.ReadAt(buf, a); int64(n) != b-a || err != nil && err != io.EOF {
			t.Fatalf("read %d bytes at %d: %d, %v", b-a, a, n, err)
		}
		return buf
	}
	if from == to {
		return read(0, size), nil, 0, 0
	}
	return read(0, from), read(to, size), from, to
}

// TestKeepsEveryByte writes what programs write, in pieces that fit nowhere.
func TestKeepsEveryByte(t *testing.T) {
	random := make([]byte, 3000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.IntN(256))
	}
	for name, data := range map[string][]byte{
		"nothing":            nil,
		"lines":              bytes.Repeat([]byte("one line of text\n"), 200),
		"no end of line":     bytes.Repeat([]byte("x"), 3900),
		"carriage returns":   bytes.Repeat([]byte("\r 42 %"), 600),
		"NULs":               make([]byte, 3000),
		"bytes of all kinds": random,
		"only ends":          bytes.Repeat([]byte("\n"), 3000),
		"hostile":            bytes.Repeat([]byte("\x1b]52;c;AAAA\x07\u009b31m\xff\xfe\u202e\n"), 150),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.log")
			w, err := create(path, small(), newFaulty().disk)
			if err != nil {
				t.Fatal(err)
			}
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(900))
				if k, err := w.Write(rest[:n]); k != n || err != nil {
					t.Fatalf("write: %d, %v", k, err)
				}
				rest = rest[n:]
			}
			k, err := w.Close()
			if err != nil || k.Lost != 0 || k.Parts != 0 {
				t.Fatalf("%+v, %v", k, err)
			}
			if got := proven(t, path, k); !bytes.Equal(got, data) {
				t.Errorf("%d bytes on disk, %d written, and not the same", len(got), len(data))
			}
			if _, err := w.Write([]byte("late")); err != nil {
				t.Errorf("a write after the end is an error: %v", err)
			}
		})
	}
}

// TestFlush holds that nothing waits for longer than it may.
func TestFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	synctest.Test(t, func(t *testing.T) {
		w, err := Create(path, Standard())
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte("one\n"))
		if got := onDisk(t, path); len(got) != 0 {
			t.Errorf("%q is on disk at once: every line is a system call", got)
		}
		time.Sleep(Standard().Every) // the clock of the bubble
		synctest.Wait()
		if got := onDisk(t, path); string(got) != "one\n" {
			t.Errorf("%q after 50 ms", got)
		}
		w.Write(bytes.Repeat([]byte("x"), Standard().Buffer))
		if got := onDisk(t, path); len(got) < Standard().Buffer {
			t.Errorf("%d bytes: a full buffer waits", len(got))
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestCaps writes far more than is kept.
func TestCaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w, err := create(path, small(), newFaulty().disk)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var all []byte
	for i := range 4000 {
		line := fmt.Appendf(nil, "line %06d\n", i)
		all = append(all, line...)
		w.Write(line)
		if i%97 == 0 { // somebody looks on
			head, tail, _, to := readAll(t, l)
			if !bytes.HasPrefix(all, head) || tail != nil && !bytes.Equal(tail, all[to:to+int64(len(tail))]) {
				t.Fatalf("after %d lines what is read is not what was written", i)
			}
		}
	}
	k, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	got := string(proven(t, path, k))
	head, rest, found := strings.Cut(got, "… ")
	if !found || !strings.HasPrefix(string(all), head) || int64(len(head)) > small().Head+100 || !strings.HasSuffix(head, "\n") {
		t.Fatalf("no record in:\n%.200s", got)
	}
	record, tail, _ := strings.Cut(rest, "\n")
	lost := (len(all) - len(head) - len(tail)) / 12
	if want := strings.TrimPrefix(Record(int64(lost)), "… "); record != want {
		t.Errorf("record %q, want %q", record, want)
	}
	if !strings.HasSuffix(string(all), tail) || int64(len(tail)) < small().Tail-2*small().Part || int64(len(tail)) > small().Tail {
		t.Errorf("%d bytes of the end are kept", len(tail))
	}
	if k.Lost != int64(len(all)-len(head)-len(tail)) {
		t.Errorf("%d bytes lost, the record says %d", len(all)-len(head)-len(tail), k.Lost)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	h, tl, from, to := readAll(t, again)
	if string(h) != head || string(tl) != tail || to-from != k.Lost {
		t.Error("opened again it reads otherwise")
	}
	for _, off := range []int64{0, from - 1, from, to - 1, to, to + 3000, int64(len(all)) - 1} {
		start, lines, ms, ok := again.Mark(off)
		if !ok || start > off || int64(bytes.Count(all[:start], []byte{'\n'})) != lines || ms == 0 {
			t.Errorf("mark of %d: %d, %d lines, %d ms, %v", off, start, lines, ms, ok)
		}
	}
	if n, err := again.ReadAt(make([]byte, 9), from+5); n != 0 || err != io.ErrUnexpectedEOF {
		t.Errorf("read in the gap: %d, %v", n, err)
	}
	var out bytes.Buffer
	if _, err := again.WriteTo(&out); err != nil || out.String() != got {
		t.Errorf("copied otherwise, %v", err)
	}
}

// TestFaults breaks writes in every way. The step never hears of it, and what the record
// says is what is on disk.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(b []byte) (n, stored int, err error)
		says  bool // the log says that lines are missing
	}{
		{"full disk", func([]byte) (int, int, error) { return 0, 0, syscall.ENOSPC }, true},
		{"short write", func(b []byte) (int, int, error) { return len(b) / 2, len(b) / 2, io.ErrShortWrite }, true},
		{"short write without an error", func(b []byte) (int, int, error) { return len(b) / 3, len(b) / 3, nil }, true},
		{"fails though it was stored", func(b []byte) (int, int, error) { return 0, len(b), syscall.EIO }, true},
		{"fails in the middle of what it stored", func(b []byte) (int, int, error) { return len(b) / 4, len(b), syscall.EIO }, true},
	} {
		for _, when := range []string{"from the start", "in the middle", "to the end"} {
			t.Run(tt.name+" "+when, func(t *testing.T) {
				d := newFaulty()
				path := filepath.Join(t.TempDir(), "a.log")
				w, err := create(path, small(), d.disk)
				if err != nil {
					t.Fatal(err)
				}
				fail := func(path string, b []byte) (int, int, error) { return tt.write(b) }
				put := func(from, to int) {
					for i := from; i < to; i++ {
						if n, err := fmt.Fprintf(w, "line %06d\n", i); n != 12 || err != nil {
							t.Fatalf("write: %d, %v", n, err)
						}
					}
					w.late()
				}
				switch when {
				case "from the start":
					d.write = fail
					put(0, 60)
					d.write = nil
					put(60, 100)
				case "in the middle":
					put(0, 30)
					d.write = fail
					put(30, 60)
					d.write = nil
					put(60, 100)
				case "to the end":
					put(0, 60)
					d.write = fail
					put(60, 100)
				}
				k, err := w.Close()
				if err != nil {
					t.Fatal(err)
				}
				got := string(proven(t, path, k))
				if k.Lost == 0 {
					t.Error("the record tells of no loss")
				}
				if said := strings.Contains(got, " lines not kept …\n"); said != (when != "to the end") {
					t.Errorf("the log says that lines are missing: %v\n%s", said, got)
				}
				if when != "to the end" && !strings.HasSuffix(got, "line 000099\n") {
					t.Errorf("it does not go on: %q", got[max(0, len(got)-60):])
				}
			})
		}
	}
}

// TestLostLinesAreCounted: the log says exactly how many lines a failure cost.
func TestLostLinesAreCounted(t *testing.T) {
	d := newFaulty()
	path := filepath.Join(t.TempDir(), "a.log")
	w, err := create(path, small(), d.disk)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "one\ntwo\nthr")
	w.late()
	d.write = func(string, []byte) (int, int, error) { return 0, 0, syscall.ENOSPC }
	for range 3 {
		io.WriteString(w, "a\nb\n")
		w.late()
	}
	d.write = nil
	io.WriteString(w, "six\n")
	k, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(proven(t, path, k)), "one\ntwo\nthr\n… 6 lines not kept …\nsix\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if k.Lost != 12 {
		t.Errorf("%d bytes lost", k.Lost)
	}
}

// TestCannotBeProven: files that cannot be synced or measured give no proof.
func TestCannotBeProven(t *testing.T) {
	w, err := create(filepath.Join(t.TempDir(), "a.log"), small(), newFaulty().disk)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "one\n")
	w.files[0].file.(faultyFile).File.Close()
	if k, err := w.Close(); err == nil || k.SHA256 != "" {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := w.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
}

// TestLowDisk: a disk that runs low gets no more than Low of it, the newest lines are kept
// all the same, and it goes on normally when there is room again.
func TestLowDisk(t *testing.T) {
	d := newFaulty()
	path := filepath.Join(t.TempDir(), "a.log")
	w, err := create(path, small(), d.disk)
	if err != nil {
		t.Fatal(err)
	}
	put := func(n int) (last string) {
		for range n {
			d.at = d.at.Add(100 * time.Millisecond)
			last = fmt.Sprintf("%s\n", d.at.Format("15:04:05.0"))
			io.WriteString(w, last)
		}
		w.late()
		return last
	}
	put(100)
	before := len(onDisk(t, path))
	d.free = 10
	last := put(2000)
	if got := onDisk(t, path); int64(len(got)-before) > small().Low+1<<10 || !bytes.HasSuffix(got, []byte(last)) {
		t.Errorf("a low disk got %d bytes more, ending in %q", len(got)-before, got[len(got)-20:])
	}
	d.free = 1 << 40
	put(100)
	middle := len(onDisk(t, path))
	last = put(300)
	got := onDisk(t, path)
	if len(got)-middle < 3000 || !bytes.HasSuffix(got, []byte(last)) {
		t.Errorf("with room again it got %d bytes", len(got)-middle)
	}
	k, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	proven(t, path, k)
	d.free = 10
	path = filepath.Join(t.TempDir(), "short.log")
	if w, err = create(path, small(), d.disk); err != nil {
		t.Fatal(err)
	}
	put(10)
	if k, err := w.Close(); err != nil || k.Parts != 0 || k.Lost != 0 {
		t.Errorf("a short log on a low disk: %+v, %v", k, err)
	}
}

// TestIndex damages an index in every way: what is read is right or counted anew.
func TestIndex(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	d := newFaulty()
	limits := Standard()
	w, err := create(path, limits, d.disk)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for i := range 20000 {
		if i%1000 == 0 {
			d.at = d.at.Add(3 * time.Second)
		}
		line := fmt.Appendf(nil, "%d %s\n", i, strings.Repeat("x", i%77))
		all = append(all, line...)
		w.Write(line)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(path + indexSuffix)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(index) / markSize; n < 20000/markLines || n > 200 {
		t.Errorf("%d marks", n)
	}
	right := func(l *Log) (marks int) {
		t.Helper()
		if size, err := l.Size(); err != nil || size != int64(len(all)) {
			t.Fatalf("%d bytes, %v", size, err)
		}
		for off := int64(0); off < int64(len(all)); off += 9999 {
			if start, lines, _, ok := l.Mark(off); ok {
				marks++
				if start > off || lines != int64(bytes.Count(all[:start], []byte{'\n'})) || start > 0 && all[start-1] != '\n' {
					t.Fatalf("mark of %d: %d, %d lines", off, start, lines)
				}
			}
		}
		return marks
	}
	for _, tt := range []struct {
		name   string
		index  []byte
		usable bool
	}{
		{"whole", index, true},
		{"cut off", index[:len(index)/2+7], true},
		{"empty", nil, false},
		{"cut in its name", index[:5], false},
		{"older", append([]byte("lbindex0"), index[8:]...), false},
		{"of another log", append(append([]byte(magic), mark{5, 9, 1}.append(nil)...), index...), false},
		{"noise", bytes.Repeat([]byte("noise"), 1000), false},
		{"noise behind", append(bytes.Clone(index), bytes.Repeat([]byte{0xff}, 999)...), true},
		{"zeros behind", append(bytes.Clone(index[:8+10*markSize]), make([]byte, 10*markSize)...), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path+indexSuffix, tt.index, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if got := right(l) > 0; got != tt.usable {
				t.Errorf("the index is used: %v", got)
			}
		})
	}
	if err := os.Remove(path + indexSuffix); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if right(l) != 0 {
		t.Error("marks without an index")
	}
}

// TestModel writes, looks, fails and fills up at random, and compares with a plain list of
// bytes.
func TestModel(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(base, fmt.Sprint(n), "a.log")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		d := newFaulty()
		w, err := create(path, small(), d.disk)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var all []byte
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				b := bytes.Repeat(rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n\n\r\x00\xff")), 1, 30).Draw(t, "data"), rapid.IntRange(1, 60).Draw(t, "times"))
				all = append(all, b...)
				w.Write(b)
			},
			"wait": func(t *rapid.T) {
				d.at = d.at.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
				w.late()
			},
			"room": func(t *rapid.T) { d.free = rapid.SampledFrom([]int64{1, 1 << 40}).Draw(t, "free") },
			"": func(t *rapid.T) {
				if _, err := l.Size(); err != nil {
					t.Fatal(err)
				}
				if _, err := l.Size(); err != nil { // the second look finds new parts
					t.Fatal(err)
				}
				size, _ := l.Size()
				from, to, before := l.Gap()
				written := int64(len(all) - len(w.buf))
				if size != written {
					t.Fatalf("%d bytes of output, %d were written", size, written)
				}
				for _, r := range [][2]int64{{0, from}, {to, size}} {
					buf := make([]byte, r[1]-r[0])
					if n, err := l.ReadAt(buf, r[0]); n != len(buf) || err != nil && err != io.EOF || !bytes.Equal(buf, all[r[0]:r[1]]) {
						t.Fatalf("read %v: %d, %v", r, n, err)
					}
				}
				if to > from && before != int64(bytes.Count(all[:to], []byte{'\n'})) {
					t.Fatalf("%d lines before %d", before, to)
				}
				off := rapid.Int64Range(0, size).Draw(t, "off")
				if start, lines, _, ok := l.Mark(off); ok && (start > off || lines != int64(bytes.Count(all[:start], []byte{'\n'}))) {
					t.Fatalf("mark of %d: %d, %d lines", off, start, lines)
				}
			},
		})
		k, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := onDisk(&testing.T{}, path)
		sum := sha256.Sum256(got)
		if k.Size != int64(len(got)) || k.SHA256 != hex.EncodeToString(sum[:]) {
			t.Fatalf("%+v does not fit %d bytes on disk", k, len(got))
		}
	})
}

// TestLeftParts: a log that is begun anew does not go on in parts of the one before.
func TestLeftParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w, _ := create(path, small(), newFaulty().disk)
	w.Write(bytes.Repeat([]byte("old line\n"), 5000)) // and it crashes
	w, err := create(path, small(), newFaulty().disk)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "new\n")
	k, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if got := proven(t, path, k); string(got) != "new\n" {
		t.Errorf("%q", got)
	}
}

func TestBelongs(t *testing.T) {
	for name, want := range map[string]bool{
		"01-look.1.log": false, "01-look.1.log.idx": false, partName("01-look.1.log", 4, 8, 2): true, partName("a", 4, 8, 2) + ".idx": true,
		"a.000000000000004-000000000000008": false, "a.4-8-2": false, partName("a", 8, 4, 2): false, "": false,
	} {
		if Belongs(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	w, err := Create(filepath.Join(b.TempDir(), "a.log"), Standard())
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	block := bytes.Repeat([]byte("restored table bookings_2026_11: 48 213 rows, 12.4 MB, checksum 9bd0e27 holds, next table\n"), 700)
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		w.Write(block)
	}
}
