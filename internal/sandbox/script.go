package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// ByScript is the breakage of a sandbox that somebody's own script broke.
const ByScript = "script"

// BreakBy breaks the sandbox with damage, once, as [Sandbox.Break] does with a breakage
// of its own: the oracle expects everything to be as it was before.
func (s *Sandbox) BreakBy(ctx context.Context, damage func(context.Context) error) error {
	t, err := s.beforeDamage(ctx)
	if err != nil {
		return err
	}
	t.Breakage = ByScript
	if err := s.store(brokenName, t); err != nil {
		return fmt.Errorf("break the sandbox: %w", err)
	}
	if err := damage(ctx); err != nil {
		return hint.Wrap(fmt.Errorf("break the sandbox by a script: %w", err), "Reset the sandbox before you go on.")
	}
	return durable.Create(s.truth(doneName), nil, 0o600)
}

// Wait waits until the application has written n more rows: bookings and payments.
func (s *Sandbox) Wait(ctx context.Context, n int) error {
	db, err := openDatabase(s.Database(), "ro")
	if err != nil {
		return fmt.Errorf("wait for bookings: %w", err)
	}
	defer db.Close()
	var first, now int
	count := func(to *int) error {
		return db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM appointments) + (SELECT count(*) FROM payments)").Scan(to)
	}
	if err := count(&first); err != nil {
		return fmt.Errorf("wait for bookings: %w", err)
	}
	const most = 2 * time.Minute
	late := time.NewTimer(most)
	defer late.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for now = first; now < first+n; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for bookings: %w", ctx.Err())
		case <-late.C:
			return fmt.Errorf("wait for bookings: %w after %s, %d of %d were written", errQuiet, most, now-first, n)
		case <-tick.C:
		}
		if err := count(&now); err != nil {
			return fmt.Errorf("wait for bookings: %w", err)
		}
	}
	return nil
}

// errQuiet is an application that does not write.
var errQuiet = errors.New("the application is too quiet")
