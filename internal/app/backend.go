package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"lifeboat/internal/console"
	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
)

// openConsole shows the console, at a run when one is named.
func openConsole(env environment, s settings, name string) error {
	w, err := open(env, s)
	if err != nil {
		return err
	}
	defer w.close()
	if w.estate == nil && !w.look { // nothing is configured: practise
		w.practice = true
		if err := w.useSandbox(w.sandboxDir()); err != nil {
			return err
		}
	}
	var id run.ID
	if name != "" {
		r, err := w.load(env.ctx, name)
		if err != nil {
			return err
		}
		if err := w.settle(r); err != nil && r.Open() {
			return err
		}
		id = r.ID
	}
	return w.console(id)
}

// console runs the terminal UI on this world. Losing the terminal ends it without a
// word: the run goes on in its own process.
func (w *world) console(id run.ID) error { return w.consoleAt(console.Options{Run: id}, nil) }

// consoleAt is console for a first screen of another kind. staged is the drill that it
// begins with; nil for none.
func (w *world) consoleAt(o console.Options, staged *stagedDrill) error {
	ctx, detach := onHangup(w.env.ctx)
	defer detach()
	v := &visit{}
	defer v.leave()
	o.Begin = func(ctx context.Context) error { return v.enter(ctx, w) }
	o.Theme, o.ASCII, o.Notice = w.env.appearance(w.theme, w.ascii)
	o.In, o.Out, o.Env, o.User, o.Version = w.env.stdin, w.env.screen, w.env.all, w.env.user, version
	o.Mode, o.State = w.mode(false), w.files.Dir
	o.Session, o.Look, o.FPS = w.session, w.look, w.fps
	b := &backend{world: w, client: w.hosts()}
	b.drills.staged = staged
	defer b.drills.close()
	err := console.Run(ctx, b, o)
	if ctx.Err() != nil {
		return err // nobody reads it
	}
	return errors.Join(err, w.sayOwed("", nil)) // what stays owed while nobody looks
}

// visit is the stay of a console in its sandbox, which begins when its first frame stands:
// the process of the sandbox takes longer to start than the console. The zero value is
// ready for use.
type visit struct {
	mu   sync.Mutex
	over bool
	left func()
}

func (v *visit) enter(ctx context.Context, w *world) error {
	left, err := w.enter(ctx)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		left()
		return nil
	}
	v.left = left
	return nil
}

// leave ends it, also one that has not begun yet.
func (v *visit) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	if v.left != nil {
		v.left()
	}
}

// backend is the console's view of the world.
type backend struct {
	world   *world
	client  runner.Client
	shelves shelves
	drills  drills
	past    pastCache
	silent  silence
}

var _ console.Backend = (*backend)(nil)

// Now implements console.Backend.
func (b *backend) Now() time.Time { return b.world.env.now() }

// pingLimit bounds how long the list of runs waits for a host. One that is stopped or hangs
// must not hold up what is shown of the others.
const pingLimit = time.Second

// Runs implements console.Backend. An open run whose record cannot be read is listed
// without its steps, beside the error.
func (b *backend) Runs(ctx context.Context, limit int) ([]console.Summary, error) {
	list, err := b.world.journal.Runs(ctx, limit)
	if err != nil {
		return nil, err
	}
	var bad error
	out := make([]console.Summary, 0, len(list))
	for _, s := range list {
		c := console.Summary{
			ID: s.ID, Book: s.Started.Book, Title: s.Started.Title, Asset: s.Started.Asset, Mode: s.Started.Mode,
			By: s.Started.By, At: s.First, Last: endOf(s), Steps: s.Steps, Outcome: s.Outcome, Incident: s.Started.Incident, RTO: s.Started.RTO,
		}
		if s.Outcome == "" { // only an open run is worth reading whole
			if err := b.stateOf(ctx, &c); err != nil {
				bad = errors.Join(bad, err)
			}
		}
		out = append(out, c)
	}
	return out, bad
}

// stateOf fills in how an open run stands.
func (b *backend) stateOf(ctx context.Context, c *console.Summary) error {
	soon, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	c.Hosted, _ = b.client.Ping(soon, c.ID) // one of another version, or that hangs, says so when it is opened
	events, err := b.world.journal.Load(ctx, c.ID)
	if err != nil {
		return err
	}
	r, err := run.FoldAll(events)
	if err != nil {
		return err
	}
	c.Done, c.Debts = r.Current(), r.Debts
	if c.Done < len(r.Steps) {
		c.Step, c.State = r.Steps[c.Done].Title, r.Steps[c.Done].State
	}
	if r.Gate != nil {
		c.Gate = r.Gate.Kind
	}
	return nil
}

// Start implements console.Backend. In a sandbox the thing that the runbook repairs is
// broken first, for real.
func (b *backend) Start(ctx context.Context, s console.Start) (run.ID, error) {
	if b.world.sandbox() != nil && s.Mode != run.Dry {
		if err := b.world.stageFor(ctx, s.Book); err != nil {
			return "", err
		}
	}
	params := map[string]string{}
	for k, v := range s.Params {
		if v != "" {
			params[k] = v
		}
	}
	id, _, err := b.world.begin(ctx, wish{book: s.Book, params: params, dry: s.Mode == run.Dry, incident: s.Incident, level: s.Level, triage: s.Triage})
	if err != nil {
		return "", err
	}
	return id, b.world.attach(ctx, id)
}

// Attach implements console.Backend.
func (b *backend) Attach(ctx context.Context, id run.ID) error {
	w, err := b.hostOf(ctx, id)
	if err != nil {
		return err
	}
	return w.attach(ctx, id)
}

// Events implements console.Backend.
func (b *backend) Events(ctx context.Context, id run.ID, after int64) ([]run.Event, error) {
	return b.world.journal.Since(ctx, id, after)
}

// Answer implements console.Backend.
func (b *backend) Answer(ctx context.Context, id run.ID, a run.Answer) error {
	err := b.client.Answer(ctx, id, a)
	if !errors.Is(err, runner.ErrNoHost) {
		return err
	}
	// Its host is gone. A new one asks anew, and only what a person sees then may be
	// answered.
	if err := b.Attach(ctx, id); err != nil {
		return err
	}
	return hint.New("the process that drove this run had ended; a new one took it up", "look at the question again, and answer it once more")
}

// Stop implements console.Backend.
func (b *backend) Stop(ctx context.Context, id run.ID, which run.Attempt) error {
	return b.client.Stop(ctx, id, which)
}

// Raise implements console.Backend.
func (b *backend) Raise(ctx context.Context, id run.ID, to int, reason string) error {
	return b.client.Raise(ctx, id, to, reason)
}

// Team implements console.Backend.
func (b *backend) Team(context.Context) (console.Team, error) {
	w := b.world
	tree, bad := w.tree()
	t := console.Team{Tree: tree, Levels: incident.Levels(w.estate), Contacts: w.contacts(), File: w.estateFile(), Speaker: w.speaker()}
	if len(bad) > 0 {
		t.Problem = bad[0].Error()
	}
	if w.estate != nil {
		for _, a := range w.estate.Assets {
			t.Assets = append(t.Assets, console.AssetName{Name: a.Name, Kind: a.Kind, Tier: a.Tier})
		}
	}
	return t, nil
}

// Note implements console.Backend.
func (b *backend) Note(ctx context.Context, id run.ID, text string) error {
	return b.client.Note(ctx, id, text)
}

// Progress implements console.Backend.
func (b *backend) Progress(ctx context.Context, id run.ID) (console.Progress, error) {
	soon, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	p, err := b.client.Progress(soon, id)
	if errors.Is(err, runner.ErrNoHost) {
		return console.Progress{}, nil
	}
	return console.Progress(p), err
}

// Log implements console.Backend.
func (b *backend) Log(_ context.Context, id run.ID, name string) (console.Log, error) {
	return b.world.files.Log(id, name)
}
