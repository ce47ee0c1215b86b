package app

import (
	"context"
	"errors"

	gitasset "lifeboat/internal/asset/git"
	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/builtin"
	"lifeboat/internal/builtin/files"
	"lifeboat/internal/builtin/git"
	sqliteactions "lifeboat/internal/builtin/sqlite"
	vaultactions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// errNoEstate is what an action says that needs an asset where there is no estate.
var errNoEstate = hint.Wrap(errors.New("there is no estate"), "run in a directory that has a "+estate.FileName+", or pass --estate FILE")

// deps hands the families of actions what they need. Assets are looked up when a step
// asks for one, so that one list of actions serves lint without an estate too.
func (w *world) deps() builtin.Deps {
	return builtin.Deps{
		Git: git.Deps{Repo: w.repository, Vault: func(ctx context.Context) (git.Vault, error) { return w.vaults.get(ctx) }},
		SQLite: sqliteactions.Deps{Asset: w.database, Vault: func(ctx context.Context) (sqliteactions.Vault, error) {
			return w.vaults.get(ctx)
		}},
		Files: files.Deps{Asset: func(name string) (files.Asset, error) {
			a, err := w.asset(name, "")
			return files.Asset{Name: a.Name, Path: a.Path, Critical: a.Critical}, err
		}},
		Vault: vaultactions.Deps{Vault: w.vaults.get, Asset: w.stored, Names: w.assetNames},
	}
}

// asset finds an asset; kind "" takes any.
func (w *world) asset(name, kind string) (estate.Asset, error) {
	if w.estate == nil {
		return estate.Asset{}, errNoEstate
	}
	a, err := w.estate.Find(name)
	if err == nil && kind != "" && a.Kind != kind {
		err = hint.Wrap(errors.New("asset "+name+" is of kind "+a.Kind+", not "+kind), "give the name of another asset of "+w.estate.File)
	}
	return a, err
}

func (w *world) assetNames() []string {
	var out []string
	if w.estate != nil {
		for _, a := range w.estate.Assets {
			out = append(out, a.Name)
		}
	}
	return out
}

func (w *world) repository(name string) (git.Repo, error) {
	a, err := w.asset(name, estate.Git)
	return git.Repo{Name: a.Name, Dir: a.Path, Remote: a.Remote, Branches: a.Branches, Critical: a.Critical, RPO: a.RPO}, err
}

func (w *world) database(name string) (sqliteactions.Asset, error) {
	a, err := w.asset(name, estate.SQLite)
	return sqliteactions.Asset{Name: a.Name, Path: a.Path, RPO: a.RPO}, err
}

// stored is an asset as the vault knows it, with what understands its kind.
func (w *world) stored(name string) (vault.Asset, vault.Kind, error) {
	a, err := w.asset(name, "")
	if err != nil {
		return vault.Asset{}, nil, err
	}
	var kind vault.Kind = gitasset.Kind{}
	if a.Kind == estate.SQLite {
		kind = sqlite.Kind{}
	}
	return vault.Asset{Name: a.Name, Kind: a.Kind, Source: a.Source()}, kind, nil
}
