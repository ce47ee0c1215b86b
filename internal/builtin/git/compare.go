package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const compareDoc = `Compares a branch of the shared repository with a commit, read anew from the remote, and
says in words how they stand to each other: how many commits one lacks and has of its own, by
whom, where they part, which files differ. With contains it is enough that the branch has the
commit in its history. With with: it compares all branches and tags of the shared repository
with those of the newest restore point, of the working clone, or of a mirror; with contains
too, each may have gone on from there. It fails when they differ, unless allow_difference.

` + "```git.compare verify" + `
asset: monorepo
branch: main
commit: main
` + "```" + `

Saves: equal, found, wanted, words, ahead, behind, base, files (their number); with with:
equal, refs, differing.
`

type compareParams struct {
	Asset    string `param:"asset,required" help:"the repository to look at"`
	Branch   string `param:"branch" help:"the branch of the shared repository, without refs/heads/"`
	Commit   string `param:"commit" help:"what it should be: an id, or a name in the working clone"`
	Contains bool   `param:"contains" help:"the branch, or with with: each ref, may have gone on from there"`
	With     string `param:"with" help:"compare all branches and tags with these instead" enum:"vault,clone,mirror"`
	Point    string `param:"point" help:"the restore point for with: vault; the newest when left out"`
	Mirror   string `param:"mirror" help:"the mirror for with: mirror; the first of the asset when left out"`
	Allow    bool   `param:"allow_difference" help:"tell how they differ and do not fail"`
}

func (d Deps) compare() action.Action {
	return action.New(action.Def[compareParams]{
		Name: "git.compare", Summary: "Compare a branch, or all refs, with what they should be", Doc: compareDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p compareParams) error {
			switch {
			case p.With != "" && (p.Branch != "" || p.Commit != ""):
				return &action.ArgError{Name: "with", Msg: "compares all refs, so branch and commit have no meaning", Fix: "leave out branch: and commit:"}
			case p.With == "" && (p.Branch == "" || p.Commit == ""):
				return &action.ArgError{Name: "branch", Msg: "branch and commit say what to compare", Fix: "give both, or with: vault"}
			case p.With != "vault" && p.Point != "":
				return &action.ArgError{Name: "point", Msg: "only the vault has restore points", Fix: "leave it out, or give with: vault"}
			case p.With != "mirror" && p.Mirror != "":
				return &action.ArgError{Name: "mirror", Msg: "it is for with: mirror", Fix: "leave it out, or give with: mirror"}
			case p.With != "":
				return nil
			}
			if err := checkBranch(p.Branch); err != nil {
				return err
			}
			return checkCommit("commit", p.Commit)
		},
		Run: func(ctx context.Context, env *action.Env, p compareParams, _ action.Plan) (action.Result, error) {
			r, err := d.Repo(p.Asset)
			if err != nil {
				return action.Result{}, err
			}
			if err := r.needRemote(); err != nil {
				return action.Result{}, err
			}
			if p.With != "" {
				return d.compareAll(ctx, env, r, p)
			}
			return d.compareBranch(ctx, env, r, p)
		},
	})
}

func (d Deps) compareBranch(ctx context.Context, env *action.Env, r Repo, p compareParams) (action.Result, error) {
	k, found, err := d.lookAt(ctx, env, r, p.Branch)
	if errors.Is(err, errNoBranch) && p.Allow { // to find that out is what was asked
		words := fmt.Sprintf("%s has no branch %s", r.remoteName(), p.Branch)
		return action.Result{Evidence: words, Outputs: map[string]any{
			"equal": false, "found": "", "wanted": p.Commit, "words": words, "base": "", "ahead": int64(0), "behind": int64(0), "files": int64(0),
		}}, nil
	}
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	want, err := k.commit(ctx, r.Dir, "commit", p.Commit)
	if err != nil {
		return action.Result{}, err
	}
	name := r.remoteName() + "/" + p.Branch
	ok, text := found == want, fmt.Sprintf("%s is %s", name, short(want))
	if p.Contains {
		text = fmt.Sprintf("%s contains %s", name, short(want))
		ok = ok || k.descends(ctx, found, want)
	}
	rel, err := k.relate(ctx, found, want)
	if err != nil {
		return action.Result{}, err
	}
	words := rel.words(env.Now(), name, short(want))
	result := action.Result{
		Evidence: fmt.Sprintf("%s, read from %s at %s", words, printable.Line(showRemote(r)), env.Now().Format(time.TimeOnly)),
		Outputs: map[string]any{
			"equal": found == want, "found": found, "wanted": want, "words": words, "base": rel.base.oid,
			"ahead": int64(len(rel.ahead)), "behind": int64(len(rel.behind)), "files": int64(len(rel.files)),
		},
	}
	for _, f := range rel.files[:min(50, len(rel.files))] {
		env.Printf("differs: %s", f)
	}
	if p.Allow {
		return result, nil
	}
	result.Checks = []action.Check{{Text: text, OK: ok, Evidence: "git ls-remote: " + short(found)}}
	if ok {
		return result, nil
	}
	return result, fmt.Errorf("%w: %s is %s and not %s: %s", action.ErrCheck, name, short(found), short(want), words)
}

// compareAll compares branches and tags.
func (d Deps) compareAll(ctx context.Context, env *action.Env, r Repo, p compareParams) (action.Result, error) {
	k, err := d.deskFor(ctx, env, r, r.places()...)
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	live, err := k.remoteRefs(ctx, r, "refs/heads/*", "refs/tags/*")
	if err != nil {
		return uncompared(ctx, r, p, "it cannot be read", err)
	}
	other, what, err := d.counterpart(ctx, env, k, r, p)
	if err != nil {
		return uncompared(ctx, r, p, "there is nothing to compare it with", err)
	}
	live, other = shared(live), shared(other)
	diff := repo.Difference(live, other)
	text := fmt.Sprintf("%s equals %s", r.remoteName(), what)
	verb := "equal"
	if p.Contains {
		if diff, err = k.lacking(ctx, env, r, live, other); err != nil {
			return action.Result{}, err
		}
		text, verb = fmt.Sprintf("%s has everything of %s", r.remoteName(), what), "hold"
	}
	result := action.Result{
		Evidence: fmt.Sprintf("%s of %s %s those of %s", printable.Count(len(live), "branch or tag"), r.remoteName(), verb, what),
		Outputs:  map[string]any{"equal": diff == "", "refs": int64(len(live)), "differing": diff},
	}
	if len(live) != 1 {
		result.Evidence = fmt.Sprintf("%d branches and tags of %s %s those of %s", len(live), r.remoteName(), verb, what)
	}
	if !p.Allow {
		result.Checks = []action.Check{{Text: text, OK: diff == "", Evidence: "all branches and tags"}}
	}
	if diff == "" {
		return result, nil
	}
	result.Evidence = fmt.Sprintf("%s differs from %s: %s", r.remoteName(), what, diff)
	if p.Allow {
		return result, nil
	}
	return result, fmt.Errorf("%w: %s differs from %s: on %s, %s", action.ErrCheck, r.remoteName(), what, r.remoteName(), diff)
}

// uncompared says that one of the two sides cannot be read: where differences are allowed, to
// find that out is what was asked.
func uncompared(ctx context.Context, r Repo, p compareParams, what string, err error) (action.Result, error) {
	if !p.Allow || ctx.Err() != nil {
		return action.Result{}, err
	}
	text := what + ": " + printable.Line(err.Error())
	return action.Result{Evidence: r.remoteName() + ": " + text, Outputs: map[string]any{"equal": false, "refs": int64(0), "differing": text}}, nil
}

// counterpart is what all refs are compared with.
func (d Deps) counterpart(ctx context.Context, env *action.Env, k *desk, r Repo, p compareParams) (refs []repo.Ref, what string, err error) {
	switch p.With {
	case "vault":
		_, m, f, err := d.point(ctx, r, p.Point, "", time.Time{})
		if err != nil {
			return nil, "", err
		}
		refs, err = f.List()
		return refs, fmt.Sprintf("point %s of %s", m.ID, clock(env.Now(), m.Cut)), err
	case "mirror":
		for _, m := range r.Mirrors {
			if p.Mirror != "" && p.Mirror != m.Name {
				continue
			}
			if err := env.Allowed(m.URL); err != nil {
				return nil, "", err
			}
			refs, err = k.refsAt(ctx, m, "refs/heads/*", "refs/tags/*")
			return refs, "the mirror " + m.Name, err
		}
		return nil, "", hint.Wrap(fmt.Errorf("%w: asset %q has no mirror %q", action.ErrRefused, r.Name, p.Mirror), "add it under mirrors: of the asset, or leave out mirror:")
	}
	refs, err = clonesView(ctx, r)
	return refs, "the clone", err
}

// lacking names the refs of other that are not in live, or are not part of what live has
// under that name. A commit that can be seen nowhere here is asked of the remote.
func (k *desk) lacking(ctx context.Context, env *action.Env, r Repo, live, other []repo.Ref) (string, error) {
	at := byName(live)
	var out []string
	for _, ref := range other {
		found := at[ref.Name]
		branch, isBranch := strings.CutPrefix(ref.Name, "refs/heads/")
		switch {
		case found == ref.OID:
			continue
		case found == "":
			out = append(out, printable.Line(ref.Name)+" is missing")
			continue
		case isBranch:
			if err := k.see(ctx, r, branch, found); err != nil {
				return "", err
			}
			if k.descends(ctx, found, ref.OID) {
				continue
			}
		}
		out = append(out, fmt.Sprintf("%s is %s and lacks %s", printable.Line(ref.Name), short(found), short(ref.OID)))
	}
	for _, line := range out {
		env.Printf("%s", line)
	}
	if len(out) == 0 {
		return "", nil
	}
	return few(out, nil), nil
}

// shared keeps branches and tags, without what tags peel to: their ids say it all.
func shared(refs []repo.Ref) []repo.Ref {
	var out []repo.Ref
	for _, ref := range refs {
		if strings.HasPrefix(ref.Name, "refs/heads/") || strings.HasPrefix(ref.Name, "refs/tags/") {
			out = append(out, repo.Ref{Name: ref.Name, OID: ref.OID})
		}
	}
	return out
}

// clonesView is what the clone believes of the shared repository.
func clonesView(ctx context.Context, r Repo) ([]repo.Ref, error) {
	if err := r.needDir(); err != nil {
		return nil, err
	}
	prefix := "refs/remotes/" + r.remoteName() + "/"
	heads, err := refsOf(ctx, r.Dir, prefix)
	if err != nil {
		return nil, err
	}
	tags, err := refsOf(ctx, r.Dir, "refs/tags/")
	if err != nil {
		return nil, err
	}
	heads = slices.DeleteFunc(heads, func(ref repo.Ref) bool { return ref.Name == prefix+"HEAD" })
	for i := range heads {
		heads[i].Name = "refs/heads/" + strings.TrimPrefix(heads[i].Name, prefix)
	}
	return append(heads, tags...), nil
}
