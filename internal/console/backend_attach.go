package console

import (
	"context"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// Attendant knows who is at a run, and lets them hand it over.
type Attendant interface {
	// Room tells who is here; zero when nothing hosts the run. Asking says that this
	// console is here too.
	Room(ctx context.Context, id run.ID) (Room, error)
	// AskToDrive asks the driver for the run; asked again after they had their time, it
	// takes over. Too early is an error.
	AskToDrive(ctx context.Context, id run.ID) error
	// Decide answers the wish with that number: yes hands the run over.
	Decide(ctx context.Context, id run.ID, asked int64, yes bool) error
	// Bye says that this console leaves the run.
	Bye(ctx context.Context, id run.ID) error
	// Recall gives where this person last had their hands on the run; zero when that is
	// not known. Remember keeps it. Losing it is harmless.
	Recall(ctx context.Context, id run.ID) (incident.Mark, error)
	Remember(ctx context.Context, id run.ID, m incident.Mark) error
	// Whole reads all of the record of the run and checks its chain: how many entries it
	// has, or what is wrong.
	Whole(ctx context.Context, id run.ID) (int64, error)
}

// Room is who is at a run.
type Room struct {
	Here  bool          // the terminal of the driver
	Watch []run.Driver  // everybody else
	Wait  time.Duration // until whoever asks may take over
}

// Another comparison than ==, because of the list.
func (r Room) equal(o Room) bool {
	if r.Here != o.Here || r.Wait.Round(time.Second) != o.Wait.Round(time.Second) || len(r.Watch) != len(o.Watch) {
		return false
	}
	for i := range r.Watch {
		if r.Watch[i] != o.Watch[i] {
			return false
		}
	}
	return true
}
