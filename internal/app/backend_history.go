package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/console"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/journal"
	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// History implements console.HistoryReader.
func (b *backend) History(ctx context.Context, behind int64, limit int) ([]report.Run, int64, error) {
	list, err := b.world.journal.Page(ctx, behind, limit)
	if err != nil {
		return nil, 0, err
	}
	kinds := b.world.kinds()
	out := make([]report.Run, 0, len(list))
	for _, s := range list {
		out = append(out, pastRun(s, kinds))
	}
	if len(list) < limit {
		return out, 0, nil
	}
	return out, list[len(list)-1].Place, nil
}

// Metrics implements console.HistoryReader.
func (b *backend) Metrics(ctx context.Context) (console.Metrics, error) {
	now := b.world.env.now()
	in, err := b.world.input(ctx, now.AddDate(-1, 0, 0), now)
	if err != nil {
		return console.Metrics{}, err
	}
	year := report.Of(in)
	in.Since = now.Add(-30 * 24 * time.Hour)
	return console.Metrics{Year: year, Month: report.Of(in)}, nil
}

// Audit implements console.HistoryReader.
func (b *backend) Audit(ctx context.Context) console.Audit {
	if _, events, err := b.world.journal.Size(ctx); err == nil && events == 0 {
		return console.Audit{At: b.world.env.now(), Empty: true}
	}
	r, err := b.world.journal.Verify(ctx)
	out := console.Audit{At: b.world.env.now(), Events: r.Events, Head: r.Head, Err: err}
	for _, p := range r.Problems {
		out.Faults = append(out.Faults, console.Fault{Run: p.Run, Seq: p.Seq, Why: p.Why})
	}
	return out
}

// Record implements console.HistoryReader.
func (b *backend) Record(ctx context.Context, id run.ID) (console.Record, error) {
	w := b.world
	rec := console.Record{Dir: w.files.Run(id)}
	var err error
	if rec.Events, err = w.journal.Load(ctx, id); err != nil {
		return rec, err
	}
	if len(rec.Events) == 0 {
		return rec, fmt.Errorf("%w: %q", journal.ErrNotFound, id)
	}
	if rec.Proof, err = w.journal.Proof(ctx, id); err != nil {
		return rec, err
	}
	entries, err := os.ReadDir(rec.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rec, fmt.Errorf("list the files of run %s: %w", id.Short(), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			rec.Files = append(rec.Files, console.File{Name: e.Name(), Size: info.Size()})
		}
	}
	return rec, nil
}

// maxReports bounds the search for a free name.
const maxReports = 1000

// Export implements console.HistoryReader.
func (b *backend) Export(ctx context.Context, id run.ID) (path string, fresh bool, err error) {
	list, err := b.world.journal.Load(ctx, id)
	if err != nil {
		return "", false, err
	}
	text, err := report.Markdown(list)
	if err != nil {
		return "", false, err
	}
	dir := b.world.files.Run(id)
	if err := durable.MkdirAll(dir); err != nil {
		return "", false, fmt.Errorf("write the report: %w", err)
	}
	for n := 1; n < maxReports; n++ {
		path := filepath.Join(dir, "report.md")
		if n > 1 { // there is another one by that name: the run went on since, or a person changed it
			path = filepath.Join(dir, fmt.Sprintf("report-%d.md", n))
		}
		if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, []byte(text)) {
			return path, false, nil
		}
		err := writeNew(path, text)
		if err == nil {
			return path, true, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", false, fmt.Errorf("write the report: %w", err)
		}
	}
	return "", false, hint.New(fmt.Sprintf("write the report: %d reports lie in %s", maxReports, dir), "move them elsewhere")
}

// writeNew writes a file that must not be there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path)) // half a report is none
	}
	return err
}
