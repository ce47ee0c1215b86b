package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCopy(t *testing.T) {
	h := newHistory(t, 4, time.Hour, Options{Sign: testKey(3)})
	to, dir := fileVault(t)
	var log strings.Builder
	for i, m := range h.points {
		c, err := h.v.Copy(t.Context(), m, to, CopyOptions{Log: &log})
		if err != nil || c.Point != m.ID || i > 0 && c.Objects != 4 { // an object, an index, restore.sh, the manifest
			t.Fatalf("%+v, %v", c, err)
		}
	}
	last := h.points[3]
	got, err := to.Latest(t.Context(), last.Asset)
	if err != nil || got.ID != last.ID || got.Sum() != last.Sum() {
		t.Errorf("latest %s, %v", got.ID, err)
	}
	if _, err := to.Verify(t.Context(), got, lines{}, LevelRestored, VerifyOptions{}); err != nil {
		t.Error(err)
	}
	if out, err := restoredBytes(t.Context(), to, got, filepath.Join(t.TempDir(), "out")); err != nil || !bytes.Equal(out, h.want[last.ID]) {
		t.Errorf("restore: %v", err)
	}
	if !strings.Contains(strings.Join(tree(t, dir), " "), readmeKey) {
		t.Error("no README beside the copy")
	}
	// Once more: nothing to do. What is lost comes back, what is wrong is named.
	if c, err := h.v.Copy(t.Context(), last, to, CopyOptions{}); err != nil || c.Objects != 0 || c.Skipped == 0 {
		t.Errorf("twice: %+v, %v", c, err)
	}
	must(t, to.store.remove(t.Context(), last.Chain[1].Key))
	if c, err := h.v.Copy(t.Context(), last, to, CopyOptions{Recheck: true}); err != nil || c.Objects != 1 {
		t.Errorf("lost object: %+v, %v", c, err)
	}
	must(t, to.store.remove(t.Context(), last.Chain[2].Key))
	must(t, to.putSmall(t.Context(), last.Chain[2].Key, putOptions{}, []byte("other")))
	if _, err := h.v.Copy(t.Context(), last, to, CopyOptions{Recheck: true}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), last.Chain[2].Key) {
		t.Errorf("another object under its name: %v", err)
	}
}

// A source that is damaged is not copied, not even in part.
func TestCopyRefusesDamage(t *testing.T) {
	h := newHistory(t, 2, time.Hour, Options{})
	m := h.points[1]
	key := m.Chain[1].Key
	data, err := h.v.small(t.Context(), key)
	must(t, err)
	data[3] ^= 1
	must(t, h.below.remove(t.Context(), key))
	must(t, h.v.putSmall(t.Context(), key, putOptions{}, data))
	to, dir := fileVault(t)
	if _, err := h.v.Copy(t.Context(), m, to, CopyOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
	for _, name := range tree(t, dir) {
		if strings.HasSuffix(name, ".json") && strings.Contains(name, "/p/") || strings.Contains(name, "appended") {
			t.Errorf("copied: %s", name)
		}
	}
	must(t, h.below.remove(t.Context(), key))
	if _, err := h.v.Copy(t.Context(), m, to, CopyOptions{}); !errors.Is(err, ErrMissing) {
		t.Errorf("missing: %v", err)
	}
}

// What the other vault has pruned does not come back.
func TestCopyLeavesPrunedPoints(t *testing.T) {
	h := newHistory(t, 6, 3*time.Hour, Options{})
	whole := h.v
	h.below = copyStore(t, h.below)
	h.v = h.open(h.below, Options{})
	plan, _ := h.prune(PruneOptions{Keep: Keep{Hourly: 1}, Grace: time.Hour, MaxShare: 100})
	m, err := whole.Get(t.Context(), h.asset(), plan.Remove[0])
	must(t, err)
	if c, err := whole.Copy(t.Context(), m, h.v, CopyOptions{}); err != nil || !c.Pruned || c.Objects != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if len(h.healthy()) != len(plan.Keep) {
		t.Error("a pruned point is back")
	}
}

// differing is lines that can tell what changed.
type differing struct{ lines }

func (differing) Diff(ctx context.Context, older, newer []byte,
	openOlder, openNewer func(role string) (io.ReadCloser, error),
	report func(what, name, before, after string),
) error {
	a, err := openOlder("index")
	if err != nil {
		return err
	}
	defer a.Close()
	before, err := io.ReadAll(a)
	if err != nil {
		return err
	}
	report("size", "lines.txt", string(before), string(newer))
	if _, err := openNewer("nothing"); err == nil {
		return errors.New("an object that is not there was opened")
	}
	return nil
}

func TestDiff(t *testing.T) {
	h := newHistory(t, 2, time.Hour, Options{})
	a, b := h.points[0], h.points[1]
	changes, err := h.v.Diff(t.Context(), a, b, differing{})
	if err != nil || len(changes) != 1 || changes[0] != (Change{"size", "lines.txt", string(a.Facts), string(b.Facts)}) {
		// Facts in a manifest are indented, those in the index are not.
		if err != nil || len(changes) != 1 || changes[0].What != "size" || !strings.Contains(changes[0].Before, `"size":`) {
			t.Errorf("%+v, %v", changes, err)
		}
	}
	if _, err := h.v.Diff(t.Context(), a, b, lines{}); err == nil || !strings.Contains(err.Error(), "cannot be compared") {
		t.Errorf("a kind that cannot: %v", err)
	}
	must(t, h.below.remove(t.Context(), a.Aux[0].Key))
	must(t, h.v.putSmall(t.Context(), a.Aux[0].Key, putOptions{}, bytes.Repeat([]byte("x"), int(a.Aux[0].Size))))
	if _, err := h.v.Diff(t.Context(), a, b, differing{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}
