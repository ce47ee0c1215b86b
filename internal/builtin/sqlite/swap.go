package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
)

const swapDoc = `Puts a side file into the place of a database. The file was made with sqlite.rewind or came
from somewhere else; it is checked with every check there is before anything is touched, and
the database once more afterwards. The side file itself stays.

A sound database is overwritten through SQLite in one transaction, also while programs
have it open; they must not write to it meanwhile. A damaged one, or none, is replaced by
rename together with its -wal, -shm and -journal, and only when no program has it open. The
old state is kept as <database>.before-<run>: that is the way back.

Without to: it is the database itself that is replaced; the programs that write to it are
stopped first.

` + "```sqlite.swap" + `
asset: booking
file: ./rewound.db
to: ./restored.db
` + "```" + `

Saves: file, kept (empty when nothing had to be kept), sha256.
`

type swapParams struct {
	Asset   string `param:"asset,required" help:"the database to replace"`
	File    string `param:"file,required" help:"the side file that comes into its place"`
	To      string `param:"to" help:"another database file to replace, such as that of a test system, instead of the database itself"`
	Orphans bool   `param:"orphans" help:"rows that refer to nothing are no reason to refuse: the database always had some"`
}

func (d Deps) swap() action.Action {
	return action.New(action.Def[swapParams]{
		Name: "sqlite.swap", Summary: "Put a side file into the place of a database", Doc: swapDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Plan: d.planSwap, Run: d.runSwap, Probe: probeRestore[swapParams],
		Inverse: wayBack[swapParams](),
	})
}

// candidate is a side file that was looked through and is fit to come into place. orphans
// are rows of it that refer to nothing.
func (d Deps) candidate(ctx context.Context, path string) (f db.Facts, orphans []string, err error) {
	conn, err := db.Open(ctx, path, db.ReadLive)
	if err != nil {
		return f, nil, fmt.Errorf("%w: the side file: %w", action.ErrRefused, err)
	}
	complaints, err := db.Integrity(ctx, conn, false)
	if err == nil {
		orphans, err = db.ForeignKeys(ctx, conn)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return f, nil, fmt.Errorf("%w: the side file: %w", action.ErrRefused, db.Explain("check", path, err))
	}
	if len(complaints) > 0 {
		return f, nil, hint.Wrap(fmt.Errorf("%w: the side file %q is not sound: %s", action.ErrRefused, path, joined(complaints)),
			"nothing was touched; make another side file with sqlite.rewind, from an older point")
	}
	f, err = db.Inspect(ctx, path)
	return f, orphans, err
}

// orphaned decides about rows of the side file that refer to nothing. SQLite keeps to foreign
// keys only for programs that ask it to, so many databases always have some: they are no
// reason to refuse where the database of now has some too, or cannot be asked.
func (t target) orphaned(ctx context.Context, out *action.Plan, orphans []string, allowed bool) error {
	if len(orphans) == 0 {
		return nil
	}
	out.Facts["orphans"] = "yes"
	c := action.Check{Text: "every row refers to one that is there", OK: allowed, Evidence: joined(orphans)}
	if t.how == howOverwrite && !allowed {
		now, err := keys(ctx, t.path)
		if err != nil {
			return err
		}
		if len(now) == 0 {
			return hint.Wrap(fmt.Errorf("%w: in the side file, and not in the database, %s", action.ErrRefused, joined(orphans)),
				"nothing was touched; look at those rows first. With orphans: true it comes into place as it is; else make another side file, from another point or without the statements that made them")
		}
		c.Evidence += "; the database of now has such rows too"
	} else if !allowed {
		c.Evidence += "; whether the database had such rows too it cannot tell any more"
	}
	warn(out, c)
	return nil
}

// keys lists what refers to nothing.
func keys(ctx context.Context, path string) (list []string, err error) {
	conn, err := db.Open(ctx, path, db.ReadLive)
	if err != nil {
		return nil, err
	}
	list, err = db.ForeignKeys(ctx, conn)
	return list, errors.Join(err, conn.Close())
}

func (d Deps) planSwap(ctx context.Context, env *action.Env, p swapParams) (action.Plan, error) {
	a, err := d.Asset(p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	if p.To != "" {
		a.Path = absolute(env, p.To)
	}
	t, err := look(ctx, a.Path)
	if err != nil {
		return action.Plan{}, err
	}
	if err := env.Allowed(t.path); err != nil {
		return action.Plan{}, err
	}
	file, err := real(absolute(env, p.File))
	if err != nil {
		return action.Plan{}, err
	}
	if d.isLive(file) || file == t.path {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: %q is itself a database of the estate", action.ErrRefused, file), "name a side file: sqlite.rewind makes one")
	}
	want, orphans, err := d.candidate(ctx, file)
	if err != nil {
		return action.Plan{}, err
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
		Facts:  map[string]string{"how": t.how, "path": t.path, "hash": t.hash, "file": file, "want": want.Content, "keep": keep},
		Lines:  []action.Line{{Label: "brings", Text: fmt.Sprintf("%s: %s", file, rowWords(want))}},
		Checks: []action.Check{{Text: "the side file is sound", OK: true, Evidence: "integrity_check ok, foreign keys looked at"}},
	}
	t.describeSwap(&out, want)
	if err := t.free(&out); err != nil {
		return action.Plan{}, err
	}
	if err := t.orphaned(ctx, &out, orphans, p.Orphans); err != nil {
		return action.Plan{}, err
	}
	t.room(&out, want)
	if t.how == howNew {
		share(&out)
	}
	return out, nil
}

// describeSwap says what the swap changes.
func (t target) describeSwap(out *action.Plan, want db.Facts) {
	keep := out.Facts["keep"]
	switch t.how {
	case howNew:
		out.Effect = action.Write
		out.Summary = fmt.Sprintf("puts %s in the place of %s, where nothing is", out.Facts["file"], t.path)
		out.Stop, out.Back = "Yes: the database gets its name only when it is proven.", "the database is moved aside"
		return
	case howOverwrite:
		out.Nothing = t.hash == want.Content
		out.Summary = fmt.Sprintf("overwrites %s with %s", t.path, out.Facts["file"])
		out.Lines = append(out.Lines,
			action.Line{Label: "replaces", Text: rowWords(t.facts) + ", the database is sound"},
			action.Line{Label: "is lost", Text: "every row that only the database holds" + rowChanges(t.facts, want) + ". sqlite.compare with rows: true names them"})
		out.Stop = "Yes: until the last page SQLite rolls everything back."
		if out.Nothing {
			out.Summary = fmt.Sprintf("%s already holds what %s holds", t.path, out.Facts["file"])
		}
	case howSwap:
		out.Summary = fmt.Sprintf("swaps the damaged %s for %s", t.path, out.Facts["file"])
		out.Lines = append(out.Lines,
			action.Line{Label: "replaces", Text: "a damaged file: " + t.why},
			action.Line{Label: "is lost", Text: "what only the damaged file holds"})
		out.Stop = "Yes: it ends with one rename."
	}
	out.Token = t.token()
	out.Lines = append(out.Lines, action.Line{Label: "is kept", Text: keep + ", and " + out.Facts["file"]})
	out.Back = "the old database is put back from " + keep
}

func (d Deps) runSwap(ctx context.Context, env *action.Env, p swapParams, plan action.Plan) (action.Result, error) {
	path, how, file := plan.Facts["path"], plan.Facts["how"], plan.Facts["file"]
	if err := unchanged(ctx, env, plan); err != nil {
		return action.Result{}, err
	}
	if plan.Nothing {
		return action.Result{Evidence: "nothing to do: " + path + " holds the same", Outputs: map[string]any{"file": path, "kept": ""}}, nil
	}
	if err := unheld(path, how); err != nil {
		return action.Result{}, err
	}
	scratch, done, err := workshop(env, path)
	if err != nil {
		return action.Result{}, err
	}
	defer done()
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return action.Result{}, fmt.Errorf("make room beside %q: %w", path, err)
	}
	// A private copy: what is checked now is what comes into place, whoever has the side
	// file open.
	fresh := filepath.Join(scratch, db.ReplicaName)
	if _, err := db.Copy(ctx, file, fresh); err != nil {
		return action.Result{}, untouched(path, fmt.Errorf("copy the side file: %w", err))
	}
	now, _, err := d.candidate(ctx, fresh)
	if err != nil {
		return action.Result{}, err
	}
	if now.Content != plan.Facts["want"] {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: the side file %q", action.ErrChanged, file), "find out who writes to it, then look at the new plan")
	}
	for _, s := range []string{"-wal", "-shm"} { // left by the check, empty
		if err := os.Remove(fresh + s); err != nil && !errors.Is(err, os.ErrNotExist) {
			return action.Result{}, fmt.Errorf("tidy the copy of the side file: %w", err)
		}
	}
	if err := place(ctx, env, how, plan, fresh); err != nil {
		return action.Result{}, err
	}
	res := action.Result{
		Evidence: fmt.Sprintf("%s holds what %s holds: %s, integrity_check ok", path, filepath.Base(file), rowWords(now)),
		Outputs:  map[string]any{"file": path, "kept": "", "sha256": now.DBSHA256},
		Back:     plan.Back,
	}
	if how != howNew {
		res.Outputs["kept"] = plan.Facts["keep"]
		res.Facts = map[string]string{"kept": plan.Facts["keep"]}
	}
	if res, err = stands(ctx, env, path, plan.Facts["want"], res); err != nil {
		return res, err
	}
	after, err := keys(ctx, path)
	if err != nil {
		return res, fmt.Errorf("%w: it was put there, then: %w", action.ErrUnclear, err)
	}
	c := action.Check{Text: "foreign_key_check", OK: len(after) == 0 || plan.Facts["orphans"] != "", Evidence: "every row refers to one that is there"}
	if len(after) > 0 {
		c.Evidence = joined(after)
	}
	res.Checks = append(res.Checks, c)
	return res, nil
}
