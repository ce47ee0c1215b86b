package runbook

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/hint"
)

// LintOptions is what lint is told of the world. The zero value is good.
type LintOptions struct {
	Now    time.Time              // zero: the review date is not looked at
	Names  []string               // names that ${...} and when= may use besides parameters and saved results
	Exists func(path string) bool // whether the target of a relative link is there, seen from the runbook's directory; nil: not looked at
}

// Lint finds what is wrong with a parsed book beyond its grammar, as far as that can be
// told without knowing actions. Problems are in order of the file; those of [Parse] are
// not repeated. A plain document was not written for Lifeboat: there only what cannot
// work is an error.
func Lint(book *Book, opts LintOptions) []Problem {
	l := &linter{book: book, opts: opts}
	l.meta()
	l.flow()
	for _, s := range book.Steps {
		l.step(s)
	}
	l.text()
	l.links()
	slices.SortStableFunc(l.problems, func(x, y Problem) int {
		return cmp.Or(cmp.Compare(x.Pos.Line, y.Pos.Line), cmp.Compare(x.Pos.Col, y.Pos.Col))
	})
	return l.problems
}

type linter struct {
	book     *Book
	opts     LintOptions
	problems []Problem
	shell    int                             // bytes of shell text looked into so far
	peril    func(program, what, why string) // hears of dangerous commands in place of a problem; nil: a problem
}

func (l *linter) add(pos Pos, sev Severity, code, msg, fix string) {
	switch {
	case len(l.problems) < maxProblems:
		l.problems = append(l.problems, Problem{pos, sev, code, msg, fix})
	case len(l.problems) == maxProblems:
		l.problems = append(l.problems, Problem{pos, Error, "too-many-problems", fmt.Sprintf("more than %d problems; the rest is not listed", maxProblems), "mend these first"})
	}
}

// lenient is Error in a runbook and Warning in a plain document.
func (l *linter) lenient() Severity {
	if l.book.Plain {
		return Warning
	}
	return Error
}

func (l *linter) meta() {
	b, m, top := l.book, l.book.Meta, Pos{l.book.File, 1, 1}
	if b.Plain || b.unread {
		return
	}
	if m.Title == "" && b.titleAt < 0 {
		l.add(top, Error, "missing-title", "the runbook has no title", "add title: to the front matter, or a heading # Title")
	}
	if _, said := m.Pos["kind"]; !said {
		l.add(top, Error, "missing-kind", "the runbook does not say what kind it is", "add kind: "+strings.Join(kinds, ", ")+" (one of them)")
	}
	if l.opts.Now.IsZero() {
		return
	}
	switch at := m.Pos["reviewed"]; {
	case m.ReviewEvery > 0 && m.Reviewed.IsZero():
		l.add(m.Pos["review_every"], Warning, "overdue-review", "the runbook was never reviewed", "review it and add reviewed: "+l.opts.Now.Format(time.DateOnly))
	case m.Reviewed.After(l.opts.Now.Add(24 * time.Hour)):
		l.add(at, Warning, "future-review", "the review date lies in the future", "write the date of the last review")
	case m.ReviewEvery > 0 && l.opts.Now.After(m.Reviewed.Add(m.ReviewEvery)):
		late := l.opts.Now.Sub(m.Reviewed.Add(m.ReviewEvery))
		l.add(at, Warning, "overdue-review", fmt.Sprintf("the review is overdue by %d days", int(late.Hours()/24)+1),
			"review it and write reviewed: "+l.opts.Now.Format(time.DateOnly))
	}
}

// step looks at one step without its neighbours.
func (l *linter) step(s *Step) {
	if s.Do == nil {
		for _, b := range []*Block{s.Undo, s.Probe} {
			if b != nil {
				l.add(b.Pos, Error, string(b.Role)+"-without-do", fmt.Sprintf("this step has a block %s and nothing that it belongs to", b.Role), "put it behind the block that does the work, under the same heading")
			}
		}
	}
	for _, b := range s.Blocks() {
		if b.Action == Shell {
			l.script(b)
		}
		if b.Else != "" && b.Role != Do {
			l.add(b.AttrPos["else"], Error, "else-target", "else= works only on the block that does the work", "move it there")
		}
		if (b.Role == Verify || b.Role == Probe) && (b.Effect == "write" || b.Effect == "destroy") {
			l.add(b.AttrPos["effect"], Error, "check-writes", fmt.Sprintf("a %s block only looks; it cannot have effect=%s", b.Role, b.Effect), "move the change into a block of its own")
		}
	}
	d := s.Do
	if d == nil || l.book.Plain {
		return
	}
	if d.Action == Shell && d.Effect != "read" && len(s.Verify) == 0 {
		l.add(d.Pos, Warning, "no-verify", "nothing tells whether this step worked", "add a block sh verify below it, or effect=read if it changes nothing")
	}
	if d.Action == Shell && d.Effect == "destroy" && d.Target == "" {
		l.add(d.Pos, Warning, "no-target", "nothing says what this script destroys: its gate asks for a token that names nothing", "add target=name to the fence, the name as people say it")
	}
	if d.Action == Shell && d.Retry > 0 && d.Effect != "read" {
		l.add(d.AttrPos["retry"], Warning, "retry-once", "a script that changes something is never run again by itself, so retry= does nothing here",
			"take it away, or put it on a block sh verify or effect=read")
	}
	if d.Action == Choose && d.Save == "" {
		l.add(d.Pos, Warning, "not-saved", "the choice is not saved, so it changes nothing", `add save=name, and when="name.choice == 'key'" to the steps that depend on it`)
	}
}

// flow follows parameters, saved results and else= through the book.
func (l *linter) flow() {
	b := l.book
	f := &flow{linter: l, params: map[string]bool{}, later: map[string]Pos{}, saved: map[string]Pos{}, used: map[string]bool{}, blocks: map[string]*Block{}}
	for _, p := range b.Params() {
		f.params[p.Name] = true
	}
	for _, n := range l.opts.Names {
		f.params[n] = true
	}
	index := map[string]int{}
	for i, s := range b.Steps {
		index[s.ID] = i
		for _, bl := range s.Blocks() {
			if bl.Save == "" {
				continue
			}
			at := bl.AttrPos["save"]
			if first, twice := f.later[bl.Save]; twice {
				l.add(at, Error, "duplicate-save", fmt.Sprintf("save=%s is taken, at %s", bl.Save, first), "choose another name")
				continue
			}
			if f.params[bl.Save] {
				l.add(at, Error, "duplicate-save", fmt.Sprintf("save=%s has the name of a parameter", bl.Save), "choose another name")
			}
			f.later[bl.Save], f.blocks[bl.Save] = at, bl
		}
	}
	for i, s := range b.Steps {
		f.step(s, i, index)
	}
	for _, p := range b.Meta.Params {
		if !f.used[p.Name] && !slices.ContainsFunc(b.Steps, func(s *Step) bool { return s.uses(p.Name) }) {
			l.add(p.Pos, Warning, "unused-param", fmt.Sprintf("no step uses the parameter %q", p.Name), "take it away, or use ${"+p.Name+"}")
		}
	}
}

// flow is what is known when the steps have been read up to some point.
type flow struct {
	*linter
	params map[string]bool
	later  map[string]Pos // all names that are saved
	saved  map[string]Pos // those saved so far
	used   map[string]bool
	blocks map[string]*Block // what saves a name
}

func (f *flow) step(s *Step, i int, index map[string]int) {
	for _, it := range s.Items {
		f.refs(it.Text, it.Pos)
		f.refs(it.Expect, it.Pos)
	}
	for _, b := range s.Blocks() {
		if b.When != "" {
			f.when(b)
		}
		b.scalars(func(text string, at Pos) { f.refs(text, at) })
		if b.Save != "" {
			f.saved[b.Save] = b.AttrPos["save"]
		}
	}
	if s.Do == nil || s.Do.Else == "" {
		return
	}
	to, ok := index[s.Do.Else]
	switch at := s.Do.AttrPos["else"]; {
	case !ok:
		f.add(at, Error, "else-target", fmt.Sprintf("else=%s names no step", clip(s.Do.Else)), hint.Suggest(s.Do.Else, slices.Sorted(maps.Keys(index))))
	case to <= i:
		f.add(at, Error, "else-target", fmt.Sprintf("else=%s names a step that is not later", s.Do.Else), "put the alternative behind this step")
	}
}

// refs checks the references in a text.
func (f *flow) refs(text string, at Pos) {
	refs, bad := references(text)
	if bad >= 0 {
		f.add(at, f.lenient(), "bad-reference", fmt.Sprintf("%q is no reference", clip(text[bad:])), "write ${name} or ${saved.field}, or $${ for a literal ${")
	}
	for _, r := range refs {
		if f.params[r.Name] && r.Field != "" {
			f.add(at, Error, "unknown-name", fmt.Sprintf("the parameter %q has no field %q", r.Name, r.Field), "write ${"+r.Name+"}")
			continue
		}
		f.name(r.Name, at)
	}
}

// name checks that a name has a value at this point.
func (f *flow) name(name string, at Pos) {
	f.used[name] = true
	if f.params[name] {
		return
	}
	if _, ok := f.saved[name]; ok {
		return
	}
	if where, ok := f.later[name]; ok {
		f.add(at, Error, "unknown-name", fmt.Sprintf("%q is saved only later, at %s", name, where), "move this behind it")
		return
	}
	known := append(slices.Collect(maps.Keys(f.params)), slices.Collect(maps.Keys(f.saved))...)
	slices.Sort(known)
	fix := "declare it under params: in the front matter"
	if near := hint.Nearest(name, known); near != "" {
		fix = fmt.Sprintf("did you mean %q? If not, %s", near, fix)
	}
	f.add(at, Error, "unknown-name", fmt.Sprintf("there is no parameter or saved result %q", name), fix)
}
