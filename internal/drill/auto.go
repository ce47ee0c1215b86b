package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// ErrNoDrill is what [Auto] returns for a run that is no drill: nobody but a person, or
// a policy that a person wrote, answers for the estate itself.
var ErrNoDrill = errors.New("this run is no drill")

// ErrRefused is what [Auto] returns when the engine did not take its answer. The same
// question would get the same answer again.
var ErrRefused = errors.New("the rehearsal's answer was refused")

// Who answers, and how, as the journal keeps it.
const (
	By  = "rehearsal"
	How = "drill"
)

// general is said where the scenario does not know better. It claims nothing that was
// not so.
const general = "seen in the rehearsal"

// Auto plays the trainee of a scenario: it follows the runbook, types what the gates
// show, tries a failed step once more and then gives up. It serves one engine at a time.
type Auto struct {
	scenario Scenario
	tried    map[string]bool // steps that got their second try, and looks at a doubt
	approved map[string]int  // how often a step, or its inverse, was approved
}

var _ engine.Asker = (*Auto)(nil)

// NewAuto makes a trainee for a scenario.
func NewAuto(s Scenario) *Auto {
	return &Auto{scenario: s, tried: map[string]bool{}, approved: map[string]int{}}
}

// Ask answers the open gate at once. Its errors wrap [ErrNoDrill], [ErrRefused], or
// [engine.ErrPerson] where no honest answer is known; the run stays open then.
func (a *Auto) Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error) {
	if err := ctx.Err(); err != nil {
		return run.Answer{}, err
	}
	if r.Started.Mode != run.Drill {
		return run.Answer{}, hint.Wrap(fmt.Errorf("answer for run %s: %w: its mode is %q", r.ID.Short(), ErrNoDrill, r.Started.Mode),
			"Answer its gates yourself: lifeboat attach.")
	}
	g := r.Gate
	if g == nil {
		return run.Answer{}, fmt.Errorf("answer for run %s: %w: no gate is open", r.ID.Short(), engine.ErrPerson)
	}
	if refused != "" {
		return run.Answer{}, fmt.Errorf("answer the %s gate%s: %w: %s", g.Kind, at(g), ErrRefused, refused)
	}
	answer, err := a.decide(&r, g)
	if err != nil {
		return run.Answer{}, fmt.Errorf("answer the %s gate%s: %w", g.Kind, at(g), err)
	}
	answer.Gate, answer.By, answer.How = g.Seq, By, How
	return answer, nil
}

func at(g *run.Gate) string {
	if g.Step == "" {
		return ""
	}
	return fmt.Sprintf(" of step %q", g.Step)
}

func (a *Auto) decide(r *run.Run, g *run.Gate) (run.Answer, error) {
	switch g.Kind {
	case run.Confirm, run.Token:
		return a.approve(g)
	case run.Checklist:
		values := make([]string, len(g.Items))
		for i, item := range g.Items {
			values[i] = a.seen(g.Step, item)
		}
		return run.Answer{Verb: run.Give, Values: values}, nil
	case run.Choice:
		return a.choose(g)
	case run.Input:
		value := a.scenario.Answers[g.Step]
		if g.Secret || value == "" {
			return run.Answer{}, fmt.Errorf("%w: the scenario has no value for %q", engine.ErrPerson, g.Prompt)
		}
		return run.Answer{Verb: run.Give, Values: []string{value}}, nil
	case run.Decision:
		return a.failed(r, g), nil
	case run.Doubt:
		return a.doubt(r, g), nil
	case run.Closing:
		return a.closing(g)
	}
	return run.Answer{}, fmt.Errorf("%w: this kind of gate is not known here", engine.ErrPerson)
}

// mostApprovals bounds how often one step is approved: where something writes to its target
// without a pause, the gate opens anew each time.
const mostApprovals = 8

func (a *Auto) approve(g *run.Gate) (run.Answer, error) {
	if g.Kind == run.Token && g.Token == "" {
		return run.Answer{}, fmt.Errorf("%w: the gate shows no token", engine.ErrPerson)
	}
	key := fmt.Sprintf("%s %t", g.Step, g.Undo)
	if a.approved[key]++; a.approved[key] > mostApprovals {
		why := fmt.Sprintf("its gate opened anew after %d approvals: something changes the target all the time", mostApprovals)
		if g.Undo {
			return run.Answer{}, fmt.Errorf("%w: %s", engine.ErrPerson, why)
		}
		return giveUp(why), nil
	}
	return run.Answer{Verb: run.Approve, Digest: g.Digest, Token: g.Token}, nil
}

// seen is the value for one item of a checklist.
func (a *Auto) seen(step string, item run.Item) string {
	byStep := ""
	if item.Observe {
		byStep = a.scenario.Answers[step]
	}
	return cmp.Or(a.scenario.Answers[item.Text], item.Expect, byStep, general)
}

// choose takes what the scenario says, else the recommended option, which is the first.
func (a *Auto) choose(g *run.Gate) (run.Answer, error) {
	if len(g.Options) == 0 {
		return run.Answer{}, fmt.Errorf("%w: there is nothing to choose from", engine.ErrPerson)
	}
	key, ok := a.scenario.Answers[g.Step]
	if !ok {
		key = g.Options[0].Key
	}
	if !slices.ContainsFunc(g.Options, func(o run.Option) bool { return o.Key == key }) {
		return run.Answer{}, fmt.Errorf("%w: the scenario chooses %q, which is not offered", engine.ErrPerson, key)
	}
	return run.Answer{Verb: run.Give, Values: []string{key}}, nil
}

// failed tries a failed step once more, and no more than once in the whole run: a step
// that was attempted twice has had its second try, also before a restart.
func (a *Auto) failed(r *run.Run, g *run.Gate) run.Answer {
	s := r.Step(g.Step)
	again := !a.tried[g.Step] && (s == nil || s.Attempt < 2)
	a.tried[g.Step] = true
	if again && offers(g, run.Retry) {
		return run.Answer{Verb: run.Retry}
	}
	if a.scenario.Expect == run.NotComplete && offers(g, run.Finish) {
		return run.Answer{Verb: run.Finish, Reason: "the step failed twice: " + g.Prompt}
	}
	return giveUp("the step failed twice: " + g.Prompt)
}

// doubt does what the probe's finding calls for, and nothing where it has found nothing.
func (a *Auto) doubt(r *run.Run, g *run.Gate) run.Answer {
	s := r.Step(g.Step)
	if s == nil || s.Probe == nil {
		if key := "probe " + g.Step; !a.tried[key] && offers(g, run.Reprobe) {
			a.tried[key] = true
			return run.Answer{Verb: run.Reprobe}
		}
		return giveUp("nobody could look whether the step happened")
	}
	why := strings.TrimSpace("the probe says " + string(s.Probe.Finding) + ". " + s.Probe.Means)
	switch s.Probe.Finding {
	case run.Applied:
		if offers(g, run.Settle) {
			return run.Answer{Verb: run.Settle, Reason: why}
		}
	case run.NotApplied:
		for _, verb := range []run.Verb{run.Reopen, run.Retry} {
			if offers(g, verb) {
				return run.Answer{Verb: verb, Target: g.Step, Reason: why}
			}
		}
	}
	return giveUp(why)
}

// closing ends the run. With a debt it first takes up the step that closes it, and then
// undoes what opened it; to say that somebody has put things back by hand would be a lie.
func (a *Auto) closing(g *run.Gate) (run.Answer, error) {
	if offers(g, run.Finish) {
		return run.Answer{Verb: run.Finish}, nil
	}
	for _, verb := range []run.Verb{run.Reopen, run.Undo} {
		for _, o := range g.Options {
			if key := string(verb) + " " + o.Key; o.Verb == verb && !a.tried[key] {
				a.tried[key] = true
				return run.Answer{Verb: verb, Target: o.Key}, nil
			}
		}
	}
	return run.Answer{}, fmt.Errorf("%w: %s", engine.ErrPerson, g.Prompt)
}

// offers says whether a verb may be used. A gate that lists nothing leaves it open.
func offers(g *run.Gate, verb run.Verb) bool {
	return len(g.Options) == 0 || slices.ContainsFunc(g.Options, func(o run.Option) bool { return o.Verb == verb })
}

func giveUp(why string) run.Answer {
	return run.Answer{Verb: run.Abandon, Class: run.NotPossible, Reason: why}
}
