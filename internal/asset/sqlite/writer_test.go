package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/command"
)

// ledger is what a writer keeps true in every state that it commits: what is in one
// table is missing from the other, and each transfer is on record.
const ledger = `SELECT (SELECT sum(cents) FROM here) + (SELECT sum(cents) FROM there) = 0
	AND (SELECT count(*) FROM record) = (SELECT n FROM total)`

func makeLedger(t tb, db *sql.DB) {
	t.Helper()
	do(t, db, "CREATE TABLE here (id INTEGER PRIMARY KEY, cents INTEGER)", "CREATE TABLE there (id INTEGER PRIMARY KEY, cents INTEGER)",
		"CREATE TABLE record (id INTEGER PRIMARY KEY, what TEXT)", "CREATE TABLE total (n INTEGER)",
		"CREATE TABLE pad (id INTEGER PRIMARY KEY, data BLOB)", "INSERT INTO total VALUES (0)")
	for _, table := range []string{"here", "there"} {
		do(t, db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO "+table+" SELECT i, 0 FROM n")
	}
	do(t, db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 700) INSERT INTO pad SELECT i, randomblob(900) FROM n")
}

// transfer is one transaction that keeps the ledger, now and then with much growth, or
// what an application does between transactions.
func transfer(r *rand.Rand, n int) string {
	switch n % 50 {
	case 17:
		return "PRAGMA busy_timeout=10; PRAGMA wal_checkpoint(RESTART); PRAGMA busy_timeout=20000"
	case 29:
		return "PRAGMA busy_timeout=10; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout=20000"
	case 33:
		return fmt.Sprintf("DELETE FROM pad WHERE id > 650; INSERT INTO pad SELECT id + 2000, randomblob(%d) FROM pad WHERE id < %d", r.IntN(3000), r.IntN(100))
	case 41:
		return "PRAGMA incremental_vacuum(7)"
	}
	return fmt.Sprintf(`BEGIN IMMEDIATE;
		UPDATE here SET cents = cents - %[1]d WHERE id = %[2]d; INSERT INTO record (what) VALUES ('%[1]d cents');
		UPDATE there SET cents = cents + %[1]d WHERE id = %[3]d; UPDATE total SET n = n + 1;
		UPDATE pad SET data = randomblob(900) WHERE id = %[4]d; COMMIT`, r.IntN(100), 1+r.IntN(300), 1+r.IntN(300), 1+r.IntN(700))
}

// writeOn is the other process: it writes until its standard input ends.
func writeOn(path string) int {
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("?", "%3f", "#", "%23", " ", "%20").Replace(path)+
		"?_pragma=busy_timeout(20000)&_pragma=synchronous(0)&_pragma=wal_autocheckpoint(40)")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	db.SetMaxOpenConns(1)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever it is, it is over
		close(ended)
	}()
	r := rand.New(rand.NewPCG(3, 4))
	for n := 0; ; n++ {
		select {
		case <-ended:
			if err := db.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			return 0
		default:
		}
		if _, err := db.ExecContext(context.Background(), transfer(r, n)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if n == 60 {
			fmt.Println("writing")
		}
	}
}

// writer starts another process that writes to a database with a ledger. stop ends it
// and fails the test when it was disturbed.
func writer(t *testing.T, path string, env map[string]string) (stop func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"WRITE_TO": path}
	for k, v := range env {
		all[k] = v
	}
	p, err := command.Start(t.Context(), command.Cmd{Argv: []string{self}, Env: all, StdinPipe: true, StdoutPipe: true})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(p.Stdout).ReadString('\n'); err != nil || line != "writing\n" {
		t.Fatalf("the writer says %q: %v", line, err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := p.Stdin.Close(); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, p.Stdout) // it says nothing more
		if r, err := p.Wait(); err != nil {
			t.Errorf("the writer was disturbed: %v\n%s", err, r.Stderr)
		}
	}
	t.Cleanup(stop)
	return stop
}

// movedOn waits until the writer has made other transfers than the count it was given,
// however busy the machine is, and gives their number.
func movedOn(t tb, db *sql.DB, was int) int {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; {
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT n FROM total").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != was {
			return n
		}
	}
	t.Fatal("the writer has stopped")
	return 0
}

// keeps fails the test when a restored database does not keep the ledger.
func keeps(t tb, what, path string) {
	t.Helper()
	var ok bool
	if err := openDB(t, path).QueryRowContext(t.Context(), ledger).Scan(&ok); err != nil || !ok {
		t.Errorf("%s is a torn state (%v)", what, err)
	}
}
