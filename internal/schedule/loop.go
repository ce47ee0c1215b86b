package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/printable"
)

// Options of [Run]. Schedules, Last, Record and Start are required.
type Options struct {
	Schedules []Schedule
	Host      string           // makes the jitter of this host
	Parallel  int              // how many schedules may run at the same time; 0 is one
	Now       func() time.Time // the clock on the wall; nil: time.Now
	Log       func(line string)

	// Last gives what Record was told last about a schedule, the zero time when that was
	// nothing. It is called once for each schedule, before anything else.
	Last func(name string) (time.Time, error)

	// Record keeps durably that every tick up to this one is settled. It is called before
	// Start: what is not recorded is not started, and a crash after it leaves a run that
	// the journal knows, and never one that is started twice.
	Record func(name string, tick time.Time) error

	// Start runs the runbook to its end. Its context is not cancelled when that of [Run]
	// is. It is never called for a schedule while it still runs for it. An error is logged
	// and waits for the next tick.
	Start func(ctx context.Context, s Schedule, tick time.Time) error
}

// glance is the longest that the loop sleeps before it looks at the clock on the wall
// again: timers do not count the time that a machine sleeps, and do not notice when
// somebody sets the clock.
const glance = 30 * time.Second

// setBack is how far before the last tick the clock may be without that tick being
// doubted. Further back it was the clock of then that was wrong, and waiting for it to come
// again could take years.
const setBack = 24 * time.Hour

// Run starts schedules when they are due, until ctx ends. It then starts nothing more,
// waits for what runs, and returns nil.
//
//   - Ticks that were missed, because nothing ran here or because the clock was set
//     forward, are made up for by one run.
//   - A schedule that is new begins with its next tick.
//   - A schedule never overlaps itself. A tick that comes while it runs waits for the end;
//     further ones are covered by the same run.
//   - A clock that is set back brings no tick again.
//   - When there is room for fewer schedules than are due, the one that waits longest goes
//     first.
func Run(ctx context.Context, o Options) error {
	l, err := newLoop(o)
	if err != nil {
		return fmt.Errorf("run schedules: %w", err)
	}
	for ctx.Err() == nil {
		wait := l.start(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case e := <-l.ends:
			l.end(e)
		}
		timer.Stop()
	}
	if l.running > 0 {
		l.log("stopping: waiting for %s", printable.Count(l.running, "run"))
	}
	for l.running > 0 {
		l.end(<-l.ends)
	}
	return nil
}

// loop is the state of Run. Only the goroutine of Run touches it; the goroutines of the
// runs send into ends and end.
type loop struct {
	Options
	entries []*entry
	ends    chan ended
	running int
}

// entry is one schedule.
type entry struct {
	Schedule
	ticks   Ticks
	delay   time.Duration
	last    time.Time // every tick up to here is settled
	running bool
	began   time.Time
	told    time.Time // the tick of which the log knows that it waits
	retry   time.Time // not before this: the last attempt could not be recorded
}

type ended struct {
	entry *entry
	err   error
}

func newLoop(o Options) (*loop, error) {
	if len(o.Schedules) == 0 {
		return nil, errors.New("there are none")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Parallel = max(1, o.Parallel)
	l := &loop{Options: o, ends: make(chan ended, len(o.Schedules))}
	now := l.now()
	for _, s := range o.Schedules {
		ticks, err := s.Ticks()
		if err != nil {
			return nil, err
		}
		e := &entry{Schedule: s, ticks: ticks, delay: s.Delay(o.Host)}
		if e.last, err = o.Last(s.Name); err != nil {
			return nil, fmt.Errorf("schedule %q: %w", s.Name, err)
		}
		if e.last.IsZero() {
			if err := l.settle(e, now); err != nil {
				return nil, err
			}
		}
		l.entries = append(l.entries, e)
		l.log("%s: runs %s next at %s", s.Name, s.Runbook, l.stamp(e, ticks.Next(e.last).Add(e.delay)))
	}
	return l, nil
}

// now is the clock on the wall; without the hidden reading of the other clock, so that
// comparisons see it being set.
func (l *loop) now() time.Time { return l.Now().Round(0) }

func (l *loop) log(format string, args ...any) {
	if l.Log != nil {
		l.Log(fmt.Sprintf(format, args...))
	}
}

// stamp writes a moment in the zone of the schedule.
func (l *loop) stamp(e *entry, t time.Time) string {
	return t.In(e.ticks.zone).Format("2006-01-02 15:04:05 MST")
}

func (l *loop) settle(e *entry, tick time.Time) error {
	if err := l.Record(e.Name, tick); err != nil {
		return fmt.Errorf("schedule %q: record the tick of %s: %w", e.Name, l.stamp(e, tick), err)
	}
	e.last = tick
	return nil
}

// start starts what is due and has room, and says how long nothing else will be due.
func (l *loop) start(ctx context.Context) time.Duration {
	now := l.now()
	type due struct {
		*entry
		tick time.Time
	}
	var waiting []due
	wait := glance
	for _, e := range l.entries {
		if e.last.Sub(now) > setBack {
			l.log("%s: the clock was ahead when it last ran, at %s; counting from now on", e.Name, l.stamp(e, e.last))
			if err := l.settle(e, now); err != nil {
				l.log("%v", err)
				e.last = now
			}
		}
		tick := e.ticks.Prev(now.Add(-e.delay))
		switch {
		case !tick.After(e.last):
			if next := e.ticks.Next(e.last); !next.IsZero() {
				wait = min(wait, next.Add(e.delay).Sub(now))
			}
		case e.running:
			if !e.told.Equal(tick) {
				e.told = tick
				l.log("%s: still running since %s; the run of %s waits for it", e.Name, l.stamp(e, e.began), l.stamp(e, tick))
			}
		case !e.retry.After(now) || e.retry.Sub(now) > glance: // the second: the clock was set back
			waiting = append(waiting, due{e, tick})
		}
	}
	slices.SortStableFunc(waiting, func(a, b due) int {
		return cmp.Or(a.ticks.Next(a.last).Compare(b.ticks.Next(b.last)), cmp.Compare(a.Name, b.Name))
	})
	for _, d := range waiting {
		if l.running >= l.Parallel {
			if !d.told.Equal(d.tick) {
				d.told = d.tick
				l.log("%s: due since %s, waits for another run", d.Name, l.stamp(d.entry, d.tick))
			}
			continue
		}
		l.launch(ctx, d.entry, d.tick, now)
	}
	return max(wait, time.Millisecond)
}

// launch records a tick and starts its run.
func (l *loop) launch(ctx context.Context, e *entry, tick, now time.Time) {
	missed := l.between(e, tick)
	if err := l.settle(e, tick); err != nil {
		e.retry = now.Add(glance)
		l.log("%v; it is not started, and tried again in %s", err, printable.Span(glance))
		return
	}
	if missed > 0 {
		l.log("%s: one run makes up for %s missed", e.Name, printable.Count(missed, "earlier one"))
	}
	l.log("%s: starts %s, due at %s", e.Name, e.Runbook, l.stamp(e, tick))
	e.running, e.began = true, now
	l.running++
	go func() { // ends with Start; Run waits for it
		l.ends <- ended{e, l.Start(context.WithoutCancel(ctx), e.Schedule, tick)}
	}()
}

// between counts ticks after the last settled one and before tick, up to a thousand.
func (l *loop) between(e *entry, tick time.Time) (n int) {
	for t := e.ticks.Next(e.last); n < 1000 && !t.IsZero() && t.Before(tick); t = e.ticks.Next(t) {
		n++
	}
	return n
}

func (l *loop) end(x ended) {
	x.entry.running = false
	l.running--
	took := printable.Span(max(0, l.now().Sub(x.entry.began)))
	if x.err != nil {
		l.log("%s: ended after %s: %v", x.entry.Name, took, x.err)
		return
	}
	l.log("%s: complete after %s", x.entry.Name, took)
}
