package console

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
)

// absence is what somebody who came back is told, until they act.
type absence struct {
	incident.Absence
	proven int64 // entries whose chain holds; 0: not checked yet
	broken error // it does not
}

// awayTime is how long somebody who attaches again must have been away to be told.
const awayTime = 20 * time.Second

// returned tells somebody who comes back to a run what happened since the mark.
func (m *Model) returned(mark incident.Mark) tea.Cmd {
	m.away = nil
	s := m.snap
	if mark.Seq == 0 || s == nil || !s.Open() {
		return nil
	}
	a, ok := incident.Since(s.events, mark, m.now)
	if !ok || !a.Restarted && m.now.Sub(mark.At) < awayTime {
		return nil
	}
	m.away = &absence{Absence: a}
	cmds := []tea.Cmd{m.perform(prove{s.ID})}
	r, plain := m.top().(*runScreen)
	if plain && r.asked() == nil && !wide(area{w: m.size.w, h: m.size.h}) {
		return tea.Batch(append(cmds, m.do(push{&sinceScreen{}}))...)
	}
	m.do(say{sinceWords(a)}) // where a gate is open or the panel has its place, a line is enough
	m.until = m.now.Add(2 * noticeTime)
	return tea.Batch(cmds...)
}

func sinceWords(a incident.Absence) string {
	text := fmt.Sprintf("You were at step %d of %d. Since then: %s", a.Step, a.Of, words(a.Gap()))
	if n := len(a.Happened); n > 0 {
		text += ", " + a.Happened[n-1].Text
	}
	return text + fmt.Sprintf(", now at step %d.", a.Now)
}

// sinceRows is the same as a panel: it has room rows.
func sinceRows(w *world, width, room int) []row {
	a := w.away
	pair := func(label string, spans ...span) row {
		return line(append([]span{txt(rDim, pad(label, 12))}, spans...)...)
	}
	lastly, back := "left at", "back at"
	says := hhmmss(a.Back)
	if a.Restarted {
		lastly, says = "last sign", says+"  restarted"
	}
	rs := []row{
		line(txt(rText, fmt.Sprintf("You were at step %d of %d.", a.Step, a.Of))), gap(),
		pair(lastly, txt(rText, widget.Cut(hhmmss(a.Last)+"  "+a.Says, max(width-12, 8), "…"))),
		pair(back, txt(rText, widget.Cut(says, max(width-12, 8), "…"))),
		pair("gap", bold(rText, words(a.Gap()))),
		pair("journal", journalWords(a)...), gap(),
	}
	var more [][]row // one group each
	for _, h := range a.Happened {
		var one []row
		for i, l := range wrap(h.Text, max(width-6, 8), 2) {
			head := h.At.UTC().Format("15:04") + " "
			if i > 0 {
				head = strings.Repeat(" ", 6)
			}
			one = append(one, line(txt(rFaint, head), txt(rText, l)))
		}
		more = append(more, one)
	}
	left, cut := max(room-len(rs), 0), 0
	for n := len(slices.Concat(more...)); n > left && cut < len(more); cut++ { // the oldest go first
		n = len(slices.Concat(more[cut+1:]...)) + 1
	}
	if cut > 0 && left > 0 {
		rs = append(rs, line(txt(rWarn, "… "+plural(cut, "thing", "things")+" before")))
	}
	return append(rs, slices.Concat(more[cut:]...)...)
}

func journalWords(a *absence) []span {
	switch {
	case a.broken != nil:
		return []span{txt(rFail, "✗ "), txt(rText, a.broken.Error())}
	case a.proven == 0:
		return []span{txt(rDim, "its chain is being checked")}
	}
	return []span{txt(rOK, "✓ "), txt(rText, fmt.Sprintf("%d entries, none lost", a.proven))}
}

// sinceScreen is the panel as a card, where the rail has no place.
type sinceScreen struct{}

func (s *sinceScreen) card() bool           { return true }
func (s *sinceScreen) field() *widget.Field { return nil }
func (s *sinceScreen) bindings(*world) []binding {
	return []binding{{keys: []string{"esc", "enter"}, show: "esc", help: "go on", act: wish(pop{})}}
}

func (s *sinceScreen) draw(w *world, a area) {
	width := min(a.w-4, 76)
	if w.away == nil {
		return
	}
	rs := append(sinceRows(w, width-4, max(a.h-w.head()-8, 8)), gap(), row{right: []span{bold(rStrong, "esc"), txt(rDim, " go on")}})
	drawCard(w, a, width, frame{title: []span{bold(rStrong, "SINCE YOU WERE HERE")}, heavy: true, role: rHeavy}, rs)
}
