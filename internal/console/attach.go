package console

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// drives says whether the person at this console drives the run on the screen. The host
// decides; this only keeps people from typing what would be refused.
func (w *world) drives() bool {
	return w.snap != nil && !w.o.Look && w.snap.Driver.Session == w.o.Session
}

// watching says why nothing can be answered or stopped from here; empty: it can.
func (w *world) watching() string {
	switch {
	case w.o.Look:
		return "this console is read-only"
	case w.snap == nil || w.snap.ID == "" || !w.snap.Open() || w.drives() || adrift(w):
		return ""
	}
	return w.driver() + " drives this run; press A to ask"
}

// looking says why nothing can be put on record from here; empty: it can.
func (w *world) looking() string {
	if w.o.Look {
		return "this console is read-only"
	}
	return ""
}

// driver names who drives, and where when it is the same person.
func (w *world) driver() string {
	d := w.snap.Driver
	if d.By == w.o.User && !w.drives() {
		return d.By + " at another terminal"
	}
	return d.By
}

// needed is for whom a question waits.
func (w *world) needed() string {
	if w.watching() != "" {
		return w.snap.Driver.By
	}
	return "you"
}

// asks says whether the person at this console has asked to drive.
func (w *world) asks() bool {
	return w.snap != nil && w.snap.Asked != nil && w.snap.Asked.Who.Session == w.o.Session
}

// refused keeps an intent from being carried out where it is not this person's: the last
// check before the backend, whatever the screens offer.
func (w *world) refused(i Intent) string {
	switch i.(type) {
	case answerGate, stopStep, decide, sayInject, takeHint, endDrill:
		return w.watching()
	case startRun, hostRun, addNote, raiseLevel, askDrive, provePoint, restorePoint, startDrill, guessDrill:
		return w.looking()
	}
	return ""
}

// driverKey is the one key about who drives: a watcher asks, and takes over when nobody
// answers; the driver answers. Where letters are text it is F4.
func driverKey(w *world, typing bool) binding {
	b := binding{keys: []string{"A", "f4"}, show: "A", help: "ask to drive", brief: "ask", long: "Ask the driver for the run. F4 also while you type."}
	if typing {
		b.keys, b.show = []string{"f4"}, "f4"
	}
	b.act = wish(askDrive{w.snap.ID})
	s := w.snap
	switch {
	case w.o.Look:
		return b.unless("this console is read-only")
	case !s.Open():
		return b.unless("the run has ended")
	case adrift(w):
		return b.unless("nothing drives the run; r takes it up")
	case w.drives() && s.Asked == nil:
		b.help = ""
		return b.unless("you drive this run, and nobody else asks to")
	case w.drives():
		b.help, b.brief, b.long = "answer "+s.Asked.Who.By, "answer", "Answer who asks to drive. F4 also while you type."
		b.act = func() Intent { return push{&handScreen{seq: s.Asked.Seq}} }
	case w.asks() && w.room.Wait > 0:
		return b.unless(s.Driver.By + " has " + words(w.room.Wait) + " to answer")
	case w.asks():
		b.help, b.brief, b.long = "take over", "take over", s.Driver.By+" did not answer: drive the run from here."
	}
	return b
}

// handRow says that somebody asks to drive; it stands on every screen of the run until it is
// answered, and takes no key from a text field.
func handRow(w *world) (row, bool) {
	s := w.snap
	if s.Asked == nil {
		return row{}, false
	}
	key := "A"
	if w.typing {
		key = "f4"
	}
	says, right := s.Asked.Who.By+" asks to drive this run", []span{bold(rStrong, key), txt(rDim, " answer "), txt(rText, words(w.room.Wait)+" ")}
	switch {
	case w.asks() && w.room.Wait > 0:
		says = "you asked " + s.Driver.By + " for this run"
		right = []span{txt(rDim, "to answer "), txt(rText, words(w.room.Wait)+" ")}
	case w.asks():
		says = s.Driver.By + " did not answer"
		if !w.room.Here {
			says = "the terminal of " + s.Driver.By + " is gone"
		}
		right = []span{bold(rStrong, key), txt(rDim, " take over ")}
	case !w.drives():
		says, right = s.Asked.Who.By+" asks "+s.Driver.By+" for this run", nil
	}
	return row{left: []span{txt(rText, " "), txt(rWarnBadge, " TAKE-OVER "), txt(rText, " "), bold(rStrong, says)}, right: right}, true
}

// handScreen asks the driver whether somebody else may drive. Its keys mean nothing on any
// other screen, so that none meant for another question gives the run away.
type handScreen struct{ seq int64 }

func (h *handScreen) card() bool           { return true }
func (h *handScreen) field() *widget.Field { return nil }

func (h *handScreen) bindings(w *world) []binding {
	return []binding{
		does("G", "give it", "Let them drive. You watch from then on.", func() Intent { return several{pop{}, decide{w.snap.ID, h.seq, true}} }),
		does("K", "keep it", "Go on driving. They are told.", func() Intent { return several{pop{}, decide{w.snap.ID, h.seq, false}} }),
		does("esc", "later", "Decide later. The row on top stays.", wish(pop{})),
	}
}

func (h *handScreen) draw(w *world, a area) {
	width := min(a.w-4, 76)
	who := ""
	if w.snap.Asked != nil {
		who = w.snap.Asked.Who.By
	}
	rs := []row{line(bold(rStrong, who+" asks to drive this run.")), gap()}
	rs = append(rs, wrapped(rText, "Who drives answers the gates and stops steps; everybody else watches, notes and calls. What you approved stays approved.", width-4, 4)...)
	rs = append(rs, gap())
	if w.room.Wait > 0 {
		rs = append(rs, wrapped(rDim, "Without an answer they may take it in "+words(w.room.Wait)+".", width-4, 2)...)
	} else {
		rs = append(rs, wrapped(rWarn, "They may take it now.", width-4, 2)...)
	}
	rs = append(rs, gap(), line(txt(rKeycap, " G "), bold(rStrong, "  give it to "+who)), line(txt(rKeycap, " K "), bold(rStrong, "  keep it")), gap(),
		row{right: []span{bold(rStrong, "esc"), txt(rDim, " later")}})
	drawCard(w, a, width, frame{title: []span{txt(rWarnBadge, " TAKE-OVER ")}, heavy: true, role: rWarn}, rs)
}

// handed brings the screens in line with who drives, after the snapshot has changed.
func (m *Model) handed() tea.Cmd {
	s := m.snap
	if h, ok := m.top().(*handScreen); ok && (s.Asked == nil || s.Asked.Seq != h.seq || !m.drives()) {
		m.stack = m.stack[:len(m.stack)-1]
	}
	var cmds []tea.Cmd
	if drives := m.drives(); drives != m.drove && s.Open() {
		m.drove = drives
		if n := len(s.Handed); n > 0 && s.Handed[n-1].How != run.Returned {
			cmds = append(cmds, m.do(push{m.handedCard(s.Handed[n-1])}))
		}
		for _, on := range m.stack {
			if r, ok := on.(*runScreen); ok {
				r.take(&m.world) // what was half typed at a gate goes
			}
		}
	}
	if s.Asked != nil && m.drives() && s.Asked.Seq > m.seenAsk {
		m.seenAsk = s.Asked.Seq
		if r, ok := m.top().(*runScreen); ok && r.asked() == nil { // never over a question
			cmds = append(cmds, m.do(push{&handScreen{seq: s.Asked.Seq}}))
		}
	}
	return tea.Batch(cmds...)
}

// handedCard tells who drives now. It takes the keys that were meant for the gate below.
func (m *Model) handedCard(h run.Handed) screen {
	c := &card{title: "YOU DRIVE NOW", badge: rWarnBadge, body: incident.Hands(run.Event{Kind: run.DriverChanged, Body: h.Handover}) +
		"\n\nWhat was approved stays approved. What was half typed is gone: read the question before you answer it."}
	if !m.drives() {
		c.title = "YOU WATCH NOW"
		c.body = incident.Hands(run.Event{Kind: run.DriverChanged, Body: h.Handover}) +
			"\n\nWhat you approved stays approved, what you had half typed was not handed in. You can still add notes and call people; A asks for the run."
	}
	return c
}

// company says who else is here, as short as the room needs: names, or how many.
func company(w *world, room int) []span {
	n := len(w.room.Watch)
	if w.snap == nil || n == 0 {
		return nil
	}
	var names []string // each once, whoever sits at two terminals
	for _, p := range w.room.Watch {
		if !slices.Contains(names, p.By) {
			names = append(names, p.By)
		}
	}
	head := itoa(n) + " watch"
	if n == 1 {
		head = "1 watches"
	}
	if long := head + ": " + strings.Join(names, ", "); widget.Width(long) <= room {
		return []span{txt(rDim, head+": "), txt(rText, strings.Join(names, ", "))}
	}
	if widget.Width(head) <= room {
		return []span{txt(rDim, head)}
	}
	return nil
}

// watchedFoot is the answering part of a gate for somebody who cannot answer it: the choices
// stay in sight, a field to type into does not.
func watchedFoot(w *world, g gateView, foot []row) []row {
	why := w.watching()
	if why == "" {
		return foot
	}
	says := line(txt(rKeycap, " READ ONLY "), txt(rText, "  "+why+"."))
	if g.over() || g.field() != nil {
		return []row{gap(), says}
	}
	return append(foot, gap(), says)
}

// rememberEvery is how often the place of a person is written down at most.
const rememberEvery = 5 * time.Second

// touch keeps that the person had their hands on the run just now.
func (m *Model) touch() tea.Cmd {
	s := m.snap
	if s == nil || s.ID == "" || m.o.Look {
		return nil
	}
	m.seqThen = s.Seq
	if m.now.Sub(m.marked) < rememberEvery {
		return nil
	}
	m.marked = m.now
	return m.perform(remember{s.ID, incident.Mark{Seq: s.Seq, At: m.now}})
}

// quitLimit bounds what a console says when it leaves: nothing may hold up a person who goes.
const quitLimit = time.Second

// quits is what a person who turns away from the run leaves behind: where they were, and
// that they are gone. It ends with a message of its own.
func (m *Model) quits(then tea.Msg) tea.Cmd {
	s, b := m.snap, m.backend
	if s == nil || s.ID == "" {
		return func() tea.Msg { return then }
	}
	ctx, id, mark := m.ctx, s.ID, incident.Mark{Seq: s.Seq, At: m.now}
	keep := !m.o.Look && s.Open()
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, quitLimit)
		defer cancel()
		if keep {
			_ = b.Remember(ctx, id, mark) // losing it is harmless
		}
		_ = b.Bye(ctx, id) // the host finds out by itself
		return then
	}
}
