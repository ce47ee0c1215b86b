// Package run holds what a run is: its events and their stored form, the states a
// step can be in, the one table of transitions, and the pure fold that turns a list
// of events into the state of the run.
//
// Engine, resume, console and report all use the same [Fold], so none of them can
// disagree about what happened. The package knows no clock, does no I/O and imports
// no other internal package: the same events give the same state on every machine,
// today and in five years. That is also why the stored form of each event is frozen
// by golden files: a rename in this package must never change what is on disk.
package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"
)

// Kind names an event. Kinds are past tense: an event is a fact.
type Kind string

// The kinds. Which of them a step may see in which state is [next].
const (
	RunStarted Kind = "run-started" // Started: a pinned version of a runbook begins
	RunResumed Kind = "run-resumed" // Resumed: a new engine took the run up
	RunEnded   Kind = "run-ended"   // Ended: nothing but notes and a score may follow

	NoteAdded  Kind = "note-added"  // Note: a person or the console remarks something
	DebtOpened Kind = "debt-opened" // Debt: something must be put back before the end
	DebtClosed Kind = "debt-closed" // Debt: it was put back

	LevelRaised Kind = "level-raised" // Raise: the incident is more serious than it was taken for

	TakeoverAsked   Kind = "takeover-asked"   // Request: somebody else wants to drive
	TakeoverRefused Kind = "takeover-refused" // Request: the driver keeps the run
	DriverChanged   Kind = "driver-changed"   // Handover: another person drives from here

	GateOpened   Kind = "gate-opened"   // Gate: the run waits for a person
	GateAnswered Kind = "gate-answered" // Answer: the person decided

	StepBegan      Kind = "step-began"      // Began: the intent, durable before the effect
	StepFinished   Kind = "step-finished"   // Finished: the effect ended well, checks follow
	CheckMade      Kind = "check-made"      // Check: one check of the step was made
	StepVerified   Kind = "step-verified"   // Verdict: the console saw the result itself
	StepClaimed    Kind = "step-claimed"    // Verdict: a person says it is done
	StepFailed     Kind = "step-failed"     // Failure: ended with an error or a failed check
	StepDoubted    Kind = "step-doubted"    // Failure: begun, and its end is not known
	StepSkipped    Kind = "step-skipped"    // Reason: not done
	StepOverridden Kind = "step-overridden" // Reason: not as it should be, and accepted
	StepReopened   Kind = "step-reopened"   // Reason: back to the start, with a new approval
	StepElse       Kind = "step-else"       // Reason: failed, and its alternative takes over

	ProbeMade    Kind = "probe-made"    // Probe: the live target was read to settle a doubt
	DoubtSettled Kind = "doubt-settled" // Answer: the effect did happen, its checks follow
	UndoBegan    Kind = "undo-began"    // Began: the intent of the inverse
	StepUndone   Kind = "step-undone"   // Verdict: the inverse ran and was verified

	DrillBegan     Kind = "drill-began"     // DrillSetup: the run is the drill of a scenario
	InjectArrived  Kind = "inject-arrived"  // Arrival: something happens to the trainee
	InjectAnswered Kind = "inject-answered" // InjectAnswer: what the trainee said to it
	HintTaken      Kind = "hint-taken"      // HintTaking: help, at a price
	DrillScored    Kind = "drill-scored"    // Score: after the end, once
)

// ID names a run: UTC time of its start and four hexadecimal digits,
// "20261124T030005Z-7F3A". IDs are generated, never taken from input, and are safe as
// a file name.
type ID string

// Short is the part of an ID that people say and type: "7F3A".
func (id ID) Short() string {
	if i := bytes.LastIndexByte([]byte(id), '-'); i >= 0 {
		return string(id[i+1:])
	}
	return string(id)
}

// Event is an immutable fact about a run.
type Event struct {
	Run     ID
	Seq     int64     // 1, 2, 3 … without gaps within a run
	At      time.Time // wall clock in UTC; order is by Seq, never by At
	Kind    Kind
	Step    string // step id, empty for events of the whole run
	Attempt int    // 1, 2, 3 … per step; 0 where it says nothing
	Body    any    // the type named beside the kind, as a value; never nil
}

// stored is the frozen form of an Event. Field order is the order on disk.
type stored struct {
	Version int             `json:"v"`
	Run     ID              `json:"run"`
	Seq     int64           `json:"seq"`
	At      string          `json:"at"`
	Kind    Kind            `json:"kind"`
	Step    string          `json:"step,omitempty"`
	Attempt int             `json:"attempt,omitempty"`
	Body    json.RawMessage `json:"body"`
}

// version of the stored form. A reader refuses a higher one: an old binary must not
// append to a history that it does not understand.
const version = 1

// timeFormat has a fixed width, so stored times also sort as text.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// bodies makes an empty body for each kind; it is also the list of all kinds.
var bodies = map[Kind]func() any{
	RunStarted:      func() any { return new(Started) },
	RunResumed:      func() any { return new(Resumed) },
	RunEnded:        func() any { return new(Ended) },
	NoteAdded:       func() any { return new(Note) },
	DebtOpened:      func() any { return new(Debt) },
	DebtClosed:      func() any { return new(Debt) },
	LevelRaised:     func() any { return new(Raise) },
	TakeoverAsked:   func() any { return new(Request) },
	TakeoverRefused: func() any { return new(Request) },
	DriverChanged:   func() any { return new(Handover) },
	GateOpened:      func() any { return new(Gate) },
	GateAnswered:    func() any { return new(Answer) },
	StepBegan:       func() any { return new(Began) },
	StepFinished:    func() any { return new(Finished) },
	CheckMade:       func() any { return new(Check) },
	StepVerified:    func() any { return new(Verdict) },
	StepClaimed:     func() any { return new(Verdict) },
	StepFailed:      func() any { return new(Failure) },
	StepDoubted:     func() any { return new(Failure) },
	StepSkipped:     func() any { return new(Reason) },
	StepOverridden:  func() any { return new(Reason) },
	StepReopened:    func() any { return new(Reason) },
	StepElse:        func() any { return new(Reason) },
	ProbeMade:       func() any { return new(Probe) },
	DoubtSettled:    func() any { return new(Answer) },
	UndoBegan:       func() any { return new(Began) },
	StepUndone:      func() any { return new(Verdict) },
	DrillBegan:      func() any { return new(DrillSetup) },
	InjectArrived:   func() any { return new(Arrival) },
	InjectAnswered:  func() any { return new(InjectAnswer) },
	HintTaken:       func() any { return new(HintTaking) },
	DrillScored:     func() any { return new(Score) },
}

// Encode gives the stored form: one line of JSON without a newline. The journal
// hashes exactly these bytes and never re-encodes them.
func Encode(ev Event) ([]byte, error) {
	if _, ok := bodies[ev.Kind]; !ok {
		return nil, fmt.Errorf("encode event: kind %q is not known", ev.Kind)
	}
	if want := value(bodies[ev.Kind]()); reflect.TypeOf(ev.Body) != reflect.TypeOf(want) {
		return nil, fmt.Errorf("encode event %s: its body is %T, want %T", ev.Kind, ev.Body, want) // nobody could read it
	}
	body, err := marshal(ev.Body)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", ev.Kind, err)
	}
	return marshal(stored{
		Version: version, Run: ev.Run, Seq: ev.Seq, At: ev.At.UTC().Format(timeFormat),
		Kind: ev.Kind, Step: ev.Step, Attempt: ev.Attempt, Body: body,
	})
}

// marshal is json.Marshal without HTML escapes: evidence reads "->", not "-\u003e".
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads the stored form of an event. Unknown kinds, unknown fields, a newer
// version and anything after the object are errors: a history that is not wholly
// understood is not acted upon.
func Decode(data []byte) (Event, error) {
	var s stored
	if err := strict(data, &s); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	if s.Version > version || s.Version < 1 {
		return Event{}, fmt.Errorf("decode event: stored form %d, this Lifeboat reads up to %d", s.Version, version)
	}
	at, err := time.Parse(timeFormat, s.At)
	if err != nil {
		return Event{}, fmt.Errorf("decode event %s: %w", s.Kind, err)
	}
	empty, ok := bodies[s.Kind]
	if !ok {
		return Event{}, fmt.Errorf("decode event: kind %q is not known", s.Kind)
	}
	body := empty()
	if err := strict(s.Body, body); err != nil {
		return Event{}, fmt.Errorf("decode event %s: %w", s.Kind, err)
	}
	return Event{Run: s.Run, Seq: s.Seq, At: at, Kind: s.Kind, Step: s.Step, Attempt: s.Attempt, Body: value(body)}, nil
}

func strict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF { // not dec.More, which takes "}" for an end
		return fmt.Errorf("data after the object")
	}
	return nil
}

// value turns the pointer that JSON needs into the value that the fold switches on.
func value(p any) any {
	switch b := p.(type) {
	case *Started:
		return *b
	case *Resumed:
		return *b
	case *Ended:
		return *b
	case *Note:
		return *b
	case *Debt:
		return *b
	case *Raise:
		return *b
	case *Request:
		return *b
	case *Handover:
		return *b
	case *Gate:
		return *b
	case *Answer:
		return *b
	case *Began:
		return *b
	case *Finished:
		return *b
	case *Check:
		return *b
	case *Verdict:
		return *b
	case *Failure:
		return *b
	case *Reason:
		return *b
	case *Probe:
		return *b
	case *DrillSetup:
		return *b
	case *Arrival:
		return *b
	case *InjectAnswer:
		return *b
	case *HintTaking:
		return *b
	case *Score:
		return *b
	}
	panic(fmt.Sprintf("run: body %T has no value form", p))
}

// Known says whether this version of Lifeboat understands events of kind k.
func (k Kind) Known() bool {
	_, ok := bodies[k]
	return ok
}
