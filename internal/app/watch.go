package app

import (
	"context"
	"fmt"
	"time"

	"lifeboat/internal/alert"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// watchEvery is how often a host looks at its clocks.
const watchEvery = 5 * time.Second

// driven is what the watch needs of the engine that drives the run.
type driven interface {
	Snapshot() run.Run
	Note(ctx context.Context, by, text string) error
}

// watch looks at the clocks of a run while a process hosts it: it puts on record that a
// debt is overdue, tells whoever is listed under alerts, and reminds whoever reads along.
// It belongs to the process of the host. What it puts on record is there once, however
// many hosts drive the run one after another; a crash between record and alert loses the
// alert, and never the record.
type watch struct {
	world  *world
	tick   <-chan time.Time
	raised chan run.Raise  // that became true; room for all levels, so nobody waits
	remind func(r run.Run) // reads the clock of the level out; nil: nobody reads along
	told   map[int64]bool  // debts that were noticed, by the Seq of their opening
}

func (w *world) newWatch(tick <-chan time.Time) *watch {
	return &watch{world: w, tick: tick, raised: make(chan run.Raise, run.MaxLevel), remind: w.remind, told: map[int64]bool{}}
}

// observe takes what became true. It never blocks.
func (t *watch) observe(ev run.Event) {
	if b, ok := ev.Body.(run.Raise); ok {
		select {
		case t.raised <- b:
		default: // there are no more levels than there is room
		}
	}
}

// run watches until ctx ends; what was raised until then is still told of.
func (t *watch) run(ctx context.Context, e driven) {
	t.owed(ctx, e) // also where the host leaves at once, because nobody answers
	for {
		select {
		case <-t.tick:
			t.look(ctx, e)
		case b := <-t.raised:
			t.spread(ctx, e, b)
		case <-ctx.Done():
			for {
				select {
				case b := <-t.raised:
					t.spread(ctx, e, b)
				default:
					return
				}
			}
		}
	}
}

// look is one look at the clocks.
func (t *watch) look(ctx context.Context, e driven) {
	t.owed(ctx, e)
	if r := e.Snapshot(); t.remind != nil && r.Open() {
		t.remind(r)
	}
}

// owed puts on record what is overdue, and tells of it.
func (t *watch) owed(ctx context.Context, e driven) {
	r, now := e.Snapshot(), t.world.env.now()
	if !r.Open() {
		return
	}
	for _, d := range incident.Debts(r.Debts) {
		// The remark on record may have a secret masked where the id of the debt, which is a
		// name, has not: then it does not read as this debt's, and nobody wants it every 5 s.
		if !d.Overdue(now) || t.told[d.Seq] || incident.Noticed(&r, d) {
			continue
		}
		if err := e.Note(ctx, "lifeboat", incident.OverdueNote(d)); err != nil {
			continue // the run has just ended, or nothing can be recorded any more: then the engine says so
		}
		t.told[d.Seq] = true
		t.tell(ctx, alert.Message{
			Event: alert.DebtOverdue, Asset: r.Started.Asset, Runbook: r.Started.Book, Run: string(r.ID), Level: r.Level,
			Text:   fmt.Sprintf("%s, %s", d.Text, incident.Left(d, now)),
			Advice: "lifeboat attach " + r.ID.Short() + " shows the run; it does not end before this is put back",
		})
	}
}

// tell hands a message on. What a channel did not take is complained about: the record
// of the run has what happened in any case.
func (t *watch) tell(ctx context.Context, m alert.Message) {
	for _, d := range t.world.tell(ctx, m) {
		if !d.Done {
			fmt.Fprintf(t.world.env.stderr, "ALERT NOT DELIVERED: %s: %s\n", m.Event, d)
		}
	}
}

// spread hands on that the level went up.
func (t *watch) spread(ctx context.Context, e driven, b run.Raise) {
	r, level := e.Snapshot(), incident.Level(t.world.estate, b.To)
	t.tell(ctx, alert.Message{
		Event: alert.LevelRaised, Asset: r.Started.Asset, Runbook: r.Started.Book, Run: string(r.ID), Level: b.To, By: b.By,
		Text: fmt.Sprintf("level raised from %d to %d by %s%s; %s, within %s",
			b.From, b.To, b.By, prefix(": ", b.Reason), level.Response, incident.Span(level.Recovery)),
		Advice: "lifeboat contacts --run " + r.ID.Short() + " says whom to call and what to say",
	})
}
