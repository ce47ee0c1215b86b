package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"lifeboat/internal/console"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// ExportDrill implements console.Backend. The same drill gives the same files, so that
// exporting it again changes nothing.
func (b *backend) ExportDrill(ctx context.Context, id run.ID) (console.DrillReport, error) {
	rep, err := b.world.exportDrill(ctx, id)
	if err != nil {
		return rep, fmt.Errorf("export the drill %s: %w", id.Short(), err)
	}
	return rep, nil
}

func (w *world) exportDrill(ctx context.Context, id run.ID) (console.DrillReport, error) {
	var rep console.DrillReport
	history, err := w.journal.Load(ctx, id) // its chain is checked on the way
	if err != nil {
		return rep, err
	}
	r, err := run.FoldAll(history)
	if err != nil {
		return rep, err
	}
	if r.Drill == nil || r.Open() {
		return rep, hint.New("it is no drill that has ended", "lifeboat report "+id.Short()+" writes any run down")
	}
	text, err := report.Markdown(history)
	if err != nil {
		return rep, err
	}
	data, err := json.MarshalIndent(struct {
		Run     run.ID          `json:"run"`
		Book    string          `json:"runbook"`
		Digest  string          `json:"digest"`
		Outcome run.Outcome     `json:"outcome"`
		Drill   run.DrillSetup  `json:"drill"`
		Score   *run.Score      `json:"score"`
		Injects []injectJSON    `json:"injects"`
		Hints   []run.TakenHint `json:"hints"`
		Events  int             `json:"events"`
	}{r.ID, r.Started.Book, r.Started.Digest, r.Outcome, r.Drill.DrillSetup, r.Score, injectsJSON(r.Drill), noNil(r.Drill.Taken), len(history)}, "", "  ")
	if err != nil {
		return rep, err
	}
	dir := filepath.Join(w.state, "drills")
	if err := durable.MkdirAll(dir); err != nil {
		return rep, err
	}
	stem := filepath.Join(dir, r.At.UTC().Format("2006-01-02")+"-"+r.ID.Short())
	rep.Markdown, rep.JSON, rep.Chained = stem+".md", stem+".json", r.Score != nil
	sum := sha256.Sum256([]byte(text))
	rep.SHA256 = hex.EncodeToString(sum[:])
	errs := []error{durable.WriteFile(rep.Markdown, []byte(text), 0o600), durable.WriteFile(rep.JSON, append(data, '\n'), 0o600)}
	if tasks := report.Tasks(&r); tasks != "" {
		rep.Tasks = stem + ".tasks.md"
		errs = append(errs, durable.WriteFile(rep.Tasks, []byte(tasks), 0o600))
	}
	return rep, errors.Join(errs...)
}

type injectJSON struct {
	Inject string            `json:"inject"`
	At     string            `json:"at"`
	Answer *run.InjectAnswer `json:"answer"`
}

func injectsJSON(e *run.Exercise) []injectJSON {
	out := []injectJSON{}
	for _, i := range e.Arrived {
		out = append(out, injectJSON{i.Name, i.At.UTC().Format("2006-01-02T15:04:05Z"), i.Answer})
	}
	return out
}
