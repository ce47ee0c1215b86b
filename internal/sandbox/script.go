package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// ByScript is the breakage of a sandbox that somebody's own script broke.
const ByScript = "script"

// OwnOracle is the check that somebody's own script makes.
const OwnOracle = "the oracle of the rehearsal"

// oracleName is the script of that check, among what the oracle knows.
const oracleName = "oracle.sh"

// scriptTime bounds a script of a rehearsal.
const scriptTime = time.Minute

// BreakBy breaks the sandbox by a script, once, as [Sandbox.Break] does with a breakage
// of its own: the oracle expects everything to be as it was before.
func (s *Sandbox) BreakBy(ctx context.Context, script string) error {
	t, err := s.beforeDamage(ctx)
	if err != nil {
		return err
	}
	t.Breakage = ByScript
	if err := s.store(brokenName, t); err != nil {
		return fmt.Errorf("break the sandbox: %w", err)
	}
	if err := s.run(ctx, script); err != nil {
		return hint.Wrap(fmt.Errorf("break the sandbox by a script: %w", err), "Reset the sandbox before you go on.")
	}
	return durable.Create(s.truth(doneName), nil, 0o600)
}

// Entrust gives the oracle a script beside its own checks, exit 0 means recovered, or
// takes it away with "".
func (s *Sandbox) Entrust(script string) error {
	if err := s.still(); err != nil {
		return fmt.Errorf("entrust a script to the oracle: %w", err)
	}
	if script == "" {
		if err := os.Remove(s.truth(oracleName)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return durable.WriteFile(s.truth(oracleName), []byte(script), 0o600)
}

// own makes the check that was entrusted to the oracle.
func (j *judge) own(ctx context.Context) {
	script, err := os.ReadFile(j.s.truth(oracleName))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = j.s.run(ctx, string(script))
	}
	evidence := "exit 0"
	if err != nil {
		evidence = err.Error()
	}
	j.check(err == nil, OwnOracle, evidence)
}

// run runs a script of a rehearsal in the directory of the sandbox, without credentials
// and with an empty home. Nothing but that keeps it in there: it is as trusted as the
// runbook that it rehearses.
func (s *Sandbox) run(ctx context.Context, script string) error {
	home, err := os.MkdirTemp("", "lifeboat-home-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	_, err = command.Run(command.InFront(ctx, s.Bin()), command.Cmd{
		Argv: []string{"sh", "-eu", "-c", script}, Dir: s.dir, Timeout: scriptTime,
		Env: map[string]string{"HOME": home, "SSH_AUTH_SOCK": ""},
	})
	return err
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
