package console

import (
	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// raiseScreen puts the incident on a more serious level. It is a capital letter and asks
// for a reason, because what it does is not taken back: people are called.
type raiseScreen struct {
	to   int
	text widget.Field
}

// raiseKey is the key for it. Where letters are text it is F3.
func raiseKey(w *world, typing bool) binding {
	off := ""
	switch s := w.snap; {
	case w.o.Look:
		off = w.looking()
	case !s.Open():
		off = "the run has ended"
	case s.Level >= run.MaxLevel:
		off = "it is the highest level already"
	case adrift(w):
		off = "nothing drives the run"
	}
	b := binding{keys: []string{"R", "f3"}, show: "R", help: "raise the level", brief: "raise",
		long: "Raise the level of the incident. Asks for a reason. F3 also while you type.",
		act:  func() Intent { return push{&raiseScreen{to: w.snap.Level + 1}} }}
	if typing {
		b.keys, b.show = []string{"f3"}, "f3"
	}
	return b.unless(off)
}

func (r *raiseScreen) card() bool           { return true }
func (r *raiseScreen) field() *widget.Field { return &r.text }

func (r *raiseScreen) bindings(w *world) []binding {
	off, one := "", ""
	switch {
	case r.to <= w.snap.Level:
		off = "somebody has raised it meanwhile"
	case r.text.Empty():
		off = "it needs a sentence that explains it"
	}
	if w.snap.Level+1 >= run.MaxLevel {
		one = "there is no level above it"
	}
	move := func(by int) func() Intent {
		return func() Intent { r.to = min(max(r.to+by, w.snap.Level+1), run.MaxLevel); return nil }
	}
	return []binding{
		{show: "type", help: "the reason"},
		does("enter", "raise it", "Raise the level.", func() Intent {
			return several{pop{}, raiseLevel{w.snap.ID, r.to, r.text.Value()}, push{&callScreen{level: r.to, run: true}}}
		}).unless(off),
		does("esc", "go back", "Go back. Nothing has changed.", wish(pop{})),
		binding{keys: []string{"down"}, show: "up down", help: "which level", brief: "level", act: move(1)}.unless(one),
		binding{keys: []string{"up"}, long: "The level below.", act: move(-1)}.unless(one),
	}
}

func (r *raiseScreen) draw(w *world, a area) {
	width := min(a.w-4, 84)
	at := incident.LevelName(w.snap.Level)
	rs := append(wrapped(rDim, "It is "+at+". In doubt it is the higher one; it is never lowered.", width-4, 2), gap())
	for n := w.snap.Level + 1; n <= run.MaxLevel; n++ {
		point := "  "
		if n == r.to {
			point = "▸ "
		}
		rs = append(rs, row{left: []span{txt(rNow, point), levelBadge(n)}, tint: n == r.to})
		for _, l := range w.team.Levels {
			if l.Number == n {
				rs = append(rs, extra(labelled("    impact", 14, rText, l.Impact, width-4, 2))...)
				rs = append(rs, labelled("    response", 14, rText, l.Response+", within "+incident.Span(l.Recovery), width-4, 2)...)
			}
		}
	}
	c := incident.LevelClock(&w.snap.Run, w.team.Levels, w.now)
	if c.Reminds() {
		rs = append(append(rs, gap()), extra(wrapped(rWarn, c.Says+" "+c.Forecast, width-4, 2))...)
	}
	foot := []row{gap(), line(bold(rStrong, "Why?"), txt(rDim, "   It is recorded with your name."))}
	foot = append(foot, fieldRows(&r.text, width-4, rFrame)...)
	foot = append(foot, row{left: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing has changed")}, right: []span{txt(rDim, "[ enter  raise it ]")}})
	drawScroll(w, a, width, frame{title: []span{bold(rStrong, "RAISE THE LEVEL")}, heavy: true, role: rWarn}, rs, foot, 0)
}
