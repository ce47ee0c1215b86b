package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

	flags map[string]string
	words []string
	after []string // of "--"
}

// flags that take a value; all others are switches.
var valued = map[string]bool{
	"replicas": true, "current-replicas": true, "resource-version": true, "timeout": true, "request-timeout": true, "for": true,
	"output": true, "selector": true, "namespace": true, "context": true, "kubeconfig": true, "container": true, "field-selector": true,
}

var short = map[string]string{"-o": "output", "-n": "namespace", "-l": "selector", "-c": "container", "-i": "stdin", "-t": "tty"}

func (k *kubectl) parse(args []string) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, given := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		switch {
		case arg == "--":
			k.after = args[i+1:]
			return nil
		case !strings.HasPrefix(arg, "-") || arg == "-":
			k.words = append(k.words, arg)
			continue
		case !strings.HasPrefix(arg, "--"):
			key := arg[:min(2, len(arg))]
			if short[key] == "" {
				return fmt.Errorf("error: unknown shorthand flag: %q in %s", strings.TrimPrefix(key, "-"), arg)
			}
			name, value, given = short[key], strings.TrimPrefix(arg[len(key):], "="), len(arg) > len(key)
		}
		if valued[name] && !given {
			if i++; i == len(args) {
				return fmt.Errorf("error: flag needs an argument: --%s", name)
			}
			value = args[i]
		}
		k.flags[name] = value
	}
	return nil
}

func (k *kubectl) run(ctx context.Context, args []string) error {
	if err := k.parse(args); err != nil {
		return err
	}
	if name := k.flags["context"]; name != "" && name != "sandbox" {
		return fmt.Errorf("error: context %q does not exist", name)
	}
	if len(k.words) == 0 {
		return errors.New("kubectl of a sandbox: scale, get, rollout status, wait, exec, version")
	}
	verb := k.words[0]
	k.words = k.words[1:]
	switch verb {
	case "scale":
		return k.scale(ctx)
	case "get":
		return k.get(ctx)
	case "rollout":
		if len(k.words) > 0 && k.words[0] == "status" {
			k.words = k.words[1:]
			return k.rollout(ctx)
		}
	case "wait":
		return k.wait(ctx)
	case "exec":
		return k.exec(ctx)
	case "version":
		fmt.Fprintln(k.out, "Client Version: v1.34.0+sandbox")
		return nil
	}
	return fmt.Errorf("error: unknown command %q for \"kubectl\" of a sandbox, which knows scale, get, rollout status, wait, exec and version", strings.TrimSpace(verb+" "+strings.Join(k.words, " ")))
}

// kinds maps what people write to the resource.
var kinds = map[string]string{
	"deployment": "deployments.apps", "deployments": "deployments.apps", "deploy": "deployments.apps", "deployment.apps": "deployments.apps", "deployments.apps": "deployments.apps",
	"pod": "pods", "pods": "pods", "po": "pods",
	"hpa": "horizontalpodautoscalers.autoscaling", "horizontalpodautoscaler": "horizontalpodautoscalers.autoscaling",
	"horizontalpodautoscalers": "horizontalpodautoscalers.autoscaling", "horizontalpodautoscalers.autoscaling": "horizontalpodautoscalers.autoscaling",
}

// target reads "deployment/booking-app" or "deployment booking-app".
func (k *kubectl) target() (kind, name string, err error) {
	if len(k.words) == 0 {
		return "", "", said("error: You must specify the type of resource to get.")
	}
	word, name, slash := strings.Cut(k.words[0], "/")
	if !slash && len(k.words) > 1 {
		name = k.words[1]
	}
	kind, ok := kinds[word]
	if !ok {
		return "", "", fmt.Errorf("error: the server doesn't have a resource type %q", word)
	}
	return kind, name, nil
}

// deployment makes sure that the target is the one there is.
func (k *kubectl) deployment() error {
	kind, name, err := k.target()
	if err != nil {
		return err
	}
	if kind != "deployments.apps" || name != App || k.foreign() {
		return fmt.Errorf("Error from server (NotFound): %s %q not found", kind, name)
	}
	return nil
}

func (k *kubectl) foreign() bool {
	return k.flags["namespace"] != "" && k.flags["namespace"] != "default"
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
	if err := k.deployment(); err != nil {
		return err
	}
	n, err := strconv.Atoi(k.flags["replicas"])
	if err != nil || n < 0 {
		return errors.New("error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
	}
	q := url.Values{"replicas": {strconv.Itoa(n)}, "version": {k.flags["resource-version"]}}
	if current := k.flags["current-replicas"]; current != "-1" {
		q.Set("current", current)
	}
	if _, err := k.ask(ctx, http.MethodPut, "/scale?"+q.Encode()); err != nil {
		return err
	}
	fmt.Fprintln(k.out, "deployment.apps/"+App+" scaled")
	return nil
}

func (k *kubectl) get(ctx context.Context) error {
	kind, name, err := k.target()
	if err != nil {
		return err
	}
	var body []byte
	switch {
	case kind == "deployments.apps" && name == App && !k.foreign():
		body, err = k.ask(ctx, http.MethodGet, "/deployment")
	case kind == "pods" && name == "" && !k.foreign():
		body, err = k.ask(ctx, http.MethodGet, "/pods")
	case name == "" && kind != "deployments.apps":
		body = []byte(`{"apiVersion":"v1","kind":"List","items":[]}` + "\n")
	case name == "":
		return errors.New("error: name the deployment: " + App)
	default:
		return fmt.Errorf("Error from server (NotFound): %s %q not found", kind, name)
	}
	if err != nil {
		return err
	}
	switch o := k.flags["output"]; o {
	case "json":
		_, err = k.out.Write(body)
		return err
	case "name":
		fmt.Fprintln(k.out, "deployment.apps/"+App)
		return nil
	case "":
		return k.table(kind, body)
	default:
		return fmt.Errorf("error: the kubectl of a sandbox knows no output format %q, only json, name and the table", o)
	}
}

// seen is as much of a Deployment or a list of pods as is shown here.
type seen struct {
	Spec     struct{ Replicas int }
	Metadata struct{ Generation int64 }
	Status   struct {
		ObservedGeneration                           int64
		Replicas, UpdatedReplicas, AvailableReplicas int
		ReadyReplicas                                int
	}
	Items []struct {
		Metadata struct {
			Name              string
			DeletionTimestamp string
		}
		Status struct {
			Phase             string
			ContainerStatuses []struct{ Ready bool }
		}
	}
}

func (k *kubectl) table(kind string, body []byte) error {
	var v seen
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	switch {
	case kind == "deployments.apps":
		fmt.Fprintf(k.out, "NAME          READY   UP-TO-DATE   AVAILABLE\n%-13s %d/%d     %-12d %d\n", App, v.Status.ReadyReplicas, v.Spec.Replicas, v.Status.UpdatedReplicas, v.Status.AvailableReplicas)
	case len(v.Items) == 0:
		fmt.Fprintln(k.err, "No resources found in default namespace.")
	default:
		fmt.Fprintf(k.out, "NAME                READY   STATUS\n")
		for _, p := range v.Items {
			ready, status := "0/1", p.Status.Phase
			if len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].Ready {
				ready = "1/1"
			}
			if p.Metadata.DeletionTimestamp != "" {
				status = "Terminating"
			}
			fmt.Fprintf(k.out, "%-19s %-7s %s\n", p.Metadata.Name, ready, status)
		}
	}
	return nil
}

// until asks for what lies at path, such as the Deployment, until done says so.
func (k *kubectl) until(ctx context.Context, path string, timeout time.Duration, done func(v seen) bool) error {
	if text := k.flags["timeout"]; text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("error: invalid argument %q for \"--timeout\" flag: %w", text, err)
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
		body, err := k.ask(ctx, http.MethodGet, path)
		if err != nil && ctx.Err() == nil {
			return err
		}
		var v seen
		if err == nil && json.Unmarshal(body, &v) == nil && done(v) {
			return nil
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
	shown := -1
	err := k.until(ctx, "/deployment", 0, func(v seen) bool {
		if v.Status.AvailableReplicas >= v.Spec.Replicas && v.Status.Replicas <= v.Spec.Replicas {
			return true
		}
		if shown != v.Status.AvailableReplicas {
			shown = v.Status.AvailableReplicas
			fmt.Fprintf(k.out, "Waiting for deployment %q rollout to finish: %d of %d updated replicas are available...\n", App, shown, v.Spec.Replicas)
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
	err := k.until(ctx, "/deployment", 30*time.Second, func(v seen) bool { return v.Status.AvailableReplicas >= v.Spec.Replicas })
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("error: timed out waiting for the condition on deployments/" + App)
	}
	if err == nil {
		fmt.Fprintln(k.out, "deployment.apps/"+App+" condition met")
	}
	return err
}

// gone waits until no pod is left, as --for=delete of all pods of the app does.
func (k *kubectl) gone(ctx context.Context) error {
	if kind, name, err := k.target(); err != nil {
		return err
	} else if kind != "pods" || name != "" || k.flags["selector"] != "app="+App || k.foreign() {
		return fmt.Errorf("error: the kubectl of a sandbox waits for the end of pods of app=%s only", App)
	}
	err := k.until(ctx, "/pods", 30*time.Second, func(v seen) bool { return len(v.Items) == 0 })
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("error: timed out waiting for the condition on pods")
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
	var last seen
	err := k.until(ctx, "/deployment", 20*time.Second, func(v seen) bool {
		last = v
		return v.Status.ReadyReplicas > 0 || v.Spec.Replicas == 0
	})
	if errors.Is(err, context.DeadlineExceeded) || err == nil && last.Status.ReadyReplicas == 0 {
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
