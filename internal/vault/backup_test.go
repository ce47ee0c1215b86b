package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/hint"
)

// The life of an asset: every kind of point, each restorable to what was there then.
func TestChain(t *testing.T) {
	v, dir := fileVault(t)
	s := newSource(t)
	type point struct {
		m    Manifest
		want []byte
	}
	var points []point
	take := func(kind string, chain int, o BackupOptions) {
		t.Helper()
		m := backup(t, v, s, o)
		if m.Kind != kind || len(m.Chain) != chain {
			t.Fatalf("point of kind %q with %d objects, want %q with %d", m.Kind, len(m.Chain), kind, chain)
		}
		points = append(points, point{m, s.content()})
	}
	take(Full, 1, BackupOptions{Class: "weekly", RunID: "r1", RPO: time.Hour})
	s.grow(10)
	take(Incremental, 2, BackupOptions{})
	take(Unchanged, 2, BackupOptions{})
	s.grow(10)
	take(Incremental, 3, BackupOptions{})
	take(Full, 1, BackupOptions{Full: true})
	if err := os.Truncate(s.path, 0); err != nil {
		t.Fatal(err)
	}
	take(Empty, 0, BackupOptions{})
	s.grow(5)
	take(Full, 1, BackupOptions{})

	asset := AssetID(s.asset())
	listed, err := v.List(t.Context(), asset, time.Time{})
	if err != nil || len(listed) != len(points) {
		t.Fatalf("%d points listed, %v", len(listed), err)
	}
	for i, p := range points {
		if got := listed[len(listed)-1-i]; got.ID != p.m.ID || got.Sum() != p.m.Sum() || got.Sum() == "" {
			t.Errorf("point %d is listed as %s %s", i, got.ID, got.Sum())
		}
		got, err := restoredBytes(t.Context(), v, p.m, filepath.Join(t.TempDir(), "out"))
		if err != nil || !bytes.Equal(got, p.want) {
			t.Errorf("point %d (%s): %d bytes, want %d, %v", i, p.m.Kind, len(got), len(p.want), err)
		}
		at, err := v.At(t.Context(), asset, p.m.Cut)
		if err != nil || at.ID != p.m.ID {
			t.Errorf("at the cut of point %d: %s, %v", i, at.ID, err)
		}
		for _, level := range Levels() {
			if r, err := v.Verify(t.Context(), p.m, lines{}, level, VerifyOptions{}); err != nil || !r.Pass {
				t.Errorf("point %d (%s), level %s: %v", i, p.m.Kind, level, err)
			}
		}
	}
	second := points[1].m
	if second.Parent == nil || second.Parent.ID != points[0].m.ID || second.Parent.SHA256 != points[0].m.Sum() {
		t.Errorf("parent %+v", second.Parent)
	}
	if _, err := v.At(t.Context(), asset, points[0].m.Cut.Add(-time.Millisecond)); !errors.Is(err, ErrNoBackup) {
		t.Errorf("before the first point: %v", err)
	}
	since, err := v.Points(t.Context(), asset, points[5].m.Started)
	if err != nil || len(since) != 2 {
		t.Errorf("since point 5: %v, %v", since, err)
	}
	if ids, err := v.Assets(t.Context()); err != nil || len(ids) != 1 || ids[0] != asset {
		t.Errorf("assets %v, %v", ids, err)
	}
	layout := regexp.MustCompile(`^v1/(README-RESTORE\.md|a/booking-lines-[0-9a-f]{6}/(` +
		`p/2026/11/23/20261123T[0-9]{6}\.123Z-[0-9A-Z]{26}(\.json|\.restore\.sh)|` +
		`d/20261123T[0-9]{6}\.123Z-[0-9A-Z]{26}/(lines\.txt\.gz|appended\.txt|reach\.json)|` +
		`v/20261123T[0-9]{6}\.123Z-[0-9A-Z]{26}/20261123T[0-9]{6}\.[0-9]{3}Z-(stored|checked|applied|restored)-pass\.json))$`)
	for _, name := range tree(t, dir) {
		if !layout.MatchString(name) {
			t.Errorf("a file that the layout does not have: %s", name)
		}
	}
}

func TestBackupBeginsNewChain(t *testing.T) {
	t.Run("after 32 increments", func(t *testing.T) {
		v, _ := fileVault(t)
		s := newSource(t)
		s.grow(4000)
		backup(t, v, s, BackupOptions{})
		for i := range maxSteps {
			s.grow(1)
			if m := backup(t, v, s, BackupOptions{}); m.Kind != Incremental {
				t.Fatalf("increment %d is %s", i+1, m.Kind)
			}
		}
		s.grow(1)
		var log strings.Builder
		if m := backup(t, v, s, BackupOptions{Log: &log}); m.Kind != RollUp || !strings.Contains(log.String(), "32 increments") {
			t.Errorf("%s: %s", m.Kind, &log)
		}
	})
	broken := func(name, want string, hurt func(t *testing.T, dir string, m Manifest)) {
		t.Run(name, func(t *testing.T) {
			v, dir := fileVault(t)
			s := newSource(t)
			backup(t, v, s, BackupOptions{})
			s.grow(1)
			m := backup(t, v, s, BackupOptions{})
			hurt(t, dir, m)
			s.grow(1)
			var log strings.Builder
			next := backup(t, v, s, BackupOptions{Log: &log})
			if next.Kind != Full || len(next.Chain) != 1 || !strings.Contains(log.String(), want) {
				t.Errorf("%s with %d objects: %s", next.Kind, len(next.Chain), &log)
			}
		})
	}
	file := func(dir, key string) string { return filepath.Join(dir, filepath.FromSlash(key)) }
	broken("increments too large", "30 %", func(t *testing.T, dir string, m Manifest) {
		v, err := Open(t.Context(), "file://"+dir, Options{Now: func() time.Time { return m.Finished.Add(time.Second) }})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		s := &source{t: t, path: m.Source, n: 5000}
		s.grow(3000)
		backup(t, v, s, BackupOptions{})
	})
	broken("base is gone", "missing", func(t *testing.T, dir string, m Manifest) {
		must(t, os.Remove(file(dir, m.Chain[0].Key)))
	})
	broken("increment was cut", "broken", func(t *testing.T, dir string, m Manifest) {
		must(t, os.Truncate(file(dir, m.Chain[1].Key), 3))
	})
	broken("index was changed", "could not be read", func(t *testing.T, dir string, m Manifest) {
		flip(t, file(dir, m.Aux[0].Key))
	})
	broken("index is gone", "could not be read", func(t *testing.T, dir string, m Manifest) {
		must(t, os.Remove(file(dir, m.Aux[0].Key)))
	})
	broken("manifest was changed", "cannot be built on", func(t *testing.T, dir string, m Manifest) {
		must(t, os.Truncate(file(dir, m.Key()), 100))
	})
	broken("verification failed", "verification of point", func(t *testing.T, dir string, m Manifest) {
		v, err := Open(t.Context(), "file://"+dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		bad := lines{check: func(string) error { return errors.New("not sound") }}
		if _, err := v.Verify(t.Context(), m, bad, LevelChecked, VerifyOptions{}); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
	broken("point from the future", "future", func(t *testing.T, dir string, m Manifest) {
		v, err := Open(t.Context(), "file://"+dir, Options{Now: func() time.Time { return m.Started.Add(Skew - time.Minute) }})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		backup(t, v, &source{t: t, path: m.Source}, BackupOptions{})
	})
}

// careless is a Kind that breaks its contract in one way.
type careless struct {
	lines
	capture func(create func(role, name string) (io.WriteCloser, error)) (string, error)
}

func (c careless) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (string, []byte, error) {
	kind, err := c.capture(create)
	return kind, []byte(`{}`), err
}

func TestBackupListsNothingAfterFailure(t *testing.T) {
	type create = func(role, name string) (io.WriteCloser, error)
	write := func(create create, role, name string) io.WriteCloser {
		w, err := create(role, name)
		if err == nil {
			_, err = w.Write([]byte("half of it"))
		}
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	boom := errors.New("source went away")
	for _, tt := range []struct {
		name, want string
		capture    func(create create) (string, error)
	}{
		{"error with an open object", "source went away", func(c create) (string, error) { write(c, "base", "a"); return "", boom }},
		{"error, object closed", "source went away", func(c create) (string, error) { write(c, "base", "a").Close(); return "", boom }},
		{"object left open", "not closed", func(c create) (string, error) { write(c, "base", "a"); return Full, nil }},
		{"full without objects", "without objects", func(create) (string, error) { return Full, nil }},
		{"only an index", "without objects", func(c create) (string, error) { write(c, "index", "a").Close(); return Full, nil }},
		{"unchanged with objects", "of its own", func(c create) (string, error) { write(c, "base", "a").Close(); return Unchanged, nil }},
		{"unchanged without parent", "without a parent", func(create) (string, error) { return Unchanged, nil }},
		{"incremental without parent", "without a parent", func(c create) (string, error) { write(c, "base", "a").Close(); return Incremental, nil }},
		{"unknown kind", `unknown kind of point "partial"`, func(create) (string, error) { return "partial", nil }},
		{"name leads outside", "not a safe name", func(c create) (string, error) { _, err := c("base", "../x"); return Full, err }},
		{"error of create ignored", "not a safe name", func(c create) (string, error) {
			c("base", ".hidden")
			if _, err := c("base", "a"); err == nil {
				t.Error("an attempt that failed goes on")
			}
			return Full, nil
		}},
		{"two objects of one name", "has one already", func(c create) (string, error) {
			write(c, "base", "a").Close()
			_, err := c("base", "a")
			return Full, err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, dir := fileVault(t)
			s := newSource(t)
			_, err := v.Backup(t.Context(), s.asset(), careless{capture: tt.capture}, BackupOptions{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if ids, err := v.Points(t.Context(), AssetID(s.asset()), time.Time{}); err != nil || len(ids) != 0 {
				t.Errorf("listed %v, %v", ids, err)
			}
			for _, name := range tree(t, dir) {
				if strings.Contains(name, "/p/") || strings.Contains(name, "/.") {
					t.Errorf("left behind: %s", name)
				}
			}
			// The asset is as good as new.
			m := backup(t, v, s, BackupOptions{})
			if got, err := restoredBytes(t.Context(), v, m, filepath.Join(t.TempDir(), "out")); err != nil || !bytes.Equal(got, s.content()) {
				t.Errorf("next backup: %v", err)
			}
		})
	}
}

// A Kind may think again: an aborted object is no part of the point.
func TestAbortedObject(t *testing.T) {
	v, dir := fileVault(t)
	s := newSource(t)
	m, err := v.Backup(t.Context(), s.asset(), careless{capture: func(create func(role, name string) (io.WriteCloser, error)) (string, error) {
		w, err := create("delta", "unwanted")
		if err != nil {
			return "", err
		}
		w.Write([]byte("half"))
		if err := w.(interface{ Abort() error }).Abort(); err != nil {
			return "", err
		}
		w, err = create("base", "wanted")
		if err != nil {
			return "", err
		}
		w.Write([]byte("whole\n"))
		return Full, w.Close()
	}}, BackupOptions{})
	if err != nil || len(m.Chain) != 1 || m.Chain[0].name() != "wanted.gz" {
		t.Fatalf("chain %+v, %v", m.Chain, err)
	}
	for _, name := range tree(t, dir) {
		if strings.Contains(name, "unwanted") {
			t.Errorf("left behind: %s", name)
		}
	}
}

func TestBackupStops(t *testing.T) {
	v, dir := fileVault(t)
	s := newSource(t)
	ctx, cancel := context.WithCancel(t.Context())
	stopping := careless{capture: func(create func(role, name string) (io.WriteCloser, error)) (string, error) {
		w, err := create("base", "a")
		if err != nil {
			return "", err
		}
		w.Write(make([]byte, 1<<20))
		cancel()
		return Full, w.Close()
	}}
	if _, err := v.Backup(ctx, s.asset(), stopping, BackupOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for _, name := range tree(t, dir) {
		if strings.Contains(name, "/d/") || strings.Contains(name, "/p/") {
			t.Errorf("left behind: %s", name)
		}
	}
}

func TestLatestNeedsFewRequests(t *testing.T) {
	inner, err := openFolder(t.TempDir())
	must(t, err)
	counting := &countingStore{store: inner}
	c := newClock()
	v := newVault("test", counting, Options{Now: c.now, Host: "test", Pause: time.Millisecond})
	t.Cleanup(func() { v.Close() })
	s := newSource(t)
	asset := AssetID(s.asset())
	m := backup(t, v, s, BackupOptions{})
	must(t, inner.mkdir(pointsPrefix(asset)+"2026/11/23"))
	for year := 2020; year < 2026; year++ { // 10,000 older days' worth of directories is no work either
		for month := 1; month <= 12; month++ {
			for day := 1; day <= 28; day++ {
				must(t, inner.root.MkdirAll(fmt.Sprintf("%s%d/%02d/%02d", pointsPrefix(asset), year, month, day), 0o700))
			}
		}
	}
	counting.n = 0
	got, err := v.Latest(t.Context(), asset)
	if err != nil || got.ID != m.ID {
		t.Fatalf("%s, %v", got.ID, err)
	}
	if counting.n > 5 {
		t.Errorf("%d requests for the newest point", counting.n)
	}
	// A day that holds only what a crash left is passed over.
	must(t, inner.root.MkdirAll(pointsPrefix(asset)+"2027/01/01", 0o700))
	must(t, inner.root.WriteFile(pointsPrefix(asset)+"2027/01/01/20270101T000000.000Z-01KAR3Q1XKZ6Y1TQ3V3N0CQ8ZD.restore.sh", nil, 0o600))
	if got, err := v.Latest(t.Context(), asset); err != nil || got.ID != m.ID {
		t.Errorf("%s, %v", got.ID, err)
	}
}

type countingStore struct {
	store

	mu sync.Mutex // protects below
	n  int
}

func (c *countingStore) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *countingStore) get(ctx context.Context, key string) (io.ReadCloser, error) {
	c.count()
	return c.store.get(ctx, key)
}

func (c *countingStore) list(ctx context.Context, prefix string) ([]string, error) {
	c.count()
	return c.store.list(ctx, prefix)
}

func TestNoBackup(t *testing.T) {
	v, _ := fileVault(t)
	_, err := v.Latest(t.Context(), "monorepo-3fa2c1")
	if !errors.Is(err, ErrNoBackup) || len(hint.All(err)) == 0 || !strings.Contains(err.Error(), "monorepo-3fa2c1") {
		t.Errorf("error %v, hints %q", err, hint.All(err))
	}
	for _, id := range []string{"", "..", "a/b", "Monorepo-3fa2c1"} {
		if _, err := v.Latest(t.Context(), id); err == nil || errors.Is(err, ErrNoBackup) {
			t.Errorf("asset %q: %v", id, err)
		}
		if _, err := v.Get(t.Context(), "monorepo-3fa2c1", id); err == nil {
			t.Errorf("point %q: %v", id, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/2] ^= 4
	must(t, os.WriteFile(path, data, 0o600))
}
