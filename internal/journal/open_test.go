package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/hint"
)

func TestOpenRefuses(t *testing.T) {
	fill := func(t *testing.T, path string) {
		j := opened(t, path)
		appended(t, j, history("r-1")...)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	change := func(sql string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			fill(t, path)
			alter(t, path, sql)
		}
	}
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		is      error
		message string
	}{
		{"directory open to others", func(t *testing.T, p string) { must(t, os.Chmod(filepath.Dir(p), 0o755)) }, nil, "is open to other users (mode 0755)"},
		{"file open to others", func(t *testing.T, p string) { fill(t, p); must(t, os.Chmod(p, 0o640)) }, nil, "is open to other users (mode 0640)"},
		{"symbolic link", func(t *testing.T, p string) { must(t, os.Symlink("/dev/null", p)) }, nil, "not a regular file"},
		{"directory", func(t *testing.T, p string) { must(t, os.Mkdir(p, 0o700)) }, nil, "not a regular file"},
		{"no directory", func(t *testing.T, p string) { must(t, os.Remove(filepath.Dir(p))) }, os.ErrNotExist, ""},
		{"not a database", func(t *testing.T, p string) { must(t, os.WriteFile(p, bytes.Repeat([]byte("x"), 5000), 0o600)) }, ErrCorrupt, ""},
		{"another program's", func(t *testing.T, p string) {
			must(t, os.WriteFile(p, nil, 0o600))
			alter(t, p, "CREATE TABLE t (x)")
		}, nil, "database of another program"},
		{"newer schema", change("PRAGMA user_version = 4"), ErrNewer, "schema 4"},
		{"newer event", change("INSERT INTO forms VALUES ('moon-landed')"), ErrNewer, `"moon-landed"`},
		{"emptied", change("DELETE FROM events; UPDATE head SET n = 0, chain = zeroblob(32)"), ErrRolledBack, "has 0 events"},
		{"another journal", change("UPDATE head SET id = 'other'"), ErrRolledBack, "it is journal other"},
		{"rewritten", change("UPDATE events SET chain = zeroblob(32) WHERE n = 8"), ErrRolledBack, "append 8"},
		{"file removed", func(t *testing.T, p string) { fill(t, p); must(t, os.Remove(p)) }, ErrRolledBack, "8 events were in it"},
		{"file emptied", func(t *testing.T, p string) { fill(t, p); must(t, os.Truncate(p, 0)) }, ErrRolledBack, ""},
		{"broken witness", func(t *testing.T, p string) { fill(t, p); must(t, os.WriteFile(witnessPath(p), []byte("{"), 0o600)) }, ErrCorrupt, "witness"},
		{"no head", change("DELETE FROM head"), ErrCorrupt, "head is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := place(t)
			tt.prepare(t, path)
			j, err := Open(t.Context(), path)
			if err == nil {
				j.Close()
				t.Fatal("it was opened")
			}
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("error %v, want %v %q", err, tt.is, tt.message)
			}
			if len(hint.All(err)) == 0 && !errors.Is(err, os.ErrNotExist) && tt.message != "not a regular file" && tt.message != "head is missing" {
				t.Errorf("no advice: %v", err)
			}
		})
	}
}

// What Open refuses as newer can still be read.
func TestNewerJournalCanBeRead(t *testing.T) {
	path := place(t)
	j := opened(t, path)
	appended(t, j, history("r-1")...)
	must(t, j.Close())
	alter(t, path, "PRAGMA user_version = 4; INSERT INTO forms VALUES ('moon-landed')")
	ro, err := OpenReadOnly(t.Context(), path)
	must(t, err)
	defer ro.Close()
	if events, err := ro.Load(t.Context(), "r-1"); err != nil || len(events) != 8 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if list, err := ro.Runs(t.Context(), 0); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// A newer version that appends while we run keeps us from appending behind it.
func TestNewerNeighbour(t *testing.T) {
	path := place(t)
	old, neighbour := opened(t, path), opened(t, path)
	appended(t, old, history("r-1")[0])
	appended(t, neighbour, history("r-2")[0])
	must(t, exec(t.Context(), neighbour.write, "INSERT INTO forms VALUES ('moon-landed')"))
	if err := old.Append(t.Context(), history("r-1")[1]); !errors.Is(err, ErrNewer) {
		t.Errorf("error %v", err)
	}
}

func TestOpenReadOnlyOfNothing(t *testing.T) {
	path := place(t)
	if _, err := OpenReadOnly(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it was made")
	}
}

func TestForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a file to another user")
	}
	path := place(t)
	must(t, os.Chown(filepath.Dir(path), 4711, 4711))
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "belongs to user 4711") {
		t.Errorf("error %v", err)
	}
}
