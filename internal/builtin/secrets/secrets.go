// Package secrets holds the actions on the values of environment files: give them new
// values, and look whether one of them lies where others read it.
//
// A value never leaves this package but into the file that it belongs to. Plans, results,
// logs and errors have names of files, of variables and of commits; not even a hash of a
// value, which would let a short one be guessed.
package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
)

// Source is an asset of kind files.
type Source struct {
	Name string
	Path string // absolute path of its directory
	Kind tree.Kind
	Ours []string // names of variables that the estate says are made by ourselves
}

// Deps are what the actions need of the rest.
type Deps struct {
	// Files finds an asset of kind files; the error advises.
	Files func(name string) (Source, error) // required
	// Repository finds the working clone of an asset of kind git; the error advises.
	Repository func(name string) (dir string, err error) // required
}

// Actions lists the family.
func Actions(d Deps) []action.Action { return []action.Action{d.rotate(), d.scan()} }

// maxFile bounds an environment file.
const maxFile = 1 << 20

// variable is a line NAME=value.
type variable struct {
	file, name string
	value      secret.String
	from, to   int // of the value in the file
}

var lineForm = regexp.MustCompile(`(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*[=:][ \t]*(.*)$`)

// variables reads the lines of a file. A value in quotes is what is between them; without,
// a comment behind white space does not belong to it.
func variables(file string, text []byte) (out []variable) {
	for _, at := range lineForm.FindAllSubmatchIndex(text, -1) {
		from, to := at[4], at[5]
		value := text[from:to]
		if n := len(bytes.TrimRight(value, " \t\r")); n < len(value) {
			value, to = value[:n], from+n
		}
		switch {
		case len(value) > 1 && (value[0] == '"' || value[0] == '\'') && bytes.IndexByte(value[1:], value[0]) >= 0:
			end := bytes.IndexByte(value[1:], value[0])
			from, to = from+1, from+1+end
		default:
			if i := bytes.Index(value, []byte(" #")); i >= 0 {
				to = from + len(bytes.TrimRight(value[:i], " \t"))
			}
		}
		out = append(out, variable{file: file, name: string(text[at[2]:at[3]]), value: secret.New(string(text[from:to])), from: from, to: to})
	}
	return out
}

// telling are names whose values are secrets.
var telling = regexp.MustCompile(`(?i)(secret|passw|token|api_?key|private_?key|signing_?key|encryption_?key|credential|_key$|_pass$|_pwd$)`)

// shortest is the length from which on a value is taken for a secret: a shorter one would
// be found everywhere.
const shortest = 12

func (v variable) secret() bool {
	return telling.MatchString(v.name) && len(v.value.Reveal()) >= shortest && !strings.HasPrefix(v.value.Reveal(), "${")
}

// wellKnown are secrets that whoever runs the application makes: they sign sessions and tokens,
// and any text does. Nothing that encrypts what is stored is here, nor a name that providers
// use too: a random value in its place breaks more than the leak.
var wellKnown = []string{"NEXTAUTH_SECRET", "AUTH_SECRET", "BETTER_AUTH_SECRET", "SESSION_SECRET", "COOKIE_SECRET", "CSRF_SECRET", "JWT_SECRET", "JWT_SIGNING_KEY", "SECRET_KEY_BASE"}

// random is what a value looks like in whose place a random one can stand: a key in PEM, or one
// with a prefix, is read by something that wants the form.
var random = regexp.MustCompile(`^[A-Za-z0-9+/=_-]+$`)

// ours says whether a variable may get a random value without a person who names it.
func (s Source) ours(v variable) bool {
	return slices.Contains(s.Ours, v.name) || slices.Contains(wellKnown, v.name) && random.MatchString(v.value.Reveal())
}

// file is an environment file as it was read.
type file struct {
	name string
	text []byte
	info os.FileInfo
	vars []variable
}

// read reads the files of an asset.
func (s Source) read(ctx context.Context) ([]file, error) {
	names, err := s.Kind.Files(ctx, s.Path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(s.Path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var out []file
	for _, name := range names {
		f, err := readFile(root, name)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", name, err)
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		return nil, hint.Wrap(fmt.Errorf("%w: asset %q has no files now", action.ErrRefused, s.Name), "restore them first: lifeboat run secrets-loss")
	}
	return out, nil
}

func readFile(root *os.Root, name string) (file, error) {
	f, err := root.Open(name)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	if !info.Mode().IsRegular() {
		return file{}, errors.New("it is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return file{}, err
	}
	if len(text) > maxFile {
		return file{}, fmt.Errorf("it has more than %s: it is no file of variables", printable.Size(maxFile))
	}
	return file{name: name, text: text, info: info, vars: variables(name, text)}, nil
}

// words are names in a text, divided by white space or commas, each once.
func words(text string) []string {
	list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
	slices.Sort(list)
	return slices.Compact(list)
}

// secretNames lists the variables that are taken for secrets.
func secretNames(files []file) []string {
	var out []string
	for _, f := range files {
		for _, v := range f.vars {
			if v.secret() {
				out = append(out, v.name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
