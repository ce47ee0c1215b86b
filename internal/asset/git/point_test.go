package git

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/command"
)

// A roll-up builds on the full point of a chain that has gone on for long. Where the source
// forgot everything that the full point held, it becomes full; where one branch is left,
// an increment; and both restore.
func TestRollUpOnForgottenTips(t *testing.T) {
	for _, tt := range []struct {
		name string
		keep bool // one branch of the full point stays
		want string
	}{{"everything replaced", false, Full}, {"one branch left", true, Incremental}} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(51, 1))}
			w.grow("refs/heads/main", "", 3)
			w.grow("refs/heads/steady", "refs/heads/main~1", 1)
			w.annotate("v1", w.resolve("refs/heads/main"))
			s := newShelf(t)
			full := s.must(Kind{}, w.dir, nil)
			parent := full.facts
			for i := range 4 {
				w.grow("refs/heads/main", "refs/heads/main~1", 1) // each a force push
				w.grow(fmt.Sprintf("refs/heads/b%d", i), "refs/heads/main^0", 1)
				p := s.must(Kind{}, w.dir, parent)
				if p.kind != Incremental {
					t.Fatalf("step %d: %s", i, p.kind)
				}
				parent = p.facts
			}
			for _, ref := range w.refs("refs") {
				if ref != "refs/heads/steady" || !tt.keep {
					w.drop(ref)
				}
			}
			w.grow("refs/heads/main", "", 2)
			changes["collect garbage"](w, "")
			p := s.must(Kind{}, w.dir, full.facts)
			if p.kind != tt.want {
				t.Fatalf("the roll-up is %s", p.kind)
			}
			chain := p.chain
			if p.kind == Incremental {
				chain = append(full.chain, p.chain...)
			}
			if got, want := state(t, runScript(t, Kind{}, chain, p.facts)), state(t, w.dir); got != want {
				t.Errorf("restored %s\nsource %s", got, want)
			}
		})
	}
}

// SHA-256 repositories get increments, which list every ref as others do.
func TestSHA256Increments(t *testing.T) {
	w := &world{t: t, dir: newRepo(t, "--object-format=sha256"), rng: rand.New(rand.NewPCG(52, 1))}
	w.grow("refs/heads/main", "", 30)
	w.set("refs/heads/spare", w.resolve("refs/heads/main~3"))
	w.set("refs/heads/twin", w.resolve("refs/heads/main"))
	s := newShelf(t)
	full := s.must(Kind{}, w.dir, nil)
	chain, parent, size := full.chain, full.facts, int64(0)
	for _, change := range []string{"grow", "move an annotated tag", "delete a branch", "grow", "tag a tree", "detach HEAD"} {
		w.change(change)
		p := s.must(Kind{}, w.dir, parent)
		if p.kind != Incremental {
			t.Fatalf("%s: %s", change, p.kind)
		}
		if err := checkFile(t, Role, p.bundle); err != nil {
			t.Fatal(err)
		}
		f, err := ParseFacts(p.facts)
		if err != nil {
			t.Fatal(err)
		}
		size += f.PackBytes
		chain, parent = append(chain, p.chain...), p.facts
	}
	if f, err := ParseFacts(full.facts); err != nil || size > f.PackBytes {
		t.Errorf("the increments take %d bytes, the full point %d, %v", size, f.PackBytes, err)
	}
	if got, want := state(t, runScript(t, Kind{}, chain, parent)), state(t, w.dir); got != want {
		t.Errorf("restored %s\nsource %s", got, want)
	}
}

// A source that is removed after its server has listed the refs makes no point.
func TestSourceDisappears(t *testing.T) {
	for _, k := range []Kind{{}, {Mirror: true}} {
		w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(53, 1))}
		w.grow("refs/heads/main", "", 20)
		git(t, w.dir, "repack", "-a", "-d", "-q")
		gone := false
		k.wrap = func(r io.Reader) io.Reader {
			return readerFunc(func(p []byte) (int, error) {
				n, err := r.Read(p)
				if !gone { // the refs have come
					gone = true
					if err := os.RemoveAll(w.dir); err != nil {
						t.Error(err)
					}
				}
				return n, err
			})
		}
		k.Scratch = t.TempDir()
		s := newShelf(t)
		if p, err := s.capture(t.Context(), k, w.dir, nil); err == nil || len(s.made) > 0 || !gone {
			t.Errorf("mirror %v: %s point, stored %d, %v", k.Mirror, p.kind, len(s.made), err)
		}
	}
}

// A probe finds every critical path in HEAD, whatever its name, and names those that are
// not there.
func TestCriticalPaths(t *testing.T) {
	dir := newRepo(t)
	blob := gitIn(t, dir, "x", "hash-object", "-w", "--stdin")
	inner := gitIn(t, dir, "100644 blob "+blob+"\tschema.prisma\n100644 blob "+blob+"\t*\n", "mktree")
	tree := gitIn(t, dir, fmt.Sprintf("100644 blob %[1]s\tpackage.json\n040000 tree %[2]s\tprisma\n100644 blob %[1]s\t-x\n160000 commit %[3]s\tvendored\n",
		blob, inner, strings.Repeat("1", 40)), "mktree")
	git(t, dir, "update-ref", "refs/heads/main", git(t, dir, "commit-tree", "-m", "x", tree))
	p := newShelf(t).must(Kind{}, dir, nil)
	replica := filepath.Join(t.TempDir(), "r.git")
	if err := (Kind{}).Apply(t.Context(), replica, Role, p.bundle, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		paths []string
		says  string
		is    error
	}{
		{nil, "", nil},
		{[]string{"package.json", "prisma/", "prisma/schema.prisma", "./-x", "vendored", "prisma/*"}, "6 critical paths there", nil},
		{[]string{"package.json", "pnpm-lock.yaml", "prisma/gone"}, `["pnpm-lock.yaml" "prisma/gone"]`, ErrCritical},
		{[]string{"*.json"}, `"*.json"`, ErrCritical},
		{[]string{":(top)package.json"}, "package.json", ErrCritical},
		{[]string{"package.json/x"}, "package.json/x", ErrCritical},
		{[]string{"../package.json"}, "no path inside", nil},
		{[]string{"/etc/passwd"}, "no path inside", nil},
	} {
		evidence, err := Kind{Critical: tt.paths}.Probe(t.Context(), replica, io.Discard)
		if err != nil {
			evidence = err.Error()
		}
		if !strings.Contains(evidence, tt.says) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%q: %s", tt.paths, evidence)
		}
		if _, err := (Kind{Critical: tt.paths}).Prove(t.Context(), replica, p.facts, true, io.Discard); err != nil {
			t.Errorf("%q: the replica is equal, and yet %v", tt.paths, err)
		}
	}
	git(t, dir, "symbolic-ref", "HEAD", "refs/heads/unborn")
	p = newShelf(t).must(Kind{}, dir, p.facts)
	if _, err := (Kind{}).Prove(t.Context(), replica, p.facts, true, io.Discard); err != nil { // sets HEAD
		t.Fatal(err)
	}
	if _, err := (Kind{Critical: []string{"x"}}).Probe(t.Context(), replica, io.Discard); !errors.Is(err, ErrCritical) {
		t.Errorf("unborn HEAD: %v", err)
	}
}

// A build runs in a clone of what was restored, one command after the other, and leaves
// nothing behind.
func TestBuild(t *testing.T) {
	dir := newRepo(t)
	blob := gitIn(t, dir, "content\n", "hash-object", "-w", "--stdin")
	tree := gitIn(t, dir, "100644 blob "+blob+"\tREADME.md\n", "mktree")
	git(t, dir, "update-ref", "refs/heads/main", git(t, dir, "commit-tree", "-m", "x", tree))
	for _, tt := range []struct {
		build [][]string
		says  string
		is    error
	}{
		{[][]string{{"grep", "-q", "content", "README.md"}, {"sh", "-c", "echo built; touch made; test -d \"$HOME\""}, {"test", "-e", "made"}}, "1 critical path there, it builds: 3 commands succeeded", nil},
		{[][]string{{"sh", "-c", "echo no lock file; exit 7"}, {"true"}}, "exit 7", ErrBuild},
		{[][]string{{"no-such-program"}}, "no-such-program", command.ErrNotFound},
	} {
		var log strings.Builder
		k := Kind{Build: tt.build, Critical: []string{"README.md"}, Scratch: t.TempDir()}
		evidence, err := k.Probe(t.Context(), dir, &log)
		if err != nil {
			evidence = err.Error()
		}
		if !strings.Contains(evidence, tt.says) || !errors.Is(err, tt.is) {
			t.Errorf("%q: %s\n%s", tt.build, evidence, &log)
		}
		if left, err := os.ReadDir(k.Scratch); err != nil || len(left) > 0 {
			t.Errorf("%q: left %v, %v", tt.build, left, err)
		}
	}
}

func TestDiff(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(54, 1))}
	w.grow("refs/heads/main", "", 3)
	w.grow("refs/heads/old", "refs/heads/main^0", 1)
	w.annotate("v1", w.resolve("refs/heads/main"))
	w.set("refs/notes/commits", w.resolve("refs/heads/main"))
	k := Kind{LFS: true}
	s := newShelf(t)
	before := s.must(k, w.dir, nil)
	was := func(ref string) string { return w.resolve(ref)[:10] }
	main, old, tag, notes := was("refs/heads/main"), was("refs/heads/old"), was("refs/tags/v1"), was("refs/notes/commits")
	w.track("refs/heads/main", "a", "content of a")
	w.lose(w.track("refs/heads/lätin", "b", "content of b"))
	w.drop("refs/heads/old")
	w.annotate("v1", w.resolve("refs/heads/main"))
	w.set("refs/notes/commits", w.resolve("refs/heads/main"))
	git(t, w.dir, "symbolic-ref", "HEAD", "refs/heads/lätin")
	after := s.must(k, w.dir, before.facts)
	want := fmt.Sprintf(`[head HEAD "refs/heads/main" "refs/heads/lätin"]
[ref refs/heads/lätin "" %q]
[ref refs/heads/main %q %q]
[ref refs/heads/old %q ""]
[ref refs/tags/v1 %q %q]
[ref refs/notes/commits %q %q]
[lfs pointers "0" "2"]
[lfs objects kept "0" "1"]
[lfs objects missing "0" "1"]
`, was("refs/heads/lätin"), main, was("refs/heads/main"), old, tag, was("refs/tags/v1"), notes, was("refs/heads/main"))
	diff := func(older, newer []byte) (string, error) {
		var b strings.Builder
		err := k.Diff(t.Context(), older, newer, nil, nil, func(what, name, before, after string) {
			fmt.Fprintf(&b, "[%s %s %q %q]\n", what, name, before, after)
		})
		return b.String(), err
	}
	if got, err := diff(before.facts, after.facts); err != nil || got != want {
		t.Errorf("got\n%swant\n%s%v", got, want, err)
	}
	if got, err := diff(after.facts, after.facts); err != nil || got != "" {
		t.Errorf("of a point and itself: %s%v", got, err)
	}
	back, err := diff(after.facts, before.facts)
	if err != nil || strings.Count(back, "\n") != strings.Count(want, "\n") || !strings.Contains(back, fmt.Sprintf("[ref refs/heads/old \"\" %q]", old)) {
		t.Errorf("the other way round: %s%v", back, err)
	}
	if _, err := diff([]byte("{}"), after.facts); err == nil {
		t.Error("it took bad facts")
	}
}
