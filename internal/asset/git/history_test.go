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

func (w *world) change() {
	heads := w.refs("refs/heads")
	if len(heads) == 0 {
		w.grow("refs/heads/main", "", 1+w.rng.IntN(4))
		return
	}
	some := w.pick(heads)
	switch w.rng.IntN(15) {
	case 0, 1, 2:
		w.grow(some, some+"^0", 1+w.rng.IntN(5))
	case 3: // force push: history replaced from some ancestor on
		w.grow("refs/heads/side", some+"^0", 2)
		w.set(some, w.resolve("refs/heads/side~1"))
		w.grow(some, some+"^0", 1)
	case 4:
		gitIn(w.t, w.dir, "delete "+some+"\x00\x00", "update-ref", "-z", "--stdin")
	case 5:
		w.grow(fmt.Sprintf("refs/heads/orphan%d", w.n), "", 1)
	case 6:
		w.set(fmt.Sprintf("refs/tags/light%d", w.rng.IntN(3)), w.resolve(some))
	case 7: // an annotated tag, new or moved, sometimes of a tag
		target := w.resolve(some)
		if tags := w.refs("refs/tags/note*"); len(tags) > 0 && w.rng.IntN(2) == 0 {
			target = w.resolve(w.pick(tags))
		}
		git(w.t, w.dir, "tag", "-f", "-a", "-m", fmt.Sprint("tag ", w.n), fmt.Sprintf("note%d", w.rng.IntN(3)), target)
	case 8:
		blob := gitIn(w.t, w.dir, fmt.Sprint("blob ", w.rng.Uint64()), "hash-object", "-w", "--stdin")
		w.set("refs/tags/blob", blob)
	case 9:
		w.set("refs/heads/twin", w.resolve(some))
	case 10:
		w.set(w.pick(oddNames), w.resolve(some))
	case 11: // detached, at a commit that no ref holds
		w.grow("refs/heads/gone", some+"^0", 1)
		oid := w.resolve("refs/heads/gone")
		git(w.t, w.dir, "update-ref", "--no-deref", "HEAD", oid)
		git(w.t, w.dir, "update-ref", "-d", "refs/heads/gone")
	case 12:
		git(w.t, w.dir, "symbolic-ref", "HEAD", some)
	case 13:
		git(w.t, w.dir, "symbolic-ref", "HEAD", "refs/heads/unborn")
	case 14:
		w.set("refs/pull/1/head", w.resolve(some))
	}
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

// point is a captured restore point; its bundle is "" when it made none.
type point struct {
	kind   string
	facts  []byte
	bundle string
}

// shelf stores what Capture creates, as files that exist only once they were closed.
type shelf struct {
	t    testing.TB
	dir  string
	made []string
	fail func(name string) error // at Close, after storing when it says so
}

func newShelf(t testing.TB) *shelf { return &shelf{t: t, dir: t.TempDir()} }

func (s *shelf) create(role, name string) (io.WriteCloser, error) {
	if role != Role {
		return nil, fmt.Errorf("role %q", role)
	}
	f, err := os.CreateTemp(s.dir, "open-*")
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { f.Close() })
	return &shelved{File: f, shelf: s, name: name}, nil
}

type shelved struct {
	*os.File
	shelf *shelf
	name  string
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
	return os.Rename(f.File.Name(), to)
}

func (s *shelf) capture(ctx context.Context, k Kind, source string, parent []byte) (point, error) {
	before := len(s.made)
	kind, facts, err := k.Capture(ctx, source, parent, nil, s.create, nil, io.Discard)
	p := point{kind: kind, facts: facts}
	if len(s.made) > before {
		p.bundle = s.made[before]
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
