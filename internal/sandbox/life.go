package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// Socket is the name of the socket that the hosts of a sandbox are reached through.
const Socket = "socket"

// What keeps a sandbox alive lies in its runtime directory: a process that serves its
// hosts and runs the replicas of its app as children. It is started by whoever comes
// first, and ends when nobody is there any more: every visitor holds a shared lock, which
// goes with its process however that ends. State that must outlive the process is in files
// of the same directory. A sandbox that is copied or moved loses nothing by a new start.
const (
	runtimeDir   = ".live"
	socketName   = Socket
	visitorsName = "visitors" // shared: each visitor; exclusive: the process that ends
	aliveName    = "alive"    // exclusive: the process that keeps it alive
	logName      = "log"
)

func (s *Sandbox) runtime(name string) string { return filepath.Join(s.dir, runtimeDir, name) }

// Runtime is the path of a file of the process that keeps the sandbox alive.
func (s *Sandbox) Runtime(name string) string { return s.runtime(name) }

// Forge is the directory that the forge of the sandbox keeps its state in.
func (s *Sandbox) Forge() string { return s.runtime("forge") }

// Visit is somebody's presence in a sandbox: as long as one lasts, the sandbox lives.
type Visit struct {
	dir, exe string
	cancel   context.CancelFunc
	done     chan struct{}

	mu   sync.Mutex // guards held
	held *os.File   // the shared lock; of the sandbox that lies in dir now
}

// Enter makes the sandbox alive and keeps it so until Leave: its hosts answer, its app
// serves and writes, its bin directory has its programs. exe is this program, which is
// started once more for it. When that process is killed it is started anew, and when the
// sandbox is reset the visit goes on in the new one.
func (s *Sandbox) Enter(ctx context.Context, exe string) (*Visit, error) {
	v := &Visit{dir: s.dir, exe: exe, done: make(chan struct{})}
	if err := s.still(); err != nil {
		return nil, fmt.Errorf("enter the sandbox: %w", err)
	}
	if err := v.settle(ctx, s); err != nil {
		return nil, fmt.Errorf("enter the sandbox %s: %w", s.ID(), err)
	}
	ctx, v.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go v.watch(ctx)
	return v, nil
}

// Leave ends the visit. The sandbox lives on while others are in it.
func (v *Visit) Leave() error {
	v.cancel()
	<-v.done
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.held.Close()
}

// startPatience is how long the process may take until it answers.
const startPatience = 20 * time.Second

// settle takes the lock of a visitor and sees to it that the process is there.
func (v *Visit) settle(ctx context.Context, s *Sandbox) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := durable.MkdirAll(s.runtime("")); err != nil {
		return err
	}
	if err := s.equip(v.exe); err != nil {
		return err
	}
	lock, err := v.share(ctx, s)
	if err != nil {
		return err
	}
	v.mu.Lock()
	if v.held != nil {
		v.held.Close()
	}
	v.held = lock
	v.mu.Unlock()
	return v.rouse(ctx, s)
}

// share takes the lock of a visitor. A process that is ending holds it alone for a moment.
func (v *Visit) share(ctx context.Context, s *Sandbox) (*os.File, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := os.OpenFile(s.runtime(visitorsName), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
			return f, nil
		}
		f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %q: %w", s.runtime(visitorsName), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %q: %w", s.runtime(visitorsName), ctx.Err())
		}
	}
}

// rouse waits until the process answers, and starts it where it does not.
func (v *Visit) rouse(ctx context.Context, s *Sandbox) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var began time.Time
	for {
		if s.alive(ctx) {
			return nil
		}
		if time.Since(began) > 6*time.Second { // one that waits for another to end is patient for less
			began = time.Now()
			if err := s.start(v.exe); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			text, _ := os.ReadFile(s.runtime(logName)) // only to tell a person
			lines := strings.Split(strings.TrimSpace(string(text)), "\n")
			return hint.Wrap(fmt.Errorf("the process that keeps it alive does not answer: %w: %s", ctx.Err(), lines[len(lines)-1]), "See "+s.runtime(logName)+".")
		}
	}
}

// start starts the process. Of two that are started only one stays.
func (s *Sandbox) start(exe string) error {
	const most = 1 << 20
	if info, err := os.Stat(s.runtime(logName)); err == nil && info.Size() > most {
		_ = os.Truncate(s.runtime(logName), 0) // nobody reads that far back
	}
	log, err := os.OpenFile(s.runtime(logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = command.Detach(command.Cmd{Argv: []string{exe, "sandbox-live", s.dir}, Dir: "/"}, log)
	return err
}

// alive asks the process whether it serves this sandbox.
func (s *Sandbox) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := s.Dial(ctx, socketName) // a request would wait for the process
	if err != nil {
		return false
	}
	conn.Close()
	id, err := s.Ask(ctx, http.MethodGet, "/id")
	return err == nil && string(id) == s.ID()
}

// Ask sends a request to the cluster of the sandbox, for its own programs.
func (s *Sandbox) Ask(ctx context.Context, method, path string) ([]byte, error) {
	client := http.Client{Transport: s.Transport()}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+ClusterHost+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &ClusterError{Status: resp.StatusCode, Text: strings.TrimSpace(string(body))}
	}
	return body, err
}

// ClusterError is what the cluster of the sandbox says in place of an answer.
type ClusterError struct {
	Status int
	Text   string
}

func (e *ClusterError) Error() string { return e.Text }

// watchEvery is how often a visitor and the process look after each other.
const watchEvery = 500 * time.Millisecond

// watch starts the process anew when it was killed, and moves on with the directory when
// the sandbox was reset. It ends with Leave.
func (v *Visit) watch(ctx context.Context) {
	defer close(v.done)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var began time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s, err := Open(v.dir)
		if err != nil {
			continue // removed; it may come back
		}
		now, err := os.Stat(s.runtime(visitorsName))
		v.mu.Lock()
		mine, merr := v.held.Stat()
		v.mu.Unlock()
		if err != nil || merr != nil || !os.SameFile(now, mine) {
			_ = v.settle(ctx, s) // tried again with the next tick
			continue
		}
		if conn, err := s.Dial(ctx, socketName); err == nil {
			conn.Close()
		} else if time.Since(began) > 6*time.Second {
			began = time.Now()
			_ = s.start(v.exe)
		}
	}
}

// Vigil is held by the process that keeps a sandbox alive.
type Vigil struct {
	s       *Sandbox
	alive   *durable.FileLock
	closing *os.File // the lock of the visitors, held alone
}

// ErrKept says that another process keeps the sandbox alive.
var ErrKept = errors.New("another process keeps the sandbox alive")

// Keep makes this process the one that keeps the sandbox alive. It waits a while for one
// that is ending.
func (s *Sandbox) Keep(ctx context.Context) (*Vigil, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		lock, err := durable.Lock(s.runtime(aliveName), fmt.Sprintf("process %d", os.Getpid()))
		if err == nil {
			return &Vigil{s: s, alive: lock}, nil
		}
		var held *durable.LockedError
		if !errors.As(err, &held) {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ErrKept
		}
	}
}

// Over says whether the process has nobody to live for: no visitor is left, or the sandbox
// is gone. From then on nobody can enter until End.
func (v *Vigil) Over() bool {
	if v.s.still() != nil {
		return true
	}
	f, err := os.OpenFile(v.s.runtime(visitorsName), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return true // nobody has ever come
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return !errors.Is(err, syscall.EWOULDBLOCK)
	}
	v.closing = f
	return true
}

// Every is how often [Vigil.Over] should be asked.
func (v *Vigil) Every() time.Duration { return watchEvery }

// End lets others keep the sandbox alive.
func (v *Vigil) End() error {
	err := v.alive.Unlock()
	if v.closing != nil {
		err = errors.Join(err, v.closing.Close())
	}
	return err
}

// calm waits until the process that kept a sandbox alive, which lies in dir now and not in
// its place any more, has ended, so that what is in it can be deleted. It has no meaning
// for long: a process that hangs is left alone.
func calm(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	gone := &Sandbox{dir: dir}
	if _, err := os.Lstat(gone.runtime("")); err != nil {
		return // it never lived
	}
	for asked := false; ; {
		lock, err := durable.Lock(gone.runtime(aliveName), "clearing away")
		if err == nil {
			_ = lock.Unlock()
			return
		}
		if !asked { // it would notice by itself a little later
			conn, err := dial(ctx, gone.runtime(""), socketName)
			if asked = err == nil; asked {
				_, _ = fmt.Fprintf(conn, "POST /end HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ClusterHost)
				_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<10))
				conn.Close()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
