package runner

import (
	"context"
	"errors"

	"lifeboat/internal/run"
)

// Practice takes what a trainee says and asks for in a drill. Its methods may be called
// at any time, from any goroutine.
type Practice interface {
	// Answer answers an inject; an empty name means the one that waits longest.
	Answer(ctx context.Context, inject, by, text string) error
	// Hint takes the next hint for a step, and its price.
	Hint(ctx context.Context, step, by string) error
	// End ends the drill early: what runs is stopped, and nothing more is asked.
	End(ctx context.Context, by string) error
}

// Practise hands wishes of a trainee on to p. Without it the run is no drill.
func (h *Host) Practise(p Practice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.practice = p
}

func (h *Host) practise(ctx context.Context, req request) error {
	h.mu.Lock()
	p := h.practice
	h.mu.Unlock()
	switch {
	case p == nil:
		return errors.New("the run is no drill of a scenario")
	case req.Verb == verbHint:
		return p.Hint(ctx, req.Name, req.Who.By)
	case req.Verb == verbEnd:
		return p.End(ctx, req.Who.By)
	}
	return p.Answer(ctx, req.Name, req.Who.By, req.Text)
}

// Say answers an inject of a drill; an empty name means the one that waits longest.
func (c Client) Say(ctx context.Context, id run.ID, inject, text string) error {
	_, err := c.call(ctx, id, request{Verb: verbInject, Name: inject, Text: text})
	return err
}

// Hint takes the next hint for a step of a drill, at its price.
func (c Client) Hint(ctx context.Context, id run.ID, step string) error {
	_, err := c.call(ctx, id, request{Verb: verbHint, Name: step})
	return err
}

// End ends a drill early.
func (c Client) End(ctx context.Context, id run.ID) error {
	_, err := c.call(ctx, id, request{Verb: verbEnd})
	return err
}
