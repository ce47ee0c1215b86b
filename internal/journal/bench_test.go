package journal

import (
	"fmt"
	"testing"

	"lifeboat/internal/run"
)

// many fills a journal with runs in one transaction: what is measured is reading.
func many(b *testing.B, runs int) *Journal {
	b.Helper()
	j := opened(b, place(b))
	must(b, exec(b.Context(), j.write, "BEGIN IMMEDIATE"))
	for i := range runs {
		events := history(run.ID(fmt.Sprintf("202611%02dT%06dZ-%04X", i%28+1, i, i)))
		if i%1000 == 7 {
			events = events[:4] // stays open
		}
		for _, ev := range events {
			data, err := run.Encode(ev)
			must(b, err)
			if j.head, err = j.insertLocked(b.Context(), ev, data); err != nil {
				b.Fatal(err)
			}
		}
	}
	must(b, exec(b.Context(), j.write, "COMMIT"))
	return j
}

// BenchmarkRuns10000 is the home screen with 10,000 runs, the newest hundred and all; the
// goal is below 150 ms.
func BenchmarkRuns10000(b *testing.B) {
	j := many(b, 10_000)
	for _, limit := range []int{100, 0} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			for b.Loop() {
				list, err := j.Runs(b.Context(), limit)
				if err != nil || len(list) == 0 || !list[9].Open() || list[10].Open() {
					b.Fatalf("%d runs, %v", len(list), err)
				}
			}
		})
	}
	b.Run("page", func(b *testing.B) { // the first frame of the history
		for b.Loop() {
			if list, err := j.Page(b.Context(), 0, 128); err != nil || len(list) != 128 {
				b.Fatalf("%d runs, %v", len(list), err)
			}
		}
	})
	b.Run("pages", func(b *testing.B) { // and all that follow behind it
		for b.Loop() {
			n := 0
			for before := int64(0); ; {
				list, err := j.Page(b.Context(), before, 1024)
				if err != nil {
					b.Fatal(err)
				}
				if n += len(list); len(list) < 1024 {
					break
				}
				before = list[1023].Place
			}
			if n != 10_000 {
				b.Fatalf("%d runs", n)
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			if _, err := j.Find(b.Context(), "1F40"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		must(b, writeWitness(j.path, j.head))
		for b.Loop() {
			if r, err := j.Verify(b.Context()); err != nil {
				b.Fatalf("%+v, %v", r, err)
			}
		}
	})
}

// BenchmarkAppend includes the fsync, and for every fourth event or so that of the witness.
func BenchmarkAppend(b *testing.B) {
	j := opened(b, place(b))
	i := 0
	var events []run.Event
	for b.Loop() {
		if len(events) == 0 {
			events = history(run.ID(fmt.Sprintf("r-%d", i)))
			i++
		}
		must(b, j.Append(b.Context(), events[0]))
		events = events[1:]
	}
}
