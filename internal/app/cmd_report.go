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

// cmdReport writes a run down for people who were not there.
func cmdReport(env environment, s *settings) *cobra.Command {
	return &cobra.Command{
		Use: "report [RUN]", Short: "Write a run down as Markdown, for the incident's record",
		Long: "Writes what a run came to, each step with its evidence, who decided what, and the\n" +
			"timeline, as Markdown on standard output: of the newest run, or the one that is named.\n" +
			"The same run gives the same report.",
		Example: "  lifeboat report 7F3A >incident-2026-11-24.md",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := lookState(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			id, err := w.chosenRun(args)
			if err != nil {
				return err
			}
			list, err := w.journal.Load(env.ctx, id)
			if err != nil {
				return err
			}
			text, err := report.Markdown(list)
			if err == nil {
				_, err = fmt.Fprint(env.stdout, text)
			}
			return err
		},
	}
}

// chosenRun finds the run of a command line, the newest when it names none.
func (w *world) chosenRun(args []string) (run.ID, error) {
	if len(args) > 0 {
		id, err := w.journal.Find(w.env.ctx, args[0])
		return id, usage(err)
	}
	const all = 0
	list, err := w.journal.Runs(w.env.ctx, all)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", usage(hint.New("there is no run yet", "lifeboat run RUNBOOK begins one"))
	}
	newest := slices.MaxFunc(list, func(a, b journal.Summary) int { return a.First.Compare(b.First) })
	return newest.ID, nil
}
