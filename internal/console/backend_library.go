package console

import "time"

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
