package runbook

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	yamlparser "github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlText is a piece of YAML inside a document.
type yamlText struct {
	p  *parser
	at func(line, col int) Pos // place in the file of a place in the text, from 1
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	pos   Pos
	value ast.Node
}

func (y *yamlText) bad(pos Pos, code, fix, format string, args ...any) {
	y.p.problem(Problem{pos, Error, code, fmt.Sprintf(format, args...), fix})
}

func (y *yamlText) pos(t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return y.at(1, 1)
	}
	return y.at(t.Position.Line, t.Position.Column)
}

// root parses src, which must be a mapping or nothing. Anchors, aliases, tags, merge
// keys and several documents are refused: none of them helps a reader on paper.
func (y *yamlText) root(src string) []entry {
	if line, msg := y.p.refuseYAML(src); msg != "" {
		y.bad(y.at(line, 1), "yaml-size", "split it into smaller blocks", "%s", msg)
		return nil
	}
	file, err := parseYAML(src)
	if err != nil {
		pos, msg := y.at(1, 1), err.Error()
		var at yaml.Error
		if errors.As(err, &at) {
			pos, msg = y.pos(at.GetToken()), at.GetMessage()
		}
		fix := `write "key: value" lines; put text with special characters in quotes`
		if strings.Contains(src, "${") {
			fix += `, inside { } and [ ] also every ${name}`
		}
		y.bad(pos, "yaml", fix, "this is no valid YAML: %s", msg)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if _, directive := doc.Body.(*ast.DirectiveNode); directive || body != nil || doc.Start != nil {
			y.bad(y.pos(doc.Body.GetToken()), "yaml", "keep one, without --- and % lines", "this is more than one YAML document")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		return nil
	}
	return y.mapping(body, "this block")
}

// refuseYAML bounds what the YAML parser is given: its time grows with the square of
// a line and of the nesting.
func (p *parser) refuseYAML(src string) (line int, msg string) {
	p.yaml += len(src)
	if len(src) > maxYAML {
		return 1, fmt.Sprintf("this YAML is longer than %d KiB", maxYAML>>10)
	}
	if p.yaml > maxYAMLAll {
		return 1, fmt.Sprintf("the document has more than %d KiB of YAML up to here", maxYAMLAll>>10)
	}
	open := 0
	for i, row := range strings.Split(src, "\n") {
		if len(row) > maxYAMLLine {
			return i + 1, fmt.Sprintf("this YAML line is longer than %d KiB", maxYAMLLine>>10)
		}
		for _, c := range row {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(0, open-1)
			}
		}
		levels, _ := containers([]byte(row))
		if open > maxDeep || levels > maxDeep || len(row)-len(strings.TrimLeft(row, " ")) > 16*maxDeep {
			return i + 1, fmt.Sprintf("this YAML is nested more than %d levels deep", maxDeep)
		}
	}
	return 0, ""
}

// parseYAML keeps a panic of the YAML parser from ending the program: the text is
// whatever somebody wrote.
func parseYAML(src string) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, fmt.Errorf("the YAML parser gave up: %v", r)
		}
	}()
	return yamlparser.ParseBytes([]byte(src), 0, yamlparser.AllowDuplicateMapKey())
}

// mapping gives the entries of a mapping in order. Keys are text and occur once.
func (y *yamlText) mapping(n ast.Node, what string) []entry {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		if !y.refused(n) {
			y.bad(y.pos(n.GetToken()), "yaml-type", `write "key: value" lines`, "%s must be a mapping, this is %s", what, yamlType(n))
		}
		return nil
	}
	seen := map[string]Pos{}
	var out []entry
	for _, v := range values {
		pos := y.pos(v.Key.GetToken())
		key, ok := keyText(v.Key)
		if !ok {
			y.bad(pos, "yaml-key", "write the key as text: no anchors, tags, merge keys or lists", "this is no plain key")
			continue
		}
		if first, twice := seen[key]; twice {
			y.bad(pos, "duplicate-key", "keep one of them", "key %q is given twice, first at %s", key, first)
			continue
		}
		seen[key] = pos
		out = append(out, entry{key, pos, v.Value})
	}
	return out
}

func keyText(k ast.MapKeyNode) (string, bool) {
	switch k.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		s := k.GetToken().Value
		return s, s != "" && len(s) <= 200 && strings.IndexFunc(s, unicode.IsControl) < 0
	}
	return "", false
}

// refused reports YAML that is never accepted.
func (y *yamlText) refused(n ast.Node) bool {
	switch n.(type) {
	case *ast.AnchorNode:
		y.bad(y.pos(n.GetToken()), "yaml-alias", "write the value out, or quote text that begins with &", "anchors are not allowed")
	case *ast.AliasNode:
		y.bad(y.pos(n.GetToken()), "yaml-alias", "write the value out, or quote text that begins with *", "aliases are not allowed")
	case *ast.TagNode:
		y.bad(y.pos(n.GetToken()), "yaml-tag", "take it away, or quote text that begins with !", "tags are not allowed")
	case *ast.MergeKeyNode, *ast.MappingKeyNode, *ast.DirectiveNode:
		y.bad(y.pos(n.GetToken()), "yaml", "write key: value", "this YAML is not allowed here")
	default:
		return false
	}
	return true
}

func yamlType(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	}
	return "text"
}

// text gives a scalar as it is written, without quotes. ok is false for all else.
func yamlScalar(n ast.Node) (s string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

var (
	wholeNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	decimal     = regexp.MustCompile(`^-?[0-9]+\.[0-9]+$`)
)

// value decodes a node into nil, string, bool, int64, float64, []any or
// map[string]any, and notes the places of keys and entries under their paths. A
// scalar is a number only when its text survives: 012, 1e3 and 1.10 stay text.
func (y *yamlText) value(n ast.Node, path string, at map[string]Pos) any {
	if n == nil || y.refused(n) {
		return nil
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.BoolNode:
		return n.Value
	case *ast.MappingNode, *ast.MappingValueNode:
		m := map[string]any{}
		for _, e := range y.mapping(n, path) {
			sub := path + "." + e.key
			at[sub] = e.pos
			m[e.key] = y.value(e.value, sub, at)
		}
		return m
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for i, v := range n.Values {
			sub := fmt.Sprintf("%s[%d]", path, i)
			if v != nil {
				at[sub] = y.pos(v.GetToken())
			}
			list = append(list, y.value(v, sub, at))
		}
		return list
	case *ast.IntegerNode, *ast.FloatNode:
		return number(n.GetToken().Value)
	}
	s, ok := yamlScalar(n)
	if !ok {
		y.bad(y.pos(n.GetToken()), "yaml-type", "write a plain value", "this is no text, number, list or mapping")
		return nil
	}
	return s
}

func number(s string) any {
	if wholeNumber.MatchString(s) {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
	}
	if decimal.MatchString(s) {
		if f, err := strconv.ParseFloat(s, 64); err == nil && strconv.FormatFloat(f, 'f', -1, 64) == s {
			return f
		}
	}
	return s
}
