package console

import (
	"context"
	"time"

	"lifeboat/internal/estate"
)

// BoardReader is the part of the backend that knows whether everything could be recovered.
type BoardReader interface {
	// Board computes the readiness of every asset from what this machine knows, quickly.
	// With ask the vault is read first, which may take long. A vault that does not answer
	// is the Unread of the board, and no error.
	Board(ctx context.Context, ask bool) (Board, error)
}

// Board is how ready everything is.
type Board struct {
	Assets   []estate.Readiness       // in the order of the estate
	Due      []estate.DueDrill        // what hurries most first
	About    map[string]time.Duration // how long a runbook usually takes
	Checked  time.Time                // when the vault was read; zero: never
	Unread   string                   // why it cannot be read now
	Advice   []string                 // what to do about that
	Reviews  []LateReview             // the most urgent first
	Practice bool                     // there is no estate here: this is a sandbox to practise in
}

// LateReview is a document or a contact that nobody has looked at for too long. It endangers
// no asset today.
type LateReview struct {
	What string // "contact S. Kaya"
	Late string // "12 days late", "never verified"
	Text string // both, in a sentence
	Mend string // what to do, in a sentence
}
