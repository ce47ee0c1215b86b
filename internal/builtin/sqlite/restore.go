package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

const restoreDoc = `Puts a restore point in the place of a database, or, with to:, into a new file.

The point is rebuilt in a directory beside the database and proven with every check
there is; only then the database is touched. A sound database is overwritten through
SQLite in one transaction, also while programs have it open; they must not write to it
meanwhile. A damaged one is swapped by rename, and programs that have it open must be
restarted. The old state is kept as <database>.before-<run>: that is the way back.

` + "```sqlite.restore save=restored" + `
asset: booking
point: latest
to: ./restored.db
` + "```" + `
`

type restoreParams struct {
	Asset string `param:"asset,required" help:"the database to restore"`
	Point string `param:"point" help:"id of the restore point, or latest" default:"latest"`
	At    string `param:"at" help:"the newest point that is not younger than this time: 2026-11-23T14:30:00Z"`
	To    string `param:"to" help:"a new file to restore into, in place of the database itself"`
}

// How a point comes to its place.
const (
	howNew       = "new"       // into a file that is not there
	howOverwrite = "overwrite" // through SQLite
	howSwap      = "swap"      // by rename
	howBack      = "back"      // undo only: what a swap that was cut short took away
)

func (d Deps) restore() action.Action {
	return action.New(action.Def[restoreParams]{
		Name: "sqlite.restore", Summary: "Restore a database from the vault", Doc: restoreDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Check: func(p restoreParams) error { return checkTime(p.Point, p.At) },
		Plan:  d.planRestore, Run: d.runRestore, Probe: probeRestore[restoreParams],
		Inverse: wayBack[restoreParams](),
	})
}

// target is the database to replace, as it is now.
type target struct {
	path  string // the file itself, links followed
	how   string
	hash  string   // of the content for howOverwrite, of the file for howSwap, else empty
	facts db.Facts // for howOverwrite
	why   string   // for howSwap: what is wrong with it
}

// token is what the person types: it changes with the content.
func (t target) token() string {
	return filepath.Base(t.path) + "@" + t.hash[:min(7, len(t.hash))]
}

// look finds out how a database can be replaced.
func look(ctx context.Context, path string) (target, error) {
	path, err := real(path)
	if err != nil {
		return target{}, err
	}
	t := target{path: path, how: howNew}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	t.facts, err = db.Inspect(ctx, path)
	var complaints []string
	if err == nil {
		complaints, err = quick(ctx, path)
	}
	switch {
	case err == nil && len(complaints) == 0:
		t.how, t.hash = howOverwrite, t.facts.Content
		return t, nil
	case err == nil:
		t.why = joined(complaints)
	case errors.Is(err, db.ErrDamaged):
		t.why = err.Error()
	default:
		return target{}, err
	}
	// SQLite has closed the file by now, so reading it plainly drops no lock of ours.
	t.how, t.facts = howSwap, db.Facts{}
	if t.hash, err = db.FileHash(ctx, path); err != nil {
		return target{}, fmt.Errorf("read the damaged database: %w", err)
	}
	return t, nil
}

// quick lists what quick_check complains about.
func quick(ctx context.Context, path string) (complaints []string, err error) {
	conn, err := db.Open(ctx, path, db.ReadLive)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	complaints, err = db.Integrity(ctx, conn, true)
	return complaints, db.Explain("check", path, err)
}

func (d Deps) planRestore(ctx context.Context, env *action.Env, p restoreParams) (action.Plan, error) {
	a, err := d.Asset(p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	m, want, err := d.point(ctx, env, a, p.Point, p.At)
	if err != nil {
		return action.Plan{}, err
	}
	path := a.Path
	if p.To != "" {
		path = absolute(env, p.To)
	}
	t, err := look(ctx, path)
	if err != nil {
		return action.Plan{}, err
	}
	if err := env.Allowed(t.path); err != nil {
		return action.Plan{}, err
	}
	if p.To != "" && (t.how != howNew || db.Free(t.path) != t.path) {
		return action.Plan{}, hint.Wrap(hint.Blame(fmt.Errorf("%w: %q, or a -wal, -shm or -journal of it, is there already", action.ErrRefused, t.path), "to"), "name a file that does not exist, or leave to: out to replace the database itself")
	}
	if err := fits(t, want); err != nil {
		return action.Plan{}, err
	}
	keep, err := t.resume(ctx, t.path+".before-"+env.Run)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: t.path,
		Facts: map[string]string{
			"how": t.how, "path": t.path, "hash": t.hash, "point": m.ID, "cut": m.Cut.UTC().Format("2006-01-02T15:04:05.000Z"), "want": want.Content,
			"keep": keep,
		},
		Lines: []action.Line{
			{Label: "point", Text: fmt.Sprintf("%s, of %s", m.ID, age(env.Now(), m.Cut))},
			{Label: "brings", Text: rowWords(want)},
		},
		Checks: []action.Check{{Text: "the point is listed in the vault", OK: true, Evidence: "sha256 " + short(want.DBSHA256)}},
	}
	t.describe(&out, m, want, env.Now())
	if err := t.free(&out); err != nil {
		return action.Plan{}, err
	}
	t.room(&out, want)
	if p.To == "" && t.how == howNew {
		share(&out)
	}
	return out, nil
}

// resume says where the old database is to be kept. Where an attempt of this run was cut
// short after it had moved the old database there, t becomes that one: it is put back
// before anything else.
func (t *target) resume(ctx context.Context, name string) (keep string, err error) {
	if t.how == howNew && db.CutShort(t.path, name) {
		old, err := look(ctx, name)
		if err != nil {
			return "", err
		}
		if old.how == howSwap {
			old.path = t.path
			*t = old
			return name, nil
		}
	}
	return db.KeepAs(t.path, name), nil
}

// describe says what a restore changes.
func (t target) describe(out *action.Plan, m vault.Manifest, want db.Facts, now time.Time) {
	keep := out.Facts["keep"]
	switch t.how {
	case howNew:
		out.Effect = action.Write
		out.Summary = fmt.Sprintf("restores point %s into the new file %s", m.ID, t.path)
		out.Stop = "Yes: the file gets its name only when it is proven."
		out.Back = "the restored file is moved aside"
		return
	case howOverwrite:
		out.Nothing = t.hash == want.Content
		out.Summary = fmt.Sprintf("overwrites %s with point %s", t.path, m.ID)
		out.Lines = append(out.Lines,
			action.Line{Label: "replaces", Text: rowWords(t.facts) + ", the database is sound"},
			action.Line{Label: "is lost", Text: fmt.Sprintf("what was written in the last %s%s", now.Sub(m.Cut).Round(time.Second), rowChanges(t.facts, want))})
		out.Stop = "Yes: until the last page SQLite rolls everything back."
		if out.Nothing {
			out.Summary = fmt.Sprintf("%s already holds what point %s holds", t.path, m.ID)
		}
	case howSwap:
		out.Summary = fmt.Sprintf("swaps the damaged %s for point %s", t.path, m.ID)
		out.Lines = append(out.Lines,
			action.Line{Label: "replaces", Text: "a damaged file: " + t.why},
			action.Line{Label: "is lost", Text: fmt.Sprintf("what was written in the last %s", now.Sub(m.Cut).Round(time.Second))})
		out.Stop = "Yes: it ends with one rename."
	}
	out.Token = t.token()
	out.Lines = append(out.Lines, action.Line{Label: "is kept", Text: keep})
	out.Back = "the old database is put back from " + keep
}

// rowChanges names the tables whose number of rows changes.
func rowChanges(now, want db.Facts) string {
	var parts []string
	for _, table := range slices.Sorted(maps.Keys(now.Rows)) {
		if n, ok := want.Rows[table]; !ok || n != now.Rows[table] {
			parts = append(parts, fmt.Sprintf("%s %d -> %d rows", table, now.Rows[table], n))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + joined(parts)
}

func (d Deps) runRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (res action.Result, err error) {
	a, err := d.Asset(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	path, how := plan.Facts["path"], plan.Facts["how"]
	if err := unchanged(ctx, env, plan); err != nil {
		return action.Result{}, err
	}
	m, want, err := d.point(ctx, env, a, plan.Facts["point"], "")
	if err != nil {
		return action.Result{}, err
	}
	if plan.Nothing {
		return action.Result{Evidence: "nothing to do: the content is that of point " + m.ID}, nil
	}
	if err := unheld(path, how); err != nil {
		return action.Result{}, err
	}
	file, restored, done, err := d.rebuild(ctx, env, m, path)
	if err != nil {
		return action.Result{}, untouched(path, err)
	}
	defer done()
	if err := place(ctx, env, how, plan, file); err != nil {
		return action.Result{}, err
	}
	return confirm(ctx, env, plan, m, want, restored)
}

// rebuild makes the database of a point beside the place it is for, proven. done removes it.
func (d Deps) rebuild(ctx context.Context, env *action.Env, m vault.Manifest, path string) (file string, restored vault.Restored, done func(), err error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return "", restored, nil, err
	}
	scratch, done, err := workshop(env, path)
	if err != nil {
		return "", restored, nil, err
	}
	if restored, err = v.Restore(ctx, m, db.Kind{}, scratch, vault.RestoreOptions{Progress: env.Progress, Log: env.Log}); err != nil {
		done()
		return "", restored, nil, err
	}
	env.Printf("point %s is rebuilt and proven: %s", m.ID, restored.Evidence)
	return filepath.Join(scratch, db.ReplicaName), restored, done, nil
}

// unchanged puts back what an earlier attempt left half-done, and refuses when what stands
// in the place is not what the plan saw.
func unchanged(ctx context.Context, env *action.Env, plan action.Plan) error {
	path, how := plan.Facts["path"], plan.Facts["how"]
	if err := env.Allowed(path); err != nil {
		return err
	}
	if how != howOverwrite {
		if err := replacement(env, plan, "").Settle(ctx); err != nil {
			return err
		}
	}
	t, err := look(ctx, path)
	if err != nil {
		return err
	}
	if t.path != path || t.how != how || t.hash != plan.Facts["hash"] {
		return changed(path)
	}
	return nil
}

// workshop is a name for a directory beside the target, so that the last rename stays on
// one filesystem. What is left of it after a crash is removed when the step is tried again.
func workshop(env *action.Env, path string) (dir string, done func(), err error) {
	dir = filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.restoring-%s", filepath.Base(path), env.Run))
	if err := os.RemoveAll(dir); err != nil {
		return "", nil, fmt.Errorf("make room beside %q: %w", path, err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			env.Printf("%v", err)
		}
	}, nil
}

func changed(path string) error {
	return hint.Wrap(fmt.Errorf("%w: %q", action.ErrChanged, path), "stop the programs that write to it, then look at the new plan")
}

func replacement(env *action.Env, plan action.Plan, file string) db.Replacement {
	return db.Replacement{
		Live: plan.Facts["path"], From: file, Keep: plan.Facts["keep"], Want: plan.Facts["hash"], Progress: env.Progress,
	}
}

// place puts the proven file where the plan says.
func place(ctx context.Context, env *action.Env, how string, plan action.Plan, file string) error {
	r := replacement(env, plan, file)
	var err error
	switch how {
	case howNew:
		r.Share = plan.Facts["share"] != ""
		err = r.Create(ctx)
	case howOverwrite:
		err = r.Overwrite(ctx)
	case howSwap:
		err = r.Swap(ctx)
	}
	switch {
	case errors.Is(err, db.ErrChanged):
		return fmt.Errorf("%w: %w", changed(r.Live), err)
	case errors.Is(err, durable.ErrUnclear):
		return fmt.Errorf("%w: %w", action.ErrUnclear, err)
	}
	return untouched(r.Live, err)
}

// confirm looks at what stands in the place now.
func confirm(ctx context.Context, env *action.Env, plan action.Plan, m vault.Manifest, want db.Facts, restored vault.Restored) (action.Result, error) {
	path := plan.Facts["path"]
	res := action.Result{
		Evidence: fmt.Sprintf("%s holds point %s: %s", path, m.ID, restored.Evidence),
		Outputs: map[string]any{
			"point": m.ID, "file": path, "sha256": want.DBSHA256, "cut": m.Cut.UTC().Format("2006-01-02T15:04:05.000Z"),
		},
		Back: plan.Back,
	}
	if plan.Facts["how"] != howNew {
		res.Outputs["kept"] = plan.Facts["keep"]
		res.Facts = map[string]string{"kept": plan.Facts["keep"]}
	}
	return stands(ctx, env, path, want.Content, res)
}

// stands looks at what is in the place now, after the effect.
func stands(ctx context.Context, env *action.Env, path, content string, res action.Result) (action.Result, error) {
	now, err := db.Inspect(ctx, path)
	if err != nil {
		return action.Result{}, fmt.Errorf("%w: it was put there, then: %w", action.ErrUnclear, err)
	}
	c := action.Check{Text: "the content is that which was proven", OK: now.Content == content, Evidence: "content " + short(now.Content)}
	if !c.OK {
		c.Text, c.OK = "the content was that which was proven; another program has written to it since", true
		env.Printf("%s was written to right afterwards", path)
	}
	complaints, err := quick(ctx, path)
	if err != nil {
		return action.Result{}, fmt.Errorf("%w: it was put there, then: %w", action.ErrUnclear, err)
	}
	sound := action.Check{Text: "quick_check", OK: len(complaints) == 0, Evidence: joined(complaints)}
	res.Checks = append(res.Checks, c, sound)
	if !sound.OK {
		return res, fmt.Errorf("%w: %w: %s: %s", action.ErrUnclear, action.ErrCheck, path, sound.Evidence)
	}
	return res, nil
}

// cutShort says whether a restore ended where nothing stands in the place.
func cutShort(plan action.Plan) bool {
	return plan.Facts["how"] != howOverwrite && db.CutShort(plan.Facts["path"], plan.Facts["keep"])
}

// probeRestore compares the content with that of the point and that of before.
func probeRestore[P any](ctx context.Context, _ *action.Env, _ P, plan action.Plan) (action.Probe, error) {
	f := plan.Facts
	pr := action.Probe{
		Finding: action.Unknown, Command: []string{"sqlite3 " + f["path"] + " 'PRAGMA integrity_check'"},
		Before: short(f["hash"]), Wanted: short(f["want"]),
		Outputs: map[string]any{"file": f["path"], "kept": ""},
	}
	if f["how"] != howNew && f["hash"] != f["want"] {
		pr.Outputs["kept"] = f["keep"]
	}
	if f["point"] != "" {
		pr.Outputs["point"], pr.Outputs["cut"] = f["point"], f["cut"]
	}
	t, err := look(ctx, f["path"])
	if err != nil {
		pr.Found, pr.Means = err.Error(), "The database cannot be read now, so nobody can tell."
		return pr, nil
	}
	pr.Found = short(t.hash)
	switch {
	case cutShort(plan):
		pr.Found = "nothing at " + f["path"]
		pr.Means = fmt.Sprintf("The step was cut short: what stood at %s was moved to %s with its -wal, -shm and -journal, and the new one is not there yet. Undo puts it back; another attempt does so first.", f["path"], f["keep"])
	case t.how == howOverwrite && t.hash == f["want"]:
		pr.Finding, pr.Means = action.Applied, "The database holds exactly what was to come into its place."
	case t.how == f["how"] && t.hash == f["hash"]:
		pr.Finding, pr.Means = action.NotApplied, "The database is as it was before the step."
	default:
		pr.Means = fmt.Sprintf("The database is neither as before nor as it was to become: somebody has written to it. Look whether %s is there.", f["keep"])
	}
	return pr, nil
}
