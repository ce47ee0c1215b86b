package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const backupDoc = `Makes a restore point of the files that an asset chooses: env files, infrastructure,
workflows. The same content, owners and permissions as in the newest point are recorded as
unchanged. A file that changes while it is read makes the backup begin again, once.

` + "```files.backup save=point" + `
asset: env
class: daily
` + "```" + `
`

type backupParams struct {
	Asset string `param:"asset,required" help:"the files to back up"`
	Mode  string `param:"mode" help:"full stores everything again, also when nothing has changed" enum:"auto,full" default:"auto"`
	Class string `param:"class" help:"what the point is kept as" enum:"daily,weekly,monthly,quarterly"`
}

func (d Deps) backup() action.Action {
	return action.New(action.Def[backupParams]{
		Name: "files.backup", Summary: "Back up chosen files into the vault", Doc: backupDoc,
		Effect: action.Write, Repeat: action.Safe,
		Plan: d.planBackup, Run: d.runBackup,
	})
}

func (d Deps) planBackup(ctx context.Context, env *action.Env, p backupParams) (action.Plan, error) {
	s, v, err := d.source(ctx, env, p)
	if err != nil {
		return action.Plan{}, err
	}
	now, err := s.Kind.Survey(ctx, s.Path)
	if err != nil {
		return action.Plan{}, err
	}
	what := "everything"
	if len(s.Kind.Include) > 0 {
		what = strings.Join(s.Kind.Include, ", ")
	}
	out := action.Plan{
		Summary: fmt.Sprintf("makes a new point of %s: %s, %s", s.Name, printable.Count(now.Files, "file"), printable.Size(now.Bytes)),
		Target:  v.String(),
		Lines: []action.Line{
			{Label: "reads", Text: fmt.Sprintf("%s in %s", what, s.Path)},
			{Label: "writes to", Text: v.String()},
		},
		Stop: "Yes: a point counts only once it is whole.",
	}
	last, err := v.Latest(ctx, vault.AssetID(s.stored()))
	switch {
	case errors.Is(err, vault.ErrNoBackup):
		out.Summary = strings.Replace(out.Summary, "a new point", "the first point", 1)
	case vault.Unusable(err):
		// What happened to one point must not keep the next one from being made.
		out.Lines = append(out.Lines, action.Line{Label: "newest point", Text: "cannot be built on: " + err.Error()})
	case err != nil:
		return action.Plan{}, err
	default:
		out.Lines = append(out.Lines, action.Line{Label: "newest point", Text: age(env.Now(), last.Cut)})
	}
	if now.Files+now.Links == 0 {
		if err := lost(ctx, v, s); err != nil {
			return action.Plan{}, err
		}
	}
	return out, nil
}

// lost refuses a backup of nothing where there was something, also a full one, which does
// not look at the points before, and also when one of nothing was made since.
func lost(ctx context.Context, v Vault, s Source) error {
	list, err := v.List(ctx, vault.AssetID(s.stored()), time.Time{}) // newest first; what cannot be used says nothing
	if err != nil && !vault.Unusable(err) {
		return err
	}
	for _, m := range list {
		var was tree.Facts
		if json.Unmarshal(m.Facts, &was) == nil && was.Files+was.Links > 0 {
			return hint.Wrap(fmt.Errorf("%w: %w: point %s holds %s", action.ErrRefused, tree.ErrNothing, m.ID, printable.Count(was.Files, "file")),
				"were the files lost? put them back with files.restore; did they move? correct path: and include: of asset "+s.Name)
		}
	}
	return nil
}

// source finds the files and the vault and asks the fence for both.
func (d Deps) source(ctx context.Context, env *action.Env, p backupParams) (Source, Vault, error) {
	s, v, err := d.open(ctx, p.Asset)
	if err != nil {
		return Source{}, nil, err
	}
	for _, target := range []string{s.Path, v.String()} {
		if err := env.Allowed(target); err != nil {
			return Source{}, nil, err
		}
	}
	return s, v, nil
}

func (d Deps) runBackup(ctx context.Context, env *action.Env, p backupParams, _ action.Plan) (action.Result, error) {
	s, v, err := d.source(ctx, env, p)
	if err != nil {
		return action.Result{}, err
	}
	m, err := v.Backup(ctx, s.stored(), s.Kind, vault.BackupOptions{
		Full: p.Mode == "full", Class: p.Class, RunID: env.RunID, RPO: s.RPO,
		Now: env.Now, Progress: env.Progress, Log: env.Log,
	})
	if err != nil {
		return action.Result{}, err
	}
	var f tree.Facts
	if err := json.Unmarshal(m.Facts, &f); err != nil {
		return action.Result{}, fmt.Errorf("read the facts of point %s: %w", m.ID, err)
	}
	res := action.Result{
		Evidence: fmt.Sprintf("%s point %s: %s, %s", m.Kind, m.ID, printable.Count(f.Files, "file"), printable.Size(f.Bytes)),
		Outputs: map[string]any{
			"point": m.ID, "kind": m.Kind, "files": int64(f.Files), "bytes": f.Bytes, "list_sha256": f.ListSHA256,
			"cut": m.Cut.UTC().Format("2006-01-02T15:04:05.000Z"),
		},
	}
	if m.Kind == vault.Empty {
		res.Evidence = fmt.Sprintf("empty point %s: NOTHING matches %s in %s", m.ID, strings.Join(s.Kind.Include, ", "), s.Path)
	}
	return res, nil
}
