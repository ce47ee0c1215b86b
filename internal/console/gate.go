package console

import (
	"slices"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// gateView is an open question on the screen.
type gateView interface {
	bindings(w *world) []binding
	field() *widget.Field // the text field that has the keyboard; nil for none
	over() bool           // drawn over the run; else in place of the current step
	frame(w *world) frame
	// rows is the content: head may be scrolled when room is short, foot is always shown.
	rows(w *world, width int) (head, foot []row)
	scrolled() int
	// ways lists what can be done instead of answering.
	ways() []run.Option
	about() *run.Gate
}

// asking is what all gates share.
type asking struct {
	g      *run.Gate
	scroll int
	whole  bool // the whole plan was asked for
	brief  bool // the plan was last drawn with one line per fact
}

func (a *asking) scrolled() int        { return a.scroll }
func (a *asking) about() *run.Gate     { return a.g }
func (a *asking) over() bool           { return false }
func (a *asking) field() *widget.Field { return nil }

// ways are the options of the gate beyond answering it; a gate that names none can be
// skipped with a reason, and the run can be ended.
func (a *asking) ways() []run.Option {
	var out []run.Option
	for _, o := range a.g.Options {
		if o.Verb != run.Approve && o.Verb != run.Give {
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		out = append(out, run.Option{Verb: run.Skip, Text: "Skip this step", Hint: "Asks for a reason. It is shown again at the end."},
			run.Option{Verb: run.Abandon, Text: "End the run here", Hint: "Nothing more runs. What has been changed stays changed."})
	}
	return out
}

// newGate makes the view of a gate. A kind that is not known shows its options, so
// that a newer engine never leaves a person without a way on.
func newGate(w *world, g *run.Gate) gateView {
	a := asking{g: g}
	switch g.Kind {
	case run.Confirm:
		return &confirmGate{a}
	case run.Token:
		return &tokenGate{asking: a}
	case run.Checklist:
		return newChecklist(a)
	case run.Input:
		return &inputGate{asking: a, value: widget.Field{Mask: g.Secret}}
	}
	return &optionGate{asking: a, options: expand(w, g)}
}

// answer makes the answer to a gate. It carries the digest of what was shown, so an
// approval can only ever be for exactly that.
func (w *world) answer(g *run.Gate, verb run.Verb) run.Answer {
	return run.Answer{Gate: g.Seq, Verb: verb, By: w.o.User, Digest: g.Digest, How: "console"}
}

// choose carries out an option: at once, or by asking for the reason first.
func (w *world) choose(g *run.Gate, o run.Option) Intent {
	a := w.answer(g, o.Verb)
	switch o.Verb {
	case run.Skip, run.Override, run.Abandon:
		return push{newReason(w.snap.ID, a, o)}
	case run.Settle:
		if g.Kind == run.Closing { // a debt that was paid by hand: how do you know?
			return push{newReason(w.snap.ID, a, o)}
		}
	case run.Finish:
		if g.Kind == run.Decision { // ending early deserves a sentence, and a second look
			return push{newReason(w.snap.ID, a, o)}
		}
	case run.Reopen, run.Undo:
		a.Target = o.Key
	case run.Give:
		a.Values = []string{o.Key}
		if o.Key == "" {
			a.Values = []string{o.Text}
		}
	}
	return answerGate{w.snap.ID, a}
}

// expand lists the options of a gate. "Take up a skipped step" without a step becomes
// one option per step.
func expand(w *world, g *run.Gate) []run.Option {
	var out []run.Option
	for _, o := range g.Options {
		if o.Verb != run.Reopen || o.Key != "" {
			out = append(out, o)
			continue
		}
		for i := range w.snap.Steps {
			if st := &w.snap.Steps[i]; st.State == run.Skipped && st.Reason.Class != run.NotApplicable || st.State == run.Overridden {
				out = append(out, run.Option{Verb: run.Reopen, Key: st.ID, Text: "Do step " + itoa(i+1) + " after all: " + st.Title, Hint: o.Hint})
			}
		}
	}
	return out
}

// optionRows lists numbered ways on, the recommended one first.
func optionRows(options []run.Option, width int, recommend bool) []row {
	var rs []row
	for i, o := range options {
		r := row{left: []span{txt(rKeycap, " "+itoa(i+1)+" "), bold(rStrong, "  "+o.Text)}}
		if i == 0 && recommend && len(options) > 1 {
			r.right = []span{txt(rOK, "✓ recommended")}
		}
		rs = append(rs, r)
		for _, l := range wrap(o.Hint, width-5, 2) {
			rs = append(rs, row{left: []span{txt(rDim, "     "+l)}, spare: 2})
		}
	}
	return rs
}

// optionKeys are the number keys for options.
func optionKeys(options []run.Option, pick func(run.Option) Intent) []binding {
	var bs []binding
	for i, o := range options[:min(len(options), 9)] {
		b := does(itoa(i+1), "", o.Text+". "+o.Hint, func() Intent { return pick(o) })
		bs = append(bs, b)
	}
	if n := len(bs); n > 0 {
		bs = slices.Insert(bs, 0, binding{show: numbers(n), help: "choose", long: "Choose a way on by its number."})
	}
	return bs
}

// numbers is how the keys 1 to n are written.
func numbers(n int) string {
	if n == 1 {
		return "1"
	}
	return "1-" + itoa(n)
}

// drawParts writes head and foot of a gate or step into a box. The foot is what must
// be answered, so it is never cut before the head; empty lines and explanations of
// both go first. more says how to see what is cut.
func drawParts(a area, head, foot []row, scroll int, more string) {
	for tier := 1; tier <= 2; tier++ {
		for _, part := range []*[]row{&foot, &head} {
			*part = shed(*part, len(head)+len(foot)-a.h, tier)
		}
	}
	foot = foot[:min(len(foot), a.h)]
	room := a.h - len(foot)
	top := a.sub(0, room)
	if over := len(head) - room; over > 0 && room > 1 {
		scroll = min(inSight(head, scroll, room-1), over+1)
		end := scroll + room - 1
		for i := scroll; i < min(end, len(head)); i++ {
			top.row(i-scroll, head[i])
		}
		text := "… " + plural(len(head)-end, "more line: ", "more lines: ") + more
		if end >= len(head) {
			text = "… the end: up"
		}
		top.row(room-1, line(txt(rWarn, text)))
	} else {
		top.rows(head)
	}
	a.sub(min(room, len(head)), len(foot)).rows(foot)
}

// inSight corrects a scroll position so that the rows with the cursor are among the
// room rows that are shown.
func inSight(rs []row, scroll, room int) int {
	first := slices.IndexFunc(rs, func(r row) bool { return r.here })
	if first < 0 {
		return scroll
	}
	last := first
	for last+1 < len(rs) && rs[last+1].here {
		last++
	}
	return min(max(scroll, last-room+1), first)
}

// drawOver draws a gate over the run. It returns the row below it.
func drawOver(w *world, a area, g gateView) int {
	body := a.sub(w.head(), a.h-w.head()-footRows(a))
	width := min(a.w-4, max(84, a.w-20), 104)
	if a.w < 76 {
		width = a.w
	}
	f := g.frame(w)
	f.heavy = true
	head, foot := g.rows(w, width-4)
	foot = watchedFoot(w, g, foot)
	high := min(len(head)+len(foot)+2, body.h)
	y := max(min((body.h-high)/3, 3), 0)
	if width == a.w {
		y = 0
	}
	box := area{a.c, a.x + (a.w-width)/2, body.y + y, width, high}
	a.c.Clear(box.x, box.y, box.w, box.h)
	drawParts(box.box(f), head, foot, g.scrolled(), "down")
	return box.y - a.y + box.h
}
