package runbook

import (
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// script is a shell block of a plain document on its way to becoming several steps,
// one for each comment of the form "# 1. What to do".
//
// Its parts ran in one shell and now run in one shell each. What a part left behind for
// a later one is either repeated there (cd, plain assignments, functions) or, where
// repeating could give another value or another effect, keeps the parts together.
type script struct {
	text  string
	stmts []*syntax.Stmt
	left  []legacy // of each statement
	parts []part
}

// part is what stands under one numbered comment.
type part struct {
	from, to int      // offsets into the text; the comment is left out
	title    string   // empty: what stands before the first numbered comment
	at       int      // offset of the comment
	stmts    []int    // indices of its statements
	hand     []string // titles of parts without a command that were taken in
}

var numbered = regexp.MustCompile(`(?im)^[ \t]*#+[ \t]*(?:step[ \t]+)?[0-9]{1,3}[.):][ \t]+(\S.*)$`)

// split makes the steps of a unit of a plain document: one, or one for each numbered
// comment of its block.
func (p *parser) split(st *Step) []*Step {
	b := st.Do
	if b == nil || p.full {
		return []*Step{st}
	}
	before := p.shell
	if p.shell += len(b.Text); p.shell > maxShellAll {
		if before <= maxShellAll {
			p.problem(Problem{b.Pos, Warning, "too-large", "from here on shell text is not looked into: the document has too much of it", "split the document"})
		}
		return []*Step{st}
	}
	p.substitute(b)
	file, err := parseShell(b.Text)
	if err != nil {
		return []*Step{st}
	}
	if p.judged(b, file) {
		if file, err = parseShell(b.Text); err != nil { // it was read before
			return []*Step{st}
		}
	}
	s := &script{text: b.Text, stmts: file.Stmts}
	for _, stmt := range file.Stmts[:min(len(file.Stmts), maxStmts)] {
		s.left = append(s.left, leaves(stmt))
	}
	if len(s.stmts) > maxStmts {
		return []*Step{st}
	}
	if s.divide(); len(s.parts) > maxParts {
		return []*Step{st}
	}
	s.merge()
	var out []*Step
	for i := range s.parts {
		next := s.step(st, i)
		for k := range next.Items {
			next.Items[k].Text = p.foreign(next.Items[k].Text)
		}
		out = append(out, next)
	}
	if len(out) == 0 {
		return []*Step{st}
	}
	out[0].Items = append(slices.Clone(st.Items), out[0].Items...)
	out[0].Guidance = join(st.Guidance, out[0].Guidance)
	return out
}

// careful makes a step of a plain document that can lose something for good ask for a token:
// its author wrote it for people who read before they type, and not for --yes.
func (p *parser) careful(st *Step) {
	b := st.Do
	if b == nil || b.Action != Shell || b.Effect != "" || p.shell > maxShellAll || !suspect(b.Text) {
		return
	}
	l := &linter{book: p.book}
	l.peril = func(name, what, why string) {
		if b.Effect != "destroy" {
			b.Effect, b.Target = "destroy", name
			st.Guidance = join(st.Guidance, "> [!CAUTION]\n> `"+strings.ReplaceAll(what, "`", "'")+"` "+why+".")
		}
	}
	l.script(b)
}

// suspect says whether it is worth reading shell text again in search of danger.
func suspect(text string) bool {
	return sqlDanger.MatchString(text) || slices.ContainsFunc(dangers, func(d danger) bool { return strings.Contains(text, d.program) })
}

// judged lets a command whose end the next one looks at by $? fail: the shell of a step stops
// at the first command that fails, and what the document does then would never run. A list
// in which another command follows does not stop it, and has the same $?.
func (p *parser) judged(b *Block, file *syntax.File) bool {
	const mark = " && :"
	var ends []int
	list := func(stmts []*syntax.Stmt) {
		for i, s := range stmts[:max(0, len(stmts)-1)] {
			if end := end(s); end > 0 && looksBack(b.Text, stmts[i+1]) && len(ends) < maxParts {
				ends = append(ends, end)
			}
		}
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.File:
			list(n.Stmts)
		case *syntax.Block:
			list(n.Stmts)
		case *syntax.Subshell:
			list(n.Stmts)
		case *syntax.IfClause:
			list(n.Then)
		case *syntax.WhileClause:
			list(n.Do)
		case *syntax.ForClause:
			list(n.Do)
		}
		return true
	})
	slices.Sort(ends)
	for i, at := range ends {
		at += i * len(mark)
		line, col := place(b.Text, at)
		r := &b.rows[line-1]
		r.shifts = append(r.shifts, shift{at: col + len(mark) - 1, by: len(mark)})
		b.Text = b.Text[:at] + mark + b.Text[at:]
	}
	return len(ends) > 0
}

// end is where the command of a statement ends, 0 for one that another cannot follow.
func end(s *syntax.Stmt) int {
	if s.Cmd == nil || s.Background || s.Coprocess || s.Negated {
		return 0
	}
	at := int(s.Cmd.End().Offset())
	for _, r := range s.Redirs {
		if r.Hdoc != nil {
			return 0
		}
		at = max(at, int(r.End().Offset()))
	}
	return at
}

// looksBack says whether the first thing that a statement does is to look at $?.
func looksBack(text string, s *syntax.Stmt) bool {
	part := func(n syntax.Node) bool {
		return mentions(text[n.Pos().Offset():n.End().Offset()], "?")
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.IfClause:
		return len(cmd.Cond) > 0 && part(cmd.Cond[0])
	case *syntax.CaseClause:
		return part(cmd.Word)
	case *syntax.CallExpr, *syntax.TestClause, *syntax.BinaryCmd, *syntax.DeclClause:
		return part(cmd)
	}
	return false
}

// divide finds the parts. A numbered comment inside a statement divides nothing.
func (s *script) divide() {
	cur := part{}
	flush := func(to int) {
		cur.to = to
		if cur.title != "" || strings.TrimSpace(s.text[cur.from:to]) != "" {
			s.parts = append(s.parts, cur)
		}
	}
	next := 0 // the first statement not yet given to a part
	take := func(until int) {
		for next < len(s.stmts) && int(s.stmts[next].Pos().Offset()) < until {
			cur.stmts = append(cur.stmts, next)
			next++
		}
	}
	for _, m := range numbered.FindAllStringSubmatchIndex(s.text, -1) {
		take(m[0])
		if next > 0 && int(s.stmts[next-1].End().Offset()) > m[0] {
			continue
		}
		flush(m[0])
		cur = part{from: min(m[1]+1, len(s.text)), title: strings.TrimSpace(s.text[m[2]:m[3]]), at: m[0]}
	}
	take(len(s.text) + 1)
	flush(len(s.text))
	// A shebang, the name of the script and settings that are repeated where they are
	// needed are not work.
	if len(s.parts) > 1 && s.parts[0].title == "" && !slices.ContainsFunc(s.parts[0].stmts, func(i int) bool { return !s.left[i].again }) {
		s.parts = s.parts[1:]
	}
}

// merge joins parts that cannot run in shells of their own.
func (s *script) merge() {
	for i := 0; i < len(s.parts); i++ {
		last := i
		for j := i + 1; j < len(s.parts); j++ {
			if s.bound(s.parts[i], s.parts[j]) {
				last = j
			}
		}
		if last == i {
			continue
		}
		for j := i + 1; j <= last; j++ {
			next := s.parts[j]
			if len(next.stmts) == 0 {
				s.parts[i].hand = append(s.parts[i].hand, next.title)
			}
			s.parts[i].stmts = append(s.parts[i].stmts, next.stmts...)
			s.parts[i].to = next.to
		}
		s.parts = slices.Delete(s.parts, i+1, last+1)
		i-- // what was taken in may bind more
	}
}

// bound says whether later needs something of the shell that ran earlier which cannot
// be repeated.
func (s *script) bound(earlier, later part) bool {
	if len(later.stmts) == 0 {
		return false
	}
	body := s.text[later.from:later.to]
	first := s.stmts[later.stmts[0]]
	head := s.text[first.Pos().Offset():first.End().Offset()]
	if len(earlier.stmts) > 0 && earlier.stmts[len(earlier.stmts)-1] == later.stmts[0]-1 && mentions(head, "?", "!", "_") {
		return true
	}
	for _, i := range earlier.stmts {
		left := s.left[i]
		if left.glue || !left.again && mentions(body, left.names...) {
			return true
		}
	}
	return false
}

// legacy is what a statement leaves behind in its shell.
type legacy struct {
	names []string // variables and functions it sets
	dir   bool     // it is a cd
	again bool     // it can simply be repeated in another shell
	glue  bool     // nothing that follows can do without this very shell
}

// leaves looks at one statement of the top level.
func leaves(st *syntax.Stmt) legacy {
	var l legacy
	pure := true
	passing := map[*syntax.Assign]bool{} // for one command only
	syntax.Walk(st, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst:
			pure = false
			return false
		case *syntax.Subshell:
			return false
		case *syntax.FuncDecl:
			if n.Name != nil {
				l.names = append(l.names, n.Name.Value)
			}
			return false
		case *syntax.Assign:
			if n.Name != nil && !passing[n] {
				l.names = append(l.names, n.Name.Value)
			}
		case *syntax.WordIter:
			l.names = append(l.names, n.Name.Value)
		case *syntax.CallExpr:
			if len(n.Args) > 0 {
				switch n.Args[0].Lit() {
				case "cd":
					l.dir = true
				case "pushd", "popd", "eval", "exec", "trap", "read", "mapfile", "readarray", "source", ".", "unset", "alias", "ulimit", "umask", "set", "shopt", "shift", "wait", "jobs", "fg":
					l.glue = true
				}
				for _, a := range n.Assigns {
					passing[a] = true
				}
			}
		}
		return true
	})
	if st.Background || st.Negated || st.Coprocess || len(st.Redirs) > 0 {
		l.glue = l.glue || l.dir
		return l
	}
	switch cmd := st.Cmd.(type) {
	case *syntax.CallExpr:
		switch {
		case len(cmd.Args) == 0:
			l.again = pure
		case cmd.Args[0].Lit() == "cd":
			l.again = pure && len(cmd.Args) == 2
			l.glue = !l.again
		case cmd.Args[0].Lit() == "set":
			l.glue, l.again, l.dir = false, pure, true
		}
	case *syntax.DeclClause:
		l.again = pure
	case *syntax.FuncDecl:
		l.again, l.dir, l.glue = true, false, false
	default:
		l.glue = l.glue || l.dir
	}
	return l
}

// mentions says whether shell text uses one of the names, as a variable or a command.
func mentions(text string, names ...string) bool {
	for _, name := range names {
		for i := 0; ; {
			n := strings.Index(text[i:], name)
			if n < 0 {
				break
			}
			i += n
			special := strings.Contains("?!_", name)
			if special && i > 0 && text[i-1] == '$' && (name != "_" || !wordByte(text, i+1)) {
				return true
			}
			if !special && !wordByte(text, i-1) && !wordByte(text, i+len(name)) {
				return true
			}
			i += len(name)
		}
	}
	return false
}

func wordByte(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return false
	}
	c := s[i]
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// carry gives the statements of earlier parts that part i needs again.
func (s *script) carry(i int) string {
	if len(s.parts[i].stmts) == 0 {
		return ""
	}
	need := s.text[s.parts[i].from:s.parts[i].to]
	var out []string
	for k := s.parts[i].stmts[0] - 1; k >= 0; k-- {
		l := s.left[k]
		if !l.again || !l.dir && !mentions(need, l.names...) {
			continue
		}
		text := s.text[s.stmts[k].Cmd.Pos().Offset():s.stmts[k].Cmd.End().Offset()] // without ; behind it
		if call, ok := s.stmts[k].Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 && call.Args[0].Lit() == "cd" {
			text += " || exit"
		}
		out = append(out, text)
		need += "\n" + text
	}
	slices.Reverse(out)
	return strings.Join(out, "\n")
}

// step makes the step of part i. A part without a command is a thing that a person
// does.
func (s *script) step(st *Step, i int) *Step {
	pt := s.parts[i]
	out := &Step{Title: st.Title, Pos: st.Pos, Phase: st.Phase, heading: st.heading}
	line, _ := place(s.text, pt.at)
	if pt.title != "" {
		out.Title += ": " + pt.title
	}
	if len(pt.stmts) == 0 {
		text := pt.title
		notes := comments(s.text[pt.from:pt.to])
		if text == "" {
			text = notes
		} else {
			out.Guidance = notes
		}
		out.Items = []Item{{Text: text, Pos: st.Do.At(line, 1)}}
		return out
	}
	for _, h := range pt.hand {
		out.Items = append(out.Items, Item{Text: h, Pos: st.Do.At(line, 1)})
	}
	b := *st.Do
	if i > 0 {
		b.AttrPos = map[string]Pos{}
		b.ID = ""
	}
	b.cut(s.carry(i), s.text, pt.from, pt.to)
	out.Do = &b
	return out
}

// comments gives the words of comment lines.
func comments(text string) string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if !strings.HasPrefix(l, "#!") {
			l = strings.TrimSpace(strings.TrimLeft(l, "#"))
		} else {
			l = ""
		}
		if l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// cut makes the text of the block a piece of text, with statements before it that stand
// for nothing in the file: their place is the first line of the piece.
func (b *Block) cut(before, text string, from, to int) {
	first, _ := place(text, from)
	piece := text[from:to]
	for strings.HasPrefix(piece, "\n") {
		piece, first = piece[1:], first+1
	}
	piece = strings.TrimRight(piece, " \t\n") + "\n"
	rows := b.rows[min(first-1, len(b.rows)-1):]
	rows = rows[:min(len(rows), strings.Count(piece, "\n"))]
	b.Text, b.rows, b.Body = piece, rows, rows[0].pos
	if before != "" {
		n := strings.Count(before, "\n") + 1
		b.Text = before + "\n" + piece
		b.rows = append(slices.Repeat([]row{{pos: rows[0].pos}}, n), rows...)
	}
}
