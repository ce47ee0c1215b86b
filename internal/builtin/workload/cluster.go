package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// kubectlLimit bounds one call of kubectl, also one that waits for a plugin to log in.
const kubectlLimit = time.Minute

// kubectl calls the program for an application, and returns what it wrote.
func (d Deps) kubectl(ctx context.Context, env *action.Env, a App, args ...string) ([]byte, error) {
	c := command.Kubectl(a.Context, a.Namespace, args...)
	c.Argv[0] = d.Kubectl()
	c.Timeout = kubectlLimit
	if args[0] == "config" { // a look at a file
		c.Timeout, c.Grace = 10*time.Second, time.Second
	}
	if env.Drill { // whatever the program is: with this it finds no cluster of anybody
		c.Inherit = nil
		c.Env["KUBECONFIG"], c.Env["HOME"] = "/dev/null", env.Scratch
	}
	out, err := command.Output(ctx, c)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = hint.Wrap(err, "kubectl does not end. Call it by hand to see what it waits for: a login program, the VPN, or something that stands before the real kubectl in PATH.")
	}
	return out, err
}

// decode reads what kubectl wrote.
func decode(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return strange(text, err)
	}
	return nil
}

// strange is an answer of kubectl, with exit code 0, that is none.
func strange(text []byte, why error) error {
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return hint.Wrap(fmt.Errorf("the answer of kubectl is not understood: %w: %q", why, printable.Line(first[:min(len(first), 120)])),
		"Call it by hand. Something may stand before the real kubectl in PATH, or between it and the cluster.")
}

// pin names the context that kubectl would take by itself. Whoever switches it in the middle
// of a run changes neither where the rest of the step goes, nor which cluster a debt is of.
// Without a current context, as inside of a cluster, nothing can be switched.
func (d Deps) pin(ctx context.Context, env *action.Env, a App) App {
	if a.Context != "" || env.Drill {
		return a
	}
	out, err := d.kubectl(ctx, env, a, "config", "current-context")
	if name := strings.TrimSpace(string(out)); err == nil && name != "" && !strings.HasPrefix(name, "-") && !strings.ContainsAny(name, "\n\r\x00") {
		a.Context = name
	}
	return a
}

// typed is a call as a person would type it.
func typed(a App, args ...string) string {
	argv := []string{"kubectl"}
	if a.Context != "" {
		argv = append(argv, "--context="+a.Context)
	}
	if a.Namespace != "" {
		argv = append(argv, "--namespace="+a.Namespace)
	}
	return strings.Join(append(argv, args...), " ")
}

// deployment is as much of a Deployment as matters here.
type deployment struct {
	Metadata struct {
		Name, Namespace, UID string
		Generation           int64
		Labels, Annotations  map[string]string
	}
	Spec struct {
		Replicas *int
		Paused   bool
		Selector struct {
			MatchLabels      map[string]string
			MatchExpressions []struct {
				Key, Operator string
				Values        []string
			}
		}
	}
	Status struct {
		ObservedGeneration                       int64
		Replicas, UpdatedReplicas, ReadyReplicas int
		AvailableReplicas                        int
		Conditions                               []condition
	}
}

type condition struct{ Type, Status, Reason, Message string }

// wanted is how many replicas the Deployment asks for; Kubernetes takes 1 for silence.
func (d deployment) wanted() int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// applied is the number of the manifest that "kubectl apply" was given last.
func (d deployment) applied() (int, bool) {
	var manifest struct{ Spec struct{ Replicas *int } }
	err := json.Unmarshal([]byte(d.Metadata.Annotations["kubectl.kubernetes.io/last-applied-configuration"]), &manifest)
	if err != nil || manifest.Spec.Replicas == nil {
		return 0, false
	}
	return *manifest.Spec.Replicas, true
}

// get reads the Deployment.
func (d Deps) get(ctx context.Context, env *action.Env, a App) (deployment, error) {
	var out deployment
	text, err := d.kubectl(ctx, env, a, "get", "deployment/"+a.Deployment, "--output=json")
	if err == nil {
		err = decode(text, &out)
	}
	if err == nil && (out.Metadata.Name != a.Deployment || out.Metadata.UID == "" || out.wanted() < 0) {
		err = strange(text, errors.New("it is not that of this deployment"))
	}
	if command.Reason(err) == "NotFound" {
		if _, serr := d.kubectl(ctx, env, a, "get", "statefulset/"+a.Deployment, "--output=name"); serr == nil {
			err = hint.Wrap(err, "There is a StatefulSet of that name. Only Deployments are scaled here: scale it in a step with sh, or by hand: "+typed(a, "scale", "statefulset/"+a.Deployment, "--replicas=NUMBER"))
		}
	}
	if err != nil {
		return out, fmt.Errorf("read deployment %q: %w", a.Deployment, err)
	}
	return out, nil
}

// place names a Deployment for a person, and for a debt.
func place(a App, live deployment) string {
	p := a.Deployment
	if ns := live.Metadata.Namespace; ns != "" {
		p = ns + "/" + p
	}
	if a.Context != "" {
		p += " in " + a.Context
	}
	return printable.Line(p)
}

// selector writes the labels of the pods of a Deployment as kubectl takes them.
func (d deployment) selector() (string, bool) {
	var parts []string
	for k, v := range d.Spec.Selector.MatchLabels {
		parts = append(parts, k+"="+v)
	}
	for _, e := range d.Spec.Selector.MatchExpressions {
		switch e.Operator {
		case "In":
			parts = append(parts, fmt.Sprintf("%s in (%s)", e.Key, strings.Join(e.Values, ",")))
		case "NotIn":
			parts = append(parts, fmt.Sprintf("%s notin (%s)", e.Key, strings.Join(e.Values, ",")))
		case "Exists":
			parts = append(parts, e.Key)
		case "DoesNotExist":
			parts = append(parts, "!"+e.Key)
		default:
			return "", false
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ","), len(parts) > 0
}

// pod is as much of a Pod as tells why it is not ready.
type pod struct {
	Metadata struct{ Name, DeletionTimestamp string }
	Status   struct {
		Phase, Reason, Message                   string
		Conditions                               []condition
		InitContainerStatuses, ContainerStatuses []struct {
			Name         string
			Ready        bool
			RestartCount int
			State        struct {
				Waiting    *struct{ Reason, Message string }
				Terminated *struct {
					Reason, Message string
					ExitCode        int
				}
			}
		}
	}
}

func (p pod) ready() bool {
	return p.Metadata.DeletionTimestamp == "" && slices.ContainsFunc(p.Status.Conditions, func(c condition) bool { return c.Type == "Ready" && c.Status == "True" })
}

// why says in words what keeps a pod from being ready.
func (p pod) why() string {
	said := func(parts ...string) string {
		parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
		return printable.Line(strings.Join(parts, ": "))
	}
	if p.Metadata.DeletionTimestamp != "" {
		return "is being ended"
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		restarts := ""
		if c.RestartCount > 0 {
			restarts = fmt.Sprintf("started %d times over", c.RestartCount)
		}
		switch w, t := c.State.Waiting, c.State.Terminated; {
		case w != nil && w.Reason != "PodInitializing":
			return said("container "+c.Name, w.Reason, w.Message, restarts)
		case t != nil && t.ExitCode != 0:
			return said("container "+c.Name, t.Reason, fmt.Sprintf("exit %d", t.ExitCode), t.Message, restarts)
		}
	}
	for _, kind := range []string{"PodScheduled", "Ready"} {
		for _, c := range p.Status.Conditions {
			if c.Type == kind && c.Status != "True" {
				return said(c.Reason, c.Message)
			}
		}
	}
	return said(p.Status.Phase, p.Status.Reason, p.Status.Message)
}

// pods lists the pods of a Deployment, also those that are being ended.
func (d Deps) pods(ctx context.Context, env *action.Env, a App, live deployment) ([]pod, error) {
	selector, ok := live.selector()
	if !ok {
		return nil, errors.New("read the pods: the selector of the deployment is not understood")
	}
	text, err := d.kubectl(ctx, env, a, "get", "pods", "--selector="+selector, "--output=json")
	var list struct{ Items []pod }
	if err == nil {
		err = decode(text, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read the pods: %w", err)
	}
	return list.Items, nil
}

// scaler is a HorizontalPodAutoscaler of a Deployment.
type scaler struct {
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Spec struct {
		ScaleTargetRef struct{ Kind, Name string }
		MinReplicas    *int
		MaxReplicas    int
	}
}

// others says who else changes the number of replicas, and what that means for a new one.
func (d Deps) others(ctx context.Context, env *action.Env, a App, live deployment, to int) (lines []action.Line, checks []action.Check) {
	if live.Spec.Paused {
		lines = append(lines, action.Line{Label: "paused", Text: "its rollout is paused: it scales all the same, but no new version rolls out until \"" + typed(a, "rollout", "resume", "deployment/"+a.Deployment) + "\""})
	}
	for key, who := range map[string]string{
		"argocd.argoproj.io/instance": "Argo CD", "argocd.argoproj.io/tracking-id": "Argo CD",
		"kustomize.toolkit.fluxcd.io/name": "Flux", "helm.toolkit.fluxcd.io/name": "Flux",
	} {
		if live.Metadata.Labels[key] != "" || live.Metadata.Annotations[key] != "" {
			lines = append(lines, action.Line{Label: "careful", Text: who + " keeps this deployment and may set the number again: suspend its sync first"})
			break
		}
	}
	const text = "no autoscaler changes the number"
	out, err := d.kubectl(ctx, env, a, "get", "horizontalpodautoscalers", "--output=json")
	var list struct{ Items []scaler }
	if err == nil {
		err = decode(out, &list)
	}
	if err != nil { // no reason to leave an application running
		return lines, append(checks, action.Check{Text: text, Evidence: printable.Line("could not be looked at: " + err.Error())})
	}
	for _, s := range list.Items {
		if s.Spec.ScaleTargetRef.Kind != "Deployment" || s.Spec.ScaleTargetRef.Name != a.Deployment {
			continue
		}
		least := 1
		if s.Spec.MinReplicas != nil {
			least = *s.Spec.MinReplicas
		}
		name := fmt.Sprintf("autoscaler %q keeps %d to %d replicas", printable.Line(s.Metadata.Name), least, s.Spec.MaxReplicas)
		keda := printable.Line(s.Metadata.Labels["scaledobject.keda.sh/name"])
		switch {
		case to == 0 && keda != "":
			return lines, append(checks, action.Check{Text: "the autoscaler rests at 0", Evidence: fmt.Sprintf("%s for KEDA, which may scale it up from 0: pause it first: %s",
				name, typed(a, "annotate", "scaledobject/"+keda, "autoscaling.keda.sh/paused-replicas=0"))})
		case to == 0:
			lines = append(lines, action.Line{Label: "autoscaler", Text: name + "; it rests while the deployment is at 0, and takes over again above"})
			return lines, append(checks, action.Check{Text: "the autoscaler rests at 0", OK: true, Evidence: name})
		case to < least || to > s.Spec.MaxReplicas:
			return lines, append(checks, action.Check{Text: text, Evidence: name + ", and will soon change " + strconv.Itoa(to)})
		}
		return append(lines, action.Line{Label: "autoscaler", Text: name + " and may change the number"}), checks
	}
	return lines, append(checks, action.Check{Text: text, OK: true, Evidence: "none is there"})
}
