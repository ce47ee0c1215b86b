package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/schedule"
)

// host is a machine for the loop: it records, starts, and has a clock that can be set. All
// of it runs in a bubble of synctest, where time passes when nobody does anything else.
type host struct {
	mu      sync.Mutex
	offset  time.Duration // by which the clock on the wall differs from that of the bubble
	last    map[string]time.Time
	started []string // "name tick"
	log     []string
	active  map[string]int
	most    int // of all schedules at once

	take       time.Duration // how long a run takes
	runErr     error
	recordErrs int // how many times Record still fails
}

func (h *host) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.offset)
}

// set moves the clock on the wall.
func (h *host) set(by time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.offset += by
}

func (h *host) options(t *testing.T, schedules ...schedule.Schedule) schedule.Options {
	if h.last == nil {
		h.last = map[string]time.Time{}
	}
	h.active = map[string]int{}
	return schedule.Options{
		Schedules: schedules, Host: "h", Now: h.now,
		Log: func(l string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.log = append(h.log, l)
		},
		Last: func(name string) (time.Time, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.last[name], nil
		},
		Record: func(name string, tick time.Time) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.recordErrs > 0 {
				h.recordErrs--
				return errors.New("disk full")
			}
			h.last[name] = tick
			return nil
		},
		Start: func(ctx context.Context, s schedule.Schedule, tick time.Time) error {
			h.mu.Lock()
			if !h.last[s.Name].Equal(tick) {
				t.Errorf("%s starts for %v before that is recorded", s.Name, tick)
			}
			h.started = append(h.started, s.Name+" "+tick.UTC().Format("02 15:04"))
			h.active[s.Name]++
			if h.active[s.Name] > 1 {
				t.Errorf("%s overlaps itself", s.Name)
			}
			sum := 0
			for _, n := range h.active {
				sum += n
			}
			h.most = max(h.most, sum)
			h.mu.Unlock()
			<-time.After(h.take) // in the bubble
			if ctx.Err() != nil {
				t.Errorf("the run of %s was cancelled", s.Name)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.active[s.Name]--
			return h.runErr
		},
	}
}

// during runs the loop for a while, with a script of what happens meanwhile, and waits for
// its clean end.
func during(t *testing.T, o schedule.Options, d time.Duration, script func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- schedule.Run(ctx, o) }()
	if script != nil {
		script()
	}
	<-time.After(d)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func (h *host) want(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.started, want) {
		t.Errorf("started %q\nwant    %q\nlog:\n%s", h.started, want, strings.Join(h.log, "\n"))
	}
}

func (h *host) said(t *testing.T, text string, times int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := strings.Count(strings.Join(h.log, "\n"), text); n != times {
		t.Errorf("the log says %q %d times, not %d:\n%s", text, n, times, strings.Join(h.log, "\n"))
	}
}

var (
	hourly = schedule.Schedule{Name: "hourly", Cron: "0 * * * *", Runbook: "r"}
	noon   = schedule.Schedule{Name: "noon", Cron: "0 12 * * *", Runbook: "r"}
)

// The bubble begins at midnight UTC of 2000-01-01.

func TestRunStartsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{take: time.Minute}
		during(t, h.options(t, hourly, noon), 13*time.Hour+time.Minute, nil)
		var want []string
		for i := 1; i <= 13; i++ {
			if i == 12 {
				want = append(want, "hourly 01 12:00", "noon 01 12:00")
				continue
			}
			want = append(want, fmt.Sprintf("hourly 01 %02d:00", i))
		}
		h.want(t, want...)
		if h.most != 1 {
			t.Errorf("%d runs at once", h.most)
		}
		h.said(t, "noon: due since 2000-01-01 12:00:00 UTC, waits for another run", 1)
	})
}

func TestRunCatchesUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{last: map[string]time.Time{
			"hourly": time.Now().Add(-5*time.Hour - 30*time.Minute), "noon": time.Now().Add(-3 * 24 * time.Hour),
		}}
		during(t, h.options(t, hourly, noon), 90*time.Minute, nil)
		h.want(t, "noon 31 12:00", "hourly 01 00:00", "hourly 01 01:00") // what waits longest first
		h.said(t, "one run makes up for 5 earlier ones missed", 1)
	})
}

func TestRunNewScheduleBeginsWithTheNextTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		during(t, h.options(t, noon), 11*time.Hour, nil)
		h.want(t)
		if got := h.last["noon"]; got.IsZero() {
			t.Error("what a restart has to make up for was not recorded")
		}
		h.mu.Lock()
		h.started = nil
		h.mu.Unlock()
		<-time.After(2 * time.Hour) // off over noon
		during(t, h.options(t, noon), time.Minute, nil)
		h.want(t, "noon 01 12:00")
	})
}

func TestRunNeverOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{take: 150 * time.Minute}
		o := h.options(t, hourly, noon)
		o.Parallel = 2
		during(t, o, 12*time.Hour+time.Minute, nil)
		// 01:00 runs until 03:30, then the tick of 03:00 at once, until 06:00, and so on.
		h.want(t, "hourly 01 01:00", "hourly 01 03:00", "hourly 01 06:00", "hourly 01 08:00", "hourly 01 11:00", "noon 01 12:00")
		h.said(t, "hourly: still running since 2000-01-01 01:00:00 UTC; the run of 2000-01-01 02:00:00 UTC waits for it", 1)
		if h.most != 2 {
			t.Errorf("%d runs at once, not 2", h.most)
		}
	})
}

func TestRunClockForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		during(t, h.options(t, hourly), 2*time.Minute, func() {
			<-time.After(70 * time.Minute)
			h.set(5 * time.Hour) // noticed within half a minute
		})
		h.want(t, "hourly 01 01:00", "hourly 01 06:00")
		h.said(t, "makes up for 4 earlier ones", 1)
	})
}

func TestRunClockBackward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		during(t, h.options(t, hourly), 2*time.Hour, func() {
			<-time.After(130 * time.Minute) // 02:10
			h.set(-time.Hour)               // 01:10; 02:00 comes again
		})
		h.want(t, "hourly 01 01:00", "hourly 01 02:00", "hourly 01 03:00")
	})
}

// TestRunClockWasWrong: a clock that was years ahead must not silence a schedule for years.
func TestRunClockWasWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{last: map[string]time.Time{"hourly": time.Now().AddDate(30, 0, 0)}}
		during(t, h.options(t, hourly), 70*time.Minute, nil)
		h.want(t, "hourly 01 01:00")
		h.said(t, "the clock was ahead", 1)
	})
}

func TestRunWaitsForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{take: 30 * time.Minute}
		begin := time.Now()
		during(t, h.options(t, hourly), 61*time.Minute, nil)
		h.want(t, "hourly 01 01:00")
		if took := time.Since(begin); took != 90*time.Minute {
			t.Errorf("ended after %s, not with the run", took)
		}
		h.said(t, "stopping: waiting for 1 run", 1)
		h.said(t, "hourly: complete after 30m", 1)
	})
}

// TestRunRecordFails: what is not recorded is not started, and is tried again.
func TestRunRecordFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{last: map[string]time.Time{"hourly": time.Now()}, recordErrs: 3}
		during(t, h.options(t, hourly), 65*time.Minute, nil)
		h.want(t, "hourly 01 01:00")
		h.said(t, "disk full; it is not started", 3)
		if h.recordErrs != 0 {
			t.Error("the fault did not fire")
		}
	})
}

func TestRunGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{runErr: errors.New("bucket gone")}
		during(t, h.options(t, hourly), 130*time.Minute, nil)
		h.want(t, "hourly 01 01:00", "hourly 01 02:00")
		h.said(t, "hourly: ended after 0s: bucket gone", 2)
	})
}

func TestRunJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hourly
		s.Jitter = 20 * time.Minute
		h := &host{}
		var at time.Time
		o := h.options(t, s)
		start := o.Start
		o.Start = func(ctx context.Context, s schedule.Schedule, tick time.Time) error {
			at = time.Now()
			return start(ctx, s, tick)
		}
		during(t, o, 80*time.Minute, nil)
		h.want(t, "hourly 01 01:00")
		if late := at.Sub(h.last["hourly"]); late != s.Delay("h") {
			t.Errorf("started %s after the tick, not %s", late, s.Delay("h"))
		}
	})
}

func TestRunRefuses(t *testing.T) {
	h := &host{}
	if err := schedule.Run(t.Context(), h.options(t)); err == nil {
		t.Error("a loop without schedules")
	}
	if err := schedule.Run(t.Context(), h.options(t, schedule.Schedule{Name: "x", Cron: "x"})); err == nil {
		t.Error("a loop with a line that is none")
	}
	o := h.options(t, hourly)
	o.Last = func(string) (time.Time, error) { return time.Time{}, errors.New("torn") }
	if err := schedule.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "torn") {
		t.Errorf("a record that cannot be read: %v", err)
	}
	o = h.options(t, hourly)
	o.Record = func(string, time.Time) error { return errors.New("disk full") }
	if err := schedule.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a record that cannot be written: %v", err)
	}
}
