package app

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/runner"
)

// lineWidth is the widest line of plain output, on any terminal: a screen reader, a
// serial console and a log file have no use for more.
const lineWidth = 80

// indent of lines that belong to the time-stamped one above them.
const indent = "         "

// lines writes a run as lines that are only ever added: no cursor movement, no
// colour, nothing outside ASCII of its own. No line begins with "::" or "##[", which
// CI systems obey, because every line begins with a time, an indent or a prompt.
type lines struct {
	mu       sync.Mutex
	w        io.Writer
	guidance map[string]string
	params   []runbook.Param // of the runbook; nil: not known
	quiet    bool            // no output of steps
	partial  []byte
	titled   string // step whose head was written last
	now      func() time.Time
	asks     func(level int)                 // writes what a level asks for; nil: nothing
	clock    func(r *run.Run) incident.Clock // of the level; nil: none
	raises   bool                            // whoever reads can raise the level with a word
	replay   bool                            // of a record: what time it is now says nothing about it
	reminded incident.Clock                  // the last reminder
	prompt   string                          // stands in the last line, and waits for an answer
	broken   bool                            // something was written over it; it is to be repeated
	events   int                             // blocks that are being written
	self     run.Driver                      // who reads
}

// say writes one time-stamped line, wrapped.
func (l *lines) say(at time.Time, format string, args ...any) {
	l.mu.Lock()
	defer l.settle()
	l.put(at.UTC().Format("15:04:05")+" ", fmt.Sprintf(format, args...))
}

// add writes a line that belongs to the last one.
func (l *lines) add(format string, args ...any) {
	l.mu.Lock()
	defer l.settle()
	l.put(indent, fmt.Sprintf(format, args...))
}

func (l *lines) put(head, text string) {
	for i, line := range wrap(printable.Line(text), lineWidth-len(indent)) {
		if i > 0 {
			head = indent
		}
		l.printf("%s%s\n", head, line)
	}
}

// label writes "label  text" under the last line, the text with a margin of its own.
func (l *lines) label(label, text string) {
	l.mu.Lock()
	defer l.settle()
	if len(label) >= labelWidth {
		label += " "
	}
	for i, line := range wrap(printable.Line(text), lineWidth-len(indent)-labelWidth) {
		if i > 0 {
			label = ""
		}
		l.printf("%s%-*s%s\n", indent, labelWidth, label, line)
	}
}

// labelWidth is the column in which labelled text begins.
const labelWidth = 13

// wrap breaks a line at spaces; a word longer than the width stays whole, so that
// commands and hashes can be copied. What fits stays as it is.
func wrap(text string, width int) []string {
	if len(text) <= width {
		return []string{text}
	}
	lead := text[:len(text)-len(strings.TrimLeft(text, " "))]
	var out []string
	line := ""
	for _, w := range strings.Fields(text) {
		switch {
		case line == "":
			line = lead + w
		case len(line)+1+len(w) > width:
			out = append(out, line)
			line = lead + w
		default:
			line += " " + w
		}
	}
	return append(out, line)
}

// Write takes the output of a running step and prefixes every line of it.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.settle()
	if l.quiet {
		return len(p), nil
	}
	const longest = 8 << 10 // of a line; what is longer is shown in parts
	l.partial = append(l.partial, p...)
	rest := l.partial
	for {
		i := bytes.IndexAny(rest[:min(len(rest), longest)], "\n\r")
		next := i + 1
		if i < 0 {
			if len(rest) < longest {
				l.partial = l.partial[:copy(l.partial, rest)]
				return len(p), nil
			}
			i, next = longest, longest
		}
		l.flush(rest[:i])
		rest = rest[next:]
	}
}

func (l *lines) flush(line []byte) {
	if text := strings.TrimRight(printable.Line(string(line)), " "); text != "" {
		l.printf("%sout| %s\n", indent, text)
	}
}

// event writes what became true. It is the Observe of an engine.
func (l *lines) event(r run.Run, ev run.Event) {
	defer l.group()()
	l.mu.Lock()
	if len(l.partial) > 0 {
		l.flush(l.partial)
		l.partial = nil
	}
	l.mu.Unlock()
	if _, asks := ev.Body.(run.Gate); asks && !l.replay {
		for _, d := range incident.Owed(&r, l.now()) {
			l.say(ev.At, "OWED %s", d)
		}
		l.remind(&r)
	}
	switch b := ev.Body.(type) {
	case run.Started:
		l.start(&r)
	case run.Resumed:
		l.say(ev.At, "%s run %s taken up again by %s, at step %d of %d", mode(r), r.ID.Short(), b.By, min(r.Current()+1, len(r.Steps)), len(r.Steps))
		l.remind(&r)
	case run.Ended:
		l.ended(&r, ev, b)
	case run.Note:
		if incident.OfTime(b) && !l.replay {
			l.remind(&r) // in words of now
			return
		}
		l.say(ev.At, "NOTE %s: %s", b.By, b.Text)
	case run.Raise:
		l.raised(ev.At, b)
	case run.Request, run.Handover:
		l.say(ev.At, "%s", incident.Hands(ev))
		if b, ok := ev.Body.(run.Request); ok && ev.Kind == run.TakeoverAsked && l.raises && r.Driver.Is(l.self) {
			l.add("Type give to hand the run to %s, or keep to go on driving.", b.Who.By)
			l.add("Without an answer they may take it in %s.", incident.Span(runner.AskPatience))
		}
	case run.DrillSetup, run.Arrival, run.InjectAnswer, run.HintTaking, run.Score:
		l.drill(&r, ev)
	case run.Debt:
		if ev.Kind == run.DebtOpened {
			l.say(ev.At, "DEBT opened: %s", b.Text)
		} else {
			l.say(ev.At, "DEBT closed: %s", b.Text)
		}
	default:
		if s := r.Step(ev.Step); s != nil {
			l.step(&r, s, ev)
		}
		switch ev.Kind {
		case run.StepVerified, run.StepClaimed, run.StepOverridden:
			l.stopped(&r, ev.At)
		}
	}
}

// start writes the head of a run that begins or is taken up.
func (l *lines) start(r *run.Run) {
	level := ""
	if r.Started.Level > 0 {
		level = fmt.Sprintf(", level %d", r.Started.Level)
	}
	l.say(r.At, "%s run %s, %s%s, by %s", mode(*r), r.ID.Short(), r.Started.Book, level, r.Started.By)
	l.add("%s. %s.", r.Started.Title, printable.Count(len(r.Steps), "step"))
	if len(r.Started.Triage) > 0 {
		l.add("Triage: %s.", strings.Join(r.Started.Triage, "; "))
	}
	if rto := r.Started.RTO; rto > 0 {
		from := r.At
		if !r.Started.Incident.IsZero() {
			from = r.Started.Incident
		}
		late := fmt.Sprintf(", %s left", clock(from.Add(rto).Sub(r.At)))
		if over := r.At.Sub(from.Add(rto)); over > 0 {
			late = ", over since " + incident.Span(over)
		}
		l.add("RTO %s from %s%s.", clock(rto), from.UTC().Format("15:04:05"), late)
	}
	l.keys()
}

// step writes an event of a step.
func (l *lines) step(r *run.Run, s *run.Step, ev run.Event) {
	n := 0
	for i := range r.Steps {
		if r.Steps[i].ID == s.ID {
			n = i + 1
		}
	}
	turned := ev.Kind != run.StepSkipped && l.turn(s.ID)
	if turned {
		l.title(r, s, n, ev)
	}
	switch b := ev.Body.(type) {
	case run.Gate:
		if turned && b.Kind == run.Decision { // it failed before anybody read these lines
			l.failed(ev.At, n, "FAILED", s.Error, s.Hints)
		}
		l.gate(r, s, n, ev, b)
	case run.Answer:
		if ev.Kind == run.DoubtSettled {
			l.say(ev.At, "STEP %d SETTLED by %s: it did happen", n, b.By)
		} else if b.Verb == run.Approve {
			l.say(ev.At, "APPROVED step %d by %s (%s)", n, b.By, b.How)
		}
	case run.Began:
		l.say(ev.At, "RUNNING step %d: %s.%s", n, strings.TrimSuffix(orElse(planSummary(b.Plan), s.Title), "."), rtoLeft(r, ev.At))
		if b.Gate == 0 { // else the gate has shown them
			for _, c := range commandsOf(b.Plan) {
				l.label("runs", c)
			}
		}
		if l.raises && ev.Kind == run.StepBegan {
			l.next(r, n)
		}
	case run.Finished:
		if b.Evidence != "" {
			l.say(ev.At, "  SENSED %s", b.Evidence)
		}
	case run.Check:
		l.say(ev.At, "  CHECK %s %s%s", okWord(b.OK), b.Text, prefix(": ", b.Evidence))
	case run.Verdict:
		took := clock(s.Ended.Sub(s.Began))
		switch ev.Kind {
		case run.StepVerified:
			l.say(ev.At, "STEP %d DONE verified%s. Took %s.%s", n, passed(s.Checks), took, rtoLeft(r, ev.At))
		case run.StepClaimed:
			l.say(ev.At, "STEP %d DONE by hand, %s%s.%s", n, b.By, prefix(": ", strings.Join(b.Values, ", ")), rtoLeft(r, ev.At))
		case run.StepUndone:
			l.say(ev.At, "STEP %d UNDONE%s. Took %s.", n, prefix(": ", b.Evidence), took)
		}
	case run.Failure:
		word := "FAILED"
		if ev.Kind == run.StepDoubted {
			word = "IN DOUBT"
		}
		l.failed(ev.At, n, word, b.Error, b.Hints)
	case run.Reason:
		words := map[run.Kind]string{run.StepSkipped: "SKIPPED", run.StepOverridden: "OVERRIDDEN", run.StepReopened: "AGAIN", run.StepElse: "FAILED, its alternative takes over:"}
		l.say(ev.At, "STEP %d %s %s%s", n, words[ev.Kind], s.Title, prefix(": ", orElse(b.Text, b.Else)))
	case run.Probe:
		l.say(ev.At, "PROBE read-only: %s", strings.Join(b.Command, "; "))
		if b.Before+b.Wanted+b.Found != "" {
			l.add("before %s, wanted %s, found %s", b.Before, b.Wanted, b.Found)
		}
		l.add("means: %s", b.Means)
	}
}

// failed writes why a step failed, or is in doubt, and what can be done.
func (l *lines) failed(at time.Time, n int, word, text string, hints []string) {
	first, more, _ := strings.Cut(text, "\n")
	l.say(at, "STEP %d %s: %s", n, word, first)
	for line := range strings.Lines(more) { // what else went wrong
		l.add("%s", strings.TrimSuffix(line, "\n"))
	}
	for _, h := range hints {
		l.add("%s", h)
	}
}

// turn makes a step the one whose head was written last, and says whether it was not yet.
func (l *lines) turn(step string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.titled
	l.titled = step
	return step != before
}

// title writes the head of a step with the beginning of its guidance.
func (l *lines) title(r *run.Run, s *run.Step, n int, ev run.Event) {
	l.say(ev.At, "STEP %d of %d: %s (%s)", n, len(r.Steps), s.Title, how(s.Outline))
	for _, p := range prose(l.guidance[s.ID]) {
		l.add("%s", p)
	}
}

// how says how a step is done.
func how(o run.Outline) string {
	switch {
	case o.Hand:
		return "by hand"
	case o.Effect == "destroy":
		return "danger gate"
	case o.Effect == "write":
		return "asks first"
	}
	return "runs and checks itself"
}

func (l *lines) gate(r *run.Run, s *run.Step, n int, ev run.Event, g run.Gate) {
	switch g.Kind {
	case run.Confirm, run.Token:
		word := "CONFIRM"
		if g.Kind == run.Token {
			word = "GATE"
		}
		l.say(ev.At, "%s step %d of %d: %s", word, n, len(r.Steps), planSummary(g.Plan))
		l.plan(g.Plan)
	case run.Doubt:
		l.say(ev.At, "IN DOUBT step %d: %s", n, g.Prompt)
	}
}

// plan writes what a gate is about, in the order that never changes.
func (l *lines) plan(p *run.Plan) {
	if p == nil {
		return
	}
	for _, x := range p.Lines {
		l.label(x.Label, x.Text)
	}
	if p.Back != "" {
		l.label("way back", p.Back)
	}
	if p.Stop != "" {
		l.label("stop", p.Stop)
	}
	for _, c := range p.Command {
		l.label("runs", c)
	}
	for _, c := range p.Checks {
		l.add("CHECK %s %s", okWord(c.OK), c.Text)
	}
}

// keys says once what can be typed, to a person who answers.
func (l *lines) keys() {
	if l.raises && !l.replay {
		l.add("Nothing runs until you answer. Type a number, then Enter.")
		l.add("? keys   n note   c call   u undo plan   q leave, the run stays open")
	}
}

func (l *lines) ended(r *run.Run, ev run.Event, b run.Ended) {
	l.stopped(r, ev.At)
	l.say(ev.At, "%s. Run time %s.%s", strings.ToUpper(string(b.Outcome)), clock(ev.At.Sub(r.At)), prefix(" ", b.Reason))
	for _, s := range r.Steps {
		if (s.State == run.Overridden || s.State == run.Skipped) && s.Reason.Class != run.NotApplicable {
			l.add("%s: %s, %s: %s (%s)", s.Title, s.State, s.Reason.Class, s.Reason.Text, s.By)
		}
		if s.State == run.Claimed {
			l.add("%s: claimed by %s", s.Title, s.By)
		}
		if s.Back != "" && s.Effect == string(action.Destroy) { // whoever did this by mistake reads on here
			l.add("%s: the way back: %s", s.Title, s.Back)
		}
	}
	if names := otherwise(r); len(names) > 0 {
		l.add("To begin anew with another %s:", strings.Join(names, " or "))
		l.add("%s", l.anew(r, names))
	}
	for _, n := range r.Notes {
		if n.By == "lifeboat" { // what must not be overlooked
			l.add("NOTE %s %s", n.At.UTC().Format(time.TimeOnly), n.Text)
		}
	}
}

func mode(r run.Run) string {
	if r.Started.Mode == run.Dry {
		return "DRY RUN"
	}
	return strings.ToUpper(string(r.Started.Mode))
}

func planSummary(p *run.Plan) string {
	if p == nil {
		return ""
	}
	return p.Summary
}

func commandsOf(p *run.Plan) []string {
	if p == nil {
		return nil
	}
	return p.Command
}

// passed counts the checks of a verified step.
func passed(checks []run.Check) string {
	if len(checks) == 0 {
		return ""
	}
	return fmt.Sprintf(": %d of %d checks", len(checks), len(checks))
}

func okWord(ok bool) string {
	if ok {
		return "OK"
	}
	return "FAILED"
}

func prefix(p, s string) string {
	if s == "" {
		return ""
	}
	return p + s
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// clock writes a duration as people read it on a clock: 2:46, 1:02:03.
func clock(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%d:%02d", m, s)
}

// alerts are the words for GitHub's marks.
var alerts = strings.NewReplacer("[!CAUTION]", "CAUTION:", "[!WARNING]", "WARNING:", "[!NOTE]", "Note:",
	"[!IMPORTANT]", "IMPORTANT:", "[!TIP]", "Tip:", "**", "", "`", "")

// prose gives the paragraphs of a section as lines, without marks. Tables and code are
// left to those who read the document.
func prose(markdown string) []string {
	var out []string
	for _, p := range strings.Split(strings.TrimSpace(markdown), "\n\n") {
		if strings.HasPrefix(p, "|") || strings.HasPrefix(p, "```") || strings.HasPrefix(p, "    ") {
			continue
		}
		var words []string
		for line := range strings.Lines(p) {
			words = append(words, strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), ">"))...)
		}
		if len(words) > 0 {
			out = append(out, alerts.Replace(strings.Join(words, " ")))
		}
	}
	return out
}
