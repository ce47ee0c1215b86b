package console

import (
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/printable"
	"lifeboat/internal/report"
	"lifeboat/internal/run"
)

// The first page fills every screen that there is, so that it can be drawn at once. The
// others follow behind it, while keys are heard.
const (
	firstPage = 128
	morePage  = 1024
)

// historyState is what is known of the past. It is read again when the screen opens; until
// that is whole, what was known before stays.
type historyState struct {
	runs    []pastRun
	whole   bool // all runs have been read once
	reading int  // generation of the reading under way, 0: none
	count   int  // of readings
	next    []pastRun
	err     error

	metrics *Metrics
	audit   *Audit // nil: it is being verified
	asking  bool   // the audit is under way
	record  *pastRecord
	wanted  run.ID // record that is being read
}

// pastRun is a run with the text that a search looks at.
type pastRun struct {
	report.Run
	text string
}

// pastRecord is the record of one run and its fold.
type pastRecord struct {
	Record
	id   run.ID
	snap snapshot
	err  error
}

type (
	loadHistory struct {
		reading int
		behind  int64
	}
	loadMetrics struct{}
	auditAll    struct{}
	loadRecord  struct {
		id   run.ID
		open bool // show its timeline when it is there
	}
	exportRun   struct{ id run.ID }
	readHistory struct{} // begin to read the past anew
)

func (loadHistory) intent() {}
func (loadMetrics) intent() {}
func (auditAll) intent()    {}
func (loadRecord) intent()  {}
func (exportRun) intent()   {}
func (readHistory) intent() {}

type (
	historyMsg struct {
		ask  loadHistory
		runs []pastRun
		more int64
		err  error
	}
	metricsMsg struct {
		metrics Metrics
		err     error
	}
	auditMsg  struct{ audit Audit }
	recordMsg struct {
		ask    loadRecord
		record pastRecord
	}
	exportedMsg struct {
		id    run.ID
		path  string
		fresh bool
		err   error
	}
)

// historyCmd performs what concerns the past; nil for everything else.
func historyCmd(ctx context.Context, b Backend, i Intent) tea.Cmd {
	switch i := i.(type) {
	case loadHistory:
		return func() tea.Msg {
			limit := morePage
			if i.behind == 0 {
				limit = firstPage
			}
			runs, more, err := b.History(ctx, i.behind, limit)
			msg := historyMsg{ask: i, more: more, err: err}
			for _, r := range runs {
				msg.runs = append(msg.runs, pastRun{r, searchText(&r)})
			}
			return msg
		}
	case loadMetrics:
		return func() tea.Msg {
			m, err := b.Metrics(ctx)
			return metricsMsg{m, err}
		}
	case auditAll:
		return func() tea.Msg { return auditMsg{b.Audit(ctx)} }
	case loadRecord:
		return func() tea.Msg {
			r := pastRecord{id: i.id}
			if r.Record, r.err = b.Record(ctx, i.id); r.err == nil {
				r.snap.add(r.Events)
				r.err = r.snap.broken
			}
			return recordMsg{i, r}
		}
	case exportRun:
		return func() tea.Msg {
			path, fresh, err := b.Export(ctx, i.id)
			return exportedMsg{i.id, path, fresh, err}
		}
	}
	return nil
}

// searchText is what a search of the list looks at, in lower case.
func searchText(r *report.Run) string {
	day := r.At.UTC()
	mode, _, _ := modeLook(r.Mode)
	word, _, _ := pastOutcome(r)
	return strings.ToLower(strings.Join([]string{r.Book, r.Title, r.Asset, r.By, r.ID.Short(), mode, word, string(r.Outcome), r.Scenario,
		day.Format("2 Jan 2006"), day.Format("2006-01-02"), strings.Join(r.Owed, " ")}, " "))
}

// historyDo prepares an intent about the past; the rest is in historyCmd.
func (m *Model) historyDo(i Intent) tea.Cmd {
	st := &m.past
	switch i := i.(type) {
	case viewLog: // the run of the past is the one on the screen as long as its log is
		past := i.rec.snap
		m.snap = &past
		return m.showLog(i.name)
	case dropPast:
		m.snap, m.gate, m.sent = nil, 0, 0
		return m.dropLog()
	case readHistory:
		st.count++
		st.reading, st.next, st.err = st.count, nil, nil
		return tea.Batch(m.perform(loadHistory{reading: st.reading}), m.perform(loadMetrics{}), m.do(auditAll{}))
	case auditAll:
		if st.asking {
			return nil // a whole journal is not read twice at a time
		}
		st.asking, st.audit = true, nil
	case loadRecord:
		if st.wanted != "" && !i.open {
			return nil // one at a time: its answer asks for the one that is chosen by then
		}
		st.wanted = i.id
	}
	return m.perform(i)
}

// gotHistory takes an answer about the past.
func (m *Model) gotHistory(msg tea.Msg) tea.Cmd {
	st := &m.past
	switch msg := msg.(type) {
	case historyMsg:
		return m.gotPast(msg)
	case metricsMsg:
		if msg.err != nil {
			st.err = msg.err
		} else {
			st.metrics = &msg.metrics
		}
	case auditMsg:
		st.asking, st.audit = false, &msg.audit
	case recordMsg:
		return m.gotRecord(msg)
	case exportedMsg:
		if msg.err != nil {
			return m.do(push{problem("The report was not written", msg.err)})
		}
		for _, s := range m.stack {
			if e, ok := s.(interface{ exported(run.ID, string) }); ok {
				e.exported(msg.id, msg.path)
			}
		}
		says := "Written: "
		if !msg.fresh {
			says = "It was there already: "
		}
		return m.do(say{says + printable.Line(msg.path) + "   y copies the path"})
	}
	return nil
}

func (m *Model) gotPast(msg historyMsg) tea.Cmd {
	st := &m.past
	if msg.ask.reading != st.reading {
		return nil
	}
	if msg.err != nil {
		st.err, st.reading = msg.err, 0
		return nil
	}
	st.next = append(st.next, msg.runs...)
	if !st.whole { // the first time there is nothing older to show meanwhile
		st.runs = slices.Clip(st.next)
	}
	if msg.more != 0 {
		return tea.Batch(m.perform(loadHistory{st.reading, msg.more}), m.chooseRecord())
	}
	st.runs, st.next, st.whole, st.reading = st.next, nil, true, 0
	return m.chooseRecord()
}

// chooseRecord asks for the record of the chosen run, when it is not there.
func (m *Model) chooseRecord() tea.Cmd {
	for _, s := range m.stack {
		if h, ok := s.(*historyScreen); ok {
			if r := h.chosen(&m.world); r != nil && (m.past.record == nil || m.past.record.id != r.ID) {
				return m.do(loadRecord{id: r.ID})
			}
		}
	}
	return nil
}

func (m *Model) gotRecord(msg recordMsg) tea.Cmd {
	st := &m.past
	if st.wanted == msg.ask.id {
		st.wanted = ""
	}
	st.record = &msg.record
	if !msg.ask.open {
		return m.chooseRecord() // the cursor may have moved on
	}
	if msg.record.err != nil {
		return m.do(push{problem("This run cannot be shown", msg.record.err)})
	}
	if _, ok := m.top().(*historyScreen); !ok {
		return nil // somebody went elsewhere meanwhile
	}
	return m.do(push{newTimeline(&msg.record)})
}
