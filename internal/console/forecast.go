package console

import (
	"fmt"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// nearlySpent is the part of the RTO, in percent, after which its clock warns.
const nearlySpent = 85

// forecast is what can be said about the rest of the run on the screen.
func (w *world) forecast() incident.Forecast {
	s := w.snap
	return s.usual.Look(&s.Run, w.now, s.gateAt, w.progressLeft())
}

// knows takes what earlier runs say, if the run that asked is still on the screen.
func (m *Model) knows(msg pastMsg) {
	if m.snap != nil && m.snap.ID == msg.id {
		m.snap.usual = msg.usual
	}
}

// progressLeft is what the progress of the working step says about its rest; 0 for nothing.
func (w *world) progressLeft() time.Duration {
	s := w.snap
	p, st := s.progress, s.Working()
	if st == nil || p.Step != st.ID || st.State != run.Running || p.Done <= 0 || p.Total <= p.Done {
		return 0
	}
	took := w.since(p.Since)
	if took <= time.Second {
		return 0
	}
	return time.Duration(float64(took) / float64(p.Done) * float64(p.Total-p.Done))
}

// about writes a time that is only expected, no more exact than it can be.
func about(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return "a few seconds"
	case d < 95*time.Second:
		return "about " + words((d + 5*time.Second).Truncate(10*time.Second))
	case d < 100*time.Minute:
		return "about " + words(d.Round(time.Minute))
	}
	return "about " + words(d.Round(10*time.Minute))
}

// togo says how long it takes until the end; empty when nothing is known.
func togo(u incident.Until, brief bool) string {
	switch {
	case !u.Some || u.Left <= 0:
		return ""
	case !u.Known && u.Left < time.Minute:
		return ""
	case !u.Known:
		return "at least " + words(roughly(u.Left)) + " to go"
	case brief && u.Left >= 10*time.Second:
		return "~" + about(u.Left)[len("about "):] + " to go"
	}
	return about(u.Left) + " to go"
}

// usualWords says how long a step usually takes; empty when no run tells.
func usualWords(s *snapshot, id string) string {
	t, ok := s.usual.Steps[id]
	if !ok || t.Work < time.Second {
		return ""
	}
	if s.usual.Drills {
		return "in drills " + words(t.Work)
	}
	return "usual " + words(t.Work)
}

// rtoClock is what the second row says of the time that was promised.
type rtoClock struct {
	took  time.Duration // that the clock shows as spent
	label string        // what the time on the left is: "left", "over", "stopped"
	show  time.Duration
	role  widget.Role
	says  []string // the same in fewer and fewer words
}

// rto reads the clock of the target. It stops when the thing is back, see [run.Run.Back].
func (w *world) rto() rtoClock {
	s := w.snap
	limit := s.Started.RTO
	back := s.Back()
	c := rtoClock{took: max(s.end(w.now).Sub(s.started()), 0), role: rOK, label: "left"}
	switch {
	case !s.Open():
		c.took = tookWhole(s)
	case !back.IsZero():
		c.took = max(back.Sub(s.started()), 0)
	}
	rest := limit - c.took
	c.show = rest
	if rest < 0 {
		c.show, c.label, c.role = -rest, "over", rFail
	}
	thing := ""
	if s.Started.Asset != "" {
		thing = s.Started.Asset + " "
	}
	switch {
	case !s.Open() && !reached(s):
		c.role, c.says = rFail, []string{"ended after " + words(c.took) + ", not reached"}
	case !s.Open() || !back.IsZero():
		c.show, c.label = c.took, "stopped"
		at := back
		if at.IsZero() {
			at = s.started().Add(c.took)
		}
		text := words(rest) + " to spare"
		if rest < 0 {
			text = "missed by " + words(-rest)
		}
		c.says = []string{"✓ " + thing + "back at " + at.UTC().Format("15:04") + ", " + text, "back at " + at.UTC().Format("15:04") + ", " + text, text}
		if rest < 0 {
			c.says[0] = "✗" + c.says[0][len("✓"):]
		}
	default:
		w.expect(&c, rest, thing)
	}
	return c
}

// expect says of an open run whether its target will be met.
func (w *world) expect(c *rtoClock, rest time.Duration, thing string) {
	s := w.snap
	f := w.forecast().Back
	margin := rest - f.Left
	head := "on track"
	switch {
	case s.Gate != nil && (s.Gate.Kind == run.Doubt || s.Gate.Kind == run.Decision), adrift(w):
		head = "paused"
	case s.usual.Drills:
		head = "as in drills"
	}
	if rest >= 0 && c.took*100 > s.Started.RTO*nearlySpent {
		c.role = rWarn
	}
	at := w.now.Add(f.Left).UTC().Format("15:04")
	switch {
	case f.Some && f.Known && margin >= 0:
		spare := words(roughly(margin)) + " to spare"
		c.says = []string{head + ": " + thing + "back about " + at + ", " + spare, head + ": back about " + at + ", " + spare, head + ", back about " + at, "back about " + at}
	case f.Some && margin < 0:
		by := "will miss by " + words(roughly(-margin))
		if !f.Known {
			by = "will miss by at least " + words(roughly(-margin))
		}
		c.role, c.says = rFail, []string{by + ": " + thing + "back about " + at, by + ", back about " + at, by}
	case rest < 0:
		c.says = []string{"missed by " + words(-rest)}
	case f.Some:
		c.says = []string{thing + "back at " + at + " at the earliest, more is not known", "back at " + at + " at the earliest", "not before " + at}
	default:
		done := 0
		for i := range s.Steps {
			if s.Steps[i].Done() {
				done++
			}
		}
		c.says = []string{fmt.Sprintf("%d of %d steps done, no past run to tell how long it takes", done, len(s.Steps)), "no past run to go by", ""}
		if s.Gate != nil {
			c.says[1] = "waits for " + w.needed()
		}
		if c.role == rWarn {
			c.says = []string{"little time: " + words(rest) + " left"}
		}
	}
}

// roughly leaves the seconds off what is longer than some minutes.
func roughly(d time.Duration) time.Duration {
	if d > 2*time.Minute {
		return d.Truncate(time.Minute)
	}
	return d.Truncate(time.Second)
}

// drawRTO is the row of the clock where a time was promised.
func drawRTO(w *world, a area) {
	s := w.snap
	c := w.rto()
	left := []span{bold(rStrong, " RTO "), bold(c.role, clock(c.show)), txt(rText, " "+c.label+" "), txt(rDim, "of "+clock(s.Started.RTO)+"   ")}
	text := c.says[len(c.says)-1]
	for n := range 2 * len(c.says) { // first with a bar beside it
		least := 21
		if n >= len(c.says) {
			least = 3
		}
		if one := c.says[n%len(c.says)]; one != "" && widget.Width(one)+spansWidth(left)+least <= a.w {
			text = one
			break
		}
	}
	if room := min(a.w/3, a.w-spansWidth(left)-widget.Width(text)-5); room >= 10 {
		left = append(left, bar(room, float64(c.took)/float64(s.Started.RTO), c.role)...)
	}
	role := c.role
	if role == rOK && s.Open() && !w.forecast().Back.Some {
		role = rDim // nothing is promised by it
	}
	a.row(1, row{left: left, right: []span{txt(role, text), txt(rText, " ")}})
}

// nextRows says what comes next, and when a person is needed and who.
func nextRows(w *world, width int) []row {
	s := w.snap
	if g := s.Gate; g != nil && (g.Kind == run.Doubt || g.Kind == run.Decision || g.Kind == run.Closing) {
		return nil // what comes next is what is chosen
	}
	i := s.next()
	if i < 0 {
		return []row{line(txt(rDim, "This is the last step. Then the result is shown."))}
	}
	st := &s.Steps[i]
	glyph, role, _ := stepLook(st.Outline)
	head := line(txt(role, glyph+" "), bold(rStrong, itoa(i+1)), txt(rText, " "+st.Title))
	if st.Plan != nil && len(st.Plan.Lines) > 0 {
		head.left = append(head.left, txt(rDim, "   "+st.Plan.Lines[0].Text))
	} else if u := usualWords(s, st.ID); u != "" {
		head.right = []span{txt(rDim, u)}
	}
	f := w.forecast()
	if f.At < 0 {
		return []row{head, line(txt(rDim, "It runs by itself. Nobody is needed before the end."))}
	}
	when, role := "You are needed", rWarn
	if who := w.needed(); who != "you" {
		when = who + " is needed"
	}
	again := ""
	if s.Gate != nil {
		again = " again"
	}
	switch {
	case f.Person.Some && f.Person.Known:
		when += again + " in " + about(f.Person.Left)
	case f.Person.Some && f.Person.Left >= 10*time.Second:
		when += again + " in " + words(roughly(f.Person.Left)) + " at the earliest"
	case f.At == i:
		when += " then"
	default:
		when += again
	}
	self := ""
	if f.At != i {
		self = "It runs by itself. "
		when += ", at step " + itoa(f.At+1)
	}
	return []row{head, needRow(w, &s.Steps[f.At], self, when, role, width)}
}

// needRow says what is asked of a person, and whom the level wants to know of it first.
func needRow(w *world, st *run.Step, self, when string, role widget.Role, width int) row {
	asks := map[string]string{
		"write":   "it shows its plan and asks.",
		"destroy": "it asks for a token of its live target.",
	}[st.Effect]
	if st.Hand {
		asks = "you do it and say what you see."
	}
	r := line(txt(rDim, self), txt(role, when+": "), txt(rText, asks))
	if st.Effect == "destroy" {
		if says := firstTold(w); says != "" {
			with := line(txt(rDim, self), txt(role, when+". "), txt(rText, says))
			if spansWidth(with.left) <= width {
				return with
			}
		}
	}
	if spansWidth(r.left) > width {
		r.left = r.left[1:]
	}
	return r
}

// firstTold is whom the level of the incident wants to know before something can be lost:
// that they know, or that they have to be told. It is empty where nobody has to.
func firstTold(w *world) string {
	for _, call := range incident.Calls(w.snap.Level, w.team.Contacts) {
		if !call.Now {
			continue
		}
		who := "Level " + itoa(w.snap.Level) + ": " + call.Name
		if at, _ := incident.WasTold(&w.snap.Run, call); !at.IsZero() {
			return who + " was told at " + at.UTC().Format("15:04") + "."
		}
		return "Level " + itoa(w.snap.Level) + ": tell " + call.Name + " first, c."
	}
	return ""
}

// usualOf is how long a step of the run on the screen usually takes.
func (w *world) usualOf(id string) (incident.Took, bool) {
	if w.snap == nil {
		return incident.Took{}, false
	}
	t, ok := w.snap.usual.Steps[id]
	return t, ok
}
