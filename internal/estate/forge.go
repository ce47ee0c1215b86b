package estate

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Forge is where the protection of a repository's branches is kept.
type Forge struct {
	Service string // "github", "gitlab" or "bitbucket"; empty when there is none
	Project string // "company/monorepo"
	API     string // address of the REST API; empty means the public one
	Token   string // "env:NAME"; empty means the usual places
}

// forgeHosts are where the services run for everybody.
var forgeHosts = map[string]string{"github.com": "github", "gitlab.com": "gitlab", "bitbucket.org": "bitbucket"}

var forgeServices = []string{"github", "gitlab", "bitbucket"}

// projectPath is the name of a project: owner and name, at GitLab with groups between.
var projectPath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$`)

// deriveForge reads service and project out of the address of a repository, as far as it is
// plain: a service of an unknown host is empty.
func deriveForge(remote string) Forge {
	host, path := "", ""
	if u, err := url.Parse(remote); err == nil && (u.Scheme == "https" || u.Scheme == "ssh") {
		host, path = u.Hostname(), u.Path
	} else if before, after, ok := strings.Cut(remote, ":"); ok && !strings.Contains(before, "/") && !strings.HasPrefix(after, "//") {
		host, path = before[strings.LastIndexByte(before, '@')+1:], after
	}
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	host = strings.ToLower(host)
	if host == "ssh.github.com" || host == "altssh.gitlab.com" || host == "altssh.bitbucket.org" {
		_, host, _ = strings.Cut(host, ".") // the way through firewalls
	}
	f := Forge{Service: forgeHosts[host]}
	if host != "" && projectPath.MatchString(path) && (f.Service == "gitlab" || f.Service == "" || strings.Count(path, "/") == 1) {
		f.Project = path
	}
	if f.Project == "" {
		f.Service = ""
	}
	return f
}

// forge reads the key "forge" of a repository; without it the address of the repository
// says where it is, and "forge: none" that nobody is to ask there.
func (l *loader) forge(a *Asset, n ast.Node) {
	derived := deriveForge(a.Remote)
	if n == nil {
		if derived.Service != "" {
			a.Forge = derived
		}
		return
	}
	if s, ok := n.(*ast.StringNode); ok && s.Value == "none" {
		return
	}
	in := "forge"
	m := l.mapping(n, in)
	if m == nil {
		return
	}
	f := Forge{}
	seen := l.fields(m, in, []field{
		l.line("service", func(n ast.Node, t string) {
			if f.Service = t; !slices.Contains(forgeServices, t) {
				l.add(l.pos(n), "value", choice(t, forgeServices), "there is no forge %q", t)
			}
		}),
		l.line("project", func(n ast.Node, t string) { f.Project = l.project(n, strings.TrimSuffix(strings.Trim(t, "/"), ".git")) }),
		l.line("api", func(n ast.Node, t string) { f.API = l.api(n, t) }),
		l.line("token", func(n ast.Node, t string) {
			if name, ok := FromEnv(t); !ok || name == "" {
				l.add(l.pos(n), "secret", `write "token: env:NAME", and keep the token in that variable`, "the token of a forge does not stand in this file")
				return
			}
			f.Token = t
		}),
	})
	if seen["service"] == nil {
		if f.Service = derived.Service; f.Service == "" {
			l.add(l.pos(n), "missing-key", "add service: github, gitlab or bitbucket", "asset %q: the forge has no service, and the remote does not say which it is", a.Name)
		}
	}
	if seen["project"] == nil {
		if f.Project = derived.Project; f.Project == "" {
			l.add(l.pos(n), "missing-key", "add project: owner/name", "asset %q: the forge has no project, and the remote does not say which it is", a.Name)
		}
	} else if f.Project != "" && f.Service != "gitlab" && strings.Count(f.Project, "/") != 1 {
		l.add(l.pos(n), "value", "write project: owner/name", "asset %q: %q is no project of %s", a.Name, f.Project, f.Service)
	}
	a.Forge = f
}

func (l *loader) project(n ast.Node, t string) string {
	if !projectPath.MatchString(t) || strings.Contains(t, "/../") || strings.HasSuffix(t, "/..") {
		l.add(l.pos(n), "value", "write project: owner/name, as in the address of its page", "%q is no name of a project", t)
		return ""
	}
	return t
}

// api reads the address of a REST API. A token goes there, so it is https, but for the
// machine itself and for a sandbox, whose addresses exist on no network.
func (l *loader) api(n ast.Node, t string) string {
	u, err := url.Parse(t)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		l.add(l.pos(n), "value", `write "https://github.example.com/api/v3" or "https://gitlab.example.com"`, "%q is no address of an API", show(t))
	case l.password(n, u, "api"):
	case u.Scheme == "http" && (strings.HasSuffix(u.Hostname(), ".sandbox") || loopback(u.Hostname())):
		return strings.TrimRight(t, "/")
	case u.Scheme != "https":
		l.add(l.pos(n), "value", "use https", "the token would go to %q in the clear", show(t))
	default:
		return strings.TrimRight(t, "/")
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// forge teaches the key to somebody who has a repository.
func (p *proposal) forge(remote string) {
	f := deriveForge(remote)
	if f.Service == "" || !loads("remote", remote) {
		p.add("    # forge: {service: gitlab, project: company/repository, api: \"https://gitlab.example.com\"}   # whose branch protection is watched")
		return
	}
	p.add("    forge: {service: %s, project: %s}   # its branch protection: \"lifeboat run protection-backup\" saves it", f.Service, scalar(f.Project))
}

func (f Forge) String() string {
	if f.Service == "" {
		return "none"
	}
	return fmt.Sprintf("%s %s", f.Service, f.Project)
}
