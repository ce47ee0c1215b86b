package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
	"lifeboat/internal/secret"
)

type answers = map[string][]func(*run.Gate) run.Answer

func undoOf(step string) func(*run.Gate) run.Answer {
	return func(*run.Gate) run.Answer { return run.Answer{Verb: run.Undo, Target: step} }
}

func reopenOf(step string) func(*run.Gate) run.Answer {
	return func(*run.Gate) run.Answer { return run.Answer{Verb: run.Reopen, Target: step} }
}

// The gate of a second try shows a plan of its own. The way back of the first effect
// must not be that of a plan that never ran.
func TestUndoGoesByThePlanOfTheEffect(t *testing.T) {
	b := newBench(t)
	b.broken["read"] = errors.New("not as it should be")
	p := &person{t: t, say: answers{
		"set-it decision": {verb(run.Retry)},
		"set-it token":    {approve, undoOf("set-it"), approve},
	}}
	r, err := b.play("## Set it\n\n~~~test.set\nvalue: new\n~~~\n\n~~~test.read verify\nvalue: v\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set new", "unset")
	wantStates(t, r, run.CompleteWithOverrides, "set-it=undone")
	if b.live != "old" {
		t.Errorf("the target is %q", b.live)
	}
}

func TestEveryAttemptIsUndone(t *testing.T) {
	b := newBench(t)
	b.broken["read"] = errors.New("not as it should be")
	p := &person{t: t, say: answers{
		"set-it decision": {verb(run.Retry), undoOf("set-it")},
		"closing":         {undoOf("set-it"), verb(run.Finish)},
	}}
	r, err := b.play("## Set it\n\n~~~test.set\nvalue: new\n~~~\n\n~~~test.read verify\nvalue: v\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set new", "set new", "unset", "unset")
	if b.live != "old" || r.Step("set-it").Changed {
		t.Errorf("the target is %q, changed %v", b.live, r.Step("set-it").Changed)
	}
}

func TestAbortAtTheGateOfAnUndo(t *testing.T) {
	b := newBench(t)
	p := &person{t: t, say: answers{
		"two confirm": {verb(run.Abandon)},
		"closing":     {undoOf("one"), verb(run.Finish)},
		"one token":   {approve, verb(run.Abandon)},
	}}
	r, err := b.play("## One\n\n~~~test.set\nvalue: one\n~~~\n\n## Two\n\n~~~test.write\nvalue: two\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set one")
	wantStates(t, r, run.Aborted, "one=verified two=waiting")
}

// A step that was skipped, is done after all and fails has an alternative still.
func TestAlternativeOfAStepDoneAfterAll(t *testing.T) {
	b := newBench(t)
	p := &person{t: t, say: answers{
		"first confirm": {verb(run.Skip)},
		"closing":       {reopenOf("first")},
	}}
	b.broken["write"] = errors.New("no")
	r, err := b.play("## First\n\n~~~test.write else=other\nvalue: a\n~~~\n\n## Other\n\n~~~test.set\nvalue: other\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set other")
	wantStates(t, r, run.Complete, "first=failed other=verified")
}

func TestAlternativeThatIsNotApplicableIsNoSuccess(t *testing.T) {
	b := newBench(t)
	b.broken["write"] = errors.New("no")
	r, err := b.play("## First\n\n~~~test.write else=other\nvalue: a\n~~~\n\n## Other\n\n~~~test.set when=\"mode == 'drill'\"\nvalue: other\n~~~\n", &person{t: t}, Start{})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.CompleteWithOverrides, "first=failed other=skipped")
}

// A debt is closed by what happened after it was opened, and opened again by what
// undoes that.
func TestDebtsByTheOrderOfEvents(t *testing.T) {
	const text = "## Off\n\n~~~test.open\nvalue: lock\n~~~\n\n## On\n\n~~~test.close\nvalue: lock\n~~~\n\n~~~sh undo\noff again\n~~~\n\n## Tell\n\n- [ ] Tell\n"
	settled := false
	asked := func(r run.Run, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Debts) > 0 || !settled {
			t.Errorf("debts %v, asked for one: %v", r.Debts, settled)
		}
	}
	settle := func(g *run.Gate) run.Answer {
		if !strings.HasPrefix(g.Prompt, "Still open") {
			t.Errorf("the end asks %q, not for the debt", g.Prompt)
		}
		settled = true
		return verb(run.Settle)(g)
	}
	b := newBench(t)
	p := &person{t: t, say: answers{"off confirm": {verb(run.Skip)}, "closing": {reopenOf("off"), settle}}}
	r, err := b.play(text, p, Start{})
	asked(r, err)
	b.wantEffects("write lock", "write lock")

	b, settled = newBench(t), false
	p = &person{t: t, say: answers{"tell checklist": {undoOf("on")}, "closing": {settle}}}
	r, err = b.play(text, p, Start{})
	asked(r, err)
	b.wantEffects("write lock", "write lock", "sh off again")
}

func TestHalfAChecklistIsNoAnswer(t *testing.T) {
	b := newBench(t)
	p := &person{t: t, say: answers{
		"by-hand checklist": {func(*run.Gate) run.Answer {
			return run.Answer{Verb: run.Skip, Class: run.Other, Reason: "later", Values: []string{"me"}}
		}},
		"closing": {reopenOf("by-hand")},
	}}
	r, err := b.play("## By hand\n\n- [ ] One\n- [ ] Two\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.Complete, "by-hand=claimed")
	if got := fmt.Sprint(p.gates, r.Step("by-hand").Values); got != "[by-hand checklist closing by-hand checklist] [seen seen]" {
		t.Error(got)
	}
}

func TestWordOfAPersonIsAClaim(t *testing.T) {
	b := newBench(t)
	b.broken["sh"] = action.ErrUnclear
	p := &person{t: t, say: answers{"run-it doubt": {verb(run.Settle), verb(run.Settle)}, "tell checklist": {undoOf("run-it")}}}
	r, err := b.play("## Run it\n\n~~~sh\nok\n~~~\n\n~~~sh undo\nback\n~~~\n\n## Tell\n\n- [ ] Tell\n", p, Start{})
	if err == nil { // the undo is unclear too
		wantStates(t, r, run.CompleteWithOverrides, "run-it=undone tell=claimed")
	}
	kinds := strings.Join(b.journal.kinds(t, r.ID), ",")
	if err != nil || !strings.Contains(kinds, "run-it doubt-settled,run-it step-claimed") || !strings.Contains(kinds, "run-it undo-began") {
		t.Errorf("%v\n%s", err, kinds)
	}
}

// An action that breaks every time must not be tried for ever behind a policy's back.
func TestBrokenRepeatableActionAsks(t *testing.T) {
	b := newBench(t)
	b.during = func(context.Context, string) error { panic("broken") }
	p := &person{t: t, say: answers{"write doubt": {verb(run.Override)}}}
	r, err := b.play("## Write\n\n~~~test.write\nvalue: w\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.CompleteWithOverrides, "write=overridden")
}

// What the action itself found wrong is still wrong after a crash.
func TestOwnChecksSurviveACrash(t *testing.T) {
	b := newBench(t)
	b.actions = append(b.actions, action.New(action.Def[valueParams]{Name: "test.bad", Effect: action.Read, Repeat: action.Safe,
		Run: func(context.Context, *action.Env, valueParams, action.Plan) (action.Result, error) {
			return action.Result{Checks: []action.Check{{Text: "every object is there"}}}, nil
		}}))
	b.journal.fault = func(ev run.Event) (bool, error) {
		if ev.Kind == run.StepFailed {
			b.journal.fault = nil
			return false, errors.New("disk on fire")
		}
		return true, nil
	}
	p := &person{t: t, say: answers{"bad decision": {verb(run.Finish)}}}
	text := "## Bad\n\n~~~test.bad\n~~~\n"
	r, err := b.play(text, p, Start{})
	if !errors.Is(err, ErrStop) {
		t.Fatal(err)
	}
	r, err = b.resume(b.program(text), r.ID, p)
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.NotComplete, "bad=failed")
}

// The end of the host is no failure of a step that only reads: no alternative is taken
// because of it.
func TestEndOfTheHostIsNoFailure(t *testing.T) {
	b := newBench(t)
	text := "## Write\n\n~~~test.write else=other\nvalue: w\n~~~\n\n## Other\n\n~~~test.set\nvalue: other\n~~~\n"
	ctx, cancel := context.WithCancel(t.Context())
	b.during = func(ctx context.Context, _ string) error { cancel(); b.during = nil; return ctx.Err() }
	prog, p := b.program(text), &person{t: t}
	id, err := Begin(ctx, b.config(p), prog, Start{Mode: run.Live})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(ctx, b.config(p), prog, id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r, err := b.resume(prog, id, p)
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.Complete, "write=verified other=skipped")
}

// Somebody chose a word for a secret that is also a word of the record.
func TestSecretThatIsAnOrdinaryWord(t *testing.T) {
	for _, word := range []string{"set-it", "2026", "confirm", "verb", "destroy", "complete", "1000", "live", "test.set", "old"} {
		b := newBench(t)
		b.redact = secret.NewRedactor()
		if err := b.redact.Add(secret.New(word)); err != nil && len(word) >= secret.Shortest {
			t.Fatal(err)
		}
		r, err := b.play("## Set it\n\n~~~test.set\nvalue: new\n~~~\n", &person{t: t}, Start{})
		if err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		wantStates(t, r, run.Complete, "set-it=verified")
	}
}

func TestParameterThatHoldsASecret(t *testing.T) {
	b := newBench(t)
	if err := b.redact.Add(secret.New("canary-7f3a")); err != nil {
		t.Fatal(err)
	}
	_, err := b.play("---\ntitle: T\nkind: recovery\nparams:\n  a: {help: A}\n---\n\n# T\n\n## See\n\n~~~test.read\nvalue: ${a}\n~~~\n",
		&person{t: t}, Start{Params: map[string]string{"a": "x canary-7f3a"}})
	if err == nil || !strings.Contains(err.Error(), "holds a secret") || len(b.journal.stored) > 0 {
		t.Errorf("error %v, stored %d runs", err, len(b.journal.stored))
	}
}

// A resumed run asks for its secrets again before it makes checks that need them.
func TestSecretsAfterACrashBeforeTheChecks(t *testing.T) {
	b := newBench(t)
	text := "---\ntitle: T\nkind: recovery\nparams:\n  key: {secret: true, help: K}\n---\n\n# T\n\n## Set it\n\n~~~test.set\nvalue: new\n~~~\n\n~~~test.read verify\nvalue: v\nkey: ${key}\n~~~\n"
	b.journal.fault = func(ev run.Event) (bool, error) {
		if ev.Kind == run.CheckMade {
			b.journal.fault = nil
			return false, errors.New("disk on fire")
		}
		return true, nil
	}
	p := &person{t: t}
	r, err := b.play(text, p, Start{})
	if !errors.Is(err, ErrStop) {
		t.Fatal(err)
	}
	if r, err = b.resume(b.program(text), r.ID, p); err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.Complete, "set-it=verified")
	b.wantEffects("set new")
	if got := fmt.Sprint(p.gates); got != "[set-it input set-it token set-it input]" {
		t.Error(got)
	}
}

func TestInclusionsInDrillsAndAsAlternatives(t *testing.T) {
	b := newBench(t)
	b.books["child"] = "---\ntitle: C\nkind: recovery\n---\n\n# C\n\n## Do\n\n~~~test.set\nvalue: inner\n~~~\n\n~~~test.set probe\nvalue: p\n~~~\n\n~~~sh verify effect=destroy target=x\nok\n~~~\n"
	_, problems := b.compile("## One\n\n~~~test.write else=two\nvalue: a\n~~~\n\n## Two\n\n~~~runbook optional\nrunbook: child\n~~~\n")
	got := fmt.Sprint(problems)
	for _, want := range []string{"included runbook", "optional belong to its steps", "cannot be a probe", "cannot be a verify"} {
		if !strings.Contains(got, want) {
			t.Errorf("no problem says %q:\n%s", want, got)
		}
	}

	b = newBench(t)
	b.books["child"] = "---\ntitle: C\nkind: recovery\n---\n\n# C\n\n## Do\n\n~~~test.set\nvalue: inner\n~~~\n"
	prog := b.program("## Two\n\n~~~runbook drill=skip\nrunbook: child\n~~~\n")
	p := &person{t: t}
	cfg := b.config(p)
	cfg.Fence = func(string) error { return nil }
	id, err := Begin(t.Context(), cfg, prog, Start{Mode: run.Drill})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), cfg, prog, id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects()
	wantStates(t, r, run.Complete, "two.do=skipped")
}

// A token is what a keyboard can give, whatever the target is called.
func TestTokenCanBeTyped(t *testing.T) {
	for token, want := range map[string]string{"a  b\tc ": "a b c", "größe@1": "größe@1", "\x1b[31mmain": "main", " \t": ""} {
		if got := typeable(token); got != want {
			t.Errorf("typeable(%q) = %q, want %q", token, got, want)
		}
	}
}

// What fails with the same values again is not recommended to be tried with them again.
func TestFailureOfTheGivenRecommendsToBeginAnew(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		err   error
		first run.Verb
	}{
		"given":         {"${at}", action.Given(errors.New("no backup before noon")), run.Anew},
		"for a while":   {"${at}", errors.New("the vault does not answer"), run.Retry},
		"not of values": {"v", action.Given(errors.New("no backup")), run.Retry},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.broken["read"] = c.err
			var got run.Option
			look := func(g *run.Gate) run.Answer { got = g.Options[0]; return run.Answer{Verb: run.Finish, Reason: "seen"} }
			p := &person{t: t, say: answers{"look decision": {look}}}
			if _, err := b.play("---\nkind: procedure\nparams:\n  at: {default: noon}\n---\n\n# A runbook\n\n## Look\n\n~~~test.read\nvalue: "+c.value+"\n~~~\n", p, Start{}); err != nil {
				t.Fatal(err)
			}
			if got.Verb != c.first {
				t.Errorf("%q comes first, want %s", got.Text, c.first)
			}
		})
	}
}

// Trying again does not ask for a parameter: whoever is told that another value is needed
// is told how to give one, and only of those that the failed step goes by.
func TestFailedStepSaysWhichParametersStay(t *testing.T) {
	for name, c := range map[string]struct{ step, stays, anew string }{
		"none":   {"~~~test.read\nvalue: v\n~~~", "", ""},
		"one":    {"~~~test.read\nvalue: ${at}\n~~~", "given for at stays", "another at"},
		"saved":  {"~~~test.read save=good\nvalue: ${log}\n~~~\n\n## Then\n\n~~~test.set\nvalue: ${good.value}\n~~~", "given for log stays", "another log"},
		"script": {"~~~sh effect=read\nlook \"$at\" \"${log}\" $atlases\n~~~", "given for at and log stays", "another at or log"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			no := errors.New("not in the backups")
			if b.broken["sh"], b.broken["set"] = no, no; name != "saved" {
				b.broken["read"] = no
			}
			var retry, anew string
			look := func(g *run.Gate) run.Answer {
				for _, o := range g.Options {
					switch o.Verb {
					case run.Retry:
						retry = o.Hint
					case run.Anew:
						anew = o.Text
					}
				}
				return run.Answer{Verb: run.Finish, Reason: "seen"}
			}
			p := &person{t: t, say: answers{"look decision": {look}, "then decision": {look}}}
			if _, err := b.play("---\nkind: procedure\nparams:\n  at: {default: noon}\n  log: {default: x}\n  atlas: {default: y}\n---\n\n# A runbook\n\n## Look\n\n"+c.step+"\n", p, Start{}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(retry, c.stays) || !strings.Contains(anew, c.anew) || c.stays == "" && strings.Contains(retry+anew, "given") {
				t.Errorf("try again %q, begin anew %q", retry, anew)
			}
		})
	}
}
