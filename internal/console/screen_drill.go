package console

import (
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// The run screen of a drill has the score so far in place of the notes, and a box for what
// happens to the trainee. That box never has the keyboard: an inject that arrives while
// somebody types changes no key. It is answered in a card that the trainee opens.

// openInject is the inject that waits for an answer, nil for none.
func openInject(w *world) *run.InjectState {
	if w.snap == nil || w.snap.Drill == nil || !w.snap.Open() {
		return nil
	}
	return w.snap.Drill.Open()
}

// bindings of a run, with those of a drill among them.
func (r *runScreen) bindings(w *world) []binding {
	bs := r.keys(w)
	if w.snap == nil || w.snap.Drill == nil {
		return bs
	}
	typing := r.field() != nil
	over := r.asked() != nil && r.asked().over()
	for i, b := range bs {
		if slices.Equal(b.keys, []string{"x"}) {
			bs[i].keys, bs[i].show = []string{waysLetter(w)}, waysLetter(w)
		}
	}
	at := 0 // behind what the gate is about
	if r.asked() != nil {
		at = min(2, len(bs))
	}
	mine := []binding{injectKey(w, typing), hintKey(w, typing)}
	if over && openInject(w) == nil {
		mine[0] = mine[0].unlisted()
	}
	if over {
		mine[1] = mine[1].unlisted()
	}
	bs = slices.Insert(bs, at, mine...)
	if !typing {
		end := slices.IndexFunc(bs, func(b binding) bool { return slices.Contains(b.keys, "u") || slices.Contains(b.keys, "l") })
		if end < 0 {
			end = len(bs)
		}
		bs = slices.Insert(bs, end, endKey(w))
	}
	return bs
}

// waysLetter is the key of the other ways on: x, which ends a drill, and w there.
func waysLetter(w *world) string {
	if w.snap != nil && w.snap.Drill != nil {
		return "w"
	}
	return "x"
}

// refused tells the gate of a key that did nothing.
func (r *runScreen) refused(key string) {
	if t, ok := r.asked().(*tokenGate); ok {
		t.refused(key)
	}
}

// injectKey answers an inject. Where letters are text it is F5: F4 is about who
// drives.
func injectKey(w *world, typing bool) binding {
	off := ""
	open := openInject(w)
	if open == nil {
		off = "no inject waits for an answer"
	}
	b := binding{keys: []string{"i", "f5"}, show: "i", help: "answer the inject", brief: "inject",
		long: "Say what the inject changes. F5 also while you type.", act: func() Intent { return push{&injectScreen{inject: *openInject(w)}} }}
	if typing {
		b.keys, b.show = []string{"f5"}, "f5"
	}
	return b.unless(off).unless(nobodyHosts(w))
}

// hintKey takes a hint, once the trainee knows its price. Where letters are text it is F6.
func hintKey(w *world, typing bool) binding {
	off := ""
	st := w.snap.step()
	var h run.Hint
	if st == nil {
		off = "there is no step"
	} else if next, ok := w.snap.Drill.Next(st.ID); ok {
		h = next
	} else {
		off = "there is no hint for this step"
	}
	b := binding{keys: []string{"h", "f6"}, show: "h", help: "hint", long: "Take a hint for this step. It says what it costs and asks first.", act: func() Intent {
		return push{&card{
			title: "TAKE A HINT?", badge: rDrillBadge,
			body: st.Title + "\n\nIt costs " + plural(h.Cost, "point", "points") + ". The guidance of the step is free: tab shows all of it.",
			yes:  does("1", "take it for "+plural(h.Cost, "point", "points"), "Take the hint.", wish(several{pop{}, takeHint{w.snap.ID, st.ID}})),
		}}
	}}
	if typing {
		b.keys, b.show = []string{"f6"}, "f6"
	}
	return b.unless(off).unless(nobodyHosts(w))
}

func endKey(w *world) binding {
	off := ""
	if !w.snap.Open() {
		off = "it is over"
	}
	return does("x", "end the drill", "End the drill early. It asks first, and it is safe.", func() Intent {
		return push{&card{
			title: "END THE DRILL?", badge: rDrillBadge,
			body: "It is allowed and safe. What runs is stopped, nothing more is asked, and what is broken is a sandbox that the next drill makes anew.\n\n" +
				"The oracle then looks, and points that are still open are missing.",
			yes: does("1", "end it now", "End the drill.", wish(several{pop{}, endDrill{w.snap.ID}})),
		}}
	}).named("", "end drill").unless(off).unless(nobodyHosts(w))
}

func nobodyHosts(w *world) string {
	if adrift(w) {
		return "nothing drives the drill; r takes it up again"
	}
	return w.watching()
}

// injectScreen takes an answer to an inject. It is a card of its own and of no gate: it
// stays when the gate below it goes.
type injectScreen struct {
	inject run.InjectState
	text   widget.Field
}

func (s *injectScreen) card() bool { return true }

func (s *injectScreen) field() *widget.Field {
	if len(s.inject.Choices) > 0 {
		return nil
	}
	return &s.text
}

// gone says why it cannot be answered any more.
func (s *injectScreen) gone(w *world) string {
	if w.snap == nil || w.snap.Drill == nil || !w.snap.Open() {
		return "the drill is over"
	}
	for _, i := range w.snap.Drill.Arrived {
		if i.Name == s.inject.Name && i.Answer != nil {
			return "it was answered already"
		}
	}
	return ""
}

func (s *injectScreen) say(w *world, text string) Intent {
	return handIn{s, w.snap.ID, sayInject{w.snap.ID, s.inject.Name, text}, ""}
}

func (s *injectScreen) bindings(w *world) []binding {
	back := does("esc", "go back", "Go back. The inject waits, and its clock goes on.", wish(pop{}))
	if n := len(s.inject.Choices); n > 0 {
		bs := []binding{{show: numbers(n), help: "choose", long: "Choose an answer by its number."}}
		for i, c := range s.inject.Choices {
			bs = append(bs, does(itoa(i+1), "", c, func() Intent { return s.say(w, itoa(i+1)) }).unless(s.gone(w)))
		}
		return append(bs, back)
	}
	off := ""
	if s.text.Empty() {
		off = "nothing has been typed"
	}
	return []binding{
		{show: "type", help: "what this changes"},
		does("enter", "answer", "Hand in the answer.", func() Intent { return s.say(w, s.text.Value()) }).unless(off).unless(s.gone(w)),
		back,
	}
}

func (s *injectScreen) draw(w *world, a area) {
	width := min(a.w-4, 84)
	if a.w < 76 {
		width = a.w
	}
	rs := append(injectSays(&s.inject, width-4, 8), gap())
	if n := len(s.inject.Choices); n > 0 {
		for i, c := range s.inject.Choices {
			for k, l := range wrap(c, width-11, 3) {
				r := line(txt(rKeycap, " "+itoa(i+1)+" "), txt(rText, "  "+l))
				if k > 0 {
					r = line(txt(rText, "     "+l))
				}
				rs = append(rs, r)
			}
		}
	} else {
		rs = append(rs, fieldRows(&s.text, width-4, rDrill)...)
	}
	rs = append(rs, row{left: []span{bold(rStrong, "esc"), txt(rDim, " go back, the clock goes on")}, right: timed(w, &s.inject)})
	_, _, border := modeLook(run.Drill)
	drawCard(w, a, width, frame{title: injectTitle(w, s.inject.Name), heavy: true, role: border}, rs)
}

// injectTitle is "INJECT 2 of 3".
func injectTitle(w *world, name string) []span {
	d := w.snap.Drill
	n := slices.IndexFunc(d.Arrived, func(i run.InjectState) bool { return i.Name == name }) + 1
	return []span{txt(rDrillBadge, fmt.Sprintf(" INJECT %d of %d ", n, len(d.Injects)))}
}

// injectSays is who says what, and what is asked.
func injectSays(i *run.InjectState, width, limit int) []row {
	rs := []row{line(txt(rFaint, hhmmss(i.At)+"  "), txt(rText, i.From))}
	rs = append(rs, wrapped(rStrong, "\""+i.Text+"\"", width, limit)...)
	return append(rs, extra(wrapped(rDim, i.Ask, width, 2))...)
}

// timed is the clock of an inject.
func timed(w *world, i *run.InjectState) []span {
	took := w.since(i.At)
	if i.Within <= 0 {
		return []span{txt(rDim, "timed "), txt(rText, clock(took))}
	}
	role := rText
	switch {
	case took > i.Within:
		role = rFail
	case took*100 > i.Within*85:
		role = rWarn
	}
	return []span{txt(rDim, "timed "), bold(role, clock(took)), txt(rDim, " of "+clock(i.Within))}
}

// injectLine is an inject that waits, in one row above the keys of a small window, where a
// gate may cover its box.
func injectLine(w *world, width int) (row, bool) {
	i := openInject(w)
	if i == nil {
		return row{}, false
	}
	r := row{left: append([]span{txt(rText, " ")}, injectTitle(w, i.Name)...), right: append(timed(w, i), txt(rText, " "))}
	r.left = append(r.left, txt(rText, "  "+i.From+": "), txt(rDim, i.Text))
	return r, width >= 60
}

// asideRows is what happens to the trainee: the inject that waits, with its clock, or the
// hints that were taken for this step.
func asideRows(w *world, width int, tall bool) (f frame, rs []row) {
	if i := openInject(w); i != nil {
		f = frame{title: append(injectTitle(w, i.Name), txt(rDim, "  arrived "+since(w.since(i.At))+" ago")), role: rDrill}
		rs = injectSays(i, width, 4)
		if n := len(slices.DeleteFunc(slices.Clone(w.snap.Drill.Arrived), func(s run.InjectState) bool { return s.Answer != nil })); n > 1 {
			f.right = []span{txt(rWarn, plural(n, "waits", "wait"))}
		}
		if tall {
			rs = append(rs, gap())
		}
		what := "say what this changes"
		if len(i.Choices) > 0 {
			what = "choose an answer"
		}
		key := "i"
		if w.typing {
			key = "f5"
		}
		return f, append(rs, row{left: []span{bold(rStrong, key), txt(rDim, " "+what)}, right: timed(w, i)})
	}
	st := w.snap.step()
	if st == nil || !w.snap.Open() {
		return f, nil
	}
	for _, t := range w.snap.Drill.Taken {
		if t.Step == st.ID {
			rs = append(rs, wrapped(rText, t.Text, width, 3)...)
		}
	}
	return frame{title: []span{bold(rStrong, "HINT"), txt(rDim, "  for this step")}, role: rFrame}, rs
}

// drawBelow draws the inject that waits below a gate, where there is room: the gate has the
// keyboard, and the inject must be seen.
func drawBelow(w *world, a area, y int) {
	i := openInject(w)
	if i == nil {
		return
	}
	width := min(a.w-4, max(84, a.w-20), 104)
	if a.w < 76 {
		width = a.w
	}
	f, rs := asideRows(w, width-4, false)
	room := a.h - footRows(a) - y
	if room < 4 {
		return
	}
	high := min(len(rs)+2, room)
	box := area{a.c, a.x + (a.w-width)/2, a.y + y, width, high}
	a.c.Clear(box.x, box.y, box.w, box.h)
	in := box.box(f)
	in.rows(rs)
	if n := len(rs); n > in.h {
		a.c.Clear(in.x, in.y+in.h-1, in.w, 1)
		in.row(in.h-1, rs[n-1])
	}
}

// since is a short time in words: "12 s", "3:45".
func since(d time.Duration) string {
	if d < time.Minute {
		return itoa(int(d.Seconds())) + " s"
	}
	return clock(d)
}

// drawDrill is drawMain of a drill: step, inject, log, and in a narrow window the score.
func (r *runScreen) drawDrill(w *world, a area) {
	if !wide(a) && w.size.w < 110 {
		strip := scoreStrip(w, a.w)
		if a.h < 14 {
			strip = strip[:1]
		}
		below := a.sub(a.h-len(strip), len(strip))
		below.rows(strip)
		a = a.sub(0, a.h-len(strip))
	}
	f, rs := asideRows(w, a.w-4, a.h >= 24)
	if len(rs) == 0 {
		r.drawMain(w, a)
		return
	}
	high := min(len(rs)+2, max(a.h/2, 5))
	step, head, foot := r.current(w, a.w-4)
	room := a.h - high
	need := len(head) + len(foot) + 2
	log := 0
	if a.w >= 78 && room-need >= 4 && w.log.name != "" {
		log = room - need
	}
	drawParts(a.sub(0, room-log).box(step), head, foot, r.scrolled(), "tab")
	box := a.sub(room-log, high).box(f)
	box.rows(rs)
	if n := len(rs); n > box.h && box.h > 0 { // what says how to answer stays
		a.c.Clear(box.x, box.y+box.h-1, box.w, 1)
		box.row(box.h-1, rs[n-1])
	}
	if log > 0 {
		drawLog(w, a.sub(a.h-log, log), rFrame)
	}
}

// drillNames is who is in a drill, for the right end of the first row.
func drillNames(w *world, book []span, wide bool) []span {
	d := w.snap.Drill
	out := []span{txt(rDim, "trainee "), txt(rText, d.Trainee)}
	id := []span{txt(rDim, " · drill "), bold(rText, w.snap.ID.Short()), txt(rText, " ")}
	if !wide {
		return append(out, id...)
	}
	room := w.size.w - 14 - widget.Width(printable.Line(w.snap.Started.Asset+w.snap.Started.Title)) - spansWidth(out) - spansWidth(id)
	if lead := []span{txt(rDim, " · facilitator "), txt(rText, d.Facilitator)}; d.Facilitator != "" && spansWidth(lead) <= room {
		out = append(out, lead...)
		room -= spansWidth(lead)
	}
	if head := append(slices.Clone(book), txt(rDim, " · ")); spansWidth(head) <= room {
		out = append(head, out...)
	}
	return append(out, id...)
}

// arrivals tells of injects that came since the last look, in a line that changes no key.
func (m *Model) arrivals() Intent {
	s := m.snap
	if s.Drill == nil || len(s.Drill.Arrived) <= s.told {
		return nil
	}
	first := s.told == 0 && s.Drill.Arrived[len(s.Drill.Arrived)-1].Answer != nil // it was looked at later
	s.told = len(s.Drill.Arrived)
	i := openInject(&m.world)
	if first || i == nil {
		return nil
	}
	return say{fmt.Sprintf("Inject %d has arrived, from %s. F5 answers it, also while you type.", s.told, printable.Line(i.From))}
}
