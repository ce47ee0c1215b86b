// Package files holds the actions on plain files: check, backup and restore.
//
// Files are restored into a new directory, or one by one in their place. In the second
// case everything that is replaced is kept beside them first, under a name that backups
// leave out, with a record of what was there: that is the undo, also of a restore that
// ended in the middle.
package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

const checkDoc = `Looks whether the files are there without which a restored asset is of no use: lock file,
environment files, infrastructure. The list comes from files, or from critical_files of
the asset. Paths are relative to dir, or to the asset's own place; a link that leads
outside of it counts as missing.

` + "```files.check" + `
dir: ./monorepo
files: [package.json, apps/booking/package.json]
nonempty: true
newer_than: 720h
` + "```" + `
`

// Asset is what the action needs to know of an asset.
type Asset struct {
	Name     string
	Path     string   // directory, or a file whose directory is meant
	Critical []string // relative to it
}

// Deps are what the actions need of the rest.
type Deps struct {
	// Asset finds an asset by its name; the error advises.
	Asset func(name string) (Asset, error) // required
	// Source finds an asset of kind files; the error advises.
	Source func(name string) (Source, error) // required
	// Vault gives the open vault; it is not closed here.
	Vault func(ctx context.Context) (Vault, error) // required
}

type checkParams struct {
	Asset     string        `param:"asset" help:"the asset whose critical files are looked for"`
	Dir       string        `param:"dir" help:"the directory to look in, instead of the asset's own"`
	Files     []string      `param:"files" help:"paths to look for, instead of the asset's critical files"`
	NonEmpty  bool          `param:"nonempty" help:"an empty file counts as missing"`
	NewerThan time.Duration `param:"newer_than" help:"an older file counts as missing: 24h"`
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{d.backup(), d.check(), d.restore()}
}

func (d Deps) check() action.Action {
	return action.New(action.Def[checkParams]{
		Name: "files.check", Summary: "Look whether critical files are there", Doc: checkDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p checkParams) error {
			if p.Asset == "" && len(p.Files) == 0 {
				return &action.ArgError{Name: "files", Msg: "there is nothing to look for", Fix: "give files: [...], or asset:"}
			}
			if p.Asset == "" && p.Dir == "" {
				return &action.ArgError{Name: "dir", Msg: "there is nowhere to look", Fix: "give dir:, or asset:"}
			}
			for _, f := range p.Files {
				if !filepath.IsLocal(f) {
					return &action.ArgError{Name: "files", Msg: fmt.Sprintf("%q lies outside the directory", f), Fix: "write paths relative to dir, without \"..\""}
				}
			}
			return nil
		},
		Plan: func(_ context.Context, env *action.Env, p checkParams) (action.Plan, error) {
			dir, files, err := d.place(env, p)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{
				Summary: fmt.Sprintf("looks in %s for %s", dir, strings.Join(files, ", ")),
				Target:  dir, Stop: "Yes: it only reads.",
			}, nil
		},
		Run: func(ctx context.Context, env *action.Env, p checkParams, _ action.Plan) (action.Result, error) {
			dir, files, err := d.place(env, p)
			if err != nil {
				return action.Result{}, err
			}
			return check(ctx, env, p, dir, files)
		},
	})
}

// place finds out where to look and for what.
func (d Deps) place(env *action.Env, p checkParams) (dir string, files []string, err error) {
	dir, files = p.Dir, p.Files
	if p.Asset != "" {
		a, err := d.Asset(p.Asset)
		if err != nil {
			return "", nil, err
		}
		if len(files) == 0 {
			files = a.Critical
		}
		if len(files) == 0 {
			return "", nil, hint.Wrap(fmt.Errorf("%w: asset %q lists no critical files", action.ErrRefused, p.Asset),
				"give files: in the block, or critical_files: of the asset")
		}
		if dir == "" {
			dir = a.Path
			if info, err := os.Stat(dir); err == nil && !info.IsDir() {
				dir = filepath.Dir(dir)
			}
		}
	}
	if dir == "" {
		return "", nil, hint.Wrap(fmt.Errorf("%w: asset %q has no directory here", action.ErrRefused, p.Asset), "give dir:")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(env.Dir, dir)
	}
	return dir, files, nil
}

func check(ctx context.Context, env *action.Env, p checkParams, dir string, files []string) (action.Result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: look in %q: %w", action.ErrCheck, dir, err),
			"if the directory was lost, restore its asset first")
	}
	defer root.Close()
	res := action.Result{Outputs: map[string]any{"files": int64(len(files))}}
	var missing []string
	for i, name := range files {
		if err := ctx.Err(); err != nil {
			return action.Result{}, err
		}
		evidence, err := look(env, p, root, name)
		c := action.Check{Text: name, OK: err == nil, Evidence: evidence}
		if err != nil {
			c.Evidence = err.Error()
			missing = append(missing, fmt.Sprintf("%s: %v", name, err))
		}
		env.Printf("%s: %s", name, c.Evidence)
		env.Report(int64(i+1), int64(len(files)), "files")
		res.Checks = append(res.Checks, c)
	}
	if len(missing) > 0 {
		return res, fmt.Errorf("%w: %d of %d files in %q: %s", action.ErrCheck, len(missing), len(files), dir, strings.Join(missing, "; "))
	}
	if res.Evidence = fmt.Sprintf("all %d files are there in %s", len(files), dir); len(files) == 1 {
		res.Evidence = fmt.Sprintf("%s is there in %s", files[0], dir)
	}
	return res, nil
}

// look says what is known of a file, or why it does not count.
func look(env *action.Env, p checkParams, root *os.Root, name string) (string, error) {
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("missing")
	case err != nil:
		return "", err
	case info.IsDir():
		return "", errors.New("is a directory")
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("is no regular file (%s)", info.Mode().Type())
	case p.NonEmpty && info.Size() == 0:
		return "", errors.New("is empty")
	}
	if p.NewerThan > 0 {
		if age := env.Now().Sub(info.ModTime()); age > p.NewerThan {
			return "", fmt.Errorf("is older than %s: %s", p.NewerThan, info.ModTime().UTC().Format(time.RFC3339))
		}
	}
	f, err := root.Open(name)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	return fmt.Sprintf("%d bytes", info.Size()), nil
}
