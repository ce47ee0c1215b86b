package console

import (
	"fmt"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// confirmGate asks before a write. The yes is a number, never a letter and never enter.
type confirmGate struct{ asking }

func (c *confirmGate) over() bool { return true }

func (c *confirmGate) bindings(w *world) []binding {
	skip := run.Option{Verb: run.Skip, Text: "Skip this step"}
	noSkip := "this step cannot be skipped here"
	for _, o := range c.ways() {
		if o.Verb == run.Skip {
			skip, noSkip = o, ""
		}
	}
	return append([]binding{
		does("1", yesWords(c.g), "Run it exactly as shown.", func() Intent {
			return answerGate{w.snap.ID, w.answer(c.g, run.Approve)}
		}),
		does("2", "skip", "Leave the step out. Asks for the reason.", func() Intent { return w.choose(c.g, skip) }).unless(noSkip),
		copyKey(c.g.Plan),
		does("x", "other ways on", "", func() Intent { return push{newWays(c)} }).named("", "ways"),
	}, c.moves()...)
}

func (c *confirmGate) frame(w *world) frame {
	_, badge, border := modeLook(w.snap.Started.Mode)
	word := " ▸ CONFIRM "
	if c.g.Undo {
		word = " ◂ CONFIRM THE UNDO "
	}
	return frame{title: []span{txt(badge, word), bold(rStrong, "  "+stepOf(w))}, role: border}
}

func (c *confirmGate) rows(w *world, width int) (head, foot []row) {
	_, badge, _ := modeLook(w.snap.Started.Mode)
	foot = []row{gap(), {
		left:  []span{txt(badge, " 1 "), bold(rStrong, " "+yesWords(c.g)), txt(rText, "     "), txt(rKeycap, " 2 "), txt(rDim, " skip, asks why")},
		right: []span{bold(rStrong, "esc"), txt(rDim, " later, nothing has changed")},
	}}
	if w.sent == c.g.Seq {
		foot[1] = line(txt(rNow, "▸ "), txt(rText, "your answer is on its way"))
	}
	return c.actRows(w, width, foot), foot
}

func yesWords(g *run.Gate) string {
	if g.Undo {
		return "undo it"
	}
	return "run this step"
}

// copyKey copies exactly what runs, for a ticket or a second pair of eyes. It is all that
// y ever does.
func copyKey(p *run.Plan) binding {
	what, off := "", "there is no command to copy"
	if p != nil {
		if what = strings.Join(p.Command, "\n"); what != "" {
			off = ""
		}
	}
	return does("y", "copy", "Copy the exact command into the clipboard of the terminal.",
		wish(copyText{what, "The command was handed to the clipboard of the terminal."})).unless(off)
}

// overRun says whether a kind of gate is drawn over the run.
func overRun(k run.GateKind) bool { return k == run.Confirm || k == run.Token }

// stepOf says which step a gate is about; in a small window with its title.
func stepOf(w *world) string {
	if w.size.w < 86 && w.snap.Gate != nil && w.snap.Gate.Step != "" && overRun(w.snap.Gate.Kind) {
		return fmt.Sprintf("step %d: %s", w.snap.now()+1, w.snap.step().Title)
	}
	return fmt.Sprintf("step %d of %d", w.snap.now()+1, len(w.snap.Steps))
}

// actRows is what confirm and danger gates show alike, as tall as there is room for:
// where the whole plan does not fit above the answer, each fact of it is cut to a line,
// until the person asks for the whole.
func (a *asking) actRows(w *world, width int, foot []row) []row {
	whole := actHead(w, a.g, width, false)
	must := len(shed(shed(whole, len(whole), 1), len(whole), 2)) + len(shed(foot, len(foot), 1))
	a.brief = !a.whole && must+2 > w.size.h-3-footRows(area{w: w.size.w, h: w.size.h})
	if a.brief {
		return actHead(w, a.g, width, true)
	}
	return whole
}

// moves are the keys that show the whole of a long plan, and scroll it.
func (a *asking) moves() []binding {
	help := ""
	if a.brief {
		help = "whole plan"
	}
	return []binding{
		{keys: []string{"down", "pgdown"}, help: help, long: "Show the whole of a long plan, then more of it.", act: func() Intent {
			if a.whole {
				a.scroll += 4
			}
			a.whole = true
			return nil
		}},
		{keys: []string{"up", "pgup"}, long: "Back up in a long plan.", act: func() Intent {
			a.whole = a.scroll > 0
			a.scroll = max(a.scroll-4, 0)
			return nil
		}},
	}
}

// actHead is title, plan, way back and checks; brief has one line for each fact.
func actHead(w *world, g *run.Gate, width int, brief bool) []row {
	st := w.snap.step()
	var rs []row
	if width >= 78 { // else it stands in the border
		rs = append(rs, line(bold(rStrong, st.Title)))
	}
	if says := sayMore(w, g, st); says != "" {
		rs = append(rs, extra(wrapped(rDim, says, width, 3))...)
	}
	if g.Plan == nil {
		return rs
	}
	if len(rs) > 0 {
		rs = append(rs, gap())
	}
	rs = append(rs, planRows(g.Plan, width, 11, planLook{back: true, brief: brief, whose: whose(w)})...)
	for _, d := range g.Plan.Opens {
		rs = append(rs, line(txt(rDim, pad("leaves", 11)), txt(rWarn, "▲ "), txt(rText, d.Text)))
	}
	checks := fewChecks(g.Plan.Checks, width)
	if len(checks) == 0 {
		return rs
	}
	if brief {
		for _, c := range g.Plan.Checks { // one row when all hold, else each one
			if !c.OK {
				return append(rs, checks...)
			}
		}
	}
	return append(append(rs, gap(), row{left: []span{bold(rStrong, "Checked just now"), txt(rFaint, "  "+hhmmss(w.snap.gateAt))}, spare: 2}), checks...)
}

// sayMore is a sentence for a gate: what the runbook says about the step, else what
// the plan does, where that says more than title and facts do. Where a token is asked
// for the facts must be read, and nothing stands before them.
func sayMore(w *world, g *run.Gate, st *run.Step) string {
	said, says := st.Title, []string{}
	if !g.Undo {
		says = append(says, excerpt(w.guidance(st.ID)))
	}
	says = append(says, strings.TrimPrefix(g.Prompt, "Undo: "))
	if g.Plan != nil {
		if g.Kind == run.Token && len(g.Plan.Lines) > 0 {
			return ""
		}
		for _, l := range g.Plan.Lines {
			said += " " + l.Label + " " + l.Text
		}
		says = append(says, g.Plan.Summary)
	}
	said = strings.ToLower(inline(said))
	for _, s := range says {
		news := 0
		for _, word := range strings.Fields(strings.ToLower(inline(s))) {
			if word = strings.Trim(word, ".,;:"); len(word) > 3 && !strings.Contains(said, word) {
				news++
			}
		}
		if news > 1 {
			return inline(strings.Join(strings.Fields(s), " "))
		}
	}
	return ""
}

// tokenGate is the danger gate: the person types what will change, character by
// character, read just now from the live target.
type tokenGate struct {
	asking
	text   widget.Field
	pasted bool
	burst  int // characters that came without a pause between them
	misses int // how often enter was pressed on something else than the token
}

// refused counts what was handed in and is not the token.
func (t *tokenGate) refused(key string) {
	if _, _, exact := t.match(); key == "enter" && !exact && !t.text.Empty() {
		t.misses++
	}
}

func (t *tokenGate) over() bool           { return true }
func (t *tokenGate) field() *widget.Field { return &t.text }

// typed counts a character. Where half of the token has come at once it was pasted into a
// terminal that does not say so, or sent by a program: nobody has read it, and all of it is
// refused. A slow link may bunch a few.
func (t *tokenGate) typed() bool {
	t.burst++
	n := len([]rune(t.g.Token))
	if t.burst >= max(min(max(n/2, 4), n), 2) {
		t.text.Reset("")
		t.pasted = true
	}
	return true
}

func (t *tokenGate) rests() { t.burst = 0 }

// paste refuses: what is pasted has not been read.
func (t *tokenGate) paste(string) Intent {
	t.pasted = true
	return nil
}

// match counts the characters that are right from the start.
func (t *tokenGate) match() (right, want int, exact bool) {
	typed, token := []rune(t.text.Value()), []rune(t.g.Token)
	for right < len(typed) && right < len(token) && typed[right] == token[right] {
		right++
	}
	return right, len(token), len(token) > 0 && t.text.Value() == t.g.Token
}

func (t *tokenGate) bindings(w *world) []binding {
	_, _, exact := t.match()
	off := ""
	switch {
	case !exact:
		off = "the token is not complete"
	case t.burst > 0: // an end of line that came with the token was not pressed
		off = "the last character came this very moment; press enter once more"
	}
	return append([]binding{
		{show: "type", help: "the token", long: "Type the token. It names what changes."},
		does("enter", "run this step", "Run the step, once every character of the token is right.", func() Intent {
			a := w.answer(t.g, run.Approve)
			a.Token = t.text.Value()
			if t.misses > 0 && w.snap.Drill != nil { // part of the score
				a.Extra = map[string]string{run.MissesKey: itoa(t.misses)}
			}
			return answerGate{w.snap.ID, a}
		}).unless(off),
	}, t.moves()...)
}

func (t *tokenGate) frame(w *world) frame {
	word := " ◆ DANGER GATE "
	if t.g.Undo {
		word = " ◆ DANGER GATE, UNDO "
	}
	return frame{title: []span{txt(rGateBadge, word), bold(rStrong, "  "+stepOf(w))}, role: rGate}
}

func (t *tokenGate) rows(w *world, width int) (head, foot []row) {
	right, want, exact := t.match()
	button, words := rFaint, txt(rDim, fmt.Sprintf("%d of %d characters match. Enter is off until all do. Paste is refused.", right, want))
	if width < 72 {
		words.text = fmt.Sprintf("%d of %d characters match. Paste is refused.", right, want)
	}
	switch {
	case exact:
		button, words = rStrong, txt(rOK, fmt.Sprintf("✓ all %d characters match", want))
	case right < len([]rune(t.text.Value())):
		words = txt(rWarn, fmt.Sprintf("▲ %d of %d characters match, then it differs", right, want))
	case t.pasted && width >= 72:
		words = txt(rWarn, fmt.Sprintf("▲ Paste is refused: read the token and type it. %d of %d characters match.", right, want))
	}
	foot = []row{gap()}
	ask := "Type the token read from the live target:   "
	if widget.Width(ask+printable.Line(t.g.Token)) > width {
		ask = "Type:   "
	}
	if widget.Width(ask+printable.Line(t.g.Token)) > width { // it is never cut
		foot, ask = append(foot, line(bold(rStrong, "Type the token read from the live target:"))), ""
	}
	for i, l := range wrap(t.g.Token, width-len(ask), 0) {
		foot = append(foot, line(bold(rStrong, []string{ask, strings.Repeat(" ", len(ask))}[min(i, 1)]), bold(rGate, l)))
	}
	foot = append(foot, fieldRows(&t.text, width, rGate)...)
	verb := "run this step"
	if t.g.Undo {
		verb = "undo this step"
	}
	back := "  go back, nothing has changed"
	if width < 72 {
		back = "  go back"
	}
	foot = append(foot, line(words), gap(), row{
		left:  []span{bold(rStrong, "esc"), txt(rText, back)},
		right: []span{txt(button, "[ enter  "+verb+" ]")},
	})
	if w.sent == t.g.Seq {
		foot[len(foot)-1] = line(txt(rNow, "▸ "), txt(rText, "your answer is on its way"))
	}
	return t.actRows(w, width, foot), foot
}
