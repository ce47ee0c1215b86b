package app

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"lifeboat/internal/hint"
	"lifeboat/internal/journal"
	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// cmdReport writes a run, or a period, down for people who were not there.
func cmdReport(env environment, s *settings) *cobra.Command {
	var (
		since, until   string
		asJSON, asHTML bool
	)
	c := &cobra.Command{
		Use: "report [RUN | --since TIME]", Short: "Write a run or a period down, for the record",
		Long: "Writes what a run came to, each step with its evidence, who decided what, and the\n" +
			"timeline, as Markdown on standard output: of the newest run, or the one that is named.\n" +
			"The same run gives the same report.\n\n" +
			"With --since it writes what a period came to: recovery time against its target, how many\n" +
			"backups and verifications were good and what is not mended, drills, incidents, lost data,\n" +
			"what was left out or is still owed, and what has to be read again.",
		Example: "  lifeboat report 7F3A >incident-2026-11-24.md\n  lifeboat report --since 30d\n  lifeboat report --since 2026-07-01 --until 2026-09-30 --html >quarter.html",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case since == "" && (until != "" || asJSON || asHTML):
				return usage(hint.New("--until, --json and --html are of a report about a period", "add --since 30d, or leave them out"))
			case since != "" && len(args) > 0:
				return usage(hint.New("both a run and --since", "give one of them"))
			case asJSON && asHTML:
				return usage(hint.New("both --json and --html", "give one of them"))
			case since != "":
				p, err := reportPeriod(env, *s, since, until)
				if err != nil {
					return err
				}
				switch {
				case asJSON:
					return printJSON(env, p)
				case asHTML:
					_, err = fmt.Fprint(env.stdout, p.HTML())
				default:
					_, err = fmt.Fprint(env.stdout, p.Markdown())
				}
				return err
			}
			return reportRun(env, *s, args)
		},
	}
	c.Flags().StringVar(&since, "since", "", "a period from here on: 30d, 2026-10-01, or a time in UTC")
	c.Flags().StringVar(&until, "until", "", "its end, a day with all of it (default: now)")
	c.Flags().BoolVar(&asJSON, "json", false, "with --since: as one JSON object")
	c.Flags().BoolVar(&asHTML, "html", false, "with --since: as one HTML page that needs nothing else")
	return c
}

func reportRun(env environment, s settings, args []string) error {
	w, err := lookState(env, s)
	if err != nil {
		return err
	}
	defer w.close()
	list, err := w.recorded(args)
	if err != nil {
		return err
	}
	text, err := report.Markdown(list)
	if err == nil {
		_, err = fmt.Fprint(env.stdout, text)
	}
	return err
}

// reportPeriod opens the estate for the kinds of runbooks, targets and reviews.
func reportPeriod(env environment, s settings, since, until string) (report.Period, error) {
	from, err := sinceTime(since, env.now())
	if err != nil {
		return report.Period{}, usage(err)
	}
	to, err := untilTime(until, env.now())
	if err != nil {
		return report.Period{}, usage(err)
	}
	if !from.Before(to) {
		return report.Period{}, usage(hint.New("the period ends before it begins", "give an --until that lies behind --since"))
	}
	w, err := open(env, s)
	if err != nil {
		return report.Period{}, err
	}
	defer w.close()
	return w.period(env.ctx, from, to)
}

// recorded loads the run of a command line.
func (w *world) recorded(args []string) ([]run.Event, error) {
	id, err := w.chosenRun(args)
	if err != nil {
		return nil, err
	}
	return w.journal.Load(w.env.ctx, id)
}

// chosenRun finds the run of a command line, the newest when it names none.
func (w *world) chosenRun(args []string) (run.ID, error) {
	if len(args) > 0 {
		id, err := w.journal.Find(w.env.ctx, args[0])
		return id, usage(err)
	}
	list, err := w.journal.Page(w.env.ctx, 0, 20)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", usage(hint.New("there is no run yet", "lifeboat run RUNBOOK begins one"))
	}
	newest := slices.MaxFunc(list, func(a, b journal.Summary) int { return a.First.Compare(b.First) })
	return newest.ID, nil
}
