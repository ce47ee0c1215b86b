package app

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

// rounds is how often both ways are measured; the median of the ratios counts.
const rounds = 3

// BenchmarkGoals measures the goals of speed and size beside what a person would do
// without Lifeboat: the same input, in turns, on the same disk. It makes its own input,
// a repository of about 100 MB and a database of about 400 MB, and leaves nothing
// behind. At the end it prints one table.
//
//	make bench
//	go test -run '^$' -bench 'Goals/sqlite' -benchtime 1x ./internal/app
func BenchmarkGoals(b *testing.B) {
	t := &table{}
	b.Run("git", func(b *testing.B) { benchGit(b, t) })
	b.Run("sqlite", func(b *testing.B) { benchSQLite(b, t) })
	b.Run("steps", func(b *testing.B) { benchSteps(b, t) })
	b.Run("console", func(b *testing.B) { benchConsole(b, t) })
	t.print(os.Stdout)
}

// table collects the rows of all measurements.
type table struct{ rows []row }

type row struct{ work, ours, other, otherWay, ratio, goal, verdict string }

func (t *table) print(w io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\nMedians of %d rounds, both ways in turns. Load of the machine: %s.\n\n", rounds, load())
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(r row) {
		cells := []string{r.work, r.ours, r.other, r.otherWay, r.ratio, r.goal, r.verdict}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	line(row{"work", "Lifeboat", "other", "the other way", "ratio", "goal", ""})
	for _, r := range t.rows {
		line(r)
	}
	tw.Flush()
	fmt.Fprintln(w)
}

// load is what else the machine does: figures of a busy one are worth less.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}

// pair is one comparison. Each way gets the number of the round, prepares what it
// needs, and returns how long the measured part took.
type pair struct {
	work, otherWay string
	ours, other    func(b *testing.B, round int) time.Duration

	// goal: at least this many times faster, or at most this many times the time of
	// the other way. 0: no goal, the figure is for comparison.
	faster, within float64
}

// measure runs both ways in turns and adds a row.
func (t *table) measure(b *testing.B, name string, p pair) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		var ours, other []time.Duration
		var ratios []float64
		for i := range rounds {
			quiet()
			a := p.ours(b, i)
			quiet()
			c := p.other(b, i)
			ours, other = append(ours, a), append(other, c)
			ratios = append(ratios, c.Seconds()/a.Seconds())
		}
		x := median(ratios)
		r := row{work: p.work, ours: short(median(ours)), other: short(median(other)), otherWay: p.otherWay}
		r.ratio = fmt.Sprintf("%.1f x faster", x)
		if p.within > 0 || x < 1 {
			r.ratio = fmt.Sprintf("%.2f x the time", 1/x)
		}
		switch {
		case p.faster > 0:
			r.goal, r.verdict = fmt.Sprintf(">= %g x faster", p.faster), reached(x >= p.faster)
		case p.within > 0:
			r.goal, r.verdict = fmt.Sprintf("<= %g x the time", p.within), reached(1/x <= p.within)
		}
		t.rows = append(t.rows, r)
		b.ReportMetric(0, "ns/op") // of the rounds together: says nothing
		b.ReportMetric(x, "x_faster")
		b.ReportMetric(median(ours).Seconds(), "lifeboat_s")
		b.ReportMetric(median(other).Seconds(), "other_s")
	})
}

// limit adds a row for a figure that has no other way beside it.
func (t *table) limit(b *testing.B, work string, got, most float64, unit string) {
	b.Helper()
	t.rows = append(t.rows, row{
		work: work, ours: fmt.Sprintf("%.1f %s", got, unit),
		goal: fmt.Sprintf("< %g %s", most, unit), verdict: reached(got < most),
	})
}

// remark adds a row that only tells.
func (t *table) remark(work, figure string) { t.rows = append(t.rows, row{work: work, ours: figure}) }

func reached(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}

// quiet writes out what earlier work has left in memory, so that nobody waits for the
// disk on behalf of somebody else.
func quiet() { syscall.Sync() }

func median[T cmp.Ordered](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// timed measures f.
func timed(b *testing.B, f func() error) time.Duration {
	b.Helper()
	began := time.Now()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
