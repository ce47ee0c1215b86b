package app

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/engine"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// A task is a run that a command line asks for in place of a runbook: "lifeboat backup
// monorepo" is a runbook of one step that nobody had to write. It is on record like any
// other, is resumed like any other, and does what its action does, so that there is one
// way of doing it.
type task struct {
	name, title string
	kind        string // of runbook
	asset       string // that it is about, "" for none or all
	steps       []taskStep
}

type taskStep struct {
	title, action, attrs string
	args                 [][2]string // name and value; an empty value is left out
}

// text writes the task as a runbook. Values are parameters of it, so that none of them is
// ever part of its text.
func (t task) text() (string, map[string]string) {
	params := map[string]string{}
	var head, body strings.Builder
	for i, s := range t.steps {
		fmt.Fprintf(&body, "\n## %s\n\n```%s%s\n", s.title, s.action, s.attrs)
		for _, a := range s.args {
			if a[1] == "" {
				continue
			}
			name := fmt.Sprintf("%s_%d", a[0], i+1)
			params[name] = a[1]
			fmt.Fprintf(&head, "  %s: {help: %s of step %d}\n", name, a[0], i+1)
			fmt.Fprintf(&body, "%s: ${%s}\n", a[0], name)
		}
		body.WriteString("```\n")
	}
	text := "---\ntitle: " + t.title + "\nkind: " + t.kind + "\n"
	if head.Len() > 0 {
		text += "params:\n" + head.String()
	}
	return text + "---\n\n# " + t.title + "\n" + body.String(), params
}

// run begins a task and drives it in the foreground to its end.
func (w *world) runTask(ctx context.Context, t task, asker engine.Asker, out *watcher) error {
	text, params := t.text()
	book, found := runbook.Parse(t.name+".md", []byte(text))
	p, err := w.shelf.sound(book, found)
	if err != nil {
		return err
	}
	id, err := w.start(ctx, p, wish{book: t.name, params: params, asset: t.asset})
	if err != nil {
		return err
	}
	return w.foreground(ctx, p, id, asker, out)
}

// asked answers the gates of a task. What the command line says in so many words is
// approved; what it did not say is left to whoever is there.
type asked struct {
	policy *policy
	force  bool         // the command line approves what destroys, too
	person engine.Asker // nil: nobody is there
}

var _ engine.Asker = (*asked)(nil)

// Ask implements engine.Asker.
func (a *asked) Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error) {
	g := r.Gate
	if g.Kind == run.Token && a.force && refused == "" && !a.policy.given[g.Step] && !g.Undo {
		a.policy.given[g.Step] = true
		return run.Answer{Gate: g.Seq, By: a.policy.by, Verb: run.Approve, Digest: g.Digest, Token: g.Token, How: "--apply"}, nil
	}
	if g.Kind == run.Confirm && !a.policy.given[g.Step] || a.person == nil {
		return a.policy.Ask(ctx, r, refused)
	}
	return a.person.Ask(ctx, r, refused)
}
