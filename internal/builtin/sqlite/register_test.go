package sqlite

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParseErasure: what is taken names one subject and a time; what is refused is not
// repeated.
func FuzzParseErasure(f *testing.F) {
	f.Add(`{"time": "2026-11-20T10:00:00Z", "subject": "4711", "by": "dpo"}`)
	f.Add(`{"time": "2026-11-20T10:00:00Z", "subject": -12, "by": "dpo"}`)
	f.Add(`{"time": "2026-11-20T10:00:00Z", "subject": "4711", "by": "dpo", "returned": true}`)
	f.Add(`{"subject": {"a": [1]}, "time": "x", "by": null} {}`)
	f.Fuzz(func(t *testing.T, line string) {
		value, at, _, err := parseErasure([]byte(line))
		if err == nil && (strings.TrimSpace(value) == "" || at.IsZero() && !strings.Contains(line, "0001") || !utf8.ValidString(value)) {
			t.Errorf("%q gives %q, %v", line, value, at)
		}
		if err != nil && (value != "" || len(line) > 8 && strings.Contains(err.Error(), line)) {
			t.Errorf("%q: %v with %q", line, err, value)
		}
		if err == nil && (subject{text: value}).digest() == value {
			t.Errorf("the digest of %q is itself", value)
		}
	})
}
