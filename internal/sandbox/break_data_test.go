package sandbox_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/sandbox"
)

// on opens a database of a test.
func on(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// The oracle sees every breakage of the database, and is content with a copy from before
// it: bookings since are counted as lost, and the erased must not be back.
func TestDataBreakages(t *testing.T) {
	t.Parallel()
	for _, name := range []string{sandbox.BadMigration, sandbox.CorruptPage, sandbox.DatabaseDeleted, sandbox.DataLoss} {
		sb := copied(t, template)
		kept := filepath.Join(t.TempDir(), "kept.db")
		db := on(t, sb.Database())
		// The backup is of now; what is booked a moment later is not in it.
		cut := time.Now().UTC().Add(-10 * time.Second)
		for _, s := range []string{"VACUUM INTO '" + kept + "'", fmt.Sprintf("INSERT INTO appointments (customer_id, staff_id, service_id, starts_at, status, created_at, updated_at) VALUES (1, 1, 1, '2031-01-01 10:00:00', 'booked', '%[1]s', '%[1]s')", cut.Add(4*time.Second).Format("2006-01-02 15:04:05"))} {
			if _, err := db.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(sb.Vault(), "v1/a/booking-1/p/2026/11/29")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		manifest := fmt.Sprintf(`{"name": "booking", "type": "sqlite", "cut": %q}`, cut.Format(time.RFC3339Nano))
		if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sb.Break(t.Context(), name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		judge := func() sandbox.Verdict {
			v, err := sb.Judge(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if v := judge(); v.Recovered || len(v.Lost) == 0 {
			t.Errorf("%s: recovered %v, lost %q", name, v.Recovered, v.Lost)
		}
		for _, s := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(sb.Database() + s) // what is left of it
		}
		if err := os.Rename(kept, sb.Database()); err != nil {
			t.Fatal(err)
		}
		v := judge()
		if v.Recovered != (name != sandbox.DataLoss) || !strings.Contains(strings.Join(v.Lost, "\n"), "1 of 1 rows that were written after the newest backup") {
			t.Errorf("%s: recovered %v, lost %q\n%+v", name, v.Recovered, v.Lost, v.Checks)
		}
		if name != sandbox.DataLoss {
			continue
		}
		db = on(t, sb.Database())
		for _, s := range []string{
			"DELETE FROM payments WHERE appointment_id IN (SELECT id FROM appointments WHERE customer_id IN (SELECT id FROM customers ORDER BY id DESC LIMIT 2))",
			"DELETE FROM appointments WHERE customer_id IN (SELECT id FROM customers ORDER BY id DESC LIMIT 2)",
			"DELETE FROM customers WHERE id IN (SELECT id FROM customers ORDER BY id DESC LIMIT 2)",
		} {
			if _, err := db.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if v := judge(); !v.Recovered {
			t.Errorf("%s, with the erasures: %+v", name, v.Checks)
		}
	}
}
