package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/alert"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const copiedDoc = `Looks whether every other vault of the estate, its ` + "`copies:`" + `, has the newest backup of each
asset that the vault has, with all of its objects: that a copy said it was done is not looked
at. It goes through all of them and does not stop at the first that lacks one. At level
stored the objects are there with their size; at level checked all of them are downloaded and
their bytes compared. It copies nothing.

` + "```vault.copied" + `
level: stored
` + "```" + `
`

type copiedParams struct {
	Asset string `param:"asset" help:"the asset to look for; all assets when left out"`
	Level string `param:"level" help:"how much to prove: stored or checked" default:"stored" enum:"stored,checked"`
}

func (d Deps) copied() action.Action {
	return action.New(action.Def[copiedParams]{
		Name: "vault.copied", Summary: "Look whether the other vaults have the newest backups", Doc: copiedDoc,
		Effect: action.Read, Repeat: action.Safe,
		Plan: d.planCopied, Run: d.runCopied,
	})
}

func (d Deps) planCopied(ctx context.Context, env *action.Env, p copiedParams) (plan action.Plan, err error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return plan, err
	}
	copies, broken, err := d.others(ctx, env)
	if err != nil {
		return plan, err
	}
	defer func() { err = errors.Join(err, closeAll(copies)) }()
	plan = action.Plan{
		Summary: fmt.Sprintf("looks for the newest backups of %s in %s", v, printable.Count(len(copies), "other vault")), Target: v.String(),
		Stop: "Yes: it copies nothing.",
	}
	for _, c := range copies {
		plan.Lines = append(plan.Lines, action.Line{Label: "looks into", Text: c.String()})
	}
	if len(copies) == 0 && broken == nil {
		plan.Summary, plan.Nothing = "looks nowhere: the estate names no other vault", true
	}
	return plan, nil
}

func (d Deps) runCopied(ctx context.Context, env *action.Env, p copiedParams, _ action.Plan) (res action.Result, err error) {
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
	for _, to := range copies {
		for _, name := range names {
			evidence, err := d.look(ctx, env, v, to, name, vault.Level(p.Level))
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			c := action.Check{Text: fmt.Sprintf("the newest backup of %s is %s in %s", name, p.Level, to), OK: err == nil, Evidence: evidence}
			if err != nil {
				c.Evidence = err.Error()
				err = hint.Wrap(err, "lifeboat vault copy copies a point that is not there; where a point lacks objects, or they are damaged, lifeboat run weekly-backup makes a full one, which is copied whole")
				errs = append(errs, fmt.Errorf("%w: %s in %s: %w", action.ErrCheck, name, to, err))
				d.alert(ctx, env, alert.CopyFailed, name, to, err)
			}
			env.Printf("%s: %s", c.Text, c.Evidence)
			res.Checks = append(res.Checks, c)
		}
	}
	res.Evidence = fmt.Sprintf("%s of %s looked for in %s, %d not as it should be", printable.Count(len(names), "newest backup"), v, printable.Count(len(copies), "other vault"), len(errs))
	res.Outputs = map[string]any{"vaults": int64(len(copies)), "failed": int64(len(errs))}
	return res, errors.Join(errs...)
}

// look proves that the newest point of an asset in from is in to.
func (d Deps) look(ctx context.Context, env *action.Env, from, to *vault.Vault, name string, level vault.Level) (string, error) {
	a, err := d.Asset(name, "")
	if err != nil {
		return "", err
	}
	newest, err := from.Latest(ctx, vault.AssetID(a.Asset))
	if err != nil {
		return "", err
	}
	m, err := to.Get(ctx, newest.Asset, newest.ID)
	if errors.Is(err, vault.ErrNoBackup) {
		return "", fmt.Errorf("point %s is not there", newest.ID)
	}
	if err != nil {
		return "", err
	}
	if env.Dry { // a receipt is a write
		return m.ID, nil
	}
	r, err := to.Verify(ctx, m, a.Understands, level, vault.VerifyOptions{
		Reread: level == vault.LevelChecked, RunID: env.RunID, Scratch: env.Scratch, Now: env.Now, Progress: env.Progress, Log: env.Log,
	})
	return m.ID + ": " + strings.Join(r.Evidence, "; "), err
}
