package console

import (
	"strings"
	"time"

	"github.com/charmbracelet/colorprofile"

	"lifeboat/internal/console/look"
	"lifeboat/internal/console/widget"
	"lifeboat/internal/estate"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// States lists what the console tells apart, from the code that draws it: the check of
// a theme proves with it that no state needs a colour.
func States() []look.State {
	var out []look.State
	for _, st := range []run.Step{
		{Outline: run.Outline{Effect: "read"}, State: run.Pending}, {Outline: run.Outline{Effect: "write"}, State: run.Pending},
		{Outline: run.Outline{Effect: "destroy"}, State: run.Pending}, {Outline: run.Outline{Hand: true}, State: run.Pending},
		{State: run.Waiting}, {State: run.Running}, {State: run.Checking}, {State: run.Verified}, {State: run.Claimed}, {State: run.Failed},
		{State: run.InDoubt}, {State: run.Skipped}, {State: run.Overridden}, {State: run.Undone},
	} {
		glyph, role := stateLook(&st)
		_, word := railWords(&snapshot{}, &st)
		if word = strings.Trim(word, ", "); word == "" || st.State == run.InDoubt {
			word = ""
			for _, s := range railTime(&world{}, &st) {
				word += s.text
			}
		}
		name := string(st.State)
		if st.State == run.Pending {
			_, _, name = stepLook(st.Outline)
			name = "to come: " + name
		}
		out = append(out, look.State{Group: "steps", Name: name, Glyph: glyph, Word: word, Role: role})
	}
	for _, o := range []run.Outcome{run.Complete, run.CompleteWithOverrides, run.NotComplete, run.Aborted} {
		glyph, role, _ := outcomeLook(o)
		out = append(out, look.State{Group: "ends of runs", Name: string(o), Glyph: glyph, Word: strings.ToUpper(string(o)), Role: role})
	}
	for _, v := range []estate.Verdict{estate.Ready, estate.InRun, estate.DrillDue, estate.Stale, estate.NeverDrilled, estate.Late, estate.TooSlow, estate.Unknown} {
		r := estate.Readiness{Verdict: v, Open: []estate.OpenRun{{}}}
		glyph, role := readinessLook(&world{}, &r)
		out = append(out, look.State{Group: "readiness", Name: strings.ToLower(string(v)), Glyph: glyph, Word: strings.TrimSpace(verdictWord(&world{}, &r)), Role: role})
	}
	now := time.Unix(1e9, 0)
	for _, c := range []struct {
		name string
		copy *Copy
	}{
		{"missing", nil}, {"unusable", &Copy{Problem: "x"}}, {"failed", &Copy{Failed: true}}, {"stale", &Copy{Late: true, Class: "newest", Cut: now.Add(-3 * time.Hour)}},
		{"late", &Copy{Late: true}}, {"not proven", &Copy{}}, {"proven: stored", &Copy{Level: "stored"}}, {"proven: checked", &Copy{Level: "checked"}},
		{"proven: applied", &Copy{Level: "applied"}}, {"proven: restored", &Copy{Level: "restored"}},
	} {
		glyph, role, word := copyLook(&world{now: now}, &Shelf{RPO: time.Hour}, c.copy)
		if word == "" { // what says it then is how far it is proven
			bar := provenBar(c.copy.Level)
			word = strings.TrimSpace(bar[len(bar)-1].text)
		}
		out = append(out, look.State{Group: "copies", Name: c.name, Glyph: glyph, Word: word, Role: role})
	}
	day := 24 * time.Hour
	for _, d := range []struct {
		name string
		item DrillItem
	}{
		{"open", DrillItem{Open: "x"}}, {"never", DrillItem{}}, {"changed since", DrillItem{Last: now, Changed: true}},
		{"not passed", DrillItem{Last: now, Score: &run.Score{}}}, {"late", DrillItem{Last: now, Holds: now.Add(-3 * day)}},
		{"due soon", DrillItem{Last: now, Holds: now.Add(3 * day)}}, {"holds", DrillItem{Last: now, Holds: now.Add(90 * day)}},
	} {
		glyph, role, word := drillLook(&d.item, now)
		out = append(out, look.State{Group: "drills", Name: d.name, Glyph: glyph, Word: word, Role: role})
	}
	for _, m := range []run.Mode{run.Live, run.Drill, run.Dry} {
		word, badge, _ := modeLook(m)
		out = append(out, look.State{Group: "modes", Name: string(m), Word: word, Role: badge})
	}
	return out
}

// Swatch draws every role and state in a theme, 80 cells wide, as a terminal gets it.
func Swatch(t *look.Theme, term look.Terminal, ascii bool) string {
	states := States()
	rows := look.Swatch(states, func(int, int, widget.Role, widget.Attr, string) {})
	c := widget.NewCanvas(80, rows, printable.Line)
	look.Swatch(states, func(x, y int, r widget.Role, a widget.Attr, text string) { c.Put(x, y, c.W-x, r, a, text) })
	paint := t.Style(term).Paint(ascii)
	if term.Profile <= colorprofile.NoTTY {
		paint.Prefix, paint.Full = func(widget.Role, widget.Attr) string { return "" }, false
	}
	return c.Render(paint) + "\n"
}
