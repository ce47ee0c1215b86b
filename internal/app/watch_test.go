package app

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/alert"
	"lifeboat/internal/estate"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
	"lifeboat/internal/secret"
)

// record is a run that is driven: its events, folded, at the time of the test.
type record struct {
	t    *testing.T
	now  time.Time
	r    run.Run
	fail error               // of the next note
	mask func(string) string // what takes secrets out of notes; nil: nothing
	// noted is called after a note; nil: nobody is.
	noted func()
}

func newRecord(t *testing.T) *record {
	c := &record{t: t, now: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)}
	c.add(run.RunStarted, "", run.Started{Mode: run.Live, Book: "branch-protection", Level: 1, Asset: "monorepo", By: "m.ito", Host: "rescue-01",
		Steps: []run.Outline{{ID: "off", Effect: "write"}, {ID: "on", Effect: "write"}}})
	return c
}

func (c *record) add(kind run.Kind, step string, body any) {
	c.t.Helper()
	next, err := run.Fold(c.r, run.Event{Run: "20261124T030000Z-7F3A", Seq: c.r.Seq + 1, At: c.now, Kind: kind, Step: step, Body: body})
	if err != nil {
		c.t.Fatal(err)
	}
	c.r = next
}

func (c *record) Snapshot() run.Run { return c.r }

func (c *record) Note(_ context.Context, by, text string) error {
	if c.fail != nil {
		return c.fail
	}
	if c.mask != nil {
		text = c.mask(text)
	}
	c.add(run.NoteAdded, "", run.Note{By: by, Text: text})
	if c.noted != nil {
		c.noted()
	}
	return nil
}

// watched is a world whose alerts append to a file.
func (c *record) watched(command string, on ...string) (w *world, told func() string) {
	dir := c.t.TempDir()
	w = &world{env: environment{now: func() time.Time { return c.now }, user: "m.ito", host: "rescue-01", stderr: &bytes.Buffer{}}, redact: secret.NewRedactor(), files: runner.Files{Dir: c.t.TempDir()},
		estate: &estate.Estate{Dir: dir, Name: "company", Levels: estate.DefaultLevels(), Alerts: []estate.Alert{{Command: []string{"sh", "-c", command}, On: on}}}}
	return w, func() string {
		data, err := os.ReadFile(filepath.Join(dir, "told"))
		if err != nil && !os.IsNotExist(err) {
			c.t.Fatal(err)
		}
		return string(data)
	}
}

// A debt that is overdue is put on record once and told of once, by whichever host sees it
// first; one that has time left, or none, is not.
func TestDebtOverdueOnce(t *testing.T) {
	t.Parallel()
	c := newRecord(t)
	w, told := c.watched("cat >>told", alert.DebtOverdue)
	c.add(run.DebtOpened, "", run.Debt{ID: "protection", Text: "branch protection of main is off", Within: 15 * time.Minute})
	c.add(run.DebtOpened, "", run.Debt{ID: "light", Text: "a light is on"})
	c.now = c.now.Add(15 * time.Minute)
	w.newWatch(nil).look(t.Context(), c)
	if len(c.r.Notes) != 0 || told() != "" {
		t.Fatalf("notes %v, told %q before it was due", c.r.Notes, told())
	}
	c.now = c.now.Add(5 * time.Minute)
	c.fail = errors.New("the disk is full")
	w.newWatch(nil).look(t.Context(), c)
	if told() != "" {
		t.Errorf("told of what is not on record: %s", told())
	}
	c.fail = nil
	for range 2 { // hosts, one after another
		watch := w.newWatch(nil)
		watch.look(t.Context(), c)
		watch.look(t.Context(), c)
	}
	if len(c.r.Notes) != 1 || c.r.Notes[0].Text != incident.OverdueNote(c.r.Debts[0]) || c.r.Notes[0].By != "lifeboat" {
		t.Errorf("notes %+v", c.r.Notes)
	}
	if n := strings.Count(told(), "\n"); n != 1 || !strings.Contains(told(), `"event":"debt-overdue"`) || !strings.Contains(told(), "branch protection of main is off, OVERDUE by 5 min") {
		t.Errorf("told %d times: %s", n, told())
	}
	// Closed and opened again it is another debt, with a deadline of its own.
	c.add(run.DebtClosed, "", run.Debt{ID: "protection"})
	c.add(run.DebtOpened, "", run.Debt{ID: "protection", Text: "branch protection of main is off", Within: time.Minute})
	c.now = c.now.Add(2 * time.Minute)
	w.newWatch(nil).look(t.Context(), c)
	if n := strings.Count(told(), "\n"); n != 2 {
		t.Errorf("told %d times: %s", n, told())
	}
}

// Somebody has chosen the name of a branch for a password: the record shows a mask in its
// place, and the alert goes out once all the same.
func TestDebtOverdueOnceBehindAMask(t *testing.T) {
	t.Parallel()
	c := newRecord(t)
	c.mask = func(s string) string { return strings.ReplaceAll(s, "main", secret.Mask) }
	w, told := c.watched("cat >>told", alert.DebtOverdue)
	c.add(run.DebtOpened, "", run.Debt{ID: "protection:monorepo/main", Text: "it is off", Within: time.Minute})
	c.now = c.now.Add(time.Hour)
	watch := w.newWatch(nil)
	watch.look(t.Context(), c)
	watch.look(t.Context(), c)
	if n := strings.Count(told(), "\n"); n != 1 || len(c.r.Notes) != 2 { // the other one is about the time of the level
		t.Errorf("told %d times, %d notes", n, len(c.r.Notes))
	}
}

// A level that was raised right before the end is told of too, and a dead channel does not
// keep the watch from ending.
func TestLevelRaisedIsTold(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"cat >>told", "cat >>told; exit 3"} {
		c := newRecord(t)
		w, told := c.watched(command, alert.LevelRaised)
		watch := w.newWatch(nil)
		raise := run.Raise{By: "s.kaya", From: 1, To: 3, Reason: "it spreads"}
		c.add(run.LevelRaised, "", raise)
		watch.observe(run.Event{Kind: run.LevelRaised, Body: raise})
		watch.observe(run.Event{Kind: run.NoteAdded, Body: run.Note{}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		watch.run(ctx, c)
		if !strings.Contains(told(), "level raised from 1 to 3 by s.kaya: it spreads; the whole incident response team is called, within 24 h") {
			t.Errorf("%s: told %q", command, told())
		}
		// The process that hosts a run has no terminal: a dead channel stands on its record.
		if failed := len(c.r.Notes) == 1 && strings.Contains(c.r.Notes[0].Text, "NOT DELIVERED: sh: exit 3"); failed != strings.HasSuffix(command, "3") {
			t.Errorf("%s: %v", command, c.r.Notes)
		}
	}
}

// The time of a level is put on record and told of once when it is nearly spent and once when
// it is over, by whichever host sees it first, also where the clock of the machine is put back
// and ahead; a raised level has a time of its own.
func TestLevelTimeOnce(t *testing.T) {
	t.Parallel()
	const (
		nearly1 = "TIME: the 30 min of level 1 are nearly spent"
		over1   = "TIME: the 30 min of level 1 are over"
		nearly2 = "TIME: the 4 h of level 2 are nearly spent"
		over2   = "TIME: the 4 h of level 2 are over"
	)
	up := func(to int) run.Raise { return run.Raise{By: "s.kaya", To: to, Reason: "it spreads"} }
	for _, tc := range []struct {
		name string
		at   []time.Duration // of the looks, from the start; below 0: nothing can be recorded
		up   map[int]run.Raise
		want []string
	}{
		{"in time", []time.Duration{0, 22 * time.Minute}, nil, nil},
		{"nearly", []time.Duration{23 * time.Minute, 29 * time.Minute}, nil, []string{nearly1}},
		{"then over", []time.Duration{23 * time.Minute, 31 * time.Minute, 5 * time.Hour}, nil, []string{nearly1, over1}},
		{"over when somebody looks first", []time.Duration{time.Hour, 2 * time.Hour}, nil, []string{over1}},
		{"the clock goes back", []time.Duration{31 * time.Minute, 25 * time.Minute, -time.Hour, 26 * time.Minute, 32 * time.Minute}, nil, []string{over1}},
		{"the clock goes back before it is over", []time.Duration{25 * time.Minute, 2 * time.Minute, 24 * time.Minute, 40 * time.Minute}, nil, []string{nearly1, over1}},
		{"raised in time", []time.Duration{25 * time.Minute, 40 * time.Minute, 2 * time.Hour}, map[int]run.Raise{1: up(2)}, []string{nearly1}},
		{"raised, and nearly again", []time.Duration{25 * time.Minute, 3 * time.Hour, 5 * time.Hour}, map[int]run.Raise{1: up(2)}, []string{nearly1, nearly2, over2}},
		{"raised twice", []time.Duration{25 * time.Minute, 3 * time.Hour, 5 * time.Hour}, map[int]run.Raise{1: up(2), 2: up(3)}, []string{nearly1, nearly2}},
	} {
		c := newRecord(t)
		w, told := c.watched("cat >>told", alert.LevelTime)
		var out bytes.Buffer
		w.env.stdout = &out
		l, began := w.lines(), c.now
		host := w.newWatch(nil)
		for i, d := range tc.at {
			if b, ok := tc.up[i]; ok {
				b.From = c.r.Level
				c.add(run.LevelRaised, "", b)
			}
			c.now = began.Add(d)
			had := len(c.r.Notes)
			host.look(t.Context(), c)
			w.newWatch(nil).look(t.Context(), c) // the next one
			for _, n := range c.r.Notes[had:] {
				l.event(c.r, run.Event{Run: c.r.ID, Kind: run.NoteAdded, At: n.At, Body: n.Note})
				l.event(c.r, run.Event{Run: c.r.ID, Kind: run.NoteAdded, At: n.At, Body: n.Note})
			}
		}
		var got []string
		for _, n := range c.r.Notes {
			got = append(got, n.Text)
			if n.By != incident.Host {
				t.Errorf("%s: said by %s", tc.name, n.By)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: on record %q, want %q", tc.name, got, tc.want)
		}
		if n := strings.Count(told(), `"event":"level-time"`); n != len(tc.want) {
			t.Errorf("%s: told %d times: %s", tc.name, n, told())
		}
		if n := strings.Count(out.String(), " TIME "); n != len(tc.want) {
			t.Errorf("%s: read out %d times:\n%s", tc.name, n, &out)
		}
	}
	c := newRecord(t)
	w, told := c.watched("cat >>told")
	c.now, c.fail = c.now.Add(time.Hour), errors.New("the disk is full")
	w.newWatch(nil).look(t.Context(), c)
	if told() != "" {
		t.Errorf("told of what is not on record: %s", told())
	}
}

// The watch looks when its clock ticks, and ends with its context.
func TestWatchTicks(t *testing.T) {
	t.Parallel()
	c := newRecord(t)
	w, _ := c.watched("true")
	c.now = c.now.Add(25 * time.Minute)
	tick, seen := make(chan time.Time), make(chan bool, 1)
	c.noted = func() { seen <- true }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.newWatch(tick).run(ctx, c) }()
	<-seen // it looks before its clock ticks
	c.now = c.now.Add(time.Hour)
	tick <- c.now
	<-seen
	cancel()
	<-done
}

// The clock of the level is read out once when it is nearly spent and once when it is,
// also in the middle of a question, which is then asked again.
func TestRemind(t *testing.T) {
	t.Parallel()
	c := newRecord(t)
	w, _ := c.watched("true")
	var out bytes.Buffer
	w.env.stdout = &out
	l := w.lines()
	l.raises = true
	for range 3 {
		c.now = c.now.Add(5 * time.Minute) // 15 of 30
		l.remind(&c.r)
	}
	if out.Len() != 0 {
		t.Fatalf("reminded early: %s", &out)
	}
	l.ask("LIVE 1/2> ")
	c.now = c.now.Add(8 * time.Minute)
	l.remind(&c.r)
	l.remind(&c.r)
	l.answered()
	c.now = c.now.Add(10 * time.Minute)
	l.remind(&c.r)
	c.add(run.LevelRaised, "", run.Raise{By: "m.ito", From: 1, To: 3})
	l.remind(&c.r)
	want := `LIVE 1/2> 
03:23:00 TIME 7 min of the 30 min of level 1 are left.
         In doubt it is the higher level. Level 2: senior developers take over,
         within 4 h. Type raise to raise it.
LIVE 1/2> 03:33:00 TIME The 30 min of level 1 were over 3 min ago.
         In doubt it is the higher level. Level 2: senior developers take over,
         within 4 h. Type raise to raise it.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

// Before every question it is said what is owed.
func TestOwedBeforeEveryGate(t *testing.T) {
	t.Parallel()
	c := newRecord(t)
	w, _ := c.watched("true")
	var out bytes.Buffer
	w.env.stdout = &out
	c.add(run.DebtOpened, "", run.Debt{ID: "protection", Text: "branch protection of main is off", Within: 15 * time.Minute})
	for _, after := range []time.Duration{5 * time.Minute, 15 * time.Minute} {
		c.now = c.now.Add(after)
		ev := run.Event{Run: c.r.ID, Seq: c.r.Seq + 1, At: c.now, Kind: run.GateOpened, Step: "off", Body: run.Gate{Kind: run.Confirm, Plan: &run.Plan{Summary: "puts it off"}}}
		next, err := run.Fold(c.r, ev)
		if err != nil {
			t.Fatal(err)
		}
		w.lines().event(next, ev)
	}
	for _, want := range []string{"03:05:00 OWED branch protection of main is off, 10 min left\n", "03:20:00 OWED branch protection of main is off, OVERDUE by 5 min\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}
