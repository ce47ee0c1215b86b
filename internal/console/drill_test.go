package console

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"lifeboat/internal/run"
)

// fakeDrill is what a fakeBackend knows of drills.
type fakeDrill struct {
	items   []DrillItem
	alarm   DrillAlarm
	right   string // the runbook for the alarm
	report  DrillReport
	guesses []string
	staged  []DrillStart
	said    []string
	hints   []string
	ended   int
	broken  error // of everything that asks for a change
}

func (f *fakeDrill) Drills(context.Context) ([]DrillItem, error) { return f.items, nil }

func (f *fakeDrill) AlarmDrill(_ context.Context, d DrillStart) (DrillAlarm, error) {
	f.staged = append(f.staged, d)
	return f.alarm, f.broken
}

func (f *fakeDrill) GuessDrill(_ context.Context, book string) (run.ID, bool, error) {
	f.guesses = append(f.guesses, book)
	return runID, book == f.right, f.broken
}

func (f *fakeDrill) StartDrill(_ context.Context, d DrillStart) (run.ID, error) {
	f.staged = append(f.staged, d)
	return runID, f.broken
}

func (f *fakeDrill) SayInject(_ context.Context, _ run.ID, inject, text string) error {
	f.said = append(f.said, inject+": "+text)
	return f.broken
}

func (f *fakeDrill) TakeHint(_ context.Context, _ run.ID, step string) error {
	f.hints = append(f.hints, step)
	return f.broken
}

func (f *fakeDrill) EndDrill(context.Context, run.ID) error {
	f.ended++
	return f.broken
}

func (f *fakeDrill) ExportDrill(context.Context, run.ID) (DrillReport, error) {
	return f.report, f.broken
}

var rehearsed = run.DrillSetup{
	Scenario: "accidental-force-push", Title: "A demo was pushed over main", Trainee: "m.ito", Facilitator: "s.kaya",
	Alarm: "People say that their commits of this morning are gone from main.", Found: 2*minute + 20*time.Second, Pass: 80,
	Points: []run.Worth{{Criterion: run.RightRunbook, Points: 20}, {Criterion: run.InsideRTO, Points: 25}, {Criterion: run.InsideRPO, Points: 15},
		{Criterion: run.ChecksRead, Points: 15}, {Criterion: run.GatesTyped, Points: 5}, {Criterion: run.InTime, Points: 15}, {Criterion: run.TeamTold, Points: 5}},
	Injects: []run.Inject{
		{Name: "author", From: "T. Nkosi, developer", Text: "I have a fix that must go in now. May I push it to main?", Within: 2 * minute, Points: 5, Words: [][]string{{"no", "wait"}}, Model: "no, wait"},
		{Name: "support", From: "support desk, played by s.kaya", Text: "Customers see double bookings since 13:56, right after the deploy.", Within: 2 * minute, Points: 5, Words: [][]string{{"copy"}}, Model: "an older copy"},
		{Name: "chief", From: "head of the salon", Text: "How long will it take?", Choices: []string{"no idea", "inside the hour, I say so when it is done", "five minutes"}, Right: 2, Within: 2 * minute, Points: 5},
	},
	Hints: []run.Hint{{Step: "find", Text: "Whose clone still has them?", Cost: 4}, {Step: "keep", Text: "Both versions are worth keeping.", Cost: 4}, {Step: "push", Text: "Read the token from the target.", Cost: 4}},
	Team:  []string{"tell"}, RTO: time.Hour, RPO: 15 * minute, Every: 90 * 24 * time.Hour,
}

// rehearsal is a run that is the drill of a scenario, before its first step.
func rehearsal(t testing.TB) *story {
	return newStoryIn(t, run.Drill).add(0, run.DrillBegan, "", rehearsed)
}

func (s *story) arrives(name string) *story {
	return s.add(time.Second, run.InjectArrived, "", run.Arrival{Inject: name})
}

// taught has one inject answered, and one hint taken.
func (s *story) taught() *story {
	s.found().arrives("author")
	s.add(16*time.Second, run.InjectAnswered, "", run.InjectAnswer{Inject: "author", By: "m.ito", Text: "no, wait until I say so", Took: 16 * time.Second, Right: true, Points: 5})
	s.add(0, run.HintTaken, "", run.HintTaking{Hint: rehearsed.Hints[0], By: "m.ito"})
	return s
}

// injected waits at a gate, with an inject that has just arrived.
func (s *story) injected() *story {
	s.taught().gate(time.Second, "keep", run.Gate{Kind: run.Confirm, Digest: "d-keep", Plan: keepPlan})
	return s.arrives("support")
}

// scored ends the drill and scores it.
func (s *story) scored(change func(*run.Found)) *story {
	s.taught()
	for _, ev := range newStoryIn(s.t, run.Drill).complete().events[int(newStoryIn(s.t, run.Drill).found().state.Seq):] {
		if a, ok := ev.Body.(run.Answer); ok { // its gate has another number here
			a.Gate = s.state.Gate.Seq
			ev.Body = a
		}
		if b, ok := ev.Body.(run.Began); ok && b.Gate != 0 {
			b.Gate = s.state.Step(ev.Step).Approval
			ev.Body = b
		}
		at := ev.At.Sub(s.now)
		if ev.Kind == run.RunEnded {
			at = 0
		}
		s.add(max(at, 0)+time.Second, ev.Kind, ev.Step, ev.Body)
		if ev.Kind == run.StepBegan && ev.Step == "push" {
			s.arrives("support")
			s.add(131*time.Second, run.InjectAnswered, "", run.InjectAnswer{Inject: "support", By: "m.ito", Text: "take an older copy", Took: 131 * time.Second, Right: true, Late: true, Points: 2})
			s.arrives("chief")
			s.add(10*time.Second, run.InjectAnswered, "", run.InjectAnswer{Inject: "chief", By: "m.ito", Text: rehearsed.Injects[2].Choices[1], Took: 10 * time.Second, Right: true, Points: 5})
		}
	}
	f := run.Found{
		Recovered: true, LossKnown: true,
		Checks: []run.Check{{Text: "the origin passes git fsck --full", OK: true, Evidence: "no error"}, {Text: "every commit that the push dropped is on main again", OK: true, Evidence: "14 of 14"}},
		Kept:   []string{"commit 3f2a1c9 \"demo\" by k.lind: refs/lifeboat/7f3a/bad"},
		Usual:  map[string]time.Duration{"freeze-pushes": 2 * minute, "find": 2 * minute, "keep": 2 * minute, "push": minute, "verify": minute, "tell": minute},
	}
	if change != nil {
		change(&f)
	}
	return s.add(2*time.Second, run.DrillScored, "", s.state.Judge(f))
}

func failedDrill(f *run.Found) {
	f.Recovered, f.LossKnown = false, false
	f.Checks[1].OK, f.Checks[1].Evidence = false, "13 of 14"
	f.Lost = []string{"commit 8e02b6f \"fix(booking): no double charge\" by Thabo Nkosi: no repository has it"}
	f.Why = []string{"the oracle finds it not recovered: 1 of 2 checks fail"}
}

// rehearsals are drills with each kind of last result.
func rehearsals(b *fakeBackend, _ *Options) {
	score := &run.Score{Points: 91, Of: 100, Pass: 80, Passed: true, Recovered: true, Recovery: 24 * minute}
	failed := &run.Score{Points: 41, Of: 100, Pass: 80}
	ago := func(days int) time.Time { return began.AddDate(0, 0, -days) }
	b.items = []DrillItem{
		{Scenario: "data-loss", Title: "A DELETE was too wide", Book: "data-loss", Level: 3, Last: ago(100), LastRun: "20260816T100000Z-C0DE", Score: score, Trainee: "j.park", Holds: ago(10), About: 40 * minute, Every: 90 * 24 * time.Hour, Injects: 3, Hints: 4, Summary: "A DELETE without its second condition removes most appointments."},
		{Scenario: "secrets-loss", Title: "A deployment overwrote the env files", Book: "secrets-loss", Level: 3, Last: ago(20), LastRun: "20261104T100000Z-BAD1", Score: failed, Trainee: "k.lind", Every: 90 * 24 * time.Hour},
		{Scenario: "auth-recovery", Title: "A clean-up dropped the users", Book: "auth-recovery", Level: 3, Every: 31 * 24 * time.Hour, Injects: 2},
		{Scenario: "repository-loss", Title: "The shared repository is gone", Book: "repository-loss", Level: 3, Last: ago(85), LastRun: "20260831T100000Z-0DD5", Score: score, Trainee: "m.ito", Holds: ago(-5), About: 75 * minute, Every: 90 * 24 * time.Hour},
		{Scenario: "accidental-force-push", Title: "A demo was pushed over main", Book: "accidental-force-push", Level: 2, Alarm: true, Last: ago(7), LastRun: runID, Score: score, Trainee: "m.ito", Passed: []string{"s.kaya", "m.ito"}, Holds: ago(-83), About: 24 * minute, Every: 90 * 24 * time.Hour, Injects: 3, Hints: 3,
			Summary: "A colleague force-pushes a demo over main. Fourteen commits by six people are gone from it."},
	}
	b.report = DrillReport{Markdown: "drills/2026-11-24-7F3A.md", JSON: "drills/2026-11-24-7F3A.json", Tasks: "drills/2026-11-24-7F3A.tasks.md", SHA256: "3fe0aa81d4", Chained: true}
	b.alarm = DrillAlarm{Title: "A demo was pushed over main", Text: rehearsed.Alarm, At: began.Add(3 * minute), RTO: time.Hour}
	b.right = "accidental-force-push"
}

// An inject that arrives changes no key: what somebody types goes where it went before, it
// answers no gate, and a card that is open stays open.
func TestInjectStealsNothing(t *testing.T) {
	t.Run("danger gate", func(t *testing.T) {
		s := rehearsal(t).pushGate()
		d := drive(t, 120, 36, s)
		d.typeText("main@3f")
		d.play(s.arrives("support"))
		d.typeText("2a1c9i")
		if got := d.m.top().field().Value(); got != "main@3f2a1c9i" {
			t.Errorf("typed %q", got)
		}
		d.press("enter")
		if len(d.b.answers) != 0 || len(d.b.said) != 0 {
			t.Errorf("answers %v, said %v", d.b.answers, d.b.said)
		}
		d.press("backspace", "f5")
		if _, ok := d.m.top().(*injectScreen); !ok {
			t.Fatalf("f5 shows %T", d.m.top())
		}
		d.typeText("an older copy").press("enter")
		if len(d.b.said) != 1 || d.b.said[0] != "support: an older copy" || len(d.b.answers) != 0 {
			t.Errorf("said %q, answers %v", d.b.said, d.b.answers)
		}
		d.press("enter")
		if len(d.b.answers) != 1 || d.b.answers[0].Token != "main@3f2a1c9" || d.b.answers[0].Extra[run.MissesKey] != "1" {
			t.Errorf("answers %+v", d.b.answers)
		}
	})
	t.Run("text field", func(t *testing.T) {
		s := rehearsal(t).told()
		d := drive(t, 120, 36, s)
		d.press("p")
		d.play(s.arrives("support"))
		d.press("i", "h", "x")
		if got := d.m.top().field().Value(); got != "pihx" || len(d.b.hints) != 0 || d.b.ended != 0 {
			t.Errorf("typed %q, hints %v, ended %d", got, d.b.hints, d.b.ended)
		}
	})
	t.Run("note", func(t *testing.T) {
		s := rehearsal(t).keeping()
		d := drive(t, 120, 36, s)
		d.press("n", "a")
		d.play(s.arrives("chief"))
		d.press("2", "i")
		if n, ok := d.m.top().(*noteScreen); !ok || n.text.Value() != "a2i" || len(d.b.said) != 0 {
			t.Errorf("%T, said %v", d.m.top(), d.b.said)
		}
	})
	t.Run("gate closes below the answer", func(t *testing.T) {
		s := rehearsal(t).injected()
		d := drive(t, 120, 36, s)
		d.press("i").typeText("an ol")
		d.play(s.answer(time.Second, run.Answer{Verb: run.Approve}).begin("keep", keepPlan))
		if c, ok := d.m.top().(*injectScreen); !ok || c.text.Value() != "an ol" {
			t.Fatalf("%T", d.m.top())
		}
		d.play(s.add(time.Second, run.InjectAnswered, "", run.InjectAnswer{Inject: "support", By: "s.kaya", Text: "x"}))
		d.typeText("d").press("enter")
		if len(d.b.said) != 0 {
			t.Errorf("an inject was answered twice: %q", d.b.said)
		}
	})
}

func TestDrillKeys(t *testing.T) {
	d := drive(t, 120, 36, rehearsal(t).keepGate())
	d.press("h")
	if len(d.b.hints) != 0 {
		t.Error("a hint was taken without its price")
	}
	d.press("y", "enter", "esc", "h", "1")
	if len(d.b.hints) != 1 || d.b.hints[0] != "keep" {
		t.Errorf("hints %v", d.b.hints)
	}
	d.press("x", "y", "enter", "esc")
	if d.b.ended != 0 || len(d.b.answers) != 0 {
		t.Errorf("ended %d, answers %v", d.b.ended, d.b.answers)
	}
	d.press("x", "1")
	if d.b.ended != 1 {
		t.Errorf("ended %d", d.b.ended)
	}
	d = drive(t, 120, 36, rehearsal(t).keeping().arrives("chief")).press("i", "2")
	if len(d.b.said) != 1 || d.b.said[0] != "chief: 2" {
		t.Errorf("said %v", d.b.said)
	}
	d = drive(t, 120, 36, newStory(t).keeping()).press("i", "h")
	if len(d.b.said)+len(d.b.hints) != 0 {
		t.Error("a live run has injects or hints")
	}
}

// A drill from its alarm does not say which runbook it is, and a wrong one begins nothing.
func TestAlarm(t *testing.T) {
	d := drive(t, 120, 36, nil, rehearsals)
	d.b.right = "corrupted-repository"
	d.run(d.m.do(push{newDrills()}))
	d.wake()
	d.press("G", "enter", "2")
	if len(d.b.staged) != 1 || d.b.staged[0].Scenario != "accidental-force-push" {
		t.Fatalf("staged %+v, on %T", d.b.staged, d.m.top())
	}
	a, ok := d.m.top().(*alarmScreen)
	if !ok {
		t.Fatalf("%T", d.m.top())
	}
	d.typeText("verify").press("enter", "enter")
	if len(d.b.guesses) != 1 || len(a.tried) != 1 || a.tried[0] != "verify-backups" {
		t.Errorf("guessed %v, tried %v", d.b.guesses, a.tried)
	}
	if _, ok := d.m.top().(*alarmScreen); !ok || d.m.snap != nil {
		t.Errorf("a wrong runbook began something: %T", d.m.top())
	}
	d.b.events = rehearsal(t).keeping().events
	d.press("esc").typeText("corrupted").press("enter")
	if _, ok := d.m.top().(*runScreen); !ok || d.m.snap.Drill == nil {
		t.Errorf("the right one shows %T", d.m.top())
	}
}

// The score of a drill comes some time after its end, or never.
func TestResultWaitsForTheScore(t *testing.T) {
	s := rehearsal(t).complete()
	d := drive(t, 120, 36, s)
	if _, ok := d.m.top().(*drillResult); !ok || !strings.Contains(d.frame(), "The oracle is looking") {
		t.Fatalf("%T\n%s", d.m.top(), d.frame())
	}
	d.b.now = d.b.now.Add(5 * minute)
	d.tick()
	if !strings.Contains(d.frame(), "there is no score") {
		t.Error(d.frame())
	}
	d.play(s.add(time.Second, run.DrillScored, "", s.state.Judge(run.Found{Recovered: true, LossKnown: true})))
	if frame := d.frame(); !strings.Contains(frame, "points") || strings.Contains(frame, "no score") {
		t.Error(frame)
	}
}

// The training lists what is simple before what is grave, with the cursor on the first drill
// that whoever sits there has not passed; what others have passed says nothing about them.
func TestTraining(t *testing.T) {
	d := drive(t, 120, 36, nil, rehearsals).press("t")
	s, ok := d.m.top().(*drillsScreen)
	if !ok || s.chosen(&d.m.world).Scenario != "auth-recovery" {
		t.Fatalf("%T\n%s", d.m.top(), d.frame())
	}
	if got := ansi.Strip(d.frame()); !strings.Contains(got, "YOU HAVE PASSED 1 OF 5   next auth-recovery") {
		t.Error(got)
	}
	d.press("up")
	if got := s.chosen(&d.m.world).Scenario; got != "accidental-force-push" {
		t.Errorf("the easiest is %s", got)
	}
	d.press("enter")
	if b, ok := d.m.top().(*beginScreen); !ok || b.item.Scenario != "accidental-force-push" || len(d.b.staged) > 0 {
		t.Errorf("enter shows %T", d.m.top())
	}
}

// A runbook has more than nine steps: their numbers are read whole.
func TestLapNumbers(t *testing.T) {
	for number, want := range map[string]string{"": "✓   Put", "9": "✓ 9 Put", "10": "✓ 10 Put"} {
		text := ""
		for _, s := range (&lap{glyph: "✓", number: number, title: "Put it into place"}).row(32, 20, time.Minute).left {
			text += s.text
		}
		if !strings.HasPrefix(text, want) {
			t.Errorf("row %q, want it to begin with %q", text, want)
		}
	}
}
