package runner

import (
	"context"

	"lifeboat/internal/run"
)

// Seat is that of somebody in the process of the host: they are here as long as it is, and
// are refused what a client would be.
type Seat struct {
	host *Host
	who  Person
}

// Seat gives somebody in this process a place among those who are here.
func (h *Host) Seat(who Person) Seat {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.local = &who
	return Seat{h, who}
}

func (s Seat) do(req request) (reply, error) {
	req.Version, req.Who = protocol, s.who
	var rep reply
	err := s.host.carryOut(req, &rep)
	return rep, err
}

// Note adds a remark.
func (s Seat) Note(_ context.Context, text string) error {
	_, err := s.do(request{Verb: verbNote, Text: text})
	return err
}

// Raise puts the incident on a more serious level.
func (s Seat) Raise(_ context.Context, level int, reason string) error {
	_, err := s.do(request{Verb: verbRaise, Level: level, Text: reason})
	return err
}

// Stop asks an attempt at a step to stop. Only the driver may.
func (s Seat) Stop(_ context.Context, which run.Attempt) error {
	_, err := s.do(request{Verb: verbStop, Which: which})
	return err
}

// Room says who is here.
func (s Seat) Room(context.Context) (Room, error) {
	rep, err := s.do(request{Verb: verbRoom})
	if err != nil || rep.Room == nil {
		return Room{}, err
	}
	return *rep.Room, nil
}

// AskToDrive is as that of a [Client].
func (s Seat) AskToDrive(context.Context) error {
	_, err := s.do(request{Verb: verbAsk})
	return err
}

// Decide answers who asked to drive. Only the driver may.
func (s Seat) Decide(_ context.Context, asked int64, yes bool) error {
	v := verbKeep
	if yes {
		v = verbGive
	}
	_, err := s.do(request{Verb: v, Asked: asked})
	return err
}

// Visit is a [Client] at one run.
type Visit struct {
	Client
	ID run.ID
}

// Note is as that of a [Seat], and so are the others.
func (v Visit) Note(ctx context.Context, text string) error { return v.Client.Note(ctx, v.ID, text) }

// Raise puts the incident on a more serious level.
func (v Visit) Raise(ctx context.Context, level int, reason string) error {
	return v.Client.Raise(ctx, v.ID, level, reason)
}

// Stop asks an attempt at a step to stop.
func (v Visit) Stop(ctx context.Context, which run.Attempt) error {
	return v.Client.Stop(ctx, v.ID, which)
}

// Room says who is here.
func (v Visit) Room(ctx context.Context) (Room, error) { return v.Client.Hello(ctx, v.ID) }

// AskToDrive asks the driver for the run.
func (v Visit) AskToDrive(ctx context.Context) error { return v.Client.AskToDrive(ctx, v.ID) }

// Decide answers who asked to drive.
func (v Visit) Decide(ctx context.Context, asked int64, yes bool) error {
	if yes {
		return v.Client.Give(ctx, v.ID, asked)
	}
	return v.Client.Keep(ctx, v.ID, asked)
}

// Answer answers an inject of a drill. It implements Practice, with the two below.
func (v Visit) Answer(ctx context.Context, inject, _, text string) error {
	return v.Client.Say(ctx, v.ID, inject, text)
}

// Hint takes the next hint for a step of a drill.
func (v Visit) Hint(ctx context.Context, step, _ string) error { return v.Client.Hint(ctx, v.ID, step) }

// End ends a drill early.
func (v Visit) End(ctx context.Context, _ string) error { return v.Client.End(ctx, v.ID) }

var _ Practice = Visit{}
