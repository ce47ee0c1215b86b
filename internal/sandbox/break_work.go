package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Names of breakages of everyday work.
const (
	MergeConflict  = "merge-conflict"
	BadConfig      = "bad-config"
	BrokenWorkflow = "broken-workflow"
)

func workBreakages() []breakage {
	return []breakage{{Breakage: Breakage{
		Name:    MergeConflict,
		Summary: "A merge of main stopped with a conflict in the working clone, and work in progress lies around it.",
		Symptoms: []string{
			"git pull ended with \"Automatic merge failed; fix conflicts and then commit the result\"",
			"git status says \"You have unmerged paths\"",
			"docs/on-call.md has lines of <<<<<<< and >>>>>>> in it",
		},
	}, damage: (*Sandbox).conflict, look: (*judge).merged}, {Breakage: Breakage{
		Name:    BadConfig,
		Summary: "A wrong port was pushed to main in the settings of the booking app, and a good change came after it.",
		Symptoms: []string{
			"the booking app is deployed and does not answer",
			"infrastructure/k8s/booking.yaml on main says targetPort: 8300, and the app listens on 3000",
			"somebody else has changed the same file since",
		},
	}, damage: (*Sandbox).misconfigure, look: (*judge).reverted}, {Breakage: Breakage{
		Name:    BrokenWorkflow,
		Summary: "A change of the CI workflow on main makes every build fail, and work has gone on after it.",
		Symptoms: []string{
			"every build of main fails since today, also of changes that touch no code",
			"the log of the build ends with \"Missing script: lint:strict\"",
			"nothing can be merged because the check is required",
		},
	}, damage: (*Sandbox).breakWorkflow, look: (*judge).workflow}}
}

// edit is one commit that somebody makes in a clone of their own, and that changes one file.
type edit struct {
	by           person
	ago          int    // minutes before the story's now
	from, branch string // from is empty when it builds on the edit before
	message      string
	file, text   string
}

// aside makes a private clone of the origin for what colleagues do. drop removes it.
func (s *Sandbox) aside(ctx context.Context) (mine repo, drop func(), err error) {
	temp, err := os.MkdirTemp(s.dir, ".colleague-*")
	if err != nil {
		return repo{}, nil, err
	}
	drop = func() { _ = os.RemoveAll(temp) } // the sandbox goes as a whole
	mine = repo{dir: filepath.Join(temp, "mine.git"), by: colleague}
	if err := (repo{dir: temp, by: colleague}).git(ctx, s.marker.Now, "clone", "--quiet", "--bare", "--no-local", "--template=", s.Origin(), "mine.git"); err != nil {
		drop()
		return repo{}, nil, err
	}
	return mine, drop, nil
}

// edits commits them in order.
func (s *Sandbox) edits(ctx context.Context, mine repo, list ...edit) error {
	var in strings.Builder
	for i, e := range list {
		at := e.by.stamp(s.marker.Now.Add(-time.Duration(e.ago) * time.Minute))
		fmt.Fprintf(&in, "commit refs/heads/%s\nmark :%d\nauthor %s <%s> %s\ncommitter %s <%s> %s\n",
			e.branch, i+1, e.by.name, e.by.email, at, e.by.name, e.by.email, at)
		data(&in, e.message+"\n")
		if e.from != "" {
			fmt.Fprintf(&in, "from %s\n", e.from)
		}
		fmt.Fprintf(&in, "M 100644 inline %s\n", e.file)
		data(&in, e.text)
	}
	return mine.feed(ctx, in.String(), "fast-import", "--quiet", "--force")
}

// changed reads a file of a commit and replaces a part of it, which must be there.
func changed(ctx context.Context, r repo, rev, file, old, with string) (text, after string, err error) {
	text, err = r.out(ctx, "show", rev+":"+file)
	if err != nil {
		return "", "", err
	}
	text += "\n"
	if !strings.Contains(text, old) {
		return "", "", fmt.Errorf("%s of %s has no %q", file, rev, old)
	}
	return text, strings.Replace(text, old, with, 1), nil
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// push sends a commit of the private clone to a branch of a repository, at a moment of the story.
func (s *Sandbox) push(ctx context.Context, mine repo, by person, ago int, what, to, branch string) error {
	mine.by = by
	return mine.git(ctx, s.marker.Now.Add(-time.Duration(ago)*time.Minute), "push", "--quiet", to, what+":refs/heads/"+branch)
}

// conflictFile is what both have changed.
const conflictFile = "docs/on-call.md"

// conflict lets the developer and a colleague change one line, and leaves the merge of both
// half done in the working clone.
func (s *Sandbox) conflict(ctx context.Context, t truth) error {
	mine, drop, err := s.aside(ctx)
	if err != nil {
		return err
	}
	defer drop()
	_, theirs, err := changed(ctx, mine, "main", conflictFile, "above 2 %", "above 5 %")
	if err != nil {
		return err
	}
	_, ours, err := changed(ctx, mine, "main", conflictFile, "above 2 %", "above 1 %, and the DevOps team above 5 %")
	if err != nil {
		return err
	}
	err = s.edits(ctx, mine,
		edit{team[4], 90, "refs/heads/main^0", "theirs", "docs: call only when it is worth a call", conflictFile, theirs},
		edit{developer, 50, "refs/heads/main^0", "ours", "docs: call earlier, and name the DevOps team", conflictFile, ours})
	if err != nil {
		return err
	}
	for name, into := range map[string]*string{"theirs": &t.Theirs, "ours": &t.Ours} {
		if *into, err = mine.out(ctx, "rev-parse", "--verify", "refs/heads/"+name); err != nil {
			return err
		}
	}
	t.Path = conflictFile
	t.Origin[mainRef], t.Clone[mainRef] = t.Theirs, t.Ours
	t.Local = append([]string{t.Ours}, t.Local...)
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	if err := s.push(ctx, mine, team[4], 85, "theirs", s.Origin(), "main"); err != nil {
		return err
	}
	clone, now := repo{dir: s.Clone(), by: developer}, s.marker.Now.Add(-10*time.Minute)
	for _, args := range [][]string{
		{"fetch", "--quiet", "--no-write-fetch-head", mine.dir, "refs/heads/ours"},
		{"update-ref", "-m", "commit: docs: call earlier, and name the DevOps team", mainRef, t.Ours},
		{"reset", "--quiet"}, // git merges only where nothing is staged
		{"checkout", "--quiet", "--", conflictFile},
		{"fetch", "--quiet", "origin"},
	} {
		if err := clone.git(ctx, now, args...); err != nil {
			return err
		}
	}
	if err := clone.git(ctx, now, "merge", "--quiet", "origin/main"); err == nil {
		return errors.New("the merge has no conflict")
	}
	if _, err := os.Lstat(filepath.Join(s.Clone(), ".git", "MERGE_HEAD")); err != nil {
		return fmt.Errorf("the merge did not begin: %w", err)
	}
	return nil
}

// configFile is the settings that go wrong, and wrongPort what is wrong in them.
const (
	configFile = "infrastructure/k8s/booking.yaml"
	wrongPort  = "targetPort: 8300"
	rightPort  = "targetPort: 3000"
)

var replicasLine = regexp.MustCompile(`replicas: \d+`)

// misconfigure pushes a wrong port, and a good change of the same file on top.
func (s *Sandbox) misconfigure(ctx context.Context, t truth) error {
	mine, drop, err := s.aside(ctx)
	if err != nil {
		return err
	}
	defer drop()
	good, wrong, err := changed(ctx, mine, "main", configFile, rightPort, wrongPort)
	if err != nil {
		return err
	}
	scale := func(text string) string { return replicasLine.ReplaceAllString(text, "replicas: 12") }
	err = s.edits(ctx, mine,
		edit{team[3], 75, "refs/heads/main^0", "wrong", "chore(infra): tidy the service of the booking app", configFile, wrong},
		edit{team[4], 40, "", "wrong", "feat(infra): enough replicas for the weekend", configFile, scale(wrong)})
	if err != nil {
		return err
	}
	t.Path, t.Want = configFile, sum(scale(good))
	return s.overlay(ctx, mine, t, team[3], team[4])
}

// overlay pushes the branch wrong of two commits to main, the bad one and the good one on it.
func (s *Sandbox) overlay(ctx context.Context, mine repo, t truth, bad, good person) (err error) {
	if t.Wrong, err = mine.out(ctx, "rev-parse", "--verify", "refs/heads/wrong~1"); err != nil {
		return err
	}
	if t.After, err = mine.out(ctx, "rev-parse", "--verify", "refs/heads/wrong"); err != nil {
		return err
	}
	t.Origin[mainRef] = t.After
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	if err := s.push(ctx, mine, bad, 70, "wrong~1", s.Origin(), "main"); err != nil {
		return err
	}
	return s.push(ctx, mine, good, 35, "wrong", s.Origin(), "main")
}

// workflowFile is the CI workflow.
const workflowFile = ".github/workflows/ci.yml"

// breakWorkflow lets CI call a script that there is not, and work go on after it.
func (s *Sandbox) breakWorkflow(ctx context.Context, t truth) error {
	mine, drop, err := s.aside(ctx)
	if err != nil {
		return err
	}
	defer drop()
	_, wrong, err := changed(ctx, mine, "main", workflowFile, "pnpm run lint ", "pnpm run lint:strict ")
	if err != nil {
		return err
	}
	r := stream(s.marker.Seed, "workflow")
	err = s.edits(ctx, mine,
		edit{team[3], 75, "refs/heads/main^0", "wrong", "ci: lint more strictly", workflowFile, wrong},
		edit{team[5], 40, "", "wrong", "feat(booking): remind people a day before", "apps/booking/src/lib/remind.ts", function(r, componentAt("apps/booking"), "remindCustomer")})
	if err != nil {
		return err
	}
	t.Path = workflowFile
	return s.overlay(ctx, mine, t, team[3], team[5])
}
