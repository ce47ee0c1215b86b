package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

const replayDoc = `Applies a log of SQL to a side file, up to a time, as one transaction: all of it, or
nothing. Never to a database of the estate: that is what swap is for.

The log is as for sqlite.rewind. A statement that fails is shown with its line; then either
stop before it, with an earlier at:, or leave it out, with skip:. What reaches beyond the data
is refused: ATTACH, VACUUM, load_extension, settings, commands of the sqlite3 program.

` + "```sqlite.replay" + `
file: ./rewound.db
log: ./recovery-log.sql
at: 0m
` + "```" + `

Saves: file, statements, rows, later (statements after the time), reached, kept.
`

type replayParams struct {
	File  string   `param:"file,required" help:"the side file"`
	Log   string   `param:"log,required" help:"the file of SQL"`
	After string   `param:"after" help:"leave out what was committed up to this time, which the file holds already: the cut of its point"`
	At    string   `param:"at" help:"leave out what was committed after this time"`
	Skip  []string `param:"skip" help:"lines of the log whose statements are left out"`
	Loose bool     `param:"without_foreign_keys" help:"execute the log as an application does that does not ask for foreign keys"`
}

func (d Deps) replay() action.Action {
	return action.New(action.Def[replayParams]{
		Name: "sqlite.replay", Summary: "Apply a log of SQL to a side file, up to a time", Doc: replayDoc,
		Effect: action.Write, Repeat: action.Once,
		Check: func(p replayParams) error {
			for name, text := range map[string]string{"after": p.After, "at": p.At} {
				if text == "" {
					continue
				}
				if _, err := vault.ParseTime(text, time.Time{}); err != nil {
					return &action.ArgError{Name: name, Msg: err.Error(), Fix: vault.TimeForms}
				}
			}
			return checkSkip(p.Log, p.Skip)
		},
		Plan: d.planReplay, Run: d.runReplay, Probe: probeReplay,
		Inverse: wayBack[replayParams](),
	})
}

// sideFile is a sound database file that is none of the estate's.
func (d Deps) sideFile(ctx context.Context, env *action.Env, file string) (target, error) {
	path, err := real(absolute(env, file))
	if err != nil {
		return target{}, err
	}
	if err := env.Allowed(path); err != nil {
		return target{}, err
	}
	if d.isLive(path) {
		return target{}, hint.Wrap(fmt.Errorf("%w: %q is a database of the estate", action.ErrRefused, path), "make a side file with sqlite.rewind, work on that, then put it into place with sqlite.swap")
	}
	t, err := look(ctx, path)
	switch {
	case err != nil:
		return t, err
	case t.how == howNew:
		return t, hint.Wrap(fmt.Errorf("%w: %q is not there", action.ErrRefused, path), "make a side file with sqlite.rewind first")
	case t.how != howOverwrite:
		return t, hint.Wrap(fmt.Errorf("%w: %q is not sound: %s", action.ErrRefused, path, t.why), "make a new side file with sqlite.rewind")
	}
	return t, nil
}

func (d Deps) isLive(path string) bool {
	if d.Live == nil {
		return false
	}
	mine, err := os.Stat(path)
	for _, live := range d.Live() {
		if p, rerr := real(live); rerr == nil && p == path {
			return true
		}
		if info, lerr := os.Stat(live); err == nil && lerr == nil && os.SameFile(info, mine) {
			return true
		}
	}
	return false
}

func (d Deps) planReplay(ctx context.Context, env *action.Env, p replayParams) (action.Plan, error) {
	t, err := d.sideFile(ctx, env, p.File)
	if err != nil {
		return action.Plan{}, err
	}
	after, until, err := bounds(p, env.Now())
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: t.path, Effect: action.Write,
		Summary: fmt.Sprintf("applies the log %s to %s", p.Log, t.path),
		Facts: map[string]string{
			"how": howOverwrite, "path": t.path, "hash": t.hash, "want": "", "keep": db.Free(t.path + ".before-" + env.Run),
			"after": stamp(after), "until": stamp(until),
		},
		Lines: []action.Line{{Label: "changes", Text: rowWords(t.facts)}},
		Stop:  "Yes: it is one transaction, which SQLite rolls back.",
	}
	out.Lines = append(out.Lines, action.Line{Label: "is kept", Text: out.Facts["keep"]})
	out.Back = "the file of before is put back from " + out.Facts["keep"]
	return out, planLog(ctx, env, p.Log, p.Skip, after, until, &out)
}

func bounds(p replayParams, now time.Time) (after, until time.Time, err error) {
	if p.After != "" {
		if after, err = vault.ParseTime(p.After, now); err != nil {
			return after, until, err
		}
	}
	if p.At != "" {
		if until, err = vault.ParseTime(p.At, now); err != nil {
			return after, until, err
		}
		if until.After(now.Add(vault.Skew)) {
			return after, until, hint.Wrap(hint.Blame(fmt.Errorf("%w: %s is in the future by the clock of this machine, which says %s", action.ErrRefused, clock(until), clock(now)), "at"), "leave at: out to apply the whole log; if the clock is wrong, correct it first")
		}
		if !until.After(after) {
			return after, until, hint.Wrap(hint.Blame(fmt.Errorf("%w: at: %s is not later than after: %s", action.ErrRefused, clock(until), clock(after)), "at"), "nothing of the log lies between them; exchange the two, or go back further with sqlite.rewind")
		}
	}
	return after, until, nil
}

// stamp is a time in the facts of a plan, where a relative one must not move.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func unstamp(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (d Deps) runReplay(ctx context.Context, env *action.Env, p replayParams, plan action.Plan) (action.Result, error) {
	path := plan.Facts["path"]
	t, err := d.sideFile(ctx, env, path)
	if err != nil {
		return action.Result{}, err
	}
	if t.path != path || t.hash != plan.Facts["hash"] {
		return action.Result{}, changed(path)
	}
	l := db.Log{Path: plan.Facts["log"], After: unstamp(plan.Facts["after"]), Until: unstamp(plan.Facts["until"]), Skip: skipped(p.Skip)}
	done, f, err := applyLog(ctx, env, l, plan, db.Change{Path: path, Want: t.hash, Keep: plan.Facts["keep"], ForeignKeys: !p.Loose})
	if err != nil {
		return action.Result{}, settled(path, err)
	}
	res := action.Result{
		Evidence: fmt.Sprintf("%s: %d statements applied, %d rows changed", path, f.Applied, done.Rows),
		Outputs: map[string]any{
			"file": path, "statements": int64(f.Applied), "rows": done.Rows, "later": int64(f.Later), "kept": plan.Facts["keep"], "reached": stamp(f.Reached),
		},
		Facts: map[string]string{"kept": plan.Facts["keep"]},
		Back:  plan.Back,
	}
	return stands(ctx, env, path, done.Content, res)
}

// settled gives the errors of a change their meaning for the engine.
func settled(path string, err error) error {
	switch {
	case errors.Is(err, db.ErrChanged):
		return fmt.Errorf("%w: %w", changed(path), err)
	case errors.Is(err, durable.ErrUnclear):
		return fmt.Errorf("%w: %w", action.ErrUnclear, err)
	case errors.Is(err, db.ErrLog):
		return action.Given(err)
	}
	return err
}

// probeReplay compares the file with that of before, and with what was kept of it.
func probeReplay(ctx context.Context, _ *action.Env, _ replayParams, plan action.Plan) (action.Probe, error) {
	f := plan.Facts
	pr := action.Probe{Finding: action.Unknown, Before: short(f["hash"]), Wanted: "the log applied", Command: []string{"sqlite3 " + f["path"] + " 'PRAGMA integrity_check'"}}
	t, err := look(ctx, f["path"])
	if err != nil {
		pr.Found, pr.Means = err.Error(), "The file cannot be read now, so nobody can tell."
		return pr, nil
	}
	pr.Found = short(t.hash)
	kept, err := db.Inspect(ctx, f["keep"])
	switch {
	case t.how == howOverwrite && t.hash == f["hash"]:
		pr.Finding, pr.Means = action.NotApplied, "The file is as it was before the step."
	case t.how == howOverwrite && err == nil && kept.Content == f["hash"]:
		pr.Finding, pr.Means = action.Applied, fmt.Sprintf("The file is another one than before, which is at %s: the log was applied as a whole.", f["keep"])
	default:
		pr.Means = "The file is neither as before nor surely what the step made."
	}
	return pr, nil
}
