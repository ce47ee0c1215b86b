package console

import (
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// checklist asks for a value per item. What is to be observed is typed, never ticked.
// Enter never passes an item that is not answered, and the line that hands in is
// reached only when all are: what somebody types is then never taken for a command.
type checklist struct {
	asking
	values []widget.Field
	done   []bool
	at     int    // item with the cursor; len(values): the line that hands in
	asks   string // what enter missed; goes with the next key
}

func newChecklist(a asking) *checklist {
	return &checklist{asking: a, values: make([]widget.Field, len(a.g.Items)), done: make([]bool, len(a.g.Items))}
}

// typed says whether the item wants a value.
func typed(it run.Item) bool { return it.Observe || it.Expect != "" }

func (c *checklist) field() *widget.Field {
	if c.at < len(c.values) && typed(c.g.Items[c.at]) {
		return &c.values[c.at]
	}
	return nil
}

// answered says whether item i is.
func (c *checklist) answered(i int) bool {
	if typed(c.g.Items[i]) {
		return !c.values[i].Empty() && !c.bare(i)
	}
	return c.done[i]
}

// bare says whether a value only agrees, where what is seen was asked for. It would prove
// nothing afterwards.
func (c *checklist) bare(i int) bool {
	it := c.g.Items[i]
	if !it.Observe || it.Expect != "" {
		return false
	}
	switch strings.ToLower(strings.Trim(c.values[i].Value(), " .,;:!-")) {
	case "ok", "okay", "k", "yes", "yep", "yeah", "y", "done", "fine", "good", "true", "sure", "ja", "x":
		return true
	}
	return false
}

// open counts the items that are not answered.
func (c *checklist) open() int {
	n := 0
	for i := range c.g.Items {
		if !c.answered(i) {
			n++
		}
	}
	return n
}

// differs says whether a value was typed that is not what it should be.
func (c *checklist) differs(i int) bool {
	v, want := strings.TrimSpace(c.values[i].Value()), c.g.Items[i].Expect
	return want != "" && v != "" && v != want
}

// wrong says which value is not what it should be, and what to do; empty when all are.
func (c *checklist) wrong(w *world) string {
	for i, it := range c.g.Items {
		if c.differs(i) {
			return "item " + itoa(i+1) + " should be " + it.Expect + "; correct it, or press " + waysLetter(w) + " for other ways on"
		}
	}
	return ""
}

// last is how far the cursor may go.
func (c *checklist) last() int {
	if c.open() > 0 {
		return len(c.values) - 1
	}
	return len(c.values)
}

func (c *checklist) step(by int) func() Intent {
	return func() Intent {
		c.at, c.asks = min(max(c.at+by, 0), c.last()), ""
		return nil
	}
}

// onward goes to the next item that is open, to the line that hands in when none is.
func (c *checklist) onward() {
	c.asks = ""
	for n := range c.values {
		if i := (c.at + 1 + n) % len(c.values); !c.answered(i) {
			c.at = i
			return
		}
	}
	c.at = len(c.values)
}

func (c *checklist) enter() Intent {
	switch {
	case c.answered(c.at):
		c.onward()
	case c.bare(c.at):
		c.asks = "say what you see: a value, a name or a number"
	case typed(c.g.Items[c.at]):
		c.asks = "type what you see"
	default:
		c.asks = "press 1 when you have done it"
	}
	return nil
}

func (c *checklist) handIn(w *world) Intent {
	a := w.answer(c.g, run.Give)
	for i, it := range c.g.Items {
		v := "done"
		if typed(it) {
			v = strings.TrimSpace(c.values[i].Value())
		}
		a.Values = append(a.Values, v)
	}
	return answerGate{w.snap.ID, a}
}

func (c *checklist) bindings(w *world) []binding {
	enter := does("enter", "next item", "Go to the next item that is open. Stays at one that is not answered.", c.enter)
	var bs []binding
	switch {
	case c.at >= len(c.values):
		enter = does("enter", "hand in", "Hand in what you saw.", func() Intent { return c.handIn(w) }).unless(c.wrong(w))
	case c.field() == nil:
		bs = append(bs, does("1", "I have done it", "Say that you have done this item, or take it back.", func() Intent {
			c.done[c.at] = !c.done[c.at]
			if c.done[c.at] {
				c.onward()
			}
			return nil
		}), does("2", "it cannot be done", "See the other ways on: leave the step out with a reason, or end the run.", func() Intent {
			return push{newWays(c)}
		}).named("", "cannot"))
		if !c.answered(c.at) {
			enter = enter.unlisted()
		}
	default:
		bs = append(bs, binding{show: "type", help: "what you see", long: "Type the value that you see."})
	}
	return append(bs, enter,
		binding{keys: []string{"up", "shift+tab"}, show: "up down", help: "move", long: "Go from item to item.", act: c.step(-1)},
		binding{keys: []string{"down"}, long: "Go to the next item.", act: c.step(1)})
}

func (c *checklist) frame(w *world) frame {
	return frame{
		title: []span{txt(rText, "□ "), bold(rStrong, "STEP "+itoa(w.snap.now()+1)+" of "+itoa(len(w.snap.Steps))), bold(rText, "  you do it"), txt(rText, "  "+clock(w.since(w.snap.gateAt)))},
		right: []span{txt(rDim, "□ by hand")},
	}
}

func (c *checklist) rows(w *world, width int) (head, foot []row) {
	head = askHead(w, c.g, width)
	for i := range c.g.Items {
		rs := c.itemRows(i, width)
		for n := range rs {
			rs[n].here = i == c.at
		}
		head = append(head, rs...)
	}
	text, point := txt(rFaint, "[ enter  hand in ]"), "  "
	if c.open() == 0 {
		text = bold(rStrong, "[ enter  hand in ]")
	}
	if c.at == len(c.values) {
		point = "▸ "
	}
	left := txt(rOK, "✓ all items answered")
	switch {
	case c.open() > 0:
		left = txt(rDim, plural(c.open(), "item open", "items open"))
	case c.wrong(w) != "":
		left = txt(rWarn, "▲ a value is not as it should be")
	}
	foot = []row{gap(), {left: []span{txt(rNow, point), text}, right: []span{left}}}
	if w.sent == c.g.Seq {
		foot[1] = line(txt(rNow, "▸ "), txt(rText, "your answer is on its way"))
	}
	return head, foot
}

// itemRows draws one item; the one with the cursor as a box to type in where a value
// is asked for.
func (c *checklist) itemRows(i, width int) []row {
	it, here := c.g.Items[i], i == c.at
	mark, role := txt(rText, "□ "), rText
	switch {
	case c.differs(i):
		mark = txt(rWarn, "▲ ")
	case c.answered(i):
		mark = txt(rOK, "✓ ")
	}
	point := "  "
	if here {
		point, role = "▸ ", rStrong
	}
	var rs []row
	for n, l := range wrap(inline(it.Text), width-4, 3) {
		r := row{left: []span{txt(rText, "    "), txt(role, l)}, tint: here && !typed(it)}
		if n == 0 {
			r.left = []span{txt(rNow, point), mark, txt(role, l)}
		}
		if here {
			r.left[len(r.left)-1].attr = widget.Bold
		}
		rs = append(rs, r)
	}
	says := []span{}
	switch {
	case here && c.asks != "" && !c.answered(i):
		says = []span{txt(rWarn, "▲ "+c.asks)}
	case c.differs(i):
		says = []span{txt(rWarn, "▲ should be "+it.Expect)}
	case it.Expect != "":
		says = []span{txt(rDim, "should be "+it.Expect)}
	}
	if !typed(it) {
		rs[0].right = says
		return rs
	}
	if !here {
		r := row{left: []span{txt(rDim, "    you see  ")}, right: says}
		r.left = append(r.left, inlineField(&c.values[i], max(width-24-spansWidth(says), 8), false)...)
		return append(rs, r)
	}
	box := fieldRows(&c.values[i], min(width-4, 58), rHeavy)
	for n := range box {
		box[n].left = append([]span{txt(rDim, "    ")}, box[n].left...)
	}
	if spansWidth(box[1].left)+spansWidth(says) < width {
		box[1].right = says
		return append(rs, box...)
	}
	if len(says) > 0 {
		box = append(box, line(append([]span{txt(rText, "    ")}, says...)...))
	}
	return append(rs, box...)
}

// askHead is title, guidance and question of a step that is done by hand.
func askHead(w *world, g *run.Gate, width int) []row {
	rs := []row{}
	st := w.snap.Step(g.Step)
	if st != nil {
		rs = append(rs, line(bold(rStrong, st.Title)))
		var text []row
		for _, r := range prose(w.guidance(st.ID), width, true) {
			if len(r.left) > 0 && strings.HasPrefix(r.left[0].text, "□") {
				continue // the items follow as questions
			}
			text = append(text, r)
		}
		if len(text) > 8 {
			text = append(text[:7], line(txt(rFaint, "… the whole guidance: esc, tab")))
		}
		rs = append(rs, text...)
	}
	if g.Prompt != "" && (st == nil || g.Prompt != st.Title) {
		rs = append(append(rs, gap()), wrapped(rText, inline(g.Prompt), width, 4)...)
	}
	if n := len(rs); n > 0 && rs[n-1].spare == 1 {
		return rs
	}
	return append(rs, gap())
}

// inputGate asks for one value; a secret one shows stars.
type inputGate struct {
	asking
	value widget.Field
}

func (g *inputGate) field() *widget.Field { return &g.value }

func (g *inputGate) bindings(w *world) []binding {
	off := ""
	if g.value.Empty() {
		off = "nothing has been typed"
	}
	return []binding{
		{show: "type", help: "the value", long: "Type the value."},
		does("enter", "hand in", "Hand in the value.", func() Intent {
			a := w.answer(g.g, run.Give)
			a.Values = []string{g.value.Value()}
			return answerGate{w.snap.ID, a}
		}).unless(off),
	}
}

func (g *inputGate) frame(w *world) frame {
	return frame{
		title: []span{txt(rText, "□ "), bold(rStrong, "STEP "+itoa(w.snap.now()+1)+" of "+itoa(len(w.snap.Steps))), bold(rText, "  needs a value"), txt(rText, "  "+clock(w.since(w.snap.gateAt)))},
	}
}

func (g *inputGate) rows(w *world, width int) (head, foot []row) {
	head = askHead(w, g.g, width)
	foot = fieldRows(&g.value, width, rHeavy)
	words := "It is recorded in the journal."
	if g.g.Secret {
		words = "A secret: shown as stars, never recorded."
	}
	if w.sent == g.g.Seq {
		words = "Your answer is on its way."
	}
	return head, append(foot, row{left: []span{txt(rDim, words)}, right: []span{txt(rDim, "[ enter  hand in ]")}})
}

// optionGate asks for one of several ways on: a choice, a decision after a failure, a
// step in doubt, the end of the run. Nothing runs until a number is pressed.
type optionGate struct {
	asking
	options []run.Option
}

// ways are all on the screen already, but for a choice: it may be left out.
func (o *optionGate) ways() []run.Option {
	if o.g.Kind == run.Choice {
		return o.asking.ways()
	}
	return nil
}

func (o *optionGate) bindings(w *world) []binding {
	bs := optionKeys(o.options, func(op run.Option) Intent { return w.choose(o.g, op) })
	for _, op := range o.options {
		if op.Verb == run.Reprobe {
			bs = append(bs, does("p", "probe again", "Look at the target again. Only reads.", func() Intent { return w.choose(o.g, op) }).named("", "probe"))
		}
	}
	return append(bs, o.moves()...)
}

func (o *optionGate) frame(w *world) frame {
	where := bold(rStrong, "  "+stepOf(w))
	f := frame{}
	switch o.g.Kind {
	case run.Doubt:
		f.title = []span{txt(rWarnBadge, " ? IN DOUBT "), bold(rStrong, "  "+stepOf(w)+", paused")}
	case run.Decision:
		f.title = []span{txt(rFailBadge, " ✗ FAILED "), where}
	case run.Closing:
		f.title = []span{txt(rWarnBadge, " ▲ BEFORE THE END "), bold(rStrong, "  what was left out comes back")}
	default:
		f.title = []span{txt(rText, "□ "), bold(rStrong, "STEP "+itoa(w.snap.now()+1)+" of "+itoa(len(w.snap.Steps))), bold(rText, "  choose one")}
	}
	f.right = []span{txt(rDim, clock(w.since(w.snap.gateAt)))}
	return f
}

func (o *optionGate) rows(w *world, width int) (head, foot []row) {
	st := w.snap.Step(o.g.Step)
	switch {
	case o.g.Kind == run.Doubt && st != nil:
		head = doubtRows(w, st, width)
	case o.g.Kind == run.Decision && st != nil:
		head = decisionRows(o.g, st, width)
	case o.g.Kind == run.Closing:
		head = closingRows(w, o.g, width)
	default:
		head = askHead(w, o.g, width)
	}
	foot = append(foot, line(bold(rStrong, "WHAT NOW?"), txt(rDim, "   nothing runs until you choose")))
	if w.sent == o.g.Seq {
		foot[0] = line(txt(rNow, "▸ "), txt(rText, "your answer is on its way"))
	}
	return head, append(foot, optionRows(o.options, width, o.g.Kind != run.Choice)...)
}

// doubtRows says that the end is not known, and what a read-only look has found.
func doubtRows(w *world, st *run.Step, width int) []row {
	rs := []row{line(bold(rStrong, st.Title))}
	what := "It was running at " + hhmmss(st.Began) + ". It is not known whether it finished."
	if st.Undoing {
		what = "Its undo was running at " + hhmmss(st.Began) + ". It is not known whether that finished."
	}
	rs = append(append(rs, wrapped(rWarn, what, width, 2)...), gap())
	p := st.Probe
	if p == nil {
		return append(rs, line(bold(rStrong, "PROBE"), txt(rDim, "   there is none for this step: look for yourself")), gap())
	}
	head := "   read-only, done for you"
	if !w.snap.probeAt.IsZero() {
		head += " at " + hhmmss(w.snap.probeAt)
	}
	rs = append(rs, line(bold(rStrong, "PROBE"), txt(rDim, head)))
	for i, c := range p.Command {
		rs = append(rs, labelled([]string{"runs", ""}[min(i, 1)], 9, rText, c, width, 2)...)
	}
	found, mark := rWarn, " ?"
	switch p.Finding {
	case run.Applied:
		found, mark = rOK, " ✓"
	case run.NotApplied:
		mark = " ✗"
	}
	one := line(txt(rDim, pad("before", 9)), txt(rText, p.Before), txt(rDim, "      wanted "), txt(rText, p.Wanted),
		txt(rDim, "      found "), bold(found, p.Found+mark))
	if spansWidth(one.left) <= width && p.Before != "" && p.Wanted != "" {
		rs = append(rs, one)
	} else {
		rs = append(rs, labelled("before", 9, rText, p.Before, width, 2)...)
		rs = append(rs, labelled("wanted", 9, rText, p.Wanted, width, 2)...)
		rs = append(rs, labelled("found", 9, found, p.Found+mark, width, 2)...)
	}
	return append(append(rs, labelled("means", 9, rText, p.Means, width, 3)...), gap())
}

// decisionRows says what failed, what helps, and in what state things are.
func decisionRows(g *run.Gate, st *run.Step, width int) []row {
	rs := append([]row{line(bold(rStrong, st.Title))}, failureRows(st, width)...)
	for _, c := range st.Checks {
		if !c.OK {
			rs = append(rs, line(checkSpans(c)...))
		}
	}
	if g.Prompt != "" && g.Prompt != st.Error {
		rs = append(append(rs, gap()), wrapped(rText, g.Prompt, width, 3)...)
	}
	state := "Its effect has not happened, as far as it is known."
	if st.Action == "sh" { // a script may stop anywhere
		state = "It ended with an error. What it did before that stands."
	}
	if st.Changed {
		state = "Its effect has happened, its checks do not hold."
	}
	return append(rs, gap(), line(txt(rDim, pad("state", 9)), txt(rText, state)), gap())
}

// closingRows brings back what was skipped, overridden or left open.
func closingRows(w *world, g *run.Gate, width int) []row {
	var rs []row
	if g.Prompt != "" {
		rs = append(wrapped(rText, g.Prompt, width, 3), gap())
	}
	for i := range w.snap.Steps {
		st := &w.snap.Steps[i]
		if st.State != run.Skipped && st.State != run.Overridden {
			continue
		}
		glyph, role := stateLook(st)
		rs = append(rs, line(txt(role, glyph+" "), txt(rText, itoa(i+1)+" "+st.Title), txt(rDim, "   "+string(st.State)+", "+reasonWords(st))))
	}
	for _, d := range w.snap.Debts {
		rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, d.Text), txt(rDim, "   still open")))
	}
	return append(rs, gap())
}
