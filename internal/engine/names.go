package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/secret"
)

// missing is the value of a name in a dry run that only an effect could give.
func missing(name string) string { return "<" + name + ">" }

// lookup resolves a name of scope sc: a parameter, or "saved.field". Values are those
// of the fold, so a resumed run sees exactly what the first one saw.
func (e *Engine) lookup(sc *scope, name string) (any, bool) {
	first, field, dotted := strings.Cut(name, ".")
	if !dotted {
		if v, ok := e.param(sc, first); ok {
			return v, true
		}
	}
	if v, ok := e.saved(sc)[first]; ok && dotted {
		m, _ := v.(map[string]any)
		if v, ok := m[field]; ok {
			return v, true
		}
	}
	if e.view().Started.Mode == run.Dry && dotted {
		return missing(name), true
	}
	return nil, false
}

// param gives a parameter of the scope. A secret is a secret.String.
func (e *Engine) param(sc *scope, name string) (any, bool) {
	i := slices.IndexFunc(sc.book.Params(), func(p runbook.Param) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	decl := sc.book.Params()[i]
	if sc.parent == nil {
		if decl.Secret {
			s, ok := e.secrets[name]
			return s, ok
		}
		v, ok := e.view().Started.Params[name]
		return v, ok
	}
	v, ok := sc.args[name]
	if !ok {
		return decl.Default, true
	}
	v, err := runbook.Expand(v, func(n string) (any, bool) { return e.lookup(sc.parent, n) })
	if err != nil {
		return nil, false
	}
	return v, true
}

// saved lists what steps of the scope have saved, and, under the save= name of each
// inclusion, what was saved inside it.
func (e *Engine) saved(sc *scope) map[string]any {
	out := maps.Clone(e.view().Vars[sc.id])
	if out == nil {
		out = map[string]any{}
	}
	seen := map[*scope]bool{}
	for _, u := range e.program.units {
		in := u.scope
		if in.parent != sc || in.save == "" || seen[in] {
			continue
		}
		seen[in] = true
		all := map[string]any{}
		for _, outputs := range e.view().Vars[in.id] {
			if m, ok := outputs.(map[string]any); ok {
				maps.Copy(all, m)
			}
		}
		out[in.save] = all
	}
	return out
}

// expand substitutes in the arguments of a block.
func (e *Engine) expand(u *unit, args map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(args))
	for _, k := range slices.Sorted(maps.Keys(args)) {
		v, err := runbook.Expand(args[k], func(n string) (any, bool) { return e.lookup(u.scope, n) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		out[k] = v
	}
	return out, nil
}

// lost says that what a step saved, and what goes by uses, is not known: nobody saw how it
// ended, and its probe could not tell either. Nothing goes on with an empty value in its place.
func (e *Engine) lost(sc *scope, uses func(name string) bool) error {
	saved := e.saved(sc)
	for i, o := range e.program.units {
		if o.scope != sc || o.step.Do == nil || o.step.Do.Save == "" || !uses(o.step.Do.Save) {
			continue
		}
		if _, ok := saved[o.step.Do.Save]; ok {
			continue
		}
		switch s := e.view().Steps[i]; {
		case s.State == run.Checking, s.State == run.Verified, s.State == run.Claimed, s.State == run.Overridden && len(s.Doubts) > 0:
			return hint.Wrap(fmt.Errorf("what step %q saves as %q is not known: its end was in doubt, and only a step that ends tells", o.ID, o.step.Do.Save),
				fmt.Sprintf("Do step %q again: undo it, or begin anew. Or do this step by hand and accept it.", o.Title))
		}
	}
	return nil
}

// uses says whether a block goes by what was saved under a name.
func uses(b *runbook.Block) func(name string) bool {
	text := fmt.Sprint(b.Args, b.Stop)
	return func(name string) bool {
		if b.Action == runbook.Shell && (strings.Contains(b.Text, "$"+name+"_") || strings.Contains(b.Text, "${"+name+"_")) {
			return true
		}
		return strings.Contains(text, "${"+name+".")
	}
}

// call resolves a block to a call.
func (e *Engine) call(u *unit, b *bound) (action.Call, error) {
	if err := e.lost(u.scope, uses(b.block)); err != nil {
		return action.Call{}, fmt.Errorf("%s: %w", b.block.Pos, err)
	}
	args := b.block.Args
	if b.block.Action == runbook.Shell {
		args = shellArgs(b.block, nil)
		if t, ok := args["target"].(string); ok {
			v, err := runbook.Expand(t, func(n string) (any, bool) { return e.lookup(u.scope, n) })
			if err != nil {
				return action.Call{}, fmt.Errorf("%s: target: %w", b.block.Pos, err)
			}
			args["target"] = v
		}
	} else {
		var err error
		if args, err = e.expand(u, args); err != nil {
			return action.Call{}, fmt.Errorf("%s: %w", b.block.Pos, err)
		}
	}
	c, err := b.action.Bind(args)
	if err != nil {
		return action.Call{}, advised(fmt.Errorf("%s: %s: %w", b.block.Pos, b.block.Action, err))
	}
	return c, nil
}

// advised gives an error of arguments the advice that each of them has.
func advised(err error) error {
	out := err
	for _, e := range flatten(errors.Unwrap(err)) {
		var bad *action.ArgError
		if errors.As(e, &bad) && bad.Fix != "" {
			out = hint.Wrap(out, bad.Fix)
		}
	}
	return out
}

// vars are the environment of a shell block: the parameters by name, saved results as
// name_field. Secrets are apart.
func (e *Engine) vars(sc *scope) (map[string]string, map[string]secret.String) {
	plain, hidden := map[string]string{}, map[string]secret.String{}
	for name, v := range e.saved(sc) {
		m, _ := v.(map[string]any)
		for field, v := range m {
			plain[name+"_"+field] = text(v)
		}
	}
	for _, p := range sc.book.Params() {
		switch v, ok := e.param(sc, p.Name); s := v.(type) {
		case secret.String:
			hidden[p.Name] = s
		default:
			if ok {
				plain[p.Name] = text(v)
			}
		}
	}
	return plain, hidden
}

func text(v any) string {
	switch v := v.(type) {
	case []string:
		return strings.Join(v, "\n")
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = text(v[i])
		}
		return strings.Join(parts, "\n")
	}
	return fmt.Sprint(v)
}

// holds evaluates the conditions of a step. The first that is false is named.
func (e *Engine) holds(u *unit) (ok bool, which string, err error) {
	for _, c := range u.when {
		if err := e.lost(c.scope, func(name string) bool { return strings.Contains(c.text, name+".") }); err != nil {
			return false, c.text, fmt.Errorf("%s: when %q: %w", c.pos, c.text, err)
		}
		env := map[string]any{"mode": string(e.view().Started.Mode)}
		for _, other := range e.program.units { // a save that did not happen is empty, not unknown
			if other.scope == c.scope && other.step.Do != nil && other.step.Do.Save != "" {
				env[other.step.Do.Save] = map[string]any{}
			}
		}
		maps.Copy(env, e.saved(c.scope))
		for _, p := range c.scope.book.Params() {
			if v, ok := e.param(c.scope, p.Name); ok && !p.Secret {
				env[p.Name] = v
			}
		}
		program, err := expr.Compile(c.text, expr.Env(env), expr.AsBool(), expr.AllowUndefinedVariables())
		if err != nil {
			return false, c.text, fmt.Errorf("%s: when %q: %s", c.pos, c.text, firstLine(err))
		}
		v, err := expr.Run(program, env)
		if err != nil {
			return false, c.text, fmt.Errorf("%s: when %q: %s", c.pos, c.text, firstLine(err))
		}
		if v != true {
			return false, c.text, nil
		}
	}
	return true, "", nil
}

// firstLine leaves out the drawing that the expression library puts under its messages.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
