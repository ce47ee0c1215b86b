package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// Program is a runbook bound to actions: every block has its action, every included
// runbook is unfolded, and nothing in it can fail any more for a reason that could
// have been found without running it.
type Program struct {
	Book   *runbook.Book
	Digest string          // SHA-256 over the sources of the runbook and all it includes
	Books  []*runbook.Book // the runbook and all it includes, each once
	units  []*unit
}

// unit is one step of a program, an included runbook's steps among them.
type unit struct {
	run.Outline
	step   *runbook.Step
	scope  *scope
	when   []condition // all must hold
	do     *bound
	verify []*bound
	probe  *bound
	undo   *bound
}

// bound is a block with its action.
type bound struct {
	block  *runbook.Block
	action action.Action
}

// condition is a when= with the scope that its names mean.
type condition struct {
	text  string
	scope *scope
	pos   runbook.Pos
}

// scope is where names are looked up: the runbook itself, or one inclusion of another
// runbook, whose parameters are given by the block that includes it.
type scope struct {
	id     string // empty for the runbook itself, else the id of the including step
	parent *scope
	book   *runbook.Book
	args   map[string]any // of the inclusion, unsubstituted, in the parent's names
	save   string         // name under which the parent sees all that is saved inside

	drillSkip bool // the inclusion, or one around it, is left out in drills
}

// Guidance is what the person at step id reads: the Markdown of its section.
func (p *Program) Guidance() map[string]string {
	out := map[string]string{}
	for _, u := range p.units {
		out[u.ID] = u.step.Guidance
	}
	return out
}

// Outline lists the steps in order of execution.
func (p *Program) Outline() []run.Outline {
	out := make([]run.Outline, len(p.units))
	for i, u := range p.units {
		out[i] = u.Outline
	}
	return out
}

// NoWayBack lists the ids of the steps that change something and have no undo.
func (p *Program) NoWayBack() []string {
	var out []string
	for _, u := range p.units {
		if u.do != nil && u.Effect != string(action.Read) && u.undo == nil && !u.do.action.HasUndo {
			out = append(out, u.ID)
		}
	}
	return out
}

func (p *Program) unit(id string) *unit {
	i := slices.IndexFunc(p.units, func(u *unit) bool { return u.ID == id })
	if i < 0 {
		return nil
	}
	return p.units[i]
}

// compiler collects what Compile finds.
type compiler struct {
	include  func(name string) (*runbook.Book, error)
	actions  []action.Action
	program  *Program
	problems []runbook.Problem
	only     map[string]bool // unit ids that are alternatives
}

// Compile binds book to actions. include finds a runbook by name; it may be nil when
// the book includes none. The problems are those that only binding can find; with an
// error among them the program must not run.
func Compile(book *runbook.Book, include func(name string) (*runbook.Book, error), actions []action.Action) (*Program, []runbook.Problem) {
	c := &compiler{include: include, actions: actions, program: &Program{Book: book}, only: map[string]bool{}}
	c.book(&scope{book: book}, nil, nil)
	h := sha256.New()
	for _, b := range c.program.Books {
		fmt.Fprintf(h, "%s %s\n", b.Name, b.Digest)
	}
	c.program.Digest = hex.EncodeToString(h.Sum(nil))
	for _, u := range c.program.units {
		u.Only = c.only[u.ID]
	}
	if len(c.program.units) == 0 && !HasErrors(c.problems) {
		c.fail(runbook.Pos{File: book.File, Line: 1, Col: 1}, "no-steps", "the runbook has no step",
			"give a heading an action block or a task list")
	}
	return c.program, c.problems
}

// HasErrors says whether one of the problems forbids running.
func HasErrors(problems []runbook.Problem) bool {
	return slices.ContainsFunc(problems, func(p runbook.Problem) bool { return p.Severity == runbook.Error })
}

func (c *compiler) fail(pos runbook.Pos, code, msg, fix string) {
	c.problems = append(c.problems, runbook.Problem{Pos: pos, Severity: runbook.Error, Code: code, Msg: msg, Fix: fix})
}

// maxDepth bounds inclusion; cycles are found before by name.
const maxDepth = 8

func (c *compiler) book(sc *scope, phase []string, when []condition) {
	if !slices.ContainsFunc(c.program.Books, func(b *runbook.Book) bool { return b.Name == sc.book.Name }) {
		c.program.Books = append(c.program.Books, sc.book)
	}
	for _, s := range sc.book.Steps {
		if s.Do != nil && s.Do.Action == runbook.Include {
			c.inclusion(sc, s, phase, when)
			continue
		}
		c.step(sc, s, phase, when)
	}
	c.alternatives(sc)
}

// alternatives marks the steps that some else= names: they run only when called for.
func (c *compiler) alternatives(sc *scope) {
	index := map[string]int{}
	for i, s := range sc.book.Steps {
		index[s.ID] = i
		if b := s.Do; b != nil && b.Action == runbook.Include && (b.Else != "" || b.Optional) {
			c.fail(b.Pos, "include-attribute", "an included runbook does not fail as one: else= and optional belong to its steps", "take the attribute out")
		}
	}
	for i, s := range sc.book.Steps {
		if s.Do == nil || s.Do.Else == "" {
			continue
		}
		to, ok := index[s.Do.Else]
		switch pos := attrPos(s.Do, "else"); {
		case !ok:
			c.fail(pos, "else-target", fmt.Sprintf("else=%s names no step of this runbook", s.Do.Else), "use the id of a later step")
		case to <= i:
			c.fail(pos, "else-target", fmt.Sprintf("else=%s names a step that is not later", s.Do.Else), "an alternative stands after the step that it replaces")
		case sc.book.Steps[to].Do != nil && sc.book.Steps[to].Do.Action == runbook.Include:
			c.fail(pos, "else-target", fmt.Sprintf("else=%s names an included runbook, and only a step can be an alternative", s.Do.Else),
				"make the alternative a step, and include the runbook after it with when=")
		default:
			c.only[sc.name(s.Do.Else)] = true
		}
	}
}

func attrPos(b *runbook.Block, name string) runbook.Pos {
	if p, ok := b.AttrPos[name]; ok {
		return p
	}
	return b.Pos
}

func argPos(b *runbook.Block, name string) runbook.Pos {
	if p, ok := b.ArgPos[name]; ok {
		return p
	}
	return b.Pos
}

// name gives the id of a step of the scope within the program.
func (sc *scope) name(id string) string {
	if sc.id == "" {
		return id
	}
	return sc.id + "." + id
}

func (c *compiler) inclusion(sc *scope, s *runbook.Step, phase []string, when []condition) {
	b := s.Do
	name, _ := b.Args["runbook"].(string)
	pos := argPos(b, "runbook")
	depth := 0
	for up := sc; up != nil; up = up.parent {
		depth++
		if up.book.Name == name {
			c.fail(pos, "include-cycle", fmt.Sprintf("runbook %q includes itself, through %q", name, sc.book.Name), "take one of the inclusions out")
			return
		}
	}
	if depth > maxDepth || c.include == nil {
		c.fail(pos, "include-depth", "runbooks are included too deeply", fmt.Sprintf("at most %d levels", maxDepth))
		return
	}
	child, err := c.include(name)
	if err != nil {
		c.fail(pos, "include-unknown", err.Error(), "give the name of a runbook of the library")
		return
	}
	args, _ := b.Args["params"].(map[string]any)
	if p, bad := b.Args["params"]; bad && args == nil && p != nil {
		c.fail(argPos(b, "params"), "include-params", "params is not a mapping", "write \"params: {name: value}\"")
	}
	for k := range args {
		if !slices.ContainsFunc(child.Params(), func(p runbook.Param) bool { return p.Name == k }) {
			c.fail(argPos(b, "params"), "include-params", fmt.Sprintf("runbook %q has no parameter %q", name, k), "see its front matter")
		}
	}
	for _, p := range child.Params() {
		if _, given := args[p.Name]; !given && !p.HasDefault {
			c.fail(pos, "include-params", fmt.Sprintf("runbook %q needs the parameter %q", name, p.Name), fmt.Sprintf("add \"params: {%s: …}\"", p.Name))
		}
	}
	inner := &scope{id: sc.name(s.ID), parent: sc, book: child, args: args, save: b.Save, drillSkip: sc.drillSkip || b.DrillSkip}
	if b.When != "" {
		when = append(slices.Clone(when), condition{b.When, sc, attrPos(b, "when")})
	}
	c.book(inner, append(append(slices.Clone(phase), s.Phase...), s.Title), when)
}

func (c *compiler) step(sc *scope, s *runbook.Step, phase []string, when []condition) {
	u := &unit{step: s, scope: sc, when: when}
	u.ID, u.Title = sc.name(s.ID), s.Title
	u.Phase = append(slices.Clone(phase), s.Phase...)
	u.Hand = s.Do == nil && len(s.Verify) == 0
	if b := s.Do; b != nil {
		if b.When != "" {
			u.when = append(slices.Clone(when), condition{b.When, sc, attrPos(b, "when")})
		}
		u.Action = b.Action
		if b.Action == runbook.Choose {
			u.Hand = true
		} else if u.do = c.bind(b, sc); u.do != nil {
			u.Effect = string(strongest(u.do.action.Effect, action.Effect(b.Effect)))
			if b.Action == runbook.Shell && b.Effect != "" {
				u.Effect = b.Effect
			}
		}
	} else if len(s.Verify) > 0 {
		u.Effect = string(action.Read)
	}
	for _, b := range s.Verify {
		v := c.bind(b, sc)
		if v == nil {
			continue
		}
		c.onlyReads(b, v)
		u.verify = append(u.verify, v)
	}
	if s.Probe != nil {
		if u.probe = c.bind(s.Probe, sc); u.probe != nil {
			c.onlyReads(s.Probe, u.probe)
		}
	}
	if s.Undo != nil {
		u.undo = c.bind(s.Undo, sc)
	}
	c.program.units = append(c.program.units, u)
}

// onlyReads refuses a check or a probe that changes something: nobody is asked before
// it runs.
func (c *compiler) onlyReads(b *runbook.Block, v *bound) {
	writes := v.action.Effect != action.Read
	if b.Action == runbook.Shell {
		writes = b.Effect != "" && b.Effect != string(action.Read)
	}
	if writes {
		c.fail(b.Pos, "verify-writes", fmt.Sprintf("%s changes something and cannot be a %s", b.Action, b.Role), fmt.Sprintf("a %s block only reads", b.Role))
	}
}

// bind finds the action of a block and checks what is known of its arguments.
func (c *compiler) bind(b *runbook.Block, sc *scope) *bound {
	i := slices.IndexFunc(c.actions, func(a action.Action) bool { return a.Name == b.Action })
	if i < 0 {
		c.fail(b.Pos, "unknown-action", fmt.Sprintf("there is no action %q", b.Action), c.nearest(b.Action))
		return nil
	}
	bd := &bound{block: b, action: c.actions[i]}
	err := bd.action.CheckArgs(shellArgs(b, b.Args), func(v any) bool {
		text, ok := v.(string)
		return ok && strings.Contains(text, "${")
	})
	for _, err := range flatten(err) {
		var bad *action.ArgError
		if errors.As(err, &bad) {
			c.fail(argPos(b, bad.Name), "bad-argument", b.Action+": "+bad.Error(), bad.Fix)
		} else {
			c.fail(b.Pos, "bad-argument", b.Action+": "+err.Error(), "")
		}
	}
	return bd
}

// shellArgs turns a shell block into the arguments of the action "sh"; the arguments
// of other blocks stay what they are.
func shellArgs(b *runbook.Block, args map[string]any) map[string]any {
	if b.Action != runbook.Shell {
		return args
	}
	out := map[string]any{"script": b.Text}
	effect := b.Effect
	if effect == "" && b.Role != runbook.Do && b.Role != runbook.Undo {
		effect = string(action.Read)
	}
	if effect != "" {
		out["effect"] = effect
	}
	if b.Target != "" {
		out["target"] = b.Target
	}
	if b.Interactive {
		out["interactive"] = true
	}
	if b.Bash {
		out["shell"] = "bash"
	}
	return out
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// nearest suggests the actions of the same family, or the families.
func (c *compiler) nearest(name string) string {
	family, verb, _ := strings.Cut(name, ".")
	var same, all []string
	for _, a := range c.actions {
		f, v, _ := strings.Cut(a.Name, ".")
		if f == family || (verb != "" && v == verb) {
			same = append(same, a.Name)
		}
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	if len(same) > 0 {
		return "there are " + strings.Join(same, ", ")
	}
	return "the families are " + strings.Join(all, ", ") + "; lifeboat actions lists them all"
}

// strongest of two effects; an empty one counts as none.
func strongest(a, b action.Effect) action.Effect {
	rank := map[action.Effect]int{"": 0, action.Read: 1, action.Write: 2, action.Destroy: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}
