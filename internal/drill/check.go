package drill

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/hint"
	"lifeboat/internal/runbook"
)

// maxDeep bounds how deep runbooks that include others are followed.
const maxDeep = 8

// Check holds a rehearsal against the runbooks that it names: they are there and have
// its parameters, and its answers fit a step, an item or a choice. find gives a runbook
// by its name.
func (s Scenario) Check(find func(name string) (*runbook.Book, error)) []runbook.Problem {
	l := &loader{file: s.File, at: s.at}
	get := func(path, name string) *runbook.Book {
		book, err := find(name)
		if err != nil {
			l.bad(path, "unknown-runbook", strings.Join(hint.All(err), "; "), "%v", err)
			return nil
		}
		return book
	}
	for i, p := range s.Prepare {
		at := fmt.Sprintf("prepare[%d]", i)
		if p.Runbook == "" {
			continue
		}
		if _, ok := s.at[at+".runbook"]; ok {
			at += ".runbook"
		}
		if book := get(at, p.Runbook); book != nil {
			l.params(strings.TrimSuffix(at, ".runbook"), strings.TrimSuffix(at, ".runbook")+".params", book, p.Params)
		}
	}
	book := get("runbook", s.Runbook)
	if book == nil {
		return l.problems
	}
	l.params("params", "params", book, s.Params)
	a := answerable{ids: map[string]*runbook.Step{}, items: map[string]bool{}}
	a.collect(book, "", find, 0)
	for _, key := range slices.Sorted(maps.Keys(s.Answers)) {
		l.answer("answers."+key, key, s.Answers[key], a)
	}
	l.steps(s, a)
	return l.problems
}

// params reports parameters that the book does not have, and those that it needs. The
// asset is found in the sandbox where it is the only one of its kind.
func (l *loader) params(at, path string, book *runbook.Book, given map[string]string) {
	var names []string
	for _, p := range book.Params() {
		names = append(names, p.Name)
		if _, ok := given[p.Name]; !ok && !p.HasDefault && p.Name != runbook.AssetParam {
			l.bad(at, "missing-param", fmt.Sprintf("add \"params: {%s: …}\"", p.Name), "runbook %q needs the parameter %q", book.Name, p.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			l.bad(path+"."+name, "unknown-param", hint.Suggest(name, names), "runbook %q has no parameter %q", book.Name, name)
		}
	}
}

// answerable is what a runbook, with all it includes, asks.
type answerable struct {
	ids   map[string]*runbook.Step
	items map[string]bool // by the text of the item; true when it is only known in the run
}

func (a answerable) collect(book *runbook.Book, prefix string, find func(string) (*runbook.Book, error), depth int) {
	for _, s := range book.Steps {
		a.ids[prefix+s.ID] = s
		for _, i := range s.Items {
			a.items[i.Text] = strings.Contains(i.Text, "${")
		}
		if s.Do == nil || s.Do.Action != runbook.Include || depth == maxDeep {
			continue
		}
		name, _ := s.Do.Args["runbook"].(string)
		if child, err := find(name); err == nil {
			a.collect(child, prefix+s.ID+".", find, depth+1)
		}
	}
}

func (l *loader) answer(path, key, value string, a answerable) {
	if step := a.ids[key]; step != nil {
		if b := step.Do; b != nil && b.Action == runbook.Choose {
			var keys []string
			for _, o := range b.Options {
				keys = append(keys, o.Key)
			}
			if !slices.Contains(keys, value) {
				l.bad(path, "bad-answer", hint.Suggest(value, keys), "step %q does not offer %q", key, value)
			}
		}
		return
	}
	later, known := a.items[key]
	switch {
	case !known:
		l.bad(path, "unknown-step", hint.Suggest(key, slices.Sorted(maps.Keys(a.ids)))+"; an answer names a step, or has the text of an item", "no step or item is called %q", key)
	case later:
		l.bad(path, "bad-answer", "answer by the id of its step", "the text of this item is only known when it is asked")
	}
}
