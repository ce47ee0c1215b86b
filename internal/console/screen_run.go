package console

import (
	"slices"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// runScreen shows a run: where it is, what happens, what comes next, and whether there
// is a way back. The open gate is part of it.
type runScreen struct {
	gate  gateView // of the open gate; nil for none
	later bool     // the person put the gate aside
	world *world   // of the console; nil before a gate was open
}

func (r *runScreen) card() bool { return false }

// take brings the gate on the screen in line with the snapshot.
func (r *runScreen) take(w *world) {
	r.gate, r.later, r.world = nil, false, w
	if g := w.snap.Gate; g != nil {
		r.gate = newGate(w, g)
	}
}

// asked is the gate that has the keyboard; nil for none.
func (r *runScreen) asked() gateView {
	if r.gate == nil || r.later {
		return nil
	}
	return r.gate
}

func (r *runScreen) field() *widget.Field {
	if r.world != nil && r.world.watching() != "" {
		return nil // it is somebody else's to type
	}
	if g := r.asked(); g != nil {
		return g.field()
	}
	return nil
}

func (r *runScreen) paste(text string) Intent {
	if r.field() == nil {
		return nil
	}
	if g, ok := r.asked().(paster); ok {
		return g.paste(text)
	}
	if f := r.field(); f != nil {
		f.Insert(text)
	}
	return nil
}

// typed and rests tell the danger gate how its token arrives.
func (r *runScreen) typed() bool {
	t, ok := r.asked().(*tokenGate)
	return ok && t.typed()
}

func (r *runScreen) rests() {
	if t, ok := r.asked().(*tokenGate); ok {
		t.rests()
	}
}

// remark says at the end of the footer why most keys are off.
func (r *runScreen) remark(w *world) string {
	if w.watching() != "" && !w.o.Look {
		return w.driver() + " drives, you watch"
	}
	if g := r.asked(); g != nil && g.over() && g.field() != nil {
		return "other keys are off while the gate is open"
	}
	return ""
}

// keys are those of a run, drill or not.
func (r *runScreen) keys(w *world) []binding {
	g := r.asked()
	if g == nil {
		if r.gate != nil {
			back := does("enter", "open the gate", "Open the question that waits for you.", func() Intent { r.later = false; return nil })
			return append([]binding{back}, runKeys(w, r)...)
		}
		return runKeys(w, r)
	}
	bs := g.bindings(w)
	if why := w.watching(); why != "" {
		for i := range bs {
			if !slices.ContainsFunc(bs[i].keys, func(k string) bool { return slices.Contains([]string{"up", "down", "pgup", "pgdown", "y"}, k) }) {
				bs[i] = bs[i].unless(why).unlisted()
			}
		}
		return append(bs, runKeys(w, r)...)
	}
	if w.sent == w.snap.Gate.Seq {
		for i := range bs {
			bs[i] = bs[i].unless("your answer is on its way")
		}
	}
	aside := does("esc", "later", "Put the question aside. Nothing has changed, the run waits.", func() Intent { r.later = true; return nil })
	if g.over() {
		aside.help = "go back, nothing has changed"
		aside.brief = "go back"
	}
	if g.over() || g.field() != nil { // after what it is first of all about
		typing := g.field() != nil
		return append(slices.Insert(bs, min(2, len(bs)), aside), driverKey(w, typing))
	}
	return append(append(bs, aside.unlisted()), runKeys(w, r)...)
}

// unlisted keeps a binding out of the footer.
func (b binding) unlisted() binding {
	if b.long == "" {
		b.long = b.help
	}
	b.help = ""
	return b
}

// runKeys are the keys of a run outside of gates.
func runKeys(w *world, r *runScreen) []binding {
	s := w.snap
	noStop, noUndo, noWays, hosted := "", "", "", "a process drives the run"
	if adrift(w) {
		hosted = ""
	}
	working := s.Working()
	if working == nil {
		noStop = "no step is running"
	}
	if adrift(w) {
		noStop = "nothing drives the run"
	}
	if len(s.changes()) == 0 {
		noUndo = "nothing has been changed so far"
	}
	if r.gate == nil || len(r.gate.ways()) == 0 {
		noWays = "no gate is open"
	}
	bs := []binding{
		driverKey(w, false),
		does("r", "take the run up again", "Start a process for this run. The last one has ended.", wish(hostRun{s.ID})).named("", "take up").unless(hosted).unless(w.looking()),
		does("x", "other ways on", "Skip the step with a reason, or end the run.", func() Intent {
			return push{newWays(r.gate)}
		}).named("", "ways").unless(noWays).unless(w.watching()),
		does("s", "stop step", "Stop the step that is running. Asks first.", func() Intent { return push{stopCard(w, working)} }).named("", "stop").unless(noStop).unless(w.watching()),
		does("l", "full log", "Show the whole log of the step, and search it.", wish(push{&logScreen{}})).named("", "log"),
		noteKey(w),
		raiseKey(w, false),
		does("u", "undo plan", "Show what has been changed and how to go back. Runs nothing.", wish(push{&undoScreen{}})).named("", "undo").unless(noUndo),
		does("tab", "all steps", "Show all steps with their evidence.", wish(push{&stepsScreen{at: -1}})).named("", "steps"),
		does("o", "leave it running, go home", "Go home. The run goes on, or waits at its gate.", wish(goHome{})).named("", "go home"),
		statusKey(w),
		does("q", "leave", "Leave the console. The run goes on without it.", wish(leave{})),
	}
	if r.asked() == nil { // else they move in the gate
		bs = append(bs, logKeys(w)...)
	}
	return bs
}

// logKeys scroll the log beside the step. Going up pauses it, the end follows again.
func logKeys(w *world) []binding {
	p := &w.log.pane
	off := ""
	switch {
	case w.size.w < 78:
		off = "there is no room for the log beside the step; l opens it"
	case w.log.spool == nil:
		off = "there is no log yet"
	}
	key := func(long string, do func(), keys ...string) binding {
		return binding{keys: keys, long: long, act: func() Intent { do(); return feedLog{} }}.unless(off)
	}
	return []binding{
		key("Scroll the log up. It pauses.", func() { p.Scroll(-1) }, "up", "k"),
		key("Scroll the log down.", func() { p.Scroll(1) }, "down", "j"),
		key("Ten lines up in the log.", func() { p.Scroll(-10) }, "pgup"),
		key("Ten lines down in the log.", func() { p.Scroll(10) }, "pgdown"),
		key("To the first line of the log.", p.First, "g", "home"),
		key("Follow the log again.", p.Follow, "G", "end"),
	}
}

func (r *runScreen) draw(w *world, a area) {
	drawRunHead(w, a)
	foot := footRows(a)
	body := a.sub(w.head(), a.h-w.head()-foot)
	if w.snap.broken != nil {
		f := body.box(frame{title: []span{txt(rFailBadge, " ✗ NOT UNDERSTOOD ")}, heavy: true, role: rFail})
		f.rows(append(wrapped(rText, w.snap.broken.Error(), f.w, 0), gap(),
			line(txt(rDim, "Nothing more is shown, so that nothing wrong is. The run is not touched by this."))))
		return
	}
	if w.snap.step() == nil {
		body.rows([]row{line(txt(rDim, " reading the run …"))})
		return
	}
	main := body
	if wide(a) {
		var rail area
		rail, main = body.split(40)
		drawRail(w, rail)
	}
	if w.snap.Drill != nil {
		r.drawDrill(w, main)
	} else {
		r.drawMain(w, main)
	}
	if g := r.asked(); g != nil && g.over() {
		fade(w, a.sub(0, a.h-foot))
		drawBelow(w, a, drawOver(w, a, g))
	}
}

// drawMain gives out the rows: the current step or its gate, NEXT and the way back,
// then what is left to the log.
func (r *runScreen) drawMain(w *world, a area) {
	next := nextRows(w, a.w-4)
	tail := len(next) + 1
	boxed := wide(a) || a.w >= 78 && a.h >= 26
	if boxed && next != nil {
		tail = len(next) + 4
	}
	if a.h < 17 {
		tail = 1
		next = nil
	}
	room := a.h - tail
	logMin := 5
	if a.w < 78 || room < 13 || (w.log.name == "" || w.log.pane.Total() == "0 lines") && w.snap.Working() == nil {
		logMin = 0 // behind l, or there is none yet
	}
	f, head, foot := r.current(w, a.w-4)
	need := len(head) + len(foot) + 2
	if need > room && foot != nil && !boxed { // a question comes before what is next
		next, room = nil, a.h-1
	}
	high := min(need, room-logMin)
	least := min(need, len(shed(shed(head, len(head), 1), len(head), 2))+2) // without what only explains
	if foot != nil {
		least = need // a question comes before the log
	}
	if high < least {
		logMin = 0
	}
	if logMin == 0 {
		high = room
	}
	more := "tab"
	if r.gate != nil && !r.gate.over() {
		more = "down"
	}
	drawParts(a.sub(0, high).box(f), head, foot, r.scrolled(), more)
	if logMin > 0 {
		drawLog(w, a.sub(high, room-high), rFrame)
	}
	if next != nil {
		if boxed {
			n := a.sub(room, len(next)+2)
			n.box(frame{title: []span{bold(rStrong, "NEXT")}, role: rFrame}).rows(next)
		} else {
			for i, l := range next {
				l.left = append([]span{bold(rStrong, pad([]string{" NEXT", ""}[min(i, 1)], 7))}, l.left...)
				a.row(room+i, l)
			}
		}
	}
	a.row(a.h-1, backRow(w))
}

func (r *runScreen) scrolled() int {
	if g := r.asked(); g != nil && !g.over() {
		return g.scrolled()
	}
	return 0
}

// current is the box of the current step: its gate when that belongs in its place.
func (r *runScreen) current(w *world, width int) (f frame, head, foot []row) {
	_, _, border := modeLook(w.snap.Started.Mode)
	if r.gate != nil && !r.gate.over() {
		head, foot = r.gate.rows(w, width)
		foot = watchedFoot(w, r.gate, foot)
		f = r.gate.frame(w)
		f.heavy, f.role = true, border
		return f, head, foot
	}
	f = stepFrame(w)
	f.heavy, f.role = true, border
	if g := r.asked(); g != nil {
		f.heavy, f.role = false, rFrame // the gate took the heavy border over
	}
	return f, stepRows(w, width), nil
}

// backRow says whether there is a way back and what has been changed.
func backRow(w *world) row {
	s := w.snap
	list := s.changes()
	if len(list) == 0 {
		return line(txt(rDim, " ◂ nothing has been changed so far"))
	}
	open, what := true, []span{}
	for n, i := range list {
		st := &s.Steps[i]
		open = open && st.Back != ""
		if n > 0 {
			what = append(what, txt(rText, ", "))
		}
		what = append(what, txt(rText, st.Title), txt(rDim, " (step "+itoa(i+1)+")"))
	}
	head := []span{txt(rOK, " ◂ way back is open"), txt(rDim, "   changed so far: ")}
	if !open {
		head = []span{txt(rWarn, " ◂ no full way back"), txt(rDim, "   changed so far: ")}
	}
	return line(append(head, what...)...)
}

// adrift says whether the run is open and no process drives it: the last one died.
func adrift(w *world) bool {
	return w.snap != nil && w.snap.Open() && slices.ContainsFunc(w.runs, func(s Summary) bool { return s.ID == w.snap.ID && !s.Hosted })
}

// stepFrame is the border of the current step.
func stepFrame(w *world) frame {
	s := w.snap
	st := s.step()
	words := string(st.State)
	var took span
	switch st.State {
	case run.Running, run.Checking:
		took = txt(rText, clock(w.since(st.Began)))
		if st.Undoing {
			words = "undoing"
		}
		if adrift(w) {
			words, took = "was running", span{}
		}
	case run.Waiting, run.Failed:
		if s.Gate != nil {
			words, took = "waiting for "+w.needed(), txt(rText, clock(w.since(s.gateAt)))
		}
	case run.Pending:
		words = "reading the target"
	}
	glyph, role, kind := stepLook(st.Outline)
	return frame{
		title: []span{txt(rText, "▸ "), bold(rStrong, "STEP "+itoa(s.now()+1)+" of "+itoa(len(s.Steps))), bold(rText, "  "+words), txt(rText, "  "), took},
		right: []span{txt(role, glyph), txt(rDim, " "+kind)},
	}
}
