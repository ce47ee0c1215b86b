package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/estate"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// nearly is the part of a level's time after which people are reminded.
const nearly = 0.75

// Clock is the recovery time of the level of a run: it runs from the incident, and says
// when it is time to call more people than the level has called so far.
type Clock struct {
	Level        int           // 0: the run has none, and no clock
	Of           time.Duration // what the level allows
	Spent        time.Duration
	Nearly, Over bool
	Says         string       // what is to be known now; empty while there is time
	Short        string       // the same where there is little room
	Pace         string       // when it will be over at the pace so far; empty without a step that is done
	Forecast     string       // the same with what it is made of
	Next         estate.Level // to which it may be raised; zero at the highest one
}

// Reminds says whether somebody has to be told.
func (c *Clock) Reminds() bool { return c.Nearly || c.Over }

// timeHead begins the remarks about the time of a level.
const timeHead = "TIME: "

// Note is the remark by which a host puts on record that the time of the level is nearly
// spent, or over: it is there once each, however many hosts drive the run one after another.
// It is empty while there is time.
func (c *Clock) Note() string {
	switch {
	case c.Over:
		return fmt.Sprintf("%sthe %s of level %d are over", timeHead, Span(c.Of), c.Level)
	case c.Nearly:
		return fmt.Sprintf("%sthe %s of level %d are nearly spent", timeHead, Span(c.Of), c.Level)
	}
	return ""
}

// Reminded says whether the record has that remark. What is over was nearly spent before,
// also where the clock of the machine was put back since.
func (c *Clock) Reminded(r *run.Run) bool {
	over := Clock{Level: c.Level, Of: c.Of, Over: true}
	return slices.ContainsFunc(r.Notes, func(n run.Noted) bool { return n.Text == c.Note() || n.Text == over.Note() })
}

// OfTime says whether a remark is one that [Clock.Note] makes.
func OfTime(n run.Note) bool { return n.By == Host && strings.HasPrefix(n.Text, timeHead) }

// Host is who puts on record what no person said.
const Host = "lifeboat"

// LevelClock reads the clock of a run. It stops where the thing is back, and a dry run, which
// answers no incident, has none.
func LevelClock(r *run.Run, levels []estate.Level, now time.Time) Clock {
	l, ok := level(levels, r.Level)
	if !ok || l.Recovery <= 0 || !r.Open() || r.Started.Mode == run.Dry || !r.Back().IsZero() {
		return Clock{}
	}
	c := Clock{Level: l.Number, Of: l.Recovery, Spent: max(now.Sub(r.Began()), 0)}
	c.Next, _ = level(levels, l.Number+1)
	c.Over = c.Spent > c.Of
	c.Nearly = !c.Over && float64(c.Spent) >= nearly*float64(c.Of)
	if done, rest := steps(r); done > 0 && rest > 0 {
		c.Pace = pace(r, l, now, done, rest)
		c.Forecast = fmt.Sprintf("%d of %d steps done; %s", done, done+rest, c.Pace)
	}
	switch {
	case c.Over:
		c.Short = fmt.Sprintf("level %d over by %s", l.Number, Span(c.Spent-c.Of))
		c.Says = fmt.Sprintf("The %s of level %d were over %s ago.", Span(c.Of), l.Number, Span(c.Spent-c.Of))
	case c.Nearly:
		c.Short = fmt.Sprintf("level %d: %s left", l.Number, Span(c.Of-c.Spent))
		c.Says = fmt.Sprintf("%s of the %s of level %d are left.", Span(c.Of-c.Spent), Span(c.Of), l.Number)
	}
	return c
}

// steps counts those that are done and those that are still to be done.
func steps(r *run.Run) (done, rest int) {
	for i := range r.Steps {
		switch st := &r.Steps[i]; {
		case st.State == run.Skipped && st.Reason.Class == run.NotApplicable, st.Only && !st.Entered:
		case st.Done():
			done++
		default:
			rest++
		}
	}
	return done, rest
}

// pace takes the pace of the steps so far for that of the rest.
func pace(r *run.Run, l estate.Level, now time.Time, done, rest int) string {
	needs := max(now.Sub(r.At), 0) / time.Duration(done) * time.Duration(rest) // a clock may lie
	margin := r.Began().Add(l.Recovery).Sub(now.Add(needs))
	at := "at this pace over at " + now.Add(needs).UTC().Format("15:04")
	if margin < 0 {
		return fmt.Sprintf("%s, %s too late", at, Span(-margin))
	}
	return fmt.Sprintf("%s, %s to spare", at, Span(margin))
}

// Debts sorts what is owed, the most urgent first: what is overdue longest, then what is
// due next, then what has no deadline.
func Debts(list []run.Debt) []run.Debt {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b run.Debt) int {
		da, db := a.Due(), b.Due()
		if da.IsZero() != db.IsZero() {
			if da.IsZero() {
				return 1
			}
			return -1
		}
		return cmp.Or(da.Compare(db), cmp.Compare(a.Seq, b.Seq))
	})
	return out
}

// Left says how much time a debt has: "12 min left", "OVERDUE by 5 min".
func Left(d run.Debt, now time.Time) string {
	switch {
	case d.Overdue(now):
		return "OVERDUE by " + Span(now.Sub(d.Due()))
	case d.Within > 0:
		return Span(d.Due().Sub(now)) + " left"
	}
	return "open for " + Span(now.Sub(d.At))
}

// Owed lists what a run owes in words, the most urgent first.
func Owed(r *run.Run, now time.Time) []string {
	var out []string
	for _, d := range Debts(r.Debts) {
		out = append(out, printable.Line(d.Text)+", "+Left(d, now))
	}
	return out
}

// OverdueNote is the remark by which a host puts on record that a debt is overdue: it is
// there once, however many hosts drive the run after another.
func OverdueNote(d run.Debt) string {
	return fmt.Sprintf("OVERDUE: %s (%s), due at %s UTC", d.Text, d.ID, d.Due().UTC().Format("2006-01-02 15:04:05"))
}

// Noticed says whether the record has that remark.
func Noticed(r *run.Run, d run.Debt) bool {
	text := OverdueNote(d)
	return slices.ContainsFunc(r.Notes, func(n run.Noted) bool { return n.Text == text })
}

// Span writes a duration as people say it: "40 s", "12 min", "4 h", "1 h 52 min", "3 days".
func Span(d time.Duration) string {
	n := int(d.Round(time.Second) / time.Second)
	switch h, m := n/3600, n/60%60; {
	case n < 60:
		return fmt.Sprintf("%d s", n)
	case h == 0:
		return fmt.Sprintf("%d min", m)
	case h < 48 && m == 0:
		return fmt.Sprintf("%d h", h)
	case h < 48:
		return fmt.Sprintf("%d h %d min", h, m)
	}
	return fmt.Sprintf("%d days", n/86400)
}
