package vault

import (
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/hint"
)

// ParseTime reads a point in time as people write it, in UTC where they name no zone:
// "2026-11-22 14:30", "2026-11-22 14:30:05", "2026-11-22" (its end), RFC 3339, or how
// long before now: "90m", "36h", "3d".
func ParseTime(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", time.RFC3339Nano} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t.UTC(), nil
		}
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.UTC); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Millisecond), nil
	}
	days, isDays := strings.CutSuffix(text, "d")
	if isDays {
		text = days + "h"
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 && d < 100*365*24*time.Hour {
		if isDays {
			d *= 24
		}
		return now.UTC().Add(-d), nil
	}
	return time.Time{}, hint.Wrap(fmt.Errorf("%q is no time", text), `write "2026-11-22 14:30" (UTC), "2026-11-22T14:30:00+02:00", or "36h" for a day and a half ago`)
}
