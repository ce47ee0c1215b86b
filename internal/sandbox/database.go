package sandbox

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// userVersion is the schema version that the booking app expects.
const userVersion = 7

const timeLayout = "2006-01-02 15:04:05"

// openDatabase opens a database file. mode is "ro", "rw" or "rwc". One connection only:
// what a pragma sets must hold for every statement.
func openDatabase(file, mode string, pragmas ...string) (*sql.DB, error) {
	query := url.Values{"mode": {mode}, "_pragma": append([]string{"busy_timeout(2000)", "foreign_keys(1)"}, pragmas...)}
	// A colon, '?', '#' or '%' in the path must not be read as part of the URI.
	db, err := sql.Open("sqlite", "file://"+(&url.URL{Path: file}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

var (
	firstNames = []string{"Lerato", "Sipho", "Anna", "Marek", "Yuki", "Fatima", "Joao", "Ines", "Omar", "Zanele", "Peter", "Chidi", "Mei", "Lars", "Amara", "Noor", "Tomas", "Elif", "Pieter", "Rosa"}
	lastNames  = []string{"Dlamini", "Botha", "Novak", "Sato", "Haddad", "Silva", "Mbeki", "Olsen", "Khan", "Moreau", "Tan", "Weber", "Okafor", "Naidoo", "Fischer", "Ortega", "Lund", "Yilmaz", "Pillay", "Rossi"}
	roles      = []string{"stylist", "therapist", "dentist", "trainer", "reception"}
	services   = []string{"Haircut", "Colouring", "Beard trim", "Manicure", "Pedicure", "Massage 30", "Massage 60", "Facial", "Dental check", "Dental cleaning", "Personal training", "Nutrition talk", "Physiotherapy", "Consultation", "Follow-up", "Make-up"}
	methods    = []string{"card", "card", "cash", "voucher", "transfer"}
)

const staffCount = 24

// fillDatabase makes the booking database with all its rows in one transaction.
func fillDatabase(ctx context.Context, file string, o Options) error {
	// Until the file is whole nobody needs it to survive anything.
	db, err := openDatabase(file, "rwc", "journal_mode(OFF)", "synchronous(OFF)", "cache_size(-65536)")
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after the commit
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	f := filler{ctx: ctx, tx: tx, r: stream(o.Seed, "database"), now: o.Now}
	f.people(o.Customers)
	f.appointments(o.Appointments, o.Customers)
	if f.err != nil {
		return f.err
	}
	if _, err := tx.ExecContext(ctx, indexes+fmt.Sprintf("PRAGMA user_version = %d;", userVersion)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	return os.Chmod(file, 0o600)
}

// filler writes rows and keeps the first error.
type filler struct {
	ctx context.Context
	tx  *sql.Tx
	r   *random
	now time.Time
	err error
}

// rows collects rows for one table and inserts many with one statement.
type rows struct {
	f       *filler
	table   string
	columns int
	args    []any
	stmt    *sql.Stmt
}

const rowsAtOnce = 50

func (f *filler) into(table string, columns int) *rows {
	return &rows{f: f, table: table, columns: columns}
}

func (w *rows) insert(n int) string {
	one := "(?" + strings.Repeat(",?", w.columns-1) + ")"
	return "INSERT INTO " + w.table + " VALUES " + one + strings.Repeat(","+one, n-1)
}

func (w *rows) add(values ...any) {
	w.args = append(w.args, values...)
	if len(w.args) < rowsAtOnce*w.columns || w.f.err != nil {
		return
	}
	if w.stmt == nil {
		w.stmt, w.f.err = w.f.tx.PrepareContext(w.f.ctx, w.insert(rowsAtOnce))
	}
	if w.f.err == nil {
		_, w.f.err = w.stmt.ExecContext(w.f.ctx, w.args...)
	}
	w.args = w.args[:0]
}

func (w *rows) end() {
	if n := len(w.args) / w.columns; n > 0 && w.f.err == nil {
		_, w.f.err = w.f.tx.ExecContext(w.f.ctx, w.insert(n), w.args...)
	}
	if w.stmt != nil {
		w.stmt.Close()
	}
}

func (f *filler) people(customers int) {
	w := f.into("customers", 5)
	for i := 1; i <= customers; i++ {
		first, last := pick(f.r, firstNames), pick(f.r, lastNames)
		w.add(i, first+" "+last, fmt.Sprintf("%s.%s.%d@mail.example", strings.ToLower(first), strings.ToLower(last), i),
			fmt.Sprintf("+27-00-%03d-%04d", f.r.below(1000), f.r.below(10000)),
			f.now.AddDate(0, 0, -f.r.between(1, 900)).Format(timeLayout))
	}
	w.end()
	w = f.into("staff", 5)
	for i := 1; i <= staffCount; i++ {
		first := pick(f.r, firstNames)
		w.add(i, first+" "+pick(f.r, lastNames), fmt.Sprintf("%s.%d@company.example", strings.ToLower(first), i), pick(f.r, roles), min(i%12, 1))
	}
	w.end()
	w = f.into("services", 4)
	for i, name := range services {
		w.add(i+1, name, f.r.between(1, 6)*15, f.r.between(10, 120)*500)
	}
	w.end()
}

// appointments fills the diaries from the past to some weeks ahead, slot after slot, so
// that nobody is booked twice.
func (f *filler) appointments(n, customers int) {
	appointments := f.into("appointments", 8)
	var payments [][]any // written when what they refer to is there
	const slotsPerDay = 16
	perDay := staffCount * slotsPerDay * 7 / 10
	day := f.now.Truncate(24*time.Hour).AddDate(0, 0, 21-n/perDay)
	id := 0
	for ; id < n && f.err == nil; day = day.AddDate(0, 0, 1) {
		for slot := 0; slot < slotsPerDay && id < n; slot++ {
			starts := day.Add(8*time.Hour + time.Duration(slot)*30*time.Minute)
			for staff := 1; staff <= staffCount && id < n; staff++ {
				if !f.r.chance(70) {
					continue
				}
				id++
				created := starts.AddDate(0, 0, -f.r.between(1, 30))
				if !created.Before(f.now) {
					created = f.now.Add(-time.Duration(f.r.between(1, 600)) * time.Minute)
				}
				status := "booked"
				if starts.Before(f.now) {
					status = pick(f.r, []string{"done", "done", "done", "done", "done", "cancelled", "no-show"})
				} else if f.r.chance(40) {
					status = "confirmed"
				}
				appointments.add(id, f.r.between(1, customers), staff, f.r.between(1, len(services)),
					starts.Format(timeLayout), status, created.Format(timeLayout), created.Format(timeLayout))
				if status == "done" || f.r.chance(20) {
					n := len(payments) + 1
					payments = append(payments, []any{n, id, f.r.between(10, 120) * 500, pick(f.r, methods), fmt.Sprintf("PAY-%08d", n), created.Format(timeLayout)})
				}
			}
		}
	}
	appointments.end()
	w := f.into("payments", 6)
	for _, p := range payments {
		w.add(p...)
	}
	w.end()
}
