package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lifeboat/internal/action"
	dump "lifeboat/internal/asset/stream"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const backupDoc = `Runs the dump command of an asset and stores what it writes as a restore point. A
command that fails, here or on the far side, writes nothing, or whose output is cut off
makes no point. A dump that is byte for byte the newest one is recorded as unchanged.

` + "```stream.backup save=point" + `
asset: auth
class: daily
` + "```" + `
`

type backupParams struct {
	Asset string `param:"asset,required" help:"the asset to dump"`
	Class string `param:"class" help:"what the point is kept as" enum:"daily,weekly,monthly,quarterly"`
}

func (d Deps) backup() action.Action {
	return action.New(action.Def[backupParams]{
		Name: "stream.backup", Summary: "Dump a database into the vault", Doc: backupDoc,
		Effect: action.Write, Repeat: action.Safe,
		Plan: d.planBackup, Run: d.runBackup,
	})
}

func (d Deps) planBackup(ctx context.Context, env *action.Env, p backupParams) (action.Plan, error) {
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Summary: fmt.Sprintf("dumps %s and makes a new point of it", a.Name),
		Target:  v.String(),
		Lines:   []action.Line{{Label: "reads", Text: a.target()}, {Label: "writes to", Text: v.String()}},
		Command: []string{dump.CommandLine(a.Kind.Dump)},
		Stop:    "Yes: a point counts only once it is whole.",
	}
	last, err := v.Latest(ctx, vault.AssetID(a.stored()))
	switch {
	case errors.Is(err, vault.ErrNoBackup):
		out.Summary = fmt.Sprintf("dumps %s and makes its first point", a.Name)
	case vault.Unusable(err):
		// What happened to one point must not keep the next one from being made.
		out.Lines = append(out.Lines, action.Line{Label: "newest point", Text: "cannot be used: " + err.Error()})
	case err != nil:
		return action.Plan{}, err
	default:
		out.Lines = append(out.Lines, action.Line{Label: "newest point", Text: age(env.Now(), last.Cut)})
	}
	return out, nil
}

func (d Deps) runBackup(ctx context.Context, env *action.Env, p backupParams, _ action.Plan) (action.Result, error) {
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	m, f, err := store(ctx, env, a, v, p.Class, env.RunID)
	if err != nil {
		return action.Result{}, err
	}
	return action.Result{
		Evidence: fmt.Sprintf("%s point %s: %s, sha256 %s", m.Kind, m.ID, printable.Size(f.Bytes), short(f.SHA256)),
		Outputs: map[string]any{
			"point": m.ID, "kind": m.Kind, "sha256": f.SHA256, "bytes": f.Bytes, "format": f.Format, "cut": stamp(m.Cut),
		},
	}, nil
}

// store dumps into the vault.
func store(ctx context.Context, env *action.Env, a Asset, v Vault, class, run string) (m vault.Manifest, f dump.Facts, err error) {
	m, err = v.Backup(ctx, a.stored(), a.Kind, vault.BackupOptions{
		Class: class, RunID: run, RPO: a.RPO, Now: env.Now, Progress: env.Progress, Log: env.Log,
	})
	if err != nil {
		return m, f, err
	}
	if err := json.Unmarshal(m.Facts, &f); err != nil {
		return m, f, fmt.Errorf("read the facts of point %s: %w", m.ID, err)
	}
	return m, f, nil
}
