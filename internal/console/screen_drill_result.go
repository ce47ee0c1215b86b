package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// drillResult says whether a drill kept the promise, where the time went, what it proves
// and what to fix.
type drillResult struct{ scroll int }

// newResult is the screen for a run that has ended.
func newResult(s *snapshot) screen {
	if s.Drill != nil {
		return &drillResult{}
	}
	return &resultScreen{}
}

func (r *drillResult) card() bool           { return false }
func (r *drillResult) field() *widget.Field { return nil }
func (r *drillResult) opens(*world) Intent  { return loadDrills{} }

func (r *drillResult) bindings(w *world) []binding {
	s := w.snap
	off, gone, look := "", "the scenario is gone", ""
	if w.o.Look {
		look = "this console is read-only"
	}
	if s.Score == nil {
		off = "it is not scored"
	}
	for _, d := range w.drills.items {
		if d.Scenario == s.Drill.Scenario {
			gone = ""
		}
	}
	return []binding{
		does("e", "export report", "Write the report as Markdown and JSON, with its hash.", wish(exportDrill{id: s.ID})).named("", "export"),
		playKey(w),
		does("a", "again", "Begin the same drill again. It asks how first.", func() Intent {
			i := slices.IndexFunc(w.drills.items, func(d DrillItem) bool { return d.Scenario == s.Drill.Scenario })
			return push{newBegin(w.drills.items[i])}
		}).unless(gone).unless(look),
		does("x", "fixes as tasks", "Write the fixes as a list of tasks beside the report.", wish(exportDrill{id: s.ID, tasks: true})).named("", "fixes").unless(off),
		does("enter", "bridge", "Back to the bridge.", wish(goHome{})),
		does("l", "last log", "Show the log of the last step that had one.", wish(push{&logScreen{}})).unlisted(),
		does("tab", "all steps", "Show all steps with plans and checks.", wish(push{&stepsScreen{at: 0}})).unlisted(),
		noteKey(w).unlisted(),
		{keys: []string{"down", "j"}, long: "Scroll.", act: func() Intent { r.scroll = min(r.scroll+4, 400); return nil }},
		{keys: []string{"up", "k"}, long: "Scroll back.", act: func() Intent { r.scroll = max(r.scroll-4, 0); return nil }},
		does("q", "leave", "Leave the console.", wish(leave{})).unlisted(),
	}
}

func (r *drillResult) remark(w *world) string {
	if wide(area{w: w.size.w}) {
		return "nothing live was touched"
	}
	return ""
}

func (r *drillResult) draw(w *world, a area) {
	s := w.snap
	drawMode(w, a)
	drawModeRule(a, 1, run.Drill)
	body := a.sub(2, a.h-2-footRows(a))
	verdict := verdictRows(w, body.w-4)
	high := min(len(verdict)+2, body.h/2)
	_, _, border := modeLook(run.Drill)
	title, badge := " NOT SCORED ", rWarnBadge
	switch {
	case s.Score != nil && s.Score.Passed:
		title, badge = " ✓ PASSED ", rOKBadge
	case s.Score != nil:
		title, badge = " ✗ NOT PASSED ", rFailBadge
	}
	body.sub(0, high).box(frame{title: []span{txt(badge, title)}, heavy: true, role: border}).rows(verdict)
	body = body.sub(high, body.h-high)
	switch {
	case s.Score == nil:
		body.box(frame{title: []span{bold(rStrong, "EVIDENCE")}, role: rFrame}).rows(evidenceRows(w, body.w-4))
	case wide(a) && a.h >= 30:
		r.drawWide(w, body)
	case a.w >= 78 && a.h >= 23:
		r.drawMid(w, body)
	default:
		rs := slices.Concat(timelineRows(w, body.w-4, 99), []row{gap()}, sheetRows(w, body.w-4), []row{gap()}, provesRows(w, body.w-4), []row{gap()}, fixRows(w, body.w-4))
		drawParts(body.box(frame{title: []span{bold(rStrong, "HOW IT WENT")}, role: rFrame}), rs, nil, r.scroll, "down")
	}
}

// drawWide has the timeline above, the sheet on the left, what follows on the right.
func (r *drillResult) drawWide(w *world, a area) {
	last := a.sub(a.h-1, 1)
	last.row(0, reportRow(w, a.w))
	a = a.sub(0, a.h-1)
	times := timelineRows(w, a.w-4, max(a.h-14, 5))
	a.sub(0, len(times)+2).box(frame{title: []span{bold(rStrong, "TIMELINE")}, role: rFrame}).rows(times)
	left, right := a.sub(len(times)+2, a.h-len(times)-2).split(a.w / 2)
	who := "   trainee " + w.snap.Drill.Trainee
	if f := w.snap.Drill.Facilitator; f != "" {
		who += ", facilitator " + f
	}
	drawParts(left.box(frame{title: []span{bold(rStrong, "HOW IT WENT"), txt(rDim, who)}, role: rFrame}), sheetRows(w, left.w-4), nil, r.scroll, "down")
	for _, part := range []struct {
		title string
		rows  []row
	}{{"WHAT THIS PROVES", provesRows(w, right.w-4)}, {"FIX BEFORE THE NEXT ONE", fixRows(w, right.w-4)}, {"TRAINING", trainingRows(w)}} {
		high := len(part.rows) + 2
		if part.title == "TRAINING" {
			high = right.h
		}
		if high > right.h || right.h < 3 {
			high = right.h
		}
		if high >= 3 {
			right.sub(0, high).box(frame{title: []span{bold(rStrong, part.title)}, role: rFrame}).rows(part.rows)
		}
		right = right.sub(high, right.h-high)
	}
}

// drawMid is the same for 80 columns.
func (r *drillResult) drawMid(w *world, a area) {
	fixes := fixRows(w, a.w-7)
	fixes = fixes[:min(len(fixes), 2)]
	sheet := sheetColumns(w, a.w-4)
	high := len(sheet) + 2
	times := timelineRows(w, a.w-4, max(a.h-high-len(fixes)-2, 2))
	t := a.sub(0, a.h-high-len(fixes))
	t.box(frame{title: []span{bold(rStrong, "TIMELINE")}, role: rFrame}).rows(times)
	who := "  " + w.snap.Drill.Trainee
	if f := w.snap.Drill.Facilitator; f != "" {
		who += ", facilitator " + f
	}
	a.sub(t.h, high).box(frame{title: []span{bold(rStrong, "HOW IT WENT"), txt(rDim, who)}, role: rFrame}).rows(sheet)
	for i, f := range fixes {
		head := ""
		if i == 0 {
			head = " FIX"
		}
		f.left = append([]span{bold(rStrong, pad(head, 6))}, f.left...)
		a.row(t.h+high+i, f)
	}
}

// verdictRows answer whether the promise was kept.
func verdictRows(w *world, width int) []row {
	s := w.snap
	sc := s.Score
	if sc == nil {
		if w.now.Sub(s.EndedAt) < 2*time.Minute {
			return wrapped(rText, "The drill is over. The oracle is looking at what was recovered …", width, 2)
		}
		return wrapped(rText, "The process that hosted this drill ended before the oracle had looked, so there is no score.", width, 2)
	}
	what := cmp.Or(s.Started.Asset, "It")
	first := row{right: []span{bold(rStrong, fmt.Sprintf("%d of %d points", sc.Points, sc.Of)), txt(rDim, fmt.Sprintf(", %d pass", sc.Pass))}}
	switch {
	case !sc.Recovered:
		first.left = []span{bold(rStrong, what+" did not come back"), txt(rText, ", says the oracle.")}
	case sc.Recovery <= 0:
		first.left = []span{bold(rStrong, what+" is as it should be"), txt(rText, ", says the oracle.")}
	default:
		first.left = []span{bold(rStrong, what+" came back in "+exact(sc.Recovery)+"."), txt(rText, promised(sc.RTO))}
	}
	second := row{}
	switch {
	case sc.LossKnown && sc.Loss == 0:
		second.left = []span{txt(rText, "No data would have been lost."+promised(sc.RPO))}
	case sc.LossKnown:
		second.left = []span{txt(rText, "Data loss would have been "+exact(sc.Loss)+"."+promised(sc.RPO))}
	case len(sc.Lost) > 0:
		second.left = []span{txt(rFail, "✗ "), txt(rText, "lost: "+sc.Lost[0])}
	default:
		second.left = []span{txt(rText, "What would have been lost was not measured.")}
	}
	switch {
	case !sc.Valid.IsZero() && sc.Valid.After(w.now):
		second.right = []span{txt(rOK, "✓ proof valid to "+sc.Valid.UTC().Format("2 Jan 2006"))}
	case !sc.Valid.IsZero():
		second.right = []span{txt(rWarn, "▲ proof ended "+sc.Valid.UTC().Format("2 Jan 2006"))}
	case s.Drill.Auto:
		second.right = []span{txt(rDim, "played by a script")}
	}
	if width < 76 && spansWidth(first.right) > 16 {
		first.right = []span{bold(rStrong, fmt.Sprintf("%d of %d", sc.Points, sc.Of))}
	}
	rs := []row{first, second}
	for i, why := range sc.Why {
		if i == 3 {
			break
		}
		rs = append(rs, line(txt(rFail, "✗ "), txt(rText, why)))
	}
	return rs
}

func promised(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return "  The promise is " + words(d) + "."
}

// exact is a time in minutes and seconds: "40 min 24 s".
func exact(d time.Duration) string {
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %02d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %02d s", m, s)
	}
	return fmt.Sprintf("%d s", s)
}

// sheetRows are the criteria with the reason for each missing point.
func sheetRows(w *world, width int) []row {
	sc := w.snap.Score
	var rs []row
	for _, c := range sc.Criteria {
		glyph, role := "✓", rOK
		switch {
		case c.Criterion == run.HintCost && c.Points < 0, c.Points > 0 && c.Points < c.Of:
			glyph, role = "▲", rWarn
		case c.Points < c.Of:
			glyph, role = "✗", rFail
		}
		right := fmt.Sprintf("%3d of %3d ", c.Points, c.Of)
		says := criterionSays(c)
		if c.Criterion == run.HintCost {
			if len(c.Why) == 0 {
				continue
			}
			right = fmt.Sprintf("%3d        ", c.Points)
			says = plural(len(c.Why), "hint", "hints") + " used"
		}
		r := row{left: []span{txt(role, glyph+" "), txt(rText, says)}, right: []span{txt(rText, right)}}
		rs = append(rs, r)
		if c.Criterion != run.HintCost {
			for _, why := range c.Why {
				rs = append(rs, extra(labelled("", 2, rDim, why, width-12, 2))...)
			}
		}
	}
	rs = append(rs, row{left: []span{txt(rFrame, strings.Repeat("─", width))}})
	rs = append(rs, row{left: []span{bold(rStrong, "  score")}, right: []span{bold(rStrong, fmt.Sprintf("%3d of %3d ", sc.Points, sc.Of))}})
	if sc.Best != "" {
		rs = append(rs, gap())
		rs = append(rs, labelled("best moment", 13, rText, sc.Best, width, 2)...)
	}
	return rs
}

// criterionSays is a criterion as the sheet names it.
func criterionSays(c run.Criterion) string {
	return map[string]string{
		run.RightRunbook: "right runbook, first try", run.InsideRTO: "back inside the RTO", run.InsideRPO: "data loss inside the RPO",
		run.ChecksRead: "checks read before going on", run.GatesTyped: "tokens right the first time", run.InTime: "injects answered",
		run.TeamTold: "told the team", run.HintCost: "hints",
	}[c.Criterion]
}

// sheetColumns is the sheet in three columns, for a small window.
func sheetColumns(w *world, width int) []row {
	short := map[string]string{
		run.RightRunbook: "right runbook", run.InsideRTO: "inside RTO", run.InsideRPO: "inside RPO", run.ChecksRead: "checks read",
		run.GatesTyped: "tokens", run.InTime: "injects", run.TeamTold: "told team", run.HintCost: "hints",
	}
	var cells [][]span
	col := width / 3
	for _, c := range w.snap.Score.Criteria {
		glyph, role := "✓", rOK
		right := fmt.Sprintf("%2d of %2d", c.Points, c.Of)
		switch {
		case c.Criterion == run.HintCost:
			if len(c.Why) == 0 {
				continue
			}
			glyph, role, right = "▲", rWarn, fmt.Sprintf("%2d", c.Points)
		case c.Points < c.Of && c.Points > 0:
			glyph, role = "▲", rWarn
		case c.Points < c.Of:
			glyph, role = "✗", rFail
		}
		cells = append(cells, []span{txt(role, glyph+" "), txt(rText, pad(short[c.Criterion], 14)), txt(rText, pad(right, max(col-16, 9)))})
	}
	var rs []row
	for i := 0; i < len(cells); i += 3 {
		rs = append(rs, line(slices.Concat(cells[i:min(i+3, len(cells))]...)...))
	}
	return rs
}

// provesRows say what the drill proves, measured against the promise.
func provesRows(w *world, width int) []row {
	sc := w.snap.Score
	pair := func(label string, promise, measured time.Duration, known bool, spare string) row {
		if !known {
			return line(txt(rDim, pad(label, 5)), txt(rText, pad(words(promise), 9)), txt(rWarn, "not measured"))
		}
		mark, role, says := "✓", rOK, clock(max(promise-measured, 0))+" "+spare
		if measured > promise {
			mark, role, says = "✗", rFail, "over by "+clock(measured-promise)
		}
		return line(txt(rDim, pad(label, 5)), txt(rText, pad(words(promise), 9)), txt(rDim, "measured "), bold(rText, fmt.Sprintf("%7s", clock(measured))), txt(role, "  "+mark+"  "), txt(rText, says))
	}
	var rs []row
	if sc.RTO > 0 {
		rs = append(rs, pair("RTO", sc.RTO, sc.Recovery, sc.Recovered && sc.Recovery > 0, "to spare"))
	}
	if sc.RPO > 0 {
		rs = append(rs, pair("RPO", sc.RPO, sc.Loss, sc.LossKnown, "to spare"))
	}
	bad := 0
	for _, c := range sc.Checks {
		if !c.OK {
			if bad++; bad <= 3 {
				rs = append(rs, labelled("✗", 2, rText, c.Text+": "+c.Evidence, width, 2)...)
			}
		}
	}
	if bad == 0 && len(sc.Checks) > 0 {
		rs = append(rs, line(txt(rOK, "✓ "), txt(rText, plural(len(sc.Checks), "check", "checks")+" of the oracle, all hold")))
	}
	for _, l := range sc.Lost[:min(len(sc.Lost), 2)] {
		rs = append(rs, labelled("▲", 2, rText, "lost: "+l, width, 2)...)
	}
	if len(rs) == 0 {
		rs = append(rs, line(txt(rDim, "nothing was promised that it could prove")))
	}
	return rs
}

func fixRows(w *world, width int) []row {
	var rs []row
	for i, f := range w.snap.Score.Fixes {
		rs = append(rs, labelled(itoa(i+1), 2, rText, f, width, 2)...)
	}
	if len(rs) == 0 {
		rs = append(rs, line(txt(rOK, "✓ "), txt(rText, "nothing: it went as it should")))
	}
	return rs
}

// trainingRows say what to drill next.
func trainingRows(w *world) []row {
	held, level := 0, w.snap.Started.Level
	all := 0
	next := ""
	for i := range w.drills.items {
		d := &w.drills.items[i]
		if d.Level == level {
			all++
			if !d.Late(w.now) {
				held++
			}
		}
		if next == "" && d.Late(w.now) && d.Scenario != w.snap.Drill.Scenario {
			next = d.Scenario
		}
	}
	var rs []row
	if all > 0 {
		says := fmt.Sprintf("  %d of %d drills hold", held, all)
		name := ""
		if level > 0 {
			name = fmt.Sprintf("level %d  ", level)
		}
		rs = append(rs, line(slices.Concat([]span{txt(rDim, name)}, bar(18, float64(held)/float64(all), rOK), []span{txt(rText, says)})...))
	}
	if next != "" {
		rs = append(rs, line(txt(rDim, "next  "), bold(rText, next)))
	}
	if len(rs) == 0 {
		rs = append(rs, line(txt(rDim, "no other drill is due")))
	}
	return rs
}

// reportRow says where the report lies, once it was exported.
func reportRow(w *world, width int) row {
	rep, ok := w.drills.report[w.snap.ID]
	if !ok {
		return row{left: []span{txt(rDim, "  "), bold(rStrong, "e"), txt(rDim, " writes the report")}, right: []span{txt(rOK, "✓ "), txt(rDim, "in the audit chain ")}}
	}
	sum := rep.SHA256
	if len(sum) > 8 {
		sum = sum[:4] + "…" + sum[len(sum)-4:]
	}
	return row{left: []span{txt(rDim, "  report "), txt(rText, rep.Markdown), txt(rDim, "   sha256 "), txt(rText, sum)}, right: []span{txt(rOK, "✓ "), txt(rDim, "in the audit chain ")}}
}

// playKey plays the drill back.
func playKey(w *world) binding {
	return does("p", "play it back", "Play the drill back, moment by moment.", wish(playDrill{w.snap.ID})).named("", "play back")
}
