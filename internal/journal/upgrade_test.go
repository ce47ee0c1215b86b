package journal

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/run"
)

// drilled is a scored drill.
func drilled(id run.ID) []run.Event {
	events := history(id)[:1]
	started := events[0].Body.(run.Started)
	started.Mode = run.Drill
	events[0].Body = started
	for _, body := range []any{
		run.DrillSetup{Scenario: "force-push", Title: "T", Trainee: "j.park", Pass: 8, Points: []run.Worth{{Criterion: run.InsideRTO, Points: 10}}},
		run.Ended{Outcome: run.Complete, By: "j.park"},
		run.Note{By: "oracle", Text: "RECOVERED"},
		run.Score{Scenario: "force-push", Trainee: "j.park", Points: 9, Of: 10, Pass: 8, Passed: true, Recovery: time.Minute,
			Criteria: []run.Criterion{{Criterion: run.InsideRTO, Points: 9, Of: 10, Why: []string{"late"}}}, Fixes: []string{"be quicker"}},
	} {
		kind := map[string]run.Kind{"run.DrillSetup": run.DrillBegan, "run.Ended": run.RunEnded, "run.Note": run.NoteAdded, "run.Score": run.DrillScored}[fmt.Sprintf("%T", body)]
		n := int64(len(events) + 1)
		events = append(events, run.Event{Run: id, Seq: n, At: start.Add(time.Duration(n) * time.Second), Kind: kind, Body: body})
	}
	return events
}

func TestScoreIsInTheList(t *testing.T) {
	path := place(t)
	j := opened(t, path)
	appended(t, j, drilled("r-DDDD")...)
	appended(t, j, history("r-AAAA")[:3]...)
	list, err := j.Runs(t.Context(), 0)
	must(t, err)
	if len(list) != 2 || list[0].Score != nil || !list[0].Ended.IsZero() || list[0].Scenario != "" {
		t.Fatalf("%+v", list)
	}
	d := list[1]
	if s := d.Score; s == nil || s.Points != 9 || s.Of != 10 || !s.Passed || s.Recovery != time.Minute || s.Criteria != nil || s.Fixes != nil {
		t.Errorf("score %+v", d.Score)
	}
	if d.Scenario != "force-push" || d.Trainee != "j.park" || !d.Ended.Equal(start.Add(3*time.Second)) || !d.Last.Equal(start.Add(5*time.Second)) {
		t.Errorf("%+v", d)
	}
	if report, err := j.Verify(t.Context()); err != nil || report.Runs != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// madeByOne makes a closed journal as a Lifeboat of schema 1 does, with one open run and
// two that have ended, one of them with a note behind its end.
func madeByOne(t *testing.T) (path string) {
	path = place(t)
	must(t, os.WriteFile(path, nil, 0o600))
	alter(t, path, schemaOne)
	alter(t, path, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	alter(t, path, "PRAGMA user_version = 1")
	h := head{id: newID(), chain: make([]byte, 32)}
	alter(t, path, "INSERT INTO head (one, id, n, chain) VALUES (1, ?, 0, ?)", h.id, h.chain)
	noted := history("r-BBBB")
	noted = append(noted, run.Event{Run: "r-BBBB", Seq: 9, At: start.Add(time.Hour), Kind: run.NoteAdded, Body: run.Note{By: "eve", Text: "late"}})
	for _, events := range [][]run.Event{history("r-AAAA"), noted, history("r-CCCC")[:4]} {
		appendedByOne(t, path, &h, events...)
	}
	must(t, writeWitness(path, h))
	return path
}

// appendedByOne appends with the statements of schema 1.
func appendedByOne(t *testing.T, path string, h *head, events ...run.Event) {
	t.Helper()
	db, err := connect(path, defaults(), false)
	must(t, err)
	defer db.Close()
	do := func(query string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), query, args...)
		must(t, err)
	}
	for _, ev := range events {
		var before []byte
		if ev.Seq > 1 {
			must(t, db.QueryRowContext(t.Context(), "SELECT link FROM events WHERE run = ? AND seq = ?", string(ev.Run), ev.Seq-1).Scan(&before))
		}
		data, err := run.Encode(ev)
		must(t, err)
		h.count++
		link := linkOf(ev.Run, ev.Seq, before, data)
		h.chain = chainOf(h.count, ev.Run, ev.Seq, h.chain, link)
		do("INSERT INTO events (n, run, seq, bytes, link, chain) VALUES (?, ?, ?, ?, ?, ?)", h.count, string(ev.Run), ev.Seq, data, link, h.chain)
		do("UPDATE head SET n = ?, chain = ?", h.count, h.chain)
		do("INSERT OR IGNORE INTO forms (kind) VALUES (?)", string(ev.Kind))
		at, outcome := ev.At.UnixMicro(), ""
		switch b := ev.Body.(type) {
		case run.Started:
			steps := len(b.Steps)
			b.Steps = nil
			started, err := asText(b)
			must(t, err)
			do("INSERT INTO runs (run, short, first, started, steps, begun, last, seq, kind, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
				string(ev.Run), strings.ToUpper(ev.Run.Short()), h.count, started, steps, at, at, ev.Seq, string(ev.Kind))
			continue
		case run.Ended:
			outcome = string(b.Outcome)
		}
		do("UPDATE runs SET last = ?, seq = ?, kind = ?, outcome = CASE WHEN ? = '' THEN outcome ELSE ? END WHERE run = ?",
			at, ev.Seq, string(ev.Kind), outcome, outcome, string(ev.Run))
	}
}

func TestOldJournalSurvives(t *testing.T) {
	path := madeByOne(t)
	look := func(name string, open func(context.Context, string) (*Journal, error), ended bool) {
		t.Helper()
		j, err := open(t.Context(), path)
		must(t, err)
		defer j.Close()
		if report, err := j.Verify(t.Context()); err != nil || report.Runs < 3 {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		list, err := j.Runs(t.Context(), 0)
		must(t, err)
		for _, s := range list {
			want := time.Time{}
			switch {
			case s.Scenario != "":
				want = start.Add(3 * time.Second)
			case ended && !s.Open():
				want = start.Add(8 * time.Second)
			}
			if !s.Ended.Equal(want) || (s.Score != nil) != (s.Scenario != "") {
				t.Errorf("%s: run %s ended %s, want %s", name, s.ID, s.Ended, want)
			}
		}
	}
	look("read as it is", OpenReadOnly, false)
	look("brought up to date", Open, true)
	look("read after that", OpenReadOnly, true)
	j := opened(t, path)
	appended(t, j, drilled("r-DDDD")...)
	must(t, j.Close())
	look("with a drill", Open, true)
}

// A host of the old version may be at work when the journal is brought up to date. What it
// ends is made whole by whoever opens the journal next.
func TestOldHostEndsItsRun(t *testing.T) {
	path := madeByOne(t)
	must(t, opened(t, path).Close())
	var h head
	db, err := connect(path, defaults(), true)
	must(t, err)
	h, err = readHead(t.Context(), db)
	must(t, err)
	must(t, db.Close())
	appendedByOne(t, path, &h, history("r-CCCC")[4:]...)
	must(t, writeWitness(path, h))
	j := opened(t, path)
	list, err := j.Runs(t.Context(), 0)
	must(t, err)
	for _, s := range list {
		if !s.Ended.Equal(start.Add(8 * time.Second)) {
			t.Errorf("run %s ended %s", s.ID, s.Ended)
		}
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
