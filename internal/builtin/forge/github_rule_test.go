package forge_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin/forge"
	"lifeboat/internal/hint"
	fake "lifeboat/internal/sandbox/forge"
)

// Deployments before a merge, and who alone may force-push, stand in the GraphQL API only:
// they are shown before they are lost, saved, and put back.
func TestBeyondREST(t *testing.T) {
	b := newBench(t, forge.GitHub)
	b.rich()
	before := b.guards()
	plan, err := b.call("remove", nil).Plan(b.Context(), b.env)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"deployments before a merge: production, staging", "only some may force-push: app release-bot, team leads, user ben"} {
		if !slices.Contains(plan.Lines, action.Line{Label: "lost", Text: want}) {
			t.Errorf("no %q in %+v", want, plan.Lines)
		}
		if slices.ContainsFunc(plan.Lines, func(l action.Line) bool { return strings.HasPrefix(l.Text, "force pushes allowed") }) {
			t.Errorf("everybody may force-push: %+v", plan.Lines)
		}
	}
	b.must("remove", nil)
	b.must("restore", nil)
	if got := b.guards(); got != before {
		t.Errorf("put back\n%s\nwas\n%s", got, before)
	}
	// Over a wrong one, and from a copy that has none of it.
	b.edit(func(_ *fake.State, p *fake.Project) {
		p.GitHub["main"].Deployments, p.GitHub["main"].ForcePushers, p.GitHub["main"].ForcePushes = nil, nil, true
	})
	open := b.guards()
	r, err := b.run("check", map[string]any{"expect": "same", "allow_force_pushes": true})
	if !errors.Is(err, action.ErrCheck) || !slices.Contains(r.Outputs["differences"].([]string), "force pushes allowed: should be not set, is on") {
		t.Errorf("%v %v", err, r.Outputs)
	}
	c := b.call("restore", nil)
	if plan, err = c.Plan(b.Context(), b.env); err != nil {
		t.Fatal(err)
	}
	res, err := c.Run(b.Context(), b.env, plan)
	if err != nil || b.guards() != before {
		t.Errorf("%v\n%s\nwas\n%s", err, b.guards(), before)
	}
	undo, err := c.PlanUndo(b.Context(), b.env, plan, res)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RunUndo(b.Context(), b.env, undo, plan, res); err != nil || b.guards() != open {
		t.Errorf("%v\n%s\nwas\n%s", err, b.guards(), open)
	}
	// Somebody of it is gone.
	b.edit(func(s *fake.State, _ *fake.Project) { delete(s.Users, "ben") })
	if _, err := b.run("restore", nil); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "user ben") {
		t.Errorf("%v", err)
	}
	b.must("restore", map[string]any{"without": []any{"user ben"}})
	if got := b.guards(); strings.Contains(got, "ben") || !strings.Contains(got, `"force_push_allowances":{"users":[],"teams":["leads"]`) {
		t.Error(got)
	}
}

// The REST API shows the rule of a pattern as if it were the branch's own, and a write would
// make one beside it: it guards others too, is told, and stays.
func TestRuleOfAPattern(t *testing.T) {
	b := newBench(t, forge.GitHub)
	b.edit(func(_ *fake.State, p *fake.Project) {
		p.Branches = append(p.Branches, "release/1")
		p.GitHub["release/*"] = &fake.Protection{Linear: true, Restrictions: &fake.Actors{Users: []string{"anna"}, Teams: []string{}, Apps: []string{}}}
	})
	const told = "rule of the pattern release/*: may push: user anna"
	r := b.must("check", map[string]any{"branch": "release/1", "expect": "any"})
	if !slices.Equal(r.Outputs["beside"].([]string), []string{told}) || r.Outputs["protected"] != false || r.Outputs["problem"] != "" {
		t.Errorf("%v", r.Outputs)
	}
	if _, err := b.run("remove", map[string]any{"branch": "release/1"}); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), told) {
		t.Errorf("%v", err)
	}
	r, err := b.run("save", map[string]any{"branch": "release/1"})
	if err != nil || !strings.Contains(r.Evidence, "release/1 has no protection of its own; it is guarded by "+told) {
		t.Errorf("%v %q", err, r.Evidence)
	}
	if p := b.state().Projects[fake.Name]; p.GitHub["release/*"] == nil || p.GitHub["release/1"] != nil {
		t.Errorf("%+v", p.GitHub)
	}
}

// A server or a token without the GraphQL API is told before anything is lost; a copy that
// has what is not seen is compared with nothing.
func TestBeyondRESTUnseen(t *testing.T) {
	b := newBench(t, forge.GitHub)
	b.rich()
	b.must("save", map[string]any{"branch": "main"})
	blind := fake.Fault{Kind: fake.Error, Path: "/graphql", Status: 404, Times: -1}
	b.fault(blind)
	plan, err := b.call("remove", nil).Plan(b.Context(), b.env)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(plan.Lines, func(l action.Line) bool {
		return l.Label == "not seen" && strings.Contains(l.Text, "which deployments a merge needs") && strings.Contains(l.Text, "404") && strings.Contains(l.Text, "lost for good")
	}) {
		t.Errorf("%+v", plan.Lines)
	}
	for _, name := range []string{"check", "restore"} {
		args := map[string]any{}
		if name == "check" {
			args["expect"] = "same"
		}
		if _, err := b.run(name, args); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "only some may force-push") || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v %q", name, err, hint.All(err))
		}
	}
	b.fault()
	// Where nothing of it is set, an older server is no obstacle.
	b.edit(func(_ *fake.State, p *fake.Project) {
		p.GitHub["main"].Deployments, p.GitHub["main"].ForcePushers = nil, nil
	})
	before := b.guards()
	b.must("save", map[string]any{"branch": "main"})
	b.fault(blind)
	b.must("remove", nil)
	b.must("restore", nil)
	b.must("check", map[string]any{"expect": "same"})
	b.fault()
	if got := b.guards(); got != before {
		t.Errorf("put back\n%s\nwas\n%s", got, before)
	}
	// Its errors are of status 200: one is told, the limit is waited for.
	b.env.Now = time.Now
	b.fault(fake.Fault{Kind: fake.Spent, Path: "/graphql", Seconds: 1})
	b.must("check", map[string]any{"expect": "same"})
}
