package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// drillsScreen lists what can be rehearsed, with the last result and when it is due.
// Choosing one opens a card; nothing runs from the list.
type drillsScreen struct {
	at   int
	book string // of the drill that gets the cursor when the list is there; empty: the first one

	training bool // in the order to learn them, for one person
	moved    bool // the cursor of the training is where that person wants it
}

func newDrills() screen { return &drillsScreen{} }

// newDrillsOf has the cursor on a drill of a runbook.
func newDrillsOf(book string) screen { return &drillsScreen{book: book} }

// newTraining lists the drills in the order in which a new colleague learns them, the
// cursor on the first one that they have not passed.
func newTraining() screen { return &drillsScreen{training: true} }

// items are the drills in the order of the screen: those that hurry first, or the simple
// incidents before the grave ones and the whole of an incident before its variants.
func (s *drillsScreen) items(w *world) []DrillItem {
	if !s.training {
		return w.drills.items
	}
	out := slices.Clone(w.drills.items)
	level := func(d DrillItem) int { return cmp.Or(d.Level, 9) }
	slices.SortStableFunc(out, func(a, b DrillItem) int {
		return cmp.Or(cmp.Compare(level(a), level(b)), strings.Compare(a.Scenario, b.Scenario))
	})
	return out
}

// learned says whether whoever sits here has passed a drill.
func (w *world) learned(d *DrillItem) bool { return slices.Contains(d.Passed, w.o.User) }

// nextToLearn is the first drill of a training that is not passed, or the last one.
func (s *drillsScreen) nextToLearn(w *world) int {
	list := s.items(w)
	if i := slices.IndexFunc(list, func(d DrillItem) bool { return !w.learned(&d) }); i >= 0 {
		return i
	}
	return max(len(list)-1, 0)
}

var _ placed = (*drillsScreen)(nil)

func (s *drillsScreen) card() bool           { return false }
func (s *drillsScreen) field() *widget.Field { return nil }
func (s *drillsScreen) place() string        { return "drills" }
func (s *drillsScreen) opens(*world) Intent  { return loadDrills{} }

func (s *drillsScreen) head(w *world) int {
	if w.size.w >= 110 {
		return 3
	}
	return 2
}

// chosen is the drill with the cursor, nil when there is none.
func (s *drillsScreen) chosen(w *world) *DrillItem {
	list := s.items(w)
	if len(list) == 0 {
		return nil
	}
	if s.training && !s.moved {
		s.at = s.nextToLearn(w)
	}
	if i := slices.IndexFunc(list, func(d DrillItem) bool { return d.Book == s.book }); i >= 0 {
		s.at = i
	}
	s.book = ""
	s.at = min(max(s.at, 0), len(list)-1)
	return &list[s.at]
}

func (s *drillsScreen) bindings(w *world) []binding {
	d := s.chosen(w)
	last := max(len(w.drills.items)-1, 0)
	to := func(at func() int) func() Intent {
		return func() Intent { s.at, s.moved = min(max(at(), 0), last), true; return nil }
	}
	none, noResult := "", ""
	switch {
	case d == nil:
		none, noResult = "there are no drills", "there are no drills"
	case d.LastRun == "":
		noResult = "it was never drilled"
	}
	enter := does("enter", "begin", "Begin this drill. It asks how first, and breaks nothing but a sandbox.", func() Intent { return push{&beginScreen{*d, s.training}} })
	if d != nil && d.Open != "" {
		enter = does("enter", "take it up", "Take up the drill that is open.", func() Intent { return openRun{d.Open} })
	}
	look := ""
	if w.o.Look {
		look = "this console is read-only"
	}
	bs := []binding{
		enter.unless(none).unless(look),
		does("r", "last result", "Show how the last drill of it went.", func() Intent { return showRun{d.LastRun} }).named("", "result").unless(noResult),
		{keys: []string{"up", "k"}, show: "up down", help: "move", long: "Move in the list.", act: to(func() int { return s.at - 1 })},
		{keys: []string{"down", "j"}, long: "Next drill.", act: to(func() int { return s.at + 1 })},
		{keys: []string{"pgup", "ctrl+u"}, long: "Ten drills up.", act: to(func() int { return s.at - 10 })},
		{keys: []string{"pgdown", "ctrl+d"}, long: "Ten drills down.", act: to(func() int { return s.at + 10 })},
		{keys: []string{"g", "home"}, long: "To the first drill.", act: to(func() int { return 0 })},
		{keys: []string{"G", "end"}, long: "To the last drill.", act: to(func() int { return last })},
	}
	if s.training {
		bs = append(bs, does("d", "drills due", "All drills, those that hurry first.", wish(replace{newDrills()})))
	} else {
		bs = append(bs, does("t", "training", "The drills in the order to learn them, and what you have passed.", wish(replace{newTraining()})))
	}
	bs = append(bs, placeKeys("drills")...)
	return append(bs, does("esc", "bridge", "Back to the bridge.", wish(goHome{})).unlisted(), does("q", "leave", "Leave the console.", wish(leave{})))
}

func (s *drillsScreen) legend() row {
	if s.training {
		return line(txt(rOK, " ✓ "), txt(rDim, "you have passed it   "), txt(rNow, "▸ "), txt(rDim, "next for you   "), txt(rDim, "○ "), txt(rDim, "not yet"))
	}
	return line(txt(rOK, " ✓ "), txt(rDim, "passed, and it holds   "), txt(rWarn, "▲ "), txt(rDim, "due   "), txt(rFail, "✗ "), txt(rDim, "not passed   "),
		txt(rText, "○ "), txt(rDim, "never drilled"))
}

// drillLook is when a drill is due, as glyph, colour and words.
func drillLook(d *DrillItem, now time.Time) (glyph string, role widget.Role, says string) {
	left := d.Holds.Sub(now)
	switch {
	case d.Open != "":
		return "▸", rNow, "open now"
	case d.Last.IsZero():
		return "○", rText, "never"
	case d.Holds.IsZero() && d.Changed:
		return "▲", rWarn, "runbook changed"
	case d.Score != nil && !d.Score.Passed && d.Late(now):
		return "✗", rFail, "again"
	case d.Late(now):
		return "▲", rWarn, days(-left) + " late"
	case left < 14*24*time.Hour:
		return "▲", rWarn, "in " + days(left)
	}
	return "✓", rOK, "in " + days(left)
}

// days is a long time in days.
func days(d time.Duration) string {
	n := int(d / (24 * time.Hour))
	if n < 1 {
		return "1 day"
	}
	return plural(n, "day", "days")
}

// lastWords is the last result of a drill.
func lastWords(d *DrillItem) string {
	switch {
	case d.LastRun == "":
		return "–"
	case d.Score == nil:
		return "not scored"
	}
	return fmt.Sprintf("%d of %d", d.Score.Points, d.Score.Of)
}

func (s *drillsScreen) draw(w *world, a area) {
	drawBrand(w, a, "drills")
	y := 1
	if wide(a) {
		y = 2
	}
	if s.training {
		a.row(y, s.progress(w))
	} else {
		a.row(y, s.verdict(w))
	}
	body := a.sub(y+1, a.h-y-1-footRows(a))
	detail := 0
	if d := s.chosen(w); d != nil && body.h >= 14 {
		detail = min(9, body.h/2)
	}
	s.drawList(w, body.sub(0, body.h-detail))
	if detail > 0 {
		s.drawDetail(w, body.sub(body.h-detail, detail))
	}
}

// progress says how far whoever sits here has come.
func (s *drillsScreen) progress(w *world) row {
	list := s.items(w)
	n := 0
	for i := range list {
		if w.learned(&list[i]) {
			n++
		}
	}
	switch {
	case w.drills.err != nil || !w.drills.loaded || len(list) == 0:
		return s.verdict(w)
	case n == len(list):
		return line(txt(rOK, "  ✓ "), bold(rOK, "YOU HAVE PASSED ALL OF THEM"), txt(rText, "   "+w.o.User+", every drill that there is"))
	}
	return line(txt(rNow, "  ▸ "), bold(rStrong, fmt.Sprintf("YOU HAVE PASSED %d OF %d", n, len(list))),
		txt(rText, "   next "), bold(rStrong, list[s.nextToLearn(w)].Scenario), txt(rDim, "   simple incidents first, each in a sandbox of its own"))
}

func (s *drillsScreen) verdict(w *world) row {
	late, never := 0, 0
	for i := range w.drills.items {
		switch d := &w.drills.items[i]; {
		case d.Last.IsZero():
			never++
		case d.Late(w.now):
			late++
		}
	}
	switch {
	case w.drills.err != nil:
		return line(txt(rFail, "  ✗ "), txt(rText, w.drills.err.Error()))
	case !w.drills.loaded:
		return line(txt(rDim, "  reading the drills …"))
	case late > 0:
		return line(txt(rWarn, "  ▲ "), bold(rWarn, plural(late, "DRILL IS", "DRILLS ARE")+" DUE"), txt(rText, "   "+plural(never, "was", "were")+" never done."))
	case never > 0:
		return line(txt(rWarn, "  ▲ "), bold(rWarn, plural(never, "DRILL WAS", "DRILLS WERE")+" NEVER DONE"), txt(rText, "   What nobody has practised is a guess."))
	case len(w.drills.items) == 0:
		return line(txt(rDim, "  There are no drills: a test of a runbook that breaks something is one."))
	}
	return line(txt(rOK, "  ✓ "), bold(rOK, "ALL DRILLS HOLD"))
}

func (s *drillsScreen) title(w *world) string {
	if s.training {
		return "TRAINING OF " + w.o.User
	}
	return "DRILLS"
}

// learnLook is where somebody is with a drill of their training.
func (s *drillsScreen) learnLook(w *world, d *DrillItem, i int) (glyph string, role widget.Role, says string) {
	switch {
	case d.Open != "":
		return "▸", rNow, "open now"
	case w.learned(d):
		return "✓", rOK, "you passed"
	case i == s.nextToLearn(w):
		return "▸", rNow, "next for you"
	}
	return "○", rDim, "not yet"
}

// drawList draws one row per drill.
func (s *drillsScreen) drawList(w *world, a area) {
	in := a.box(frame{title: []span{bold(rStrong, s.title(w))}, right: []span{txt(rDim, "in a sandbox of its own, always")}, heavy: true, role: rDrill})
	if in.h < 1 {
		return
	}
	mid, big := a.w >= 78, wide(a)
	head := "DUE            "
	if big {
		head = "LEVEL   LAST DRILL     RESULT        TRAINEE       TAKES   DUE              "
	} else if mid {
		head = "LAST        RESULT       DUE             "
	}
	if s.training {
		head = strings.Replace(head, "DUE", "YOU", 1)
	}
	in.row(0, row{left: []span{txt(rDim, "    SCENARIO")}, right: []span{txt(rDim, head)}})
	list, items := in.sub(1, in.h-1), s.items(w)
	from := min(max(s.at-list.h/2, 0), max(len(items)-list.h, 0))
	for i := from; i < min(len(items), from+list.h); i++ {
		d := &items[i]
		glyph, role, due := drillLook(d, w.now)
		if s.training {
			glyph, role, due = s.learnLook(w, d, i)
		}
		point := "  "
		if i == s.at {
			point = "▸ "
		}
		r := row{tint: i == s.at}
		result := rText
		if d.Score != nil && !d.Score.Passed {
			result = rFail
		}
		level, takes := "", ""
		if d.Level > 0 {
			level = "L" + itoa(d.Level)
		}
		if d.About > 0 {
			takes = clock(d.About)
		}
		switch {
		case big:
			r.right = []span{txt(rDim, pad(level, 8)), txt(rText, pad(day(d.Last, w.now), 15)), txt(result, pad(lastWords(d), 14)), txt(rText, pad(d.Trainee, 12)),
				txt(rText, fmt.Sprintf("%7s   ", takes)), txt(role, pad(due, 17))}
		case mid:
			r.right = []span{txt(rText, pad(day(d.Last, w.now), 12)), txt(result, pad(lastWords(d), 13)), txt(role, pad(due, 16))}
		default:
			r.right = []span{txt(role, pad(due, 15))}
		}
		name := printable.Line(d.Scenario)
		room := list.w - 4 - spansWidth(r.right) - 1
		r.left = []span{txt(rNow, point), txt(role, glyph+" "), bold(rText, widget.Cut(name, room, "…"))}
		if room -= widget.Width(name) + 2; room > 8 {
			r.left = append(r.left, txt(rDim, "  "+widget.Cut(printable.Line(d.Title), room, "…")))
		}
		list.row(i-from, r)
	}
}

// drawDetail says what the chosen drill is about.
func (s *drillsScreen) drawDetail(w *world, a area) {
	d := s.chosen(w)
	in := a.box(frame{title: []span{bold(rStrong, d.Title)}, role: rFrame, right: []span{txt(rDim, "runbook "+d.Book)}})
	rs := wrapped(rText, d.Summary, in.w, 3)
	has := plural(d.Injects, "inject", "injects") + ", " + plural(d.Hints, "hint", "hints") + ", due every " + days(d.Every)
	rs = append(rs, gap(), line(txt(rDim, pad("has", 8)), txt(rText, has)))
	if d.Alarm {
		rs = append(rs, line(txt(rDim, pad("", 8)), txt(rText, "can begin with the alarm: finding the runbook is part of it")))
	}
	if sc := d.Score; sc != nil {
		word, role := "✓ passed", rOK
		if !sc.Passed {
			word, role = "✗ not passed", rFail
		}
		says := []span{txt(rDim, pad("last", 8)), txt(role, word), txt(rText, fmt.Sprintf(" with %d of %d points, %s", sc.Points, sc.Of, day(d.Last, w.now)))}
		if sc.Recovery > 0 && sc.Recovered {
			says = append(says, txt(rText, ", recovered in "+words(sc.Recovery)))
		}
		rs = append(rs, line(says...))
	}
	in.rows(rs)
}

// beginScreen asks how a drill begins.
type beginScreen struct {
	item     DrillItem
	training bool
}

func newBegin(d DrillItem) screen { return &beginScreen{item: d} }

func (s *beginScreen) card() bool           { return true }
func (s *beginScreen) field() *widget.Field { return nil }

// begin breaks the sandbox, which takes some seconds.
func (s *beginScreen) begin(w *world, symptoms bool) Intent {
	book := &Book{Title: s.item.Title, Staged: "First a backup is taken, then this happens for real: " + s.item.Summary}
	if symptoms { // what happens is for the trainee to find out
		book.Title, book.Staged = "A drill from its alarm", "The sandbox is made anew, a backup is taken, and something is broken for real. Then an alarm comes."
	}
	return several{replace{&waitScreen{book: book, mode: run.Drill, since: w.now}}, startDrill{DrillStart{Scenario: s.item.Scenario, Trainee: w.o.User}, symptoms}}
}

func (s *beginScreen) bindings(w *world) []binding {
	off := ""
	if !s.item.Alarm {
		off = "this scenario has no alarm"
	}
	return []binding{
		{show: numbers(2), help: "choose", long: "Choose how it begins."},
		does("1", "", "Begin with the runbook in hand.", func() Intent { return s.begin(w, false) }),
		does("2", "", "Begin with the alarm, and find the runbook.", func() Intent { return s.begin(w, true) }).unless(off),
		does("esc", "go back", "Go back. Nothing has begun.", wish(pop{})),
	}
}

func (s *beginScreen) draw(w *world, a area) {
	width := min(a.w-4, 80)
	rs := append([]row{gap(), line(bold(rStrong, s.item.Title))}, wrapped(rText, s.item.Summary, width-4, 5)...)
	rs = append(rs, gap(), line(txt(rKeycap, " 1 "), bold(rStrong, "  begin with the runbook "+s.item.Book)))
	role, says := rStrong, "  begin with the alarm, and find the runbook"
	if !s.item.Alarm {
		role, says = rFaint, "  begin with the alarm: this scenario has none"
	} else if s.training {
		says += ", as on a real night"
	}
	rs = append(rs, line(txt(rKeycap, " 2 "), bold(role, says)), gap())
	rs = append(rs, extra(wrapped(rDim, "The sandbox is made anew and really broken. Its files and keys are its own; nothing real can be reached. Injects want an answer, hints cost points.", width-4, 3))...)
	rs = append(rs, row{right: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing has begun")}})
	drawCard(w, a, width, frame{title: []span{txt(rDrillBadge, " BEGIN THE DRILL? ")}, heavy: true, role: rDrill}, rs)
}
