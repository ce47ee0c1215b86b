package app

import (
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

func cmdContacts(env environment, s *settings) *cobra.Command {
	var (
		name   string
		level  int
		asJSON bool
	)
	c := &cobra.Command{
		Use: "contacts", Short: "Whom to call, and what to say",
		Long: "Lists the contacts of the estate in the order in which the level of the incident asks for\n" +
			"them, and the words to say: what happened, where the run stands, what is at risk, what is\n" +
			"needed. It calls nobody.",
		Example: "  lifeboat contacts --level 3\n  lifeboat contacts --run 7F3A        with the words for that run",
		Args:    exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			if level < 0 || level > run.MaxLevel {
				return usage(hint.New(fmt.Sprintf("there is no level %d", level), "levels are 1, 2 and 3"))
			}
			w, r, err := openAt(env, *s, name)
			if err != nil {
				return err
			}
			defer w.close()
			if r != nil {
				level = max(level, r.Level)
			}
			if asJSON {
				return w.callsJSON(level, r)
			}
			w.showCalls(w.lines(), level, r, "")
			return nil
		},
	}
	c.Flags().StringVar(&name, "run", "", "the run that it is about, such as 7F3A")
	c.Flags().IntVar(&level, "level", 0, "the level of the incident, 1 to 3; that of the run when it is higher")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// openAt opens the world of a run, or without a name that of the estate.
func openAt(env environment, s settings, name string) (*world, *run.Run, error) {
	if name == "" {
		w, err := open(env, s)
		return w, nil, err
	}
	w, err := openState(env, s)
	if err != nil {
		return nil, nil, err
	}
	r, err := w.load(env.ctx, name)
	if err == nil {
		if err = w.settle(r); err != nil && !r.Open() {
			err = w.furnish() // its estate is gone; what it was is on record all the same
		}
	}
	if err != nil {
		w.close()
		return nil, nil, err
	}
	return w, &r, nil
}

// words are what is said about a run, or without one about what somebody saw.
func (w *world) words(level int, r *run.Run, seen string) []string {
	if r != nil {
		return incident.Say(w.speaker(), incident.Levels(w.estate), r)
	}
	return incident.SayAbout(w.speaker(), incident.Levels(w.estate), level, seen)
}

// showCalls writes whom to call at a level, and what to say.
func (w *world) showCalls(l *lines, level int, r *run.Run, seen string) {
	calls := incident.Calls(level, w.contacts())
	if level > 0 {
		at := incident.Level(w.estate, level)
		l.bare("WHOM TO CALL at %s: %s, within %s", incident.LevelName(level), at.Response, incident.Span(at.Recovery))
	} else {
		l.bare("WHOM TO CALL")
	}
	if len(calls) == 0 {
		for _, text := range incident.NoContacts(w.estateFile()) {
			l.bare("  %s", text)
		}
	}
	for i, c := range calls {
		l.choice(i+1, fmt.Sprintf("%s%s%s", c.Name, prefix(", ", c.Role), prefix(": ", c.Reach())))
		told := ""
		if r != nil {
			if at, by := incident.WasTold(r, c); !at.IsZero() {
				told = fmt.Sprintf(" Told at %s UTC by %s.", at.UTC().Format("15:04"), by)
			}
		}
		l.bare("     %s%s%s", c.When, prefix("; ", c.Does), prefix(".", told))
	}
	l.bare("WHAT TO SAY")
	for _, text := range w.words(level, r, seen) {
		l.bare("  %s", text)
	}
}

func (w *world) callsJSON(level int, r *run.Run) error {
	type call struct {
		Name  string `json:"name"`
		Role  string `json:"role,omitempty"`
		Phone string `json:"phone,omitempty"`
		Email string `json:"email,omitempty"`
		Now   bool   `json:"now"`
		When  string `json:"when"`
		Told  string `json:"told,omitempty"`
	}
	out := struct {
		Level int      `json:"level"`
		Calls []call   `json:"calls"`
		Say   []string `json:"say"`
	}{Level: level, Calls: []call{}, Say: w.words(level, r, "")}
	for _, c := range incident.Calls(level, w.contacts()) {
		one := call{Name: c.Name, Role: c.Role, Phone: c.Phone, Email: c.Email, Now: c.Now, When: c.When}
		if r != nil {
			if at, _ := incident.WasTold(r, c); !at.IsZero() {
				one.Told = at.UTC().Format("2006-01-02T15:04:05Z")
			}
		}
		out.Calls = append(out.Calls, one)
	}
	return w.printJSON(out)
}
