package incident

import (
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// Mark is where a person last had their hands on a run.
type Mark struct {
	Seq int64     `json:"seq"` // of the newest event that they can have seen
	At  time.Time `json:"at"`
}

// Happening is one thing that somebody who was away should know.
type Happening struct {
	At   time.Time
	Text string
}

// Absence is what a person who comes back is told.
type Absence struct {
	Step, Of  int       // where they were, from 1
	Now       int       // where the run is
	Last      time.Time // the last sign: of them, or of the run before its process ended
	Says      string    // how things stood then
	Back      time.Time
	Restarted bool // the process of the run ended meanwhile, and Last and Back are its
	Happened  []Happening
	Entries   int64 // that came since
}

// Gap is how long it was.
func (a Absence) Gap() time.Duration { return max(a.Back.Sub(a.Last), 0) }

// Since tells what happened behind a mark, from the whole history of a run. Without one,
// or when it lies behind the end, there is nothing to tell.
func Since(events []run.Event, m Mark, now time.Time) (Absence, bool) {
	var r run.Run
	a := Absence{Last: m.At, Back: now}
	for _, ev := range events {
		before := r
		next, err := run.Fold(r, ev)
		if err != nil {
			return Absence{}, false // a record that is not understood is not told from
		}
		r = next
		if ev.Seq <= m.Seq {
			if ev.Seq == m.Seq {
				a.Step, a.Of, a.Says = at(&r), len(r.Steps), standing(&r)
			}
			continue
		}
		a.Entries++
		if b, ok := ev.Body.(run.Resumed); ok {
			if !a.Restarted { // the first one is the one they do not know of
				a.Last, a.Back, a.Says = before.Last, ev.At, standing(&before)
			} else {
				a.Back = ev.At
			}
			a.Restarted = true
			a.Happened = append(a.Happened, Happening{ev.At, printable.Line("its process had ended, " + b.By + " took it up again")})
			continue
		}
		if text := happening(&r, ev); text != "" {
			a.Happened = append(a.Happened, Happening{ev.At, printable.Line(text)})
		}
	}
	a.Now = at(&r)
	return a, a.Of > 0 && a.Entries > 0
}

// at is the number of the step at which a run stands.
func at(r *run.Run) int {
	if r.Gate != nil && r.Gate.Step != "" {
		return number(r, r.Gate.Step)
	}
	return min(r.Current()+1, len(r.Steps))
}

func number(r *run.Run, step string) int {
	for i := range r.Steps {
		if r.Steps[i].ID == step {
			return i + 1
		}
	}
	return 0
}

// standing says in three words where a run stands: "step 4 running".
func standing(r *run.Run) string {
	i := at(r)
	switch {
	case !r.Open():
		return string(r.Outcome)
	case i == 0 || i > len(r.Steps):
		return "at its end"
	case r.Gate != nil:
		return fmt.Sprintf("step %d asked", i)
	}
	return fmt.Sprintf("step %d %s", i, r.Steps[i-1].State)
}

// happening says what an event means to somebody who was away; empty where it means nothing
// to them, or where what follows it says it.
func happening(r *run.Run, ev run.Event) string {
	n := number(r, ev.Step)
	switch b := ev.Body.(type) {
	case run.Note:
		return fmt.Sprintf("%s: %s", b.By, b.Text)
	case run.Raise:
		return fmt.Sprintf("%s raised the level to %d", b.By, b.To)
	case run.Debt:
		if ev.Kind == run.DebtOpened {
			return "owed: " + b.Text
		}
		return "owed no more: " + b.Text
	case run.Ended:
		return "the run ended: " + string(b.Outcome)
	case run.Request, run.Handover:
		return strings.TrimSuffix(Hands(ev), ".")
	case run.Answer:
		if b.Verb == run.Approve {
			return fmt.Sprintf("%s approved step %d", b.By, n)
		}
	case run.Gate:
		if r.Gate != nil && n > 0 {
			return fmt.Sprintf("step %d asks: %s", n, GateWords(b))
		}
	case run.Verdict:
		word := map[run.Kind]string{run.StepVerified: "done", run.StepClaimed: "done by hand", run.StepUndone: "undone"}[ev.Kind]
		return fmt.Sprintf("step %d %s%s", n, word, prefix(": ", r.Steps[n-1].Evidence))
	case run.Failure:
		first, _, _ := strings.Cut(b.Error, "\n")
		if ev.Kind == run.StepDoubted {
			return fmt.Sprintf("step %d in doubt: %s", n, first)
		}
		return fmt.Sprintf("step %d failed: %s", n, first)
	case run.Reason:
		word := map[run.Kind]string{run.StepSkipped: "skipped", run.StepOverridden: "accepted as it is", run.StepReopened: "is done again", run.StepElse: "failed, another takes over"}[ev.Kind]
		if b.Class == run.NotApplicable {
			return ""
		}
		return fmt.Sprintf("step %d %s%s", n, word, prefix(": ", b.Text))
	}
	return ""
}

// GateWords is what a gate asks for, in two words.
func GateWords(g run.Gate) string {
	switch g.Kind {
	case run.Token:
		return "danger gate"
	case run.Confirm:
		return "a yes"
	case run.Checklist:
		return "done by hand"
	case run.Choice:
		return "a choice"
	case run.Input:
		return "a value"
	case run.Decision:
		return "what now, after a failure"
	case run.Doubt:
		return "did it happen?"
	case run.Closing:
		return "what is left open"
	}
	return string(g.Kind)
}
