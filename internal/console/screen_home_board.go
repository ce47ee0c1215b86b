package console

import (
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/estate"
)

// readinessLook is the glyph of a verdict. In a sandbox nothing is red: it is there to be
// broken; nor on an estate that is new.
func readinessLook(w *world, r *estate.Readiness) (glyph string, role widget.Role) {
	switch {
	case r.Verdict == estate.Ready:
		return "✓", rOK
	case w.unread(r):
		return "·", rDim
	case r.Verdict == estate.Unknown:
		return "?", rWarn
	case r.Verdict != estate.InRun && r.Grade.Bad() && !w.sandbox() && w.board.sum().Backed:
		return "✗", rFail
	}
	return "▲", rWarn
}

// unread says of an asset that its verdict only waits for the vault, which is being read.
func (w *world) unread(r *estate.Readiness) bool {
	g, ok := r.Worst()
	return ok && g.Waits && w.board.asking && len(r.Open) == 0
}

func verdictWord(w *world, r *estate.Readiness) string {
	switch {
	case w.unread(r):
		return "reading …"
	case r.Verdict == estate.InRun:
		return string(r.Verdict) + " " + r.Open[0].ID
	}
	return string(r.Verdict)
}

// boardColumns are where the columns of the board begin or end, in cells; 0: not shown.
type boardColumns struct {
	name, what int // widths
	bar        int
	drill      bool
	restored   int // width of the time before " of "
}

func boardColumnsFor(w int) boardColumns {
	switch {
	case w >= 116:
		more := min(w-116, 24)
		return boardColumns{name: 16 + more/2, what: 22 + more - more/2, bar: 10, drill: true, restored: 10}
	case w >= 76:
		return boardColumns{name: 15 + min(w-76, 10), bar: 8, restored: 9}
	}
	return boardColumns{name: 16 + w - 56}
}

// rightly pads text with blanks on its left to w cells.
func rightly(text string, w int) string {
	return strings.Repeat(" ", max(w-widget.Width(text), 0)) + text
}

// head is the line above the assets. Names of limits stand above their column.
func (c boardColumns) head() row {
	text := "  " + pad("ASSET", c.name)
	put := func(words string, end int) { text += rightly(words, end-widget.Width(text)) }
	age := 2 + c.name + c.what + 7 + 4
	if c.what > 0 {
		text += "WHAT IT IS"
	}
	put("BACKUP AGE of ", age)
	text += pad("RPO", 7)
	at := age + 7 + c.bar
	if c.drill {
		text += strings.Repeat(" ", max(at+1-widget.Width(text), 0)) + "LAST DRILL "
		at += 13
	}
	if c.restored > 0 {
		put("RESTORED IN of ", at+c.restored+4)
		text += pad("RTO", 7)
	} else {
		text += " "
	}
	return line(txt(rDim, text+"VERDICT"))
}

// row is one asset.
func (c boardColumns) row(w *world, r *estate.Readiness, here bool) row {
	glyph, role := readinessLook(w, r)
	out := row{left: []span{txt(role, glyph+" "), bold(rText, pad(r.Asset.Name, c.name))}, tint: here, here: here}
	if c.what > 0 {
		out.left = append(out.left, txt(rDim, pad(kindWord(r.Asset)+", "+r.Asset.Tier, c.what)))
	}
	late := rText
	if over := r.Newest.Point == "" || r.Age > r.Asset.RPO; over {
		late = role
	}
	out.left = append(out.left, bold(late, rightly(r.Backup(), 7)), txt(rDim, " of "+pad(estate.Long(r.Asset.RPO), 7)))
	if c.bar > 0 {
		out.left = append(out.left, ageBar(c.bar, r, role)...)
	}
	if c.drill {
		drilled := "never"
		if !r.Drilled.IsZero() {
			drilled = estate.Long(w.now.Sub(r.Drilled)) + " ago"
		}
		out.left = append(out.left, txt(rDim, rightly(drilled, 13)))
	}
	if c.restored > 0 {
		restored, slow := "not yet", rDim
		if !r.Restored.At.IsZero() {
			restored, slow = estate.Long(r.Restored.Took), rText
			if r.Restored.Took > r.Asset.RTO {
				slow = role
			}
		}
		out.left = append(out.left, txt(slow, rightly(restored, c.restored)), txt(rDim, " of "+pad(estate.Long(r.Asset.RTO), 7)))
	} else {
		out.left = append(out.left, txt(rText, " "))
	}
	out.left = append(out.left, bold(role, verdictWord(w, r)))
	return out
}

// ageBar fills up until the RPO is reached. There is none where there is no backup.
func ageBar(width int, r *estate.Readiness, role widget.Role) []span {
	if r.Newest.Point == "" || r.Asset.RPO <= 0 {
		return []span{txt(rFrame, strings.Repeat("─", width))}
	}
	part := min(float64(r.Age)/float64(r.Asset.RPO), 1)
	n := int(part * float64(width))
	if r.Age <= r.Asset.RPO {
		role = rOK
	}
	return []span{txt(role, strings.Repeat("━", n)), txt(rFrame, strings.Repeat("─", width-n))}
}

// kindWord is what an asset is, in a word.
func kindWord(a estate.Asset) string {
	switch {
	case a.Kind == estate.SQLite:
		return "SQLite"
	case a.Kind == estate.Stream && a.Preset != "":
		return a.Preset
	case a.Kind == estate.Stream:
		return "dump"
	}
	return a.Kind
}

// listed are the assets in the order of the screen: that of the estate, so that names never
// move, or the worst first when there are more than fit.
func (h *homeScreen) listed(w *world) []estate.Readiness {
	if len(w.board.Assets) > boardHeight(w, area{w: w.size.w, h: w.size.h})-3 {
		return estate.WorstFirst(w.board.Assets)
	}
	return w.board.Assets
}

// drawBoard is the readiness of every asset.
func (h *homeScreen) drawBoard(w *world, a area) {
	title := []span{bold(rStrong, "READINESS")}
	fits := a.h - 3
	list := h.listed(w)
	if hidden := len(list) - fits; hidden > 0 {
		title = append(title, txt(rDim, "  "+itoa(len(list))+" assets, the worst first"))
	}
	in := a.box(frame{title: title, right: []span{bold(rStrong, "r"), txt(rDim, " recheck")}, role: rFrame})
	b := &w.board
	switch {
	case b.err != nil:
		in.rows(wrapped(rText, b.err.Error(), in.w, 0))
		return
	case !b.known:
		in.rows([]row{line(txt(rDim, "reading what is known …"))})
		return
	case len(list) == 0:
		in.rows(wrapped(rText, "No asset is listed in lifeboat.yaml yet. lifeboat init writes one by looking at a directory.", in.w, 0))
		return
	}
	c := boardColumnsFor(in.w)
	in.row(0, c.head())
	at := -1
	if h.chosen {
		at = min(h.at, len(list)-1)
	}
	from := min(max(at-(fits-1)/2, 0), max(len(list)-fits, 0))
	for i := from; i < min(len(list), from+fits); i++ {
		in.row(1+i-from, c.row(w, &list[i], i == at))
	}
}

// gapRow stands above the keys: the worst gap, or that of the chosen asset, and the key
// that opens what mends it.
func (h *homeScreen) gapRow(w *world, width int) (row, bool) {
	r := w.gapOf(h.asset(w))
	if b := &w.board; b.Unread != "" && h.asset(w) == nil && !b.asking {
		advice := "the vault cannot be read"
		if len(b.Advice) > 0 {
			advice = b.Advice[0]
		}
		return row{left: []span{txt(rText, " "), txt(rWarn, "? "), txt(rText, advice)}, right: []span{bold(rStrong, "r"), txt(rDim, " tries again ")}}, true
	}
	if !w.board.known || w.board.err != nil {
		return row{}, false
	}
	if r == nil {
		return reviewGap(w)
	}
	g, ok := r.Worst()
	if !ok || w.unread(r) {
		return row{}, false
	}
	glyph, role := readinessLook(w, r)
	reason := g.Reason
	if width < 110 {
		reason, _, _ = strings.Cut(reason, ", and may")
	}
	out := row{left: []span{txt(rText, " "), txt(role, glyph+" "), bold(rText, r.Asset.Name+": "), txt(rText, reason)}}
	if !w.board.sum().Backed && h.asset(w) == nil {
		out.left = []span{txt(rText, " "), txt(role, glyph+" "), txt(rText, "Nothing is backed up yet.")}
	}
	mend := w.mend(r)
	switch {
	case mend.off == "":
		what := "fix"
		if g.Drill {
			what = "drill"
		}
		out.right = []span{bold(rStrong, "f"), txt(rDim, " opens the "+what)}
		if width >= 110 {
			out.right = append(out.right, txt(rDim, ": "), txt(rText, g.Mend.Name))
		}
		if g.Mend.About > 0 {
			out.right = append(out.right, txt(rDim, ", about "+estate.Long(g.Mend.About)))
		}
		out.right = append(out.right, txt(rText, " "))
	case len(g.Advice) > 0 && width >= 110:
		out.right = []span{txt(rDim, g.Advice[0]+" ")}
	}
	return out, true
}
