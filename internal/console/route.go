package console

import (
	"cmp"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// key sends a key to the text field that has the keyboard, or looks up what it means.
// Right after a change of the screen nothing is heard but ctrl+c: a key meant for the
// old screen must not answer the new one.
func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	key := k.String()
	if key == "ctrl+c" {
		return m.interrupt()
	}
	if m.small() && m.quiet == 0 && key == "p" && m.snap != nil && m.snap.ID != "" {
		m.plain = true
		return m.do(leave{})
	}
	if m.quiet != 0 || m.small() || held(k) && m.top().field() == nil {
		m.noisy = m.quiet != 0
		return nil
	}
	if m.until.Equal(forever) {
		m.until = m.now.Add(noticeTime)
	}
	back, came := m.welcomeBack()
	if came {
		return back // the key only woke the screen up
	}
	return tea.Batch(back, m.pressed(k, key))
}

// pressed sends a key where it belongs.
func (m *Model) pressed(k tea.KeyPressMsg, key string) tea.Cmd {
	b, bound := find(m.keys(), key)
	if f := m.top().field(); f != nil {
		if typed := k.Text != "" && k.Mod&(tea.ModCtrl|tea.ModAlt) == 0; typed || !bound {
			if t, ok := m.top().(typist); ok {
				t.key(k)
			} else {
				f.Key(k)
			}
			if s, ok := m.top().(stroker); ok && typed && s.typed() {
				m.strokes++
				return m.after(strokeGap, strokeMsg{m.strokes})
			}
			return nil
		}
	}
	switch {
	case !bound:
		return nil
	case b.off != "":
		if r, ok := m.top().(interface{ refused(key string) }); ok {
			r.refused(key)
		}
		return m.do(say{b.label() + " is off: " + b.off})
	case b.act == nil:
		return nil
	}
	return m.do(b.act())
}

// typist is a screen that takes typed keys itself, in place of its field.
type typist interface{ key(k tea.KeyPressMsg) }

// stroker is a screen that looks at how text arrives: what comes all at once was pasted,
// also where the terminal does not say so.
type stroker interface {
	typed() bool // a character has come; it says whether it wants to know of the next pause
	rests()      // nothing has come for a moment
}

// rested tells a stroker that nothing has come since the stroke.
func (m *Model) rested(stroke int) {
	if t, ok := m.top().(stroker); ok && stroke == m.strokes {
		t.rests()
	}
}

// paster is a screen that decides itself about pasted text.
type paster interface{ paste(text string) Intent }

func (m *Model) paste(text string) tea.Cmd {
	if m.quiet != 0 || m.small() {
		return nil // nobody sees where it goes
	}
	if p, ok := m.top().(paster); ok {
		return m.do(p.paste(text))
	}
	if f := m.top().field(); f != nil {
		f.Insert(text)
	}
	return nil
}

// do carries out an intent: what concerns the screen here, the rest in perform.
func (m *Model) do(i Intent) tea.Cmd {
	if why := m.refused(i); why != "" {
		return m.do(say{"Not from here: " + why + "."})
	}
	switch i := i.(type) {
	case nil:
		return nil
	case several:
		var cmds []tea.Cmd
		for _, one := range i {
			cmds = append(cmds, m.do(one))
		}
		return tea.Batch(cmds...)
	case push:
		return m.pushed(i.screen)
	case replace:
		m.stack[len(m.stack)-1] = i.screen
		if s, ok := i.screen.(opener); ok {
			return tea.Batch(m.hush(), m.do(s.opens(&m.world)))
		}
		return m.hush()
	case pop:
		if len(m.stack) > 1 {
			m.stack = m.stack[:len(m.stack)-1]
		}
		return m.hush()
	case handIn:
		return m.handIn(i)
	case goHome:
		return tea.Batch(m.unwind(), m.do(loadBoard{ask: m.now.Sub(m.board.asked) > askAgain}))
	case goPlace:
		if i.place.open != nil {
			return tea.Batch(m.unwind(), m.do(push{i.place.open()}))
		}
		return m.do(goHome{})
	case interrupt:
		return m.interrupt()
	case leave:
		return m.quits(tea.QuitMsg{})
	case say:
		m.notice, m.until = i.text, m.now.Add(noticeTime)
		return nil
	case setTheme:
		return m.themeCmd(i)
	case setGlyphs:
		return m.glyphs(i)
	case feedLog:
		return m.feedLog()
	case findInLog:
		return m.findInLog(i)
	case showLog:
		return m.showLog(i.name)
	case streamLog:
		return m.streamLog()
	case copyText:
		return tea.Batch(tea.SetClipboard(printable.Text(i.text)), m.do(say{i.says}))
	case readHistory, auditAll, loadRecord, viewLog, dropPast:
		return m.historyDo(i)
	case loadBoard:
		if i.ask && m.board.asking {
			return nil
		}
		m.board.asking = m.board.asking || i.ask
	case loadVault:
		if i.fresh && m.vault.asking {
			return nil
		}
		m.vault.asking = m.vault.asking || i.fresh
	case answerGate:
		if m.sent == i.answer.Gate {
			return nil // one answer per gate, however often the key is pressed
		}
		m.sent, m.away = i.answer.Gate, nil
	}
	return m.perform(i)
}

// pushed puts a screen on top.
func (m *Model) pushed(on screen) tea.Cmd {
	m.stack = append(m.stack, on)
	var needs tea.Cmd
	if s, ok := on.(opener); ok {
		needs = m.do(s.opens(&m.world))
	}
	if s, ok := on.(interface{ instant() bool }); ok && s.instant() {
		m.quiet = 0
		return needs
	}
	return tea.Batch(m.hush(), needs)
}

// unwind takes everything off the first screen. A run that was shown goes on.
func (m *Model) unwind() tea.Cmd {
	gone := m.quits(nil)
	m.stack = m.stack[:1]
	if m.snap != nil {
		m.seen = m.snap
	}
	m.snap, m.gate, m.sent, m.room, m.away = nil, 0, 0, Room{}, nil
	return tea.Batch(gone, m.hush(), m.dropLog(), m.perform(loadBooks{}))
}

// hush begins a quiet time.
func (m *Model) hush() tea.Cmd {
	m.quiets++
	m.quiet, m.noisy = m.quiets, false
	return m.after(quietTime, quietMsg{m.quiet})
}

// hushed ends a quiet time, unless keys still come: one that is held down, or a burst that
// was typed ahead, must not run into the new screen.
func (m *Model) hushed(generation int) tea.Cmd {
	if m.quiet != generation {
		return nil
	}
	if !m.noisy {
		m.quiet = 0
		return nil
	}
	m.quiets++
	m.quiet, m.noisy = m.quiets, false
	return m.after(quietMore, quietMsg{m.quiet})
}

// held says whether a number is held down, where the terminal tells: it is pressed anew
// for each question.
func held(k tea.KeyPressMsg) bool { return k.IsRepeat && k.Text >= "0" && k.Text <= "9" }

// small says whether no screen fits the window.
func (m *Model) small() bool { return m.size.w < 60 || m.size.h < 20 }

// resize takes the new size. Where the card of a small window comes or goes, that is a new
// screen: what was meant for the one before means nothing there.
func (m *Model) resize(w, h int) tea.Cmd {
	known, was := m.size.w > 0, m.small() // the first screen hears every key
	m.size.w, m.size.h = w, h
	if known && was != m.small() {
		return m.hush()
	}
	return nil
}

// welcomeBack tells somebody who was away what happened meanwhile. Where that takes the
// screen, the key that woke it up does nothing else.
func (m *Model) welcomeBack() (cmd tea.Cmd, took bool) {
	then, seq, cards := m.lastKey, m.seqThen, len(m.stack)
	m.lastKey = m.now
	if m.snap != nil && !then.IsZero() && m.now.Sub(then) > idleTime {
		cmd = m.returned(incident.Mark{Seq: seq, At: then})
		took = len(m.stack) > cards
	}
	return tea.Batch(cmd, m.touch()), took
}

// nextPoll says what to look at next.
func (m *Model) nextPoll() poll {
	since := m.now.Sub(m.listed) // less than nothing after a clock was put back
	p := poll{list: since >= listEvery || since < 0}
	if m.snap != nil {
		p.id, p.after = m.snap.ID, m.snap.Seq
	}
	return p
}

// polled takes what a poll found. It says whether the frame may have changed.
func (m *Model) polled(msg polledMsg) (changed bool, cmd tea.Cmd) {
	wait := pollIdle
	switch {
	case m.snap == nil:
		wait = pollHome
	case m.snap.Open() && !m.slow:
		wait = pollBusy
	}
	next := m.after(wait, tickMsg{})
	if msg.ask.list {
		m.listErr = msg.listErr
	}
	broken := ""
	if err := cmp.Or(msg.err, m.listErr); err != nil {
		broken = err.Error()
	}
	changed = m.broken != broken || msg.now.Unix() != m.now.Unix()
	m.broken, m.now = broken, msg.now
	if slow := m.wire.slow(); slow != m.slow {
		m.slow, changed = slow, true
	}
	if m.notice != "" && m.now.After(m.until) {
		m.notice, changed = "", true
	}
	if msg.ask.list {
		m.listed = msg.now
	}
	if msg.ask.list && (msg.listErr == nil || msg.runs != nil) {
		m.runs, changed = msg.runs, true
	}
	if m.snap == nil || msg.ask.id != m.snap.ID {
		return changed, next
	}
	if msg.ask.list && msg.err == nil && !msg.room.equal(m.room) {
		m.room, changed = msg.room, true
	}
	if len(msg.events) > 0 || msg.progress != m.snap.progress {
		m.snap.add(msg.events)
		m.snap.progress = msg.progress
		changed = true
	}
	return changed, tea.Batch(next, m.follow(), m.handed())
}

// follow brings gate, log and result in line with the snapshot after it has changed.
func (m *Model) follow() tea.Cmd {
	var cmds []tea.Cmd
	s := m.snap
	seq := int64(0)
	if s.Gate != nil {
		seq = s.Gate.Seq
	}
	if seq != m.gate {
		m.gate, m.sent = seq, 0
		for i, on := range m.stack { // cards that belong to the old gate go with it
			if r, ok := on.(*runScreen); ok {
				r.take(&m.world)
				m.stack = m.stack[:min(len(m.stack), i+1+keep(m.stack[i+1:]))]
				break
			}
		}
		cmds = append(cmds, m.hush())
	}
	if c, ok := m.top().(*card); ok && c.at != (run.Attempt{}) && c.at != s.Attempt() {
		cmds = append(cmds, m.do(pop{}), m.do(say{"The step has ended, nothing was stopped."}))
	}
	cmds = append(cmds, m.do(m.arrivals()))
	cmds = append(cmds, m.followLog())
	if _, ok := m.top().(*runScreen); ok && !s.Open() {
		cmds = append(cmds, m.do(replace{newResult(s)}))
		if len(s.Anew) > 0 && m.drives() {
			cmds = append(cmds, m.do(m.beginAnew()))
		}
	}
	return tea.Batch(cmds...)
}

// keep says how many of the screens above the run do not depend on the gate.
func keep(above []screen) int {
	for i, s := range above {
		if g, ok := s.(interface{ ofGate() bool }); ok && g.ofGate() {
			return i
		}
	}
	return len(above)
}

func (m *Model) gotBooks(msg booksMsg) tea.Cmd {
	if m.now.Before(msg.now) {
		m.now = msg.now
	}
	m.loaded = true
	if msg.err != nil {
		return m.do(push{problem("The runbooks cannot be read", msg.err)})
	}
	m.books, m.team, m.usual = msg.books, msg.team, map[string]incident.Usual{}
	m.times++
	m.stacks = make([]stack, len(m.books))
	for i := range m.books {
		m.stacks[i] = m.books[i].stack()
	}
	return nil
}

// opened puts a run on the screen, the result when it has ended.
func (m *Model) opened(msg openedMsg) tea.Cmd {
	if msg.err != nil {
		if _, waits := m.top().(*waitScreen); waits {
			m.stack = m.stack[:len(m.stack)-1]
		}
		return m.do(push{problem("Could not "+msg.doing, msg.err)})
	}
	if m.now.Before(msg.now) {
		m.now = msg.now
	}
	m.snap, m.gate, m.sent, m.room, m.seenAsk = &snapshot{}, 0, 0, msg.room, 0
	m.snap.add(msg.events)
	m.drove, m.marked, m.lastKey = m.drives(), time.Time{}, m.now
	m.stack = m.stack[:1]
	var on screen = &runScreen{}
	if !m.snap.Open() {
		on = newResult(m.snap)
	}
	past := loadPast{msg.id, m.snap.Started.Book, m.snap.Started.Mode}
	return tea.Batch(m.dropLog(), m.do(push{on}), m.follow(), m.returned(msg.mark), m.handed(), m.perform(past))
}

// handIn closes the top screen and hands in what was typed there. Nobody types a sentence
// twice in an emergency: where it does not arrive, the screen comes back as it was.
func (m *Model) handIn(i handIn) tea.Cmd {
	if m.refused(i.wish) == "" && i.on != nil {
		m.do(pop{})
	}
	cmd := m.do(i.wish)
	if cmd == nil {
		return nil
	}
	return tea.Batch(m.hush(), func() tea.Msg {
		msg := cmd()
		if d, ok := msg.(doneMsg); ok {
			d.of = i
			return d
		}
		return msg
	})
}

func (m *Model) done(msg doneMsg) tea.Cmd {
	if msg.err == nil {
		if msg.of.says != "" {
			return m.do(say{msg.of.says})
		}
		return nil
	}
	if msg.gate != 0 && msg.gate == m.sent {
		m.sent = 0
	}
	of := msg.of
	if same := m.snap != nil && m.snap.ID == of.id && (msg.gate == 0 || msg.gate == m.gate); same && of.on != nil {
		m.stack = append(m.stack, of.on)
	}
	return m.do(push{problem("Could not "+msg.doing, msg.err)})
}

// title is the window title: mode, runbook, step, and whether a person is needed.
func (m *Model) title() string {
	s := m.snap
	look := ""
	if m.watching() != "" {
		look = "READ ONLY "
	}
	if _, ok := m.top().(*alarmScreen); ok {
		return "DRILL alarm"
	}
	switch {
	case (s == nil || s.ID == "") && m.o.Mode == run.Drill:
		return look + "lifeboat SANDBOX"
	case s == nil || s.ID == "":
		return look + "lifeboat"
	}
	word, _, _ := modeLook(s.Started.Mode)
	word = look + word
	title := fmt.Sprintf("%s %s %d/%d", word, s.Started.Book, min(s.now()+1, len(s.Steps)), len(s.Steps))
	switch st := s.step(); {
	case !s.Open():
		return word + " " + s.Started.Book + " " + string(s.Outcome)
	case st != nil && st.State == run.InDoubt:
		return title + " IN DOUBT"
	case s.Gate != nil:
		return title + " GATE"
	}
	return title
}

// problem is a card that says what went wrong and what to do.
func problem(title string, err error) screen {
	return &card{title: title, badge: rFailBadge, body: err.Error(), hints: hint.All(err)}
}

// since is the time from t to now, zero when t is not known.
func (w *world) since(t time.Time) time.Duration {
	if t.IsZero() || w.now.Before(t) {
		return 0
	}
	return w.now.Sub(t)
}
