package app

import (
	"io"
	"testing"

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
