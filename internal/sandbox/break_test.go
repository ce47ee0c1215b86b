package sandbox_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/sandbox"
)

// broken makes and breaks one sandbox and returns a function that gives a test its own
// copy of it.
func broken(t *testing.T, name string) func(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	s := copied(t, template)
	if _, err := s.Break(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) *sandbox.Sandbox { return copied(t, s) }
}

// fails says whether a git command ends with an error.
func fails(t *testing.T, dir string, args ...string) bool {
	t.Helper()
	_, err := command.Run(t.Context(), command.Git(dir, args...))
	var exit *command.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err != nil
}

func TestForcePushDamage(t *testing.T) {
	t.Parallel()
	s := made(t, sandbox.Options{Customers: 1, Appointments: 1})
	known := id(t, s.Origin(), "main")
	b, err := s.Break(t.Context(), sandbox.ForcePush)
	if err != nil {
		t.Fatal(err)
	}
	if b.Summary == "" || len(b.Symptoms) == 0 {
		t.Errorf("%+v", b)
	}
	good := id(t, s.Origin(), "main@{1}")
	lost := git(t, s.Origin(), "log", "--format=%H %ae", good, "--not", "--all")
	if len(lost) != 14 {
		t.Errorf("%d commits lost", len(lost))
	}
	authors, onlyOrigin := map[string]bool{}, 0
	for _, line := range lost {
		commit, author, _ := strings.Cut(line, " ")
		authors[author] = true
		if fails(t, s.Clone(), "cat-file", "-e", commit) {
			onlyOrigin++
		}
	}
	if len(authors) != 6 || onlyOrigin != 5 {
		t.Errorf("%d authors, %d commits on the origin only", len(authors), onlyOrigin)
	}
	if got := git(t, s.Origin(), "log", "--format=%s", "main", "--not", good); !slices.Equal(got, []string{"demo", "squash for demo"}) {
		t.Errorf("the colleague pushed %q", got)
	}
	if id(t, s.Clone(), "origin/main") != known {
		t.Error("the working clone has fetched")
	}
	if got := git(t, s.Origin(), "reflog", "-1", "--format=%gn", "main"); got[0] != "Klara Lind" {
		t.Errorf("the reflog blames %q", got)
	}
	if out, err := command.Run(t.Context(), command.Git(s.Clone(), "fetch", "origin")); err != nil || !strings.Contains(string(out.Stderr), "forced update") {
		t.Errorf("fetch says %q, %v", out.Stderr, err)
	}
	if entries, err := filepath.Glob(s.Dir() + "/.colleague*"); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %q, %v", entries, err)
	}
}

func TestCorruptDamage(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	if _, err := s.Break(t.Context(), sandbox.CorruptObject); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"fsck", "--full"}, {"log", "main"}, {"repack", "-a"}} {
		if !fails(t, s.Clone(), args...) {
			t.Errorf("git %v works on", args)
		}
	}
	git(t, s.Clone(), "status")
	git(t, s.Origin(), "fsck", "--full")
	out, err := command.Run(t.Context(), command.Git(s.Clone(), "fsck", "--full"))
	if err == nil || !strings.Contains(string(out.Stderr), "pack checksum mismatch") || !strings.Contains(string(out.Stderr), "corrupt loose object") {
		t.Errorf("fsck: %v\n%s", err, out.Stderr)
	}
}

func TestBreakRefuses(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	if _, err := s.Break(t.Context(), "forcepush"); err == nil || !strings.Contains(strings.Join(hint.All(err), ""), sandbox.ForcePush) {
		t.Errorf("unknown name: %v, %q", err, hint.All(err))
	}
	if _, err := os.Lstat(filepath.Join(s.Dir(), "truth", "broken.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unknown breakage left a mark: %v", err)
	}
	var group sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		group.Go(func() { _, errs[i] = s.Break(t.Context(), sandbox.ForcePush) })
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, sandbox.ErrBroken) {
			t.Errorf("at the same time: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of three broke it: %v", won, errs)
	}
	if _, err := s.Break(t.Context(), sandbox.CorruptObject); !errors.Is(err, sandbox.ErrBroken) {
		t.Errorf("afterwards: %v", err)
	}
	if name, err := s.Broken(); name != sandbox.ForcePush || err != nil {
		t.Errorf("Broken() = %q, %v", name, err)
	}
	if err := os.Remove(filepath.Join(s.Dir(), ".lifeboat-sandbox")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Break(t.Context(), sandbox.ForcePush); !errors.Is(err, sandbox.ErrNone) {
		t.Errorf("without a marker: %v", err)
	}
}

func TestBreakInterrupted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{sandbox.ForcePush, sandbox.CorruptObject} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copied(t, template)
			// Without its objects neither breakage can end; what it is to damage is gone.
			pack := filepath.Join(s.Clone(), ".git", "objects")
			if name == sandbox.ForcePush {
				pack = filepath.Join(s.Origin(), "objects")
			}
			if err := os.Rename(pack, pack+".away"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Break(t.Context(), name); err == nil || errors.Is(err, sandbox.ErrBroken) {
				t.Fatalf("Break = %v", err)
			}
		})
	}
	t.Run("half", func(t *testing.T) {
		s := copied(t, template)
		if _, err := s.Break(t.Context(), sandbox.CorruptObject); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(s.Dir(), "truth", "broken.done")); err != nil { // as a crash would have left it
			t.Fatal(err)
		}
		if _, err := s.Judge(t.Context()); err == nil || !slices.Contains(hint.All(err), "Reset the sandbox.") {
			t.Errorf("Judge = %v, advice %q", err, hint.All(err))
		}
		if _, err := s.Break(t.Context(), sandbox.CorruptObject); !errors.Is(err, sandbox.ErrBroken) {
			t.Errorf("Break = %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Reset(ctx); err == nil {
			t.Error("a cancelled Reset reports success")
		}
		if _, err := s.Reset(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
