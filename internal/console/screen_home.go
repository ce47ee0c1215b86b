package console

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// homeScreen is the first one: is anything open, which runbook is the right one, can
// it be trusted. Nothing on it runs anything.
type homeScreen struct {
	search widget.Field
	typing bool
	at     int  // row of the library
	onRuns bool // the list of runs has the cursor
	run    int  // row of the runs
}

func newHome() screen { return &homeScreen{} }

func (h *homeScreen) card() bool { return false }

func (h *homeScreen) field() *widget.Field {
	if h.typing {
		return &h.search
	}
	return nil
}

// found sorts the library: what matches the search first, the others after it.
func (h *homeScreen) found(w *world) (books []*Book, hits int) {
	terms := strings.Fields(strings.ToLower(h.search.Value()))
	var rest []*Book
	for i := range w.books {
		b := &w.books[i]
		if matches(b, terms) {
			books = append(books, b)
		} else {
			rest = append(rest, b)
		}
	}
	return append(books, rest...), len(books)
}

func matches(b *Book, terms []string) bool {
	text := strings.ToLower(strings.Join(append([]string{b.Name, b.Title, b.Kind, b.Summary}, b.When...), " "))
	for _, t := range terms {
		if !strings.Contains(text, t) {
			return false
		}
	}
	return true
}

// book is the chosen one; nil when there is none.
func (h *homeScreen) book(w *world) *Book {
	books, _ := h.found(w)
	if len(books) == 0 {
		return nil
	}
	return books[min(max(h.at, 0), len(books)-1)]
}

// open are the runs that have not ended.
func open(w *world) []Summary {
	return slices.DeleteFunc(slices.Clone(w.runs), func(s Summary) bool { return s.Outcome != "" })
}

func visit(s Summary) Intent {
	if s.Outcome == "" {
		return openRun{s.ID}
	}
	return showRun{s.ID}
}

func (h *homeScreen) bindings(w *world) []binding {
	move := func(by int) func() Intent {
		return func() Intent {
			if h.onRuns {
				h.run = min(max(h.run+by, 0), max(len(w.runs)-1, 0))
			} else {
				h.at = min(max(h.at+by, 0), max(len(w.books)-1, 0))
			}
			return nil
		}
	}
	runs := open(w)
	noRun, noRuns, noBook := "", "", ""
	if len(runs) == 0 {
		noRun = "no run is open"
	}
	if len(w.runs) == 0 {
		noRuns = "there are no runs yet"
	}
	if h.book(w) == nil {
		noBook = "there is no runbook"
	}
	updown := []binding{
		{keys: []string{"up"}, show: "up down", help: "move", long: "Move in the list.", act: move(-1)},
		{keys: []string{"down"}, long: "Next in the list.", act: move(1)},
		{keys: []string{"pgup"}, long: "Ten up.", act: move(-10)},
		{keys: []string{"pgdown"}, long: "Ten down.", act: move(10)},
	}
	enter := does("enter", "open the plan", "Open the plan of the runbook. Runs nothing.", func() Intent {
		h.typing = false
		return push{newPlan(w, h.book(w))}
	}).named("", "plan").unless(noBook)
	if h.typing {
		return append([]binding{
			{show: "type", help: "to search", long: "Type words of a name, a title or a symptom."}, enter,
			does("esc", "clear", "Clear the search.", func() Intent { h.typing = false; h.search.Reset(""); h.at = 0; return nil }),
			does("tab", "done", "Leave the search field, keep what it found.", func() Intent { h.typing = false; return nil }),
		}, updown...)
	}
	if h.onRuns {
		enter = does("enter", "open the run", "Attach to an open run, or show the result of one that ended.", func() Intent {
			return visit(w.runs[min(h.run, len(w.runs)-1)])
		}).unless(noRuns)
	}
	other := "runs"
	if h.onRuns {
		other = "runbooks"
	}
	var bs []binding
	if p, ok := w.place(nil); ok {
		bs = triageKeys(p.Question, func(n int) Intent { return push{&triageScreen{given: []int{n}}} })
	}
	bs = append(bs,
		does("a", "attach to the open run", "Attach to the open run. It shows the run; gates still ask you.", func() Intent { return openRun{runs[0].ID} }).named("", "attach").unless(noRun),
		does("/", "find a runbook", "Search names, titles and symptoms.", func() Intent { h.typing, h.onRuns = true, false; return nil }).named("", "find"),
		enter, callKey(w, false))
	bs = append(bs, updown...)
	return append(bs,
		does("tab", other, "Go between runbooks and runs.", func() Intent { h.onRuns = !h.onRuns; return nil }).unless(noRuns),
		does("esc", "", "Clear the search.", func() Intent { h.search.Reset(""); h.onRuns = false; return nil }),
		does("q", "leave", "Leave the console. Open runs go on.", wish(leave{})))
}

func (h *homeScreen) legend() row {
	return line(txt(rOK, " ✓ "), txt(rDim, "last run complete   "), txt(rWarn, "▲ "), txt(rDim, "look at this   "),
		txt(rFail, "✗ "), txt(rDim, "broken, or not complete   "), txt(rText, "○ "), txt(rDim, "runs itself   "),
		txt(rText, "□ "), txt(rDim, "you do it   "), txt(rGate, "◆ "), txt(rDim, "typed token"))
}

// searching says whether the library has the screen.
func (h *homeScreen) searching() bool { return h.typing || !h.search.Empty() }

func (h *homeScreen) draw(w *world, a area) {
	where := "home"
	if h.searching() {
		where = "library"
	}
	drawBrand(w, a, where)
	y := 1
	if wide(a) {
		y = 2
	}
	y = drawVerdict(w, a, y)
	for _, r := range owedRows(w) {
		a.row(y, r)
		y++
	}
	if wide(a) && a.h >= 30 && w.o.Mode != run.Drill {
		y++
	}
	if !h.searching() {
		h.drawHome(w, a.sub(y, a.h-y-footRows(a)))
		return
	}
	box := a.sub(y, 3)
	h.drawSearch(w, box)
	body := a.sub(y+3, a.h-y-3-footRows(a))
	if wide(a) {
		left, right := body.split(48)
		runs := runRows(w, left.w-4, h)
		high := 0
		if len(runs) > 0 {
			high = min(len(runs)+2, left.h/2)
		}
		h.drawList(w, left.sub(0, left.h-high))
		h.drawRuns(w, left.sub(left.h-high, high), runs)
		h.drawBook(w, right)
		return
	}
	runs := runRows(w, body.w-4, h)
	high := min(len(runs), 1)
	if h.onRuns {
		high = min(len(runs), body.h/2)
	}
	if high > 0 {
		high += 2
	}
	list := min(len(w.books)+2, max((body.h-high)*4/9, 4))
	h.drawList(w, body.sub(0, list))
	h.drawBook(w, body.sub(list, body.h-list-high))
	h.drawRuns(w, body.sub(body.h-high, high), runs)
}

// drawVerdict says where you are, and what needs somebody now. It returns the row below.
func drawVerdict(w *world, a area, y int) int {
	if w.o.Mode != run.Drill {
		a.row(y, verdict(w))
		return y + 1
	}
	says := "Everything here is real and may be broken. Pick a runbook: what it repairs is broken first."
	switch {
	case a.w < 80:
		says = "Real, and yours to break. Pick a runbook."
	case a.w < 110:
		says = "Real, and may be broken: what a runbook repairs is broken first."
	}
	sandbox := line(txt(rText, " "), txt(rDrillBadge, " SANDBOX "), txt(rText, "  "+says))
	if wide(a) {
		a.row(y, sandbox)
		a.row(y+1, verdict(w))
		return y + 2
	}
	if len(open(w)) > 0 {
		sandbox = verdict(w)
	}
	a.row(y, sandbox)
	return y + 1
}

// verdict is one line in words: what needs somebody now.
func verdict(w *world) row {
	runs := open(w)
	broken, flawed := 0, 0
	for i := range w.books {
		switch b := &w.books[i]; {
		case b.Broken:
			broken++
		case len(b.Problems) > 0:
			flawed++
		}
	}
	library := plural(len(w.books), "runbook", "runbooks")
	switch {
	case broken > 0:
		library += ", " + itoa(broken) + " cannot be run"
	case flawed > 0:
		library += ", " + itoa(flawed) + " with remarks"
	case len(w.books) > 0:
		library += ", all sound"
	}
	if !w.loaded {
		return line(txt(rDim, "  reading the runbooks …"))
	}
	if len(runs) == 0 {
		return line(txt(rOK, "  ✓ "), bold(rOK, "NO RUN IS OPEN"), txt(rText, "   "+library+"."))
	}
	s := runs[0]
	says := s.Book + " is at step " + itoa(min(s.Done+1, max(s.Steps, 1))) + " of " + itoa(s.Steps) + "."
	if s.Gate != "" {
		says = s.Book + " waits for a person at step " + itoa(min(s.Done+1, max(s.Steps, 1))) + " of " + itoa(s.Steps) + "."
	}
	if !s.Hosted {
		says = s.Book + " stopped at step " + itoa(min(s.Done+1, max(s.Steps, 1))) + ": nothing drives it. Attach to take it up."
	}
	head := "A RUN IS OPEN"
	if len(runs) > 1 {
		head = itoa(len(runs)) + " RUNS ARE OPEN"
	}
	return line(txt(rWarn, "  ▲ "), bold(rWarn, head), txt(rText, "   "+says))
}

func (h *homeScreen) drawSearch(w *world, a area) {
	role := rFrame
	if h.typing {
		role = rHeavy
	}
	in := a.box(frame{title: []span{bold(rStrong, "FIND A RUNBOOK")}, right: []span{txt(rDim, "name, title or symptom")}, role: role})
	switch {
	case h.typing:
		before, at, after := h.search.View(in.w - 2)
		in.row(0, line(bold(rStrong, before), span{at, rStrong, widget.Invert}, bold(rStrong, after)))
	case h.search.Empty():
		in.row(0, line(bold(rStrong, "/"), txt(rDim, " to search")))
	default:
		in.row(0, line(bold(rStrong, h.search.Value()), txt(rDim, "   esc clears")))
	}
}

// bookMark says with one glyph whether a runbook can be trusted.
func bookMark(b *Book) span {
	switch {
	case b.Broken:
		return txt(rFail, "✗")
	case b.LastOutcome == run.NotComplete || b.LastOutcome == run.Aborted:
		return txt(rFail, "✗")
	case len(b.Problems) > 0 || b.LastOutcome == run.CompleteWithOverrides:
		return txt(rWarn, "▲")
	case b.LastOutcome == run.Complete:
		return txt(rOK, "✓")
	}
	return txt(rFaint, "·")
}

func levelWord(b *Book) string {
	if b.Level > 0 {
		return "L" + itoa(b.Level)
	}
	if b.Kind == "verification" {
		return "verify"
	}
	return b.Kind
}

func (h *homeScreen) drawList(w *world, a area) {
	books, hits := h.found(w)
	title := []span{bold(rStrong, plural(len(books), "RUNBOOK", "RUNBOOKS"))}
	if !h.search.Empty() {
		title = []span{bold(rStrong, plural(hits, "MATCH", "MATCHES")), txt(rDim, "  \""+h.search.Value()+"\"")}
	}
	in := a.box(frame{title: title, right: []span{txt(rDim, "last run")}, role: rFrame})
	at := min(max(h.at, 0), max(len(books)-1, 0))
	two := len(books)*2 <= in.h && in.w < 60
	var rs []row
	chosen := 0
	for i, b := range books {
		if i == hits && hits > 0 && hits < len(books) {
			rs = append(rs, gap(), line(txt(rFaint, "  the other "+itoa(len(books)-hits))))
		}
		here := i == at
		if here {
			chosen = len(rs)
		}
		point, name := "  ", txt(rText, pad(b.Name, min(28, in.w-20)))
		if here && !h.onRuns {
			point = "▸ "
		}
		if here || i < hits && !h.search.Empty() {
			name.attr = widget.Bold
		}
		r := row{left: []span{txt(rNow, point), name, txt(rDim, " "+pad(levelWord(b), 8))},
			right: []span{txt(rDim, day(b.LastRun, w.now)+" "), bookMark(b)}, tint: here && !h.onRuns}
		if in.w >= 60 {
			r.left = append(r.left, txt(rDim, b.Title))
		}
		rs = append(rs, r)
		if two {
			rs = append(rs, line(txt(rFaint, "    "+why(b, h.search.Value()))))
		}
	}
	if len(books) == 0 && w.loaded {
		rs = wrapped(rDim, "There is no runbook. Write one in runbooks/, or point --runbooks at a folder.", in.w, 0)
	}
	from := min(max(chosen-in.h/2, 0), max(len(rs)-in.h, 0))
	for i := from; i < min(len(rs), from+in.h); i++ {
		in.row(i-from, rs[i])
	}
}

// why shows the symptom that the search has found, else the title.
func why(b *Book, search string) string {
	if terms := strings.Fields(strings.ToLower(search)); len(terms) > 0 {
		for _, s := range b.When {
			if strings.Contains(strings.ToLower(s), terms[0]) {
				return inline(s)
			}
		}
	}
	return b.Title
}

// runRows lists the open runs, then the last results.
func runRows(w *world, width int, h *homeScreen) []row {
	var rs []row
	for i, s := range w.runs {
		here := h.onRuns && i == min(h.run, len(w.runs)-1)
		if i >= 8 && !here {
			continue
		}
		word, badge, _ := modeLook(s.Mode)
		r := row{tint: here}
		if s.Outcome == "" {
			where := "step " + itoa(min(s.Done+1, max(s.Steps, 1))) + " of " + itoa(s.Steps)
			if s.Gate != "" {
				where += ", waits"
			}
			r.left = []span{txt(badge, " "+word+" "), bold(rStrong, " "+s.Book)}
			r.right = []span{txt(rWarn, where), txt(rText, "  "), bold(rStrong, "a")}
		} else {
			glyph, role, _ := outcomeLook(s.Outcome)
			r.left = []span{txt(role, glyph+" "), txt(rDim, fmt.Sprintf("%6s  ", day(s.Last, w.now))), txt(rDim, pad(strings.ToLower(word), 8)), txt(rText, s.Book)}
			r.right = []span{txt(rDim, words(s.Last.Sub(s.At)))}
		}
		rs = append(rs, r)
	}
	return rs
}

func (h *homeScreen) drawRuns(w *world, a area, rs []row) {
	if a.h < 3 {
		return
	}
	title, role := "LAST RESULTS", rFrame
	if n := len(open(w)); n > 0 {
		title = "OPEN RUNS AND LAST RESULTS"
		_, _, role = modeLook(open(w)[0].Mode)
	}
	in := a.box(frame{title: []span{bold(rStrong, title)}, right: []span{txt(rDim, "tab")}, role: role})
	at := max(slices.IndexFunc(rs, func(r row) bool { return r.tint }), 0)
	from := min(max(at-in.h+1, 0), max(len(rs)-in.h, 0))
	for i := from; i < min(len(rs), from+in.h); i++ {
		in.row(i-from, rs[i])
	}
}
