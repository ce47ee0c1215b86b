package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

const backupDoc = `Makes a restore point of a database while it is in use: one read transaction, no stop,
no lock that a writer in WAL mode would notice. An increment holds the pages that have
changed since the newest point; it becomes a whole backup when more than 40 % have.

` + "```sqlite.backup save=point" + `
asset: booking
mode: auto
class: daily
` + "```" + `
`

type backupParams struct {
	Asset string `param:"asset,required" help:"the database to back up"`
	Mode  string `param:"mode" help:"full copies everything, incremental refuses when there is nothing to build on" enum:"auto,full,incremental" default:"auto"`
	Class string `param:"class" help:"what the point is kept as" enum:"daily,weekly,monthly,quarterly"`
}

func (d Deps) backup() action.Action {
	return action.New(action.Def[backupParams]{
		Name: "sqlite.backup", Summary: "Back up a database into the vault", Doc: backupDoc,
		Effect: action.Write, Repeat: action.Safe,
		Plan: d.planBackup, Run: d.runBackup,
	})
}

func (d Deps) planBackup(ctx context.Context, env *action.Env, p backupParams) (action.Plan, error) {
	a, v, err := d.source(ctx, env, p)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: v.String(),
		Lines:  []action.Line{{Label: "reads", Text: a.Path}, {Label: "writes to", Text: v.String()}},
		Stop:   "Yes: a point counts only once it is whole.",
	}
	last, err := v.Latest(ctx, vault.AssetID(a.stored()))
	switch {
	case errors.Is(err, vault.ErrNoBackup):
		if p.Mode == "incremental" {
			return action.Plan{}, hint.Wrap(fmt.Errorf("%w: there is no point of %q to build an increment on", action.ErrRefused, a.Name), "use mode: auto or mode: full")
		}
		out.Summary = fmt.Sprintf("makes the first point of %s", a.Name)
	case vault.Unusable(err) && p.Mode != "incremental":
		// What happened to one point must not keep the next one from being made.
		out.Summary = fmt.Sprintf("makes a new full point of %s", a.Name)
		out.Lines = append(out.Lines, action.Line{Label: "newest point", Text: "cannot be built on: " + err.Error()})
	case err != nil:
		return action.Plan{}, err
	default:
		out.Summary = fmt.Sprintf("makes a new point of %s", a.Name)
		out.Lines = append(out.Lines, action.Line{Label: "newest point", Text: age(env.Now(), last.Cut)})
	}
	return out, nil
}

// source finds the database and the vault and asks the fence for both.
func (d Deps) source(ctx context.Context, env *action.Env, p backupParams) (Asset, Vault, error) {
	a, err := d.Asset(p.Asset)
	if err != nil {
		return Asset{}, nil, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return Asset{}, nil, err
	}
	for _, target := range []string{a.Path, v.String()} {
		if err := env.Allowed(target); err != nil {
			return Asset{}, nil, err
		}
	}
	return a, v, nil
}

func (d Deps) runBackup(ctx context.Context, env *action.Env, p backupParams, _ action.Plan) (action.Result, error) {
	a, v, err := d.source(ctx, env, p)
	if err != nil {
		return action.Result{}, err
	}
	m, err := v.Backup(ctx, a.stored(), db.Kind{}, vault.BackupOptions{
		Full: p.Mode == "full", Class: p.Class, RunID: env.RunID, RPO: a.RPO,
		Now: env.Now, Progress: env.Progress, Log: env.Log,
	})
	if err != nil {
		return action.Result{}, err
	}
	var f db.Facts
	if err := json.Unmarshal(m.Facts, &f); err != nil {
		return action.Result{}, fmt.Errorf("read the facts of point %s: %w", m.ID, err)
	}
	var size int64
	for _, o := range m.Chain {
		size += o.Size
	}
	return action.Result{
		Evidence: fmt.Sprintf("%s point %s: %s, sha256 %s", m.Kind, m.ID, rowWords(f), short(f.DBSHA256)),
		Outputs: map[string]any{
			"point": m.ID, "kind": m.Kind, "sha256": f.DBSHA256, "pages": int64(f.Pages), "chain_bytes": size,
			"cut": m.Cut.UTC().Format("2006-01-02T15:04:05.000Z"),
		},
	}, nil
}
