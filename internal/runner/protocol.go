// Package runner hosts an engine in a process and a session of its own, and lets
// others talk to it over a Unix socket.
//
// The process that hosts a run is not the one that shows it. Closing a terminal,
// losing an SSH connection or killing the console changes nothing for the step that
// is running: there is nobody to tell. A console that comes back reads the journal,
// and sends its answers here. At most one process hosts a run; a lock file says which.
//
// The protocol is one JSON object a line, a request and its reply. It carries wishes,
// never state: what happened is in the journal, where everybody can read it.
package runner

import (
	"time"

	"lifeboat/internal/run"
)

// verb names a request.
type verb string

const (
	verbPing     verb = "ping"
	verbAnswer   verb = "answer"
	verbStop     verb = "stop"
	verbNote     verb = "note"
	verbRaise    verb = "raise"
	verbProgress verb = "progress"
)

type request struct {
	Verb   verb        `json:"verb"`
	Answer *run.Answer `json:"answer,omitempty"`
	By     string      `json:"by,omitempty"`
	Text   string      `json:"text,omitempty"`
	Level  int         `json:"level,omitempty"`
}

type reply struct {
	Error    string    `json:"error,omitempty"`
	Hints    []string  `json:"hints,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
}

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
