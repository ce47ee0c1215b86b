package estate

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/internal/hint"
)

// belongs says which keys each kind of asset has, beside kind, tier, secret and unencrypted.
func belongs(kind string) []string {
	switch kind {
	case Git:
		return []string{"path", "remote", "branches", "critical_files", "mirrors", "clones", "exclude", "lfs", "build", "forge"}
	case SQLite:
		return []string{"path", "critical_files", "assertions", "erasures"}
	case Files:
		return []string{"path", "include", "exclude", "critical_files", "ours"}
	case Stream:
		return []string{"preset", "dump", "load", "config", "call", "uri_env", "context", "namespace", "workload", "container", "database", "oplog", "host", "user", "port", "format"}
	}
	return nil
}

// asset reads one asset and the rules that tie its keys together.
func (l *loader) asset(name string, entry *ast.MappingValueNode, body *ast.MappingNode) {
	a := Asset{Name: name, Tier: "standard"}
	in := fmt.Sprintf("asset %q", name)
	var kind, tier, include, exclude, forge ast.Node
	seen := l.fields(body, in, append([]field{
		l.line("kind", func(n ast.Node, t string) { a.Kind, kind = t, n }),
		l.line("path", func(n ast.Node, t string) { a.Path = l.path(n, t) }),
		l.line("remote", func(n ast.Node, t string) { a.Remote = l.remoteURL(n, "remote", t) }),
		{"branches", func(n ast.Node) { a.Branches = l.branches(n) }},
		{"critical_files", func(n ast.Node) { a.Critical = l.critical(n) }},
		l.line("tier", func(n ast.Node, t string) { a.Tier, tier = t, n }),
		{"mirrors", func(n ast.Node) { a.Mirrors = l.mirrors(n) }},
		{"clones", func(n ast.Node) { a.Clones = l.clones(n) }},
		{"include", func(n ast.Node) { include = n }},
		{"exclude", func(n ast.Node) { exclude = n }},
		l.flag("lfs", &a.LFS),
		{"build", func(n ast.Node) { a.Build = l.build(n) }},
		{"forge", func(n ast.Node) { forge = n }},
		{"assertions", func(n ast.Node) { a.Assertions = l.assertions(n) }},
		{"erasures", func(n ast.Node) { a.Erasures = l.erasures(n) }},
		{"ours", func(n ast.Node) { a.Ours = l.variables(n) }},
		l.flag("secret", &a.Secret),
		l.flag("unencrypted", &a.Unencrypted),
	}, l.streamFields(&a)...))
	if t, ok := l.tiers[a.Tier]; ok {
		a.RTO, a.RPO = t.RTO, t.RPO
	} else if tier != nil {
		l.add(l.pos(tier), "value", choice(a.Tier, tierNames), "there is no tier %q", a.Tier)
	}
	switch {
	case seen["kind"] == nil:
		l.add(l.pos(entry.Key), "missing-key", `add "kind: git", "kind: sqlite", "kind: files" or "kind: stream"`, "%s has no kind", in)
	case kind == nil: // reported
	case !slices.Contains(kinds, a.Kind):
		l.add(l.pos(kind), "value", choice(a.Kind, kinds), "there is no kind of asset %q", a.Kind)
	default:
		if include != nil {
			a.Include = l.globs(include, "include")
		}
		if exclude != nil && a.Kind == Git {
			a.Exclude = l.refGlobs(exclude)
		} else if exclude != nil {
			a.Exclude = l.globs(exclude, "exclude")
		}
		if a.Kind == Git {
			l.forge(&a, forge)
		}
		l.kind(&a, entry.Key, seen)
		l.secrecy(&a, entry.Key, seen)
	}
	l.estate.Assets = append(l.estate.Assets, a)
}

// plurals name kinds of assets in messages.
var plurals = map[string]string{Git: "repositories", SQLite: "databases", Files: "files", Stream: "streams"}

// kind checks what one kind of asset must and must not say.
func (l *loader) kind(a *Asset, here ast.Node, seen map[string]ast.Node) {
	in := fmt.Sprintf("asset %q", a.Name)
	for key, n := range seen {
		if slices.Contains(belongs(a.Kind), key) || slices.Contains([]string{"kind", "tier", "secret", "unencrypted"}, key) {
			continue
		}
		var others []string
		for _, k := range kinds {
			if slices.Contains(belongs(k), key) {
				others = append(others, plurals[k])
			}
		}
		l.add(l.pos(n), "unknown-key", "remove it", "%s: %q is for %s, not %s", in, key, strings.Join(others, " and "), plurals[a.Kind])
	}
	switch {
	case a.Kind == Git && seen["path"] == nil && seen["remote"] == nil:
		l.add(l.pos(here), "missing-key", `add "path:" of the clone, "remote:" of the shared repository, or both`,
			"%s has neither path nor remote", in)
	case a.Kind == SQLite && seen["path"] == nil:
		l.add(l.pos(here), "missing-key", `add "path:" of the database file`, "%s has no path", in)
	case a.Kind == Files && seen["path"] == nil:
		l.add(l.pos(here), "missing-key", `add "path:" of the directory`, "%s has no path", in)
	case a.Kind == Stream:
		l.stream(a, here, seen)
	}
	l.ownClone(a, seen["clones"])
	for _, m := range a.Mirrors {
		if a.Remote != "" && sameRemote(m.URL, a.Remote) {
			l.add(l.pos(seen["mirrors"]), "value", "a mirror lies elsewhere; give its own address", "%s: the mirror %q is the remote itself", in, m.Name)
		}
	}
}

// secrecy holds that secrets are stored encrypted. A file of environment variables is
// secret unless the file says that it is not.
func (l *loader) secrecy(a *Asset, here ast.Node, seen map[string]ast.Node) {
	why := seen["secret"]
	if a.Kind == Files && why == nil && slices.ContainsFunc(a.Include, envPattern) {
		a.Secret, why = true, seen["include"]
	}
	if n := seen["unencrypted"]; n != nil && a.Unencrypted && !a.Secret {
		l.add(l.pos(n), "value", `remove it, or add "secret: true"`, "asset %q is not secret, so \"unencrypted\" changes nothing", a.Name)
	}
	if !a.Secret || a.Unencrypted {
		return
	}
	name := a.Name
	l.atEnd = append(l.atEnd, func() {
		if l.estate.Encryption.Method == "none" {
			l.add(l.pos(why), "unencrypted", `add "encryption:" with a recipient, or "unencrypted: true" to this asset if everybody who reads the vault may know them`,
				"asset %q holds secrets, and backups are not encrypted", name)
		}
	})
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// variables reads names of environment variables.
func (l *loader) variables(n ast.Node) (out []string) {
	texts, nodes := l.list(n, "ours")
	for i, t := range texts {
		if !variableName.MatchString(t) {
			l.add(l.pos(nodes[i]), "value", "write only its name: MY_SIGNING_KEY", "this is no name of a variable")
			continue
		}
		out = append(out, t)
	}
	return out
}

func envPattern(p string) bool {
	last := p[strings.LastIndexByte(p, '/')+1:]
	return strings.HasPrefix(last, ".env") || strings.HasSuffix(last, ".env")
}

func choice(got string, names []string) string {
	if near := hint.Nearest(got, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "write one of " + strings.Join(names, ", ")
}

// path makes a path of the file absolute.
func (l *loader) path(n ast.Node, p string) string {
	if strings.HasPrefix(p, "~") {
		l.add(l.pos(n), "value", "write the whole path", "%q: \"~\" is not expanded here", p)
		return ""
	}
	if scheme, _, ok := strings.Cut(p, "://"); ok {
		l.add(l.pos(n), "value", `addresses belong to "remote:"`, "path is a file or directory, not a %q address", scheme)
		return ""
	}
	return l.abs(p)
}

func (l *loader) abs(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(l.estate.Dir, p)
}

// fileURL makes the path in a file URL absolute; rest is what follows "file:".
func (l *loader) fileURL(n ast.Node, rest string) string {
	p, query, hasQuery := strings.Cut(rest, "?")
	if after, ok := strings.CutPrefix(p, "//"); ok {
		p = strings.TrimPrefix(after, "localhost")
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, ".") {
			l.add(l.pos(n), "value", `write "file:./dir" for a directory beside this file, "file:///dir" for an absolute one`,
				"%q names a host", "file:"+rest)
			return ""
		}
	}
	p, err := url.PathUnescape(p)
	if err != nil || p == "" {
		l.add(l.pos(n), "value", `write "file:./dir" or "file:///dir"`, "%q has no sound path", "file:"+rest)
		return ""
	}
	u := url.URL{Scheme: "file", Path: l.abs(p)}
	if hasQuery {
		u.RawQuery = query
	}
	return u.String()
}

// schemes of buckets that can be opened.
var schemes = []string{"file", "s3", "gs", "azblob", "mem"}

func (l *loader) vaultURL(n ast.Node, what, s string) string {
	if rest, ok := strings.CutPrefix(s, "file:"); ok {
		return l.fileURL(n, rest)
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || !strings.Contains(s, "://") {
		l.add(l.pos(n), "value", `write an address such as "file:./vault" or "s3://bucket?region=eu-central-1"`,
			"%s: %q is not the address of a bucket", what, show(s))
		return ""
	}
	if !slices.Contains(schemes, u.Scheme) {
		l.add(l.pos(n), "value", choice(u.Scheme, schemes), "%s: %q is no kind of bucket", what, u.Scheme)
		return ""
	}
	if l.password(n, u, what) {
		return ""
	}
	return s
}

// show is an address for a message, without what may be a password in it.
func show(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 && (ok || strings.Contains(authority[:i], ":")) {
		authority = "…" + authority[i:]
	}
	if ok {
		scheme += "://"
	}
	return scheme + authority + tail
}

// sameRemote compares addresses as people write them.
func sameRemote(a, b string) bool {
	trim := func(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "/"), ".git") }
	return trim(a) == trim(b)
}

var mirrorName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// mirrors reads where copies of a repository are kept.
func (l *loader) mirrors(n ast.Node) (out []Mirror) {
	l.entries(n, "mirrors", func(name string, key, value ast.Node) {
		if !mirrorName.MatchString(name) {
			l.add(l.pos(key), "value", `use lower-case letters, digits and "-"`, "%q is no name for a mirror", name)
			return
		}
		t, ok := l.text(value, fmt.Sprintf("mirror %q", name))
		if !ok {
			return
		}
		m := Mirror{Name: name, URL: l.remoteURL(value, fmt.Sprintf("mirror %q", name), t)}
		if m.URL == "" {
			return
		}
		for _, other := range out {
			if sameRemote(m.URL, other.URL) {
				l.add(l.pos(value), "duplicate", "remove one", "the mirrors %q and %q are the same", other.Name, name)
			}
		}
		out = append(out, m)
	})
	return out
}

// remoteURL accepts what git can reach without running a helper program: https, ssh,
// file, the short form host:path, and a path.
func (l *loader) remoteURL(n ast.Node, what, s string) string {
	if rest, ok := strings.CutPrefix(s, "file:"); ok {
		return l.fileURL(n, rest)
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		u, err := url.Parse(s)
		switch {
		case scheme == "http":
			l.add(l.pos(n), "value", "use https or ssh; a server on this machine is reached by its path", "%s: %q sends what is pushed and the password of whoever pushes in the clear, and is not reached over http", what, show(s))
		case !slices.Contains([]string{"https", "ssh"}, scheme):
			l.add(l.pos(n), "value", "use https, ssh, file or a path", "%s: %q is not reached over %q", what, show(s), scheme)
		case err != nil || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-"):
			l.add(l.pos(n), "value", "", "%s: %q names no host", what, show(s))
		case l.password(n, u, what):
		default:
			return s
		}
		return ""
	}
	if strings.HasPrefix(s, "-") || strings.Contains(s, "::") {
		l.add(l.pos(n), "value", "use https, ssh, file or a path", "%s: %q is not the address of a repository", what, show(s))
		return ""
	}
	if colon := strings.IndexByte(s, ':'); colon > 0 && !strings.Contains(s[:colon], "/") {
		return s
	}
	return l.path(n, s)
}

// password reports an address with a password, which would be copied into manifests,
// logs and this file's history.
func (l *loader) password(n ast.Node, u *url.URL, what string) bool {
	_, has := u.User.Password()
	for _, token := range []string{"ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "ATBB"} {
		has = has || strings.HasPrefix(u.User.Username(), token)
	}
	if !has {
		return false
	}
	l.add(l.pos(n), "secret", "remove it; git asks its credential store, buckets their environment",
		"%s contains a password", what)
	return true
}

// branches reads names as git would accept them.
func (l *loader) branches(n ast.Node) []string {
	texts, nodes := l.list(n, "branches")
	for i, b := range texts {
		if short, ok := strings.CutPrefix(b, "refs/heads/"); ok {
			texts[i] = short
			b = short
		}
		if !branchName(b) {
			l.add(l.pos(nodes[i]), "value", "", "%q is no name for a branch", b)
		}
	}
	return texts
}

func branchName(b string) bool {
	return b != "" && !strings.HasPrefix(b, "-") && !strings.HasPrefix(b, "/") && !strings.HasSuffix(b, "/") &&
		!strings.HasSuffix(b, ".lock") && !strings.Contains(b, "..") && !strings.Contains(b, "@{") &&
		!strings.ContainsAny(b, " ~^:?*[\\")
}

// critical reads paths that stay inside the asset.
func (l *loader) critical(n ast.Node) []string {
	texts, nodes := l.list(n, "critical_files")
	for i, p := range texts {
		if !filepath.IsLocal(p) {
			l.add(l.pos(nodes[i]), "value", "write it relative to the asset, without \"..\"",
				"critical file %q lies outside the asset", p)
			continue
		}
		texts[i] = filepath.Clean(p)
	}
	return texts
}

// globs reads patterns of paths inside an asset; "**" stands for any number of components.
func (l *loader) globs(n ast.Node, what string) []string {
	texts, nodes := l.list(n, what)
	for i, p := range texts {
		if !pathGlob(p) {
			l.add(l.pos(nodes[i]), "value", `write it relative to the path of the asset, "apps/*/.env*"`, "%s: %q is no pattern of paths inside the asset", what, p)
		}
	}
	return texts
}

func pathGlob(p string) bool {
	clean := strings.TrimSuffix(strings.TrimPrefix(p, "./"), "/")
	if p == "." || p == "./" {
		return true
	}
	if strings.HasPrefix(p, "/") || strings.HasPrefix(p, "!") {
		return false
	}
	for part := range strings.SplitSeq(clean, "/") {
		if _, err := path.Match(part, ""); err != nil || part == "" || part == "." || part == ".." || strings.Contains(part, "**") && part != "**" {
			return false
		}
	}
	return true
}

// refGlobs reads patterns of refs. An empty list is not the same as none: it leaves nothing
// out, not even what is left out by default.
func (l *loader) refGlobs(n ast.Node) []string {
	texts, nodes := l.list(n, "exclude")
	for i, p := range texts {
		if _, err := path.Match(p, ""); err != nil || !strings.HasPrefix(p, "refs/") {
			l.add(l.pos(nodes[i]), "value", `write the whole name, "refs/pull/*"`, "exclude: %q is no pattern of refs", p)
		}
	}
	if texts == nil {
		return []string{}
	}
	return texts
}

// build reads a list of commands.
func (l *loader) build(n ast.Node) (out [][]string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok || len(s.Values) == 0 {
		l.add(l.pos(n), "type", "write [[pnpm, install], [pnpm, run, build]]", "build must be a list of commands, not %s", word(n))
		return nil
	}
	for _, v := range s.Values {
		if argv := l.buildStep(v); argv != nil {
			out = append(out, argv)
		}
	}
	return out
}

// buildStep is one command. It runs in a restored tree, so a program given by a path is
// one of that tree, and may not lie outside of it.
func (l *loader) buildStep(n ast.Node) []string {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		l.add(l.pos(n), "type", "write [[pnpm, install], [pnpm, run, build]]; no shell reads it", "a command of build must be a list, not %s", word(n))
		return nil
	}
	var argv []string
	for _, v := range s.Values {
		t, ok := l.argument(v, "build")
		if !ok {
			return nil
		}
		argv = append(argv, t)
	}
	if len(argv) == 0 || strings.TrimSpace(argv[0]) == "" {
		l.add(l.pos(n), "value", "write [program, argument]", "a command of build names no program")
		return nil
	}
	if strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]) && !filepath.IsLocal(argv[0]) {
		l.add(l.pos(s.Values[0]), "value", "name a program of the tree, or one in PATH", "build: %q lies outside the restored tree", argv[0])
	}
	return argv
}

// assertions reads SQL, which may have several lines.
func (l *loader) assertions(n ast.Node) (out []string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		l.add(l.pos(n), "type", `write ["SELECT count(*) > 0 FROM users"]`, "assertions must be a list, not %s", word(n))
		return nil
	}
	for _, v := range s.Values {
		t, ok := l.argument(v, "an assertion")
		if !ok {
			continue
		}
		if strings.TrimSpace(t) == "" {
			l.add(l.pos(v), "value", "remove it", "an assertion is empty")
			continue
		}
		out = append(out, strings.TrimSpace(t))
	}
	return out
}
