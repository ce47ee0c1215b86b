package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	filesasset "lifeboat/internal/asset/files"
	gitasset "lifeboat/internal/asset/git"
	"lifeboat/internal/asset/sqlite"
	streamasset "lifeboat/internal/asset/stream"
	"lifeboat/internal/builtin"
	checkactions "lifeboat/internal/builtin/check"
	"lifeboat/internal/builtin/files"
	"lifeboat/internal/builtin/forge"
	"lifeboat/internal/builtin/git"
	"lifeboat/internal/builtin/notify"
	"lifeboat/internal/builtin/secrets"
	sqliteactions "lifeboat/internal/builtin/sqlite"
	streamactions "lifeboat/internal/builtin/stream"
	vaultactions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/builtin/workload"
	"lifeboat/internal/command"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

// errNoEstate is what an action says that needs an asset where there is no estate.
var errNoEstate = hint.Wrap(errors.New("there is no estate"), "run in a directory that has a "+estate.FileName+", or pass --estate FILE")

// deps hands the families of actions what they need. Assets are looked up when a step
// asks for one, so that one list of actions serves lint without an estate too.
func (w *world) deps() builtin.Deps {
	return builtin.Deps{
		Git: git.Deps{Repo: w.repository, Vault: func(ctx context.Context) (git.Vault, error) { return w.vaults.get(ctx) }},
		SQLite: sqliteactions.Deps{Asset: w.database, Live: w.databases, Vault: func(ctx context.Context) (sqliteactions.Vault, error) {
			return w.vaults.get(ctx)
		}},
		Files: files.Deps{
			Source: w.chosenFiles,
			Vault:  func(ctx context.Context) (files.Vault, error) { return w.vaults.get(ctx) },
		},
		Secrets: secrets.Deps{
			Files: func(name string) (secrets.Source, error) {
				a, err := w.asset(name, estate.Files)
				return secrets.Source{Name: a.Name, Path: a.Path, Kind: filesKind(a), Ours: a.Ours}, err
			},
			Repository: func(name string) (string, error) {
				a, err := w.asset(name, estate.Git)
				if err == nil && a.Path == "" {
					err = hint.Wrap(fmt.Errorf("asset %q has no clone here", name), "clone it, and give the path of the clone in lifeboat.yaml")
				}
				return a.Path, err
			},
		},
		Stream:   streamactions.Deps{Asset: w.dump, Vault: func(ctx context.Context) (streamactions.Vault, error) { return w.vaults.get(ctx) }},
		Workload: workload.Deps{App: w.application, HTTP: w.client(), Kubectl: w.kubectl},
		Vault: vaultactions.Deps{
			Vault: w.vaults.get, Asset: w.protected, Names: w.assetNames, Archive: w.archive, Retention: w.keep,
			Copies: w.vaults.copies, Hold: w.vaults.hold, Alert: w.alert,
		},
		Check: checkactions.Deps{
			HTTP: w.client(), Room: w.room,
			Asset: func(name string) (checkactions.Asset, error) {
				a, err := w.asset(name, "")
				return checkactions.Asset{Name: a.Name, Path: a.Path, Critical: a.Critical}, err
			},
		},
		Forge:  forge.Deps{Remote: w.forge, Token: w.forgeToken, HTTP: w.client()},
		Notify: notify.Deps{Sender: w.sender(), Channels: w.channels, People: w.people, About: w.about},
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
	r := git.Repo{Name: a.Name, Dir: a.Path, Remote: a.Remote, Branches: a.Branches, Critical: a.Critical, RPO: a.RPO, Kind: w.gitKind(a, "")}
	for _, m := range a.Mirrors {
		r.Mirrors = append(r.Mirrors, git.Mirror{Name: m.Name, URL: m.URL, Token: w.token(m.Name)})
	}
	for _, c := range a.Clones {
		r.Clones = append(r.Clones, git.Place{Name: w.placeName(c), Dir: c})
	}
	r.Others = w.otherRepositories(a.Name)
	return r, err
}

// placeName is a path as short as the estate file may have it.
func (w *world) placeName(path string) string {
	if rel, err := filepath.Rel(w.estate.Dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// otherRepositories are those of the estate besides one, as far as they lie on this machine:
// what somebody takes for a commit of one may be one of another.
func (w *world) otherRepositories(name string) []git.Place {
	var out []git.Place
	if w.estate == nil {
		return nil
	}
	for _, a := range w.estate.Assets {
		if a.Kind != estate.Git || a.Name == name {
			continue
		}
		if a.Path != "" {
			out = append(out, git.Place{Name: a.Name, Dir: a.Path})
		} else if filepath.IsAbs(a.Remote) {
			out = append(out, git.Place{Name: a.Name, Dir: a.Remote})
		}
	}
	return out
}

func (w *world) database(name string) (sqliteactions.Asset, error) {
	a, err := w.asset(name, estate.SQLite)
	out := sqliteactions.Asset{Name: a.Name, Path: a.Path, RPO: a.RPO, Erasures: sqliteactions.Erasures{Register: a.Erasures.Register}}
	for _, e := range a.Erasures.Statements {
		out.Erasures.Statements = append(out.Erasures.Statements, sqliteactions.Erasure(e))
	}
	return out, err
}

// databases are the files of all databases of the estate.
func (w *world) databases() (paths []string) {
	if w.estate != nil {
		for _, a := range w.estate.OfKind(estate.SQLite) {
			paths = append(paths, a.Path)
		}
	}
	return paths
}

func (w *world) chosenFiles(name string) (files.Source, error) {
	a, err := w.asset(name, estate.Files)
	return files.Source{Name: a.Name, Path: a.Path, Kind: filesKind(a), Secret: a.Secret && !a.Unencrypted, RPO: a.RPO}, err
}

func (w *world) dump(name string) (streamactions.Asset, error) {
	a, err := w.asset(name, estate.Stream)
	if err != nil {
		return streamactions.Asset{}, err
	}
	k, err := w.streamKind(a)
	return streamactions.Asset{Name: a.Name, Source: streamasset.CommandLine(k.Dump), Kind: k, Secret: a.Secret && !a.Unencrypted, RPO: a.RPO}, err
}

func (w *world) application(name string) (workload.App, error) {
	if w.estate == nil {
		return workload.App{}, errNoEstate
	}
	a, err := w.estate.App(name)
	return workload.App{
		Name: a.Name, Deployment: a.Deployment, Namespace: a.Namespace, Context: a.Context,
		Stop: a.Stop, Start: a.Start, Status: a.Status, Health: a.Health,
	}, err
}

// kubectl is the program that talks to the cluster: in a sandbox its own by its path, so
// that there is no way to another.
func (w *world) kubectl() string {
	if w.sandbox() != nil {
		return filepath.Join(w.sandbox().Bin(), "kubectl")
	}
	return "kubectl"
}

func filesKind(a estate.Asset) filesasset.Kind {
	return filesasset.Kind{Include: a.Include, Exclude: a.Exclude}
}

// room is how many bytes a restore of the newest backup of an asset may need.
func (w *world) room(ctx context.Context, asset string) (int64, error) {
	a, err := w.protected(asset, "")
	if err != nil {
		return 0, err
	}
	v, err := w.vaults.get(ctx)
	if err != nil {
		return 0, err
	}
	m, err := v.Latest(ctx, vault.AssetID(a.Asset))
	if err != nil {
		return 0, err
	}
	return m.Room(), nil
}

// protected is an asset as the vault knows it, with what understands its kind. class is
// that of the point to be made: what is kept for a week or longer has the protocol's own
// form beside the bundle.
func (w *world) protected(name, class string) (vaultactions.Protected, error) {
	if name == archiveAsset && w.estate != nil {
		if _, err := w.estate.Find(name); err != nil {
			return w.archiveProtected(), nil
		}
	}
	a, err := w.asset(name, "")
	if err != nil && w.estate != nil && vault.IsAssetID(name) {
		return w.stranger(name, err)
	}
	if err != nil {
		return vaultactions.Protected{}, err
	}
	p := vaultactions.Protected{Asset: vault.Asset{Name: a.Name, Kind: a.Kind, Source: a.Source(), Secret: a.Secret && !a.Unencrypted}, RPO: a.RPO}
	switch a.Kind {
	case estate.Git:
		p.Understands = w.gitKind(a, class)
	case estate.SQLite:
		p.Understands = sqlite.Kind{Assertions: a.Assertions}
	case estate.Files:
		p.Understands = filesKind(a)
	case estate.Stream:
		var k streamasset.Kind
		if k, err = w.streamKind(a); err == nil {
			p.Understands, p.Source, p.Reads = k, streamasset.CommandLine(k.Dump), w.reaches(k.Dump[0])
		}
	default:
		err = fmt.Errorf("asset %q: nothing understands kind %q", a.Name, a.Kind)
	}
	return p, err
}

// reaches is what the fence of a drill is asked for a program. One of the sandbox's own
// reaches nothing outside of it.
func (w *world) reaches(program string) []string {
	if w.sandbox() != nil {
		path, err := command.Find(w.programs(w.env.ctx), program)
		if err == nil && filepath.Dir(path) == w.sandbox().Bin() {
			return []string{}
		}
	}
	return []string{program}
}

// stranger is an asset that is in the vault and not in the estate, by its id there: what
// was backed up elsewhere, or from another path of a machine that is lost. missing is
// returned when the vault has no such asset either. Where the estate has one of the same
// name and kind, its probes apply, but for its build: what the bucket says is hostile, so
// what understands it runs no command and reads no source.
func (w *world) stranger(id string, missing error) (vaultactions.Protected, error) {
	v, err := w.vaults.get(w.env.ctx)
	if err != nil {
		return vaultactions.Protected{}, err
	}
	m, err := v.Latest(w.env.ctx, id)
	if errors.Is(err, vault.ErrNoBackup) {
		return vaultactions.Protected{}, missing
	}
	if err != nil {
		return vaultactions.Protected{}, err
	}
	p := vaultactions.Protected{Asset: vault.Asset{Name: m.Name, Kind: m.Type, Source: m.Source}, Reads: []string{}, Stranger: true}
	if vault.AssetID(p.Asset) != id {
		return p, fmt.Errorf("asset %q: its manifests name it %q, of %q, which is another", id, printable.Line(m.Name), printable.Line(m.Source))
	}
	a, err := w.estate.Find(m.Name)
	if err != nil || a.Kind != m.Type {
		a = estate.Asset{}
	}
	p.RPO = a.RPO
	switch m.Type {
	case estate.Git:
		k := w.gitKind(a, "")
		k.Build = nil
		p.Understands = strangeGit{k}
	case estate.SQLite:
		p.Understands = strangeSQLite{sqlite.Kind{Assertions: a.Assertions}}
	case estate.Files:
		p.Understands = strangeFiles{filesKind(a)}
	case estate.Stream:
		p.Understands = strangeStream{}
	default:
		return p, fmt.Errorf("asset %q: nothing understands kind %q", id, printable.Line(m.Type))
	}
	return p, nil
}

func gitKind(a estate.Asset, class string) gitasset.Kind {
	return gitasset.Kind{Exclude: a.Exclude, LFS: a.LFS, Critical: a.Critical, Build: a.Build, Mirror: class != "" && class != "daily"}
}

// gitKind is that of the estate's assets, with a place for copies and builds.
func (w *world) gitKind(a estate.Asset, class string) gitasset.Kind {
	k := gitKind(a, class)
	k.Scratch = w.scratch.dir()
	return k
}

// streamKind is how a dump is made and loaded. Commands run in the directory of the
// estate file.
func (w *world) streamKind(a estate.Asset) (streamasset.Kind, error) {
	k := streamasset.Kind{Dump: a.Dump, Load: a.Load, Target: a.Name}
	if a.Preset != "" {
		var err error
		if k, err = streamasset.Preset(a.Preset, a.Options); err != nil {
			return k, fmt.Errorf("asset %q: %w", a.Name, err)
		}
	}
	k.Dir, k.Scratch = w.estate.Dir, w.scratch.dir()
	return k, nil
}
