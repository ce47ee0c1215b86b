package drill_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/drill"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

const practice = `title: T
summary: S
alarm: It is gone.
injects:
  - name: author
    when: {ends: stop, after: 30s}
    from: an author
    says: May I push?
    look-for: [[no, wait], [main]]
    answer: No, nobody pushes to main.
    within: 2m
    points: 7
  - {when: {after: 5m}, from: chief, says: How long?, choices: [no idea, an hour], right: 2}
hints:
  stop: Ask first.
  start: [Look, {text: Look again, cost: 2}]
score: {pass: 60, rto: 30, team: 0}
team: [tell]
every: 30d
`

func TestLoadScript(t *testing.T) {
	s, problems := drill.Load("restart.test.yaml", []byte(practice))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	one := run.Inject{Name: "author", Step: "stop", Ended: true, After: 30 * time.Second, From: "an author", Text: "May I push?",
		Words: [][]string{{"no", "wait"}, {"main"}}, Model: "No, nobody pushes to main.", Within: 2 * time.Minute, Points: 7}
	two := run.Inject{Name: "2", After: 5 * time.Minute, From: "chief", Text: "How long?", Choices: []string{"no idea", "an hour"}, Right: 2, Model: "an hour", Within: 5 * time.Minute, Points: 5}
	if got := fmt.Sprintf("%+v", s.Injects); got != fmt.Sprintf("%+v", []run.Inject{one, two}) {
		t.Errorf("injects %s", got)
	}
	if got := fmt.Sprint(s.Hints); got != "[{start Look 4} {start Look again 2} {stop Ask first. 4}]" {
		t.Errorf("hints %s", got)
	}
	if s.Pass != 60 || s.Weights[run.InsideRTO] != 30 || s.Weights[run.ChecksRead] != 15 || s.Every != 30*24*time.Hour || s.Alarm != "It is gone." {
		t.Errorf("%+v", s)
	}
	steps := []run.Outline{{ID: "stop"}, {ID: "push", Effect: "destroy"}}
	s.Breakage = "force-push"
	for _, tt := range []struct {
		name string
		cast drill.Cast
		want string
	}{
		{"with the runbook", drill.Cast{}, "[{checks 15} {gates 5} {injects 12}] pass 20"},
		{"with promises", drill.Cast{RTO: time.Hour, RPO: time.Minute}, "[{rto 30} {rpo 15} {checks 15} {gates 5} {injects 12}] pass 47"},
		{"from the symptoms", drill.Cast{Symptoms: true, Found: time.Minute, Tried: []string{"x"}}, "[{runbook 20} {checks 15} {gates 5} {injects 12}] pass 32"},
	} {
		d := s.Setup(tt.cast, steps)
		if got := fmt.Sprintf("%v pass %d", d.Points, d.Pass); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if (d.Alarm != "") != tt.cast.Symptoms || d.Every != s.Every {
			t.Errorf("%s: %+v", tt.name, d)
		}
	}
	if d := s.Setup(drill.Cast{Auto: true}, steps); d.Every != 0 {
		t.Error("what a script has played holds for people")
	}
}

func TestLoadScriptRefuses(t *testing.T) {
	inject := func(text string) string { return "title: T\nsummary: S\ninjects:\n  - " + text + "\n" }
	whole := "when: {begins: stop}, from: a, says: b"
	for text, want := range map[string]string{
		inject("5"):                                                                                                      "4:5 type: injects[0] must be a mapping",
		"title: T\nsummary: S\ninjects: x\n":                                                                             "3:1 type: injects must be a list",
		inject("{" + whole + "}"):                                                                                        "4:5 value: injects[0] needs to know what a good answer is",
		inject("{" + whole + ", look-for: [x]}"):                                                                         "4:5 missing-key: injects[0] has no answer",
		inject("{" + whole + ", look-for: [x], answer: y}"):                                                              "bad-answer: the answer of injects[0] misses what look-for asks for",
		inject("{" + whole + ", look-for: [], answer: y}"):                                                               "type: injects[0].look-for must be a list",
		inject("{" + whole + ", choices: [a, b]}"):                                                                       "value: injects[0] has 2 choices, and number 0 is the right one",
		inject("{" + whole + ", choices: [a, b], right: 3}"):                                                             "and number 3 is the right one",
		inject("{" + whole + ", choices: [a], right: 0}"):                                                                "value: injects[0].right must be a number from 1 to 9",
		inject("{" + whole + ", choices: [a], right: 1, look-for: [x]}"):                                                 "needs to know what a good answer is",
		inject("{when: {}, from: a, says: b, choices: [x], right: 1}"):                                                   "value: injects[0].when names no moment, or two",
		inject("{when: {begins: a, ends: b}, from: a, says: b, choices: [x], right: 1}"):                                 "names no moment, or two",
		inject("{when: {after: soon}, from: a, says: b, choices: [x], right: 1}"):                                        "is no duration above zero",
		inject("{from: a, says: b, choices: [x], right: 1}"):                                                             "4:5 missing-key: injects[0] has no when",
		inject("{" + whole + ", choices: [x], right: 1, point: 5}"):                                                      `unknown-key: an inject has no key "point"; did you mean "points"?`,
		inject("{" + whole + ", choices: [x], right: 1, points: many}"):                                                  "injects[0].points must be a number from 0 to 1000",
		inject("{name: a, " + whole + ", choices: [x], right: 1}\n  - {name: a, " + whole + ", choices: [x], right: 1}"): `5:6 duplicate-name: another inject is called "a"`,
		"title: T\nsummary: S\nhints: [x]\n":                                                                             "3:1 type: hints must be a mapping",
		"title: T\nsummary: S\nhints: {stop: [{cost: 2}]}\n":                                                             "missing-key: hints.stop[0] has no text",
		"title: T\nsummary: S\nscore: {pass: 200}\n":                                                                     "3:9 value: score.pass must be a number from 1 to 100",
		"title: T\nsummary: S\nscore: {speed: 2}\n":                                                                      `3:9 unknown-key: score has no key "speed"`,
		"title: T\nsummary: S\nevery: soon\n":                                                                            "3:1 value: every is no number of days",
		"title: T\nsummary: S\nevery: 0d\n":                                                                              "3:1 value: every is no number of days",
		"title: T\nsummary: S\nteam: tell\n":                                                                             "3:1 type: team must be a list",
		"title: T\nsummary: S\nalarm: \"\\e[31m\"\n":                                                                     "3:1 value: alarm holds a control character",
	} {
		_, problems := drill.Load("restart.test.yaml", []byte(text))
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%d:%d %s: %s; %s", p.Pos.Line, p.Pos.Col, p.Code, p.Msg, p.Fix))
		}
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("%s\ngot  %q\nwant %q", text, got, want)
		}
	}
}

// What a scenario says about steps is held against those of its runbook.
func TestCheckScript(t *testing.T) {
	book, bad := runbook.Parse("restart.md", []byte("---\ntitle: R\nkind: recovery\n---\n\n# R\n\n## Stop\n\n```sh\ntrue\n```\n"))
	if runbook.Failed(bad) {
		t.Fatal(bad)
	}
	s, problems := drill.Load("restart.test.yaml", []byte(practice))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, p := range s.Check(func(string) (*runbook.Book, error) { return book, nil }) {
		got = append(got, fmt.Sprintf("%d:%d %s %s", p.Pos.Line, p.Pos.Col, p.Code, p.Msg))
	}
	want := `16:3 unknown-step no step is called "start" | 18:8 unknown-step no step is called "tell"`
	if strings.Join(got, " | ") != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestRight(t *testing.T) {
	words := run.Inject{Words: [][]string{{"no", "wait"}, {"main branch", "origin"}}, Points: 5, Within: time.Minute}
	choice := run.Inject{Choices: []string{"no idea", "an hour"}, Right: 2, Points: 5}
	for _, tt := range []struct {
		inject run.Inject
		answer string
		want   bool
	}{
		{words, "No! The main\n  branch is frozen.", true}, {words, "WAIT, origin", true}, {words, "I know the main branch", false}, {words, "no", false}, {words, "", false},
		{words, "wait; \"origin\"", true}, {choice, "2", true}, {choice, "An hour.", true}, {choice, "1", false}, {choice, "22", false}, {choice, "", false},
	} {
		if got := drill.Right(tt.inject, tt.answer); got != tt.want {
			t.Errorf("%q: %v", tt.answer, got)
		}
	}
	for _, tt := range []struct {
		text   string
		took   time.Duration
		points int
		late   bool
	}{{"wait, origin", time.Minute, 5, false}, {"wait, origin", time.Minute + 1, 2, true}, {"wait", time.Second, 0, false}, {"wait, origin", -time.Hour, 5, false}} {
		if a := drill.Answered(words, "j", tt.text, tt.took); a.Points != tt.points || a.Late != tt.late || a.Took < 0 {
			t.Errorf("%q after %s: %+v", tt.text, tt.took, a)
		}
	}
	if a := drill.Answered(choice, "j", "2", 0); a.Text != "an hour" || !a.Right {
		t.Errorf("%+v", a)
	}
}

// stage is an engine that only folds. Its wall clock may jump.
type stage struct {
	t     *testing.T
	state run.Run
	at    time.Time
	fail  error
}

func newStage(t *testing.T, injects ...run.Inject) *stage {
	s := &stage{t: t, at: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)}
	s.add("", run.RunStarted, run.Started{Mode: run.Drill, Steps: []run.Outline{{ID: "stop", Hand: true}, {ID: "start", Hand: true}}})
	s.add("", run.DrillBegan, run.DrillSetup{Scenario: "s", Injects: injects, Hints: []run.Hint{{Step: "stop", Text: "look", Cost: 4}}})
	return s
}

func (s *stage) add(step string, kind run.Kind, body any) {
	s.t.Helper()
	next, err := run.Fold(s.state, run.Event{Run: "r", Seq: s.state.Seq + 1, At: s.at, Kind: kind, Step: step, Body: body})
	if err != nil {
		s.t.Fatal(err)
	}
	s.state = next
}

func (s *stage) Snapshot() run.Run { return s.state }

func (s *stage) Drill(_ context.Context, fact any) error {
	if s.fail != nil {
		return s.fail
	}
	kind := map[string]run.Kind{"run.Arrival": run.InjectArrived, "run.InjectAnswer": run.InjectAnswered, "run.HintTaking": run.HintTaken}[fmt.Sprintf("%T", fact)]
	next, err := run.Fold(s.state, run.Event{Run: "r", Seq: s.state.Seq + 1, At: s.at, Kind: kind, Body: fact})
	if err == nil {
		s.state = next
	}
	return err
}

func (s *stage) arrived() string {
	var names []string
	for _, i := range s.state.Drill.Arrived {
		names = append(names, i.Name)
	}
	return strings.Join(names, " ")
}

func (s *stage) claim(step string) {
	s.add(step, run.GateOpened, run.Gate{Kind: run.Checklist})
	s.add(step, run.StepClaimed, run.Verdict{By: "j"})
}

func TestDirector(t *testing.T) {
	soon := run.Inject{Name: "soon", After: time.Minute, Model: "x"}
	begins := run.Inject{Name: "begins", Step: "start", Model: "x"}
	ends := run.Inject{Name: "ends", Step: "stop", Ended: true, After: 30 * time.Second, Within: time.Minute, Points: 4, Words: [][]string{{"x"}}, Model: "x"}
	s := newStage(t, soon, begins, ends)
	var passed time.Duration // of the monotonic clock
	base := time.Now()
	d := drill.NewDirector(s, func() time.Time { return base.Add(passed) }, false)
	look := func(want string) {
		t.Helper()
		if err := d.Look(t.Context()); err != nil || s.arrived() != want {
			t.Fatalf("arrived %q, want %q; %v", s.arrived(), want, err)
		}
	}
	s.at, s.state.Drill.At = base, base // the record is as old as the clock
	look("")
	passed = 59 * time.Second
	look("")
	passed = time.Minute
	look("soon")
	look("soon")
	s.at = base.Add(passed)
	s.claim("stop")
	look("soon")
	passed += 29 * time.Second
	look("soon")
	passed += time.Second
	look("soon ends")
	passed += 10 * time.Second
	if err := d.Answer(t.Context(), "ends", "j", "  x  \n y "); err != nil {
		t.Fatal(err)
	}
	if a := s.state.Drill.Arrived[1].Answer; a.Took != 10*time.Second || a.Text != "x y" || a.Points != 4 || !a.Right {
		t.Errorf("%+v", a)
	}
	s.add("start", run.GateOpened, run.Gate{Kind: run.Checklist})
	look("soon ends begins")
	if err := d.Answer(t.Context(), "ends", "j", "again"); !errors.Is(err, drill.ErrNoInject) {
		t.Errorf("answered twice: %v", err)
	}
	if err := d.Answer(t.Context(), "", "j", " "); err == nil {
		t.Error("an answer without a word")
	}
	if err := d.Hint(t.Context(), "stop", "j"); err != nil || len(s.state.Drill.Taken) != 1 {
		t.Errorf("hint: %v", err)
	}
	if err := d.Hint(t.Context(), "stop", "j"); !errors.Is(err, drill.ErrNoHint) {
		t.Errorf("a second hint: %v", err)
	}
}

// The wall clock may be put back or forward: an inject still arrives once, when the time has
// really passed, and its answer took what it took.
func TestDirectorAndJumpingClocks(t *testing.T) {
	for _, jump := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		s := newStage(t, run.Inject{Name: "a", After: time.Minute, Within: time.Minute, Model: "x"})
		base := time.Now()
		s.at, s.state.Drill.At = base, base
		passed := time.Duration(0)
		d := drill.NewDirector(s, func() time.Time { return base.Add(passed) }, false)
		_ = d.Look(t.Context())
		s.at = base.Add(jump) // what the record says from here on
		passed = 59 * time.Second
		if _ = d.Look(t.Context()); s.arrived() != "" {
			t.Errorf("jump %s: arrived too early", jump)
		}
		passed = 61 * time.Second
		if _ = d.Look(t.Context()); s.arrived() != "a" {
			t.Errorf("jump %s: it did not arrive", jump)
		}
		passed += 5 * time.Second
		if err := d.Answer(t.Context(), "a", "j", "x"); err != nil {
			t.Fatal(err)
		}
		if took := s.state.Drill.Arrived[0].Answer.Took; took != 5*time.Second {
			t.Errorf("jump %s: took %s", jump, took)
		}
	}
}

// A director that takes a drill up goes by the record; nothing arrives twice.
func TestDirectorAfterACrash(t *testing.T) {
	s := newStage(t, run.Inject{Name: "a", Step: "stop", Ended: true, Model: "x"}, run.Inject{Name: "b", After: time.Hour, Model: "x"})
	base := time.Now()
	s.at, s.state.Drill.At = base.Add(-50*time.Minute), base.Add(-50*time.Minute)
	s.claim("stop")
	first := drill.NewDirector(s, func() time.Time { return base }, false)
	_ = first.Look(t.Context())
	passed := time.Duration(0)
	second := drill.NewDirector(s, func() time.Time { return base.Add(passed) }, false)
	if _ = second.Look(t.Context()); s.arrived() != "a" {
		t.Fatalf("arrived %q", s.arrived())
	}
	passed = 11 * time.Minute
	if _ = second.Look(t.Context()); s.arrived() != "a b" {
		t.Errorf("arrived %q after an hour in all", s.arrived())
	}
	s.add("", run.RunEnded, run.Ended{Outcome: run.Aborted})
	if err := second.Look(t.Context()); err != nil {
		t.Errorf("after the end: %v", err)
	}
	if err := second.Answer(t.Context(), "a", "j", "x"); err == nil {
		t.Error("an answer after the end")
	}
}

// shared is a stage that several look at, and that lets the others go first.
type shared struct {
	mu sync.Mutex
	*stage
}

func (s *shared) Snapshot() run.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer runtime.Gosched()
	return s.stage.Snapshot()
}

func (s *shared) Drill(ctx context.Context, fact any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage.Drill(ctx, fact)
}

// The ticker of the host and the question of a step play at the same time: neither may
// trip over what the other has just answered.
func TestPlayTogether(t *testing.T) {
	var injects []run.Inject
	for i := range 50 {
		injects = append(injects, run.Inject{Name: strconv.Itoa(i), Model: "x"})
	}
	s := newStage(t, injects...)
	d := drill.NewDirector(&shared{stage: s}, time.Now, true)
	if err := d.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	for range 8 {
		go func() { ended <- d.Play(t.Context()) }()
	}
	for range 8 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, i := range s.state.Drill.Arrived {
		if i.Answer == nil {
			t.Errorf("inject %s has no answer", i.Name)
		}
	}
}

// In a hurry nothing is waited for but steps, and the script answers all.
func TestDirectorInAHurry(t *testing.T) {
	s := newStage(t, run.Inject{Name: "late", After: time.Hour, Words: [][]string{{"x"}}, Model: "x", Points: 5}, run.Inject{Name: "end", Step: "stop", Ended: true, After: time.Hour, Model: "y"})
	d := drill.NewDirector(s, time.Now, true)
	if err := errors.Join(d.Look(t.Context()), d.Play(t.Context())); err != nil || s.arrived() != "late" || s.state.Drill.Open() != nil {
		t.Fatalf("%v, %+v", err, s.state.Drill)
	}
	s.claim("stop")
	if err := errors.Join(d.Look(t.Context()), d.Play(t.Context())); err != nil || s.arrived() != "late end" || s.state.Drill.Open() != nil {
		t.Fatalf("%v, %+v", err, s.state.Drill)
	}
	if a := s.state.Drill.Arrived[0].Answer; a.By != drill.By || a.Points != 5 {
		t.Errorf("%+v", a)
	}
	s.fail = errors.New("the journal is gone")
	s.state.Drill.Injects = append(s.state.Drill.Injects, run.Inject{Name: "more"})
	if err := d.Look(t.Context()); !errors.Is(err, s.fail) {
		t.Errorf("%v", err)
	}
}
