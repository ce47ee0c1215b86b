package incident

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/run"
)

// past is a run with everything that somebody who was away may be told.
func past(t *testing.T, more ...run.Event) []run.Event {
	t.Helper()
	at := func(m int) time.Time { return began.Add(time.Duration(m) * time.Minute) }
	plan := &run.Plan{Summary: "pushes", Effect: "destroy"}
	events := append([]run.Event{
		{Kind: run.RunStarted, At: at(0), Body: run.Started{Mode: run.Live, Book: "accidental-force-push", Title: "Undo", Level: 1, By: "m.ito", Session: "1",
			Steps: []run.Outline{{ID: "a", Title: "Freeze", Hand: true}, {ID: "b", Title: "Push", Effect: "destroy"}, {ID: "c", Title: "Tell"}},
			Host:  "rescue-01", Incident: at(-10), RTO: time.Hour}},
		{Kind: run.GateOpened, Step: "a", At: at(1), Body: run.Gate{Kind: run.Checklist}},
		{Kind: run.GateAnswered, Step: "a", At: at(4), Body: run.Answer{Gate: 2, Verb: run.Give, By: "m.ito"}},
		{Kind: run.StepClaimed, Step: "a", At: at(4), Body: run.Verdict{By: "m.ito"}},
		{Kind: run.GateOpened, Step: "b", At: at(5), Body: run.Gate{Kind: run.Token, Digest: "d", Token: "main@1", Plan: plan}},
	}, more...)
	for i := range events {
		events[i].Run, events[i].Seq = "20261124T030000Z-7F3A", int64(i+1)
	}
	if _, err := run.FoldAll(events); err != nil {
		t.Fatal(err)
	}
	return events
}

func TestSince(t *testing.T) {
	at := func(m int) time.Time { return began.Add(time.Duration(m) * time.Minute) }
	kaya, ito := run.Driver{By: "s.kaya", Session: "2"}, run.Driver{By: "m.ito", Session: "1", Host: "rescue-01"}
	more := []run.Event{
		{Kind: run.NoteAdded, At: at(6), Body: run.Note{By: "s.kaya", Text: "did it go through?\x1b[2J"}},
		{Kind: run.TakeoverAsked, At: at(7), Body: run.Request{Who: kaya}},
		{Kind: run.DriverChanged, At: at(8), Body: run.Handover{From: ito, To: kaya, How: run.NoAnswer}},
		{Kind: run.GateAnswered, Step: "b", At: at(9), Body: run.Answer{Gate: 5, Verb: run.Approve, By: "s.kaya", Digest: "d"}},
		{Kind: run.StepBegan, Step: "b", Attempt: 1, At: at(9), Body: run.Began{Digest: "d", Gate: 9, Plan: &run.Plan{Effect: "destroy"}}},
		{Kind: run.StepFinished, Step: "b", Attempt: 1, At: at(10), Body: run.Finished{Evidence: "main is 9bd0e27"}},
		{Kind: run.StepVerified, Step: "b", At: at(10), Body: run.Verdict{}},
		{Kind: run.LevelRaised, At: at(11), Body: run.Raise{By: "s.kaya", From: 1, To: 2}},
	}
	a, ok := Since(past(t, more...), Mark{Seq: 5, At: at(5)}, at(12))
	want := Absence{Step: 2, Of: 3, Now: 3, Last: at(5), Says: "step 2 asked", Back: at(12), Entries: 8, Happened: []Happening{
		{at(6), "s.kaya: did it go through?"},
		{at(7), "s.kaya asks to drive"},
		{at(8), "s.kaya drives: m.ito did not answer"},
		{at(9), "s.kaya approved step 2"},
		{at(10), "step 2 done: main is 9bd0e27"},
		{at(11), "s.kaya raised the level to 2"},
	}}
	if diff := cmp.Diff(want, a); diff != "" || !ok {
		t.Errorf("ok %v\n%s", ok, diff)
	}
	if a.Gap() != 7*time.Minute {
		t.Errorf("gap %s", a.Gap())
	}

	// A process that ended in the middle: the last sign is its, and the gap that of the run.
	more = append(more[3:5:5], run.Event{Kind: run.RunResumed, At: at(14), Body: run.Resumed{By: "m.ito", Session: "3"}})
	more[0].Body = run.Answer{Gate: 5, Verb: run.Approve, By: "m.ito", Digest: "d"}
	more[1].Body = run.Began{Digest: "d", Gate: 6, Plan: &run.Plan{Effect: "destroy"}}
	a, ok = Since(past(t, more...), Mark{Seq: 5, At: at(5)}, at(15))
	if !ok || !a.Restarted || a.Last != at(9) || a.Back != at(14) || a.Says != "step 2 running" || a.Now != 2 {
		t.Errorf("ok %v, %+v", ok, a)
	}

	for name, m := range map[string]Mark{"nothing is known": {}, "nothing has happened": {Seq: 5, At: at(5)}, "of another run": {Seq: 99, At: at(5)}} {
		if a, ok := Since(past(t), m, at(9)); ok {
			t.Errorf("%s: told %+v", name, a)
		}
	}
}

func TestStatus(t *testing.T) {
	at := func(m int) time.Time { return began.Add(time.Duration(m) * time.Minute) }
	fold := func(more ...run.Event) *run.Run {
		r, err := run.FoldAll(past(t, more...))
		if err != nil {
			t.Fatal(err)
		}
		return &r
	}
	approve := []run.Event{
		{Kind: run.GateAnswered, Step: "b", At: at(9), Body: run.Answer{Gate: 5, Verb: run.Approve, By: "m.ito", Digest: "d"}},
		{Kind: run.StepBegan, Step: "b", Attempt: 1, At: at(9), Body: run.Began{Digest: "d", Gate: 6, Plan: &run.Plan{Effect: "destroy"}}},
	}
	and := func(list []run.Event, more ...run.Event) []run.Event {
		return append(list[:len(list):len(list)], more...)
	}
	finished := and(approve, run.Event{Kind: run.StepFinished, Step: "b", Attempt: 1, At: at(10), Body: run.Finished{Back: "push it back"}},
		run.Event{Kind: run.StepVerified, Step: "b", At: at(10), Body: run.Verdict{}})
	owed := run.Event{Kind: run.DebtOpened, At: at(9), Body: run.Debt{ID: "p", Text: "protection is off", Within: 5 * time.Minute}}
	head := "LIVE accidental-force-push 7F3A: "
	for _, tt := range []struct {
		name string
		r    *run.Run
		now  int
		want string
	}{
		{"at a gate", fold(), 9, "step 2 of 3 waits for m.ito (danger gate), RTO 41:00 left of 60:00, on track. Nothing changed so far."},
		{"running", fold(approve...), 11, "step 2 of 3 runs for 2:00, RTO 39:00 left of 60:00, on track. Nothing changed so far."},
		{"little time", fold(), 45, "step 2 of 3 waits for m.ito (danger gate), RTO 5:00 left of 60:00, little time. Nothing changed so far."},
		{"missed", fold(), 60, "step 2 of 3 waits for m.ito (danger gate), RTO 60:00 missed by 10:00 so far. Nothing changed so far."},
		{"a way back and a debt", fold(and(finished, owed)...), 10, "step 3 of 3 is pending, RTO 40:00 left of 60:00, on track. Way back open. OWED: protection is off, 4 min left."},
		{"overdue", fold(and(finished, owed)...), 20, "step 3 of 3 is pending, RTO 30:00 left of 60:00, on track. Way back open. OWED: protection is off, OVERDUE by 6 min."},
		{"in doubt", fold(and(approve, run.Event{Kind: run.StepDoubted, Step: "b", At: at(10), Body: run.Failure{Error: "stopped"}},
			run.Event{Kind: run.GateOpened, Step: "b", At: at(10), Body: run.Gate{Kind: run.Doubt}})...), 11,
			"step 2 of 3 is in doubt, waits for m.ito, RTO 39:00 left of 60:00, on track. No way back."},
		{"somebody else drives", fold(run.Event{Kind: run.TakeoverAsked, At: at(6), Body: run.Request{Who: run.Driver{By: "s.kaya", Session: "2"}}},
			run.Event{Kind: run.DriverChanged, At: at(6), Body: run.Handover{From: run.Driver{By: "m.ito", Session: "1", Host: "rescue-01"}, To: run.Driver{By: "s.kaya", Session: "2"}, How: run.Given}}), 9,
			"step 2 of 3 waits for s.kaya (danger gate), RTO 41:00 left of 60:00, on track. Nothing changed so far."},
		{"ended", fold(run.Event{Kind: run.RunEnded, At: at(20), Body: run.Ended{Outcome: run.Aborted}}), 99,
			"ended aborted after 20:00, RTO 60:00 not reached. Nothing changed so far."},
	} {
		if got := Status(tt.r, at(tt.now)); got != head+tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, head+tt.want)
		}
	}
	long := fold()
	long.Started.Book, long.Driver.By = "a\nb", "x\x1b[31m"
	if got := Status(long, at(9)); strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("it is not one clean line: %q", got)
	}
}
