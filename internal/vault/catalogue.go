package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/hint"
)

// requests is how many requests are under way at once where many are needed.
const requests = 8

// each calls f for 0 … n-1, a few at a time, and returns the error of the lowest number
// that failed. After the first failure no more are begun.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, requests)
	for i := range n {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if errs[i] = f(ctx, i); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	// A failure cancels the others; the one that is not their echo tells more.
	var echo error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		echo = cmpOr(echo, err)
	}
	return cmpOr(echo, ctx.Err())
}

func cmpOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Assets lists the ids of the assets that have anything in the vault.
func (v *Vault) Assets(ctx context.Context) ([]string, error) {
	names, err := v.store.list(ctx, assetsPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the assets: %w", err)
	}
	var out []string
	for _, n := range names {
		if id, ok := strings.CutSuffix(n, "/"); ok && assetForm.MatchString(id) {
			out = append(out, id)
		}
	}
	return out, nil
}

// walk visits the ids of an asset's points, newest first, until visit returns false. Days
// that end before since or begin after until are not listed; zero times set no bound. It
// needs one request for the years, one for each year and month that it enters, and one
// for each day.
func (v *Vault) walk(ctx context.Context, asset string, since, until time.Time, visit func(id string) (bool, error)) error {
	if !assetForm.MatchString(asset) {
		return fmt.Errorf("%q is not the id of an asset", asset)
	}
	low, high := "", "\xff"
	if !since.IsZero() {
		low = stamp(since)[:8]
	}
	if !until.IsZero() {
		high = stamp(until)[:8]
	}
	_, err := v.descend(ctx, pointsPrefix(asset), "", low, high, visit)
	if err != nil {
		return fmt.Errorf("list the points of %q: %w", asset, err)
	}
	return nil
}

// descend walks below a prefix whose date so far is date: "", "2026", "202611", "20261123".
func (v *Vault) descend(ctx context.Context, prefix, date, low, high string, visit func(id string) (bool, error)) (bool, error) {
	names, err := v.store.list(ctx, prefix)
	if err != nil {
		return false, err
	}
	for _, name := range slices.Backward(names) {
		if len(date) == 8 {
			id, ok := strings.CutSuffix(name, ".json")
			if _, err := pointTime(id); !ok || err != nil || id[:8] != date {
				continue
			}
			if more, err := visit(id); err != nil || !more {
				return false, err
			}
			continue
		}
		part, ok := strings.CutSuffix(name, "/")
		width := 2
		if date == "" {
			width = 4
		}
		if !ok || len(part) != width || strings.Trim(part, "0123456789") != "" {
			continue
		}
		d := date + part
		if d < low[:min(len(low), len(d))] || d > high[:min(len(high), len(d))] {
			continue
		}
		if more, err := v.descend(ctx, prefix+name, d, low, high, visit); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// Points lists the ids of an asset's points that began at since or later, newest first.
// It reads names only: one request for each day.
func (v *Vault) Points(ctx context.Context, asset string, since time.Time) ([]string, error) {
	var ids []string
	err := v.walk(ctx, asset, since, time.Time{}, func(id string) (bool, error) {
		if !since.IsZero() && id[:len(stampLayout)] < stamp(since) {
			return false, nil
		}
		ids = append(ids, id)
		return true, nil
	})
	return ids, err
}

// List reads the manifests of an asset's points that began at since or later, newest
// first; a zero since means all. Manifests that cannot be used do not hide the others:
// they are left out, and the error names them all.
func (v *Vault) List(ctx context.Context, asset string, since time.Time) ([]Manifest, error) {
	ids, err := v.Points(ctx, asset, since)
	if err != nil {
		return nil, err
	}
	all := make([]Manifest, len(ids))
	bad := make([]error, len(ids))
	err = each(ctx, len(ids), func(ctx context.Context, i int) error {
		all[i], bad[i] = v.Get(ctx, asset, ids[i])
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(m Manifest) bool { return m.ID == "" }), errors.Join(bad...)
}

// Get reads the manifest of one point. Errors: ErrNoBackup, ErrDamaged, ErrNewer,
// ErrUntrusted, each naming the object.
func (v *Vault) Get(ctx context.Context, asset, id string) (Manifest, error) {
	if !assetForm.MatchString(asset) {
		return Manifest{}, fmt.Errorf("%q is not the id of an asset", asset)
	}
	if _, err := pointTime(id); err != nil {
		return Manifest{}, hint.Wrap(err, "the ids are the names of the manifests below p/ of the asset")
	}
	key := manifestKey(asset, id)
	var m Manifest
	err := twice(func() error {
		raw, err := v.small(ctx, key)
		if err != nil {
			return err
		}
		m, err = parseManifest(raw, asset, id, v.o.Trust)
		return err
	})
	if errors.Is(err, errNotExist) {
		err = hint.Wrap(fmt.Errorf("%w: %w", ErrNoBackup, err), "the points are the manifests below p/ of the asset")
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest %q: %w", key, err)
	}
	return m, nil
}

// Skew is how far two clocks are apart that are called right. What is dated further ahead
// was written by a clock that was wrong.
const Skew = 5 * time.Minute

// Past drops from ids, newest first as [Vault.Points] lists them, those dated more than
// [Skew] after now, unless all are.
func Past(ids []string, now time.Time) []string {
	for i, id := range ids {
		if !ahead(id, now) {
			return ids[i:]
		}
	}
	return ids
}

// ahead says of a point that its clock was. No point holds less than up to its beginning.
func ahead(id string, now time.Time) bool { return timeOf(id).After(now.Add(Skew)) }

// Latest reads the manifest of the newest point, in a few listings and one read however
// many points there are. A newest manifest that cannot be used is an error and is not
// passed over in silence; [Vault.Points] and Get reach the older ones.
//
// A point whose cut lies more than [Skew] after now does not count while there is another:
// what a clock that was ahead has written would else hide all newer ones until that day.
func (v *Vault) Latest(ctx context.Context, asset string) (Manifest, error) {
	return v.latest(ctx, asset, v.o.Now())
}

func (v *Vault) latest(ctx context.Context, asset string, now time.Time) (Manifest, error) {
	until := now.Add(Skew)
	m, err := v.newest(ctx, asset, until, func(m Manifest) bool { return !m.Cut.After(until) })
	if errors.Is(err, ErrNoBackup) {
		return v.newest(ctx, asset, time.Time{}, func(Manifest) bool { return true })
	}
	return m, err
}

// At reads the manifest of the newest point that holds nothing newer than t.
func (v *Vault) At(ctx context.Context, asset string, t time.Time) (Manifest, error) {
	m, err := v.newest(ctx, asset, t, func(m Manifest) bool { return !m.Cut.After(t) })
	if errors.Is(err, ErrNoBackup) {
		err = fmt.Errorf("at %s: %w", t.UTC().Format(time.RFC3339), err)
	}
	return m, err
}

func (v *Vault) newest(ctx context.Context, asset string, until time.Time, want func(Manifest) bool) (Manifest, error) {
	var found Manifest
	err := v.walk(ctx, asset, time.Time{}, until, func(id string) (bool, error) {
		if !until.IsZero() && id[:len(stampLayout)] > stamp(until) {
			return true, nil
		}
		m, err := v.Get(ctx, asset, id)
		if err != nil {
			if errors.Is(err, ErrNoBackup) { // listed a moment ago
				err = fmt.Errorf("manifest of point %s: %w", id, ErrMissing)
			}
			if Unusable(err) {
				err = hint.Wrap(err, "the older points are not touched by that: name one by its id; the next backup is a full one")
			}
			return false, err
		}
		if !want(m) {
			return true, nil
		}
		found = m
		return false, nil
	})
	if err != nil {
		return Manifest{}, err
	}
	if found.ID == "" {
		err := fmt.Errorf("%w of %q in %s", ErrNoBackup, asset, v.url)
		if until.IsZero() { // else there may be later ones
			err = hint.Wrap(err, "lifeboat backup makes one")
		}
		return Manifest{}, err
	}
	return found, nil
}
