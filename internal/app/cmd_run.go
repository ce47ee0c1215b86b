package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// answering says who answers the gates of a run in the foreground.
type answering struct {
	yes   bool
	allow []string
	json  bool
	quiet bool
	plain bool
}

func (a *answering) flags(c *cobra.Command) {
	c.Flags().BoolVar(&a.yes, "yes", false, "approve steps that write; never those that destroy")
	c.Flags().StringArrayVar(&a.allow, "allow", nil, "approve one destructive step: STEP=TOKEN, the token read from its live target")
	c.Flags().BoolVar(&a.json, "json", false, "print each event as a line of JSON")
	c.Flags().BoolVar(&a.quiet, "quiet", false, "leave out what the steps print")
}

func cmdRun(env environment, s *settings, plainMode *bool) *cobra.Command {
	var (
		a        answering
		params   []string
		dry      bool
		incident string
		level    int
		triage   string
		shard    string
	)
	c := &cobra.Command{
		Use:   "run RUNBOOK",
		Short: "Run a runbook: a name of the library, or FILE.md, or FILE.md#section",
		Long: "Runs a runbook in the foreground. On a terminal it asks line by line; without one it\n" +
			"asks nobody: steps that read run, steps that write need --yes, steps that destroy need\n" +
			"--allow with the exact token of their live target, and where a person is needed it stops\n" +
			"with exit code 3 and leaves the run open.\n\n" +
			"Exit codes: 0 complete, 1 not complete, 2 nothing ran (usage, configuration, runbook),\n" +
			"3 a person is needed, 4 aborted, 5 a verification failed, 75 busy.",
		Example: "  lifeboat run accidental-force-push --param branch=main\n  lifeboat run repository-backup --yes --json\n  lifeboat run PROTOCOL.md#scenario-2 --dry-run",
		Args:    exactly(1, "the name or the file of a runbook"),
		RunE: func(_ *cobra.Command, args []string) error {
			pairs, err := parsePairs("param", params)
			if err != nil {
				return err
			}
			if level < 0 || level > run.MaxLevel {
				return usage(hint.New(fmt.Sprintf("there is no level %d", level), "levels are 1, 2 and 3"))
			}
			if shard != "" {
				if _, given := pairs["shard"]; given {
					return usage(hint.New("both --shard and --param shard", "give one of them"))
				}
				pairs["shard"] = shard
			}
			wish := wish{book: args[0], params: pairs, dry: dry, level: level}
			if wish.allow, err = parsePairs("allow", a.allow); err != nil {
				return err
			}
			if incident != "" {
				if wish.incident, err = parseIncident(env, incident); err != nil {
					return err
				}
			}
			w, err := open(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			if triage != "" {
				if err := w.triaged(&wish, triage); err != nil {
					return err
				}
			}
			a.plain = *plainMode
			asker, out, err := w.front(a, dry)
			if err != nil {
				return err
			}
			id, p, err := w.begin(env.ctx, wish)
			if err != nil {
				return err
			}
			return w.foreground(env.ctx, p, id, asker, out)
		},
	}
	a.flags(c)
	c.Flags().StringArrayVar(&params, "param", nil, "set a parameter: NAME=VALUE")
	c.Flags().BoolVar(&dry, "dry-run", false, "plan every step and change nothing")
	c.Flags().StringVar(&shard, "shard", "", "the parameter shard: which part of the assets, 0/4 is the first of four")
	c.Flags().IntVar(&level, "level", 0, "the level of the incident, 1 to 3, where it is above that of the runbook")
	c.Flags().StringVar(&triage, "triage", "", "the answers of lifeboat triage that led here, such as 2,1: they give the level, and are kept on record")
	c.Flags().StringVar(&incident, "incident", "", "when it happened, \"2026-11-24 02:52\" in UTC or \"10m\" ago: the RTO counts from then")
	return c
}

// parseIncident reads a point in time, or how long ago it was.
func parseIncident(env environment, text string) (time.Time, error) {
	now := env.now()
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			if t.After(now) {
				return t, usage(fmt.Errorf("--incident %q is in the future", text))
			}
			return t, nil
		}
	}
	return now, usage(hint.Wrap(fmt.Errorf("--incident %q is no time", text), `write "2026-11-24 02:52" (UTC), or "10m" for ten minutes ago`))
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(hint.New(printable.Count(len(args), "argument")+" given", "it takes "+what))
		}
		return nil
	}
}

// watcher shows a run in the foreground.
type watcher struct {
	observe func(r run.Run, ev run.Event)
	output  io.Writer // of the steps; nil: not shown
	lines   *lines    // nil with --json
	end     func(r run.Run, err error) error
}

// front chooses who answers and how the run is shown.
func (w *world) front(a answering, dry bool) (engine.Asker, *watcher, error) {
	allow, err := parsePairs("allow", a.allow)
	if err != nil {
		return nil, nil, err
	}
	if a.json {
		return newPolicy(w.env.user, a.yes, allow), w.jsonWatcher(), nil
	}
	l := w.lines()
	l.quiet = a.quiet
	out := &watcher{
		observe: l.event, output: l, lines: l,
		end: func(r run.Run, err error) error {
			if err != nil {
				return err
			}
			if err := outcome(r); err != nil {
				return silentError{err}
			}
			return nil
		},
	}
	if w.progress == nil && (w.env.terminal || a.plain) && !a.quiet {
		w.progress = (&bar{w: shown{l}, now: time.Now}).progress
	}
	if w.env.terminal && !a.yes && len(allow) == 0 && !dry {
		return w.person(l), out, nil
	}
	if a.plain && !a.yes && len(allow) == 0 && !dry { // asked for by name: standard input answers, terminal or not
		return w.person(l), out, nil
	}
	return newPolicy(w.env.user, a.yes, allow), out, nil
}

// jsonWatcher prints each event as the journal keeps it, one a line, then the result.
func (w *world) jsonWatcher() *watcher {
	return &watcher{
		observe: func(_ run.Run, ev run.Event) {
			if data, err := run.Encode(ev); err == nil {
				fmt.Fprintf(w.env.stdout, "%s\n", data)
			}
		},
		end: func(r run.Run, err error) error {
			result := struct {
				Run     run.ID      `json:"run"`
				Outcome run.Outcome `json:"outcome,omitempty"`
				Error   string      `json:"error,omitempty"`
				Hints   []string    `json:"hints,omitempty"`
				Exit    int         `json:"exit"`
			}{Run: r.ID, Outcome: r.Outcome, Hints: hint.All(err)}
			if err != nil {
				result.Error = err.Error()
			} else {
				err = outcome(r)
			}
			result.Exit = code(err)
			if data, e := json.Marshal(result); e == nil {
				fmt.Fprintf(w.env.stdout, "%s\n", data)
			}
			if err != nil {
				return silentError{err}
			}
			return nil
		},
	}
}

// foreground drives a run in this process and shows it.
func (w *world) foreground(ctx context.Context, p *engine.Program, id run.ID, asker engine.Asker, out *watcher) error {
	r, err := w.load(ctx, string(id))
	if err != nil {
		return err
	}
	if out.lines != nil {
		out.lines.guidance, out.lines.params = p.Guidance(), p.Book.Params()
	}
	if r.Seq == 1 { // it begins here; its first event was stored before anybody watched
		out.observe(r, run.Event{Run: id, Seq: 1, At: r.At, Kind: run.RunStarted, Body: r.Started})
	}
	if r.Seq == 2 && r.Drill != nil { // likewise
		out.observe(r, run.Event{Run: id, Seq: 1, At: r.At, Kind: run.RunStarted, Body: r.Started})
		out.observe(r, run.Event{Run: id, Seq: 2, At: r.Drill.At, Kind: run.DrillBegan, Body: r.Drill.DrillSetup})
	}
	if out.lines != nil && out.lines.raises && r.Seq > 2 {
		if events, err := w.journal.Load(ctx, id); err == nil {
			out.lines.say(w.env.now(), "%s run %s, %s: you come back to it.", mode(r), id.Short(), r.Started.Book)
			w.comes(out.lines, events)
		}
	}
	if err := w.sayOwed(id, out.lines); err != nil {
		return err
	}
	var spool engine.Spool = w.files
	if out.output != nil {
		spool = tee{w.files, out.output}
	}
	r, err = w.drive(ctx, p, id, asker, out.observe, spool)
	if r.ID == "" {
		r.ID = id
	}
	w.missedRun(ctx, p, r, err)
	again := "lifeboat resume " + id.Short() + " takes it up again"
	switch {
	case errors.Is(err, engine.ErrLeft):
		err = w.leaving(fmt.Errorf("run %s: %w", id.Short(), err), &r, again)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = w.leaving(fmt.Errorf("run %s was interrupted (%w) and stays open", id.Short(), err), &r, again)
	}
	return out.end(r, err)
}

func cmdResume(env environment, s *settings, plainMode *bool) *cobra.Command {
	var a answering
	c := &cobra.Command{
		Use: "resume [RUN]", Short: "Take an open run up again, where it was left; the only open one when none is named",
		Long: "Takes a run up again in the foreground. What was running when its process ended is in\n" +
			"doubt: it is probed, and a person settles it.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := openState(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			name, err := w.openOne(args)
			if err != nil {
				return err
			}
			r, err := w.load(env.ctx, name)
			if err != nil {
				return err
			}
			if !r.Open() {
				return usage(fmt.Errorf("run %s has ended: %s", r.ID.Short(), r.Outcome))
			}
			if err := w.settle(r); err != nil {
				return err
			}
			p, err := w.shelf.pinned(r.ID, r.Started)
			if err != nil {
				return err
			}
			allow, err := parsePairs("allow", a.allow)
			if err != nil {
				return err
			}
			if err := knows(allow, r.Started.Steps); err != nil {
				return err
			}
			a.plain = *plainMode
			asker, out, err := w.front(a, r.Started.Mode == run.Dry)
			if err != nil {
				return err
			}
			return w.foreground(env.ctx, p, r.ID, asker, out)
		},
	}
	a.flags(c)
	return c
}

func cmdAttach(env environment, s *settings, plainMode *bool) *cobra.Command {
	return &cobra.Command{
		Use: "attach [RUN]", Short: "Open the console at a run, wherever it is; with --plain watch and drive it line by line",
		Example: "  lifeboat attach                    the run that is open\n  lifeboat attach 7F3A --readonly    watch it, and nothing else\n" +
			"  lifeboat attach 7F3A --plain       line by line",
		Long: "Shows a run that another process hosts; the only open one when none is named. One person\n" +
			"drives a run: answers its gates and stops its steps. Everybody else watches, notes and\n" +
			"calls, and can ask to drive: A in the console, \"take\" with --plain. A driver who is there\n" +
			"has 60 s to say yes or no, one whose terminal is gone 10 s; then whoever asked may take\n" +
			"over. With --readonly nothing can be answered, stopped, noted or started.\n\n" +
			"With --plain, where the input ends the run is left open: exit code 3. A read-only one\n" +
			"follows the run to its end.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := openIn(env, *s, args)
			if err != nil {
				return err
			}
			if env.dumb() || *plainMode {
				return attachLines(env, *s, name)
			}
			return openConsole(env, *s, name)
		},
	}
}

// openIn is [world.openOne] for a command that opens the state by itself.
func openIn(env environment, s settings, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	w, err := lookState(env, s)
	if err != nil {
		return "", err
	}
	defer w.close()
	return w.openOne(args)
}

// openOne is the run that a command line names, or the only one that is open.
func (w *world) openOne(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	list, err := w.journal.Runs(w.env.ctx, openRuns)
	if err != nil {
		return "", err
	}
	var open []string
	for _, s := range list {
		if s.Open() {
			open = append(open, s.ID.Short()+" ("+s.Started.Book+")")
		}
	}
	switch len(open) {
	case 0:
		return "", usage(hint.New("no run is open", "lifeboat run RUNBOOK begins one, lifeboat runs lists those that have ended"))
	case 1:
		id, _, _ := strings.Cut(open[0], " ")
		return id, nil
	}
	return "", usage(hint.New(printable.Count(len(open), "run")+" are open", "say which: "+strings.Join(open, ", ")))
}

func cmdHost(env environment, s *settings) *cobra.Command {
	var session string
	c := &cobra.Command{
		Use: "host RUN", Short: "Drive a run without a terminal, for consoles to attach to", Hidden: true,
		Args: exactly(1, "the id of a run"),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := openState(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			w.session = session // whoever asked for this process drives, not the process
			return w.host(env.ctx, args[0])
		},
	}
	c.Flags().StringVar(&session, "session", "", "of whoever drives")
	return c
}
