package journal

import (
	"context"
	"fmt"

	"lifeboat/internal/run"
)

// Latest lists, for every runbook and every mode, the newest run that ended as complete
// and the newest that did not, the newest first. Open runs are not among them.
func (j *Journal) Latest(ctx context.Context) ([]Summary, error) {
	out, err := summaries(ctx, j.read, "SELECT "+columns(j.version)+` FROM runs WHERE first IN (
			SELECT max(first) FROM runs WHERE outcome <> ''
			GROUP BY json_extract(started, '$.book'), json_extract(started, '$.mode'), outcome LIKE 'complete%')
		ORDER BY first DESC`)
	if err != nil {
		return nil, fmt.Errorf("list the latest runs: %w", explain(err))
	}
	return out, nil
}

// Completed lists the newest runs of a runbook that ended as complete and were no dry
// runs, the newest first, at most limit.
func (j *Journal) Completed(ctx context.Context, book string, limit int) ([]Summary, error) {
	out, err := summaries(ctx, j.read, "SELECT "+columns(j.version)+` FROM runs
		WHERE outcome LIKE 'complete%' AND json_extract(started, '$.book') = ? AND json_extract(started, '$.mode') <> ?
		ORDER BY first DESC LIMIT ?`, book, string(run.Dry), limit)
	if err != nil {
		return nil, fmt.Errorf("list the runs of %q: %w", book, explain(err))
	}
	return out, nil
}
