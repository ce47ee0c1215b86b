// Package engine binds a runbook to actions and runs it.
//
// One goroutine drives a run: it plans a step by reading the live target, asks at
// the gate, makes the intent durable, has the effect, makes the outcome durable, and
// checks. [Engine.commit] is the only place where the state of a run changes, and it
// makes an event durable before it makes it true. A run that is taken up again goes
// through the same code as one that goes on: the state comes from the same fold.
//
// The engine does no I/O of its own. Journal, spool files, clock and person are
// interfaces declared here and handed in.
package engine

import (
	"context"
	"errors"
	"io"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
	"lifeboat/internal/secret"
)

// Journal keeps events.
type Journal interface {
	// Append makes ev durable if ev.Seq follows the last event of its run; else
	// [ErrConflict]. After any other error it is not known whether ev is stored, and
	// the engine stops: only loading the journal again tells.
	Append(ctx context.Context, ev run.Event) error
	// Load lists all events of a run in order.
	Load(ctx context.Context, id run.ID) ([]run.Event, error)
}

// ErrConflict is an append that came second: another process drives the run.
var ErrConflict = errors.New("the run was changed by another process")

// ErrStop ends an engine that no longer knows what is stored. A new engine loads the
// journal and sorts it out.
var ErrStop = errors.New("the journal did not confirm an event, so the run was stopped here")

// ErrPerson is what an [Asker] returns when nobody is there to answer. The run stays
// open, its gate unanswered.
var ErrPerson = errors.New("a person is needed")

// ErrLeft is what an [Asker] returns when the person left: the run stays open.
var ErrLeft = errors.New("left, the run stays open")

// Asker answers gates: a console, a terminal, a policy for unattended runs.
type Asker interface {
	// Ask blocks until the gate r.Gate is answered or ctx ends. A wrong token or a
	// stale gate never reaches the engine's effect: the engine checks each answer and
	// asks again, with refused telling why.
	Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error)
}

// Spool makes the files that hold the output of steps.
type Spool interface {
	// Create makes a new file of that name for the run and returns its writer. The
	// writer redacts nothing: the engine hands it redacted bytes. Close makes the file
	// durable and tells its size and hash.
	Create(id run.ID, name string) (SpoolFile, error)
	// Scratch makes an empty private directory for one attempt; remove deletes it.
	Scratch(id run.ID, name string) (dir string, remove func(), err error)
}

// SpoolFile is one file of output.
type SpoolFile interface {
	io.Writer
	Close() (run.Log, error)
}

// Config is what an engine needs. All fields are required unless said.
type Config struct {
	Journal Journal
	Actions []action.Action
	Asker   Asker
	Spool   Spool
	Now     func() time.Time
	By      string // who drives, see [run.Driver]
	Session string // where they sit; empty: nobody in particular
	Host    string
	PID     int
	Version string
	Dir     string                    // relative paths in runbooks start here
	Fence   func(target string) error // required for drills; nil allows everything
	Redact  *secret.Redactor          // values that must not reach a sink; required
	Secrets map[string]secret.String  // secret parameters known beforehand; others are asked for

	// Observe is called after each event has become true; optional. It must not block.
	Observe func(r run.Run, ev run.Event)
	// Progress is called while a step works; optional. It must not block.
	Progress func(step string, done, total int64, unit string)
	// Pause says how long to wait before try+2; optional, 1 s, 2 s, 4 s … up to 30 s.
	Pause func(try int) time.Duration
	// Before is told what the checks of a step say right before its effect; optional. A
	// test of a runbook asks for it: a check that holds already proves nothing about the
	// step. The checks are made for it alone and are none of the step's own.
	Before func(Before)
	// Beat is called at named points of the life of a step; tests crash there. Optional.
	Beat func(point string)
}
