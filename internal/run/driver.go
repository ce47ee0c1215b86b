package run

import (
	"slices"
	"time"
)

// Driver is who answers for a run: a name and a session. The same person at two
// terminals is two drivers, because only one of the two can have a token half typed; and
// an account that several people share has one session for each of them.
type Driver struct {
	By      string `json:"by"`
	Session string `json:"session,omitempty"` // of one console or command, made anew each time; empty in old records
	Host    string `json:"host,omitempty"`    // where they sit
}

// Is says whether o is the same person at the same terminal.
func (d Driver) Is(o Driver) bool { return d.By == o.By && d.Session == o.Session }

// Request is the wish to drive a run that somebody else drives. In a refusal it says whose
// wish it was, and By who kept the run.
type Request struct {
	Who Driver `json:"who"`
	By  string `json:"by,omitempty"`
}

// Handing is how a run came into other hands.
type Handing string

const (
	Given    Handing = "given"       // the driver said yes
	NoAnswer Handing = "unanswered"  // the driver was there, and said nothing
	Gone     Handing = "driver gone" // the terminal of the driver had ended
	Returned Handing = "returned"    // the same person came back at another terminal
)

// Handover changes who drives. Approvals that were given stay; what the old driver had
// typed and not handed in is gone with their terminal.
type Handover struct {
	From Driver  `json:"from"`
	To   Driver  `json:"to"`
	How  Handing `json:"how"`
}

// Asked is a request that is open.
type Asked struct {
	At  time.Time
	Seq int64
	Who Driver
}

// Handed is a handover with its time.
type Handed struct {
	At time.Time
	Handover
}

// foldDriver takes an event about who drives into n.
func (n Run) foldDriver(ev Event, illegal refuse) (Run, error) {
	switch b := ev.Body.(type) {
	case Request:
		if ev.Kind == TakeoverRefused {
			if n.Asked == nil || !n.Asked.Who.Is(b.Who) {
				return n, illegal("", "%s has not asked to drive", b.Who.By)
			}
			n.Asked = nil
			break
		}
		if b.Who.By == "" || n.Driver.Is(b.Who) {
			return n, illegal("", "%q cannot ask to drive", b.Who.By)
		}
		n.Asked = &Asked{At: ev.At, Seq: ev.Seq, Who: b.Who} // in place of one that nobody answered
	case Handover:
		switch {
		case !n.Driver.Is(b.From):
			return n, illegal("", "%s does not drive", b.From.By)
		case b.To.By == "" || b.From.Is(b.To):
			return n, illegal("", "%q cannot take over", b.To.By)
		case (b.How == Given || b.How == NoAnswer) && (n.Asked == nil || !n.Asked.Who.Is(b.To)):
			return n, illegal("", "%s has not asked to drive", b.To.By)
		case b.How == Returned && b.From.By != b.To.By:
			return n, illegal("", "%s is somebody else than %s", b.To.By, b.From.By)
		}
		n.Handed = append(slices.Clone(n.Handed), Handed{At: ev.At, Handover: b})
		n.Driver = b.To
		if n.Asked != nil && (b.How != Returned || n.Asked.Who.Is(b.To)) {
			n.Asked = nil // the wish of somebody else stands when the driver only moved
		}
	}
	return n, nil
}
