package sandbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"lifeboat/internal/command"
	"lifeboat/internal/durable"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/sandbox"
)

// small is enough of a sandbox for what is not about its size.
var small = sandbox.Options{Commits: 120, Customers: 100, Appointments: 400}

// template is a small sandbox that tests copy, which is faster than making one.
var template *sandbox.Sandbox

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lifeboat-sandbox-test-*")
	if err == nil {
		template, err = sandbox.Make(context.Background(), filepath.Join(dir, "sandbox"), small)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// copied gives a test its own copy of a sandbox.
func copied(t *testing.T, s *sandbox.Sandbox) *sandbox.Sandbox {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sandbox")
	if err := os.CopyFS(dir, os.DirFS(s.Dir())); err != nil {
		t.Fatal(err)
	}
	own, err := sandbox.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	// A copy of files has the modes that the system gives.
	if err := filepath.WalkDir(own.Server(), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(name, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	git(t, own.Clone(), "remote", "set-url", "origin", own.Origin())
	return own
}

func made(t *testing.T, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.Make(t.Context(), filepath.Join(t.TempDir(), "sandbox"), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// git runs git in dir and returns the lines of its output. It fails the test when git fails.
func git(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	out, err := command.Output(t.Context(), command.Git(dir, args...))
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

func id(t *testing.T, dir, rev string) string {
	t.Helper()
	return git(t, dir, "rev-parse", "--verify", rev)[0]
}

func database(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: file}).String()+"?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func number(t *testing.T, db *sql.DB, query string) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestMakeIsWhatItPromises(t *testing.T) {
	s := made(t, sandbox.Options{})
	t.Run("origin", func(t *testing.T) { promisedOrigin(t, s) })
	t.Run("clone", func(t *testing.T) { promisedClone(t, s) })
	t.Run("database", func(t *testing.T) { promisedDatabase(t, s) })
	t.Run("private", func(t *testing.T) { promisedPrivate(t, s) })
}

func promisedOrigin(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	// Commit ids are a promise: bug reports, golden files and drills name them.
	if got := id(t, s.Origin(), "main"); got != "847e470672f88ea12e4fcafaab36595b11fca043" {
		t.Errorf("main is at %s", got)
	}
	if n := len(git(t, s.Origin(), "log", "--all", "--format=%H")); n != 300 {
		t.Errorf("%d commits", n)
	}
	if n := len(git(t, s.Origin(), "log", "--all", "--merges", "--format=%H")); n < 20 {
		t.Errorf("%d merges", n)
	}
	authors := git(t, s.Origin(), "log", "--all", "--format=%aE")
	slices.Sort(authors)
	if n := len(slices.Compact(authors)); n != 6 {
		t.Errorf("%d authors", n)
	}
	refs := strings.Join(git(t, s.Origin(), "for-each-ref", "--format=%(objecttype) %(refname)"), "\n")
	for _, want := range []string{"commit refs/heads/main", "commit refs/heads/develop", "commit refs/heads/feature/", "commit refs/heads/release/", "commit refs/heads/hotfix/", "tag refs/tags/v1.1.0", "commit refs/tags/deployed/"} {
		if !strings.Contains(refs, want) {
			t.Errorf("no %q among\n%s", want, refs)
		}
	}
	dates := git(t, s.Origin(), "log", "--all", "--format=%ct")
	slices.Sort(dates)
	var first, last int64
	if _, err := fmt.Sscan(dates[0]+" "+dates[len(dates)-1], &first, &last); err != nil || last-first < 200*24*3600 {
		t.Errorf("commits from %d to %d: %v", first, last, err)
	}
	if n := len(git(t, s.Origin(), "reflog", "show", "--format=%H %gd", "main")); n < 30 {
		t.Errorf("%d entries in the reflog of main", n)
	}
	git(t, s.Origin(), "fsck", "--full", "--strict")
}

func promisedClone(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	e, problems := estate.Load(s.Estate(), read(t, s.Estate()))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	a, err := e.Find("monorepo")
	if err != nil || a.Path != s.Clone() || a.Remote != s.Origin() || e.Vault != "file://"+s.Vault() {
		t.Errorf("estate: %+v, vault %s, %v", a, e.Vault, err)
	}
	for _, name := range a.Critical {
		if len(read(t, filepath.Join(s.Clone(), name))) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	if b, err := e.Find("booking"); err != nil || b.Path != s.Database() {
		t.Errorf("estate: %+v, %v", b, err)
	}
	want := []string{"M  apps/booking/src/lib/pricing.ts", " M apps/dashboard/src/lib/staff.ts", "?? apps/dashboard/src/lib/roster.ts"}
	if got := git(t, s.Clone(), "status", "--porcelain"); !slices.Equal(got, want) {
		t.Errorf("status: %q", got)
	}
	ignored := git(t, s.Clone(), "ls-files", "--others", "--ignored", "--exclude-standard")
	if want := []string{"apps/booking/.env", "apps/booking/.env.local", "apps/dashboard/.env", "packages/auth/.env", "packages/db/.env"}; !slices.Equal(ignored, want) {
		t.Errorf("env files: %q", ignored)
	}
	if n := len(git(t, s.Clone(), "rev-list", "--branches", "--not", "--remotes")); n != 3 {
		t.Errorf("%d commits that were never pushed", n)
	}
	if n := len(git(t, s.Clone(), "stash", "list")); n != 1 {
		t.Errorf("%d stashes", n)
	}
	if got := git(t, s.Clone(), "remote", "get-url", "origin")[0]; got != s.Origin() {
		t.Errorf("origin is %q", got)
	}
	if log := strings.Join(git(t, s.Clone(), "reflog"), "\n"); !strings.Contains(log, "clone: from "+s.Origin()) {
		t.Errorf("reflog:\n%s", log)
	}
	git(t, s.Clone(), "fetch", "origin")
	git(t, s.Clone(), "fsck", "--full")
}

func promisedDatabase(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	db := database(t, s.Database())
	rows := number(t, db, "SELECT (SELECT count(*) FROM customers) + (SELECT count(*) FROM staff) + (SELECT count(*) FROM services) + (SELECT count(*) FROM appointments) + (SELECT count(*) FROM payments)")
	if rows < 35000 || rows > 50000 {
		t.Errorf("%d rows", rows)
	}
	if n := number(t, db, "SELECT count(*) FROM pragma_foreign_key_check"); n != 0 {
		t.Errorf("%d rows refer to nothing", n)
	}
	if n := number(t, db, "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"); n < 5 {
		t.Errorf("%d indexes", n)
	}
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, %v", mode, err)
	}
	if _, err := db.Exec("INSERT INTO payments VALUES (1000000, 999999, 1, 'card', 'PAY-X', '2026-01-01')"); err == nil {
		t.Error("a payment for no appointment was taken")
	}
}

func promisedPrivate(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	for name, want := range map[string]fs.FileMode{s.Dir(): 0o700, s.Vault(): 0o700, s.Database(): 0o600,
		filepath.Join(s.Dir(), "truth", "made.json"): 0o600, filepath.Join(s.Clone(), "apps/booking/.env"): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if got := beside(t, s.Dir()); len(got) != 0 {
		t.Errorf("left beside it: %q", got)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// beside lists what lies in the parent of dir besides dir itself.
func beside(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != filepath.Base(dir) {
			out = append(out, e.Name())
		}
	}
	return out
}

func TestMakeIsDeterministic(t *testing.T) {
	t.Parallel()
	other := small
	other.Seed = 1
	a, b, c := made(t, small), made(t, small), made(t, other)
	refs := func(dir string) string {
		return strings.Join(git(t, dir, "for-each-ref", "--format=%(objectname) %(refname)"), "\n")
	}
	rows := func(s *sandbox.Sandbox) string {
		var text string
		err := database(t, s.Database()).QueryRow("SELECT group_concat(customer_id || starts_at || status) FROM appointments").Scan(&text)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if refs(a.Origin()) != refs(b.Origin()) || refs(a.Clone()) != refs(b.Clone()) || rows(a) != rows(b) {
		t.Error("the same options gave other commits or rows")
	}
	if refs(a.Origin()) == refs(c.Origin()) || rows(a) == rows(c) {
		t.Error("another seed gave the same commits or rows")
	}
	if a.ID() == b.ID() && a.ID() == c.ID() {
		t.Error("three sandboxes have one name")
	}
	for _, s := range []*sandbox.Sandbox{a, b} {
		if _, err := s.Break(t.Context(), sandbox.ForcePush); err != nil {
			t.Fatal(err)
		}
	}
	if refs(a.Origin()) != refs(b.Origin()) {
		t.Error("the same breakage gave other commits")
	}
}

func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "mine"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		o    sandbox.Options
		want string
	}{
		"a sandbox":       {s.Dir(), small, "there is a sandbox already"},
		"a used one":      {used, small, "not empty"},
		"a file":          {filepath.Join(used, "mine"), small, "not a directory"},
		"a link":          {link, small, "symbolic link"},
		"the root":        {"/", small, "root"},
		"below the root":  {"/lifeboat-sandbox", small, "root"},
		"home":            {u.HomeDir, small, "\""},
		"home's parent":   {filepath.Dir(u.HomeDir), small, "\""},
		"nothing":         {"", small, "no directory is named"},
		"too few commits": {filepath.Join(used, "new"), sandbox.Options{Commits: 59}, "at least 60"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sandbox.Make(t.Context(), c.dir, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Make(%q) = %v, want %q", c.dir, err, c.want)
			}
		})
	}
	if _, err := sandbox.Make(t.Context(), s.Dir(), small); !errors.Is(err, sandbox.ErrExists) {
		t.Errorf("a second time: %v", err)
	}
	if got := string(read(t, filepath.Join(used, "mine"))); got != "mine" {
		t.Errorf("a refused directory holds %q now", got)
	}
}

func TestMakeAfterCrash(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "sb")
	stale, alive, trash := filepath.Join(parent, ".sb.sandbox-1"), filepath.Join(parent, ".sb.sandbox-2"), filepath.Join(parent, ".sb.sandbox-3")
	for _, d := range []string{stale, alive, trash} {
		if err := os.MkdirAll(filepath.Join(d, "origin.git"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{stale + "/.making", trash + "/.lifeboat-sandbox"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	held, err := durable.Lock(alive+"/.making", "another process")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sandbox.Make(ctx, dir, small); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := sandbox.Open(dir); !errors.Is(err, sandbox.ErrNone) {
		t.Errorf("after a cancelled Make: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil { // an empty directory is as good as none
		t.Fatal(err)
	}
	if _, err := sandbox.Make(t.Context(), dir, small); err != nil {
		t.Fatal(err)
	}
	if got := beside(t, dir); !slices.Equal(got, []string{filepath.Base(alive)}) {
		t.Errorf("beside the sandbox: %q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"nothing": "", "no JSON": "{", "newer": `{"version": 99, "id": "sb-1"}`, "no id": `{"version": 1}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, ".lifeboat-sandbox"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := sandbox.Open(dir)
			if !errors.Is(err, sandbox.ErrNone) || len(hint.All(err)) == 0 {
				t.Errorf("%v, advice %q", err, hint.All(err))
			}
		})
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	marker := filepath.Join(s.Dir(), ".lifeboat-sandbox")
	refused := func(why string) {
		t.Helper()
		if err := s.Remove(t.Context()); err == nil {
			t.Fatalf("removed %s", why)
		}
		if _, err := os.Stat(s.Origin()); err != nil {
			t.Fatalf("%s: %v", why, err)
		}
	}
	text := read(t, marker)
	if err := os.Remove(marker); err != nil {
		t.Fatal(err)
	}
	refused("without a marker")
	if err := os.WriteFile(marker, []byte(strings.Replace(string(text), s.ID(), "sb-other", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("another sandbox")
	if err := os.WriteFile(marker, text, 0o600); err != nil {
		t.Fatal(err)
	}
	moved := s.Dir() + ".moved"
	if err := errors.Join(os.Rename(s.Dir(), moved), os.Symlink(moved, s.Dir())); err != nil {
		t.Fatal(err)
	}
	refused("through a link")
	if err := errors.Join(os.Remove(s.Dir()), os.Rename(moved, s.Dir())); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
	if got := beside(t, s.Dir()); len(got) != 0 {
		t.Errorf("left beside it: %q", got)
	}
	if err := s.Remove(t.Context()); !errors.Is(err, sandbox.ErrNone) {
		t.Errorf("a second time: %v", err)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	before := id(t, s.Origin(), "main")
	if _, err := s.Break(t.Context(), sandbox.ForcePush); err != nil {
		t.Fatal(err)
	}
	fresh, err := s.Reset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Dir() != s.Dir() || id(t, fresh.Origin(), "main") != before {
		t.Error("the new sandbox is another one")
	}
	if broken, err := fresh.Broken(); broken != "" || err != nil {
		t.Errorf("the new sandbox is broken: %q, %v", broken, err)
	}
	if _, err := fresh.Break(t.Context(), sandbox.CorruptObject); err != nil {
		t.Errorf("break the new one: %v", err)
	}
	if got := beside(t, s.Dir()); len(got) != 0 {
		t.Errorf("left beside it: %q", got)
	}
	if fresh.ID() != s.ID() {
		if _, err := s.Break(t.Context(), sandbox.ForcePush); err == nil {
			t.Error("the old handle broke the new sandbox")
		}
	}
}

// BenchmarkWhole is what a drill costs before and after its runbook. On two idle cores
// it must stay below eight seconds; it takes about one.
func BenchmarkWhole(b *testing.B) {
	for b.Loop() {
		began := time.Now()
		s, err := sandbox.Make(b.Context(), filepath.Join(b.TempDir(), "sandbox"), sandbox.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Break(b.Context(), sandbox.ForcePush); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Judge(b.Context()); err != nil {
			b.Fatal(err)
		}
		if took := time.Since(began); took > 8*time.Second {
			b.Errorf("make, break and judge took %v", took)
		}
	}
}
