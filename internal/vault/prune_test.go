package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// history is a vault with points whose contents are known.
type history struct {
	t      *testing.T
	v      *Vault
	below  store
	now    time.Time
	s      *source
	points []Manifest
	want   map[string][]byte

	scratch string
}

// newHistory makes n points, one every step, in a new vault in memory. Each is proven.
func newHistory(t *testing.T, n int, step time.Duration, o Options) *history {
	t.Helper()
	h := &history{t: t, below: &mapStore{objects: map[string][]byte{}}, now: time.Date(2026, 1, 5, 0, 15, 0, 0, time.UTC), want: map[string][]byte{}, s: newSource(t), scratch: t.TempDir()}
	h.v = h.open(h.below, o)
	for range n {
		h.take(step)
	}
	return h
}

func (h *history) open(s store, o Options) *Vault {
	o.Now, o.Host, o.Pause, o.Scratch = func() time.Time { return h.now }, "test", time.Microsecond, h.scratch
	return newVault("test", s, o)
}

func (h *history) asset() string { return AssetID(h.s.asset()) }

// take makes one more point.
func (h *history) take(step time.Duration) Manifest {
	h.t.Helper()
	h.now = h.now.Add(step)
	h.s.grow(3)
	m := backup(h.t, h.v, h.s, BackupOptions{})
	h.points = append(h.points, m)
	h.want[m.ID] = h.s.content()
	h.receipt(m, LevelApplied, true)
	return m
}

// receipt records a verification without the work.
func (h *history) receipt(m Manifest, level Level, pass bool) {
	h.t.Helper()
	must(h.t, h.v.record(h.t.Context(), &Receipt{
		Format: ReceiptFormat, Asset: m.Asset, Point: m.ID, Manifest: m.sum, Level: level, Pass: pass, Started: h.now, Finished: h.now,
	}))
}

// healthy fails the test unless every listed point restores to what it was.
func (h *history) healthy() []Manifest {
	h.t.Helper()
	v := h.open(h.below, Options{})
	listed, err := v.List(h.t.Context(), h.asset(), time.Time{})
	if err != nil {
		h.t.Errorf("list: %v", err)
	}
	for _, m := range listed {
		if got, err := chainBytes(h.t.Context(), v, m); err != nil || !bytes.Equal(got, h.want[m.ID]) {
			h.t.Errorf("point %s (%s) does not restore: %v", m.ID, m.Kind, err)
		}
	}
	return listed
}

// chainBytes is what a restore of lines makes of a point, without the disk.
func chainBytes(ctx context.Context, v *Vault, m Manifest) ([]byte, error) {
	var all []byte
	for _, o := range m.Chain {
		r, err := v.reader(ctx, o, nil)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	return all, nil
}

func (h *history) keys() []string {
	h.t.Helper()
	var keys []string
	must(h.t, h.below.scan(h.t.Context(), "v1/", "", func(o stored) error {
		keys = append(keys, o.key)
		return nil
	}))
	return keys
}

// prune plans and prunes.
func (h *history) prune(o PruneOptions) (PrunePlan, Pruned) {
	h.t.Helper()
	plan, err := h.v.PlanPrune(h.t.Context(), h.asset(), o)
	must(h.t, err)
	p, err := h.v.Prune(h.t.Context(), plan, o)
	must(h.t, err)
	return plan, p
}

func TestPrune(t *testing.T) {
	h := newHistory(t, 60, 6*time.Hour, Options{})
	o := PruneOptions{Keep: Keep{Daily: 4, Weekly: 2}, RPO: 6 * time.Hour, MaxShare: 100}
	before := len(h.keys())
	plan, err := h.v.PlanPrune(t.Context(), h.asset(), o)
	must(t, err)
	if plan.Frozen != "" || len(plan.Remove)+len(plan.Keep) != 60 || len(plan.Remove) < 40 || plan.Bytes == 0 || len(plan.Orphans) > 0 {
		t.Fatalf("%d removed, %d kept, %d bytes, orphans %q, frozen %q", len(plan.Remove), len(plan.Keep), plan.Bytes, plan.Orphans, plan.Frozen)
	}
	if len(h.keys()) != before {
		t.Error("a plan has changed the vault")
	}
	p, err := h.v.Prune(t.Context(), plan, o)
	must(t, err)
	if p.Points != len(plan.Remove) || p.Objects != len(plan.Objects) || p.Bytes != plan.Bytes || len(p.Retained) > 0 {
		t.Errorf("planned %d points, %d objects, %d bytes; done %+v", len(plan.Remove), len(plan.Objects), plan.Bytes, p)
	}
	left := h.healthy()
	if len(left) != len(plan.Keep) {
		t.Errorf("%d points are left of %d", len(left), len(plan.Keep))
	}
	for _, m := range left {
		if _, err := h.v.Verify(t.Context(), m, lines{}, LevelApplied, VerifyOptions{}); err != nil {
			t.Error(err)
		}
	}
	// What is left under the names of removed points serves points that are kept.
	named := map[string]bool{}
	for _, m := range left {
		for _, o := range slices.Concat(m.Chain, m.Aux) {
			named[o.Key] = true
		}
	}
	for _, key := range h.keys() {
		if strings.Contains(key, "/d/") && !named[key] {
			t.Errorf("left behind: %s", key)
		}
	}
	// The next backup goes on, and the next prune has hardly anything to do.
	h.take(6 * time.Hour)
	if plan, _ := h.prune(o); len(plan.Remove) > 2 {
		t.Errorf("%d more points are removed", len(plan.Remove))
	}
	h.healthy()
}

func reasonsOf(plan PrunePlan, id string) string {
	for _, k := range plan.Keep {
		if k.Point == id {
			return strings.Join(k.Reasons, ", ")
		}
	}
	return ""
}

func TestPruneProtects(t *testing.T) {
	keep := PruneOptions{Keep: Keep{Hourly: 1}, RPO: 12 * time.Hour, MaxShare: 100, Grace: time.Hour}
	for _, tt := range []struct {
		name string
		make func(t *testing.T) (h *history, id, reason string)
	}{
		{"the newest proven point, old as it is", func(t *testing.T) (*history, string, string) {
			h := newHistory(t, 3, 12*time.Hour, Options{})
			id := h.points[2].ID
			for range 3 {
				h.now = h.now.Add(12 * time.Hour)
				h.s.grow(1)
				h.want[backup(t, h.v, h.s, BackupOptions{}).ID] = h.s.content()
			}
			return h, id, "newest proven"
		}},
		{"what is not proven yet", func(t *testing.T) (*history, string, string) {
			h := newHistory(t, 3, 12*time.Hour, Options{})
			h.now = h.now.Add(12 * time.Hour)
			m := backup(t, h.v, h.s, BackupOptions{Full: true})
			h.want[m.ID] = h.s.content()
			h.now = h.now.Add(12 * time.Hour)
			h.want[backup(t, h.v, h.s, BackupOptions{Full: true}).ID] = h.s.content()
			return h, m.ID, "not proven yet"
		}},
		{"the base of the newest chain", func(t *testing.T) (*history, string, string) {
			h := newHistory(t, 5, 12*time.Hour, Options{})
			return h, h.points[0].ID, "base of the newest chain"
		}},
		{"a point dated in the future", func(t *testing.T) (*history, string, string) {
			h := newHistory(t, 3, 12*time.Hour, Options{})
			now := h.now
			m := h.take(365 * 24 * time.Hour)
			h.now = now
			return h, m.ID, "future"
		}},
		{"what a running backup may build on", func(t *testing.T) (*history, string, string) {
			h := newHistory(t, 3, 12*time.Hour, Options{})
			m := h.take(10 * time.Minute)
			h.take(10 * time.Minute)
			return h, m.ID, "building on it"
		}},
		{"what was newest when a running backup began", func(t *testing.T) (*history, string, string) {
			h := newHistory(t, 3, 12*time.Hour, Options{})
			id := h.points[2].ID
			h.take(11 * time.Hour)
			return h, id, "building on it"
		}},
		{"locked data", func(t *testing.T) (*history, string, string) {
			h := newHistory(t, 1, time.Hour, Options{})
			h.below = &lockingStore{store: h.below, now: func() time.Time { return h.now }}
			h.v = h.open(h.below, Options{Lock: Lock{For: 72 * time.Hour}})
			for range 6 {
				h.take(12 * time.Hour)
			}
			return h, h.points[2].ID, "locked until 2026-01-11"
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, id, reason := tt.make(t)
			plan, _ := h.prune(keep)
			if got := reasonsOf(plan, id); !strings.Contains(got, reason) {
				t.Errorf("kept for %q, want %q; plan %+v", got, reason, plan)
			}
			if slices.Contains(plan.Remove, plan.Keep[0].Point) || plan.Keep[0].Point != slices.Max(append(plan.Remove, plan.Keep[0].Point)) {
				t.Error("the newest point is removed")
			}
			h.healthy()
		})
	}
}

// lockingStore holds objects until their lock ends, as a bucket does.
type lockingStore struct {
	store
	now func() time.Time

	mu    sync.Mutex // protects below
	until map[string]time.Time
}

func (l *lockingStore) locks() bool { return true }

func (l *lockingStore) put(ctx context.Context, key string, o putOptions) (w io.WriteCloser, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = map[string]time.Time{}
	}
	l.until[key], o.retain = o.retain, time.Time{}
	return l.store.put(ctx, key, o)
}

func (l *lockingStore) remove(ctx context.Context, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until[key].After(l.now()) {
		return fmt.Errorf("%w: until %s", errLocked, l.until[key])
	}
	return l.store.remove(ctx, key)
}

func TestPruneFreezes(t *testing.T) {
	keep := Keep{Hourly: 1}
	for _, tt := range []struct {
		name, want string
		o          PruneOptions
		hurt       func(h *history)
	}{
		{"no rule", "no retention", PruneOptions{}, nil},
		{"newest is late", "is 13h old", PruneOptions{Keep: keep, RPO: 6 * time.Hour}, func(h *history) { h.now = h.now.Add(13 * time.Hour) }},
		{"a clock far in the future", "or the clock is wrong", PruneOptions{Keep: keep}, func(h *history) { h.now = h.now.AddDate(40, 0, 0) }},
		{"a clock far in the past", "no point is listed", PruneOptions{Keep: keep}, func(h *history) { h.now = h.now.AddDate(-40, 0, 0) }},
		{"the last verification failed", "the last verification failed", PruneOptions{Keep: keep}, func(h *history) {
			h.now = h.now.Add(time.Minute)
			h.receipt(h.points[1], LevelChecked, false)
		}},
		{"the newest chain failed", "the newest point needs its data", PruneOptions{Keep: keep}, func(h *history) {
			h.receipt(h.points[0], LevelChecked, false)
			h.now = h.now.Add(time.Minute)
			h.receipt(h.points[5], LevelApplied, true)
		}},
		{"a manifest cannot be read", "nobody knows which data", PruneOptions{Keep: keep}, func(h *history) {
			must(h.t, h.below.remove(h.t.Context(), h.points[2].Key()))
			must(h.t, h.v.putSmall(h.t.Context(), h.points[2].Key(), putOptions{}, []byte("{}")))
		}},
		{"nothing is proven", "no point is proven", PruneOptions{Keep: keep}, func(h *history) {
			must(h.t, h.below.scan(h.t.Context(), assetsPrefix+h.asset()+"/v/", "", func(o stored) error {
				return h.below.remove(h.t.Context(), o.key)
			}))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHistory(t, 6, 3*time.Hour, Options{})
			if tt.hurt != nil {
				tt.hurt(h)
			}
			tt.o.Grace = time.Hour
			before := h.keys()
			plan, err := h.v.PlanPrune(t.Context(), h.asset(), tt.o)
			must(t, err)
			if !strings.Contains(plan.Frozen, tt.want) || len(plan.Remove) > 0 || len(plan.Objects) > 0 || len(plan.Orphans) > 0 {
				t.Errorf("frozen %q, want %q; %d points, %d objects, %d orphans", plan.Frozen, tt.want, len(plan.Remove), len(plan.Objects), len(plan.Orphans))
			}
			if p, err := h.v.Prune(t.Context(), plan, tt.o); err != nil || p.Points+p.Objects > 0 {
				t.Errorf("prune: %+v, %v", p, err)
			}
			// A plan from before is refused.
			plan.Remove = []string{h.points[0].ID}
			if _, err := h.v.Prune(t.Context(), plan, tt.o); !errors.Is(err, ErrFrozen) {
				t.Errorf("prune: %v", err)
			}
			if !slices.Equal(before, h.keys()) {
				t.Error("something was removed")
			}
		})
	}
}

func TestPruneIsBounded(t *testing.T) {
	h := newHistory(t, 20, 3*time.Hour, Options{})
	o := PruneOptions{Keep: Keep{Daily: 1}, Grace: time.Hour, MaxShare: 20}
	for i, want := range []int{4, 3, 2} {
		if _, p := h.prune(o); p.Points != want {
			t.Errorf("run %d removed %d points, want %d", i, p.Points, want)
		}
		h.healthy()
	}
}

// The data of a backup that failed stay while it may still be running, and go later.
func TestPruneOrphans(t *testing.T) {
	h := newHistory(t, 3, 3*time.Hour, Options{})
	boom := careless{capture: func(create func(role, name string) (io.WriteCloser, error)) (string, error) {
		w, err := create("base", "half")
		must(t, err)
		w.Write([]byte("half\n"))
		must(t, w.Close())
		return "", errors.New("source went away")
	}}
	if _, err := h.v.Backup(t.Context(), h.s.asset(), boom, BackupOptions{}); err == nil {
		t.Fatal("no error")
	}
	must(t, h.v.putSmall(t.Context(), scriptKey(h.asset(), idAt(h.now)), putOptions{}, []byte("#!/bin/sh\n")))
	must(t, h.v.putSmall(t.Context(), assetsPrefix+h.asset()+"/d/notes.txt", putOptions{}, []byte("not ours\n")))
	o := PruneOptions{Keep: Keep{Within: 1000 * time.Hour}, Grace: 24 * time.Hour}
	if plan, _ := h.prune(o); len(plan.Orphans) > 0 {
		t.Errorf("of a backup that may be running: %q", plan.Orphans)
	}
	h.take(25 * time.Hour)
	plan, p := h.prune(o)
	if len(plan.Orphans) != 2 || p.Objects != 2 || len(plan.Remove) > 0 {
		t.Errorf("orphans %q, %+v", plan.Orphans, p)
	}
	if !slices.Contains(h.keys(), assetsPrefix+h.asset()+"/d/notes.txt") {
		t.Error("a file that is not the vault's was removed")
	}
	h.healthy()
}

func TestPruneRetainsWhatIsLocked(t *testing.T) {
	h := newHistory(t, 8, 3*time.Hour, Options{})
	locked := &lockingStore{store: h.below, now: func() time.Time { return h.now }, until: map[string]time.Time{}}
	h.v.store = locked
	o := PruneOptions{Keep: Keep{Hourly: 1}, Grace: time.Hour, MaxShare: 100}
	plan, err := h.v.PlanPrune(t.Context(), h.asset(), o)
	must(t, err)
	stays := manifestKey(h.asset(), plan.Remove[0])
	locked.until[stays] = h.now.Add(time.Hour) // by a rule of the bucket that no manifest knows
	p, err := h.v.Prune(t.Context(), plan, o)
	if err != nil || !slices.Equal(p.Retained, []string{stays}) || p.Points != len(plan.Remove)-1 {
		t.Errorf("%+v, %v", p, err)
	}
	if left := h.healthy(); len(left) != len(plan.Keep)+1 {
		t.Errorf("%d points are left", len(left))
	}
	h.take(3 * time.Hour)
	if _, p := h.prune(o); len(p.Retained) > 0 || p.Points < 1 {
		t.Errorf("after the lock: %+v", p)
	}
	h.healthy()
}

func TestPruneRefusesAnOldPlan(t *testing.T) {
	h := newHistory(t, 10, 3*time.Hour, Options{})
	o := PruneOptions{Keep: Keep{Hourly: 2}, Grace: time.Hour, MaxShare: 100}
	plan, err := h.v.PlanPrune(t.Context(), h.asset(), o)
	must(t, err)
	before := h.keys()
	wider := o
	wider.Keep.Within = 1000 * time.Hour
	if _, err := h.v.Prune(t.Context(), plan, wider); !errors.Is(err, ErrPlanChanged) {
		t.Errorf("other rules: %v", err)
	}
	if !slices.Equal(before, h.keys()) {
		t.Error("something was removed")
	}
	// A point that came since does not matter.
	h.take(time.Minute)
	if _, err := h.v.Prune(t.Context(), plan, o); err != nil {
		t.Errorf("a new point: %v", err)
	}
	h.healthy()
	if _, err := h.v.Prune(t.Context(), plan, o); !errors.Is(err, ErrPlanChanged) {
		t.Errorf("the same plan twice: %v", err)
	}
}

// Receipts that nobody trusted has signed prove nothing.
func TestPruneTrustsSignedReceipts(t *testing.T) {
	key, other := testKey(1), testKey(2)
	h := newHistory(t, 4, 3*time.Hour, Options{Sign: key})
	o := PruneOptions{Keep: Keep{Hourly: 2}, Grace: time.Hour}
	v := h.open(h.below, Options{Sign: key, Trust: trusting(key)})
	if plan, err := v.PlanPrune(t.Context(), h.asset(), o); err != nil || plan.Frozen != "" {
		t.Errorf("own receipts: %q, %v", plan.Frozen, err)
	}
	must(t, h.below.scan(t.Context(), assetsPrefix+h.asset()+"/v/", "", func(o stored) error {
		return h.below.remove(t.Context(), o.key)
	}))
	h.v = h.open(h.below, Options{Sign: other})
	h.receipt(h.points[2], LevelApplied, true)
	if plan, err := v.PlanPrune(t.Context(), h.asset(), o); err != nil || !strings.Contains(plan.Frozen, "proven") {
		t.Errorf("foreign receipts: %q, %v", plan.Frozen, err)
	}
}

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func trusting(keys ...ed25519.PrivateKey) (out []ed25519.PublicKey) {
	for _, k := range keys {
		out = append(out, k.Public().(ed25519.PublicKey))
	}
	return out
}
