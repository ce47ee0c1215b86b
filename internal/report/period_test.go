package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/run"
)

func utc(month time.Month, day, hour, min int) time.Time {
	return time.Date(2026, month, day, hour, min, 0, 0, time.UTC)
}

func recovery(id run.ID, mode run.Mode, at time.Time, took time.Duration, change ...func(*Run)) Run {
	r := Run{ID: id, Book: "database-restore", Kind: "recovery", Mode: mode, By: "ada", At: at, Began: at, Ended: at.Add(took),
		RTO: time.Hour, Outcome: run.Complete}
	for _, c := range change {
		c(&r)
	}
	return r
}

func night(id run.ID, at time.Time, parts ...Part) Run {
	return Run{ID: id, Book: "daily-backup", Kind: "backup", Mode: run.Live, At: at, Began: at, Ended: at.Add(time.Minute), RTO: time.Hour,
		Outcome: run.Complete, Backups: parts}
}

func quarter(runs ...Run) Input {
	return Input{Since: utc(9, 1, 0, 0), Until: utc(11, 1, 0, 0), Now: utc(11, 24, 9, 40), Runs: runs, Critical: time.Hour, Security: []string{"security-breach"}}
}

// TestRecoveryTimes: figures worked out by hand. A month is one of UTC, and its borders are
// the borders of the day.
func TestRecoveryTimes(t *testing.T) {
	sep, oct := utc(9, 1, 0, 0), utc(10, 1, 0, 0)
	slow := Span(44 * time.Minute)
	for _, tt := range []struct {
		name   string
		runs   []Run
		rto    Rate
		months []Month
	}{
		{"no run at all", nil, Rate{}, []Month{{Month: sep}, {Month: oct}}},
		{"the slowest counts, live or drill", []Run{
			recovery("a", run.Live, utc(10, 3, 8, 0), 10*time.Minute), recovery("b", run.Drill, utc(10, 19, 14, 0), 44*time.Minute), recovery("c", run.Live, utc(10, 20, 14, 0), 43*time.Minute),
		}, Rate{3, 3}, []Month{{Month: sep}, {Month: oct, Slowest: slow, Target: Span(time.Hour), Run: "b", Book: "database-restore", Met: true}}},
		{"to the minute of its target, and a second more", []Run{
			recovery("a", run.Live, utc(9, 3, 8, 0), time.Hour), recovery("b", run.Live, utc(10, 3, 8, 0), time.Hour+time.Second),
		}, Rate{1, 2}, []Month{
			{Month: sep, Slowest: Span(time.Hour), Target: Span(time.Hour), Run: "a", Book: "database-restore", Met: true},
			{Month: oct, Slowest: Span(time.Hour + time.Second), Target: Span(time.Hour), Run: "b", Book: "database-restore"},
		}},
		{"the last moment of a month and the first of the next, the one outside on both sides", []Run{
			recovery("out", run.Live, utc(8, 31, 23, 59), time.Minute), recovery("a", run.Live, utc(9, 30, 23, 59), 2*time.Minute),
			recovery("b", run.Live, utc(10, 1, 0, 0), 3*time.Minute), recovery("in", run.Live, utc(10, 31, 23, 59), time.Minute), recovery("late", run.Live, utc(11, 1, 0, 0), time.Minute),
		}, Rate{3, 3}, []Month{
			{Month: sep, Slowest: Span(2 * time.Minute), Target: Span(time.Hour), Run: "a", Book: "database-restore", Met: true},
			{Month: oct, Slowest: Span(3 * time.Minute), Target: Span(time.Hour), Run: "b", Book: "database-restore", Met: true},
		}},
		{"the zone of a clock moves no border", []Run{
			recovery("a", run.Live, time.Date(2026, 10, 25, 0, 30, 0, 0, time.FixedZone("CEST", 7200)), 5*time.Minute), // 24 Oct 22:30 UTC
			recovery("b", run.Live, time.Date(2026, 10, 1, 1, 30, 0, 0, time.FixedZone("CEST", 7200)), 6*time.Minute),  // 30 Sep 23:30 UTC
		}, Rate{2, 2}, []Month{
			{Month: sep, Slowest: Span(6 * time.Minute), Target: Span(time.Hour), Run: "b", Book: "database-restore", Met: true},
			{Month: oct, Slowest: Span(5 * time.Minute), Target: Span(time.Hour), Run: "a", Book: "database-restore", Met: true},
		}},
		{"only failures", []Run{
			recovery("a", run.Live, utc(10, 3, 8, 0), time.Minute, func(r *Run) { r.Outcome = run.NotComplete }),
			recovery("b", run.Live, utc(10, 4, 8, 0), time.Minute, func(r *Run) { r.Outcome = run.Aborted }),
			recovery("c", run.Drill, utc(10, 5, 8, 0), time.Minute, func(r *Run) { r.Oracle = "NOT RECOVERED" }),
		}, Rate{0, 3}, []Month{{Month: sep}, {Month: oct, Failed: 3}}},
		{"what is not critical has a target all the same; what is open, dry or routine has none", []Run{
			recovery("a", run.Live, utc(10, 3, 8, 0), 2*time.Hour, func(r *Run) { r.RTO = 24 * time.Hour }),
			recovery("b", run.Live, utc(10, 3, 8, 0), 0, func(r *Run) { r.Outcome, r.Ended = "", time.Time{} }),
			recovery("c", run.Dry, utc(10, 3, 8, 0), time.Minute), night("d", utc(10, 3, 1, 0)),
			recovery("e", run.Live, utc(10, 3, 8, 0), time.Minute, func(r *Run) { r.RTO = 0 }),
		}, Rate{1, 1}, []Month{{Month: sep}, {Month: oct}}},
		{"the time of a scored drill is that of its score", []Run{
			recovery("a", run.Drill, utc(10, 3, 8, 0), 2*time.Hour, func(r *Run) {
				r.Score = &run.Score{Recovered: true, Passed: true, Recovery: 44 * time.Minute, RTO: time.Hour}
			}),
		}, Rate{1, 1}, []Month{{Month: sep}, {Month: oct, Slowest: slow, Target: Span(time.Hour), Run: "a", Book: "database-restore", Met: true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Of(quarter(tt.runs...))
			if p.RTO != tt.rto {
				t.Errorf("RTO %+v, want %+v", p.RTO, tt.rto)
			}
			if diff := cmp.Diff(tt.months, p.Months); diff != "" {
				t.Error(diff)
			}
			if len(p.Missed) != tt.rto.Of-tt.rto.Good {
				t.Errorf("%d missed are listed", len(p.Missed))
			}
		})
	}
}

func TestBackups(t *testing.T) {
	ok := func(asset string, at time.Time) Part { return Part{asset, true, at} }
	bad := func(asset string, at time.Time) Part { return Part{asset, false, at} }
	one, two, three := utc(10, 1, 1, 0), utc(10, 2, 1, 0), utc(10, 3, 1, 0)
	for _, tt := range []struct {
		name string
		runs []Run
		want Parts
	}{
		{"none", nil, Parts{}},
		{"all good", []Run{night("a", one, ok("auth", one), ok("env", one))}, Parts{Rate: Rate{2, 2}}},
		{"failed and mended", []Run{night("a", one, bad("auth", one), ok("env", one)), night("b", two, ok("auth", two), ok("env", two))},
			Parts{Rate{3, 4}, []Failing{{"auth", 1, one, two}}}},
		{"failed again after it was mended", []Run{night("a", one, bad("auth", one)), night("b", two, ok("auth", two)), night("c", three, bad("auth", three))},
			Parts{Rate{1, 3}, []Failing{{"auth", 2, three, time.Time{}}}}},
		{"what is not mended stands first", []Run{night("a", one, bad("auth", one), bad("env", one)), night("b", two, bad("auth", two), bad("env", two)), night("c", three, ok("auth", three))},
			Parts{Rate{1, 5}, []Failing{{"env", 2, two, time.Time{}}, {"auth", 2, two, three}}}},
		{"mended after the period", []Run{night("a", one, bad("auth", one)), night("b", utc(11, 2, 1, 0), ok("auth", utc(11, 2, 1, 0)), bad("env", utc(11, 2, 1, 0)))},
			Parts{Rate{0, 1}, []Failing{{"auth", 1, one, utc(11, 2, 1, 0)}}}},
		{"a failure before it came to any asset is mended by any", []Run{night("a", one, bad("", one)), night("b", two, ok("auth", two))},
			Parts{Rate{1, 2}, []Failing{{"", 1, one, two}}}},
		{"a drill is no backup", []Run{recovery("a", run.Drill, one, time.Minute, func(r *Run) { r.Backups = []Part{bad("auth", one)} })}, Parts{}},
		{"in any order", []Run{night("b", two, ok("auth", two)), night("a", one, bad("auth", one))}, Parts{Rate{1, 2}, []Failing{{"auth", 1, one, two}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Of(quarter(tt.runs...)).Backups); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPercent(t *testing.T) {
	for want, r := range map[string]Rate{
		"–": {}, "100 %": {7, 7}, "0 %": {0, 3}, "90 %": {18, 20}, "96 %": {28, 29}, "99.8 %": {20198, 20220}, "99.9 %": {99999, 100000}, "50 %": {500, 1000},
	} {
		if got := r.Percent(); got != want {
			t.Errorf("%+v is %q, want %q", r, got, want)
		}
	}
}

// all is a period with something of everything, some of it hostile.
func all() Input {
	in := quarter(
		recovery("20261003T080000Z-00A1", run.Live, utc(10, 3, 8, 0), 2*time.Hour, func(r *Run) {
			r.Book, r.By, r.Owed, r.Left, r.Loss, r.Told, r.Untold = "security-breach", "eve <script>alert(1)</script>", []string{"main | unprotected"}, 2, 90*time.Second, 3, 1
		}),
		recovery("20261004T080000Z-00A2", run.Drill, utc(10, 4, 8, 0), 40*time.Minute, func(r *Run) {
			r.Score = &run.Score{Recovered: true, Points: 61, Of: 100, Pass: 80, Recovery: 40 * time.Minute, RTO: time.Hour, LossKnown: true, Loss: time.Minute}
		}),
		recovery("20261005T080000Z-00A3", run.Drill, utc(10, 5, 8, 0), 20*time.Minute, func(r *Run) { r.Book = "[x](http://evil.example)\x1b[31m" }),
		night("20261006T010000Z-00A4", utc(10, 6, 1, 0), Part{"auth", false, utc(10, 6, 1, 0)}, Part{"env", true, utc(10, 6, 1, 0)}),
	)
	in.Reviews = []Review{
		{Name: "fresh", What: "runbook", Last: utc(11, 20, 0, 0), Every: 90 * 24 * time.Hour},
		{Name: "soon", What: "runbook", Last: utc(11, 1, 0, 0), Every: 31 * 24 * time.Hour},
		{Name: "docs/contacts.md", What: "document", Last: utc(8, 1, 0, 0), Every: 90 * 24 * time.Hour}, // due 30 Oct
		{Name: "never", What: "runbook", Every: 31 * 24 * time.Hour},
		{Name: "free", What: "runbook"},
	}
	return in
}

// TestScripted: what a script has played says nothing about people, and its failure is told.
func TestScripted(t *testing.T) {
	in := all()
	for i := range in.Runs {
		in.Runs[i].Script = in.Runs[i].Mode == run.Drill
	}
	p := Of(in)
	if p.Counts.Drills != 0 || p.Counts.Scripted != 2 || p.Drills != (Rate{}) || len(p.Failed) != len(Of(all()).Failed) {
		t.Errorf("%+v", p)
	}
	if text := p.summary().says; !strings.Contains(text, "2 drills besides that a script played") {
		t.Error(text)
	}
}

func TestPeriod(t *testing.T) {
	p := Of(all())
	if want := (Counts{Live: 1, Drills: 2, Routine: 1}); p.Counts != want {
		t.Errorf("%+v", p.Counts)
	}
	if p.Security != 1 || p.Drills != (Rate{1, 2}) || p.RTO != (Rate{2, 3}) || p.Told != 3 || p.Untold != 1 || len(p.Losses) != 2 || len(p.Owed) != 1 || len(p.Left) != 1 {
		t.Errorf("%+v", p)
	}
	var got []string
	for _, r := range p.Reviews {
		got = append(got, r.Name)
	}
	if diff := cmp.Diff([]string{"never", "docs/contacts.md", "soon"}, got); diff != "" {
		t.Error(diff)
	}
	if p.Reviews[1].Late != 26 { // from 30 Oct 00:00 to 24 Nov 09:40 is 25 days and some hours
		t.Errorf("late by %d days", p.Reviews[1].Late)
	}
}

func TestPeriodRenders(t *testing.T) {
	p := Of(all())
	text := p.Markdown()
	for _, want := range []string{
		"# Backup and recovery, 1 Sep 2026 to 31 Oct 2026\n", "| recovery time met | 66 %, 2 of 3 times |", "| Oct 2026 | security-breach | 2h | 1h | MISSED |",
		"| auth | 1 | 2026-10-06 01:00 | NOT YET |", "61 of 100 points, 80 pass", "| 2026-10-03 08:00 | 00A1 |", `main \| unprotected`, "| data loss | 1 time live, 1 in drills |",
		"| docs/contacts.md | document | 2026-08-01 | 90 days | due 2026-10-30, 26 days LATE |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	page := p.HTML()
	for _, bad := range []string{"<script", "http://evil", "\x1b", "](", "href", "src="} {
		if strings.Contains(page, bad) && bad != "http://evil" && bad != "](" {
			t.Errorf("%q is in the page", bad)
		}
		if bad != "](" && bad != "href" && bad != "src=" && strings.Contains(text, bad) {
			t.Errorf("%q is in the text", bad)
		}
	}
	if !strings.Contains(page, "eve &lt;script&gt;") || !strings.Contains(page, `class="bar bad"`) {
		t.Error(page)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if m := back["months"].([]any)[1].(map[string]any); m["slowest_s"] != 7200.0 || m["met"] != false || m["month"] != "2026-10-01T00:00:00Z" {
		t.Errorf("%v", m)
	}
	if again := Of(all()); again.Markdown() != text || again.HTML() != page {
		t.Error("the same runs give two reports")
	}
}
