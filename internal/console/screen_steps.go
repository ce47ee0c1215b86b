package console

import (
	"fmt"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// stepsScreen lists all steps with all that is known about them.
type stepsScreen struct {
	at     int // chosen step; -1 is the current one
	scroll int
}

func (s *stepsScreen) card() bool           { return false }
func (s *stepsScreen) field() *widget.Field { return nil }

func (s *stepsScreen) chosen(w *world) int {
	if s.at < 0 {
		return w.snap.now()
	}
	return min(s.at, len(w.snap.Steps)-1)
}

func (s *stepsScreen) bindings(w *world) []binding {
	move := func(by int) func() Intent {
		return func() Intent {
			s.at, s.scroll = min(max(s.chosen(w)+by, 0), max(len(w.snap.Steps)-1, 0)), 0
			return nil
		}
	}
	return []binding{
		{keys: []string{"up", "k"}, show: "up down", help: "move", act: move(-1)},
		{keys: []string{"down", "j"}, long: "Next step.", act: move(1)},
		{keys: []string{"pgdown", "space"}, show: "pgup pgdn", help: "more of it", brief: "more", long: "More of what is known about the step.", act: func() Intent { s.scroll += 6; return nil }},
		{keys: []string{"pgup"}, long: "Back in it.", act: func() Intent { s.scroll = max(s.scroll-6, 0); return nil }},
		{keys: []string{"esc", "tab", "q"}, show: "esc", help: "back to the run", brief: "back", act: wish(pop{})},
	}
}

func (s *stepsScreen) draw(w *world, a area) {
	drawRunHead(w, a)
	body := a.sub(w.head(), a.h-w.head()-footRows(a))
	if len(w.snap.Steps) == 0 {
		return
	}
	at := s.chosen(w)
	left, right := body.split(min(44, body.w/2))
	rows := railRows(w, left.w-4, 0, true)
	for i := range rows {
		rows[i].tint = i == at
	}
	in := left.box(frame{title: []span{bold(rStrong, "STEPS"), txt(rDim, fmt.Sprintf("  %d", len(rows)))}, role: rFrame})
	from := min(max(at-in.h/2, 0), max(len(rows)-in.h, 0))
	in.rows(rows[from:min(len(rows), from+in.h)])
	f := right.box(frame{title: []span{bold(rStrong, "STEP "+itoa(at+1))}, right: []span{txt(rDim, string(w.snap.Steps[at].State))}, heavy: true, role: rHeavy})
	drawParts(f, stepDetail(w, &w.snap.Steps[at], f.w), nil, s.scroll, "pgdown")
}

func stepDetail(w *world, st *run.Step, width int) []row {
	role, says := railWords(w.snap, st)
	rs := []row{line(bold(rStrong, st.Title))}
	if how, what, ok := strings.Cut(says, "  "); ok {
		rs = append(rs, labelled(how, 9, role, strings.TrimSpace(what), width, 0)...)
	} else {
		rs = append(rs, wrapped(role, says, width, 0)...)
	}
	rs = append(append(rs, gap()), prose(w.guidance(st.ID), width, true)...)
	if st.Plan != nil {
		rs = append(append(rs, gap()), planRows(st.Plan, width, 10, planLook{back: true})...)
	}
	rs = append(rs, failureRows(st, width)...)
	if checks := checkRows(st.Checks, width); len(checks) > 0 {
		rs = append(append(rs, gap(), line(bold(rStrong, "CHECKS"))), checks...)
	}
	return rs
}
