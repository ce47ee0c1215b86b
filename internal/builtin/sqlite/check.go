package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
)

const checkDoc = `Checks a database: its structure (integrity_check, or quick_check, which does not compare
indexes with tables), its foreign keys, and that tables hold at least so many rows.

` + "```sqlite.check" + `
asset: booking
min_rows: {appointments: 1000}
` + "```" + `
`

type checkParams struct {
	Asset   string            `param:"asset" help:"the database to check"`
	File    string            `param:"file" help:"a database file, instead of an asset"`
	Quick   bool              `param:"quick" help:"leave out the comparison of indexes with tables"`
	MinRows map[string]string `param:"min_rows" help:"table: the rows that it must hold at least"`
}

func (d Deps) check() action.Action {
	return action.New(action.Def[checkParams]{
		Name: "sqlite.check", Summary: "Check a database", Doc: checkDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p checkParams) error {
			if (p.Asset == "") == (p.File == "") {
				return &action.ArgError{Name: "asset", Msg: "there must be one of asset: and file:", Fix: "give one of them"}
			}
			for _, table := range slices.Sorted(maps.Keys(p.MinRows)) {
				if n, err := strconv.ParseInt(p.MinRows[table], 10, 64); err != nil || n < 0 {
					return &action.ArgError{Name: "min_rows", Msg: fmt.Sprintf("%s: %q is no number of rows", table, p.MinRows[table]), Fix: "write table: 100"}
				}
			}
			return nil
		},
		Plan: func(_ context.Context, env *action.Env, p checkParams) (action.Plan, error) {
			path, err := d.file(env, p.Asset, p.File)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{Summary: "checks " + path, Target: path, Stop: "Yes: it only reads."}, nil
		},
		Run: d.runCheck,
	})
}

// file is the database file of an asset, or the named one.
func (d Deps) file(env *action.Env, asset, file string) (string, error) {
	if file != "" {
		return absolute(env, file), nil
	}
	a, err := d.Asset(asset)
	return a.Path, err
}

func (d Deps) runCheck(ctx context.Context, env *action.Env, p checkParams, _ action.Plan) (res action.Result, err error) {
	path, err := d.file(env, p.Asset, p.File)
	if err != nil {
		return action.Result{}, err
	}
	conn, err := db.Open(ctx, path, db.ReadLive)
	if errors.Is(err, db.ErrDamaged) {
		err = fmt.Errorf("%w: %w", action.ErrCheck, err)
	}
	if err != nil {
		return action.Result{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return action.Result{}, db.Explain("check", path, err)
	}
	defer tx.Rollback() // it only read
	complaints, err := db.Integrity(ctx, tx, p.Quick)
	if err != nil {
		return action.Result{}, db.Explain("check", path, err)
	}
	if len(complaints) == 0 {
		if complaints, err = db.ForeignKeys(ctx, tx); err != nil {
			return action.Result{}, db.Explain("check", path, err)
		}
	}
	how := "integrity_check and foreign_key_check"
	if p.Quick {
		how = "quick_check and foreign_key_check"
	}
	for _, c := range complaints {
		env.Printf("%s", c)
	}
	res.Checks = []action.Check{{Text: how, OK: len(complaints) == 0, Evidence: joined(complaints)}}
	var bad []string
	if len(complaints) > 0 {
		bad = append(bad, how+": "+joined(complaints))
	}
	few, err := minRows(ctx, tx, path, p.MinRows, &res)
	if err != nil {
		return action.Result{}, err
	}
	if bad = append(bad, few...); len(bad) > 0 {
		return res, fmt.Errorf("%w: %s: %s", action.ErrCheck, path, joined(bad))
	}
	res.Evidence = fmt.Sprintf("%s: %s ok", path, how)
	switch n := len(p.MinRows); n {
	case 0:
	case 1:
		res.Evidence += ", 1 table counted"
	default:
		res.Evidence += fmt.Sprintf(", %d tables counted", n)
	}
	return res, nil
}

// minRows compares the rows of tables with what is wanted. A table that is not there
// has too few.
func minRows(ctx context.Context, tx *sql.Tx, path string, want map[string]string, res *action.Result) (bad []string, err error) {
	res.Outputs = map[string]any{}
	for _, table := range slices.Sorted(maps.Keys(want)) {
		least, err := strconv.ParseInt(want[table], 10, 64)
		if err != nil {
			return nil, err
		}
		c := action.Check{Text: fmt.Sprintf("%s holds at least %d rows", table, least)}
		counts, err := db.Rows(ctx, tx, []string{table})
		switch {
		case ctx.Err() != nil:
			return nil, db.Explain("check", path, ctx.Err())
		case err != nil:
			c.Evidence = err.Error()
		default:
			c.OK, c.Evidence = counts[table] >= least, fmt.Sprintf("%d rows", counts[table])
			res.Outputs[table] = counts[table]
		}
		if !c.OK {
			bad = append(bad, c.Text+": "+c.Evidence)
		}
		res.Checks = append(res.Checks, c)
	}
	return bad, nil
}
