package git

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/printable"
)

const compareDoc = `Compares a branch of the shared repository with a commit, read anew from the remote. With
contains it is enough that the branch has the commit in its history. With with: it
compares all branches and tags of the shared repository with those of the newest restore
point or of the working clone. It fails when they differ and says how.

` + "```git.compare verify" + `
asset: monorepo
branch: main
commit: main
` + "```" + `
`

type compareParams struct {
	Asset    string `param:"asset,required" help:"the repository to look at"`
	Branch   string `param:"branch" help:"the branch of the shared repository, without refs/heads/"`
	Commit   string `param:"commit" help:"what it should be: an id, or a name in the working clone"`
	Contains bool   `param:"contains" help:"the branch may have gone on from there"`
	With     string `param:"with" help:"compare all branches and tags with these instead" enum:"vault,clone"`
	Point    string `param:"point" help:"the restore point for with: vault; the newest when left out"`
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
	result := action.Result{
		Evidence: fmt.Sprintf("%s is %s, read from %s at %s", name, short(found), printable.Line(showRemote(r)), env.Now().Format(time.TimeOnly)),
		Outputs:  map[string]any{"equal": found == want, "found": found, "wanted": want},
		Checks:   []action.Check{{Text: text, OK: ok, Evidence: "git ls-remote: " + short(found)}},
	}
	if ok {
		return result, nil
	}
	ahead, err := k.between(ctx, want, found)
	if err != nil {
		return result, err
	}
	behind, err := k.between(ctx, found, want)
	if err != nil {
		return result, err
	}
	return result, fmt.Errorf("%w: %s is %s and not %s: it lacks %s, and has %s too many", action.ErrCheck, name, short(found), short(want), summary(behind), summary(ahead))
}

// compareAll compares branches and tags.
func (d Deps) compareAll(ctx context.Context, env *action.Env, r Repo, p compareParams) (action.Result, error) {
	k, err := d.deskFor(ctx, env, r)
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	live, err := k.remoteRefs(ctx, r, "refs/heads/*", "refs/tags/*")
	if err != nil {
		return action.Result{}, err
	}
	var other []repo.Ref
	what := "the clone"
	if p.With == "vault" {
		_, m, f, err := d.point(ctx, r, p.Point, "", time.Time{})
		if err != nil {
			return action.Result{}, err
		}
		what = fmt.Sprintf("point %s of %s", m.ID, clock(env.Now(), m.Cut))
		if other, err = f.List(); err != nil {
			return action.Result{}, err
		}
	} else if other, err = clonesView(ctx, r); err != nil {
		return action.Result{}, err
	}
	live, other = shared(live), shared(other)
	diff := repo.Difference(live, other)
	result := action.Result{
		Evidence: fmt.Sprintf("%s of %s equal those of %s", printable.Count(len(live), "branch or tag"), r.remoteName(), what),
		Outputs:  map[string]any{"equal": diff == "", "refs": int64(len(live))},
		Checks:   []action.Check{{Text: fmt.Sprintf("%s equals %s", r.remoteName(), what), OK: diff == "", Evidence: "all branches and tags"}},
	}
	if len(live) != 1 {
		result.Evidence = fmt.Sprintf("%d branches and tags of %s equal those of %s", len(live), r.remoteName(), what)
	}
	if diff == "" {
		return result, nil
	}
	result.Evidence = fmt.Sprintf("%s differs from %s", r.remoteName(), what)
	return result, fmt.Errorf("%w: %s differs from %s: on %s, %s", action.ErrCheck, r.remoteName(), what, r.remoteName(), diff)
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
