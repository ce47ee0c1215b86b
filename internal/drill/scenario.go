// Package drill holds rehearsals as data: which runbook is rehearsed, what is prepared
// and broken before, what a trainee is taken to see, how long it may take. It also has
// the script that plays the trainee where nobody is there to practise ([Auto]), and
// says whether a rehearsal passed ([Score]).
//
// The data lies beside the runbooks, one file a rehearsal ([Load], [Library]). The same
// file is a drill, for people, and the test of its runbook, for machines.
//
// A drill goes through the same runbook, engine and screens as the real thing. What
// makes it safe is not here: the run's mode, which the engine holds, and the fence of
// the sandbox. What makes it honest is not here either: the oracle of the sandbox.
package drill

import (
	"time"

	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// Scenario is one rehearsal.
type Scenario struct {
	Name     string // file name without its ending: what people type
	File     string // as it was named
	Title    string
	Summary  string            // what the rehearsal shows, one or two sentences
	Runbook  string            // that is rehearsed
	Prepare  []Preparation     // before the breakage, in order
	Breakage string            // of package sandbox, "" for none
	Damage   string            // a script that breaks the sandbox instead, "" for none
	Params   map[string]string // of the runbook

	// Answers are what a trainee sees and does: the text of a checklist item, or the id
	// of a step, for its choice, its input, and those items that ask for a value and do
	// not say which one they expect. All other items get what they expect, or general
	// words.
	Answers map[string]string
	RTO     time.Duration // from the start of the run, 0: none
	RPO     time.Duration // how much of what was written may be lost, 0: what the oracle allows
	Expect  run.Outcome   // how the run has to end
	Oracle  string        // a script that asks whether all is recovered, "" for none

	Alarm   string         // what is told to a trainee who begins from the symptoms, "" for none
	Injects []run.Inject   // what happens to the trainee meanwhile, in the order of the file
	Hints   []run.Hint     // help with a step, in order within it
	Weights map[string]int // points per criterion of package run
	Pass    int            // per cent of the points that can be had
	Team    []string       // ids of the steps that tell the team
	Every   time.Duration  // after which the drill is due again, 0: the estate says

	at map[string]runbook.Pos // of each key, by its path
}

// Preparation is one thing that happens before the breakage: either a runbook is run,
// or the application goes on working for a while.
type Preparation struct {
	Runbook string
	Params  map[string]string
	Writes  int // bookings to wait for
}

// Breaks says whether anything is broken before the runbook begins.
func (s Scenario) Breaks() bool { return s.Breakage != "" || s.Damage != "" }

// Names that params and answers may use as ${name}.
const (
	VarSandbox  = "sandbox"   // directory of the sandbox
	VarBrokenAt = "broken_at" // RFC 3339, UTC, with milliseconds: right before the breakage
)

// Filled gives the scenario with ${sandbox} and ${broken_at} replaced in its params and
// answers.
func (s Scenario) Filled(sandbox string, brokenAt time.Time) (Scenario, error) {
	lookup := func(name string) (any, bool) {
		switch name {
		case VarSandbox:
			return sandbox, true
		case VarBrokenAt:
			return brokenAt.UTC().Format("2006-01-02T15:04:05.000Z"), true
		}
		return nil, false
	}
	fill := func(in map[string]string) (map[string]string, error) {
		out := map[string]string{}
		for k, v := range in {
			x, err := runbook.Expand(v, lookup)
			if err != nil {
				return nil, err
			}
			out[k], _ = x.(string)
		}
		return out, nil
	}
	var err error
	if s.Params, err = fill(s.Params); err != nil {
		return s, err
	}
	s.Answers, err = fill(s.Answers)
	return s, err
}
