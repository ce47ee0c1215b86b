package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// state is whether an application outside of a cluster runs.
type state string

const (
	on  state = "running"
	off state = "stopped"
)

// program runs one of the programs of an application.
func program(ctx context.Context, env *action.Env, argv []string, limit time.Duration, log bool) (command.Result, error) {
	c := command.Cmd{Argv: argv, Dir: env.Dir, Timeout: limit}
	if log && env.Log != nil {
		c.Stdout, c.Stderr = env.Log, env.Log
	}
	if env.Drill {
		c.Env = map[string]string{"HOME": env.Scratch, "SSH_AUTH_SOCK": ""}
	} else {
		c.Inherit = command.Cloud()
	}
	return command.Run(ctx, c)
}

const statusLimit = 30 * time.Second

var errNoStatus = errors.New("the application cannot be asked")

// status asks whether the application runs.
func (d Deps) status(ctx context.Context, env *action.Env, a App) (state, error) {
	r, err := program(ctx, env, a.Status, statusLimit, false)
	var exit *command.ExitError
	switch {
	case err == nil:
		return on, nil
	case errors.As(err, &exit) && exit.Signal == "" && r.Exit >= 1 && r.Exit <= 4:
		return off, nil
	}
	return "", hint.Wrap(fmt.Errorf("%w whether %q runs: %w", errNoStatus, a.Name, err),
		"Its status program "+words(a.Status)+" must end with 0 while it runs, with 1 to 4 while it does not. Mend it in lifeboat.yaml.")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// words writes an argument list for a person.
func words(argv []string) string {
	out := make([]string, len(argv))
	for i, arg := range argv {
		if out[i] = arg; !plainWord.MatchString(arg) {
			out[i] = printable.Quote(arg)
		}
	}
	return strings.Join(out, " ")
}

func debtOf(a App) string { return "application " + a.Name }

// planTurn plans to have an application run or not.
func (d Deps) planTurn(ctx context.Context, env *action.Env, a App, to state, within time.Duration) (action.Plan, error) {
	now, err := d.status(ctx, env, a)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: "application " + a.Name, Effect: action.Write,
		Facts:  map[string]string{"app": a.Name, "from": string(now), "to": string(to)},
		Checks: []action.Check{{Text: "its status program answers", OK: true, Evidence: "it is " + string(now)}},
		Stop:   "Not known: it depends on the program that is stopped in the middle.",
	}
	if to == on {
		out.Closes = []string{debtOf(a)}
	}
	if now == to {
		out.Nothing, out.Summary = true, fmt.Sprintf("%s is %s already", a.Name, to)
		return out, nil
	}
	out.Lines = []action.Line{{Label: "from", Text: string(now)}, {Label: "to", Text: string(to)}}
	if to == off {
		out.Summary, out.Command, out.Back = "stops "+a.Name, []string{words(a.Stop)}, "starts "+a.Name
		out.Effect, out.Token = action.Destroy, a.Name+"@"+string(now)
		out.Lines = append(out.Lines, action.Line{Label: "is lost", Text: "the service, until it is started: nobody is served, nothing is written"})
		out.Opens = []action.Debt{{ID: debtOf(a), Within: within, Text: a.Name + " is stopped and serves nobody: start it (" + words(a.Start) + ")"}}
		return out, nil
	}
	out.Summary, out.Command, out.Back = "starts "+a.Name, []string{words(a.Start)}, "stops "+a.Name
	if a.Health != "" {
		out.Lines = append(out.Lines, action.Line{Label: "works when", Text: a.Health + " answers with 200"})
	}
	return out, nil
}

// runTurn starts or stops an application if it is as the plan saw it.
func (d Deps) runTurn(ctx context.Context, env *action.Env, a App, plan action.Plan, limit time.Duration) (action.Result, error) {
	from, to := state(plan.Facts["from"]), state(plan.Facts["to"])
	now, err := d.status(ctx, env, a)
	if err != nil {
		return action.Result{}, err
	}
	if now != from {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: %s is %s now, and was %s", action.ErrChanged, a.Name, now, from),
			"Somebody else has changed it. Ask who, then look at the new plan.")
	}
	out := action.Result{Evidence: fmt.Sprintf("%s is %s, as before", a.Name, to)}
	if !plan.Nothing {
		argv, back := a.Stop, "starts "+a.Name
		if to == on {
			argv, back = a.Start, "stops "+a.Name
		}
		out.Back = back
		env.Printf("$ %s", words(argv))
		began := env.Now()
		_, ran := program(ctx, env, argv, limit, true)
		if err := d.becomes(ctx, env, a, to, limit-env.Now().Sub(began), ran); err != nil {
			return action.Result{}, err
		}
		out.Evidence = fmt.Sprintf("%s is %s", a.Name, to)
		if ran != nil { // the status is what counts
			out.Evidence += fmt.Sprintf(", although its program ended badly: %v", ran)
		}
	}
	if to == off {
		return d.deserted(ctx, env, a, out), nil
	}
	return d.healthy(ctx, env, a, out, limit)
}

// becomes waits until the status of an application is as wanted, after its program ended
// with ran.
func (d Deps) becomes(ctx context.Context, env *action.Env, a App, to state, limit time.Duration, ran error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", action.ErrUnclear, cause)
	}
	if ran != nil { // it will hardly get better, but what was begun may still end
		limit = min(limit, 5*time.Second)
	}
	var now state
	err := poll(ctx, 200*time.Millisecond, max(limit, time.Second), func(ctx context.Context) (bool, error) {
		var err error
		now, err = d.status(ctx, env, a)
		return now == to, err
	})
	var exit *command.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errLate) && ran == nil:
		return hint.Wrap(fmt.Errorf("%w: its program ended well, and %s is still %s", action.ErrCheck, a.Name, now), "Look at what its programs say in the log of this step.")
	case errors.Is(err, errLate) && errors.As(ran, &exit) && exit.Signal == "" && !errors.Is(ran, context.DeadlineExceeded):
		return hint.Wrap(fmt.Errorf("%s is still %s: %w", a.Name, now, ran), "Look at what its programs say in the log of this step.")
	case errors.Is(err, errLate) && errors.Is(ran, command.ErrNotFound):
		return ran
	}
	return fmt.Errorf("%w: %w", action.ErrUnclear, errors.Join(ran, err))
}

func (d Deps) probeTurn(ctx context.Context, env *action.Env, a App, plan action.Plan) (action.Probe, error) {
	out := action.Probe{Command: []string{words(a.Status)}, Before: plan.Facts["from"], Wanted: plan.Facts["to"], Found: "not known", Finding: action.Unknown}
	now, err := d.status(ctx, env, a)
	if err != nil {
		out.Means = err.Error()
		return out, nil
	}
	out.Found = string(now)
	if string(now) == plan.Facts["to"] {
		out.Finding, out.Means = action.Applied, a.Name+" is as the step wanted it."
	} else {
		out.Finding, out.Means = action.NotApplied, a.Name+" is as it was before the step."
	}
	return out, nil
}

// answers asks the health page once.
func (d Deps) answers(ctx context.Context, a App) (ok bool, said string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Health, nil)
	if err != nil {
		return false, err.Error()
	}
	resp, err := d.HTTP.Do(req)
	if err != nil {
		return false, printable.Line(err.Error())
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return false, printable.Line(err.Error())
	}
	said = resp.Status
	if resp.StatusCode != http.StatusOK && len(body) > 0 {
		said += ": " + printable.Line(string(body[:min(len(body), 300)]))
	}
	return resp.StatusCode == http.StatusOK, said
}

// healthy waits until the health page answers.
func (d Deps) healthy(ctx context.Context, env *action.Env, a App, out action.Result, limit time.Duration) (action.Result, error) {
	if a.Health == "" {
		return out, nil
	}
	if err := env.Allowed(a.Health); err != nil {
		return action.Result{}, err
	}
	var said string
	err := poll(ctx, 500*time.Millisecond, max(limit, time.Second), func(ctx context.Context) (ok bool, _ error) {
		ok, said = d.answers(ctx, a)
		return ok, nil
	})
	if err != nil && !errors.Is(err, errLate) {
		return action.Result{}, err
	}
	out.Checks = append(out.Checks, action.Check{Text: a.Health + " answers with 200", OK: err == nil, Evidence: said})
	return out, nil
}

// deserted says when somebody still answers for an application that is stopped: another
// copy of it may run elsewhere, and write.
func (d Deps) deserted(ctx context.Context, env *action.Env, a App, out action.Result) action.Result {
	if a.Health == "" || env.Allowed(a.Health) != nil {
		return out
	}
	if ok, _ := d.answers(ctx, a); ok {
		out.Evidence += "; CAREFUL: " + a.Health + " still answers with 200, so somebody else serves it"
		env.Printf("%s still answers with 200: somebody else serves it", a.Health)
	}
	return out
}
