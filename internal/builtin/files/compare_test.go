package files_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
)

// Each way in which a file can differ is named, and none shows what is in it.
func TestCompare(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	s := b.do("files.compare", map[string]any{"asset": "env"})
	if s.res.Outputs["same"] != true || !strings.Contains(s.res.Evidence, "all 6 files as in the point, with their modes") {
		t.Errorf("%+v", s.res)
	}
	must(t, os.Remove(filepath.Join(b.root, "apps/api/.env")))
	b.put("apps/web/.env", "")
	must(t, os.Chmod(filepath.Join(b.root, "apps/web/.env.local"), 0o644))
	b.put("infrastructure/new.tf", "canary")
	must(t, os.Remove(filepath.Join(b.root, "infrastructure/main.tf")))
	must(t, os.Mkdir(filepath.Join(b.root, "infrastructure/main.tf"), 0o700))
	s, err := b.plan("files.compare", map[string]any{"asset": "env"})
	must(t, err)
	_, err = call(t.Context(), s)
	if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "1 missing, 2 with other content, 1 with another mode, 1 that were not there") {
		t.Errorf("%v", err)
	}
	s = b.do("files.compare", map[string]any{"asset": "env", "allow_differences": true})
	for key, want := range map[string]int64{"missing": 1, "changed": 2, "modes": 1, "extra": 1, "open": 1} {
		if s.res.Outputs[key] != want {
			t.Errorf("%s is %v, not %d", key, s.res.Outputs[key], want)
		}
	}
	if said := fmt.Sprint(s.res, s.plan, err); strings.Contains(said, "canary") || strings.Contains(said, "B=2") {
		t.Errorf("content is shown: %s", said)
	}
	must(t, os.RemoveAll(b.root))
	s = b.do("files.compare", map[string]any{"asset": "env", "allow_differences": true})
	if s.res.Outputs["missing"] != int64(6) {
		t.Errorf("%+v", s.res)
	}
}
