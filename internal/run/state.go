package run

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is where a step stands.
type State string

const (
	Pending    State = "pending"    // not begun
	Waiting    State = "waiting"    // a gate is open
	Running    State = "running"    // the intent is durable, the end is not known yet
	Checking   State = "checking"   // the effect ended well, its checks are being made
	Verified   State = "verified"   // its checks passed
	Claimed    State = "claimed"    // a person says so
	Failed     State = "failed"     // ended with an error or a failed check
	InDoubt    State = "in doubt"   // begun, end unknown
	Skipped    State = "skipped"    // left out, with a reason
	Overridden State = "overridden" // accepted as it is, with a reason
	Undone     State = "undone"     // its inverse ran and was verified
)

// next is every transition that a step can make. A pair that is absent is illegal.
//
// Running and Checking differ in one thing that matters after a crash: a Running step
// may or may not have had its effect and becomes InDoubt, a Checking step certainly
// had it and only makes its read-only checks again.
var next = map[State]map[Kind]State{
	Pending: {
		GateOpened: Waiting, StepBegan: Running, StepSkipped: Skipped, StepFailed: Failed,
		RunResumed: Pending,
	},
	Waiting: {
		GateOpened: Waiting, GateAnswered: Waiting, StepBegan: Running, StepClaimed: Claimed,
		StepSkipped: Skipped, StepFailed: Failed, UndoBegan: Running, RunResumed: Waiting,
	},
	Running: {
		StepFinished: Checking, StepFailed: Failed, StepDoubted: InDoubt, StepUndone: Undone,
		RunResumed: InDoubt,
	},
	Checking: {
		GateOpened: Checking, GateAnswered: Checking, CheckMade: Checking, StepVerified: Verified,
		StepClaimed: Claimed, StepFailed: Failed, RunResumed: Checking,
	},
	Failed: {
		GateOpened: Failed, GateAnswered: Failed, StepReopened: Pending, StepOverridden: Overridden,
		StepElse: Failed, UndoBegan: Running, RunResumed: Failed,
	},
	InDoubt: {
		ProbeMade: InDoubt, GateOpened: InDoubt, GateAnswered: InDoubt, DoubtSettled: Checking,
		StepReopened: Pending, StepOverridden: Overridden, StepUndone: Undone, UndoBegan: Running,
		RunResumed: InDoubt,
	},
	Verified:   {GateOpened: Verified, GateAnswered: Verified, UndoBegan: Running, RunResumed: Verified},
	Claimed:    {GateOpened: Claimed, GateAnswered: Claimed, UndoBegan: Running, RunResumed: Claimed},
	Skipped:    {GateOpened: Skipped, GateAnswered: Skipped, StepReopened: Pending, UndoBegan: Running, RunResumed: Skipped},
	Overridden: {GateOpened: Overridden, GateAnswered: Overridden, StepReopened: Pending, UndoBegan: Running, RunResumed: Overridden},
	Undone:     {GateOpened: Undone, GateAnswered: Undone, StepReopened: Pending, UndoBegan: Running, RunResumed: Undone},
}

// Step is the folded state of one step.
type Step struct {
	Outline
	State       State
	Attempt     int
	Undoing     bool // Running and InDoubt speak of the inverse, not of the effect
	Entered     bool // an alternative that its failed step has called for
	Began       time.Time
	Ended       time.Time
	Plan        *Plan  // of the newest gate or attempt
	UndoPlan    *Plan  // of the newest gate or attempt of its inverse
	Digest      string // of the newest attempt
	Approval    int64  // Seq of the answer that approved the next attempt, 0 when consumed or absent
	Approved    string // digest that the approval is for
	Used        int64  // Seq of the approval that the newest attempt consumed
	Evidence    string
	Back        string // way back, once the effect happened
	Facts       map[string]string
	Checks      []Check
	Values      []string // what a person saw
	Probe       *Probe
	Error       string
	Hints       []string
	Exit        int
	CheckFailed bool     // the failure is that of a check
	Busy        bool     // the failure is a target in use
	Given       bool     // the failure lies in what the step was given
	Blamed      []string // parameters of the run that the failure lies with
	LogName     string   // spool file of the newest attempt
	Log         *Log     // set when the attempt ended
	Reason      Reason   // of a skip, an override, a reopening
	ElseTo      string   // the alternative that took over after the failure
	By          string   // who claimed, skipped or overrode
	Changed     bool     // one of Changes is left
	Changes     []Change // effects that happened, or may have, and were not undone, oldest first
	Doubts      []Change // attempts whose end was not known, however that was settled, oldest first
	Over        int64    // Seq of the event that said that the newest effect or inverse was over

	own []Check // what the action verified itself; a resumed check makes all others again
}

// Change is an effect that can be taken back. A step that is tried again has one per
// attempt: the plan of a later attempt, or of one that never ran, must not stand in
// for the plan of the effect that is undone.
type Change struct {
	Seq      int64 // of the event that told of it
	Plan     *Plan
	Evidence string
	Back     string
	Facts    map[string]string
	Saved    Saved
}

// Saved is what an effect saved for later steps. It goes with the effect: once that is
// taken back, nothing says what it was.
type Saved struct {
	Scope, Name string
	Outputs     map[string]any
}

// Newest is the change to undo first; of a step in doubt it is the attempt itself.
func (s *Step) Newest() (c Change, ok bool) {
	if s.State == InDoubt && !s.Undoing {
		return Change{Plan: s.Plan, Back: s.Back}, true
	}
	if len(s.Changes) == 0 {
		return c, false
	}
	return s.Changes[len(s.Changes)-1], true
}

// Done says whether the run may go past the step.
func (s *Step) Done() bool {
	switch s.State {
	case Verified, Claimed, Skipped, Overridden, Undone:
		return true
	case Failed:
		return s.ElseTo != "" && !s.Undoing // an undo that failed is decided about, whatever took over before
	}
	return false
}

// effect of the newest attempt: that of its plan, else the one the outline promises.
func (s *Step) effect() string {
	if s.Plan != nil && s.Plan.Effect != "" {
		return s.Plan.Effect
	}
	return s.Effect
}

// Run is the folded state of a run.
type Run struct {
	ID      ID
	Seq     int64 // of the newest event
	Last    time.Time
	Started Started
	At      time.Time // of the start
	Steps   []Step
	Gate    *Gate                     // the open one
	Vars    map[string]map[string]any // scope -> saved name -> outputs
	Debts   []Debt
	Notes   []Noted
	Level   int      // of the incident now; 0: the runbook has none and nobody gave one
	Raised  []Raised // how it got there
	Resumed []Event  // who took it up, and when
	Driver  Driver   // who answers for it
	Asked   *Asked   // somebody else wants to drive; nil: nobody
	Handed  []Handed // how it came into other hands
	Outcome Outcome  // empty while it is open
	EndedAt time.Time
	EndedBy string
	Reason  string
	Anew    []string  // it was ended to begin anew, with other values of these parameters
	Drill   *Exercise // nil: it is no drill of a scenario
	Score   *Score    // nil: it was not scored
	history []string
}

// Noted is a note with its time.
type Noted struct {
	At time.Time
	Note
}

// Raised is a level that was raised, with its time.
type Raised struct {
	At time.Time
	Raise
}

// Began is when the incident began, as far as the run knows: the clocks of target and
// level count from here.
func (r *Run) Began() time.Time {
	if t := r.Started.Incident; !t.IsZero() {
		return t
	}
	return r.At
}

// Step finds a step by its id.
func (r *Run) Step(id string) *Step {
	for i := range r.Steps {
		if r.Steps[i].ID == id {
			return &r.Steps[i]
		}
	}
	return nil
}

// Current is the index of the first step that is not done, or len(Steps).
func (r *Run) Current() int {
	for i := range r.Steps {
		if !r.Steps[i].Done() {
			return i
		}
	}
	return len(r.Steps)
}

// Working is the step that runs, or whose checks are made; nil for none.
func (r *Run) Working() *Step {
	for i := range r.Steps {
		if s := r.Steps[i].State; s == Running || s == Checking {
			return &r.Steps[i]
		}
	}
	return nil
}

// Attempt is one go at a step, or at its inverse. Zero: at none.
type Attempt struct {
	Step string `json:"step"`
	N    int    `json:"n"`
}

// Attempt is the one that is being made.
func (r *Run) Attempt() Attempt {
	if s := r.Working(); s != nil {
		return Attempt{s.ID, s.Attempt}
	}
	return Attempt{}
}

// Open says whether the run has not ended.
func (r *Run) Open() bool { return r.Outcome == "" }

// IllegalError is an event that the state of the run does not allow. It shows the
// history of the step, because the reader has to find out who was wrong.
type IllegalError struct {
	Event   Event
	State   State // of the step; empty for events of the whole run
	Why     string
	History []string
}

func (e *IllegalError) Error() string {
	where := "run " + e.Event.Run.Short()
	if e.Event.Step != "" {
		where += fmt.Sprintf(" step %q (%s)", e.Event.Step, e.State)
	}
	return fmt.Sprintf("illegal event %d %s in %s: %s; history: %s",
		e.Event.Seq, e.Event.Kind, where, e.Why, strings.Join(e.History, " > "))
}

// FoldAll folds a whole history.
func FoldAll(events []Event) (Run, error) {
	var r Run
	for _, ev := range events {
		n, err := Fold(r, ev)
		if err != nil {
			return r, err
		}
		r = n
	}
	return r, nil
}

// historyLimit bounds what an IllegalError shows of the past.
const historyLimit = 40

// Fold gives the state after ev. It does not change r: what it returns shares no
// mutable part with r that a later Fold would change.
func Fold(r Run, ev Event) (Run, error) {
	illegal := func(state State, why string, args ...any) error {
		return &IllegalError{Event: ev, State: state, Why: fmt.Sprintf(why, args...), History: r.history}
	}
	if ev.Seq != r.Seq+1 {
		return r, illegal("", "sequence %d expected", r.Seq+1)
	}
	if (ev.Kind == RunStarted) != (r.Seq == 0) {
		return r, illegal("", "a run starts once, with %s", RunStarted)
	}
	if r.Seq > 0 && ev.Run != r.ID {
		return r, illegal("", "it belongs to run %s", ev.Run)
	}
	if r.Outcome != "" && ev.Kind != NoteAdded && ev.Kind != DrillScored {
		return r, illegal("", "the run has ended: %s", r.Outcome)
	}
	n := r
	n.Seq, n.Last = ev.Seq, ev.At
	n.history = append(slices.Clone(tail(r.history, historyLimit-1)), label(ev))
	if ev.Step == "" {
		return n.foldRun(ev, illegal)
	}
	i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.ID == ev.Step })
	if i < 0 {
		return r, illegal("", "there is no such step")
	}
	to, ok := next[r.Steps[i].State][ev.Kind]
	if !ok {
		return r, illegal(r.Steps[i].State, "not a transition")
	}
	if (ev.Kind == StepUndone) && !r.Steps[i].Undoing {
		return r, illegal(r.Steps[i].State, "no undo was begun")
	}
	n.Steps = slices.Clone(r.Steps)
	s := &n.Steps[i]
	from := s.State
	s.State = to
	if err := n.foldStep(s, from, ev, illegal); err != nil {
		return r, err
	}
	return n, nil
}

func tail(s []string, n int) []string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

func label(ev Event) string {
	if ev.Step == "" {
		return fmt.Sprintf("%d %s", ev.Seq, ev.Kind)
	}
	return fmt.Sprintf("%d %s %s", ev.Seq, ev.Step, ev.Kind)
}
