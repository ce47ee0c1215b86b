package app

import (
	"io"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/run"
)

// TestScoreLeft: a drill whose host died between its end and its score is scored when
// somebody next comes to the sandbox, once, and not after the sandbox was made anew.
func TestScoreLeft(t *testing.T) {
	t.Parallel()
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	w, err := openState(env, settings{state: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.useSandbox(w.sandboxDir()); err != nil {
		t.Fatal(err)
	}
	sc, err := w.rehearsals().Find("merge-conflict.abort")
	if err != nil {
		t.Fatal(err)
	}
	play := func() run.ID {
		t.Helper()
		sc, err := w.stageAnew(t.Context(), sc)
		if err != nil {
			t.Fatal(err)
		}
		id, p, err := w.beginScenario(t.Context(), sc, sc.Runbook, drill.Cast{Trainee: "m.ito"}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.Open(t.Context(), w.config(drill.NewAuto(sc), w.files), p, id)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := e.Run(t.Context()); err != nil || r.Open() || r.Score != nil { // here the host dies
			t.Fatalf("%v, %q, %+v", err, r.Outcome, r.Score)
		}
		return id
	}
	come := func(id run.ID) run.Run {
		t.Helper()
		if err := w.useSandbox(w.sandboxDir()); err != nil {
			t.Fatal(err)
		}
		r, err := w.load(t.Context(), string(id))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := play()
	r := come(first)
	if r.Score == nil || !r.Score.Recovered {
		t.Fatalf("score %+v", r.Score)
	}
	if again := come(first); again.Seq != r.Seq {
		t.Errorf("it was judged again: %d events more", again.Seq-r.Seq)
	}
	second := play()
	if fresh, err := w.sandbox().Reset(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		w.box.Store(fresh)
	}
	if r := come(second); r.Score != nil {
		t.Errorf("judged by another sandbox: %+v", r.Score)
	}
}
