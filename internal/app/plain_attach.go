package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
)

// followEvery is how often an attached process looks for what is new.
const followEvery = 150 * time.Millisecond

// visitor is a person with lines at a run that another process hosts. Its hand is that of a
// client; the state is that of the journal as it has read it.
type visitor struct {
	runner.Visit
	state atomic.Pointer[run.Run]
}

var _ hand = (*visitor)(nil)

// Snapshot implements hand.
func (v *visitor) Snapshot() run.Run { return *v.state.Load() }

// follower shows a run that another process hosts line by line, asks the person where they
// drive, and carries out what they type where they do not.
type follower struct {
	world  *world
	client runner.Client
	visit  *visitor
	lines  *lines
	person *plain
	out    *outputTail
	bar    *bar

	run      run.Run
	busy     chan result // of the question or the word that the person is at; nil: none
	withdraw context.CancelFunc
	asked    int64  // the gate that the person is at; 0: they are at a word
	answered int64  // the gate whose answer was taken
	refused  string // why the last one was not
	deaf     bool   // nothing more is read
	hosted   bool   // said to be
}

// result is what came of a question or a word.
type result struct {
	gate   int64 // 0: it was a word
	answer run.Answer
	err    error
}

// attachLines is lifeboat attach without a console.
func attachLines(env environment, s settings, name string) error {
	w, err := openState(env, s)
	if err != nil {
		return err
	}
	defer w.close()
	r, err := w.load(env.ctx, name)
	if err != nil {
		return err
	}
	if err := w.settle(r); err != nil && r.Open() && !w.look {
		return err
	}
	ctx, detach := onHangup(env.ctx)
	defer detach()
	if !r.Open() {
		events, err := w.journal.Load(ctx, r.ID)
		if err == nil {
			err = w.show(events, false)
		}
		if err == nil {
			err = outcome(r)
		}
		return err
	}
	if err := w.attach(ctx, r.ID); err != nil {
		return err
	}
	f := newFollower(ctx, w, r.ID)
	err = f.follow(ctx)
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = f.client.Bye(left, r.ID) // the host finds out by itself
	switch {
	case err != nil && (errors.Is(err, engine.ErrLeft) || ctx.Err() != nil):
		return w.leaving(fmt.Errorf("run %s: %w", r.ID.Short(), engine.ErrLeft), &f.run, "lifeboat attach "+r.ID.Short()+" --plain comes back to it")
	case err != nil:
		return err
	}
	if err := outcome(f.run); err != nil {
		return silentError{err}
	}
	return nil
}

func newFollower(ctx context.Context, w *world, id run.ID) *follower {
	f := &follower{world: w, client: w.hosts(), lines: w.lines()}
	f.visit = &visitor{Visit: runner.Visit{Client: f.client, ID: id}}
	f.visit.state.Store(&run.Run{})
	f.person = w.person(f.lines)
	f.lines.raises = !w.look
	f.person.drives(f.visit)
	f.person.ctx = ctx
	f.out = &outputTail{files: w.files, id: id, to: f.lines}
	f.bar = &bar{w: shown{f.lines}, now: time.Now}
	return f
}

// follow goes on until the run has ended, the person leaves, or ctx ends.
func (f *follower) follow(ctx context.Context) error {
	if _, err := f.client.Hello(ctx, f.visit.ID); err != nil && !errors.Is(err, runner.ErrNoHost) {
		return err
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	defer f.drop()
	for {
		if f.run.Seq > 0 && !f.run.Open() {
			return nil
		}
		f.ask(ctx)
		var words <-chan keyed
		if f.busy == nil && !f.deaf && (!f.drives() || f.world.env.terminal) {
			words = f.person.in.line()
		}
		select {
		case got := <-words:
			f.person.in.took()
			if err := f.word(ctx, got.text, got.err); err != nil {
				return err
			}
		case got := <-f.busy:
			if err := f.took(ctx, got); err != nil {
				return err
			}
		case <-tick.C:
			if err := f.look(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *follower) drives() bool {
	return !f.world.look && f.run.Driver.Session == f.world.session
}

// begin writes where the run stands, and what happened while the person was away.
func (f *follower) begin(ctx context.Context) error {
	events, err := f.world.journal.Load(ctx, f.visit.ID)
	if err != nil {
		return err
	}
	if f.run, err = run.FoldAll(events); err != nil {
		return err
	}
	now := f.run
	f.visit.state.Store(&now)
	l := f.lines
	defer l.group()()
	if p, err := f.world.shelf.pinned(now.ID, now.Started); err == nil {
		l.guidance, l.params = p.Guidance(), p.Book.Params()
	}
	if now.Drill != nil {
		f.person.practises(f.visit.Visit)
	}
	l.say(f.world.env.now(), "%s", incident.Status(&now, f.world.env.now()))
	f.world.comes(l, events)
	for _, d := range incident.Owed(&now, f.world.env.now()) {
		l.add("OWED %s", d)
	}
	f.says(ctx)
	if now.Gate != nil { // its event is behind: what it asks is written again
		l.event(now, run.Event{Run: now.ID, Seq: now.Gate.Seq, At: f.world.env.now(), Kind: run.GateOpened, Step: now.Gate.Step, Body: *now.Gate})
	}
	if g := now.Gate; g != nil && !f.drives() {
		f.waits(*g)
	}
	f.out.skip(&now)
	return nil
}

// says writes who drives, and what this person can do.
func (f *follower) says(ctx context.Context) {
	l := f.lines
	if room, err := f.client.Room(ctx, f.visit.ID); err == nil {
		l.add("%s", company(room, f.world.who().Driver))
	}
	switch {
	case f.world.look:
		l.add("READ ONLY: nothing can be answered, stopped or noted from here.")
	case f.drives():
		l.keys()
	default:
		l.add("READ ONLY, you watch. ? keys   n note   c call   take to drive   q leave")
	}
}

// waits writes what the driver is asked, for somebody who watches.
func (f *follower) waits(g run.Gate) {
	l := f.lines
	defer l.group()()
	if g.Kind != run.Confirm && g.Kind != run.Token && g.Kind != run.Doubt && g.Prompt != "" {
		l.add("%s", g.Prompt)
	}
	for i, it := range g.Items {
		l.add("%d. %s", i+1, it.Text)
	}
	for i, o := range g.Options {
		l.add("  %d  %s", i+1, o.Text)
	}
	l.add("WAITING for %s to answer (%s).", f.run.Driver.By, incident.GateWords(g))
}

// look reads what is new.
func (f *follower) look(ctx context.Context) error {
	events, err := f.world.journal.Since(ctx, f.visit.ID, f.run.Seq)
	if err != nil {
		return err
	}
	drove := f.drives()
	for _, ev := range events {
		next, err := run.Fold(f.run, ev)
		if err != nil {
			return err
		}
		f.run = next
		f.visit.state.Store(&next)
		if _, begins := ev.Body.(run.Began); !begins { // what it has printed comes before its end
			f.out.read(&f.run)
		}
		f.lines.event(next, ev)
		if g, ok := ev.Body.(run.Gate); ok && !f.drives() && ev.Kind == run.GateOpened {
			f.waits(g)
		}
	}
	f.out.read(&f.run)
	if f.busy != nil && f.asked != 0 && (!f.drives() || f.run.Gate == nil || f.run.Gate.Seq != f.asked) {
		f.drop()
	}
	if drove != f.drives() {
		f.refused, f.answered = "", 0
		f.says(ctx)
		if g := f.run.Gate; g != nil && f.drives() { // whoever drives now reads it before answering
			f.lines.event(f.run, run.Event{Run: f.run.ID, Seq: g.Seq, At: f.world.env.now(), Kind: run.GateOpened, Step: g.Step, Body: *g})
		}
	}
	return f.heard(ctx)
}

// heard says that this person is here, and shows how far the step is. A host that has gone
// leaves the run open; whoever drives takes it up again.
func (f *follower) heard(ctx context.Context) error {
	p, err := f.client.Progress(ctx, f.visit.ID)
	switch {
	case err == nil:
		f.hosted = true
		if p.Step != "" && f.busy == nil {
			f.bar.progress(p.Step, p.Done, p.Total, p.Unit)
		}
		return nil
	case !errors.Is(err, runner.ErrNoHost) || !f.run.Open():
		return nil // it is asked again
	case f.world.look:
		if f.hosted {
			f.lines.say(f.world.env.now(), "Nothing drives this run any more: its process has ended.")
		}
		f.hosted = false
		return nil
	}
	// Its last event may not have been read yet.
	if r, err := f.world.load(ctx, string(f.visit.ID)); err != nil || !r.Open() {
		return err
	}
	f.drop()
	f.lines.say(f.world.env.now(), "The process that hosted this run has ended: it is taken up again here.")
	return f.world.attach(ctx, f.visit.ID)
}

// ask puts the open question to the person who drives.
func (f *follower) ask(ctx context.Context) {
	g := f.run.Gate
	if f.busy != nil || g == nil || !f.drives() || g.Seq == f.answered {
		return
	}
	asking, cancel := context.WithCancel(ctx)
	f.asked, f.withdraw = g.Seq, cancel
	r, refused, done := f.run, f.refused, make(chan result, 1)
	f.busy = done
	go func() {
		a, err := f.person.Ask(asking, r, refused)
		done <- result{g.Seq, a, err}
	}()
}

// drop withdraws what the person is at.
func (f *follower) drop() {
	if f.busy == nil {
		return
	}
	f.withdraw()
	<-f.busy
	f.busy, f.asked = nil, 0
}

// took hands an answer in, or ends a word.
func (f *follower) took(ctx context.Context, got result) error {
	f.withdraw()
	f.busy, f.asked, f.refused = nil, 0, ""
	if got.err != nil || got.gate == 0 {
		return got.err
	}
	f.answered = got.gate
	err := f.client.Answer(ctx, f.visit.ID, got.answer)
	if errors.Is(err, runner.ErrNoHost) {
		return nil // the next look takes the run up again, and the question is asked anew
	}
	if err != nil {
		f.refused, f.answered = err.Error(), 0
		if !f.drives() {
			f.lines.add("%s", sentence(err.Error()))
		}
	}
	return nil
}

// word carries out what was typed while no question was open.
func (f *follower) word(ctx context.Context, text string, err error) error {
	if errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) && text == "" {
		if f.world.look && !f.world.env.terminal {
			f.deaf = true // there is nobody: it follows the run to its end
			return nil
		}
		return engine.ErrLeft
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	text = strings.TrimSpace(text)
	f.person.shows(&f.run, text)
	if text == "q" {
		return engine.ErrLeft
	}
	if text == "" {
		return nil
	}
	asking, cancel := context.WithCancel(ctx)
	f.withdraw = cancel
	r, done := f.run, make(chan result, 1)
	f.busy, f.asked = done, 0
	go func() { done <- result{0, run.Answer{}, f.person.idle(asking, &r, text)} }()
	return nil
}
