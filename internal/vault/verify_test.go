package vault

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What each level finds of each damage. The damage is in the bucket and stays.
func TestDamage(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hurt  func(t *testing.T, file func(key string) string, m Manifest)
		first Level
		err   error
		names func(m Manifest) string // what the error must name
	}{
		{"base is gone", func(t *testing.T, file func(string) string, m Manifest) { must(t, os.Remove(file(m.Chain[0].Key))) },
			LevelStored, ErrMissing, func(m Manifest) string { return m.Chain[0].Key }},
		{"increment is cut", func(t *testing.T, file func(string) string, m Manifest) {
			must(t, os.Truncate(file(m.Chain[1].Key), 5))
		},
			LevelStored, ErrDamaged, func(m Manifest) string { return m.Chain[1].Key }},
		{"increment is longer", func(t *testing.T, file func(string) string, m Manifest) {
			must(t, os.WriteFile(file(m.Chain[1].Key), make([]byte, m.Chain[1].Size+1), 0o600))
		}, LevelStored, ErrDamaged, func(m Manifest) string { return m.Chain[1].Key }},
		{"script is gone", func(t *testing.T, file func(string) string, m Manifest) { must(t, os.Remove(file(m.ScriptKey()))) },
			LevelStored, ErrMissing, Manifest.ScriptKey},
		{"manifest is gone", func(t *testing.T, file func(string) string, m Manifest) { must(t, os.Remove(file(m.Key()))) },
			LevelStored, ErrMissing, Manifest.Key},
		{"manifest is changed", func(t *testing.T, file func(string) string, m Manifest) { flip(t, file(m.Key())) },
			LevelStored, ErrDamaged, Manifest.Key},
		{"bit in the base", func(t *testing.T, file func(string) string, m Manifest) { flip(t, file(m.Chain[0].Key)) },
			LevelChecked, ErrDamaged, func(m Manifest) string { return m.Chain[0].Key }},
		{"bit in the increment", func(t *testing.T, file func(string) string, m Manifest) { flip(t, file(m.Chain[1].Key)) },
			LevelChecked, ErrDamaged, func(m Manifest) string { return m.Chain[1].Key }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, dir := fileVault(t)
			s := newSource(t)
			backup(t, v, s, BackupOptions{})
			s.grow(10)
			m := backup(t, v, s, BackupOptions{})
			tt.hurt(t, func(key string) string { return filepath.Join(dir, filepath.FromSlash(key)) }, m)
			for _, level := range Levels() {
				r, err := v.Verify(t.Context(), m, lines{}, level, VerifyOptions{})
				if level.Covers(tt.first) {
					if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.names(m)) || r.Pass || r.Error == "" {
						t.Errorf("level %s: %v, receipt %+v", level, err, r)
					}
				} else if err != nil || !r.Pass {
					t.Errorf("level %s: %v", level, err)
				}
			}
			parent := t.TempDir()
			if tt.first != LevelStored || tt.names(m) == m.Chain[0].Key || tt.names(m) == m.Chain[1].Key {
				if _, err := restoredBytes(t.Context(), v, m, filepath.Join(parent, "out")); !errors.Is(err, tt.err) {
					t.Errorf("restore: %v", err)
				}
				if entries, _ := os.ReadDir(parent); len(entries) > 0 {
					t.Errorf("left behind: %v", entries)
				}
			}
			receipts, err := v.Receipts(t.Context(), m.Asset, m.ID)
			if err != nil || len(receipts) != 4 {
				t.Fatalf("%d receipts, %v", len(receipts), err)
			}
		})
	}
}

func TestReceiptsRemember(t *testing.T) {
	v, dir := fileVault(t)
	s := newSource(t)
	first := backup(t, v, s, BackupOptions{})
	s.grow(10)
	second := backup(t, v, s, BackupOptions{})
	verify := func(m Manifest, level Level, o VerifyOptions, read, known int) Receipt {
		t.Helper()
		r, err := v.Verify(t.Context(), m, lines{}, level, o)
		if err != nil || len(r.Read) != read || len(r.Known) != known {
			t.Errorf("read %d, known %d, want %d and %d, %v", len(r.Read), len(r.Known), read, known, err)
		}
		return r
	}
	verify(first, LevelChecked, VerifyOptions{}, 1, 0)
	verify(second, LevelChecked, VerifyOptions{}, 1, 1)
	verify(second, LevelChecked, VerifyOptions{}, 0, 2)
	if r := verify(second, LevelChecked, VerifyOptions{Reread: true}, 2, 0); r.Bytes != second.Size() {
		t.Errorf("%d bytes read of %d", r.Bytes, second.Size())
	}
	verify(second, LevelApplied, VerifyOptions{}, 2, 0)
	verify(second, LevelRestored, VerifyOptions{}, 2, 0)
	s.grow(10)
	third := backup(t, v, s, BackupOptions{}) // its chain was proven through its parent
	verify(third, LevelChecked, VerifyOptions{}, 1, 2)

	// Proof is of bytes, and size is looked at always: what was proven once and has
	// changed since is found by reading again, or at once when its size has changed.
	base := filepath.Join(dir, filepath.FromSlash(third.Chain[0].Key))
	flip(t, base)
	verify(third, LevelChecked, VerifyOptions{}, 0, 3)
	if _, err := v.Verify(t.Context(), third, lines{}, LevelChecked, VerifyOptions{Reread: true}); !errors.Is(err, ErrDamaged) {
		t.Errorf("reread: %v", err)
	}
	flip(t, base)
	verify(third, LevelChecked, VerifyOptions{}, 3, 0) // a failure makes it forget
}

func TestReceiptsOfOneMillisecond(t *testing.T) {
	v, _ := fileVault(t)
	m := backup(t, v, newSource(t), BackupOptions{})
	same := func() time.Time { return m.Finished }
	for range 3 {
		if _, err := v.Verify(t.Context(), m, lines{}, LevelStored, VerifyOptions{Now: same}); err != nil {
			t.Fatal(err)
		}
	}
	if rs, err := v.Receipts(t.Context(), m.Asset, m.ID); err != nil || len(rs) != 3 {
		t.Errorf("%d receipts, %v", len(rs), err)
	}
}

// A program that is absent is no fault of the backup: level restored says what it did instead.
func TestRestoredWithoutStockPrograms(t *testing.T) {
	v, _ := fileVault(t)
	m := backup(t, v, newSource(t), BackupOptions{})
	r, err := v.Verify(t.Context(), m, lines{needs: []string{"no-such-program"}}, LevelRestored, VerifyOptions{})
	if err != nil || !r.Pass || !strings.Contains(r.Way, "no-such-program") || r.Took <= 0 {
		t.Errorf("receipt %+v, %v", r, err)
	}
	r, err = v.Verify(t.Context(), m, lines{}, LevelRestored, VerifyOptions{})
	if err != nil || r.Way != "restore.sh" || r.Took <= 0 || !slices.ContainsFunc(r.Evidence, func(e string) bool { return strings.Contains(e, "done") }) {
		t.Errorf("receipt %+v, %v", r, err)
	}
}

// A bucket must not be able to run what it likes on this machine.
func TestForeignScriptDoesNotRun(t *testing.T) {
	v, dir := fileVault(t)
	m := backup(t, v, newSource(t), BackupOptions{})
	marker := filepath.Join(t.TempDir(), "ran")
	evil := []byte("#!/bin/sh\n: >'" + marker + "'\n")
	must(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(m.ScriptKey())), evil, 0o600))
	m.Script = Script{Size: int64(len(evil)), SHA256: hashOf(evil)}
	raw, err := encode(m)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(m.Key())), raw, 0o600))
	m, err = v.Get(t.Context(), m.Asset, m.ID)
	must(t, err)
	r, err := v.Verify(t.Context(), m, lines{}, LevelRestored, VerifyOptions{})
	if err != nil || !strings.Contains(r.Way, "was not run") {
		t.Errorf("receipt %+v, %v", r, err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the stored script has run")
	}
}

func TestVerifyLeavesNothing(t *testing.T) {
	v, _ := fileVault(t)
	m := backup(t, v, newSource(t), BackupOptions{})
	scratch := t.TempDir()
	for _, level := range Levels() {
		if _, err := v.Verify(t.Context(), m, lines{}, level, VerifyOptions{Scratch: scratch}); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(scratch); err != nil || len(entries) > 0 {
			t.Errorf("level %s left %v, %v", level, entries, err)
		}
	}
	if _, err := v.Verify(t.Context(), m, lines{}, "perfect", VerifyOptions{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("unknown level: %v", err)
	}
}

func TestStanding(t *testing.T) {
	pass := func(l Level) Receipt { return Receipt{Level: l, Pass: true} }
	fail := func(l Level) Receipt { return Receipt{Level: l} }
	for _, tt := range []struct {
		name   string
		in     []Receipt
		proven Level
		failed bool
	}{
		{"nothing", nil, "", false},
		{"strongest counts", []Receipt{pass(LevelApplied), pass(LevelChecked)}, LevelApplied, false},
		{"failure takes back", []Receipt{pass(LevelRestored), fail(LevelStored)}, "", true},
		{"weaker pass hides nothing", []Receipt{fail(LevelChecked), pass(LevelStored)}, "", true},
		{"same level mends", []Receipt{fail(LevelChecked), pass(LevelChecked)}, LevelChecked, false},
		{"stronger level mends", []Receipt{fail(LevelChecked), pass(LevelStored), pass(LevelApplied)}, LevelApplied, false},
		{"strongest failure stands", []Receipt{fail(LevelApplied), fail(LevelStored), pass(LevelChecked)}, "", true},
		{"a repeat of what failed", []Receipt{pass(LevelApplied), fail(LevelStored), pass(LevelStored)}, LevelStored, false},
	} {
		if proven, failed := Standing(tt.in); proven != tt.proven || failed != tt.failed {
			t.Errorf("%s: %q, %t", tt.name, proven, failed)
		}
	}
}
