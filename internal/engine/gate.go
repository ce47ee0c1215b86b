package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/secret"
)

// maxRefusals bounds how often one gate asks again. A person never gets there; a
// policy that gives the same wrong answer for ever does.
const maxRefusals = 200

// ask opens a gate and comes back with an answer that fits it: the right gate, an
// offered verb, the exact token, a reason where one is due. The answer is durable
// before anybody acts on it.
func (e *Engine) ask(ctx context.Context, step string, g run.Gate) (run.Answer, error) {
	if err := e.commit(ctx, run.GateOpened, step, 0, g); err != nil {
		return run.Answer{}, err
	}
	refused := ""
	for range maxRefusals {
		state := e.Snapshot()
		open := state.Gate
		if open == nil {
			return run.Answer{}, fmt.Errorf("ask at step %q: the gate is not open any more", step)
		}
		a, err := e.cfg.Asker.Ask(ctx, state, refused)
		if err != nil {
			return run.Answer{}, err
		}
		if a.Verb == run.Undo && a.Target == "" {
			a.Target = open.Step
		}
		if refused = e.refuse(&state, open, a); refused != "" {
			continue
		}
		if open.Secret { // nothing that was typed may reach the journal: it is not masked yet
			a = run.Answer{Gate: a.Gate, Verb: a.Verb, By: a.By, How: a.How, Session: a.Session, Target: a.Target, Class: a.Class, Reason: a.Reason}
			if a.Verb == run.Give {
				a.Target, a.Class, a.Reason, a.Extra = "", "", "", map[string]string{"value": "given"}
			}
		} else if a.Verb != run.Give {
			a.Values = nil
		}
		err = e.commitWhen(ctx, func(now *run.Run) error {
			if says := notDriving(now, a); says != "" {
				return errNotDriving
			}
			return nil
		}, run.GateAnswered, step, 0, a)
		if errors.Is(err, errNotDriving) { // it came into other hands while the answer was looked at
			state = e.Snapshot()
			refused = notDriving(&state, a)
			continue
		}
		return a, err
	}
	return run.Answer{}, fmt.Errorf("%w: %d answers did not fit, the last because %s", ErrPerson, maxRefusals, refused)
}

var errNotDriving = errors.New("somebody else drives the run")

// notDriving says who drives the run when the answer is somebody else's, empty when it is
// the driver's. A policy sits nowhere and answers for the driver.
func notDriving(state *run.Run, a run.Answer) string {
	d := state.Driver
	if a.Session == "" || d.Session == "" || a.Session == d.Session {
		return ""
	}
	return d.By + " drives this run; nothing was answered"
}

// refuse says why an answer does not fit the open gate, empty when it does.
func (e *Engine) refuse(state *run.Run, g *run.Gate, a run.Answer) string {
	if a.Gate != g.Seq {
		return "it was meant for another gate; look at this one first"
	}
	offered := slices.ContainsFunc(g.Options, func(o run.Option) bool { return o.Verb == a.Verb })
	switch a.Verb {
	case run.Abandon:
		if g.Kind == run.Closing && slices.ContainsFunc(g.Options, func(o run.Option) bool { return o.Verb == run.Settle }) {
			return "no run ends while something is still to be put back: put it back, or leave and come back later"
		}
		return ""
	case run.Reopen:
		if !slices.ContainsFunc(g.Options, func(o run.Option) bool { return o.Verb == run.Reopen && o.Key == a.Target }) {
			return fmt.Sprintf("step %q is not one that can be done after all", a.Target)
		}
		return ""
	case run.Undo:
		return e.refuseUndo(state, a.Target)
	case run.Skip, run.Override:
		if g.Step == "" || a.Verb == run.Override && !offered {
			return fmt.Sprintf("%q is not possible here", a.Verb)
		}
		if strings.TrimSpace(a.Reason) == "" || a.Class == "" {
			return "leaving the path needs a reason: its class and a sentence"
		}
		return ""
	}
	switch g.Kind {
	case run.Confirm, run.Token:
		if a.Verb != run.Approve {
			return fmt.Sprintf("%q is not possible here", a.Verb)
		}
		if a.Digest != g.Digest {
			return "it approves something else than this plan"
		}
		if g.Kind == run.Token && a.Token != g.Token {
			return fmt.Sprintf("the token is %q, %q was typed; nothing has run", g.Token, a.Token)
		}
	case run.Checklist:
		if a.Verb != run.Give {
			return fmt.Sprintf("%q is not possible here", a.Verb)
		}
		return refuseValues(g.Items, a.Values)
	case run.Choice:
		if a.Verb != run.Give || len(a.Values) != 1 || !slices.ContainsFunc(g.Options, func(o run.Option) bool { return o.Key == a.Values[0] }) {
			return "choose one of the options"
		}
	case run.Input:
		if a.Verb != run.Give || len(a.Values) != 1 || a.Values[0] == "" {
			return "type a value"
		}
	default:
		if !offered {
			return fmt.Sprintf("%q is not offered here", a.Verb)
		}
		if a.Verb == run.Settle && g.Kind == run.Closing && strings.TrimSpace(a.Reason) == "" {
			return "closing a debt by hand needs a sentence: how do you know?"
		}
	}
	return ""
}

// refuseValues checks what a person says to have seen.
func refuseValues(items []run.Item, values []string) string {
	if len(values) != len(items) {
		return fmt.Sprintf("%d answers are needed, one per item", len(items))
	}
	for i, it := range items {
		v := strings.TrimSpace(values[i])
		switch {
		case v == "":
			return fmt.Sprintf("item %d has no answer: %s", i+1, it.Text)
		case it.Expect != "" && v != it.Expect:
			return fmt.Sprintf("item %d should be %q, you saw %q: mend it, or skip the step with a reason", i+1, it.Expect, v)
		}
	}
	return ""
}

// common acts on the verbs that every gate of a step understands.
func (e *Engine) common(ctx context.Context, u *unit, a run.Answer) error {
	switch a.Verb {
	case run.Skip:
		if s := e.view().Step(u.ID).State; s == run.Failed || s == run.InDoubt { // begun: it cannot be left out any more
			return e.commit(ctx, run.StepOverridden, u.ID, 0, run.Reason{By: a.By, Class: a.Class, Text: a.Reason})
		}
		return e.commit(ctx, run.StepSkipped, u.ID, 0, run.Reason{By: a.By, Class: a.Class, Text: a.Reason})
	case run.Override:
		return e.commit(ctx, run.StepOverridden, u.ID, 0, run.Reason{By: a.By, Class: a.Class, Text: a.Reason})
	case run.Abandon:
		return e.abandon(ctx, a)
	case run.Undo:
		return e.undo(ctx, a.Target)
	}
	return fmt.Errorf("act on %q at step %q: no gate offers this", a.Verb, u.ID)
}

// prose fills in what is only read by a person. What a step that was left out, skipped or
// accepted as it is would have saved is said to be unknown: the question still has to be asked.
func (e *Engine) prose(u *unit, text string) (string, error) {
	v, err := runbook.Expand(text, func(n string) (any, bool) {
		if v, ok := e.lookup(u.scope, n); ok || !strings.Contains(n, ".") {
			return v, ok
		}
		return missing(n + " is not known"), true
	})
	return fmt.Sprint(v), err
}

// checklist asks a person for what they did or saw.
func (e *Engine) checklist(ctx context.Context, u *unit) error {
	g := run.Gate{Kind: run.Checklist}
	for _, it := range u.step.Items {
		text, err := e.prose(u, it.Text)
		if err != nil {
			return e.fail(ctx, u, fmt.Errorf("%s: %w", it.Pos, err), nil)
		}
		expect, err := runbook.Expand(it.Expect, func(n string) (any, bool) { return e.lookup(u.scope, n) })
		if err != nil {
			return e.fail(ctx, u, fmt.Errorf("%s: %w", it.Pos, err), nil)
		}
		g.Items = append(g.Items, run.Item{Text: fmt.Sprint(text), Observe: it.Observe, Expect: fmt.Sprint(expect)})
	}
	a, err := e.ask(ctx, u.ID, g)
	if err != nil {
		return err
	}
	if a.Verb != run.Give {
		return e.common(ctx, u, a)
	}
	return nil // the values are on record; what the step still needs follows
}

// claim ends a step that a person has done.
func (e *Engine) claim(ctx context.Context, u *unit, s run.Step) error {
	if err := e.commit(ctx, run.StepClaimed, u.ID, 0, run.Verdict{By: s.By, Values: s.Values, Evidence: strings.Join(s.Values, ", ")}); err != nil {
		return err
	}
	return e.repay(ctx)
}

// choose asks for one of the options of a choose block.
func (e *Engine) choose(ctx context.Context, u *unit) error {
	b := u.step.Do
	ask, err := e.prose(u, b.Ask)
	if err != nil {
		return e.fail(ctx, u, fmt.Errorf("%s: %w", b.Pos, err), nil)
	}
	g := run.Gate{Kind: run.Choice, Prompt: ask}
	for _, o := range b.Options {
		text, err := e.prose(u, o.Text)
		if err != nil {
			return e.fail(ctx, u, fmt.Errorf("%s: %w", o.Pos, err), nil)
		}
		g.Options = append(g.Options, run.Option{Verb: run.Give, Key: o.Key, Text: text})
	}
	a, err := e.ask(ctx, u.ID, g)
	if err != nil {
		return err
	}
	if a.Verb != run.Give {
		return e.common(ctx, u, a)
	}
	return e.commit(ctx, run.StepClaimed, u.ID, 0, run.Verdict{
		By: a.By, Evidence: a.Values[0], Save: b.Save, Scope: u.scope.id,
		Outputs: map[string]any{"choice": a.Values[0]},
	})
}

// askSecrets makes sure that the secrets of the runbook are known before something that
// may use them: an effect, a check, a probe or an undo. Their values stay in memory: a
// resumed run asks again. The answer is Give when all are known, else what the person
// wants instead.
func (e *Engine) askSecrets(ctx context.Context, u *unit) (run.Answer, error) {
	for _, p := range e.program.Book.Params() {
		if _, known := e.secrets[p.Name]; !p.Secret || known {
			continue
		}
		g := run.Gate{Kind: run.Input, Prompt: p.Name + ": " + p.Help, Secret: true}
		var value string
		asked := e.cfg.Asker
		e.cfg.Asker = keepValue{asked, &value}
		a, err := e.ask(ctx, u.ID, g)
		e.cfg.Asker = asked
		if err != nil {
			return a, err
		}
		if a.Verb != run.Give {
			return a, nil
		}
		s := secret.New(value)
		if err := e.cfg.Redact.Add(s); err != nil {
			if err := e.Note(ctx, "lifeboat", fmt.Sprintf("secret %s is too short to be masked in logs: %v", p.Name, err)); err != nil {
				return a, err
			}
		}
		e.secrets[p.Name] = s
	}
	return run.Answer{Verb: run.Give}, nil
}

// keepValue passes an answer on and keeps the value that must not reach the journal.
type keepValue struct {
	Asker
	value *string
}

func (k keepValue) Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error) {
	a, err := k.Asker.Ask(ctx, r, refused)
	if len(a.Values) == 1 {
		*k.value = a.Values[0]
	}
	return a, err
}

// typeable makes of a token what a keyboard can give: one line, no blanks at its ends,
// single ones inside, nothing invisible.
func typeable(token string) string {
	return strings.Join(strings.Fields(printable.Line(token)), " ")
}

// position is the number of a step as people see it, from 1.
func (e *Engine) position(u *unit) int { return slices.Index(e.program.units, u) + 1 }

func logName(position int, id string, attempt int, suffix string) string {
	name := fmt.Sprintf("%02d-%s.%d", position, fileName(id), attempt)
	if suffix != "" {
		name += "." + suffix
	}
	return name + ".log"
}

// mayRepeat says whether a second run of the step's action does no harm.
func mayRepeat(u *unit, s run.Step) bool {
	if s.Plan != nil && s.Plan.Effect == string(action.Read) {
		return true
	}
	return u.do != nil && u.do.action.Repeat == action.Safe && (s.Plan == nil || s.Plan.Effect != string(action.Destroy))
}
