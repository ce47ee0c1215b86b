// Package journal keeps the events of every run: durably, in order, and so that a change
// afterwards is found.
//
// It is one SQLite file in WAL mode with synchronous=FULL: when Append returns nil, the
// event survives a power cut. The stored bytes are those of [run.Encode]; they are hashed
// as they are and never encoded again. Two chains go over them:
//
//	run A   #1 ── #2 ────────── #3          link: each event of a run hashes the one before
//	run B          #1 ── #2
//	all     1 ──── 2 ─── 3 ──── 4 ── 5      chain: each append hashes the append before
//	        └──────────────────────── head  count and last chain value, in the database
//	                           └───── journal.head, a witness beside it
//
// The link finds an edit, an insertion and a changed order within a run. The chain and its
// head find a run that was removed, renamed or swapped, and a tail that was cut off. The
// witness finds an old copy of the database put in place of the newer one. Whoever may
// write the directory can rewrite all three; only a copy elsewhere helps against that.
package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

var (
	// ErrConflict is an append that does not follow the last event of its run. Nothing was
	// stored.
	ErrConflict = errors.New("the event does not follow the last one of its run")
	// ErrNotFound is a run that the journal does not have.
	ErrNotFound = errors.New("no such run")
	// ErrNewer is a journal that a newer Lifeboat has written to. It can be read as far as
	// it is understood, with [OpenReadOnly], and never be appended to.
	ErrNewer = errors.New("the journal was written by a newer Lifeboat")
	// ErrRolledBack is a journal that has less than its witness has seen.
	ErrRolledBack = errors.New("the journal was rolled back")
	// ErrCorrupt is a journal whose stored bytes do not prove themselves.
	ErrCorrupt = errors.New("the journal is damaged or was changed")
	// ErrBusy is a journal that another process kept locked for too long.
	ErrBusy = errors.New("another process holds the journal")
	// ErrReadOnly is an append to a journal that was opened for reading.
	ErrReadOnly = errors.New("the journal is open for reading only")
)

// Journal is an open journal. All methods may be used at the same time, also by several
// processes on one file.
type Journal struct {
	path    string
	read    *sql.DB
	version int // of its schema
	options options

	mu      sync.Mutex // guards what follows
	write   *sql.Conn  // the only connection that writes, nil when read-only
	writeDB *sql.DB
	broken  error // the first unclear append; nothing is appended after it
	witness error // why the witness could not be written
	head    head  // after the newest append of this handle
}

type options struct {
	busy time.Duration // how long to wait for another process
	poll time.Duration // between two looks of Follow
	at   func(string)  // for tests: called at every point of an append where a crash makes a difference, and in Verify
}

func defaults() options {
	return options{busy: 5 * time.Second, poll: 50 * time.Millisecond, at: func(string) {}}
}

// Open opens the journal of an installation, and makes it when there is none. Its
// directory must exist, and both must belong to the user and be closed to others.
//
// The error wraps [ErrNewer] or [ErrRolledBack] when the journal must not be appended to.
func Open(ctx context.Context, path string) (*Journal, error) {
	return open(ctx, path, defaults())
}

func open(ctx context.Context, path string, o options) (_ *Journal, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open journal %q: %w", path, err)
		}
	}()
	if err := private(path); err != nil {
		return nil, err
	}
	seen, err := readWitness(path)
	if err != nil {
		return nil, err
	}
	if err := ensureFile(path, seen); err != nil {
		return nil, err
	}
	j := &Journal{path: path, version: schemaVersion, options: o}
	j.writeDB, err = connect(path, o, false)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.closeConnections())
		}
	}()
	if j.write, err = j.writeDB.Conn(ctx); err != nil {
		return nil, explain(err)
	}
	if err := j.prepare(ctx); err != nil {
		return nil, err
	}
	if j.read, err = connect(path, o, true); err != nil {
		return nil, err
	}
	if j.head, err = readHead(ctx, j.write); err != nil {
		return nil, err
	}
	if err := seen.check(ctx, j.write, j.head); err != nil {
		return nil, err
	}
	if seen == nil && j.head.count == 0 {
		if err := writeWitness(path, j.head); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// OpenReadOnly opens an existing journal without the means to change it. It also opens one
// that [Open] refuses; what is not understood is an error where it is read.
func OpenReadOnly(ctx context.Context, path string) (*Journal, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("open journal %q: %w", path, err)
	}
	if _, err := os.Lstat(path); err != nil {
		return nil, fmt.Errorf("open journal %q: %w", path, unwrapPath(err))
	}
	j := &Journal{path: path, options: defaults()}
	if j.read, err = connect(path, j.options, true); err == nil {
		err = checkSchema(ctx, j.read, false)
	}
	if err == nil {
		j.version, _, err = version(ctx, j.read)
	}
	if err == nil {
		_, err = readHead(ctx, j.read)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %q: %w", path, err), j.closeConnections())
	}
	return j, nil
}

// Close writes the witness and closes the journal. The error tells when the witness could
// not be written, now or earlier; every event is stored all the same.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.write != nil && j.broken == nil && j.head.count > 0 {
		j.witness = writeWitness(j.path, j.head)
	}
	return errors.Join(j.witness, j.closeConnections())
}

func (j *Journal) closeConnections() error {
	var errs []error
	if j.write != nil {
		errs = append(errs, j.write.Close())
		j.write = nil
	}
	for _, db := range []*sql.DB{j.writeDB, j.read} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Append makes an event durable if it follows the last event of its run; else the error
// wraps [ErrConflict] and nothing is stored. After any other error it is not known whether
// the event is stored, and this handle appends nothing any more: open the journal again
// and load the run. A context that is over stops nothing that has begun.
func (j *Journal) Append(ctx context.Context, ev run.Event) error {
	wrap := func(err error) error {
		return fmt.Errorf("append event %d %s of run %s: %w", ev.Seq, ev.Kind, ev.Run.Short(), err)
	}
	data, err := run.Encode(ev)
	if err == nil {
		_, err = run.Decode(data) // what cannot be read again would close the run for ever
	}
	if err != nil {
		return wrap(err)
	}
	if err := ctx.Err(); err != nil {
		return wrap(err)
	}
	ctx = context.WithoutCancel(ctx) // a commit that is interrupted leaves nothing but doubt
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.broken != nil:
		return wrap(fmt.Errorf("stopped after an earlier error: %w", j.broken))
	case j.write == nil:
		return wrap(ErrReadOnly)
	}
	if err := exec(ctx, j.write, "BEGIN IMMEDIATE"); err != nil {
		return wrap(explain(err)) // nothing was begun, so nothing is broken
	}
	j.options.at("begun")
	next, err := j.insertLocked(ctx, ev, data)
	if err == nil {
		j.options.at("before commit")
		err = exec(ctx, j.write, "COMMIT")
		j.options.at("after commit")
	}
	if err != nil {
		_ = exec(ctx, j.write, "ROLLBACK") // SQLite may have rolled back itself
		if !errors.Is(err, ErrConflict) && !errors.Is(err, errRefused) {
			j.broken = err
		}
		return wrap(explain(err))
	}
	j.head = next
	if milestone(ev) {
		j.witness = writeWitness(j.path, next) // the event is stored whatever happens here; Close tells
		j.options.at("after witness")
	}
	return nil
}

// AppendAll appends a history in one transaction, all of it or nothing: what Append makes
// durable event by event would take minutes for thousands of runs.
func (j *Journal) AppendAll(ctx context.Context, events []run.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.broken != nil:
		return fmt.Errorf("append events: stopped after an earlier error: %w", j.broken)
	case j.write == nil:
		return fmt.Errorf("append events: %w", ErrReadOnly)
	}
	if err := exec(ctx, j.write, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("append events: %w", explain(err))
	}
	head := j.head
	err := func() error {
		for _, ev := range events {
			data, err := run.Encode(ev)
			if err != nil {
				return err
			}
			if j.head, err = j.insertLocked(ctx, ev, data); err != nil {
				return fmt.Errorf("event %d of run %s: %w", ev.Seq, ev.Run.Short(), explain(err))
			}
		}
		return exec(ctx, j.write, "COMMIT")
	}()
	if err != nil {
		j.head, j.broken = head, err // of a run that was read meanwhile more may be known than is stored
		_ = exec(context.WithoutCancel(ctx), j.write, "ROLLBACK")
		return fmt.Errorf("append events: %w", err)
	}
	j.witness = writeWitness(j.path, j.head)
	return nil
}

// errRefused marks events that this package does not store, found before any change.
var errRefused = errors.New("refused")

// milestone says which events the witness must have seen: the ends of a run, and what must
// not be forgotten and done again after an old copy came back.
func milestone(ev run.Event) bool {
	if began, ok := ev.Body.(run.Began); ok {
		return began.Plan != nil && began.Plan.Effect == "destroy"
	}
	return ev.Kind == run.RunStarted || ev.Kind == run.RunEnded
}

// insertLocked writes an event and everything that follows from it, inside a transaction.
func (j *Journal) insertLocked(ctx context.Context, ev run.Event, data []byte) (head, error) {
	h, err := readHead(ctx, j.write)
	if err != nil {
		return h, err
	}
	if h.count != j.head.count { // another process has appended, and may be newer than we are
		if err := checkForms(ctx, j.write); err != nil {
			return h, errors.Join(errRefused, err)
		}
	}
	var last int64
	var link []byte
	err = j.write.QueryRowContext(ctx, "SELECT seq, link FROM events WHERE run = ? ORDER BY seq DESC LIMIT 1", string(ev.Run)).Scan(&last, &link)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return h, err
	}
	if ev.Seq != last+1 {
		return h, fmt.Errorf("%w: the last one is %d", ErrConflict, last)
	}
	if (ev.Seq == 1) != (ev.Kind == run.RunStarted) || ev.Run == "" {
		return h, fmt.Errorf("%w: a run has a name and begins with %s, once", errRefused, run.RunStarted)
	}
	next := h
	next.count++
	newLink := linkOf(ev.Run, ev.Seq, link, data)
	next.chain = chainOf(next.count, ev.Run, ev.Seq, h.chain, newLink)
	if err := exec(ctx, j.write, "INSERT INTO events (n, run, seq, bytes, link, chain) VALUES (?, ?, ?, ?, ?, ?)",
		next.count, string(ev.Run), ev.Seq, data, newLink, next.chain); err != nil {
		return h, err
	}
	j.options.at("event inserted")
	if err := exec(ctx, j.write, "UPDATE head SET n = ?, chain = ?", next.count, next.chain); err != nil {
		return h, err
	}
	if err := exec(ctx, j.write, "INSERT OR IGNORE INTO forms (kind) VALUES (?)", string(ev.Kind)); err != nil {
		return h, err
	}
	return next, summarise(ctx, j.write, ev, next.count)
}

// Load gives all events of a run in order, none when there is no such run. The chain of the
// run is checked on the way: what does not prove itself is not acted upon.
func (j *Journal) Load(ctx context.Context, id run.ID) ([]run.Event, error) {
	return j.Since(ctx, id, 0)
}

// Since gives the events of a run behind a sequence number.
func (j *Journal) Since(ctx context.Context, id run.ID, after int64) ([]run.Event, error) {
	events, err := since(ctx, j.read, id, after)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id.Short(), explain(err))
	}
	return events, nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func since(ctx context.Context, db querier, id run.ID, after int64) ([]run.Event, error) {
	rows, err := db.QueryContext(ctx, "SELECT seq, bytes, link FROM events WHERE run = ? AND seq >= ? ORDER BY seq", string(id), after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []run.Event
	var before []byte
	want := max(after, 1)
	for ; rows.Next(); want++ {
		var seq int64
		var data, link sql.RawBytes
		if err := rows.Scan(&seq, &data, &link); err != nil {
			return nil, err
		}
		if seq != want {
			return nil, fmt.Errorf("%w: event %d is missing", ErrCorrupt, want)
		}
		if seq > after {
			ev, err := proven(id, seq, before, data, link)
			if err != nil {
				return nil, err
			}
			events = append(events, ev)
		}
		before = append(before[:0], link...)
	}
	return events, rows.Err()
}

// proven decodes stored bytes after it has checked that they are what was appended.
func proven(id run.ID, seq int64, before, data, link []byte) (run.Event, error) {
	if string(linkOf(id, seq, before, data)) != string(link) {
		return run.Event{}, fmt.Errorf("%w: event %d does not match its hash", ErrCorrupt, seq)
	}
	ev, err := run.Decode(data)
	if err != nil {
		return ev, hint.Wrap(fmt.Errorf("event %d: %w: %w", seq, ErrNewer, err), "Use the newest Lifeboat that has driven this run.")
	}
	if ev.Run != id || ev.Seq != seq {
		return ev, fmt.Errorf("%w: event %d says that it is %d of run %q", ErrCorrupt, seq, ev.Seq, ev.Run)
	}
	return ev, nil
}

// Follow calls fn with every event of a run behind a sequence number, those that exist and
// those to come, until fn returns an error or ctx ends; that error is returned. It looks 20
// times a second whether any process has changed the database.
func (j *Journal) Follow(ctx context.Context, id run.ID, after int64, fn func(run.Event) error) error {
	conn, err := j.read.Conn(ctx)
	if err != nil {
		return fmt.Errorf("follow run %s: %w", id.Short(), explain(err))
	}
	defer conn.Close()
	tick := time.NewTicker(j.options.poll)
	defer tick.Stop()
	seen := int64(-1)
	for {
		var version int64
		if err := conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
			return fmt.Errorf("follow run %s: %w", id.Short(), explain(err))
		}
		if version != seen {
			events, err := since(ctx, conn, id, after)
			if err != nil {
				return fmt.Errorf("follow run %s: %w", id.Short(), explain(err))
			}
			for _, ev := range events {
				if err := fn(ev); err != nil {
					return err
				}
				after = ev.Seq
			}
			seen = version
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
