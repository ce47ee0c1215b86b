package stream_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/sandbox/mongo"
)

// archive writes an archive of mongodump into the database of the bench.
func (b *bench) archive(counts map[string]int) {
	b.t.Helper()
	s := mongo.Store{Dir: b.t.TempDir()}
	for name, n := range counts {
		must(b.t, s.Create("auth_db", name, ""))
		for i := range n {
			must(b.t, s.Insert("auth_db", name, mongo.Doc{{Name: "_id", Value: int64(i)}}))
		}
	}
	var out, errs bytes.Buffer
	if s.Tool([]string{"mongodump", "--archive", "--gzip", "--db=auth_db"}, nil, &out, &errs, time.Now) != 0 {
		b.t.Fatal(errs.String())
	}
	b.write(out.String())
}

func TestCompare(t *testing.T) {
	b := newBench(t)
	b.archive(map[string]int{"sessions": 5, "users": 2})
	b.do("stream.backup", map[string]any{"asset": "auth"})
	s := b.do("stream.compare", map[string]any{"asset": "auth"})
	if s.res.Outputs["same"] != true || !strings.Contains(s.res.Evidence, "byte for byte the same, 7 documents in 2 collections") {
		t.Errorf("%+v", s.res)
	}
	if !strings.Contains(s.plan.Lines[1].Text, "7 documents in 2 collections") {
		t.Errorf("%+v", s.plan.Lines)
	}
	b.archive(map[string]int{"sessions": 1, "later": 3})
	s, err := b.plan("stream.compare", map[string]any{"asset": "auth"})
	must(t, err)
	if err := s.run(); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "3 collections differ, 6 documents are missing, 3 are extra") {
		t.Errorf("%v", err)
	}
	for _, line := range []string{"auth_db.later: no such collection then, 3 now", "auth_db.sessions: 5 then, 1 now", "auth_db.users: 2 then, no such collection now"} {
		if !strings.Contains(b.log.String(), line) {
			t.Errorf("the log does not say %q: %s", line, b.log.String())
		}
	}
	s = b.do("stream.compare", map[string]any{"asset": "auth", "allow_differences": true})
	if s.res.Outputs["same"] != false || s.res.Outputs["missing"] != int64(6) || s.res.Outputs["extra"] != int64(3) {
		t.Errorf("%+v", s.res)
	}
	b.mark(".broken", true)
	s = b.do("stream.compare", map[string]any{"asset": "auth", "allow_differences": true})
	if s.res.Outputs["dumped"] != false || s.res.Outputs["missing"] != int64(7) {
		t.Errorf("%+v", s.res)
	}
	if s, err = b.plan("stream.compare", map[string]any{"asset": "auth"}); err != nil || s.run() == nil {
		t.Errorf("what cannot be dumped is no success: %v", err)
	}
}

// What shows no collections is compared by its bytes alone.
func TestCompareBytes(t *testing.T) {
	b := newBench(t)
	b.do("stream.backup", map[string]any{"asset": "auth"})
	b.do("stream.compare", map[string]any{"asset": "auth"})
	b.write("two\n")
	s, err := b.plan("stream.compare", map[string]any{"asset": "auth"})
	must(t, err)
	if err := s.run(); !errors.Is(err, action.ErrCheck) {
		t.Errorf("%v", err)
	}
}

// A dump that ends in the middle of its archive makes no point, although the command said
// that all went well and every byte of it arrived.
func TestBackupCut(t *testing.T) {
	b := newBench(t)
	b.archive(map[string]int{"sessions": 50})
	b.do("stream.backup", map[string]any{"asset": "auth"})
	n := b.points()
	whole := b.read()
	for _, cut := range []int{len(whole) / 2, len(whole) - 1} {
		b.write(whole[:cut])
		s, err := b.plan("stream.backup", map[string]any{"asset": "auth"})
		must(t, err)
		if err := s.run(); err == nil || b.points() != n {
			t.Errorf("cut after %d of %d bytes: %v, %d points", cut, len(whole), err, b.points())
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "vault")); err != nil {
		t.Error(err)
	}
}
