package app

import (
	"context"
	"fmt"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// policy answers gates where nobody is there: with what was decided on the command
// line, and otherwise not at all. It never guesses, and never answers twice.
type policy struct {
	by    string
	yes   bool              // --yes: writes are approved
	allow map[string]string // --allow: step id -> the exact token of a destructive step
}

var _ engine.Asker = policy{}

// Ask implements engine.Asker.
func (p policy) Ask(_ context.Context, r run.Run, refused string) (run.Answer, error) {
	g := r.Gate
	if refused != "" {
		return run.Answer{}, fmt.Errorf("%w: %s", engine.ErrPerson, refused)
	}
	a := run.Answer{Gate: g.Seq, By: p.by}
	switch g.Kind {
	case run.Confirm:
		if p.yes && !g.Undo {
			a.Verb, a.Digest, a.How = run.Approve, g.Digest, "--yes"
			return a, nil
		}
		return a, person(r, "approve its write", "pass --yes to approve writes, or answer it: lifeboat attach "+r.ID.Short())
	case run.Token:
		token, given := p.allow[g.Step]
		switch {
		case given && token == g.Token && !g.Undo:
			a.Verb, a.Digest, a.Token, a.How = run.Approve, g.Digest, token, "--allow"
			return a, nil
		case given && !g.Undo:
			return a, person(r, fmt.Sprintf("look again: --allow gave %q, the live target now has %q", token, g.Token),
				"the target is not what it was when the token was written down; look at it before you allow it")
		}
		return a, person(r, "type the token of its target", fmt.Sprintf("pass --allow %s=%s, or answer it: lifeboat attach %s", g.Step, g.Token, r.ID.Short()))
	case run.Decision:
		if len(r.Debts) == 0 {
			a.Verb, a.How, a.Reason = run.Finish, "headless", "nobody was there to decide"
			return a, nil
		}
	case run.Closing:
		for _, o := range g.Options {
			if o.Verb == run.Finish {
				a.Verb, a.How = run.Finish, "headless"
				return a, nil
			}
		}
	}
	return a, person(r, "answer: "+g.Prompt, "answer it: lifeboat attach "+r.ID.Short())
}

func person(r run.Run, what, advice string) error {
	where := "at its end"
	if s := r.Step(r.Gate.Step); s != nil {
		where = fmt.Sprintf("at step %q", s.ID)
	}
	return hint.Wrap(fmt.Errorf("%w: run %s waits %s for somebody to %s", engine.ErrPerson, r.ID.Short(), where, what), advice)
}
