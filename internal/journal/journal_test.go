package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

func TestMain(m *testing.M) {
	if os.Getenv(childKey) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// start is when the runs of these tests begin.
var start = time.Date(2026, 11, 24, 3, 0, 5, 0, time.UTC)

// history is a whole run: a step that is approved, done and verified, a note and the end.
func history(id run.ID) []run.Event {
	plan := &run.Plan{Summary: "push main", Effect: "destroy", Token: "main@41c9"}
	var events []run.Event
	add := func(kind run.Kind, step string, attempt int, body any) {
		n := int64(len(events) + 1)
		events = append(events, run.Event{
			Run: id, Seq: n, At: start.Add(time.Duration(n) * time.Second), Kind: kind, Step: step, Attempt: attempt, Body: body,
		})
	}
	add(run.RunStarted, "", 0, run.Started{
		Mode: run.Live, Book: "accidental-force-push", Title: "Undo an accidental force push", Level: 2, Digest: "d1",
		Params: map[string]string{"branch": "main"}, By: "ada", Host: "h", Version: "1",
		Steps: []run.Outline{{ID: "push", Title: "Push", Action: "git.push", Effect: "destroy"}},
	})
	add(run.GateOpened, "push", 0, run.Gate{Kind: run.Token, Plan: plan, Digest: "p1", Token: "main@41c9"})
	add(run.GateAnswered, "push", 0, run.Answer{Gate: 2, Verb: run.Approve, By: "ada", Digest: "p1", Token: "main@41c9"})
	add(run.StepBegan, "push", 1, run.Began{Action: "git.push", Digest: "p1", Gate: 3, Plan: plan})
	add(run.StepFinished, "push", 1, run.Finished{Evidence: "main is 41c9 -> 8d02", Save: "pushed", Outputs: map[string]any{"commit": "8d02"}})
	add(run.StepVerified, "push", 1, run.Verdict{Evidence: "remote agrees"})
	add(run.NoteAdded, "", 0, run.Note{By: "ada", Text: "done"})
	add(run.RunEnded, "", 0, run.Ended{Outcome: run.Complete, By: "ada"})
	return events
}

// private home for a journal, as an installation has it.
func place(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "journal.db")
}

func quick() options {
	o := defaults()
	o.busy, o.poll = 100*time.Millisecond, time.Millisecond
	return o
}

func opened(t testing.TB, path string) *Journal {
	t.Helper()
	j, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func appended(t testing.TB, j *Journal, events ...run.Event) {
	t.Helper()
	for _, ev := range events {
		if err := j.Append(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAppendAndLoad(t *testing.T) {
	path := place(t)
	j := opened(t, path)
	a, b := history("20261124T030005Z-7F3A"), history("20261124T040005Z-11AB")
	for i := range a {
		appended(t, j, a[i], b[i])
	}
	for _, want := range [][]run.Event{a, b} {
		got, err := j.Load(t.Context(), want[0].Run)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("loaded %v, %v", got, err)
		}
	}
	if got, err := j.Since(t.Context(), a[0].Run, 6); err != nil || !reflect.DeepEqual(got, a[6:]) {
		t.Errorf("since 6: %v, %v", got, err)
	}
	for _, after := range []int64{8, 9, 1 << 62} {
		if got, err := j.Since(t.Context(), a[0].Run, after); err != nil || len(got) != 0 {
			t.Errorf("since %d: %v, %v", after, got, err)
		}
	}
	if got, err := j.Load(t.Context(), "none"); err != nil || len(got) != 0 {
		t.Errorf("unknown run: %v, %v", got, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"journal.db", "journal.head"} {
		if info, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	ro, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	if got, err := ro.Load(t.Context(), a[0].Run); err != nil || len(got) != len(a) {
		t.Errorf("read-only: %d events, %v", len(got), err)
	}
	if err := ro.Append(t.Context(), a[0]); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only append: %v", err)
	}
	report, err := ro.Verify(t.Context())
	if err != nil || report.Events != 16 || report.Runs != 2 || report.Witness != 16 || report.Bytes < 1000 || len(report.Head) != 64 {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestFilesOfTheDatabaseAreClosedToOthers(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := place(t)
	j := opened(t, path)
	appended(t, j, history("r-1")...)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) < 3 {
		t.Fatalf("%v %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	j := opened(t, place(t))
	events := history("r-1")
	appended(t, j, events[:3]...)
	at := func(seq int64) run.Event { ev := events[3]; ev.Seq = seq; return ev }
	late := events[3]
	late.At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	second := events[0]
	second.Run, second.Kind, second.Body = "r-2", run.NoteAdded, run.Note{}
	for _, tt := range []struct {
		name     string
		ev       run.Event
		conflict bool
	}{
		{"again", events[2], true}, {"start again", events[0], true}, {"gap", at(5), true}, {"zero", at(0), true}, {"negative", at(-1), true},
		{"largest", at(1<<63 - 1), true}, {"a run without a start", second, false}, {"a time that cannot be read again", late, false}, {"unknown kind", run.Event{Run: "r-1", Seq: 4, Kind: "x", Body: 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := j.Append(t.Context(), tt.ev); err == nil || errors.Is(err, ErrConflict) != tt.conflict {
				t.Errorf("error %v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Append(ctx, events[3]); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	appended(t, j, events[3:]...) // a refusal breaks nothing
	if report, err := j.Verify(t.Context()); err != nil || report.Events != 8 {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestRunsAndFind(t *testing.T) {
	j := opened(t, place(t))
	ids := []run.ID{"20261124T030005Z-AAAA", "20261124T030006Z-BBBB", "20261124T030007Z-AAAA", "20261124T030008Z-CCCC", "20261124T030009Z-CCCC", "20261124T030010Z-CCCC"}
	for i, id := range ids {
		events := history(id)
		if i == 1 || i == 2 { // these stay open
			events = events[:4]
		}
		appended(t, j, events...)
	}
	list, err := j.Runs(t.Context(), 0)
	if err != nil || len(list) != len(ids) {
		t.Fatalf("%v, %v", list, err)
	}
	var order []string
	for _, s := range list {
		order = append(order, string(s.ID[14:]))
	}
	if got, want := strings.Join(order, " "), "7Z-AAAA 6Z-BBBB 0Z-CCCC 9Z-CCCC 8Z-CCCC 5Z-AAAA"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	events := history(ids[0])
	started := events[0].Body.(run.Started)
	started.Steps = nil
	want := Summary{ID: ids[0], Started: started, Steps: 1, First: events[0].At, Last: events[7].At, Seq: 8, Kind: run.RunEnded, Outcome: run.Complete,
		Ended: events[7].At, Place: list[5].Place}
	if got := list[5]; !reflect.DeepEqual(got, want) {
		t.Errorf("summary %+v, want %+v", got, want)
	}
	if got := list[0]; !got.Open() || got.Kind != run.StepBegan || got.Seq != 4 {
		t.Errorf("open run %+v", got)
	}
	if list, err := j.Runs(t.Context(), 2); err != nil || len(list) != 2 {
		t.Errorf("two: %v, %v", list, err)
	}
	for _, tt := range []struct{ name, want, message string }{
		{"bbbb", string(ids[1]), ""},
		{"AAAA", string(ids[2]), ""}, // the open one
		{string(ids[0]), string(ids[0]), ""},
		{strings.ToLower(string(ids[4])), string(ids[4]), ""},
		{"CCCC", "", string(ids[5]) + " (accidental-force-push, complete), " + string(ids[4])},
		{"DDDD", "", "no such run"}, {"", "", "no such run"}, {"%", "", "no such run"}, {"' OR 1=1 --", "", "no such run"},
	} {
		got, err := j.Find(t.Context(), tt.name)
		if string(got) != tt.want || (err == nil) != (tt.message == "") || err != nil && !strings.Contains(err.Error(), tt.message) {
			t.Errorf("Find(%q) = %q, %v", tt.name, got, err)
		}
		if err != nil && len(hint.All(err)) != 1 {
			t.Errorf("Find(%q): advice %q", tt.name, hint.All(err))
		}
	}
}

func TestFollow(t *testing.T) {
	path := place(t)
	mine, err := open(t.Context(), path, quick())
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	other := opened(t, path)
	events := history("r-1")
	appended(t, mine, events[:3]...)
	end := errors.New("seen enough")
	var got []run.Event
	done := make(chan error, 1)
	three := make(chan bool)
	go func() {
		done <- mine.Follow(t.Context(), "r-1", 1, func(ev run.Event) error {
			if got = append(got, ev); ev.Seq == 3 {
				close(three)
			}
			if ev.Kind == run.RunEnded {
				return end
			}
			return nil
		})
	}()
	<-three
	appended(t, other, events[3:5]...) // by another process
	appended(t, mine, events[5:]...)   // and through the same handle
	if err := <-done; err != end || !reflect.DeepEqual(got, events[1:]) {
		t.Errorf("followed %d events, %v", len(got), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := mine.Follow(ctx, "r-1", 8, func(run.Event) error { return end }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// Of several that append the same event one wins, whether they share a process or not.
func TestOneWinnerPerSequence(t *testing.T) {
	path := place(t)
	first := opened(t, path)
	appended(t, first, history("r-1")[0])
	const rounds, handles = 40, 4
	var wg sync.WaitGroup
	var mu sync.Mutex
	wins := map[int64]int{}
	for i := range handles {
		j := opened(t, path)
		wg.Go(func() {
			for seq := int64(2); seq < rounds; seq++ {
				err := j.Append(t.Context(), run.Event{Run: "r-1", Seq: seq, At: start, Kind: run.NoteAdded, Body: run.Note{By: fmt.Sprint(i)}})
				switch {
				case err == nil:
					mu.Lock()
					wins[seq]++
					mu.Unlock()
				case !errors.Is(err, ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for seq := int64(2); seq < rounds; seq++ {
		if wins[seq] != 1 {
			t.Errorf("event %d was appended %d times", seq, wins[seq])
		}
	}
	if report, err := first.Verify(t.Context()); err != nil || report.Events != rounds-1 {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestBusy(t *testing.T) {
	path := place(t)
	holder := opened(t, path)
	j, err := open(t.Context(), path, quick())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := exec(t.Context(), holder.write, "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	err = j.Append(t.Context(), history("r-1")[0])
	if !errors.Is(err, ErrBusy) || len(hint.All(err)) != 1 || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, advice %q", err, hint.All(err))
	}
	if err := exec(t.Context(), holder.write, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	appended(t, j, history("r-1")...) // it was not stored, and nothing is broken
}

// After an unclear append nothing more is appended through the same handle (fault F20).
func TestUnclearAppendStops(t *testing.T) {
	path := place(t)
	j := opened(t, path)
	events := history("r-1")
	appended(t, j, events[0])
	if err := exec(t.Context(), j.write, "CREATE TEMP TRIGGER t BEFORE INSERT ON main.events WHEN new.seq = 2 BEGIN SELECT raise(ABORT, 'the disk failed'); END"); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), events[1]); err == nil || errors.Is(err, ErrConflict) {
		t.Errorf("error %v", err)
	}
	if err := exec(t.Context(), j.write, "DROP TRIGGER t"); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), events[1]); err == nil || !strings.Contains(err.Error(), "stopped after an earlier error") {
		t.Errorf("error %v", err)
	}
	appended(t, opened(t, path), events[1:]...)
}

func TestDump(t *testing.T) {
	j := opened(t, place(t))
	events := history("r-1")
	appended(t, j, events...)
	var b bytes.Buffer
	must(t, j.Dump(t.Context(), &b))
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	var top struct {
		Events int    `json:"events"`
		Chain  string `json:"chain"`
	}
	if err := json.Unmarshal([]byte(lines[0]), &top); err != nil || top.Events != 8 || len(lines) != 9 {
		t.Fatalf("%s, %v, %d lines", lines[0], err, len(lines))
	}
	for i, line := range lines[1:] {
		data, err := run.Encode(events[i])
		must(t, err)
		if !strings.Contains(line, `"event":`+string(data)+"}") {
			t.Errorf("line %d does not hold the stored bytes: %s", i+1, line)
		}
	}
	if !strings.Contains(lines[8], `"chain":"`+top.Chain+`"`) {
		t.Error("the last chain value is not that of the head")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full")
	}
	defer full.Close()
	if err := j.Dump(t.Context(), full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
