package engine

import (
	"context"
	"fmt"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
)

// undoable says why the inverse of a step cannot run, empty when it can.
func (e *Engine) undoable(u *unit, s *run.Step) string {
	switch {
	case u == nil || s == nil:
		return "there is no such step"
	case !s.Changed && s.State != run.InDoubt:
		return "it has changed nothing"
	case u.undo == nil && (u.do == nil || !u.do.action.HasUndo):
		return "it has no way back"
	}
	return ""
}

// refuseUndo keeps the undo stack a stack: what was done last is undone first.
func (e *Engine) refuseUndo(state *run.Run, target string) string {
	if target == "" && state.Gate != nil {
		target = state.Gate.Step
	}
	if why := e.undoable(e.program.unit(target), state.Step(target)); why != "" {
		return fmt.Sprintf("step %q cannot be undone: %s", target, why)
	}
	for i := len(state.Steps) - 1; i >= 0 && state.Steps[i].ID != target; i-- {
		later := &state.Steps[i]
		if later.Changed && e.undoable(e.program.unit(later.ID), later) == "" {
			return fmt.Sprintf("undo step %q first: it was done after this one", later.ID)
		}
	}
	return ""
}

// undo plans the inverse of a step, asks for it like for any other effect, and runs it.
func (e *Engine) undo(ctx context.Context, target string) error {
	u := e.program.unit(target)
	s := *e.view().Step(target)
	p, err := e.planUndo(ctx, u, s)
	if err != nil {
		return e.commit(ctx, run.NoteAdded, "", 0, run.Note{By: "lifeboat", Text: fmt.Sprintf("undo of step %q cannot be planned: %v", target, err)})
	}
	g := run.Gate{Kind: run.Confirm, Prompt: "Undo: " + u.Title, Plan: p.stored(), Digest: p.digest, Undo: true}
	if p.plan.Effect == action.Destroy {
		g.Kind, g.Token = run.Token, p.plan.Token
	}
	a, err := e.ask(ctx, u.ID, g)
	if err != nil {
		return err
	}
	if a.Verb == run.Abandon {
		return e.abandon(ctx, a)
	}
	if a.Verb != run.Approve {
		return nil // back to where the undo was asked for; nothing has changed
	}
	again, err := e.planUndo(ctx, u, s)
	if err != nil || again.digest != p.digest {
		return e.commit(ctx, run.NoteAdded, "", 0, run.Note{By: "lifeboat", Text: fmt.Sprintf("undo of step %q: the target changed while the gate was open; nothing was done", target)})
	}
	return e.runUndo(ctx, u, s, p, e.view().Step(u.ID).Approval)
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
	env, done, err := e.env(u, b.block, s.Attempt, nil)
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
		return call.PlanUndo(ctx, env, livePlan(s.Plan), e.resultOf(u, s))
	})
	if err != nil {
		return planned{}, err
	}
	return planned{call, plan, digest(e.view().ID, u.ID+" undo", call, plan)}, nil
}

func (e *Engine) runUndo(ctx context.Context, u *unit, s run.Step, p planned, approval int64) error {
	n := s.Attempt + 1
	log, err := e.openLog(u, n, "undo")
	if err != nil {
		return err
	}
	b := u.undo
	if b == nil {
		b = u.do
	}
	env, done, err := e.env(u, b.block, n, log)
	if err != nil {
		log.close()
		return err
	}
	defer done()
	e.beat("before-undo-intent")
	began := run.Began{Action: b.block.Action, Digest: p.digest, Gate: approval, Plan: p.stored(), Log: log.name}
	if err := e.commit(ctx, run.UndoBegan, u.ID, n, began); err != nil {
		return err
	}
	e.beat("after-undo-intent")
	res, interrupted, err := e.once(ctx, b, func(ctx context.Context) (action.Result, error) {
		if u.undo != nil {
			return p.call.Run(ctx, env, p.plan)
		}
		return p.call.RunUndo(ctx, env, p.plan, livePlan(s.Plan), e.resultOf(u, s))
	})
	e.beat("after-undo-effect")
	spooled := log.close()
	if err != nil {
		return e.ended(ctx, u, p, err, interrupted, spooled)
	}
	return e.commit(ctx, run.StepUndone, u.ID, n, run.Verdict{Evidence: res.Evidence, By: e.cfg.By})
}

// undoStack lists the steps that can be undone, the one to undo first at the front.
func (e *Engine) undoStack() []run.Step {
	var out []run.Step
	for i := len(e.view().Steps) - 1; i >= 0; i-- {
		s := e.view().Steps[i]
		if s.Changed && e.undoable(e.program.unit(s.ID), &s) == "" {
			out = append(out, s)
		}
	}
	return out
}
