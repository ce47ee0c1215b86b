package command

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/hint"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := Output(t.Context(), Git(dir, args...))
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, content string, perm os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
}

// repository makes one with a commit, without any configuration of a person.
func repository(t *testing.T) string {
	t.Helper()
	t.Setenv("HOME", "")
	dir := filepath.Join(t.TempDir(), "repo")
	git(t, "", "init", "-q", dir)
	write(t, filepath.Join(dir, "file"), "one\n", 0o600)
	git(t, dir, "add", "file")
	git(t, dir, "commit", "-q", "-m", "first")
	return dir
}

func TestGitNeedsNoHomeAndNoIdentity(t *testing.T) {
	for _, home := range []string{"", "/nonexistent", "/dev/null"} {
		t.Setenv("HOME", home)
		dir := repository(t)
		if got := git(t, dir, "log", "--format=%an <%ae> %cn"); got != "Lifeboat <lifeboat@localhost> Lifeboat" {
			t.Errorf("HOME=%q: commit by %q", home, got)
		}
		if got := git(t, dir, "symbolic-ref", "HEAD"); got != "refs/heads/main" {
			t.Errorf("HOME=%q: branch %q", home, got)
		}
		if hooks, _ := os.ReadDir(filepath.Join(dir, ".git", "hooks")); len(hooks) != 0 {
			t.Errorf("a template was copied: %v", hooks)
		}
	}
}

// Everything in a repository that could name a program leaves a mark when it runs.
func TestGitRunsNothingOfTheRepository(t *testing.T) {
	dir := repository(t)
	mark := filepath.Join(t.TempDir(), "mark")
	evil := filepath.Join(t.TempDir(), "evil")
	write(t, evil, "#!/bin/sh\necho \"$0 $*\" >> '"+mark+"'\ncat\n", 0o700)
	for _, hook := range []string{"pre-commit", "post-commit", "post-checkout", "reference-transaction", "post-index-change", "pre-push"} {
		write(t, filepath.Join(dir, ".git", "hooks", hook), "#!/bin/sh\necho "+hook+" >> '"+mark+"'\n", 0o700)
	}
	for key, value := range map[string]string{
		"core.fsmonitor": evil, "core.sshCommand": evil, "core.pager": evil, "core.editor": evil, "core.askPass": evil,
		"core.hooksPath": filepath.Join(dir, ".git", "hooks"), "credential.helper": "!" + evil,
		"core.alternateRefsCommand": evil, "gpg.program": evil, "commit.gpgSign": "true", "protocol.ext.allow": "always",
	} {
		git(t, dir, "config", key, value)
	}
	other := filepath.Join(t.TempDir(), "other.git")
	git(t, "", "init", "-q", "--bare", other)
	write(t, filepath.Join(dir, "file"), "two\n", 0o600)
	git(t, dir, "status")
	git(t, dir, "commit", "-q", "-a", "-m", "second")
	git(t, dir, "checkout", "-q", "-b", "side")
	git(t, dir, "log", "-1")
	git(t, dir, "push", "-q", other, "side")
	for _, args := range [][]string{
		{"fetch", "ssh://localhost:1/none"},
		{"fetch", "ext::" + evil},
		{"commit", "--allow-empty"},
	} {
		if out, err := Output(t.Context(), Git(dir, args...)); err == nil {
			t.Errorf("git %v worked: %s", args, out)
		}
	}
	if trace, err := os.ReadFile(mark); err == nil {
		t.Errorf("the repository ran:\n%s", trace)
	}
}

// Discovery stops at the directory that was named.
func TestGitDoesNotLookAbove(t *testing.T) {
	dir := repository(t)
	sub := filepath.Join(dir, "sub")
	write(t, filepath.Join(sub, "x"), "", 0o600)
	if out, err := Output(t.Context(), Git(sub, "rev-parse", "--show-toplevel")); err == nil {
		t.Errorf("found %s", out)
	}
	c := Git(sub, "rev-parse", "--show-prefix")
	delete(c.Env, "GIT_CEILING_DIRECTORIES")
	if out, err := Output(t.Context(), c); err != nil || string(out) != "sub/\n" {
		t.Errorf("found %q, %v", out, err)
	}
}

func TestGitReadsRepositoriesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a repository to another user")
	}
	dir := repository(t)
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, 4711, 4711))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := git(t, dir, "log", "--format=%s"); got != "first" {
		t.Errorf("log %q", got)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "-q", "--no-local", dir, clone) // a second process, upload-pack, must agree
}

func TestGitErrors(t *testing.T) {
	dir := repository(t)
	_, err := Run(t.Context(), Git(dir, "fetch", "ext::sh -c true"))
	if err == nil || !strings.HasPrefix(err.Error(), "git fetch: exit 128: fatal: transport 'ext' not allowed") {
		t.Errorf("error %v", err)
	}
	if len(hint.All(err)) != 1 {
		t.Errorf("advice %q", hint.All(err))
	}
	var exit *ExitError
	if _, err := Run(t.Context(), Git(dir, "no-such-command")); !errors.As(err, &exit) || exit.Exit != 1 {
		t.Errorf("error %v", err)
	}
}
