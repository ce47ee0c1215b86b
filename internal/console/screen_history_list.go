package console

import (
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/report"
)

// pastColumns are the widths of the columns of the list: what is less urgent gives way
// first. 0: not shown.
type pastColumns struct {
	kind, book, by, back, rto, outcome, points int
	asset, id                                  int // behind the others, where a window is wide
}

const pastDay = 13 // "24 Nov 03:00 "

func columnsFor(width int) pastColumns {
	c := pastColumns{kind: 6, by: 9, back: 6, rto: 9, outcome: 10, points: 3}
	if width < 80 {
		c.by = 0
	}
	if width < 66 {
		c.points, c.rto = 0, 0
	}
	if width >= 104 {
		c.id = 7
	}
	if width >= 124 {
		c.asset = 20
	}
	c.book = width - 2 - pastDay - c.kind - c.by - c.back - c.rto - c.outcome - c.points - c.asset - c.id
	if c.book > 40 { // a name that stands far from its figures is hard to follow
		c.by += min(c.book-40, 12)
		c.book = min(c.book, max(40, width/3))
	}
	return c
}

// drawList draws the part of the list that holds the cursor. Only rows that are seen are
// made, however many there are.
func (h *historyScreen) drawList(w *world, a area, heavy bool) {
	st := &w.past
	rows := h.rows(w)
	h.chosen(w)
	title := []span{bold(rStrong, "RUNS AND DRILLS")}
	if h.filter == pastRoutine {
		title = []span{bold(rStrong, "ROUTINE")}
	}
	f := frame{title: title, right: h.filterSpans(a.w), heavy: heavy, role: rHeavy}
	list := a.h - 3
	if h.seeking || !h.search.Empty() {
		list--
	}
	h.page = max(list, 1)
	from := min(max(h.at-list/2, 0), max(len(rows)-list, 0))
	switch n := len(rows); {
	case n > list && a.w >= 70:
		f.title = append(f.title, txt(rDim, "  "+spaced(from+1)+" to "+spaced(min(from+list, n))+" of "+spaced(n)))
	case n > 0:
		f.title = append(f.title, txt(rDim, "  "+spaced(n)))
	}
	if st.reading != 0 && !st.whole {
		f.title = append(f.title, txt(rDim, " …"))
	}
	in := a.box(f)
	if h.seeking || !h.search.Empty() {
		spans := []span{bold(rStrong, "/ ")}
		if h.seeking {
			spans = append(spans, inlineField(&h.search, min(in.w-4, 40), true)...)
		} else {
			spans = append(spans, bold(rStrong, h.search.Value()), txt(rDim, "   esc clears"))
		}
		in.row(0, row{left: spans, right: []span{txt(rDim, plural(len(rows), "match", "matches"))}})
		in = in.sub(1, in.h-1)
	}
	c := columnsFor(in.w)
	in.row(0, h.header(c))
	in = in.sub(1, in.h-1)
	if len(rows) == 0 {
		in.rows(h.nothing(w, in.w))
		return
	}
	for i := from; i < min(len(rows), from+in.h); i++ {
		r := pastRow(w, &st.runs[rows[i]].Run, c)
		if i == h.at {
			mark(&r, 0)
		}
		in.row(i-from, r)
	}
}

func (h *historyScreen) filterSpans(width int) []span {
	var out []span
	for i, name := range pastFilters {
		s := txt(rDim, name)
		if pastFilter(i) == h.filter {
			s = bold(rStrong, name)
		}
		switch {
		case width < 70 && pastFilter(i) != h.filter:
			continue
		case len(out) > 0:
			out = append(out, txt(rFrame, "  "))
		}
		out = append(out, s)
	}
	return out
}

func (h *historyScreen) nothing(w *world, width int) []row {
	says := "Nothing has been run yet. A run that is started here, by a schedule or by CI is listed with its recovery time and its proof."
	switch st := &w.past; {
	case !st.whole && st.reading != 0:
		return []row{gap(), line(txt(rDim, "reading the journal …"))}
	case !h.search.Empty():
		says = "No run matches. esc clears the search, tab looks among other kinds of runs."
	case len(st.runs) > 0:
		says = "No run of this kind. tab shows the others."
	}
	return append([]row{gap()}, wrapped(rDim, says, width, 0)...)
}

func (h *historyScreen) header(c pastColumns) row {
	text := "  " + pad("STARTED", pastDay) + pad("KIND", c.kind) + pad("RUNBOOK", c.book)
	if c.by > 0 {
		text += pad("BY", c.by-1) + "BACK IN"
	} else {
		text = text[:len(text)-1] + "BACK IN" // one cell wider than the times below it
	}
	if c.rto > 0 {
		text += fill(" of RTO", c.rto)
	}
	text += " " + fill("OUTCOME", c.outcome-1)
	if c.points > 0 {
		text += padLeft("pts", c.points)
	}
	if c.asset > 0 {
		text += "  " + fill("ASSET", c.asset-2)
	}
	if c.id > 0 {
		text += "   RUN"
	}
	return line(txt(rDim, text))
}

// pastStamp is when a run began, as short as it is clear.
func pastStamp(t, now time.Time) string {
	t = t.UTC()
	if t.Year() != now.UTC().Year() {
		return padLeft(t.Format("2 Jan 2006"), pastDay-1) + " "
	}
	return padLeft(t.Format("2 Jan 15:04"), pastDay-1) + " "
}

func pastRow(w *world, r *report.Run, c pastColumns) row {
	word, glyph, role := pastOutcome(r)
	mode, _, _ := modeLook(r.Mode)
	kind := txt(rDim, pad(mode, c.kind))
	if mode == "LIVE" {
		kind = bold(rStrong, pad(mode, c.kind))
	} else if len(mode) >= c.kind {
		kind = txt(rDim, pad("DRY", c.kind))
	}
	back, backRole := pastSpan(r.Took()), rText
	if r.Target() > 0 && !r.Open() && !r.Met() {
		backRole = rFail
	}
	spans := []span{txt(role, glyph), txt(rText, " "), txt(rDim, pastStamp(r.At, w.now)), kind, txt(rText, pad(r.Book, c.book))}
	if c.by > 0 {
		spans = append(spans, txt(rDim, pad(r.By, c.by)))
	}
	if backRole == rFail {
		spans = append(spans, bold(rFail, padLeft(back, c.back)))
	} else {
		spans = append(spans, txt(backRole, padLeft(back, c.back)))
	}
	if c.rto > 0 {
		of := ""
		if d := r.Target(); d > 0 {
			of = " of " + pastSpan(d)
		}
		spans = append(spans, txt(rDim, fill(of, c.rto)))
	}
	spans = append(spans, txt(role, " "+fill(word, c.outcome-1)))
	points := ""
	if r.Score != nil {
		points = itoa(r.Score.Points)
	}
	if c.points > 0 {
		spans = append(spans, txt(rText, padLeft(points, c.points)))
	}
	if c.asset > 0 {
		spans = append(spans, txt(rDim, "  "+fill(r.Asset, c.asset-2)))
	}
	if c.id > 0 {
		spans = append(spans, txt(rFaint, "   "+fill(r.ID.Short(), c.id-3)))
	}
	return line(spans...)
}

// mark makes a row the chosen one: tinted, and with a pointer in the blank behind the span
// with an index, for terminals that show no tint.
func mark(r *row, behind int) {
	r.tint = true
	r.left[behind+1] = txt(rNow, "▸")
}

// fill is text in exactly w cells.
func fill(text string, w int) string {
	text = widget.Cut(text, w, "…")
	return text + strings.Repeat(" ", max(w-widget.Width(text), 0))
}
