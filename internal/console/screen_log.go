package console

import (
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
)

// logScreen is the whole log of a step, to scroll and to search.
type logScreen struct {
	seeking bool
	literal bool // what is searched for is no expression
	query   widget.Field
}

func (l *logScreen) card() bool { return false }

func (l *logScreen) field() *widget.Field {
	if l.seeking {
		return &l.query
	}
	return nil
}

func (l *logScreen) bindings(w *world) []binding {
	if l.seeking {
		return l.seekKeys(w)
	}
	p := &w.log.pane
	back := binding{keys: []string{"esc", "q", "l"}, show: "esc", help: "back to the run", brief: "back", act: func() Intent { return several{leaveLog(w), pop{}} }}
	noSearch := ""
	if p.Searching() == nil {
		noSearch = "nothing has been searched for"
	} else {
		back.keys, back.show = []string{"q", "l"}, "q"
	}
	// Each key may need lines that are not there yet.
	does := func(do func()) func() Intent { return func() Intent { do(); return feedLog{} } }
	scroll := func(n int) func() Intent { return does(func() { p.Scroll(n) }) }
	h := logHeight(w)
	noLog, noNext, noBefore := "", "it is the newest log", "it is the first log"
	if w.log.spool == nil {
		noLog = "there is no log yet"
	}
	before, next := w.logsBeside()
	if next != "" {
		noNext = ""
	}
	if before != "" {
		noBefore = ""
	}
	bs := []binding{
		{keys: []string{"up", "k"}, show: "up down", help: "scroll", long: "Scroll. Going up pauses.", act: scroll(-1)},
		{keys: []string{"down", "j"}, long: "Scroll down.", act: scroll(1)},
		{keys: []string{"end", "G"}, show: "end", help: "follow", long: "Go to the newest line and follow.", act: does(p.Follow)},
		{keys: []string{"/"}, help: "search", long: "Search the whole log for text or a regular expression.", off: noLog, act: does(func() { l.seeking = true; l.query.Reset(p.Sought()) })},
	}
	if noSearch == "" {
		bs = append(bs, binding{keys: []string{"esc"}, help: "end the search", brief: "end", act: does(p.EndSearch)})
	}
	return append(bs, []binding{
		back,
		{keys: []string{"n"}, show: "n N", help: "hits", long: "Next place that matches.", off: noSearch, act: does(func() { p.Again(1) })},
		{keys: []string{"N"}, long: "Place before that matches.", off: noSearch, act: does(func() { p.Again(-1) })},
		{keys: []string{"e"}, show: "e E", help: "warnings", long: "Next warning or error.", off: noLog, act: does(func() { p.Alarm(1) })},
		{keys: []string{"E"}, long: "Warning or error before.", off: noLog, act: does(func() { p.Alarm(-1) })},
		{keys: []string{"w"}, help: "wrap", long: "Break long lines, or stop that.", act: does(p.Wrap)},
		{keys: []string{"["}, show: "[ ]", help: "other steps", brief: "steps", long: "Log before: of the step, attempt or check before.", off: noBefore, act: wish(showLog{before})},
		{keys: []string{"]"}, long: "Next log.", off: noNext, act: wish(showLog{next})},
		{keys: []string{"y"}, help: "copy", long: "Copy the lines on the screen, or the line that a search has led to.", off: noLog, act: func() Intent { return copyLog(p) }},
		{keys: []string{"s"}, help: "plain log", long: "Show the plain log on the normal screen as it grows, where the terminal can select and scroll it.", off: noLog, act: wish(streamLog{})},
		{keys: []string{"pgup", "ctrl+u", "b"}, long: "A page up.", act: scroll(-h)},
		{keys: []string{"pgdown", "ctrl+d", "space"}, long: "A page down.", act: scroll(h)},
		{keys: []string{"home", "g"}, show: "home", long: "Go to the first line.", act: does(p.First)},
		{keys: []string{"left"}, long: "Eight columns to the left.", act: does(func() { p.Side(-8) })},
		{keys: []string{"right"}, long: "Eight columns to the right.", act: does(func() { p.Side(8) })},
	}...)
}

// leaveLog lets the small pane follow the current step again.
func leaveLog(w *world) Intent {
	w.log.pane.EndSearch()
	w.log.pane.Follow()
	return showLog{}
}

func (l *logScreen) seekKeys(w *world) []binding {
	p := &w.log.pane
	kind := "plain text"
	if l.literal {
		kind = "expression"
	}
	return []binding{
		does("enter", "search", "Search the whole log, the nearest hit first.", func() Intent {
			l.seeking = false
			text := l.query.Value()
			if text == "" || w.log.file == nil {
				p.EndSearch()
				return nil
			}
			return findInLog{func() (string, *widget.Finder) {
				return text, widget.NewFinder(w.log.file, text, l.literal, p.From(), printable.Line)
			}}
		}),
		does("tab", kind, "Take what is typed as it is, or as a regular expression.", func() Intent { l.literal = !l.literal; return nil }),
		does("esc", "cancel", "", func() Intent { l.seeking = false; return nil }),
	}
}

// copyMost bounds what is handed to the clipboard: terminals drop more.
const copyMost = 64 << 10

func copyLog(p *widget.Log) Intent {
	shown := p.Shown()
	var out []string
	size := 0
	for _, raw := range shown {
		text := printable.Line(widget.Overwritten(raw))
		if size += len(text) + 1; size > copyMost {
			break
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return say{"there is no line to copy"}
	}
	return copyText{strings.Join(out, "\n"), "Handed to the clipboard of the terminal: " + printable.Count(len(out), "line") + " of the log."}
}

// logHeight is how many lines of log fit.
func logHeight(w *world) int {
	a := area{w: w.size.w, h: w.size.h}
	return max(w.size.h-w.head()-footRows(a)-2, 1)
}

func (l *logScreen) draw(w *world, a area) {
	drawRunHead(w, a)
	body := a.sub(w.head(), a.h-w.head()-footRows(a))
	if !l.seeking {
		drawLog(w, body, rHeavy)
		return
	}
	drawLog(w, body.sub(0, body.h-3), rFrame)
	kind := "regular expression or text"
	if l.literal {
		kind = "text as it is"
	}
	box := body.sub(body.h-3, 3).box(frame{title: []span{bold(rStrong, "SEARCH THE LOG")}, right: []span{txt(rDim, kind)}, role: rHeavy, heavy: true})
	box.row(0, line(inlineField(&l.query, box.w, true)...))
}

// logsBeside are the logs before and after the one on the screen.
func (w *world) logsBeside() (before, next string) {
	if w.snap == nil {
		return "", ""
	}
	for i, l := range w.snap.logs {
		if l.name != w.log.name {
			continue
		}
		if i > 0 {
			before = w.snap.logs[i-1].name
		}
		if i+1 < len(w.snap.logs) {
			next = w.snap.logs[i+1].name
		}
	}
	return before, next
}

// logOf says in words what the log on the screen is of.
func (w *world) logOf() string {
	if w.snap == nil {
		return ""
	}
	for _, l := range w.snap.logs {
		if l.name != w.log.name {
			continue
		}
		words := l.step
		for i := range w.snap.Steps {
			if st := &w.snap.Steps[i]; st.ID == l.step {
				words = "step " + itoa(i+1) + " " + st.Title
			}
		}
		if l.kind != "" {
			words += ", " + l.kind
		}
		if l.attempt > 1 {
			words += ", attempt " + itoa(l.attempt)
		}
		return words
	}
	return ""
}

// drawLog draws the pane over the spool file. The large one says which log it is.
func drawLog(w *world, a area, role widget.Role) {
	p := &w.log.pane
	full := role == rHeavy
	f := frame{title: logTitle(w, a.w, full), role: role, heavy: full}
	if w.log.name != "" && w.log.err == nil {
		f.right = logFigures(p, a.w-4-spansWidth(f.title)-8)
	}
	in := a.box(f)
	if w.log.err != nil {
		in.rows(wrapped(rText, w.log.err.Error(), in.w, 0))
		return
	}
	text := logColumns(p, in.w, full)
	p.Fit(in.w-text, in.h)
	for y, r := range p.Rows() {
		drawLogRow(p, in, y, text, r)
	}
}

// logColumns is how many columns stand before the text: the time, where the index tells
// it and there is room, and the marks. They stay when the text is scrolled sideways.
func logColumns(p *widget.Log, w int, full bool) int {
	switch {
	case p.Timed() && w >= 48:
		return len("03:04:33 ")
	case full:
		return len("> ")
	}
	return 0
}

func drawLogRow(p *widget.Log, in area, y, col int, r widget.Row) {
	if col > 2 && r.Sub == 0 && r.Line.At != 0 {
		in.c.Put(in.x, in.y+y, col-1, rFaint, 0, hhmmss(time.UnixMilli(r.Line.At)))
	}
	mark, role := "", rDim
	switch bad, alarm := widget.Alarm(r.Line.Text); {
	case col == 0 || r.Sub > 0:
	case r.Cursor:
		mark, role = "▸", rNow
	case r.Line.Note:
		mark, role = "▲", rWarn
	case bad:
		mark, role = "▲", rFail
	case alarm:
		mark, role = "▲", rWarn
	}
	if mark != "" {
		in.c.Put(in.x+col-1, in.y+y, 1, role, 0, mark)
	}
	if r.Line.Note {
		in.c.Put(in.x+col, in.y+y, in.w-col, rWarn, 0, r.Text)
		return
	}
	in.c.PutStyled(in.x+col, in.y+y, in.w-col, r.Text)
	for _, hit := range p.Hits(r) {
		in.c.Mark(in.x+col+hit[0], in.y+y, hit[1], 1, widget.Under)
	}
	if r.Cursor {
		in.c.Mark(in.x, in.y+y, in.w, 1, widget.Tint)
	}
}

// logTitle says which log it is and where the pane stands.
func logTitle(w *world, width int, full bool) []span {
	p := &w.log.pane
	words, following := p.State()
	state := txt(rDim, words)
	switch {
	case w.log.err != nil:
		state = txt(rWarn, "cannot be read")
	case w.log.name == "":
		state = txt(rDim, "nothing yet")
	case following && w.snap.Working() != nil && (!w.log.pinned || w.log.name == w.snap.logName()):
		state = txt(rOK, words)
	case following:
		state = txt(rDim, "the last lines")
	}
	title := []span{bold(rStrong, "LOG"), txt(rText, "  "), state}
	if room := width - 40 - widget.Width(state.text); full && room >= 14 && w.logOf() != "" {
		of := w.logOf()
		title = []span{bold(rStrong, "LOG"), txt(rText, "  "+widget.Cut(printable.Line(of), room, "…")), txt(rText, "  "), state}
	}
	return title
}

// logFigures are the counts: hits of a search, warnings, lines. What there is no room for
// is left out from the right of that list.
func logFigures(p *widget.Log, room int) []span {
	bad, warnings, known := p.Alarms()
	alarms := txt(rDim, plural64(warnings, "warning"))
	switch {
	case bad > 0:
		alarms = txt(rFail, "▲ "+plural64(bad, "error"))
	case warnings > 0:
		alarms = txt(rWarn, "▲ "+plural64(warnings, "warning"))
	case !known:
		alarms = txt(rDim, "looking for warnings")
	}
	sep := txt(rDim, " · ")
	var all [][]span
	if found := p.Finding(); found != "" {
		all = append(all, []span{txt(rNow, found), sep})
	}
	all = append(all, []span{alarms, sep})
	if bad > 0 && warnings > 0 {
		all = append(all, []span{txt(rWarn, plural64(warnings, "warning")), sep})
	}
	if p.Wrapped() {
		all = append(all, []span{txt(rDim, "wrapped"), sep})
	}
	all = append(all, []span{txt(rDim, p.Total()), sep})
	var out []span
	for _, part := range all {
		if spansWidth(out)+spansWidth(part) <= room {
			out = append(out, part...)
		}
	}
	if len(out) > 0 {
		out = out[:len(out)-1] // the separator
	}
	return out
}

func plural64(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return widget.Count(n) + " " + thing + "s"
}
