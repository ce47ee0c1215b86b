package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/sandbox"
)

// Kubectl is the kubectl of a sandbox: the commands that runbooks use, with the words and
// exit codes of the real one, talking to the process that keeps the sandbox alive. It
// returns the exit code.
func Kubectl(ctx context.Context, s *sandbox.Sandbox, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	k := &kubectl{s: s, in: stdin, out: stdout, err: stderr, flags: map[string]string{}}
	err := k.run(ctx, args)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(stderr, err)
	return 1
}

// exitCode ends kubectl as the command that it ran in a pod ended.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// said is an error in the words of the real kubectl, which are no ordinary ones of ours.
type said string

func (s said) Error() string { return string(s) }

type kubectl struct {
	s        *sandbox.Sandbox
	in       io.Reader
	out, err io.Writer

	verb  string
	flags map[string]string
	given []string // the flags, in their order
	words []string
	after []string // of "--"
}

// switches are the flags that take no value; all others do.
var switches = map[string]bool{"stdin": true, "tty": true, "quiet": true, "client": true, "watch": true}

// allowed are the flags of each command, beside those of all.
var allowed = map[string][]string{
	"":      {"namespace", "context", "request-timeout"},
	"scale": {"replicas", "current-replicas", "resource-version", "timeout"}, "get": {"output", "selector"},
	"rollout status": {"timeout"}, "wait": {"for", "selector", "timeout"}, "exec": {"stdin", "tty", "container", "quiet"},
	"config current-context": {}, "version": {"client"},
}

var short = map[string]string{"-o": "output", "-n": "namespace", "-l": "selector", "-c": "container", "-i": "stdin", "-t": "tty", "-q": "quiet"}

// misused is a call that kubectl does not understand.
func misused(verb, format string, args ...any) error {
	return said(fmt.Sprintf("Error: "+format, args...) + "\nSee 'kubectl " + verb + " --help' for usage.")
}

// parse sorts flags and words. What does not fit the command is refused by name: a flag
// that the real one obeys must not be passed over here.
func (k *kubectl) parse(args []string) error {
	var wrong func(verb string) error
	for i := 0; i < len(args) && wrong == nil; i++ {
		arg := args[i]
		name, value, given := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		shown := "--" + name
		switch {
		case arg == "--":
			k.after = args[i+1:]
			i = len(args)
			continue
		case !strings.HasPrefix(arg, "-") || arg == "-":
			k.words = append(k.words, arg)
			continue
		case !strings.HasPrefix(arg, "--"):
			key := arg[:2]
			shown = fmt.Sprintf("%q in %s", key[1:], arg)
			shown = strings.ReplaceAll(shown, `"`, "'")
			if short[key] == "" {
				wrong = func(verb string) error { return misused(verb, "unknown shorthand flag: %s", shown) }
				continue
			}
			name, value, given = short[key], strings.TrimPrefix(arg[2:], "="), len(arg) > 2
		}
		known := slices.ContainsFunc(slices.Collect(maps.Values(allowed)), func(of []string) bool { return slices.Contains(of, name) })
		if known && !switches[name] && !given {
			if i++; i >= len(args) {
				wrong = func(verb string) error { return misused(verb, "flag needs an argument: %s", shown) }
				continue
			}
			value = args[i]
		}
		k.flags[name], k.given = value, append(k.given, name)
	}
	verb := ""
	for n := min(2, len(k.words)); n > 0 && verb == ""; n-- {
		if v := strings.Join(k.words[:n], " "); allowed[v] != nil {
			verb, k.words = v, k.words[n:]
		}
	}
	if verb == "" {
		return fmt.Errorf("Error: unknown command %q for \"kubectl\" of a sandbox, which knows scale, get, rollout status, wait, exec, config current-context and version", strings.Join(k.words, " "))
	}
	for _, name := range k.given {
		if !slices.Contains(allowed[verb], name) && !slices.Contains(allowed[""], name) {
			return misused(verb, "unknown flag: --%s", name)
		}
	}
	if wrong != nil {
		return wrong(verb)
	}
	k.verb = verb
	return nil
}

func (k *kubectl) run(ctx context.Context, args []string) error {
	if err := k.parse(args); err != nil {
		return err
	}
	if name := k.flags["context"]; name != "" && name != "sandbox" && k.verb != "config current-context" {
		return fmt.Errorf("Error in configuration: context was not found for specified context: %s", name)
	}
	switch k.verb {
	case "scale":
		return k.scale(ctx)
	case "get":
		return k.get(ctx)
	case "rollout status":
		return k.rollout(ctx)
	case "wait":
		return k.wait(ctx)
	case "exec":
		return k.exec(ctx)
	case "config current-context":
		fmt.Fprintln(k.out, "sandbox")
		return nil
	}
	fmt.Fprintln(k.out, "Client Version: v1.34.0+sandbox")
	return nil
}

// kinds maps what people write to the resource.
var kinds = func() map[string]string {
	out := map[string]string{"deploy": "deployments.apps", "sts": "statefulsets.apps", "po": "pods", "pod": "pods", "pods": "pods", "hpa": "horizontalpodautoscalers.autoscaling"}
	for _, full := range []string{"deployments.apps", "statefulsets.apps", "horizontalpodautoscalers.autoscaling"} {
		plural, group, _ := strings.Cut(full, ".")
		one := strings.TrimSuffix(plural, "s")
		out[plural], out[one], out[full], out[one+"."+group] = full, full, full, full
	}
	return out
}()

// target reads "deployment/booking-app" or "deployment booking-app".
func (k *kubectl) target() (kind, name string, err error) {
	if len(k.words) == 0 {
		return "", "", errors.New("error: required resource not specified")
	}
	word, name, slash := strings.Cut(k.words[0], "/")
	rest := k.words[1:]
	if !slash && len(rest) > 0 {
		name, rest = rest[0], rest[1:]
	}
	kind, ok := kinds[word]
	switch {
	case !ok:
		return "", "", fmt.Errorf("error: the server doesn't have a resource type %q", word)
	case len(rest) > 0:
		return "", "", errors.New("error: the kubectl of a sandbox looks at one object at a time")
	}
	return kind, name, nil
}

// deployment makes sure that the target is the one there is.
func (k *kubectl) deployment() error {
	kind, name, err := k.target()
	switch {
	case err != nil:
		return err
	case k.foreign():
		return k.notFound("namespaces", k.flags["namespace"])
	case name == "":
		return errors.New("error: resource(s) were provided, but no name was specified")
	case kind != "deployments.apps" || name != App:
		return k.notFound(kind, name)
	}
	return nil
}

func (k *kubectl) foreign() bool {
	return k.flags["namespace"] != "" && k.flags["namespace"] != namespace
}

func (k *kubectl) notFound(kind, name string) error {
	what := fmt.Sprintf("%s %q not found", kind, name)
	if k.verb == "scale" {
		return errors.New("error: no objects passed to scale " + what)
	}
	return errors.New("Error from server (NotFound): " + what)
}

// ask puts what the cluster refuses into the words of kubectl.
func (k *kubectl) ask(ctx context.Context, method, path string) ([]byte, error) {
	body, err := k.s.Ask(ctx, method, path)
	var no *sandbox.ClusterError
	switch {
	case errors.As(err, &no):
		return nil, fmt.Errorf("error: %s", no.Text)
	case err != nil:
		return nil, said("The connection to the server " + sandbox.ClusterHost + " was refused - did you specify the right host or port?")
	}
	return body, nil
}

func (k *kubectl) scale(ctx context.Context) error {
	q := url.Values{"resource-version": {k.flags["resource-version"]}}
	for _, flag := range []string{"current-replicas", "replicas"} {
		text, given := k.flags[flag]
		n, err := strconv.Atoi(text)
		switch {
		case !given && flag == "replicas":
			return errors.New(`error: required flag(s) "replicas" not set`)
		case given && err != nil:
			return misused(k.verb, "invalid argument %q for \"--%s\" flag: strconv.ParseInt: parsing %q: invalid syntax", text, flag, text)
		case n < 0 && flag == "replicas":
			return errors.New("error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
		case given && n >= 0:
			q.Set(flag, strconv.Itoa(n))
		}
	}
	if err := k.deployment(); err != nil {
		return err
	}
	if _, err := k.ask(ctx, http.MethodPut, "/scale?"+q.Encode()); err != nil {
		return err
	}
	fmt.Fprintln(k.out, "deployment.apps/"+App+" scaled")
	return nil
}

// until asks for the objects of a kind until done says so.
func (k *kubectl) until(ctx context.Context, kind string, timeout time.Duration, done func(v []item) bool) error {
	if text := k.flags["timeout"]; text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil {
			return misused(k.verb, "invalid argument %q for \"--timeout\" flag: %s", text, err)
		}
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, items, err := k.objects(ctx, kind)
		switch {
		case err == nil && done(items):
			return nil
		case err != nil && ctx.Err() == nil:
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.DeadlineExceeded
		}
	}
}

func (k *kubectl) rollout(ctx context.Context) error {
	if err := k.deployment(); err != nil {
		return err
	}
	shown := ""
	err := k.until(ctx, "deployments.apps", 0, func(v []item) bool {
		say, wanted, now := "", v[0].Spec.Replicas, v[0].Status
		switch {
		case now.UpdatedReplicas < wanted:
			say = fmt.Sprintf("%d out of %d new replicas have been updated", now.UpdatedReplicas, wanted)
		case now.AvailableReplicas < now.UpdatedReplicas:
			say = fmt.Sprintf("%d of %d updated replicas are available", now.AvailableReplicas, now.UpdatedReplicas)
		default:
			return true
		}
		if say != shown {
			shown = say
			fmt.Fprintf(k.out, "Waiting for deployment %q rollout to finish: %s...\n", App, say)
		}
		return false
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("error: timed out waiting for the condition")
	}
	if err == nil {
		fmt.Fprintf(k.out, "deployment %q successfully rolled out\n", App)
	}
	return err
}

func (k *kubectl) wait(ctx context.Context) error {
	if strings.EqualFold(k.flags["for"], "delete") {
		return k.gone(ctx)
	}
	if err := k.deployment(); err != nil {
		return err
	}
	if want := strings.ToLower(k.flags["for"]); want != "condition=available" && want != "condition=available=true" {
		return fmt.Errorf("error: the kubectl of a sandbox waits for condition=available and delete, not for %q", k.flags["for"])
	}
	err := k.until(ctx, "deployments.apps", 30*time.Second, func(v []item) bool { return v[0].Status.AvailableReplicas >= v[0].Spec.Replicas })
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("error: timed out waiting for the condition on deployments/" + App)
	}
	if err == nil {
		fmt.Fprintln(k.out, "deployment.apps/"+App+" condition met")
	}
	return err
}

// gone waits until the pods that are there at its start have ended.
func (k *kubectl) gone(ctx context.Context) error {
	kind, name, err := k.target()
	if err != nil {
		return err
	}
	if kind != "pods" {
		return errors.New("error: the kubectl of a sandbox waits for the end of pods only")
	}
	var left []string
	first := true
	err = k.until(ctx, kind, 30*time.Second, func(v []item) bool {
		there := map[string]bool{}
		for _, p := range v {
			if there[p.Metadata.Name] = true; first && (name == "" || name == p.Metadata.Name) {
				left = append(left, p.Metadata.Name)
			}
		}
		first = false
		left = slices.DeleteFunc(left, func(pod string) bool {
			if !there[pod] {
				fmt.Fprintf(k.out, "pod/%s condition met\n", pod)
			}
			return !there[pod]
		})
		return len(left) == 0
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("error: timed out waiting for the condition on pods/" + strings.Join(left, "\ntimed out waiting for the condition on pods/"))
	}
	return err
}

// exec runs a program as in a pod: in the directory of the sandbox, with its own programs
// before those of the machine. It needs a pod that is ready.
func (k *kubectl) exec(ctx context.Context) error {
	if err := k.deployment(); err != nil {
		return err
	}
	if len(k.after) == 0 {
		return errors.New("error: you must specify at least one command for the container")
	}
	// The real one waits a minute for a pod that runs. Where none is wanted there is nothing
	// to wait for.
	ready := 0
	err := k.until(ctx, "deployments.apps", 20*time.Second, func(v []item) bool {
		ready = v[0].Status.ReadyReplicas
		return ready > 0 || v[0].Spec.Replicas == 0
	})
	if errors.Is(err, context.DeadlineExceeded) || err == nil && ready == 0 {
		return errors.New("error: timed out waiting for the condition") // what the real one says when there is no pod
	}
	if err != nil {
		return err
	}
	in, out, err := k.lossy()
	if err != nil {
		return err
	}
	c := command.Cmd{Argv: k.after, Dir: k.s.Dir(), Stdout: out, Stderr: k.err, Env: map[string]string{"TMPDIR": k.s.Runtime("")}}
	if _, stdin := k.flags["stdin"]; stdin {
		c.Stdin = in
	}
	r, err := command.Run(command.InFront(ctx, k.s.Bin()), c)
	var exit *command.ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Fprintf(k.err, "command terminated with exit code %d\n", r.Exit)
		return exitCode(r.Exit)
	case errors.Is(err, command.ErrNotFound):
		return fmt.Errorf("error: Internal error occurred: error executing command in container: exec: %q: executable file not found in $PATH", k.after[0])
	case err != nil:
		return fmt.Errorf("error: %w", err)
	}
	return nil
}
