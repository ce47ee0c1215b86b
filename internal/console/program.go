package console

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/run"
	"lifeboat/themes"
)

// Options of a console. The zero value of each is usable unless said.
type Options struct {
	In      io.Reader // the terminal; required by Run
	Out     io.Writer // the terminal; required by Run
	Env     []string  // "NAME=value": TERM, NO_COLOR, COLORTERM, SSH_TTY are looked at
	User    string    // who answers gates; recorded in the journal
	Version string
	Mode    run.Mode // of runs started here; empty: live
	Theme   []byte   // YAML; nil: the standard theme
	ASCII   bool     // draw with ASCII only
	Run     run.ID   // open this run at once
	State   string   // where runs are recorded, as shown to people
}

// mono says whether the environment asks for no colours.
func (o *Options) mono() bool {
	for _, e := range o.Env {
		if name, value, _ := strings.Cut(e, "="); name == "NO_COLOR" && value != "" {
			return true
		}
	}
	return false
}

// themeData is the theme that was asked for, or the standard one.
func (o Options) themeData() []byte {
	if o.Theme != nil {
		return o.Theme
	}
	return themes.Default()
}

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
	p := tea.NewProgram(m, append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out),
		tea.WithEnvironment(o.Env), tea.WithFPS(30), tea.WithoutSignalHandler()}, more...)...)
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
	return err
}
