package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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

// candidate is a side file that was looked through and is fit to come into place.
func (d Deps) candidate(ctx context.Context, path string, orphans bool) (f db.Facts, err error) {
	const advice = "nothing was touched; make another side file with sqlite.rewind, from an older point"
	conn, err := db.Open(ctx, path, db.ReadLive)
	if err != nil {
		return f, fmt.Errorf("%w: the side file: %w", action.ErrRefused, err)
	}
	complaints, err := db.Integrity(ctx, conn, false)
	var keys []string
	if err == nil {
		keys, err = db.ForeignKeys(ctx, conn)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return f, fmt.Errorf("%w: the side file: %w", action.ErrRefused, db.Explain("check", path, err))
	}
	if len(complaints) > 0 {
		return f, hint.Wrap(fmt.Errorf("%w: the side file %q is not sound: %s", action.ErrRefused, path, joined(complaints)), advice)
	}
	if len(keys) > 0 && !orphans {
		return f, hint.Wrap(fmt.Errorf("%w: the foreign keys of the side file %q do not hold: %s", action.ErrRefused, path, joined(keys)),
			"look at those rows first; with orphans: true it comes into place as it is")
	}
	return db.Inspect(ctx, path)
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
	want, err := d.candidate(ctx, file, p.Orphans)
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
	holders, all := db.Holders(t.path)
	t.describeSwap(&out, want, holders, all)
	if t.how == howSwap && len(holders) > 0 {
		return action.Plan{}, heldBy(t.path, holders)
	}
	return out, nil
}

// heldBy refuses to take a file away under programs that would go on writing to it.
func heldBy(path string, holders []db.Holder) error {
	return hint.Wrap(fmt.Errorf("%w: %q is damaged, and %s have it open: they would go on with the old file after the swap", action.ErrRefused, path, holderWords(holders)),
		"stop them first, with service.stop or by hand, then plan the swap again")
}

func holderWords(holders []db.Holder) string {
	var words []string
	for _, h := range holders {
		words = append(words, h.String())
	}
	return joined(words)
}

// describeSwap says what the swap changes.
func (t target) describeSwap(out *action.Plan, want db.Facts, holders []db.Holder, all bool) {
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
	c := action.Check{Text: "no program has it open", OK: len(holders) == 0 && all, Evidence: "none that this user can see"}
	if len(holders) > 0 {
		c.Evidence = holderWords(holders) + ": stop them before; what they write now makes this step refuse"
	}
	warn(out, c)
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
	if holders, _ := db.Holders(path); how == howSwap && len(holders) > 0 {
		return action.Result{}, heldBy(path, holders)
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
		return action.Result{}, fmt.Errorf("copy the side file: %w", err)
	}
	now, err := d.candidate(ctx, fresh, p.Orphans)
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
	return d.keysAfter(ctx, path, p.Orphans, res)
}

// keysAfter looks once more whether foreign keys hold, in what stands in the place.
func (d Deps) keysAfter(ctx context.Context, path string, orphans bool, res action.Result) (action.Result, error) {
	conn, err := db.Open(ctx, path, db.ReadLive)
	if err != nil {
		return res, fmt.Errorf("%w: it was put there, then: %w", action.ErrUnclear, err)
	}
	keys, err := db.ForeignKeys(ctx, conn)
	if err = errors.Join(err, conn.Close()); err != nil {
		return res, fmt.Errorf("%w: it was put there, then: %w", action.ErrUnclear, err)
	}
	c := action.Check{Text: "foreign_key_check", OK: len(keys) == 0 || orphans, Evidence: "every row refers to one that is there"}
	if len(keys) > 0 {
		c.Evidence = strings.TrimSpace(joined(keys))
	}
	res.Checks = append(res.Checks, c)
	return res, nil
}
