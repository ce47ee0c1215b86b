package console

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/run"
)

// TestCertify: what makes a certificate, what ends it, and until when it holds.
func TestCertify(t *testing.T) {
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	ago := func(days int) time.Time { return now.Add(-time.Duration(days) * day) }
	sound := Book{Name: "a", Kind: "recovery", Tools: []string{"git"}, Drilled: Deed{At: ago(10), By: "s.kaya", Same: true}, DrillEvery: 90 * day,
		Reviewed: ago(5), ReviewEvery: 31 * day, LastOutcome: run.Complete}
	for _, tc := range []struct {
		name   string
		change func(*Book)
		why    string // empty: valid
		glyph  string
		until  time.Time
	}{
		{"sound, the review ends first", func(*Book) {}, "", "✓", ago(5).Add(31 * day)},
		{"the drill ends first", func(b *Book) { b.Drilled.At = ago(85) }, "", "✓", ago(85).Add(90 * day)},
		{"no review is asked for", func(b *Book) { b.ReviewEvery = 0 }, "", "✓", ago(10).Add(90 * day)},
		{"never drilled", func(b *Book) { b.Drilled = Deed{} }, "never drilled", "·", time.Time{}},
		{"the drill is old", func(b *Book) { b.Drilled.At = ago(96) }, "96 days ago", "▲", time.Time{}},
		{"the runbook has changed", func(b *Book) { b.Drilled.Same = false }, "has changed since 14 Nov", "▲", time.Time{}},
		{"the review is late", func(b *Book) { b.Reviewed = ago(40) }, "review is 9 days late", "▲", time.Time{}},
		{"a tool is missing", func(b *Book) { b.Missing = []string{"aws"} }, "aws is missing", "✗", time.Time{}},
		{"broken", func(b *Book) { b.Broken = true }, "cannot be run", "✗", time.Time{}},
		{"a backup is proven by its runs", func(b *Book) { b.Kind, b.Used, b.Drilled = "backup", b.Drilled, Deed{} }, "", "✓", ago(5).Add(31 * day)},
		{"a backup that never ran", func(b *Book) { b.Kind = "backup" }, "never run for real", "·", time.Time{}},
	} {
		b := sound
		tc.change(&b)
		c := certify(&b, now)
		if c.ok != (tc.why == "") || !strings.Contains(c.why, tc.why) || c.mark(&b).text != tc.glyph || !c.until.Equal(tc.until) {
			t.Errorf("%s: ok %v, %q, %s, until %v", tc.name, c.ok, c.why, c.mark(&b).text, c.until)
		}
	}
}

// TestLibrary is the transition table of the library: what is typed, what is chosen then,
// and what the list says.
func TestLibrary(t *testing.T) {
	for _, tc := range []struct {
		name   string
		do     func(*driver)
		chosen string
		says   string
		screen string
	}{
		{"type at once", func(d *driver) { d.send(keyPress("/")); d.typeText("fsck") }, "corrupted-repository", "MATCH", ""},
		{"letters are text", func(d *driver) { d.press("/").typeText("qbjk?:") }, "accidental-force-push", "0 MATCHES", ""},
		{"a filter alone", func(d *driver) { d.press("/", "tab") }, "accidental-force-push", "1 RUNBOOK  level 2", ""},
		{"filters go around", func(d *driver) { d.press("/", "tab", "tab", "tab", "tab", "tab") }, "accidental-force-push", "4 RUNBOOKS", ""},
		{"a kind", func(d *driver) { d.press("/", "tab", "tab", "tab") }, "repository-backup", "1 RUNBOOK  backup", ""},
		{"a match outside is named", func(d *driver) { d.press("/", "tab").typeText("fsck") }, "corrupted-repository", "1 more match outside level 2", ""},
		{"esc clears both", func(d *driver) { d.press("/", "tab").typeText("fsck").press("esc") }, "accidental-force-push", "4 RUNBOOKS", ""},
		{"esc goes back", func(d *driver) { d.press("/", "esc") }, "", "WHAT HAPPENED?", "bridge"},
		{"down is kept inside", func(d *driver) { d.press("/", "down", "pgdown", "down") }, "verify-backups", "4 RUNBOOKS", ""},
		{"up is kept inside", func(d *driver) { d.press("/", "up", "pgup") }, "accidental-force-push", "4 RUNBOOKS", ""},
		{"enter opens the plan", func(d *driver) { d.press("/").typeText("daily").press("enter") }, "", "Back up the repository", "plan"},
		{"back from the plan the search stands", func(d *driver) { d.press("/").typeText("daily").press("enter", "esc") }, "repository-backup", "\"daily\"", ""},
		{"no drill from a live console", func(d *driver) { d.press("/", "ctrl+d") }, "accidental-force-push", "ctrl+d is off", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := drive(t, 120, 36, nil)
			tc.do(d)
			f := plainFrame(d.frame())
			if !strings.Contains(f, tc.says) {
				t.Errorf("the screen does not say %q:\n%s", tc.says, f)
			}
			switch s := d.m.top().(type) {
			case *libraryScreen:
				if b := s.book(&d.m.world); tc.screen != "" || b.Name != tc.chosen {
					t.Errorf("%s is chosen, want %s", b.Name, tc.chosen)
				}
			case *homeScreen:
				if tc.screen != "bridge" {
					t.Errorf("the bridge is on top")
				}
			case *planScreen:
				if tc.screen != "plan" {
					t.Errorf("the plan is on top")
				}
			}
			if len(d.b.started)+len(d.b.attached)+len(d.b.answers) != 0 {
				t.Error("something was run")
			}
		})
	}
	d := drive(t, 120, 36, nil, func(b *fakeBackend, _ *Options) { b.books = nil }).press("/", "tab", "down", "enter").typeText("x")
	if f := plainFrame(d.frame()); !strings.Contains(f, "There is no runbook") {
		t.Error(f)
	}
}
