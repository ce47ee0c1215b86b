package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// bay is a small company: a shared repository, a working clone, a colleague's clone and
// a vault.
type bay struct {
	t                   *testing.T
	dir                 string
	origin, clone, them string
	vault               *vault.Vault
	deps                Deps
	env                 *action.Env
	log                 *bytes.Buffer
	clock               time.Time
}

func newBay(t *testing.T) *bay {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bay{
		t: t, dir: dir, origin: filepath.Join(dir, "origin.git"), clone: filepath.Join(dir, "clone"), them: filepath.Join(dir, "them"),
		log: &bytes.Buffer{}, clock: time.Now().Add(-20 * time.Hour).Truncate(time.Second),
	}
	b.git("", "init", "--quiet", "--bare", "--template=", b.origin)
	b.git("", "clone", "--quiet", "--template=", b.origin, b.clone)
	b.commit(b.clone, "one")
	b.commit(b.clone, "two")
	b.git(b.clone, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	b.git("", "clone", "--quiet", "--template=", b.origin, b.them)
	scratch := filepath.Join(dir, "scratch")
	for _, d := range []string{scratch, filepath.Join(dir, "vault")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if b.vault, err = vault.Open(t.Context(), "file://"+filepath.Join(dir, "vault"), vault.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.vault.Close() })
	b.deps = Deps{
		Repo: func(asset string) (Repo, error) {
			if asset != "monorepo" {
				return Repo{}, fmt.Errorf("no asset %q", asset)
			}
			return Repo{Name: "monorepo", Dir: b.clone, Remote: b.origin, Branches: []string{"main"}}, nil
		},
		Vault: func(context.Context) (Vault, error) { return b.vault, nil },
	}
	b.env = &action.Env{Log: b.log, Now: time.Now, Run: "7F3A", Scratch: scratch, Dir: dir}
	return b
}

func (b *bay) git(dir string, args ...string) string {
	b.t.Helper()
	out, err := command.Output(b.t.Context(), command.Git(dir, args...))
	if err != nil {
		b.t.Fatalf("git %q: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// tryGit is git for a call that may fail.
func (b *bay) tryGit(dir string, args ...string) (string, error) {
	out, err := command.Output(b.t.Context(), command.Git(dir, args...))
	return strings.TrimSpace(string(out)), err
}

// commit adds a file named like the subject, by an author of the same name as the clone.
func (b *bay) commit(dir, subject string) string {
	b.t.Helper()
	b.write(filepath.Join(dir, subject+".txt"), strings.Repeat(subject+"\n", 50))
	b.git(dir, "add", "-A")
	b.clock = b.clock.Add(time.Minute)
	c := command.Git(dir, "commit", "--quiet", "-m", subject)
	at := fmt.Sprintf("@%d +0000", b.clock.Unix())
	c.Env["GIT_AUTHOR_DATE"], c.Env["GIT_COMMITTER_DATE"] = at, at
	c.Env["GIT_AUTHOR_NAME"] = filepath.Base(dir)
	if _, err := command.Run(b.t.Context(), c); err != nil {
		b.t.Fatal(err)
	}
	return b.git(dir, "rev-parse", "HEAD")
}

func (b *bay) write(path, text string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// overwrite is the accident: they throw the last commits of main away. good is what
// main was, bad what it is then.
func (b *bay) overwrite() (good, bad string) {
	b.t.Helper()
	good = b.tip("main")
	b.git(b.them, "fetch", "--quiet", "origin")
	b.git(b.them, "reset", "--quiet", "--hard", "origin/main~2")
	bad = b.commit(b.them, "demo \x1b[31m")
	b.git(b.them, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
	return good, bad
}

// more lets work go on: n commits in the clone, pushed.
func (b *bay) more(names ...string) {
	b.t.Helper()
	for _, n := range names {
		b.commit(b.clone, n)
	}
	b.git(b.clone, "push", "--quiet", "origin", "HEAD:refs/heads/main")
}

func (b *bay) tip(branch string) string {
	b.t.Helper()
	return b.git(b.origin, "rev-parse", "refs/heads/"+branch)
}

func (b *bay) bind(name string, args map[string]any) action.Call {
	b.t.Helper()
	for _, a := range Actions(b.deps) {
		if a.Name == name {
			call, err := a.Bind(args)
			if err != nil {
				b.t.Fatalf("%s: %v", name, err)
			}
			return call
		}
	}
	b.t.Fatalf("no action %s", name)
	return action.Call{}
}

func (b *bay) plan(call action.Call) action.Plan {
	b.t.Helper()
	plan, err := call.Plan(b.t.Context(), b.env)
	if err != nil {
		b.t.Fatalf("plan %s: %v\n%s", call.Action.Name, err, b.log)
	}
	return plan
}

// do plans and runs an action.
func (b *bay) do(name string, args map[string]any) action.Result {
	b.t.Helper()
	result, err := b.try(name, args)
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", name, err, b.log)
	}
	return result
}

func (b *bay) try(name string, args map[string]any) (action.Result, error) {
	b.t.Helper()
	call := b.bind(name, args)
	return call.Run(b.t.Context(), b.env, b.plan(call))
}

func TestDefinitions(t *testing.T) {
	if err := action.Validate(Actions(Deps{})); err != nil {
		t.Error(err)
	}
}

func TestArguments(t *testing.T) {
	for _, tt := range []struct {
		name string
		args map[string]any
		bad  string
	}{
		{"git.push", map[string]any{"asset": "monorepo", "branch": "--mirror", "commit": "main"}, "branch"},
		{"git.push", map[string]any{"asset": "monorepo", "branch": "a/../b", "commit": "main"}, "branch"},
		{"git.push", map[string]any{"asset": "monorepo", "branch": "a b", "commit": "main"}, "branch"},
		{"git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": "--all"}, "commit"},
		{"git.keep", map[string]any{"asset": "monorepo", "good": "-x"}, "good"},
		{"git.check", map[string]any{}, "asset"},
		{"git.check", map[string]any{"asset": "monorepo", "dir": "."}, "asset"},
		{"git.restore", map[string]any{"asset": "monorepo"}, "to"},
		{"git.restore", map[string]any{"asset": "monorepo", "to": "x", "replace": "clone"}, "to"},
		{"git.restore", map[string]any{"asset": "monorepo", "to": "x", "at": "yesterday"}, "at"},
		{"git.restore", map[string]any{"asset": "monorepo", "to": "x", "from": "origin", "point": "p"}, "from"},
		{"git.compare", map[string]any{"asset": "monorepo", "branch": "main"}, "branch"},
		{"git.compare", map[string]any{"asset": "monorepo", "with": "vault", "branch": "main"}, "with"},
	} {
		for _, a := range Actions(Deps{}) {
			if a.Name != tt.name {
				continue
			}
			_, err := a.Bind(tt.args)
			var bad *action.ArgError
			if !errors.As(err, &bad) || bad.Name != tt.bad || bad.Fix == "" {
				t.Errorf("%s %v: %v", tt.name, tt.args, err)
			}
		}
	}
}

// The fence keeps every changing action from what it guards, in the plan and in the run.
func TestFence(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	fenced := errors.New("outside the sandbox")
	for name, args := range map[string]map[string]any{
		"git.push":    {"asset": "monorepo", "branch": "main", "commit": "HEAD~1"},
		"git.keep":    {"asset": "monorepo", "good": "HEAD"},
		"git.backup":  {"asset": "monorepo"},
		"git.restore": {"asset": "monorepo", "replace": "clone", "from": "origin"},
	} {
		b.env.Fence = nil
		call := b.bind(name, args)
		plan := b.plan(call)
		b.env.Fence = func(string) error { return fenced }
		if _, err := call.Plan(t.Context(), b.env); !errors.Is(err, fenced) {
			t.Errorf("plan %s: %v", name, err)
		}
		before := b.git(b.clone, "show-ref") + b.git(b.origin, "show-ref")
		if _, err := call.Run(t.Context(), b.env, plan); !errors.Is(err, fenced) {
			t.Errorf("run %s: %v", name, err)
		}
		if after := b.git(b.clone, "show-ref") + b.git(b.origin, "show-ref"); after != before {
			t.Errorf("%s changed refs outside the fence", name)
		}
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	// The vault makes a new full point when increments grow large beside it.
	noise := make([]byte, 64<<10)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	b.write(filepath.Join(b.clone, "noise"), string(noise))
	b.more("large")
	call := b.bind("git.backup", map[string]any{"asset": "monorepo", "mode": "incremental"})
	if _, err := call.Plan(t.Context(), b.env); !errors.Is(err, action.ErrRefused) {
		t.Errorf("an increment of nothing: %v", err)
	}
	for _, want := range []string{"full", "incremental", "unchanged"} {
		r := b.do("git.backup", map[string]any{"asset": "monorepo"})
		if r.Outputs["kind"] != want || r.Outputs["point"] == "" {
			t.Errorf("got %v, want %s", r.Outputs, want)
		}
		if want == "full" {
			b.more("three")
		}
	}
	if r := b.do("git.backup", map[string]any{"asset": "monorepo", "mode": "full"}); r.Outputs["kind"] != "full" {
		t.Errorf("full: %v", r.Outputs)
	}
	b.do("git.compare", map[string]any{"asset": "monorepo", "with": "vault"})
	b.more("four")
	if _, err := b.try("git.compare", map[string]any{"asset": "monorepo", "with": "vault"}); !errors.Is(err, action.ErrCheck) ||
		!strings.Contains(err.Error(), "refs/heads/main") {
		t.Errorf("compare after a push: %v", err)
	}
}

// TestBackupOfWhatIsGone: a repository that has lost its refs is no backup, however often
// it is made; one that never had any is.
func TestBackupOfWhatIsGone(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.do("git.backup", map[string]any{"asset": "monorepo"})
	for ref := range strings.FieldsSeq(b.git(b.origin, "for-each-ref", "--format=%(refname)")) {
		b.git(b.origin, "update-ref", "-d", ref)
	}
	for range 2 {
		if _, err := b.try("git.backup", map[string]any{"asset": "monorepo"}); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "has no refs now") {
			t.Errorf("all refs are gone: %v", err)
		}
	}
	fresh := filepath.Join(b.dir, "fresh.git")
	b.git("", "init", "--quiet", "--bare", "--template=", fresh)
	b.deps.Repo = func(string) (Repo, error) { return Repo{Name: "fresh", Dir: fresh}, nil }
	if r, err := b.try("git.backup", map[string]any{"asset": "fresh"}); err != nil || r.Outputs["kind"] != vault.Empty {
		t.Errorf("a new repository: %v, %v", r.Outputs, err)
	}
}

// TestShallowClone: what walks the history of a shallow clone walks into commits that are
// not there. With a remote the clone is done without, else the reason is named.
func TestShallowClone(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three")
	shallow := filepath.Join(b.dir, "shallow")
	b.git("", "clone", "--quiet", "--template=", "--depth=1", "file://"+b.origin, shallow)
	for _, remote := range []string{b.origin, ""} {
		b.deps.Repo = func(string) (Repo, error) { return Repo{Name: "monorepo", Dir: shallow, Remote: remote}, nil }
		r, err := b.try("git.activity", map[string]any{"asset": "monorepo", "branch": "main", "since": "100h"})
		if remote != "" {
			if err != nil || r.Outputs["count"] != int64(3) {
				t.Errorf("with a remote: %v, %v", r.Outputs, err)
			}
			continue
		}
		for _, name := range []string{"git.activity", "git.backup"} {
			args := map[string]any{"asset": "monorepo"}
			if name == "git.activity" {
				args["branch"] = "main"
			}
			if _, err := b.try(name, args); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "shallow") ||
				!strings.Contains(strings.Join(hint.All(err), " "), "--unshallow") {
				t.Errorf("%s without a remote: %v, want a refusal with advice", name, err)
			}
		}
	}
}

// TestBackupAfterDamage: a newest manifest that somebody changed stops neither the next
// backup nor the one after it.
func TestBackupAfterDamage(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.do("git.backup", map[string]any{"asset": "monorepo"})
	found, err := filepath.Glob(filepath.Join(strings.TrimPrefix(b.vault.String(), "file://"), "v1/a/*/p/*/*/*/*.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("manifests %q, %v", found, err)
	}
	b.write(found[0], "{}")
	call := b.bind("git.backup", map[string]any{"asset": "monorepo", "mode": "incremental"})
	if _, err := call.Plan(t.Context(), b.env); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("an increment on a damaged point: %v", err)
	}
	for _, want := range []string{"full", "unchanged"} {
		if r := b.do("git.backup", map[string]any{"asset": "monorepo"}); r.Outputs["kind"] != want {
			t.Errorf("made %v, want %s", r.Outputs, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	if r := b.do("git.check", map[string]any{"asset": "monorepo"}); r.Outputs["problems"] != int64(0) {
		t.Errorf("sound clone: %v", r.Outputs)
	}
	b.do("git.check", map[string]any{"asset": "monorepo", "which": "origin"})
	blob := b.breakObject("two.txt")
	_, err := b.try("git.check", map[string]any{"asset": "monorepo"})
	if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), blob[:7]) || !strings.Contains(err.Error(), "two.txt") {
		t.Errorf("broken object: %v", err)
	}
	r := b.do("git.check", map[string]any{"dir": "clone", "allow_problems": true})
	if n, ok := r.Outputs["problems"].(int64); !ok || n == 0 || fmt.Sprint(r.Outputs["objects"]) != "["+blob+"]" {
		t.Errorf("diagnosis: %v", r.Outputs)
	}
	if _, err := b.try("git.check", map[string]any{"dir": "scratch"}); !errors.Is(err, action.ErrCheck) {
		t.Errorf("no repository: %v", err)
	}
}

// breakObject flips bytes of the loose object of a file and tells its id.
func (b *bay) breakObject(file string) string {
	b.t.Helper()
	blob := b.git(b.clone, "rev-parse", "HEAD:"+file)
	path := filepath.Join(b.clone, ".git/objects", blob[:2], blob[2:])
	if err := os.Chmod(path, 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.write(path, "garbage")
	return blob
}

func TestActivityAndCompare(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	r := b.do("git.activity", map[string]any{"asset": "monorepo", "branch": "main", "since": "48h"})
	if r.Outputs["count"] != int64(4) || r.Outputs["last_author"] != "clone" || r.Outputs["last_time"] != b.clock.UTC().Format(time.RFC3339) {
		t.Errorf("activity: %v", r.Outputs)
	}
	if r = b.do("git.activity", map[string]any{"asset": "monorepo", "branch": "main", "since": "1m"}); r.Outputs["count"] != int64(0) {
		t.Errorf("nothing lately: %v", r.Outputs)
	}
	if _, err := b.try("git.activity", map[string]any{"asset": "monorepo", "branch": "absent"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("no branch: %v", err)
	}
	b.do("git.compare", map[string]any{"asset": "monorepo", "branch": "main", "commit": "HEAD"})
	b.do("git.compare", map[string]any{"asset": "monorepo", "with": "clone"})
	b.do("git.compare", map[string]any{"asset": "monorepo", "branch": "main", "commit": "HEAD~1", "contains": true})
	_, err := b.try("git.compare", map[string]any{"asset": "monorepo", "branch": "main", "commit": "HEAD~1"})
	if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "1 commit ahead of") {
		t.Errorf("unequal: %v", err)
	}
}
