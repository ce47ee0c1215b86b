package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// Stage is what the director needs of the engine that drives the drill.
type Stage interface {
	Snapshot() run.Run
	// Drill puts a fact on record; see engine.Engine.
	Drill(ctx context.Context, fact any) error
}

// What a wish of the trainee is refused for.
var (
	ErrNoInject = errors.New("no inject waits for an answer")
	ErrNoHint   = errors.New("there is no hint for this step")
)

// Director decides when injects arrive, and takes what the trainee says to them. It
// belongs to the process that hosts the run, never to a screen: the screen may be dead,
// and all who look must see the same. What it decides is an event; another director that
// takes the drill up after a crash reads what has been decided and goes on.
//
// Time passes by its own clock, which no change of the wall clock moves.
type Director struct {
	stage Stage
	now   func() time.Time // with a monotonic reading
	hurry bool             // a script plays the trainee: nothing is waited for

	mu      sync.Mutex
	reached map[string]time.Time // moment -> when it was first seen here
	arrived map[string]time.Time // inject -> when it was seen here
}

// NewDirector makes a director. In a hurry it waits for steps, and for nothing else.
func NewDirector(stage Stage, now func() time.Time, hurry bool) *Director {
	return &Director{stage: stage, now: now, hurry: hurry, reached: map[string]time.Time{}, arrived: map[string]time.Time{}}
}

// Look lets everything arrive that is due. It is called after each event and now and
// then; it is harmless when nothing is due, and for a run that is no drill.
func (d *Director) Look(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.stage.Snapshot()
	if r.Drill == nil || !r.Open() {
		return nil
	}
	now := d.now()
	for _, i := range r.Drill.Waiting() {
		if !d.dueLocked(&r, i, now) {
			continue
		}
		if err := d.stage.Drill(ctx, run.Arrival{Inject: i.Name}); err != nil {
			return fmt.Errorf("let inject %q arrive: %w", i.Name, err)
		}
		d.arrived[i.Name] = now
	}
	return nil
}

// dueLocked says whether an inject is due. The time that passed before this director came
// is taken from the record, as far as the wall clock makes sense of it.
func (d *Director) dueLocked(r *run.Run, i run.Inject, now time.Time) bool {
	key, since := "start", r.Drill.At
	if i.Step != "" {
		s := r.Step(i.Step)
		if s == nil {
			return false
		}
		switch {
		case i.Ended && s.Done():
			key, since = "ends "+i.Step, s.Ended
		case !i.Ended && (s.State != run.Pending || s.Attempt > 0):
			key, since = "begins "+i.Step, s.Began
		default:
			return false
		}
	}
	if d.hurry || i.After <= 0 {
		return true
	}
	first, seen := d.reached[key]
	if !seen {
		first = now
		if passed := now.Round(0).Sub(since.Round(0)); !since.IsZero() && passed > 0 && passed < i.After {
			first = now.Add(-passed)
		}
		d.reached[key] = first
	}
	return now.Sub(first) >= i.After
}

// Answer takes what somebody says to an inject; an empty name means the one that waits
// longest. Its errors wrap [ErrNoInject].
func (d *Director) Answer(ctx context.Context, inject, by, text string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answerLocked(ctx, inject, by, text)
}

func (d *Director) answerLocked(ctx context.Context, inject, by, text string) error {
	r := d.stage.Snapshot()
	if r.Drill == nil {
		return fmt.Errorf("answer an inject: %w", ErrNoInject)
	}
	open := r.Drill.Open()
	for i := range r.Drill.Arrived {
		if s := &r.Drill.Arrived[i]; s.Name == inject && s.Answer == nil {
			open = s
		}
	}
	if open == nil || inject != "" && open.Name != inject {
		return hint.Wrap(fmt.Errorf("answer inject %q: %w", inject, ErrNoInject), "it was answered already, or has not arrived")
	}
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return hint.New("answer an inject: there is no answer in it", "say in a sentence what it changes")
	}
	now := d.now()
	took := now.Round(0).Sub(open.At) // of the record: the director may have changed meanwhile
	if at, ok := d.arrived[open.Name]; ok {
		took = now.Sub(at)
	}
	return d.stage.Drill(ctx, Answered(open.Inject, by, text, took))
}

// Hint takes the next hint for a step, and its price. Its errors wrap [ErrNoHint].
func (d *Director) Hint(ctx context.Context, step, by string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.stage.Snapshot()
	if r.Drill == nil {
		return fmt.Errorf("take a hint: %w", ErrNoHint)
	}
	h, ok := r.Drill.Next(step)
	if !ok {
		return hint.Wrap(fmt.Errorf("take a hint for step %q: %w", step, ErrNoHint), "read the guidance of the step: tab shows all of it")
	}
	return d.stage.Drill(ctx, run.HintTaking{Hint: h, By: by})
}

// Play gives the good answer to every inject that waits, as the script of a trainee does.
// It may be called by several at once: what one of them answers waits for no other.
func (d *Director) Play(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		r := d.stage.Snapshot()
		if r.Drill == nil || !r.Open() {
			return nil
		}
		open := r.Drill.Open()
		if open == nil {
			return nil
		}
		if err := d.answerLocked(ctx, open.Name, By, open.Model); err != nil {
			return err
		}
	}
}
