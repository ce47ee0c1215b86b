package command_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// fakeKubectl puts a script in front of all other programs.
func fakeKubectl(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	syscall.ForkLock.RLock() // a child of another test that inherited the open file would keep it from being started
	err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte("#!/bin/sh\n"+script+"\n"), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestKubectlIsPinned(t *testing.T) {
	for k, v := range map[string]string{"KUBECONFIG": "/x/config", "KUBERC": "/x/kuberc", "KUBECTL_KUBERC": "true", "KUBECTL_EXTERNAL_DIFF": "touch pwned", "EDITOR": "vi", "LD_PRELOAD": "", "MY_TOKEN": "canary"} {
		t.Setenv(k, v)
	}
	ctx := command.InFront(t.Context(), fakeKubectl(t, `printf '%s\n' "$@"; env`))
	out, err := command.Output(ctx, command.Kubectl("prod", "shop", "get", "deployment/x"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	if want := []string{"--request-timeout=20s", "--context=prod", "--namespace=shop", "get", "deployment/x"}; !slices.Equal(lines[:5], want) {
		t.Errorf("arguments %q, want %q", lines[:5], want)
	}
	for _, want := range []string{"KUBECONFIG=/x/config", "KUBERC=off", "KUBECTL_KUBERC=false", "KUBECTL_EXTERNAL_DIFF=", "LC_ALL=C"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if s := string(out); strings.Contains(s, "EDITOR") || strings.Contains(s, "canary") {
		t.Errorf("environment\n%s", s)
	}
	if args := command.Kubectl("", "", "version").Argv; !slices.Equal(args, []string{"kubectl", "--request-timeout=20s", "version"}) {
		t.Errorf("arguments %q", args)
	}
}

func TestKubectlEnds(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]struct {
		reason, advice string
		refused        bool
	}{
		`Error from server (Forbidden): deployments.apps "x" is forbidden: User "u" cannot patch`:                 {"Forbidden", "deployments/scale", true},
		`Error from server (NotFound): deployments.apps "x" not found`:                                            {"NotFound", "--all-namespaces", true},
		`Error from server (NotFound): namespaces "x" not found`:                                                  {"NotFound", "get namespaces", true},
		`Error from server (Conflict): the object has been modified`:                                              {"Conflict", "", true},
		`error: Expected replicas to be 3, was 2`:                                                                 {"", "", true},
		`error: no objects passed to scale Unauthorized`:                                                          {"", "Log in", true},
		`error: no objects passed to scale deployments.apps "x" not found`:                                        {"", "--all-namespaces", true},
		`Error from server (Timeout): the server was unable to return a response in the time allotted`:            {"Timeout", "", false},
		`Error from server (InternalError): an error on the server`:                                               {"InternalError", "", false},
		`Error from server: etcdserver: request timed out`:                                                        {"", "", false},
		`Unable to connect to the server: net/http: TLS handshake timeout`:                                        {"", "VPN", false},
		`error: context "prod" does not exist`:                                                                    {"", "get-contexts", false},
		`The connection to the server localhost:8080 was refused - did you specify the right host or port?`:       {"", "KUBECONFIG", false},
		`Unable to connect to the server: getting credentials: exec: executable gke-gcloud-auth-plugin not found`: {"", "add it to PATH", false},

		`Unable to connect to the server: getting credentials: exec: fork/exec /opt/aws: no such file or directory`:                           {"", "cannot be started", false},
		"Enter password:\nUnable to connect to the server: getting credentials: exec: executable aws failed with exit code 255":               {"", "log in", false},
		`Unable to connect to the server: getting credentials: exec plugin cannot support interactive mode: standard input is not a terminal`: {"", "Log in by hand first", false},
		"Error: unknown flag: --current-replicas\nSee 'kubectl scale --help' for usage.":                                                      {"", "too old", true},
		"Warning: something\nError from server (Forbidden): no":                                                                               {"Forbidden", "account", true},
	} {
		dir := fakeKubectl(t, "cat >&2 <<'X'\n"+said+"\nX\nexit 1")
		_, err := command.Run(command.InFront(t.Context(), dir), command.Kubectl("", "", "get"))
		if err == nil || command.Reason(err) != want.reason || command.Refused(err) != want.refused || !strings.Contains(strings.Join(hint.All(err), ""), want.advice) {
			t.Errorf("%q: %v, reason %q, refused %v, advice %q", said, err, command.Reason(err), command.Refused(err), hint.All(err))
		}
	}
	dir := fakeKubectl(t, "printf 'Error: unknown flag: --x\\nSee '\\''kubectl scale --help'\\'' for usage.\\n' >&2; exit 1")
	if _, err := command.Run(command.InFront(t.Context(), dir), command.Kubectl("", "", "scale")); err == nil || !strings.Contains(err.Error(), "unknown flag: --x") {
		t.Errorf("the line that tells is another: %v", err)
	}
	if command.Refused(errors.New("error: Expected ")) || command.Reason(nil) != "" {
		t.Error("an error that is not of kubectl")
	}
}

// TestInFront: the directory is before PATH for the program and for what it starts, and it
// does not outlive the context.
func TestInFront(t *testing.T) {
	t.Parallel()
	dir := fakeKubectl(t, "echo ours")
	ctx := command.InFront(t.Context(), dir)
	for _, c := range []command.Cmd{{Argv: []string{"kubectl"}}, {Argv: []string{"sh", "-c", "kubectl"}}, {Argv: []string{"sh", "-c", "kubectl"}, Env: map[string]string{"PATH": "/usr/bin:/bin"}}} {
		out, err := command.Output(ctx, c)
		if err != nil || string(out) != "ours\n" {
			t.Errorf("%q: %q, %v", c.Argv, out, err)
		}
		if c.Env != nil && c.Env["PATH"] != "/usr/bin:/bin" {
			t.Error("the command of the caller was changed")
		}
	}
	if path, err := command.Find(ctx, "kubectl"); err != nil || path != filepath.Join(dir, "kubectl") {
		t.Errorf("Find = %q, %v", path, err)
	}
	if path, err := command.Find(t.Context(), "kubectl"); err == nil && strings.HasPrefix(path, dir) {
		t.Errorf("Find outside = %q", path)
	}
	if out, err := command.Output(command.InFront(t.Context(), "relative"), command.Cmd{Argv: []string{"sh", "-c", "echo $PATH"}}); err != nil || strings.Contains(string(out), "relative") {
		t.Errorf("%q, %v", out, err)
	}
}
