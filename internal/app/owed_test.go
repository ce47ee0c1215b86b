package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/journal"
	"lifeboat/internal/run"
)

// What an open run owes is said wherever runs are looked at or begun.
func TestOwedEverywhere(t *testing.T) {
	t.Parallel()
	state, dir := filepath.Join(t.TempDir(), "state"), t.TempDir()
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	const id = run.ID("20261124T030000Z-7F3A")
	j, err := journal.Open(t.Context(), filepath.Join(state, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-20 * time.Minute).UTC()
	for i, ev := range []run.Event{
		{Kind: run.RunStarted, Body: run.Started{Mode: run.Live, Book: "branch-protection", Title: "Mend the protection", By: "m.ito", Steps: []run.Outline{{ID: "off", Title: "Put it off", Effect: "write"}}}},
		{Kind: run.DebtOpened, Body: run.Debt{ID: "scale", Text: "booking-app is scaled to 0", Within: time.Hour + 30*time.Second}},
		{Kind: run.DebtOpened, Body: run.Debt{ID: "protection", Text: "protection of main is off", Within: 15 * time.Minute}},
	} {
		ev.Run, ev.Seq, ev.At = id, int64(i+1), at
		if err := j.Append(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	book, file := filepath.Join(dir, "look.md"), filepath.Join(dir, "lifeboat.yaml")
	for name, text := range map[string]string{
		book: "---\ntitle: Look\nkind: procedure\n---\n\n# Look\n\n## Look\n\n```sh effect=read\ntrue\n```\n",
		file: "assets:\n  a: {kind: files, path: ., include: [\"*\"]}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Half a minute either way is for the time that the test takes.
	const late, soon = "protection of main is off, OVERDUE by 5 min", "booking-app is scaled to 0, 40 min left"
	for _, tt := range []struct {
		args []string
		want []string // in this order
	}{
		{[]string{"runs"}, []string{"7F3A", "OWED by run 7F3A (live, branch-protection): " + late, soon}},
		{[]string{"runs", "--json"}, []string{`"debts":[{"id":"protection"`, `"overdue":true`, `"id":"scale"`, `"overdue":false`}},
		{[]string{"show", "7F3A"}, []string{"DEBT opened: booking-app", "OPEN at step 1", "OWED: " + late, soon}},
		{[]string{"run", book, "--estate", file}, []string{"OWED by run 7F3A", late, soon, "STEP 1 of 1"}},
		{[]string{"run", book, "--estate", file, "--json"}, []string{"lifeboat: OWED by run 7F3A", late}},
		{[]string{"--plain", "--estate", file}, []string{"OPEN LIVE run 7F3A", "OWED by run 7F3A", late, "What happened?"}},
		{[]string{"contacts", "--run", "7F3A"}, []string{"WHAT TO SAY", "Still open: " + late, "Still open: " + soon}},
	} {
		var out, errs bytes.Buffer
		Main(append(tt.args, "--state", state), strings.NewReader("q\n"), &out, &errs)
		rest := strings.Join(strings.Fields(errs.String()+out.String()), " ")
		for _, want := range tt.want {
			i := strings.Index(rest, want)
			if i < 0 {
				t.Errorf("%q: %q is not in\n%s%s", tt.args, want, &out, &errs)
				break
			}
			rest = rest[i:]
		}
	}
}
