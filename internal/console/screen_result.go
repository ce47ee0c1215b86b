package console

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// resultScreen says how a run ended, on what evidence, and where that is kept.
type resultScreen struct{ scroll int }

func (r *resultScreen) card() bool           { return false }
func (r *resultScreen) field() *widget.Field { return nil }

func (r *resultScreen) bindings(w *world) []binding {
	look := ""
	if w.o.Look {
		look = "this console is read-only"
	}
	return []binding{
		does("enter", "home", "Back to the home screen.", wish(goHome{})),
		does("l", "last log", "Show the log of the last step that had one.", wish(push{&logScreen{}})).named("", "log"),
		does("tab", "all steps", "Show all steps with plans and checks.", wish(push{&stepsScreen{at: 0}})).named("", "steps"),
		does("a", "begin anew", "Begin another run of this runbook: its parameters first, filled in with the values of this one.", w.beginAnew).named("", "anew").unless(look),
		noteKey(w).unlisted(),
		{keys: []string{"down", "j"}, long: "Scroll the evidence.", act: func() Intent {
			r.scroll = min(r.scroll+4, 4*len(w.snap.Steps)+16)
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
	body := a.sub(w.head(), a.h-w.head()-footRows(a))
	glyph, _, badge := outcomeLook(s.Outcome)
	says := strings.ToUpper(string(s.Outcome))
	v := oracleOf(s)
	if v != nil { // in practice the question is whether it was recovered
		says = v.head
		if glyph, badge = "✗", rFailBadge; v.ok {
			glyph, badge = "✓", rOKBadge
			if s.Outcome != run.Complete {
				says += ", " + strings.ToUpper(string(s.Outcome))
				glyph, badge = "▲", rWarnBadge
			}
		}
	}
	sum := summaryRows(w, v, body.w-4)
	high := min(len(sum)+2, body.h/2)
	_, _, border := modeLook(s.Started.Mode)
	body.sub(0, high).box(frame{
		title: []span{txt(badge, " "+glyph+" "+says+" ")},
		right: []span{txt(rDim, "run "), txt(rText, s.ID.Short())}, heavy: true, role: border,
	}).rows(sum)
	body = body.sub(high, body.h-high)

	counts := []span{txt(rDim, fmt.Sprintf("%d sensed · %d claimed · %d skipped", s.count(run.Verified), s.count(run.Claimed), s.count(run.Skipped)))}
	rows := evidenceRows(w, body.w-4)
	title := []span{bold(rStrong, "EVIDENCE")}
	if v != nil {
		found := oracleRows(v, body.w-4)
		judge := frame{title: []span{bold(rStrong, "ORACLE")}, right: []span{txt(rDim, "looked afterwards, shares no code with the recovery")}, role: rFrame}
		if body.h >= len(found)+2+6 {
			body.sub(0, len(found)+2).box(judge).rows(found)
			body = body.sub(len(found)+2, body.h-len(found)-2)
		} else { // one under the other, to scroll
			rows = append(append(found, gap(), row{left: title, right: counts}), rows...)
			title, counts = judge.title, judge.right
		}
	}
	drawParts(body.box(frame{title: title, role: rFrame, right: counts}), rows, nil, r.scroll, "down")
}

// oracle is who judges a sandbox: the By of its notes.
const oracle = "oracle"

// oracleVerdict is what the oracle found in a sandbox after the run. It shares no code
// with the recovery, so it can contradict it.
type oracleVerdict struct {
	head   string
	ok     bool
	checks []run.Check
	lost   []string
}

// oracleOf reads the verdict from the notes of a run; nil when there is none.
func oracleOf(s *snapshot) *oracleVerdict {
	var v *oracleVerdict
	for _, n := range s.Notes {
		if n.By != oracle {
			continue
		}
		if v == nil {
			v = &oracleVerdict{head: n.Text, ok: n.Text == "RECOVERED"}
			continue
		}
		if lost, ok := strings.CutPrefix(n.Text, "lost: "); ok {
			v.lost = append(v.lost, lost)
			continue
		}
		word, rest, _ := strings.Cut(n.Text, " ")
		c := run.Check{Text: rest, OK: word == "OK"}
		c.Text, c.Evidence, _ = strings.Cut(rest, ": ")
		v.checks = append(v.checks, c)
	}
	return v
}

// reached says whether a run that has ended did what it was for, as far as anybody looked.
func reached(s *snapshot) bool {
	v := oracleOf(s)
	return (s.Outcome == run.Complete || s.Outcome == run.CompleteWithOverrides) && (v == nil || v.ok)
}

// tookWhole is how long a run took that has ended: until the thing was back, and to its end
// where it did not come back.
func tookWhole(s *snapshot) time.Duration {
	if reached(s) {
		return s.Took()
	}
	return max(s.EndedAt.Sub(s.started()), 0)
}

// remarks are the notes that people made.
func remarks(s *snapshot) []run.Noted {
	var out []run.Noted
	for _, n := range s.Notes {
		if n.By != oracle {
			out = append(out, n)
		}
	}
	return out
}

// oracleRows lists what is lost, then what the oracle looked at and what it saw, first
// that which is not as it should be.
func oracleRows(v *oracleVerdict, width int) []row {
	var rs []row
	checks := slices.Clone(v.checks)
	slices.SortStableFunc(checks, func(a, b run.Check) int {
		switch {
		case a.OK == b.OK:
			return 0
		case b.OK:
			return -1
		}
		return 1
	})
	for _, l := range v.lost {
		rs = append(rs, labelled("✗ lost", 8, rText, l, width, 3)...)
	}
	col := 0
	for _, c := range v.checks {
		col = max(col, widget.Width(printable.Line(c.Text))+4)
	}
	for _, c := range checks {
		spans := checkSpans(c)
		if len(spans) > 2 && col < width-20 {
			spans = []span{spans[0], txt(rText, pad(c.Text, col-2)), txt(rFaint, c.Evidence)}
		}
		rs = append(rs, line(spans...))
	}
	return rs
}

// oracleWords is the verdict in one sentence.
func oracleWords(v *oracleVerdict) row {
	bad, first := 0, ""
	for _, c := range v.checks {
		if !c.OK {
			if bad++; bad == 1 {
				first = c.Text
			}
		}
	}
	switch {
	case len(v.lost) > 0:
		return line(txt(rFail, "✗ "), bold(rStrong, plural(len(v.lost), "thing is lost.", "things are lost.")), txt(rText, "  "+v.lost[0]))
	case bad > 0:
		return line(txt(rFail, "✗ "), bold(rStrong, fmt.Sprintf("%d of %d checks of the oracle fail:", bad, len(v.checks))), txt(rText, "  "+first))
	}
	return line(txt(rOK, "✓ "), bold(rStrong, "Nothing is lost."), txt(rText, "  "+plural(len(v.checks), "check", "checks")+" of the oracle, all hold."))
}

// summaryRows answers first: is it done, how long did it take, what is left.
func summaryRows(w *world, v *oracleVerdict, width int) []row {
	s := w.snap
	says := map[run.Outcome]string{
		run.Complete:              "Every step is done and every check holds.",
		run.CompleteWithOverrides: "It is done, but something was skipped or accepted as it is. See below.",
		run.NotComplete:           "It is not done. What has been changed stays changed.",
		run.Aborted:               "It was ended by a person. What has been changed stays changed.",
	}[s.Outcome]
	took := tookWhole(s)
	time := []span{txt(rDim, pad("time", 11)), bold(rText, words(took))}
	if rto := s.Started.RTO; rto > 0 {
		time = append(time, txt(rDim, " of "+words(rto)+"   "))
		switch {
		case !reached(s):
			time = append(time, txt(rFail, "✗ what it was for was not reached"))
		case took <= rto:
			time = append(time, txt(rOK, "✓ inside the target"))
		default:
			time = append(time, txt(rFail, "✗ over the target by "+words(took-rto)))
		}
	}
	var rs []row
	if v != nil {
		rs = []row{oracleWords(v), gap(), line(time...)}
		rs = append(rs, labelled("run", 11, rText, string(s.Outcome)+". "+says, width, 2)...)
	} else {
		rs = append(wrapped(rStrong, says, width, 2), gap(), line(time...))
	}
	if s.Reason != "" {
		rs = append(rs, labelled("reason", 11, rText, s.Reason, width, 2)...)
	}
	rs = append(rs, line(txt(rDim, pad("from", 11)), txt(rText, s.started().UTC().Format("2 Jan 2006 15:04:05")+" to "+hhmmss(s.EndedAt)+" UTC"), txt(rDim, "   by "), txt(rText, s.Started.By)))
	for _, d := range s.Debts {
		rs = append(rs, line(txt(rDim, pad("still open", 11)), txt(rWarn, "▲ "), txt(rText, d.Text)))
	}
	where := fmt.Sprintf("journal, run %s, %d entries", s.ID, s.Seq)
	if w.o.State != "" {
		where += ", in " + w.o.State
	}
	rs = append(rs, extra(labelled("record", 11, rText, where, width, 2))...)
	return append(rs, extra([]row{line(txt(rDim, pad("", 11)), txt(rDim, "lifeboat show "+s.ID.Short()+" prints it again"))})...)
}

func evidenceRows(w *world, width int) []row {
	s := w.snap
	var rs []row
	for i := range s.Steps {
		st := &s.Steps[i]
		glyph, role := stateLook(st)
		rs = append(rs, row{left: []span{txt(role, glyph+" "), txt(rText, itoa(i+1)+" "), bold(rText, st.Title)}, right: railTime(w, st)})
		wr, says := railWords(s, st)
		if st.State == run.Pending {
			says = "was not reached"
		}
		rs = append(rs, evidence(wr, says, width-4, 2)...)
	}
	if notes := remarks(s); len(notes) > 0 {
		rs = append(rs, gap(), line(bold(rStrong, "NOTES")))
		for _, n := range notes {
			rs = append(rs, line(txt(rFaint, n.At.UTC().Format("15:04")+" "), bold(rText, n.By+" "), txt(rText, n.Text)))
		}
	}
	return rs
}
