package journal

import (
	"context"
	"encoding/json"
	"fmt"

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
	keys := make([]string, len(wanted))
	for i, w := range wanted {
		var err error
		if keys[i], err = w.key(); err != nil {
			return nil, fmt.Errorf("list runs that succeeded: %w", err)
		}
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("list runs that succeeded: %w", err)
	}
	out, err := summaries(ctx, j.read, "SELECT "+columns(j.version)+` FROM runs WHERE run IN (
			SELECT run FROM (
				SELECT run, row_number() OVER (PARTITION BY wanted ORDER BY first DESC) AS place FROM (
					SELECT run, first, substr(started, 1, instr(started, '"title":') - 1) AS wanted FROM runs WHERE outcome IN (?1, ?2)
				) WHERE wanted IN (SELECT value FROM json_each(?3))
			) WHERE place <= ?4
		) ORDER BY first DESC`, string(run.Complete), string(run.CompleteWithOverrides), string(list), few)
	if err != nil {
		return nil, fmt.Errorf("list runs that succeeded: %w", explain(err))
	}
	return out, nil
}
