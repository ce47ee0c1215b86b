package console

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// fakePast is what earlier runs say.
type fakePast struct{ times incident.Usual }

func (p *fakePast) Past(context.Context, string, run.Mode) (incident.Usual, error) {
	return p.times, nil
}

// practised gives the run of the story a past, with the times of the designs.
func practised(b *fakeBackend, _ *Options) {
	b.times = incident.Usual{Runs: 3, Steps: map[string]incident.Took{
		"freeze-pushes": {Asked: 2*minute + 46*time.Second}, "find": {Work: minute + 42*time.Second},
		"keep": {Asked: 4 * time.Second, Work: 2*minute + 5*time.Second}, "push": {Asked: minute, Work: 6 * time.Second},
		"verify": {Work: 90 * time.Second}, "tell": {Asked: minute},
	}}
}

// TestForecast holds what the second row and NEXT say, with and without a past.
func TestForecast(t *testing.T) {
	half := func(b *fakeBackend, o *Options) {
		practised(b, o)
		delete(b.times.Steps, "push")
	}
	drills := func(b *fakeBackend, o *Options) {
		practised(b, o)
		b.times.Drills = true
	}
	slow := func(b *fakeBackend, o *Options) {
		practised(b, o)
		b.times.Steps["verify"] = incident.Took{Work: time.Hour}
	}
	for _, tc := range []struct {
		name  string
		story func(*story) *story
		past  func(*fakeBackend, *Options)
		says  []string
		never string
	}{
		{"known", (*story).keeping, practised, []string{"on track: monorepo back about 03:09, 42 min to spare", "usual 2 min 05 s", "about 45 s left",
			"You are needed in about 50 s. Level 2: tell S. Kaya first, c.", "about 4 min to go", "~1:30", "runs itself, stops the clock"}, "earliest"},
		{"nothing is known", (*story).keeping, nil, []string{"2 of 6 steps done, no past run to tell how long it takes", "You are needed then"}, "to spare"},
		{"half is known", (*story).keeping, half, []string{"back at 03:08 at the earliest, more is not known", "at least 3 min to go"}, "on track"},
		{"only drills", (*story).keeping, drills, []string{"as in drills: monorepo back about 03:09", "in drills 2 min 05 s"}, "on track"},
		{"it will be missed", (*story).keeping, slow, []string{"will miss by 15 min"}, "to spare"},
		{"missed for certain", (*story).keeping, func(b *fakeBackend, o *Options) { slow(b, o); half2(b) }, []string{"will miss by at least"}, "to spare"},
		{"in doubt", (*story).doubt, practised, []string{"paused: monorepo back about 03:11"}, "on track"},
		{"the clock has stopped", (*story).told, practised, []string{"stopped of 60:00", "monorepo back at 03:08, 44 min to spare"}, "on track"},
		{"at the end", (*story).complete, practised, []string{"stopped of 60:00", "monorepo back at 03:08, 44 min to spare"}, "on track"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var change []func(*fakeBackend, *Options)
			if tc.past != nil {
				change = append(change, tc.past)
			}
			f := plainFrame(drive(t, 120, 36, tc.story(newStory(t)), change...).frame())
			for _, want := range tc.says {
				if !strings.Contains(f, want) {
					t.Errorf("the frame does not say %q:\n%s", want, f)
				}
			}
			if strings.Contains(f, tc.never) {
				t.Errorf("the frame says %q:\n%s", tc.never, f)
			}
		})
	}
}

func half2(b *fakeBackend) { delete(b.times.Steps, "push") }
