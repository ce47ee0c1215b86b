package forge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin/forge"
	"lifeboat/internal/hint"
	fake "lifeboat/internal/sandbox/forge"
	"lifeboat/internal/secret"
)

// bench is one service with a branch to work on.
type bench struct {
	*testing.T
	service string
	fake    *fake.Forge
	dir     string // of the fake's state
	remote  forge.Remote
	token   string
	env     *action.Env
	log     strings.Builder
	ticks   int
	at      time.Time
}

// each runs a test on every service.
func each(t *testing.T, test func(b *bench)) {
	t.Parallel()
	for _, service := range []string{forge.GitHub, forge.GitLab, forge.Bitbucket} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			test(newBench(t, service))
		})
	}
}

func newBench(t *testing.T, service string) *bench {
	t.Helper()
	b := &bench{T: t, service: service, dir: t.TempDir(), token: fake.Admin, at: time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC)}
	var err error
	if b.fake, err = fake.New(b.dir); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(b.fake)
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		if left, err := b.fake.Faults(); err != nil || len(left) > 0 {
			t.Errorf("faults that never happened: %+v, %v", left, err)
		}
	})
	home := t.TempDir()
	b.remote = forge.Remote{Asset: "monorepo", Service: service, Project: fake.Name, API: s.URL + "/" + service, Branches: []string{"main"},
		Dir: filepath.Join(home, "protection", "monorepo")}
	b.env = &action.Env{Log: &b.log, Now: func() time.Time { b.at = b.at.Add(time.Second); return b.at }, Run: "7f3a", By: "m.ito", Dir: home,
		Progress: func(int64, int64, string) { b.ticks++ }}
	return b
}

// call binds an action.
func (b *bench) call(name string, args map[string]any) action.Call {
	b.Helper()
	if args == nil {
		args = map[string]any{}
	}
	args["asset"] = "monorepo"
	for _, a := range forge.Actions(forge.Deps{
		Remote: func(asset string) (forge.Remote, error) { return b.remote, nil },
		Token: func(context.Context, forge.Remote) (forge.Token, error) {
			return forge.Token{Value: secret.New(b.token), From: "the test"}, nil
		},
		Pause: time.Millisecond,
	}) {
		if a.Name == "forge.protection-"+name {
			c, err := a.Bind(args)
			if err != nil {
				b.Fatal(err)
			}
			return c
		}
	}
	b.Fatalf("there is no action %q", name)
	return action.Call{}
}

// run plans and does.
func (b *bench) run(name string, args map[string]any) (action.Result, error) {
	b.Helper()
	c := b.call(name, args)
	p, err := c.Plan(b.Context(), b.env)
	if err != nil {
		return action.Result{}, err
	}
	return c.Run(b.Context(), b.env, p)
}

func (b *bench) must(name string, args map[string]any) action.Result {
	b.Helper()
	r, err := b.run(name, args)
	if err != nil {
		b.Fatalf("%s: %v %q", name, err, hint.All(err))
	}
	return r
}

func (b *bench) state() *fake.State {
	b.Helper()
	s, err := fake.Read(b.dir)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// ids are given out anew when something is made again.
var ids = regexp.MustCompile(`"id":\d+,?`)

// guards is what stands in the fake for the branch main, as text.
func (b *bench) guards() string {
	b.Helper()
	p := b.state().Projects[fake.Name]
	var v any
	switch b.service {
	case forge.GitHub:
		v = p.GitHub["main"]
	case forge.GitLab:
		v = slices.DeleteFunc(p.GitLab, func(x fake.ProtectedBranch) bool { return x.Name != "main" })
	case forge.Bitbucket:
		own := slices.DeleteFunc(p.Bitbucket, func(x fake.Restriction) bool { return x.Pattern != "main" })
		slices.SortFunc(own, func(x, y fake.Restriction) int { return strings.Compare(x.Kind, y.Kind) })
		v = own
	}
	text, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	if out := ids.ReplaceAllString(string(text), ""); out != "null" && out != "[]" {
		return out
	}
	return "open"
}

// spoil is what a person in another window does to the protection of main.
func (b *bench) spoil() {
	b.Helper()
	b.edit(func(s *fake.State, p *fake.Project) {
		p.GitHub["main"].Checks.Checks = append(p.GitHub["main"].Checks.Checks, fake.Check{Context: "never/reports"})
		p.GitHub["main"].Signatures = false
		p.GitHub["main"].Restrictions = nil
		p.GitLab[0].ForcePush = true
		p.GitLab[0].Push = []fake.Access{{ID: 91, Level: 30}}
		four := int64(4)
		p.Bitbucket[2].Value = &four
		p.Bitbucket[0].Users = []string{"carl"}
		p.Bitbucket = append(p.Bitbucket[:1], p.Bitbucket[2:]...) // no "force"
		p.Bitbucket = append(p.Bitbucket, fake.Restriction{ID: 92, Kind: "restrict_merges", Match: "glob", Pattern: "main", Users: []string{"ben"}, Groups: []string{}})
	})
}

func (b *bench) edit(edit func(s *fake.State, p *fake.Project)) {
	b.Helper()
	if err := b.fake.Change(func(s *fake.State) { edit(s, s.Projects[fake.Name]) }); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) fault(f ...fake.Fault) {
	b.Helper()
	if err := b.fake.Fault(f...); err != nil {
		b.Fatal(err)
	}
}

// The protocol's third scenario: saved in full, lifted, put back exactly.
func TestSaveRemoveRestore(t *testing.T) {
	each(t, func(b *bench) {
		before := b.guards()
		saved := b.must("save", map[string]any{"branch": "main"})
		file := saved.Outputs["file"].(string)
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			b.Fatalf("%v %v", info, err)
		}
		c := b.call("remove", nil)
		plan, err := c.Plan(b.Context(), b.env)
		if err != nil {
			b.Fatal(err)
		}
		if !regexp.MustCompile(`^main@protected-[0-9a-f]{7}$`).MatchString(plan.Token) || plan.Effect != action.Destroy {
			b.Errorf("token %q, effect %q", plan.Token, plan.Effect)
		}
		if len(plan.Opens) != 1 || plan.Opens[0].ID != "protection:monorepo/main" || plan.Opens[0].Within != 30*time.Minute {
			b.Errorf("opens %+v", plan.Opens)
		}
		if b.guards() != before {
			b.Fatal("the plan changed something")
		}
		if _, err := c.Run(b.Context(), b.env, plan); err != nil {
			b.Fatal(err)
		}
		if b.guards() != "open" {
			b.Fatalf("not lifted: %s", b.guards())
		}
		b.must("check", map[string]any{"expect": "open"})
		r, err := b.run("check", nil)
		if !errors.Is(err, action.ErrCheck) || r.Outputs["state"] != "missing" {
			b.Errorf("%v %v", err, r.Outputs)
		}
		back := b.call("restore", map[string]any{"from": file})
		plan, err = back.Plan(b.Context(), b.env)
		if err != nil || plan.Effect != action.Write || !slices.Equal(plan.Closes, []string{"protection:monorepo/main"}) {
			b.Fatalf("%+v %v", plan, err)
		}
		r, err = back.Run(b.Context(), b.env, plan)
		if err != nil {
			b.Fatal(err)
		}
		if got := b.guards(); got != before {
			b.Errorf("put back\n%s\nwas\n%s", got, before)
		}
		if len(r.Checks) < 4 || slices.ContainsFunc(r.Checks, func(c action.Check) bool { return !c.OK }) {
			b.Errorf("checks %+v", r.Checks)
		}
		b.must("check", map[string]any{"expect": "same"})
		if _, err := b.run("check", map[string]any{"expect": "open"}); !errors.Is(err, action.ErrCheck) {
			b.Errorf("a protected branch is open: %v", err)
		}
		again, err := b.call("restore", nil).Plan(b.Context(), b.env)
		if err != nil || !again.Nothing || len(again.Closes) != 1 {
			b.Errorf("once more: %+v %v", again, err)
		}
		if all := b.copies(); len(all) != 1 {
			b.Errorf("the same protection is kept %d times: %q", len(all), all)
		}
		if strings.Contains(b.log.String(), fake.Admin) {
			b.Error("the token is in the log")
		}
	})
}

func (b *bench) copies() []string {
	b.Helper()
	all, err := filepath.Glob(filepath.Join(b.remote.Dir, "main", "*.json"))
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// What is wrong is said field by field, and made right without a moment in which the
// branch is open; undo makes it wrong again, as it was.
func TestRestoreOverWrong(t *testing.T) {
	each(t, func(b *bench) {
		before := b.guards()
		b.must("save", map[string]any{"branch": "main"})
		b.spoil()
		wrong := b.guards()
		r, err := b.run("check", map[string]any{"expect": "same"})
		if !errors.Is(err, action.ErrCheck) || r.Outputs["state"] != "different" {
			b.Fatalf("%v %v", err, r.Outputs)
		}
		want := map[string][]string{
			forge.GitHub:    {"required checks: should be build (app 15368), license/scan, test (app 15368), is build (app 15368), license/scan, never/reports, test (app 15368)", "signed commits: should be on, is not set", "only some may push: should be app release-bot, team platform, user anna, is not set"},
			forge.GitLab:    {"force pushes allowed: should be not set, is on", "may push: should be Maintainers, user 104 (deploy), is Developers + Maintainers"},
			forge.Bitbucket: {"no force pushes: should be on, is not set", "approvals before a merge: should be 2, is 4", "only some may merge: should be not set, is user ben", "only some may push: should be group platform, user deploy, is group platform, user carl"},
		}[b.service]
		for _, w := range want {
			if !slices.Contains(r.Outputs["differences"].([]string), w) {
				b.Errorf("no %q in %q", w, r.Outputs["differences"])
			}
		}
		c := b.call("restore", nil)
		plan, err := c.Plan(b.Context(), b.env)
		if err != nil {
			b.Fatal(err)
		}
		res, err := c.Run(b.Context(), b.env, plan)
		if err != nil {
			b.Fatal(err)
		}
		if got := b.guards(); got != before {
			b.Errorf("put back\n%s\nwas\n%s", got, before)
		}
		undo, err := c.PlanUndo(b.Context(), b.env, plan, res)
		if err != nil || undo.Effect != action.Write {
			b.Fatalf("%+v %v", undo, err)
		}
		if _, err := c.RunUndo(b.Context(), b.env, undo, plan, res); err != nil {
			b.Fatal(err)
		}
		if got := b.guards(); got != wrong {
			b.Errorf("undone\n%s\nwas\n%s", got, wrong)
		}
		if all := b.copies(); len(all) < 2 {
			b.Errorf("the wrong protection was not kept: %q", all)
		}
		if again, err := c.Plan(b.Context(), b.env); err != nil || again.Nothing {
			b.Errorf("after the undo, the wrong protection passes for the saved one: %+v %v", again, err)
		}
	})
}

// The undo of a removal puts back; the undo of a restore over nothing opens again, with a
// token.
func TestUndo(t *testing.T) {
	each(t, func(b *bench) {
		before := b.guards()
		c := b.call("remove", nil)
		plan, err := c.Plan(b.Context(), b.env)
		if err != nil {
			b.Fatal(err)
		}
		res, err := c.Run(b.Context(), b.env, plan)
		if err != nil {
			b.Fatal(err)
		}
		undo, err := c.PlanUndo(b.Context(), b.env, plan, action.Result{})
		if err != nil || undo.Effect != action.Write {
			b.Fatalf("%+v %v", undo, err)
		}
		if _, err := c.RunUndo(b.Context(), b.env, undo, plan, res); err != nil {
			b.Fatal(err)
		}
		if got := b.guards(); got != before {
			b.Errorf("undone\n%s\nwas\n%s", got, before)
		}
		b.must("remove", nil)
		r := b.call("restore", nil)
		if plan, err = r.Plan(b.Context(), b.env); err != nil {
			b.Fatal(err)
		}
		if res, err = r.Run(b.Context(), b.env, plan); err != nil {
			b.Fatal(err)
		}
		undo, err = r.PlanUndo(b.Context(), b.env, plan, res)
		if err != nil || undo.Effect != action.Destroy || !strings.HasPrefix(undo.Token, "main@protected-") {
			b.Fatalf("%+v %v", undo, err)
		}
		if _, err := r.RunUndo(b.Context(), b.env, undo, plan, res); err != nil || b.guards() != "open" {
			b.Errorf("%v %s", err, b.guards())
		}
	})
}

// Somebody who is quicker is not overwritten.
func TestChangedMeanwhile(t *testing.T) {
	each(t, func(b *bench) {
		b.must("save", map[string]any{"branch": "main"})
		for _, name := range []string{"remove", "restore"} {
			if name == "restore" {
				b.edit(func(s *fake.State, p *fake.Project) {
					p.GitHub["main"], p.GitLab, p.Bitbucket = nil, nil, nil
				})
			}
			c := b.call(name, nil)
			plan, err := c.Plan(b.Context(), b.env)
			if err != nil {
				b.Fatal(err)
			}
			one := int64(1)
			b.edit(func(s *fake.State, p *fake.Project) {
				p.GitHub["main"] = &fake.Protection{Lock: true}
				p.GitLab = []fake.ProtectedBranch{{ID: 5, Name: "main", ForcePush: true, Push: []fake.Access{}, Merge: []fake.Access{}, Unprotect: []fake.Access{}}}
				p.Bitbucket = []fake.Restriction{{ID: 5, Kind: "require_approvals_to_merge", Match: "glob", Pattern: "main", Value: &one}}
			})
			theirs := b.guards()
			if _, err := c.Run(b.Context(), b.env, plan); !errors.Is(err, action.ErrChanged) {
				b.Errorf("%s: %v", name, err)
			}
			if b.guards() != theirs {
				b.Errorf("%s wrote over the change of somebody else", name)
			}
		}
	})
}

// Every write fails twice at every place: not done, and done with its answer lost. The step
// is in doubt both times, and the probe says what is so.
func TestLostAnswers(t *testing.T) {
	for _, kind := range []string{fake.Lost, fake.Cut, fake.Error} {
		t.Run(kind, func(t *testing.T) {
			each(t, func(b *bench) {
				b.rich()
				b.must("save", map[string]any{"branch": "main"})
				good := b.guards()
				whole := b.state()
				for _, start := range []string{"remove", "restore from nothing", "restore over wrong"} {
					for n := 0; ; n++ {
						if n > 9 {
							b.Fatal("the sweep does not end")
						}
						if err := b.fake.Change(func(s *fake.State) { *s = *whole }); err != nil {
							b.Fatal(err)
						}
						whole = b.state() // the edits below must not reach it
						name, _, _ := strings.Cut(start, " ")
						switch start {
						case "restore from nothing":
							b.edit(func(s *fake.State, p *fake.Project) { p.GitHub["main"], p.GitLab, p.Bitbucket = nil, nil, nil })
						case "restore over wrong":
							b.spoil()
						}
						before := b.guards()
						c := b.call(name, nil)
						plan, err := c.Plan(b.Context(), b.env)
						if err != nil {
							b.Fatal(err)
						}
						b.fault(fake.Fault{Kind: kind, Method: "WRITE", Skip: n, Status: 502})
						_, err = c.Run(b.Context(), b.env, plan)
						left, ferr := b.fake.Faults()
						if ferr != nil {
							b.Fatal(ferr)
						}
						b.fault()
						if len(left) > 0 {
							if err != nil || n == 0 {
								b.Errorf("%s, without a fault: %v", start, err)
							}
							break // there is no n-th write
						}
						if !errors.Is(err, action.ErrUnclear) {
							b.Errorf("%s, write %d: %v", start, n+1, err)
						}
						after := b.guards()
						want := action.Unknown
						switch {
						case after == before:
							want = action.NotApplied
						case name == "remove" && after == "open", name == "restore" && after == good:
							want = action.Applied
						}
						probe, err := c.Probe(b.Context(), b.env, plan)
						if err != nil || probe.Finding != want {
							b.Errorf("%s, write %d: the probe finds %q, want %q: %v", start, n+1, probe.Finding, want, err)
						}
					}
				}
			})
		})
	}
}

// rich gives main what a service can have and the first state of the fake has not.
func (b *bench) rich() {
	b.edit(func(s *fake.State, p *fake.Project) {
		p.GitHub["main"].Deployments = []string{"staging", "production"}
		p.GitHub["main"].ForcePushers = &fake.Actors{Users: []string{"ben"}, Teams: []string{"leads"}, Apps: []string{"release-bot"}}
		p.GitLab[0].Unprotect = []fake.Access{} // as GitLab itself protects a first branch
		p.GitLab[0].Push = append(p.GitLab[0].Push, fake.Access{ID: 61, Key: 401})
	})
}

// Who may not do it is told what is missing, and nothing happens.
func TestRights(t *testing.T) {
	each(t, func(b *bench) {
		before := b.guards()
		for _, c := range []struct{ token, says, advice string }{
			{fake.Writer, "", "lacks the right"},
			{fake.Reader, "", "lacks the right"},
			{fake.Narrow, "", "lacks the right"},
			{fake.Nothing, "has no \"company/monorepo\"", "a service does not say which"},
			{"wrong", "401", "expired or revoked"},
		} {
			b.token = c.token
			for _, name := range []string{"remove", "save", "check"} {
				_, err := b.run(name, map[string]any{"branch": "main"})
				if !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), c.says) || !strings.Contains(strings.Join(hint.All(err), " "), c.advice) {
					b.Errorf("%s as %q: %v %q", name, c.token, err, hint.All(err))
				}
				if err != nil && strings.Contains(err.Error()+strings.Join(hint.All(err), ""), c.token+" ") {
					b.Errorf("the token is shown: %v", err)
				}
			}
		}
		if b.guards() != before {
			b.Error("something happened")
		}
		if b.service == forge.GitHub {
			b.token = fake.SSO
			if _, err := b.run("check", nil); !strings.Contains(strings.Join(hint.All(err), " "), "single sign-on") {
				b.Errorf("%v %q", err, hint.All(err))
			}
		}
	})
}

// Not protected, no such branch, no such project and a project that was renamed are four
// different things.
func TestMissing(t *testing.T) {
	each(t, func(b *bench) {
		b.edit(func(s *fake.State, p *fake.Project) {
			p.Branches = append(p.Branches, "open/one")
			p.Bitbucket = slices.DeleteFunc(p.Bitbucket, func(r fake.Restriction) bool { return r.Pattern == "*" })
		})
		r, err := b.run("check", map[string]any{"branch": "open/one", "expect": "any"})
		if err != nil || r.Outputs["protected"] != false || r.Outputs["state"] != "unsaved" {
			b.Errorf("not protected: %v %v", err, r.Outputs)
		}
		plan, err := b.call("remove", map[string]any{"branch": "open/one"}).Plan(b.Context(), b.env)
		if err != nil || !plan.Nothing || len(plan.Opens) > 0 {
			b.Errorf("nothing to remove: %+v %v", plan, err)
		}
		if _, err := b.run("save", map[string]any{"branch": "open/one"}); err != nil {
			b.Errorf("nothing to save: %v", err)
		}
		if _, err := b.run("check", map[string]any{"branch": "none"}); err == nil || !strings.Contains(err.Error(), `has no branch "none"`) {
			b.Errorf("no branch: %v", err)
		}
		b.must("save", map[string]any{"branch": "main"})
		b.edit(func(s *fake.State, p *fake.Project) {
			moved := *p
			s.Projects["company/mono"] = &moved
			p.MovedTo = "company/mono"
		})
		if _, err := b.run("remove", nil); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "company/mono") && !strings.Contains(strings.Join(hint.All(err), " "), "company/mono") {
			b.Errorf("renamed: %v %q", err, hint.All(err))
		}
		b.remote.Project = "company/mono"
		if _, err := b.run("restore", nil); !errors.Is(err, action.ErrRefused) || !strings.Contains(strings.Join(hint.All(err), " "), "renamed") {
			b.Errorf("a copy of the old name: %v %q", err, hint.All(err))
		}
		b.remote.Project = "company/none"
		if _, err := b.run("check", nil); err == nil || !strings.Contains(err.Error(), `has no "company/none"`) {
			b.Errorf("no project: %v", err)
		}
	})
}

// Rules that guard more than this branch are told, and stay.
func TestBeside(t *testing.T) {
	each(t, func(b *bench) {
		b.edit(func(s *fake.State, p *fake.Project) {
			p.GitLab = append(p.GitLab, fake.ProtectedBranch{ID: 80, Name: "ma*", Push: []fake.Access{{ID: 81, Level: 0}}},
				fake.ProtectedBranch{ID: 82, Name: "main", Inherited: true, Push: []fake.Access{{ID: 83, Level: 60}}})
			p.Bitbucket = append(p.Bitbucket, fake.Restriction{ID: 84, Kind: "push", Match: "branching_model", BranchType: "production"})
		})
		want := map[string][]string{
			forge.GitHub:    {"ruleset 77 of company: deletion"},
			forge.GitLab:    {"wildcard ma*: may push: No one", "protection of the group for main: may push: Admins"},
			forge.Bitbucket: {"pattern *: no deletion", "branching model, branches of type production: only some may push"},
		}[b.service]
		plan, err := b.call("remove", nil).Plan(b.Context(), b.env)
		if err != nil {
			b.Fatal(err)
		}
		for _, w := range want {
			if !slices.Contains(plan.Lines, action.Line{Label: "stays", Text: w + ": it may still refuse a push"}) {
				b.Errorf("no %q in %+v", w, plan.Lines)
			}
		}
		b.must("remove", nil)
		r := b.must("check", map[string]any{"expect": "any"})
		if !slices.Equal(r.Outputs["beside"].([]string), want) {
			b.Errorf("beside %q, want %q", r.Outputs["beside"], want)
		}
		if _, err := b.run("remove", nil); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "no protection of its own") {
			b.Errorf("only rules of others: %v", err)
		}
	})
}

// A copy that names somebody who is gone says who, and restores without them when asked to.
func TestGone(t *testing.T) {
	each(t, func(b *bench) {
		b.must("save", map[string]any{"branch": "main"})
		b.must("remove", nil)
		who := map[string]string{forge.GitHub: "team leads", forge.GitLab: "user 104", forge.Bitbucket: "user {00000000-0000-4000-8000-100000000104}"}[b.service]
		b.edit(func(s *fake.State, p *fake.Project) { delete(s.Groups, "leads"); delete(s.Users, "deploy") })
		_, err := b.run("restore", nil)
		if !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), who) || !strings.Contains(strings.Join(hint.All(err), " "), "without: ["+who+"]") {
			b.Fatalf("%v %q", err, hint.All(err))
		}
		if b.guards() != "open" {
			b.Error("something was written")
		}
		b.must("restore", map[string]any{"without": []any{who}})
		if got := b.guards(); got == "open" || strings.Contains(got, "leads") || strings.Contains(got, "104") {
			b.Errorf("restored %s", got)
		}
	})
}

// A service that takes less than it was given is found by the comparison.
func TestTakesLess(t *testing.T) {
	b := newBench(t, forge.GitHub)
	b.must("save", map[string]any{"branch": "main"})
	b.must("remove", nil)
	c := b.call("restore", nil)
	plan, err := c.Plan(b.Context(), b.env)
	if err != nil {
		b.Fatal(err)
	}
	b.edit(func(s *fake.State, p *fake.Project) { delete(s.Groups, "platform") }) // after the plan looked
	res, err := c.Run(b.Context(), b.env, plan)
	if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "only some may push: should be app release-bot, team platform, user anna, is app release-bot, user anna") {
		b.Errorf("%v", err)
	}
	if !slices.ContainsFunc(res.Checks, func(c action.Check) bool { return !c.OK }) {
		b.Errorf("no check says so: %+v", res.Checks)
	}
}

// Limits are waited for when that is short, with progress, and told when it is long; a
// write that was refused for its limit is sent again.
func TestLimits(t *testing.T) {
	each(t, func(b *bench) {
		b.env.Now = time.Now
		b.fault(fake.Fault{Kind: fake.Secondary, Seconds: 1}, fake.Fault{Kind: fake.Secondary, Method: "WRITE", Seconds: 0})
		r, err := b.run("remove", nil)
		if err != nil || b.guards() != "open" {
			b.Fatalf("%v %v", r, err)
		}
		if b.ticks == 0 {
			b.Error("nobody was shown that it waits")
		}
		began := time.Now()
		for _, kind := range []string{fake.Secondary, fake.Primary} {
			b.fault(fake.Fault{Kind: kind, Seconds: 1800})
			_, err := b.run("check", nil)
			if err == nil || !strings.Contains(err.Error(), "30m0s") && !strings.Contains(err.Error(), "29m59s") || !strings.Contains(strings.Join(hint.All(err), " "), "another account") {
				b.Errorf("%s: %v %q", kind, err, hint.All(err))
			}
			b.fault()
		}
		b.fault(fake.Fault{Kind: fake.Secondary, Times: -1}) // no time at all, for ever
		if _, err := b.run("check", nil); err == nil || !strings.Contains(err.Error(), "asked 10 times") {
			b.Errorf("%v", err)
		}
		b.fault()
		if took := time.Since(began); took > 20*time.Second {
			b.Errorf("it waited %s", took)
		}
	})
}

// Readings are tried again, up to a bound; what is no answer is not taken for one.
func TestStumbles(t *testing.T) {
	each(t, func(b *bench) {
		b.fault(fake.Fault{Kind: fake.Error, Times: 2, Status: 503})
		b.must("check", nil)
		b.fault(fake.Fault{Kind: fake.Error, Times: -1, Status: 500})
		if _, err := b.run("check", nil); err == nil || !strings.Contains(err.Error(), "500") {
			b.Errorf("always 500: %v", err)
		}
		b.fault(fake.Fault{Kind: fake.Short})
		b.must("check", nil)
		b.fault(fake.Fault{Kind: fake.Login, Times: -1})
		if _, err := b.run("check", nil); err == nil || !strings.Contains(err.Error(), "HTML") {
			b.Errorf("a page: %v", err)
		}
		b.fault()
	})
}

// crowd puts n rules of other branches before ours, and as many rulesets beside it.
func (b *bench) crowd(n int) {
	b.edit(func(_ *fake.State, p *fake.Project) {
		var lab []fake.ProtectedBranch
		var bucket []fake.Restriction
		for i := range n {
			name := fmt.Sprintf("release/%d", i)
			lab = append(lab, fake.ProtectedBranch{ID: int64(2000 + i), Name: name})
			bucket = append(bucket, fake.Restriction{ID: int64(2000 + i), Kind: "push", Match: "glob", Pattern: name})
			p.Rulesets = append(p.Rulesets, fake.Rule{Type: "creation", Source: "company", ID: int64(100 + i), Branches: []string{"main"}})
		}
		p.GitLab, p.Bitbucket = append(lab, p.GitLab...), append(bucket, p.Bitbucket...)
	})
}

// Lists have pages: the rule that matters may be on the last.
func TestPages(t *testing.T) {
	each(t, func(b *bench) {
		b.crowd(250)
		r := b.must("check", nil)
		if n := len(r.Outputs["beside"].([]string)); b.service == forge.GitHub && n != 251 {
			b.Errorf("%d rulesets", n)
		}
	})
}

// A list that does not end is refused: what was not read must not count as not there.
func TestEndlessLists(t *testing.T) {
	each(t, func(b *bench) {
		b.crowd(10_001)
		if _, err := b.run("check", nil); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "more than 100 pages") {
			b.Errorf("%v", err)
		}
	})
}

// Copies that do not fit are refused with what to do.
func TestCopies(t *testing.T) {
	each(t, func(b *bench) {
		if _, err := b.run("restore", nil); !errors.Is(err, action.ErrRefused) || !strings.Contains(strings.Join(hint.All(err), " "), "files.restore") {
			b.Errorf("none: %v %q", err, hint.All(err))
		}
		file := b.must("save", map[string]any{"branch": "main"}).Outputs["file"].(string)
		src, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		write := func(name, text string) string {
			path := filepath.Join(b.env.Dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
			return path
		}
		other := map[string]string{forge.GitHub: forge.GitLab, forge.GitLab: forge.Bitbucket, forge.Bitbucket: forge.GitHub}[b.service]
		edited := map[string][2]string{forge.GitHub: {`"strict": true`, `"strict": false`}, forge.GitLab: {`"access_level": 30`, `"access_level": 40`}, forge.Bitbucket: {`"value": 2`, `"value": 1`}}[b.service]
		wrong := strings.Replace(string(src), edited[0], edited[1], 1)
		if wrong == string(src) {
			b.Fatalf("nothing to edit in %s", src)
		}
		for name, c := range map[string]struct{ text, says string }{
			"empty":   {"", "no saved protection"},
			"cut":     {string(src[:len(src)/2]), "no saved protection"},
			"twice":   {string(src) + string(src), "more behind"},
			"other":   {`{"kind":"x"}`, "its kind is"},
			"newer":   {strings.Replace(string(src), `"version": 1`, `"version": 2`, 1), "version 2"},
			"service": {strings.Replace(string(src), `"service": "`+b.service, `"service": "`+other, 1), map[bool]string{true: "has one protection", false: "and the branch is on"}[b.service != forge.GitLab]},
			"project": {strings.Replace(string(src), `"project": "company/monorepo"`, `"project": "company/x"`, 1), "is one of company/monorepo"},
			"branch":  {strings.Replace(string(src), `"branch": "main"`, `"branch": "dev"`, 1), "is of the branch"},
			"edited":  {wrong, "somebody edited it"},
			"unknown": {strings.Replace(string(src), `"version": 1`, `"version": 1, "x": 1`, 1), "unknown field"},
		} {
			path := write(name+".json", c.text)
			if _, err := b.run("restore", map[string]any{"from": path}); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), c.says) || len(hint.All(err)) == 0 {
				b.Errorf("%s: %v %q", name, err, hint.All(err))
			}
		}
		// Edited on purpose: the digest is taken out.
		mine := write("mine.json", regexp.MustCompile(`\s*"digest": "[0-9a-f]+",`).ReplaceAllString(wrong, ""))
		b.must("restore", map[string]any{"from": mine})
		// A clock that was put back hides nothing.
		b.at = b.at.Add(-365 * 24 * time.Hour)
		b.spoil()
		latest := b.must("save", map[string]any{"branch": "main"}).Outputs["file"].(string)
		if all := b.copies(); all[len(all)-1] != latest {
			b.Errorf("newest of %q is not %q", all, latest)
		}
		// By its digest the first one is found again.
		digest := regexp.MustCompile(`-([0-9a-f]{7})\.json$`).FindStringSubmatch(file)[1]
		b.must("restore", map[string]any{"from": "protected-" + digest})
		r := b.must("check", map[string]any{"expect": "same", "from": file, "allow_force_pushes": true})
		if r.Outputs["state"] != "same" {
			b.Errorf("%v", r.Outputs)
		}
	})
}

// A branch whose protection is gone since it was saved last is told by the daily saving.
func TestSaveFindsItGone(t *testing.T) {
	each(t, func(b *bench) {
		b.remote.Branches = []string{"main", "develop"}
		b.must("save", nil)
		b.edit(func(s *fake.State, p *fake.Project) { p.GitHub["main"], p.GitLab, p.Bitbucket = nil, nil, nil })
		if _, err := b.run("save", nil); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "the protection is gone: main") {
			b.Errorf("%v", err)
		}
		if len(b.copies()) != 1 {
			b.Error("the copy went too")
		}
	})
}

// Nothing outside the fence is asked or written.
func TestFence(t *testing.T) {
	each(t, func(b *bench) {
		b.fault(fake.Fault{Kind: fake.Error, Times: -1})
		for _, forbidden := range []string{b.remote.API, b.remote.Dir} {
			b.env.Fence = func(target string) error {
				if target == forbidden {
					return action.ErrRefused
				}
				return nil
			}
			for _, name := range []string{"save", "remove", "restore", "check"} {
				if _, err := b.run(name, map[string]any{"branch": "main"}); !errors.Is(err, action.ErrRefused) {
					b.Errorf("%s: %v", name, err)
				}
			}
		}
		if left, err := b.fake.Faults(); err != nil || len(left) != 1 {
			b.Errorf("%v %v", left, err)
		}
		b.fault()
	})
}

// The requests that stand in a copy put the protection back without Lifeboat.
func TestRestoreByHand(t *testing.T) {
	each(t, func(b *bench) {
		before := b.guards()
		src, err := os.ReadFile(b.must("save", map[string]any{"branch": "main"}).Outputs["file"].(string))
		if err != nil {
			b.Fatal(err)
		}
		b.must("remove", nil)
		var copied struct {
			Says    []string
			Restore []struct {
				Method, Path string
				Body         json.RawMessage
			} `json:"restore_by_hand"`
		}
		if err := json.Unmarshal(src, &copied); err != nil {
			b.Fatal(err)
		}
		for _, r := range copied.Restore {
			req, err := http.NewRequestWithContext(b.Context(), r.Method, b.remote.API+r.Path, bytes.NewReader(r.Body))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+fake.Admin)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode >= 300 {
				b.Errorf("%s %s: %d", r.Method, r.Path, res.StatusCode)
			}
		}
		if got := b.guards(); got != before {
			b.Errorf("put back by hand\n%s\nwas\n%s", got, before)
		}
		if len(copied.Says) < 4 {
			b.Errorf("in words: %q", copied.Says)
		}
	})
}

// A health check tells what somebody should know, and fails for nothing but that it was
// asked to.
func TestProblems(t *testing.T) {
	each(t, func(b *bench) {
		look := func(state, problem string) {
			b.Helper()
			r, err := b.run("check", map[string]any{"expect": "any", "allow_unknown": true})
			got, _ := r.Outputs["problem"].(string)
			if err != nil || r.Outputs["state"] != state || !strings.Contains(got, problem) || (problem == "") != (got == "") {
				b.Errorf("%v %v, want %q, %q", err, r.Outputs, state, problem)
			}
		}
		look("unsaved", "")
		b.must("save", map[string]any{"branch": "main"})
		look("same", "")
		b.spoil()
		look("different", map[string]string{forge.GitHub: "as it was saved: ", forge.GitLab: "allows force pushes", forge.Bitbucket: "allows force pushes"}[b.service])
		b.edit(func(s *fake.State, p *fake.Project) { p.GitHub["main"], p.GitLab, p.Bitbucket = nil, nil, nil })
		look("missing", "main is not protected any more")
		b.token = fake.Nothing
		look("unknown", "it is not known whether main is protected")
		b.remote.Service = ""
		look("none", "")
		if _, err := b.run("check", map[string]any{"expect": "any"}); !errors.Is(err, action.ErrRefused) {
			b.Errorf("no forge: %v", err)
		}
	})
}

// A restore over a wrong protection that fails half-way, or reads back different, and is run
// again goes for what was saved, not for the wrong state that it kept the first time.
func TestRestoreAgain(t *testing.T) {
	each(t, func(b *bench) {
		b.must("save", map[string]any{"branch": "main"})
		good := b.guards()
		b.spoil()
		b.fault(fake.Fault{Kind: fake.Error, Method: "WRITE", Status: 502})
		if _, err := b.run("restore", nil); !errors.Is(err, action.ErrUnclear) {
			b.Fatalf("it did not fail: %v", err)
		}
		c := b.call("restore", nil)
		plan, err := c.Plan(b.Context(), b.env)
		if err != nil {
			b.Fatal(err)
		}
		if plan.Nothing {
			b.Fatalf("it takes the wrong protection for the saved one: %+v", plan)
		}
		if _, err := c.Run(b.Context(), b.env, plan); err != nil {
			b.Fatal(err)
		}
		if got := b.guards(); got != good {
			b.Errorf("put back\n%s\nwas\n%s", got, good)
		}
	})
}

// A second request that is refused leaves a part: that is in doubt, and no clean failure.
func TestPartIsDoubt(t *testing.T) {
	b := newBench(t, forge.GitHub)
	b.must("save", map[string]any{"branch": "main"})
	b.spoil()
	b.fault(fake.Fault{Kind: fake.Error, Method: "WRITE", Skip: 1, Status: 422})
	if _, err := b.run("restore", nil); !errors.Is(err, action.ErrUnclear) {
		b.Errorf("%v", err)
	}
}

// Names of branches are foreign text: what a person is shown to type is no program of theirs.
func TestCommandsAreQuoted(t *testing.T) {
	b := newBench(t, forge.GitHub)
	const branch = "a;id&$(id)"
	b.edit(func(s *fake.State, p *fake.Project) {
		p.Branches = append(p.Branches, branch)
		p.GitHub[branch] = p.GitHub["main"]
	})
	plan, err := b.call("remove", map[string]any{"branch": branch}).Plan(b.Context(), b.env)
	if err != nil {
		t.Fatal(err)
	}
	if want := "gh api --hostname " + strings.TrimSuffix(strings.TrimPrefix(b.remote.API, "http://"), "/github") + " --method DELETE 'repos/company/monorepo/branches/a%3Bid&$%28id%29/protection'"; !slices.Contains(plan.Command, want) {
		t.Errorf("%q, want %q", plan.Command, want)
	}
}

// A copy that a person gave the name of another branch, as its error advises, protects that
// one, and nothing becomes of the branch that it was saved from.
func TestCopyForAnotherBranch(t *testing.T) {
	each(t, func(b *bench) {
		file, _ := b.must("save", map[string]any{"branch": "main"}).Outputs["file"].(string)
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		copied := filepath.Join(b.env.Dir, "for-develop.json")
		edited := regexp.MustCompile(`"digest": "[0-9a-f]*",`).ReplaceAllString(strings.Replace(string(text), `"branch": "main"`, `"branch": "develop"`, 1), "")
		if err := os.WriteFile(copied, []byte(edited), 0o600); err != nil {
			b.Fatal(err)
		}
		b.edit(func(s *fake.State, p *fake.Project) {
			delete(p.GitHub, "develop")
			p.GitLab = slices.DeleteFunc(p.GitLab, func(x fake.ProtectedBranch) bool { return x.Name == "develop" })
			p.Bitbucket = slices.DeleteFunc(p.Bitbucket, func(x fake.Restriction) bool { return x.Pattern == "develop" })
		})
		before := b.guards()
		b.must("restore", map[string]any{"branch": "develop", "from": copied})
		if got := b.guards(); got != before {
			b.Errorf("main became\n%s\nwas\n%s", got, before)
		}
		if r := b.must("check", map[string]any{"branch": "develop", "expect": "protected"}); r.Outputs["state"] == "open" {
			b.Errorf("%+v", r)
		}
	})
}

// GitLab without a licence knows no lists of people, and changes no level: what was saved
// there is put back by taking the wrong protection away; what was saved with a licence is not
// put back in silence with less.
func TestGitLabFree(t *testing.T) {
	b := newBench(t, forge.GitLab)
	paid := b.must("save", map[string]any{"branch": "main"}).Outputs["file"]
	b.edit(func(_ *fake.State, p *fake.Project) {
		p.Free = true
		p.GitLab[0] = fake.ProtectedBranch{ID: 11, Name: "main", Push: []fake.Access{{ID: 21, Level: 0}, {ID: 22, Key: 401}}, Merge: []fake.Access{{ID: 23, Level: 30}}, Unprotect: []fake.Access{}}
	})
	before := b.guards()
	b.must("save", map[string]any{"branch": "main"})
	for _, wrong := range []func(p *fake.Project){
		func(p *fake.Project) { p.GitLab[0].Push = []fake.Access{{ID: 91, Level: 30}} },
		func(p *fake.Project) { p.GitLab[0].ForcePush = true },
		func(p *fake.Project) { p.GitLab = nil },
	} {
		b.edit(func(_ *fake.State, p *fake.Project) { wrong(p) })
		b.must("restore", nil)
		if got := b.guards(); got != before {
			t.Errorf("put back\n%s\nwas\n%s", got, before)
		}
	}
	if _, err := b.run("restore", map[string]any{"from": paid}); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "may merge: should be group 201 (platform), Developers + Maintainers, is Developers + Maintainers") ||
		!strings.Contains(strings.Join(hint.All(err), " "), "a plan that lacks the feature") {
		t.Errorf("%v %q", err, hint.All(err))
	}
}

// People who left the project, and keys that were taken from it, are named before anything is
// written: GitLab would refuse the whole.
func TestGitLabLeft(t *testing.T) {
	b := newBench(t, forge.GitLab)
	b.rich()
	b.must("save", map[string]any{"branch": "main"})
	b.edit(func(_ *fake.State, p *fake.Project) { p.Left, p.Keys = []string{"deploy"}, nil })
	b.must("remove", nil)
	if _, err := b.run("restore", nil); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "deploy key 401, user 104") {
		t.Errorf("%v", err)
	}
	b.must("restore", map[string]any{"without": []any{"user 104", "deploy key 401"}})
}

// Restrictions for other types of branches guard ours as little as those of other names.
func TestBranchingModel(t *testing.T) {
	b := newBench(t, forge.Bitbucket)
	b.edit(func(_ *fake.State, p *fake.Project) {
		p.Bitbucket = []fake.Restriction{
			{ID: 84, Kind: "push", Match: "branching_model", BranchType: "feature"},
			{ID: 85, Kind: "force", Match: "branching_model", BranchType: "development"},
			{ID: 86, Kind: "delete", Match: "branching_model", BranchType: "hotfix"},
		}
		p.Branches = append(p.Branches, "feature/x")
	})
	for branch, want := range map[string]struct {
		problem string
		beside  []string
	}{
		"main":      {"main is not protected", []string{}},
		"develop":   {"", []string{"branching model, branches of type development: no force pushes"}},
		"feature/x": {"", []string{"branching model, branches of type feature: only some may push"}},
	} {
		r := b.must("check", map[string]any{"branch": branch, "expect": "any"})
		if r.Outputs["problem"] != want.problem || !slices.Equal(r.Outputs["beside"].([]string), want.beside) {
			t.Errorf("%s: %v", branch, r.Outputs)
		}
	}
}

// An address that speaks no TLS is told with what to look at.
func TestNoTLS(t *testing.T) {
	each(t, func(b *bench) {
		b.remote.API = strings.Replace(b.remote.API, "http://", "https://", 1)
		if _, err := b.run("check", nil); err == nil || !strings.Contains(strings.Join(hint.All(err), " "), "does not speak TLS there") {
			b.Errorf("%v %q", err, hint.All(err))
		}
	})
}
