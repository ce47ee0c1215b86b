package console

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/run"
)

// TestCtrlC plays Ctrl+C on a run and looks at what became of it.
func TestCtrlC(t *testing.T) {
	for _, tc := range []struct {
		name    string
		story   func(*story) *story
		keys    []string
		quit    bool
		stopped int
		top     string
	}{
		{"once only asks", (*story).keeping, []string{"ctrl+c"}, false, 0, "leave"},
		{"twice ends the console", (*story).keeping, []string{"ctrl+c", "ctrl+c"}, true, 0, "leave"},
		{"back", (*story).keeping, []string{"ctrl+c", "esc"}, false, 0, "run"},
		{"leave it running", (*story).keeping, []string{"ctrl+c", "1"}, true, 0, "leave"},
		{"home", (*story).keeping, []string{"ctrl+c", "2"}, false, 0, "home"},
		{"stop asks once more", (*story).keeping, []string{"ctrl+c", "3"}, false, 0, "card"},
		{"stop", (*story).keeping, []string{"ctrl+c", "3", "1"}, false, 1, "run"},
		{"stop, not sure", (*story).keeping, []string{"ctrl+c", "3", "esc"}, false, 0, "run"},
		{"nothing to stop", (*story).decision, []string{"ctrl+c", "3", "1"}, true, 0, "leave"},
		{"enter and letters choose nothing", (*story).keeping, []string{"ctrl+c", "enter", "y", "s", "space"}, false, 0, "leave"},
		{"over a danger gate", (*story).pushGate, []string{"ctrl+c", "esc"}, false, 0, "run"},
		{"over a text field", (*story).told, []string{"x", "ctrl+c", "esc"}, false, 0, "run"},
		{"over a card", (*story).decision, []string{"u", "ctrl+c", "ctrl+c"}, true, 0, "leave"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := drive(t, 120, 36, tc.story(newStory(t)))
			d.press(tc.keys...)
			if d.quit != tc.quit || d.b.stopped != tc.stopped || len(d.b.answers) != 0 {
				t.Errorf("left %v, stopped %d, answers %v", d.quit, d.b.stopped, d.b.answers)
			}
			ok := false
			switch d.m.top().(type) {
			case *leaveScreen:
				ok = tc.top == "leave"
			case *runScreen:
				ok = tc.top == "run"
			case *homeScreen:
				ok = tc.top == "home"
			case *card:
				ok = tc.top == "card"
			}
			if !ok {
				t.Errorf("%T is on top, want %s", d.m.top(), tc.top)
			}
		})
	}
}

// TestFarewell: what stays on the normal screen says which run, how it stands, and how to
// come back to it, whatever its texts hold.
func TestFarewell(t *testing.T) {
	hostile := func(s *story) *story {
		ev := s.events[0]
		started := ev.Body.(run.Started)
		started.Title = "Undo\x1b]0;owned\a it\r\nroot# rm"
		s.events, s.state, s.now = nil, run.Run{}, began
		return s.add(0, run.RunStarted, "", started).keepGate()
	}
	for _, tc := range []struct {
		name  string
		story func(*story) *story
		keys  []string
		want  []string
	}{
		{"running", (*story).keeping, nil, []string{"LIVE run 7F3A, Undo an accidental force push: step 3 of 6 is running, Keep the lost commits safe. It goes on.",
			"  come back   lifeboat attach 7F3A", "  record      ~/.local/state/lifeboat/20261124T030005Z-7F3A"}},
		{"waiting, from home", (*story).pushGate, []string{"ctrl+c", "2"}, []string{"LIVE run 7F3A, Undo an accidental force push: it waits for an answer at step 4 of 6, Push the recovered branch.",
			"  come back   lifeboat attach 7F3A", "  record      ~/.local/state/lifeboat/20261124T030005Z-7F3A"}},
		{"ended", (*story).complete, nil, []string{"LIVE run 7F3A, Undo an accidental force push: complete.",
			"  look again  lifeboat show 7F3A", "  record      ~/.local/state/lifeboat/20261124T030005Z-7F3A"}},
		{"no run", nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s *story
			if tc.story != nil {
				s = tc.story(newStory(t))
			}
			d := drive(t, 120, 36, s)
			d.press(tc.keys...)
			if diff := cmp.Diff(tc.want, d.m.farewell()); diff != "" {
				t.Error(diff)
			}
		})
	}
	var out bytes.Buffer
	if err := drive(t, 120, 36, hostile(newStory(t))).m.sayFarewell(&out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\a") || strings.Count(text, "\n") != 3 || !strings.Contains(text, "root# rm") {
		t.Errorf("wrote %q", text)
	}
}
