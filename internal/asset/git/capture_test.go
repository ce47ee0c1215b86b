package git

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/command"
)

// Any history, captured as a full point, increments and roll-ups, must come back as it was
// at each of them: through Apply, and at the end through the script with stock programs.
// Run it with -rapid.seed to see one again; it ends after its budget of time.
func TestRandomHistories(t *testing.T) {
	const budget = 6 * time.Second
	began, failed := time.Now(), false
	happened := map[string]int{}
	all := slices.Sorted(maps.Keys(changes))
	rapid.Check(t, func(rt *rapid.T) {
		if time.Since(began) > budget && !failed {
			return
		}
		passed := false
		defer func() { failed = failed || !passed }() // the search for a smaller one has no budget
		tl := &timeline{rt: rt, s: newShelf(t), w: &world{
			t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 7)),
		}}
		if rapid.Bool().Draw(rt, "empty at first") {
			tl.capture(false)
		}
		left := rapid.Permutation(all).Draw(rt, "changes")
		for len(left) > 0 {
			n := min(len(left), rapid.IntRange(1, 6).Draw(rt, "before the next capture"))
			for _, name := range left[:n] {
				tl.w.change(name)
				happened[name]++
			}
			left = left[n:]
			happened[tl.capture(rapid.IntRange(0, 4).Draw(rt, "roll up") == 0)]++
		}
		restored := runScript(t, Kind{}, tl.chain, tl.parent)
		if got, want := state(t, restored), state(t, tl.w.dir); got != want {
			rt.Fatalf("restore.sh: %s\nsource %s", got, want)
		}
		passed = true
	})
	for _, name := range append(all, Full, Incremental) {
		if happened[name] == 0 && !t.Failed() {
			t.Errorf("%q never happened", name)
		}
	}
}

// timeline is a chain of points of one world, and a replica that follows it.
type timeline struct {
	rt      *rapid.T
	s       *shelf
	w       *world
	parent  []byte
	chain   []item
	replica string

	full      []byte // the last full point, what a roll-up builds on
	fullChain []item
}

// capture makes the next point, or one that replaces all since the full one, and compares.
func (tl *timeline) capture(rollUp bool) string {
	t, k := tl.w.t, Kind{}
	if rollUp && tl.full != nil {
		tl.parent, tl.chain = tl.full, tl.fullChain
		tl.replica = filepath.Join(t.TempDir(), "replica.git")
		tl.apply(tl.chain)
	}
	p := tl.s.must(k, tl.w.dir, tl.parent)
	if p.kind == Full || p.kind == Empty {
		tl.chain, tl.replica = nil, filepath.Join(t.TempDir(), "replica.git")
		tl.full, tl.fullChain = nil, nil
	}
	if p.bundle != "" {
		verifyWithGit(t, p, tl.replica)
	}
	tl.apply(p.chain)
	tl.chain, tl.parent = append(slices.Clone(tl.chain), p.chain...), p.facts
	if p.kind == Full {
		tl.full, tl.fullChain = p.facts, tl.chain
	}
	if _, err := k.Prove(t.Context(), tl.replica, p.facts, rollUp, io.Discard); err != nil {
		tl.rt.Fatalf("%s: %v", p.kind, err)
	}
	if got, want := state(t, tl.replica), state(t, tl.w.dir); got != want {
		tl.rt.Fatalf("%s: replica %s\nsource %s", p.kind, got, want)
	}
	return p.kind
}

func (tl *timeline) apply(chain []item) {
	for _, o := range chain {
		if err := (Kind{}).Apply(tl.w.t.Context(), tl.replica, o.role, o.path, io.Discard); err != nil {
			tl.rt.Fatalf("apply %s: %v", o.role, err)
		}
	}
}

// verifyWithGit lets stock git judge a bundle: its own verify, our Check, and a clone
// of a full one.
func verifyWithGit(t testing.TB, p point, replica string) {
	t.Helper()
	f, err := os.Open(p.bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (Kind{}).Check(t.Context(), Role, f); err != nil {
		t.Fatal(err)
	}
	if p.kind == Full {
		clone := filepath.Join(t.TempDir(), "clone.git")
		git(t, "", "clone", "--quiet", "--mirror", "--template=", p.bundle, clone)
		return
	}
	git(t, replica, "bundle", "verify", "--quiet", p.bundle)
}

// runScript restores with a plain sh and a PATH of stock programs.
func runScript(t testing.TB, k Kind, chain []item, facts []byte) string {
	t.Helper()
	out, err := tryScript(t, k, chain, facts)
	if err != nil {
		t.Fatalf("restore.sh: %v", err)
	}
	return out
}

func tryScript(t testing.TB, k Kind, chain []item, facts []byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in put"), filepath.Join(dir, "out put")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	var names, roles []string
	for i, o := range chain {
		name := fmt.Sprintf("%d-it's.%s", i, o.role)
		if err := os.Link(o.path, filepath.Join(in, name)); err != nil {
			t.Fatal(err)
		}
		names, roles = append(names, name), append(roles, o.role)
	}
	_, err := command.Run(t.Context(), command.Cmd{
		Argv: []string{"sh", "-c", "set -eu\n" + k.Script(names, roles, facts)},
		Env:  map[string]string{"IN": in, "OUT": out, "HOME": dir},
	})
	return out, err
}

func TestCaptureKinds(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(1, 1))}
	s := newShelf(t)
	empty := s.must(Kind{}, w.dir, nil)
	if f, err := ParseFacts(empty.facts); err != nil || empty.kind != Empty || empty.bundle != "" || f.Head != "refs/heads/main" {
		t.Fatalf("empty repository: %+v %v", empty, err)
	}
	w.grow("refs/heads/main", "", 3)
	w.grow("refs/heads/old", "refs/heads/main~1", 2)
	git(t, w.dir, "tag", "-a", "-m", "one", "v1", "main~1")
	w.set("refs/pull/7/head", w.resolve("refs/heads/old"))
	full := s.must(Kind{}, "file://"+w.dir, empty.facts)
	if full.kind != Full {
		t.Fatalf("after empty: %s", full.kind)
	}
	f, err := ParseFacts(full.facts)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(f.Excluded) != "[refs/pull/*]" || len(f.Refs) != 4 || f.PackObjects == 0 || len(f.Prereqs) != 0 {
		t.Errorf("facts of full: %+v", f)
	}
	same := s.must(Kind{}, w.dir, full.facts)
	if same.kind != Unchanged || same.bundle != "" {
		t.Errorf("nothing changed: %s", same.kind)
	}
	git(t, w.dir, "update-ref", "-d", "refs/heads/old")
	gone := s.must(Kind{}, w.dir, same.facts)
	if f, err = ParseFacts(gone.facts); err != nil || gone.kind != Incremental || f.PackObjects != 0 || len(f.Prereqs) != 2 ||
		f.PackSHA1 != "029d08823bd8a8eab510ad6ac75c823cfd3ed31e" {
		t.Errorf("a deletion: %s %+v %v", gone.kind, f, err)
	}
	git(t, w.dir, "symbolic-ref", "HEAD", "refs/heads/other")
	if p := s.must(Kind{}, w.dir, gone.facts); p.kind != Incremental {
		t.Errorf("HEAD moved: %s", p.kind)
	}
	all := s.must(Kind{Exclude: []string{}}, w.dir, nil)
	if f, err = ParseFacts(all.facts); err != nil || len(f.Excluded) != 0 || !strings.Contains(string(all.facts), "refs/pull/7/head") {
		t.Errorf("nothing excluded: %+v %v", f, err)
	}
}

// An increment may build only on what the server still knows.
func TestForgottenParentBecomesFull(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(2, 1))}
	w.grow("refs/heads/main", "", 3)
	s := newShelf(t)
	first := s.must(Kind{}, w.dir, nil)
	w.grow("refs/heads/main", "", 2)
	git(t, w.dir, "update-ref", "-d", "refs/heads/main")
	w.grow("refs/heads/main", "", 2)
	git(t, w.dir, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
	p := s.must(Kind{}, w.dir, first.facts)
	f, err := ParseFacts(p.facts)
	if err != nil || p.kind != Full || len(f.Prereqs) != 0 {
		t.Fatalf("got %s, prerequisites %q, %v", p.kind, f.Prereqs, err)
	}
	dir := filepath.Join(t.TempDir(), "r.git")
	if err := (Kind{}).Apply(t.Context(), dir, Role, p.bundle, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := (Kind{}).Prove(t.Context(), dir, p.facts, true, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func TestSHA256Repository(t *testing.T) {
	dir := newRepo(t, "--object-format=sha256")
	s := newShelf(t)
	if p := s.must(Kind{}, dir, nil); p.kind != Empty || !strings.Contains(string(p.facts), `"sha256"`) {
		t.Fatalf("empty: %+v", p)
	}
	w := &world{t: t, dir: dir, rng: rand.New(rand.NewPCG(3, 1))}
	w.grow("refs/heads/main", "", 3)
	git(t, dir, "tag", "-a", "-m", "one", "v1", "main~1")
	w.set("refs/pull/7/head", w.resolve("refs/heads/main"))
	p := s.must(Kind{}, dir, nil)
	if p.kind != Full {
		t.Fatal(p.kind)
	}
	replica := filepath.Join(t.TempDir(), "r.git")
	if err := (Kind{}).Apply(t.Context(), replica, Role, p.bundle, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := (Kind{}).Prove(t.Context(), replica, p.facts, true, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, want := state(t, replica), state(t, dir); got != want {
		t.Fatalf("replica %s\nsource %s", got, want)
	}
	if got := state(t, runScript(t, Kind{}, p.chain, p.facts)); got != state(t, dir) {
		t.Fatalf("restore.sh %s", got)
	}
	if p = s.must(Kind{}, dir, p.facts); p.kind != Unchanged {
		t.Errorf("nothing changed: %s", p.kind)
	}
}

func TestUnsuitableSources(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(4, 1))}
	w.grow("refs/heads/main", "", 4)
	git(t, w.dir, "config", "uploadpack.allowFilter", "true")
	dir := t.TempDir()
	shallow, partial := filepath.Join(dir, "shallow"), filepath.Join(dir, "partial")
	git(t, "", "clone", "--quiet", "--depth=2", "file://"+w.dir, shallow)
	git(t, "", "clone", "--quiet", "--filter=blob:none", "--no-checkout", "file://"+w.dir, partial)
	plain := filepath.Join(dir, "plain")
	if err := os.Mkdir(plain, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		source, says string
		is           error
	}{
		{shallow, "is shallow", ErrUnsuitable},
		{partial, "partial clone", ErrUnsuitable},
		{plain, "not a git repository", ErrNotRepository},
		{filepath.Join(dir, "absent"), "no such file", ErrNotRepository},
		{"ext::sh -c true", "helper program", nil},
		{"-oProxyCommand=true:x", "is not the address", nil},
		{"ssh://-oProxyCommand=true/x", "names no host", nil},
		{"ssh://-ouser@host/x", "names no host", nil},
		{"http://user:pw@example.org/x", `"http" is not a way`, nil},
		{"", "is not the address", nil},
		{"a\nb", "is not the address", nil},
	} {
		s := newShelf(t)
		_, err := s.capture(t.Context(), Kind{}, tt.source, nil)
		if err == nil || !strings.Contains(err.Error(), tt.says) || (tt.is != nil && !errors.Is(err, tt.is)) {
			t.Errorf("%q: %v", tt.source, err)
		}
		if err != nil && strings.Contains(err.Error(), ":pw@") {
			t.Errorf("%q: the error shows the password: %v", tt.source, err)
		}
		if len(s.made) > 0 {
			t.Errorf("%q: stored something", tt.source)
		}
	}
}

// The object counts when Close returned nil, and only then does Capture succeed: a
// bucket that fails, whether it stored the object or not, is an error.
func TestBucketFails(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(5, 1))}
	w.grow("refs/heads/main", "", 2)
	full := errors.New("bucket is full")
	for _, stored := range []bool{false, true} {
		s := newShelf(t)
		s.fail = func(string) error {
			if stored {
				s.made = append(s.made, "stored all the same")
			}
			return full
		}
		if _, err := s.capture(t.Context(), Kind{}, w.dir, nil); !errors.Is(err, full) {
			t.Errorf("stored=%v: %v", stored, err)
		}
	}
}

func TestFactsAreChecked(t *testing.T) {
	oid := strings.Repeat("a", 40)
	good := Facts{ObjectFormat: "sha1", Head: "refs/heads/main"}
	good.LFS = &LFSFacts{Pointers: 3, Stored: 2, ObjectsSHA256: strings.Repeat("b", 64), Absent: 1, Missing: []string{strings.Repeat("c", 64)}}
	good.setRefs([]Ref{{Name: "refs/heads/caf\xe9", OID: oid}, {Name: "refs/heads/main", OID: oid}, {Name: "refs/tags/v1", OID: oid, Peeled: oid}})
	data, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseFacts(data)
	if err != nil {
		t.Fatal(err)
	}
	if refs, err := f.List(); err != nil || refs[0].Name != "refs/heads/caf\xe9" || refs[2].Peeled != oid {
		t.Errorf("round trip: %q %v", refs, err)
	}
	for _, change := range []func(f *Facts){
		func(f *Facts) { f.Refs = f.Refs[1:] },
		func(f *Facts) { f.Refs[1] = oid + " refs/heads/../../x" },
		func(f *Facts) { f.Refs[1] = oid + " refs/heads/\x1b[2J" },
		func(f *Facts) { f.Refs[1] = "zz refs/heads/main" },
		func(f *Facts) { f.Refs[3] = oid + " refs/tags/v2^{}" },
		func(f *Facts) { f.Head = "--upload-pack=x" },
		func(f *Facts) { f.ObjectFormat = "md5" },
		func(f *Facts) { f.RefsSHA256 = strings.ToUpper(f.RefsSHA256) },
		func(f *Facts) { f.LFS.ObjectsSHA256 = "$(id)" },
		func(f *Facts) { f.LFS.Stored = -1 },
		func(f *Facts) { f.LFS.Absent = 0 },
		func(f *Facts) { f.LFS.Pointers = 9 },
		func(f *Facts) { f.LFS.Missing[0] = "\x1b[2J" },
	} {
		bad, err := ParseFacts(data)
		if err != nil {
			t.Fatal(err)
		}
		change(&bad)
		broken, err := json.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseFacts(broken); err == nil {
			t.Errorf("accepted %s", broken)
		}
		if script := (Kind{}).Script(nil, nil, broken); !strings.Contains(script, "exit 1") {
			t.Errorf("script of bad facts: %s", script)
		}
	}
}
