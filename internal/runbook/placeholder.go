package runbook

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// placeholder is <name> or {name} in the shell text of a plain document: a reader puts
// a value there, so it becomes a parameter.
type placeholder struct {
	from, to int
	name     string
	angle    bool
	context  quoting
}

// quoting is how a shell treats the text around a placeholder.
type quoting int

const (
	elsewhere   quoting = iota // a comment, arithmetic, a name: nothing can be put in
	bare                       // becomes "$name"
	doubleQuote                // becomes ${name}; also an unquoted here-document
	singleQuote                // becomes '"$name"'
	fixed                      // a quoted here-document: the text must stay
)

var placeholderText = regexp.MustCompile(`<[A-Za-z][A-Za-z0-9_. -]{0,60}>|\{[A-Za-z][A-Za-z0-9_-]{0,60}\}`)

// placeholders finds the candidates in text. Braces that other syntax owns are none:
// ${x}, @{u}, ^{commit}, %{http_code}, {{ .Name }}.
func placeholders(text string) []placeholder {
	var out []placeholder
	for _, m := range placeholderText.FindAllStringIndex(text, -1) {
		before, after := byte(0), byte(0)
		if m[0] > 0 {
			before = text[m[0]-1]
		}
		if m[1] < len(text) {
			after = text[m[1]]
		}
		inner := text[m[0]+1 : m[1]-1]
		angle := text[m[0]] == '<'
		switch {
		case before == '\\', angle && (before == '<' || strings.HasSuffix(inner, " ")):
		case !angle && (strings.IndexByte("$@^%#~{", before) >= 0 && before != 0 || after == '}'):
		default:
			out = append(out, placeholder{from: m[0], to: m[1], name: variable(inner), angle: angle})
		}
	}
	return out
}

// variable makes a parameter name of what stands in a placeholder.
func variable(s string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(s) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		} else if t := b.String(); t != "" && t[len(t)-1] != '_' {
			b.WriteByte('_')
		}
	}
	return strings.Trim(b.String(), "_")
}

// settle finds the context of each placeholder. To the shell <x> is a redirection, so
// the text is parsed with words of the same length in their place.
func settle(text string, found []placeholder) {
	masked := []byte(text)
	for _, f := range found {
		for i := f.from; i < f.to; i++ {
			masked[i] = 'z'
		}
	}
	file, err := parseShell(string(masked))
	if err != nil {
		guess(text, found)
		return
	}
	var stack []syntax.Node
	syntax.Walk(file, func(n syntax.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return false
		}
		stack = append(stack, n)
		switch n := n.(type) {
		case *syntax.Lit:
			mark(found, n, context(stack))
		case *syntax.SglQuoted:
			mark(found, n, singleQuote)
		}
		return true
	})
}

func mark(found []placeholder, n syntax.Node, c quoting) {
	from, to := int(n.Pos().Offset()), int(n.End().Offset())
	for i := range found {
		if found[i].from >= from && found[i].to <= to {
			found[i].context = c
		}
	}
}

// context says how the literal on top of the stack is quoted.
func context(stack []syntax.Node) quoting {
	if len(stack) < 2 {
		return elsewhere
	}
	switch stack[len(stack)-2].(type) {
	case *syntax.Word, *syntax.DblQuoted:
	default:
		return elsewhere
	}
	lit := stack[len(stack)-1]
	for i := len(stack) - 2; i >= 0; i-- {
		switch n := stack[i].(type) {
		case *syntax.DblQuoted:
			return doubleQuote
		case *syntax.CmdSubst, *syntax.ProcSubst:
			return bare
		case *syntax.ArithmExp, *syntax.ArithmCmd, *syntax.LetClause:
			return elsewhere
		case *syntax.Redirect:
			if n.Hdoc == nil || lit.Pos().Offset() < n.Hdoc.Pos().Offset() {
				return bare
			}
			if n.Word.Lit() == "" || strings.Contains(n.Word.Lit(), `\`) {
				return fixed
			}
			return doubleQuote
		}
	}
	return bare
}

// guess settles contexts where the shell text does not parse, by its quotes alone.
func guess(text string, found []placeholder) {
	state, word, next := bare, false, 0
	for i := 0; i < len(text) && next < len(found); i++ {
		if i == found[next].from {
			found[next].context = state
			i = found[next].to - 1
			next++
			word = true
			continue
		}
		c := text[i]
		switch {
		case state == elsewhere:
			if c == '\n' {
				state = bare
			}
		case c == '\\' && state != singleQuote:
			i++
		case c == '\'' && state == bare:
			state = singleQuote
		case c == '\'' && state == singleQuote, c == '"' && state == doubleQuote:
			state = bare
		case c == '"' && state == bare:
			state = doubleQuote
		case c == '#' && state == bare && !word:
			state = elsewhere
		}
		word = c != ' ' && c != '\t' && c != '\n' && c != ';'
	}
}

// with gives what stands in the place of a placeholder so that the shell itself reads
// the value from its environment; ok is false where the text must stay.
func (f placeholder) with() (text string, ok bool) {
	switch f.context {
	case bare:
		return `"$` + f.name + `"`, true
	case doubleQuote:
		return "${" + f.name + "}", true
	case singleQuote:
		// Braces in single quotes belong to awk, jq or JSON.
		return `'"$` + f.name + `"'`, f.angle
	}
	return "", false
}

// substitute turns the placeholders of a plain document's block into parameters.
func (p *parser) substitute(b *Block) {
	found := placeholders(b.Text)
	if len(found) == 0 {
		return
	}
	const most = 200
	if len(found) > most || len(b.Text) > maxShell {
		p.problem(Problem{b.Pos, Warning, "too-large", "this block is too large to look for placeholders in it", "split it"})
		return
	}
	settle(b.Text, found)
	var out strings.Builder
	last := 0
	for _, f := range found {
		text, ok := f.with()
		if !ok {
			continue
		}
		line, col := place(b.Text, f.from)
		r := &b.rows[line-1]
		if !p.params[f.name] {
			p.params[f.name] = true
			pos := r.pos
			pos.Col += col - 1
			p.book.Meta.Params = append(p.book.Meta.Params, Param{Name: f.name, Help: "stands for " + b.Text[f.from:f.to], Pos: pos})
		}
		before := 0
		for _, s := range r.shifts {
			before += s.by
		}
		by := len(text) - (f.to - f.from)
		r.shifts = append(r.shifts, shift{at: col + before + len(text) - 1, by: by})
		out.WriteString(b.Text[last:f.from])
		out.WriteString(text)
		last = f.to
	}
	out.WriteString(b.Text[last:])
	b.Text = out.String()
}
