package console

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"
)

// TestForm is the transition table of the form: keys, what is on top then, what the screen
// says, and what the plan has taken over.
func TestForm(t *testing.T) {
	std := map[string]string{"branch": "main", "remote": "origin", "depth": "all", "token": ""}
	with := func(change ...string) map[string]string {
		out := map[string]string{incidentField: ""}
		for k, v := range std {
			out[k] = v
		}
		for i := 0; i < len(change); i += 2 {
			out[change[i]] = change[i+1]
		}
		return out
	}
	for _, tc := range []struct {
		name string
		keys string
		top  string
		says string
		want map[string]string // that the plan has
	}{
		{"handed in", "tab|text:-2|ctrl+o", "plan accidental-force-push", "main-2", with("branch", "main-2")},
		{"esc changes nothing", "tab|text:-2|enter|esc", "plan accidental-force-push", "main ", std},
		{"esc in a list", "tab|enter|enter|right|esc", "plan accidental-force-push", "all", std},
		{"a list to the right", "tab|enter|enter|right|right|ctrl+o", "plan accidental-force-push", "100", with("depth", "100")},
		{"a list goes around", "tab|enter|enter|right|right|right|right|ctrl+o", "plan accidental-force-push", "1000", with("depth", "1000")},
		{"a list and back", "tab|enter|enter|right|left|ctrl+o", "plan accidental-force-push", "all", with()},
		{"enter to the end", "tab|enter|enter|enter|enter|enter", "plan accidental-force-push", "", with()},
		{"up goes back", "tab|enter|up|text:x|ctrl+o", "plan accidental-force-push", "mainx", with("branch", "mainx")},
		{"up at the first one", "tab|up|text:x|ctrl+o", "plan accidental-force-push", "mainx", with("branch", "mainx")},
		{"required", "tab|enter|ctrl+u|enter", "formScreen", "▲ remote is required", std},
		{"required, from elsewhere", "tab|enter|ctrl+u|up|ctrl+o", "formScreen", "▲ remote is required", std},
		{"required, then given", "tab|enter|ctrl+u|enter|text:up|ctrl+o", "plan accidental-force-push", "up", with("remote", "up")},
		{"a bad time", "tab|enter|enter|enter|enter|text:soon|enter", "formScreen", "is no time; write hh:mm in UTC", std},
		{"letters are text", "tab|text:q:?sb/|ctrl+o", "plan accidental-force-push", "mainq:?sb/", with("branch", "mainq:?sb/")},
		{"keys of lists are keys", "tab|enter|enter|?", "finder", "Next value", std},
		{"help while typing", "tab|f1", "finder", "Hand all of them in as they are", std},
		{"start takes them first", "s", "formScreen", "PARAMETERS OF", std},
		{"start asks once more", "s|ctrl+o", "card START LIVE RUN OF accidental-force-push?", "", with()},
		{"no from the card keeps them", "s|text:x|ctrl+o|esc", "plan accidental-force-push", "mainx", with("branch", "mainx")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, size := range [][2]int{{120, 36}, {60, 20}} {
				d := drive(t, size[0], size[1], nil).press("/", "enter")
				p := d.m.top().(*planScreen)
				for _, k := range strings.Split(tc.keys, "|") {
					if text, ok := strings.CutPrefix(k, "text:"); ok {
						d.typeText(text)
					} else {
						d.press(k)
					}
					d.frame()
				}
				if got := onTop(d); got != tc.top {
					t.Errorf("%s is on top, want %s:\n%s", got, tc.top, plainFrame(d.frame()))
				}
				if f := plainFrame(d.frame()); size[0] == 120 && !strings.Contains(f, tc.says) {
					t.Errorf("the screen does not say %q:\n%s", tc.says, f)
				}
				if diff := cmp.Diff(tc.want, p.values); diff != "" {
					t.Error(diff)
				}
				if len(d.b.started) != 0 {
					t.Error("a run was started")
				}
			}
		})
	}
	d := drive(t, 120, 36, nil).press("/", "enter", "tab")
	d.press("ctrl+c")
	if !d.quit {
		t.Error("ctrl+c does not leave the form")
	}
	d = drive(t, 120, 36, nil).press("/", "down", "enter", "s")
	if f := plainFrame(d.frame()); onTop(d) != "plan corrupted-repository" || !strings.Contains(f, "has problems") {
		t.Errorf("a broken runbook can be started:\n%s", f)
	}
}

// TestFormChoosesForNobody: an asset that is required and not known is chosen by a person.
func TestFormChoosesForNobody(t *testing.T) {
	two := func(b *fakeBackend, _ *Options) {
		b.books[0].Params = []Param{{Name: "asset", Required: true, Options: []string{"monorepo", "web"}, Help: "the git asset that this is about"}}
	}
	d := drive(t, 120, 36, nil, two).press("/", "enter", "s", "ctrl+o")
	if f := plainFrame(d.frame()); onTop(d) != "formScreen" || !strings.Contains(f, "asset is required") {
		t.Errorf("nobody chose:\n%s", f)
	}
	d.b.events = newStory(t).frozen().events
	d.press("right", "right", "ctrl+o", "1")
	if len(d.b.started) != 1 || d.b.started[0].Params["asset"] != "web" {
		t.Errorf("started %+v", d.b.started)
	}
}

// TestIncidentAt: a time of day is the last one that has been.
func TestIncidentAt(t *testing.T) {
	now := time.Date(2026, 11, 24, 3, 5, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "02:52": time.Date(2026, 11, 24, 2, 52, 0, 0, time.UTC), " 3:05 ": now, "23:50": time.Date(2026, 11, 23, 23, 50, 0, 0, time.UTC),
	} {
		if got, err := incidentAt(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"soon", "25:00", "2:5x", "\x1b[31m"} {
		if _, err := incidentAt(bad, now); err == nil {
			t.Errorf("%q is a time", bad)
		}
	}
}

// FuzzForm: whatever a runbook says of its parameters and whatever is typed, the frame is
// harmless and esc changes nothing.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"main", hostile, "\xff\xfe", strings.Repeat("long ", 200), "🚑‍👩", "\x1b[38;5;40mx"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, says, typed string) {
		d := drive(t, 80, 24, nil, func(b *fakeBackend, _ *Options) {
			b.books[0].Params = []Param{{Name: says, Help: says, Default: says}, {Name: "b", Help: says, Options: []string{says, "x"}, Default: says}, {Name: "c", Secret: true, Default: typed}}
		}).press("/", "enter", "tab")
		d.typeText(typed[:min(len(typed), 20)])
		d.send(tea.PasteMsg{Content: typed})
		harmless(t, d)
		d.press("enter", "right", "enter", "down", "up")
		harmless(t, d)
		d.press("esc")
		if len(d.b.started) != 0 {
			t.Error("started")
		}
	})
}
