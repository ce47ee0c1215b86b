package vault

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func points(entries []Entry) string {
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Point)
	}
	return strings.Join(ids, " ")
}

func TestCatalogue(t *testing.T) {
	h := newHistory(t, 6, 48*time.Hour, Options{})
	counting := &countingStore{store: h.below}
	v := h.open(counting, Options{})
	path := filepath.Join(t.TempDir(), "catalogue")
	c, err := OpenCatalogue(path)
	must(t, err)
	if _, ok := c.Age(h.now); ok || len(c.Entries("")) != 0 {
		t.Error("a new catalogue knows something")
	}
	must(t, c.Refresh(t.Context(), v))
	list := c.Entries(h.asset())
	if len(list) != 6 || list[0].Point != h.points[5].ID || list[5].Point != h.points[0].ID {
		t.Fatalf("entries %s", points(list))
	}
	m := h.points[5]
	want := Entry{
		Asset: m.Asset, Name: m.Name, Point: m.ID, Type: "lines", Kind: Incremental, Cut: m.Cut, Bytes: m.Size(), Objects: 6,
		Scheme: "none", Level: LevelApplied, Parent: h.points[4].ID,
	}
	if list[0] != want {
		t.Errorf("%+v\nwant %+v", list[0], want)
	}

	// The next look reads what is new, and only that.
	m = h.take(48 * time.Hour)
	h.receipt(h.points[0], LevelChecked, false)
	counting.n = 0
	must(t, c.Refresh(t.Context(), v))
	if counting.n > 12 {
		t.Errorf("%d requests for one new point", counting.n)
	}
	list = c.Entries("")
	if len(list) != 7 || list[0].Point != m.ID || !list[6].Failed || list[6].Level != "" {
		t.Errorf("after a new point: %+v", list)
	}

	// What was pruned goes, on another machine too; what came late, and a receipt, comes.
	h.now = h.now.Add(time.Second)
	h.receipt(h.points[0], LevelApplied, true)
	before := points(list)
	h.prune(PruneOptions{Keep: Keep{Daily: 2}, Grace: time.Hour, MaxShare: 100, RPO: 48 * time.Hour})
	must(t, c.Refresh(t.Context(), v))
	fresh, err := OpenCatalogue(filepath.Join(t.TempDir(), "catalogue"))
	must(t, err)
	report, err := fresh.Rebuild(t.Context(), v)
	must(t, err)
	if got, want := c.Entries(""), fresh.Entries(""); !reflect.DeepEqual(got, want) || report.Points != len(want) || points(got) == before {
		t.Errorf("refreshed %s, rebuilt %s", points(got), points(want))
	}

	// It is on disk, for its owner only.
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	again, err := OpenCatalogue(path)
	if err != nil || !reflect.DeepEqual(again.Entries(""), c.Entries("")) {
		t.Errorf("read back: %+v, %v", again.Entries(""), err)
	}
	// Another vault's points do not mix with these.
	other := newVault("other", memStore(), Options{Now: h.v.o.Now})
	must(t, again.Refresh(t.Context(), other))
	if len(again.Entries("")) != 0 {
		t.Error("entries of another vault")
	}
}

// A point from the future, or a late one, does not hide others.
func TestCatalogueSeesWhatIsLate(t *testing.T) {
	h := newHistory(t, 2, 24*time.Hour, Options{})
	now := h.now
	h.take(10 * 365 * 24 * time.Hour) // by a clock that lies
	h.now = now
	c, err := OpenCatalogue(filepath.Join(t.TempDir(), "catalogue"))
	must(t, err)
	must(t, c.Refresh(t.Context(), h.v))
	h.now = now.Add(-20 * time.Hour) // by a clock that is late
	late := backup(t, h.v, h.s, BackupOptions{Full: true})
	h.now = now.Add(time.Hour)
	next := backup(t, h.v, h.s, BackupOptions{Full: true})
	must(t, c.Refresh(t.Context(), h.v))
	if got := points(c.Entries("")); len(c.Entries("")) != 5 || !strings.Contains(got, late.ID) || !strings.Contains(got, next.ID) {
		t.Errorf("%s lacks %s or %s", got, late.ID, next.ID)
	}
}

func TestCatalogueNamesWhatCannotBeUsed(t *testing.T) {
	h := newHistory(t, 2, time.Hour, Options{})
	must(t, h.below.remove(t.Context(), h.points[0].Key()))
	must(t, h.v.putSmall(t.Context(), h.points[0].Key(), putOptions{}, []byte("{}")))
	c, err := OpenCatalogue(filepath.Join(t.TempDir(), "catalogue"))
	must(t, err)
	report, err := c.Rebuild(t.Context(), h.v)
	if err != nil || len(report.Unusable) != 1 || !strings.Contains(report.Unusable[0], h.points[0].ID) || report.Points != 2 || report.Assets != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if list := c.Entries(""); list[1].Problem == "" || list[0].Problem != "" || list[1].Point != h.points[0].ID {
		t.Errorf("%+v", list)
	}
	// After an error everything is as it was.
	f := &faulty{store: h.below, kind: listFails, at: 2}
	if _, err := c.Rebuild(t.Context(), h.open(f, Options{})); !errors.Is(err, errFault) || len(c.Entries("")) != 2 {
		t.Errorf("%v, %d entries", err, len(c.Entries("")))
	}
}

func TestDamagedCatalogueIsEmpty(t *testing.T) {
	h := newHistory(t, 2, time.Hour, Options{})
	path := filepath.Join(t.TempDir(), "catalogue")
	c, err := OpenCatalogue(path)
	must(t, err)
	must(t, c.Refresh(t.Context(), h.v))
	good, err := os.ReadFile(path)
	must(t, err)
	for i := range good {
		for _, bad := range [][]byte{good[:i], append(append(bytes.Clone(good[:i]), good[i]^1), good[i+1:]...)} {
			must(t, os.WriteFile(path, bad, 0o600))
			c, err := OpenCatalogue(path)
			if err != nil || len(c.Entries("")) != 0 {
				t.Fatalf("damaged at %d: %d entries, %v", i, len(c.Entries("")), err)
			}
		}
	}
	must(t, c.Refresh(t.Context(), h.v))
	if len(c.Entries("")) != 2 {
		t.Error("a damaged catalogue was not made again")
	}
	if _, err := OpenCatalogue(t.TempDir()); err == nil {
		t.Error("a directory was opened")
	}
}

func FuzzCatalogue(f *testing.F) {
	c := large(3)
	f.Add(string(c.encode()[len(catalogueForm)+32:]))
	f.Add("")
	f.Fuzz(func(t *testing.T, body string) {
		sum := hashBytes(body)
		c := &Catalogue{entries: map[string][]Entry{}}
		c.decode(catalogueForm + sum + body)
		if len(c.entries) == 0 {
			return
		}
		again := &Catalogue{entries: map[string][]Entry{}}
		again.decode(string(c.encode()))
		if !reflect.DeepEqual(again.entries, c.entries) {
			t.Errorf("%+v is read back as %+v", c.entries, again.entries)
		}
	})
}

// large is a catalogue of n points.
func large(n int) *Catalogue {
	c := &Catalogue{vault: "s3://bucket", read: time.UnixMilli(1795392000000), entries: map[string][]Entry{}}
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for i := range n {
		asset := fmt.Sprintf("monorepo-%06x", i%5)
		c.entries[asset] = append(c.entries[asset], Entry{
			Asset: asset, Name: "monorepo", Point: idAt(at), Type: "git", Kind: Incremental, Cut: at.Add(time.Second), Bytes: int64(i) << 20, Objects: i % 34,
			Scheme: "age", Level: LevelApplied, Parent: idAt(at.Add(-15 * time.Minute)),
		})
		at = at.Add(-15 * time.Minute)
	}
	return c
}

// BenchmarkOpenCatalogue reads 100,000 points; 200 ms are the goal.
func BenchmarkOpenCatalogue(b *testing.B) {
	path := filepath.Join(b.TempDir(), "catalogue")
	if err := os.WriteFile(path, large(100_000).encode(), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c, err := OpenCatalogue(path)
		if err != nil || len(c.entries) != 5 {
			b.Fatal(err)
		}
	}
}

func hashBytes(s string) string {
	sum := sha256.Sum256([]byte(s))
	return string(sum[:])
}
