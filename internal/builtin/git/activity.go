package git

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const activityDoc = `Looks who committed to a branch of the shared repository lately: before a change to find
out whom it will hit, and after a freeze to see that it holds. Times are those of the
commits, which the committer's clock wrote.

` + "```git.activity save=seen" + `
asset: monorepo
branch: main
since: 24h
` + "```" + `
`

type activityParams struct {
	Asset  string        `param:"asset,required" help:"the repository to look at"`
	Branch string        `param:"branch,required" help:"the branch of the shared repository, without refs/heads/"`
	Since  time.Duration `param:"since" help:"how far back" default:"24h"`
}

func (d Deps) activity() action.Action {
	return action.New(action.Def[activityParams]{
		Name: "git.activity", Summary: "Look who committed to a branch lately", Doc: activityDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p activityParams) error { return checkBranch(p.Branch) },
		Run:   d.runActivity,
	})
}

func (d Deps) runActivity(ctx context.Context, env *action.Env, p activityParams, _ action.Plan) (action.Result, error) {
	r, err := d.Repo(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	if r.Remote == "" { // a repository that is shared with nobody is still worked in
		r.Remote, r.RemoteName = r.Dir, "local"
	}
	k, oid, err := d.lookAt(ctx, env, r, p.Branch)
	if err != nil {
		return action.Result{}, err
	}
	defer k.close()
	from := env.Now().Add(-p.Since)
	list, err := k.between(ctx, "", oid, fmt.Sprintf("--since=@%d", from.Unix()))
	if err != nil {
		return action.Result{}, err
	}
	result := action.Result{Outputs: map[string]any{
		"count": int64(len(list)), "authors": nonNil(authors(list)), "last_time": "", "last_author": "", "tip": oid,
	}}
	if len(list) == 0 {
		result.Evidence = fmt.Sprintf("no commits on %s/%s in the last %s, its tip is %s", r.remoteName(), p.Branch, printable.Span(p.Since), short(oid))
		return result, nil
	}
	last := newest(list)
	result.Outputs["last_time"] = last.when.UTC().Format(time.RFC3339)
	result.Outputs["last_author"] = printable.Line(last.author)
	result.Evidence = fmt.Sprintf("%s on %s/%s in the last %s (%s), newest %s from %s by %s", printable.Count(len(list), "commit"), r.remoteName(), p.Branch,
		printable.Span(p.Since), few(authors(list), nil), short(last.oid), clock(env.Now(), last.when), printable.Line(last.author))
	for _, c := range list[:min(20, len(list))] {
		env.Printf("%s %s %s: %s", short(c.oid), c.when.UTC().Format(time.RFC3339), printable.Line(c.author), printable.Line(c.subject))
	}
	return result, nil
}

var errNoBranch = errors.New("there is no branch")

// lookAt reads a branch of the shared repository and makes a desk that sees it.
func (d Deps) lookAt(ctx context.Context, env *action.Env, r Repo, branch string) (_ *desk, oid string, err error) {
	k, err := d.deskFor(ctx, env, r)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if oid, err = k.tip(ctx, r, branch); err != nil {
		return nil, "", err
	}
	if oid == "" {
		return nil, "", hint.Wrap(hint.Blame(fmt.Errorf("%w: %s of %q: %w %q", action.ErrRefused, r.remoteName(), r.Name, errNoBranch, branch), "branch"),
			"name the branch that people work on, as in --param branch=master")
	}
	return k, oid, k.see(ctx, r, branch, oid)
}

// deskFor makes a desk, also when the clone is gone: what is shared can still be read.
func (d Deps) deskFor(ctx context.Context, env *action.Env, r Repo, others ...Place) (*desk, error) {
	k, err := openDesk(ctx, env, r, others...)
	if err == nil || ctx.Err() != nil || r.Dir == "" {
		return k, err
	}
	if r.Remote == r.Dir { // there is nothing else to go on with
		return nil, err
	}
	env.Printf("the clone cannot be read, going on without it: %s", strings.TrimSpace(err.Error()))
	r.Dir = ""
	k, again := openDesk(ctx, env, r, others...)
	if again != nil {
		return nil, errors.Join(err, again)
	}
	return k, nil
}
