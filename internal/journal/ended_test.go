package journal

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/run"
)

func TestSucceeded(t *testing.T) {
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
	for _, tc := range []struct {
		wanted []Want
		want   []run.ID
	}{
		{[]Want{{run.Live, "restore"}}, []run.ID{"c", "b"}},
		{[]Want{{run.Live, "restore"}, {run.Drill, "restore"}, {run.Drill, "restore-more"}}, []run.ID{"f", "c", "b"}},
		{[]Want{{run.Live, `a "quoted" <book>`}}, []run.ID{"h"}},
		{[]Want{{run.Live, "rest"}, {run.Dry, "restore"}}, nil},
		{nil, nil},
	} {
		list, err := j.Succeeded(t.Context(), tc.wanted, 2)
		must(t, err)
		var got []run.ID
		for _, s := range list {
			got = append(got, s.ID)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%v: %s", tc.wanted, diff)
		}
	}
}

// BenchmarkSucceeded10000 is what the board reads of 10,000 runs.
func BenchmarkSucceeded10000(b *testing.B) {
	j := many(b, 10_000)
	var wanted []Want
	for i := range 25 {
		wanted = append(wanted, Want{run.Live, fmt.Sprintf("book-%d", i)}, Want{run.Drill, "accidental-force-push"})
	}
	wanted = append(wanted, Want{run.Live, "accidental-force-push"})
	for b.Loop() {
		if list, err := j.Succeeded(b.Context(), wanted, 12); err != nil || len(list) != 12 {
			b.Fatalf("%d runs, %v", len(list), err)
		}
	}
}
