package stream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/action"
	dump "lifeboat/internal/asset/stream"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const restoreDoc = `Loads a restore point with the load command of an asset, or, with to:, puts its dump
into a new directory and loads nothing.

The point is downloaded and proven first. Then the present state is dumped into the vault
as a point of its own: that is the way back. Only then the dump is loaded. Where the
database cannot be dumped any more, keep: false loads without a way back.

` + "```stream.restore save=restored" + `
asset: auth
point: latest
to: ./auth-dump
` + "```" + `
`

type restoreParams struct {
	Asset string `param:"asset,required" help:"the asset to load"`
	Point string `param:"point" help:"id of the restore point, or latest" default:"latest"`
	At    string `param:"at" help:"the newest point that is not younger than this time: 2026-11-23T14:30:00Z"`
	To    string `param:"to" help:"a new directory for the file dump, in place of loading it"`
	Keep  bool   `param:"keep" help:"dump the present state into the vault first; without it there is no way back" default:"true"`
}

// How a point comes to its place.
const (
	howNew  = "new"  // as a file into a directory that is not there
	howLoad = "load" // by the load command
)

func (d Deps) restore() action.Action {
	return action.New(action.Def[restoreParams]{
		Name: "stream.restore", Summary: "Load a dump from the vault", Doc: restoreDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Check: func(p restoreParams) error { return checkTime(p.Point, p.At) },
		Plan:  d.planRestore, Run: d.runRestore, Probe: d.probeRestore,
		Inverse: &action.Inverse[restoreParams]{Plan: d.planUndo, Run: d.runUndo, Probe: d.probeUndo},
	})
}

func (d Deps) planRestore(ctx context.Context, env *action.Env, p restoreParams) (action.Plan, error) {
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	m, f, err := point(ctx, v, a, p.Point, p.At, env.Now())
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Facts: map[string]string{"point": m.ID, "want": f.SHA256},
		Lines: []action.Line{
			{Label: "point", Text: fmt.Sprintf("%s, of %s", m.ID, age(env.Now(), m.Cut))},
			{Label: "brings", Text: fmt.Sprintf("%s, sha256 %s", words(f), short(f.SHA256))},
		},
		Checks: []action.Check{{Text: "the point is listed in the vault", OK: true, Evidence: "sha256 " + short(f.SHA256)}},
	}
	if p.To != "" {
		return planNew(env, out, absolute(env, p.To), m)
	}
	if len(a.Kind.Load) == 0 {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: asset %q has no command that loads its dump", action.ErrRefused, a.Name),
			"give load: of the asset, or restore with to: and load it by hand")
	}
	out.Facts["how"], out.Facts["loader"] = howLoad, a.loader()
	out.Target, out.Token = a.target(), a.target()
	out.Summary = fmt.Sprintf("overwrites %s with point %s", a.target(), m.ID)
	out.Command = []string{dump.CommandLine(a.Kind.Load)}
	out.Lines = append(out.Lines, action.Line{Label: "is lost", Text: fmt.Sprintf("what was written in the last %s", env.Now().Sub(m.Cut).Round(time.Second))})
	out.Stop = "No: the database may hold half of the dump then; the way back is to load the one of before."
	if !p.Keep {
		out.Lines = append(out.Lines, action.Line{Label: "is kept", Text: "NOTHING: there is no way back"})
		return out, nil
	}
	out.Facts["safety"] = safetyRun(env, "before")
	out.Lines = append(out.Lines, action.Line{Label: "is kept", Text: "the present state, dumped into " + v.String() + " first"})
	out.Back = "the dump of the present state is loaded again"
	return out, nil
}

// planNew plans a restore into a directory that is not there.
func planNew(env *action.Env, out action.Plan, dir string, m vault.Manifest) (action.Plan, error) {
	if err := env.Allowed(dir); err != nil {
		return action.Plan{}, err
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return action.Plan{}, errors.Join(hint.Wrap(hint.Blame(fmt.Errorf("%w: %q is there already", action.ErrRefused, dir), "to"), "name a directory that does not exist"), err)
	}
	out.Effect, out.Target = action.Write, dir
	out.Facts["how"], out.Facts["path"] = howNew, dir
	out.Facts["aside"] = dir + ".undone-" + env.Run
	out.Summary = fmt.Sprintf("puts the dump of point %s into the new directory %s", m.ID, dir)
	out.Stop = "Yes: the directory gets its name only when the dump is proven."
	out.Back = "the directory is moved aside"
	return out, nil
}

// safetyRun names the points that keep what a step overwrites, so that the undo finds
// them also when the step ended in the middle.
func safetyRun(env *action.Env, what string) string {
	return fmt.Sprintf("%s/%s/%s", env.RunID, env.Step, what)
}

func words(f dump.Facts) string {
	out := printable.Size(f.Bytes)
	if f.Format != "" {
		out += ", " + f.Format
	}
	if f.Contents != nil {
		out += ", " + printable.Count(int(documents(f)), "document") + " in " + printable.Count(len(f.Contents), "collection")
	}
	return out
}

func (d Deps) runRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Result, error) {
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	m, f, err := point(ctx, v, a, plan.Facts["point"], "", env.Now())
	if err != nil {
		return action.Result{}, err
	}
	res := action.Result{Back: plan.Back, Outputs: map[string]any{"point": m.ID, "sha256": f.SHA256, "bytes": f.Bytes, "cut": stamp(m.Cut)}}
	if plan.Facts["how"] == howNew {
		dir := plan.Facts["path"]
		if err := env.Allowed(dir); err != nil {
			return action.Result{}, err
		}
		restored, err := v.Restore(ctx, m, a.Kind, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log})
		if err != nil {
			return action.Result{}, unclear(err)
		}
		res.Evidence = fmt.Sprintf("%s holds the dump of point %s: %s", dir, m.ID, restored.Evidence)
		res.Outputs["dir"], res.Outputs["file"] = dir, filepath.Join(dir, dump.FileName)
		return res, nil
	}
	if a.loader() != plan.Facts["loader"] {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: the load command of asset %q is another now", action.ErrChanged, a.Name), "look at the new plan")
	}
	l, err := load(ctx, env, a, v, m, f, plan.Facts["safety"])
	if err != nil {
		return action.Result{}, err
	}
	if l.safety != "" {
		res.Facts = map[string]string{"kept": l.safety}
		res.Outputs["kept"] = l.safety
	}
	res.Evidence = l.evidence
	res.Checks = []action.Check{{Text: "the whole dump reached the command", OK: true, Evidence: l.evidence}}
	return res, nil
}

func unclear(err error) error {
	if errors.Is(err, durable.ErrUnclear) {
		return fmt.Errorf("%w: %w", action.ErrUnclear, err)
	}
	return err
}

type loading struct{ evidence, safety string }

// load proves a point, keeps the present state under the name safety, "" for not at all,
// and runs the load command. Until the command runs, nothing has changed.
func load(ctx context.Context, env *action.Env, a Asset, v Vault, m vault.Manifest, f dump.Facts, safety string) (l loading, err error) {
	dir, err := os.MkdirTemp(env.Scratch, "point-")
	if err != nil {
		return l, fmt.Errorf("make a private directory: %w", err)
	}
	defer func() {
		if rerr := os.RemoveAll(dir); rerr != nil {
			env.Printf("%v", rerr)
		}
	}()
	dir = filepath.Join(dir, "replica")
	restored, err := v.Restore(ctx, m, a.Kind, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log})
	if err != nil {
		return l, err
	}
	env.Printf("point %s is downloaded and proven: %s", m.ID, restored.Evidence)
	if safety != "" {
		kept, now, err := store(ctx, env, a, v, "", safety)
		if err != nil {
			return l, hint.Wrap(fmt.Errorf("keep the present state of %s: %w", a.target(), err),
				"nothing was changed; if it cannot be dumped any more, say keep: false, and there is no way back")
		}
		l.safety = kept.ID
		env.Printf("the present state is kept as point %s", kept.ID)
		if now.SHA256 == f.SHA256 {
			l.evidence = fmt.Sprintf("%s holds exactly what point %s holds: nothing was loaded", a.target(), m.ID)
			return l, nil
		}
	}
	done, err := a.Kind.Feed(ctx, filepath.Join(dir, dump.FileName), f, env.Log)
	if errors.Is(err, dump.ErrPartly) {
		return l, hint.Wrap(fmt.Errorf("%w: %w", action.ErrUnclear, err), "look at the database; undo loads what was there before")
	}
	if err != nil {
		return l, err
	}
	l.evidence = fmt.Sprintf("%s took %s, sha256 %s, of point %s in %.1f s", a.target(), printable.Size(done.Bytes), short(done.SHA256), m.ID, done.Seconds)
	return l, nil
}

// kept finds the point that a step made of the state before it: the oldest one, because a
// second attempt keeps what the first one left. Other points that cannot be used are not
// in its way; where it is not among those that can, it may be one of them, and nobody can
// say that it was never made.
func kept(ctx context.Context, v Vault, a Asset, facts map[string]string) (m vault.Manifest, ok bool, err error) {
	if facts["safety"] == "" {
		return m, false, nil
	}
	// Not older than the run, which has its beginning in its name, with room for clocks that
	// differ. No time of a plan: a fact that moves would open the gate anew at each answer.
	var since time.Time
	begun, _, _ := strings.Cut(facts["safety"], "-")
	if at, err := time.Parse("20060102T150405Z", begun); err == nil {
		since = at.Add(-24 * time.Hour)
	}
	list, err := v.List(ctx, vault.AssetID(a.stored()), since)
	if err != nil && !vault.Unusable(err) {
		return m, false, err
	}
	for _, p := range list {
		if p.RunID == facts["safety"] && (!ok || p.Cut.Before(m.Cut)) {
			m, ok = p, true
		}
	}
	if ok {
		err = nil
	}
	return m, ok, err
}

// probeRestore tells by the safety point and by what a dump gives now. Many programs
// write the time into their dumps; then only a person can tell.
func (d Deps) probeRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Probe, error) {
	if plan.Facts["how"] == howNew {
		pr := probeNew(plan)
		dir := plan.Facts["path"]
		pr.Outputs = map[string]any{"point": plan.Facts["point"], "sha256": plan.Facts["want"], "dir": dir, "file": filepath.Join(dir, dump.FileName)}
		return pr, nil
	}
	return d.probeLoad(ctx, env, p, plan.Facts["want"], plan.Facts)
}

func probeNew(plan action.Plan) action.Probe {
	dir := plan.Facts["path"]
	pr := action.Probe{Finding: action.Unknown, Command: []string{"ls -l " + dir}, Before: "not there", Wanted: "there"}
	switch _, err := os.Lstat(dir); {
	case err == nil:
		pr.Finding, pr.Found, pr.Means = action.Applied, "there", "The directory gets its name only when the dump is proven."
	case errors.Is(err, fs.ErrNotExist):
		pr.Finding, pr.Found, pr.Means = action.NotApplied, "not there", "Nothing was put there."
	default:
		pr.Found, pr.Means = err.Error(), "The place cannot be looked at now, so nobody can tell."
	}
	return pr
}

// probeLoad looks whether a load happened; facts name the safety point that comes before.
func (d Deps) probeLoad(ctx context.Context, env *action.Env, p restoreParams, want string, facts map[string]string) (action.Probe, error) {
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Probe{}, err
	}
	pr := action.Probe{Finding: action.Unknown, Command: []string{dump.CommandLine(a.Kind.Dump)}, Wanted: short(want)}
	pr.Outputs = map[string]any{"point": facts["point"], "sha256": want}
	var before string
	if facts["safety"] != "" {
		m, ok, err := kept(ctx, v, a, facts)
		if err != nil {
			return action.Probe{}, err
		}
		if !ok {
			pr.Finding, pr.Found = action.NotApplied, "no dump of the state before"
			pr.Means = "Loading begins only after the present state was kept, and it was not."
			return pr, nil
		}
		_, f, err := point(ctx, v, a, m.ID, "", env.Now())
		if err != nil {
			return action.Probe{}, err
		}
		before = f.SHA256
		pr.Before, pr.Outputs["kept"] = short(before), m.ID
	}
	now, err := a.Kind.Measure(ctx, env.Log)
	switch {
	case err != nil:
		pr.Found, pr.Means = err.Error(), "The database cannot be dumped now, so nobody can tell."
	case now.SHA256 == want:
		pr.Finding, pr.Found, pr.Means = action.Applied, short(now.SHA256), "A dump of now is byte for byte that of the point."
	case now.SHA256 == before:
		pr.Finding, pr.Found, pr.Means = action.NotApplied, short(now.SHA256), "A dump of now is byte for byte that of before."
	default:
		pr.Found = short(now.SHA256)
		pr.Means = "A dump of now is neither that of before nor that of the point; many programs write the time into each dump. Look into the database."
	}
	return pr, nil
}
