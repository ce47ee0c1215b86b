package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/command"
	"lifeboat/internal/run"
)

// The test binary plays a process that appends until it dies: childKey names the journal.
const (
	childKey = "LIFEBOAT_JOURNAL"
	dieKey   = "LIFEBOAT_JOURNAL_DIE"   // at the n-th point of its appends
	limitKey = "LIFEBOAT_JOURNAL_LIMIT" // bytes that a file may have
)

// child appends whole runs and prints "run seq" when an append has returned.
func child() int {
	o := defaults()
	die, _ := strconv.Atoi(os.Getenv(dieKey))
	points := 0
	o.at = func(string) {
		if points++; points == die {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if limit, err := strconv.ParseUint(os.Getenv(limitKey), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return 1
		}
	}
	j, err := open(context.Background(), os.Getenv(childKey), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer j.Close()
	for i := range 200 {
		for _, ev := range history(run.ID(fmt.Sprintf("r-%d-%d", os.Getpid(), i))) {
			if err := j.Append(context.Background(), ev); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 3
			}
			fmt.Println(ev.Run, ev.Seq)
		}
	}
	return 0
}

func childCommand(t *testing.T, path string, env ...string) command.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := command.Cmd{Argv: []string{self}, Env: map[string]string{childKey: path}, Keep: 1 << 20}
	for i := 0; i+1 < len(env); i += 2 {
		c.Env[env[i]] = env[i+1]
	}
	return c
}

// survived checks that a journal holds every acknowledged event, at most one more, proves
// itself and goes on.
func survived(t *testing.T, path, acknowledged string) {
	t.Helper()
	j, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	last := map[run.ID]int64{}
	total := int64(0)
	for line := range strings.Lines(acknowledged) {
		id, seq, _ := strings.Cut(strings.TrimSpace(line), " ")
		last[run.ID(id)], _ = strconv.ParseInt(seq, 10, 64)
		total++
	}
	for id, seq := range last {
		events, err := j.Load(t.Context(), id)
		if err != nil || int64(len(events)) < seq {
			t.Errorf("run %s: %d events, %v; %d were acknowledged", id, len(events), err, seq)
		}
	}
	report, err := j.Verify(t.Context())
	if total > 0 && err != nil {
		t.Error(err)
	}
	if report.Events < total || report.Events > total+1 {
		t.Errorf("%d events are stored, %d were acknowledged", report.Events, total)
	}
	appended(t, j, history("r-after")...)
	if _, err := j.Verify(t.Context()); err != nil {
		t.Errorf("after the crash: %v", err)
	}
}

// Killed at every point of the appends of a run, and of the one after it.
func TestKilledAtEveryPoint(t *testing.T) {
	for n := 1; n <= 36; n++ { // a run has 35 points
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			path := place(t)
			r, err := command.Run(t.Context(), childCommand(t, path, dieKey, strconv.Itoa(n)))
			if r.Signal != "SIGKILL" {
				t.Fatalf("the point was not reached: %v", err)
			}
			survived(t, path, string(r.Stdout))
		})
	}
}

// Killed by somebody else at any time, also in the middle of a commit.
func TestKilledAtAnyTime(t *testing.T) {
	path := place(t)
	var all strings.Builder
	for round := range 5 {
		c := childCommand(t, path)
		c.StdoutPipe = true
		p, err := command.Start(t.Context(), c)
		must(t, err)
		in := bufio.NewScanner(p.Stdout)
		for lines := 0; in.Scan(); lines++ {
			fmt.Fprintln(&all, in.Text())
			if lines == 3+7*round {
				must(t, p.Signal(syscall.SIGKILL))
			}
		}
		p.Stdout.Close()
		if _, err := p.Wait(); err == nil {
			t.Fatal("it was not killed")
		}
	}
	j, err := Open(t.Context(), path)
	must(t, err)
	defer j.Close()
	acknowledged := int64(strings.Count(all.String(), "\n"))
	report, err := j.Verify(t.Context())
	if err != nil || report.Events < acknowledged || report.Events > acknowledged+5 {
		t.Errorf("%d events, %d acknowledged, %v", report.Events, acknowledged, err)
	}
}

// Two processes at once: each has its runs whole, and the journal proves itself.
func TestTwoProcesses(t *testing.T) {
	path := place(t)
	var all [2]*command.Process
	for i := range all {
		p, err := command.Start(t.Context(), childCommand(t, path, dieKey, "121"))
		must(t, err)
		all[i] = p
	}
	out := ""
	for _, p := range all {
		r, err := p.Wait()
		if r.Signal != "SIGKILL" {
			t.Fatalf("%v: %s", err, r.Stderr)
		}
		out += string(r.Stdout)
	}
	j, err := Open(t.Context(), path)
	must(t, err)
	defer j.Close()
	report, err := j.Verify(t.Context())
	if n := int64(strings.Count(out, "\n")); err != nil || n < 40 || report.Events < n || report.Events > n+2 {
		t.Errorf("%d events, %d acknowledged, %v", report.Events, n, err)
	}
}

// A full disk stops the run with one clear error, and what was acknowledged stays (F21).
func TestDiskFull(t *testing.T) {
	path := place(t)
	r, err := command.Run(t.Context(), childCommand(t, path, limitKey, "400000"))
	var exit *command.ExitError
	if !errors.As(err, &exit) || exit.Exit != 3 {
		t.Fatalf("%v", err)
	}
	if message := strings.TrimSpace(string(r.Stderr)); !strings.Contains(message, "the disk") || strings.Contains(message, "\n") {
		t.Errorf("message %q", message)
	}
	if len(r.Stdout) == 0 {
		t.Fatal("nothing was stored before")
	}
	survived(t, path, string(r.Stdout))
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		t.Error(err)
	}
}
