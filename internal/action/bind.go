package action

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
)

// ErrChanged is what Run returns when its target is no longer as the plan says. The
// effect has not happened; the engine plans and asks again.
var ErrChanged = errors.New("the target has changed since the plan was made")

// ErrRefused is what Plan and Run return for a target that the fence or the state of
// the target forbids. Nothing has happened.
var ErrRefused = errors.New("refused")

// ErrCheck marks the failure of a verification: the action worked, and what it looked
// at is not as it should be.
var ErrCheck = errors.New("check failed")

// ErrUnclear is what Run returns when the effect may or may not have happened: a lost
// response, a killed remote command. The step becomes in doubt.
var ErrUnclear = errors.New("it is not known whether this happened")

// ErrGiven marks a failure that lies in the values that a step was given: with the same
// ones it fails again. See [Given].
var ErrGiven = errors.New("it fails again with the same values")

// Given marks err with [ErrGiven] and leaves its text as it is.
func Given(err error) error {
	if err == nil {
		return nil
	}
	return given{err}
}

type given struct{ error }

func (g given) Unwrap() error      { return g.error }
func (given) Is(target error) bool { return target == ErrGiven }

// ArgError is a bad argument. Name is the key in the block, so that the caller can
// point at its line.
type ArgError struct {
	Name string
	Msg  string
	Fix  string
}

func (e *ArgError) Error() string { return fmt.Sprintf("%s: %s", e.Name, e.Msg) }

// Blamed is for [hint.Blamed].
func (e *ArgError) Blamed() []string { return []string{e.Name} }

// New erases the type of def's parameters. A mistake in the definition itself is
// reported by [Validate], not here.
func New[P any](def Def[P]) Action {
	a := Action{
		Name: def.Name, Summary: def.Summary, Doc: def.Doc, Effect: def.Effect, Repeat: def.Repeat,
		HasProbe: def.Probe != nil, HasUndo: def.Inverse != nil,
		typ: reflect.TypeFor[P](),
	}
	a.Params = params(a.typ)
	a.decode = func(args map[string]any) (any, error) {
		var p P
		if err := decode(a.Params, args, reflect.ValueOf(&p).Elem(), nil); err != nil {
			return nil, err
		}
		if def.Check != nil {
			if err := def.Check(p); err != nil {
				return nil, err
			}
		}
		return p, nil
	}
	if def.Plan != nil {
		a.plan = func(ctx context.Context, env *Env, p any) (Plan, error) { return def.Plan(ctx, env, p.(P)) }
	}
	if def.Run != nil {
		a.run = func(ctx context.Context, env *Env, p any, plan Plan) (Result, error) {
			return def.Run(ctx, env, p.(P), plan)
		}
	}
	if def.Probe != nil {
		a.probe = func(ctx context.Context, env *Env, p any, plan Plan) (Probe, error) {
			return def.Probe(ctx, env, p.(P), plan)
		}
	}
	if inv := def.Inverse; inv != nil {
		a.undo.Plan = func(ctx context.Context, env *Env, p any, plan Plan, r Result) (Plan, error) {
			return inv.Plan(ctx, env, p.(P), plan, r)
		}
		a.undo.Run = func(ctx context.Context, env *Env, p any, undo, plan Plan, r Result) (Result, error) {
			return inv.Run(ctx, env, p.(P), undo, plan, r)
		}
		if inv.Probe != nil {
			a.undo.Probe = func(ctx context.Context, env *Env, p any, undo, plan Plan, r Result) (Probe, error) {
				return inv.Probe(ctx, env, p.(P), undo, plan, r)
			}
		}
	}
	return a
}

// Around gives the action with f in the place of its effect; run has it. The test of a
// runbook's test takes an effect away so, to see whether anything notices.
func (a Action) Around(f func(ctx context.Context, env *Env, plan Plan, run func() (Result, error)) (Result, error)) Action {
	inner := a.run
	a.run = func(ctx context.Context, env *Env, p any, plan Plan) (Result, error) {
		return f(ctx, env, plan, func() (Result, error) { return inner(ctx, env, p, plan) })
	}
	return a
}

// AroundPlan gives the action with f in the place of its look at the target, before its
// effect and before its inverse; plan has it. f may look twice.
func (a Action) AroundPlan(f func(env *Env, plan func() (Plan, error)) (Plan, error)) Action {
	if inner := a.plan; inner != nil {
		a.plan = func(ctx context.Context, env *Env, p any) (Plan, error) {
			return f(env, func() (Plan, error) { return inner(ctx, env, p) })
		}
	}
	if inner := a.undo.Plan; inner != nil {
		a.undo.Plan = func(ctx context.Context, env *Env, p any, plan Plan, r Result) (Plan, error) {
			return f(env, func() (Plan, error) { return inner(ctx, env, p, plan, r) })
		}
	}
	return a
}

// Call is an action with decoded arguments.
type Call struct {
	Action Action
	args   any
}

// Bind decodes the arguments of a block. Errors are *[ArgError], joined.
func (a Action) Bind(args map[string]any) (Call, error) {
	p, err := a.decode(args)
	if err != nil {
		return Call{}, err
	}
	return Call{Action: a, args: p}, nil
}

// Plan reads the target. It never changes anything.
func (c Call) Plan(ctx context.Context, env *Env) (Plan, error) {
	if c.Action.plan == nil {
		return Plan{Summary: c.Action.Summary, Effect: c.Action.Effect}, nil
	}
	p, err := c.Action.plan(ctx, env, c.args)
	if p.Effect == "" {
		p.Effect = c.Action.Effect
	}
	return p, err
}

// Run has the effect.
func (c Call) Run(ctx context.Context, env *Env, plan Plan) (Result, error) {
	return c.Action.run(ctx, env, c.args, plan)
}

// Probe looks whether the effect happened. Without a probe the finding is Unknown.
func (c Call) Probe(ctx context.Context, env *Env, plan Plan) (Probe, error) {
	if c.Action.probe == nil {
		return Probe{Finding: Unknown, Means: "this action cannot tell; look at the target yourself"}, nil
	}
	return c.Action.probe(ctx, env, c.args, plan)
}

// PlanUndo reads the target and says what the inverse would do.
func (c Call) PlanUndo(ctx context.Context, env *Env, plan Plan, r Result) (Plan, error) {
	p, err := c.Action.undo.Plan(ctx, env, c.args, plan, r)
	if p.Effect == "" {
		p.Effect = c.Action.Effect
	}
	return p, err
}

// RunUndo runs the inverse.
func (c Call) RunUndo(ctx context.Context, env *Env, undo, plan Plan, r Result) (Result, error) {
	return c.Action.undo.Run(ctx, env, c.args, undo, plan, r)
}

// ProbeUndo looks whether the inverse happened.
func (c Call) ProbeUndo(ctx context.Context, env *Env, undo, plan Plan, r Result) (Probe, error) {
	if c.Action.undo.Probe == nil {
		return Probe{Finding: Unknown, Means: "this action cannot tell; look at the target yourself"}, nil
	}
	return c.Action.undo.Probe(ctx, env, c.args, undo, plan, r)
}

// Display gives the arguments as text for screens and the journal, secrets masked.
func (c Call) Display() map[string]string {
	out := map[string]string{}
	v := reflect.ValueOf(c.args)
	if v.Kind() != reflect.Struct {
		return out
	}
	for _, p := range c.Action.Params {
		f := v.Field(p.index)
		if !f.IsZero() {
			out[p.Name] = fmt.Sprint(f.Interface())
		}
	}
	return out
}

var (
	secretType   = reflect.TypeFor[secret.String]()
	durationType = reflect.TypeFor[time.Duration]()
)

// params reads the tags of a parameter struct, in field order.
func params(t reflect.Type) []Param {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var out []Param
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("param"), ",")
		p := Param{
			Name: name, Help: f.Tag.Get("help"), Default: f.Tag.Get("default"),
			Required: opts == "required", Secret: f.Type == secretType, Type: typeName(f.Type), index: i,
		}
		if e := f.Tag.Get("enum"); e != "" {
			p.Enum = strings.Split(e, ",")
		}
		out = append(out, p)
	}
	return out
}

func typeName(t reflect.Type) string {
	switch {
	case t == secretType:
		return "secret"
	case t == durationType:
		return "duration"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return "number"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "list"
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.String:
		return "map"
	case t.Kind() == reflect.String:
		return "text"
	}
	return ""
}

// CheckArgs checks arguments before their values are all known: names, required ones,
// and the type of each value that open does not call open. Errors as of [Action.Bind].
func (a Action) CheckArgs(args map[string]any, open func(value any) bool) error {
	return decode(a.Params, args, reflect.New(a.typ).Elem(), open)
}

// decode fills v from args, leaving out values that are still open. It reports every
// bad argument, not only the first.
func decode(params []Param, args map[string]any, v reflect.Value, open func(any) bool) error {
	var errs []error
	for name := range args {
		if !slices.ContainsFunc(params, func(p Param) bool { return p.Name == name }) {
			errs = append(errs, &ArgError{Name: name, Msg: "there is no such argument", Fix: suggest(name, params)})
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	for _, p := range params {
		val, given := args[p.Name]
		if !given || val == nil {
			if p.Required {
				errs = append(errs, &ArgError{Name: p.Name, Msg: "is required: " + p.Help, Fix: "add \"" + p.Name + ": …\" to the block"})
				continue
			}
			if p.Default == "" {
				continue
			}
			val = p.Default
		}
		if open != nil && open(val) {
			continue
		}
		if err := set(v.Field(p.index), p, val); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func suggest(name string, params []Param) string {
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.Name
	}
	if near := hint.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "it takes " + strings.Join(names, ", ")
}

func set(f reflect.Value, p Param, val any) error {
	bad := func(want string) error {
		return &ArgError{Name: p.Name, Msg: fmt.Sprintf("%q is not %s", fmt.Sprint(val), want), Fix: p.Help}
	}
	if p.Secret {
		if s, ok := val.(secret.String); ok {
			f.Set(reflect.ValueOf(s))
			return nil
		}
		text, ok := scalar(val)
		if !ok {
			return &ArgError{Name: p.Name, Msg: "is not text"}
		}
		f.Set(reflect.ValueOf(secret.New(text)))
		return nil
	}
	switch p.Type {
	case "list":
		list, ok := stringList(val)
		if !ok {
			return bad("a list")
		}
		f.Set(reflect.ValueOf(list))
		return nil
	case "map":
		m, ok := val.(map[string]any)
		if !ok {
			return bad("a map")
		}
		out := map[string]string{}
		for k, e := range m {
			text, ok := scalar(e)
			if !ok {
				return bad("a map of text")
			}
			out[k] = text
		}
		f.Set(reflect.ValueOf(out))
		return nil
	}
	text, ok := scalar(val)
	if !ok {
		return bad("a single value")
	}
	switch p.Type {
	case "true or false":
		b, err := strconv.ParseBool(text)
		if err != nil {
			return bad("true or false")
		}
		f.SetBool(b)
	case "number":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || f.OverflowInt(n) {
			return bad("a whole number")
		}
		f.SetInt(n)
	case "duration":
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return bad(`a duration such as "90s", "5m" or "24h"`)
		}
		f.SetInt(int64(d))
	default:
		if len(p.Enum) > 0 && !slices.Contains(p.Enum, text) {
			return bad("one of " + strings.Join(p.Enum, ", "))
		}
		if p.Required && text == "" {
			return &ArgError{Name: p.Name, Msg: "is empty: " + p.Help}
		}
		f.SetString(text)
	}
	return nil
}

// scalar gives the text of a YAML or JSON scalar.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case int, int64, uint64, uint, int32:
		return fmt.Sprint(v), true
	case time.Time:
		return v.UTC().Format(time.RFC3339), true
	}
	return "", false
}

func stringList(v any) ([]string, bool) {
	switch v := v.(type) {
	case []string:
		return v, true
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			text, ok := scalar(e)
			if !ok {
				return nil, false
			}
			out = append(out, text)
		}
		return out, true
	}
	if text, ok := scalar(v); ok {
		return []string{text}, true
	}
	return nil, false
}

// Validate is the policy for definitions: every action has a name of the right form,
// a summary, a document with an example, a plan unless it only reads, tagged fields
// with help, and a probe when it must not run twice.
func Validate(actions []Action) error {
	var errs []error
	seen := map[string]bool{}
	for _, a := range actions {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("action %q: %s", a.Name, fmt.Sprintf(format, args...)))
		}
		if a.Name == "" || strings.ToLower(a.Name) != a.Name || strings.ContainsAny(a.Name, " /_") {
			bad("name must be lower case, of the form family.verb")
		}
		if seen[a.Name] {
			bad("defined twice")
		}
		seen[a.Name] = true
		if a.Summary == "" || strings.HasSuffix(a.Summary, ".") {
			bad("needs a summary without a full stop")
		}
		if !strings.Contains(a.Doc, "```"+a.Name) {
			bad("Doc needs an example fence that begins ```%s", a.Name)
		}
		if !slices.Contains([]Effect{Read, Write, Destroy}, a.Effect) {
			bad("effect %q", a.Effect)
		}
		if a.Repeat != Safe && a.Repeat != Once {
			bad("repeat %q", a.Repeat)
		}
		if a.run == nil {
			bad("has no Run")
		}
		if a.Effect != Read && a.plan == nil {
			bad("changes something and has no Plan")
		}
		if a.Repeat == Once && !a.HasProbe {
			bad("must not run twice and has no Probe")
		}
		if a.typ == nil || a.typ.Kind() != reflect.Struct {
			bad("parameters are no struct")
			continue
		}
		for _, p := range a.Params {
			if p.Name == "" || p.Help == "" || p.Type == "" {
				bad("parameter %q needs a param tag, help and a known type", p.Name)
			}
		}
	}
	return errors.Join(errs...)
}
