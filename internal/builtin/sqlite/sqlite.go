// Package sqlite holds the actions on SQLite databases: backup, check, restore and
// compare, and what a recovery to a time needs: a database is wound back into a side file,
// a log and the erasures of people are applied there, and when it is proven and somebody
// has read what it brings and takes, it is swapped into its place.
//
// A live database is read in one read transaction of SQLite. It is replaced through
// SQLite too while it is sound, so that programs which have it open see the old
// or the new state; a file that SQLite cannot read is swapped by rename. In both cases
// the new database was proven before and the old one is kept beside it: that is the undo.
package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// Asset is what the actions need to know of a database.
type Asset struct {
	Name string
	Path string        // absolute path of the database file
	RPO  time.Duration // wanted, for manifests

	Erasures Erasures // of people who asked to be forgotten; zero: none are kept
}

// Vault is what the actions need of the vault.
type Vault interface {
	vault.Finder
	Backup(ctx context.Context, a vault.Asset, k vault.Kind, o vault.BackupOptions) (vault.Manifest, error)
	Restore(ctx context.Context, m vault.Manifest, k vault.Kind, dir string, o vault.RestoreOptions) (vault.Restored, error)
	List(ctx context.Context, asset string, since time.Time) ([]vault.Manifest, error)
	Receipts(ctx context.Context, asset, point string) ([]vault.Receipt, error)
}

var (
	_ Vault      = (*vault.Vault)(nil)
	_ vault.Kind = db.Kind{}
)

// Deps are what the actions need of the rest.
type Deps struct {
	// Asset finds a database by the name of its asset; the error advises, also when
	// the asset is no database.
	Asset func(name string) (Asset, error) // required
	// Vault gives the open vault; it is not closed here.
	Vault func(ctx context.Context) (Vault, error) // required
	// Live lists the files of all databases of the estate: statements of a log or a
	// register are never run on one of them. nil: it has none.
	Live func() []string
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{
		d.backup(), d.check(), d.restore(), d.compare(),
		d.findGood(), d.rewind(), d.replay(), d.erase(), d.erased(), d.swap(),
	}
}

// stored is a as the vault knows it.
func (a Asset) stored() vault.Asset {
	return vault.Asset{Name: a.Name, Kind: db.Kind{}.Name(), Source: a.Path}
}

// point finds a restore point: by id, as of a time, or the newest.
func (d Deps) point(ctx context.Context, env *action.Env, a Asset, id, at string) (vault.Manifest, db.Facts, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return vault.Manifest{}, db.Facts{}, err
	}
	m, err := vault.Point(ctx, v, a.stored(), id, at, env.Now())
	if err != nil {
		return m, db.Facts{}, err
	}
	var f db.Facts
	if err := json.Unmarshal(m.Facts, &f); err != nil || f.DBSHA256 == "" {
		return m, f, errors.Join(fmt.Errorf("point %s: %w: its facts are not those of a database", m.ID, vault.ErrDamaged), err)
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

// real follows symbolic links, so that what is shown, fenced and replaced is the file
// itself, also where it is gone and only a link to it is left.
func real(path string) (string, error) {
	for range 40 { // as many as the kernel follows
		p, err := filepath.EvalSymlinks(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", hint.Wrap(fmt.Errorf("find database %q: %w", path, err), "make its directory first")
		}
		path = filepath.Join(dir, filepath.Base(path))
		to, err := os.Readlink(path)
		if err != nil { // it is no link: nothing is there
			return path, nil
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		path = to
	}
	return "", fmt.Errorf("find database %q: its symbolic links go round in a circle", path)
}

// rowWords says how many rows there are, in few words.
func rowWords(f db.Facts) string {
	var total int64
	for _, n := range f.Rows {
		total += n
	}
	more := ""
	if f.RowsPartial {
		more = "at least "
	}
	return fmt.Sprintf("%s%d rows in %d tables", more, total, len(f.Rows))
}

func short(hash string) string { return hash[:min(12, len(hash))] }

func age(now time.Time, t time.Time) string {
	return fmt.Sprintf("%s, %s ago", t.UTC().Format("2006-01-02 15:04:05 UTC"), now.Sub(t).Round(time.Second))
}

// joined lists differences or complaints in one line, the first ones.
func joined(list []string) string {
	const most = 10
	if len(list) > most {
		return strings.Join(list[:most], "; ") + fmt.Sprintf("; and %d more", len(list)-most)
	}
	return strings.Join(list, "; ")
}
