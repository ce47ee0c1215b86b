package app

import (
	"io"
	"path/filepath"
	"sync"
	"testing"

	"lifeboat/internal/console"
	"lifeboat/internal/run"
)

// TestConsoleAsksAtOnce: a console asks its world for many things at the same time. Under
// -race this finds what is not guarded.
func TestConsoleAsksAtOnce(t *testing.T) {
	t.Parallel()
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	w, err := open(env, settings{state: filepath.Join(t.TempDir(), "state"), sandbox: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	b := &backend{world: w, client: w.hosts()}
	defer b.drills.close()
	ctx := t.Context()
	var all sync.WaitGroup
	for range 2 {
		for name, ask := range map[string]func() error{
			"books":  func() error { _, err := b.Books(ctx); return err },
			"team":   func() error { _, err := b.Team(ctx); return err },
			"drills": func() error { _, err := b.Drills(ctx); return err },
			"board":  func() error { _, err := b.Board(ctx, true); return err },
			"runs":   func() error { _, err := b.Runs(ctx, 40); return err },
			"vault":  func() error { _, err := b.Vault(ctx, true); return err },
			"themes": func() error { b.Themes(ctx); return nil },
			"past":   func() error { _, err := b.Past(ctx, "daily-backup", run.Drill); return err },
			"find":   func() error { _, err := w.shelf.ready("daily-backup"); return err },
			"drill": func() error {
				_, err := b.AlarmDrill(ctx, console.DrillStart{Scenario: "accidental-force-push"})
				return err
			},
		} {
			all.Go(func() {
				if err := ask(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	all.Wait()
}
