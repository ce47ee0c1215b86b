package runbook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"lifeboat/internal/hint"
)

// ErrUnknown is the name of a runbook that the library does not have.
var ErrUnknown = errors.New("no such runbook")

// MaxSize is the size in bytes of the largest file that [OpenFile] reads.
const MaxSize = 16 << 20

// NamedFS is a place where runbooks are. Name comes before the path in messages, for
// example a directory; empty for runbooks that are part of the program.
type NamedFS struct {
	Name string
	FS   fs.FS
}

// Library is a set of runbooks, read once, when somebody first asks for one. It is safe
// for concurrent use.
type Library struct {
	sources []NamedFS
	once    sync.Once

	books    []*Book // by name
	problems map[*Book][]Problem
	general  []Problem
}

// NewLibrary gives the library of every .md file below the sources but README.md and what is hidden.
// A runbook of a later source stands in for one of the same name in an earlier one. A
// file that cannot be read, or is wrong, does not keep the others out: see
// [Library.Problems].
func NewLibrary(sources ...NamedFS) *Library {
	return &Library{sources: sources, problems: map[*Book][]Problem{}}
}

// read gives the library with its books.
func (l *Library) read() *Library {
	l.once.Do(l.fill)
	return l
}

func (l *Library) fill() {
	byName := map[string]*Book{}
	for _, src := range l.sources {
		here := map[string]*Book{}
		for _, name := range l.files(src) {
			book, problems, err := open(src.FS, name, path.Join(src.Name, name))
			if err != nil {
				l.note(path.Join(src.Name, name), "unreadable", err)
				continue
			}
			if first, twice := here[book.Name]; twice {
				l.note(book.File, "same-name", hint.New(fmt.Sprintf("runbook %q is there already, as %s", book.Name, first.File), "rename one of them"))
				continue
			}
			here[book.Name] = book
			byName[book.Name] = book
			l.problems[book] = problems
		}
	}
	for _, b := range byName {
		l.books = append(l.books, b)
	}
	slices.SortFunc(l.books, func(a, b *Book) int { return strings.Compare(a.Name, b.Name) })
}

func (l *Library) note(file, code string, err error) {
	l.general = append(l.general, Problem{Pos{File: file}, Error, code, err.Error(), strings.Join(hint.All(err), "; ")})
}

// files lists the runbooks of a source, in order of their paths.
func (l *Library) files(src NamedFS) []string {
	const deepest, most = 8, 5000
	var out []string
	err := fs.WalkDir(src.FS, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == ".":
			return err
		case err != nil:
			l.note(path.Join(src.Name, name), "unreadable", err)
			return nil
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if strings.Count(name, "/") >= deepest {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".md" || strings.EqualFold(d.Name(), "README.md"):
			return nil
		}
		if len(out) == most {
			l.note(src.Name, "too-large", fmt.Errorf("more than %d runbooks; the rest was not read", most))
			return fs.SkipAll
		}
		out = append(out, name)
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.note(src.Name, "unreadable", err)
	}
	return out
}

// OpenFile reads a runbook. It refuses all but a regular file of at most [MaxSize]
// bytes: a symlink, a FIFO or a directory under that name is not what was reviewed. The
// error says why; problems are those of [Parse].
func OpenFile(fsys fs.FS, name string) (*Book, []Problem, error) { return open(fsys, name, name) }

func open(fsys fs.FS, name, shown string) (*Book, []Problem, error) {
	src, err := read(fsys, name)
	if err != nil {
		return nil, nil, fmt.Errorf("open runbook %q: %w", shown, err)
	}
	book, problems := Parse(shown, src)
	return book, problems, nil
}

// ReadFile reads what lies beside runbooks, with the care of [OpenFile].
func ReadFile(fsys fs.FS, name string) ([]byte, error) { return read(fsys, name) }

func read(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Lstat(fsys, name)
	if err != nil {
		return nil, reason(err)
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	// What was opened is asked again: the name may mean another file by now.
	if info, err = f.Stat(); err != nil {
		return nil, reason(err)
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(f, MaxSize+1)); err != nil {
		return nil, reason(err)
	}
	if b.Len() > MaxSize {
		return nil, tooLarge()
	}
	return b.Bytes(), nil
}

// reason takes the path out of an error that is going to name it anyway.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func tooLarge() error {
	return hint.New(fmt.Sprintf("it is larger than %d MB", MaxSize>>20), "a runbook is text for people; split it")
}

func regular(info fs.FileInfo) error {
	what := ""
	switch m := info.Mode(); {
	case m.IsRegular() && info.Size() > MaxSize:
		return tooLarge()
	case m.IsRegular():
		return nil
	case m.IsDir():
		what = "a directory"
	case m&fs.ModeSymlink != 0:
		return hint.New("it is a symbolic link", "name the file that it leads to")
	case m&fs.ModeNamedPipe != 0:
		what = "a named pipe"
	default:
		what = "no regular file"
	}
	return hint.New("it is "+what, "name a Markdown file")
}

// List gives all runbooks by name, those with problems too.
func (l *Library) List() []*Book { return slices.Clone(l.read().books) }

// Names gives the names of all runbooks, sorted.
func (l *Library) Names() []string {
	var out []string
	for _, b := range l.read().books {
		out = append(out, b.Name)
	}
	return out
}

// Problems gives what the parser found in a book of the library.
func (l *Library) Problems(book *Book) []Problem { return l.read().problems[book] }

// General gives the problems of files that are not in the library because of them.
func (l *Library) General() []Problem { return slices.Clone(l.read().general) }

// Get finds a runbook. The error wraps [ErrUnknown] and suggests the nearest name. A
// book that [Parse] found errors in is given; look at [Library.Problems] before use.
func (l *Library) Get(name string) (*Book, error) {
	l.read()
	i, found := slices.BinarySearchFunc(l.books, name, func(b *Book, n string) int { return strings.Compare(b.Name, n) })
	if found {
		return l.books[i], nil
	}
	return nil, hint.Wrap(fmt.Errorf("runbook %q: %w", clip(name), ErrUnknown), hint.Suggest(name, l.Names()))
}

// Includes checks what a book includes, through all levels: each runbook is there, can
// be read, gets only parameters that it has and all that it needs, and none includes
// itself. book need not be of the library.
func (l *Library) Includes(book *Book) []Problem {
	c := &includes{library: l, done: map[string]bool{}}
	c.follow(book, nil)
	return c.problems
}

type includes struct {
	library  *Library
	done     map[string]bool // books looked at
	problems []Problem
}

// link is one inclusion on the way to a book.
type link struct {
	from string
	at   Pos
}

func (c *includes) follow(book *Book, way []link) {
	if c.done[book.Name] {
		return
	}
	defer func() { c.done[book.Name] = true }()
	for _, s := range book.Steps {
		b := s.Do
		if b == nil || b.Action != Include {
			continue
		}
		name, _ := b.Args["runbook"].(string)
		if name == "" {
			continue
		}
		at := b.ArgPos["runbook"]
		here := append(slices.Clone(way), link{book.Name, at})
		if i := slices.IndexFunc(here, func(l link) bool { return l.from == name }); i >= 0 {
			c.cycle(here[i:], name)
			continue
		}
		child, err := c.library.Get(name)
		if err != nil {
			c.problems = append(c.problems, Problem{at, Error, "include-unknown", err.Error(), strings.Join(hint.All(err), "; ")})
			continue
		}
		if bad := c.library.Problems(child); Failed(bad) {
			i := slices.IndexFunc(bad, func(p Problem) bool { return p.Severity == Error })
			c.problems = append(c.problems, Problem{at, Error, "include-broken", fmt.Sprintf("the included runbook %q cannot run: %s: %s", name, bad[i].Pos, bad[i].Msg), "mend it first"})
		}
		c.params(b, child)
		c.follow(child, here)
	}
}

// cycle reports inclusions that come back to where they began, each with its place.
func (c *includes) cycle(way []link, back string) {
	var text strings.Builder
	for _, l := range way {
		fmt.Fprintf(&text, "%q (%s) includes ", l.from, l.at)
	}
	c.problems = append(c.problems, Problem{way[len(way)-1].at, Error, "include-cycle",
		fmt.Sprintf("runbooks include each other: %s%q", text.String(), back), "take one of the inclusions out"})
}

func (c *includes) params(b *Block, child *Book) {
	given, _ := b.Args["params"].(map[string]any)
	var names []string
	for _, p := range child.Params() {
		names = append(names, p.Name)
	}
	for _, p := range child.Meta.Params {
		if _, ok := given[p.Name]; !ok && !p.HasDefault {
			c.problems = append(c.problems, Problem{b.ArgPos["runbook"], Error, "include-params",
				fmt.Sprintf("runbook %q needs the parameter %q", child.Name, p.Name), fmt.Sprintf("add params: {%s: …}", p.Name)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, key) {
			c.problems = append(c.problems, Problem{b.ArgPos["params."+key], Error, "include-params",
				fmt.Sprintf("runbook %q has no parameter %q", child.Name, key), hint.Suggest(key, names)})
		}
	}
}
