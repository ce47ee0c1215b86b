package check

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const commandDoc = `Runs a program that only looks, and compares how it ends and what it prints with what is
expected. It gets an argument list: no shell reads it. It runs without asking, so name only
programs that change nothing.

` + "```check.command" + `
run: [git, --version]
output: 'git version [0-9]+'
` + "```" + `

The output is that of standard output, up to 64 KiB of it; output and absent are regular
expressions (RE2). Everything the program prints goes to the log. For a pipe or a loop write a
block ` + "```sh effect=read" + `.
`

type commandParams struct {
	Run    []string `param:"run,required" help:"the program and its arguments"`
	Exit   int      `param:"exit" help:"the exit code that is expected" default:"0"`
	Output string   `param:"output" help:"a regular expression that the output must match"`
	Absent string   `param:"absent" help:"a regular expression that the output must not match"`
	Dir    string   `param:"dir" help:"where it runs; the directory of the runbook when left out"`
}

// shells would read a text that lint has not read; changers are no checks.
var (
	shells   = []string{"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "env", "sudo", "doas", "xargs", "nohup", "busybox"}
	changers = []string{"rm", "rmdir", "mv", "cp", "dd", "shred", "truncate", "tee", "ln", "install", "chmod", "chown", "kill", "pkill", "killall", "reboot", "shutdown", "mkfs", "wipefs"}
)

func checkCommand(p commandParams) error {
	if len(p.Run) == 0 || strings.TrimSpace(p.Run[0]) == "" {
		return &action.ArgError{Name: "run", Msg: "names no program", Fix: "write run: [program, argument]"}
	}
	base := filepath.Base(p.Run[0])
	if slices.Contains(shells, base) {
		return &action.ArgError{Name: "run", Msg: fmt.Sprintf("%q would run what nobody has checked", base), Fix: "write the script in a block that begins ```sh effect=read, or name the program itself"}
	}
	if slices.Contains(changers, base) {
		return &action.ArgError{Name: "run", Msg: fmt.Sprintf("%q changes something, and a check runs without asking", base), Fix: "write a block that begins ```sh"}
	}
	for name, text := range map[string]string{"output": p.Output, "absent": p.Absent} {
		if _, err := regexp.Compile(text); err != nil {
			return &action.ArgError{Name: name, Msg: fmt.Sprintf("is no regular expression: %v", err), Fix: "put a backslash before . * + ? ( ) [ ] { } | ^ $ that mean themselves"}
		}
	}
	if p.Exit < 0 || p.Exit > 255 {
		return &action.ArgError{Name: "exit", Msg: fmt.Sprintf("%d is no exit code", p.Exit), Fix: "write a number from 0 to 255"}
	}
	return nil
}

func (d Deps) command() action.Action {
	return action.New(action.Def[commandParams]{
		Name: "check.command", Summary: "Run a program that only looks, and check how it ends", Doc: commandDoc,
		Effect: action.Read, Repeat: action.Safe, Check: checkCommand,
		Plan: func(ctx context.Context, env *action.Env, p commandParams) (action.Plan, error) {
			line := shown(p.Run)
			plan := action.Plan{
				Summary: "runs " + line + " and looks how it ends", Target: line, Command: []string{line}, Stop: "Yes, where the program allows it.",
				Lines: []action.Line{{Label: "expects", Text: expected(p)}},
			}
			return plan, nil
		},
		Run: runCommand,
	})
}

func expected(p commandParams) string {
	out := fmt.Sprintf("exit %d", p.Exit)
	if p.Output != "" {
		out += fmt.Sprintf(", output that matches %q", p.Output)
	}
	if p.Absent != "" {
		out += fmt.Sprintf(", no output that matches %q", p.Absent)
	}
	return out
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// shown writes an argument list as a person would type it.
func shown(argv []string) string {
	var out []string
	for _, a := range argv {
		if !plainWord.MatchString(a) {
			a = "'" + strings.ReplaceAll(printable.Line(a), "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}

// outputKept bounds what of the output is matched.
const outputKept = 64 << 10

func runCommand(ctx context.Context, env *action.Env, p commandParams, _ action.Plan) (action.Result, error) {
	dir := env.Dir
	if p.Dir != "" {
		dir = absolute(env, p.Dir)
	}
	c := command.Cmd{Argv: p.Run, Dir: dir, Keep: outputKept, Env: map[string]string{}}
	if env.Drill {
		c.Env["HOME"], c.Env["SSH_AUTH_SOCK"] = env.Scratch, ""
	} else {
		c.Inherit = command.Cloud()
	}
	r, err := command.Run(ctx, c)
	env.Printf("%s", strings.TrimRight(string(r.Stdout), "\n"))
	if len(r.Stderr) > 0 {
		env.Printf("%s", strings.TrimRight(string(r.Stderr), "\n"))
	}
	exit, ended := errors.AsType[*command.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return action.Result{}, fmt.Errorf("%s: %w", printable.Line(p.Run[0]), err)
	case err != nil && (!ended || exit.Signal != ""):
		return action.Result{}, err // it did not end by itself, which says nothing about the world
	}
	res := action.Result{
		Evidence: fmt.Sprintf("exit %d after %s", r.Exit, printable.Span(r.Took.Round(10*time.Millisecond))),
		Outputs:  map[string]any{"exit": int64(r.Exit), "out": last(r.Stdout)},
		Checks:   []action.Check{{Text: fmt.Sprintf("%s ends with %d", filepath.Base(p.Run[0]), p.Exit), OK: r.Exit == p.Exit, Evidence: fmt.Sprintf("exit %d", r.Exit)}},
	}
	if line := last(r.Stdout); line != "" {
		res.Evidence += ": " + line
	}
	match := func(pattern string, want bool, text string) {
		if pattern == "" {
			return
		}
		found := regexp.MustCompile(pattern).Find(r.Stdout) // compiled once by checkCommand
		ok := (found != nil) == want
		evidence := "it does not match"
		if found != nil {
			evidence = fmt.Sprintf("it says %q", brief(string(found)))
		}
		res.Checks = append(res.Checks, action.Check{Text: fmt.Sprintf("%s %q", text, pattern), OK: ok, Evidence: evidence})
	}
	match(p.Output, true, "its output matches")
	match(p.Absent, false, "its output does not match")
	return verdict(res, func(e error) error {
		if exit != nil && exit.Stderr != "" {
			return hint.Wrap(e, "it said: "+brief(last([]byte(exit.Stderr))))
		}
		return e
	})
}

// verdict fails when a check did, with what was found.
func verdict(res action.Result, advise func(error) error) (action.Result, error) {
	var bad []string
	for _, c := range res.Checks {
		if !c.OK {
			bad = append(bad, fmt.Sprintf("not so: %s; %s", c.Text, c.Evidence))
		}
	}
	if len(bad) == 0 {
		return res, nil
	}
	err := fmt.Errorf("%w: %s", action.ErrCheck, strings.Join(bad, "; "))
	if advise != nil {
		err = advise(err)
	}
	return res, err
}

// last is the last line of a text that says something.
func last(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return brief(strings.TrimSpace(lines[len(lines)-1]))
}

// brief makes foreign text harmless and short.
func brief(s string) string {
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return printable.Line(s)
}

func absolute(env *action.Env, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(env.Dir, path)
}
