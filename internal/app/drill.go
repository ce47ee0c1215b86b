package app

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/sandbox"
)

// rehearsal says how a drill is played.
type rehearsal struct {
	scenario    string
	trainee     string // empty: the user
	facilitator string
	symptoms    bool // the trainee has to find the runbook
	auto        bool // a script plays the trainee
	keep        bool // leave the sandbox
	json        bool
	quiet       bool
	plain       bool
}

func cmdDrill(env environment, s *settings, plainMode *bool) *cobra.Command {
	var h rehearsal
	c := &cobra.Command{
		Use: "drill [SCENARIO]", Short: "Rehearse a recovery on real systems that are really broken",
		Long: "Makes a sandbox estate of its own, takes a backup, breaks something for real, and walks the\n" +
			"runbook. Injects happen meanwhile and want an answer, hints cost points, and an oracle that\n" +
			"shares no code with the recovery says what was recovered and what was lost. Nothing outside\n" +
			"the sandbox can be reached. Without a scenario it lists them, with the last result and when\n" +
			"each is due.",
		Example: "  lifeboat drill                                what there is, and what is due\n" +
			"  lifeboat drill accidental-force-push          in the console, by yourself\n" +
			"  lifeboat drill data-loss --from-symptoms      find the runbook yourself\n" +
			"  lifeboat drill accidental-force-push --auto   played by a script, for CI",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(fmt.Errorf("one scenario at a time, this names %d", len(args)))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listDrills(env, *s, h)
			}
			h.scenario, h.plain = args[0], *plainMode
			return rehearse(env, *s, h)
		},
	}
	c.Flags().StringVar(&h.trainee, "trainee", "", "who practises (default: you)")
	c.Flags().StringVar(&h.facilitator, "facilitator", "", "who leads the drill, where somebody does")
	c.Flags().BoolVar(&h.symptoms, "from-symptoms", false, "begin with the alarm: finding the runbook is part of the drill")
	c.Flags().BoolVar(&h.auto, "auto", false, "let a script answer, as CI does")
	c.Flags().BoolVar(&h.keep, "keep", false, "leave the sandbox of --auto for a look")
	c.Flags().BoolVar(&h.json, "json", false, "the list, or with --auto events and result, as JSON, one a line")
	c.Flags().BoolVar(&h.quiet, "quiet", false, "leave out what the steps print")
	return c
}

// errNoAlarm is a scenario that cannot be begun from its symptoms.
func errNoAlarm(sc drill.Scenario) error {
	return usage(hint.Wrap(fmt.Errorf("scenario %q has no alarm to begin from", sc.Name), "leave --from-symptoms away, or add \"alarm: …\" to "+sc.File))
}

// rehearse plays a drill.
func rehearse(env environment, s settings, h rehearsal) error {
	w, err := openState(env, s)
	if err != nil {
		return err
	}
	defer w.close()
	w.books = ownBooks(env, s)
	sc, err := w.rehearsals().Find(h.scenario)
	if err != nil {
		return usage(err)
	}
	if h.symptoms && sc.Alarm == "" {
		return errNoAlarm(sc)
	}
	if h.auto {
		return w.rehearseAuto(sc, h)
	}
	// A person practises in the standing sandbox, and may come back to it.
	if err := w.useSandbox(w.sandboxDir()); err != nil {
		return err
	}
	if err := w.drillsFree(env.ctx); err != nil {
		return err
	}
	leave, err := w.enter(env.ctx)
	if err != nil {
		return err
	}
	defer leave()
	if sc, err = w.stageAnew(env.ctx, sc); err != nil {
		return err
	}
	cast, alarmed := drill.Cast{Trainee: orElse(h.trainee, env.user), Facilitator: h.facilitator}, time.Time{}
	if h.symptoms {
		alarmed = env.now()
		if !env.dumb() && !h.plain {
			return w.consoleAt(alarmOf(&stagedDrill{world: w, scenario: sc, cast: cast, at: alarmed, leave: func() {}}))
		}
		if err := w.findForAlarm(sc, &cast, alarmed); err != nil {
			return err
		}
	}
	id, p, err := w.beginScenario(env.ctx, sc, sc.Runbook, cast, alarmed)
	if err != nil {
		return err
	}
	if !env.dumb() && !h.plain {
		if err := w.attach(env.ctx, id); err != nil {
			return err
		}
		return w.console(id)
	}
	l := w.lines()
	l.quiet = h.quiet
	out := &watcher{observe: l.event, output: l, lines: l, end: func(r run.Run, err error) error {
		if err == nil {
			err = outcome(r)
		}
		if err == nil && r.Score != nil && !r.Score.Passed {
			return silentError{ended{r, exitNotComplete}}
		}
		return err
	}}
	return w.foreground(env.ctx, p, id, w.person(l), out)
}

// drillsFree refuses to break the standing sandbox anew while a drill is open in it.
func (w *world) drillsFree(ctx context.Context) error {
	list, err := w.journal.Runs(ctx, 100) // open ones come first
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.Open() && r.Scenario != "" && r.Started.Estate == w.estate.File {
			return usage(hint.Wrapf(fmt.Errorf("drill %s of scenario %q is open in the sandbox, and a new one would break it anew", r.ID.Short(), r.Scenario),
				"lifeboat attach %s takes it up; x ends it there", r.ID.Short()))
		}
	}
	return nil
}

// rehearseAuto makes a sandbox, breaks it, lets the script walk the runbook, asks the
// oracle and throws the sandbox away.
func (w *world) rehearseAuto(sc drill.Scenario, h rehearsal) error {
	ctx := w.env.ctx
	l := &lines{w: w.env.stdout, quiet: h.quiet, now: w.env.now}
	say := func(format string, args ...any) {
		if !h.json {
			l.say(w.env.now(), format, args...)
		}
	}
	dir := filepath.Join(w.state, "drills", w.env.now().UTC().Format("20060102T150405.000Z"))
	say("SANDBOX %s: a repository with its origin, a booking database that is written to, a vault", sc.Name)
	sb, err := sandbox.Make(ctx, dir, sandbox.Options{})
	if err != nil {
		return fmt.Errorf("make sandbox: %w", err)
	}
	if h.keep {
		say("SANDBOX kept in %s", dir)
	} else {
		defer sb.Remove(context.WithoutCancel(ctx))
	}
	if err := w.useEstate(filepath.Join(dir, estate.FileName)); err != nil {
		return err
	}
	leave, err := w.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if sc, err = w.stage(ctx, sc, say); err != nil {
		return err
	}
	id, p, err := w.beginScenario(ctx, sc, sc.Runbook, drill.Cast{Trainee: drill.By, Auto: true}, time.Time{})
	if err != nil {
		return err
	}
	out := w.jsonWatcher()
	if !h.json {
		out = &watcher{observe: l.event, output: l, lines: l}
		out.observe = func(r run.Run, ev run.Event) {
			if n, ok := ev.Body.(run.Note); ok && n.By == oracle { // the score says the same, better
				return
			}
			l.event(r, ev)
		}
	}
	var r run.Run
	out.end = func(ended run.Run, err error) error { r = ended; return err }
	if err := w.foreground(ctx, p, id, drill.NewAuto(sc), out); err != nil {
		return err
	}
	return w.score(sc, h, r)
}

// score asks the oracle and says whether the drill passed.
func (w *world) score(sc drill.Scenario, h rehearsal, r run.Run) error {
	took := r.Took()
	v, err := w.askOracle(w.env.ctx)
	if err != nil {
		return err
	}
	res := drill.Score(sc, r, v, took)
	points, of := 0, 0
	if s := r.Score; s != nil {
		points, of = s.Points, s.Of
		if res.Passed && !s.Passed {
			res.Passed, res.Why = false, append(res.Why, s.Why...)
		}
	}
	if h.json {
		data, err := json.Marshal(struct {
			Scenario string      `json:"scenario"`
			Run      run.ID      `json:"run"`
			Outcome  run.Outcome `json:"outcome"`
			Passed   bool        `json:"passed"`
			Points   int         `json:"points"`
			Of       int         `json:"of"`
			Seconds  float64     `json:"seconds"`
			Lost     []string    `json:"lost"`
		}{sc.Name, r.ID, r.Outcome, res.Passed, points, of, took.Seconds(), v.Lost})
		if err != nil {
			return err
		}
		fmt.Fprintf(w.env.stdout, "%s\n", data)
	} else {
		fmt.Fprintln(w.env.stdout)
		for _, line := range res.Lines() {
			fmt.Fprintln(w.env.stdout, line)
		}
	}
	if !res.Passed {
		return silentError{ended{r, exitNotComplete}}
	}
	return nil
}

var _ engine.Asker = drill.NewAuto(drill.Scenario{})
