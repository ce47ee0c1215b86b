package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/runbooks"
)

// tree gives the questions of triage: ours, and what a file beside the runbooks of the
// estate adds. A file that is wrong is left out whole, and the problems say why: in the
// worst hour our own questions are better than none.
func (w *world) tree() (*incident.Tree, []runbook.Problem) {
	t := &incident.Tree{}
	src, err := runbooks.FS.ReadFile(incident.TreeFile)
	if err != nil {
		return t, []runbook.Problem{unreadable(incident.TreeFile, err)}
	}
	if bad := t.Add(incident.TreeFile, src); len(bad) > 0 {
		return t, bad
	}
	if w.estate == nil {
		return t, nil
	}
	file := filepath.Join(w.estate.Dir, "runbooks", incident.TreeFile)
	src, err = os.ReadFile(file)
	switch {
	case os.IsNotExist(err):
		return t, nil
	case err != nil:
		return t, []runbook.Problem{unreadable(file, err)}
	}
	both := &incident.Tree{Questions: t.Questions}
	bad := both.Add(file, src)
	if len(bad) == 0 {
		bad = both.Check(file, w.findBook)
	}
	if runbook.Failed(bad) {
		return t, bad
	}
	return both, nil
}

func unreadable(file string, err error) runbook.Problem {
	return runbook.Problem{Pos: runbook.Pos{File: file}, Severity: runbook.Error, Code: "unreadable", Msg: err.Error()}
}

// lintTriage finds what is wrong with the questions, also with those that are left out
// because of it.
func (w *world) lintTriage() []runbook.Problem {
	t, bad := w.tree()
	if len(bad) > 0 {
		return bad
	}
	return slices.DeleteFunc(t.Check(incident.TreeFile, w.findBook), func(p runbook.Problem) bool {
		return p.Pos.File == incident.TreeFile // ours is held by tests, and nobody else can mend it
	})
}

// findBook is what triage knows of the library.
func (w *world) findBook(name string) (incident.Book, bool) {
	b, err := w.shelf.library.Get(name)
	if err != nil {
		return incident.Book{}, false
	}
	return incident.Book{Name: b.Name, Title: b.Title, Level: b.Meta.Level, When: b.Meta.When, NotFor: b.Meta.NotFor}, true
}

// next is the command that runs a runbook at a level.
func (w *world) next(p incident.Place) string {
	cmd := "lifeboat run " + p.Runbook
	if book, err := w.shelf.library.Get(p.Runbook); err == nil {
		for _, m := range book.Params() {
			if !m.HasDefault && !m.Secret && m.Name != runbook.AssetParam {
				cmd += " --param " + m.Name + "=…"
			}
		}
	}
	given := make([]string, len(p.Given))
	for i, n := range p.Given {
		given[i] = strconv.Itoa(n)
	}
	cmd += " --triage " + strings.Join(given, ",")
	if w.sandbox() != nil && filepath.Dir(w.estate.File) == w.sandboxDir() {
		cmd += " --sandbox"
	}
	return cmd
}

// contacts are who can be called; none without an estate.
func (w *world) contacts() []estate.Contact {
	if w.estate == nil {
		return nil
	}
	return w.estate.Contacts
}

// speaker is who calls from here.
func (w *world) speaker() incident.Speaker {
	s := incident.Speaker{By: w.env.user, Host: w.env.host, Drill: w.sandbox() != nil, Now: w.env.now()}
	if w.estate != nil {
		s.Estate = w.estate.Name
	}
	return s
}

// estateFile is where contacts are added; empty without an estate.
func (w *world) estateFile() string {
	if w.estate == nil {
		return ""
	}
	return w.estate.File
}

// owing reads the open runs that owe something, newest first.
func (w *world) owing() ([]run.Run, error) {
	list, err := w.journal.Runs(w.env.ctx, openRuns)
	if err != nil {
		return nil, err
	}
	var out []run.Run
	for _, s := range list { // the open ones come first
		if s.Outcome != "" {
			break
		}
		r, err := w.fold(s.ID)
		if err != nil {
			return nil, err
		}
		if len(r.Debts) > 0 {
			out = append(out, r)
		}
	}
	return out, nil
}

// sayOwed says, where another run begins or goes on, what is still to be put back.
func (w *world) sayOwed(id run.ID, l *lines) error {
	owed, err := w.debtLines(id)
	if err != nil {
		return err
	}
	for _, text := range owed {
		if l != nil {
			l.say(w.env.now(), "%s", text)
		} else {
			fmt.Fprintln(w.env.stderr, "lifeboat: "+text)
		}
	}
	return nil
}

// leaving adds to the way in which a person left an open run how to come back, and before it
// what the run owes: nobody may leave a branch open, or a service down, without reading it.
func (w *world) leaving(err error, r *run.Run, again string) error {
	err = hint.Wrap(err, again)
	for _, d := range slices.Backward(incident.Owed(r, w.env.now())) {
		err = hint.Wrap(err, "OWED: "+d)
	}
	return err
}

// openRuns is how many runs are looked at for what they owe.
const openRuns = 200

func (w *world) fold(id run.ID) (run.Run, error) {
	events, err := w.journal.Load(w.env.ctx, id)
	if err != nil {
		return run.Run{}, err
	}
	return run.FoldAll(events)
}

// debtLines say what open runs owe, but for one of them.
func (w *world) debtLines(except run.ID) ([]string, error) {
	list, err := w.owing()
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range list {
		if r := &list[i]; r.ID != except {
			for _, d := range incident.Owed(r, w.env.now()) {
				out = append(out, fmt.Sprintf("OWED by run %s (%s, %s): %s", r.ID.Short(), r.Started.Mode, r.Started.Book, d))
			}
		}
	}
	return out, nil
}
