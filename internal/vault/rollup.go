package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
)

// The increments of a chain are rolled up into one when there are maxSteps, or when they
// hold more than maxShare percent of what its full backup holds. A roll-up that would hold
// more than maxRollUp percent of it makes place for a new full backup.
const (
	maxSteps  = 32
	maxShare  = 30
	maxRollUp = 50
)

// overgrown says why the increments of a point are rolled up. A roll-up that the chain has
// already, its second step, does not count: it would ask for the next one at every point.
func (v *Vault) overgrown(ctx context.Context, m Manifest) (string, error) {
	steps, base, rest := chainSizes(m.Chain)
	if steps < maxSteps && rest*100 <= base*maxShare {
		return "", nil
	}
	second := m.Chain[slices.IndexFunc(m.Chain, func(o Object) bool { return o.attempt() != m.Chain[0].attempt() })].attempt()
	r, err := v.Get(ctx, m.Asset, second)
	if err != nil && !Unusable(err) && !errors.Is(err, ErrNoBackup) {
		return "", err
	}
	if err == nil && r.Kind == RollUp {
		steps--
		for _, o := range m.Chain {
			if o.attempt() == second {
				rest -= o.Size
			}
		}
	}
	switch {
	case steps >= maxSteps:
		return fmt.Sprintf("the chain of point %s has %d increments", m.ID, steps), nil
	case rest*100 > base*maxShare:
		return fmt.Sprintf("the increments of point %s hold more than %d %% of its full backup", m.ID, maxShare), nil
	}
	return "", nil
}

func plainSize(objects []Object) (n int64) {
	for _, o := range objects {
		n += o.PlainSize
	}
	return n
}

// rollingUp is a Kind whose increment, made on the full point of a chain, replaces the
// increments since. It gives up when it has written more than limit plain bytes.
type rollingUp struct {
	Kind
	limit    int64
	written  atomic.Int64
	outgrown atomic.Bool
}

// errOutgrown ends a capture; the caller looks at outgrown, whatever Kind made of it.
var errOutgrown = errors.New("the roll-up has become too large")

// Capture is that of Kind.
func (r *rollingUp) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (string, []byte, error) {
	kind, facts, err := r.Kind.Capture(ctx, source, parent, open, func(role, name string) (io.WriteCloser, error) {
		w, err := create(role, name)
		if err != nil || role == "index" || role == roleMirror {
			return w, err
		}
		return &limitedWriter{WriteCloser: w, r: r}, nil
	}, progress, log)
	switch {
	case r.outgrown.Load() && err == nil: // a write failed, and Kind did not tell
		err = errOutgrown
	case kind == Incremental:
		kind = RollUp
	}
	return kind, facts, err
}

type limitedWriter struct {
	io.WriteCloser
	r *rollingUp
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.r.written.Add(int64(len(p))) > w.r.limit {
		w.r.outgrown.Store(true)
		return 0, errOutgrown
	}
	return w.WriteCloser.Write(p)
}

// SHA256 and Abort are those of the vault's own writer, which Kind may use.
func (w *limitedWriter) SHA256() string {
	if s, ok := w.WriteCloser.(interface{ SHA256() string }); ok {
		return s.SHA256()
	}
	return ""
}

// Abort drops the object.
func (w *limitedWriter) Abort() error {
	if a, ok := w.WriteCloser.(interface{ Abort() error }); ok {
		return a.Abort()
	}
	return nil
}

// chainSizes counts the attempts after the first in a chain, and the stored bytes of the
// first and of the rest.
func chainSizes(chain []Object) (steps int, base, rest int64) {
	last := chain[0].attempt()
	for _, o := range chain {
		if o.attempt() != last {
			last = o.attempt()
			steps++
		}
		if steps == 0 {
			base += o.Size
		} else {
			rest += o.Size
		}
	}
	return steps, base, rest
}
