package sqlite

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/printable"
)

// rowDifferences compares the rows themselves and says in words what a person has to know
// before one takes the place of the other.
func rowDifferences(ctx context.Context, env *action.Env, live, other state, p compareParams, res *action.Result) (words string, diff []string, err error) {
	list, err := db.RowDiff(ctx, live.file, other.file, [2]db.Mode{live.mode, other.mode}, p.Tables, p.Newest, env.Progress)
	if err != nil {
		return "", nil, err
	}
	var gained, lost, changed int64
	same := true
	for _, d := range list {
		if !d.Inner {
			gained, lost, changed = gained+d.OnlyThat.N, lost+d.OnlyHere.N, changed+d.Changed.N
		}
		name := printable.Line(d.Table)
		if d.Same() {
			continue
		}
		same = false
		if d.Alone {
			continue // said with the schema
		}
		ok := p.AtLeast && d.OnlyThat.N+d.Changed.N == 0 && d.Why == ""
		text := name + ": " + tableWords(d)
		if d.Inner {
			text = name + ": differs, a part of a virtual table"
		}
		if ok { // else it is one of the differences, which are printed
			env.Printf("%s", text)
		}
		res.Checks = append(res.Checks, action.Check{Text: "rows of " + name, OK: ok, Evidence: text})
		if !ok {
			diff = append(diff, text)
		}
	}
	res.Outputs["gained"], res.Outputs["lost"], res.Outputs["changed"] = gained, lost, changed
	if same {
		return fmt.Sprintf("every row of %s is the same", printable.Count(len(list), "table")), diff, nil
	}
	return fmt.Sprintf("%d rows gained, %d lost, %d changed", gained, lost, changed), diff, nil
}

// tableWords says what is different in a table.
func tableWords(d db.TableDiff) string {
	if d.Why != "" {
		return "rows not compared, " + d.Why
	}
	var parts []string
	for _, set := range []struct {
		rows db.RowSet
		what string
	}{{d.OnlyThat, "gained"}, {d.OnlyHere, "lost"}, {d.Changed, "changed"}} {
		if set.rows.N == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%d %s (newest: %s)", set.rows.N, set.what, strings.Join(set.rows.Newest, "; ")))
	}
	return strings.Join(append(parts, d.Lacks...), ", ")
}
