package estate

import (
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Erasures say how people who asked to be forgotten are erased from a database, also from
// one that was restored from before they asked.
type Erasures struct {
	Register   string // absolute path of a file of JSON lines: who, when, by whom
	Statements []Erasure
}

// Erasure is one statement with the parameter :subject, and a query that counts what is
// left of a subject.
type Erasure struct{ SQL, Check string }

// deletion is a statement whose check can be derived from it.
var deletion = regexp.MustCompile(`(?is)^\s*DELETE\s+FROM\s+(.+)$`)

// beyond are words after which a deletion says more than which rows.
var beyond = regexp.MustCompile(`(?i)\b(RETURNING|LIMIT|ORDER)\b`)

var takesSubject = regexp.MustCompile(`:subject\b`)

// erasures reads the key of a database.
func (l *loader) erasures(n ast.Node) (out Erasures) {
	m := l.mapping(n, "erasures")
	if m == nil {
		return out
	}
	seen := l.fields(m, "erasures", []field{
		l.line("register", func(n ast.Node, t string) { out.Register = l.path(n, t) }),
		{"statements", func(n ast.Node) { out.Statements = l.erasureList(n) }},
	})
	if seen["register"] == nil {
		l.add(l.pos(n), "missing-key", `add "register: erasures.jsonl"`, "erasures has no register of who asked")
	}
	if seen["statements"] == nil {
		l.add(l.pos(n), "missing-key", `add "statements: [\"DELETE FROM customers WHERE id = :subject\"]"`, "erasures has no statements")
	}
	return out
}

func (l *loader) erasureList(n ast.Node) (out []Erasure) {
	s, ok := n.(*ast.SequenceNode)
	if !ok || len(s.Values) == 0 {
		l.add(l.pos(n), "type", `write ["DELETE FROM customers WHERE id = :subject"]`, "statements must be a list, not %s", word(n))
		return nil
	}
	for _, v := range s.Values {
		if e, ok := l.erasure(v); ok {
			out = append(out, e)
		}
	}
	return out
}

// erasure is one entry: a deletion, whose check follows from it, or a map of both.
func (l *loader) erasure(n ast.Node) (e Erasure, ok bool) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		m := l.mapping(n, "a statement")
		seen := l.fields(m, "a statement", []field{
			{"sql", func(n ast.Node) { e.SQL, _ = l.argument(n, "sql") }},
			{"check", func(n ast.Node) { e.Check, _ = l.argument(n, "check") }},
		})
		if seen["sql"] == nil || seen["check"] == nil {
			l.add(l.pos(n), "missing-key", `write {sql: "UPDATE ...", check: "SELECT count(*) ..."}`, "a statement needs sql and check")
			return e, false
		}
	default:
		if e.SQL, ok = l.argument(n, "a statement"); !ok {
			return e, false
		}
		d := deletion.FindStringSubmatch(strings.TrimRight(strings.TrimSpace(e.SQL), "; \t\n"))
		if d == nil || beyond.MatchString(d[1]) {
			l.add(l.pos(n), "value", `write {sql: "...", check: "SELECT count(*) FROM ... WHERE ..."}`, "only of a plain DELETE FROM does its check follow by itself")
			return e, false
		}
		e.Check = "SELECT count(*) FROM " + d[1]
	}
	for _, text := range []string{e.SQL, e.Check} {
		if !takesSubject.MatchString(text) {
			l.add(l.pos(n), "value", "write :subject where the one who is erased stands, without quotes", "a statement or its check does not use :subject: it would be the same for everybody")
			return e, false
		}
	}
	return e, true
}
