package console

import (
	"slices"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
)

// callScreen says whom to call and what to say. It calls nobody; that somebody was told
// is put on record when the person says so.
type callScreen struct {
	level  int    // of the incident, where no run says it
	seen   string // what happened, where no run says it
	run    bool   // it is about the run on the screen
	scroll int
}

// caller is a screen that knows more about what happened than that something did.
type caller interface{ calls(w *world) *callScreen }

// aid are the keys that work on every screen, whatever else it is about: whom to call, and
// in an open run the higher level. Where letters are text they are F2 and F3.
func (m *Model) aid(s screen, own []binding) []binding {
	var bs []binding
	typing := s.field() != nil
	if _, bound := find(own, callKeys[1]); !bound {
		b := binding{keys: callKeys, show: "c", help: "call", long: "Whom to call, and what to say. F2 also while you type.",
			act: func() Intent { return push{m.call()} }}
		if typing {
			b.keys, b.show = callKeys[1:], "f2"
		}
		bs = append(bs, b)
	}
	if _, bound := find(own, "f3"); !bound && m.snap != nil && m.snap.ID != "" {
		if _, raises := s.(*raiseScreen); !raises {
			bs = append(bs, raiseKey(&m.world, typing).unlisted())
		}
	}
	return bs
}

var callKeys = []string{"c", "f2"}

// call is about the run on the screen, and without one about what somebody has said so far.
func (m *Model) call() *callScreen {
	if m.snap != nil {
		return &callScreen{run: true}
	}
	for _, on := range slices.Backward(m.stack) {
		if c, ok := on.(caller); ok {
			return c.calls(&m.world)
		}
	}
	return &callScreen{}
}

// now is the level that it is about.
func (c *callScreen) now(w *world) int {
	if c.run && w.snap != nil {
		return max(c.level, w.snap.Level)
	}
	return c.level
}

func (c *callScreen) card() bool           { return true }
func (c *callScreen) field() *widget.Field { return nil }

func (c *callScreen) bindings(w *world) []binding {
	calls := incident.Calls(c.now(w), w.team.Contacts)
	noRun, noText := "", ""
	if !c.run || w.snap == nil {
		noRun = "no run is on the screen that could record it"
	} else {
		noRun = noteKey(w).off
	}
	var bs []binding
	for i, call := range calls[:min(len(calls), 9)] {
		bs = append(bs, does(itoa(i+1), "", "Put on record that "+call.Name+" was told.", func() Intent {
			return handIn{id: w.snap.ID, wish: addNote{w.snap.ID, incident.Told(call)}, says: call.Name + " was told: it is on record."}
		}).unless(noRun))
	}
	if n := len(bs); n > 0 {
		bs = append([]binding{binding{show: numbers(n), help: "told, on record", brief: "told", long: "Put on record whom you told."}.unless(noRun)}, bs...)
	}
	return append(bs,
		does("y", "copy the words", "Copy what to say into the clipboard of the terminal.", func() Intent {
			return copyText{strings.Join(c.words(w), "\n"), "Handed to the clipboard of the terminal. Where it does not reach, lifeboat contacts prints it."}
		}).named("", "copy").unless(noText),
		binding{keys: []string{"up", "k"}, long: "Scroll back.", act: func() Intent { c.scroll = max(c.scroll-2, 0); return nil }},
		binding{keys: []string{"down", "j"}, show: "up down", help: "scroll", long: "Scroll.", act: func() Intent { c.scroll += 2; return nil }},
		binding{keys: append([]string{"esc"}, callKeys...), show: "esc", help: "go back", act: wish(pop{})})
}

// words are what is said.
func (c *callScreen) words(w *world) []string {
	s := w.team.Speaker
	s.Now = w.now
	if c.run && w.snap != nil {
		return incident.Say(s, w.team.Levels, &w.snap.Run)
	}
	return incident.SayAbout(s, w.team.Levels, c.level, c.seen)
}

func (c *callScreen) draw(w *world, a area) {
	width := min(a.w-4, 100)
	rs := c.rows(w, width-4)
	title := []span{bold(rStrong, "WHOM TO CALL")}
	if n := c.now(w); n > 0 {
		title = append(title, txt(rText, "  "), levelBadge(n))
	}
	drawScroll(w, a, width, frame{title: title, right: []span{txt(rDim, "esc")}, heavy: true, role: rHeavy}, rs, nil, c.scroll)
}

func (c *callScreen) rows(w *world, width int) []row {
	var rs []row
	if n := c.now(w); n > 0 {
		for _, l := range w.team.Levels {
			if l.Number == n {
				rs = append(append(rs, wrapped(rDim, l.Response+", within "+incident.Span(l.Recovery), width, 2)...), gap())
			}
		}
	}
	calls := incident.Calls(c.now(w), w.team.Contacts)
	for i, call := range calls {
		key := "   "
		if i < 9 {
			key = " " + itoa(i+1) + " "
		}
		when, role := call.When, rDim
		if call.Now {
			when, role = "call now", rWarn
		}
		if c.run && w.snap != nil {
			if at, by := incident.WasTold(&w.snap.Run, call); !at.IsZero() {
				when, role = "✓ told "+at.UTC().Format("15:04")+" by "+by, rOK
			}
		}
		if width < 90 { // whom and how on one row, why on the next
			rs = append(rs, line(txt(rKeycap, key), bold(rStrong, " "+pad(call.Name, 16)), bold(rText, call.Phone), txt(rText, "  "+call.Email)),
				line(txt(rText, "    "), txt(rDim, call.Role+"   "), txt(role, when)))
			continue
		}
		rs = append(rs, row{left: []span{txt(rKeycap, key), bold(rStrong, " "+pad(call.Name, 16)), txt(rDim, pad(call.Role, 16)), bold(rText, call.Phone)},
			right: []span{txt(role, when)}})
		if call.Email != "" {
			rs = append(rs, row{left: []span{txt(rText, strings.Repeat(" ", 36)+call.Email)}})
		}
	}
	if len(calls) == 0 {
		for i, text := range incident.NoContacts(w.team.File) {
			if i == 0 {
				rs = append(rs, wrapped(rWarn, text, width, 0)...)
				continue
			}
			rs = append(rs, line(txt(rText, "  "+text)))
		}
	}
	rs = append(rs, gap(), row{left: []span{bold(rStrong, "WHAT TO SAY")}, right: []span{bold(rStrong, "y"), txt(rDim, " copies it")}})
	for _, text := range c.words(w) {
		for i, l := range wrap(text, width-2, 0) {
			r := line(txt(rText, "  "+l))
			if i == 0 && strings.HasPrefix(text, "THIS IS A DRILL") {
				r = line(bold(rDrill, "  "+l))
			}
			rs = append(rs, r)
		}
	}
	return rs
}

// levelBadge is a level as a badge: the more serious the louder.
func levelBadge(n int) span {
	badge := [...]widget.Role{rKeycap, rKeycap, rWarnBadge, rFailBadge}[min(max(n, 0), 3)]
	return txt(badge, " "+strings.ToUpper(incident.LevelName(n))+" ")
}
