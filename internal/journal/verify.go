package journal

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// Report counts what [Journal.Verify] has checked.
type Report struct {
	Events   int64  // whose stored bytes match both chains, decode, and are where they belong
	Runs     int64  // whose events fold, and whose summary agrees
	Bytes    int64  // of stored events
	Head     string // chain value at the end, hexadecimal: write it down elsewhere
	Witness  int64  // appends that the witness has seen
	Problems []Problem
}

// Problem is one thing that is wrong.
type Problem struct {
	N   int64  // the append, 0 when it is about something else
	Run run.ID // empty when it is about the whole journal
	Seq int64
	Why string
}

func (p Problem) String() string {
	switch {
	case p.Seq > 0:
		return fmt.Sprintf("event %d of run %q (append %d): %s", p.Seq, p.Run, p.N, p.Why)
	case p.Run != "":
		return fmt.Sprintf("run %q: %s", p.Run, p.Why)
	}
	return p.Why
}

// problemLimit bounds a report; behind a cut chain everything is wrong.
const problemLimit = 50

func (r *Report) add(p Problem) {
	if len(r.Problems) < problemLimit {
		r.Problems = append(r.Problems, p)
	}
}

// Verify checks everything: the stored bytes of every event against both chains, the
// witness, that each event decodes and each run folds, and the summaries against the
// events. It reads the file through a connection of its own.
//
// It fails closed: the error is nil only when every check was made and passed. An empty
// journal, an unreadable file and a panic are errors. The first problem is in the error,
// which then wraps [ErrCorrupt] or [ErrRolledBack]; the report has up to 50.
func (j *Journal) Verify(ctx context.Context) (report Report, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("verify journal: %w: the check itself broke down: %v", ErrCorrupt, p)
		}
	}()
	// The witness first: the journal may grow while we look, the witness must not.
	seen, err := readWitness(j.path)
	if err != nil {
		return report, fmt.Errorf("verify journal: %w", err)
	}
	db, err := connect(j.path, j.options, true)
	if err != nil {
		return report, fmt.Errorf("verify journal: %w", explain(err))
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return report, fmt.Errorf("verify journal: %w", explain(err))
	}
	defer tx.Rollback()
	j.options.at("verify")
	if err := verify(ctx, tx, seen, &report); err != nil {
		return report, fmt.Errorf("verify journal: %w", explain(err))
	}
	if len(report.Problems) > 0 {
		return report, hint.Wrap(fmt.Errorf("verify journal: %w: %s", ErrCorrupt, report.Problems[0]),
			"Keep journal.db, its -wal file and journal.head as evidence before anything else writes to them.")
	}
	if report.Events == 0 {
		return report, errors.New("verify journal: it is empty, so nothing was verified")
	}
	return report, nil
}

func verify(ctx context.Context, tx *sql.Tx, seen *witness, r *Report) error {
	if err := checkSchema(ctx, tx, false); err != nil {
		return err
	}
	var quick string
	if err := tx.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&quick); err != nil {
		return err
	}
	if quick != "ok" {
		r.add(Problem{Why: "the database file: " + quick})
	}
	h, err := readHead(ctx, tx)
	if err != nil {
		return err
	}
	if err := verifyChain(ctx, tx, h, r); err != nil {
		return err
	}
	kinds := map[run.Kind]bool{}
	if err := verifyRuns(ctx, tx, kinds, r); err != nil {
		return err
	}
	if err := verifyForms(ctx, tx, kinds, r); err != nil {
		return err
	}
	if seen == nil {
		r.add(Problem{Why: "the witness journal.head is missing"})
		return nil
	}
	r.Witness = seen.Count
	return seen.check(ctx, tx, h)
}

// verifyChain walks over all appends in order.
func verifyChain(ctx context.Context, tx *sql.Tx, h head, r *Report) error {
	rows, err := tx.QueryContext(ctx, "SELECT n, run, seq, bytes, link, chain FROM events ORDER BY n")
	if err != nil {
		return err
	}
	defer rows.Close()
	type end struct {
		seq  int64
		link []byte
	}
	ends := map[run.ID]end{}
	chain := make([]byte, sha256.Size)
	var n int64
	for rows.Next() {
		var p Problem
		var data, link, stored sql.RawBytes
		if err := rows.Scan(&p.N, &p.Run, &p.Seq, &data, &link, &stored); err != nil {
			return err
		}
		found := len(r.Problems)
		bad := func(why string, args ...any) { p.Why = fmt.Sprintf(why, args...); r.add(p) }
		if n++; p.N != n {
			bad("append %d is missing", n)
			n = p.N
		}
		before := ends[p.Run]
		if p.Seq != before.seq+1 {
			bad("event %d is missing before it", before.seq+1)
		}
		if string(linkOf(p.Run, p.Seq, before.link, data)) != string(link) {
			bad("its bytes do not match its hash")
		}
		chain = chainOf(p.N, p.Run, p.Seq, chain, link)
		if string(chain) != string(stored) {
			bad("it is not what was appended at this place")
			chain = append(chain[:0], stored...) // so that what follows is judged by itself
		}
		ends[p.Run] = end{p.Seq, append([]byte(nil), link...)}
		r.Bytes += int64(len(data))
		if len(r.Problems) == found {
			r.Events++
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n != h.count || string(chain) != string(h.chain) {
		r.add(Problem{Why: fmt.Sprintf("the end is at append %d, the head says %d: something was cut off or put in", n, h.count)})
	}
	r.Head = hex.EncodeToString(chain)
	return nil
}

// proving is a run whose events are being gone through.
type proving struct {
	id     run.ID
	state  run.Run
	want   cache // what the list of runs should have of it
	facts  Facts
	broken bool // an event cannot be read, or does not follow
	found  int  // problems before it
}

// take checks the next event of the run.
func (v *proving) take(p Problem, data []byte, kinds map[run.Kind]bool) error {
	ev, err := run.Decode(data)
	if err == nil && (ev.Run != p.Run || ev.Seq != p.Seq) {
		err = fmt.Errorf("it says that it is event %d of run %q", ev.Seq, ev.Run)
	}
	if err != nil {
		return err
	}
	kinds[ev.Kind] = true
	if v.broken { // all that follows would be wrong for the same reason
		return nil
	}
	if v.state, err = run.Fold(v.state, ev); err != nil {
		return err
	}
	return v.want.add(&v.facts, ev, p.N)
}

// close compares the run with its summary.
func (v *proving) close(ctx context.Context, tx *sql.Tx, schema int, r *Report) error {
	got, err := cached(ctx, tx, schema, v.id)
	if err != nil {
		return err
	}
	if v.want.facts, err = asText(v.facts); err != nil {
		return err
	}
	if schema < 3 { // it does not keep them
		v.want.facts, v.want.upto = got.facts, got.upto
	}
	if schema < 2 {
		v.want.ended, v.want.scenario, v.want.trainee, v.want.score = 0, "", "", ""
	}
	if got != v.want && !v.broken {
		r.add(Problem{Run: v.id, Why: "its summary in the list of runs differs from its events"})
	}
	if len(r.Problems) == v.found {
		r.Runs++
	}
	return nil
}

// verifyRuns decodes and folds each run and compares it with its summary.
func verifyRuns(ctx context.Context, tx *sql.Tx, kinds map[run.Kind]bool, r *Report) error {
	schema, _, err := version(ctx, tx)
	if err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, "SELECT n, run, seq, bytes FROM events ORDER BY run, seq")
	if err != nil {
		return err
	}
	defer rows.Close()
	var now *proving
	var counted, listed int64
	for rows.Next() {
		var p Problem
		var data []byte
		if err := rows.Scan(&p.N, &p.Run, &p.Seq, &data); err != nil {
			return err
		}
		if now == nil || p.Run != now.id {
			if now != nil {
				if err := now.close(ctx, tx, schema, r); err != nil {
					return err
				}
			}
			now = &proving{id: p.Run, found: len(r.Problems)}
			counted++
		}
		if err := now.take(p, data, kinds); err != nil {
			p.Why, now.broken = err.Error(), true
			r.add(p)
		}
	}
	if err = rows.Err(); err == nil && now != nil {
		err = now.close(ctx, tx, schema, r)
	}
	if err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM runs").Scan(&listed); err != nil {
		return err
	}
	if listed != counted {
		r.add(Problem{Why: fmt.Sprintf("%d runs have events, %d are in the list of runs", counted, listed)})
	}
	return nil
}

// verifyForms checks that the list of kinds, which keeps an old version from appending, has
// every kind that occurs.
func verifyForms(ctx context.Context, tx *sql.Tx, seen map[run.Kind]bool, r *Report) error {
	rows, err := tx.QueryContext(ctx, "SELECT kind FROM forms")
	if err != nil {
		return err
	}
	defer rows.Close()
	listed := map[run.Kind]bool{}
	for rows.Next() {
		var kind run.Kind
		if err := rows.Scan(&kind); err != nil {
			return err
		}
		listed[kind] = true
	}
	if !maps.Equal(listed, seen) {
		r.add(Problem{Why: "the list of kinds differs from the events"})
	}
	return rows.Err()
}

// Dump writes everything as lines of JSON: first the head, then every event in the order of
// the appends, its stored bytes as they are. It needs no Lifeboat to be checked: the package
// comment says what is hashed.
func (j *Journal) Dump(ctx context.Context, w io.Writer) error {
	if err := j.dump(ctx, w); err != nil {
		return fmt.Errorf("export journal: %w", explain(err))
	}
	return nil
}

func (j *Journal) dump(ctx context.Context, w io.Writer) error {
	tx, err := j.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	h, err := readHead(ctx, tx)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if _, err := fmt.Fprintf(out, `{"lifeboat":"journal","v":%d,"id":%q,"events":%d,"chain":"%x"}`+"\n", schemaVersion, h.id, h.count, h.chain); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, "SELECT n, run, seq, bytes, link, chain FROM events ORDER BY n")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n, seq int64
		var id string
		var data, link, chain sql.RawBytes
		if err := rows.Scan(&n, &id, &seq, &data, &link, &chain); err != nil {
			return err
		}
		name, err := json.Marshal(id)
		if err != nil {
			return err
		}
		if !json.Valid(data) {
			return fmt.Errorf("%w: event %d of run %q is not JSON", ErrCorrupt, seq, id)
		}
		if _, err := fmt.Fprintf(out, `{"n":%d,"run":%s,"seq":%d,"link":"%x","chain":"%x","event":%s}`+"\n", n, name, seq, link, chain, data); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), out.Flush())
}
