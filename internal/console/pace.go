package console

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// flushes is how often in a second Bubble Tea looks whether there is a new frame. A key
// waits for that, so it is more often than frames change by themselves.
const flushes = 75

// pace keeps frames that nobody has asked for apart. What a person does is drawn at once.
type pace struct {
	every   time.Duration // between two frames; zero: they are not kept apart
	resting bool          // the last frame is not old enough
	hold    bool          // so what has changed is not drawn yet
}

// frameMsg ends the rest after a frame.
type frameMsg struct{}

// paced decides whether what msg has changed is drawn now.
func (m *Model) paced(msg tea.Msg, cmd tea.Cmd) tea.Cmd {
	p := &m.pace
	if p.every == 0 {
		return cmd
	}
	switch msg := msg.(type) {
	case frameMsg:
		p.resting = false
	case tea.KeyPressMsg, tea.PasteMsg, tea.WindowSizeMsg:
		p.hold = false
		return cmd
	case logReadMsg:
		if m.log.asked && msg.spool == m.log.spool { // a key waits for these lines
			m.log.asked, p.hold = false, false
			return cmd
		}
	}
	p.hold = p.resting
	if !m.dirty || p.resting {
		return cmd
	}
	p.resting = true
	wait := p.every
	if m.slow {
		wait = max(wait, logSlow)
	}
	return tea.Batch(cmd, m.after(wait, frameMsg{}))
}
