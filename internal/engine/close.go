package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// owes says whether a debt is open.
func (e *Engine) owes(id string) bool {
	return slices.ContainsFunc(e.view().Debts, func(d run.Debt) bool { return d.ID == id })
}

// closer finds the step whose action is going to close a debt, as far as plans tell.
func (e *Engine) closer(id string) string {
	for _, s := range e.view().Steps {
		if s.Plan != nil && slices.Contains(s.Plan.Closes, id) {
			return s.ID
		}
	}
	return ""
}

// repay closes the debts whose closing steps are done or whose opening was undone, since
// they were opened: a step that put something back before it was taken off has not put
// it back. It says the same after every crash, so it may run as often as it likes.
func (e *Engine) repay(ctx context.Context) error {
	for _, s := range e.view().Steps {
		if s.Plan == nil {
			continue
		}
		var closed []string
		switch s.State {
		case run.Verified, run.Claimed:
			closed = s.Plan.Closes
		case run.Undone:
			for _, d := range s.Plan.Opens {
				closed = append(closed, d.ID)
			}
			if s.UndoPlan != nil { // what opened it may be an earlier attempt, with a plan of its own
				closed = append(closed, s.UndoPlan.Closes...)
			}
		}
		for _, d := range e.view().Debts {
			if d.Seq < s.Over && slices.Contains(closed, d.ID) {
				if err := e.commit(ctx, run.DebtClosed, "", 0, run.Debt{ID: d.ID, Text: "closed by step " + s.ID}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// unowe closes the debts that were opened for an attempt which certainly changed nothing:
// it was refused, or never begun. That alone does not say that the thing is on, as somebody
// else may have switched it off meanwhile; that a plan made now would switch it off does.
// It goes by what is stored and what is there, so it may run as often as it likes.
func (e *Engine) unowe(ctx context.Context) error {
	for _, d := range e.view().Debts {
		s := e.view().Step(d.By.Step)
		if s == nil || !untouched(s, d) {
			continue
		}
		p, err := e.plan(ctx, e.switcher(d))
		if err != nil || len(p.plan.Opens) == 0 {
			continue // it is off, or cannot be looked at
		}
		text := fmt.Sprintf("step %q has changed nothing, and it is not off", s.ID)
		if i := slices.IndexFunc(p.plan.Checks, func(c action.Check) bool { return c.OK && c.Evidence != "" }); i >= 0 {
			text += ": " + p.plan.Checks[i].Evidence
		}
		if err := e.commit(ctx, run.DebtClosed, "", 0, run.Debt{ID: d.ID, Text: text}); err != nil {
			return err
		}
	}
	return nil
}

// untouched says whether every attempt since a debt was opened for one of them certainly
// changed nothing.
func untouched(s *run.Step, d run.Debt) bool {
	since := func(c run.Change) bool { return c.Seq > d.Seq }
	switch {
	case s.Attempt < d.By.N:
		return true // a crash came before the intent
	case s.Undoing:
		return s.State == run.Failed && s.Attempt == d.By.N
	case s.State == run.Failed, s.State == run.Pending, s.State == run.Waiting:
		return !slices.ContainsFunc(s.Changes, since) && !slices.ContainsFunc(s.Doubts, since)
	}
	return false
}

// switcher is the step whose plan tells whether what a debt is about is on: that which
// switches it off, or would.
func (e *Engine) switcher(d run.Debt) *unit {
	for i, s := range e.view().Steps {
		if s.Plan != nil && slices.ContainsFunc(s.Plan.Opens, func(o run.Debt) bool { return o.ID == d.ID }) {
			return e.program.units[i]
		}
	}
	return e.program.unit(d.By.Step)
}

// oweAgain opens the debts that an effect had closed and that its inverse opens again,
// before the inverse begins, for the reason that [Engine.attempt] gives.
func (e *Engine) oweAgain(ctx context.Context, step string, n int, c run.Change) error {
	if c.Plan == nil {
		return nil
	}
	for _, id := range c.Plan.Closes {
		if e.owes(id) {
			continue
		}
		debt := run.Debt{ID: id, Text: fmt.Sprintf("step %q had put %s back, and was undone", step, id)}
		for _, s := range e.view().Steps {
			if s.Plan == nil {
				continue
			}
			for _, d := range s.Plan.Opens {
				if d.ID == id {
					debt = d
				}
			}
		}
		debt.Close, debt.By = step, run.Attempt{Step: step, N: n}
		if err := e.commit(ctx, run.DebtOpened, "", 0, debt); err != nil {
			return err
		}
	}
	return nil
}

// left lists the steps that come back at the end: left out or accepted by a person,
// undone, or failed with an alternative that was not applicable either.
func left(r *run.Run) []run.Step {
	var out []run.Step
	for _, s := range r.Steps {
		switch s.State {
		case run.Undone:
			out = append(out, s)
		case run.Overridden, run.Skipped:
			if s.Reason.Class != run.NotApplicable {
				out = append(out, s)
			}
		case run.Failed:
			if alt := r.Step(s.ElseTo); alt == nil || alt.State == run.Skipped {
				out = append(out, s)
			}
		}
	}
	return out
}

// close ends a run whose steps are all done, after what was left open came back.
func (e *Engine) close(ctx context.Context) error {
	if err := e.repay(ctx); err != nil {
		return err
	}
	if err := e.unowe(ctx); err != nil {
		return err
	}
	state := e.Snapshot()
	lefts := left(&state)
	if len(lefts) == 0 && len(state.Debts) == 0 {
		return e.end(ctx, run.Complete, run.Answer{By: e.cfg.By})
	}
	if len(state.Debts) > 0 {
		return e.settleDebt(ctx, state, lefts)
	}
	g := run.Gate{Kind: run.Closing, Prompt: "These steps were not done as written. Do one after all, or end the run with them on record."}
	g.Options = append(g.Options, run.Option{Verb: run.Finish, Text: "End the run: complete with overrides"})
	g.Options = append(g.Options, reopenings(lefts)...)
	a, err := e.ask(ctx, "", g)
	if err != nil {
		return err
	}
	switch a.Verb {
	case run.Finish:
		return e.end(ctx, run.CompleteWithOverrides, a)
	case run.Reopen:
		return e.reopen(ctx, a, lefts)
	case run.Undo:
		return e.undo(ctx, a.Target)
	}
	return e.abandon(ctx, a)
}

func reopenings(lefts []run.Step) []run.Option {
	var out []run.Option
	for _, s := range lefts {
		why := s.Reason.Text
		switch {
		case s.State == run.Undone:
			why = "it was undone"
		case s.Reason.Class != "":
			why = strings.ReplaceAll(string(s.Reason.Class), "-", " ") + ": " + why
		}
		out = append(out, run.Option{Verb: run.Reopen, Key: s.ID, Text: "Do it after all: " + s.Title, Hint: why})
	}
	return out
}

func (e *Engine) reopen(ctx context.Context, a run.Answer, lefts []run.Step) error {
	for _, s := range lefts {
		if s.ID == a.Target {
			return e.commit(ctx, run.StepReopened, s.ID, 0, run.Reason{By: a.By, Text: "done after all"})
		}
	}
	return nil // not one of them: the gate opens again
}

// settleDebt asks for the oldest open debt: no run ends while one is open. Any step that
// was left out may be the one that closes it: before it was planned nobody knows.
func (e *Engine) settleDebt(ctx context.Context, state run.Run, lefts []run.Step) error {
	d := state.Debts[0]
	g := run.Gate{Kind: run.Closing, Prompt: fmt.Sprintf("Still open: %s", d.Text)}
	closer := cmp.Or(d.Close, e.closer(d.ID))
	g.Options = reopenings(lefts)
	slices.SortStableFunc(g.Options, func(a, b run.Option) int {
		switch {
		case a.Key == closer && b.Key != closer:
			return -1
		case b.Key == closer && a.Key != closer:
			return 1
		}
		return 0
	})
	if stack := e.undoStack(); len(stack) > 0 {
		g.Options = append(g.Options, undoOption(stack[0]))
	}
	byHand := run.Option{Verb: run.Settle, Key: d.ID, Text: "I have put it back by hand", Hint: "It is looked at first. Asks how you know."}
	if e.denied[d.ID] != "" {
		byHand.Text, byHand.Hint = "Close it although it is not put back", "It was looked at: "+e.denied[d.ID]+". Asks why; that stays on record."
	}
	g.Options = append(g.Options, byHand)
	a, err := e.ask(ctx, "", g)
	if err != nil {
		return err
	}
	switch a.Verb {
	case run.Settle:
		return e.claimed(ctx, d, a)
	case run.Reopen:
		return e.reopen(ctx, a, lefts)
	}
	if _, err := e.tryUndo(ctx, a.Target); err != nil {
		return err
	}
	return e.repay(ctx)
}

// claimed closes a debt of which a person says that it was put back by hand. Where the probe
// of the step that opened it finds it as that step left it, it stays open, and closing it
// takes saying so once more, now knowing that.
func (e *Engine) claimed(ctx context.Context, d run.Debt, a run.Answer) error {
	found := ""
	for i, s := range e.view().Steps {
		if s.Plan == nil || !slices.ContainsFunc(s.Plan.Opens, func(o run.Debt) bool { return o.ID == d.ID }) {
			continue
		}
		s.Undoing = false
		if p := e.probe(ctx, e.program.units[i], s); p.Finding == run.Applied {
			found = cmp.Or(p.Found, p.Means)
		}
	}
	text := a.By + ": " + a.Reason
	switch {
	case found == "":
	case e.denied[d.ID] == "":
		e.denied[d.ID] = found
		return e.commit(ctx, run.NoteAdded, "", 0, run.Note{By: "lifeboat", Text: fmt.Sprintf("%s said: %s. It was looked at and is not put back: %s. It stays open.", a.By, a.Reason, found)})
	default:
		text += " (looked at, and not put back: " + found + ")"
	}
	return e.commit(ctx, run.DebtClosed, "", 0, run.Debt{ID: d.ID, Text: text})
}

func undoOption(s run.Step) run.Option {
	return run.Option{Verb: run.Undo, Key: s.ID, Text: "Undo: " + s.Title, Hint: s.Back}
}

// abandon ends a run early. What can be put back is offered first, the newest change
// first; what is owed must be settled.
func (e *Engine) abandon(ctx context.Context, a run.Answer) error {
	for {
		stack := e.undoStack()
		if len(stack) == 0 {
			break
		}
		g := run.Gate{Kind: run.Closing, Prompt: "The run has changed " + printable.Count(len(stack), "thing") + " that can be put back."}
		g.Options = []run.Option{
			{Verb: run.Finish, Text: "Leave everything as it is now and end the run"},
			undoOption(stack[0]),
		}
		choice, err := e.ask(ctx, "", g)
		if err != nil {
			return err
		}
		if choice.Verb != run.Undo {
			break
		}
		if _, err := e.tryUndo(ctx, choice.Target); err != nil {
			return err
		}
	}
	return e.end(ctx, run.Aborted, a)
}

func (e *Engine) end(ctx context.Context, outcome run.Outcome, a run.Answer) error {
	if err := e.repay(ctx); err != nil {
		return err
	}
	if err := e.unowe(ctx); err != nil {
		return err
	}
	for len(e.view().Debts) > 0 {
		if err := e.settleDebt(ctx, e.Snapshot(), nil); err != nil {
			return err
		}
	}
	now := e.Snapshot()
	ended := run.Ended{Outcome: outcome, By: a.By, Reason: a.Reason, Back: now.Back()}
	if a.Verb == run.Anew {
		ended.Anew = a.Values
	}
	return e.commit(ctx, run.RunEnded, "", 0, ended)
}
