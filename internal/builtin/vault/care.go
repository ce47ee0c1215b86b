package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/alert"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const copyDoc = `Copies what is new in the vault into the other vaults of the estate, its ` + "`copies:`" + `, byte for
byte: a point is there when its manifest is, which comes last. It needs no key: what is
encrypted stays so. A copy that was interrupted goes on where it was.

` + "```vault.copy" + `
asset: monorepo
` + "```" + `
`

const doctorDoc = `Finds out what the bucket really does, which is not always what its page of settings says:
whether it can be read and written, whether it refuses to overwrite, keeps versions, locks
objects and for how long, and whether the keys of the backups were ever tried. It writes
one small object of its own under v1/doctor/.

` + "```vault.doctor" + `
` + "```" + `

It fails when something endangers the backups; what is only unwise is a warning.
`

type copyParams struct {
	Asset string `param:"asset" help:"the asset to copy; all assets when left out"`
	Since string `param:"since" help:"only points from this time on: 7d, or 2026-11-01"`
}

type noParams struct{}

func (d Deps) copy() action.Action {
	return action.New(action.Def[copyParams]{
		Name: "vault.copy", Summary: "Copy backups into the other vaults", Doc: copyDoc,
		Effect: action.Write, Repeat: action.Safe,
		Check: func(p copyParams) error {
			if p.Since == "" {
				return nil
			}
			if _, err := vault.ParseTime(p.Since, time.Time{}); err != nil {
				return &action.ArgError{Name: "since", Msg: err.Error(), Fix: `write it like "7d" or "2026-11-01"`}
			}
			return nil
		},
		Plan: d.planCopy, Run: d.runCopy,
	})
}

func closeAll(list []*vault.Vault) error {
	var errs []error
	for _, v := range list {
		errs = append(errs, v.Close())
	}
	return errors.Join(errs...)
}

// others opens the other vaults, if the fence allows all of them. One that cannot be
// opened does not keep the others from their copies: broken says which, and list has the
// rest. The caller closes them, unless there is err.
func (d Deps) others(ctx context.Context, env *action.Env) (list []*vault.Vault, broken, err error) {
	list, broken = d.Copies(ctx)
	for _, c := range list {
		if err := env.Allowed(c.String()); err != nil {
			return nil, nil, errors.Join(err, closeAll(list))
		}
	}
	return list, broken, nil
}

// pairs opens what is copied from and to: the vault with the assets that are meant, and the
// [Deps.others].
func (d Deps) pairs(ctx context.Context, env *action.Env, asset string) (v *vault.Vault, names []string, copies []*vault.Vault, broken, err error) {
	if v, err = d.Vault(ctx); err != nil {
		return nil, nil, nil, nil, err
	}
	if names, err = d.held(ctx, v, asset); err != nil {
		return nil, nil, nil, nil, err
	}
	copies, broken, err = d.others(ctx, env)
	return v, names, copies, broken, err
}

func (d Deps) planCopy(ctx context.Context, env *action.Env, p copyParams) (plan action.Plan, err error) {
	v, names, copies, broken, err := d.pairs(ctx, env, p.Asset)
	if err != nil {
		return plan, err
	}
	defer func() { err = errors.Join(err, closeAll(copies)) }()
	var urls []string
	plan = action.Plan{
		Target: v.String(), Stop: "Yes: a point that is not whole is not listed, and the next copy goes on.",
		Lines: []action.Line{{Label: "reads", Text: v.String()}},
	}
	for _, c := range copies {
		urls = append(urls, c.String())
		plan.Lines = append(plan.Lines, action.Line{Label: "writes to", Text: c.String()})
	}
	if broken != nil {
		plan.Lines = append(plan.Lines, action.Line{Label: "not reached", Text: flat(broken)})
	}
	plan.Summary = fmt.Sprintf("copies what is new of %s into %s", printable.Line(strings.Join(names, ", ")), printable.Count(len(copies), "other vault"))
	if len(urls) > 0 {
		plan.Target = strings.Join(urls, " ")
	}
	if len(copies) == 0 && broken == nil {
		plan.Summary, plan.Nothing, plan.Effect = "copies nothing: the estate names no other vault", true, action.Read
	}
	return plan, nil
}

func (d Deps) runCopy(ctx context.Context, env *action.Env, p copyParams, _ action.Plan) (res action.Result, err error) {
	since := time.Time{}
	if p.Since != "" {
		if since, err = vault.ParseTime(p.Since, env.Now()); err != nil {
			return res, err
		}
	}
	v, names, copies, broken, err := d.pairs(ctx, env, p.Asset)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, closeAll(copies)) }()
	var errs []error
	if broken != nil {
		errs = append(errs, broken)
		res.Checks = append(res.Checks, action.Check{Text: "every other vault is reached", Evidence: broken.Error()})
		d.alert(ctx, env, alert.CopyFailed, "", v, broken)
	}
	var sum vault.Copied
	for _, to := range copies {
		for _, name := range names {
			done, err := d.copyAsset(ctx, env, v, to, name, since)
			sum.Objects += done.Objects
			sum.Bytes += done.Bytes
			c := action.Check{Text: fmt.Sprintf("%s is in %s", name, to), OK: err == nil,
				Evidence: fmt.Sprintf("%s, %s copied", printable.Count(done.Objects, "object"), printable.Size(done.Bytes))}
			if err != nil {
				c.Evidence = err.Error()
				errs = append(errs, fmt.Errorf("%s: copy to %s: %w", name, to, err))
				d.alert(ctx, env, alert.CopyFailed, name, to, err)
			}
			env.Printf("%s: %s", c.Text, c.Evidence)
			res.Checks = append(res.Checks, c)
		}
	}
	res.Evidence = fmt.Sprintf("%s, %s copied into %s", printable.Count(sum.Objects, "object"), printable.Size(sum.Bytes), printable.Count(len(copies), "other vault"))
	res.Outputs = map[string]any{"objects": int64(sum.Objects), "bytes": sum.Bytes, "failed": int64(len(errs))}
	return res, errors.Join(errs...)
}

// copyAsset copies the points of one asset, oldest first, so that a chain is never
// without its beginning.
func (d Deps) copyAsset(ctx context.Context, env *action.Env, from, to *vault.Vault, name string, since time.Time) (vault.Copied, error) {
	var sum vault.Copied
	a, err := d.Asset(name, "")
	if err != nil {
		return sum, err
	}
	list, err := from.List(ctx, vault.AssetID(a.Asset), since)
	if err != nil && len(list) == 0 {
		return sum, err
	}
	errs := []error{err}
	for i := len(list) - 1; i >= 0; i-- {
		done, err := from.Copy(ctx, list[i], to, vault.CopyOptions{Progress: env.Progress, Log: env.Log})
		sum.Objects += done.Objects
		sum.Bytes += done.Bytes
		if err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break
			}
		}
	}
	return sum, errors.Join(errs...)
}

func (d Deps) doctor() action.Action {
	return action.New(action.Def[noParams]{
		Name: "vault.doctor", Summary: "Find out what the bucket really enforces", Doc: doctorDoc,
		Effect: action.Read, Repeat: action.Safe,
		Plan: func(ctx context.Context, env *action.Env, _ noParams) (action.Plan, error) {
			v, err := d.writable(ctx, env)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{
				Summary: "looks what " + v.String() + " really enforces", Target: v.String(),
				Lines: []action.Line{{Label: "writes", Text: "one small object of its own, under v1/doctor/"}},
				Stop:  "Yes.",
			}, nil
		},
		Run: d.runDoctor,
	})
}

func (d Deps) runDoctor(ctx context.Context, env *action.Env, _ noParams, _ action.Plan) (action.Result, error) {
	v, err := d.writable(ctx, env)
	if err != nil {
		return action.Result{}, err
	}
	if env.Dry { // looking means to write
		return action.Result{Evidence: "not examined: a dry run writes nothing", Outputs: map[string]any{"problems": int64(0), "warnings": int64(0)}}, nil
	}
	list, err := v.Doctor(ctx)
	if err != nil {
		return action.Result{}, err
	}
	var res action.Result
	var problems []error
	warnings := 0
	for _, f := range list {
		text := f.Text
		if f.Advice != "" {
			text += " (" + f.Advice + ")"
		}
		env.Printf("%s: %s", f.Severity, text)
		res.Checks = append(res.Checks, action.Check{Text: f.Code, OK: f.Severity != vault.FindingProblem, Evidence: f.Text})
		switch f.Severity {
		case vault.FindingProblem:
			problem := errors.New(f.Text)
			if f.Advice != "" {
				problem = hint.Wrap(problem, f.Advice)
			}
			problems = append(problems, problem)
			d.alert(ctx, env, alert.VaultProblem, "", v, problem)
		case vault.FindingWarning:
			warnings++
		}
	}
	res.Evidence = fmt.Sprintf("%s, %s", printable.Count(len(problems), "problem"), printable.Count(warnings, "warning"))
	res.Outputs = map[string]any{"problems": int64(len(problems)), "warnings": int64(warnings)}
	if len(problems) > 0 {
		return res, fmt.Errorf("%w: %w", action.ErrCheck, errors.Join(problems...))
	}
	return res, nil
}
