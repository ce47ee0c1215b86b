// Package schedule tells when backups are due, and sees to it that they are made.
//
// A [Schedule] is a line of cron with a time zone. [Ticks] turns it into moments, [Export]
// into units for the scheduler that people already run (systemd, cron, Kubernetes), and
// [Run] is the small loop for a machine that has none of them.
//
// # Every tick once
//
// The line of cron speaks of what the clock on the wall shows, and twice a year that clock
// jumps. A schedule that names its hours runs once for each time that it names: when the
// clock skips that time, at the moment of the jump; when the clock shows it twice, the
// first time. A schedule that runs in every hour goes by elapsed time instead, so that a
// backup every fifteen minutes leaves no gap in the night when an hour is repeated. Those
// are the rules of cron(8), written down there under "Daylight Saving Time".
//
// # Missed ticks
//
// A machine that slept for a week owes one backup, not seven: ticks that were missed are
// made up for by one run.
package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"time"

	"lifeboat/internal/hint"
)

// Schedule says when a runbook is run.
type Schedule struct {
	Name    string // as [ValidName] wants it: it becomes the name of units and of jobs
	Cron    string // five fields, or @hourly, @daily, @weekly, @monthly, @yearly; see [ParseCron]
	Runbook string
	Params  map[string]string
	Jitter  time.Duration // the start is delayed by less than this, see [Schedule.Delay]
	Zone    string        // of the IANA database, "Africa/Johannesburg"; "" is UTC
	Shards  int           // above 1: how many machines share the work, where the scheduler has several
}

var validName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// ValidName says whether a schedule may be called that: a label of DNS that begins with a
// letter, of at most 40 characters. With "lifeboat-" before it the name of a CronJob still
// has room for what Kubernetes appends.
func ValidName(name string) bool { return validName.MatchString(name) }

// Ticks are the moments of a schedule.
type Ticks struct {
	cron Cron
	zone *time.Location
}

// Ticks reads the line of cron and the zone.
func (s Schedule) Ticks() (Ticks, error) {
	c, err := ParseCron(s.Cron)
	if err != nil {
		return Ticks{}, fmt.Errorf("schedule %q: %w", s.Name, err)
	}
	zone, err := ParseZone(s.Zone)
	if err != nil {
		return Ticks{}, fmt.Errorf("schedule %q: %w", s.Name, err)
	}
	return Ticks{c, zone}, nil
}

// ParseZone finds a time zone. "" is UTC. The zone of the machine has no name here: the
// same file must mean the same on every machine.
func ParseZone(name string) (*time.Location, error) {
	advice := `write a name of the IANA database, such as "Africa/Johannesburg" or "UTC"; the machine needs its package tzdata`
	if name == "Local" {
		return nil, hint.Wrap(fmt.Errorf("the zone %q differs from machine to machine", name), advice)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("there is no time zone %q", name), advice)
	}
	return zone, nil
}

// Next is the first tick after t, the zero time when there is none.
func (k Ticks) Next(t time.Time) time.Time { return k.cron.Next(t, k.zone) }

// Prev is the last tick not after t, the zero time when there is none.
func (k Ticks) Prev(t time.Time) time.Time { return k.cron.Prev(t, k.zone) }

// Delay is how long after each tick a host starts: less than Jitter, always the same for
// one host and schedule, and different enough between hosts that a fleet does not reach for
// the bucket in the same second.
func (s Schedule) Delay(host string) time.Duration {
	if s.Jitter <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(host + "\x00" + s.Name))
	return time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(s.Jitter))
}
