package run

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// played is a drill of three steps: one by hand, one that reads, one with a token. change
// alters what is planned; its events follow.
func played(t *testing.T, change func(*DrillSetup), more ...Event) Run {
	t.Helper()
	d := DrillSetup{
		Scenario: "s", Trainee: "j.park", Pass: 80, RTO: time.Hour, RPO: 15 * time.Minute, Every: 24 * time.Hour, Alarm: "help", Found: time.Minute,
		Points:  []Worth{{RightRunbook, 20}, {InsideRTO, 25}, {InsideRPO, 15}, {ChecksRead, 15}, {GatesTyped, 5}, {InTime, 15}, {TeamTold, 5}},
		Injects: []Inject{{Name: "one", Points: 5, Within: time.Minute}, {Name: "two", Points: 10, Within: time.Minute}},
		Hints:   []Hint{{"find", "look", 4}}, Team: []string{"tell"},
	}
	if change != nil {
		change(&d)
	}
	r, err := folded(append([]Event{
		{Kind: RunStarted, Body: Started{Mode: Drill, Steps: []Outline{{ID: "tell", Title: "Tell", Hand: true}, {ID: "find", Title: "Find", Action: "git.find-lost", Effect: "read"}, {ID: "push", Title: "Push", Action: "git.push", Effect: "destroy"}}}},
		{Kind: DrillBegan, Body: d},
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// whole is everything done right. Its gates are events 3 and 8.
func whole(misses string) []Event {
	answer := Answer{Gate: 9, Verb: Approve, Digest: "d", Token: "x"}
	if misses != "" {
		answer.Extra = map[string]string{MissesKey: misses}
	}
	return []Event{
		{Kind: GateOpened, Step: "tell", Body: Gate{Kind: Checklist}},
		{Kind: GateAnswered, Step: "tell", Body: Answer{Gate: 3, Verb: Give, Values: []string{"done"}}},
		{Kind: StepClaimed, Step: "tell", Body: Verdict{By: "j.park"}},
		{Kind: StepBegan, Step: "find", Attempt: 1, Body: Began{Plan: &Plan{Effect: "read"}}},
		{Kind: StepFinished, Step: "find", Body: Finished{}},
		{Kind: StepVerified, Step: "find", Body: Verdict{}},
		{Kind: GateOpened, Step: "push", Body: Gate{Kind: Token, Token: "x", Digest: "d", Plan: &Plan{Effect: "destroy"}}},
		{Kind: GateAnswered, Step: "push", Body: answer},
		{Kind: StepBegan, Step: "push", Attempt: 1, Body: Began{Gate: 10, Digest: "d", Plan: &Plan{Effect: "destroy"}}},
		{Kind: StepFinished, Step: "push", Body: Finished{}},
		{Kind: StepVerified, Step: "push", Body: Verdict{}},
	}
}

// both injects answered as they should be.
func answered() []Event {
	return []Event{
		{Kind: InjectArrived, Body: Arrival{"one"}}, {Kind: InjectAnswered, Body: InjectAnswer{Inject: "one", Text: "a", Right: true, Points: 5}},
		{Kind: InjectArrived, Body: Arrival{"two"}}, {Kind: InjectAnswered, Body: InjectAnswer{Inject: "two", Text: "b", Right: true, Points: 10}},
	}
}

func ending(o Outcome) Event { return Event{Kind: RunEnded, Body: Ended{Outcome: o}} }

func TestScore(t *testing.T) {
	good := Found{Recovered: true, LossKnown: true}
	join := func(parts ...[]Event) (out []Event) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	done := join(whole(""), answered(), []Event{ending(Complete)})
	for _, tt := range []struct {
		name   string
		change func(*DrillSetup)
		events []Event
		found  Found
		points string // "95 of 100", and PASSED or not
		why    []string
	}{
		{"all right", nil, done, good, "100 of 100 passed", nil},
		{"one wrong runbook", func(d *DrillSetup) { d.Tried = []string{"other"} }, done, good, "90 of 100 passed", []string{"runbook: other was opened first"}},
		{"two wrong runbooks", func(d *DrillSetup) { d.Tried = []string{"a", "b"} }, done, good, "80 of 100 passed", []string{"runbook: a, b were opened first"}},
		{"too slow", func(d *DrillSetup) { d.RTO = time.Second }, done, good, "75 of 100 not", []string{"rto: recovered after 0:12, the promise is 0:01", "75 points, 80 pass"}},
		{"too much lost", nil, done, Found{Recovered: true, LossKnown: true, Loss: time.Hour}, "85 of 100 passed", []string{"rpo: 1:00:00 of data are lost, the promise is 15:00"}},
		{"loss as large as it may be", nil, done, Found{Recovered: true, LossKnown: true, Loss: 15 * time.Minute}, "100 of 100 passed", nil},
		{"loss not measured", nil, done, Found{Recovered: true}, "85 of 100 passed", []string{"rpo: the oracle could not measure"}},
		{"not recovered", nil, done, Found{Lost: []string{"a commit"}, Why: []string{"the oracle finds it not recovered"}}, "60 of 100 not", []string{"rto: the oracle finds it not recovered", "rpo: lost: a commit"}},
		{"points alone do not pass", nil, done, Found{Recovered: true, LossKnown: true, Why: []string{"another breakage"}}, "100 of 100 not", []string{"another breakage"}},
		{"a token wrong once", nil, join(whole("1"), answered(), []Event{ending(Complete)}), good, "95 of 100 passed", []string{`gates: the token of "Push" was wrong once first`}},
		{"a token wrong often", nil, join(whole("3"), answered(), []Event{ending(Complete)}), good, "95 of 100 passed", []string{`wrong 3 times first`}},
		{"nonsense about misses", nil, join(whole("-7"), answered(), []Event{ending(Complete)}), good, "100 of 100 passed", nil},
		{"a hint", nil, join(whole(""), []Event{{Kind: HintTaken, Body: HintTaking{Hint: Hint{"find", "look", 4}}}}, answered(), []Event{ending(Complete)}), good, "96 of 100 passed", []string{`hints: "Find": look`}},
		{"an inject late", nil, join(whole(""), []Event{answered()[0], {Kind: InjectAnswered, Body: InjectAnswer{Inject: "one", Text: "a", Took: 131 * time.Second, Right: true, Late: true, Points: 2}}}, answered()[2:], []Event{ending(Complete)}), good,
			"97 of 100 passed", []string{`injects: inject "one" took 2:11 of 1:00`}},
		{"an inject wrong", nil, join(whole(""), answered()[:2], []Event{answered()[2], {Kind: InjectAnswered, Body: InjectAnswer{Inject: "two", Text: "dunno"}}}, []Event{ending(Complete)}), good,
			"90 of 100 passed", []string{`inject "two": "dunno" misses the point`}},
		{"an inject ignored", nil, join(whole(""), answered()[:3], []Event{ending(Complete)}), good, "90 of 100 passed", []string{`inject "two" was not answered`}},
		{"faster than an inject", nil, join(whole(""), answered()[:2], []Event{ending(Complete)}), good, "90 of 90 passed", nil},
		{"ended early", nil, []Event{ending(Aborted)}, Found{Why: []string{"the run is aborted"}}, "20 of 100 not",
			[]string{"checks: 3 of 3 steps were not done", `gates: the gate of "Push" was not passed`, `inject "one": the drill was over before it came`, `team: "Tell" was not done`}},
		{"skipped and told nobody", nil, join([]Event{
			{Kind: StepSkipped, Step: "tell", Body: Reason{Class: NoTime, Text: "they sleep"}}}, shifted(whole("")[3:], -2), answered(), []Event{ending(CompleteWithOverrides)}), good,
			"90 of 100 passed", []string{`checks: "Tell" was skipped: they sleep`, `team: "Tell" was skipped`}},
		{"nothing to score", func(d *DrillSetup) { d.Points, d.Injects, d.Hints, d.Pass, d.Alarm = nil, nil, nil, 0, "" }, join(whole(""), []Event{ending(Complete)}), good, "0 of 0 passed", nil},
	} {
		r := played(t, tt.change, tt.events...)
		s := r.Judge(tt.found)
		got := fmt.Sprintf("%d of %d not", s.Points, s.Of)
		if s.Passed {
			got = fmt.Sprintf("%d of %d passed", s.Points, s.Of)
		}
		var why []string
		for _, c := range s.Criteria {
			for _, w := range c.Why {
				why = append(why, c.Criterion+": "+w)
			}
			if c.Points < c.Of && len(c.Why) == 0 {
				t.Errorf("%s: %s has %d of %d points and no reason", tt.name, c.Criterion, c.Points, c.Of)
			}
		}
		why = append(why, s.Why...)
		if got != tt.points {
			t.Errorf("%s: %s, want %s; %q", tt.name, got, tt.points, why)
		}
		for _, want := range tt.why {
			if !strings.Contains(strings.Join(why, "\n"), want) {
				t.Errorf("%s: reasons %q, want %q", tt.name, why, want)
			}
		}
		if tt.why == nil && len(why) > 0 {
			t.Errorf("%s: reasons %q, want none", tt.name, why)
		}
		if s.Passed != s.Valid.After(r.EndedAt) {
			t.Errorf("%s: passed %v, and valid until %s", tt.name, s.Passed, s.Valid)
		}
		if len(s.Fixes) > mostFixes {
			t.Errorf("%s: %d fixes", tt.name, len(s.Fixes))
		}
		if r.Open() || r.Score != nil {
			t.Errorf("%s: to judge changed the run", tt.name)
		}
	}
}

// shifted gives events whose gates come earlier by some events.
func shifted(events []Event, by int64) (out []Event) {
	for _, ev := range events {
		switch b := ev.Body.(type) {
		case Answer:
			b.Gate += by
			ev.Body = b
		case Began:
			if b.Gate > 0 {
				b.Gate += by
			}
			ev.Body = b
		}
		out = append(out, ev)
	}
	return out
}

// The score so far has only what is decided, and never more than can be had.
func TestScoreSoFar(t *testing.T) {
	events := append(whole(""), answered()...)
	last := 0
	for n := range len(events) + 1 {
		r := played(t, nil, events[:n]...)
		marks := r.Marks(nil)
		points, decided := Sum(marks)
		if decided < last || decided > r.Drill.Of() || points > decided {
			t.Errorf("after %d events: %d points of %d decided, before %d", n, points, decided, last)
		}
		last = decided
		for _, m := range marks {
			if (m.Criterion.Criterion == InsideRTO || m.Criterion.Criterion == InsideRPO) && m.Decided != 0 {
				t.Errorf("after %d events %s is decided", n, m.Criterion.Criterion)
			}
		}
	}
	if last != 60 {
		t.Errorf("%d points decided at the end, want all but those of the oracle", last)
	}
}

func TestFixes(t *testing.T) {
	events := append(whole(""), []Event{{Kind: HintTaken, Body: HintTaking{Hint: Hint{"find", "look", 4}}}, {Kind: InjectArrived, Body: Arrival{"one"}}, ending(Complete)}...)
	r := played(t, func(d *DrillSetup) { d.Injects[0].Model = "wait" }, events...)
	for i := range r.Steps {
		if r.Steps[i].ID == "push" { // as if it had taken long
			r.Steps[i].Ended = r.Steps[i].Ended.Add(2 * time.Minute)
		}
	}
	s := r.Judge(Found{Recovered: true, LossKnown: true, Checks: []Check{{Text: "it is whole"}}, Usual: map[string]time.Duration{"push": time.Minute, "find": time.Hour}})
	want := []string{"make it hold: it is whole", "step 2: say in the runbook what the hint says: look", "step 3: find out why it took 1:05 longer than usual", `talk about inject "one": a good answer is wait`}
	if fmt.Sprint(s.Fixes) != fmt.Sprint(want) {
		t.Errorf("%q\nwant %q", s.Fixes, want)
	}
	if s.Best != "" && strings.Contains(s.Best, "hint") {
		t.Errorf("best moment %q", s.Best)
	}
}

func TestRecovery(t *testing.T) {
	r := Run{At: noon, Steps: []Step{
		{Outline: Outline{Action: "git.push"}, State: Verified, Ended: noon.Add(10 * time.Minute)},
		{Outline: Outline{Action: "vault.backup"}, State: Verified, Ended: noon.Add(20 * time.Minute)},
		{Outline: Outline{Action: "notify.send"}, State: Verified, Ended: noon.Add(21 * time.Minute)},
		{Outline: Outline{Hand: true}, State: Claimed, Ended: noon.Add(30 * time.Minute)},
		{Outline: Outline{Action: "sh"}, State: Failed, Ended: noon.Add(40 * time.Minute)},
	}}
	if got := r.Recovery(); got != 10*time.Minute {
		t.Errorf("recovered in %s", got)
	}
	r.Started.Incident = noon.Add(-5 * time.Minute)
	if got := r.Recovery(); got != 15*time.Minute {
		t.Errorf("recovered in %s from the incident", got)
	}
	r.Started.Incident = noon.Add(time.Hour) // a clock that was put back
	if got := r.Recovery(); got <= 0 || got > time.Second {
		t.Errorf("recovered in %s", got)
	}
	if got := (&Run{At: noon}).Recovery(); got != 0 {
		t.Errorf("recovered in %s without a step", got)
	}
}

func TestTookUntilBack(t *testing.T) {
	r := Run{At: noon, EndedAt: noon.Add(time.Hour), Outcome: Complete, Steps: []Step{
		{Outline: Outline{Action: "git.push", Effect: "destroy"}, State: Verified, Ended: noon.Add(10 * time.Minute)},
		{Outline: Outline{Action: "sh"}, State: Claimed, Ended: noon.Add(12 * time.Minute)},
		{Outline: Outline{Action: "git.backup"}, State: Verified, Ended: noon.Add(20 * time.Minute)},
	}}
	for _, tt := range []struct {
		name   string
		change func()
		want   time.Duration
	}{
		{"the backup after it is aftercare", func() {}, 12 * time.Minute},
		{"a step was left out", func() { r.Steps[1].State = Skipped }, time.Hour},
		{"a step was left out of a scored drill", func() { r.Score = &Score{Recovery: r.Recovery()} }, 10 * time.Minute},
		{"it was given up", func() { r.Outcome = Aborted }, time.Hour},
		{"it is open", func() { r.Outcome = "" }, 0},
	} {
		tt.change()
		if got := r.Took(); got != tt.want {
			t.Errorf("%s: took %s, want %s", tt.name, got, tt.want)
		}
	}
}
