package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/run"
	"lifeboat/internal/runner"
)

// pastBackend is a backend on a state of its own, with n runs in its journal, the newest
// last; every third one is a drill.
func pastBackend(t testing.TB, n int) (*backend, []run.ID) {
	t.Helper()
	dir := t.TempDir()
	now := time.Date(2026, 11, 24, 9, 40, 0, 0, time.UTC)
	env := environment{ctx: t.Context(), stdout: io.Discard, stderr: io.Discard, dir: dir, user: "ada", host: "h",
		get: func(string) string { return "" }, now: func() time.Time { return now }}
	w, err := open(env, settings{state: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close() })
	var ids []run.ID
	for i := range n {
		at := now.Add(time.Duration(i-n) * time.Hour)
		id := run.ID(fmt.Sprintf("%s-%04X", at.Format("20060102T150405Z"), i))
		mode := run.Live
		if i%3 == 2 {
			mode = run.Drill
		}
		for k, body := range []any{run.Started{Mode: mode, Book: "accidental-force-push", By: "ada", RTO: time.Hour},
			run.Note{By: "ada", Text: "| [x](y) \x1b[31m"}, run.Ended{Outcome: run.Complete, By: "ada"}} {
			kind := []run.Kind{run.RunStarted, run.NoteAdded, run.RunEnded}[k]
			if err := w.journal.Append(t.Context(), run.Event{Run: id, Seq: int64(k + 1), At: at.Add(time.Duration(k*10) * time.Minute), Kind: kind, Body: body}); err != nil {
				t.Fatal(err)
			}
		}
		ids = append(ids, id)
	}
	return &backend{world: w, client: runner.Client{Files: w.files}}, ids
}

func TestHistoryOfTheBackend(t *testing.T) {
	b, ids := pastBackend(t, 7)
	var got []run.ID
	for behind := int64(-1); behind != 0; {
		list, more, err := b.History(t.Context(), max(behind, 0), 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.Took() != 20*time.Minute || r.Kind != "recovery" {
				t.Errorf("%+v", r)
			}
			got = append(got, r.ID)
		}
		behind = more
	}
	if len(got) != 7 || got[0] != ids[6] || got[6] != ids[0] {
		t.Errorf("%v", got)
	}
	m, err := b.Metrics(t.Context())
	if err != nil || m.Year.Counts.Live != 5 || m.Year.Drills.Of != 2 || m.Month.RTO.Good != 7 || len(m.Year.Months) != 13 {
		t.Errorf("%+v, %v", m.Year, err)
	}
	if au := b.Audit(t.Context()); au.Err != nil || au.Events != 21 || au.Head == "" {
		t.Errorf("%+v", au)
	}
	rec, err := b.Record(t.Context(), ids[0])
	if err != nil || len(rec.Events) != 3 || len(rec.Proof) != 64 {
		t.Errorf("%+v, %v", rec, err)
	}
	if _, err := b.Record(t.Context(), "20260101T000000Z-FFFF"); err == nil {
		t.Error("a run that is not there has a record")
	}
	empty, _ := pastBackend(t, 0)
	if au := empty.Audit(t.Context()); !au.Empty || au.Err != nil {
		t.Errorf("%+v", au)
	}
}

// TestExport: the report lies beside the run, is written once, and takes the place of
// nothing: not of an older report, not of what a link leads to.
func TestExport(t *testing.T) {
	b, ids := pastBackend(t, 1)
	id := ids[0]
	dir := b.world.files.Run(id)
	export := func(want string, fresh bool) {
		t.Helper()
		path, isFresh, err := b.Export(t.Context(), id)
		if err != nil || filepath.Base(path) != want || isFresh != fresh || filepath.Dir(path) != dir {
			t.Fatalf("%q, %v, %v; want %s", path, isFresh, err, want)
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "## Record") || strings.Contains(string(text), "\x1b") {
			t.Fatalf("%q, %v", text, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	export("report.md", true)
	export("report.md", false)
	mine := []byte("I wrote this by hand.\n")
	if err := os.WriteFile(filepath.Join(dir, "report.md"), mine, 0o600); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "elsewhere")
	if err := errors.Join(os.Symlink(target, filepath.Join(dir, "report-2.md")), os.Mkdir(filepath.Join(dir, "report-3.md"), 0o700)); err != nil {
		t.Fatal(err)
	}
	export("report-4.md", true)
	export("report-4.md", false)
	if got, err := os.ReadFile(filepath.Join(dir, "report.md")); err != nil || string(got) != string(mine) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("something was written through a link")
	}
}
