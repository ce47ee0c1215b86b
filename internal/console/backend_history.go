package console

import (
	"context"
	"time"

	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// HistoryReader is the part of the backend that knows what was.
type HistoryReader interface {
	// History lists up to limit runs in the order in which they began, the newest first, from
	// behind a place in the journal; 0 is its end. more is where to go on, 0 after the last.
	History(ctx context.Context, behind int64, limit int) (runs []report.Run, more int64, err error)
	// Metrics computes what the last months came to.
	Metrics(ctx context.Context) (Metrics, error)
	// Audit verifies the whole journal. It may take seconds.
	Audit(ctx context.Context) Audit
	// Record reads all that is kept of one run.
	Record(ctx context.Context, id run.ID) (Record, error)
	// Export writes the report of a run beside its logs and tells where. Nothing that lies
	// there is ever overwritten; fresh is false when the same report was there already.
	Export(ctx context.Context, id run.ID) (path string, fresh bool, err error)
}

// Metrics are what the last months came to.
type Metrics struct {
	Year  report.Period // the last twelve months
	Month report.Period // the last thirty days
}

// Audit is what a verification of the journal found.
type Audit struct {
	At     time.Time
	Events int64  // that are chained to the one before, and whole
	Head   string // hexadecimal
	Faults []Fault
	Err    error // nil: everything was checked and holds
	Empty  bool  // there is nothing to verify
}

// Fault is one thing that is wrong with the journal.
type Fault struct {
	Run run.ID // empty: it is about the journal as a whole
	Seq int64  // 0: it is about the run as a whole
	Why string
}

// Record is all that is kept of one run.
type Record struct {
	Events []run.Event
	Proof  string // SHA-256 over the run, hexadecimal
	Dir    string // of its files
	Files  []File // in it, by name
}

// File is a file beside a run.
type File struct {
	Name string
	Size int64 // bytes
}
