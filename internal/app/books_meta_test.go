package app

import (
	"regexp"
	"testing"
	"time"

	"lifeboat/internal/runbook"
	"lifeboat/runbooks"
)

// TestRunbooksSayWhatTheyMust: each has symptoms, an owner, a date of review, and says how
// long it takes; a recovery also its level and when it is the wrong one. A script that
// destroys is checked, and its undo puts things back or says that nothing can.
func TestRunbooksSayWhatTheyMust(t *testing.T) {
	lib := runbook.NewLibrary(runbook.NamedFS{FS: runbooks.FS})
	takes := regexp.MustCompile(`(?i)\bexpect\b|it takes a few`)
	for _, b := range lib.List() {
		m := b.Meta
		for what, ok := range map[string]bool{
			"when": len(m.When) > 0, "owner": m.Owner != "", "reviewed": !m.Reviewed.IsZero() && m.Reviewed.Before(time.Now()), "review_every": m.ReviewEvery > 0,
			"how long it takes": takes.MatchString(string(b.Source)),
			"level":             m.Kind != runbook.Recovery || m.Level > 0,
			"not_for":           m.Kind != runbook.Recovery || len(m.NotFor) > 0,
		} {
			if !ok {
				t.Errorf("%s does not say: %s", b.File, what)
			}
		}
		for _, s := range b.Steps {
			if s.Do != nil && s.Do.Action == runbook.Shell && s.Do.Effect == "destroy" && (s.Undo == nil || len(s.Verify) == 0) {
				t.Errorf("%s: step %q destroys by a script, and has no verify or no undo that says there is none", b.File, s.ID)
			}
		}
	}
}
