package git

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// A clone is more than its branches. What belongs to it comes along into the rebuilt one and
// works there; what could run a program does not.
func TestReplaceTakesInnerThingsOver(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	lib, fork, other := filepath.Join(b.dir, "lib.git"), filepath.Join(b.dir, "fork.git"), filepath.Join(b.dir, "linked")
	b.git("", "clone", "--quiet", "--bare", b.origin, lib)
	b.git("", "clone", "--quiet", "--bare", b.origin, fork)
	b.git(b.clone, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", lib, "vendor/lib")
	b.git(b.clone, "commit", "--quiet", "-m", "submodule")
	b.more("three")
	inner := b.commit(filepath.Join(b.clone, "vendor/lib"), "only in the submodule")
	b.git(b.clone, "remote", "add", "fork", fork)
	b.git(b.clone, "fetch", "--quiet", "fork")
	b.git(b.clone, "remote", "add", "evil", "ext::sh -c touch% "+b.dir+"/pwned")
	b.git(b.clone, "branch", "--quiet", "side", "main")
	b.git(b.clone, "branch", "--quiet", "--set-upstream-to=fork/main", "side")
	b.git(b.clone, "worktree", "add", "--quiet", "--detach", other)
	loose := b.commit(other, "on no branch")
	b.write(filepath.Join(other, "one.txt"), "changed there\n")
	b.git(b.clone, "checkout", "--quiet", "--detach")
	headless := b.commit(b.clone, "no branch either")
	b.write(filepath.Join(b.clone, ".git/lfs/objects/ab/cd/abcd"), "large\n")
	for _, hook := range []string{".git/hooks/post-checkout", ".git/modules/vendor/lib/hooks/post-checkout"} {
		b.write(filepath.Join(b.clone, hook), "#!/bin/sh\ntouch "+b.dir+"/pwned\n")
		if err := os.Chmod(filepath.Join(b.clone, hook), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.git(b.clone, "config", "core.fsmonitor", "touch "+b.dir+"/pwned")
	b.git(filepath.Join(b.clone, "vendor/lib"), "config", "core.fsmonitor", "touch "+b.dir+"/pwned")
	b.write(filepath.Join(b.clone, "one.txt"), "stashed\n")
	b.git(b.clone, "stash", "push", "--quiet", "-m", "half an idea")
	stash := b.git(b.clone, "stash", "list", "--format=%gs")
	status, there := b.git(b.clone, "status", "--porcelain"), b.git(other, "status", "--porcelain")
	strays := map[string]string{"up": "../../../..", "away": b.dir, "git": "../../../.git/hooks"}
	for name, place := range strays { // where git would write and delete is not for a foreign setting to say
		stray := filepath.Join(b.clone, ".git/modules", name)
		if err := os.CopyFS(stray, os.DirFS(filepath.Join(b.clone, ".git/modules/vendor/lib"))); err != nil {
			t.Fatal(err)
		}
		b.git("", "config", "--file", filepath.Join(stray, "config"), "core.worktree", place)
	}
	b.breakObject("two.txt")

	r := b.do("git.restore", map[string]any{"asset": "monorepo", "replace": "clone", "from": "origin"})
	for name := range strays {
		text, err := os.ReadFile(filepath.Join(b.clone, ".git/modules", name, "config"))
		if err != nil || strings.Contains(string(text), "worktree") {
			t.Errorf("the submodule %s has its files outside: %q, %v", name, text, err)
		}
	}
	plainGit := func(dir string, args ...string) string { // as a person, with every hook and setting of the clone
		c := command.Cmd{Argv: append([]string{"git", "-C", dir}, args...), Env: map[string]string{"HOME": b.dir, "LC_ALL": "C"}}
		out, err := command.Output(t.Context(), c)
		if err != nil {
			t.Errorf("git %q: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	for what, c := range map[string][2]string{
		"status":                     {plainGit(b.clone, "status", "--porcelain"), status},
		"HEAD":                       {plainGit(b.clone, "rev-parse", "HEAD"), headless},
		"a branch of HEAD":           {plainGit(b.clone, "rev-parse", "--abbrev-ref", "HEAD"), "HEAD"},
		"the submodule":              {plainGit(filepath.Join(b.clone, "vendor/lib"), "rev-parse", "HEAD"), inner},
		"the address of it":          {plainGit(b.clone, "config", "submodule.vendor/lib.url"), lib},
		"the linked work tree":       {plainGit(other, "rev-parse", "HEAD"), loose},
		"its status":                 {plainGit(other, "status", "--porcelain"), there},
		"what keeps its commit":      {plainGit(b.clone, "rev-parse", "refs/lifeboat/7f3a/head-"+loose[:7]), loose},
		"the other remote":           {plainGit(b.clone, "remote", "get-url", "fork"), fork},
		"what was fetched from it":   {plainGit(b.clone, "rev-parse", "fork/main"), b.git(fork, "rev-parse", "main")},
		"what a branch follows":      {plainGit(b.clone, "rev-parse", "--abbrev-ref", "side@{upstream}"), "fork/main"},
		"remotes":                    {plainGit(b.clone, "remote"), "fork\norigin"},
		"the stash":                  {plainGit(b.clone, "stash", "list", "--format=%gs"), stash},
		"large files":                {readSmall(filepath.Join(b.clone, ".git/lfs/objects/ab/cd/abcd")), "large"},
		"hooks of the submodule":     {readSmall(filepath.Join(b.clone, ".git/modules/vendor/lib/hooks/post-checkout")), ""},
		"a program that git has run": {readSmall(filepath.Join(b.dir, "pwned")), ""},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %q, want %q", what, c[0], c[1])
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "pwned")); err == nil {
		t.Error("a program of the clone ran")
	}
	plainGit(filepath.Join(b.clone, "vendor/lib"), "fetch", "--quiet")
	if notes := r.Outputs["notes"].([]string); len(notes) != len(strays) || !strings.Contains(strings.Join(notes, ""), "modules/up had its files outside") {
		t.Errorf("notes: %v", notes)
	}
}

// A merge that was half done is not carried over, and the screen says so.
func TestReplaceTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.git(b.clone, "branch", "--quiet", "side")
	b.write(filepath.Join(b.clone, "one.txt"), "ours\n")
	b.git(b.clone, "commit", "--quiet", "-am", "ours")
	b.git(b.clone, "checkout", "--quiet", "side")
	b.write(filepath.Join(b.clone, "one.txt"), "theirs\n")
	b.git(b.clone, "commit", "--quiet", "-am", "theirs")
	if _, err := b.tryGit(b.clone, "merge", "main"); err == nil {
		t.Fatal("no conflict")
	}
	r := b.do("git.restore", map[string]any{"asset": "monorepo", "replace": "clone", "from": "origin"})
	if !strings.Contains(r.Evidence, "1 thing not taken over: a merge was half done") {
		t.Errorf("evidence: %s", r.Evidence)
	}
	if text := readSmall(filepath.Join(b.clone, "one.txt")); !strings.Contains(text, "<<<<<<<") {
		t.Errorf("the file in conflict is gone: %q", text)
	}
}

// A rebuilt clone in the place of something else would cut it off from what it belongs to.
func TestReplaceRefuses(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	linked, bare := filepath.Join(b.dir, "linked"), filepath.Join(b.dir, "bare.git")
	b.git(b.clone, "worktree", "add", "--quiet", "--detach", linked)
	b.git("", "clone", "--quiet", "--bare", b.origin, bare)
	for _, dir := range []string{linked, bare} {
		b.clone = dir
		call := b.bind("git.restore", map[string]any{"asset": "monorepo", "replace": "clone", "from": "origin"})
		if _, err := call.Plan(t.Context(), b.env); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// What stands in the place of a file that git keeps small may be anything.
func TestReadSmall(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("line"), []byte(" ref: refs/heads/main\n"), 0o600),
		os.WriteFile(at("long"), bytes.Repeat([]byte("x"), 1<<20), 0o600),
		syscall.Mkfifo(at("pipe"), 0o600), // nobody ever writes into it
		os.Mkdir(at("directory"), 0o700),
		os.Symlink("pipe", at("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"line": "ref: refs/heads/main", "long": strings.Repeat("x", 4<<10), "pipe": "", "directory": "", "link": "", "missing": "",
	} {
		if got := readSmall(at(name)); got != want {
			t.Errorf("%s: %d bytes, %.40q", name, len(got), got)
		}
	}
}
