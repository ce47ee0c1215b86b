package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/command"
	"lifeboat/internal/sandbox"
)

// mainOf checks main of the origin out beside the sandbox's clone, as a person with a second
// clone would, and pushes what do commits there.
func mainOf(t *testing.T, s *sandbox.Sandbox, do func(dir string), flags ...string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "second")
	git(t, s.Dir(), "clone", "--quiet", "--no-local", "--branch=main", s.Origin(), dir)
	do(dir)
	git(t, dir, append(append([]string{"push", "--quiet"}, flags...), "origin", "HEAD:main")...)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func textOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestJudgeMergeConflict(t *testing.T) {
	t.Parallel()
	copyOf := broken(t, sandbox.MergeConflict)
	const (
		half   = "no merge is half done"
		marks  = "docs/on-call.md on main is whole"
		ours   = "main has the commit of the developer"
		theirs = "main has the commit of the colleague"
		wip    = "work in progress is as it was"
	)
	file := func(s *sandbox.Sandbox) string { return filepath.Join(s.Clone(), "docs", "on-call.md") }
	resolve := func(t *testing.T, s *sandbox.Sandbox) {
		git(t, s.Clone(), "checkout", "--quiet", "--theirs", "--", "docs/on-call.md")
		git(t, s.Clone(), "add", "--", "docs/on-call.md")
		git(t, s.Clone(), "commit", "--quiet", "--no-edit")
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *sandbox.Sandbox)
		want expected
	}{
		"nothing done": {func(t *testing.T, s *sandbox.Sandbox) {
			if text := textOf(t, file(s)); !strings.Contains(text, "<<<<<<<") || !strings.Contains(text, "above 5 %") {
				t.Errorf("no conflict in %q", text)
			}
		}, expected{false, []string{half, ours}, nil, nil}},
		"merged and pushed": {func(t *testing.T, s *sandbox.Sandbox) {
			resolve(t, s)
			git(t, s.Clone(), "push", "--quiet", "origin", "main")
		}, expected{recovered: true}},
		"merged and not pushed": {resolve, expected{false, []string{ours}, nil, nil}},
		"the marks committed": {func(t *testing.T, s *sandbox.Sandbox) {
			git(t, s.Clone(), "commit", "--quiet", "--all", "--no-edit")
			git(t, s.Clone(), "push", "--quiet", "origin", "main")
		}, expected{false, []string{marks}, nil, nil}},
		"given up, the own commit kept": {func(t *testing.T, s *sandbox.Sandbox) {
			git(t, s.Clone(), "merge", "--abort")
		}, expected{false, []string{ours}, nil, nil}},
		"everything thrown away": {func(t *testing.T, s *sandbox.Sandbox) {
			git(t, s.Clone(), "reset", "--quiet", "--hard", "origin/main")
		}, expected{false, []string{ours, wip, "the branches of the working clone", "no commit that only the working clone had", "no stash, tag or file in work"},
			[]string{"docs: call earlier", "apps/booking/src/lib/pricing.ts", "apps/dashboard/src/lib/staff.ts"}, nil}},
		"the own version forced over the other": {func(t *testing.T, s *sandbox.Sandbox) {
			git(t, s.Clone(), "merge", "--abort")
			git(t, s.Clone(), "push", "--quiet", "--force", "origin", "main")
		}, expected{false, []string{theirs, "branches and tags of the origin"}, nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copyOf(t)
			c.do(t, s)
			judge(t, s, c.want)
		})
	}
}

func TestJudgeBadConfig(t *testing.T) {
	t.Parallel()
	copyOf := broken(t, sandbox.BadConfig)
	const (
		right = "infrastructure/k8s/booking.yaml on main has the right port"
		only  = "no other file of main was touched"
		later = "history was not rewritten: the later commit"
		wrong = "history was not rewritten: the wrong commit"
		refs  = "branches and tags of the origin"
	)
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *sandbox.Sandbox)
		want expected
	}{
		"nothing done": {func(*testing.T, *sandbox.Sandbox) {}, expected{false, []string{right}, nil, nil}},
		"the one commit reverted": {func(t *testing.T, s *sandbox.Sandbox) {
			mainOf(t, s, func(dir string) { git(t, dir, "revert", "--no-edit", "HEAD~1") })
		}, expected{recovered: true}},
		"the file put back whole": {func(t *testing.T, s *sandbox.Sandbox) { // and the good change with it
			mainOf(t, s, func(dir string) {
				git(t, dir, "checkout", "--quiet", "HEAD~2", "--", "infrastructure/k8s/booking.yaml")
				git(t, dir, "commit", "--quiet", "-m", "back")
			})
		}, expected{false, []string{right}, nil, nil}},
		"both commits dropped by force": {func(t *testing.T, s *sandbox.Sandbox) {
			mainOf(t, s, func(dir string) { git(t, dir, "reset", "--quiet", "--hard", "HEAD~2") }, "--force")
		}, expected{false, []string{right, refs, wrong, later}, nil, nil}},
		"more than asked": {func(t *testing.T, s *sandbox.Sandbox) {
			mainOf(t, s, func(dir string) {
				git(t, dir, "revert", "--no-edit", "HEAD~1")
				git(t, dir, "rm", "--quiet", "README.md")
				git(t, dir, "commit", "--quiet", "-m", "and this")
			})
		}, expected{false, []string{only}, nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copyOf(t)
			c.do(t, s)
			judge(t, s, c.want)
		})
	}
}

func TestJudgeBrokenWorkflow(t *testing.T) {
	t.Parallel()
	copyOf := broken(t, sandbox.BrokenWorkflow)
	ci := func(t *testing.T, s *sandbox.Sandbox, rev string) error {
		dir := filepath.Join(t.TempDir(), "checkout")
		git(t, s.Dir(), "clone", "--quiet", "--no-local", s.Origin(), dir)
		git(t, dir, "checkout", "--quiet", "--detach", rev)
		_, err := command.Run(t.Context(), command.Cmd{Argv: []string{filepath.Join(s.Dir(), "ci", "ci.sh"), dir}})
		return err
	}
	const calls = "the workflow of main calls only scripts that there are"
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *sandbox.Sandbox)
		want expected
	}{
		"nothing done": {func(t *testing.T, s *sandbox.Sandbox) {
			if err := ci(t, s, "origin/main"); err == nil || !strings.Contains(err.Error(), "lint:strict") {
				t.Errorf("CI of main: %v", err)
			}
			if err := ci(t, s, "origin/main~2"); err != nil {
				t.Errorf("CI from before: %v", err)
			}
		}, expected{false, []string{calls}, nil, nil}},
		"the workflow of before": {func(t *testing.T, s *sandbox.Sandbox) {
			mainOf(t, s, func(dir string) { git(t, dir, "revert", "--no-edit", "HEAD~1") })
			if err := ci(t, s, "origin/main"); err != nil {
				t.Errorf("CI: %v", err)
			}
		}, expected{recovered: true}},
		"switched off": {func(t *testing.T, s *sandbox.Sandbox) {
			mainOf(t, s, func(dir string) {
				write(t, filepath.Join(dir, ".github", "workflows", "ci.yml"), "name: ci\non: [push]\njobs: {ci: {steps: [{run: 'true'}]}}\n")
				git(t, dir, "commit", "--quiet", "--all", "-m", "no more red")
			})
		}, expected{false, []string{calls}, nil, nil}},
		"everything since then dropped": {func(t *testing.T, s *sandbox.Sandbox) {
			mainOf(t, s, func(dir string) { git(t, dir, "reset", "--quiet", "--hard", "HEAD~2") }, "--force")
		}, expected{false, []string{"branches and tags of the origin", "the wrong commit", "the later commit", "no other file"}, nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copyOf(t)
			c.do(t, s)
			judge(t, s, c.want)
		})
	}
}

func TestJudgeCloneWiped(t *testing.T) {
	t.Parallel()
	gone := append(many(4, "no repository has it"), many(8, "never committed")...)
	s := copied(t, template)
	if _, err := s.Break(t.Context(), sandbox.CloneWiped); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(s.Clone()); err != nil || len(entries) > 0 {
		t.Errorf("the clone has %v, %v", entries, err)
	}
	judge(t, s, expected{false, []string{"the working clone passes git fsck", "the history of the working clone can be read", "has refs/heads/main checked out", "the branches of the working clone"}, gone, nil})
	git(t, s.Dir(), "clone", "--quiet", "--no-local", s.Origin(), s.Clone())
	judge(t, s, expected{true, nil, gone, nil})
}

func TestJudgeOriginWiped(t *testing.T) {
	t.Parallel()
	copyOf := broken(t, sandbox.OriginWiped)
	s := copyOf(t)
	if _, err := os.Lstat(s.Origin()); err == nil {
		t.Error("the origin is still there")
	}
	v, err := s.Judge(t.Context())
	if err != nil || v.Recovered {
		t.Errorf("nothing done: %+v, %v", v, err)
	}
	// No copy has everything. The protection of main is gone with the repository.
	const (
		refs       = "branches and tags of the origin"
		head       = "the default branch of the origin is main"
		protection = "protect"
	)
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *sandbox.Sandbox)
		want []string // parts of the checks that fail
	}{
		"the mirror alone": {func(t *testing.T, s *sandbox.Sandbox) {
			git(t, s.Dir(), "clone", "--quiet", "--bare", "--no-local", s.Mirror(), s.Origin())
		}, []string{refs, protection}},
		"the clone alone": {func(t *testing.T, s *sandbox.Sandbox) {
			git(t, s.Dir(), "init", "--quiet", "--bare", s.Origin())
			git(t, s.Clone(), "push", "--quiet", s.Origin(), "refs/remotes/origin/*:refs/heads/*", "refs/tags/*:refs/tags/*")
		}, []string{refs, protection}},
		"both": {func(t *testing.T, s *sandbox.Sandbox) {
			git(t, s.Dir(), "clone", "--quiet", "--bare", "--no-local", s.Mirror(), s.Origin())
			git(t, s.Clone(), "push", "--quiet", s.Origin(), "refs/remotes/origin/develop:refs/heads/develop")
		}, []string{protection}},
		"both, another default branch": {func(t *testing.T, s *sandbox.Sandbox) {
			git(t, s.Dir(), "clone", "--quiet", "--bare", "--no-local", s.Mirror(), s.Origin())
			git(t, s.Clone(), "push", "--quiet", s.Origin(), "refs/remotes/origin/develop:refs/heads/develop")
			git(t, s.Origin(), "symbolic-ref", "HEAD", "refs/heads/develop")
		}, []string{head, protection}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copyOf(t)
			c.do(t, s)
			v, err := s.Judge(t.Context())
			if err != nil || v.Recovered {
				t.Fatalf("recovered %v, %v", v.Recovered, err)
			}
			var failing []string
			for _, check := range v.Checks {
				if !check.OK {
					failing = append(failing, check.Text)
				}
			}
			if len(failing) != len(c.want) {
				t.Errorf("failing %q, want %q", failing, c.want)
			}
			for _, part := range c.want {
				if !strings.Contains(strings.Join(failing, "\n"), part) {
					t.Errorf("no %q among the failing %q", part, failing)
				}
			}
		})
	}
}
