package console

import (
	"fmt"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// resultScreen says how a run ended, on what evidence, and where that is kept.
type resultScreen struct{ scroll int }

func (r *resultScreen) card() bool           { return false }
func (r *resultScreen) field() *widget.Field { return nil }

func (r *resultScreen) bindings(w *world) []binding {
	return []binding{
		does("enter", "home", "Back to the home screen.", wish(goHome{})),
		does("l", "last log", "Show the log of the last step that had one.", wish(push{&logScreen{}})).named("", "log"),
		does("tab", "all steps", "Show all steps with plans and checks.", wish(push{&stepsScreen{at: 0}})).named("", "steps"),
		does("n", "note", "Add a note to the record.", func() Intent { return push{noteCard(w.snap.ID)} }),
		{keys: []string{"down", "j"}, long: "Scroll the evidence.", act: func() Intent {
			r.scroll = min(r.scroll+4, max(2*len(w.snap.Steps)-4, 0))
			return nil
		}},
		{keys: []string{"up", "k"}, long: "Scroll back.", act: func() Intent { r.scroll = max(r.scroll-4, 0); return nil }},
		does("q", "leave", "Leave the console.", wish(leave{})),
	}
}

// outcomeLook is how the end of a run is drawn.
func outcomeLook(o run.Outcome) (glyph string, role, badge widget.Role) {
	switch o {
	case run.Complete:
		return "✓", rOK, rOKBadge
	case run.CompleteWithOverrides:
		return "▲", rWarn, rWarnBadge
	}
	return "✗", rFail, rFailBadge
}

func (r *resultScreen) draw(w *world, a area) {
	drawRunHead(w, a)
	s := w.snap
	body := a.sub(3, a.h-3-footRows(a))
	glyph, _, badge := outcomeLook(s.Outcome)
	sum := summaryRows(w, body.w-4)
	high := min(len(sum)+2, body.h/2)
	_, _, border := modeLook(s.Started.Mode)
	body.sub(0, high).box(frame{
		title: []span{txt(badge, " "+glyph+" "+strings.ToUpper(string(s.Outcome))+" ")},
		right: []span{txt(rDim, "run "), txt(rText, s.ID.Short())}, heavy: true, role: border,
	}).rows(sum)

	in := body.sub(high, body.h-high).box(frame{
		title: []span{bold(rStrong, "EVIDENCE")}, role: rFrame,
		right: []span{txt(rDim, fmt.Sprintf("%d sensed · %d claimed · %d skipped", s.count(run.Verified), s.count(run.Claimed), s.count(run.Skipped)))},
	})
	rows := evidenceRows(w, in.w)
	drawParts(in, rows, nil, r.scroll, "down")
}

// summaryRows answers first: is it done, how long did it take, what is left.
func summaryRows(w *world, width int) []row {
	s := w.snap
	says := map[run.Outcome]string{
		run.Complete:              "Every step is done and every check holds.",
		run.CompleteWithOverrides: "It is done, but something was skipped or accepted as it is. See below.",
		run.NotComplete:           "It is not done. What has been changed stays changed.",
		run.Aborted:               "It was ended by a person. What has been changed stays changed.",
	}[s.Outcome]
	rs := append([]row{}, wrapped(rStrong, says, width, 2)...)
	if s.Reason != "" {
		rs = append(rs, labelled("reason", 11, rText, s.Reason, width, 2)...)
	}
	rs = append(rs, gap())
	took := s.EndedAt.Sub(s.started())
	time := []span{txt(rDim, pad("time", 11)), bold(rText, words(took))}
	if rto := s.Started.RTO; rto > 0 {
		time = append(time, txt(rDim, " of "+words(rto)+"   "))
		if took <= rto {
			time = append(time, txt(rOK, "✓ inside the target"))
		} else {
			time = append(time, txt(rFail, "✗ over the target by "+words(took-rto)))
		}
	}
	rs = append(rs, line(time...))
	rs = append(rs, line(txt(rDim, pad("from", 11)), txt(rText, s.started().UTC().Format("2 Jan 2006 15:04:05")+" to "+hhmmss(s.EndedAt)+" UTC"), txt(rDim, "   by "), txt(rText, s.Started.By)))
	for _, d := range s.Debts {
		rs = append(rs, line(txt(rDim, pad("still open", 11)), txt(rWarn, "▲ "), txt(rText, d.Text)))
	}
	where := fmt.Sprintf("journal, run %s, %d entries", s.ID, s.Seq)
	if w.o.State != "" {
		where += ", in " + w.o.State
	}
	rs = append(rs, labelled("record", 11, rText, where, width, 2)...)
	return append(rs, line(txt(rDim, pad("", 11)), txt(rDim, "lifeboat show "+s.ID.Short()+" prints it again")))
}

func evidenceRows(w *world, width int) []row {
	s := w.snap
	var rs []row
	for i := range s.Steps {
		st := &s.Steps[i]
		glyph, role := stateLook(st)
		rs = append(rs, row{left: []span{txt(role, glyph+" "), txt(rText, itoa(i+1)+" "), bold(rText, st.Title)}, right: railTime(w, st)})
		wr, says := railWords(st)
		if st.State == run.Pending {
			says = "was not reached"
		}
		for _, l := range wrap(says, width-4, 2) {
			rs = append(rs, line(txt(wr, "    "+l)))
		}
	}
	if len(s.Notes) > 0 {
		rs = append(rs, gap(), line(bold(rStrong, "NOTES")))
		for _, n := range s.Notes {
			rs = append(rs, line(txt(rFaint, n.At.UTC().Format("15:04")+" "), bold(rText, n.By+" "), txt(rText, n.Text)))
		}
	}
	return rs
}
