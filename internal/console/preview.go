package console

import (
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// drawBook draws the chosen runbook.
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
	last := line(txt(rDim, "Opening the plan runs nothing. Starting the run asks once more."))
	if b.Broken {
		last = line(txt(rFail, "✗ "), txt(rText, "It cannot be run until the problems are corrected."))
	}
	rows := bookRows(w, b, in.w)
	if len(rows) > in.h && in.h < 16 {
		rows = bookBrief(b, in.w)
	}
	drawParts(in.sub(0, in.h-1), rows, nil, 0, "enter")
	in.row(in.h-1, last)
}

func kindWords(b *Book) string {
	if b.Level > 0 {
		return b.Kind + ", level " + itoa(b.Level) + " " + [...]string{"", "minor", "moderate", "critical"}[min(b.Level, 3)]
	}
	return b.Kind
}

// bookRows is what one must know to choose a runbook.
func bookRows(w *world, b *Book, width int) []row {
	const col = 14
	rs := []row{line(bold(rStrong, b.Title))}
	rs = append(append(rs, wrapped(rDim, inline(strings.Join(strings.Fields(b.Summary), " ")), width, 3)...), gap())
	facts := func(label, text string, limit int) {
		rs = append(rs, labelled(label, col, rText, inline(text), width, limit)...)
	}
	facts("use it when", strings.Join(b.When, "; "), 3)
	facts("not for", strings.Join(b.NotFor, "; "), 2)
	facts("asset", b.Asset, 1)
	var params []string
	for _, p := range b.Params {
		v := p.Name
		switch {
		case p.Secret:
			v += " (secret)"
		case p.Default != "":
			v += "=" + p.Default
		case p.Required:
			v += " (required)"
		}
		params = append(params, v)
	}
	facts("parameters", strings.Join(params, "  "), 2)
	facts("tools", strings.Join(b.Tools, ", "), 1)
	if b.LastRun.IsZero() {
		rs = append(rs, line(txt(rDim, pad("last run", col)), txt(rText, "never")))
	} else {
		glyph, role, _ := outcomeLook(b.LastOutcome)
		rs = append(rs, line(txt(rDim, pad("last run", col)), txt(rText, day(b.LastRun, w.now)+", "+string(b.LastMode)+"  "), txt(role, glyph+" "), txt(rText, string(b.LastOutcome))))
	}
	if !b.Reviewed.IsZero() {
		facts("reviewed", b.Reviewed.UTC().Format("2 Jan 2006"), 1)
	}
	for i, p := range b.Problems[:min(len(b.Problems), 4)] {
		role, mark := rWarn, "▲ "
		if b.Broken && i == 0 {
			role, mark = rFail, "✗ "
		}
		for n, l := range wrap(p, width-2, 2) {
			rs = append(rs, line(txt(role, []string{mark, "  "}[min(n, 1)]), txt(rText, l)))
		}
	}
	rs = append(rs, gap(), line(bold(rStrong, "PLAN"), txt(rDim, "   "+plural(len(b.Steps), "step", "steps"))))
	return append(rs, outlineRows(b.Steps, width, -1)...)
}

// bookBrief is the same for a small window: the plan is a strip.
func bookBrief(b *Book, width int) []row {
	const col = 13
	rs := []row{line(bold(rStrong, b.Title))}
	rs = append(rs, extra(wrapped(rDim, inline(strings.Join(strings.Fields(b.Summary), " ")), width, 1))...)
	rs = append(rs, labelled("use it when", col, rText, inline(strings.Join(b.When, "; ")), width, 1)...)
	rs = append(rs, extra(labelled("not for", col, rText, inline(strings.Join(b.NotFor, "; ")), width, 1))...)
	for _, p := range b.Problems[:min(len(b.Problems), 1)] {
		rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, p)))
	}
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
	return append(rs, r)
}

// outlineRows lists steps before they run.
func outlineRows(steps []run.Outline, width, at int) []row {
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
