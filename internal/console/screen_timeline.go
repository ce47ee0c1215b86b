package console

import (
	"slices"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// timelineScreen lists every event of one run. It shows the past and asks for nothing.
type timelineScreen struct {
	rec    *pastRecord
	at     int // chosen event
	scroll int // of its details
	page   int // rows of the list in the newest frame
	path   string
}

func newTimeline(rec *pastRecord) screen { return &timelineScreen{rec: rec} }

var _ placed = (*timelineScreen)(nil)

func (t *timelineScreen) card() bool           { return false }
func (t *timelineScreen) field() *widget.Field { return nil }
func (t *timelineScreen) place() string        { return "history" }
func (t *timelineScreen) head(w *world) int    { return (&historyScreen{}).head(w) }

func (t *timelineScreen) exported(id run.ID, path string) {
	if id == t.rec.id {
		t.path = path
	}
}

func (t *timelineScreen) event() run.Event {
	t.at = min(max(t.at, 0), len(t.rec.Events)-1)
	return t.rec.Events[t.at]
}

// logName is the log that belongs to the chosen event, empty for none: that of a check, or
// that of the attempt that it is about.
func (t *timelineScreen) logName() string {
	ev := t.event()
	if c, ok := ev.Body.(run.Check); ok && c.Log != nil {
		return c.Log.Name
	}
	if ev.Step == "" {
		return ""
	}
	for i := t.at; i >= 0; i-- {
		if b, ok := t.rec.Events[i].Body.(run.Began); ok && t.rec.Events[i].Step == ev.Step {
			return b.Log
		}
	}
	for _, later := range t.rec.Events[t.at:] {
		if b, ok := later.Body.(run.Began); ok && later.Step == ev.Step {
			return b.Log
		}
	}
	return ""
}

func (t *timelineScreen) bindings(w *world) []binding {
	move := func(by int) func() Intent {
		return func() Intent { t.at, t.scroll = t.at+by, 0; t.event(); return nil }
	}
	noLog := ""
	if t.logName() == "" {
		noLog = "no step is behind this event, or it printed nothing"
	}
	copies := copyText{t.rec.Proof, "The hash of run " + t.rec.id.Short() + " is on the clipboard of the terminal: " + t.rec.Proof}
	if t.path != "" {
		copies = copyText{t.path, "The path of the report is on the clipboard of the terminal: " + t.path}
	}
	return []binding{
		{keys: []string{"up", "k"}, show: "up down", help: "move", long: "Event before.", act: move(-1)},
		{keys: []string{"down", "j"}, long: "Next event.", act: move(1)},
		does("p", "play from here", "Show the run as it was at this event, and go on from there. Nothing is sent to it.", func() Intent { return push{newPlayback(t.rec, t.at)} }).named("", "play"),
		does("l", "log of the step", "Show what the step of this event printed.", func() Intent { return push{&pastLog{rec: t.rec, name: t.logName()}} }).named("", "log").unless(noLog),
		does("e", "export", "Write the report of this run beside its logs. Nothing is overwritten.", wish(exportRun{t.rec.id})).unless(w.looking()),
		does("y", "copy the proof", "Copy the hash of this run, or the path of its report once it is written.", wish(copies)).named("", "copy"),
		{keys: []string{"esc", "enter"}, show: "esc", help: "back", act: wish(pop{})},
		{keys: []string{"space"}, long: "More of what is known of the event.", act: func() Intent { t.scroll += 6; return nil }},
		{keys: []string{"pgup", "ctrl+u"}, long: "A page up.", act: move(-max(t.page, 1))},
		{keys: []string{"pgdown", "ctrl+d"}, long: "A page down.", act: move(max(t.page, 1))},
		{keys: []string{"home", "g"}, long: "First event.", act: move(-1 << 40)},
		{keys: []string{"end", "G"}, long: "Last event.", act: move(1 << 40)},
		does("b", "bridge", "Back to the bridge.", wish(goHome{})),
		does("q", "", "Leave the console. Open runs go on.", wish(leave{})),
	}
}

func (t *timelineScreen) legend() row {
	return line(txt(rText, " +1:42"), txt(rDim, " after the one before   "), txt(rGate, "◆ "), txt(rDim, "token   "),
		txt(rText, "□ "), txt(rDim, "a person   "), txt(rOK, "✓ "), txt(rDim, "it holds   "), txt(rWarn, "▲ "), txt(rDim, "not as written   "),
		txt(rWarn, "? "), txt(rDim, "in doubt   "), txt(rFail, "✗ "), txt(rDim, "failed"))
}

func (t *timelineScreen) draw(w *world, a area) {
	drawBrand(w, a, "history")
	y := 1
	if wide(a) {
		y = 2
	}
	a.row(y, runLine(t.rec, a.w))
	y++
	for _, r := range owedRows(w) {
		a.row(y, r)
		y++
	}
	body := a.sub(y, a.h-y-footRows(a))
	ev := t.event()
	list, side := body, area{}
	switch {
	case wide(a):
		list, side = body.split(body.w * 3 / 5)
	case body.h >= 16:
		list, side = body.sub(0, body.h-body.h*2/5), body.sub(body.h-body.h*2/5, body.h*2/5)
	}
	t.drawList(list)
	if side.h == 0 {
		return
	}
	if wide(a) && side.h >= 24 {
		proof := evidenceOf(w, t.rec, side.w-4)
		side.sub(side.h-len(proof)-2, len(proof)+2).box(frame{title: []span{bold(rStrong, "EVIDENCE"), txt(rDim, "  run "+t.rec.id.Short())}, role: rFrame}).rows(proof)
		side = side.sub(0, side.h-len(proof)-2)
	}
	f := frame{title: []span{bold(rStrong, "EVENT "+itoa(t.at+1)), txt(rDim, "  of "+itoa(len(t.rec.Events)))}, role: rFrame}
	drawParts(side.box(f), eventDetail(t.rec, ev, side.w-4), nil, t.scroll, "space")
}

// runLine says in one row which run of the past is on the screen.
func runLine(rec *pastRecord, width int) row {
	s := &rec.snap
	mode, badge, _ := modeLook(s.Started.Mode)
	outcome, role, glyph := "open", rNow, "▸"
	if !s.Open() {
		outcome = string(s.Outcome)
		glyph, role, _ = outcomeLook(s.Outcome)
	}
	r := row{left: []span{txt(rText, " "), txt(badge, " "+mode+" "), txt(rText, " "), bold(rStrong, s.Started.Book), txt(rDim, "  run "), bold(rText, s.ID.Short())},
		right: []span{txt(role, glyph+" "+outcome+" ")}}
	if width >= 80 {
		r.left = append(r.left, txt(rDim, "  "+s.At.UTC().Format("Mon 2 Jan 2006 15:04:05")+", by "), txt(rText, s.Started.By))
	}
	return r
}

// drawList draws the events around the chosen one. Only what is seen is put into words.
func (t *timelineScreen) drawList(a area) {
	evs := t.rec.Events
	in := a.box(frame{title: []span{bold(rStrong, "TIMELINE"), txt(rDim, "  "+plural(len(evs), "event", "events"))}, heavy: true, role: rHeavy})
	t.page = max(in.h, 1)
	from := min(max(t.at-in.h/2, 0), max(len(evs)-in.h, 0))
	for i := from; i < min(len(evs), from+in.h); i++ {
		r := t.row(i, in.w)
		if i == t.at {
			mark(&r, 0)
		}
		in.row(i-from, r)
	}
}

func (t *timelineScreen) row(i, width int) row {
	ev := t.rec.Events[i]
	since := time.Duration(0)
	day := false
	if i > 0 {
		before := t.rec.Events[i-1].At
		since, day = ev.At.Sub(before), !sameDay(before, ev.At)
	}
	said := eventWords(&t.rec.snap, ev)
	stamp := hhmmss(ev.At)
	if day {
		stamp = padLeft(ev.At.UTC().Format("2 Jan"), 8)
	}
	spans := []span{txt(rFaint, stamp), txt(rText, " "), txt(rDim, padLeft(gapWords(since), 7)+" "), txt(said.role, said.glyph+" ")}
	if n := t.rec.snap.index(ev.Step); n >= 0 {
		spans = append(spans, txt(rDim, itoa(n+1)+" "))
	}
	text := txt(rText, said.text)
	if said.role == rFail || said.role == rWarn {
		text = bold(said.role, said.text)
	}
	if n := t.rec.snap.index(ev.Step); n >= 0 && width >= 60 && slices.Contains([]run.Kind{run.StepBegan, run.GateOpened, run.UndoBegan}, ev.Kind) {
		spans = append(spans, bold(rStrong, t.rec.snap.Steps[n].Title), txt(rText, "  "))
	}
	if said.by != "" {
		spans = append(spans, bold(rText, said.by), txt(rText, " "))
	}
	return line(append(spans, text)...)
}

func sameDay(a, b time.Time) bool {
	y, m, d := a.UTC().Date()
	yy, mm, dd := b.UTC().Date()
	return y == yy && m == mm && d == dd
}

// pastLog shows the log of a step of the past.
type pastLog struct {
	logScreen
	rec  *pastRecord
	name string
}

type (
	viewLog struct {
		rec  *pastRecord
		name string
	}
	dropPast struct{} // let go of that log, and of its run
)

func (viewLog) intent()  {}
func (dropPast) intent() {}

func (p *pastLog) opens(*world) Intent { return viewLog{p.rec, p.name} }

func (p *pastLog) bindings(w *world) []binding {
	bs := p.logScreen.bindings(w)
	for i, b := range bs {
		if !p.seeking && slices.Contains(b.keys, "l") && slices.Contains(b.keys, "q") { // back to the run
			bs[i].help, bs[i].act = "back to the timeline", wish(several{dropPast{}, pop{}})
		}
	}
	return bs
}

// lend puts a moment of the past into the world while something is drawn, and gives back
// how to end that. No run of now is touched: the snapshot of the world stands only for
// what is drawn.
func lend(w *world, s *snapshot, now time.Time) (giveBack func()) {
	before := *w
	w.snap, w.now, w.runs, w.below, w.room, w.away = s, now, nil, nil, Room{}, nil
	return func() {
		log := w.log // what a pane of it remembers of the newest frame stays
		*w = before
		w.log = log
	}
}
