package console

import (
	"context"
	"time"

	"lifeboat/internal/run"
)

// DrillKeeper is what the console needs of rehearsals. A drill always plays in a sandbox,
// also when the console looks at an estate.
type DrillKeeper interface {
	// Drills lists the scenarios in which something is broken, those that are due first.
	Drills(ctx context.Context) ([]DrillItem, error)
	// AlarmDrill breaks the sandbox for a drill that begins from its symptoms. The clock
	// runs from here; the drill begins when its runbook is found, see GuessDrill.
	AlarmDrill(ctx context.Context, d DrillStart) (DrillAlarm, error)
	// GuessDrill says whether a runbook is the one for the alarm. The right one begins the
	// drill, and id is its run.
	GuessDrill(ctx context.Context, book string) (id run.ID, right bool, err error)
	// StartDrill breaks the sandbox, begins the drill and starts the process that hosts it.
	StartDrill(ctx context.Context, d DrillStart) (run.ID, error)
	// SayInject answers an inject: whether the answer is good, and in time, is decided where
	// the drill is hosted. An empty name means the one that waits longest.
	SayInject(ctx context.Context, id run.ID, inject, text string) error
	// TakeHint takes the next hint for a step, at its price.
	TakeHint(ctx context.Context, id run.ID, step string) error
	// EndDrill ends the drill early: what runs is stopped, and nothing more is asked.
	EndDrill(ctx context.Context, id run.ID) error
	// ExportDrill writes the report of a drill, with its fixes as a list of tasks beside it.
	ExportDrill(ctx context.Context, id run.ID) (DrillReport, error)
}

// DrillStart is the wish to rehearse a scenario.
type DrillStart struct {
	Scenario    string
	Trainee     string // empty: the user
	Facilitator string
}

// DrillAlarm is what a trainee is told who has to find the runbook.
type DrillAlarm struct {
	Title, Text string
	At          time.Time
	RTO         time.Duration // 0: none
}

// DrillItem is a scenario in the list of drills.
type DrillItem struct {
	Scenario, Title, Summary, Book string
	Level                          int
	Alarm                          bool // it can be begun from its symptoms
	Injects, Hints                 int
	Last                           time.Time // when the last drill of it ended; zero: never
	LastRun                        run.ID
	Score                          *run.Score // of that drill, without its lists; nil: not scored
	Trainee                        string     // of that drill
	Holds                          time.Time  // until when a passed drill proves something; zero: none does
	About                          time.Duration
	Every                          time.Duration
	Changed                        bool     // the runbook is another one since it was passed
	Open                           run.ID   // a drill of it that is open; empty for none
	Passed                         []string // the trainees who have passed it, at any time
}

// Late says whether the drill should have been done by now.
func (d DrillItem) Late(now time.Time) bool { return !d.Holds.After(now) }

// DrillReport says where the report of a drill lies.
type DrillReport struct {
	Markdown, JSON, Tasks string // paths; Tasks is empty when there is nothing to fix
	SHA256                string // of the Markdown, hexadecimal
	Chained               bool   // the chain of the journal holds the score
}
