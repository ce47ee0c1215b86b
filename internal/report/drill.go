package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// criteria are the lines of the sheet of a drill in words.
var criteria = map[string]string{
	run.RightRunbook: "right runbook, first try", run.InsideRTO: "back inside the RTO", run.InsideRPO: "data loss inside the RPO",
	run.ChecksRead: "checks read before going on", run.GatesTyped: "tokens right the first time", run.InTime: "injects answered",
	run.TeamTold: "told the team", run.HintCost: "hints",
}

// Criterion names a line of the sheet of a drill in words.
func Criterion(name string) string { return cmp.Or(criteria[name], name) }

// Drill renders the part of a report that only a drill has: the verdict, the sheet with a
// reason for every missing point, injects, hints, what the oracle found and what to do. It
// is empty for a run that is no drill of a scenario.
func Drill(r *run.Run) string {
	if r.Drill == nil {
		return ""
	}
	d := &document{r: r}
	d.verdict()
	if s := r.Score; s != nil {
		d.list("### Why it did not pass", s.Why)
		d.table("### Score", []string{"criterion", "points", "of", "why not all"}, sheet(s))
	}
	d.table("### Injects", []string{"at (UTC)", "from", "what", "answer", "took", "points"}, injects(r.Drill))
	var hints []string
	for _, t := range r.Drill.Taken {
		hints = append(hints, fmt.Sprintf("%s UTC, step %s, %d points: %s", stamp(t.At), t.Step, t.Cost, t.Text))
	}
	d.list("### Hints taken", hints)
	if s := r.Score; s != nil {
		d.table("### Where the time went", []string{"step", "took", "usual"}, d.times(s))
		var found [][]string
		for _, c := range s.Checks {
			found = append(found, []string{map[bool]string{true: "ok", false: "FAILED"}[c.OK], c.Text, c.Evidence})
		}
		d.table("### What the oracle found", []string{"", "check", "evidence"}, found)
		d.list("### Lost", s.Lost)
		d.list("### Kept elsewhere", s.Kept)
		d.list("### To do before the next drill", s.Fixes)
	}
	return d.b.String()
}

// Tasks is what a drill asks to be done, as a Markdown task list; empty when it asks for
// nothing.
func Tasks(r *run.Run) string {
	if r.Score == nil || len(r.Score.Fixes) == 0 {
		return ""
	}
	d := &document{r: r}
	d.printf("# After the drill %s of %s\n\n", cell(r.Drill.Scenario), r.EndedAt.UTC().Format("2 January 2006"))
	for _, f := range r.Score.Fixes {
		d.printf("- [ ] %s\n", cell(f))
	}
	d.printf("\nRun %s, runbook %s, trainee %s.\n", cell(string(r.ID)), cell(r.Started.Book), cell(r.Drill.Trainee))
	return d.b.String()
}

// verdict is what somebody reads who reads nothing else of a drill.
func (d *document) verdict() {
	e, s := d.r.Drill, d.r.Score
	word := "not scored"
	rows := [][]string{{"scenario", e.Scenario + ": " + e.Title}, {"trainee", e.Trainee}}
	if e.Facilitator != "" {
		rows = append(rows, []string{"facilitator", e.Facilitator})
	}
	if e.Alarm != "" {
		rows = append(rows, []string{"found the runbook", "in " + span(e.Found) + ", from: " + e.Alarm})
	}
	if s != nil {
		word = "not passed"
		if s.Passed {
			word = "passed"
		}
		rows = append(rows, []string{"points", fmt.Sprintf("%d of %d, %d pass", s.Points, s.Of, s.Pass)})
		recovery := "not recovered, says the oracle"
		if s.Recovered {
			recovery = span(s.Recovery)
		}
		rows = append(rows, []string{"recovery time", recovery + promise(s.RTO)})
		loss := "not measured"
		if s.LossKnown {
			loss = span(s.Loss)
		}
		rows = append(rows, []string{"data loss", loss + promise(s.RPO)})
		if !s.Valid.IsZero() {
			rows = append(rows, []string{"proves it until", s.Valid.UTC().Format("2 January 2006")})
		}
	}
	d.printf("## Drill %s\n\n", strings.ToUpper(word))
	d.table("", []string{"", ""}, rows)
}

func promise(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return ", the promise is " + span(d)
}

func sheet(s *run.Score) (rows [][]string) {
	for _, c := range s.Criteria {
		of := fmt.Sprint(c.Of)
		if c.Criterion == run.HintCost {
			of = ""
		}
		rows = append(rows, []string{Criterion(c.Criterion), fmt.Sprint(c.Points), of, strings.Join(c.Why, "; ")})
	}
	return append(rows, []string{"score", fmt.Sprint(s.Points), fmt.Sprint(s.Of), ""})
}

func injects(e *run.Exercise) (rows [][]string) {
	for _, i := range e.Arrived {
		row := []string{stamp(i.At), i.From, i.Text, "none", "", fmt.Sprintf("0 of %d", i.Points)}
		if a := i.Answer; a != nil {
			took := span(a.Took)
			if i.Within > 0 {
				took += " of " + span(i.Within)
			}
			row = []string{stamp(i.At), i.From, i.Text, a.By + ": " + a.Text, took, fmt.Sprintf("%d of %d", a.Points, i.Points)}
		}
		rows = append(rows, row)
	}
	return rows
}

func (d *document) times(s *run.Score) (rows [][]string) {
	for _, t := range s.Times {
		title, usual := t.Step, ""
		if st := d.r.Step(t.Step); st != nil {
			title = st.Title
		}
		if t.Usual > 0 {
			usual = span(t.Usual)
		}
		rows = append(rows, []string{title, span(t.Took), usual})
	}
	return rows
}

// span writes a duration as people say it.
func span(d time.Duration) string { return printable.Span(d) }
