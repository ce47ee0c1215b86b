package app

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/console"
	"lifeboat/internal/estate"
	"lifeboat/internal/runner"
	"lifeboat/internal/vault"
)

// lookAt opens the estate in a file as the console sees it, after commands have been run
// on it.
func lookAt(t *testing.T, state, file string, commands ...string) *backend {
	t.Helper()
	for _, line := range commands {
		var out, errs bytes.Buffer
		if code := Main(append(strings.Fields(line), "--state", state, "--estate", file), strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatalf("lifeboat %s: exit code %d\n%s%s", line, code, &out, &errs)
		}
	}
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	w, err := open(env, settings{state: state, estate: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	return &backend{world: w, client: runner.Client{Files: w.files}}
}

func TestConsoleSeesTheVault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state, file := filepath.Join(t.TempDir(), "state"), filepath.Join(dir, estate.FileName)
	for name, text := range map[string]string{
		"app/a.env": "A=1\n", "vault/.keep": "", "conf/b": "b\n",
		estate.FileName: "vault: file://" + dir + "/vault\nretention: {daily: 14}\nassets:\n  env: {kind: files, path: app, include: [\"*\"]}\n  conf: {kind: files, path: conf, include: [\"*\"]}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := lookAt(t, state, file, "backup env", "verify env --level applied")
	before, err := b.Vault(t.Context(), false)
	if err != nil || !before.Listed.IsZero() || len(before.Shelves) != 2 || len(before.Shelves[0].Copies) != 0 {
		t.Errorf("a machine that never listed the vault knows of %+v, %v", before, err)
	}
	v, err := b.Vault(t.Context(), true)
	if err != nil || v.Problem != "" {
		t.Fatal(err, v.Problem)
	}
	if v.Listed.IsZero() || v.Points != 1 || len(v.Shelves) != 2 || len(v.Shelves[1].Copies) != 0 {
		t.Fatalf("it knows of %+v", v)
	}
	c := v.Shelves[0].Copies[0]
	if c.Level != string(vault.LevelApplied) || c.ProvenAt.IsZero() || c.Keep != "14 d" || c.Late {
		t.Errorf("the copy is %+v; want it proven at level applied just now", c)
	}
	p, err := b.Point(t.Context(), v.Shelves[0].ID, c.Point)
	if err != nil || len(p.Proofs) != 1 || !p.Proofs[0].Pass || len(p.Objects) == 0 || p.Number != 1 || p.Of != 1 {
		t.Errorf("the point is %+v, %v", p, err)
	}
	// A bucket that cannot be listed leaves what is known on the screen.
	if err := os.RemoveAll(filepath.Join(dir, "vault", "v1")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vault", "v1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone, err := b.Vault(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if gone.Problem == "" || len(gone.Shelves[0].Copies) != 1 || !gone.Shelves[0].Copies[0].ProvenAt.Equal(c.ProvenAt) {
		t.Errorf("without its bucket it knows of %+v", gone)
	}
}

func TestNewestOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	entry := func(age time.Duration, class string) vault.Entry {
		return vault.Entry{Point: age.String(), Cut: now.Add(-age), Class: class}
	}
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name string
		list []vault.Entry // newest first
		want string        // class:point, with ! where it is late
	}{
		{"nothing", nil, ""},
		{"one", []vault.Entry{entry(time.Minute, "")}, "newest:1m0s"},
		{"late", []vault.Entry{entry(2*time.Hour, "daily")}, "newest:2h0m0s!"},
		{"classes", []vault.Entry{entry(time.Minute, ""), entry(9*day, "weekly"), entry(20*day, "monthly"), entry(40*day, "weekly")}, "newest:1m0s weekly:216h0m0s! monthly:480h0m0s"},
		{"a weekly one is also the newest", []vault.Entry{entry(time.Minute, "weekly")}, "newest:1m0s weekly:1m0s"},
		{"from a clock that is ahead", []vault.Entry{entry(-day, ""), entry(time.Minute, "")}, "newest:1m0s"},
		{"only that", []vault.Entry{entry(-day, "")}, "newest:-24h0m0s"},
	} {
		var got []string
		for _, c := range newestOf(tt.list, time.Hour, estate.Retention{}, now) {
			late := ""
			if c.Late {
				late = "!"
			}
			got = append(got, c.Class+":"+c.Point+late)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
}

var _ console.VaultReader = (*backend)(nil)
