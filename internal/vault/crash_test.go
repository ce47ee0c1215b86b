package vault

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/command"
)

// TestMain is also the process that the tests here kill: it makes points of a source in a
// vault, as its environment says.
func TestMain(m *testing.M) {
	if dir := os.Getenv("VAULT_TEST_DIR"); dir != "" {
		if err := child(context.Background(), dir, os.Getenv("VAULT_TEST_SOURCE")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	for k, val := range map[string]string{ // for S3, whose driver reads them; nobody's own may be used
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		os.Setenv(k, val)
	}
	os.Exit(m.Run())
}

// child makes VAULT_TEST_ROUNDS points, appending lines between them. It kills itself at
// the step VAULT_TEST_CRASH, if any, and prints the id of each point that it was promised.
func child(ctx context.Context, dir, path string) error {
	rounds, err := strconv.Atoi(os.Getenv("VAULT_TEST_ROUNDS"))
	if err != nil {
		return err
	}
	crash, err := strconv.Atoi(os.Getenv("VAULT_TEST_CRASH"))
	if err != nil {
		return err
	}
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	v := newVault("test", &dying{store: f, at: crash}, Options{Host: "test"})
	for i := range rounds {
		if i > 0 {
			if err := appendLines(path, i*10); err != nil {
				return err
			}
		}
		m, err := v.Backup(ctx, Asset{Name: "crash", Source: path}, lines{}, BackupOptions{})
		if err != nil {
			return err
		}
		fmt.Println(m.ID)
	}
	return v.Close()
}

func appendLines(path string, from int) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for i := range 10 {
		fmt.Fprintf(f, "appended %d\n", from+i)
	}
	return f.Close()
}

// dying is a store that kills its process, as kill -9 does, at step number at.
type dying struct {
	store
	mu sync.Mutex
	n  int
	at int
}

func (d *dying) step() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n++; d.n == d.at {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (d *dying) put(ctx context.Context, key string, o putOptions) (io.WriteCloser, error) {
	d.step()
	w, err := d.store.put(ctx, key, o)
	return &dyingWriter{d, w}, err
}

type dyingWriter struct {
	d *dying
	io.WriteCloser
}

func (w *dyingWriter) Write(p []byte) (int, error) {
	n, err := w.WriteCloser.Write(p[:len(p)/2])
	w.d.step()
	if err == nil {
		var m int
		m, err = w.WriteCloser.Write(p[n:])
		n += m
	}
	return n, err
}

func (w *dyingWriter) Close() error {
	w.d.step()
	err := w.WriteCloser.Close()
	w.d.step()
	return err
}

func (d *dying) get(ctx context.Context, key string) (io.ReadCloser, error) {
	d.step()
	return d.store.get(ctx, key)
}

func childCmd(dir, path string, rounds, crash int) command.Cmd {
	return command.Cmd{Argv: []string{os.Args[0]}, Env: map[string]string{
		"VAULT_TEST_DIR": dir, "VAULT_TEST_SOURCE": path,
		"VAULT_TEST_ROUNDS": strconv.Itoa(rounds), "VAULT_TEST_CRASH": strconv.Itoa(crash),
	}}
}

// crashed looks at a vault after a process died in it.
func crashed(t *testing.T, dir, path string, whole []byte, promised []string) {
	t.Helper()
	v, err := Open(t.Context(), "file://"+dir, Options{Scratch: t.TempDir(), Pause: time.Millisecond})
	must(t, err)
	defer v.Close()
	a := Asset{Name: "crash", Source: path}
	listed, err := v.List(t.Context(), AssetID(a), time.Time{})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	for _, m := range listed {
		if _, err := v.Verify(t.Context(), m, lines{}, LevelChecked, VerifyOptions{Reread: true}); err != nil {
			t.Error(err)
		}
		got, err := replayedBytes(t.Context(), v, m, t.TempDir())
		if err != nil || len(got) == 0 || !bytes.HasPrefix(whole, got) {
			t.Errorf("point %s: %d bytes, %v", m.ID, len(got), err)
		}
	}
	for _, id := range promised {
		if _, err := v.Get(t.Context(), AssetID(a), id); err != nil {
			t.Errorf("promised: %v", err)
		}
	}
	m, err := v.Backup(t.Context(), a, lines{}, BackupOptions{})
	if err != nil {
		t.Fatalf("the next backup: %v", err)
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got, err := replayedBytes(t.Context(), v, m, t.TempDir()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the next backup: %v", err)
	}
}

// crashSource is a new source, and what it holds when the child has ended.
func crashSource(t *testing.T, rounds int) (path string, whole []byte) {
	t.Helper()
	s := newSource(t)
	whole = s.content()
	for i := 1; i < rounds; i++ {
		for j := range 10 {
			whole = fmt.Appendf(whole, "appended %d\n", i*10+j)
		}
	}
	return s.path, whole
}

func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	const rounds = 2
	for at := 1; ; at++ {
		if at > 200 {
			t.Fatal("the sweep has no end")
		}
		dir := t.TempDir()
		path, whole := crashSource(t, rounds)
		r, err := command.Run(t.Context(), childCmd(dir, path, rounds, at))
		promised := strings.Fields(string(r.Stdout))
		crashed(t, dir, path, whole, promised)
		if t.Failed() {
			t.Fatalf("killed at step %d", at)
		}
		if err == nil {
			if len(promised) != rounds || at < 30 {
				t.Errorf("%d points, %d steps", len(promised), at)
			}
			return
		}
		if r.Signal != "SIGKILL" {
			t.Fatalf("the process was to be killed at step %d: %v", at, err)
		}
	}
}

// Killed from outside, at moments that no step marks: while a file is synced or linked.
func TestKillAtAnyMoment(t *testing.T) {
	t.Parallel()
	const rounds = 40
	for lines := range 6 {
		dir := t.TempDir()
		path, whole := crashSource(t, rounds)
		c := childCmd(dir, path, rounds, 0)
		c.StdoutPipe = true
		p, err := command.Start(t.Context(), c)
		must(t, err)
		var promised []string
		out := bufio.NewScanner(p.Stdout)
		for len(promised) <= lines && out.Scan() {
			promised = append(promised, out.Text())
		}
		must(t, syscall.Kill(p.PID(), syscall.SIGKILL))
		for out.Scan() {
			promised = append(promised, out.Text())
		}
		if _, err := p.Wait(); err == nil {
			t.Fatal("the process ended before it was killed")
		}
		crashed(t, dir, path, whole, promised)
		if t.Failed() {
			t.Fatalf("killed after %d points", len(promised))
		}
	}
}

// Two processes back up one asset at the same time: every point that one of them was
// promised is there and whole.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSource(t)
	c := childCmd(dir, s.path, 1, 0)
	points := map[string][]byte{}
	for range 3 {
		var wg sync.WaitGroup
		outs := make([]string, 2)
		for i := range outs {
			wg.Go(func() {
				r, err := command.Run(t.Context(), c)
				if err != nil {
					t.Error(err)
				}
				outs[i] = strings.TrimSpace(string(r.Stdout))
			})
		}
		wg.Wait()
		for _, id := range outs {
			points[id] = s.content()
		}
		s.grow(10)
	}
	v, err := Open(t.Context(), "file://"+dir, Options{Scratch: t.TempDir()})
	must(t, err)
	defer v.Close()
	listed, err := v.List(t.Context(), AssetID(Asset{Name: "crash", Source: s.path}), time.Time{})
	if err != nil || len(listed) != 6 || len(points) != 6 {
		t.Fatalf("%d points listed, %d made, %v", len(listed), len(points), err)
	}
	for _, m := range listed {
		if got, err := replayedBytes(t.Context(), v, m, t.TempDir()); err != nil || !bytes.Equal(got, points[m.ID]) {
			t.Errorf("point %s: %v", m.ID, err)
		}
		if _, err := v.Verify(t.Context(), m, lines{}, LevelRestored, VerifyOptions{}); err != nil {
			t.Error(err)
		}
	}
}
