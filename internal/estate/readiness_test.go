package estate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	noon    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	booking = Asset{Name: "booking.db", Kind: SQLite, Tier: "critical", RTO: time.Hour, RPO: 15 * time.Minute}
)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// sound is evidence of an asset with which all is well.
func sound() Evidence {
	return Evidence{
		Checked:  ago(40 * time.Second),
		Points:   []PointProof{{Point: "p2", Cut: ago(4 * time.Minute), Proven: "applied", Verified: true}},
		Restores: []RestoreTime{{At: ago(2 * day), Took: 40 * time.Minute, How: "verification"}},
		Recoveries: []Recovery{{Runbook: Runbook{"database-recovery", 40 * time.Minute}, Reviewed: ago(10 * day), ReviewEvery: 31 * day, Every: 31 * day,
			Drills: []DrillTime{{At: ago(7 * day), Took: 35 * time.Minute, Same: true, How: "drill C2B9"}}}},
		Seen:   ago(time.Minute),
		Backup: Runbook{"daily-backup", 6 * time.Minute}, Verify: Runbook{Name: "verify-backups"}, Full: Runbook{Name: "weekly-backup"},
	}
}

func TestAssess(t *testing.T) {
	point := func(e *Evidence, d time.Duration) { e.Points[0].Cut = ago(d) }
	drill := func(e *Evidence) *DrillTime { return &e.Recoveries[0].Drills[0] }
	for _, tc := range []struct {
		name    string
		but     func(e *Evidence)
		verdict Verdict
		reason  string // a part of the first one
		mend    string
	}{
		{"sound", func(*Evidence) {}, Ready, "", ""},
		{"as old as may be", func(e *Evidence) { point(e, 15*time.Minute) }, Ready, "", ""},
		{"a moment older", func(e *Evidence) { point(e, 15*time.Minute+1) }, Late, "the newest backup is 15 min old, and may be 15 min", "daily-backup"},
		{"twice as old", func(e *Evidence) { point(e, 30*time.Minute) }, Late, "30 min old", "daily-backup"},
		{"more than twice as old", func(e *Evidence) { point(e, 30*time.Minute+1) }, Stale, "30 min old", "daily-backup"},
		{"a newer one that is not verified", func(e *Evidence) {
			point(e, 20*time.Minute)
			e.Points = append(e.Points, PointProof{Point: "p3", Cut: ago(time.Minute), Proven: "stored"})
		}, Late, "the newest backup is not verified; the newest verified one is 20 min old", "verify-backups"},
		{"a newer one that is as old as may be not", func(e *Evidence) {
			point(e, 29*time.Minute)
			e.Points = append(e.Points, PointProof{Point: "p3", Cut: ago(20 * time.Minute)})
		}, Late, "the newest verified backup is 29 min old", "daily-backup"},
		{"a newer one that failed", func(e *Evidence) {
			point(e, time.Hour)
			e.Points = append(e.Points, PointProof{Point: "p3", Cut: ago(time.Minute), Failed: true})
		}, Stale, "the newest backup failed its verification; the newest verified one is 1 h old", "daily-backup"},
		{"a newer one that failed, and one that holds", func(e *Evidence) {
			e.Points = append(e.Points, PointProof{Point: "p3", Cut: ago(time.Minute), Failed: true})
		}, Ready, "", ""},
		{"only unverified ones", func(e *Evidence) { e.Points[0].Verified = false }, Stale, "the newest backup is not verified", "verify-backups"},
		{"only old unverified ones", func(e *Evidence) { e.Points[0].Verified = false; point(e, time.Hour) }, Stale, "no backup of it is verified", "daily-backup"},
		{"no backup", func(e *Evidence) { e.Points = nil }, Late, "there is no backup of it", "daily-backup"},

		{"the bucket is silent", func(e *Evidence) { e.Unread, e.Advice = "no answer within 10 s", []string{"lifeboat vault doctor"} }, Unknown, "the vault cannot be read: no answer within 10 s", ""},
		{"the vault was never read", func(e *Evidence) { e.Checked, e.Points = time.Time{}, nil }, Unknown, "has not been read yet", ""},
		{"read a while ago, and still young enough", func(e *Evidence) { e.Checked = ago(14 * time.Minute) }, Ready, "", ""},
		{"read a while ago, and too old by now", func(e *Evidence) { e.Checked = ago(20 * time.Minute); point(e, 20*time.Minute) }, Unknown, "read 20 min ago, and newer backups may be there", ""},
		{"a backup of tomorrow", func(e *Evidence) { e.Points = append(e.Points, PointProof{Point: "p9", Cut: noon.Add(day)}) }, Unknown,
			"a clock is wrong: it is 24 Nov 2026 12:00 UTC here, and a backup is dated 25 Nov 2026 12:00 UTC", ""},
		{"a little ahead is no lie", func(e *Evidence) { e.Points[0].Cut = noon.Add(Skew) }, Ready, "", ""},
		{"ahead of that is one", func(e *Evidence) { e.Points[0].Cut = noon.Add(Skew + 1) }, Unknown, "a clock is wrong", ""},
		{"a journal of tomorrow", func(e *Evidence) { e.Seen = noon.Add(day) }, Unknown, "the journal of this machine has a record of 25 Nov", ""},
		{"read tomorrow", func(e *Evidence) { e.Checked = noon.Add(day) }, Unknown, "the vault was last read at 25 Nov", ""},
		{"a drill of tomorrow", func(e *Evidence) { drill(e).At = noon.Add(day) }, Unknown, "a drill is dated 25 Nov", ""},
		{"a restore of tomorrow", func(e *Evidence) { e.Restores[0].At = noon.Add(day) }, Unknown, "a restore is dated 25 Nov", ""},
		{"a tool is missing", func(e *Evidence) { e.Missing = []string{"program kubectl", "variable AGE_KEY"} }, Unknown, "not here: program kubectl, variable AGE_KEY", ""},

		{"as slow as may be", func(e *Evidence) { e.Restores[0].Took = time.Hour }, Ready, "", ""},
		{"slower", func(e *Evidence) { e.Restores[0].Took = time.Hour + time.Minute }, TooSlow, "its restore took 1 h 01, and may take 1 h (verification)", "weekly-backup"},
		{"one was faster", func(e *Evidence) {
			e.Restores = append(e.Restores, RestoreTime{At: ago(day), Took: 2 * time.Hour})
		}, Ready, "", ""},
		{"one was faster, too long ago", func(e *Evidence) {
			e.Restores[0].At = ago(32 * day)
			e.Restores = append(e.Restores, RestoreTime{At: ago(day), Took: 2 * time.Hour, How: "run 7F3A"})
		}, TooSlow, "took 2 h, and may take 1 h (run 7F3A)", "weekly-backup"},
		{"a sandbox is no measure of what was restored itself", func(e *Evidence) { e.Restores[0].Took = 3 * time.Hour; drill(e).Took = time.Minute }, TooSlow, "3 h", "weekly-backup"},
		{"it is where nothing else was", func(e *Evidence) { e.Restores = nil }, Ready, "", ""},
		{"a slow drill", func(e *Evidence) { e.Restores = nil; drill(e).Took = 61 * time.Minute }, TooSlow, "(drill C2B9)", "weekly-backup"},

		{"drilled as long ago as may be", func(e *Evidence) { drill(e).At = ago(31 * day) }, Ready, "", ""},
		{"drilled longer ago", func(e *Evidence) { drill(e).At = ago(31*day + 1); e.Recoveries[0].Reviewed = ago(day) }, DrillDue, "last drilled 31 days ago", "database-recovery"},
		{"never drilled", func(e *Evidence) { e.Recoveries[0].Drills = nil }, NeverDrilled, "database-recovery was never drilled", "database-recovery"},
		{"the runbook has changed", func(e *Evidence) { drill(e).Same = false }, Stale, "has changed since its drill of 17 Nov 2026", "database-recovery"},
		{"reviewed as long ago as may be", func(e *Evidence) { e.Recoveries[0].Reviewed = ago(90 * day); drill(e).At = ago(31 * day) }, Ready, "", ""},
		{"not reviewed since", func(e *Evidence) {
			e.Recoveries[0].Every = 90 * day
			e.Recoveries[0].Reviewed = ago(90 * day)
			drill(e).At = ago(31*day + 1)
		}, Stale, "was last read through 31 days ago", "database-recovery"},
		{"no review was promised", func(e *Evidence) {
			e.Recoveries[0].Every, e.Recoveries[0].ReviewEvery = 90*day, 0
			drill(e).At = ago(90 * day)
		}, Ready, "", ""},
		{"the runbook is broken", func(e *Evidence) { e.Recoveries[0].Problem = "git is missing" }, Unknown, "database-recovery cannot be run: git is missing", "database-recovery"},
		{"one of two is good", func(e *Evidence) {
			e.Recoveries = append([]Recovery{{Runbook: Runbook{Name: "data-loss"}, Every: 31 * day}}, e.Recoveries...)
		}, Ready, "", ""},
		{"no runbook", func(e *Evidence) { e.Recoveries = nil }, NeverDrilled, "there is no runbook that brings it back", ""},

		{"a run is open", func(e *Evidence) { e.Open = []OpenRun{{"7F3A", "database-recovery"}} }, InRun, "", ""},
		{"a run is open, and a backup is late", func(e *Evidence) { e.Open = []OpenRun{{"7F3A", "x"}}; point(e, 20*time.Minute) }, InRun, "20 min old", "daily-backup"},
		{"the worst comes first", func(e *Evidence) { drill(e).Same = false; point(e, time.Hour) }, Stale, "the newest backup is 1 h old", "daily-backup"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := sound()
			tc.but(&e)
			r := Assess(booking, e, noon)
			g, _ := r.Worst()
			if r.Verdict != tc.verdict || !strings.Contains(g.Reason, tc.reason) || g.Mend.Name != tc.mend {
				t.Errorf("got %s, %+v, want %s, %q, mended by %q", r.Verdict, g, tc.verdict, tc.reason, tc.mend)
			}
			if r.Verdict == Ready && len(r.Gaps) > 0 || tc.reason != "" && g.Reason == "" {
				t.Errorf("%s with %+v", r.Verdict, r.Gaps)
			}
			if g.Reason != "" && g.Mend.Name == "" && len(g.Advice) == 0 && !g.Waits && tc.name != "the bucket is silent" {
				t.Errorf("%q has no next step", g.Reason)
			}
		})
	}
}

func TestBackupWords(t *testing.T) {
	for _, tc := range []struct {
		but  func(e *Evidence)
		want string
	}{
		{func(*Evidence) {}, "4 min"},
		{func(e *Evidence) { e.Points = nil }, "none"},
		{func(e *Evidence) { e.Points[0].Verified = false }, "none"},
		{func(e *Evidence) { e.Points, e.Unread = nil, "no answer" }, "?"},
		{func(e *Evidence) { e.Unread = "no answer" }, "4 min"},
	} {
		e := sound()
		tc.but(&e)
		if r := Assess(booking, e, noon); r.Backup() != tc.want {
			t.Errorf("%q, want %q", r.Backup(), tc.want)
		}
	}
}

func TestAssessShows(t *testing.T) {
	r := Assess(booking, sound(), noon)
	r.Asset = Asset{}
	want := Readiness{
		Verdict: Ready, Latest: sound().Points[0], Newest: sound().Points[0], Age: 4 * time.Minute, Restored: sound().Restores[0],
		Drilled: ago(7 * day), Holds: ago(-24 * day), Recovery: Runbook{"database-recovery", 40 * time.Minute},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

// drawEvidence makes up evidence of the past: what is dated ahead has tests of its own.
func drawEvidence(t *rapid.T) Evidence {
	when := func(name string) time.Time {
		return ago(time.Duration(rapid.Int64Range(0, int64(200*day)).Draw(t, name)))
	}
	span := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(1, int64(3*time.Hour)).Draw(t, "took"))
	})
	var e Evidence
	if rapid.Bool().Draw(t, "read") {
		e.Checked = rapid.SampledFrom([]time.Time{noon, ago(Fresh), ago(time.Hour)}).Draw(t, "checked")
	}
	if rapid.IntRange(0, 5).Draw(t, "silent") == 0 {
		e.Unread = "no answer"
	}
	for range rapid.IntRange(0, 4).Draw(t, "points") {
		e.Points = append(e.Points, drawPoint(t))
	}
	for range rapid.IntRange(0, 3).Draw(t, "restores") {
		e.Restores = append(e.Restores, RestoreTime{At: when("at"), Took: span.Draw(t, "took")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "recoveries") {
		c := Recovery{Runbook: Runbook{Name: "r"}, Reviewed: when("reviewed"), ReviewEvery: 31 * day, Every: 31 * day}
		for range rapid.IntRange(0, 3).Draw(t, "drills") {
			c.Drills = append(c.Drills, DrillTime{At: when("at"), Took: span.Draw(t, "took"), Same: rapid.Bool().Draw(t, "same")})
		}
		e.Recoveries = append(e.Recoveries, c)
	}
	if rapid.IntRange(0, 9).Draw(t, "open") == 0 {
		e.Open = []OpenRun{{"7F3A", "x"}}
	}
	return e
}

func drawPoint(t *rapid.T) PointProof {
	return PointProof{
		Point: rapid.StringMatching(`p[0-9]{6}`).Draw(t, "point"), Cut: ago(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "cut"))),
		Verified: rapid.Bool().Draw(t, "verified"), Failed: rapid.IntRange(0, 4).Draw(t, "failed") == 0,
	}
}

// TestMoreEvidenceIsNeverWorse: a further backup, whatever became of it, a passed drill, a
// restore in time and a look into the vault make no verdict worse.
func TestMoreEvidenceIsNeverWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t)
		before := Assess(booking, e, noon)
		add := rapid.SampledFrom([]string{"point", "drill", "restore", "read", "answer"}).Draw(t, "add")
		switch add {
		case "point":
			e.Points = append(slices.Clone(e.Points), drawPoint(t))
		case "drill":
			if len(e.Recoveries) == 0 {
				return
			}
			i := rapid.IntRange(0, len(e.Recoveries)-1).Draw(t, "recovery")
			e.Recoveries = slices.Clone(e.Recoveries)
			e.Recoveries[i].Drills = append(slices.Clone(e.Recoveries[i].Drills), DrillTime{
				At: ago(time.Duration(rapid.Int64Range(0, int64(100*day)).Draw(t, "at"))), Took: time.Minute, Same: rapid.Bool().Draw(t, "same"),
			})
		case "restore":
			e.Restores = append(slices.Clone(e.Restores), RestoreTime{At: ago(time.Duration(rapid.Int64Range(0, int64(100*day)).Draw(t, "at"))), Took: time.Minute})
		case "read":
			e.Checked = noon
		case "answer":
			e.Unread = ""
		}
		if after := Assess(booking, e, noon); after.Grade > before.Grade {
			t.Errorf("with one more %s %s became %s: %+v", add, before.Verdict, after.Verdict, after.Gaps)
		}
	})
}

func TestLaterIsNeverBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t)
		first := time.Duration(rapid.Int64Range(0, int64(100*day)).Draw(t, "first"))
		then := first + time.Duration(rapid.Int64Range(0, int64(100*day)).Draw(t, "then"))
		a, b := Assess(booking, e, noon.Add(first)), Assess(booking, e, noon.Add(then))
		if b.Grade < a.Grade {
			t.Errorf("%s became %s after %s:\n%+v\n%+v", a.Verdict, b.Verdict, then-first, a.Gaps, b.Gaps)
		}
	})
}

// TestEveryGapHasAReason: and none stands there when all is well.
func TestEveryGapHasAReason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t)
		r := Assess(booking, e, noon.Add(time.Duration(rapid.Int64Range(-int64(300*day), int64(300*day)).Draw(t, "now"))))
		for _, g := range r.Gaps {
			if g.Reason == "" || g.Verdict == Ready || g.Grade == gradeReady {
				t.Errorf("%+v", g)
			}
		}
		if r.Ready() != (len(r.Gaps) == 0 && len(e.Open) == 0) {
			t.Errorf("%s with %+v", r.Verdict, r.Gaps)
		}
	})
}

// TestClockSetBack: evidence that was good is not believed by a clock that it contradicts.
func TestClockSetBack(t *testing.T) {
	r := Assess(booking, sound(), noon.Add(-30*day))
	if g, _ := r.Worst(); r.Verdict != Unknown || !strings.Contains(g.Reason, "a clock is wrong") || len(g.Advice) == 0 {
		t.Errorf("%s, %+v", r.Verdict, g)
	}
}

func TestSum(t *testing.T) {
	of := func(verdicts ...Verdict) (out []Readiness) {
		for _, v := range verdicts {
			r := Readiness{Verdict: v, Latest: PointProof{Point: "p1"}}
			if v != Ready {
				r.Gaps = []Gap{{Verdict: v, Waits: v == Unknown}}
			}
			out = append(out, r)
		}
		return out
	}
	for _, tc := range []struct {
		list       []Readiness
		head, text string
	}{
		{nil, "NOTHING IS PROTECTED", "No asset is listed in lifeboat.yaml."},
		{of(Ready), "READY", "The one asset is fully covered."},
		{of(Ready, Ready), "READY", "All of 2 assets are fully covered."},
		{of(Ready, Ready, Ready, InRun, Stale, DrillDue), "READY, WITH 3 GAPS", "3 of 6 assets are fully covered. Every gap has a name and a next step."},
		{of(Ready, Late), "READY, WITH 1 GAP", "1 of 2 assets is fully covered. Every gap has a name and a next step."},
		{of(Late, Late), "NOT READY", "None of 2 assets is fully covered. Every gap has a name and a next step."},
		{of(Late), "NOT READY", "The one asset is not fully covered. Its gap has a name and a next step."},
		{of(Unknown, Unknown), "NOT KNOWN YET", "The vault has to be read."},
	} {
		if b := Sum(tc.list); b.Head != tc.head || b.Text != tc.text {
			t.Errorf("%d assets: %q, %q, want %q, %q", len(tc.list), b.Head, b.Text, tc.head, tc.text)
		}
	}
	empty := of(Stale, Stale)
	for i := range empty {
		empty[i].Latest = PointProof{}
	}
	if b := Sum(empty); b.Head != "NO BACKUP YET" || b.Text != "2 assets, and nothing to bring them back from. The first backup is the next step." {
		t.Errorf("%+v", b)
	}
}

func TestLong(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "<1 s", 3400 * time.Millisecond: "3 s", 40 * time.Second: "40 s", 16 * time.Minute: "16 min", time.Hour: "1 h", 2*time.Hour + 39*time.Minute: "2 h 39",
		24 * time.Hour: "24 h", 3*time.Hour + 5*time.Minute: "3 h 05", 95*time.Hour + 59*time.Minute: "95 h 59", 4 * day: "4 days", 41 * day: "41 days", -time.Hour: "<1 s",
	} {
		if got := Long(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestDrillsDue(t *testing.T) {
	due := DrillsDue([]Rehearsal{
		{Runbook: "soon", Every: 31 * day, Passed: ago(24 * day)},
		{Runbook: "never", Every: 31 * day},
		{Runbook: "late", Every: 90 * day, Passed: ago(96 * day)},
		{Runbook: "changed", Every: 31 * day, Changed: ago(day)},
		{Runbook: "later", Every: 90 * day, Passed: ago(day)},
		{Runbook: "now", Every: 31 * day, Passed: ago(31 * day)},
	}, noon)
	var got []string
	for _, d := range due {
		got = append(got, d.Runbook)
		if d.Late() != slices.Contains([]string{"late", "changed", "never"}, d.Runbook) {
			t.Errorf("%s: late %v", d.Runbook, d.Late())
		}
	}
	if diff := cmp.Diff([]string{"late", "changed", "never", "now", "soon", "later"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDrillPeriods(t *testing.T) {
	const head = "assets:\n  db: {kind: sqlite, path: x.db}\n"
	e, bad := Load("lifeboat.yaml", []byte(head+"drills:\n  critical: 14d\n  runbooks:\n    data-loss: 180d\n"))
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	for _, tc := range []struct {
		book, tier string
		want       time.Duration
	}{
		{"database-recovery", "critical", 14 * day}, {"database-recovery", "standard", 90 * day}, {"data-loss", "critical", 180 * day},
	} {
		if got := e.DrillEvery(tc.book, tc.tier); got != tc.want {
			t.Errorf("%s, %s: %s, want %s", tc.book, tc.tier, got, tc.want)
		}
	}
	if p := e.Drills.Runbooks[0].Pos; p.Line != 6 || p.Col != 5 {
		t.Errorf("the period stands at %s", p)
	}
	for text, want := range map[string]string{
		"drills: monthly\n":                     "lifeboat.yaml:3:9: error: drills must be a map",
		"drills:\n  critcal: 3d\n":              `lifeboat.yaml:4:3: error: drills has no key "critcal"`,
		"drills:\n  critical: soon\n":           "lifeboat.yaml:4:13: error: drills: critical: \"soon\" is not a duration",
		"drills:\n  runbooks: {data-loss: 0}\n": "lifeboat.yaml:4:25: error: data-loss: \"0\" is not a duration",
	} {
		if _, bad := Load("lifeboat.yaml", []byte(head+text)); len(bad) != 1 || !strings.HasPrefix(bad[0].Error(), want) {
			t.Errorf("%q: %v, want %q", text, bad, want)
		}
	}
}
