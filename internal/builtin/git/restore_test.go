package git

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
)

func TestRestoreBeside(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three")
	b.do("git.backup", map[string]any{"asset": "monorepo"})
	for name, args := range map[string]map[string]any{
		"vault":  {"asset": "monorepo", "to": "new-vault"},
		"origin": {"asset": "monorepo", "to": "new-origin", "from": "origin"},
		"bare":   {"asset": "monorepo", "to": "new-bare", "bare": true},
	} {
		call := b.bind("git.restore", args)
		plan := b.plan(call)
		if plan.Effect != action.Write {
			t.Errorf("%s: effect %q", name, plan.Effect)
		}
		r, err := call.Run(t.Context(), b.env, plan)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		dir, _ := r.Outputs["dir"].(string)
		if b.git(dir, "rev-parse", "main") != b.tip("main") {
			t.Errorf("%s: main is elsewhere", name)
		}
		if name != "bare" {
			if out := b.git(dir, "status", "--porcelain"); out != "" {
				t.Errorf("%s: not clean:\n%s", name, out)
			}
			b.git(dir, "pull", "--quiet", "--ff-only")
		}
		if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != action.Applied || p.Outputs["dir"] != dir || p.Outputs["point"] != r.Outputs["point"] || p.Outputs["before"] != r.Outputs["before"] {
			t.Errorf("%s: probe %+v %v", name, p, err)
		}
		if _, err := call.Run(t.Context(), b.env, plan); !errors.Is(err, action.ErrChanged) {
			t.Errorf("%s: ran twice: %v", name, err)
		}
		undo, err := call.PlanUndo(t.Context(), b.env, plan, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call.RunUndo(t.Context(), b.env, undo, plan, r); err != nil {
			t.Fatal(err)
		}
		if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != action.NotApplied {
			t.Errorf("%s: probe after undo %+v %v", name, p, err)
		}
	}
}

// A corrupted clone comes back with everything a person had in it.
func TestReplaceClone(t *testing.T) {
	for _, from := range []string{"vault", "origin"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			b := newBay(t)
			b.more("three")
			b.do("git.backup", map[string]any{"asset": "monorepo"})
			// What only this clone has: a branch, a stash, changes, files, a link.
			b.git(b.clone, "config", "user.email", "me@example.org")
			b.git(b.clone, "checkout", "--quiet", "-b", "mine")
			mine := b.commit(b.clone, "local work")
			b.write(filepath.Join(b.clone, "one.txt"), "stashed\n")
			b.git(b.clone, "stash", "--quiet")
			stash := b.git(b.clone, "rev-parse", "refs/stash")
			b.git(b.clone, "checkout", "--quiet", "main")
			b.write(filepath.Join(b.clone, "one.txt"), "changed\n")
			b.write(filepath.Join(b.clone, "deep/untracked.txt"), "new\n")
			b.write(filepath.Join(b.clone, ".env"), "SECRET=1\n")
			if err := os.Symlink("/nowhere/at/all", filepath.Join(b.clone, "link")); err != nil {
				t.Fatal(err)
			}
			status := b.git(b.clone, "status", "--porcelain")
			b.breakObject("two.txt")
			call := b.bind("git.restore", map[string]any{"asset": "monorepo", "replace": "clone", "from": from})
			plan := b.plan(call)
			if head := b.git(b.clone, "rev-parse", "HEAD"); plan.Token != "clone@"+head[:7] || plan.Effect != action.Destroy {
				t.Errorf("plan: %+v", plan)
			}
			r, err := call.Run(t.Context(), b.env, plan)
			if err != nil {
				t.Fatalf("%v\n%s", err, b.log)
			}
			b.git(b.clone, "fsck", "--full", "--strict")
			if got := b.git(b.clone, "status", "--porcelain"); got != status {
				t.Errorf("status was\n%s\nand is\n%s", status, got)
			}
			if b.git(b.clone, "rev-parse", "mine") != mine || b.git(b.clone, "rev-parse", "refs/stash") != stash ||
				b.git(b.clone, "stash", "list") == "" || b.git(b.clone, "config", "user.email") != "me@example.org" {
				t.Errorf("not taken over; notes: %v", r.Outputs["notes"])
			}
			b.git(b.clone, "fetch", "--quiet")
			before := b.clone + ".before-7f3a"
			if _, err := os.Stat(filepath.Join(before, ".git")); err != nil {
				t.Error(err)
			}
			if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != action.Applied {
				t.Errorf("probe %+v %v", p, err)
			}
			undo, err := call.PlanUndo(t.Context(), b.env, plan, r)
			if err != nil || undo.Effect != action.Write {
				t.Fatalf("undo: %+v %v", undo, err)
			}
			if _, err := call.RunUndo(t.Context(), b.env, undo, plan, r); err != nil {
				t.Fatal(err)
			}
			if _, err := b.try("git.check", map[string]any{"asset": "monorepo"}); !errors.Is(err, action.ErrCheck) {
				t.Errorf("the broken clone should be back: %v", err)
			}
		})
	}
}

// A clone of which nothing but files is left is rebuilt all the same.
func TestReplaceClonesRemains(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three")
	b.write(filepath.Join(b.clone, "one.txt"), "changed\n")
	remove(b, filepath.Join(b.clone, ".git", "objects"))
	call := b.bind("git.restore", map[string]any{"asset": "monorepo", "replace": "clone", "from": "origin"})
	plan := b.plan(call)
	if plan.Token != "clone@broken" {
		t.Errorf("token %q", plan.Token)
	}
	if _, err := call.Run(t.Context(), b.env, plan); err != nil {
		t.Fatal(err)
	}
	if got := b.git(b.clone, "status", "--porcelain"); !strings.Contains(got, "M one.txt") || strings.Contains(got, "\n") {
		t.Errorf("status %q", got)
	}
}

// When the rebuilding fails, the clone is as it was and nothing is left beside it.
func TestFailedReplaceLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three")
	call := b.bind("git.restore", map[string]any{"asset": "monorepo", "replace": "clone", "from": "origin"})
	plan := b.plan(call)
	head := b.git(b.clone, "rev-parse", "HEAD")
	blob := b.git(b.origin, "rev-parse", "main:two.txt")
	remove(b, filepath.Join(b.origin, "objects", blob[:2], blob[2:]))
	if _, err := call.Run(t.Context(), b.env, plan); err == nil {
		t.Fatal("rebuilt from a broken source")
	}
	if b.git(b.clone, "rev-parse", "HEAD") != head {
		t.Error("the clone changed")
	}
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "lifeboat") || strings.Contains(e.Name(), "before") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
	b.commit(b.clone, "meanwhile")
	if _, err := call.Run(t.Context(), b.env, plan); !errors.Is(err, action.ErrChanged) {
		t.Errorf("HEAD moved since the plan: %v", err)
	}
}

// A restore that was killed in the middle of the swap left the old clone under the name
// of the build. Nothing may take it for rubbish.
func TestStoppedSwapLosesNothing(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three")
	call := b.bind("git.restore", map[string]any{"asset": "monorepo", "replace": "clone", "from": "origin"})
	plan := b.plan(call)
	left := plan.Facts["build"]
	b.write(filepath.Join(left, "precious"), "work of a week\n")
	if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != action.Unknown {
		t.Errorf("probe: %+v %v", p, err)
	}
	if _, err := call.Run(t.Context(), b.env, plan); !errors.Is(err, action.ErrChanged) {
		t.Errorf("the same plan again: %v", err)
	}
	if _, err := call.Run(t.Context(), b.env, b.plan(call)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(left, "precious")); err != nil {
		t.Error(err)
	}
}
