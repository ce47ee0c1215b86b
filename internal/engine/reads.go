package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// reads tells what a value of a scope goes by: parameters of the run, and steps that have
// saved something.
type reads struct {
	param func(name string)
	saved func(u *unit)
}

// in follows the references of a value of a runbook.
func (r reads) in(e *Engine, sc *scope, v any) {
	_, _ = runbook.Expand(v, func(name string) (any, bool) { // only what it asks for counts
		first, _, dotted := strings.Cut(name, ".")
		if dotted {
			e.savers(sc, first, r.saved)
		} else {
			r.name(e, sc, first)
		}
		return "", true
	})
}

func (r reads) name(e *Engine, sc *scope, param string) {
	if sc.parent == nil {
		r.param(param)
	} else {
		r.in(e, sc.parent, sc.args[param])
	}
}

// block follows all that a block goes by. A script names parameters, and fields of what was
// saved as name_field.
func (r reads) block(e *Engine, sc *scope, b *bound) {
	r.in(e, sc, b.block.Args)
	r.in(e, sc, b.block.Target)
	if b.block.Action != runbook.Shell {
		return
	}
	for _, v := range action.Variables(b.block.Text) {
		if slices.ContainsFunc(sc.book.Params(), func(p runbook.Param) bool { return p.Name == v }) {
			r.name(e, sc, v)
			continue
		}
		for at := len(v) - 1; at > 0; at-- { // the longest name that was saved
			if found := false; v[at] == '_' {
				e.savers(sc, v[:at], func(u *unit) { found = true; r.saved(u) })
				if found {
					break
				}
			}
		}
	}
}

// savers gives the steps that save under a name of the scope, those of a runbook that is
// included under it among them.
func (e *Engine) savers(sc *scope, name string, give func(*unit)) {
	for _, u := range e.program.units {
		b := u.step.Do
		if b != nil && b.Save != "" && (u.scope == sc && b.Save == name || u.scope.parent == sc && u.scope.save == name) {
			give(u)
		}
	}
}

// givenFor lists the parameters of the run that v of a step leads to, itself or through what
// earlier steps have saved; with b, also those that its script names.
func (e *Engine) givenFor(u *unit, v any, b *bound) []string {
	seen, been := map[string]bool{}, map[*unit]bool{u: true}
	r := reads{param: func(name string) { seen[name] = true }}
	r.saved = func(u *unit) {
		if u.do != nil && !been[u] {
			been[u] = true
			r.block(e, u.scope, u.do)
		}
	}
	r.in(e, u.scope, v)
	if b != nil {
		r.block(e, u.scope, b)
	}
	var out []string
	for _, p := range e.program.Book.Params() {
		if seen[p.Name] && !p.Secret {
			out = append(out, p.Name)
		}
	}
	return out
}

// goesBy lists the parameters of the run that the work of a step goes by, but for the asset.
func (e *Engine) goesBy(u *unit) []string {
	if u.do == nil {
		return nil
	}
	return slices.DeleteFunc(e.givenFor(u, nil, u.do), func(name string) bool { return name == runbook.AssetParam })
}

// blame lists the parameters of the run that a failure lies with: another value may help, and
// the same one cannot. A run keeps its parameters, as the steps before have gone by them.
func (e *Engine) blame(u *unit, b *bound, err error) []string {
	var out []string
	for _, arg := range hint.Blamed(err) {
		for _, name := range e.givenFor(u, b.block.Args[arg], nil) {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// gone finds a step that was undone and whose result this one needs: what it had saved went
// with its effect.
func (e *Engine) gone(u *unit) (found *unit) {
	r := reads{param: func(string) {}, saved: func(o *unit) {
		if e.view().Step(o.ID).State == run.Undone && e.view().Vars[o.scope.id][o.step.Do.Save] == nil && found == nil {
			found = o
		}
	}}
	for _, c := range u.when {
		for _, name := range runbook.Named(c.text) {
			e.savers(c.scope, name, r.saved)
		}
	}
	for _, it := range u.step.Items {
		r.in(e, u.scope, it.Expect) // the text only tells, and can say that it is not known
	}
	for _, b := range append([]*bound{u.do}, u.verify...) {
		if b != nil {
			r.block(e, u.scope, b)
		}
	}
	return found
}

var errGone = errors.New("a step that it needs was undone")

// needs refuses a step that would go by what an undone step had saved: nothing says any more
// what that was, and a condition on it would be false without a word.
func (e *Engine) needs(u *unit) error {
	o := e.gone(u)
	if o == nil {
		return nil
	}
	return hint.Wrapf(fmt.Errorf("%w: %q, whose result %s this step goes by", errGone, o.Title, o.step.Do.Save),
		"do step %d again first, or leave this one out", e.position(o))
}
