// Package action says what an action is: a named thing that a step can do, with
// documented parameters, an effect, a plan that only reads, and, where the effect
// cannot be repeated, a probe that finds out whether it happened.
//
// An action is a value. There is no registry to write to: package builtin holds one
// slice, the engine is handed it, and lint, manual and completion read the same
// fields. The type of an action's parameters is erased here, in [New], and nowhere else.
package action

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"time"

	"lifeboat/internal/secret"
)

// Effect is how far an action reaches.
type Effect string

const (
	Read    Effect = "read"    // changes nothing; runs without asking
	Write   Effect = "write"   // changes something that can be put back; asks once
	Destroy Effect = "destroy" // can lose something; asks for the token of its live target
)

// Repeat says whether a second run does harm.
type Repeat string

const (
	Safe Repeat = "safe" // running it twice is running it once
	Once Repeat = "once" // must not run twice; brings a Probe
)

// Def defines an action over its parameter type P, a struct whose fields carry the
// tags `param:"name[,required]"`, `help:"…"`, and optionally `default:"…"`,
// `enum:"a,b"` and `unit:"…"`. Field types are string, bool, int, int64,
// time.Duration, []string, map[string]string and secret.String (never journalled).
type Def[P any] struct {
	Name    string // required; "git.push"
	Summary string // required; one line without a full stop, imperative
	Doc     string // required; Markdown with one runnable example fence
	Effect  Effect // required; the most it can do. A Plan may lower it for one call
	Repeat  Repeat // required

	// Plan reads the live target and says what Run would do. It has no side effects.
	// nil means the plan is the resolved arguments and nothing is read.
	Plan func(ctx context.Context, env *Env, p P) (Plan, error)
	// Run has the effect. It must refuse, with [ErrChanged], when the target is no
	// longer as plan.Facts says (compare-and-set at the target).
	Run func(ctx context.Context, env *Env, p P, plan Plan) (Result, error) // required
	// Probe reads the target and compares it with the plan. Required for Once.
	Probe func(ctx context.Context, env *Env, p P, plan Plan) (Probe, error)
	// Inverse undoes Run; nil when there is no way back.
	Inverse *Inverse[P]
	// Check validates parameters together, without I/O; nil when fields say it all.
	Check func(p P) error
}

// Inverse is the way back of an action. plan and result are those of the effect; for
// an effect that failed half-way result is the zero Result.
type Inverse[P any] struct {
	Plan  func(ctx context.Context, env *Env, p P, plan Plan, result Result) (Plan, error)              // required
	Run   func(ctx context.Context, env *Env, p P, undo Plan, plan Plan, result Result) (Result, error) // required
	Probe func(ctx context.Context, env *Env, p P, undo Plan, plan Plan, result Result) (Probe, error)  // optional
}

// Plan is what an action would do, read just now from the live target.
type Plan struct {
	Summary string   // one sentence: "moves origin/main 3f2a1c9 -> 9bd0e27"
	Effect  Effect   // of this call; empty means the action's own
	Lines   []Line   // what changes, what is lost, what is kept
	Command []string // exactly what runs, each as a person would type it
	Target  string   // identity of what changes: "/srv/monorepo.git refs/heads/main"
	Token   string   // read from the live target, required for Destroy: "main@3f2a1c9"
	Checks  []Check
	Facts   map[string]string // precondition that Run compares, and what undo needs; part of the approval
	Stop    string            // is stopping in the middle safe? one sentence
	Back    string            // the way back in words, empty when there is none
	Nothing bool              // the target is already as wanted: Run changes nothing
	Opens   []Debt            // what must be put back before the run may end well; none where it is off already
	Closes  []string          // ids of debts that this puts back
}

// Debt is one half of a pair: protection is off, a service is scaled to zero.
type Debt struct {
	ID, Text string
	Within   time.Duration // how long it may stay open before everybody is reminded; 0: no limit
}

// Line is a labelled fact of a plan.
type Line struct{ Label, Text string }

// Check is one thing that was looked at.
type Check struct {
	Text     string
	OK       bool
	Evidence string
	About    string // the asset that it is about, where an action has several
}

// Result is what an effect left behind.
type Result struct {
	Evidence string            // one line: what was sensed
	Outputs  map[string]any    // for save=: strings, int64, float64, bool, []string
	Checks   []Check           // what the action verified itself
	Back     string            // the way back now, empty when there is none
	Facts    map[string]string // what the inverse needs beyond the plan's facts
}

// Finding is what a probe saw.
type Finding string

const (
	Applied    Finding = "applied"
	NotApplied Finding = "not-applied"
	Unknown    Finding = "unknown"
)

// Probe is a read-only look at the target of an effect whose end is not known.
type Probe struct {
	Finding               Finding
	Command               []string
	Before, Wanted, Found string
	Means                 string // one sentence

	// Outputs are those that the effect would have saved, where it did happen: without them
	// no later step could go by them.
	Outputs map[string]any
}

// Env is what an action may use of the world. Everything else it was built with.
type Env struct {
	Log      io.Writer                            // its output; spooled to a file, redacted and sanitised by others
	Progress func(done, total int64, unit string) // total 0: not known; unit "B", "objects", "pages"
	Now      func() time.Time
	Run      string // run id, short enough for a ref name
	RunID    string // the whole run id, unique for ever
	Step     string
	Attempt  int
	Drill    bool // a sandbox: Fence refuses all else
	Dry      bool
	Glance   bool                      // look once and wait for nothing: a check is made ahead of the effect that it is to prove
	By       string                    // the person or schedule
	Book     string                    // name of the runbook
	Scratch  string                    // private directory of this attempt, removed afterwards
	Dir      string                    // directory that relative paths of the runbook mean
	Vars     map[string]string         // parameters, for sh
	Secrets  map[string]secret.String  // secret parameters, for sh
	Timeout  time.Duration             // of the attempt, already on the context; 0: none
	Fence    func(target string) error // nil error: this path or URL may be touched
	Debts    []Debt                    // that are open in this run: what an action that puts something back may go by
	Earlier  []Plan                    // of attempts of this step that had their effect, or may have, and were not undone, oldest first
	Note     func(text string)         // puts a remark on the record of the run; nil: there is none
}

// Allowed asks the fence. Every action calls it for each path and URL that it is
// going to change or send anything to, in Plan and again in Run.
func (e *Env) Allowed(target string) error {
	if e.Fence == nil {
		return nil
	}
	return e.Fence(target)
}

// Printf writes a line to the log.
func (e *Env) Printf(format string, args ...any) {
	if e.Log != nil {
		fmt.Fprintf(e.Log, format+"\n", args...)
	}
}

// Remark puts on the record of the run what must not drown in a log. Without a record
// it goes there.
func (e *Env) Remark(format string, args ...any) {
	if e.Note == nil {
		e.Printf(format, args...)
		return
	}
	e.Note(fmt.Sprintf(format, args...))
}

// Report tells how far the work is.
func (e *Env) Report(done, total int64, unit string) {
	if e.Progress != nil {
		e.Progress(done, total, unit)
	}
}

// Param describes one parameter.
type Param struct {
	Name     string   `json:"name"`
	Help     string   `json:"help"`
	Default  string   `json:"default,omitempty"`
	Enum     []string `json:"enum,omitempty"`
	Required bool     `json:"required,omitempty"`
	Secret   bool     `json:"secret,omitempty"`
	Type     string   `json:"type"` // text, true/false, number, duration, list, map
	index    int
}

// Action is a definition with its parameter type erased. The zero value is no action.
type Action struct {
	Name, Summary, Doc string
	Effect             Effect
	Repeat             Repeat
	Params             []Param
	HasProbe, HasUndo  bool

	decode func(args map[string]any) (any, error)
	plan   func(ctx context.Context, env *Env, p any) (Plan, error)
	run    func(ctx context.Context, env *Env, p any, plan Plan) (Result, error)
	probe  func(ctx context.Context, env *Env, p any, plan Plan) (Probe, error)
	undo   Inverse[any]
	typ    reflect.Type
}
