package printable

import (
	"fmt"
	"strings"
	"time"
)

// Span writes a duration without the zeros that Go ends it with: "24h", "15m", "1h10m",
// "1.7s". From a minute on it counts whole seconds.
func Span(d time.Duration) string {
	if d >= 4*24*time.Hour { // hours that nobody divides by 24 in the head
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	if d >= time.Minute {
		d = d.Round(time.Second)
	} else {
		d = d.Round(100 * time.Millisecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Count writes a number of things: "1 runbook", "5 runbooks".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Size writes a number of bytes: "812 B", "64 KiB", "1.4 GiB". Below ten of a unit it
// shows one digit behind the point.
func Size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for f >= 1<<10 && unit < 5 {
		f /= 1 << 10
		unit++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %ciB", f, " KMGTP"[unit])
	}
	return fmt.Sprintf("%.0f %ciB", f, " KMGTP"[unit])
}
