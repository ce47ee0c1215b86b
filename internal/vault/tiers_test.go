package vault

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// idAt is an id of a point that began at a time.
func idAt(t time.Time) string {
	return stamp(t) + "-01KAR3Q1XKZ6Y1TQ3V3N0CQ8ZD"
}

func TestKeepChooses(t *testing.T) {
	at := func(text string) string {
		d, err := time.Parse("2006-01-02 15:04", text)
		must(t, err)
		return idAt(d)
	}
	every := func(from string, step time.Duration, n int) []string {
		d, err := time.Parse("2006-01-02 15:04", from)
		must(t, err)
		var ids []string
		for range n {
			ids = append(ids, idAt(d))
			d = d.Add(step)
		}
		return ids
	}
	all := func(string) bool { return true }
	for _, tt := range []struct {
		name   string
		keep   Keep
		ids    []string
		proven func(string) bool
		want   string // day and time of what is kept, oldest first
	}{
		{"nothing asked", Keep{}, every("2026-11-23 00:00", time.Hour, 5), all, ""},
		{"nothing there", Keep{Daily: 3, Within: time.Hour}, nil, all, ""},
		{"hourly: the newest of each hour", Keep{Hourly: 3}, every("2026-11-23 00:00", 15*time.Minute, 18), all,
			"23T0245 23T0345 23T0415"},
		{"daily ends at midnight in UTC", Keep{Daily: 2}, []string{at("2026-11-22 23:59"), at("2026-11-23 00:00"), at("2026-11-23 12:00")}, all,
			"22T2359 23T1200"},
		{"weeks begin on Monday", Keep{Weekly: 2}, []string{at("2026-11-15 12:00"), at("2026-11-16 00:00"), at("2026-11-22 23:59"), at("2026-11-23 00:00")}, all,
			"22T2359 23T0000"},
		{"the last days of a year may be in week one", Keep{Weekly: 2}, []string{at("2025-12-28 12:00"), at("2025-12-29 12:00"), at("2026-01-01 12:00")}, all,
			"28T1200 01T1200"},
		{"months and years", Keep{Monthly: 2, Yearly: 2}, []string{at("2024-12-31 23:59"), at("2025-12-31 12:00"), at("2026-10-31 12:00"), at("2026-11-01 00:00"), at("2026-11-02 00:00")}, all,
			"31T1200 31T1200 02T0000"},
		{"an empty period does not count", Keep{Daily: 2}, []string{at("2026-09-01 12:00"), at("2026-11-23 12:00")}, all,
			"01T1200 23T1200"},
		{"only what is proven counts", Keep{Daily: 2}, every("2026-11-20 12:00", 24*time.Hour, 4),
			func(id string) bool { return id[6:8] < "22" }, "20T1200 21T1200"},
		{"within is counted from the newest", Keep{Within: 2 * time.Hour}, every("2026-11-23 00:00", time.Hour, 6), func(string) bool { return false },
			"23T0300 23T0400 23T0500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slices.Sort(tt.ids)
			reasons := tt.keep.choose(tt.ids, tt.proven)
			var got []string
			for _, id := range tt.ids {
				if len(reasons[id]) > 0 {
					got = append(got, id[6:13])
				}
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("kept %s, want %s", text, tt.want)
			}
		})
	}
}

// Whatever the rules, the calendar has the shape that they promise.
func TestKeepHoldsItsCounts(t *testing.T) {
	var ids []string
	for d := time.Date(2019, 3, 1, 0, 7, 0, 0, time.UTC); d.Year() < 2021; d = d.Add(53 * time.Minute) {
		ids = append(ids, idAt(d))
	}
	keep := Keep{Hourly: 24, Daily: 14, Weekly: 8, Monthly: 12, Yearly: 7}
	count := map[string]int{}
	for id, why := range keep.choose(ids, func(string) bool { return true }) {
		for _, w := range why {
			count[w]++
		}
		if len(why) == 0 {
			t.Errorf("%s is kept for no reason", id)
		}
	}
	if got := fmt.Sprint(count); got != "map[daily:14 hourly:24 monthly:12 weekly:8 yearly:2]" {
		t.Error(got)
	}
}
