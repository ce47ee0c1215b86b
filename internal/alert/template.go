package alert

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// Template is the text of a message as its reader wants it: that of text/template, less
// everything that could fail at night. It knows texts and conditions:
//
//	{{.Short}}{{if .Asset}} ({{.Asset}}){{end}}{{if eq .Event "recovered"}} - go home{{end}}
//
// What it names was checked when it was read, so writing one cannot fail. The zero value
// is the long form.
type Template struct {
	text  string // as it was read; "" and "long" are the same
	tree  *template.Template
	short bool
	per   map[string]Template // of single events, in place of this one
}

// For gives t with another template for the messages of one event.
func (t Template) For(event string, of Template) Template {
	per := maps.Clone(t.per)
	if per == nil {
		per = map[string]Template{}
	}
	per[event] = of
	t.per = per
	return t
}

// Equal says whether two templates are the same text, for every event.
func (t Template) Equal(o Template) bool {
	return t.text == o.text && maps.EqualFunc(t.per, o.per, Template.Equal)
}

// Bounds of a template and of what it gives.
const (
	maxTemplate = 4 << 10
	maxRendered = 8 << 10
)

// TemplateError is what is wrong with a template, and where in it.
type TemplateError struct {
	Line, Col int // from 1; Col 0: not known
	Msg, Fix  string
}

func (e *TemplateError) Error() string {
	if e.Col == 0 {
		return fmt.Sprintf("template line %d: %s", e.Line, e.Msg)
	}
	return fmt.Sprintf("template line %d, column %d: %s", e.Line, e.Col, e.Msg)
}

// fields are what a template may name. All are text, so that nothing in a template can
// be of the wrong type.
func (m Message) fields() map[string]string {
	level, drill := "", ""
	if m.Level > 0 {
		level = strconv.Itoa(m.Level)
	}
	if m.Drill {
		drill = "drill"
	}
	run := m.Clean()
	return map[string]string{
		"Event": run.Event, "Headline": run.headline(), "Text": run.words(), "Advice": run.Advice, "Asset": run.Asset, "Vault": run.Vault,
		"Runbook": run.Runbook, "Run": run.short(), "RunID": run.Run, "Step": run.Step, "Level": level, "Estate": run.Estate,
		"Host": run.Host, "By": run.By, "Time": run.when(), "Drill": drill, "Short": m.Short(), "Long": m.Long(),
	}
}

// Fields lists what a template may name, each with a dot before it.
func Fields() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(Message{}.fields())) {
		out = append(out, "."+name)
	}
	return out
}

// functions with how many arguments they take, and whether these must be plain texts.
var functions = map[string]struct {
	least, most int
	plain       bool
}{
	"eq": {2, 8, true}, "ne": {2, 2, true}, "upper": {1, 1, true}, "lower": {1, 1, true},
	"and": {1, 8, false}, "or": {1, 8, false}, "not": {1, 1, false},
}

// ParseTemplate reads a template. The words "short" and "long" are the two forms that a
// message has of its own. Errors are *[TemplateError].
func ParseTemplate(text string) (Template, error) {
	switch {
	case text == "" || text == "long":
		return Template{}, nil
	case text == "short":
		return Template{text: text, short: true}, nil
	case len(text) > maxTemplate:
		return Template{}, &TemplateError{Line: 1, Msg: fmt.Sprintf("it has %d bytes, more than %d", len(text), maxTemplate), Fix: "make it shorter"}
	}
	t, err := template.New("template").Option("missingkey=error").
		Funcs(template.FuncMap{"upper": strings.ToUpper, "lower": strings.ToLower}).Parse(text)
	if err != nil {
		return Template{}, syntax(err)
	}
	c := checker{text: text, fields: Message{}.fields()}
	for _, other := range t.Templates() {
		if other.Name() != t.Name() {
			return Template{}, &TemplateError{Line: 1, Msg: fmt.Sprintf("it defines %q", other.Name()), Fix: "a template is one text; take {{define}} and {{block}} out"}
		}
	}
	if t.Tree == nil || t.Root == nil {
		return Template{}, &TemplateError{Line: 1, Msg: "it is empty", Fix: `write "{{.Long}}", or leave template: out`}
	}
	if err := c.list(t.Root); err != nil {
		return Template{}, err
	}
	return Template{text: text, tree: t}, nil
}

// place is how text/template begins its errors, which have no type: the line is nowhere
// else.
var place = regexp.MustCompile(`^template: template:([0-9]+)(?::[0-9]+)?: (?s:(.*))$`)

func syntax(err error) error {
	e := &TemplateError{Line: 1, Msg: err.Error(), Fix: `it knows {{.Name}}, {{if .Name}}…{{else}}…{{end}}, eq, ne, and, or, not, upper, lower`}
	if m := place.FindStringSubmatch(err.Error()); m != nil {
		if n, bad := strconv.Atoi(m[1]); bad == nil {
			e.Line, e.Msg = n, m[2]
		}
	}
	return e
}

// checker walks a template and refuses what could fail when it is written.
type checker struct {
	text   string
	fields map[string]string
}

func (c checker) bad(n parse.Node, fix, format string, args ...any) error {
	at := min(max(0, int(n.Position())), len(c.text))
	before := c.text[:at]
	return &TemplateError{
		Line: strings.Count(before, "\n") + 1, Col: len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1,
		Msg: fmt.Sprintf(format, args...), Fix: fix,
	}
}

func (c checker) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.TextNode, *parse.CommentNode:
		case *parse.ActionNode:
			if err := c.pipe(n, n.Pipe); err != nil {
				return err
			}
		case *parse.IfNode:
			if err := cmp.Or(c.pipe(n, n.Pipe), c.list(n.List), c.list(n.ElseList)); err != nil {
				return err
			}
		default:
			return c.bad(n, "a template has texts and {{if}} only", "%q has no place here", n.String())
		}
	}
	return nil
}

// pipe is what stands between two braces, or in brackets.
func (c checker) pipe(at parse.Node, p *parse.PipeNode) error {
	if len(p.Decl) > 0 {
		return c.bad(at, "write the value itself where it is needed", "it declares %s", p.Decl[0])
	}
	if len(p.Cmds) != 1 {
		return c.bad(at, "write {{upper .Asset}} in place of {{.Asset | upper}}", "it has a pipe")
	}
	cmd := p.Cmds[0]
	if id, ok := cmd.Args[0].(*parse.IdentifierNode); ok {
		return c.call(id, cmd.Args[1:])
	}
	if len(cmd.Args) > 1 {
		return c.bad(cmd, "only functions take values", "%q is given a value", cmd.Args[0].String())
	}
	return c.value(cmd.Args[0], false)
}

func (c checker) call(id *parse.IdentifierNode, args []parse.Node) error {
	f, ok := functions[id.Ident]
	if !ok {
		return c.bad(id, "the functions are "+strings.Join(slices.Sorted(maps.Keys(functions)), ", "), "there is no function %q", id.Ident)
	}
	if len(args) < f.least || len(args) > f.most {
		return c.bad(id, "", "%s takes %d to %d values, not %d", id.Ident, f.least, f.most, len(args))
	}
	for _, a := range args {
		if err := c.value(a, f.plain); err != nil {
			return err
		}
	}
	return nil
}

// value is a field, a quoted text, or where plain does not hold something in brackets.
func (c checker) value(n parse.Node, plain bool) error {
	switch n := n.(type) {
	case *parse.StringNode:
		return nil
	case *parse.FieldNode:
		name := strings.Join(n.Ident, ".")
		if _, ok := c.fields[name]; ok {
			return nil
		}
		return c.bad(n, "the fields are "+strings.Join(slices.Sorted(maps.Keys(c.fields)), ", "), "there is no field %q", name)
	case *parse.PipeNode:
		if !plain {
			return c.pipe(n, n)
		}
	}
	return c.bad(n, `write a field such as .Asset, or a text in quotes`, "%q is no text", n.String())
}

var errFull = errors.New("too long")

// bounded takes so many bytes and no more.
type bounded struct {
	strings.Builder
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, errFull
	}
	return b.Builder.Write(p)
}

var _ io.Writer = (*bounded)(nil)

// Render writes a message. A message that does not fit is written in its long form.
func (t Template) Render(m Message) string {
	if of, ok := t.per[m.Event]; ok {
		return of.Render(m)
	}
	if t.short {
		return m.Short()
	}
	if t.tree == nil {
		return m.Long()
	}
	text, err := t.execute(m)
	if err != nil || text == "" {
		return m.Long()
	}
	return text
}

func (t Template) execute(m Message) (string, error) {
	b := &bounded{most: maxRendered}
	err := t.tree.Execute(b, m.fields())
	return strings.TrimSpace(b.String()), err
}
