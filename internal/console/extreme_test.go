package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/run"
)

// again begins the story anew with what change makes of its start.
func (s *story) again(change func(*run.Started)) *story {
	started := s.events[0].Body.(run.Started)
	change(&started)
	s.events, s.state, s.now = nil, run.Run{}, began
	return s.add(0, run.RunStarted, "", started)
}

// manySteps is a run of n steps that only read, in the middle, without RTO, level or asset.
func manySteps(t testing.TB, n int) *story {
	s := newStory(t).again(func(st *run.Started) {
		st.Steps, st.RTO, st.Level, st.Asset, st.Incident = nil, 0, 0, "", time.Time{}
		for i := range n {
			st.Steps = append(st.Steps, run.Outline{ID: fmt.Sprintf("s%d", i), Title: fmt.Sprintf("Look at part %d of the estate", i+1), Action: "git.check", Effect: "read"})
		}
	})
	for i := range n / 2 {
		id := fmt.Sprintf("s%d", i)
		s.begin(id, nil).add(time.Second, run.StepFinished, id, run.Finished{Evidence: "sound"})
		s.add(0, run.StepVerified, id, run.Verdict{Evidence: "sound"})
	}
	return s.begin(fmt.Sprintf("s%d", n/2), nil)
}

// phased has its steps below headings, with names in scripts that are wide or run the other way.
func phased(t testing.TB) *story {
	return newStory(t).again(func(st *run.Started) {
		st.Title, st.Asset, st.By = "Undo an accidental force push \u202e of \u05d0\u05d1\u05d2", "\u4e88\u7d04\u30b7\u30b9\u30c6\u30e0", "m.\u4f0a\u85e4\U0001f6df"
		steps := append([]run.Outline{}, st.Steps...)
		for i := range steps {
			steps[i].Phase = []string{"Prepare"}
			if i > 2 {
				steps[i].Phase = []string{"Recover", "\u05d4\u05de\u05d0\u05d2\u05e8"}
			}
		}
		st.Steps = steps
	}).keeping()
}

// longPlan is a danger gate with a command of 1000 characters and 200 checks.
func longPlan(t testing.TB) *story {
	p := *pushPlan
	p.Command = []string{"git push --force-with-lease=main:3f2a1c9 origin " + strings.Repeat("9bd0e27:refs/heads/a-branch-with-a-long-name ", 22) + "9bd0e27:main"}
	p.Checks = nil
	for i := range 200 {
		p.Checks = append(p.Checks, run.Check{Text: fmt.Sprintf("branch %d is still where it was", i+1), OK: i != 150, Evidence: "3f2a1c9"})
	}
	return newStory(t).kept().gate(time.Second, "push", run.Gate{Kind: run.Token, Digest: "d-push", Token: "main@3f2a1c9", Plan: &p})
}

// checkingMany is a step whose 200 checks are being made.
func checkingMany(t testing.TB) *story {
	s := newStory(t).keeping().add(time.Second, run.StepFinished, "keep", run.Finished{Evidence: "kept"})
	for i := range 120 {
		s.add(0, run.CheckMade, "keep", run.Check{Text: fmt.Sprintf("object %d can be read", i+1), OK: true, Evidence: "sha256"})
	}
	return s
}
