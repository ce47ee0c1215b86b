package git

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/durable"
)

// untar unpacks with the stock program and gives the one directory that came out.
func untar(t testing.TB, archive string) string {
	t.Helper()
	if _, err := command.Look("tar"); err != nil {
		t.Skip("tar is not installed")
	}
	dir := t.TempDir()
	res, err := command.Run(t.Context(), command.Cmd{Argv: []string{"tar", "-xzf", archive, "-C", dir}})
	if err != nil || len(res.Stderr) > 0 {
		t.Fatalf("tar -xzf: %v, it says %q", err, res.Stderr)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the archive holds %v, %v", entries, err)
	}
	return filepath.Join(dir, entries[0].Name())
}

func checkFile(t testing.TB, role, path string) error {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return Kind{}.Check(t.Context(), role, f)
}

// The mirror of every kind of point is a repository for anyone who has tar and git, equal
// to the source, and the point beside it is what it would have been without.
func TestMirrorIsTheRepository(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			w := &world{t: t, dir: newRepo(t, "--object-format="+format), rng: rand.New(rand.NewPCG(31, 1))}
			git(t, w.dir, "config", "remote.origin.url", "https://user:hunter2@example.org/x.git")
			git(t, w.dir, "config", "core.sshCommand", "touch pwned")
			s := newShelf(t)
			scratch := t.TempDir()
			k := Kind{Mirror: true, Scratch: scratch}
			var parent []byte
			for _, step := range []struct {
				want   string
				change func()
			}{
				{Empty, func() {}},
				{Full, func() {
					w.grow("refs/heads/main", "", 8)
					w.annotate("v1", w.resolve("refs/heads/main~1"))
					w.annotate("v1-again", w.resolve("refs/tags/v1"))
					w.set("refs/tags/tree", w.resolve("refs/heads/main^{tree}"))
					w.set("refs/pull/1/head", w.resolve("refs/heads/main"))
					for _, name := range oddNames {
						w.set(name, w.resolve("refs/heads/main~2"))
					}
				}},
				{Unchanged, func() {}},
				{Incremental, func() { w.grow("refs/heads/main", "refs/heads/main^0", 2); w.drop("refs/tags/v1") }},
				{Incremental, func() { changes["detach HEAD"](w, "refs/heads/main") }},
			} {
				step.change()
				p := s.must(k, w.dir, parent)
				if p.kind != step.want || p.mirror == "" {
					t.Fatalf("made a %s point with mirror %q, want %s", p.kind, p.mirror, step.want)
				}
				if err := checkFile(t, RoleMirror, p.mirror); err != nil {
					t.Fatal(err)
				}
				repo := untar(t, p.mirror)
				if filepath.Base(repo) != "source.git" {
					t.Errorf("the directory is %q", repo)
				}
				if got, want := state(t, repo), state(t, w.dir); got != want {
					t.Fatalf("mirror %s\nsource %s", got, want)
				}
				if r, err := Fsck(t.Context(), repo, nil); err != nil || r.Err() != nil || r.Warnings > 0 {
					t.Fatalf("fsck: %v %+v", err, r)
				}
				config, err := os.ReadFile(filepath.Join(repo, "config"))
				if err != nil || strings.Contains(string(config), "hunter2") || strings.Contains(string(config), "pwned") {
					t.Errorf("config %s, %v", config, err)
				}
				f, err := ParseFacts(p.facts)
				if err != nil || f.Mirror == nil || f.Mirror.Files < 3 || f.Mirror.Bytes == 0 {
					t.Errorf("facts %+v, %v", f.Mirror, err)
				}
				if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
					t.Fatalf("left behind: %v, %v", left, err)
				}
				if step.want != Empty {
					parent = p.facts
				}
			}
		})
	}
}

// What is compressed already is stored as it is, with an owner and a time that are the
// same everywhere.
func TestMirrorStoresPacks(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(32, 1))}
	w.grow("refs/heads/main", "", 20)
	p := newShelf(t).must(Kind{Mirror: true, Scratch: t.TempDir()}, w.dir, nil)
	archive, err := os.ReadFile(p.mirror)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := os.ReadFile(p.bundle)
	if err != nil {
		t.Fatal(err)
	}
	pack := bundle[bytes.Index(bundle, []byte("PACK")):]
	if len(pack) > 60_000 || !bytes.Contains(archive, pack) {
		t.Errorf("the pack of %d bytes is not in the archive as it is", len(pack))
	}
	if members := bytes.Count(archive, []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00")); members < 8 {
		t.Errorf("%d gzip members", members)
	}
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(zr)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF && n > 8 {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(epoch) || h.Mode&^0o755 != 0 {
			t.Errorf("%s: %+v", h.Name, h)
		}
	}
}

// No byte of a mirror can be lost or changed unseen. Bytes of a gzip header that mean
// nothing may change, and then nothing changes.
func TestMirrorDamageIsFound(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(33, 1))}
	w.grow("refs/heads/main", "", 2)
	p := newShelf(t).must(Kind{Mirror: true, Scratch: t.TempDir()}, w.dir, nil)
	good, err := os.ReadFile(p.mirror)
	if err != nil {
		t.Fatal(err)
	}
	unzip := func(data []byte) string {
		zr, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return err.Error()
		}
		out, err := io.ReadAll(zr)
		return fmt.Sprint(string(out), err)
	}
	check := func(data []byte) error { return Kind{}.Check(t.Context(), RoleMirror, bytes.NewReader(data)) }
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for n := range len(good) {
		if err := check(good[:n]); err == nil || n > 0 && !errors.Is(err, ErrDamaged) {
			t.Fatalf("truncated to %d of %d: %v", n, len(good), err)
		}
	}
	content := unzip(good)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 4
		if err := check(bad); !errors.Is(err, ErrDamaged) && (err != nil || unzip(bad) != content) {
			t.Fatalf("bit flipped at %d: %v", i, err)
		}
	}
	if err := check(append(bytes.Clone(good), "garbage"...)); !errors.Is(err, ErrDamaged) {
		t.Errorf("garbage at the end: %v", err)
	}
}

// entryOf is one entry of an archive that somebody else made.
type entryOf struct {
	tar.Header
	content string
}

func tarOf(t testing.TB, entries ...entryOf) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(e.content))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	if _, err := zw.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func plain(name, content string) entryOf { return entryOf{tar.Header{Name: name}, content} }

func TestHostileMirrors(t *testing.T) {
	oid := strings.Repeat("a", 40)
	config, head, refs := plain("x.git/config", mirrorConfig("sha1", "")), plain("x.git/HEAD", "ref: refs/heads/main\n"), plain("x.git/packed-refs", packedHeader)
	if err := (Kind{}).Check(t.Context(), RoleMirror, bytes.NewReader(gzipped(t, tarOf(t, config, head, refs)))); err != nil {
		t.Fatalf("the smallest sound mirror: %v", err)
	}
	for name, entries := range map[string][]entryOf{
		"nothing":           {},
		"no refs":           {config, head},
		"no config":         {head, refs},
		"refs without pack": {config, head, plain("x.git/packed-refs", packedHeader+oid+" refs/heads/main\n")},
		"hook":              {config, head, refs, plain("x.git/hooks/post-checkout", "#!/bin/sh\n")},
		"alternates":        {config, head, refs, plain("x.git/objects/info/alternates", "/etc\n")},
		"loose ref":         {config, head, refs, plain("x.git/refs/heads/main", oid+"\n")},
		"program":           {plain("x.git/config", mirrorConfig("sha1", "")+"[core]\n\tfsmonitor = touch x\n"), head, refs},
		"include":           {plain("x.git/config", strings.Replace(mirrorConfig("sha1", ""), "[core]", "[include]\n\tpath = /x\n[core]", 1)), head, refs},
		"credentials": {plain("x.git/config", strings.Replace(mirrorConfig("sha1", "https://example.org/x"),
			"https://", "https://user:pw@", 1)), head, refs},
		"token in query": {plain("x.git/config", strings.Replace(mirrorConfig("sha1", "https://example.org/x"),
			"/x", "/x?token=1", 1)), head, refs},
		"other scheme": {plain("x.git/config", strings.Replace(mirrorConfig("sha1", "https://example.org/x"),
			"https://", "ext::sh://", 1)), head, refs},
		"HEAD elsewhere":       {config, plain("x.git/HEAD", "ref: ../../etc/passwd\n"), refs},
		"escape in ref":        {config, head, plain("x.git/packed-refs", packedHeader+oid+" refs/heads/\x1b[2J\n")},
		"refs unsorted":        {config, head, plain("x.git/packed-refs", packedHeader+oid+" refs/heads/b\n"+oid+" refs/heads/a\n")},
		"peeled twice":         {config, head, plain("x.git/packed-refs", packedHeader+oid+" refs/tags/b\n^"+oid+"\n^"+oid+"\n")},
		"dotdot":               {config, head, refs, plain("x.git/../../y", "")},
		"absolute":             {config, head, refs, plain("/etc/passwd", "")},
		"other top":            {config, head, refs, plain("y.git/HEAD", "ref: refs/heads/main\n")},
		"symbolic link":        {config, head, refs, {tar.Header{Name: "x.git/lfs", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, ""}},
		"hard link":            {config, head, refs, {tar.Header{Name: "x.git/objects/pack/pack-" + oid + ".pack", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, ""}},
		"device":               {config, head, refs, {tar.Header{Name: "x.git/objects", Typeflag: tar.TypeChar}, ""}},
		"pipe":                 {config, head, refs, {tar.Header{Name: "x.git/objects", Typeflag: tar.TypeFifo}, ""}},
		"setuid":               {config, {tar.Header{Name: "x.git/HEAD", Mode: 0o4755}, "ref: refs/heads/main\n"}, refs},
		"twice":                {config, head, head, refs},
		"name from attributes": {config, head, refs, {tar.Header{Name: "x.git/objects/", Typeflag: tar.TypeDir, PAXRecords: map[string]string{"SCHILY.xattr.user.x": "1"}}, ""}},
		"bad pack":             {config, head, refs, plain("x.git/objects/pack/pack-"+oid+".pack", "PACK")},
		"pack of another name": {config, head, refs, plain("x.git/objects/pack/pack-"+oid+".pack", string(emptyPack("sha1")))},
		"pack without index":   {config, head, refs, plain("x.git/objects/pack/pack-029d08823bd8a8eab510ad6ac75c823cfd3ed31e.pack", string(emptyPack("sha1")))},
		"bad index":            {config, head, refs, plain("x.git/objects/pack/pack-"+oid+".idx", "\xfftOc")},
		"LFS of another hash":  {config, head, refs, plain("x.git/"+lfsPath(strings.Repeat("b", 64)), "x")},
	} {
		err := Kind{}.Check(t.Context(), RoleMirror, bytes.NewReader(gzipped(t, tarOf(t, entries...))))
		if !errors.Is(err, ErrDamaged) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A source that moves between the two answers of its server is copied once more, and
// where it does so again, the error says so.
func TestSourceThatMovesMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		cuts int
		want string
	}{{1, ""}, {2, "moved twice"}} {
		w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(34, 1))}
		w.grow("refs/heads/main", "", 9)
		sessions, cuts := 0, 0
		k := Kind{Mirror: true, Scratch: t.TempDir(), wrap: func(r io.Reader) io.Reader {
			if sessions++; sessions%2 == 0 || cuts == tt.cuts { // every second only looks
				return r
			}
			cuts++
			moved := false
			return io.MultiReader(io.LimitReader(r, 900), readerFunc(func([]byte) (int, error) {
				if !moved {
					w.grow("refs/heads/main", "refs/heads/main^0", 1)
					moved = true
				}
				return 0, io.EOF
			}))
		}}
		s := newShelf(t)
		p, err := s.capture(t.Context(), k, w.dir, nil)
		if cuts != tt.cuts {
			t.Errorf("%d sessions were cut, want %d", cuts, tt.cuts)
		}
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(s.made) > 0 {
				t.Errorf("%v, stored %d", err, len(s.made))
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, want := state(t, untar(t, p.mirror)), state(t, w.dir); got != want {
			t.Errorf("mirror %s\nsource %s", got, want)
		}
	}
}

// Whatever goes wrong, the copy is removed and nothing counts.
func TestStillIsBoundedAndRemoved(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(35, 1))}
	w.grow("refs/heads/main", "", 9)
	refused := errors.New("the bucket says no")
	for name, tt := range map[string]struct {
		k    Kind
		fail string
		is   error
	}{
		"too large":     {Kind{ScratchLimit: 500}, "", ErrNoRoom},
		"cut":           {Kind{wrap: cut(1500)}, "", io.ErrUnexpectedEOF},
		"bundle fails":  {Kind{}, FileName, refused},
		"mirror fails":  {Kind{}, FileNameMirror, refused},
		"no such place": {Kind{Scratch: "absent"}, "", os.ErrNotExist},
	} {
		k := tt.k
		k.Mirror, k.Scratch = true, filepath.Join(t.TempDir(), k.Scratch)
		s := newShelf(t)
		s.fail = func(name string) error {
			if name == tt.fail {
				return refused
			}
			return nil
		}
		if _, err := s.capture(t.Context(), k, w.dir, nil); !errors.Is(err, tt.is) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(k.Scratch); err == nil && len(left) > 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
}

// What a killed process left is removed by the next, but not what is in use.
func TestOldStillsAreRemoved(t *testing.T) {
	base := t.TempDir()
	made := map[string]string{}
	for _, name := range []string{"old", "young", "used"} {
		dir := filepath.Join(base, stillPrefix+name)
		if err := os.MkdirAll(filepath.Join(dir, "repo.git", "objects"), 0o700); err != nil {
			t.Fatal(err)
		}
		made[name] = dir
	}
	lock, err := durable.Lock(filepath.Join(made["used"], "lock"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	past := time.Now().Add(-2 * staleAfter)
	for _, name := range []string{"old", "used"} {
		if err := os.Chtimes(made[name], past, past); err != nil {
			t.Fatal(err)
		}
	}
	s, err := newStill(base)
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	for name, dir := range made {
		if _, err := os.Stat(dir); (err == nil) == (name == "old") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMirrorNamesItsSource(t *testing.T) {
	for source, want := range map[string]string{
		"/srv/git/mono repo.git":                 "mono-repo",
		"/home/me/clone/.git":                    "clone",
		"https://me:token@host/team/app.git/":    "app",
		"https://me:token@host/team/app?token=1": "app",
		"git@host:team/app.git":                  "app",
		"ssh://git@host/../..":                   "repository",
		"https://host/":                          "repository",
	} {
		src, err := ParseSource(source)
		if err != nil {
			t.Fatal(err)
		}
		if got := src.name(); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
	for source, want := range map[string]string{
		"https://me:token@host:8443/team/app.git?a=b#c": "https://host:8443/team/app.git",
		"https://token@host/a%20b":                      "https://host/a%20b",
		"https://host/a\"\n[core]":                      "",
		"git@host:x":                                    "",
		"":                                              "",
	} {
		if got := publicAddress(source); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}
