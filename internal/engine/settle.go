package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/run"
)

// decide asks what to do about a failed step: at most the ways that make sense, the
// recommended one first. Nothing runs until somebody chose.
func (e *Engine) decide(ctx context.Context, u *unit, s run.Step) error {
	if e.blind(u) {
		return e.commit(ctx, run.StepOverridden, u.ID, 0, run.Reason{By: "dry run", Class: run.NotApplicable,
			Text: "dry run: it looks at what the steps before it would have changed: " + s.Error})
	}
	if b := u.step.Do; b != nil && !s.Undoing {
		if b.Else != "" {
			to := u.scope.name(b.Else)
			if alt := e.view().Step(to); alt != nil && (alt.State == run.Skipped || alt.State == run.Undone) {
				// The run has been there, when this step had not failed yet. First this,
				// so that a crash in between finds the failure still open.
				if err := e.commit(ctx, run.StepReopened, to, 0, run.Reason{By: "lifeboat", Text: fmt.Sprintf("step %q failed", u.ID)}); err != nil {
					return err
				}
			}
			return e.commit(ctx, run.StepElse, u.ID, 0, run.Reason{By: "lifeboat", Else: to, Text: s.Error})
		}
		if b.Optional {
			return e.commit(ctx, run.StepOverridden, u.ID, 0, run.Reason{By: "optional", Class: run.NotPossible, Text: s.Error})
		}
	}
	a, err := e.ask(ctx, u.ID, run.Gate{Kind: run.Decision, Prompt: s.Error, Options: e.waysOn(u, s)})
	if err != nil {
		return err
	}
	switch a.Verb {
	case run.Reopen:
		if err := e.commit(ctx, run.StepReopened, a.Target, 0, run.Reason{By: a.By, Text: fmt.Sprintf("step %q needs it", u.ID)}); err != nil {
			return err
		}
		return e.commit(ctx, run.StepReopened, u.ID, 0, run.Reason{By: a.By, Text: "try again"})
	case run.Retry:
		return e.commit(ctx, run.StepReopened, u.ID, 0, run.Reason{By: a.By, Text: "try again"})
	case run.Undo:
		if a.Target == u.ID {
			return e.undo(ctx, u.ID)
		}
	case run.Finish:
		return e.end(ctx, run.NotComplete, a)
	case run.Anew:
		a.Values = e.otherwise(u, s)
		a.Reason = "to begin anew with another " + inWords(a.Values, "or")
		return e.abandon(ctx, a)
	}
	return e.common(ctx, u, a)
}

// waysOn lists what can be done about a failed step, first what can help: where the advice
// is to give the run something else, or a step before has to be done again, the same once
// more fails once more.
func (e *Engine) waysOn(u *unit, s run.Step) []run.Option {
	again := run.Option{Verb: run.Retry, Text: "Try again", Hint: "The target is read anew, and a step that changes something asks again."}
	if s.Undoing {
		again = run.Option{Verb: run.Undo, Text: "Try the undo again", Hint: "It is planned anew and asks again."}
	}
	var anew, out []run.Option
	if names := e.otherwise(u, s); len(names) > 0 && e.view().Drill == nil {
		other := inWords(names, "or")
		again.Hint += " What the run was given for " + inWords(names, "and") + " stays."
		anew = []run.Option{{Verb: run.Anew, Text: "Begin anew with another " + other,
			Hint: "Ends this run, and offers to undo what it has changed. The next one has the same values but for " + other + "."}}
	}
	gone := e.gone(u)
	switch {
	case len(s.Blamed) > 0:
		out = append(anew, again)
		anew = nil
	case gone != nil && !s.Undoing:
		out = []run.Option{{Verb: run.Reopen, Key: gone.ID, Text: "Do it again: " + gone.Title, Hint: "Then this step is tried again, with what that saves."}}
	default:
		out = []run.Option{again}
	}
	if !s.Undoing && s.Changed && e.undoable(u, &s) == "" && e.refuseUndo(e.view(), u.ID) == "" {
		out = append(out, run.Option{Verb: run.Undo, Text: "Undo this step", Hint: s.Back})
	}
	out = append(out,
		run.Option{Verb: run.Override, Text: "Accept it as it is and go on", Hint: "Asks for a reason, and comes back at the end."},
		run.Option{Verb: run.Finish, Text: "End the run here, not complete", Hint: "What has been done stays done and on record."})
	out = append(out, anew...)
	return append(out, run.Option{Verb: run.Abandon, Text: "Abort the run", Hint: "Offers to undo what has been changed."})
}

// otherwise lists the parameters of the run that another run would be given otherwise: those
// that the failure lies with, else those that the step goes by.
func (e *Engine) otherwise(u *unit, s run.Step) []string {
	switch {
	case s.Undoing || u.do == nil:
		return nil
	case len(s.Blamed) > 0:
		return s.Blamed
	}
	return e.goesBy(u)
}

// inWords joins names, three at most: "at", "at and log", "at, log and skip", "at, log and
// others".
func inWords(names []string, word string) string {
	if len(names) > 3 {
		names = []string{names[0], names[1], "others"}
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}

// blind says whether the step of a dry run comes after one that was left out because it
// changes something: what it reads, or needs, is not what it will be.
func (e *Engine) blind(u *unit) bool {
	r := e.view()
	if r.Started.Mode != run.Dry {
		return false
	}
	return slices.ContainsFunc(r.Steps[:e.position(u)-1], func(s run.Step) bool {
		return s.State == run.Skipped && (s.Reason.By == "dry run" || s.Hand && s.Reason.Class == run.NotApplicable)
	})
}

// doubt settles a step whose end is not known: a probe looks, a person decides.
func (e *Engine) doubt(ctx context.Context, u *unit, s run.Step) error {
	// An action that said itself that its end is unclear would say so for ever: only a
	// crash is got over without asking.
	if !s.Undoing && s.Error == "" && mayRepeat(u, s) {
		return e.commit(ctx, run.StepReopened, u.ID, 0, run.Reason{By: "lifeboat", Text: "it was interrupted, and doing it again does no harm"})
	}
	if a, err := e.askSecrets(ctx, u); err != nil {
		return err
	} else if a.Verb != run.Give {
		return e.common(ctx, u, a)
	}
	if s.Probe == nil {
		return e.commit(ctx, run.ProbeMade, u.ID, s.Attempt, e.probe(ctx, u, s))
	}
	a, err := e.ask(ctx, u.ID, doubtGate(u, s))
	if err != nil {
		return err
	}
	switch a.Verb {
	case run.Reprobe:
		return e.commit(ctx, run.ProbeMade, u.ID, s.Attempt, e.probe(ctx, u, s))
	case run.Settle:
		if s.Undoing {
			return e.commit(ctx, run.StepUndone, u.ID, s.Attempt, run.Verdict{By: a.By, Evidence: s.Probe.Means})
		}
		a.Reason, a.Extra = s.Probe.Means, map[string]string{}
		if back := e.wayBackInDoubt(u, s); back != "" {
			a.Extra[run.BackKey] = back
		}
		return e.commit(ctx, run.DoubtSettled, u.ID, s.Attempt, a)
	case run.Retry:
		if s.Undoing {
			return e.undo(ctx, u.ID)
		}
		return e.commit(ctx, run.StepReopened, u.ID, 0, run.Reason{By: a.By, Text: "it did not happen: " + s.Probe.Means})
	case run.Undo:
		if a.Target == u.ID {
			return e.undo(ctx, u.ID)
		}
	}
	return e.common(ctx, u, a)
}

// wayBackInDoubt is the way back of an effect that a person says did happen.
func (e *Engine) wayBackInDoubt(u *unit, s run.Step) string {
	switch {
	case u.undo != nil:
		return backByBlock
	case s.Plan != nil && u.do != nil && u.do.action.HasUndo:
		return s.Plan.Back
	}
	return ""
}

// doubtGate offers what fits the finding, the recommended way first.
func doubtGate(u *unit, s run.Step) run.Gate {
	what := "the step"
	if s.Undoing {
		what = "the undo of the step"
	}
	g := run.Gate{Kind: run.Doubt, Undo: s.Undoing, Prompt: fmt.Sprintf("%s was begun, and it is not known whether it finished", what)}
	if s.Undoing {
		g.Plan = s.UndoPlan
	}
	settle := run.Option{Verb: run.Settle, Text: "Mark it done and go on", Hint: "Its checks are made next."}
	retry := run.Option{Verb: run.Retry, Text: "Run it again", Hint: "With a new approval; the target is read anew."}
	undo := run.Option{Verb: run.Undo, Text: "Undo it", Hint: "Shows its plan and asks first."}
	override := run.Option{Verb: run.Override, Text: "Go on without knowing", Hint: "Asks for a reason, and comes back at the end."}
	look := run.Option{Verb: run.Reprobe, Text: "Look again"}
	canUndo := !s.Undoing && (u.undo != nil || u.do != nil && u.do.action.HasUndo)
	switch s.Probe.Finding {
	case run.Applied:
		g.Options = append(g.Options, settle, retry)
	case run.NotApplied:
		g.Options = append(g.Options, retry, override)
	default:
		settle.Text = "I have looked: it did happen"
		retry.Text = "I have looked: it did not happen, run it again"
		g.Options = append(g.Options, look, settle, retry, override)
	}
	if canUndo && s.Probe.Finding != run.NotApplied {
		g.Options = append(g.Options, undo)
	}
	if s.Probe.Finding != run.Unknown {
		g.Options = append(g.Options, look)
	}
	return g
}

// mark is what the programs of a step's effect and of its undo can be found by.
func (e *Engine) mark(u *unit) string { return string(e.view().ID) + "/" + u.ID }

// probe looks at the target of a step in doubt. A program of the step that has survived its
// host may bring about in a minute what is not there yet: then nobody knows.
func (e *Engine) probe(ctx context.Context, u *unit, s run.Step) run.Probe {
	p := e.look(ctx, u, s)
	if still := command.Marked(e.mark(u)); len(still) > 0 && p.Finding != run.Applied {
		p.Finding = run.Unknown
		p.Means = fmt.Sprintf("what the step began still runs: %s. Wait until it has ended, then look again", strings.Join(still, ", "))
	}
	return p
}

// look reads the target of a step in doubt, and what keeps it from reading is a finding too.
func (e *Engine) look(ctx context.Context, u *unit, s run.Step) run.Probe {
	unknown := func(err error) run.Probe {
		return run.Probe{Finding: run.Unknown, Means: "the target could not be read: " + err.Error()}
	}
	if u.probe != nil && !s.Undoing {
		return e.probeBlock(ctx, u, unknown)
	}
	if u.do == nil || s.Undoing && u.undo != nil {
		return run.Probe{Finding: run.Unknown, Means: "this step has no probe; look at the target yourself"}
	}
	call, err := e.call(u, u.do)
	if err != nil {
		return unknown(err)
	}
	env, done, err := e.env(ctx, u, u.do.block, s.Attempt, nil)
	if err != nil {
		return unknown(err)
	}
	defer done()
	ctx, cancel := limit(ctx, u.do.block)
	defer cancel()
	p, err := guard(func() (action.Probe, error) {
		if s.Undoing {
			c, _ := s.Newest()
			return call.ProbeUndo(ctx, env, livePlan(s.UndoPlan), livePlan(c.Plan), resultOf(c))
		}
		return call.Probe(ctx, env, livePlan(s.Plan))
	})
	if err != nil {
		return unknown(err)
	}
	out := run.Probe{Finding: run.Finding(p.Finding), Command: p.Command, Before: p.Before, Wanted: p.Wanted, Found: p.Found, Means: p.Means}
	if !s.Undoing && u.do.block.Save != "" {
		out.Save, out.Scope, out.Outputs = u.do.block.Save, u.scope.id, p.Outputs
	}
	return out
}

// probeBlock runs the step's own probe: exit 0 says it happened, exit 1 that it did
// not, and everything else that nobody knows.
func (e *Engine) probeBlock(ctx context.Context, u *unit, unknown func(error) run.Probe) run.Probe {
	call, err := e.call(u, u.probe)
	if err != nil {
		return unknown(err)
	}
	env, done, err := e.env(ctx, u, u.probe.block, 0, nil)
	if err != nil {
		return unknown(err)
	}
	defer done()
	res, _, err := e.once(ctx, u.probe, func(ctx context.Context) (action.Result, error) {
		plan, err := call.Plan(ctx, env)
		if err != nil {
			return action.Result{}, err
		}
		if plan.Effect != action.Read {
			return action.Result{}, errCheckWrites
		}
		return call.Run(ctx, env, plan)
	})
	shown := []string{checkText(u.probe, call)}
	var exit *command.ExitError
	switch {
	case err == nil:
		return run.Probe{Finding: run.Applied, Command: shown, Found: res.Evidence, Means: "the probe says that it happened"}
	case errors.Is(err, action.ErrCheck), errors.As(err, &exit) && exit.Exit == 1:
		return run.Probe{Finding: run.NotApplied, Command: shown, Found: err.Error(), Means: "the probe says that it did not happen"}
	}
	return unknown(err)
}

// resultOf gives an inverse what the journal kept of the effect.
func resultOf(c run.Change) action.Result {
	return action.Result{Evidence: c.Evidence, Back: c.Back, Facts: c.Facts, Outputs: c.Saved.Outputs}
}
