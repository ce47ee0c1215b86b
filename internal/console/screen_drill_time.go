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

// lap is a line of the timeline.
type lap struct {
	glyph      string
	role       widget.Role
	number     string
	title      string
	from, took time.Duration // from the incident
	usual      time.Duration
	remark     string
	over       time.Duration // how much longer than usual
}

// laps are the steps with their times, finding the runbook first.
func laps(w *world) []lap {
	s, d := w.snap, w.snap.Drill
	start := s.started()
	var out []lap
	if d.Alarm != "" {
		glyph, role, remark := "✓", rOK, ""
		if len(d.Tried) > 0 {
			glyph, role, remark = "▲", rWarn, plural(len(d.Tried), "wrong one first", "wrong ones first")
		}
		out = append(out, lap{glyph: glyph, role: role, title: "Find the runbook", took: d.Found, remark: remark})
	}
	times := s.Times(nil)
	if s.Score != nil && len(s.Score.Times) > 0 {
		times = s.Score.Times
	}
	stop, stopAt := "", time.Time{}
	for _, t := range times {
		n := slices.IndexFunc(s.Steps, func(st run.Step) bool { return st.ID == t.Step })
		if n < 0 {
			continue
		}
		st := &s.Steps[n]
		l := lap{number: itoa(n + 1), title: st.Title, from: max(t.Began.Sub(start), 0), took: t.Took, usual: t.Usual}
		l.glyph, l.role = stateLook(st)
		if st.Effect == "destroy" && st.State == run.Verified {
			l.glyph, l.role = "◆", rGate
		}
		lapRemarks(d, t, st, &l)
		if s.Score != nil && stop == "" && st.State == run.Verified && !st.Hand && start.Add(s.Score.Recovery).Sub(st.Ended).Abs() < time.Millisecond {
			stop, stopAt = t.Step, st.Ended
		}
		out = append(out, l)
	}
	for i := range out {
		if stop != "" && out[i].number != "" && s.Steps[slices.IndexFunc(s.Steps, func(st run.Step) bool { return st.ID == stop })].Title == out[i].title {
			out[i].remark = strings.TrimPrefix(out[i].remark+", clock stops at "+clock(stopAt.Sub(start)), ", ")
		}
	}
	if len(out) > 1 {
		slow := slices.MaxFunc(out, func(a, b lap) int { return cmp.Compare(a.took, b.took) })
		for i := range out {
			if out[i].took == slow.took && out[i].usual > 0 && out[i].over > 0 {
				out[i].remark = strings.TrimSuffix("slowest, "+out[i].remark, ", ")
			}
		}
	}
	return out
}

// lapRemarks says what happened during a step.
func lapRemarks(d *run.Exercise, t run.StepTime, st *run.Step, l *lap) {
	var says, injects []string
	for _, k := range d.Tokens {
		if k.Step != t.Step {
			continue
		}
		if k.Misses == 0 {
			says = append(says, "token right at once")
		} else {
			says, l.glyph, l.role = append(says, "token wrong first"), "▲", rWarn
		}
	}
	end := t.Began.Add(t.Took)
	for n, i := range d.Arrived {
		if i.At.Before(t.Began) || !i.At.Before(end) {
			continue
		}
		injects = append(injects, itoa(n+1))
		if a := i.Answer; a == nil || a.Late || !a.Right {
			l.glyph, l.role = "▲", rWarn
		}
	}
	switch len(injects) {
	case 0:
	case 1:
		says = append(says, "inject "+injects[0])
	default:
		says = append(says, "injects "+strings.Join(injects, ", "))
	}
	hints := 0
	for _, h := range d.Taken {
		if h.Step == t.Step {
			hints++
		}
	}
	if hints > 0 {
		says = append(says, plural(hints, "hint", "hints"))
		l.glyph, l.role = "▲", rWarn
	}
	if more := t.Over(); more > 0 {
		l.over, l.glyph, l.role = more, "▲", rWarn
	}
	if st.State == run.Overridden || st.State == run.Skipped {
		says = append(says, string(st.State))
	}
	l.remark = strings.Join(says, ", ")
}

// timelineRows are bars of the steps against their usual times, at most most rows.
func timelineRows(w *world, width, most int) []row {
	all := laps(w)
	if len(all) == 0 {
		return []row{line(txt(rDim, "no step was done"))}
	}
	total := time.Second
	for _, l := range all {
		total = max(total, l.from+l.took)
	}
	name, remark := 28, 0
	if width >= 100 {
		name, remark = 32, 30
	} else {
		name = 26
	}
	if width < 70 {
		name = 20
	}
	room := max(width-name-16-remark-2, 6)
	unit, every, says := scale(total)
	rs := []row{}
	head := []span{txt(rDim, pad("", name)), txt(rDim, "   TIME    usual  ")}
	ticks := ""
	for at := time.Duration(0); ; at += every {
		x := int(int64(room) * int64(at) / int64(total))
		label := itoa(int(at / unit))
		if x+len(label)+1 > room {
			break
		}
		ticks += strings.Repeat(" ", max(x-len(ticks), 0)) + label
	}
	if len(ticks)+len(says)+2 <= room+remark {
		ticks += "   " + says
	}
	if len(all) < most || width >= 100 {
		rs = append(rs, line(append(head, txt(rDim, ticks))...))
		most--
	}
	skipped := 0
	if len(all) > most {
		skipped = len(all) - most + 1
		all = shortest(all, max(most-1, 1))
	}
	for _, l := range all {
		if remark == 0 {
			l.remark = ""
		}
		rs = append(rs, l.row(name, room, total))
	}
	if skipped > 0 {
		rs = append(rs, line(txt(rFaint, "… "+plural(skipped, "shorter step", "shorter steps")+": tab")))
	}
	return rs
}

// shortest leaves the n longest laps, in their order.
func shortest(all []lap, n int) []lap {
	by := slices.Clone(all)
	slices.SortStableFunc(by, func(a, b lap) int { return cmp.Compare(b.took, a.took) })
	least := by[min(n, len(by))-1].took
	var out []lap
	for _, l := range all {
		if l.took >= least && len(out) < n {
			out = append(out, l)
		}
	}
	return out
}

// scale chooses the unit of the axis and the distance of its ticks.
func scale(total time.Duration) (unit, every time.Duration, says string) {
	for _, t := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second} {
		if total <= 8*t {
			return time.Second, t, "seconds"
		}
	}
	for _, t := range []time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute} {
		if total <= 9*t {
			return time.Minute, t, "minutes"
		}
	}
	every = time.Hour
	for total > 9*every {
		every *= 2
	}
	return time.Hour, every, "hours"
}

func (l *lap) row(name, room int, total time.Duration) row {
	usual := "       "
	if l.usual > 0 {
		usual = fmt.Sprintf("of %5s", clock(l.usual))
	}
	time := rText
	if l.over > 0 {
		time = rWarn
	}
	from := min(int(int64(room)*int64(l.from)/int64(total)), room-1)
	long := max(int(int64(room)*int64(l.took)/int64(total)), 1)
	long = min(long, room-from)
	number := fmt.Sprintf("%-1s ", l.number)
	bar := rOK
	switch l.role {
	case rWarn, rFail:
		bar = l.role
	}
	return line(txt(l.role, l.glyph+" "), txt(rText, number), txt(rText, pad(l.title, name-2-len(number))), txt(time, fmt.Sprintf("%6s ", clock(l.took))), txt(rDim, usual+"  "),
		txt(rFrame, strings.Repeat(" ", from)), txt(bar, strings.Repeat("━", long)), txt(rText, strings.Repeat(" ", room-from-long+1)), txt(rDim, l.remark))
}
