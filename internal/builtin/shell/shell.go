// Package shell is the action "sh": the script of a runbook's shell block.
//
// Values never become part of the script. The text that the shell reads is the text of
// the runbook, byte for byte; parameters and saved results reach it as environment
// variables only, so a value with a quote, a dollar sign or a line break is data.
package shell

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
)

const doc = `Runs a shell script in a session of its own: ` + "`sh -eu -c SCRIPT`" + `, or ` + "`bash -eu -o pipefail -c SCRIPT`" + `.

Parameters and saved results are environment variables: the parameter branch is
"$branch", the field commit of a result saved as good is "$good_commit". Quote them.
Everything else of the environment is an allow-list (PATH, HOME, LANG, TZ, proxies,
the ssh agent, credentials of clouds and clusters); in a drill there are no credentials
and HOME is an empty directory.

The effect is "write" unless the block says effect=read or effect=destroy. A destroy
block names its target= and is approved by typing that target and the first seven
digits of the SHA-256 of the script and its values: any change of either asks again.

The last line of standard output is saved as out; lines name=value that the script
appends to the file "$LIFEBOAT_OUTPUT" are saved under their names.

` + "```sh effect=read save=disk" + `
df -P .
echo "free=$(df -P . | awk 'NR==2 {print $4}')" >> "$LIFEBOAT_OUTPUT"
` + "```" + `
`

// Bounds of what a script hands back and gets.
const (
	maxOutputFile = 64 << 10
	maxOutputs    = 100
	maxLine       = 4 << 10
	// maxValue is what the kernel lets one variable have, with room for its name.
	maxValue = 120 << 10
)

type params struct {
	Script      string `param:"script,required" help:"the text that the shell runs, without values"`
	Effect      string `param:"effect" help:"how far the script reaches" enum:"read,write,destroy" default:"write"`
	Target      string `param:"target" help:"what a destroy script changes, as the person must type it"`
	Shell       string `param:"shell" help:"the shell that reads it" enum:"sh,bash" default:"sh"`
	Interactive bool   `param:"interactive" help:"the script talks to a person at a terminal"`
}

// Actions lists the family: "sh".
func Actions() []action.Action {
	return []action.Action{action.New(action.Def[params]{
		Name: "sh", Summary: "Run a shell script", Doc: doc,
		Effect: action.Write, Repeat: action.Once,
		Plan: plan, Run: run, Probe: probe,
	})}
}

// variable is what a shell can name. Parameters and results with other names are not
// handed over: a shell drops or refuses them, each in its own way.
var variable = regexp.MustCompile(`^[a-z][A-Za-z0-9_]{0,127}$`)

// values gives the environment of the script, and the order to show it in.
func values(env *action.Env) (all map[string]string, names []string, err error) {
	all = map[string]string{}
	for name, v := range env.Vars {
		all[name] = v
	}
	for name, v := range env.Secrets {
		all[name] = v.Reveal()
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !variable.MatchString(name) {
			delete(all, name)
			continue
		}
		switch v := all[name]; {
		case strings.ContainsRune(v, 0):
			return nil, nil, hint.Wrap(fmt.Errorf("%w: the value of %q contains a zero byte", action.ErrRefused, name),
				"no program can be given such a value; correct the parameter")
		case len(v) > maxValue:
			return nil, nil, hint.Wrap(fmt.Errorf("%w: the value of %q has %d bytes, at most %d can be handed to a program", action.ErrRefused, name, len(v), maxValue),
				"put it into a file and hand the script the path")
		}
		names = append(names, name)
	}
	return all, names, nil
}

// digest is over the script and every value that is no secret. Of secrets only the
// names count: a hash of a short secret would give it away.
func digest(p params, env *action.Env, names []string) string {
	h := sha256.New()
	part := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	part(p.Shell)
	part(p.Script)
	for _, name := range names {
		part(name)
		if _, hidden := env.Secrets[name]; hidden {
			part(secret.Mask)
		} else {
			part(env.Vars[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func plan(_ context.Context, env *action.Env, p params) (action.Plan, error) {
	_, names, err := values(env)
	if err != nil {
		return action.Plan{}, err
	}
	if err := allowed(env, p); err != nil {
		return action.Plan{}, err
	}
	if p.Interactive {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: this step talks to a person and there is no terminal to hand over", action.ErrRefused),
			"run its commands yourself in another terminal, then claim the step")
	}
	if _, err := command.Look(p.Shell); err != nil {
		return action.Plan{}, err
	}
	sum := digest(p, env, names)
	out := action.Plan{
		Summary: "runs " + count(p.Script) + " of shell script", Effect: action.Effect(p.Effect),
		Command: strings.Split(strings.TrimRight(p.Script, "\n"), "\n"),
		Target:  p.Target, Facts: map[string]string{"sha256": sum},
		Stop: "Not known: it depends on where in the script it stops.",
	}
	if p.Effect == string(action.Read) {
		out.Stop = "Yes: it only reads."
	}
	reads := action.Variables(p.Script)
	for _, name := range names { // all are there, and approved; those that it names matter to a reader
		if !slices.Contains(reads, name) {
			continue
		}
		text := secret.Mask
		if _, hidden := env.Secrets[name]; !hidden {
			text = env.Vars[name]
		}
		out.Lines = append(out.Lines, action.Line{Label: "$" + name, Text: text})
	}
	if p.Effect == string(action.Destroy) {
		target := p.Target
		if target == "" {
			target = "script"
		}
		out.Token = printable.Line(target) + "@" + sum[:7]
	}
	return out, nil
}

func count(script string) string {
	n := 0
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			n++
		}
	}
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

// allowed asks the fence for the directory that the script starts in and for a target
// that is a path or address. What else a script touches only its author knows.
func allowed(env *action.Env, p params) error {
	if p.Effect == string(action.Read) {
		return nil
	}
	if env.Dir != "" {
		if err := env.Allowed(env.Dir); err != nil {
			return err
		}
	}
	if strings.HasPrefix(p.Target, "/") || strings.Contains(p.Target, "://") {
		return env.Allowed(p.Target)
	}
	return nil
}

func run(ctx context.Context, env *action.Env, p params, planned action.Plan) (action.Result, error) {
	all, names, err := values(env)
	if err != nil {
		return action.Result{}, err
	}
	if p.Interactive {
		return action.Result{}, fmt.Errorf("%w: this step talks to a person and there is no terminal to hand over", action.ErrRefused)
	}
	if sum := digest(p, env, names); planned.Facts["sha256"] != sum {
		return action.Result{}, fmt.Errorf("%w: script or values are others", action.ErrChanged)
	}
	if err := allowed(env, p); err != nil {
		return action.Result{}, err
	}
	outputs, err := outputFile(env)
	if err != nil {
		return action.Result{}, err
	}
	all["LIFEBOAT_OUTPUT"] = outputs
	all["LIFEBOAT_RUN"], all["LIFEBOAT_STEP"] = env.Run, env.Step
	log := &shared{w: env.Log}
	if env.Log == nil {
		log.w = io.Discard
	}
	last, lastErr := &lastLine{}, &lastLine{}
	stdout, stderr := masking(env, io.MultiWriter(log, last)), masking(env, io.MultiWriter(log, lastErr))
	c := command.Cmd{Argv: argv(p), Dir: env.Dir, Env: all, Stdout: stdout, Stderr: stderr}
	if env.Drill {
		all["HOME"], all["SSH_AUTH_SOCK"] = env.Scratch, ""
	} else {
		c.Inherit = command.Cloud()
	}
	r, err := command.Run(ctx, c)
	err = errors.Join(err, stdout.Close(), stderr.Close())
	if exit, ok := errors.AsType[*command.ExitError](err); ok {
		// Masked; what was kept of the raw stream may begin inside a secret. A script that
		// only says on standard output what is wrong is heard too.
		exit.Stderr = cmp.Or(lastErr.String(), last.String())
	}
	if err = judge(ctx, env, p, r, err); err != nil {
		return action.Result{}, err
	}
	out := masked(env, last.String())
	res := action.Result{Evidence: "exit 0", Outputs: map[string]any{"out": out}}
	if out != "" {
		res.Evidence = "exit 0: " + out
	}
	readOutputs(env, outputs, res.Outputs)
	return res, nil
}

// masking takes the secrets of the script out of one stream. Each stream has its own:
// two that share one tear a secret apart when one is written to in the middle of the
// other's word, and neither half is found.
func masking(env *action.Env, w io.Writer) io.WriteCloser {
	red := secret.NewRedactor()
	for _, s := range env.Secrets {
		red.Add(s) // one too short to be looked for is on record as such
	}
	return red.Writer(w)
}

// shared lets standard output and standard error, which are read side by side, write
// to one log.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

func argv(p params) []string {
	if p.Shell == "bash" {
		return []string{"bash", "-eu", "-o", "pipefail", "-c", p.Script, "bash"}
	}
	return []string{"sh", "-eu", "-c", p.Script, "sh"}
}

// outputFile makes the empty file for name=value lines in the scratch directory.
func outputFile(env *action.Env) (string, error) {
	path := filepath.Join(env.Scratch, "output")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return "", fmt.Errorf("make the file for results: %w", err)
	}
	return path, nil
}

// judge says what the end of the script means.
//
//	nobody stopped it, exit 0      it worked, also when its output could not be kept
//	read, exit 1 to 125            the check that it makes failed
//	stopped, or killed by a signal it is not known how far it came
func judge(ctx context.Context, env *action.Env, p params, r command.Result, err error) error {
	if err == nil {
		return nil
	}
	reads := p.Effect == string(action.Read)
	exit, ended := errors.AsType[*command.ExitError](err)
	switch {
	case ctx.Err() != nil:
		if reads {
			return fmt.Errorf("script: %w", err)
		}
		return hint.Wrap(fmt.Errorf("%w: script: %w", action.ErrUnclear, err), "the log shows how far it came")
	case !ended && r.Took > 0 && r.Exit == 0:
		env.Printf("the script ended with 0, but: %v", err)
		return nil
	case !ended:
		return fmt.Errorf("script: %w", err)
	case !reads && killed(exit):
		return hint.Wrap(fmt.Errorf("%w: script: %w", action.ErrUnclear, err),
			"something killed it in the middle (out of memory?); the log shows how far it came")
	case reads && exit.Signal == "" && exit.Exit <= 125:
		return fmt.Errorf("%w: script: %w", action.ErrCheck, err)
	}
	return fmt.Errorf("script: %w", err)
}

// killed says whether the shell, or the command that it ended with, was killed.
func killed(e *command.ExitError) bool {
	const sigkill, sigterm = 128 + 9, 128 + 15
	return e.Signal != "" || e.Exit == sigkill || e.Exit == sigterm
}

var outputName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// readOutputs takes the name=value lines. The effect has happened, so a bad line is
// only told.
func readOutputs(env *action.Env, path string, out map[string]any) {
	f, err := os.Open(path)
	if err != nil {
		env.Printf("no results are saved: %v", err)
		return
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxOutputFile+1))
	if err != nil {
		env.Printf("no results are saved: %v", err)
		return
	}
	if len(data) > maxOutputFile {
		env.Printf("only the first %d bytes of the results are saved", maxOutputFile)
		data = data[:maxOutputFile]
	}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch {
		case strings.TrimSpace(line) == "":
		case !ok || !outputName.MatchString(name):
			env.Printf("a result is not saved, its line is not name=value with a lower-case name: %q", line)
		case len(value) > maxLine:
			env.Printf("the result %q is not saved: it has more than %d bytes", name, maxLine)
		case len(out) >= maxOutputs:
			env.Printf("the result %q is not saved: there are more than %d", name, maxOutputs)
		default:
			out[name] = masked(env, value)
		}
	}
}

// masked is a value without the secrets that the script was handed.
func masked(env *action.Env, value string) string {
	red := secret.NewRedactor()
	for _, s := range env.Secrets {
		if red.Add(s) != nil && value == s.Reveal() { // too short to be looked for inside a text
			return secret.Mask
		}
	}
	return red.Text(strings.ToValidUTF8(value, "\uFFFD"))
}

// lastLine keeps the last line that is not blank, at most maxLine bytes of it.
type lastLine struct{ done, open []byte }

func (l *lastLine) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		i := slices.Index(rest, '\n')
		part := rest
		if i >= 0 {
			part = rest[:i]
		}
		l.open = append(l.open, part[:min(len(part), maxLine-len(l.open))]...)
		if i < 0 {
			break
		}
		if strings.TrimSpace(string(l.open)) != "" {
			l.done = append(l.done[:0], l.open...)
		}
		l.open, rest = l.open[:0], rest[i+1:]
	}
	return len(p), nil
}

func (l *lastLine) String() string {
	s := string(l.open)
	if strings.TrimSpace(s) == "" {
		s = string(l.done)
	}
	return strings.TrimSpace(s)
}

func probe(_ context.Context, _ *action.Env, p params, planned action.Plan) (action.Probe, error) {
	return action.Probe{
		Finding: action.Unknown, Command: planned.Command,
		Means: "A script cannot be asked whether it happened. Read its log, look at what it should have changed, and decide.",
	}, nil
}
