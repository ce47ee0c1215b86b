package console

import (
	"strings"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// snapshot is the run on the screen: the fold of its events, and the few moments that
// the fold does not keep because only a person watching needs them.
type snapshot struct {
	run.Run
	events   []run.Event // all of them, so that somebody who was away can be told
	gateAt   time.Time   // when the open gate was opened
	probeAt  time.Time   // of the newest probe
	lastSign time.Time   // of the engine before the one that drives it now
	resumed  time.Time
	asked    map[string]time.Time // when a step was first asked about
	logs     []stepLog            // in the order in which they were begun
	progress Progress
	told     int            // injects that were told of
	usual    incident.Usual // what earlier runs say about its steps
	broken   error          // an event that could not be folded: what follows is not shown
}

// add folds events that came after those it knows. Events it knows already are left out.
func (s *snapshot) add(events []run.Event) {
	for _, ev := range events {
		if ev.Seq <= s.Seq || s.broken != nil {
			continue
		}
		last := s.Last
		next, err := run.Fold(s.Run, ev)
		if err != nil {
			s.broken = err
			return
		}
		s.Run, s.events = next, append(s.events, ev)
		s.logs = logged(s.logs, ev)
		switch ev.Kind {
		case run.GateOpened:
			s.gateAt = ev.At
			if s.asked == nil {
				s.asked = map[string]time.Time{}
			}
			if s.asked[ev.Step].IsZero() {
				s.asked[ev.Step] = ev.At
			}
		case run.ProbeMade:
			s.probeAt = ev.At
		case run.RunResumed:
			s.lastSign, s.resumed = last, ev.At
		}
	}
}

// now is the index of the step to look at: the one with the open gate, the one that
// works, or the first that is not done.
func (s *snapshot) now() int {
	if s.Gate != nil && s.Gate.Step != "" {
		for i := range s.Steps {
			if s.Steps[i].ID == s.Gate.Step {
				return i
			}
		}
	}
	for i := range s.Steps {
		switch s.Steps[i].State {
		case run.Running, run.Checking, run.InDoubt, run.Waiting:
			return i
		}
	}
	return min(s.Current(), max(len(s.Steps)-1, 0))
}

// step is the step to look at; nil when the run has none.
func (s *snapshot) step() *run.Step {
	if len(s.Steps) == 0 {
		return nil
	}
	return &s.Steps[s.now()]
}

// started is when the clock began: the incident if it is known.
func (s *snapshot) started() time.Time {
	if t := s.Started.Incident; !t.IsZero() {
		return t
	}
	return s.At
}

// took is how long a step that has ended took: from its intent, or from the question
// when a person did it.
func (s *snapshot) took(st *run.Step) time.Duration {
	from := st.Began
	if from.IsZero() {
		from = s.asked[st.ID]
	}
	if from.IsZero() || st.Ended.Before(from) {
		return 0
	}
	return st.Ended.Sub(from)
}

// end is the moment up to which time is counted.
func (s *snapshot) end(now time.Time) time.Time {
	if !s.Open() {
		return s.EndedAt
	}
	return now
}

// next is the first step after the current one that is still to come; -1 for none.
func (s *snapshot) next() int {
	for i := s.now() + 1; i < len(s.Steps); i++ {
		if st := &s.Steps[i]; !st.Done() && (!st.Only || st.Entered) {
			return i
		}
	}
	return -1
}

// changed lists the steps whose effect stands, newest first.
func (s *snapshot) changed() []int {
	var out []int
	for i := len(s.Steps) - 1; i >= 0; i-- {
		if s.Steps[i].Changed {
			out = append(out, i)
		}
	}
	return out
}

// changes lists those of them that changed the world: a read leaves nothing to undo, and
// who was told stays told.
func (s *snapshot) changes() []int {
	var out []int
	for _, i := range s.changed() {
		if st := &s.Steps[i]; st.Effect != "read" && !st.Hand && !strings.HasPrefix(st.Action, "notify.") {
			out = append(out, i)
		}
	}
	return out
}

// logName is the spool file of the step to look at, or of the last one that had one.
func (s *snapshot) logName() string {
	for i := s.now(); i >= 0 && i < len(s.Steps); i-- {
		if name := s.Steps[i].LogName; name != "" {
			return name
		}
	}
	return ""
}

// count says how many steps are in each of the ends that a report tells apart.
func (s *snapshot) count(states ...run.State) int {
	n := 0
	for i := range s.Steps {
		for _, st := range states {
			if s.Steps[i].State == st {
				n++
			}
		}
	}
	return n
}
