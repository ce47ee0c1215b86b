package app

import (
	"context"
	"sync"

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
	list, err := b.world.journal.Completed(ctx, book, 100)
	if err != nil {
		return incident.Usual{}, err
	}
	like, drills := []journal.Summary{}, []journal.Summary{}
	for _, s := range list { // newest first
		switch {
		case s.Started.Mode == mode:
			like = append(like, s)
		case s.Started.Mode == run.Drill && mode == run.Live:
			drills = append(drills, s)
		}
	}
	practised := len(like) == 0
	if practised {
		like = drills
	}
	if len(like) == 0 {
		return incident.Usual{}, nil
	}
	b.past.mu.Lock()
	defer b.past.mu.Unlock()
	key := string(mode) + " " + book
	if k, ok := b.past.kept[key]; ok && k.newest == like[0].ID {
		return k.usual, nil
	}
	var times []map[string]incident.Took
	for _, s := range like[:min(len(like), pastRuns)] {
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
