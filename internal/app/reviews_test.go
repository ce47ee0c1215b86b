package app

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bridge of the console says which documents and contacts nobody has looked at, in the
// words of lifeboat status.
func TestBridgeTellsOfReviews(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	estate := filepath.Join(dir, "lifeboat.yaml")
	for name, text := range map[string]string{
		estate:                       "assets: {env: {kind: files, path: .}}\ndocuments: [{path: old.md}, {path: gone.md}]\ncontacts: [{name: Ben, email: ben@example.org}]\n",
		filepath.Join(dir, "old.md"): "reviewed: 2020-01-01\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	w, err := open(env, settings{state: filepath.Join(dir, "state"), estate: estate})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	b := &backend{world: w, client: w.hosts()}
	defer b.drills.close()
	board, err := b.Board(t.Context(), false)
	if err != nil || len(board.Reviews) != 3 {
		t.Fatalf("%v, %+v", err, board.Reviews)
	}
	for i, want := range []string{"contact Ben: never verified", "document gone.md: not there", "document old.md: "} {
		r := board.Reviews[i]
		if got := r.What + ": " + r.Late; !strings.HasPrefix(got, want) || r.Text == "" || r.Mend == "" {
			t.Errorf("%+v, want %q", r, want)
		}
	}
}
