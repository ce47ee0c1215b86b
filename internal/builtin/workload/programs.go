package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
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

// program makes the call of one of the programs of an application.
func program(env *action.Env, argv []string, limit time.Duration) command.Cmd {
	c := command.Cmd{Argv: argv, Dir: env.Dir, Timeout: limit}
	if env.Drill {
		c.Env = map[string]string{"HOME": env.Scratch, "SSH_AUTH_SOCK": ""}
	} else {
		c.Inherit = command.Cloud()
	}
	return c
}

// logged runs a program with its output in the log. A file stands between them: a pipe of
// ours would break under what the program leaves running, as a start program does that
// starts the application in the background, and under a program that outlives Lifeboat.
func logged(ctx context.Context, env *action.Env, c command.Cmd) error {
	f, err := os.CreateTemp(env.Scratch, "output-*")
	if err != nil {
		return fmt.Errorf("keep the output of %q: %w", words(c.Argv), err)
	}
	defer f.Close()
	defer os.Remove(f.Name())
	own, err := os.Open(f.Name()) // with a place to read from of its own
	if err != nil {
		return fmt.Errorf("keep the output of %q: %w", words(c.Argv), err)
	}
	defer own.Close()
	ended, copied := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(copied)
		follow(own, env.Log, ended)
	}()
	c.Stdout, c.Stderr = f, f
	_, err = command.Run(ctx, c)
	close(ended)
	<-copied
	return err
}

// follow copies what a file gets into a log, once more when it has ended. A log that fails
// ends no program.
func follow(from io.Reader, log io.Writer, ended <-chan struct{}) {
	if log == nil {
		log = io.Discard
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for last := false; ; {
		if _, err := io.Copy(log, from); err != nil || last {
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			last = true
		}
	}
}

const statusLimit = 30 * time.Second

var errNoStatus = errors.New("the application cannot be asked")

// status asks whether the application runs. Only what says so means that it does not: 2 is
// how shells, pgrep and grep end that were called wrongly, 4 how systemctl speaks of a unit
// that it does not know.
func (d Deps) status(ctx context.Context, env *action.Env, a App) (state, error) {
	r, err := command.Run(ctx, program(env, a.Status, statusLimit))
	var exit *command.ExitError
	switch {
	case err == nil:
		return on, nil
	case errors.As(err, &exit) && exit.Signal == "" && (r.Exit == 1 || r.Exit == 3):
		return off, nil
	}
	return "", hint.Wrap(fmt.Errorf("%w whether %q runs: %w", errNoStatus, a.Name, err),
		"Its status program "+words(a.Status)+" must end with 0 while it runs, with 1 or 3 while it does not. Mend it in lifeboat.yaml.")
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
	out := action.Result{Evidence: fmt.Sprintf("%s is %s, as before", a.Name, to), Outputs: one()}
	began := env.Now()
	if !plan.Nothing {
		argv, back := a.Stop, "starts "+a.Name
		if to == on {
			argv, back = a.Start, "stops "+a.Name
		}
		out.Back = back
		env.Printf("$ %s", words(argv))
		ran := logged(ctx, env, program(env, argv, limit))
		if to == on && errors.Is(ran, context.DeadlineExceeded) {
			ran = hint.Wrap(ran, "A start program has to leave the application running in the background and to end. This one was ended, with what it had started.")
		}
		if err := d.becomes(ctx, env, a, to, limit-env.Now().Sub(began), ran); errors.Is(err, action.ErrCheck) {
			// It was told to, and may be on its way still: that is to be taken back, and is owed.
			out.Checks = append(out.Checks, action.Check{Text: fmt.Sprintf("%s is %s", a.Name, to), Evidence: printable.Line(err.Error())})
			return out, err
		} else if err != nil {
			return action.Result{}, err
		}
		out.Evidence = fmt.Sprintf("%s is %s", a.Name, to)
		if ran != nil { // the status is what counts
			out.Evidence += fmt.Sprintf(", although its program ended badly: %v", ran)
		}
	}
	return d.tried(ctx, env, a, out, to == on, limit-env.Now().Sub(began))
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

// steady is how often in a row a health page has to answer: what answers now and then does
// not work.
const steady = 3

// vacate is how long a health page may go on answering for an application that is stopped:
// whoever stands before it has to notice first.
const vacate = 15 * time.Second

// tried asks the health page of an application whether it works after a start, or whether
// nobody answers any more after a stop: somebody who does is another copy of it, which may
// go on writing.
func (d Deps) tried(ctx context.Context, env *action.Env, a App, out action.Result, works bool, limit time.Duration) (action.Result, error) {
	if a.Health == "" {
		return out, nil
	}
	if err := env.Allowed(a.Health); err != nil {
		if !works {
			return out, nil
		}
		return action.Result{}, err
	}
	every := 500 * time.Millisecond
	if env.Drill {
		every = 100 * time.Millisecond
	}
	row, wanted, text := 0, steady, a.Health+" answers with 200"
	if !works {
		wanted, limit, text = 1, min(limit, vacate), a.Health+" does not answer with 200 any more"
	}
	var said string
	asked, fit := 0, 0
	err := poll(ctx, every, max(limit, steady*every), func(ctx context.Context) (bool, error) {
		var ok bool
		ok, said = d.answers(ctx, a)
		if asked++; ok == works {
			row, fit = row+1, fit+1
		} else {
			row = 0
		}
		return row >= wanted, nil
	})
	if err != nil && !errors.Is(err, errLate) {
		return action.Result{}, err
	}
	c := action.Check{Text: text, OK: err == nil, Evidence: said}
	switch {
	case c.OK && works:
		c.Evidence += fmt.Sprintf(", %d times in a row", steady)
	case !works && !c.OK:
		c.Evidence += ": somebody else serves it, and may write. Find and stop it, or accept this with the reason why nobody writes"
	case !c.OK && fit > 0:
		c.Evidence += fmt.Sprintf("; it answers now and then: %d of %d times with 200", fit, asked)
	}
	out.Checks = append(out.Checks, c)
	return out, nil
}
