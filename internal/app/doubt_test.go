package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"lifeboat/internal/run"
)

// doubted makes a place whose only run has a destructive step that was approved, begun
// and is in doubt: its process was killed. It gives the token of the step as well.
func doubted(t *testing.T) (p *place, token string) {
	t.Helper()
	p = newPlace(t)
	p.book("wipe", "effect=destroy target=precious", effect+hold)
	out := p.exits(exitPerson, "run", "wipe")
	m := regexp.MustCompile(`--allow work=([^,\s]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no token in\n%s", out)
	}
	x := p.start(p.command("resume", p.only().ID.Short(), "--allow", "work="+m[1]))
	p.await("started")
	x.signal(syscall.SIGKILL)
	x.exit(-1)
	p.write("go", "")
	p.effects(1)
	return p, m[1]
}

// TestNothingRunsByItself calls every command there is while a destructive step is in
// doubt, with all that can be allowed on a command line: the step does not run again.
func TestNothingRunsByItself(t *testing.T) {
	t.Parallel()
	p, token := doubted(t)
	id := p.only().ID.Short()
	tried := map[string]bool{}
	for _, tt := range []struct {
		args string
		exit int
	}{
		{"runs", exitComplete},
		{"show " + id, exitComplete},
		{"resume " + id, exitPerson},
		{"resume " + id + " --yes", exitPerson},
		{"resume " + id + " --yes --allow work=" + token, exitPerson},
		{"resume " + id + " --yes --json --allow work=" + token, exitPerson},
		{"attach " + id, exitPerson}, // line by line without a terminal, and nobody answers
		{"status", exitComplete},
		{"ready", exitCheck}, // nothing was ever backed up here
		{"theme ls", exitComplete},
		{"drill", exitComplete},
		{"lint", exitComplete},
		{"print wipe", exitComplete},
		{"actions", exitComplete},
		{"audit verify", exitComplete},
		{"run wipe --yes", exitPerson},
		{"run wipe --dry-run --yes --allow work=" + token, exitComplete},
		{"drill accidental-force-push --auto --quiet", exitComplete},
		{"backup --all", exitUsage}, // here is no vault
		{"verify --all", exitUsage},
		{"restore nothing --to elsewhere", exitUsage},
		{"vault ls", exitUsage},
		{"vault prune --apply", exitUsage},
		{"schedule run", exitUsage},
		{"alerts", exitComplete},
		{"contacts", exitComplete},
		{"triage", exitPerson}, // nobody answers
		{"report " + id, exitComplete},
		{"test nothing", exitUsage},
		{"init", exitUsage}, // there is one
		{"", exitUsage},     // the console, without a terminal
	} {
		args := strings.Fields(tt.args)
		tried[strings.Join(args[:min(1, len(args))], "")] = true
		p.exits(tt.exit, args...)
		p.effects(1)
	}
	p.hostAsks()
	tried["host"] = true
	for _, c := range hiddenSandbox(environment{}) {
		tried[c.Name()] = true // they know nothing of runs
	}
	for _, c := range commands(environment{stdout: io.Discard}).Commands() {
		if name := c.Name(); !tried[name] && !cobraOwn(c) {
			t.Errorf("command %q is not tried here", name)
		}
	}
	for _, r := range p.runs() {
		if s := r.Steps[0]; r.Started.Book == "wipe" && s.State == run.InDoubt && s.Attempt != 1 {
			t.Errorf("%d attempts", s.Attempt)
		}
	}
	p.effects(1)
}

func cobraOwn(c *cobra.Command) bool { return c.Name() == "help" || c.Name() == "completion" }

// hostAsks lets the process that consoles start take every open run up: it asks.
func (p *place) hostAsks() {
	p.t.Helper()
	for _, pid := range p.hosts() { // attach has left one, which waits for people
		must(p.t, syscall.Kill(pid, syscall.SIGTERM))
	}
	p.until("the end of the hosts", func() bool { return len(p.hosts()) == 0 })
	for _, r := range p.runs() {
		if !r.Open() {
			continue
		}
		x := p.start(p.command("host", string(r.ID)))
		p.until("the host", func() bool { return len(p.hosts()) == 1 })
		p.until("its question", func() bool {
			for _, now := range p.runs() {
				if now.ID == r.ID && now.Seq > r.Seq+1 && now.Gate != nil {
					return true
				}
			}
			return false
		})
		p.effects(1)
		x.signal(syscall.SIGTERM)
		x.exit(exitPerson)
	}
}

// TestSizeLimit limits how large files may grow, as a full disk does: the journal, the
// logs, everything. Wherever it strikes, a step that destroys has had its effect at most
// once, never without its intent on record, and the run can be taken up once there is
// room.
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	ended, refused := 0, 0
	for _, blocks := range []int{160, 230, 265, 300, 330, 365, 400, 430, 900} { // of 512 bytes
		p := newPlace(t)
		p.book("wipe", "effect=destroy target=precious", "echo effect >> effects\nseq 50000") // prints 288 kB
		out := p.exits(exitPerson, "run", "wipe")
		m := regexp.MustCompile(`--allow work=([^,\s]+)`).FindStringSubmatch(out)
		c := p.command("resume", p.only().ID.Short(), "--allow", "work="+m[1])
		c.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -f %d; exec "$@"`, blocks), "sh", c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
		x := p.start(c)
		<-x.done
		r := p.only()
		switch code := x.cmd.ProcessState.ExitCode(); {
		case code == exitComplete:
			p.stands(run.Verified, false)
			p.effects(1)
			ended++
			continue
		case code < 0:
			t.Errorf("%d blocks: %s\n%s", blocks, x.cmd.ProcessState, &x.out)
		case !strings.Contains(x.out.String(), "lifeboat: "):
			t.Errorf("%d blocks: it does not say why it stopped:\n%s", blocks, &x.out)
		}
		refused++
		if r.Steps[0].Attempt == 0 {
			p.effects(0)
		}
		before := p.read("effects")
		switch p.start(p.command("resume", r.ID.Short(), "--allow", "work="+m[1])).wait() {
		case exitComplete:
			p.effects(1)
		case exitPerson:
			p.stands(run.InDoubt, true)
			if p.read("effects") != before {
				t.Errorf("%d blocks: it ran while in doubt", blocks)
			}
		default:
			t.Errorf("%d blocks: with room again it cannot be taken up\n%s", blocks, &x.out)
		}
	}
	if ended == 0 || refused == 0 {
		t.Errorf("%d runs ended, %d were refused: the limits do not test both", ended, refused)
	}
}

// wait gives the exit code, whatever it is.
func (x *process) wait() int {
	<-x.done
	return x.cmd.ProcessState.ExitCode()
}

// TestOutputLargerThanDisk limits files to less than what a step prints: the log is cut,
// the step is not.
func TestOutputLargerThanDisk(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("loud", "", "seq 400000\necho effect >> effects") // prints 2.7 MB
	c := p.command("run", "loud", "--yes", "--quiet")
	c.Args = append([]string{"sh", "-c", `ulimit -f 2048; exec "$@"`, "sh", c.Path}, c.Args[1:]...)
	c.Path = "/bin/sh"
	p.start(c).exit(exitComplete)
	r := p.stands(run.Verified, false)
	p.effects(1)
	info, err := os.Stat(filepath.Join(p.state, "runs", string(r.ID), r.Steps[0].LogName))
	if err != nil || info.Size() == 0 || info.Size() > 2048*512 {
		t.Errorf("log %v, %v", info, err)
	}
	p.exits(exitComplete, "audit", "verify")
}
