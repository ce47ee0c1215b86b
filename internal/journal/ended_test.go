package journal

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/run"
)

// TestEnded: the newest few of each kind, and never an open one.
func TestEnded(t *testing.T) {
	j := opened(t, place(t))
	add := func(id, book string, mode run.Mode, outcome run.Outcome) {
		events := history(run.ID(id))
		started := events[0].Body.(run.Started)
		started.Book, started.Mode = book, mode
		events[0].Body = started
		if outcome == "" {
			events = events[:3]
		} else {
			events[len(events)-1].Body = run.Ended{Outcome: outcome}
		}
		appended(t, j, events...)
	}
	add("a", "restore", run.Live, run.Complete)
	add("b", "restore", run.Live, run.CompleteWithOverrides)
	add("c", "restore", run.Live, run.Complete)
	add("d", "restore", run.Live, run.NotComplete)
	add("e", "restore", run.Live, "")
	add("f", "restore", run.Drill, run.Complete)
	add("g", "restore-more", run.Live, run.Complete)
	add("h", `a "quoted" <book>`, run.Live, run.Complete)
	add("i", "restore", run.Live, run.Aborted)
	add("j", "restore", run.Dry, run.Complete)
	for _, tc := range []struct {
		wanted []Want
		few    int
		want   []run.ID
	}{
		{[]Want{{run.Live, "restore", false}}, 2, []run.ID{"c", "b"}},
		{[]Want{{run.Live, "restore", false}}, 9, []run.ID{"c", "b", "a"}},
		{[]Want{{run.Live, "restore", true}}, 1, []run.ID{"i"}},
		{[]Want{{run.Live, "restore", true}, {run.Live, "restore", false}}, 1, []run.ID{"i", "c"}},
		{[]Want{{run.Live, "restore", false}, {run.Drill, "restore", false}, {run.Drill, "restore-more", false}}, 2, []run.ID{"f", "c", "b"}},
		{[]Want{{run.Live, "restore", false}, {run.Live, "restore", false}}, 1, []run.ID{"c"}},
		{[]Want{{run.Live, `a "quoted" <book>`, false}}, 2, []run.ID{"h"}},
		{[]Want{{run.Dry, "restore", false}}, 2, []run.ID{"j"}},
		{[]Want{{run.Live, "rest", false}, {run.Dry, "restore", true}, {run.Live, "'; DROP TABLE runs", false}}, 2, nil},
		{[]Want{{run.Live, "restore", false}}, 0, nil},
		{nil, 2, nil},
	} {
		list, err := j.Ended(t.Context(), tc.wanted, tc.few)
		must(t, err)
		var got []run.ID
		for _, s := range list {
			got = append(got, s.ID)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%d of %v: %s", tc.few, tc.wanted, diff)
		}
	}
}

// BenchmarkEnded10000 is what the board and the library read of 10,000 runs, and what a
// forecast does.
func BenchmarkEnded10000(b *testing.B) {
	j := many(b, 10_000)
	var all []Want
	for i := range 25 {
		all = append(all, Want{run.Live, fmt.Sprintf("book-%d", i), false}, Want{run.Drill, "accidental-force-push", false})
	}
	one := Want{run.Live, "accidental-force-push", false}
	for _, bc := range []struct {
		name   string
		wanted []Want
	}{{"board", append(all, one)}, {"forecast", []Want{one}}} {
		b.Run(bc.name, func(b *testing.B) {
			for b.Loop() {
				if list, err := j.Ended(b.Context(), bc.wanted, 12); err != nil || len(list) != 12 {
					b.Fatalf("%d runs, %v", len(list), err)
				}
			}
		})
	}
}
