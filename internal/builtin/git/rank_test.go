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

// The first candidate says why it is the first: where it was seen, who pushed it, what it
// contains.
func TestRankedWithReasons(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.git(b.origin, "config", "core.logAllRefUpdates", "true")
	mirror := filepath.Join(b.dir, "mirror.git")
	b.more("three")
	good := push(b, b.them, "four")
	b.git("", "clone", "--quiet", "--template=", "--mirror", b.origin, mirror)
	b.with(func(r *Repo) {
		r.Mirrors = []Mirror{{Name: "gitlab", URL: mirror}}
		r.Clones = []Place{{Name: "k.lind", Dir: b.them}}
	})
	b.overwrite()
	r := b.do("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"})
	list, ok := r.Outputs["candidates"].([]string)
	if !ok || len(list) < 2 || !strings.HasPrefix(list[0], good[:7]+": ") {
		t.Fatalf("candidates: %q", r.Outputs["candidates"])
	}
	for _, want := range []string{
		"the tip that the branch had before it was overwritten", "in 3 places: origin, the mirror gitlab, the clone of k.lind",
		"pushed by Lifeboat", "brings back 2 commits by 2 people", "contains 1 other candidate",
	} {
		if !strings.Contains(list[0], want) {
			t.Errorf("the first candidate does not say %q: %s", want, list[0])
		}
	}
	if !strings.Contains(list[1], "the branch had it") || !strings.Contains(b.log.String(), "candidate 2  "+list[1]) {
		t.Errorf("the second: %s\n%s", list[1], b.log)
	}
}

func TestRemembered(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	three := b.git(b.clone, "rev-parse", "HEAD~1")
	b.overwrite()
	find := func(rev string) (action.Result, error) {
		return b.try("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main", "remembered": rev})
	}
	for _, rev := range []string{three, three[:8], strings.ToUpper(three[:10])} {
		r, err := find(rev)
		if err != nil || r.Outputs["commit"] != three || !strings.HasPrefix(r.Outputs["why"].(string), "somebody remembers it") {
			t.Errorf("%s: %v, %v", rev, r.Outputs, err)
		}
	}
	b.git(b.clone, "checkout", "--quiet", "--orphan", "other")
	alien := b.commit(b.clone, "alien")
	for rev, want := range map[string]string{
		b.tip("main"): "so it is not lost", alien: "no history in common", "HEAD:three.txt": "three.txt",
	} {
		if _, err := find(rev); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), want) || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v, want %q", rev, err, want)
		}
	}
}

// What is no commit gets a clear answer, with what is near it.
func TestTokens(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	tip := b.git(b.clone, "rev-parse", "HEAD")
	other := filepath.Join(b.dir, "infra")
	b.git("", "init", "--quiet", "--template=", other)
	theirs := b.commit(other, "terraform")
	b.with(func(r *Repo) { r.Others = []Place{{Name: "infra", Dir: other}} })
	b.git(b.clone, "tag", "-a", "-m", "a release", "v1.0.0", tip)
	b.git(b.clone, "tag", "-a", "-m", "a tree", "tree-tag", tip+"^{tree}")
	swapped := []byte(tip[:10])
	for i := 5; i < 9; i++ { // two different digits change places
		if swapped[i] != swapped[i+1] {
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			break
		}
	}
	digit := "0"
	if tip[6] == '0' {
		digit = "1"
	}
	prefix := b.clash()
	for name, tt := range map[string]struct{ rev, says, advises string }{
		"a tree":              {b.git(b.clone, "rev-parse", "HEAD^{tree}"), "is a tree, not a commit", tip[:12] + ` "four"`},
		"a file":              {b.git(b.clone, "rev-parse", "HEAD:three.txt"), "is a blob, not a commit", `"three"`},
		"a tag of a tree":     {b.git(b.clone, "rev-parse", "tree-tag"), "is a tag, not a commit", "git log"},
		"two digits swapped":  {string(swapped), "there is no commit", tip[:12]},
		"one digit wrong":     {tip[:6] + digit + tip[7:12], "there is no commit", tip[:12]},
		"a digit missing":     {tip[:4] + tip[5:12], "there is no commit", tip[:12]},
		"nothing near":        {strings.Repeat("f", 12), "there is no commit", "may be of another repository"},
		"another repository":  {theirs, `is a commit of "infra", another repository`, "asset: infra"},
		"a name, mistyped":    {"mian", `there is no commit "mian"`, "near it: main"},
		"a shortened, shared": {prefix, "objects begin with", "write more of the id"},
		"control characters":  {"ab\x1b[31mcd", "there is no commit", "git.find-lost"},
	} {
		call := b.bind("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": tt.rev})
		_, err := call.Plan(t.Context(), b.env)
		if advice := strings.Join(hint.All(err), "\n"); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(advice, tt.advises) {
			t.Errorf("%s %q: %v\n%s", name, tt.rev, err, advice)
		} else if strings.Contains(err.Error()+advice, "\x1b") {
			t.Errorf("%s: an escape sequence came through", name)
		}
	}
	// A tag, by name or by the id of its own object, leads to its commit.
	for _, rev := range []string{"v1.0.0", b.git(b.clone, "rev-parse", "v1.0.0")} {
		if plan := b.plan(b.bind("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": rev})); plan.Facts["new"] != tip {
			t.Errorf("%s leads to %s", rev, plan.Facts["new"])
		}
	}
}

// clash makes commits until two begin with the same four digits, and gives those.
func (b *bay) clash() string {
	b.t.Helper()
	tree, seen := b.git(b.clone, "rev-parse", "HEAD^{tree}"), map[string]bool{}
	for i := range 4000 {
		oid := b.git(b.clone, "commit-tree", "-m", fmt.Sprint(i), tree)
		if seen[oid[:4]] {
			return oid[:4]
		}
		seen[oid[:4]] = true
	}
	b.t.Fatal("no two commits are alike")
	return ""
}

// A clone of somebody else is hostile: nothing that it names may run, and what cannot be
// read in it is passed over.
func TestHostileColleague(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	good, _ := b.overwrite()
	mark := filepath.Join(b.dir, "pwned")
	evil := "touch " + mark + " #"
	friend := filepath.Join(b.dir, "friend")
	b.git("", "clone", "--quiet", "--template=", b.origin, friend)
	for _, kv := range [][2]string{
		{"core.fsmonitor", evil}, {"core.sshCommand", evil}, {"core.hooksPath", friend + "/evil"}, {"alias.fsck", "!" + evil}, {"alias.rev-parse", "!" + evil},
		{"remote.origin.promisor", "true"}, {"remote.origin.partialclonefilter", "blob:none"}, {"remote.origin.uploadpack", evil},
		{"extensions.partialClone", "origin"}, {"core.alternateRefsCommand", evil}, {"core.pager", evil},
	} {
		b.git(friend, "config", kv[0], kv[1])
	}
	b.write(filepath.Join(friend, ".git/objects/info/alternates"), "/nowhere\n"+b.dir+"/scratch\n")
	b.write(filepath.Join(friend, ".git/logs/refs/remotes/origin/main"), "garbage\n"+strings.Repeat("0", 40)+" "+strings.Repeat("e", 40)+" X <x> 1 +0000\t\x1b[31m\n")
	broken := filepath.Join(b.dir, "broken")
	b.write(filepath.Join(broken, ".git"), "gitdir: /etc\n")
	// A blob that is promised and missing makes git want to fetch.
	blob := b.git(friend, "rev-parse", "HEAD:one.txt")
	for _, pattern := range []string{blob[:2] + "/" + blob[2:], "pack/*.pack"} {
		found, err := filepath.Glob(filepath.Join(friend, ".git/objects", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if err := os.Chmod(f, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.with(func(r *Repo) {
		r.Clones = []Place{{Name: "friend", Dir: friend}, {Name: "broken\x1b[31m", Dir: broken}, {Name: "absent", Dir: filepath.Join(b.dir, "absent")}}
	})
	r := b.do("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"})
	if r.Outputs["commit"] != good {
		t.Errorf("found %v", r.Outputs)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program of a colleague's clone ran")
	}
	if strings.Contains(fmt.Sprint(r.Outputs), "\x1b") {
		t.Errorf("an escape sequence came through: %v", r.Outputs)
	}
}

func TestCompareInWords(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	good, bad := b.overwrite()
	r := b.do("git.compare", map[string]any{"asset": "monorepo", "branch": "main", "commit": good, "allow_difference": true})
	for _, want := range []string{
		"origin/main is 2 commits behind and 1 ahead of " + good[:7], `it lacks 2 commits by clone: ` + good[:7] + ` "four"`,
		"it has 1 commit by them that " + good[:7] + " does not have", "they part at ", "3 files differ: ",
	} {
		if words, ok := r.Outputs["words"].(string); !ok || !strings.Contains(words, want) {
			t.Errorf("no %q in %v", want, r.Outputs["words"])
		}
	}
	if r.Outputs["behind"] != int64(2) || r.Outputs["ahead"] != int64(1) || r.Outputs["files"] != int64(3) || r.Outputs["found"] != bad || len(r.Checks) != 0 {
		t.Errorf("outputs: %v, checks %v", r.Outputs, r.Checks)
	}
	if _, err := b.try("git.compare", map[string]any{"asset": "monorepo", "branch": "main", "commit": good}); !errors.Is(err, action.ErrCheck) {
		t.Errorf("without allow_difference: %v", err)
	}
}

func TestCompareWithMirror(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	mirror := filepath.Join(b.dir, "mirror.git")
	b.git("", "clone", "--quiet", "--template=", "--mirror", b.origin, mirror)
	b.with(func(r *Repo) { r.Mirrors = []Mirror{{Name: "gitlab", URL: mirror}} })
	b.do("git.compare", map[string]any{"asset": "monorepo", "with": "mirror"})
	b.more("three")
	b.do("git.compare", map[string]any{"asset": "monorepo", "with": "mirror", "contains": true})
	if _, err := b.try("git.compare", map[string]any{"asset": "monorepo", "with": "mirror"}); !errors.Is(err, action.ErrCheck) {
		t.Errorf("the remote has gone on: %v", err)
	}
	b.git(b.origin, "update-ref", "refs/heads/main", b.git(b.origin, "rev-parse", "main~2"))
	b.git(mirror, "branch", "more", "main")
	_, err := b.try("git.compare", map[string]any{"asset": "monorepo", "with": "mirror", "contains": true})
	if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "refs/heads/more is missing") || !strings.Contains(err.Error(), "refs/heads/main is ") {
		t.Errorf("the remote went back: %v", err)
	}
	if _, err := b.try("git.compare", map[string]any{"asset": "monorepo", "with": "mirror", "mirror": "codeberg"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("no such mirror: %v", err)
	}
}
