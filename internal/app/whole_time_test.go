package app

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/vault"
)

// TestWholePointInTime asks for the state of a database at moments before, at, between and
// after its backups: over the end of a year, with backups that take long, with a roll-up
// among them. Every answer restores to exactly what the database was.
func TestWholePointInTime(t *testing.T) {
	t.Parallel()
	seen := newTally()
	moments := map[string]int{}
	histories(t, time.Second, func(rt *rapid.T) {
		w := newWhole(rt, newFolderBucket(rt), false, seen)
		d := newDatabase(rt, rt)
		d.do("PRAGMA journal_mode=delete", "PRAGMA page_size=1024", "VACUUM",
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO plain (id, data) SELECT 1000 + i, randomblob(8000) FROM n")
		h := past{t: rt, w: w, d: d, a: d.asset(), scheme: rapid.SampledFrom([]string{"none", "age"}).Draw(rt, "scheme")}
		for i := range rapid.IntRange(11, 14).Draw(rt, "points") {
			if i%4 != 3 { // or nothing has changed
				d.do(fmt.Sprintf("UPDATE plain SET data = randomblob(8000) WHERE id BETWEEN 1000 + %d AND 1000 + %[1]d + %d", 3*i%38, rapid.IntRange(1, 2).Draw(rt, "more")))
			}
			w.wait(time.Duration(rapid.IntRange(0, 72*3600).Draw(rt, "seconds")) * time.Second)
			h.backup()
		}
		h.ask(h.points[0].Started.Add(-time.Millisecond), moments)
		for i, p := range h.points {
			h.ask(p.Cut.Add(-time.Millisecond), moments)
			h.ask(p.Cut, moments)
			if i+1 < len(h.points) {
				between := h.points[i+1].Cut.Sub(p.Cut)
				h.ask(p.Cut.Add(time.Duration(rapid.Int64Range(1, int64(between)-1).Draw(rt, "between"))), moments)
			}
		}
		h.ask(w.clock().AddDate(10, 0, 0), moments)
	})
	seen.require(t, "points", seen.kinds, vault.Full, vault.Incremental, vault.RollUp)
	seen.require(t, "moments", moments, "before the first", "while a backup began", "a point")
}

// past is what a database was.
type past struct {
	t      tester
	w      *whole
	d      *database
	a      vault.Asset
	scheme string
	points []vault.Manifest
	files  [][]byte // of the database at each point
}

func (h *past) backup() {
	h.t.Helper()
	file, err := os.ReadFile(h.d.path)
	must(h.t, err)
	m, err := h.w.handles[h.scheme].Backup(h.t.Context(), h.a, sqlite.Kind{}, vault.BackupOptions{})
	must(h.t, err)
	h.w.seen.kinds[m.Kind]++
	h.points, h.files = append(h.points, m), append(h.files, file)
}

// ask restores what the vault gives for a moment, and compares it with what the test
// knows: the newest state that a backup had seen by then.
func (h *past) ask(at time.Time, moments map[string]int) {
	h.t.Helper()
	v := h.w.handles["all"]
	want := -1
	for i, p := range h.points {
		if !p.Cut.After(at) {
			want = i
		}
	}
	m, err := v.At(h.t.Context(), vault.AssetID(h.a), at)
	if want < 0 {
		moments["before the first"]++
		if !errors.Is(err, vault.ErrNoBackup) {
			h.t.Errorf("before the first backup there is %q, %v", m.ID, err)
		}
		return
	}
	must(h.t, err)
	moments["a point"]++
	if want+1 < len(h.points) && !h.points[want+1].Started.After(at) {
		moments["while a backup began"]++
	}
	if m.ID != h.points[want].ID {
		h.t.Fatalf("at %s it gives point %s, whose cut is %s; want %s of %s", at, m.ID, m.Cut, h.points[want].ID, h.points[want].Cut)
	}
	dir := filepath.Join(scratch(h.t), "restored")
	_, err = v.Restore(h.t.Context(), m, sqlite.Kind{}, dir, vault.RestoreOptions{})
	must(h.t, err)
	if got, err := os.ReadFile(filepath.Join(dir, sqlite.ReplicaName)); err != nil || !bytes.Equal(got, h.files[want]) {
		h.t.Errorf("at %s: %d bytes, not those of then: %v", at, len(got), err)
	}
}
