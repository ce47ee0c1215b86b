package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/journal"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
)

// newSession names this process among those of the same person.
func newSession() string {
	var b [6]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// who is whoever is at this process.
func (w *world) who() runner.Person {
	return runner.Person{Driver: run.Driver{By: w.env.user, Session: w.session, Host: w.env.host}, ReadOnly: w.look}
}

// hosts talks to the processes that host runs.
func (w *world) hosts() runner.Client { return runner.Client{Files: w.files, Who: w.who()} }

// looking are the commands that change nothing, or do so only where [world.mayAct] lets them.
// With --readonly every other one is refused before it opens anything.
var looking = []string{"", "attach", "runs", "show", "report", "status", "ready", "triage", "contacts", "lint", "actions", "audit verify",
	"vault ls", "vault list", "vault show", "vault diff", "schedule list", "drill list", "theme ls", "theme show", "theme check", "print", "help"}

// onlyLook takes the wish to look only from the environment too, and refuses commands that
// do more.
func (s *settings) onlyLook(env environment, c *cobra.Command) error {
	switch v := env.get("LIFEBOAT_READONLY"); v {
	case "", "0", "false", "no":
	default:
		s.look = true
	}
	if !s.look {
		return nil
	}
	name := strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), c.Root().Name()), " ")
	if slices.Contains(looking, name) || strings.HasPrefix(name, "completion") {
		return nil
	}
	return (&world{look: true}).mayAct(name)
}

// mayAct refuses what changes anything where nothing may be.
func (w *world) mayAct(do string) error {
	if !w.look {
		return nil
	}
	return usage(hint.New("cannot "+do+": this Lifeboat is read-only",
		"leave out --readonly, unset LIFEBOAT_READONLY, or take read_only out of the estate; lifeboat attach RUN and lifeboat runs only look"))
}

// hands are in whose hands the gates of a run are: those of whoever is at the process that
// hosts it, or of somebody who is attached and has taken over. It implements engine.Asker.
// A question that is open when the run changes hands is withdrawn and asked anew, so that
// nothing half typed is left of it.
type hands struct {
	ctx     context.Context // of the run
	local   engine.Asker    // nil: nobody is at this process
	host    *runner.Host
	session string

	turn sync.Mutex // of the person at this process: they are asked, or they watch

	mu      sync.Mutex
	engine  interface{ Snapshot() run.Run }
	changed context.CancelFunc // withdraws the question that is open; nil: none is
	unwatch func()             // ends what the person at this process does while they watch
}

var _ engine.Asker = (*hands)(nil)

// Ask implements engine.Asker.
func (h *hands) Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error) {
	for {
		asking, cancel := context.WithCancel(ctx)
		h.mu.Lock()
		h.changed = cancel
		r.Driver, r.Asked = h.engine.Snapshot().Driver, h.engine.Snapshot().Asked
		h.mu.Unlock()
		var asker engine.Asker = h.host
		if h.local != nil && r.Driver.Session == h.session {
			asker = h.local
		}
		here := asker != engine.Asker(h.host)
		if here {
			h.endWatch()
			h.turn.Lock()
		}
		a, err := asker.Ask(asking, r, refused)
		if here {
			h.turn.Unlock()
		}
		moved := asking.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !moved {
			return a, err
		}
		refused = ""
	}
}

// observe withdraws the open question when somebody else drives. A person at this process
// who does not drive any more reads along, and may say what a watcher may.
func (h *hands) observe(r run.Run, ev run.Event) {
	b, ok := ev.Body.(run.Handover)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed != nil {
		h.changed()
	}
	if p, ok := h.local.(*plain); ok && b.From.Session == h.session {
		watching, stop := context.WithCancel(h.ctx)
		over := make(chan struct{})
		h.unwatch = func() { stop(); <-over }
		go func() {
			defer close(over)
			h.turn.Lock() // the question that was open is withdrawn first
			defer h.turn.Unlock()
			p.watches(watching, r)
		}()
	}
}

// endWatch ends what the person at this process does while they watch.
func (h *hands) endWatch() {
	h.mu.Lock()
	unwatch := h.unwatch
	h.mu.Unlock()
	unwatch()
}

// drives takes the engine whose questions are asked.
func (h *hands) drives(e *engine.Engine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine = e
}

// where says at which terminal somebody is, when that is not plain.
func where(d run.Driver, self run.Driver) string {
	switch {
	case d.By == self.By && d.Session != self.Session:
		return fmt.Sprintf("%s at another terminal", d.By)
	case d.Host != "" && d.Host != self.Host:
		return fmt.Sprintf("%s on %s", d.By, d.Host)
	}
	return d.By
}

// seat is that of a person in the process of the host.
type seat struct {
	runner.Seat
	engine *engine.Engine
}

var _ hand = seat{}

// Snapshot implements hand.
func (s seat) Snapshot() run.Run { return s.engine.Snapshot() }

// roomOf asks who is at an open run, without being there; zero when nothing hosts it.
func (w *world) roomOf(r journal.Summary) runner.Room {
	if r.Outcome != "" {
		return runner.Room{}
	}
	room, err := (runner.Client{Files: w.files}).Room(w.env.ctx, r.ID)
	if err != nil { // nothing hosts it, or a process of another version, which says so when it is attached to
		return runner.Room{}
	}
	return room
}

// stateOf is how a run stands in a list: its outcome, or who drives it and who watches.
func (w *world) stateOf(r journal.Summary) string {
	if r.Outcome != "" {
		return string(r.Outcome)
	}
	room := w.roomOf(r)
	if room.Driver.By == "" {
		return "open"
	}
	return "open, " + strings.TrimSuffix(company(room, run.Driver{Host: w.env.host}), ".")
}

// watchers are the names of those who watch.
func watchers(room runner.Room) []string {
	var out []string
	for _, g := range room.Watch {
		out = append(out, g.By)
	}
	return out
}
