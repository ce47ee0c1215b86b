package console

import (
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// waitScreen stands while a run is being started, which in a sandbox takes some
// seconds: it is made anew, backed up and broken. It hears no key; the answer of the
// backend takes it away.
type waitScreen struct {
	book  *Book
	mode  run.Mode
	since time.Time
}

func (s *waitScreen) card() bool                { return true }
func (s *waitScreen) field() *widget.Field      { return nil }
func (s *waitScreen) bindings(*world) []binding { return nil }
func (s *waitScreen) deaf() bool                { return true }
func (s *waitScreen) remark(*world) string      { return "keys are off until it is ready" }

func (s *waitScreen) draw(w *world, a area) {
	word, badge, border := modeLook(s.mode)
	width := min(a.w-4, 76)
	title, says := "STARTING THE "+word+" RUN", "A process of its own is started for the run. It goes on whatever happens to this window."
	if s.mode == run.Drill && s.book.Staged != "" {
		title, says = "PREPARING THE SANDBOX", s.book.Staged
	}
	rs := []row{gap(), line(bold(rStrong, s.book.Title)), gap()}
	rs = append(rs, wrapped(rText, says, width-4, 5)...)
	rs = append(rs, gap(), row{left: []span{txt(rNow, "▸ "), txt(rText, "a few seconds")}, right: []span{txt(rDim, clock(w.since(s.since)))}})
	drawCard(w, a, width, frame{title: []span{txt(badge, " "+title+" ")}, heavy: true, role: border}, rs)
}
