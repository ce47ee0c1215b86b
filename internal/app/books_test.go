package app

import (
	"cmp"
	"io"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
)

// TestRunbooks plays every test of every runbook that Lifeboat brings, each in a sandbox
// of its own, and refuses a runbook that has none.
func TestRunbooks(t *testing.T) {
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if env.exe, err = command.Look("lifeboat"); err != nil { // what keeps a sandbox alive is this program, started once more
		t.Fatal(err)
	}
	tests, untested, err := new(testFinder).find(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range untested {
		t.Errorf("runbook %q has no test", name)
	}
	state := t.TempDir()
	var out testOutput
	t.Run("play", func(t *testing.T) {
		turn := make(chan struct{}, 1)
		turn <- struct{}{}
		for _, test := range tests {
			t.Run(test.Name, func(t *testing.T) {
				t.Parallel()
				test.liars = func(list []action.Action) []action.Action { return slow(t, list) }
				res := playTest(env, state, test, false)
				for _, f := range res.why {
					t.Error(f.Text)
				}
				if !res.passed() {
					t.Logf("%s", res.output)
				}
				t.Log(res.measured())
				<-turn
				out.all = append(out.all, res)
				turn <- struct{}{}
			})
		}
	})
	for _, text := range out.needless() {
		t.Error(text)
	}
}

// slow are the actions in the hands of somebody who thinks before they answer: what an
// approval is bound to must be the same minutes later, or no person ever gets through the
// gate. A script that answers at once would never notice.
func slow(t *testing.T, list []action.Action) []action.Action {
	bound := func(p action.Plan) []any { return []any{p.Effect, p.Target, p.Token, p.Facts, p.Command} }
	out := slices.Clone(list)
	for i, a := range out {
		out[i] = a.AroundPlan(func(env *action.Env, plan func() (action.Plan, error)) (action.Plan, error) {
			first, err := plan()
			first.Effect = cmp.Or(first.Effect, a.Effect)
			if err != nil || first.Effect != action.Destroy || first.Nothing {
				return first, err // only what destroys is looked at again behind its gate
			}
			now := env.Now
			env.Now = func() time.Time { return now().Add(10 * time.Minute) }
			second, err := plan()
			env.Now = now
			if err == nil {
				second.Effect = cmp.Or(second.Effect, a.Effect)
				if diff := gocmp.Diff(bound(first), bound(second)); diff != "" {
					t.Errorf("step %s: %s plans something else ten minutes later (-now +then):\n%s", env.Step, a.Name, diff)
				}
			}
			return first, nil
		})
	}
	return out
}
