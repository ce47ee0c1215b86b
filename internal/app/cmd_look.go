package app

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/action"
	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/journal"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// cmdRuns lists runs.
func cmdRuns(env environment, s *settings) *cobra.Command {
	var (
		asJSON bool
		limit  int
	)
	c := &cobra.Command{
		Use: "runs", Short: "List runs, the open ones first", Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			w, err := lookState(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			list, err := w.journal.Runs(env.ctx, limit)
			if err != nil {
				return err
			}
			if asJSON {
				return w.runsJSON(list)
			}
			if len(list) == 0 {
				fmt.Fprintln(env.stdout, "no runs yet; lifeboat run RUNBOOK begins one")
				return nil
			}
			t := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "RUN\tMODE\tRUNBOOK\tBY\tSTARTED (UTC)\tSTATE")
			for _, r := range list {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID.Short(), r.Started.Mode, printable.Line(r.Started.Book),
					printable.Line(r.Started.By), r.First.UTC().Format("2006-01-02 15:04:05"), printable.Line(w.stateOf(r)))
			}
			if err := t.Flush(); err != nil {
				return err
			}
			owed, err := w.debtLines("")
			if err != nil {
				return err
			}
			for _, text := range owed {
				w.lines().bare("%s", text)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.Flags().IntVar(&limit, "limit", 50, "how many")
	return c
}

type debtJSON struct {
	ID      string    `json:"id"`
	Text    string    `json:"text"`
	Since   time.Time `json:"since"`
	Due     time.Time `json:"due,omitzero"`
	Overdue bool      `json:"overdue"`
}

func (w *world) runsJSON(list []journal.Summary) error {
	env := w.env
	owed := map[run.ID][]debtJSON{}
	runs, err := w.owing()
	if err != nil {
		return err
	}
	for i := range runs {
		for _, d := range incident.Debts(runs[i].Debts) {
			owed[runs[i].ID] = append(owed[runs[i].ID], debtJSON{d.ID, d.Text, d.At, d.Due(), d.Overdue(env.now())})
		}
	}
	for _, r := range list {
		room := w.roomOf(r)
		data, err := json.Marshal(struct {
			Run     run.ID      `json:"run"`
			Mode    run.Mode    `json:"mode"`
			Book    string      `json:"book"`
			Asset   string      `json:"asset,omitempty"`
			By      string      `json:"by"`
			Started time.Time   `json:"started"`
			Last    time.Time   `json:"last"`
			Outcome run.Outcome `json:"outcome,omitempty"`
			Debts   []debtJSON  `json:"debts,omitempty"`
			Driver  string      `json:"driver,omitempty"` // who answers, while a process hosts the run
			Here    bool        `json:"driver_here,omitempty"`
			Watch   []string    `json:"watch,omitempty"`
		}{r.ID, r.Started.Mode, r.Started.Book, r.Started.Asset, r.Started.By, r.First, r.Last, r.Outcome, owed[r.ID], room.Driver.By, room.Here, watchers(room)})
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "%s\n", data)
	}
	return nil
}

// cmdShow shows one run as it is on record.
func cmdShow(env environment, s *settings) *cobra.Command {
	var asJSON, logs, status bool
	c := &cobra.Command{
		Use: "show [RUN]", Short: "Show what happened in a run, the newest one when none is named", Args: cobra.MaximumNArgs(1),
		Example: "  lifeboat show 7F3A --logs      step by step, with what the steps printed\n  lifeboat show 7F3A --status    one line for the chat",
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := lookState(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			list, err := w.recorded(args)
			if err != nil {
				return err
			}
			if asJSON {
				for _, ev := range list {
					data, err := run.Encode(ev)
					if err != nil {
						return err
					}
					fmt.Fprintf(env.stdout, "%s\n", data)
				}
				return nil
			}
			if status {
				r, err := run.FoldAll(list)
				if err != nil {
					return err
				}
				fmt.Fprintln(env.stdout, incident.Status(&r, env.now()))
				return nil
			}
			return w.show(list, logs)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "the events as they are stored, one a line")
	c.Flags().BoolVar(&logs, "logs", false, "with what the steps printed")
	c.Flags().BoolVar(&status, "status", false, "one line for the chat: where it stands, for whom it waits, the time left, what is owed")
	c.MarkFlagsMutuallyExclusive("status", "json")
	c.MarkFlagsMutuallyExclusive("status", "logs")
	return c
}

// show replays a history through the printer that shows live runs.
func (w *world) show(list []run.Event, logs bool) error {
	l := w.lines()
	l.replay, l.asks = true, nil // what is shown may be of another estate, with other people
	var r run.Run
	for _, ev := range list {
		n, err := run.Fold(r, ev)
		if err != nil {
			return err
		}
		r = n
		if s := r.Step(ev.Step); logs && s != nil && (ev.Kind == run.StepFinished || ev.Kind == run.StepFailed || ev.Kind == run.StepDoubted) && s.LogName != "" {
			if log, err := w.files.Log(r.ID, s.LogName); err == nil {
				_, err = log.WriteTo(l)
				if e := log.Close(); err == nil {
					err = e
				}
				if err != nil {
					return err
				}
			}
		}
		l.event(r, ev)
	}
	if r.Open() {
		where := "at its end"
		if i := r.Current(); i < len(r.Steps) {
			where = fmt.Sprintf("at step %d of %d, %q, which is %s", i+1, len(r.Steps), r.Steps[i].Title, r.Steps[i].State)
		}
		l.say(w.env.now(), "OPEN %s", where)
		for _, d := range incident.Owed(&r, w.env.now()) {
			l.add("OWED: %s", d)
		}
		l.add("lifeboat resume %s takes it up again", r.ID.Short())
	}
	fmt.Fprintf(w.env.stdout, "\nrecord  %d events, runbook %.12s\nlogs    %s\n", r.Seq, r.Started.Digest, w.files.Run(r.ID))
	return nil
}

// cmdLint checks runbooks.
func cmdLint(env environment, s *settings) *cobra.Command {
	var (
		asJSON, strict bool
		ignore         []string
	)
	c := &cobra.Command{
		Use: "lint [RUNBOOK|FILE|DIRECTORY ...]", Short: "Check runbooks: grammar, actions, arguments, dangerous commands, links, review",
		Long: "Checks runbooks without running anything. Each finding says file:line:col, what is wrong\n" +
			"and how to mend it. The tests beside runbooks (*" + drill.Suffix + ") are checked with them.\n" +
			"Without an argument it checks the whole library, that every schedule of the estate names a\n" +
			"runbook of it and parameters that it has, and that no document was left unread and no\n" +
			"contact unverified for too long. Exit code 2 when a runbook cannot run.",
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := open(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			return w.lint(args, asJSON, strict, ignore)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a finding")
	c.Flags().BoolVar(&strict, "strict", false, "warnings count as errors")
	c.Flags().StringSliceVar(&ignore, "ignore", nil, "leave out warnings with this code, such as overdue-review")
	return c
}

func (w *world) lint(args []string, asJSON, strict bool, ignore []string) error {
	names, err := w.lintNames(args)
	if err != nil {
		return err
	}
	tests, err := w.lintTests(len(args) == 0, names)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, drill.Suffix) })
	var all []runbook.Problem
	if len(args) == 0 {
		all = slices.Concat(w.shelf.library.General(), w.lintSchedules(), w.lintDrills(), w.lintTriage(), w.lintReviews())
	}
	for _, name := range names {
		book, found, err := w.shelf.find(name)
		if err != nil {
			if slices.Contains(args, name) {
				return err
			}
			// One of a directory: the others are looked at all the same.
			all = append(all, runbook.Problem{Pos: runbook.Pos{File: name}, Severity: runbook.Error, Code: "unreadable",
				Msg: err.Error(), Fix: strings.Join(hint.All(err), "; ")})
			continue
		}
		_, list := w.shelf.compile(book, found)
		all = append(all, list...)
	}
	all = append(all, tests...)
	all = slices.DeleteFunc(all, func(p runbook.Problem) bool {
		return p.Severity == runbook.Warning && slices.Contains(ignore, p.Code)
	})
	failed := strict && len(all) > 0 || engine.HasErrors(all)
	for _, p := range all {
		if !asJSON {
			fmt.Fprintln(w.env.stdout, printable.Text(p.Error()))
			continue
		}
		data, err := json.Marshal(struct {
			File     string           `json:"file"`
			Line     int              `json:"line"`
			Col      int              `json:"col"`
			Severity runbook.Severity `json:"severity"`
			Code     string           `json:"code"`
			Msg      string           `json:"msg"`
			Fix      string           `json:"fix,omitempty"`
		}{p.Pos.File, p.Pos.Line, p.Pos.Col, p.Severity, p.Code, p.Msg, p.Fix})
		if err != nil {
			return err
		}
		fmt.Fprintf(w.env.stdout, "%s\n", data)
	}
	if !asJSON {
		fmt.Fprintf(w.env.stdout, "%s, %s\n", printable.Count(len(names), "runbook"), printable.Count(len(all), "finding"))
	}
	if failed {
		return silentError{problems(all)}
	}
	return nil
}

// lintSchedules finds the schedules that could start nothing.
func (w *world) lintSchedules() []runbook.Problem {
	var out []runbook.Problem
	if w.estate == nil {
		return nil
	}
	for _, e := range w.estate.Schedules {
		book, _, err := w.shelf.find(e.Runbook)
		if err == nil {
			err = scheduled(book, e.Params)
		}
		if err != nil {
			out = append(out, runbook.Problem{Pos: runbook.Pos{File: w.estate.File}, Severity: runbook.Error, Code: "schedule",
				Msg: fmt.Sprintf("schedule %q: %v", e.Name, err), Fix: strings.Join(hint.All(err), "; ")})
		}
	}
	return out
}

// lintDrills finds periods of runbooks that nobody has to practise.
func (w *world) lintDrills() []runbook.Problem {
	var out []runbook.Problem
	if w.estate == nil {
		return nil
	}
	for _, p := range w.estate.Drills.Runbooks {
		book, _, err := w.shelf.find(p.Runbook)
		if err == nil && !rehearsable(book) {
			err = hint.New(fmt.Sprintf("runbook %q is of kind %s", p.Runbook, book.Meta.Kind), "name one of kind recovery or drill")
		}
		if err != nil {
			out = append(out, runbook.Problem{Pos: p.Pos, Severity: runbook.Error, Code: "drills",
				Msg: fmt.Sprintf("drills: %v", err), Fix: strings.Join(hint.All(err), "; ")})
		}
	}
	return out
}

// lintNames lists what to check: a directory stands for the runbooks and tests in it.
func (w *world) lintNames(args []string) ([]string, error) {
	if len(args) == 0 {
		return w.shelf.library.Names(), nil
	}
	var out []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() {
			out = append(out, arg)
			continue
		}
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (strings.HasSuffix(path, ".md") && d.Name() != "README.md" || strings.HasSuffix(path, drill.Suffix)) {
				out = append(out, path)
			}
			return err
		})
		if err != nil {
			return nil, usage(err)
		}
	}
	return out, nil
}

// cmdActions prints the manual of actions, made from their definitions.
func cmdActions(env environment, s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "actions [NAME]", Short: "What a step can do: the manual of actions",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			w := &world{env: env}
			if err := w.furnish(); err != nil {
				return err
			}
			if len(args) == 0 {
				return listActions(env, w.actions, asJSON)
			}
			i := slices.IndexFunc(w.actions, func(a action.Action) bool { return a.Name == args[0] })
			if i < 0 {
				var near []string
				family, _, _ := strings.Cut(args[0], ".")
				for _, a := range w.actions {
					if strings.HasPrefix(a.Name, family) || strings.Contains(a.Name, args[0]) {
						near = append(near, a.Name)
					}
				}
				return usage(hint.Wrap(fmt.Errorf("there is no action %q", args[0]), orElse(prefix("there are ", strings.Join(near, ", ")), "lifeboat actions lists them all")))
			}
			if asJSON {
				return listActions(env, w.actions[i:i+1], true)
			}
			fmt.Fprint(env.stdout, w.actions[i].Manual())
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object an action")
	return c
}

func listActions(env environment, list []action.Action, asJSON bool) error {
	if asJSON {
		for _, a := range list {
			data, err := json.Marshal(struct {
				Name    string         `json:"name"`
				Summary string         `json:"summary"`
				Effect  action.Effect  `json:"effect"`
				Repeat  action.Repeat  `json:"repeat"`
				Params  []action.Param `json:"params"`
				Doc     string         `json:"doc"` // Markdown, begins with an example
			}{a.Name, a.Summary, a.Effect, a.Repeat, a.Params, a.Doc})
			if err != nil {
				return err
			}
			fmt.Fprintf(env.stdout, "%s\n", data)
		}
		return nil
	}
	t := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	for _, a := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\n", a.Name, a.Effect, a.Summary)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "\nlifeboat actions NAME shows one with its parameters and an example")
	return nil
}

// cmdAudit proves the journal.
func cmdAudit(env environment, s *settings) *cobra.Command {
	audit := &cobra.Command{Use: "audit", Short: "Prove that the record of runs is whole"}
	var asJSON bool
	verify := &cobra.Command{
		Use: "verify", Short: "Check every event of every run against its chain", Args: exactly(0, "no argument"),
		Long: "Checks the hash chain of every run and of the installation over the bytes as they are\n" +
			"stored, decodes every event and folds every run. Exit code 5 when anything does not fit.",
		RunE: func(*cobra.Command, []string) error {
			w, err := openState(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			report, err := w.journal.Verify(env.ctx)
			if asJSON {
				result := map[string]any{"ok": err == nil, "runs": report.Runs, "events": report.Events, "head": report.Head}
				if err != nil {
					result["error"], result["problems"] = err.Error(), problemLines(report)
				}
				data, e := json.Marshal(result)
				if e != nil {
					return e
				}
				fmt.Fprintf(env.stdout, "%s\n", data)
			}
			if err != nil {
				if !asJSON {
					for _, p := range problemLines(report) {
						fmt.Fprintln(env.stdout, p)
					}
				}
				return fmt.Errorf("%w: %w", errAudit, err)
			}
			if !asJSON {
				fmt.Fprintf(env.stdout, "ok: %d runs, %d events, each chained to the one before; head %.16s\n", report.Runs, report.Events, report.Head)
			}
			return nil
		},
	}
	verify.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	audit.AddCommand(verify)
	return audit
}

// problemLines says what a verification has found, one line each.
func problemLines(r journal.Report) []string {
	out := []string{}
	for _, p := range r.Problems {
		out = append(out, printable.Line(p.String()))
	}
	return out
}
