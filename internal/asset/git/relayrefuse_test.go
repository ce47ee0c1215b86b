package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/hint"
)

// found gives the ref of a report by its short name.
func found(t testing.TB, rep RelayReport, name string) RelayRef {
	t.Helper()
	for _, ref := range rep.Refs {
		if strings.TrimPrefix(strings.TrimPrefix(ref.Name, "refs/heads/"), "refs/tags/") == name {
			return ref
		}
	}
	t.Fatalf("no %s in %+v", name, rep)
	return RelayRef{}
}

// A mirror that refuses one ref takes all the others, whether it judges a push as a
// whole (pre-receive, as forges do for protected branches) or ref by ref; and the report
// has its reason, harmless.
func TestRelayOneRefRefused(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	source := filled(t, newRepo(t))
	for i := range 6 {
		source.set(fmt.Sprint("refs/heads/b", i), source.resolve("refs/heads/main"))
	}
	for _, tt := range []struct {
		name, reason, said string
		prepare            func(dir string)
		pushes             int // no more than these
	}{
		{"pre-receive", "pre-receive hook declined", "b3 is protected", func(dir string) {
			f.hook(dir, "pre-receive", `while read old new ref; do [ "$ref" != refs/heads/b3 ] || { printf 'b3 is \033[31mprotected\n' >&2; exit 1; }; done`)
		}, 12},
		{"update", "hook declined", "not this one", func(dir string) {
			f.hook(dir, "update", `[ "$1" != refs/heads/b3 ] || { echo not this one >&2; exit 1; }`)
		}, 2},
		{"hidden", "hidden ref", "", func(dir string) { git(t, dir, "config", "receive.hideRefs", "refs/heads/b3") }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mirror, dir := f.repo(tt.name + ".git")
			tt.prepare(dir)
			var log bytes.Buffer
			rep, err := Relay(t.Context(), source.dir, mirror, RelayOptions{HTTP: f.server.Client(), Log: &log})
			if !errors.Is(err, ErrUnequal) || !strings.Contains(err.Error(), tt.reason) || len(hint.All(err)) == 0 {
				t.Fatalf("got %v", err)
			}
			if ref := found(t, rep, "b3"); ref.Status != Rejected || !strings.Contains(ref.Reason, tt.reason) {
				t.Errorf("the refused one: %+v", ref)
			}
			if rep.Count(Created) != 9 || rep.Count(Rejected) != 1 || rep.Pushes > tt.pushes || len(rep.Differences) != 1 || rep.Equal {
				t.Errorf("report: %+v", rep)
			}
			if want := strings.Count(mirrored(t, source.dir), "\n"); strings.Count(mirrored(t, dir), "\n") != want-1 {
				t.Errorf("the mirror has %s", mirrored(t, dir))
			}
			if strings.ContainsRune(rep.Said+fmt.Sprint(rep.Differences)+err.Error(), 0x1b) || !strings.Contains(strings.ReplaceAll(rep.Said, "\n", " "), tt.said) {
				t.Errorf("it said %q", rep.Said)
			}
			intact(t, dir)
		})
	}
}

// What the settings of a mirror forbid is told per ref, and the rest is done.
func TestRelayStrictMirrors(t *testing.T) {
	t.Parallel()
	w := filled(t, newRepo(t))
	git(t, w.dir, "branch", "gone", "main")
	mirror := bare(t)
	if _, err := Relay(t.Context(), w.dir, mirror, RelayOptions{}); err != nil {
		t.Fatal(err)
	}
	git(t, mirror, "config", "receive.denyNonFastForwards", "true")
	git(t, mirror, "config", "receive.denyDeletes", "true")
	w.set("refs/heads/grün/日本", w.resolve("refs/heads/main~3"))
	git(t, w.dir, "update-ref", "-d", "refs/heads/gone")
	w.grow("refs/heads/main", "refs/heads/main^0", 1)
	rep, err := Relay(t.Context(), w.dir, mirror, RelayOptions{Prune: true})
	if !errors.Is(err, ErrUnequal) {
		t.Fatal(err)
	}
	if r := found(t, rep, "grün/日本"); r.Status != Rejected || r.Reason != "non-fast-forward" {
		t.Errorf("forced: %+v", r)
	}
	if r := found(t, rep, "gone"); r.Status != Rejected || r.Reason != "deletion prohibited" {
		t.Errorf("deleted: %+v", r)
	}
	if r := found(t, rep, "main"); r.Status != Updated || git(t, mirror, "rev-parse", "main") != w.resolve("refs/heads/main") {
		t.Errorf("updated: %+v", r)
	}
	// A name that is in the way is in the way unless it may be deleted.
	git(t, mirror, "config", "receive.denyDeletes", "false")
	git(t, w.dir, "branch", "-m", "grün/日本", "grün")
	rep, err = Relay(t.Context(), w.dir, mirror, RelayOptions{})
	if r := found(t, rep, "grün"); err == nil || r.Status != Rejected || r.Reason == "" {
		t.Errorf("in the way: %v %+v", err, r)
	}
	if r := found(t, rep, "grün/日本"); r.Status != Kept {
		t.Errorf("in the way: %+v", r)
	}
	if rep, err = Relay(t.Context(), w.dir, mirror, RelayOptions{Prune: true}); err != nil || mirrored(t, mirror) != mirrored(t, w.dir) {
		t.Errorf("pruned: %v %+v", err, rep)
	}
	// The branch that a clone has checked out is not moved under its feet.
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "--quiet", "--template=", mirror, clone)
	w.grow("refs/heads/main", "refs/heads/main^0", 1)
	w.set("refs/heads/more", w.resolve("refs/heads/main"))
	rep, err = Relay(t.Context(), w.dir, clone, RelayOptions{})
	if r := found(t, rep, "main"); err == nil || r.Status != Rejected || found(t, rep, "more").Status != Created {
		t.Errorf("checked out: %v %+v", err, rep)
	}
}

// Somebody pushes to the mirror while the relay is at work: what they pushed stays.
func TestRelayDoesNotOverwrite(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	w := filled(t, newRepo(t))
	mirror, dir := f.repo("mirror.git")
	o := RelayOptions{HTTP: f.server.Client(), Prune: true}
	if _, err := Relay(t.Context(), w.dir, mirror, o); err != nil {
		t.Fatal(err)
	}
	theirs := git(t, dir, "rev-parse", "main~3")
	once := sync.OnceFunc(func() {
		git(t, dir, "update-ref", "refs/heads/main", theirs)
		git(t, dir, "update-ref", "refs/tags/light", theirs)
		git(t, dir, "update-ref", "refs/heads/fresh", theirs)
		git(t, dir, "update-ref", "refs/heads/unseen", theirs)
	})
	f.on(func(_ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			once()
		}
		return true
	})
	w.grow("refs/heads/main", "refs/heads/main^0", 1)
	w.grow("refs/heads/grün/日本", "refs/heads/grün/日本^0", 1)
	w.set("refs/heads/fresh", w.resolve("refs/heads/main"))
	git(t, w.dir, "tag", "-d", "light")
	rep, err := Relay(t.Context(), w.dir, mirror, o)
	if !errors.Is(err, ErrUnequal) || rep.InDoubt {
		t.Fatal(err)
	}
	for _, name := range []string{"main", "fresh", "light"} {
		if r := found(t, rep, name); r.Status != Rejected || !strings.Contains(r.Reason, "somebody else moved it") || git(t, dir, "rev-parse", name) != theirs {
			t.Errorf("%+v", r)
		}
	}
	if found(t, rep, "grün/日本").Status != Updated || !strings.Contains(fmt.Sprint(rep.Differences), "refs/heads/unseen: somebody else made it") {
		t.Errorf("%+v", rep)
	}
	if rep, err = Relay(t.Context(), w.dir, mirror, o); err != nil || mirrored(t, dir) != mirrored(t, w.dir) {
		t.Errorf("again: %v %+v", err, rep)
	}
}

// The answer to a push is lost. The mirror itself tells what became of it: it had all,
// it had nothing, or it ends only later what it began.
func TestRelayAnswerLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		late int // requests until the backend gets the push; -1: never
		want error
	}{{"taken", 0, nil}, {"taken late", 2, nil}, {"never taken", -1, ErrInDoubt}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t)
			w := filled(t, newRepo(t))
			mirror, dir := f.repo("mirror.git")
			var held *http.Request
			fired, left := false, tt.late
			f.on(func(w http.ResponseWriter, r *http.Request) bool {
				if !isPush(r) {
					if left--; held != nil && left == 0 {
						f.backend.ServeHTTP(httptest.NewRecorder(), held)
					}
					return true
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				again := r.Clone(t.Context())
				again.Body, again.ContentLength, again.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
				held, fired, left = again, true, tt.late
				if tt.late == 0 {
					f.backend.ServeHTTP(httptest.NewRecorder(), again)
				}
				panic(http.ErrAbortHandler)
			})
			settle := 5 * time.Second
			if tt.want != nil {
				settle = 50 * time.Millisecond
			}
			rep, err := Relay(t.Context(), w.dir, mirror, RelayOptions{HTTP: f.server.Client(), Settle: settle})
			if !fired || !errors.Is(err, tt.want) || rep.InDoubt != (tt.want != nil) || rep.Equal != (tt.want == nil) {
				t.Fatalf("%v %+v", err, rep)
			}
			if tt.want == nil && (rep.Count(Created) != 4 || mirrored(t, dir) != mirrored(t, w.dir)) {
				t.Errorf("%+v", rep)
			}
			if tt.want != nil && (rep.Count(Doubtful) != 4 || found(t, rep, "main").Reason == "" || mirrored(t, dir) != "") {
				t.Errorf("%+v", rep)
			}
		})
	}
}

// A mirror that cannot be read again after the push leaves what it said, and nothing when
// it said nothing.
func TestRelayMirrorGone(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	w := filled(t, newRepo(t))
	for _, answers := range []bool{true, false} {
		mirror, _ := f.repo(fmt.Sprint(answers, ".git"))
		pushed := false
		f.on(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case pushed:
				http.Error(w, "down", http.StatusBadGateway)
				return false
			case isPush(r) && !answers:
				pushed = true
				io.Copy(io.Discard, r.Body)
				http.Error(w, "timed out", http.StatusGatewayTimeout)
				return false
			case isPush(r):
				pushed = true
			}
			return true
		})
		rep, err := Relay(t.Context(), w.dir, mirror, RelayOptions{HTTP: f.server.Client(), Settle: 20 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), "502") || rep.Equal || rep.InDoubt == answers || errors.Is(err, ErrInDoubt) == answers {
			t.Errorf("answers %v: %v %+v", answers, err, rep)
		}
		if want := map[bool]RelayStatus{true: Created, false: Doubtful}[answers]; rep.Count(want) != 4 {
			t.Errorf("answers %v: %+v", answers, rep)
		}
	}
}

// The report of a mirror that is cut at any place is never taken for a good one, and
// what the mirror has then decides.
func TestRelayReportCut(t *testing.T) {
	t.Parallel()
	w := filled(t, newRepo(t))
	empty := bare(t)
	var advert int64
	if _, err := RelayPlan(t.Context(), w.dir, empty, RelayOptions{wrapMirror: func(r io.Reader) io.Reader { return counting{r, &advert} }}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{0, 12, 60} {
		mirror := bare(t)
		fired, talks := false, 0
		rep, err := Relay(t.Context(), w.dir, mirror, RelayOptions{Settle: time.Second, wrapMirror: func(r io.Reader) io.Reader {
			if talks++; talks != 2 { // the look, the push, and the look at the end
				return r
			}
			return ending(advert, func(data []byte) []byte {
				fired = int64(len(data)) > n
				return data[:min(n, int64(len(data)))]
			})(r)
		}})
		if !fired || err != nil || !rep.Equal || mirrored(t, mirror) != mirrored(t, w.dir) {
			t.Errorf("cut %d bytes into the report: %v %+v", n, err, rep)
		}
	}
}

// A prune that would take too much takes nothing; the rest is still mirrored.
func TestRelayGuard(t *testing.T) {
	t.Parallel()
	w := filled(t, newRepo(t))
	for i := range 12 {
		w.set(fmt.Sprintf("refs/heads/b%02d", i), w.resolve("refs/heads/main"))
	}
	full := bare(t)
	if _, err := Relay(t.Context(), w.dir, full, RelayOptions{}); err != nil {
		t.Fatal(err)
	}
	drop := func(dir string, names ...string) {
		for _, n := range names {
			git(t, dir, "update-ref", "-d", n)
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(dir string)
		share int
		guard string // empty: pruned
	}{
		{"a few of many", func(dir string) { drop(dir, "refs/heads/b00", "refs/heads/b01", "refs/heads/b02", "refs/heads/b03") }, 0, ""},
		{"five of sixteen", func(dir string) {
			drop(dir, "refs/heads/b00", "refs/heads/b01", "refs/heads/b02", "refs/heads/b03", "refs/heads/b04")
		}, 0, "5 of the 16 refs"},
		{"five of sixteen, allowed", func(dir string) {
			drop(dir, "refs/heads/b00", "refs/heads/b01", "refs/heads/b02", "refs/heads/b03", "refs/heads/b04")
		}, 40, ""},
		{"no branches left", func(dir string) {
			drop(dir, strings.Fields(git(t, dir, "for-each-ref", "--format=%(refname)", "refs/heads"))...)
		}, 100, "the source has no branches"},
		{"other branches altogether", func(dir string) {
			main := git(t, dir, "rev-parse", "main")
			drop(dir, strings.Fields(git(t, dir, "for-each-ref", "--format=%(refname)", "refs/heads"))...)
			git(t, dir, "update-ref", "refs/heads/other", main)
		}, 100, "none of the branches"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source, mirror := filepath.Join(t.TempDir(), "s.git"), filepath.Join(t.TempDir(), "m.git")
			git(t, "", "clone", "--quiet", "--mirror", "--template=", w.dir, source)
			git(t, "", "clone", "--quiet", "--mirror", "--template=", full, mirror)
			git(t, mirror, "config", "receive.denyDeleteCurrent", "ignore")
			tt.spoil(source)
			git(t, source, "update-ref", "refs/tags/new", "v1")
			before := git(t, mirror, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags/v1", "refs/tags/light")
			o := RelayOptions{Prune: true, MaxShare: tt.share}
			plan, err := RelayPlan(t.Context(), source, mirror, o)
			if err != nil || (plan.Guard != "") != (tt.guard != "") || plan.Equal {
				t.Errorf("plan: %v %+v", err, plan)
			}
			rep, err := Relay(t.Context(), source, mirror, o)
			if tt.guard == "" {
				if err != nil || rep.Count(Deleted) < 4 || mirrored(t, mirror) != mirrored(t, source) {
					t.Errorf("%v %+v", err, rep)
				}
				return
			}
			if !errors.Is(err, ErrMassDeletion) || !strings.Contains(rep.Guard, tt.guard) || len(hint.All(err)) == 0 || rep.Equal || rep.Count(Deleted) != 0 {
				t.Errorf("%v %+v", err, rep)
			}
			after := git(t, mirror, "for-each-ref", "--format=%(refname)")
			for name := range strings.FieldsSeq(before) {
				if !strings.Contains(after, name) {
					t.Errorf("%s is gone", name)
				}
			}
			if !strings.Contains(after, "refs/tags/new") {
				t.Error("the new tag was not mirrored")
			}
		})
	}
}

func TestRelayRefuses(t *testing.T) {
	t.Parallel()
	w := filled(t, newRepo(t))
	other := filled(t, newRepo(t)).dir
	shallow := filepath.Join(t.TempDir(), "shallow.git")
	git(t, "", "clone", "--quiet", "--bare", "--template=", "--depth=1", "file://"+w.dir, shallow)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(w.dir, link); err != nil {
		t.Fatal(err)
	}
	long := bare(t, "--object-format=sha256")
	hidden := newRepo(t)
	gitIn(t, hidden, "commit refs/pull/1/head\ncommitter C <c@example.org> 1700000000 +0000\ndata 0\n\n", "fast-import", "--quiet")
	for _, tt := range []struct {
		name, source, mirror string
		want                 error
	}{
		{"itself", w.dir, w.dir, ErrSame},
		{"itself by another name", "file://" + w.dir + "/", link, ErrSame},
		{"itself by another address", "https://git@Example.org:443/a/b.git", "https://example.org/a/b/", ErrSame},
		{"itself by another way", "git@example.org:a/b.git", "https://example.org/a/b", ErrSame},
		{"an empty source", newRepo(t), other, ErrNothing},
		{"nothing but hidden refs", hidden, other, ErrNothing},
		{"a shallow source", shallow, other, ErrUnsuitable},
		{"a shallow mirror", w.dir, shallow, ErrUnsuitable},
		{"a mirror of long ids", w.dir, long, ErrUnsuitable},
		{"no mirror", w.dir, filepath.Join(t.TempDir(), "gone"), ErrNotRepository},
		{"a mirror that is a folder", w.dir, t.TempDir(), ErrNotRepository},
	} {
		before := mirrored(t, other)
		rep, err := Relay(t.Context(), tt.source, tt.mirror, RelayOptions{Prune: true})
		if !errors.Is(err, tt.want) || rep.Pushes != 0 || rep.Equal || mirrored(t, other) != before {
			t.Errorf("%s: %v %+v", tt.name, err, rep)
		}
		if tt.want != ErrUnsuitable && len(hint.All(err)) == 0 {
			t.Errorf("%s: no advice in %v", tt.name, err)
		}
	}
	gitIn(t, long, "commit refs/heads/main\ncommitter C <c@example.org> 1700000000 +0000\ndata 0\n\n", "fast-import", "--quiet")
	if _, err := Relay(t.Context(), long, other, RelayOptions{}); !errors.Is(err, ErrUnsuitable) {
		t.Errorf("a source of long ids: %v", err)
	}
	for a, b := range map[string]string{"https://example.org:8443/a": "https://example.org/a", "https://example.org/a": "https://example.org/b", "git@example.org:a": "/srv/a"} {
		if SameRepository(a, b) {
			t.Errorf("%s and %s are not the same", a, b)
		}
	}
	stop := errors.New("no")
	mirror := bare(t)
	if rep, err := Relay(t.Context(), w.dir, mirror, RelayOptions{Approve: func(r RelayReport) error {
		if r.Count(Created) != 4 {
			t.Errorf("to approve: %+v", r)
		}
		return stop
	}}); !errors.Is(err, stop) || mirrored(t, mirror) != "" || rep.Count(Created) != 0 || rep.Count(Rejected) != 4 {
		t.Errorf("not approved: %v %+v", err, rep)
	}
	if rep, err := Relay(t.Context(), w.dir, mirror, RelayOptions{Exclude: []string{"refs/tags/*"}}); err != nil || strings.Contains(mirrored(t, mirror), "refs/tags") {
		t.Errorf("excluded: %v %+v", err, rep)
	}
	if rep, err := Relay(t.Context(), other, mirror, RelayOptions{Exclude: []string{"refs/heads/*"}, Prune: true}); err != nil || found(t, rep, "v1").Status != Created {
		t.Errorf("excluded branches: %v %+v", err, rep)
	}
}

// What only the mirror has is told from what the source knows, also where commits lie in
// the pack as differences of each other.
func TestRelaySeesOwnCommits(t *testing.T) {
	t.Parallel()
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(3, 3))}
	var in bytes.Buffer
	for i := range 60 {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter C <c@example.org> %d +0000\ndata <<E\n%s%d\nE\n", 1700000000+i, strings.Repeat("the same long message\n", 40), i)
	}
	gitIn(t, w.dir, in.String(), "fast-import", "--quiet")
	w.set("refs/heads/side", w.resolve("refs/heads/main~40"))
	w.set("refs/tags/t", w.resolve("refs/heads/main~40"))
	mirror := bare(t)
	w.set("refs/heads/main", w.resolve("refs/heads/main~30"))
	tip := git(t, w.dir, "rev-list", "--max-count=1", "refs/heads/main")
	if _, err := Relay(t.Context(), w.dir, mirror, RelayOptions{}); err != nil {
		t.Fatal(err)
	}
	gitIn(t, w.dir, in.String(), "fast-import", "--quiet", "--force")
	git(t, w.dir, "repack", "-adfq", "--depth=50", "--window=50")
	packs, err := filepath.Glob(filepath.Join(w.dir, "objects", "pack", "*.idx"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	deltas := 0
	for line := range strings.Lines(git(t, w.dir, "verify-pack", "-v", packs[0])) {
		if f := strings.Fields(line); len(f) == 7 && f[1] == "commit" {
			deltas++
		}
	}
	if deltas < 10 {
		t.Fatalf("only %d commits are stored as differences", deltas)
	}
	// Their own commits on side and t, which the source has never seen.
	other := &world{t: t, dir: mirror, rng: w.rng, n: 500}
	other.grow("refs/heads/side", "refs/heads/side^0", 1)
	other.set("refs/tags/t", other.resolve("refs/heads/side"))
	rep, err := RelayPlan(t.Context(), w.dir, mirror, RelayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r := found(t, rep, "main"); r.Status != Updated || r.Own || r.Old != tip || r.Loses() {
		t.Errorf("forward: %+v", r)
	}
	for _, name := range []string{"side", "t"} {
		if r := found(t, rep, name); r.Status != Forced || !r.Own || !r.Loses() {
			t.Errorf("own: %+v", r)
		}
	}
}
