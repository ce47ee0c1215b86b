package git

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/command"
	"lifeboat/internal/printable"
)

func pointerTo(content string) (oid, text string) {
	oid = fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	return oid, fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(content))
}

// track commits a pointer, and keeps its content as git-lfs does.
func (w *world) track(ref, name, content string) (oid string) {
	w.t.Helper()
	oid, text := pointerTo(content)
	w.n++
	from := ""
	if len(w.refs(ref)) > 0 {
		from = "from " + ref + "^0\n"
	}
	gitIn(w.t, w.dir, fmt.Sprintf("commit %s\ncommitter C <c@example.org> %d +0000\ndata 1\nx\n%sM 100644 inline %s\ndata %d\n%s\n",
		ref, 1700000000+w.n, from, name, len(text), text), "fast-import", "--quiet", "--force")
	w.keep(oid, content)
	return oid
}

func (w *world) keep(oid, content string) {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(lfsPath(oid)))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) lose(oid string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, filepath.FromSlash(lfsPath(oid)))); err != nil {
		w.t.Fatal(err)
	}
}

// contents reads all content of Git LFS in a repository.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	oids, err := lfsObjects(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, oid := range oids {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(lfsPath(oid))))
		if err != nil {
			t.Fatal(err)
		}
		out[oid] = string(data)
	}
	return out
}

// Each point brings the content that the chain did not hold, says what is missing, and the
// whole comes back through Apply, through the script and out of the mirror.
func TestLFSChain(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(41, 1))}
	k := Kind{LFS: true}
	s := newShelf(t)
	var chain []item
	var parent []byte
	replica := filepath.Join(t.TempDir(), "r.git")
	oids := map[string]string{}
	track := func(ref, name, content string) { oids[name] = w.track(ref, name, content) }
	for _, step := range []struct {
		name                      string
		change                    func()
		kind                      string
		pointers, stored, missing int
	}{
		{"no pointers", func() { w.grow("refs/heads/main", "", 3) }, Full, 0, 0, 0},
		{"first", func() { track("refs/heads/main", "a", "content of a"); track("refs/heads/main", "b", "content of b") }, Incremental, 2, 2, 0},
		{"nothing", func() {}, Unchanged, 2, 2, 0},
		{"only history", func() { w.grow("refs/heads/main", "refs/heads/main^0", 1) }, Incremental, 2, 2, 0},
		{"one is missing", func() { track("refs/heads/side", "c", "content of c"); w.lose(oids["c"]) }, Incremental, 3, 2, 1},
		{"still missing", func() {}, Unchanged, 3, 2, 1},
		{"one is damaged", func() { w.keep(oids["c"], "something else") }, Unchanged, 3, 2, 1},
		{"it comes, refs unchanged", func() { w.keep(oids["c"], "content of c") }, Incremental, 3, 3, 0},
		{"no longer needed", func() { w.drop("refs/heads/side") }, Incremental, 2, 3, 0},
		{"lost after it was kept", func() { w.lose(oids["a"]); w.grow("refs/heads/main", "refs/heads/main^0", 1) }, Incremental, 2, 3, 0},
		{"in a detached HEAD", func() {
			track("refs/heads/gone", "d", "content of d")
			git(t, w.dir, "update-ref", "--no-deref", "HEAD", w.resolve("refs/heads/gone"))
			w.drop("refs/heads/gone")
		}, Incremental, 3, 4, 0},
	} {
		step.change()
		p := s.must(k, w.dir, parent)
		f, err := ParseFacts(p.facts)
		if err != nil || f.LFS == nil {
			t.Fatalf("%s: facts %+v, %v", step.name, f, err)
		}
		if p.kind != step.kind || f.LFS.Pointers != step.pointers || f.LFS.Stored != step.stored || f.LFS.Absent != step.missing {
			t.Fatalf("%s: %s %+v", step.name, p.kind, f.LFS)
		}
		if step.missing > 0 && f.LFS.Missing[0] != oids["c"] {
			t.Errorf("%s: missing %q", step.name, f.LFS.Missing)
		}
		for _, o := range p.chain {
			if err := checkFile(t, o.role, o.path); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if err := k.Apply(t.Context(), replica, o.role, o.path, io.Discard); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
		}
		chain, parent = append(chain, p.chain...), p.facts
		evidence, err := Kind{}.Prove(t.Context(), replica, p.facts, true, io.Discard)
		if err != nil || !strings.Contains(evidence, printable.Count(step.stored, "object")+" of Git LFS") {
			t.Fatalf("%s: %q, %v", step.name, evidence, err)
		}
	}
	proveContentComesBack(t, w, s, replica, chain, parent, oids)
}

// proveContentComesBack restores the chain of TestLFSChain in each way there is.
func proveContentComesBack(t *testing.T, w *world, s *shelf, replica string, chain []item, parent []byte, oids map[string]string) {
	t.Helper()
	k := Kind{LFS: true}
	want := map[string]string{oids["a"]: "content of a", oids["b"]: "content of b", oids["c"]: "content of c", oids["d"]: "content of d"}
	if got := contents(t, replica); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("replica holds %q", got)
	}
	if _, err := command.Look("tar"); err != nil {
		t.Skip("tar is not installed")
	}
	if got := contents(t, runScript(t, k, chain, parent)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("restore.sh gives %q", got)
	}
	without := chain[:len(chain)-1]
	if chain[len(chain)-1].role != RoleLFS {
		t.Fatal(chain)
	}
	if _, err := tryScript(t, k, without, parent); err == nil {
		t.Error("restore.sh proved a chain that lacks content")
	}
	w.keep(oids["a"], "content of a")
	k.Mirror, k.Scratch = true, t.TempDir()
	m := s.must(k, w.dir, parent)
	delete(want, oids["c"]) // nobody needs it
	if got := contents(t, untar(t, m.mirror)); m.kind != Unchanged || m.index == "" || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s mirror holds %q, index %q", m.kind, got, m.index)
	}
	if err := checkFile(t, RoleMirror, m.mirror); err != nil {
		t.Error(err)
	}
}

// An increment that does not know what the chain holds would lose or double content.
func TestLFSWithoutIndexIsFull(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(42, 1))}
	w.track("refs/heads/main", "a", "content of a")
	k := Kind{LFS: true}
	for name, spoil := range map[string]func(s *shelf, p point){
		"absent": func(s *shelf, p point) { delete(s.indexes, string(p.facts)) },
		"of another": func(_ *shelf, p point) {
			if err := os.WriteFile(p.index, []byte(strings.Repeat("a", 64)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"no list": func(_ *shelf, p point) {
			if err := os.WriteFile(p.index, []byte("\x1b[2J\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		s := newShelf(t)
		first := s.must(k, w.dir, nil)
		spoil(s, first)
		w.grow("refs/heads/main", "refs/heads/main^0", 1)
		p := s.must(k, w.dir, first.facts)
		if p.kind != Full || len(p.chain) != 2 {
			t.Errorf("%s: %s with %v", name, p.kind, p.chain)
		}
	}
	s := newShelf(t)
	first := s.must(k, w.dir, nil)
	if p := s.must(Kind{}, w.dir, first.facts); p.kind != Full || strings.Contains(string(p.facts), `"lfs"`) {
		t.Errorf("no longer wanted: %s %s", p.kind, p.facts)
	}
}

// A replica that is not what the facts say is found.
func TestProveSeesLFSDifferences(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(43, 1))}
	oid := w.track("refs/heads/main", "a", "content of a")
	p := newShelf(t).must(Kind{LFS: true}, w.dir, nil)
	for name, spoil := range map[string]func(path string) error{
		"gone":    os.Remove,
		"changed": func(path string) error { return os.WriteFile(path, []byte("content of A"), 0o600) },
		"a link": func(path string) error {
			return errors.Join(os.Rename(path, path+"x"), os.Symlink(path+"x", path))
		},
		"another": func(path string) error { return os.WriteFile(path+"0", nil, 0o600) },
	} {
		dir := filepath.Join(t.TempDir(), "r.git")
		for _, o := range p.chain {
			if err := (Kind{}).Apply(t.Context(), dir, o.role, o.path, io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		if err := spoil(filepath.Join(dir, filepath.FromSlash(lfsPath(oid)))); err != nil {
			t.Fatal(err)
		}
		if _, err := (Kind{}).Prove(t.Context(), dir, p.facts, true, io.Discard); !errors.Is(err, ErrUnequal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The archive of content is as hostile as any other.
func TestHostileLFSArchives(t *testing.T) {
	oid, _ := pointerTo("x")
	name := lfsPath(oid)
	good := tarOf(t, plain(name, "x"))
	long := strings.Repeat("y/", 100) + "y"
	other, _ := pointerTo("y")
	for title, data := range map[string][]byte{
		"empty":            {},
		"no archive":       []byte(strings.Repeat("hello ", 500)),
		"other content":    tarOf(t, plain(name, "y")),
		"other directory":  tarOf(t, plain(strings.Replace(name, oid[:2], "ff", 1), "x")),
		"dotdot":           tarOf(t, plain("lfs/objects/../../../"+oid, "x")),
		"absolute":         tarOf(t, plain("/"+name, "x")),
		"dot":              tarOf(t, plain("./"+name, "x")),
		"elsewhere":        tarOf(t, plain("hooks/post-checkout", "x")),
		"newline":          tarOf(t, plain(name+"\n", "x")),
		"long name":        tarOf(t, plain(long, "x")),
		"directory":        tarOf(t, entryOf{tar.Header{Name: "lfs/", Typeflag: tar.TypeDir}, ""}),
		"link":             tarOf(t, entryOf{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}),
		"hard link":        tarOf(t, entryOf{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: "config"}, ""}),
		"device":           tarOf(t, entryOf{tar.Header{Name: name, Typeflag: tar.TypeBlock}, ""}),
		"twice":            tarOf(t, plain(name, "x"), plain(name, "x")),
		"attributes":       tarOf(t, entryOf{tar.Header{Name: name, PAXRecords: map[string]string{"SCHILY.xattr.user.x": "1"}}, "x"}),
		"sparse":           sparse(t, name),
		"end is missing":   good[:1024],
		"half of the end":  good[:1536],
		"cut in a header":  good[:300],
		"cut in a file":    good[:512],
		"garbage behind":   append(bytes.Clone(good), 'x'),
		"archive behind":   append(bytes.Clone(good), tarOf(t, plain(lfsPath(other), "y"))...),
		"zeros for ever":   append(bytes.Clone(good), make([]byte, 2<<20)...),
		"changed checksum": append([]byte("m"), good[1:]...),
	} {
		if err := (Kind{}).Check(t.Context(), RoleLFS, bytes.NewReader(data)); !errors.Is(err, ErrDamaged) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: check: %v", title, err)
		}
		dir := newRepo(t)
		file := filepath.Join(t.TempDir(), "lfs.tar")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (Kind{}).Apply(t.Context(), dir, RoleLFS, file, io.Discard); err == nil {
			t.Errorf("%s: applied", title)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(dir), oid)); err == nil {
			t.Errorf("%s: it wrote outside", title)
		}
	}
	if err := (Kind{}).Check(t.Context(), RoleLFS, bytes.NewReader(append(good, make([]byte, 8192)...))); err != nil {
		t.Errorf("filled to a record: %v", err)
	}
	dir := newRepo(t)
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "lfs")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lfs.tar")
	if err := os.WriteFile(file, tarOf(t, plain(name, "x")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Kind{}).Apply(t.Context(), dir, RoleLFS, file, io.Discard); err == nil {
		t.Error("it followed a link out of the replica")
	}
}

// sparse is an archive whose file is a gigabyte of nothing, said in a few bytes.
func sparse(t testing.TB, name string) []byte {
	t.Helper()
	const mapOfNothing = 512
	data := tarOf(t, entryOf{tar.Header{Name: name, PAXRecords: map[string]string{
		"XXX.sparse.major": "1", "XXX.sparse.minor": "0", "XXX.sparse.realsize": "1073741824",
	}}, "0\n" + strings.Repeat("\x00", mapOfNothing-2)})
	return bytes.ReplaceAll(data, []byte("XXX.sparse"), []byte("GNU.sparse"))
}

func TestPointers(t *testing.T) {
	oid, good := pointerTo("content")
	for text, want := range map[string]bool{
		good: true,
		strings.Replace(good, "git-lfs.github.com", "hawser.github.com", 1): true,
		strings.Replace(good, "oid", "ext-0-foo sha256:aa\noid", 1):         true,
		strings.ReplaceAll(good, "\n", "\r\n"):                              true,
		strings.TrimSuffix(good, "\n"):                                      true,
		"":                                                                  false,
		"version https://git-lfs.github.com/spec/v1\n":                      false,
		strings.Replace(good, "spec/v1", "spec/v9", 1):                      false,
		strings.Replace(good, "sha256:", "md5:", 1):                         false,
		strings.Replace(good, "size 7", "size 0", 1):                        false,
		strings.Replace(good, "size 7", "size -1", 1):                       false,
		strings.Replace(good, oid, strings.ToUpper(oid), 1):                 false,
		strings.Replace(good, oid, "../../../etc/passwd", 1):                false,
		" " + good:                             false,
		good + strings.Repeat("x", maxPointer): false,
	} {
		if got, _, ok := parsePointer([]byte(text)); ok != want || ok && got != oid {
			t.Errorf("%q: %q %v", text, got, ok)
		}
	}
}

func FuzzCheckLFS(f *testing.F) {
	oid, _ := pointerTo("x")
	f.Add(tarOf(f, plain(lfsPath(oid), "x")))
	f.Add(tarOf(f))
	f.Add(sparse(f, lfsPath(oid)))
	f.Add(tarOf(f, entryOf{tar.Header{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, ""}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := (Kind{}).Check(t.Context(), RoleLFS, bytes.NewReader(data)); err != nil {
			return
		}
		dir := t.TempDir()
		file := filepath.Join(t.TempDir(), "lfs.tar")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (Kind{}).Apply(t.Context(), dir, RoleLFS, file, io.Discard); err != nil {
			t.Fatalf("checked, and then %v", err)
		}
	})
}

func FuzzCheckMirror(f *testing.F) {
	config, head, refs := plain("x.git/config", mirrorConfig("sha1", "")), plain("x.git/HEAD", "ref: refs/heads/main\n"), plain("x.git/packed-refs", packedHeader)
	f.Add(tarOf(f, config, head, refs))
	f.Add(tarOf(f, plain("x.git/config", mirrorConfig("sha256", "https://example.org/x")), head, refs))
	f.Add(tarOf(f, config, head, plain("x.git/packed-refs", packedHeader+strings.Repeat("a", 40)+" refs/tags/v\n^"+strings.Repeat("b", 40)+"\n")))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The archive is fuzzed, not the compression around it.
		m := &mirrorCheck{packs: map[string]string{}}
		if err := readTar(bytes.NewReader(data), m.entry); err == nil && m.whole() == nil && !mirrorTop.MatchString(m.top) {
			t.Fatalf("accepted a mirror in %q", m.top)
		}
	})
}
