package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const keepDoc = `Gives commits a name in the working clone, refs/lifeboat/<run>/good and
refs/lifeboat/<run>/bad, so that no cleaning up removes them. A commit that is missing
there is brought in first: from the shared repository, from another clone, or from a
restore point of the vault.

` + "```git.keep save=kept" + `
asset: monorepo
good: main
` + "```" + `
`

type keepParams struct {
	Asset string `param:"asset,required" help:"the repository whose clone keeps them"`
	Good  string `param:"good,required" help:"the commit to go back to: an id, or a name in the clone"`
	Bad   string `param:"bad" help:"the commit that replaced it"`
	Point string `param:"point" help:"the restore point to take missing commits from, when it is known"`
}

func (d Deps) keep() action.Action {
	return action.New(action.Def[keepParams]{
		Name: "git.keep", Summary: "Keep commits from being cleaned up", Doc: keepDoc,
		Effect: action.Write, Repeat: action.Safe,
		Check: func(p keepParams) error { return errors.Join(checkCommit("good", p.Good), checkCommit("bad", p.Bad)) },
		Plan:  d.planKeep, Run: d.runKeep,
		Inverse: &action.Inverse[keepParams]{Plan: d.planUnkeep, Run: d.runUnkeep},
	})
}

// wanted is one commit to keep.
type wanted struct {
	name string // "good", "bad"
	oid  string
	ref  string
	from string // "clone", "shared", "the mirror <name>" or "point <id>"
}

func (d Deps) planKeep(ctx context.Context, env *action.Env, p keepParams) (action.Plan, error) {
	r, k, list, err := d.locate(ctx, env, p)
	if err != nil {
		return action.Plan{}, err
	}
	defer k.close()
	plan := action.Plan{
		Target: r.Dir, Facts: map[string]string{}, Nothing: true,
		Stop: "Yes: a ref is written whole or not at all.", Back: "delete the refs again; the branches are not touched",
	}
	var names []string
	for _, w := range list {
		now, err := refIn(ctx, r.Dir, w.ref)
		if err != nil {
			return action.Plan{}, err
		}
		plan.Nothing = plan.Nothing && now == w.oid
		plan.Facts[w.name], plan.Facts[w.name+"_before"] = w.oid, now
		plan.Lines = append(plan.Lines, action.Line{Label: "keeps", Text: fmt.Sprintf("%s as %s, from %s", short(w.oid), w.ref, w.from)})
		plan.Command = append(plan.Command, fmt.Sprintf("git -C %s update-ref %s %s", shellWord(r.Dir), w.ref, w.oid))
		names = append(names, short(w.oid))
	}
	plan.Summary = "keeps " + strings.Join(names, " and ") + " in the clone"
	return plan, nil
}

// locate resolves the commits and finds out where they are. It changes nothing.
func (d Deps) locate(ctx context.Context, env *action.Env, p keepParams) (Repo, *desk, []wanted, error) {
	r, err := d.Repo(p.Asset)
	if err != nil {
		return r, nil, nil, err
	}
	if err := errors.Join(r.needDir(), env.Allowed(r.Dir)); err != nil {
		return r, nil, nil, err
	}
	k, err := openDesk(ctx, env, r, r.places()...)
	if err != nil {
		return r, nil, nil, err
	}
	var list []wanted
	for _, w := range []wanted{{name: "good", oid: p.Good}, {name: "bad", oid: p.Bad}} {
		if w.oid == "" {
			continue
		}
		w.ref = keptUnder(env) + "/" + w.name
		if w.oid, w.from, err = d.whereIs(ctx, env, k, r, w.name, w.oid, p.Point); err != nil {
			k.close()
			return r, nil, nil, err
		}
		list = append(list, w)
	}
	return r, k, list, nil
}

// whereIs finds a commit: in the clone, in a repository on this machine, in the shared
// repository, or as a tip of a restore point.
func (d Deps) whereIs(ctx context.Context, env *action.Env, k *desk, r Repo, arg, rev, point string) (oid, from string, err error) {
	oid, missing := k.commit(ctx, r.Dir, arg, rev)
	if missing == nil {
		if whole(ctx, r.Dir, oid) {
			return oid, "clone", nil
		}
		return oid, "shared", nil
	}
	if len(rev) < 40 || !isOID(rev) {
		return "", "", missing
	}
	if r.Remote != "" && r.needRemote() == nil && k.fetch(ctx, r, rev, "refs/desk/"+arg) == nil {
		return rev, "shared", nil
	}
	for _, m := range r.Mirrors {
		if env.Allowed(m.URL) == nil && k.fetchFrom(ctx, m, rev, "refs/desk/"+arg) == nil {
			return rev, "the mirror " + m.Name, nil
		}
	}
	id, err := d.pointWith(ctx, r, rev, point)
	if err != nil {
		return "", "", fmt.Errorf("%w; and in the vault: %w", missing, err)
	}
	return rev, "point " + id, nil
}

// pointWith finds the newest restore point that has a commit as a tip.
func (d Deps) pointWith(ctx context.Context, r Repo, oid, point string) (string, error) {
	if point != "" {
		_, m, _, err := d.point(ctx, r, point, "", time.Time{})
		return m.ID, err
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return "", err
	}
	list, err := v.List(ctx, vault.AssetID(r.stored()), time.Time{})
	for _, m := range list {
		f, bad := repo.ParseFacts(m.Facts)
		if bad != nil {
			continue
		}
		if slices.ContainsFunc(f.Refs, func(line string) bool { return strings.HasPrefix(line, oid+" ") }) {
			return m.ID, nil
		}
	}
	if err == nil {
		err = hint.Wrap(fmt.Errorf("no restore point has %s as a tip", short(oid)), "name the point: with a later point of the vault")
	}
	return "", err
}

func (d Deps) runKeep(ctx context.Context, env *action.Env, p keepParams, plan action.Plan) (action.Result, error) {
	r, k, list, err := d.locate(ctx, env, p)
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	result := action.Result{Outputs: map[string]any{}, Back: plan.Back}
	var kept []string
	for _, w := range list {
		if plan.Facts[w.name] != w.oid {
			return action.Result{}, fmt.Errorf("%w: %s is %s now", action.ErrChanged, w.name, short(w.oid))
		}
		if id, inVault := strings.CutPrefix(w.from, "point "); inVault {
			if err := d.bring(ctx, env, k, r, id); err != nil {
				return action.Result{}, err
			}
		}
		if err := k.importInto(ctx, r.Dir, w.oid); err != nil {
			return action.Result{}, err
		}
		now, err := refIn(ctx, r.Dir, w.ref)
		if err != nil {
			return action.Result{}, err
		}
		if now != w.oid {
			if now != plan.Facts[w.name+"_before"] {
				return action.Result{}, fmt.Errorf("%w: %s is %s now", action.ErrChanged, w.ref, orAbsent(now))
			}
			if err := setRef(ctx, r.Dir, w.ref, w.oid, now); err != nil {
				return action.Result{}, err
			}
		}
		result.Outputs[w.name], result.Outputs[w.name+"_ref"] = w.oid, w.ref
		ok := whole(ctx, r.Dir, w.oid)
		result.Checks = append(result.Checks, action.Check{Text: short(w.oid) + " is complete in the clone", OK: ok, Evidence: w.ref})
		kept = append(kept, fmt.Sprintf("%s as %s", short(w.oid), w.ref))
	}
	result.Evidence = "kept " + strings.Join(kept, ", ")
	return result, nil
}

// bring restores a point into the desk's own directory and lets the desk see it.
func (d Deps) bring(ctx context.Context, env *action.Env, k *desk, r Repo, id string) error {
	v, m, _, err := d.point(ctx, r, id, "", time.Time{})
	if err != nil {
		return err
	}
	dir := filepath.Join(k.tmp, "point-"+m.ID+".git")
	if _, err := os.Lstat(dir); err == nil {
		return nil // brought before, for this desk
	}
	if _, err := v.Restore(ctx, m, repo.Kind{}, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log}); err != nil {
		return err
	}
	return k.borrow(filepath.Join(dir, "objects"))
}

func (d Deps) planUnkeep(ctx context.Context, env *action.Env, p keepParams, plan action.Plan, r action.Result) (action.Plan, error) {
	rp, err := d.Repo(p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	if err := errors.Join(rp.needDir(), env.Allowed(rp.Dir)); err != nil {
		return action.Plan{}, err
	}
	undo := action.Plan{Summary: "deletes the refs that keep the commits", Target: rp.Dir, Effect: action.Write, Nothing: true,
		Facts: map[string]string{}, Stop: "Yes: a ref is deleted whole or not at all.", Back: "git.keep again, as long as nothing was cleaned up"}
	for _, name := range []string{"good", "bad"} {
		oid := plan.Facts[name]
		// A ref that was there before this step is not ours to delete.
		if oid == "" || plan.Facts[name+"_before"] != "" {
			continue
		}
		ref := keptUnder(env) + "/" + name
		now, err := refIn(ctx, rp.Dir, ref)
		if err != nil {
			return action.Plan{}, err
		}
		if now != oid {
			continue
		}
		undo.Nothing = false
		undo.Facts[ref] = oid
		undo.Lines = append(undo.Lines, action.Line{Label: "deletes", Text: ref + " at " + short(oid)})
		undo.Command = append(undo.Command, fmt.Sprintf("git -C %s update-ref -d %s %s", shellWord(rp.Dir), ref, oid))
	}
	return undo, nil
}

func (d Deps) runUnkeep(ctx context.Context, env *action.Env, p keepParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
	r, err := d.Repo(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	if err := errors.Join(r.needDir(), env.Allowed(r.Dir)); err != nil {
		return action.Result{}, err
	}
	for ref, oid := range undo.Facts {
		now, err := refIn(ctx, r.Dir, ref)
		if err != nil {
			return action.Result{}, err
		}
		if now == "" {
			continue
		}
		if now != oid {
			return action.Result{}, fmt.Errorf("%w: %s is %s now", action.ErrChanged, ref, short(now))
		}
		if err := setRef(ctx, r.Dir, ref, "", oid); err != nil {
			return action.Result{}, err
		}
	}
	return action.Result{Evidence: printable.Count(len(undo.Facts), "ref") + " deleted"}, nil
}
