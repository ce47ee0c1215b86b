package console

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/estate"
	"lifeboat/internal/incident"
)

// stepWords is where a run is.
func stepWords(s Summary) string {
	return "step " + itoa(min(s.Done+1, max(s.Steps, 1))) + " of " + itoa(s.Steps)
}

// clockWords is what is left of the time that was promised, and whether it will do.
func clockWords(w *world, s Summary) (left string, says string, role widget.Role) {
	if s.RTO <= 0 {
		return "", "open for " + words(w.since(s.At)), rDim
	}
	from := s.At
	if !s.Incident.IsZero() {
		from = s.Incident
	}
	end := from.Add(s.RTO)
	rest := end.Sub(w.now)
	left = "RTO " + clock(rest) + " left"
	back := s.At.Add(w.board.About[s.Book])
	switch {
	case rest < 0:
		return "RTO missed", "by " + words(-rest), rFail
	case w.board.About[s.Book] > 0 && back.After(end):
		return left, "will miss by " + words(back.Sub(end)), rFail
	case rest*100 < s.RTO*15:
		return left, "little time", rWarn
	case w.board.About[s.Book] > 0 && back.After(w.now):
		return left, "on track, back about " + back.UTC().Format("15:04"), rOK
	}
	return left, words(rest) + " to spare", rOK
}

// openRows tell of an open run in up to four lines.
func openRows(w *world, s Summary, full bool, width int) []row {
	word, badge, _ := modeLook(s.Mode)
	about := s.Asset
	if s.By != "" {
		about = strings.TrimPrefix(about+", by "+s.By, ", ")
	}
	rs := []row{{left: []span{txt(badge, " "+word+" "), bold(rStrong, " "+s.Book)}, right: []span{txt(rDim, about)}}}
	left, says, role := clockWords(w, s)
	col := max((width-7)*2/5, 16)
	state := txt(rText, s.Step)
	switch {
	case !s.Hosted:
		state = txt(rWarn, "nothing drives it")
	case s.Gate != "":
		state = txt(rWarn, "waits for a person")
	}
	rs = append(rs, line(txt(rText, "       "+pad(stepWords(s), col)), state))
	if !full {
		return rs
	}
	if left == "" {
		rs = append(rs, line(txt(rText, "       "), txt(role, says)))
	} else {
		rs = append(rs, line(bold(rText, "       "+pad(left, col)), txt(role, says)))
	}
	keys := row{left: []span{txt(rText, "       "), bold(rStrong, "a"), txt(rDim, " attach, gates still ask")}, spare: 2}
	if takeOver(w, []Summary{s}).off == "" {
		keys.right = []span{bold(rStrong, "A"), txt(rDim, " ask to take it over")}
	}
	return append(rs, keys)
}

func (h *homeScreen) drawOpen(w *world, a area) {
	runs := open(w)
	if a.h < 3 || len(runs) == 0 {
		return
	}
	_, _, role := modeLook(runs[0].Mode)
	title := "OPEN RUN"
	if len(runs) > 1 {
		title = itoa(len(runs)) + " OPEN RUNS"
	}
	in := a.box(frame{title: []span{bold(rStrong, title)}, role: role})
	var rs []row
	for i, s := range runs {
		rs = append(rs, openRows(w, s, i == 0, in.w)...)
	}
	in.rows(rs)
}

// dueLook is how a drill that is due is said.
func dueLook(d estate.DueDrill) (word, when string, role widget.Role) {
	switch {
	case d.Never:
		return "never", "not drilled yet", rWarn
	case d.Passed.IsZero():
		return "late", "changed since", rWarn
	case d.Left < 0:
		return "late", estate.Long(-d.Left) + " late", rWarn
	case d.Left < 60*24*time.Hour:
		return "soon", "in " + estate.Long(d.Left), rDim
	}
	return "", "in " + estate.Long(d.Left), rFaint
}

func drawDue(w *world, a area) {
	if a.h < 3 {
		return
	}
	late := reviewRow(w, 6)
	title := "DRILLS DUE"
	if len(late) > 0 {
		title = "DRILLS AND REVIEWS DUE"
	}
	in := a.box(frame{title: []span{bold(rStrong, title)}, right: []span{bold(rStrong, "d"), txt(rDim, " start a drill   "), bold(rStrong, "t"), txt(rDim, " training")}, role: rFrame})
	var rs []row
	for _, d := range w.board.Due {
		word, when, role := dueLook(d)
		r := row{left: []span{txt(role, pad(word, 6)), txt(rText, d.Runbook)}, right: []span{txt(role, when)}}
		about := ""
		if d.About > 0 {
			about = estate.Long(d.About)
		}
		r.right = append(r.right, txt(rDim, rightly(about, 10)))
		rs = append(rs, r)
	}
	if fits := in.h - len(late); len(rs) > fits { // the first ones hurry
		hurry := 0
		for _, d := range w.board.Due {
			if d.Late() {
				hurry++
			}
		}
		rs = rs[:max(fits, 0)]
		if more := hurry - fits + 1; more > 0 && fits > 1 {
			rs[fits-1] = line(txt(rDim, "      and "+itoa(more)+" more that are due"))
		}
	}
	if len(rs) == 0 && w.board.known {
		rs = wrapped(rDim, "No runbook of the library brings anything of this estate back.", in.w, 0)
	}
	in.rows(append(rs, late...))
}

// callRows is whom to call first, without a level being known.
func callRows(w *world) []row {
	var rs []row
	for _, c := range calls(w) {
		rs = append(rs, row{left: []span{bold(rText, pad(c.level, 4)), txt(rDim, pad(c.Role, 18)), txt(rText, pad(c.Name, 14)), bold(rStrong, cmp.Or(c.Phone, c.Email))}})
	}
	return rs
}

// called is somebody to call, with the level at which they are called first.
type called struct {
	incident.Call
	level string
}

func drawCalls(w *world, a area) {
	if a.h < 3 {
		return
	}
	in := a.box(frame{title: []span{bold(rStrong, "WHO TO CALL")}, right: []span{bold(rStrong, "c"), txt(rDim, " all, and what to say")}, role: rFrame})
	rs := callRows(w)
	if len(rs) == 0 && w.loaded {
		rs = wrapped(rDim, "Nobody is listed. Press c to see how contacts are added.", in.w, 0)
	}
	in.rows(rs)
}

// endedRuns are the runs that have ended.
func endedRuns(w *world) []Summary {
	var out []Summary
	for _, s := range w.runs {
		if s.Outcome != "" {
			out = append(out, s)
		}
	}
	return out
}

func (h *homeScreen) drawPast(w *world, a area) {
	if a.h < 3 {
		return
	}
	in := a.box(frame{title: []span{bold(rStrong, "LAST DRILLS AND RUNS")}, right: []span{bold(rStrong, "tab"), txt(rDim, " choose one")}, role: rFrame})
	list := endedRuns(w)
	if len(list) == 0 && w.loaded {
		in.rows(wrapped(rDim, "Nothing has been run yet.", in.w, 0))
		return
	}
	at := min(h.run, len(list)-1)
	from := 0
	if h.onRuns {
		from = min(max(at-in.h+1, 0), max(len(list)-in.h, 0))
	}
	for i := from; i < min(len(list), from+in.h); i++ {
		s := list[i]
		glyph, role, _ := outcomeLook(s.Outcome)
		word, _, _ := modeLook(s.Mode)
		took := estate.Long(s.Last.Sub(s.At))
		if s.RTO > 0 {
			took += " of " + estate.Long(s.RTO)
		}
		in.row(i-from, row{
			left:  []span{txt(role, glyph+" "), txt(rDim, fmt.Sprintf("%6s  ", day(s.Last, w.now))), txt(rDim, pad(strings.ToLower(word), 8)), txt(rText, s.Book)},
			right: []span{txt(rDim, took)}, tint: h.onRuns && i == at,
		})
	}
}

// drawNow is what the columns of a wide screen say, in one box: the open runs, the drill
// that is late, whom to call, the last results.
func (h *homeScreen) drawNow(w *world, a area) {
	if a.h < 3 {
		return
	}
	in := a.box(frame{title: []span{bold(rStrong, "NOW")}, role: rFrame})
	var rs []row
	for _, s := range open(w) {
		word, badge, _ := modeLook(s.Mode)
		left, says, role := clockWords(w, s)
		if left != "" {
			says = left
		}
		state := ", " + stepWords(s) + ", "
		switch {
		case !s.Hosted:
			says, role = "nothing drives it", rWarn
		case s.Gate != "":
			state += "waits, "
		}
		r := row{left: []span{txt(badge, " "+word+" "), bold(rStrong, " "+s.Book), txt(rDim, state), txt(role, says)}, right: []span{bold(rStrong, "a"), txt(rDim, " attach")}}
		rs = append(rs, r)
	}
	if len(rs) == 0 {
		rs = append(rs, row{left: []span{txt(rDim, "run    "), txt(rText, "none is open")}, spare: 2})
	}
	for _, d := range w.board.Due {
		if word, when, role := dueLook(d); word != "" {
			about := ""
			if d.About > 0 {
				about = ", about " + estate.Long(d.About)
			}
			rs = append(rs, row{left: []span{txt(role, pad(word, 7)), txt(rText, "drill "+d.Runbook), txt(rDim, ", "+when+about)}, spare: 2})
			break
		}
	}
	if list := calls(w); len(list) > 0 {
		r := row{left: []span{txt(rDim, "call   ")}, right: []span{bold(rStrong, "c"), txt(rDim, " call")}}
		for _, c := range list[:min(2, len(list))] {
			r.left = append(r.left, bold(rText, c.level+" "), txt(rText, c.Name+" "), bold(rStrong, cmp.Or(c.Phone, c.Email)), txt(rText, "   "))
		}
		rs = append(rs, r)
	}
	rs = append(rs, reviewRow(w, 7)...)
	if len(rs) > in.h && len(open(w)) == 0 {
		rs = rs[1:] // that none is open is what is missed least
	}
	in.rows(rs)
}
