// Package git holds the actions on repositories: backup, check and restore; finding,
// keeping and pushing back what a force push took away; comparing, looking who is at
// work, and keeping mirrors up.
//
// The repositories are somebody else's, and a restored one is hostile. So nothing here
// fetches or pushes inside them: each action makes a desk, an empty repository of its
// own that only borrows their objects (see desk). No remote, URL rewrite, ssh command,
// hook or filter of a configuration that we did not write can run. What must stay, a
// ref under refs/lifeboat and its objects, is written into the clone at the end.
package git

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
	"lifeboat/internal/vault"
)

// Repo is what the actions need to know of a repository.
type Repo struct {
	Name       string
	Dir        string        // absolute path of the working clone, bare or not; empty when there is none
	Remote     string        // URL or absolute path of what is shared; empty when there is none
	RemoteName string        // what the clone calls it; empty means "origin"
	Branches   []string      // that matter, without refs/heads/
	Critical   []string      // files that must be there, relative to the top
	RPO        time.Duration // wanted, for manifests
	Clones     []Place       // of other people, to look for lost commits in
	Others     []Place       // other repositories of the estate: a commit asked for may be one of theirs
	Mirrors    []Mirror      // where git.mirror copies it to
	Kind       repo.Kind     // how it is captured; its Exclude is left alone at mirrors too
}

// Place is another repository on this machine.
type Place struct{ Name, Dir string }

// Mirror is a further copy of a repository, kept up by git.mirror.
type Mirror struct {
	Name  string
	URL   string        // https, ssh or file, or an absolute path
	Token secret.String // for https, when the address has no password; empty: none
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
	_ vault.Kind = repo.Kind{}
)

// Deps are what the actions need of the rest.
type Deps struct {
	// Repo finds a repository by the name of its asset; the error advises, also when
	// the asset is no repository.
	Repo func(asset string) (Repo, error) // required
	// Vault gives the open vault; it is not closed here. Actions that only look ask it
	// when they need it, and go on without it.
	Vault func(ctx context.Context) (Vault, error) // required
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{
		d.backup(), d.check(), d.restore(), d.findLost(), d.keep(), d.push(), d.compare(), d.activity(), d.mirror(),
		d.status(), d.gather(), d.publish(),
	}
}

// source is what is backed up: what is shared, else the clone.
func (r Repo) source() string {
	if r.Remote != "" {
		return r.Remote
	}
	return r.Dir
}

func (r Repo) remoteName() string {
	if r.RemoteName != "" {
		return r.RemoteName
	}
	return "origin"
}

// localRemote is the directory of the shared repository when it is on this machine.
func (r Repo) localRemote() (dir string, ok bool) {
	if r.Remote == "" {
		return "", false
	}
	s, err := repo.ParseSource(r.Remote)
	return s.Path, err == nil && s.Path != ""
}

// stored is the repository as the vault knows it.
func (r Repo) stored() vault.Asset {
	return vault.Asset{Name: r.Name, Kind: repo.Kind{}.Name(), Source: r.source()}
}

// needRemote and needDir refuse an asset that lacks what an action works on.
func (r Repo) needRemote() error {
	if r.Remote == "" {
		return hint.Wrap(fmt.Errorf("%w: asset %q has no remote", action.ErrRefused, r.Name), "add remote: to the asset in lifeboat.yaml")
	}
	if _, err := repo.ParseSource(r.Remote); err != nil {
		return fmt.Errorf("%w: %w", action.ErrRefused, err)
	}
	return nil
}

func (r Repo) needDir() error {
	if r.Dir == "" {
		return hint.Wrap(fmt.Errorf("%w: asset %q has no working clone", action.ErrRefused, r.Name), "add path: to the asset in lifeboat.yaml")
	}
	return nil
}

// point finds a restore point: by id, as of a time, or the newest.
func (d Deps) point(ctx context.Context, r Repo, id, at string, now time.Time) (Vault, vault.Manifest, repo.Facts, error) {
	v, err := d.Vault(ctx)
	if err != nil {
		return nil, vault.Manifest{}, repo.Facts{}, err
	}
	m, err := vault.Point(ctx, v, r.stored(), id, at, now)
	if err != nil {
		return nil, m, repo.Facts{}, err
	}
	f, err := repo.ParseFacts(m.Facts)
	if err != nil {
		return nil, m, f, fmt.Errorf("point %s: %w: %w", m.ID, vault.ErrDamaged, err)
	}
	return v, m, f, nil
}

// checkTime refuses at: that is no time, and point: together with at:.
func checkTime(point, at string) error {
	if err := vault.CheckPoint(point, at); err != nil {
		return &action.ArgError{Name: "at", Msg: err.Error(), Fix: `write it like "2026-11-23 14:30", without point:`}
	}
	return nil
}

// checkBranch refuses what is no name of a branch.
func checkBranch(name string) error {
	if !repo.ValidRef("refs/heads/"+name) || strings.HasPrefix(name, "-") {
		return &action.ArgError{Name: "branch", Msg: fmt.Sprintf("%q is no name of a branch", name), Fix: `give it without refs/heads/, as in "main"`}
	}
	return nil
}

// checkCommit refuses what git could take for an option.
func checkCommit(arg, rev string) error {
	if strings.HasPrefix(rev, "-") || strings.ContainsAny(rev, "\x00\n") {
		return &action.ArgError{Name: arg, Msg: fmt.Sprintf("%q is no commit", rev), Fix: "give the id of a commit, or the name of a branch or tag of the clone"}
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

// keptUnder is where refs of this run are kept: a ref name part of any run id.
func keptUnder(env *action.Env) string {
	var b strings.Builder
	for _, r := range strings.ToLower(env.Run) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == "" {
		name = "run"
	}
	return "refs/lifeboat/" + name
}

// short is how an object id is shown and typed.
func short(oid string) string { return oid[:min(7, len(oid))] }
