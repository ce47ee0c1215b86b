package vault

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("SAST", 2*3600))
	for text, want := range map[string]string{
		"2026-11-22 14:30":          "2026-11-22T14:30:00Z",
		" 2026-11-22 14:30:05 ":     "2026-11-22T14:30:05Z",
		"2026-11-22T14:30":          "2026-11-22T14:30:00Z",
		"2026-11-22T14:30:00+02:00": "2026-11-22T12:30:00Z",
		"2026-11-22 14:30:05 UTC":   "2026-11-22T14:30:05Z", // as the screen has it
		"2026-11-22 14:30:05.5 UTC": "2026-11-22T14:30:05.5Z",
		"2026-11-22T14:30:05":       "2026-11-22T14:30:05Z",
		"2026-11-22t14:30:05z":      "2026-11-22T14:30:05Z",
		"2026-11-22 14:30Z":         "2026-11-22T14:30:00Z",
		"2026-11-22 14:30 +02:00":   "2026-11-22T12:30:00Z",
		"2026-11-22 14:30:05-0430":  "2026-11-22T19:00:05Z",
		"2026-11-22":                "2026-11-22T23:59:59.999Z",
		"90m":                       "2026-11-23T08:30:00Z",
		"2d":                        "2026-11-21T10:00:00Z",
		"0s":                        "2026-11-23T10:00:00Z",
	} {
		got, err := ParseTime(text, now)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("ParseTime(%q) = %s, %v; want %s", text, got.Format(time.RFC3339Nano), err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-1h", "2026-13-01", "14:30", "99999999h", "d", "3", "2026-11-22 25:00", "2026-11-22 14:30 CET", "2026-11-22 14:30+02:00Z", "2026-11-22 2:30 PM", "2026-02-30 10:00", "2026-11-22  14:30"} {
		if got, err := ParseTime(text, now); err == nil {
			t.Errorf("ParseTime(%q) = %s, want an error", text, got)
		}
	}
}
