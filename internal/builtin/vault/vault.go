// Package vault holds the actions on the vault as a whole, whatever kind its assets are
// of: making points of all of them, proving, restoring and copying them, and giving up
// those that need not be kept. What is peculiar to a kind has a family of its own.
package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

// Deps are what the actions need of the rest.
type Deps struct {
	// Vault gives the vault, which belongs to the giver and is not closed here.
	Vault func(ctx context.Context) (*vault.Vault, error) // required
	// Asset finds an asset by its name; the error advises. class is that of the point to
	// be made: what is kept for months has forms that a daily one does without. It is ""
	// for everything but a backup.
	Asset func(name, class string) (Protected, error) // required
	// Names lists the assets that can be in the vault.
	Names func() []string // required
	// Archive gives the documents that a recovery needs beside the data, as an asset.
	Archive func(ctx context.Context) (Protected, error) // required for vault.archive
	// Retention says what is kept.
	Retention func() vault.Keep // required for vault.retention and vault.prune
	// Copies opens the other vaults, in the order of the estate. The caller closes them,
	// also beside an error: it names those that cannot be opened, and the others come with
	// it.
	Copies func(ctx context.Context) ([]*vault.Vault, error) // required for vault.copy
	// Hold keeps other processes of this host from pruning the same vault; it is Busy
	// while one does.
	Hold func(ctx context.Context) (release func() error, err error) // required for vault.prune
	// Alert is the hook for whoever wants to know at once what went wrong. A failure of
	// its own goes to the log and onto the record and does not change the outcome of the
	// step. ctx is alive also when the time of the step is up.
	Alert func(ctx context.Context, env *action.Env, a Alert) // nil: nobody
}

// Protected is an asset with what understands its kind.
type Protected struct {
	vault.Asset
	Understands vault.Kind
	RPO         time.Duration
	Reads       []string // paths and URLs that a backup reaches, for the fence; nil: the source
	// Stranger is known from the vault alone. Its source is what somebody has written into
	// a bucket, and whether it is a secret nobody knows: nothing of it is ever backed up.
	Stranger bool
}

// Alert is something that somebody has to know.
type Alert struct {
	Event  string // of package alert
	Asset  string
	Vault  string
	Text   string
	Advice string
}

// alert tells of err, which befell an asset ("" is none in particular) in v, a vault. A
// dry run tells nobody, and neither does a step that was stopped: whoever stopped it
// knows. One whose time was up does.
func (d Deps) alert(ctx context.Context, env *action.Env, event, asset string, v *vault.Vault, err error) {
	if d.Alert == nil || env.Dry || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	d.Alert(context.WithoutCancel(ctx), env, Alert{
		Event: event, Asset: asset, Vault: v.String(), Text: err.Error(), Advice: strings.Join(hint.All(err), "; "),
	})
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{
		d.newest(), d.verification(), d.backup(), d.archive(), d.restore(), d.copy(), d.copied(), d.doctor(), d.retention(), d.prune(),
	}
}

// chosen lists the assets that a step goes through, in the order of their names: the one
// that it names, or all.
func (d Deps) chosen(asset string) ([]string, error) {
	if asset != "" {
		if _, err := d.Asset(asset, ""); err != nil {
			return nil, err
		}
		return []string{asset}, nil
	}
	names := slices.Sorted(slices.Values(d.Names()))
	if len(names) == 0 {
		return nil, hint.Wrap(fmt.Errorf("%w: there are no assets", action.ErrRefused), "add what should be protected to lifeboat.yaml")
	}
	return names, nil
}

// held lists what [Deps.chosen] does and, with all, the documents of the archives, which
// are in the vault and not in the estate.
func (d Deps) held(ctx context.Context, v *vault.Vault, asset string) ([]string, error) {
	names, err := d.chosen(asset)
	if err != nil || asset != "" || slices.Contains(names, archiveName) {
		return names, err
	}
	a, err := d.Asset(archiveName, "")
	if err != nil {
		return names, nil // there are none to be had
	}
	if _, err := v.Latest(ctx, vault.AssetID(a.Asset)); errors.Is(err, vault.ErrNoBackup) {
		return names, nil
	}
	return append(names, archiveName), nil
}

// part lists what [Deps.chosen] does and belongs to one shard ("" is all): perhaps nothing.
func (d Deps) part(asset, shard string) ([]string, error) {
	names, err := d.chosen(asset)
	if err != nil || shard == "" {
		return names, err
	}
	i, n, err := ParseShard(shard)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(name string) bool { return Shard(name, n) != i }), nil
}

// writable gives the vault to an action that writes into it, if the fence allows.
func (d Deps) writable(ctx context.Context, env *action.Env) (*vault.Vault, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return nil, err
	}
	return v, env.Allowed(v.String())
}

// unfit says whether an error is about the backup itself. Any other error (no connection,
// no key, a program that is absent) proves nothing about it.
func unfit(err error) bool {
	return errors.Is(err, vault.ErrNoBackup) || errors.Is(err, vault.ErrDamaged) || errors.Is(err, vault.ErrMissing) || errors.Is(err, vault.ErrUntrusted)
}

// level is the strongest level at which the point was proven; "failed" while a failed
// verification stands, "none" when there was none.
func (d Deps) level(ctx context.Context, v *vault.Vault, m vault.Manifest) (string, error) {
	receipts, err := v.Receipts(ctx, m.Asset, m.ID)
	if err != nil && len(receipts) == 0 {
		return "", err
	}
	proven, failed := vault.Standing(receipts)
	switch {
	case failed:
		return "failed", nil
	case proven == "":
		return "none", nil
	}
	return string(proven), nil
}

// flat writes an error on one line, as a plan has them.
func flat(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// round writes an age as short as it is still of use.
func round(d time.Duration) string {
	switch {
	case d < time.Minute:
		return printable.Span(max(d, 0).Truncate(time.Second))
	case d < 48*time.Hour:
		return printable.Span(d.Truncate(time.Minute))
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
