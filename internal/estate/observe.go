package estate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/command"
)

// Observed is what can be told of a directory by looking at it, for [Propose].
type Observed struct {
	Dir        string // absolute
	Name       string // of the directory
	Repository bool   // a git repository has its top here
	Remote     string // where "origin" is, without credentials; empty when there is none

	DefaultBranch string
	Branches      []string // those that usually matter, the default one first

	// All paths are relative to Dir, with slashes, sorted.
	Databases      []string // SQLite databases, by their content
	EnvPatterns    []string // patterns that match the files of environment variables that were found
	Infrastructure []string // directories with infrastructure as code
	Workflows      bool     // .github/workflows
	CriticalFiles  []string // files without which nothing works
	D1             []D1     // databases of Cloudflare
	Kubernetes     bool     // something is deployed to a cluster
	Deployments    []string // names of Deployments in manifests
	LFS            bool     // Git LFS is in use
	Submodules     []string
	Truncated      bool // the directory has more entries than were looked at
}

// D1 is a database of Cloudflare that a wrangler configuration names.
type D1 struct{ Name, Config string }

// How much of a directory is looked at.
const (
	maxEntries = 20_000
	maxLevels  = 6
	maxConfig  = 256 << 10 // bytes of a configuration file
	maxFound   = 50        // things of one kind
)

// skipped are directories that others made, and can make again.
var skipped = []string{".git", "node_modules", "vendor", "target", "dist", "build", ".next", ".venv", "venv", "__pycache__", ".cache", ".terraform", ".wrangler", ".turbo"}

// Observe looks at a directory and asks git about it. It reads little of each file,
// follows no symbolic link and goes only so deep; what it cannot read it leaves out. The
// error is that the directory cannot be read at all, or the context's.
func Observe(ctx context.Context, dir string) (Observed, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Observed{}, fmt.Errorf("look at %q: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Observed{}, fmt.Errorf("look at %q: %w", dir, err)
	}
	defer root.Close()
	o := Observed{Dir: dir, Name: filepath.Base(dir)}
	w := &walk{ctx: ctx, fsys: root.FS(), found: &o}
	if err := fs.WalkDir(w.fsys, ".", w.visit); err != nil && !errors.Is(err, fs.SkipAll) {
		return Observed{}, fmt.Errorf("look at %q: %w", dir, err)
	}
	w.settle()
	if err := o.askGit(ctx); err != nil {
		return Observed{}, fmt.Errorf("look at %q: %w", dir, err)
	}
	return o, nil
}

// walk goes through a directory.
type walk struct {
	ctx   context.Context
	fsys  fs.FS
	found *Observed
	seen  int
}

func (w *walk) visit(p string, d fs.DirEntry, err error) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if err != nil {
		if p == "." {
			return err
		}
		if d != nil && d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if w.seen++; w.seen > maxEntries {
		w.found.Truncated = true
		return fs.SkipAll
	}
	if d.IsDir() {
		return w.directory(p, d.Name())
	}
	if d.Type().IsRegular() {
		w.file(p, d.Name())
	}
	return nil
}

func (w *walk) directory(p, name string) error {
	o := w.found
	switch {
	case p == ".":
		return nil
	case slices.Contains(skipped, name):
		return fs.SkipDir
	case p == ".github/workflows":
		o.Workflows = true
	case !strings.Contains(p, "/") && slices.Contains([]string{"infrastructure", "infra", "terraform", "k8s", "kubernetes", "helm", "charts"}, name):
		o.Infrastructure = append(o.Infrastructure, p)
	}
	if slices.Contains([]string{"k8s", "kubernetes", "helm", "charts"}, name) {
		o.Kubernetes = true
	}
	if strings.Count(p, "/")+1 >= maxLevels {
		return fs.SkipDir
	}
	return nil
}

func (w *walk) file(p, name string) {
	o := w.found
	ext := strings.ToLower(path.Ext(name))
	switch {
	case strings.HasPrefix(name, ".env") && !slices.Contains([]string{".example", ".sample", ".template", ".dist", ".schema"}, ext) && name != ".envrc":
		o.EnvPatterns = append(o.EnvPatterns, envGlob(p))
	case slices.Contains([]string{".db", ".sqlite", ".sqlite3", ".db3"}, ext) && w.isDatabase(p):
		o.Databases = append(o.Databases, p)
	case slices.Contains([]string{"kustomization.yaml", "kustomization.yml", "Chart.yaml"}, name):
		o.Kubernetes = true
	case slices.Contains([]string{"wrangler.toml", "wrangler.json", "wrangler.jsonc"}, name):
		for _, m := range databaseName.FindAllSubmatch(w.read(p, maxConfig), maxFound) {
			o.D1 = append(o.D1, D1{string(m[1]), p})
		}
	case (ext == ".yaml" || ext == ".yml") && deploys(p):
		o.Deployments = append(o.Deployments, deployments(w.read(p, maxConfig))...)
	case name == ".gitattributes" && bytes.Contains(w.read(p, maxConfig), []byte("filter=lfs")):
		o.LFS = true
	case p == ".gitmodules":
		for _, m := range modulePath.FindAllSubmatch(w.read(p, maxConfig), maxFound) {
			o.Submodules = append(o.Submodules, strings.TrimSpace(string(m[1])))
		}
	}
}

var (
	databaseName = regexp.MustCompile(`(?m)^[^#/\n]*?"?database_name"?\s*[:=]\s*["']([A-Za-z0-9_][A-Za-z0-9_-]{0,99})["']`)
	modulePath   = regexp.MustCompile(`(?m)^\s*path\s*=\s*(.+)$`)
)

// deploys says whether a file lies where manifests of a cluster do.
func deploys(p string) bool {
	return slices.ContainsFunc(strings.Split(path.Dir(p), "/"), func(d string) bool {
		return slices.Contains([]string{"k8s", "kubernetes", "deploy", "manifests"}, d)
	})
}

var (
	isDeployment = regexp.MustCompile(`(?m)^kind:\s*["']?Deployment["']?\s*$`)
	objectName   = regexp.MustCompile(`(?m)^metadata:\s*(?:\{[^}\n]*?\bname:\s*["']?([a-z0-9.-]{1,253})["']?\s*[,}]|(?:#.*)?\n(?:[ \t]+.*\n|[ \t]*#.*\n)*?[ \t]{1,8}name:\s*["']?([a-z0-9.-]{1,253})["']?\s*$)`)
)

// deployments finds the names of Deployments in a manifest. A template does not look like
// one, and says nothing.
func deployments(text []byte) (names []string) {
	for _, doc := range bytes.Split(text, []byte("\n---")) {
		if !isDeployment.Match(doc) {
			continue
		}
		if m := objectName.FindSubmatch(append(doc, '\n')); m != nil {
			names = append(names, string(m[1])+string(m[2]))
		}
	}
	return names
}

// envGlob generalises the path of a file of variables: one of an app stands for those of
// all apps, also of the next one.
func envGlob(p string) string {
	parts := strings.Split(path.Dir(p), "/")
	switch {
	case parts[0] == ".":
		return ".env*"
	case strings.ContainsAny(parts[0], `*?[\`) || strings.HasPrefix(parts[0], "!"):
		return "**/.env*"
	case len(parts) == 1:
		return parts[0] + "/.env*"
	case len(parts) == 2:
		return parts[0] + "/*/.env*"
	}
	return parts[0] + "/**/.env*"
}

// isDatabase looks for what every SQLite database begins with.
func (w *walk) isDatabase(p string) bool {
	return bytes.Equal(w.read(p, 16), []byte("SQLite format 3\x00"))
}

func (w *walk) read(p string, limit int64) []byte {
	f, err := w.fsys.Open(p)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil
	}
	return b
}

// critical are files that a repository cannot do without, as far as anybody can tell.
var critical = []string{
	"README.md", "package.json", "pnpm-lock.yaml", "package-lock.json", "yarn.lock", "bun.lock", "pnpm-workspace.yaml",
	"go.mod", "go.sum", "Cargo.toml", "Cargo.lock", "pyproject.toml", "poetry.lock", "uv.lock", "requirements.txt",
	"Gemfile", "Gemfile.lock", "composer.json", "composer.lock", "pom.xml", "build.gradle", "Makefile", "Dockerfile",
	"apps/*/package.json", "packages/*/package.json",
}

// settle sorts what was found and bounds it.
func (w *walk) settle() {
	o := w.found
	for _, pattern := range critical {
		names, err := fs.Glob(w.fsys, pattern)
		if err != nil {
			continue
		}
		for _, name := range names {
			if info, err := fs.Stat(w.fsys, name); err == nil && info.Mode().IsRegular() {
				o.CriticalFiles = append(o.CriticalFiles, name)
			}
		}
	}
	for _, list := range []*[]string{&o.Deployments, &o.Databases, &o.EnvPatterns, &o.Infrastructure, &o.CriticalFiles, &o.Submodules} {
		if list != &o.CriticalFiles { // these stand in the order of their weight
			slices.Sort(*list)
		}
		*list = slices.Compact(*list)
		if len(*list) > maxFound {
			*list, o.Truncated = (*list)[:maxFound], true
		}
	}
	slices.SortFunc(o.D1, func(a, b D1) int { return strings.Compare(a.Name+"\x00"+a.Config, b.Name+"\x00"+b.Config) })
	o.D1 = slices.CompactFunc(o.D1, func(a, b D1) bool { return a.Name == b.Name })
}

// askGit learns what git knows. A directory that is no repository has nothing to tell;
// without git nobody could say, which is an error.
func (o *Observed) askGit(ctx context.Context) error {
	ask := func(args ...string) (string, error) {
		out, err := command.Output(ctx, command.Git(o.Dir, args...))
		return strings.TrimSpace(string(out)), err
	}
	if _, err := ask("rev-parse", "--git-dir"); err != nil {
		var exit *command.ExitError
		if errors.As(err, &exit) {
			return nil
		}
		return err
	}
	o.Repository = true
	if remote, err := ask("config", "--get", "remote.origin.url"); err == nil {
		o.Remote = withoutCredentials(remote)
	}
	where := "refs/heads/"
	if ref, err := ask("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"); err == nil {
		o.DefaultBranch = strings.TrimPrefix(ref, "refs/remotes/origin/")
		where = "refs/remotes/origin/"
	} else if ref, err := ask("symbolic-ref", "--quiet", "HEAD"); err == nil {
		o.DefaultBranch = strings.TrimPrefix(ref, "refs/heads/")
	}
	refs, err := ask("for-each-ref", "--format=%(refname)", where)
	if err != nil {
		return err
	}
	if o.DefaultBranch != "" {
		o.Branches = append(o.Branches, o.DefaultBranch)
	}
	for ref := range strings.Lines(refs) {
		name := strings.TrimPrefix(strings.TrimSpace(ref), where)
		if name != o.DefaultBranch && slices.Contains([]string{"main", "master", "develop", "dev", "staging", "production", "trunk"}, name) {
			o.Branches = append(o.Branches, name)
		}
	}
	return nil
}

// withoutCredentials takes user and password out of an address that is fetched over HTTP,
// and the password out of any other.
func withoutCredentials(remote string) string {
	scheme, _, ok := strings.Cut(remote, "://")
	if !ok {
		return show(remote) // the short form has no password, and what looks like one is hidden
	}
	u, err := url.Parse(remote)
	if err != nil {
		return ""
	}
	switch {
	case scheme == "https" || scheme == "http":
		u.User = nil
	case u.User != nil:
		u.User = url.User(u.User.Username())
	}
	return u.String()
}
