// Package drill holds rehearsals as data: which runbook is rehearsed, what is prepared
// and broken before, what a trainee is taken to see, how long it may take. It also has
// the script that plays the trainee where nobody is there to practise ([Auto]), and
// says whether a rehearsal passed ([Score]).
//
// A drill goes through the same runbook, engine and screens as the real thing. What
// makes it safe is not here: the run's mode, which the engine holds, and the fence of
// the sandbox. What makes it honest is not here either: the oracle of the sandbox.
package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/sandbox"
)

// Scenario is one rehearsal.
type Scenario struct {
	Name     string
	Title    string
	Runbook  string            // that is rehearsed
	Breakage string            // of package sandbox, "" when nothing is broken
	Summary  string            // what the rehearsal shows, one or two sentences
	Params   map[string]string // of the runbook
	Prepare  []string          // runbooks that run before the breakage, in order

	// Answers are what a trainee sees and does: the text of a checklist item, or the id
	// of a step, for its choice, its input, and those items that ask for a value and do
	// not say which one they expect. All other items get what they expect, or general
	// words.
	Answers map[string]string
	RTO     time.Duration // from the start of the run
}

// All lists the scenarios, recoveries first.
func All() []Scenario {
	return []Scenario{{
		Name:     "accidental-force-push",
		Title:    "A demo was pushed over main",
		Runbook:  "accidental-force-push",
		Breakage: sandbox.ForcePush,
		Summary:  "A colleague force-pushes a demo over main. Fourteen commits by six people are gone from it, five of them in no clone. They have to come back, and the demo must not be lost.",
		Params:   map[string]string{"branch": "main"},
		Prepare:  []string{"repository-backup"},
		Answers: map[string]string{
			"freeze-pushes":                     "played by the rehearsal: the team channel confirms the freeze",
			"compare-with-what-people-remember": "played by the rehearsal: an author of the newest commit confirms it",
			"tell-the-team":                     "played by the rehearsal: the authors see their commits on main",
		},
		RTO: time.Hour,
	}, {
		Name:     "corrupted-repository",
		Title:    "The working clone is damaged",
		Runbook:  "corrupted-repository",
		Breakage: sandbox.CorruptObject,
		Summary:  "A byte in a pack and a loose object of the working clone are damaged. The clone has to be rebuilt without losing commits that were never pushed, work in progress and env files.",
		Prepare:  []string{"repository-backup"},
		Answers: map[string]string{
			"stop-working-in-the-clone": "played by the rehearsal: the developer has closed the editor",
			"tell-the-team":             "played by the rehearsal: the developer sees the work in progress",
		},
		RTO: time.Hour,
	}, {
		Name:    "repository-backup",
		Title:   "A backup and its proof",
		Runbook: "repository-backup",
		Summary: "Nothing is broken: a backup of the repository is written and read back.",
		RTO:     15 * time.Minute,
	}, {
		Name:    "verify-backups",
		Title:   "Would we get it back",
		Runbook: "verify-backups",
		Summary: "Nothing is broken: the newest backup of every asset is found, read, applied and restored from nothing.",
		Prepare: []string{"daily-backup"},
		RTO:     time.Hour,
	}}
}

// Names lists the names of all scenarios.
func Names() []string {
	var out []string
	for _, s := range All() {
		out = append(out, s.Name)
	}
	return out
}

// Find gives the scenario of that name. Its error advises with the nearest names.
func Find(name string) (Scenario, error) {
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
	}
	advice := "Choose one of " + strings.Join(Names(), ", ") + "."
	if near := nearest(name, Names()); len(near) > 0 {
		advice = "Did you mean " + strings.Join(near, " or ") + "?"
	}
	return Scenario{}, hint.New(fmt.Sprintf("there is no scenario %q", name), advice)
}

// nearest lists the names that somebody may have meant: those that hold what was typed,
// else those that a third of its letters turns it into.
func nearest(typed string, names []string) []string {
	typed = strings.ToLower(strings.TrimSpace(typed))
	if typed == "" {
		return nil
	}
	var near []string
	for _, n := range names {
		if strings.Contains(n, typed) {
			near = append(near, n)
		}
	}
	if len(near) > 0 || len(typed) > 64 {
		return near
	}
	best := max(2, len(typed)/3)
	for _, n := range names {
		switch d := distance(typed, n); {
		case d < best:
			best, near = d, []string{n}
		case d == best:
			near = append(near, n)
		}
	}
	return near
}

// distance counts the letters to add, drop or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0]++
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = slices.Min([]int{change, row[j] + 1, row[j+1] + 1})
		}
	}
	return row[len(b)]
}
