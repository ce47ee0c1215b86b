package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
	"lifeboat/internal/vault"
)

func cmdVaultShow(env environment, s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show ASSET [POINT]", Short: "Show one point: what it is made of and what proves it",
		Long:    "Shows a point, by default the newest. POINT is an id or a part of one, latest, latest~1 for\nthe one before it, or a time: the newest point that holds nothing later.",
		Example: "  lifeboat vault show monorepo\n  lifeboat vault show bookings '2026-11-22 14:30'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage(hint.New(printable.Count(len(args), "argument")+" given", "give an asset, and a point when it is not the newest"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return vaultCommand(env, *s, func(w *world, v *vault.Vault) error {
				id, err := w.assetID(args[0])
				if err != nil {
					return err
				}
				m, err := w.point(env.ctx, v, id, strings.Join(args[1:], ""))
				if err != nil {
					return err
				}
				receipts, rerr := v.Receipts(env.ctx, m.Asset, m.ID)
				if rerr != nil && len(receipts) == 0 && !vault.Unusable(rerr) {
					return rerr
				}
				if asJSON {
					return printJSON(env, struct {
						Manifest vault.Manifest  `json:"manifest"`
						Receipts []vault.Receipt `json:"receipts"`
					}{m, receipts})
				}
				if rerr != nil {
					complain(env.stderr, rerr)
				}
				return w.showPoint(m, receipts)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "the manifest and the receipts as JSON")
	return c
}

func (w *world) showPoint(m vault.Manifest, receipts []vault.Receipt) error {
	out := w.env.stdout
	label := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-11s%s\n", name, printable.Line(fmt.Sprintf(format, args...)))
	}
	label("point", "%s", m.ID)
	label("asset", "%s (%s), %s", m.Name, m.Asset, m.Type)
	label("source", "%s", m.Source)
	label("kind", "%s%s", m.Kind, prefix(", kept as ", m.Class))
	label("holds", "everything up to %s (age: %s)", when(m.Cut), age(w.env.now().Sub(m.Cut)))
	label("made", "%s to %s by %s %s on %s%s", when(m.Started), m.Finished.UTC().Format("15:04:05"), m.Tool.Name, m.Tool.Version, m.Host, prefix(", run ", m.RunID))
	if m.Parent != nil {
		label("builds on", "%s", m.Parent.ID)
	}
	label("restore", "%s to download; sh %s", printable.Size(m.Size()), m.ScriptKey())
	signer := ""
	if m.Sig != nil {
		signer = m.Sig.Key
	}
	signed, err := w.signed(signer)
	if err != nil {
		return err
	}
	label("signed", "%s", signed)
	if len(m.Chain)+len(m.Aux) > 0 {
		fmt.Fprintln(out)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "OBJECT\tROLE\tSTORED\tSHA-256\tENCRYPTED\tLOCKED UNTIL")
		for _, list := range [][]vault.Object{m.Chain, m.Aux} {
			for _, o := range list {
				locked := "-"
				if o.RetainUntil != nil {
					locked = o.RetainUntil.UTC().Format("2006-01-02")
				}
				_, name, _ := strings.Cut(o.Key, "/d/")
				fmt.Fprintf(t, "%s\t%s\t%s\t%s…\t%s\t%s\n", name, o.Role, printable.Size(o.Size), o.SHA256[:12], orElse(strings.TrimPrefix(o.Encryption.Scheme, "none"), "-"), locked)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	if len(receipts) == 0 {
		fmt.Fprintln(out, "never verified; lifeboat verify "+printable.Line(m.Name)+" proves it")
		return nil
	}
	for _, r := range receipts {
		verdict := "proven"
		if !r.Pass {
			verdict = "FAILED"
		}
		fmt.Fprintf(out, "%s  %s %s%s\n", when(r.Finished), verdict, r.Level, printable.Line(prefix(": ", r.Error+strings.Join(r.Evidence[max(0, len(r.Evidence)-1):], ""))))
	}
	return nil
}

func cmdVaultKeys(env environment, s *settings) *cobra.Command {
	c := &cobra.Command{
		Use: "keys", Short: "Show, rotate and try the keys of the backups",
		Args: exactly(0, "a command: list, rotate or test"),
		RunE: func(*cobra.Command, []string) error { return listKeys(env, *s, false) },
	}
	var asJSON, rotateJSON, testJSON bool
	list := &cobra.Command{
		Use: "list", Short: "List the keys, and which backups need which",
		Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error { return listKeys(env, *s, asJSON) },
	}
	list.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	rotate := &cobra.Command{
		Use: "rotate", Short: "Make a new key for new backups, and wrap the old ones anew",
		Long: "With a keeper (a KMS) makes a new key, wraps it, and wraps the older ones under the key that\nthe keeper has now. Old backups stay readable with the keys they were made for. Without a\nkeeper the recipients of lifeboat.yaml are the keys: change them there.",
		Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			return vaultCommand(env, *s, func(w *world, v *vault.Vault) error {
				k, err := v.RotateKey(env.ctx)
				if err != nil {
					return err
				}
				if rotateJSON {
					return printJSON(env, k)
				}
				fmt.Fprintf(env.stdout, "new backups are encrypted for %s, key %s\n", k.Recipient, k.ID)
				return nil
			})
		},
	}
	rotate.Flags().BoolVar(&rotateJSON, "json", false, "the new key as JSON")
	test := &cobra.Command{
		Use: "test [FILE]", Short: "Prove that a key opens the newest backup made for it",
		Long: "Reads an age identity from FILE, or from standard input, and opens the newest backup that was\nencrypted for it. The result is put on record in the vault. This is how the break-glass key is\ntried: take it out of the safe, run this, put it back.",
		Args: atMostOne,
		RunE: func(_ *cobra.Command, args []string) error {
			identity, err := readIdentity(env, args)
			if err != nil {
				return err
			}
			return vaultCommand(env, *s, func(w *world, v *vault.Vault) error {
				w.redact.Add(identity)
				k, err := v.TestKey(env.ctx, identity)
				if err != nil {
					return err
				}
				if testJSON {
					return printJSON(env, k)
				}
				fmt.Fprintf(env.stdout, "%s key %s opens what was encrypted for it\n", k.Role, k.ID)
				return nil
			})
		},
	}
	test.Flags().BoolVar(&testJSON, "json", false, "the key as JSON")
	c.AddCommand(list, rotate, test)
	return c
}

// readIdentity takes the first line of a file of identities that is one.
func readIdentity(env environment, args []string) (secret.String, error) {
	r, from := env.stdin, "standard input"
	if len(args) == 0 && env.terminal {
		return secret.String{}, usage(hint.New("which key?", "name the file with the identity, or pipe it in: what is typed here would stay on the screen"))
	}
	if len(args) == 1 {
		from = strconv.Quote(args[0])
		f, err := os.Open(args[0])
		if err != nil {
			return secret.String{}, usage(err)
		}
		defer f.Close()
		r = f
	}
	if r == nil {
		return secret.String{}, usage(hint.New("there is no standard input", "name a file with the identity"))
	}
	lines := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); text != "" && !strings.HasPrefix(text, "#") {
			return secret.New(text), nil
		}
	}
	return secret.String{}, usage(errors.Join(hint.New("there is no identity in "+from, "a file of age-keygen has a line AGE-SECRET-KEY-1…"), lines.Err()))
}

func listKeys(env environment, s settings, asJSON bool) error {
	return vaultCommand(env, s, func(w *world, v *vault.Vault) error {
		keys, err := v.Keys(env.ctx)
		if err != nil {
			return err
		}
		if asJSON {
			for _, k := range keys {
				data, err := json.Marshal(k)
				if err != nil {
					return err
				}
				fmt.Fprintf(env.stdout, "%s\n", data)
			}
			return nil
		}
		if len(keys) == 0 {
			fmt.Fprintln(env.stdout, "no backup is encrypted; encryption: in lifeboat.yaml changes that")
			return nil
		}
		t := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "KEY\tROLE\tMADE\tPOINTS\tNEWEST (UTC)\tTESTED\tNEW BACKUPS")
		for _, k := range keys {
			newest, tested, active := "-", "never", "no"
			if !k.Newest.IsZero() {
				newest = k.Newest.UTC().Format("2006-01-02 15:04")
			}
			if !k.Tested.IsZero() {
				tested = k.Tested.UTC().Format("2006-01-02")
			}
			if k.Active {
				active = "yes"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", k.ID, k.Role, k.Created.UTC().Format("2006-01-02"), k.Points, newest, tested, active)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, k := range keys {
			if k.Role == "break-glass" && k.Tested.IsZero() {
				fmt.Fprintf(env.stdout, "the break-glass key was never tried: lifeboat vault keys test FILE\n")
			}
			if limit := w.estate.Encryption.RotateEvery; k.Active && k.Role == "data" && limit > 0 && env.now().Sub(k.Created) > limit {
				fmt.Fprintf(env.stdout, "key %s is %s old and due for rotation after %s: lifeboat vault keys rotate\n", k.ID, age(env.now().Sub(k.Created)), age(limit))
			}
		}
		return nil
	})
}
