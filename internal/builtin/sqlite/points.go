package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

// points are the restore points of a database, newest state first, by what they hold and
// not by when they were written.
type points struct {
	asset  Asset
	vault  Vault
	all    []vault.Manifest // those that count, by Cut
	future []vault.Manifest // dated ahead of now
	notes  []action.Check   // what is odd about the rest
}

// maxReceipts bounds how many points are asked for their proofs.
const maxReceipts = 200

func (d Deps) points(ctx context.Context, env *action.Env, a Asset) (points, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return points{}, err
	}
	p := points{asset: a, vault: v}
	list, err := v.List(ctx, vault.AssetID(a.stored()), time.Time{})
	if err != nil && len(list) == 0 {
		return p, err
	}
	if err != nil {
		p.note("some manifests cannot be used: " + err.Error())
	}
	for _, m := range list {
		if m.Cut.After(env.Now().Add(vault.Skew)) {
			p.future = append(p.future, m)
			continue
		}
		if m.Finished.Before(m.Started) {
			p.note(fmt.Sprintf("a clock went back while point %s was made: its time, %s, may be wrong", m.ID, clock(m.Cut)))
		}
		p.all = append(p.all, m)
	}
	slices.SortStableFunc(p.all, func(a, b vault.Manifest) int { return b.Cut.Compare(a.Cut) })
	if len(p.future) > 0 {
		p.note(fmt.Sprintf("%s dated in the future, such as %s of %s: a clock was ahead, or this one is behind. They are left out; name one with point: when you know that it is right",
			printable.Count(len(p.future), "point"), p.future[0].ID, clock(p.future[0].Cut)))
	}
	return p, nil
}

func (p *points) note(text string) {
	p.notes = append(p.notes, action.Check{Text: "every point has a time that can be right", OK: false, Evidence: text})
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// choice is a point with what is known of its proof.
type choice struct {
	vault.Manifest
	proven vault.Level     // "": nobody has
	passed []string        // nearer ones that were passed over, and why
	next   *vault.Manifest // the first that is younger than the wanted time
}

// nearest finds the newest proven point that holds nothing younger than at, or, where none
// is proven, the newest of which no failure is known.
func (p points) nearest(ctx context.Context, at time.Time) (c choice, err error) {
	var unproven *vault.Manifest
	for i, m := range p.all {
		if m.Cut.After(at) {
			c.next = &p.all[i]
			continue
		}
		if i >= maxReceipts {
			break
		}
		level, failed, err := p.standing(ctx, m.ID)
		if err != nil {
			return c, err
		}
		switch {
		case failed:
			c.passed = append(c.passed, fmt.Sprintf("point %s of %s: a verification of it has failed", m.ID, clock(m.Cut)))
			continue
		case level.Covers(vault.LevelApplied) && level != "":
			c.Manifest, c.proven = m, level
			return c, nil
		case unproven == nil:
			unproven = &p.all[i]
		}
		c.passed = append(c.passed, fmt.Sprintf("point %s of %s: nobody has proven it", m.ID, clock(m.Cut)))
	}
	if unproven == nil {
		if len(c.passed) > 0 {
			return c, hint.Wrapf(fmt.Errorf("%w of %q at or before %s that is not known to be damaged: %s", vault.ErrNoBackup, p.asset.Name, precise(at), joined(c.passed)),
				"look for them in a copy of the vault first; else name one with point: it is proven anew while it is rebuilt, and nothing is made when it fails; lifeboat vault ls %s lists them", p.asset.Name)
		}
		return c, p.outside(at, c.next)
	}
	c.Manifest, c.passed = *unproven, nil
	return c, nil
}

func (p points) standing(ctx context.Context, id string) (vault.Level, bool, error) {
	receipts, err := p.vault.Receipts(ctx, vault.AssetID(p.asset.stored()), id)
	if vault.Unusable(err) {
		err = nil // what cannot be read proves nothing
	}
	if err != nil {
		return "", false, fmt.Errorf("read what was proven of point %s: %w", id, err)
	}
	level, failed := vault.Standing(receipts)
	return level, failed, nil
}

// outside says which times there are, the recommended one first.
func (p points) outside(at time.Time, next *vault.Manifest) error {
	if len(p.all) == 0 {
		return hint.Wrapf(fmt.Errorf("%w of %q in %s", vault.ErrNoBackup, p.asset.Name, p.vault), "lifeboat backup %s makes one, of the database as it is now", p.asset.Name)
	}
	newest, oldest := p.all[0], p.all[len(p.all)-1]
	if next == nil { // then all are after it
		next = &oldest
	}
	there := fmt.Sprintf("There are %s, from %s to %s", printable.Count(len(p.all), "point"), precise(oldest.Cut), precise(newest.Cut))
	if len(p.all) == 1 {
		there = "It is the only point there is"
	}
	return hint.Wrapf(hint.Blame(fmt.Errorf("%w of %q at or before %s", vault.ErrNoBackup, p.asset.Name, precise(at)), "at"),
		"the nearest point after it is of %s, %s later: take that with at: %s, if the harm is not in it yet. %s. What was lost before them may still be in a copy of the vault",
		precise(next.Cut), printable.Span(next.Cut.Sub(at)), exact(next.Cut), there)
}

// precise is [clock] where less than a second decides.
func precise(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// exact is a time that, given back to us, is not before the point that has it.
func exact(t time.Time) string {
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		t = t.Truncate(time.Millisecond).Add(time.Millisecond)
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// moment reads the wanted time, which must have passed by our clock.
func (p points) moment(text string, now time.Time) (time.Time, error) {
	at, err := vault.ParseTime(text, now)
	if err != nil {
		return at, err
	}
	if at.After(now.Add(vault.Skew)) {
		err := hint.Blame(fmt.Errorf("%w: %s is %s in the future by the clock of this machine, which says %s", action.ErrRefused, clock(at), printable.Span(at.Sub(now)), clock(now)), "at")
		if len(p.all) == 0 {
			return at, hint.Wrap(err, "name a time that has passed; if the clock is wrong, correct it first")
		}
		return at, hint.Wrapf(action.Given(err), "name a time that has passed: the newest point is of %s; if the clock is wrong, correct it first", clock(p.all[0].Cut))
	}
	return at, nil
}

// named is a point that a person has named.
func (p points) named(ctx context.Context, id string) (c choice, err error) {
	if c.Manifest, err = p.vault.Get(ctx, vault.AssetID(p.asset.stored()), id); err != nil {
		if errors.Is(err, vault.ErrNoBackup) && len(p.all) > 0 {
			err = hint.Wrapf(hint.Blame(err, "point"), "the newest is %s of %s; lifeboat vault ls %s lists them", p.all[0].ID, clock(p.all[0].Cut), p.asset.Name)
		}
		return c, err
	}
	var failed bool
	if c.proven, failed, err = p.standing(ctx, id); failed {
		c.passed = []string{"a verification of this point has failed; it is proven anew while it is rebuilt"}
	}
	return c, err
}
