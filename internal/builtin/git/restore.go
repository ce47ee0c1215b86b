package git

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
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const restoreDoc = `Rebuilds a repository from a restore point of the vault, or from what is shared.

With to: it makes a new working clone (bare: true for a bare copy of every ref) in a
directory that does not exist yet. With replace: clone it rebuilds the working clone of
the asset beside the old one: every file of the old work tree is copied, local branches,
tags and the stash are taken over as far as they can still be read, the result is checked
in full, and only then the two directories change places. The old one stays as
<dir>.before-<run>. Repositories of submodules, linked work trees and large files of LFS come
along. Hooks, reflogs, what was staged, and settings other than remotes, what branches follow
and who the person is stay in the old one.

` + "```git.restore" + `
asset: monorepo
from: origin
to: ./restored
` + "```" + `
`

type restoreParams struct {
	Asset   string `param:"asset,required" help:"the repository to rebuild"`
	To      string `param:"to" help:"a new directory to rebuild it in"`
	Replace string `param:"replace" help:"what to replace by the rebuilt one" enum:"clone"`
	From    string `param:"from" help:"a restore point of the vault, or the shared repository" enum:"vault,origin" default:"vault"`
	Point   string `param:"point" help:"the restore point; the newest when left out"`
	At      string `param:"at" help:"instead of point: the newest point that holds nothing later than this time"`
	Bare    bool   `param:"bare" help:"with to: make a bare copy of every ref instead of a working clone"`
}

func (d Deps) restore() action.Action {
	return action.New(action.Def[restoreParams]{
		Name: "git.restore", Summary: "Rebuild a repository, beside or in place of the old one", Doc: restoreDoc,
		Effect: action.Destroy, Repeat: action.Once,
		Check: func(p restoreParams) error {
			switch {
			case (p.To == "") == (p.Replace == ""):
				return &action.ArgError{Name: "to", Msg: "exactly one of to and replace says where", Fix: "give to: with a new directory, or replace: clone"}
			case p.Bare && p.Replace != "":
				return &action.ArgError{Name: "bare", Msg: "a working clone is not replaced by a bare one", Fix: "leave out bare:"}
			case p.From == "origin" && (p.Point != "" || p.At != ""):
				return &action.ArgError{Name: "from", Msg: "the shared repository has no restore points", Fix: "leave out point: and at:, or from:"}
			}
			return checkTime(p.Point, p.At)
		},
		Plan: d.planRestore, Run: d.runRestore, Probe: d.probeRestore,
		Inverse: &action.Inverse[restoreParams]{Plan: d.planUnrestore, Run: d.runUnrestore},
	})
}

// site is where a restore happens.
type site struct {
	dir    string // what is there when it is done
	build  string // where it is built: beside, so that a rename is enough; new for each plan
	run    string // part of the names
	before string // where the old one goes, empty with to:
}

func (d Deps) site(env *action.Env, p restoreParams) (Repo, site, error) {
	r, err := d.Repo(p.Asset)
	if err != nil {
		return r, site{}, err
	}
	s := site{dir: absolute(env, p.To), run: strings.TrimPrefix(keptUnder(env), "refs/lifeboat/")}
	if p.Replace != "" {
		if err := r.needDir(); err != nil {
			return r, s, err
		}
		if s.dir, err = filepath.EvalSymlinks(r.Dir); err != nil {
			s.dir = filepath.Clean(r.Dir) // it is gone; its place is still known
		}
		s.before = s.dir + ".before-" + s.run
	}
	s.build = filepath.Join(filepath.Dir(s.dir), "."+filepath.Base(s.dir)+".lifeboat-"+s.run)
	for _, t := range []string{s.dir, s.build} {
		if err := env.Allowed(t); err != nil {
			return r, s, err
		}
	}
	if p.From == "origin" {
		return r, s, r.needRemote()
	}
	return r, s, nil
}

// fresh chooses a name for the build that nothing has: what a stopped attempt left there
// may be half a repository, but if it stopped during the swap it is the old clone.
func (s *site) fresh() {
	name := s.build
	for n := 2; ; n++ {
		if _, err := os.Lstat(s.build); err != nil {
			return
		}
		s.build = fmt.Sprintf("%s-%d", name, n)
	}
}

// planned takes the name of the build from the plan.
func (s *site) planned(plan action.Plan) error {
	if s.dir != plan.Facts["dir"] || s.before != plan.Facts["before"] || !strings.HasPrefix(plan.Facts["build"], s.build) {
		return fmt.Errorf("%w: it was made for %q", action.ErrChanged, plan.Facts["dir"])
	}
	s.build = plan.Facts["build"]
	return nil
}

// headOf describes HEAD of a repository, also of a broken one, from its file: the ref
// or id, and a short word for the token.
func headOf(ctx context.Context, dir string) (state, token string) {
	git := filepath.Join(dir, ".git")
	if _, err := os.Stat(git); err != nil {
		git = dir
	}
	if state = readSmall(filepath.Join(git, "HEAD")); state == "" {
		return "unreadable", "unreadable"
	}
	if oid, err := refIn(ctx, dir, "HEAD"); err == nil && oid != "" {
		return state + " " + oid, short(oid)
	}
	return state, "broken"
}

func (d Deps) planRestore(ctx context.Context, env *action.Env, p restoreParams) (action.Plan, error) {
	r, s, err := d.site(env, p)
	if err != nil {
		return action.Plan{}, err
	}
	s.fresh()
	plan := action.Plan{
		Target: s.dir, Facts: map[string]string{"dir": s.dir, "build": s.build, "before": s.before},
		Stop: "Yes, while it is built beside: the old one is not touched before the swap.",
	}
	source := "what is shared, " + showURL(r.Remote)
	if p.From != "origin" {
		_, m, f, err := d.point(ctx, r, p.Point, p.At, env.Now())
		if err != nil {
			return action.Plan{}, err
		}
		plan.Facts["point"] = m.ID
		refs, err := f.List()
		if err != nil {
			return action.Plan{}, fmt.Errorf("point %s: %w", m.ID, err)
		}
		source = fmt.Sprintf("point %s of %s, %s", m.ID, clock(env.Now(), m.Cut), printable.Count(len(refs), "ref"))
	}
	plan.Lines = append(plan.Lines, action.Line{Label: "from", Text: source})
	if p.To != "" {
		if err := vacant(s.dir); err != nil {
			return action.Plan{}, err
		}
		plan.Effect, plan.Summary = action.Write, "rebuilds "+r.Name+" in "+s.dir
		plan.Back = "move " + s.dir + " aside"
		plan.Lines = append(plan.Lines, action.Line{Label: "makes", Text: s.dir})
		plan.Command = []string{"git fetch --prune BUNDLE '+refs/*:refs/*' (each bundle of the point, in order)", "git fsck --full", "mv SCRATCH " + shellWord(s.dir)}
		return plan, nil
	}
	if err := errors.Join(vacant(s.before), replaceable(s.dir)); err != nil {
		return action.Plan{}, err
	}
	head, token := headOf(ctx, s.dir)
	plan.Facts["head"] = head
	plan.Token = "clone@" + token
	plan.Summary = fmt.Sprintf("replaces the clone %s by one rebuilt from %s", s.dir, source)
	plan.Back = "swap the old clone back from " + s.before
	plan.Lines = append(plan.Lines,
		action.Line{Label: "replaces", Text: fmt.Sprintf("%s, HEAD %s", s.dir, head)},
		action.Line{Label: "takes over", Text: "every file of the work tree, local branches, tags, stash, submodules and linked work trees as far as they can be read"},
		action.Line{Label: "left behind", Text: "hooks, reflogs, other settings and what was staged"},
		action.Line{Label: "kept", Text: "the old clone as " + s.before})
	plan.Command = []string{
		"mv " + shellWord(s.dir) + " " + shellWord(s.before),
		"mv " + shellWord(s.build) + " " + shellWord(s.dir),
	}
	return plan, nil
}

// replaceable refuses what is no working clone of its own: the rebuilt one would be.
func replaceable(dir string) error {
	info, err := os.Lstat(filepath.Join(dir, ".git"))
	if err == nil && info.Mode().IsRegular() {
		return hint.Wrap(fmt.Errorf("%w: %q is a linked work tree or a submodule: its repository is elsewhere", action.ErrRefused, dir),
			"rebuild the repository that it belongs to: git rev-parse --git-common-dir names it")
	}
	if _, err := os.Lstat(filepath.Join(dir, "objects")); err == nil {
		if _, err := os.Lstat(filepath.Join(dir, "HEAD")); err == nil {
			return hint.Wrap(fmt.Errorf("%w: %q is a bare repository, not a working clone", action.ErrRefused, dir),
				"rebuild it beside with to: and bare: true, and change their places by hand")
		}
	}
	return nil
}

// vacant refuses a path that is taken.
func vacant(path string) error {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = fs.ErrExist
	}
	return hint.Wrap(fmt.Errorf("%w: %q: %w", action.ErrRefused, path, err), "name another directory, or move this one away; nothing is overwritten")
}

func (d Deps) runRestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Result, error) {
	r, s, err := d.site(env, p)
	if err != nil {
		return action.Result{}, err
	}
	if err := s.planned(plan); err != nil {
		return action.Result{}, err
	}
	if p.To != "" {
		if err := vacant(s.dir); err != nil {
			return action.Result{}, fmt.Errorf("%w: %w", action.ErrChanged, err)
		}
	} else if err := s.unchanged(ctx, plan); err != nil {
		return action.Result{}, err
	}
	if err := vacant(s.build); err != nil {
		return action.Result{}, fmt.Errorf("%w: %w", action.ErrChanged, err)
	}
	done := false
	defer func() {
		if !done {
			_ = os.RemoveAll(s.build) // the error that brought us here is the one to tell
		}
	}()
	evidence, notes, err := d.build(ctx, env, r, s, p, plan.Facts["point"])
	if err != nil {
		return action.Result{}, err
	}
	result := action.Result{
		Evidence: evidence, Back: plan.Back, Outputs: map[string]any{"dir": s.dir, "before": s.before, "point": plan.Facts["point"], "notes": nonNil(notes)},
		Checks: []action.Check{{Text: "every object is whole and linked", OK: true, Evidence: "git fsck --full"}},
	}
	for _, n := range notes {
		env.Printf("%s", n)
	}
	if len(notes) > 0 {
		result.Evidence += fmt.Sprintf("; %s not taken over: %s", printable.Count(len(notes), "thing"), few(notes, nil))
	}
	if p.To != "" {
		if err := durable.Rename(s.build, s.dir); err != nil {
			return action.Result{}, fmt.Errorf("put the rebuilt repository in place: %w", err)
		}
		done = true
		return result, nil
	}
	if err := s.unchanged(ctx, plan); err != nil {
		return action.Result{}, err
	}
	done = true // from here on the build directory may hold the old clone
	return result, s.swap()
}

// unchanged compares the clone with the plan.
func (s site) unchanged(ctx context.Context, plan action.Plan) error {
	if head, _ := headOf(ctx, s.dir); head != plan.Facts["head"] {
		return fmt.Errorf("%w: HEAD of %q is %q now", action.ErrChanged, s.dir, head)
	}
	if err := vacant(s.before); err != nil {
		return fmt.Errorf("%w: %w", action.ErrChanged, err)
	}
	return nil
}

// build makes the repository in s.build and checks it in full.
func (d Deps) build(ctx context.Context, env *action.Env, r Repo, s site, p restoreParams, point string) (evidence string, notes []string, err error) {
	from := r.Remote
	what := "what is shared"
	if p.From != "origin" {
		replica := s.build
		if !p.Bare {
			tmp, err := os.MkdirTemp(env.Scratch, "lifeboat-restore-")
			if err != nil {
				return "", nil, fmt.Errorf("make a private directory: %w", err)
			}
			defer os.RemoveAll(tmp)
			replica = filepath.Join(tmp, "point.git")
		}
		v, m, _, err := d.point(ctx, r, point, "", time.Time{})
		if err != nil {
			return "", nil, err
		}
		if _, err := v.Restore(ctx, m, repo.Kind{}, replica, vault.RestoreOptions{Progress: env.Progress, Log: env.Log}); err != nil {
			return "", nil, err
		}
		from, what = replica, "point "+m.ID
	}
	if p.Bare {
		if p.From == "origin" {
			if err := mirror(ctx, from, s.build); err != nil {
				return "", nil, err
			}
		}
	} else if notes, err = rebuild(ctx, env, r, s, from); err != nil {
		return "", nil, err
	}
	report, err := repo.Fsck(ctx, s.build, env.Log)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return "", nil, fmt.Errorf("check the rebuilt repository: %w", err)
	}
	_, head := headOf(ctx, s.build)
	return fmt.Sprintf("rebuilt from %s, HEAD %s, git fsck --full found nothing", what, head), notes, nil
}

func (d Deps) probeRestore(_ context.Context, env *action.Env, p restoreParams, plan action.Plan) (action.Probe, error) {
	_, s, err := d.site(env, p)
	if err != nil {
		return action.Probe{}, err
	}
	if err := s.planned(plan); err != nil {
		return action.Probe{}, err
	}
	there := func(path string) bool { _, err := os.Lstat(path); return err == nil }
	out := action.Probe{Command: []string{"ls -d " + shellWord(s.dir) + " " + shellWord(s.dir) + ".*"}, Before: "absent", Wanted: s.dir, Found: "absent",
		Outputs: map[string]any{"dir": s.dir, "before": s.before, "point": plan.Facts["point"]}}
	if s.before != "" {
		out.Before, out.Wanted = "only "+s.dir, s.before+" beside it"
	}
	switch {
	case s.before == "" && there(s.dir):
		out.Finding, out.Found, out.Means = action.Applied, s.dir, "the rebuilt repository is in its place; it gets its name only when it is complete"
	case s.before == "":
		out.Finding, out.Means = action.NotApplied, "the directory does not exist: the restore had not finished"
	case there(s.before) && there(s.dir):
		out.Finding, out.Found, out.Means = action.Applied, s.before, "the old clone stands beside the rebuilt one: they have changed places"
	case !there(s.before) && there(s.dir) && !there(s.build):
		out.Finding, out.Found, out.Means = action.NotApplied, "only "+s.dir, "the old clone is where it was"
	default:
		out.Finding, out.Found = action.Unknown, "parts of both"
		out.Means = fmt.Sprintf("look yourself: %s is the clone, %s the one being built or the old one, %s the old one", s.dir, s.build, s.before)
	}
	return out, nil
}

func (d Deps) planUnrestore(ctx context.Context, env *action.Env, p restoreParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	_, s, err := d.site(env, p)
	if err != nil {
		return action.Plan{}, err
	}
	aside := s.dir + ".undone-" + s.run
	if err := errors.Join(env.Allowed(s.dir), vacant(aside)); err != nil {
		return action.Plan{}, err
	}
	head, _ := headOf(ctx, s.dir)
	undo := action.Plan{Effect: action.Write, Target: s.dir, Facts: map[string]string{"dir": s.dir, "aside": aside, "before": s.before, "head": head},
		Summary: "moves the rebuilt repository aside", Stop: "Yes: a directory moves whole or not at all.",
		Lines:   []action.Line{{Label: "moves", Text: s.dir + " -> " + aside}},
		Command: []string{"mv " + shellWord(s.dir) + " " + shellWord(aside)}}
	if s.before != "" {
		if _, err := os.Lstat(s.before); err != nil {
			return action.Plan{}, fmt.Errorf("%w: the old clone %q is gone: %w", action.ErrRefused, s.before, err)
		}
		undo.Summary = "swaps the old clone back in"
		undo.Lines = append(undo.Lines, action.Line{Label: "moves", Text: s.before + " -> " + s.dir})
		undo.Command = append(undo.Command, "mv "+shellWord(s.before)+" "+shellWord(s.dir))
	}
	undo.Back = "nothing is deleted: " + aside + " holds the rebuilt one"
	return undo, nil
}

func (d Deps) runUnrestore(ctx context.Context, env *action.Env, p restoreParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
	_, s, err := d.site(env, p)
	if err != nil {
		return action.Result{}, err
	}
	aside := undo.Facts["aside"]
	if err := errors.Join(env.Allowed(aside), vacant(aside)); err != nil {
		return action.Result{}, fmt.Errorf("%w: %w", action.ErrChanged, err)
	}
	if head, _ := headOf(ctx, s.dir); head != undo.Facts["head"] {
		return action.Result{}, fmt.Errorf("%w: HEAD of %q is %q now", action.ErrChanged, s.dir, head)
	}
	if s.before == "" {
		return action.Result{Evidence: "moved aside as " + aside}, durable.Rename(s.dir, aside)
	}
	back := site{dir: s.dir, build: s.before, before: aside}
	return action.Result{Evidence: "the old clone is back, the rebuilt one is " + aside}, back.swap()
}
