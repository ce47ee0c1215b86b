package printable

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"24h": 24 * time.Hour, "15m": 15 * time.Minute, "1h10m": 70 * time.Minute, "1h0m5s": time.Hour + 5*time.Second,
		"1.7s": 1712 * time.Millisecond, "20s": 20 * time.Second, "0s": 0, "10m": 10 * time.Minute, "72h": 72 * time.Hour, "4 days": 96 * time.Hour, "1128 days": 27092*time.Hour + 40*time.Minute, "2m30s": 150*time.Second + time.Millisecond,
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for want, n := range map[string]int{"0 runs": 0, "1 run": 1, "2 runs": 2} {
		if got := Count(n, "run"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
