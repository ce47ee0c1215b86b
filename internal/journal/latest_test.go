package journal

import (
	"slices"
	"testing"

	"lifeboat/internal/run"
)

// TestLatest: one run per runbook, mode and kind of end, and never an open one.
func TestLatest(t *testing.T) {
	j := opened(t, place(t))
	put := func(id run.ID, book string, mode run.Mode, outcome run.Outcome) {
		t.Helper()
		events := history(id)
		s := events[0].Body.(run.Started)
		s.Book, s.Mode = book, mode
		events[0].Body = s
		if outcome == "" {
			events = events[:len(events)-1]
		} else {
			events[len(events)-1].Body = run.Ended{Outcome: outcome, By: "ada"}
		}
		for _, ev := range events {
			if err := j.Append(t.Context(), ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("20261124T030000Z-0001", "a", run.Live, run.Complete)
	put("20261124T030000Z-0002", "a", run.Live, run.CompleteWithOverrides)
	put("20261124T030000Z-0003", "a", run.Live, run.Aborted)
	put("20261124T030000Z-0004", "a", run.Drill, run.Complete)
	put("20261124T030000Z-0005", "b", run.Dry, run.Complete)
	put("20261124T030000Z-0006", "a", run.Live, "")
	put("20261124T030000Z-0007", "b", run.Drill, run.NotComplete)
	got, err := j.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shorts(got), []string{"0007", "0005", "0004", "0003", "0002"}; !slices.Equal(got, want) {
		t.Errorf("latest are %v, want %v", got, want)
	}
	for _, tc := range []struct {
		book  string
		limit int
		want  []string
	}{{"a", 9, []string{"0004", "0002", "0001"}}, {"a", 2, []string{"0004", "0002"}}, {"b", 9, nil}, {"'; DROP TABLE runs", 9, nil}} {
		got, err := j.Completed(t.Context(), tc.book, tc.limit)
		if err != nil {
			t.Fatal(err)
		}
		if got := shorts(got); !slices.Equal(got, tc.want) {
			t.Errorf("completed of %q are %v, want %v", tc.book, got, tc.want)
		}
	}
}

func shorts(list []Summary) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.ID.Short())
	}
	return out
}

// BenchmarkLatest10000 is what the library asks of 10,000 runs when it is opened.
func BenchmarkLatest10000(b *testing.B) {
	j := many(b, 10_000)
	b.Run("latest", func(b *testing.B) {
		for b.Loop() {
			if list, err := j.Latest(b.Context()); err != nil || len(list) == 0 {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("completed", func(b *testing.B) {
		for b.Loop() {
			if list, err := j.Completed(b.Context(), "accidental-force-push", 7); err != nil || len(list) != 7 {
				b.Fatal(len(list), err)
			}
		}
	})
}
