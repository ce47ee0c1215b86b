package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAppearance: whatever is wrong with a theme, the console opens, and says so.
func TestAppearance(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "lifeboat", "themes")
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"good.yaml": "extends: dark\nabout: mine", "bad.yaml": "roles: {okk: {}}", "auto.yaml": "extends: light\nabout: my usual one",
		"huge.yaml": "about: x\n" + strings.Repeat("#\n", 1<<16),
	} {
		if err := os.WriteFile(filepath.Join(mine, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(mine, "pipe.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ flag, env, about, notice string }{
		{"good", "", "mine", ""},
		{"", "good", "mine", ""},
		{filepath.Join(mine, "good.yaml"), "bad", "mine", ""},
		{"", "", "my usual one", ""}, // theirs stands in for ours
		{"mono", "", "no colour but", ""},
		{"bad", "", "", "lifeboat theme check bad"},
		{"", "nobody", "", "\"nobody\" cannot be used"},
		{"./nothing.yaml", "", "", "nothing.yaml"},
		{"pipe", "", "", "pipe"}, // and waits for nothing
		{"huge", "", "", "huge"},
	} {
		e := environment{dir: dir, get: func(name string) string {
			return map[string]string{"XDG_CONFIG_HOME": dir, "LIFEBOAT_THEME": tc.env}[name]
		}}
		th, ascii, notice := e.appearance(tc.flag, false)
		if (th == nil) != (tc.about == "") || th != nil && !strings.HasPrefix(th.About, tc.about) {
			t.Errorf("--theme %q, LIFEBOAT_THEME=%q: theme %+v, want %q", tc.flag, tc.env, th, tc.about)
		}
		if (notice == "") != (tc.notice == "") || !strings.Contains(notice, tc.notice) || ascii {
			t.Errorf("--theme %q, LIFEBOAT_THEME=%q: notice %q, want %q", tc.flag, tc.env, notice, tc.notice)
		}
	}
}
