package console

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// Intent is a wish that a screen returns. The kinds in this file are all there are.
// Those of the first group only change what is on the screen; those of the second one
// go through [Model.perform], which is the only code that calls the [Backend].
type Intent interface{ intent() }

type (
	push     struct{ screen screen }     // put a screen on top
	replace  struct{ screen screen }     // in place of the top one
	pop      struct{}                    // back to the one below
	goHome   struct{}                    // back to the first one; the run goes on
	leave    struct{}                    // end the console; the run goes on
	say      struct{ text string }       // a line above the keys for some seconds
	copyText struct{ text, says string } // into the clipboard of the terminal, and what is said about it
	several  []Intent
	goPlace  struct{ place place } // to another place; a run on the screen goes on
	askUsual struct {
		book string
		mode run.Mode
	} // how long do the steps of a runbook take?
)

type (
	loadBooks  struct{}
	startRun   struct{ start Start }
	openRun    struct{ id run.ID } // look at it, and make sure that it is hosted
	showRun    struct{ id run.ID } // look at one that has ended
	hostRun    struct{ id run.ID } // start a process for an open run that has lost its own
	answerGate struct {
		id     run.ID
		answer run.Answer
	}
	stopStep struct {
		id    run.ID
		which run.Attempt
	}
	raiseLevel struct {
		id     run.ID
		to     int
		reason string
	}
	addNote struct {
		id   run.ID
		text string
	}
	handIn struct { // hand in what a person has typed on the top screen, and close it
		on   screen // comes back as it was when it could not be handed in; nil: none
		id   run.ID
		wish Intent
		says string // once it has arrived
	}
	poll struct {
		id    run.ID // empty: no run is on the screen
		after int64
		list  bool // read the list of runs as well
	}
	openLog struct {
		id   run.ID
		name string
	}
	readLog struct {
		spool *widget.Spool
		want  widget.Want
	}
	closeLog     struct{ log Log }
	loadVault    struct{ fresh bool } // fresh: the bucket is asked
	askMirrors   struct{}
	showPoint    struct{ asset, point string }
	provePoint   struct{ asset, point, level string }
	restorePoint struct{ asset, point, dir string }
	askDrive     struct{ id run.ID } // ask for the run, or take it after the driver had their time
	decide       struct {
		id    run.ID
		asked int64
		yes   bool
	}
	remember struct {
		id   run.ID
		mark incident.Mark
	}
	prove     struct{ id run.ID }
	loadBoard struct{ ask bool } // ask: the vault is read
	searchLog struct{ finder *widget.Finder }
)

func (push) intent()         {}
func (replace) intent()      {}
func (pop) intent()          {}
func (goHome) intent()       {}
func (leave) intent()        {}
func (say) intent()          {}
func (several) intent()      {}
func (loadBooks) intent()    {}
func (startRun) intent()     {}
func (openRun) intent()      {}
func (showRun) intent()      {}
func (hostRun) intent()      {}
func (answerGate) intent()   {}
func (stopStep) intent()     {}
func (raiseLevel) intent()   {}
func (copyText) intent()     {}
func (addNote) intent()      {}
func (handIn) intent()       {}
func (poll) intent()         {}
func (openLog) intent()      {}
func (readLog) intent()      {}
func (closeLog) intent()     {}
func (loadVault) intent()    {}
func (askMirrors) intent()   {}
func (showPoint) intent()    {}
func (provePoint) intent()   {}
func (restorePoint) intent() {}
func (loadBoard) intent()    {}
func (goPlace) intent()      {}
func (askUsual) intent()     {}
func (askDrive) intent()     {}
func (decide) intent()       {}
func (remember) intent()     {}
func (prove) intent()        {}
func (searchLog) intent()    {}

// What comes back.
type (
	booksMsg struct {
		books []Book
		team  Team
		now   time.Time
		err   error
	}
	openedMsg struct { // a run was started or attached to, its events follow
		id     run.ID
		events []run.Event
		now    time.Time
		room   Room
		mark   incident.Mark // where this person was last
		doing  string
		err    error
	}
	provenMsg struct { // the record of a run was checked
		id      run.ID
		entries int64
		err     error
	}
	polledMsg struct {
		ask      poll
		room     Room
		now      time.Time
		events   []run.Event
		progress Progress
		runs     []Summary
		err      error // of the run on the screen; events may have come all the same
		listErr  error // of the list of runs, which is about others
	}
	doneMsg struct { // an answer, a stop or a note arrived, or did not
		doing string
		gate  int64
		err   error
		of    handIn // what it was; zero where nothing was typed for it
	}
	logOpenedMsg struct {
		id   run.ID
		name string
		log  Log
		err  error
	}
	logReadMsg struct {
		spool *widget.Spool
		want  widget.Want
		got   widget.Got
		now   time.Time
	}
	usualMsg struct {
		book  string
		usual incident.Usual
	}
)

// runsShown is how many runs the home screen asks for.
const runsShown = 40

// perform turns an intent of the second group into a command. Commands run beside the
// event loop, so whatever blocks there blocks no key and no frame.
func (m *Model) perform(i Intent) tea.Cmd {
	ctx, b := m.ctx, m.backend
	switch i := i.(type) {
	case loadBooks:
		return func() tea.Msg {
			books, err := b.Books(ctx)
			if err != nil {
				return booksMsg{now: b.Now(), err: err}
			}
			team, err := b.Team(ctx)
			return booksMsg{books, team, b.Now(), err}
		}
	case startRun:
		return func() tea.Msg {
			id, err := b.Start(ctx, i.start)
			if err != nil {
				return openedMsg{doing: "start the run", err: err}
			}
			return opened(ctx, b, id, "start the run")
		}
	case openRun:
		return func() tea.Msg {
			if err := b.Attach(ctx, i.id); err != nil {
				return openedMsg{id: i.id, doing: "attach to the run", err: err}
			}
			return opened(ctx, b, i.id, "attach to the run")
		}
	case showRun:
		return func() tea.Msg { return opened(ctx, b, i.id, "show the run") }
	case hostRun:
		return func() tea.Msg { return doneMsg{doing: "take the run up again", err: b.Attach(ctx, i.id)} }
	case answerGate:
		return func() tea.Msg {
			return doneMsg{doing: "answer the gate", gate: i.answer.Gate, err: b.Answer(ctx, i.id, i.answer)}
		}
	case stopStep:
		return func() tea.Msg { return doneMsg{doing: "stop the step", err: b.Stop(ctx, i.id, i.which)} }
	case raiseLevel:
		return func() tea.Msg { return doneMsg{doing: "raise the level", err: b.Raise(ctx, i.id, i.to, i.reason)} }
	case addNote:
		return func() tea.Msg { return doneMsg{doing: "add the note", err: b.Note(ctx, i.id, i.text)} }
	case poll:
		return func() tea.Msg { return polled(ctx, b, i) }
	case openLog:
		return func() tea.Msg {
			log, err := b.Log(ctx, i.id, i.name)
			return logOpenedMsg{i.id, i.name, log, err}
		}
	case readLog:
		return func() tea.Msg { return logReadMsg{i.spool, i.want, i.spool.Fetch(i.want), b.Now()} }
	case loadBoard:
		return func() tea.Msg {
			board, err := b.Board(ctx, i.ask)
			return boardMsg{i.ask, board, b.Now(), err}
		}
	case loadVault, askMirrors, showPoint, provePoint, restorePoint:
		return vaultCmd(ctx, b, i)
	case askUsual:
		return usualCmd(ctx, b, i)
	case searchLog, streamLog:
		return logCmd(ctx, b, i)
	case drillIntent:
		return i.cmd(ctx, b)
	case closeLog:
		return func() tea.Msg {
			i.log.Close() // it was only read
			return nil
		}
	}
	return m.performShared(i)
}

// performShared is the part of perform about who drives a run, and about those before it.
func (m *Model) performShared(i Intent) tea.Cmd {
	ctx, b := m.ctx, m.backend
	switch i := i.(type) {
	case askDrive:
		return func() tea.Msg { return doneMsg{doing: "take the run over", err: b.AskToDrive(ctx, i.id)} }
	case decide:
		return func() tea.Msg { return doneMsg{doing: "answer who asked", err: b.Decide(ctx, i.id, i.asked, i.yes)} }
	case remember:
		return func() tea.Msg {
			_ = b.Remember(ctx, i.id, i.mark) // losing it is harmless
			return nil
		}
	case prove:
		return func() tea.Msg {
			n, err := b.Whole(ctx, i.id)
			return provenMsg{i.id, n, err}
		}
	case loadPast:
		return askPast(ctx, b, i)
	}
	return historyCmd(ctx, b, i)
}

func opened(ctx context.Context, b Backend, id run.ID, doing string) tea.Msg {
	out := openedMsg{id: id, doing: doing, now: b.Now()}
	out.mark, _ = b.Recall(ctx, id)                          // the file may be gone: nothing is told then
	if out.room, out.err = b.Room(ctx, id); out.err == nil { // first: coming back may hand the run over
		out.events, out.err = b.Events(ctx, id, 0)
	}
	return out
}

func polled(ctx context.Context, b Backend, p poll) tea.Msg {
	out := polledMsg{ask: p}
	if p.id != "" {
		if out.events, out.err = b.Events(ctx, p.id, p.after); out.err == nil {
			out.progress, out.err = b.Progress(ctx, p.id)
		}
		if p.list && out.err == nil {
			out.room, out.err = b.Room(ctx, p.id)
		}
	}
	if p.list { // whatever is wrong with the run on the screen, and it whatever is wrong with others
		out.runs, out.listErr = b.Runs(ctx, runsShown)
	}
	out.now = b.Now()
	return out
}

// logCmd looks into the log on the screen.
func logCmd(ctx context.Context, b Backend, i Intent) tea.Cmd {
	switch i := i.(type) {
	case searchLog:
		return func() tea.Msg { return logFoundMsg{i.finder, i.finder.Work()} }
	case streamLog:
		i.stream.asks = func() bool {
			events, err := b.Events(ctx, i.id, i.after)
			return err == nil && asksPerson(events)
		}
		return tea.Exec(i.stream, func(err error) tea.Msg { return streamedMsg{err} })
	}
	return nil
}
