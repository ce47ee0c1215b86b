package app

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/run"
	"lifeboat/internal/sandbox"
)

// rehearsal says how a drill is played.
type rehearsal struct {
	scenario string
	auto     bool // a script plays the trainee
	keep     bool // leave the sandbox
	json     bool
	quiet    bool
	plain    bool
}

func cmdDrill(env environment, s *settings, plainMode *bool) *cobra.Command {
	var h rehearsal
	names := strings.Join(shippedScenarios(), ", ")
	c := &cobra.Command{
		Use: "drill SCENARIO", Short: "Rehearse a recovery on real systems that are really broken",
		Long: "Makes a sandbox estate of its own, takes a backup, breaks something for real, and walks the\n" +
			"runbook. An oracle that shares no code with the recovery says what was recovered and what\n" +
			"was lost. Nothing outside the sandbox can be reached.\n\nScenarios: " + names,
		Example: "  lifeboat drill accidental-force-push          in the console, by yourself\n  lifeboat drill accidental-force-push --auto   played by a script, for CI",
		Args:    exactly(1, "a scenario: "+names),
		RunE: func(_ *cobra.Command, args []string) error {
			h.scenario, h.plain = args[0], *plainMode
			return rehearse(env, *s, h)
		},
	}
	c.Flags().BoolVar(&h.auto, "auto", false, "let a script answer, as CI does")
	c.Flags().BoolVar(&h.keep, "keep", false, "leave the sandbox of --auto for a look")
	c.Flags().BoolVar(&h.json, "json", false, "with --auto: events and result as JSON, one a line")
	c.Flags().BoolVar(&h.quiet, "quiet", false, "leave out what the steps print")
	return c
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
	if h.auto {
		return w.rehearseAuto(sc, h)
	}
	// A person practises in the standing sandbox, and may come back to it.
	if err := w.useSandbox(w.sandboxDir()); err != nil {
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
	id, p, err := w.beginScenario(env.ctx, sc, sc.Runbook)
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
		if err != nil {
			return err
		}
		return outcome(r)
	}}
	return w.foreground(env.ctx, p, id, w.person(l), out)
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
	began := w.env.now()
	id, p, err := w.beginScenario(ctx, sc, sc.Runbook)
	if err != nil {
		return err
	}
	out := w.jsonWatcher()
	if !h.json {
		out = &watcher{observe: l.event, output: l, lines: l}
		out.observe = func(r run.Run, ev run.Event) {
			if n, ok := ev.Body.(run.Note); !ok || n.By != oracle { // the score says the same, better
				l.event(r, ev)
			}
		}
	}
	var r run.Run
	out.end = func(ended run.Run, err error) error { r = ended; return err }
	if err := w.foreground(ctx, p, id, drill.NewAuto(sc), out); err != nil {
		return err
	}
	return w.score(sc, h, r, w.env.now().Sub(began))
}

// score asks the oracle and says whether the drill passed.
func (w *world) score(sc drill.Scenario, h rehearsal, r run.Run, took time.Duration) error {
	v, err := w.askOracle(w.env.ctx)
	if err != nil {
		return err
	}
	res := drill.Score(sc, r, v, took)
	if h.json {
		data, err := json.Marshal(struct {
			Scenario string      `json:"scenario"`
			Run      run.ID      `json:"run"`
			Outcome  run.Outcome `json:"outcome"`
			Passed   bool        `json:"passed"`
			Seconds  float64     `json:"seconds"`
			Lost     []string    `json:"lost"`
		}{sc.Name, r.ID, r.Outcome, res.Passed, took.Seconds(), v.Lost})
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
