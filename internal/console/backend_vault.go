package console

import (
	"context"
	"time"

	"lifeboat/internal/run"
)

// VaultReader is the part of the backend that knows the copies.
type VaultReader interface {
	// Vault tells what copies there are, by what this machine knows; with fresh the bucket
	// is asked, which may take long. A bucket that does not answer is the Problem of what
	// is known all the same. The error is for an estate that has no vault.
	Vault(ctx context.Context, fresh bool) (Vault, error)
	// Point tells all that is known of one restore point.
	Point(ctx context.Context, asset, point string) (Point, error)
	// Mirrors asks what the mirrors of the estate hold now. One that does not answer says so.
	Mirrors(ctx context.Context) []Mirror
	// Prove begins a run that verifies one point at a level.
	Prove(ctx context.Context, asset, point, level string) (run.ID, error)
	// RestoreTo begins a run that rebuilds one point in a directory that does not exist yet.
	RestoreTo(ctx context.Context, asset, point, dir string) (run.ID, error)
}

// Vault is what there is to restore from.
type Vault struct {
	URL     string
	Listed  time.Time // when the bucket was asked last; zero: never by this machine
	Problem string    // why it could not be asked just now
	Points  int
	Bytes   int64 // that all points together would download
	Shelves []Shelf
	Facts   []Fact // about the vault as a whole
	Next    string // what is backed up next, and when; empty: nothing is scheduled
	Room    string // directory below which a point is restored for a look
}

// Shelf is one asset with the newest copy of each class.
type Shelf struct {
	Asset   string
	ID      string // of the asset in the vault; what commands take where the estate has no name for it
	Kind    string
	RPO     time.Duration // 0: none
	Foreign bool          // the estate does not have it
	Points  int
	Copies  []Copy // the newest one first; none: it was never backed up
}

// Copy is the newest point of a class.
type Copy struct {
	Class    string // "newest", "daily", "weekly", "monthly", "quarterly"
	Keep     string // how long its class is kept: "14 d"; empty: for ever
	Point    string
	Cut      time.Time
	Bytes    int64
	Level    string // proven, empty: nothing
	ProvenAt time.Time
	Failed   bool // a failed verification stands
	Late     bool // it is older than it may be
	Scheme   string
	Key      string    // that opens it, by its short name
	Locked   time.Time // until when nobody can delete it; zero: it is not locked
	Problem  string    // why it cannot be used
}

// Fact is one thing that was found out.
type Fact struct {
	State string // "ok", "warning" or "problem"
	Text  string
}

// Mirror is a further copy of a repository as it is now.
type Mirror struct {
	Asset, Name string
	Branch      string
	Commit      string // empty: there is none, or it was not answered
	Newest      string // commit of the branch in the newest point; empty: not known
	Cut         time.Time
	Problem     string // why it is not known
}

// Point is one restore point, whole.
type Point struct {
	Asset, ID, Kind, Class string
	Started, Cut, Finished time.Time
	Host, Tool             string
	Source                 string
	Bytes                  int64
	Objects                []Object
	Proofs                 []Proof // newest first
	Signed                 string  // in words
	Script                 string  // key of its restore.sh
	Command                string  // that restores it
	Older, Newer           string  // the points beside it; empty: there is none
	Number, Of             int     // 1 is the newest
}

// Object is one stored object of a point.
type Object struct {
	Key, Role, SHA256, Scheme string
	Bytes                     int64
	Locked                    time.Time
}

// Proof is one verification of a point.
type Proof struct {
	At             time.Time
	Level          string
	Pass           bool
	Took           time.Duration
	Host, Way, Why string
	Evidence       []string
}
