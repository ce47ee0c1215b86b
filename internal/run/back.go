package run

import (
	"strings"
	"time"
)

// Stops is the index of the step with which the thing that the run is about is back, and
// the clock of its target stops; -1 for a run without steps. What follows it is aftercare:
// the new backup after the last change that could lose something and everything behind it,
// or else the last steps that only tell people.
func (r *Run) Stops() int {
	last := -1
	for i := range r.Steps {
		if r.Steps[i].Effect == "destroy" {
			last = i
		}
	}
	for i := last + 1; last >= 0 && i < len(r.Steps); i++ {
		if strings.HasSuffix(r.Steps[i].Action, ".backup") {
			return i - 1
		}
	}
	i := len(r.Steps) - 1
	for i > 0 && i > last && (r.Steps[i].Hand || strings.HasPrefix(r.Steps[i].Action, "notify.")) {
		i--
	}
	return i
}

// Back is when the thing that the run is about was back: every step up to the one that
// stops the clock is done, and none of them was left out or taken back. It is zero as long
// as that is not so.
func (r *Run) Back() time.Time {
	var at time.Time
	for i := 0; i <= r.Stops(); i++ {
		s := &r.Steps[i]
		switch {
		case s.State == Verified || s.State == Claimed || s.State == Overridden:
			if s.Ended.After(at) {
				at = s.Ended
			}
		case s.State == Skipped && s.Reason.Class == NotApplicable, s.State == Pending && s.Only && !s.Entered:
		case s.State == Failed && s.Done():
		default:
			return time.Time{}
		}
	}
	return at
}
