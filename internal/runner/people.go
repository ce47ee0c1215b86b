package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

const (
	// awayAfter is how long nothing may be heard of a terminal before it counts as gone.
	// Consoles ask several times a second; a stopped or cut off one does not.
	awayAfter = 5 * time.Second
	// AskPatience is how long a driver who is there has to answer a wish to drive. Then
	// whoever asked may take over: nobody is locked out because somebody fell asleep, or
	// because a connection died that the system still holds for alive.
	AskPatience = 60 * time.Second
	// absentPatience is the same for a driver who is not there.
	absentPatience = 10 * time.Second
)

// ErrNotDriver is a wish that only the driver may have.
var ErrNotDriver = errors.New("drives this run")

// guest is somebody who is, or was, here.
type guest struct {
	Person
	seen time.Time
}

// looks are the requests that a read-only console may make.
var looks = map[verb]bool{verbPing: true, verbBye: true, verbHello: true, verbRoom: true, verbProgress: true}

// comes keeps that somebody is here.
func (h *Host) comes(who Person) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if who.Session == "" || h.local != nil && who.Session == h.local.Session {
		return
	}
	for s, g := range h.people { // nobody else looks after them
		if time.Since(g.seen) > time.Hour {
			delete(h.people, s)
		}
	}
	h.people[who.Session] = guest{who, time.Now()}
}

func (h *Host) leaves(who Person) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.people, who.Session)
}

// here says whether a terminal has been heard of lately.
func (h *Host) here(d run.Driver) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.local != nil && d.Session != "" && d.Session == h.local.Session {
		return true
	}
	g, ok := h.people[d.Session]
	return ok && time.Since(g.seen) < h.away
}

// room says who is here.
func (h *Host) room(e *engine.Engine) Room {
	r := e.Snapshot()
	out := Room{Driver: r.Driver, Here: h.here(r.Driver)}
	if r.Asked != nil {
		out.Asked, out.TakeIn = true, max(h.takeIn(&r), 0).Milliseconds()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.local != nil && !r.Driver.Is(h.local.Driver) {
		out.Watch = append(out.Watch, *h.local)
	}
	for _, g := range h.people {
		if g.Session != r.Driver.Session && time.Since(g.seen) < h.away {
			out.Watch = append(out.Watch, g.Person)
		}
	}
	slices.SortFunc(out.Watch, func(a, b Person) int { return cmp.Or(cmp.Compare(a.By, b.By), cmp.Compare(a.Session, b.Session)) })
	return out
}

// takeIn is how long whoever asks has to wait still. The wish is an event, and its time is
// that of the journal: a new host goes on counting.
func (h *Host) takeIn(r *run.Run) time.Duration {
	patience := h.patience
	if !h.here(r.Driver) {
		patience = h.absence
	}
	return patience - time.Since(r.Asked.At)
}

// drives is an error for everybody but the driver.
func drives(e *engine.Engine, who Person) error {
	r := e.Snapshot()
	if r.Driver.Is(who.Driver) {
		return nil
	}
	where := ""
	if r.Driver.By == who.By {
		where = " at another terminal"
	}
	return hint.Wrap(fmt.Errorf("%s %w%s", r.Driver.By, ErrNotDriver, where), "press A to ask for it; with lines, type take")
}

// returns lets the person who drives do so at the terminal they came back to, once nothing
// is heard any more of the one they sat at.
func (h *Host) returns(ctx context.Context, e *engine.Engine, who Person) {
	r := e.Snapshot()
	if who.ReadOnly || who.Session == "" || r.Driver.By != who.By || r.Driver.Session == who.Session || h.here(r.Driver) {
		return
	}
	// An error here is somebody who was quicker, or a journal that takes nothing, which the
	// engine says itself.
	_ = e.HandOver(ctx, r.Driver, who.Driver, run.Returned)
}

// askToDrive puts the wish on record, and grants it once the driver had their time.
func (h *Host) askToDrive(ctx context.Context, e *engine.Engine, who Person) error {
	r := e.Snapshot()
	switch {
	case who.Session == "" || who.By == "":
		return errors.New("nobody in particular asks to drive")
	case r.Driver.Is(who.Driver):
		return errors.New("you drive this run already")
	case r.Asked == nil:
		return e.AskToDrive(ctx, who.Driver)
	case !r.Asked.Who.Is(who.Driver):
		if h.here(r.Asked.Who) {
			return hint.New(fmt.Sprintf("%s has asked for it already", r.Asked.Who.By), "it is between them and "+r.Driver.By+"; ask again afterwards")
		}
		return e.AskToDrive(ctx, who.Driver)
	}
	if left := h.takeIn(&r); left > 0 {
		return hint.New(fmt.Sprintf("%s has been asked, and has %s still to answer", r.Driver.By, left.Round(time.Second)), "ask again then")
	}
	how := run.NoAnswer
	if !h.here(r.Driver) {
		how = run.Gone
	}
	return e.HandOver(ctx, r.Driver, who.Driver, how)
}

// decide is what the driver says to a wish.
func (h *Host) decide(ctx context.Context, e *engine.Engine, who Person, asked int64, yes bool) error {
	r := e.Snapshot()
	switch {
	case r.Asked == nil:
		return errors.New("nobody asks to drive")
	case r.Asked.Seq != asked:
		return hint.New("it was meant for another wish to drive", "look at this one first")
	case yes:
		return e.HandOver(ctx, who.Driver, r.Asked.Who, run.Given)
	}
	return e.KeepDriving(ctx, who.By, r.Asked.Who)
}
