package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const retentionDoc = `Shows what the retention of the estate keeps of an asset, or of all of them, and what it
would give up, and why. It changes nothing.

` + "```vault.retention" + `
asset: monorepo
` + "```" + `
`

const pruneDoc = `Gives up the restore points that the retention of the estate does not keep, and what attempts
that never became a point left behind. Calendar boundaries are those of UTC; only points
that were proven to restore count; the newest proven point, and all that a kept point
needs, always stay. While a verification is failing or the newest backup is late nothing
is given up at all. What an object lock still holds is retained, and goes another time.

` + "```vault.prune" + `
asset: monorepo
` + "```" + `

It destroys, so it asks for a token: how many points of how many, as in "3-of-40". Where
nobody is there to ask, ` + "`lifeboat vault prune --apply`" + ` does the same.
`

type retentionParams struct {
	Asset string `param:"asset" help:"the asset; all assets when left out"`
}

func (d Deps) retention() action.Action {
	return action.New(action.Def[retentionParams]{
		Name: "vault.retention", Summary: "Show what the retention keeps and gives up", Doc: retentionDoc,
		Effect: action.Read, Repeat: action.Safe,
		Plan: func(ctx context.Context, _ *action.Env, p retentionParams) (action.Plan, error) {
			v, err := d.Vault(ctx)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{
				Summary: "works out what the retention keeps in " + v.String(), Target: v.String(), Stop: "Yes: it only reads.",
			}, nil
		},
		Run: func(ctx context.Context, env *action.Env, p retentionParams, _ action.Plan) (action.Result, error) {
			plans, err := d.plans(ctx, env, p)
			if err != nil {
				return action.Result{}, err
			}
			var res action.Result
			all, gone := 0, 0
			for _, pl := range plans {
				all, gone = all+len(pl.Keep)+len(pl.Remove), gone+len(pl.Remove)
				for _, k := range pl.Keep {
					env.Printf("%s: keeps %s: %s", pl.Asset, k.Point, strings.Join(k.Reasons, ", "))
				}
				for _, id := range pl.Remove {
					env.Printf("%s: gives up %s", pl.Asset, id)
				}
				c := action.Check{Text: "retention of " + pl.Asset, OK: pl.Frozen == "", Evidence: planWords(pl)}
				env.Printf("%s: %s", pl.Asset, c.Evidence)
				res.Checks = append(res.Checks, c)
			}
			res.Evidence = fmt.Sprintf("%d of %s would be given up", gone, printable.Count(all, "point"))
			res.Outputs = map[string]any{"points": int64(all), "remove": int64(gone)}
			return res, nil
		},
	})
}

func (d Deps) prune() action.Action {
	return action.New(action.Def[retentionParams]{
		Name: "vault.prune", Summary: "Give up what the retention does not keep", Doc: pruneDoc,
		Effect: action.Destroy, Repeat: action.Safe,
		Plan: d.planPrune, Run: d.runPrune,
	})
}

func (d Deps) pruneOptions(env *action.Env, a Protected) vault.PruneOptions {
	return vault.PruneOptions{Keep: d.Retention(), RPO: a.RPO, Now: env.Now, Log: env.Log, Progress: env.Progress}
}

// plans works out the retention of the chosen assets, in the order of their names.
func (d Deps) plans(ctx context.Context, env *action.Env, p retentionParams) ([]vault.PrunePlan, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return nil, err
	}
	names, err := d.chosen(verifyParams{Asset: p.Asset})
	if err != nil {
		return nil, err
	}
	var out []vault.PrunePlan
	for _, name := range names {
		a, err := d.Asset(name, "")
		if err != nil {
			return nil, err
		}
		plan, err := v.PlanPrune(ctx, vault.AssetID(a.Asset), d.pruneOptions(env, a))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, plan)
	}
	return out, nil
}

func planWords(p vault.PrunePlan) string {
	if p.Frozen != "" {
		return "frozen, nothing is given up: " + p.Frozen
	}
	text := fmt.Sprintf("keeps %s, gives up %d", printable.Count(len(p.Keep), "point"), len(p.Remove))
	if len(p.Orphans) > 0 {
		text += " and " + printable.Count(len(p.Orphans), "left-over object")
	}
	if p.Bytes > 0 {
		text += ", which frees " + printable.Size(p.Bytes)
	}
	return text
}

func (d Deps) planPrune(ctx context.Context, env *action.Env, p retentionParams) (action.Plan, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Plan{}, err
	}
	if err := env.Allowed(v.String()); err != nil {
		return action.Plan{}, err
	}
	plans, err := d.plans(ctx, env, p)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: v.String(), Facts: map[string]string{},
		Stop: "Yes: each point is given up whole or not at all, and the next time goes on.",
		Back: "none: what is given up is gone, unless the bucket keeps versions",
	}
	all, gone, left := 0, 0, 0
	for _, pl := range plans {
		all, gone, left = all+len(pl.Keep)+len(pl.Remove), gone+len(pl.Remove), left+len(pl.Orphans)
		out.Lines = append(out.Lines, action.Line{Label: pl.Asset, Text: planWords(pl)})
		out.Facts[pl.Asset] = digest(pl)
	}
	out.Summary = fmt.Sprintf("gives up %d of %s in %s", gone, printable.Count(all, "point"), v)
	out.Token = fmt.Sprintf("%d-of-%d", gone, all)
	if gone == 0 && left == 0 {
		out.Summary, out.Nothing, out.Effect = "gives up nothing: everything is kept", true, action.Read
	}
	return out, nil
}

// digest binds an approval to exactly these points.
func digest(p vault.PrunePlan) string {
	return strings.Join(slices.Concat(p.Remove, p.Orphans), " ")
}

func (d Deps) runPrune(ctx context.Context, env *action.Env, p retentionParams, plan action.Plan) (res action.Result, err error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return res, err
	}
	if err := env.Allowed(v.String()); err != nil {
		return res, err
	}
	release, err := d.Hold(ctx)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, release()) }()
	names, err := d.chosen(verifyParams{Asset: p.Asset})
	if err != nil {
		return res, err
	}
	var total vault.Pruned
	for _, name := range names {
		a, err := d.Asset(name, "")
		if err != nil {
			return res, err
		}
		o := d.pruneOptions(env, a)
		now, err := v.PlanPrune(ctx, vault.AssetID(a.Asset), o)
		if err != nil {
			return res, fmt.Errorf("%s: %w", name, err)
		}
		if digest(now) != plan.Facts[now.Asset] {
			return res, hint.Wrap(fmt.Errorf("%w: the points of %s are not those that were shown", action.ErrChanged, name), "look at the new plan")
		}
		if now.Frozen != "" {
			d.alert(ctx, env, Alert{Event: PruneFrozen, Asset: name, Vault: v.String(), Text: now.Frozen})
		}
		done, err := v.Prune(ctx, now, o)
		total.Points += done.Points
		total.Objects += done.Objects
		total.Bytes += done.Bytes
		total.Retained = append(total.Retained, done.Retained...)
		if err != nil {
			return res, fmt.Errorf("%s: %w", name, err)
		}
		env.Printf("%s: %s", name, planWords(now))
		res.Checks = append(res.Checks, action.Check{Text: "retention of " + name, OK: now.Frozen == "", Evidence: planWords(now)})
	}
	res.Evidence = fmt.Sprintf("%s given up, %s freed", printable.Count(total.Points, "point"), printable.Size(total.Bytes))
	if len(total.Retained) > 0 {
		res.Evidence += fmt.Sprintf(", %s still locked", printable.Count(len(total.Retained), "object"))
	}
	res.Outputs = map[string]any{"points": int64(total.Points), "objects": int64(total.Objects), "bytes": total.Bytes, "locked": int64(len(total.Retained))}
	return res, nil
}
