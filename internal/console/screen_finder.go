package console

import (
	"cmp"
	"slices"
	"strings"

	"lifeboat/internal/console/widget"
)

// finderScreen is one box in which a person finds things by typing: the palette finds
// everything there is, the help only the keys of the screen below. Enter does what the
// key of the thing would do; what cannot be taken back still wants its own key.
type finderScreen struct {
	all    bool             // the palette
	below  screen           // that it was opened over
	keys   func() []binding // of the screen below, as they stand now
	search widget.Field
	at     int
	memo   finderView
}

// thing is what can be found.
type thing struct {
	head, text, right string
	off               string // why it is not possible now
	do                func() Intent
	own               string // the key that must be pressed for it where it cannot be taken back
}

// group is a kind of thing, with its name.
type group struct {
	name   string
	items  []thing
	stacks []stack // of the items, to be searched
}

// add puts a thing into the group; it is found by its first two texts before the others.
func (g *group) add(it thing, more ...string) {
	s := newStack(it.head, it.text)
	s.add(2, more...)
	g.items, g.stacks = append(g.items, it), append(g.stacks, s)
}

func newFinder(below screen, keys func() []binding, all bool) screen {
	return &finderScreen{all: all, below: below, keys: keys}
}

func (f *finderScreen) card() bool           { return true }
func (f *finderScreen) field() *widget.Field { return &f.search }

// instant: the first letters are not lost, and none of them can do harm.
func (f *finderScreen) instant() bool { return true }

// ofGate: what is listed of a gate goes with the gate.
func (f *finderScreen) ofGate() bool { return true }

// listed says whether an intent may come from a list: it shows something, or asks.
// Whatever else there is, or will be, wants its own key.
func listed(i Intent) bool {
	switch i := i.(type) {
	case nil, push, replace, pop, goHome, goPlace, leave, say, copyText, openRun, showRun, loadBooks, loadVault, askMirrors, showPoint, setTheme, setGlyphs,
		loadBoard, loadDrills, loadHistory, loadMetrics, loadRecord, readHistory, auditAll, playDrill, viewLog, showLog, searchLog, findInLog, streamLog:
		return true
	case several:
		return !slices.ContainsFunc(i, func(one Intent) bool { return !listed(one) })
	}
	return false
}

// keyGroup lists the keys of the screen below, those that work first.
func (f *finderScreen) keyGroup() group {
	g := group{name: "KEYS OF THIS SCREEN"}
	var off []thing
	for _, b := range f.keys() {
		if b.act == nil && b.off == "" || len(b.keys) == 0 {
			continue
		}
		label := b.label()
		if b.show == "" {
			label = strings.Join(b.keys, " ")
		}
		it := thing{head: label, text: cmp.Or(b.long, b.help, "Does what its name says."), off: b.off, own: b.keys[0], do: b.act}
		if b.off != "" {
			off = append(off, it)
			continue
		}
		g.add(it, b.help)
	}
	if f.all && f.search.Empty() { // what cannot be done is in the way there
		return g
	}
	for _, it := range off {
		g.add(it)
	}
	return g
}

// groups are all things, in the order in which they stand before anything is typed.
func (f *finderScreen) groups(w *world) []group {
	gs := []group{f.keyGroup()}
	if !f.all {
		return gs
	}
	gs = append(gs, f.stepGroup(w), f.placeGroup(), bookGroup(w), runGroup(w), assetGroup(w), lookGroup(w))
	return slices.DeleteFunc(gs, func(g group) bool { return len(g.items) == 0 })
}

func (f *finderScreen) stepGroup(w *world) group {
	g := group{name: "STEPS OF THIS RUN"}
	if w.snap == nil || w.snap.ID == "" {
		return g
	}
	for i := range w.snap.Steps {
		st := &w.snap.Steps[i]
		to := push{&stepsScreen{at: i}}
		g.add(thing{head: itoa(i + 1), text: st.Title, right: string(st.State), do: func() Intent {
			if _, ok := f.below.(*stepsScreen); ok {
				return replace(to)
			}
			return to
		}}, st.Action, st.ID)
	}
	return g
}

func runGroup(w *world) group {
	g := group{name: "RUNS"}
	for _, s := range w.runs {
		state, when := string(s.Outcome), s.Last
		if s.Outcome == "" {
			state, when = "open", s.At
		}
		word, _, _ := modeLook(s.Mode)
		g.add(thing{head: s.ID.Short(), text: s.Book, right: strings.ToLower(word) + ", " + state + ", " + day(when, w.now), do: func() Intent { return visit(s) }},
			s.Title, s.Asset, s.By, state, strings.ToLower(word))
	}
	return g
}

func (f *finderScreen) placeGroup() group {
	g := group{name: "PLACES"}
	here := ""
	if p, ok := f.below.(placed); ok {
		here = p.place()
	}
	for _, p := range places() {
		it := thing{head: p.name, text: p.says, right: p.key, do: wish(goPlace{p})}
		if p.name == here {
			it.off = "you are there"
		}
		g.add(it)
	}
	return g
}

func bookGroup(w *world) group {
	g := group{name: "RUNBOOKS", stacks: w.stacks}
	for i := range w.books {
		b := &w.books[i]
		g.items = append(g.items, thing{head: b.Name, text: b.Title, right: levelWord(b), do: func() Intent { return push{newPlan(w, b)} }})
	}
	return g
}

func assetGroup(w *world) group {
	g := group{name: "ASSETS"}
	for _, a := range w.team.Assets {
		g.add(thing{head: a.Name, text: "Its copies in the vault.", right: a.Kind, do: func() Intent {
			for _, p := range places() {
				if p.name == "vault" {
					p.open = func() screen { return &vaultScreen{asset: a.Name} }
					return goPlace{p}
				}
			}
			return nil
		}}, a.Kind, a.Tier)
	}
	return g
}

// finderView is what a search has found. It is kept until something changes.
type finderView struct {
	search string
	times  int
	seq    int64
	second int64
	runs   int

	needle needle
	groups []group // those that have something, the best first; items in their order
	count  int
}

func (f *finderScreen) view(w *world) *finderView {
	v := &f.memo
	seq := int64(0)
	if w.snap != nil {
		seq = w.snap.Seq
	}
	if v.groups != nil && v.search == f.search.Value() && v.times == w.times && v.seq == seq && v.second == w.now.Unix() && v.runs == len(w.runs) {
		return v
	}
	*v = finderView{search: f.search.Value(), times: w.times, seq: seq, second: w.now.Unix(), runs: len(w.runs), needle: newNeedle(f.search.Value())}
	type ranked struct {
		group
		best int
	}
	var kept []ranked
	doubt := true
	for _, g := range f.groups(w) {
		r := ranked{group: group{name: g.name}}
		if v.needle.empty() {
			r.items = g.items
		}
		for _, hit := range search(v.needle, g.stacks) {
			r.best = max(r.best, hit.rank)
			r.items = append(r.items, g.items[hit.at])
		}
		if len(r.items) > 0 {
			kept = append(kept, r)
			doubt = doubt && r.best < rankLetters
		}
	}
	slices.SortStableFunc(kept, func(a, b ranked) int { return cmp.Compare(b.best, a.best) })
	v.groups = []group{}
	for _, r := range kept {
		if !doubt && r.best < rankLetters { // doubtful ones only where nothing is certain
			if !v.needle.empty() {
				continue
			}
		}
		v.groups = append(v.groups, r.group)
		v.count += len(r.items)
	}
	return v
}

// item is the chosen one; nil when there is none.
func (f *finderScreen) item(w *world) *thing {
	v := f.view(w)
	at := min(max(f.at, 0), max(v.count-1, 0))
	for i := range v.groups {
		if at < len(v.groups[i].items) {
			return &v.groups[i].items[at]
		}
		at -= len(v.groups[i].items)
	}
	return nil
}

// run does what the key of the chosen thing does. A key is looked up anew: the screen
// below may have changed since it was listed.
func (f *finderScreen) run(w *world) Intent {
	it := *f.item(w)
	if it.own != "" {
		b, ok := find(f.keys(), it.own)
		if !ok || b.off != "" || b.act == nil {
			return say{it.head + " is off: " + cmp.Or(b.off, "it is not possible any more")}
		}
		it.do = b.act
	}
	do := it.do()
	if !listed(do) {
		return several{pop{}, say{"Press " + it.own + " itself: what it does is not done from a list."}}
	}
	return several{pop{}, do}
}

func (f *finderScreen) bindings(w *world) []binding {
	v := f.view(w)
	move := func(by int) func() Intent {
		return func() Intent { f.at = min(max(min(f.at, v.count-1)+by, 0), max(v.count-1, 0)); return nil }
	}
	off := ""
	if it := f.item(w); it == nil {
		off = "nothing is found"
	} else {
		off = it.off
	}
	esc := does("esc", "go back", "Back to the screen.", wish(pop{}))
	if !f.search.Empty() {
		esc = does("esc", "clear", "Clear the search.", func() Intent { f.search.Reset(""); f.at = 0; return nil })
	}
	return []binding{
		{show: "type", help: "to search", brief: "search"},
		{keys: []string{"up", "ctrl+p", "ctrl+k"}, show: "up down", help: "move", act: move(-1)},
		{keys: []string{"down", "ctrl+n", "ctrl+j"}, act: move(1)},
		{keys: []string{"pgup"}, act: move(-10)},
		{keys: []string{"pgdown"}, act: move(10)},
		does("enter", "do it", "", func() Intent { return f.run(w) }).unless(off),
		esc,
	}
}

func (f *finderScreen) draw(w *world, a area) {
	width := min(a.w-4, 96)
	body := a.sub(w.head(), a.h-w.head()-footRows(a))
	high := min(body.h, max(body.h-2, 12), 28)
	box := area{a.c, a.x + (a.w-width)/2, body.y + (body.h-high)/3, width, high}
	a.c.Clear(box.x, box.y, box.w, box.h)
	title, says, prompt := "KEYS", "all keys of this screen", "? "
	if f.all {
		title, says, prompt = "GO TO", "keys, steps, runs, places, runbooks, assets", ": "
	}
	in := box.box(frame{title: []span{bold(rStrong, title)}, right: []span{txt(rDim, says)}, heavy: true, role: rHeavy})
	in.row(0, line(append([]span{txt(rDim, prompt)}, inlineField(&f.search, in.w-2, true)...)...))
	f.drawItems(w, in.sub(1, in.h-2))
	last := line(txt(rDim, "Nothing runs from here that cannot be taken back."))
	if it := f.item(w); it == nil {
		last = line(txt(rWarn, "▲ "), txt(rText, "nothing is found"))
	} else if it.off != "" {
		last = line(txt(rWarn, "▲ "), txt(rText, "not now: "+it.off))
	} else if it.own != "" && widget.Width(it.text) > in.w-12 { // the row has cut it
		last = line(txt(rText, it.text))
	}
	in.row(in.h-1, last)
}

// drawItems lists what was found, group by group.
func (f *finderScreen) drawItems(w *world, a area) {
	v := f.view(w)
	at := min(max(f.at, 0), max(v.count-1, 0))
	var rs []row
	here, n := 0, 0
	for _, g := range v.groups {
		if f.all || len(v.groups) > 1 {
			if len(rs) > 0 {
				rs = append(rs, row{})
			}
			rs = append(rs, line(txt(rFaint, "  "+g.name)))
		}
		head := 4
		for i := range g.items {
			head = max(head, min(widget.Width(g.items[i].head)+2, 26))
		}
		for i := range g.items {
			if n == at {
				here = len(rs)
			}
			rs = append(rs, f.itemRow(&g.items[i], v.needle, head, a.w, n == at))
			n++
		}
	}
	from := min(max(here-a.h/2, 0), max(len(rs)-a.h, 0))
	for i := from; i < min(len(rs), from+a.h); i++ {
		a.row(i-from, rs[i])
	}
}

func (f *finderScreen) itemRow(it *thing, n needle, head, width int, here bool) row {
	point, role, name := "  ", rText, rStrong
	if here {
		point = "▸ "
	}
	text := it.text
	if it.off != "" {
		role, name = rFaint, rFaint
		text += " Not now: " + it.off + "."
	}
	r := row{left: []span{txt(rNow, point)}, tint: here}
	label := pad(it.head, head)
	r.left = append(r.left, marked(label, n.marks(label), name, widget.Bold)...)
	r.left = append(r.left, marked(text, n.marks(text), role, 0)...)
	if it.right != "" && it.off == "" {
		r.right = []span{txt(rDim, it.right)}
	}
	return r
}
