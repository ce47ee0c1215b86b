package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/runbook"
	"lifeboat/internal/schedule"
)

func cmdSchedule(env environment, s *settings) *cobra.Command {
	c := &cobra.Command{
		Use: "schedule", Short: "List, export or run the schedules of the estate",
		Args: exactly(0, "a command: ls, export or run"),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(cmdScheduleLs(env, s), cmdScheduleExport(env, s), cmdScheduleRun(env, s))
	return c
}

// schedules opens the estate and gives its schedules, each of which names a runbook that
// may run.
func schedules(env environment, s settings) (*world, []schedule.Schedule, error) {
	w, err := open(env, s)
	if err != nil {
		return nil, nil, err
	}
	var out []schedule.Schedule
	switch {
	case w.estate == nil:
		err = usage(errNoEstate)
	case len(w.estate.Schedules) == 0:
		err = usage(hint.New(w.estate.File+" has no schedule", `add one: schedule: {daily: {cron: "15 1 * * *", runbook: daily-backup}}`))
	}
	if err == nil {
		for _, e := range w.estate.Schedules {
			p, rerr := w.shelf.ready(e.Runbook)
			if rerr == nil {
				rerr = scheduled(p.Book, e.Params)
			}
			if rerr != nil {
				err = fmt.Errorf("schedule %q: %w", e.Name, rerr)
				break
			}
			out = append(out, e)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, w.close())
	}
	return w, out, nil
}

// scheduled refuses parameters with which every run of a schedule would be refused, at
// night, when nobody looks; and a secret, which would stand in every unit that is exported
// and in the list of processes of the machine.
func scheduled(book *runbook.Book, given map[string]string) error {
	known := map[string]bool{}
	for _, p := range book.Params() {
		known[p.Name] = true
		if _, ok := given[p.Name]; ok && p.Secret {
			return usage(hint.New(fmt.Sprintf("parameter %q is a secret, and a schedule keeps none", p.Name),
				"leave it out, and set "+secretPrefix+strings.ToUpper(p.Name)+" where it runs (schedule export --env-file, --env)"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !known[name] {
			return usage(hint.New(fmt.Sprintf("runbook %q does not know the parameter %q", book.Name, name), "correct its name under params: of the schedule, or leave it out"))
		}
	}
	return nil
}

// ticks keeps which ticks of the schedules of one estate are settled, one small file
// each.
type ticks struct{ dir string }

func (w *world) ticks() ticks {
	sum := sha256.Sum256([]byte(w.estate.File))
	return ticks{filepath.Join(w.state, "schedule-"+hex.EncodeToString(sum[:6]))}
}

func (t ticks) last(name string) (time.Time, error) {
	text, err := os.ReadFile(filepath.Join(t.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil {
		return time.Time{}, hint.Wrap(fmt.Errorf("read the last tick of schedule %q: %w", name, err), "remove "+filepath.Join(t.dir, name)+"; the schedule then begins with its next tick")
	}
	return at, nil
}

func (t ticks) record(name string, tick time.Time) error {
	if err := durable.MkdirAll(t.dir); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(t.dir, name), []byte(tick.UTC().Format(time.RFC3339Nano)+"\n"), 0o600)
}

func cmdScheduleLs(env environment, s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "ls", Short: "List the schedules, and when each is due next",
		Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			w, list, err := schedules(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			type line struct {
				Name    string            `json:"name"`
				Cron    string            `json:"cron"`
				Zone    string            `json:"zone"`
				Runbook string            `json:"runbook"`
				Params  map[string]string `json:"params,omitempty"`
				Next    time.Time         `json:"next"`
				Last    *time.Time        `json:"last,omitempty"` // started by schedule run
			}
			t := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
			if !asJSON {
				fmt.Fprintln(t, "SCHEDULE\tRUNBOOK\tCRON\tNEXT (UTC)\tLAST HERE (UTC)")
			}
			for _, e := range list {
				c, err := schedule.ParseCron(e.Cron)
				if err != nil {
					return usage(err)
				}
				zone, err := schedule.ParseZone(e.Zone)
				if err != nil {
					return usage(err)
				}
				l := line{Name: e.Name, Cron: e.Cron, Zone: orElse(e.Zone, "UTC"), Runbook: e.Runbook, Params: e.Params, Next: c.Next(env.now(), zone).UTC()}
				last, err := w.ticks().last(e.Name)
				if err != nil {
					return err
				}
				before := "-"
				if !last.IsZero() {
					l.Last, before = &last, last.UTC().Format("2006-01-02 15:04")
				}
				if asJSON {
					if err := printJSON(env, l); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.Name, printable.Line(l.Runbook), l.Cron, l.Next.Format("2006-01-02 15:04"), before)
			}
			return t.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return c
}

func cmdScheduleExport(env environment, s *settings) *cobra.Command {
	var (
		o           schedule.ExportOptions
		format, dir string
	)
	c := &cobra.Command{
		Use: "export", Short: "Write the schedules for the scheduler that you already run",
		Long: "Writes the schedules of the estate as systemd timers, crontab lines or Kubernetes CronJobs,\n" +
			"to standard output or, with --dir, as files. Nothing is installed and nothing in them is\n" +
			"secret: credentials are named, not written.",
		Example: "  lifeboat schedule export --format systemd --dir /etc/systemd/system\n  lifeboat schedule export --format cron >>crontab\n  lifeboat schedule export --format kubernetes --namespace ops --image registry.example.com/lifeboat:1",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			w, list, err := schedules(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			if format != schedule.Kubernetes {
				if o.Program == "" {
					o.Program = env.exe
				}
				if !c.Flags().Changed("estate-path") {
					o.Estate = w.estate.File
				}
				if !c.Flags().Changed("state-path") && s.state != "" {
					o.State = w.state
				}
			}
			files, err := schedule.Export(format, list, o)
			if err != nil {
				return usage(err)
			}
			if dir != "" {
				return writeUnits(env, dir, files)
			}
			for i, f := range files {
				if i > 0 {
					if format == schedule.Kubernetes {
						fmt.Fprintln(env.stdout, "---")
					} else {
						fmt.Fprintln(env.stdout)
					}
				}
				fmt.Fprintf(env.stdout, "# %s\n%s", f.Name, f.Text)
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.StringVar(&format, "format", schedule.Systemd, strings.Join(schedule.Formats(), ", "))
	fl.StringVar(&dir, "dir", "", "write one file each into this directory, which must exist; files that differ are not overwritten")
	fl.StringVar(&o.Program, "program", "", "path of lifeboat where the units run (default: this program)")
	fl.StringVar(&o.Estate, "estate-path", "", "path of lifeboat.yaml there (default: this one)")
	fl.StringVar(&o.State, "state-path", "", "path of the state directory there")
	fl.StringVar(&o.EnvFile, "env-file", "", "systemd, cron: a file of NAME=value lines with the credentials")
	fl.StringVar(&o.User, "user", "", "systemd: who the units run as")
	fl.StringVar(&o.Namespace, "namespace", "", "kubernetes: the namespace")
	fl.StringVar(&o.Image, "image", "", "kubernetes: an image with lifeboat, git and what the runbooks call")
	fl.StringSliceVar(&o.Env, "env", nil, "kubernetes: names of variables taken from the secret")
	fl.StringVar(&o.Secret, "secret", "", "kubernetes: the name of the secret")
	return c
}

// writeUnits writes all files, or none when one is there and differs.
func writeUnits(env environment, dir string, files []schedule.File) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return usage(hint.New(fmt.Sprintf("--dir: %q is no directory", dir), "make it first"))
	}
	for _, f := range files {
		there, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err == nil && string(there) != f.Text {
			return usage(hint.New(fmt.Sprintf("%q is there and differs", filepath.Join(dir, f.Name)), "move it away, or export to another directory and compare"))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return usage(err)
		}
	}
	for _, f := range files {
		if err := durable.WriteFile(filepath.Join(dir, f.Name), []byte(f.Text), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(env.stdout, filepath.Join(dir, f.Name))
	}
	return nil
}

func cmdScheduleRun(env environment, s *settings) *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Start what is due, in the foreground, until it is told to end",
		Long: "The small scheduler for a machine that has none. It makes up for missed ticks by one run,\n" +
			"never runs a schedule twice at a time, and on SIGINT or SIGTERM starts nothing more, waits\n" +
			"for what runs, and ends with 0.",
		Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			w, list, err := schedules(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			t := w.ticks()
			if err := durable.MkdirAll(t.dir); err != nil {
				return err
			}
			lock, err := durable.Lock(filepath.Join(t.dir, "lock"), fmt.Sprintf("%s on %s, process %d", env.user, env.host, os.Getpid()))
			if err != nil {
				var held *durable.LockedError
				if errors.As(err, &held) {
					err = fmt.Errorf("another lifeboat schedule run is at it (%s): %w", held.Note, errBusy)
				}
				return err
			}
			defer lock.Unlock()
			log := &lines{w: env.stdout, now: env.now}
			log.say(env.now(), "%s of %s; lifeboat schedule ls lists them", printable.Count(len(list), "schedule"), w.estate.File)
			err = schedule.Run(env.ctx, schedule.Options{
				Schedules: list, Host: env.host, Now: env.now, Last: t.last, Record: t.record,
				Log: func(line string) { log.say(env.now(), "%s", line) },
				Start: func(ctx context.Context, e schedule.Schedule, _ time.Time) error {
					return runScheduled(ctx, env, *s, e)
				},
			})
			log.say(env.now(), "ended")
			return err
		},
	}
}

// runScheduled runs one schedule as "lifeboat run RUNBOOK --yes" does: with the estate as
// it is now.
func runScheduled(ctx context.Context, env environment, s settings, e schedule.Schedule) error {
	env.ctx = ctx
	w, err := open(env, s)
	if err != nil {
		return err
	}
	defer w.close()
	asker, out, err := w.front(answering{yes: true}, false)
	if err != nil {
		return err
	}
	id, p, err := w.begin(ctx, wish{book: e.Runbook, params: maps.Clone(e.Params)})
	if err != nil {
		return err
	}
	return w.foreground(ctx, p, id, asker, out)
}

// errBusy marks what another process of Lifeboat is at.
var errBusy = errors.New("busy")
