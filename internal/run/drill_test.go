package run

import (
	"strings"
	"testing"
	"time"
)

// drillOf is a drill of two steps with two injects and two hints for its first step.
func drillOf(mode Mode) []Event {
	return []Event{
		{Kind: RunStarted, Body: Started{Mode: mode, Steps: []Outline{{ID: "find", Effect: "read"}, {ID: "push", Effect: "write"}}}},
		{Kind: DrillBegan, Body: DrillSetup{
			Scenario: "force-push", Trainee: "j.park", Pass: 8, Points: []Worth{{InTime, 6}, {TeamTold, 4}},
			Injects: []Inject{{Name: "support", Points: 3}, {Name: "chief", Points: 3}},
			Hints:   []Hint{{"find", "look at the log", 4}, {"find", "of the mirror", 2}},
		}},
	}
}

// folded numbers the events and folds them.
func folded(events []Event) (Run, error) {
	for i := range events {
		events[i].Run, events[i].Seq, events[i].At = "r", int64(i+1), noon.Add(time.Duration(i)*time.Second)
	}
	return FoldAll(events)
}

func TestDrillFolds(t *testing.T) {
	arrives := func(name string) Event { return Event{Kind: InjectArrived, Body: Arrival{name}} }
	says := func(name string) Event {
		return Event{Kind: InjectAnswered, Body: InjectAnswer{Inject: name, By: "j.park", Text: "stop it", Right: true, Points: 3}}
	}
	hint := func(step string) Event {
		return Event{Kind: HintTaken, Body: HintTaking{Hint: Hint{Step: step}, By: "j.park"}}
	}
	ends := Event{Kind: RunEnded, Body: Ended{Outcome: Complete}}
	scored := Event{Kind: DrillScored, Body: Score{Points: 7, Of: 10}}
	setup := drillOf(Drill)[1]
	for _, tt := range []struct {
		name   string
		events []Event
		want   string // of the refusal, empty for none
	}{
		{"everything once", []Event{arrives("support"), hint("find"), says("support"), arrives("chief"), hint("find"), says("chief"), ends, scored}, ""},
		{"injects in another order", []Event{arrives("chief"), arrives("support"), says("support"), says("chief")}, ""},
		{"one that nobody answers", []Event{arrives("chief"), ends, scored}, ""},
		{"a note after the score", []Event{ends, scored, {Kind: NoteAdded, Body: Note{By: "s.kaya", Text: "well done"}}}, ""},
		{"a second setup", []Event{setup}, "no drill of this run"},
		{"an inject twice", []Event{arrives("chief"), arrives("chief")}, `inject "chief" is not planned, or has arrived`},
		{"an inject nobody planned", []Event{arrives("x")}, `inject "x" is not planned, or has arrived`},
		{"an answer before the inject", []Event{says("chief")}, `inject "chief" does not wait for an answer`},
		{"two answers", []Event{arrives("chief"), says("chief"), says("chief")}, `inject "chief" does not wait for an answer`},
		{"a third hint", []Event{hint("find"), hint("find"), hint("find")}, `no hint for step "find" is left`},
		{"a hint for another step", []Event{hint("push")}, `no hint for step "push" is left`},
		{"a score before the end", []Event{scored}, "scored once, after its end"},
		{"two scores", []Event{ends, scored, scored}, "scored once, after its end"},
		{"an inject after the end", []Event{ends, arrives("chief")}, "the run has ended"},
		{"an answer after the end", []Event{arrives("chief"), ends, says("chief")}, "the run has ended"},
	} {
		r, err := folded(append(drillOf(Drill), tt.events...))
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if r.Drill == nil || r.Drill.Trainee != "j.park" || r.Drill.Of() != 10 {
			t.Errorf("%s: %+v", tt.name, r.Drill)
		}
	}
	if _, err := folded(drillOf(Live)); err == nil {
		t.Error("a live run became a drill")
	}
	if _, err := folded([]Event{drillOf(Drill)[0], arrives("chief")}); err == nil {
		t.Error("an inject arrived in a run that is no drill of a scenario")
	}
}

func TestDrillState(t *testing.T) {
	r, err := folded(append(drillOf(Drill),
		Event{Kind: InjectArrived, Body: Arrival{"chief"}}, Event{Kind: InjectArrived, Body: Arrival{"support"}},
		Event{Kind: HintTaken, Body: HintTaking{Hint: Hint{"find", "look at the log", 4}, By: "j.park"}}))
	if err != nil {
		t.Fatal(err)
	}
	if open := r.Drill.Open(); open == nil || open.Name != "chief" || !open.At.Equal(noon.Add(2*time.Second)) {
		t.Errorf("open %+v, want the one that waits longest", open)
	}
	if w := r.Drill.Waiting(); len(w) != 0 {
		t.Errorf("still to come %+v", w)
	}
	if h, ok := r.Drill.Next("find"); !ok || h.Text != "of the mirror" {
		t.Errorf("next hint %+v, %v", h, ok)
	}
	if _, ok := r.Drill.Next("push"); ok {
		t.Error("a hint for a step that has none")
	}
	before := r
	r, err = Fold(r, Event{Run: "r", Seq: r.Seq + 1, At: noon, Kind: InjectAnswered, Body: InjectAnswer{Inject: "chief", By: "j.park", Text: "x"}})
	if err != nil || r.Drill.Open().Name != "support" || before.Drill.Open().Name != "chief" {
		t.Errorf("open %+v, before %+v, %v", r.Drill.Open(), before.Drill.Open(), err)
	}
}
