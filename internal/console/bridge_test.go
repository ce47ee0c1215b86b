package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/estate"
	"lifeboat/internal/run"
)

// fakeBridge is the board of a fakeBackend: that of the story, unless a test says another.
type fakeBridge struct {
	board   *Board
	noBoard error
	looks   int // times the vault was read
}

func (b *fakeBackend) Board(_ context.Context, ask bool) (Board, error) {
	if ask {
		b.looks++
	}
	if b.noBoard != nil {
		return Board{}, b.noBoard
	}
	if b.board == nil {
		s := storyBoard(b.now)
		return s, nil
	}
	return *b.board, nil
}

const storyDay = 24 * time.Hour

// protected is one asset of the story with what is on record of it.
type protected struct {
	name, kind, tier string
	age              time.Duration // of the newest verified backup; 0: there is none
	took             time.Duration // of its restore; 0: none was measured
	drilled          time.Duration // ago; 0: never
	book             string
	change           func(e *estate.Evidence)
}

var storyAssets = []protected{
	{"monorepo", estate.Git, "critical", 16 * time.Minute, 24 * time.Minute, 12 * storyDay, "accidental-force-push",
		func(e *estate.Evidence) {
			e.Open = []estate.OpenRun{{ID: "7F3A", Runbook: "accidental-force-push"}}
		}},
	{"booking.db", estate.SQLite, "critical", 4 * time.Minute, 40 * time.Minute, 7 * storyDay, "database-restore", nil},
	{"auth_db", estate.Stream, "standard", 26 * time.Minute, 112 * time.Minute, 41 * storyDay, "auth-recovery", nil},
	{"env files", estate.Files, "standard", 159 * time.Minute, 9 * time.Minute, 41 * storyDay, "secrets-loss", nil},
	{"infrastructure", estate.Git, "non-critical", 185 * time.Minute, 140 * time.Minute, 96 * storyDay, "total-loss", nil},
	{"workflows", estate.Files, "non-critical", 185 * time.Minute, 14 * time.Minute, 20 * storyDay, "secrets-loss", nil},
}

// boardOf assesses assets as the real thing does, so that no test can show a board that
// cannot be.
func boardOf(now time.Time, list []protected, change ...func(e *estate.Evidence)) Board {
	b := Board{Checked: now.Add(-40 * time.Second), About: map[string]time.Duration{"accidental-force-push": 11 * time.Minute}}
	for _, p := range list {
		tier := estate.DefaultTiers()[p.tier]
		a := estate.Asset{Name: p.name, Kind: p.kind, Tier: p.tier, RTO: tier.RTO, RPO: tier.RPO}
		if p.kind == estate.Stream {
			a.Preset = "mongodump"
		}
		every := 90 * storyDay
		if p.tier == "critical" {
			every = 31 * storyDay
		}
		e := estate.Evidence{
			Checked: b.Checked, Seen: now,
			Recoveries: []estate.Recovery{{Runbook: estate.Runbook{Name: p.book, About: 24 * time.Minute}, Every: every}},
			Backup:     estate.Runbook{Name: "verify-backups", About: 6 * time.Minute}, Full: estate.Runbook{Name: "verify-backups"},
		}
		if p.age > 0 {
			e.Points = []estate.PointProof{{Point: "p1", Cut: now.Add(-p.age), Proven: "applied", Verified: true}}
		}
		if p.took > 0 {
			e.Restores = []estate.RestoreTime{{At: now.Add(-storyDay), Took: p.took, How: "verification"}}
		}
		if p.drilled > 0 {
			e.Recoveries[0].Drills = []estate.DrillTime{{At: now.Add(-p.drilled), Took: p.took, Same: true, How: "drill C2B9"}}
		}
		if p.change != nil {
			p.change(&e)
		}
		for _, c := range change {
			c(&e)
		}
		b.Assets = append(b.Assets, estate.Assess(a, e, now))
		b.Unread, b.Advice = e.Unread, e.Advice
	}
	b.Due = estate.DrillsDue([]estate.Rehearsal{
		{Runbook: "total-loss", Every: 90 * storyDay, Passed: now.Add(-96 * storyDay), About: 140 * time.Minute},
		{Runbook: "branch-protection-failure", Every: 90 * storyDay, Passed: now.Add(-83 * storyDay), About: 19 * time.Minute},
		{Runbook: "security-breach", Every: 90 * storyDay, Passed: now.Add(-41 * storyDay), About: 112 * time.Minute},
	}, now)
	return b
}

func storyBoard(now time.Time) Board { return boardOf(now, storyAssets) }

// withBoard makes the board of a scene.
func withBoard(make func(now time.Time) Board) func(*fakeBackend, *Options) {
	return func(b *fakeBackend, _ *Options) { board := make(b.now); b.board = &board }
}

func allReady(now time.Time) Board {
	list := slices.Clone(storyAssets)
	for i := range list {
		list[i].age, list[i].drilled, list[i].change = 4*time.Minute, 7*storyDay, nil
	}
	return boardOf(now, list)
}

var storyReviews = []LateReview{
	{"contact P. Osei", "never verified", "contact P. Osei was never verified", "call them, and write verified: 2026-11-24 beside the name in /srv/monorepo/lifeboat.yaml"},
	{"document docs/disaster-plan.md", "12 days late", "document docs/disaster-plan.md was last read on 2026-08-14, 12 days late", "read it to the end, and write the line reviewed: 2026-11-24 into it"},
}

func withReviews(now time.Time) Board {
	b := storyBoard(now)
	b.Reviews = storyReviews
	return b
}

func silentBucket(now time.Time) Board {
	return boardOf(now, storyAssets, func(e *estate.Evidence) {
		e.Unread, e.Advice = "no answer within 10 s", []string{"look at the network and at the credentials; lifeboat vault doctor says more"}
	})
}

func nothingYet(now time.Time) Board {
	list := slices.Clone(storyAssets)
	for i := range list {
		list[i].age, list[i].took, list[i].drilled, list[i].change = 0, 0, 0, nil
	}
	b := boardOf(now, list)
	b.Due = estate.DrillsDue([]estate.Rehearsal{{Runbook: "accidental-force-push", Every: 31 * storyDay}, {Runbook: "secrets-loss", Every: 90 * storyDay}, {Runbook: "total-loss", Every: 90 * storyDay}, {Runbook: "auth-recovery", Every: 90 * storyDay}}, now)
	return b
}

func manyAssets(now time.Time) Board {
	var list []protected
	for i := range 40 {
		p := storyAssets[1+i%5]
		p.name = fmt.Sprintf("%s-%02d", strings.ReplaceAll(p.name, " ", "-"), i)
		list = append(list, p)
	}
	return boardOf(now, list)
}

var bridgeScenes = []scene{
	{"bridge-in-run", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, func(b *fakeBackend, _ *Options) { b.runs = pastRuns() })
	}},
	{"bridge-ready", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil, withBoard(allReady)) }},
	{"bridge-gaps", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(func(now time.Time) Board { return boardOf(now, storyAssets[1:]) }))
	}},
	{"bridge-reviews", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(withReviews), func(b *fakeBackend, _ *Options) { b.runs = pastRuns() })
	}},
	{"bridge-reviews-alone", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(func(now time.Time) Board {
			b := allReady(now)
			b.Reviews = storyReviews[:1]
			return b
		}), func(b *fakeBackend, _ *Options) { b.runs = pastRuns()[1:] })
	}},
	{"reviews", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(withReviews)).press("l")
	}},
	{"bridge-chosen", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(func(now time.Time) Board { return boardOf(now, storyAssets[1:]) })).press("up", "up")
	}},
	{"bridge-silent", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil, withBoard(silentBucket)) }},
	{"bridge-reading", func(t *testing.T, w, h int) *driver {
		d := drive(t, w, h, nil)
		d.m.board = boardState{asking: true, known: true, Board: boardOf(d.m.now, storyAssets[1:], func(e *estate.Evidence) { e.Checked = d.m.now.Add(-3 * time.Hour) })}
		return d
	}},
	{"bridge-empty", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(nothingYet), func(b *fakeBackend, _ *Options) { b.runs, b.team.Contacts = nil, nil })
	}},
	{"bridge-none", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(func(time.Time) Board { return Board{} }))
	}},
	{"bridge-sandbox", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, inSandbox, withBoard(func(now time.Time) Board { b := nothingYet(now); b.Practice = true; return b }), func(b *fakeBackend, _ *Options) { b.runs = nil })
	}},
	{"bridge-many", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(manyAssets)).press("down", "pgdown", "pgdown")
	}},
	{"asset", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, withBoard(func(now time.Time) Board { return boardOf(now, storyAssets[1:]) })).press("down", "down", "down", "enter")
	}},
}

// TestFixOpensThePlan: f leads to the runbook that mends the worst gap, with its asset
// filled in, and runs nothing.
func TestFixOpensThePlan(t *testing.T) {
	d := drive(t, 120, 36, nil, func(b *fakeBackend, _ *Options) {
		b.books[1].Params = []Param{{Name: "asset", Required: true}}
		b.books[1].Name = "verify-backups"
	})
	d.press("f")
	p, ok := d.m.top().(*planScreen)
	if !ok || p.book.Name != "verify-backups" {
		t.Fatalf("%T is on top", d.m.top())
	}
	if p.values["asset"] != "env files" {
		t.Errorf("its parameters are %+v", p.values)
	}
	if len(d.b.started) != 0 {
		t.Error("f has started a run")
	}
}

// TestFixOfTheChosen: with a cursor in the board f is about that asset.
func TestFixOfTheChosen(t *testing.T) {
	d := drive(t, 120, 36, nil).press("down", "f")
	if p, ok := d.m.top().(*planScreen); !ok || p.book.Name != "verify-backups" {
		t.Fatalf("f on monorepo, which is in run and late, opened %T", d.m.top())
	}
	d = drive(t, 120, 36, nil).press("down", "down", "f")
	if _, ok := d.m.top().(*homeScreen); !ok || !strings.Contains(plainFrame(d.frame()), "booking.db has no gap") {
		t.Errorf("f on an asset without a gap:\n%s", plainFrame(d.frame()))
	}
}

// TestFourKeys: from the first frame to the plan of the right runbook in at most four keys,
// from every answer.
func TestFourKeys(t *testing.T) {
	for _, keys := range [][]string{{"2", "1", "enter"}, {"0", "1", "2", "enter"}, {"/", "enter"}, {"f"}, {"down", "enter", "enter"}} {
		d := drive(t, 80, 24, nil)
		if len(keys) > 4 {
			t.Fatalf("%q are %d keys", keys, len(keys))
		}
		d.press(keys...)
		if _, ok := d.m.top().(*planScreen); !ok {
			t.Errorf("%q ends at %T:\n%s", keys, d.m.top(), plainFrame(d.frame()))
		}
		if len(d.b.started) != 0 {
			t.Errorf("%q has started a run", keys)
		}
	}
}

// TestTakeOverFromTheBridge: A shows the run and asks its driver, once.
func TestTakeOverFromTheBridge(t *testing.T) {
	running := func(b *fakeBackend, _ *Options) { b.runs, b.events = pastRuns(), newStory(t).keeping().events }
	d := drive(t, 120, 36, nil, running).press("A")
	if len(d.b.attached) != 1 || !slices.Equal(d.b.wishes, []string{"ask"}) || len(d.b.answers) != 0 {
		t.Errorf("attached %v, wished %v", d.b.attached, d.b.wishes)
	}
	d = drive(t, 120, 36, nil, running, dead).press("A")
	if len(d.b.wishes) != 0 || !strings.Contains(plainFrame(d.frame()), "nothing drives it") {
		t.Error(plainFrame(d.frame()))
	}
	if d = drive(t, 120, 36, nil).press("A"); len(d.b.wishes) != 0 {
		t.Error("asked for no run")
	}
}

// TestFixOpensTheDrill: where a drill mends the gap, f leads to it.
func TestFixOpensTheDrill(t *testing.T) {
	d := drive(t, 120, 36, nil, withBoard(func(now time.Time) Board { return boardOf(now, storyAssets[4:]) }), func(b *fakeBackend, _ *Options) {
		b.items = []DrillItem{{Scenario: "a", Book: "secrets-loss"}, {Scenario: "b", Book: "total-loss"}}
	}).press("f")
	s, ok := d.m.top().(*drillsScreen)
	if !ok || s.chosen(&d.m.world).Scenario != "b" {
		t.Fatalf("%T is on top\n%s", d.m.top(), plainFrame(d.frame()))
	}
	if len(d.b.started) != 0 {
		t.Error("f has started something")
	}
}

// TestVaultIsReadBehindTheFrame: what is known is shown first, the vault is read once at the
// start, again on r and after a while, never twice at a time and never from another screen.
func TestVaultIsReadBehindTheFrame(t *testing.T) {
	d := drive(t, 120, 36, nil)
	if d.b.looks != 1 {
		t.Fatalf("read %d times at the start", d.b.looks)
	}
	d.press("r")
	if d.b.looks != 2 {
		t.Fatalf("r: read %d times", d.b.looks)
	}
	d.m.board.asking = true
	d.press("r")
	if d.b.looks != 2 {
		t.Error("read while it is being read")
	}
	if !strings.Contains(plainFrame(d.frame()), "reading the vault …") {
		t.Error("the screen does not say that the vault is being read")
	}
	d.m.board.asking = false
	d.b.now = d.b.now.Add(askEvery)
	d.m.now = d.b.now
	d.press("/").frame()
	d.send(boardTickMsg{})
	if d.b.looks != 2 {
		t.Error("read while the library is on the screen")
	}
	d.run(d.m.do(goHome{}))
	if d.b.looks != 3 {
		t.Errorf("read %d times on the way back", d.b.looks)
	}
	d.b.now = d.b.now.Add(askEvery)
	d.m.now = d.b.now
	d.frame()
	d.send(boardTickMsg{})
	if d.b.looks != 4 {
		t.Errorf("read %d times after a while", d.b.looks)
	}
}

// TestBoardThatFails: an error is said, and everything else on the bridge works.
func TestBoardThatFails(t *testing.T) {
	d := drive(t, 120, 36, nil, func(b *fakeBackend, _ *Options) { b.noBoard = errors.New("the journal is locked") })
	frame := plainFrame(d.frame())
	if !strings.Contains(frame, "the journal is locked") || !strings.Contains(frame, "WHAT HAPPENED?") || !strings.Contains(frame, "NOT KNOWN") {
		t.Error(frame)
	}
	d.b.noBoard = nil
	d.press("r")
	if frame := plainFrame(d.frame()); strings.Contains(frame, "the journal is locked") {
		t.Error(frame)
	}
}

// TestHostileNames: what a bucket or a file calls itself moves no cursor and breaks no column.
func TestHostileNames(t *testing.T) {
	d := drive(t, 120, 36, nil, withBoard(func(now time.Time) Board {
		list := slices.Clone(storyAssets)
		list[1].name = "\x1b[2Jbooking\r\n\u202egnp.exe and a name that is far longer than any column of the board can be"
		b := boardOf(now, list, func(e *estate.Evidence) { e.Unread = "\x1b]0;owned\a" + strings.Repeat("long ", 100) })
		b.Due[0].Runbook = "\x1b[31m" + strings.Repeat("x", 300)
		return b
	}), func(b *fakeBackend, _ *Options) {
		b.runs = append(pastRuns(), Summary{ID: run.ID("\x1b[2J"), Book: "\x1b[2J\u202e", By: "\x1b[2J", Mode: run.Live, At: began, Last: began})
	})
	for _, size := range [][2]int{{120, 36}, {80, 24}, {60, 20}} {
		d.send(sizeMsg(size[0], size[1]))
		d.press("down", "down", "enter", "esc")
		if frame := d.frame(); strings.Contains(frame, "\x1b[2J") || strings.Contains(frame, "\u202e") || strings.Contains(frame, "owned\a") {
			t.Errorf("at %v: %q", size, frame)
		}
	}
}
