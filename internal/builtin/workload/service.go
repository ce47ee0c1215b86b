package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/printable"
)

const stopDoc = `Stops an application of the estate and waits until it is stopped: a Deployment is scaled
to 0 and its last pod has ended, outside of a cluster its stop program ran and its status
program says so. A stopped application is a debt of the run: service.start closes it.

` + "```service.stop save=stopped" + `
app: booking-app
` + "```" + `

In the estate, outside of a cluster (no shell reads these, and status ends with 0 while the
application runs, with 1 or 3 while it does not, and with neither when it cannot tell):

    apps:
      booking-app:
        stop: [systemctl, stop, booking]
        start: [systemctl, start, booking]
        status: [systemctl, is-active, --quiet, booking]
        health: "http://127.0.0.1:8080/health"
`

const startDoc = `Starts an application of the estate, and waits until its status says that it runs and its
health page answers with 200. A Deployment gets back the number of replicas that it had
before it was stopped in this run, or that of replicas:; one that runs and owes nothing keeps
what it has. One page that answers now and then is not enough: it has to three times in a row.

` + "```service.start" + `
app: booking-app
replicas: 3
` + "```" + `
`

type stopParams struct {
	App    string        `param:"app,required" help:"an application of the estate"`
	Within time.Duration `param:"within" help:"how long it may stay stopped before everybody is reminded" default:"1h"`
	For    time.Duration `param:"for" help:"how long to wait until it is stopped" default:"2m"`
}

type startParams struct {
	App      string        `param:"app,required" help:"an application of the estate"`
	Replicas int           `param:"replicas" help:"in a cluster: how many; -1: as many as before it was stopped in this run" default:"-1"`
	For      time.Duration `param:"for" help:"how long to wait until it works" default:"5m"`
}

func (d Deps) stop() action.Action {
	return action.New(action.Def[stopParams]{
		Name: "service.stop", Summary: "Stop an application and wait until it is stopped", Doc: stopDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Plan: func(ctx context.Context, env *action.Env, p stopParams) (action.Plan, error) {
			a, err := d.App(p.App)
			if err != nil {
				return action.Plan{}, err
			}
			if a.Deployment != "" {
				return waiting(d.planScale(ctx, env, a, 0, p.Within))
			}
			return d.planTurn(ctx, env, a, off, p.Within)
		},
		Run: func(ctx context.Context, env *action.Env, p stopParams, plan action.Plan) (action.Result, error) {
			return d.turn(ctx, env, p.App, plan, p.For)
		},
		Probe: func(ctx context.Context, env *action.Env, p stopParams, plan action.Plan) (action.Probe, error) {
			return d.probe(ctx, env, p.App, plan)
		},
		Inverse: &action.Inverse[stopParams]{
			Plan: func(ctx context.Context, env *action.Env, p stopParams, plan action.Plan, _ action.Result) (action.Plan, error) {
				return d.planBack(ctx, env, p.App, plan)
			},
			Run: func(ctx context.Context, env *action.Env, p stopParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
				return d.turn(ctx, env, p.App, undo, p.For)
			},
			Probe: func(ctx context.Context, env *action.Env, p stopParams, undo, _ action.Plan, _ action.Result) (action.Probe, error) {
				return d.probe(ctx, env, p.App, undo)
			},
		},
	})
}

func (d Deps) start() action.Action {
	return action.New(action.Def[startParams]{
		Name: "service.start", Summary: "Start an application and wait until it works", Doc: startDoc,
		Effect: action.Write, Repeat: action.Once, // its way back destroys, as the plan of that says
		Check: func(p startParams) error {
			if p.Replicas == 0 || p.Replicas < -1 || p.Replicas > most {
				return fmt.Errorf("replicas is %d, not from 1 to %d", p.Replicas, most)
			}
			return nil
		},
		Plan: func(ctx context.Context, env *action.Env, p startParams) (action.Plan, error) {
			a, err := d.App(p.App)
			if err == nil && a.Health != "" {
				err = env.Allowed(a.Health)
			}
			if err != nil {
				return action.Plan{}, err
			}
			if a.Deployment != "" {
				to := p.Replicas
				if to == asOwed {
					to = asOwedOrNow // whoever has started it by hand meanwhile has done no harm
				}
				return waiting(d.planScale(ctx, env, a, to, 0))
			}
			return d.planTurn(ctx, env, a, on, 0)
		},
		Run: func(ctx context.Context, env *action.Env, p startParams, plan action.Plan) (action.Result, error) {
			return d.turn(ctx, env, p.App, plan, p.For)
		},
		Probe: func(ctx context.Context, env *action.Env, p startParams, plan action.Plan) (action.Probe, error) {
			return d.probe(ctx, env, p.App, plan)
		},
		Inverse: &action.Inverse[startParams]{
			Plan: func(ctx context.Context, env *action.Env, p startParams, plan action.Plan, _ action.Result) (action.Plan, error) {
				return d.planBack(ctx, env, p.App, plan)
			},
			Run: func(ctx context.Context, env *action.Env, p startParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
				return d.turn(ctx, env, p.App, undo, p.For)
			},
			Probe: func(ctx context.Context, env *action.Env, p startParams, undo, _ action.Plan, _ action.Result) (action.Probe, error) {
				return d.probe(ctx, env, p.App, undo)
			},
		},
	})
}

// waiting says in a plan to scale that its end is awaited.
func waiting(p action.Plan, err error) (action.Plan, error) {
	if err == nil && !p.Nothing {
		p.Summary += " and waits for it"
		p.Stop = "Yes: the cluster has the new number by then, or not; stopping only ends the wait."
	}
	return p, err
}

// turn does what a plan says, and waits until the application is so.
func (d Deps) turn(ctx context.Context, env *action.Env, name string, plan action.Plan, limit time.Duration) (action.Result, error) {
	a, err := d.App(name)
	if err != nil {
		return action.Result{}, err
	}
	if a.Deployment == "" || plan.Facts["deployment"] == "" {
		return d.runTurn(ctx, env, a, plan, limit)
	}
	_, _, to, err := planOf(plan)
	if err != nil {
		return action.Result{}, err
	}
	a.Context = plan.Facts["context"] // where the number was set
	out, err := d.runScale(ctx, env, plan)
	if err != nil {
		return out, err
	}
	began := env.Now()
	waited, err := d.await(ctx, env, a, to, limit)
	if err != nil {
		err = unfinished(to, err)
		out.Checks = append(out.Checks, action.Check{Text: plan.Target + " is there", Evidence: printable.Line(err.Error())})
		return out, err // the number is set, and can be set back
	}
	out.Evidence = waited.Evidence
	return d.tried(ctx, env, a, out, to > 0, limit-env.Now().Sub(began))
}

// unfinished is a wait that was in vain after the number was set. The number stays.
func unfinished(to int, err error) error {
	if !errors.Is(err, action.ErrCheck) {
		return fmt.Errorf("%w: it is scaled to %d, and whether it is there is not known: %w", action.ErrCheck, to, err)
	}
	return fmt.Errorf("it is scaled to %d, and not there yet: %w", to, err)
}

// probe finds out whether the application is as a plan wanted it.
func (d Deps) probe(ctx context.Context, env *action.Env, name string, plan action.Plan) (action.Probe, error) {
	if plan.Facts["deployment"] != "" {
		return d.probeScale(ctx, env, plan)
	}
	a, err := d.App(name)
	if err != nil {
		return action.Probe{}, err
	}
	return d.probeTurn(ctx, env, a, plan)
}

// planBack plans the way back.
func (d Deps) planBack(ctx context.Context, env *action.Env, name string, plan action.Plan) (action.Plan, error) {
	if plan.Facts["deployment"] != "" {
		return waiting(d.planScaleBack(ctx, env, plan))
	}
	a, err := d.App(name)
	if err != nil {
		return action.Plan{}, err
	}
	return d.planTurn(ctx, env, a, state(plan.Facts["from"]), 0)
}
