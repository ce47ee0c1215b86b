package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// fakeHistory is the past of a fakeBackend.
type fakeHistory struct {
	past    []report.Run // newest first
	pastErr error
	audit   Audit
	records map[run.ID]Record
	exports []run.ID
	there   bool // the report lies there already
	reviews []report.Review
	pages   []int64
}

func (f *fakeHistory) History(_ context.Context, behind int64, limit int) ([]report.Run, int64, error) {
	f.pages = append(f.pages, behind)
	if f.pastErr != nil {
		return nil, 0, f.pastErr
	}
	from := 0
	if behind > 0 {
		from = len(f.past) + 1 - int(behind) // the place of a run is how many are as old or older
	}
	to := min(from+limit, len(f.past))
	if to == len(f.past) {
		return f.past[from:to], 0, nil
	}
	return f.past[from:to], int64(len(f.past) - to + 1), nil
}

func (f *fakeHistory) Metrics(context.Context) (Metrics, error) {
	now := time.Date(2026, 11, 24, 9, 40, 2, 0, time.UTC)
	in := report.Input{Since: now.AddDate(-1, 0, 0), Until: now, Now: now, Runs: f.past, Critical: time.Hour, Reviews: f.reviews}
	m := Metrics{Year: report.Of(in)}
	in.Since = now.Add(-30 * 24 * time.Hour)
	m.Month = report.Of(in)
	return m, nil
}

func (f *fakeHistory) Audit(context.Context) Audit { return f.audit }

func (f *fakeHistory) Record(_ context.Context, id run.ID) (Record, error) {
	if r, ok := f.records[id]; ok {
		return r, nil
	}
	return Record{}, errors.New("the events of run " + id.Short() + " are gone")
}

func (f *fakeHistory) Export(_ context.Context, id run.ID) (string, bool, error) {
	f.exports = append(f.exports, id)
	return "/state/runs/" + string(id) + "/report.md", !f.there, nil
}

// theYear is the history of the designs.
func theYear(t testing.TB) *fakeHistory {
	f := &fakeHistory{audit: Audit{At: time.Date(2026, 11, 24, 9, 40, 2, 0, time.UTC), Events: 1284, Head: "4e7bc0ffee00a913"}}
	add := func(at, mode, book, by string, took, rto time.Duration, points int, change ...func(*report.Run)) {
		begin, err := time.Parse("2 Jan 15:04 2006", at+" 2026")
		if err != nil {
			t.Fatal(err)
		}
		r := report.Run{ID: run.ID(fmt.Sprintf("%s-%04X", begin.Format("20060102T150405Z"), len(f.past)*4097%65536)), Book: book, Title: book, Kind: "recovery",
			Mode: run.Mode(mode), By: by, At: begin, Began: begin, Ended: begin.Add(took), RTO: rto, Outcome: run.Complete}
		if r.Mode == run.Drill {
			r.Scenario = book
			r.Score = &run.Score{Scenario: book, Trainee: by, Points: points, Of: 100, Pass: 80, Passed: points >= 80, Recovered: true, Recovery: took, RTO: rto}
		}
		for _, c := range change {
			c(&r)
		}
		f.past = append(f.past, r)
	}
	m := time.Minute
	add("24 Nov 03:00", "live", "accidental-force-push", "m.ito", 23*m+50*time.Second, 60*m, 0, func(r *report.Run) { r.ID = runID })
	add("17 Nov 14:00", "drill", "database-restore", "j.park", 40*m+24*time.Second, 60*m, 91)
	add("12 Nov 10:30", "drill", "corrupted-repository", "m.ito", 24*m+16*time.Second, 60*m, 93)
	add("6 Nov 11:20", "live", "merge-conflict", "j.park", 11*m+5*time.Second, 30*m, 0)
	add("4 Nov 15:00", "drill", "ci-failure", "k.lind", 14*m+20*time.Second, 24*time.Hour, 90)
	add("21 Oct 10:00", "drill", "accidental-force-push", "s.kaya", 21*m+40*time.Second, 60*m, 88)
	add("19 Oct 14:00", "drill", "point-in-time-recovery", "r.moss", 44*m+2*time.Second, 60*m, 84)
	add("14 Oct 09:30", "drill", "security-breach", "s.kaya", 112*m, 4*time.Hour, 87)
	add("2 Oct 08:12", "live", "configuration-change", "k.lind", 9*m+31*time.Second, 30*m, 0, func(r *report.Run) { r.Outcome, r.Left = run.CompleteWithOverrides, 1 })
	add("22 Sep 14:00", "drill", "database-restore", "r.moss", 49*m+10*time.Second, 60*m, 85)
	add("2 Sep 10:00", "drill", "branch-protection-failure", "m.ito", 18*m+25*time.Second, 60*m, 89)
	add("25 Aug 14:00", "drill", "corrupted-repository", "k.lind", 52*m+30*time.Second, 60*m, 82)
	add("20 Aug 09:00", "drill", "total-loss", "s.kaya", 140*m, 24*time.Hour, 82)
	add("8 Aug 16:05", "live", "accidental-force-push", "m.ito", 26*m+45*time.Second, 60*m, 0)
	add("21 Jul 14:00", "drill", "database-restore", "r.moss", 57*m+40*time.Second, 60*m, 80)
	add("16 Jun 14:00", "drill", "database-restore", "k.lind", 71*m+20*time.Second, 60*m, 61)
	begin := time.Date(2026, 11, 20, 3, 15, 0, 0, time.UTC)
	for i := range 40 {
		parts := []report.Part{}
		for k, asset := range []string{"auth_db", "booking.db", "env files", "workflows"} {
			parts = append(parts, report.Part{Asset: asset, OK: k != i-3 || k == 3 && i > 30, At: begin.Add(time.Duration(i)*time.Hour + time.Minute)})
		}
		at := begin.Add(time.Duration(i) * time.Hour)
		f.past = append(f.past, report.Run{ID: run.ID(fmt.Sprintf("%s-B%03X", at.Format("20060102T150405Z"), i)), Book: "daily-backup", Title: "Back up", Kind: "backup",
			Mode: run.Live, By: "cron", At: at, Began: at, Ended: at.Add(m), Outcome: run.Complete, Backups: parts})
	}
	slices.SortStableFunc(f.past, func(a, b report.Run) int { return b.At.Compare(a.At) })
	f.reviews = []report.Review{{Name: "docs/contacts.md", What: "document", Last: time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC), Every: 90 * 24 * time.Hour}}
	s := newStory(t).doubt()
	s.add(18*time.Second, run.GateAnswered, "push", run.Answer{Gate: s.state.Gate.Seq, Verb: run.Settle, By: "s.kaya", How: "console", Digest: "d-push"})
	s.add(0, run.DoubtSettled, "push", run.Answer{Gate: s.state.Seq, Verb: run.Settle, By: "s.kaya", Digest: "d-push", Reason: "origin/main is 9bd0e27"})
	s.add(0, run.StepVerified, "push", run.Verdict{Evidence: "origin/main is 9bd0e27"})
	s.begin("verify", nil).add(minute, run.StepFinished, "verify", run.Finished{Evidence: "same tree, 14 of 14 commits", Log: &run.Log{Name: "verify.1.log", Size: 4711, SHA256: "ab"}})
	s.add(0, run.StepVerified, "verify", run.Verdict{Evidence: "same tree, 14 of 14 commits"})
	s.gate(time.Second, "tell", run.Gate{Kind: run.Input, Prompt: "Who confirmed that the team knows?"})
	s.answer(time.Second, run.Answer{Verb: run.Skip, Class: run.NoTime, Reason: "they sleep"})
	s.add(0, run.StepSkipped, "tell", run.Reason{By: "m.ito", Class: run.NoTime, Text: "they sleep"})
	s.add(minute, run.RunEnded, "", run.Ended{Outcome: run.CompleteWithOverrides, By: "m.ito"})
	f.records = map[run.ID]Record{runID: {Events: s.events, Proof: "b81e5c0ffee00000000044c0", Dir: "/state/runs/" + string(runID), Files: []File{
		{"find.1.log", 9000}, {"keep.1.log", 61_000}, {"report.md", 8100}, {"verify.1.log", 4711}}}}
	return f
}

// openPast opens the history of the year.
func openPast(t testing.TB, w, h int, change ...func(*fakeBackend, *Options)) *driver {
	year := func(b *fakeBackend, _ *Options) {
		b.fakeHistory = *theYear(t)
		b.now = time.Date(2026, 11, 24, 9, 40, 2, 0, time.UTC)
	}
	return drive(t, w, h, nil, append([]func(*fakeBackend, *Options){year}, change...)...).press("h")
}

func brokenChain(b *fakeBackend, _ *Options) {
	b.audit.Err = errors.New("verify journal: the journal is damaged or was changed: event 12 of run 7F3A")
	b.audit.Faults = []Fault{{Run: runID, Seq: 12, Why: "its bytes do not match its hash"}, {Run: runID, Seq: 12, Why: "it is not what was appended at this place"},
		{Run: "20261117T140000Z-1001", Why: "its summary in the list of runs differs from its events"}, {Why: "the end is at append 1284, the head says 1290: something was cut off or put in"}}
}

func noPast(b *fakeBackend, _ *Options) {
	b.fakeHistory = fakeHistory{audit: Audit{Empty: true, At: b.now}}
}

// hostilePast has names that want to break out of their cells.
func hostilePast(b *fakeBackend, _ *Options) {
	for i := range b.past {
		b.past[i].Book = "\x1b]0;owned\x07evil\x1b[2J" + strings.Repeat("名", 30)
		b.past[i].By = "\u202eeve\n\tx"
		b.past[i].Owed = []string{"\x1b[31mnothing"}
	}
	b.audit.Err, b.audit.Faults = errors.New("x"), []Fault{{Run: "\x1b[2J", Seq: 3, Why: "\x1b]52;c;aGk=\x07 gone"}}
}

func TestHistoryKeys(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys []string
		want func(*driver) bool
	}{
		{"down chooses the next run", []string{"down"}, func(d *driver) bool { return past(d).at == 1 }},
		{"j and k as well", []string{"j", "j", "k"}, func(d *driver) bool { return past(d).at == 1 }},
		{"G is the last, g the first", []string{"G"}, func(d *driver) bool { return past(d).at == 15 }},
		{"never behind the ends", []string{"G", "j", "j", "g", "k", "pgup"}, func(d *driver) bool { return past(d).at == 0 }},
		{"tab shows live runs", []string{"tab"}, func(d *driver) bool { return len(past(d).shown) == 4 }},
		{"then drills", []string{"tab", "tab"}, func(d *driver) bool { return len(past(d).shown) == 12 }},
		{"then routine", []string{"tab", "tab", "tab"}, func(d *driver) bool { return len(past(d).shown) == 40 }},
		{"then all again", []string{"tab", "tab", "tab", "tab"}, func(d *driver) bool { return len(past(d).shown) == 16 }},
		{"a search, by words in any order", []string{"/", "p", "u", "s", "h", "space", "o", "c", "t"}, func(d *driver) bool { return len(past(d).shown) == 1 }},
		{"letters are text in a search", []string{"/", "b", "q", "h"}, func(d *driver) bool { return past(d) != nil && len(past(d).shown) == 0 }},
		{"esc clears it", []string{"/", "z", "esc"}, func(d *driver) bool { return len(past(d).shown) == 16 }},
		{"enter keeps it", []string{"/", "9", "1", "enter", "esc"}, func(d *driver) bool { return len(past(d).shown) == 16 }},
		{"esc goes to the bridge", []string{"esc"}, func(d *driver) bool { return len(d.m.stack) == 1 }},
		{"b as well", []string{"b"}, func(d *driver) bool { return len(d.m.stack) == 1 }},
		{"v goes to the vault", []string{"v"}, func(d *driver) bool { _, ok := d.m.top().(*vaultScreen); return ok }},
		{"e writes the report", []string{"e"}, func(d *driver) bool { return len(d.b.exports) == 1 && strings.Contains(d.m.notice, "/report.md") }},
		{"p plays back", []string{"p"}, func(d *driver) bool { _, ok := d.m.top().(*playback); return ok }},
		{"p is off where there is no record", []string{"down", "p"}, func(d *driver) bool { return past(d) != nil && strings.Contains(d.m.notice, "p is off") }},
		{"enter shows the timeline", []string{"enter"}, func(d *driver) bool { _, ok := d.m.top().(*timelineScreen); return ok }},
		{"and esc comes back to the run", []string{"enter", "esc"}, func(d *driver) bool { return past(d) != nil && past(d).id == runID }},
		{"a run that cannot be read is a card", []string{"down", "enter"}, func(d *driver) bool { _, ok := d.m.top().(*card); return ok }},
		{"the log of a step, and back", []string{"enter", "G", "k", "k", "k", "k", "k", "l"}, func(d *driver) bool {
			_, ok := d.m.top().(*pastLog)
			return ok && d.m.log.name == "verify.1.log" && d.m.log.file != nil
		}},
		{"and back", []string{"enter", "G", "k", "k", "k", "k", "k", "l", "esc"}, func(d *driver) bool {
			_, ok := d.m.top().(*timelineScreen)
			return ok && d.m.log.file == nil && d.b.closed == 1 && d.m.snap == nil
		}},
		{"r reads and verifies again", []string{"r"}, func(d *driver) bool { return slices.Equal(d.b.pages, []int64{0, 0}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openPast(t, 120, 36, func(b *fakeBackend, _ *Options) { b.logs["verify.1.log"] = []byte("same tree\n") })
			d.press(tt.keys...)
			if !tt.want(d) {
				t.Errorf("after %q: top %T, notice %q\n%s", tt.keys, d.m.top(), d.m.notice, ansi.Strip(d.frame()))
			}
		})
	}
}

// past is the history screen when it is on top.
func past(d *driver) *historyScreen {
	h, _ := d.m.top().(*historyScreen)
	return h
}

// TestPlaybackIsReadOnly: whatever is pressed, nothing reaches the run of the past, and the
// run screen of a moment is that of a run that is open at that moment.
func TestPlaybackIsReadOnly(t *testing.T) {
	d := openPast(t, 120, 36).press("p")
	p := d.m.top().(*playback)
	n := len(p.rec.Events)
	frames := map[int]string{}
	for i := 1; i <= n; i++ {
		p.seek(i)
		d.m.dirty = true
		frames[i] = ansi.Strip(d.frame())
		if !strings.Contains(frames[i], "PLAYBACK") || !strings.Contains(frames[i], fmt.Sprintf("event %d of %d", i, n)) {
			t.Fatalf("event %d:\n%s", i, frames[i])
		}
		for _, key := range []string{"1", "2", "3", "y", "s", "x", "r", "n", "u", "R", "a", "enter", "tab", "o", "c", "M", "m", "A", "@", "f", "9"} {
			d.send(keyPress(key))
			d.wake()
			if key == "c" { // whom to call is a key of every screen, and of no run here
				if _, ok := d.m.top().(*callScreen); !ok {
					t.Fatalf("c put %T on top", d.m.top())
				}
				d.press("esc")
			}
			if d.m.top() != screen(p) {
				t.Fatalf("%q at event %d put %T on top", key, i, d.m.top())
			}
		}
	}
	for i := n; i >= 1; i-- { // the same backwards
		p.seek(i)
		d.m.dirty = true
		if got := ansi.Strip(d.frame()); got != frames[i] {
			t.Fatalf("event %d is drawn in another way backwards:\n%s\n%s", i, frames[i], got)
		}
	}
	if len(d.b.answers)+len(d.b.started)+len(d.b.attached)+len(d.b.notes)+len(d.b.raised)+d.b.stopped != 0 {
		t.Errorf("something was sent: %+v", d.b)
	}
	if d.m.snap != nil {
		t.Error("a run of the past stays in the world")
	}
	d.press("end", "right")
	if p.at != n || !strings.Contains(d.m.notice, "right is off") {
		t.Errorf("at %d of %d, %q", p.at, n, d.m.notice)
	}
	d.press("home", "down", "right", "left")
	if p.at != 2 {
		t.Errorf("at %d", p.at)
	}
}

// TestLongPlayback: many events, forwards and back, are the fold of their prefix.
func TestLongPlayback(t *testing.T) {
	s := newStory(t).keeping()
	for i := range 400 {
		s.add(time.Second, run.NoteAdded, "", run.Note{By: "m.ito", Text: fmt.Sprint(i)})
	}
	rec := &pastRecord{id: runID, Record: Record{Events: s.events}}
	p := newPlayback(rec, 0).(*playback)
	for _, n := range []int{1, 400, 399, 64, 65, 63, 128, 127, 1, 410, 200} {
		p.seek(n)
		want := snapshot{}
		want.add(s.events[:p.at])
		if p.at != min(n, len(s.events)) || p.snap.Seq != want.Seq || len(p.snap.Notes) != len(want.Notes) || p.snap.gateAt != want.gateAt {
			t.Errorf("at %d: %d events, %d notes, want %d", p.at, p.snap.Seq, len(p.snap.Notes), len(want.Notes))
		}
	}
}

// TestEveryEventHasWords: a kind that nobody thought of would be shown by its bare name.
func TestEveryEventHasWords(t *testing.T) {
	s := &snapshot{}
	for _, ev := range []run.Event{
		{Kind: run.DrillBegan, Body: run.DrillSetup{Scenario: "force-push"}}, {Kind: run.InjectArrived, Body: run.Arrival{Inject: "call"}},
		{Kind: run.InjectAnswered, Body: run.InjectAnswer{Inject: "call", Right: true}}, {Kind: run.HintTaken, Body: run.HintTaking{}},
		{Kind: run.DrillScored, Body: run.Score{Passed: true}}, {Kind: run.TakeoverAsked, Body: run.Request{}}, {Kind: run.TakeoverRefused, Body: run.Request{}},
		{Kind: run.DriverChanged, Body: run.Handover{}}, {Kind: run.LevelRaised, Body: run.Raise{}}, {Kind: run.DebtClosed, Body: run.Debt{}},
		{Kind: run.StepReopened, Body: run.Reason{}}, {Kind: run.StepElse, Body: run.Reason{}}, {Kind: run.StepUndone, Body: run.Verdict{}}, {Kind: run.ProbeMade, Body: run.Probe{}},
	} {
		if said := eventWords(s, ev); said.text == strings.ReplaceAll(string(ev.Kind), "-", " ") || said.glyph == "" || len(said.text) < 4 {
			t.Errorf("%s: %+v", ev.Kind, said)
		}
		eventDetail(&pastRecord{}, ev, 40)
	}
}

// manyRuns is a history that nobody can read whole.
func manyRuns(n int) func(*fakeBackend, *Options) {
	return func(b *fakeBackend, _ *Options) {
		like := slices.DeleteFunc(b.past, func(r report.Run) bool { return r.Routine() })
		b.past = nil
		for i := range n {
			r := like[i%len(like)]
			r.ID = run.ID(fmt.Sprintf("%s-%05d", r.At.Format("20060102T150405Z"), i))
			r.At = b.now.Add(-time.Duration(i) * time.Hour)
			b.past = append(b.past, r)
		}
	}
}

// TestManyRuns: the first page is on the screen before the others are read, the cursor stays
// on its run while the list grows, and no page is left out or read twice.
func TestManyRuns(t *testing.T) {
	d := openPast(t, 120, 36, manyRuns(10_000))
	if len(d.m.past.runs) != 10_000 || !d.m.past.whole {
		t.Fatalf("%d runs", len(d.m.past.runs))
	}
	seen := map[run.ID]bool{}
	for _, r := range d.m.past.runs {
		seen[r.ID] = true
	}
	if len(seen) != 10_000 {
		t.Errorf("%d different runs", len(seen))
	}
	if got := len(d.b.pages); got != 11 { // 128, then nine of 1024 and the rest
		t.Errorf("%d pages", got)
	}
	d.press("G")
	if past(d).at != 9_999 && past(d).at != len(past(d).shown)-1 {
		t.Errorf("at %d", past(d).at)
	}
	id := past(d).id
	d.press("r")
	if past(d).id != id {
		t.Errorf("the cursor went from %s to %s", id, past(d).id)
	}
}

// BenchmarkHistory10000 is one key on a list of 10,000 runs, and one letter of a search.
func BenchmarkHistory10000(b *testing.B) {
	d := openPast(b, 120, 36, manyRuns(10_000))
	b.Run("move", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			d.send(keyPress([]string{"down", "pgdown", "up", "G", "g"}[i%5]))
			d.frame()
		}
	})
	b.Run("search", func(b *testing.B) {
		d.press("/")
		for i := 0; b.Loop(); i++ {
			d.send(keyPress([]string{"p", "backspace"}[i%2]))
			d.frame()
		}
	})
}
