package runbook

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/internal/hint"
)

var (
	metaKeys = []string{"title", "kind", "level", "when", "not_for", "asset", "needs", "params", "owner", "reviewed", "review_every"}
	kinds    = []string{string(Procedure), string(Recovery), string(Backup), string(Verification), string(Drill)}
)

// frontMatter reads the YAML between two --- lines at the top. It returns the row at
// which the Markdown begins, and whether there is front matter. A document that opens
// with a rule and no key below it has none.
func (p *parser) frontMatter() (row int, found bool) {
	l := p.lines
	if string(bytes.TrimRight(l.line(0), " \t")) != "---" || len(l.starts) < 2 {
		return 0, false
	}
	for row = 1; row < len(l.starts); row++ {
		if s := string(bytes.TrimRight(l.line(row), " \t")); s == "---" || s == "..." {
			p.meta(string(l.text[l.starts[1]:l.starts[row]]))
			return row + 1, true
		}
	}
	if !frontMatterKey(l.line(1)) {
		return 0, false
	}
	p.problem(Problem{l.pos(0), Error, "front-matter", "the front matter that begins here has no end", "close it with a line ---"})
	return len(l.starts), true
}

// frontMatterKey says whether a line looks like "key: value".
func frontMatterKey(line []byte) bool {
	key, _, ok := strings.Cut(string(line), ":")
	return ok && paramName.MatchString(key)
}

func (p *parser) meta(src string) {
	m := &p.book.Meta
	y := &yamlText{p: p, at: func(line, col int) Pos { return Pos{p.lines.file, line + 1, col} }}
	for _, e := range y.root(src) {
		m.Pos[e.key] = e.pos
		if e.value == nil || y.refused(e.value) {
			continue
		}
		switch e.key {
		case "title":
			m.Title = y.text(e)
		case "kind":
			if s := y.text(e); s != "" && !slices.Contains(kinds, s) {
				y.bad(y.pos(e.value.GetToken()), "bad-value", hint.Suggest(s, kinds), "kind %q is not known", s)
			} else {
				m.Kind = Kind(s)
			}
		case "level":
			m.Level = y.level(e)
		case "when":
			m.When = y.texts(e)
		case "not_for":
			m.NotFor = y.texts(e)
		case "asset":
			m.Asset = y.text(e)
		case "owner":
			m.Owner = y.text(e)
		case "needs":
			y.needs(e, m)
		case "params":
			y.params(e, m)
		case "reviewed":
			m.Reviewed = y.date(e)
		case "review_every":
			m.ReviewEvery = y.duration(e)
		default:
			y.unknown(e, "", metaKeys)
		}
	}
}

func (y *yamlText) unknown(e entry, what string, known []string) {
	near := hint.Nearest(e.key, known)
	fix := "the keys are " + strings.Join(known, ", ")
	if near != "" {
		fix = fmt.Sprintf("did you mean %q? %s", near, fix)
	}
	y.bad(e.pos, "unknown-key", fix, "there is no key %q%s", e.key, what)
}

func (y *yamlText) wrong(e entry, want, example string) {
	pos, got := e.pos, "empty"
	if e.value != nil {
		got = yamlType(e.value)
		if _, null := e.value.(*ast.NullNode); !null {
			pos = y.pos(e.value.GetToken())
		}
		if s, ok := yamlScalar(e.value); ok {
			got = fmt.Sprintf("%q", clip(s))
		}
	}
	y.bad(pos, "bad-value", "write "+example, "%s must be %s, this is %s", e.key, want, got)
}

// text gives a scalar that must be there; numbers and dates count as the text they are
// written as.
func (y *yamlText) text(e entry) string {
	s, ok := yamlScalar(e.value)
	if s = strings.TrimSpace(s); !ok || s == "" {
		y.wrong(e, "text", e.key+": some text")
		return ""
	}
	return s
}

// texts gives a list of text; a single one counts as a list of one.
func (y *yamlText) texts(e entry) []string {
	if _, ok := yamlScalar(e.value); ok {
		return []string{y.text(e)}
	}
	list, ok := e.value.(*ast.SequenceNode)
	if !ok {
		y.wrong(e, "a list of texts", e.key+": [first, second]")
		return nil
	}
	var out []string
	for _, v := range list.Values {
		item := entry{key: "an entry of " + e.key, pos: e.pos, value: v}
		if v == nil || y.refused(v) {
			continue
		}
		if s := y.text(item); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (y *yamlText) level(e entry) int {
	s, _ := yamlScalar(e.value)
	if len(s) == 1 && s >= "1" && s <= "3" {
		return int(s[0] - '0')
	}
	y.wrong(e, "1, 2 or 3", "level: 2")
	return 0
}

func (y *yamlText) date(e entry) time.Time {
	s, _ := yamlScalar(e.value)
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		y.wrong(e, "a date", e.key+": 2026-11-01")
	}
	return t
}

func (y *yamlText) duration(e entry) time.Duration {
	s, _ := yamlScalar(e.value)
	d, err := duration(s)
	if err != nil {
		y.wrong(e, "a duration with a unit", e.key+": 12h or "+e.key+": 30d")
	}
	return d
}

func (y *yamlText) needs(e entry, m *Meta) {
	for _, n := range y.mapping(e.value, "needs") {
		m.Pos["needs."+n.key] = n.pos
		switch n.key {
		case "tools":
			m.Tools = y.texts(n)
		case "fresh_backup":
			m.FreshBackup = y.duration(n)
		default:
			y.unknown(n, " in needs", []string{"tools", "fresh_backup"})
		}
	}
}

func (y *yamlText) params(e entry, m *Meta) {
	for _, n := range y.mapping(e.value, "params") {
		if !paramName.MatchString(n.key) || len(n.key) > 64 {
			y.bad(n.pos, "param-name", "begin with a lower case letter, then letters, digits and _", "%q cannot name a parameter", n.key)
			continue
		}
		param := Param{Name: n.key, Pos: n.pos}
		if _, empty := n.value.(*ast.NullNode); !empty && n.value != nil {
			y.param(n, &param)
		}
		m.Params = append(m.Params, param)
	}
}

func (y *yamlText) param(n entry, param *Param) {
	var chosen Pos
	for _, f := range y.mapping(n.value, "parameter "+n.key) {
		switch f.key {
		case "default":
			s, ok := yamlScalar(f.value)
			if !ok {
				y.wrong(f, "text", `default: main, or default: "" for none`)
			}
			param.Default, param.HasDefault, chosen = s, ok, f.pos
		case "help":
			param.Help = y.text(f)
		case "secret":
			b, ok := f.value.(*ast.BoolNode)
			if !ok {
				y.wrong(f, "true or false", "secret: true")
				continue
			}
			param.Secret = b.Value
		case "options":
			param.Options = y.texts(f)
		case "of":
			if param.Of = y.text(f); !slices.Contains(ParamsOf(), param.Of) {
				y.bad(f.pos, "bad-value", "choose one of "+strings.Join(ParamsOf(), ", "), "a parameter is of no %q", clip(param.Of))
			}
		default:
			y.unknown(f, " in a parameter", []string{"default", "help", "secret", "options", "of"})
		}
	}
	if param.Secret && param.HasDefault && param.Default != "" {
		y.bad(chosen, "secret-default", "take the default away; the value is asked for, or comes from the environment", "the secret parameter %q has its value in the file", param.Name)
	}
	if param.HasDefault && len(param.Options) > 0 && !slices.Contains(param.Options, param.Default) {
		y.bad(chosen, "bad-value", "choose one of "+strings.Join(param.Options, ", "), "default %q is none of the options", clip(param.Default))
	}
}

// clip shortens text that is quoted in a message.
func clip(s string) string {
	r := []rune(s)
	if len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}
