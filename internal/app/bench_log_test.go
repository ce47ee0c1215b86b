package app

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/charmbracelet/x/xpty"

	"lifeboat/internal/command"
)

// heard waits until keys count: right after a change of its screen a console hears none.
// A process of its own has no clock but that of the wall, and no figure contains this.
func (x *viewer) heard() { time.Sleep(time.Second) }

// flooder prints lines at a rate, as fast as it can with a rate of 0.
const flooder = `package main

import ("bufio"; "fmt"; "os"; "strconv"; "time")

func main() {
	rate, _ := strconv.Atoi(os.Args[1])
	lines, _ := strconv.Atoi(os.Args[2])
	w := bufio.NewWriterSize(os.Stdout, 64<<10)
	began := time.Now()
	for i := 1; i <= lines; i++ {
		if i == lines/2 {
			fmt.Fprintln(w, "here lies the needle")
		}
		fmt.Fprintf(w, "restored table bookings_%08d: checksum 9bd0e27 holds, 48213 rows, the next table follows at once\n", i)
		if rate > 0 && i%(rate/100+1) == 0 {
			w.Flush()
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		}
	}
	w.Flush()
}
`

// viewer is the real console on a terminal that is looked at.
type viewer struct {
	b     *testing.B
	c     *exec.Cmd
	pty   xpty.Pty
	bytes atomic.Int64
	owned atomic.Int64 // most memory of its own that it was seen to have, in KiB

	mu     sync.Mutex
	screen *vt.Emulator
	want   string
	seen   chan time.Time
	ended  chan struct{}
}

// view starts the console at 120x36.
func view(b *testing.B, exe, dir string, args ...string) *viewer {
	b.Helper()
	pty, err := xpty.NewPty(120, 36)
	check(b, err)
	x := &viewer{b: b, pty: pty, screen: vt.NewEmulator(120, 36), ended: make(chan struct{})}
	x.c = exec.CommandContext(b.Context(), exe, args...)
	x.c.Env, x.c.Dir = append(os.Environ(), "TERM=xterm-256color", "SSH_TTY=", "SSH_CONNECTION="), dir
	check(b, pty.Start(x.c))
	go io.Copy(pty, x.screen) // a terminal answers what it is asked
	go x.follow()
	go x.weigh()
	return x
}

// weigh looks at the memory that the console owns until it has ended. The kernel keeps no
// maximum of that.
func (x *viewer) weigh() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-x.ended:
			return
		case <-tick.C:
			if now := int64(resident(x.c.Process.Pid, "RssAnon:") * 1024); now > x.owned.Load() {
				x.owned.Store(now)
			}
		}
	}
}

// most is the most of it, in MiB.
func (x *viewer) most() float64 { return float64(x.owned.Load()) / 1024 }

func (x *viewer) follow() {
	defer close(x.ended)
	buf := make([]byte, 64<<10)
	for {
		n, err := x.pty.Read(buf)
		if err != nil {
			return
		}
		x.bytes.Add(int64(n))
		now := time.Now()
		x.mu.Lock()
		x.screen.Write(buf[:n])
		if x.want != "" && strings.Contains(x.lines(), x.want) {
			x.want = ""
			x.seen <- now
		}
		x.mu.Unlock()
	}
}

func (x *viewer) lines() string { return ansi.Strip(x.screen.Render()) }

// press presses a key and measures until a text is on the screen.
func (x *viewer) press(key, want string) time.Duration {
	x.b.Helper()
	seen := make(chan time.Time, 1)
	x.mu.Lock()
	x.want, x.seen = want, seen
	began := time.Now()
	if strings.Contains(x.lines(), want) {
		x.want = ""
		seen <- began
	}
	x.mu.Unlock()
	if key != "" {
		if _, err := io.WriteString(x.pty, key); err != nil {
			x.b.Fatal(err)
		}
	}
	select {
	case at := <-seen:
		return at.Sub(began)
	case <-time.After(60 * time.Second):
		x.mu.Lock()
		defer x.mu.Unlock()
		x.b.Fatalf("pressed %q and waited for %q:\n%s", key, want, x.lines())
		return 0
	}
}

// busy is how much of a processor the console has used so far.
func (x *viewer) busy() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", x.c.Process.Pid))
	check(x.b, err)
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel counts hundredths
}

// share measures which part of a core the console uses while f runs, in percent.
func (x *viewer) share(f func()) float64 {
	busy, began := x.busy(), time.Now()
	f()
	return (x.busy() - busy).Seconds() / time.Since(began).Seconds() * 100
}

func (x *viewer) leave() {
	_ = x.c.Process.Signal(syscall.SIGTERM)
	_ = x.c.Wait()
	_ = x.pty.Close()
	<-x.ended
}

// logRun is a run whose step prints and then holds; nobody but the console looks at it.
func logRun(b *testing.B, exe, dir, state string, rate, lines int) (id string, end func()) {
	b.Helper()
	go1, stop := filepath.Join(dir, "go"), filepath.Join(dir, "stop")
	_, _ = os.Remove(go1), os.Remove(stop)
	text := fmt.Sprintf("---\ntitle: Flood\nkind: procedure\n---\n\n# Flood\n\nA bench.\n\n## Print\n\n```sh effect=read timeout=20m\nwhile [ ! -e %[1]s ]; do sleep 0.05; done\n%[2]s %[3]d %[4]d\ntouch %[5]s.printed\nwhile [ ! -e %[5]s ]; do sleep 0.1; done\n```\n",
		go1, filepath.Join(dir, "flooder"), rate, lines, stop)
	check(b, os.WriteFile(filepath.Join(dir, "flood.md"), []byte(text), 0o600))
	_ = os.Remove(stop + ".printed")
	c := exec.CommandContext(b.Context(), exe, "run", "flood.md", "--yes", "--plain", "--quiet", "--state", state)
	c.Dir = dir
	check(b, c.Start())
	var runs []string
	for len(runs) == 0 {
		time.Sleep(20 * time.Millisecond) // between two looks for the file of another process
		runs, _ = filepath.Glob(filepath.Join(state, "runs", "*", "01-print.1.log"))
	}
	id = filepath.Base(filepath.Dir(runs[0]))
	return id[strings.LastIndexByte(id, '-')+1:], func() {
		check(b, os.WriteFile(stop, nil, 0o600))
		_ = c.Wait()
		_ = os.RemoveAll(state)
	}
}

// benchLog floods the console, opens a log of ten million lines, and measures what goes
// over the line to the terminal.
func benchLog(b *testing.B, t *table, exe, dir string) {
	src := filepath.Join(dir, "flooder.go")
	check(b, os.WriteFile(src, []byte(flooder), 0o600))
	_, err := command.Run(b.Context(), command.Cmd{Argv: []string{"go", "build", "-o", filepath.Join(dir, "flooder"), src}, Inherit: []string{"GO*", "XDG_CACHE_HOME"}})
	check(b, err)
	state := filepath.Join(dir, "log-state")
	begin := func(rate, lines int, args ...string) (*viewer, func()) {
		id, end := logRun(b, exe, dir, state, rate, lines)
		x := view(b, exe, dir, append([]string{"attach", id, "--state", state}, args...)...)
		x.press("", "running")
		x.heard()
		x.press("l", "following")
		x.heard()
		return x, end
	}
	start := func() { check(b, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600)) }
	b.Run("flood", func(b *testing.B) {
		x, end := begin(100_000, 1_200_000)
		defer end()
		defer x.leave()
		var list []time.Duration
		start()
		x.press("", " k lines/s")
		share := x.share(func() {
			for until := time.Now().Add(8 * time.Second); time.Now().Before(until); {
				list = append(list, x.press("k", "paused"), x.press("G", "following"))
				time.Sleep(170 * time.Millisecond) // a person's pace, part of what is measured
			}
		})
		slices.Sort(list)
		ms := func(part float64) float64 {
			return list[min(int(part*float64(len(list))), len(list)-1)].Seconds() * 1000
		}
		t.limit(b, "100,000 lines/s: processor time of the console", share, 30, "% of a core")
		t.limit(b, "key to paint meanwhile, median", ms(0.5), 16, "ms")
		t.limit(b, "key to paint meanwhile, 99th of 100", ms(0.99), 16, "ms")
		t.remark("key to paint meanwhile, longest of "+fmt.Sprint(len(list)), fmt.Sprintf("%.1f ms", ms(1)))
	})
	for _, fps := range []int{30, 10, 4} {
		b.Run(fmt.Sprintf("wire_%d", fps), func(b *testing.B) {
			x, end := begin(200, 2000, "--fps", fmt.Sprint(fps))
			defer end()
			defer x.leave()
			start()
			x.heard()
			before, began := x.bytes.Load(), time.Now()
			time.Sleep(5 * time.Second) // what is measured: bytes in this time
			rate := float64(x.bytes.Load()-before) / time.Since(began).Seconds()
			t.remark(fmt.Sprintf("a log of 200 lines/s at %d frames/s, to the terminal", fps), fmt.Sprintf("%.1f kB/s", rate/1000))
		})
	}
	b.Run("ten_million", func(b *testing.B) {
		x, end := begin(0, 10_000_000)
		start()
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // between two looks for the file of another process
			if _, err := os.Stat(filepath.Join(dir, "stop.printed")); err == nil {
				t.remark("10 million lines: printed and kept in", short(time.Since(began)))
				break
			}
		}
		x.leave()
		x = view(b, exe, dir, "attach", x.c.Args[2], "--state", state)
		t.remark("10 million lines: from the start of the console to all of it counted", short(x.press("", "10 000 001 lines")))
		x.heard()
		x.press("l", "LOG  step 1")
		x.heard()
		t.limit(b, "10 million lines: to the first line", x.press("g", "bookings_00000001").Seconds()*1000, 100, "ms")
		t.limit(b, "10 million lines: to the end", x.press("G", "bookings_10000000").Seconds()*1000, 100, "ms")
		io.WriteString(x.pty, "/")
		x.press("", "SEARCH THE LOG")
		x.heard()
		t.remark("10 million lines: the needle found in", short(x.press("the needle\r", "▸here lies")))
		pid := x.c.Process.Pid
		t.limit(b, "10 million lines: peak memory that the console owns", x.most(), 64, "MiB")
		t.remark("with pages of the program file, which the kernel keeps and all its processes share", fmt.Sprintf("%.1f MiB, now %.1f of them", float64(highWater(pid))/(1<<20), resident(pid, "RssFile:")))
		x.leave()
		end()
	})
}

// benchIdle measures the console that nobody touches.
func benchIdle(b *testing.B, t *table, exe, state string) {
	b.Run("idle", func(b *testing.B) {
		x := view(b, exe, state, "--sandbox", "--state", state)
		defer x.leave()
		x.press("", firstFrame)
		time.Sleep(3 * time.Second) // what starts the console is over; the next 20 s are measured
		t.limit(b, "the first screen, idle for 20 s", x.share(func() { time.Sleep(20 * time.Second) }), 1, "% of a core")
		t.remark("memory that it owns then, and with pages of the program file", fmt.Sprintf("%.1f MiB, %.1f MiB", resident(x.c.Process.Pid, "RssAnon:"), resident(x.c.Process.Pid, "VmRSS:")))
	})
}

// resident is how much memory of a kind a process has, in MiB: "RssAnon:" is its own, "RssFile:"
// are pages of files, for a program that maps no others those of its own.
func resident(pid int, kind string) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, kind); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n / 1024
		}
	}
	return 0
}
