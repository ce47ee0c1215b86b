package console

import (
	"reflect"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/estate"
	"lifeboat/internal/run"
)

// TestTriage plays answers from the home screen: where they lead, and that nothing is run.
func TestTriage(t *testing.T) {
	for _, tc := range []struct {
		name string
		keys []string
		top  string // screen
		says string // on it
	}{
		{"first question", []string{"2"}, "*console.triageScreen", "What stands in the way?"},
		{"not sure", []string{"0"}, "*console.triageScreen", "Where do you see it?"},
		{"a number that is none", []string{"9"}, "*console.homeScreen", "WHAT HAPPENED?"},
		{"a number that is none, later", []string{"2", "9"}, "*console.triageScreen", "What stands in the way?"},
		{"the end", []string{"2", "1"}, "*console.triageScreen", "accidental-force-push  Undo an accidental force push"},
		{"the end names the level", []string{"2", "1"}, "*console.triageScreen", "LEVEL 2 MODERATE"},
		{"the end names whom to call", []string{"2", "1"}, "*console.triageScreen", "+1 555 0142"},
		{"numbers are off at the end", []string{"2", "1", "1"}, "*console.triageScreen", "LEVEL 2 MODERATE"},
		{"in doubt higher", []string{"1", "0", "0"}, "*console.triageScreen", "LEVEL 3 CRITICAL"},
		{"back one answer", []string{"2", "1", "esc"}, "*console.triageScreen", "What stands in the way?"},
		{"back to the start", []string{"2", "esc"}, "*console.homeScreen", "WHAT HAPPENED?"},
		{"the plan", []string{"2", "1", "enter"}, "*console.planScreen", "Nothing has been started"},
		{"back from the plan", []string{"2", "1", "enter", "esc"}, "*console.triageScreen", "LEVEL 2 MODERATE"},
		{"enter at a question", []string{"2", "enter"}, "*console.triageScreen", "What stands in the way?"},
		{"a runbook that is not there", []string{"3", "2", "enter"}, "*console.triageScreen", "repository-loss  is not in this library"},
		{"whom to call on the way", []string{"3", "c"}, "*console.callScreen", "LEVEL 3 CRITICAL"},
		{"and back", []string{"3", "c", "esc"}, "*console.triageScreen", "What is lost, or in danger?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := drive(t, 120, 36, nil)
			d.press(tc.keys...)
			f := plainFrame(d.frame())
			if got := typeName(d.m.top()); got != tc.top || !strings.Contains(f, tc.says) {
				t.Errorf("%s is on top, want %s with %q:\n%s", got, tc.top, tc.says, f)
			}
			if len(d.b.started)+len(d.b.attached)+len(d.b.answers) != 0 {
				t.Error("something was run")
			}
		})
	}
}

// What was answered goes with the start of the run, and the incident began no later than
// the first answer.
func TestTriageIsOnRecord(t *testing.T) {
	d := drive(t, 120, 36, nil)
	d.press("1", "0", "1")
	asked := d.m.top().(*triageScreen).since
	d.m.now = d.m.now.Add(7 * time.Minute) // spent with the questions and the plan
	d.press("enter", "s", "ctrl+o")
	if f := plainFrame(d.frame()); !strings.Contains(f, "incident "+asked.UTC().Format("15:04")+" UTC, 7 min") {
		t.Errorf("it does not say from when the clocks count:\n%s", f)
	}
	d.press("1")
	if len(d.b.started) != 1 {
		t.Fatalf("started %v", d.b.started)
	}
	s := d.b.started[0]
	if diff := cmp.Diff([]string{"One file, one merge or one setting is wrong", "I do not know", "Commits are gone from a shared branch"}, s.Triage); diff != "" {
		t.Error(diff)
	}
	if !s.Incident.Equal(asked.Truncate(time.Minute)) {
		t.Errorf("incident %s, asked %s", s.Incident, asked)
	}
}

// However many people are to be called, the end of triage shows the runbook and the way to it.
func TestTriageEndsAtTheRunbook(t *testing.T) {
	for _, size := range [][2]int{{120, 36}, {80, 24}, {60, 20}} {
		d := drive(t, size[0], size[1], nil, func(b *fakeBackend, _ *Options) {
			b.team.Contacts = nil
			for i := range 40 {
				b.team.Contacts = append(b.team.Contacts, estate.Contact{Name: "Person " + itoa(i+1), Role: "senior developer", Phone: "+1 555 0142"})
			}
		})
		d.press("2", "1")
		f := plainFrame(d.frame())
		for _, want := range []string{"and 36 more: c", "accidental-force-push", "open its plan"} {
			if !strings.Contains(f, want) {
				t.Errorf("%v: no %q:\n%s", size, want, f)
			}
		}
	}
}

// A watch that goes a little fast means now, and not yesterday.
func TestIncidentAhead(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 3, 40, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "00:03": now.Truncate(time.Minute), "00:04": now, "00:08": now, "00:09": time.Date(2026, 11, 23, 0, 9, 0, 0, time.UTC),
		"23:58": time.Date(2026, 11, 23, 23, 58, 0, 0, time.UTC), "24:00": {}, "3 am": {},
	} {
		got, err := incidentAt(text, now)
		if !got.Equal(want) || (err != nil) != (want.IsZero() && text != "") {
			t.Errorf("%q is %s, %v, want %s", text, got, err, want)
		}
	}
}

func typeName(s screen) string {
	switch s.(type) {
	case *homeScreen:
		return "*console.homeScreen"
	case *triageScreen:
		return "*console.triageScreen"
	case *planScreen:
		return "*console.planScreen"
	case *callScreen:
		return "*console.callScreen"
	case *raiseScreen:
		return "*console.raiseScreen"
	case *runScreen:
		return "*console.runScreen"
	}
	return "another"
}

// TestTriageStartsHigher: a run that triage has led to begins on the level it found.
func TestTriageStartsHigher(t *testing.T) {
	for _, tc := range []struct{ level, want int }{{1, 2}, {2, 0}, {3, 0}} {
		d := drive(t, 120, 36, nil)
		d.b.events = newStory(t).frozen().events
		d.m.books[0].Level = tc.level
		d.press("0", "1", "2", "enter", "s", "ctrl+o", "1")
		if len(d.b.started) != 1 || d.b.started[0].Level != tc.want {
			t.Errorf("runbook of level %d: started %+v, want level %d", tc.level, d.b.started, tc.want)
		}
	}
}

// TestWithoutQuestions: where they cannot be read the library is still there.
func TestWithoutQuestions(t *testing.T) {
	d := drive(t, 80, 24, nil, func(b *fakeBackend, _ *Options) { b.team = Team{Problem: "broken"} })
	d.press("1", "0")
	if f := plainFrame(d.frame()); !strings.Contains(f, "The questions cannot be read. Find a runbook with /.") || typeName(d.m.top()) != "*console.homeScreen" {
		t.Error(f)
	}
	d.press("/").typeText("forc").press("enter")
	if typeName(d.m.top()) != "*console.planScreen" {
		t.Error("no plan was opened")
	}
}

// TestCall: one key at every step, also while something is typed; told is on record.
func TestCall(t *testing.T) {
	for _, tc := range []struct {
		name  string
		story func(*story) *story
		keys  []string
		want  bool
	}{
		{"while a step runs", (*story).keeping, []string{"c"}, true},
		{"at a confirm", (*story).keepGate, []string{"c"}, true},
		{"at the danger gate", (*story).pushGate, []string{"f2"}, true},
		{"c is text at the danger gate", (*story).pushGate, []string{"c"}, false},
		{"at a checklist", (*story).frozen, []string{"c"}, true},
		{"in a value of a checklist", (*story).frozen, []string{"1", "f2"}, true},
		{"c is text in a value of a checklist", (*story).frozen, []string{"1", "c"}, false},
		{"at a secret", (*story).secret, []string{"f2"}, true},
		{"at a failure", (*story).decision, []string{"c"}, true},
		{"in doubt", (*story).doubt, []string{"c"}, true},
		{"at the end", (*story).closing, []string{"c"}, true},
		{"at an input", (*story).told, []string{"f2"}, true},
		{"in the full log", (*story).keeping, []string{"l", "c"}, true},
		{"in the search of the log", (*story).keeping, []string{"l", "/", "f2"}, true},
		{"c is text in the search of the log", (*story).keeping, []string{"l", "/", "c"}, false},
		{"among all steps", (*story).keeping, []string{"tab", "c"}, true},
		{"in the undo plan", (*story).lateGate, []string{"esc", "u", "c"}, true},
		{"while a note is typed", (*story).keeping, []string{"n", "f2"}, true},
		{"before a step is stopped", (*story).keeping, []string{"s", "c"}, true},
		{"among the other ways on", (*story).keepGate, []string{"x", "c"}, true},
		{"while the level is raised", (*story).keeping, []string{"R", "f2"}, true},
		{"among the keys", (*story).keeping, []string{"?", "f2"}, true},
		{"among the ways to leave", (*story).keeping, []string{"ctrl+c", "c"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := drive(t, 120, 36, tc.story(newStory(t)))
			d.press(tc.keys...)
			if _, got := d.m.top().(*callScreen); got != tc.want {
				t.Fatalf("%T is on top", d.m.top())
			}
			if !tc.want {
				return
			}
			d.press("2", "9")
			if diff := cmp.Diff([]string{"told R. Moss (DevOps), +1 555 0163"}, d.b.notes); diff != "" {
				t.Error(diff)
			}
			top := d.m.stack[len(d.m.stack)-2]
			d.press("esc")
			if d.m.top() != top || len(d.b.answers) != 0 {
				t.Errorf("%T is on top, answers %v", d.m.top(), d.b.answers)
			}
		})
	}
	for _, keys := range [][]string{{"c"}, {"/", "enter", "c"}} { // home and plan: nothing could record it
		d := drive(t, 120, 36, nil)
		d.press(keys...)
		if _, ok := d.m.top().(*callScreen); !ok {
			t.Errorf("%v: %T is on top", keys, d.m.top())
		}
		if d.press("1"); len(d.b.notes) != 0 {
			t.Errorf("%v: a note of no run: %v", keys, d.b.notes)
		}
	}
}

// TestCopy hands the words, whole, to the terminal.
func TestCopy(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).late())
	d.press("c")
	cmd := d.m.key(keyPress("y"))
	if cmd == nil {
		t.Fatal("y does nothing")
	}
	var text string
	var look func(msg tea.Msg)
	look = func(msg tea.Msg) {
		if b, ok := msg.(tea.BatchMsg); ok {
			for _, c := range b {
				if c != nil {
					look(c())
				}
			}
			return
		}
		if v := reflect.ValueOf(msg); v.IsValid() && v.Kind() == reflect.String { // the message is not exported
			text = v.String()
		}
	}
	look(cmd())
	want := strings.Join((&callScreen{run: true}).words(&d.m.world), "\n")
	if want == "" || text != want {
		t.Errorf("copied %q, want %q", text, want)
	}
	if !strings.Contains(d.m.notice, "clipboard") {
		t.Errorf("notice %q", d.m.notice)
	}
}

// TestRaise: the level is raised with a reason, never lowered, and then it is shown whom
// to call.
func TestRaise(t *testing.T) {
	type key = []string
	for _, tc := range []struct {
		name  string
		story func(*story) *story
		keys  key
		then  key // after the reason
		want  []string
		top   string
	}{
		{"while a step runs", (*story).keeping, key{"R"}, key{"enter"}, []string{"3: it spreads"}, "*console.callScreen"},
		{"from level 1", (*story).nearly, key{"R"}, key{"enter"}, []string{"2: it spreads"}, "*console.callScreen"},
		{"two at once", (*story).nearly, key{"R", "down"}, key{"enter"}, []string{"3: it spreads"}, "*console.callScreen"},
		{"not below", (*story).nearly, key{"R", "down", "down", "up", "up", "up"}, key{"enter"}, []string{"2: it spreads"}, "*console.callScreen"},
		{"at the danger gate", (*story).pushGate, key{"f3"}, key{"enter"}, []string{"3: it spreads"}, "*console.callScreen"},
		{"think again", (*story).keeping, key{"R"}, key{"esc"}, nil, "*console.runScreen"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := drive(t, 120, 36, tc.story(newStory(t)))
			d.press(tc.keys...)
			if d.press("enter"); len(d.b.raised) != 0 {
				t.Fatal("raised without a reason")
			}
			d.typeText("it spreads").press(tc.then...)
			if diff := cmp.Diff(tc.want, d.b.raised); diff != "" {
				t.Error(diff)
			}
			if got := typeName(d.m.top()); got != tc.top {
				t.Errorf("%s is on top", got)
			}
			if len(d.b.answers) != 0 {
				t.Errorf("answered %+v", d.b.answers)
			}
		})
	}
	d := drive(t, 120, 36, newStory(t).keeping().add(0, run.LevelRaised, "", run.Raise{From: 2, To: 3}))
	if d.press("R"); typeName(d.m.top()) != "*console.runScreen" || !strings.Contains(d.m.notice, "highest level") {
		t.Errorf("%T is on top, notice %q", d.m.top(), d.m.notice)
	}
}

// TestAttention: what needs somebody now is on every screen of the run, at every size, and
// gone when it is put back.
func TestAttention(t *testing.T) {
	for _, size := range [][2]int{{120, 36}, {80, 24}, {60, 20}} {
		d := drive(t, size[0], size[1], newStory(t).lateGate())
		for _, keys := range [][]string{{}, {"esc"}, {"l"}, {"esc", "tab"}, {"esc", "c"}, {"esc", "n"}, {"esc", "?"}} {
			d.press(keys...)
			f := plainFrame(d.frame())
			for _, want := range []string{" OVERDUE ", "branch protection of main", " TIME "} {
				if !strings.Contains(f, want) {
					t.Errorf("%v after %v: no %q:\n%s", size, keys, want, f)
				}
			}
		}
	}
	s := newStory(t).late()
	s.add(0, run.DebtClosed, "", run.Debt{ID: "protection"}).add(0, run.DebtClosed, "", run.Debt{ID: "scale"})
	d := drive(t, 80, 24, s)
	if f := plainFrame(d.frame()); strings.Contains(f, "OVERDUE") || strings.Contains(f, "OWED") {
		t.Errorf("still owed:\n%s", f)
	}
	if d.m.head() != 3 {
		t.Errorf("%d rows on top", d.m.head())
	}
	d.m.team.Levels = []estate.Level{} // none are known: no clock, and no panic
	d.frame()
}
