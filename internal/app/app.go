// Package app builds Lifeboat from its parts: commands, flags, environment, signals,
// construction, exit codes. It is the only package that reads os.Args and the
// environment, the only one that prints errors, and the only one that knows them all.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
)

// Main runs the command line and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// SIGINT and SIGTERM end what runs in the foreground in good order: the running
	// step is stopped and settled. The second one kills, as everywhere.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	defer outlive()()
	_ = sqlite.Locks() // before the first database is opened; without it live ones are read slowly, and as right

	out, errs := &tame{w: stdout}, &tame{w: stderr}
	env, err := newEnvironment(ctx, stdin, stdout, stderr)
	if err != nil {
		complain(errs, err)
		return exitUsage
	}
	env.stdout, env.stderr = out, errs
	root := commands(env)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(out)
	root.SetErr(errs)
	if env.dumb() {
		err = root.ExecuteContext(ctx)
	} else {
		root.SetOut(stdout) // for colours in the help
		root.SetErr(stderr)
		err = fang.Execute(ctx, root, fang.WithVersion(version), fang.WithoutManpage(),
			fang.WithErrorHandler(func(io.Writer, fang.Styles, error) {})) // complain does it
	}
	if err != nil {
		var silent silentError
		if !errors.As(err, &silent) {
			complain(errs, err)
		}
	}
	if lost := out.failed(); lost != nil && err == nil { // what was to be said did not arrive
		complain(errs, hint.Wrap(fmt.Errorf("write to standard output: %w", lost), "what ran is on record: lifeboat runs, lifeboat show RUN"))
		return exitNotComplete
	}
	return code(err)
}

// outlive lets the process outlive what is no reason to end in the middle of a step: a
// terminal that went away (SIGHUP; whoever reads from it finds its end), a closed pipe
// (SIGPIPE) and a file size limit (SIGXFSZ), which both are errors of a write. The
// signals are caught and not ignored, because programs that steps run would inherit
// that they are ignored: a pipeline relies on SIGPIPE.
func outlive() (stop func()) {
	ch := make(chan os.Signal, 1) // nobody reads: what does not fit is dropped
	signal.Notify(ch, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGXFSZ)
	return func() { signal.Stop(ch) }
}

// silentError is an error that has been shown already, as the outcome of a run.
type silentError struct{ error }

func (s silentError) Unwrap() error { return s.error }

// commands builds the command line.
func commands(env environment) *cobra.Command {
	var s settings
	var plainMode bool
	root := &cobra.Command{
		Use:   "lifeboat",
		Short: "The runbook console for backup and disaster recovery",
		Long: "Lifeboat walks you through recovery step by step, does each step itself, asks before\n" +
			"anything that changes the world, and proves afterwards what happened.\n\n" +
			"Without a command it opens the console: on the estate of the lifeboat.yaml that it\n" +
			"finds, else on a sandbox of its own, where everything may be broken.",
		Version: version, SilenceErrors: true, SilenceUsage: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(hint.Wrap(fmt.Errorf("there is no command %q", args[0]), "lifeboat --help lists them; lifeboat run "+args[0]+" runs a runbook"))
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error { return home(env, s, plainMode) },
	}
	root.PersistentFlags().StringVar(&s.state, "state", "", "directory of journal, logs and sandboxes (default $XDG_STATE_HOME/lifeboat)")
	root.PersistentFlags().StringVar(&s.estate, "estate", "", "lifeboat.yaml to use (default: found upward from here)")
	root.PersistentFlags().BoolVar(&s.sandbox, "sandbox", false, "use a sandbox estate: real systems that may be broken")
	root.PersistentFlags().BoolVar(&plainMode, "plain", false, "lines only: no cursor movement, no colour; for screen readers and serial lines")
	root.PersistentFlags().BoolVar(&s.look, "readonly", false, "look only: nothing can be started, answered, stopped or noted (also LIFEBOAT_READONLY=1)")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return s.onlyLook(env, c) }
	root.PersistentFlags().StringVar(&s.theme, "theme", "", "theme of the console, a name or a file (also LIFEBOAT_THEME; lifeboat theme ls lists them)")
	root.PersistentFlags().BoolVar(&s.ascii, "ascii", false, "draw the console with ASCII only (also LIFEBOAT_ASCII=1)")
	root.PersistentFlags().IntVar(&s.fps, "fps", 0, "frames per second of the console at most (default 30, over SSH 10; also LIFEBOAT_FPS)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		cmdRun(env, &s, &plainMode), cmdResume(env, &s, &plainMode), cmdAttach(env, &s, &plainMode), cmdRuns(env, &s), cmdShow(env, &s), cmdReport(env, &s),
		cmdBackup(env, &s, &plainMode), cmdRestore(env, &s, &plainMode), cmdVerify(env, &s, &plainMode), cmdVault(env, &s, &plainMode),
		cmdSchedule(env, &s), cmdAlerts(env, &s), cmdInit(env), cmdDrill(env, &s, &plainMode), cmdTest(env, &s), cmdTriage(env, &s), cmdContacts(env, &s),
		cmdStatus(env, &s), cmdReady(env, &s), cmdPrint(env, &s), cmdTheme(env, &s), cmdLint(env, &s), cmdActions(env, &s), cmdAudit(env, &s), cmdHost(env, &s),
	)
	root.AddCommand(hiddenSandbox(env)...)
	return root
}

// parseParams reads the values of --param and --allow: NAME=VALUE.
func parsePairs(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, kv := range list {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			return nil, usage(hint.Wrap(fmt.Errorf("--%s %q has no value", flag, kv), fmt.Sprintf("write --%s NAME=VALUE", flag)))
		}
		if _, twice := out[name]; twice {
			return nil, usage(fmt.Errorf("--%s names %q twice", flag, name))
		}
		out[name] = value
	}
	return out, nil
}

// home opens the console, or without a terminal plays the rehearsal.
func home(env environment, s settings, plainMode bool) error {
	if env.dumb() || plainMode {
		if !s.sandbox {
			w, err := open(env, s)
			if err != nil {
				return err
			}
			defer w.close()
			switch {
			case w.estate != nil && plainMode:
				return w.plainHome()
			case w.estate != nil:
				return usage(hint.New("the console needs a terminal", "lifeboat triage finds the right runbook without one, lifeboat run RUNBOOK runs it, lifeboat runs lists what is open, lifeboat --help the rest"))
			}
		}
		return rehearse(env, s, rehearsal{scenario: firstRehearsal, auto: true})
	}
	return openConsole(env, s, "")
}

// firstRehearsal is what a newcomer sees.
const firstRehearsal = "accidental-force-push"
