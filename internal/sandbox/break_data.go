package sandbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names of breakages of the booking database.
const (
	BadMigration    = "bad-migration"
	CorruptPage     = "corrupt-page"
	DatabaseDeleted = "database-deleted"
	DataLoss        = "data-loss"
)

// Migration is the name under which the bad migration records itself.
const Migration = "0042_normalise_contacts"

func dataBreakages() []breakage {
	return []breakage{{Breakage: Breakage{
		Name:    BadMigration,
		Summary: "A migration of the booking database went wrong: all mail addresses are useless and the vouchers are gone, and the app goes on writing good bookings.",
		Symptoms: []string{
			"reminders bounce: every customer has an address that ends in invalid.example",
			"no payment with a voucher is in the database any more",
			"schema_migrations has a new entry " + Migration,
		},
	}, damage: (*Sandbox).migrateBadly}, {Breakage: Breakage{
		Name:    CorruptPage,
		Summary: "A page of the booking database was overwritten by a bad disk: customers cannot be read.",
		Symptoms: []string{
			"the app reports \"database disk image is malformed\"",
			"sqlite3 booking.db 'PRAGMA integrity_check' lists errors",
		},
	}, damage: (*Sandbox).corruptPage}, {Breakage: Breakage{
		Name:    DatabaseDeleted,
		Summary: "A script that cleans up has deleted the booking database, its log with it.",
		Symptoms: []string{
			"the app reports \"unable to open database file\"",
			"there is no booking.db, and no booking.db-wal either",
		},
	}, damage: (*Sandbox).deleteDatabase}, {Breakage: Breakage{
		Name:    DataLoss,
		Summary: "A DELETE without its second condition has removed most appointments and payments. Two customers were erased at their own wish after the last backup.",
		Symptoms: []string{
			"the diaries of last year are empty",
			"customers ask where their appointments are",
			"two people in the register of erasures are still in the newest backup",
		},
	}, damage: (*Sandbox).loseData}}
}

// dataTruth is what the oracle knows of a database that was broken.
type dataTruth struct {
	Point  time.Time                   `json:"point"` // of the newest backup before the harm; zero: there is none
	At     time.Time                   `json:"at"`    // of the harm
	Tables map[string]table            `json:"tables"`
	Since  map[string]map[int64]string `json:"since"`            // rows that were written after the point, before the harm
	Later  map[string]map[int64]string `json:"later,omitempty"`  // good rows that were written after the harm
	Erased []int64                     `json:"erased,omitempty"` // customers, who must not come back
	made   map[string]table            // rows that every backup has, whatever their time
}

// stamps name the column with the time at which a row was written.
var stamps = map[string]string{"customers": "created_at", "appointments": "created_at", "payments": "paid_at"}

// data looks at the database in the transaction in which it is harmed.
func (s *Sandbox) data(ctx context.Context, q querier, at time.Time) (*dataTruth, error) {
	d := &dataTruth{At: at, Since: map[string]map[int64]string{}, Tables: map[string]table{}}
	var err error
	if d.made, err = s.madeRows(); err != nil {
		return nil, err
	}
	if d.Point, err = newestPoint(s.Vault()); err != nil {
		return nil, err
	}
	for name := range constant {
		if d.Tables[name], err = d.upToPoint(ctx, q, name); err != nil {
			return nil, err
		}
		if d.Since[name], err = d.sincePoint(ctx, q, name); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// second is that of the point: rows of it may be in the backup or not.
func (d *dataTruth) second() string {
	if d.Point.IsZero() {
		return "9999"
	}
	return d.Point.UTC().Truncate(time.Second).Format(timeLayout)
}

// committing is how long a row may be on its way into the database after it got its
// time: on a busy machine a process is stopped for that long. Rows of that time before the
// point may be in its backup or not, and prove nothing.
const committing = 3 * time.Second

// surely is the time before which every row is in a backup of the point.
func (d *dataTruth) surely() string {
	if d.Point.IsZero() {
		return d.second()
	}
	return d.Point.UTC().Add(-committing).Truncate(time.Second).Format(timeLayout)
}

// upToPoint reads the rows that a backup of the point surely has.
func (d *dataTruth) upToPoint(ctx context.Context, q querier, name string) (table, error) {
	where, args := "1", []any{}
	if stamp, ok := stamps[name]; ok {
		where, args = "(id <= ? OR "+stamp+" < ?)", []any{d.made[name].Last, d.surely()}
	}
	return hashRows(ctx, q, name, where, args...)
}

// sincePoint lists the rows that were written after the point, by what they say.
func (d *dataTruth) sincePoint(ctx context.Context, q querier, name string) (map[int64]string, error) {
	stamp, ok := stamps[name]
	if !ok {
		return nil, nil
	}
	return rowTexts(ctx, q, name, "id > ? AND "+stamp+" >= ?", d.made[name].Last, d.second())
}

// hashRows is [readTable] for a condition.
func hashRows(ctx context.Context, q querier, name, where string, args ...any) (table, error) {
	var last sql.NullInt64
	rows, err := q.QueryContext(ctx, "SELECT max(id) FROM "+name+" WHERE "+where, args...)
	if err != nil {
		return table{}, err
	}
	for rows.Next() {
		if err := rows.Scan(&last); err != nil {
			return table{}, errors.Join(err, rows.Close())
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return table{}, err
	}
	return readRows(ctx, q, name, last.Int64, where, args...)
}

// rowTexts gives rows as texts, of the columns that the app never changes.
func rowTexts(ctx context.Context, q querier, name, where string, args ...any) (map[int64]string, error) {
	columns := strings.Split(constant[name], ", ")
	rows, err := q.QueryContext(ctx, "SELECT id, "+strings.Join(columns[1:], " || char(31) || ")+" FROM "+name+" WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[int64]string{}
	for rows.Next() {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, err
		}
		out[id] = text
	}
	return out, rows.Err()
}

// madeRows are the rows with which the sandbox was made.
func (s *Sandbox) madeRows() (map[string]table, error) {
	text, err := os.ReadFile(s.truth(madeName))
	if err != nil {
		return nil, err
	}
	var t truth
	err = json.Unmarshal(text, &t)
	return t.Rows, err
}

// newestPoint reads the time of the newest backup of the booking database from the
// manifests in the vault, which are plain JSON. Zero: there is none.
func newestPoint(vault string) (at time.Time, err error) {
	for _, name := range glob(vault, "v1/a/*/p/*/*/*/*.json") {
		text, rerr := os.ReadFile(filepath.Join(vault, name))
		var m struct {
			Name, Type string
			Cut        time.Time
		}
		if err := errors.Join(rerr, json.Unmarshal(text, &m)); err != nil {
			return at, fmt.Errorf("read the manifests of the vault: %w", err)
		}
		if m.Name == "booking" && m.Type == "sqlite" && m.Cut.After(at) {
			at = m.Cut
		}
	}
	return at, nil
}

// harm is one transaction that changes the database: what was right before, in whose midst
// the oracle looks, and what is wrong. The truth is durable before it is committed.
type harm struct {
	before []string // statements that are right
	wrong  func(at time.Time) []string
	after  int                               // good bookings that the app makes afterwards
	extra  func(d *dataTruth, t truth) error // last, before the commit
	erased []int64
}

func (s *Sandbox) harm(ctx context.Context, t truth, h harm) (err error) {
	db, err := openDatabase(s.Database(), "rw")
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	exec := func(statements ...string) error {
		for _, st := range statements {
			if _, err := conn.ExecContext(ctx, st); err != nil {
				return fmt.Errorf("%s: %w", st, err)
			}
		}
		return nil
	}
	if err := exec("PRAGMA busy_timeout = 10000", "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, rerr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, rerr)
		}
	}()
	if err := exec(h.before...); err != nil {
		return err
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	if t.Data, err = s.data(ctx, conn, at); err != nil {
		return err
	}
	t.Data.Erased = h.erased
	if h.extra != nil {
		if err := h.extra(t.Data, t); err != nil {
			return err
		}
	}
	if err := exec(h.wrong(at)...); err != nil {
		return err
	}
	if t.Data.Later, err = s.bookOn(ctx, conn, at, h.after); err != nil {
		return err
	}
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	return exec("COMMIT")
}

// bookOn writes good bookings, as the app does after the harm, and gives them as rows.
func (s *Sandbox) bookOn(ctx context.Context, conn *sql.Conn, at time.Time, n int) (map[string]map[int64]string, error) {
	if n == 0 {
		return nil, nil
	}
	var last sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT max(id) FROM appointments").Scan(&last); err != nil {
		return nil, err
	}
	stamp := at.Format(timeLayout)
	for i := range n {
		starts := at.Truncate(24*time.Hour).AddDate(2, 0, i).Add(10 * time.Hour)
		_, err := conn.ExecContext(ctx, "INSERT INTO appointments (customer_id, staff_id, service_id, starts_at, status, created_at, updated_at) VALUES (?, ?, ?, ?, 'booked', ?, ?)",
			1+i, 1+i%staffCount, 1+i%len(services), starts.Format(timeLayout), stamp, stamp)
		if err != nil {
			return nil, err
		}
	}
	rows, err := rowTexts(ctx, conn, "appointments", "id > ?", last.Int64)
	return map[string]map[int64]string{"appointments": rows}, err
}

// migrateBadly is a migration that mangles a column and deletes rows, and records itself.
// The log of the app has what was written since the backup, and the migration.
func (s *Sandbox) migrateBadly(ctx context.Context, t truth) error {
	wrong := []string{
		"UPDATE customers SET email = 'customer-' || id || '@invalid.example', phone = ''",
		"DELETE FROM payments WHERE method = 'voucher'",
	}
	return s.harm(ctx, t, harm{
		wrong: func(at time.Time) []string {
			return append(wrong, "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)",
				fmt.Sprintf("INSERT INTO schema_migrations VALUES ('%s', '%s')", Migration, at.Format("2006-01-02 15:04:05.000")))
		},
		after: 12,
		extra: func(d *dataTruth, _ truth) error { return s.writeLog(d, wrong) },
	})
}

// writeLog writes what the app has executed since the newest backup. Its times are
// those of the rows, at the end of their second: one that the backup has already is
// ignored when it is executed once more.
func (s *Sandbox) writeLog(d *dataTruth, wrong []string) error {
	type entry struct {
		at         time.Time
		order      int
		statements []string
	}
	var list []entry
	for i, name := range []string{"customers", "appointments", "payments"} {
		columns := strings.Split(constant[name], ", ")
		for _, id := range slices.Sorted(maps.Keys(d.Since[name])) {
			values := strings.Split(d.Since[name][id], "\x1f")
			at, err := time.Parse(timeLayout, values[len(values)-1])
			if err != nil {
				return err
			}
			if at = at.Add(999 * time.Millisecond); !at.Before(d.At) {
				at = d.At.Add(-time.Millisecond)
			}
			into := constant[name]
			text := fmt.Sprintf("%d", id)
			for _, v := range values {
				text += ", '" + strings.ReplaceAll(v, "'", "''") + "'"
			}
			if name == "appointments" {
				into, text = into+", status, updated_at", text+", 'booked', '"+values[len(columns)-2]+"'"
			}
			list = append(list, entry{at, i, []string{fmt.Sprintf("INSERT OR IGNORE INTO %s (%s) VALUES (%s);", name, into, text)}})
		}
	}
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order)) })
	begins := d.Point
	if begins.IsZero() {
		begins = d.At.Add(-time.Hour)
	}
	var out strings.Builder
	out.WriteString(logText)
	stamp := func(at time.Time) { fmt.Fprintf(&out, "\n-- %s\n", at.UTC().Format("2006-01-02T15:04:05.000Z")) }
	stamp(begins.Truncate(time.Second))
	out.WriteString("SELECT 'the log begins';\n")
	for _, e := range list {
		stamp(e.at)
		fmt.Fprintln(&out, strings.Join(e.statements, "\n"))
	}
	stamp(d.At)
	fmt.Fprintf(&out, "BEGIN;\n%s;\nCOMMIT;\n", strings.Join(wrong, ";\n"))
	return os.WriteFile(filepath.Join(s.dir, LogName), []byte(out.String()), 0o600)
}

// loseData erases two customers who asked for it, with an entry in the register, and then
// deletes most appointments by mistake.
func (s *Sandbox) loseData(ctx context.Context, t truth) error {
	last := t.Rows["customers"].Last
	h := harm{erased: []int64{last - 1, last}, after: 12, wrong: func(time.Time) []string {
		return []string{
			"DELETE FROM payments WHERE appointment_id IN (SELECT id FROM appointments WHERE status <> 'booked')",
			"DELETE FROM appointments WHERE status <> 'booked' AND id NOT IN (SELECT appointment_id FROM payments)",
		}
	}}
	var register strings.Builder
	for _, id := range h.erased {
		h.before = append(h.before,
			fmt.Sprintf("DELETE FROM payments WHERE appointment_id IN (SELECT id FROM appointments WHERE customer_id = %d)", id),
			fmt.Sprintf("DELETE FROM appointments WHERE customer_id = %d", id), fmt.Sprintf("DELETE FROM customers WHERE id = %d", id))
		fmt.Fprintf(&register, "{\"time\": %q, \"subject\": \"%d\", \"by\": \"privacy@company.example\"}\n", time.Now().UTC().Format(time.RFC3339), id)
	}
	h.extra = func(*dataTruth, truth) error {
		f, err := os.OpenFile(filepath.Join(s.dir, RegisterName), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(register.String())
		return errors.Join(err, f.Close())
	}
	return s.harm(ctx, t, h)
}

// lookOn reads what a breakage of the file itself has to bring back.
func (s *Sandbox) lookOn(ctx context.Context, t truth, find string, to any) (truth, error) {
	db, err := openDatabase(s.Database(), "ro")
	if err != nil {
		return t, err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return t, err
	}
	defer tx.Rollback() // it only read
	if find != "" {
		if err := tx.QueryRowContext(ctx, find).Scan(to); err != nil {
			return t, err
		}
	}
	t.Data, err = s.data(ctx, tx, time.Now().UTC().Truncate(time.Millisecond))
	return t, err
}

// corruptPage overwrites the first page of the customers. The app never writes to it, so
// that no newer one in the log hides the damage.
func (s *Sandbox) corruptPage(ctx context.Context, t truth) error {
	var at int64
	t, err := s.lookOn(ctx, t, "SELECT (rootpage - 1) * (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'customers'", &at)
	if err != nil {
		return err
	}
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	f, err := os.OpenFile(s.Database(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strings.Repeat("\xa5bad disk", 400)), at)
	return errors.Join(err, f.Sync(), f.Close())
}

// deleteDatabase removes the database with all that belongs to it.
func (s *Sandbox) deleteDatabase(ctx context.Context, t truth) error {
	t, err := s.lookOn(ctx, t, "", nil)
	if err != nil {
		return err
	}
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if rerr := os.Remove(s.Database() + suffix); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}
