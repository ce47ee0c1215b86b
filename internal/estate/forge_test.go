package estate

import (
	"strings"
	"testing"
)

func TestDeriveForge(t *testing.T) {
	for remote, want := range map[string]Forge{
		"https://github.com/company/monorepo.git":           {Service: "github", Project: "company/monorepo"},
		"git@github.com:company/mono.repo.git":              {Service: "github", Project: "company/mono.repo"},
		"ssh://git@ssh.github.com:443/company/monorepo.git": {Service: "github", Project: "company/monorepo"},
		"https://gitlab.com/company/team/monorepo":          {Service: "gitlab", Project: "company/team/monorepo"},
		"git@bitbucket.org:company/monorepo.git":            {Service: "bitbucket", Project: "company/monorepo"},
		"https://github.com/company":                        {},
		"https://github.com/a/b/c":                          {},
		"https://git.example.com/company/monorepo.git":      {Project: "company/monorepo"},
		"https://github.com.evil.example/company/monorepo":  {Project: "company/monorepo"},
		"/srv/github.com/company/monorepo.git":              {},
		"origin.git":                                        {},
		"":                                                  {},
		"https://github.com/company/..":                     {},
		"file:///srv/x.git":                                 {},
	} {
		if got := deriveForge(remote); got != want {
			t.Errorf("%q: %+v, want %+v", remote, got, want)
		}
	}
}

func TestForge(t *testing.T) {
	for text, want := range map[string]Forge{
		"remote: git@github.com:a/b.git":                                {Service: "github", Project: "a/b"},
		"remote: git@github.com:a/b.git, forge: none":                   {},
		"remote: /srv/b.git":                                            {},
		"remote: git@github.com:a/b.git, forge: {token: \"env:ADMIN\"}": {Service: "github", Project: "a/b", Token: "env:ADMIN"},
		"remote: git@git.example.com:a/b.git, forge: {service: gitlab, api: \"https://git.example.com/\"}":   {Service: "gitlab", Project: "a/b", API: "https://git.example.com"},
		"path: x, forge: {service: github, project: company/monorepo, api: \"http://forge.sandbox/github\"}": {Service: "github", Project: "company/monorepo", API: "http://forge.sandbox/github"},
	} {
		e, bad := Load("/x/"+FileName, []byte("assets: {m: {kind: git, "+text+"}}"))
		if len(bad) > 0 || e.Assets[0].Forge != want {
			t.Errorf("%s: %v %+v", text, bad, e)
		}
	}
	for text, want := range map[string]string{
		"forge: {servce: github}":                                                      `did you mean "service"`,
		"forge: {service: githib, project: a/b}":                                       `there is no forge "githib"`,
		"forge: {service: github}":                                                     "the forge has no project",
		"forge: {project: a/b}":                                                        "the forge has no service",
		"forge: {service: github, project: a/b/c}":                                     "no project of github",
		"forge: {service: github, project: \"../x\"}":                                  "no name of a project",
		"forge: {service: github, project: a/b, token: ghp_0123456789}":                "does not stand in this file",
		"forge: {service: github, project: a/b, api: \"http://git.example.com\"}":      "in the clear",
		"forge: {service: github, project: a/b, api: \"https://u:p@git.example.com\"}": "contains a password",
		"forge: {service: github, project: a/b, api: \"git.example.com\"}":             "no address of an API",
		"forge: [x]": "must be a map",
	} {
		_, bad := Load("/x/"+FileName, []byte("assets:\n  m: {kind: git, path: x, "+text+"}"))
		var all strings.Builder
		for _, p := range bad {
			all.WriteString(p.Msg + " " + p.Fix + "\n")
			if p.Pos.Line != 2 || p.Pos.Col < 10 {
				t.Errorf("%s: at %v", text, p.Pos)
			}
		}
		if !strings.Contains(all.String(), want) {
			t.Errorf("%s: %q, want %q", text, all.String(), want)
		}
	}
	if _, bad := Load("/x/"+FileName, []byte("assets: {m: {kind: sqlite, path: x, forge: {service: github, project: a/b}}}")); len(bad) != 1 || !strings.Contains(bad[0].Msg, "repositories") {
		t.Errorf("on a database: %v", bad)
	}
}

// What is proposed says the forge that the remote names, and loads.
func TestProposeForge(t *testing.T) {
	for remote, want := range map[string]string{
		"git@github.com:company/monorepo.git":      "    forge: {service: github, project: company/monorepo}",
		"https://git.example.com/company/repo.git": "    # forge: {service: gitlab,",
	} {
		text := Propose(Observed{Name: "x", Repository: true, Remote: remote})
		e, bad := Load("/x/"+FileName, text)
		if len(bad) > 0 || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v %v\n%s", remote, bad, e, text)
		}
	}
}
