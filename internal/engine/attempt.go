package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// DefaultTimeout bounds a step whose block has no timeout=. There is no step without
// a limit unless its runbook says timeout=none.
const DefaultTimeout = 10 * time.Minute

// planned is a resolved step: its call, what it would do, and the digest that an
// approval is bound to.
type planned struct {
	call   action.Call
	plan   action.Plan
	digest string
}

func (p planned) stored() *run.Plan {
	out := storedPlan(p.plan)
	out.Args, out.Once, out.Nothing = p.call.Display(), p.call.Action.Repeat == action.Once, p.plan.Nothing
	return out
}

// plan resolves the step's block and reads its target. It changes nothing.
func (e *Engine) plan(ctx context.Context, u *unit) (planned, error) {
	call, err := e.call(u, u.do)
	if err != nil {
		return planned{}, err
	}
	env, done, err := e.env(ctx, u, u.do.block, 0, nil)
	if err != nil {
		return planned{}, err
	}
	defer done()
	ctx, cancel := limit(ctx, u.do.block)
	defer cancel()
	plan, err := guard(func() (action.Plan, error) { return call.Plan(ctx, env) })
	if err != nil {
		return planned{}, err
	}
	if u.do.block.Action != runbook.Shell {
		plan.Effect = strongest(plan.Effect, action.Effect(u.do.block.Effect))
	}
	if s := u.do.block.Stop; s != "" {
		v, err := runbook.Expand(s, func(n string) (any, bool) { return e.lookup(u.scope, n) })
		if err != nil {
			return planned{}, fmt.Errorf("%s: stop: %w", u.do.block.Pos, err)
		}
		plan.Stop = text(v)
	}
	return planned{call, plan, digest(e.view().ID, u.ID, call, plan)}, nil
}

// digest binds an approval to everything that decides what the effect will be: not to
// a name or a template, and not to words that only describe it.
func digest(id run.ID, step string, c action.Call, p action.Plan) string {
	data, _ := json.Marshal([]any{id, step, c.Action.Name, c.Display(), p.Effect, p.Target, p.Token, p.Facts, p.Command})
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// limit puts the block's timeout on ctx.
func limit(ctx context.Context, b *runbook.Block) (context.Context, context.CancelFunc) {
	switch {
	case b.Unlimited:
		return context.WithCancel(ctx)
	case b.Timeout > 0:
		return context.WithTimeout(ctx, b.Timeout)
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// env is the world as an action sees it. done must be called when it is over.
func (e *Engine) env(ctx context.Context, u *unit, b *runbook.Block, attempt int, log *logFile) (env *action.Env, done func(), err error) {
	scratch, done, err := e.cfg.Spool.Scratch(e.view().ID, fmt.Sprintf("%s.%d", fileName(u.ID), attempt))
	if err != nil {
		return nil, nil, fmt.Errorf("make scratch directory: %w", err)
	}
	vars, secrets := e.vars(u.scope)
	env = &action.Env{
		Now: e.cfg.Now, Run: strings.ToLower(e.view().ID.Short()), RunID: string(e.view().ID), Step: u.ID, Attempt: attempt,
		Drill: e.view().Started.Mode == run.Drill, Dry: e.view().Started.Mode == run.Dry,
		By: e.cfg.By, Book: e.view().Started.Book, Scratch: scratch, Dir: e.cfg.Dir,
		Vars: vars, Secrets: secrets, Timeout: b.Timeout, Fence: e.cfg.Fence,
	}
	for _, d := range e.view().Debts {
		env.Debts = append(env.Debts, action.Debt{ID: d.ID, Text: d.Text, Within: d.Within})
	}
	if s := e.view().Step(u.ID); s != nil {
		earlier := slices.Concat(s.Changes, s.Doubts)
		slices.SortStableFunc(earlier, func(a, b run.Change) int { return cmp.Compare(a.Seq, b.Seq) })
		for _, c := range earlier {
			env.Earlier = append(env.Earlier, livePlan(c.Plan))
		}
	}
	if log != nil {
		env.Log = log
		env.Note = func(text string) {
			// One that cannot be recorded breaks the engine, which the next event tells.
			_ = e.Note(context.WithoutCancel(ctx), "lifeboat", text)
		}
		env.Progress = func(n, total int64, unit string) {
			if e.cfg.Progress != nil {
				e.cfg.Progress(u.ID, n, total, unit)
			}
		}
	}
	return env, done, nil
}

// attempt has the effect: intent, effect, outcome, each durable before the next.
// approval is the Seq of the answer that it consumes, 0 for an effect that only reads.
//
//	crash before the intent    nothing happened, and the gate opens anew
//	crash after the intent     in doubt
//	crash after the outcome    the checks are made again
func (e *Engine) attempt(ctx context.Context, u *unit, s run.Step, p planned, approval int64) error {
	n := s.Attempt + 1
	log, err := e.openLog(u, n, "")
	if err != nil {
		return e.fail(ctx, u, fmt.Errorf("open the log: %w", err), nil)
	}
	env, done, err := e.env(ctx, u, u.do.block, n, log)
	if err != nil {
		return e.fail(ctx, u, err, log.close())
	}
	defer done()
	if len(p.plan.Opens) > 0 { // else what closed the debt before would seem to close it again
		if err := e.repay(ctx); err != nil {
			log.close()
			return err
		}
	}
	for _, d := range p.plan.Opens {
		// Before the intent: a debt that turns out to be none is closed by [Engine.unowe];
		// a debt that nobody remembers is an unprotected branch for ever.
		if !e.owes(d.ID) {
			debt := run.Debt{ID: d.ID, Text: d.Text, Within: d.Within, Close: e.closer(d.ID), By: run.Attempt{Step: u.ID, N: n}}
			if err := e.commit(ctx, run.DebtOpened, "", 0, debt); err != nil {
				return err
			}
		}
	}
	e.beat("before-intent")
	began := run.Began{Action: u.do.block.Action, Digest: p.digest, Gate: approval, Plan: p.stored(), Log: log.name}
	if err := e.commit(ctx, run.StepBegan, u.ID, n, began); err != nil {
		return err
	}
	e.beat("after-intent")
	res, interrupted, err := e.effect(ctx, u, p, func(ctx context.Context) (action.Result, error) {
		return p.call.Run(command.Mark(ctx, e.mark(u)), env, p.plan)
	})
	e.beat("after-effect")
	spooled := log.close()
	if err != nil && ctx.Err() != nil && !needsDoubt(p, err, interrupted) {
		return ctx.Err() // the host ends, not the step: whoever resumes does it again
	}
	if err != nil && (needsDoubt(p, err, interrupted) || !over(res, err)) {
		return e.ended(ctx, u, p, res, err, interrupted, spooled)
	}
	if cerr := e.commit(ctx, run.StepFinished, u.ID, n, run.Finished{
		Evidence: res.Evidence, Save: u.do.block.Save, Scope: u.scope.id, Outputs: res.Outputs,
		Back: e.wayBack(u, p, res), Facts: res.Facts, Checks: storedChecks(res.Checks), Log: spooled,
	}); cerr != nil || err == nil {
		return cerr
	}
	return e.fail(ctx, u, err, spooled)
}

// over says that an effect happened and did not bring what it should: what it has done can
// be undone, as after a check of the runbook that fails.
func over(res action.Result, err error) bool {
	return errors.Is(err, action.ErrCheck) && slices.ContainsFunc(res.Checks, func(c action.Check) bool { return !c.OK })
}

const backByBlock = "runs the undo block of the step"

// wayBack is the way back in words; a step without an inverse has none.
func (e *Engine) wayBack(u *unit, p planned, res action.Result) string {
	switch {
	case p.plan.Effect == action.Read || p.plan.Nothing:
		return ""
	case u.undo != nil:
		return backByBlock
	case !p.call.Action.HasUndo:
		return ""
	case res.Back != "":
		return res.Back
	}
	return p.plan.Back
}

// effect calls run, again as retry= allows where a second time does no harm, until it
// succeeds, a person stops it or time is up.
func (e *Engine) effect(ctx context.Context, u *unit, p planned, call func(context.Context) (action.Result, error)) (res action.Result, interrupted bool, err error) {
	ctx, cancelTime := limit(ctx, u.do.block)
	defer cancelTime()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.setStop(cancel)
	defer e.setStop(nil)
	tries := 1
	if p.call.Action.Repeat == action.Safe && p.plan.Effect != action.Destroy || p.plan.Effect == action.Read {
		tries += u.do.block.Retry
	}
	for i := range tries {
		res, err = guard(func() (action.Result, error) { return call(ctx) })
		if err == nil || ctx.Err() != nil || errors.Is(err, action.ErrUnclear) || errors.Is(err, action.ErrChanged) || errors.Is(err, action.ErrRefused) {
			break
		}
		if i+1 < tries {
			e.pause(ctx, i)
		}
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		interrupted = true
		switch {
		case errors.Is(cause, errStopped):
			err = fmt.Errorf("%w: %w", errStopped, err)
		case errors.Is(cause, context.DeadlineExceeded):
			err = hint.Wrap(fmt.Errorf("time is up: %w", err), "look at the log; give the block a longer timeout= if it only was too slow")
		}
	}
	return res, interrupted, err
}

// maxPause bounds the wait before another try.
const maxPause = 30 * time.Second

// pause waits before another try: 1 s, 2 s, 4 s … A stop ends it, and the one who waits
// looks at ctx next.
func (e *Engine) pause(ctx context.Context, try int) {
	d := min(time.Second<<min(try, 10), maxPause)
	if e.cfg.Pause != nil {
		d = e.cfg.Pause(try)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (e *Engine) setStop(c context.CancelCauseFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stop = c
}

// guard turns a panic of an action into an error that leaves its effect in doubt.
func guard[T any](f func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the action broke: %v\n%s", action.ErrUnclear, p, debug.Stack())
		}
	}()
	return f()
}

// needsDoubt says whether an effect that did not end well may have happened, in part or
// wholly, and does harm when it happens again.
func needsDoubt(p planned, err error, interrupted bool) bool {
	once := p.plan.Effect == action.Destroy || p.plan.Effect != action.Read && p.call.Action.Repeat == action.Once
	return p.plan.Effect != action.Read && errors.Is(err, action.ErrUnclear) || interrupted && once
}

// ended records an effect that did not end well: failed when it is known that it is
// over and did not happen or may be repeated, in doubt otherwise.
func (e *Engine) ended(ctx context.Context, u *unit, p planned, res action.Result, err error, interrupted bool, log *run.Log) error {
	why := e.failure(u, u.do, err, log)
	why.Checks = storedChecks(res.Checks)
	if needsDoubt(p, err, interrupted) {
		return e.commit(ctx, run.StepDoubted, u.ID, 0, why)
	}
	if err := e.commit(ctx, run.StepFailed, u.ID, 0, why); err != nil {
		return err
	}
	if errors.Is(err, action.ErrChanged) && p.plan.Effect != action.Read && !e.view().Step(u.ID).Undoing {
		return e.commit(ctx, run.StepReopened, u.ID, 0, run.Reason{By: "lifeboat", Text: "the target changed before the effect; plan and ask again"})
	}
	return nil
}

// fail records a failure from before any effect, or of a check.
func (e *Engine) fail(ctx context.Context, u *unit, err error, log *run.Log) error {
	return e.commit(ctx, run.StepFailed, u.ID, 0, e.failure(u, u.do, err, log))
}

// failure is what the record keeps of an error of a block; b is nil where no block of the
// step is at fault.
func (e *Engine) failure(u *unit, b *bound, err error, log *run.Log) run.Failure {
	f := run.Failure{Error: err.Error(), Hints: hint.All(err), Log: log, Check: errors.Is(err, action.ErrCheck), Given: errors.Is(err, action.ErrGiven)}
	if b != nil {
		f.Blamed = e.blame(u, b, err)
	}
	if f.Given && b != nil && len(f.Blamed) == 0 { // which of them, nobody says
		f.Blamed = e.goesBy(u)
	}
	var exit *command.ExitError
	if errors.As(err, &exit) {
		f.Exit = exit.Exit
	}
	var busy interface{ Busy() bool }
	f.Busy = errors.As(err, &busy) && busy.Busy()
	return f
}

// check makes the checks of a step whose effect is over.
func (e *Engine) check(ctx context.Context, u *unit, s run.Step) error {
	if a, err := e.askSecrets(ctx, u); err != nil {
		return err
	} else if a.Verb == run.Skip {
		return e.fail(ctx, u, fmt.Errorf("%w: the secret that it needs was not given: %s", action.ErrCheck, a.Reason), nil)
	} else if a.Verb != run.Give {
		return e.common(ctx, u, a)
	}
	for i, v := range u.verify {
		c, err := e.checkOne(ctx, u, s, v, i, false)
		if err != nil && ctx.Err() != nil {
			return ctx.Err() // the host ends: whoever resumes makes the checks again
		}
		if c != nil {
			if err := e.commit(ctx, run.CheckMade, u.ID, s.Attempt, *c); err != nil {
				return err
			}
		}
		if err != nil {
			return e.commit(ctx, run.StepFailed, u.ID, 0, e.failure(u, v, fmt.Errorf("check: %w", err), nil))
		}
	}
	for _, c := range s.Checks {
		if !c.OK {
			return e.fail(ctx, u, fmt.Errorf("%w: %s", action.ErrCheck, c.Text), nil)
		}
	}
	s = *e.view().Step(u.ID)
	v := run.Verdict{Evidence: s.Evidence}
	if len(u.verify) == 0 && s.Probe != nil && s.Probe.Finding != run.Applied {
		// A person settled the doubt, and nothing that the console saw says so.
		v.By = s.By
		if err := e.commit(ctx, run.StepClaimed, u.ID, s.Attempt, v); err != nil {
			return err
		}
		return e.repay(ctx)
	}
	if v.Evidence == "" && len(s.Checks) > 0 {
		v.Evidence = s.Checks[len(s.Checks)-1].Evidence
	}
	if err := e.commit(ctx, run.StepVerified, u.ID, s.Attempt, v); err != nil {
		return err
	}
	return e.repay(ctx)
}

// checkOne makes one check; a glance waits for nothing. The returned check is what to
// record, also when it failed.
func (e *Engine) checkOne(ctx context.Context, u *unit, s run.Step, v *bound, i int, glance bool) (*run.Check, error) {
	call, err := e.call(u, v)
	if err != nil {
		return nil, err
	}
	log, err := e.openLog(u, s.Attempt, fmt.Sprintf("check%d", i+1))
	if err != nil {
		return nil, err
	}
	env, done, err := e.env(ctx, u, v.block, s.Attempt, log)
	if err != nil {
		log.close()
		return nil, err
	}
	defer done()
	env.Glance = glance
	p := planned{call: call}
	var res action.Result
	for try := range 1 + v.block.Retry { // a check only reads: again is harmless
		if try > 0 {
			waiting, stop := context.WithCancelCause(ctx)
			e.setStop(stop)
			e.pause(waiting, try-1)
			e.setStop(nil)
			stopped := waiting.Err() != nil
			stop(nil)
			if stopped {
				break
			}
		}
		var interrupted bool
		res, interrupted, err = e.once(ctx, v, func(ctx context.Context) (action.Result, error) {
			plan, err := p.call.Plan(ctx, env)
			if err != nil {
				return action.Result{}, err
			}
			if plan.Effect != action.Read {
				return action.Result{}, errCheckWrites
			}
			return p.call.Run(ctx, env, plan)
		})
		if err == nil || interrupted {
			break
		}
	}
	c := &run.Check{Text: checkText(v, call), OK: err == nil, Evidence: res.Evidence, Log: log.close()}
	if err != nil {
		c.Evidence = err.Error()
		if v.block.Action == runbook.Shell && !errors.Is(err, action.ErrCheck) {
			err = fmt.Errorf("%w: %w", action.ErrCheck, err)
		}
	}
	return c, err
}

// errCheckWrites is a check or a probe that would change something. Nobody is asked
// before those run, so they must not.
var errCheckWrites = errors.New("it would change something, and a check or probe only reads")

// once runs one bounded, stoppable, read-only call.
func (e *Engine) once(ctx context.Context, b *bound, call func(context.Context) (action.Result, error)) (res action.Result, interrupted bool, err error) {
	ctx, cancelTime := limit(ctx, b.block)
	defer cancelTime()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.setStop(cancel)
	defer e.setStop(nil)
	res, err = guard(func() (action.Result, error) { return call(ctx) })
	return res, ctx.Err() != nil, err
}

// checkText says what a check looks at.
func checkText(v *bound, c action.Call) string {
	if v.block.Action == runbook.Shell {
		line, _, more := strings.Cut(strings.TrimSpace(v.block.Text), "\n")
		if more {
			line += " …"
		}
		return line
	}
	return c.Action.Summary
}

func (e *Engine) beat(point string) {
	if e.cfg.Beat != nil {
		e.cfg.Beat(point)
	}
}
