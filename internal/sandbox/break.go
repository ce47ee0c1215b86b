package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// Names of breakages.
const (
	ForcePush     = "force-push"
	CorruptObject = "corrupt-object"
)

// Breakage is a way to break a sandbox.
type Breakage struct {
	Name     string
	Summary  string   // what a person would notice, one sentence
	Symptoms []string // what programs and people say
}

// breakage is a [Breakage] with what does the damage, and what looks at the end beyond
// the ordinary whether it was mended. Each kind of system has its own file of them.
type breakage struct {
	Breakage
	// damage stores t as brokenName, with what the oracle must know, before it breaks anything.
	damage func(s *Sandbox, ctx context.Context, t truth) error // required
	// look makes the checks that only this breakage needs; nil when the ordinary ones say it all.
	look func(j *judge, ctx context.Context)
}

func breakages() []breakage {
	return slices.Concat(repositoryBreakages(), forgeBreakages(), workBreakages(), lossBreakages(), hostBreakages(), breachBreakages(), dataBreakages())
}

// Breakages lists all there are.
func Breakages() []Breakage {
	var out []Breakage
	for _, b := range breakages() {
		out = append(out, b.Breakage)
	}
	return out
}

func repositoryBreakages() []breakage {
	return []breakage{{Breakage: Breakage{
		Name:    ForcePush,
		Summary: "A colleague force-pushed a demo over main, and commits that others had pushed today are gone from it.",
		Symptoms: []string{
			"git pull reports a forced update of main",
			"commits that were on main this morning are not in its log any more",
			"the newest commits on main are called \"demo\" and \"squash for demo\"",
		},
	}, damage: (*Sandbox).forcePush}, {Breakage: Breakage{
		Name:    CorruptObject,
		Summary: "The working clone has damaged objects after a bad disk: git log and git fsck stop with errors.",
		Symptoms: []string{
			"git log stops with \"loose object … is corrupt\"",
			"git fsck --full reports a pack whose checksum does not match",
			"git gc and git clone of the working clone fail",
		},
	}, damage: (*Sandbox).corruptObjects}}
}

// ErrBroken is what [Sandbox.Break] returns for a sandbox that was broken before.
var ErrBroken = errors.New("the sandbox is broken already")

// Break breaks the sandbox as the named breakage does, once. What the oracle needs is
// durable before the damage begins. After an error other than [ErrBroken] or an unknown
// name the damage may be there in part: the sandbox must be reset.
func (s *Sandbox) Break(ctx context.Context, name string) (Breakage, error) {
	kind, err := findBreakage(name)
	b := kind.Breakage
	if err != nil {
		return b, err
	}
	t, err := s.beforeDamage(ctx)
	if err != nil {
		return b, err
	}
	t.Breakage = name
	err = kind.damage(s, ctx, t)
	if errors.Is(err, fs.ErrExist) {
		return b, s.brokenBefore() // another process came first, and nothing was done here
	}
	if err != nil {
		return b, hint.Wrap(fmt.Errorf("break the sandbox with %s: %w", name, err), "Reset the sandbox before you go on.")
	}
	return b, durable.Create(s.truth(doneName), nil, 0o600)
}

// beforeDamage looks at a sandbox that is about to be broken and was not before.
func (s *Sandbox) beforeDamage(ctx context.Context) (truth, error) {
	if err := s.still(); err != nil {
		return truth{}, fmt.Errorf("break the sandbox: %w", err)
	}
	if _, err := os.Lstat(s.truth(brokenName)); !errors.Is(err, fs.ErrNotExist) {
		return truth{}, s.brokenBefore()
	}
	t, err := s.look(ctx)
	if err != nil {
		return truth{}, fmt.Errorf("break the sandbox: %w", err)
	}
	return t, nil
}

func (s *Sandbox) brokenBefore() error {
	return hint.Wrap(fmt.Errorf("break the sandbox %s: %w", s.ID(), ErrBroken), "Reset the sandbox to break it anew.")
}

func findBreakage(name string) (breakage, error) {
	var names []string
	for _, b := range breakages() {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return breakage{}, hint.New(fmt.Sprintf("there is no breakage %q", name), "Choose one of "+strings.Join(names, ", ")+".")
}

// What the force push drops: the newest of main that the working clone has, and those
// that were pushed after its last fetch.
const (
	droppedKnown = 9
	droppedTotal = droppedKnown + 5
)

// forcePush lets colleagues push five commits that the working clone never fetches,
// and then one of them force-push a demo that drops those and nine more.
func (s *Sandbox) forcePush(ctx context.Context, t truth) error {
	mine, drop, err := s.aside(ctx)
	if err != nil {
		return err
	}
	defer drop()
	now := s.marker.Now
	if err := s.writeDemo(ctx, mine); err != nil {
		return err
	}
	for _, part := range []struct {
		into *[]string
		args []string
	}{
		{&t.Lost, []string{"rev-list", "good", "--not", "demo"}},
		{&t.Foreign, []string{"rev-list", "demo", "--not", "good"}},
	} {
		if *part.into, err = mine.list(ctx, part.args...); err != nil {
			return err
		}
	}
	if t.Good, err = mine.out(ctx, "rev-parse", "--verify", "refs/heads/good"); err != nil {
		return err
	}
	if t.Bad, err = mine.out(ctx, "rev-parse", "--verify", "refs/heads/demo"); err != nil {
		return err
	}
	t.Origin["refs/heads/main"] = t.Good
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	for _, p := range []struct {
		by    person
		ago   time.Duration // before the story's now
		what  string
		force bool
	}{
		{team[2], 80 * time.Minute, "good~2", false},
		{team[4], 35 * time.Minute, "good", false},
		{colleague, 14 * time.Minute, "demo", true},
	} {
		args := []string{"push", "--quiet", s.Origin(), p.what + ":refs/heads/main"}
		if p.force {
			args = slices.Insert(args, 1, "--force")
		}
		mine.by = p.by
		if err := mine.git(ctx, now.Add(-p.ago), args...); err != nil {
			return err
		}
	}
	return nil
}

// writeDemo makes the branches good and demo in the colleague's own clone.
func (s *Sandbox) writeDemo(ctx context.Context, mine repo) error {
	show := func(file string) (string, error) { return mine.out(ctx, "show", "main:"+file) }
	readme, err := show("README.md")
	if err != nil {
		return err
	}
	page, err := show("apps/booking/src/app/page.tsx")
	if err != nil {
		return err
	}
	r := stream(s.marker.Seed, "colleague")
	booking := componentAt("apps/booking")
	return s.edits(ctx, mine, []edit{
		{team[2], 140, "refs/heads/main^0", "good", "feat(booking): hold a slot while the customer pays", "apps/booking/src/lib/hold.ts", function(r, booking, "holdSlot")},
		{team[2], 110, "", "good", "fix(booking): release the hold when the payment fails", "apps/booking/src/lib/release.ts", function(r, booking, "releaseSlot")},
		{team[5], 85, "", "good", "fix(booking): say which slot was taken meanwhile", "apps/booking/src/lib/conflict.ts", function(r, booking, "explainConflict")},
		{team[4], 60, "", "good", "docs: how holds and payments belong together", "docs/holds.md", "# Holds\n\nA hold lasts ten minutes. A failed payment releases it at once.\n"},
		{team[4], 40, "", "good", "test(booking): two customers and one slot", "apps/booking/src/hold.test.ts", unitTest(r, "holdSlot")},
		{colleague, 25, fmt.Sprintf("refs/heads/main~%d", droppedKnown), "demo", "squash for demo", "apps/booking/src/app/page.tsx", page + "\n\n" + function(r, booking, "DemoBanner")},
		{colleague, 20, "", "demo", "demo", "README.md", readme + "\n\n## Demo\n\nThursday, 14:00. Do not touch.\n"},
	}...)
}
