package app

import (
	"strings"
	"testing"

	"lifeboat/internal/console"
	"lifeboat/internal/console/consoletest"
	"lifeboat/internal/run"
)

// TestFind types what a person says who has never seen the library, and requires that the
// runbook they need is the one that is chosen.
func TestFind(t *testing.T) {
	b, _ := pastBackend(t, 0)
	for _, tc := range []struct{ says, book string }{
		{"main was overwritten", "accidental-force-push"},
		{"force pushed", "accidental-force-push"},
		{"lost commits", "accidental-force-push"},
		{"deleted customers", "data-loss"},
		{"drop table", "data-loss"},
		{"nobody can log in", "auth-recovery"},
		{"users gone", "auth-recovery"},
		{"leaked password", "security-breach"},
		{"hacked", "security-breach"},
		{"pushed a secret", "security-breach"},
		{"corrupt database", "database-recovery"},
		{"bad object", "corrupted-repository"},
		{"repository deleted", "repository-loss"},
		{"lost .env", "secrets-loss"},
		{"ci broken", "ci-failure"},
		{"merge conflict", "merge-conflict"},
		{"wrong port", "config-rollback"},
		{"migration changed data", "database-point-in-time"},
	} {
		d := consoletest.Open(t, b, console.Options{User: "ada", Mode: run.Drill}, 120, 36).Press("/").Type(tc.says)
		if s := d.Screen(); !strings.Contains(s, "▸ "+tc.book+" ") {
			t.Errorf("%q does not find %s:\n%s", tc.says, tc.book, strings.Join(strings.SplitN(s, "\n", 14)[3:13], "\n"))
		}
	}
}
