package app

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/estate"
	"lifeboat/internal/journal"
	"lifeboat/internal/run"
)

// TestReadinessByTheClock: what a real vault and a real drill prove today, they prove for a
// while. The clock of the one who asks is moved, nothing else.
func TestReadinessByTheClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"lifeboat.yaml": "vault: file:./vault\nassets:\n  conf: {kind: files, path: data, include: [\"*\"], tier: critical}\n",
		"data/a":        "one\n",
		"vault/.keep":   "",
		"runbooks/secrets-loss.md": "---\ntitle: Put the files back\nkind: recovery\nasset: files\nneeds: {fresh_backup: 24h}\n---\n\n# Put the files back\n\n" +
			"## Put them back\n\n```sh\necho one >env\n```\n\n```sh verify\ntest -f env\n```\n",
		"runbooks/secrets-loss.test.yaml": "title: The files are gone\nsummary: They have to come back.\nparams: {asset: env}\nbreak: {sh: \"rm -f env\"}\noracle: {sh: \"test -f env\"}\nscore: {pass: 1}\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	s := settings{state: filepath.Join(dir, "state"), estate: filepath.Join(dir, "lifeboat.yaml")}
	for _, args := range [][]string{{"run", "daily-backup", "--yes", "--quiet"}, {"drill", "secrets-loss", "--plain", "--quiet"}, {"run", "daily-backup", "--yes", "--quiet"}} {
		var out bytes.Buffer
		if got := Main(append(args, "--state", s.state, "--estate", s.estate), strings.NewReader("1\n"), &out, &out); got != 0 {
			t.Fatalf("%v: exit code %d\n%s", args, got, &out)
		}
	}
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	must(t, err)
	w, err := open(env, s)
	must(t, err)
	defer w.close()
	began := time.Now()
	at := func(d time.Duration) { w.env.now = func() time.Time { return began.Add(d) } }
	for _, tc := range []struct {
		after   time.Duration
		offline bool
		verdict estate.Verdict
		reason  string
	}{
		{0, false, estate.Ready, ""},
		{14 * time.Minute, true, estate.Ready, ""},
		{20 * time.Minute, true, estate.Unknown, "the vault was read 20 min ago, and newer backups may be there"},
		{20 * time.Minute, false, estate.Late, "the newest backup is 20 min old, and may be 15 min"},
		{40 * time.Minute, false, estate.Stale, "the newest backup is 40 min old"},
		{-time.Hour, false, estate.Unknown, "a clock is wrong"},
	} {
		at(tc.after)
		st, err := w.survey(tc.offline)
		must(t, err)
		g, _ := st.Assets[0].Worst()
		if got := st.Assets[0].Verdict; got != tc.verdict || !strings.HasPrefix(g.Reason, tc.reason) {
			t.Errorf("after %s: %s, %q, want %s, %q", tc.after, got, g.Reason, tc.verdict, tc.reason)
		}
		if g.Verdict == estate.Late && (g.Mend.Name != backsUp || g.Mend.About <= 0) {
			t.Errorf("mended by %+v", g.Mend)
		}
	}
	at(32 * 24 * time.Hour)
	st, err := w.survey(false)
	must(t, err)
	var words []string
	for _, g := range st.Assets[0].Gaps {
		words = append(words, string(g.Verdict))
	}
	if got := strings.Join(words, ", "); got != "STALE, DRILL DUE" {
		t.Errorf("after 32 days: %s", got)
	}
	if d := st.Due[0]; d.Runbook != "secrets-loss" || !d.Late() || d.About <= 0 {
		t.Errorf("the drill that hurries most is %+v", d)
	}
}

// TestUnscoredDrillsNobody: a run in a sandbox that no drill scored, such as one that --yes
// has answered, proves how long a recovery takes and nothing about people.
func TestUnscoredDrillsNobody(t *testing.T) {
	run1 := journal.Summary{Outcome: run.Complete}
	scored := journal.Summary{Outcome: run.Complete, Scenario: "x", Trainee: "j.park", Score: &run.Score{Passed: true}}
	p := evidence{recent: map[journal.Want][]journal.Summary{{Mode: run.Drill, Book: "b"}: {run1, scored}}}
	got := p.drills("b")
	if len(got) != 2 || !got[0].Script || got[1].Script {
		t.Errorf("%+v", got)
	}
}
