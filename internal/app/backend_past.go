package app

import (
	"context"
	"slices"
	"sync"

	"lifeboat/internal/drill"
	"lifeboat/internal/incident"
	"lifeboat/internal/journal"
	"lifeboat/internal/run"
)

// pastRuns is how many earlier runs of a runbook are read for a forecast: enough for a
// median that one odd run does not move, few enough to be read in a moment.
const pastRuns = 9

// pastCache keeps what is usual, as long as no newer run has ended.
type pastCache struct {
	mu   sync.Mutex
	kept map[string]usually
}

type usually struct {
	newest run.ID // of the runs that it was made of
	usual  incident.Usual
}

// Past implements console.Past.
func (b *backend) Past(ctx context.Context, book string, mode run.Mode) (incident.Usual, error) {
	if mode == run.Dry { // it does nothing, and that takes no time
		return incident.Usual{}, nil
	}
	like, err := b.world.earlier(ctx, book, mode)
	practised := err == nil && len(like) == 0 && mode == run.Live
	if practised {
		like, err = b.world.earlier(ctx, book, run.Drill)
	}
	if err != nil || len(like) == 0 {
		return incident.Usual{}, err
	}
	b.past.mu.Lock()
	defer b.past.mu.Unlock()
	key := string(mode) + " " + book
	if k, ok := b.past.kept[key]; ok && k.newest == like[0].ID {
		return k.usual, nil
	}
	var times []map[string]incident.Took
	for _, s := range like {
		events, err := b.world.journal.Load(ctx, s.ID)
		if err != nil {
			return incident.Usual{}, err
		}
		times = append(times, incident.Times(events))
	}
	u := incident.NewUsual(times)
	u.Drills = practised
	if b.past.kept == nil {
		b.past.kept = map[string]usually{}
	}
	b.past.kept[key] = usually{like[0].ID, u}
	return u, nil
}

// earlier lists the newest runs of a runbook that people drove to a complete end, at most
// pastRuns, the newest first.
func (w *world) earlier(ctx context.Context, book string, modes ...run.Mode) ([]journal.Summary, error) {
	var wanted []journal.Want
	for _, m := range modes {
		wanted = append(wanted, journal.Want{Mode: m, Book: book})
	}
	list, err := w.journal.Ended(ctx, wanted, 4*pastRuns) // scripts have driven some
	list = slices.DeleteFunc(list, func(s journal.Summary) bool { return s.Trainee == drill.By })
	return list[:min(len(list), pastRuns)], err
}
