package sqlite_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

// TestRestoreLeavesWhatIsNoDatabase has something else in the place of a database, or
// of what belongs to it. No action waits for it or puts anything in its place.
func TestRestoreLeavesWhatIsNoDatabase(t *testing.T) {
	pipe := func(path string) error { return syscall.Mkfifo(path, 0o600) }
	folder := func(path string) error { return os.Mkdir(path, 0o700) }
	for name, tt := range map[string]struct {
		suffix string
		put    func(path string) error
	}{
		"pipe": {"", pipe}, "directory": {"", folder}, "pipe as journal": {"-journal", pipe}, "pipe as log": {"-wal", pipe}, "directory as log": {"-wal", folder},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.play("sqlite.backup", map[string]any{"asset": "db"})
			if tt.suffix == "" {
				if err := os.Remove(b.path); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.put(b.path + tt.suffix); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil || len(hint.All(err)) == 0 || !strings.Contains(err.Error(), "regular file") && !strings.Contains(err.Error(), "directory") {
					t.Errorf("plan = %v %q", err, hint.All(err))
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it hangs")
			}
			if info, err := os.Lstat(b.path + tt.suffix); err != nil || info.Mode().IsRegular() {
				t.Errorf("what stood there is gone: %v", err)
			}
		})
	}
}

// TestRestoreRunsNoTrigger overwrites a database whose triggers would empty it or fail,
// with a point whose triggers would too.
func TestRestoreRunsNoTrigger(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
		b.change("CREATE TRIGGER on_" + event + " BEFORE " + event + " ON booking BEGIN SELECT raise(ABORT, 'a trigger ran'); END")
	}
	want := b.content()
	b.play("sqlite.backup", map[string]any{"asset": "db"})
	b.change("CREATE TABLE more (a)", "CREATE TRIGGER empties AFTER INSERT ON more BEGIN DELETE FROM booking; END", "DROP TRIGGER on_UPDATE")
	s := b.play("sqlite.restore", map[string]any{"asset": "db"})
	if b.content() != want {
		t.Error("the database is not that of the point")
	}
	if f := s.probe(); f != action.Applied {
		t.Errorf("probe: %s", f)
	}
	if l := b.leftovers(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
}
