package app

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/journal"
	"lifeboat/internal/run"
)

// place is an estate with runbooks and a state directory, for tests that start the
// program, lose its terminal, kill it. Runbooks tell what they do in files of the
// estate, which is the working directory of their steps:
//
//	effects    a line per effect, fsynced
//	started    there once a step has begun
//	pid        of the process that drives the step
//	go         a step that holds ends when the test has made it
type place struct {
	t     *testing.T
	dir   string // of the estate; the working directory
	state string
	env   map[string]string
}

// hold ends a script: it waits for the file "go", but not for ever.
const hold = `
n=0
while test ! -e go && test $n -lt 600; do n=$((n+1)); sleep 0.05; done
`

// effect has an effect and says who drives.
const effect = `
echo effect >> effects
sync effects
echo $PPID > pid
touch started
`

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{t: t, dir: filepath.Join(dir, "estate"), state: filepath.Join(dir, "state"), env: map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": filepath.Join(dir, "home"), "TERM": "dumb", "LIFEBOAT_USER": "m.ito",
	}}
	for _, d := range []string{p.env["HOME"], filepath.Join(p.dir, "runbooks")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.write("lifeboat.yaml", "name: test\nassets:\n  shop:\n    kind: git\n    path: ./shop\n")
	t.Cleanup(p.end)
	return p
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// book puts a runbook with one step into the estate. attrs are those of its sh fence.
func (p *place) book(name, attrs, script string) {
	p.t.Helper()
	title := strings.ToUpper(name[:1]) + name[1:]
	p.write("runbooks/"+name+".md", "---\ntitle: "+title+"\nkind: procedure\n---\n\n# "+title+"\n\nA test.\n\n## Work\n\n```sh "+attrs+"\n"+
		strings.TrimSpace(script)+"\n```\n")
}

// read is the content of a file of the estate, empty when it is not there.
func (p *place) read(name string) string {
	p.t.Helper()
	data, err := os.ReadFile(p.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.t.Fatal(err)
	}
	return string(data)
}

// effects requires how many effects there were.
func (p *place) effects(want int) {
	p.t.Helper()
	if got := p.read("effects"); got != strings.Repeat("effect\n", want) {
		p.t.Errorf("effects %q, want %d", got, want)
	}
}

// command is the program with its environment, not started yet.
func (p *place) command(args ...string) *exec.Cmd {
	p.t.Helper()
	exe, err := exec.LookPath("lifeboat") // of the scripts: this test binary
	if err != nil {
		p.t.Fatal(err)
	}
	c := exec.Command(exe, append(args, "--state", p.state)...)
	c.Dir = p.dir
	for _, k := range slices.Sorted(maps.Keys(p.env)) {
		c.Env = append(c.Env, k+"="+p.env[k])
	}
	return c
}

// process is the program beside the test.
type process struct {
	p    *place
	cmd  *exec.Cmd
	out  bytes.Buffer // both outputs, to be read when it has ended
	done chan struct{}
}

func (p *place) start(c *exec.Cmd) *process {
	p.t.Helper()
	x := &process{p: p, cmd: c, done: make(chan struct{})}
	if c.Stdout == nil {
		c.Stdout = &x.out
	}
	if c.Stderr == nil {
		c.Stderr = &x.out
	}
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { defer close(x.done); c.Wait() }()
	p.t.Cleanup(func() { c.Process.Kill(); <-x.done })
	return x
}

func (x *process) signal(sig syscall.Signal) {
	x.p.t.Helper()
	if err := x.cmd.Process.Signal(sig); err != nil {
		x.p.t.Fatal(err)
	}
}

// exit waits for the end and requires a code; -1 is death by a signal.
func (x *process) exit(want int) string {
	x.p.t.Helper()
	select {
	case <-x.done:
	case <-time.After(limit):
		x.p.t.Fatalf("%q does not end", x.cmd.Args[1:])
	}
	if got := x.cmd.ProcessState.ExitCode(); got != want {
		x.p.t.Errorf("%q: exit code %d (%s), want %d\n%s", x.cmd.Args[1:], got, x.cmd.ProcessState, want, &x.out)
	}
	return x.out.String()
}

// exits runs the program to its end.
func (p *place) exits(want int, args ...string) string {
	p.t.Helper()
	return p.start(p.command(args...)).exit(want)
}

// limit bounds every wait of these tests; a busy machine needs seconds where an idle
// one needs none.
const limit = 40 * time.Second

// until waits until a condition holds.
func (p *place) until(what string, holds func() bool) {
	p.t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("waited for %s", what)
		}
	}
}

func (p *place) await(name string) {
	p.t.Helper()
	p.until(name, func() bool {
		_, err := os.Stat(p.path(name))
		return err == nil
	})
}

// runs gives all runs on record, the newest first.
func (p *place) runs() []run.Run {
	p.t.Helper()
	j, err := journal.OpenReadOnly(p.t.Context(), filepath.Join(p.state, "journal.db"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer j.Close()
	list, err := j.Runs(p.t.Context(), 0)
	if err != nil {
		p.t.Fatal(err)
	}
	var out []run.Run
	for _, s := range list {
		events, err := j.Load(p.t.Context(), s.ID)
		if err != nil {
			p.t.Fatal(err)
		}
		r, err := run.FoldAll(events)
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// only is the one run on record.
func (p *place) only() run.Run {
	p.t.Helper()
	all := p.runs()
	if len(all) != 1 {
		p.t.Fatalf("%d runs on record, want one", len(all))
	}
	return all[0]
}

// state requires the state of the first step of the only run.
func (p *place) stands(want run.State, open bool) run.Run {
	p.t.Helper()
	r := p.only()
	if r.Steps[0].State != want || r.Open() != open {
		p.t.Errorf("step is %s, run open %v (%s); want %s, %v", r.Steps[0].State, r.Open(), r.Outcome, want, open)
	}
	return r
}

// kinds lists what happened in the only run.
func (p *place) kinds() []run.Kind {
	p.t.Helper()
	j, err := journal.OpenReadOnly(p.t.Context(), filepath.Join(p.state, "journal.db"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer j.Close()
	events, err := j.Load(p.t.Context(), p.only().ID)
	if err != nil {
		p.t.Fatal(err)
	}
	var out []run.Kind
	for _, ev := range events {
		out = append(out, ev.Kind)
	}
	return out
}

var holder = regexp.MustCompile(`process (\d+)`)

// hosts lists the processes that drive runs of this place, from their locks. A host
// that died has left its lock file, but no lock.
func (p *place) hosts() (out []int) {
	p.t.Helper()
	locks, err := filepath.Glob(filepath.Join(p.state, "runs", "*", "lock"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, path := range locks {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		free := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
		note, _ := os.ReadFile(path)
		f.Close()
		if m := holder.FindSubmatch(note); m != nil && !free {
			pid, _ := strconv.Atoi(string(m[1]))
			out = append(out, pid)
		}
	}
	return out
}

// end lets steps end and ends the hosts that the test has left behind.
func (p *place) end() {
	os.WriteFile(p.path("go"), nil, 0o600)
	for _, pid := range p.hosts() {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	p.until("the end of the hosts", func() bool { return len(p.hosts()) == 0 })
	os.Chmod(p.state, 0o700) // a test may have closed it
	// A host closes its journal after it let go of its run.
	p.until("the removal of the state", func() bool { return os.RemoveAll(p.state) == nil })
}
