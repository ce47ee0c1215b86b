package engine

import (
	"context"

	"lifeboat/internal/run"
)

// Who drives may change at any moment, also while a step runs: like [Engine.Note] these may
// be called from any goroutine, and none of them touches a step, a gate or an approval. The
// rules of who may when are those of the host, which knows who is there; what cannot be, such
// as a handover by somebody who does not drive, the fold refuses.

// AskToDrive puts on record that somebody wants to drive.
func (e *Engine) AskToDrive(ctx context.Context, who run.Driver) error {
	return e.commit(ctx, run.TakeoverAsked, "", 0, run.Request{Who: who})
}

// KeepDriving puts on record that the driver said no.
func (e *Engine) KeepDriving(ctx context.Context, by string, who run.Driver) error {
	return e.commit(ctx, run.TakeoverRefused, "", 0, run.Request{Who: who, By: by})
}

// HandOver lets somebody else drive.
func (e *Engine) HandOver(ctx context.Context, from, to run.Driver, how run.Handing) error {
	return e.commit(ctx, run.DriverChanged, "", 0, run.Handover{From: from, To: to, How: how})
}
