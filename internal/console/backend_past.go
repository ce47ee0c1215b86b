package console

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// Past tells what earlier runs say about the steps of a runbook.
type Past interface {
	// Past is how long the steps of a runbook took in earlier runs of a mode. Without
	// such runs it is made of drills, and says so; without any it is empty. It may be
	// asked often.
	Past(ctx context.Context, book string, mode run.Mode) (incident.Usual, error)
}

// loadPast asks for what is usual for the run on the screen.
type loadPast struct {
	id   run.ID
	book string
	mode run.Mode
}

// pastMsg is what is usual. Without an answer there is no forecast, which is no reason to
// disturb anybody.
type pastMsg struct {
	id    run.ID
	usual incident.Usual
}

func (loadPast) intent() {}

func askPast(ctx context.Context, b Backend, i loadPast) tea.Cmd {
	return func() tea.Msg {
		u, err := b.Past(ctx, i.book, i.mode)
		if err != nil {
			return nil
		}
		return pastMsg{i.id, u}
	}
}
