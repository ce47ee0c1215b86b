package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/runbook"
)

// fit gives the parameters that name something of the estate the names that it has, so
// that a runbook that speaks of "booking-app" works where the application has another
// name. What is not there at all is empty, and steps that need it are left out; what could
// be one of several is asked for.
func (w *world) fit(p *engine.Program, start *engine.Start) error {
	start.Params = maps.Clone(start.Params)
	if start.Params == nil {
		start.Params = map[string]string{}
	}
	for _, m := range p.Book.Params() {
		if m.Of == "" {
			continue
		}
		value, given := start.Params[m.Name]
		if m.Of == "branch" {
			if def, ok := w.branchOf(p.Book, m, start.Params); !given && ok {
				start.Params[m.Name] = def
			}
			continue
		}
		var there []string
		if w.estate != nil {
			there = w.estate.Named(m.Of)
		}
		switch {
		case given && (value == "" || w.isOf(m.Of, value)):
			continue
		case given:
			return usage(hint.Wrap(fmt.Errorf("parameter %q: the estate has no %s %q", m.Name, thingOf(m.Of), value), choices(m.Name, there)))
		}
		value, ok := suits(m, there)
		if !ok {
			return usage(hint.Wrap(fmt.Errorf("parameter %q: the estate has %d to choose from: %s", m.Name, len(there), m.Help), choices(m.Name, there)))
		}
		start.Params[m.Name] = value
	}
	return nil
}

// isOf says whether the estate has something of that name and kind, also where a parameter
// would rather have another.
func (w *world) isOf(of, name string) bool {
	if w.estate == nil {
		return false
	}
	if of == "secrets" || of == estate.Files {
		return slices.ContainsFunc(w.estate.OfKind(estate.Files), func(a estate.Asset) bool { return a.Name == name })
	}
	return slices.Contains(w.estate.Named(of), name)
}

// suits chooses the value of a parameter that nobody gave: its default where the estate has
// that, else the only one there is, else none. It cannot where there are several.
func suits(m runbook.Param, there []string) (value string, ok bool) {
	switch {
	case slices.Contains(there, m.Default):
		return m.Default, true
	case len(there) == 0:
		return "", m.HasDefault
	}
	return there[0], len(there) == 1
}

// branchOf is the branch that a parameter means by default: that of the runbook where the
// git asset of the run has it under branches: or lists none, else the first there.
func (w *world) branchOf(book *runbook.Book, m runbook.Param, params map[string]string) (string, bool) {
	if w.estate == nil {
		return "", false
	}
	name := params[runbook.AssetParam]
	if book.Meta.Asset != estate.Git {
		for _, o := range book.Params() {
			if o.Of == estate.Git {
				name = params[o.Name]
			}
		}
	}
	a, err := w.estate.Find(name)
	if err != nil || len(a.Branches) == 0 || slices.Contains(a.Branches, m.Default) {
		return "", false
	}
	return a.Branches[0], true
}

func thingOf(of string) string {
	switch of {
	case "app":
		return "application"
	case "secrets":
		return "files asset"
	}
	return of + " asset"
}

func choices(param string, there []string) string {
	if len(there) == 0 {
		return fmt.Sprintf("add it to lifeboat.yaml, or leave it out: --param %s=", param)
	}
	return fmt.Sprintf("add --param %s=NAME; there are: %s", param, strings.Join(there, ", "))
}
