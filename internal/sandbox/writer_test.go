package sandbox_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"lifeboat/internal/sandbox"
)

// writing runs the live writer for a test. wait blocks until it has made n more writes.
func writing(t *testing.T, s *sandbox.Sandbox) (wait func(n int), stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	wrote, ended := make(chan int, 1000), make(chan error, 1)
	go func() { ended <- s.Write(ctx, func(n int) { wrote <- n }) }()
	wait = func(n int) {
		t.Helper()
		for len(wrote) > 0 {
			<-wrote
		}
		for range n {
			select {
			case <-wrote:
			case err := <-ended:
				t.Fatalf("the writer ended: %v", err)
			case <-time.After(20 * time.Second):
				t.Fatal("the writer does not write")
			}
		}
	}
	stop = func() error {
		cancel()
		return <-ended
	}
	t.Cleanup(cancel)
	return wait, stop
}

func TestWriteBearsARecovery(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	db := database(t, s.Database())
	before := number(t, db, "SELECT count(*) FROM appointments")
	wait, stop := writing(t, s)
	wait(15)
	if after := number(t, db, "SELECT count(*) FROM appointments"); after <= before {
		t.Errorf("%d appointments, %d before", after, before)
	}

	// Locked by somebody for a while.
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"BEGIN EXCLUSIVE", "ROLLBACK"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	wait(2)

	// Replaced by a backup, as a restore does.
	if _, err := db.ExecContext(t.Context(), "VACUUM INTO ?", s.Database()+".copy"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	old := s.Database() + ".before"
	if err := errors.Join(os.Rename(s.Database(), old), os.Rename(s.Database()+"-wal", old+"-wal"), os.Remove(s.Database()+"-shm")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Database()); err == nil {
		t.Error("the writer made a database of its own")
	}
	restored := database(t, s.Database()+".copy")
	exec := "CREATE TABLE restored (x)"
	if _, err := restored.ExecContext(t.Context(), exec); err != nil {
		t.Fatal(err)
	}
	count := number(t, restored, "SELECT max(rowid) + (SELECT count(*) FROM appointments) FROM payments")
	if err := errors.Join(restored.Close(), os.Rename(s.Database()+".copy", s.Database())); err != nil {
		t.Fatal(err)
	}
	wait(25)
	if err := stop(); err != nil {
		t.Errorf("Write = %v", err)
	}
	now := number(t, database(t, s.Database()), "SELECT max(rowid) + (SELECT count(*) FROM appointments) FROM payments")
	if now <= count {
		t.Errorf("%d rows in the restored file, %d before", now, count)
	}
	judge(t, s, expected{recovered: true})
}

func TestWriteEndsWithItsSandbox(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *sandbox.Sandbox) error{
		"removed": func(s *sandbox.Sandbox) error { return s.Remove(t.Context()) },
		"reset":   func(s *sandbox.Sandbox) error { _, err := s.Reset(t.Context()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copied(t, template)
			ended := make(chan error, 1)
			wrote := make(chan int, 1000)
			go func() { ended <- s.Write(t.Context(), func(n int) { wrote <- n }) }()
			<-wrote
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("it ended without a reason")
				}
			case <-time.After(20 * time.Second):
				t.Error("it writes on")
			}
		})
	}
}
