package run

import (
	"slices"
	"strconv"
	"time"
)

// DrillSetup says what a drill rehearses, who is in it and what can be scored. It holds
// the whole script, so that a drill that is taken up again, or looked at in five years,
// does not depend on a file that may have changed.
type DrillSetup struct {
	Scenario    string        `json:"scenario"` // its name
	Title       string        `json:"title"`
	Trainee     string        `json:"trainee"`
	Facilitator string        `json:"facilitator,omitempty"` // empty: nobody; injects come by the script
	Auto        bool          `json:"auto,omitempty"`        // a script plays the trainee
	Alarm       string        `json:"alarm,omitempty"`       // the symptoms that the trainee began from, empty: the runbook was given
	Found       time.Duration `json:"found,omitempty"`       // nanoseconds from the alarm to the right runbook
	Tried       []string      `json:"tried,omitempty"`       // wrong runbooks that were opened before
	Pass        int           `json:"pass"`                  // points that pass
	Points      []Worth       `json:"points,omitempty"`      // what can be had, per criterion
	Injects     []Inject      `json:"injects,omitempty"`     // planned
	Hints       []Hint        `json:"hints,omitempty"`       // on offer, in order within a step
	Team        []string      `json:"team,omitempty"`        // ids of the steps that tell the team
	RTO         time.Duration `json:"rto,omitempty"`         // nanoseconds, 0: none
	RPO         time.Duration `json:"rpo,omitempty"`         // nanoseconds, 0: none
	Every       time.Duration `json:"every,omitempty"`       // nanoseconds for which a passed drill proves something
}

// Of is the sum of all points that can be had.
func (d *DrillSetup) Of() int {
	sum := 0
	for _, w := range d.Points {
		sum += w.Points
	}
	return sum
}

// Worth is what one criterion is worth.
type Worth struct {
	Criterion string `json:"criterion"`
	Points    int    `json:"points"`
}

// The criteria.
const (
	RightRunbook = "runbook" // found from the symptoms, first try
	InsideRTO    = "rto"     // recovered in time
	InsideRPO    = "rpo"     // no more data lost than promised, as the oracle measures it
	ChecksRead   = "checks"  // nothing went on past a check that did not hold
	GatesTyped   = "gates"   // tokens right the first time
	InTime       = "injects" // injects answered, and within their limit
	TeamTold     = "team"
	HintCost     = "hints" // what hints have cost: only ever below zero
)

// Inject is something that is planned to happen to the trainee.
type Inject struct {
	Name    string        `json:"inject"` // unique within the drill
	Step    string        `json:"step,omitempty"`
	Ended   bool          `json:"ended,omitempty"` // after that step ends, else after it begins
	After   time.Duration `json:"after,omitempty"` // nanoseconds after that, or after the start of the drill
	From    string        `json:"from"`            // who says it
	Text    string        `json:"text"`
	Ask     string        `json:"ask,omitempty"`     // what is to be answered
	Words   [][]string    `json:"words,omitempty"`   // a good answer has one of each group
	Choices []string      `json:"choices,omitempty"` // instead of words: ways to answer
	Right   int           `json:"right,omitempty"`   // number of the right choice, from 1
	Model   string        `json:"model,omitempty"`   // a good answer in full
	Within  time.Duration `json:"within,omitempty"`  // nanoseconds, 0: no limit
	Points  int           `json:"points,omitempty"`
}

// Arrival puts a planned inject before the trainee.
type Arrival struct {
	Inject string `json:"inject"`
}

// InjectAnswer is what a trainee says to an inject.
type InjectAnswer struct {
	Inject string        `json:"inject"`
	By     string        `json:"by"`
	Text   string        `json:"text"`
	Took   time.Duration `json:"took"`            // nanoseconds from its arrival
	Right  bool          `json:"right,omitempty"` // it has what a good answer has
	Late   bool          `json:"late,omitempty"`
	Points int           `json:"points,omitempty"` // what it earns
}

// Hint is help with a step, at a price.
type Hint struct {
	Step string `json:"step"`
	Text string `json:"text"`
	Cost int    `json:"cost"` // points
}

// HintTaking is a hint that was taken.
type HintTaking struct {
	Hint
	By string `json:"by"`
}

// Score is how a drill went: evidence, never opinion.
type Score struct {
	Scenario  string        `json:"scenario"`
	Trainee   string        `json:"trainee"`
	Points    int           `json:"points"`
	Of        int           `json:"of"`
	Pass      int           `json:"pass"`
	Passed    bool          `json:"passed"`
	Recovered bool          `json:"recovered"`          // says the oracle
	Recovery  time.Duration `json:"recovery,omitempty"` // nanoseconds from the incident to the last step that the console verified; 0: never
	RTO       time.Duration `json:"rto,omitempty"`      // nanoseconds, 0: none
	Loss      time.Duration `json:"loss,omitempty"`     // nanoseconds of data lost
	LossKnown bool          `json:"loss_known,omitempty"`
	RPO       time.Duration `json:"rpo,omitempty"`         // nanoseconds, 0: none
	Valid     time.Time     `json:"valid,omitzero"`        // until when it proves something; zero: it proves nothing
	Times     []StepTime    `json:"times,omitempty"`       // of the steps that were done
	Criteria  []Criterion   `json:"criteria,omitempty"`    // in the order of the sheet
	Why       []string      `json:"why,omitempty"`         // why it did not pass, one sentence each
	Checks    []Check       `json:"checks,omitempty"`      // of the oracle
	Lost      []string      `json:"lost,omitempty"`        // says the oracle
	Kept      []string      `json:"kept,omitempty"`        // not where it was, and safe
	Fixes     []string      `json:"fixes,omitempty"`       // what to do before the next one
	Best      string        `json:"best_moment,omitempty"` // worth praise
}

// Criterion is one line of the sheet.
type Criterion struct {
	Criterion string   `json:"criterion"`
	Points    int      `json:"points"`
	Of        int      `json:"of"`
	Why       []string `json:"why,omitempty"` // for each part that is missing
}

// StepTime is how long a step took, and how long it took before.
type StepTime struct {
	Step  string        `json:"step"`
	Began time.Time     `json:"began"`
	Took  time.Duration `json:"took"`            // nanoseconds
	Usual time.Duration `json:"usual,omitempty"` // nanoseconds, the median of earlier runs; 0: there are none
}

// Over is how much longer than usual a step took, where that is worth a word: a quarter of
// it and half a minute at least. 0 where it is not, or nobody knows what is usual.
func (t StepTime) Over() time.Duration {
	if over := t.Took - t.Usual; t.Usual > 0 && over > 30*time.Second && t.Took > t.Usual*5/4 {
		return over
	}
	return 0
}

// Exercise is the drill part of the state of a run.
type Exercise struct {
	DrillSetup
	At      time.Time     // when it began
	Arrived []InjectState // in the order of their arrival
	Taken   []TakenHint   // in the order in which they were taken
	Tokens  []Typed       // tokens of gates, in the order in which they were given
}

// Typed is a token that was given at a gate.
type Typed struct {
	Step   string
	Misses int // how often something else was handed in before
}

// MissesKey names, among the extras of an answer that approves, how often something else
// than the token was handed in before.
const MissesKey = "misses"

// InjectState is an inject that has arrived.
type InjectState struct {
	Inject
	At     time.Time
	Answer *InjectAnswer // nil: not answered yet
}

// TakenHint is a hint that was taken, with its time.
type TakenHint struct {
	At time.Time
	HintTaking
}

// Open is the inject that waits longest for an answer, nil when none does.
func (d *Exercise) Open() *InjectState {
	for i := range d.Arrived {
		if d.Arrived[i].Answer == nil {
			return &d.Arrived[i]
		}
	}
	return nil
}

// Waiting lists the planned injects that have not arrived.
func (d *Exercise) Waiting() []Inject {
	return slices.DeleteFunc(slices.Clone(d.Injects), func(i Inject) bool { return d.arrived(i.Name) >= 0 })
}

// Next is the next hint on offer for a step; ok is false when there is none left.
func (d *Exercise) Next(step string) (h Hint, ok bool) {
	n := 0
	for _, t := range d.Taken {
		if t.Step == step {
			n++
		}
	}
	for _, h := range d.Hints {
		if h.Step != step {
			continue
		}
		if n == 0 {
			return h, true
		}
		n--
	}
	return Hint{}, false
}

func (d *Exercise) arrived(name string) int {
	return slices.IndexFunc(d.Arrived, func(s InjectState) bool { return s.Name == name })
}

// foldDrill takes an event of a drill into n, which Fold has already copied.
func (n Run) foldDrill(ev Event, illegal refuse) (Run, error) {
	if b, ok := ev.Body.(DrillSetup); ok {
		if n.Started.Mode != Drill || n.Drill != nil {
			return n, illegal("", "it makes no drill of this run")
		}
		n.Drill = &Exercise{DrillSetup: b, At: ev.At}
		return n, nil
	}
	if n.Drill == nil {
		return n, illegal("", "the run is no drill of a scenario")
	}
	d := *n.Drill
	n.Drill = &d
	switch b := ev.Body.(type) {
	case Arrival:
		i := slices.IndexFunc(d.Injects, func(i Inject) bool { return i.Name == b.Inject })
		if i < 0 || d.arrived(b.Inject) >= 0 {
			return n, illegal("", "inject %q is not planned, or has arrived", b.Inject)
		}
		d.Arrived = append(slices.Clone(d.Arrived), InjectState{Inject: d.Injects[i], At: ev.At})
	case InjectAnswer:
		i := d.arrived(b.Inject)
		if i < 0 || d.Arrived[i].Answer != nil {
			return n, illegal("", "inject %q does not wait for an answer", b.Inject)
		}
		d.Arrived = slices.Clone(d.Arrived)
		d.Arrived[i].Answer = &b
	case HintTaking:
		if _, ok := d.Next(b.Step); !ok {
			return n, illegal("", "no hint for step %q is left", b.Step)
		}
		d.Taken = append(slices.Clone(d.Taken), TakenHint{At: ev.At, HintTaking: b})
	case Score:
		if n.Outcome == "" || n.Score != nil {
			return n, illegal("", "a drill is scored once, after its end")
		}
		n.Score = &b
	default:
		return n, illegal("", "body %T does not belong to a drill", ev.Body)
	}
	return n, nil
}

// typed remembers how the token of the open gate was typed in a drill.
func (n *Run) typed(a Answer) {
	if n.Drill == nil || n.Gate == nil || n.Gate.Kind != Token {
		return
	}
	d := *n.Drill
	misses, _ := strconv.Atoi(a.Extra[MissesKey]) // absent: none
	d.Tokens = append(slices.Clone(d.Tokens), Typed{Step: n.Gate.Step, Misses: max(misses, 0)})
	n.Drill = &d
}
