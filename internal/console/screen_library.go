package console

import (
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// libraryScreen answers which runbook is the right one, and whether it can be trusted
// tonight. What is typed searches at once. Nothing on it runs anything.
type libraryScreen struct {
	search widget.Field
	at     int // row of the chosen runbook
}

func newLibrary() screen { return &libraryScreen{} }

var _ placed = (*libraryScreen)(nil)

func (l *libraryScreen) card() bool           { return false }
func (l *libraryScreen) field() *widget.Field { return &l.search }
func (l *libraryScreen) place() string        { return "library" }

// instant: the first letters of a search are not lost, and none of them can do harm.
func (l *libraryScreen) instant() bool { return true }

func (l *libraryScreen) head(w *world) int {
	n := len(owedRows(w)) + 1
	if w.size.w >= 110 {
		n++
	}
	return n
}

// found sorts the library: what matches the search first, the others after it.
func (l *libraryScreen) found(w *world) (books []*Book, hits int) {
	terms := strings.Fields(strings.ToLower(l.search.Value()))
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
func (l *libraryScreen) book(w *world) *Book {
	books, _ := l.found(w)
	if len(books) == 0 {
		return nil
	}
	return books[min(max(l.at, 0), len(books)-1)]
}

func (l *libraryScreen) bindings(w *world) []binding {
	move := func(by int) func() Intent {
		return func() Intent { l.at = min(max(l.at+by, 0), max(len(w.books)-1, 0)); return nil }
	}
	noBook := ""
	if l.book(w) == nil {
		noBook = "there is no runbook"
	}
	esc := does("esc", "bridge", "Back to the bridge.", wish(goHome{}))
	if !l.search.Empty() {
		esc = does("esc", "clear", "Clear the search.", func() Intent { l.search.Reset(""); l.at = 0; return nil })
	}
	return []binding{
		{show: "type", help: "to search", brief: "search", long: "Type words of a name, a title or a symptom."},
		{keys: []string{"up"}, show: "up down", help: "move", long: "Move in the list.", act: move(-1)},
		{keys: []string{"down"}, long: "Next in the list.", act: move(1)},
		{keys: []string{"pgup"}, long: "Ten up.", act: move(-10)},
		{keys: []string{"pgdown"}, long: "Ten down.", act: move(10)},
		does("enter", "open the plan", "Open the plan of the runbook. Runs nothing.", func() Intent {
			return push{newPlan(w, l.book(w))}
		}).named("", "plan").unless(noBook),
		esc,
		callKey(w, true),
	}
}

func (l *libraryScreen) remark(*world) string { return "read-only here" }

func (l *libraryScreen) legend() row {
	return line(txt(rOK, " ✓ "), txt(rDim, "last run complete   "), txt(rWarn, "▲ "), txt(rDim, "look at this   "),
		txt(rFail, "✗ "), txt(rDim, "broken, or not complete   "), txt(rText, "○ "), txt(rDim, "runs itself   "),
		txt(rText, "□ "), txt(rDim, "you do it   "), txt(rGate, "◆ "), txt(rDim, "typed token"))
}

func (l *libraryScreen) draw(w *world, a area) {
	drawBrand(w, a, l.place())
	y := 1
	if wide(a) {
		y = 2
	}
	for _, r := range owedRows(w) {
		a.row(y, r)
		y++
	}
	l.drawSearch(a.sub(y, 3))
	body := a.sub(y+3, a.h-y-3-footRows(a))
	if wide(a) {
		left, right := body.split(48)
		l.drawList(w, left)
		l.drawBook(w, right)
		return
	}
	list := min(len(w.books)+2, max(body.h*4/9, 4))
	l.drawList(w, body.sub(0, list))
	l.drawBook(w, body.sub(list, body.h-list))
}

func (l *libraryScreen) drawSearch(a area) {
	in := a.box(frame{title: []span{bold(rStrong, "FIND A RUNBOOK")}, right: []span{txt(rDim, "name, title or symptom")}, role: rFrame})
	before, at, after := l.search.View(in.w - 2)
	in.row(0, line(bold(rStrong, before), span{at, rStrong, widget.Invert}, bold(rStrong, after)))
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

func (l *libraryScreen) drawList(w *world, a area) {
	books, hits := l.found(w)
	title := []span{bold(rStrong, plural(len(books), "RUNBOOK", "RUNBOOKS"))}
	if !l.search.Empty() {
		title = []span{bold(rStrong, plural(hits, "MATCH", "MATCHES")), txt(rDim, "  \""+l.search.Value()+"\"")}
	}
	in := a.box(frame{title: title, right: []span{txt(rDim, "last run")}, role: rFrame})
	at := min(max(l.at, 0), max(len(books)-1, 0))
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
		if here {
			point = "▸ "
		}
		if here || i < hits && !l.search.Empty() {
			name.attr = widget.Bold
		}
		r := row{left: []span{txt(rNow, point), name, txt(rDim, " "+pad(levelWord(b), 8))},
			right: []span{txt(rDim, day(b.LastRun, w.now)+" "), bookMark(b)}, tint: here}
		if in.w >= 60 {
			r.left = append(r.left, txt(rDim, b.Title))
		}
		rs = append(rs, r)
		if two {
			rs = append(rs, line(txt(rFaint, "    "+why(b, l.search.Value()))))
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
