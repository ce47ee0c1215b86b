package journal

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"lifeboat/internal/run"
)

// Want names runs by mode and runbook.
type Want struct {
	Mode run.Mode
	Book string
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

// Succeeded lists the runs of the given modes and runbooks that ended complete, with or
// without overrides: the newest few of each, newest first.
func (j *Journal) Succeeded(ctx context.Context, wanted []Want, few int) ([]Summary, error) {
	out, err := j.succeeded(ctx, wanted, few)
	if err != nil {
		return nil, fmt.Errorf("list runs that succeeded: %w", explain(err))
	}
	return out, nil
}

func (j *Journal) succeeded(ctx context.Context, wanted []Want, few int) ([]Summary, error) {
	type place struct {
		run   string
		first int64
	}
	if few <= 0 {
		return nil, nil
	}
	best := map[string][]place{} // newest first, by key
	for _, w := range wanted {
		key, err := w.key()
		if err != nil {
			return nil, err
		}
		best[key] = nil
	}
	rows, err := j.read.QueryContext(ctx, `SELECT run, first, substr(started, 1, instr(started, '"title":') - 1) FROM runs WHERE outcome IN (?1, ?2)`,
		string(run.Complete), string(run.CompleteWithOverrides))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, key sql.RawBytes
		var first int64
		if err := rows.Scan(&id, &first, &key); err != nil {
			return nil, err
		}
		list, ok := best[string(key)]
		if !ok || len(list) == few && first < list[few-1].first {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, first, func(p place, first int64) int { return cmp.Compare(first, p.first) })
		list = slices.Insert(list, at, place{string(id), first})
		best[string(key)] = list[:min(len(list), few)]
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	var ids []string
	for _, list := range best {
		for _, p := range list {
			ids = append(ids, p.run)
		}
	}
	picked, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	return summaries(ctx, j.read, "SELECT "+columns(j.version)+" FROM runs WHERE run IN (SELECT value FROM json_each(?)) ORDER BY first DESC", string(picked))
}
