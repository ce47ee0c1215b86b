package runbook

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	exprparser "github.com/expr-lang/expr/parser"
)

// when checks that a condition compiles, which names it uses, and that it compares
// what can be equal. A comparison of text with a number is false without a word, and
// the step would be left out.
func (f *flow) when(b *Block) {
	at := b.AttrPos["when"]
	_, err := expr.Compile(b.When, expr.AllowUndefinedVariables(), expr.AsBool())
	tree, err2 := exprparser.Parse(b.When)
	if err = cmp.Or(err, err2); err != nil {
		msg, _, _ := strings.Cut(err.Error(), "\n")
		var bad *file.Error
		if errors.As(err, &bad) {
			msg = fmt.Sprintf("%s, at character %d", bad.Message, bad.Column+1)
		}
		f.add(at, Error, "bad-when", fmt.Sprintf("when=%q is no expression: %s", clip(b.When), msg), `write it like when="branch == 'main' and good.count > 0"`)
		return
	}
	v := &condition{declared: map[string]bool{}}
	ast.Walk(&tree.Node, v)
	for _, name := range Named(b.When) {
		f.name(name, at)
	}
	for _, c := range v.comparisons {
		if !f.comparable(c.Left, c.Right, at) {
			continue
		}
		f.comparable(c.Right, c.Left, at)
	}
}

// comparable reports an operand that can never be what the other one is.
func (f *flow) comparable(x, other ast.Node, at Pos) bool {
	if id, ok := x.(*ast.IdentifierNode); ok && f.blocks[id.Value] != nil && !f.params[id.Value] {
		field := "field"
		if f.blocks[id.Value].Action == Choose {
			field = "choice"
		}
		if f.blocks[id.Value].Action == Shell {
			field = "out"
		}
		f.add(at, Error, "bad-when", fmt.Sprintf("%q is a result of several fields and equals nothing", id.Value), fmt.Sprintf("write %s.%s", id.Value, field))
		return false
	}
	if text := f.text(x); text != "" && notText(other) {
		f.add(at, Warning, "text-number", fmt.Sprintf("%s is text and is compared with a number or with true or false", text),
			fmt.Sprintf("write int(%s), or put quotes around the value", text))
		return false
	}
	return true
}

// text names an operand that is always text: a parameter, or what a script saved.
func (f *flow) text(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if f.params[n.Value] {
			return n.Value
		}
	case *ast.MemberNode:
		id, ok := n.Node.(*ast.IdentifierNode)
		field, named := n.Property.(*ast.StringNode)
		if ok && named && f.blocks[id.Value] != nil && f.blocks[id.Value].Action == Shell {
			return id.Value + "." + field.Value
		}
	}
	return ""
}

func notText(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	case *ast.UnaryNode:
		return notText(n.Node)
	}
	return false
}

// Named lists the names that the condition of a when= goes by; none for one that is no
// expression.
func Named(when string) []string {
	tree, err := exprparser.Parse(when)
	if err != nil {
		return nil
	}
	v := &condition{declared: map[string]bool{}}
	ast.Walk(&tree.Node, v)
	return slices.DeleteFunc(v.names, func(name string) bool { return v.declared[name] })
}

// condition is what lint looks at in an expression.
type condition struct {
	names       []string
	declared    map[string]bool
	comparisons []*ast.BinaryNode
}

func (v *condition) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.IdentifierNode:
		v.names = append(v.names, n.Value)
	case *ast.VariableDeclaratorNode:
		v.declared[n.Name] = true
	case *ast.BinaryNode:
		switch n.Operator {
		case "==", "!=", "<", ">", "<=", ">=":
			v.comparisons = append(v.comparisons, n)
		}
	}
}
