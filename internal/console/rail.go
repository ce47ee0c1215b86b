package console

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// drawRail draws all steps with their evidence, and the notes below.
func drawRail(w *world, a area) {
	s := w.snap
	notes := min(max(a.h/3, 6), max(3*len(remarks(s))+3, 6)) // few remarks need little room
	rows := railRows(w, a.w-4, 0, false)
	for _, try := range []struct {
		lines  int
		future bool
	}{{3, true}, {2, true}, {1, true}, {1, false}} { // as much evidence as there is room for
		if more := railRows(w, a.w-4, try.lines, try.future); len(more)+4 <= a.h-notes {
			rows = more
			break
		}
	}
	high := min(max(len(rows)+4, a.h/2), a.h-notes)
	in := a.sub(0, high).box(frame{
		title: []span{bold(rStrong, "STEPS"), txt(rDim, fmt.Sprintf("  %d of %d", s.now()+1, len(s.Steps)))},
		right: []span{txt(rDim, "tab")}, role: rFrame,
	})
	list := in.sub(0, in.h-1)
	from := 0
	if len(rows) > list.h { // keep the current step among those shown
		from = min(max(s.now()-list.h/2, 0), len(rows)-list.h)
	}
	for i := from; i < len(rows) && i-from < list.h; i++ {
		list.row(i-from, rows[i])
	}
	in.row(in.h-1, row{left: []span{txt(rDim, "run time "), txt(rText, clock(s.end(w.now).Sub(s.At)))}, right: restWords(w)})
	if s.Drill != nil {
		drawScore(w, a.sub(high, a.h-high))
		return
	}
	drawNotes(w, a.sub(high, a.h-high))
}

// restWords is how long it still takes, and else how often the run was taken up again.
func restWords(w *world) []span {
	if text := togo(w.forecast().End, false); text != "" && w.snap.Open() {
		return []span{txt(rDim, text)}
	}
	if n := len(w.snap.Resumed); n > 0 {
		return []span{txt(rDim, plural(n, "restart", "restarts"))}
	}
	return nil
}

// railRows has one row per step, and up to lines more with what is known about it; of the
// steps to come only with future.
func railRows(w *world, width, most int, future bool) []row {
	s := w.snap
	var rs []row
	for i := range s.Steps {
		lines := most
		if i > s.now() && !future {
			lines = 0
		}
		st := &s.Steps[i]
		now := i == s.now() && s.Open()
		glyph, role := stateLook(st)
		title := txt(rText, st.Title)
		if now {
			title = bold(rStrong, st.Title)
			if st.State == run.Waiting && st.Effect != "destroy" {
				glyph, role = "▸", rNow
			}
		}
		r := row{left: []span{txt(role, glyph+" "), txt(rText, itoa(i+1)+" "), title}, right: railTime(w, st), tint: now}
		if lines > 0 && (st.State == run.Pending || st.State == run.Waiting) && st.Effect != "destroy" && len(r.right) > 0 && r.right[0].role != rFaint {
			r.right = nil // the line below says it, and the title needs the room
		}
		if head := phaseHead(s, i); lines > 0 && head != "" {
			rs = append(rs, line(txt(rFaint, head)))
		}
		rs = append(rs, r)
		if lines > 0 {
			role, text := railWords(s, st)
			rs = append(rs, evidence(role, text, max(width-4, 12), lines)...)
		}
	}
	return rs
}

// phaseHead is the heading that begins above a step; empty where it goes on.
func phaseHead(s *snapshot, i int) string {
	phase := s.Steps[i].Phase
	if len(phase) == 0 || i > 0 && slices.Equal(phase, s.Steps[i-1].Phase) {
		return ""
	}
	return strings.Join(phase, " · ")
}

// evidence lays out "sensed   what was seen" in at most limit rows of w cells.
func evidence(role widget.Role, text string, w, limit int) []row {
	how, what, two := strings.Cut(text, "  ")
	if limit == 1 || !two {
		if limit == 1 {
			return []row{line(txt(role, "    "+widget.Cut(printable.Line(text), w, "…")))}
		}
		how, what = "", text
	}
	hold := ""
	if how != "" { // the blanks behind it would not survive the wrapping
		hold = strings.Repeat("_", 8) + " "
	}
	var rs []row
	for i, l := range wrap(hold+strings.TrimSpace(what), w, limit) {
		if i == 0 && how != "" {
			l = pad(how, 9) + strings.TrimPrefix(l, hold)
		}
		rs = append(rs, line(txt(role, "    "+l)))
	}
	return rs
}

// railTime is what stands at the right end of a step: its time, or what it will ask.
func railTime(w *world, st *run.Step) []span {
	switch st.State {
	case run.Running, run.Checking:
		return []span{bold(rText, clock(w.since(st.Began)))}
	case run.InDoubt:
		return []span{bold(rWarn, "doubt")}
	case run.Failed:
		return []span{txt(rFail, "failed")}
	case run.Skipped:
		return []span{txt(rDim, "skipped")}
	case run.Overridden:
		return []span{txt(rWarn, "overridden")}
	case run.Undone:
		return []span{txt(rDim, "undone")}
	case run.Pending, run.Waiting:
		if t, ok := w.usualOf(st.ID); ok && t.Work >= time.Second && st.State == run.Pending && st.Effect != "destroy" {
			return []span{txt(rFaint, "~"+clock(t.Work))}
		}
		return shortKind(st.Outline)
	}
	switch took := w.snap.took(st); {
	case took <= 0:
	case took < time.Second:
		return []span{txt(rDim, "<0:01")}
	default:
		return []span{txt(rDim, clock(took))}
	}
	return nil
}

// railWords is the line below a step: the evidence, or what will be asked.
func railWords(s *snapshot, st *run.Step) (widget.Role, string) {
	switch st.State {
	case run.Verified:
		return rFaint, "sensed   " + st.Evidence
	case run.Claimed:
		if seen := slices.DeleteFunc(slices.Clone(st.Values), func(v string) bool { return v == "done" }); len(seen) > 0 {
			return rFaint, fmt.Sprintf("by hand  %s: %q", st.By, strings.Join(seen, ", "))
		}
		return rFaint, "by hand  " + strings.TrimSpace(st.By+" "+st.Evidence)
	case run.Running:
		if st.Undoing {
			return rText, "being undone"
		}
		return rText, "running"
	case run.Checking:
		return rText, "its checks are being made"
	case run.Waiting:
		return rText, "waits for you"
	case run.Failed:
		if st.ElseTo != "" {
			return rFaint, "failed, then " + st.ElseTo
		}
		return rFail, st.Error
	case run.InDoubt:
		return rWarn, "IN DOUBT, running at " + hhmmss(st.Began)
	case run.Skipped, run.Overridden:
		return rFaint, reasonWords(st)
	case run.Undone:
		return rFaint, "undone, " + st.Evidence
	}
	if st.Only {
		return rFaint, "only if another step fails"
	}
	_, _, words := stepLook(st.Outline)
	if s.Started.RTO > 0 && s.Stops() >= 0 && s.Steps[s.Stops()].ID == st.ID {
		words += ", stops the clock"
	}
	return rFaint, words
}

func reasonWords(st *run.Step) string {
	text := string(st.Reason.Class)
	for _, c := range classes {
		if c.class == st.Reason.Class && c.class != run.Other {
			text = c.words
		}
	}
	if st.Reason.Class == run.Other {
		text = ""
	}
	if st.Reason.Text != "" {
		text = strings.TrimPrefix(text+": "+st.Reason.Text, ": ")
	}
	if st.Reason.By != "" {
		text += ", " + st.Reason.By
	}
	return text
}

// drawNotes draws what people remarked, the newest at the end; after a restart, first
// of all, what happened while nobody watched.
func drawNotes(w *world, a area) {
	s := w.snap
	title := "NOTES"
	var rs []row
	width := a.w - 4
	if w.away != nil {
		title = "SINCE YOU WERE HERE"
		rs = sinceRows(w, width, a.h-3)
	}
	var notes []row
	for _, n := range remarks(s) {
		head := n.At.UTC().Format("15:04") + " "
		for i, l := range wrap(n.Text, max(width-16, 8), 4) {
			if i == 0 {
				notes = append(notes, line(txt(rFaint, head), bold(rText, pad(n.By, 10)), txt(rText, l)))
			} else {
				notes = append(notes, line(txt(rText, strings.Repeat(" ", 16)+l)))
			}
		}
	}
	in := a.box(frame{title: []span{bold(rStrong, title)}, role: rFrame})
	list := in.sub(0, in.h-1)
	if room := list.h - len(rs); len(notes) > room {
		notes = notes[len(notes)-max(room, 0):]
	}
	if w.away != nil {
		notes = nil // those that are new stand among what happened
	}
	list.rows(append(rs, notes...))
	in.row(in.h-1, line(bold(rStrong, "n"), txt(rDim, " add a note, kept in the record")))
}
