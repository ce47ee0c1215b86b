package app

import (
	"fmt"
	"testing"
	"time"

	"lifeboat/internal/drill"
	"lifeboat/internal/run"
)

// TestPast: what is usual comes from people, live runs before drills, and neither from
// scripts, which need no time, nor from dry runs, which do nothing.
func TestPast(t *testing.T) {
	b, _ := pastBackend(t, 0)
	n := 0
	add := func(mode run.Mode, trainee string, outcome run.Outcome, work time.Duration) {
		t.Helper()
		n++
		id := run.ID(fmt.Sprintf("20261123T030000Z-%04X", n))
		at := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
		seq := int64(0)
		put := func(kind run.Kind, step string, after time.Duration, body any) {
			t.Helper()
			seq++
			if err := b.world.journal.Append(t.Context(), run.Event{Run: id, Seq: seq, At: at.Add(after), Kind: kind, Step: step, Attempt: len(step), Body: body}); err != nil {
				t.Fatal(err)
			}
		}
		put(run.RunStarted, "", 0, run.Started{Mode: mode, Book: "restore", By: "ada", Steps: []run.Outline{{ID: "s", Title: "S", Action: "sh"}}})
		if mode == run.Drill {
			put(run.DrillBegan, "", 0, run.DrillSetup{Scenario: "restore", Trainee: trainee})
		}
		put(run.StepBegan, "s", 0, run.Began{})
		put(run.StepVerified, "s", work, run.Verdict{})
		put(run.RunEnded, "", work, run.Ended{Outcome: outcome, By: "ada"})
	}
	usual := func(mode run.Mode) (time.Duration, int, bool) {
		t.Helper()
		u, err := b.Past(t.Context(), "restore", mode)
		if err != nil {
			t.Fatal(err)
		}
		return u.Steps["s"].Work, u.Runs, u.Drills
	}
	check := func(mode run.Mode, work time.Duration, runs int, drills bool) {
		t.Helper()
		if w, r, d := usual(mode); w != work || r != runs || d != drills {
			t.Errorf("%s: %s of %d runs, drills %v; want %s of %d, %v", mode, w, r, d, work, runs, drills)
		}
	}
	add(run.Dry, "", run.Complete, time.Second)
	add(run.Drill, drill.By, run.Complete, time.Second)
	check(run.Live, 0, 0, false)
	add(run.Drill, "ada", run.Complete, 8*time.Minute)
	check(run.Live, 8*time.Minute, 1, true)
	check(run.Drill, 8*time.Minute, 1, false)
	add(run.Live, "", run.NotComplete, time.Hour)
	add(run.Live, "", run.Complete, 5*time.Minute)
	check(run.Live, 5*time.Minute, 1, false)
	check(run.Dry, 0, 0, false)
	list, err := b.world.earlier(t.Context(), "restore", run.Live, run.Drill)
	if err != nil || len(list) != 2 || list[0].Started.Mode != run.Live {
		t.Errorf("%v, %v", list, err)
	}
}
