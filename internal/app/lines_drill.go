package app

import (
	"fmt"
	"time"

	"lifeboat/internal/printable"
	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// aside writes lines that may come while a question waits, which is then asked again.
func (l *lines) aside(at time.Time, first string, rest ...string) {
	l.mu.Lock()
	defer l.settle()
	l.put(at.UTC().Format("15:04:05")+" ", first)
	for _, text := range rest {
		l.put(indent, text)
	}
}

// drill writes an event of a drill.
func (l *lines) drill(r *run.Run, ev run.Event) {
	d := r.Drill
	switch b := ev.Body.(type) {
	case run.DrillSetup:
		l.drillBegan(ev.At, &b)
	case run.Arrival:
		i := d.Arrived[len(d.Arrived)-1]
		rest := []string{fmt.Sprintf("%q", i.Text)}
		if i.Ask != "" {
			rest = append(rest, sentence(i.Ask))
		}
		for n, c := range i.Choices {
			rest = append(rest, fmt.Sprintf("  %d  %s", n+1, c))
		}
		how := "Type inject to answer"
		if !l.raises {
			how = "It waits for an answer"
		}
		if i.Within > 0 {
			how += ", within " + clock(i.Within)
		}
		l.aside(ev.At, fmt.Sprintf("INJECT %d of %d from %s:", len(d.Arrived), len(d.Injects), i.From), append(rest, how+".")...)
	case run.InjectAnswer:
		of := 0
		for _, i := range d.Injects {
			if i.Name == b.Inject {
				of = i.Points
			}
		}
		late := ""
		if b.Late {
			late = ", late"
		}
		l.aside(ev.At, fmt.Sprintf("INJECT answered by %s in %s%s: %d of %s.", b.By, clock(b.Took), late, b.Points, printable.Count(of, "point")), fmt.Sprintf("%q", b.Text))
	case run.HintTaking:
		l.aside(ev.At, fmt.Sprintf("HINT, costs %s: %s", printable.Count(b.Cost, "point"), b.Text))
	case run.Score:
		l.scored(ev.At, &b)
	}
}

func (l *lines) drillBegan(at time.Time, d *run.DrillSetup) {
	who := "trainee " + d.Trainee
	if d.Facilitator != "" {
		who += ", facilitator " + d.Facilitator
	}
	l.say(at, "DRILL of scenario %s: %s. %s", d.Scenario, d.Title, sentence(who))
	if d.Alarm != "" {
		l.add("Alarm: %s", d.Alarm)
		l.add("The right runbook was found in %s.", clock(d.Found))
	}
	l.add("%d of %s pass.", d.Pass, printable.Count(d.Of(), "point"))
}

// scored writes the sheet.
func (l *lines) scored(at time.Time, s *run.Score) {
	word := "NOT PASSED"
	if s.Passed {
		word = "PASSED"
	}
	l.say(at, "SCORE %s: %d of %s, %d pass.", word, s.Points, printable.Count(s.Of, "point"), s.Pass)
	for _, why := range s.Why {
		l.add("because %s", why)
	}
	for _, line := range scoreLines(s) {
		l.add("%s", line)
	}
}

// scoreLines is the sheet as plain lines, for people and reports.
func scoreLines(s *run.Score) []string {
	var out []string
	if s.Recovery > 0 && s.Recovered {
		out = append(out, fmt.Sprintf("recovered in %s%s", clock(s.Recovery), ofPromise(s.RTO)))
	}
	if s.LossKnown {
		out = append(out, fmt.Sprintf("data lost: %s%s", clock(s.Loss), ofPromise(s.RPO)))
	}
	for _, c := range s.Criteria {
		if c.Criterion == run.HintCost && len(c.Why) == 0 {
			continue
		}
		line := fmt.Sprintf("%3d of %3d  %s", c.Points, c.Of, report.Criterion(c.Criterion))
		if c.Criterion == run.HintCost {
			line = fmt.Sprintf("%3d         hints, %d used", c.Points, len(c.Why))
		}
		out = append(out, line)
		for _, why := range c.Why {
			out = append(out, "            "+why)
		}
	}
	if s.Best != "" {
		out = append(out, "best: "+s.Best)
	}
	for i, f := range s.Fixes {
		out = append(out, fmt.Sprintf("fix %d: %s", i+1, f))
	}
	if !s.Valid.IsZero() {
		out = append(out, "valid until "+s.Valid.UTC().Format("2 Jan 2006"))
	}
	return out
}

func ofPromise(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return ", the promise is " + clock(d)
}
