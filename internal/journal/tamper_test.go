package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lifeboat/internal/run"
)

// alter changes a journal behind its back.
func alter(t testing.TB, path, query string, args ...any) {
	t.Helper()
	db, err := connect(path, defaults(), false)
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), query, args...)
	must(t, err)
}

// filled makes a closed journal with three runs, their events interleaved.
func filled(t testing.TB) (path string) {
	t.Helper()
	path = place(t)
	j := opened(t, path)
	a, b, c := history("r-AAAA"), history("r-BBBB"), history("r-CCCC")[:4]
	for i := range a {
		appended(t, j, a[i], b[i])
		if i < len(c) {
			appended(t, j, c[i])
		}
	}
	must(t, j.Close())
	return path
}

func verified(t testing.TB, path string) (Report, error) {
	t.Helper()
	j, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		return Report{}, err
	}
	defer j.Close()
	return j.Verify(t.Context())
}

func TestTamperingIsFound(t *testing.T) {
	path := filled(t)
	if report, err := verified(t, path); err != nil || report.Events != 20 || report.Runs != 3 {
		t.Fatalf("%+v, %v", report, err)
	}
	pristine, err := os.ReadFile(path)
	must(t, err)
	const renumber = `UPDATE events SET n = n + 100 WHERE n > 7; UPDATE events SET n = n - 101 WHERE n > 100; UPDATE head SET n = n - 1;`
	for _, tt := range []struct{ name, query, names string }{
		{"edit", `UPDATE events SET bytes = CAST(replace(CAST(bytes AS TEXT), 'ada', 'eve') AS BLOB) WHERE n = 7`, `event 3 of run "r-AAAA"`},
		{"edit with its hash", `UPDATE events SET link = zeroblob(32) WHERE n = 7`, `event 3 of run "r-AAAA"`},
		{"key order", `UPDATE events SET bytes = CAST('{"run":"r-AAAA","v":1' || substr(CAST(bytes AS TEXT), 22) AS BLOB) WHERE n = 7`, `event 3 of run "r-AAAA"`},
		{"delete", `DELETE FROM events WHERE n = 7`, `event 3 of run "r-BBBB"`},
		{"delete and renumber", `DELETE FROM events WHERE n = 7; ` + renumber, `"r-BBBB"`},
		{"truncate tail", `DELETE FROM events WHERE n > 18`, `the head says 20`},
		{"truncate tail and head", `DELETE FROM events WHERE n > 18; UPDATE head SET n = 18, chain = (SELECT chain FROM events WHERE n = 18)`, `summary`},
		{"truncate everything well", `DELETE FROM events WHERE n > 18; UPDATE head SET n = 18, chain = (SELECT chain FROM events WHERE n = 18);
			UPDATE runs SET seq = 7, kind = 'note-added', outcome = '', last = last - 1000000 WHERE run <> 'r-CCCC'; DELETE FROM forms WHERE kind = 'run-ended'`, `witness has seen 20`},
		{"empty", `DELETE FROM events; DELETE FROM runs; DELETE FROM forms; UPDATE head SET n = 0, chain = zeroblob(32)`, `witness has seen 20`},
		{"drop a run", `DELETE FROM events WHERE run = 'r-CCCC'; DELETE FROM runs WHERE run = 'r-CCCC'`, `append 3 is missing`},
		{"drop a run and close the gaps", `DELETE FROM events WHERE run = 'r-CCCC'; DELETE FROM runs WHERE run = 'r-CCCC';
			UPDATE events SET n = n + 1000; UPDATE events SET n = (SELECT count(*) FROM events AS o WHERE o.n <= events.n); UPDATE head SET n = 16`, `not what was appended`},
		{"insert", `INSERT INTO events SELECT 21, run, 9, bytes, link, chain FROM events WHERE n = 20`, `event 9 of run "r-BBBB"`},
		{"insert in a run of its own", `INSERT INTO events SELECT 21, 'r-DDDD', 1, bytes, link, chain FROM events WHERE n = 1`, `event 1 of run "r-DDDD"`},
		{"swap two events", `UPDATE events SET n = 99 WHERE n = 1; UPDATE events SET n = 1 WHERE n = 2; UPDATE events SET n = 2 WHERE n = 99`, `event 1 of run "r-BBBB"`},
		{"swap two sequences", `UPDATE events SET seq = 99 WHERE n = 4; UPDATE events SET seq = 2 WHERE n = 7; UPDATE events SET seq = 3 WHERE n = 4`, `event 3 of run "r-AAAA"`},
		{"swap two runs", `UPDATE events SET run = 'x' WHERE run = 'r-AAAA'; UPDATE events SET run = 'r-AAAA' WHERE run = 'r-BBBB'; UPDATE events SET run = 'r-BBBB' WHERE run = 'x'`, `event 1 of run "r-BBBB"`},
		{"swap two bodies", `UPDATE events SET bytes = (SELECT bytes FROM events WHERE n = 2), link = (SELECT link FROM events WHERE n = 2) WHERE n = 1`, `event 1 of run "r-AAAA"`},
		{"rename a run", `UPDATE events SET run = 'r-EEEE' WHERE run = 'r-CCCC'; UPDATE runs SET run = 'r-EEEE' WHERE run = 'r-CCCC'`, `event 1 of run "r-EEEE"`},
		{"outcome in the list", `UPDATE runs SET outcome = 'complete' WHERE run = 'r-CCCC'`, `summary`},
		{"mode in the list", `UPDATE runs SET started = replace(started, 'live', 'drill') WHERE run = 'r-AAAA'`, `summary`},
		{"end in the list", `UPDATE runs SET ended = ended - 1 WHERE run = 'r-AAAA'`, `summary`},
		{"score in the list", `UPDATE runs SET scenario = 'x', score = '{"points":100}' WHERE run = 'r-AAAA'`, `summary`},
		{"facts in the list", `UPDATE runs SET facts = '{"loss":1}' WHERE run = 'r-AAAA'`, `summary`},
		{"missing from the list", `DELETE FROM runs WHERE run = 'r-AAAA'`, `summary`},
		{"more in the list", `INSERT INTO runs SELECT 'r-FFFF', short, first, started, steps, begun, last, seq, kind, outcome, ended, scenario, trainee, score, facts, upto FROM runs WHERE run = 'r-AAAA'`, `4 are in the list`},
		{"kinds", `DELETE FROM forms WHERE kind = 'run-ended'`, `list of kinds`},
		{"head", `UPDATE head SET chain = zeroblob(32)`, `head says`},
		{"no head", `DELETE FROM head`, `head is missing`},
		{"no table", `DROP TABLE runs`, `no such table`},
		{"events as a view", `ALTER TABLE events RENAME TO e; CREATE VIEW events AS SELECT * FROM e WHERE n <= 10`, `head says`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			must(t, os.WriteFile(path, pristine, 0o600))
			alter(t, path, tt.query)
			report, err := verified(t, path)
			if err == nil {
				t.Fatalf("not found: %+v", report)
			}
			if !strings.Contains(err.Error(), tt.names) && !strings.Contains(fmt.Sprint(report.Problems), tt.names) {
				t.Errorf("error %v, problems %v; want %q named", err, report.Problems, tt.names)
			}
		})
	}
}

// Every single byte of what is stored counts (invariant S11).
func TestEveryByteCounts(t *testing.T) {
	path := place(t)
	j := opened(t, path)
	appended(t, j,
		run.Event{Run: "r-AAAA", Seq: 1, At: start, Kind: run.RunStarted, Body: run.Started{Mode: run.Dry}},
		run.Event{Run: "r-AAAA", Seq: 2, At: start, Kind: run.NoteAdded, Body: run.Note{By: "ada"}},
		run.Event{Run: "r-AAAA", Seq: 3, At: start, Kind: run.RunEnded, Body: run.Ended{Outcome: run.Complete}},
	)
	must(t, j.Close())
	db, err := connect(path, defaults(), false)
	must(t, err)
	defer db.Close()
	ro, err := OpenReadOnly(t.Context(), path)
	must(t, err)
	defer ro.Close()
	checked := 0
	for _, column := range []string{"bytes", "link", "chain"} {
		for n := 1; n <= 3; n++ {
			var data []byte
			must(t, db.QueryRowContext(t.Context(), "SELECT "+column+" FROM events WHERE n = ?", n).Scan(&data))
			for i := range data {
				mutated := append([]byte(nil), data...)
				mutated[i] ^= 1 << (i % 8)
				_, err := db.ExecContext(t.Context(), "UPDATE events SET "+column+" = ? WHERE n = ?", mutated, n)
				must(t, err)
				report, err := ro.Verify(t.Context())
				if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrRolledBack) {
					t.Fatalf("%s of append %d, byte %d of %d: not found: %+v, %v", column, n, i, len(data), report, err)
				}
				if column != "chain" && !strings.Contains(err.Error(), fmt.Sprintf("event %d of run", n)) {
					t.Errorf("%s of append %d, byte %d: error %v names another event", column, n, i, err)
				}
				if column == "bytes" {
					if _, err := ro.Load(t.Context(), "r-AAAA"); err == nil {
						t.Errorf("%s of append %d, byte %d: Load did not notice", column, n, i)
					}
				}
				checked++
			}
			_, err := db.ExecContext(t.Context(), "UPDATE events SET "+column+" = ? WHERE n = ?", data, n)
			must(t, err)
		}
	}
	if _, err := ro.Verify(t.Context()); err != nil || checked < 500 {
		t.Errorf("%d mutations, then %v", checked, err)
	}
}

// A flipped bit anywhere in the file is found, or changes nothing that is read (fault F22).
func TestFlippedBitsInTheFile(t *testing.T) {
	path := filled(t)
	pristine, err := os.ReadFile(path)
	must(t, err)
	read := func() ([]run.Event, error) {
		if _, err := verified(t, path); err != nil {
			return nil, err
		}
		j, err := OpenReadOnly(t.Context(), path)
		if err != nil {
			return nil, err
		}
		defer j.Close()
		return j.Load(t.Context(), "r-AAAA")
	}
	found := 0
	for i := range 200 {
		at := (i*7919 + i*i*31) % len(pristine)
		data := append([]byte(nil), pristine...)
		data[at] ^= 1 << (i % 8)
		must(t, os.WriteFile(path, data, 0o600))
		events, err := read()
		if err != nil {
			found++
		} else if !reflect.DeepEqual(events, history("r-AAAA")) {
			t.Fatalf("byte %d: a different history passed", at)
		}
	}
	if found < 20 {
		t.Errorf("only %d of 200 were noticed", found)
	}
}

func TestVerifyFailsClosed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T) string
		want    string
	}{
		{"nothing was ever appended", func(t *testing.T) string {
			path := place(t)
			must(t, opened(t, path).Close())
			return path
		}, "nothing was verified"},
		{"empty file", func(t *testing.T) string {
			path := filled(t)
			must(t, os.Truncate(path, 0))
			return path
		}, "database of another program"},
		{"witness missing", func(t *testing.T) string {
			path := filled(t)
			must(t, os.Remove(witnessPath(path)))
			return path
		}, "journal.head is missing"},
		{"witness unreadable", func(t *testing.T) string {
			path := filled(t)
			must(t, os.Remove(witnessPath(path)))
			must(t, os.Mkdir(witnessPath(path), 0o700))
			return path
		}, "cannot be read"},
		{"old copy", func(t *testing.T) string {
			path := filled(t)
			old, err := os.ReadFile(path)
			must(t, err)
			j := opened(t, path)
			appended(t, j, history("r-LATE")...)
			must(t, j.Close())
			must(t, os.WriteFile(path, old, 0o600))
			return path
		}, "it has 20 events, the witness has seen 28"},
		{"cut off file", func(t *testing.T) string {
			path := filled(t)
			must(t, os.Truncate(path, 8192))
			return path
		}, "damaged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if report, err := verified(t, tt.prepare(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("report %+v, error %v; want %q", report, err, tt.want)
			}
		})
	}
}

// A panic inside the check is a failed check, not a passed one.
func TestVerifySurvivesItsOwnPanic(t *testing.T) {
	j, err := OpenReadOnly(t.Context(), filled(t))
	must(t, err)
	defer j.Close()
	j.options.at = func(point string) { panic("at " + point) }
	if _, err := j.Verify(t.Context()); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "at verify") {
		t.Errorf("error %v", err)
	}
}

// A WAL that somebody deletes takes events with it; the witness knows (fault F23).
func TestLostWAL(t *testing.T) {
	path := place(t)
	j := opened(t, path)
	appended(t, j, history("r-1")...)
	dir := t.TempDir()
	for _, name := range []string{"journal.db", "journal.head"} { // a copy without the -wal file
		data, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	must(t, os.Chmod(dir, 0o700))
	if k, err := Open(t.Context(), filepath.Join(dir, "journal.db")); !errors.Is(err, ErrRolledBack) {
		t.Errorf("opened: %v, %v", k, err)
	}
}
