package git

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/printable"
)

const statusDoc = `Says where the working clone stands: its directory, the branch (in a rebase the one that is
rebased), whether a merge, rebase, cherry-pick or revert is half done, which files are in
conflict and which staged, and how far the branch is from the one it follows, as the clone
last saw it. It reads no file of the work
tree and runs nothing that the clone names, so it does not know of changes that were not
staged; ` + "`git status`" + ` in a sh block shows those.

` + "```git.status save=clone" + `
asset: monorepo
` + "```" + `

Saves: dir, git_dir, branch (empty when detached), head, short, before (where the branch was
before what is half done began), operation (empty, merge, rebase, cherry-pick, revert, am,
bisect), conflicts, conflicted (their number), staged (number), remote (its name), upstream,
ahead, behind.
`

type statusParams struct {
	Asset string `param:"asset,required" help:"the repository whose clone to look at"`
}

func (d Deps) status() action.Action {
	return action.New(action.Def[statusParams]{
		Name: "git.status", Summary: "Say where the working clone stands", Doc: statusDoc,
		Effect: action.Read, Repeat: action.Safe,
		Run: d.runStatus,
	})
}

// underway maps what git leaves in its directory to what was begun and not ended.
var underway = []struct{ file, what string }{
	{"rebase-merge", "rebase"}, {"rebase-apply/applying", "am"}, {"rebase-apply", "rebase"}, {"MERGE_HEAD", "merge"},
	{"CHERRY_PICK_HEAD", "cherry-pick"}, {"REVERT_HEAD", "revert"}, {"BISECT_LOG", "bisect"},
}

// undertaking is what was begun in a clone and not ended.
type undertaking struct {
	what   string // empty: nothing
	branch string // that is being rebased
	before string // where the branch was, where git has written it down
}

// begun reads it from the files that git leaves in its directory.
func begun(gitDir string) (u undertaking) {
	path := func(name string) string { return filepath.Join(gitDir, filepath.FromSlash(name)) }
	for _, one := range underway {
		if _, err := os.Lstat(path(one.file)); err == nil {
			u.what = one.what
			break
		}
	}
	if u.what == "" {
		return u
	}
	state := func(name string) string { return readSmall(path(name)) }
	for _, dir := range []string{"rebase-merge/", "rebase-apply/"} {
		if ref := state(dir + "head-name"); strings.HasPrefix(ref, "refs/heads/") && repo.ValidRef(ref) {
			u.branch = strings.TrimPrefix(ref, "refs/heads/")
		}
		if oid := state(dir + "orig-head"); isOID(oid) {
			u.before = oid
		}
	}
	if oid := state("sequencer/head"); isOID(oid) {
		u.before = oid
	}
	return u
}

func (d Deps) runStatus(ctx context.Context, env *action.Env, p statusParams, _ action.Plan) (action.Result, error) {
	r, err := d.Repo(p.Asset)
	if err == nil {
		err = r.needDir()
	}
	if err != nil {
		return action.Result{}, err
	}
	objects, err := objectsOf(ctx, r.Dir)
	if err != nil {
		return action.Result{}, err
	}
	git := func(args ...string) string {
		out, err := command.Output(ctx, command.Git(r.Dir, args...))
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(out), "\n")
	}
	gitDir := git("rev-parse", "--absolute-git-dir")
	if gitDir == "" {
		gitDir = filepath.Dir(objects)
	}
	branch := git("symbolic-ref", "--quiet", "--short", "HEAD")
	head := git("rev-parse", "--verify", "--quiet", "HEAD")
	u := begun(gitDir)
	tip, before := "HEAD", head
	if branch == "" && u.branch != "" { // HEAD is detached meanwhile
		branch, tip = u.branch, "refs/heads/"+u.branch
	}
	if u.before != "" {
		before = u.before
	}
	var conflicts []string
	for entry := range bytes.SplitSeq([]byte(git("ls-files", "--unmerged", "-z")), []byte{0}) {
		_, name, ok := strings.Cut(string(entry), "\t")
		if name = printable.Line(name); ok && !slices.Contains(conflicts, name) {
			conflicts = append(conflicts, name)
		}
	}
	staged := 0
	if head != "" {
		staged = len(strings.FieldsFunc(git("diff-index", "--cached", "--name-only", "-z", "--no-ext-diff", "--no-renames", head, "--"), func(c rune) bool { return c == 0 }))
	}
	upstream := ""
	var ahead, behind int
	if tracking := "refs/remotes/" + r.remoteName() + "/" + branch; branch != "" && git("rev-parse", "--verify", "--quiet", tracking) != "" {
		upstream = strings.TrimPrefix(tracking, "refs/remotes/")
		_, _ = fmt.Sscan(git("rev-list", "--left-right", "--count", tip+"..."+tracking), &ahead, &behind)
	}
	text := "no branch is checked out, HEAD is " + orAbsent(head)
	switch {
	case tip != "HEAD":
		text = fmt.Sprintf("%s is being rebased, HEAD is %s", printable.Line(branch), orAbsent(head))
	case branch != "":
		text = fmt.Sprintf("on %s at %s", printable.Line(branch), orAbsent(head))
	}
	if u.what != "" {
		text += ", a " + u.what + " is half done"
	}
	if len(conflicts) > 0 {
		text += fmt.Sprintf(", %s in conflict: %s", printable.Count(len(conflicts), "file"), few(conflicts, nil))
	}
	if staged > 0 {
		text += fmt.Sprintf(", %s staged", printable.Count(staged, "file"))
	}
	if upstream != "" {
		text += fmt.Sprintf(", %d ahead of %s and %d behind it", ahead, printable.Line(upstream), behind)
	}
	for _, name := range conflicts {
		env.Printf("in conflict: %s", name)
	}
	return action.Result{Evidence: text, Outputs: map[string]any{
		"dir": r.Dir, "git_dir": gitDir, "branch": branch, "head": head, "short": short(head), "before": before, "operation": u.what,
		"conflicts": nonNil(conflicts), "conflicted": int64(len(conflicts)), "staged": int64(staged),
		"remote": r.remoteName(), "upstream": upstream, "ahead": int64(ahead), "behind": int64(behind),
	}}, nil
}
