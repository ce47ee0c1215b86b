// Package console is the terminal UI.
//
//	keyboard -> binding -> Intent    -> perform  -> Backend
//	Backend  -> events  -> polledMsg -> run.Fold -> snapshot -> every screen draws it
//	perform  -> doneMsg -> a line above the keys, or a card that says what to do
//
// [Model] is the only model of the program: it has the size, the stack of screens and
// the snapshot of the run, and it routes. Screens are plain structs. They draw what
// they are given on a canvas and return wishes, sealed as [Intent]; they do no I/O and
// have no clock. The console is a viewer: it can die at any moment, and the run goes on.
package console

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

const (
	quietTime  = 400 * time.Millisecond // keys after a change of screen are ignored this long
	quietMore  = 100 * time.Millisecond // and this long after the last of those
	strokeGap  = 12 * time.Millisecond  // fingers are slower, a paste is faster
	pollBusy   = 100 * time.Millisecond
	pollIdle   = 250 * time.Millisecond
	pollHome   = 500 * time.Millisecond // no run is on the screen: only the clock and the list may change
	listEvery  = time.Second
	noticeTime = 6 * time.Second
	beginAfter = 20 * time.Millisecond // the first frame stands by then
	idleTime   = 2 * time.Minute       // after this long without a key you are told what happened
)

// screen is one full view or a card over one. Its methods may change its own state,
// nothing else.
type screen interface {
	// bindings of the screen as they stand now, most likely first.
	bindings(w *world) []binding
	// field is the text field that has the keyboard; nil when letters are keys.
	field() *widget.Field
	// draw draws it on the whole canvas.
	draw(w *world, a area)
	// card says whether it is drawn over the screen below.
	card() bool
}

// opener is a screen that needs something when it is put on top.
type opener interface{ opens(w *world) Intent }

// world is what every screen may look at.
type world struct {
	o      Options
	size   struct{ w, h int }
	now    time.Time
	loaded bool // books and runs were read once
	books  []Book
	stacks []stack                   // of the books, to be searched
	usual  map[string]incident.Usual // how long the steps of a book take, once it was asked for
	times  int                       // how often the books were read
	runs   []Summary
	team   Team
	typing bool      // letters are text
	below  placed    // the place that is drawn, with or without cards over it; nil for none
	snap   *snapshot // of the run on the screen; nil for none
	sent   int64     // gate whose answer is on its way
	log    logView
	slow   bool // the terminal takes long to take what is drawn
	vault  vaultState
	past   historyState
	drills drillState
	skin   appearance
	room   Room     // who is at the run on the screen
	away   *absence // what somebody who came back is told; nil: nothing
	board  boardState
	notice string
	until  time.Time // when the notice goes
	broken string    // why not all that is shown is new; empty: it is
}

// Model is the only tea.Model of the console.
type Model struct {
	world
	ctx     context.Context
	backend Backend
	after   func(time.Duration, tea.Msg) tea.Cmd
	wire    *wire // to the terminal; nil: not measured
	pace    pace

	stack   []screen
	seen    *snapshot // the run that was left last
	plain   bool      // left for plain mode
	quiet   int       // generation of the quiet time that runs; 0: keys are heard
	quiets  int
	noisy   bool  // keys came in the quiet time that runs
	strokes int   // characters that a typist has taken
	gate    int64 // the gate that the screen knows
	lastKey time.Time
	seqThen int64     // of the run at that key
	marked  time.Time // when the place of the person was last written down
	drove   bool      // the person drove the run on the screen
	seenAsk int64     // the wish to drive that was shown last
	listed  time.Time
	listErr error // of the last look at the list of runs

	frame string
	dirty bool

	failed error // why the console had to end; nil: it did not have to
}

var _ tea.Model = (*Model)(nil)

type (
	beginMsg   struct{}
	begunMsg   struct{ err error }
	tickMsg    struct{}
	logTickMsg struct{ spool *widget.Spool }
	quietMsg   struct{ generation int }
	strokeMsg  struct{ stroke int }
)

// New makes a console. ctx ends everything that it asks of the backend. A theme of ours
// that cannot be read is an error.
func New(ctx context.Context, backend Backend, o Options) (*Model, error) {
	skin, err := newAppearance(o)
	if err != nil {
		return nil, err
	}
	if o.Mode == "" {
		o.Mode = run.Live
	}
	m := &Model{ctx: ctx, backend: backend, dirty: true}
	m.o, m.skin = o, skin
	m.notice, m.until = o.Notice, forever
	m.after = o.Timer
	if m.after == nil {
		m.after = func(d time.Duration, msg tea.Msg) tea.Cmd {
			return tea.Tick(d, func(time.Time) tea.Msg { return msg })
		}
	}
	m.stack = []screen{newHome()}
	return m, nil
}

// Init shows the first screen, and then asks for what it needs.
func (m *Model) Init() tea.Cmd {
	cmds := []tea.Cmd{tea.RequestBackgroundColor}
	if m.o.Begin == nil {
		cmds = append(cmds, m.reads())
	} else {
		cmds = append(cmds, m.after(beginAfter, beginMsg{}))
	}
	if m.o.Alarm != nil {
		cmds = append(cmds, m.do(push{&alarmScreen{alarm: *m.o.Alarm}}))
	}
	return tea.Batch(cmds...)
}

// reads asks for what the first screen needs.
func (m *Model) reads() tea.Cmd {
	cmds := []tea.Cmd{m.perform(poll{list: true}), m.perform(loadBooks{}), m.perform(loadBoard{}), m.perform(loadDrills{}), m.after(boardEvery, boardTickMsg{}), m.themeNames}
	if m.o.Run != "" {
		cmds = append(cmds, m.perform(openRun{m.o.Run}))
	}
	return tea.Batch(cmds...)
}

// Update routes. It decides nothing.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	_, cmd := m.update(msg)
	if s, ok := m.top().(asker); ok && m.loaded {
		if i := s.asks(&m.world); i != nil {
			cmd = tea.Batch(cmd, m.do(i))
		}
	}
	return m, m.paced(msg, cmd)
}

// asker is a screen that wants to know more about what it shows. It asks once for each
// thing.
type asker interface {
	asks(w *world) Intent
}

func (m *Model) update(msg tea.Msg) (tea.Model, tea.Cmd) {
	dirty := m.dirty
	m.dirty = true
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		return m, m.resize(msg.Width, msg.Height)
	case tea.BackgroundColorMsg:
		m.skin.term.Dark = msg.IsDark()
		m.skin.renew()
	case tea.ColorProfileMsg:
		m.skin.profiled(msg.Profile, m.o.Env)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tea.PasteMsg:
		return m, m.paste(msg.Content)
	case beginMsg, begunMsg:
		m.dirty = dirty
		return m, m.started(msg)
	case tickMsg:
		m.dirty = dirty
		return m, m.perform(m.nextPoll())
	case polledMsg:
		changed, cmd := m.polled(msg)
		m.dirty = changed || dirty
		return m, cmd
	case booksMsg:
		return m, m.gotBooks(msg)
	case openedMsg:
		return m, m.opened(msg)
	case drillMsg:
		return m, msg.apply(m)
	case doneMsg:
		return m, m.done(msg)
	case themeNamesMsg:
		m.skin.names = msg
	case themeMsg:
		return m, m.gotTheme(msg)
	case provenMsg:
		if m.away != nil && m.snap != nil && m.snap.ID == msg.id {
			m.away.proven, m.away.broken = msg.entries, msg.err
		}
	case pastMsg:
		m.knows(msg)
	case streamedMsg:
		return m, m.streamed(msg)
	case logOpenedMsg, logTickMsg, logFoundMsg, logReadMsg:
		changed, cmd := m.gotLog(msg)
		m.dirty = changed || dirty
		return m, cmd
	case boardMsg:
		return m, m.gotBoard(msg)
	case boardTickMsg:
		m.dirty = dirty
		return m, m.boardTick()
	case vaultMsg:
		return m, m.gotVault(msg)
	case mirrorsMsg:
		m.vault.mirrors, m.vault.told = msg.mirrors, true
	case vaultTickMsg:
		return m, m.vaultTick(msg)
	case historyMsg, metricsMsg, auditMsg, recordMsg, exportedMsg:
		return m, m.gotHistory(msg)
	case pointMsg:
		return m, m.gotPoint(msg)
	case usualMsg:
		m.usual[msg.book] = msg.usual
	case quietMsg:
		return m, m.hushed(msg.generation)
	case strokeMsg:
		m.rested(msg.stroke)
	default:
		m.dirty = dirty
	}
	return m, nil
}

// View gives the frame. It is drawn again only when something has changed.
func (m *Model) View() tea.View {
	if m.dirty && !m.pace.hold {
		m.frame, m.dirty = m.draw(), false
	}
	v := tea.NewView(m.frame)
	v.AltScreen = true
	v.WindowTitle = printable.Line(m.title())
	return v
}

func (m *Model) draw() string {
	c := widget.NewCanvas(m.size.w, m.size.h, printable.Line)
	a := area{c, 0, 0, c.W, c.H}
	if c.W < 60 || c.H < 20 {
		drawSmall(&m.world, a)
		return c.Render(m.skin.style.Paint(m.skin.ascii))
	}
	from := len(m.stack) - 1
	for from > 0 && m.stack[from].card() {
		from--
	}
	m.typing = m.top().field() != nil
	m.below, _ = m.stack[from].(placed)
	for i, s := range m.stack[from:] {
		if i > 0 {
			fade(&m.world, a)
		}
		s.draw(&m.world, a)
	}
	drawFooter(&m.world, a, m.keys(), m.top())
	return c.Render(m.skin.style.Paint(m.skin.ascii))
}

func (m *Model) top() screen { return m.stack[len(m.stack)-1] }

// keys are the bindings of the top screen and the ones that always work.
func (m *Model) keys() []binding { return m.keysOf(m.top()) }

func (m *Model) keysOf(s screen) []binding {
	bs := s.bindings(&m.world)
	if d, ok := s.(interface{ deaf() bool }); ok && d.deaf() {
		return bs
	}
	bs = append(append(bs, m.aid(s, bs)...), lookKeys(&m.world)...)
	if _, ok := s.(*finderScreen); !ok {
		finder := func(all bool) func() Intent {
			return func() Intent { return push{newFinder(s, func() []binding { return m.keysOf(s) }, all)} }
		}
		help := binding{keys: []string{"?", "f1"}, show: "?", help: "all keys", brief: "keys",
			long: "Find a key of this screen, and do what it does. F1 also while you type.", act: finder(false)}
		if s.field() != nil {
			help.keys, help.show, help.help = []string{"f1"}, "f1", ""
		} else {
			bs = append(bs, does(":", "go to", "Find anything: a key, a step, a run, a place, a runbook, an asset.", finder(true)))
		}
		bs = append(bs, help)
	}
	return append(bs, binding{keys: []string{"ctrl+c"}, long: "Ways to leave: end the console, go home, or stop the step. A run goes on without the console.", act: wish(interrupt{})})
}
