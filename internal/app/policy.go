package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	given map[string]bool   // steps whose gate was answered: what was decided holds once
}

var _ engine.Asker = (*policy)(nil)

func newPolicy(by string, yes bool, allow map[string]string) *policy {
	return &policy{by: by, yes: yes, allow: allow, given: map[string]bool{}}
}

// knows refuses a token for a step that the runbook does not have: a slip of the pen
// must not show only when the run has done half its work.
func knows(allow map[string]string, steps []run.Outline) error {
	for _, id := range slices.Sorted(maps.Keys(allow)) {
		if slices.ContainsFunc(steps, func(o run.Outline) bool { return o.ID == id }) {
			continue
		}
		var destroying []string
		for _, o := range steps {
			if o.Effect == "destroy" {
				destroying = append(destroying, o.ID)
			}
		}
		fix := "no step of the runbook destroys anything"
		if len(destroying) > 0 {
			fix = "steps that destroy are " + strings.Join(destroying, ", ")
		}
		return usage(hint.Wrap(fmt.Errorf("--allow names step %q, and the runbook has no such step", id), fix))
	}
	return nil
}

// Ask implements engine.Asker.
func (p *policy) Ask(_ context.Context, r run.Run, refused string) (run.Answer, error) {
	g := r.Gate
	if refused != "" {
		return run.Answer{}, fmt.Errorf("%w: %s", engine.ErrPerson, refused)
	}
	a := run.Answer{Gate: g.Seq, By: p.by}
	switch g.Kind {
	case run.Confirm:
		if p.given[g.Step] {
			return a, person(r, "look why it asks again: --yes approved this step once", "answer it: lifeboat attach "+r.ID.Short())
		}
		if p.yes && !g.Undo {
			p.given[g.Step] = true
			a.Verb, a.Digest, a.How = run.Approve, g.Digest, "--yes"
			return a, nil
		}
		return a, person(r, "approve its write", "pass --yes to approve writes, or answer it: lifeboat attach "+r.ID.Short())
	case run.Token:
		token, given := p.allow[g.Step]
		switch {
		case given && p.given[g.Step]:
			return a, person(r, "look why it asks again: --allow approved this step once", "answer it: lifeboat attach "+r.ID.Short())
		case given && token == g.Token && !g.Undo:
			p.given[g.Step] = true
			a.Verb, a.Digest, a.Token, a.How = run.Approve, g.Digest, token, "--allow"
			return a, nil
		case given && !g.Undo:
			return a, person(r, fmt.Sprintf("look again: --allow gave %q, the live target now has %q", token, g.Token),
				"the target is not what it was when the token was written down; look at it before you allow it")
		}
		return a, person(r, "type the token of its target", fmt.Sprintf("pass --allow %s, or answer it: lifeboat attach %s", shellWord(g.Step+"="+g.Token), r.ID.Short()))
	case run.Decision:
		if len(r.Debts) == 0 {
			a.Verb, a.How, a.Reason = run.Finish, "headless", "nobody was there to decide"
			return a, nil
		}
	case run.Checklist:
		return a, person(r, fmt.Sprintf("do what a person does: %q", g.Items[0].Text), "answer it: lifeboat attach "+r.ID.Short())
	case run.Input:
		name, _, _ := strings.Cut(g.Prompt, ":")
		return a, person(r, "give the secret "+name, "set "+secretPrefix+strings.ToUpper(name)+" in the environment and resume it: lifeboat resume "+r.ID.Short())
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

// shellWord quotes what a shell would not take as one word as it is.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func person(r run.Run, what, advice string) error {
	where := "at its end"
	if s := r.Step(r.Gate.Step); s != nil {
		where = fmt.Sprintf("at step %q", s.ID)
	}
	return hint.Wrap(fmt.Errorf("%w: run %s waits %s for somebody to %s", engine.ErrPerson, r.ID.Short(), where, what), advice)
}
