package vault

import (
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/printable"
)

// Keep says which points stay: grandfather, father, son. Each number keeps the newest
// proven point of so many calendar periods in UTC that have one; weeks begin on Monday.
// Periods without a proven point do not count, so that an outage costs no history.
type Keep struct {
	Within  time.Duration // every point of so long before the newest one
	Hourly  int
	Daily   int
	Weekly  int
	Monthly int
	Yearly  int
}

// any says whether there is a rule at all: without one, nothing is ever removed.
func (k Keep) any() bool {
	return k.Within > 0 || k.Hourly > 0 || k.Daily > 0 || k.Weekly > 0 || k.Monthly > 0 || k.Yearly > 0
}

func (k Keep) validate() error {
	if k.Within < 0 || min(k.Hourly, k.Daily, k.Weekly, k.Monthly, k.Yearly) < 0 {
		return fmt.Errorf("a retention with a number below zero")
	}
	return nil
}

// tier is one kind of calendar period.
type tier struct {
	name   string
	count  int
	period func(t time.Time) string // the same for all times of a period
}

func (k Keep) tiers() []tier {
	layout := func(l string) func(time.Time) string {
		return func(t time.Time) string { return t.UTC().Format(l) }
	}
	return []tier{
		{"hourly", k.Hourly, layout("2006-01-02 15")},
		{"daily", k.Daily, layout("2006-01-02")},
		{"weekly", k.Weekly, func(t time.Time) string {
			year, week := t.UTC().ISOWeek()
			return fmt.Sprintf("%04d-%02d", year, week)
		}},
		{"monthly", k.Monthly, layout("2006-01")},
		{"yearly", k.Yearly, layout("2006")},
	}
}

// choose gives the reasons to keep among ids, sorted oldest first, by id. Only what is
// proven counts for the periods. Within is counted from the newest id and not from the
// clock, which may lie.
func (k Keep) choose(ids []string, proven func(id string) bool) map[string][]string {
	reasons := map[string][]string{}
	if len(ids) == 0 {
		return reasons
	}
	newest := timeOf(ids[len(ids)-1])
	for _, id := range ids {
		if k.Within > 0 && !timeOf(id).Before(newest.Add(-k.Within)) {
			reasons[id] = append(reasons[id], "within "+printable.Span(k.Within))
		}
	}
	for _, t := range k.tiers() {
		last, left := "", t.count
		for _, id := range slices.Backward(ids) {
			if left == 0 {
				break
			}
			if !proven(id) {
				continue
			}
			if p := t.period(timeOf(id)); p != last {
				reasons[id] = append(reasons[id], t.name)
				last = p
				left--
			}
		}
	}
	return reasons
}

// timeOf is the time of an id that was read from a listing, which checks the form.
func timeOf(id string) time.Time {
	t, err := pointTime(id)
	if err != nil {
		return time.Time{}
	}
	return t
}
