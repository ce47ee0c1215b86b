package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// ErrLog is a log of SQL that cannot be applied as it is. Nothing of it was.
var ErrLog = errors.New("the log cannot be applied")

// maxGroup bounds the statements of one transaction of a log, in bytes.
const maxGroup = 256 << 20

// Log is a log of SQL, and which part of it is wanted.
//
// It is plain SQL. A comment line with a time, "-- 2026-11-22T14:30:05Z", stands before
// the statements that were committed then; what stands between BEGIN and COMMIT belongs
// together and has the time of its last stamp. Its order is the order in which things
// happened.
type Log struct {
	Path         string
	After, Until time.Time    // what was committed after After, not after Until; zero sets no bound
	Skip         map[int]bool // lines of statements to leave out; that of a BEGIN leaves its transaction out
}

// LogFacts is what a log holds, and what was taken of it.
type LogFacts struct {
	SHA256      string
	Applied     int // statements
	Earlier     int // that the point holds already
	Later       int // after the wanted time
	Skipped     int // because they were asked to be left out
	Undone      int // of transactions that the log itself rolls back, or does not end
	Settings    int // of the connection, which are no data
	Undecided   []int
	First, Last time.Time // stamps of the log as a whole; zero: it has none
	Reached     time.Time // of the last one applied
	Next        time.Time // of the first one that is later than wanted
}

// group is what the log committed at once.
type group struct {
	line       int
	at         time.Time
	whole      bool
	open       bool // BEGIN was seen
	size       int
	statements []Statement
}

// replay walks a log. It belongs to one goroutine.
type replay struct {
	Log
	facts  LogFacts
	skip   map[int]bool // not met yet
	exec   func(Statement) error
	phase  int // 0 earlier, 1 wanted, 2 later
	before struct {
		line int
		at   time.Time
	}
	g group
}

// Read walks the log and hands what is wanted of it to exec, in order; with a nil exec it
// only looks. Every error that is about the log wraps [ErrLog] and says the line. exec is
// given nothing that [Log] refuses, yet the log is hostile: who executes it confines it.
func (l Log) Read(ctx context.Context, exec func(Statement) error) (LogFacts, error) {
	f, err := openPlain(l.Path)
	if err != nil {
		return LogFacts{}, hint.Wrap(hint.Blame(fmt.Errorf("read log: %w", err), "log"), "name a file of SQL statements")
	}
	defer f.Close()
	sum := sha256.New()
	r := &replay{Log: l, exec: exec, skip: map[int]bool{}}
	for line := range l.Skip {
		r.skip[line] = true
	}
	s := newSplitter(io.TeeReader(f, sum))
	for {
		if err := ctx.Err(); err != nil {
			return LogFacts{}, err
		}
		st, err := s.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return LogFacts{}, fmt.Errorf("log %q: %w: %w", l.Path, ErrLog, err)
		}
		if err := r.take(st); err != nil {
			return LogFacts{}, fmt.Errorf("log %q, %w", l.Path, err)
		}
	}
	if r.g.open { // it was never committed
		r.facts.Undone += len(r.g.statements)
	}
	if len(r.skip) > 0 {
		lines := make([]string, 0, len(r.skip))
		for line := range r.skip {
			lines = append(lines, strconv.Itoa(line))
		}
		slices.Sort(lines)
		return LogFacts{}, hint.Wrap(hint.Blame(fmt.Errorf("log %q: %w: no statement begins at line %s", l.Path, ErrLog, strings.Join(lines, ", ")), "skip"),
			"skip: takes the line at which a statement begins, as the errors name it")
	}
	r.facts.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return r.facts, nil
}

func refuse(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w: %s", line, ErrLog, fmt.Sprintf(format, args...))
}

// take adds a statement to its transaction, and ends that where the statement does.
func (r *replay) take(s Statement) error {
	g := &r.g
	delete(r.skip, s.Line)
	word := ""
	if len(s.words) > 0 {
		word = s.words[0]
	}
	switch {
	case s.Torn: // whatever it begins with
	case word == "BEGIN":
		switch {
		case g.open && r.Skip[g.line]:
			r.facts.Skipped += len(g.statements)
		case g.open && r.Skip[s.Line]:
			return nil
		case g.open:
			return hint.Wrapf(refuse(s.Line, "BEGIN within the transaction that begins at line %d", g.line),
				"the first was never committed, as when the application crashed: leave it out, with skip: [%d]; or, if the two are one, only this BEGIN, with skip: [%d]; nothing of the log was applied", g.line, s.Line)
		}
		*g = group{line: s.Line, at: s.At, whole: s.Whole, open: true}
		return nil
	case word == "COMMIT" || word == "END":
		if !g.open {
			return r.stray(s, word)
		}
		if !s.At.IsZero() {
			g.at, g.whole = s.At, s.Whole
		}
		return r.commit()
	case word == "ROLLBACK" && !slices.Contains(s.words, "TO"):
		if !g.open {
			return r.stray(s, word)
		}
		r.facts.Undone += len(g.statements)
		*g = group{}
		return nil
	}
	if !g.open {
		*g = group{line: s.Line}
	}
	if !s.At.IsZero() {
		g.at, g.whole = s.At, s.Whole
	}
	g.statements = append(g.statements, s)
	if g.size += len(s.Text); g.size > maxGroup {
		return refuse(s.Line, "the transaction that begins at line %d has more than %d bytes", g.line, maxGroup)
	}
	if g.open && !s.Torn {
		return nil
	}
	if g.open { // torn in a transaction, which thereby was never committed
		r.facts.Undone += len(g.statements)
		*g = group{}
		return nil
	}
	return r.commit()
}

// stray is the end of a transaction that did not begin in the log.
func (r *replay) stray(s Statement, word string) error {
	if r.Skip[s.Line] {
		return nil
	}
	return hint.Wrapf(refuse(s.Line, "%s without BEGIN", word),
		"look whether the log begins in the middle of a transaction, whose first part is missing then; with skip: [%d] it is left out, and what stands before it counts; nothing of the log was applied", s.Line)
}

// commit decides about a whole transaction by its time, and executes it.
func (r *replay) commit() error {
	g := r.g
	r.g = group{}
	if g.at.IsZero() && (!r.After.IsZero() || !r.Until.IsZero()) && len(g.statements) > 0 {
		return hint.Wrap(refuse(g.line, "no time stands before it"), `put "-- 2026-11-22T14:30:05Z" on a line of its own before the first statement`)
	}
	if !g.at.IsZero() {
		if r.facts.First.IsZero() {
			r.facts.First = g.at
		}
		r.facts.Last = g.at
	}
	if err := r.order(g); err != nil {
		return err
	}
	n := len(g.statements)
	switch {
	case r.phase == 2:
		r.facts.Later += n
		return nil
	case r.undecided(g):
		for _, s := range g.statements {
			r.facts.Undecided = append(r.facts.Undecided, s.Line)
		}
		return nil
	case r.phase == 0:
		r.facts.Earlier += n
		return nil
	case r.Skip[g.line] && (n == 0 || g.line != g.statements[0].Line):
		r.facts.Skipped += n
		return nil
	}
	for _, s := range g.statements {
		if r.Skip[s.Line] {
			r.facts.Skipped++
			continue
		}
		if err := r.execute(s); err != nil {
			return err
		}
	}
	if !g.at.IsZero() {
		r.facts.Reached = g.at
	}
	return nil
}

// undecided says that a transaction is of the second in which the point was cut, without
// telling on which side of it.
func (r *replay) undecided(g group) bool {
	return !r.After.IsZero() && g.whole && g.at.Equal(r.After.Truncate(time.Second))
}

// order holds that times do not go back across a bound: what was before and after is not
// known then.
func (r *replay) order(g group) error {
	phase := 1
	switch {
	case g.at.IsZero():
	case !r.Until.IsZero() && g.at.After(r.Until):
		phase = 2
	case !r.After.IsZero() && !g.at.After(r.After):
		phase = 0
	}
	if phase < r.phase {
		return hint.Wrap(refuse(g.line, "it is dated %s, before line %d with %s: the clock went back between them, so nobody can tell which of them belong to the wanted time",
			stampWords(g.at), r.before.line, stampWords(r.before.at)),
			"correct the times of the log where you know them, or name a time before both; the order of the lines is what really happened")
	}
	if phase == 2 && r.phase < 2 {
		r.facts.Next = g.at
	}
	r.phase = phase
	r.before.line, r.before.at = g.line, g.at
	return nil
}

func stampWords(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z07:00") }

func (r *replay) execute(s Statement) error {
	setting, err := s.harmful()
	if setting {
		r.facts.Settings++
		return nil
	}
	if err == nil && r.exec != nil {
		if err = r.exec(s); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("line %d: %w: %w", s.Line, ErrLog, err)
		}
	}
	if err == nil {
		r.facts.Applied++
		return nil
	}
	before := "name a time at: before it"
	if !s.At.IsZero() {
		before = fmt.Sprintf("stop before it, with at: %s", stampWords(s.At.Add(-time.Millisecond)))
	}
	return hint.Wrapf(hint.Blame(fmt.Errorf("%w: %s", err, s.Shown()), "at", "skip"), "%s; or leave it out, with skip: [%d]; nothing of the log was applied", before, s.Line)
}

// Shown is the statement for a message.
func (s Statement) Shown() string { return printable.Line(shown(s.Text)) }

// connectionPragmas set what belongs to a connection, not to the data.
var connectionPragmas = map[string]bool{
	"FOREIGN_KEYS": true, "DEFER_FOREIGN_KEYS": true, "BUSY_TIMEOUT": true, "SYNCHRONOUS": true, "CACHE_SIZE": true, "TEMP_STORE": true,
	"JOURNAL_MODE": true, "WAL_CHECKPOINT": true, "WAL_AUTOCHECKPOINT": true, "OPTIMIZE": true, "MMAP_SIZE": true,
}

// harmful refuses what reaches beyond the data of one database. setting says that the
// statement is about the connection that wrote it and means nothing here.
func (s Statement) harmful() (setting bool, err error) {
	word := ""
	if len(s.words) > 0 {
		word = s.words[0]
	}
	switch {
	case s.Torn:
		return false, refuse(s.Line, "the log ends in the middle of this statement: it was cut off")
	case strings.HasPrefix(s.Text, "."):
		return false, refuse(s.Line, "a command of the sqlite3 program, no SQL")
	case s.loads:
		return false, refuse(s.Line, "load_extension runs code")
	}
	switch word {
	case "ATTACH", "DETACH":
		return false, refuse(s.Line, "%s reaches another file", word)
	case "VACUUM":
		return false, refuse(s.Line, "VACUUM changes no data, and writes to another file with INTO")
	case "SAVEPOINT", "RELEASE", "ROLLBACK":
		return false, refuse(s.Line, "%s: transactions within transactions are not applied", word)
	case "PRAGMA":
		name := ""
		for _, w := range s.words[1:] {
			if name = w; w != "MAIN" {
				break
			}
		}
		if connectionPragmas[name] {
			return true, nil
		}
		if name != "USER_VERSION" && name != "APPLICATION_ID" {
			return false, refuse(s.Line, "PRAGMA %s is no change of data", printable.Line(strings.ToLower(name)))
		}
	}
	return false, nil
}
