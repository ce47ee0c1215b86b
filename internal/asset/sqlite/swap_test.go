package sqlite_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/asset/sqlite"
)

// fault fails the n-th change of a name, and with dead every later one too, as when the
// machine stops there.
type fault struct {
	n    int
	dead bool
	hit  bool
}

func (f *fault) check(string, string) error {
	f.n--
	if f.n == 0 || f.n < 0 && f.dead {
		f.hit = true
		return errFault
	}
	return nil
}

// place is a directory with a database called "db", by what stands in its files.
func place(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	return dir
}

func contents(t *testing.T, dir, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range []string{"", "-wal", "-shm", "-journal"} {
		data, err := os.ReadFile(filepath.Join(dir, name+s))
		if err == nil {
			out[s] = string(data)
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return out
}

// TestEveryStepOfTheWay fails each change of a name once, with the rest of the way open and
// with the machine gone. The database in its place always has exactly its own sidecars;
// what was there before can always be put back, also when that is cut short itself.
func TestEveryStepOfTheWay(t *testing.T) {
	old := map[string]string{"": "old", "-wal": "old wal", "-shm": "old shm"}
	journal := map[string]string{"": "old", "-journal": "old journal"}
	fresh := map[string]string{"": "new"}
	logged := map[string]string{"": "new", "-wal": "new wal"}
	orphans := map[string]string{"-wal": "orphan"}
	swap := func(r sqlite.Replacement, ctx context.Context) error { return r.Swap(ctx) }
	for name, tt := range map[string]struct {
		live, from map[string]string
		do         func(r sqlite.Replacement, ctx context.Context) error
		after      map[string]string // at live, when it went well
	}{
		"swap":                  {old, fresh, swap, fresh},
		"swap with a journal":   {journal, fresh, swap, fresh},
		"swap without sidecars": {map[string]string{"": "old"}, fresh, swap, fresh},
		"swap back":             {map[string]string{"": "restored"}, logged, swap, logged},
		"swap of both":          {old, logged, swap, logged},
		"swap where none is":    {orphans, logged, swap, logged},
		"create":                {orphans, fresh, func(r sqlite.Replacement, ctx context.Context) error { return r.Create(ctx) }, fresh},
		"move aside":            {old, nil, func(r sqlite.Replacement, ctx context.Context) error { return r.MoveAside(ctx) }, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dead := range []bool{false, true} {
				for n := 1; ; n++ {
					files := map[string]string{}
					for s, text := range tt.live {
						files["db"+s] = text
					}
					for s, text := range tt.from {
						files["from"+s] = text
					}
					dir := place(t, files)
					r := sqlite.Replacement{Live: filepath.Join(dir, "db"), From: filepath.Join(dir, "from"), Keep: filepath.Join(dir, "keep"), Sidecars: true}
					if tt.live[""] != "" {
						hash, err := sqlite.FileHash(t.Context(), r.Live)
						if err != nil {
							t.Fatal(err)
						}
						r.Want = hash
					}
					f := &fault{n: n, dead: dead}
					err := tt.do(r.WithFault(f.check), t.Context())
					if !f.hit {
						if err != nil || n < 4 {
							t.Errorf("step %d: %v", n, err)
						}
						if got := contents(t, dir, "db"); !maps.Equal(got, tt.after) {
							t.Errorf("it went well and left %q, want %q", got, tt.after)
						}
						if got := contents(t, dir, "keep"); !maps.Equal(got, tt.live) {
							t.Errorf("kept %q, want %q", got, tt.live)
						}
						break
					}
					if !errors.Is(err, errFault) {
						t.Errorf("step %d, dead %v: %v, want the fault", n, dead, err)
					}
					now := contents(t, dir, "db")
					if name == "move aside" && now[""] == "" {
						if kept := contents(t, dir, "keep"); !maps.Equal(kept, old) {
							t.Errorf("step %d, dead %v: moved aside without all of it: %q", n, dead, kept)
						}
						if err := r.MoveAside(t.Context()); len(now) > 0 && err != nil {
							t.Errorf("step %d, dead %v: the second try: %v", n, dead, err)
						}
						if now := contents(t, dir, "db"); len(now) > 0 {
							t.Errorf("step %d, dead %v: the second try left %q", n, dead, now)
						}
						continue
					}
					switch {
					case now[""] != "" && now[""] == tt.after[""]:
						if !maps.Equal(now, tt.after) {
							t.Errorf("step %d, dead %v: the new one has %q", n, dead, now)
						}
						continue
					case now[""] != "" && !maps.Equal(now, tt.live):
						t.Errorf("step %d, dead %v: the old one has %q", n, dead, now)
					case !dead && !maps.Equal(now, tt.live):
						t.Errorf("step %d: the old state was not put back: %q", n, now)
					case now[""] == "" && tt.live[""] != "" && !maps.Equal(contents(t, dir, "keep"), tt.live):
						t.Errorf("step %d: nothing in the place, and kept is %q", n, contents(t, dir, "keep"))
					}
					settled(t, r, dir, tt.live)
					if err := tt.do(r, t.Context()); err != nil {
						t.Errorf("step %d, dead %v: the second try: %v", n, dead, err)
					}
					if got := contents(t, dir, "db"); !maps.Equal(got, tt.after) {
						t.Errorf("step %d, dead %v: the second try left %q", n, dead, got)
					}
				}
			}
		})
	}
}

// settled puts back what was there, each time a step further until nothing stops it.
func settled(t *testing.T, r sqlite.Replacement, dir string, want map[string]string) {
	t.Helper()
	for n := 1; ; n++ {
		f := &fault{n: n, dead: true}
		err := r.WithFault(f.check).Settle(t.Context())
		if now := contents(t, dir, "db"); now[""] != "" && !maps.Equal(now, want) {
			t.Errorf("putting back, step %d: %q", n, now)
		}
		if f.hit {
			if !errors.Is(err, errFault) {
				t.Errorf("putting back, step %d: %v, want the fault", n, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("putting back: %v", err)
		}
		break
	}
	if now := contents(t, dir, "db"); !maps.Equal(now, want) || sqlite.CutShort(r.Live, r.Keep) {
		t.Errorf("put back: %q, want %q", now, want)
	}
	if kept := contents(t, dir, "keep"); len(kept) > 0 {
		t.Errorf("second names were left: %q", kept)
	}
}

// TestSwapRefusesWhatCame: what another program puts in the place meanwhile stays, and a log
// of nobody is not put beside a database.
func TestSwapRefusesWhatCame(t *testing.T) {
	dir := place(t, map[string]string{"db": "old", "db-wal": "old wal", "from": "new"})
	r := sqlite.Replacement{Live: filepath.Join(dir, "db"), From: filepath.Join(dir, "from"), Keep: filepath.Join(dir, "keep")}
	var err error
	if r.Want, err = sqlite.FileHash(t.Context(), r.Live); err != nil {
		t.Fatal(err)
	}
	came := false
	err = r.WithFault(func(what, path string) error {
		if what == "place" && !came {
			came = true
			write(t, path, []byte("of another program"))
		}
		return nil
	}).Swap(t.Context())
	if !errors.Is(err, sqlite.ErrChanged) || !came {
		t.Errorf("Swap = %v, want ErrChanged", err)
	}
	if got := contents(t, dir, "db"); !maps.Equal(got, map[string]string{"": "of another program"}) {
		t.Errorf("in the place: %q", got)
	}
	if got := contents(t, dir, "keep"); !maps.Equal(got, map[string]string{"": "old", "-wal": "old wal"}) {
		t.Errorf("kept: %q", got)
	}

	if err := os.Remove(r.Live); err != nil {
		t.Fatal(err)
	}
	write(t, r.Live+"-journal", []byte("of nobody"))
	if err := r.Settle(t.Context()); !errors.Is(err, sqlite.ErrChanged) {
		t.Errorf("Settle = %v, want ErrChanged", err)
	}
	if !sqlite.CutShort(r.Live, r.Keep) {
		t.Error("a database was put beside a foreign journal")
	}
}
