package app

import (
	"fmt"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// rtoLeft says how much of the promised time is left at a moment: " RTO 40:12 left."; empty
// where nothing was promised.
func rtoLeft(r *run.Run, at time.Time) string {
	of := r.Started.RTO
	if back := r.Back(); of <= 0 || !back.IsZero() && at.After(back) { // the clock has stopped
		return ""
	}
	left := of - at.Sub(r.Began())
	if left < 0 {
		return fmt.Sprintf(" RTO missed by %s.", clock(-left))
	}
	return fmt.Sprintf(" RTO %s left.", clock(left))
}

// next says what comes after the step that runs, and whether somebody is needed for it.
func (l *lines) next(r *run.Run, at int) {
	for i := at; i < len(r.Steps); i++ {
		s := &r.Steps[i]
		if s.Done() || s.Only && !s.Entered {
			continue
		}
		needed := ""
		if s.Hand || s.Effect == "write" || s.Effect == "destroy" {
			needed = " You are needed."
		}
		l.add("NEXT step %d: %s (%s).%s", i+1, s.Title, how(s.Outline), needed)
		return
	}
	l.add("NEXT it was the last step.")
}

// stopped says that the clock of a run has stopped, and where: with the step that brought
// the thing back, or at the end where that is not known.
func (l *lines) stopped(r *run.Run, at time.Time) {
	of := r.Started.RTO
	back := r.Back()
	took := back.Sub(r.Began())
	switch {
	case of <= 0:
		return
	case r.Open():
		if !back.Equal(at) {
			return
		}
	case !back.IsZero() || r.Outcome != run.Complete && r.Outcome != run.CompleteWithOverrides:
		return // it was said then, or there is nothing to say
	default:
		took = r.Took()
	}
	thing := orElse(r.Started.Asset, "what it is about")
	if took <= of {
		l.say(at, "CLOCK STOPPED. %s is back in %s, %s inside the RTO.", thing, clock(took), clock(of-took))
	} else {
		l.say(at, "CLOCK STOPPED. %s is back in %s, %s over the RTO.", thing, clock(took), clock(took-of))
	}
}

// wayBack writes what was changed, the newest first, and how each change is taken back. It
// runs nothing.
func (l *lines) wayBack(r *run.Run) {
	defer l.group()()
	n := 0
	for i := len(r.Steps) - 1; i >= 0; i-- {
		s := &r.Steps[i]
		c, ok := s.Newest()
		if !ok || s.Hand {
			continue
		}
		if n++; n == 1 {
			l.add("UNDO PLAN, the newest change first. Looking at it runs nothing.")
		}
		l.add("step %d %s: way back: %s", i+1, s.Title, orElse(orElse(c.Back, s.Back), "none"))
	}
	if n == 0 {
		l.add("UNDO PLAN: nothing has been changed so far.")
	}
	for _, d := range r.Debts {
		l.add("owed: %s", d.Text)
	}
}

// since tells somebody who comes back what happened, in as few lines as it takes, and that
// no entry of the record was lost.
func (l *lines) since(a incident.Absence, entries int) {
	defer l.group()()
	text := "Since then: " + incident.Span(a.Gap())
	for i, h := range a.Happened {
		if more := len(a.Happened) - i; i == 4 && more > 1 {
			text += fmt.Sprintf(", and %d more things: lifeboat show has them", more)
			break
		}
		text += ", " + h.Text
	}
	l.add("You were at step %d of %d, at %s (%s).", a.Step, a.Of, a.Last.UTC().Format("15:04:05"), a.Says)
	l.add("%s.", text)
	l.add("RECORD OK %d entries, each chained to the one before, none lost.", entries)
}

// comes tells a person who comes back to a run, where there is something to tell, and keeps
// that they are here.
func (w *world) comes(l *lines, events []run.Event) {
	if len(events) == 0 {
		return
	}
	id := events[0].Run
	m, err := w.recall(id)
	if err != nil || m.Seq == 0 {
		m = lastTouch(events, w.who().Driver)
	}
	if a, ok := incident.Since(events, m, w.env.now()); ok && m.Seq > 0 && (a.Restarted || a.Gap() >= shortAbsence) {
		l.since(a, len(events))
	}
}

// shortAbsence is how long somebody must have been away to be told.
const shortAbsence = 20 * time.Second

// lastTouch is where the record itself says that a person last had their hands on the run,
// before they came to this terminal.
func lastTouch(events []run.Event, self run.Driver) incident.Mark {
	var m incident.Mark
	for _, ev := range events {
		who := ""
		switch b := ev.Body.(type) {
		case run.Started:
			who = b.By
		case run.Resumed:
			if b.Session != self.Session {
				who = b.By
			}
		case run.Answer:
			who = b.By
		case run.Note:
			who = b.By
		}
		if who == self.By {
			m = incident.Mark{Seq: ev.Seq, At: ev.At}
		}
	}
	return m
}
