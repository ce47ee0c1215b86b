package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/secret"
)

// memory is a journal in memory. fault decides about each append: whether it is
// stored, and what the engine is told. It keeps the contract of [Journal] otherwise.
type memory struct {
	mu     sync.Mutex
	stored map[run.ID][][]byte
	fault  func(ev run.Event) (apply bool, err error)
}

var _ Journal = (*memory)(nil)

func (m *memory) Append(_ context.Context, ev run.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ev.Seq != int64(len(m.stored[ev.Run]))+1 {
		return ErrConflict
	}
	apply, err := true, error(nil)
	if m.fault != nil {
		apply, err = m.fault(ev)
	}
	if apply {
		data, encErr := run.Encode(ev)
		if encErr != nil {
			return encErr
		}
		if m.stored == nil {
			m.stored = map[run.ID][][]byte{}
		}
		m.stored[ev.Run] = append(m.stored[ev.Run], data)
	}
	return err
}

func (m *memory) Load(_ context.Context, id run.ID) ([]run.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []run.Event
	for _, data := range m.stored[id] {
		ev, err := run.Decode(data)
		if err != nil {
			return nil, err
		}
		out = append(out, ev)
	}
	return out, nil
}

// kinds lists what happened, "step kind" each.
func (m *memory) kinds(t *testing.T, id run.ID) []string {
	t.Helper()
	events, err := m.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, ev := range events {
		out = append(out, strings.TrimSpace(ev.Step+" "+string(ev.Kind)))
	}
	return out
}

// spool is one that keeps what was written, by file name.
type spool struct {
	t  *testing.T
	mu sync.Mutex
	m  map[string]*bytes.Buffer
}

type spooled struct {
	bytes.Buffer
	s    *spool
	name string
}

func (s *spool) Create(_ run.ID, name string) (SpoolFile, error) {
	return &spooled{s: s, name: name}, nil
}

func (s *spool) Scratch(run.ID, string) (string, func(), error) {
	dir, err := os.MkdirTemp(s.t.TempDir(), "")
	return dir, func() { os.RemoveAll(dir) }, err
}

func (f *spooled) Close() (run.Log, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.s.m == nil {
		f.s.m = map[string]*bytes.Buffer{}
	}
	f.s.m[f.name] = &f.Buffer
	sum := sha256.Sum256(f.Bytes())
	return run.Log{Name: f.name, Size: int64(f.Len()), SHA256: hex.EncodeToString(sum[:])}, nil
}

// bench is a workshop with one thing in it that can be changed and lost.
type bench struct {
	t       *testing.T
	journal *memory
	spool   *spool
	actions []action.Action
	books   map[string]string
	redact  *secret.Redactor

	mu      sync.Mutex
	live    string   // the target
	effects []string // every effect that happened, in order
	broken  map[string]error
	during  func(ctx context.Context, name string) error // called in the middle of an effect
	seen    []map[string]string                          // environments that the shell saw
	onBeat  func(point string)
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, journal: &memory{}, spool: &spool{t: t}, live: "old", books: map[string]string{}, broken: map[string]error{}, redact: secret.NewRedactor()}
	b.actions = []action.Action{
		action.New(action.Def[valueParams]{Name: "test.read", Effect: action.Read, Repeat: action.Safe, Run: b.read}),
		action.New(action.Def[valueParams]{Name: "test.write", Effect: action.Write, Repeat: action.Safe, Plan: b.planWrite, Run: b.write}),
		action.New(action.Def[valueParams]{Name: "test.set", Effect: action.Destroy, Repeat: action.Once, Plan: b.planSet, Run: b.set, Probe: b.probeSet,
			Inverse: &action.Inverse[valueParams]{Plan: b.planUnset, Run: b.unset, Probe: b.probeUnset}}),
		action.New(action.Def[valueParams]{Name: "test.open", Effect: action.Write, Repeat: action.Safe, Plan: b.planOpen, Run: b.write}),
		action.New(action.Def[valueParams]{Name: "test.close", Effect: action.Write, Repeat: action.Safe, Plan: b.planClose, Run: b.write}),
		action.New(action.Def[shellParams]{Name: "sh", Effect: action.Write, Repeat: action.Once, Plan: b.planShell, Run: b.shell, Probe: b.probeShell}),
	}
	return b
}

type valueParams struct {
	Value string        `param:"value" help:"what to do it with"`
	Key   secret.String `param:"key" help:"a key"`
}

type shellParams struct {
	Script string `param:"script,required" help:"text"`
	Effect string `param:"effect" help:"effect"`
	Target string `param:"target" help:"target"`
}

func (b *bench) beat(point string) {
	if b.onBeat != nil {
		b.onBeat(point)
	}
}

func (b *bench) happened(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.effects = append(b.effects, what)
}

func (b *bench) fault(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.broken[name]
	return err
}

func (b *bench) read(_ context.Context, env *action.Env, p valueParams, _ action.Plan) (action.Result, error) {
	env.Printf("reading %s with key %s", p.Value, p.Key.Reveal())
	if env.Glance {
		env.Printf("at a glance")
	}
	if err := b.fault("read"); err != nil {
		return action.Result{}, err
	}
	return action.Result{Evidence: "saw " + p.Value, Outputs: map[string]any{"value": p.Value, "n": int64(3)}}, nil
}

func (b *bench) planWrite(context.Context, *action.Env, valueParams) (action.Plan, error) {
	return action.Plan{Summary: "writes"}, b.fault("plan")
}

func (b *bench) write(ctx context.Context, _ *action.Env, p valueParams, _ action.Plan) (action.Result, error) {
	if b.during != nil {
		if err := b.during(ctx, "write"); err != nil {
			return action.Result{}, err
		}
	}
	if err := b.fault("write"); err != nil {
		return action.Result{}, err
	}
	b.happened("write " + p.Value)
	return action.Result{Evidence: "wrote"}, nil
}

func (b *bench) planSet(_ context.Context, _ *action.Env, p valueParams) (action.Plan, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return action.Plan{
		Summary: "sets " + b.live + " -> " + p.Value, Target: "thing", Token: "thing@" + b.live,
		Facts: map[string]string{"before": b.live, "wanted": p.Value}, Back: "set it back",
	}, nil
}

func (b *bench) set(ctx context.Context, _ *action.Env, p valueParams, plan action.Plan) (action.Result, error) {
	if b.during != nil {
		if err := b.during(ctx, "set"); err != nil {
			return action.Result{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.live != plan.Facts["before"] {
		return action.Result{}, action.ErrChanged
	}
	b.live = p.Value
	b.effects = append(b.effects, "set "+p.Value)
	return action.Result{Evidence: "set", Outputs: map[string]any{"value": p.Value}}, b.broken["set"]
}

func (b *bench) probeSet(_ context.Context, _ *action.Env, _ valueParams, plan action.Plan) (action.Probe, error) {
	return b.probe(plan.Facts["before"], plan.Facts["wanted"]), nil
}

func (b *bench) probe(before, wanted string) action.Probe {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := action.Probe{Finding: action.Unknown, Before: before, Wanted: wanted, Found: b.live}
	switch b.live {
	case wanted:
		p.Finding = action.Applied
	case before:
		p.Finding = action.NotApplied
	}
	return p
}

func (b *bench) planUnset(_ context.Context, _ *action.Env, _ valueParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return action.Plan{Summary: "sets back", Token: "thing@" + b.live, Facts: map[string]string{"before": b.live, "wanted": plan.Facts["before"]}}, nil
}

func (b *bench) unset(ctx context.Context, _ *action.Env, _ valueParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
	if b.during != nil {
		if err := b.during(ctx, "unset"); err != nil {
			return action.Result{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.live != undo.Facts["before"] {
		return action.Result{}, action.ErrChanged
	}
	b.live = undo.Facts["wanted"]
	b.effects = append(b.effects, "unset")
	return action.Result{}, nil
}

func (b *bench) probeUnset(_ context.Context, _ *action.Env, _ valueParams, undo, _ action.Plan, _ action.Result) (action.Probe, error) {
	return b.probe(undo.Facts["before"], undo.Facts["wanted"]), nil
}

func (b *bench) planOpen(_ context.Context, _ *action.Env, p valueParams) (action.Plan, error) {
	return action.Plan{Summary: "takes the lock off", Opens: []action.Debt{{ID: p.Value, Text: "the lock is off"}}}, nil
}

func (b *bench) planClose(_ context.Context, _ *action.Env, p valueParams) (action.Plan, error) {
	return action.Plan{Summary: "puts the lock on", Closes: []string{p.Value}}, nil
}

// The shell of the bench runs nothing: a script is "ok", "fail" or "say WORD".
func (b *bench) planShell(_ context.Context, _ *action.Env, p shellParams) (action.Plan, error) {
	plan := action.Plan{Summary: "runs a script", Effect: action.Effect(p.Effect)}
	if p.Effect == "destroy" {
		plan.Token = p.Target
	}
	return plan, nil
}

func (b *bench) shell(_ context.Context, env *action.Env, p shellParams, _ action.Plan) (action.Result, error) {
	vars := map[string]string{}
	for k, v := range env.Vars {
		vars[k] = v
	}
	for k, v := range env.Secrets {
		vars[k] = v.Reveal()
		env.Printf("the %s is %s", k, v.Reveal())
	}
	b.mu.Lock()
	b.seen = append(b.seen, vars)
	b.mu.Unlock()
	if strings.TrimSpace(p.Script) == "fail" {
		return action.Result{}, errors.New("the script ended with 1")
	}
	if p.Effect != "read" {
		b.happened("sh " + strings.TrimSpace(p.Script))
	}
	return action.Result{Evidence: "exit 0"}, b.fault("sh")
}

func (b *bench) probeShell(context.Context, *action.Env, shellParams, action.Plan) (action.Probe, error) {
	return action.Probe{Finding: action.Unknown, Means: "nobody can tell"}, nil
}

// parse reads a runbook; steps may leave the front matter out.
func (b *bench) parse(name, text string) *runbook.Book {
	b.t.Helper()
	if !strings.HasPrefix(text, "---") {
		text = "---\ntitle: Test\nkind: recovery\n---\n\n# Test\n\n" + text
	}
	book, problems := runbook.Parse(name+".md", []byte(strings.ReplaceAll(text, "~~~", "```")))
	if HasErrors(problems) {
		b.t.Fatal(problems)
	}
	return book
}

func (b *bench) compile(text string) (*Program, []runbook.Problem) {
	b.t.Helper()
	return Compile(b.parse("test", text), func(name string) (*runbook.Book, error) {
		src, ok := b.books[name]
		if !ok {
			return nil, fmt.Errorf("there is no runbook %q", name)
		}
		return b.parse(name, src), nil
	}, b.actions)
}

func (b *bench) program(text string) *Program {
	b.t.Helper()
	p, problems := b.compile(text)
	if HasErrors(problems) {
		b.t.Fatal(problems)
	}
	return p
}

func (b *bench) config(a Asker) Config {
	clock := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	return Config{
		Journal: b.journal, Actions: b.actions, Asker: a, Spool: b.spool, By: "m.ito", Host: "rescue-01", Version: "test",
		Redact: b.redact, Pause: func(int) time.Duration { return time.Millisecond },
		Now: func() time.Time { clock = clock.Add(time.Second); return clock },
	}
}

// play begins a run and drives it to its end or its error.
func (b *bench) play(text string, a Asker, s Start) (run.Run, error) {
	b.t.Helper()
	p := b.program(text)
	if s.Mode == "" {
		s.Mode = run.Live
	}
	id, err := Begin(b.t.Context(), b.config(a), p, s)
	if err != nil {
		return run.Run{}, err
	}
	return b.resume(p, id, a)
}

func (b *bench) resume(p *Program, id run.ID, a Asker) (run.Run, error) {
	b.t.Helper()
	e, err := Open(b.t.Context(), b.config(a), p, id)
	if err != nil {
		return run.Run{}, err
	}
	return e.Run(b.t.Context())
}

// person answers gates. Answers per step come from say, in order; what it does not
// say is approved, given, retried or settled as the first option suggests.
type person struct {
	t     *testing.T
	say   map[string][]func(g *run.Gate) run.Answer // "step kind" -> answers
	gates []string                                  // "step kind" of every gate seen
	wrong []string                                  // refusals
}

func (p *person) Ask(_ context.Context, r run.Run, refused string) (run.Answer, error) {
	g := r.Gate
	key := strings.TrimSpace(g.Step + " " + string(g.Kind))
	if refused != "" {
		p.wrong = append(p.wrong, refused)
	} else {
		p.gates = append(p.gates, key)
	}
	if len(p.gates) > 60 {
		return run.Answer{}, fmt.Errorf("gates without end: %v", p.gates[40:])
	}
	if list := p.say[key]; len(list) > 0 {
		p.say[key] = list[1:]
		if list[0] == nil {
			return run.Answer{}, ErrLeft
		}
		a := list[0](g)
		a.Gate, a.By = g.Seq, "m.ito"
		return a, nil
	}
	a := run.Answer{Gate: g.Seq, By: "m.ito", Verb: run.Approve, Digest: g.Digest, Token: g.Token}
	switch g.Kind {
	case run.Checklist:
		a.Verb = run.Give
		for _, it := range g.Items {
			a.Values = append(a.Values, cmpOr(it.Expect, "seen"))
		}
	case run.Choice:
		a.Verb, a.Values = run.Give, []string{g.Options[0].Key}
	case run.Input:
		a.Verb, a.Values = run.Give, []string{"canary-7f3a"}
	case run.Decision, run.Doubt, run.Closing:
		a.Verb, a.Target = g.Options[0].Verb, g.Options[0].Key
		a.Class, a.Reason = run.Other, "because"
	}
	return a, nil
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func verb(v run.Verb) func(*run.Gate) run.Answer {
	return func(g *run.Gate) run.Answer {
		return run.Answer{Verb: v, Class: run.Other, Reason: "because"}
	}
}

func approve(g *run.Gate) run.Answer {
	return run.Answer{Verb: run.Approve, Digest: g.Digest, Token: g.Token}
}

func states(r run.Run) string {
	var out []string
	for _, s := range r.Steps {
		out = append(out, s.ID+"="+string(s.State))
	}
	return strings.Join(out, " ")
}

func wantStates(t *testing.T, r run.Run, outcome run.Outcome, want string) {
	t.Helper()
	if got := states(r); got != want || r.Outcome != outcome {
		t.Fatalf("run is %q with %s\nwant %q with %s", r.Outcome, got, outcome, want)
	}
}

func (b *bench) wantEffects(want ...string) {
	b.t.Helper()
	if !slices.Equal(b.effects, want) {
		b.t.Fatalf("effects %q, want %q", b.effects, want)
	}
}
