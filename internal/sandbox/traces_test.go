package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTraces: what a step leaves behind is told from what another one left.
func TestTraces(t *testing.T) {
	s := &Sandbox{dir: t.TempDir()}
	dir := filepath.Join(s.Vault(), "v1/a/my-app-1a2b3c/p/2026/11/29")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"20261129T131144.567Z-01M8KPXN5QGB4ZTVFA2BVMJ2D5.json", "half.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := s.Points()
	if len(got) != 1 || !got[0].At.Equal(time.Date(2026, 11, 29, 13, 11, 44, 567e6, time.UTC)) {
		t.Fatalf("points %+v", got)
	}
	for asset, want := range map[string]bool{"my-app": true, "my": false, "app": false, "my-app-1a2b3c": false, "": false} {
		if got[0].Of(asset) != want {
			t.Errorf("of %q: %v", asset, !want)
		}
	}
	a := Alert{Body: `{"run":"r","step":"tell"}`, Status: 202}
	if !a.Tells("r", "tell") || a.Tells("r", "call") || a.Tells("x", "tell") {
		t.Errorf("%+v is taken for another", a)
	}
	if a.Status = 503; a.Tells("r", "tell") {
		t.Error("a refused message counts as told")
	}
}

// TestJudgeOfTheApplication: one that is left at another number of replicas is not recovered,
// and one that was never restarted has not read what was put back.
func TestJudgeOfTheApplication(t *testing.T) {
	for state, want := range map[string][2]bool{
		"": {true, true}, `{"replicas":3,"generation":1}`: {true, false}, `{"replicas":3,"generation":3,"started":"2026-11-29T14:00:00Z"}`: {true, true}, `{"replicas":3,"generation":3}`: {true, false},
		`{"replicas":1,"generation":2}`: {false, false}, `{"replicas":`: {false, false},
	} {
		s := &Sandbox{dir: t.TempDir()}
		if state != "" {
			if err := os.MkdirAll(s.runtime(""), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.ClusterFile(), []byte(state), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for i, look := range []func(*judge){func(j *judge) { j.app(t.Context()) }, func(j *judge) { j.restarted(t.Context()) }} {
			j := judge{s: s, v: Verdict{Recovered: true}}
			if look(&j); j.v.Recovered != want[i] {
				t.Errorf("%q: %+v, want %v", state, j.v, want[i])
			}
		}
	}
}

// TestJudgeOfWhatIsRead: an application that was started before its secrets were replaced goes
// on with the old ones; what was kept of them beside is read by nobody.
func TestJudgeOfWhatIsRead(t *testing.T) {
	s := &Sandbox{dir: t.TempDir()}
	started := time.Date(2026, 11, 29, 14, 0, 0, 0, time.UTC)
	for name, at := range map[string]time.Time{s.ClusterFile(): started, filepath.Join(s.Server(), ".env"): started.Add(-time.Minute),
		filepath.Join(s.Server(), keptPrefix+"7f3a", ".env"): started.Add(time.Minute)} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700),
			os.WriteFile(name, []byte(`{"replicas":3,"generation":3,"started":"2026-11-29T14:00:00Z"}`), 0o600), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	for _, late := range []bool{false, true} {
		if late {
			if err := os.Chtimes(filepath.Join(s.Server(), ".env"), started, started.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		j := judge{s: s, v: Verdict{Recovered: true}}
		if j.restarted(t.Context()); j.v.Recovered == late {
			t.Errorf("written after the start: %v, and the oracle says %+v", late, j.v)
		}
	}
}
