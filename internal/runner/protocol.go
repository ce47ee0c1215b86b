// Package runner hosts an engine in a process and a session of its own, and lets
// others talk to it over a Unix socket.
//
// The process that hosts a run is not the one that shows it. Closing a terminal,
// losing an SSH connection or killing the console changes nothing for the step that
// is running: there is nobody to tell. A console that comes back reads the journal,
// and sends its answers here. At most one process hosts a run; a lock file says which.
//
// One person drives a run, and any number watch. Who drives is a fact of the journal; who is
// here is known to the host alone, from the requests that come in. The host refuses what is
// the driver's from everybody else: a screen may be wrong about who drives, the host is not.
// All of them are the same user of the operating system, so this keeps people from acting by
// mistake, and keeps out nobody who means harm.
//
// The protocol is one JSON object a line, a request and its reply. It carries wishes,
// never state: what happened is in the journal, where everybody can read it.
package runner

import (
	"time"

	"lifeboat/internal/run"
)

// protocol is raised when a request or a reply changes its meaning. Version 1 had no number
// and knew no drivers; in version 2 a stop named no attempt, and could hit the step after the one that
// was meant.
const protocol = 3

// verb names a request.
type verb string

const (
	verbPing     verb = "ping"
	verbAnswer   verb = "answer"
	verbStop     verb = "stop"
	verbNote     verb = "note"
	verbRaise    verb = "raise"
	verbProgress verb = "progress"
	verbRoom     verb = "room"  // who is here
	verbHello    verb = "hello" // somebody comes; the driver who moved to another terminal drives there
	verbBye      verb = "bye"   // somebody goes
	verbAsk      verb = "ask"   // to drive; again, it takes over once the driver had their time
	verbGive     verb = "give"  // the driver says yes
	verbKeep     verb = "keep"  // the driver says no

	verbInject verb = "inject" // Name: the inject of a drill, Text: what is said to it
	verbHint   verb = "hint"   // Name: the step
	verbEnd    verb = "end"    // of a drill, early
)

type request struct {
	Version int         `json:"v"`
	Verb    verb        `json:"verb"`
	Who     Person      `json:"who"`
	Answer  *run.Answer `json:"answer,omitempty"`
	Text    string      `json:"text,omitempty"`
	Level   int         `json:"level,omitempty"`
	Asked   int64       `json:"asked,omitempty"` // Seq of the wish that is answered
	Name    string      `json:"name,omitempty"`
	Which   run.Attempt `json:"which,omitzero"` // that is to stop
}

type reply struct {
	Version  int       `json:"v"`
	Error    string    `json:"error,omitempty"`
	Hints    []string  `json:"hints,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
	Room     *Room     `json:"room,omitempty"`
}

// Person is somebody at a terminal.
type Person struct {
	run.Driver
	ReadOnly bool `json:"read_only,omitempty"` // may look, and nothing else
}

// Room says who is here.
type Room struct {
	Driver run.Driver `json:"driver"`
	Here   bool       `json:"here"`              // the terminal of the driver
	Watch  []Person   `json:"watch,omitempty"`   // everybody else, by name
	TakeIn int64      `json:"take_in,omitempty"` // milliseconds until whoever asks may take over
	Asked  bool       `json:"asked,omitempty"`   // somebody asks to drive
}

// Wait is how long whoever asks has to wait still.
func (r Room) Wait() time.Duration { return time.Duration(r.TakeIn) * time.Millisecond }

// Progress of the running step.
type Progress struct {
	Step  string    `json:"step"`
	Done  int64     `json:"done"`
	Total int64     `json:"total"`
	Unit  string    `json:"unit"`
	Since time.Time `json:"since"`
}

// maxMessage bounds a request and a reply, in bytes.
const maxMessage = 1 << 20
