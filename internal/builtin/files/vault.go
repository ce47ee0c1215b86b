package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// Source is an asset of kind files: what is chosen below a directory.
type Source struct {
	Name   string
	Path   string // absolute path of the directory
	Kind   tree.Kind
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
	_ vault.Kind = tree.Kind{}
)

// stored is a source as the vault knows it.
func (s Source) stored() vault.Asset {
	return vault.Asset{Name: s.Name, Kind: s.Kind.Name(), Source: s.Path, Secret: s.Secret}
}

// open finds a source and the vault.
func (d Deps) open(ctx context.Context, name string) (Source, Vault, error) {
	s, err := d.Source(name)
	if err != nil {
		return Source{}, nil, err
	}
	v, err := d.Vault(ctx)
	return s, v, err
}

// point finds a restore point: by id, as of a time, or the newest.
func point(ctx context.Context, v Vault, s Source, id, at string, now time.Time) (m vault.Manifest, f tree.Facts, err error) {
	m, err = vault.Point(ctx, v, s.stored(), id, at, now)
	if err != nil {
		return m, f, err
	}
	if err := json.Unmarshal(m.Facts, &f); err != nil {
		return m, f, fmt.Errorf("point %s: %w: its facts are not those of files: %w", m.ID, vault.ErrDamaged, err)
	}
	if f.ListSHA256 == "" {
		return m, f, hint.Wrap(fmt.Errorf("%w: point %s holds nothing", action.ErrRefused, m.ID), "name another point")
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

func unclear(err error) error {
	if errors.Is(err, durable.ErrUnclear) {
		return fmt.Errorf("%w: %w", action.ErrUnclear, err)
	}
	return err
}

func short(hash string) string { return hash[:min(12, len(hash))] }

func age(now time.Time, t time.Time) string {
	return fmt.Sprintf("%s, %s ago", t.UTC().Format("2006-01-02 15:04:05 UTC"), now.Sub(t).Round(time.Second))
}
