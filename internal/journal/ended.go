package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"lifeboat/internal/run"
)

// Want names runs that have ended: by mode, by runbook, and by how they ended.
type Want struct {
	Mode       run.Mode
	Book       string
	Incomplete bool // they ended otherwise than complete, with or without overrides
}

// key is how the summary of such a run begins. [run.Started] is encoded in the order of its
// fields, so nothing has to be decoded to find the runs that are wanted among all.
func (w Want) key() (string, error) {
	data, err := json.Marshal(struct {
		Mode  run.Mode `json:"mode"`
		Book  string   `json:"book"`
		Title string   `json:"title"`
	}{w.Mode, w.Book, ""})
	if err != nil {
		return "", err
	}
	return string(data[:len(data)-len(`"title":""}`)]), nil
}

// Ended lists runs that have ended: of each kind that is wanted the newest few, all of
// them newest first. It reads no further than it has to.
func (j *Journal) Ended(ctx context.Context, wanted []Want, few int) ([]Summary, error) {
	out, err := j.ended(ctx, wanted, few)
	if err != nil {
		return nil, fmt.Errorf("list runs that have ended: %w", explain(err))
	}
	return out, nil
}

func (j *Journal) ended(ctx context.Context, wanted []Want, few int) ([]Summary, error) {
	type kind struct {
		key        string
		incomplete bool
	}
	open := map[kind]int{} // how many more are wanted
	for _, w := range wanted {
		key, err := w.key()
		if err != nil {
			return nil, err
		}
		if few > 0 {
			open[kind{key, w.Incomplete}] = few
		}
	}
	rows, err := j.read.QueryContext(ctx, `SELECT run, outcome NOT IN (?1, ?2), substr(started, 1, instr(started, '"title":') - 1)
		FROM runs WHERE outcome <> '' ORDER BY first DESC`, string(run.Complete), string(run.CompleteWithOverrides))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []string
	for len(open) > 0 && rows.Next() {
		var id, key sql.RawBytes
		var k kind
		if err := rows.Scan(&id, &k.incomplete, &key); err != nil {
			return nil, err
		}
		k.key = string(key)
		left, ok := open[k]
		switch {
		case !ok:
			continue
		case left == 1:
			delete(open, k)
		default:
			open[k] = left - 1
		}
		found = append(found, string(id))
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	picked, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	return summaries(ctx, j.read, "SELECT "+columns(j.version)+" FROM runs WHERE run IN (SELECT value FROM json_each(?)) ORDER BY first DESC", string(picked))
}
