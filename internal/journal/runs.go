package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// Summary is what a list of runs shows of one.
type Summary struct {
	ID      run.ID
	Started run.Started // without its Steps; Load has them
	Steps   int         // how many steps it has
	First   time.Time   // of its first event
	Last    time.Time   // of its newest event
	Seq     int64       // of its newest event
	Kind    run.Kind    // of its newest event
	Outcome run.Outcome // empty while it is open
	Ended   time.Time   // zero while it is open; notes and a score may follow

	Scenario string     // that it is the drill of, empty for none
	Trainee  string     // of the drill
	Score    *run.Score // of the drill, without its criteria and lists; nil: not scored. Load has them

	Place int64 // of its first event in the journal: later runs have greater ones
	Facts Facts // empty in a journal of an older Lifeboat that was opened for reading only
}

// Open says whether the run has not ended.
func (s Summary) Open() bool { return s.Outcome == "" }

// cache is what the list of runs keeps of a run: a row of table runs.
type cache struct {
	short, started, kind, outcome, scenario, trainee, score, facts string
	first, begun, last, seq, steps, ended                          int64
	upto                                                           int64 // seq that facts has come to
}

// add brings the cache of a run up to date with an event, the nth append. The facts are
// kept beside it, since to write them down for every event of a journal takes long.
func (c *cache) add(f *Facts, ev run.Event, n int64) error {
	f.add(ev)
	at := ev.At.UnixMicro()
	var err error
	switch b := ev.Body.(type) {
	case run.Started:
		c.short, c.first, c.begun, c.steps = strings.ToUpper(ev.Run.Short()), n, at, int64(len(b.Steps))
		b.Steps = nil
		c.started, err = asText(b)
	case run.Ended:
		c.outcome, c.ended = string(b.Outcome), at
	case run.DrillSetup:
		c.scenario, c.trainee = b.Scenario, b.Trainee
	case run.Score:
		b.Criteria, b.Why, b.Checks, b.Lost, b.Kept, b.Fixes, b.Times = nil, nil, nil, nil, nil, nil, nil
		c.score, err = asText(b)
	}
	c.last, c.seq, c.kind, c.upto = at, ev.Seq, string(ev.Kind), ev.Seq
	return err
}

func asText(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

// summarise keeps the cache of a run, in the transaction of its event.
func summarise(ctx context.Context, conn *sql.Conn, ev run.Event, n int64) error {
	var c cache
	if ev.Seq > 1 {
		var err error
		if c, err = cached(ctx, conn, schemaVersion, ev.Run); err != nil {
			return err
		}
	}
	f, err := c.known(ctx, conn, ev)
	if err == nil {
		err = c.add(&f, ev, n)
	}
	if err == nil {
		c.facts, err = asText(f)
	}
	if err != nil {
		return err
	}
	if ev.Seq == 1 {
		return exec(ctx, conn, `INSERT INTO runs (run, short, first, started, steps, begun, last, seq, kind, outcome, facts, upto)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?)`,
			string(ev.Run), c.short, c.first, c.started, c.steps, c.begun, c.last, c.seq, c.kind, c.facts, c.upto)
	}
	return exec(ctx, conn, "UPDATE runs SET last = ?, seq = ?, kind = ?, outcome = ?, ended = ?, scenario = ?, trainee = ?, score = ?, facts = ?, upto = ? WHERE run = ?",
		c.last, c.seq, c.kind, c.outcome, c.ended, c.scenario, c.trainee, c.score, c.facts, c.upto, string(ev.Run))
}

// cached reads the cache row of a run; it is empty when there is none.
func cached(ctx context.Context, db querier, version int, id run.ID) (cache, error) {
	var c cache
	var name string
	err := c.scan(db.QueryRowContext(ctx, "SELECT "+columns(version)+" FROM runs WHERE run = ?", string(id)).Scan, &name)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	return c, err
}

// columns of a row of table runs, in the order of scan. A journal of an older
// schema that may only be read has fewer.
func columns(version int) string {
	switch version {
	case 1:
		return "run, short, first, started, steps, begun, last, seq, kind, outcome, 0, '', '', '', '{}', 0"
	case 2:
		return "run, short, first, started, steps, begun, last, seq, kind, outcome, ended, scenario, trainee, score, '{}', 0"
	}
	return "run, short, first, started, steps, begun, last, seq, kind, outcome, ended, scenario, trainee, score, facts, upto"
}

func (c *cache) scan(scan func(...any) error, id *string) error {
	return scan(id, &c.short, &c.first, &c.started, &c.steps, &c.begun, &c.last, &c.seq, &c.kind, &c.outcome, &c.ended, &c.scenario, &c.trainee, &c.score, &c.facts, &c.upto)
}

func scanSummary(rows *sql.Rows) (Summary, error) {
	var c cache
	var id string
	if err := c.scan(rows.Scan, &id); err != nil {
		return Summary{}, err
	}
	s := Summary{
		ID: run.ID(id), Steps: int(c.steps), First: time.UnixMicro(c.begun).UTC(), Last: time.UnixMicro(c.last).UTC(),
		Seq: c.seq, Kind: run.Kind(c.kind), Outcome: run.Outcome(c.outcome), Scenario: c.scenario, Trainee: c.trainee,
		Place: c.first,
	}
	if c.ended != 0 {
		s.Ended = time.UnixMicro(c.ended).UTC()
	}
	err := json.Unmarshal([]byte(c.started), &s.Started)
	if err == nil && c.score != "" {
		s.Score = new(run.Score)
		err = json.Unmarshal([]byte(c.score), s.Score)
	}
	if err == nil {
		err = json.Unmarshal([]byte(c.facts), &s.Facts)
	}
	if err != nil {
		return s, fmt.Errorf("%w: the summary of run %q: %w", ErrCorrupt, s.ID, err)
	}
	return s, nil
}

func summaries(ctx context.Context, db querier, query string, args ...any) ([]Summary, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Summary
	for rows.Next() {
		s, err := scanSummary(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Runs lists runs: open ones first, then the newest first. A limit of 0 means all.
func (j *Journal) Runs(ctx context.Context, limit int) ([]Summary, error) {
	if limit <= 0 {
		limit = -1
	}
	out, err := summaries(ctx, j.read, "SELECT "+columns(j.version)+" FROM runs ORDER BY outcome = '' DESC, first DESC LIMIT ?", limit)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", explain(err))
	}
	return out, nil
}

// Find gives the run that a person named, by its id or by the short form "7F3A", in any
// letter case. Of several with one short form the only open one is meant. The error wraps
// [ErrNotFound] when there is none, and lists them when there are several.
func (j *Journal) Find(ctx context.Context, name string) (run.ID, error) {
	const show = 10
	found, err := summaries(ctx, j.read, "SELECT "+columns(j.version)+` FROM runs WHERE run IN (?1, ?2) OR short = ?2
		ORDER BY run IN (?1, ?2) DESC, outcome = '' DESC, first DESC LIMIT ?3`, name, strings.ToUpper(name), show)
	switch {
	case err != nil:
		return "", fmt.Errorf("find run %q: %w", name, explain(err))
	case len(found) == 0:
		return "", hint.Wrap(fmt.Errorf("%w: %q", ErrNotFound, name), "lifeboat runs lists what there is.")
	case len(found) == 1, strings.EqualFold(string(found[0].ID), name), found[0].Open() && !found[1].Open():
		return found[0].ID, nil
	}
	var list []string
	for _, s := range found {
		state := string(s.Outcome)
		if s.Open() {
			state = "open"
		}
		list = append(list, fmt.Sprintf("%s (%s, %s)", s.ID, s.Started.Book, state))
	}
	return "", hint.Wrap(fmt.Errorf("run %q could be %s", name, strings.Join(list, ", ")), "Use the whole id.")
}
