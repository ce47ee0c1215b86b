package app

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vaultactions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// showing are the flags of a command that runs a task.
type showing struct {
	json, quiet bool
}

func (o *showing) flags(c *cobra.Command) {
	c.Flags().BoolVar(&o.json, "json", false, "print each event as a line of JSON, and the result as the last")
	c.Flags().BoolVar(&o.quiet, "quiet", false, "leave out what the steps print")
}

// task opens the estate, runs one task of it in the foreground, and shows how far it is.
func (o *showing) task(env environment, s settings, plainMode bool, force bool, allow map[string]string, make func(w *world) (task, error)) error {
	w, err := open(env, s)
	if err != nil {
		return err
	}
	defer w.close()
	if w.estate == nil {
		return usage(errNoEstate)
	}
	t, err := make(w)
	if err != nil {
		return err
	}
	_, out, err := w.front(answering{json: o.json, quiet: o.quiet, yes: true}, false)
	if err != nil {
		return err
	}
	a := &asked{policy: newPolicy(env.user, true, allow), force: force}
	if out.lines != nil {
		b := &bar{w: env.stdout, tty: env.terminal && !env.dumb() && !plainMode, now: time.Now}
		out.lines.w, w.progress = b, b.progress
		if env.terminal || plainMode {
			a.person = w.person(out.lines)
		}
	}
	return w.runTask(env.ctx, t, a, out)
}

// oneOrAll reads the argument of a command that takes an asset or --all.
func oneOrAll(args []string, all bool) (string, error) {
	switch {
	case len(args) > 1:
		return "", usage(hint.New(fmt.Sprintf("%d assets given", len(args)), "give one, or --all"))
	case len(args) == 1 && all:
		return "", usage(hint.New("both an asset and --all", "give one of them"))
	case len(args) == 0 && !all:
		return "", usage(hint.New("which asset?", "give its name, or --all; lifeboat vault ls lists them"))
	case all:
		return "", nil
	}
	return args[0], nil
}

// oneOf refuses a value that a flag does not know; "" is none.
func oneOf(flag, value string, list ...string) error {
	if value == "" || slices.Contains(list, value) {
		return nil
	}
	return usage(hint.New(fmt.Sprintf("--%s %q is not known", flag, value), "write one of "+strings.Join(list, ", ")))
}

func cmdBackup(env environment, s *settings, plainMode *bool) *cobra.Command {
	var (
		o            showing
		all, full    bool
		class, shard string
	)
	c := &cobra.Command{
		Use: "backup ASSET | --all", Short: "Make a restore point of an asset, or of all",
		Long: "Makes a restore point in the vault of the estate: an increment where there is something\n" +
			"to build on, a full one otherwise or with --full. With --all one asset that fails does\n" +
			"not keep the others from being backed up. What it did is on record like any run.",
		Example: "  lifeboat backup monorepo\n  lifeboat backup --all --class weekly --full\n  lifeboat backup --all --shard 2/4 --json",
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := oneOrAll(args, all)
			if err != nil {
				return err
			}
			if err := oneOf("class", class, "daily", "weekly", "monthly", "quarterly"); err != nil {
				return err
			}
			if _, _, err := vaultactions.ParseShard(shard); err != nil {
				return usage(hint.Wrap(fmt.Errorf("--shard: %w", err), "write 0/4, 1/4, 2/4 or 3/4 for one of four parts"))
			}
			return o.task(env, *s, *plainMode, false, nil, func(w *world) (task, error) {
				title := "Back up every asset"
				if name != "" {
					if _, err := w.asset(name, ""); err != nil {
						return task{}, usage(err)
					}
					title = "Back up one asset"
				}
				mode := ""
				if full {
					mode = "full"
				}
				return task{name: "backup", title: title, kind: "backup", asset: name, steps: []taskStep{{
					title: "Write the backup", action: "vault.backup", attrs: " timeout=24h",
					args: [][2]string{{"asset", name}, {"mode", mode}, {"class", class}, {"shard", shard}},
				}}}, nil
			})
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&all, "all", false, "every asset of the estate")
	c.Flags().BoolVar(&full, "full", false, "do not build on the newest point")
	c.Flags().StringVar(&class, "class", "", "what the point is kept as: daily, weekly, monthly or quarterly")
	c.Flags().StringVar(&shard, "shard", "", "with --all: only one part of the assets, 0/4 is the first of four")
	return c
}

func cmdVerify(env environment, s *settings, plainMode *bool) *cobra.Command {
	var (
		o            showing
		all, reread  bool
		level, point string
	)
	c := &cobra.Command{
		Use: "verify ASSET | --all", Short: "Prove that backups can be restored",
		Long: "Proves the newest point of an asset, or of all, and writes a receipt into the vault.\n\n" +
			"  stored    every object is there with its size\n" +
			"  checked   the bytes are the recorded ones, and their structure is sound\n" +
			"  applied   a replica made of them equals what was backed up\n" +
			"  restored  so does one made by restore.sh with stock tools, and every check passes\n\n" +
			"It ends with exit code 5 when a verification failed.",
		Example: "  lifeboat verify --all\n  lifeboat verify bookings --level restored",
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := oneOrAll(args, all)
			if err != nil {
				return err
			}
			if err := oneOf("level", level, "stored", "checked", "applied", "restored"); err != nil {
				return err
			}
			if point != "" && name == "" {
				return usage(hint.New("--point is a point of one asset", "name the asset"))
			}
			return o.task(env, *s, *plainMode, false, nil, func(w *world) (task, error) {
				var err error
				if name != "" {
					if point, err = w.pointID(name, point); err != nil {
						return task{}, err
					}
				}
				again := ""
				if reread {
					again = "true"
				}
				return verifyTask(name, point, level, again), nil
			})
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&all, "all", false, "every asset of the estate")
	c.Flags().StringVar(&level, "level", string(vault.LevelApplied), "how much to prove: stored, checked, applied or restored")
	c.Flags().StringVar(&point, "point", "", "the point to prove, named as for vault show (default: the newest)")
	c.Flags().BoolVar(&reread, "reread", false, "at level checked: read also what earlier receipts have proven")
	return c
}

// verifyTask proves a point of an asset; the newest for "", those of all assets where no
// asset is named.
func verifyTask(asset, point, level, reread string) task {
	return task{name: "verify", title: "Verify the backups", kind: "verification", asset: asset, steps: []taskStep{{
		title: "Prove them at level " + level, action: "vault.verify", attrs: " timeout=24h",
		args: [][2]string{{"asset", asset}, {"point", point}, {"level", level}, {"reread", reread}},
	}}}
}

// restoreTask rebuilds an asset beside what is there.
func restoreTask(asset string, args [][2]string) task {
	return task{name: "restore", title: "Restore an asset", kind: "recovery", asset: asset, steps: []taskStep{{
		title: "Restore it", action: "vault.restore", attrs: " timeout=24h", args: args,
	}}}
}

func cmdRestore(env environment, s *settings, plainMode *bool) *cobra.Command {
	var (
		o             showing
		at, point, to string
		tokens        []string
		replace       bool
	)
	c := &cobra.Command{
		Use: "restore ASSET --to DIR | --replace", Short: "Rebuild an asset from a restore point",
		Long: "With --to rebuilds an asset in a directory that does not exist yet; nothing of the\n" +
			"present state is touched. With --replace puts the point in the place of what is there:\n" +
			"it is rebuilt beside and proven first, asks for a token of the live target, and keeps\n" +
			"the old state, which is the way back.",
		Example: "  lifeboat restore monorepo --to /tmp/monorepo\n  lifeboat restore bookings --at '2026-11-22 14:30' --to ./bookings\n  lifeboat restore bookings --at 2h --replace",
		Args:    exactly(1, "the name of an asset"),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case replace == (to != ""):
				return usage(hint.New("where to?", "give --to DIRECTORY, or --replace to put it in the place of what is there"))
			case at != "" && point != "":
				return usage(hint.New("both --at and --point", "give one of them"))
			case len(tokens) > 0 && !replace:
				return usage(hint.New("--allow is for --replace", "leave it out"))
			}
			if to != "" && !filepath.IsAbs(to) {
				to = filepath.Join(env.dir, to) // a runbook's paths begin elsewhere
			}
			if at != "" {
				t, err := vault.ParseTime(at, env.now())
				if err != nil {
					return usage(fmt.Errorf("--at: %w", err))
				}
				at = t.Format(time.RFC3339Nano)
			}
			allow, err := parsePairs("allow", tokens)
			if err != nil {
				return err
			}
			return o.task(env, *s, *plainMode, false, allow, func(w *world) (task, error) {
				a, err := w.asset(args[0], "")
				if err != nil && replace {
					return task{}, usage(err)
				}
				if point, err = w.pointID(args[0], point); err != nil {
					return task{}, err
				}
				t := restoreTask(args[0], [][2]string{{"asset", args[0]}, {"to", to}, {"point", point}, {"at", at}})
				if step := &t.steps[0]; replace {
					step.action = a.Kind + ".restore"
					step.args = [][2]string{{"asset", args[0]}, {"point", point}, {"at", at}}
					switch a.Kind {
					case estate.Git:
						step.args = append(step.args, [2]string{"replace", "clone"})
					case estate.Files:
						step.args = append(step.args, [2]string{"replace", "true"})
					}
				}
				return t, nil
			})
		},
	}
	o.flags(c)
	c.Flags().StringVar(&at, "at", "", "the newest point that holds nothing later: '2026-11-22 14:30' (UTC), RFC 3339, or 2h ago")
	c.Flags().StringVar(&point, "point", "", "the point to restore, named as for vault show (default: the newest)")
	c.Flags().StringVar(&to, "to", "", "a directory that does not exist yet")
	c.Flags().BoolVar(&replace, "replace", false, "put it in the place of what is there")
	c.Flags().StringArrayVar(&tokens, "allow", nil, "with --replace and nobody to ask: restore-it=TOKEN, the token read from the live target")
	return c
}
