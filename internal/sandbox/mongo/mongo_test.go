package mongo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fill(t testing.TB, sessions int) Store {
	t.Helper()
	s := Store{Dir: t.TempDir()}
	var docs []Doc
	for i := range sessions {
		docs = append(docs, Doc{{"_id", ObjectID{11: byte(i), 10: byte(i >> 8)}}, {"sessionToken", fmt.Sprintf("token-%d", i)},
			{"expires", time.Date(2026, 12, 1, 0, 0, i, 0, time.UTC)}, {"pad", strings.Repeat("x", 200)}})
	}
	must(t, s.Insert("auth_db", "sessions", docs...))
	must(t, s.Insert("auth_db", "users", Doc{{"_id", "u1"}, {"name", "Ärztin"}, {"roles", []any{"admin", int32(1), nil}}}))
	must(t, s.Insert("other", "things", Doc{{"_id", int64(1)}}))
	must(t, s.Create("auth_db", "empty", ""))
	return s
}

type result struct {
	code     int
	out, err string
}

func (s Store) run(in string, args ...string) result {
	var out, errs bytes.Buffer
	code := s.Tool(args, strings.NewReader(in), &out, &errs, func() time.Time { return time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC) })
	return result{code, out.String(), errs.String()}
}

func TestBSON(t *testing.T) {
	d := Doc{{"s", "ü"}, {"b", true}, {"i", int32(-1)}, {"l", int64(math.MinInt64)}, {"f", 0.5}, {"n", nil}, {"t", time.UnixMilli(-1).UTC()},
		{"o", ObjectID{1, 2}}, {"x", Binary{4, []byte{0, 1}}}, {"d", Doc{{"a", []any{"x", Doc{}}}}}}
	raw, err := d.Marshal()
	must(t, err)
	back, err := Parse(raw)
	must(t, err)
	if !Equal(d, back) || fmt.Sprint(back) != fmt.Sprint(Doc{{"s", "ü"}, {"b", true}, {"i", int32(-1)}, {"l", int64(math.MinInt64)}, {"f", 0.5}, {"n", nil},
		{"t", time.UnixMilli(-1).UTC()}, {"o", ObjectID{1, 2}}, {"x", Binary{4, []byte{0, 1}}}, {"d", Doc{{"a", []any{"x", Doc(nil)}}}}}) {
		t.Errorf("%v", back)
	}
	// {"a": 1} as bsonspec.org writes it down.
	raw, err = Doc{{"a", int32(1)}}.Marshal()
	if want := "\x0c\x00\x00\x00\x10a\x00\x01\x00\x00\x00\x00"; err != nil || string(raw) != want {
		t.Errorf("%q %v", raw, err)
	}
	deep := Doc{}
	for range maxDepth + 2 {
		deep = Doc{{"d", deep}}
	}
	for name, d := range map[string]Doc{
		"deep": deep, "zero in a name": {{"a\x00", nil}}, "no UTF-8": {{"a", "\xff"}}, "a type of Go": {{"a", 1}},
	} {
		if _, err := d.Marshal(); !errors.Is(err, ErrBSON) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{
		"", "\x05\x00\x00\x00", "\x04\x00\x00\x00\x00", "\x05\x00\x00\x00\x01", "\x06\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\x00",
		"\x09\x00\x00\x00\x08a\x00\x02\x00", "\x08\x00\x00\x00\x13a\x00\x00", "\x0d\x00\x00\x00\x02a\x00\x02\x00\x00\x00x\x00",
		"\x07\x00\x00\x00\x0aab",
	} {
		if d, err := Parse([]byte(bad)); !errors.Is(err, ErrBSON) {
			t.Errorf("%q gave %v %v", bad, d, err)
		}
	}
}

// A dump and its restore give the same documents, with each way to carry it.
func TestDumpAndRestore(t *testing.T) {
	s := fill(t, 1500)
	for _, flags := range [][]string{{"--archive"}, {"--archive", "--gzip"}} {
		dump := s.run("", append([]string{"mongodump", "--db=auth_db"}, flags...)...)
		if dump.code != 0 || !strings.Contains(dump.err, "done dumping auth_db.sessions (1500 documents)") {
			t.Fatalf("%+v", dump.err)
		}
		if again := s.run("", append([]string{"mongodump", "--db", "auth_db"}, flags...)...); again.out != dump.out {
			t.Error("the same store gave another archive")
		}
		to := Store{Dir: t.TempDir()}
		must(t, to.Insert("auth_db", "sessions", Doc{{"_id", "intruder"}}))
		must(t, to.Insert("auth_db", "later", Doc{{"_id", 1.5}}))
		got := to.run(dump.out, append([]string{"mongorestore", "--drop", "--nsInclude=auth_db.*"}, flags...)...)
		if got.code != 0 || !strings.Contains(got.err, "1501 document(s) restored successfully. 0 document(s) failed") {
			t.Fatalf("%+v", got)
		}
		names, err := to.Collections("auth_db")
		if err != nil || !slices.Equal(names, []string{"empty", "later", "sessions", "users"}) { // --drop drops what the archive has
			t.Errorf("%v %v", names, err)
		}
		same(t, s, to, "sessions", "users", "empty")
		if back := to.run("", append([]string{"mongodump", "--db=auth_db"}, flags...)...); back.out == dump.out {
			t.Error("a collection more, and the same archive")
		}
		must(t, to.Drop("auth_db", "later"))
		if back := to.run("", append([]string{"mongodump", "--db=auth_db"}, flags...)...); back.out != dump.out {
			t.Error("a dump of what was restored is another")
		}
	}
}

func same(t *testing.T, a, b Store, collections ...string) {
	t.Helper()
	for _, c := range collections {
		x, err := a.Documents("auth_db", c)
		must(t, err)
		y, err := b.Documents("auth_db", c)
		must(t, err)
		if !slices.EqualFunc(x, y, Equal) {
			t.Errorf("%s: %d documents and %d, or others", c, len(x), len(y))
		}
		mx, _ := os.ReadFile(a.path("auth_db", c, metaSuffix))
		my, _ := os.ReadFile(b.path("auth_db", c, metaSuffix))
		if !bytes.Equal(mx, my) {
			t.Errorf("%s: other metadata", c)
		}
	}
}

// Without --drop what is there stays, and of two with one _id the older.
func TestRestoreMerges(t *testing.T) {
	s := fill(t, 3)
	dump := s.run("", "mongodump", "--archive", "--db=auth_db")
	must(t, s.Replace("auth_db", "sessions", []Doc{{{"_id", ObjectID{11: 1}}, {"sessionToken", "newer"}}, {{"_id", "mine"}}}))
	got := s.run(dump.out, "mongorestore", "--archive")
	docs, err := s.Documents("auth_db", "sessions")
	if got.code != 0 || err != nil || len(docs) != 4 || docs[0].Text("sessionToken") != "newer" || !strings.Contains(got.err, "2 document(s) failed") {
		t.Errorf("%+v %v", got, docs)
	}
}

func TestDirectory(t *testing.T) {
	s, dir := fill(t, 7), filepath.Join(t.TempDir(), "out")
	if got := s.run("", "mongodump", "--db", "auth_db", "--out", dir); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	to := Store{Dir: t.TempDir()}
	if got := to.run("", "mongorestore", "--drop", dir); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	same(t, s, to, "sessions", "users", "empty")
}

// An archive that ends early is an error wherever it does, and what came before it is there:
// nobody else must rely on this program to notice in time.
func TestCut(t *testing.T) {
	s := fill(t, 9)
	whole := s.run("", "mongodump", "--archive", "--db=auth_db").out
	half := 0
	for n := 0; n < len(whole); n += 13 {
		to := Store{Dir: t.TempDir()}
		if got := to.run(whole[:n], "mongorestore", "--archive", "--drop"); got.code == 0 {
			t.Fatalf("cut after %d of %d bytes: %s", n, len(whole), got.err)
		}
		if docs, err := to.Documents("auth_db", "sessions"); err == nil && len(docs) > 0 && len(docs) < 9 {
			half++
		}
	}
	if half == 0 {
		t.Error("no cut archive was restored in part")
	}
	flipped := []byte(whole)
	at := strings.Index(whole, "token-5")
	flipped[at] ^= 1
	if got := s.run(string(flipped), "mongorestore", "--archive", "--drop"); got.code == 0 || !strings.Contains(got.err, "checksum mismatch") {
		t.Errorf("%+v", got)
	}
}

// Archives that no mongodump writes.
func TestHostile(t *testing.T) {
	doc := func(d Doc) string {
		b, err := d.Marshal()
		must(t, err)
		return string(b)
	}
	const end = "\xff\xff\xff\xff"
	head := string(magic) + doc(Doc{{"version", formatVersion}})
	meta := func(db, c string) string {
		return doc(Doc{{"db", db}, {"collection", c}, {"metadata", ""}, {"size", int64(3)}})
	}
	ns := func(db, c string, eof bool, crc int64) string {
		return doc(Doc{{"db", db}, {"collection", c}, {"EOF", eof}, {"CRC", crc}})
	}
	for name, text := range map[string]string{
		"no archive":             "PGDMP",
		"no header":              string(magic) + end,
		"another version":        string(magic) + doc(Doc{{"version", "9"}}) + end,
		"a collection twice":     head + meta("a", "b") + meta("a", "b") + end,
		"a path":                 head + meta("..", "b") + end + ns("..", "b", true, 0) + end,
		"a path in a collection": head + meta("a", "../../b") + end + ns("a", "../../b", true, 0) + end,
		"a foreign segment":      head + meta("a", "b") + end + ns("a", "c", true, 0) + end,
		"two ends":               head + meta("a", "b") + end + ns("a", "b", true, 0) + end + ns("a", "b", true, 0) + end,
		"documents at the end":   head + meta("a", "b") + end + ns("a", "b", true, 0) + doc(Doc{}) + end,
		"terminators":            head + meta("a", "b") + end + end,
		"an endless document":    head + meta("a", "b") + end + ns("a", "b", false, 0) + "\x00\x00\x00\x01",
		"a document without id":  head + meta("a", "b") + end + ns("a", "b", false, 0) + doc(Doc{{"x", nil}}) + end,
	} {
		s := Store{Dir: t.TempDir()}
		if got := s.run(text, "mongorestore", "--archive"); got.code == 0 {
			t.Errorf("%s was taken: %s", name, got.err)
		}
	}
	s := Store{Dir: t.TempDir()}
	if got := s.run(head+meta("a", "b")+end+ns("a", "b", true, 0)+end, "mongorestore", "--archive"); got.code != 0 {
		t.Errorf("the sound one: %+v", got)
	}
}

func TestFlags(t *testing.T) {
	s := fill(t, 2)
	for _, args := range [][]string{
		{}, {"mongo"}, {"mongodump", "--archive", "--drop"}, {"mongodump", "--archive", "--oplog"}, {"mongodump", "--archive=x", "--out=y"},
		{"mongodump", "--db"}, {"mongodump", "--archive", "--collection=x"}, {"mongodump", "--gzip=yes"}, {"mongodump", "--archive", "--config=/nowhere"},
		{"mongorestore", "--archive", "a"}, {"mongorestore", "--archive", "--gzip"},
	} {
		if got := s.run("no gzip file", args...); got.code == 0 || got.err == "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	whole := s.run("", "mongodump", "--archive").out
	to := Store{Dir: t.TempDir()}
	if got := to.run(whole, "mongorestore", "--archive", "--nsInclude=auth_db.*", "--nsExclude=*.users"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if names, _ := to.Collections("auth_db"); !slices.Equal(names, []string{"empty", "sessions"}) {
		t.Errorf("%v", names)
	}
	if dbs, _ := to.Databases(); !slices.Equal(dbs, []string{"auth_db"}) {
		t.Errorf("%v", dbs)
	}
	if got := to.run(whole, "mongorestore", "--archive", "--dryRun", "--drop"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if docs, _ := to.Documents("auth_db", "users"); docs != nil {
		t.Errorf("a dry run restored %v", docs)
	}
}

type quiet struct{}

func (quiet) prelude([]Meta) error        { return nil }
func (quiet) document(Meta, []byte) error { return nil }
func (quiet) end(Meta, int) error         { return nil }

func FuzzArchive(f *testing.F) {
	s := fill(f, 3)
	whole := s.run("", "mongodump", "--archive").out
	f.Add([]byte(whole))
	f.Add([]byte(whole[:len(whole)/2]))
	f.Add(binary.LittleEndian.AppendUint32(slices.Clone(magic), 1<<24))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := readArchive(bytes.NewReader(b), quiet{})
		if err != nil && !errors.Is(err, ErrArchive) && !errors.Is(err, ErrCut) && !errors.Is(err, ErrBSON) {
			t.Errorf("%v", err)
		}
		if err == nil && len(b) > 1 && readArchive(bytes.NewReader(b[:len(b)-1]), quiet{}) == nil {
			t.Error("one byte less is whole too")
		}
	})
}

func FuzzBSON(f *testing.F) {
	for _, d := range []Doc{{}, {{"a", []any{nil, 1.5, Doc{{"b", Binary{0, []byte("x")}}}}}}, {{"_id", ObjectID{}}, {"t", time.UnixMilli(5)}}} {
		b, err := d.Marshal()
		must(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			return
		}
		again, err := d.Marshal()
		if err != nil {
			t.Fatalf("%v cannot be written: %v", d, err)
		}
		back, err := Parse(again)
		if err != nil || !Equal(d, back) {
			t.Errorf("%v %v %v", d, back, err)
		}
	})
}
