package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultGrace = 5 * time.Second
	defaultKeep  = 64 << 10
	errorTail    = 4 << 10 // bytes of standard error kept for an ExitError when it is sent elsewhere
)

// ErrHeld says that output ended before its end was seen: the program is gone, but a
// child that it left behind still holds the pipe.
var ErrHeld = errors.New("output is incomplete: a left-behind process still holds it open")

// Process is a running program.
type Process struct {
	Stdin  io.WriteCloser // with Cmd.StdinPipe; the caller closes it; the end of the program does at the latest
	Stdout io.ReadCloser  // with Cmd.StdoutPipe; the caller reads it to the end or closes it, then calls Wait

	cmd    Cmd
	exec   *exec.Cmd
	began  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	exited chan struct{} // the program itself has ended and was reaped
	calm   chan struct{} // the ladder of signals is over
	done   chan struct{} // result and err are complete
	stdin  *feed
	stdout stream
	stderr stream
	pipe   *heldReader
	result Result
	err    error
}

// Start starts a program. The caller must call Wait. When ctx is over already, nothing is
// started.
func Start(ctx context.Context, c Cmd) (*Process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("run %q: not started: %w", name(c.Argv), err)
	}
	if c.Grace <= 0 {
		c.Grace = defaultGrace
	}
	if c.Keep <= 0 {
		c.Keep = defaultKeep
	}
	x, release, err := prepare(withMark(ctx, withFront(ctx, c)))
	if err != nil {
		return nil, err
	}
	defer release()
	p := &Process{
		cmd: c, exec: x,
		exited: make(chan struct{}), calm: make(chan struct{}), done: make(chan struct{}),
	}
	theirs, err := p.plumb()
	if err == nil {
		p.began = time.Now()
		err = x.Start()
	}
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		p.unplumb()
		return nil, fmt.Errorf("run %q: %w", name(c.Argv), err)
	}
	p.ctx, p.cancel = ctx, func() {}
	if c.Timeout > 0 {
		p.ctx, p.cancel = context.WithTimeoutCause(ctx, c.Timeout,
			fmt.Errorf("no end within %s: %w", c.Timeout, context.DeadlineExceeded))
	}
	p.stdin.start()
	p.stdout.start()
	p.stderr.start()
	go p.ladder()
	go p.reap()
	return p, nil
}

// prepare builds everything but the standard streams. The caller calls release once the
// program was started or not.
func prepare(c Cmd) (x *exec.Cmd, release func(), err error) {
	if len(c.Argv) == 0 {
		return nil, nil, errors.New("run a program: no program was named")
	}
	path := searchPath()
	if own, ok := c.Env["PATH"]; ok {
		path = cleanPath(own)
	}
	file, err := look(c.Argv[0], c.Dir, path)
	if err != nil {
		return nil, nil, err
	}
	if c.Dir != "" {
		if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
			return nil, nil, fmt.Errorf("run %q: %q is not a directory", name(c.Argv), c.Dir)
		}
	}
	files, release := slices.Clone(c.Files), func() {}
	if c.gitConfig != "" && c.Env["GIT_CONFIG_GLOBAL"] == os.DevNull {
		if f, err := memoryFile(c.gitConfig); err == nil { // without one, /dev/null stays
			c.Env = maps.Clone(c.Env)
			c.Env["GIT_CONFIG_GLOBAL"] = fmt.Sprintf("/proc/self/fd/%d", 3+len(files))
			files, release = append(files, f), func() { f.Close() }
		}
	}
	env, err := environment(os.Environ(), c)
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("run %q: %w", name(c.Argv), err)
	}
	return &exec.Cmd{
		Path: file, Args: c.Argv, Env: env, Dir: c.Dir, ExtraFiles: files,
		SysProcAttr: &syscall.SysProcAttr{Setsid: !c.Terminal},
	}, release, nil
}

// PID is the number of the process, which is also that of its group and session.
func (p *Process) PID() int { return p.exec.Process.Pid }

// Signal sends a signal to the whole group. It is no error when the group is gone.
func (p *Process) Signal(sig syscall.Signal) error {
	target := -p.PID()
	if p.cmd.Terminal {
		target = p.PID()
	}
	if err := syscall.Kill(target, sig); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("send %s to %q: %w", unix.SignalName(sig), name(p.cmd.Argv), err)
	}
	return nil
}

// Wait waits for the end and returns the same answer however often it is called; see
// [Run] for the error.
func (p *Process) Wait() (Result, error) {
	<-p.done
	return p.result, p.err
}

// ladder stops the group when the context ends, more firmly with every step.
func (p *Process) ladder() {
	defer close(p.calm)
	select {
	case <-p.exited:
		return
	case <-p.ctx.Done():
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		_ = p.Signal(sig) // ESRCH is fine, and EPERM (a setuid program) leaves only waiting
		if p.gone(p.cmd.Grace) {
			return
		}
	}
	<-p.exited
}

// gone waits until the whole group has ended, but no longer than limit.
func (p *Process) gone(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		return false
	}
	poll := time.NewTicker(10 * time.Millisecond) // nothing tells when a grandchild ends
	defer poll.Stop()
	for !p.cmd.Terminal && groupAlive(p.PID()) {
		select {
		case <-poll.C:
		case <-timer.C:
			return false
		}
	}
	return true
}

// reap collects the end of the program and then that of its output.
func (p *Process) reap() {
	defer close(p.done)
	waitErr := p.exec.Wait()
	took := time.Since(p.began)
	close(p.exited)
	if p.pipe != nil {
		p.pipe.childExited(p.cmd.Grace)
	}
	<-p.calm
	stopped := context.Cause(p.ctx)
	p.cancel()
	p.stdin.stop()
	if p.Stdin != nil {
		p.Stdin.Close()
	}
	limit := time.Now().Add(p.cmd.Grace)
	outErr, errErr := p.stdout.finish(limit), p.stderr.finish(limit)

	r := Result{Took: took, held: p.stdout.held || p.stderr.held}
	r.Truncated = r.held
	if status, ok := p.exec.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Exit, r.Signal = 128+int(status.Signal()), unix.SignalName(status.Signal())
	} else {
		r.Exit = p.exec.ProcessState.ExitCode()
	}
	r.Stdout = p.stdout.kept(&r.Truncated)
	r.Stderr = p.stderr.kept(&r.Truncated)
	p.result = r
	p.err = p.verdict(r, stopped, waitErr, errors.Join(outErr, errErr))
}

func (p *Process) verdict(r Result, stopped, waitErr, outputErr error) error {
	var bad error
	var exit *exec.ExitError
	switch {
	case r.Exit != 0 || r.Signal != "":
		stderr, _ := p.stderr.tail.bytes()
		bad = advise(&ExitError{Argv: p.cmd.Argv, Exit: r.Exit, Signal: r.Signal, Stderr: string(stderr)})
	case waitErr != nil && !errors.As(waitErr, &exit):
		bad = fmt.Errorf("run %q: %w", name(p.cmd.Argv), waitErr)
	}
	switch {
	case stopped != nil && bad != nil:
		return fmt.Errorf("run %q: stopped: %w (%w)", name(p.cmd.Argv), stopped, bad)
	case stopped != nil:
		return fmt.Errorf("run %q: stopped: %w", name(p.cmd.Argv), stopped)
	case bad != nil:
		return bad
	case outputErr != nil:
		return fmt.Errorf("keep the output of %q: %w", name(p.cmd.Argv), outputErr)
	}
	return nil
}

// Detach starts a program that lives on when the caller is killed and when the terminal
// goes away: a session of its own, input from /dev/null, standard output and error into
// the given file (nil: /dev/null). Timeout, Stdout and the pipes of c are not used.
func Detach(c Cmd, stdout *os.File) (pid int, err error) {
	c.Terminal = false
	x, release, err := prepare(c)
	if err != nil {
		return 0, err
	}
	defer release()
	if stdout != nil {
		x.Stdout, x.Stderr = stdout, stdout
	}
	if err := x.Start(); err != nil {
		return 0, fmt.Errorf("run %q: %w", name(c.Argv), err)
	}
	go func() { _ = x.Wait() }() // ends with the child; without it the child stays a zombie as long as we live
	return x.Process.Pid, nil
}
