package run

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Mark is a criterion of the sheet as far as it is decided.
type Mark struct {
	Criterion
	Decided int // of how many of its points it is known whether they are earned
}

// Found is what is known of a drill only after its end.
type Found struct {
	Recovered bool // says the oracle
	Loss      time.Duration
	LossKnown bool
	Checks    []Check
	Lost      []string
	Kept      []string
	Why       []string                 // why it cannot have passed, whatever the points say
	Usual     map[string]time.Duration // of steps, from earlier runs
}

// Marks is the sheet of a drill. Without found it holds what is decided so far. Every
// point that is missing has its reason, and every reason is a fact on record.
func (r *Run) Marks(found *Found) []Mark {
	if r.Drill == nil {
		return nil
	}
	var out []Mark
	for _, w := range r.Drill.Points {
		m := Mark{Criterion: Criterion{Criterion: w.Criterion, Of: w.Points}}
		switch w.Criterion {
		case RightRunbook:
			r.markRunbook(&m)
		case InsideRTO:
			r.markRTO(&m, found)
		case InsideRPO:
			r.markRPO(&m, found)
		case ChecksRead:
			r.markChecks(&m)
		case GatesTyped:
			r.markGates(&m)
		case InTime:
			r.markInjects(&m)
		case TeamTold:
			r.markTeam(&m)
		}
		if found != nil {
			m.Decided = m.Of
		}
		out = append(out, m)
	}
	if len(r.Drill.Hints) > 0 {
		out = append(out, r.markHints())
	}
	return out
}

func (m *Mark) why(format string, args ...any) { m.Why = append(m.Why, fmt.Sprintf(format, args...)) }

// share is the part i of n of points: all parts together are all points.
func share(points, i, n int) int { return points*(i+1)/n - points*i/n }

func (r *Run) markRunbook(m *Mark) {
	m.Decided, m.Points = m.Of, m.Of
	switch tried := r.Drill.Tried; len(tried) {
	case 0:
	case 1:
		m.Points = m.Of / 2
		m.why("%s was opened first", tried[0])
	default:
		m.Points = 0
		m.why("%s were opened first", strings.Join(tried, ", "))
	}
}

func (r *Run) markRTO(m *Mark, found *Found) {
	took := r.Recovery()
	switch rto := r.Drill.RTO; {
	case found == nil:
	case !found.Recovered:
		m.why("the oracle finds it not recovered")
	case took == 0:
		m.why("no step was verified")
	case took > rto:
		m.why("recovered after %s, the promise is %s", span(took), span(rto))
	default:
		m.Points = m.Of
	}
}

func (r *Run) markRPO(m *Mark, found *Found) {
	switch {
	case found == nil:
	case !found.LossKnown && len(found.Lost) > 0:
		m.why("lost: %s", found.Lost[0])
	case !found.LossKnown:
		m.why("the oracle could not measure what is lost")
	case found.Loss > r.Drill.RPO:
		m.why("%s of data are lost, the promise is %s", span(found.Loss), span(r.Drill.RPO))
	default:
		m.Points = m.Of
	}
}

// onPath lists the steps that a drill has to go through.
func (r *Run) onPath() []*Step {
	var out []*Step
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Only && !s.Entered || s.State == Skipped && s.Reason.Class == NotApplicable {
			continue
		}
		out = append(out, s)
	}
	return out
}

// markChecks: nothing goes on past a check that does not hold, or was not made.
func (r *Run) markChecks(m *Mark) {
	steps := r.onPath()
	missed := 0
	for i, s := range steps {
		part := share(m.Of, i, len(steps))
		switch s.State {
		case Verified, Claimed, Undone:
			m.Points += part
			m.Decided += part
		case Skipped, Overridden:
			m.Decided += part
			m.why("%q was %s: %s", s.Title, s.State, orWord(s.Reason.Text, string(s.Reason.Class)))
		default:
			if s.Done() { // failed, and its alternative took over: that is the path
				m.Points += part
				m.Decided += part
				break
			}
			missed++
		}
	}
	if missed > 0 && !r.Open() {
		m.why("%d of %d steps were not done", missed, len(steps))
	}
}

// markGates: the token of what changes was typed right the first time.
func (r *Run) markGates(m *Mark) {
	var gated []*Step
	for _, s := range r.onPath() {
		if s.effect() == "destroy" {
			gated = append(gated, s)
		}
	}
	for i, s := range gated {
		part := share(m.Of, i, len(gated))
		given, misses := 0, 0
		for _, t := range r.Drill.Tokens {
			if t.Step == s.ID {
				given++
				misses += t.Misses
			}
		}
		switch {
		case given == 0 && (s.Done() || !r.Open()):
			m.Decided += part
			m.why("the gate of %q was not passed", s.Title)
		case given == 0:
		case misses > 0:
			m.Decided += part
			m.why("the token of %q was wrong %s first", s.Title, times(misses))
		default:
			m.Decided += part
			m.Points += part
		}
	}
	if len(gated) == 0 && !r.Open() {
		m.Points = m.Of // nothing dangerous was on the path that was taken
	}
}

func (r *Run) markInjects(m *Mark) {
	d := r.Drill
	for _, i := range d.Injects {
		at := d.arrived(i.Name)
		if at < 0 {
			switch {
			case r.Open():
			case r.Outcome == Complete || r.Outcome == CompleteWithOverrides: // all was done before it was due
				m.Of -= i.Points
			default:
				m.Decided += i.Points
				m.why("inject %q: the drill was over before it came", i.Name)
			}
			continue
		}
		a := d.Arrived[at].Answer
		if a == nil {
			if !r.Open() {
				m.Decided += i.Points
				m.why("inject %q was not answered", i.Name)
			}
			continue
		}
		m.Decided += i.Points
		m.Points += a.Points
		switch {
		case a.Points == i.Points:
		case !a.Right:
			m.why("inject %q: %q misses the point", i.Name, a.Text)
		case a.Late:
			m.why("inject %q took %s of %s", i.Name, span(a.Took), span(i.Within))
		}
	}
}

func (r *Run) markTeam(m *Mark) {
	team := r.Drill.Team
	for i, id := range team {
		part := share(m.Of, i, len(team))
		s := r.Step(id)
		switch {
		case s == nil:
		case s.State == Verified || s.State == Claimed:
			m.Points += part
			m.Decided += part
		case s.Done():
			m.Decided += part
			m.why("%q was %s", s.Title, s.State)
		case !r.Open():
			m.why("%q was not done", s.Title)
		}
	}
}

func (r *Run) markHints() Mark {
	m := Mark{Criterion: Criterion{Criterion: HintCost}}
	for _, t := range r.Drill.Taken {
		m.Points -= t.Cost
		title := t.Step
		if s := r.Step(t.Step); s != nil {
			title = s.Title
		}
		m.why("%q: %s", title, t.Text)
	}
	return m
}

// Recovery is how long it took from the beginning of the incident until the thing was back,
// see [Run.Back]. Where that is not known, because a step was left out or the run is open, it
// is until the last step that the console verified and that is part of the recovery itself;
// 0 when there is none. Backups of the recovered state and messages come after it.
func (r *Run) Recovery() time.Duration {
	last := r.Back()
	if !last.IsZero() {
		return max(last.Sub(r.Began()), 1)
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		aside := strings.HasPrefix(s.Action, "vault.") || strings.HasPrefix(s.Action, "notify.") || strings.HasSuffix(s.Action, ".backup")
		if s.State == Verified && !s.Hand && !aside && s.Ended.After(last) {
			last = s.Ended
		}
	}
	if last.IsZero() {
		return 0
	}
	return max(last.Sub(r.Began()), 1)
}

// Took is how long a run took that has ended: until the thing was back, where that is known
// of it or of its score, else until its end. It is 0 while the run is open.
func (r *Run) Took() time.Duration {
	switch {
	case r.Open():
		return 0
	case r.Outcome != Complete && r.Outcome != CompleteWithOverrides:
	case !r.Back().IsZero():
		return r.Recovery()
	case r.Score != nil && r.Score.Recovery > 0:
		return r.Score.Recovery
	}
	return max(r.EndedAt.Sub(r.Began()), 0)
}

// Sum adds up a sheet: the points earned, of those that are decided.
func Sum(marks []Mark) (points, decided int) {
	for _, m := range marks {
		points += m.Points
		decided += m.Decided
	}
	return max(points, 0), decided
}

// Judge gives the score of a drill that has ended. It passed when the oracle finds
// nothing against it and the points suffice.
func (r *Run) Judge(found Found) Score {
	d := r.Drill
	marks := r.Marks(&found)
	s := Score{
		Scenario: d.Scenario, Trainee: d.Trainee, Of: d.Of(), Pass: d.Pass, Recovered: found.Recovered,
		Recovery: r.Recovery(), RTO: d.RTO, Loss: found.Loss, LossKnown: found.LossKnown, RPO: d.RPO,
		Times: r.Times(found.Usual), Why: found.Why, Checks: found.Checks, Lost: found.Lost, Kept: found.Kept,
	}
	s.Points, _ = Sum(marks)
	of := 0
	for _, m := range marks {
		s.Criteria = append(s.Criteria, m.Criterion)
		of += m.Of
	}
	if of < s.Of && s.Of > 0 {
		s.Pass, s.Of = (s.Pass*of+s.Of-1)/s.Of, of
	}
	if s.Points < s.Pass {
		s.Why = append(slices.Clone(s.Why), fmt.Sprintf("%d points, %d pass", s.Points, s.Pass))
	}
	s.Passed = len(s.Why) == 0
	if s.Passed && d.Every > 0 {
		s.Valid = r.EndedAt.Add(d.Every).UTC()
	}
	s.Fixes, s.Best = r.fixes(&s), r.best(marks)
	return s
}

// Times lists how long the steps took that were done, reading and waiting for a person
// included, beside what is usual.
func (r *Run) Times(usual map[string]time.Duration) []StepTime {
	var out []StepTime
	before := r.At
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Ended.IsZero() || s.State == Skipped && s.Reason.Class == NotApplicable {
			continue
		}
		began := s.Began
		if began.IsZero() || began.After(s.Ended) {
			began = before
		}
		if before.Before(began) {
			began = before // reading, and waiting at its gate, are part of the step
		}
		out = append(out, StepTime{Step: s.ID, Began: began.UTC(), Took: max(s.Ended.Sub(began), 0), Usual: usual[s.ID]})
		before = s.Ended
	}
	return out
}

// mostFixes is how many things people remember until the next drill.
const mostFixes = 4

// fixes says what to do before the next drill, what weighs most first.
func (r *Run) fixes(s *Score) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	number := func(id string) string {
		i := slices.IndexFunc(r.Steps, func(o Step) bool { return o.ID == id })
		return fmt.Sprintf("step %d", i+1)
	}
	for _, c := range s.Checks {
		if !c.OK {
			add("make it hold: %s", c.Text)
		}
	}
	for i := range r.Steps {
		st := &r.Steps[i]
		if st.State == Overridden || st.State == Failed {
			first, _, _ := strings.Cut(st.Error, "\n")
			add("%s: find out why it failed%s", number(st.ID), prefixed(": ", first))
		}
	}
	for _, t := range r.Drill.Taken {
		add("%s: say in the runbook what the hint says: %s", number(t.Step), t.Text)
	}
	for _, t := range s.Times {
		if more := t.Over(); more > 0 {
			add("%s: find out why it took %s longer than usual", number(t.Step), span(more))
		}
	}
	for _, i := range r.Drill.Arrived {
		if a := i.Answer; a == nil || !a.Right {
			add("talk about inject %q%s", i.Name, prefixed(": a good answer is ", i.Model))
		}
	}
	return out[:min(len(out), mostFixes)]
}

// best is one thing worth praise, empty when there is none.
func (r *Run) best(marks []Mark) string {
	full := func(criterion string) bool {
		return slices.ContainsFunc(marks, func(m Mark) bool { return m.Criterion.Criterion == criterion && m.Of > 0 && m.Points == m.Of })
	}
	switch {
	case full(InTime) && len(r.Drill.Arrived) > 1:
		return fmt.Sprintf("all %d injects answered right and in time", len(r.Drill.Arrived))
	case full(GatesTyped) && len(r.Drill.Tokens) > 0 && len(r.Drill.Taken) == 0:
		return "every token right the first time, and no hint"
	case full(RightRunbook):
		return "the right runbook at the first try, in " + span(r.Drill.Found)
	}
	return ""
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func orWord(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func prefixed(p, s string) string {
	if s == "" {
		return ""
	}
	return p + s
}

// span writes a duration as on a clock: 2:11, 1:02:03.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%d:%02d", m, s)
}
