package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"lifeboat/internal/hint"
)

// Change is one difference between two points. All texts come from what was backed up and
// are hostile.
type Change struct {
	What   string // "ref", "table", "file"
	Name   string
	Before string // "" when it was not there
	After  string // "" when it is there no more
}

// maxChanges bounds the answer of Diff.
const maxChanges = 100_000

// Diff says what changed from one point of an asset to another. Objects are read from the
// bucket as Kind asks for them, which must be a [Differ].
func (v *Vault) Diff(ctx context.Context, older, newer Manifest, k Kind) ([]Change, error) {
	changes, err := v.diff(ctx, older, newer, k)
	if err != nil {
		return nil, fmt.Errorf("compare points %s and %s: %w", older.ID, newer.ID, err)
	}
	return changes, nil
}

func (v *Vault) diff(ctx context.Context, older, newer Manifest, k Kind) ([]Change, error) {
	d, ok := k.(Differ)
	if !ok {
		return nil, hint.Wrap(fmt.Errorf("assets of kind %q cannot be compared", k.Name()), "restore both points and compare what they hold")
	}
	if err := errors.Join(fits(older, k), fits(newer, k)); err != nil {
		return nil, err
	}
	if older.Asset != newer.Asset {
		return nil, fmt.Errorf("they are of two assets, %q and %q", older.Asset, newer.Asset)
	}
	var changes []Change
	more := false
	a, b := &opened{v: v, ctx: ctx, m: older}, &opened{v: v, ctx: ctx, m: newer}
	err := d.Diff(ctx, older.Facts, newer.Facts, a.open, b.open, func(what, name, before, after string) {
		if len(changes) == maxChanges {
			more = true
			return
		}
		changes = append(changes, Change{what, name, before, after})
	})
	if err := errors.Join(a.close(), b.close()); err != nil { // tells more than what Kind made of it
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if more {
		return nil, fmt.Errorf("more than %d changes", maxChanges)
	}
	return changes, nil
}

// opened are the objects of one point that a Differ has asked for.
type opened struct {
	v   *Vault
	ctx context.Context
	m   Manifest

	mu  sync.Mutex // protects below
	all []io.Closer
}

func (r *opened) open(role string) (io.ReadCloser, error) {
	for _, o := range slices.Backward(slices.Concat(r.m.Chain, r.m.Aux)) {
		if o.Role != role {
			continue
		}
		p, err := r.v.reader(r.ctx, o, nil)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, p)
		return p, nil
	}
	return nil, fmt.Errorf("point %s has no object of role %q", r.m.ID, role)
}

// close proves that what was read was as recorded.
func (r *opened) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for _, c := range r.all {
		err = errors.Join(err, c.Close())
	}
	return err
}
