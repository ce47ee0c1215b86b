package app

import (
	"errors"
	"strings"

	"lifeboat/internal/drill"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
)

// practises takes the director of the drill that is played.
func (p *plain) practises(d runner.Practice) { p.practice = d }

// drillWord understands the words of a drill: at every prompt, their first letters where
// numbers are picked. It says whether text was one of them.
func (p *plain) drillWord(r *run.Run, text string, picks bool) (bool, error) {
	if p.practice == nil {
		return false, nil
	}
	switch {
	case text == "inject" || picks && text == "i":
		return true, p.answerInject(r)
	case text == "hint" || picks && text == "h":
		return true, p.takeHint(r)
	}
	return false, nil
}

func (p *plain) drillHelp() {
	if p.practice != nil {
		p.out.add("inject answer the inject that waits")
		p.out.add("hint   take a hint for this step, at its price")
	}
}

// answerInject asks for an answer to the inject that waits longest.
func (p *plain) answerInject(r *run.Run) error {
	now := p.hand.Snapshot()
	open := now.Drill.Open()
	if open == nil {
		p.out.add("No inject waits for an answer.")
		return nil
	}
	p.out.add("%s: %q", open.From, open.Text)
	p.out.add("In a sentence. An empty line goes back, the clock goes on.")
	text, err := p.read(r, "INJECT")
	if text = strings.TrimSpace(text); err != nil || text == "" {
		return err
	}
	err = p.practice.Answer(p.ctx, open.Name, p.by, text)
	if errors.Is(err, drill.ErrNoInject) { // somebody else was faster
		p.out.add("It was answered already.")
		return nil
	}
	return err
}

// takeHint says what a hint costs, and takes it.
func (p *plain) takeHint(r *run.Run) error {
	now := p.hand.Snapshot()
	at := min(now.Current(), len(now.Steps)-1)
	step := now.Steps[at].ID
	if g := now.Gate; g != nil && g.Step != "" {
		step = g.Step
	}
	h, ok := now.Drill.Next(step)
	if !ok {
		p.out.add("There is no hint for this step.")
		return nil
	}
	p.out.add("It costs %d points. Type yes to take it, an empty line goes back.", h.Cost)
	text, err := p.read(r, "HINT")
	if err != nil || strings.TrimSpace(text) != "yes" {
		return err
	}
	return p.practice.Hint(p.ctx, step, p.by)
}
