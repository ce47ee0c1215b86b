package console

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/estate"
	"lifeboat/internal/run"
)

const (
	boardEvery = 15 * time.Second // the board is computed anew while it is on the screen
	askEvery   = 2 * time.Minute  // and the vault is read
	askAgain   = 10 * time.Second // on the way back to the bridge, when it was read longer ago
)

// boardState is what the bridge knows. What this machine knows is shown at once, and what
// the vault says replaces it when it comes.
type boardState struct {
	Board
	known  bool      // one answer has come
	asking bool      // the vault is being read
	asked  time.Time // when it was read or did not answer; zero: not since the console began
	err    error     // the board cannot be computed
}

type (
	boardMsg struct {
		ask   bool
		board Board
		now   time.Time
		err   error
	}
	boardTickMsg struct{}
)

// gotBoard takes a board. After the first one the vault is read.
func (m *Model) gotBoard(msg boardMsg) tea.Cmd {
	b := &m.board
	if msg.ask {
		b.asking, b.asked = false, msg.now
	}
	if m.now.Before(msg.now) {
		m.now = msg.now
	}
	b.known, b.err = true, msg.err
	if msg.err == nil {
		b.Board = msg.board
	}
	if b.asked.IsZero() {
		return m.do(loadBoard{ask: true})
	}
	return nil
}

// boardTick keeps the board true while somebody looks at it.
func (m *Model) boardTick() tea.Cmd {
	next := m.after(boardEvery, boardTickMsg{})
	if _, bridge := m.below.(*homeScreen); !bridge {
		return next
	}
	return tea.Batch(next, m.do(loadBoard{ask: m.now.Sub(m.board.asked) >= askEvery}))
}

// sum is the verdict about everything.
func (b *boardState) sum() estate.Board { return estate.Sum(b.Assets) }

// gapOf is the asset whose gap is shown: the chosen one, else the worst.
func (w *world) gapOf(chosen *estate.Readiness) *estate.Readiness {
	if chosen != nil {
		return chosen
	}
	var worst *estate.Readiness
	for i := range w.board.Assets {
		r := &w.board.Assets[i]
		if _, ok := r.Worst(); ok && (worst == nil || r.Grade > worst.Grade) {
			worst = r
		}
	}
	return worst
}

// mend opens the plan of the runbook that mends a gap. It runs nothing.
func (w *world) mend(r *estate.Readiness) binding {
	b := binding{keys: []string{"f"}, long: "Open what mends the gap above the keys, a plan or a drill. Runs nothing."}
	if r == nil {
		return b.unless("there is no gap")
	}
	g, ok := r.Worst()
	switch {
	case !ok:
		return b.unless(r.Asset.Name + " has no gap")
	case g.Waits:
		return b.unless("the vault has to be read first, with r")
	case g.Mend.Name == "" && len(g.Advice) > 0:
		return b.unless("no runbook mends it; " + g.Advice[0])
	case g.Drill:
		b.act = wish(push{newDrillsOf(g.Mend.Name)})
		return b
	case w.book(g.Mend.Name) == nil:
		return b.unless("no runbook of the library mends it")
	}
	b.act = func() Intent { return push{newPlanAbout(w, w.book(g.Mend.Name), r.Asset.Name)} }
	return b
}

// newPlanAbout is the plan of a runbook with its asset filled in.
func newPlanAbout(w *world, b *Book, asset string) screen {
	copied := *b
	copied.Params = append([]Param{}, b.Params...)
	for i := range copied.Params {
		if copied.Params[i].Name == "asset" {
			copied.Params[i].Default = asset
		}
	}
	return newPlan(w, &copied)
}

// sandbox says whether everything here may be broken.
func (w *world) sandbox() bool { return w.o.Mode == run.Drill }
