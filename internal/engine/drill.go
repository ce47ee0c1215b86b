package engine

import (
	"context"
	"fmt"
	"time"

	"lifeboat/internal/run"
)

// beginDrill puts on record that a run which has just begun is the drill of a scenario.
// A crash right before it leaves a run in the sandbox that nobody scores.
func beginDrill(ctx context.Context, cfg Config, id run.ID, now time.Time, setup *run.DrillSetup) error {
	if setup == nil {
		return nil
	}
	ev, err := clean(cfg.Redact, run.Event{Run: id, Seq: 2, At: now, Kind: run.DrillBegan, Body: *setup})
	if err == nil {
		err = cfg.Journal.Append(ctx, ev)
	}
	if err != nil {
		return fmt.Errorf("begin drill: %w", err)
	}
	return nil
}

// Drill puts a fact about the drill on record: a [run.Arrival], a [run.InjectAnswer], a
// [run.HintTaking] or a [run.Score]. Like [Engine.Note] it may be called from any
// goroutine, also while a step runs, and changes nothing about the steps. What the state
// of the drill does not allow is an error, and nothing has happened.
func (e *Engine) Drill(ctx context.Context, fact any) error {
	var kind run.Kind
	switch fact.(type) {
	case run.Arrival:
		kind = run.InjectArrived
	case run.InjectAnswer:
		kind = run.InjectAnswered
	case run.HintTaking:
		kind = run.HintTaken
	case run.Score:
		kind = run.DrillScored
	default:
		return fmt.Errorf("record %T: it is no fact about a drill", fact)
	}
	return e.commit(ctx, kind, "", 0, fact)
}
