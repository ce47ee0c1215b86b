package app

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/report"
	"lifeboat/internal/runbook"
)

// cmdPrint puts runbooks on paper, for the hour when nothing runs.
func cmdPrint(env environment, s *settings) *cobra.Command {
	var (
		params      []string
		all, asHTML bool
	)
	c := &cobra.Command{
		Use: "print [RUNBOOK ... | --all]", Short: "Put runbooks on paper, for the hour when nothing runs",
		Long: "Writes runbooks as pages that a person can follow without Lifeboat: when it is the right\n" +
			"one, whom to call, each step with its commands and checks, and room to write in what was\n" +
			"seen and when. Contacts and names are those of the estate where there is one. The pages\n" +
			"are Markdown, or with --html one document to be printed.\n\n" +
			"Print all of them again when contacts or runbooks change: paper ages, and each page says\n" +
			"how old it is.",
		Example: "  lifeboat print accidental-force-push | less\n  lifeboat print --all --html >binder.html\n  lifeboat print PROTOCOL.md#scenario-2 --param owner=company",
		RunE: func(_ *cobra.Command, args []string) error {
			values, err := parsePairs("param", params)
			if err != nil {
				return err
			}
			if all == (len(args) > 0) {
				return usage(hint.New("no runbook to print", "name one or more, or give --all: lifeboat lint checks all there are"))
			}
			w, err := open(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			if all {
				args = w.shelf.library.Names()
			}
			return w.print(args, values, asHTML)
		},
	}
	c.Flags().StringArrayVar(&params, "param", nil, "fill a parameter in: NAME=VALUE")
	c.Flags().BoolVar(&all, "all", false, "every runbook of the library")
	c.Flags().BoolVar(&asHTML, "html", false, "as one HTML document that needs nothing else, a runbook a sheet")
	return c
}

func (w *world) print(names []string, values map[string]string, asHTML bool) error {
	var pages []report.Paper
	used := map[string]bool{}
	for _, name := range names {
		book, problems, err := w.shelf.find(name)
		if err != nil {
			return err
		}
		if len(book.Steps) == 0 {
			return usage(hint.New(fmt.Sprintf("runbook %q has no steps", name), "lifeboat lint "+name+" says why"))
		}
		for _, p := range problems {
			if p.Severity == runbook.Error {
				fmt.Fprintln(w.env.stderr, p)
			}
		}
		page := w.paper(book, values)
		for _, m := range book.Params() {
			used[m.Name] = true
		}
		pages = append(pages, page)
	}
	for name := range values {
		if !used[name] {
			return usage(hint.New(fmt.Sprintf("none of these runbooks has a parameter %q", name), "the table at the head of each page lists them"))
		}
	}
	if asHTML {
		text, err := report.PaperHTML(pages)
		if err == nil {
			_, err = fmt.Fprint(w.env.stdout, text)
		}
		return err
	}
	for i := range pages {
		if i > 0 {
			fmt.Fprint(w.env.stdout, "\n---\n\n")
		}
		if _, err := fmt.Fprint(w.env.stdout, pages[i].Markdown()); err != nil {
			return err
		}
	}
	return nil
}

// paper fills a page in with what the estate knows.
func (w *world) paper(book *runbook.Book, given map[string]string) report.Paper {
	p := report.Paper{Book: book, Values: map[string]string{}, Printed: w.env.now(), Action: w.inManual}
	for _, m := range book.Params() {
		value, ok := given[m.Name]
		switch {
		case m.Secret:
			continue
		case ok:
		case m.Of == "branch":
			value, _ = w.branchOf(book, m, given)
		case m.Of != "" && w.estate != nil:
			value, _ = suits(m, w.estate.Named(m.Of))
		case m.Name == runbook.AssetParam && w.estate != nil:
			if list := w.estate.OfKind(book.Meta.Asset); len(list) == 1 {
				value = list[0].Name
			}
		}
		if !ok && value == "" && (m.Of == "" || w.estate == nil) {
			value = m.Default
		}
		p.Values[m.Name] = value
	}
	if n := book.Meta.Level; n > 0 {
		at := incident.Level(w.estate, n)
		p.Level = fmt.Sprintf("%s: %s, over within %s", incident.LevelName(n), at.Response, incident.Span(at.Recovery))
	}
	for _, c := range incident.Calls(book.Meta.Level, w.contacts()) {
		p.Call = append(p.Call, []string{c.Name, c.Role, c.Reach(), c.When})
	}
	return p
}

// inManual is the line of an action in the manual.
func (w *world) inManual(name string) (summary, effect string) {
	if i := slices.IndexFunc(w.actions, func(a action.Action) bool { return a.Name == name }); i >= 0 {
		return w.actions[i].Summary, string(w.actions[i].Effect)
	}
	return "", ""
}
