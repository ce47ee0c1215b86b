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
// debt is overdue and that the time of the level runs out, and tells whoever is listed under
// alerts of that, of a level that was raised and of a recovery that came to no good end.
// It belongs to the process of the host. What it puts on record is there once, however
// many hosts drive the run one after another; a crash between record and alert loses the
// alert, and never the record.
type watch struct {
	world *world
	tick  <-chan time.Time
	news  chan any        // run.Raise and run.Ended that became true; room for all, so nobody waits
	told  map[int64]bool  // debts that were noticed, by the Seq of their opening
	timed map[string]bool // remarks about the time of a level that were made
}

func (w *world) newWatch(tick <-chan time.Time) *watch {
	return &watch{world: w, tick: tick, news: make(chan any, run.MaxLevel+1), told: map[int64]bool{}, timed: map[string]bool{}}
}

// observe takes what became true. It never blocks.
func (t *watch) observe(ev run.Event) {
	switch ev.Body.(type) {
	case run.Raise, run.Ended:
		select {
		case t.news <- ev.Body:
		default: // there are no more levels than there is room, and a run ends once
		}
	}
}

// run watches until ctx ends; what became true until then is still told of.
func (t *watch) run(ctx context.Context, e driven) {
	t.look(ctx, e) // also where the host leaves at once, because nobody answers
	for {
		select {
		case <-t.tick:
			t.look(ctx, e)
		case b := <-t.news:
			t.spread(ctx, e, b)
		case <-ctx.Done():
			for {
				select {
				case b := <-t.news:
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
	t.time(ctx, e)
}

// time puts on record that the time of the level is nearly spent, or over, and tells of it:
// whoever works alone should have company then. Who reads along is reminded by the remark.
func (t *watch) time(ctx context.Context, e driven) {
	r := e.Snapshot()
	c := incident.LevelClock(&r, incident.Levels(t.world.estate), t.world.env.now())
	if !c.Reminds() || t.timed[c.Note()] || c.Reminded(&r) {
		return
	}
	if err := e.Note(ctx, incident.Host, c.Note()); err != nil {
		return // as with debts
	}
	t.timed[c.Note()] = true
	advice := "lifeboat attach " + r.ID.Short() + " shows the run"
	if c.Next.Number > 0 {
		advice += fmt.Sprintf("; R there raises it to level %d: %s, within %s", c.Next.Number, c.Next.Response, incident.Span(c.Next.Recovery))
	}
	t.tell(ctx, e, alert.Message{
		Event: alert.LevelTime, Asset: r.Started.Asset, Runbook: r.Started.Book, Run: string(r.ID), Level: r.Level,
		Text: c.Says + prefix(" ", c.Forecast), Advice: advice,
	})
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
		if err := e.Note(ctx, incident.Host, incident.OverdueNote(d)); err != nil {
			continue // the run has just ended, or nothing can be recorded any more: then the engine says so
		}
		t.told[d.Seq] = true
		t.tell(ctx, e, alert.Message{
			Event: alert.DebtOverdue, Asset: r.Started.Asset, Runbook: r.Started.Book, Run: string(r.ID), Level: r.Level,
			Text:   fmt.Sprintf("%s, %s", d.Text, incident.Left(d, now)),
			Advice: "lifeboat attach " + r.ID.Short() + " shows the run; it does not end before this is put back",
		})
	}
}

// tell hands a message on. What a channel did not take is on the record of the run, which
// people read also where the process that hosts it has no terminal.
func (t *watch) tell(ctx context.Context, e driven, m alert.Message) {
	for _, d := range t.world.tell(ctx, m) {
		if d.Done {
			continue
		}
		said := fmt.Sprintf("Alert %s: %s", m.Event, d)
		if err := e.Note(context.WithoutCancel(ctx), incident.Host, said); err != nil {
			fmt.Fprintln(t.world.env.stderr, said)
		}
	}
}

// spread hands on what became true.
func (t *watch) spread(ctx context.Context, e driven, body any) {
	r := e.Snapshot()
	m := alert.Message{Asset: r.Started.Asset, Runbook: r.Started.Book, Run: string(r.ID), Level: r.Level}
	switch b := body.(type) {
	case run.Raise:
		level := incident.Level(t.world.estate, b.To)
		m.Event, m.Level, m.By = alert.LevelRaised, b.To, b.By
		m.Text = fmt.Sprintf("level raised from %d to %d by %s%s; %s, within %s",
			b.From, b.To, b.By, prefix(": ", b.Reason), level.Response, incident.Span(level.Recovery))
		m.Advice = "lifeboat contacts --run " + r.ID.Short() + " says whom to call and what to say"
	case run.Ended:
		if !awaited(&r) {
			return
		}
		m.Event, m.By = alert.NotRecovered, r.EndedBy
		m.Text = fmt.Sprintf("%q ended %s%s. What it had begun may be half done.", r.Started.Title, b.Outcome, prefix(": ", b.Reason))
		for _, d := range incident.Debts(r.Debts) {
			m.Text += " Not put back: " + d.Text + "."
		}
		m.Advice = "lifeboat show " + r.ID.Short() + " says what was done; lifeboat run " + r.Started.Book + " begins anew"
	}
	t.tell(ctx, e, m)
}

// awaited says whether people wait for the end of a run that came to no good one: they were
// told that it began, and not that it is over.
func awaited(r *run.Run) bool {
	if r.Outcome != run.NotComplete && r.Outcome != run.Aborted {
		return false
	}
	waits := false
	for _, s := range r.Steps {
		if s.Action != "notify.send" || s.Plan == nil || s.State != run.Verified {
			continue
		}
		switch s.Plan.Args["event"] {
		case alert.RecoveryBegun, alert.SecurityBreach:
			waits = true
		case alert.Recovered, alert.NotRecovered:
			waits = false
		}
	}
	return waits
}
