package journal

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/run"
)

// told builds the events of a run, one second apart.
type told struct {
	id     run.ID
	events []run.Event
}

func (h *told) add(kind run.Kind, step string, body any) *told {
	n := int64(len(h.events) + 1)
	ev := run.Event{Run: h.id, Seq: n, At: start.Add(time.Duration(n) * time.Second), Kind: kind, Step: step, Body: body}
	if kind == run.StepBegan {
		ev.Attempt = 1
		for _, e := range h.events {
			if e.Kind == run.StepBegan && e.Step == step {
				ev.Attempt++
			}
		}
	}
	h.events = append(h.events, ev)
	return h
}

// begin runs a step that only reads up to its effect, so that no gate is needed.
func (h *told) begin(step, action, asset string) *told {
	return h.add(run.StepBegan, step, run.Began{Action: action, Plan: &run.Plan{Effect: "read", Args: map[string]string{"asset": asset}}})
}

func nightly(id run.ID) *told {
	h := &told{id: id}
	return h.add(run.RunStarted, "", run.Started{Mode: run.Live, Book: "daily-backup", By: "cron", Steps: []run.Outline{
		{ID: "write", Action: "vault.backup", Effect: "read"}, {ID: "prove", Action: "vault.verify", Effect: "read"},
		{ID: "tell", Action: "notify.send", Effect: "read"}, {ID: "look", Hand: true},
	}})
}

func about(asset string, ok bool) run.Check {
	return run.Check{Text: asset + " has a new point", OK: ok, About: asset}
}

func second(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

func TestFacts(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  *told
		want Facts
	}{
		{"a night", nightly("r-1").
			begin("write", "vault.backup", "").
			add(run.StepFinished, "write", run.Finished{Checks: []run.Check{about("auth", true), about("booking", true)}}).
			add(run.StepVerified, "write", run.Verdict{}).
			begin("prove", "vault.verify", "auth").
			add(run.StepFinished, "prove", run.Finished{}).
			add(run.StepVerified, "prove", run.Verdict{}).
			begin("tell", "notify.send", "").
			add(run.StepFinished, "tell", run.Finished{Outputs: map[string]any{"told": int64(2), "dead": int64(1)}}).
			add(run.StepVerified, "tell", run.Verdict{}).
			add(run.StepSkipped, "look", run.Reason{Class: run.NotApplicable}).
			add(run.RunEnded, "", run.Ended{Outcome: run.Complete, Back: second(6)}).
			add(run.NoteAdded, "", run.Note{By: "ada", Text: "after the end"}), Facts{
			Told: 2, Untold: 1, Back: second(6),
			Backups: []Part{{"auth", true, second(3)}, {"booking", true, second(3)}}, Proofs: []Part{{"auth", true, second(6)}},
		}},
		{"one of two assets fails, then both are good", nightly("r-2").
			begin("write", "vault.backup", "").
			add(run.StepFailed, "write", run.Failure{Error: "no", Checks: []run.Check{about("auth", false), about("booking", true)}}).
			add(run.StepReopened, "write", run.Reason{}).
			begin("write", "vault.backup", "").
			add(run.StepFinished, "write", run.Finished{Checks: []run.Check{about("auth", true), about("booking", true)}}), Facts{
			Backups: []Part{{"auth", false, second(3)}, {"booking", true, second(3)}, {"auth", true, second(6)}, {"booking", true, second(6)}},
			Work:    map[string]work{"write": {Action: "vault.backup", Parts: 2}, "prove": {Action: "vault.verify"}, "tell": {Action: "notify.send"}},
		}},
		{"the vault is gone before anything is tried", nightly("r-3").
			add(run.StepFailed, "write", run.Failure{Error: "no vault"}).
			add(run.StepSkipped, "look", run.Reason{Class: run.NoTime}).
			add(run.RunEnded, "", run.Ended{Outcome: run.NotComplete}), Facts{
			Left: map[string]string{"look": "skipped"}, Backups: []Part{{"", false, second(2)}},
		}},
		{"a check after the effect fails", nightly("r-4").
			begin("write", "vault.backup", "auth").
			add(run.StepFinished, "write", run.Finished{Checks: []run.Check{about("auth", true)}}).
			add(run.StepFailed, "write", run.Failure{Error: "the copy differs", Check: true}).
			add(run.StepOverridden, "write", run.Reason{Class: run.Other, Text: "seen"}).
			add(run.RunEnded, "", run.Ended{Outcome: run.CompleteWithOverrides}), Facts{
			Left: map[string]string{"write": "overridden"}, Backups: []Part{{"auth", false, second(3)}},
		}},
		{"a condition that was not met is no exception", nightly("r-5").
			add(run.StepSkipped, "look", run.Reason{Class: run.NotApplicable}).
			add(run.StepSkipped, "tell", run.Reason{Class: run.NoTime}).
			add(run.StepReopened, "tell", run.Reason{}).
			add(run.DebtOpened, "", run.Debt{ID: "freeze", Text: "pushes are frozen"}).
			add(run.DebtOpened, "", run.Debt{ID: "scale", Text: "scaled to 0"}).
			add(run.DebtClosed, "", run.Debt{ID: "scale"}).
			add(run.LevelRaised, "", run.Raise{From: 0, To: 3}).
			add(run.RunEnded, "", run.Ended{Outcome: run.Aborted}), Facts{
			Level: 3, Left: map[string]string{}, Owed: map[string]string{"freeze": "pushes are frozen"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := opened(t, place(t))
			appended(t, j, tt.run.events...)
			list, err := j.Page(t.Context(), 0, 10)
			must(t, err)
			empty := cmp.FilterValues(func(a, b map[string]string) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())
			if diff := cmp.Diff(tt.want, list[0].Facts, empty); diff != "" {
				t.Error(diff)
			}
			must(t, j.Close())
			again := opened(t, j.path)
			if _, err := again.Verify(t.Context()); err != nil { // made again of what is stored
				t.Error(err)
			}
		})
	}
}

// TestPages: pieces of a list put together are the whole, without a run twice.
func TestPages(t *testing.T) {
	j := opened(t, place(t))
	for i := range 7 {
		appended(t, j, history(run.ID(fmt.Sprintf("r-%d", i)))[:1+i%2*7]...)
	}
	var got []run.ID
	for before := int64(0); ; {
		list, err := j.Page(t.Context(), before, 3)
		must(t, err)
		if len(list) == 0 {
			break
		}
		for _, s := range list {
			got = append(got, s.ID)
			before = s.Place
		}
	}
	if diff := cmp.Diff([]run.ID{"r-6", "r-5", "r-4", "r-3", "r-2", "r-1", "r-0"}, got); diff != "" {
		t.Error(diff)
	}
	if runs, events, err := j.Size(t.Context()); err != nil || runs != 7 || events != 4+3*8 {
		t.Errorf("%d runs, %d events, %v", runs, events, err)
	}
}

// TestOlderFacts: a journal of an older schema gets its facts when it is opened, and again
// after an older Lifeboat, that was at work already, has added to it.
func TestOlderFacts(t *testing.T) {
	path := place(t)
	j := opened(t, path)
	night := nightly("r-2").begin("write", "vault.backup", "auth").add(run.StepFinished, "write", run.Finished{})
	appended(t, j, history("r-1")...)
	appended(t, j, night.events...)
	want, err := j.Page(t.Context(), 0, 10)
	must(t, err)
	must(t, j.Close())
	for name, query := range map[string]string{
		"schema 2":   "DROP INDEX runs_first; DROP INDEX runs_stale; ALTER TABLE runs DROP COLUMN facts; ALTER TABLE runs DROP COLUMN upto; PRAGMA user_version = 2",
		"an old run": "UPDATE runs SET facts = '{}', upto = 1",
	} {
		alter(t, path, query)
		ro, err := OpenReadOnly(t.Context(), path)
		must(t, err)
		if list, err := ro.Page(t.Context(), 0, 10); err != nil || len(list) != 2 || list[0].Facts.Backups != nil {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
		must(t, ro.Close())
		j = opened(t, path)
		got, err := j.Page(t.Context(), 0, 10)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(name, diff)
		}
		must(t, j.Close())
	}
	// While it is open.
	j = opened(t, path)
	must(t, exec(t.Context(), j.write, "UPDATE runs SET facts = '{}', upto = 1"))
	appended(t, j, night.add(run.StepFailed, "write", run.Failure{Error: "late"}).events[3])
	got, err := j.Page(t.Context(), 0, 1)
	must(t, err)
	if diff := cmp.Diff([]Part{{"auth", false, second(3)}}, got[0].Facts.Backups); diff != "" {
		t.Error(diff)
	}
}

// TestProof: the proof of a run is the hash that its next event would be chained to.
func TestProof(t *testing.T) {
	j := opened(t, place(t))
	events := history("r-1")
	appended(t, j, events...)
	var link []byte
	for _, ev := range events {
		data, err := run.Encode(ev)
		must(t, err)
		link = linkOf(ev.Run, ev.Seq, link, data)
	}
	if got, err := j.Proof(t.Context(), "r-1"); err != nil || got != fmt.Sprintf("%x", link) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := j.Proof(t.Context(), "r-2"); err == nil {
		t.Error("a run that is not there has a proof")
	}
}
