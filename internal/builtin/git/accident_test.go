package git

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/command"
)

// by commits in a clone under a name.
func (b *bay) by(name, dir, subject string) string {
	b.t.Helper()
	b.commit(dir, subject)
	c := command.Git(dir, "commit", "--quiet", "--amend", "--no-edit", "--reset-author")
	c.Env["GIT_AUTHOR_NAME"] = name
	at := fmt.Sprintf("@%d +0000", b.clock.Unix())
	c.Env["GIT_AUTHOR_DATE"], c.Env["GIT_COMMITTER_DATE"] = at, at
	if _, err := command.Run(b.t.Context(), c); err != nil {
		b.t.Fatal(err)
	}
	return b.git(dir, "rev-parse", "HEAD")
}

func (b *bay) force(dir string) {
	b.t.Helper()
	b.clock = b.clock.Add(time.Minute)
	c := command.Git(dir, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
	c.Env["GIT_COMMITTER_DATE"] = fmt.Sprintf("@%d +0000", b.clock.Unix()) // that of the reflog
	if _, err := command.Run(b.t.Context(), c); err != nil {
		b.t.Fatal(err)
	}
}

// Accidents of every kind: the good commit is found, and the screen says what is true now.
func TestFindLostAfterEveryAccident(t *testing.T) {
	for name, tt := range map[string]struct {
		accident   func(b *bay) (good string)
		say        []string
		remembered bool // give the good commit as remembered too
	}{
		"somebody pushed on top": {accident: func(b *bay) string {
			good, _ := b.overwrite()
			b.git(b.them, "fetch", "--quiet", "origin")
			b.by("Dave", b.them, "good work on the demo")
			b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
			return good
		}, say: []string{"2 commits by 2 people of its own", "1 commit by Dave of it pushed on top since, keep both sides", `"good work on the demo"`}},
		"overwritten twice by the same demo": {accident: func(b *bay) string {
			good := b.tip("main")
			b.git(b.them, "fetch", "--quiet", "origin")
			b.git(b.them, "reset", "--quiet", "--hard", "origin/main~2")
			b.clock = time.Now()
			b.by("Demo", b.them, "demo")
			b.force(b.them)
			b.git(b.them, "reset", "--quiet", "--hard", "HEAD~")
			b.by("Demo", b.them, "better demo")
			b.force(b.them)
			return good
		}, say: []string{"2 commits by clone lost"}},
		"overwritten after a rebase of everything": {accident: func(b *bay) string {
			b.git(b.clone, "rebase", "--quiet", "--force-rebase", "HEAD~2")
			b.git(b.clone, "commit", "--quiet", "--amend", "-m", "four, rebased")
			b.clock = time.Now()
			b.force(b.clone)
			good := b.tip("main")
			b.git(b.them, "reset", "--quiet", "--hard", "origin/main~1")
			b.by("Demo", b.them, "demo")
			b.force(b.them)
			return good
		}},
		"a small change was taken back by force, then work was overwritten": {accident: func(b *bay) string {
			b.clock = time.Now()
			b.by("Me", b.clone, "a small change")
			b.force(b.clone)
			b.git(b.clone, "reset", "--quiet", "--hard", "HEAD~")
			b.by("Ada", b.clone, "work")
			b.by("Ada", b.clone, "more work")
			b.force(b.clone)
			good := b.tip("main")
			b.git(b.them, "reset", "--quiet", "--hard", "origin/main")
			b.by("Demo", b.them, "demo")
			b.force(b.them)
			return good
		}},
		"rebased, nothing is lost": {accident: func(b *bay) string {
			good := b.tip("main")
			b.git(b.them, "fetch", "--quiet", "origin")
			b.git(b.them, "reset", "--quiet", "--hard", "origin/main~2")
			b.by("Eve", b.them, "slipped below")
			b.git(b.them, "cherry-pick", "origin/main~1", "origin/main")
			b.force(b.them)
			return good
		}, say: []string{"2 of the 2 lost are on it with other ids, as after a rebase"}},
		"another history": {accident: func(b *bay) string {
			good := b.tip("main")
			b.git(b.them, "checkout", "--quiet", "--orphan", "other")
			b.by("Demo", b.them, "begun anew")
			b.force(b.them)
			return good
		}, remembered: true},
		"deleted": {accident: func(b *bay) string {
			good := b.tip("main")
			b.git(b.origin, "update-ref", "-d", "refs/heads/main")
			return good
		}, say: []string{"now absent"}},
		"renamed": {accident: func(b *bay) string {
			good := b.tip("main")
			b.git(b.origin, "branch", "-m", "main", "trunk")
			return good
		}, say: []string{"the branch trunk has all of it: was it renamed?"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBay(t)
			b.git(b.origin, "config", "core.logAllRefUpdates", "true")
			b.more("three", "four")
			b.clock = time.Now().Add(-time.Hour)
			good := tt.accident(b)
			args := map[string]any{"asset": "monorepo", "branch": "main"}
			if tt.remembered {
				args["remembered"] = good[:9]
			}
			r := b.do("git.find-lost", args)
			if r.Outputs["commit"] != good {
				t.Errorf("found %v, want %s: %s\n%s", r.Outputs["commit"], good, r.Evidence, b.log)
			}
			for _, text := range tt.say {
				if !strings.Contains(r.Evidence, text) {
					t.Errorf("no %q in %s", text, r.Evidence)
				}
			}
			b.do("git.keep", map[string]any{"asset": "monorepo", "good": r.Outputs["commit"], "bad": r.Outputs["current"]})
			b.do("git.compare", map[string]any{"asset": "monorepo", "branch": "main", "commit": good, "allow_difference": true})
			b.do("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
			b.do("git.compare", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
			if bad, _ := r.Outputs["current"].(string); bad != "" && b.git(b.clone, "rev-parse", "refs/lifeboat/7f3a/bad") != bad {
				t.Error("the other side is not kept")
			}
		})
	}
}

// Random histories with merges, pushed by several people, then one force push: what is found is
// what the branch was, whichever of the copies still have it.
func TestFindLostIsTheModels(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			b := newBay(t)
			rnd := rand.New(rand.NewPCG(seed, 7))
			if rnd.IntN(2) == 0 {
				b.git(b.origin, "config", "core.logAllRefUpdates", "true")
			}
			clones := []string{b.clone, b.them}
			for i := range 3 + rnd.IntN(6) {
				dir := clones[rnd.IntN(2)]
				b.git(dir, "fetch", "--quiet", "origin")
				b.git(dir, "checkout", "--quiet", "--detach", "origin/main")
				n := b.by(fmt.Sprint("p", rnd.IntN(3)), dir, fmt.Sprint("c", i))
				if rnd.IntN(3) == 0 {
					b.git(dir, "checkout", "--quiet", "--detach", "HEAD~")
					b.by("side", dir, fmt.Sprint("s", i))
					b.git(dir, "merge", "--quiet", "--no-edit", n)
				}
				b.git(dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")
			}
			good := b.tip("main") // the model
			saved := rnd.IntN(2) == 0
			if saved {
				b.do("git.backup", map[string]any{"asset": "monorepo"})
			}
			b.git(b.them, "fetch", "--quiet", "origin")
			b.git(b.them, "checkout", "--quiet", "--detach", "origin/main~"+fmt.Sprint(1+rnd.IntN(3)))
			b.by("Demo", b.them, "demo")
			b.force(b.them)
			known := b.git(b.clone, "rev-parse", "origin/main") == good
			switch rnd.IntN(3) {
			case 0:
				if saved || known {
					b.git(b.origin, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
				}
			case 1:
				b.git(b.clone, "fetch", "--quiet", "origin")
				b.git(b.clone, "pack-refs", "--all")
			}
			if rnd.IntN(2) == 0 {
				b.git(b.clone, "worktree", "add", "--quiet", "--detach", filepath.Join(b.dir, "linked"))
				b.clone = filepath.Join(b.dir, "linked")
			}
			r := b.do("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"})
			if r.Outputs["commit"] != good {
				t.Fatalf("found %v, want %s: %s\n%s", r.Outputs["commit"], good, r.Evidence, b.log)
			}
			b.do("git.keep", map[string]any{"asset": "monorepo", "good": good})
			b.do("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
			if b.tip("main") != good {
				t.Error("main is not what it was")
			}
		})
	}
}

// Clones that people offer are of every kind: shallow, partial, borrowing, of another format, no
// repository at all. One that is no use does not keep the others from being looked at, and none
// makes git run what it names.
func TestFindLostInWhatIsOffered(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	b.git(b.them, "fetch", "--quiet", "origin")
	b.git(b.them, "reset", "--quiet", "--hard", "origin/main")
	good := b.by("Ada", b.them, "five")
	b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	at := func(name string) string { return filepath.Join(b.dir, name) }
	b.git(b.origin, "config", "uploadpack.allowFilter", "true")
	b.git("", "clone", "--quiet", "--depth=2", "--template=", "file://"+b.origin, at("shallow"))
	b.git("", "clone", "--quiet", "--filter=tree:0", "--no-checkout", "--template=", "file://"+b.origin, at("partial"))
	b.git(at("partial"), "config", "remote.origin.uploadpack", "touch "+at("pwned")+";git-upload-pack")
	b.git("", "clone", "--quiet", "--shared", "--template=", b.clone, at("borrowing"))
	b.git("", "init", "--quiet", "--object-format=sha256", "--template=", at("sha256"))
	b.write(at("text/HEAD"), "ref: refs/heads/main\n")
	old := b.deps.Repo
	b.deps.Repo = func(asset string) (Repo, error) {
		r, err := old(asset)
		for _, name := range []string{"sha256", "absent", "text", "borrowing", "partial", "shallow"} {
			r.Clones = append(r.Clones, Place{Name: name, Dir: at(name)})
		}
		return r, err
	}
	b.git(b.them, "reset", "--quiet", "--hard", "HEAD~2")
	b.clock = time.Now()
	b.by("Demo", b.them, "demo")
	b.force(b.them)
	b.git(b.origin, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
	remove(b, b.them)
	r := b.do("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"})
	if r.Outputs["commit"] != good {
		t.Fatalf("found %v, want %s: %s\n%s", r.Outputs["commit"], good, r.Evidence, b.log)
	}
	b.do("git.keep", map[string]any{"asset": "monorepo", "good": good, "bad": r.Outputs["current"]})
	b.do("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
	b.git(b.origin, "fsck", "--full", "--strict")
	if b.tip("main") != good {
		t.Error("main is not what it was")
	}
	if _, err := os.Lstat(at("pwned")); err == nil {
		t.Error("a program of an offered clone ran")
	}
}
