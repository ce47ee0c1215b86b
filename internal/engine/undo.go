package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// undoable says why the inverse of a step cannot run, empty when it can.
func (e *Engine) undoable(u *unit, s *run.Step) string {
	switch {
	case u == nil || s == nil:
		return "there is no such step"
	case s.State == run.Checking:
		return "its checks are being made"
	case !s.Changed && (s.State != run.InDoubt || s.Undoing):
		return "it has changed nothing"
	case u.undo == nil && (u.do == nil || !u.do.action.HasUndo):
		return "it has no way back"
	}
	return ""
}

// refuseUndo keeps the undo stack a stack: what was done last is undone first.
func (e *Engine) refuseUndo(state *run.Run, target string) string {
	if why := e.undoable(e.program.unit(target), state.Step(target)); why != "" {
		return fmt.Sprintf("step %q cannot be undone: %s", target, why)
	}
	for i := range state.Steps {
		later := &state.Steps[i]
		if later.ID != target && later.Changed && when(later) > when(state.Step(target)) && e.undoable(e.program.unit(later.ID), later) == "" {
			return fmt.Sprintf("undo step %q first: it was done after this one", later.ID)
		}
	}
	return ""
}

// when orders changes by the time they were made, which a step that was reopened at the
// end does not share with its place in the runbook.
func when(s *run.Step) int64 {
	if s.State == run.InDoubt && !s.Undoing {
		return math.MaxInt64
	}
	c, _ := s.Newest()
	return c.Seq
}

// undo is [Engine.tryUndo] from where the run can be abandoned.
func (e *Engine) undo(ctx context.Context, target string) error {
	a, err := e.tryUndo(ctx, target)
	if err == nil && a.Verb == run.Abandon {
		return e.abandon(ctx, a)
	}
	return err
}

// tryUndo plans the inverse of a step, asks for it like for any other effect, and runs
// it. Every answer but an approval leads back to where the undo was asked for.
func (e *Engine) tryUndo(ctx context.Context, target string) (run.Answer, error) {
	u := e.program.unit(target)
	if a, err := e.askSecrets(ctx, u); err != nil || a.Verb != run.Give {
		return a, err
	}
	s := *e.view().Step(target)
	p, err := e.planUndo(ctx, u, s)
	if err != nil {
		return run.Answer{}, e.commit(ctx, run.NoteAdded, "", 0, run.Note{By: "lifeboat", Text: fmt.Sprintf("undo of step %q cannot be planned: %v", target, err)})
	}
	g := run.Gate{Kind: run.Confirm, Prompt: "Undo: " + u.Title, Plan: p.stored(), Digest: p.digest, Undo: true}
	if p.plan.Effect == action.Destroy {
		g.Kind, g.Token = run.Token, typeable(p.plan.Token)
	}
	a, err := e.ask(ctx, u.ID, g)
	if err != nil || a.Verb != run.Approve {
		return a, err
	}
	again, err := e.planUndo(ctx, u, s)
	if err != nil || again.digest != p.digest {
		return a, e.commit(ctx, run.NoteAdded, "", 0, run.Note{By: "lifeboat", Text: fmt.Sprintf("undo of step %q: the target changed while the gate was open; nothing was done", target)})
	}
	return a, e.runUndo(ctx, u, s, p, e.view().Step(u.ID).Approval)
}

// planUndo reads the target and says what the inverse would do.
func (e *Engine) planUndo(ctx context.Context, u *unit, s run.Step) (planned, error) {
	b := u.undo
	if b == nil {
		b = u.do
	}
	call, err := e.call(u, b)
	if err != nil {
		return planned{}, err
	}
	env, done, err := e.env(ctx, u, b.block, s.Attempt, nil)
	if err != nil {
		return planned{}, err
	}
	defer done()
	ctx, cancel := limit(ctx, b.block)
	defer cancel()
	plan, err := guard(func() (action.Plan, error) {
		if u.undo != nil {
			return call.Plan(ctx, env)
		}
		c, _ := s.Newest()
		return call.PlanUndo(ctx, env, livePlan(c.Plan), resultOf(c))
	})
	if err != nil {
		return planned{}, err
	}
	if u.undo != nil && b.block.Action != runbook.Shell {
		plan.Effect = strongest(plan.Effect, action.Effect(b.block.Effect))
	}
	if plan.Effect == action.Destroy && typeable(plan.Token) == "" {
		return planned{}, errors.New("it can lose something, and there is no token of its target to type")
	}
	return planned{call, plan, digest(e.view().ID, u.ID+" undo", call, plan)}, nil
}

func (e *Engine) runUndo(ctx context.Context, u *unit, s run.Step, p planned, approval int64) error {
	n := s.Attempt + 1
	c, _ := s.Newest()
	log, err := e.openLog(u, n, "undo")
	if err != nil {
		return err
	}
	b := u.undo
	if b == nil {
		b = u.do
	}
	env, done, err := e.env(ctx, u, b.block, n, log)
	if err != nil {
		log.close()
		return err
	}
	defer done()
	if err := e.oweAgain(ctx, u.ID, n, c); err != nil {
		log.close()
		return err
	}
	e.beat("before-undo-intent")
	began := run.Began{Action: b.block.Action, Digest: p.digest, Gate: approval, Plan: p.stored(), Log: log.name}
	if err := e.commit(ctx, run.UndoBegan, u.ID, n, began); err != nil {
		return err
	}
	e.beat("after-undo-intent")
	res, interrupted, err := e.once(ctx, b, func(ctx context.Context) (action.Result, error) {
		ctx = command.Mark(ctx, e.mark(u))
		if u.undo != nil {
			return p.call.Run(ctx, env, p.plan)
		}
		return p.call.RunUndo(ctx, env, p.plan, livePlan(c.Plan), resultOf(c))
	})
	e.beat("after-undo-effect")
	spooled := log.close()
	if err == nil {
		err = unmet(res)
	}
	if err != nil {
		return e.ended(ctx, u, p, res, err, interrupted, spooled)
	}
	if err := e.commit(ctx, run.StepUndone, u.ID, n, run.Verdict{Evidence: res.Evidence, By: e.cfg.By}); err != nil {
		return err
	}
	return e.repay(ctx)
}

// unmet is the first thing that an inverse looked at and that is not as it should be: what is
// undone was verified.
func unmet(res action.Result) error {
	for _, c := range res.Checks {
		if !c.OK {
			return fmt.Errorf("%w: %s: %s", action.ErrCheck, c.Text, c.Evidence)
		}
	}
	return nil
}

// undoStack lists the steps that can be undone, the one to undo first at the front.
func (e *Engine) undoStack() []run.Step {
	var out []run.Step
	for _, s := range e.view().Steps {
		doubtful := s.State == run.InDoubt && (s.Probe == nil || s.Probe.Finding != run.NotApplied)
		if (s.Changed || doubtful) && e.undoable(e.program.unit(s.ID), &s) == "" {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b run.Step) int { return cmp.Compare(when(&b), when(&a)) })
	return out
}
