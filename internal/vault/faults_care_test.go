package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var careFaults = []fault{
	notStored, thoughSaved, shortWrite, shortFail, flipOnRead, cutOnRead, errOnRead, late, listFails, lateList,
	conflict, refused, lostAnswer, notRemoved, yetRemoved, mayNot,
}

// Whatever happens to one request, or to all after it, of a prune: what is listed restores
// exactly, what the rules keep is there, and the next prune finishes.
func TestFaultsDuringPrune(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 6, 3*time.Hour, Options{Sign: testKey(7)})
	h.s.grow(1)
	boom := careless{capture: func(create func(role, name string) (io.WriteCloser, error)) (string, error) {
		w, err := create("base", "half")
		must(t, errors.Join(err, w.Close()))
		return "", errors.New("source went away")
	}}
	if _, err := h.v.Backup(t.Context(), h.s.asset(), boom, BackupOptions{}); err == nil {
		t.Fatal("no error")
	}
	h.take(26 * time.Hour)
	o := PruneOptions{Keep: Keep{Hourly: 2}, Grace: time.Hour, MaxShare: 100}
	whole := h.below
	serving := func(s store) *Vault { return h.open(s, Options{Sign: testKey(7)}) }

	h.below = copyStore(t, whole)
	h.v = serving(h.below)
	clean, p := h.prune(o)
	if len(clean.Remove) < 3 || len(clean.Orphans) == 0 || p.Points != len(clean.Remove) {
		t.Fatalf("plan %+v, %+v", clean, p)
	}
	want := h.keys()
	for _, kind := range careFaults {
		for _, forever := range []bool{false, true} {
			if reads := slices.Contains([]fault{flipOnRead, errOnRead, late}, kind); kind == cutOnRead || forever && reads {
				continue // these end where the single fault does, at a plan that is refused; and a cut is found as a flip is
			}
			t.Run(fmt.Sprintf("%s, forever %t", kind, forever), func(t *testing.T) {
				t.Parallel()
				sweep(t, kind, forever, func(t *testing.T, f *faulty) {
					f.store = copyStore(t, whole)
					v := serving(f)
					if plan, err := v.PlanPrune(t.Context(), h.asset(), o); err == nil {
						if _, err := v.Prune(t.Context(), plan, o); err == nil && kind == notRemoved {
							if f.fired {
								t.Error("an object that could not be removed, and no error")
							}
						}
					}
					sub := *h
					sub.t, sub.below, sub.v = t, f.store, serving(f.store)
					left := sub.healthy()
					for _, k := range clean.Keep {
						if !slices.ContainsFunc(left, func(m Manifest) bool { return m.ID == k.Point }) {
							t.Errorf("point %s is lost: %q", k.Point, k.Reasons)
						}
					}
					sub.prune(o)
					sub.healthy()
					if got := sub.keys(); !slices.Equal(got, want) {
						t.Errorf("after the next prune:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				})
			})
		}
	}
}

// Whatever happens to one request of a copy, on either side: what the other vault lists is
// whole, and the next copy finishes.
func TestFaultsDuringCopy(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 3, 3*time.Hour, Options{Sign: testKey(7)})
	m := h.points[2]
	for _, side := range []string{"from", "to"} {
		for _, kind := range careFaults[:13] {
			if side == "from" && slices.Contains([]fault{notStored, thoughSaved, shortWrite, shortFail, conflict, refused, lostAnswer, listFails, lateList}, kind) {
				continue // nothing is written there, and nothing listed that is not encrypted
			}
			if side == "to" && (kind == listFails || kind == lateList) {
				continue
			}
			for _, forever := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, forever %t", side, kind, forever), func(t *testing.T) {
					t.Parallel()
					sweep(t, kind, forever, func(t *testing.T, f *faulty) { h.copyUnderFault(t, m, side, f) })
				})
			}
		}
	}
}

func (h *history) copyUnderFault(t *testing.T, m Manifest, side string, f *faulty) {
	below := &mapStore{objects: map[string][]byte{}}
	from, to := h.v, h.open(below, Options{})
	if side == "from" {
		f.store = h.below
		from = h.open(f, Options{})
	} else {
		f.store = below
		to = h.open(f, Options{})
	}
	_, err := from.Copy(t.Context(), m, to, CopyOptions{})
	healthy := h.open(below, Options{})
	listed, lerr := healthy.List(t.Context(), m.Asset, time.Time{})
	if damaging := f.kind == shortWrite || f.kind == shortFail; lerr != nil && !damaging {
		t.Errorf("list: %v", lerr)
	}
	if err == nil && len(listed) != 1 {
		t.Errorf("copied, and %d points are there", len(listed))
	}
	for _, got := range listed {
		if data, err := chainBytes(t.Context(), healthy, got); err != nil || !bytes.Equal(data, h.want[m.ID]) {
			t.Errorf("a copy is listed that does not restore: %v", err)
		}
	}
	_, err = h.v.Copy(t.Context(), m, healthy, CopyOptions{})
	if f.kind == shortWrite || f.kind == shortFail { // it may have left half an object under its name
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("next copy: %v", err)
		}
		return
	}
	if err != nil {
		t.Errorf("next copy: %v", err)
	}
	if data, err := chainBytes(t.Context(), healthy, m); err != nil || !bytes.Equal(data, h.want[m.ID]) {
		t.Errorf("next copy: %v", err)
	}
}

// dyingStore ends its caller's work at call number at, for good: a crash.
type dyingStore struct {
	store
	cancel context.CancelFunc
	at     int

	mu sync.Mutex // protects below
	n  int
}

func (d *dyingStore) step() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n++; d.n >= d.at {
		d.cancel()
		return context.Canceled
	}
	return nil
}

func (d *dyingStore) remove(ctx context.Context, key string) error {
	if err := d.step(); err != nil {
		return err
	}
	if err := d.store.remove(ctx, key); err != nil {
		return err
	}
	return d.step()
}

// A roll-up, too, is there or not, whatever one request does.
func TestFaultsDuringRollUp(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 1, time.Minute, Options{Sign: testKey(7)})
	h.s.grow(3000)
	h.want = map[string][]byte{}
	base := backup(t, h.v, h.s, BackupOptions{Full: true})
	h.want[base.ID] = h.s.content()
	for range maxSteps {
		h.take(time.Minute)
	}
	whole := h.below
	h.s.grow(3)
	for _, kind := range []fault{notStored, thoughSaved, shortWrite, flipOnRead, cutOnRead, errOnRead, late, lateList, conflict, lostAnswer} {
		t.Run(string(kind), func(t *testing.T) {
			rolled := false
			sweep(t, kind, false, func(t *testing.T, f *faulty) {
				f.store = copyStore(t, whole)
				h.now = h.now.Add(time.Minute)
				m, err := h.open(f, Options{Sign: testKey(7)}).Backup(t.Context(), h.s.asset(), lines{}, BackupOptions{})
				rolled = rolled || m.Kind == RollUp
				healthy := h.open(f.store, Options{})
				latest, lerr := healthy.Latest(t.Context(), h.asset())
				if lerr != nil && kind != shortWrite {
					t.Fatalf("latest: %v", lerr)
				}
				if err == nil && latest.ID != m.ID {
					t.Errorf("%s was promised, %s is the newest", m.ID, latest.ID)
				}
				want := h.want[latest.ID]
				if want == nil {
					want = h.s.content()
				}
				if lerr == nil {
					if got, err := chainBytes(t.Context(), healthy, latest); err != nil || !bytes.Equal(got, want) {
						t.Errorf("point %s: %v", latest.ID, err)
					}
				}
			})
			if !rolled {
				t.Error("there was no roll-up")
			}
		})
	}
}

// Killed between any two removals, a prune leaves whole points and garbage; so does the
// next one that is killed; one that is not finishes.
func TestPruneStopsAnywhere(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 8, 3*time.Hour, Options{})
	o := PruneOptions{Keep: Keep{Hourly: 2}, Grace: time.Hour, MaxShare: 100}
	for at := 1; ; at++ {
		sub := *h
		sub.below = copyStore(t, h.below)
		done := false
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			v := sub.open(&dyingStore{store: sub.below, cancel: cancel, at: at}, Options{})
			plan, err := v.PlanPrune(ctx, sub.asset(), o)
			must(t, err)
			_, err = v.Prune(ctx, plan, o)
			cancel()
			sub.healthy()
			if done = err == nil; done || at <= 2 { // killed at the first step there is no progress
				break
			}
		}
		if t.Failed() {
			t.Fatalf("killed at step %d", at)
		}
		if at > 2 && !done {
			t.Fatalf("killed at every step %d, it never ends", at)
		}
		if at > 60 {
			return
		}
	}
}
