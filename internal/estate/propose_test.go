package estate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeboat/internal/command"
	"lifeboat/internal/estate"
	"lifeboat/runbooks"
)

// tree makes files. A content of "db" is the head of a SQLite database.
func tree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if content == "db" {
			content = "SQLite format 3\x00 and pages"
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := command.Run(t.Context(), command.Git(dir, args...)); err != nil {
		t.Fatal(err)
	}
}

// booking makes a repository like the one that the protocol protects.
func booking(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "Booking App")
	tree(t, dir, map[string]string{
		"README.md": "", "package.json": "{}", "pnpm-lock.yaml": "", "apps/booking/package.json": "{}",
		"apps/booking/.env": "A=1", "apps/dashboard/.env.local": "A=2", "packages/auth/.env.production": "A=3",
		"apps/booking/.env.example": "A=", ".env": "A=4",
		"infrastructure/main.tf": "", "infrastructure/k8s/app.yaml": "", ".github/workflows/ci.yml": "",
		"data/bookings.db": "db", "data/true.sqlite": "db", "data/Thumbs.db": "no database",
		"node_modules/x/y.db": "db", "vendor/z.sqlite": "db", "a/b/c/d/e/f/g/deep.db": "db",
		"apps/booking/wrangler.toml":    "name = \"b\"\n[[d1_databases]]\nbinding = \"DB\"\n  database_name = \"booking-db\"\n# database_name = \"old\"\n",
		"apps/dashboard/wrangler.jsonc": `{"d1_databases": [{"binding": "DB", "database_name": "dash"}]}`,
		".gitattributes":                "*.png filter=lfs diff=lfs merge=lfs -text\n",
		".gitmodules":                   "[submodule \"ui\"]\n\tpath = libs/ui\n\turl = ../ui.git\n",
	})
	git(t, dir, "init", "--initial-branch=trunk", "--quiet", ".")
	git(t, dir, "add", "README.md")
	git(t, dir, "commit", "--quiet", "-m", "one")
	for _, b := range []string{"develop", "main", "topic"} {
		git(t, dir, "branch", b)
	}
	git(t, dir, "remote", "add", "origin", "https://me:hunter2@git.example.org/company/booking.git?x=1")
	return dir
}

func TestObserve(t *testing.T) {
	dir := booking(t)
	got, err := estate.Observe(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := estate.Observed{
		Dir: dir, Name: "Booking App", Repository: true, Remote: "https://git.example.org/company/booking.git?x=1",
		DefaultBranch: "trunk", Branches: []string{"trunk", "develop", "main"},
		Databases:      []string{"data/bookings.db", "data/true.sqlite"},
		EnvPatterns:    []string{".env*", "apps/*/.env*", "packages/*/.env*"},
		Infrastructure: []string{"infrastructure"}, Workflows: true,
		CriticalFiles: []string{"README.md", "package.json", "pnpm-lock.yaml", "apps/booking/package.json"},
		D1:            []estate.D1{{Name: "booking-db", Config: "apps/booking/wrangler.toml"}, {Name: "dash", Config: "apps/dashboard/wrangler.jsonc"}},
		Kubernetes:    true, LFS: true, Submodules: []string{"libs/ui"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Observe (-want +got):\n%s", diff)
	}
}

// TestObserveClone: the branches that matter are those of the shared repository.
func TestObserveClone(t *testing.T) {
	origin := booking(t)
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "--quiet", origin, dir)
	got, err := estate.Observe(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.DefaultBranch != "trunk" || !slices.Equal(got.Branches, []string{"trunk", "develop", "main"}) || got.Remote != origin {
		t.Errorf("Observe = %q, %q, remote %q", got.DefaultBranch, got.Branches, got.Remote)
	}
	e := propose(t, got)
	if e.Assets[0].Remote != origin {
		t.Errorf("the remote became %q", e.Assets[0].Remote)
	}
}

func TestObserveElsewhere(t *testing.T) {
	empty := t.TempDir()
	got, err := estate.Observe(t.Context(), empty)
	if err != nil || got.Repository {
		t.Errorf("Observe of an empty directory = %+v, %v", got, err)
	}
	propose(t, got)
	// A directory inside a repository is not the repository.
	inside := filepath.Join(booking(t), "apps")
	if got, err = estate.Observe(t.Context(), inside); err != nil || got.Repository {
		t.Errorf("Observe of a directory in a repository = %+v, %v", got, err)
	}
	if _, err := estate.Observe(t.Context(), filepath.Join(empty, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Observe of nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := estate.Observe(ctx, empty); !errors.Is(err, context.Canceled) {
		t.Errorf("Observe, cancelled: %v", err)
	}
}

// TestObserveFollowsNoLink: a link must not bring in what lies outside, nor go round.
func TestObserveFollowsNoLink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	tree(t, outside, map[string]string{"secret.db": "db", ".env": ""})
	for name, to := range map[string]string{"out": outside, "round": ".", "linked.db": filepath.Join(outside, "secret.db"), ".env": filepath.Join(outside, ".env")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := estate.Observe(t.Context(), dir)
	if err != nil || len(got.Databases)+len(got.EnvPatterns) > 0 {
		t.Errorf("Observe = %+v, %v", got, err)
	}
}

// propose wants a proposal that is accepted.
func propose(t interface {
	Helper()
	Fatalf(string, ...any)
}, o estate.Observed) *estate.Estate {
	t.Helper()
	dir := o.Dir
	if dir == "" {
		dir = "/srv/x"
	}
	text := estate.Propose(o)
	e, problems := estate.Load(filepath.Join(dir, estate.FileName), text)
	if len(problems) > 0 {
		t.Fatalf("the proposal for %+v is refused: %v\n%s", o, problems, text)
	}
	return e
}

func TestProposeBooking(t *testing.T) {
	dir := booking(t)
	o, err := estate.Observe(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	e := propose(t, o)
	text := string(estate.Propose(o))
	if strings.Contains(text, "hunter2") {
		t.Error("the proposal holds a password")
	}
	var names []string
	for _, a := range e.Assets {
		names = append(names, a.Name+" "+a.Kind)
	}
	if diff := cmp.Diff([]string{"booking-app git", "bookings sqlite", "true sqlite", "infrastructure files"}, names); diff != "" {
		t.Errorf("assets (-want +got):\n%s", diff)
	}
	repo := e.Assets[0]
	if repo.Path != dir || !repo.LFS || repo.Tier != "critical" || !slices.Equal(repo.Branches, []string{"trunk", "develop", "main"}) || len(repo.Critical) != 4 {
		t.Errorf("repository: %+v", repo)
	}
	if e.Name != "Booking App" || e.Vault != "file://"+filepath.Dir(dir)+"/booking-app-vault?create=1" || len(e.Schedules) != 5 || e.Retention.Daily != 14 {
		t.Errorf("estate: %q %q %v %v", e.Name, e.Vault, e.Schedules, e.Retention)
	}
	for _, s := range e.Schedules {
		if _, err := runbooks.FS.ReadFile(s.Runbook + ".md"); err != nil {
			t.Errorf("schedule %q: %v", s.Name, err)
		}
	}
	if diff := cmp.Diff(estate.DefaultLevels(), e.Levels); diff != "" {
		t.Errorf("levels (-default +proposed):\n%s", diff)
	}
	for _, want := range []string{"no backup. When the disk dies", "FOUND AND NOT PROTECTED YET", "packages/*/.env*", "database: booking-db, config: ./apps/booking/wrangler.toml", "submodule libs/ui", "export --format kubernetes"} {
		if !strings.Contains(text, want) {
			t.Errorf("the proposal does not say %q:\n%s", want, text)
		}
	}
}

// TestCommentsAreTrue: what the proposal teaches in comments is accepted when the marks
// are taken away.
func TestCommentsAreTrue(t *testing.T) {
	o, err := estate.Observe(t.Context(), booking(t))
	if err != nil {
		t.Fatal(err)
	}
	public, _ := recipient(t)
	glass, _ := recipient(t)
	var out []string
	for line := range strings.Lines(string(estate.Propose(o))) {
		bare := strings.TrimLeft(line, " ")
		if rest, ok := strings.CutPrefix(bare, "# "); ok && yamlLine(rest) {
			indent := line[:len(line)-len(bare)]
			line = indent + rest
		}
		out = append(out, line)
	}
	text := strings.NewReplacer("recipients: [age1...]", "recipients: ["+public+"]", "break_glass: age1...", "break_glass: "+glass).Replace(strings.Join(out, ""))
	e, problems := estate.Load("/srv/x/lifeboat.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, text)
	}
	if len(e.Contacts) != 1 || len(e.Alerts) != 2 || len(e.Documents) != 1 || len(e.Schedules) != 5 || len(e.Copies) != 1 || e.Encryption.Method != "age" || len(e.Assets) != 9 || len(e.Assets[0].Mirrors) != 1 || len(e.Assets[0].Build) != 2 {
		t.Errorf("not everything was a comment: %+v", e)
	}
}

// yamlLine tells a commented line of YAML from a sentence.
func yamlLine(s string) bool {
	s = strings.TrimLeft(s, " ")
	for _, start := range []string{"copies:", "encryption:", "method:", "recipients:", "break_glass:", "identity:", "rotate_every:", "assertions:",
		"mirrors:", "build:", "env:", "kind:", "path:", "include:", "secret:", "tier:", "booking-db:", "dash:", "auth:", "dump:", "{kind", "alerts:",
		"- command", "on:", "contacts:", "- {", "responders:", "trainees:", "documents:"} {
		if strings.HasPrefix(s, start) {
			return true
		}
	}
	return false
}

func TestProposeHostile(t *testing.T) {
	for _, name := range []string{"", ".", "true", "null", "12", "1e3", "a: b", "a #b", "- x", "&a", "*a", "!x", "%", "@x", "`", "'", `"`, `\`, "é", "\u2028", "\x1b[2J", "a\nb",
		"\xff", "~", "{", "[", "AGE-SECRET-KEY-1XYZ", strings.Repeat("x", 5000), "=", "<<", "y", "0x1f", "2026-11-23", "-", "--", "---", "...", "a\u0085b", "\ufeff", "?", "? a", "a:", ":a"} {
		e := propose(t, estate.Observed{
			Name: name, Repository: true, Remote: name, DefaultBranch: name, Branches: []string{name, "main"}, Databases: []string{name, "d/" + name, name + ".db"},
			EnvPatterns: []string{name + "/*/.env*"}, Infrastructure: []string{name}, CriticalFiles: []string{name}, D1: []estate.D1{{Name: name, Config: name}}, Submodules: []string{name},
		})
		if len(e.Assets) == 0 {
			t.Errorf("%q: no asset", name)
		}
	}
	if e := propose(t, estate.Observed{}); len(e.Assets) != 1 || e.Assets[0].Kind != estate.Files {
		t.Errorf("nothing observed: %+v", e.Assets)
	}
}

func TestProposeAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[-a-z0-9./_~:#'"{}\[\],&*!|>%@ ]{0,20}`))
		texts := rapid.SliceOfN(text, 0, 4)
		o := estate.Observed{
			Dir: "/srv/x", Name: text.Draw(t, "name"), Repository: rapid.Bool().Draw(t, "repository"), Remote: text.Draw(t, "remote"),
			Branches: texts.Draw(t, "branches"), Databases: texts.Draw(t, "databases"), EnvPatterns: texts.Draw(t, "env"),
			Infrastructure: texts.Draw(t, "infrastructure"), Workflows: rapid.Bool().Draw(t, "workflows"), CriticalFiles: texts.Draw(t, "critical"),
			D1: []estate.D1{{Name: text.Draw(t, "d1"), Config: text.Draw(t, "config")}}, Submodules: texts.Draw(t, "submodules"),
			LFS: rapid.Bool().Draw(t, "lfs"), Kubernetes: rapid.Bool().Draw(t, "kubernetes"), Truncated: rapid.Bool().Draw(t, "truncated"),
		}
		propose(t, o)
	})
}
