package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
)

// TestProof tells what makes a step unproven: a check that held before, a script without a
// check, an action that has nothing to say.
func TestProof(t *testing.T) {
	at := func(line int) runbook.Pos { return runbook.Pos{File: "x.md", Line: line, Col: 1} }
	check := func(line int, marked, holds bool) engine.BeforeCheck {
		return engine.BeforeCheck{Pos: at(line), Text: "looks", Marked: marked, Holds: holds}
	}
	verified := run.Step{State: run.Verified}
	for name, c := range map[string]struct {
		before engine.Before
		step   run.Step
		want   string // a part of the finding, "" for none
		mark   string
	}{
		"a check that did not hold":      {engine.Before{Checks: []engine.BeforeCheck{check(9, false, false)}}, verified, "", ""},
		"a check that held":              {engine.Before{Checks: []engine.BeforeCheck{check(9, false, false), check(12, false, true)}}, verified, `x.md:12:1: step "s": its check "looks" holds before`, ""},
		"a check that may hold":          {engine.Before{Checks: []engine.BeforeCheck{check(9, true, true)}}, verified, "", ""},
		"a check that need not be told":  {engine.Before{Checks: []engine.BeforeCheck{check(9, true, false)}}, verified, "", `x.md:9:1: step "s": its check is marked before=pass`},
		"a script without a check":       {engine.Before{Action: runbook.Shell, Pos: at(5)}, run.Step{State: run.Verified, Evidence: "exit 0"}, `x.md:5:1: step "s": nothing proves it`, ""},
		"an action that checked itself":  {engine.Before{Action: "git.push", Pos: at(5)}, run.Step{State: run.Verified, Checks: []run.Check{{OK: true}}}, "", ""},
		"an action that says what it is": {engine.Before{Action: "git.push", Pos: at(5)}, run.Step{State: run.Verified, Evidence: "origin/main is 3f2a1c9"}, "", ""},
		"an action that is silent":       {engine.Before{Action: "git.push", Pos: at(5)}, verified, `x.md:5:1: step "s": nothing proves it`, ""},
		"one that failed says so itself": {engine.Before{Action: "git.push", Pos: at(5)}, run.Step{State: run.Failed}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			res := newResult(bookTest{Scenario: drill.Scenario{Name: "x", Expect: run.Complete, RTO: time.Hour}})
			c.before.Step, c.step.ID = "s", "s"
			res.early(c.before)
			res.judge(run.Run{ID: "20261129T030005Z-7F3A", Outcome: run.Complete, Steps: []run.Step{c.step}}, time.Second, sandbox.Verdict{Recovered: true})
			if c.want == "" && !res.passed() || c.want != "" && !slices.ContainsFunc(res.why, func(f finding) bool { return strings.Contains(f.Text, c.want) && f.Fix != "" }) {
				t.Errorf("%+v, want %q", res.why, c.want)
			}
			out := testOutput{all: []testResult{res}}
			if got := strings.Join(out.needless(), "\n"); !strings.Contains(got, c.mark) || c.mark == "" && got != "" {
				t.Errorf("marks: %q, want %q", got, c.mark)
			}
		})
	}
}

// TestNeedlessInAll: a mark that one of several tests needs is needed.
func TestNeedlessInAll(t *testing.T) {
	marked := func(holds bool) testResult {
		res := newResult(bookTest{})
		res.early(engine.Before{Step: "s", Checks: []engine.BeforeCheck{{Pos: runbook.Pos{File: "x.md", Line: 9, Col: 1}, Marked: true, Holds: holds}}})
		return res
	}
	out := testOutput{all: []testResult{marked(false), marked(true), marked(false)}}
	if got := out.needless(); len(got) != 0 {
		t.Errorf("needless: %q", got)
	}
}
