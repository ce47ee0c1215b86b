package git

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"lifeboat/internal/command"
)

// mirrored lists the branches and tags of a repository, as the property of a relay.
func mirrored(t testing.TB, dir string) string {
	t.Helper()
	return git(t, dir, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
}

// intact fails when the mirror has damaged or missing objects.
func intact(t testing.TB, dir string) {
	t.Helper()
	git(t, dir, "fsck", "--full", "--strict", "--no-dangling")
}

// upset changes the source in one of the ways that matter to a mirror. The branch
// "stays" is never touched, so that the source is never without branches.
func upset(w *world) {
	var heads []string
	for _, name := range w.refs("refs/heads") {
		if name != "refs/heads/stays" {
			heads = append(heads, name)
		}
	}
	if len(heads) == 0 {
		w.grow("refs/heads/main", "", 2)
		return
	}
	remove := func(name string) { gitIn(w.t, w.dir, "delete "+name+"\x00\x00", "update-ref", "-z", "--stdin") }
	some := w.pick(heads)
	switch w.rng.IntN(11) {
	case 0, 1:
		w.grow(some, some+"^0", 1+w.rng.IntN(4))
	case 2: // rewound and grown again
		w.grow("refs/heads/side", some+"^0", 2)
		w.set(some, w.resolve("refs/heads/side~1"))
		w.grow(some, some+"^0", 1)
	case 3:
		remove(some)
	case 4:
		w.grow(fmt.Sprint("refs/heads/orphan", w.n), "", 1)
	case 5:
		w.set(fmt.Sprint("refs/tags/light", w.rng.IntN(3)), w.resolve(some))
	case 6:
		git(w.t, w.dir, "tag", "-f", "-a", "-m", fmt.Sprint("tag ", w.n), fmt.Sprint("note", w.rng.IntN(3)), w.resolve(some))
	case 7:
		w.set("refs/tags/blob", gitIn(w.t, w.dir, fmt.Sprint("blob ", w.rng.Uint64()), "hash-object", "-w", "--stdin"))
	case 8:
		w.set([]string{
			"refs/heads/-x", "refs/heads/grün/日本", "refs/heads/a'b\"c$(d)", "refs/heads/latin-\xe9t\xe9", "refs/notes/commits",
		}[w.rng.IntN(5)], w.resolve(some))
	case 9: // a name becomes a directory, or a directory a name
		oid := w.resolve(some)
		if under := w.refs("refs/heads/d/"); len(under) > 0 {
			for _, name := range under {
				remove(name)
			}
			w.set("refs/heads/d", oid)
			return
		}
		if strings.Contains("\n"+strings.Join(heads, "\n")+"\n", "\nrefs/heads/d\n") {
			remove("refs/heads/d")
		}
		w.set("refs/heads/d/e/f", oid)
	case 10:
		w.set("refs/pull/7/head", w.resolve(some))
	}
}

// judged fails when a plan is wrong about what happens to a ref. The source still has
// all the objects of the past here, so git can tell.
func judged(t testing.TB, source string, ref RelayRef) {
	t.Helper()
	want := Forced
	switch {
	case ref.Old == "":
		want = Created
	case ref.New == "":
		want = Deleted
	case strings.HasPrefix(ref.Name, "refs/heads/"):
		if _, err := command.Run(t.Context(), command.Git(source, "merge-base", "--is-ancestor", ref.Old, ref.New)); err == nil {
			want = Updated
		}
	}
	if ref.Status != want || ref.Own {
		t.Errorf("%+v, want %s", ref, want)
	}
}

// A mirror of any history, kept up by one relay after each change, has the branches and
// tags of its source, whole.
func TestRelayRandomHistories(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(seed, 21))}
			w.grow("refs/heads/main", "", 3)
			w.grow("refs/heads/stays", "", 1)
			mirror := filepath.Join(t.TempDir(), "mirror.git")
			git(t, "", "init", "--quiet", "--bare", "--template=", mirror)
			git(t, mirror, "config", "receive.denyDeleteCurrent", "ignore")
			for step := range 6 {
				for range 1 + w.rng.IntN(4) {
					upset(w)
				}
				before, err := RelayPlan(t.Context(), w.dir, mirror, RelayOptions{Prune: true, MaxShare: 100})
				if err != nil {
					t.Fatal(err)
				}
				for _, ref := range before.Refs {
					judged(t, w.dir, ref)
				}
				rep, err := Relay(t.Context(), w.dir, mirror, RelayOptions{Prune: true, MaxShare: 100})
				if err != nil || !rep.Equal {
					t.Fatalf("step %d: %+v %v", step, rep, err)
				}
				if got, want := mirrored(t, mirror), mirrored(t, w.dir); got != want {
					t.Fatalf("step %d: mirror %s\nsource %s\n%+v", step, got, want, rep)
				}
				again, err := Relay(t.Context(), w.dir, mirror, RelayOptions{Prune: true})
				if err != nil || again.Pushes != 0 || again.Bytes != 0 || len(again.Refs) != 0 || !again.Equal {
					t.Fatalf("step %d, again: %+v %v", step, again, err)
				}
			}
			intact(t, mirror)
			if refs := git(t, mirror, "for-each-ref", "--format=%(refname)"); strings.Contains(refs, "refs/notes") || strings.Contains(refs, "refs/pull") {
				t.Errorf("more than branches and tags: %s", refs)
			}
		})
	}
}

func importFrom(t testing.TB, dir string, in io.Reader) {
	t.Helper()
	c := command.Git(dir, "fast-import", "--quiet")
	c.Stdin = in
	if _, err := command.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func newScan(data []byte) *stream { return &stream{scan: pktline.NewScanner(bytes.NewReader(data))} }

// A large pack streams through: what this process holds does not grow with it.
func TestRelayMemoryIsFlat(t *testing.T) {
	f := newForge(t)
	source, sourceDir := f.repo("source.git")
	mirror, mirrorDir := f.repo("mirror.git")
	git(t, sourceDir, "config", "core.compression", "0")
	const size = 12 << 20
	noise := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{7})
	rng.Read(noise)
	in := io.MultiReader(strings.NewReader(fmt.Sprintf("commit refs/heads/main\ncommitter C <c@example.org> 1700000000 +0000\ndata 0\nM 100644 inline noise\ndata %d\n", size)),
		bytes.NewReader(noise), strings.NewReader("\n"))
	importFrom(t, sourceDir, in)
	noise = nil
	highest := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, peak, told := highest(), uint64(0), int64(0)
	rep, err := Relay(t.Context(), source, mirror, RelayOptions{HTTP: f.server.Client(), Progress: func(done, _ int64, _ string) {
		told = done
		peak = max(peak, highest())
	}})
	if err != nil || rep.Bytes < size || told != rep.Bytes || mirrored(t, mirrorDir) != mirrored(t, sourceDir) {
		t.Fatalf("%v %+v", err, rep)
	}
	if peak > before+size/3 {
		t.Errorf("the heap grew from %d to %d bytes while %d were relayed", before, peak, rep.Bytes)
	}
}

func FuzzReadVerdicts(f *testing.F) {
	f.Add([]byte("000eunpack ok\n0019ok refs/heads/main\n0000"))
	f.Add([]byte("000eunpack ok\n0023ng refs/heads/main \x1b[31mno way\n0000"))
	f.Add([]byte("0021unpack index-pack abnormal exit0000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newScan(data)
		v, err := readVerdicts(s.packet, 3)
		if err == nil && !bytes.Contains(data, []byte("0000")) && !bytes.Contains(data, []byte("0004")) {
			t.Error("a report without an end is taken")
		}
		for _, why := range v.refs {
			if strings.ContainsAny(why, "\x1b\r\n") {
				t.Errorf("%q could reach a terminal", why)
			}
		}
		if len(v.refs) > 3 {
			t.Error("more refs than were pushed")
		}
	})
}
