package app

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lifeboat/internal/run"
	"lifeboat/internal/secret"
)

// canary is a secret with everything in it that an encoding changes.
const canary = `Cn4ry/7f3a+x&y'z"q$w==`

// canaries are the forms that no sink may hold, by name.
func canaries() map[string]string {
	quoted, _ := json.Marshal(canary)
	return map[string]string{
		"plain": canary, "lower case": strings.ToLower(canary), "upper case": strings.ToUpper(canary),
		"base64": base64.StdEncoding.EncodeToString([]byte(canary)), "base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(canary)),
		"base64 of user:secret": base64.StdEncoding.EncodeToString([]byte("user:" + canary)),
		"hexadecimal":           hex.EncodeToString([]byte(canary)), "URL": url.QueryEscape(canary), "path": url.PathEscape(canary),
		"JSON": strings.Trim(string(quoted), `"`), "shell": strings.ReplaceAll(canary, "'", `'\''`), "SQL": strings.ReplaceAll(canary, "'", "''"),
		"its beginning": canary[:12], "its end": canary[10:],
	}
}

// leaks says in which forms a text holds the secret.
func leaks(text string) (out []string) {
	for name, form := range canaries() {
		if strings.Contains(text, form) {
			out = append(out, name)
		}
	}
	return out
}

// prints is a script that prints the secret in the forms that it finds in files, and as
// a result.
const prints = `
tr '\0' ' ' < /proc/$$/cmdline > cmdline
tr '\0' ' ' < /proc/$PPID/cmdline >> cmdline
for f in forms/*; do cat "$f"; echo; done
printf '%s' "$token"; echo
echo "token=$token" >> "$LIFEBOAT_OUTPUT"
echo "https://user:$token@example.org/"
echo "last $token"
`

// TestSecret runs steps that print their secret in every way, with and without success,
// and searches everything that is left and everything that was printed.
func TestSecret(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		exit         int
		args         []string
	}{
		{"success", prints, exitComplete, nil},
		{"success as JSON", prints, exitComplete, []string{"--json"}},
		{"in two writes", prints + `printf '%.9s' "$token"; sleep 0.05; printf '%s' "${token#?????????}"`, exitComplete, nil},
		{"torn by the other stream", prints + `printf '%.9s' "$token"; sleep 0.05; echo "denied for $token" >&2; sleep 0.05; printf '%s' "${token#?????????}"; exit 3`, exitNotComplete, nil},
		{"failure", prints + "echo \"denied for $token\" >&2\nexit 3", exitNotComplete, nil},
		{"failure as JSON", prints + "echo \"denied for $token\" >&2\nexit 3", exitNotComplete, []string{"--json"}},
		{"killed", prints + "kill -9 $$", exitPerson, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.env[secretPrefix+"TOKEN"] = canary
			p.secretBook(tt.script)
			if err := os.Mkdir(p.path("forms"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, form := range canaries() {
				if !strings.HasPrefix(name, "its ") {
					p.write(filepath.Join("forms", strings.ReplaceAll(name, " ", "-")), form)
				}
			}
			out := p.exits(tt.exit, append([]string{"run", "work", "--yes"}, tt.args...)...)
			id := p.only().ID.Short()
			out += p.exits(exitComplete, "show", id, "--logs") + p.exits(exitComplete, "show", id, "--json") + p.exits(exitComplete, "runs", "--json")
			if list := leaks(out); list != nil {
				t.Errorf("printed: %q\n%s", list, out)
			}
			if !strings.Contains(out, secret.Mask) {
				t.Errorf("nothing was masked, so nothing was tested:\n%s", out)
			}
			if list := leaks(p.read("cmdline")); list != nil || !strings.Contains(p.read("cmdline"), "lifeboat") {
				t.Errorf("command lines hold %q:\n%s", list, p.read("cmdline"))
			}
			p.searchState()
		})
	}
}

func (p *place) secretBook(script string) {
	p.t.Helper()
	p.write("runbooks/work.md", "---\ntitle: Work\nkind: procedure\nparams:\n  token: {secret: true, help: The key}\n---\n\n# Work\n\nA test.\n\n## Work\n\n```sh save=result\n"+
		strings.TrimSpace(script)+"\n```\n")
}

// searchState searches every file of the state directory, the journal and what has not
// reached it yet among them.
func (p *place) searchState() {
	p.t.Helper()
	seen := map[string]bool{}
	err := filepath.WalkDir(p.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen[filepath.Ext(path)] = true
		if list := leaks(string(data)); list != nil {
			p.t.Errorf("%s holds %q", path, list)
		}
		return nil
	})
	if err != nil || !seen[".db"] || !seen[".log"] {
		p.t.Errorf("looked at %v: %v", seen, err)
	}
}

// TestSecretInConsole starts a step that prints its secret in a console, where a process
// of its own runs it, and looks at every byte that the terminal got.
func TestSecretInConsole(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.env[secretPrefix+"TOKEN"] = canary
	p.secretBook("echo \"first $token\"\ntouch started\n" + hold + "echo \"denied for $token\" >&2\nexit 3")
	p.exits(exitPerson, "run", "work")
	x := p.terminal("xterm-256color", "attach", p.only().ID.Short())
	x.approve()
	x.pressUntil("l", "first "+secret.Mask) // the full log
	for _, pid := range p.hosts() {
		p.mute(pid)
	}
	p.mute(x.cmd.Process.Pid)
	p.searchState() // the newest events are in the write-ahead log now
	p.write("go", "")
	x.shows("denied for " + secret.Mask)
	p.until("the failure", func() bool { return p.only().Steps[0].State == run.Failed })
	if list := leaks(x.wrote()); list != nil {
		t.Errorf("the terminal got %q", list)
	}
	x.leave()
	p.searchState()
}

// mute requires that the command line of a process, which everybody can read, is silent.
func (p *place) mute(pid int) {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		p.t.Fatal(err)
	}
	if list := leaks(string(data)); list != nil {
		p.t.Errorf("the command line of process %d holds %q", pid, list)
	}
}

// TestSecretOnCommandLine refuses a secret where everybody could have read it, without
// repeating it.
func TestSecretOnCommandLine(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.secretBook("true")
	out := p.exits(exitUsage, "run", "work", "--yes", "--param", "token="+canary)
	if !strings.Contains(out, "LIFEBOAT_SECRET_TOKEN") || leaks(out) != nil {
		t.Errorf("it says\n%s", out)
	}
	p.searchNothing()
}

func (p *place) searchNothing() {
	p.t.Helper()
	if all := p.runs(); len(all) != 0 {
		p.t.Errorf("%d runs were begun", len(all))
	}
}
