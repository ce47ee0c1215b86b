package git

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What Apply has checked is not unpacked again, unless anything is not as it was then.
func TestProveChecksWhatIsNotKnown(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(21, 1))}
	w.grow("refs/heads/main", "", 4)
	s := newShelf(t)
	first := s.must(Kind{}, w.dir, nil)
	w.grow("refs/heads/main", "refs/heads/main^0", 3)
	second := s.must(Kind{}, w.dir, first.facts)
	if second.kind != Incremental {
		t.Fatal(second.kind)
	}
	files := func(t *testing.T, dir, pattern string) []string {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(list) == 0 {
			t.Fatal(list, err)
		}
		return list
	}
	for _, tt := range []struct {
		name  string
		touch func(t *testing.T, dir string)
		fast  bool
		sound bool
	}{
		{"as it was", func(*testing.T, string) {}, true, true},
		{"a loose object", func(t *testing.T, dir string) { gitIn(t, dir, "x", "hash-object", "-w", "--stdin") }, false, true},
		{"another pack", func(t *testing.T, dir string) { git(t, dir, "repack", "-a", "-d", "-f", "-q") }, false, true},
		{"no list", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, checkedName)); err != nil {
				t.Fatal(err)
			}
		}, false, true},
		{"other objects", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "objects/info/alternates"), []byte(w.dir+"/objects\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false, true},
		{"a changed pack", func(t *testing.T, dir string) { flipByte(t, files(t, dir, "objects/pack/*.pack")[0], 100) }, false, false},
		{"a changed index", func(t *testing.T, dir string) { flipByte(t, files(t, dir, "objects/pack/*.idx")[0], 1100) }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "r.git")
			for _, p := range []point{first, second} {
				if err := (Kind{}).Apply(t.Context(), dir, Role, p.bundle, io.Discard); err != nil {
					t.Fatal(err)
				}
			}
			tt.touch(t, dir)
			evidence, err := Kind{}.Prove(t.Context(), dir, second.facts, true, io.Discard)
			if (err == nil) != tt.sound || strings.Contains(evidence, "index-pack") != tt.fast {
				t.Errorf("sound %v: %q, %v", tt.sound, evidence, err)
			}
			if _, serr := os.Stat(filepath.Join(dir, checkedName)); err == nil && !os.IsNotExist(serr) {
				t.Errorf("the list of checked packs is left behind: %v", serr)
			}
		})
	}
}

// A bundle that would harm whoever checks it out is refused when it is applied.
func TestApplyRefusesHarmfulTrees(t *testing.T) {
	dir := newRepo(t)
	blob := gitIn(t, dir, "[core]\n", "hash-object", "-w", "--stdin")
	inner := gitIn(t, dir, "100644 blob "+blob+"\tconfig\n", "mktree")
	tree := gitIn(t, dir, "040000 tree "+inner+"\t.git\n", "mktree")
	commit := gitIn(t, dir, "m", "commit-tree", tree)
	git(t, dir, "update-ref", "refs/heads/main", commit)
	p := newShelf(t).must(Kind{}, dir, nil)
	err := Kind{}.Apply(t.Context(), filepath.Join(t.TempDir(), "r.git"), Role, p.bundle, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "fsck error") {
		t.Errorf("applied: %v", err)
	}
}
