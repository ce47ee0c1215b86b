package git

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
)

func TestPushAndBack(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	good, bad := b.overwrite()
	call := b.bind("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
	before := b.git(b.clone, "show-ref")
	plan := b.plan(call)
	if after := b.git(b.clone, "show-ref"); after != before {
		t.Error("the plan changed refs of the clone")
	}
	if plan.Token != "main@"+bad[:7] || plan.Nothing || plan.Effect != action.Destroy {
		t.Errorf("plan: %+v", plan)
	}
	text := ""
	for _, l := range plan.Lines {
		text += l.Label + ": " + l.Text + "\n"
	}
	for _, want := range []string{
		"moves: origin/main " + bad[:7] + " -> " + good[:7], "brings in: 2 commits by clone, newest " + good[:7],
		"drops: 1 commit by them: " + bad[:7], "refs/lifeboat/7f3a/before-push",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("plan lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("the plan carries an escape sequence: %q", text)
	}
	if !strings.Contains(plan.Command[0], "--force-with-lease=refs/heads/main:"+bad) {
		t.Errorf("command: %q", plan.Command)
	}
	probe := func(want action.Finding) {
		t.Helper()
		p, err := call.Probe(t.Context(), b.env, plan)
		if err != nil || p.Finding != want || p.Before != bad[:7] || p.Wanted != good[:7] || p.Outputs["old"] != bad || p.Outputs["new"] != good {
			t.Errorf("probe: %+v %v", p, err)
		}
	}
	probe(action.NotApplied)
	result, err := call.Run(t.Context(), b.env, plan)
	if err != nil {
		t.Fatal(err)
	}
	probe(action.Applied)
	if b.tip("main") != good || b.git(b.clone, "rev-parse", "refs/lifeboat/7f3a/before-push") != bad {
		t.Error("the branch or the safety copy is not as it should be")
	}
	if again := b.plan(call); !again.Nothing {
		t.Errorf("planned again: %+v", again)
	}
	undo, err := call.PlanUndo(t.Context(), b.env, plan, result)
	if err != nil || undo.Token != "main@"+good[:7] {
		t.Fatalf("plan of undo: %+v %v", undo, err)
	}
	if _, err := call.RunUndo(t.Context(), b.env, undo, plan, result); err != nil {
		t.Fatal(err)
	}
	if b.tip("main") != bad {
		t.Error("undo did not put the branch back")
	}
	if p, err := call.ProbeUndo(t.Context(), b.env, undo, plan, result); err != nil || p.Finding != action.Applied {
		t.Errorf("probe of undo: %+v %v", p, err)
	}
}

// A branch that moves between plan and run is not touched, nor is one that moves
// between our look and the push.
func TestPushRefusesMovedBranch(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	good, _ := b.overwrite()
	call := b.bind("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
	plan := b.plan(call)
	b.commit(b.them, "later")
	b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	moved := b.tip("main")
	if _, err := call.Run(t.Context(), b.env, plan); !errors.Is(err, action.ErrChanged) {
		t.Errorf("run: %v", err)
	}
	if _, err := call.PlanUndo(t.Context(), b.env, plan, action.Result{}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("undo of what never happened: %v", err)
	}
	if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != action.Unknown {
		t.Errorf("probe: %+v %v", p, err)
	}
	r, err := b.deps.Repo("monorepo")
	if err != nil {
		t.Fatal(err)
	}
	k, err := openDesk(t.Context(), b.env, r)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	l := lease{branch: "main", old: plan.Facts["old"], new: good}
	if err := l.do(t.Context(), b.env, k, r); !errors.Is(err, action.ErrChanged) {
		t.Errorf("push with an old lease: %v", err)
	}
	if b.tip("main") != moved {
		t.Error("the branch was moved all the same")
	}
}

// A server that applies the push and dies before it answers leaves the step in doubt;
// one that refuses does not. The probe tells.
func TestPushAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		hook, script string
		err          error
		finding      action.Finding
	}{
		"applied, answer lost": {"reference-transaction", "test \"$1\" = committed && kill -9 $PPID\nexit 0\n", action.ErrUnclear, action.Applied},
		"died before":          {"pre-receive", "kill -9 $PPID\n", action.ErrUnclear, action.NotApplied},
		"refused":              {"pre-receive", "echo 'protected branch'\nexit 1\n", nil, action.NotApplied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBay(t)
			b.more("three", "four")
			good, bad := b.overwrite()
			call := b.bind("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
			plan := b.plan(call)
			hook := filepath.Join(b.origin, "hooks", tt.hook)
			b.write(hook, "#!/bin/sh\n"+tt.script)
			if err := os.Chmod(hook, 0o700); err != nil {
				t.Fatal(err)
			}
			_, err := call.Run(t.Context(), b.env, plan)
			if err == nil || errors.Is(err, action.ErrUnclear) != (tt.err != nil) || errors.Is(err, action.ErrChanged) {
				t.Errorf("run: %v", err)
			}
			if tt.err == nil && !strings.Contains(err.Error(), "refuses") {
				t.Errorf("run: %v", err)
			}
			if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != tt.finding {
				t.Errorf("probe: %+v %v", p, err)
			}
			if want := map[bool]string{true: good, false: bad}[tt.finding == action.Applied]; b.tip("main") != want {
				t.Error("the probe is wrong")
			}
		})
	}
}

func TestPushWithoutForce(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three")
	b.commit(b.clone, "ahead")
	r := b.do("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": "HEAD", "force": "no"})
	if r.Outputs["new"] != b.tip("main") {
		t.Errorf("forward: %v", r.Outputs)
	}
	call := b.bind("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": "HEAD~2", "force": "no"})
	if _, err := call.Plan(t.Context(), b.env); !errors.Is(err, action.ErrRefused) {
		t.Errorf("backward: %v", err)
	}
	create := b.bind("git.push", map[string]any{"asset": "monorepo", "branch": "fresh", "commit": "HEAD"})
	plan := b.plan(create)
	if plan.Token != "fresh@absent" {
		t.Errorf("token of a new branch: %q", plan.Token)
	}
	result, err := create.Run(t.Context(), b.env, plan)
	if err != nil {
		t.Fatal(err)
	}
	undo, err := create.PlanUndo(t.Context(), b.env, plan, result)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := create.RunUndo(t.Context(), b.env, undo, plan, result); err != nil {
		t.Fatal(err)
	}
	if out := b.git(b.origin, "for-each-ref", "refs/heads/fresh"); out != "" {
		t.Errorf("the new branch is still there: %s", out)
	}
	absent := b.bind("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": strings.Repeat("a", 40)})
	if _, err := absent.Plan(t.Context(), b.env); !errors.Is(err, action.ErrRefused) {
		t.Errorf("a commit that is not here: %v", err)
	}
}

// Nothing that the configuration, hooks or attributes of the clone name may run.
func TestHostileClone(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	good, _ := b.overwrite()
	mark := filepath.Join(b.dir, "pwned")
	evil := "touch " + mark + " #"
	for _, kv := range [][2]string{
		{"core.fsmonitor", evil}, {"core.sshCommand", evil}, {"core.editor", evil}, {"core.pager", evil},
		{"filter.x.smudge", evil}, {"filter.x.clean", evil}, {"filter.x.required", "true"}, {"core.hooksPath", b.clone + "/evil"},
		{"url.ext::sh -c '" + evil + "'.insteadOf", b.origin}, {"remote.origin.uploadpack", evil}, {"remote.origin.receivepack", evil},
		{"alias.push", "!" + evil}, {"gpg.program", evil}, {"uploadpack.packObjectsHook", evil}, {"diff.external", evil},
	} {
		b.git(b.clone, "config", kv[0], kv[1])
	}
	b.write(filepath.Join(b.clone, ".git/info/attributes"), "* filter=x diff=x\n")
	for _, h := range []string{"post-checkout", "pre-push", "reference-transaction", "post-index-change", "pre-auto-gc"} {
		for _, dir := range []string{".git/hooks", "evil"} {
			b.write(filepath.Join(b.clone, dir, h), "#!/bin/sh\n"+evil+"\n")
			if err := os.Chmod(filepath.Join(b.clone, dir, h), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.do("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"})
	b.do("git.keep", map[string]any{"asset": "monorepo", "good": good, "bad": b.tip("main")})
	b.do("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
	b.do("git.check", map[string]any{"asset": "monorepo"})
	b.do("git.backup", map[string]any{"asset": "monorepo"})
	b.do("git.activity", map[string]any{"asset": "monorepo", "branch": "main"})
	b.do("git.restore", map[string]any{"asset": "monorepo", "replace": "clone"})
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program of the clone ran")
	}
	if out := b.git(b.clone, "config", "--local", "--list"); strings.Contains(out, "touch") {
		t.Errorf("the rebuilt clone kept a hostile setting:\n%s", out)
	}
}
