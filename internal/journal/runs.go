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
}

// Open says whether the run has not ended.
func (s Summary) Open() bool { return s.Outcome == "" }

// summarise brings the cache of a run up to date with an event, in its transaction.
func summarise(ctx context.Context, conn *sql.Conn, ev run.Event, n int64) error {
	at := ev.At.UnixMicro()
	outcome := ""
	switch b := ev.Body.(type) {
	case run.Started:
		steps := len(b.Steps)
		b.Steps = nil
		started, err := json.Marshal(b)
		if err != nil {
			return err
		}
		return exec(ctx, conn, "INSERT INTO runs (run, short, first, started, steps, begun, last, seq, kind, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
			string(ev.Run), strings.ToUpper(ev.Run.Short()), n, string(started), steps, at, at, ev.Seq, string(ev.Kind))
	case run.Ended:
		outcome = string(b.Outcome)
	}
	return exec(ctx, conn, "UPDATE runs SET last = ?, seq = ?, kind = ?, outcome = CASE WHEN ? = '' THEN outcome ELSE ? END WHERE run = ?",
		at, ev.Seq, string(ev.Kind), outcome, outcome, string(ev.Run))
}

const summaryColumns = "run, started, steps, begun, last, seq, kind, outcome"

func scanSummary(rows *sql.Rows) (Summary, error) {
	var s Summary
	var started sql.RawBytes
	var first, last int64
	if err := rows.Scan(&s.ID, &started, &s.Steps, &first, &last, &s.Seq, &s.Kind, &s.Outcome); err != nil {
		return s, err
	}
	s.First, s.Last = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
	if err := json.Unmarshal(started, &s.Started); err != nil {
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
	out, err := summaries(ctx, j.read, "SELECT "+summaryColumns+" FROM runs ORDER BY outcome = '' DESC, first DESC LIMIT ?", limit)
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
	found, err := summaries(ctx, j.read, "SELECT "+summaryColumns+` FROM runs WHERE run IN (?1, ?2) OR short = ?2
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

// expected is the cache row that events call for.
type expected struct {
	short, started, kind, outcome    string
	first, begun, last, seq, stepped int64
}

func (e *expected) add(ev run.Event, n int64) error {
	at := ev.At.UnixMicro()
	switch b := ev.Body.(type) {
	case run.Started:
		e.short, e.first, e.begun, e.stepped = strings.ToUpper(ev.Run.Short()), n, at, int64(len(b.Steps))
		b.Steps = nil
		started, err := json.Marshal(b)
		if err != nil {
			return err
		}
		e.started = string(started)
	case run.Ended:
		e.outcome = string(b.Outcome)
	}
	e.last, e.seq, e.kind = at, ev.Seq, string(ev.Kind)
	return nil
}

// cached reads the cache row of a run.
func cached(ctx context.Context, db querier, id run.ID) (expected, error) {
	var e expected
	err := db.QueryRowContext(ctx, "SELECT short, started, kind, outcome, first, begun, last, seq, steps FROM runs WHERE run = ?", string(id)).
		Scan(&e.short, &e.started, &e.kind, &e.outcome, &e.first, &e.begun, &e.last, &e.seq, &e.stepped)
	if errors.Is(err, sql.ErrNoRows) {
		return e, nil
	}
	return e, err
}
