package incident

import (
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/estate"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// Speaker is who calls, and from where.
type Speaker struct {
	By, Host string
	Estate   string // its name; empty: none
	Drill    bool   // in a sandbox
	Now      time.Time
}

// lossy are the labels of a plan that say what somebody might miss afterwards.
var lossy = map[string]bool{"drops": true, "is lost": true, "deletes": true, "gives up": true, "replaces": true}

// Say is what the person on the telephone is told about a run: what happened, where it
// stands, what is at risk, what is needed. It is made of the record of the run alone,
// which never holds a secret.
func Say(s Speaker, levels []estate.Level, r *run.Run) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, printable.Line(fmt.Sprintf(format, args...))) }
	if r.Started.Mode == run.Drill {
		add("THIS IS A DRILL. Nothing real is affected.")
	}
	add("This is %s on %s. %s%s: %s.", s.By, s.Host, levelHead(r.Level, "An incident"), prefix(" on ", r.Started.Asset), strings.TrimSuffix(r.Started.Title, "."))
	began := r.Began()
	line := fmt.Sprintf("It began at %s UTC, %s ago.", began.UTC().Format("15:04"), Span(s.Now.Sub(began)))
	if rto := r.Started.RTO; rto > 0 {
		if left := rto - s.Now.Sub(began); left > 0 {
			line += fmt.Sprintf(" It must be over by %s (RTO %s), %s are left.", began.Add(rto).UTC().Format("15:04"), Span(rto), Span(left))
		} else {
			line += fmt.Sprintf(" The RTO of %s passed %s ago.", Span(rto), Span(-left))
		}
	}
	add("%s", line)
	out = append(out, where(r)...)
	for _, text := range risks(r) {
		add("At risk: %s.", strings.TrimSuffix(text, "."))
	}
	if l, ok := level(levels, r.Level); ok && len(risks(r)) == 0 {
		add("At risk: %s.", strings.TrimSuffix(l.Impact, "."))
	}
	for _, d := range Owed(r, s.Now) {
		add("Still open: %s.", d)
	}
	add("Needed: %s", needed(r, levels))
	add("Look at it: lifeboat attach %s on %s.", r.ID.Short(), r.Started.Host)
	return out
}

// SayAbout is what is said before a run has begun.
func SayAbout(s Speaker, levels []estate.Level, n int, what string) []string {
	var out []string
	if s.Drill {
		out = append(out, "THIS IS A DRILL. Nothing real is affected.")
	}
	out = append(out, printable.Line(fmt.Sprintf("This is %s on %s, %s UTC. %s%s%s.", s.By, s.Host, s.Now.UTC().Format("15:04"),
		levelHead(n, "Something is wrong"), prefix(" in ", s.Estate), prefix(": ", strings.TrimSuffix(what, ".")))))
	if l, ok := level(levels, n); ok {
		out = append(out, printable.Line(fmt.Sprintf("Impact: %s.", strings.TrimSuffix(l.Impact, "."))),
			printable.Line(fmt.Sprintf("Response: %s, within %s.", strings.TrimSuffix(l.Response, "."), Span(l.Recovery))))
	}
	return append(out, "No run has begun yet. I need somebody to look at it with me.")
}

// where says at which step the run stands.
func where(r *run.Run) []string {
	if !r.Open() {
		return []string{printable.Line(fmt.Sprintf("Run %s has ended: %s.", r.ID.Short(), r.Outcome))}
	}
	i := r.Current()
	if i >= len(r.Steps) {
		return []string{printable.Line(fmt.Sprintf("Run %s by %s: all %d steps are done, it waits for its end.", r.ID.Short(), r.Started.By, len(r.Steps)))}
	}
	st := &r.Steps[i]
	text := fmt.Sprintf("Run %s by %s, step %d of %d: %s. %s", r.ID.Short(), r.Started.By, i+1, len(r.Steps), st.Title, stands(r, st))
	return []string{printable.Line(text)}
}

func stands(r *run.Run, st *run.Step) string {
	switch {
	case st.State == run.InDoubt:
		return "It is not known whether it happened."
	case st.State == run.Failed:
		first, _, _ := strings.Cut(st.Error, "\n")
		return "It failed: " + strings.TrimSuffix(first, ".") + "."
	case r.Gate != nil:
		return "It waits for a person."
	case st.State == run.Running, st.State == run.Checking:
		return "It is running."
	}
	return "It has not begun."
}

// risks are what the open gate says would be lost.
func risks(r *run.Run) []string {
	var out []string
	if r.Gate == nil || r.Gate.Plan == nil {
		return nil
	}
	for _, l := range r.Gate.Plan.Lines {
		if lossy[l.Label] {
			out = append(out, l.Label+" "+l.Text)
		}
	}
	return out
}

func needed(r *run.Run, levels []estate.Level) string {
	var out []string
	if l, ok := level(levels, r.Level); ok {
		out = append(out, fmt.Sprintf("at level %d, %s.", l.Number, strings.TrimSuffix(l.Response, ".")))
	}
	switch {
	case !r.Open():
		out = append(out, "Nothing more, this is for your information.")
	case r.Gate != nil && r.Gate.Kind == run.Doubt:
		out = append(out, "Somebody to decide with me whether it happened.")
	case r.Gate != nil && r.Gate.Kind == run.Decision:
		out = append(out, "Somebody to decide with me what to do about it.")
	case r.Gate != nil && r.Gate.Kind == run.Token:
		out = append(out, "A second pair of eyes before I approve this step.")
	default:
		out = append(out, "Be reachable until it is over.")
	}
	return strings.Join(out, " ")
}

// level finds a level by its number.
func level(levels []estate.Level, n int) (estate.Level, bool) {
	for _, l := range levels {
		if l.Number == n {
			return l, true
		}
	}
	return estate.Level{}, false
}

// Level gives a level of the estate, and that of the protocol where there is no estate.
func Level(e *estate.Estate, n int) estate.Level {
	l, _ := level(Levels(e), n)
	return l
}

// Levels are those of the estate, and those of the protocol without one.
func Levels(e *estate.Estate) []estate.Level {
	if e == nil || len(e.Levels) == 0 {
		return estate.DefaultLevels()
	}
	return e.Levels
}

// LevelName is what people call a level: "level 2 moderate".
func LevelName(n int) string {
	names := [...]string{"without a level", "level 1 minor", "level 2 moderate", "level 3 critical"}
	return names[min(max(n, 0), len(names)-1)]
}

func levelHead(n int, without string) string {
	if n == 0 {
		return without
	}
	return fmt.Sprintf("A level %d incident", n)
}
