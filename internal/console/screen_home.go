package console

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// homeScreen is the bridge, the first screen: is anything open, and what happened?
// Nothing on it runs anything.
type homeScreen struct {
	run int // row of the runs
}

func newHome() screen { return &homeScreen{} }

var _ placed = (*homeScreen)(nil)

func (h *homeScreen) card() bool           { return false }
func (h *homeScreen) field() *widget.Field { return nil }
func (h *homeScreen) place() string        { return "bridge" }

func (h *homeScreen) head(w *world) int {
	n := 2
	if w.size.w >= 110 {
		n = 3
		if w.o.Mode == run.Drill {
			n++
		}
	}
	return n + len(owedRows(w))
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
		return func() Intent { h.run = min(max(h.run+by, 0), max(len(w.runs)-1, 0)); return nil }
	}
	runs := open(w)
	noRun, noRuns := "", ""
	if len(runs) == 0 {
		noRun = "no run is open"
	}
	if len(w.runs) == 0 {
		noRuns = "there are no runs yet"
	}
	var bs []binding
	if p, ok := w.place(nil); ok {
		bs = triageKeys(p.Question, func(n int) Intent { return push{&triageScreen{given: []int{n}}} })
	}
	bs = append(bs, does("a", "attach to the open run", "Attach to the open run. It shows the run; gates still ask you.", func() Intent { return openRun{runs[0].ID} }).named("", "attach").unless(noRun))
	bs = append(bs, placeKeys(h.place())...)
	return append(bs, callKey(w, false),
		binding{keys: []string{"up", "k"}, show: "up down", help: "runs", long: "Move in the runs.", act: move(-1)}.unless(noRuns),
		binding{keys: []string{"down", "j"}, long: "Next run.", act: move(1)}.unless(noRuns),
		does("enter", "open the run", "Attach to an open run, or show the result of one that ended.", func() Intent {
			return visit(w.runs[min(h.run, len(w.runs)-1)])
		}).named("", "run").unless(noRuns),
		does("q", "leave", "Leave the console. Open runs go on.", wish(leave{})))
}

func (h *homeScreen) legend() row {
	return line(txt(rOK, " ✓ "), txt(rDim, "last run complete   "), txt(rWarn, "▲ "), txt(rDim, "look at this   "),
		txt(rFail, "✗ "), txt(rDim, "broken, or not complete   "), txt(rText, "○ "), txt(rDim, "runs itself   "),
		txt(rText, "□ "), txt(rDim, "you do it   "), txt(rGate, "◆ "), txt(rDim, "typed token"))
}

func (h *homeScreen) draw(w *world, a area) {
	drawBrand(w, a, h.place())
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
	h.drawHome(w, a.sub(y, a.h-y-footRows(a)))
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

// runRows lists the open runs, then the last results.
func runRows(w *world, width int, h *homeScreen) []row {
	var rs []row
	for i, s := range w.runs {
		here := i == min(h.run, len(w.runs)-1)
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
	in := a.box(frame{title: []span{bold(rStrong, title)}, right: []span{txt(rDim, "enter")}, role: role})
	at := max(slices.IndexFunc(rs, func(r row) bool { return r.tint }), 0)
	from := min(max(at-in.h+1, 0), max(len(rs)-in.h, 0))
	for i := from; i < min(len(rs), from+in.h); i++ {
		in.row(i-from, rs[i])
	}
}
