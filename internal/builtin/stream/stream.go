// Package stream holds the actions on what a command dumps and another loads: backup,
// restore and comparison of databases that only their own programs can read.
//
// A load overwrites, and nothing but another load puts back what was there. So the
// present state is dumped into the vault first, as a point of its own: that is the undo,
// and without it nothing is loaded unless the step says so.
package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"lifeboat/internal/action"
	dump "lifeboat/internal/asset/stream"
	"lifeboat/internal/vault"
)

// Asset is what the actions need to know of a dump.
type Asset struct {
	Name   string
	Source string // as the vault knows it: where the data lives, in words that stay the same
	Kind   dump.Kind
	Secret bool          // is never stored without encryption
	RPO    time.Duration // wanted, for manifests
}

// Vault is what the actions need of the vault.
type Vault interface {
	vault.Finder
	Backup(ctx context.Context, a vault.Asset, k vault.Kind, o vault.BackupOptions) (vault.Manifest, error)
	List(ctx context.Context, asset string, since time.Time) ([]vault.Manifest, error)
	Restore(ctx context.Context, m vault.Manifest, k vault.Kind, dir string, o vault.RestoreOptions) (vault.Restored, error)
}

var (
	_ Vault      = (*vault.Vault)(nil)
	_ vault.Kind = dump.Kind{}
)

// Deps are what the actions need of the rest.
type Deps struct {
	// Asset finds a dump by the name of its asset; the error advises, also when the asset
	// is of another kind.
	Asset func(name string) (Asset, error) // required
	// Vault gives the open vault; it is not closed here.
	Vault func(ctx context.Context) (Vault, error) // required
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{d.backup(), d.restore(), d.compare()}
}

// stored is a as the vault knows it.
func (a Asset) stored() vault.Asset {
	return vault.Asset{Name: a.Name, Kind: a.Kind.Name(), Source: a.Source, Secret: a.Secret}
}

// target is what a load overwrites, as people type it.
func (a Asset) target() string {
	if a.Kind.Target != "" {
		return a.Kind.Target
	}
	return a.Name
}

// loader identifies the command that loads and where it does so.
func (a Asset) loader() string {
	data, _ := json.Marshal([]any{a.Kind.Load, a.Kind.Framed, a.Kind.Dir, a.Kind.Target, a.Source}) // strings always marshal
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// open finds an asset and the vault, and asks the fence for what will be touched.
func (d Deps) open(ctx context.Context, env *action.Env, name string) (Asset, Vault, error) {
	a, err := d.Asset(name)
	if err != nil {
		return Asset{}, nil, err
	}
	if err := a.Kind.Validate(); err != nil {
		return Asset{}, nil, fmt.Errorf("asset %q: %w", a.Name, err)
	}
	v, err := d.Vault(ctx)
	if err != nil {
		return Asset{}, nil, err
	}
	for _, target := range []string{v.String(), a.Kind.Dir} {
		if target == "" {
			continue
		}
		if err := env.Allowed(target); err != nil {
			return Asset{}, nil, err
		}
	}
	return a, v, nil
}

// point finds a restore point: by id, as of a time, or the newest.
func point(ctx context.Context, v Vault, a Asset, id, at string, now time.Time) (m vault.Manifest, f dump.Facts, err error) {
	m, err = vault.Point(ctx, v, a.stored(), id, at, now)
	if err != nil {
		return m, f, err
	}
	if err := json.Unmarshal(m.Facts, &f); err != nil || f.SHA256 == "" {
		return m, f, errors.Join(fmt.Errorf("point %s: %w: its facts are not those of a dump", m.ID, vault.ErrDamaged), err)
	}
	return m, f, nil
}

// checkTime refuses at: that is no time, and point: together with at:.
func checkTime(point, at string) error {
	if err := vault.CheckPoint(point, at); err != nil {
		return &action.ArgError{Name: "at", Msg: err.Error(), Fix: `write it like "2026-11-23 14:30", without point:`}
	}
	return nil
}

// absolute is a path of a runbook.
func absolute(env *action.Env, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(env.Dir, path)
}

func short(hash string) string { return hash[:min(12, len(hash))] }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func age(now time.Time, t time.Time) string {
	return fmt.Sprintf("%s, %s ago", t.UTC().Format("2006-01-02 15:04:05 UTC"), now.Sub(t).Round(time.Second))
}
