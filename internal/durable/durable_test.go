package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const (
	before = "old content"
	after  = "the new content, which is longer"
)

// TestMain plays a process that dies at its n-th call of the system.
func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv("LIFEBOAT_DURABLE_DIE")); err == nil {
		f := &faults{at: n, fail: func() error {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}}
		if err := f.disk().writeFile(os.Getenv("LIFEBOAT_DURABLE_PATH"), []byte(after), 0o600); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv("LIFEBOAT_DURABLE_LOCK"); path != "" {
		if _, err := Lock(path, "the other process"); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		select {}
	}
	os.Exit(m.Run())
}

// faults counts the calls of the system and lets the at-th one fail: without effect, or
// although it had its effect.
type faults struct {
	at      int
	applied bool
	fail    func() error
	calls   []string
}

func (f *faults) call(name string, do func() error) error {
	f.calls = append(f.calls, name)
	if len(f.calls) != f.at {
		return do()
	}
	if f.applied {
		if err := do(); err != nil {
			return err
		}
	}
	return f.fail()
}

func (f *faults) disk() disk {
	return disk{
		sync: func(file *os.File) error {
			kind := "sync"
			if info, err := file.Stat(); err == nil && info.IsDir() {
				kind = "syncdir"
			}
			return f.call(kind, file.Sync)
		},
		rename: func(a, b string) error { return f.call("rename", func() error { return os.Rename(a, b) }) },
		link:   func(a, b string) error { return f.call("link", func() error { return os.Link(a, b) }) },
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestEveryCallFailsBothWays(t *testing.T) {
	for _, op := range []struct {
		name  string
		do    func(d disk, path string) error
		fresh bool // the file must not exist before
		calls string
	}{
		{"write", func(d disk, p string) error { return d.writeFile(p, []byte(after), 0o640) }, false, "sync rename syncdir"},
		{"create", func(d disk, p string) error { return d.create(p, []byte(after), 0o640) }, true, "sync link syncdir"},
	} {
		calls := strings.Fields(op.calls)
		for at := 0; at <= len(calls); at++ {
			for _, applied := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", op.name, at, applied), func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "file")
					old := ""
					if !op.fresh {
						old = before
						if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
							t.Fatal(err)
						}
					}
					f := &faults{at: at, applied: applied, fail: func() error { return syscall.EIO }}
					err := op.do(f.disk(), path)
					got := read(t, path)
					if names(t, filepath.Dir(path)) != "file" && got != "" || strings.Contains(names(t, filepath.Dir(path)), "tmp") {
						t.Errorf("left behind: %s", names(t, filepath.Dir(path)))
					}
					if at == 0 {
						info, _ := os.Stat(path)
						if err != nil || got != after || info.Mode() != 0o640 || strings.Join(f.calls, " ") != op.calls {
							t.Fatalf("content %q error %v calls %v mode %v", got, err, f.calls, info.Mode())
						}
						return
					}
					if len(f.calls) != at {
						t.Errorf("calls %v: it went on after the fault, or the fault never fired", f.calls)
					}
					if !errors.Is(err, syscall.EIO) {
						t.Fatalf("error %v", err)
					}
					unclear := calls[at-1] == "syncdir"
					if errors.Is(err, ErrUnclear) != unclear {
						t.Errorf("error %v, unclear %v wanted", err, unclear)
					}
					switch {
					case unclear && got != after:
						t.Errorf("content %q, want the new one", got)
					case !unclear && !applied && got != old:
						t.Errorf("content %q, want the old one %q", got, old)
					case got != old && got != after:
						t.Errorf("content %q is neither old nor new", got)
					}
				})
			}
		}
	}
}

func TestKilledAtEveryCall(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	survived := false
	for n := 1; !survived; n++ {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		child := exec.CommandContext(t.Context(), self)
		child.Env = append(os.Environ(), "LIFEBOAT_DURABLE_DIE="+strconv.Itoa(n), "LIFEBOAT_DURABLE_PATH="+path)
		survived = child.Run() == nil
		if got := read(t, path); got != before && got != after || survived && got != after {
			t.Fatalf("killed at call %d: content %q", n, got)
		}
		if n > 10 {
			t.Fatal("the sweep does not end")
		}
	}
}

func TestCreateHasOneWinner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var wg sync.WaitGroup
	won := make(chan int, 8)
	for i := range 8 {
		wg.Go(func() {
			err := Create(path, []byte(strconv.Itoa(i)), 0o600)
			switch {
			case err == nil:
				won <- i
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	var winners []int
	for i := range won {
		winners = append(winners, i)
	}
	if len(winners) != 1 || read(t, path) != strconv.Itoa(winners[0]) {
		t.Errorf("winners %v, content %q", winners, read(t, path))
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	f, err := NewFile(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFrom(strings.NewReader(after)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || read(t, f.Name()) != after {
		t.Error("the file is visible before Commit, or its temporary one is not whole")
	}
	if err := f.Close(); err != nil || names(t, dir) != "" {
		t.Errorf("Close: %v, left %q", err, names(t, dir))
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Commit after Close: %v", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, nil, 0o600); err == nil || !strings.Contains(err.Error(), "directory of that name") {
		t.Errorf("error %v", err)
	}
	if err := WriteFile(filepath.Join(dir, "none", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// A file that does not fit leaves the old one and nothing else.
func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	temp := f.file
	t.Cleanup(func() { os.Remove(temp.Name()) })
	f.file = full
	if _, err := f.Write([]byte(after)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v", err)
	}
	if err := f.Commit(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Commit after a failed write: %v", err)
	}
	if got := read(t, path); got != before {
		t.Errorf("content %q", got)
	}
	temp.Close()
	full.Close()
}

func TestMkdirAllAndRename(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	if err := MkdirAll(deep); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{deep, filepath.Dir(deep)} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", p, info, err)
		}
	}
	if err := MkdirAll(deep); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := WriteFile(file, []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(file, "x")); err == nil {
		t.Error("a directory below a file was made")
	}
	moved := filepath.Join(deep, "moved")
	f := &faults{}
	if err := f.disk().move(file, moved); err != nil || read(t, moved) != after || strings.Join(f.calls, " ") != "rename syncdir syncdir" {
		t.Errorf("error %v calls %v", err, f.calls)
	}
	if err := Rename(file, moved); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := Lock(path, "run 7F3A, process 1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lock(path, "second")
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Note != "run 7F3A, process 1" || !strings.Contains(err.Error(), "run 7F3A") {
		t.Fatalf("error %v", err)
	}
	if err := errors.Join(lock.Unlock(), lock.Unlock()); err != nil {
		t.Error(err)
	}
	if lock, err = Lock(path, "third"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "third\n" {
		t.Errorf("note %q", got)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(link, ""); err == nil {
		t.Error("a symbolic link was followed")
	}
}

// A killed holder holds nothing.
// TestUnlockFromAFork: a child that was forked and is not its program yet holds the file
// open, and keeps no lock with it.
func TestUnlockFromAFork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := Lock(path, "me")
	if err != nil {
		t.Fatal(err)
	}
	child, err := syscall.Dup(int(held.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(child)
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(path, "me")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestLockEndsWithTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), "LIFEBOAT_DURABLE_LOCK="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("locked\n"))
	if _, err := out.Read(line); err != nil || string(line) != "locked\n" {
		t.Fatalf("child says %q, %v", line, err)
	}
	var locked *LockedError
	if _, err := Lock(path, ""); !errors.As(err, &locked) || locked.Note != "the other process" {
		t.Errorf("error %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	lock, err := Lock(path, "next")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}
