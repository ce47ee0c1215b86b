package console

import (
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// drawBook draws the chosen runbook: what it is for, whether it can be trusted, what it
// will do.
func (l *libraryScreen) drawBook(w *world, a area) {
	b := l.book(w)
	f := frame{heavy: true, role: rHeavy}
	if b == nil {
		a.box(f)
		return
	}
	f.title = []span{bold(rStrong, b.Name)}
	f.right = []span{txt(rDim, kindWords(b))}
	in := a.box(f)
	rows := bookRows(w, b, in.w)
	if len(squeeze(rows, in.h)) > in.h { // also without what only explains
		rows = bookBrief(w, b, in.w)
	}
	if b.Broken {
		rows = append(problemRows(b, in.w, 2), rows...)
	}
	drawParts(in, rows, nil, 0, "ctrl+r")
}

func kindWords(b *Book) string {
	if b.Level > 0 {
		return b.Kind + ", level " + itoa(b.Level) + " " + [...]string{"", "minor", "moderate", "critical"}[min(b.Level, 3)]
	}
	return b.Kind
}

// bookFacts are when it is the right one, what it is about, who is needed, whether there
// is a way back.
func bookFacts(w *world, b *Book, width int, brief bool) []row {
	const col = 13
	limit := func(n int) int {
		if brief {
			return 1
		}
		return n
	}
	fact := func(label, text string, most int) []row {
		return labelled(label, col, rText, inline(text), width, limit(most))
	}
	rs := fact("use it when", strings.Join(b.When, "; "), 3)
	rs = append(rs, fact("not for", strings.Join(b.NotFor, "; "), 2)...)
	asset := strings.Join(b.Assets, "; ")
	if asset == "" && b.Asset != "" {
		asset = "any " + b.Asset + " asset; the estate has none"
	}
	rs = append(rs, extra(fact("asset", asset, 2))...)
	if l := w.level(b.Level); l.Response != "" {
		people := fact("people", l.Response, 1)
		if brief {
			people = extra(people)
		}
		rs = append(rs, people...)
	}
	return append(rs, wayBack(b, col, width)...)
}

// wayBack says whether what could lose something can be taken back. All other steps only
// read, add, or change what can be put back.
func wayBack(b *Book, col, width int) []row {
	risks, first := 0, ""
	for i, o := range b.Steps {
		if o.Effect != "destroy" {
			continue
		}
		risks++
		if first == "" && slices.Contains(b.NoWayBack, o.ID) {
			first = itoa(i+1) + ", " + o.Title
		}
	}
	label := txt(rDim, pad("way back", col))
	switch {
	case risks == 0:
		return extra([]row{line(label, txt(rText, "none is needed: nothing it does loses anything"))})
	case first != "":
		return labelled("way back", col, rWarn, "none for step "+first, width, 1)
	}
	return []row{line(label, txt(rOK, "open"), txt(rText, ": what it could lose can be put back"))}
}

// bookRows is what one must know to choose a runbook.
func bookRows(w *world, b *Book, width int) []row {
	rs := wrapped(rStrong, sentence(b.Summary), width, 3)
	for i := range rs {
		rs[i].left[0].attr = widget.Bold
	}
	if len(rs) == 0 {
		rs = []row{line(bold(rStrong, b.Title))}
	}
	rs = append(rs, gap())
	rs = append(append(rs, bookFacts(w, b, width, false)...), gap())
	c := certify(b, w.now)
	rs = append(rs, c.rowsIn(b, width, false)...)
	if !b.Broken {
		rs = append(rs, extra(problemRows(b, width, 2))...)
	}
	usual := w.usual[b.Name]
	rs = append(rs, gap(), planHead(b, usual))
	rs = append(rs, outlineRows(b.Steps, width, -1, usual)...)
	return append(rs, row{spare: 2}, row{left: []span{txt(rDim, "Opening the plan runs nothing. Starting the run asks once more.")}, spare: 2})
}

// sentence is the first one of Markdown.
func sentence(markdown string) string {
	text := printable.Line(excerpt(markdown))
	if first, _, ok := strings.Cut(text, ". "); ok {
		return first + "."
	}
	return text
}

// problemRows are what lint has found, the first few.
func problemRows(b *Book, width, most int) []row {
	var rs []row
	for i, p := range b.Problems[:min(len(b.Problems), most)] {
		mark := ended
		if b.Broken && i == 0 {
			mark = broke
		}
		for n, l := range wrap(p, width-2, 2) {
			if n > 0 {
				mark = txt(rText, " ")
			}
			rs = append(rs, line(mark, txt(rText, " "+l)))
		}
	}
	return rs
}

// planHead says how many steps there are and how long they take together, as far as that
// is known.
func planHead(b *Book, usual incident.Usual) row {
	r := line(bold(rStrong, "PLAN"), txt(rDim, "   "+plural(len(b.Steps), "step", "steps")))
	if all, ok := allSteps(usual, b.Steps); ok {
		r.left = append(r.left, txt(rDim, ", about "+words(all)))
		r.right = []span{txt(rDim, map[bool]string{true: "time in drills", false: "usual time"}[usual.Drills])}
	}
	return r
}

// allSteps is how long all steps take together; not ok when nothing is known of one that
// always runs.
func allSteps(u incident.Usual, steps []run.Outline) (all time.Duration, ok bool) {
	for _, o := range steps {
		t, known := u.Steps[o.ID]
		if !known && !o.Only {
			return 0, false
		}
		all += t.Sum()
	}
	return all, u.Runs > 0
}

// bookBrief is the same for a small window: the plan is a strip.
func bookBrief(w *world, b *Book, width int) []row {
	rs := []row{line(bold(rStrong, widget.Cut(sentence(b.Summary), width, "…")))}
	if b.Summary == "" {
		rs = []row{line(bold(rStrong, b.Title))}
	}
	rs = append(append(rs, bookFacts(w, b, width, true)...), gap())
	c := certify(b, w.now)
	rs = append(append(rs, c.rowsIn(b, width, true)...), gap())
	r := line(bold(rStrong, "PLAN"), txt(rText, "  "))
	for i, o := range b.Steps {
		glyph, role, _ := stepLook(o)
		name := o.Title
		if first, _, ok := strings.Cut(name, " "); ok {
			name = first
		}
		one := []span{txt(role, glyph+" "), txt(rText, itoa(i+1)+" "+name+"  ")}
		if spansWidth(r.left)+spansWidth(one) > width {
			rs = append(rs, r)
			r = line(txt(rText, "      "))
		}
		r.left = append(r.left, one...)
	}
	last := plural(len(b.Steps), "step", "steps")
	if all, ok := allSteps(w.usual[b.Name], b.Steps); ok {
		last += ", about " + words(all)
	}
	return append(rs, r, row{left: []span{txt(rDim, "      "+last+". Opening the plan runs nothing.")}, spare: 2})
}

// outlineRows lists steps before they run.
func outlineRows(steps []run.Outline, width, at int, usual incident.Usual) []row {
	var rs []row
	for i, o := range steps {
		glyph, role, kind := stepLook(o)
		if o.Only {
			kind = "only if another fails"
		}
		r := row{left: []span{txt(role, glyph+" "), txt(rText, itoa(i+1)+" "+o.Title)}, tint: i == at}
		if width >= 56 {
			r.right = []span{txt(rDim, pad(kind, 22))}
		} else {
			r.right = shortKind(o)
		}
		if t, ok := usual.Steps[o.ID]; ok && usual.Runs > 0 {
			took := clock(t.Sum())
			r.right = append(r.right, txt(rDim, strings.Repeat(" ", max(7-len(took), 1))+took))
		}
		if i == at {
			r.left[1].attr = widget.Bold
		}
		rs = append(rs, r)
	}
	return rs
}

// shortKind is one word at the end of a step in a narrow list.
func shortKind(o run.Outline) []span {
	switch {
	case o.Hand:
		return []span{txt(rDim, "by hand")}
	case o.Effect == "destroy":
		return []span{txt(rGate, "gate")}
	case o.Effect == "write":
		return []span{txt(rDim, "asks")}
	}
	return nil
}
