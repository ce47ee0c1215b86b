package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const rewindDoc = `Rebuilds a database as it was at a time, into a new file beside it. The database itself
is not touched.

It takes the newest proven point that holds nothing younger than the time, with all its
increments, and, where there is a log of the SQL that was executed since, applies that up to
the time. A point is proven when a verification of level applied has passed; where none is,
it says so and takes an unproven one, which is proven while it is rebuilt.

The log is plain SQL. A comment line with a time stands before the statements that were
committed then, and what belongs together stands between BEGIN and COMMIT:

    -- 2026-11-22T14:30:05Z
    INSERT INTO appointments VALUES (...);
    -- 2026-11-22T14:30:09Z
    BEGIN; UPDATE ...; INSERT ...; COMMIT;

Where the rows went that are in no point and no log, nobody can say: ` + "`loss`" + ` is how many seconds
before the wanted time the file ends.

` + "```sqlite.rewind save=rewound" + `
asset: booking
at: 0m
to: ./rewound.db
` + "```" + `

Saves: file, point, cut, at, proven, statements, reached, loss (seconds).
`

type rewindParams struct {
	Asset string   `param:"asset,required" help:"the database"`
	At    string   `param:"at,required" help:"the time to go back to: 2026-11-23T14:30:00Z, or 90m for that long ago"`
	Point string   `param:"point" help:"id of the point to begin with, instead of the nearest proven one"`
	To    string   `param:"to" help:"the new file; without it beside the database, named after the time"`
	Log   string   `param:"log" help:"a file of the SQL that was executed since the point"`
	Skip  []string `param:"skip" help:"lines of the log whose statements are left out"`
	Loose bool     `param:"without_foreign_keys" help:"execute the log as an application does that does not ask for foreign keys"`
}

func (d Deps) rewind() action.Action {
	return action.New(action.Def[rewindParams]{
		Name: "sqlite.rewind", Summary: "Rebuild a database as it was at a time, into a new file", Doc: rewindDoc,
		Effect: action.Write, Repeat: action.Once,
		Check: func(p rewindParams) error {
			if _, err := vault.ParseTime(p.At, time.Time{}); err != nil {
				return &action.ArgError{Name: "at", Msg: err.Error(), Fix: vault.TimeForms}
			}
			return checkSkip(p.Log, p.Skip)
		},
		Plan: d.planRewind, Run: d.runRewind, Probe: probeRewind,
		Inverse: wayBack[rewindParams](),
	})
}

// checkSkip holds that lines are numbers, and lines of something.
func checkSkip(log string, skip []string) error {
	skip = lines(skip)
	if len(skip) > 0 && log == "" {
		return &action.ArgError{Name: "skip", Msg: "there is no log: to leave lines of out", Fix: "name the log, or take skip: out"}
	}
	for _, s := range skip {
		if n, err := strconv.Atoi(s); err != nil || n < 1 {
			return &action.ArgError{Name: "skip", Msg: fmt.Sprintf("%q is no number of a line", s), Fix: "write the lines at which the statements begin: [41, 57]"}
		}
	}
	return nil
}

// lines takes a list apart that came as the text of a parameter: "41, 57", or nothing.
func lines(list []string) []string {
	return strings.FieldsFunc(strings.Join(list, ","), func(r rune) bool { return r == ',' || r == ' ' })
}

func skipped(list []string) map[int]bool {
	out := map[int]bool{}
	for _, s := range lines(list) {
		if n, err := strconv.Atoi(s); err == nil {
			out[n] = true
		}
	}
	return out
}

func (d Deps) planRewind(ctx context.Context, env *action.Env, p rewindParams) (action.Plan, error) {
	a, err := d.Asset(p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	all, err := d.points(ctx, env, a)
	if err != nil {
		return action.Plan{}, err
	}
	at, err := all.moment(p.At, env.Now())
	if err != nil {
		return action.Plan{}, err
	}
	var c choice
	if p.Point != "" {
		c, err = all.named(ctx, p.Point)
	} else {
		c, err = all.nearest(ctx, at)
	}
	if err != nil {
		return action.Plan{}, err
	}
	if c.Cut.After(at) {
		return action.Plan{}, hint.Wrapf(hint.Blame(fmt.Errorf("%w: point %s is of %s, after the wanted time", action.ErrRefused, c.ID, clock(c.Cut)), "point", "at"), "leave point: out, or go to its time with at: %s", exact(c.Cut))
	}
	path, err := d.newFile(env, a, p.To, at)
	if err != nil {
		return action.Plan{}, err
	}
	_, want, err := d.point(ctx, env, a, c.ID, "")
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: path, Effect: action.Write,
		Summary: fmt.Sprintf("rebuilds %s as of %s into the new file %s", a.Name, clock(at), path),
		Facts: map[string]string{
			"how": howNew, "path": path, "hash": "", "point": c.ID, "want": want.Content, "keep": db.KeepAs(path, path+".before-"+env.Run),
			"at": at.Format(time.RFC3339Nano), "cut": c.Cut.UTC().Format(time.RFC3339Nano), "reached": c.Cut.UTC().Format(time.RFC3339Nano), "proven": string(c.proven),
		},
		Lines: []action.Line{
			{Label: "point", Text: fmt.Sprintf("%s, of %s: %s before the wanted time", c.ID, clock(c.Cut), printable.Span(at.Sub(c.Cut)))},
			{Label: "brings", Text: rowWords(want)},
			{Label: "is kept", Text: a.Path + " is not touched"},
		},
		Stop: "Yes: the file gets its name only when it is whole and proven.",
		Back: "the new file is moved aside",
	}
	c.describe(&out)
	warn(&out, all.notes...)
	target{path: path, how: howNew}.room(&out, want)
	if p.Log == "" {
		out.Lines = append(out.Lines, action.Line{Label: "is lost", Text: fmt.Sprintf("what was written in the %s between the point and the wanted time, but for what a log of its SQL brings back", printable.Span(at.Sub(c.Cut)))})
		return out, nil
	}
	out.Facts["want"] = ""
	return out, planLog(ctx, env, p.Log, p.Skip, c.Cut, at, &out)
}

// warn adds checks, and what is wrong with them where a person reads it first.
func warn(out *action.Plan, checks ...action.Check) {
	for _, c := range checks {
		if !c.OK {
			out.Lines = append(out.Lines, action.Line{Label: "mind", Text: c.Evidence})
		}
	}
	out.Checks = append(out.Checks, checks...)
}

// describe says how sure the choice is.
func (c choice) describe(out *action.Plan) {
	proof := action.Check{Text: "the point is proven", OK: c.proven.Covers(vault.LevelApplied), Evidence: "a verification of level " + string(c.proven) + " has passed"}
	if !proof.OK {
		proof.Evidence = "nobody has proven it; that is done while it is rebuilt, and nothing comes into place when it fails"
	}
	warn(out, proof)
	for _, p := range c.passed {
		out.Lines = append(out.Lines, action.Line{Label: "passed over", Text: p + "; take it with point:"})
	}
	if c.next != nil {
		out.Lines = append(out.Lines, action.Line{Label: "next point", Text: fmt.Sprintf("%s, of %s: after the wanted time", c.next.ID, clock(c.next.Cut))})
	}
}

// newFile is where a side file goes: a place at which nothing is.
func (d Deps) newFile(env *action.Env, a Asset, to string, at time.Time) (string, error) {
	path := a.Path + ".at-" + at.UTC().Format("20060102T150405Z") + "-" + env.Run
	if to != "" {
		path = absolute(env, to)
	}
	path, err := real(path)
	if err != nil {
		return "", err
	}
	if err := env.Allowed(path); err != nil {
		return "", err
	}
	keep := path + ".before-" + env.Run
	if db.Free(path) != path && !db.CutShort(path, keep) {
		return "", hint.Wrap(hint.Blame(fmt.Errorf("%w: %q, or a -wal, -shm or -journal of it, is there already", action.ErrRefused, path), "to"), "name another new file with to:, or move that one away")
	}
	return path, nil
}

// planLog looks through a log and says what would be taken of it.
func planLog(ctx context.Context, env *action.Env, log string, skip []string, after, until time.Time, out *action.Plan) error {
	l := db.Log{Path: absolute(env, log), After: after, Until: until, Skip: skipped(skip)}
	f, err := l.Read(ctx, nil)
	if errors.Is(err, db.ErrLog) {
		err = action.Given(err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", action.ErrRefused, err)
	}
	out.Facts["log"], out.Facts["log_sha256"] = l.Path, f.SHA256
	out.Facts["statements"] = strconv.Itoa(f.Applied)
	out.Facts["reached"] = reach(f, after, until).UTC().Format(time.RFC3339Nano)
	out.Lines = append(out.Lines, action.Line{Label: "log", Text: l.Path + ": " + logWords(f)})
	warn(out, logChecks(f, after, until, env.Now())...)
	return nil
}

// logWords counts what is taken of a log and what is not.
func logWords(f db.LogFacts) string {
	words := printable.Count(f.Applied, "statement") + " to apply"
	for _, part := range []struct {
		n    int
		what string
	}{
		{f.Earlier, "that the database holds already"}, {f.Later, "after the wanted time"}, {f.Skipped, "left out as asked"},
		{f.Undone, "of transactions that were never committed"}, {f.Settings, "about a connection, not data"},
		{len(f.Undecided), "of the very second of the point, left out"},
	} {
		if part.n > 0 {
			words += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return words
}

// logChecks says what a log cannot reach, and of what its times do not convince.
func logChecks(f db.LogFacts, after, until, now time.Time) (out []action.Check) {
	if !after.IsZero() {
		c := action.Check{Text: "the log begins before the point ends", OK: !f.First.IsZero() && !f.First.After(after), Evidence: "its first statement is of " + clock(f.First)}
		switch {
		case f.First.IsZero():
			c.Evidence = "there is not one time in it: is it the right file, and all of it?"
		case !c.OK:
			c.Evidence += fmt.Sprintf(": what was written in the %s before that and is not in the point cannot be reached", printable.Span(f.First.Sub(after)))
		}
		out = append(out, c)
	}
	if !until.IsZero() && !f.Last.IsZero() {
		c := action.Check{Text: "the log reaches the wanted time", OK: !f.Next.IsZero(), Evidence: "it goes on after it"}
		if !c.OK {
			c.Evidence = "its last statement is of " + clock(f.Last) + ": whether there were later ones nobody can say"
		}
		out = append(out, c)
	}
	if f.Last.After(now.Add(vault.Skew)) {
		out = append(out, action.Check{Text: "no statement is dated in the future", Evidence: fmt.Sprintf("the last one is of %s, and here it is %s: one of the two clocks is wrong", clock(f.Last), clock(now))})
	}
	if n := len(f.Undecided); n > 0 {
		out = append(out, action.Check{Text: "every statement is before or after the point", Evidence: fmt.Sprintf("lines %v are of the second in which it was cut: look with sqlite.compare whether it holds them", f.Undecided[:min(n, 10)])})
	}
	return out
}

func (d Deps) runRewind(ctx context.Context, env *action.Env, p rewindParams, plan action.Plan) (action.Result, error) {
	a, err := d.Asset(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	path := plan.Facts["path"]
	if err := env.Allowed(path); err != nil {
		return action.Result{}, err
	}
	if err := replacement(env, plan, "").Settle(ctx); err != nil {
		return action.Result{}, err
	}
	if t, err := look(ctx, path); err != nil {
		return action.Result{}, err
	} else if t.how != howNew {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: %q is there by now", action.ErrChanged, path), "name another new file with to:")
	}
	m, want, err := d.point(ctx, env, a, plan.Facts["point"], "")
	if err != nil {
		return action.Result{}, err
	}
	file, restored, done, err := d.rebuild(ctx, env, m, path)
	if err != nil {
		return action.Result{}, untouched(path, err)
	}
	defer done()
	content := want.Content
	at, err := time.Parse(time.RFC3339Nano, plan.Facts["at"])
	if err != nil {
		return action.Result{}, fmt.Errorf("the plan names no time: %w", err)
	}
	res := action.Result{Back: plan.Back, Outputs: map[string]any{
		"file": path, "point": m.ID, "cut": exact(m.Cut), "at": exact(at), "proven": plan.Facts["proven"], "statements": int64(0),
	}}
	reached, brought := m.Cut, restored.Evidence
	if plan.Facts["log"] != "" {
		l := db.Log{Path: plan.Facts["log"], After: m.Cut, Until: at, Skip: skipped(p.Skip)}
		changed, f, err := applyLog(ctx, env, l, plan, db.Change{Path: file, Want: content, ForeignKeys: !p.Loose})
		if err != nil {
			return action.Result{}, err
		}
		content = changed.Content
		reached = reach(f, m.Cut, at)
		res.Outputs["statements"] = int64(f.Applied)
		brought = fmt.Sprintf("point %s, and %s of the log, which changed %s", m.ID, printable.Count(f.Applied, "statement"), printable.Count(int(changed.Rows), "row"))
		for _, c := range logChecks(f, m.Cut, at, env.Now()) {
			env.Printf("%s: %v, %s", c.Text, c.OK, c.Evidence)
		}
	}
	loss := max(at.Sub(reached), 0)
	res.Outputs["reached"], res.Outputs["loss"] = exact(reached), int64(loss.Round(time.Second)/time.Second)
	res.Evidence = fmt.Sprintf("%s holds %s as of %s, %s before the wanted time: %s", path, a.Name, clock(reached), printable.Span(loss), brought)
	if err := place(ctx, env, howNew, plan, file); err != nil {
		return action.Result{}, err
	}
	return stands(ctx, env, path, content, res)
}

// reach is the time up to which everything is known to be there.
func reach(f db.LogFacts, cut, at time.Time) time.Time {
	switch {
	case !f.Next.IsZero():
		return at // the log goes on after it
	case f.Reached.After(cut):
		return f.Reached
	}
	return cut
}

// applyLog executes the wanted part of the log that the plan has looked at. That it is the
// same log shows at its end, before anything is committed.
func applyLog(ctx context.Context, env *action.Env, l db.Log, plan action.Plan, c db.Change) (changed db.Changed, f db.LogFacts, err error) {
	total, _ := strconv.ParseInt(plan.Facts["statements"], 10, 64) // for the bar alone
	c.Progress = env.Progress
	var n int64
	changed, err = c.Do(ctx, func(tx db.Tx) error {
		var err error
		f, err = l.Read(ctx, func(s db.Statement) error {
			n++
			env.Report(n, total, "statements")
			_, err := tx.Exec(s.Text)
			return err
		})
		if err == nil && f.SHA256 != plan.Facts["log_sha256"] {
			err = hint.Wrap(fmt.Errorf("%w: the log %q", action.ErrChanged, l.Path), "nothing of it was applied; copy it, if it is still being written, and look at the new plan")
		}
		return err
	})
	if err == nil {
		env.Printf("%s: %s", l.Path, logWords(f))
	}
	return changed, f, err
}

// probeRewind looks at the side file. What the step saves is in its plan: the file got its
// name only when all of that was so.
func probeRewind(ctx context.Context, env *action.Env, p rewindParams, plan action.Plan) (action.Probe, error) {
	pr, err := probeSide(ctx, env, p, plan)
	if err != nil {
		return pr, err
	}
	var times [3]time.Time
	for i, name := range []string{"cut", "at", "reached"} {
		if times[i], err = time.Parse(time.RFC3339Nano, plan.Facts[name]); err != nil {
			return pr, fmt.Errorf("the plan has no %s: %w", name, err)
		}
	}
	statements, _ := strconv.ParseInt(plan.Facts["statements"], 10, 64) // none without a log
	pr.Outputs = map[string]any{
		"file": plan.Facts["path"], "point": plan.Facts["point"], "proven": plan.Facts["proven"], "statements": statements,
		"cut": exact(times[0]), "at": exact(times[1]), "reached": exact(times[2]), "loss": int64(max(times[1].Sub(times[2]), 0).Round(time.Second) / time.Second),
	}
	return pr, nil
}

// probeSide looks at a file that was to be made where none was.
func probeSide(ctx context.Context, env *action.Env, p rewindParams, plan action.Plan) (action.Probe, error) {
	if plan.Facts["want"] != "" {
		return probeRestore(ctx, env, p, plan)
	}
	pr := action.Probe{Finding: action.Unknown, Before: "no file", Wanted: "the point, with the log applied", Command: []string{"sqlite3 " + plan.Facts["path"] + " 'PRAGMA integrity_check'"}}
	t, err := look(ctx, plan.Facts["path"])
	switch {
	case err != nil:
		pr.Found, pr.Means = err.Error(), "The file cannot be read now, so nobody can tell."
	case t.how == howNew:
		pr.Found, pr.Finding, pr.Means = "no file", action.NotApplied, "The file is not there: it gets its name only when it is whole."
	case t.how == howOverwrite:
		pr.Found, pr.Finding, pr.Means = short(t.hash), action.Applied, "The file is there and sound. It got its name only when the log was applied."
	default:
		pr.Found, pr.Means = t.why, "A file is there that is not sound, so it is not ours."
	}
	return pr, nil
}
