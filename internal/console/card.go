package console

import (
	"slices"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// card is a small screen over another: something to read, and perhaps to agree to with
// a number. A letter never agrees to anything, nor does enter.
type card struct {
	title string
	badge widget.Role
	body  string
	hints []string
	yes   binding     // what 1 does; without keys it is only to be read
	gate  bool        // it goes when the gate below it goes
	at    run.Attempt // of a step that it is about: it goes when that has ended; zero: of none
}

func (c *card) card() bool           { return true }
func (c *card) field() *widget.Field { return nil }
func (c *card) ofGate() bool         { return c.gate }

func (c *card) bindings(*world) []binding {
	if len(c.yes.keys) > 0 {
		return []binding{c.yes, does("esc", "no, go back", "Go back. Nothing has changed.", wish(pop{}))}
	}
	return []binding{{keys: []string{"esc", "enter"}, show: "esc", help: "go back", act: wish(pop{})}}
}

func (c *card) draw(w *world, a area) {
	width := min(a.w-4, 76)
	rs := []row{}
	for _, para := range strings.Split(c.body, "\n\n") {
		rs = append(append(rs, gap()), wrapped(rText, para, width-4, 8)...)
	}
	if len(c.hints) > 0 {
		rs = append(rs, gap())
	}
	for _, h := range c.hints {
		rs = append(rs, labelled("▲", 2, rText, h, width-4, 4)...)
	}
	rs = append(rs, gap())
	if len(c.yes.keys) > 0 {
		rs = append(rs, row{left: []span{txt(c.badge, " "+c.yes.label()+" "), bold(rStrong, " "+c.yes.help)},
			right: []span{bold(rStrong, "esc"), txt(rDim, " no, go back")}})
	} else {
		rs = append(rs, row{right: []span{bold(rStrong, "esc"), txt(rDim, " go back")}})
	}
	drawCard(w, a, width, frame{title: []span{txt(c.badge, " "+c.title+" ")}, heavy: true, role: badgeBorder(c.badge)}, rs)
}

// badgeBorder is the border that belongs to a badge.
func badgeBorder(badge widget.Role) widget.Role {
	switch badge {
	case rLiveBadge, rFailBadge:
		return rFail
	case rDrillBadge:
		return rDrill
	case rDryBadge:
		return rDry
	case rWarnBadge:
		return rWarn
	case rGateBadge:
		return rGate
	}
	return rHeavy
}

// drawCard draws rows in a box in the upper middle of the screen.
func drawCard(w *world, a area, width int, f frame, rs []row) {
	body := a.sub(w.head(), a.h-w.head()-footRows(a))
	high := min(len(rs)+2, body.h)
	box := area{a.c, a.x + (a.w-width)/2, body.y + (body.h-high)/3, width, high}
	a.c.Clear(box.x, box.y, box.w, box.h)
	box.box(f).rows(rs)
}

// drawScroll is drawCard for more than may fit: head is scrolled, foot is always shown.
func drawScroll(w *world, a area, width int, f frame, head, foot []row, scroll int) {
	body := a.sub(w.head(), a.h-w.head()-footRows(a))
	high := min(len(head)+len(foot)+2, body.h)
	box := area{a.c, a.x + (a.w-width)/2, body.y + (body.h-high)/3, width, high}
	a.c.Clear(box.x, box.y, box.w, box.h)
	drawParts(box.box(f), head, foot, scroll, "down")
}

func stopCard(w *world, st *run.Step) screen {
	safe := "Nothing is known about whether stopping in the middle is safe."
	if st.Plan != nil && st.Plan.Stop != "" {
		safe = "Is stopping safe? " + st.Plan.Stop
	}
	_, badge, _ := modeLook(w.snap.Started.Mode)
	return &card{
		title: "STOP THE STEP?", badge: badge, at: w.snap.Attempt(),
		body: st.Title + "\n\nIts programs get an interrupt, then are asked to end, then are ended. The run stays open and asks what to do next.\n\n" + safe,
		yes:  does("1", "stop the step", "Stop the step.", wish(several{pop{}, stopStep{w.snap.ID, w.snap.Attempt()}})),
	}
}

// noteScreen takes a remark.
type noteScreen struct {
	id   run.ID
	text widget.Field
}

// noteKey opens it. The process that drives the run keeps its record.
func noteKey(w *world) binding {
	off := ""
	switch {
	case w.o.Look:
		off = w.looking()
	case !w.snap.Open():
		off = "the run has ended, and its record with it"
	case adrift(w):
		off = "nothing drives the run that could keep it; r takes it up"
	}
	return does("n", "note", "Add a note. It is kept in the record.", func() Intent { return push{noteCard(w.snap.ID)} }).unless(off)
}

func noteCard(id run.ID) screen            { return &noteScreen{id: id} }
func (n *noteScreen) card() bool           { return true }
func (n *noteScreen) field() *widget.Field { return &n.text }
func (n *noteScreen) bindings(*world) []binding {
	off := ""
	if n.text.Empty() {
		off = "nothing has been typed"
	}
	return []binding{
		{show: "type", help: "the note"},
		does("enter", "add it", "Add the note.", func() Intent { return handIn{n, n.id, addNote{n.id, n.text.Value()}, ""} }).unless(off),
		does("esc", "go back", "", wish(pop{})),
	}
}

func (n *noteScreen) draw(w *world, a area) {
	width := min(a.w-4, 76)
	rs := fieldRows(&n.text, width-4, rFrame)
	rs = append(rs, line(txt(rDim, "Kept in the record of the run, with your name and the time.")))
	drawCard(w, a, width, frame{title: []span{bold(rStrong, "ADD A NOTE")}, heavy: true, role: rHeavy}, rs)
}

// reasonScreen asks why a person leaves the path.
type reasonScreen struct {
	id     run.ID
	answer run.Answer
	option run.Option
	at     int
	text   widget.Field
}

type class struct {
	class run.ReasonClass
	words string
}

// classes are the reasons, in the order of how often they are meant.
var classes = [...]class{
	{run.DoneElsewhere, "it was done elsewhere"},
	{run.NotApplicable, "it does not apply here"},
	{run.NotPossible, "it is not possible"},
	{run.Unsafe, "it would not be safe"},
	{run.NoTime, "there is no time"},
	{run.Other, "another reason"},
}

// kinds are the classes to choose from; only what leaves the path has one.
func (r *reasonScreen) kinds() []class {
	if r.answer.Verb == run.Skip || r.answer.Verb == run.Override {
		return classes[:]
	}
	return nil
}

func newReason(id run.ID, a run.Answer, o run.Option) screen {
	return &reasonScreen{id: id, answer: a, option: o}
}

func (r *reasonScreen) card() bool           { return true }
func (r *reasonScreen) ofGate() bool         { return true }
func (r *reasonScreen) field() *widget.Field { return &r.text }

func (r *reasonScreen) bindings(*world) []binding {
	off := ""
	if r.text.Empty() {
		off = "it needs a sentence that explains it"
	}
	move := func(by int) func() Intent {
		return func() Intent { r.at = min(max(r.at+by, 0), len(classes)-1); return nil }
	}
	return []binding{
		{show: "type", help: "the reason"},
		does("esc", "go back", "Go back. Nothing has changed.", wish(pop{})),
		{keys: []string{"up"}, show: "up down", help: "kind of reason", brief: "kind", act: move(-1)},
		{keys: []string{"down"}, act: move(1), long: "Next kind of reason."},
		does("enter", "hand in", "Hand in the reason.", func() Intent {
			a := r.answer
			a.Reason = r.text.Value()
			if len(r.kinds()) > 0 {
				a.Class = classes[r.at].class
			}
			return handIn{r, r.id, answerGate{r.id, a}, ""}
		}).unless(off),
	}
}

func (r *reasonScreen) draw(w *world, a area) {
	width := min(a.w-4, 76)
	rs := append(wrapped(rDim, r.option.Hint, width-4, 2), gap())
	for i, c := range r.kinds() {
		point := "  "
		if i == r.at {
			point = "▸ "
		}
		rs = append(rs, row{left: []span{txt(rNow, point), txt(rText, c.words)}, tint: i == r.at})
	}
	rs = append(rs, gap(), line(bold(rStrong, "Why?"), txt(rDim, "   It is recorded with your name and shown again at the end.")))
	rs = append(rs, fieldRows(&r.text, width-4, rFrame)...)
	rs = append(rs, row{left: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing has changed")}, right: []span{txt(rDim, "[ enter  hand in ]")}})
	drawCard(w, a, width, frame{title: []span{bold(rStrong, r.option.Text)}, heavy: true, role: rWarn}, rs)
}

// waysScreen lists what can be done instead of answering a gate.
type waysScreen struct{ gate gateView }

func newWays(g gateView) screen            { return &waysScreen{g} }
func (s *waysScreen) card() bool           { return true }
func (s *waysScreen) ofGate() bool         { return true }
func (s *waysScreen) field() *widget.Field { return nil }
func (s *waysScreen) bindings(w *world) []binding {
	bs := optionKeys(s.gate.ways(), func(o run.Option) Intent {
		i := w.choose(s.gate.about(), o)
		if p, ok := i.(push); ok {
			return replace(p)
		}
		return several{pop{}, i}
	})
	return append(bs, does("esc", "go back", "Go back. Nothing has changed.", wish(pop{})))
}

func (s *waysScreen) draw(w *world, a area) {
	width := min(a.w-4, 76)
	rs := append([]row{gap()}, optionRows(s.gate.ways(), width-4, false)...)
	rs = append(rs, gap(), row{right: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing has changed")}})
	drawCard(w, a, width, frame{title: []span{bold(rStrong, "OTHER WAYS ON")}, heavy: true, role: rHeavy}, rs)
}

// undoScreen is the undo plan: what has been changed, and how each change is taken
// back. Looking at it runs nothing.
type undoScreen struct{}

func (u *undoScreen) card() bool           { return true }
func (u *undoScreen) ofGate() bool         { return true }
func (u *undoScreen) field() *widget.Field { return nil }

func (u *undoScreen) bindings(w *world) []binding {
	noGate := ""
	if w.snap.Gate == nil {
		noGate = "a step is running; stop it, or wait until the run asks"
	}
	var bs []binding
	first := ""
	for n, i := range w.snap.changes() {
		if n == 9 {
			break
		}
		st := w.snap.Steps[i]
		b := does(itoa(n+1), "", "Undo step "+itoa(i+1)+": "+st.Title+".", func() Intent { return push{undoCard(w, i)} })
		if st.Back == "" {
			b = b.unless("this step has no way back")
		}
		if n > 0 { // the newest change is on top of the others
			b = b.unless(first)
		}
		if st.Back != "" && first == "" {
			first = "undo step " + itoa(i+1) + " first: it was done later"
		}
		bs = append(bs, b.unless(noGate))
	}
	if len(bs) > 0 {
		bs = slices.Insert(bs, 0, binding{show: numbers(len(bs)), help: "undo one", long: "Choose the step to undo."}.unless(noGate))
	}
	return append(bs, does("esc", "go back", "Go back. Nothing has changed.", wish(pop{})))
}

func undoCard(w *world, i int) screen {
	st := &w.snap.Steps[i]
	g := w.snap.Gate
	a := w.answer(g, run.Undo)
	a.Target = st.ID
	_, badge, _ := modeLook(w.snap.Started.Mode)
	return &card{
		title: "UNDO STEP " + itoa(i+1) + "?", badge: badge, gate: true,
		body: st.Title + "\n\nWay back: " + st.Back + "\n\nThe target is read again first. You see the plan and are asked before anything changes.",
		yes:  does("1", "plan the undo", "Plan the undo.", wish(several{pop{}, pop{}, answerGate{w.snap.ID, a}})),
	}
}

func (u *undoScreen) draw(w *world, a area) {
	width := min(a.w-4, 90)
	rs := []row{line(txt(rDim, "Newest first. Looking at this runs nothing.")), gap()}
	for n, i := range w.snap.changes() {
		st := &w.snap.Steps[i]
		rs = append(rs, row{left: []span{txt(rKeycap, " "+itoa(n+1)+" "), bold(rStrong, "  step "+itoa(i+1)+"  "+st.Title)}, right: []span{txt(rDim, string(st.State))}})
		if st.Back != "" {
			rs = append(rs, labelled("     way back", 15, rText, st.Back, width-4, 3)...)
		} else {
			rs = append(rs, line(txt(rDim, pad("     way back", 15)), txt(rWarn, "▲ none")))
		}
	}
	for _, d := range w.snap.Debts {
		rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, d.Text), txt(rDim, "   must be closed before the end")))
	}
	rs = append(rs, gap(), row{right: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing has changed")}})
	drawCard(w, a, width, frame{title: []span{txt(rOK, "◂ "), bold(rStrong, "UNDO PLAN")}, heavy: true, role: rHeavy}, rs)
}
