package console

import (
	"maps"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// playback shows a run as it was at one of its events, with the screens of that time. It
// is drawn from the fold of the events up to there, has no keys of a run, and sends
// nothing anywhere.
type playback struct {
	rec    *pastRecord
	at     int // events that had happened, from 1
	snap   snapshot
	scroll int
	stops  []snapshot // after every stopEvery events, so that going back is quick
}

const stopEvery = 64

// newPlayback shows the moment after the event with the index.
func newPlayback(rec *pastRecord, event int) screen {
	p := &playback{rec: rec}
	p.seek(event + 1)
	return p
}

var _ placed = (*playback)(nil)

func (p *playback) card() bool           { return false }
func (p *playback) field() *widget.Field { return nil }
func (p *playback) place() string        { return "history" }
func (p *playback) head(*world) int      { return 1 }

// seek folds the first n events. What was folded before is not folded again.
func (p *playback) seek(n int) {
	n = min(max(n, 1), len(p.rec.Events))
	p.scroll = 0
	if n < p.at || p.at == 0 {
		stop := min((n-1)/stopEvery, len(p.stops))
		p.at, p.snap = 0, snapshot{}
		if stop > 0 {
			p.at, p.snap = stop*stopEvery, p.stops[stop-1]
		}
	}
	for ; p.at < n; p.at++ {
		s := p.snap
		s.asked = maps.Clone(s.asked)
		s.add(p.rec.Events[p.at : p.at+1])
		p.snap = s
		if (p.at+1)%stopEvery == 0 && len(p.stops) == p.at/stopEvery {
			p.stops = append(p.stops, p.snap)
		}
	}
}

func (p *playback) event() run.Event { return p.rec.Events[p.at-1] }

// step finds the next event, or the one before, with which a step begins or a question is
// asked.
func (p *playback) step(by int) {
	for n := p.at + by; n >= 1 && n <= len(p.rec.Events); n += by {
		switch p.rec.Events[n-1].Kind {
		case run.StepBegan, run.GateOpened, run.StepFailed, run.StepDoubted, run.RunEnded, run.RunStarted:
			p.seek(n)
			return
		}
	}
	p.seek(p.at + by*len(p.rec.Events))
}

func (p *playback) bindings(*world) []binding {
	first, last := "", ""
	if p.at <= 1 {
		first = "this is the first event"
	}
	if p.at >= len(p.rec.Events) {
		last = "this is the last event"
	}
	to := func(n int) func() Intent { return func() Intent { p.seek(n); return nil } }
	by := func(n int) func() Intent { return func() Intent { p.step(n); return nil } }
	return []binding{
		{keys: []string{"right", "l", "space"}, show: "right", help: "next event", brief: "next", long: "One event on.", act: to(p.at + 1), off: last},
		{keys: []string{"left", "h", "backspace"}, show: "left", help: "event before", brief: "before", long: "One event back.", act: to(p.at - 1), off: first},
		{keys: []string{"down", "j"}, show: "up down", help: "by step", long: "On to where the next step begins, asks or fails.", act: by(1), off: last},
		{keys: []string{"up", "k"}, long: "Back to where a step began, asked or failed.", act: by(-1), off: first},
		{keys: []string{"home", "g"}, help: "first", long: "The first event.", act: to(1), off: first},
		{keys: []string{"end", "G"}, help: "last", long: "The last event.", act: to(len(p.rec.Events)), off: last},
		{keys: []string{"esc", "p"}, show: "esc", help: "back", act: wish(pop{})},
		does("b", "", "Back to the bridge.", wish(goHome{})),
		does("q", "", "Leave the console. Open runs go on.", wish(leave{})),
	}
}

func (p *playback) legend() row {
	t := eventWords(&p.rec.snap, p.event())
	spans := []span{txt(rText, " "), txt(t.role, t.glyph+" ")}
	if name := stepName(&p.rec.snap, p.event()); name != "" {
		spans = append(spans, txt(rDim, name+"  "))
	}
	if t.by != "" {
		spans = append(spans, bold(rText, t.by), txt(rText, " "))
	}
	return line(append(spans, txt(rText, t.text))...)
}

func (p *playback) draw(w *world, a area) {
	ev := p.event()
	a.row(0, row{
		left:  []span{txt(rWarnBadge, " PLAYBACK "), txt(rText, " event "), bold(rStrong, itoa(p.at)), txt(rDim, " of "+itoa(len(p.rec.Events))+"   "), bold(rText, hhmmss(ev.At)), txt(rDim, " UTC "+ev.At.UTC().Format("2 Jan 2006"))},
		right: []span{txt(rDim, "the past, read only ")},
	})
	defer lend(w, &p.snap, ev.At)()
	size := w.size
	defer func() { w.size = size }()
	w.size.h--
	below := a.sub(1, a.h-1)
	if !p.snap.Open() {
		(&resultScreen{scroll: p.scroll}).draw(w, below)
		return
	}
	r := &runScreen{}
	r.take(w)
	r.draw(w, below)
}
