package sandbox

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// merged looks whether a conflict was resolved: both changes are on main of the origin, no
// merge is half done, and the work that lay around it is as it was.
func (j *judge) merged(ctx context.Context) {
	origin, clone := repo{dir: j.s.Origin()}, repo{dir: j.s.Clone()}
	var left []string
	for _, name := range []string{"MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD"} {
		if _, err := os.Lstat(filepath.Join(clone.dir, ".git", name)); err == nil {
			left = append(left, name)
		}
	}
	unmerged, err := clone.list(ctx, "ls-files", "--unmerged")
	j.check(err == nil && len(left) == 0 && len(unmerged) == 0, "no merge is half done in the working clone",
		fmt.Sprintf("%d files in conflict, %d traces of a merge", len(unmerged), len(left)))
	text, err := origin.out(ctx, "show", mainRef+":"+j.t.Path)
	clean := err == nil && !strings.Contains(text, "<<<<<<<") && !strings.Contains(text, ">>>>>>>") && strings.TrimSpace(text) != ""
	j.check(clean, j.t.Path+" on main is whole and has no marks of a conflict", fmt.Sprintf("%d bytes", len(text)))
	for _, c := range []struct{ who, id string }{{"the colleague", j.t.Theirs}, {"the developer", j.t.Ours}} {
		ok := ancestor(ctx, origin, c.id, mainRef)
		j.check(ok, "main has the commit of "+c.who, short(c.id))
	}
	var harmed []string
	for _, name := range slices.Sorted(maps.Keys(j.t.Files)) {
		if sum, err := hashFile(filepath.Join(clone.dir, filepath.FromSlash(name))); err != nil || sum != j.t.Files[name] {
			harmed = append(harmed, name)
		}
	}
	j.check(len(harmed) == 0, "work in progress is as it was", fmt.Sprintf("%d of %d files", len(j.t.Files)-len(harmed), len(j.t.Files)))
}

// reverted looks whether exactly the one wrong change is gone from main.
func (j *judge) reverted(ctx context.Context) {
	text, err := repo{dir: j.s.Origin()}.out(ctx, "show", mainRef+":"+j.t.Path)
	j.check(err == nil && sum(text+"\n") == j.t.Want, j.t.Path+" on main has the right port, and the later change", portIn(text))
	j.untouched(ctx)
}

func portIn(text string) string {
	for line := range strings.Lines(text) {
		if i := strings.Index(line, "targetPort:"); i >= 0 {
			return strings.Trim(line[i:], " }]\n")
		}
	}
	return "no targetPort"
}

// untouched checks that what was pushed stays in the history, and that no other file changed.
func (j *judge) untouched(ctx context.Context) {
	origin := repo{dir: j.s.Origin()}
	for _, c := range []struct{ what, id string }{{"wrong", j.t.Wrong}, {"later", j.t.After}} {
		j.check(ancestor(ctx, origin, c.id, mainRef), "history was not rewritten: the "+c.what+" commit is on main", short(c.id))
	}
	names, err := origin.list(ctx, "diff", "--name-only", "--no-renames", j.t.After, mainRef)
	others := slices.DeleteFunc(names, func(n string) bool { return n == j.t.Path })
	j.check(err == nil && len(others) == 0, "no other file of main was touched", fmt.Sprintf("%d others", len(others)))
}

var (
	runLine  = regexp.MustCompile(`(?m)^ *-? *run: *(.+)$`)
	runsName = regexp.MustCompile(`pnpm run ([A-Za-z0-9:_-]+)`)
)

// workflow looks whether CI of main can pass: it calls something, and everything that it calls
// is there. How it was mended is not asked.
func (j *judge) workflow(ctx context.Context) {
	origin := repo{dir: j.s.Origin()}
	text, err := origin.out(ctx, "show", mainRef+":"+j.t.Path)
	pkg, perr := origin.out(ctx, "show", mainRef+":package.json")
	calls, missing := 0, []string{}
	for _, line := range runLine.FindAllStringSubmatch(text, -1) {
		for _, m := range runsName.FindAllStringSubmatch(line[1], -1) {
			calls++
			if !strings.Contains(pkg, fmt.Sprintf("%q:", m[1])) {
				missing = append(missing, m[1])
			}
		}
	}
	evidence := fmt.Sprintf("%d scripts called", calls)
	if len(missing) > 0 {
		evidence = "missing: " + strings.Join(missing, ", ")
	}
	j.check(err == nil && perr == nil && calls >= 3 && len(missing) == 0, "the workflow of main calls only scripts that there are", evidence)
	if len(missing) == 0 {
		j.untouched(ctx)
	}
}
