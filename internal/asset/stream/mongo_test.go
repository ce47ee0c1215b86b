package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/sandbox/mongo"
)

// archive is one of mongodump, written by code that shares nothing with what reads it here.
func archive(t testing.TB, flags ...string) []byte {
	t.Helper()
	s := mongo.Store{Dir: t.TempDir()}
	var docs []mongo.Doc
	for i := range 700 {
		docs = append(docs, mongo.Doc{{Name: "_id", Value: int64(i)}, {Name: "pad", Value: strings.Repeat("x", 200)}})
	}
	for name, list := range map[string][]mongo.Doc{"sessions": docs, "users": docs[:2]} {
		if err := s.Insert("auth_db", name, list...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Create("auth_db", "empty", ""); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if s.Tool(append([]string{"mongodump", "--archive", "--db=auth_db"}, flags...), nil, &out, &errs, time.Now) != 0 {
		t.Fatal(errs.String())
	}
	return out.Bytes()
}

func contentsOf(b []byte, piece int) (map[string]int64, string, error) {
	x := newInspector()
	defer x.stop()
	for len(b) > 0 {
		n := min(piece, len(b))
		_, _ = x.Write(b[:n])
		b = b[n:]
	}
	format, _, err := x.end()
	return x.contents(), format, err
}

func TestMongoContents(t *testing.T) {
	want := map[string]int64{"auth_db.sessions": 700, "auth_db.users": 2, "auth_db.empty": 0}
	for name, b := range map[string][]byte{"plain": archive(t), "gzip": archive(t, "--gzip")} {
		for _, piece := range []int{1, 3, 1000, len(b)} {
			got, format, err := contentsOf(b, piece)
			if err != nil || !maps.Equal(got, want) || !strings.HasSuffix(format, formatMongo) {
				t.Errorf("%s in pieces of %d: %v %q %v", name, piece, got, format, err)
			}
		}
	}
}

// An archive shows by itself that its end is missing, also where the cut falls between
// two collections, and that a byte of it is another one.
func TestMongoNotWhole(t *testing.T) {
	b := archive(t)
	for n := 400; n < len(b); n += 97 {
		if err := (Kind{}).Check(context.Background(), role, bytes.NewReader(b[:n])); !errors.Is(err, ErrShape) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(b), err)
		}
	}
	ends := 0
	for at := bytes.Index(b, []byte("\xff\xff\xff\xff")); at >= 0 && at+4 < len(b); ends++ {
		if _, _, err := contentsOf(b[:at+4], 1<<20); !errors.Is(err, ErrShape) {
			t.Errorf("cut behind a segment, at %d of %d: %v", at+4, len(b), err)
		}
		next := bytes.Index(b[at+4:], []byte("\xff\xff\xff\xff"))
		if next < 0 {
			break
		}
		at += 4 + next
	}
	if ends < 5 {
		t.Errorf("only %d segments", ends)
	}
	b[bytes.Index(b, []byte("xxx"))] = 'y'
	if _, _, err := contentsOf(b, 1<<20); !errors.Is(err, ErrShape) || !strings.Contains(fmt.Sprint(err), "checksum") {
		t.Errorf("another byte: %v", err)
	}
}

// What another version writes is not judged.
func TestMongoUnknown(t *testing.T) {
	b := archive(t)
	b = bytes.Replace(b, []byte("\x000.1\x00"), []byte("\x000.2\x00"), 1)
	if got, format, err := contentsOf(b[:len(b)-7], 1<<20); err != nil || got != nil || format != formatMongo {
		t.Errorf("%v %q %v", got, format, err)
	}
}

func FuzzMongo(f *testing.F) {
	b := archive(f)
	f.Add(b[:3000], 7)
	f.Add(b, 64)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		if piece < 1 {
			piece = 1
		}
		b = append(bytes.Clone(mongoMagic), b...)
		one, other := newMongoArchive(), newMongoArchive()
		_, _ = one.Write(b)
		for rest := b; len(rest) > 0; {
			n := min(piece, len(rest))
			_, _ = other.Write(rest[:n])
			rest = rest[n:]
		}
		x, bad := one.end()
		y, worse := other.end()
		if !maps.Equal(x, y) || bad != worse {
			t.Errorf("%v %q, in pieces %v %q", x, bad, y, worse)
		}
	})
}
