package sandbox_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/sandbox"
)

// TestScripts breaks a sandbox by a script and asks one whether it is recovered: both run
// in its directory, with its programs and with nothing of the person's.
func TestScripts(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-7f3a")
	s := copied(t, template)
	own := func() *sandbox.Check {
		v, err := s.Judge(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(v.Checks, func(c sandbox.Check) bool { return c.Text == sandbox.OwnOracle })
		if i < 0 {
			return nil
		}
		if v.Recovered != v.Checks[i].OK {
			t.Errorf("recovered %v, and the script says %v", v.Recovered, v.Checks[i].OK)
		}
		return &v.Checks[i]
	}
	if c := own(); c != nil {
		t.Errorf("nobody has entrusted a script: %+v", c)
	}
	if err := s.Entrust(`test -f release || { echo "no release" >&2; exit 3; }`); err != nil {
		t.Fatal(err)
	}
	if err := s.BreakBy(t.Context(), `pwd >seen; env >>seen; echo "$PATH" >path; test -d "$HOME"; test -z "$(ls -A "$HOME")"`); err != nil {
		t.Fatal(err)
	}
	seen, err := os.ReadFile(filepath.Join(s.Dir(), "seen"))
	if err != nil || !strings.HasPrefix(string(seen), s.Dir()+"\n") || strings.Contains(string(seen), "canary") {
		t.Errorf("the script saw %q, %v", seen, err)
	}
	if path, err := os.ReadFile(filepath.Join(s.Dir(), "path")); err != nil || !strings.HasPrefix(string(path), s.Bin()) {
		t.Errorf("its programs: %q, %v", path, err)
	}
	if broken, err := s.Broken(); err != nil || broken != sandbox.ByScript {
		t.Errorf("broken by %q, %v", broken, err)
	}
	if c := own(); c == nil || c.OK || !strings.Contains(c.Evidence, "exit 3: no release") {
		t.Errorf("%+v", c)
	}
	if err := os.WriteFile(filepath.Join(s.Dir(), "release"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := own(); c == nil || !c.OK {
		t.Errorf("%+v", c)
	}
	if err := errors.Join(s.Entrust(""), s.Entrust("")); err != nil || own() != nil {
		t.Errorf("taken away: %v", err)
	}
	if err := s.BreakBy(t.Context(), "true"); !errors.Is(err, sandbox.ErrBroken) {
		t.Errorf("broken twice: %v", err)
	}
}

// TestScriptFails: a breakage that stopped half-way leaves a sandbox that nobody judges.
func TestScriptFails(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	if err := s.BreakBy(t.Context(), "exit 7"); err == nil || !strings.Contains(err.Error(), "exit 7") {
		t.Errorf("BreakBy: %v", err)
	}
	if _, err := s.Judge(t.Context()); err == nil {
		t.Error("half a breakage was judged")
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Wait(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody writes: %v", err)
	}
	writing, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	wrote := make(chan int, 1000)
	go func() { done <- s.Write(writing, func(n int) { wrote <- n }) }()
	err := s.Wait(t.Context(), 3)
	stop()
	if err != nil || <-done != nil || len(wrote) < 3 {
		t.Errorf("waited for 3 rows, %d changes were made: %v", len(wrote), err)
	}
}
