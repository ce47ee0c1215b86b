package estate

import (
	"cmp"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/internal/runbook"
)

// Drills is how long a passed drill holds. The zero value stands for the defaults.
type Drills struct {
	Tiers    map[string]time.Duration // of the assets of a tier
	Runbooks []DrillPeriod            // of single runbooks, whatever the tier
}

// DrillPeriod is how long a drill of one runbook holds.
type DrillPeriod struct {
	Runbook string
	Every   time.Duration
	Pos     runbook.Pos // of its line in lifeboat.yaml
}

// DefaultDrills are those of the protocol: what is critical is rehearsed every month, the
// rest every quarter.
func DefaultDrills() map[string]time.Duration {
	return map[string]time.Duration{"critical": 31 * day, "standard": 90 * day, "non-critical": 90 * day}
}

// DrillEvery is how long a passed drill of a runbook holds for an asset of a tier.
func (e *Estate) DrillEvery(name, tier string) time.Duration {
	if i := slices.IndexFunc(e.Drills.Runbooks, func(p DrillPeriod) bool { return p.Runbook == name }); i >= 0 {
		return e.Drills.Runbooks[i].Every
	}
	return cmp.Or(e.Drills.Tiers[tier], DefaultDrills()[tier], DefaultDrills()["standard"])
}

// drills reads the periods of the tiers and of single runbooks.
func (l *loader) drills(n ast.Node) {
	m := l.mapping(n, "drills")
	if m == nil {
		return
	}
	l.estate.Drills.Tiers = map[string]time.Duration{}
	var want []field
	for _, tier := range tierNames {
		want = append(want, field{tier, func(n ast.Node) {
			if d := l.duration(n, "drills: "+tier); d > 0 {
				l.estate.Drills.Tiers[tier] = d
			}
		}})
	}
	l.fields(m, "drills", append(want, field{"runbooks", func(n ast.Node) {
		l.entries(n, "drills: runbooks", func(name string, key, value ast.Node) {
			if d := l.duration(value, name); d > 0 {
				l.estate.Drills.Runbooks = append(l.estate.Drills.Runbooks, DrillPeriod{name, d, l.pos(key)})
			}
		})
	}}))
}

// Rehearsal is what is known of the drills of one runbook.
type Rehearsal struct {
	Runbook string
	Every   time.Duration // how long a passed drill holds
	Passed  time.Time     // the newest drill of the runbook as it is now; zero: none
	Changed time.Time     // the newest of an earlier version; zero: none
	About   time.Duration // that it takes, from past ones; 0: not known
}

// DueDrill is a drill that has to be done, or has to be soon.
type DueDrill struct {
	Rehearsal
	Never bool          // it was never passed, in no version
	Left  time.Duration // until it is due; negative: late
}

// Late says whether it should have been done by now.
func (d DueDrill) Late() bool { return d.Never || d.Left < 0 }

// DrillsDue sorts the drills by how much they hurry: those that are late longest first,
// then those that were never done, then those to come.
func DrillsDue(list []Rehearsal, now time.Time) []DueDrill {
	var out []DueDrill
	for _, r := range list {
		d := DueDrill{Rehearsal: r}
		switch {
		case !r.Passed.IsZero():
			d.Left = r.Passed.Add(r.Every).Sub(now)
		case !r.Changed.IsZero(): // due since the runbook is another
			d.Left = min(r.Changed.Add(r.Every).Sub(now), -time.Second)
		default:
			d.Never = true
		}
		out = append(out, d)
	}
	rank := func(d DueDrill) int {
		switch {
		case d.Never:
			return 1
		case d.Left < 0:
			return 0
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b DueDrill) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Left, b.Left))
	})
	return out
}
