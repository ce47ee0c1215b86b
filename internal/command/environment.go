package command

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// inherited is what every program gets from the caller's environment. Credentials of
// clouds and clusters are not here: a step that needs them names them in Cmd.Inherit,
// so that a formatter or a `git gc` never holds the key to production.
var inherited = []string{
	"HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "TMPDIR", "SSH_AUTH_SOCK",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy",
}

// refused can make a program load or run something that nobody wrote into a runbook.
// Inherit cannot bring them in either; only Cmd.Env can, because it is our own code.
var refused = []string{
	"GIT_*", "LD_*", "DYLD_*", "BASH_*", "BASHOPTS", "SHELLOPTS", "ENV", "IFS", "CDPATH", "GLOBIGNORE",
	"PS4", "PROMPT_COMMAND", "PAGER", "EDITOR", "VISUAL", "BROWSER", "PERL5OPT", "PERL5LIB", "PYTHONSTARTUP",
	"PYTHONPATH", "RUBYOPT", "NODE_OPTIONS", "SSH_ASKPASS", "SUDO_ASKPASS",
}

// Cloud lists the variables that hold credentials and contexts of clouds and clusters,
// for Cmd.Inherit of the steps that need them.
func Cloud() []string {
	return []string{
		"AWS_*", "GOOGLE_*", "CLOUDSDK_*", "AZURE_*", "ARM_*", "KUBECONFIG", "DOCKER_HOST", "DOCKER_CONFIG",
		"GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "CLOUDFLARE_*", "XDG_*", "GNUPGHOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
	}
}

// defaultPath is used when the caller has no PATH, as under cron.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// searchPath is the caller's PATH without relative and empty entries: a program must
// never be found in whatever directory a restore happens to stand in.
func searchPath() string {
	path := ""
	for _, kv := range os.Environ() {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = value
		}
	}
	return cleanPath(path)
}

func cleanPath(path string) string {
	var dirs []string
	for _, d := range filepath.SplitList(path) {
		if filepath.IsAbs(d) && !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	if len(dirs) == 0 {
		return defaultPath
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}

// environment builds the variables of a program, sorted, from those of the caller.
func environment(caller []string, c Cmd) ([]string, error) {
	for _, pattern := range c.Inherit {
		if slices.ContainsFunc(refused, func(r string) bool { return matches(r, pattern) || matches(pattern, r) }) {
			return nil, fmt.Errorf("inherit variable %q: it can make a program run something else; set it in Env", pattern)
		}
	}
	vars := map[string]string{"PATH": defaultPath, "TERM": "dumb", "SSH_ASKPASS_REQUIRE": "never"}
	for _, kv := range caller {
		key, value, ok := strings.Cut(kv, "=")
		switch {
		case !ok || value == "" || strings.ContainsRune(value, 0):
		case key == "PATH":
			vars[key] = cleanPath(value)
		case key == "TERM" && c.Terminal, anyMatches(inherited, key):
			vars[key] = value
		case anyMatches(c.Inherit, key) && !anyMatches(refused, key):
			vars[key] = value
		}
	}
	for key, value := range c.Env {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("set variable %q: a name must not hold %q, and neither part a zero byte", key, "=")
		}
		vars[key] = value
	}
	env := make([]string, 0, len(vars))
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, key+"="+vars[key])
	}
	return env, nil
}

func anyMatches(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, key) })
}

// matches compares a name with a pattern that may end in a star.
func matches(pattern, key string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(key, prefix)
	}
	return pattern == key
}
