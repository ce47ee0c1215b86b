package app

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/sandbox"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

// TestMain makes this test binary the program "lifeboat" of the scripts, by calling the
// real Main. It also is what hosts runs: the program starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "sandbox-") { // started by a test that drives a run itself
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	_ = sqlite.Locks() // as Main does; an error shows as a benchmark that is slow
	testscript.Main(m, map[string]func(){
		"lifeboat": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts tells the behaviour of the program, one file per behaviour. Each runs
// with an empty home directory and a state directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for k, v := range map[string]string{
				"HOME": filepath.Join(e.WorkDir, "home"), "XDG_STATE_HOME": filepath.Join(e.WorkDir, "state"),
				"XDG_CONFIG_HOME": "", "TERM": "dumb", "LIFEBOAT_USER": "m.ito", "USER": "m.ito",
			} {
				e.Setenv(k, v)
			}
			return os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"sandbox": makeSandbox,
			"break":   breakSandbox,
			"judge":   judgeSandbox,
			"capture": capture,
			"await":   await,
			"forge":   forgeCommand,
			"serve":   serve,
			"obey":    obey,
			"hand":    byHand,
		},
	})
}

// exits CODE COMMAND ...: runs lifeboat and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG ...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		if got = strings.TrimPrefix(err.Error(), "exit status "); got == err.Error() {
			ts.Fatalf("%v", err)
		}
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s\n%s%s", got, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func opened(ts *testscript.TestScript, args []string) *sandbox.Sandbox {
	sb, err := sandbox.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	return sb
}

// sandbox DIR: makes one.
func makeSandbox(ts *testscript.TestScript, neg bool, args []string) {
	_, err := sandbox.Make(context.Background(), ts.MkAbs(args[0]), sandbox.Options{})
	ts.Check(err)
}

// break DIR NAME
func breakSandbox(ts *testscript.TestScript, neg bool, args []string) {
	_, err := opened(ts, args).Break(context.Background(), args[1])
	ts.Check(err)
}

// [!] judge DIR: asks the oracle whether the sandbox is recovered.
func judgeSandbox(ts *testscript.TestScript, neg bool, args []string) {
	v, err := opened(ts, args).Judge(context.Background())
	ts.Check(err)
	if v.Recovered == neg {
		ts.Fatalf("recovered: %v, checks %+v, lost %q", v.Recovered, v.Checks, v.Lost)
	}
}

// capture NAME REGEXP: sets an environment variable to the first group that matches
// the last standard output.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		m = re.FindStringSubmatch(ts.ReadFile("stderr"))
	}
	if len(m) < 2 {
		ts.Fatalf("%q does not match\n%s%s", args[1], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
	ts.Setenv(args[0], m[1])
}

// await FILE: waits until a file is there, for at most 20 s.
func await(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s did not appear", args[0])
		}
	}
}
