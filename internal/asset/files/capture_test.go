package files_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/asset/files"
	"lifeboat/internal/hint"
)

// A source that moves: the capture begins again once; a file that keeps moving is an
// error that names it, and nothing of the first try is stored.
func TestMoving(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB, several reads
	changes := map[string]func(path string) error{
		"grows": func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		},
		"shrinks":  func(p string) error { return os.Truncate(p, 100) },
		"vanishes": os.Remove,
		"rewritten in place, same size and mtime": func(p string) error {
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("X"), 1<<19)
			return errors.Join(err, f.Close(), os.Chtimes(p, info.ModTime(), info.ModTime()))
		},
		"replaced": func(p string) error {
			return errors.Join(os.WriteFile(p+".new", []byte(big), 0o640), os.Rename(p+".new", p))
		},
		"becomes a link": func(p string) error { return errors.Join(os.Remove(p), os.Symlink("a", p)) },
		"becomes a fifo": func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) },
	}
	for name, change := range changes {
		for _, often := range []int{1, 2} {
			if often == 2 && (name == "vanishes" || strings.HasPrefix(name, "becomes")) {
				continue // the second listing has no file z whose content could change
			}
			root := tree(t, map[string]string{"a": "first", "z": big})
			s, fired := newStore(), 0
			s.before = func(role string, n int64) error {
				if n == 0 && role == "tar" && fired < often {
					if fired++; fired > 1 {
						must(t, os.RemoveAll(filepath.Join(root, "z")))
						put(t, root, "z", big+"second try")
						return nil
					}
					return change(filepath.Join(root, "z"))
				}
				return nil
			}
			kind, raw, log, err := s.capture(t, files.Kind{}, root, nil)
			if fired != often || s.aborted != often {
				t.Fatalf("%s: changed %d times, %d aborted: %v", name, fired, s.aborted, err)
			}
			if often == 2 {
				if !errors.Is(err, files.ErrMoving) || !strings.Contains(err.Error(), `"z"`) || len(hint.All(err)) == 0 || len(s.names) > 0 {
					t.Errorf("%s twice: %v, stored %v", name, err, s.names)
				}
				continue
			}
			if err != nil || kind != "full" || !strings.Contains(log, "begins again") {
				t.Fatalf("%s: %s %v\n%s", name, kind, err, log)
			}
			must(t, files.Kind{}.Check(t.Context(), "tar", bytes.NewReader(s.objects["tar"])))
			dir, object := t.TempDir(), filepath.Join(t.TempDir(), "o")
			must(t, os.WriteFile(object, s.objects["tar"], 0o600))
			must(t, files.Kind{}.Apply(t.Context(), dir, "tar", object, nil))
			_, err = files.Kind{}.Prove(t.Context(), dir, raw, true, nil)
			must(t, err)
			if info, err := os.Lstat(filepath.Join(root, "z")); err != nil || !info.Mode().IsRegular() {
				continue
			}
			want, err := os.ReadFile(filepath.Join(root, "z"))
			must(t, err)
			if got, err := os.ReadFile(filepath.Join(dir, "files/z")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: not the content of the second try: %v", name, err)
			}
		}
	}
}

// A bucket that fails at any write makes no point.
func TestStoreFails(t *testing.T) {
	root := tree(t, monorepo)
	for _, role := range []string{"tar", "index"} {
		s := newStore()
		full, fired := errors.New("disk full"), false
		s.before = func(r string, n int64) error {
			if r == role && (n > 0 || r == "index") {
				fired = true
				return full
			}
			return nil
		}
		if _, _, _, err := s.capture(t, files.Kind{}, root, nil); !errors.Is(err, full) || !fired {
			t.Errorf("%s: %v", role, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newStore()
	if _, _, err := (files.Kind{}).Capture(ctx, root, nil, s.open, s.create, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestUnchanged(t *testing.T) {
	root := tree(t, monorepo)
	k := files.Kind{Include: []string{"apps/"}}
	s := newStore()
	_, first, _, err := s.capture(t, k, root, nil)
	must(t, err)
	env := filepath.Join(root, "apps/web/.env")
	touch := time.Now().Add(time.Hour)
	must(t, os.Chtimes(env, touch, touch))
	s.names = nil
	kind, facts, _, err := s.capture(t, k, root, first)
	if err != nil || kind != "unchanged" || !bytes.Equal(facts, first) || len(s.names) > 0 {
		t.Fatalf("a touched file: %s %v, stored %v", kind, err, s.names)
	}
	for name, change := range map[string]func() error{
		"same size": func() error { return os.WriteFile(env, []byte("A=9\n"), 0o640) },
		"mode":      func() error { return os.Chmod(env, 0o600) },
		"new file":  func() error { return os.WriteFile(filepath.Join(root, "apps/api/new"), nil, 0o600) },
		"removed":   func() error { return os.Remove(filepath.Join(root, "apps/web/src/main.ts")) },
		"dir mode":  func() error { return os.Chmod(filepath.Join(root, "apps/api"), 0o700) },
		"link": func() error {
			return errors.Join(os.Remove(filepath.Join(root, "apps/web/link")), os.Symlink("src", filepath.Join(root, "apps/web/link")))
		},
		"new subdir": func() error { return os.Mkdir(filepath.Join(root, "apps/api/sub"), 0o755) },
	} {
		must(t, change())
		kind, next, log, err := s.capture(t, k, root, first)
		if err != nil || kind != "full" || !strings.Contains(log, "whole backup: ") {
			t.Errorf("%s: %s %v\n%s", name, kind, err, log)
		}
		first = next
		if kind, _, _, err := s.capture(t, k, root, first); kind != "unchanged" {
			t.Errorf("after %s: %s %v", name, kind, err)
		}
	}
	// Without the list, or with another, nothing can be compared: whole.
	for name, index := range map[string][]byte{
		"none": nil, "cut": s.objects["index"][:80], "another": []byte("lifeboat-files/1 " + strings.Repeat("0", 64) + "\n"),
	} {
		saved := s.objects["index"]
		if s.objects["index"] = index; index == nil {
			delete(s.objects, "index")
		}
		if kind, _, log, err := s.capture(t, k, root, first); err != nil || kind != "full" || !strings.Contains(log, "cannot be read") {
			t.Errorf("index %s: %s %v\n%s", name, kind, err, log)
		}
		if _, first, _, err = s.capture(t, k, root, nil); err != nil || len(saved) == 0 {
			t.Fatal(err)
		}
	}
}

func TestNothing(t *testing.T) {
	root := tree(t, monorepo)
	s := newStore()
	k := files.Kind{Include: []string{"nowhere/*"}}
	kind, none, log, err := s.capture(t, k, root, nil)
	if err != nil || kind != "empty" || !strings.Contains(log, "WARNING: nothing matches") || len(s.names) > 0 {
		t.Fatalf("%s %v %s", kind, err, log)
	}
	if kind, _, _, err = s.capture(t, k, root, none); err != nil || kind != "empty" {
		t.Errorf("still nothing: %s %v", kind, err)
	}
	dir := t.TempDir()
	if _, err := k.Prove(t.Context(), dir, none, true, nil); err != nil {
		t.Error(err)
	}
	put(t, dir, "x", "")
	if _, err := k.Prove(t.Context(), dir, none, true, nil); !errors.Is(err, files.ErrUnequal) {
		t.Errorf("something where nothing was: %v", err)
	}
	_, some, _, err := s.capture(t, files.Kind{Include: []string{"apps/"}}, root, none)
	must(t, err)
	if _, _, _, err = s.capture(t, k, root, some); !errors.Is(err, files.ErrNothing) || len(hint.All(err)) == 0 {
		t.Errorf("files that are gone: %v %q", err, hint.All(err))
	}
	for name, source := range map[string]string{"gone": filepath.Join(root, "x"), "file": filepath.Join(root, "package.json")} {
		if _, _, _, err := s.capture(t, k, source, nil); err == nil || len(hint.All(err)) == 0 {
			t.Errorf("source %s: %v", name, err)
		}
	}
}

// What cannot be kept as it is fails by name, or is told; it never goes missing silently.
func TestUnsuitable(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(root string) error
		want string // in the error; "" when it is left out and told in the log
		log  string
	}{
		"link outside":  {func(r string) error { return os.Symlink("../../secret", filepath.Join(r, "x")) }, "leads outside", ""},
		"absolute link": {func(r string) error { return os.Symlink("/etc/passwd", filepath.Join(r, "x")) }, "absolute target", ""},
		"way round":     {func(r string) error { return os.Symlink("a/../b", filepath.Join(r, "x")) }, "leads outside, or may", ""},
		"newline":       {func(r string) error { return os.WriteFile(filepath.Join(r, "a\nb"), nil, 0o600) }, "control character", ""},
		"escape":        {func(r string) error { return os.WriteFile(filepath.Join(r, "a\x1b[2Jb"), nil, 0o600) }, "control character", ""},
		"no UTF-8":      {func(r string) error { return os.WriteFile(filepath.Join(r, "a\xffb"), nil, 0o600) }, "not UTF-8", ""},
		"case": {func(r string) error {
			return errors.Join(os.WriteFile(filepath.Join(r, "Env"), nil, 0o600), os.WriteFile(filepath.Join(r, "env"), nil, 0o600))
		}, "only in case", ""},
		"normal forms": {func(r string) error {
			return errors.Join(os.WriteFile(filepath.Join(r, "u\u0308"), nil, 0o600), os.WriteFile(filepath.Join(r, "\u00fc"), nil, 0o600))
		}, "letters are encoded", ""},
		"fifo":           {func(r string) error { return syscall.Mkfifo(filepath.Join(r, "pipe"), 0o600) }, "", `"pipe" is left out: a fifo`},
		"socket":         {func(r string) error { return listen(filepath.Join(r, "s")) }, "", `"s" is left out: a socket`},
		"setuid":         {func(r string) error { return os.Chmod(filepath.Join(r, "plain"), 0o755|fs.ModeSetuid) }, "", "setuid, setgid and sticky are not kept"},
		"dangling link":  {func(r string) error { return os.Symlink("nowhere", filepath.Join(r, "x")) }, "", `"x" is a link to "nowhere", which is not in this backup`},
		"link to itself": {func(r string) error { return os.Symlink("x", filepath.Join(r, "x")) }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, map[string]string{"plain": "text"})
			must(t, tt.make(root))
			s := newStore()
			kind, facts, log, err := s.capture(t, files.Kind{}, root, nil)
			if tt.want != "" {
				if !errors.Is(err, files.ErrUnsuitable) || !strings.Contains(err.Error(), tt.want) || len(hint.All(err)) == 0 {
					t.Errorf("%v %q", err, hint.All(err))
				}
				return
			}
			if err != nil || kind != "full" || !strings.Contains(log, tt.log) {
				t.Fatalf("%s %v\n%s", kind, err, log)
			}
			dir, object := t.TempDir(), filepath.Join(t.TempDir(), "o")
			must(t, os.WriteFile(object, s.objects["tar"], 0o600))
			must(t, files.Kind{}.Apply(t.Context(), dir, "tar", object, nil))
			_, err = files.Kind{}.Prove(t.Context(), dir, facts, true, nil)
			must(t, err)
			if info, err := os.Stat(filepath.Join(dir, "files/plain")); err != nil || info.Mode()&fs.ModeSetuid != 0 {
				t.Errorf("%v %v", info, err)
			}
		})
	}
}

// listen leaves a socket behind.
func listen(path string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root reads everything")
		return
	}
	root := tree(t, monorepo)
	must(t, os.Chmod(filepath.Join(root, "apps/web/.env"), 0))
	if _, _, _, err := newStore().capture(t, files.Kind{}, root, nil); !errors.Is(err, fs.ErrPermission) || len(hint.All(err)) == 0 {
		t.Errorf("%v", err)
	}
}
