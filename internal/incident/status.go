package incident

import (
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// little is the part of an RTO behind which it is no longer called on track.
const little = 0.85

// Status is one line about a run for the chat: mode, where it stands, for whom it waits, the
// time left, whether there is a way back, what is owed. It is made of the record alone, which
// never holds a secret, and fits into one message; now is the clock of whoever asks.
func Status(r *run.Run, now time.Time) string {
	if r.Seq == 0 {
		return printable.Line("Of run " + r.ID.Short() + " nothing is known yet.")
	}
	parts := []string{fmt.Sprintf("%s %s %s: %s%s.", modeWord(r.Started.Mode), r.Started.Book, r.ID.Short(), whereNow(r, now), rto(r, now))}
	if r.Level > 0 && len(r.Raised) > 0 {
		parts = append(parts, fmt.Sprintf("Raised to level %d.", r.Level))
	}
	parts = append(parts, wayBack(r))
	if owed := Owed(r, now); len(owed) > 0 {
		parts = append(parts, "OWED: "+strings.Join(owed, "; ")+".")
	}
	return printable.Line(strings.Join(parts, " "))
}

func modeWord(m run.Mode) string {
	if m == run.Dry {
		return "DRY RUN"
	}
	return strings.ToUpper(string(m))
}

// whereNow says what the run does or for whom it waits.
func whereNow(r *run.Run, now time.Time) string {
	if !r.Open() {
		return fmt.Sprintf("ended %s after %s", r.Outcome, minutes(r.EndedAt.Sub(r.At)))
	}
	i := at(r)
	if r.Current() >= len(r.Steps) && (r.Gate == nil || r.Gate.Step == "") {
		if r.Gate != nil {
			return fmt.Sprintf("all %d steps are past, waits for %s (%s)", len(r.Steps), r.Driver.By, GateWords(*r.Gate))
		}
		return fmt.Sprintf("all %d steps are past", len(r.Steps))
	}
	head := fmt.Sprintf("step %d of %d ", i, len(r.Steps))
	st := &r.Steps[i-1]
	switch {
	case r.Gate != nil && st.State == run.InDoubt:
		return head + "is in doubt, waits for " + r.Driver.By
	case r.Gate != nil && st.State == run.Failed:
		return head + "failed, waits for " + r.Driver.By
	case r.Gate != nil:
		return head + "waits for " + r.Driver.By + " (" + GateWords(*r.Gate) + ")"
	case st.State == run.Running && st.Undoing:
		return head + "is being undone for " + minutes(now.Sub(st.Began))
	case st.State == run.Running:
		return head + "runs for " + minutes(now.Sub(st.Began))
	case st.State == run.Checking:
		return head + "is checked"
	}
	return head + "is " + string(st.State)
}

// rto is the time left; empty where nothing was promised.
func rto(r *run.Run, now time.Time) string {
	of := r.Started.RTO
	if of <= 0 {
		return ""
	}
	spent := max(now.Sub(r.Began()), 0)
	if !r.Open() {
		spent = r.Took()
	}
	left := of - spent
	switch {
	case r.Outcome == run.Aborted || r.Outcome == run.NotComplete:
		return fmt.Sprintf(", RTO %s not reached", minutes(of))
	case !r.Open() && left >= 0:
		return fmt.Sprintf(", RTO kept, %s of %s to spare", minutes(left), minutes(of))
	case !r.Open():
		return fmt.Sprintf(", RTO %s missed by %s", minutes(of), minutes(-left))
	case left < 0:
		return fmt.Sprintf(", RTO %s missed by %s so far", minutes(of), minutes(-left))
	case float64(spent) > little*float64(of):
		return fmt.Sprintf(", RTO %s left of %s, little time", minutes(left), minutes(of))
	}
	return fmt.Sprintf(", RTO %s left of %s, on track", minutes(left), minutes(of))
}

// wayBack says whether what was changed can be taken back.
func wayBack(r *run.Run) string {
	changed, none := 0, 0
	for i := range r.Steps {
		st := &r.Steps[i]
		if st.Hand {
			continue
		}
		if _, ok := st.Newest(); ok {
			changed++
			if st.Back == "" {
				none++
			}
		}
	}
	switch {
	case changed == 0:
		return "Nothing changed so far."
	case none == changed:
		return "No way back."
	case none > 0:
		return fmt.Sprintf("Way back open for %d of %s.", changed-none, printable.Count(changed, "change"))
	}
	return "Way back open."
}

// minutes writes a duration as the clock of a run does: "40:31", "2:05:00".
func minutes(d time.Duration) string {
	n := int(max(d, 0).Round(time.Second) / time.Second)
	if n >= 100*60 {
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}
