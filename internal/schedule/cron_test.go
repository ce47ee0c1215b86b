package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/adhocore/gronx"
	"pgregory.net/rapid"

	"lifeboat/internal/hint"
	"lifeboat/internal/schedule"
)

func parse(t testing.TB, text string) schedule.Cron {
	t.Helper()
	c, err := schedule.ParseCron(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestParseCron(t *testing.T) {
	for in, want := range map[string]string{
		"15 1 * * *":                 "15 1 * * *",
		"  */15\t*  * * * ":          "*/15 * * * *",
		"@daily":                     "0 0 * * *",
		"@WEEKLY":                    "0 0 * * 0",
		"0 9 1 jan,APR,7,10 *":       "0 9 1 1,4,7,10 *",
		"0 0 * * 7":                  "0 0 * * 0",
		"0 0 * * 5-7":                "0 0 * * 0,5-6",
		"0 0 * * mon-fri":            "0 0 * * 1-5",
		"1-10/3,20 0-23/6 */1 * */2": "1,4,7,10,20 0,6,12,18 * * */2",
		"0 0 29 2 *":                 "0 0 29 2 *",
		"59 23 31 12 *":              "59 23 31 12 *",
		"0,1,2,3,4 0 * * *":          "0-4 0 * * *",
		"0 0 31 1-12 *":              "0 0 31 1-12 *",
		"0 0 1-31 * 1":               "0 0 1-31 * 1",
	} {
		c, err := schedule.ParseCron(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if c.String() != want {
			t.Errorf("%q = %q, want %q", in, c, want)
		} else if again := parse(t, c.String()); again != c && in != "1-10/3,20 0-23/6 */1 * */2" {
			t.Errorf("%q changes when it is written and read", in)
		}
	}
}

func TestParseCronRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "0 fields",
		"* * * *":             "4 fields",
		"0 0 1 * * *":         "seconds and years",
		"0 0 1 * * * 2026":    "seconds and years",
		"@reboot":             "there is no @reboot",
		"@every 5m":           "there is no @every",
		"60 * * * *":          `minute: "60" is not between 0 and 59`,
		"* 24 * * *":          `hour: "24" is not`,
		"* * 0 * *":           `day of the month: "0" is not`,
		"* * 32 * *":          `day of the month: "32" is not`,
		"* * * 13 *":          `month: "13" is not`,
		"* * * * 8":           `weekday: "8" is not`,
		"* * * * fir":         `weekday: "fir" is not`,
		"* * L * *":           `day of the month: "l" is not`,
		"* * ? * *":           `day of the month: "?" is not`,
		"* * * * 5#2":         `weekday: "5#2" is not`,
		"5-1 * * * *":         "runs backwards",
		"*/0 * * * *":         `"0" is no step`,
		"*/60 * * * *":        `"60" is no step`,
		"*/ * * * *":          `"" is no step`,
		"5/15 * * * *":        "a step needs a range",
		"*,5 * * * *":         `a list with "*"`,
		"1,,2 * * * *":        `"" is not between`,
		"-1 * * * *":          `"" is not between`,
		"+1 * * * *":          `"+1" is not between`,
		"1- * * * *":          `"" is not between`,
		"**** * * * *":        `"****" is not`,
		"0 0 30 2 *":          "no calendar has such a day",
		"0 0 31 4,6,9,11 *":   "no calendar has such a day",
		"99999999999 * * * *": "is not between",
	} {
		_, err := schedule.ParseCron(in)
		if err == nil || !strings.Contains(err.Error(), want) || len(hint.All(err)) == 0 {
			t.Errorf("%q: %v, want %q and advice", in, err, want)
		}
	}
}

func FuzzParseCron(f *testing.F) {
	for _, s := range []string{"* * * * *", "@daily", "*/5 1-4/2 1,2 jan mon", "0 0 29 2 */7", "", "a b c d e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := schedule.ParseCron(text)
		if err != nil {
			return
		}
		again, err := schedule.ParseCron(c.String())
		if err != nil || again.String() != c.String() {
			t.Fatalf("%q is written as %q, which is read as %q, %v", text, c, again, err)
		}
		at := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
		next := c.Next(at, time.UTC)
		if next.IsZero() || !next.After(at) || !c.Prev(next, time.UTC).Equal(next) {
			t.Fatalf("%q: next %v, whose previous is %v", text, next, c.Prev(next, time.UTC))
		}
	})
}

// line makes lines of cron that have a tick within a few years.
func line() *rapid.Generator[string] {
	one := func(low, high int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			switch rapid.IntRange(0, 4).Draw(t, "form") {
			case 0:
				return "*"
			case 1:
				return fmt.Sprintf("*/%d", rapid.IntRange(1, max(1, high/2)).Draw(t, "step"))
			case 2:
				a := rapid.IntRange(low, high).Draw(t, "a")
				return fmt.Sprintf("%d-%d", a, rapid.IntRange(a, high).Draw(t, "b"))
			case 3:
				return fmt.Sprintf("%d,%d", rapid.IntRange(low, high).Draw(t, "a"), rapid.IntRange(low, high).Draw(t, "b"))
			}
			return fmt.Sprint(rapid.IntRange(low, high).Draw(t, "value"))
		})
	}
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join([]string{one(0, 59).Draw(t, "minute"), one(0, 23).Draw(t, "hour"), one(1, 28).Draw(t, "day"),
			one(1, 12).Draw(t, "month"), one(0, 6).Draw(t, "weekday")}, " ")
	})
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func moment(t *rapid.T) time.Time {
	return epoch.Add(time.Duration(rapid.Int64Range(0, 3*366*86400).Draw(t, "second")) * time.Second)
}

// TestTicksAreThoseOfAnotherLibrary: gronx shares no code with us. Both read the same line
// and must agree on every minute.
func TestTicksAreThoseOfAnotherLibrary(t *testing.T) {
	other := gronx.New()
	rapid.Check(t, func(t *rapid.T) {
		text := line().Draw(t, "line")
		c, err := schedule.ParseCron(text)
		if err != nil {
			t.Fatal(err)
		}
		at := moment(t)
		next := c.Next(at, time.UTC)
		due := func(m time.Time) bool {
			ok, err := other.IsDue(text, m)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		if !due(next) {
			t.Fatalf("%q: after %v comes %v, which is not due", text, at, next)
		}
		// Nothing is due between: look at each minute near both ends.
		for m := at.Truncate(time.Minute).Add(time.Minute); m.Before(next) && m.Before(at.Add(3*time.Hour)); m = m.Add(time.Minute) {
			if due(m) {
				t.Fatalf("%q: %v is due between %v and %v", text, m, at, next)
			}
		}
		for m := next.Add(-3 * time.Hour); m.Before(next); m = m.Add(time.Minute) {
			if m.After(at) && due(m) {
				t.Fatalf("%q: %v is due between %v and %v", text, m, at, next)
			}
		}
	})
}

// TestNextAndPrevAgree in zones with jumps of half an hour, of two hours and of a day.
func TestNextAndPrevAgree(t *testing.T) {
	zones := []string{"UTC", "Africa/Johannesburg", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := schedule.ParseCron(line().Draw(t, "line"))
		if err != nil {
			t.Fatal(err)
		}
		at := moment(t)
		next, prev := c.Next(at, z), c.Prev(at, z)
		if !next.After(at) || prev.After(at) || prev.IsZero() {
			t.Fatalf("%s %s at %v: prev %v, next %v", c, name, at, prev, next)
		}
		if got := c.Prev(next, z); !got.Equal(next) {
			t.Fatalf("%s %s: the tick %v is not its own last one, %v is", c, name, next, got)
		}
		if got := c.Prev(next.Add(-1), z); !got.Equal(prev) {
			t.Fatalf("%s %s at %v: before %v comes %v, not %v", c, name, at, next, got, prev)
		}
		if got := c.Next(prev, z); !got.Equal(next) {
			t.Fatalf("%s %s at %v: after %v comes %v, not %v", c, name, at, prev, got, next)
		}
	})
}

// TestClockJumps has the rules of the package comment, one each.
func TestClockJumps(t *testing.T) {
	for name, tt := range map[string]struct {
		line, zone, from, to string
		want                 []string
	}{
		"a skipped time runs at the jump": {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		"two skipped times run once": {"0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00"}},
		"a repeated time runs the first time": {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		"every hour goes on, spring": {"0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00", "2026-03-29T05:00:00+02:00"}},
		"every hour goes on, autumn": {"0 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", "2026-10-25T02:00:00Z",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		"half an hour repeated": {"*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:30:00Z", "2026-04-04T15:30:00Z",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-05T01:30:00+10:30", "2026-04-05T01:45:00+10:30", "2026-04-05T02:00:00+10:30"}},
		"a day that never was": {"0 12 30 * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-30T12:00:00Z",
			[]string{"2011-12-31T00:00:00+14:00", "2012-01-30T12:00:00+14:00"}},
		"midnight skipped": {"0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z",
			[]string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, z := parse(t, tt.line), zone(t, tt.zone)
			from, to := rfc(t, tt.from), rfc(t, tt.to)
			var got []string
			for at := c.Next(from, z); !at.After(to); at = c.Next(at, z) {
				got = append(got, at.Format(time.RFC3339))
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("forwards  %v\nwant      %v", got, tt.want)
			}
			var back []string
			for at := c.Prev(to, z); at.After(from); at = c.Prev(at.Add(-1), z) {
				back = append([]string{at.Format(time.RFC3339)}, back...)
			}
			if fmt.Sprint(back) != fmt.Sprint(tt.want) {
				t.Errorf("backwards %v\nwant      %v", back, tt.want)
			}
		})
	}
}

func rfc(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestDelayAndPeriod(t *testing.T) {
	s := schedule.Schedule{Name: "daily", Cron: "15 1 * * *", Jitter: 10 * time.Minute}
	seen := map[time.Duration]bool{}
	for i := range 50 {
		d := s.Delay(fmt.Sprintf("host-%d", i))
		if d < 0 || d >= s.Jitter || d != s.Delay(fmt.Sprintf("host-%d", i)) {
			t.Fatalf("delay %s", d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("50 hosts share %d delays", len(seen))
	}
	for line, want := range map[string]time.Duration{"*/15 * * * *": 15 * time.Minute, "0 0,23 * * *": time.Hour, "@weekly": 7 * 24 * time.Hour, "0 0 29 2 *": 1461 * 24 * time.Hour} {
		s.Cron = line
		if got, err := s.Period(); err != nil || got != want {
			t.Errorf("period of %q = %s, %v, want %s", line, got, err, want)
		}
	}
	for name, ok := range map[string]bool{"daily": true, "a": true, "a-1": true, "": false, "1a": false, "A": false, "a-": false, "a.b": false, strings.Repeat("a", 40): true, strings.Repeat("a", 41): false, "a\n": false} {
		if schedule.ValidName(name) != ok {
			t.Errorf("ValidName(%q) = %v", name, !ok)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	c, z := parse(b, "15 1 * * *"), zone(b, "Europe/Berlin")
	for b.Loop() {
		c.Next(epoch, z)
	}
}
