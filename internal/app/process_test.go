package app

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/run"
)

// TestKilledHost kills the process that drives a run in the middle of a step that must
// not run twice.
func TestKilledHost(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("slow", "", effect+hold)
	x := p.start(p.command("run", "slow", "--yes"))
	p.await("started")
	x.signal(syscall.SIGKILL)
	x.exit(-1)
	out := p.exits(exitPerson, "resume", p.only().ID.Short(), "--yes")
	if !strings.Contains(out, "IN DOUBT") {
		t.Errorf("nothing about a doubt:\n%s", out)
	}
	p.stands(run.InDoubt, true)
	p.effects(1)
}

// TestInterrupted ends a run in the foreground as CI systems do. The running step is
// stopped and settled, and the run can be taken up again.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, attrs, script string
		kill                bool // the second signal of a CI system, before the step has ended
		exit                int
		want                run.State
		effects             int
	}{
		{"once", "", effect + hold, false, exitPerson, run.InDoubt, 1},
		{"read", "effect=read", "touch started" + hold, false, exitPerson, run.Running, 0},
		{"deaf", "", "trap 'touch heard' INT; trap '' TERM" + effect + "while :; do sleep 0.05 || :; done", false, exitPerson, run.InDoubt, 1},
		{"then killed", "", "trap 'touch heard' INT; trap '' TERM" + effect + "while test ! -e go; do sleep 0.05 || :; done; touch gone", true, -1, run.InDoubt, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.book("slow", tt.attrs, tt.script)
			x := p.start(p.command("run", "slow", "--yes"))
			p.await("started")
			x.signal(syscall.SIGTERM)
			if tt.kill {
				p.await("heard")
				x.signal(syscall.SIGKILL)
				t.Cleanup(func() { // nobody is left to end what the step runs
					p.write("go", "")
					p.await("gone")
				})
			}
			out := x.exit(tt.exit)
			id := p.only().ID.Short()
			if tt.kill {
				p.exits(exitPerson, "resume", id, "--yes")
			} else if !strings.Contains(out, "run "+id+" was interrupted") || !strings.Contains(out, "lifeboat resume "+id) {
				t.Errorf("it does not say what to do:\n%s", out)
			}
			p.stands(tt.want, true)
			p.effects(tt.effects)
			if tt.want == run.InDoubt {
				p.exits(exitPerson, "resume", id, "--yes")
				p.stands(run.InDoubt, true)
				p.effects(tt.effects)
				return
			}
			p.write("go", "") // a step that only reads is simply done again
			p.exits(exitComplete, "resume", id, "--yes")
			p.stands(run.Verified, false)
		})
	}
}

// TestClosedOutput runs with outputs that nobody reads any more. It must not die of
// SIGPIPE, the run is on record, and the exit code tells that something did not arrive.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"run", "work", "--yes"}, {"run", "work", "--yes", "--json"}} {
		p := newPlace(t)
		p.book("work", "", effect+"seq 20000")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		c := p.command(args...)
		c.Stdout, c.Stderr = w, w
		x := p.start(c)
		w.Close()
		x.exit(exitNotComplete)
		if r := p.stands(run.Verified, false); r.Outcome != run.Complete {
			t.Errorf("run ended %q", r.Outcome)
		}
		p.effects(1)
	}
}

// TestSignalsOfSteps lets a step look at what it inherits: the signals that we outlive
// must reach it as they reach everybody.
func TestSignalsOfSteps(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("signals", "effect=read", "grep SigIgn /proc/self/status | tr -d '\t '")
	c := p.command("run", "signals")
	out := p.start(c).exit(exitComplete)
	_, hex, _ := strings.Cut(out, "SigIgn:")
	hex, _, _ = strings.Cut(hex, "\n")
	ignored, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE, syscall.SIGTERM, syscall.SIGXFSZ} {
		if ignored&(1<<(sig-1)) != 0 { // others may come from whoever runs the tests
			t.Errorf("a step ignores %v:\n%s", sig, out)
		}
	}
}

// TestEnvironmentOfSteps starts the program with variables that would make a program
// run something else, or that are no business of a step.
func TestEnvironmentOfSteps(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("environment", "effect=read", "env | sort > env")
	p.exits(exitComplete, "run", "environment")
	clean := p.read("env")
	for _, kv := range []string{
		"GIT_DIR=/x", "GIT_SSH_COMMAND=touch pwned", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.fsmonitor", "GIT_CONFIG_VALUE_0=touch pwned",
		"LD_PRELOAD=", "BASH_ENV=./pwn", "ENV=./pwn", "IFS=x", "PAGER=touch pwned", "EDITOR=touch pwned", "CDPATH=/", "PS4=$(touch pwned)",
		"PERL5OPT=-Mx", "PYTHONPATH=/x", "NODE_OPTIONS=x", "LIFEBOAT_SECRET_OTHER=canary-7f3a", "MY_PASSWORD=canary-7f3a",
	} {
		k, v, _ := strings.Cut(kv, "=")
		p.env[k] = v
	}
	p.write("pwn", "touch pwned\n")
	p.exits(exitComplete, "run", "environment")
	drop := func(env string) string { // they name the run
		var out []string
		for line := range strings.Lines(env) {
			if !strings.HasPrefix(line, "LIFEBOAT_RUN=") && !strings.HasPrefix(line, "LIFEBOAT_MARK=") && !strings.HasPrefix(line, "LIFEBOAT_OUTPUT=") {
				out = append(out, line)
			}
		}
		return strings.Join(out, "")
	}
	if got, want := drop(p.read("env")), drop(clean); got != want || want == "" {
		t.Errorf("environment of a step\n%swant\n%s", got, want)
	}
	if _, err := os.Stat(p.path("pwned")); err == nil {
		t.Error("a variable of the caller ran something")
	}
}

// TestCron runs as cron does and worse: no home, no terminal, hardly a PATH, files open
// to everybody, and standard files closed.
func TestCron(t *testing.T) {
	t.Parallel()
	for _, closed := range []string{"<&-", "<&- >&- 2>&-"} {
		p := newPlace(t)
		p.book("work", "", effect+"echo done")
		c := p.command("run", "work", "--yes")
		outer := exec.Command("sh", append([]string{"-c", `umask 000; exec env -i PATH=/usr/bin:/bin LANG=C "$@" ` + closed, "sh", c.Path}, c.Args[1:]...)...)
		outer.Dir, outer.Env = c.Dir, c.Env
		out := p.start(outer).exit(exitComplete)
		if closed == "<&-" && !strings.Contains(out, "COMPLETE") {
			t.Errorf("output:\n%s", out)
		}
		p.stands(run.Verified, false)
		p.effects(1)
		p.private()
	}
}

// private requires that nothing in the state directory is open to others.
func (p *place) private() {
	p.t.Helper()
	n := 0
	err := filepath.WalkDir(p.state, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if n++; info.Mode().Perm() != want {
			p.t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil || n < 5 {
		p.t.Errorf("looked at %d files: %v", n, err)
	}
}

// TestUnsafeState refuses state directories that others could write, before anything
// runs.
func TestUnsafeState(t *testing.T) {
	t.Parallel()
	root := os.Geteuid() == 0
	for _, tt := range []struct {
		name   string
		if_    bool
		change func(p *place) error
		want   string
	}{
		{"open to others", true, func(p *place) error { return os.Chmod(p.state, 0o777) }, "open to other users"},
		{"open journal", true, func(p *place) error { return os.Chmod(filepath.Join(p.state, "journal.db"), 0o644) }, "open to other users"},
		{"of another user", root, func(p *place) error { return os.Chown(p.state, 1234, 1234) }, "belongs to user 1234"},
		{"read-only", !root, func(p *place) error { return os.Chmod(p.state, 0o500) }, "permission denied"},
		{"journal is a link", true, func(p *place) error {
			path := filepath.Join(p.state, "journal.db")
			if err := os.Rename(path, path+".x"); err != nil {
				return err
			}
			return os.Symlink(path+".x", path)
		}, "not a regular file"},
	} {
		if !tt.if_ {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.book("work", "", effect)
			p.exits(exitPerson, "run", "work") // makes the state directory
			if err := tt.change(p); err != nil {
				t.Fatal(err)
			}
			if out := p.exits(exitUsage, "run", "work", "--yes"); !strings.Contains(out, tt.want) {
				t.Errorf("it does not say %q:\n%s", tt.want, out)
			}
			p.effects(0)
		})
	}
}

// TestTwoResume lets two processes take one run up at the same time, again and again.
// The step holds until the loser has been told.
func TestTwoResume(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("work", "", effect+hold+"rm go\n")
	for round := 1; round <= 10; round++ {
		p.exits(exitPerson, "run", "work")
		id := p.runs()[0].ID
		both := []*process{p.start(p.command("resume", string(id), "--yes")), p.start(p.command("resume", string(id), "--yes"))}
		winner, loser := both[0], both[1]
		select {
		case <-both[0].done:
			winner, loser = both[1], both[0]
		case <-both[1].done:
		}
		if out := loser.exit(exitBusy); !strings.Contains(out, "another process drives this run") {
			t.Errorf("the loser says\n%s", out)
		}
		p.write("go", "")
		winner.exit(exitComplete)
		p.effects(round)
	}
}

// TestEditedRunbook changes the runbook while its run waits: the run goes on as it was
// begun. A changed copy is refused.
func TestEditedRunbook(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("work", "", effect)
	p.exits(exitPerson, "run", "work")
	r := p.only()
	p.book("work", "", "touch pwned")
	copies, err := filepath.Glob(filepath.Join(p.state, "runs", string(r.ID), "books", "*.md"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies %q, %v", copies, err)
	}
	whole, err := os.ReadFile(copies[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{strings.Replace(string(whole), "echo effect", "touch pwned;", 1), string(whole) + "\n", ""} {
		if err := os.WriteFile(copies[0], []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		p.exits(exitUsage, "resume", r.ID.Short(), "--yes")
	}
	p.effects(0)
	if err := os.WriteFile(copies[0], whole, 0o600); err != nil {
		t.Fatal(err)
	}
	p.exits(exitComplete, "resume", r.ID.Short(), "--yes")
	p.effects(1)
	if _, err := os.Stat(p.path("pwned")); err == nil {
		t.Error("a text that nobody began to run has run")
	}
}

// TestNewerJournal puts a newer Lifeboat's journal before this one: it can be looked at,
// and nothing is added to it.
func TestNewerJournal(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("work", "", effect)
	p.exits(exitPerson, "run", "work")
	r := p.only()
	db, err := sql.Open("sqlite", filepath.Join(p.state, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"runs"}, {"show", r.ID.Short()}} {
		if out := p.exits(exitComplete, args...); !strings.Contains(out, "newer Lifeboat") || !strings.Contains(out, "work") {
			t.Errorf("%q says\n%s", args, out)
		}
	}
	for _, args := range [][]string{{"run", "work", "--yes"}, {"resume", r.ID.Short(), "--yes"}, {"host", string(r.ID)}} {
		if out := p.exits(exitUsage, args...); !strings.Contains(out, "newer Lifeboat") {
			t.Errorf("%q says\n%s", args, out)
		}
	}
	p.effects(0)
	if now := p.only(); now.Seq != r.Seq {
		t.Errorf("the run went from event %d to %d", r.Seq, now.Seq)
	}
}
