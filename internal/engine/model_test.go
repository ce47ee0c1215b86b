package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
	"lifeboat/internal/secret"
)

// The model plays whole runs with a person who answers anything at all, actions that
// fail in every way, a journal that loses appends, and crashes at every beat. What it
// holds is what the engine promises whatever happens:
//
//   - an effect begins only while its intent is stored, and that intent consumed an
//     approval of exactly what the gate had shown, token and all;
//   - one approval serves one effect that must not happen twice;
//   - the state of the engine is the fold of what is stored;
//   - no event is ever illegal;
//   - what was taken off is on record until it is put back or a person says that it is,
//     and what was certainly not taken off is not;
//   - what a step has saved goes with its effect: an undone one leaves no value to go by;
//   - no secret is stored or spooled;
//   - a patient person brings every run to its end.
//
// More of it: go test -run TestModel -rapid.checks=20000
var modelBooks = map[string]string{
	"effects": `
## Look

~~~test.read save=it
value: new
~~~

## Set it

- [ ] Nobody works on it {observe}
- [ ] It is off {expect=off}

~~~test.set
value: ${it.value}
~~~

~~~test.read verify
value: checked
~~~

## Write it

~~~test.write retry=1
value: w
~~~

~~~sh undo
back
~~~

## Run it

~~~sh effect=destroy target=thing
ok
~~~

~~~sh probe
ok
~~~

## Set again

~~~test.set
value: newest
~~~

## See

~~~test.read verify
value: seen
~~~
`,
	"ways": `
## First

~~~test.set else=other save=set
value: one
~~~

~~~test.read verify
value: checked
~~~

## Between

~~~test.set optional
value: two
~~~

## Other

~~~test.set
value: other
~~~

## Pick

~~~choose save=pick
ask: which?
options: {a: one way, b: another}
~~~

## Only a {#only}

~~~test.write when="pick.choice == 'a'" else=last
value: a
~~~

## By hand

- [ ] Do it

## Last

~~~test.set
value: ${set.value}
~~~
`,
	"debts": `
## Off

~~~test.open
value: lock
~~~

## Work

~~~test.set
value: w
~~~

## On

~~~test.close
value: lock
~~~

## Off again

~~~test.open
value: lock
~~~

## On again

~~~test.close
value: lock
~~~
`,
	"secrets": `---
title: Test
kind: recovery
params:
  key: {secret: true, help: The key}
  other: {secret: true, help: Another}
---

# Test

## Ask

~~~sh effect=write
ok
~~~

~~~test.read verify
value: v
key: ${key}
~~~

## Then

~~~test.set
value: x
key: ${other}
~~~

## Inside

~~~runbook save=in
runbook: child
params: {what: inner}
~~~
`,
}

const modelChild = "---\ntitle: Child\nkind: recovery\nparams:\n  what: {help: What}\n---\n\n# Child\n\n## Do\n\n~~~test.set\nvalue: ${what}\n~~~\n\n## Tell\n\n- [ ] Tell them\n"

func TestModel(t *testing.T) {
	for name, text := range modelBooks {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				newModel(t, rt, text).play()
			})
		})
	}
}

// model is one random run and its world.
type model struct {
	*bench
	rt      *rapid.T
	program *Program
	spool   *modelSpool
	engine  *Engine
	id      run.ID

	calm     bool // from now on nothing fails, and the person wants to come to an end
	ender    bool // the calm person abandons; otherwise they go on
	dead     bool // the process was killed in the middle of an effect
	tainted  bool // an append of this engine failed
	answers  int
	used     map[int64]string // approval -> the effect that it served
	off      map[string]bool  // locks that are off in the world
	lied     bool             // a person settled a doubt about a lock: the record holds their word
	trail    []string
	canaries []string
}

func newModel(t *testing.T, rt *rapid.T, text string) *model {
	m := &model{bench: newBench(t), rt: rt, used: map[int64]string{}, off: map[string]bool{}}
	m.spool = &modelSpool{}
	m.books["child"] = modelChild
	for i, a := range m.actions {
		switch a.Name {
		case "test.open", "test.close":
			m.actions[i] = m.lock(a.Name == "test.open")
		case "test.read":
			m.actions[i] = action.New(action.Def[valueParams]{Name: "test.read", Effect: action.Read, Repeat: action.Safe,
				Run: func(ctx context.Context, env *action.Env, p valueParams, plan action.Plan) (action.Result, error) {
					if err := m.readFault("read"); err != nil {
						return action.Result{}, err
					}
					res, err := m.read(ctx, env, p, plan)
					if err == nil && !m.calm && m.chance("sees something wrong", 10) {
						res.Checks = []action.Check{{Text: "is as it should be"}}
					}
					return res, err
				}})
		case "sh":
			m.actions[i] = action.New(action.Def[shellParams]{Name: "sh", Effect: action.Write, Repeat: action.Once, Plan: m.planShell, Probe: m.probeShell,
				Run: func(ctx context.Context, env *action.Env, p shellParams, plan action.Plan) (action.Result, error) {
					if p.Effect == "read" {
						return action.Result{}, m.readFault("sh")
					}
					if err := m.effect(ctx, "sh", true); err != nil {
						return action.Result{}, err
					}
					res, err := m.shell(ctx, env, p, plan)
					return res, errors.Join(err, m.after(ctx))
				}})
		}
	}
	m.during = func(ctx context.Context, name string) error { return m.effect(ctx, name, name != "write") }
	m.journal.fault = m.appendFault
	m.onBeat = func(point string) {
		if !m.calm && m.chance("crash at "+point, 25) {
			panic(errCrash)
		}
	}
	m.program = m.bench.program(text)
	return m
}

func (m *model) chance(label string, oneIn int) bool {
	return rapid.IntRange(1, oneIn).Draw(m.rt, label) == oneIn
}

// lock is an action that takes a lock off or puts it on, and its inverse.
func (m *model) lock(open bool) action.Action {
	set := func(ctx context.Context, id string, off bool) (action.Result, error) {
		if err := m.effect(ctx, "lock", false); err != nil {
			return action.Result{}, err
		}
		m.off[id] = off
		m.happened(fmt.Sprintf("lock %s off=%v", id, off))
		return action.Result{Back: "the other way"}, m.after(ctx)
	}
	def := action.Def[valueParams]{Name: "test.close", Effect: action.Write, Repeat: action.Safe, Plan: m.planClose}
	if open {
		def.Name, def.Plan = "test.open", func(ctx context.Context, env *action.Env, p valueParams) (action.Plan, error) {
			if m.off[p.Value] {
				return action.Plan{Summary: "is off already", Nothing: true}, nil
			}
			return m.planOpen(ctx, env, p)
		}
	}
	def.Run = func(ctx context.Context, _ *action.Env, p valueParams, _ action.Plan) (action.Result, error) {
		return set(ctx, p.Value, open)
	}
	def.Inverse = &action.Inverse[valueParams]{
		Plan: func(context.Context, *action.Env, valueParams, action.Plan, action.Result) (action.Plan, error) {
			return action.Plan{Summary: "the other way"}, m.readFault("plan undo")
		},
		Run: func(ctx context.Context, _ *action.Env, p valueParams, _, _ action.Plan, _ action.Result) (action.Result, error) {
			return set(ctx, p.Value, !open)
		},
	}
	return action.New(def)
}

// readFault makes what only reads fail now and then.
func (m *model) readFault(what string) error {
	if !m.calm && m.chance(what+" fails", 8) {
		return fmt.Errorf("%s: out of order", what)
	}
	return nil
}

// effect is called where an effect begins. It holds the promise, then may fail.
func (m *model) effect(ctx context.Context, name string, once bool) error {
	m.promise(name, once)
	if m.calm {
		return nil
	}
	switch rapid.IntRange(0, 14).Draw(m.rt, "before "+name) {
	case 0:
		return errors.New("it did not work")
	case 1:
		return action.ErrUnclear
	case 2:
		return action.ErrChanged
	case 3:
		panic("broken action")
	case 4:
		m.engine.StopAny()
		return ctx.Err()
	case 5:
		m.dead = true
	case 6:
		m.mu.Lock()
		m.live += "'" // somebody else was here
		m.mu.Unlock()
	}
	return nil
}

// after is called when an effect is over; its answer may get lost.
func (m *model) after(context.Context) error {
	if !m.calm && m.chance("answer lost", 8) {
		return fmt.Errorf("%w: the line broke", action.ErrUnclear)
	}
	return nil
}

// promise looks at what is stored, as somebody else would.
func (m *model) promise(name string, once bool) {
	events, err := m.journal.Load(context.Background(), m.id)
	if err != nil {
		m.rt.Fatal(err)
	}
	r, err := run.FoldAll(events)
	if err != nil {
		m.rt.Fatal(err)
	}
	i := slices.IndexFunc(r.Steps, func(s run.Step) bool { return s.State == run.Running })
	if i < 0 {
		m.rt.Fatalf("effect %s without a stored intent\n%s", name, m.story(events))
	}
	s := r.Steps[i]
	if s.Used == 0 {
		m.rt.Fatalf("effect %s of step %q unasked\n%s", name, s.ID, m.story(events))
	}
	answer := events[s.Used-1].Body.(run.Answer)
	gate := events[answer.Gate-1].Body.(run.Gate)
	if answer.Verb != run.Approve || answer.Digest != s.Digest || gate.Digest != s.Digest || gate.Undo != s.Undoing || events[answer.Gate-1].Step != s.ID {
		m.rt.Fatalf("effect %s of step %q: approval %+v of gate %+v is for something else", name, s.ID, answer, gate)
	}
	plan := s.Plan
	if s.Undoing {
		plan = s.UndoPlan
	}
	if plan.Effect == "destroy" && (gate.Kind != run.Token || gate.Token == "" || answer.Token != gate.Token) {
		m.rt.Fatalf("effect %s of step %q without its token", name, s.ID)
	}
	for _, ev := range events[s.Used:] {
		if ev.Kind == run.RunResumed {
			m.rt.Fatalf("effect %s of step %q after a stale approval\n%s", name, s.ID, m.story(events))
		}
	}
	if was, twice := m.used[s.Used]; once && twice {
		m.rt.Fatalf("effect %s of step %q: approval %d has served %s already\n%s", name, s.ID, s.Used, was, m.story(events))
	}
	m.used[s.Used] = name
}

func (m *model) appendFault(run.Event) (bool, error) {
	if m.dead {
		return false, errors.New("the process is dead")
	}
	if m.calm || !m.chance("append fails", 40) {
		return true, nil
	}
	m.tainted = true
	return rapid.Bool().Draw(m.rt, "stored all the same"), errors.New("disk on fire")
}

func (m *model) story(events []run.Event) string {
	var b strings.Builder
	for _, ev := range events {
		fmt.Fprintf(&b, "%d %s %s", ev.Seq, ev.Step, ev.Kind)
		switch body := ev.Body.(type) {
		case run.Gate:
			fmt.Fprintf(&b, " %s undo=%v", body.Kind, body.Undo)
		case run.Answer:
			fmt.Fprintf(&b, " %s %s", body.Verb, body.Target)
		case run.Debt:
			fmt.Fprintf(&b, " %q", body.Text)
		case run.Failure:
			fmt.Fprintf(&b, " %.60q", body.Error)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// calmAfter is how many answers a person gives at random before they want to come to
// an end; patience is how many more they may need.
const calmAfter, patience = 40, 60

func (m *model) play() {
	m.ender = rapid.Bool().Draw(m.rt, "ender")
	m.journal.fault = nil
	id, err := Begin(context.Background(), m.config(), m.program, Start{Mode: run.Live})
	if err != nil {
		m.rt.Fatal(err)
	}
	m.id, m.journal.fault = id, m.appendFault
	for engines := 0; ; engines++ {
		if engines > 30 {
			m.calm = true
		}
		r, err := m.drive()
		m.checkRecord()
		var illegal *run.IllegalError
		switch {
		case errors.As(err, &illegal):
			m.rt.Fatalf("%v\nanswers: %s", err, strings.Join(m.trail, " | "))
		case errors.Is(err, ErrEnded), err == nil && !r.Open():
			m.checkEnd()
			return
		case errors.Is(err, ErrStop), errors.Is(err, errCrash), errors.Is(err, ErrLeft), errors.Is(err, ErrPerson), m.dead:
		default:
			m.rt.Fatalf("the engine gave up: %v\nanswers: %s", err, strings.Join(m.trail, " | "))
		}
	}
}

func (m *model) config() Config {
	cfg := m.bench.config(m)
	cfg.Spool, cfg.Beat = m.spool, m.beat
	return cfg
}

// drive takes the run up with a new engine until that stops.
func (m *model) drive() (r run.Run, err error) {
	m.dead, m.tainted, m.engine = false, false, nil
	m.redact = secret.NewRedactor() // a new process knows no secret
	defer func() {
		if c := recover(); c != nil {
			if c != errCrash { //nolint:errorlint // a panic value, not an error chain
				panic(c)
			}
			err = errCrash
		}
	}()
	e, err := Open(context.Background(), m.config(), m.program, m.id)
	if err != nil {
		return r, err
	}
	m.engine = e
	return e.Run(context.Background())
}

// checkRecord holds what is true whenever an engine has stopped.
func (m *model) checkRecord() {
	events, err := m.journal.Load(context.Background(), m.id)
	if err != nil {
		m.rt.Fatal(err)
	}
	var r run.Run
	for _, ev := range events {
		s := r.Step(ev.Step)
		by, _ := ev.Body.(run.Reason)
		if ev.Kind == run.StepReopened && s.State == run.InDoubt && by.By == "lifeboat" && (s.Plan.Once || s.Plan.Effect == "destroy" || s.Error != "") {
			m.rt.Fatalf("nobody settled the doubt about step %q\n%s", s.ID, m.story(events))
		}
		if r, err = run.Fold(r, ev); err != nil {
			m.rt.Fatalf("what is stored cannot be folded: %v", err)
		}
	}
	if m.engine != nil && !m.tainted && !m.dead {
		if got := m.engine.Snapshot(); !reflect.DeepEqual(got, r) {
			m.rt.Fatalf("the engine says\n%+v\nthe journal says\n%+v", got, r)
		}
	}
	for id := range m.off {
		if why := m.forgotten(events, &r, id); why != "" {
			m.rt.Fatalf("%s\n%s", why, m.story(events))
		}
	}
	for i := range r.Steps {
		s, do := r.Steps[i], m.program.units[i].step.Do
		if s.State != run.Undone || do == nil || do.Save == "" {
			continue
		}
		if v := r.Vars[m.program.units[i].scope.id][do.Save]; v != nil && !s.Changed {
			m.rt.Fatalf("step %q is undone, and %s is %v\n%s", s.ID, do.Save, v, m.story(events))
		}
	}
	for _, canary := range m.canaries {
		for _, data := range m.journal.stored[m.id] {
			if bytes.Contains(data, []byte(canary)) {
				m.rt.Fatalf("secret stored: %s", data)
			}
		}
		if bytes.Contains(m.spool.all.Bytes(), []byte(canary)) {
			m.rt.Fatalf("secret spooled: %s", m.spool.all.String())
		}
	}
}

// forgotten says that a lock is off and nobody is reminded of it.
func (m *model) forgotten(events []run.Event, r *run.Run, id string) string {
	if !m.off[id] || m.lied || slices.ContainsFunc(r.Debts, func(d run.Debt) bool { return d.ID == id }) {
		return ""
	}
	said := ""
	for _, ev := range events {
		if d, ok := ev.Body.(run.Debt); ok && d.ID == id && ev.Kind == run.DebtClosed {
			said = d.Text
		}
	}
	if strings.HasPrefix(said, "m.ito: ") {
		return ""
	}
	return fmt.Sprintf("%s is off, and the record says %q", id, said)
}

// checkDebts holds, where a person is asked what to do about a step that failed, that nothing
// is owed which it certainly did not take.
func (m *model) checkDebts(r *run.Run, s *run.Step) {
	for _, d := range r.Debts {
		since := func(c run.Change) bool { return c.Seq > d.Seq }
		if d.By.Step == s.ID && !s.Undoing && !m.off[d.ID] && !slices.ContainsFunc(s.Changes, since) && !slices.ContainsFunc(s.Doubts, since) {
			m.rt.Fatalf("step %q failed and has changed nothing, and %q is owed\nanswers: %s", s.ID, d.ID, strings.Join(m.trail, " | "))
		}
	}
}

// checkEnd holds what is true of a run that has ended.
func (m *model) checkEnd() {
	events, err := m.journal.Load(context.Background(), m.id)
	if err != nil {
		m.rt.Fatal(err)
	}
	r, err := run.FoldAll(events)
	if err != nil {
		m.rt.Fatal(err)
	}
	if len(r.Debts) > 0 {
		m.rt.Fatalf("ended %q with debts %+v", r.Outcome, r.Debts)
	}
	if r.Outcome != run.Complete {
		return
	}
	for _, s := range r.Steps {
		alternative := r.Step(s.ElseTo)
		good := s.State == run.Verified || s.State == run.Claimed || s.State == run.Skipped && s.Reason.Class == run.NotApplicable ||
			s.State == run.Failed && alternative != nil && alternative.State != run.Skipped
		if !good {
			m.rt.Fatalf("complete with step %q %s\n%s", s.ID, s.State, m.story(events))
		}
	}
}

// Ask answers anything at all, until the person is calm.
func (m *model) Ask(_ context.Context, r run.Run, refused string) (run.Answer, error) {
	was := m.calm
	m.answers++
	if m.answers > calmAfter {
		m.calm = true
	}
	if m.answers > calmAfter+patience {
		m.rt.Fatalf("no end in sight at gate %+v of %s\nanswers: %s", r.Gate, states(r), strings.Join(m.trail, " | "))
	}
	if was && refused != "" {
		m.rt.Fatalf("the sensible answer %s was refused: %s", m.trail[len(m.trail)-1], refused)
	}
	g := r.Gate
	if g.Kind == run.Decision {
		m.checkDebts(&r, r.Step(g.Step))
	}
	a := m.sensible(g)
	if !m.calm {
		if m.chance("somebody else", 12) {
			m.mu.Lock()
			m.live += "+"
			m.mu.Unlock()
		}
		if m.chance("leave", 60) {
			return a, ErrLeft
		}
		if m.chance("nonsense", 2) {
			a = m.nonsense(&r, a)
		}
	}
	if g.Kind == run.Doubt && a.Verb == run.Settle {
		m.lied = m.lied || strings.HasPrefix(g.Step, "o")
	}
	m.trail = append(m.trail, fmt.Sprintf("%d %s/%s:%s %s", g.Seq, g.Step, g.Kind, a.Verb, a.Target))
	return a, nil
}

// sensible is what somebody answers who wants to come to an end.
func (m *model) sensible(g *run.Gate) run.Answer {
	a := run.Answer{Gate: g.Seq, By: "m.ito", Verb: run.Approve, Digest: g.Digest, Token: g.Token}
	offers := func(v run.Verb) bool {
		return slices.ContainsFunc(g.Options, func(o run.Option) bool { return o.Verb == v })
	}
	switch g.Kind {
	case run.Checklist:
		a.Verb = run.Give
		for _, it := range g.Items {
			a.Values = append(a.Values, cmpOr(it.Expect, "seen"))
		}
	case run.Choice:
		a.Verb, a.Values = run.Give, []string{g.Options[rapid.IntRange(0, len(g.Options)-1).Draw(m.rt, "option")].Key}
	case run.Input:
		a.Verb = run.Give
		value := fmt.Sprintf("canary-%d", len(m.canaries))
		a.Values, m.canaries = []string{value}, append(m.canaries, value)
	case run.Decision, run.Doubt, run.Closing:
		a.Class, a.Reason = run.Other, "because"
		for _, v := range []run.Verb{run.Finish, run.Override, run.Settle} {
			if offers(v) && (g.Kind == run.Closing || v != run.Finish) {
				a.Verb = v
				return a
			}
		}
		a.Verb = g.Options[0].Verb
	}
	if m.calm && m.ender && g.Kind != run.Closing {
		a.Verb, a.Values = run.Abandon, nil
	}
	return a
}

var modelVerbs = []run.Verb{run.Approve, run.Give, run.Retry, run.Skip, run.Override, run.TakeElse, run.Undo, run.Settle, run.Reprobe, run.Reopen, run.Finish, run.Abandon, run.Anew, run.Unanswered, "nonsense"}

// nonsense is any verb with anything, more often one that fits.
func (m *model) nonsense(r *run.Run, a run.Answer) run.Answer {
	g := r.Gate
	a.Class, a.Reason = run.Other, "because"
	switch rapid.IntRange(0, 5).Draw(m.rt, "how") {
	case 0, 1, 2: // offered
		if len(g.Options) > 0 {
			o := g.Options[rapid.IntRange(0, len(g.Options)-1).Draw(m.rt, "offer")]
			a.Verb, a.Target = o.Verb, o.Key
			return a
		}
		a.Verb = rapid.SampledFrom([]run.Verb{run.Skip, run.Undo, run.Abandon}).Draw(m.rt, "leave how")
	case 3:
		a.Verb = run.Undo
	default:
		a.Verb = rapid.SampledFrom(modelVerbs).Draw(m.rt, "verb")
	}
	a.Target = rapid.SampledFrom(append(slices.Collect(ids(r)), "", "no-such-step")).Draw(m.rt, "target")
	if m.chance("wrong gate", 8) {
		a.Gate += int64(rapid.IntRange(-9, 9).Draw(m.rt, "off by"))
	}
	if m.chance("wrong token", 4) {
		a.Token = "yes"
	}
	if m.chance("wrong digest", 8) {
		a.Digest = ""
	}
	if m.chance("no reason", 8) {
		a.Class, a.Reason = "", ""
	}
	if m.chance("values", 4) && g.Kind != run.Input {
		a.Values = []string{"one", "two"}[:rapid.IntRange(0, 2).Draw(m.rt, "values")]
	}
	return a
}

func ids(r *run.Run) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, s := range r.Steps {
			if !yield(s.ID) {
				return
			}
		}
	}
}

// modelSpool keeps all output in one heap, and needs no disk.
type modelSpool struct{ all bytes.Buffer }

type modelFile struct{ s *modelSpool }

func (s *modelSpool) Create(run.ID, string) (SpoolFile, error)       { return modelFile{s}, nil }
func (s *modelSpool) Scratch(run.ID, string) (string, func(), error) { return "", func() {}, nil }
func (f modelFile) Write(p []byte) (int, error)                      { return f.s.all.Write(p) }
func (f modelFile) Close() (run.Log, error)                          { return run.Log{Name: "log"}, nil }
