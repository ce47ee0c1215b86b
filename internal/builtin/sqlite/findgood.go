package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const findGoodDoc = `Finds the moment to go back to. It rebuilds the points of a database one after the other,
newest first, in a private place, and asks each whether it is still good: holds is a SELECT
that gives one number, not 0, on a sound database. The first that says yes is the one.

Where the database itself knows when the harm was done, as a table of migrations does,
moment is the SELECT that gives that time; then ` + "`at`" + ` is just before it, and else the time of
the good point. Nothing is changed.

` + "```sqlite.find-good save=moment" + `
asset: booking
holds: SELECT count(*) > 0 FROM customers
` + "```" + `

Saves: at (the time to go back to), point, cut (of that point), bad_point, looked (number of
points), age and loss (in words).
`

type findGoodParams struct {
	Asset  string `param:"asset,required" help:"the database"`
	Holds  string `param:"holds" help:"SQL that gives one number, not 0, on a good database; without it the newest point that is no younger than the moment is taken"`
	Moment string `param:"moment" help:"SQL that gives the time of the harm, asked of the database as it is now"`
	At     string `param:"at" help:"the time just before the harm, where somebody knows it"`
	Most   int    `param:"most" help:"how many points are looked into" default:"50"`
}

func (d Deps) findGood() action.Action {
	return action.New(action.Def[findGoodParams]{
		Name: "sqlite.find-good", Summary: "Find the newest point of a database that was still good", Doc: findGoodDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p findGoodParams) error {
			if p.At != "" && p.Moment != "" {
				return &action.ArgError{Name: "moment", Msg: "there is at: too", Fix: "give one of them"}
			}
			if p.Most < 1 || p.Most > 1000 {
				return &action.ArgError{Name: "most", Msg: fmt.Sprintf("%d is no number of points to look into", p.Most), Fix: "write one from 1 to 1000"}
			}
			if p.At == "" {
				return nil
			}
			if _, err := vault.ParseTime(p.At, time.Time{}); err != nil {
				return &action.ArgError{Name: "at", Msg: err.Error(), Fix: vault.TimeForms}
			}
			return nil
		},
		Plan: func(_ context.Context, _ *action.Env, p findGoodParams) (action.Plan, error) {
			a, err := d.Asset(p.Asset)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{Summary: "looks through the points of " + a.Name, Target: a.Path, Stop: "Yes: it only reads."}, nil
		},
		Run: d.runFindGood,
	})
}

func (d Deps) runFindGood(ctx context.Context, env *action.Env, p findGoodParams, _ action.Plan) (action.Result, error) {
	a, err := d.Asset(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	all, err := d.points(ctx, env, a)
	if err != nil {
		return action.Result{}, err
	}
	for _, n := range all.notes {
		env.Printf("%s", n.Evidence)
	}
	at, known, err := harm(ctx, env, a, p)
	if err != nil {
		return action.Result{}, err
	}
	until := env.Now().Add(vault.Skew)
	if known {
		if until, err = all.moment(exact(at), env.Now()); err != nil {
			return action.Result{}, err
		}
	}
	var bad *vault.Manifest
	looked := 0
	for i, m := range all.all {
		if m.Cut.After(until) {
			continue
		}
		if looked++; looked > p.Most {
			return action.Result{}, hint.Wrapf(fmt.Errorf("%w: none of the newest %d points of %s is good", action.ErrCheck, p.Most, a.Name), "look further back with most:, or ask whether %q is right", p.Holds)
		}
		env.Report(int64(looked), int64(len(all.all)), "points")
		good, err := d.good(ctx, env, all, m, p.Holds)
		if err != nil {
			return action.Result{}, err
		}
		if !good {
			bad = &all.all[i]
			continue
		}
		if !known {
			at = m.Cut
		}
		return found(a, m, bad, at, env.Now(), looked), nil
	}
	if looked == 0 {
		return action.Result{}, all.outside(until, nil)
	}
	return action.Result{}, hint.Wrapf(fmt.Errorf("%w: no point of %s is good: %s does not hold in any of %d", action.ErrCheck, a.Name, printable.Quote(p.Holds), looked),
		"the harm is older than the oldest point, or %q asks for too much", p.Holds)
}

// harm is the moment just before the harm, as far as somebody or the database knows it.
func harm(ctx context.Context, env *action.Env, a Asset, p findGoodParams) (at time.Time, known bool, err error) {
	if p.At != "" {
		at, err = vault.ParseTime(p.At, env.Now())
		return at, true, err
	}
	if p.Moment == "" {
		return at, false, nil
	}
	v, err := db.Ask(ctx, a.Path, db.ReadLive, p.Moment)
	if err != nil {
		return at, false, hint.Wrap(fmt.Errorf("ask %q for the moment: %w", a.Path, err), "give the time with at: instead, or leave both out")
	}
	switch v := v.(type) {
	case int64:
		at = time.Unix(v, 0)
	case time.Time:
		at = v
	default:
		text := fmt.Sprint(v)
		if at, err = vault.ParseTime(text, time.Time{}); err != nil || at.Year() < 1970 {
			return at, false, hint.Wrap(fmt.Errorf("ask %q for the moment: %s is no time", a.Path, printable.Quote(text)), `let the SELECT give "2026-11-22 14:30:05" in UTC, or seconds since 1970`)
		}
	}
	return at.Add(-time.Millisecond), true, nil
}

// good rebuilds a point and asks it. A point that cannot be rebuilt is not good.
func (d Deps) good(ctx context.Context, env *action.Env, p points, m vault.Manifest, holds string) (bool, error) {
	dir := filepath.Join(env.Scratch, "point")
	defer os.RemoveAll(dir)
	if _, err := p.vault.Restore(ctx, m, db.Kind{}, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log}); err != nil {
		if vault.Unusable(err) {
			env.Printf("point %s of %s cannot be used: %v", m.ID, clock(m.Cut), err)
			return false, nil
		}
		return false, err
	}
	if holds == "" {
		return true, nil
	}
	err := db.Assert(ctx, filepath.Join(dir, db.ReplicaName), []string{holds})
	if errors.Is(err, db.ErrAssertion) {
		env.Printf("point %s of %s is not good any more", m.ID, clock(m.Cut))
		return false, nil
	}
	return err == nil, err
}

// found says what was found in words that a person can decide with.
func found(a Asset, m vault.Manifest, bad *vault.Manifest, at, now time.Time, looked int) action.Result {
	res := action.Result{Outputs: map[string]any{
		"at": exact(at), "point": m.ID, "cut": exact(m.Cut), "bad_point": "", "looked": int64(looked),
		"age": printable.Span(now.Sub(at)), "loss": printable.Span(at.Sub(m.Cut)),
	}}
	res.Evidence = fmt.Sprintf("%s was good at %s, in point %s", a.Name, clock(m.Cut), m.ID)
	if bad != nil {
		res.Outputs["bad_point"] = bad.ID
		res.Evidence += fmt.Sprintf(", and no more at %s, in point %s", clock(bad.Cut), bad.ID)
	}
	res.Evidence += fmt.Sprintf("; go back to %s", res.Outputs["at"])
	return res
}
