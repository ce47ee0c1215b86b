// Package workload is the family of actions that stop applications and start them again:
// kube.scale, kube.wait, service.stop and service.start.
//
// It is one family because it is one thing to a recovery: nobody may write to a database
// while it is replaced, and whoever was stopped must come back as it was. In a cluster that
// is a Deployment scaled to 0 and back to the old number, elsewhere it is a program that
// stops and one that starts. In both cases a stopped application is a debt of the run.
//
// Nothing is believed that was not seen: what an application is comes from kubectl or from
// its status program, before, during and after. Where kubectl reports an error the
// Deployment is read again, because a lost answer is no failure.
package workload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

// App is an application of the estate.
type App struct {
	Name string

	Deployment, Namespace, Context string // in a cluster

	Stop, Start, Status []string // elsewhere: argument lists

	Health string // URL; empty when there is none
}

// Deps is what the family needs.
type Deps struct {
	App     func(name string) (App, error)
	HTTP    *http.Client  // for health pages
	Kubectl func() string // the program; in a sandbox the path of its own
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{d.scale(), d.wait(), d.stop(), d.start()}
}

// where are the parameters that name a Deployment.
type where struct {
	App, Deployment, Namespace, Context string
}

var (
	deploymentName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	namespaceName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	contextName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@:/-]{0,252}$`)
)

// check refuses words that kubectl could take for options, and what says too much or too
// little.
func (w where) check() error {
	if (w.App == "") == (w.Deployment == "") {
		return hint.New("either app or deployment is needed, and not both", "give app: NAME of the estate, or deployment: NAME with namespace: and context:")
	}
	if w.App != "" && w.Namespace+w.Context != "" {
		return hint.New("namespace and context stand with the application in the estate", "leave them out, or give deployment: in place of app:")
	}
	for _, p := range []struct {
		name, value string
		ok          *regexp.Regexp
	}{{"deployment", w.Deployment, deploymentName}, {"namespace", w.Namespace, namespaceName}, {"context", w.Context, contextName}} {
		if p.value != "" && !p.ok.MatchString(p.value) {
			return fmt.Errorf("%s %q is no name", p.name, p.value)
		}
	}
	return nil
}

// find gives the application that the parameters mean.
func (d Deps) find(w where) (App, error) {
	if err := w.check(); err != nil {
		return App{}, err
	}
	if w.App == "" {
		return App{Name: w.Deployment, Deployment: w.Deployment, Namespace: w.Namespace, Context: w.Context}, nil
	}
	return d.App(w.App)
}

// single is what scaling means for an application outside of a cluster: there is one of it
// while it runs. It is never stopped or started this way.
func (d Deps) single(ctx context.Context, env *action.Env, a App, replicas int) (action.Plan, error) {
	refused := func(why string) (action.Plan, error) {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: application %q does not run in a cluster%s", action.ErrRefused, a.Name, why),
			"stop and start it with service.stop and service.start: lifeboat.yaml has its programs")
	}
	if replicas == 0 {
		return refused("")
	}
	now, err := d.status(ctx, env, a)
	if err != nil {
		return action.Plan{}, err
	}
	if replicas != -1 && now == off {
		return refused(", and is stopped")
	}
	out := action.Plan{
		Target: "application " + a.Name, Effect: action.Write, Nothing: true, Facts: map[string]string{"app": a.Name},
		Summary: a.Name + " does not run in a cluster: there is one of it, and it is " + string(now),
		Stop:    "Yes: nothing is changed.",
	}
	return out, nil
}

func wanted(replicas int) state {
	if replicas == 0 {
		return off
	}
	return on
}

// poll asks done again and again until it says so, fails, or limit has passed: then it
// returns errLate. It asks once more at the end.
func poll(ctx context.Context, every, limit time.Duration, done func(ctx context.Context) (bool, error)) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := false; ; {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		if last {
			return errLate
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			last = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errLate is a wait that was in vain.
var errLate = errors.New("the time is over")
