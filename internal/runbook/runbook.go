// Package runbook reads runbooks: Markdown documents whose headings are steps.
//
// It knows the grammar and nothing of what actions exist or what a run does. What it
// returns carries a position everywhere, so that whoever finds a mistake later (an
// unknown argument, a failed substitution) can still say file, line and column.
package runbook

import (
	"fmt"
	"slices"
	"time"
)

// Pos is a place in a file; Line and Col count from 1, Col in characters.
type Pos struct {
	File      string
	Line, Col int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Severity of a problem.
type Severity string

const (
	Error   Severity = "error"   // the runbook cannot run
	Warning Severity = "warning" // it can run and should not stay so
)

// Problem is what lint and the parser report.
type Problem struct {
	Pos      Pos
	Severity Severity
	Code     string // stable, for tests and ignore lists: "unknown-action"
	Msg      string // what is wrong
	Fix      string // what to do
}

func (p Problem) Error() string {
	s := fmt.Sprintf("%s: %s: %s", p.Pos, p.Severity, p.Msg)
	if p.Fix != "" {
		s += "\n    fix: " + p.Fix
	}
	return s
}

// Failed says whether a problem forbids running.
func Failed(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error })
}

// Kind of a runbook.
type Kind string

const (
	Procedure    Kind = "procedure"
	Recovery     Kind = "recovery"
	Backup       Kind = "backup"
	Verification Kind = "verification"
	Drill        Kind = "drill"
)

// Book is a parsed runbook.
type Book struct {
	Name   string // file name without ".md": what people type
	File   string // as it was named
	Title  string
	Intro  string // Markdown between the title and the first step
	Outro  string // Markdown after the last step
	Plain  bool   // no front matter: every shell fence is a step that asks
	Anchor string // slug of the heading that [Book.Section] selected, else empty
	Meta   Meta
	Steps  []*Step // in document order
	Source []byte  // as given to [Parse], also in a book that is one section of it
	Digest string  // SHA-256 of Source, hexadecimal

	Headings []Heading // all of the document, in order
	lines    *lines
	fences   []span // line ranges of code, for lint
	unread   bool   // the source is no text, or too costly: nothing is known of it
	titleAt  int    // index into Headings of the title, negative: there is none
}

// Heading is an entry of the table of contents.
type Heading struct {
	Level int    // 1 to 6
	Title string // plain text
	Slug  string // GitHub's anchor, unique in the document
	Steps int    // in its subtree
	Pos   Pos
	prose string // of its own section, if that has no step
}

// Meta is the front matter.
type Meta struct {
	Title       string
	Kind        Kind
	Level       int      // 1 to 3; 0: none
	When        []string // symptoms
	NotFor      []string // when it is the wrong one
	Asset       string   // kind of asset it needs
	Tools       []string // programs it needs
	FreshBackup time.Duration
	Params      []Param // in order of the file
	Owner       string
	Reviewed    time.Time
	ReviewEvery time.Duration
	Pos         map[string]Pos // of each key
}

// Param is a declared parameter. Names match [a-z][a-z0-9_]*.
type Param struct {
	Name       string
	Default    string
	HasDefault bool
	Help       string
	Secret     bool
	Options    []string // allowed values, if listed
	Of         string   // what of the estate it names, one of [ParamsOf]; empty: it is text
	Pos        Pos
}

// Step is one unit of work: at most one block with the role Do, the items a person
// does first, and the checks, probe and undo that belong to it. A section that holds
// more than one unit becomes several steps ("find", "find-2").
type Step struct {
	ID       string
	Title    string
	Phase    []string // enclosing headings, outermost first
	Guidance string   // Markdown of the section without its action blocks and task list
	Items    []Item
	Do       *Block // nil: only items or only checks
	Verify   []*Block
	Probe    *Block
	Undo     *Block
	Pos      Pos // of the heading

	heading int // index into Book.Headings, -1: before the first
}

// Blocks lists the blocks of a step in the order in which they may run.
func (s *Step) Blocks() []*Block {
	var out []*Block
	if s.Do != nil {
		out = append(out, s.Do)
	}
	out = append(out, s.Verify...)
	if s.Probe != nil {
		out = append(out, s.Probe)
	}
	if s.Undo != nil {
		out = append(out, s.Undo)
	}
	return out
}

// Item is a task-list line: something a person does.
type Item struct {
	Text    string // without the braces, inline Markdown kept
	Observe bool   // {observe}: the value seen is asked for
	Expect  string // {expect=3}: and must be this
	Pos     Pos
}

// Role of a block.
type Role string

const (
	Do     Role = ""
	Verify Role = "verify"
	Probe  Role = "probe"
	Undo   Role = "undo"
)

// Names of blocks that are not built-in actions.
const (
	Shell   = "sh"      // also written bash, shell, console
	Include = "runbook" // runs another runbook here
	Choose  = "choose"  // asks for one of several options
)

// Block is an action block.
type Block struct {
	Action      string // Shell, Include, Choose or the name of a built-in
	Role        Role
	Effect      string        // effect=, empty: the action's own
	Timeout     time.Duration // timeout=, 0: the default
	Unlimited   bool          // timeout=none
	Retry       int           // retry=
	Save        string        // save=
	When        string        // when=, an expression
	Else        string        // else=, a step id
	Optional    bool
	Interactive bool
	Bash        bool           // the fence says bash: not every sh understands the text
	DrillSkip   bool           // drill=skip
	BeforePass  bool           // before=pass: a check that may hold before its step has done anything
	Target      string         // target=
	Stop        string         // stop=: is stopping safe?
	ID          string         // id=
	Ask         string         // question of a choose block
	Options     []Option       // of a choose block, in order of the file
	Text        string         // body of the fence; of a shell block what the shell is given
	Args        map[string]any // decoded YAML of a built-in, unsubstituted
	ArgPos      map[string]Pos // of each key; of a nested one by its path: "env.HOME", "files[0]"
	Pos         Pos            // of the opening fence
	Body        Pos            // of the first body line
	AttrPos     map[string]Pos // of each attribute, and of the role under "role"

	rows []row // of Text
}

// row says where a line of a block's text comes from.
type row struct {
	pos    Pos // of its first character in the file
	shifts []shift
}

// shift is text that was replaced in a line by other text: columns behind at are by
// characters further right than in the file.
type shift struct{ at, by int }

// At gives the place in the file of a place in Text, both counted from 1, columns in
// characters. A place outside Text becomes the nearest one inside.
func (b *Block) At(line, col int) Pos {
	if len(b.rows) == 0 {
		return b.Body
	}
	r := b.rows[min(max(line, 1), len(b.rows))-1]
	back := 0
	for _, s := range r.shifts {
		if col > s.at {
			back += s.by
		}
	}
	r.pos.Col = max(r.pos.Col, r.pos.Col+col-1-back)
	return r.pos
}

// Option is one answer of a choose block.
type Option struct {
	Key  string // what is saved
	Text string
	Pos  Pos
}
