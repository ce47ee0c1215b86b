package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

func cmdVault(env environment, s *settings, plainMode *bool) *cobra.Command {
	c := &cobra.Command{
		Use: "vault", Short: "Look into the vault and take care of it",
		Args: exactly(0, "a command: ls, show, diff, doctor, keys, rebuild, copy or prune"),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		cmdVaultLs(env, s), cmdVaultShow(env, s), cmdVaultDiff(env, s), cmdVaultDoctor(env, s), cmdVaultKeys(env, s),
		cmdVaultRebuild(env, s), cmdVaultCopy(env, s, plainMode), cmdVaultPrune(env, s, plainMode),
	)
	return c
}

// vaultCommand opens the estate and its vault for a command that looks.
func vaultCommand(env environment, s settings, f func(w *world, v *vault.Vault) error) error {
	w, err := open(env, s)
	if err != nil {
		return err
	}
	defer w.close()
	v, err := w.vaults.get(env.ctx)
	if err != nil {
		return usage(err)
	}
	return f(w, v)
}

// printJSON writes values, one a line.
func printJSON[T any](env environment, list ...T) error {
	for _, x := range list {
		data, err := json.Marshal(x)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "%s\n", data)
	}
	return nil
}

// catalogue opens the local copy of the vault's listing.
func (w *world) catalogue(v *vault.Vault) (*vault.Catalogue, error) {
	sum := sha256.Sum256([]byte(v.String()))
	return vault.OpenCatalogue(filepath.Join(w.state, "catalogue-"+hex.EncodeToString(sum[:6])))
}

func cmdVaultLs(env environment, s *settings) *cobra.Command {
	var (
		asJSON, offline bool
		limit           int
	)
	c := &cobra.Command{
		Use: "ls [ASSET]", Short: "List assets, or the points of one",
		Long: "Without an asset lists what is in the vault with the newest point of each; with one, its\n" +
			"points, newest first. What the estate does not have, or has at another path, stands there\n" +
			"with the id that every command takes as its name. PROVEN is the strongest level that a verification has proven; a\n" +
			"failure stands until it is taken back by a pass.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(hint.New(fmt.Sprintf("%d assets given", len(args)), "give one, or none for all"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return vaultCommand(env, *s, func(w *world, v *vault.Vault) error {
				c, err := w.catalogue(v)
				if err != nil {
					return err
				}
				if !offline {
					if err := c.Refresh(env.ctx, v); err != nil {
						if len(c.Entries("")) == 0 {
							return err
						}
						complain(env.stderr, hint.Wrap(err, "what follows may be out of date"))
					}
				}
				if len(args) == 0 {
					return w.listAssets(v, c, offline, asJSON)
				}
				id, err := w.assetID(args[0])
				if err != nil {
					return err
				}
				return w.listPoints(c.Entries(id), args[0], limit, asJSON)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.Flags().BoolVar(&offline, "offline", false, "what this machine knows, without asking the vault")
	c.Flags().IntVar(&limit, "limit", 50, "how many points, 0 for all")
	return c
}

// entryLine is a point as JSON lists it.
type entryLine struct {
	vault.Entry
	Signed string `json:"signed,omitempty"` // in words, for a manifest that can be used
}

func (l *entryLine) sign(w *world) (err error) {
	if l.Problem == "" {
		l.Signed, err = w.signed(l.Signer)
	}
	return err
}

// proven is one word for what is known of a point.
func proven(e vault.Entry) string {
	switch {
	case e.Problem != "":
		return "UNUSABLE"
	case e.Failed:
		return "FAILED"
	case e.Level == "":
		return "-"
	}
	return string(e.Level)
}

func (w *world) listAssets(v *vault.Vault, c *vault.Catalogue, offline, asJSON bool) error {
	type line struct {
		entryLine
		Points int   `json:"points"`
		Total  int64 `json:"total_bytes"`
	}
	var order []string
	by := map[string]*line{}
	for _, e := range c.Entries("") {
		l := by[e.Asset]
		if l == nil {
			l = &line{entryLine: entryLine{Entry: e}}
			by[e.Asset] = l
			order = append(order, e.Asset)
		}
		if e.Cut.After(l.Cut) {
			l.Entry = e
		}
		l.Points++
		l.Total += e.Bytes
	}
	if asJSON {
		for _, id := range order {
			if err := by[id].sign(w); err != nil {
				return err
			}
			if err := printJSON(w.env, by[id]); err != nil {
				return err
			}
		}
		return nil
	}
	ours, known, elsewhere := w.ours(), map[string]bool{}, map[string]string{}
	t := tabwriter.NewWriter(w.env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ASSET\tTYPE\tPOINTS\tNEWEST (UTC)\tAGE\tPROVEN\tENCRYPTED")
	for _, id := range order {
		l := by[id]
		known[id] = true
		name := printable.Line(l.Name)
		if !ours[id] {
			elsewhere[l.Name], name = id, id
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", name, l.Type, l.Points,
			l.Cut.UTC().Format("2006-01-02 15:04"), age(w.env.now().Sub(l.Cut)), proven(l.Entry), orElse(l.Scheme, "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, name := range w.assetNames() {
		if a, err := w.protected(name, ""); err == nil && !known[vault.AssetID(a.Asset)] {
			if offline {
				fmt.Fprintf(w.env.stdout, "this machine knows of no backup of %s; without --offline the vault is asked\n", printable.Line(name))
				continue
			}
			fmt.Fprintf(w.env.stdout, "%s has no backup in %s; lifeboat backup %s makes one\n", printable.Line(name), v, printable.Line(name))
			if id := elsewhere[name]; id != "" {
				fmt.Fprintf(w.env.stdout, "  %s comes from another path or machine; lifeboat restore %s --to DIR gets it back\n", id, id)
			}
		}
	}
	return nil
}

// age is a duration as a person counts it.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "in the future"
	case d < time.Minute:
		return "now"
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func (w *world) listPoints(list []vault.Entry, name string, limit int, asJSON bool) error {
	more := 0
	if limit > 0 && len(list) > limit {
		list, more = list[:limit], len(list)-limit
	}
	if asJSON {
		for _, e := range list {
			l := entryLine{Entry: e}
			if err := l.sign(w); err != nil {
				return err
			}
			if err := printJSON(w.env, l); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintf(w.env.stdout, "%s has no backup; lifeboat backup %s makes one\n", printable.Line(name), printable.Line(name))
		return nil
	}
	t := tabwriter.NewWriter(w.env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POINT\tKIND\tCLASS\tRESTORES\tPROVEN")
	for _, e := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", e.Point, e.Kind, orElse(e.Class, "-"), printable.Size(e.Bytes), proven(e))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more > 0 {
		fmt.Fprintf(w.env.stdout, "and %s before them: --limit 0 lists all\n", printable.Count(more, "point"))
	}
	return nil
}

func cmdVaultDiff(env environment, s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "diff ASSET OLDER [NEWER]", Short: "Show what changed between two points",
		Long:    "Shows what changed between two points of an asset: branches and tags of a repository,\nrows of the tables of a database, files. Without NEWER it is the newest.",
		Example: "  lifeboat vault diff monorepo latest~1\n  lifeboat vault diff bookings '2026-11-22 14:30' '2026-11-22 18:00'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 || len(args) > 3 {
				return usage(hint.New(printable.Count(len(args), "argument")+" given", "give an asset and one or two points: an id, a time, latest, latest~1"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return vaultCommand(env, *s, func(w *world, v *vault.Vault) error {
				a, err := w.protected(args[0], "")
				if err != nil {
					return usage(err)
				}
				id := vault.AssetID(a.Asset)
				older, err := w.point(env.ctx, v, id, args[1])
				if err != nil {
					return err
				}
				newer, err := w.point(env.ctx, v, id, strings.Join(args[2:], ""))
				if err != nil {
					return err
				}
				changes, err := v.Diff(env.ctx, older, newer, a.Understands)
				if err != nil {
					return err
				}
				if asJSON {
					type change struct {
						What   string `json:"what"`
						Name   string `json:"name"`
						Before string `json:"before"`
						After  string `json:"after"`
					}
					for _, c := range changes {
						if err := printJSON(env, change(c)); err != nil {
							return err
						}
					}
					return nil
				}
				fmt.Fprintf(env.stdout, "from %s (%s)\nto   %s (%s)\n", older.ID, when(older.Cut), newer.ID, when(newer.Cut))
				if len(changes) == 0 {
					fmt.Fprintln(env.stdout, "nothing changed")
					return nil
				}
				t := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "WHAT\tNAME\tBEFORE\tAFTER")
				for _, c := range changes {
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", printable.Line(c.What), printable.Line(c.Name), orElse(printable.Line(c.Before), "-"), orElse(printable.Line(c.After), "-"))
				}
				return t.Flush()
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return c
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func cmdVaultDoctor(env environment, s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "doctor", Short: "Find out what the bucket really enforces",
		Long: "Looks whether the bucket can be read and written, refuses to overwrite, keeps versions and\nlocks objects, and whether the keys were ever tried. It writes one small object of its own.\nIt ends with exit code 5 when something endangers the backups.",
		Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			return vaultCommand(env, *s, func(w *world, v *vault.Vault) error {
				list, err := v.Doctor(env.ctx)
				if err != nil {
					return err
				}
				list = append(list, w.ownFindings()...)
				problems := 0
				for _, f := range list {
					if f.Severity == "problem" {
						problems++
					}
				}
				if asJSON {
					if err := printJSON(env, list...); err != nil {
						return err
					}
				} else {
					for _, f := range list {
						fmt.Fprintf(env.stdout, "%-8s %s\n", f.Severity, printable.Line(f.Text))
						if f.Advice != "" {
							fmt.Fprintf(env.stdout, "         %s\n", printable.Line(f.Advice))
						}
					}
				}
				if problems > 0 {
					return silentError{fmt.Errorf("%w: %s", errUnsound, printable.Count(problems, "problem"))}
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return c
}

// errUnsound marks a vault that endangers its backups.
var errUnsound = errors.New("the vault is not sound")

// ownFindings are about what the estate asks of its vault.
func (w *world) ownFindings() []vault.Finding {
	var out []vault.Finding
	if w.estate != nil && len(w.estate.Copies) == 0 {
		out = append(out, vault.Finding{Code: "copies", Severity: "warning", Text: "the estate has one vault: a provider, an account or a key that is lost takes every backup with it",
			Advice: "name a second one under copies: in " + w.estate.File})
	}
	if w.estate != nil && (w.estate.Encryption.Method == "" || w.estate.Encryption.Method == "none") {
		out = append(out, vault.Finding{Code: "encryption", Severity: "warning", Text: "backups are not encrypted: whoever can read the bucket can read them",
			Advice: "make a key by age-keygen, and name its recipient under encryption: in " + w.estate.File})
	}
	return out
}

func cmdVaultRebuild(env environment, s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "rebuild", Short: "Make the local catalogue anew from the bucket",
		Long: "The bucket is the truth, the catalogue of this machine only a copy of its listing. This\nforgets it and reads the manifest of every point.",
		Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			return vaultCommand(env, *s, func(w *world, v *vault.Vault) error {
				c, err := w.catalogue(v)
				if err != nil {
					return err
				}
				report, err := c.Rebuild(env.ctx, v)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(env, report)
				}
				fmt.Fprintf(env.stdout, "%s of %s\n", printable.Count(report.Points, "point"), printable.Count(report.Assets, "asset"))
				for _, u := range report.Unusable {
					fmt.Fprintf(env.stdout, "not usable: %s\n", printable.Line(u))
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "the result as JSON")
	return c
}

func cmdVaultCopy(env environment, s *settings, plainMode *bool) *cobra.Command {
	var (
		o     showing
		since string
	)
	c := &cobra.Command{
		Use: "copy [ASSET]", Short: "Copy what is new into the other vaults of the estate",
		Args: atMostOne,
		RunE: func(_ *cobra.Command, args []string) error {
			return o.task(env, *s, *plainMode, false, nil, func(w *world) (task, error) {
				name := strings.Join(args, "")
				return task{name: "vault-copy", title: "Copy the backups", kind: "backup", asset: name, steps: []taskStep{{
					title: "Copy what is new", action: "vault.copy", attrs: " timeout=24h", args: [][2]string{{"asset", name}, {"since", since}},
				}}}, nil
			})
		},
	}
	o.flags(c)
	c.Flags().StringVar(&since, "since", "", "only points from this time on: 7d, or 2026-11-01")
	return c
}

func atMostOne(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(hint.New(fmt.Sprintf("%d assets given", len(args)), "give one, or none for all"))
	}
	return nil
}

func cmdVaultPrune(env environment, s *settings, plainMode *bool) *cobra.Command {
	var (
		o     showing
		apply bool
	)
	c := &cobra.Command{
		Use: "prune [ASSET]", Short: "Show what the retention gives up; with --apply give it up",
		Long: "Works out which points the retention of the estate keeps, and shows the others. Nothing is\n" +
			"given up without --apply. The newest proven point and what a kept point needs always stay;\n" +
			"while a verification fails or the newest backup is late, everything does.",
		Args: atMostOne,
		RunE: func(_ *cobra.Command, args []string) error {
			return o.task(env, *s, *plainMode, apply, nil, func(w *world) (task, error) {
				name := strings.Join(args, "")
				if name != "" {
					if _, err := w.protected(name, ""); err != nil {
						return task{}, usage(err)
					}
				}
				step := taskStep{title: "Work out what is kept", action: "vault.retention", args: [][2]string{{"asset", name}}}
				if apply {
					step = taskStep{title: "Give up what is not kept", action: "vault.prune", attrs: " timeout=6h", args: [][2]string{{"asset", name}}}
				}
				return task{name: "vault-prune", title: "Prune the vault", kind: "verification", asset: name, steps: []taskStep{step}}, nil
			})
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&apply, "apply", false, "give it up")
	return c
}
