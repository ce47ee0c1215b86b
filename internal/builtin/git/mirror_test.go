package git

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
)

// mirrored gives the bay mirrors of these names, each a bare repository.
func (b *bay) mirrored(names ...string) {
	b.t.Helper()
	before := b.deps.Repo
	b.deps.Repo = func(asset string) (Repo, error) {
		r, err := before(asset)
		for _, n := range names {
			r.Mirrors = append(r.Mirrors, Mirror{Name: n, URL: b.mirror(n)})
		}
		return r, err
	}
	for _, n := range names {
		b.git("", "init", "--quiet", "--bare", "--template=", b.mirror(n))
	}
}

func (b *bay) mirror(name string) string { return filepath.Join(b.dir, name+".git") }

func (b *bay) heads(dir string) string {
	return b.git(dir, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
}

func textOf(p action.Plan) string {
	var s strings.Builder
	for _, l := range p.Lines {
		s.WriteString(l.Label + ": " + l.Text + "\n")
	}
	for _, c := range p.Checks {
		s.WriteString(c.Text + ": " + c.Evidence + "\n")
	}
	return s.String()
}

func TestMirror(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.mirrored("gitlab", "bitbucket")
	call := b.bind("git.mirror", map[string]any{"asset": "monorepo"})
	plan := b.plan(call)
	if plan.Effect != action.Write || plan.Nothing || plan.Token != "" || !strings.Contains(textOf(plan), "creates: bitbucket refs/heads/main absent -> "+b.tip("main")[:7]) {
		t.Errorf("plan of the first: %+v", plan)
	}
	if b.heads(b.mirror("gitlab")) != "" {
		t.Error("the plan changed a mirror")
	}
	probe := func(want action.Finding) {
		t.Helper()
		if p, err := call.Probe(t.Context(), b.env, plan); err != nil || p.Finding != want {
			t.Errorf("probe: %+v %v", p, err)
		}
	}
	probe(action.NotApplied)
	res, err := call.Run(t.Context(), b.env, plan)
	if err != nil || res.Outputs["created"] != int64(2) || res.Outputs["equal"] != true || len(res.Checks) != 2 {
		t.Fatalf("first: %+v %v", res, err)
	}
	probe(action.Applied)
	for _, n := range []string{"gitlab", "bitbucket"} {
		if b.heads(b.mirror(n)) != b.heads(b.origin) {
			t.Errorf("%s is not equal", n)
		}
	}
	if again := b.plan(call); !again.Nothing {
		t.Errorf("planned again: %+v", again)
	}
	// A rewind to what the source knows loses nothing that is not at the source.
	b.more("three")
	if _, err := call.Run(t.Context(), b.env, b.plan(call)); err != nil {
		t.Fatal(err)
	}
	b.overwrite()
	plan = b.plan(call)
	if plan.Effect != action.Write || !strings.Contains(textOf(plan), "forces: gitlab refs/heads/main") {
		t.Errorf("plan of a rewind: %s\n%s", plan.Effect, textOf(plan))
	}
	if res, err = call.Run(t.Context(), b.env, plan); err != nil || res.Outputs["forced"] != int64(2) {
		t.Errorf("rewind: %+v %v", res, err)
	}
}

// What only a mirror has is lost only with the token, and only as it was when it was
// approved.
func TestMirrorAsksBeforeItLoses(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.mirrored("gitlab")
	args := map[string]any{"asset": "monorepo", "mirror": "gitlab", "prune": true}
	call := b.bind("git.mirror", args)
	harmless := b.plan(call)
	if _, err := call.Run(t.Context(), b.env, harmless); err != nil {
		t.Fatal(err)
	}
	own := b.commit(b.them, "own\x1b[31m")
	b.git(b.them, "push", "--quiet", b.mirror("gitlab"), "HEAD:refs/heads/main", "HEAD:refs/heads/theirs")
	if _, err := call.Run(t.Context(), b.env, harmless); !errors.Is(err, action.ErrChanged) {
		t.Errorf("a plan of before: %v", err)
	}
	plan := b.plan(call)
	text := textOf(plan)
	if plan.Effect != action.Destroy || plan.Token != "gitlab@"+own[:7]+"+1" ||
		!strings.Contains(text, "drops what the source does not have") || !strings.Contains(text, "deletes: gitlab refs/heads/theirs "+own[:7]) {
		t.Errorf("plan: %s %s\n%s", plan.Effect, plan.Token, text)
	}
	own2 := b.commit(b.them, "own2")
	b.git(b.them, "push", "--quiet", b.mirror("gitlab"), "HEAD:refs/heads/main")
	before := b.heads(b.mirror("gitlab"))
	if _, err := call.Run(t.Context(), b.env, plan); !errors.Is(err, action.ErrChanged) || b.heads(b.mirror("gitlab")) != before {
		t.Errorf("moved since the plan: %v", err)
	}
	plan = b.plan(call)
	if !strings.Contains(plan.Token, own2[:7]) {
		t.Errorf("token: %s", plan.Token)
	}
	res, err := call.Run(t.Context(), b.env, plan)
	if err != nil || res.Outputs["deleted"] != int64(1) || res.Outputs["forced"] != int64(1) || b.heads(b.mirror("gitlab")) != b.heads(b.origin) {
		t.Errorf("run: %+v %v", res, err)
	}
}

// One mirror that fails does not keep the others from being brought up to date.
func TestMirrorTriesAll(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	b.mirrored("broken", "strict", "good")
	call := b.bind("git.mirror", map[string]any{"asset": "monorepo"})
	if _, err := call.Run(t.Context(), b.env, b.plan(call)); err != nil {
		t.Fatal(err)
	}
	b.git(b.mirror("strict"), "config", "receive.denyNonFastForwards", "true")
	b.write(filepath.Join(b.mirror("broken"), "HEAD"), "nonsense\n")
	b.more("three")
	b.overwrite()
	b.git(b.them, "push", "--quiet", "origin", "HEAD:refs/heads/new")
	strict := b.git(b.mirror("strict"), "rev-parse", "main")
	plan := b.plan(call)
	if !strings.Contains(textOf(plan), "broken can be mirrored to: ") || !strings.Contains(textOf(plan), "creates: good refs/heads/new") {
		t.Errorf("plan: %s", textOf(plan))
	}
	res, err := call.Run(t.Context(), b.env, plan)
	if err == nil || errors.Is(err, action.ErrUnclear) || !errors.Is(err, repo.ErrUnequal) {
		t.Fatalf("run: %+v %v", res, err)
	}
	for _, want := range []string{"broken: ", "strict: ", "non-fast-forward"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "good: ") || b.heads(b.mirror("good")) != b.heads(b.origin) {
		t.Errorf("the good mirror: %v", err)
	}
	if b.git(b.mirror("strict"), "rev-parse", "main") != strict || b.git(b.mirror("strict"), "rev-parse", "new") == "" {
		t.Error("the strict mirror did not take what it could")
	}
	if list, ok := res.Outputs["not_equal"].([]string); !ok || strings.Join(list, " ") != "broken strict" || res.Outputs["equal"] != false {
		t.Errorf("outputs: %+v", res.Outputs)
	}
	if !strings.Contains(b.log.String(), "strict: rejected refs/heads/main") {
		t.Errorf("log: %s", b.log)
	}
}

func TestMirrorRefuses(t *testing.T) {
	t.Parallel()
	b := newBay(t)
	call := b.bind("git.mirror", map[string]any{"asset": "monorepo"})
	refused := func(call action.Call, want string) {
		t.Helper()
		if _, err := call.Plan(t.Context(), b.env); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	refused(call, "has no mirrors")
	b.mirrored("gitlab")
	refused(b.bind("git.mirror", map[string]any{"asset": "monorepo", "mirror": "nowhere"}), `no mirror "nowhere"`)
	inner := b.deps.Repo
	for _, own := range []string{b.origin, "file://" + b.origin + "/", b.clone} {
		b.deps.Repo = func(asset string) (Repo, error) {
			r, err := inner(asset)
			r.Mirrors = []Mirror{{Name: "own", URL: own}}
			return r, err
		}
		refused(b.bind("git.mirror", map[string]any{"asset": "monorepo"}), "is the repository itself")
	}
	b.deps.Repo = inner
	fenced := *b.env
	fenced.Fence = func(target string) error {
		if target == b.mirror("gitlab") {
			return errors.New("outside")
		}
		return nil
	}
	if _, err := b.bind("git.mirror", map[string]any{"asset": "monorepo"}).Plan(t.Context(), &fenced); err == nil || err.Error() != "outside" {
		t.Errorf("the fence: %v", err)
	}
	for _, a := range Actions(b.deps) {
		if a.Name == "git.mirror" {
			if _, err := a.Bind(map[string]any{"asset": "monorepo", "max_share": 0}); err == nil {
				t.Error("max_share 0 is taken")
			}
		}
	}
}
