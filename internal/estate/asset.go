package estate

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/internal/runbook"
)

// asset reads one asset and the rules that tie its keys together.
func (l *loader) asset(name string, entry *ast.MappingValueNode, body *ast.MappingNode) {
	a := Asset{Name: name, Tier: "standard"}
	in := fmt.Sprintf("asset %q", name)
	var tier ast.Node
	at := map[string]runbook.Pos{}
	text := func(key string, set func(n ast.Node, t string)) field {
		return field{key, func(n ast.Node) {
			at[key] = l.pos(n)
			if t, ok := l.text(n, key); ok {
				set(n, t)
			}
		}}
	}
	seen := l.fields(body, in, []field{
		text("kind", func(n ast.Node, t string) { a.Kind = t }),
		text("path", func(n ast.Node, t string) { a.Path = l.path(n, t) }),
		text("remote", func(n ast.Node, t string) { a.Remote = l.remoteURL(n, t) }),
		{"branches", func(n ast.Node) { a.Branches = l.branches(n) }},
		{"critical_files", func(n ast.Node) { a.Critical = l.critical(n) }},
		text("tier", func(n ast.Node, t string) { a.Tier, tier = t, n }),
	})
	if t, ok := l.tiers[a.Tier]; ok {
		a.RTO, a.RPO = t.RTO, t.RPO
	} else if tier != nil {
		l.add(l.pos(tier), "value", choice(a.Tier, tierNames), "there is no tier %q", a.Tier)
	}
	here := l.pos(entry.Key)
	switch {
	case seen["kind"] == nil:
		l.add(here, "missing-key", `add "kind: git" or "kind: sqlite"`, "%s has no kind", in)
	case a.Kind == "":
	case a.Kind == Git:
		if seen["path"] == nil && seen["remote"] == nil {
			l.add(here, "missing-key", `add "path:" of the clone, "remote:" of the shared repository, or both`,
				"%s has neither path nor remote", in)
		}
	case a.Kind == SQLite:
		if seen["path"] == nil {
			l.add(here, "missing-key", `add "path:" of the database file`, "%s has no path", in)
		}
		for _, key := range []string{"remote", "branches"} {
			if n := seen[key]; n != nil {
				l.add(l.pos(n), "unknown-key", "remove it", "%s: %q is for repositories, not databases", in, key)
			}
		}
	default:
		l.add(at["kind"], "value", choice(a.Kind, []string{Git, SQLite}), "there is no kind of asset %q", a.Kind)
	}
	l.estate.Assets = append(l.estate.Assets, a)
}

func choice(got string, names []string) string {
	if near := nearest(got, names); near != "" {
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

func (l *loader) vaultURL(n ast.Node, s string) string {
	if rest, ok := strings.CutPrefix(s, "file:"); ok {
		return l.fileURL(n, rest)
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || !strings.Contains(s, "://") {
		l.add(l.pos(n), "value", `write an address such as "file:./vault" or "s3://bucket?region=eu-central-1"`,
			"vault: %q is not the address of a bucket", s)
		return ""
	}
	if !slices.Contains(schemes, u.Scheme) {
		l.add(l.pos(n), "value", choice(u.Scheme, schemes), "vault: %q is no kind of bucket", u.Scheme)
		return ""
	}
	if l.password(n, u, "vault") {
		return ""
	}
	return s
}

// remoteURL accepts what git can reach without running a helper program: https, ssh,
// file, the short form host:path, and a path.
func (l *loader) remoteURL(n ast.Node, s string) string {
	if rest, ok := strings.CutPrefix(s, "file:"); ok {
		return l.fileURL(n, rest)
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		u, err := url.Parse(s)
		switch {
		case !slices.Contains([]string{"https", "ssh"}, scheme):
			l.add(l.pos(n), "value", "use https, ssh, file or a path", "remote: %q is not reached over %q", s, scheme)
		case err != nil || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-"):
			l.add(l.pos(n), "value", "", "remote: %q names no host", s)
		case l.password(n, u, "remote"):
		default:
			return s
		}
		return ""
	}
	if strings.HasPrefix(s, "-") || strings.Contains(s, "::") {
		l.add(l.pos(n), "value", "use https, ssh, file or a path", "remote: %q is not the address of a repository", s)
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
	if _, has := u.User.Password(); !has {
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
		if b == "" || strings.HasPrefix(b, "-") || strings.HasPrefix(b, "/") || strings.HasSuffix(b, "/") ||
			strings.HasSuffix(b, ".lock") || strings.Contains(b, "..") || strings.Contains(b, "@{") ||
			strings.ContainsAny(b, " ~^:?*[\\") {
			l.add(l.pos(nodes[i]), "value", "", "%q is no name for a branch", b)
		}
	}
	return texts
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
