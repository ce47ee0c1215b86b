package drill

import (
	"cmp"
	"fmt"
	"time"

	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/sandbox"
)

// Result is how a rehearsal went.
type Result struct {
	Scenario Scenario
	Run      run.Run
	Verdict  sandbox.Verdict
	Took     time.Duration // from the incident until the thing was back, or to the end of the run
	RTO      time.Duration // 0: none
	Passed   bool
	Why      []string // why it did not pass, one sentence each
}

// Score says whether a rehearsal passed: the run came to the end that was expected, the
// oracle finds everything recovered, and it was fast enough. A run that is expected to
// stop half-way need not have recovered anything. What was lost without making the
// sandbox unrecovered, such as uncommitted work, is on record and does not fail it.
func Score(s Scenario, r run.Run, v sandbox.Verdict, took time.Duration) Result {
	res := Result{Scenario: s, Run: r, Verdict: v, Took: took, RTO: s.RTO}
	want := cmp.Or(s.Expect, run.Complete)
	if r.Outcome != want {
		res.Why = append(res.Why, fmt.Sprintf("the run is %q, and it should be %q", outcome(r), want))
	}
	suffered := s.Breakage
	if s.Damage != "" {
		suffered = sandbox.ByScript
	}
	if v.Breakage != suffered {
		res.Why = append(res.Why, fmt.Sprintf("the sandbox suffered %q and not %q, so this proves nothing", v.Breakage, suffered))
	}
	if !v.Recovered && want != run.NotComplete && want != run.Aborted {
		failed := 0
		for _, c := range v.Checks {
			if !c.OK {
				failed++
			}
		}
		res.Why = append(res.Why, fmt.Sprintf("the oracle finds it not recovered: %d of %d checks fail", failed, len(v.Checks)))
	}
	if s.RTO > 0 && took > s.RTO {
		res.Why = append(res.Why, fmt.Sprintf("it took %s, the promise is %s", printable.Span(took), printable.Span(s.RTO)))
	}
	if s.RPO > 0 && v.Loss != nil && *v.Loss > s.RPO {
		res.Why = append(res.Why, fmt.Sprintf("what was written in %s is lost, the promise is %s", printable.Span(*v.Loss), printable.Span(s.RPO)))
	}
	res.Passed = len(res.Why) == 0
	return res
}

func outcome(r run.Run) string {
	if r.Open() {
		return "still open"
	}
	return string(r.Outcome)
}

// Lines is the summary as plain text, one harmless line each.
func (r Result) Lines() []string {
	word := "NOT PASSED"
	if r.Passed {
		word = "PASSED"
	}
	out := []string{fmt.Sprintf("DRILL %s  %s: %s", word, r.Scenario.Name, r.Scenario.Title)}
	for _, why := range r.Why {
		out = append(out, "  because "+why)
	}
	done := 0
	for i := range r.Run.Steps {
		if r.Run.Steps[i].Done() {
			done++
		}
	}
	out = append(out, fmt.Sprintf("  run        %s, %s, %d of %d steps", r.Run.ID.Short(), outcome(r.Run), done, len(r.Run.Steps)))
	took := "  took       " + printable.Span(r.Took)
	if r.RTO > 0 {
		took += " of " + printable.Span(r.RTO)
	}
	out = append(out, took)
	recovered := "no"
	if r.Verdict.Recovered {
		recovered = "yes"
	}
	out = append(out, "  recovered  "+recovered+", says the oracle")
	for _, c := range r.Verdict.Checks {
		mark := "FAILED"
		if c.OK {
			mark = "ok    "
		}
		line := "    " + mark + " " + c.Text
		if c.Evidence != "" {
			line += ": " + c.Evidence
		}
		out = append(out, line)
	}
	if len(r.Verdict.Lost) == 0 {
		out = append(out, "  lost       nothing")
	}
	for _, l := range r.Verdict.Lost {
		out = append(out, "  lost       "+l)
	}
	for _, k := range r.Verdict.Kept {
		out = append(out, "  kept       "+k)
	}
	for i := range out {
		out[i] = printable.Line(out[i])
	}
	return out
}
