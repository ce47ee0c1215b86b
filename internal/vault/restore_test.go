package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/durable"
)

// A killed restore leaves a point in the clear beside its target. The next restore to that
// target removes it; what a living restore has, and what is beside another target, stays.
func TestRestoreRemovesWhatAKilledOneLeft(t *testing.T) {
	h := newHistory(t, 1, time.Hour, Options{})
	parent := t.TempDir()
	out := filepath.Join(parent, "out")
	leave := func(prefix string) *durable.Held {
		t.Helper()
		held, err := durable.Hold(parent, prefix)
		must(t, err)
		objects := filepath.Join(held.Dir, "replica", "objects")
		must(t, os.MkdirAll(objects, 0o700))
		must(t, os.WriteFile(filepath.Join(objects, "plain"), []byte("secret"), 0o400))
		must(t, os.Chmod(objects, 0o500))
		t.Cleanup(func() { durable.RemoveTree(held.Dir) })
		return held
	}
	killed, living, other := leave(".out.restore-"), leave(".out.restore-"), leave(".outer.restore-")
	must(t, killed.Release()) // as its death does
	must(t, other.Release())
	mine := filepath.Join(parent, ".out.restore-notes")
	must(t, os.Mkdir(mine, 0o700))
	got, err := restoredBytes(t.Context(), h.v, h.points[0], out)
	if err != nil || !bytes.Equal(got, h.want[h.points[0].ID]) {
		t.Fatalf("restore: %v", err)
	}
	entries, err := os.ReadDir(parent)
	must(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, filepath.Join(parent, e.Name()))
	}
	want := []string{living.Dir, mine, other.Dir, out}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left %q\nwant %q", left, want)
	}
	must(t, living.Release())
}
