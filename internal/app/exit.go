package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/journal"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/runner"
)

// Exit codes, stable for scripts.
const (
	exitComplete    = 0  // also with overrides, said in the output
	exitNotComplete = 1  // a run ended and is not complete, or something broke
	exitUsage       = 2  // usage, configuration or runbook error: nothing ran
	exitPerson      = 3  // a person is needed; the run stays open
	exitAborted     = 4  // a person ended the run
	exitCheck       = 5  // a verification or audit check failed
	exitBusy        = 75 // another process is at it: try again later (EX_TEMPFAIL)
)

// usageError marks a mistake that was found before anything ran.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// problems are findings about a runbook or a configuration, each with its place.
type problems []runbook.Problem

func (p problems) Error() string {
	if len(p) == 1 {
		return p[0].Error()
	}
	return fmt.Sprintf("%s\n(and %d more)", p[0].Error(), len(p)-1)
}

// ended is a run that did not end well; its code says how.
type ended struct {
	run  run.Run
	code int
}

func (e ended) Error() string {
	return fmt.Sprintf("run %s: %s", e.run.ID.Short(), e.run.Outcome)
}

// outcome gives the error of a run that has ended, nil for a good end.
func outcome(r run.Run) error {
	switch r.Outcome {
	case run.Complete, run.CompleteWithOverrides:
		return nil
	case run.Aborted:
		return ended{r, exitAborted}
	}
	begun := false
	for _, s := range r.Steps {
		begun = begun || s.Attempt > 0
		switch {
		case s.State != run.Failed || s.ElseTo != "":
		case s.Busy:
			return ended{r, exitBusy}
		case s.CheckFailed:
			return ended{r, exitCheck}
		case !begun: // not even the first step could be planned
			return ended{r, exitUsage}
		}
	}
	return ended{r, exitNotComplete}
}

// code maps an error to its exit code.
func code(err error) int {
	var (
		u usageError
		p problems
		e ended
	)
	switch {
	case err == nil:
		return exitComplete
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, errBusy), errors.Is(err, runner.ErrBusy), errors.Is(err, engine.ErrConflict), errors.Is(err, journal.ErrBusy):
		return exitBusy
	case errors.Is(err, engine.ErrPerson), errors.Is(err, engine.ErrLeft):
		return exitPerson
	case errors.Is(err, errAudit), errors.Is(err, errTheme), errors.Is(err, errUnsound), errors.Is(err, errNotReady), errors.Is(err, journal.ErrCorrupt), errors.Is(err, journal.ErrRolledBack):
		return exitCheck
	case errors.As(err, &u), errors.As(err, &p), errors.Is(err, engine.ErrEnded), errors.Is(err, engine.ErrBookChanged):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitPerson
	}
	return exitNotComplete
}

// errAudit marks a history that does not prove itself.
var errAudit = errors.New("the journal does not prove itself")

// complain prints an error with its advice. It is the only place that prints errors.
func complain(w io.Writer, err error) {
	var list problems
	if errors.As(err, &list) {
		for _, p := range list {
			fmt.Fprintln(w, printable.Text(p.Error()))
		}
		return
	}
	fmt.Fprintf(w, "lifeboat: %s\n", printable.Text(err.Error()))
	for _, h := range hint.All(err) {
		fmt.Fprintf(w, "  %s\n", printable.Text(h))
	}
}
