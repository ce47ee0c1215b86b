package sqlite_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
)

// change is one change of the names of files, in a directory: link from to, or remove from.
type change struct{ from, to string }

func (c change) make(t *testing.T, dir string) {
	t.Helper()
	from := filepath.Join(dir, c.from)
	err := os.Remove
	if c.to != "" {
		err = func(from string) error { return os.Link(from, filepath.Join(dir, c.to)) }
	}
	if err := err(from); err != nil {
		t.Fatal(err)
	}
}

// files is a database with its logs; a -shm, which SQLite makes when it looks, holds nothing.
func (b *bench) files(path string) map[string]string {
	b.t.Helper()
	out := map[string]string{}
	for _, s := range []string{"", "-wal", "-journal"} {
		if data, err := os.ReadFile(path + s); err == nil {
			out[s] = string(data)
		}
	}
	return out
}

// TestSwapCutShort stops a swap at every step of its way. While the old database is not in
// its place, the probe does not say that it is; the undo and another attempt both bring it
// back with its log.
func TestSwapCutShort(t *testing.T) {
	way := []change{
		{"booking.db-wal", "booking.db.before-run2-wal"}, {"booking.db", "booking.db.before-run2"},
		{"booking.db", ""}, {"booking.db-wal", ""},
	}
	for n := range len(way) + 1 {
		for _, how := range []string{"undo", "again"} {
			b := newBench(t)
			b.play("sqlite.backup", map[string]any{"asset": "db"})
			want := b.content()
			b.damage()
			if err := os.WriteFile(b.path+"-wal", []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			old := b.files(b.path)
			s, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
			if err != nil || !strings.HasSuffix(s.plan.Facts["keep"], ".before-run2") {
				t.Fatalf("%+v, %v", s.plan, err)
			}
			for _, c := range way[:n] {
				c.make(t, filepath.Dir(b.path))
			}
			finding := action.NotApplied
			if n > 2 {
				finding = action.Unknown
			}
			if f := s.probe(); f != finding {
				t.Errorf("step %d: probe %s, want %s", n, f, finding)
			}
			if how == "undo" {
				if u, err := s.undo(); err != nil || u.Nothing != (n <= 2) {
					t.Errorf("step %d: undo %+v, %v", n, u, err)
				}
				if got := b.files(b.path); !maps.Equal(got, old) {
					t.Errorf("step %d: after the undo %d files, want the old ones", n, len(got))
				}
				if left := b.files(s.plan.Facts["keep"]); len(left) > 0 {
					t.Errorf("step %d: the undo left %d second names", n, len(left))
				}
				if f := s.probe(); f != action.NotApplied {
					t.Errorf("step %d: probe after the undo: %s", n, f)
				}
				continue
			}
			b.runs-- // the same run plans the step anew
			again, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
			if err != nil || again.plan.Facts["how"] != "swap" || again.plan.Token != s.plan.Token || again.plan.Facts["keep"] != s.plan.Facts["keep"] {
				t.Fatalf("step %d: again: %+v, %v", n, again.plan, err)
			}
			if err := again.run(); err != nil {
				t.Fatalf("step %d: again: %v", n, err)
			}
			if kept := b.files(again.plan.Facts["keep"]); !maps.Equal(kept, old) {
				t.Errorf("step %d: kept %d files, want the old ones", n, len(kept))
			}
			if f := again.probe(); f != action.Applied || b.content() != want {
				t.Errorf("step %d: probe %s", n, f)
			}
			if _, err := again.undo(); err != nil {
				t.Errorf("step %d: undo of the second attempt: %v", n, err)
			}
			if got := b.files(b.path); !maps.Equal(got, old) {
				t.Errorf("step %d: after the undo of the second attempt %d files", n, len(got))
			}
		}
	}
}

// TestUndoOfSwapCutShort stops the undo of a swap at every step of its way.
func TestUndoOfSwapCutShort(t *testing.T) {
	way := []change{
		{"booking.db", "booking.db.undone-run2"}, {"booking.db", ""}, {"booking.db.before-run2-wal", "booking.db-wal"},
	}
	for n := range len(way) + 1 {
		b := newBench(t)
		b.play("sqlite.backup", map[string]any{"asset": "db"})
		want := b.content()
		b.damage()
		if err := os.WriteFile(b.path+"-wal", []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		old := b.files(b.path)
		s := b.play("sqlite.restore", map[string]any{"asset": "db"})
		undo, err := s.call.PlanUndo(t.Context(), b.env, s.plan, action.Result{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range way[:n] {
			c.make(t, filepath.Dir(b.path))
		}
		p, err := s.call.ProbeUndo(t.Context(), b.env, undo, s.plan, action.Result{})
		if wanted := map[bool]action.Finding{true: action.NotApplied, false: action.Unknown}[n < 2]; err != nil || p.Finding != wanted {
			t.Errorf("step %d: probe %+v, %v, want %s", n, p, err, wanted)
		}
		if undo, err = s.undo(); err != nil {
			t.Fatalf("step %d: the undo again: %v", n, err)
		}
		if got := b.files(b.path); !maps.Equal(got, old) {
			t.Errorf("step %d: %d files, want the old ones", n, len(got))
		}
		if p, err = s.call.ProbeUndo(t.Context(), b.env, undo, s.plan, action.Result{}); err != nil || p.Finding != action.Applied {
			t.Errorf("step %d: probe after it %+v, %v", n, p, err)
		}
		b.path += ".undone-run2"
		if b.content() != want {
			t.Errorf("step %d: the restored database was not kept", n)
		}
	}
}

// TestCreateCutShort: a log without a database is kept aside when a point comes to its
// place, and lies there again after an undo, wherever it was stopped.
func TestCreateCutShort(t *testing.T) {
	way := []change{{"booking.db-wal", "booking.db.before-run2-wal"}, {"booking.db-wal", ""}}
	for n := range len(way) + 2 {
		b := newBench(t)
		b.play("sqlite.backup", map[string]any{"asset": "db"})
		if err := os.Remove(b.path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.path+"-wal", []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
		if err != nil {
			t.Fatal(err)
		}
		if n > len(way) {
			if err := s.run(); err != nil {
				t.Fatal(err)
			}
		} else {
			for _, c := range way[:n] {
				c.make(t, filepath.Dir(b.path))
			}
			if f := s.probe(); f != map[bool]action.Finding{true: action.NotApplied, false: action.Unknown}[n == 0] {
				t.Errorf("step %d: probe %s", n, f)
			}
		}
		if _, err := s.undo(); err != nil {
			t.Errorf("step %d: undo: %v", n, err)
		}
		if log, err := os.ReadFile(b.path + "-wal"); err != nil || !bytes.Equal(log, []byte("precious")) || len(b.files(b.path)) != 1 {
			t.Errorf("step %d: after the undo %q, %v", n, log, err)
		}
		if f := s.probe(); f != action.NotApplied {
			t.Errorf("step %d: probe after the undo: %s", n, f)
		}
	}
}
