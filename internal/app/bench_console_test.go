package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/charmbracelet/x/xpty"

	"lifeboat/internal/journal"
	"lifeboat/internal/run"
	"lifeboat/internal/sandbox"
)

// firstFrame is a line of the home screen: when it stands on the terminal, a person can
// read and choose.
const firstFrame = "WHAT HAPPENED?"

// benchConsole starts the real program in a pseudo-terminal, on a sandbox that is there
// already, until its home screen has been drawn.
func benchConsole(b *testing.B, t *table) {
	dir := b.TempDir()
	exe := buildProgram(b, dir)
	state := filepath.Join(dir, "state")
	_, err := sandbox.Make(b.Context(), filepath.Join(state, "sandbox"), sandbox.Options{})
	check(b, err)
	b.Run("first_frame", func(b *testing.B) {
		openTerminal(b, exe, state, firstFrame) // the first start makes the journal
		var list []time.Duration
		for range 3 * rounds {
			list = append(list, openTerminal(b, exe, state, firstFrame))
		}
		ms := median(list).Seconds() * 1000
		t.limit(b, "start to first frame", ms, 100, "ms")
		b.ReportMetric(ms, "ms")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("version", func(b *testing.B) { // what of it is the start of the program
		d := medianOf(func() time.Duration {
			return timed(b, func() error { return sequence(b, dir, []string{exe, "--version"}) })
		})
		t.remark("of it, start of the program (--version)", short(d))
		b.ReportMetric(d.Seconds()*1000, "ms")
		b.ReportMetric(0, "ns/op")
	})
	benchIdle(b, t, exe, state)
	benchMany(b, t, exe, dir)
	benchLog(b, t, exe, dir)
}

// manyRuns is how many runs a long history has.
const manyRuns = 10_000

// benchMany measures from the start of the program to a bridge with its rows, when the
// journal has very many runs.
func benchMany(b *testing.B, t *table, exe, dir string) {
	b.Run("many_runs", func(b *testing.B) {
		state := filepath.Join(dir, "many")
		_, err := sandbox.Make(b.Context(), filepath.Join(state, "sandbox"), sandbox.Options{})
		check(b, err)
		fillJournal(b, state)
		openTerminal(b, exe, state, lastRun)
		var list []time.Duration
		for range 3 * rounds {
			list = append(list, openTerminal(b, exe, state, lastRun))
		}
		ms := median(list).Seconds() * 1000
		t.limit(b, fmt.Sprintf("start to the bridge with its rows, %d runs", manyRuns), ms, 150, "ms")
		b.ReportMetric(ms, "ms")
		b.ReportMetric(0, "ns/op")
	})
}

// lastRun is the runbook of the newest run, which only a row of the bridge shows.
const lastRun = "newest-of-all"

// fillJournal writes very many runs, most of them ended.
func fillJournal(b *testing.B, state string) {
	b.Helper()
	j, err := journal.Open(b.Context(), filepath.Join(state, "journal.db"))
	check(b, err)
	var history []run.Event
	began := time.Now().Add(-manyRuns * time.Minute)
	for i := range manyRuns {
		at := began.Add(time.Duration(i) * time.Minute)
		id := run.ID(fmt.Sprintf("%s-%04X", at.UTC().Format("20060102T150405Z"), i))
		asset, book := fmt.Sprintf("asset-%d", i%40), "daily-backup"
		if i == manyRuns-1 {
			book = lastRun
		}
		started := run.Started{
			Mode: run.Live, Book: book, Title: "Back up", Level: 3, Digest: "d", By: "ada", Host: "h", Version: "1", Asset: asset,
			Steps: []run.Outline{{ID: "push", Title: "Push", Action: "vault.verify", Effect: "read"}},
		}
		events := []run.Event{
			{Kind: run.RunStarted, Body: started},
			{Kind: run.StepBegan, Step: "push", Attempt: 1, Body: run.Began{Action: "vault.verify", Digest: "p"}},
			{Kind: run.StepFinished, Step: "push", Attempt: 1, Body: run.Finished{Evidence: "one point"}},
			{Kind: run.StepVerified, Step: "push", Attempt: 1, Body: run.Verdict{Evidence: "it is there"}},
			{Kind: run.RunEnded, Body: run.Ended{Outcome: run.Complete, By: "ada"}},
		}
		if i%1000 == 7 {
			events = events[:2] // nobody has ended it
		}
		for n, ev := range events {
			ev.Run, ev.Seq, ev.At = id, int64(n+1), at.Add(time.Duration(n)*time.Second)
			history = append(history, ev)
		}
	}
	check(b, j.AppendAll(b.Context(), history))
	check(b, j.Close())
}

// openTerminal measures from the start of the program until a text is on the terminal.
func openTerminal(b *testing.B, exe, state, want string) time.Duration {
	b.Helper()
	pty, err := xpty.NewPty(120, 50)
	check(b, err)
	defer pty.Close()
	screen := vt.NewSafeEmulator(120, 50)
	c := exec.CommandContext(b.Context(), exe, "--sandbox", "--state", state)
	c.Env = append(os.Environ(), "TERM=xterm-256color")
	c.Dir = state
	began := time.Now()
	check(b, pty.Start(c))
	go io.Copy(pty, screen)                                             // a terminal answers what it is asked; ends with the pty
	late := time.AfterFunc(20*time.Second, func() { c.Process.Kill() }) // the screen is shown then
	defer late.Stop()
	var took time.Duration
	buf := make([]byte, 32<<10)
	for took == 0 {
		n, err := pty.Read(buf)
		if err != nil {
			b.Fatalf("%q is not on the screen: %v\n%s", want, err, ansi.Strip(screen.Render()))
		}
		screen.Write(buf[:n])
		if strings.Contains(screen.Render(), want) {
			took = time.Since(began)
		}
	}
	check(b, c.Process.Signal(syscall.SIGTERM))
	go io.Copy(io.Discard, pty) // nobody may be stuck in a write
	if err := c.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		b.Fatal(err)
	}
	return took
}

// benchMemory runs a full backup in the real program and watches how much memory it and
// the programs that it starts take at most.
func benchMemory(b *testing.B, t *table, g gitBench) {
	b.Run("memory", func(b *testing.B) {
		dir := g.place(b, "memory", 0)
		exe := buildProgram(b, dir)
		for name, text := range map[string]string{
			"lifeboat.yaml": "name: bench\nvault: file:./vault?create=1\nassets:\n  monorepo:\n    kind: git\n    remote: " + g.url() + "\n",
			"backup.md":     "---\ntitle: Back up\nkind: backup\nowner: bench\n---\n\n# Back up\n\nFull.\n\n## Write\n\n```git.backup\nasset: monorepo\nmode: full\n```\n",
		} {
			check(b, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		c := exec.CommandContext(b.Context(), exe, "run", "backup.md", "--yes", "--estate", "lifeboat.yaml", "--state", "state", "--quiet")
		c.Dir, c.Env = dir, append(os.Environ(), "TERM=dumb")
		out := &strings.Builder{}
		c.Stdout, c.Stderr = out, out
		check(b, c.Start())
		own, children := peaks(c.Process.Pid, c.Wait)
		if !c.ProcessState.Success() {
			b.Fatalf("%s\n%s", c.ProcessState, out)
		}
		t.limit(b, "peak memory of a full backup, Lifeboat", float64(own)/(1<<20), 128, "MiB")
		t.remark("peak memory of the git programs it runs", fmt.Sprintf("%.1f MiB", float64(children)/(1<<20)))
		b.ReportMetric(float64(own)/(1<<20), "MiB_peak")
		b.ReportMetric(0, "ns/op")
	})
}

// peaks watches a process until wait returns: the most memory, in bytes, that it ever
// held, and that any one of its children did. The kernel keeps the maximum, so only what
// a process takes in its last few milliseconds can be missed.
func peaks(pid int, wait func() error) (own, children int64) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = wait() // the caller looks at how it ended
	}()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		own = max(own, highWater(pid))
		for _, child := range childrenOf(pid) {
			children = max(children, highWater(child))
			for _, grandchild := range childrenOf(child) {
				children = max(children, highWater(grandchild))
			}
		}
		select {
		case <-tick.C:
		case <-done:
			return own, children
		}
	}
}

// highWater is VmHWM of a process, in bytes; 0 when it is gone. It is that of the
// program: the figure that wait4 gives begins with what its parent held.
func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

func childrenOf(pid int) (out []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		text, err := os.ReadFile(l)
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(f); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}
