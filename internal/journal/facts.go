package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/run"
)

// Facts are what lists and metrics need of a run beyond how it began. They are a cache:
// [Facts.add] makes them of the events alone, and [Journal.Verify] makes them again.
type Facts struct {
	Level  int               `json:"level,omitempty"`  // that the incident was raised to, 0: it was not
	Left   map[string]string `json:"left,omitempty"`   // steps that were left out or accepted as they are: id -> "skipped" or "overridden"
	Owed   map[string]string `json:"owed,omitempty"`   // debts that are not paid: id -> what, in words
	Doubts int               `json:"doubts,omitempty"` // steps whose end was not seen
	Loss   int64             `json:"loss,omitempty"`   // seconds of data that a recovery could not bring back, as it measured them
	Told   int64             `json:"told,omitempty"`   // channels that took a message of the run
	Untold int64             `json:"untold,omitempty"` // channels that did not
	Oracle string            `json:"oracle,omitempty"` // what the judge of a sandbox said first: "RECOVERED"
	Back   time.Time         `json:"back,omitzero"`    // when the thing was back; zero: it was not, or an older Lifeboat wrote the end

	Backups []Part `json:"backups,omitempty"` // what its backup steps came to, in order
	Proofs  []Part `json:"proofs,omitempty"`  // what its verifications came to, in order

	Work map[string]work `json:"work,omitempty"` // steps that the three above come from; empty once the run has ended
}

// Part is what a step came to for one asset.
type Part struct {
	Asset string    `json:"asset,omitempty"` // empty: the step failed before it came to one, which means all of its assets
	OK    bool      `json:"ok,omitempty"`
	At    time.Time `json:"at"`
}

// work is a step that makes backups, proves them or tells people.
type work struct {
	Action string `json:"action"`
	Asset  string `json:"asset,omitempty"` // of its newest plan
	Parts  int    `json:"parts,omitempty"` // that its newest attempt has come to so far
}

// judge is who writes the verdict about a sandbox into the notes of a run.
const judge = "oracle"

func makesBackup(action string) bool {
	return strings.HasSuffix(action, ".backup") || action == "vault.archive"
}

const (
	provesBackup = "vault.verify"
	tellsPeople  = "notify.send"
)

// add takes an event of the run into its facts.
func (f *Facts) add(ev run.Event) {
	switch b := ev.Body.(type) {
	case run.Started:
		for _, s := range b.Steps {
			if makesBackup(s.Action) || s.Action == provesBackup || s.Action == tellsPeople {
				set(&f.Work, s.ID, work{Action: s.Action, Asset: b.Asset})
			}
		}
	case run.Ended:
		f.Work = nil
		if !b.Back.IsZero() {
			f.Back = stored(b.Back)
		}
	case run.Raise:
		f.Level = b.To
	case run.Note:
		if b.By == judge && f.Oracle == "" {
			f.Oracle = b.Text
		}
	case run.Debt:
		if ev.Kind == run.DebtOpened {
			set(&f.Owed, b.ID, b.Text)
		} else {
			delete(f.Owed, b.ID)
		}
	case run.Reason:
		switch {
		case ev.Kind == run.StepReopened:
			delete(f.Left, ev.Step)
		case ev.Kind == run.StepOverridden:
			set(&f.Left, ev.Step, "overridden")
		case ev.Kind == run.StepSkipped && b.Class != run.NotApplicable:
			set(&f.Left, ev.Step, "skipped")
		}
	case run.Began:
		if w, ok := f.Work[ev.Step]; ok && ev.Kind == run.StepBegan {
			if b.Plan != nil && b.Plan.Args["asset"] != "" {
				w.Asset = b.Plan.Args["asset"]
			}
			w.Parts = 0
			f.Work[ev.Step] = w
		}
	case run.Finished:
		f.finished(ev, b)
	case run.Failure:
		if ev.Kind == run.StepDoubted {
			f.Doubts++
		}
		f.came(ev, false, b.Checks)
	}
}

func (f *Facts) finished(ev run.Event, b run.Finished) {
	f.came(ev, true, b.Checks)
	if n := number(b.Outputs["loss"]); n > f.Loss {
		f.Loss = n
	}
	if f.Work[ev.Step].Action == tellsPeople {
		f.Told += number(b.Outputs["told"])
		f.Untold += number(b.Outputs["dead"])
	}
}

// came records what a step came to: for each asset that its checks name, or at once. A
// failure after the effect, such as that of a check of the runbook, takes back what seemed
// to be good.
func (f *Facts) came(ev run.Event, ok bool, checks []run.Check) {
	w, known := f.Work[ev.Step]
	list := &f.Proofs
	switch {
	case !known || w.Action == tellsPeople:
		return
	case makesBackup(w.Action):
		list = &f.Backups
	}
	if made := (*list)[len(*list)-w.Parts:]; !ok && len(made) > 0 {
		if !slices.ContainsFunc(made, func(p Part) bool { return !p.OK }) {
			for i := range made {
				made[i].OK = false
			}
		}
		return
	}
	before := len(*list)
	for _, c := range checks {
		if c.About != "" {
			*list = append(*list, Part{c.About, c.OK, stored(ev.At)})
		}
	}
	if len(*list) == before && (!ok || w.Asset != "") {
		*list = append(*list, Part{w.Asset, ok, stored(ev.At)})
	}
	w.Parts = len(*list) - before
	f.Work[ev.Step] = w
}

// set makes the map when there is none.
func set[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// stored is a time as it comes back from the journal.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// number reads an output: one that was decoded is a float.
func number(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

// known are the facts of a run before an event. Where an older Lifeboat has added to the
// run since they were written, they are made of its events anew.
func (c *cache) known(ctx context.Context, conn *sql.Conn, ev run.Event) (Facts, error) {
	var f Facts
	switch {
	case ev.Seq == 1:
		return f, nil
	case c.upto == ev.Seq-1:
		if err := json.Unmarshal([]byte(c.facts), &f); err != nil {
			return f, fmt.Errorf("%w: the facts of run %q: %w", ErrCorrupt, ev.Run, err)
		}
		return f, nil
	}
	events, err := since(ctx, conn, ev.Run, 0)
	if err != nil {
		return f, err
	}
	for _, e := range events {
		if e.Seq < ev.Seq {
			f.add(e)
		}
	}
	return f, nil
}

// fillInFacts makes the facts of a run of its events. Where these cannot be read nothing
// is written, and Verify says what is wrong.
func fillInFacts(ctx context.Context, conn *sql.Conn, id string) error {
	events, err := since(ctx, conn, run.ID(id), 0)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewer) || len(events) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var f Facts
	for _, ev := range events {
		f.add(ev)
	}
	text, err := asText(f)
	if err != nil {
		return err
	}
	return exec(ctx, conn, "UPDATE runs SET facts = ?, upto = ? WHERE run = ?", text, events[len(events)-1].Seq, id)
}

// Page lists up to limit runs, the newest first, that began before the one with the place
// before in the journal; 0 begins with the newest. Unlike [Journal.Runs] it has no regard
// for what is open, so that a list can be read piece by piece.
func (j *Journal) Page(ctx context.Context, before int64, limit int) ([]Summary, error) {
	where := ""
	if before > 0 {
		where = "WHERE first < ?2 "
	}
	out, err := summaries(ctx, j.read, "SELECT "+columns(j.version)+" FROM runs "+where+"ORDER BY first DESC LIMIT ?1", limit, before)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", explain(err))
	}
	return out, nil
}

// Size counts the runs and events of the journal.
func (j *Journal) Size(ctx context.Context) (runs, events int64, err error) {
	if err = j.read.QueryRowContext(ctx, "SELECT count(*) FROM runs").Scan(&runs); err == nil {
		err = j.read.QueryRowContext(ctx, "SELECT n FROM head").Scan(&events)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count runs: %w", explain(err))
	}
	return runs, events, nil
}

// Proof is the link of the newest event of a run: the SHA-256 over the run so far,
// hexadecimal.
func (j *Journal) Proof(ctx context.Context, id run.ID) (string, error) {
	var link []byte
	err := j.read.QueryRowContext(ctx, "SELECT link FROM events WHERE run = ? ORDER BY seq DESC LIMIT 1", string(id)).Scan(&link)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read the proof of run %s: %w", id.Short(), explain(err))
	}
	return fmt.Sprintf("%x", link), nil
}
