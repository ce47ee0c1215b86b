package incident

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/run"
)

// after makes events that come after so many seconds.
func after(seconds int, kind run.Kind, step string, body any) run.Event {
	return run.Event{At: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second), Kind: kind, Step: step, Body: body}
}

func TestTimes(t *testing.T) {
	confirm, decision := run.Gate{Kind: run.Confirm}, run.Gate{Kind: run.Decision}
	for _, tc := range []struct {
		name   string
		events []run.Event
		want   map[string]Took
	}{
		{"asked, then done", []run.Event{after(0, run.GateOpened, "a", confirm), after(10, run.StepBegan, "a", run.Began{}), after(40, run.StepVerified, "a", run.Verdict{})},
			map[string]Took{"a": {10 * time.Second, 30 * time.Second}}},
		{"by hand", []run.Event{after(0, run.GateOpened, "a", run.Gate{Kind: run.Checklist}), after(70, run.StepClaimed, "a", run.Verdict{})},
			map[string]Took{"a": {Asked: 70 * time.Second}}},
		{"the newest attempt counts", []run.Event{after(0, run.StepBegan, "a", run.Began{}), after(500, run.StepFailed, "a", run.Failure{}),
			after(500, run.GateOpened, "a", decision), after(900, run.StepReopened, "a", run.Reason{}), after(900, run.StepBegan, "a", run.Began{}), after(905, run.StepVerified, "a", run.Verdict{})},
			map[string]Took{"a": {Work: 5 * time.Second}}},
		{"failed only", []run.Event{after(0, run.StepBegan, "a", run.Began{}), after(5, run.StepFailed, "a", run.Failure{})}, map[string]Took{}},
		{"interrupted", []run.Event{after(0, run.StepBegan, "a", run.Began{}), after(5, run.RunResumed, "", run.Resumed{}), after(9, run.StepVerified, "a", run.Verdict{})}, map[string]Took{}},
		{"taken back", []run.Event{after(0, run.StepBegan, "a", run.Began{}), after(5, run.StepVerified, "a", run.Verdict{}), after(9, run.UndoBegan, "a", run.Began{})}, map[string]Took{}},
		{"does not apply", []run.Event{after(0, run.StepSkipped, "a", run.Reason{Class: run.NotApplicable})}, map[string]Took{"a": {}}},
		{"left out", []run.Event{after(0, run.StepSkipped, "a", run.Reason{Class: run.NoTime})}, map[string]Took{}},
	} {
		if diff := cmp.Diff(tc.want, Times(tc.events)); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

func TestUsualIsTheMedian(t *testing.T) {
	s := func(n int) map[string]Took { return map[string]Took{"a": {Work: time.Duration(n) * time.Second}} }
	if got := NewUsual([]map[string]Took{s(10), s(1000), s(12)}).Steps["a"].Work; got != 12*time.Second {
		t.Errorf("the median of three is %s", got)
	}
	if got := NewUsual([]map[string]Took{s(10), s(20)}).Steps["a"].Work; got != 15*time.Second {
		t.Errorf("the median of two is %s", got)
	}
}

// TestLook walks a forecast through the states of its first step.
func TestLook(t *testing.T) {
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	u := Usual{Steps: map[string]Took{"a": {Work: 60 * time.Second}, "b": {Asked: 20 * time.Second, Work: 10 * time.Second}, "c": {Work: 5 * time.Second}}}
	steps := func(state run.State, began int) *run.Run {
		o := []run.Outline{{ID: "a", Effect: "read"}, {ID: "b", Effect: "destroy"}, {ID: "c", Effect: "read"}, {ID: "d", Effect: "write", Action: "git.backup"}, {ID: "alt", Effect: "read", Only: true}}
		r := &run.Run{}
		for _, one := range o {
			r.Steps = append(r.Steps, run.Step{Outline: one, State: run.Pending})
		}
		r.Steps[0].State, r.Steps[0].Began = state, now.Add(-time.Duration(began)*time.Second)
		return r
	}
	for _, tc := range []struct {
		name         string
		r            *run.Run
		left         time.Duration
		step, person time.Duration
	}{
		{"not begun", steps(run.Pending, 0), 0, 60 * time.Second, 60 * time.Second},
		{"running", steps(run.Running, 45), 0, 15 * time.Second, 15 * time.Second},
		{"longer than usual", steps(run.Running, 500), 0, 0, 0},
		{"its progress knows better", steps(run.Running, 45), 99 * time.Second, 99 * time.Second, 99 * time.Second},
		{"in doubt", steps(run.InDoubt, 45), 0, 0, 0},
	} {
		f := u.Look(tc.r, now, time.Time{}, tc.left)
		if f.Step.Left != tc.step || f.Person.Left != tc.person || f.At != 1 {
			t.Errorf("%s: %+v", tc.name, f)
		}
		if want := tc.step + 35*time.Second; f.Back.Left != want || !f.Back.Known {
			t.Errorf("%s: back in %+v, want %s", tc.name, f.Back, want)
		}
		if f.End.Known || !f.End.Some { // nobody knows how long the backup takes
			t.Errorf("%s: the end is %+v", tc.name, f.End)
		}
	}
	if f := (Usual{}).Look(steps(run.Running, 3), now, time.Time{}, 0); f.Back.Some || f.Back.Known {
		t.Errorf("without a past: %+v", f)
	}
}
