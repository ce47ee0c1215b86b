package run

import (
	"testing"
	"time"
)

func TestStops(t *testing.T) {
	hand, read, destroy := Outline{Hand: true}, Outline{Action: "git.compare", Effect: "read"}, Outline{Action: "git.push", Effect: "destroy"}
	backup, tell := Outline{Action: "git.backup", Effect: "write"}, Outline{Action: "notify.send", Effect: "write"}
	for _, tc := range []struct {
		name  string
		steps []Outline
		want  int
	}{
		{"none", nil, -1},
		{"one", []Outline{read}, 0},
		{"all by hand", []Outline{hand, hand}, 0},
		{"telling people is aftercare", []Outline{tell, read, destroy, read, tell, hand}, 3},
		{"so is the new backup, and all behind it", []Outline{backup, destroy, hand, backup, read, tell}, 2},
		{"a backup before the change is not", []Outline{backup, destroy}, 1},
		{"the change is the last", []Outline{read, destroy, hand}, 1},
	} {
		r := Run{}
		for _, o := range tc.steps {
			r.Steps = append(r.Steps, Step{Outline: o})
		}
		if got := r.Stops(); got != tc.want {
			t.Errorf("%s: stops at %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestBack(t *testing.T) {
	at := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name   string
		change func(r *Run)
		back   bool
	}{
		{"all done", func(*Run) {}, true},
		{"the aftercare is not done", func(r *Run) { r.Steps[2].State = Pending }, true},
		{"the last change is not checked", func(r *Run) { r.Steps[1].State = Checking }, false},
		{"accepted as it is", func(r *Run) { r.Steps[1].State = Overridden }, true},
		{"left out", func(r *Run) { r.Steps[1].State = Skipped }, false},
		{"did not apply", func(r *Run) { r.Steps[0].State, r.Steps[0].Reason.Class = Skipped, NotApplicable }, true},
		{"taken back", func(r *Run) { r.Steps[1].State = Undone }, false},
	} {
		r := Run{Steps: []Step{
			{Outline: Outline{Effect: "read"}, State: Verified, Ended: at.Add(-time.Minute)},
			{Outline: Outline{Effect: "destroy"}, State: Verified, Ended: at},
			{Outline: Outline{Hand: true}, State: Claimed, Ended: at.Add(time.Hour)},
		}}
		tc.change(&r)
		if got := r.Back(); tc.back && !got.Equal(at) || !tc.back && !got.IsZero() {
			t.Errorf("%s: back at %s", tc.name, got)
		}
	}
}
