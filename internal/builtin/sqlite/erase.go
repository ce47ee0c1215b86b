package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const eraseDoc = `Erases from a side file, before it goes live, everybody who asked to be forgotten: a point
from before they asked has them again. Who they are says the register of the asset, how they
are erased its statements; both stand in lifeboat.yaml under erasures. It is one transaction,
what is deleted is overwritten in the file, and afterwards each statement's check must count
nothing that is left of anybody.

Who came back by themselves after that stays in a file that is younger, where the register
says so with "returned": true; as_of is the time of the file.

No subject is ever shown: evidence has numbers and short digests. There is no copy of the
file of before and no undo; sqlite.rewind makes it again.

` + "```sqlite.erase" + `
asset: booking
file: ./rewound.db
` + "```" + `

Saves: subjects, rows, left (numbers).
`

type eraseParams struct {
	Asset string `param:"asset,required" help:"the database whose register and statements apply"`
	File  string `param:"file,required" help:"the side file to erase from"`
	AsOf  string `param:"as_of" help:"the time of which the side file is: who came back before it, after an erasure, stays"`
	Loose bool   `param:"without_foreign_keys" help:"what refers to the erased rows is not asked to go with them"`
}

func (d Deps) erase() action.Action {
	return action.New(action.Def[eraseParams]{
		Name: "sqlite.erase", Summary: "Erase from a side file everybody who asked to be forgotten", Doc: eraseDoc,
		Effect: action.Write, Repeat: action.Safe,
		Check: func(p eraseParams) error { return checkAsOf(p.AsOf) },
		Plan:  d.planErase, Run: d.runErase,
	})
}

func (d Deps) planErase(ctx context.Context, env *action.Env, p eraseParams) (action.Plan, error) {
	a, r, err := d.erasable(ctx, env, p.Asset, p.AsOf)
	if err != nil {
		return action.Plan{}, err
	}
	t, err := d.sideFile(ctx, env, p.File)
	if err != nil {
		return action.Plan{}, err
	}
	left, err := remains(ctx, env, t.path, a.Erasures, r)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: t.path, Effect: action.Write,
		Summary: fmt.Sprintf("erases %s from %s", printable.Count(len(left.who), "subject"), t.path),
		Facts:   map[string]string{"path": t.path, "hash": t.hash, "register": r.sum},
		Lines: []action.Line{
			{Label: "register", Text: fmt.Sprintf("%s: %s", a.Erasures.Register, printable.Count(len(r.subjects), "subject"))},
			{Label: "is erased", Text: left.words()},
		},
		Stop: "Yes: it is one transaction, which SQLite rolls back.",
		Back: "",
	}
	if r.ahead > 0 {
		warn(&out, action.Check{Text: "every entry of the register has a time that can be right", Evidence: fmt.Sprintf("%d are dated in the future; they are erased all the same", r.ahead)})
	}
	if at, err := vault.ParseTime(p.AsOf, env.Now()); err == nil {
		var early []subject
		for _, s := range left.who {
			if s.erased.Before(at) {
				early = append(early, s)
			}
		}
		if len(early) > 0 {
			warn(&out, action.Check{Text: "nobody is in it who was erased before its time", Evidence: fmt.Sprintf("%s (digests %s): they came back by themselves since, or were never erased. They are erased now. Who came back may stay: stop here, and add such a line for them to the register: {\"time\": when they came back, \"subject\": \"...\", \"by\": \"dpo\", \"returned\": true}",
				printable.Count(len(early), "subject"), joined(digests(early)))})
		}
	}
	if len(left.who) == 0 {
		out.Nothing, out.Summary = true, "nobody who was erased is in "+t.path
	}
	return out, nil
}

// remainder is what is left of the erased.
type remainder struct {
	who  []subject
	rows []int64 // by statement
}

func (r remainder) words() string {
	var total int64
	for _, n := range r.rows {
		total += n
	}
	if total == 0 {
		return "nothing: none of them is in it"
	}
	return fmt.Sprintf("%s that came back, with %s (digests %s)", printable.Count(len(r.who), "subject"), printable.Count(int(total), "row"), joined(digests(r.who)))
}

// remains counts what a database still holds of each subject.
func remains(ctx context.Context, env *action.Env, path string, e Erasures, r register) (out remainder, err error) {
	c, err := db.OpenCounter(ctx, path, db.ReadLive)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return count(env, e, r, func(query string, args ...any) (int64, error) { return c.Count(ctx, query, args...) })
}

func count(env *action.Env, e Erasures, r register, ask func(query string, args ...any) (int64, error)) (out remainder, err error) {
	out.rows = make([]int64, len(e.Statements))
	for i, s := range r.subjects {
		if i%100 == 0 {
			env.Report(int64(i), int64(len(r.subjects)), "subjects")
		}
		var mine int64
		for j, st := range e.Statements {
			var most int64 // most columns take either form for the other
			for _, form := range s.forms() {
				n, err := ask(st.Check, sql.Named("subject", form))
				if err != nil {
					return out, checkFailed(j, st.Check, err)
				}
				most = max(most, n)
			}
			out.rows[j] += most
			mine += most
		}
		if mine > 0 {
			out.who = append(out.who, s)
		}
	}
	return out, nil
}

// checkFailed names the statement of the estate, never the subject. What SQLite says may
// repeat names of the schema, not values.
func checkFailed(i int, query string, err error) error {
	return hint.Wrap(fmt.Errorf("%w: erasures: the check of statement %d, %s: %s", action.ErrRefused, i+1, printable.Quote(query), printable.Line(err.Error())),
		"a check is a SELECT that counts what is left of :subject; correct it in lifeboat.yaml")
}

func (d Deps) runErase(ctx context.Context, env *action.Env, p eraseParams, plan action.Plan) (action.Result, error) {
	path := plan.Facts["path"]
	a, r, err := d.erasable(ctx, env, p.Asset, p.AsOf)
	if err != nil {
		return action.Result{}, err
	}
	t, err := d.sideFile(ctx, env, path)
	if err != nil {
		return action.Result{}, err
	}
	if t.path != path || t.hash != plan.Facts["hash"] {
		return action.Result{}, changed(path)
	}
	if r.sum != plan.Facts["register"] {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: the register %q", action.ErrChanged, a.Erasures.Register), "look at the new plan: somebody was added meanwhile")
	}
	var rows int64
	if !plan.Nothing {
		done, err := eraseAll(ctx, env, db.Change{Path: path, Want: t.hash, ForeignKeys: !p.Loose, Wipe: true}, a.Erasures, r)
		if err != nil {
			return action.Result{}, settled(path, err)
		}
		rows = done.Rows
	}
	return forgotten(ctx, env, path, a.Erasures, r, rows)
}

// eraseAll runs every statement for every subject.
func eraseAll(ctx context.Context, env *action.Env, c db.Change, e Erasures, r register) (db.Changed, error) {
	return c.Do(ctx, func(tx db.Tx) error {
		for i, s := range r.subjects {
			if i%100 == 0 {
				env.Report(int64(i), int64(len(r.subjects)), "subjects")
			}
			for j, st := range e.Statements {
				for _, form := range s.forms() {
					if _, err := tx.Exec(st.SQL, sql.Named("subject", form)); err != nil {
						return hint.Wrap(fmt.Errorf("erasures: statement %d, %s, for the subject of line %d of the register: %s", j+1, printable.Quote(st.SQL), s.line, printable.Line(err.Error())),
							"nothing was changed; statements run in their order: what refers to a row has to go before the row")
					}
				}
			}
		}
		left, err := count(env, e, r, tx.Count)
		if err == nil && len(left.who) > 0 {
			err = hint.Wrap(stillThere(c.Path, left),
				"nothing was changed: the statements of the asset do not reach all that its checks count, or a trigger brings it back; correct them in lifeboat.yaml, then try again")
		}
		return err
	})
}

func stillThere(path string, left remainder) error {
	return fmt.Errorf("%w: %s still holds %s", action.ErrCheck, path, left.words())
}

// forgotten proves that nothing is left of anybody.
func forgotten(ctx context.Context, env *action.Env, path string, e Erasures, r register, rows int64) (action.Result, error) {
	left, err := remains(ctx, env, path, e, r)
	if err != nil {
		return action.Result{}, err
	}
	res := action.Result{Outputs: map[string]any{"subjects": int64(len(r.subjects)), "rows": rows, "left": int64(len(left.who))}}
	for i, st := range e.Statements {
		res.Checks = append(res.Checks, action.Check{
			Text: "nothing is left: " + printable.Line(strings.Join(strings.Fields(st.Check), " ")), OK: left.rows[i] == 0,
			Evidence: fmt.Sprintf("%d rows of %s", left.rows[i], printable.Count(len(r.subjects), "subject")),
		})
	}
	if len(left.who) > 0 {
		return res, hint.Wrap(stillThere(path, left), "do not let it go live: erase them from a side file with sqlite.erase, and put that into place")
	}
	res.Evidence = fmt.Sprintf("nothing is left of %s of the register: %d rows erased, %s made for each", printable.Count(len(r.subjects), "subject"), rows, printable.Count(len(e.Statements), "check"))
	return res, nil
}

const erasedDoc = `Checks that a database, or a side file, holds nothing of anybody in the register of
erasures. It only counts, and shows no subject.

` + "```sqlite.erased" + `
asset: booking
` + "```" + `

Saves: subjects, rows, left (numbers).
`

type erasedParams struct {
	Asset string `param:"asset,required" help:"the database whose register and checks apply"`
	File  string `param:"file" help:"a side file to look into, instead of the database itself"`
	AsOf  string `param:"as_of" help:"the time of which it is, as for sqlite.erase"`
}

func checkAsOf(text string) error {
	if text == "" {
		return nil
	}
	if _, err := vault.ParseTime(text, time.Time{}); err != nil {
		return &action.ArgError{Name: "as_of", Msg: err.Error(), Fix: vault.TimeForms}
	}
	return nil
}

func (d Deps) erased() action.Action {
	return action.New(action.Def[erasedParams]{
		Name: "sqlite.erased", Summary: "Check that nobody who was erased is in a database", Doc: erasedDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p erasedParams) error { return checkAsOf(p.AsOf) },
		Plan: func(_ context.Context, env *action.Env, p erasedParams) (action.Plan, error) {
			path, err := d.file(env, p.Asset, p.File)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{Summary: "looks for the erased in " + path, Target: path, Stop: "Yes: it only reads."}, nil
		},
		Run: func(ctx context.Context, env *action.Env, p erasedParams, _ action.Plan) (action.Result, error) {
			path, err := d.file(env, p.Asset, p.File)
			if err != nil {
				return action.Result{}, err
			}
			if p.File == "" && p.AsOf == "" {
				p.AsOf = "0m" // it is of now
			}
			a, r, err := d.erasable(ctx, env, p.Asset, p.AsOf)
			if err != nil {
				return action.Result{}, err
			}
			res, err := forgotten(ctx, env, path, a.Erasures, r, 0)
			if err == nil {
				res.Evidence = fmt.Sprintf("nothing is left of %s of the register in %s", printable.Count(len(r.subjects), "subject"), path)
			}
			return res, err
		},
	})
}
