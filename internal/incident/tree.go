// Package incident knows what an incident asks of people: which questions lead to its
// level and its runbook, who is called and what they are told, and when the time of a
// level or of a debt runs out.
//
// Everything in it is a pure function of the estate, of the fold of a run and of the
// time, so that console, plain mode and headless commands say the same in the same
// words. Nothing in it runs anything: choosing a runbook ends at its plan.
package incident

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

const (
	// TreeFile is the name of the questions beside the runbooks.
	TreeFile = "triage.yaml"
	// First is the question that everything begins with.
	First = "start"
	// MostAnswers is how many answers lead to a runbook, at most.
	MostAnswers = 4
	// MostChoices is how many answers a question has, beside "I do not know": one digit each.
	MostChoices = 9

	maxTree = 256 << 10
)

// Tree is the questions of triage.
type Tree struct {
	Questions map[string]*Question
}

// Question is one card.
type Question struct {
	ID       string
	Ask      string
	Answers  []Answer
	Unsure   Answer // the answer 0
	Position runbook.Pos
}

// Answer leads to another question or to a runbook, never to both.
type Answer struct {
	Text    string `yaml:"text" json:"text"`
	Hint    string `yaml:"hint" json:"hint,omitempty"`
	Level   int    `yaml:"level" json:"level,omitempty"` // the incident is at least that serious; 0: says nothing
	Ask     string `yaml:"ask" json:"ask,omitempty"`
	Runbook string `yaml:"runbook" json:"runbook,omitempty"`
}

type storedQuestion struct {
	Ask     string   `yaml:"ask"`
	Instead bool     `yaml:"instead"`
	Answers []Answer `yaml:"answers"`
	Unsure  *Answer  `yaml:"unsure"`
}

var questionName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}$`)

// Add reads a file of questions into the tree. What it says about a question that is
// there already is added to it. With problems nothing of the file is taken.
func (t *Tree) Add(file string, src []byte) []runbook.Problem {
	bad := func(pos runbook.Pos, code, fix, format string, args ...any) []runbook.Problem {
		return []runbook.Problem{{Pos: pos, Severity: runbook.Error, Code: code, Msg: fmt.Sprintf(format, args...), Fix: fix}}
	}
	top := runbook.Pos{File: file, Line: 1, Col: 1}
	if len(src) > maxTree {
		return bad(top, "triage-size", "four answers need no more", "the questions are longer than %d kB", maxTree>>10)
	}
	var stored struct {
		Questions map[string]storedQuestion `yaml:"questions"`
	}
	doc, err := parser.ParseBytes(src, 0)
	if err == nil && len(doc.Docs) == 1 && doc.Docs[0].Body != nil {
		err = yaml.NodeToValue(doc.Docs[0].Body, &stored, yaml.Strict())
	}
	if err != nil {
		msg := err.Error()
		var at yaml.Error
		if errors.As(err, &at) {
			msg = at.GetMessage()
			if tok := at.GetToken(); tok != nil && tok.Position != nil {
				top.Line, top.Col = tok.Position.Line, tok.Position.Column
			}
		}
		return bad(top, "triage-yaml", "see runbooks/"+TreeFile+" of Lifeboat for how it is written", "these are no questions: %s", msg)
	}
	if len(stored.Questions) == 0 {
		return bad(top, "triage-yaml", `begin with "questions:"`, "there is no question in the file")
	}
	out := maps.Clone(t.Questions)
	if out == nil {
		out = map[string]*Question{}
	}
	for _, id := range slices.Sorted(maps.Keys(stored.Questions)) {
		q, pos := stored.Questions[id], place(doc, file, id)
		if !questionName.MatchString(id) {
			return bad(pos, "triage-name", `use lower-case letters, digits and "-"`, "%q is no name of a question", id)
		}
		next := Question{ID: id, Position: pos}
		if old := out[id]; old != nil && !q.Instead {
			next = *old
			next.Position = pos
		}
		next.Ask = cmp.Or(q.Ask, next.Ask)
		next.Answers = append(slices.Clone(next.Answers), q.Answers...)
		if q.Unsure != nil {
			next.Unsure = *q.Unsure
		}
		out[id] = &next
	}
	t.Questions = out
	return nil
}

// place is where a question stands in its file.
func place(doc *ast.File, file, id string) runbook.Pos {
	pos := runbook.Pos{File: file, Line: 1, Col: 1}
	path := (&yaml.PathBuilder{}).Root().Child("questions").Child(id).Build()
	if node, err := path.FilterFile(doc); err == nil && node.GetToken() != nil && node.GetToken().Position != nil {
		pos.Line = node.GetToken().Position.Line
	}
	return pos
}

// Book is what triage needs to know of a runbook.
type Book struct {
	Name, Title string
	Level       int
	When        []string // its symptoms
	NotFor      []string
}

// Find gives a runbook of the library; false when it is not there.
type Find func(name string) (Book, bool)

// Place is where a row of answers has led.
type Place struct {
	Question *Question // the next one; nil at the end
	Runbook  string    // at the end
	Book     Book      // of that name; zero when the library does not have it
	Found    bool      // it does
	Level    int       // of the incident as far as it is known; 0: not yet
	Given    []int     // the answers
	Said     []string  // the same in words
	Seen     string    // the last of them that said what was seen
	Doubt    bool      // the last answer was "I do not know"
}

// Done says whether the end is reached.
func (p *Place) Done() bool { return p.Question == nil }

// Walk follows answers from the first question. Answer 0 is "I do not know". The level is
// the highest of what the answers and the runbook say: when in doubt the higher one.
func (t *Tree) Walk(answers []int, find Find) (Place, error) {
	p := Place{Question: t.Questions[First]}
	if p.Question == nil {
		return p, hint.New("there are no questions", "add the question \""+First+"\" to runbooks/"+TreeFile)
	}
	for i, n := range answers {
		if p.Done() {
			return p, hint.New(fmt.Sprintf("answer %d comes after the end: %s to the runbook %s", i+1, plural(i), p.Runbook), "leave it out")
		}
		a, ok := p.Question.Answer(n)
		if !ok {
			return p, hint.New(fmt.Sprintf("%q has no answer %d", p.Question.Ask, n),
				fmt.Sprintf("1 to %d are answers, 0 is \"%s\"", len(p.Question.Answers), p.Question.Unsure.Text))
		}
		p.Level = max(p.Level, a.Level)
		p.Given, p.Said, p.Doubt = append(p.Given, n), append(p.Said, a.Text), n == 0
		if n != 0 {
			p.Seen = a.Text
		}
		if a.Runbook != "" {
			p.Question, p.Runbook = nil, a.Runbook
			if p.Book, p.Found = find(a.Runbook); p.Found {
				p.Level = max(p.Level, p.Book.Level)
			}
			continue
		}
		if p.Question = t.Questions[a.Ask]; p.Question == nil {
			return p, fmt.Errorf("the answer %q leads to a question %q, which is not there", a.Text, a.Ask)
		}
	}
	p.Level = min(p.Level, run.MaxLevel)
	return p, nil
}

func plural(n int) string {
	if n == 1 {
		return "the first answer leads"
	}
	return fmt.Sprintf("the first %d answers lead", n)
}

// Answer gives the answer with a number; 0 is "I do not know".
func (q *Question) Answer(n int) (Answer, bool) {
	switch {
	case n == 0:
		return q.Unsure, q.Unsure.Text != ""
	case n < 0 || n > len(q.Answers):
		return Answer{}, false
	}
	return q.Answers[n-1], true
}

// Leads is what an answer of the question leads to, in words: a runbook, a level.
func (a Answer) Leads() string {
	var out []string
	if a.Level > 0 {
		out = append(out, fmt.Sprintf("level %d", a.Level))
	}
	if a.Runbook != "" {
		out = append(out, a.Runbook)
	}
	return strings.Join(out, ", ")
}
