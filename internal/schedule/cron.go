package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/hint"
)

// Cron is when something is due, as the five fields of a line of cron say it. The zero
// value is never due; [ParseCron] makes the others.
type Cron struct {
	minute, hour, day, month, weekday field
}

// field is the set of values that one field names.
type field struct {
	set  uint64 // bit n: the value n
	star bool   // it begins with "*", which matters for days: see [Cron.onDay]
	step int    // of "*/step", 0 otherwise
}

// part describes a field of a line.
type part struct {
	name     string
	low, top int // what may be written
	names    []string
}

var parts = [5]part{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"weekday", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}}, // 7 is Sunday too
}

var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
	"@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// ParseCron reads the five fields minute, hour, day of the month, month and weekday, each
// "*", a number, a name of three letters, a range, a list, or a step over "*" or a range;
// or one of @hourly, @daily, @weekly, @monthly and @yearly. It takes what cron, systemd and
// Kubernetes all understand and nothing else: no seconds, no years, no "L", "W", "#" or
// "?", no @reboot. A day that no calendar has, such as February 30th, is an error.
func ParseCron(text string) (Cron, error) {
	c, err := parseCron(text)
	if err != nil {
		return Cron{}, hint.Wrap(fmt.Errorf("cron %q: %w", text, err),
			`write "minute hour day month weekday", such as "15 1 * * *" for every day at 01:15, or @daily`)
	}
	return c, nil
}

func parseCron(text string) (Cron, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if full, ok := nicknames[text]; ok {
		text = full
	}
	fields := strings.Fields(text)
	switch {
	case strings.HasPrefix(text, "@"):
		return Cron{}, fmt.Errorf("there is no %s", strings.Fields(text)[0])
	case len(fields) == 6 || len(fields) == 7:
		return Cron{}, fmt.Errorf("it has %d fields; seconds and years are not supported", len(fields))
	case len(fields) != 5:
		return Cron{}, fmt.Errorf("it has %d fields, not five", len(fields))
	}
	var c Cron
	for i, to := range []*field{&c.minute, &c.hour, &c.day, &c.month, &c.weekday} {
		f, err := parts[i].parse(fields[i])
		if err != nil {
			return Cron{}, err
		}
		*to = f
	}
	if c.weekday.has(7) {
		c.weekday.set = c.weekday.set&^(1<<7) | 1
	}
	if _, ok := c.wallNext(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return Cron{}, errors.New("no calendar has such a day")
	}
	return c, nil
}

// parse reads one field.
func (p part) parse(text string) (field, error) {
	var f field
	items := strings.Split(text, ",")
	for _, item := range items {
		span, step, stepped := strings.Cut(item, "/")
		low, high := p.low, p.top
		if span == "*" {
			if len(items) > 1 {
				return f, fmt.Errorf("%s: %q is a list with \"*\" in it", p.name, text)
			}
			f.star = true
			if p.top == 7 {
				high = 6
			}
		} else {
			first, last, isRange := strings.Cut(span, "-")
			var err error
			if low, err = p.value(first); err != nil {
				return f, err
			}
			high = low
			if isRange {
				if high, err = p.value(last); err != nil {
					return f, err
				}
			} else if stepped {
				return f, fmt.Errorf("%s: %q: a step needs a range or \"*\" before it", p.name, item)
			}
			if high < low {
				return f, fmt.Errorf("%s: %q runs backwards", p.name, item)
			}
		}
		by := 1
		if stepped {
			n, err := strconv.ParseUint(step, 10, 8)
			if err != nil || n == 0 || int(n) > p.top {
				return f, fmt.Errorf("%s: %q is no step from 1 to %d", p.name, step, p.top)
			}
			by = int(n)
		}
		if f.star && by > 1 {
			f.step = by
		}
		for v := low; v <= high; v += by {
			f.set |= 1 << v
		}
	}
	return f, nil
}

func (p part) value(text string) (int, error) {
	for i, name := range p.names {
		if text == name {
			return p.low + i, nil
		}
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || strings.HasPrefix(text, "+") || int(n) < p.low || int(n) > p.top {
		return 0, fmt.Errorf("%s: %q is not between %d and %d", p.name, text, p.low, p.top)
	}
	return int(n), nil
}

func (f field) has(v int) bool { return f.set&(1<<v) != 0 }

// every says whether the field has no say: all values from low to high are in it.
func (f field) every(low, high int) bool {
	return bits.OnesCount64(f.set) == high-low+1
}

// runs are the values as ranges.
func (f field) runs() (out [][2]int) {
	for v := 0; v < 64; v++ {
		if !f.has(v) {
			continue
		}
		low := v
		for f.has(v + 1) {
			v++
		}
		out = append(out, [2]int{low, v})
	}
	return out
}

func (f field) String() string {
	switch {
	case f.step > 0:
		return "*/" + strconv.Itoa(f.step)
	case f.star:
		return "*"
	}
	var items []string
	for _, r := range f.runs() {
		item := strconv.Itoa(r[0])
		if r[1] > r[0] {
			item += "-" + strconv.Itoa(r[1])
		}
		items = append(items, item)
	}
	return strings.Join(items, ",")
}

// String writes the five fields in numbers, which every cron reads alike: Sunday is 0.
func (c Cron) String() string {
	var out []string
	for _, f := range []field{c.minute, c.hour, c.day, c.month, c.weekday} {
		out = append(out, f.String())
	}
	return strings.Join(out, " ")
}

// either says whether a day is due by its date or by its weekday. That is so when both
// fields say something; with a star at the head of one of them both must agree. The rule
// looks at the star and not at the set, as cron does: "*/2" has one.
func (c Cron) either() bool { return !c.day.star && !c.weekday.star }

func (c Cron) onDay(t time.Time) bool {
	if !c.month.has(int(t.Month())) {
		return false
	}
	date, weekday := c.day.has(t.Day()), c.weekday.has(int(t.Weekday()))
	if c.either() {
		return date || weekday
	}
	return date && weekday
}

// hourly says that the schedule runs in every hour and so goes by elapsed time.
func (c Cron) hourly() bool { return c.hour.every(0, 23) }

// horizon bounds the search for a tick, in days. February 29th that has to be one of a few
// weekdays can be 40 years away.
const horizon = 41 * 366

// wallNext is the first due minute of the wall clock not before w. A time in UTC stands for
// what the clock shows.
func (c Cron) wallNext(w time.Time) (time.Time, bool) {
	day := w.Truncate(24 * time.Hour)
	from := int(w.Sub(day)/time.Minute) + min(1, int(w.Sub(day)%time.Minute))
	for range horizon {
		if c.onDay(day) {
			for m := from; m < 24*60; m++ {
				if !c.hour.has(m / 60) {
					m += 59 - m%60
					continue
				}
				if c.minute.has(m % 60) {
					return day.Add(time.Duration(m) * time.Minute), true
				}
			}
		}
		day, from = day.Add(24*time.Hour), 0
	}
	return time.Time{}, false
}

// wallPrev is the last due minute not after w.
func (c Cron) wallPrev(w time.Time) (time.Time, bool) {
	day := w.Truncate(24 * time.Hour)
	from := int(w.Sub(day) / time.Minute)
	for range horizon {
		if c.onDay(day) {
			for m := from; m >= 0; m-- {
				if !c.hour.has(m / 60) {
					m -= m % 60
					continue
				}
				if c.minute.has(m % 60) {
					return day.Add(time.Duration(m) * time.Minute), true
				}
			}
		}
		day, from = day.Add(-24*time.Hour), 24*60-1
	}
	return time.Time{}, false
}

// Next is the first moment after t at which the schedule is due in a zone, the zero time
// when there is none within 40 years.
func (c Cron) Next(t time.Time, zone *time.Location) time.Time {
	best := time.Time{}
	w := wall(t, zone).Add(-swing(t, zone)).Truncate(time.Minute)
	for {
		var ok bool
		if w, ok = c.wallNext(w); !ok {
			return best
		}
		first, second := moments(w, zone, c.hourly())
		for _, m := range []time.Time{first, second} {
			if m.After(t) && (best.IsZero() || m.Before(best)) {
				best = m
			}
		}
		// First moments rise with the clock, so none that follows is earlier.
		if first.After(t) {
			return best.In(zone)
		}
		w = w.Add(time.Minute)
	}
}

// Prev is the last moment not after t, the zero time when there is none within 40 years.
func (c Cron) Prev(t time.Time, zone *time.Location) time.Time {
	best := time.Time{}
	w := wall(t, zone).Add(swing(t, zone))
	for {
		var ok bool
		if w, ok = c.wallPrev(w); !ok {
			return best
		}
		first, second := moments(w, zone, c.hourly())
		last := first
		for _, m := range []time.Time{first, second} {
			if !m.IsZero() && !m.After(t) && m.After(best) {
				best = m
			}
			if m.After(last) {
				last = m
			}
		}
		if !last.IsZero() && !last.After(t) { // last moments fall with the clock
			return best.In(zone)
		}
		w = w.Add(-time.Minute)
	}
}

// wall is what the clock in a zone shows, as if it were UTC.
func wall(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// around are the moments whose offsets from UTC may hold near t: no zone is further from
// UTC than 26 hours, and none changes twice in three days.
func around(t time.Time) [3]time.Time {
	return [3]time.Time{t.Add(-36 * time.Hour), t, t.Add(36 * time.Hour)}
}

// swing is how far the clock in a zone jumps near t, 0 on most days.
func swing(t time.Time, zone *time.Location) time.Duration {
	low, high := 1<<30, -1<<30
	for _, m := range around(t) {
		_, offset := m.In(zone).Zone()
		low, high = min(low, offset), max(high, offset)
	}
	return time.Duration(high-low) * time.Second
}

// moments are when the clock in a zone shows w. Usually that is once, and second is zero.
//
// By elapsed time a skipped w has no moment and a repeated one has two. Otherwise each has
// one: the jump that skips it, the first of the two.
func moments(w time.Time, zone *time.Location, elapsed bool) (first, second time.Time) {
	for _, near := range around(w) {
		_, offset := near.In(zone).Zone()
		m := w.Add(-time.Duration(offset) * time.Second)
		if !wall(m, zone).Equal(w) || m.Equal(first) || m.Equal(second) {
			continue
		}
		switch {
		case first.IsZero():
			first = m
		case m.Before(first):
			first, second = m, first
		default:
			second = m
		}
	}
	switch {
	case elapsed:
		return first, second
	case !first.IsZero():
		return first, time.Time{}
	}
	_, before := w.Add(-36 * time.Hour).In(zone).Zone()
	jump, _ := w.Add(-time.Duration(before) * time.Second).In(zone).ZoneBounds()
	return jump.UTC(), time.Time{}
}
