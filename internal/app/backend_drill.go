package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/console"
	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// stagedDrill is a drill whose sandbox is broken and whose trainee looks for the runbook.
// It belongs to the console: when that dies, nothing was begun but a broken sandbox, which
// the next drill makes anew.
type stagedDrill struct {
	world    *world // of the sandbox
	scenario drill.Scenario
	cast     drill.Cast
	at       time.Time // of the alarm, with its monotonic reading
	leave    func()    // the sandbox
}

// alarmOf is the first screen of a drill that begins from its symptoms.
func alarmOf(d *stagedDrill) (console.Options, *stagedDrill) {
	a := d.alarm()
	return console.Options{Alarm: &a}, d
}

func (d *stagedDrill) alarm() console.DrillAlarm {
	return console.DrillAlarm{Title: d.scenario.Title, Text: d.scenario.Alarm, At: d.at, RTO: d.scenario.RTO}
}

// drills is the state of rehearsals in a console.
type drills struct {
	mu      sync.Mutex // guards what follows
	staged  *stagedDrill
	sandbox *world // opened beside a world that is an estate; nil: not yet
}

// close gives up what was opened for drills.
func (d *drills) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.staged != nil {
		d.staged.leave()
	}
	if d.sandbox != nil {
		_ = d.sandbox.close() // it only held the journal, and every event of it is durable
	}
}

// practiceLocked is the world of the standing sandbox. The console may look at an estate:
// then a world of its own is opened, which knows neither the estate nor its secrets.
func (b *backend) practiceLocked(ctx context.Context) (*world, error) {
	w := b.world
	if w.sandbox() != nil {
		return w, nil
	}
	if b.drills.sandbox != nil {
		return b.drills.sandbox, nil
	}
	env := w.env
	env.ctx = ctx
	p, err := openState(env, settings{state: w.state})
	if err != nil {
		return nil, err
	}
	p.books = w.books
	if w.estate != nil {
		p.books = append(slices.Clone(p.books), beside(w.estate.Dir)...)
	}
	if err := p.useSandbox(p.sandboxDir()); err != nil {
		return nil, errors.Join(err, p.journal.Close())
	}
	b.drills.sandbox = p
	return p, nil
}

// Drills implements console.Backend.
func (b *backend) Drills(ctx context.Context) ([]console.DrillItem, error) {
	return b.world.drillItems(ctx)
}

// stageLocked breaks the sandbox for a drill.
func (b *backend) stageLocked(ctx context.Context, d console.DrillStart) (*stagedDrill, error) {
	w, err := b.practiceLocked(ctx)
	if err != nil {
		return nil, err
	}
	sc, err := w.rehearsals().Find(d.Scenario)
	if err != nil {
		return nil, err
	}
	if err := w.drillsFree(ctx); err != nil {
		return nil, err
	}
	leave, err := w.enter(ctx)
	if err != nil {
		return nil, err
	}
	if sc, err = w.stageAnew(ctx, sc); err != nil {
		leave()
		return nil, err
	}
	cast := drill.Cast{Trainee: orElse(d.Trainee, w.env.user), Facilitator: d.Facilitator}
	if w != b.world && b.world.estate != nil { // how long it holds is the business of the estate
		cast.Every = orEvery(sc, b.world)
	}
	return &stagedDrill{world: w, scenario: sc, cast: cast, at: w.env.now(), leave: leave}, nil
}

// StartDrill implements console.Backend.
func (b *backend) StartDrill(ctx context.Context, d console.DrillStart) (run.ID, error) {
	b.drills.mu.Lock()
	defer b.drills.mu.Unlock()
	staged, err := b.stageLocked(ctx, d)
	if err != nil {
		return "", err
	}
	return staged.begin(ctx, time.Time{})
}

// AlarmDrill implements console.Backend.
func (b *backend) AlarmDrill(ctx context.Context, d console.DrillStart) (console.DrillAlarm, error) {
	b.drills.mu.Lock()
	defer b.drills.mu.Unlock()
	staged, err := b.stageLocked(ctx, d)
	if err != nil {
		return console.DrillAlarm{}, err
	}
	if staged.scenario.Alarm == "" {
		staged.leave()
		return console.DrillAlarm{}, errNoAlarm(staged.scenario)
	}
	if b.drills.staged != nil {
		b.drills.staged.leave()
	}
	b.drills.staged = staged
	return staged.alarm(), nil
}

// GuessDrill implements console.Backend.
func (b *backend) GuessDrill(ctx context.Context, book string) (run.ID, bool, error) {
	b.drills.mu.Lock()
	defer b.drills.mu.Unlock()
	d := b.drills.staged
	if d == nil {
		return "", false, hint.New("no alarm waits for its runbook", "begin the drill again")
	}
	if !d.guess(book) {
		return "", false, nil
	}
	b.drills.staged = nil
	id, err := d.begin(ctx, d.at)
	return id, true, err
}

// guess says whether a runbook is the right one, and remembers those that are not.
func (d *stagedDrill) guess(book string) bool {
	if book == d.scenario.Runbook {
		d.cast.Symptoms, d.cast.Found = true, max(d.world.env.now().Sub(d.at), 0)
		return true
	}
	if !slices.Contains(d.cast.Tried, book) {
		d.cast.Tried = append(d.cast.Tried, book)
	}
	return false
}

// begin begins the drill and starts its host, which has been in the sandbox before we leave.
func (d *stagedDrill) begin(ctx context.Context, alarmed time.Time) (run.ID, error) {
	defer d.leave()
	id, _, err := d.world.beginScenario(ctx, d.scenario, d.scenario.Runbook, d.cast, alarmed)
	if err != nil {
		return "", err
	}
	return id, d.world.attach(ctx, id)
}

// SayInject implements console.Backend.
func (b *backend) SayInject(ctx context.Context, id run.ID, inject, text string) error {
	return b.client.Say(ctx, id, inject, text)
}

// TakeHint implements console.Backend.
func (b *backend) TakeHint(ctx context.Context, id run.ID, step string) error {
	return b.client.Hint(ctx, id, step)
}

// EndDrill implements console.Backend.
func (b *backend) EndDrill(ctx context.Context, id run.ID) error {
	return b.client.End(ctx, id)
}

// hostOf is the world that hosts a run: a drill is never started with what the estate
// gives to its own processes.
func (b *backend) hostOf(ctx context.Context, id run.ID) (*world, error) {
	if b.world.sandbox() != nil {
		return b.world, nil
	}
	events, err := b.world.journal.Load(ctx, id)
	if err != nil || len(events) == 0 {
		return b.world, err
	}
	if s, ok := events[0].Body.(run.Started); !ok || s.Mode != run.Drill {
		return b.world, nil
	}
	b.drills.mu.Lock()
	defer b.drills.mu.Unlock()
	w, err := b.practiceLocked(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox: %w", err)
	}
	return w, nil
}

var _ engine.Asker = played{}
