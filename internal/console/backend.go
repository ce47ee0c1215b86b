package console

import (
	"context"
	"io"
	"time"

	"lifeboat/internal/estate"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// Backend is what the console needs of the rest of Lifeboat. It is implemented where
// the parts are built; tests implement it with values. Every method may block and is
// called only from commands, never from Update or View. Errors carry hints.
type Backend interface {
	DrillKeeper
	Attendant
	Past
	// Books lists the runbooks, in the order of the library.
	Books(ctx context.Context) ([]Book, error)
	// Runs lists runs, newest first, open ones before all others, at most limit.
	Runs(ctx context.Context, limit int) ([]Summary, error)
	// Start begins a run and starts the process that hosts it. Missing or bad
	// parameters are an error; nothing has been started then.
	Start(ctx context.Context, s Start) (run.ID, error)
	// Attach makes sure that a process hosts the open run, starting one if the last
	// one died. It is harmless when one is there.
	Attach(ctx context.Context, id run.ID) error
	// Events lists the events of a run after a sequence number; it returns at once.
	Events(ctx context.Context, id run.ID, after int64) ([]run.Event, error)
	// Answer answers the open gate. A gate that has been closed meanwhile is an error.
	Answer(ctx context.Context, id run.ID, a run.Answer) error
	// Stop asks the running step to stop: its process group gets the signal ladder.
	Stop(ctx context.Context, id run.ID, which run.Attempt) error
	// Raise puts the incident of the run on a more serious level.
	Raise(ctx context.Context, id run.ID, to int, reason string) error
	// Team tells whom to call, what the levels mean, and the questions of triage.
	Team(ctx context.Context) (Team, error)
	// Note adds a remark to the run.
	Note(ctx context.Context, id run.ID, text string) error
	// Progress tells how far the running step is; zero when there is nothing to tell.
	Progress(ctx context.Context, id run.ID) (Progress, error)
	// Log opens a spool file of the run. It may still grow.
	Log(ctx context.Context, id run.ID, name string) (Log, error)
	VaultReader
	ThemeReader
	HistoryReader
	BoardReader
	// Now is the clock of the console, so that frames can be golden files.
	Now() time.Time
}

// Book is a runbook as the library shows it.
type Book struct {
	Name, Title, Kind string
	Level             int
	Summary           string   // first paragraph, Markdown
	When, NotFor      []string // symptoms; when it is the wrong one
	Asset             string
	Params            []Param
	Steps             []run.Outline
	Guidance          map[string]string   // step id -> Markdown
	Checks            map[string][]string // step id -> the checks that will be made of it, in words
	Staged            string              // what a sandbox is made to be before the runbook starts; empty: it stays as it is
	NoWayBack         []string            // ids of the steps that change something and cannot be undone
	Commands          []string            // what its steps run, to be searched
	Tools, Missing    []string            // programs that it needs: those that are there, those that are not
	Room              string              // what is free where runs write; empty: not known
	Assets            []string            // that it can be about, each with its tier and its targets
	Problems          []string            // of lint; empty when it is sound
	Broken            bool                // it cannot be run
	LastRun           time.Time           // zero: never
	LastOutcome       run.Outcome
	LastMode          run.Mode
	Drilled, Used     Deed // the newest drill that passed, the newest run for real that ended complete
	Owner             string
	Reviewed          time.Time
	ReviewEvery       time.Duration // 0: nobody asks for it
	DrillEvery        time.Duration // how long a drill proves something
	Source            string        // where it lies
	Body              string        // the whole document, Markdown
}

// Param is what a person may set before a run starts.
type Param struct {
	Name, Default, Help string
	Secret, Required    bool
	Options             []string
}

// Summary is a run in a list.
type Summary struct {
	ID          run.ID
	Book, Title string
	Asset       string
	Mode        run.Mode
	By          string
	At, Last    time.Time
	Steps, Done int
	Step        string // title of the current step
	State       run.State
	Gate        run.GateKind // empty: nobody is asked
	Outcome     run.Outcome  // empty: open
	Hosted      bool         // a process drives it right now
	Debts       []run.Debt
	Incident    time.Time     // the RTO counts from here; zero: from At
	RTO         time.Duration // 0: none was promised
}

// Start is the wish to run a runbook.
type Start struct {
	Book     string
	Mode     run.Mode
	Params   map[string]string
	Incident time.Time
	Level    int      // of the incident where it is above that of the runbook
	Triage   []string // the answers that led to the runbook; nil: none did
}

// Team is what an incident asks of people here.
type Team struct {
	Tree     *incident.Tree // nil: there are no questions
	Problem  string         // with questions of the estate, which are left out then
	Levels   []estate.Level
	Contacts []estate.Contact
	Assets   []AssetName      // that the estate protects, in its order
	File     string           // where contacts are added
	Speaker  incident.Speaker // who calls; its time is that of the screen
}

// Progress of a running step.
type Progress struct {
	Step        string
	Done, Total int64
	Unit        string
	Since       time.Time
}

// Log is a spool file.
type Log interface {
	io.ReaderAt
	io.Closer
	// Size in bytes, now.
	Size() (int64, error)
}
