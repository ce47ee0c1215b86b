package console

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// The score so far stands in place of the notes while a drill runs.

// markWords are the criteria as the score so far names them.
var markWords = map[string]string{
	run.RightRunbook: "right runbook, first try", run.InsideRTO: "recovery time", run.InsideRPO: "data loss", run.ChecksRead: "checks read first",
	run.GatesTyped: "tokens right first time", run.InTime: "injects", run.TeamTold: "told the team", run.HintCost: "hints",
}

// scoreLine is one line of the score so far.
type scoreLine struct {
	says       string
	points, of int
	role       widget.Role
	hint       bool // points that only go away
}

// scoreLines is what is decided, and in words what is open.
func scoreLines(w *world) (done []scoreLine, open []string) {
	d := w.snap.Drill
	for _, m := range w.snap.Marks(nil) {
		says := markWords[m.Criterion.Criterion]
		switch {
		case m.Criterion.Criterion == run.InTime:
			for n, i := range d.Arrived {
				if a := i.Answer; a != nil {
					done = append(done, scoreLine{says: fmt.Sprintf("inject %d, in %s", n+1, since(a.Took)), points: a.Points, of: i.Points, role: earned(a.Points, i.Points)})
				} else {
					open = slices.Insert(open, 0, fmt.Sprintf("inject %d", n+1))
				}
			}
		case m.Criterion.Criterion == run.HintCost:
			if n := len(d.Taken); n > 0 {
				done = append(done, scoreLine{says: fmt.Sprintf("hints, %d of %d used", n, len(d.Hints)), points: m.Points, role: rWarn, hint: true})
			}
		case m.Decided > 0:
			done = append(done, scoreLine{says: says, points: m.Points, of: m.Decided, role: earned(m.Points, m.Decided)})
		default:
			open = append(open, says)
		}
	}
	return done, open
}

func earned(points, of int) widget.Role {
	switch {
	case points == of:
		return rText
	case points > 0:
		return rWarn
	}
	return rFail
}

// drawScore draws the score so far: only what is decided.
func drawScore(w *world, a area) {
	d := w.snap.Drill
	in := a.box(frame{title: []span{bold(rStrong, "SCORE SO FAR")}, role: rFrame})
	done, open := scoreLines(w)
	points, decided := run.Sum(w.snap.Marks(nil))
	var rs []row
	for _, l := range done {
		right := fmt.Sprintf("%2d of  %2d", l.points, l.of)
		if l.hint {
			right = fmt.Sprintf("%2d       ", l.points)
		}
		rs = append(rs, row{left: []span{txt(rText, l.says)}, right: []span{txt(l.role, right)}})
	}
	if len(done) == 0 {
		rs = append(rs, line(txt(rDim, "nothing is decided yet")))
	}
	rs = append(rs, row{left: []span{txt(rFrame, strings.Repeat("─", in.w))}, spare: 1})
	rs = append(rs, row{left: []span{bold(rText, "decided so far")}, right: []span{bold(rStrong, fmt.Sprintf("%2d of  %2d", points, decided))}})
	rs = append(rs, gap(), line(scoreBar(points, d.Pass, d.Of(), in.w)...))
	rs = append(rs, row{left: []span{txt(rDim, itoa(points)+" now")}, right: []span{txt(rDim, fmt.Sprintf("%d of %d pass", d.Pass, d.Of()))}})
	if len(open) > 0 {
		rs = append(rs, gap())
		rs = append(rs, labelled("still open", 12, rDim, strings.Join(open, ", "), in.w, 3)...)
	}
	if d.Alarm != "" {
		rs = append(rs, extra([]row{line(txt(rDim, "found the runbook in "), txt(rText, clock(d.Found)))})...)
	}
	rs = append(rs, gap(), row{left: []span{txt(rDim, "Ending early is allowed and safe.")}, spare: 2})
	in.rows(rs)
}

// scoreBar is a gauge with a mark at the points that pass.
func scoreBar(points, pass, of, w int) []span {
	if of <= 0 || w < 4 {
		return nil
	}
	full := min(max(points, 0)*w/of, w)
	mark := min(pass*w/of, w-1)
	cells := []rune(strings.Repeat("━", full) + strings.Repeat("─", w-full))
	role := func(i int) widget.Role {
		if i < full {
			return rDrill
		}
		return rFrame
	}
	var out []span
	for i, c := range cells {
		s := txt(role(i), string(c))
		if i == mark {
			s = bold(rStrong, "┊")
		}
		if n := len(out); n > 0 && out[n-1].role == s.role && out[n-1].attr == s.attr {
			out[n-1].text += s.text
			continue
		}
		out = append(out, s)
	}
	return out
}

// scoreStrip is the score so far in two rows.
func scoreStrip(w *world, width int) []row {
	d := w.snap.Drill
	points, decided := run.Sum(w.snap.Marks(nil))
	head := []span{bold(rStrong, " SCORE  "), bold(rText, fmt.Sprintf("%d of %d", points, decided)), txt(rDim, fmt.Sprintf(" decided, %d of %d pass   ", d.Pass, d.Of()))}
	if room := width - spansWidth(head) - 1; room >= 8 {
		head = append(head, scoreBar(points, d.Pass, d.Of(), room)...)
	}
	var says []span
	done, _ := scoreLines(w)
	for _, l := range done {
		text := fmt.Sprintf(" %d of %d   ", l.points, l.of)
		if l.hint {
			text = fmt.Sprintf(" %d   ", l.points)
		}
		one := []span{txt(rDim, shortMark(l.says)), txt(l.role, text)}
		if spansWidth(says)+spansWidth(one)+8 > width {
			break
		}
		says = append(says, one...)
	}
	if len(says) == 0 {
		says = []span{txt(rDim, "nothing is decided yet")}
	}
	return []row{line(head...), line(append([]span{txt(rText, "        ")}, says...)...)}
}

// shortMark is a line of the score for a narrow window.
func shortMark(says string) string {
	says, _, _ = strings.Cut(says, ", ")
	for long, short := range map[string]string{"right runbook": "runbook", "checks read first": "checks", "tokens right first time": "tokens", "told the team": "team"} {
		if says == long {
			return short
		}
	}
	return says
}
