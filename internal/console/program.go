package console

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"lifeboat/internal/console/look"
	"lifeboat/internal/run"
)

// Options of a console. The zero value of each is usable unless said.
type Options struct {
	In      io.Reader // the terminal; required by Run
	Out     io.Writer // the terminal; required by Run
	Env     []string  // "NAME=value": TERM, NO_COLOR, CLICOLOR, COLORTERM, COLORFGBG, SSH_TTY, SSH_CONNECTION, LIFEBOAT_FPS are looked at
	User    string    // who answers gates; recorded in the journal
	Version string
	Mode    run.Mode    // of runs started here; empty: live
	Theme   *look.Theme // nil: the standard one
	ASCII   bool        // begin with ASCII glyphs
	Notice  string      // shown above the keys until a key is pressed
	Run     run.ID      // open this run at once
	State   string      // where runs are recorded, as shown to people
	Alarm   *DrillAlarm // begin with the drill whose alarm this is; nil: none
	Session string      // of this console, see [run.Driver]
	FPS     int         // frames per second at most; 0: 30, and 10 over SSH
	Look    bool        // read-only: nothing can be answered, started, stopped or noted

	// Begin is called once, when the first frame stands and before anything is asked of the
	// backend, beside the event loop; its error ends the console. nil: there is nothing to
	// do.
	Begin func(ctx context.Context) error

	// Timer makes a command that gives msg after a time; nil: by the clock of the wall.
	// Who drives a console without a terminal has a clock of its own.
	Timer func(after time.Duration, msg tea.Msg) tea.Cmd
}

// forever is when a notice goes that stays until somebody has seen it.
var forever = time.Unix(1<<40, 0)

// detachGrace is how long a dead terminal may hold up the end of the console.
const detachGrace = time.Second

// Run shows the console until the person leaves or ctx ends. The end of ctx is how a
// lost terminal or a signal detaches: it is no error, and neither way touches the run,
// which lives in a process of its own.
//
// A terminal that no longer takes bytes blocks the program inside a write. Run then
// returns without it after a second, and its goroutines end with the process.
func Run(ctx context.Context, backend Backend, o Options) error { return show(ctx, backend, o) }

func show(ctx context.Context, backend Backend, o Options, more ...tea.ProgramOption) error {
	m, err := New(ctx, backend, o)
	if err != nil {
		return err
	}
	if look.NoColour(o.Env) { // Bubble Tea knows fewer ways to say so
		more = append(more, tea.WithColorProfile(min(colorprofile.Detect(o.Out, o.Env), colorprofile.ASCII)))
	}
	out, way := output(o.Out)
	m.wire, m.pace.every = way, time.Second/time.Duration(o.frames())
	p := tea.NewProgram(m, append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(out),
		tea.WithEnvironment(o.Env), tea.WithFPS(max(flushes, o.frames())), tea.WithoutSignalHandler()}, more...)...)
	ended := make(chan error, 1)
	go func() {
		_, err := p.Run()
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(detachGrace):
			return nil
		}
	}
	if ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled) {
		return nil
	}
	if err == nil && m.failed != nil && ctx.Err() == nil {
		return m.failed
	}
	if err == nil && ctx.Err() == nil {
		return m.sayFarewell(o.Out)
	}
	return err
}

// started takes what concerns the program and no screen: its beginning.
func (m *Model) started(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case beginMsg:
		ctx, begin := m.ctx, m.o.Begin
		return func() tea.Msg { return begunMsg{begin(ctx)} }
	case begunMsg:
		if msg.err != nil {
			m.failed = msg.err
			return tea.Quit
		}
		return m.reads()
	}
	return nil
}
