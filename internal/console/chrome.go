package console

import (
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// wide says whether the columns of the 120x36 design fit.
func wide(a area) bool { return a.w >= 110 }

// footRows is the height of rule, legend and keys.
func footRows(a area) int {
	if wide(a) && a.h >= 28 {
		return 3
	}
	return 2
}

// fade lets what is drawn so far step back; mode, clock, rule and what needs
// somebody now stay lit.
func fade(w *world, a area) { a.c.Fade(a.x, a.y+w.head(), a.w, a.h-w.head(), rFade) }

// drawFooter writes the rule, then a legend or the newest notice, then the keys.
func drawFooter(w *world, a area, keys []binding, top screen) {
	n := footRows(a)
	foot := a.sub(a.h-n, n)
	a.c.Clear(foot.x, foot.y, foot.w, foot.h)
	foot.rule(0, rFrame, false)
	remark := ""
	if r, ok := top.(interface{ remark(*world) string }); ok {
		remark = r.remark(w)
	}
	if w.slow {
		remark = "slow link"
	}
	foot.row(n-1, footer(keys, a.w, remark))
	lost := adrift(w)
	if w.notice != "" || w.broken != "" || lost {
		a.c.Clear(foot.x, foot.y+n-2, foot.w, 1) // in a small window it takes the place of the rule
	}
	switch {
	case w.notice != "":
		foot.row(n-2, line(txt(rWarn, " ▲ "), txt(rText, w.notice)))
	case w.broken != "":
		foot.row(n-2, line(txt(rFail, " ✗ "), txt(rText, "what is shown may be old: "+w.broken)))
	case lost:
		r := line(txt(rWarn, " ▲ "), bold(rText, "Nothing drives this run: its process has ended."))
		if !w.o.Look {
			r.left = append(r.left, txt(rText, "  Take it up again with "), bold(rStrong, "r"))
		}
		foot.row(n-2, r)
	default:
		if g, ok := top.(interface {
			gapRow(w *world, width int) (row, bool)
		}); ok {
			if r, ok := g.gapRow(w, a.w); ok {
				a.c.Clear(foot.x, foot.y+n-2, foot.w, 1)
				foot.row(n-2, r)
				return
			}
		}
		if n == 3 {
			foot.row(1, legend(top))
		} else if r, ok := injectLine(w, a.w); ok {
			a.c.Clear(foot.x, foot.y, foot.w, 1)
			foot.row(0, r)
		}
	}
}

func legend(top screen) row {
	if l, ok := top.(interface{ legend() row }); ok {
		return l.legend()
	}
	return line(txt(rOK, " ✓ "), txt(rDim, "done   "), txt(rNow, "▸ "), txt(rDim, "now   "), txt(rText, "○ "),
		txt(rDim, "runs and checks itself   "), txt(rText, "□ "), txt(rDim, "you do it   "), txt(rGate, "◆ "),
		txt(rDim, "gate, typed token   "), txt(rWarn, "? "), txt(rDim, "in doubt   "), txt(rFail, "✗ "),
		txt(rDim, "failed   "), txt(rText, "– "), txt(rDim, "skipped"))
}

// drawBrand is the first row of the places: where you are, who you are, what time it is.
func drawBrand(w *world, a area, where string) {
	var right []span
	if wide(a) {
		right = append(right, txt(rDim, "you "))
	}
	if a.w >= 70 {
		right = append(right, txt(rText, w.o.User+"  "))
	}
	if !w.now.IsZero() {
		right = append(right, bold(rStrong, hhmmss(w.now)))
		if a.w >= 70 {
			right = append(right, txt(rText, " UTC"))
		}
		if wide(a) {
			right = append(right, txt(rDim, "   "+w.now.UTC().Format("Mon 2 Jan 2006")))
		}
	}
	brand := []span{bold(rBrand, " LIFEBOAT"), txt(rText, " ")}
	if w.o.Look {
		brand = []span{txt(rKeycap, " READ ONLY "), txt(rText, " ")}
	}
	a.row(0, row{left: append(brand, tabs(where)...), right: append(right, txt(rText, " "))})
	switch {
	case wide(a) && w.o.Mode == run.Drill:
		drawModeRule(a, 1, run.Drill)
	case wide(a):
		a.rule(1, rFrame, true)
	}
}

// drawMode is the first row of a run: the mode before all else.
func drawMode(w *world, a area) {
	s := w.snap
	left := append(modeBadges(w), txt(rText, " "))
	if s.Started.Asset != "" {
		left = append(left, bold(rStrong, s.Started.Asset), txt(rText, "  "))
	}
	left = append(left, txt(rText, s.Started.Title))
	dim := s.Started.Book
	level := txt(rDim, "")
	if s.Level > 0 {
		level.text = " · level " + itoa(s.Level)
		if len(s.Raised) > 0 {
			level = bold(rWarn, " · level "+itoa(s.Level)+" raised")
		}
	}
	right := []span{txt(rDim, dim), level, txt(rDim, " · by "), txt(rText, s.Driver.By), txt(rDim, " · run "), bold(rText, s.ID.Short()), txt(rText, " ")}
	if !wide(a) {
		level.text = strings.TrimPrefix(strings.Replace(level.text, "level ", "L", 1), " · ")
		if level.text != "" {
			level.text += " · "
		}
		right = []span{level, txt(rDim, "run "), bold(rText, s.ID.Short()), txt(rText, " ")}
	}
	if s.Drill != nil {
		right = drillNames(w, right[:2], wide(a))
	}
	if len(w.room.Watch) > 0 && wide(a) { // people come before the name of the runbook, whose title stands there
		right = right[1:]
		right[0].text = strings.TrimPrefix(right[0].text, " · ")
	}
	if who := company(w, a.w-spansWidth(left)-spansWidth(right)-4); who != nil {
		right = append(append(who, txt(rDim, " · ")), right...)
	}
	a.row(0, row{left: left, right: right})
}

// modeBadges are the mode, and before it that nothing can be done from here.
func modeBadges(w *world) []span {
	var out []span
	word, badge, _ := modeLook(w.snap.Started.Mode)
	if w.watching() != "" {
		out = append(out, txt(rKeycap, " READ ONLY "))
	}
	return append(out, txt(badge, " "+word+" "))
}

// drawClock is the second row: what is left of the time that was promised, or the time
// the run has taken where nothing was promised.
func drawClock(w *world, a area) {
	s := w.snap
	took := max(s.end(w.now).Sub(s.started()), 0)
	done := 0
	for i := range s.Steps {
		if s.Steps[i].Done() {
			done++
		}
	}
	if s.Started.RTO <= 0 {
		left := []span{bold(rStrong, " TIME "), bold(rText, clock(took)), txt(rDim, " since "+hhmmss(s.started())+" UTC   ")}
		part := float64(done) / float64(max(len(s.Steps), 1))
		right := []span{txt(rDim, fmt.Sprintf("%d of %d steps done ", done, len(s.Steps)))}
		if room := min(a.w/3, 40, a.w-spansWidth(left)-spansWidth(right)-2); room >= 10 {
			left = append(left, bar(room, part, rOK)...)
		}
		a.row(1, row{left: left, right: right})
		return
	}
	drawRTO(w, a)
}

// drawStrip is all steps in one row, for terminals without room for the rail; of many
// those around the current one.
func drawStrip(w *world, a area) {
	s := w.snap
	at := s.now()
	tail := []span{txt(rDim, fmt.Sprintf("  %d of %d · run time ", at+1, len(s.Steps))), txt(rText, clock(s.end(w.now).Sub(s.At)))}
	if says := stripWords(w); says.text != "" {
		tail = append(tail, txt(rDim, " · "), says)
	}
	right := []span{bold(rStrong, "tab"), txt(rDim, " all steps ")}
	room := stripRoom(a.w-spansWidth(tail)-spansWidth(right), len(s.Steps))
	if room < len(s.Steps) {
		right = []span{bold(rStrong, "tab"), txt(rDim, " ")}
		room = stripRoom(a.w-spansWidth(tail)-spansWidth(right), len(s.Steps))
	}
	r := row{left: []span{txt(rText, " ")}, right: right}
	from := max(0, min(at-room/2, len(s.Steps)-room))
	if from > 0 {
		r.left = append(r.left, txt(rFaint, "… "))
	}
	to := min(len(s.Steps), from+room)
	for i := from; i < to; i++ {
		glyph, role := stateLook(&s.Steps[i])
		if i == at && s.Open() {
			if s.Steps[i].State == run.Waiting && s.Steps[i].Effect != "destroy" {
				glyph = "▸"
			}
			r.left = append(r.left, txt(rText, " "), span{" " + glyph + " " + itoa(i+1) + " ", role, widget.Bold | widget.Tint}, txt(rText, "  "))
			continue
		}
		r.left = append(r.left, txt(role, glyph+" "))
	}
	if to < len(s.Steps) {
		r.left = append(r.left, txt(rFaint, "…"))
	}
	r.left = append(r.left, tail...)
	a.row(2, r)
}

// stripRoom is how many of n steps fit w cells of the strip: two each, the current one
// more, and the signs that some are left out.
func stripRoom(w, n int) int {
	if w >= 10+2*(n-1) {
		return n
	}
	return min(max((w-14)/2+1, 3), n)
}

// stripWords is why a run does not go on, else how long it still takes.
func stripWords(w *world) span {
	s := w.snap
	if g := s.Gate; g != nil && g.Kind == run.Doubt {
		return bold(rWarn, "PAUSED, IN DOUBT")
	} else if g != nil && g.Kind == run.Decision {
		return bold(rFail, "PAUSED, FAILED")
	}
	if !s.Open() {
		return span{}
	}
	return txt(rDim, togo(w.forecast().End, true))
}

// drawRunHead draws the three rows on top of every screen of a run.
func drawRunHead(w *world, a area) {
	drawMode(w, a)
	drawClock(w, a)
	if wide(a) {
		drawModeRule(a, 2, w.snap.Started.Mode)
	} else {
		drawStrip(w, a)
	}
	for i, r := range attention(w, a.w) {
		a.row(3+i, r)
	}
}

// drawModeRule draws the rule below the clock. In practice it says why nothing real
// can be reached; a live run needs no words, its colour is one.
func drawModeRule(a area, y int, m run.Mode) {
	word, _, border := modeLook(m)
	a.rule(y, border, true)
	says := map[run.Mode]string{
		run.Drill: "a sandbox with files of its own, no route to anything real",
		run.Dry:   "reads and shows plans, changes nothing",
	}[m]
	if says != "" && a.w > widget.Width(says)+20 {
		a.spans(2, y, a.w, []span{bold(border, " "+word), txt(rDim, " · "+says+" ")})
	}
}

// drawSmall is the card for windows in which no screen fits.
func drawSmall(w *world, a area) {
	var rs []row
	if s := w.snap; s != nil && s.ID != "" {
		word, badge, _ := modeLook(s.Started.Mode)
		rs = append(rs, line(txt(badge, " "+word+" "), bold(rStrong, " "+s.Started.Book)))
		if st := s.step(); st != nil && s.Open() {
			rs = append(rs, line(txt(rText, fmt.Sprintf("step %d of %d  %s", s.now()+1, len(s.Steps), st.State))))
			rs = append(rs, line(txt(rText, st.Title)))
		} else {
			rs = append(rs, line(txt(rText, string(s.Outcome))))
		}
		if rto := s.Started.RTO; rto > 0 {
			c := w.rto()
			rs = append(rs, line(txt(rDim, "RTO "), bold(c.role, clock(c.show)), txt(rDim, " "+c.label+" of "+clock(rto))))
		}
	} else {
		rs = append(rs, line(bold(rBrand, "LIFEBOAT")))
	}
	rs = append(rs, gap())
	says := "Make the window bigger, 60x20 at least, or start with --plain."
	if w.snap != nil && w.snap.ID != "" {
		says = "Make the window bigger, 60x20 at least, or press p to leave for plain mode. The run goes on."
		if w.snap.Gate != nil && w.snap.Open() {
			rs = append(rs, line(bold(rWarn, "waits for "+w.needed())))
		}
	}
	rs = append(rs, wrapped(rDim, says, a.w, 0)...)
	a.rows(rs)
}

// field rows draw a text field as a box of three rows with a visible cursor.
func fieldRows(f *widget.Field, w int, border widget.Role) []row {
	w = max(w, 8)
	before, at, after := f.View(w - 4)
	text := []span{txt(border, "│"), txt(rText, " "), bold(rStrong, before), {at, rStrong, widget.Invert}, bold(rStrong, after)}
	room := w - 2 - spansWidth(text[1:])
	if room < 0 { // what stands behind the cursor is cut
		text[4].text = widget.Cut(text[4].text, max(w-4-widget.Width(before)-1, 0), "…")
		room = w - 2 - spansWidth(text[1:])
	}
	text = append(text, txt(rText, strings.Repeat(" ", max(room, 0))), txt(border, "│"))
	return []row{
		line(txt(border, "╭"+strings.Repeat("─", w-2)+"╮")), line(text...), line(txt(border, "╰"+strings.Repeat("─", w-2)+"╯")),
	}
}

// inlineField draws a text field in w cells of a row. Without focus it has no cursor.
func inlineField(f *widget.Field, w int, focus bool) []span {
	before, at, after := f.View(w)
	if !focus {
		return []span{txt(rText, widget.Cut(before+strings.TrimRight(at+after, " "), w, "…"))}
	}
	after = widget.Cut(after, max(w-widget.Width(before)-1, 0), "…")
	return []span{{before, rStrong, widget.Bold | widget.Tint}, {at, rStrong, widget.Invert}, {after, rStrong, widget.Bold | widget.Tint},
		{strings.Repeat(" ", max(w-widget.Width(before+after)-1, 0)), rText, widget.Tint}}
}

// day writes when something was, as short as it is clear.
func day(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case now.Sub(t) < 24*time.Hour && t.UTC().Day() == now.UTC().Day():
		return t.UTC().Format("15:04")
	case t.UTC().Year() == now.UTC().Year():
		return t.UTC().Format("2 Jan")
	}
	return t.UTC().Format("2 Jan 2006")
}
