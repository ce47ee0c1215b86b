package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const waitDoc = `Waits until every replica of a Deployment is ready and no other is left; at 0 replicas,
until the last pod has ended and nobody can write any more. When that takes too long it says
of each pod why it is not ready. Where replicas: is given and the Deployment asks for another
number it fails at once: waiting changes no number.

` + "```kube.wait" + `
app: booking-app
for: 2m
` + "```" + `

On paper:

    kubectl rollout status deployment booking-app --timeout=2m
    kubectl get pods --selector=app=booking-app
`

type waitParams struct {
	App        string        `param:"app" help:"an application of the estate that has a deployment"`
	Deployment string        `param:"deployment" help:"in place of app: the name of a Deployment"`
	Namespace  string        `param:"namespace" help:"of the deployment; left out: that of the context"`
	Context    string        `param:"context" help:"of kubectl; left out: the current one"`
	Replicas   int           `param:"replicas" help:"how many are awaited; -1: as many as the deployment asks for" default:"-1"`
	For        time.Duration `param:"for" help:"how long to wait" default:"5m"`
}

func (p waitParams) where() where { return where{p.App, p.Deployment, p.Namespace, p.Context} }

func (d Deps) wait() action.Action {
	return action.New(action.Def[waitParams]{
		Name: "kube.wait", Summary: "Wait until the replicas of a Deployment are ready, or all gone", Doc: waitDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p waitParams) error {
			if p.Replicas < -1 || p.Replicas > most {
				return fmt.Errorf("replicas is %d, not from 0 to %d", p.Replicas, most)
			}
			return p.where().check()
		},
		Plan: func(ctx context.Context, env *action.Env, p waitParams) (action.Plan, error) {
			a, err := d.find(p.where())
			if err != nil {
				return action.Plan{}, err
			}
			if a.Deployment == "" {
				return action.Plan{
					Summary: fmt.Sprintf("waits up to %s until %s is %s", p.For, a.Name, wanted(p.Replicas)), Target: "application " + a.Name,
					Command: []string{words(a.Status)}, Stop: "Yes: it only looks.",
				}, nil
			}
			a = d.pin(ctx, env, a)
			live, err := d.get(ctx, env, a)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{
				Summary: fmt.Sprintf("waits up to %s for %s", p.For, awaited(place(a, live), expected(p.Replicas, live))),
				Target:  place(a, live), Command: []string{typed(a, "rollout", "status", "deployment/"+a.Deployment, "--timeout="+p.For.String())},
				Stop: "Yes: it only looks.",
			}, nil
		},
		Run: func(ctx context.Context, env *action.Env, p waitParams, _ action.Plan) (action.Result, error) {
			a, err := d.find(p.where())
			if err != nil {
				return action.Result{}, err
			}
			if a.Deployment == "" {
				return d.awaitSingle(ctx, env, a, wanted(p.Replicas), p.For)
			}
			return d.await(ctx, env, d.pin(ctx, env, a), p.Replicas, p.For)
		},
	})
}

// awaitSingle waits until an application outside of a cluster is as wanted, and works.
func (d Deps) awaitSingle(ctx context.Context, env *action.Env, a App, to state, limit time.Duration) (action.Result, error) {
	if env.Glance {
		limit = 0
	}
	began := env.Now()
	now := to
	err := poll(ctx, 200*time.Millisecond, limit, func(ctx context.Context) (bool, error) {
		var err error
		now, err = d.status(ctx, env, a)
		return now == to, err
	})
	switch {
	case errors.Is(err, errLate):
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: %s is %s after %s", action.ErrCheck, a.Name, now, limit), "Look at what it says itself; service.start and service.stop start and stop it.")
	case err != nil:
		return action.Result{}, err
	}
	out := action.Result{Evidence: fmt.Sprintf("%s is %s", a.Name, to)}
	return d.tried(ctx, env, a, out, to == on, limit-env.Now().Sub(began))
}

func expected(replicas int, live deployment) int {
	if replicas == -1 {
		return live.wanted()
	}
	return replicas
}

func awaited(where string, n int) string {
	if n == 0 {
		return "the last pod of " + where + " to end"
	}
	return fmt.Sprintf("%d ready replicas of %s", n, where)
}

// patience is how often in a row a cluster may fail to answer while it is waited for: one
// that is being upgraded does so now and then.
const patience = 3

// await waits for so many ready replicas; -1 is as many as are asked for.
func (d Deps) await(ctx context.Context, env *action.Env, a App, replicas int, limit time.Duration) (action.Result, error) {
	var (
		seen   sight
		said   string
		missed int // times that it could not be read, one after the other
		lost   error
		began  = env.Now()
	)
	every := time.Second
	if env.Drill {
		every = 100 * time.Millisecond
	}
	if env.Glance {
		limit = 0
	}
	err := poll(ctx, every, limit, func(ctx context.Context) (bool, error) {
		now, err := d.look(ctx, env, a, replicas)
		if err != nil {
			if missed, lost = missed+1, err; missed >= patience || limit == 0 || ctx.Err() != nil || command.Refused(err) {
				return false, err
			}
			env.Printf("it is asked again: %v", err)
			return false, nil
		}
		seen, missed, lost = now, 0, nil
		env.Report(int64(seen.ready), int64(seen.wanted), "replicas")
		if line := seen.words(); line != said {
			said = line
			env.Printf("%s", line)
		}
		if seen.asks != seen.wanted {
			return false, errElse // waiting changes no number
		}
		return seen.done, nil
	})
	switch {
	case errors.Is(err, errElse):
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: %s", action.ErrCheck, seen.words()), seen.advice(a))
	case errors.Is(err, errLate) && lost != nil:
		return action.Result{}, lost
	case errors.Is(err, errLate):
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: waited %s for %s: %s", action.ErrCheck, limit, awaited(seen.where, seen.wanted), seen.words()), seen.advice(a))
	case err != nil:
		return action.Result{}, err
	}
	took := env.Now().Sub(began).Round(100 * time.Millisecond)
	return action.Result{
		Evidence: fmt.Sprintf("%s, after %s", seen.words(), took),
		Outputs:  map[string]any{"replicas": int64(seen.wanted), "ready": int64(seen.ready)},
	}, nil
}

// errElse is a Deployment that asks for another number than is awaited.
var errElse = errors.New("another number is asked for")

// sight is a Deployment and its pods at one moment.
type sight struct {
	where         string
	wanted, ready int
	asks          int // what the Deployment asks for
	done          bool
	left          int      // pods that have not ended
	notReady      []string // "pod: why"
	first         string   // name of the first of them
	late          []string // what the Deployment says that is still to come
	failure       string   // of the Deployment itself
	noPods        error    // why the pods could not be listed
}

// late lists what keeps a Deployment from being what it asks for.
func (d deployment) late() (out []string) {
	wanted, now := d.wanted(), d.Status
	say := func(yes bool, format string, args ...any) {
		if yes {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	say(now.ObservedGeneration < d.Metadata.Generation, "the cluster has not taken notice of the change yet")
	say(now.UpdatedReplicas < wanted && !d.Spec.Paused, "%d of %d are of the newest version", now.UpdatedReplicas, wanted)
	say(now.Replicas > wanted, "it counts %s more than it asks for", printable.Count(now.Replicas-wanted, "pod"))
	say(now.Replicas < wanted, "%s still to be made", printable.Count(wanted-now.Replicas, "pod"))
	say(now.AvailableReplicas < wanted, "%d of %d have been ready for long enough", now.AvailableReplicas, wanted)
	return out
}

// look reads the Deployment, and its pods where they matter.
func (d Deps) look(ctx context.Context, env *action.Env, a App, replicas int) (sight, error) {
	live, err := d.get(ctx, env, a)
	if err != nil {
		return sight{}, err
	}
	s := sight{where: place(a, live), wanted: expected(replicas, live), ready: live.Status.ReadyReplicas, asks: live.wanted()}
	s.late = live.late()
	settled := s.asks == s.wanted && len(s.late) == 0
	if settled && s.wanted > 0 {
		s.done = true
		return s, nil
	}
	for _, c := range live.Status.Conditions {
		if c.Type == "ReplicaFailure" && c.Status == "True" || c.Type == "Progressing" && c.Status == "False" {
			s.failure = printable.Line(c.Reason + ": " + c.Message)
		}
	}
	pods, err := d.pods(ctx, env, a, live)
	if err != nil {
		if s.wanted == 0 && ctx.Err() == nil { // nobody else knows whether the last one has ended
			return s, err
		}
		s.noPods = err
		return s, ctx.Err()
	}
	for _, p := range pods {
		if p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
			continue
		}
		if s.left++; !p.ready() || s.wanted == 0 {
			if s.first == "" {
				s.first = p.Metadata.Name
			}
			s.notReady = append(s.notReady, printable.Line(p.Metadata.Name)+": "+p.why())
		}
	}
	slices.Sort(s.notReady)
	s.done = settled && s.left == 0
	return s, nil
}

// words says how things stand.
func (s sight) words() string {
	var out string
	switch {
	case s.done && s.wanted == 0:
		return "no pod of " + s.where + " is left"
	case s.done:
		return fmt.Sprintf("%d of %d replicas of %s are ready", s.ready, s.wanted, s.where)
	case s.wanted == 0 && s.left == 0:
		out = "no pod of " + s.where + " is seen"
	case s.wanted == 0:
		out = s.where + " still has " + printable.Count(s.left, "pod")
	default:
		out = fmt.Sprintf("%d of %d replicas of %s are ready", s.ready, s.wanted, s.where)
	}
	if s.asks != s.wanted {
		out += fmt.Sprintf("; the deployment asks for %d", s.asks)
	}
	if s.ready >= s.wanted { // else there is more to say of each pod
		out = strings.Join(append([]string{out}, s.late...), "; ")
	}
	if s.failure != "" {
		out += "; " + s.failure
	}
	const show = 5
	if more := len(s.notReady) - show; more > 0 {
		return out + "; " + strings.Join(s.notReady[:show], "; ") + fmt.Sprintf("; and %d more", more)
	}
	for _, why := range s.notReady {
		out += "; " + why
	}
	if s.noPods != nil {
		out += "; why is not known: " + printable.Line(s.noPods.Error())
	}
	return out
}

// advice says where to look.
func (s sight) advice(a App) string {
	switch {
	case s.asks != s.wanted:
		return fmt.Sprintf("The deployment asks for %d replicas: somebody, or an autoscaler, has scaled it. Scale it with kube.scale, or wait for %d.", s.asks, s.asks)
	case s.first != "":
		return "Look closer: " + typed(a, "describe", "pod/"+printable.Line(s.first)) + "; " + typed(a, "logs", "pod/"+printable.Line(s.first), "--all-containers", "--tail=50")
	}
	return "Look closer: " + typed(a, "describe", "deployment/"+a.Deployment)
}
