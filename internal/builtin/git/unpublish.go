package git

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// planUnpublish empties what was empty. Only a repository on this machine can be: a server
// does not delete its default branch, and what a person deletes at a forge they see.
func (d Deps) planUnpublish(ctx context.Context, env *action.Env, p gatherParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	r, err := d.Repo(p.Asset)
	if err == nil {
		err = errors.Join(r.needRemote(), env.Allowed(r.Remote))
	}
	if err != nil {
		return action.Plan{}, err
	}
	dir, local := r.localRemote()
	switch {
	case plan.Facts["empty"] == "":
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: the target was not empty before, and nothing in it was lost", action.ErrRefused), "go back ref by ref with git.push")
	case !local:
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: a server does not delete its default branch", action.ErrRefused), "delete the new repository at the forge: it holds nothing else")
	}
	refs, err := refsOf(ctx, dir, "refs/")
	if err != nil {
		return action.Plan{}, err
	}
	live := target{refs: refs}.digest()
	if len(refs) > 0 && live != plan.Facts["wanted"] {
		return action.Plan{}, hint.Wrap(fmt.Errorf("%w: %s is not as this step left it: somebody pushed since", action.ErrRefused, r.remoteName()), "look at what came in since with git.activity")
	}
	return action.Plan{
		Summary: fmt.Sprintf("deletes %s of %s", printable.Count(len(refs), "ref"), printable.Line(showRemote(r))), Target: dir,
		Effect: action.Destroy, Token: fmt.Sprintf("empty@%.7s", live), Nothing: len(refs) == 0, Facts: map[string]string{"live": live, "dir": dir},
		Lines:   []action.Line{{Label: "deletes", Text: "every ref that was put there; its objects stay until git cleans up"}, {Label: "kept", Text: "the copies they came from"}},
		Command: []string{"git -C " + shellWord(dir) + " for-each-ref --format='delete %(refname) %(objectname)' | git -C " + shellWord(dir) + " update-ref --stdin"},
		Stop:    "Yes: all refs go together or none does.", Back: "git.publish again",
	}, nil
}

func (d Deps) runUnpublish(ctx context.Context, env *action.Env, p gatherParams, undo, _ action.Plan, _ action.Result) (action.Result, error) {
	dir := undo.Facts["dir"]
	r, err := d.Repo(p.Asset)
	if err == nil {
		err = env.Allowed(dir)
	}
	if err != nil {
		return action.Result{}, err
	}
	if now, ok := r.localRemote(); !ok || now != dir {
		return action.Result{}, fmt.Errorf("%w: it was made for %q", action.ErrChanged, dir)
	}
	refs, err := refsOf(ctx, dir, "refs/")
	if err != nil {
		return action.Result{}, err
	}
	if live := (target{refs: refs}).digest(); live != undo.Facts["live"] {
		return action.Result{}, fmt.Errorf("%w: %s has other refs now", action.ErrChanged, r.remoteName())
	}
	var in strings.Builder
	for _, ref := range refs {
		fmt.Fprintf(&in, "delete %s\x00%s\x00", ref.Name, ref.OID)
	}
	c := command.Git(dir, "update-ref", "-z", "--stdin")
	c.Stdin = strings.NewReader(in.String())
	if _, err := command.Run(ctx, c); err != nil {
		return action.Result{}, fmt.Errorf("empty %q: %w", dir, err)
	}
	return action.Result{Evidence: printable.Count(len(refs), "ref") + " deleted; the repository is empty again"}, nil
}
