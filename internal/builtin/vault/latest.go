package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/alert"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const latestDoc = `Reads which backup of an asset is the newest, and how old it is. The age counts from the
moment to which the backup holds everything, not from the end of its upload. With max_age
the step fails when the backup is older, so that a recovery does not begin on a stale one.
Without asset it looks at all of them and names each that has none, or none fresh enough.
A backup dated in the future, by a clock that was ahead, is named and fails the step; the
newest is then the newest of the others.

` + "```vault.latest save=newest" + `
asset: monorepo
max_age: 24h
` + "```" + `

Later steps use ` + "`${newest.point}`, `${newest.cut}`, `${newest.age_seconds}` and `${newest.kind}`" + `.
`

type latestParams struct {
	Asset  string        `param:"asset" help:"the asset whose newest backup is wanted; all assets when left out"`
	MaxAge time.Duration `param:"max_age" help:"fail when the newest backup is older: 24h" unit:"duration"`
}

func (d Deps) newest() action.Action {
	return action.New(action.Def[latestParams]{
		Name: "vault.latest", Summary: "Find the newest backup of an asset", Doc: latestDoc,
		Effect: action.Read, Repeat: action.Safe,
		Plan: d.planLatest, Run: d.latest,
	})
}

func (d Deps) planLatest(ctx context.Context, _ *action.Env, p latestParams) (action.Plan, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	if p.Asset == "" {
		return action.Plan{
			Summary: fmt.Sprintf("looks for the newest backup of every asset in %s", v),
			Target:  v.String(), Stop: "Yes: it only reads.",
		}, nil
	}
	a, err := d.Asset(p.Asset, "")
	if err != nil {
		return action.Plan{}, err
	}
	return action.Plan{
		Summary: fmt.Sprintf("looks for the newest backup of %s in %s", p.Asset, v),
		Target:  v.String() + " " + vault.AssetID(a.Asset), Stop: "Yes: it only reads.",
	}, nil
}

// latestAll looks at every asset, also after one that has no backup: the person wants
// to know them all.
func (d Deps) latestAll(ctx context.Context, env *action.Env, p latestParams, plan action.Plan) (action.Result, error) {
	var (
		all  action.Result
		errs []error
		aged int64
	)
	names := d.Names()
	if len(names) == 0 {
		return all, hint.Wrap(fmt.Errorf("%w: the estate has no assets", action.ErrCheck), "add what should be protected to lifeboat.yaml")
	}
	for _, name := range names {
		p.Asset = name
		res, err := d.latest(ctx, env, p, plan)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		all.Checks = append(all.Checks, action.Check{Text: name + " has a backup", OK: true, Evidence: res.Evidence})
		aged = max(aged, res.Outputs["age_seconds"].(int64))
	}
	all.Outputs = map[string]any{"assets": int64(len(names)), "oldest_seconds": aged}
	all.Evidence = fmt.Sprintf("%d of %d assets have a backup, the oldest of them is %s old", len(names)-len(errs), len(names), round(time.Duration(aged)*time.Second))
	return all, errors.Join(errs...)
}

func (d Deps) latest(ctx context.Context, env *action.Env, p latestParams, plan action.Plan) (action.Result, error) {
	if p.Asset == "" {
		return d.latestAll(ctx, env, p, plan)
	}
	a, err := d.Asset(p.Asset, "")
	if err != nil {
		return action.Result{}, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Result{}, err
	}
	m, err := v.Latest(ctx, vault.AssetID(a.Asset))
	if err != nil {
		if unfit(err) {
			d.alert(ctx, env, alert.BackupLate, p.Asset, v, err)
			err = fmt.Errorf("%w: %w", action.ErrCheck, err)
		}
		return action.Result{}, err
	}
	age := env.Now().Sub(m.Cut)
	res := action.Result{
		Evidence: fmt.Sprintf("the newest backup of %s is %s old: %s, %s", p.Asset, round(age), m.Kind, m.ID),
		Outputs: map[string]any{
			"point": m.ID, "cut": m.Cut.UTC().Format(time.RFC3339), "age_seconds": int64(age / time.Second),
			"kind": m.Kind, "objects": int64(len(m.Chain)), "bytes": m.Size(),
		},
	}
	level, err := d.level(ctx, v, m)
	if err != nil {
		return res, err
	}
	res.Outputs["level"] = level
	env.Printf("%s, %d objects, %d bytes, proven: %s", res.Evidence, len(m.Chain), m.Size(), level)
	res, err = judge(res, p, m, age)
	if err == nil {
		res, err = d.ahead(ctx, env, v, p, m, res)
	}
	if err != nil {
		d.alert(ctx, env, alert.BackupLate, p.Asset, v, err)
	}
	return res, err
}

// ahead finds points that are dated in the future beside the newest, m. They stay listed
// for as long, and a clock that was wrong once may be wrong again.
func (d Deps) ahead(ctx context.Context, env *action.Env, v *vault.Vault, p latestParams, m vault.Manifest, res action.Result) (action.Result, error) {
	ids, err := v.Points(ctx, m.Asset, env.Now().Add(vault.Skew))
	if err != nil || len(ids) == 0 {
		return res, err
	}
	host := "the one that wrote it"
	if other, err := v.Get(ctx, m.Asset, ids[0]); err == nil && other.Host != "" {
		host = printable.Line(other.Host)
	}
	res.Checks = append(res.Checks, action.Check{Text: "dated in the past", Evidence: ids[0]})
	return res, hint.Wrap(fmt.Errorf("%w: %s of %q dated in the future, the furthest %s; the newest of the others is %s, %s old", action.ErrCheck,
		printable.Count(len(ids), "backup"), p.Asset, ids[0], m.ID, round(env.Now().Sub(m.Cut))),
		"compare the clock of this machine with that of "+host+"; restores, verifications and increments go by the others")
}

// judge compares the age of a backup with what is wanted.
func judge(res action.Result, p latestParams, m vault.Manifest, age time.Duration) (action.Result, error) {
	if age < -vault.Skew {
		res.Checks = []action.Check{{Text: "dated in the past", Evidence: m.ID}}
		return res, hint.Wrap(fmt.Errorf("%w: the newest backup of %q is dated %s in the future", action.ErrCheck, p.Asset, round(-age)),
			"compare the clock of this machine with that of "+m.Host)
	}
	if p.MaxAge == 0 {
		return res, nil
	}
	ok := age <= p.MaxAge
	res.Checks = []action.Check{{Text: "not older than " + printable.Span(p.MaxAge), OK: ok, Evidence: round(age) + " old"}}
	if !ok {
		return res, hint.Wrap(fmt.Errorf("%w: the newest backup of %q is %s old, wanted is at most %s", action.ErrCheck, p.Asset, round(age), printable.Span(p.MaxAge)),
			"make a new backup first, or decide that this one will do")
	}
	return res, nil
}
