package console

import (
	"fmt"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// confirmGate asks for a yes to a write. The yes is a letter, never enter.
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
	verb := "start"
	if c.g.Undo {
		verb = "undo"
	}
	return append([]binding{
		does("y", verb, "Run the step exactly as shown.", func() Intent {
			return answerGate{w.snap.ID, w.answer(c.g, run.Approve)}
		}),
		does("s", "skip", "Leave the step out. Asks for the reason.", func() Intent { return w.choose(c.g, skip) }).unless(noSkip),
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
	head = actHead(w, c.g, width)
	_, badge, _ := modeLook(w.snap.Started.Mode)
	foot = []row{gap(), {
		left:  []span{txt(badge, " y "), bold(rStrong, " "+yesWords(c.g)), txt(rText, "     "), bold(rStrong, "s"), txt(rDim, " skip")},
		right: []span{bold(rStrong, "esc"), txt(rDim, " later, nothing has changed")},
	}}
	if w.sent == c.g.Seq {
		foot[1] = line(txt(rNow, "▸ "), txt(rText, "your answer is on its way"))
	}
	return head, foot
}

func yesWords(g *run.Gate) string {
	if g.Undo {
		return "undo it"
	}
	return "start this step"
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

// actHead is what confirm and danger gates show alike: title, plan, way back, checks.
func actHead(w *world, g *run.Gate, width int) []row {
	st := w.snap.step()
	rs := []row{gap()}
	if width >= 78 { // else it stands in the border
		rs = append(rs, line(bold(rStrong, st.Title)))
	}
	if g.Prompt != "" {
		rs = append(rs, wrapped(rText, g.Prompt, width, 3)...)
	} else if says := excerpt(w.guidance(st.ID)); says != "" && g.Kind == run.Confirm {
		rs = append(rs, wrapped(rDim, says, width, 2)...)
	}
	if g.Plan == nil {
		return rs
	}
	rs = append(append(rs, gap()), planRows(g.Plan, width, 11, true)...)
	for _, d := range g.Plan.Opens {
		rs = append(rs, line(txt(rDim, pad("leaves", 11)), txt(rWarn, "▲ "), txt(rText, d.Text)))
	}
	if checks := checkRows(g.Plan.Checks, width); len(checks) > 0 {
		rs = append(append(rs, gap(), row{left: []span{bold(rStrong, "Checked just now"), txt(rFaint, "  "+hhmmss(w.snap.gateAt))}, spare: 2}), checks...)
	}
	return rs
}

// tokenGate is the danger gate: the person types what will change, character by
// character, read just now from the live target.
type tokenGate struct {
	asking
	typed  widget.Field
	pasted bool
}

func (t *tokenGate) over() bool           { return true }
func (t *tokenGate) field() *widget.Field { return &t.typed }

// paste refuses: what is pasted has not been read.
func (t *tokenGate) paste(string) Intent {
	t.pasted = true
	return nil
}

// match counts the characters that are right from the start.
func (t *tokenGate) match() (right, want int, exact bool) {
	typed, token := []rune(t.typed.Value()), []rune(t.g.Token)
	for right < len(typed) && right < len(token) && typed[right] == token[right] {
		right++
	}
	return right, len(token), len(token) > 0 && t.typed.Value() == t.g.Token
}

func (t *tokenGate) bindings(w *world) []binding {
	_, _, exact := t.match()
	off := ""
	if !exact {
		off = "the token is not complete"
	}
	return append([]binding{
		{show: "type", help: "the token", long: "Type the token. It names what changes."},
		does("enter", "run this step", "Run the step, once every character of the token is right.", func() Intent {
			a := w.answer(t.g, run.Approve)
			a.Token = t.typed.Value()
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
	head = actHead(w, t.g, width)
	right, want, exact := t.match()
	button, words := rFaint, txt(rDim, fmt.Sprintf("%d of %d characters match. Enter is off until all do. Paste is refused.", right, want))
	switch {
	case exact:
		button, words = rStrong, txt(rOK, fmt.Sprintf("✓ all %d characters match", want))
	case right < len([]rune(t.typed.Value())):
		words = txt(rWarn, fmt.Sprintf("▲ %d of %d characters match, then it differs", right, want))
	case t.pasted:
		words = txt(rWarn, fmt.Sprintf("▲ Paste is refused: read the token and type it. %d of %d characters match.", right, want))
	}
	foot = []row{gap(), line(bold(rStrong, "Type the token read from the live target:   "), bold(rGate, t.g.Token))}
	foot = append(foot, fieldRows(&t.typed, width, rGate)...)
	verb := "run this step"
	if t.g.Undo {
		verb = "undo this step"
	}
	foot = append(foot, line(words), gap(), row{
		left:  []span{bold(rStrong, "esc"), txt(rText, "  go back, nothing has changed")},
		right: []span{txt(button, "[ enter  "+verb+" ]")},
	})
	if w.sent == t.g.Seq {
		foot[len(foot)-1] = line(txt(rNow, "▸ "), txt(rText, "your answer is on its way"))
	}
	return head, foot
}
