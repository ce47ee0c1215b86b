package console

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// told is an event in words.
type told struct {
	glyph string
	role  widget.Role
	text  string
	by    string // who did it, empty: the console
}

// stepName is the number and the title of the step of an event; empty for the whole run.
func stepName(s *snapshot, ev run.Event) string {
	if i := s.index(ev.Step); i >= 0 {
		return itoa(i+1) + " " + s.Steps[i].Title
	}
	return ev.Step
}

// eventWords tells an event of a run in words. Every kind has some; s is the run as it is
// now, for the titles of its steps.
func eventWords(s *snapshot, ev run.Event) told {
	switch b := ev.Body.(type) {
	case run.Started:
		mode, _, _ := modeLook(b.Mode)
		return told{"▸", rNow, "the run begins, " + mode + ", " + plural(len(b.Steps), "step", "steps"), b.By}
	case run.Resumed:
		return told{"▲", rWarn, "a new process takes the run up", b.By}
	case run.Ended:
		glyph, role, _ := outcomeLook(b.Outcome)
		return told{glyph, role, "the run ends: " + string(b.Outcome) + after(": ", b.Reason), b.By}
	case run.Note:
		return told{"·", rText, "note: " + b.Text, b.By}
	case run.Debt:
		if ev.Kind == run.DebtOpened {
			return told{"▲", rWarn, "owed from here: " + b.Text, ""}
		}
		return told{"✓", rOK, "owed no more: " + b.Text, ""}
	case run.Raise:
		return told{"▲", rWarn, fmt.Sprintf("level raised from %d to %d%s", b.From, b.To, after(": ", b.Reason)), b.By}
	case run.Gate:
		return gateWords(b)
	case run.Answer:
		return answerWords(s, ev, b)
	case run.Began:
		text := "begins: "
		if ev.Kind == run.UndoBegan {
			text = "undo begins: "
		}
		return told{"▸", rNow, text + cmp.Or(planSummary(b.Plan), b.Action) + attemptWords(ev.Attempt), ""}
	case run.Finished:
		return told{"·", rText, "the effect is over" + after(": ", b.Evidence), ""}
	case run.Check:
		if b.OK {
			return told{"✓", rOK, b.Text + after(": ", b.Evidence), ""}
		}
		return told{"✗", rFail, "check does not hold: " + b.Text + after(": ", b.Evidence), ""}
	case run.Verdict:
		return verdictWords(ev, b)
	case run.Failure:
		if ev.Kind == run.StepDoubted {
			return told{"?", rWarn, "IN DOUBT: " + b.Error, ""}
		}
		return told{"✗", rFail, "FAILED: " + b.Error, ""}
	case run.Reason:
		return reasonTold(s, ev, b)
	case run.Probe:
		return told{"?", rWarn, "probed, " + strings.ReplaceAll(string(b.Finding), "-", " ") + after(": ", b.Means), ""}
	}
	return drillWords(ev)
}

func after(p, s string) string {
	if s == "" {
		return ""
	}
	return p + s
}

func planSummary(p *run.Plan) string {
	if p == nil {
		return ""
	}
	return p.Summary
}

func attemptWords(n int) string {
	if n <= 1 {
		return ""
	}
	return ", attempt " + itoa(n)
}

func gateWords(g run.Gate) told {
	ask := map[run.GateKind]string{
		run.Confirm: "asks before it runs", run.Token: "asks for the token of its live target", run.Checklist: "asks what a person sees",
		run.Choice: "asks which way", run.Input: "asks for a value", run.Decision: "asks what now", run.Doubt: "asks whether it happened",
		run.Closing: "asks whether that is all",
	}[g.Kind]
	if g.Kind == run.Token {
		return told{"◆", rGate, ask + after(": ", g.Token), ""}
	}
	return told{"□", rText, cmp.Or(ask, string(g.Kind)) + after(": ", g.Prompt), ""}
}

func answerWords(s *snapshot, ev run.Event, b run.Answer) told {
	if ev.Kind == run.DoubtSettled {
		return told{"▲", rWarn, "settled by a person: it did happen" + after(": ", b.Reason), b.By}
	}
	verb := map[run.Verb]string{
		run.Approve: "says go", run.Give: "answers", run.Retry: "tries again", run.Skip: "leaves it out", run.Override: "accepts it as it is",
		run.TakeElse: "takes the alternative", run.Undo: "undoes it", run.Settle: "says that it happened", run.Reprobe: "looks again",
		run.Reopen: "takes a step up again", run.Finish: "says that this is all", run.Abandon: "ends the run", run.Anew: "ends the run, to begin anew with other parameters",
		run.Unanswered: "the question was closed, the plan had changed",
	}[b.Verb]
	text := cmp.Or(verb, string(b.Verb))
	if b.Token != "" {
		text += ", typed " + b.Token
	}
	if b.Target != "" {
		text += ", " + b.Target
	}
	if len(b.Values) > 0 {
		text += ": " + strings.Join(b.Values, "; ")
	}
	text += after(": ", b.Reason)
	role := rText
	switch b.Verb {
	case run.Skip, run.Override, run.Abandon, run.Anew, run.Undo:
		role = rWarn
	}
	return told{"□", role, text, b.By}
}

func verdictWords(ev run.Event, b run.Verdict) told {
	switch ev.Kind {
	case run.StepClaimed:
		return told{"✓", rOK, "done, says a person" + after(": ", strings.Join(b.Values, "; ")), b.By}
	case run.StepUndone:
		return told{"◂", rDim, "undone" + after(": ", b.Evidence), b.By}
	}
	return told{"✓", rOK, "verified" + after(": ", b.Evidence), ""}
}

func reasonTold(s *snapshot, ev run.Event, b run.Reason) told {
	st := run.Step{Reason: b}
	st.Reason.By = "" // it stands in its own column
	why := after(": ", reasonWords(&st))
	switch ev.Kind {
	case run.StepSkipped:
		return told{"–", rDim, "left out" + why, b.By}
	case run.StepOverridden:
		return told{"▲", rWarn, "OVERRIDDEN, accepted as it is" + why, b.By}
	case run.StepElse:
		return told{"–", rDim, "its alternative takes over: " + cmp.Or(b.Else, "none"), b.By}
	}
	return told{"◂", rDim, "back to the start" + why, b.By}
}

// drillWords tells what only happens in drills, and who drives.
func drillWords(ev run.Event) told {
	switch b := ev.Body.(type) {
	case run.DrillSetup:
		return told{"▸", rDrill, "drill of " + b.Scenario + after(": ", b.Title), b.Trainee}
	case run.Arrival:
		return told{"▲", rDrill, "inject arrives: " + b.Inject, ""}
	case run.InjectAnswer:
		how := "wrong"
		if b.Right {
			how = "right"
		}
		if b.Late {
			how += ", late"
		}
		return told{"□", rText, fmt.Sprintf("answers the inject %s after %s: %s (%s, %d points)", b.Inject, words(b.Took), b.Text, how, b.Points), b.By}
	case run.HintTaking:
		return told{"·", rWarn, fmt.Sprintf("hint, costs %d: %s", b.Cost, b.Text), b.By}
	case run.Score:
		if b.Passed {
			return told{"✓", rOK, fmt.Sprintf("DRILL PASSED, %d of %d points", b.Points, b.Of), ""}
		}
		return told{"✗", rFail, fmt.Sprintf("DRILL FAILED, %d of %d points%s", b.Points, b.Of, after(": ", strings.Join(b.Why, "; "))), ""}
	case run.Request:
		if ev.Kind == run.TakeoverRefused {
			return told{"·", rText, "keeps the run; " + b.Who.By + " had asked", b.By}
		}
		return told{"·", rText, "asks to drive the run", b.Who.By}
	case run.Handover:
		return told{"▲", rWarn, b.To.By + " drives from here, " + string(b.How), b.From.By}
	}
	return told{"·", rDim, strings.ReplaceAll(string(ev.Kind), "-", " "), ""}
}

// eventDetail lists all that an event holds, for whoever wants to know exactly.
func eventDetail(rec *pastRecord, ev run.Event, width int) []row {
	const col = 10
	s := &rec.snap
	var rs []row
	pair := func(label, text string) { rs = append(rs, labelled(label, col, rText, text, width, 0)...) }
	t := eventWords(s, ev)
	for i, l := range wrap(t.text, width-2, 0) {
		glyph := txt(t.role, t.glyph+" ")
		if i > 0 {
			glyph = txt(rText, "  ")
		}
		rs = append(rs, line(glyph, bold(rStrong, l)))
	}
	rs = append(rs, gap())
	pair("at", ev.At.UTC().Format("2 Jan 2006 15:04:05.000")+" UTC")
	pair("by", t.by)
	pair("step", stepName(s, ev))
	pair("event", string(ev.Kind)+" #"+itoa(int(ev.Seq))+after(", attempt ", attemptNumber(ev.Attempt)))
	switch b := ev.Body.(type) {
	case run.Started:
		pair("runbook", b.Book+after(", version ", b.Digest))
		pair("asset", b.Asset)
		pair("triage", strings.Join(b.Triage, "; "))
		pair("host", b.Host+after(", Lifeboat ", b.Version))
		if !b.Incident.IsZero() {
			pair("incident", b.Incident.UTC().Format("2 Jan 2006 15:04:05")+" UTC")
		}
		if b.RTO > 0 {
			pair("RTO", words(b.RTO))
		}
	case run.Gate:
		rs = append(rs, planDetail(b.Plan, width)...)
		for _, it := range b.Items {
			pair("item", it.Text)
		}
		for i, o := range b.Options {
			pair(itoa(i+1), o.Text+after(". ", o.Hint))
		}
	case run.Answer:
		if g, ok := rec.gate(b.Gate); ok {
			pair("asked", gateWords(g).text)
			pair("about", planSummary(g.Plan))
		}
		pair("typed", b.Token)
		for _, v := range b.Values {
			pair("said", v)
		}
		pair("reason", b.Reason)
		pair("through", b.How)
	case run.Began:
		rs = append(rs, planDetail(b.Plan, width)...)
	case run.Finished:
		pair("evidence", b.Evidence)
		pair("way back", b.Back)
		rs = append(rs, logDetail(b.Log, width)...)
		rs = append(rs, checkRows(b.Checks, width)...)
	case run.Check:
		pair("evidence", b.Evidence)
		rs = append(rs, logDetail(b.Log, width)...)
	case run.Failure:
		for _, h := range b.Hints {
			pair("advice", h)
		}
		if b.Exit != 0 {
			pair("exit", itoa(b.Exit))
		}
		rs = append(rs, logDetail(b.Log, width)...)
		rs = append(rs, checkRows(b.Checks, width)...)
	case run.Probe:
		pair("before", b.Before)
		pair("wanted", b.Wanted)
		pair("found", b.Found)
		pair("command", strings.Join(b.Command, "; "))
	case run.Score:
		for _, c := range b.Criteria {
			pair(c.Criterion, fmt.Sprintf("%d of %d%s", c.Points, c.Of, after(": ", strings.Join(c.Why, "; "))))
		}
		rs = append(rs, checkRows(b.Checks, width)...)
	}
	return rs
}

// gate is the question with a number.
func (r *pastRecord) gate(seq int64) (g run.Gate, ok bool) {
	if seq < 1 || seq > int64(len(r.Events)) { // they are numbered without gaps
		return g, false
	}
	g, ok = r.Events[seq-1].Body.(run.Gate)
	return g, ok
}

func attemptNumber(n int) string {
	if n <= 0 {
		return ""
	}
	return itoa(n)
}

func planDetail(p *run.Plan, width int) []row {
	if p == nil {
		return nil
	}
	return append([]row{gap()}, planRows(p, width, 10, planLook{back: true})...)
}

func logDetail(l *run.Log, width int) []row {
	if l == nil {
		return nil
	}
	return labelled("log", 10, rText, l.Name+", "+printable.Size(l.Size)+after(", sha256 ", l.SHA256), width, 0)
}

// gapWords is the time between two events, where it is long enough to be of interest.
func gapWords(d time.Duration) string {
	if d < time.Second {
		return ""
	}
	return "+" + pastSpan(d)
}
