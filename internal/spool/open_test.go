package spool

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOpenNoFile: what stands in the place of a log and is none is refused at once.
func TestOpenNoFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(string) error{
		"pipe":      func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"link":      func(p string) error { return os.Symlink(secret, p) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"nothing":   func(string) error { return nil },
	} {
		path := filepath.Join(dir, name+".log")
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(path); err == nil {
			l.Close()
			t.Errorf("%s: it was opened", name)
		}
	}
}
