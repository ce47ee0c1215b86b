package app

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"

	"lifeboat/internal/console"
	"lifeboat/internal/console/look"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// errTheme is a theme that does not keep what every theme promises.
var errTheme = errors.New("a theme does not hold")

// cmdTheme is about the looks of the console.
func cmdTheme(env environment, s *settings) *cobra.Command {
	c := &cobra.Command{
		Use: "theme", Short: "List, show and check the themes of the console",
		Example: "  lifeboat theme ls\n  lifeboat theme show red-night\n  lifeboat theme check ours.yaml    before you use your own",
		Long: "List, show and check the themes of the console.\n\n" +
			"A theme is chosen with --theme or LIFEBOAT_THEME, and in the console with ctrl+t.\n" +
			"Yours lie in $XDG_CONFIG_HOME/lifeboat/themes (else ~/.config), each NAME.yaml.",
		Args: exactly(0, "a command: ls, show or check"),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(cmdThemeList(env, s), cmdThemeShow(env, s), cmdThemeCheck(env))
	return c
}

func cmdThemeList(env environment, s *settings) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the themes there are, ours and yours", Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			now := orElse(orElse(s.theme, env.get("LIFEBOAT_THEME")), look.Standard)
			t := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
			for _, name := range env.themeNames() {
				th, err := env.theme(name)
				about, where := "", ""
				switch {
				case err != nil:
					about = "has mistakes: lifeboat theme check " + name
				default:
					about, where = th.About, th.File
				}
				mark := " "
				if name == now {
					mark = "*"
				}
				fmt.Fprintf(t, "%s %s\t%s\t%s\n", mark, printable.Line(name), printable.Line(about), printable.Line(where))
			}
			if err := t.Flush(); err != nil {
				return err
			}
			if d := env.themeDir(); d != "" {
				fmt.Fprintf(env.stdout, "\nYours go to %s, each NAME.yaml.\n", printable.Line(d))
			}
			return nil
		},
	}
}

func cmdThemeShow(env environment, s *settings) *cobra.Command {
	var light bool
	c := &cobra.Command{
		Use: "show [NAME|FILE]", Short: "Show every role and state in a theme", Args: atMostOneTheme,
		RunE: func(_ *cobra.Command, args []string) error {
			name := orElse(s.theme, env.get("LIFEBOAT_THEME"))
			if len(args) > 0 {
				name = args[0]
			}
			t, err := env.theme(name)
			if err != nil {
				return usage(err)
			}
			term := env.colours()
			term.Dark = term.Dark && !light
			fmt.Fprint(env.stdout, console.Swatch(t, term, s.ascii || look.NeedsASCII(env.all)))
			return nil
		},
	}
	c.Flags().BoolVar(&light, "light", false, "as on a light terminal")
	return c
}

func atMostOneTheme(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(hint.New(printable.Count(len(args), "theme")+" given", "give one, or none for the one that is used"))
	}
	return nil
}

// colours is what standard output can show. A terminal is asked for its ground.
func (e environment) colours() look.Terminal {
	term := look.Terminal{Profile: colorprofile.Detect(e.screen, e.all), Dark: look.Dark(e.all)}
	if look.NoColour(e.all) {
		term.Profile = min(term.Profile, colorprofile.ASCII)
	}
	in, okIn := e.stdin.(*os.File)
	out, okOut := e.screen.(*os.File)
	if e.terminal && okIn && okOut && term.Profile > colorprofile.ASCII {
		term.Dark = lipgloss.HasDarkBackground(in, out)
	}
	return term
}

func cmdThemeCheck(env environment) *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use: "check [NAME|FILE...]", Short: "Count the contrast of themes, and prove that no state needs a colour",
		Long: "Count the contrast of themes (WCAG 2), compare their colours as eyes with red-green blindness\n" +
			"see them, and prove that every state of the console is told apart without colour, by glyph\n" +
			"and word, with all glyphs and with ASCII. Without a name it checks all there are.\n\n" +
			"It exits with 5 when something does not hold.",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = env.themeNames()
			}
			return env.checkThemes(args, quiet)
		},
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "only what does not hold")
	return c
}

func (e environment) checkThemes(names []string, quiet bool) error {
	var fails []string
	say := func(title string, f look.Finding) {
		if !quiet {
			fmt.Fprintf(e.stdout, "%s\n", printable.Line(title))
			for _, l := range f.Lines {
				fmt.Fprintf(e.stdout, "  %s\n", printable.Line(l))
			}
			fmt.Fprintln(e.stdout)
		}
		for _, l := range f.Fails {
			fails = append(fails, title+": "+l)
		}
	}
	for _, name := range slices.Compact(names) {
		t, err := e.theme(name)
		switch p := (look.Problem{}); {
		case err == nil:
			say("theme "+t.Name, t.Check())
		case errors.As(err, &p):
			fails = append(fails, strings.Split(err.Error(), "\n")...)
		default:
			return usage(err)
		}
	}
	states := look.CheckStates(console.States())
	say("states without colour (glyph, in ASCII, state, word)", states)
	for _, l := range fails {
		fmt.Fprintf(e.stdout, "x %s\n", printable.Line(l))
	}
	if len(fails) > 0 {
		return hint.Wrap(fmt.Errorf("%s: %w", printable.Count(len(fails), "problem"), errTheme), "a colour nearer to the text than to the ground reads better; lifeboat theme show NAME draws it")
	}
	fmt.Fprintf(e.stdout, "%s: all hold\n", printable.Count(len(names), "theme"))
	return nil
}
