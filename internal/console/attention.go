package console

import (
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// head is how many rows on top stay lit behind a card: mode, clock, steps or rule, and
// what needs somebody now.
func (w *world) head() int {
	if w.below == nil {
		return 3 + len(attention(w, w.size.w))
	}
	return w.below.head(w)
}

// attention is what needs somebody now, whatever the screen of the run is about: the most
// urgent debt, and the time of the level when it is nearly spent. It is empty most of the
// time, so that it is read when it is not.
func attention(w *world, width int) []row {
	s := w.snap
	if s == nil || !s.Open() || s.ID == "" {
		return nil
	}
	var rs []row
	if r, ok := handRow(w); ok {
		rs = append(rs, r)
	}
	if r, ok := debtRow(w, s.Debts, ""); ok {
		rs = append(rs, r)
	}
	c := incident.LevelClock(&s.Run, w.team.Levels, w.now)
	if !c.Reminds() {
		return rs
	}
	badge, role := rWarnBadge, rWarn
	if c.Over {
		badge, role = rFailBadge, rFail
	}
	r := row{left: []span{txt(rText, " "), txt(badge, " TIME "), txt(rText, " "), bold(role, c.Says)}}
	if c.Next.Number > 0 {
		key := "R"
		if w.typing {
			key = "f3"
		}
		r.right = []span{bold(rStrong, key), txt(rDim, " raise to level "+itoa(c.Next.Number)+" ")}
	}
	says := &r.left[len(r.left)-1]
	room := width - spansWidth(r.left) - spansWidth(r.right) - 1
	if more := "; " + c.Pace; c.Pace != "" && widget.Width(more) <= room+1 {
		says.text = strings.TrimSuffix(c.Says, ".")
		r.left = append(r.left, txt(rText, more))
	} else if room < 0 {
		says.text = c.Short
	}
	return append(rs, r)
}

// debtRow is the most urgent of what is owed, and how many more there are. What is overdue
// is loud.
func debtRow(w *world, debts []run.Debt, where string) (row, bool) {
	if len(debts) == 0 {
		return row{}, false
	}
	d := incident.Debts(debts)[0]
	badge, role, word := rWarnBadge, rWarn, " OWED "
	if d.Overdue(w.now) {
		badge, role, word = rFailBadge, rFail, " OVERDUE "
	}
	left := incident.Left(d, w.now)
	if n := len(debts) - 1; n > 0 {
		left += ", and " + itoa(n) + " more"
	}
	left = strings.TrimPrefix(left, "OVERDUE ") // the badge says it
	return row{left: []span{txt(rText, " "), txt(badge, word), txt(rText, " "), txt(rDim, where), bold(rStrong, d.Text)},
		right: []span{bold(role, left), txt(rText, " ")}}, true
}

// owedRows are the most urgent debts of all open runs, one row a run.
func owedRows(w *world) []row {
	var rs []row
	for _, s := range open(w) {
		where := s.ID.Short() + ": "
		if w.size.w >= 110 {
			where = s.ID.Short() + " " + s.Book + ": "
		}
		if r, ok := debtRow(w, s.Debts, where); ok {
			rs = append(rs, r)
		}
	}
	return rs
}

// owedWords says the same in a card, before another run is started.
func owedWords(w *world) string {
	text := ""
	for _, s := range open(w) {
		for _, d := range incident.Debts(s.Debts) {
			text += "\n\nRun " + s.ID.Short() + " still owes: " + d.Text + ", " + incident.Left(d, w.now) + "."
		}
	}
	return text
}
