package app

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/secret"
)

// ownBooks gives the runbooks that lie beside a person's estate file. The estate itself
// is not read: a rehearsal has nothing to do with it.
func ownBooks(env environment, s settings) []runbook.NamedFS {
	file := s.estate
	if s.sandbox {
		return nil
	}
	if file == "" {
		var err error
		if file, err = estate.Locate(env.dir, env.configDir()); err != nil {
			return nil
		}
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil
	}
	return beside(dir)
}

// rehearsals are those that Lifeboat brings and those beside runbooks of a person.
func (w *world) rehearsals() *drill.Library {
	w.drills.once.Do(func() { w.drills.list = drill.NewLibrary(w.places()...) })
	return w.drills.list
}

// scenarioOf finds the drill that rehearses a runbook.
func (w *world) scenarioOf(book string) (drill.Scenario, bool) {
	if list := w.rehearsals().Of(book); len(list) > 0 {
		return list[0], true
	}
	return drill.Scenario{}, false
}

// stageFor breaks the sandbox in the way that a runbook is for.
func (w *world) stageFor(ctx context.Context, book string) error {
	sc, ok := w.scenarioOf(book)
	if !ok {
		return nil
	}
	_, err := w.stageAnew(ctx, sc)
	return err
}

// stageAnew is stage for the standing sandbox. One that is broken already, by an earlier
// drill, is made anew.
func (w *world) stageAnew(ctx context.Context, sc drill.Scenario) (drill.Scenario, error) {
	broken, err := w.sandbox().Broken()
	if err != nil {
		return sc, err
	}
	if broken != "" {
		fresh, err := w.sandbox().Reset(ctx)
		if err != nil {
			return sc, fmt.Errorf("make the sandbox anew: %w", err)
		}
		w.box.Store(fresh)
		w.vaults.forget()
	}
	return w.stage(ctx, sc, func(string, ...any) {})
}

// stage prepares and breaks the sandbox: what the scenario wants to have happened before
// the trainee comes in. It gives the scenario with what was only known then.
func (w *world) stage(ctx context.Context, sc drill.Scenario, say func(string, ...any)) (drill.Scenario, error) {
	for _, p := range sc.Prepare {
		if err := w.prepare(ctx, sc, p, say); err != nil {
			return sc, err
		}
	}
	if err := w.sandbox().Entrust(sc.Oracle); err != nil {
		return sc, err
	}
	at := w.env.now()
	switch {
	case sc.Damage != "":
		if err := w.sandbox().BreakBy(ctx, sc.Damage); err != nil {
			return sc, err
		}
		say("BROKEN by the script of %s", sc.Name)
	case sc.Breakage != "":
		b, err := w.sandbox().Break(ctx, sc.Breakage)
		if err != nil {
			return sc, fmt.Errorf("break the sandbox: %w", err)
		}
		say("BROKEN %s", b.Summary)
	}
	filled, err := sc.Filled(w.sandbox().Dir(), at)
	if err != nil {
		return sc, fmt.Errorf("scenario %q: %w", sc.Name, err)
	}
	return filled, nil
}

func (w *world) prepare(ctx context.Context, sc drill.Scenario, p drill.Preparation, say func(string, ...any)) error {
	if p.Writes > 0 {
		say("PREPARE %d bookings more", p.Writes)
		return w.sandbox().Wait(ctx, p.Writes)
	}
	say("PREPARE %s", p.Runbook)
	now, err := drill.Scenario{Params: p.Params}.Filled(w.sandbox().Dir(), w.env.now())
	if err != nil {
		return fmt.Errorf("prepare with %q: %w", p.Runbook, err)
	}
	book := p.Runbook
	if file := filepath.Join(w.near, book+".md"); w.near != "" {
		if _, err := os.Lstat(file); err == nil {
			book = file
		}
	}
	id, program, err := w.begin(ctx, wish{book: book, params: now.Params})
	if err != nil {
		return fmt.Errorf("prepare with %q: %w", p.Runbook, err)
	}
	before := w.before
	w.before = nil // what prepares is not what is tested
	r, err := w.drive(ctx, program, id, drill.NewAuto(sc), nil, w.files)
	w.before = before
	if err == nil {
		err = outcome(r)
	}
	if err != nil {
		for _, s := range r.Steps {
			if s.Error != "" {
				err = fmt.Errorf("%w: step %q: %s", err, s.ID, s.Error)
			}
		}
		return fmt.Errorf("prepare with %q: %w", p.Runbook, err)
	}
	for _, s := range r.Steps {
		if s.Evidence != "" {
			say("  %s: %s", s.Title, s.Evidence)
		}
	}
	return nil
}

// casting is who plays in the drill of which scenario.
type casting struct {
	scenario drill.Scenario
	drill.Cast
}

// cast makes the run that is about to begin the drill of a scenario.
func (w *world) cast(p *engine.Program, start *engine.Start, c casting) {
	c.RTO = start.RTO
	tier := ""
	if a, err := w.estate.Find(start.Asset); err == nil {
		c.RPO, tier = a.RPO, a.Tier
	}
	if c.Every == 0 {
		c.Every = w.estate.DrillEvery(c.scenario.Runbook, tier)
	}
	setup := c.scenario.Setup(c.Cast, p.Outline())
	start.Drill, start.RTO = &setup, setup.RTO
}

// beginScenario begins the run of a rehearsal. book is where its runbook is found.
// incident is when the trainee was alarmed; zero: the run begins with the drill.
func (w *world) beginScenario(ctx context.Context, sc drill.Scenario, book string, cast drill.Cast, incident time.Time) (run.ID, *engine.Program, error) {
	program, err := w.shelf.ready(book)
	if err != nil {
		return "", nil, err
	}
	params, err := w.secretsOf(program.Book, sc.Params)
	if err != nil {
		return "", nil, err
	}
	id, err := w.start(ctx, program, wish{book: book, params: params, incident: incident, drill: &casting{sc, cast}})
	if err != nil {
		return "", nil, err
	}
	return id, program, w.shelf.pin(id, program)
}

// secretsOf takes the secret parameters of a runbook out of params and hands them to
// the engine the way that no run keeps: a rehearsal may write them down.
func (w *world) secretsOf(book *runbook.Book, params map[string]string) (rest map[string]string, err error) {
	rest, w.secrets = maps.Clone(params), maps.Clone(w.secrets)
	for _, p := range book.Params() {
		v, given := rest[p.Name]
		if !p.Secret || !given {
			continue
		}
		delete(rest, p.Name)
		w.secrets[p.Name] = secret.New(v)
		if err := w.redact.Add(w.secrets[p.Name]); err != nil {
			return nil, hint.Wrap(fmt.Errorf("parameter %q: %w", p.Name, err), "give the rehearsal a longer secret")
		}
	}
	return rest, nil
}
