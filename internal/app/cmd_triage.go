package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

func cmdTriage(env environment, s *settings) *cobra.Command {
	var (
		answers string
		asJSON  bool
	)
	c := &cobra.Command{
		Use: "triage", Short: "What happened? Four answers at most lead to the level and the right runbook",
		Long: "Asks what happened and leads to the level of the incident, whom to call, and the plan of the\n" +
			"right runbook. It runs nothing. 0 is always \"I do not know\", and leads to the higher level.\n\n" +
			"A " + incident.TreeFile + " in the runbooks/ directory beside lifeboat.yaml adds questions of your own.\n\n" +
			"Exit codes: 0 a runbook was found, or q, 2 an answer that is none, 3 more answers are needed, or\n" +
			"the runbook is not in the library.",
		Example: "  lifeboat triage                     asks, numbers answer\n  lifeboat triage --answers 2,1       the same without a person\n  lifeboat triage --json              all questions",
		Args:    exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			w, err := open(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			return w.triage(answers, asJSON)
		},
	}
	c.Flags().StringVar(&answers, "answers", "", "answer without being asked: numbers with commas between, 0 for \"I do not know\"")
	c.Flags().BoolVar(&asJSON, "json", false, "print the questions as JSON; with --answers where they lead")
	return c
}

func (w *world) triage(answers string, asJSON bool) error {
	tree, bad := w.tree()
	if len(bad) > 0 {
		complain(w.env.stderr, hint.Wrap(problems(bad), "the questions that come with Lifeboat are asked without it; lifeboat lint says all that is wrong"))
	}
	if asJSON && answers == "" {
		return w.treeJSON(tree)
	}
	if answers == "" {
		return w.askTriage(tree)
	}
	p, err := w.led(tree, "answers", answers)
	if err != nil {
		return err
	}
	if asJSON {
		if err := w.placeJSON(p); err != nil {
			return err
		}
		return silent(w.arrived(p))
	}
	l := w.lines()
	for _, said := range p.Said {
		l.bare("  > %s", said)
	}
	if !p.Done() {
		l.question(p)
		return w.arrived(p)
	}
	w.showPlace(l, p)
	return w.arrived(p)
}

// led follows the answers that a flag gives.
func (w *world) led(tree *incident.Tree, flag, answers string) (incident.Place, error) {
	var given []int
	for _, text := range strings.Split(answers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return incident.Place{}, usage(hint.Wrap(fmt.Errorf("--%s %q: %q is no number", flag, answers, text), "write --"+flag+" 2,1"))
		}
		given = append(given, n)
	}
	p, err := tree.Walk(given, w.findBook)
	if err != nil {
		return p, usage(err)
	}
	return p, nil
}

// triaged puts into a wish what answers have led to; they must have led to its runbook.
func (w *world) triaged(s *wish, answers string) error {
	tree, _ := w.tree() // lifeboat lint and lifeboat triage say what is wrong with one of ours
	p, err := w.led(tree, "triage", answers)
	if err != nil {
		return err
	}
	if !p.Done() || p.Runbook != s.book {
		leads := "to the runbook " + p.Runbook
		if !p.Done() {
			leads = fmt.Sprintf("to another question, %q", p.Question.Ask)
		}
		return usage(hint.Wrap(fmt.Errorf("--triage %s leads %s, not to the runbook %s", answers, leads, s.book),
			"lifeboat triage --answers "+answers+" shows where it leads"))
	}
	s.level, s.triage = max(s.level, p.Level), p.Said
	return nil
}

func silent(err error) error {
	if err == nil {
		return nil
	}
	return silentError{err}
}

// arrived is the error of a place from which no runbook can be started.
func (w *world) arrived(p incident.Place) error {
	switch {
	case !p.Done():
		return hint.Wrap(fmt.Errorf("%w: %q is not answered", engine.ErrPerson, p.Question.Ask), "add the number of the answer to --answers; 0 is \""+p.Question.Unsure.Text+"\"")
	case !p.Found:
		return hint.Wrap(fmt.Errorf("%w: the runbook %q is not in this library", engine.ErrPerson, p.Runbook), "call whom the level names: lifeboat contacts --level "+strconv.Itoa(p.Level))
	}
	return nil
}

// lines is a printer of plain lines on standard output.
func (w *world) lines() *lines {
	l := &lines{w: w.env.stdout, now: w.env.now}
	l.clock = func(r *run.Run) incident.Clock { return incident.LevelClock(r, incident.Levels(w.estate), w.env.now()) }
	l.asks = func(level int) {
		at := incident.Level(w.estate, level)
		l.add("It asks for: %s, within %s.", at.Response, incident.Span(at.Recovery))
		for _, c := range incident.Calls(level, w.contacts()) {
			if c.Now {
				l.label("call now", c.Name+prefix(", ", c.Role)+prefix(", ", c.Reach()))
			}
		}
		if len(w.contacts()) == 0 {
			l.add("Nobody is listed to be called: lifeboat contacts says how to add them.")
		}
	}
	return l
}

// askTriage asks line by line. The end of the input, and q, leave.
func (w *world) askTriage(tree *incident.Tree) error {
	in, l := bufio.NewReader(w.env.stdin), w.lines()
	l.bare("Numbers answer, 0 is \"I do not know\". b goes back, c shows whom to call, q leaves.")
	l.bare("Nothing is run.")
	var given []int
	show := true
	for {
		p, err := tree.Walk(given, w.findBook)
		if err != nil {
			return err
		}
		if p.Done() {
			w.showPlace(l, p)
			return w.arrived(p)
		}
		if show {
			l.question(p)
		}
		fmt.Fprintf(w.env.stdout, "TRIAGE %d/%d> ", len(given)+1, incident.MostAnswers)
		text, err := in.ReadString('\n')
		if err != nil && (!errors.Is(err, io.EOF) || text == "") {
			fmt.Fprintln(w.env.stdout)
			switch {
			case !errors.Is(err, io.EOF):
				return err
			case w.env.terminal:
				return nil // as q
			}
			return w.arrived(p) // answers that run out have found nothing
		}
		text = strings.TrimSpace(text)
		if !w.env.terminal {
			fmt.Fprintln(w.env.stdout, printable.Line(text))
		}
		show = true
		switch n, err := strconv.Atoi(text); {
		case text == "q":
			return nil
		case text == "b" && len(given) > 0:
			given = given[:len(given)-1]
		case text == "b":
			l.bare("This is the first question. q leaves.")
		case text == "c" || text == "call":
			w.showCalls(l, p.Level, nil, p.Seen)
		case err == nil:
			if _, ok := p.Question.Answer(n); ok {
				given = append(given, n)
				break
			}
			fallthrough
		default:
			show = false
			l.bare("Type a number from 0 to %d, b, c or q.", len(p.Question.Answers))
		}
	}
}

// plainHome is the first screen without a screen: what is open, what is owed, and what
// happened?
func (w *world) plainHome() error {
	l := w.lines()
	list, err := w.journal.Runs(w.env.ctx, openRuns)
	if err != nil {
		return err
	}
	open := 0
	for _, r := range list {
		if r.Outcome == "" {
			open++
			l.bare("OPEN %s run %s, %s, by %s: lifeboat attach %s --plain", strings.ToUpper(string(r.Started.Mode)), r.ID.Short(), r.Started.Book, r.Started.By, r.ID.Short())
		}
	}
	if open == 0 {
		l.bare("No run is open.")
	}
	owed, err := w.debtLines("")
	if err != nil {
		return err
	}
	for _, text := range owed {
		l.bare("%s", text)
	}
	tree, _ := w.tree() // lifeboat lint and lifeboat triage say what is wrong with one of ours
	return w.askTriage(tree)
}

// question writes a question with its numbered answers.
func (l *lines) question(p incident.Place) {
	l.bare("")
	if p.Level > 0 {
		l.bare("%s so far.", sentenceCase(incident.LevelName(p.Level)))
	}
	l.bare("%s", p.Question.Ask)
	for i, a := range p.Question.Answers {
		l.choice(i+1, a.Text+prefix(" ", bracketed(a.Leads())))
	}
	if u := p.Question.Unsure; u.Text != "" {
		l.choice(0, u.Text+prefix(": ", u.Hint))
	}
}

func bracketed(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func sentenceCase(s string) string { return strings.TrimSuffix(sentence(s), ".") }

// showPlace writes where the answers have led: the level with what it asks for, and the
// plan of the runbook.
func (w *world) showPlace(l *lines, p incident.Place) {
	level := incident.Level(w.estate, p.Level)
	l.bare("")
	l.bare("%s", strings.ToUpper(incident.LevelName(p.Level)))
	if p.Doubt {
		l.fact("why", "in doubt it is the higher level")
	}
	l.fact("impact", level.Impact)
	l.fact("response", level.Response)
	l.fact("recovery", "within "+incident.Span(level.Recovery))
	for _, c := range incident.Calls(p.Level, w.contacts()) {
		if c.Now {
			l.fact("call now", c.Name+prefix(", ", c.Role)+prefix(", ", c.Reach()))
		}
	}
	if len(w.contacts()) == 0 {
		l.fact("call now", "nobody is listed: lifeboat contacts says how to add them")
	}
	l.bare("")
	if !p.Found {
		l.bare("RUNBOOK %s", p.Runbook)
		l.fact("missing", "it is not in this library yet")
		return
	}
	l.bare("RUNBOOK %s: %s", p.Runbook, p.Book.Title)
	for _, when := range p.Book.When {
		l.fact("use it when", when)
	}
	for _, not := range p.Book.NotFor {
		l.fact("not for", not)
	}
	if book, found, err := w.shelf.find(p.Runbook); err == nil {
		program, _ := w.shelf.compile(book, found)
		for i, o := range program.Outline() {
			l.fact(map[bool]string{true: "plan"}[i == 0], fmt.Sprintf("%d. %s (%s)", i+1, o.Title, how(o)))
		}
	}
	l.fact("next", w.next(p))
	if book, err := w.shelf.library.Get(p.Runbook); err == nil && (book.Meta.Kind == runbook.Recovery || book.Meta.Kind == runbook.Procedure) {
		l.fact("began", "add --incident 20m, or --incident \"2026-11-24 02:52\" (UTC): its clocks count from when it began")
	}
	l.fact("its plan", "lifeboat run "+p.Runbook+" --dry-run reads the targets and changes nothing")
	l.bare("Nothing has been run.")
}

type answerJSON struct {
	N int `json:"n"` // the key
	incident.Answer
	InLibrary bool `json:"in_library,omitempty"`
}

func (w *world) answersJSON(q *incident.Question) []answerJSON {
	var out []answerJSON
	for n := range len(q.Answers) + 1 {
		if a, ok := q.Answer(n); ok {
			_, found := w.findBook(a.Runbook)
			out = append(out, answerJSON{n, a, found})
		}
	}
	return out
}

type levelJSON struct {
	Level    int     `json:"level"`
	Impact   string  `json:"impact"`
	Response string  `json:"response"`
	Recovery float64 `json:"recovery_seconds"`
}

func (w *world) levelJSON(n int) levelJSON {
	l := incident.Level(w.estate, n)
	return levelJSON{n, l.Impact, l.Response, l.Recovery.Seconds()}
}

func (w *world) treeJSON(tree *incident.Tree) error {
	type question struct {
		Ask     string       `json:"ask"`
		Answers []answerJSON `json:"answers"` // 0, the last of thought, comes first
	}
	out := struct {
		Start     string              `json:"start"`
		Most      int                 `json:"most_answers"`
		Levels    []levelJSON         `json:"levels"`
		Questions map[string]question `json:"questions"`
	}{incident.First, incident.MostAnswers, nil, map[string]question{}}
	for n := 1; n <= run.MaxLevel; n++ {
		out.Levels = append(out.Levels, w.levelJSON(n))
	}
	for id, q := range tree.Questions {
		out.Questions[id] = question{q.Ask, w.answersJSON(q)}
	}
	return w.printJSON(out)
}

func (w *world) placeJSON(p incident.Place) error {
	out := struct {
		Said      []string     `json:"said"`
		Level     *levelJSON   `json:"level,omitempty"`
		Ask       string       `json:"ask,omitempty"`
		Answers   []answerJSON `json:"answers,omitempty"`
		Runbook   string       `json:"runbook,omitempty"`
		Title     string       `json:"title,omitempty"`
		InLibrary bool         `json:"in_library"`
		Next      string       `json:"next,omitempty"`
	}{Said: p.Said, Runbook: p.Runbook, Title: p.Book.Title, InLibrary: p.Found}
	if p.Level > 0 {
		l := w.levelJSON(p.Level)
		out.Level = &l
	}
	switch {
	case !p.Done():
		out.Ask, out.Answers = p.Question.Ask, w.answersJSON(p.Question)
	case p.Found:
		out.Next = w.next(p)
	}
	return w.printJSON(out)
}

func (w *world) printJSON(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.env.stdout, "%s\n", data)
	return err
}
