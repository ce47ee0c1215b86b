package runner

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// quick makes the patience of a host short enough for a test.
func quick(away, patience, absence time.Duration) func(*Host, *engine.Config) {
	return func(h *Host, _ *engine.Config) { h.away, h.patience, h.absence = away, patience, absence }
}

// stay lets somebody be here until the test ends or it is cancelled.
func (b *bench) stay(c Client, id run.ID) (goes func()) {
	b.t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	if _, err := c.Hello(b.t.Context(), id); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.Progress(b.t.Context(), id)
			case <-stop:
				return
			}
		}
	}()
	goes = func() {
		select {
		case <-stop:
		default:
			close(stop)
		}
		<-done
	}
	b.t.Cleanup(goes)
	return goes
}

// changes lists who drove the run one after another, and how they came to.
func (b *bench) changes(id run.ID) string {
	var out []string
	for _, h := range b.fold(id).Handed {
		out = append(out, h.From.Session+">"+h.To.Session+" "+string(h.How))
	}
	return strings.Join(out, ", ")
}

// TestWatcher: whoever does not drive may look, note and raise, and nothing else, whatever
// their screen offers; and it says who drives.
func TestWatcher(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	b.drive(id, nil)
	g := b.gate(id, "write")
	kaya, twice := b.as("s.kaya", "s2"), b.as("m.ito", "s3")
	b.stay(b.client, id)
	for _, tt := range []struct {
		name string
		do   func(Client) error
	}{
		{"answer", func(c Client) error { return c.Answer(t.Context(), id, b.approve(g)) }},
		{"stop", func(c Client) error { return c.Stop(t.Context(), id, run.Attempt{}) }},
		{"give", func(c Client) error { return c.Give(t.Context(), id, 1) }},
		{"keep", func(c Client) error { return c.Keep(t.Context(), id, 1) }},
	} {
		err := tt.do(kaya)
		if err == nil || err.Error() != "m.ito drives this run" || !slices.Contains(hint.All(err), "press A to ask for it; with lines, type take") {
			t.Errorf("%s of a watcher: %v, advice %q", tt.name, err, hint.All(err))
		}
		if err := tt.do(twice); err == nil || err.Error() != "m.ito drives this run at another terminal" {
			t.Errorf("%s of the same person at another terminal: %v", tt.name, err)
		}
	}
	if err := kaya.Note(t.Context(), id, "I am here"); err != nil {
		t.Errorf("note of a watcher: %v", err)
	}
	room, err := kaya.Room(t.Context(), id)
	if err != nil || !room.Here || room.Driver.Session != "s1" || len(room.Watch) != 2 || room.Watch[0].Session != "s3" || room.Watch[1].By != "s.kaya" {
		t.Errorf("room %+v, error %v", room, err)
	}
	if err := kaya.Bye(t.Context(), id); err != nil {
		t.Error(err)
	}
	if room, _ := b.client.Room(t.Context(), id); len(room.Watch) != 1 {
		t.Errorf("who left is still here: %+v", room.Watch)
	}
	if got := b.fold(id); got.Gate == nil || got.Gate.Seq != g.Seq || b.effects() != "" || b.changes(id) != "" {
		t.Errorf("the run was touched: gate %+v, effects %q, %s", got.Gate, b.effects(), b.changes(id))
	}
}

// TestReadOnly: a console that may only look is refused everything by the host.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	b.drive(id, nil)
	g := b.gate(id, "write")
	for _, c := range []Client{b.as("p.osei", "s9"), b.client} { // also where the driver says that they only look
		c.Who.ReadOnly = true
		for name, err := range map[string]error{
			"answer": c.Answer(t.Context(), id, b.approve(g)), "stop": c.Stop(t.Context(), id, run.Attempt{}), "note": c.Note(t.Context(), id, "x"),
			"raise": c.Raise(t.Context(), id, 3, "x"), "ask": c.AskToDrive(t.Context(), id), "give": c.Give(t.Context(), id, 1), "keep": c.Keep(t.Context(), id, 1),
		} {
			if err == nil || err.Error() != "this console is read-only" {
				t.Errorf("%s from a read-only console: %v", name, err)
			}
		}
		if _, err := c.Hello(t.Context(), id); err != nil {
			t.Errorf("it may not look: %v", err)
		}
	}
	if r := b.fold(id); r.Gate == nil || r.Gate.Seq != g.Seq || len(r.Notes) != 0 || r.Driver.Session != "s1" {
		t.Errorf("the run was touched: %+v", r)
	}
}

// TestTakeOver plays every way in which a wish to drive ends.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		prepare  func(*Host, *engine.Config)
		here     bool // the driver
		do       func(t *testing.T, b *bench, id run.ID, kaya Client) error
		want     string // who drove
		says     string // the error
		answered bool   // s.kaya may answer the gate afterwards
	}{
		{"given", nil, true, func(t *testing.T, b *bench, id run.ID, kaya Client) error {
			if err := kaya.AskToDrive(t.Context(), id); err != nil {
				return err
			}
			if err := b.client.Give(t.Context(), id, 1); err == nil || !strings.Contains(err.Error(), "another wish") {
				t.Errorf("a yes to another wish: %v", err)
			}
			return b.client.Give(t.Context(), id, b.fold(id).Asked.Seq)
		}, "s1>s2 given", "", true},
		{"refused", nil, true, func(t *testing.T, b *bench, id run.ID, kaya Client) error {
			if err := kaya.AskToDrive(t.Context(), id); err != nil {
				return err
			}
			return b.client.Keep(t.Context(), id, b.fold(id).Asked.Seq)
		}, "", "", false},
		{"not asked for", nil, true, func(t *testing.T, b *bench, id run.ID, kaya Client) error { return b.client.Give(t.Context(), id, 1) },
			"", "nobody asks to drive", false},
		{"too early", nil, true, func(t *testing.T, b *bench, id run.ID, kaya Client) error {
			if err := kaya.AskToDrive(t.Context(), id); err != nil {
				return err
			}
			return kaya.AskToDrive(t.Context(), id)
		}, "", "m.ito has been asked, and has 1m0s still to answer", false},
		{"unanswered", quick(time.Minute, 50*time.Millisecond, time.Millisecond), true, func(t *testing.T, b *bench, id run.ID, kaya Client) error {
			return b.insist(id, kaya)
		}, "s1>s2 unanswered", "", true},
		{"the driver is gone", quick(30*time.Millisecond, time.Hour, 50*time.Millisecond), false, func(t *testing.T, b *bench, id run.ID, kaya Client) error {
			return b.insist(id, kaya)
		}, "s1>s2 driver gone", "", true},
		{"the driver was killed after the wish", quick(2*time.Second, time.Hour, 50*time.Millisecond), false, func(t *testing.T, b *bench, id run.ID, kaya Client) error {
			goes := b.stay(b.client, id)
			if err := kaya.AskToDrive(t.Context(), id); err != nil {
				return err
			}
			if room, err := kaya.Room(t.Context(), id); err != nil || !room.Here || !room.Asked || room.Wait() < time.Minute {
				t.Errorf("room %+v, error %v", room, err)
			}
			goes()
			return b.insist(id, kaya)
		}, "s1>s2 driver gone", "", true},
		{"somebody else was quicker", nil, true, func(t *testing.T, b *bench, id run.ID, kaya Client) error {
			osei := b.as("p.osei", "s4")
			b.stay(osei, id)
			if err := osei.AskToDrive(t.Context(), id); err != nil {
				return err
			}
			return kaya.AskToDrive(t.Context(), id)
		}, "", "p.osei has asked for it already", false},
		{"the driver asks", nil, true, func(t *testing.T, b *bench, id run.ID, _ Client) error { return b.client.AskToDrive(t.Context(), id) },
			"", "you drive this run already", false},
		{"the driver comes back", quick(30*time.Millisecond, time.Hour, time.Hour), false, func(t *testing.T, b *bench, id run.ID, _ Client) error {
			again := b.as("m.ito", "s5")
			b.until("the handover", func() bool {
				room, err := again.Hello(t.Context(), id)
				return err == nil && room.Driver.Session == "s5"
			})
			return nil
		}, "s1>s5 returned", "", false},
		{"the driver opens a second terminal", nil, true, func(t *testing.T, b *bench, id run.ID, _ Client) error {
			_, err := b.as("m.ito", "s5").Hello(t.Context(), id)
			return err
		}, "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, t.TempDir())
			id := b.begin()
			b.drive(id, tt.prepare)
			g := b.gate(id, "write")
			if tt.here {
				b.stay(b.client, id)
			}
			kaya := b.as("s.kaya", "s2")
			err := tt.do(t, b, id, kaya)
			if says := ""; err != nil && err.Error() != tt.says || err == nil && tt.says != says {
				t.Fatalf("error %v, want %q", err, tt.says)
			}
			if got := b.changes(id); got != tt.want {
				t.Errorf("drove %q, want %q", got, tt.want)
			}
			if got := b.fold(id); got.Gate == nil || got.Gate.Seq != g.Seq {
				t.Errorf("the question has changed: %+v", got.Gate)
			}
			err = kaya.Answer(t.Context(), id, b.approve(g))
			if tt.answered != (err == nil) || !tt.answered && !strings.Contains(err.Error(), "drives this run") {
				t.Errorf("answer after it: %v", err)
			}
			if tt.answered { // the old driver watches now
				wipe := b.gate(id, "wipe")
				if err := b.client.Answer(t.Context(), id, b.approve(wipe)); err == nil || err.Error() != "s.kaya drives this run" {
					t.Errorf("answer of the one who drove before: %v", err)
				}
			}
		})
	}
}

// insist asks again until the run is handed over.
func (b *bench) insist(id run.ID, c Client) error {
	b.t.Helper()
	b.until("the handover", func() bool { c.AskToDrive(b.t.Context(), id); return b.fold(id).Driver.Is(c.Who.Driver) })
	return nil
}

// TestApprovalStays: what was approved before a handover is done; what was not is asked of
// the new driver.
func TestApprovalStays(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	b.drive(id, nil)
	release := b.hold()
	if err := b.answer(id, b.approve(b.gate(id, "write"))); err != nil {
		t.Fatal(err)
	}
	b.running("once\n")
	kaya := b.as("s.kaya", "s2")
	if err := kaya.AskToDrive(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Give(t.Context(), id, b.fold(id).Asked.Seq); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Stop(t.Context(), id, run.Attempt{}); err == nil || err.Error() != "s.kaya drives this run" {
		t.Errorf("stop of the one who drove before: %v", err)
	}
	release()
	wipe := b.gate(id, "wipe")
	if r := b.fold(id); r.Step("write").State != run.Verified && r.Step("write").Attempt != 1 || b.effects() != "once\n" {
		t.Errorf("step %s after %d attempts, effects %q", r.Step("write").State, r.Step("write").Attempt, b.effects())
	}
	if err := kaya.Answer(t.Context(), id, b.approve(wipe)); err != nil {
		t.Error(err)
	}
	b.until("the answer", func() bool {
		list, err := b.journal.Load(t.Context(), id)
		return err == nil && slices.ContainsFunc(list, func(ev run.Event) bool {
			a, ok := ev.Body.(run.Answer)
			return ok && a.Gate == wipe.Seq && a.By == "s.kaya" && a.Session == "s2"
		})
	})
}

// TestNewHostDrives: whoever starts the process of a run drives it, and an open wish is over.
func TestNewHostDrives(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	h := b.drive(id, func(h *Host, _ *engine.Config) { h.idle = 100 * time.Millisecond })
	b.gate(id, "write")
	if err := b.as("s.kaya", "s2").AskToDrive(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b.wait(h)
	b.drive(id, func(_ *Host, c *engine.Config) { c.By, c.Session = "p.osei", "s4" })
	g := b.gate(id, "write")
	if r := b.fold(id); r.Driver.By != "p.osei" || r.Driver.Session != "s4" || r.Asked != nil {
		t.Errorf("driver %+v, asked %+v", r.Driver, r.Asked)
	}
	if err := b.client.Answer(t.Context(), id, b.approve(g)); err == nil || err.Error() != "p.osei drives this run" {
		t.Errorf("answer of the one who drove before: %v", err)
	}
}

// TestOldHost: a process of the protocol before this one is named, and nothing is started
// beside it.
func TestOldHost(t *testing.T) {
	t.Parallel()
	f := Files{Dir: filepath.Join(t.TempDir(), "runs")}
	const id = run.ID("20261124T030000Z-7F3A")
	if err := durable.MkdirAll(f.Run(id)); err != nil {
		t.Fatal(err)
	}
	dir, err := socketDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, socketName)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // answers as a host of version 1 did
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadBytes('\n')
			var req map[string]any
			if json.Unmarshal(line, &req) == nil {
				conn.Write([]byte("{}\n"))
			}
			conn.Close()
		}
	}()
	if err := durable.WriteFile(filepath.Join(f.Run(id), addressName), []byte(path), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Client{Files: f, Who: person("m.ito", "s1")}
	if there, err := c.Ping(t.Context(), id); !there || !errors.Is(err, ErrProtocol) || len(hint.All(err)) == 0 {
		t.Errorf("there %v, error %v, advice %q", there, err, hint.All(err))
	}
	if err := c.Answer(t.Context(), id, run.Answer{}); !errors.Is(err, ErrProtocol) {
		t.Errorf("answer: %v", err)
	}
}
