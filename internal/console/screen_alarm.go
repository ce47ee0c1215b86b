package console

import (
	"slices"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// alarmScreen is the beginning of a drill from its symptoms: the trainee reads the alarm
// and has to find the runbook for it. The clock of the RTO runs. It does not know which
// runbook is the right one.
type alarmScreen struct {
	alarm DrillAlarm
	find  libraryScreen // its search and its order, not its screen
	tried []string      // runbooks that were not the one
	sent  string        // that is being asked about
}

func (s *alarmScreen) card() bool           { return false }
func (s *alarmScreen) field() *widget.Field { return &s.find.search }

// wrong remembers a runbook that was not the one.
func (s *alarmScreen) wrong(book string) {
	s.sent = ""
	if !slices.Contains(s.tried, book) {
		s.tried = append(s.tried, book)
	}
}

func (s *alarmScreen) bindings(w *world) []binding {
	move := func(by int) func() Intent {
		return func() Intent { s.find.at = min(max(s.find.at+by, 0), max(len(w.books)-1, 0)); return nil }
	}
	b := s.find.book(w)
	off := ""
	switch {
	case b == nil:
		off = "there are no runbooks"
	case s.sent != "":
		off = "your choice is on its way"
	case slices.Contains(s.tried, b.Name):
		off = "it was not this one"
	}
	return []binding{
		{show: "type", help: "a word of the alarm", brief: "search"},
		{keys: []string{"up"}, show: "up down", help: "move", act: move(-1)},
		{keys: []string{"down"}, long: "Next runbook.", act: move(1)},
		does("enter", "this is the runbook", "Begin with this runbook. A wrong one costs points and time, and breaks nothing.", func() Intent {
			s.sent = b.Name
			return guessDrill{b.Name}
		}).named("", "this one").unless(off),
		does("esc", "give up", "Give up. The sandbox stays broken, and the next drill makes it anew.", func() Intent {
			if s.find.search.Value() != "" {
				s.find.search.Reset("")
				return nil
			}
			return goHome{}
		}),
	}
}

func (s *alarmScreen) draw(w *world, a area) {
	_, badge, border := modeLook(run.Drill)
	a.row(0, row{left: []span{txt(badge, " DRILL "), bold(rStrong, "  An alarm has come. Which runbook is it?")}, right: []span{txt(rDim, "you "), txt(rText, w.o.User+" ")}})
	took := w.since(s.alarm.At)
	left := []span{bold(rStrong, " TIME "), bold(rText, clock(took)), txt(rDim, " since the alarm")}
	if rto := s.alarm.RTO; rto > 0 {
		left = []span{bold(rStrong, " RTO "), bold(rText, clock(rto-took)), txt(rDim, " left of "+clock(rto)+"   ")}
		if room := min(a.w/2, a.w-spansWidth(left)-1); room >= 10 {
			left = append(left, bar(room, float64(took)/float64(rto), rOK)...)
		}
	}
	a.row(1, line(left...))
	drawModeRule(a, 2, run.Drill)
	body := a.sub(3, a.h-3-footRows(a))
	says := wrapped(rStrong, "\""+s.alarm.Text+"\"", body.w-4, 5)
	rs := append([]row{line(txt(rFaint, hhmmss(s.alarm.At)), txt(rDim, "  alarm"))}, says...)
	if len(s.tried) > 0 {
		rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, "not "+strings.Join(s.tried, ", not "))))
	}
	body.sub(0, len(rs)+2).box(frame{title: []span{txt(rDrillBadge, " ALARM ")}, heavy: true, role: border}).rows(rs)
	body = body.sub(len(rs)+2, body.h-len(rs)-2)
	for i, r := range fieldRows(&s.find.search, body.w, rFrame) {
		body.row(i, r)
	}
	s.drawBooks(w, body.sub(3, body.h-3))
}

// drawBooks lists the runbooks, those that match first.
func (s *alarmScreen) drawBooks(w *world, a area) {
	v := s.find.view(w)
	at := v.chosen(s.find.at)
	from := min(max(at-a.h/2, 0), max(len(v.books)-a.h, 0))
	for i := from; i < min(len(v.books), from+a.h); i++ {
		b := v.books[i]
		point, mark := "  ", txt(rText, "  ")
		if i == at {
			point = "▸ "
		}
		if slices.Contains(s.tried, b.Name) {
			mark = txt(rWarn, "✗ ")
		}
		name := min(34, a.w/2)
		r := row{left: []span{txt(rNow, " "+point), mark, bold(rText, pad(b.Name, name)), txt(rDim, b.Title)}, tint: i == at}
		if i >= v.hits+v.outside && !v.needle.empty() {
			r.left = []span{txt(rNow, " "+point), mark, txt(rFaint, pad(b.Name, name)), txt(rFaint, b.Title)}
		}
		a.row(i-from, r)
	}
}
