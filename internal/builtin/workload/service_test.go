package workload_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin/workload"
	"lifeboat/internal/hint"
)

// daemon is an application outside of a cluster: a file says whether it runs.
type daemon struct {
	t    *testing.T
	path string
	app  workload.App
}

func newDaemon(t *testing.T) *daemon {
	dir := t.TempDir()
	d := &daemon{t: t, path: filepath.Join(dir, "running")}
	d.app = workload.App{Name: "queue", Stop: d.script("stop", "rm "+d.path), Start: d.script("start", "touch "+d.path), Status: d.script("status", "test -e "+d.path)}
	d.set(true)
	return d
}

// script makes a program that counts its calls.
func (d *daemon) script(name, text string) []string {
	d.t.Helper()
	path := filepath.Join(filepath.Dir(d.path), name)
	write(d.t, path, "#!/bin/sh\necho x >>"+path+".calls\n"+text+"\n")
	return []string{path}
}

func (d *daemon) calls(name string) int {
	text, _ := os.ReadFile(filepath.Join(filepath.Dir(d.path), name+".calls"))
	return strings.Count(string(text), "x")
}

func (d *daemon) set(running bool) {
	d.t.Helper()
	var err error
	if running {
		err = os.WriteFile(d.path, nil, 0o600)
	} else {
		err = os.Remove(d.path)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) runs() bool {
	_, err := os.Stat(d.path)
	return err == nil
}

func TestService(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !d.runs() {
			http.Error(w, "down", http.StatusServiceUnavailable)
		}
	}))
	defer health.Close()
	d.app.Health = health.URL
	r := newRig(t, "", d.app)
	stop, start := r.call("service.stop", map[string]any{"app": "queue"}), r.call("service.start", map[string]any{"app": "queue", "for": "5s"})

	p := r.plan(stop)
	if p.Effect != action.Destroy || p.Token != "queue@running" || len(p.Opens) != 1 || p.Opens[0].Within != time.Hour || !strings.Contains(p.Opens[0].Text, d.app.Start[0]) {
		t.Errorf("plan %+v", p)
	}
	if d.calls("stop") != 0 {
		t.Error("planning stopped it")
	}
	res, err := stop.Run(t.Context(), r.env, p)
	if err != nil || d.runs() || res.Evidence != "queue is stopped" {
		t.Fatalf("%v %+v", err, res)
	}
	if again := r.plan(stop); !again.Nothing || len(again.Opens) != 0 {
		t.Errorf("again %+v", again)
	}
	if probe, err := stop.Probe(t.Context(), r.env, p); err != nil || probe.Finding != action.Applied {
		t.Errorf("probe %+v, %v", probe, err)
	}
	undo, err := stop.PlanUndo(t.Context(), r.env, p, res)
	if err != nil || undo.Effect != action.Write {
		t.Fatalf("undo %+v, %v", undo, err)
	}
	if _, err := stop.RunUndo(t.Context(), r.env, undo, p, res); err != nil || !d.runs() {
		t.Fatalf("undo: %v", err)
	}

	if p = r.plan(stop); p.Nothing {
		t.Fatal("it runs, and the plan says it does not")
	}
	if _, err := stop.Run(t.Context(), r.env, p); err != nil {
		t.Fatal(err)
	}
	p2 := r.plan(start)
	if p2.Effect != action.Write || len(p2.Closes) != 1 || p2.Closes[0] != p.Opens[0].ID || !tells(p2, health.URL) {
		t.Errorf("plan %+v", p2)
	}
	res, err = start.Run(t.Context(), r.env, p2)
	if err != nil || !d.runs() || len(res.Checks) != 1 || !res.Checks[0].OK {
		t.Fatalf("%v %+v", err, res)
	}
	if undo, err := start.PlanUndo(t.Context(), r.env, p2, res); err != nil || undo.Effect != action.Destroy || undo.Token == "" {
		t.Errorf("undo of a start: %+v, %v", undo, err)
	}
}

// TestServiceFaults makes the programs fail: without an effect, and although they had one.
func TestServiceFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stop  func(d *daemon) []string
		want  error // nil: it succeeded
		says  string
		probe action.Finding
	}{
		"failed":                 {func(d *daemon) []string { return d.script("stop", "echo no right >&2; exit 5") }, errPlain, "still running", action.NotApplied},
		"failed, and is stopped": {func(d *daemon) []string { return d.script("stop", "rm "+d.path+"; exit 5") }, nil, "although its program ended badly", action.Applied},
		"said ok, and runs":      {func(d *daemon) []string { return d.script("stop", "") }, action.ErrCheck, "still running", action.NotApplied},
		"killed":                 {func(d *daemon) []string { return d.script("stop", "kill -9 $$") }, action.ErrUnclear, "SIGKILL", action.NotApplied},
		"missing":                {func(*daemon) []string { return []string{"/nowhere/stop"} }, errPlain, "not found", action.NotApplied},
		"ends later":             {func(d *daemon) []string { return d.script("stop", "(sleep 1; rm "+d.path+") >/dev/null 2>&1 &") }, nil, "queue is stopped", action.Applied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t)
			d.app.Stop = tt.stop(d)
			r := newRig(t, "", d.app)
			c := r.call("service.stop", map[string]any{"app": "queue", "for": "6s"})
			p := r.plan(c)
			res, err := c.Run(t.Context(), r.env, p)
			if (tt.want == nil) != (err == nil) || errors.Is(tt.want, action.ErrUnclear) != errors.Is(err, action.ErrUnclear) || errors.Is(tt.want, action.ErrCheck) != errors.Is(err, action.ErrCheck) {
				t.Fatalf("%v %+v", err, res)
			}
			if told := len(res.Checks) > 0 && !res.Checks[len(res.Checks)-1].OK; told != errors.Is(err, action.ErrCheck) {
				t.Errorf("what was told to stop and may do so later is not on record: %+v", res) // as something to take back
			}
			if text := fmt.Sprint(err, res.Evidence); !strings.Contains(text, tt.says) {
				t.Errorf("%q does not say %q", text, tt.says)
			}
			if probe, err := c.Probe(t.Context(), r.env, p); err != nil || probe.Finding != tt.probe {
				t.Errorf("probe %+v, %v", probe, err)
			}
		})
	}
}

func TestServiceStopped(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	began := filepath.Join(t.TempDir(), "began")
	d.app.Stop = d.script("stop", "touch "+began+"; sleep 20")
	r := newRig(t, "", d.app)
	c := r.call("service.stop", map[string]any{"app": "queue"})
	p := r.plan(c)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := os.Stat(began); err == nil {
				return
			}
		}
	}()
	if _, err := c.Run(ctx, r.env, p); !errors.Is(err, action.ErrUnclear) {
		t.Errorf("stopped in the middle: %v", err)
	}
}

func TestServiceChanged(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	r := newRig(t, "", d.app)
	c := r.call("service.stop", map[string]any{"app": "queue"})
	p := r.plan(c)
	d.set(false)
	if _, err := c.Run(t.Context(), r.env, p); !errors.Is(err, action.ErrChanged) || d.calls("stop") != 0 {
		t.Errorf("%v", err)
	}
	for _, script := range []string{"exit 7", "kill -9 $$", "exit 2", "exit 4", "exec pgrep --nonsense", "exec sh /nowhere/status"} { // an answer that means neither
		d.app.Status = d.script("status", script)
		r = newRig(t, "", d.app)
		if _, err := r.call("service.stop", map[string]any{"app": "queue"}).Plan(t.Context(), r.env); err == nil || !strings.Contains(strings.Join(hint.All(err), ""), "must end with 0") {
			t.Errorf("%s: %v %q", script, err, hint.All(err))
		}
	}
}

// TestServiceUnhealthy: it runs, and does not work.
func TestServiceUnhealthy(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.set(false)
	var asked atomic.Int64
	health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "no database \x1b[2J", http.StatusServiceUnavailable)
	}))
	defer health.Close()
	d.app.Health = health.URL
	r := newRig(t, "", d.app)
	c := r.call("service.start", map[string]any{"app": "queue", "for": "1s"})
	res, err := c.Run(t.Context(), r.env, r.plan(c))
	if err != nil || len(res.Checks) != 1 || res.Checks[0].OK || !strings.Contains(res.Checks[0].Evidence, "503 Service Unavailable: no database") || strings.Contains(res.Checks[0].Evidence, "\x1b") || asked.Load() < 2 {
		t.Errorf("%v %+v", err, res)
	}

	// In a drill nobody but the sandbox is asked.
	r.env.Fence = func(target string) error { return fmt.Errorf("%w: %q", action.ErrRefused, target) }
	n := asked.Load()
	if _, err := c.Plan(t.Context(), r.env); !errors.Is(err, action.ErrRefused) || asked.Load() != n {
		t.Errorf("%v", err)
	}
}

// TestServiceElsewhere: the application is stopped here, and somebody still answers for it.
func TestServiceElsewhere(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	health := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer health.Close()
	d.app.Health = health.URL
	r := newRig(t, "", d.app)
	c := r.call("service.stop", map[string]any{"app": "queue", "for": "1s"})
	res, err := c.Run(t.Context(), r.env, r.plan(c))
	if err != nil || len(res.Checks) != 1 || res.Checks[0].OK || !strings.Contains(res.Checks[0].Evidence, "somebody else serves it") {
		t.Errorf("%v %+v", err, res)
	}
	if res, err := c.Run(t.Context(), r.env, r.plan(c)); err != nil || len(res.Checks) != 1 || res.Checks[0].OK { // its status says that it is stopped
		t.Errorf("%v %+v", err, res)
	}
}

// TestServiceFlaps: a health page that answers now and then is no application that works,
// and what stands before a stopped one may take a moment to notice.
func TestServiceFlaps(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.set(false)
	var asked atomic.Int64
	var failing func(n int64) bool
	health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if failing(asked.Add(1)) {
			http.Error(w, "no upstream", http.StatusBadGateway)
		}
	}))
	defer health.Close()
	d.app.Health = health.URL
	r := newRig(t, "", d.app)
	r.env.Drill = true
	start, stop := r.call("service.start", map[string]any{"app": "queue", "for": "2s"}), r.call("service.stop", map[string]any{"app": "queue", "for": "10s"})
	failing = func(n int64) bool { return n%3 == 0 } // twice in a row it answers
	res, err := start.Run(t.Context(), r.env, r.plan(start))
	if err != nil || len(res.Checks) != 1 || res.Checks[0].OK || !strings.Contains(res.Checks[0].Evidence, "now and then") {
		t.Errorf("%v %+v", err, res)
	}
	asked.Store(0)
	failing = func(n int64) bool { return n < 4 }
	res, err = start.Run(t.Context(), r.env, r.plan(start))
	if err != nil || len(res.Checks) != 1 || !res.Checks[0].OK || asked.Load() != 6 || !strings.Contains(res.Checks[0].Evidence, "3 times in a row") {
		t.Errorf("%v %+v, asked %d times", err, res, asked.Load())
	}
	asked.Store(0)
	failing = func(n int64) bool { return n > 3 }
	res, err = stop.Run(t.Context(), r.env, r.plan(stop))
	if err != nil || len(res.Checks) != 1 || !res.Checks[0].OK || asked.Load() != 4 {
		t.Errorf("%v %+v, asked %d times", err, res, asked.Load())
	}
}

// TestServiceForks: a start program that leaves the application in the background with its
// own output: that goes on working when the program has ended and the step is over.
func TestServiceForks(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.set(false)
	ticks := d.path + ".ticks"
	d.app.Start = d.script("start", "echo it begins\ntouch "+d.path+"\nwhile test -e "+d.path+"; do echo tick || exit; echo t >>"+ticks+"; sleep 0.05; done &")
	r := newRig(t, "", d.app)
	c := r.call("service.start", map[string]any{"app": "queue"})
	if _, err := c.Run(t.Context(), r.env, r.plan(c)); err != nil || !strings.Contains(r.log.String(), "it begins") {
		t.Fatalf("%v\n%s", err, r.log)
	}
	size := func() int64 {
		info, err := os.Stat(ticks)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	tick, late := time.NewTicker(20*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for from := size(); size() < from+10; {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the application has died with its start program")
		}
	}
	d.set(false)
}

// TestServiceInForeground: a start program that is the application never ends.
func TestServiceInForeground(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.set(false)
	d.app.Start = d.script("start", "trap 'rm -f "+d.path+"; exit 0' INT TERM\ntouch "+d.path+"\nwhile :; do sleep 0.1; done")
	r := newRig(t, "", d.app)
	c := r.call("service.start", map[string]any{"app": "queue", "for": "1s"})
	p := r.plan(c)
	if _, err := c.Run(t.Context(), r.env, p); !errors.Is(err, action.ErrUnclear) || !strings.Contains(strings.Join(hint.All(err), ""), "running in the background and to end") {
		t.Errorf("%v %q", err, hint.All(err))
	}
	if probe, err := c.Probe(t.Context(), r.env, p); err != nil || probe.Finding != action.NotApplied {
		t.Errorf("%+v, %v", probe, err)
	}
}

// TestServiceInCluster: the same two actions on a Deployment.
func TestServiceInCluster(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := newRig(t, s.kubectl(), workload.App{Name: "booking", Deployment: "booking-app"})
	stop := r.call("service.stop", map[string]any{"app": "booking"})
	p := r.plan(stop)
	if p.Token != "booking-app@3" || len(p.Opens) != 1 || !tells(p, "and waits for it") {
		t.Errorf("plan %+v", p)
	}
	res, err := stop.Run(t.Context(), r.env, p)
	if err != nil || s.replicas != 0 || res.Outputs["replicas"] != int64(3) || !strings.Contains(res.Evidence, "no pod of shop/booking-app in test is left") {
		t.Fatalf("%v %+v", err, res)
	}
	r.env.Debts = p.Opens
	start := r.call("service.start", map[string]any{"app": "booking", "for": "1s"})
	p = r.plan(start)
	if len(p.Closes) != 1 || !tells(p, "from 0 to 3") {
		t.Errorf("plan %+v", p)
	}
	res, err = start.Run(t.Context(), r.env, p)
	if err != nil || s.replicas != 3 || !strings.Contains(res.Evidence, "3 of 3 replicas") {
		t.Fatalf("%v %+v", err, res)
	}
	undo, err := start.PlanUndo(t.Context(), r.env, p, res)
	if err != nil || undo.Effect != action.Destroy || !tells(undo, "from 3 to 0") {
		t.Fatalf("%v %+v", err, undo)
	}

	// Nothing is owed any more, and whoever has started it by hand has done no harm.
	r.env.Debts = nil
	if p := r.plan(start); !p.Nothing || !tells(p, "has 3 replicas already") {
		t.Errorf("plan %+v", p)
	}

	// The pods do not come: the number stays, the step fails with the reason.
	s.mu.Lock()
	s.ready = 0
	s.mu.Unlock()
	res, err = start.Run(t.Context(), r.env, r.plan(r.call("service.start", map[string]any{"app": "booking", "for": "1s"})))
	if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "it is scaled to 3, and not there yet") {
		t.Errorf("%v", err)
	}
	if len(res.Checks) != 1 || res.Checks[0].OK {
		t.Errorf("it does not say that the number stays: %+v", res)
	}
}
