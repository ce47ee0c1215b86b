package app

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/charmbracelet/x/xpty"
	"golang.org/x/sys/unix"

	"lifeboat/internal/run"
)

// terminal is the program in a pseudo-terminal of its own session.
type terminal struct {
	*process
	pty    xpty.Pty
	screen *vt.SafeEmulator

	closed   sync.Once
	gone     chan struct{} // closed when the terminal is to go
	followed chan struct{} // closed when nobody reads from it any more

	mu  sync.Mutex
	raw bytes.Buffer // every byte that the program wrote
}

// terminal starts the program on a terminal of 110 columns and 34 lines.
func (p *place) terminal(term string, args ...string) *terminal {
	p.t.Helper()
	const w, h = 110, 34
	pty, err := xpty.NewPty(w, h)
	if err != nil {
		p.t.Fatal(err)
	}
	x := &terminal{pty: pty, screen: vt.NewSafeEmulator(w, h), gone: make(chan struct{}), followed: make(chan struct{})}
	c := p.command(args...)
	c.Env = append(c.Env, "TERM="+term)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	slave := pty.(*xpty.UnixPty).Slave()
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	x.process = p.start(c)
	go io.Copy(pty, x.screen) // a terminal answers what it is asked; ends with the screen
	go x.follow()
	p.t.Cleanup(x.hangUp)
	return x
}

// follow reads what the program writes. It never waits inside a read: a file that is
// being read does not close, and the program would not lose its terminal.
func (x *terminal) follow() {
	defer close(x.followed)
	buf := make([]byte, 32<<10)
	ready := []unix.PollFd{{Fd: int32(x.pty.Fd()), Events: unix.POLLIN}}
	for {
		select {
		case <-x.gone:
			return
		default:
		}
		if n, err := unix.Poll(ready, 10); n == 0 || err == unix.EINTR {
			continue
		}
		n, err := x.pty.Read(buf)
		x.mu.Lock()
		x.raw.Write(buf[:n])
		x.mu.Unlock()
		x.screen.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

// hangUp takes the terminal away, as a broken connection does.
func (x *terminal) hangUp() {
	x.closed.Do(func() {
		close(x.gone)
		<-x.followed
		x.pty.Close()
		x.screen.InputPipe().(io.Closer).Close()
	})
}

// resize gives the window another size, as a person who drags its corner does.
func (x *terminal) resize(w, h int) {
	x.p.t.Helper()
	x.screen.Resize(w, h)
	if err := x.pty.Resize(w, h); err != nil {
		x.p.t.Fatal(err)
	}
}

// wrote gives every byte so far.
func (x *terminal) wrote() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.raw.String()
}

// lines is the text on the screen.
func (x *terminal) lines() string { return ansi.Strip(x.screen.Render()) }

// shows waits until the screen shows a text.
func (x *terminal) shows(text string) {
	x.p.t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(x.lines(), text) {
		select {
		case <-tick.C:
		case <-deadline:
			x.p.t.Fatalf("the screen does not show %q:\n%s", text, x.lines())
		}
	}
}

// press presses a key until a condition holds: right after a new screen the console
// hears no keys, so that none meant for the old one answers it.
func (x *terminal) press(key, what string, holds func() bool) {
	x.p.t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if _, err := io.WriteString(x.pty, key); err != nil {
			x.p.t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-deadline:
			x.p.t.Fatalf("pressed %q and waited for %s:\n%s", key, what, x.lines())
		}
	}
}

func (x *terminal) pressUntil(key, text string) {
	x.p.t.Helper()
	x.press(key, text, func() bool { return strings.Contains(x.lines(), text) })
}

// leave quits the console and requires that it leaves the screen as it was.
func (x *terminal) leave() {
	x.p.t.Helper()
	x.press("\x03", "the end of the console", func() bool { // the first one asks while a run is open
		select {
		case <-x.done:
			return true
		default:
			return false
		}
	})
	x.exit(exitComplete)
	x.p.until("the screen of before", func() bool { return strings.Contains(x.wrote(), "\x1b[?1049l") })
	if strings.LastIndex(x.wrote(), "\x1b[?25l") > strings.LastIndex(x.wrote(), "\x1b[?25h") {
		x.p.t.Error("the cursor stays hidden")
	}
}

// startInConsole opens the console, finds the runbook "slow" and starts it, up to the
// question before its step.
func (p *place) startInConsole() *terminal {
	p.t.Helper()
	x := p.terminal("xterm-256color")
	x.shows("WHAT HAPPENED?")
	io.WriteString(x.pty, "/") // once: the first screen hears every key, a second one would be searched for
	x.shows("type to search")
	io.WriteString(x.pty, "slow")
	x.shows("A test.") // the runbook that was found is the chosen one
	x.pressUntil("\r", "start, asks once more")
	x.pressUntil("s", "start the LIVE run")
	x.press("1", "the gate", func() bool {
		all := p.runs()
		return len(all) == 1 && all[0].Gate != nil
	})
	return x
}

func (x *terminal) approve() {
	x.p.t.Helper()
	x.shows("CONFIRM")
	x.press("1", "the step", func() bool { return x.p.only().Steps[0].State != run.Waiting })
	x.p.await("started")
}

// TestLostConsole takes the console away in the middle of a step that must not run
// twice. The step does not notice: it ends as it does when nothing happens, and so does
// the record.
func TestLostConsole(t *testing.T) {
	t.Parallel()
	const slow = "echo $PPID > pid\ntouch started\n" + hold + "echo effect >> effects\nsync effects\necho the end"
	kinds := make([][]run.Kind, 3)
	t.Run("all", func(t *testing.T) {
		for i, tt := range []struct {
			name string
			lose func(x *terminal)
			exit int // of the console; -2: it stays
		}{
			{"nothing is lost", func(*terminal) {}, -2},
			{"hangup", (*terminal).hangUp, exitComplete},
			{"killed", func(x *terminal) { x.signal(syscall.SIGKILL) }, -1},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				p.book("slow", "", slow)
				x := p.startInConsole()
				x.approve()
				tt.lose(x)
				if tt.exit != -2 {
					x.exit(tt.exit)
				}
				p.stands(run.Running, true)
				p.effects(0)
				var again *terminal
				if tt.exit != -2 { // come back in the middle, and see it go on
					again = p.terminal("xterm-256color", "attach", p.only().ID.Short())
					again.shows("Work")
				} else {
					again = x
				}
				p.write("go", "")
				p.until("the end of the run", func() bool { r := p.only(); return !r.Open() })
				if r := p.stands(run.Verified, false); r.Outcome != run.Complete {
					t.Errorf("run ended %q", r.Outcome)
				}
				p.effects(1)
				again.shows("COMPLETE")
				again.leave()
				home := p.terminal("xterm-256color")
				home.shows("LAST DRILLS AND RUNS")
				home.leave()
				kinds[i] = slices.DeleteFunc(p.kinds(), func(k run.Kind) bool { return k == run.DriverChanged }) // who came back drives at another terminal
			})
		}
	})
	for i := range kinds {
		if !slices.Equal(kinds[i], kinds[0]) || len(kinds[i]) == 0 {
			t.Errorf("case %d has the record %v, undisturbed it is %v", i, kinds[i], kinds[0])
		}
	}
}

// TestResizedConsole changes the size of the window at a gate: what is asked stays, what was
// typed stays, and where nothing fits the console says so.
func TestResizedConsole(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("slow", "effect=destroy target=precious", effect)
	x := p.terminal("xterm-256color")
	x.shows("WHAT HAPPENED?")
	io.WriteString(x.pty, "/")
	x.shows("type to search")
	io.WriteString(x.pty, "slow")
	x.shows("A test.")
	x.pressUntil("\r", "start, asks once more")
	x.pressUntil("s", "start the LIVE run")
	x.press("1", "the gate", func() bool {
		all := p.runs()
		return len(all) == 1 && all[0].Gate != nil
	})
	x.shows("DANGER GATE")
	for _, size := range [][2]int{{80, 24}, {60, 20}, {50, 15}, {200, 60}, {110, 34}} {
		x.resize(size[0], size[1])
		if size[0] < 60 {
			x.shows("bigger")
			io.WriteString(x.pty, p.only().Gate.Token+"\r") // nobody sees the gate, so nothing answers it
			continue
		}
		x.shows("DANGER GATE")
	}
	p.stillAsks(run.Token)
	x.leave()
}

// TestLostAtTheGate takes the terminal away while a question is open.
func TestLostAtTheGate(t *testing.T) {
	t.Parallel()
	t.Run("console", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.book("slow", "", effect)
		x := p.startInConsole()
		x.hangUp()
		x.exit(exitComplete)
		p.stillAsks(run.Confirm)
	})
	t.Run("lines", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.book("slow", "effect=destroy target=precious", effect)
		x := p.terminal("dumb", "run", "slow")
		x.shows("Type the token")
		x.hangUp()
		x.exit(exitPerson)
		p.stillAsks(run.Token)
	})
}

func (p *place) stillAsks(want run.GateKind) {
	p.t.Helper()
	r := p.stands(run.Waiting, true)
	if r.Gate == nil || r.Gate.Kind != want {
		p.t.Errorf("gate %+v, want %q", r.Gate, want)
	}
	p.effects(0)
}

// TestLostTerminalOfLines takes the terminal away from a run in the foreground, in the
// middle of a step: the step ends normally.
func TestLostTerminalOfLines(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("slow", "", "touch started\n"+hold+"echo effect >> effects")
	x := p.terminal("dumb", "run", "slow")
	x.shows("Run it")
	x.press("1\r", "the step", func() bool { _, err := os.Stat(p.path("started")); return err == nil })
	x.hangUp()
	p.stands(run.Running, true)
	p.write("go", "")
	<-x.done
	p.stands(run.Verified, false)
	p.effects(1)
}

// TestAttachInDoubt kills the process that drives a run, not the console, in the middle
// of a step that must not run twice. The console that comes back is asked, and nothing
// runs until it has answered.
func TestAttachInDoubt(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("slow", "", effect+hold)
	x := p.startInConsole()
	x.approve()
	pid, err := strconv.Atoi(strings.TrimSpace(p.read("pid")))
	if err != nil || !slices.Contains(p.hosts(), pid) {
		t.Fatalf("the step belongs to process %d (%v), hosts are %v", pid, err, p.hosts())
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.until("the death of the host", func() bool { return len(p.hosts()) == 0 })
	x.leave()
	p.write("go", "") // what was left behind ends

	again := p.terminal("xterm-256color", "attach", p.only().ID.Short())
	again.shows("IN DOUBT")
	p.until("the question", func() bool { g := p.only().Gate; return g != nil && g.Kind == run.Doubt })
	again.leave()
	p.stands(run.InDoubt, true)
	if got := p.only().Steps[0].Attempt; got != 1 {
		t.Errorf("%d attempts", got)
	}
	p.effects(1)
}

// TestTerminatedConsole ends the console with a signal: the screen is given back.
func TestTerminatedConsole(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	x := p.terminal("xterm-256color")
	x.shows("WHAT HAPPENED?")
	x.signal(syscall.SIGTERM)
	<-x.done
	p.until("the screen of before", func() bool { return strings.Contains(x.wrote(), "\x1b[?1049l") })
}
