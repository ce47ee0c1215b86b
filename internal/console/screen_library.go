package console

import (
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
)

// libraryScreen answers which runbook is the right one, and whether it can be trusted
// tonight. What is typed searches at once. Nothing on it runs anything.
type libraryScreen struct {
	search widget.Field
	filter string // what [levelWord] says of those that are wanted; empty: all
	at     int    // row of the chosen runbook
	memo   shelfView
}

func newLibrary() screen { return &libraryScreen{} }

var (
	_ placed = (*libraryScreen)(nil)
	_ asker  = (*libraryScreen)(nil)
)

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

// stack is all by which a runbook is found.
func (b *Book) stack() stack {
	s := newStack(b.Name, b.Title)
	s.add(symptom, b.When...)
	s.add(5, b.Summary, b.Kind, b.Asset)
	for _, o := range b.Steps {
		s.add(3, o.Title)
	}
	s.add(1, b.Commands...)
	return s
}

// shelfView is the library as a search and a filter sort it. It is kept until one of
// them changes.
type shelfView struct {
	search, filter string
	times          int // the books were read that often

	needle  needle
	books   []*Book
	hits    int // the first of books: they match, and the filter wants them
	outside int // those after them: they match, and the filter does not want them
}

// view sorts the library: what matches first, then what matches outside of the filter,
// which is named and never hidden, then all others.
func (l *libraryScreen) view(w *world) *shelfView {
	v := &l.memo
	if v.times == w.times && v.search == l.search.Value() && v.filter == l.filter && len(v.books) == len(w.books) {
		return v
	}
	*v = shelfView{search: l.search.Value(), filter: l.filter, times: w.times, needle: newNeedle(l.search.Value())}
	wanted := func(b *Book) bool { return l.filter == "" || levelWord(b) == l.filter }
	taken := make([]bool, len(w.books))
	var outside []*Book
	for _, f := range search(v.needle, w.stacks) {
		taken[f.at] = true
		if b := &w.books[f.at]; wanted(b) {
			v.books = append(v.books, b)
		} else {
			outside = append(outside, b)
		}
	}
	if v.needle.empty() {
		for i := range w.books {
			if taken[i] = wanted(&w.books[i]); taken[i] {
				v.books = append(v.books, &w.books[i])
			}
		}
	}
	v.hits, v.outside = len(v.books), len(outside)
	v.books = append(v.books, outside...)
	for i := range w.books {
		if !taken[i] {
			v.books = append(v.books, &w.books[i])
		}
	}
	return v
}

// chosen is the row of the chosen runbook.
func (v *shelfView) chosen(at int) int { return min(max(at, 0), max(len(v.books)-1, 0)) }

// book is the chosen one; nil when there is none.
func (l *libraryScreen) book(w *world) *Book {
	v := l.view(w)
	if len(v.books) == 0 {
		return nil
	}
	return v.books[v.chosen(l.at)]
}

// asks wants the usual times of the chosen runbook.
func (l *libraryScreen) asks(w *world) Intent {
	b := l.book(w)
	if b == nil {
		return nil
	}
	return w.wantUsual(b)
}

// wantUsual asks for the usual times of a runbook, once.
func (w *world) wantUsual(b *Book) Intent {
	if _, asked := w.usual[b.Name]; asked {
		return nil
	}
	w.usual[b.Name] = incident.Usual{}
	return askUsual{b.Name, w.o.Mode}
}

// usualCmd asks how long the steps of a runbook take.
func usualCmd(ctx context.Context, b Backend, i askUsual) tea.Cmd {
	return func() tea.Msg {
		usual, err := b.Past(ctx, i.book, i.mode)
		if err != nil {
			usual = incident.Usual{} // nothing depends on it
		}
		return usualMsg{i.book, usual}
	}
}

// filters are the levels and kinds that there are, each with how many: all, L1 to L3, then
// the others in order of the library.
func filters(w *world) (names []string, count map[string]int) {
	count = map[string]int{"": len(w.books)}
	var rest []string
	for i := range w.books {
		word := levelWord(&w.books[i])
		if count[word]++; count[word] == 1 && w.books[i].Level == 0 {
			rest = append(rest, word)
		}
	}
	names = []string{""}
	for _, level := range []string{"L1", "L2", "L3"} {
		if count[level] > 0 {
			names = append(names, level)
		}
	}
	return append(names, rest...), count
}

func (l *libraryScreen) bindings(w *world) []binding {
	move := func(by int) func() Intent {
		return func() Intent { l.at = min(max(l.at+by, 0), max(len(w.books)-1, 0)); return nil }
	}
	level := func(by int) func() Intent {
		return func() Intent {
			names, _ := filters(w)
			n := len(names)
			l.filter, l.at = names[((slices.Index(names, l.filter)+by)%n+n)%n], 0
			return nil
		}
	}
	noBook := ""
	if l.book(w) == nil {
		noBook = "there is no runbook"
	}
	esc := does("esc", "bridge", "Back to the bridge.", wish(goHome{}))
	if !l.search.Empty() || l.filter != "" {
		esc = does("esc", "clear", "Clear the search and the level.", func() Intent { l.search.Reset(""); l.filter, l.at = "", 0; return nil })
	}
	return []binding{
		{show: "type", help: "to search", brief: "search", long: "Type words of a name, a symptom or a command. A typing mistake does no harm."},
		{keys: []string{"up"}, show: "up down", help: "move", long: "Move in the list.", act: move(-1)},
		{keys: []string{"down"}, long: "Next in the list.", act: move(1)},
		{keys: []string{"pgup"}, long: "Ten up.", act: move(-10)},
		{keys: []string{"pgdown"}, long: "Ten down.", act: move(10)},
		does("enter", "open the plan", "Open the plan of the runbook. Runs nothing.", func() Intent {
			return push{newPlan(w, l.book(w))}
		}).named("", "plan").unless(noBook),
		does("tab", "level", "Only one level or kind; what matches outside of it is named.", level(1)),
		does("shift+tab", "", "The level or kind before.", level(-1)),
		does("ctrl+d", "drill it", "Rehearse the runbook as a drill.", func() Intent { return w.drill(l.book(w)) }).named("", "drill").unless(noBook).unless(w.noDrill(l.book(w))),
		esc,
		does("ctrl+r", "read it", "Read the whole document.", func() Intent { return push{&docScreen{book: l.book(w)}} }).named("", "read").unless(noBook),
	}
}

// drill rehearses a runbook: its plan, in practice.
func (w *world) drill(b *Book) Intent {
	if i := w.drillOf(b); i >= 0 {
		return push{newBegin(w.drills.items[i])}
	}
	return push{newPlan(w, b)}
}

// drillOf is the first scenario of a runbook among the drills, -1 for none.
func (w *world) drillOf(b *Book) int {
	return slices.IndexFunc(w.drills.items, func(d DrillItem) bool { return b != nil && d.Book == b.Name })
}

// noDrill says why nothing can be rehearsed from here; empty when it can.
func (w *world) noDrill(b *Book) string {
	if w.o.Mode != "drill" && w.drillOf(b) < 0 {
		return "no scenario rehearses it; d on the bridge lists those that there are"
	}
	return ""
}

func (l *libraryScreen) remark(w *world) string {
	if w.size.w < 110 {
		return ""
	}
	return "nothing runs from here"
}

func (l *libraryScreen) legend() row {
	return line(txt(rText, " "), proven, txt(rDim, " certificate valid   "), ended, txt(rDim, " ended   "), broke, txt(rDim, " cannot be run   "),
		silent, txt(rDim, " never proven   "), txt(rText, "○ "), txt(rDim, "runs itself   "), txt(rText, "□ "), txt(rDim, "you do it   "), txt(rGate, "◆ "), txt(rDim, "typed token"))
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
	l.drawSearch(w, a.sub(y, 3))
	body := a.sub(y+3, a.h-y-3-footRows(a))
	if wide(a) {
		left, right := body.split(min(48+max(a.w-120, 0)/3, 64))
		l.drawList(w, left, true)
		l.drawBook(w, right)
		return
	}
	v := l.view(w)
	high := v.hits + 2
	if v.outside > 0 {
		high += v.outside + 1
	}
	high = min(max(high, 5), max(body.h*4/9, 4))
	l.drawList(w, body.sub(0, high), false)
	l.drawBook(w, body.sub(high, body.h-high))
}

// drawSearch is the one text field of the screen, and the filter beside it.
func (l *libraryScreen) drawSearch(w *world, a area) {
	in := a.box(frame{title: []span{bold(rStrong, "FIND A RUNBOOK")}, right: []span{txt(rDim, "name, symptom or command")}, role: rFrame})
	names, count := filters(w)
	chip := func(name string) []span {
		word := name
		if name == "" {
			word = "all"
		}
		s := txt(rDim, " "+word+" "+itoa(count[name])+" ")
		if name == l.filter {
			s = span{s.text, rStrong, widget.Bold | widget.Tint}
		}
		return []span{txt(rText, " "), s}
	}
	var chips []span
	for _, n := range names {
		chips = append(chips, chip(n)...)
	}
	if spansWidth(chips) > in.w*2/3 {
		chips = append(chip(l.filter), txt(rDim, " tab"))
	}
	if in.w > 90 {
		chips = append([]span{txt(rDim, "level ")}, chips...)
	}
	room := in.w - spansWidth(chips) - 2
	before, at, after := l.search.View(room)
	in.row(0, row{left: []span{bold(rStrong, before), {at, rStrong, widget.Invert}, bold(rStrong, widget.Cut(after, max(room-widget.Width(before)-1, 0), "…"))}, right: chips})
}

// levelWord is the level of a runbook, or else its kind, in a column.
func levelWord(b *Book) string {
	if b.Level > 0 {
		return "L" + itoa(b.Level)
	}
	if b.Kind == "verification" {
		return "verify"
	}
	return b.Kind
}

// entry is a row of the list: a runbook, why it was found, or words between them.
type entry struct {
	book int // -1: words
	why  bool
	text string
}

// entries are all rows of the list. They are cheap: only the ones on the screen are drawn.
func (v *shelfView) entries(tall bool, filter string) []entry {
	out := make([]entry, 0, len(v.books)+8)
	words := func(text string) {
		if len(out) > 0 && tall {
			out = append(out, entry{book: -1})
		}
		out = append(out, entry{book: -1, text: text})
	}
	for i := range v.books {
		switch {
		case i == v.hits && v.outside > 0:
			words(plural(v.outside, "more match", "more matches") + " outside " + filterWords(filter))
		case i == v.hits+v.outside && i > 0:
			words("the other " + itoa(len(v.books)-i))
		}
		out = append(out, entry{book: i})
		if tall && i < v.hits+v.outside && !v.needle.empty() {
			out = append(out, entry{book: i, why: true})
		}
	}
	return out
}

// filterWords is a filter in a sentence.
func filterWords(filter string) string {
	if n, ok := strings.CutPrefix(filter, "L"); ok && len(n) == 1 {
		return "level " + n
	}
	return filter
}

func (l *libraryScreen) drawList(w *world, a area, tall bool) {
	v := l.view(w)
	var title, right []span
	about := []string{}
	if l.filter != "" {
		about = append(about, filterWords(l.filter))
	}
	if v.needle.empty() {
		title = []span{bold(rStrong, plural(v.hits, "RUNBOOK", "RUNBOOKS"))}
	} else {
		title = []span{bold(rStrong, plural(v.hits, "MATCH", "MATCHES"))}
		about = append(about, "\""+strings.TrimSpace(l.search.Value())+"\"")
	}
	if len(about) > 0 {
		title = append(title, txt(rDim, "  "+strings.Join(about, ", ")))
	}
	if rest := len(v.books) - v.hits - v.outside; rest > 0 && !tall {
		right = []span{txt(rDim, plural(rest, "other", "others"))}
	}
	in := a.box(frame{title: title, right: right, role: rFrame})
	if len(v.books) == 0 {
		if w.loaded {
			in.rows(wrapped(rDim, "There is no runbook. Write one in runbooks/, or point --runbooks at a folder.", in.w, 0))
		}
		return
	}
	if tall && in.h > 4 {
		in.row(0, row{left: []span{txt(rDim, "  "+pad("RUNBOOK", in.w-20)+"LEVEL")}, right: []span{txt(rDim, "LAST DONE")}})
		in = in.sub(1, in.h-1)
	}
	at := v.chosen(l.at)
	list := v.entries(tall, l.filter)
	here := slices.IndexFunc(list, func(e entry) bool { return e.book == at })
	if here >= in.h && len(list) > in.h {
		here = min(here, len(list)-1)
	}
	from := min(max(here-in.h/2, 0), max(len(list)-in.h, 0))
	for i := from; i < min(len(list), from+in.h); i++ {
		in.row(i-from, v.row(w, list[i], at, in.w))
	}
}

// row draws one entry in width cells.
func (v *shelfView) row(w *world, e entry, at, width int) row {
	if e.book < 0 {
		return line(txt(rFaint, "  "+e.text))
	}
	b, hit := v.books[e.book], e.book < v.hits+v.outside && !v.needle.empty()
	if e.why {
		return line(append([]span{txt(rFaint, "    ")}, v.why(b, width-4)...)...)
	}
	here := e.book == at
	point, role, attr := "  ", rText, widget.Attr(0)
	if here {
		point = "▸ "
	}
	if here || hit && e.book < v.hits {
		role, attr = rStrong, widget.Bold
	}
	name := width - 20
	if width >= 60 {
		name = 28
	}
	c := certify(b, w.now)
	left := []span{txt(rNow, point)}
	text := pad(b.Name, name)
	marks := [][2]int(nil)
	if hit {
		if marks = v.needle.marks(text); len(marks) == 0 {
			marks = v.needle.strewn(text)
		}
	}
	left = append(left, marked(text, marks, role, attr)...)
	left = append(left, txt(rDim, pad(levelWord(b), 8)))
	last := b.LastRun
	if width >= 60 && hit {
		left = append(left, v.why(b, width-name-22)...)
	} else if width >= 60 {
		left = append(left, txt(rDim, b.Title))
	}
	return row{left: left, right: []span{txt(rDim, day(last, w.now)+" "), c.mark(b)}, tint: here}
}

// why shows the symptom, title, step or command that was found, with the part that matches
// in sight.
func (v *shelfView) why(b *Book, width int) []span {
	texts := append(append([]string{}, b.When...), b.Title, b.Summary)
	for _, o := range b.Steps {
		texts = append(texts, o.Title)
	}
	texts = append(texts, b.Commands...)
	best, most := b.Title, 0
	for _, t := range texts {
		if n := len(v.needle.marks(t)); n > most {
			best, most = t, n
		}
		if most >= len(v.needle.terms) {
			break
		}
	}
	text := inline(best)
	marks := v.needle.marks(text)
	if len(marks) > 0 && marks[len(marks)-1][1] > width { // what matches comes into sight
		cut := marks[0][0]
		for n := 0; cut > 0 && n < 10; n++ {
			cut--
		}
		for cut > 0 && text[cut] != ' ' {
			cut--
		}
		if cut > 0 {
			text = "…" + strings.TrimLeft(text[cut:], " ")
			marks = v.needle.marks(text)
		}
	}
	return marked(text, marks, rDim, 0)
}

// marked cuts text into spans, those that a search has found underlined.
func marked(text string, marks [][2]int, role widget.Role, attr widget.Attr) []span {
	var out []span
	at := 0
	for _, m := range marks {
		out = append(out, span{text[at:m[0]], role, attr}, span{text[m[0]:m[1]], rStrong, widget.Bold | widget.Under})
		at = m[1]
	}
	return append(out, span{text[at:], role, attr})
}
