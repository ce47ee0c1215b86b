package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

// loss is a bay whose shared repository had branches, tags, notes and a backup, went on in a
// mirror and in two clones, and is gone. want is what all copies together have.
func loss(t *testing.T) (b *bay, want string) {
	t.Helper()
	b = newBay(t)
	mirror := filepath.Join(b.dir, "mirror.git")
	b.more("three")
	b.git(b.clone, "tag", "-a", "-m", "a release", "v1.0.0")
	b.git(b.clone, "branch", "develop", "HEAD~1")
	b.git(b.clone, "branch", "old-idea", "HEAD~2")
	b.git(b.clone, "notes", "add", "-m", "reviewed", "HEAD")
	b.git(b.clone, "push", "--quiet", "origin", "develop", "old-idea", "v1.0.0", "refs/notes/*:refs/notes/*")
	b.git("", "clone", "--quiet", "--template=", "--mirror", b.origin, mirror)
	b.git(b.clone, "push", "--quiet", "origin", ":refs/heads/old-idea") // the mirror keeps it
	b.do("git.backup", map[string]any{"asset": "monorepo"})
	// What comes after the backup has dates after it.
	b.clock = b.env.Now().Add(1e9)
	push(b, b.them, "four")
	b.git(mirror, "fetch", "--quiet", "--no-tags", b.origin, "refs/heads/main:refs/heads/main")
	push(b, b.them, "five")
	b.git(b.them, "checkout", "--quiet", "-b", "fresh")
	b.commit(b.them, "six")
	b.git(b.them, "push", "--quiet", "origin", "fresh")
	b.git(b.them, "fetch", "--quiet", "origin")
	b.git(b.clone, "checkout", "--quiet", "develop")
	b.commit(b.clone, "seven")
	b.git(b.clone, "push", "--quiet", "origin", "develop")
	b.with(func(r *Repo) {
		r.Mirrors = []Mirror{{Name: "gitlab", URL: mirror}}
		r.Clones = []Place{{Name: "k.lind", Dir: b.them}}
	})
	want = b.git(b.origin, "for-each-ref", "--format=%(objectname) %(refname)")
	remove(b, b.origin)
	return b, want
}

func (b *bay) refs() string {
	b.t.Helper()
	return b.git(b.origin, "for-each-ref", "--format=%(objectname) %(refname)")
}

func TestGatherAndPublish(t *testing.T) {
	t.Parallel()
	b, want := loss(t)
	r := b.do("git.gather", map[string]any{"asset": "monorepo"})
	if r.Outputs["newer"] != int64(3) || r.Outputs["branch"] != "main" || r.Outputs["point"] == "" {
		t.Errorf("gathered %v\n%s", r.Outputs, b.log)
	}
	if left := fmt.Sprint(r.Outputs["left_out"]); !strings.Contains(left, "old-idea") || !strings.Contains(left, "probably deleted") {
		t.Errorf("left out %s", left)
	}
	if _, err := os.Stat(b.origin); err == nil {
		t.Error("gather made something")
	}
	call := b.bind("git.publish", map[string]any{"asset": "monorepo"})
	plan := b.plan(call)
	text := fmt.Sprint(plan.Lines)
	for _, want := range []string{"nothing is there", "loses nothing", "main at ", "from the clone of k.lind", "develop at ", "from the working clone", "default main"} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan does not say %q: %s", want, text)
		}
	}
	if plan.Effect != action.Write || plan.Nothing {
		t.Errorf("plan: %+v", plan)
	}
	probe := func(want action.Finding) {
		t.Helper()
		if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != want || want == action.Applied && p.Outputs["newer"] == nil {
			t.Errorf("probe: %+v, %v, want %s", p, err, want)
		}
	}
	probe(action.NotApplied)
	result, err := call.Run(t.Context(), b.env, plan)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.log)
	}
	if got := b.refs(); got != want {
		t.Errorf("refs:\n%s\nwant:\n%s", got, want)
	}
	if head := b.git(b.origin, "symbolic-ref", "HEAD"); head != "refs/heads/main" {
		t.Errorf("the default branch is %s", head)
	}
	b.git(b.origin, "fsck", "--full", "--strict")
	probe(action.Applied)
	b.do("git.compare", map[string]any{"asset": "monorepo", "with": "vault", "contains": true})
	if again := b.plan(call); !again.Nothing {
		t.Errorf("planned again: %+v", again)
	}
	undo, err := call.PlanUndo(t.Context(), b.env, plan, result)
	if err != nil || undo.Token == "" {
		t.Fatalf("undo: %+v, %v", undo, err)
	}
	if _, err := call.RunUndo(t.Context(), b.env, undo, plan, result); err != nil || b.refs() != "" {
		t.Errorf("undo: %v, refs %q", err, b.refs())
	}
	probe(action.NotApplied)
}

// The point alone is put back exactly, with what is newer left out.
func TestPublishPointExactly(t *testing.T) {
	t.Parallel()
	b, _ := loss(t)
	r := b.do("git.publish", map[string]any{"asset": "monorepo", "from": "vault"})
	if r.Outputs["newer"] != int64(0) {
		t.Errorf("outputs: %v", r.Outputs)
	}
	b.do("git.compare", map[string]any{"asset": "monorepo", "with": "vault"})
	if refs := b.refs(); !strings.Contains(refs, "refs/notes/commits") || !strings.Contains(refs, "refs/tags/v1.0.0") || strings.Contains(refs, "fresh") {
		t.Errorf("refs:\n%s", refs)
	}
	// What is newer can follow.
	if r = b.do("git.publish", map[string]any{"asset": "monorepo"}); r.Outputs["created"] != int64(1) || r.Outputs["updated"] != int64(2) {
		t.Errorf("what is newer: %v", r.Outputs)
	}
}

// Without a vault the mirror is what the repository stands on; without both, a clone.
func TestPublishWithoutBackup(t *testing.T) {
	t.Parallel()
	b, want := loss(t)
	remove(b, filepath.Join(b.dir, "vault"))
	r := b.do("git.publish", map[string]any{"asset": "monorepo"})
	if r.Outputs["base"] != "the mirror gitlab" || r.Outputs["point"] != "" || !strings.HasPrefix(fmt.Sprint(r.Outputs["left_out"]), "[the vault:") {
		t.Errorf("outputs: %v", r.Outputs)
	}
	for line := range strings.SplitSeq(want, "\n") {
		if strings.Contains(line, "refs/heads/") && !strings.Contains(b.refs(), line) {
			t.Errorf("%s is not back", line)
		}
	}
	remove(b, b.origin)
	b.with(func(r *Repo) { r.Mirrors, r.Clones = nil, nil })
	if r := b.do("git.publish", map[string]any{"asset": "monorepo"}); r.Outputs["base"] != "the working clone" {
		t.Errorf("outputs: %v", r.Outputs)
	}
	remove(b, b.origin)
	remove(b, b.clone)
	_, err := b.bind("git.publish", map[string]any{"asset": "monorepo"}).Plan(t.Context(), b.env)
	if !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
		t.Errorf("nothing is left: %v", err)
	}
}

// Somebody who pushes into the new repository between plan and run loses nothing.
func TestPublishCompareAndSet(t *testing.T) {
	t.Parallel()
	b, _ := loss(t)
	b.git("", "init", "--quiet", "--bare", "--template=", b.origin)
	call := b.bind("git.publish", map[string]any{"asset": "monorepo"})
	plan := b.plan(call)
	b.git(b.them, "checkout", "--quiet", "--orphan", "begun-anew")
	other := b.commit(b.them, "anew")
	b.git(b.them, "push", "--quiet", "file://"+b.origin, "HEAD:refs/heads/main") // their own view stays
	if _, err := call.Run(t.Context(), b.env, plan); !errors.Is(err, action.ErrChanged) {
		t.Errorf("run: %v", err)
	}
	_, err := call.Plan(t.Context(), b.env)
	if !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "refs/heads/main parts: "+other[:7]) {
		t.Errorf("plan over other history: %v", err)
	}
	if got := b.refs(); got != other+" refs/heads/main" {
		t.Errorf("the repository has %q", got)
	}
	if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != action.NotApplied {
		t.Errorf("probe: %+v %v", p, err)
	}
	// A directory that is something else is not written into.
	remove(b, b.origin)
	b.write(filepath.Join(b.origin, "precious"), "data")
	if _, err := call.Plan(t.Context(), b.env); !errors.Is(err, action.ErrRefused) || !strings.Contains(strings.Join(hint.All(err), ""), "move it aside") {
		t.Errorf("a directory that is no repository: %v", err)
	}
}

// A server that takes the push and dies before it answers, and one that dies before, in the
// first push and in the second.
func TestPublishAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		hook, script string
		refused      bool
	}{
		"applied, answer lost":  {"reference-transaction", "test \"$1\" = committed && kill -9 $PPID\nexit 0\n", false},
		"died before":           {"pre-receive", "kill -9 $PPID\n", false},
		"died in the second":    {"pre-receive", "grep -q refs/heads/main || kill -9 $PPID\n", false},
		"refused in the second": {"update", "test \"$1\" != refs/heads/develop\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, want := loss(t)
			b.git("", "init", "--quiet", "--bare", "--template=", b.origin)
			call := b.bind("git.publish", map[string]any{"asset": "monorepo"})
			plan := b.plan(call)
			hook := filepath.Join(b.origin, "hooks", tt.hook)
			b.write(hook, "#!/bin/sh\n"+tt.script)
			if err := os.Chmod(hook, 0o700); err != nil {
				t.Fatal(err)
			}
			_, err := call.Run(t.Context(), b.env, plan)
			if err == nil || errors.Is(err, action.ErrUnclear) == tt.refused || errors.Is(err, action.ErrChanged) {
				t.Errorf("run: %v", err)
			}
			if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != action.NotApplied {
				t.Errorf("probe: %+v %v", p, err)
			}
			// Doing it again sends the rest.
			remove(b, hook)
			b.do("git.publish", map[string]any{"asset": "monorepo"})
			if got := b.refs(); got != want {
				t.Errorf("refs:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// Where histories part nobody guesses; a person decides.
func TestPublishTake(t *testing.T) {
	t.Parallel()
	b, _ := loss(t)
	mirror := filepath.Join(b.dir, "mirror.git")
	b.git(b.them, "checkout", "--quiet", "-B", "side", "HEAD~5")
	side := b.commit(b.them, "side")
	b.git(b.them, "push", "--quiet", "--force", mirror, "side:refs/heads/develop")
	r := b.do("git.gather", map[string]any{"asset": "monorepo"})
	if left := fmt.Sprint(r.Outputs["left_out"]); !strings.Contains(left, "develop at "+side[:7]+" of the mirror gitlab: it parts from") {
		t.Errorf("left out: %s", left)
	}
	b.do("git.publish", map[string]any{"asset": "monorepo", "take": map[string]any{"develop": "gitlab"}})
	if b.tip("develop") != side {
		t.Error("what a person took is not there")
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	r := b.do("git.status", map[string]any{"asset": "monorepo"})
	if r.Outputs["branch"] != "main" || r.Outputs["operation"] != "" || r.Outputs["conflicted"] != int64(0) || r.Outputs["dir"] != b.clone {
		t.Errorf("clean: %v", r.Outputs)
	}
	b.git(b.clone, "checkout", "--quiet", "-b", "side")
	b.write(filepath.Join(b.clone, "one.txt"), "side\n")
	b.git(b.clone, "commit", "--quiet", "-am", "side")
	b.git(b.clone, "checkout", "--quiet", "main")
	b.write(filepath.Join(b.clone, "one.txt"), "main\n")
	b.git(b.clone, "commit", "--quiet", "-am", "ours")
	if _, err := b.tryGit(b.clone, "merge", "side"); err == nil {
		t.Fatal("no conflict")
	}
	r = b.do("git.status", map[string]any{"asset": "monorepo"})
	if r.Outputs["operation"] != "merge" || fmt.Sprint(r.Outputs["conflicts"]) != "[one.txt]" || r.Outputs["ahead"] != int64(1) || r.Outputs["upstream"] != "origin/main" {
		t.Errorf("half a merge: %v", r.Outputs)
	}
	if !strings.Contains(r.Evidence, "a merge is half done, 1 file in conflict: one.txt") {
		t.Errorf("evidence: %s", r.Evidence)
	}
}

// In a rebase HEAD is detached: what is pushed at the end, and where an undo leads, is the
// branch that is being rebased.
func TestStatusInRebase(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.git(b.them, "fetch", "--quiet", "origin")
	b.write(filepath.Join(b.them, "one.txt"), "theirs\n")
	b.git(b.them, "commit", "--quiet", "-am", "theirs")
	b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	b.commit(b.clone, "fine")
	b.write(filepath.Join(b.clone, "one.txt"), "ours\n")
	b.git(b.clone, "commit", "--quiet", "-am", "ours")
	tip := b.git(b.clone, "rev-parse", "HEAD")
	if _, err := b.tryGit(b.clone, "pull", "--rebase"); err == nil {
		t.Fatal("no conflict")
	}
	r := b.do("git.status", map[string]any{"asset": "monorepo"})
	if r.Outputs["operation"] != "rebase" || r.Outputs["branch"] != "main" || r.Outputs["before"] != tip || r.Outputs["head"] == tip || r.Outputs["ahead"] != int64(2) {
		t.Errorf("half a rebase: %v", r.Outputs)
	}
	if !strings.Contains(r.Evidence, "main is being rebased, HEAD is ") {
		t.Errorf("evidence: %s", r.Evidence)
	}
	b.git(b.clone, "rebase", "--abort")
	if r = b.do("git.status", map[string]any{"asset": "monorepo"}); r.Outputs["before"] != tip || r.Outputs["operation"] != "" {
		t.Errorf("given up: %v", r.Outputs)
	}
}
