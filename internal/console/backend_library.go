package console

import (
	"context"
	"time"
)

// Librarian tells what the record knows of runbooks beyond [Book].
type Librarian interface {
	// Usual tells how long the steps of a runbook take.
	Usual(ctx context.Context, book string) (Usual, error)
}

// Usual is how long things took in the newest runs that ended complete.
type Usual struct {
	Runs  int                      // that it is the median of; 0: nobody knows
	Steps map[string]time.Duration // step id -> time; a step that was never done is missing
}

// AssetName is an asset in a list.
type AssetName struct{ Name, Kind, Tier string }

// Deed is a run of a runbook that proves something. The zero Deed: there was none.
type Deed struct {
	At        time.Time
	By        string
	Took, RTO time.Duration // 0: not known, no target
	Score, Of int           // of a drill; Of 0: it was not scored
	Same      bool          // the runbook has not changed since
}
