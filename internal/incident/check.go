package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// longest is how many characters of an answer a window of 60 columns shows in one row.
const longest = 47

// Check says what is wrong with the questions: whoever follows them at three in the
// morning must never stand before a dead end. Runbooks that the library does not have
// are warnings, since the answer then says so and whom to call.
func (t *Tree) Check(file string, find Find) []runbook.Problem {
	c := &checker{tree: t, file: file, find: find, seen: map[string]bool{}, said: map[string]bool{}}
	start := t.Questions[First]
	if start == nil {
		c.bad(runbook.Pos{File: file, Line: 1, Col: 1}, runbook.Error, "triage-start", "add it", "there is no question %q, with which everything begins", First)
		return c.problems
	}
	c.visit(start, 0, 1)
	for _, id := range slices.Sorted(maps.Keys(t.Questions)) {
		if q := t.Questions[id]; !c.seen[id] {
			c.bad(q.Position, runbook.Warning, "triage-lonely", "let an answer lead to it, or remove it", "no answer leads to the question %q", id)
		}
	}
	return c.problems
}

type checker struct {
	tree     *Tree
	file     string
	find     Find
	seen     map[string]bool // questions
	said     map[string]bool // problems: a question is visited once per way to it
	problems []runbook.Problem
}

func (c *checker) bad(pos runbook.Pos, severity runbook.Severity, code, fix, format string, args ...any) {
	p := runbook.Problem{Pos: pos, Severity: severity, Code: code, Msg: fmt.Sprintf(format, args...), Fix: fix}
	if key := p.Error(); !c.said[key] {
		c.said[key] = true
		c.problems = append(c.problems, p)
	}
}

// visit looks at a question that is reached at a level with the answer of that number.
func (c *checker) visit(q *Question, level, answer int) {
	c.seen[q.ID] = true
	if answer > MostAnswers {
		c.bad(q.Position, runbook.Error, "triage-long", "ask less on the way to it, or let it be reached earlier",
			"the question %q needs a fifth answer on one of the ways to it, or leads back to itself", q.ID)
		return
	}
	switch {
	case q.Ask == "":
		c.bad(q.Position, runbook.Error, "triage-text", `add "ask:"`, "the question %q asks nothing", q.ID)
	case len(q.Answers) == 0:
		c.bad(q.Position, runbook.Error, "triage-end", `add "answers:"`, "the question %q has no answer", q.ID)
	case len(q.Answers) > MostChoices:
		c.bad(q.Position, runbook.Error, "triage-many", "let some of them lead to a question of their own", "the question %q has more than %d answers", q.ID, MostChoices)
	case q.Unsure.Text == "":
		c.bad(q.Position, runbook.Error, "triage-unsure", `add "unsure:" with an answer that leads to the higher level`, "the question %q has no way on for somebody who does not know", q.ID)
	}
	for i := range min(len(q.Answers), MostChoices) + 1 {
		a, ok := q.Answer(i)
		if !ok {
			continue
		}
		c.follow(q, a, level, answer, i == 0)
	}
}

func (c *checker) follow(q *Question, a Answer, level, answer int, unsure bool) {
	reached := max(level, a.Level)
	switch {
	case a.Text == "":
		c.bad(q.Position, runbook.Error, "triage-text", `add "text:"`, "an answer of the question %q says nothing", q.ID)
	case len([]rune(a.Text)) > longest:
		c.bad(q.Position, runbook.Warning, "triage-text", fmt.Sprintf("say it in %d characters", longest), "%q is too long for a small window", a.Text)
	}
	switch {
	case a.Level < 0 || a.Level > run.MaxLevel:
		c.bad(q.Position, runbook.Error, "triage-level", "levels are 1, 2 and 3", "%q: there is no level %d", a.Text, a.Level)
		return
	case a.Level != 0 && a.Level < level:
		c.bad(q.Position, runbook.Error, "triage-level", "leave the level out", "%q would lower the level from %d to %d", a.Text, level, a.Level)
	case (a.Ask == "") == (a.Runbook == ""):
		c.bad(q.Position, runbook.Error, "triage-end", `give it either "ask:" or "runbook:"`, "%q must lead to a question or to a runbook", a.Text)
		return
	}
	if unsure && answer > 1 && reached <= level && level < run.MaxLevel {
		c.bad(q.Position, runbook.Error, "triage-unsure", "give \"unsure\" the next level", "whoever does not know at %q stays at level %d; when in doubt it is the higher one", q.ID, level)
	}
	if a.Runbook != "" {
		c.leaf(q, a, reached)
		return
	}
	next := c.tree.Questions[a.Ask]
	if next == nil {
		c.bad(q.Position, runbook.Error, "triage-end", "the questions are "+strings.Join(slices.Sorted(maps.Keys(c.tree.Questions)), ", "), "%q leads to a question %q, which is not there", a.Text, a.Ask)
		return
	}
	c.visit(next, reached, answer+1)
}

func (c *checker) leaf(q *Question, a Answer, level int) {
	b, ok := c.find(a.Runbook)
	switch {
	case !ok:
		c.bad(q.Position, runbook.Warning, "triage-runbook", "write it, or let the answer lead elsewhere", "%q leads to the runbook %q, which is not in the library", a.Text, a.Runbook)
	case level == 0 && b.Level == 0:
		c.bad(q.Position, runbook.Error, "triage-level", `add "level:" to the answer`, "%q leads to the runbook %q without saying which level it is", a.Text, a.Runbook)
	}
}

// Reach lists the runbooks that the questions lead to.
func (t *Tree) Reach() []string {
	names := map[string]bool{}
	for _, q := range t.Questions {
		for i := range len(q.Answers) + 1 {
			if a, ok := q.Answer(i); ok && a.Runbook != "" {
				names[a.Runbook] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
