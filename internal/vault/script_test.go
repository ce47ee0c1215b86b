package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/command"
)

// restore.sh of a point, run as a person would run it.
func TestScript(t *testing.T) {
	v, dir := fileVault(t)
	s := newSource(t)
	backup(t, v, s, BackupOptions{})
	s.grow(10)
	m := backup(t, v, s, BackupOptions{})
	stored := filepath.Join(dir, filepath.FromSlash(m.ScriptKey()))
	bin, err := stockPath(filepath.Join(t.TempDir(), "bin"), lines{}.Needs())
	must(t, err)
	if _, err := os.Stat(filepath.Join(bin, "lifeboat")); err == nil {
		t.Fatal("lifeboat is on the path")
	}
	run := func(cwd string, args ...string) error {
		_, err := command.Run(t.Context(), command.Cmd{
			Argv: append([]string{filepath.Join(bin, "sh"), stored}, args...), Dir: cwd, Env: map[string]string{"PATH": bin},
		})
		return err
	}
	asset := filepath.Join(dir, "v1", "a", m.Asset)
	for _, folder := range []string{dir, asset, filepath.Join(asset, "d"), filepath.Join(dir, "v1", "a")} {
		out := filepath.Join(t.TempDir(), "a target with 'quotes' and spaces")
		if err := run("/", folder, out+"/"); err != nil {
			t.Errorf("from %s: %v", folder, err)
			continue
		}
		if got, err := os.ReadFile(filepath.Join(out, "lines.txt")); err != nil || !bytes.Equal(got, s.content()) {
			t.Errorf("from %s: not equal, %v", folder, err)
		}
	}
	cwd := t.TempDir()
	must(t, os.Symlink(dir, filepath.Join(cwd, "-folder")))
	if err := run(cwd, "-folder", "-target"); err != nil {
		t.Errorf("relative names that look like options: %v", err)
	}
	if err := run(cwd, "-folder", "-target"); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("existing target: %v", err)
	}
	if err := run(cwd, "-folder"); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("one argument: %v", err)
	}
	if err := run(cwd, "-folder", "not/there/target"); err == nil || !strings.Contains(err.Error(), "there is no folder") {
		t.Errorf("no parent: %v", err)
	}

	fails := func(name, want string) {
		t.Helper()
		parent := t.TempDir()
		var x *command.ExitError
		if err := run(parent, dir, "out"); !errors.As(err, &x) || !strings.Contains(x.Stderr, want) {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
			t.Errorf("%s left %v, %v", name, entries, err)
		}
	}
	base := filepath.Join(dir, filepath.FromSlash(m.Chain[0].Key))
	flip(t, base)
	fails("damaged object", "is damaged: its SHA-256 is not")
	flip(t, base)
	must(t, os.Rename(base, base+".away"))
	fails("missing object", "is not in")
	must(t, os.Rename(base+".away", base))
	text, err := os.ReadFile(stored)
	must(t, err)
	wrong := strings.Replace(string(text), "cat \"$IN/0002-appended.txt\" >>\"$OUT/lines.txt\"\n", "", 1)
	if wrong == string(text) {
		t.Fatalf("the script is not as expected:\n%s", text)
	}
	must(t, os.WriteFile(stored, []byte(wrong), 0o600))
	fails("an increment left out", "not equal")
}

// The script must hold for every POSIX shell, and hold no text of the bucket unquoted.
func TestScriptIsSafe(t *testing.T) {
	m, err := parseManifest([]byte(golden), goldenAsset, goldenID, nil)
	must(t, err)
	m.Facts, m.Type = []byte(`{"size":1,"sha256":"00"}`), "lines"
	text := restoreScript(m, lines{needs: []string{"zeta"}})
	for _, want := range []string{"set -eu", "command -v", " zeta", m.Chain[0].Key, m.Chain[0].SHA256, "0002-repo.bundle"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the script", want)
		}
	}
	if strings.Contains(text, "@") {
		t.Errorf("a place was not filled:\n%s", text)
	}
	for _, shell := range []string{"sh", "bash", "dash", "busybox"} {
		path, err := command.Look(shell)
		if err != nil {
			continue
		}
		argv := []string{path, "-n", "-c", text}
		if shell == "busybox" {
			argv = []string{path, "sh", "-n", "-c", text}
		}
		if _, err := command.Run(t.Context(), command.Cmd{Argv: argv}); err != nil {
			t.Errorf("%s: %v", shell, err)
		}
	}
}

func TestReadmeIsWrittenOnce(t *testing.T) {
	v, dir := fileVault(t)
	s := newSource(t)
	backup(t, v, s, BackupOptions{})
	path := filepath.Join(dir, filepath.FromSlash(readmeKey))
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "sh POINT.restore.sh folder target") {
		t.Errorf("README-RESTORE.md: %v", err)
	}
	must(t, os.WriteFile(path, []byte("ours"), 0o600))
	again, err := Open(t.Context(), "file://"+dir, Options{})
	must(t, err)
	defer again.Close()
	backup(t, again, s, BackupOptions{})
	if text, err := os.ReadFile(path); err != nil || string(text) != "ours" {
		t.Errorf("README-RESTORE.md was written over: %q, %v", text, err)
	}
}
