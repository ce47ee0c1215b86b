package git

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
)

func TestFindLost(t *testing.T) {
	for name, tt := range map[string]struct {
		arrange   func(b *bay) (good string) // after it, good is on main; the accident follows
		forget    func(b *bay)               // after the accident
		source    string
		available bool
	}{
		"in the clone": {
			func(b *bay) string { b.more("three", "four"); return b.tip("main") },
			func(*bay) {}, "the working clone", true,
		},
		"only in the shared repository": {
			func(b *bay) string {
				b.more("three", "four")
				b.git(b.them, "pull", "--quiet", "--ff-only", "origin", "main")
				good := b.commit(b.them, "five")
				b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
				return good
			},
			func(b *bay) { remove(b, b.them) }, "unreferenced commits of origin", false,
		},
		"only in the vault": {
			func(b *bay) string {
				b.more("three", "four")
				b.git(b.them, "pull", "--quiet", "--ff-only", "origin", "main")
				good := b.commit(b.them, "five")
				b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
				b.do("git.backup", map[string]any{"asset": "monorepo"})
				return good
			},
			func(b *bay) {
				remove(b, b.them)
				b.git(b.origin, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
			}, "in restore point", false,
		},
		"in a colleague's clone": {
			func(b *bay) string {
				b.more("three", "four")
				friend := filepath.Join(b.dir, "friend")
				b.git(b.them, "pull", "--quiet", "--ff-only", "origin", "main")
				good := b.commit(b.them, "five")
				b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
				b.git("", "clone", "--quiet", "--template=", b.origin, friend)
				old := b.deps.Repo
				b.deps.Repo = func(asset string) (Repo, error) {
					r, err := old(asset)
					r.Clones = []Place{{Name: "m.ito", Dir: friend}, {Name: "gone", Dir: filepath.Join(b.dir, "nowhere")}}
					return r, err
				}
				return good
			},
			func(b *bay) {
				remove(b, b.them)
				b.git(b.origin, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
			}, "the clone of m.ito", false,
		},
		"only in a mirror": {
			func(b *bay) string {
				b.more("three", "four")
				good := push(b, b.them, "five")
				mirror := filepath.Join(b.dir, "mirror.git")
				b.git("", "clone", "--quiet", "--template=", "--mirror", b.origin, mirror)
				b.with(func(r *Repo) { r.Mirrors = []Mirror{{Name: "gitlab", URL: mirror}} })
				return good
			},
			func(b *bay) {
				remove(b, b.them)
				b.git(b.origin, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
			}, "the mirror gitlab", false,
		},
		"only as a dangling commit of a colleague's clone": {
			func(b *bay) string {
				b.more("three", "four")
				good := push(b, b.them, "five")
				b.with(func(r *Repo) { r.Clones = []Place{{Name: "k.lind", Dir: b.them}} })
				return good
			},
			func(b *bay) {
				// She has force-pushed, and thrown her reflogs away.
				b.git(b.origin, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
				for _, dir := range []string{b.clone, b.them} {
					remove(b, filepath.Join(dir, ".git/logs"))
				}
				b.git(b.clone, "fetch", "--quiet", "origin")
				b.git(b.clone, "checkout", "--quiet", "-B", "main", "origin/main")
				b.git(b.clone, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
				remove(b, filepath.Join(b.clone, ".git/logs"))
			}, "unreferenced commits of the clone of k.lind", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBay(t)
			good := tt.arrange(b)
			_, bad := b.overwrite()
			tt.forget(b)
			r := b.do("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"})
			if r.Outputs["commit"] != good || r.Outputs["current"] != bad || r.Outputs["available"] != tt.available {
				t.Errorf("want %s: %v\n%s", good, r.Outputs, b.log)
			}
			if source, ok := r.Outputs["source"].(string); !ok || !strings.Contains(source, tt.source) {
				t.Errorf("source %q, want %q", r.Outputs["source"], tt.source)
			}
			if r.Outputs["lost"] != int64(2) || r.Outputs["dropped"] != int64(1) || r.Outputs["base"] == "" {
				t.Errorf("counts: %v", r.Outputs)
			}
			// What was found can be kept, and what is kept can be pushed.
			b.do("git.keep", map[string]any{"asset": "monorepo", "good": good, "bad": bad})
			b.do("git.push", map[string]any{"asset": "monorepo", "branch": "main", "commit": good})
			if b.tip("main") != good {
				t.Error("the branch is not back")
			}
			b.git(b.clone, "fsck", "--full")
		})
	}
}

// push lets somebody push one more commit on top of what is shared.
func push(b *bay, dir, name string) string {
	b.t.Helper()
	b.git(dir, "pull", "--quiet", "--ff-only", "origin", "main")
	oid := b.commit(dir, name)
	b.git(dir, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	return oid
}

// with changes what the estate says of the repository.
func (b *bay) with(change func(*Repo)) {
	old := b.deps.Repo
	b.deps.Repo = func(asset string) (Repo, error) {
		r, err := old(asset)
		change(&r)
		return r, err
	}
}

func remove(b *bay, dir string) {
	b.t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		b.t.Fatal(err)
	}
}

func TestFindLostWhenNothingIs(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	// Own work that was thrown away, and a colleague's later commits, are not lost from
	// the shared branch.
	b.commit(b.clone, "private")
	b.git(b.clone, "reset", "--quiet", "--hard", "HEAD~1")
	b.git(b.them, "pull", "--quiet", "--ff-only", "origin", "main")
	b.commit(b.them, "five")
	b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	_, err := b.try("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"})
	if !errors.Is(err, action.ErrCheck) {
		t.Errorf("%v\n%s", err, b.log)
	}
}

// Work that was never pushed is not what the branch had, even on top of it.
func TestFindLostLeavesPrivateWorkAlone(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	good, _ := b.overwrite()
	b.commit(b.clone, "private")
	if r := b.do("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"}); r.Outputs["commit"] != good {
		t.Errorf("%v\n%s", r.Outputs, b.log)
	}
}

// A clone that was asleep since long before still finds what was pushed and lost.
func TestFindLostFromStaleClone(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.git(b.them, "commit", "--quiet", "--allow-empty", "-m", "five")
	b.git(b.them, "commit", "--quiet", "--allow-empty", "-m", "six")
	b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	good, _ := b.overwrite()
	if r := b.do("git.find-lost", map[string]any{"asset": "monorepo", "branch": "main"}); r.Outputs["commit"] != good {
		t.Errorf("%v\n%s", r.Outputs, b.log)
	}
}

func TestKeepAndForget(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.more("three", "four")
	good, bad := b.overwrite()
	call := b.bind("git.keep", map[string]any{"asset": "monorepo", "good": good, "bad": bad})
	before := b.git(b.clone, "show-ref")
	plan := b.plan(call)
	if b.git(b.clone, "show-ref") != before || plan.Nothing {
		t.Errorf("plan: %+v", plan)
	}
	r, err := call.Run(t.Context(), b.env, plan)
	if err != nil {
		t.Fatal(err)
	}
	if b.git(b.clone, "rev-parse", "refs/lifeboat/7f3a/good") != good || b.git(b.clone, "rev-parse", "refs/lifeboat/7f3a/bad") != bad {
		t.Error("the refs are not there")
	}
	// A second run is one run.
	again := b.plan(call)
	if _, err := call.Run(t.Context(), b.env, again); err != nil || !again.Nothing {
		t.Errorf("again: %+v %v", again, err)
	}
	b.git(b.clone, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
	b.git(b.clone, "cat-file", "-e", bad)
	undo, err := call.PlanUndo(t.Context(), b.env, plan, r)
	if err != nil || len(undo.Lines) != 2 {
		t.Fatalf("undo: %+v %v", undo, err)
	}
	if _, err := call.RunUndo(t.Context(), b.env, undo, plan, r); err != nil {
		t.Fatal(err)
	}
	if b.git(b.clone, "show-ref") != before {
		t.Error("undo left something, or took too much")
	}
}
