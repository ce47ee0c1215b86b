package shell_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin/shell"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
)

func sh(t *testing.T, args map[string]any) action.Call {
	t.Helper()
	c, err := shell.Actions()[0].Bind(args)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func environ(t *testing.T, vars map[string]string) (*action.Env, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	return &action.Env{
		Log: log, Run: "r1", Step: "s1", Scratch: t.TempDir(), Dir: t.TempDir(), Vars: vars,
	}, log
}

// play plans and runs.
func play(t *testing.T, env *action.Env, args map[string]any) (action.Plan, action.Result, error) {
	t.Helper()
	c := sh(t, args)
	plan, err := c.Plan(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Run(t.Context(), env, plan)
	return plan, res, err
}

func TestActionsAreValid(t *testing.T) {
	if err := action.Validate(shell.Actions()); err != nil {
		t.Error(err)
	}
}

// TestValuesArriveAsTheyAre holds that no value is ever read by the shell.
func TestValuesArriveAsTheyAre(t *testing.T) {
	for _, value := range []string{
		"", "-rf", "--upload-pack=touch pwned", "; touch pwned", "$(touch pwned)", "`touch pwned`", "${IFS}",
		"a\nb\n", "a\r\nb", "'; touch pwned; '", `"; touch pwned; "`, "\\", "\\$(touch pwned)", "*", "~", "!!",
		"&& touch pwned", "| touch pwned", "> pwned", "\x1b[2J\x07", "é\u202e\u200b", "\xff\xfe", "=", "x=y",
		"() { :; }; touch pwned", "a[$(touch pwned)]", strings.Repeat("x", 100<<10), "EOF\ntouch pwned",
	} {
		for _, kind := range []string{"plain", "secret"} {
			env, _ := environ(t, nil)
			if kind == "plain" {
				env.Vars = map[string]string{"value": value}
			} else {
				env.Secrets = map[string]secret.String{"value": secret.New(value)}
			}
			_, _, err := play(t, env, map[string]any{"script": `printf %s "$value" > got`})
			if err != nil {
				t.Errorf("%.60q as %s: %v", value, kind, err)
				continue
			}
			got, err := os.ReadFile(filepath.Join(env.Dir, "got"))
			if err != nil || string(got) != value {
				t.Errorf("%.60q as %s arrived as %.60q (%v)", value, kind, got, err)
			}
			if _, err := os.Stat(filepath.Join(env.Dir, "pwned")); err == nil {
				t.Errorf("%.60q as %s was executed", value, kind)
			}
		}
	}
}

func TestValuesThatCannotBeHandedOver(t *testing.T) {
	for name, value := range map[string]string{"zero byte": "a\x00b", "1 MB": strings.Repeat("x", 1<<20)} {
		env, _ := environ(t, map[string]string{"value": value})
		_, err := sh(t, map[string]any{"script": "true"}).Plan(t.Context(), env)
		if !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), `"value"`) || len(hint.All(err)) == 0 {
			t.Errorf("%s: Plan = %v, want a refusal that names the parameter", name, err)
		}
	}
}

// TestEnvironmentIsAnAllowList runs under a caller that tries to take the shell over.
func TestEnvironmentIsAnAllowList(t *testing.T) {
	trap := filepath.Join(t.TempDir(), "trap")
	if err := os.WriteFile(trap, []byte("touch \"$TRAPPED\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ENV", "BASH_ENV", "LD_PRELOAD", "GIT_DIR", "GIT_SSH_COMMAND", "GIT_CONFIG_PARAMETERS",
		"IFS", "PAGER", "EDITOR", "PS4", "PROMPT_COMMAND", "CDPATH", "SHELLOPTS2", "TOKEN_OF_CALLER"} {
		t.Setenv(name, trap)
	}
	t.Setenv("AWS_PROFILE", "production")
	t.Setenv("KUBECONFIG", "/production")
	t.Setenv("SSH_AUTH_SOCK", "/agent")
	for _, drill := range []bool{false, true} {
		env, _ := environ(t, map[string]string{"branch": "main", "Bad Name": "x", "UPPER": "x", "with-dash": "x", "good_commit": "abc"})
		env.Drill = drill
		_, _, err := play(t, env, map[string]any{"script": "env > got", "effect": "read"})
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(env.Dir, "got"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		vars := map[string]string{}
		for line := range strings.Lines(string(data)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			names, vars[name] = append(names, name), value
		}
		may := []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "TERM", "PWD", "OLDPWD", "SHLVL", "_", "SSH_AUTH_SOCK", "SSH_ASKPASS_REQUIRE",
			"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
			"LIFEBOAT_OUTPUT", "LIFEBOAT_RUN", "LIFEBOAT_STEP", "branch", "good_commit"}
		if !drill {
			may = append(may, "AWS_PROFILE", "KUBECONFIG")
		}
		for _, name := range names {
			if slices.Contains(may, name) || strings.HasPrefix(name, "LC_") || !drill && cloud(name) {
				continue
			}
			t.Errorf("drill %v: the script got %s=%s", drill, name, vars[name])
		}
		if vars["branch"] != "main" || vars["good_commit"] != "abc" {
			t.Errorf("the parameters did not arrive: %v", names)
		}
		if drill && (vars["HOME"] != env.Scratch || vars["SSH_AUTH_SOCK"] != "") {
			t.Errorf("in a drill HOME is %q and the ssh agent %q", vars["HOME"], vars["SSH_AUTH_SOCK"])
		}
		if !drill && vars["AWS_PROFILE"] != "production" {
			t.Error("a live script needs its credentials")
		}
	}
}

// cloud says whether command.Cloud lists a variable.
func cloud(name string) bool {
	return slices.ContainsFunc(command.Cloud(), func(p string) bool {
		if prefix, ok := strings.CutSuffix(p, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return p == name
	})
}

func TestScriptIsNotInterpretedTwice(t *testing.T) {
	env, log := environ(t, map[string]string{"branch": "main"})
	_, res, err := play(t, env, map[string]any{"script": "echo '${branch}' \"${branch}\"\n"})
	if err != nil || res.Outputs["out"] != "${branch} main" {
		t.Errorf("out = %q, %v; log %q", res.Outputs["out"], err, log)
	}
}

func TestStrict(t *testing.T) {
	for name, script := range map[string]string{
		"unset variable": `echo "$no_such_thing"; touch after`,
		"failing line":   "false\ntouch after",
	} {
		env, _ := environ(t, nil)
		if _, _, err := play(t, env, map[string]any{"script": script}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(filepath.Join(env.Dir, "after")); err == nil {
			t.Errorf("%s: the script went on", name)
		}
	}
}

func TestBash(t *testing.T) {
	if _, err := command.Look("bash"); err != nil {
		t.Skip("the program bash is not installed")
	}
	env, _ := environ(t, nil)
	_, res, err := play(t, env, map[string]any{"script": `[[ abc == a* ]] && echo "$BASH_VERSION" >/dev/null && echo yes`, "shell": "bash"})
	if err != nil || res.Outputs["out"] != "yes" {
		t.Errorf("bash: %v, %v", res.Outputs, err)
	}
	if _, _, err := play(t, env, map[string]any{"script": "false | true", "shell": "bash"}); err == nil {
		t.Error("pipefail is off")
	}
}

func TestOutputs(t *testing.T) {
	env, log := environ(t, nil)
	env.Secrets = map[string]secret.String{"password": secret.New("hunter22")}
	_, res, err := play(t, env, map[string]any{"script": `
echo first
echo "the last $password line"
echo
echo trouble >&2
{
  echo "commit=abc def=1"
  echo "key=$password"
  echo "Bad=1"
  echo "no equals sign"
  echo "long=$(printf '%05000d' 1)"
} >> "$LIFEBOAT_OUTPUT"
`})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"out": "the last [secret] line", "commit": "abc def=1", "key": "[secret]"}
	if fmt.Sprint(res.Outputs) != fmt.Sprint(want) {
		t.Errorf("outputs %v, want %v", res.Outputs, want)
	}
	for _, text := range []string{"first\n", "trouble\n", `"Bad=1\n"`, `"no equals sign\n"`, `"long"`} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the log does not hold %q:\n%s", text, log)
		}
	}
}

func TestOutputsAreBounded(t *testing.T) {
	env, log := environ(t, nil)
	_, res, err := play(t, env, map[string]any{"script": `
i=0; while [ $i -lt 300 ]; do echo "n$i=1"; i=$((i+1)); done >> "$LIFEBOAT_OUTPUT"
head -c 300000 /dev/zero | tr '\0' x >> "$LIFEBOAT_OUTPUT"
head -c 300000 /dev/zero | tr '\0' y`})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(res.Outputs); n != 100 {
		t.Errorf("%d results were saved, want 100", n)
	}
	if out := res.Outputs["out"].(string); len(out) != 4096 {
		t.Errorf("the last line has %d bytes, want 4096", len(out))
	}
	if !strings.Contains(log.String(), "more than 100") {
		t.Error("the log does not say that results were dropped")
	}
}

func TestExit(t *testing.T) {
	for name, tt := range map[string]struct {
		script, effect string
		is, not        error
		exit           int
	}{
		"write fails":            {"exit 3", "write", nil, action.ErrUnclear, 3},
		"check fails":            {"exit 1", "read", action.ErrCheck, action.ErrUnclear, 1},
		"no such program":        {"no-such-program-here", "read", nil, action.ErrCheck, 127},
		"killed while writing":   {"kill -9 $$", "write", action.ErrUnclear, nil, 137},
		"child killed, destroys": {"sh -c 'kill -9 $$'", "destroy", action.ErrUnclear, nil, 137},
		"killed while reading":   {"kill -9 $$", "read", nil, action.ErrUnclear, 137},
	} {
		t.Run(name, func(t *testing.T) {
			env, _ := environ(t, nil)
			_, _, err := play(t, env, map[string]any{"script": tt.script, "effect": tt.effect})
			exit, ok := errors.AsType[*command.ExitError](err)
			if !ok || exit.Exit != tt.exit {
				t.Fatalf("Run = %v, want exit %d", err, tt.exit)
			}
			if tt.is != nil && !errors.Is(err, tt.is) || tt.not != nil && errors.Is(err, tt.not) {
				t.Errorf("Run = %v, want it to be %v and not %v", err, tt.is, tt.not)
			}
		})
	}
}

// Why a check failed is told, wherever the script says it.
func TestWhyItFailed(t *testing.T) {
	for script, want := range map[string]string{
		"echo in conflict: a.txt; exit 1":              "in conflict: a.txt",
		"echo in conflict: a.txt; echo no >&2; exit 1": "no",
	} {
		env, _ := environ(t, nil)
		if _, _, err := play(t, env, map[string]any{"script": script, "effect": "read"}); err == nil || !strings.HasSuffix(err.Error(), "sh: exit 1: "+want) {
			t.Errorf("%s: %v, want it to end in %q", script, err, want)
		}
	}
}

func TestStopIsUnclear(t *testing.T) {
	for effect, unclear := range map[string]bool{"write": true, "destroy": true, "read": false} {
		env, _ := environ(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		env.Log = writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
		c := sh(t, map[string]any{"script": "echo begun; sleep 60", "effect": effect})
		plan, err := c.Plan(ctx, env)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = c.Run(ctx, env, plan)
		if err == nil || errors.Is(err, action.ErrUnclear) != unclear {
			t.Errorf("%s: Run = %v, unclear %v wanted", effect, err, unclear)
		}
		if time.Since(began) > 20*time.Second {
			t.Errorf("%s: it took %s to stop", effect, time.Since(began))
		}
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestFullLogDiskBreaksNothing: what the script did, it did.
func TestFullLogDiskBreaksNothing(t *testing.T) {
	env, _ := environ(t, nil)
	env.Log = writerFunc(func(p []byte) (int, error) { return 0, errors.New("no space left on device") })
	_, _, err := play(t, env, map[string]any{"script": "echo a; touch done"})
	if err != nil {
		t.Errorf("Run = %v", err)
	}
	if _, err := os.Stat(filepath.Join(env.Dir, "done")); err != nil {
		t.Error(err)
	}
}

func TestPlanShowsValuesAndBindsThem(t *testing.T) {
	env, _ := environ(t, map[string]string{"branch": "main", "branches": "not named by the script"})
	env.Secrets = map[string]secret.String{"token": secret.New("hunter22")}
	c := sh(t, map[string]any{"script": "# why\ndrop \"${branch}\" \"$token\"\n", "effect": "destroy", "target": "booking"})
	plan, err := c.Plan(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(plan.Lines); got != "[{$branch main} {$token [secret]}]" {
		t.Errorf("lines %s", got)
	}
	if strings.Contains(fmt.Sprintf("%+v", plan), "hunter22") {
		t.Error("the plan shows a secret")
	}
	if plan.Effect != action.Destroy || plan.Token != "booking@"+plan.Facts["sha256"][:7] || plan.Summary != "runs 1 line of shell script" {
		t.Errorf("plan %+v", plan)
	}
	env.Vars["branch"] = "release"
	other, err := c.Plan(t.Context(), env)
	if err != nil || other.Token == plan.Token {
		t.Errorf("another value has the same token %q (%v)", other.Token, err)
	}
	if _, err := c.Run(t.Context(), env, plan); !errors.Is(err, action.ErrChanged) {
		t.Errorf("Run with another value than approved = %v, want ErrChanged", err)
	}
}

func TestFenceAndTerminal(t *testing.T) {
	env, _ := environ(t, nil)
	refuse := fmt.Errorf("%w: outside", action.ErrRefused)
	inside := env.Dir
	env.Fence = func(target string) error {
		if target == inside {
			return nil
		}
		return refuse
	}
	for name, args := range map[string]map[string]any{
		"target outside":   {"script": "true", "target": "/production"},
		"address outside":  {"script": "true", "target": "https://production"},
		"needs a terminal": {"script": "true", "interactive": true},
	} {
		if _, err := sh(t, args).Plan(t.Context(), env); !errors.Is(err, action.ErrRefused) {
			t.Errorf("%s: Plan = %v, want a refusal", name, err)
		}
	}
	plan := action.Plan{}
	env.Dir = t.TempDir() + "/elsewhere"
	if _, err := sh(t, map[string]any{"script": "true"}).Run(t.Context(), env, plan); err == nil {
		t.Error("a run without its plan was accepted")
	}
	if _, err := sh(t, map[string]any{"script": "true"}).Plan(t.Context(), env); !errors.Is(err, action.ErrRefused) {
		t.Errorf("a directory outside: %v", err)
	}
}

func TestProbeDoesNotGuess(t *testing.T) {
	env, _ := environ(t, nil)
	p, err := sh(t, map[string]any{"script": "true"}).Probe(t.Context(), env, action.Plan{})
	if err != nil || p.Finding != action.Unknown || p.Means == "" {
		t.Errorf("Probe = %+v, %v", p, err)
	}
}
