package git

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/command"
)

// git runs git in a test and fails it on an error.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := command.Output(t.Context(), command.Git(dir, args...))
	if err != nil {
		t.Fatalf("git %q: %v", args, err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func gitIn(t testing.TB, dir, stdin string, args ...string) string {
	t.Helper()
	c := command.Git(dir, args...)
	c.Stdin = strings.NewReader(stdin)
	out, err := command.Output(t.Context(), c)
	if err != nil {
		t.Fatalf("git %q: %v", args, err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func newRepo(t testing.TB, options ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source.git")
	git(t, "", append(append([]string{"init", "--quiet", "--bare", "--template="}, options...), dir)...)
	return dir
}

// world is a repository that lives: each change is one that happens to repositories.
type world struct {
	t   testing.TB
	dir string
	rng *rand.Rand
	n   int
}

func (w *world) refs(prefix string) []string {
	return strings.Fields(git(w.t, w.dir, "for-each-ref", "--format=%(refname)", prefix))
}

func (w *world) pick(list []string) string { return list[w.rng.IntN(len(list))] }

// grow adds commits to a ref, from a start that may be "" for an orphan.
func (w *world) grow(ref, from string, commits int) {
	var in bytes.Buffer
	for i := range commits {
		w.n++
		fmt.Fprintf(&in, "commit %s\nauthor A <a@example.org> %d +0000\ncommitter C <c@example.org> %d +0000\ndata <<E\nchange %d\nE\n",
			ref, 1700000000+w.n*60, 1700000000+w.n*60, w.n)
		if i == 0 && from != "" {
			fmt.Fprintf(&in, "from %s\n", from)
		}
		fmt.Fprintf(&in, "M 100644 inline file%d\ndata <<E\n%s %d\nE\n\n", w.n%7, strings.Repeat("text ", 40), w.n)
		fmt.Fprintf(&in, "M 100644 inline noise%d\ndata <<E\n%x\nE\n\n", w.n%5, w.rng.Uint64())
	}
	gitIn(w.t, w.dir, in.String(), "fast-import", "--quiet", "--force")
}

func (w *world) set(ref, oid string) {
	gitIn(w.t, w.dir, fmt.Sprintf("update %s\x00%s\x00\x00", ref, oid), "update-ref", "-z", "--stdin")
}

func (w *world) resolve(ref string) string { return git(w.t, w.dir, "rev-parse", "--verify", ref) }

var oddNames = []string{
	"refs/heads/-x", "refs/heads/grün/ünïcode-日本", "refs/heads/a'b\"c$(d)", "refs/heads/latin-\xe9t\xe9",
	"refs/notes/commits", "refs/heads/deep/er/still", "refs/weird",
}

// changes are what happens to repositories, by name. Each finds what it needs, and makes a
// branch first where there is none.
var changes = map[string]func(w *world, some string){
	"grow": func(w *world, some string) { w.grow(some, some+"^0", 1+w.rng.IntN(5)) },
	"force push": func(w *world, some string) { // replaced from some ancestor on
		w.grow("refs/heads/side", some+"^0", 2)
		w.set(some, w.resolve("refs/heads/side~1"))
		w.grow(some, some+"^0", 1)
	},
	"delete a branch": func(w *world, some string) { w.drop(some) },
	"orphan":          func(w *world, _ string) { w.grow(fmt.Sprintf("refs/heads/orphan%d", w.n), "", 1) },
	"move a lightweight tag": func(w *world, some string) {
		w.set("refs/tags/light", w.resolve(some))
		w.grow(some, some+"^0", 1)
		w.set("refs/tags/light", w.resolve(some))
	},
	"move an annotated tag": func(w *world, some string) {
		w.annotate("note", w.resolve(some))
		w.annotate("note", w.resolve(some))
	},
	"tag a tag": func(w *world, some string) {
		w.annotate("inner", w.resolve(some))
		w.annotate("outer", w.resolve("refs/tags/inner"))
	},
	"tag a blob": func(w *world, _ string) {
		blob := gitIn(w.t, w.dir, fmt.Sprint("blob ", w.rng.Uint64()), "hash-object", "-w", "--stdin")
		w.set("refs/tags/blob", blob)
		w.annotate("blob-note", blob)
	},
	"tag a tree": func(w *world, some string) { w.set("refs/tags/tree", w.resolve(some+"^{tree}")) },
	"twin":       func(w *world, some string) { w.set("refs/heads/twin", w.resolve(some)) },
	"odd name":   func(w *world, some string) { w.set(w.pick(oddNames), w.resolve(some)) },
	"branch becomes directory": func(w *world, some string) { // a name that was a file in refs
		oid := w.resolve(some)
		for _, name := range w.refs("refs/heads/d") {
			w.drop(name)
			if name != "refs/heads/d" {
				w.set("refs/heads/d", oid)
				return
			}
		}
		w.set("refs/heads/d/e/f", oid)
	},
	"names that begin alike": func(w *world, some string) {
		for _, name := range []string{"a", "ab", "a-b", "a.b", "aa/b"} {
			w.set("refs/heads/"+name, w.resolve(some))
		}
	},
	"detach HEAD": func(w *world, some string) { // at a commit that no ref holds
		w.grow("refs/heads/gone", some+"^0", 1)
		git(w.t, w.dir, "update-ref", "--no-deref", "HEAD", w.resolve("refs/heads/gone"))
		w.drop("refs/heads/gone")
	},
	"move HEAD":   func(w *world, some string) { git(w.t, w.dir, "symbolic-ref", "HEAD", some) },
	"unborn HEAD": func(w *world, _ string) { git(w.t, w.dir, "symbolic-ref", "HEAD", "refs/heads/unborn") },
	"hidden ref":  func(w *world, some string) { w.set("refs/pull/1/head", w.resolve(some)) },
	"empty it": func(w *world, _ string) {
		git(w.t, w.dir, "symbolic-ref", "HEAD", "refs/heads/main")
		for _, name := range w.refs("refs") {
			w.drop(name)
		}
	},
	"collect garbage": func(w *world, _ string) { // old tips are gone for good
		git(w.t, w.dir, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
	},
}

func (w *world) change(name string) {
	heads := w.refs("refs/heads")
	if len(heads) == 0 {
		w.grow("refs/heads/main", "", 1+w.rng.IntN(4))
		heads = []string{"refs/heads/main"}
	}
	changes[name](w, w.pick(heads))
}

func (w *world) drop(ref string) {
	gitIn(w.t, w.dir, "delete "+ref+"\x00\x00", "update-ref", "-z", "--stdin")
}

// annotate makes or moves an annotated tag.
func (w *world) annotate(name, target string) {
	w.n++
	git(w.t, w.dir, "tag", "-f", "-a", "-m", fmt.Sprint("tag ", w.n), name, target)
}

// state is what must be equal between a source and its replica.
func state(t testing.TB, dir string) string {
	t.Helper()
	refs, err := replicaRefs(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	refs = slices.DeleteFunc(refs, func(r Ref) bool { _, out := excludes(Hidden, r.Name); return out })
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%q %v", head, refs)
}

// item is an object as a manifest lists it.
type item struct{ role, path string }

// point is a captured restore point.
type point struct {
	kind   string
	facts  []byte
	bundle string // path, "" when it made none
	chain  []item // what it adds to the chain
	index  string
	mirror string
}

// shelf stores what Capture creates, as files that exist only once they were closed.
type shelf struct {
	t       testing.TB
	dir     string
	made    []string
	items   []item
	indexes map[string]string       // by the facts of their point
	fail    func(name string) error // at Close, after storing when it says so
}

func newShelf(t testing.TB) *shelf {
	return &shelf{t: t, dir: t.TempDir(), indexes: map[string]string{}}
}

func (s *shelf) create(role, name string) (io.WriteCloser, error) {
	f, err := os.CreateTemp(s.dir, "open-*")
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { f.Close() })
	return &shelved{File: f, shelf: s, role: role, name: name}, nil
}

type shelved struct {
	*os.File
	shelf      *shelf
	role, name string
}

func (f *shelved) Close() error {
	if fail := f.shelf.fail; fail != nil {
		if err := fail(f.name); err != nil {
			return err
		}
	}
	if err := f.File.Close(); err != nil {
		return err
	}
	to := filepath.Join(f.shelf.dir, fmt.Sprintf("%04d-%s", len(f.shelf.made), f.name))
	f.shelf.made = append(f.shelf.made, to)
	f.shelf.items = append(f.shelf.items, item{f.role, to})
	return os.Rename(f.File.Name(), to)
}

func (s *shelf) capture(ctx context.Context, k Kind, source string, parent []byte) (point, error) {
	before := len(s.items)
	open := func(role string) (io.ReadCloser, error) {
		if at, ok := s.indexes[string(parent)]; ok && role == RoleIndex {
			return os.Open(at)
		}
		return nil, fmt.Errorf("the parent has no %q", role)
	}
	kind, facts, err := k.Capture(ctx, source, parent, open, s.create, nil, io.Discard)
	p := point{kind: kind, facts: facts}
	if kind == Unchanged {
		p.index = s.indexes[string(parent)]
	}
	for _, made := range s.items[before:] {
		switch made.role {
		case RoleIndex:
			p.index = made.path
		case RoleMirror:
			p.mirror = made.path
		case Role:
			p.bundle = made.path
			p.chain = append(p.chain, made)
		default:
			p.chain = append(p.chain, made)
		}
	}
	if p.index != "" {
		s.indexes[string(facts)] = p.index
	}
	return p, err
}

func (s *shelf) must(k Kind, source string, parent []byte) point {
	s.t.Helper()
	p, err := s.capture(s.t.Context(), k, source, parent)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}
