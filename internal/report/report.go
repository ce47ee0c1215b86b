// Package report writes a run down for people who were not there: whoever writes the
// incident up, an auditor, the one who reviews the drill.
//
// It is pure rendering. The only input is the history of the run, the clock of a report is
// that history's, and the same events give the same bytes for ever, so that two copies of a
// report can be compared. Facts that the console sensed and words that a person said stand
// apart, because they weigh differently.
//
// Everything in a history may be foreign text: names, evidence, what was typed. It is made
// harmless here for terminals, and for Markdown, where it could open a link or an image.
package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// Markdown renders a run: what it came to, when what happened, each step with its
// evidence, who decided what, what is still owed. The history may be that of an open run.
func Markdown(history []run.Event) (string, error) {
	r, err := run.FoldAll(history)
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	d := &document{r: &r}
	d.head()
	d.b.WriteString(Drill(&r))
	d.table("## Steps", []string{"#", "step", "result", "how it is known", "by"}, d.steps())
	d.list("## Not as written", d.exceptions())
	d.list("## Still owed", d.owed())
	d.table("## Decisions", []string{"at (UTC)", "who", "decided", "about"}, decisions(history))
	d.table("## Timeline", []string{"at (UTC)", "what"}, timeline(&r, history))
	d.list("## Notes", d.notes())
	d.list("## Way back", d.back())
	d.record(history)
	return d.b.String(), nil
}

// document is a report that is being written.
type document struct {
	r *run.Run
	b strings.Builder
}

func (d *document) printf(format string, args ...any) { fmt.Fprintf(&d.b, format, args...) }

// head is what somebody reads who reads nothing else.
func (d *document) head() {
	r := d.r
	d.printf("# %s\n\n", cell(cmp.Or(r.Started.Title, r.Started.Book)))
	outcome := "still open"
	if !r.Open() {
		outcome = string(r.Outcome)
	}
	if r.Reason != "" {
		outcome += ": " + r.Reason
	}
	rows := [][]string{
		{"run", string(r.ID)},
		{"runbook", fmt.Sprintf("%s, version %.12s", r.Started.Book, r.Started.Digest)},
		{"mode", string(r.Started.Mode)},
		{"outcome", outcome},
	}
	if r.Started.Asset != "" {
		rows = append(rows, []string{"asset", r.Started.Asset})
	}
	if r.Level > 0 {
		level := fmt.Sprint(r.Level)
		for _, x := range r.Raised {
			level += fmt.Sprintf(", raised from %d at %s by %s", x.From, stamp(x.At), x.By)
		}
		rows = append(rows, []string{"level", level})
	}
	if len(r.Started.Triage) > 0 {
		rows = append(rows, []string{"triage", strings.Join(r.Started.Triage, "; ") + ", answered by " + r.Started.By})
	}
	if !r.Started.Incident.IsZero() {
		rows = append(rows, []string{"incident", stamp(r.Started.Incident) + " UTC"})
	}
	rows = append(rows, []string{"began", stamp(r.At) + " UTC, by " + r.Started.By + " on " + r.Started.Host})
	if !r.Open() {
		rows = append(rows, []string{"ended", stamp(r.EndedAt) + " UTC, by " + cmp.Or(r.EndedBy, r.Started.By)}, []string{"took", d.took()})
	}
	d.table("", []string{"", ""}, rows)
}

// took compares the time from the incident with the target, in words.
func (d *document) took() string {
	took := d.r.Took()
	text := printable.Span(took)
	if rto := d.r.Started.RTO; rto > 0 {
		text += " of the " + printable.Span(rto) + " of its RTO"
		if took > rto {
			text += ", " + printable.Span(took-rto) + " too long"
		}
	}
	return text
}

func (d *document) steps() (rows [][]string) {
	for i := range d.r.Steps {
		s := &d.r.Steps[i]
		took := ""
		if s.Ended.After(s.Began) && !s.Began.IsZero() {
			took = ", " + printable.Span(s.Ended.Sub(s.Began))
		}
		known := s.Evidence
		if len(s.Values) > 0 {
			known = strings.Join(append([]string{known}, s.Values...), "; ")
		}
		for _, c := range s.Checks {
			if !c.OK {
				known += "; CHECK FAILED: " + c.Text + ": " + c.Evidence
			}
		}
		if s.Error != "" {
			known += "; " + s.Error
		}
		rows = append(rows, []string{fmt.Sprint(i + 1), s.Title, string(s.State) + took, strings.TrimPrefix(known, "; "), s.By})
	}
	return rows
}

// exceptions are the steps that a reader has to know about.
func (d *document) exceptions() (out []string) {
	for i := range d.r.Steps {
		s := &d.r.Steps[i]
		switch s.State {
		case run.Skipped, run.Overridden:
			if s.Reason.Class != run.NotApplicable {
				out = append(out, fmt.Sprintf("step %d, %s, was %s by %s (%s): %s", i+1, s.Title, s.State, s.By, s.Reason.Class, s.Reason.Text))
			}
		case run.Failed, run.InDoubt, run.Undone:
			out = append(out, fmt.Sprintf("step %d, %s, is %s: %s", i+1, s.Title, s.State, cmp.Or(s.Error, s.Evidence, "nothing more is known")))
		}
	}
	return out
}

func (d *document) owed() (out []string) {
	for _, debt := range d.r.Debts {
		text := debt.Text + ", since " + stamp(debt.At) + " UTC"
		if due := debt.Due(); !due.IsZero() {
			text += ", due at " + stamp(due) + " UTC"
		}
		out = append(out, text)
	}
	return out
}

func (d *document) notes() (out []string) {
	for _, n := range d.r.Notes {
		out = append(out, stamp(n.At)+" "+n.By+": "+n.Text)
	}
	return out
}

func (d *document) back() (out []string) {
	for i := range d.r.Steps {
		if s := &d.r.Steps[i]; s.Changed && s.Back != "" {
			out = append(out, fmt.Sprintf("step %d, %s: %s", i+1, s.Title, s.Back))
		}
	}
	return out
}

// decisions lists what people answered at gates. What a checklist was told stands with
// its step; a secret is never in a history.
func decisions(history []run.Event) (rows [][]string) {
	gates := map[int64]run.Event{}
	for _, ev := range history {
		switch b := ev.Body.(type) {
		case run.Gate:
			gates[ev.Seq] = ev
		case run.Answer:
			g, _ := gates[b.Gate].Body.(run.Gate)
			if b.Verb == run.Unanswered || b.Verb == run.Give && g.Kind == run.Checklist {
				continue
			}
			what := string(b.Verb)
			if b.Token != "" {
				what += ", typed " + b.Token
			}
			if len(b.Values) > 0 {
				what += ": " + strings.Join(b.Values, "; ")
			}
			if b.Reason != "" {
				what += ": " + b.Reason
			}
			about := g.Prompt
			if ev.Step != "" {
				about = ev.Step + ": " + about
			}
			rows = append(rows, []string{stamp(ev.At), b.By + prefixed(" by ", b.How), what, strings.TrimSuffix(about, ": ")})
		}
	}
	return rows
}

func prefixed(p, s string) string {
	if s == "" {
		return ""
	}
	return p + s
}

// timeline is when what happened, without what stands in the other tables.
func timeline(r *run.Run, history []run.Event) (rows [][]string) {
	title := func(ev run.Event) string {
		if s := r.Step(ev.Step); s != nil {
			return s.Title
		}
		return ev.Step
	}
	for _, ev := range history {
		what := ""
		switch b := ev.Body.(type) {
		case run.Started:
			what = "the run begins"
		case run.Resumed:
			what = "taken up again by " + b.By + " on " + b.Host
		case run.Handover:
			what = fmt.Sprintf("%s drives, before it was %s (%s)", b.To.By, b.From.By, b.How)
		case run.Request:
			what = map[bool]string{true: b.By + " keeps the run; " + b.Who.By + " had asked to drive", false: b.Who.By + " asks to drive"}[ev.Kind == run.TakeoverRefused]
		case run.Raise:
			what = fmt.Sprintf("LEVEL RAISED from %d to %d by %s%s", b.From, b.To, b.By, prefixed(": ", b.Reason))
		case run.Debt:
			what = map[bool]string{true: "OWED: ", false: "owed no more: "}[ev.Kind == run.DebtOpened] + b.Text
		case run.Arrival:
			what = "INJECT: " + b.Inject
		case run.Ended:
			what = "the run ends: " + string(b.Outcome)
		case run.Began:
			what = map[bool]string{true: "undo begins: ", false: "begins: "}[ev.Kind == run.UndoBegan] + title(ev)
			if b.Plan != nil && b.Plan.Effect != "read" && b.Plan.Summary != "" {
				what += " (" + b.Plan.Summary + ")"
			}
		case run.Failure:
			what = map[bool]string{true: "IN DOUBT: ", false: "FAILED: "}[ev.Kind == run.StepDoubted] + title(ev) + ": " + b.Error
		case run.Probe:
			what = "probed: " + title(ev) + ": " + string(b.Finding) + ". " + b.Means
		case run.Verdict:
			what = map[run.Kind]string{run.StepVerified: "verified: ", run.StepClaimed: "claimed: ", run.StepUndone: "undone: "}[ev.Kind] + title(ev)
		}
		if what != "" {
			rows = append(rows, []string{stamp(ev.At), what})
		}
	}
	return rows
}

// record says what the report is made of, so that a reader can check it.
func (d *document) record(history []run.Event) {
	d.printf("## Record\n\n%s in the journal of %s, Lifeboat %s. `lifeboat audit verify` checks its chain,\n`lifeboat show %s --logs` shows what the steps printed.\n",
		printable.Count(len(history), "event"), cell(d.r.Started.Host), cell(d.r.Started.Version), d.r.ID.Short())
	var rows [][]string
	for i := range d.r.Steps {
		if l := d.r.Steps[i].Log; l != nil && l.Size > 0 {
			rows = append(rows, []string{fmt.Sprint(i + 1), l.Name, printable.Size(l.Size), l.SHA256})
		}
	}
	d.table("", []string{"step", "log", "size", "SHA-256"}, rows)
}

// table writes rows under a heading; nothing where there are none.
func (d *document) table(heading string, columns []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	if heading != "" {
		d.printf("%s\n\n", heading)
	} else if d.b.Len() > 0 && !strings.HasSuffix(d.b.String(), "\n\n") {
		d.printf("\n")
	}
	table(&d.b, columns, rows)
}

func table(b *strings.Builder, columns []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, row := range rows {
		for _, c := range row {
			fmt.Fprintf(b, "| %s ", cell(c))
		}
		b.WriteString("|\n")
	}
	b.WriteString("\n")
}

func (d *document) list(heading string, items []string) {
	if len(items) == 0 {
		return
	}
	d.printf("%s\n\n", heading)
	for _, it := range items {
		d.printf("- %s\n", cell(it))
	}
	d.printf("\n")
}

// special are the characters that mean something in the middle of a line of Markdown.
var special = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "|", `\|`, "!", `\!`, "~", `\~`, "&", "&amp;",
)

// bare are beginnings of addresses that some renderers make links of without being asked.
var bare = strings.NewReplacer("://", ":&#47;/", "www.", "www&#46;", "@", "&#64;")

// cell is foreign text on one line, as text.
func cell(s string) string {
	return bare.Replace(special.Replace(printable.Line(strings.Join(strings.Fields(s), " "))))
}

// stamp is a moment to the second, in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
