package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/secret"
)

// ErrEnded is a run that has ended and cannot be taken up again.
var ErrEnded = errors.New("the run has ended")

// ErrBookChanged is a runbook that is no longer the pinned one.
var ErrBookChanged = errors.New("the runbook is not the version that the run began with")

// errStopped is the cause of a context that a person's stop has cancelled.
var errStopped = errors.New("stopped by a person")

// Engine drives one run.
type Engine struct {
	cfg     Config
	program *Program
	secrets map[string]secret.String // touched by the driving goroutine only
	denied  map[string]string        // debts said to be put back, with what was found instead; as secrets

	mu     sync.Mutex // guards what follows, and orders commits
	state  run.Run
	broken error                   // an append that was not confirmed
	stop   context.CancelCauseFunc // of the running step, nil when none runs
}

// Start is what a person decides before a run begins.
type Start struct {
	Mode     run.Mode
	Level    int               // of the incident where it is above that of the runbook
	Triage   []string          // the answers that led here; nil: somebody knew the runbook
	Params   map[string]string // values given; defaults are filled in
	Section  string            // of a plain document
	Estate   string            // path of the estate file
	Asset    string
	Incident time.Time       // zero: now
	RTO      time.Duration   // 0: no target
	Drill    *run.DrillSetup // the run is the drill of a scenario; nil: it is not
}

// Begin checks the start and makes it durable. Nothing of the run has been done yet:
// whoever hosts it calls [Open] and [Engine.Run].
func Begin(ctx context.Context, cfg Config, p *Program, s Start) (run.ID, error) {
	params, err := resolve(p.Book, s.Params)
	if err != nil {
		return "", err
	}
	if s.Mode == run.Drill && cfg.Fence == nil {
		return "", errors.New("begin drill: there is no fence around the sandbox")
	}
	now := cfg.Now().UTC()
	body := run.Started{
		Mode: s.Mode, Book: p.Book.Name, Title: p.Book.Title, Level: min(max(p.Book.Meta.Level, s.Level), run.MaxLevel), Digest: p.Digest,
		Section: s.Section, Estate: s.Estate, Asset: s.Asset, Params: params, Steps: p.Outline(),
		By: cfg.By, Host: cfg.Host, Version: cfg.Version, Session: cfg.Session, Incident: s.Incident, RTO: s.RTO, Triage: s.Triage,
	}
	for range 16 { // two bytes of chance per second: a clash is rare, sixteen are not to be had
		var b [2]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", fmt.Errorf("make run id: %w", err)
		}
		id := run.ID(now.Format("20060102T150405Z") + "-" + strings.ToUpper(hex.EncodeToString(b[:])))
		ev, err := clean(cfg.Redact, run.Event{Run: id, Seq: 1, At: now, Kind: run.RunStarted, Body: body})
		if err != nil {
			return "", err
		}
		if stored := ev.Body.(run.Started); !maps.Equal(stored.Params, params) {
			return "", hint.New("begin run: the value of a parameter holds a secret, and a secret is never written down",
				"declare the parameter \"secret: true\", or take another value")
		}
		err = cfg.Journal.Append(ctx, ev)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("begin run: %w", err)
		}
		return id, beginDrill(ctx, cfg, id, now, s.Drill)
	}
	return "", errors.New("begin run: no free run id")
}

// resolve fills in defaults and refuses what the runbook does not know or allow.
func resolve(b *runbook.Book, given map[string]string) (map[string]string, error) {
	var errs []error
	bad := func(name, msg, fix string) {
		errs = append(errs, hint.Wrap(fmt.Errorf("parameter %q: %s", name, msg), fix))
	}
	out := map[string]string{}
	known := map[string]bool{}
	for _, p := range b.Params() {
		known[p.Name] = true
		v, ok := given[p.Name]
		switch {
		case p.Secret && ok:
			bad(p.Name, "is a secret and does not belong on a command line", "leave it out: it is asked for when it is needed, or set LIFEBOAT_SECRET_"+strings.ToUpper(p.Name))
		case p.Secret:
		case !ok && !p.HasDefault:
			bad(p.Name, "has no value: "+p.Help, fmt.Sprintf("add --param %s=…", p.Name))
		case !ok:
			out[p.Name] = p.Default
		case len(p.Options) > 0 && !slices.Contains(p.Options, v):
			bad(p.Name, fmt.Sprintf("%q is not one of %s", v, strings.Join(p.Options, ", ")), p.Help)
		case strings.ContainsRune(v, 0):
			bad(p.Name, "holds a NUL byte", "")
		default:
			out[p.Name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !known[name] {
			var names []string
			for _, p := range b.Params() {
				names = append(names, p.Name)
			}
			fix := "the runbook has no parameters"
			if len(names) > 0 {
				fix = "it has " + strings.Join(names, ", ")
			}
			bad(name, fmt.Sprintf("runbook %q does not know it", b.Name), fix)
		}
	}
	return out, errors.Join(errs...)
}

// Open takes a run up. For a run that another engine had begun to drive this is a
// fact of its own: what was running is in doubt from here on.
func Open(ctx context.Context, cfg Config, p *Program, id run.ID) (*Engine, error) {
	events, err := cfg.Journal.Load(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", id.Short(), err)
	}
	state, err := run.FoldAll(events)
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", id.Short(), err)
	}
	switch {
	case len(events) == 0:
		return nil, fmt.Errorf("open run %s: there is no such run", id.Short())
	case !state.Open():
		return nil, fmt.Errorf("open run %s: %w: %s", id.Short(), ErrEnded, state.Outcome)
	case state.Started.Digest != p.Digest:
		return nil, fmt.Errorf("open run %s: %w", id.Short(), ErrBookChanged)
	case state.Started.Mode == run.Drill && cfg.Fence == nil:
		return nil, fmt.Errorf("open run %s: a drill without a fence around its sandbox", id.Short())
	}
	e := &Engine{cfg: cfg, program: p, state: state, secrets: maps.Clone(cfg.Secrets), denied: map[string]string{}}
	if e.secrets == nil {
		e.secrets = map[string]secret.String{}
	}
	if begun := len(events); begun > 2 || begun == 2 && state.Drill == nil {
		if err := e.commit(ctx, run.RunResumed, "", 0, run.Resumed{By: cfg.By, Host: cfg.Host, PID: cfg.PID, Session: cfg.Session}); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Recall takes up a run that has ended, to put on record what was not any more: an engine
// that only remarks, and never runs a step.
func Recall(ctx context.Context, cfg Config, id run.ID) (*Engine, error) {
	events, err := cfg.Journal.Load(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("recall run %s: %w", id.Short(), err)
	}
	state, err := run.FoldAll(events)
	if err == nil && (len(events) == 0 || state.Open()) {
		err = errors.New("it has not ended")
	}
	if err != nil {
		return nil, fmt.Errorf("recall run %s: %w", id.Short(), err)
	}
	return &Engine{cfg: cfg, program: &Program{}, state: state}, nil
}

// Snapshot is the state of the run now. Nothing in it changes afterwards.
func (e *Engine) Snapshot() run.Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// view is a snapshot to look something up in. Only notes may come in between two of
// the driving goroutine's views.
func (e *Engine) view() *run.Run {
	s := e.Snapshot()
	return &s
}

// Note adds a remark. It may be called from any goroutine, also while a step runs.
func (e *Engine) Note(ctx context.Context, by, text string) error {
	return e.commit(ctx, run.NoteAdded, "", 0, run.Note{By: by, Text: text})
}

// ErrLevel is a level that is not above the one the run has.
var ErrLevel = errors.New("a level is only ever raised")

// Raise puts the incident on a more serious level. Like [Engine.Note] it may be called
// from any goroutine, also while a step runs, and changes nothing about the steps.
func (e *Engine) Raise(ctx context.Context, by string, to int, reason string) error {
	from := e.Snapshot().Level
	if to <= from || to > run.MaxLevel {
		return hint.Wrapf(fmt.Errorf("raise the level from %d to %d: %w", from, to, ErrLevel), "the levels above it end at %d", run.MaxLevel)
	}
	return e.commit(ctx, run.LevelRaised, "", 0, run.Raise{By: by, From: from, To: to, Reason: reason})
}

// What a stop is refused for.
var (
	ErrIdle = errors.New("no step is running")
	ErrOver = errors.New("the step has ended, nothing was stopped")
)

// Stop asks an attempt to stop. A wish that comes too late hits no other: it is [ErrOver],
// or [ErrIdle] when nothing runs at all.
func (e *Engine) Stop(which run.Attempt) error {
	return e.halt(func(now run.Attempt) bool { return now == which })
}

// StopAny asks whatever runs to stop, if anything does.
func (e *Engine) StopAny() { _ = e.halt(func(run.Attempt) bool { return true }) }

func (e *Engine) halt(meant func(now run.Attempt) bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.stop == nil:
		return ErrIdle
	case !meant(e.state.Attempt()):
		return ErrOver
	}
	e.stop(errStopped)
	return nil
}

// commit makes an event durable and only then true. It is the only writer of e.state.
//
// A crash before Append returns leaves the run as it was or with the event: either
// way the next engine reads which. An Append that fails leaves this engine not knowing,
// so it does nothing ever after.
func (e *Engine) commit(ctx context.Context, kind run.Kind, step string, attempt int, body any) error {
	return e.commitWhen(ctx, nil, kind, step, attempt, body)
}

// commitWhen is commit for an event that may come too late: when looks at the state that the
// event would follow, and its error keeps the event out.
func (e *Engine) commitWhen(ctx context.Context, when func(now *run.Run) error, kind run.Kind, step string, attempt int, body any) error {
	e.mu.Lock()
	if e.broken != nil {
		defer e.mu.Unlock()
		return e.broken
	}
	if when != nil {
		if err := when(&e.state); err != nil {
			defer e.mu.Unlock()
			return err
		}
	}
	ev, err := clean(e.cfg.Redact, run.Event{
		Run: e.state.ID, Seq: e.state.Seq + 1, At: e.cfg.Now().UTC(), Kind: kind, Step: step, Attempt: attempt, Body: body,
	})
	if err != nil {
		defer e.mu.Unlock()
		return err
	}
	next, err := run.Fold(e.state, ev)
	if err != nil {
		defer e.mu.Unlock()
		return err
	}
	// Not cancellable: a cancelled append would be an unknown one.
	if err := e.cfg.Journal.Append(context.WithoutCancel(ctx), ev); err != nil {
		defer e.mu.Unlock()
		e.broken = fmt.Errorf("record %s: %w: %w", kind, ErrStop, err)
		if errors.Is(err, ErrConflict) {
			e.broken = fmt.Errorf("record %s: %w", kind, err)
		}
		return e.broken
	}
	e.state = next
	e.mu.Unlock()
	if e.cfg.Observe != nil {
		e.cfg.Observe(next, ev)
	}
	return nil
}

// clean takes secrets out of everything that an event holds.
func clean(r *secret.Redactor, ev run.Event) (run.Event, error) {
	if r != nil {
		ev.Body = masked(r, ev.Body)
	}
	data, err := run.Encode(ev)
	if err != nil {
		return ev, err
	}
	return run.Decode(data) // what is true is what a reader of the journal will find
}

// Run drives the run until it ends, a person is needed and absent ([ErrPerson]), the
// person leaves ([ErrLeft]), ctx ends, or the journal is unclear ([ErrStop]). It
// returns the state in which it stopped.
func (e *Engine) Run(ctx context.Context) (run.Run, error) {
	for {
		state := e.Snapshot()
		if !state.Open() {
			return state, nil
		}
		if err := ctx.Err(); err != nil {
			return state, err
		}
		var err error
		if i := state.Current(); i < len(state.Steps) {
			err = e.step(ctx, i)
		} else {
			err = e.close(ctx)
		}
		if err != nil {
			return e.Snapshot(), err
		}
	}
}

// step moves the step on by one state.
func (e *Engine) step(ctx context.Context, i int) error {
	if err := e.unowe(ctx); err != nil {
		return err
	}
	u, s := e.program.units[i], e.view().Steps[i]
	switch s.State {
	case run.Pending, run.Waiting:
		return e.begin(ctx, u, s)
	case run.Checking:
		return e.check(ctx, u, s)
	case run.Failed:
		return e.decide(ctx, u, s)
	case run.InDoubt:
		return e.doubt(ctx, u, s)
	}
	return fmt.Errorf("drive step %q: nothing to do in state %q", u.ID, s.State)
}

// begin leaves a step out, or asks what it must, and makes an attempt.
func (e *Engine) begin(ctx context.Context, u *unit, s run.Step) error {
	if why := e.leftOut(u, s); why != "" {
		return e.commit(ctx, run.StepSkipped, u.ID, 0, run.Reason{By: "lifeboat", Class: run.NotApplicable, Text: why})
	}
	if err := e.needs(u); err != nil {
		return e.fail(ctx, u, err, nil)
	}
	ok, which, err := e.holds(u)
	if err != nil {
		return e.fail(ctx, u, err, nil)
	}
	if !ok {
		return e.commit(ctx, run.StepSkipped, u.ID, 0, run.Reason{By: "lifeboat", Class: run.NotApplicable, Text: "only when " + which})
	}
	if len(u.step.Items) > 0 && e.view().Started.Mode != run.Dry {
		if len(s.Values) == 0 {
			return e.checklist(ctx, u)
		}
		if u.Hand {
			return e.claim(ctx, u, s)
		}
	}
	if u.step.Do != nil && u.step.Do.Action == runbook.Choose {
		return e.choose(ctx, u)
	}
	if a, err := e.askSecrets(ctx, u); err != nil {
		return err
	} else if a.Verb != run.Give {
		return e.common(ctx, u, a)
	}
	if u.do == nil {
		return e.checkOnly(ctx, u, s)
	}
	return e.propose(ctx, u, s)
}

// leftOut says why a step is not on the path, empty when it is.
func (e *Engine) leftOut(u *unit, s run.Step) string {
	if s.Only && !s.Entered {
		return "an alternative that was not needed"
	}
	at := slices.Index(e.program.units, u)
	for i, before := range e.view().Steps[:at] {
		if before.ElseTo == "" {
			continue
		}
		to := slices.IndexFunc(e.program.units, func(o *unit) bool { return o.ID == before.ElseTo })
		if i < at && at < to {
			return fmt.Sprintf("step %q failed, and %q took over", before.ID, before.ElseTo)
		}
	}
	if b := u.step.Do; e.view().Started.Mode == run.Drill && (b != nil && b.DrillSkip || u.scope.drillSkip) {
		return "left out in a drill"
	}
	if u.Hand && e.view().Started.Mode == run.Dry {
		return "dry run: a person does this"
	}
	return ""
}

// checkOnly begins a step that only looks.
func (e *Engine) checkOnly(ctx context.Context, u *unit, s run.Step) error {
	b := run.Began{Action: u.verify[0].block.Action, Plan: &run.Plan{Summary: u.Title, Effect: string(action.Read)}}
	if err := e.commit(ctx, run.StepBegan, u.ID, s.Attempt+1, b); err != nil {
		return err
	}
	return e.commit(ctx, run.StepFinished, u.ID, s.Attempt+1, run.Finished{})
}

// propose plans the step, asks where its effect asks for it, and attempts it.
func (e *Engine) propose(ctx context.Context, u *unit, s run.Step) error {
	p, err := e.plan(ctx, u)
	if err != nil {
		if e.view().Started.Mode == run.Dry {
			return e.commit(ctx, run.StepSkipped, u.ID, 0, run.Reason{By: "dry run", Class: run.NotApplicable, Text: "cannot be planned yet: " + err.Error()})
		}
		return e.fail(ctx, u, fmt.Errorf("plan: %w", err), nil)
	}
	if p.plan.Effect == action.Read {
		return e.attempt(ctx, u, s, p, 0)
	}
	g := run.Gate{Kind: run.Confirm, Prompt: p.plan.Summary, Plan: p.stored(), Digest: p.digest}
	if p.plan.Effect == action.Destroy {
		g.Kind, g.Token = run.Token, typeable(p.plan.Token)
		if g.Token == "" {
			return e.fail(ctx, u, hint.New("plan: a destructive step has no token of its target", "add target=… to the block, so that the person can type what will change"), nil)
		}
	}
	if e.view().Started.Mode == run.Dry {
		if err := e.commit(ctx, run.GateOpened, u.ID, 0, g); err != nil {
			return err
		}
		return e.commit(ctx, run.StepSkipped, u.ID, 0, run.Reason{By: "dry run", Class: run.NotApplicable, Text: "dry run: nothing was changed"})
	}
	a, err := e.ask(ctx, u.ID, g)
	if err != nil {
		return err
	}
	if a.Verb != run.Approve {
		return e.common(ctx, u, a)
	}
	if p.plan.Effect == action.Destroy {
		// The person read the target some time ago. It is read again now, and only if
		// everything the approval was for is still so does the step begin.
		again, err := e.plan(ctx, u)
		if err != nil {
			return e.fail(ctx, u, fmt.Errorf("read the target again: %w", err), nil)
		}
		if again.digest != p.digest {
			return e.commit(ctx, run.NoteAdded, "", 0, run.Note{By: "lifeboat",
				Text: fmt.Sprintf("%s: the target changed while the gate was open; nothing was done, and the gate opens anew", u.ID)})
		}
	}
	e.before(ctx, u, s, p)
	return e.attempt(ctx, u, s, p, e.view().Step(u.ID).Approval)
}
