package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// ErrBusy is a run that another process hosts.
var ErrBusy = errors.New("another process drives this run")

// Host drives one run and takes wishes for it. Its zero value is not usable; see
// [NewHost].
type Host struct {
	dir    string // of the run
	lock   *durable.FileLock
	listen net.Listener
	engine *engine.Engine
	ctx    context.Context // of Run, for wishes that come from connections
	idle   time.Duration
	wg     sync.WaitGroup // of the accept loop and its connections

	answers chan asked
	stopped chan struct{} // closed when Run returns: no answer is taken any more

	mu       sync.Mutex // guards what follows
	practice Practice   // nil: the run is no drill
	waiting  *asked     // the answer that the engine is looking at
	progress Progress
	seen     time.Time // of the last request
	clients  map[net.Conn]bool
	people   map[string]guest // by session
	local    *Person          // in this process, and here as long as it is; nil: nobody
	gone     bool

	away, patience, absence time.Duration // see [awayAfter], [AskPatience], [absentPatience]
}

// asked is an answer on its way into the engine. reply receives exactly one message:
// empty when it was accepted and is durable.
type asked struct {
	answer run.Answer
	reply  chan string
}

// NewHost locks the run and listens for wishes. note says who hosts, for the one who
// comes second. Close must be called.
func NewHost(files Files, id run.ID, note string) (*Host, error) {
	dir := files.Run(id)
	if err := durable.MkdirAll(dir); err != nil {
		return nil, err
	}
	lock, err := lockRun(dir, note)
	if err != nil {
		var held *durable.LockedError
		if errors.As(err, &held) {
			return nil, hint.Wrap(fmt.Errorf("run %s: %w: %s", id.Short(), ErrBusy, held.Note), "lifeboat attach "+id.Short()+" shows it")
		}
		return nil, err
	}
	h := &Host{dir: dir, lock: lock, answers: make(chan asked), stopped: make(chan struct{}), clients: map[net.Conn]bool{}, people: map[string]guest{},
		idle: IdleLimit, away: awayAfter, patience: AskPatience, absence: absentPatience}
	if err := h.open(); err != nil {
		lock.Unlock()
		return nil, err
	}
	h.wg.Add(1)
	go h.accept()
	return h, nil
}

// IdleLimit is how long a host waits at a gate for somebody to come before it leaves.
// The run stays open; whoever comes starts a new host.
const IdleLimit = 30 * time.Minute

// maxSocketPath is what fits into a Unix socket address on Linux and macOS.
const maxSocketPath = 100

// open makes the socket. Where the state directory lies too deep for a socket
// address, the socket lies in a private temporary directory. The file "address"
// says where. The lock is ours, so what an earlier host left belongs to nobody.
func (h *Host) open() (err error) {
	h.removeOld()
	path := filepath.Join(h.dir, socketName)
	if len(path) > maxSocketPath {
		tmp, err := socketDir()
		if err != nil {
			return fmt.Errorf("make socket directory: %w", err)
		}
		path = filepath.Join(tmp, socketName)
	}
	defer func() {
		if err != nil {
			h.removeSocketDir(path)
		}
	}()
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen on %q: %w", path, err)
	}
	if err = os.Chmod(path, 0o600); err != nil {
		l.Close()
		return fmt.Errorf("protect socket: %w", err)
	}
	if err = durable.WriteFile(filepath.Join(h.dir, addressName), []byte(path), 0o600); err != nil {
		l.Close()
		return err
	}
	h.listen = l
	return nil
}

// Names in the directory of a run.
const (
	lockName    = "lock"
	scratchName = "scratch"
	socketName  = "socket"
	addressName = "address"
	socketStem  = "lifeboat-" // of a temporary directory for a socket
)

// socketDir makes a private directory whose path leaves room for a socket. TMPDIR may
// lie as deep as the state directory.
func socketDir() (string, error) {
	dir, err := os.MkdirTemp("", socketStem)
	if err == nil && len(dir)+1+len(socketName) > maxSocketPath {
		os.Remove(dir)
		dir, err = os.MkdirTemp("/tmp", socketStem)
	}
	return dir, err
}

// removeOld removes the socket that a killed host left, wherever it lies.
func (h *Host) removeOld() {
	os.Remove(filepath.Join(h.dir, socketName))
	if old, err := os.ReadFile(filepath.Join(h.dir, addressName)); err == nil {
		os.Remove(string(old))
		h.removeSocketDir(string(old))
	}
}

// removeSocketDir removes the temporary directory of a socket, if it has one.
func (h *Host) removeSocketDir(socket string) {
	if dir := filepath.Dir(socket); dir != h.dir && strings.HasPrefix(filepath.Base(dir), socketStem) {
		os.Remove(dir) // only when it is empty
	}
}

// Run drives the engine until it stops. Start begins it: the engine needs the host as
// its Asker and for its Progress, so it is made between the two.
func (h *Host) Run(ctx context.Context, e *engine.Engine) (run.Run, error) {
	h.mu.Lock()
	h.engine, h.ctx = e, ctx
	h.mu.Unlock()
	r, err := e.Run(ctx)
	close(h.stopped)
	h.mu.Lock()
	h.gone = true
	if h.waiting != nil {
		h.waiting.reply <- runStopped
		h.waiting = nil
	}
	h.mu.Unlock()
	return r, err
}

// runStopped is what those hear whose answer came too late.
const runStopped = "the run stopped"

// Close stops listening, lets connections go and unlocks the run.
func (h *Host) Close() error {
	err := h.listen.Close()
	h.mu.Lock()
	h.gone = true
	for c := range h.clients {
		c.Close()
	}
	h.mu.Unlock()
	h.wg.Wait()
	h.removeSocketDir(h.listen.Addr().String())
	os.Remove(filepath.Join(h.dir, addressName))
	return errors.Join(err, h.lock.Unlock())
}

// Ask waits for an answer from whoever is attached. It implements engine.Asker.
func (h *Host) Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error) {
	h.mu.Lock()
	if h.waiting != nil {
		h.waiting.reply <- refused
		h.waiting = nil
	}
	h.mu.Unlock()
	idle := time.NewTicker(max(h.idle/10, time.Millisecond))
	defer idle.Stop()
	began := time.Now()
	for {
		select {
		case a := <-h.answers:
			h.mu.Lock()
			h.waiting = &a
			h.mu.Unlock()
			return a.answer, nil
		case now := <-idle.C:
			h.mu.Lock()
			since := began
			if h.seen.After(since) {
				since = h.seen
			}
			h.mu.Unlock()
			if now.Sub(since) > h.idle {
				return run.Answer{}, engine.ErrLeft
			}
		case <-ctx.Done():
			return run.Answer{}, ctx.Err()
		}
	}
}

// Observe tells the person whose answer became a fact. It is the engine's Observe.
func (h *Host) Observe(_ run.Run, ev run.Event) {
	if ev.Kind != run.GateAnswered {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting != nil {
		h.waiting.reply <- ""
		h.waiting = nil
	}
}

// Progress keeps how far the running step is. It is the engine's Progress.
func (h *Host) Progress(step string, done, total int64, unit string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.progress.Step != step || done < h.progress.Done {
		h.progress.Since = time.Now()
	}
	h.progress.Step, h.progress.Done, h.progress.Total, h.progress.Unit = step, done, total, unit
}

func (h *Host) accept() {
	defer h.wg.Done()
	for {
		conn, err := h.listen.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		if h.gone {
			h.mu.Unlock()
			conn.Close()
			continue
		}
		h.clients[conn] = true
		h.mu.Unlock()
		h.wg.Add(1)
		go h.serve(conn)
	}
}

// serve answers one connection until it closes. A client that sends nonsense is told
// so once and dropped.
func (h *Host) serve(conn net.Conn) {
	defer h.wg.Done()
	defer func() {
		h.mu.Lock()
		delete(h.clients, conn)
		h.mu.Unlock()
		conn.Close()
	}()
	in := bufio.NewReader(conn)
	for {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, errTooLong) {
			return
		}
		var req request
		var rep reply
		nonsense := err
		if nonsense == nil {
			nonsense = json.Unmarshal(line, &req)
		}
		switch {
		case errors.Is(nonsense, errTooLong):
			rep = reply{Version: protocol, Error: nonsense.Error()}
		case nonsense != nil:
			rep = reply{Version: protocol, Error: "the request is not understood"}
		default:
			rep = h.handle(req)
		}
		data, err := json.Marshal(rep)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(data, '\n')); err != nil || nonsense != nil {
			return
		}
	}
}

var errTooLong = fmt.Errorf("the message is longer than %d bytes", maxMessage)

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, more, err := in.ReadLine()
		if err != nil {
			return nil, err
		}
		if line = append(line, part...); len(line) > maxMessage {
			return nil, errTooLong
		}
		if !more {
			return line, nil
		}
	}
}

func (h *Host) handle(req request) reply {
	rep := reply{Version: protocol}
	if err := h.carryOut(req, &rep); err != nil {
		rep.Error, rep.Hints = err.Error(), hint.All(err)
	}
	return rep
}

// carryOut does what a request wants.
func (h *Host) carryOut(req request, rep *reply) error {
	if req.Version != protocol {
		return hint.New(fmt.Sprintf("this console speaks protocol %d, the process that hosts the run speaks %d", max(req.Version, 1), protocol),
			"they are of different versions of Lifeboat: open the console of the newer one")
	}
	h.mu.Lock()
	h.seen = time.Now()
	e, gone, ctx := h.engine, h.gone, h.ctx
	h.mu.Unlock()
	switch req.Verb {
	case verbPing:
		return nil
	case verbBye:
		h.leaves(req.Who)
		return nil
	}
	if e == nil || gone {
		if looks[req.Verb] { // it begins, or ends: there is nothing to see yet, or any more
			return nil
		}
		return errors.New("the run is not being driven right now")
	}
	h.comes(req.Who)
	if req.Who.ReadOnly && !looks[req.Verb] {
		return hint.New("this console is read-only", "nothing can be answered, stopped, noted or started from it")
	}
	h.returns(ctx, e, req.Who)
	switch req.Verb {
	case verbProgress:
		h.mu.Lock()
		defer h.mu.Unlock()
		p := h.progress
		rep.Progress = &p
		return nil
	case verbRoom, verbHello:
		room := h.room(e)
		rep.Room = &room
		return nil
	case verbNote:
		return e.Note(ctx, req.Who.By, req.Text)
	case verbRaise:
		return e.Raise(ctx, req.Who.By, req.Level, req.Text)
	case verbAsk:
		return h.askToDrive(ctx, e, req.Who)
	case verbAnswer, verbStop, verbGive, verbKeep, verbInject, verbHint, verbEnd:
		if err := drives(e, req.Who); err != nil {
			return err
		}
	default:
		return fmt.Errorf("request %q is not known", req.Verb)
	}
	switch req.Verb {
	case verbInject, verbHint, verbEnd:
		return h.practise(ctx, req)
	case verbGive, verbKeep:
		return h.decide(ctx, e, req.Who, req.Asked, req.Verb == verbGive)
	case verbStop:
		return e.Stop(req.Which)
	}
	if req.Answer == nil {
		return errors.New("there is no answer in the request")
	}
	a := *req.Answer
	a.By, a.Session = req.Who.By, req.Who.Session
	if says := h.answer(a); says != "" {
		return errors.New(says)
	}
	return nil
}

// answerPatience is how long an answer waits for the engine to be at a gate.
const answerPatience = 3 * time.Second

// answer hands an answer to the engine and waits until it is durable or refused.
func (h *Host) answer(a run.Answer) string {
	msg := asked{answer: a, reply: make(chan string, 1)}
	patience := time.NewTimer(answerPatience)
	defer patience.Stop()
	select {
	case h.answers <- msg:
	case <-h.stopped:
		return runStopped
	case <-patience.C:
		return "the run is not waiting for an answer"
	}
	return <-msg.reply
}
