package app

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/durable"
)

// scratched lists what is left in scratch directories of runs and of processes.
func (p *place) scratched() (out []string) {
	p.t.Helper()
	for _, pattern := range []string{"runs/*/scratch/*", "scratch/*"} {
		found, err := filepath.Glob(filepath.Join(p.state, pattern))
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

// TestScratchOfKilledHosts kills the process of a run while its scratch is in use. The next
// command that drives runs removes what it left, and nothing of one that is alive.
func TestScratchOfKilledHosts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("slow", "effect=read", "touch started"+hold)
	p.book("living", "effect=read", "touch living"+hold)
	p.book("quick", "effect=read", "true")
	x := p.start(p.command("run", "slow", "--yes"))
	p.await("started")
	before := p.scratched()
	if len(before) != 2 {
		t.Fatalf("scratch of a running step: %q", before)
	}
	for _, dir := range before { // as a step leaves a replica
		if err := os.WriteFile(filepath.Join(dir, "replica"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Dir(dir)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", filepath.Dir(dir), info.Mode(), err)
		}
	}
	x.signal(syscall.SIGKILL)
	x.exit(-1)
	if left := p.scratched(); len(left) != 2 {
		t.Fatalf("a killed process left %q", left)
	}
	y := p.start(p.command("run", "living", "--yes"))
	p.await("living")
	p.until("the removal", func() bool { return len(p.scratched()) == 2 })
	for _, dir := range p.scratched() {
		for _, old := range before {
			if dir == old {
				t.Errorf("%s is still there", dir)
			}
		}
	}
	p.exits(exitComplete, "run", "quick")
	if left := p.scratched(); len(left) != 2 {
		t.Errorf("beside a living process: %q", left)
	}
	p.write("go", "")
	y.exit(exitComplete)
	if left := p.scratched(); len(left) != 0 {
		t.Errorf("in the end: %q", left)
	}
}

// TestScratchThatStays cannot remove what a killed process left: it says so, and the run is
// complete nevertheless.
func TestScratchThatStays(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("quick", "effect=read", "true")
	p.exits(exitComplete, "run", "quick")
	scratch := filepath.Join(p.state, "runs", string(p.only().ID), "scratch")
	if err := os.MkdirAll(filepath.Join(scratch, "replica"), 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := durable.Hold(filepath.Join(p.state, "scratch"), "process-")
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(filepath.Dir(scratch), "lock")
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil { // no lock can be taken
		t.Fatal(err)
	}
	if out := p.exits(exitComplete, "run", "quick"); !strings.Contains(out, "scratch directories") || !strings.Contains(out, "the next command tries again") {
		t.Errorf("it does not say what stays:\n%s", out)
	}
	if left := p.scratched(); len(left) != 2 {
		t.Errorf("left %q", left)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	held.Release() // as its death does
	if out := p.exits(exitComplete, "run", "quick"); strings.Contains(out, "scratch directories") {
		t.Errorf("it complains:\n%s", out)
	}
	if left := p.scratched(); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}
