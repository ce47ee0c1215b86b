package console

import (
	"strings"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// drawHome is the bridge below its verdict: one box asks what happened, everything else
// stands around it.
func (h *homeScreen) drawHome(w *world, a area) {
	if wide(a) {
		top, bottom := a.sub(0, min(15, max(a.h/2, 8))), area{}
		bottom = a.sub(top.h, a.h-top.h)
		what, beside := top.split(64)
		drawWhat(w, what, true)
		drawCalls(w, beside)
		h.drawRuns(w, bottom, runRows(w, bottom.w-4, h))
		return
	}
	what := a.sub(0, min(6, a.h))
	drawWhat(w, what, false)
	rest := a.sub(what.h, a.h-what.h)
	runs := runRows(w, rest.w-4, h)
	high := min(len(runs)+2, max(rest.h/2, 3))
	h.drawRuns(w, rest.sub(0, high), runs)
	drawCalls(w, rest.sub(high, rest.h-high))
}

// drawWhat is the box that dominates: what happened? Its keys open questions, and run
// nothing.
func drawWhat(w *world, a area, roomy bool) {
	f := frame{title: []span{bold(rStrong, "WHAT HAPPENED?")}, heavy: true, role: rHeavy}
	if w.team.Problem != "" {
		f.right = []span{txt(rWarn, "▲ questions of yours are left out")}
	}
	in := a.box(f)
	p, ok := w.place(nil)
	if !ok {
		if w.loaded {
			in.rows(wrapped(rText, "The questions cannot be read. Find a runbook with /.", in.w, 0))
		}
		return
	}
	var rs []row
	for i, q := range p.Question.Answers {
		r := row{left: []span{txt(rKeycap, " "+itoa(i+1)+" "), bold(rStrong, "  "+q.Text)}}
		if roomy {
			rs = append(rs, gap(), r)
			if q.Level > 0 {
				rs = append(rs, row{left: []span{txt(rDim, "     "+levelWords(w, q.Level))}, spare: 2})
			}
			continue
		}
		if q.Level > 0 {
			r.right = []span{txt(rDim, incident.LevelName(q.Level)+" ")}
			if in.w < 70 {
				r.right = []span{txt(rDim, "L"+itoa(q.Level)+" ")}
			}
		}
		rs = append(rs, r)
	}
	if u := p.Question.Unsure; u.Text != "" {
		r := row{left: []span{txt(rKeycap, " 0 "), bold(rStrong, "  "+u.Text), txt(rDim, "  "+u.Hint)}}
		if roomy {
			rs = append(rs, gap())
		}
		rs = append(rs, r)
	}
	if roomy {
		rs = append(rs, gap(), row{left: []span{txt(rDim, "Picking one runs nothing. You read the plan first.")}, spare: 2})
	}
	in.rows(rs)
}

// levelWords is a level in one line: "level 2 moderate · 1 to 4 hours · over within 4 h".
func levelWords(w *world, n int) string {
	l := w.level(n)
	impact, _, _ := strings.Cut(l.Impact, ":")
	return incident.LevelName(n) + " · " + impact + " · over within " + incident.Span(l.Recovery)
}

// drawCalls is whom to call first, without a level being known.
func drawCalls(w *world, a area) {
	if a.h < 3 {
		return
	}
	in := a.box(frame{title: []span{bold(rStrong, "WHOM TO CALL")}, right: []span{bold(rStrong, "c"), txt(rDim, " all, and what to say")}, role: rFrame})
	calls := incident.Calls(run.MaxLevel, w.team.Contacts)
	var rs []row
	for _, c := range calls {
		first := 3
		for n := run.MaxLevel; n > 0; n-- {
			for _, at := range incident.Calls(n, w.team.Contacts) {
				if at.Contact == c.Contact && (at.Now || n == 1 && strings.HasPrefix(at.When, "when you")) {
					first = n
				}
			}
		}
		rs = append(rs, row{left: []span{bold(rText, "L"+itoa(first)+" "), txt(rDim, pad(c.Role, 16)), txt(rText, pad(c.Name, 14)), bold(rStrong, c.Phone)}})
	}
	if len(rs) == 0 && w.loaded {
		rs = wrapped(rDim, "Nobody is listed. Press c to see how contacts are added.", in.w, 0)
	}
	in.rows(rs)
}
