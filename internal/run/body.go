package run

import "time"

// Mode says what a run may touch. It is chosen at the start and never changes.
type Mode string

const (
	Live  Mode = "live"  // the estate itself
	Drill Mode = "drill" // a sandbox; nothing outside it can be reached
	Dry   Mode = "dry"   // nothing is changed: plans and checks only
)

// Started pins everything a resumed run needs to go on exactly as it began.
type Started struct {
	Mode     Mode              `json:"mode"`
	Book     string            `json:"book"`              // name of the runbook: "accidental-force-push"
	Title    string            `json:"title"`             // its title
	Level    int               `json:"level,omitempty"`   // 1 to 3, 0 when it has none
	Digest   string            `json:"digest"`            // SHA-256 of the runbook and all it includes, hexadecimal
	Section  string            `json:"section,omitempty"` // chosen section of a plain document
	Estate   string            `json:"estate,omitempty"`  // path of the estate file, empty without one
	Asset    string            `json:"asset,omitempty"`   // the asset it is about
	Params   map[string]string `json:"params,omitempty"`  // resolved; never a secret
	Steps    []Outline         `json:"steps"`             // in order of execution
	By       string            `json:"by"`                // who started it
	Host     string            `json:"host"`
	Version  string            `json:"version"`           // of Lifeboat
	Incident time.Time         `json:"incident,omitzero"` // the RTO counts from here; zero: from the start
	RTO      time.Duration     `json:"rto,omitempty"`     // nanoseconds; 0: no target
	Session  string            `json:"session,omitempty"` // where they sit, see [Driver]; empty in old records
	Triage   []string          `json:"triage,omitempty"`  // the answers that led to the runbook and the level, in words; By gave them
}

// Outline is what every screen needs of a step before it runs.
type Outline struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Phase  []string `json:"phase,omitempty"` // enclosing headings, outermost first
	Action string   `json:"action,omitempty"`
	Effect string   `json:"effect,omitempty"` // read, write, destroy; empty for work by hand
	Hand   bool     `json:"hand,omitempty"`   // a person does it
	Only   bool     `json:"only,omitempty"`   // an alternative: entered only when the step that names it fails
}

// Resumed says who drives the run from here.
type Resumed struct {
	By      string `json:"by"`
	Host    string `json:"host"`
	PID     int    `json:"pid,omitempty"`
	Session string `json:"session,omitempty"` // where they sit, see [Driver]; empty in old records
}

// Outcome is how a run ended.
type Outcome string

const (
	Complete              Outcome = "complete"
	CompleteWithOverrides Outcome = "complete with overrides"
	NotComplete           Outcome = "not complete"
	Aborted               Outcome = "aborted"
)

// Ended closes a run. Back is when the thing was back, see [Run.Back]; it stands here for
// those who read no more of a run than its end.
type Ended struct {
	Outcome Outcome   `json:"outcome"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Back    time.Time `json:"back,omitzero"`
	Anew    []string  `json:"anew,omitempty"` // parameters with other values of which somebody means to begin anew
}

// Note is a remark.
type Note struct {
	By   string `json:"by"`
	Text string `json:"text"`
}

// Debt is a pair that must be closed before a run may end well: protection off and
// on, scale to zero and back.
type Debt struct {
	ID    string `json:"id"`
	Text  string `json:"text"`            // what is open, in words
	Close string `json:"close,omitempty"` // id of the step that closes it
	// By is the attempt that it was opened for, before that began; zero in old records.
	By Attempt `json:"by,omitzero"`
	// Within is how long it may stay open, from the event that opened it; 0: no limit.
	Within time.Duration `json:"within,omitempty"` // nanoseconds
	At     time.Time     `json:"-"`                // of that event, filled in by the fold
	Seq    int64         `json:"-"`                // of the event that opened it, filled in by the fold
}

// Due is when the debt should have been closed; zero when it has no deadline.
func (d Debt) Due() time.Time {
	if d.Within <= 0 {
		return time.Time{}
	}
	return d.At.Add(d.Within)
}

// Overdue says whether the deadline of the debt has passed.
func (d Debt) Overdue(now time.Time) bool { return d.Within > 0 && now.After(d.Due()) }

// MaxLevel is the most serious level of an incident.
const MaxLevel = 3

// Raise puts the incident on a more serious level. A level never goes down while the
// run is open: who was called stays called.
type Raise struct {
	By     string `json:"by"`
	From   int    `json:"from"`
	To     int    `json:"to"`
	Reason string `json:"reason,omitempty"`
}

// GateKind is what a gate asks for.
type GateKind string

const (
	Confirm   GateKind = "confirm"   // yes to a write
	Token     GateKind = "token"     // the token of the live target
	Checklist GateKind = "checklist" // a value per item
	Choice    GateKind = "choice"    // one of the options
	Input     GateKind = "input"     // a value, kept out of the journal when secret
	Decision  GateKind = "decision"  // a step failed: what now?
	Doubt     GateKind = "doubt"     // a step is in doubt: did it happen?
	Closing   GateKind = "closing"   // the end: skipped checks and open debts come back
)

// Gate is a question to a person. Its number is the Seq of its event.
type Gate struct {
	Kind    GateKind `json:"kind"`
	Prompt  string   `json:"prompt,omitempty"`
	Plan    *Plan    `json:"plan,omitempty"`
	Digest  string   `json:"digest,omitempty"` // of the resolved step; an approval is for exactly this
	Token   string   `json:"token,omitempty"`  // what must be typed
	Items   []Item   `json:"items,omitempty"`
	Options []Option `json:"options,omitempty"` // in order, the recommended one first
	Secret  bool     `json:"secret,omitempty"`  // the answer must not be shown or stored
	Undo    bool     `json:"undo,omitempty"`    // it asks about the inverse of the step
	Seq     int64    `json:"-"`                 // of the event, filled in by the fold
	Step    string   `json:"-"`                 // filled in by the fold
}

// Item is one line of a checklist.
type Item struct {
	Text    string `json:"text"`
	Observe bool   `json:"observe,omitempty"` // the person types the value seen
	Expect  string `json:"expect,omitempty"`  // what it should be
}

// Option is one way on.
type Option struct {
	Verb Verb   `json:"verb"`
	Key  string `json:"key,omitempty"` // for choices: the value that is saved
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"` // what it means, one sentence
}

// Verb is what a person decided at a gate.
type Verb string

const (
	Approve    Verb = "approve"    // run the step as planned
	Give       Verb = "give"       // values for a checklist, input or choice
	Retry      Verb = "retry"      // plan and ask again, then a new attempt
	Skip       Verb = "skip"       // leave the step out, with a reason
	Override   Verb = "override"   // accept the step as it is, with a reason
	TakeElse   Verb = "else"       // go to the alternative that the step names
	Undo       Verb = "undo"       // run the inverse of the step
	Settle     Verb = "settle"     // in doubt: it did happen
	Reprobe    Verb = "probe"      // in doubt: look again
	Reopen     Verb = "reopen"     // at the end: do this skipped step after all
	Finish     Verb = "finish"     // at the end: that is all
	Abandon    Verb = "abort"      // end the run here
	Anew       Verb = "anew"       // end the run here, to begin one with other parameters
	Unanswered Verb = "unanswered" // the gate was closed by the engine: the plan had changed
)

// ReasonClass groups why a person left the path.
type ReasonClass string

const (
	NotApplicable ReasonClass = "not-applicable" // a condition was not met, or another path was taken
	DoneElsewhere ReasonClass = "done-elsewhere"
	Unsafe        ReasonClass = "unsafe"
	NoTime        ReasonClass = "no-time"
	NotPossible   ReasonClass = "not-possible"
	Other         ReasonClass = "other"
)

// Answer is a person's decision at a gate.
type Answer struct {
	Gate   int64             `json:"gate"` // Seq of the gate it answers; a stale one is refused
	Verb   Verb              `json:"verb"`
	By     string            `json:"by"`
	Digest string            `json:"digest,omitempty"` // what was approved
	Token  string            `json:"token,omitempty"`  // what was typed
	Values []string          `json:"values,omitempty"` // per item, or the one value or choice; empty for a secret
	Target string            `json:"target,omitempty"` // step that a reopen or undo names
	Class  ReasonClass       `json:"class,omitempty"`
	Reason string            `json:"reason,omitempty"`
	How    string            `json:"how,omitempty"` // console, plain, --yes, --allow, drill
	Extra  map[string]string `json:"extra,omitempty"`
	// Session is where By sits; empty where a policy answers. It must be that of the driver.
	Session string `json:"session,omitempty"`
}

// BackKey names, among the extras of an answer that settles a doubt, the way back.
const BackKey = "back"

// Plan is what a step would do, read from the live target without touching it.
type Plan struct {
	Summary string            `json:"summary"`
	Effect  string            `json:"effect"`         // read, write, destroy
	Once    bool              `json:"once,omitempty"` // must not run twice
	Lines   []Line            `json:"lines,omitempty"`
	Command []string          `json:"command,omitempty"` // exactly what runs, as a person would type it
	Target  string            `json:"target,omitempty"`
	Token   string            `json:"token,omitempty"`
	Checks  []Check           `json:"checks,omitempty"` // made just now
	Facts   map[string]string `json:"facts,omitempty"`  // the precondition, and what undo needs
	Stop    string            `json:"stop,omitempty"`   // is stopping safe?
	Back    string            `json:"back,omitempty"`   // the way back, empty when there is none
	Args    map[string]string `json:"args,omitempty"`   // resolved arguments, secrets as [secret]
	Opens   []Debt            `json:"opens,omitempty"`
	Closes  []string          `json:"closes,omitempty"`  // ids of debts
	Nothing bool              `json:"nothing,omitempty"` // the target is already as wanted: nothing will have changed
}

// Line is a labelled fact: "brings in", "14 lost commits by 6 people".
type Line struct {
	Label string `json:"label"`
	Text  string `json:"text"`
}

// Check is one thing the console looked at itself.
type Check struct {
	Text     string `json:"text"`
	OK       bool   `json:"ok"`
	Evidence string `json:"evidence,omitempty"`
	Log      *Log   `json:"log,omitempty"`
	About    string `json:"about,omitempty"` // the asset that it is about, where a step has several
}

// Began is the durable intent of an effect.
type Began struct {
	Action string `json:"action"`
	Digest string `json:"digest"`
	Gate   int64  `json:"gate,omitempty"` // Seq of the approval that this consumes; 0 for a read
	Plan   *Plan  `json:"plan,omitempty"`
	Log    string `json:"log,omitempty"` // name of the spool file
}

// Finished says that the effect ended well. Checks follow.
type Finished struct {
	Evidence string            `json:"evidence,omitempty"`
	Save     string            `json:"save,omitempty"`    // name under which Outputs are kept
	Scope    string            `json:"scope,omitempty"`   // of the name, for included runbooks
	Outputs  map[string]any    `json:"outputs,omitempty"` // strings, numbers, booleans, lists of strings
	Back     string            `json:"back,omitempty"`    // way back after the effect, empty when there is none
	Facts    map[string]string `json:"facts,omitempty"`   // what undo needs beyond the plan's facts
	Checks   []Check           `json:"checks,omitempty"`  // what the action verified itself
	Log      *Log              `json:"log,omitempty"`
}

// Log names a spool file and proves its content. Size and SHA256 are those of the file
// with all its parts behind it, in the order of their names; a line in it tells of lines
// that are missing.
type Log struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`            // bytes
	SHA256 string `json:"sha256"`          // hexadecimal
	Parts  int    `json:"parts,omitempty"` // files NAME.* beside NAME
	Lost   int64  `json:"lost,omitempty"`  // bytes that were printed and are not kept
}

// Verdict ends a step well.
type Verdict struct {
	Evidence string         `json:"evidence,omitempty"`
	By       string         `json:"by,omitempty"`     // who claims it
	Values   []string       `json:"values,omitempty"` // what was seen, per item
	Save     string         `json:"save,omitempty"`
	Scope    string         `json:"scope,omitempty"`
	Outputs  map[string]any `json:"outputs,omitempty"`
}

// Failure says why a step did not end well.
type Failure struct {
	Busy  bool     `json:"busy,omitempty"`  // the target is in use: the same may work later
	Check bool     `json:"check,omitempty"` // a check failed, not the work itself
	Given bool     `json:"given,omitempty"` // with the values that the step was given it fails again
	Error string   `json:"error"`
	Hints []string `json:"hints,omitempty"`
	Exit  int      `json:"exit,omitempty"`
	Log   *Log     `json:"log,omitempty"`
	// Blamed are the parameters of the run that it lies with: only another value can help.
	Blamed []string `json:"blamed,omitempty"`
	// Checks are what the action had verified itself up to there: a backup of ten assets
	// that failed for one.
	Checks []Check `json:"checks,omitempty"`
}

// Reason is why a step was left, accepted or taken up again.
type Reason struct {
	By    string      `json:"by"`
	Class ReasonClass `json:"class,omitempty"`
	Text  string      `json:"text,omitempty"`
	Else  string      `json:"else,omitempty"` // the step that takes over
}

// Finding is what a probe saw.
type Finding string

const (
	Applied    Finding = "applied"     // the target is as the step wanted it
	NotApplied Finding = "not-applied" // the target is as it was before
	Unknown    Finding = "unknown"     // neither, or it could not be read
)

// Probe is a read-only look at the target of a step in doubt.
type Probe struct {
	Finding Finding  `json:"finding"`
	Command []string `json:"command,omitempty"`
	Before  string   `json:"before,omitempty"`
	Wanted  string   `json:"wanted,omitempty"`
	Found   string   `json:"found,omitempty"`
	Means   string   `json:"means,omitempty"` // in words

	// What the effect saves, if it did happen.
	Save    string         `json:"save,omitempty"`
	Scope   string         `json:"scope,omitempty"`
	Outputs map[string]any `json:"outputs,omitempty"`
}
