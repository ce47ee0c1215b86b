package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/journal"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
	"lifeboat/internal/sandbox"
)

// playEvery is how often the host of a drill looks whether an inject is due.
const playEvery = time.Second

// play is the part of the host of a drill that lets injects arrive and takes the wishes
// of the trainee. It lives in the process of the host: when that is killed, the next one
// reads what has arrived and goes on. For a run that is no drill it does nothing.
type play struct {
	*drill.Director                 // nil: the run is no drill
	engine          *engine.Engine  // that drives it
	wake            chan struct{}   // something became true; holds one
	auto            bool            // a script plays the trainee
	over            context.Context // done once the trainee has ended the drill
	end             context.CancelFunc
	by              atomic.Pointer[string] // who ended it
}

var _ runner.Practice = (*play)(nil)

func newPlay(ctx context.Context) *play {
	p := &play{wake: make(chan struct{}, 1)}
	p.over, p.end = context.WithCancel(ctx)
	return p
}

// nudge makes it look soon. It never blocks, so an engine may call it.
func (p *play) nudge() {
	select {
	case p.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// direct gives it the drill. It is called before the engine runs.
func (p *play) direct(e *engine.Engine, env environment) {
	p.engine, p.auto = e, e.Snapshot().Drill.Auto
	p.Director = drill.NewDirector(e, env.now, p.auto)
}

// run looks until ctx ends. What goes wrong with an inject never stops a recovery: the
// engine says itself when nothing can be put on record any more.
func (p *play) run(ctx context.Context) {
	tick := time.NewTicker(playEvery)
	defer tick.Stop()
	for {
		_ = p.look(ctx)
		select {
		case <-tick.C:
		case <-p.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (p *play) look(ctx context.Context) error {
	if p.Director == nil {
		return nil
	}
	if err := p.Look(ctx); err != nil || !p.auto {
		return err
	}
	return p.Play(ctx)
}

// End implements runner.Practice: the running step is stopped, and every question from
// here on is answered so that the run ends.
func (p *play) End(_ context.Context, by string) error {
	p.by.Store(&by)
	p.engine.StopAny()
	p.end()
	return nil
}

// played lets what is due arrive before a question is asked: a script answers at once, and
// would be through before the clock of the injects ticks. Once the trainee has ended the
// drill it answers for them.
type played struct {
	engine.Asker
	play *play
}

// Ask implements engine.Asker.
func (p played) Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error) {
	if err := p.play.look(ctx); err != nil {
		return run.Answer{}, err
	}
	if r.Drill == nil {
		return p.Asker.Ask(ctx, r, refused)
	}
	if p.play.over.Err() != nil && refused == "" {
		return p.farewell(&r), nil
	}
	asked, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(p.play.over, stop)()
	a, err := p.Asker.Ask(asked, r, refused)
	if err != nil && ctx.Err() == nil && p.play.over.Err() != nil {
		return p.farewell(&r), nil
	}
	return a, err
}

// farewell ends a drill at its open gate. What was changed is left as it is, and what is
// still owed is owed in a sandbox that the next drill makes anew.
func (p played) farewell(r *run.Run) run.Answer {
	a := run.Answer{Gate: r.Gate.Seq, Verb: run.Abandon, By: *p.play.by.Load(), How: "drill", Class: run.Other, Reason: "the drill was ended early"}
	if r.Gate.Kind != run.Closing {
		return a
	}
	for _, verb := range []run.Verb{run.Finish, run.Settle} {
		for _, o := range r.Gate.Options {
			if o.Verb == verb {
				a.Verb, a.Target = verb, o.Key
				return a
			}
		}
	}
	return a
}

// scoreLeft lets the oracle judge the drill that ended last in the sandbox when the process
// that hosted it died between its end and its score: until the sandbox is broken anew
// everything is still there.
func (w *world) scoreLeft(ctx context.Context) error {
	list, err := w.journal.Runs(ctx, 100) // open ones come first
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(s journal.Summary) bool { return s.Started.Estate != w.estate.File })
	newest := func(a, b journal.Summary) int { return strings.Compare(string(a.ID), string(b.ID)) }
	if len(list) == 0 {
		return nil
	}
	s := slices.MaxFunc(list, newest)
	if s.Open() || s.Scenario == "" || s.Score != nil {
		return nil
	}
	if broken, err := w.sandbox().Broken(); err != nil || broken == "" {
		return err // it was made anew, and nobody can tell any more
	}
	host, err := runner.NewHost(w.files, s.ID, fmt.Sprintf("%s on %s, process %d", w.env.user, w.env.host, os.Getpid()))
	if errors.Is(err, runner.ErrBusy) {
		return nil // whoever hosts it is about to
	}
	if err != nil {
		return err
	}
	defer host.Close()
	e, err := engine.Recall(ctx, w.config(newPolicy(w.env.user, false, nil), w.files), s.ID)
	if err != nil {
		return err
	}
	if r := e.Snapshot(); r.Score == nil {
		_, err = w.judge(ctx, e, r)
	}
	w.verdict = nil
	return err
}

// findings are what the oracle says about a drill, in the terms of its sheet.
func (w *world) findings(ctx context.Context, r *run.Run, v sandbox.Verdict) (run.Found, error) {
	f := run.Found{Recovered: v.Recovered, Lost: v.Lost, Kept: v.Kept}
	for _, c := range v.Checks {
		f.Checks = append(f.Checks, run.Check{Text: c.Text, OK: c.OK, Evidence: c.Evidence})
	}
	switch {
	case v.Loss != nil:
		f.Loss, f.LossKnown = *v.Loss, true
	case v.Recovered: // the oracle then finds all that was there before the harm
		f.LossKnown = true
	}
	if sc, err := w.rehearsals().Find(r.Drill.Scenario); err == nil {
		f.Why = drill.Score(sc, *r, v, r.Recovery()).Why
	} else { // its file is gone; what it expected is that all is well
		f.Why = drill.Score(drill.Scenario{Breakage: v.Breakage}, *r, v, r.Recovery()).Why
	}
	var err error
	f.Usual, err = w.usual(ctx, r)
	return f, err
}

// usual is the median time of each step in earlier runs of the same runbook, live ones and
// drills, that people drove. Unlike those of [incident.Times], the times of a score leave
// no gaps: reading between two steps belongs to the second.
func (w *world) usual(ctx context.Context, r *run.Run) (map[string]time.Duration, error) {
	list, err := w.earlier(ctx, r.Started.Book, run.Live, run.Drill)
	if err != nil {
		return nil, err
	}
	took := map[string][]time.Duration{}
	for _, s := range list {
		if s.ID == r.ID {
			continue
		}
		events, err := w.journal.Load(ctx, s.ID)
		if err != nil {
			continue // one that cannot be read says nothing about this one; audit verify tells
		}
		past, err := run.FoldAll(events)
		if err != nil {
			continue
		}
		for _, t := range past.Times(nil) {
			took[t.Step] = append(took[t.Step], t.Took)
		}
	}
	out := map[string]time.Duration{}
	for step, list := range took {
		out[step] = incident.Median(list)
	}
	return out, nil
}
