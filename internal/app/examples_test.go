package app

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"lifeboat/internal/drill"
	"lifeboat/internal/run"
	"lifeboat/internal/sandbox"
)

// TestExamples runs every example of the manual, in the order of the manual, as one
// runbook in a sandbox: what people copy from there works.
func TestExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env, err := newEnvironment(t.Context(), nil, os.Stdout, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	sb, err := sandbox.Make(t.Context(), filepath.Join(dir, "estate"), sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sb.Break(t.Context(), sandbox.ForcePush); err != nil { // so that there is something to find
		t.Fatal(err)
	}
	w, err := openState(env, settings{state: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.useEstate(sb.Estate()); err != nil {
		t.Fatal(err)
	}
	fence := regexp.MustCompile("(?ms)^```([a-z.-]+)([^\n]*)\n(.*?)^```$")
	text := "---\ntitle: Examples\nkind: drill\n---\n\n# Examples\n"
	for i, a := range w.actions {
		m := fence.FindStringSubmatch(a.Doc)
		if m == nil || m[1] != a.Name {
			t.Fatalf("%s: its manual begins with no example of itself", a.Name)
		}
		// Here each is a step of its own, and all are one runbook.
		attrs := regexp.MustCompile(` verify| save=\w+`).ReplaceAllString(m[2], "")
		text += fmt.Sprintf("\n## %d %s\n\n```%s%s\n%s```\n", i, a.Name, a.Name, attrs, m[3])
	}
	book := filepath.Join(dir, "examples.md")
	if err := os.WriteFile(book, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	id, p, err := w.begin(t.Context(), wish{book: book})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	r, err := w.drive(t.Context(), p, id, drill.NewAuto(drill.Scenario{}), nil, w.files)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Steps {
		if s.State != run.Verified {
			t.Errorf("%s: %s %s", s.Title, s.State, s.Error)
		}
	}
	if r.Outcome != run.Complete {
		t.Errorf("run ended %q", r.Outcome)
	}
}
