package vault

import (
	"os"
	"slices"
	"testing"
	"time"
)

// A source that was emptied gives points of nothing, which are proven as others are. They
// do not take the places of those that have what it held.
func TestPointsOfNothingDisplaceNone(t *testing.T) {
	h := newHistory(t, 4, 24*time.Hour, Options{})
	must(t, os.Truncate(h.s.path, 0))
	for range 10 {
		h.now = h.now.Add(24 * time.Hour)
		m := backup(t, h.v, h.s, BackupOptions{})
		if m.Kind != Empty {
			t.Fatalf("a point of kind %q", m.Kind)
		}
		h.points = append(h.points, m)
		h.want[m.ID] = nil
		h.receipt(m, LevelApplied, true)
	}
	o := PruneOptions{Keep: Keep{Daily: 3}, MaxShare: 100, Grace: time.Hour}
	for range 3 {
		h.prune(o)
	}
	var held []string
	for _, m := range h.healthy() {
		if len(m.Chain) > 0 {
			held = append(held, m.ID)
		}
	}
	slices.Sort(held)
	for _, m := range h.points[1:4] {
		if !slices.Contains(held, m.ID) {
			t.Errorf("point %s is gone; left are %q", m.ID, held)
		}
	}
	// What never held anything is pruned like anything else.
	h = newHistory(t, 0, 0, Options{})
	must(t, os.Truncate(h.s.path, 0))
	for range 6 {
		h.now = h.now.Add(24 * time.Hour)
		h.receipt(backup(t, h.v, h.s, BackupOptions{}), LevelApplied, true)
	}
	if plan, err := h.v.PlanPrune(t.Context(), h.asset(), o); err != nil || plan.Frozen != "" || len(plan.Keep) != 3 || len(plan.Remove) != 3 {
		t.Errorf("%+v, %v", plan, err)
	}
}
