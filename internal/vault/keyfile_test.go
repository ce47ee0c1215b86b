package vault

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// watching looks for a text in all files of a directory whenever something is logged.
type watching struct {
	t    *testing.T
	dir  string
	text string
	n    int
}

func (w *watching) Write(p []byte) (int, error) {
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it was removed meanwhile
		}
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), w.text) {
			w.t.Errorf("the key lies in %s", filepath.Base(path))
		}
		return nil
	})
	w.n++
	return len(p), err
}

// While restore.sh runs no file with a name holds the key: the machine may stop at any
// moment, and nobody comes to clean up.
func TestKeyOfScriptHasNoName(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skipf("%s does not show the open files of a process", runtime.GOOS)
	}
	for _, scheme := range []string{"age", "gpg"} {
		t.Run(scheme, func(t *testing.T) {
			program(t, scheme)
			id := identity(t)
			c, text := Crypt{Scheme: "age", Recipients: []string{id.Recipient().String()}, Identities: opens(id)}, id.String()
			if scheme == "gpg" {
				text = "a passphrase of this test"
				c = Crypt{Scheme: "gpg", Passphrase: phrase(text), work: cheap}
			}
			h := newHistory(t, 1, time.Hour, Options{Crypt: c})
			w := &watching{t: t, dir: h.scratch, text: text}
			r, err := h.v.Verify(t.Context(), h.points[0], lines{}, LevelRestored, VerifyOptions{Log: w})
			if err != nil || r.Way != "restore.sh" || w.n == 0 {
				t.Errorf("by %q, seen %d times: %v", r.Way, w.n, err)
			}
		})
	}
}
