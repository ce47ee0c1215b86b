package vault

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// datedStore is a bucket that says when it took what.
type datedStore struct {
	store
	taken map[string]time.Time
}

func (d datedStore) scan(ctx context.Context, prefix, from string, visit func(stored) error) error {
	return d.store.scan(ctx, prefix, from, func(o stored) error {
		o.modified = d.taken[o.key]
		return visit(o)
	})
}

// A machine whose clock is days slow writes a point whose id is old from the beginning, as
// a copy from another vault does. Its data are no orphans while they come.
func TestPruneSparesWhatComesUnderAnOldName(t *testing.T) {
	h := newHistory(t, 3, time.Hour, Options{})
	id, err := h.v.newID(h.now.Add(-72 * time.Hour))
	must(t, err)
	key := dataPrefix(h.asset()) + id + "/object"
	must(t, h.v.putSmall(t.Context(), key, putOptions{}, []byte("data")))
	for _, test := range []struct {
		ago  time.Duration
		gone bool
	}{{time.Hour, false}, {23 * time.Hour, false}, {25 * time.Hour, true}} {
		v := h.open(datedStore{copyStore(t, h.below), map[string]time.Time{key: h.now.Add(-test.ago)}}, Options{})
		plan, err := v.PlanPrune(t.Context(), h.asset(), PruneOptions{Keep: Keep{Daily: 7}})
		must(t, err)
		if got := slices.Contains(plan.Orphans, key); got != test.gone || plan.Frozen != "" {
			t.Errorf("taken %s ago: orphan %v, frozen %q", test.ago, got, plan.Frozen)
		}
	}
}

// A pass of a machine whose clock is ahead does not outlive the failure that comes after
// it: not in the order of the receipts, not in what needs not be read again, and not in
// what freezes the retention.
func TestPassOfAClockThatIsAhead(t *testing.T) {
	h := newHistory(t, 3, time.Hour, Options{})
	first, last := h.points[0], h.points[2]
	right := h.now
	ahead := right.AddDate(4, 0, 0)
	h.now = ahead
	if _, err := h.v.Verify(t.Context(), last, lines{}, LevelChecked, VerifyOptions{}); err != nil {
		t.Fatal(err)
	}
	h.receipt(first, LevelChecked, true)
	h.now = right.Add(time.Minute)
	key := last.Chain[2].Key
	data, err := h.v.small(t.Context(), key)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, h.v.store.remove(t.Context(), key))
	must(t, h.v.putSmall(t.Context(), key, putOptions{}, data))
	for _, o := range []VerifyOptions{{Reread: true}, {}} { // the second must read again what the failure was about
		if _, err := h.v.Verify(t.Context(), last, lines{}, LevelChecked, o); !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: damage is not seen: %v", o, err)
		}
	}
	receipts, err := h.v.Receipts(t.Context(), last.Asset, last.ID)
	must(t, err)
	if level, failed := Standing(receipts); !failed {
		t.Errorf("the failure does not stand: proven %q", level)
	}
	plan, err := h.v.PlanPrune(t.Context(), h.asset(), PruneOptions{Keep: Keep{Daily: 7}})
	must(t, err)
	if !strings.Contains(plan.Frozen, "failed") {
		t.Errorf("frozen: %q", plan.Frozen)
	}
	// A pass that comes later takes the failure back as ever.
	h.receipt(last, LevelApplied, true)
	receipts, err = h.v.Receipts(t.Context(), last.Asset, last.ID)
	must(t, err)
	if level, failed := Standing(receipts); failed || level != LevelApplied {
		t.Errorf("after the pass: %q, failed %v", level, failed)
	}
}

// The last verification is not one that is dated in the future.
func TestFutureVerdictFreezesNothingAway(t *testing.T) {
	h := newHistory(t, 4, time.Hour, Options{})
	right := h.now
	h.now = right.AddDate(4, 0, 0)
	h.receipt(h.points[3], LevelApplied, true)
	h.now = right.Add(time.Minute)
	h.receipt(h.points[0], LevelRestored, false)
	s, err := h.v.survey(t.Context(), h.asset(), graceDefault, h.now)
	must(t, err)
	if s.lastVerdict == nil || s.lastVerdict.pass || s.lastVerdictOf != h.points[0].ID {
		t.Errorf("last verdict %+v of %s", s.lastVerdict, s.lastVerdictOf)
	}
}

// losingStore loses one object when another has been written.
type losingStore struct {
	store
	when, lose string
}

func (l losingStore) put(ctx context.Context, key string, o putOptions) (io.WriteCloser, error) {
	if key == l.when {
		if err := l.remove(ctx, l.lose); err != nil {
			return nil, err
		}
	}
	return l.store.put(ctx, key, o)
}

// What a copy found there, and no point of the other vault names, may be pruned there
// before the copy has come to its end. The point is not listed then.
func TestCopyLooksAgainBeforeItsManifest(t *testing.T) {
	h := newHistory(t, 2, time.Hour, Options{})
	m := h.points[1]
	below := &mapStore{objects: map[string][]byte{}}
	early := m.Chain[0]
	data, err := h.v.small(t.Context(), early.Key)
	must(t, err)
	must(t, h.open(below, Options{}).putSmall(t.Context(), early.Key, putOptions{}, data))
	to := h.open(losingStore{below, m.Chain[1].Key, early.Key}, Options{})
	if _, err := h.v.Copy(t.Context(), m, to, CopyOptions{}); !errors.Is(err, ErrMissing) {
		t.Errorf("a copy whose object is gone: %v", err)
	}
	if ids, err := to.Points(t.Context(), m.Asset, time.Time{}); err != nil || len(ids) > 0 {
		t.Errorf("listed %q, %v", ids, err)
	}
	to = h.open(below, Options{})
	if c, err := h.v.Copy(t.Context(), m, to, CopyOptions{}); err != nil || c.Objects == 0 {
		t.Errorf("the copy does not go on: %+v, %v", c, err)
	}
}

// What a clock that was ahead has written hides no newer point: not from the newest, not
// from what an increment builds on. It stays listed, and is the newest while it is alone.
func TestPointOfAClockThatIsAhead(t *testing.T) {
	h := newHistory(t, 0, time.Hour, Options{})
	right := h.now
	h.now = right.AddDate(4, 0, 0)
	wrong := h.take(0)
	for _, now := range []time.Time{h.now, right} {
		h.now = now
		if m, err := h.v.Latest(t.Context(), h.asset()); err != nil || m.ID != wrong.ID {
			t.Errorf("alone, at %s: latest %q, %v", now, m.ID, err)
		}
	}
	full := h.take(time.Hour)
	if full.Parent != nil {
		t.Errorf("it builds on the future: %+v", full.Parent)
	}
	next := h.take(time.Hour)
	if next.Parent == nil || next.Parent.ID != full.ID {
		t.Errorf("the increment builds on %+v, want %s", next.Parent, full.ID)
	}
	if m, err := h.v.Latest(t.Context(), h.asset()); err != nil || m.ID != next.ID {
		t.Errorf("latest %q, %v; want %s", m.ID, err, next.ID)
	}
	if m, err := Point(t.Context(), h.v, h.s.asset(), "latest", "", h.now); err != nil || m.ID != next.ID {
		t.Errorf("point %q, %v; want %s", m.ID, err, next.ID)
	}
	ids, err := h.v.Points(t.Context(), h.asset(), time.Time{})
	if want := []string{wrong.ID, next.ID, full.ID}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("listed %q, %v; want %q", ids, err, want)
	}
	if got := Past(ids, h.now); !slices.Equal(got, ids[1:]) {
		t.Errorf("past %q", got)
	}
	if got := Past(ids[:1], h.now); !slices.Equal(got, ids[:1]) {
		t.Errorf("only the future: %q", got)
	}
	h.healthy()
	// Two clocks that are called right are a few minutes apart, and the day comes.
	for _, ahead := range []time.Duration{Skew - time.Second, Skew + time.Second} {
		h.now = wrong.Cut.Add(-ahead)
		m, err := h.v.Latest(t.Context(), h.asset())
		if got := m.ID == wrong.ID; err != nil || got != (ahead < Skew) {
			t.Errorf("%s ahead: latest %q, %v", ahead, m.ID, err)
		}
	}
}

// A damaged newest point of the past is not passed over, and one of the future is not asked.
func TestLatestAmongDamage(t *testing.T) {
	h := newHistory(t, 0, time.Hour, Options{})
	right := h.now
	h.now = right.AddDate(1, 0, 0)
	wrong := h.take(0)
	h.now = right
	real := h.take(time.Hour)
	spoil := func(m Manifest) {
		t.Helper()
		key := manifestKey(m.Asset, m.ID)
		must(t, h.v.store.remove(t.Context(), key))
		must(t, h.v.putSmall(t.Context(), key, putOptions{}, []byte("{}")))
	}
	spoil(wrong)
	if m, err := h.v.Latest(t.Context(), h.asset()); err != nil || m.ID != real.ID {
		t.Errorf("latest %q, %v", m.ID, err)
	}
	spoil(real)
	if _, err := h.v.Latest(t.Context(), h.asset()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), real.ID) {
		t.Errorf("the damage of the newest: %v", err)
	}
}
