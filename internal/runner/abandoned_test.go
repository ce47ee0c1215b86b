package runner

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lifeboat/internal/durable"
	"lifeboat/internal/run"
)

// What killed hosts left in scratch directories is taken away, and nothing of a run that is
// hosted, nor what else a run has.
func TestAbandon(t *testing.T) {
	dir := t.TempDir()
	f, to := Files{Dir: filepath.Join(dir, "runs")}, filepath.Join(dir, "swept")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	const killed, living, tidy = run.ID("20261124T030000Z-0001"), run.ID("20261124T030000Z-0002"), run.ID("20261124T030000Z-0003")
	if n, err := f.Abandon(to); n != 0 || err != nil {
		t.Errorf("before the first run: %d, %v", n, err)
	}
	paths := map[run.ID]string{}
	for _, id := range []run.ID{killed, living, tidy} {
		if _, err := f.Create(id, "01-work.1.log"); err != nil {
			t.Fatal(err)
		}
		scratch, remove, err := f.Scratch(id, "01-work.1")
		if err != nil {
			t.Fatal(err)
		}
		paths[id] = filepath.Join(scratch, "replica")
		if err := os.WriteFile(paths[id], []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if id == tidy {
			remove()
		}
	}
	lock, err := durable.Lock(filepath.Join(f.Run(killed), lockName), "process 1")
	if err != nil {
		t.Fatal(err)
	}
	lock.Unlock() // as its death does
	host, err := NewHost(f, living, "living")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if err := os.WriteFile(filepath.Join(f.Dir, "a file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Abandon(to); n != 1 || err != nil {
		t.Errorf("moved %d, %v", n, err)
	}
	if _, err := os.Lstat(paths[killed]); !os.IsNotExist(err) {
		t.Errorf("the scratch of a killed run stays: %v", err)
	}
	if _, err := os.Stat(paths[living]); err != nil {
		t.Errorf("the scratch of a hosted run: %v", err)
	}
	for id := range paths {
		if _, err := os.Stat(filepath.Join(f.Run(id), "01-work.1.log")); err != nil {
			t.Errorf("the log of %s: %v", id, err)
		}
	}
	if got, err := os.ReadDir(to); err != nil || len(got) != 1 || got[0].Name() != string(killed) {
		t.Errorf("swept %v, %v", got, err)
	}
	// The run that is taken up again has a scratch directory of its own.
	if scratch, remove, err := f.Scratch(killed, "01-work.2"); err != nil || holds(scratch) {
		t.Errorf("scratch of a resumed run: %q, %v", scratch, err)
	} else {
		remove()
	}
}

// What cannot be moved is an error and does not keep the others.
func TestAbandonGoesOn(t *testing.T) {
	dir := t.TempDir()
	f, to := Files{Dir: filepath.Join(dir, "runs")}, filepath.Join(dir, "swept")
	const one, two = run.ID("20261124T030000Z-0001"), run.ID("20261124T030000Z-0002")
	for _, id := range []run.ID{one, two} {
		if _, _, err := f.Scratch(id, "01-work.1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(to, string(two), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Abandon(to); n != 1 || err == nil {
		t.Errorf("moved %d, %v", n, err)
	}
	for id, want := range map[run.ID]bool{one: false, two: true} {
		if got := holds(filepath.Join(f.Run(id), scratchName)); got != want {
			t.Errorf("scratch of %s is there: %v", id, got)
		}
	}
}

// A sweep at the moment at which a run is taken up keeps nobody from hosting it, and takes
// nothing from it.
func TestAbandonAmongHosts(t *testing.T) {
	dir := t.TempDir()
	f, to := Files{Dir: filepath.Join(dir, "runs")}, filepath.Join(dir, "swept")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	const id = run.ID("20261124T030000Z-0001")
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
				sub, err := os.MkdirTemp(to, "")
				if err == nil {
					_, err = f.Abandon(sub)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 100 {
		host, err := NewHost(f, id, "host")
		if err != nil {
			t.Errorf("a sweeper is in the way: %v", err)
			break
		}
		scratch, remove, err := f.Scratch(id, "01-work.1")
		if err != nil {
			t.Error(err)
			break
		}
		if err := os.WriteFile(filepath.Join(scratch, "file"), nil, 0o600); err != nil {
			t.Errorf("the scratch of a hosted run is gone: %v", err)
		}
		if _, err := os.Stat(filepath.Join(scratch, "file")); err != nil {
			t.Errorf("the scratch of a hosted run is gone: %v", err)
		}
		if remove(); holds(scratch) {
			t.Error("not removed")
		}
		if left, _, err := f.Scratch(id, "01-work.2"); err != nil || left == "" { // of a killed host
			t.Error(err)
		}
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	sweepers.Wait()
}
