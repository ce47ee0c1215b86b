package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lifeboat/internal/alert"
	"lifeboat/internal/builtin/notify"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
)

func cmdAlerts(env environment, s *settings) *cobra.Command {
	c := &cobra.Command{
		Use: "alerts", Short: "The channels that people are told through",
		Args: exactly(0, "a command: ls or test"),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(cmdAlertsLs(env, s), cmdAlertsTest(env, s), cmdAlertsDeliver(env))
	return c
}

func cmdAlertsLs(env environment, s *settings) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the channels, and what each is told", Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			w, err := open(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			list := w.channels()
			if len(list) == 0 {
				return w.noChannel()
			}
			t := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "NAME\tWHAT\tIS TOLD")
			for _, c := range list {
				on := "everything"
				if len(c.On) > 0 {
					on = strings.Join(c.On, ", ")
				}
				fmt.Fprintf(t, "%s\t%s\t%s\n", printable.Line(c.Name), c.What(), on)
			}
			return t.Flush()
		},
	}
}

// noChannel says that nobody is told of anything.
func (w *world) noChannel() error {
	if w.estate == nil {
		return usage(errNoEstate)
	}
	return usage(hint.New(w.estate.File+" names no channel: nobody is told of anything",
		"add one under alerts:, such as {name: team, url: env:TEAM_ALERTS}; lifeboat actions notify.send shows how"))
}

// errDead marks a channel that takes no message.
var errDead = errors.New("not everybody can be told")

func cmdAlertsTest(env environment, s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "test [NAME ...]", Short: "Send a test message to every channel, or to some",
		Long: "Sends a message that says that it is a test, whatever events a channel wants, and prints\nwhat became of it. Exit code 1 when a channel is dead: then nobody hears of a backup that fails.",
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := open(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			list := w.channels()
			if len(list) == 0 {
				return w.noChannel()
			}
			if list, err = named(list, args); err != nil {
				return err
			}
			result := w.send(env.ctx, list, alert.Message{Event: alert.Test})
			return showDeliveries(env, result, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a channel")
	return c
}

func named(list []notify.Channel, names []string) ([]notify.Channel, error) {
	var known []string
	for _, c := range list {
		known = append(known, c.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, usage(hint.Wrap(fmt.Errorf("there is no channel %q", name), "the channels are "+strings.Join(known, ", ")))
		}
	}
	if len(names) == 0 {
		return list, nil
	}
	return slices.DeleteFunc(list, func(c notify.Channel) bool { return !slices.Contains(names, c.Name) }), nil
}

// showDeliveries prints deliveries, and fails when one failed.
func showDeliveries(env environment, list []notify.Delivery, asJSON bool) error {
	dead := 0
	for _, d := range list {
		if !d.Done {
			dead++
		}
		if asJSON {
			line := struct {
				Channel   string   `json:"channel"`
				How       string   `json:"how,omitempty"`
				Delivered bool     `json:"delivered"`
				Tries     int      `json:"tries"`
				Millis    int64    `json:"ms"`
				Error     string   `json:"error,omitempty"`
				Unclear   bool     `json:"unclear,omitempty"`
				Hints     []string `json:"hints,omitempty"`
			}{d.Channel, d.How, d.Done, d.Tries, d.Took.Milliseconds(), "", d.Unclear && !d.Done, hint.All(d.Err)}
			if d.Err != nil {
				line.Error = d.Err.Error()
			}
			if err := printJSON(env, line); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(env.stdout, "%s, %s\n", printable.Line(d.String()), printable.Span(d.Took))
		for _, h := range hint.All(d.Err) {
			fmt.Fprintf(env.stdout, "  %s\n", printable.Line(h))
		}
	}
	if dead > 0 {
		return silentError{fmt.Errorf("%w: %d of %d", errDead, dead, len(list))}
	}
	return nil
}

// deliverMemory bounds the process that speaks to a service, whatever that answers.
const deliverMemory = 256 << 20

// cmdAlertsDeliver is the process that speaks to a service; see throughService.
func cmdAlertsDeliver(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "deliver", Short: "Deliver one message from standard input", Hidden: true, Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: deliverMemory, Max: deliverMemory}); err != nil {
				return fmt.Errorf("bound the memory: %w", err)
			}
			var p parcel
			if err := json.NewDecoder(io.LimitReader(env.stdin, 1<<20)).Decode(&p); err != nil {
				return usage(fmt.Errorf("read the message: %w", err))
			}
			return notify.Deliver(secret.New(p.To), p.Title, p.Text)
		},
	}
}
