package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const checkDoc = `Reads every object of a repository, compares it with its hash, and follows every link
from every ref: git fsck --full. It fails when anything is broken or missing and names the
objects and the files that hold them or are made of them. With allow_problems it does not
fail, so that a runbook can go by what it found (problems, objects, files).

` + "```git.check save=health" + `
asset: monorepo
which: clone
allow_problems: true
` + "```" + `
`

type checkParams struct {
	Asset string `param:"asset" help:"the repository to check"`
	Dir   string `param:"dir" help:"a directory to check instead: a work tree or a bare repository"`
	Which string `param:"which" help:"the working clone, or what is shared when it is on this machine" enum:"clone,origin" default:"clone"`
	Allow bool   `param:"allow_problems" help:"tell what is broken and do not fail"`
}

func (d Deps) check() action.Action {
	return action.New(action.Def[checkParams]{
		Name: "git.check", Summary: "Check every object of a repository", Doc: checkDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p checkParams) error {
			if (p.Asset == "") == (p.Dir == "") {
				return &action.ArgError{Name: "asset", Msg: "exactly one of asset and dir says what to check", Fix: "give asset: or dir:"}
			}
			return nil
		},
		Plan: func(ctx context.Context, env *action.Env, p checkParams) (action.Plan, error) {
			dir, err := d.checked(env, p)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{
				Summary: "checks every object of " + printable.Line(dir), Target: dir,
				Command: []string{"git -C " + shellWord(dir) + " fsck --full --no-dangling"}, Stop: "Yes: it only reads.",
			}, nil
		},
		Run: d.runCheck,
	})
}

// checked is the directory to check.
func (d Deps) checked(env *action.Env, p checkParams) (string, error) {
	if p.Dir != "" {
		return absolute(env, p.Dir), nil
	}
	r, err := d.Repo(p.Asset)
	if err != nil {
		return "", err
	}
	if p.Which == "origin" {
		dir, ok := r.localRemote()
		if !ok {
			return "", hint.Wrap(fmt.Errorf("%w: %s of %q is not on this machine", action.ErrRefused, r.remoteName(), r.Name),
				"back it up with git.backup and check the backup with vault.verify: both read every object")
		}
		return dir, nil
	}
	return r.Dir, r.needDir()
}

func (d Deps) runCheck(ctx context.Context, env *action.Env, p checkParams, _ action.Plan) (action.Result, error) {
	dir, err := d.checked(env, p)
	if err != nil {
		return action.Result{}, err
	}
	report, err := repo.Fsck(ctx, dir, env.Log)
	if _, gone := os.Stat(dir); errors.Is(gone, os.ErrNotExist) {
		err = hint.Wrap(fmt.Errorf("%q does not exist: %w", dir, repo.ErrNotRepository), "git.restore makes a clone anew; a shared repository comes back with the runbook repository-loss")
	}
	if errors.Is(err, repo.ErrNotRepository) {
		if !p.Allow {
			return action.Result{}, fmt.Errorf("%w: %w", action.ErrCheck, err)
		}
		return action.Result{
			Evidence: "there is no repository at " + printable.Line(dir),
			Outputs:  map[string]any{"problems": int64(1), "objects": []string{}, "files": []string{}, "warnings": int64(0)},
		}, nil
	}
	if err != nil {
		return action.Result{}, err
	}
	objects, files := report.Objects(), report.Paths()
	files = append(files, namesOf(ctx, dir, objects)...)
	for i := range files {
		files[i] = printable.Line(files[i])
	}
	result := action.Result{
		Evidence: "git fsck --full found nothing",
		Outputs: map[string]any{
			"problems": int64(report.Count), "warnings": int64(report.Warnings), "objects": nonNil(objects), "files": nonNil(files),
		},
		Checks: []action.Check{{Text: "every object is whole and linked", OK: report.Count == 0, Evidence: "git fsck --full"}},
	}
	if report.Count == 0 {
		return result, nil
	}
	result.Evidence = fmt.Sprintf("%s; broken or missing: %s; in %s", printable.Count(report.Count, "problem"), few(objects, short), few(files, nil))
	if p.Allow {
		result.Checks = nil // a diagnosis: what it found is the result, not a failure
		return result, nil
	}
	return result, hint.Wrap(fmt.Errorf("%w: %s", action.ErrCheck, result.Evidence),
		"keep the repository as it is; git.restore rebuilds it beside and swaps it in")
}

// namesOf finds the files of the current commit that are made of these objects. It is
// a courtesy: in a broken repository it finds what it can.
func namesOf(ctx context.Context, dir string, oids []string) []string {
	if len(oids) == 0 {
		return nil
	}
	// An error says that a tree is broken too; the files before it are still told.
	out, _ := command.Output(ctx, command.Git(dir, "ls-tree", "-r", "-t", "-z", "HEAD"))
	var names []string
	for entry := range bytes.SplitSeq(out, []byte{0}) {
		meta, name, ok := strings.Cut(string(entry), "\t")
		if f := strings.Fields(meta); ok && len(f) == 3 && slices.Contains(oids, f[2]) {
			names = append(names, name)
		}
	}
	return names
}

// few names the first of a list.
func few(list []string, show func(string) string) string {
	const shown = 4
	if len(list) == 0 {
		return "not said"
	}
	var out []string
	for _, s := range list[:min(shown, len(list))] {
		if show != nil {
			s = show(s)
		}
		out = append(out, s)
	}
	if n := len(list) - shown; n > 0 {
		out = append(out, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(out, ", ")
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
