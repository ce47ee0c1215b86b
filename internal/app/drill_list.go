package app

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"lifeboat/internal/console"
	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/incident"
	"lifeboat/internal/journal"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// tierOf is the most urgent tier of the assets that a runbook is about.
func (w *world) tierOf(book *runbook.Book) string {
	if w.estate == nil || book.Meta.Asset == "" {
		return ""
	}
	out := ""
	for _, a := range w.estate.OfKind(book.Meta.Asset) {
		if out == "" || a.Tier == "critical" || a.Tier == "standard" && out != "critical" {
			out = a.Tier
		}
	}
	return out
}

// orEvery is how long a passed drill of a scenario holds.
func orEvery(sc drill.Scenario, w *world) time.Duration {
	if sc.Every > 0 {
		return sc.Every
	}
	e := w.estate
	if e == nil {
		e = &estate.Estate{}
	}
	tier := ""
	if w.shelf != nil {
		if book, err := w.shelf.library.Get(sc.Runbook); err == nil {
			tier = w.tierOf(book)
		}
	}
	return e.DrillEvery(sc.Runbook, tier)
}

// drillItems lists the scenarios in which something is broken, those that hurry first.
func (w *world) drillItems(ctx context.Context) ([]console.DrillItem, error) {
	runs, err := w.journal.Runs(ctx, 0)
	if err != nil {
		return nil, err
	}
	past := map[string][]journal.Summary{} // newest first
	for _, r := range runs {
		if r.Scenario != "" {
			past[r.Scenario] = append(past[r.Scenario], r)
		}
	}
	var out []console.DrillItem
	for _, sc := range w.rehearsals().All() {
		if sc.Breaks() {
			out = append(out, w.drillItem(sc, past[sc.Name]))
		}
	}
	now := w.env.now()
	rank := func(d console.DrillItem) int {
		switch {
		case d.Open != "":
			return 0
		case !d.Late(now):
			return 3
		case d.Last.IsZero():
			return 2
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b console.DrillItem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Holds.Compare(b.Holds), cmp.Compare(b.Level, a.Level), strings.Compare(a.Scenario, b.Scenario))
	})
	return out, nil
}

func (w *world) drillItem(sc drill.Scenario, past []journal.Summary) console.DrillItem {
	d := console.DrillItem{
		Scenario: sc.Name, Title: sc.Title, Summary: sc.Summary, Book: sc.Runbook, Alarm: sc.Alarm != "",
		Injects: len(sc.Injects), Hints: len(sc.Hints), Every: orEvery(sc, w),
	}
	digest := ""
	if book, err := w.shelf.library.Get(sc.Runbook); err == nil {
		d.Level = book.Meta.Level
		if p, _ := w.shelf.compile(book, nil); p != nil {
			digest = p.Digest
		}
	}
	var took []time.Duration
	for _, r := range past {
		if r.Trainee == drill.By { // what a script can do says nothing about people
			continue
		}
		if r.Open() {
			d.Open = r.ID
			continue
		}
		if d.LastRun == "" {
			d.Last, d.LastRun, d.Score, d.Trainee = r.Ended, r.ID, r.Score, r.Trainee
		}
		if r.Score == nil || !r.Score.Passed {
			continue
		}
		took = append(took, r.Ended.Sub(r.First))
		if !slices.Contains(d.Passed, r.Trainee) {
			d.Passed = append(d.Passed, r.Trainee)
		}
		switch {
		case digest != "" && r.Started.Digest != digest:
			d.Changed = d.Changed || d.Holds.IsZero()
		case d.Holds.IsZero():
			d.Holds = r.Ended.Add(d.Every)
		}
	}
	d.About = incident.Median(took)
	return d
}

// listDrills writes the scenarios with their last result and when they are due.
func listDrills(env environment, s settings, h rehearsal) error {
	w, err := open(env, s)
	if err != nil {
		return err
	}
	defer w.close()
	items, err := w.drillItems(env.ctx)
	if err != nil {
		return err
	}
	if h.json {
		return w.drillsJSON(items)
	}
	t := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SCENARIO\tLEVEL\tLAST DRILL\tRESULT\tDUE\tINJECTS")
	for _, d := range items {
		level := "-"
		if d.Level > 0 {
			level = strconv.Itoa(d.Level)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n", printable.Line(d.Scenario), level, lastDrill(d), drillResult(d), dueWords(d, env.now()), d.Injects)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "\nlifeboat drill SCENARIO begins one, in a sandbox of its own.")
	return nil
}

func lastDrill(d console.DrillItem) string {
	if d.Last.IsZero() {
		return "never"
	}
	return d.Last.UTC().Format("2006-01-02") + " " + d.LastRun.Short()
}

// drillResult is the last result in a word and its points.
func drillResult(d console.DrillItem) string {
	switch {
	case d.LastRun == "":
		return "-"
	case d.Score == nil:
		return "not scored"
	case d.Score.Passed:
		return fmt.Sprintf("passed, %d of %d", d.Score.Points, d.Score.Of)
	}
	return fmt.Sprintf("not passed, %d of %d", d.Score.Points, d.Score.Of)
}

// dueWords says when a drill is due.
func dueWords(d console.DrillItem, now time.Time) string {
	switch {
	case d.Open != "":
		return "open, lifeboat attach " + d.Open.Short()
	case d.Holds.IsZero() && d.Changed:
		return "now, the runbook has changed"
	case d.Holds.IsZero():
		return "now"
	case d.Late(now):
		return "since " + d.Holds.UTC().Format("2006-01-02")
	}
	return d.Holds.UTC().Format("2006-01-02")
}

func (w *world) drillsJSON(items []console.DrillItem) error {
	for _, d := range items {
		line := struct {
			Scenario string     `json:"scenario"`
			Title    string     `json:"title"`
			Runbook  string     `json:"runbook"`
			Level    int        `json:"level,omitempty"`
			Last     time.Time  `json:"last,omitzero"`
			Run      run.ID     `json:"run,omitempty"`
			Score    *run.Score `json:"score,omitempty"`
			Holds    time.Time  `json:"holds,omitzero"`
			Late     bool       `json:"late"`
			Open     run.ID     `json:"open,omitempty"`
		}{d.Scenario, d.Title, d.Book, d.Level, d.Last, d.LastRun, d.Score, d.Holds, d.Late(w.env.now()), d.Open}
		data, err := json.Marshal(line)
		if err != nil {
			return err
		}
		fmt.Fprintf(w.env.stdout, "%s\n", data)
	}
	return nil
}

// findForAlarm lets a trainee without a console find the runbook for an alarm. The time counts
// from the alarm.
func (w *world) findForAlarm(sc drill.Scenario, cast *drill.Cast, alarmed time.Time) error {
	d := &stagedDrill{world: w, scenario: sc, cast: *cast, at: alarmed}
	l, in := w.lines(), w.stdin()
	l.say(alarmed, "ALARM %s", sc.Alarm)
	l.add("Which runbook brings it back? Type its name; any other word searches.")
	for {
		l.ask("DRILL find> ")
		text, err := in.ReadString('\n')
		l.answered()
		if errors.Is(err, io.EOF) && text == "" {
			fmt.Fprintln(w.env.stdout)
			return engine.ErrLeft
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		text = strings.TrimSpace(text)
		if !w.env.terminal {
			fmt.Fprintln(w.env.stdout, printable.Line(text))
		}
		switch {
		case text == "":
			continue
		case text == "q":
			return engine.ErrLeft
		}
		book, err := w.shelf.library.Get(text)
		if err != nil {
			w.searchBooks(l, text)
			continue
		}
		if d.guess(book.Name) {
			l.add("That is the one: %s.", book.Title)
			*cast = d.cast
			return nil
		}
		l.add("%s is not the one for this.", book.Title)
	}
}

// searchBooks lists the runbooks that have a word in name, title or symptoms.
func (w *world) searchBooks(l *lines, word string) {
	const most = 9
	n := 0
	for _, b := range w.shelf.library.List() {
		text := strings.ToLower(strings.Join(append([]string{b.Name, b.Title, b.Intro}, b.Meta.When...), "\n"))
		if !strings.Contains(text, strings.ToLower(word)) {
			continue
		}
		if n++; n > most {
			l.add("  and more; another word finds fewer")
			return
		}
		l.add("  %s: %s", b.Name, b.Title)
	}
	if n == 0 {
		l.add("No runbook has %q in its name, its title or its symptoms.", word)
	}
}

// stdin is the one reader of standard input: what it has read ahead is the next question's.
func (w *world) stdin() *bufio.Reader {
	if w.typed == nil {
		w.typed = bufio.NewReader(w.env.stdin)
	}
	return w.typed
}
