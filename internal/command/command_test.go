package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/hint"
)

// TestMain lets the test binary stand in for programs that no shell can play: one that
// is killed while its children run.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LIFEBOAT_COMMAND_PARENT"); dir != "" {
		os.Exit(parent(dir))
	}
	os.Exit(m.Run())
}

// parent detaches a child that writes a line in a moment, and then waits to be killed.
func parent(dir string) int {
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		return 1
	}
	_, err = Detach(sh(`echo began; read line < "$gate"; echo ended "$line"`, "gate", filepath.Join(dir, "gate")), out)
	if err != nil {
		return 1
	}
	fmt.Println("detached")
	select {}
}

func sh(script string, env ...string) Cmd {
	vars := map[string]string{}
	for i := 0; i+1 < len(env); i += 2 {
		vars[env[i]] = env[i+1]
	}
	return Cmd{Argv: []string{"sh", "-c", script}, Env: vars, Grace: 100 * time.Millisecond}
}

func TestRunKeepsOutputAndExit(t *testing.T) {
	for _, tt := range []struct {
		name, script   string
		exit           int
		signal         string
		stdout, stderr string
		message        string
	}{
		{"success", "echo out; echo err >&2", 0, "", "out\n", "err\n", ""},
		{"exit code", "echo one >&2; printf 'two \\033[31mred\\n\\n' >&2; exit 3", 3, "", "", "one\ntwo \x1b[31mred\n\n", "sh: exit 3: two red"},
		{"killed", "kill -9 $$", 137, "SIGKILL", "", "", "sh: killed by SIGKILL"},
		{"exit code like a signal", "exit 137", 137, "", "", "", "sh: exit 137"},
		{"input is empty", "cat; echo end", 0, "", "end\n", "", ""},
		{"no terminal", "echo x > /dev/tty && echo tty; true", 0, "", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Run(t.Context(), sh(tt.script))
			if r.Exit != tt.exit || r.Signal != tt.signal || r.Truncated || r.Took <= 0 {
				t.Errorf("result %+v, want exit %d signal %q", r, tt.exit, tt.signal)
			}
			if string(r.Stdout) != tt.stdout || tt.name != "no terminal" && string(r.Stderr) != tt.stderr {
				t.Errorf("stdout %q stderr %q, want %q %q", r.Stdout, r.Stderr, tt.stdout, tt.stderr)
			}
			var exit *ExitError
			switch {
			case tt.message == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case tt.message != "" && (!errors.As(err, &exit) || err.Error() != tt.message || exit.Exit != tt.exit):
				t.Errorf("error %v, want %q", err, tt.message)
			}
		})
	}
}

func TestRunSendsOutputAndInput(t *testing.T) {
	var both bytes.Buffer
	c := sh(`while read line; do echo "got $line"; echo "warn $line" >&2; done; exit 1`)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader("a\nb\n"), &both, &both
	r, err := Run(t.Context(), c)
	if got, want := both.String(), "got a\nwarn a\ngot b\nwarn b\n"; got != want {
		t.Errorf("one writer for both got %q, want the lines in order %q", got, want)
	}
	var exit *ExitError
	if !errors.As(err, &exit) || !strings.Contains(exit.Stderr, "warn b") || r.Stdout != nil || r.Stderr != nil {
		t.Errorf("result %+v error %v", r, err)
	}

	file, err := os.Create(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c = sh("echo to a file; echo and errors >&2")
	c.Stdout, c.Stderr = file, file
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(file.Name()); string(data) != "to a file\nand errors\n" {
		t.Errorf("file holds %q", data)
	}
}

func TestRunBoundsMemory(t *testing.T) {
	c := sh("head -c 300000 /dev/zero | tr '\\0' x; echo end")
	c.Keep = 1000
	r, err := Run(t.Context(), c)
	if err != nil || len(r.Stdout) != 1000 || !bytes.HasSuffix(r.Stdout, []byte("xend\n")) || !r.Truncated {
		t.Errorf("kept %d bytes, truncated %v, error %v; want the last 1000", len(r.Stdout), r.Truncated, err)
	}
	if _, err := Output(t.Context(), sh("head -c 70000000 /dev/zero")); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("70 MB of output: error %v", err)
	}
	out, err := Output(t.Context(), sh("head -c 1000000 /dev/zero; echo done >&2"))
	if err != nil || len(out) != 1000000 {
		t.Errorf("output of %d bytes, error %v", len(out), err)
	}
}

type fullDisk struct{ after int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

// A full log must neither kill the effect nor go unnoticed.
func TestRunGoesOnWhenTheWriterFails(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	c := sh(`head -c 500000 /dev/zero && echo x > "$mark"`, "mark", mark)
	c.Stdout = &fullDisk{after: 1000}
	_, err := Run(t.Context(), c)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want the writer's", err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the program did not run to its end: %v", err)
	}
}

// reached waits until a program has written want to a file.
func reached(t *testing.T, path, want string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		data, _ := os.ReadFile(path)
		if strings.Contains(string(data), want) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s holds %q, want %q", filepath.Base(path), data, want)
		}
	}
}

func TestStopLadder(t *testing.T) {
	for _, tt := range []struct{ name, script, signal, trace string }{
		{"heeds SIGINT", `trap 'echo int >> "$log"; exit 0' INT`, "", "int\n"},
		{"heeds SIGTERM", `trap 'echo int >> "$log"' INT; trap 'echo term >> "$log"; exit 0' TERM`, "", "int\nterm\n"},
		{"heeds nothing", `trap '' INT TERM`, "SIGKILL", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			ctx, cancel := context.WithCancel(t.Context())
			p, err := Start(ctx, sh(tt.script+`; echo ready >> "$log"; while :; do sleep 0.02; done`, "log", log))
			if err != nil {
				t.Fatal(err)
			}
			reached(t, log, "ready")
			cancel()
			r, err := p.Wait()
			if !errors.Is(err, context.Canceled) || r.Signal != tt.signal {
				t.Errorf("signal %q error %v", r.Signal, err)
			}
			if data, _ := os.ReadFile(log); string(data) != "ready\n"+tt.trace {
				t.Errorf("trace %q, want %q", data, tt.trace)
			}
		})
	}
}

// The whole group ends, also what the program started and what ignores the polite signals.
func TestStopReachesGrandchildren(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx, sh(`(trap '' INT TERM; echo ready >> "$log"; while :; do sleep 0.02; done) & wait`, "log", log))
	if err != nil {
		t.Fatal(err)
	}
	reached(t, log, "ready")
	if !groupAlive(p.PID()) {
		t.Fatal("the group is not seen as alive")
	}
	cancel()
	if _, err := p.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if groupAlive(p.PID()) {
		t.Error("a grandchild survived")
	}
}

// What was started under a mark is found by it, with what that has started, and not longer
// than it runs.
func TestMarked(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithCancel(Mark(t.Context(), "run/step"))
	p, err := Start(ctx, sh(`(echo ready >> "$log"; exec sleep 600) & wait`, "log", log))
	if err != nil {
		t.Fatal(err)
	}
	reached(t, log, "ready")
	if got := Marked("run/step"); len(got) != 2 || !strings.HasSuffix(got[0]+got[1], ")") {
		t.Errorf("marked %q, want the shell and its child", got)
	}
	if got := Marked("run/other"); got != nil {
		t.Errorf("marked by another %q", got)
	}
	cancel()
	_, _ = p.Wait() // it was stopped
	if got := Marked("run/step"); got != nil {
		t.Errorf("marked %q after the end", got)
	}
}

func TestTimeout(t *testing.T) {
	c := sh("exec sleep 600")
	c.Timeout = 50 * time.Millisecond
	_, err := Run(t.Context(), c)
	var exit *ExitError
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no end within 50ms") || !errors.As(err, &exit) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the lock is lost"))
	if _, err := Run(ctx, sh("true")); err == nil || !strings.Contains(err.Error(), "not started: the lock is lost") {
		t.Errorf("error %v", err)
	}
}

// A grandchild that holds the pipe must not hold us.
func TestHeldPipe(t *testing.T) {
	holder := func() (Cmd, string) {
		gate := filepath.Join(t.TempDir(), "gate")
		if err := syscall.Mkfifo(gate, 0o600); err != nil {
			t.Fatal(err)
		}
		// The holder waits for a writer; opening the gate in the cleanup lets it end.
		t.Cleanup(func() { openGate(t, gate, "go") })
		return sh(`read line < "$gate" & echo before`, "gate", gate), gate
	}
	c, _ := holder()
	r, err := Run(t.Context(), c)
	if err != nil || string(r.Stdout) != "before\n" || !r.Truncated {
		t.Errorf("result %+v error %v, want truncated output", r, err)
	}
	c, _ = holder()
	if _, err := Output(t.Context(), c); !errors.Is(err, ErrHeld) {
		t.Errorf("Output: error %v, want %v", err, ErrHeld)
	}
	c, _ = holder()
	c.StdoutPipe = true
	p, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(p.Stdout)
	if string(data) != "before\n" || !errors.Is(err, ErrHeld) {
		t.Errorf("pipe gave %q, %v", data, err)
	}
	p.Stdout.Close()
	if _, err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func openGate(t *testing.T, gate, line string) {
	t.Helper()
	f, err := os.OpenFile(gate, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, line)
	t.Cleanup(func() { f.Close() })
}

func TestPipes(t *testing.T) {
	c := sh("tr a-z A-Z")
	c.StdinPipe, c.StdoutPipe = true, true
	p, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("lifeboat\n", 50_000)
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.Stdin, want)
		wrote <- errors.Join(err, p.Stdin.Close())
	}()
	got, err := io.ReadAll(p.Stdout)
	if err != nil || string(got) != strings.ToUpper(want) {
		t.Errorf("read %d bytes, error %v", len(got), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if r, err := p.Wait(); err != nil || r.Exit != 0 {
		t.Errorf("result %+v error %v", r, err)
	}
}

// A program that stops reading early is no error of ours.
func TestInputLargerThanRead(t *testing.T) {
	c := sh("head -c 3")
	c.Stdin = bytes.NewReader(make([]byte, 1<<20))
	if r, err := Run(t.Context(), c); err != nil || len(r.Stdout) != 3 {
		t.Errorf("result %+v error %v", r, err)
	}
}

func TestExtraFiles(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := sh("echo hello >&3")
	c.Files = []*os.File{w}
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if data, _ := io.ReadAll(r); string(data) != "hello\n" {
		t.Errorf("descriptor 3 carried %q", data)
	}
}

func TestNotFound(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cmd  Cmd
		want string
	}{
		{"absent", Cmd{Argv: []string{"lifeboat-no-such-program"}}, `"lifeboat-no-such-program" is not in PATH`},
		{"not executable", Cmd{Argv: []string{plain}}, "is not executable"},
		{"directory", Cmd{Argv: []string{dir}}, "is a directory"},
		{"not in the working directory", Cmd{Argv: []string{"plain"}, Dir: dir, Env: map[string]string{"PATH": ".:" + dir + "/sub"}}, "is not in PATH"},
		{"empty name", Cmd{Argv: []string{""}}, "name is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Run(t.Context(), tt.cmd)
			if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if tt.name != "empty name" && len(hint.All(err)) != 1 {
				t.Errorf("advice %q", hint.All(err))
			}
		})
	}
	if _, err := Run(t.Context(), Cmd{}); err == nil {
		t.Error("a command without a program was accepted")
	}
	if _, err := Run(t.Context(), Cmd{Argv: []string{"true"}, Dir: plain}); err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("error %v", err)
	}
	if path, err := Look("sh"); err != nil || !filepath.IsAbs(path) {
		t.Errorf("Look: %q, %v", path, err)
	}
}

// The child that an engine detached goes on when the engine is killed (fault F4).
func TestDetachSurvivesTheParent(t *testing.T) {
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(t.Context(), Cmd{
		Argv: []string{self}, Env: map[string]string{"LIFEBOAT_COMMAND_PARENT": dir}, StdoutPipe: true,
		Grace: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p.Stdout, make([]byte, len("detached\n"))); err != nil {
		t.Fatal(err)
	}
	reached(t, filepath.Join(dir, "out"), "began")
	if err := p.Signal(syscall.SIGHUP); err != nil { // the terminal goes away
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.Stdout.Close()
	if _, err := p.Wait(); err == nil {
		t.Error("the parent ended well, although it was killed")
	}
	openGate(t, gate, "well")
	reached(t, filepath.Join(dir, "out"), "ended well")
}

func TestSessionOfItsOwn(t *testing.T) {
	r, err := Run(t.Context(), sh(`cat /proc/$$/stat`))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(r.Stdout))
	if len(f) < 7 {
		t.Skip("no /proc")
	}
	if f[0] != f[4] || f[0] != f[5] || f[6] != "0" {
		t.Errorf("pid %s group %s session %s terminal %s, want a session of its own", f[0], f[4], f[5], f[6])
	}
	if f[5] == strconv.Itoa(os.Getpid()) || slices.Contains(f[4:6], "0") {
		t.Errorf("session %s is ours", f[5])
	}
}
