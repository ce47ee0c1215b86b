package engine

import (
	"context"
	"fmt"
	"slices"

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

// repay closes the debts whose closing steps are done or whose opening was undone. It
// says the same after every crash, so it may run as often as it likes.
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
		}
		for _, id := range closed {
			if e.owes(id) {
				if err := e.commit(ctx, run.DebtClosed, "", 0, run.Debt{ID: id, Text: "closed by step " + s.ID}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// left lists the steps that come back at the end: left out or accepted by a person.
func left(r *run.Run) []run.Step {
	var out []run.Step
	for _, s := range r.Steps {
		if s.State == run.Overridden || s.State == run.Skipped && s.Reason.Class != run.NotApplicable {
			out = append(out, s)
		}
	}
	return out
}

// close ends a run whose steps are all done, after what was left open came back.
func (e *Engine) close(ctx context.Context) error {
	if err := e.repay(ctx); err != nil {
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
		out = append(out, run.Option{Verb: run.Reopen, Key: s.ID, Text: "Do it after all: " + s.Title, Hint: string(s.Reason.Class) + ": " + s.Reason.Text})
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

// settleDebt asks for the oldest open debt: no run ends while one is open.
func (e *Engine) settleDebt(ctx context.Context, state run.Run, lefts []run.Step) error {
	d := state.Debts[0]
	g := run.Gate{Kind: run.Closing, Prompt: fmt.Sprintf("Still open: %s", d.Text)}
	for _, o := range reopenings(lefts) {
		if o.Key == d.Close {
			g.Options = append(g.Options, o)
		}
	}
	g.Options = append(g.Options, run.Option{Verb: run.Settle, Key: d.ID, Text: "I have put it back by hand", Hint: "Asks how you know."})
	a, err := e.ask(ctx, "", g)
	if err != nil {
		return err
	}
	switch a.Verb {
	case run.Settle:
		return e.commit(ctx, run.DebtClosed, "", 0, run.Debt{ID: d.ID, Text: a.By + ": " + a.Reason})
	case run.Reopen:
		return e.reopen(ctx, a, lefts)
	case run.Undo:
		return e.undo(ctx, a.Target)
	}
	return nil // a run with a debt does not end: the gate opens again
}

// abandon ends a run early. What can be put back is offered first, the newest change
// first; what is owed must be settled.
func (e *Engine) abandon(ctx context.Context, a run.Answer) error {
	for {
		stack := e.undoStack()
		if len(stack) == 0 {
			break
		}
		s := stack[0]
		g := run.Gate{Kind: run.Closing, Prompt: fmt.Sprintf("The run has changed %d things that can be put back.", len(stack))}
		g.Options = []run.Option{
			{Verb: run.Finish, Text: "Leave everything as it is now and end the run"},
			{Verb: run.Undo, Key: s.ID, Text: "Undo: " + s.Title, Hint: s.Back},
		}
		choice, err := e.ask(ctx, "", g)
		if err != nil {
			return err
		}
		if choice.Verb != run.Undo {
			break
		}
		if err := e.undo(ctx, choice.Target); err != nil {
			return err
		}
	}
	if err := e.repay(ctx); err != nil {
		return err
	}
	for len(e.view().Debts) > 0 {
		if err := e.settleDebt(ctx, e.Snapshot(), nil); err != nil {
			return err
		}
	}
	return e.end(ctx, run.Aborted, a)
}

func (e *Engine) end(ctx context.Context, outcome run.Outcome, a run.Answer) error {
	for len(e.view().Debts) > 0 {
		if err := e.settleDebt(ctx, e.Snapshot(), nil); err != nil {
			return err
		}
	}
	return e.commit(ctx, run.RunEnded, "", 0, run.Ended{Outcome: outcome, By: a.By, Reason: a.Reason})
}
