package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/sandbox/forge"
)

// Names of breakages after which something is gone whole.
const (
	CloneWiped  = "clone-wiped"
	OriginWiped = "origin-wiped"
)

func lossBreakages() []breakage {
	return []breakage{{Breakage: Breakage{
		Name:    CloneWiped,
		Summary: "A script that cleans up went one directory too high: the working clone is empty, its .git too.",
		Symptoms: []string{
			"git status says \"not a git repository\" in what was the working clone",
			"the directory of the working clone is there and holds nothing",
		},
	}, damage: (*Sandbox).wipeClone}, {Breakage: Breakage{
		Name:    OriginWiped,
		Summary: "The shared repository was deleted on the server. The clone and the mirror each miss a part of today.",
		Symptoms: []string{
			"git fetch says \"repository not found\", for everybody",
			"the page of the repository is gone",
			"some pushed today, and nobody has everything",
		},
	}, damage: (*Sandbox).wipeOrigin, look: (*judge).refounded}}
}

// wipeClone deletes everything in the working clone. What was only there (commits that were
// never pushed, the stash, work in progress, env files) is gone for good: no runbook brings it
// back, and the oracle counts it.
func (s *Sandbox) wipeClone(_ context.Context, t truth) error {
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.Clone())
	if err != nil {
		return err
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(s.Clone(), e.Name())))
	}
	return err
}

// wipeOrigin deletes the shared repository after a day on which two people pushed: what one
// pushed to main has reached the mirror, what the developer pushed to develop is in the working
// clone. Neither is in a backup that was made before, and no copy has everything.
func (s *Sandbox) wipeOrigin(ctx context.Context, t truth) error {
	mine, drop, err := s.aside(ctx)
	if err != nil {
		return err
	}
	defer drop()
	r := stream(s.marker.Seed, "last day")
	booking, calendar := componentAt("apps/booking"), componentAt("packages/calendar")
	err = s.edits(ctx, mine,
		edit{team[2], 45, "refs/heads/main^0", "late", "fix(booking): do not offer slots of the past", "apps/booking/src/lib/past.ts", function(r, booking, "dropPastSlots")},
		edit{developer, 30, "refs/heads/develop^0", "next", "feat(calendar): show public holidays", "packages/calendar/src/public.ts", function(r, calendar, "publicHolidays")})
	if err != nil {
		return err
	}
	for branch, name := range map[string]string{mainRef: "late", "refs/heads/develop": "next"} {
		if t.Origin[branch], err = mine.out(ctx, "rev-parse", "--verify", "refs/heads/"+name); err != nil {
			return err
		}
	}
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	// The server mirrors on every push; what was there before may have been mirrored by hand.
	if err := (repo{dir: s.Origin(), by: team[2]}).git(ctx, s.marker.Now, "push", "--quiet", "--force", s.Mirror(), "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"); err != nil {
		return err
	}
	for _, to := range []string{s.Origin(), s.Mirror()} {
		if err := s.push(ctx, mine, team[2], 44, "late", to, "main"); err != nil {
			return err
		}
	}
	if err := s.push(ctx, mine, developer, 29, "next", s.Origin(), "develop"); err != nil {
		return err
	}
	clone := repo{dir: s.Clone(), by: developer}
	if err := clone.git(ctx, s.marker.Now, "fetch", "--quiet", "--no-write-fetch-head", mine.dir, "refs/heads/next:refs/remotes/origin/develop"); err != nil {
		return err
	}
	if err := os.RemoveAll(s.Origin()); err != nil {
		return err
	}
	// With a repository goes the protection of its branches; one that is made anew has none.
	f, err := forge.New(s.Forge())
	if err != nil {
		return err
	}
	return f.Change(func(st *forge.State) {
		if p := st.Projects[forge.Name]; p != nil {
			delete(p.GitHub, "main")
		}
	})
}

// Mirror is a second home of the shared repository, empty when the sandbox is new.
func (s *Sandbox) Mirror() string { return filepath.Join(s.dir, "mirror.git") }

// refounded looks at a shared repository that was made anew.
func (j *judge) refounded(ctx context.Context) {
	head, err := repo{dir: j.s.Origin()}.out(ctx, "symbolic-ref", "HEAD")
	if err != nil {
		head = "no branch"
	}
	j.check(head == mainRef, "the default branch of the origin is main", strings.TrimPrefix(head, "refs/heads/"))
}
