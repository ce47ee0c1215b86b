package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

const scaleDoc = `Sets how many replicas a Deployment has, through kubectl and only if it has now what the
plan saw (` + "`--current-replicas`" + `). Scaling to 0 stops the application: that is a debt of the
run, which remembers the old number. Scaling back closes it, and takes the number from it
when replicas: is left out. Saved as stopped, the old number is also ` + "`${stopped.replicas}`" + `,
and where it was ` + "`${stopped.deployment}`, `.namespace` and `.context`" + `. An application outside of a
cluster counts as one replica while it runs, and is left as it is.

` + "```kube.scale save=stopped" + `
app: booking-app
replicas: 0
` + "```" + `

Whoever scales by hand meanwhile is not overruled: the step says what is true now and plans
anew. Scaling is not waiting: kube.wait does that. On paper:

    kubectl get deployment booking-app
    kubectl scale deployment booking-app --current-replicas=3 --replicas=0
`

// one is what an application outside of a cluster has in place of a number.
func one() map[string]any {
	return map[string]any{"replicas": int64(1), "now": int64(1), "deployment": "", "namespace": "", "context": ""}
}

type scaleParams struct {
	App        string        `param:"app" help:"an application of the estate that has a deployment"`
	Deployment string        `param:"deployment" help:"in place of app: the name of a Deployment"`
	Namespace  string        `param:"namespace" help:"of the deployment; left out: that of the context"`
	Context    string        `param:"context" help:"of kubectl; left out: the current one"`
	Replicas   int           `param:"replicas" help:"how many; -1: as many as before it was scaled to 0 in this run" default:"-1"`
	Within     time.Duration `param:"within" help:"how long it may stay at 0 before everybody is reminded" default:"1h"`
}

func (p scaleParams) where() where { return where{p.App, p.Deployment, p.Namespace, p.Context} }

// most bounds a number that a slip of the hand made.
const most = 1000

func (d Deps) scale() action.Action {
	return action.New(action.Def[scaleParams]{
		Name: "kube.scale", Summary: "Set the number of replicas of a Deployment", Doc: scaleDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Check: func(p scaleParams) error {
			if p.Replicas < -1 || p.Replicas > most {
				return fmt.Errorf("replicas is %d, not from 0 to %d", p.Replicas, most)
			}
			return p.where().check()
		},
		Plan: func(ctx context.Context, env *action.Env, p scaleParams) (action.Plan, error) {
			a, err := d.find(p.where())
			if err != nil {
				return action.Plan{}, err
			}
			if a.Deployment == "" {
				return d.single(ctx, env, a, p.Replicas)
			}
			return d.planScale(ctx, env, a, p.Replicas, p.Within)
		},
		Run: func(ctx context.Context, env *action.Env, _ scaleParams, plan action.Plan) (action.Result, error) {
			if plan.Facts["deployment"] == "" {
				return action.Result{Evidence: plan.Summary, Outputs: one()}, nil
			}
			return d.runScale(ctx, env, plan)
		},
		Probe: func(ctx context.Context, env *action.Env, p scaleParams, plan action.Plan) (action.Probe, error) {
			if plan.Facts["deployment"] == "" {
				return action.Probe{Finding: action.NotApplied, Found: plan.Summary, Means: "The step changes nothing."}, nil
			}
			return d.probeScale(ctx, env, plan)
		},
		Inverse: &action.Inverse[scaleParams]{
			Plan: func(ctx context.Context, env *action.Env, _ scaleParams, plan action.Plan, _ action.Result) (action.Plan, error) {
				return d.planScaleBack(ctx, env, plan)
			},
			Run: func(ctx context.Context, env *action.Env, _ scaleParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
				return d.runScale(ctx, env, undo)
			},
			Probe: func(ctx context.Context, env *action.Env, _ scaleParams, undo, _ action.Plan, _ action.Result) (action.Probe, error) {
				return d.probeScale(ctx, env, undo)
			},
		},
	})
}

// debtMark parts the number from the place in the id of a debt.
const debtMark = " replicas of "

// owed lists the numbers that are to be given back to a place, the one that was taken
// first first, with the ids of their debts.
func owed(env *action.Env, place string) (numbers []int, ids []string) {
	for _, debt := range env.Debts {
		text, ok := strings.CutSuffix(debt.ID, debtMark+place)
		if n, err := strconv.Atoi(text); ok && err == nil {
			numbers, ids = append(numbers, n), append(ids, debt.ID)
		}
	}
	return numbers, ids
}

// What stands for a number.
const (
	asOwed      = -1 // as many as are owed
	asOwedOrNow = -2 // or, where none are, as many as it has, if it has any
)

// planScale plans to have so many replicas.
func (d Deps) planScale(ctx context.Context, env *action.Env, a App, to int, within time.Duration) (action.Plan, error) {
	a = d.pin(ctx, env, a)
	live, err := d.get(ctx, env, a)
	if err != nil {
		return action.Plan{}, err
	}
	where, from := place(a, live), live.wanted()
	numbers, ids := owed(env, where)
	switch {
	case to < 0 && len(numbers) > 0:
		to = max(numbers[0], from) // whoever gave it more meanwhile is not overruled
	case to == asOwedOrNow && from > 0:
		to = from
	case to < 0:
		return action.Plan{}, notKnown(env, a, live, to)
	}
	out := d.planned(ctx, env, a, live, to)
	if to == 0 && from == 0 && len(numbers) == 0 {
		out.Summary += ", and not by this run: how many it had is not known here. Find that out before it is to start again"
	}
	if to == 0 && from > 0 {
		out.Opens = []action.Debt{{ID: strconv.Itoa(from) + debtMark + where, Within: within,
			Text: fmt.Sprintf("%s is scaled to 0 and serves nobody: scale it back to %d", where, from)}}
	}
	for i, n := range numbers {
		if to >= n {
			out.Closes = append(out.Closes, ids[i])
		} else if to > 0 {
			out.Lines = append(out.Lines, action.Line{Label: "still owed", Text: fmt.Sprintf("%d replicas: fewer come back than it had", n)})
		}
	}
	return out, nil
}

// notKnown says that nobody here knows how many replicas a Deployment should have, and who
// may.
func notKnown(env *action.Env, a App, live deployment, to int) error {
	where, now := place(a, live), live.wanted()
	err := fmt.Errorf("%w: to how many replicas %s is to be scaled is not known: this run has not scaled it to 0", action.ErrRefused, where)
	for _, debt := range env.Debts {
		if _, at, ok := strings.Cut(debt.ID, debtMark); ok && at != where {
			err = hint.Wrap(err, "This run owes "+debt.ID+", and kubectl speaks of "+where+" now: name the context in the estate.")
		}
	}
	if n, ok := live.applied(); ok {
		err = hint.Wrap(err, fmt.Sprintf("The manifest that was applied last asks for %d.", n))
	}
	then := "then accept this step as it is"
	if to == asOwedOrNow {
		then = "then try this step again"
	}
	return hint.Wrap(err, fmt.Sprintf("Give it the number that it should have by hand (%s), %s; or give replicas: NUMBER in the runbook. \"lifeboat runs\" lists what other runs owe.",
		typed(a, scaleArgs(a, now, "NUMBER")...), then))
}

// planned says what a change of the number means.
func (d Deps) planned(ctx context.Context, env *action.Env, a App, live deployment, to int) action.Plan {
	where, from := place(a, live), live.wanted()
	out := action.Plan{
		Target: where, Effect: action.Write,
		Facts: map[string]string{
			"deployment": a.Deployment, "namespace": a.Namespace, "context": a.Context, "uid": live.Metadata.UID,
			"from": strconv.Itoa(from), "to": strconv.Itoa(to), "place": where,
		},
		Checks: []action.Check{{Text: "the deployment is there", OK: true, Evidence: fmt.Sprintf("it asks for %d, and %d are ready", from, live.Status.ReadyReplicas)}},
		Stop:   "Yes: the cluster takes the number, or does not.",
	}
	if from == to {
		out.Nothing, out.Summary = true, fmt.Sprintf("%s has %d replicas already", where, to)
		return out
	}
	out.Summary = fmt.Sprintf("scales %s from %d to %d replicas", where, from, to)
	out.Command = []string{typed(a, scaleArgs(a, from, strconv.Itoa(to))...)}
	out.Lines = []action.Line{{Label: "from", Text: fmt.Sprintf("%d replicas, %d of them ready", from, live.Status.ReadyReplicas)}, {Label: "to", Text: fmt.Sprintf("%d replicas", to)}}
	if to == 0 {
		out.Effect, out.Token = action.Destroy, a.Deployment+"@"+strconv.Itoa(from)
		out.Lines = append(out.Lines, action.Line{Label: "is lost", Text: "the service, until it is scaled back: nobody is served, nothing is written"})
	}
	lines, checks := d.others(ctx, env, a, live, to)
	out.Lines, out.Checks = append(out.Lines, lines...), append(out.Checks, checks...)
	out.Back = fmt.Sprintf("scales back to %d replicas", from)
	return out
}

func scaleArgs(a App, from int, to string) []string {
	return []string{"scale", "deployment/" + a.Deployment, "--current-replicas=" + strconv.Itoa(from), "--replicas=" + to}
}

// saved is what a change leaves for later steps. A second attempt that finds the number as
// the first one set it does not forget that from before, nor does a second stop.
func saved(env *action.Env, plan action.Plan, from, to int) map[string]any {
	for _, before := range slices.Backward(env.Earlier) {
		if _, was, set, err := planOf(before); err == nil && before.Target == plan.Target && set == from {
			from = was
		}
	}
	if numbers, _ := owed(env, plan.Target); from == 0 && len(numbers) > 0 {
		from = numbers[0]
	}
	return map[string]any{
		"replicas": int64(from), "now": int64(to),
		"deployment": plan.Facts["deployment"], "namespace": plan.Facts["namespace"], "context": plan.Facts["context"],
	}
}

// planOf reads what a plan is about, which the estate may no longer say.
func planOf(plan action.Plan) (a App, from, to int, err error) {
	f := plan.Facts
	a = App{Name: f["deployment"], Deployment: f["deployment"], Namespace: f["namespace"], Context: f["context"]}
	from, err = strconv.Atoi(f["from"])
	if err == nil {
		to, err = strconv.Atoi(f["to"])
	}
	return a, from, to, err
}

// runScale makes the change if the Deployment is as the plan saw it.
func (d Deps) runScale(ctx context.Context, env *action.Env, plan action.Plan) (action.Result, error) {
	a, from, to, err := planOf(plan)
	if err != nil {
		return action.Result{}, err
	}
	live, err := d.get(ctx, env, a)
	if err != nil {
		return action.Result{}, err
	}
	if live.Metadata.UID != plan.Facts["uid"] {
		return action.Result{}, fmt.Errorf("%w: %s was deleted and made anew", action.ErrChanged, plan.Target)
	}
	if live.wanted() != from {
		return action.Result{}, changed(plan.Target, from, live.wanted(), to)
	}
	out := action.Result{
		Outputs: saved(env, plan, from, to),
		Back:    fmt.Sprintf("scales %s back to %d replicas", plan.Target, from),
	}
	if plan.Nothing {
		out.Evidence, out.Back = fmt.Sprintf("%s asks for %d replicas, as before", plan.Target, to), ""
		return out, nil
	}
	args := scaleArgs(a, from, strconv.Itoa(to))
	env.Printf("$ %s", typed(a, args...))
	text, err := d.kubectl(ctx, env, a, args...)
	env.Printf("%s", strings.TrimSpace(string(text)))
	return d.settle(ctx, env, a, plan, out, err)
}

// settle finds out what has become of the Deployment after kubectl ended with err.
func (d Deps) settle(ctx context.Context, env *action.Env, a App, plan action.Plan, out action.Result, err error) (action.Result, error) {
	_, from, to, perr := planOf(plan)
	if perr != nil {
		return action.Result{}, perr
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), kubectlLimit) // also when the step was stopped: its end matters
	defer cancel()
	live, rerr := d.get(ctx, env, a)
	now := live.wanted()
	switch {
	case err == nil && rerr != nil:
		out.Evidence = fmt.Sprintf("kubectl has scaled %s from %d to %d; it cannot be read again: %v", plan.Target, from, to, rerr)
		return out, nil
	case err == nil:
		out.Evidence = fmt.Sprintf("%s asks for %d replicas, was %d", plan.Target, now, from)
		out.Checks = []action.Check{{Text: fmt.Sprintf("%s asks for %d replicas", plan.Target, to), OK: now == to, Evidence: fmt.Sprintf("it asks for %d", now)}}
		return out, nil
	case command.Refused(err) && rerr == nil && now != from:
		return action.Result{}, errors.Join(changed(plan.Target, from, now, to), err)
	case command.Refused(err):
		return action.Result{}, fmt.Errorf("scale %s: %w", plan.Target, err)
	case rerr == nil && now == to:
		out.Evidence = fmt.Sprintf("%s asks for %d replicas, was %d; the answer of the cluster was lost (%v)", plan.Target, to, from, err)
		return out, nil
	case rerr != nil:
		return action.Result{}, fmt.Errorf("%w: scale %s: %w; and it cannot be read: %w", action.ErrUnclear, plan.Target, err, rerr)
	}
	return action.Result{}, fmt.Errorf("%w: scale %s: %w; it asks for %d now, and what was sent may still arrive", action.ErrUnclear, plan.Target, err, now)
}

// changed says that somebody else scaled, and what the choices are.
func changed(where string, from, now, to int) error {
	err := fmt.Errorf("%w: %s asks for %d replicas now, and did for %d", action.ErrChanged, where, now, from)
	if now == to {
		return hint.Wrap(err, fmt.Sprintf("Somebody else has scaled it to %d already. Look at the new plan: it changes nothing.", to))
	}
	return hint.Wrap(err, fmt.Sprintf("Somebody else, or an autoscaler, scaled it. Ask who, then approve the new plan, from %d to %d; or leave it as it is and skip the step.", now, to))
}

func (d Deps) probeScale(ctx context.Context, env *action.Env, plan action.Plan) (action.Probe, error) {
	a, from, to, err := planOf(plan)
	if err != nil {
		return action.Probe{}, err
	}
	out := action.Probe{
		Command: []string{typed(a, "get", "deployment/"+a.Deployment)},
		Before:  fmt.Sprintf("%d replicas", from), Wanted: fmt.Sprintf("%d replicas", to),
		Outputs: saved(env, plan, from, to),
	}
	live, err := d.get(ctx, env, a)
	if err != nil {
		out.Finding, out.Found, out.Means = action.Unknown, "not known", "The deployment cannot be read: "+err.Error()
		return out, nil
	}
	out.Found = fmt.Sprintf("%d replicas", live.wanted())
	switch {
	case live.Metadata.UID != plan.Facts["uid"]:
		out.Finding, out.Means = action.Unknown, "The deployment was deleted and made anew since: this one is not that of the step."
	case live.wanted() == to:
		out.Finding, out.Means = action.Applied, "The deployment asks for what the step wanted."
	case live.wanted() == from:
		out.Finding, out.Means = action.NotApplied, "The deployment asks for what it did before the step."
	default:
		out.Finding, out.Means = action.Unknown, "The deployment asks for neither: somebody else has scaled it."
	}
	return out, nil
}

// planScaleBack plans the way back to the number from before a change.
func (d Deps) planScaleBack(ctx context.Context, env *action.Env, plan action.Plan) (action.Plan, error) {
	a, from, _, err := planOf(plan)
	if err != nil {
		return action.Plan{}, err
	}
	live, err := d.get(ctx, env, a)
	if err != nil {
		return action.Plan{}, err
	}
	out := d.planned(ctx, env, a, live, from)
	numbers, ids := owed(env, out.Target)
	for i, n := range numbers {
		if from >= n {
			out.Closes = append(out.Closes, ids[i])
		}
	}
	if live.Metadata.UID != plan.Facts["uid"] {
		c := action.Check{Text: "it is the deployment that was scaled", Evidence: "its uid is another: it was made anew since, or kubectl speaks to another cluster now"}
		out.Checks = append(out.Checks, c)
		out.Lines = append(out.Lines, action.Line{Label: "careful", Text: c.Evidence})
	}
	return out, nil
}
