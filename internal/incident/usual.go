package incident

import (
	"slices"
	"time"

	"lifeboat/internal/run"
)

// Took is how long a step took: from the first question about it until its work began, and
// the work with its checks. A step by hand has no work.
type Took struct{ Asked, Work time.Duration }

// Sum is the time from one step to the next.
func (t Took) Sum() time.Duration { return t.Asked + t.Work }

// Times reads from a history how long each step took that ended well. What was interrupted
// by the end of its process is left out; of a step that was tried again the newest attempt
// counts. A step that did not apply took no time.
func Times(events []run.Event) map[string]Took {
	out := map[string]Took{}
	asked, began := map[string]time.Time{}, map[string]time.Time{}
	for _, ev := range events {
		switch ev.Kind {
		case run.GateOpened:
			if g, ok := ev.Body.(run.Gate); ok && asks(g) && asked[ev.Step].IsZero() {
				asked[ev.Step] = ev.At
			}
		case run.StepBegan:
			began[ev.Step] = ev.At
		case run.StepVerified, run.StepClaimed:
			first, work := asked[ev.Step], began[ev.Step]
			switch {
			case work.IsZero() && first.IsZero():
			case work.IsZero():
				out[ev.Step] = Took{Asked: max(ev.At.Sub(first), 0)}
			case first.IsZero():
				out[ev.Step] = Took{Work: max(ev.At.Sub(work), 0)}
			default:
				out[ev.Step] = Took{Asked: max(work.Sub(first), 0), Work: max(ev.At.Sub(work), 0)}
			}
		case run.StepSkipped:
			if why, ok := ev.Body.(run.Reason); ok && why.Class == run.NotApplicable {
				out[ev.Step] = Took{}
			}
		case run.StepFailed, run.StepDoubted, run.StepReopened, run.UndoBegan:
			delete(asked, ev.Step)
			delete(began, ev.Step)
			delete(out, ev.Step)
		case run.RunResumed: // nobody worked, and nobody could answer, for an unknown part of it
			clear(asked)
			clear(began)
		}
	}
	return out
}

// asks says whether a gate is the question that every run asks about its step.
func asks(g run.Gate) bool {
	switch g.Kind {
	case run.Confirm, run.Token, run.Checklist, run.Choice, run.Input:
		return !g.Undo
	}
	return false
}

// Usual is what past runs of a runbook say about its steps.
type Usual struct {
	Steps  map[string]Took // step id -> the median
	Runs   int             // how many were read
	Drills bool            // they were drills, there was none like the run that it is for
}

// NewUsual takes the median of each step over past runs.
func NewUsual(runs []map[string]Took) Usual {
	ask, work := map[string][]time.Duration{}, map[string][]time.Duration{}
	for _, r := range runs {
		for id, t := range r {
			ask[id], work[id] = append(ask[id], t.Asked), append(work[id], t.Work)
		}
	}
	u := Usual{Steps: map[string]Took{}, Runs: len(runs)}
	for id := range ask {
		u.Steps[id] = Took{Median(ask[id]), Median(work[id])}
	}
	return u
}

// Median is the middle of a list, which it sorts; 0 for an empty one.
func Median(list []time.Duration) time.Duration {
	slices.Sort(list)
	n := len(list)
	if n == 0 {
		return 0
	}
	if n%2 == 1 {
		return list[n/2]
	}
	return (list[n/2-1] + list[n/2]) / 2
}

// Until is a time that is still to go. Where not all steps on the way are known from past
// runs it is the least that it takes, and nothing at all when none is.
type Until struct {
	Left  time.Duration
	Known bool // of every step
	Some  bool // of one step at least
}

func (u *Until) add(d time.Duration, known bool) {
	if known {
		u.Left, u.Some = u.Left+d, true
	} else {
		u.Known = false
	}
}

// Forecast is what can be said about the rest of a run.
type Forecast struct {
	Step   Until // the step that works or waits now
	Back   Until // until the thing is back, and the clock of the target stops
	End    Until // until the run ends
	Person Until // until a person is needed again
	At     int   // the step that needs the person; -1: none does
}

// Look makes the forecast of a run. asked is when its open question was put; left is what
// the progress of the working step says about its rest, 0 when it says nothing.
func (u Usual) Look(r *run.Run, now, asked time.Time, left time.Duration) Forecast {
	none := Until{Known: true}
	f := Forecast{Step: none, Back: none, End: none, Person: none, At: -1}
	stops, first := r.Stops(), true
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Done() || s.Only && !s.Entered {
			continue
		}
		needs := s.Hand || s.Effect == "write" || s.Effect == "destroy"
		if !first && needs && f.At < 0 {
			f.At = i
		}
		d, known := u.rest(s, now, asked, left)
		if first {
			f.Step.add(d, known)
			first = false
		}
		if f.At < 0 {
			f.Person.add(d, known)
		}
		if i <= stops {
			f.Back.add(d, known)
		}
		f.End.add(d, known)
	}
	return f
}

// rest is what a step still takes.
func (u Usual) rest(s *run.Step, now, asked time.Time, left time.Duration) (time.Duration, bool) {
	t, known := u.Steps[s.ID]
	switch s.State {
	case run.Running, run.Checking:
		if left > 0 {
			return left, true
		}
		return max(t.Work-now.Sub(s.Began), 0), known
	case run.InDoubt: // most likely it is over, and only has to be settled
		return 0, known
	case run.Waiting:
		return max(t.Asked-now.Sub(asked), 0) + t.Work, known
	}
	return t.Sum(), known
}
