package app

import (
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/run"
)

// mutantsVar asks for the mutants of every test; without it a few are played.
const mutantsVar = "LIFEBOAT_MUTANTS"

// sample are tests whose mutants are played each time: quick ones, of each kind of oracle.
var sample = []string{"merge-conflict.abort", "merge-conflict.by-hand", "protection-backup", "mirror-repository"}

// TestMutants tests the tests of the runbooks: a step that has no effect and says that it
// had has to be noticed, by a check of the step, by a later step or by the oracle. Each step
// that changes something is played twice so: with its checks, and as if nobody had written
// it, where only the oracle and the steps after it can see it.
func TestMutants(t *testing.T) {
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if env.exe, err = command.Look("lifeboat"); err != nil {
		t.Fatal(err)
	}
	tests, _, err := new(testFinder).find(nil)
	if err != nil {
		t.Fatal(err)
	}
	which := strings.Split(os.Getenv(mutantsVar), ",")
	for _, test := range tests {
		if !slices.Contains(sample, test.Name) && which[0] == "" || which[0] != "" && which[0] != "all" && !slices.Contains(which, test.Name) {
			continue
		}
		t.Run(test.Name, func(t *testing.T) {
			t.Parallel()
			mutate(t, env, t.TempDir(), test)
		})
	}
}

// mutate plays the mutants of one test.
func mutate(t *testing.T, env environment, state string, test bookTest) {
	honest := &witness{said: map[string]action.Result{}, checked: map[string]bool{}, failed: map[string]bool{}}
	test.liars = honest.listen
	res := playTest(env, state, test, false)
	if !res.passed() {
		t.Fatalf("not even the honest one passes: %+v", res.why)
	}
	for _, step := range honest.order {
		for _, blind := range []bool{false, true} {
			if blind && !honest.checked[step] {
				continue // without a check of its own both are the same
			}
			name := test.Name + "/" + step
			if blind {
				name += "/unchecked"
			}
			l := &liar{witness: honest, step: step, blind: blind, by: res.result.Run.ID}
			got := l.play(env, state, test)
			why, spared := spared[name]
			switch {
			case !l.lied:
				t.Errorf("%s: the step did not come: %+v", name, got.why)
			case got.passed() && !spared:
				t.Errorf("%s: nothing notices that this step did nothing", name)
			case !got.passed() && spared:
				t.Errorf("%s is noticed, and need not be spared (%s)", name, why)
			}
			t.Logf("%-60s %s", name, l.noticed(got))
		}
	}
}

// changes says whether a call has an effect.
func changes(plan action.Plan) bool {
	return plan.Effect != action.Read && !plan.Nothing
}

// witness keeps what the actions of a run say.
type witness struct {
	mu      sync.Mutex
	order   []string                 // steps that changed something
	said    map[string]action.Result // by them
	checked map[string]bool          // those that checks look at
	failed  map[string]bool          // those that are meant to fail
}

func (w *witness) listen(list []action.Action) []action.Action {
	out := slices.Clone(list)
	for i, a := range out {
		out[i] = a.Around(func(_ context.Context, env *action.Env, plan action.Plan, run func() (action.Result, error)) (action.Result, error) {
			res, err := run()
			w.mu.Lock()
			defer w.mu.Unlock()
			switch {
			case err != nil:
				w.failed[env.Step] = w.failed[env.Step] || !env.Glance
			case !changes(plan):
				w.checked[env.Step] = true // counts for steps that change something
			case !slices.Contains(w.order, env.Step):
				w.order = append(w.order, env.Step)
				fallthrough
			default:
				w.said[env.Step] = res
			}
			return res, err
		})
	}
	return out
}

// liar leaves out the effect of one step and says what an honest run has said. A blind one
// leaves out the checks of the step, too.
type liar struct {
	*witness // an honest one
	step     string
	blind    bool
	by       run.ID // of the honest run

	lied   bool
	caught string             // the step that failed of it
	stop   context.CancelFunc // by then nothing more is to be seen
}

// play plays the test with the lie in it.
func (l *liar) play(env environment, state string, test bookTest) testResult {
	env.ctx, l.stop = context.WithCancel(env.ctx)
	defer l.stop()
	test.liars = l.lie
	return playTest(env, state, test, false)
}

// noticed says who noticed it, for a reader.
func (l *liar) noticed(r testResult) string {
	switch {
	case r.passed():
		return "NOBODY"
	case l.caught == l.step:
		return "its check"
	case l.caught != "":
		return "step " + l.caught
	}
	for _, s := range r.result.Run.Steps {
		if s.Error != "" && !l.failed[s.ID] {
			return "step " + s.ID + ", before it did anything: " + s.Error
		}
	}
	return r.why[len(r.why)-1].Text
}

func (l *liar) lie(list []action.Action) []action.Action {
	out := slices.Clone(list)
	for i, a := range out {
		out[i] = a.Around(func(_ context.Context, env *action.Env, plan action.Plan, run func() (action.Result, error)) (action.Result, error) {
			ahead := env.Glance // of its effect, where a check has to fail
			switch here := env.Step == l.step; {
			case here && changes(plan):
				l.mu.Lock()
				defer l.mu.Unlock()
				l.lied = true
				return l.words(env), nil
			case here && l.blind && l.lied:
				return action.Result{Evidence: "not looked at"}, nil
			case here:
				env.Glance = true // what nobody has done does not come by waiting
			}
			res, err := run()
			l.mu.Lock()
			defer l.mu.Unlock()
			if err != nil && l.lied && !ahead && l.caught == "" && !l.failed[env.Step] {
				l.caught = env.Step
				l.stop()
			}
			return res, err
		})
	}
	return out
}

// words are what the honest run has said, with the name of this run in them.
func (l *liar) words(env *action.Env) action.Result {
	as := strings.NewReplacer(string(l.by), env.RunID, strings.ToLower(l.by.Short()), env.Run)
	res := l.said[l.step]
	res.Evidence, res.Back = as.Replace(res.Evidence), as.Replace(res.Back)
	res.Outputs, res.Facts = maps.Clone(res.Outputs), maps.Clone(res.Facts)
	for k, v := range res.Outputs {
		if s, ok := v.(string); ok {
			res.Outputs[k] = as.Replace(s)
		}
	}
	for k, v := range res.Facts {
		res.Facts[k] = as.Replace(v)
	}
	return res
}

// spared are the mutants that nobody needs to notice, each with the reason.
var spared = map[string]string{
	"auth-recovery/one-replica/unchecked":            transient,
	"security-breach/one-replica/unchecked":          transient,
	"branch-protection.lift/lift/unchecked":          transient,
	"config-rollback/clear-the-place-away/unchecked": thrownAway,
	"quarterly-simulation/database/unchecked":        thrownAway,
	"quarterly-simulation/auth/unchecked":            thrownAway,
	"quarterly-simulation/env/unchecked":             thrownAway,
	"quarterly-simulation/infrastructure/unchecked":  thrownAway,
	"quarterly-simulation/clear/unchecked":           thrownAway,
	"ci-failure/clear-the-place-away/unchecked":      thrownAway,
}

const (
	transient  = "what it does is taken back by a later step: only its own check can see it"
	thrownAway = "a copy beside the recovery that is in nobody's way: only its own check looks for it"
)
