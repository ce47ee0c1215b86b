package console

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// logView is the spool file on the screen.
type logView struct {
	id     run.ID
	name   string
	pane   widget.Log
	spool  *widget.Spool
	file   Log
	err    error
	pinned bool // a person chose it: it stays when the run goes on

	reading   bool // one read is under way
	searching bool // and one part of a search
	asked     bool // a key waits for lines
}

// stepLog is the output of one thing that the run did.
type stepLog struct {
	name, step string
	attempt    int
	kind       string // "check" or "undo"; empty: the effect
	at         time.Time
}

// logged adds the log that an event tells of.
func logged(list []stepLog, ev run.Event) []stepLog {
	l := stepLog{step: ev.Step, attempt: ev.Attempt, at: ev.At}
	switch b := ev.Body.(type) {
	case run.Began:
		l.name = b.Log
		if ev.Kind == run.UndoBegan {
			l.kind = "undo"
		}
	case run.Check:
		if l.kind = "check"; b.Log != nil {
			l.name = b.Log.Name
		}
	}
	if l.name == "" || len(list) > 0 && list[len(list)-1].name == l.name {
		return list
	}
	return append(list, l)
}

type (
	feedLog   struct{}              // the pane may need lines at once
	showLog   struct{ name string } // of another step; empty: that of the current one
	findInLog struct {
		finder func() (string, *widget.Finder)
	} // begin a search
	streamLog struct { // on the normal screen
		stream *stream
		id     run.ID
		after  int64
	}
)

func (feedLog) intent()   {}
func (showLog) intent()   {}
func (findInLog) intent() {}
func (streamLog) intent() {}

// logFoundMsg is what a search knows so far.
type logFoundMsg struct {
	finder *widget.Finder
	found  widget.Found
}

// styledLine makes a raw line of output harmless and keeps its colours.
func styledLine(raw string) string { return printable.Styled(raw, 4*printable.DefaultMax) }

// followLog shows the log of the current step, unless a person reads one.
func (m *Model) followLog() tea.Cmd {
	name := m.snap.logName()
	if _, own := m.top().(*logScreen); name == "" || name == m.log.name && m.snap.ID == m.log.id || (own || m.log.pinned) && m.snap.ID == m.log.id && m.log.name != "" {
		return nil
	}
	return m.openLog(name)
}

// showLog shows the log that a person has chosen.
func (m *Model) showLog(name string) tea.Cmd {
	pinned := name != ""
	if name == "" {
		name = m.snap.logName()
	}
	if name == "" || name == m.log.name {
		m.log.pinned = pinned
		return nil
	}
	cmd := m.openLog(name)
	m.log.pinned = pinned
	return cmd
}

func (m *Model) openLog(name string) tea.Cmd {
	drop := m.dropLog()
	m.log.id, m.log.name = m.snap.ID, name
	m.log.pane.Clean = styledLine
	return tea.Batch(drop, m.perform(openLog{m.snap.ID, name}))
}

// gotLog takes an answer about the log, and says whether the frame may have changed.
func (m *Model) gotLog(msg tea.Msg) (changed bool, cmd tea.Cmd) {
	switch msg := msg.(type) {
	case logOpenedMsg:
		return true, m.logOpened(msg)
	case logTickMsg:
		slow := m.slow
		cmd := m.logTick(msg)
		return slow != m.slow, cmd
	case logFoundMsg:
		return m.logFound(msg)
	case logReadMsg:
		return m.logRead(msg)
	}
	return false, nil
}

func (m *Model) logOpened(msg logOpenedMsg) tea.Cmd {
	if msg.id != m.log.id || msg.name != m.log.name { // another one is on the screen by now
		if msg.err == nil {
			return m.perform(closeLog{msg.log})
		}
		return nil
	}
	if msg.err != nil {
		m.log.err = msg.err
		return nil
	}
	m.log.file, m.log.spool = msg.log, widget.NewSpool(msg.log)
	return m.logTick(logTickMsg{m.log.spool})
}

// logTick reads the log again, unless a read is under way: then it takes too long for
// this tick, and the next one will do.
func (m *Model) logTick(msg logTickMsg) tea.Cmd {
	l := &m.log
	if msg.spool != l.spool {
		return nil
	}
	m.slow = m.wire.slow()
	cmds := []tea.Cmd{m.after(m.logWait(), msg)}
	if !l.reading {
		cmds = append(cmds, m.readLog())
	}
	if f := l.pane.Searching(); f != nil && !l.searching { // in what was added
		cmds = append(cmds, m.searchLog(f))
	}
	return tea.Batch(cmds...)
}

func (m *Model) readLog() tea.Cmd {
	m.log.reading = true
	return m.perform(readLog{m.log.spool, m.log.pane.Want()})
}

func (m *Model) searchLog(f *widget.Finder) tea.Cmd {
	m.log.searching = true
	return m.perform(searchLog{f})
}

// feedLog reads what the pane will show next, without waiting for a tick.
func (m *Model) feedLog() tea.Cmd {
	if m.log.spool == nil || m.log.reading || !m.log.pane.Hungry() {
		return nil
	}
	m.log.asked = true
	return m.readLog()
}

func (m *Model) logRead(msg logReadMsg) (changed bool, cmd tea.Cmd) {
	if msg.spool != m.log.spool {
		return false, nil
	}
	m.log.reading = false
	changed = m.log.pane.Take(msg.want, msg.got, msg.now)
	return changed, m.feedLog()
}

// findInLog begins a search.
func (m *Model) findInLog(i findInLog) tea.Cmd {
	text, finder := i.finder()
	m.log.pane.Search(text, finder)
	m.log.searching = false
	return m.searchLog(finder)
}

func (m *Model) logFound(msg logFoundMsg) (changed bool, cmd tea.Cmd) {
	if msg.finder != m.log.pane.Searching() { // it was given up
		return false, nil
	}
	m.log.searching = false
	changed = m.log.pane.Found(msg.finder, msg.found)
	cmds := []tea.Cmd{m.feedLog()}
	if !msg.found.Done && msg.found.Err == nil {
		cmds = append(cmds, m.searchLog(msg.finder))
	}
	return changed, tea.Batch(cmds...)
}

// dropLog lets go of the log on the screen.
func (m *Model) dropLog() tea.Cmd {
	file := m.log.file
	m.log = logView{}
	if file == nil {
		return nil
	}
	return m.perform(closeLog{file})
}
