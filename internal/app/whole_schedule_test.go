package app

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/estate"
	"lifeboat/internal/run"
)

// planned is a place with daily schedules. Each run appends the name of its schedule to
// the file "effects" and holds until there is a file "go-<name>", or "go". The hour is half
// a day away, so that no tick comes while the test runs.
type planned struct {
	*place
	ticks ticks
}

func newPlanned(t *testing.T, names ...string) planned {
	t.Helper()
	p := newPlace(t)
	hour := (time.Now().UTC().Hour() + 12) % 24
	var text strings.Builder
	text.WriteString("name: test\nassets:\n  shop:\n    kind: git\n    path: ./shop\nschedule:\n")
	for _, name := range names {
		fmt.Fprintf(&text, "  %s: {cron: \"15 %d * * *\", runbook: %[1]s}\n", name, hour)
		p.book(name, "", fmt.Sprintf("echo %s >> effects\nsync effects\ntouch started-%[1]s\n", name)+
			strings.Replace(hold, "test ! -e go &&", "test ! -e go-"+name+" && test ! -e go &&", 1))
	}
	p.write("lifeboat.yaml", text.String())
	w := &world{estate: &estate.Estate{File: p.path("lifeboat.yaml")}, state: p.state}
	return planned{p, w.ticks()}
}

// lastRan records that a schedule ran last so many days ago.
func (s planned) lastRan(name string, days int) {
	s.t.Helper()
	if err := s.ticks.record(name, time.Now().AddDate(0, 0, -days)); err != nil {
		s.t.Fatal(err)
	}
}

// last is when the recorded tick of a schedule was.
func (s planned) last(name string) time.Time {
	s.t.Helper()
	at, err := s.ticks.last(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

// ran requires what was run, in that order.
func (s planned) ran(want ...string) {
	s.t.Helper()
	if got := strings.Fields(s.read("effects")); fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("ran %q, want %q", got, want)
	}
	if got := len(s.runs()); got != len(want) {
		s.t.Errorf("%d runs on record, want %d", got, len(want))
	}
}

// watched is the output of a process that a test reads while it runs.
type watched struct {
	mu   sync.Mutex // protects below
	text bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (s planned) run() (*process, *watched) {
	s.t.Helper()
	out := &watched{}
	c := s.command("schedule", "run")
	c.Stdout, c.Stderr = out, out
	return s.start(c), out
}

// says waits for a line of the output.
func (s planned) says(out *watched, text string) {
	s.t.Helper()
	s.until(fmt.Sprintf("%q in the output", text), func() bool { return strings.Contains(out.String(), text) })
}

// TestScheduleCatchesUp starts the scheduler of an estate that has not run for a month.
// Thirty missed backups are one backup, another scheduler is turned away, the signal that
// ends the scheduler lets the run end, and no later start runs it again.
func TestScheduleCatchesUp(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"terminated": syscall.SIGTERM, "interrupted": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPlanned(t, "work", "witness", "fresh")
			s.lastRan("work", 30)
			s.lastRan("witness", 0)
			began := time.Now()
			x, out := s.run()
			s.await("started-work")
			if at := s.last("work"); began.Sub(at) > 24*time.Hour {
				t.Errorf("while it runs, the tick on record is of %s", at)
			}
			if busy := s.exits(exitBusy, "schedule", "run"); !strings.Contains(busy, "another lifeboat schedule run") {
				t.Errorf("the second scheduler says\n%s", busy)
			}
			x.signal(sig)
			s.says(out, "waiting for 1 run")
			select {
			case <-x.done:
				t.Fatalf("it has left its run alone:\n%s", out)
			default:
			}
			s.write("go-work", "")
			x.exit(exitComplete)
			for _, want := range []string{"work: one run makes up for 29 earlier ones missed", "work: complete after", "ended"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			s.ran("work")
			if r := s.stands(run.Verified, false); r.Outcome != run.Complete {
				t.Errorf("the run ended %q", r.Outcome)
			}
			if at := s.last("fresh"); at.Before(began.Add(-time.Second)) {
				t.Errorf("a new schedule begins at %s, before it was seen", at)
			}
			s.startsOnly("witness", "work")
		})
	}
}

// startsOnly starts the scheduler again with one schedule that is due since long ago. It is
// the first to start, and what else were due would be named as waiting in the same breath.
func (s planned) startsOnly(due string, before ...string) {
	s.t.Helper()
	s.lastRan(due, 90)
	x, out := s.run()
	s.await("started-" + due)
	x.signal(syscall.SIGTERM)
	s.says(out, "waiting for 1 run")
	s.write("go-"+due, "")
	x.exit(exitComplete)
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, ": starts ") && !strings.Contains(line, due+": starts ") || strings.Contains(line, "due since") {
			s.t.Errorf("more was due than %s: %s", due, line)
		}
	}
	s.ran(append(before, due)...)
}

// TestScheduleKilled kills the scheduler in the middle of a run. Its tick is settled: the
// next scheduler leaves the run, which is in doubt, to a person.
func TestScheduleKilled(t *testing.T) {
	t.Parallel()
	s := newPlanned(t, "work", "witness")
	s.lastRan("work", 30)
	s.lastRan("witness", 0)
	x, _ := s.run()
	s.await("started-work")
	x.signal(syscall.SIGKILL)
	x.exit(-1)
	s.startsOnly("witness", "work")
	open := 0
	for _, r := range s.runs() {
		if r.Open() {
			open++
		}
	}
	if open != 1 {
		t.Errorf("%d runs are open, want that which was killed", open)
	}
}

// TestScheduleOldestFirst owes several schedules a run: they run one after the other, that
// which waits longest first, and each once.
func TestScheduleOldestFirst(t *testing.T) {
	t.Parallel()
	s := newPlanned(t, "alpha", "beta", "gamma")
	s.lastRan("alpha", 3)
	s.lastRan("beta", 30)
	s.lastRan("gamma", 10)
	s.write("go", "")
	x, out := s.run()
	for _, name := range []string{"beta", "gamma", "alpha"} {
		s.says(out, name+": complete after")
	}
	x.signal(syscall.SIGTERM)
	x.exit(exitComplete)
	s.ran("beta", "gamma", "alpha")
}
