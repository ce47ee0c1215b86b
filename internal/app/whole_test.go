package app

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	agekey "filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeboat/internal/command"
	"lifeboat/internal/secret"
	"lifeboat/internal/vault"
)

// The tests in whole_*_test.go let assets live through random histories, back them up
// into one vault with changing encryption, and then do what a person without Lifeboat
// does: run the restore.sh of each point with stock programs only. What comes out must be
// what the source was when the point was made, as the stock programs saw it then.

// tester is a test, or one history of a property.
type tester interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// subject is an asset that lives.
type subject interface {
	asset() vault.Asset
	kind(class string) vault.Kind
	changes() []string // the names of what can happen to it
	change(rt *rapid.T, name string)
	state() string              // all that a restore must give back
	restored(dir string) string // the same, of what restore.sh has made
	during(backup func())       // calls backup, perhaps while something goes on
}

// histories runs a property for about so long, and at least once. A failure is shrunk
// and repeated whatever that takes; -rapid.seed chooses the histories.
func histories(t *testing.T, budget time.Duration, property func(rt *rapid.T)) {
	t.Helper()
	began, n, failed := time.Now(), 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if n > 0 && !failed && time.Since(began) > budget {
			return
		}
		defer func() { failed = failed || rt.Failed() }()
		property(rt)
		n++
	})
	t.Logf("%d histories in %.1f s", n, time.Since(began).Seconds())
}

// stock skips the test where a stock program is absent.
func stock(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := command.Look(name); errors.Is(err, command.ErrNotFound) {
			t.Skipf("the program %s is not installed", name)
		}
	}
}

// passphrase has what a shell or a careless reader of files would stumble over.
const passphrase = `Grüße, "quoted" $(touch pwned) \ and a space at its end `

// whole is a vault with what its points must give back.
type whole struct {
	t       tester
	dir     string // of everything
	bucket  bucket
	handles map[string]*vault.Vault // by scheme; "all" has every key and is only read with
	data    *agekey.X25519Identity
	glass   *agekey.X25519Identity // break-glass
	points  []wholePoint           // oldest first
	seen    *tally

	mu  sync.Mutex // protects below: a vault asks for the time from several goroutines
	now time.Time
}

// wholePoint is a point with the state of the source when it was made.
type wholePoint struct {
	vault.Manifest
	state string
}

// bucket is where a vault lies, seen by a person with a client of that bucket.
type bucket interface {
	url() string
	// download puts the objects whose keys a script names into a folder, and gives it.
	download(keys []string) (folder string, err error)
	at(folder, key string) string // where it has put an object
	read(key string) ([]byte, error)
}

// tally counts over all histories of a test what has happened.
type tally struct {
	schemes, classes, kinds, changes, mirrors map[string]int
	restored, chain                           int // points; the longest chain
}

func newTally() *tally {
	return &tally{map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, 0, 0}
}

// require fails the test when something of a kind never happened: it shows less then
// than it says.
func (y *tally) require(t *testing.T, what string, got map[string]int, names ...string) {
	t.Helper()
	t.Logf("%s: %v", what, got)
	for _, n := range names {
		if got[n] == 0 {
			t.Errorf("%s: never %q", what, n)
		}
	}
}

// scratch makes a directory that is gone when the test or the history ends, whatever
// modes something in it has.
func scratch(t tester) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lifeboat-whole-")
	must(t, err)
	t.Cleanup(func() {
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() {
				return os.Chmod(path, 0o700)
			}
			return err
		}))
		must(t, os.RemoveAll(dir))
	})
	return dir
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// newWhole makes a vault in a bucket. blind is a machine that encrypts with age and
// cannot decrypt.
func newWhole(t tester, b bucket, blind bool, seen *tally) *whole {
	t.Helper()
	w := &whole{t: t, dir: scratch(t), bucket: b, handles: map[string]*vault.Vault{}, seen: seen,
		now: time.Date(2026, 12, 27, 21, 30, 0, 0, time.UTC)}
	var err error
	w.data, err = agekey.GenerateX25519Identity()
	must(t, err)
	w.glass, err = agekey.GenerateX25519Identity()
	must(t, err)
	identities := func(context.Context) ([]secret.String, error) {
		return []secret.String{secret.New("# made for a test\n" + w.data.String() + "\n")}, nil
	}
	phrase := func(context.Context) (secret.String, error) { return secret.New(passphrase), nil }
	crypt := vault.Crypt{
		Scheme: "age", Recipients: []string{w.data.Recipient().String()}, BreakGlass: w.glass.Recipient().String(), Identities: identities,
	}
	all := crypt
	all.Passphrase = phrase
	if blind {
		crypt.Identities = nil
	}
	for scheme, c := range map[string]vault.Crypt{
		"none": {}, "age": crypt, "gpg": {Scheme: "gpg", Passphrase: phrase}, "all": all,
	} {
		o := vault.Options{Version: "test", Host: "test", Now: w.clock, Scratch: w.dir, Pause: time.Millisecond, Crypt: c}
		if blind {
			o.Cache = filepath.Join(w.dir, "cache-"+scheme)
		}
		v, err := vault.Open(t.Context(), b.url(), o)
		must(t, err)
		t.Cleanup(func() { v.Close() })
		w.handles[scheme] = v
	}
	return w
}

// clock passes a second at each look.
func (w *whole) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Second)
	return w.now
}

func (w *whole) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// backup makes a point and remembers the state.
func (w *whole) backup(s subject, scheme, class string, full bool) {
	w.t.Helper()
	a := s.asset()
	a.Secret = scheme != "none"
	p := wholePoint{state: s.state()}
	var log strings.Builder
	s.during(func() {
		var err error
		p.Manifest, err = w.handles[scheme].Backup(w.t.Context(), a, s.kind(class), vault.BackupOptions{Full: full, Class: class, Log: &log})
		if err != nil {
			w.t.Fatalf("point %d, %s: %v\n%s", len(w.points)+1, scheme, err, &log)
		}
	})
	if len(w.points)%4 == 0 {
		if now := s.state(); now != p.state {
			w.t.Fatalf("the backup has changed its source:\n%s", cmp.Diff(p.state, now))
		}
	}
	w.t.Logf("point %d %s: %s, %s, class %q, %d objects", len(w.points)+1, p.ID, p.Kind, scheme, class, len(p.Chain))
	w.seen.kinds[p.Kind]++
	w.seen.schemes[scheme]++
	w.seen.classes[class]++
	w.seen.chain = max(w.seen.chain, len(p.Chain))
	w.points = append(w.points, p)
}

// live lets a subject go through changes, with points in between of any class, and the
// encryption changing. The gpg of the vault hashes its passphrase for long, once for each
// object, so that the runs of its points are short.
func (w *whole) live(rt *rapid.T, s subject, changes []string) {
	w.t.Helper()
	schemes := rapid.Permutation([]string{"none", "age", "gpg"}).Draw(rt, "schemes")
	classes := rapid.Permutation([]string{"daily", "", "daily", "weekly", "daily", "monthly", "quarterly"}).Draw(rt, "classes")
	used, turn, run := map[string]bool{}, 0, 0
	for len(changes) > 0 || len(used) < len(schemes) {
		for range min(len(changes), rapid.IntRange(0, 3).Draw(rt, "changes")) {
			s.change(rt, changes[0])
			w.seen.changes[changes[0]]++
			at := changes[0] == emptied
			if changes = changes[1:]; at {
				break
			}
		}
		scheme := schemes[turn%len(schemes)]
		w.wait(time.Duration(rapid.IntRange(1, 40).Draw(rt, "hours")) * time.Hour)
		w.backup(s, scheme, classes[len(w.points)%len(classes)], rapid.IntRange(0, 11).Draw(rt, "full") == 11)
		used[scheme] = true
		if run++; scheme == "gpg" && run == 2 || len(changes) == 0 || rapid.IntRange(0, 5).Draw(rt, "turn") == 5 {
			turn, run = turn+1, 0
		}
		if rapid.IntRange(0, 2).Draw(rt, "verify") == 2 {
			i := rapid.IntRange(0, len(w.points)-1).Draw(rt, "verified")
			w.verify(s, w.points[i], rapid.SampledFrom(vault.Levels()).Draw(rt, "level"))
		}
	}
}

// emptied is the change after which a point is taken at once, or there would hardly ever
// be one of nothing.
const emptied = "empty it"

// verify proves a point at a level, by its own script where that is restored.
func (w *whole) verify(s subject, p wholePoint, level vault.Level) {
	w.t.Helper()
	var log strings.Builder
	r, err := w.handles["all"].Verify(w.t.Context(), p.Manifest, s.kind(""), level, vault.VerifyOptions{Log: &log})
	if err != nil || !r.Pass || r.Level != level || level == vault.LevelRestored && r.Way != "restore.sh" {
		w.t.Fatalf("verify %s (%s) at %s: %v, pass %v at %s by %q\n%s", p.ID, p.Kind, level, err, r.Pass, r.Level, r.Way, &log)
	}
}

// sample chooses the points to restore: all where they are few, else the first, the
// last, those of which always says so, and others up to ten.
func (w *whole) sample(rt *rapid.T, always func(p wholePoint) bool) []wholePoint {
	order := make([]int, len(w.points))
	for i := range order {
		order[i] = i
	}
	order = rapid.Permutation(order).Draw(rt, "order")
	first := func(i int) bool { return i == 0 || i == len(w.points)-1 || always != nil && always(w.points[i]) }
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case first(a) == first(b):
			return 0
		case first(a):
			return -1
		}
		return 1
	})
	var out []wholePoint
	for _, i := range order[:min(10, len(order))] {
		out = append(out, w.points[i])
	}
	return out
}

// judge requires that the vault lists exactly the points that were made, and restores
// those of a sample.
func (w *whole) judge(s subject, sample []wholePoint) {
	w.t.Helper()
	list, err := w.handles["none"].List(w.t.Context(), vault.AssetID(s.asset()), time.Time{})
	must(w.t, err)
	slices.Reverse(list)
	if !slices.EqualFunc(list, w.points, func(m vault.Manifest, p wholePoint) bool { return m.ID == p.ID && m.Sum() == p.Sum() }) {
		w.t.Fatalf("the vault lists %d points, %d were made", len(list), len(w.points))
	}
	for i, p := range sample {
		dir := w.restore(p, i%2 == 1)
		if got := s.restored(dir); got != p.state {
			w.t.Fatalf("point %s (%s, %q) restores to something else (-was +is):\n%s", p.ID, p.Kind, p.Class, cmp.Diff(p.state, got))
		}
		// Of long chains the first of a sample are enough: it is the same script again.
		if len(p.Chain) <= 10 || i < 4 {
			w.verify(s, p, vault.LevelRestored)
		}
		w.seen.restored++
	}
}

var (
	needsLine  = regexp.MustCompile(`(?m)^# It needs stock programs only: (.+)\.$`)
	objectLine = regexp.MustCompile(`(?m)^#   ([0-9a-f]{64})  (v1/a/\S+)$`)
)

// restore does what restore.sh says at its head: downloads what it names, and runs it
// with the programs that it names, in a shell that finds nothing else. glass takes the
// break-glass key.
func (w *whole) restore(p wholePoint, glass bool) (dir string) {
	w.t.Helper()
	dir, err := os.MkdirTemp(w.dir, "restore-")
	must(w.t, err)
	text, err := w.bucket.read(p.ScriptKey())
	must(w.t, err)
	var keys []string
	for _, m := range objectLine.FindAllStringSubmatch(string(text), -1) {
		keys = append(keys, m[2])
	}
	needs := needsLine.FindStringSubmatch(string(text))
	if needs == nil || len(keys) != len(p.Chain) {
		w.t.Fatalf("restore.sh names %d of %d objects and the programs %q", len(keys), len(p.Chain), needs)
	}
	folder, err := w.bucket.download(keys)
	must(w.t, err)
	script, out := filepath.Join(dir, "restore.sh"), filepath.Join(dir, "the target")
	must(w.t, os.WriteFile(script, text, 0o600))
	w.stockRun(dir, strings.Fields(needs[1]), glass, "sh", script, folder, out)
	left, err := os.ReadDir(dir)
	must(w.t, err)
	for _, e := range left {
		if n := e.Name(); n != "restore.sh" && n != "the target" && n != "bin" && n != "home" {
			w.t.Errorf("restore.sh left %q", n)
		}
	}
	return out
}

// posix are programs that every system with a shell has.
var posix = []string{
	"awk", "cat", "chmod", "cmp", "cut", "diff", "find", "grep", "ls", "od", "printf", "rmdir", "sed", "sort", "tail", "tr", "uname", "wc", "xargs",
}

// stockRun runs a program in dir with nothing on its PATH but the named programs and
// those of POSIX, and with the keys of the vault in files.
func (w *whole) stockRun(dir string, programs []string, glass bool, argv ...string) {
	w.t.Helper()
	bin := filepath.Join(dir, "bin")
	must(w.t, os.MkdirAll(bin, 0o700))
	for _, name := range slices.Concat(programs, posix) {
		path, err := command.Look(name)
		must(w.t, err)
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			must(w.t, err)
		}
	}
	home := filepath.Join(dir, "home")
	must(w.t, os.MkdirAll(home, 0o700))
	env := map[string]string{"PATH": bin, "HOME": home, "TMPDIR": home, "LC_ALL": "C"}
	identity := w.data
	if glass {
		identity = w.glass
	}
	for name, text := range map[string]string{"AGE_IDENTITY": identity.String(), "GPG_PASSPHRASE_FILE": passphrase} {
		env[name] = filepath.Join(home, strings.ToLower(name))
		must(w.t, os.WriteFile(env[name], []byte(text+"\n"), 0o600))
	}
	r, err := command.Run(w.t.Context(), command.Cmd{
		Argv: append([]string{filepath.Join(bin, argv[0])}, argv[1:]...), Dir: dir, Env: env,
	})
	if err != nil {
		w.t.Fatalf("with stock programs: %v\n%s%s", err, r.Stdout, r.Stderr)
	}
}

// folderBucket is a vault in a directory.
type folderBucket struct{ dir string }

func newFolderBucket(t tester) folderBucket { return folderBucket{scratch(t)} }

func (b folderBucket) url() string { return "file://" + filepath.ToSlash(b.dir) }

func (b folderBucket) read(key string) ([]byte, error) {
	return os.ReadFile(filepath.Join(b.dir, filepath.FromSlash(key)))
}

// download takes the whole bucket as it lies, where scripts look too.
func (b folderBucket) download([]string) (string, error) { return b.dir, nil }

func (b folderBucket) at(folder, key string) string {
	return filepath.Join(folder, filepath.FromSlash(key))
}

// sorted lists the names of a map.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// tool runs a stock program on behalf of the test and gives what it wrote.
func tool(t tester, c command.Cmd) string {
	t.Helper()
	out, err := command.Output(t.Context(), c)
	if err != nil {
		t.Fatalf("%v, of %q", err, c.Argv[len(c.Argv)-min(len(c.Argv), 4):])
	}
	return string(out)
}

// lineSet makes one text of lines whose order means nothing.
func lineSet(text string) string {
	list := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}
