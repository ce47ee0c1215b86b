package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"lifeboat/internal/hint"
)

// BackupOptions of [Vault.Backup]. The zero value makes an increment where it can.
type BackupOptions struct {
	Full     bool          // do not build on the newest point
	Class    string        // "", "daily", "weekly", "monthly" or "quarterly"
	RunID    string        // of the run that asked
	RPO      time.Duration // wanted, for the manifest
	Now      func() time.Time
	Progress func(done, total int64, unit string)
	Log      io.Writer
}

// Backup makes one restore point of an asset and returns its manifest. The point exists
// when, and only when, the manifest is stored; that is the last write. After an error
// nothing lists the attempt; its data stays behind under d/ until it is pruned. Only an
// error of that last write may leave a point after all: a whole one.
//
// The newest point is the parent. When its chain has become long, the full backup that
// the chain began with is, and the point replaces all increments since (Kind RollUp). The
// backup is full when Full is set, there is no point, a roll-up would be too large, the
// chain's lock ends too early, or something is wrong with the chain; the log says why. Two backups of one asset at the same time give two points with the same parent.
func (v *Vault) Backup(ctx context.Context, a Asset, k Kind, o BackupOptions) (Manifest, error) {
	if o.Now == nil {
		o.Now = v.o.Now
	}
	o.Log, o.Progress = orDiscard(o.Log), orSilent(o.Progress)
	if !kindForm.MatchString(k.Name()) || reserved[k.Name()] {
		return Manifest{}, fmt.Errorf("back up %q: %q cannot be the name of a kind of asset", a.Name, k.Name())
	}
	if a.Kind != "" && a.Kind != k.Name() {
		return Manifest{}, fmt.Errorf("back up %q: it is of kind %q and was given to %q", a.Name, a.Kind, k.Name())
	}
	if !slices.Contains([]string{"", "daily", "weekly", "monthly", "quarterly"}, o.Class) {
		return Manifest{}, hint.Wrap(fmt.Errorf("back up %q: unknown class %q", a.Name, o.Class), "daily, weekly, monthly or quarterly")
	}
	m, err := v.backup(ctx, a, k, o)
	if err != nil {
		return Manifest{}, fmt.Errorf("back up %q: %w", a.Name, err)
	}
	return m, nil
}

func (v *Vault) backup(ctx context.Context, a Asset, k Kind, o BackupOptions) (Manifest, error) {
	if err := v.writeReadme(ctx); err != nil {
		return Manifest{}, err
	}
	var parent *Manifest
	try := k
	if !o.Full {
		p, rollUp, why, err := v.parent(ctx, AssetID(a), k.Name(), o.Now())
		if err != nil {
			return Manifest{}, err
		}
		switch {
		case rollUp:
			fmt.Fprintf(o.Log, "roll-up: %s\n", why)
			try = &rollingUp{Kind: k, limit: plainSize(p.Chain) * maxRollUp / 100}
		case why != "":
			fmt.Fprintf(o.Log, "full backup: %s\n", why)
		}
		parent = p
	}
	m, err := v.attempt(ctx, a, try, o, parent)
	if r, ok := try.(*rollingUp); ok && r.outgrown.Load() {
		err = fmt.Errorf("%w: the roll-up is larger than %d %% of the full backup", errParent, maxRollUp)
	}
	if parent != nil && errors.Is(err, errParent) && ctx.Err() == nil {
		fmt.Fprintf(o.Log, "full backup: %v\n", err)
		m, err = v.attempt(ctx, a, k, o, nil)
	}
	return m, err
}

// parent chooses the point to build on, and says whether to roll up the chain. nil and a
// reason mean a full backup; an error means that the vault could not be asked.
func (v *Vault) parent(ctx context.Context, asset, kind string, now time.Time) (p *Manifest, rollUp bool, why string, err error) {
	m, err := v.latest(ctx, asset, now)
	if why, err := unfit(m, err, kind, now); why != "" || err != nil {
		return nil, false, why, err
	}
	why, err = v.overgrown(ctx, m)
	if err != nil {
		return nil, false, "", err
	}
	if why != "" {
		rollUp = true
		m, err = v.Get(ctx, asset, m.Chain[0].attempt())
		if not, err := unfit(m, err, kind, now); not != "" || err != nil {
			return nil, false, why + ", and there is nothing to roll them up on: " + not, err
		}
	}
	if end := lockEnd(m.Chain); v.locking() && end.Before(now.Add(v.o.Lock.For)) {
		return nil, false, fmt.Sprintf("the lock of the chain of point %s ends before that of a new point would", m.ID), nil
	}
	err = v.sound(ctx, m)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrMissing) {
		return nil, false, fmt.Sprintf("the chain of point %s is broken: %v", m.ID, err), nil
	}
	if err != nil {
		return nil, false, "", err
	}
	return &m, rollUp, why, nil
}

// unfit says why the point m, or err in its place, cannot be built on.
func unfit(m Manifest, err error, kind string, now time.Time) (string, error) {
	switch {
	case errors.Is(err, ErrNoBackup) && m.ID == "":
		return "this is the first", nil
	case Unusable(err):
		return fmt.Sprintf("the newest point cannot be built on: %v", err), nil
	case err != nil:
		return "", err
	case m.Type != kind:
		return fmt.Sprintf("point %s is of type %q", m.ID, m.Type), nil
	case len(m.Chain) == 0:
		return fmt.Sprintf("point %s holds nothing", m.ID), nil
	case len(m.Chain) >= maxChain-maxSteps:
		return fmt.Sprintf("the chain of point %s has %d objects", m.ID, len(m.Chain)), nil
	case m.Started.After(now):
		return fmt.Sprintf("point %s is dated in the future; compare the clocks", m.ID), nil
	}
	return "", nil
}

// Unusable says whether an error is about one point, which is damaged, missing, of a
// newer Lifeboat or not trusted: the next backup is a full one, that does without it.
func Unusable(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrMissing) || errors.Is(err, ErrNewer) || errors.Is(err, ErrUntrusted)
}

// sound looks whether the objects of a chain are there and whether a failed verification
// of one of its points stands. An increment on a broken chain restores nothing.
func (v *Vault) sound(ctx context.Context, m Manifest) error {
	return each(ctx, len(m.Chain)+len(related(m)), func(ctx context.Context, i int) error {
		if i < len(m.Chain) {
			return v.stored(ctx, m.Chain[i].Key, m.Chain[i].Size)
		}
		point := related(m)[i-len(m.Chain)]
		names, err := v.receiptNames(ctx, m.Asset, point)
		if err != nil {
			return err
		}
		if _, failure := standing(names); failure != nil {
			return fmt.Errorf("the verification of point %s at %s: %w", point, failure.stamp, ErrDamaged)
		}
		return nil
	})
}

// related are the points whose receipts speak of the objects of m: itself, its parent,
// and those that wrote the objects.
func related(m Manifest) []string {
	ids := []string{m.ID}
	if m.Parent != nil {
		ids = append(ids, m.Parent.ID)
	}
	for _, o := range m.Chain {
		ids = append(ids, o.attempt())
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (v *Vault) writeReadme(ctx context.Context) error {
	v.mu.Lock()
	done := v.readme
	v.mu.Unlock()
	if done {
		return nil
	}
	_, err := v.store.stat(ctx, readmeKey)
	if errors.Is(err, errNotExist) {
		err = v.putSmall(ctx, readmeKey, putOptions{contentType: "text/markdown; charset=utf-8"}, []byte(readmeText))
		if errors.Is(err, errExists) { // another process, perhaps with another text
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", readmeKey, err)
	}
	v.mu.Lock()
	v.readme = true
	v.mu.Unlock()
	return nil
}
