package git

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// ranked is a candidate with the reasons for its place.
type ranked struct {
	sighting
	reasons []string
}

func (r ranked) String() string { return short(r.oid) + ": " + strings.Join(r.reasons, "; ") }

// mostRanked is how many candidates are explained; each costs a walk.
const mostRanked = 10

// rank puts the best candidate first, then states that the branch is known to have had, the
// latest first, then what nothing refers to, and says of each why it stands there.
func (f finder) rank(ctx context.Context, best sighting, lost []sighting) []ranked {
	list := slices.DeleteFunc(slices.Clone(lost), func(s sighting) bool { return s.oid == best.oid })
	slices.SortStableFunc(list, func(a, b sighting) int {
		switch {
		case a.certain != b.certain && a.certain:
			return -1
		case a.certain != b.certain:
			return 1
		}
		return b.when.Compare(a.when)
	})
	list = append([]sighting{best}, list...)
	var out []ranked
	for i, s := range list[:min(mostRanked, len(list))] {
		r := ranked{sighting: s}
		why := func(format string, args ...any) { r.reasons = append(r.reasons, fmt.Sprintf(format, args...)) }
		switch {
		case i == 0 && s.oid == f.remembered:
			why("somebody remembers it")
		case i == 0 && s.certain:
			why("the tip that the branch had before it was overwritten")
		case i == 0 && s.pushed:
			why("it builds on what the branch had, and was pushed")
		case i == 0:
			why("nothing is known of the branch's past, and this is the newest loose commit that is related")
		case s.certain:
			why("the branch had it")
		case s.pushed:
			why("it was pushed, and no ref leads to it")
		default:
			why("nobody is known to have pushed it")
		}
		why("seen %s", s.where)
		if n := len(s.places); n > 1 {
			why("in %d places: %s", n, few(s.places, nil))
		}
		if s.by != "" {
			why("pushed by %s", printable.Line(s.by))
		}
		if back, err := f.k.between(ctx, f.current, s.oid); err == nil {
			why("brings back %s", summary(back))
			inside := 0
			for _, other := range list {
				if other.oid != s.oid && slices.ContainsFunc(back, func(c commit) bool { return c.oid == other.oid }) {
					inside++
				}
			}
			if inside > 0 {
				why("contains %s", printable.Count(inside, "other candidate"))
			}
		}
		out = append(out, r)
	}
	return out
}

// recall finds the commit that somebody remembers among what was gathered. One that the
// branch still has, or that has no history in common with it, is refused with the reason:
// an id from another branch or repository is easily pasted.
func (f finder) recall(ctx context.Context, lost []sighting, rev string) (sighting, error) {
	oid, err := f.k.commit(ctx, f.r.Dir, "remembered", strings.ToLower(rev))
	if err != nil {
		// A name of the clone keeps its letters.
		if oid, err = f.k.commit(ctx, f.r.Dir, "remembered", rev); err != nil {
			return sighting{}, err
		}
	}
	if i := slices.IndexFunc(lost, func(s sighting) bool { return s.oid == oid }); i >= 0 {
		return lost[i], nil
	}
	name := f.r.remoteName() + "/" + f.branch
	switch {
	case f.current != "" && f.k.descends(ctx, f.current, oid):
		return sighting{}, hint.Wrap(hint.Blame(fmt.Errorf("%w: remembered: %s is on %s now, so it is not lost", action.ErrRefused, short(oid), name), "remembered"),
			"leave out remembered: to see what is lost, or ask for the commit that is missing")
	case f.current != "" && f.k.mergeBase(ctx, f.current, oid) == "":
		return sighting{}, hint.Wrap(hint.Blame(fmt.Errorf("%w: remembered: %s has no history in common with %s", action.ErrRefused, short(oid), name), "remembered"),
			"it belongs to another repository or to a branch that was begun anew; leave out remembered: to see what is lost")
	}
	return sighting{oid: oid, where: "as an object", places: []string{"what can be read here"}}, nil
}
