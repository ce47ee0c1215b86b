package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/estate"
	"lifeboat/internal/printable"
	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// drawEvidence draws what is known of the run with the cursor, from its own events.
func drawEvidence(w *world, id run.ID, a area) {
	if a.h < 4 {
		return
	}
	f := frame{title: []span{bold(rStrong, "EVIDENCE")}, role: rFrame}
	if id != "" {
		f.title = append(f.title, txt(rDim, "  run "+id.Short()))
	}
	in := a.box(f)
	switch rec := w.past.record; {
	case id == "":
	case rec == nil || rec.id != id:
		in.row(0, line(txt(rDim, "reading its events …")))
	case rec.err != nil:
		in.rows(wrapped(rFail, rec.err.Error(), in.w, 0))
	default:
		in.rows(evidenceOf(w, rec, in.w))
	}
}

// evidenceOf says on what the outcome of a run rests.
func evidenceOf(w *world, rec *pastRecord, width int) []row {
	s := &rec.snap
	const col = 9
	pair := func(label string, spans ...span) row {
		return line(append([]span{txt(rDim, pad(label, col))}, spans...)...)
	}
	about := []string{}
	if s.Started.Digest != "" {
		about = append(about, fmt.Sprintf("version %.7s", s.Started.Digest))
	}
	if s.Started.Asset != "" {
		about = append(about, s.Started.Asset)
	}
	if s.Level > 0 {
		about = append(about, "level "+itoa(s.Level))
	}
	rs := []row{line(bold(rStrong, s.Started.Book), txt(rText, "  "+strings.Join(about, ", ")))}
	// What does not fit in one row is cut before the rows below it are.
	more := func(label string, role widget.Role, text string) {
		lines := labelled(label, col, role, text, width, 2)
		extra(lines[min(1, len(lines)):])
		rs = append(rs, lines...)
	}
	rs = append(rs, pair("clock", clockSpans(s)...))
	role, lost := lostWords(s)
	more("lost", role, lost)
	more("people", rText, peopleWords(s))
	if s.Score != nil {
		role, says := rFail, "✗ failed"
		if s.Score.Passed {
			role, says = rOK, "✓ passed"
		}
		rs = append(rs, pair("score", bold(rStrong, itoa(s.Score.Points)), txt(rText, fmt.Sprintf(" of %d points, %d pass   ", s.Score.Of, s.Score.Pass)), txt(role, says)))
	}
	rs = append(rs, pair("steps", stepSpans(s, rec.Events)...), pair("files", txt(rText, filesWords(rec))))
	proof := []span{txt(rText, "sha256 "+brief(rec.Proof))}
	switch au := w.past.audit; {
	case au == nil:
		proof = append(proof, txt(rDim, "   the chain is being checked"))
	case au.Err == nil && !au.Empty:
		proof = append(proof, txt(rOK, "   ✓"), txt(rText, " in the chain"))
	case slices.ContainsFunc(au.Faults, func(f Fault) bool { return f.Run == rec.id }):
		proof = append(proof, bold(rFail, "   ✗ THIS RUN DOES NOT VERIFY"))
	case au.Err != nil:
		proof = append(proof, txt(rFail, "   ✗ the chain is broken"))
	}
	return append(rs, pair("proof", proof...))
}

// clockSpans compare the time with what was promised.
func clockSpans(s *snapshot) []span {
	from := s.started()
	if s.Open() {
		return []span{txt(rText, hhmmss(from)+" to now"), txt(rDim, ", it is still open")}
	}
	took := s.EndedAt.Sub(from)
	if s.Score != nil && s.Score.Recovery > 0 {
		took = s.Score.Recovery
	}
	spans := []span{txt(rText, hhmmss(from)+" to "+hhmmss(from.Add(took)))}
	switch rto := cmp.Or(scoredRTO(s), s.Started.RTO); {
	case rto <= 0:
		spans = append(spans, txt(rDim, ", "+words(took)+", no target"))
	case took <= rto:
		spans = append(spans, txt(rText, ", "+clock(rto-took)+" to spare"))
	default:
		spans = append(spans, txt(rFail, ", late by "+words(took-rto)))
	}
	if !from.Equal(s.At) || took != s.EndedAt.Sub(from) {
		spans = append(spans, txt(rDim, "   run "+hhmmss(s.At)+" to "+hhmmss(s.EndedAt)))
	}
	return spans
}

func scoredRTO(s *snapshot) time.Duration {
	if s.Score != nil {
		return s.Score.RTO
	}
	return 0
}

// lostWords say what did not come back, as far as anybody measured it.
func lostWords(s *snapshot) (widget.Role, string) {
	v := oracleOf(s)
	switch {
	case s.Score != nil && len(s.Score.Lost) > 0:
		return rFail, "✗ " + strings.Join(s.Score.Lost, "; ")
	case s.Score != nil && s.Score.LossKnown && s.Score.Loss > 0:
		return rWarn, words(s.Score.Loss) + " of data, says the oracle"
	case v != nil && len(v.lost) > 0:
		return rFail, "✗ " + strings.Join(v.lost, "; ")
	case s.Score != nil && s.Score.Recovered, v != nil && v.ok:
		return rText, "nothing, says the oracle"
	}
	for i := range s.Steps {
		for _, l := range planLines(&s.Steps[i]) {
			if l.Label == "drops" || l.Label == "loses" {
				return rText, l.Text + " (step " + itoa(i+1) + ")"
			}
		}
	}
	return rDim, "nobody measured it"
}

// planLines are those of the plan of a step that had its effect.
func planLines(s *run.Step) []run.Line {
	if s.Plan == nil || !s.Changed {
		return nil
	}
	return s.Plan.Lines
}

// peopleWords say who drove and who decided what.
func peopleWords(s *snapshot) string {
	said := []string{s.Started.By + " drove"}
	for _, ev := range s.Resumed {
		if b, ok := ev.Body.(run.Resumed); ok {
			said = append(said, b.By+" took it up at "+hhmmss(ev.At))
		}
	}
	for _, n := range remarks(s) {
		if n.By != s.Started.By && n.By != "lifeboat" {
			said = append(said, n.By+" noted")
		}
	}
	answered := map[string][]string{}
	for i := range s.Steps {
		if st := &s.Steps[i]; st.By != "" && st.By != s.Started.By && st.State != run.Verified {
			answered[st.By] = append(answered[st.By], itoa(i+1))
		}
	}
	for _, by := range slices.Sorted(maps.Keys(answered)) {
		step := " answered step "
		if len(answered[by]) > 1 {
			step = " answered steps "
		}
		said = append(said, by+step+strings.Join(answered[by], ", "))
	}
	return strings.Join(slices.Compact(said), ", ")
}

// stepSpans count how each step is known.
func stepSpans(s *snapshot, events []run.Event) []span {
	gates := 0
	settled := []string{}
	for _, ev := range events {
		if b, ok := ev.Body.(run.Answer); ok {
			if b.Token != "" {
				gates++
			}
			if ev.Kind == run.DoubtSettled {
				settled = append(settled, "step "+itoa(s.index(ev.Step)+1))
			}
		}
	}
	spans := []span{txt(rText, fmt.Sprintf("%d sensed, %d by hand, %s", s.count(run.Verified), s.count(run.Claimed), plural(gates, "gate", "gates")))}
	if n := s.count(run.Skipped); n > 0 {
		spans = append(spans, txt(rDim, fmt.Sprintf(", %d skipped", n)))
	}
	if n := s.count(run.Overridden); n > 0 {
		spans = append(spans, txt(rText, " · "), txt(rWarn, fmt.Sprintf("%d accepted as it is", n)))
	}
	if len(settled) > 0 {
		spans = append(spans, txt(rText, " · "), txt(rWarn, fmt.Sprintf("%d settled", len(settled))), txt(rDim, " after a restart, "+strings.Join(settled, ", ")))
	}
	if n := s.count(run.Failed, run.InDoubt); n > 0 {
		spans = append(spans, txt(rText, " · "), txt(rFail, fmt.Sprintf("%d failed", n)))
	}
	return spans
}

// index is the place of a step; -1 when there is none with that id.
func (s *snapshot) index(id string) int {
	return slices.IndexFunc(s.Steps, func(st run.Step) bool { return st.ID == id })
}

func filesWords(rec *pastRecord) string {
	said := []string{"journal " + plural(len(rec.Events), "entry", "entries")}
	logs, size := 0, int64(0)
	for _, f := range rec.Files {
		switch {
		case strings.HasSuffix(f.Name, ".log"):
			logs, size = logs+1, size+f.Size
		case strings.HasSuffix(f.Name, ".md"):
			said = append([]string{f.Name + " " + printable.Size(f.Size)}, said...)
		}
	}
	if logs > 0 {
		said = append(said, plural(logs, "log", "logs")+" of "+printable.Size(size))
	}
	return strings.Join(said, ", ")
}

// drawMetrics draws the three boxes beside the list.
func drawMetrics(w *world, a area) {
	m := w.past.metrics
	months := 6
	if a.h >= 45 {
		months = 12
	}
	high := min(months+5, a.h/2)
	drawMonths(w, a.sub(0, high), months)
	rest := a.sub(high, a.h-high)
	drills := drillRows(w, a.w-4)
	dh := min(max(len(drills)+2, 9), rest.h/2)
	in := rest.sub(0, rest.h-dh).box(frame{title: []span{bold(rStrong, "BACKUPS"), txt(rDim, "  last 30 days")}, role: rFrame})
	in.rows(backupRows(m, in.w))
	rest.sub(rest.h-dh, dh).box(frame{title: []span{bold(rStrong, "DRILLS"), txt(rDim, "  last 12 months")}, role: rFrame}).rows(drills)
}

// drawMonths draws the slowest recovery of each month against its target.
func drawMonths(w *world, a area, n int) {
	f := frame{title: []span{bold(rStrong, "RECOVERY TIME")}, role: rFrame}
	m := w.past.metrics
	var rs []row
	if m != nil {
		target := int(time.Duration(m.Year.Critical) / time.Minute)
		if a.h < n+5 {
			f.title = append(f.title, txt(rDim, " slowest, of "+itoa(target)+" min"))
		} else {
			rs = append(rs, line(txt(rDim, "slowest of the month, critical")), line(txt(rDim, "assets, minutes, target "+itoa(target))), gap())
		}
	}
	in := a.box(f)
	if m == nil {
		in.row(0, line(txt(rDim, "computing …")))
		return
	}
	list := m.Year.Months
	room := in.h - len(rs)
	list = list[max(len(list)-min(n, room), 0):]
	for _, month := range list {
		rs = append(rs, monthRow(month, time.Duration(m.Year.Critical), min(in.w, 44)))
	}
	in.rows(rs)
}

// monthRow is one bar: the target stands at three quarters of it.
func monthRow(m report.Month, target time.Duration, width int) row {
	name := txt(rDim, m.Month.Format("Jan")+" ")
	cells := max(width-4-6, 8)
	mark := cells * 3 / 4
	if m.Run == "" && m.Failed > 0 {
		return line(name, txt(rFail, fmt.Sprintf("✗ %d not recovered", m.Failed)))
	}
	took := time.Duration(m.Slowest)
	n := min(int(float64(took)/max(float64(target), 1)*float64(mark)), cells)
	role := rOK
	if !m.Met {
		role = rFail
	}
	if took > 0 && n == 0 {
		n = 1
	}
	spans := []span{name}
	part := func(from, to int) {
		full := min(max(n, from), to)
		spans = append(spans, txt(role, strings.Repeat("━", full-from)), txt(rFrame, strings.Repeat("─", to-full)))
	}
	part(0, mark)
	spans = append(spans, bold(rStrong, "┊"))
	part(mark+1, cells)
	if m.Run == "" {
		return line(append(spans, txt(rFaint, padLeft("–", 4)))...)
	}
	glyph := " ✓"
	if !m.Met {
		glyph = " ✗"
	}
	minutes := itoa(int((took + time.Minute - 1) / time.Minute)) // rounded up: 60:10 of 60:00 is not 60
	return line(append(spans, bold(rStrong, padLeft(minutes, 4)), txt(role, glyph))...)
}

// backupRows say how many backups were good, and which assets failed.
func backupRows(m *Metrics, width int) []row {
	if m == nil {
		return []row{line(txt(rDim, "computing …"))}
	}
	b := m.Month.Backups
	if b.Of == 0 {
		return wrapped(rDim, "No live backup in 30 days.", width, 2)
	}
	rs := []row{
		line(bold(rateRole(b.Rate), b.Percent()), txt(rText, "  "+spaced(b.Good)), txt(rDim, " of "), txt(rText, spaced(b.Of)), txt(rDim, " good")),
		line(rateBar(b.Rate, width)...), gap(),
	}
	for _, f := range b.Failing {
		spans := []span{txt(rText, pad(cmp.Or(f.Asset, "all at once"), 12)), txt(rText, padLeft(itoa(f.Times), 3)+"  ")}
		if f.Mended.IsZero() {
			spans = append(spans, bold(rFail, "✗ NOT GOOD SINCE"))
		} else {
			spans = append(spans, txt(rDim, "good "+shortStamp(f.Mended, m.Month.Made)))
		}
		rs = append(rs, line(spans...))
	}
	return rs
}

func shortStamp(t, now time.Time) string {
	if now.Sub(t) < 24*time.Hour {
		return t.UTC().Format("15:04")
	}
	return t.UTC().Format("2 Jan")
}

func rateRole(r report.Rate) widget.Role {
	switch {
	case r.Of == 0:
		return rDim
	case r.Good*10 >= r.Of*9:
		return rOK
	case r.Good*2 >= r.Of:
		return rWarn
	}
	return rFail
}

// rateBar is full only when all were good.
func rateBar(r report.Rate, w int) []span {
	n := 0
	if r.Of > 0 {
		n = w * r.Good / r.Of
	}
	return []span{txt(rateRole(r), strings.Repeat("━", n)), txt(rFrame, strings.Repeat("─", w-n))}
}

// drillRows say how many drills were passed, how often the target was met, and what was
// missed last.
func drillRows(w *world, width int) []row {
	m := w.past.metrics
	if m == nil {
		return []row{line(txt(rDim, "computing …"))}
	}
	p := &m.Year
	rs := wrapped(rDim, "No drill has ended in 12 months.", width, 2)
	if p.Drills.Of > 0 {
		rs = []row{
			line(bold(rateRole(p.Drills), p.Drills.Percent()), txt(rText, "  "+spaced(p.Drills.Good)), txt(rDim, " of "), txt(rText, spaced(p.Drills.Of)), txt(rDim, " passed")),
			line(rateBar(p.Drills, width)...),
		}
	}
	rs = append(rs, gap())
	if p.RTO.Of > 0 {
		rs = append(rs, line(txt(rDim, "RTO met "), bold(rStrong, spaced(p.RTO.Good)), txt(rDim, " of "+spaced(p.RTO.Of)+" times")))
	}
	if n := len(p.Missed); n > 0 {
		l := p.Missed[n-1]
		text := "missed " + l.At.Format("2 Jan")
		if over := time.Duration(l.Took - l.Target); over > 0 {
			text += " by " + clock(over)
		} else {
			text += ", not reached"
		}
		rs = append(rs, line(txt(rFail, "✗ "), txt(rText, text)))
	}
	const most = 2
	for i, l := range p.Owed {
		if i == most {
			rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, itoa(len(p.Owed)-most)+" more runs owe something")))
			break
		}
		rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, l.Run.Short()+" owes: "+l.Text)))
	}
	late := slices.DeleteFunc(slices.Clone(w.board.Due), func(d estate.DueDrill) bool { return !d.Late() })
	for i, d := range late {
		if i == most {
			rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, itoa(len(late)-most)+" more drills are due")))
			break
		}
		_, when, role := dueLook(d)
		rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, d.Runbook), txt(role, " "+when)))
	}
	return append(rs, reviewRows(p)...)
}

// reviewRows count what has to be read again.
func reviewRows(p *report.Period) []row {
	late := 0
	for _, r := range p.Reviews {
		if r.Late > 0 || r.Last.IsZero() {
			late++
		}
	}
	if late == 0 {
		return nil
	}
	return []row{line(txt(rWarn, "▲ "), txt(rText, plural(late, "review is late", "reviews are late")))}
}

// drawYear is the short form of the three boxes for narrow windows.
func drawYear(w *world, a area) {
	in := a.box(frame{title: []span{bold(rStrong, "LAST 12 MONTHS")}, role: rFrame})
	m := w.past.metrics
	if m == nil {
		in.row(0, line(txt(rDim, "computing …")))
		return
	}
	one := func(label string, r report.Rate, what string) row {
		if r.Of == 0 {
			return line(txt(rDim, pad(label, 9)+"none"))
		}
		return line(txt(rDim, pad(label, 9)), bold(rateRole(r), pad(r.Percent(), 9)), txt(rText, spaced(r.Good)), txt(rDim, " of "), txt(rText, spaced(r.Of)), txt(rDim, " "+what))
	}
	rs := []row{one("drills", m.Year.Drills, "passed"), one("RTO", m.Year.RTO, "met"), one("backups", m.Month.Backups.Rate, "in 30 days")}
	for _, f := range m.Month.Backups.Failing {
		if f.Mended.IsZero() {
			rs = append(rs, line(txt(rDim, pad("", 9)), bold(rFail, "✗ "), txt(rText, cmp.Or(f.Asset, "all at once")+" is not mended")))
		} else {
			rs = append(rs, line(txt(rDim, pad("", 9)), txt(rText, cmp.Or(f.Asset, "all at once")), txt(rDim, " good "+shortStamp(f.Mended, m.Month.Made))))
		}
	}
	in.rows(append(rs, reviewRows(&m.Year)...))
}
