package console

import (
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/run"
)

// onTop names the screen on top, with what it is about.
func onTop(d *driver) string {
	switch s := d.m.top().(type) {
	case *planScreen:
		return "plan " + s.book.Name
	case *stepsScreen:
		return "steps " + itoa(s.at)
	case *vaultScreen:
		return "vault " + s.asset
	case *finderScreen:
		return "finder"
	case *runScreen:
		return "run"
	case *resultScreen:
		return "result"
	case *homeScreen:
		return "bridge"
	case *libraryScreen:
		return "library"
	case *card:
		return "card " + s.title
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", d.m.top()), "*console.")
}

// TestFinder is the transition table of the palette and of the help.
func TestFinder(t *testing.T) {
	atBridge := func(d *testing.T) *driver { return drive(d, 120, 36, nil) }
	at := func(s func(*story) *story) func(*testing.T) *driver {
		return func(t *testing.T) *driver { return drive(t, 120, 36, s(newStory(t))) }
	}
	for _, tc := range []struct {
		name string
		from func(*testing.T) *driver
		keys string // "|" between keys; "text:" types
		top  string
		says string // what the screen or its notice says
	}{
		{"a runbook", atBridge, ":|text:forc|enter", "plan accidental-force-push", ""},
		{"a runbook, with a typing mistake", atBridge, ":|text:curropted|enter", "plan corrupted-repository", ""},
		{"a place", atBridge, ":|text:library|enter", "library", ""},
		{"an asset", atBridge, ":|text:booking.db|enter", "vault booking.db", ""},
		{"a run that has ended", func(t *testing.T) *driver {
			d := atBridge(t)
			d.b.events = newStory(t).complete().events
			return d
		}, ":|text:C2B9|enter", "result", ""},
		{"a key that asks", atBridge, ":|text:whom to call|enter", "callScreen", ""},
		{"a step", at((*story).keeping), ":|text:recovered branch|enter", "steps 3", ""},
		{"a step from the steps", at((*story).keeping), "tab|:|text:freeze|enter", "steps 0", ""},
		{"stopping asks as its key does", at((*story).keeping), ":|text:stop|enter", "card STOP THE STEP?", ""},
		{"no answer of a gate from a list", at((*story).keepGate), ":|text:run it|enter", "run", "itself"},
		{"no choice of a gate from a list", at((*story).decision), ":|text:try step 4|enter", "run", "itself"},
		{"what cannot be done says why", at((*story).keeping), ":|text:skip the step|enter", "finder", "no gate is open"},
		{"nothing found", atBridge, ":|text:xyzzy|enter", "finder", "nothing is found"},
		{"esc clears first", atBridge, ":|text:forc|esc", "finder", ""},
		{"esc goes back then", atBridge, ":|text:forc|esc|esc", "bridge", ""},
		{"quit is in the list", atBridge, ":|text:leave the console|enter", "bridge", ""},
		{"help runs what it lists", at((*story).keeping), "?|text:whole log|enter", "logScreen", ""},
		{"help lists keys alone", at((*story).keeping), "?|text:force|enter", "finder", "nothing is found"},
		{"help moves", at((*story).keeping), "?|down|enter", "logScreen", ""},
		{"help where letters are text", atBridge, "/|f1|text:read the whole|enter", "docScreen", ""},
		{"help asks before it stops", at((*story).keeping), "?|enter", "card STOP THE STEP?", ""},
		{"no palette at the danger gate", at((*story).pushGate), ":", "run", ""},
		{"a question mark is text in the library", atBridge, "/|?", "library", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := tc.from(t)
			for _, k := range strings.Split(tc.keys, "|") {
				if text, ok := strings.CutPrefix(k, "text:"); ok {
					d.typeText(text)
				} else {
					d.press(k)
				}
			}
			if got := onTop(d); got != tc.top {
				t.Errorf("%s is on top, want %s:\n%s", got, tc.top, plainFrame(d.frame()))
			}
			if f := plainFrame(d.frame()); !strings.Contains(f, tc.says) {
				t.Errorf("the screen does not say %q:\n%s", tc.says, f)
			}
			if len(d.b.answers)+len(d.b.started)+len(d.b.raised)+d.b.stopped != 0 {
				t.Error("something was done from a list")
			}
		})
	}
}

// TestFinderOverEverything: over every kind of screen and gate each thing of the palette and of the help can
// be chosen with enter, and none of them changes a run, answers or starts anything.
func TestFinderOverEverything(t *testing.T) {
	seen := map[string]bool{}
	for _, sc := range scenes {
		d := sc.make(t, 80, 24)
		kind := onTop(d)
		if r, ok := d.m.top().(*runScreen); ok {
			kind += fmt.Sprintf("%T", r.gate)
		}
		if seen[kind] {
			continue
		}
		seen[kind] = true
		for _, key := range []string{":", "?", "f1"} {
			most := 1
			for n := 0; n < most; n++ {
				d := sc.make(t, 80, 24)
				d.b.fail = nil
				was := len(d.b.answers) + len(d.b.started) + len(d.b.raised) + len(d.b.notes) + d.b.stopped
				d.wake()
				d.press(key)
				f, ok := d.m.top().(*finderScreen)
				if !ok || f.all != (key == ":") {
					break
				}
				f.at = n
				most = min(f.view(&d.m.world).count, 40)
				d.press("enter")
				d.frame()
				if now := len(d.b.answers) + len(d.b.started) + len(d.b.raised) + len(d.b.notes) + d.b.stopped; now != was {
					t.Errorf("%s: thing %d of %q did something", sc.name, n, key)
				}
			}
		}
	}
}

// TestFinderGoesWithTheGate: when somebody else answers the gate, the list of its keys goes.
func TestFinderGoesWithTheGate(t *testing.T) {
	s := newStory(t).keepGate()
	d := drive(t, 120, 36, s).press("?")
	d.play(s.answer(0, run.Answer{Verb: run.Approve}))
	if got := onTop(d); got != "run" {
		t.Errorf("%s is on top", got)
	}
}

// FuzzFinder: whatever is typed or pasted, the frame stays harmless and in its size.
func FuzzFinder(f *testing.F) {
	for _, s := range []string{"push", hostile, "\xff", strings.Repeat("force ", 100), "🚑", "3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		for _, keys := range [][]string{{":"}, {"?"}, {"/"}} {
			d := drive(t, 80, 24, nil).press(keys...)
			d.typeText(typed[:min(len(typed), 20)])
			d.send(tea.PasteMsg{Content: typed})
			harmless(t, d)
			d.press("down", "up", "enter")
			harmless(t, d)
		}
	})
}

// BenchmarkFinder is one key in the palette over 1,000 runbooks, with its frame.
func BenchmarkFinder(b *testing.B) {
	d := drive(b, 120, 36, nil, thousand).press(":")
	for text, i := 0, 0; b.Loop(); i++ {
		if i == len(slow[text]) {
			text, i = (text+1)%len(slow), 0
			d.press("esc")
		}
		d.typeText(slow[text][i : i+1]).frame()
	}
}
