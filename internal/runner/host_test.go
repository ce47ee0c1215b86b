package runner

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	h := b.drive(id, nil)
	write := b.gate(id, "write")
	for _, tt := range []struct {
		name   string
		change func(*run.Answer)
		want   string
	}{
		{"stale", func(a *run.Answer) { a.Gate-- }, "another gate"},
		{"of a gate to come", func(a *run.Answer) { a.Gate += 5 }, "another gate"},
		{"other plan", func(a *run.Answer) { a.Digest = "x" }, "something else than this plan"},
		{"verb of another gate", func(a *run.Answer) { a.Verb = run.Settle }, "not possible"},
		{"skip without a reason", func(a *run.Answer) { a.Verb = run.Skip }, "needs a reason"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.approve(write)
			tt.change(&a)
			if err := b.answer(id, a); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if got := b.effects(); got != "" {
		t.Fatalf("refused answers had effects: %q", got)
	}
	release := b.hold()
	if err := b.answer(id, b.approve(write)); err != nil {
		t.Fatal(err)
	}
	// Accepted means durable: whoever reads the journal now sees it.
	list, err := b.journal.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list, func(ev run.Event) bool {
		a, ok := ev.Body.(run.Answer)
		return ok && a.Gate == write.Seq && a.Verb == run.Approve
	}) {
		t.Error("the accepted answer is not in the journal")
	}
	b.running("once\n")
	if err := b.answer(id, b.approve(write)); err == nil || !strings.Contains(err.Error(), "not waiting") {
		t.Errorf("answer while a step runs: %v", err)
	}
	release()
	wipe := b.gate(id, "wipe")
	if err := b.answer(id, b.approve(write)); err == nil || !strings.Contains(err.Error(), "another gate") {
		t.Errorf("answer of the gate before: %v", err)
	}
	wrong := b.approve(wipe)
	wrong.Token = "thing@2"
	if err := b.answer(id, wrong); err == nil || !strings.Contains(err.Error(), "nothing has run") {
		t.Errorf("wrong token: %v", err)
	}
	if err := b.answer(id, b.approve(wipe)); err != nil {
		t.Fatal(err)
	}
	if e := b.wait(h); e.err != nil || e.run.Outcome != run.Complete {
		t.Errorf("ended %q, error %v", e.run.Outcome, e.err)
	}
	if got := b.effects(); got != "once\nthing\n" {
		t.Errorf("effects %q", got)
	}
	if err := b.answer(id, b.approve(wipe)); !errors.Is(err, ErrNoHost) {
		t.Errorf("answer after the end: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(b.files.Run(id), "*"))
	if err != nil || slices.ContainsFunc(left, func(p string) bool { return strings.HasSuffix(p, socketName) || strings.HasSuffix(p, addressName) }) {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestStopNoteProgress(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	b.drive(id, nil)
	g := b.gate(id, "write")
	write := run.Attempt{Step: "write", N: 1}
	if err := b.client.Stop(t.Context(), id, write); err == nil || !strings.Contains(err.Error(), "no step is running") {
		t.Errorf("stop at a gate: %v", err)
	}
	b.hold()
	if err := b.answer(id, b.approve(g)); err != nil {
		t.Fatal(err)
	}
	b.running("once\n")
	b.until("progress", func() bool {
		p, err := b.client.Progress(t.Context(), id)
		return err == nil && p.Step == "write" && p.Done == 3 && p.Total == 10 && p.Unit == "pages" && !p.Since.IsZero()
	})
	if err := b.as("a.chen", "s2").Note(t.Context(), id, "called the landlord"); err != nil {
		t.Fatal(err)
	}
	list, err := b.journal.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := list[len(list)-1].Body.(run.Note); !ok || n.By != "a.chen" || n.Text != "called the landlord" {
		t.Errorf("last event %+v, want the note, made durable while the step runs", list[len(list)-1])
	}
	if err := b.as("a.chen", "s2").Raise(t.Context(), id, 3, "it spreads"); err != nil {
		t.Fatal(err)
	}
	if err := b.as("a.chen", "s2").Raise(t.Context(), id, 2, "no, less"); err == nil || !strings.Contains(err.Error(), "only ever raised") {
		t.Errorf("a level was lowered: %v", err)
	}
	if r := b.fold(id); r.Level != 3 || len(r.Raised) != 1 || r.Raised[0].By != "a.chen" {
		t.Errorf("level %d, raised %+v", r.Level, r.Raised)
	}
	for _, other := range []run.Attempt{{}, {Step: "write", N: 2}} {
		if err := b.client.Stop(t.Context(), id, other); err == nil || !strings.Contains(err.Error(), "has ended, nothing was stopped") {
			t.Errorf("stop of %+v: %v", other, err)
		}
	}
	if err := b.client.Stop(t.Context(), id, write); err != nil {
		t.Fatal(err)
	}
	// What was stopped may have happened: it is in doubt, and nothing is tried again.
	if g := b.gate(id, "write"); g.Kind != run.Doubt {
		t.Errorf("gate %q after the stop, want %q", g.Kind, run.Doubt)
	}
	if got := b.effects(); got != "once\n" {
		t.Errorf("effects %q", got)
	}
}

func TestSecondHostIsBusy(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	b.drive(id, nil)
	b.gate(id, "write")
	_, err := NewHost(b.files, id, "somebody else")
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "m.ito on rescue-01, process 4711") {
		t.Errorf("error %v, want %v with the note of the first", err, ErrBusy)
	}
	if all := hint.All(err); len(all) != 1 || !strings.Contains(all[0], "lifeboat attach "+id.Short()) {
		t.Errorf("advice %q", all)
	}
	if there, err := b.client.Ping(t.Context(), id); !there || err != nil {
		t.Error("the first host does not answer after the second one was refused")
	}
	other := b.begin()
	h, err := NewHost(b.files, other, "x")
	if err != nil {
		t.Fatalf("a host for another run: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestKilledHost(t *testing.T) {
	t.Parallel()
	for _, deep := range []bool{false, true} {
		dir := t.TempDir()
		if deep {
			dir = filepath.Join(dir, strings.Repeat("deep/", 20))
		}
		b := newBench(t, dir)
		id := b.begin()
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "LIFEBOAT_RUNNER_HOST="+b.dir, "LIFEBOAT_RUNNER_RUN="+string(id))
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { child.Process.Kill(); child.Wait() })
		b.hold()
		if err := b.answer(id, b.approve(b.gate(id, "write"))); err != nil {
			t.Fatal(err)
		}
		b.running("once\n")
		old, err := os.ReadFile(filepath.Join(b.files.Run(id), addressName))
		if err != nil {
			t.Fatal(err)
		}
		if tmp := filepath.Dir(string(old)) != b.files.Run(id); tmp != deep || len(old) > maxSocketPath {
			t.Errorf("socket at %q", old)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		child.Wait() // killed; the error says so

		if _, err := b.client.Progress(t.Context(), id); !errors.Is(err, ErrNoHost) {
			t.Errorf("after the kill: %v, want %v", err, ErrNoHost)
		}
		b.drive(id, nil) // the lock is free
		g := b.gate(id, "write")
		if g.Kind != run.Doubt {
			t.Errorf("gate %q, want %q", g.Kind, run.Doubt)
		}
		if deep {
			if _, err := os.Stat(filepath.Dir(string(old))); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket directory of the killed host is left: %v", err)
			}
		}
		if err := b.answer(id, run.Answer{Gate: g.Seq, Verb: run.Settle, By: "m.ito"}); err != nil {
			t.Fatal(err)
		}
		b.gate(id, "wipe")
		if got := b.effects(); got != "once\n" {
			t.Errorf("effects %q, want one", got)
		}
	}
}

// TestNonsense sends what is no request. Whoever does it is told once and dropped, and
// the run and the others do not notice.
func TestNonsense(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	b.drive(id, nil)
	g := b.gate(id, "write")
	for _, tt := range []struct{ name, send, want string }{
		{"no JSON", "hello\n", "not understood"},
		{"empty line", "\n", "not understood"},
		{"other types", `{"verb":7}` + "\n", "not understood"},
		{"NUL", "\x00\x00\n", "not understood"},
		{"unknown verb", `{"v":3,"verb":"format"}` + "\n", `"format" is not known`},
		{"no verb", `{"v":3}` + "\n", "is not known"},
		{"no version", `{"verb":"ping"}` + "\n", "this console speaks protocol 1, the process that hosts the run speaks 3"},
		{"a version to come", `{"v":4,"verb":"ping"}` + "\n", "this console speaks protocol 4"},
		{"no answer", `{"v":3,"verb":"answer","who":{"by":"m.ito","session":"s1"}}` + "\n", "no answer in the request"},
		{"empty answer", `{"v":3,"verb":"answer","answer":{},"who":{"by":"m.ito","session":"s1"}}` + "\n", "another gate"},
		{"answer of nobody", `{"v":3,"verb":"answer","answer":{}}` + "\n", "m.ito drives this run"},
		{"oversized", `{"verb":"note","text":"` + strings.Repeat("x", maxMessage) + `"}` + "\n", "longer than"},
		{"oversized without an end", strings.Repeat("x", maxMessage+4096), "longer than"},
		{"half a request", `{"verb":"ping"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := b.dial(id)
			defer conn.Close()
			// The host may hang up before it has read everything.
			if _, err := conn.Write([]byte(tt.send)); err != nil && tt.want != "longer than" {
				t.Fatal(err)
			}
			if tt.want == "" {
				return // and hangs up in the middle
			}
			var rep reply
			line, err := bufio.NewReader(conn).ReadBytes('\n')
			if len(line) == 0 && tt.want == "longer than" {
				return // the reply is lost when the host resets a connection with unread input
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(line, &rep); err != nil || !strings.Contains(rep.Error, tt.want) {
				t.Errorf("reply %q (%v), want %q", line, err, tt.want)
			}
		})
	}
	if err := b.answer(id, b.approve(g)); err != nil {
		t.Errorf("a good answer after the nonsense: %v", err)
	}
}

func (b *bench) dial(id run.ID) net.Conn {
	b.t.Helper()
	path, err := os.ReadFile(filepath.Join(b.files.Run(id), addressName))
	if err != nil {
		b.t.Fatal(err)
	}
	conn, err := net.Dial("unix", string(path))
	if err != nil {
		b.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// TestManyClients lets fifty people answer one gate at once, while others only look:
// one answer counts.
func TestManyClients(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	b.drive(id, nil)
	g := b.gate(id, "write")
	idle := b.dial(id) // says nothing, and holds up nobody
	defer idle.Close()
	var wg sync.WaitGroup
	accepted := make(chan error, 50)
	for range cap(accepted) {
		wg.Go(func() {
			b.client.Ping(t.Context(), id)
			accepted <- b.answer(id, b.approve(g))
		})
	}
	wg.Wait()
	close(accepted)
	n := 0
	for err := range accepted {
		if err == nil {
			n++
		}
	}
	b.gate(id, "wipe")
	if got := b.effects(); n != 1 || got != "once\n" {
		t.Errorf("%d answers accepted, effects %q", n, got)
	}
}

func TestIdleHostLeaves(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	const limit = 300 * time.Millisecond
	h := b.drive(id, func(h *Host, _ *engine.Config) { h.idle = limit })
	b.gate(id, "write")
	// Somebody who looks is somebody.
	looking := time.Now().Add(3 * limit)
	tick := time.NewTicker(limit / 10)
	defer tick.Stop()
	for now := range tick.C {
		if now.After(looking) {
			break
		}
		if _, err := b.client.Progress(t.Context(), id); err != nil {
			t.Fatalf("the host left while somebody was looking: %v", err)
		}
	}
	if e := b.wait(h); !errors.Is(e.err, engine.ErrLeft) {
		t.Errorf("ended with %v, want %v", e.err, engine.ErrLeft)
	}
	r := b.fold(id)
	if !r.Open() || r.Gate == nil || b.effects() != "" {
		t.Errorf("after the host left: open %v, gate %v, effects %q", r.Open(), r.Gate, b.effects())
	}
	b.drive(id, nil)
	b.gate(id, "write")
}
