package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeboat/internal/runbook"
	"lifeboat/runbooks"
)

// handCommands are the indented commands of a step: what somebody types who has nothing but
// the page on paper. Fences are documentation or actions and are left out.
func handCommands(guidance string) []string {
	var out []string
	fence, blank := false, true
	for line := range strings.Lines(guidance) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "```") {
			fence = !fence
		}
		text, code := strings.CutPrefix(line, "    ")
		if !fence && code && (blank || len(out) > 0 && out[len(out)-1] != "") {
			out = append(out, text)
			blank = true
			continue
		}
		blank = strings.TrimSpace(line) == ""
	}
	return out
}

// bySteps gives the hand commands of a runbook that is shipped. The introduction is "".
func bySteps(name string) (map[string][]string, error) {
	b, err := runbook.NewLibrary(runbook.NamedFS{FS: runbooks.FS}).Get(name)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{"intro": handCommands(b.Intro)}
	for _, s := range b.Steps {
		out[s.ID] = handCommands(s.Guidance)
	}
	return out, nil
}

// byHand, hand RUNBOOK STEP[:FIRST[-LAST]] [WORD=VALUE ...]: types the hand commands of a step as
// they stand on the page, with words replaced, where the script is. Lines count from 1. There
// are stock programs and those of a sandbox, and no lifeboat. After the last step
// "hand RUNBOOK left STEP ..." fails when a command of the page was neither typed nor is left.
func byHand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] hand RUNBOOK STEP[:FIRST[-LAST]] [WORD=VALUE ...]")
	}
	steps, err := bySteps(args[0])
	ts.Check(err)

	typed := filepath.Join(ts.Getenv("WORK"), "typed-"+args[0])
	if args[1] == "left" {
		allTyped(ts, steps, typed, args[2:])
		return
	}
	step, lines, _ := strings.Cut(args[1], ":")
	all := steps[step]
	if len(all) == 0 {
		ts.Fatalf("%s has no hand commands in the step %q", args[0], step)
	}
	first, last := 1, len(all)
	if lines != "" {
		if n, _ := fmt.Sscanf(lines, "%d-%d", &first, &last); n == 1 {
			last = first
		}
	}
	if first < 1 || last > len(all) {
		ts.Fatalf("%s: step %q has %d lines of hand commands", args[0], step, len(all))
	}
	text := strings.Join(all[first-1:last], "\n")
	for _, word := range args[2:] {
		from, to, _ := strings.Cut(word, "=")
		if !strings.Contains(text, from) {
			ts.Fatalf("nothing says %s in\n%s", from, text)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	f, err := os.OpenFile(typed, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	for i := first; i <= last; i++ {
		fmt.Fprintf(f, "%s:%d\n", step, i)
	}
	ts.Check(f.Close())
	path := []string{filepath.Join(ts.Getenv("SANDBOX"), "bin")}
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "lifeboat")); err != nil {
			path = append(path, dir)
		}
	}
	ts.Logf("%s", text)
	if err := ts.Exec("env", "PATH="+strings.Join(path, string(filepath.ListSeparator)), "sh", "-euc", text); (err != nil) != neg {
		ts.Fatalf("the commands ended with %v\n%s", err, text)
	}
}

func allTyped(ts *testscript.TestScript, steps map[string][]string, typed string, left []string) {
	done := strings.Fields(ts.ReadFile(typed))
	for step, lines := range steps {
		for i, line := range lines {
			if at := fmt.Sprintf("%s:%d", step, i+1); !slices.Contains(left, step) && !slices.Contains(left, at) && !slices.Contains(done, at) {
				ts.Fatalf("nobody typed %s: %s", at, line)
			}
		}
	}
}
