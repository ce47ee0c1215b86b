package engine

import (
	"context"
	"fmt"
	"testing"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
)

// stopper is an action as those that stop an application: it has its effect, finds that this
// did not bring what it should, and owes what it took.
func (b *bench) stopper(bad *bool) action.Action {
	return action.New(action.Def[valueParams]{Name: "test.stop", Effect: action.Destroy, Repeat: action.Once, Probe: b.probeSet,
		Plan: func(ctx context.Context, env *action.Env, p valueParams) (action.Plan, error) {
			plan, err := b.planSet(ctx, env, p)
			if plan.Nothing = b.live == p.Value; !plan.Nothing {
				plan.Opens = []action.Debt{{ID: "stopped", Text: "it is stopped"}}
			}
			return plan, err
		},
		Run: func(ctx context.Context, env *action.Env, p valueParams, plan action.Plan) (action.Result, error) {
			res, err := b.set(ctx, env, p, plan)
			if err == nil && *bad {
				res.Checks = []action.Check{{Text: "the last one has gone"}}
				err = fmt.Errorf("%w: one hangs", action.ErrCheck)
			}
			return res, err
		},
		Inverse: &action.Inverse[valueParams]{Run: b.unset, Probe: b.probeUnset,
			Plan: func(ctx context.Context, env *action.Env, p valueParams, plan action.Plan, r action.Result) (action.Plan, error) {
				undo, err := b.planUnset(ctx, env, p, plan, r)
				undo.Closes = []string{"stopped"}
				return undo, err
			}},
	})
}

// An effect that happened and did not bring what it should can be undone where the run asks
// what to do about it, and then nothing is owed any more.
func TestUndoOfWhatItsOwnCheckFails(t *testing.T) {
	b, bad := newBench(t), true
	b.actions = append(b.actions, b.stopper(&bad))
	p := &person{t: t, say: answers{"stop decision": {undoOf("stop")}, "closing": {verb(run.Finish)}}}
	r, err := b.play("## Stop\n\n~~~test.stop\nvalue: off\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set off", "unset")
	if len(r.Debts) > 0 || b.live != "old" {
		t.Errorf("owed %v, it is %q", r.Debts, b.live)
	}
}

// The second attempt finds nothing left to do. Its undo is that of the first one, and gives
// back what that one took.
func TestUndoAfterASecondAttemptPaysTheDebtOfTheFirst(t *testing.T) {
	b, bad := newBench(t), true
	b.actions = append(b.actions, b.stopper(&bad))
	p := &person{t: t, say: answers{
		"stop decision":  {func(g *run.Gate) run.Answer { bad = false; return verb(run.Retry)(g) }},
		"tell checklist": {undoOf("stop")}, "closing": {verb(run.Finish)},
	}}
	r, err := b.play("## Stop\n\n~~~test.stop\nvalue: off\n~~~\n\n## Tell\n\n- [ ] Tell\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.CompleteWithOverrides, "stop=undone tell=claimed")
	if len(r.Debts) > 0 || b.live != "old" {
		t.Errorf("owed %v, it is %q", r.Debts, b.live)
	}
}

// An inverse that finds something wrong has not undone the step.
func TestUndoIsVerified(t *testing.T) {
	b := newBench(t)
	sick := true
	a := action.Def[valueParams]{Name: "test.turn", Effect: action.Destroy, Repeat: action.Once, Plan: b.planSet, Run: b.set, Probe: b.probeSet,
		Inverse: &action.Inverse[valueParams]{Plan: b.planUnset, Run: func(ctx context.Context, env *action.Env, p valueParams, undo, plan action.Plan, r action.Result) (action.Result, error) {
			res, err := b.unset(ctx, env, p, undo, plan, r)
			res.Checks = []action.Check{{Text: "the health page answers", OK: !sick, Evidence: "503"}}
			sick = false
			return res, err
		}}}
	b.actions = append(b.actions, action.New(a))
	asked := false
	p := &person{t: t, say: answers{"tell checklist": {undoOf("turn")}, "closing": {verb(run.Finish)},
		"turn decision": {func(g *run.Gate) run.Answer { asked = true; return undoOf("turn")(g) }}}}
	r, err := b.play("## Turn\n\n~~~test.turn\nvalue: off\n~~~\n\n## Tell\n\n- [ ] Tell\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	if !asked {
		t.Error("it was taken for undone")
	}
	wantStates(t, r, run.CompleteWithOverrides, "turn=undone tell=claimed")
}

// A second attempt that finds nothing left to do does not hide the way back of the first.
func TestWayBackOfAnEarlierAttempt(t *testing.T) {
	b, bad := newBench(t), true
	b.actions = append(b.actions, b.stopper(&bad))
	p := &person{t: t, say: answers{
		"stop decision": {func(g *run.Gate) run.Answer { bad = false; return verb(run.Retry)(g) }}, "closing": {verb(run.Settle)},
	}}
	r, err := b.play("## Stop\n\n~~~test.stop\nvalue: off\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Step("stop"); !s.Changed || s.Back != "set it back" {
		t.Errorf("changed %v, way back %q", s.Changed, s.Back)
	}
}
