package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/vault"
)

const compareDoc = `Compares a database, or a side file, with a restore point or with another file: its schema,
the rows of every table, and, where newest names a column of a table, the greatest value in
it.

With rows: true it compares the rows themselves, by primary key, and says in words what the
other has that the database lacks (gained, were it put in its place), what only the database
has (lost then), and what differs, the newest first. Of a row it shows its key and its newest
column, nothing else. With allow_differences: true they fail nothing: they are what a person
reads before a swap.

` + "```sqlite.compare" + `
asset: booking
point: latest
at_least: true
` + "```" + `

Saves: differences; with rows: true also gained, lost, changed.
`

type compareParams struct {
	Asset   string            `param:"asset,required" help:"the database to compare"`
	File    string            `param:"file" help:"a side file to compare, instead of the database itself"`
	Point   string            `param:"point" help:"id of the restore point, or latest" default:"latest"`
	At      string            `param:"at" help:"the newest point that is not younger than this time: 2026-11-23T14:30:00Z"`
	With    string            `param:"with" help:"a database file to compare with, instead of a point"`
	Tables  []string          `param:"tables" help:"only these tables"`
	Newest  map[string]string `param:"newest" help:"table: the column whose greatest value is compared, such as the time of the last change"`
	AtLeast bool              `param:"at_least" help:"the database may hold more and newer than what it is compared with"`
	Rows    bool              `param:"rows" help:"compare the rows themselves, by primary key"`
	Allow   bool              `param:"allow_differences" help:"say what differs and fail nothing"`
}

func (d Deps) compare() action.Action {
	return action.New(action.Def[compareParams]{
		Name: "sqlite.compare", Summary: "Compare a database with a restore point or another file", Doc: compareDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p compareParams) error {
			if p.With != "" && (p.At != "" || p.Point != "" && p.Point != "latest") {
				return &action.ArgError{Name: "with", Msg: "there is a point too", Fix: "give one of with:, point: and at:"}
			}
			return checkTime(p.Point, p.At)
		},
		Plan: func(_ context.Context, env *action.Env, p compareParams) (action.Plan, error) {
			path, err := d.file(env, p.Asset, p.File)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{Summary: "compares " + path, Target: path, Stop: "Yes: it only reads."}, nil
		},
		Run: d.runCompare,
	})
}

// state is what is compared of a database.
type state struct {
	name   string
	file   string // "": what is known comes from a manifest
	mode   db.Mode
	schema string
	rows   map[string]int64
	newest map[string]string // by table; "nothing" for an empty one
}

func (d Deps) runCompare(ctx context.Context, env *action.Env, p compareParams, _ action.Plan) (action.Result, error) {
	a, err := d.Asset(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	path := a.Path
	if p.File != "" {
		path = absolute(env, p.File)
	}
	live, err := read(ctx, path, db.ReadLive, p)
	if err != nil {
		return action.Result{}, err
	}
	other, err := d.other(ctx, env, a, p)
	if err != nil {
		return action.Result{}, err
	}
	res := action.Result{Outputs: map[string]any{}}
	diff := differences(live, other, p, &res)
	words := ""
	if p.Rows {
		var more []string
		if words, more, err = rowDifferences(ctx, env, live, other, p, &res); err != nil {
			return action.Result{}, err
		}
		diff = append(diff, more...)
		words = ": " + words
	}
	for _, line := range diff {
		env.Printf("%s", line)
	}
	res.Outputs["differences"] = int64(len(diff))
	if len(diff) > 0 && !p.Allow {
		return res, fmt.Errorf("%w: %s differs from %s: %s", action.ErrCheck, live.name, other.name, joined(diff))
	}
	switch {
	case len(diff) > 0:
		for i := range res.Checks { // they were asked for, and are no failure
			if !res.Checks[i].OK {
				res.Checks[i].Text, res.Checks[i].OK = "differs: "+res.Checks[i].Text, true
			}
		}
		if words == "" {
			words = ": " + joined(diff)
		}
		res.Evidence = fmt.Sprintf("%s against %s%s", other.name, live.name, words)
	case p.AtLeast:
		res.Evidence = fmt.Sprintf("%s holds everything of %s in schema and %d tables%s", live.name, other.name, len(other.rows), words)
	default:
		res.Evidence = fmt.Sprintf("%s equals %s in schema and %d tables%s", live.name, other.name, len(other.rows), words)
	}
	return res, nil
}

// other reads what the database is compared with. The manifest of a point tells its
// schema and rows; only what it does not tell needs the point itself.
func (d Deps) other(ctx context.Context, env *action.Env, a Asset, p compareParams) (state, error) {
	if p.With != "" {
		return read(ctx, absolute(env, p.With), db.ReadLive, p)
	}
	m, f, err := d.point(ctx, env, a, p.Point, p.At)
	if err != nil {
		return state{}, err
	}
	if len(p.Newest) == 0 && !f.RowsPartial && !p.Rows {
		return state{name: "point " + m.ID, schema: f.SchemaSHA256, rows: chosen(f.Rows, p.Tables)}, nil
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return state{}, err
	}
	dir := filepath.Join(env.Scratch, "point")
	if _, err := v.Restore(ctx, m, db.Kind{}, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log}); err != nil {
		return state{}, err
	}
	s, err := read(ctx, filepath.Join(dir, db.ReplicaName), db.ReadReplica, p)
	s.name = "point " + m.ID
	return s, err
}

func chosen(rows map[string]int64, tables []string) map[string]int64 {
	if len(tables) == 0 {
		return rows
	}
	out := map[string]int64{}
	for _, t := range tables {
		if n, ok := rows[t]; ok {
			out[t] = n
		}
	}
	return out
}

// read takes everything from one read transaction.
func read(ctx context.Context, path string, mode db.Mode, p compareParams) (s state, err error) {
	conn, err := db.Open(ctx, path, mode)
	if errors.Is(err, db.ErrDamaged) {
		err = fmt.Errorf("%w: %w", action.ErrCheck, err)
	}
	if err != nil {
		return state{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return state{}, db.Explain("compare", path, err)
	}
	defer tx.Rollback() // it only read
	s = state{name: path, file: path, mode: mode, newest: map[string]string{}}
	if s.schema, err = db.SchemaHash(ctx, tx); err != nil {
		return state{}, db.Explain("read the schema of", path, err)
	}
	all, err := db.Rows(ctx, tx, nil)
	if err != nil {
		return state{}, db.Explain("compare", path, err)
	}
	s.rows = chosen(all, p.Tables)
	for table, column := range p.Newest {
		if _, ok := all[table]; !ok {
			return state{}, fmt.Errorf("%w: %q has no table %q", action.ErrCheck, path, table)
		}
		if s.newest[table], err = db.Greatest(ctx, tx, table, column); err != nil {
			return state{}, db.Explain("compare", path, err)
		}
	}
	return s, nil
}

// differences lists what is not as it should be, table by table.
func differences(live, other state, p compareParams, res *action.Result) (diff []string) {
	check := func(text string, ok bool, found string) {
		res.Checks = append(res.Checks, action.Check{Text: text, OK: ok, Evidence: found})
		if !ok {
			diff = append(diff, found)
		}
	}
	found := "the schemas are equal"
	if live.schema != other.schema {
		found = "the schemas differ"
	}
	check("schema", live.schema == other.schema, found)
	names := map[string]bool{}
	for _, rows := range []map[string]int64{live.rows, other.rows} {
		for t := range rows {
			names[t] = true
		}
	}
	for _, t := range p.Tables {
		names[t] = true
	}
	for _, t := range slices.Sorted(maps.Keys(names)) {
		n, here := live.rows[t]
		want, there := other.rows[t]
		switch {
		case !here && !there:
			check("table "+t, false, fmt.Sprintf("neither has a table %q", t))
		case !here:
			check("table "+t, false, fmt.Sprintf("table %q is missing, there it has %d rows", t, want))
		case !there:
			check("table "+t, p.AtLeast, fmt.Sprintf("table %q with %d rows is not there", t, n))
		default:
			check("table "+t, n == want || p.AtLeast && n > want, fmt.Sprintf("table %q has %d rows, there %d", t, n, want))
		}
	}
	for _, t := range slices.Sorted(maps.Keys(p.Newest)) {
		a, b := live.newest[t], other.newest[t]
		check("newest "+t, a == b || p.AtLeast && strings.Compare(a, b) > 0, fmt.Sprintf("the newest %s of %q is %s, there %s", p.Newest[t], t, a, b))
	}
	return diff
}
