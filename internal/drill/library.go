package drill

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"lifeboat/internal/hint"
	"lifeboat/internal/runbook"
)

// Library is a set of rehearsals, read once.
type Library struct {
	scenarios []Scenario // by name
	problems  []runbook.Problem
}

// NewLibrary reads every file below the sources whose name ends in [Suffix]. One of a
// later source stands in for one of the same name in an earlier one. Problems are those
// of files that are not in the library because of them, and of files that cannot be read.
func NewLibrary(sources ...runbook.NamedFS) *Library {
	l := &Library{}
	byName := map[string]Scenario{}
	for _, src := range sources {
		for _, name := range l.files(src) {
			if s, ok := l.read(src, name); ok {
				byName[s.Name] = s
			} else { // what it was to stand in for is not what somebody wants to rehearse
				delete(byName, strings.TrimSuffix(path.Base(name), Suffix))
			}
		}
	}
	for _, s := range byName {
		l.scenarios = append(l.scenarios, s)
	}
	slices.SortFunc(l.scenarios, func(a, b Scenario) int { return strings.Compare(a.Name, b.Name) })
	return l
}

// files lists the rehearsals of a source by their paths.
func (l *Library) files(src runbook.NamedFS) []string {
	const deepest, most = 8, 5000
	var out []string
	err := fs.WalkDir(src.FS, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == ".":
			return err
		case err != nil:
			l.note(path.Join(src.Name, name), err)
		case name != "." && strings.HasPrefix(d.Name(), ".") || d.IsDir() && strings.Count(name, "/") >= deepest:
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && strings.HasSuffix(d.Name(), Suffix):
			if len(out) == most {
				l.note(src.Name, fmt.Errorf("more than %d tests; the rest was not read", most))
				return fs.SkipAll
			}
			out = append(out, name)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.note(src.Name, err)
	}
	return out
}

func (l *Library) note(file string, err error) {
	l.problems = append(l.problems, runbook.Problem{Pos: runbook.Pos{File: file}, Severity: runbook.Error, Code: "unreadable",
		Msg: err.Error(), Fix: strings.Join(hint.All(err), "; ")})
}

func (l *Library) read(src runbook.NamedFS, name string) (Scenario, bool) {
	shown := path.Join(src.Name, name)
	text, err := runbook.ReadFile(src.FS, name)
	if err != nil {
		l.note(shown, err)
		return Scenario{}, false
	}
	s, problems := Load(shown, text)
	l.problems = append(l.problems, problems...)
	return s, len(problems) == 0
}

// All lists the rehearsals by name.
func (l *Library) All() []Scenario { return slices.Clone(l.scenarios) }

// Names lists their names.
func (l *Library) Names() []string {
	var out []string
	for _, s := range l.scenarios {
		out = append(out, s.Name)
	}
	return out
}

// Problems lists what is wrong with files that are not in the library.
func (l *Library) Problems() []runbook.Problem { return slices.Clone(l.problems) }

// Of lists the rehearsals of a runbook.
func (l *Library) Of(book string) []Scenario {
	return slices.DeleteFunc(l.All(), func(s Scenario) bool { return s.Runbook != book })
}

// Find gives the rehearsal of that name. Its error advises with the nearest name.
func (l *Library) Find(name string) (Scenario, error) {
	if i := slices.IndexFunc(l.scenarios, func(s Scenario) bool { return s.Name == name }); i >= 0 {
		return l.scenarios[i], nil
	}
	for _, p := range l.problems {
		if path.Base(p.Pos.File) == name+Suffix {
			return Scenario{}, p
		}
	}
	return Scenario{}, hint.New(fmt.Sprintf("there is no scenario %q", name), hint.Suggest(name, l.Names()))
}
