package console

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// book finds a runbook by its name; nil when it is not in the library any more.
func (w *world) book(name string) *Book {
	for i := range w.books {
		if w.books[i].Name == name {
			return &w.books[i]
		}
	}
	return nil
}

// guidance is the Markdown that the runbook has for a step.
func (w *world) guidance(id string) string {
	if b := w.book(w.snap.Started.Book); b != nil {
		return b.Guidance[id]
	}
	return ""
}

// stepRows is the content of the current step, in the order that never changes: what
// it does, how far, exactly what runs and where, whether stopping is safe, done when.
func stepRows(w *world, width int) []row {
	st := w.snap.step()
	plan := st.Plan
	if st.Undoing && st.UndoPlan != nil {
		plan = st.UndoPlan
	}
	rs := []row{line(bold(rStrong, st.Title))}
	says := excerpt(w.guidance(st.ID))
	if says == "" && plan != nil {
		says = plan.Summary
	}
	rs = append(rs, extra(wrapped(rDim, says, width, 2))...)
	if st.State == run.Running {
		if p := progressRows(w, st, width); p != nil {
			rs = append(append(rs, gap()), p...)
		}
	}
	if plan != nil {
		rs = append(append(rs, gap()), planRows(plan, width, 8, planLook{whose: whose(w)})...)
	}
	rs = append(rs, failureRows(st, width)...)
	rs = append(rs, gap(), line(bold(rStrong, "DONE WHEN"), txt(rDim, "   sensed by the console, nobody can tick these by hand")))
	if st.Hand {
		rs[len(rs)-1] = line(bold(rStrong, "DONE WHEN"), txt(rDim, "   you say what you see"))
	}
	checks := fewChecks(st.Checks, width)
	switch {
	case len(checks) > 0:
		rs = append(rs, checks...)
		if st.State == run.Checking {
			rs = append(rs, line(txt(rNow, "▸ "), txt(rText, "the rest is being checked")))
		}
	case st.Hand:
	case st.State == run.Checking:
		rs = append(rs, line(txt(rNow, "▸ "), txt(rText, "its checks are being made")))
	default:
		rs = append(rs, toCheck(w.book(w.snap.Started.Book), st.ID, width)...)
	}
	return rs
}

// toCheck lists the checks that will be made of a step.
func toCheck(b *Book, id string, width int) []row {
	rs := []row{line(txt(rText, "○ "), txt(rDim, "it ended without an error and its own checks hold"))}
	if b != nil {
		for _, c := range b.Checks[id] {
			rs = append(rs, labelled("○", 2, rText, c, width, 2)...)
		}
	}
	return rs
}

// progressRows is the gauge and what can be said about the time: from the step's own
// progress, else from what earlier runs took.
func progressRows(w *world, st *run.Step, width int) []row {
	p := w.snap.progress
	usual := usualWords(w.snap, st.ID)
	if p.Step != st.ID || p.Done <= 0 {
		return usualRows(w, st, usual, width)
	}
	did := amount(p.Done, p.Unit)
	if p.Total <= 0 {
		return []row{{left: []span{bold(rStrong, did), txt(rDim, " so far")}, right: []span{txt(rDim, usual)}}}
	}
	part := float64(p.Done) / float64(p.Total)
	nums := []span{bold(rStrong, fmt.Sprintf("%4d %%", int(part*100))), txt(rText, "   "+did+" of "+amount(p.Total, p.Unit))}
	gauge := bar(max(width-spansWidth(nums)-3, 10), part, rNow)
	rs := []row{line(append(append(gauge, txt(rText, "  ")), nums...)...)}
	pace := line()
	if left := w.progressLeft(); left > 0 {
		rate := int64(float64(p.Done) / w.since(p.Since).Seconds())
		pace = line(bold(rStrong, amount(rate, p.Unit)+"/s"), txt(rText, "   about "), bold(rStrong, words(left)), txt(rText, " left"))
	}
	if usual != "" {
		pace.left = append(pace.left, txt(rDim, "   "+usual))
	}
	if len(pace.left) > 0 {
		rs = append(rs, pace)
	}
	return rs
}

// usualRows is a gauge of time, for a step that does not say how far it is.
func usualRows(w *world, st *run.Step, usual string, width int) []row {
	took, t := w.since(st.Began), w.snap.usual.Steps[st.ID]
	if usual == "" || t.Work < 5*time.Second {
		return nil
	}
	says := []span{txt(rText, "about "), bold(rStrong, words(t.Work-took)), txt(rText, " left   "), txt(rDim, usual)}
	if took > t.Work {
		says = []span{txt(rText, "longer than "+strings.Replace(usual, "usual", "the usual", 1))}
	}
	gauge := bar(max(width-spansWidth(says)-3, 10), float64(took)/float64(t.Work), rNow)
	return []row{line(append(append(gauge, txt(rText, "   ")), says...)...)}
}

// amount writes a number with its unit; bytes in the units people use.
func amount(n int64, unit string) string {
	if unit != "B" {
		return strings.TrimSpace(widget.Count(n) + " " + unit)
	}
	f, i := float64(n), 0
	units := [...]string{"B", "kB", "MB", "GB", "TB"}
	for f >= 1000 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if i == 0 || f >= 100 {
		return fmt.Sprintf("%.0f %s", f, units[i])
	}
	return fmt.Sprintf("%.3g %s", f, units[i])
}

// planLook says how a plan is listed: with the way back, and with one line per fact.
type planLook struct {
	back, brief bool
	whose       string // who runs it and where; empty: it is not said
}

// whose is who runs the steps of the run on the screen, and on which host.
func whose(w *world) string {
	s := w.snap
	by, host := s.Started.By, s.Started.Host
	if n := len(s.Resumed); n > 0 {
		if b, ok := s.Resumed[n-1].Body.(run.Resumed); ok {
			by, host = b.By, b.Host
		}
	}
	if host == "" {
		return by
	}
	return by + " on " + host
}

// effectWords is what a step may do to the world.
func effectWords(p *run.Plan) string {
	switch {
	case p.Effect == "destroy":
		return "can lose something"
	case p.Effect == "write" && p.Back != "":
		return "changes something, has a way back"
	case p.Effect == "write":
		return "changes something"
	}
	return "only reads"
}

// planRows lists a plan: what changes, what is lost, the way back, exactly what runs,
// where, and whether stopping is safe.
func planRows(p *run.Plan, width, col int, look planLook) []row {
	for _, l := range p.Lines {
		col = max(col, min(widget.Width(printable.Line(l.Label))+2, 14))
	}
	var rs []row
	fact := func(label string, role widget.Role, text string, limit, spare int) {
		if look.brief {
			text, limit = shorten(text, width-col), 1
		}
		at := len(rs)
		rs = append(rs, labelled(label, col, role, text, width, limit)...)
		for ; look.brief && at < len(rs); at++ {
			rs[at].spare = spare
		}
	}
	for i, l := range p.Lines {
		role := rText
		if i == 0 {
			role = rStrong
		}
		fact(l.Label, role, l.Text, 4, 0)
	}
	switch {
	case !look.back:
	case p.Back != "":
		at := len(rs)
		fact("way back", rText, "open: "+p.Back, 3, 0)
		openBack(rs[at:])
	case p.Effect == "destroy": // a write that names none, as a backup, only adds
		rs = append(rs, line(txt(rDim, pad("way back", col)), txt(rWarn, "▲ none: "), txt(rText, "this cannot be undone")))
	}
	for i, c := range p.Command {
		label := "runs"
		if i > 0 {
			label = ""
		}
		if look.brief {
			more := ""
			if n := len(p.Command) - 1; n > 0 {
				more = "   and " + itoa(n) + " more"
			}
			fact(label, rText, squash(c, width-col-len(more))+more, 1, 0)
			break
		}
		fact(label, rText, c, 6, 0)
	}
	at := len(rs)
	fact("on", rText, p.Target, 2, 2)
	if look.whose != "" {
		fact("as", rText, look.whose+", "+effectWords(p), 1, 2)
	}
	extra(rs[at:]) // it goes before what is done
	fact("stop", rText, p.Stop, 2, 2)
	return rs
}

// object is the full name of a Git object.
var object = regexp.MustCompile(`\b([0-9a-f]{10})[0-9a-f]{30}\b`)

// shorten takes the middle out of long paths and the end off long object names where
// text does not fit w cells.
func shorten(text string, w int) string {
	text = printable.Line(text)
	if widget.Width(text) <= w {
		return text
	}
	words := strings.Split(object.ReplaceAllString(text, "$1…"), " ")
	for i, one := range words {
		if parts := strings.Split(one, "/"); len(parts) > 4 && widget.Width(one) > 24 && !strings.Contains(one, "refs/") {
			words[i] = strings.Join(parts[:2], "/") + "/…/" + parts[len(parts)-1]
		}
	}
	return strings.Join(words, " ")
}

// squash makes a command fit w cells: its end says as much as its beginning, so its
// middle goes.
func squash(text string, w int) string {
	text = shorten(text, w)
	if widget.Width(text) <= w || w < 12 {
		return text
	}
	head, tail := widget.Cut(text, w*2/3, ""), []rune(text)
	for widget.Width(head)+1+widget.Width(string(tail)) > w {
		tail = tail[1:]
	}
	return head + "…" + string(tail)
}

// openBack shows the word "open" in the colour of a promise that holds.
func openBack(rs []row) []row {
	if text, ok := strings.CutPrefix(rs[0].left[1].text, "open"); ok {
		rs[0].left = []span{rs[0].left[0], txt(rOK, "open"), txt(rText, text)}
	}
	return rs
}

// manyChecks is how many checks are listed one by one while a step works or asks.
const manyChecks = 16

// fewChecks lists checks as checkRows does. Of very many it lists those that do not hold,
// then the newest, and counts the others: what does not hold is never out of sight.
func fewChecks(checks []run.Check, width int) []row {
	if len(checks) <= manyChecks {
		return checkRows(checks, width)
	}
	var shown []run.Check
	for _, c := range checks {
		if !c.OK && len(shown) < manyChecks {
			shown = append(shown, c)
		}
	}
	held := 0
	for _, c := range checks {
		if c.OK {
			held++
		}
	}
	bad := len(checks) - held
	last := checks[len(checks)-min(4, manyChecks/4):]
	for _, c := range last {
		if c.OK && len(shown) < manyChecks {
			shown = append(shown, c)
			held--
		}
	}
	rs := checkRows(shown, width)
	if more := bad - manyChecks; more > 0 {
		rs = append(rs, line(txt(rFail, "✗ "), txt(rText, plural(more, "more does not hold", "more do not hold"))))
	}
	return append(rs, line(txt(rOK, "✓ "), txt(rDim, plural(held, "other check holds", "other checks hold"))))
}

// checkRows lists checks, two in a row where they fit.
func checkRows(checks []run.Check, width int) []row {
	var rs []row
	half := width / 2
	for i := 0; i < len(checks); i++ {
		one := checkSpans(checks[i])
		if i+1 < len(checks) && spansWidth(one) < half-1 {
			if two := checkSpans(checks[i+1]); spansWidth(two) <= width-half {
				one = append(append(one, txt(rText, strings.Repeat(" ", half-spansWidth(one)))), two...)
				i++
			}
		}
		rs = append(rs, line(one...))
	}
	return rs
}

func checkSpans(c run.Check) []span {
	mark := txt(rOK, "✓ ")
	if !c.OK {
		mark = txt(rFail, "✗ ")
	}
	spans := []span{mark, txt(rText, c.Text)}
	if c.Evidence != "" {
		spans = append(spans, txt(rFaint, "  "+c.Evidence))
	}
	return spans
}

// failureRows says why a step failed and what helps.
func failureRows(st *run.Step, width int) []row {
	if st.Error == "" {
		return nil
	}
	rs := []row{gap()}
	for i, l := range wrap(st.Error, width-2, 5) {
		mark := "  "
		if i == 0 {
			mark = "✗ "
		}
		rs = append(rs, line(txt(rFail, mark+l)))
	}
	for _, h := range st.Hints {
		rs = append(rs, labelled("▲", 2, rText, h, width, 3)...)
	}
	return rs
}
