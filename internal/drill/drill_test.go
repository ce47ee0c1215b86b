package drill_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
	"lifeboat/runbooks"
)

// shipped are the rehearsals that Lifeboat brings.
func shipped(t *testing.T) *drill.Library {
	t.Helper()
	lib := drill.NewLibrary(runbook.NamedFS{FS: runbooks.FS})
	for _, p := range lib.Problems() {
		t.Error(p)
	}
	return lib
}

func TestFind(t *testing.T) {
	lib := shipped(t)
	for _, name := range lib.Names() {
		if s, err := lib.Find(name); err != nil || s.Name != name {
			t.Errorf("Find(%q) = %q, %v", name, s.Name, err)
		}
	}
	for typed, want := range map[string]string{
		"acidental-force-push": "did you mean \"accidental-force-push\"?",
		"verify-bakcups":       "did you mean \"verify-backups\"?",
		"zzz":                  "there are accidental-force-push",
		"":                     "there are",
	} {
		_, err := lib.Find(typed)
		if err == nil || !strings.Contains(strings.Join(hint.All(err), " "), want) {
			t.Errorf("Find(%q): %v, advice %q, want %q", typed, err, hint.All(err), want)
		}
	}
}

// TestScenariosFit holds the data against the runbooks that it names.
func TestScenariosFit(t *testing.T) {
	books := runbook.NewLibrary(runbook.NamedFS{FS: runbooks.FS})
	for _, s := range shipped(t).All() {
		for _, p := range s.Check(books.Get) {
			t.Error(p)
		}
		if s.RTO == 0 {
			t.Errorf("%s: how long may it take?", s.File)
		}
	}
}

// TestRunbooksNeedGitAlone: a machine on which everything has to be put up again has git,
// and Lifeboat. A recovery that asks for more is refused there, in the worst hour.
func TestRunbooksNeedGitAlone(t *testing.T) {
	books := runbook.NewLibrary(runbook.NamedFS{FS: runbooks.FS})
	for _, name := range books.Names() {
		book, err := books.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, tool := range book.Meta.Tools {
			if tool != "git" {
				t.Errorf("%s needs %q", name, tool)
			}
		}
	}
}

// open is a run that waits at a gate of its only step.
func open(g run.Gate, step run.Step) run.Run {
	g.Seq = 7
	if g.Kind != run.Closing {
		g.Step = "push"
		step.ID = "push"
	}
	return run.Run{ID: "20261124T030005Z-7F3A", Seq: 7, Started: run.Started{Mode: run.Drill}, Steps: []run.Step{step}, Gate: &g}
}

func options(verbs ...run.Verb) []run.Option {
	var out []run.Option
	for _, v := range verbs {
		out = append(out, run.Option{Verb: v, Key: "debt-step"})
	}
	return out
}

var trainee = drill.Scenario{Answers: map[string]string{"push": "as the scenario says", "Which tip?": "9bd0e27"}}

func TestAutoAnswers(t *testing.T) {
	probed := func(f run.Finding) run.Step { return run.Step{Probe: &run.Probe{Finding: f, Means: "It did."}} }
	for name, c := range map[string]struct {
		scenario drill.Scenario
		gate     run.Gate
		step     run.Step
		want     run.Answer
	}{
		"confirm": {gate: run.Gate{Kind: run.Confirm, Digest: "d1"}, want: run.Answer{Verb: run.Approve, Digest: "d1"}},
		"token": {gate: run.Gate{Kind: run.Token, Digest: "d2", Token: " main@3f2a1c9"},
			want: run.Answer{Verb: run.Approve, Digest: "d2", Token: " main@3f2a1c9"}},
		"checklist": {scenario: trainee,
			gate: run.Gate{Kind: run.Checklist, Items: []run.Item{{Text: "Tell them"}, {Text: "Who?", Observe: true}, {Text: "Which tip?", Observe: true, Expect: "x"}, {Text: "Rows", Observe: true, Expect: "3"}}},
			want: run.Answer{Verb: run.Give, Values: []string{"seen in the rehearsal", "as the scenario says", "9bd0e27", "3"}}},
		"checklist nobody thought of": {gate: run.Gate{Kind: run.Checklist, Items: []run.Item{{Text: "Who?", Observe: true}}},
			want: run.Answer{Verb: run.Give, Values: []string{"seen in the rehearsal"}}},
		"choice by recommendation": {gate: run.Gate{Kind: run.Choice, Options: []run.Option{{Verb: run.Give, Key: "a"}, {Verb: run.Give, Key: "b"}}},
			want: run.Answer{Verb: run.Give, Values: []string{"a"}}},
		"choice by scenario": {scenario: drill.Scenario{Answers: map[string]string{"push": "b"}},
			gate: run.Gate{Kind: run.Choice, Options: []run.Option{{Verb: run.Give, Key: "a"}, {Verb: run.Give, Key: "b"}}},
			want: run.Answer{Verb: run.Give, Values: []string{"b"}}},
		"input":         {scenario: trainee, gate: run.Gate{Kind: run.Input}, want: run.Answer{Verb: run.Give, Values: []string{"as the scenario says"}}},
		"first failure": {gate: run.Gate{Kind: run.Decision, Options: options(run.Retry, run.Abandon)}, step: run.Step{Attempt: 1}, want: run.Answer{Verb: run.Retry}},
		"failure after a restart": {gate: run.Gate{Kind: run.Decision, Prompt: "no disk", Options: options(run.Retry, run.Abandon)}, step: run.Step{Attempt: 2},
			want: run.Answer{Verb: run.Abandon, Class: run.NotPossible, Reason: "the step failed twice: no disk"}},
		"doubt, it happened": {gate: run.Gate{Kind: run.Doubt, Options: options(run.Settle, run.Retry)}, step: probed(run.Applied),
			want: run.Answer{Verb: run.Settle, Reason: "the probe says applied. It did."}},
		"doubt, it did not, retry": {gate: run.Gate{Kind: run.Doubt, Options: options(run.Retry, run.Override)}, step: probed(run.NotApplied),
			want: run.Answer{Verb: run.Retry, Target: "push", Reason: "the probe says not-applied. It did."}},
		"doubt, it did not, reopen": {gate: run.Gate{Kind: run.Doubt, Options: options(run.Reopen)}, step: probed(run.NotApplied),
			want: run.Answer{Verb: run.Reopen, Target: "push", Reason: "the probe says not-applied. It did."}},
		"doubt, unknown": {gate: run.Gate{Kind: run.Doubt, Options: options(run.Reprobe, run.Settle, run.Retry)}, step: probed(run.Unknown),
			want: run.Answer{Verb: run.Abandon, Class: run.NotPossible, Reason: "the probe says unknown. It did."}},
		"doubt, not looked": {gate: run.Gate{Kind: run.Doubt, Options: options(run.Reprobe, run.Settle)}, want: run.Answer{Verb: run.Reprobe}},
		"closing":           {gate: run.Gate{Kind: run.Closing, Options: options(run.Finish, run.Reopen)}, want: run.Answer{Verb: run.Finish}},
		"closing with a debt": {gate: run.Gate{Kind: run.Closing, Options: options(run.Reopen, run.Settle)},
			want: run.Answer{Verb: run.Reopen, Target: "debt-step"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := drill.NewAuto(c.scenario).Ask(t.Context(), open(c.gate, c.step), "")
			if err != nil {
				t.Fatal(err)
			}
			c.want.Gate, c.want.By, c.want.How = 7, "rehearsal", "drill"
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAutoGivesUp(t *testing.T) {
	a := drill.NewAuto(trainee)
	gate := run.Gate{Kind: run.Decision, Options: options(run.Retry, run.Abandon)}
	for i, want := range []run.Verb{run.Retry, run.Abandon, run.Abandon} {
		// A step that fails while it is planned never gets an attempt.
		if got, err := a.Ask(t.Context(), open(gate, run.Step{}), ""); err != nil || got.Verb != want {
			t.Errorf("failure %d: %q, %v, want %q", i+1, got.Verb, err, want)
		}
	}
	debt := open(run.Gate{Kind: run.Closing, Prompt: "Still open: protection", Options: options(run.Reopen, run.Settle)}, run.Step{})
	if got, err := a.Ask(t.Context(), debt, ""); err != nil || got.Verb != run.Reopen {
		t.Errorf("first closing: %q, %v", got.Verb, err)
	}
	if got, err := a.Ask(t.Context(), debt, ""); !errors.Is(err, engine.ErrPerson) {
		t.Errorf("second closing: %q, %v", got.Verb, err)
	}
	if got, err := drill.NewAuto(drill.Scenario{Expect: run.NotComplete}).Ask(t.Context(), open(
		run.Gate{Kind: run.Decision, Options: options(run.Retry, run.Finish, run.Abandon)}, run.Step{Attempt: 2}), ""); err != nil || got.Verb != run.Finish {
		t.Errorf("a failure that the scenario expects: %q, %v", got.Verb, err)
	}
	owed := drill.NewAuto(trainee)
	for i, want := range []run.Verb{run.Reopen, run.Undo, ""} {
		got, err := owed.Ask(t.Context(), open(run.Gate{Kind: run.Closing, Options: options(run.Settle, run.Undo, run.Reopen)}, run.Step{}), "")
		if got.Verb != want || errors.Is(err, engine.ErrPerson) != (want == "") {
			t.Errorf("debt, answer %d: %q, %v, want %q", i+1, got.Verb, err, want)
		}
	}
	doubt := open(run.Gate{Kind: run.Doubt, Options: options(run.Reprobe, run.Settle)}, run.Step{})
	for i, want := range []run.Verb{run.Reprobe, run.Abandon} {
		if got, err := a.Ask(t.Context(), doubt, ""); err != nil || got.Verb != want {
			t.Errorf("doubt %d: %q, %v, want %q", i+1, got.Verb, err, want)
		}
	}
}

func TestAutoRefuses(t *testing.T) {
	confirm := run.Gate{Kind: run.Confirm, Digest: "d"}
	live, dry, closed := open(confirm, run.Step{}), open(confirm, run.Step{}), open(confirm, run.Step{})
	live.Started.Mode, dry.Started.Mode, closed.Gate = run.Live, run.Dry, nil
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx     context.Context
		r       run.Run
		refused string
		want    error
	}{
		"a live run":            {t.Context(), live, "", drill.ErrNoDrill},
		"a dry run":             {t.Context(), dry, "", drill.ErrNoDrill},
		"no gate":               {t.Context(), closed, "", engine.ErrPerson},
		"refused":               {t.Context(), open(confirm, run.Step{}), "the token is other", drill.ErrRefused},
		"a token gate without":  {t.Context(), open(run.Gate{Kind: run.Token}, run.Step{}), "", engine.ErrPerson},
		"a secret":              {t.Context(), open(run.Gate{Kind: run.Input, Secret: true}, run.Step{}), "", engine.ErrPerson},
		"a choice that is none": {t.Context(), open(run.Gate{Kind: run.Choice, Options: options(run.Give)}, run.Step{}), "", engine.ErrPerson},
		"an empty choice":       {t.Context(), open(run.Gate{Kind: run.Choice}, run.Step{}), "", engine.ErrPerson},
		"an unknown gate":       {t.Context(), open(run.Gate{Kind: "vote"}, run.Step{}), "", engine.ErrPerson},
		"cancelled":             {cancelled, open(confirm, run.Step{}), "", context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := drill.NewAuto(trainee).Ask(c.ctx, c.r, c.refused)
			if !errors.Is(err, c.want) {
				t.Errorf("Ask = %+v, %v, want %v", got, err, c.want)
			}
			if got.Verb != "" || got.Token != "" {
				t.Errorf("an answer came with the error: %+v", got)
			}
		})
	}
}

func TestScore(t *testing.T) {
	s := drill.Scenario{Name: "x", Title: "A title", Breakage: sandbox.ForcePush, RTO: time.Hour, RPO: time.Minute}
	good := sandbox.Verdict{Breakage: sandbox.ForcePush, Recovered: true, Checks: []sandbox.Check{{Text: "main is back", OK: true, Evidence: "14 of 14"}}}
	bad := sandbox.Verdict{Breakage: sandbox.ForcePush, Checks: []sandbox.Check{{Text: "main is back", Evidence: "9 of 14"}},
		Lost: []string{"commit 3f2a1c9 \x1b[31m\"demo\"\n"}, Kept: []string{"commit 9bd0e27: in the vault"}}
	lost := func(d time.Duration) sandbox.Verdict {
		v := good
		v.Loss = &d
		return v
	}
	ended := func(o run.Outcome) run.Run {
		return run.Run{ID: "20261124T030005Z-7F3A", Outcome: o, Steps: []run.Step{{State: run.Verified}, {State: run.Pending}}}
	}
	for name, c := range map[string]struct {
		r    run.Run
		v    sandbox.Verdict
		took time.Duration
		why  []string
	}{
		"passed":               {ended(run.Complete), good, 4200 * time.Millisecond, nil},
		"overrides":            {ended(run.CompleteWithOverrides), good, time.Hour, []string{`the run is "complete with overrides", and it should be "complete"`}},
		"aborted":              {ended(run.Aborted), good, time.Minute, []string{`the run is "aborted", and it should be "complete"`}},
		"not complete":         {ended(run.NotComplete), good, time.Minute, []string{`the run is "not complete", and it should be "complete"`}},
		"open":                 {ended(""), good, time.Minute, []string{`the run is "still open", and it should be "complete"`}},
		"late":                 {ended(run.Complete), good, time.Hour + time.Second, []string{"it took 1h0m1s, the promise is 1h"}},
		"as much as may be":    {ended(run.Complete), lost(time.Minute), time.Minute, nil},
		"too much is lost":     {ended(run.Complete), lost(61 * time.Second), time.Minute, []string{"what was written in 1m1s is lost, the promise is 1m"}},
		"not recovered":        {ended(run.Complete), bad, time.Minute, []string{"the oracle finds it not recovered: 1 of 1 checks fail"}},
		"nothing was broken":   {ended(run.Complete), sandbox.Verdict{Recovered: true}, time.Minute, []string{`the sandbox suffered "" and not "force-push", so this proves nothing`}},
		"everything was wrong": {ended(run.Aborted), bad, 2 * time.Hour, []string{`the run is "aborted", and it should be "complete"`, "the oracle finds it not recovered: 1 of 1 checks fail", "it took 2h, the promise is 1h"}},
	} {
		t.Run(name, func(t *testing.T) {
			res := drill.Score(s, c.r, c.v, c.took)
			if res.Passed != (len(c.why) == 0) {
				t.Errorf("passed: %v", res.Passed)
			}
			if diff := cmp.Diff(c.why, res.Why); diff != "" {
				t.Errorf("why (-want +got):\n%s", diff)
			}
		})
	}
	want := []string{
		"DRILL PASSED  x: A title",
		"  run        7F3A, complete, 1 of 2 steps",
		"  took       4.2s of 1h",
		"  recovered  yes, says the oracle",
		"    ok     main is back: 14 of 14",
		"  lost       nothing",
	}
	if diff := cmp.Diff(want, drill.Score(s, ended(run.Complete), good, 4200*time.Millisecond).Lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text := strings.Join(drill.Score(s, ended(run.Complete), bad, time.Minute).Lines(), "\n")
	for _, part := range []string{"DRILL NOT PASSED", "  because the oracle", "recovered  no", "FAILED main is back: 9 of 14", "lost       commit 3f2a1c9", "kept       commit 9bd0e27: in the vault"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	if strings.ContainsRune(text, 0x1b) || strings.Count(text, "\n") != 7 {
		t.Errorf("hostile text came through:\n%q", text)
	}
}

// A target that something writes to without a pause opens its gate anew for ever. The
// trainee does not play along for ever.
func TestAutoIsBounded(t *testing.T) {
	for _, kind := range []run.GateKind{run.Confirm, run.Token} {
		a := drill.NewAuto(trainee)
		gate := run.Gate{Kind: kind, Token: "main@3f2a1c9"}
		approved := 0
		for range 100 {
			got, err := a.Ask(t.Context(), open(gate, run.Step{}), "")
			if err != nil {
				t.Fatal(err)
			}
			if got.Verb == run.Abandon {
				break
			}
			approved++
		}
		if approved == 0 || approved > 10 {
			t.Errorf("%s: approved %d times", kind, approved)
		}
	}
	undo := open(run.Gate{Kind: run.Confirm, Undo: true}, run.Step{})
	a := drill.NewAuto(trainee)
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		_, err = a.Ask(t.Context(), undo, "")
	}
	if !errors.Is(err, engine.ErrPerson) {
		t.Errorf("an undo whose gate opens anew for ever: %v", err)
	}
}
