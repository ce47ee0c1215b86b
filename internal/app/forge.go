package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/builtin/forge"
	"lifeboat/internal/command"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	sandboxed "lifeboat/internal/sandbox/forge"
	"lifeboat/internal/secret"
)

// protectionDir is where copies of branch protection lie, beside lifeboat.yaml: an asset of
// kind files takes them into the vault.
const protectionDir = "protection"

// forge finds where the protection of an asset's branches is kept.
func (w *world) forge(name string) (forge.Remote, error) {
	a, err := w.asset(name, estate.Git)
	if err != nil {
		return forge.Remote{}, err
	}
	return forge.Remote{
		Asset: a.Name, Service: a.Forge.Service, Project: a.Forge.Project, API: a.Forge.API, Branches: a.Branches,
		Dir: filepath.Join(w.estate.Dir, protectionDir, a.Name),
	}, nil
}

// forgeVars are where people keep the tokens of forges, in the order in which the tools of
// the services look themselves.
var forgeVars = map[string][]string{
	forge.GitHub:    {"GH_TOKEN", "GITHUB_TOKEN"},
	forge.GitLab:    {"GITLAB_TOKEN"},
	forge.Bitbucket: {"BITBUCKET_TOKEN"},
}

// enterpriseVars are those for a GitHub of one's own: a token of github.com does not go there.
var enterpriseVars = []string{"GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"}

// forgeToken finds the token for a forge: the variable that the estate names, the usual
// ones, or what the program gh has. It is read anew each time, masked wherever something is
// printed, and kept nowhere. A sandbox has one of its own, and never sees a real one.
func (w *world) forgeToken(ctx context.Context, r forge.Remote) (forge.Token, error) {
	if w.sandbox() != nil {
		return forge.Token{Value: secret.New(sandboxed.Admin), From: "the sandbox"}, nil
	}
	a, err := w.asset(r.Asset, estate.Git)
	if err != nil {
		return forge.Token{}, err
	}
	if name, ok := estate.FromEnv(a.Forge.Token); ok {
		if v := w.env.get(name); v != "" {
			return w.found(v, "$"+name), nil
		}
		return forge.Token{}, hint.Wrapf(fmt.Errorf("asset %q has the token of its forge in $%s, which is not set", r.Asset, name), "set it, and run the step again")
	}
	host, vars := "github.com", forgeVars[r.Service]
	if u, err := url.Parse(r.API); r.Service == forge.GitHub && err == nil && u.Host != "" && u.Hostname() != "api.github.com" && !strings.HasSuffix(u.Hostname(), ".ghe.com") {
		host, vars = u.Hostname(), enterpriseVars
	}
	for _, name := range vars {
		if v := w.env.get(name); v != "" {
			return w.found(v, "$"+name), nil
		}
	}
	none := hint.Wrapf(fmt.Errorf("there is no token for %s", r.Service),
		"set %s, or name the variable that has it: forge: {token: env:NAME}. It needs the right to administer the repository", strings.Join(vars, " or "))
	if r.Service != forge.GitHub {
		return forge.Token{}, none
	}
	v, err := ghToken(ctx, host)
	if errors.Is(err, command.ErrNotFound) {
		return forge.Token{}, none
	}
	if err != nil {
		return forge.Token{}, fmt.Errorf("%w, and gh has none: %w", none, err)
	}
	return w.found(v, "gh auth token"), nil
}

func (w *world) found(value, from string) forge.Token {
	t := forge.Token{Value: secret.New(strings.TrimSpace(value)), From: from}
	w.redact.Add(t.Value)
	return t
}

// ghToken asks the program gh, which may ask the keyring of the desktop.
func ghToken(ctx context.Context, host string) (string, error) {
	res, err := command.Run(ctx, command.Cmd{
		Argv: []string{"gh", "auth", "token", "--hostname", host}, Timeout: 10 * time.Second, Keep: 4 << 10,
		Inherit: []string{"XDG_CONFIG_HOME", "GH_CONFIG_DIR", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"},
	})
	if err != nil {
		return "", hint.Wrap(err, "sign in with: gh auth login --hostname "+host)
	}
	token := strings.TrimSpace(string(res.Stdout))
	if token == "" || strings.ContainsAny(token, " \n\x00") {
		return "", errors.New("gh auth token: what it prints is no token")
	}
	return token, nil
}

// forgeTokens names the variables that a process needs that speaks with forges.
func (w *world) forgeTokens() []string {
	out := append([]string{"GH_CONFIG_DIR", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"}, enterpriseVars...)
	for _, service := range []string{forge.GitHub, forge.GitLab, forge.Bitbucket} {
		out = append(out, forgeVars[service]...)
	}
	if w.estate != nil {
		for _, a := range w.estate.Assets {
			if name, ok := estate.FromEnv(a.Forge.Token); ok {
				out = append(out, name)
			}
		}
	}
	return out
}
