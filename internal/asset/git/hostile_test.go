package git

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cut ends a stream after n bytes as a dying server does: with a clean EOF.
func cut(n int64) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader { return io.LimitReader(r, n) }
}

// counting tells how long the stream of the server is.
type counting struct {
	io.Reader
	n *int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// A stream that ends early must never become a backup, wherever it ends: at a packet
// boundary too, where it looks like a clean end.
func TestEveryCutIsDetected(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(8, 1))}
	w.grow("refs/heads/main", "", 12)
	git(t, w.dir, "tag", "-a", "-m", "one", "v1", "main~1")
	// The server never sends the same stream twice: its chunks come as they come. So one
	// is recorded, and cut.
	var said bytes.Buffer
	newShelf(t).must(Kind{wrap: func(r io.Reader) io.Reader { return io.TeeReader(r, &said) }}, w.dir, nil)
	total := int64(said.Len())
	offsets := []int64{0, 1, 3, 4, 5, total - 1, total - 3, total - 4, total - 5, total - 20, total - 24}
	rng := rand.New(rand.NewPCG(8, 2))
	for range 50 {
		offsets = append(offsets, rng.Int64N(total))
	}
	for _, n := range offsets {
		s := newShelf(t)
		part := func(io.Reader) io.Reader { return bytes.NewReader(said.Bytes()[:n]) }
		if p, err := s.capture(t.Context(), Kind{wrap: part}, w.dir, nil); err == nil || len(s.made) > 0 {
			t.Errorf("cut at %d of %d: %s, stored %d, %v", n, total, p.kind, len(s.made), err)
		}
	}
}

// Bytes that change on the way are found: by the trailing hash of the pack, or, where
// the byte belongs to the framing (packs and their chunks differ from run to run), as a
// broken stream.
func TestFlippedStreamIsDetected(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(9, 1))}
	w.grow("refs/heads/main", "", 12)
	var total int64
	newShelf(t).must(Kind{wrap: func(r io.Reader) io.Reader { return counting{r, &total} }}, w.dir, nil)
	for _, back := range []int64{6, 30, 100, 300} {
		at := total - back
		var pos int64
		flip := func(r io.Reader) io.Reader {
			return readerFunc(func(p []byte) (int, error) {
				n, err := r.Read(p)
				if i := at - pos; i >= 0 && i < int64(n) {
					p[i] ^= 4
				}
				pos += int64(n)
				return n, err
			})
		}
		s := newShelf(t)
		if _, err := s.capture(t.Context(), Kind{wrap: flip}, w.dir, nil); err == nil || len(s.made) > 0 {
			t.Errorf("flipped %d before the end: %v", back, err)
		}
	}
}

func TestCheckFindsDamage(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(10, 1))}
	w.grow("refs/heads/main", "", 5)
	p := newShelf(t).must(Kind{}, w.dir, nil)
	good, err := os.ReadFile(p.bundle)
	if err != nil {
		t.Fatal(err)
	}
	check := func(data []byte) error { return Kind{}.Check(t.Context(), Role, bytes.NewReader(data)) }
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for n := range len(good) {
		if err := check(good[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("truncated to %d of %d: %v", n, len(good), err)
		}
	}
	pack := bytes.Index(good, []byte("PACK"))
	for i := pack; i < len(good); i++ {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := check(bad); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit flipped at %d: %v", i, err)
		}
	}
	if err := check(append(bytes.Clone(good), 'x')); !errors.Is(err, ErrDamaged) {
		t.Errorf("garbage at the end: %v", err)
	}
}

// bundleOf makes a bundle with a header of its own and a whole, empty pack.
func bundleOf(header string) []byte { return append([]byte(header), emptyPack("sha1")...) }

func TestHostileBundles(t *testing.T) {
	oid := strings.Repeat("a", 40)
	dir := t.TempDir()
	for _, tt := range []struct{ name, header, says string }{
		{"no bundle", "hello\n", "signature"},
		{"future", "# v4 git bundle\n\n", "signature"},
		{"dotdot", "# v2 git bundle\n" + oid + " refs/heads/../../evil\n\n", "no valid name"},
		{"absolute", "# v2 git bundle\n" + oid + " /etc/passwd\n\n", "no valid name"},
		{"escape", "# v2 git bundle\n" + oid + " refs/heads/\x1b]0;x\n\n", `\x1b`},
		{"lock", "# v2 git bundle\n" + oid + " refs/heads/main.lock\n\n", "no valid name"},
		{"option", "# v2 git bundle\n" + oid + " --upload-pack=x\n\n", "no valid name"},
		{"twice", "# v2 git bundle\n" + oid + " refs/heads/a\n" + oid + " refs/heads/a\n\n", "twice"},
		{"other hash", "# v2 git bundle\n" + oid + strings.Repeat("b", 24) + " refs/heads/a\n\n", "sha1 object id"},
		{"sha1 in sha256", "# v3 git bundle\n@object-format=sha256\n" + oid + " refs/heads/a\n\n", "sha256 object id"},
		{"filter", "# v3 git bundle\n@filter=blob:none\n\n", "not known"},
		{"capability in v2", "# v2 git bundle\n@object-format=sha256\n\n", "where none may stand"},
		{"long line", "# v2 git bundle\n" + oid + " refs/heads/" + strings.Repeat("x", 300<<10) + "\n\n", "longer than"},
		{"missing prerequisite", "# v2 git bundle\n-" + oid + " \n" + oid + " refs/heads/a\n\n", "builds on commit"},
		{"missing object", "# v2 git bundle\n" + oid + " refs/heads/a\n\n", "git fetch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, "b.bundle")
			if err := os.WriteFile(file, bundleOf(tt.header), 0o600); err != nil {
				t.Fatal(err)
			}
			replica := filepath.Join(t.TempDir(), "r.git")
			err := Kind{}.Apply(t.Context(), replica, Role, file, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("apply: %v", err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("the error is not printable: %q", err)
			}
		})
	}
}

// A large repository is no reason to refuse.
func TestManyRefs(t *testing.T) {
	var b strings.Builder
	b.WriteString("# v2 git bundle\n")
	for i := range 100_000 {
		fmt.Fprintf(&b, "%040x refs/heads/b%06d\n", i+1, i)
	}
	b.WriteString("\n")
	if err := (Kind{}).Check(t.Context(), Role, bytes.NewReader(bundleOf(b.String()))); err != nil {
		t.Error(err)
	}
}

// A server that says nothing ends the capture by itself, in each phase.
func TestStalledServer(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(11, 1))}
	w.grow("refs/heads/main", "", 3)
	bin := t.TempDir()
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for name, script := range map[string]string{
		"silent":         "exec sleep 600",
		"after the refs": `eval "$last" | { head -c 200; exec sleep 600; }`,
	} {
		fake := "#!/bin/sh\nfor last; do :; done\nPATH=" + git(t, "", "--exec-path") + ":$PATH\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(fake), 0o700); err != nil {
			t.Fatal(err)
		}
		s := newShelf(t)
		_, err := s.capture(t.Context(), Kind{Idle: 150 * time.Millisecond}, "backup@host:"+w.dir, nil)
		if !errors.Is(err, ErrStalled) || len(s.made) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ssh runs git-upload-pack on the host, with the path as one word.
func TestOverSSH(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's; touch pwned.git")
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(12, 1))}
	w.grow("refs/heads/main", "", 3)
	if err := os.Rename(w.dir, dir); err != nil {
		t.Fatal(err)
	}
	w.dir = dir
	bin := t.TempDir()
	fake := "#!/bin/sh\nprintf '%s\\n' \"$@\" > " + bin + "/args\nfor last; do :; done\nPATH=" +
		git(t, "", "--exec-path") + ":$PATH\neval \"$last\"\n"
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	s := newShelf(t)
	first := s.must(Kind{}, "ssh://me@host:2222"+strings.ReplaceAll(dir, " ", "%20"), nil)
	args, err := os.ReadFile(filepath.Join(bin, "args"))
	if err != nil || !strings.HasPrefix(string(args), "-oBatchMode=yes\n-p\n2222\n--\nme@host\ngit-upload-pack '") {
		t.Errorf("ssh was called with %q, %v", args, err)
	}
	w.grow("refs/heads/main", "refs/heads/main^0", 1)
	if p := s.must(Kind{}, "me@host:"+dir, first.facts); p.kind != Incremental {
		t.Errorf("second: %s", p.kind)
	}
}

// Over https the same points are made, by a real git http-backend.
func TestOverHTTPS(t *testing.T) {
	backend := filepath.Join(git(t, "", "--exec-path"), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		t.Skip("git http-backend is not installed")
	}
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(13, 1))}
	server := httptest.NewTLSServer(&cgi.Handler{
		Path: backend, Dir: filepath.Dir(w.dir),
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(w.dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
		Stderr: io.Discard,
	})
	defer server.Close()
	k := Kind{HTTP: server.Client()}
	url := server.URL + "/" + filepath.Base(w.dir)
	s := newShelf(t)
	if p := s.must(k, url, nil); p.kind != Empty {
		t.Fatalf("no refs: %s", p.kind)
	}
	w.grow("refs/heads/main", "", 5)
	git(t, w.dir, "tag", "-a", "-m", "one", "v1", "main~1")
	replica := filepath.Join(t.TempDir(), "r.git")
	var parent []byte
	for _, want := range []string{Full, Incremental, Incremental, Unchanged} {
		p := s.must(k, url, parent)
		if p.kind != want {
			t.Fatalf("got %s, want %s", p.kind, want)
		}
		if p.bundle != "" {
			if err := k.Apply(t.Context(), replica, Role, p.bundle, io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := k.Prove(t.Context(), replica, p.facts, true, io.Discard); err != nil {
			t.Fatal(err)
		}
		switch parent = p.facts; {
		case len(s.made) == 1:
			w.grow("refs/heads/main", "refs/heads/main^0", 2)
		case len(s.made) == 2:
			git(t, w.dir, "update-ref", "-d", "refs/tags/v1")
		}
	}
	for _, n := range []int64{0, 10, 400} {
		s := newShelf(t)
		k := Kind{HTTP: server.Client(), wrap: cut(n)}
		if _, err := s.capture(t.Context(), k, url, nil); err == nil || len(s.made) > 0 {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// Prove must see every kind of difference.
func TestProveSeesDifferences(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(14, 1))}
	w.grow("refs/heads/main", "", 4)
	git(t, w.dir, "tag", "-a", "-m", "one", "v1", "main~1")
	p := newShelf(t).must(Kind{}, w.dir, nil)
	for name, spoil := range map[string]func(dir string){
		"moved":   func(dir string) { git(t, dir, "update-ref", "refs/heads/main", "refs/heads/main~1") },
		"missing": func(dir string) { git(t, dir, "update-ref", "-d", "refs/tags/v1") },
		"extra":   func(dir string) { git(t, dir, "update-ref", "refs/heads/extra", "refs/heads/main") },
		"broken": func(dir string) {
			packs, err := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
			if err != nil || len(packs) != 1 {
				t.Fatal(packs, err)
			}
			flipByte(t, packs[0], 200)
		},
	} {
		dir := filepath.Join(t.TempDir(), "r.git")
		if err := (Kind{}).Apply(t.Context(), dir, Role, p.bundle, io.Discard); err != nil {
			t.Fatal(err)
		}
		spoil(dir)
		if _, err := (Kind{}).Prove(t.Context(), dir, p.facts, true, io.Discard); !errors.Is(err, ErrUnequal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func flipByte(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0xff
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFsckNamesWhatIsBroken(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(15, 1))}
	w.grow("refs/heads/main", "", 4)
	git(t, w.dir, "config", "core.fsmonitor", "touch "+w.dir+"/pwned")
	blob := gitIn(t, w.dir, "precious\n", "hash-object", "-w", "--stdin")
	tree := gitIn(t, w.dir, "100644 blob "+blob+"\tkeep.txt\n", "mktree")
	commit := git(t, w.dir, "commit-tree", "-m", "loose", tree)
	w.set("refs/heads/loose", commit)
	report, err := Fsck(t.Context(), w.dir, nil)
	if err != nil || report.Err() != nil {
		t.Fatalf("sound repository: %v %+v", err, report)
	}
	loose := filepath.Join("objects", blob[:2], blob[2:])
	flipByte(t, filepath.Join(w.dir, loose), 6)
	report, err = Fsck(t.Context(), w.dir, nil)
	if err != nil || report.Count == 0 || fmt.Sprint(report.Objects()) != "["+blob+"]" ||
		len(report.Paths()) == 0 || !strings.HasSuffix(report.Paths()[0], loose) {
		t.Errorf("flipped byte: %v %+v", err, report)
	}
	if err := os.Remove(filepath.Join(w.dir, loose)); err != nil {
		t.Fatal(err)
	}
	report, err = Fsck(t.Context(), w.dir, nil)
	if err != nil || fmt.Sprint(report.Objects()) != "["+blob+"]" {
		t.Errorf("missing object: %v %+v", err, report)
	}
	if _, err := Fsck(t.Context(), t.TempDir(), nil); !errors.Is(err, ErrNotRepository) {
		t.Errorf("plain directory: %v", err)
	}
	if _, err := os.Stat(w.dir + "/pwned"); err == nil {
		t.Error("a program of the repository's configuration ran")
	}
}

func FuzzReadHeader(f *testing.F) {
	oid := strings.Repeat("a", 40)
	for _, seed := range []string{
		"", "\n", "# v2 git bundle\n", "# v2 git bundle\n\n", "# v2 git bundle\n-" + oid + " x\n" + oid + " refs/heads/a\n\n",
		"# v3 git bundle\n@object-format=sha256\n\n", "# v2 git bundle\n" + oid + " HEAD\n\nPACK", "# v2 git bundle\n-\n", "# v2 git bundle\n \n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readHeader(bufio.NewReaderSize(bytes.NewReader(data), 256<<10))
		if err != nil || h.Version != 2 {
			return
		}
		var b bytes.Buffer
		if err := h.write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := readHeader(bufio.NewReaderSize(&b, 256<<10))
		if err != nil || len(again.Refs) != len(h.Refs) || again.Head != h.Head || len(again.Prereqs) != len(h.Prereqs) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
