package hint_test

import (
	"testing"

	"lifeboat/internal/hint"
)

func TestNearest(t *testing.T) {
	known := []string{"warn", "ok", "fail", "accidental-force-push", "branch-protection", "daily"}
	for name, want := range map[string]string{
		"wran": "warn", "warning": "warn", "okk": "ok", "Fail": "fail", "": "", "x": "", "zzzzzz": "",
		"acidental-force-psuh": "accidental-force-push", "accidental": "accidental-force-push", "no": "",
	} {
		if got := hint.Nearest(name, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	many := []string{"a1", "b2", "c3", "d4", "e5", "f6", "g7", "h8", "i9", "j10", "k11", "l12", "m13"}
	for _, tt := range []struct {
		name  string
		known []string
		want  string
	}{
		{"forse", []string{"force"}, `did you mean "force"?`},
		{"zzzz", []string{"force", "push"}, "there are force, push"},
		{"zzzz", nil, "there is none to name"},
		{"zzzz", many, "there are a1, b2, c3, d4, e5, f6, g7, h8, i9, j10, k11, l12 and 1 more"},
	} {
		if got := hint.Suggest(tt.name, tt.known); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.name, got, tt.want)
		}
	}
}
