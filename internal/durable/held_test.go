package durable

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// What a living process holds is not stale; what it let go of is, and only names of
// exactly the form are looked at.
func TestStale(t *testing.T) {
	parent := t.TempDir()
	const prefix = ".a*b.restore-"
	living, err := Hold(parent, prefix)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := Hold(parent, prefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Release(); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	for _, name := range []string{prefix, prefix + "1x", "x" + prefix + "1", ".axb.restore-1"} {
		if err := os.Mkdir(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(other, filepath.Join(parent, prefix+"7")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, prefix+"8"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stale, err := Stale(parent, prefix, 10)
	if err != nil || len(stale) != 1 || stale[0].Dir != dead.Dir {
		t.Fatalf("stale %v, %v; want %s and not %s", stale, err, dead.Dir, living.Dir)
	}
	if again, err := Stale(parent, prefix, 10); err != nil || len(again) != 0 {
		t.Errorf("one directory is stale for two: %v, %v", again, err)
	}
	stale[0].Release()
	living.Release()
	if some, err := Stale(parent, prefix, 1); err != nil || len(some) != 1 {
		t.Errorf("the limit of one: %v, %v", some, err)
	}
	if none, err := Stale(filepath.Join(parent, "none"), prefix, 1); err != nil || none != nil {
		t.Errorf("no parent: %v, %v", none, err)
	}
}

// Sweepers that run while directories are made never take one that somebody holds.
func TestHoldAmongSweepers(t *testing.T) {
	parent := t.TempDir()
	stop := make(chan struct{})
	var sweepers sync.WaitGroup
	for range 2 {
		sweepers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				stale, err := Stale(parent, "p-", 100)
				if err != nil {
					t.Error(err)
				}
				for _, h := range stale {
					if err := RemoveTree(h.Dir); err != nil {
						t.Error(err)
					}
					h.Release()
				}
			}
		})
	}
	for range 300 {
		h, err := Hold(parent, "p-")
		if err != nil {
			t.Error(err)
			break
		}
		if err := os.WriteFile(filepath.Join(h.Dir, "file"), []byte("x"), 0o600); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(h.Dir, "file")); err != nil {
			t.Error(err)
		}
		h.Release()
	}
	close(stop)
	sweepers.Wait()
}

func TestRemoveTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "b", "file"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a/b", "a"} {
		if err := os.Chmod(filepath.Join(dir, d), 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveTree(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}
