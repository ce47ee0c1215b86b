package console

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/run"
)

// drillState is what the console knows of drills.
type drillState struct {
	items  []DrillItem
	loaded bool
	err    error
	report map[run.ID]DrillReport // that were written from here
}

// drillIntent is a wish about drills that asks the backend.
type drillIntent interface {
	Intent
	cmd(ctx context.Context, b Backend) tea.Cmd
}

// drillMsg is what came of one.
type drillMsg interface{ apply(m *Model) tea.Cmd }

type (
	loadDrills struct{}
	startDrill struct {
		start    DrillStart
		symptoms bool
	}
	guessDrill struct{ book string }
	sayInject  struct {
		id           run.ID
		inject, text string
	}
	takeHint struct {
		id   run.ID
		step string
	}
	endDrill    struct{ id run.ID }
	playDrill   struct{ id run.ID }
	exportDrill struct {
		id    run.ID
		tasks bool // it is the tasks that are asked for
	}
)

func (loadDrills) intent()  {}
func (startDrill) intent()  {}
func (guessDrill) intent()  {}
func (sayInject) intent()   {}
func (takeHint) intent()    {}
func (endDrill) intent()    {}
func (playDrill) intent()   {}
func (exportDrill) intent() {}

func (loadDrills) cmd(ctx context.Context, b Backend) tea.Cmd {
	return func() tea.Msg {
		items, err := b.Drills(ctx)
		return drillsMsg{items, b.Now(), err}
	}
}

func (i startDrill) cmd(ctx context.Context, b Backend) tea.Cmd {
	return func() tea.Msg {
		if i.symptoms {
			alarm, err := b.AlarmDrill(ctx, i.start)
			return alarmMsg{alarm, b.Now(), err}
		}
		id, err := b.StartDrill(ctx, i.start)
		if err != nil {
			return openedMsg{doing: "begin the drill", err: err}
		}
		return opened(ctx, b, id, "begin the drill")
	}
}

func (i guessDrill) cmd(ctx context.Context, b Backend) tea.Cmd {
	return func() tea.Msg {
		id, right, err := b.GuessDrill(ctx, i.book)
		switch {
		case err != nil:
			return openedMsg{doing: "begin the drill", err: err}
		case !right:
			return wrongMsg(i)
		}
		return opened(ctx, b, id, "begin the drill")
	}
}

func (i sayInject) cmd(ctx context.Context, b Backend) tea.Cmd {
	return func() tea.Msg {
		return doneMsg{doing: "answer the inject", err: b.SayInject(ctx, i.id, i.inject, i.text)}
	}
}

func (i takeHint) cmd(ctx context.Context, b Backend) tea.Cmd {
	return func() tea.Msg { return doneMsg{doing: "take the hint", err: b.TakeHint(ctx, i.id, i.step)} }
}

func (i endDrill) cmd(ctx context.Context, b Backend) tea.Cmd {
	return func() tea.Msg { return doneMsg{doing: "end the drill", err: b.EndDrill(ctx, i.id)} }
}

func (i playDrill) cmd(ctx context.Context, b Backend) tea.Cmd {
	return func() tea.Msg {
		r := pastRecord{id: i.id}
		if r.Record, r.err = b.Record(ctx, i.id); r.err == nil {
			r.snap.add(r.Events)
			r.err = r.snap.broken
		}
		return playMsg{r}
	}
}

func (i exportDrill) cmd(ctx context.Context, b Backend) tea.Cmd {
	return func() tea.Msg {
		rep, err := b.ExportDrill(ctx, i.id)
		return reportMsg{i, rep, err}
	}
}

type (
	drillsMsg struct {
		items []DrillItem
		now   time.Time
		err   error
	}
	alarmMsg struct {
		alarm DrillAlarm
		now   time.Time
		err   error
	}
	wrongMsg  struct{ book string }
	playMsg   struct{ record pastRecord }
	reportMsg struct {
		ask    exportDrill
		report DrillReport
		err    error
	}
)

func (msg drillsMsg) apply(m *Model) tea.Cmd {
	if m.now.Before(msg.now) {
		m.now = msg.now
	}
	m.drills.loaded, m.drills.err = true, msg.err
	if msg.err == nil {
		m.drills.items = msg.items
	}
	return nil
}

func (msg alarmMsg) apply(m *Model) tea.Cmd {
	if m.now.Before(msg.now) {
		m.now = msg.now
	}
	if _, waits := m.top().(*waitScreen); waits {
		m.stack = m.stack[:len(m.stack)-1]
	}
	if msg.err != nil {
		return m.do(push{problem("Could not begin the drill", msg.err)})
	}
	return m.do(push{&alarmScreen{alarm: msg.alarm}})
}

func (msg wrongMsg) apply(m *Model) tea.Cmd {
	if a, ok := m.top().(*alarmScreen); ok {
		a.wrong(msg.book)
	}
	return nil
}

func (msg playMsg) apply(m *Model) tea.Cmd {
	if msg.record.err != nil {
		return m.do(push{problem("The drill cannot be played back", msg.record.err)})
	}
	return m.do(push{newPlayback(&msg.record, 0)})
}

func (msg reportMsg) apply(m *Model) tea.Cmd {
	if msg.err != nil {
		return m.do(push{problem("Could not export the report", msg.err)})
	}
	if m.drills.report == nil {
		m.drills.report = map[run.ID]DrillReport{}
	}
	m.drills.report[msg.ask.id] = msg.report
	switch {
	case msg.ask.tasks && msg.report.Tasks == "":
		return m.do(say{"There is nothing to fix, so there are no tasks."})
	case msg.ask.tasks:
		return m.do(say{"Tasks: " + msg.report.Tasks})
	}
	return m.do(say{"Report: " + msg.report.Markdown + ", and as JSON beside it."})
}
