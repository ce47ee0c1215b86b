package git

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const backupDoc = `Makes a restore point of a repository: of what is shared when the asset has a remote, of
the working clone otherwise. A full point is one bundle of everything; an increment holds
what is new since the newest point and all refs, so that deleted and rewound branches come
back as they were. When nothing has changed, the point says so and costs next to nothing.

` + "```git.backup save=point" + `
asset: monorepo
mode: auto
class: daily
` + "```" + `
`

type backupParams struct {
	Asset string `param:"asset,required" help:"the repository to back up"`
	Mode  string `param:"mode" help:"full copies everything, incremental refuses when there is nothing to build on" enum:"auto,full,incremental" default:"auto"`
	Class string `param:"class" help:"what the point is kept as" enum:"daily,weekly,monthly,quarterly"`
}

func (d Deps) backup() action.Action {
	return action.New(action.Def[backupParams]{
		Name: "git.backup", Summary: "Back up a repository into the vault", Doc: backupDoc,
		Effect: action.Write, Repeat: action.Safe,
		Plan: d.planBackup, Run: d.runBackup,
	})
}

// target finds repository and vault and asks the fence for the vault, which is written,
// and for the source, which is sent our credentials.
func (d Deps) target(ctx context.Context, env *action.Env, asset string) (Repo, Vault, error) {
	r, err := d.Repo(asset)
	if err != nil {
		return r, nil, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return r, nil, err
	}
	for _, t := range []string{r.source(), v.String()} {
		if err := env.Allowed(t); err != nil {
			return r, nil, err
		}
	}
	return r, v, nil
}

func (d Deps) planBackup(ctx context.Context, env *action.Env, p backupParams) (action.Plan, error) {
	r, v, err := d.target(ctx, env, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: v.String(),
		Lines:  []action.Line{{Label: "reads", Text: showURL(r.source())}, {Label: "writes to", Text: v.String()}},
		Stop:   "Yes: a point counts only once it is whole.",
	}
	last, err := v.Latest(ctx, vault.AssetID(r.stored()))
	switch {
	case errors.Is(err, vault.ErrNoBackup):
		if p.Mode == "incremental" {
			return action.Plan{}, hint.Wrap(fmt.Errorf("%w: there is no point of %q to build an increment on", action.ErrRefused, r.Name),
				"use mode: auto or mode: full")
		}
		out.Summary = fmt.Sprintf("makes the first point of %s", r.Name)
	case vault.Unusable(err) && p.Mode != "incremental":
		// What happened to one point must not keep the next one from being made.
		out.Summary = fmt.Sprintf("makes a new full point of %s", r.Name)
		out.Lines = append(out.Lines, action.Line{Label: "newest point", Text: "cannot be built on: " + err.Error()})
	case err != nil:
		return action.Plan{}, err
	default:
		out.Summary = fmt.Sprintf("makes a new point of %s", r.Name)
		if p.Mode == "full" {
			out.Summary = fmt.Sprintf("makes a new full point of %s", r.Name)
		}
		out.Lines = append(out.Lines, action.Line{Label: "newest point",
			Text: fmt.Sprintf("%s, %s, of %s", last.ID, last.Kind, clock(env.Now(), last.Cut))})
	}
	return out, nil
}

func (d Deps) runBackup(ctx context.Context, env *action.Env, p backupParams, _ action.Plan) (action.Result, error) {
	r, v, err := d.target(ctx, env, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	if p.Mode == "incremental" {
		_, err := v.Latest(ctx, vault.AssetID(r.stored()))
		if errors.Is(err, vault.ErrNoBackup) {
			return action.Result{}, fmt.Errorf("%w: there is no point of %q to build an increment on", action.ErrRefused, r.Name)
		}
		if err != nil {
			return action.Result{}, err
		}
	}
	k := r.Kind
	k.Mirror = p.Class != "" && p.Class != "daily" // what is kept for long has the form that people expect, too
	m, err := v.Backup(ctx, r.stored(), k, vault.BackupOptions{
		Full: p.Mode == "full", Class: p.Class, RunID: env.RunID, RPO: r.RPO,
		Now: env.Now, Progress: env.Progress, Log: env.Log,
	})
	if errors.Is(err, repo.ErrUnsuitable) { // a second try finds the same
		return action.Result{}, fmt.Errorf("%w: %w", action.ErrRefused, err)
	}
	if err != nil {
		return action.Result{}, err
	}
	if m.Kind == vault.Empty {
		if err := emptied(ctx, v, r, m); err != nil {
			return action.Result{}, err
		}
	}
	f, err := repo.ParseFacts(m.Facts)
	if err != nil {
		return action.Result{}, fmt.Errorf("point %s: %w", m.ID, err)
	}
	refs, err := f.List()
	if err != nil {
		return action.Result{}, fmt.Errorf("point %s: %w", m.ID, err)
	}
	return action.Result{
		Evidence: fmt.Sprintf("%s point %s: %s, %s, %s", m.Kind, m.ID, printable.Count(len(refs), "ref"), printable.Count(int(f.PackObjects), "object"), printable.Size(f.PackBytes)),
		Outputs: map[string]any{
			"point": m.ID, "kind": m.Kind, "objects": f.PackObjects, "bytes": f.PackBytes, "refs": int64(len(refs)),
			"cut": m.Cut.UTC().Format(time.RFC3339),
		},
	}, nil
}

// emptied is the error of a point of nothing where an earlier one holds something: that is
// the trace of a loss, each time that it is seen.
func emptied(ctx context.Context, v Vault, r Repo, m vault.Manifest) error {
	list, err := v.List(ctx, m.Asset, time.Time{}) // newest first; what cannot be used says nothing
	if err != nil && !vault.Unusable(err) {
		return err
	}
	for _, before := range list {
		if len(before.Chain) > 0 {
			return hint.Wrap(fmt.Errorf("%w: %q has no refs now, and had some at %s; point %s says so", action.ErrCheck, r.Name, before.Cut.UTC().Format(time.RFC3339), m.ID),
				"look at the source; point "+before.ID+" still has what it held")
		}
	}
	return nil
}
