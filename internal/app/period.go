package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lifeboat/internal/drill"
	"lifeboat/internal/estate"
	"lifeboat/internal/journal"
	"lifeboat/internal/report"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// taskKinds are the kinds of the runs that a command line makes without a runbook.
func taskKinds() map[string]string {
	return map[string]string{
		"backup": string(runbook.Backup), "vault-copy": string(runbook.Backup),
		"verify": string(runbook.Verification), "vault-prune": string(runbook.Verification),
	}
}

// securityBooks answer an incident of security, as the protocol counts them.
func securityBooks() []string { return []string{"security-breach", "secrets-loss"} }

// kinds tells the kind of a runbook by its name, "" where the library has none of that name.
func (w *world) kinds() map[string]string {
	out := taskKinds()
	if w.shelf != nil {
		for _, b := range w.shelf.library.List() {
			out[b.Name] = string(b.Meta.Kind)
		}
	}
	return out
}

// pastRun is a run as reports and lists have it.
func pastRun(s journal.Summary, kinds map[string]string) report.Run {
	r := report.Run{
		ID: s.ID, Book: s.Started.Book, Title: s.Started.Title, Kind: kinds[s.Started.Book], Asset: s.Started.Asset, Mode: s.Started.Mode,
		By: s.Started.By, Level: max(s.Started.Level, s.Facts.Level), At: s.First, Began: s.First, Ended: s.Ended, Back: s.Facts.Back, RTO: s.Started.RTO,
		Outcome: s.Outcome, Scenario: s.Scenario, Script: s.Trainee == drill.By, Score: s.Score, Oracle: s.Facts.Oracle, Left: len(s.Facts.Left), Doubts: s.Facts.Doubts,
		Loss: time.Duration(s.Facts.Loss) * time.Second, Told: int(s.Facts.Told), Untold: int(s.Facts.Untold),
	}
	if t := s.Started.Incident; !t.IsZero() {
		r.Began = t
	}
	if s.Trainee != "" {
		r.By = s.Trainee
	}
	if s.Outcome != "" {
		r.Owed = slices.Sorted(maps.Values(s.Facts.Owed))
	}
	for _, p := range s.Facts.Backups {
		r.Backups = append(r.Backups, report.Part(p))
	}
	for _, p := range s.Facts.Proofs {
		r.Proofs = append(r.Proofs, report.Part(p))
	}
	return r
}

// pageOfRuns is how many runs are read at once where all are.
const pageOfRuns = 1000

// input gathers what a report about a period is made of: runs from its beginning until now,
// since what came later tells what was mended.
func (w *world) input(ctx context.Context, since, until time.Time) (report.Input, error) {
	in := report.Input{Since: since, Until: until, Now: w.env.now(), Critical: w.critical(), Security: securityBooks()}
	kinds := w.kinds()
	for before := int64(0); ; {
		list, err := w.journal.Page(ctx, before, pageOfRuns)
		if err != nil {
			return in, err
		}
		for _, s := range list {
			if s.First.Before(since) { // they stand in the order in which they began
				return in, w.reviews(&in)
			}
			in.Runs = append(in.Runs, pastRun(s, kinds))
			before = s.Place
		}
		if len(list) < pageOfRuns {
			return in, w.reviews(&in)
		}
	}
}

// critical is how fast the most urgent assets have to be back.
func (w *world) critical() time.Duration {
	const tier = "critical"
	longest := time.Duration(0)
	if w.estate != nil {
		for _, a := range w.estate.Assets {
			if a.Tier == tier {
				longest = max(longest, a.RTO)
			}
		}
	}
	if longest == 0 {
		longest = estate.DefaultTiers()[tier].RTO
	}
	return longest
}

// period computes what a time came to.
func (w *world) period(ctx context.Context, since, until time.Time) (report.Period, error) {
	in, err := w.input(ctx, since, until)
	if err != nil {
		return report.Period{}, err
	}
	return report.Of(in), nil
}

// sinceTime reads where a period begins: a day begins at its beginning.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, text, time.UTC); err == nil {
		return t, nil
	}
	t, err := vault.ParseTime(text, now)
	if err != nil {
		return t, fmt.Errorf("--since: %w", err)
	}
	return t, nil
}

// untilTime reads where a period ends: a day belongs to it with its last moment.
func untilTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.UTC); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	t, err := vault.ParseTime(text, now)
	if err != nil {
		return t, fmt.Errorf("--until: %w", err)
	}
	return t, nil
}
