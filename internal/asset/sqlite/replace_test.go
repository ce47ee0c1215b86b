package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/command"
)

// The test program is also the child that is killed in the middle of a replacement.
// crash replaces a database and kills itself at the n-th named point. Exit 0 means
// that there are fewer points.
func crash(at string) int {
	n, err := strconv.Atoi(at)
	if err != nil {
		return 2
	}
	r := sqlite.Replacement{
		Live: os.Getenv("CRASH_LIVE"), From: os.Getenv("CRASH_FROM"), Keep: os.Getenv("CRASH_KEEP"), Want: os.Getenv("CRASH_WANT"),
	}.WithBeat(func(string) {
		if n--; n == 0 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				os.Exit(3)
			}
			select {} // the signal is on its way
		}
	})
	replace := r.Overwrite
	switch os.Getenv("CRASH_HOW") {
	case "swap":
		replace = r.Swap
	case "change":
		replace = func(ctx context.Context) error {
			c := sqlite.Change{Path: r.Live, Keep: r.Keep, Want: r.Want}.WithBeat(func(string) error { return r.Beat() })
			_, err := c.Do(ctx, changes)
			return err
		}
	}
	if err := replace(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	return 0
}

// sweep kills the replacement at every point, each time on fresh files, and has the
// state looked at. killed is false in the last round.
func sweep(t *testing.T, how string, prepare func(live string) (from, want string), look func(live, keep string, killed bool)) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		dir := t.TempDir()
		live, keep := filepath.Join(dir, "live.db"), filepath.Join(dir, "live.db.before")
		from, want := prepare(live)
		_, err := command.Run(t.Context(), command.Cmd{Argv: []string{self}, Env: map[string]string{
			"CRASH_AT": strconv.Itoa(n), "CRASH_HOW": how, "CRASH_LIVE": live, "CRASH_FROM": from, "CRASH_KEEP": keep, "CRASH_WANT": want,
		}})
		exit, killed := errors.AsType[*command.ExitError](err)
		if err != nil && (!killed || exit.Signal != "SIGKILL") {
			t.Fatalf("round %d: %v", n, err)
		}
		look(live, keep, killed)
		if !killed {
			if n < 4 {
				t.Errorf("only %d points were passed; the sweep shows little", n-1)
			}
			return
		}
	}
}

func TestOverwriteSurvivesKill(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			older, newer := filepath.Join(dir, "old.db"), filepath.Join(dir, "new.db")
			for path, rows := range map[string]int{older: 4000, newer: 6000} {
				db := openDB(t, path, "page_size=512", "synchronous=OFF")
				fill(t, db, rows)
				if path == older {
					do(t, db, "PRAGMA journal_mode="+mode, "UPDATE booking SET who = 'old'")
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			before, after := inspect(t, older), inspect(t, newer)
			seen := map[string]int{}
			sweep(t, "overwrite", func(live string) (string, string) {
				write(t, live, read(t, older))
				return newer, before.Content
			}, func(live, keep string, killed bool) {
				now := inspect(t, live)
				switch now.Content {
				case after.Content:
					seen["new"]++
					if kept := inspect(t, keep); kept.Content != before.Content {
						t.Error("the new state stands and the old one was not kept")
					}
				case before.Content:
					seen["old"]++
					if !killed {
						t.Error("it ended well and nothing has changed")
					}
				default:
					t.Errorf("neither old nor new: %+v", now)
				}
				sound(t, live)
			})
			if seen["old"] == 0 || seen["new"] == 0 {
				t.Errorf("states seen: %v, want both", seen)
			}
		})
	}
}

func inspect(t *testing.T, path string) sqlite.Facts {
	t.Helper()
	// As the application would: it rolls back what a crash left.
	db := openDB(t, path)
	do(t, db, "SELECT 1 FROM sqlite_schema")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := sqlite.Inspect(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sound(t *testing.T, path string) {
	t.Helper()
	complaints, err := sqlite.Integrity(t.Context(), openDB(t, path), false)
	if err != nil || len(complaints) > 0 {
		t.Errorf("integrity of %s: %v, %v", path, complaints, err)
	}
}

func TestSwapSurvivesKill(t *testing.T) {
	source := filepath.Join(t.TempDir(), "new.db")
	db := openDB(t, source)
	fill(t, db, 100)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fresh := read(t, source)
	seen := map[string]int{}
	sweep(t, "swap", func(live string) (string, string) {
		write(t, live, []byte("damaged"))
		write(t, live+"-wal", []byte("its log"))
		from := live + ".from"
		write(t, from, fresh)
		hash, err := sqlite.FileHash(t.Context(), live)
		if err != nil {
			t.Fatal(err)
		}
		return from, hash
	}, func(live, keep string, killed bool) {
		if _, err := os.Stat(live); errors.Is(err, os.ErrNotExist) {
			seen["away"]++
			if !killed || !sqlite.CutShort(live, keep) {
				t.Error("nothing stands in the place")
			}
			if err := (sqlite.Replacement{Live: live, Keep: keep}).Settle(t.Context()); err != nil {
				t.Error(err)
			}
		}
		_, walErr := os.Stat(live + "-wal")
		switch now := string(read(t, live)); now {
		case "damaged":
			seen["old"]++
			if !killed {
				t.Error("it ended well and nothing has changed")
			}
			if walErr != nil || string(read(t, live+"-wal")) != "its log" {
				t.Error("the old file stands there without its log")
			}
		case string(fresh):
			seen["new"]++
			if walErr == nil {
				t.Error("the old log stands beside the new database")
			}
			if string(read(t, keep)) != "damaged" || string(read(t, keep+"-wal")) != "its log" {
				t.Error("the old files were not kept together")
			}
		default:
			t.Errorf("neither old nor new: %d bytes", len(now))
		}
	})
	if seen["old"] == 0 || seen["away"] == 0 || seen["new"] == 0 {
		t.Errorf("states seen: %v, want all three", seen)
	}
}

// TestOverwriteSeesLateWriter has somebody write in the moment between the safety copy
// and the lock.
func TestOverwriteSeesLateWriter(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			path, app := database(t, "journal_mode="+mode)
			fill(t, app, 50)
			from, other := database(t)
			fill(t, other, 500)
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			before := inspect(t, path)
			r := sqlite.Replacement{Live: path, From: from, Keep: path + ".before", Want: before.Content}
			err := r.WithBeat(func(point string) {
				if point == "kept" {
					do(t, app, "INSERT INTO booking (who) VALUES ('late')")
				}
			}).Overwrite(t.Context())
			if !errors.Is(err, sqlite.ErrChanged) {
				t.Fatalf("Overwrite = %v, want ErrChanged", err)
			}
			if f := inspect(t, path); f.Rows["booking"] != 51 {
				t.Errorf("the late row is lost: %v", f.Rows)
			}
			if _, err := os.Stat(r.Keep); err == nil {
				t.Error("a safety copy of nothing was left")
			}
			r.Want = inspect(t, path).Content
			if err := r.Overwrite(t.Context()); err != nil {
				t.Errorf("the second try: %v", err)
			}
		})
	}
}

func TestOverwriteStopsWithContext(t *testing.T) {
	path, app := database(t, "page_size=512")
	fill(t, app, 50)
	from, other := database(t, "page_size=512")
	fill(t, other, 8000)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	before := inspect(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	r := sqlite.Replacement{Live: path, From: from, Keep: path + ".before", Want: before.Content}
	steps := 0
	err := r.WithBeat(func(point string) {
		if steps++; steps == 3 {
			cancel()
		}
	}).Overwrite(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Overwrite = %v, want context.Canceled", err)
	}
	if inspect(t, path).Content != before.Content {
		t.Error("a part was overwritten")
	}
	sound(t, path)
}

// TestOverwriteFailsInTheMiddle: what fails leaves the old state and no second copy of it,
// for which a full disk has no room.
func TestOverwriteFailsInTheMiddle(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		path, app := database(t, "page_size=512", "journal_mode="+mode)
		fill(t, app, 50)
		from, other := database(t, "page_size=512")
		fill(t, other, 20000)
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		before := inspect(t, path)
		r := sqlite.Replacement{Live: path, From: from, Keep: path + ".before", Want: before.Content}
		err := r.WithBeat(func(point string) {
			if point == "kept" {
				write(t, from, bytes.Repeat([]byte("no pages "), 1000))
			}
		}).Overwrite(t.Context())
		if !errors.Is(err, sqlite.ErrDamaged) {
			t.Fatalf("Overwrite = %v, want ErrDamaged", err)
		}
		if inspect(t, path).Content != before.Content {
			t.Errorf("%s: the old state does not stand: %v", mode, err)
		}
		if _, err := os.Stat(r.Keep); err == nil {
			t.Errorf("%s: a copy of what still stands there was left", mode)
		}
	}
}

// TestKeepMustBeFree: what is kept is kept.
func TestKeepMustBeFree(t *testing.T) {
	path, app := database(t)
	fill(t, app, 5)
	from, other := database(t)
	fill(t, other, 6)
	for _, name := range []string{".before", ".before-wal"} {
		keep := path + ".before"
		write(t, path+name, []byte("precious"))
		content := inspect(t, path).Content
		hash, err := sqlite.FileHash(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		r := sqlite.Replacement{Live: path, From: from, Keep: keep}
		r.Want = hash
		if err := r.Swap(t.Context()); !errors.Is(err, os.ErrExist) {
			t.Errorf("Swap over %s = %v, want ErrExist", name, err)
		}
		r.Want = content
		if err := r.Overwrite(t.Context()); !errors.Is(err, os.ErrExist) {
			t.Errorf("Overwrite over %s = %v, want ErrExist", name, err)
		}
		if err := (sqlite.Replacement{Live: path, Keep: keep}).MoveAside(t.Context()); !errors.Is(err, os.ErrExist) {
			t.Errorf("MoveAside over %s = %v, want ErrExist", name, err)
		}
		if string(read(t, path+name)) != "precious" || sqlite.Free(keep) != keep+"-2" {
			t.Error("a kept file was touched")
		}
		if err := os.Remove(path + name); err != nil {
			t.Fatal(err)
		}
	}
}
