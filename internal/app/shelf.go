package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"lifeboat/internal/command"
	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/runbooks"
)

// shelf is where runbooks come from: those that Lifeboat brings, then those beside
// the estate file, which stand in for ours of the same name.
type shelf struct {
	world   *world
	library *runbook.Library

	mu     sync.Mutex        // guards beside: the console asks for several things at once
	beside map[string]string // directory of the runbooks that were opened by their path, by name
}

func newShelf(w *world) (*shelf, error) {
	return &shelf{world: w, library: runbook.NewLibrary(w.places()...), beside: map[string]string{}}, nil
}

// places are where runbooks and their tests lie, from the weakest to the strongest.
func (w *world) places() []runbook.NamedFS {
	places := append([]runbook.NamedFS{{Name: "", FS: runbooks.FS}}, w.books...)
	if w.estate != nil {
		places = append(places, beside(w.estate.Dir)...)
	}
	return places
}

// beside gives the runbooks that lie beside an estate file in dir, if there are any.
func beside(dir string) []runbook.NamedFS {
	dir = filepath.Join(dir, "runbooks")
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil
	}
	return []runbook.NamedFS{{Name: dir, FS: os.DirFS(dir)}}
}

// find gives the runbook that a person means: a name of the library or the path of a
// Markdown file, either followed by "#section". Problems are those of its grammar.
func (s *shelf) find(arg string) (*runbook.Book, []runbook.Problem, error) {
	name, anchor, _ := strings.Cut(arg, "#")
	book, problems, err := s.whole(name)
	if err != nil || anchor == "" || engine.HasErrors(problems) {
		return book, problems, err
	}
	part, err := book.Section(anchor)
	return part, problems, usage(err)
}

func (s *shelf) whole(name string) (*runbook.Book, []runbook.Problem, error) {
	if !strings.ContainsRune(name, os.PathSeparator) && !strings.HasSuffix(name, ".md") {
		book, err := s.library.Get(name)
		if err != nil {
			return nil, nil, usage(err)
		}
		return book, s.library.Problems(book), nil
	}
	opened, _, err := runbook.OpenFile(os.DirFS(filepath.Dir(name)), filepath.Base(name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = hint.Wrap(fmt.Errorf("open runbook %q: there is no such file", name), "lifeboat lint lists the runbooks of the library")
		}
		return nil, nil, usage(err)
	}
	book, problems := runbook.Parse(name, opened.Source)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beside[book.Name] = filepath.Dir(name)
	return book, problems, nil
}

// include finds what a runbook includes: a file beside it when it was opened by its
// path, else one of the library.
func (s *shelf) include(from *runbook.Book) func(name string) (*runbook.Book, error) {
	base, _, _ := strings.Cut(from.Name, "#")
	s.mu.Lock()
	dir, opened := s.beside[base]
	s.mu.Unlock()
	return func(name string) (*runbook.Book, error) {
		if opened && name == filepath.Base(name) {
			book, problems, err := runbook.OpenFile(os.DirFS(dir), name+".md")
			if err == nil && runbook.Failed(problems) {
				return nil, fmt.Errorf("runbook %q: %w", filepath.Join(dir, name+".md"), problems[0])
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return book, err
			}
		}
		return s.library.Get(name)
	}
}

// compile binds a book. All problems, of grammar, structure and binding, come with it,
// in order of the file.
func (s *shelf) compile(book *runbook.Book, found []runbook.Problem) (*engine.Program, []runbook.Problem) {
	p, bound := engine.Compile(book, s.include(book), s.world.actions)
	all := append(slices.Clone(found), runbook.Lint(book, runbook.LintOptions{Now: s.world.env.now()})...)
	for _, b := range bound {
		same := func(o runbook.Problem) bool { return o.Pos == b.Pos && o.Code == b.Code }
		if !slices.ContainsFunc(all, same) {
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all, func(a, b runbook.Problem) int {
		if a.Pos.File != b.Pos.File {
			return strings.Compare(a.Pos.File, b.Pos.File)
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	return p, all
}

// ready gives a program that may run: found, sound, and with its programs installed.
func (s *shelf) ready(arg string) (*engine.Program, error) {
	book, found, err := s.find(arg)
	if err != nil {
		return nil, err
	}
	return s.sound(book, found)
}

// sound compiles a book that may run.
func (s *shelf) sound(book *runbook.Book, found []runbook.Problem) (*engine.Program, error) {
	p, all := s.compile(book, found)
	if bad := slices.DeleteFunc(all, func(p runbook.Problem) bool { return p.Severity != runbook.Error }); len(bad) > 0 {
		return nil, problems(bad)
	}
	for _, tool := range book.Meta.Tools {
		if _, err := command.Find(s.world.programs(s.world.env.ctx), tool); err != nil {
			return nil, usage(hint.Wrap(fmt.Errorf("runbook %q needs %q: %w", book.Name, tool, err), "install it, and start again"))
		}
	}
	return p, nil
}

// pinned is the list of the runbooks of a run as they were when it began.
type pinned struct {
	File   string `json:"file"`             // as messages name it
	Anchor string `json:"anchor,omitempty"` // of a section
	Copy   string `json:"copy"`             // in the same directory
}

// pin keeps the sources of a program with its run, so that a resumed run walks the
// version it began with, whatever became of the library. The digest in the journal
// says whether the copies are the right ones.
func (s *shelf) pin(id run.ID, p *engine.Program) error {
	dir := filepath.Join(s.world.files.Run(id), "books")
	if err := durable.MkdirAll(dir); err != nil {
		return err
	}
	var list []pinned
	for i, b := range p.Books {
		entry := pinned{File: b.File, Anchor: b.Anchor, Copy: fmt.Sprintf("%02d.md", i)}
		if err := durable.WriteFile(filepath.Join(dir, entry.Copy), b.Source, 0o600); err != nil {
			return fmt.Errorf("pin runbook %q: %w", b.Name, err)
		}
		list = append(list, entry)
	}
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, "list.json"), data, 0o600)
}

// pinned gives the program of a run that has begun. Without its copies (a crash
// before they were written: nothing has run) the library has to do.
func (s *shelf) pinned(id run.ID, started run.Started) (*engine.Program, error) {
	dir := filepath.Join(s.world.files.Run(id), "books")
	data, err := os.ReadFile(filepath.Join(dir, "list.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s.ready(started.Book)
	}
	if err != nil {
		return nil, err
	}
	var list []pinned
	if err := json.Unmarshal(data, &list); err != nil || len(list) == 0 {
		return nil, fmt.Errorf("read the pinned runbooks of run %s: %w", id.Short(), errors.Join(err, errors.New("the list is damaged")))
	}
	var books []*runbook.Book
	for _, entry := range list {
		src, err := os.ReadFile(filepath.Join(dir, filepath.Base(entry.Copy)))
		if err != nil {
			return nil, fmt.Errorf("read the pinned runbooks of run %s: %w", id.Short(), err)
		}
		book, _ := runbook.Parse(entry.File, src)
		if entry.Anchor != "" {
			if book, err = book.Section(entry.Anchor); err != nil {
				return nil, err
			}
		}
		books = append(books, book)
	}
	get := func(name string) (*runbook.Book, error) {
		for _, b := range books {
			if b.Name == name {
				return b, nil
			}
		}
		return nil, fmt.Errorf("runbook %q is not pinned", name)
	}
	p, bad := engine.Compile(books[0], get, s.world.actions)
	if engine.HasErrors(bad) {
		return nil, problems(bad)
	}
	return p, nil
}
