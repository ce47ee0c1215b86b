package engine

import (
	"context"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// Before is a step that is about to have its effect, with what its checks say by then.
type Before struct {
	Step   string
	Action string
	Pos    runbook.Pos   // of the block that has the effect
	Checks []BeforeCheck // one for each verify block
	Took   time.Duration // to make them
}

// BeforeCheck is what a check says before the effect that it is to prove.
type BeforeCheck struct {
	Pos    runbook.Pos
	Text   string // what it looks at
	Marked bool   // before=pass: its author expects that it may hold already
	Holds  bool
	Why    string // why it does not hold, or what it saw
	Log    string // name of its spool file; empty when it could not even begin
}

// beforeLimit bounds a check that is made before the effect: one that waits for
// something would wait in vain.
const beforeLimit = 10 * time.Second

// before makes the checks of a step ahead of its effect, for [Config.Before]. A check
// that cannot be made yet, because it uses a result of the step, does not hold. Only a
// first attempt proves something: what a failed one left behind is nobody's expectation.
func (e *Engine) before(ctx context.Context, u *unit, s run.Step, p planned) {
	if e.cfg.Before == nil || s.Attempt > 0 || p.plan.Nothing || p.plan.Effect == action.Read {
		return
	}
	began := e.cfg.Now()
	b := Before{Step: u.ID, Action: u.do.block.Action, Pos: u.do.block.Pos}
	for i, v := range u.verify {
		early := *v.block
		early.Retry, early.Unlimited = 0, false
		if early.Timeout == 0 || early.Timeout > beforeLimit {
			early.Timeout = beforeLimit
		}
		c := BeforeCheck{Pos: v.block.Pos, Text: v.block.Action, Marked: v.block.BeforePass}
		made, err := e.checkOne(ctx, u, run.Step{}, &bound{&early, v.action}, i, true)
		if err != nil {
			c.Why = err.Error()
		}
		if made != nil {
			c.Text, c.Holds = made.Text, made.OK
			if err == nil {
				c.Why = made.Evidence
			}
			if made.Log != nil {
				c.Log = made.Log.Name
			}
		}
		b.Checks = append(b.Checks, c)
	}
	if ctx.Err() == nil {
		b.Took = e.cfg.Now().Sub(began)
		e.cfg.Before(b)
	}
}
