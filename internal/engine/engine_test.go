package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/run"
	"lifeboat/internal/secret"
)

const threeSteps = `
## Look

~~~test.read save=it
value: new
~~~

## Set it

~~~test.set
value: ${it.value}
~~~

~~~test.read verify
value: checked
~~~

## Tell the team

- [ ] Tell them {observe}
`

func TestRunFromFirstStepToLast(t *testing.T) {
	b := newBench(t)
	p := &person{t: t}
	r, err := b.play(threeSteps, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.Complete, "look=verified set-it=verified tell-the-team=claimed")
	b.wantEffects("set new")
	if got := fmt.Sprint(p.gates); got != "[set-it token tell-the-team checklist]" {
		t.Errorf("gates %s", got)
	}
	want := "[run-started look step-began look step-finished look step-verified set-it gate-opened set-it gate-answered " +
		"set-it step-began set-it step-finished set-it check-made set-it step-verified tell-the-team gate-opened tell-the-team gate-answered " +
		"tell-the-team step-claimed run-ended]"
	if got := fmt.Sprint(b.journal.kinds(t, r.ID)); got != want {
		t.Errorf("history\n%s\nwant\n%s", got, want)
	}
	if log := b.spool.m["01-look.1.log"]; log == nil || !strings.Contains(log.String(), "reading new") {
		t.Errorf("log of the first step: %v", log)
	}
}

// The heart of the promise: whatever append fails, and whether or not it was stored
// all the same, the destructive effect happens once, and the run comes to its end.
func TestEveryAppendFailsBothWays(t *testing.T) {
	for _, stored := range []bool{false, true} {
		for n := 1; ; n++ {
			b := newBench(t)
			count, fired := 0, false
			b.journal.fault = func(run.Event) (bool, error) {
				if count++; count == n {
					fired = true
					return stored, errors.New("disk on fire")
				}
				return true, nil
			}
			r, err := playThrough(b, threeSteps)
			if !fired {
				if n < 14 {
					t.Fatalf("only %d appends were tried", n)
				}
				break
			}
			if err != nil {
				t.Fatalf("append %d (stored: %v): %v", n, stored, err)
			}
			if r.Outcome != run.Complete || strings.Join(b.effects, ",") != "set new" {
				t.Fatalf("append %d (stored: %v): %s, effects %q", n, stored, r.Outcome, b.effects)
			}
		}
	}
}

// playThrough plays with a person who takes the run up again whenever the engine
// stopped, settles doubts as the probe suggests, and never gives up.
func playThrough(b *bench, text string) (run.Run, error) {
	p := b.program(text)
	a := &person{t: b.t}
	var id run.ID
	for range 20 {
		var err error
		if id == "" {
			if id, err = Begin(b.t.Context(), b.config(a), p, Start{Mode: run.Live}); err != nil {
				id = ""
				for stored := range b.journal.stored { // it was stored although it failed
					id = stored
				}
				continue
			}
		}
		r, err := b.crashable(p, id, a)
		if err == nil {
			return r, nil
		}
		if errors.Is(err, ErrEnded) { // its end was stored although the append failed
			events, err := b.journal.Load(b.t.Context(), id)
			if err != nil {
				return r, err
			}
			return run.FoldAll(events)
		}
		if !errors.Is(err, ErrStop) && !errors.Is(err, errCrash) {
			return r, err
		}
	}
	return run.Run{}, errors.New("no end after twenty engines")
}

var errCrash = errors.New("killed")

// crashable resumes and turns the crash that a beat plants into an error: nothing
// after it has happened, and nothing was cleaned up.
func (b *bench) crashable(p *Program, id run.ID, a Asker) (r run.Run, err error) {
	defer func() {
		if c := recover(); c != nil {
			if c != errCrash { //nolint:errorlint // a panic value, not an error chain
				panic(c)
			}
			err = errCrash
		}
	}()
	cfg := b.config(a)
	cfg.Beat = b.beat
	e, err := Open(b.t.Context(), cfg, p, id)
	if err != nil {
		return r, err
	}
	return e.Run(b.t.Context())
}

func TestCrashAtEveryBeat(t *testing.T) {
	const text = threeSteps + "\n## Set again\n\n~~~test.set\nvalue: newer\n~~~\n"
	for n := 1; ; n++ {
		b := newBench(t)
		count, fired := 0, false
		b.onBeat = func(string) {
			if count++; count == n {
				fired = true
				panic(errCrash)
			}
		}
		r, err := playThrough(b, text)
		if !fired {
			if n < 9 {
				t.Fatalf("only %d beats", n)
			}
			return
		}
		if err != nil || r.Outcome != run.Complete {
			t.Fatalf("beat %d: %v, %s", n, err, r.Outcome)
		}
		if got := strings.Join(b.effects, ","); got != "set new,set newer" {
			t.Fatalf("beat %d: effects %s", n, got)
		}
	}
}

func TestTokenMustBeExact(t *testing.T) {
	b := newBench(t)
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"set-it token": {
		func(g *run.Gate) run.Answer {
			return run.Answer{Verb: run.Approve, Digest: g.Digest, Token: g.Token[:len(g.Token)-1]}
		},
		func(g *run.Gate) run.Answer { return run.Answer{Verb: run.Approve, Digest: g.Digest, Token: "yes"} },
		func(g *run.Gate) run.Answer { return run.Answer{Verb: run.Approve, Token: g.Token} }, // no digest
		func(g *run.Gate) run.Answer { return run.Answer{Verb: run.Settle} },
		verb(run.Skip),
	}}}
	r, err := b.play(threeSteps, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects()
	wantStates(t, r, run.CompleteWithOverrides, "look=verified set-it=skipped tell-the-team=claimed")
	if len(p.wrong) != 4 {
		t.Errorf("refused %d answers: %q", len(p.wrong), p.wrong)
	}
}

func TestTargetThatMovesUnderAnOpenGate(t *testing.T) {
	b := newBench(t)
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"set-it token": {
		func(g *run.Gate) run.Answer { b.live = "moved"; return approve(g) },
	}}}
	r, err := b.play(threeSteps, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set new")
	if got := fmt.Sprint(p.gates); got != "[set-it token set-it token tell-the-team checklist]" {
		t.Errorf("gates %s", got)
	}
	if r.Step("set-it").Plan.Facts["before"] != "moved" {
		t.Error("the second approval was not for the moved target")
	}
}

func TestTargetThatMovesAfterTheIntent(t *testing.T) {
	b := newBench(t)
	first := true
	b.during = func(context.Context, string) error {
		if first {
			first = false
			b.mu.Lock()
			b.live = "moved"
			b.mu.Unlock()
		}
		return nil
	}
	p := &person{t: t}
	r, err := b.play(threeSteps, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set new")
	wantStates(t, r, run.Complete, "look=verified set-it=verified tell-the-team=claimed")
	if got := fmt.Sprint(p.gates); got != "[set-it token set-it token tell-the-team checklist]" {
		t.Errorf("gates %s", got)
	}
}

func TestUnclearEffectIsInDoubt(t *testing.T) {
	b := newBench(t)
	b.broken["set"] = fmt.Errorf("%w: the connection was lost", action.ErrUnclear)
	p := &person{t: t}
	r, err := b.play(threeSteps, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set new")
	if got := fmt.Sprint(p.gates); got != "[set-it token set-it doubt tell-the-team checklist]" {
		t.Errorf("gates %s", got)
	}
	if s := r.Step("set-it"); s.State != run.Verified || s.Probe.Finding != run.Applied {
		t.Errorf("step %+v", s)
	}
}

// What a step began goes on when its host dies: until it has ended, what is not there yet
// is no reason to do it again.
func TestSurvivingProgramKeepsAStepInDoubt(t *testing.T) {
	b := newBench(t)
	end := make(chan func(), 1)
	b.during = func(ctx context.Context, _ string) error {
		p, err := command.Start(context.WithoutCancel(ctx), command.Cmd{Argv: []string{"sh", "-c", "read line"}, StdinPipe: true})
		if err != nil {
			t.Error(err)
			end <- func() {}
			return err
		}
		end <- func() {
			p.Stdin.Close()
			_, _ = p.Wait() // nothing to read is its error
		}
		return fmt.Errorf("%w: the host is gone", action.ErrUnclear)
	}
	p := &person{t: t}
	p.say = answers{"set-it doubt": {
		func(g *run.Gate) run.Answer {
			b.during = nil
			(<-end)()
			if g.Options[0].Verb != run.Reprobe {
				t.Errorf("while its program runs, %q comes first", g.Options[0].Text)
			}
			return run.Answer{Verb: run.Reprobe}
		},
		func(g *run.Gate) run.Answer {
			if g.Options[0].Verb != run.Retry {
				t.Errorf("once its program has ended, %q comes first", g.Options[0].Text)
			}
			return run.Answer{Verb: run.Retry}
		},
	}}
	r, err := b.play(threeSteps, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set new")
	if s := r.Step("set-it"); s.State != run.Verified {
		t.Errorf("step %+v", s)
	}
}

func TestStopOfADestructiveStepIsInDoubt(t *testing.T) {
	b := newBench(t)
	prog := b.program(threeSteps)
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"set-it doubt": {nil}}}
	id, err := Begin(t.Context(), b.config(p), prog, Start{Mode: run.Live})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), b.config(p), prog, id)
	if err != nil {
		t.Fatal(err)
	}
	b.during = func(ctx context.Context, _ string) error {
		for _, other := range []run.Attempt{{}, {Step: "look", N: 1}, {Step: "set-it", N: 2}} { // too late, or too early
			if err := e.Stop(other); !errors.Is(err, ErrOver) || ctx.Err() != nil {
				t.Errorf("stop of %+v: %v, %v", other, err, ctx.Err())
			}
		}
		if err := e.Stop(run.Attempt{Step: "set-it", N: 1}); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	if err := e.Stop(run.Attempt{Step: "set-it", N: 1}); !errors.Is(err, ErrIdle) {
		t.Errorf("stop before anything runs: %v", err)
	}
	r, err := e.Run(t.Context())
	if !errors.Is(err, ErrLeft) || r.Step("set-it").State != run.InDoubt {
		t.Fatalf("%v, %s", err, states(r))
	}
	if f := r.Step("set-it").Probe.Finding; f != run.NotApplied {
		t.Errorf("finding %s", f)
	}
}

func TestTimeout(t *testing.T) {
	b := newBench(t)
	b.during = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"w decision": {verb(run.Finish)}}}
	r, err := b.play("## W\n\n~~~test.write timeout=20ms\nvalue: x\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.NotComplete, "w=failed")
	if s := r.Step("w"); !strings.Contains(s.Error, "time is up") || len(s.Hints) == 0 {
		t.Errorf("error %q, hints %q", s.Error, s.Hints)
	}
}

func TestPanicOfAnAction(t *testing.T) {
	b := newBench(t)
	b.during = func(context.Context, string) error { panic("nil map") }
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"set-it doubt": {nil}}}
	r, err := b.play(threeSteps, p, Start{})
	if !errors.Is(err, ErrLeft) || r.Step("set-it").State != run.InDoubt {
		t.Fatalf("%v, %s", err, states(r))
	}
}

func TestFailureAndTheWaysOn(t *testing.T) {
	const text = "## W\n\n~~~test.write\nvalue: x\n~~~\n\n## After\n\n~~~test.read\nvalue: y\n~~~\n"
	for name, tc := range map[string]struct {
		answer  func(*run.Gate) run.Answer
		outcome run.Outcome
		states  string
	}{
		"retry":    {verb(run.Retry), run.Complete, "w=verified after=verified"},
		"override": {verb(run.Override), run.CompleteWithOverrides, "w=overridden after=verified"},
		"finish":   {verb(run.Finish), run.NotComplete, "w=failed after=pending"},
		"abort":    {verb(run.Abandon), run.Aborted, "w=failed after=pending"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			fail := true
			b.during = func(context.Context, string) error {
				if fail {
					fail = false
					return errors.New("no luck")
				}
				return nil
			}
			p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"w decision": {tc.answer}}}
			r, err := b.play(text, p, Start{})
			if err != nil {
				t.Fatal(err)
			}
			wantStates(t, r, tc.outcome, tc.states)
		})
	}
}

func TestOverrideNeedsAReason(t *testing.T) {
	b := newBench(t)
	b.broken["write"] = errors.New("no luck")
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"w decision": {
		func(*run.Gate) run.Answer { return run.Answer{Verb: run.Override} },
		func(*run.Gate) run.Answer { return run.Answer{Verb: run.Override, Class: run.Unsafe} },
		verb(run.Override),
	}}}
	r, err := b.play("## W\n\n~~~test.write\nvalue: x\n~~~\n", p, Start{})
	if err != nil || len(p.wrong) != 2 {
		t.Fatalf("%v, refused %q", err, p.wrong)
	}
	if got := r.Step("w").Reason; got.Text != "because" || got.By != "m.ito" {
		t.Errorf("reason %+v", got)
	}
}

func TestRetryOfWhatDoesNoHarm(t *testing.T) {
	b := newBench(t)
	tries := 0
	b.during = func(context.Context, string) error {
		if tries++; tries < 3 {
			return errors.New("busy")
		}
		return nil
	}
	r, err := b.play("## W\n\n~~~test.write retry=2\nvalue: x\n~~~\n", &person{t: t}, Start{})
	if err != nil || r.Outcome != run.Complete || tries != 3 {
		t.Fatalf("%v, %s, %d tries", err, states(r), tries)
	}
	b = newBench(t)
	tries = 0
	b.during = func(context.Context, string) error { tries++; return errors.New("busy") }
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"s decision": {verb(run.Finish)}}}
	if _, err := b.play("## S\n\n~~~test.set retry=2\nvalue: x\n~~~\n", p, Start{}); err != nil || tries != 1 {
		t.Fatalf("%v: a step that must not run twice ran %d times", err, tries)
	}
}

func TestElseAndOptional(t *testing.T) {
	const text = `
## From origin

~~~test.write else=from-backup
value: origin
~~~

## Only after origin

~~~test.read
value: x
~~~

## From backup

~~~test.write
value: backup
~~~

## Nice to have

~~~sh optional
fail
~~~
`
	b := newBench(t)
	r, err := b.play(text, &person{t: t}, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("write origin")
	wantStates(t, r, run.CompleteWithOverrides, "from-origin=verified only-after-origin=verified from-backup=skipped nice-to-have=overridden")

	b = newBench(t)
	fail := true
	b.during = func(context.Context, string) error {
		if fail {
			fail = false
			return errors.New("origin is gone")
		}
		return nil
	}
	r, err = b.play(text, &person{t: t}, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("write backup")
	wantStates(t, r, run.CompleteWithOverrides, "from-origin=failed only-after-origin=skipped from-backup=verified nice-to-have=overridden")
}

func TestWhenAndChoose(t *testing.T) {
	const text = `
## Which copy {#pick}

~~~choose save=pick
ask: Which copy do you trust?
options:
  origin: the one on origin
  backup: the one in the vault
~~~

## From origin

~~~test.write when="pick.choice == 'origin'"
value: origin
~~~

## From backup

~~~test.write when="pick.choice == 'backup' && never.value == nil"
value: backup
~~~

## Never

~~~test.read save=never when="false"
value: x
~~~
`
	b := newBench(t)
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"pick choice": {
		func(*run.Gate) run.Answer { return run.Answer{Verb: run.Give, Values: []string{"neither"}} },
		func(*run.Gate) run.Answer { return run.Answer{Verb: run.Give, Values: []string{"backup"}} },
	}}}
	r, err := b.play(text, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("write backup")
	wantStates(t, r, run.Complete, "pick=claimed from-origin=skipped from-backup=verified never=skipped")
}

func TestChecklistComparesWhatIsSeen(t *testing.T) {
	b := newBench(t)
	give := func(v ...string) func(*run.Gate) run.Answer {
		return func(*run.Gate) run.Answer { return run.Answer{Verb: run.Give, Values: v} }
	}
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"look checklist": {give("3"), give("3", ""), give("4", "x"), give("3", "x")}}}
	r, err := b.play("## Look\n\n- [ ] How many replicas? {expect=3}\n- [ ] Who says so? {observe}\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.Complete, "look=claimed")
	if len(p.wrong) != 3 || fmt.Sprint(r.Step("look").Values) != "[3 x]" {
		t.Errorf("refused %q, values %q", p.wrong, r.Step("look").Values)
	}
}

func TestUndoStack(t *testing.T) {
	const text = "## One\n\n~~~test.set\nvalue: one\n~~~\n\n## Two\n\n~~~test.set\nvalue: two\n~~~\n\n## Three\n\n~~~test.write\nvalue: three\n~~~\n"
	undo := func(step string) func(*run.Gate) run.Answer {
		return func(*run.Gate) run.Answer { return run.Answer{Verb: run.Undo, Target: step} }
	}
	b := newBench(t)
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{
		"three confirm": {undo("one"), undo("three"), undo("two"), undo("one"), verb(run.Abandon)},
	}}
	r, err := b.play(text, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set one", "set two", "unset", "unset")
	if b.live != "old" || len(p.wrong) != 2 {
		t.Errorf("live %q, refused %q", b.live, p.wrong)
	}
	wantStates(t, r, run.Aborted, "one=undone two=undone three=waiting")
}

func TestAbortOffersToUndo(t *testing.T) {
	b := newBench(t)
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{
		"two token": {verb(run.Abandon)},
		"closing":   {func(g *run.Gate) run.Answer { return run.Answer{Verb: run.Undo, Target: g.Options[1].Key} }},
	}}
	r, err := b.play("## One\n\n~~~test.set\nvalue: one\n~~~\n\n## Two\n\n~~~test.set\nvalue: two\n~~~\n", p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("set one", "unset")
	wantStates(t, r, run.Aborted, "one=undone two=waiting")
}

func TestCrashInAnUndo(t *testing.T) {
	for _, at := range []string{"before-undo-intent", "after-undo-intent", "after-undo-effect"} {
		b := newBench(t)
		b.onBeat = func(point string) {
			if point == at {
				b.onBeat = nil
				panic(errCrash)
			}
		}
		prog := b.program("## One\n\n~~~test.set\nvalue: one\n~~~\n\n## Two\n\n~~~test.write\nvalue: two\n~~~\n")
		undo := func(*run.Gate) run.Answer { return run.Answer{Verb: run.Undo, Target: "one"} }
		p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"two confirm": {undo}}}
		id, err := Begin(t.Context(), b.config(p), prog, Start{Mode: run.Live})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.crashable(prog, id, p); !errors.Is(err, errCrash) {
			t.Fatalf("%s: %v", at, err)
		}
		if at == "before-undo-intent" {
			p.say["two confirm"] = append(p.say["two confirm"], undo)
		}
		r, err := b.crashable(prog, id, p)
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		wantStates(t, r, run.CompleteWithOverrides, "one=undone two=verified") // and it said so at its end
		b.wantEffects("set one", "unset", "write two")
	}
}

func TestDebtsKeepARunOpen(t *testing.T) {
	const text = "## Off\n\n~~~test.open\nvalue: lock\n~~~\n\n## Work\n\n~~~test.write\nvalue: w\n~~~\n\n## On\n\n~~~test.close\nvalue: lock\n~~~\n"
	b := newBench(t)
	r, err := b.play(text, &person{t: t}, Start{})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.Complete, "off=verified work=verified on=verified")
	if len(r.Debts) != 0 {
		t.Errorf("debts %+v", r.Debts)
	}

	b = newBench(t)
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{
		"work confirm": {verb(run.Abandon)},
		"closing": {
			func(*run.Gate) run.Answer { return run.Answer{Verb: run.Finish} }, // not offered while a debt is open
			func(*run.Gate) run.Answer { return run.Answer{Verb: run.Settle} }, // no reason
			verb(run.Abandon), // does not end it either
			verb(run.Settle),
		},
	}}
	r, err = b.play(text, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Outcome != run.Aborted || len(r.Debts) != 0 || len(p.wrong) != 3 {
		t.Errorf("%s, debts %v, refused %q", r.Outcome, r.Debts, p.wrong)
	}
}

func TestDryRunHasNoEffect(t *testing.T) {
	b := newBench(t)
	p := &person{t: t}
	r, err := b.play(threeSteps, p, Start{Mode: run.Dry})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects()
	if len(p.gates) > 0 {
		t.Errorf("a dry run asked %q", p.gates)
	}
	wantStates(t, r, run.Complete, "look=verified set-it=skipped tell-the-team=skipped")
	if r.Step("set-it").Plan.Token != "thing@old" {
		t.Error("the plan is not on record")
	}
}

func TestIncludedRunbooks(t *testing.T) {
	b := newBench(t)
	b.books["inner"] = "---\ntitle: Inner\nkind: backup\nparams:\n  what: {help: what to write}\n---\n\n# Inner\n\n## Write\n\n~~~test.write\nvalue: ${what}\n~~~\n\n## Read\n\n~~~test.read save=seen\nvalue: ${what}\n~~~\n"
	r, err := b.play(`
## Look

~~~test.read save=it
value: from outside
~~~

## Prepare

~~~runbook save=prep
runbook: inner
params: {what: "${it.value}"}
~~~

## Use

~~~test.write when="prep.n == 3"
value: ${prep.value}
~~~
`, &person{t: t}, Start{})
	if err != nil {
		t.Fatal(err)
	}
	b.wantEffects("write from outside", "write from outside")
	wantStates(t, r, run.Complete, "look=verified prepare.write=verified prepare.read=verified use=verified")

	b.books["a"] = "---\ntitle: A\nkind: backup\n---\n\n# A\n\n## B\n\n~~~runbook\nrunbook: b\n~~~\n"
	b.books["b"] = "---\ntitle: B\nkind: backup\n---\n\n# B\n\n## A\n\n~~~runbook\nrunbook: a\n~~~\n"
	_, problems := b.compile("## X\n\n~~~runbook\nrunbook: a\n~~~\n")
	if !HasErrors(problems) || problems[0].Code != "include-cycle" {
		t.Errorf("problems %v", problems)
	}
}

func TestSecretsStayOutOfTheJournalAndTheLogs(t *testing.T) {
	const text = "---\ntitle: T\nkind: recovery\nparams:\n  token: {help: access, secret: true}\n---\n\n# T\n\n## S\n\n~~~sh effect=read\nsay\n~~~\n\n## R\n\n~~~test.read\nvalue: x\nkey: ${token}\n~~~\n"
	b := newBench(t)
	p := &person{t: t}
	r, err := b.play(text, p, Start{})
	if err != nil {
		t.Fatal(err)
	}
	if b.seen[0]["token"] != "canary-7f3a" {
		t.Errorf("the shell saw %v", b.seen)
	}
	for _, data := range b.journal.stored[r.ID] {
		if strings.Contains(string(data), "canary-7f3a") {
			t.Errorf("journal: %s", data)
		}
	}
	for name, log := range b.spool.m {
		if strings.Contains(log.String(), "canary-7f3a") || !strings.Contains(log.String(), secret.Mask) {
			t.Errorf("log %s: %s", name, log)
		}
	}
	if _, err := b.play(text, p, Start{Params: map[string]string{"token": "x"}}); err == nil {
		t.Error("a secret was accepted as a plain parameter")
	}
}

func TestParameters(t *testing.T) {
	const text = "---\ntitle: T\nkind: recovery\nparams:\n  branch: {help: which one}\n  remote: {default: origin, help: where, options: [origin, mirror]}\n---\n\n# T\n\n## S\n\n~~~sh effect=read\nsay\n~~~\n"
	for name, params := range map[string]map[string]string{
		"missing":     {},
		"unknown":     {"branch": "main", "brnch": "x"},
		"not allowed": {"branch": "main", "remote": "elsewhere"},
		"NUL":         {"branch": "a\x00b"},
	} {
		b := newBench(t)
		if _, err := b.play(text, &person{t: t}, Start{Params: params}); err == nil || len(b.journal.stored) != 0 {
			t.Errorf("%s: %v, %d runs begun", name, err, len(b.journal.stored))
		}
	}
	b := newBench(t)
	if _, err := b.play(text, &person{t: t}, Start{Params: map[string]string{"branch": "-rf $(x)"}}); err != nil {
		t.Fatal(err)
	}
	if got := b.seen[0]; got["branch"] != "-rf $(x)" || got["remote"] != "origin" {
		t.Errorf("the shell saw %v", got)
	}
}

func TestNobodyThereLeavesTheRunOpen(t *testing.T) {
	b := newBench(t)
	p := b.program(threeSteps)
	gone := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"set-it token": {nil}}}
	id, err := Begin(t.Context(), b.config(gone), p, Start{Mode: run.Live})
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.resume(p, id, gone)
	if !errors.Is(err, ErrLeft) || !r.Open() || r.Step("set-it").State != run.Waiting {
		t.Fatalf("%v, %s", err, states(r))
	}
	r, err = b.resume(p, id, &person{t: t})
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, r, run.Complete, "look=verified set-it=verified tell-the-team=claimed")
	b.wantEffects("set new")
	if _, err := b.resume(p, id, gone); !errors.Is(err, ErrEnded) {
		t.Errorf("an ended run was taken up: %v", err)
	}
}

func TestOpenRefusesAnEditedRunbook(t *testing.T) {
	b := newBench(t)
	p := b.program(threeSteps)
	id, err := Begin(t.Context(), b.config(&person{t: t}), p, Start{Mode: run.Live})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.resume(b.program(threeSteps+"\nMore words.\n"), id, &person{t: t}); !errors.Is(err, ErrBookChanged) {
		t.Errorf("%v", err)
	}
}

func TestTwoEnginesOnOneRun(t *testing.T) {
	b := newBench(t)
	prog := b.program(threeSteps)
	id, err := Begin(t.Context(), b.config(&person{t: t}), prog, Start{Mode: run.Live})
	if err != nil {
		t.Fatal(err)
	}
	second := &person{t: t}
	p := &person{t: t, say: map[string][]func(*run.Gate) run.Answer{"set-it token": {func(g *run.Gate) run.Answer {
		if r, err := b.resume(prog, id, second); err != nil || r.Outcome != run.Complete {
			t.Errorf("second engine: %v", err)
		}
		return approve(g)
	}}}}
	if _, err := b.resume(prog, id, p); !errors.Is(err, ErrConflict) {
		t.Errorf("first engine: %v", err)
	}
	b.wantEffects("set new")
}

func TestDrillNeedsAFence(t *testing.T) {
	b := newBench(t)
	if _, err := b.play(threeSteps, &person{t: t}, Start{Mode: run.Drill}); err == nil {
		t.Error("a drill began without a fence")
	}
}

func TestCompileFindsWhatCannotRun(t *testing.T) {
	for code, text := range map[string]string{
		"unknown-action":  "## X\n\n~~~git.pusch\na: 1\n~~~\n",
		"bad-argument":    "## X\n\n~~~test.read\nvalu: 1\n~~~\n",
		"verify-writes":   "## X\n\n~~~test.read\nvalue: a\n~~~\n\n~~~test.write verify\nvalue: a\n~~~\n",
		"include-unknown": "## X\n\n~~~runbook\nrunbook: nowhere\n~~~\n",
		"no-steps":        "## X\n\nWords.\n",
	} {
		b := newBench(t)
		_, problems := b.compile(text)
		found := false
		for _, p := range problems {
			if p.Code == code && p.Pos.Line > 0 && p.Fix != "" {
				found = true
			}
		}
		if !found {
			t.Errorf("%s: %v", code, problems)
		}
	}
}

func TestNoteWhileAStepRuns(t *testing.T) {
	b := newBench(t)
	prog := b.program(threeSteps)
	p := &person{t: t}
	id, err := Begin(t.Context(), b.config(p), prog, Start{Mode: run.Live, Incident: time.Now(), RTO: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), b.config(p), prog, id)
	if err != nil {
		t.Fatal(err)
	}
	b.during = func(ctx context.Context, _ string) error { return e.Note(ctx, "s.kaya", "go ahead") }
	r, err := e.Run(t.Context())
	if err != nil || len(r.Notes) != 1 || r.Notes[0].Text != "go ahead" {
		t.Fatalf("%v, notes %v", err, r.Notes)
	}
}

// The level goes up while a step has its effect, and the step knows nothing of it.
func TestRaiseWhileAStepRuns(t *testing.T) {
	b := newBench(t)
	prog := b.program(threeSteps)
	p := &person{t: t}
	id, err := Begin(t.Context(), b.config(p), prog, Start{Mode: run.Live, Level: 2})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), b.config(p), prog, id)
	if err != nil {
		t.Fatal(err)
	}
	b.during = func(ctx context.Context, _ string) error {
		if err := e.Raise(ctx, "s.kaya", 2, "again"); !errors.Is(err, ErrLevel) {
			t.Errorf("raised to the level it has: %v", err)
		}
		if e.Snapshot().Level == 3 {
			return nil
		}
		return e.Raise(ctx, "s.kaya", 3, "it spreads")
	}
	r, err := e.Run(t.Context())
	if err != nil || r.Started.Level != 2 || r.Level != 3 || len(r.Raised) != 1 || r.Outcome != run.Complete {
		t.Fatalf("%v, level %d, raised %+v, %s", err, r.Level, r.Raised, r.Outcome)
	}
	if err := e.Raise(t.Context(), "s.kaya", 3, ""); err == nil {
		t.Error("a run that has ended was raised")
	}
}
