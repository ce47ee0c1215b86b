package vault

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Every point that was made with a lock can be restored for as long as was asked: no object
// of its chain is released earlier, however old the chain is.
func TestLockHoldsWholeChains(t *testing.T) {
	const hold = 10 * 24 * time.Hour
	h := newHistory(t, 0, 0, Options{})
	locked := &lockingStore{store: h.below, now: func() time.Time { return h.now }}
	h.v = h.open(locked, Options{Lock: Lock{For: hold}})
	h.s.grow(2000)
	fulls := 0
	for i := range 30 {
		h.now = h.now.Add(24 * time.Hour)
		if i%3 > 0 {
			h.s.grow(1)
		}
		var log strings.Builder
		m := backup(t, h.v, h.s, BackupOptions{Log: &log})
		wanted := m.Started.Add(hold)
		for _, o := range m.Chain {
			if o.RetainUntil == nil || o.RetainUntil.Before(wanted) || !o.RetainUntil.Equal(locked.until[o.Key]) {
				t.Errorf("day %d (%s): %s is held until %v, wanted %s, recorded %v", i, m.Kind, o.Key, locked.until[o.Key], wanted, o.RetainUntil)
			}
		}
		for _, key := range []string{m.Key(), m.ScriptKey()} {
			if locked.until[key].Before(wanted) {
				t.Errorf("day %d: %s is held until %v", i, key, locked.until[key])
			}
		}
		if m.Kind == Full {
			if fulls++; fulls > 1 && !strings.Contains(log.String(), "lock of the chain") {
				t.Errorf("day %d is full: %s", i, &log)
			}
		}
	}
	if fulls != 3 { // one for each ten days
		t.Errorf("%d full backups", fulls)
	}
}

// A chain that was begun without locks is not built on once there are.
func TestLockBeginsNewChain(t *testing.T) {
	h := newHistory(t, 2, time.Hour, Options{})
	h.v = h.open(&lockingStore{store: h.below, now: func() time.Time { return h.now }}, Options{Lock: Lock{For: time.Hour}})
	h.s.grow(1)
	if m := backup(t, h.v, h.s, BackupOptions{}); m.Kind != Full || m.Chain[0].RetainUntil == nil {
		t.Errorf("%s, locked until %v", m.Kind, m.Chain[0].RetainUntil)
	}
	// A store that cannot lock records nothing that is not so.
	h.v = h.open(h.below, Options{Lock: Lock{For: time.Hour}})
	h.s.grow(1)
	if m := backup(t, h.v, h.s, BackupOptions{Full: true}); m.Chain[0].RetainUntil != nil {
		t.Errorf("locked until %v by a store without locks", m.Chain[0].RetainUntil)
	}
}

func TestLockValidates(t *testing.T) {
	for l, want := range map[Lock]bool{
		{}: true, {For: time.Hour}: true, {For: time.Hour, Mode: "compliance"}: true, {For: time.Hour, Mode: "governance"}: true,
		{For: -time.Hour}: false, {For: time.Hour, Mode: "COMPLIANCE"}: false,
	} {
		if err := l.validate(); (err == nil) != want {
			t.Errorf("%+v: %v", l, err)
		}
	}
	ends := []*time.Time{nil, new(time.Time)}
	if !lockEnd([]Object{{RetainUntil: ends[1]}, {RetainUntil: ends[0]}}).IsZero() || !slices.Contains(ends, nil) {
		t.Error("a chain with an object that is not locked has an end of its lock")
	}
}
