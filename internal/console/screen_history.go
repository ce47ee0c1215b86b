package console

import (
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// pastFilter is which runs the list shows.
type pastFilter int

const (
	pastAll     pastFilter = iota // live runs and drills, without routine
	pastLive                      // live runs, without routine
	pastDrill                     // drills
	pastRoutine                   // backups and verifications
)

var pastFilters = []string{"all", "live", "drill", "routine"}

func (f pastFilter) shows(r *report.Run) bool {
	switch f {
	case pastLive:
		return r.Mode == run.Live && !r.Routine()
	case pastDrill:
		return r.Mode == run.Drill && !r.Routine()
	case pastRoutine:
		return r.Routine()
	}
	return !r.Routine()
}

// historyScreen answers whether promises are kept, and whether that can be shown.
type historyScreen struct {
	filter  pastFilter
	search  widget.Field
	seeking bool   // the search field has the keyboard
	at      int    // row of what is shown
	id      run.ID // of that row: the cursor stays on its run when the list grows
	page    int    // rows of the list in the newest frame
	path    string // of the report that was written last
	pathOf  run.ID

	shown []int // runs that are shown, by their place in the list
	of    listKey
}

// listKey says what shown was made of.
type listKey struct {
	runs   *pastRun
	n      int
	filter pastFilter
	query  string
}

func newHistory() screen { return &historyScreen{} }

var _ placed = (*historyScreen)(nil)

func (h *historyScreen) card() bool                      { return false }
func (h *historyScreen) place() string                   { return "history" }
func (h *historyScreen) opens(*world) Intent             { return readHistory{} }
func (h *historyScreen) exported(id run.ID, path string) { h.path, h.pathOf = path, id }

func (h *historyScreen) field() *widget.Field {
	if h.seeking {
		return &h.search
	}
	return nil
}

func (h *historyScreen) head(w *world) int {
	n := len(owedRows(w)) + 2
	if w.size.w >= 110 {
		n++
	}
	return n
}

// rows are the runs that filter and search let through. They are looked for again only
// when one of these has changed.
func (h *historyScreen) rows(w *world) []int {
	all := w.past.runs
	key := listKey{n: len(all), filter: h.filter, query: h.search.Value()}
	if len(all) > 0 {
		key.runs = &all[0]
	}
	if key == h.of && h.shown != nil {
		return h.shown
	}
	terms := strings.Fields(strings.ToLower(key.query))
	h.shown, h.of = make([]int, 0, 64), key
	for i := range all {
		if r := &all[i]; h.filter.shows(&r.Run) && !slices.ContainsFunc(terms, func(t string) bool { return !strings.Contains(r.text, t) }) {
			h.shown = append(h.shown, i)
		}
	}
	if n := slices.IndexFunc(h.shown, func(i int) bool { return all[i].ID == h.id }); n >= 0 && h.id != "" {
		h.at = n
	}
	return h.shown
}

// chosen is the run with the cursor, nil when there is none.
func (h *historyScreen) chosen(w *world) *pastRun {
	rows := h.rows(w)
	if len(rows) == 0 {
		return nil
	}
	h.at = min(max(h.at, 0), len(rows)-1)
	r := &w.past.runs[rows[h.at]]
	h.id = r.ID
	return r
}

// move moves the cursor and asks for the record of the run below it.
func (h *historyScreen) move(w *world, by int) Intent {
	h.at += by
	return h.look(w)
}

func (h *historyScreen) look(w *world) Intent {
	h.id = ""
	if r := h.chosen(w); r != nil && (w.past.record == nil || w.past.record.id != r.ID) {
		return loadRecord{id: r.ID}
	}
	return nil
}

func (h *historyScreen) bindings(w *world) []binding {
	r := h.chosen(w)
	none := ""
	if r == nil {
		none = "no run is chosen"
	}
	move := func(by int) func() Intent { return func() Intent { return h.move(w, by) } }
	updown := []binding{
		{keys: []string{"up"}, show: "up down", help: "move", long: "Move in the list.", act: move(-1)},
		{keys: []string{"down"}, long: "Next run.", act: move(1)},
		{keys: []string{"pgup", "ctrl+u"}, long: "A page up.", act: move(-max(h.page, 1))},
		{keys: []string{"pgdown", "ctrl+d"}, long: "A page down.", act: move(max(h.page, 1))},
		{keys: []string{"home"}, long: "Newest run.", act: move(-1 << 40)},
		{keys: []string{"end"}, long: "Oldest run.", act: move(1 << 40)},
	}
	filter := does("tab", "filter", "Show all, live runs, drills, or routine: backups and verifications.", func() Intent {
		h.filter = (h.filter + 1) % pastFilter(len(pastFilters))
		return h.look(w)
	})
	if h.seeking {
		return append([]binding{
			{show: "type", help: "to search", long: "Type words of a runbook, an asset, a person, an outcome or a day."},
			does("enter", "done", "Leave the search field, keep what it found.", func() Intent { h.seeking = false; return h.look(w) }),
			does("esc", "clear", "Clear the search.", func() Intent { h.seeking = false; h.search.Reset(""); return h.look(w) }),
			filter,
		}, updown...)
	}
	for i, key := range []string{"k", "j", "", "", "g", "G"} {
		if key != "" {
			updown[i].keys = append(updown[i].keys, key)
		}
	}
	copies := does("y", "copy the proof", "Copy the hash of this run, or the path of its report once it is written.", func() Intent { return h.copies(w) }).named("", "copy").unless(none)
	var bs []binding
	if w.size.w >= 110 {
		bs = append(bs, updown[0])
		updown = updown[1:]
	}
	bs = append(bs,
		does("enter", "timeline", "Show every event of this run, with its time and its evidence.", func() Intent { return loadRecord{id: r.ID, open: true} }).unless(none),
		does("e", "export", "Write the report of this run beside its logs, as Markdown. Nothing is overwritten.", func() Intent { return exportRun{r.ID} }).unless(none).unless(w.looking()),
		copies,
		does("p", "play back", "Go through this run moment by moment, as it was. Nothing is sent to it.", func() Intent { return h.plays(w) }).named("", "play").unless(h.unread(w)),
		filter,
		does("/", "search", "Search runbooks, assets, people, outcomes and days.", func() Intent { h.seeking = true; return nil }),
		does("r", "", "Read the history again and verify its chain.", wish(readHistory{})))
	bs = append(bs, updown...)
	for _, b := range placeKeys(h.place()) {
		if b.keys[0] != "/" { // it searches here
			bs = append(bs, b)
		}
	}
	return append(bs,
		does("esc", "", "Clear the search, or back to the bridge.", func() Intent {
			if h.search.Empty() {
				return goHome{}
			}
			h.search.Reset("")
			return h.look(w)
		}),
		does("q", "", "Leave the console. Open runs go on.", wish(leave{})))
}

// unread says why the record of the chosen run cannot be used yet.
func (h *historyScreen) unread(w *world) string {
	switch rec := w.past.record; {
	case h.chosen(w) == nil:
		return "no run is chosen"
	case rec == nil || rec.id != h.id:
		return "its record is being read"
	case rec.err != nil:
		return "its record cannot be read"
	}
	return ""
}

func (h *historyScreen) plays(w *world) Intent { return push{newPlayback(w.past.record, 0)} }

// copies hands out the path of the report when it was just written, else the proof.
func (h *historyScreen) copies(w *world) Intent {
	switch {
	case h.pathOf != "" && h.pathOf == h.id:
		return copyText{h.path, "The path of the report is on the clipboard of the terminal: " + h.path}
	case h.unread(w) != "":
		return say{"y is off: " + h.unread(w)}
	}
	return copyText{w.past.record.Proof, "The hash of run " + h.id.Short() + " is on the clipboard of the terminal: " + w.past.record.Proof}
}

func (h *historyScreen) legend() row {
	return line(txt(rDim, " pts: score of a drill.   "), txt(rText, "routine"), txt(rDim, ": backups and verifications.   "),
		txt(rText, "settled"), txt(rDim, ": a person decided after a probe."))
}

func (h *historyScreen) draw(w *world, a area) {
	drawBrand(w, a, "history")
	y := 1
	if wide(a) {
		y = 2
	}
	heavy := true
	if faults := faultRows(w, a.w-4); faults != nil {
		f := a.sub(y, min(len(faults)+2, a.h/3)).box(frame{title: []span{txt(rFailBadge, " ✗ THE AUDIT CHAIN IS BROKEN ")},
			right: auditRight(w.past.audit), heavy: true, role: rFail})
		f.rows(faults)
		y += f.h + 2
		heavy = false
	} else {
		a.row(y, auditRow(w, a.w))
		y++
	}
	for _, r := range owedRows(w) {
		a.row(y, r)
		y++
	}
	if wide(a) && a.h >= 34 && heavy {
		y++
	}
	body := a.sub(y, a.h-y-footRows(a))
	switch {
	case w.past.err != nil:
		f := body.sub(0, min(body.h, 9)).box(frame{title: []span{bold(rFail, "THE HISTORY CANNOT BE READ")}, heavy: heavy, role: rHeavy})
		f.rows(wrapped(rText, w.past.err.Error(), f.w, 0))
	case wide(a):
		left, right := body.split(a.w - 34)
		low := min(10, max(left.h-8, 0))
		h.drawList(w, left.sub(0, left.h-low), heavy)
		drawEvidence(w, h.id, left.sub(left.h-low, low))
		drawMetrics(w, right)
	case body.h >= 17 && a.w >= 80:
		h.drawList(w, body.sub(0, body.h-8), heavy)
		left, right := body.sub(body.h-8, 8).split(a.w / 2)
		drawMonths(w, left, 6)
		drawYear(w, right)
	case body.h >= 13:
		h.drawList(w, body.sub(0, body.h-6), heavy)
		drawYear(w, body.sub(body.h-6, 6))
	default:
		h.drawList(w, body, heavy)
	}
}

// auditRow is the headline while nothing is wrong.
func auditRow(w *world, width int) row {
	switch au := w.past.audit; {
	case au == nil:
		return line(txt(rNow, "  ▸ "), bold(rStrong, "CHECKING THE AUDIT CHAIN …"), txt(rDim, "   every event of every run is read and hashed again"))
	case au.Empty:
		return line(txt(rDim, "  ○ "), bold(rStrong, "NOTHING IS ON RECORD YET"), txt(rDim, "   the first run begins the chain"))
	default:
		says := spaced(int(au.Events)) + " entries, no gap, head " + brief(au.Head)
		r := row{left: []span{txt(rOK, "  ✓ "), bold(rOK, "AUDIT CHAIN VERIFIED"), txt(rText, "   "+says)}, right: auditRight(au)}
		switch {
		case width < 80:
			r.left[2].text = "  " + spaced(int(au.Events)) + " entries"
		case width < 110:
			r.left[2].text = "   " + spaced(int(au.Events)) + " entries, head " + brief(au.Head)
		}
		return r
	}
}

func auditRight(au *Audit) []span { return []span{txt(rDim, "checked "+hhmmss(au.At)+" ")} }

// faultRows say what is wrong with the journal; nil while nothing is known to be.
func faultRows(w *world, width int) []row {
	au := w.past.audit
	if au == nil || au.Err == nil {
		return nil
	}
	const most = 3
	var rs []row
	for i, f := range au.Faults {
		if i > 0 && f.Seq > 0 && f.Run == au.Faults[i-1].Run && f.Seq == au.Faults[i-1].Seq {
			continue // one event, seen from two sides
		}
		if len(rs) == most {
			rs = append(rs, line(txt(rFail, "✗ "), txt(rText, "and "+itoa(len(au.Faults)-i)+" more: lifeboat audit verify lists them")))
			break
		}
		where := "the journal"
		if f.Run != "" {
			where = "run " + f.Run.Short()
		}
		if f.Seq > 0 {
			where += ", event " + itoa(int(f.Seq))
		}
		rs = append(rs, line(txt(rFail, "✗ "), bold(rStrong, where), txt(rText, ": "+f.Why)))
	}
	if len(au.Faults) == 0 {
		rs = wrapped(rStrong, au.Err.Error(), width, 2)
	}
	return append(rs, extra(wrapped(rText, "Do not rely on what is listed below. Keep journal.db, its -wal file and journal.head as evidence before anything else writes to them.", width, 2))...)
}

// spaced writes a number with its thousands apart: 20 198.
func spaced(n int) string {
	s := itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// brief shortens a hash so that people can compare it.
func brief(hash string) string {
	if len(hash) <= 9 {
		return hash
	}
	return hash[:4] + "…" + hash[len(hash)-4:]
}

// pastSpan writes a recovery time so that it fits in 6 cells.
func pastSpan(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 100*time.Minute:
		return clock(d)
	case d < 10*time.Hour && d%time.Hour != 0:
		return itoa(int(d/time.Hour)) + " h " + two(int(d/time.Minute)%60)
	case d < 48*time.Hour:
		return itoa(int(d/time.Hour)) + " h"
	}
	return itoa(int(d/(24*time.Hour))) + " d"
}

// pastOutcome is how a run of the past came out: its word, and how it is drawn.
func pastOutcome(r *report.Run) (word, glyph string, role widget.Role) {
	switch {
	case r.Open():
		return "OPEN", "▸", rNow
	case r.Reached() && r.Target() > 0 && !r.Met() && r.Score == nil:
		return "LATE", "▲", rWarn
	case r.Mode == run.Drill && !r.Routine() && r.Passed():
		return "PASSED", "✓", rOK
	case r.Mode == run.Drill && !r.Routine():
		return "FAILED", "✗", rFail
	case r.Outcome == run.Complete:
		return "COMPLETE", "✓", rOK
	case r.Outcome == run.CompleteWithOverrides:
		return "OVERRIDES", "▲", rWarn
	case r.Outcome == run.Aborted:
		return "ABORTED", "✗", rFail
	}
	return "NOT DONE", "✗", rFail
}
