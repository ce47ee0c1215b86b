package console

import (
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/estate"
)

// homeScreen is the bridge, the first screen: would we get it back, and what happened?
// Nothing on it runs anything.
type homeScreen struct {
	at     int  // row of the board
	chosen bool // the board has a cursor: somebody has moved
	run    int  // row of what has ended
	onRuns bool // the keyboard is there
}

func newHome() screen { return &homeScreen{} }

var _ placed = (*homeScreen)(nil)

func (h *homeScreen) card() bool           { return false }
func (h *homeScreen) field() *widget.Field { return nil }
func (h *homeScreen) place() string        { return "bridge" }
func (h *homeScreen) remark(w *world) string {
	if w.size.w < 110 {
		return "runs nothing" // the keys need the room
	}
	return "nothing runs from here"
}
func (h *homeScreen) head(w *world) int {
	n := 2
	if w.size.w >= 110 {
		n = 3
		if w.sandbox() {
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

// asset is the chosen one; nil when nobody has chosen.
func (h *homeScreen) asset(w *world) *estate.Readiness {
	list := h.listed(w)
	if !h.chosen || h.onRuns || len(list) == 0 {
		return nil
	}
	return &list[min(h.at, len(list)-1)]
}

// move moves in the list that has the keyboard. The first key only shows the cursor.
func (h *homeScreen) move(w *world, by int) Intent {
	switch {
	case h.onRuns:
		h.run = min(max(h.run+by, 0), max(len(endedRuns(w))-1, 0))
	case !h.chosen:
		h.chosen, h.at = true, 0
		if by < 0 {
			h.at = max(len(w.board.Assets)-1, 0)
		}
	default:
		h.at = min(max(h.at+by, 0), max(len(w.board.Assets)-1, 0))
	}
	return nil
}

func (h *homeScreen) bindings(w *world) []binding {
	const far = 1 << 20
	runs, ended := open(w), endedRuns(w)
	noRun, noPast, noAsset := "", "", ""
	if len(runs) == 0 {
		noRun = "no run is open"
	}
	if len(ended) == 0 {
		noPast = "there are no runs yet"
	}
	if h.asset(w) == nil {
		noAsset = "choose an asset with up and down first"
	}
	var bs []binding
	if p, ok := w.place(nil); ok {
		bs = triageKeys(p.Question, func(n int) Intent { return push{&triageScreen{given: []int{n}, since: w.now}} })
	}
	places := placeKeys(h.place())
	for i := range places { // the others stand behind what a responder needs first
		if slices.Contains(places[i].keys, "/") {
			places[i].help, places[i].brief = "find a runbook", "find"
			bs = append(bs, places[i])
		}
	}
	bs = append(bs,
		does("a", "attach", "Attach to the open run. It shows the run; gates still ask you.", func() Intent { return openRun{runs[0].ID} }).unless(noRun),
		takeOver(w, runs),
		does("d", "drill", "What can be rehearsed, and what is due. Nothing begins at once.", func() Intent { return push{newDrills()} }),
		does("t", "training", "The drills in the order to learn them, for a new colleague. Nothing begins at once.", func() Intent { return push{newTraining()} }).unlisted())
	for _, p := range places {
		if !slices.Contains(p.keys, "/") {
			bs = append(bs, p)
		}
	}
	enter := does("enter", "why", "Show why the chosen asset has its verdict, and all that mends it.", func() Intent {
		return push{&assetScreen{name: h.asset(w).Asset.Name}}
	}).unless(noAsset)
	other := "Go to the last drills and runs."
	if h.onRuns {
		enter = does("enter", "open it", "Show what came of the chosen run.", func() Intent { return showRun{ended[min(h.run, len(ended)-1)].ID} }).unless(noPast)
		other = "Go to the board."
	}
	mend := w.mend(w.gapOf(h.asset(w)))
	return append(bs, enter, mend, reviewsKey(w),
		binding{keys: []string{"r"}, long: "Read the vault again, and compute the board anew.", act: wish(loadBoard{ask: true})},
		binding{keys: []string{"up", "k"}, long: "Move in the board.", act: func() Intent { return h.move(w, -1) }},
		binding{keys: []string{"down", "j"}, long: "Next in the board.", act: func() Intent { return h.move(w, 1) }},
		binding{keys: []string{"pgup"}, long: "Ten up.", act: func() Intent { return h.move(w, -10) }},
		binding{keys: []string{"pgdown"}, long: "Ten down.", act: func() Intent { return h.move(w, 10) }},
		binding{keys: []string{"g", "home"}, long: "To the first.", act: func() Intent { return h.move(w, -far) }},
		binding{keys: []string{"G", "end"}, long: "To the last.", act: func() Intent { return h.move(w, far) }},
		binding{keys: []string{"tab"}, long: other, act: func() Intent { h.onRuns = !h.onRuns; return nil }}.unless(noPast),
		binding{keys: []string{"esc"}, long: "Take the cursor away.", act: func() Intent { h.chosen, h.onRuns = false, false; return nil }},
		does("q", "leave", "Leave the console. Open runs go on.", wish(leave{})))
}

// takeOver attaches to the open run and asks its driver for it. The driver decides.
func takeOver(w *world, runs []Summary) binding {
	b := binding{keys: []string{"A"}, long: "Attach to the open run, and ask its driver for it. Nothing changes hands before they answer."}
	switch {
	case len(runs) == 0:
		return b.unless("no run is open")
	case w.o.Look:
		return b.unless("this console is read-only")
	case !runs[0].Hosted:
		return b.unless("nothing drives it; a takes it up")
	}
	b.act = wish(several{openRun{runs[0].ID}, askDrive{runs[0].ID}})
	return b
}

func (h *homeScreen) legend() row {
	return line(txt(rOK, " ✓ "), txt(rDim, "could be recovered now, in time, with proof   "), txt(rWarn, "▲ "), txt(rDim, "look at this   "),
		txt(rFail, "✗ "), txt(rDim, "a promise is broken   "), txt(rWarn, "? "), txt(rDim, "not known"))
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
	y = bridgeTop(w, a)
	body := a.sub(y, a.h-y-footRows(a))
	if wide(a) {
		h.drawWide(w, body)
		return
	}
	h.drawNarrow(w, body)
}

// bridgeTop is how many rows stand above the board: the tabs, the verdict, what is owed.
func bridgeTop(w *world, a area) int {
	switch owed := len(owedRows(w)); {
	case !wide(a):
		return 2 + owed
	case w.sandbox() || a.h >= 30:
		return 4 + owed
	default:
		return 3 + owed
	}
}

// boardHeight is what the board takes of the screen: all assets where they fit beside what
// must never be pushed away.
func boardHeight(w *world, a area) int {
	room := a.h - bridgeTop(w, a) - footRows(a) - whatRows - 4
	if wide(a) {
		room = a.h - bridgeTop(w, a) - footRows(a) - 20
	}
	return min(max(len(w.board.Assets), 1)+3, max(room, 6))
}

// whatRows is the height of what happened where room is short.
const whatRows = 6

// drawWide has two columns below the board: what happened and what came of the last runs
// beside what is open, what is due, and whom to call.
func (h *homeScreen) drawWide(w *world, a area) {
	high := boardHeight(w, area{w: w.size.w, h: w.size.h})
	h.drawBoard(w, a.sub(0, high))
	left, right := a.sub(high, a.h-high).split(a.w / 2)
	what := left.h
	if left.h >= 13 {
		what = min(15, left.h-4)
	}
	drawWhat(w, left.sub(0, what), true)
	h.drawPast(w, left.sub(what, left.h-what))

	y := 0
	if n := len(open(w)); n > 0 {
		y = min(4+2*n, max(right.h/2, 6))
		h.drawOpen(w, right.sub(0, y))
	}
	people := max(len(w.team.Contacts), 1) + 2
	due := min(len(w.board.Due)+len(reviewRow(w, 0))+2, max(right.h-y-people, 5))
	if due == 2 {
		due = 4
	}
	drawDue(w, right.sub(y, due))
	drawCalls(w, right.sub(y+due, right.h-y-due))
}

// drawNarrow is one column: the board, what happened, and now.
func (h *homeScreen) drawNarrow(w *world, a area) {
	const what = whatRows
	high := boardHeight(w, area{w: w.size.w, h: w.size.h})
	h.drawBoard(w, a.sub(0, high))
	drawWhat(w, a.sub(high, what), false)
	y := high + what
	now := a.h - y
	if rest := now - 5 - len(open(w)); rest >= 3 {
		now -= rest
		people := 0
		if rest >= 8 {
			people = min(len(w.team.Contacts)+2, rest/2)
		}
		h.drawPast(w, a.sub(y+now, rest-people))
		drawCalls(w, a.sub(y+now+rest-people, people))
	}
	h.drawNow(w, a.sub(y, now))
}

// drawVerdict says in one line how things stand. It returns the row below.
func drawVerdict(w *world, a area, y int) int {
	r := verdict(w, a.w)
	if !w.sandbox() {
		a.row(y, r)
		return y + 1
	}
	says := "Everything here is real and may be broken. Pick a runbook: what it repairs is broken first."
	if w.board.Practice {
		says = "No lifeboat.yaml here: this is a place to practise. lifeboat init writes one for your own estate."
	}
	if wide(a) {
		a.row(y, line(txt(rText, " "), txt(rDrillBadge, " SANDBOX "), txt(rText, "  "+says)))
		a.row(y+1, r)
		return y + 2
	}
	r.left = append([]span{txt(rText, " "), txt(rDrillBadge, " SANDBOX ")}, r.left...)
	r.right = nil
	a.row(y, r)
	return y + 1
}

// verdict is the verdict about everything, and how fresh it is.
func verdict(w *world, width int) row {
	b := &w.board
	sum := b.sum()
	says := sum.Text
	if width < 110 {
		says, _, _ = strings.Cut(sum.Text, ". ")
		says = strings.TrimSuffix(says, ".")
	}
	r := row{}
	if width >= 70 || b.asking {
		r.right = []span{txt(rDim, checkedWords(w)+" ")}
	}
	put := func(glyph string, head, says string, role widget.Role) row {
		r.left = []span{txt(role, " "+glyph+" "), bold(role, head), txt(rText, "   "+says)}
		if width >= 110 {
			r.left[0].text = " " + r.left[0].text
		}
		return r
	}
	switch {
	case b.err != nil:
		return put("?", "NOT KNOWN", "The board cannot be computed.", rWarn)
	case !b.known:
		return put("·", "READING", "What this machine knows is being read.", rDim)
	case b.Unread != "" && sum.All > 0:
		return put("?", "NOT KNOWN", "The vault cannot be read: "+cause(b.Unread, max(width-58, 24)), rWarn)
	case sum.All > 0 && sum.Ready == sum.All:
		return put("✓", sum.Head, says, rOK)
	case sum.Known == 0 && b.asking:
		return put("·", sum.Head, says, rDim)
	}
	role, glyph := rWarn, "▲"
	if sum.Ready == 0 && sum.Backed && !w.sandbox() {
		role, glyph = rFail, "✗"
	}
	return put(glyph, sum.Head, says, role)
}

// cause is an error as short as it must be: what is at the end of its chain says most.
func cause(text string, most int) string {
	for len(text) > most {
		_, rest, ok := strings.Cut(text, ": ")
		if !ok {
			break
		}
		text = rest
	}
	return text
}

// checkedWords is how fresh the board is.
func checkedWords(w *world) string {
	b := &w.board
	switch ago := w.now.Sub(b.Checked); {
	case b.asking:
		return "reading the vault …"
	case !b.known:
		return ""
	case b.Checked.IsZero():
		return "vault never read"
	case ago < 2*time.Second:
		return "checked just now"
	default:
		return "checked " + estate.Long(ago) + " ago"
	}
}
