package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
)

// lamp is something that is switched off for a while, which is a debt while it is off.
type lamp struct {
	off   bool
	blind bool                // it cannot be looked at
	run   []func() error      // what becomes of the attempts to switch it off, in order
	undo  []func() error      // and of those to take its being switched on back
	owed  map[string][]string // gate -> debts that stood there
}

func (l *lamp) next(list *[]func() error) error {
	if len(*list) == 0 {
		return nil
	}
	f := (*list)[0]
	*list = (*list)[1:]
	return f()
}

func (l *lamp) actions() []action.Action {
	look := func(wanted bool) (action.Plan, error) {
		if l.blind {
			return action.Plan{}, errors.New("it cannot be looked at")
		}
		return action.Plan{Summary: "switches", Token: "lamp", Nothing: l.off == wanted, Checks: []action.Check{{Text: "it was looked at", OK: true, Evidence: fmt.Sprintf("off is %v", l.off)}}}, nil
	}
	probe := func(wanted bool) action.Probe {
		if l.off == wanted {
			return action.Probe{Finding: action.Applied}
		}
		return action.Probe{Finding: action.NotApplied}
	}
	return []action.Action{
		action.New(action.Def[valueParams]{Name: "lamp.off", Effect: action.Destroy, Repeat: action.Once,
			Plan: func(context.Context, *action.Env, valueParams) (action.Plan, error) {
				plan, err := look(true)
				if err == nil && !plan.Nothing {
					plan.Opens = []action.Debt{{ID: "lamp", Text: "the lamp is off"}}
				}
				return plan, err
			},
			Run: func(context.Context, *action.Env, valueParams, action.Plan) (action.Result, error) {
				if err := l.next(&l.run); err != nil {
					if errors.Is(err, action.ErrCheck) {
						return action.Result{Checks: []action.Check{{Text: "all of it is off"}}}, err
					}
					return action.Result{}, err
				}
				l.off = true
				return action.Result{}, nil
			},
			Probe: func(context.Context, *action.Env, valueParams, action.Plan) (action.Probe, error) {
				return probe(true), nil
			},
		}),
		action.New(action.Def[valueParams]{Name: "lamp.on", Effect: action.Write, Repeat: action.Once,
			Plan: func(context.Context, *action.Env, valueParams) (action.Plan, error) {
				plan, err := look(false)
				plan.Closes = []string{"lamp"}
				return plan, err
			},
			Run: func(context.Context, *action.Env, valueParams, action.Plan) (action.Result, error) {
				l.off = false
				return action.Result{}, nil
			},
			Probe: func(context.Context, *action.Env, valueParams, action.Plan) (action.Probe, error) {
				return probe(false), nil
			},
			Inverse: &action.Inverse[valueParams]{
				Plan: func(context.Context, *action.Env, valueParams, action.Plan, action.Result) (action.Plan, error) {
					return look(true)
				},
				Run: func(context.Context, *action.Env, valueParams, action.Plan, action.Plan, action.Result) (action.Result, error) {
					if err := l.next(&l.undo); err != nil {
						return action.Result{}, err
					}
					l.off = true
					return action.Result{}, nil
				},
			},
		}),
	}
}

// watcher notes which debts stand at each gate, and answers as person does.
type watcher struct {
	person
	l *lamp
}

func (w *watcher) Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error) {
	key := strings.TrimSpace(r.Gate.Step + " " + string(r.Gate.Kind))
	var ids []string
	for _, d := range r.Debts {
		ids = append(ids, d.ID)
	}
	w.l.owed[key] = append(w.l.owed[key], strings.Join(ids, ","))
	return w.person.Ask(ctx, r, refused)
}

const lampBook = "## Off\n\n~~~lamp.off\n~~~\n\n## On\n\n~~~lamp.on\n~~~\n\n## Tell\n\n- [ ] Tell\n"

// A debt stands while the thing may be off, whoever switched it off, and not after an
// attempt that certainly changed nothing.
func TestDebtOfAnAttemptThatChangedNothing(t *testing.T) {
	fails := func(err error) func() error { return func() error { return err } }
	const off, decided, doubted = "off token", "off decision", "off doubt"
	skip, retry, override := verb(run.Skip), verb(run.Retry), verb(run.Override)
	for name, c := range map[string]struct {
		run   func(l *lamp) []func() error
		say   answers
		gate  string   // the gate to look at
		owed  []string // what is owed there each time
		words string   // in the reason why it was closed the first time
	}{
		"refused": {
			run: func(*lamp) []func() error {
				return []func() error{fails(fmt.Errorf("%w: Forbidden", action.ErrRefused))}
			},
			say: answers{decided: {override}}, gate: decided, owed: []string{""}, words: `step "off" has changed nothing, and it is not off: off is false`,
		},
		"failed": {
			run: func(*lamp) []func() error { return []func() error{fails(errors.New("Forbidden"))} },
			say: answers{decided: {override}}, gate: decided, owed: []string{""},
		},
		"changed": { // the second one does it
			run:  func(*lamp) []func() error { return []func() error{fails(action.ErrChanged)} },
			gate: off, owed: []string{"", ""},
		},
		"changed: off by somebody else": {
			run: func(l *lamp) []func() error {
				return []func() error{func() error { l.off = true; return action.ErrChanged }}
			},
			gate: off, owed: []string{"", "lamp"},
		},
		"cannot be looked at": {
			run: func(l *lamp) []func() error {
				return []func() error{func() error { l.blind = true; return errors.New("gone") }, fails(errors.New("Forbidden"))}
			},
			say: answers{decided: {retry, override}}, gate: decided, owed: []string{"lamp", ""},
		},
		"unclear": {
			run: func(*lamp) []func() error { return []func() error{fails(action.ErrUnclear)} },
			say: answers{doubted: {override}, "closing": {verb(run.Settle)}}, gate: doubted, owed: []string{"lamp"},
		},
		"unclear, then refused": {
			run: func(*lamp) []func() error { return []func() error{fails(action.ErrUnclear), fails(action.ErrRefused)} },
			say: answers{doubted: {retry}, decided: {override}}, gate: decided, owed: []string{"lamp"},
		},
		"unclear, then asked again": {
			run: func(l *lamp) []func() error { return []func() error{fails(action.ErrUnclear)} },
			say: answers{doubted: {retry}, off: {approve, skip}}, gate: off, owed: []string{"", "lamp"},
		},
		"happened, and is not as it should be": {
			run: func(l *lamp) []func() error { return []func() error{func() error { return action.ErrCheck }} },
			say: answers{decided: {override}}, gate: decided, owed: []string{"lamp"},
		},
		"refused after one that happened": {
			run: func(l *lamp) []func() error {
				return []func() error{func() error { l.off = true; return action.ErrCheck }, func() error { l.off = false; return action.ErrRefused }}
			},
			say: answers{decided: {retry, override}}, gate: decided, owed: []string{"lamp", "lamp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, l := newBench(t), &lamp{owed: map[string][]string{}}
			l.run = c.run(l)
			b.actions = append(b.actions, l.actions()...)
			w := &watcher{person{t: t, say: c.say}, l}
			if list := c.say[decided]; name == "cannot be looked at" { // by the second attempt it can
				list[0] = func(g *run.Gate) run.Answer { l.blind = false; return retry(g) }
			}
			p := b.program(lampBook)
			id, err := Begin(t.Context(), b.config(w), p, Start{Mode: run.Live})
			if err != nil {
				t.Fatal(err)
			}
			r, err := b.resume(p, id, w)
			if err != nil || r.Open() {
				t.Fatalf("%v, %q", err, r.Outcome)
			}
			if got := l.owed[c.gate]; !slices.Equal(got, c.owed) {
				t.Errorf("at %q is owed %q, want %q; all gates: %q", c.gate, got, c.owed, l.owed)
			}
			if why := b.closings(id); c.words != "" && !strings.Contains(why[0], c.words) {
				t.Errorf("closed because of %q, want %q", why, c.words)
			}
		})
	}
}

// closings lists why debts were closed.
func (b *bench) closings(id run.ID) (out []string) {
	b.t.Helper()
	events, err := b.journal.Load(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, ev := range events {
		if d, ok := ev.Body.(run.Debt); ok && ev.Kind == run.DebtClosed {
			out = append(out, d.Text)
		}
	}
	return out
}

// A process that is killed between the debt and the intent, or between the failure and the
// end of the debt, leaves one that the next process looks at before it asks anything.
func TestDebtOfAnAttemptThatWasKilled(t *testing.T) {
	for name, c := range map[string]struct {
		beat  string   // where it dies
		event run.Kind // or what it does not live to store
		off   bool     // somebody else has switched it off meanwhile
		owed  string
	}{
		"before the intent":                  {beat: "before-intent"},
		"before the intent, off meanwhile":   {beat: "before-intent", off: true, owed: "lamp"},
		"after the intent":                   {beat: "after-intent", owed: "lamp"},
		"before the debt is closed":          {event: run.DebtClosed},
		"before the debt is closed, and off": {event: run.DebtClosed, off: true, owed: "lamp"},
	} {
		t.Run(name, func(t *testing.T) {
			b, l := newBench(t), &lamp{owed: map[string][]string{}}
			b.actions = append(b.actions, l.actions()...)
			if c.event != "" {
				l.run = []func() error{func() error { return action.ErrRefused }}
			}
			w := &watcher{person{t: t, say: answers{}}, l}
			p := b.program(lampBook)
			id, err := Begin(t.Context(), b.config(w), p, Start{Mode: run.Live})
			if err != nil {
				t.Fatal(err)
			}
			b.onBeat = func(point string) {
				if point == c.beat {
					panic(errCrash)
				}
			}
			b.journal.fault = func(ev run.Event) (bool, error) {
				if ev.Kind == c.event {
					return false, errors.New("killed")
				}
				return true, nil
			}
			if _, err := b.crashable(p, id, w); err == nil {
				t.Fatal("it was not killed")
			}
			b.onBeat, b.journal.fault = nil, nil
			l.off, l.owed = c.off, map[string][]string{}
			w.say = answers{"off token": {verb(run.Skip)}, "off decision": {verb(run.Override)}, "off doubt": {verb(run.Override)}}
			r, err := b.resume(p, id, w)
			if err != nil || r.Open() {
				t.Fatalf("%v, %q", err, r.Outcome)
			}
			for gate, owed := range l.owed {
				if strings.HasPrefix(gate, "off ") && !slices.Equal(owed, []string{c.owed}) {
					t.Errorf("at %q is owed %q, want %q", gate, owed, c.owed)
				}
			}
		})
	}
}

// What was put back is owed again before that is undone, and not when the undo was refused.
func TestDebtOfAnUndoThatWasRefused(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		owed string
		off  bool
	}{"refused": {err: action.ErrRefused}, "refused, and off": {err: action.ErrRefused, off: true, owed: "lamp"}, "unclear": {err: action.ErrUnclear, owed: "lamp"}} {
		b, l := newBench(t), &lamp{owed: map[string][]string{}}
		b.actions = append(b.actions, l.actions()...)
		l.undo = []func() error{func() error { l.off = c.off; return c.err }}
		gate := map[bool]string{true: "on decision", false: "on doubt"}[c.err == action.ErrRefused]
		w := &watcher{person{t: t, say: answers{"tell checklist": {undoOf("on")}, gate: {verb(run.Override)}, "closing": {verb(run.Finish)}}}, l}
		r, err := b.play(lampBook, w, Start{})
		if name == "refused" && (err != nil || len(r.Debts) > 0) {
			t.Errorf("%s: %v, owed %v", name, err, r.Debts)
		}
		if got := l.owed[gate]; len(got) == 0 || got[0] != c.owed {
			t.Errorf("%s: at %q is owed %q, want %q", name, gate, got, c.owed)
		}
	}
}

// What a step saves is gone with the process that ran it where its probe cannot tell. What
// goes by it stops with words, and never runs with nothing in its place.
func TestSavedIsLostInDoubt(t *testing.T) {
	for name, later := range map[string]string{
		"argument":  "~~~test.write\nvalue: ${it.out}\n~~~\n",
		"script":    "~~~sh\nsay \"${it_out:-}\"\n~~~\n",
		"condition": "~~~test.write when=\"it.out != 'a'\"\nvalue: b\n~~~\n",
		"check":     "~~~test.write\nvalue: b\n~~~\n\n~~~test.read verify\nvalue: ${it.out}\n~~~\n",
	} {
		b := newBench(t)
		p := &person{t: t, say: answers{"make doubt": {verb(run.Settle)}, "use decision": {verb(run.Override)}, "closing": {verb(run.Finish)}}}
		prog := b.program("## Make\n\n~~~sh save=it\nok\n~~~\n\n## Use\n\n" + later)
		id, err := Begin(t.Context(), b.config(p), prog, Start{Mode: run.Live})
		if err != nil {
			t.Fatal(err)
		}
		b.onBeat = func(point string) {
			if point == "after-effect" && len(b.effects) == 1 {
				panic(errCrash)
			}
		}
		if _, err := b.crashable(prog, id, p); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		b.onBeat = nil
		r, err := b.resume(prog, id, p)
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Step("use"); !strings.Contains(s.Error, `what step "make" saves as "it" is not known`) || s.State != run.Overridden || name != "check" && len(b.effects) != 1 {
			t.Errorf("%s: %s, %q, effects %q", name, s.State, s.Error, b.effects)
		}
	}
}
