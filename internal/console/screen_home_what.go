package console

import (
	"strings"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

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

// levelWords is a level in one line: "level 2 moderate · 1 to 4 hours · within 4 h".
func levelWords(w *world, n int) string {
	l := w.level(n)
	impact, _, _ := strings.Cut(l.Impact, ":")
	return incident.LevelName(n) + " · " + impact + " · within " + incident.Span(l.Recovery)
}

// calls are the people to call, with the level from which on they are called.
func calls(w *world) []called {
	var out []called
	for _, c := range incident.Calls(run.MaxLevel, w.team.Contacts) {
		first := run.MaxLevel
		for n := run.MaxLevel; n > 0; n-- {
			for _, at := range incident.Calls(n, w.team.Contacts) {
				if at.Contact == c.Contact && (at.Now || n == 1 && strings.HasPrefix(at.When, "when you")) {
					first = n
				}
			}
		}
		out = append(out, called{c, "L" + itoa(first)})
	}
	return out
}
