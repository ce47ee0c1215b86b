package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/engine"
	"lifeboat/internal/journal"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/secret"
)

// TestMain makes this test binary a host that can be killed; see TestKilledHost.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LIFEBOAT_RUNNER_HOST"); dir != "" {
		if err := hostAndDrive(dir, run.ID(os.Getenv("LIFEBOAT_RUNNER_RUN"))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func hostAndDrive(dir string, id run.ID) error {
	ctx := context.Background()
	s, err := openStage(ctx, dir)
	if err != nil {
		return err
	}
	h, err := NewHost(s.files, id, "the child")
	if err != nil {
		return err
	}
	defer h.Close()
	e, err := engine.Open(ctx, s.config(h), s.program, id)
	if err != nil {
		return err
	}
	_, err = h.Run(ctx, e)
	return err
}

// stage is a state directory with a real journal, and one runbook whose actions are
// small: what they do can be seen in the file "effects", and while the file "hold" is
// there, they do not end.
type stage struct {
	dir     string
	files   Files
	journal *journal.Journal
	actions []action.Action
	program *engine.Program
}

// book has a step that prints, one that must not run twice, and one that destroys.
const book = `---
title: Test
kind: recovery
---

# Test

## Look

~~~test.print
text: first
~~~

## Write

~~~test.write
text: once
~~~

## Wipe

~~~test.wipe
text: thing
~~~
`

type textParams struct {
	Text string `param:"text,required" help:"what"`
}

func openStage(ctx context.Context, dir string) (*stage, error) {
	s := &stage{dir: dir, files: Files{Dir: filepath.Join(dir, "runs")}}
	var err error
	if s.journal, err = journal.Open(ctx, filepath.Join(dir, "journal.db")); err != nil {
		return nil, err
	}
	s.actions = []action.Action{
		action.New(action.Def[textParams]{Name: "test.print", Effect: action.Read, Repeat: action.Safe, Run: s.print}),
		action.New(action.Def[textParams]{Name: "test.write", Effect: action.Write, Repeat: action.Once, Run: s.write, Probe: probe}),
		action.New(action.Def[textParams]{Name: "test.wipe", Effect: action.Destroy, Repeat: action.Once, Run: s.write, Probe: probe, Plan: planWipe}),
	}
	parsed, problems := runbook.Parse("test.md", []byte(strings.ReplaceAll(book, "~~~", "```")))
	if engine.HasErrors(problems) {
		return nil, fmt.Errorf("parse: %v", problems)
	}
	if s.program, problems = engine.Compile(parsed, nil, s.actions); engine.HasErrors(problems) {
		return nil, fmt.Errorf("compile: %v", problems)
	}
	return s, nil
}

func (s *stage) print(_ context.Context, env *action.Env, p textParams, _ action.Plan) (action.Result, error) {
	for range 1000 {
		env.Printf("%s line of output", p.Text)
	}
	return action.Result{Evidence: "printed"}, nil
}

func (s *stage) write(ctx context.Context, env *action.Env, p textParams, _ action.Plan) (action.Result, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "effects"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return action.Result{}, err
	}
	defer f.Close()
	fmt.Fprintln(f, p.Text)
	if err := f.Sync(); err != nil {
		return action.Result{}, err
	}
	env.Report(3, 10, "pages")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(s.dir, "hold")); err != nil {
			return action.Result{Evidence: "wrote"}, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return action.Result{}, ctx.Err()
		}
	}
}

func planWipe(_ context.Context, _ *action.Env, p textParams) (action.Plan, error) {
	return action.Plan{Summary: "wipes", Target: p.Text, Token: p.Text + "@1"}, nil
}

func probe(context.Context, *action.Env, textParams, action.Plan) (action.Probe, error) {
	return action.Probe{Finding: action.Unknown, Means: "nobody can tell"}, nil
}

// events turns the journal's conflict into the engine's.
type events struct{ *journal.Journal }

func (e events) Append(ctx context.Context, ev run.Event) error {
	err := e.Journal.Append(ctx, ev)
	if errors.Is(err, journal.ErrConflict) {
		return fmt.Errorf("%w: %w", engine.ErrConflict, err)
	}
	return err
}

func (s *stage) config(h *Host) engine.Config {
	c := engine.Config{
		Journal: events{s.journal}, Actions: s.actions, Spool: s.files, Now: time.Now,
		By: "m.ito", Session: "s1", Host: "rescue-01", Version: "test", Redact: secret.NewRedactor(),
	}
	if h != nil {
		c.Asker, c.Observe, c.Progress = h, h.Observe, h.Progress
	}
	return c
}

// bench is a stage in a test.
type bench struct {
	*stage
	t      *testing.T
	client Client
}

func newBench(t *testing.T, dir string) *bench {
	t.Helper()
	dir = filepath.Join(dir, "state") // closed to others, as the journal demands
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := openStage(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.journal.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{s, t, Client{Files: s.files, Who: person("m.ito", "s1")}}
}

func person(by, session string) Person {
	return Person{Driver: run.Driver{By: by, Session: session, Host: "rescue-01"}}
}

// as is the client of somebody else.
func (b *bench) as(by, session string) Client {
	return Client{Files: b.files, Who: person(by, session)}
}

// begin makes a run that nobody drives yet.
func (b *bench) begin() run.ID {
	b.t.Helper()
	id, err := engine.Begin(b.t.Context(), b.config(nil), b.program, engine.Start{Mode: run.Live})
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// hosted is a host that drives a run beside the test.
type hosted struct {
	host *Host
	end  chan ending
}

type ending struct {
	run run.Run
	err error
}

// drive hosts a run until it stops. change may prepare host and configuration.
func (b *bench) drive(id run.ID, change func(*Host, *engine.Config)) *hosted {
	b.t.Helper()
	h, err := NewHost(b.files, id, "m.ito on rescue-01, process 4711")
	if err != nil {
		b.t.Fatal(err)
	}
	cfg := b.config(h)
	if change != nil {
		change(h, &cfg)
	}
	e, err := engine.Open(b.t.Context(), cfg, b.program, id)
	if err != nil {
		h.Close()
		b.t.Fatal(err)
	}
	out := &hosted{h, make(chan ending, 1)}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err := h.Run(ctx, e)
		if err := h.Close(); err != nil {
			b.t.Error(err)
		}
		out.end <- ending{r, err}
	}()
	b.t.Cleanup(func() { cancel(); <-done })
	return out
}

// patience bounds every wait of these tests.
const patience = 20 * time.Second

func (b *bench) wait(h *hosted) ending {
	b.t.Helper()
	select {
	case e := <-h.end:
		return e
	case <-time.After(patience):
		b.t.Fatal("the host does not end")
		return ending{}
	}
}

// until waits until a condition holds.
func (b *bench) until(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("waited for %s", what)
		}
	}
}

// fold reads a run as it is on record.
func (b *bench) fold(id run.ID) run.Run {
	b.t.Helper()
	list, err := b.journal.Load(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := run.FoldAll(list)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// gate waits for an open gate of a step.
func (b *bench) gate(id run.ID, step string) *run.Gate {
	b.t.Helper()
	var g *run.Gate
	b.until("a gate of "+step, func() bool {
		r := b.fold(id)
		g = r.Gate
		return g != nil && g.Step == step
	})
	return g
}

func (b *bench) approve(g *run.Gate) run.Answer {
	return run.Answer{Gate: g.Seq, Verb: run.Approve, By: "m.ito", Digest: g.Digest, Token: g.Token, How: "test"}
}

func (b *bench) answer(id run.ID, a run.Answer) error {
	b.t.Helper()
	return b.client.Answer(b.t.Context(), id, a)
}

// hold keeps the next effect from ending; the returned function lets it.
func (b *bench) hold() (release func()) {
	b.t.Helper()
	path := filepath.Join(b.dir, "hold")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) effects() string {
	data, err := os.ReadFile(filepath.Join(b.dir, "effects"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(data)
}

// running waits until an effect has happened and is held.
func (b *bench) running(effects string) {
	b.t.Helper()
	b.until("the effect", func() bool { return b.effects() == effects })
}
