package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// Where only another value helps, beginning anew with one is recommended, and says which;
// of a literal of the runbook, or anything else that fails, trying again is.
func TestRecommendedWayIsTheOneThatHelps(t *testing.T) {
	blamed := hint.Wrap(hint.Blame(errors.New("no such value"), "value"), "take another")
	for name, c := range map[string]struct {
		value, broken string
		err           error
		want          run.Verb
		others        []string
	}{
		"parameter":      {"${at}", "read", blamed, run.Anew, []string{"at"}},
		"through a step": {"${good.value}", "set", blamed, run.Anew, []string{"at"}},
		"literal":        {"noon", "read", blamed, run.Retry, nil},
		"network":        {"${at}", "read", errors.New("no route"), run.Retry, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.broken[c.broken] = c.err
			book := "---\nkind: procedure\nparams:\n  at: {default: noon}\n  log: {default: x}\n---\n\n# A runbook\n\n"
			if c.broken == "set" {
				book += "## Good\n\n~~~test.read save=good\nvalue: ${at}\n~~~\n\n## Look\n\n~~~test.set\nvalue: " + c.value + "\n~~~\n"
			} else {
				book += "## Look\n\n~~~test.read\nvalue: " + c.value + "\n~~~\n"
			}
			var first run.Verb
			p := &person{t: t, say: answers{"look decision": {func(g *run.Gate) run.Answer {
				first = g.Options[0].Verb
				return run.Answer{Verb: first, Reason: "seen"}
			}, func(*run.Gate) run.Answer { return run.Answer{Verb: run.Finish, Reason: "seen"} }}}}
			r, err := b.play(book, p, Start{})
			if err != nil {
				t.Fatal(err)
			}
			if first != c.want || !slices.Equal(r.Anew, c.others) {
				t.Errorf("recommended %q, anew with other %q", first, r.Anew)
			}
			if c.want == run.Anew && (r.Outcome != run.Aborted || r.Reason != "to begin anew with another at") {
				t.Errorf("ended %q: %q", r.Outcome, r.Reason)
			}
		})
	}
}

// What an undone step had saved is not used: the step that needs it is refused in words, and
// the way on that helps stands first and leads back to here.
func TestUndoneStepTakesItsValuesWithIt(t *testing.T) {
	for name, last := range map[string]string{
		"argument":  "~~~test.write\nvalue: ${it.value}\n~~~",
		"script":    "~~~sh\npush \"$it_value\"\n~~~",
		"condition": "~~~test.write when=\"it.value == 'new'\"\nvalue: w\n~~~",
		"check":     "~~~test.write\nvalue: w\n~~~\n\n~~~test.read verify\nvalue: ${it.value}\n~~~",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var offered []run.Option
			undo := func(*run.Gate) run.Answer { return run.Answer{Verb: run.Undo, Target: "set"} }
			p := &person{t: t, say: answers{
				"last confirm": {undo},
				"last decision": {func(g *run.Gate) run.Answer {
					offered = g.Options
					return run.Answer{Verb: g.Options[0].Verb, Target: g.Options[0].Key}
				}},
			}}
			r, err := b.play("## Set\n\n~~~test.set save=it\nvalue: new\n~~~\n\n## Last\n\n"+last+"\n", p, Start{})
			if err != nil {
				t.Fatal(err)
			}
			if len(offered) == 0 || offered[0].Verb != run.Reopen || offered[0].Key != "set" || slices.ContainsFunc(offered, func(o run.Option) bool { return o.Verb == run.Retry }) {
				t.Fatalf("offered %+v", offered)
			}
			if got := strings.Join(b.effects, ", "); !strings.HasPrefix(got, "set new, unset, set new, ") || r.Outcome != run.Complete {
				t.Errorf("effects %s, ended %q", got, r.Outcome)
			}
		})
	}
}
