package app

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin"
	"lifeboat/internal/runbook"
	"lifeboat/runbooks"
)

// lookedAt is when this table was looked through last: no runbook may be overdue by then. It is
// no clock, so that a test which passes today passes in a year.
var lookedAt = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

// TestRunbooksSayWhatTheyMust: each has symptoms, an owner, a review that is not overdue, and
// says how long it takes; what mends something also its level, whom to call, when the level is
// raised, and when it is the wrong one. What cannot be undone says so.
func TestRunbooksSayWhatTheyMust(t *testing.T) {
	lib := runbook.NewLibrary(runbook.NamedFS{FS: runbooks.FS})
	takes := regexp.MustCompile(`(?i)\bexpect\b|it takes a few`)
	raises := regexp.MustCompile(`(?i)level [23]\b|raise the level|\bcall (the )?(technical lead|incident team)`)
	calls := regexp.MustCompile(`(?i)\bcall (the |a )?(technical lead|incident team|senior developer|security)`)
	actions := map[string]action.Action{}
	for _, a := range builtin.All(builtin.Deps{}) {
		actions[a.Name] = a
	}
	for _, b := range lib.List() {
		m := b.Meta
		prose := strings.Join(strings.Fields(string(b.Source)), " ")
		mends := m.Kind == runbook.Recovery || m.Kind == runbook.Procedure
		for what, ok := range map[string]bool{
			"when": len(m.When) > 0, "owner": m.Owner != "", "review_every": m.ReviewEvery > 0,
			"reviewed, not overdue and not in the future": !m.Reviewed.After(lookedAt) && m.Reviewed.Add(m.ReviewEvery).After(lookedAt),
			"how long it takes":                           takes.MatchString(prose),
			"level":                                       mends == (m.Level > 0) || m.Kind == runbook.Drill,
			"not_for":                                     !mends || len(m.NotFor) > 0,
			"whom to call":                                !mends || calls.MatchString(prose),
			"when to raise the level":                     !mends || m.Level == 3 || raises.MatchString(prose),
		} {
			if !ok {
				t.Errorf("%s does not say: %s", b.File, what)
			}
		}
		for i, s := range b.Steps {
			saysUndo(t, b, s, actions)
			if !mends && s.Do != nil && (s.Do.Args["replace"] != nil || s.Do.Action == "service.stop") {
				t.Errorf("%s is a %s, and its step %q reaches what is in use", b.File, m.Kind, s.ID)
			}
			if s.Do != nil && s.Do.Action == "secrets.rotate" && !startsLater(b.Steps[i:]) {
				t.Errorf("%s: step %q gives secrets new values, and nothing is started after it: what runs goes on with the old ones", b.File, s.ID)
			}
		}
	}
}

// saysUndo refuses a step that changes something, cannot be undone and does not say so.
func saysUndo(t *testing.T, b *runbook.Book, s *runbook.Step, actions map[string]action.Action) {
	if s.Do == nil || s.Undo != nil || strings.Contains(strings.ToLower(s.Guidance), "undo") {
		return
	}
	a := actions[s.Do.Action]
	if s.Do.Action == runbook.Shell && s.Do.Effect != "read" || s.Do.Action != runbook.Shell && a.Effect == action.Destroy && !a.HasUndo {
		t.Errorf("%s: step %q (%s) has no undo, and does not say so", b.File, s.ID, s.Do.Action)
	}
	if s.Do.Effect == "destroy" && len(s.Verify) == 0 {
		t.Errorf("%s: step %q destroys by a script, and has no verify", b.File, s.ID)
	}
}

func startsLater(steps []*runbook.Step) bool {
	for _, s := range steps {
		if s.Do != nil && s.Do.Action == "service.start" {
			return true
		}
	}
	return false
}
