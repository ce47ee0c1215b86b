package live_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/sandbox/live"
)

// TestMain makes this test binary the program that a sandbox starts.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || !strings.HasPrefix(os.Args[1], "sandbox-") {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := be(ctx, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func be(ctx context.Context, what string, args []string) error {
	s, err := sandbox.Open(args[0])
	if err != nil {
		return err
	}
	if what == "sandbox-live" {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		return live.Serve(ctx, s, exe)
	}
	l, err := s.Listen(args[1] + ".sock")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return s.Book(ctx, l, args[1])
}

// stage is a sandbox with a visitor.
type stage struct {
	*sandbox.Sandbox
	t      *testing.T
	exe    string
	client *http.Client
}

// newStage makes a sandbox at a path that is too long for a socket address.
func newStage(t *testing.T) *stage {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30), "it's a \"sandbox\"")
	sb, err := sandbox.Make(t.Context(), dir, sandbox.Options{Commits: 60, Customers: 50, Appointments: 100})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Sandbox: sb, t: t, exe: exe, client: &http.Client{Transport: sb.Transport(), Timeout: 20 * time.Second}}
	t.Cleanup(func() { s.until("the end of every process", func() bool { return len(s.processes("")) == 0 }) })
	return s
}

func (s *stage) enter() *sandbox.Visit {
	s.t.Helper()
	v, err := s.Enter(s.t.Context(), s.exe)
	if err != nil {
		s.t.Fatal(err)
	}
	var once sync.Once
	s.t.Cleanup(func() { once.Do(func() { v.Leave() }) })
	return v
}

func (s *stage) until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.After(40 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			log, _ := os.ReadFile(s.Runtime("log"))
			s.t.Fatalf("waited for %s; processes %v; log:\n%s", what, s.processes(""), log)
		}
	}
}

// processes lists those of this sandbox whose command begins with kind, from the kernel.
func (s *stage) processes(kind string) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		args := strings.Split(string(line), "\x00")
		if err == nil && len(args) > 2 && strings.HasPrefix(args[1], "sandbox-"+kind) && args[2] == s.Dir() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// get asks a host of the sandbox.
func (s *stage) get(url string) (int, string) {
	s.t.Helper()
	resp, err := s.client.Get(url)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// kubectl calls that of the sandbox and requires its exit code.
func (s *stage) kubectl(want int, args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	if got := live.Kubectl(s.t.Context(), s.Sandbox, args, strings.NewReader("input\n"), &out, &out); got != want {
		s.t.Fatalf("kubectl %q: exit %d, want %d\n%s", args, got, want, &out)
	}
	return out.String()
}

// ready waits until so many replicas serve.
func (s *stage) ready(n int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d replicas", n), func() bool {
		text, err := s.Ask(s.t.Context(), http.MethodGet, "/deployments")
		var d []struct {
			Status struct{ ReadyReplicas, Replicas int }
		}
		return err == nil && json.Unmarshal(text, &d) == nil && d[0].Status.ReadyReplicas == n && d[0].Status.Replicas == n
	})
}

// newest is the newest appointment that the app has told of.
func (s *stage) newest() int {
	s.t.Helper()
	var said struct {
		Newest int `json:"newest_appointment"`
	}
	s.until("health", func() bool {
		status, body := s.get("http://booking.sandbox/health")
		return status == 200 && json.Unmarshal([]byte(body), &said) == nil && said.Newest > 0
	})
	return said.Newest
}

func (s *stage) sound() {
	s.t.Helper()
	v, err := s.Judge(s.t.Context())
	if err != nil || !v.Recovered {
		s.t.Errorf("the oracle: %v %+v", err, v)
	}
}

// stopped is sound, but for the replicas that the app had.
func (s *stage) stopped() {
	s.t.Helper()
	v, err := s.Judge(s.t.Context())
	if err != nil || v.Recovered {
		s.t.Errorf("the oracle: %v %+v", err, v)
	}
	for _, c := range v.Checks {
		if c.OK == strings.Contains(c.Text, "the replicas that it had") {
			s.t.Errorf("the oracle: %+v", c)
		}
	}
}

func TestLives(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := s.enter()
	second := s.enter() // as the host of a run beside the console
	s.ready(sandbox.Replicas)
	if n := len(s.processes("live")); n != 1 {
		t.Errorf("%d processes keep it alive", n)
	}
	pods := map[string]bool{}
	for range 10 {
		var said struct{ Pod string }
		if status, body := s.get("http://booking.sandbox/health"); status == 200 && json.Unmarshal([]byte(body), &said) == nil {
			pods[said.Pod] = true
		}
	}
	if len(pods) != sandbox.Replicas {
		t.Errorf("served by %v", pods)
	}
	before := s.newest()
	s.until("bookings", func() bool { return s.newest() > before })
	for url, want := range map[string]int{
		"http://booking.sandbox/appointments?limit=3": 200, "http://booking.sandbox/appointments?limit=x": 400,
		"http://booking.sandbox/appointments?date=x": 400, "http://booking.sandbox/nothing": 404, "http://forge.sandbox/nothing": 401,
	} {
		if status, body := s.get(url); status != want || want == 200 && strings.Count(body, "starts_at") != 3 {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
	if err := v.Leave(); err != nil {
		t.Fatal(err)
	}
	s.newest() // the other visitor is still there
	if err := second.Leave(); err != nil {
		t.Fatal(err)
	}
	s.until("the end of every process", func() bool { return len(s.processes("")) == 0 })
	s.sound()

	s.enter()
	s.ready(sandbox.Replicas)
}

// TestScales: at 0 nobody holds the database, and the number outlives every process.
func TestScales(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.enter()
	s.ready(sandbox.Replicas)
	for _, bad := range [][]string{
		{"scale", "deployment/booking-app", "--replicas=0", "--current-replicas=2"},
		{"scale", "deployment/booking-app", "--replicas=0", "--resource-version=1"},
		{"scale", "deployment/booking-app", "--replicas=-1"},
		{"scale", "deployment/booking-app", "--replicas=99"},
		{"scale", "deployment/other", "--replicas=0"},
		{"scale", "deployment/booking-app", "--replicas=0", "--namespace=other"},
		{"get", "deployment/booking-app", "--context=production", "-o", "json"},
		{"delete", "deployment/booking-app"},
		{"exec", "deployment/booking-app"},
	} {
		if out := s.kubectl(1, bad...); !strings.Contains(strings.ToLower(out), "error") {
			t.Errorf("%q says %q", bad, out)
		}
	}
	if out := s.kubectl(1, "scale", "deploy", "booking-app", "--replicas=0", "--current-replicas=2"); out != "error: Expected replicas to be 2, was 3\n" {
		t.Errorf("it says %q", out)
	}
	newest := s.newest()
	if out := s.kubectl(0, "scale", "deployment", "booking-app", "--replicas=0", "--current-replicas=3"); out != "deployment.apps/booking-app scaled\n" {
		t.Errorf("it says %q", out)
	}
	s.kubectl(0, "wait", "--for=delete", "pod", "--selector=app=booking-app", "--timeout=20s")
	if out := s.kubectl(0, "get", "pods"); !strings.HasPrefix(out, "No resources") {
		t.Errorf("after the wait for their end: %s", out)
	}
	if n := s.processes("app"); len(n) != 0 {
		t.Errorf("replicas %v", n)
	}
	for _, fd := range globs(t, "/proc/[0-9]*/fd/*") {
		if to, err := os.Readlink(fd); err == nil && to == s.Database() {
			t.Errorf("%s holds the database", fd)
		}
	}
	if status, body := s.get("http://booking.sandbox/health"); status != 503 || !strings.Contains(body, "no endpoints") {
		t.Errorf("%d %s", status, body)
	}
	s.kubectl(1, "exec", "deployment/booking-app", "--", "true")
	s.stopped()
	kill(t, s.processes("live"), syscall.SIGKILL)
	s.ready(0)
	s.kubectl(0, "scale", "deployment/booking-app", "--replicas=2", "--timeout=5s")
	if out := s.kubectl(0, "rollout", "status", "deployment/booking-app"); !strings.Contains(out, "successfully rolled out") {
		t.Errorf("it says %q", out)
	}
	s.kubectl(0, "wait", "--for=condition=Available", "deployment/booking-app", "--timeout=20s")
	if now := s.newest(); now < newest {
		t.Errorf("the newest appointment was %d, and is %d: one that was told of is lost", newest, now)
	}
	if out := s.kubectl(0, "exec", "-i", "deployment/booking-app", "--", "cat"); out != "input\n" {
		t.Errorf("exec: %q", out)
	}
	if out := s.kubectl(7, "exec", "deployment/booking-app", "--", "sh", "-c", "command -v kubectl; exit 7"); !strings.HasPrefix(out, s.Bin()) || !strings.Contains(out, "exit code 7") {
		t.Errorf("exec: %q", out)
	}
	s.ready(2)
}

// TestKubectlSpeaks compares what the kubectl of a sandbox says with what the real one said
// to a real API server (v1.32 and v1.34), byte for byte. All of it goes to one stream here.
func TestKubectlSpeaks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.enter()
	s.ready(sandbox.Replicas)
	const usage = "\nSee 'kubectl %s --help' for usage.\n"
	for _, tt := range []struct {
		args string
		exit int
		says string
	}{
		{"scale deployment/booking-app --current-replicas=2 --replicas=0", 1, "error: Expected replicas to be 2, was 3\n"},
		{"scale deployment/booking-app --resource-version=1 --replicas=0", 1, "error: Expected resource version to be 1, was 1001\n"},
		{"scale deployment/booking-app --current-replicas=3 --replicas=3", 0, "deployment.apps/booking-app scaled\n"},
		{"--request-timeout=20s --context=sandbox --namespace=default scale deploy booking-app --replicas=3", 0, "deployment.apps/booking-app scaled\n"},
		{"scale deployment/booking-app", 1, "error: required flag(s) \"replicas\" not set\n"},
		{"scale deployment/booking-app --replicas=-2", 1, "error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0\n"},
		{"scale deployment/booking-app --replicas=x", 1, `Error: invalid argument "x" for "--replicas" flag: strconv.ParseInt: parsing "x": invalid syntax` + fmt.Sprintf(usage, "scale")},
		{"scale deployment --replicas=0", 1, "error: resource(s) were provided, but no name was specified\n"},
		{"scale deployment/nope --current-replicas=3 --replicas=0", 1, "error: no objects passed to scale deployments.apps \"nope\" not found\n"},
		{"scale statefulset/booking-app --replicas=0", 1, "error: no objects passed to scale statefulsets.apps \"booking-app\" not found\n"},
		{"scale deployment/booking-app --replicas=0 --namespace=nowhere", 1, "error: no objects passed to scale namespaces \"nowhere\" not found\n"},
		{"scale deployment/booking-app --replicas=0 --context=nope", 1, "Error in configuration: context was not found for specified context: nope\n"},
		{"scale deployment/booking-app --replicas=0 --dry-run=server", 1, "Error: unknown flag: --dry-run" + fmt.Sprintf(usage, "scale")}, // which the real one knows, and which must not scale here
		{"scale deployment/booking-app --replicas=0 --bogus", 1, "Error: unknown flag: --bogus" + fmt.Sprintf(usage, "scale")},
		{"get deployment/nope --output=json", 1, "Error from server (NotFound): deployments.apps \"nope\" not found\n"},
		{"get statefulset/booking-app --output=name", 1, "Error from server (NotFound): statefulsets.apps \"booking-app\" not found\n"},
		{"get deployment/booking-app --output=json -n nowhere", 1, "Error from server (NotFound): namespaces \"nowhere\" not found\n"},
		{"get pod nope", 1, "Error from server (NotFound): pods \"nope\" not found\n"},
		{"get nosuch", 1, "error: the server doesn't have a resource type \"nosuch\"\n"},
		{"get deployments -o name", 0, "deployment.apps/booking-app\n"},
		{"get pods --selector=app=none", 0, "No resources found in default namespace.\n"},
		{"get pods --namespace=nowhere", 0, "No resources found in nowhere namespace.\n"},
		{"get horizontalpodautoscalers --output=json", 0, "{\n    \"apiVersion\": \"v1\",\n    \"items\": [],\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n"},
		{"get -x pods", 1, "Error: unknown shorthand flag: 'x' in -x" + fmt.Sprintf(usage, "get")},
		{"get deployment booking-app -o", 1, "Error: flag needs an argument: 'o' in -o" + fmt.Sprintf(usage, "get")},
		{"config current-context", 0, "sandbox\n"},
		{"rollout status deployment/booking-app --timeout=5s", 0, "deployment \"booking-app\" successfully rolled out\n"},
		{"rollout status deployment/booking-app --timeout=x", 1, `Error: invalid argument "x" for "--timeout" flag: time: invalid duration "x"` + fmt.Sprintf(usage, "rollout status")},
		{"wait --for=condition=available deployment/booking-app --timeout=5s", 0, "deployment.apps/booking-app condition met\n"},
		{"wait --for=delete pod --selector=app=none --timeout=2s", 0, ""},
		{"exec deployment/booking-app", 1, "error: you must specify at least one command for the container\n"},
		{"exec deployment/nope -- true", 1, "Error from server (NotFound): deployments.apps \"nope\" not found\n"},
	} {
		if out := s.kubectl(tt.exit, strings.Fields(tt.args)...); out != tt.says {
			t.Errorf("kubectl %s says\n%q, not\n%q", tt.args, out, tt.says)
		}
	}
	for args, want := range map[string]string{
		"get deployment booking-app":          `^NAME          READY   UP-TO-DATE   AVAILABLE   AGE\nbooking-app   3/3     3            3           \d+s\n$`,
		"get pods --selector=app=booking-app": `^NAME                READY   STATUS    RESTARTS   AGE\n(booking-app-\w{5}   1/1     Running   0          \d+s\n){3}$`,
	} {
		if out := s.kubectl(0, strings.Fields(args)...); !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("kubectl %s says\n%s", args, out)
		}
	}
	s.kubectl(0, "scale", "deployment/booking-app", "--replicas=2")
	if out := s.kubectl(1, "wait", "--for=delete", "pod", "--selector=app=booking-app", "--timeout=1s"); !strings.HasPrefix(out, "pod/booking-app-") && !strings.HasPrefix(out, "error: timed out waiting for the condition on pods/booking-app-") {
		t.Errorf("it says %q", out)
	}
}

func globs(t *testing.T, pattern string) []string {
	out, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func kill(t *testing.T, pids []int, sig syscall.Signal) {
	t.Helper()
	if len(pids) == 0 {
		t.Fatal("there is nobody to kill")
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

func overlap(a, b []int) bool {
	return slices.ContainsFunc(a, func(pid int) bool { return slices.Contains(b, pid) })
}

// TestKilled kills whatever can be killed: nothing that was told of is lost, nobody stays
// behind, and as many replicas come back.
func TestKilled(t *testing.T) {
	t.Parallel()
	for what, sig := range map[string]syscall.Signal{"live": syscall.SIGKILL, "app": syscall.SIGKILL, "app and term": syscall.SIGTERM, "": syscall.SIGKILL} {
		t.Run("kill "+what, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.enter()
			s.ready(sandbox.Replicas)
			newest := s.newest()
			old := s.processes("")
			kind, _, _ := strings.Cut(what, " ")
			kill(t, s.processes(kind), sig)
			s.until("the end of what was killed and of its children", func() bool {
				return !overlap(s.processes("app"), old) && (kind == "app" || !overlap(s.processes("live"), old))
			})
			s.ready(sandbox.Replicas)
			s.until("one process and its children", func() bool {
				return len(s.processes("live")) == 1 && len(s.processes("app")) == sandbox.Replicas
			})
			if now := s.newest(); now < newest {
				t.Errorf("the newest appointment was %d, and is %d", newest, now)
			}
			s.sound()
		})
	}
}

// TestEndsWithItsSandbox: nothing runs on in a sandbox that is gone, and a visit goes on in
// the one that took its place.
func TestEndsWithItsSandbox(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.enter()
	s.ready(sandbox.Replicas)
	s.kubectl(0, "scale", "deployment/booking-app", "--replicas=1")
	old := s.processes("")
	fresh, err := s.Reset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Sandbox = fresh
	s.until("the end of the old processes", func() bool { return !overlap(s.processes(""), old) })
	s.ready(sandbox.Replicas)
	s.enter()
	s.newest()
	if err := fresh.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := globs(t, filepath.Join(filepath.Dir(s.Dir()), ".*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	s.until("the end of every process", func() bool { return len(s.processes("")) == 0 })
	if _, err := fresh.Enter(t.Context(), s.exe); !errors.Is(err, sandbox.ErrNone) {
		t.Errorf("entered a sandbox that is gone: %v", err)
	}
}

// TestNotReady: a replica that cannot read or write says why.
func TestNotReady(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.enter()
	s.ready(sandbox.Replicas)
	if err := os.Rename(s.Database(), s.Database()+".away"); err != nil {
		t.Fatal(err)
	}
	s.ready2("a reason", func(text string) bool {
		return strings.Contains(text, "Readiness probe failed") && strings.Contains(text, "503")
	})
	if err := os.Rename(s.Database()+".away", s.Database()); err != nil {
		t.Fatal(err)
	}
	s.ready(sandbox.Replicas)
}

func (s *stage) ready2(what string, holds func(pods string) bool) {
	s.t.Helper()
	s.until(what, func() bool {
		text, err := s.Ask(s.t.Context(), http.MethodGet, "/pods")
		return err == nil && holds(string(text))
	})
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.enter()
	send := func() (int, error) {
		client := &http.Client{Transport: s.Transport(), Timeout: 2 * time.Second}
		resp, err := client.Post("http://alerts.sandbox/hook?x=1", "text/plain", strings.NewReader("disk is full"))
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	for _, tt := range []struct {
		fail   string
		status int // 0: no answer
	}{{"", 200}, {"503", 503}, {sandbox.AlertsDrop, 0}, {sandbox.AlertsHang, 0}, {"", 200}} {
		if err := s.FailAlerts(tt.fail); err != nil {
			t.Fatal(err)
		}
		status, err := send()
		if status != tt.status || (err == nil) != (tt.status != 0) {
			t.Errorf("fail %q: %d, %v", tt.fail, status, err)
		}
	}
	got, err := s.Alerts()
	if err != nil || len(got) != 5 {
		t.Fatalf("%+v, %v", got, err)
	}
	if a := got[1]; a.Body != "disk is full" || a.Path != "/hook?x=1" || a.ContentType != "text/plain" || a.Status != 503 || a.At.IsZero() {
		t.Errorf("%+v", a)
	}
}

// TestNothingLeaves: a request ends in the sandbox or nowhere, whatever it names, and
// wherever an answer sends it.
func TestNothingLeaves(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.enter()
	fence := s.Fence()
	for _, url := range []string{
		"http://example.org/", "https://booking.sandbox/", "http://booking.sandbox:8080/", "http://me@booking.sandbox/", "http://booking.sandbox.example.org/",
		"http://127.0.0.1:1/", "http://sandbox/", "http://other.sandbox/", "http://cluster.sandbox.example.org/",
	} {
		if _, err := s.client.Get(url); !errors.Is(err, action.ErrRefused) {
			t.Errorf("%s: %v", url, err)
		}
		if err := fence(url); !errors.Is(err, action.ErrRefused) {
			t.Errorf("the fence lets %s pass: %v", url, err)
		}
	}
	for _, url := range []string{"http://forge.sandbox/github/x?y=z", "http://booking.sandbox/health", "http://alerts.sandbox"} {
		if err := fence(url); err != nil {
			t.Errorf("the fence stops %s: %v", url, err)
		}
	}
	for _, target := range []string{"http://cluster.sandbox/scale", s.Runtime("cluster.json"), s.Bin() + "/kubectl"} {
		if err := fence(target); !errors.Is(err, action.ErrRefused) {
			t.Errorf("the fence lets %s pass: %v", target, err)
		}
	}
}
