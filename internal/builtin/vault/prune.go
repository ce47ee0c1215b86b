package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/alert"
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
			if _, err := d.chosen(p.Asset); err != nil {
				return action.Plan{}, err
			}
			v, err := d.Vault(ctx)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{
				Summary: "works out what the retention keeps in " + v.String(), Target: v.String(), Stop: "Yes: it only reads.",
			}, nil
		},
		Run: d.runRetention,
	})
}

func (d Deps) runRetention(ctx context.Context, env *action.Env, p retentionParams, _ action.Plan) (action.Result, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return action.Result{}, err
	}
	list, err := d.prunings(ctx, env, v, p)
	if err != nil {
		return action.Result{}, err
	}
	var res action.Result
	all, gone := 0, 0
	for _, pr := range list {
		all, gone = all+len(pr.plan.Keep)+len(pr.plan.Remove), gone+len(pr.plan.Remove)
		for _, k := range pr.plan.Keep {
			env.Printf("%s: keeps %s: %s", pr.name, k.Point, strings.Join(k.Reasons, ", "))
		}
		for _, id := range pr.plan.Remove {
			env.Printf("%s: gives up %s", pr.name, id)
		}
		env.Printf("%s: %s", pr.name, pr.words())
	}
	res.Evidence = fmt.Sprintf("%d of %s would be given up", gone, printable.Count(all, "point"))
	res.Outputs = map[string]any{"points": int64(all), "remove": int64(gone)}
	return res, nil
}

func (d Deps) prune() action.Action {
	return action.New(action.Def[retentionParams]{
		Name: "vault.prune", Summary: "Give up what the retention does not keep", Doc: pruneDoc,
		Effect: action.Destroy, Repeat: action.Safe,
		Plan: d.planPrune, Run: d.runPrune,
	})
}

// pruning is what the retention makes of one asset.
type pruning struct {
	name    string
	plan    vault.PrunePlan
	options vault.PruneOptions
}

// prunings works out the retention of the chosen assets, in the order of their names.
func (d Deps) prunings(ctx context.Context, env *action.Env, v *vault.Vault, p retentionParams) ([]pruning, error) {
	names, err := d.held(ctx, v, p.Asset)
	if err != nil {
		return nil, err
	}
	var out []pruning
	// What belongs to no asset, as the probes of a doctor, is in the plan of each; it
	// goes with the first.
	seen := map[string]bool{}
	for _, name := range names {
		a, err := d.Asset(name, "")
		if err != nil {
			return nil, err
		}
		pr := pruning{name: name, options: vault.PruneOptions{Keep: d.Retention(), RPO: a.RPO, Now: env.Now, Log: env.Log, Progress: env.Progress}}
		if pr.plan, err = v.PlanPrune(ctx, vault.AssetID(a.Asset), pr.options); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		pr.plan.Orphans = slices.DeleteFunc(pr.plan.Orphans, func(key string) bool { return seen[key] })
		for _, key := range pr.plan.Orphans {
			seen[key] = true
		}
		out = append(out, pr)
	}
	return out, nil
}

func (p pruning) words() string {
	if p.plan.Frozen != "" {
		return "frozen, nothing is given up: " + p.plan.Frozen
	}
	text := fmt.Sprintf("keeps %s, gives up %d", printable.Count(len(p.plan.Keep), "point"), len(p.plan.Remove))
	if len(p.plan.Orphans) > 0 {
		text += " and " + printable.Count(len(p.plan.Orphans), "left-over object")
	}
	if p.plan.Bytes > 0 {
		text += ", which frees " + printable.Size(p.plan.Bytes)
	}
	return text
}

// digest binds an approval to exactly these points and objects.
func (p pruning) digest() string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Concat(p.plan.Remove, p.plan.Objects, p.plan.Orphans), "\n")))
	return hex.EncodeToString(sum[:])
}

func (d Deps) planPrune(ctx context.Context, env *action.Env, p retentionParams) (action.Plan, error) {
	v, err := d.writable(ctx, env)
	if err != nil {
		return action.Plan{}, err
	}
	list, err := d.prunings(ctx, env, v, p)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: v.String(), Facts: map[string]string{},
		Stop: "Yes: each point is given up whole or not at all, and the next time goes on.",
		Back: "none: what is given up is gone, unless the bucket keeps versions",
	}
	all, gone, left, frozen := 0, 0, 0, false
	for _, pr := range list {
		all, gone, left = all+len(pr.plan.Keep)+len(pr.plan.Remove), gone+len(pr.plan.Remove), left+len(pr.plan.Orphans)
		frozen = frozen || pr.plan.Frozen != ""
		out.Lines = append(out.Lines, action.Line{Label: pr.name, Text: pr.words()})
		if n := len(pr.plan.Remove); n > 0 {
			out.Lines = append(out.Lines, action.Line{Label: "gives up", Text: fmt.Sprintf("%d from %s to %s", n, pr.plan.Remove[0], pr.plan.Remove[n-1])})
		}
		out.Facts[pr.name] = pr.digest()
	}
	switch {
	case gone > 0 || left > 0:
		out.Summary = fmt.Sprintf("gives up %d of %s in %s", gone, printable.Count(all, "point"), v)
		out.Token = fmt.Sprintf("%d-of-%d", gone, all)
	case frozen: // the run fails and alerts, which needs nobody's approval
		out.Summary, out.Effect, out.Back = "gives up nothing: frozen", action.Read, ""
	default:
		out.Summary, out.Nothing, out.Effect, out.Back = "gives up nothing: everything is kept", true, action.Read, ""
	}
	return out, nil
}

func (d Deps) runPrune(ctx context.Context, env *action.Env, p retentionParams, plan action.Plan) (res action.Result, err error) {
	v, err := d.writable(ctx, env)
	if err != nil {
		return res, err
	}
	release, err := d.Hold(ctx)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, release()) }()
	list, err := d.prunings(ctx, env, v, p)
	if err != nil {
		return res, err
	}
	// All are compared before the first is touched: a plan holds as a whole or not at all.
	for _, pr := range list {
		if pr.digest() != plan.Facts[pr.name] {
			return res, hint.Wrap(fmt.Errorf("%w: the points of %s are not those that were shown", action.ErrChanged, pr.name), "look at the new plan")
		}
	}
	var total vault.Pruned
	for _, pr := range list {
		if pr.plan.Frozen != "" {
			d.alert(ctx, env, alert.PruneFrozen, pr.name, v, fmt.Errorf("%w: %s", vault.ErrFrozen, pr.plan.Frozen))
		}
		done, err := v.Prune(ctx, pr.plan, pr.options)
		total.Points += done.Points
		total.Objects += done.Objects
		total.Bytes += done.Bytes
		total.Retained = append(total.Retained, done.Retained...)
		if err != nil {
			return res, notPruned(pr.name, total, err)
		}
		env.Printf("%s: %s", pr.name, pr.words())
		res.Checks = append(res.Checks, action.Check{Text: "nothing freezes the retention of " + pr.name, OK: pr.plan.Frozen == "", Evidence: pr.words()})
	}
	res.Evidence = fmt.Sprintf("%s given up, %s freed", printable.Count(total.Points, "point"), printable.Size(total.Bytes))
	if len(total.Retained) > 0 {
		res.Evidence += fmt.Sprintf(", %s still locked", printable.Count(len(total.Retained), "object"))
	}
	res.Outputs = map[string]any{"points": int64(total.Points), "objects": int64(total.Objects), "bytes": total.Bytes, "locked": int64(len(total.Retained))}
	return res, nil
}

// notPruned is the error of a prune that came so far. Only where nothing is gone yet may
// it say that the target changed, which promises that there was no effect.
func notPruned(name string, done vault.Pruned, err error) error {
	changed := errors.Is(err, vault.ErrPlanChanged) || errors.Is(err, vault.ErrFrozen)
	switch {
	case done.Points+done.Objects > 0:
		err = hint.Wrap(fmt.Errorf("after %s: %w", printable.Count(done.Points, "point"), err), "plan again: the next prune goes on with the rest")
	case changed:
		err = fmt.Errorf("%w: %w", action.ErrChanged, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}
