package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/parser"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const parseDoc = `Reads every file below a directory that a program reads by its form, and says which cannot
be read: YAML and JSON in full, Terraform's and OpenTofu's HCL as far as strings, comments and
brackets go. A restored infrastructure that does not parse rebuilds nothing.

` + "```files.parse" + `
dir: ./server
at_least: 1
` + "```" + `

It says nothing about what the files ask for: ` + "`terraform validate`" + ` and ` + "`kubectl apply --dry-run=server`" + `
do, where they are installed. YAML with template marks ({{ }}) is left out.
`

type parseParams struct {
	Dir     string `param:"dir,required" help:"the directory to read"`
	AtLeast int    `param:"at_least" help:"fewer files of a known form are a failure" default:"1"`
}

func (d Deps) parse() action.Action {
	return action.New(action.Def[parseParams]{
		Name: "files.parse", Summary: "Look whether configuration files can be read", Doc: parseDoc,
		Effect: action.Read, Repeat: action.Safe,
		Plan: func(_ context.Context, env *action.Env, p parseParams) (action.Plan, error) {
			dir := absolute(env, p.Dir)
			return action.Plan{Summary: "reads YAML, JSON and HCL below " + dir, Target: dir, Stop: "Yes: it only reads."}, env.Allowed(dir)
		},
		Run: func(ctx context.Context, env *action.Env, p parseParams, _ action.Plan) (action.Result, error) {
			dir := absolute(env, p.Dir)
			if err := env.Allowed(dir); err != nil {
				return action.Result{}, err
			}
			return parseTree(ctx, env, dir, p.AtLeast)
		},
	})
}

// most is the size up to which a file is read: more is no configuration.
const most = 8 << 20

// forms are the readers of file forms by the ends of names.
func forms() map[string]func([]byte) error {
	yaml := func(text []byte) error {
		if bytes.Contains(text, []byte("{{")) && bytes.Contains(text, []byte("}}")) {
			return errTemplate
		}
		_, err := parser.ParseBytes(text, 0)
		return err
	}
	return map[string]func([]byte) error{
		".yaml": yaml, ".yml": yaml, ".tf": hcl, ".hcl": hcl, ".tfvars": hcl,
		".json": func(text []byte) error { var v any; return json.Unmarshal(text, &v) },
	}
}

var errTemplate = errors.New("it is a template")

func parseTree(ctx context.Context, env *action.Env, dir string, atLeast int) (action.Result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: look in %q: %w", action.ErrCheck, dir, err), "restore the files first")
	}
	defer root.Close()
	read, templates := 0, 0
	var bad []string
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		form := forms()[path.Ext(name)]
		if e.IsDir() && (e.Name() == ".git" || e.Name() == "node_modules" || strings.HasPrefix(e.Name(), ".lifeboat-")) {
			return fs.SkipDir
		}
		if form == nil || !e.Type().IsRegular() {
			return nil
		}
		f, err := root.Open(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(f, most+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		if len(text) > most {
			return nil
		}
		switch err := form(text); {
		case errors.Is(err, errTemplate):
			templates++
		case err != nil:
			first, _, _ := strings.Cut(err.Error(), "\n")
			bad = append(bad, printable.Line(name)+": "+printable.Line(first))
		default:
			read++
		}
		return nil
	})
	if err != nil {
		return action.Result{}, fmt.Errorf("read %q: %w", dir, err)
	}
	for _, line := range bad {
		env.Printf("%s", line)
	}
	res := action.Result{
		Evidence: fmt.Sprintf("%s below %s can be read, %s left out", printable.Count(read, "file"), dir, printable.Count(templates, "template")),
		Outputs:  map[string]any{"files": int64(read), "bad": int64(len(bad)), "templates": int64(templates)},
	}
	switch {
	case len(bad) > 0:
		return res, fmt.Errorf("%w: %s below %q cannot be read: %s", action.ErrCheck, printable.Count(len(bad), "file"), dir, bad[0])
	case read < atLeast:
		return res, hint.Wrap(fmt.Errorf("%w: %s of a known form below %q, at least %d are expected", action.ErrCheck, printable.Count(read, "file"), dir, atLeast),
			"name the directory that has the infrastructure, or lower at_least:")
	}
	return res, nil
}

// hcl looks whether strings end and brackets meet: what a file that was cut, or is
// something else, does not.
func hcl(text []byte) error {
	r := bufio.NewScanner(bytes.NewReader(text))
	r.Buffer(nil, most+1)
	var open []byte
	until, line := "", 0 // of a here-document
	comment := false
	for r.Scan() {
		line++
		row := r.Text()
		if until != "" {
			if strings.TrimSpace(row) == until {
				until = ""
			}
			continue
		}
		var err error
		if open, until, comment, err = hclLine(row, open, comment); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	switch {
	case until != "":
		return fmt.Errorf("the text up to %q does not end", until)
	case comment:
		return errors.New("a comment does not end")
	case len(open) > 0:
		return fmt.Errorf("%q is not closed", open[len(open)-1])
	}
	return nil
}

// hclLine reads a line. A '"' on the stack is a string, whose ${ opens what } closes.
func hclLine(row string, open []byte, comment bool) (_ []byte, until string, _ bool, err error) {
	top := func() byte {
		if len(open) == 0 {
			return 0
		}
		return open[len(open)-1]
	}
	for i := 0; i < len(row); i++ {
		rest := row[i:]
		c := row[i]
		switch {
		case comment:
			if strings.HasPrefix(rest, "*/") {
				comment = false
				i++
			}
		case top() == '"' && c == '\\':
			i++
		case top() == '"' && c == '"':
			open = open[:len(open)-1]
		case top() == '"' && (strings.HasPrefix(rest, "$${") || strings.HasPrefix(rest, "%%{")):
			i += 2
		case top() == '"' && (strings.HasPrefix(rest, "${") || strings.HasPrefix(rest, "%{")):
			open = append(open, '{')
			i++
		case top() == '"':
		case c == '#', strings.HasPrefix(rest, "//"):
			return open, "", false, nil
		case strings.HasPrefix(rest, "/*"):
			comment = true
			i++
		case strings.HasPrefix(rest, "<<"):
			return open, strings.TrimSpace(strings.TrimLeft(rest, "<-")), false, nil
		case c == '"', c == '{', c == '[', c == '(':
			open = append(open, c)
		case c == '}', c == ']', c == ')':
			if want := map[byte]byte{'}': '{', ']': '[', ')': '('}[c]; top() != want {
				return nil, "", false, fmt.Errorf("%q closes nothing", c)
			}
			open = open[:len(open)-1]
		}
	}
	if top() == '"' {
		return nil, "", false, errors.New("a string does not end")
	}
	return open, "", comment, nil
}
