package workload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin/workload"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// rig is the family with an environment.
type rig struct {
	t    *testing.T
	deps workload.Deps
	env  *action.Env
	log  *bytes.Buffer
}

func newRig(t *testing.T, kubectl string, apps ...workload.App) *rig {
	r := &rig{t: t, log: &bytes.Buffer{}}
	r.deps = workload.Deps{
		Kubectl: func() string { return kubectl }, HTTP: http.DefaultClient,
		App: func(name string) (workload.App, error) {
			for _, a := range apps {
				if a.Name == name {
					return a, nil
				}
			}
			return workload.App{}, fmt.Errorf("there is no application %q", name)
		},
	}
	r.env = &action.Env{Log: r.log, Now: time.Now, Run: "7f3a", RunID: "run-7f3a", Step: "s", Attempt: 1, Scratch: t.TempDir(), Dir: t.TempDir()}
	return r
}

func (r *rig) call(name string, args map[string]any) action.Call {
	r.t.Helper()
	for _, a := range workload.Actions(r.deps) {
		if a.Name == name {
			c, err := a.Bind(args)
			if err != nil {
				r.t.Fatal(err)
			}
			return c
		}
	}
	r.t.Fatalf("no action %q", name)
	return action.Call{}
}

func (r *rig) plan(c action.Call) action.Plan {
	r.t.Helper()
	p, err := c.Plan(r.t.Context(), r.env)
	if err != nil {
		r.t.Fatalf("plan: %v %q", err, hint.All(err))
	}
	return p
}

// hasLine says whether a plan tells something.
func tells(p action.Plan, text string) bool {
	all := p.Summary + "\n" + strings.Join(p.Command, "\n")
	for _, l := range p.Lines {
		all += "\n" + l.Label + ": " + l.Text
	}
	for _, c := range p.Checks {
		all += fmt.Sprintf("\n%v %s: %s", c.OK, c.Text, c.Evidence)
	}
	return strings.Contains(all, text)
}

var stopIt = map[string]any{"deployment": "booking-app", "replicas": 0}

func TestScale(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := newRig(t, s.kubectl(), workload.App{Name: "booking", Deployment: "booking-app", Namespace: "shop", Context: "prod"})
	down := r.call("kube.scale", map[string]any{"app": "booking", "replicas": 0})
	p := r.plan(down)
	if p.Effect != action.Destroy || p.Token != "booking-app@3" || len(p.Opens) != 1 || p.Opens[0].ID != "3 replicas of shop/booking-app in prod" ||
		p.Opens[0].Within != time.Hour || !strings.Contains(p.Opens[0].Text, "scale it back to 3") {
		t.Errorf("plan %+v", p)
	}
	if want := "kubectl --context=prod --namespace=shop scale deployment/booking-app --current-replicas=3 --replicas=0"; !slices.Equal(p.Command, []string{want}) {
		t.Errorf("command %q, want %q", p.Command, want)
	}
	if s.writes != 0 {
		t.Error("planning wrote")
	}
	res, err := down.Run(t.Context(), r.env, p)
	if err != nil || s.replicas != 0 || s.writes != 1 || res.Outputs["replicas"] != int64(3) || !strings.Contains(res.Evidence, "asks for 0 replicas, was 3") {
		t.Fatalf("%v; %d replicas; %+v", err, s.replicas, res)
	}

	// Back to the number that the debt of the run remembers.
	r.env.Debts = p.Opens
	back := r.call("kube.scale", map[string]any{"app": "booking"})
	p2 := r.plan(back)
	if p2.Effect != action.Write || !slices.Equal(p2.Closes, []string{p.Opens[0].ID}) || !tells(p2, "from 0 to 3") {
		t.Errorf("plan %+v", p2)
	}
	if fewer := r.plan(r.call("kube.scale", map[string]any{"app": "booking", "replicas": 1})); len(fewer.Closes) != 0 || !tells(fewer, "still owed: 3 replicas") {
		t.Errorf("fewer: %+v", fewer)
	}
	if _, err := back.Run(t.Context(), r.env, p2); err != nil || s.replicas != 3 {
		t.Fatalf("%v, %d replicas", err, s.replicas)
	}
	if again := r.plan(back); !again.Nothing || len(again.Closes) != 1 {
		t.Errorf("again: %+v", again)
	}

	// Stopped for a second time, in this run or by hand, the number from before the first
	// time is still the one.
	s.set(0)
	again := r.plan(down)
	res, err = down.Run(t.Context(), r.env, again)
	if err != nil || !again.Nothing || len(again.Opens) != 0 || res.Outputs["replicas"] != int64(3) {
		t.Errorf("stopped again: %v %+v %+v", err, again, res)
	}
	if probe, err := down.Probe(t.Context(), r.env, again); err != nil || probe.Outputs["replicas"] != int64(3) {
		t.Errorf("stopped again: %v %+v", err, probe)
	}

	// Without a debt nobody knows the number.
	r.env.Debts = nil
	if again := r.plan(down); !again.Nothing || !tells(again, "how many it had is not known here") {
		t.Errorf("stopped by somebody else: %+v", again)
	}
	s.annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": `{"spec":{"replicas":4}}`}
	if _, err := back.Plan(t.Context(), r.env); !strings.Contains(strings.Join(hint.All(err), "\n"), "applied last asks for 4") || !strings.Contains(strings.Join(hint.All(err), "\n"), "--current-replicas=0 --replicas=NUMBER") {
		t.Errorf("%v %q", err, hint.All(err))
	}
	s.annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{"}
	if _, err := back.Plan(t.Context(), r.env); !errors.Is(err, action.ErrRefused) || !strings.Contains(strings.Join(hint.All(err), ""), "replicas: NUMBER") {
		t.Errorf("%v %q", err, hint.All(err))
	}
}

func TestScaleUndo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := newRig(t, s.kubectl())
	down := r.call("kube.scale", stopIt)
	p := r.plan(down)
	res, err := down.Run(t.Context(), r.env, p)
	if err != nil {
		t.Fatal(err)
	}
	undo, err := down.PlanUndo(t.Context(), r.env, p, res)
	if err != nil || undo.Effect != action.Write || !tells(undo, "from 0 to 3") || tells(undo, "another cluster") {
		t.Fatalf("%v %+v", err, undo)
	}
	r.env.Debts = p.Opens
	if undo, err = down.PlanUndo(t.Context(), r.env, p, res); err != nil || !slices.Equal(undo.Closes, []string{p.Opens[0].ID}) {
		t.Errorf("it does not give back what is owed: %v %+v", err, undo)
	}
	p.Facts["uid"] = "of the deployment that the context of before has"
	if probe, err := down.Probe(t.Context(), r.env, p); err != nil || probe.Finding != action.Unknown || !strings.Contains(probe.Means, "made anew") {
		t.Errorf("another deployment proves nothing: %+v, %v", probe, err)
	}
	if undo, err := down.PlanUndo(t.Context(), r.env, p, res); err != nil || !tells(undo, "another cluster") {
		t.Errorf("%v %+v", err, undo)
	}
	s.mu.Lock()
	s.set(2) // somebody is quicker
	s.mu.Unlock()
	if _, err := down.RunUndo(t.Context(), r.env, undo, p, res); !errors.Is(err, action.ErrChanged) {
		t.Errorf("overruled: %v", err)
	}
	if undo, err = down.PlanUndo(t.Context(), r.env, p, res); err != nil {
		t.Fatal(err)
	}
	if _, err := down.RunUndo(t.Context(), r.env, undo, p, res); err != nil || s.replicas != 3 {
		t.Errorf("%v, %d replicas", err, s.replicas)
	}
}

// TestScaleChanged lets somebody else scale at the two moments that there are: before the
// step looks, and between the read and the write of kubectl itself.
func TestScaleChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(s *server){
		"before the step":         func(s *server) { s.set(5) },
		"in the middle":           func(s *server) { s.meanwhile = 5 },
		"to what the step wanted": func(s *server) { s.set(0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			r := newRig(t, s.kubectl())
			c := r.call("kube.scale", stopIt)
			p := r.plan(c)
			s.mu.Lock()
			change(s)
			s.mu.Unlock()
			_, err := c.Run(t.Context(), r.env, p)
			advice := strings.Join(hint.All(err), " ")
			if !errors.Is(err, action.ErrChanged) || s.writes != 0 {
				t.Fatalf("%v; %d writes", err, s.writes)
			}
			if s.replicas == 5 && (!strings.Contains(err.Error(), "asks for 5 replicas now") || !strings.Contains(advice, "from 5 to 0")) ||
				s.replicas == 0 && !strings.Contains(advice, "changes nothing") {
				t.Errorf("%v (%s)", err, advice)
			}
		})
	}
	s := newServer(t)
	r := newRig(t, s.kubectl())
	c := r.call("kube.scale", stopIt)
	p := r.plan(c)
	s.uid = "uid-2"
	if _, err := c.Run(t.Context(), r.env, p); !errors.Is(err, action.ErrChanged) || !strings.Contains(err.Error(), "made anew") || s.writes != 0 {
		t.Errorf("another deployment of the same name: %v", err)
	}
}

// TestScaleFaults makes the write fail in every way: refused, not stored without an answer,
// stored without an answer.
func TestScaleFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		set    func(s *server)
		want   error  // nil: it succeeded
		says   string // in the error or the evidence
		advice string
		probe  action.Finding
	}{
		"forbidden":          {func(s *server) { s.refuse["PUT scale"] = 403 }, errPlain, "Forbidden", "deployments/scale", action.NotApplied},
		"scale is hidden":    {func(s *server) { s.refuse["GET scale"] = 403 }, errPlain, "Forbidden", "deployments/scale", action.NotApplied},
		"invalid":            {func(s *server) { s.refuse["PUT scale"] = 422 }, errPlain, "The request is invalid", "", action.NotApplied},
		"logged out":         {func(s *server) { s.refuse["PUT scale"] = 401 }, errPlain, "", "Log in", action.NotApplied},
		"server fails":       {func(s *server) { s.refuse["PUT scale"] = 500 }, action.ErrUnclear, "asks for 3 now", "", action.NotApplied},
		"server times out":   {func(s *server) { s.refuse["PUT scale"] = 504 }, action.ErrUnclear, "may still arrive", "", action.NotApplied},
		"not stored":         {func(s *server) { s.fault = dropped }, action.ErrUnclear, "asks for 3 now", "", action.NotApplied},
		"stored, unanswered": {func(s *server) { s.fault = lost }, nil, "the answer of the cluster was lost", "", action.Applied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			r := newRig(t, s.kubectl())
			c := r.call("kube.scale", stopIt)
			p := r.plan(c)
			s.mu.Lock()
			tt.set(s)
			s.mu.Unlock()
			res, err := c.Run(t.Context(), r.env, p)
			switch {
			case tt.want == nil && err != nil, tt.want != nil && err == nil:
				t.Fatalf("%v %+v", err, res)
			case errors.Is(tt.want, action.ErrUnclear) != errors.Is(err, action.ErrUnclear), errors.Is(err, action.ErrChanged):
				t.Fatalf("wrong kind: %v", err)
			}
			if text := fmt.Sprint(err, res.Evidence); !strings.Contains(text, tt.says) {
				t.Errorf("%q does not say %q", text, tt.says)
			}
			if advice := strings.Join(hint.All(err), " "); !strings.Contains(advice, tt.advice) {
				t.Errorf("advice %q, want %q", advice, tt.advice)
			}
			s.mu.Lock()
			s.refuse = map[string]int{}
			s.mu.Unlock()
			probe, err := c.Probe(t.Context(), r.env, p)
			if err != nil || probe.Finding != tt.probe {
				t.Errorf("probe %+v, %v, want %s", probe, err, tt.probe)
			}
		})
	}
}

// errPlain stands for a failure that certainly changed nothing.
var errPlain = errors.New("plain")

// TestScaleUnclear: nobody can be asked after the write, and the step may be stopped in it.
func TestScaleUnclear(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := newRig(t, s.kubectl())
	c := r.call("kube.scale", stopIt)
	p := r.plan(c)
	s.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPut {
			s.mu.Lock()
			s.refuse["GET deployment"] = 500
			s.fault = lost
			s.mu.Unlock()
		}
		s.ServeHTTP(w, req)
	})
	if _, err := c.Run(t.Context(), r.env, p); !errors.Is(err, action.ErrUnclear) || s.replicas != 0 {
		t.Errorf("%v, %d replicas", err, s.replicas)
	}
	if probe, err := c.Probe(t.Context(), r.env, p); err != nil || probe.Finding != action.Unknown {
		t.Errorf("probe %+v, %v", probe, err)
	}
}

func TestScaleExplains(t *testing.T) {
	t.Parallel()
	hpa := func(least, most int) map[string]any {
		return object{"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": object{"name": "booking-hpa", "namespace": "shop"},
			"spec": object{"scaleTargetRef": object{"kind": "Deployment", "name": "booking-app"}, "minReplicas": least, "maxReplicas": most}}
	}
	for name, tt := range map[string]struct {
		set      func(s *server)
		replicas int
		tells    string
	}{
		"nothing special":   {func(*server) {}, 0, "true no autoscaler changes the number"},
		"autoscaler at 0":   {func(s *server) { s.scalers = []map[string]any{hpa(2, 10)} }, 0, "rests while the deployment is at 0"},
		"autoscaler undoes": {func(s *server) { s.scalers = []map[string]any{hpa(2, 10)} }, 1, "and will soon change 1"},
		"autoscaler agrees": {func(s *server) { s.scalers = []map[string]any{hpa(2, 10)} }, 4, "may change the number"},
		"autoscaler of KEDA": {func(s *server) {
			h := hpa(2, 10)
			h["metadata"].(object)["labels"] = object{"scaledobject.keda.sh/name": "booking"}
			s.scalers = []map[string]any{h}
		}, 0, "pause it first: kubectl --context=test annotate scaledobject/booking autoscaling.keda.sh/paused-replicas=0"},
		"autoscaler unseen": {func(s *server) { s.refuse["GET scalers"] = 403 }, 0, "false no autoscaler changes the number: could not be looked at"},
		"paused":            {func(s *server) { s.paused = true }, 0, "its rollout is paused"},
		"kept by Flux":      {func(s *server) { s.labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "x"} }, 0, "Flux keeps this deployment"},
		"hostile autoscaler": {func(s *server) {
			h := hpa(2, 3)
			h["metadata"] = object{"name": "x\x1b[2Jy"}
			s.scalers = []map[string]any{h}
		}, 0, "rests"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			tt.set(s)
			r := newRig(t, s.kubectl())
			p := r.plan(r.call("kube.scale", map[string]any{"deployment": "booking-app", "replicas": tt.replicas}))
			if !tells(p, tt.tells) || tells(p, "\x1b") {
				t.Errorf("%+v does not tell %q", p, tt.tells)
			}
		})
	}
}

func TestScaleBadTargets(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := newRig(t, s.kubectl(), workload.App{Name: "queue", Stop: []string{"true"}})
	for name, tt := range map[string]struct {
		args         map[string]any
		says, advice string
	}{
		"no such deployment": {map[string]any{"deployment": "boking-app", "replicas": 0}, "NotFound", "--all-namespaces"},
		"no such namespace":  {map[string]any{"deployment": "booking-app", "namespace": "nowhere", "replicas": 0}, "NotFound", "namespace"},
		"no such context":    {map[string]any{"deployment": "booking-app", "context": "staging", "replicas": 0}, "staging", "get-contexts"},
		"a stateful set":     {map[string]any{"deployment": "mongo", "replicas": 0}, "NotFound", "StatefulSet of that name"},
		"not in a cluster":   {map[string]any{"app": "queue", "replicas": 0}, "does not run in a cluster", "service.stop"},
		"no such app":        {map[string]any{"app": "boking", "replicas": 0}, `no application "boking"`, ""},
	} {
		_, err := r.call("kube.scale", tt.args).Plan(t.Context(), r.env)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(strings.Join(hint.All(err), " "), tt.advice) {
			t.Errorf("%s: %v %q", name, err, hint.All(err))
		}
	}
	s.gone = true
	if _, err := r.call("kube.wait", map[string]any{"deployment": "booking-app"}).Plan(t.Context(), r.env); err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Errorf("%v", err)
	}
	s.http.Close()
	if _, err := r.call("kube.scale", stopIt).Plan(t.Context(), r.env); err == nil || !strings.Contains(strings.Join(hint.All(err), " "), "does not answer") {
		t.Errorf("%v %q", err, hint.All(err))
	}
	r.deps.Kubectl = func() string { return "/nowhere/kubectl" }
	if _, err := r.call("kube.scale", stopIt).Plan(t.Context(), r.env); !errors.Is(err, command.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// TestWordsOfKubectl: no argument may be taken for an option, and what does not fit
// together is refused before anything is asked.
func TestWordsOfKubectl(t *testing.T) {
	t.Parallel()
	r := newRig(t, "/nowhere/kubectl")
	for _, args := range []map[string]any{
		{"deployment": "--kubeconfig=/tmp/x"}, {"deployment": "-A"}, {"deployment": "pod/x"}, {"deployment": "a b"}, {"deployment": "a\nb"},
		{"deployment": "x", "namespace": "--as=admin"}, {"deployment": "x", "context": "-x"}, {"deployment": "x", "replicas": -2},
		{"deployment": "x", "replicas": 100000}, {}, {"app": "a", "deployment": "x"}, {"app": "a", "namespace": "n"},
	} {
		for _, a := range workload.Actions(r.deps)[:2] {
			if _, err := a.Bind(args); err == nil {
				t.Errorf("%s takes %v", a.Name, args)
			}
		}
	}
}

func podNamed(name string, status object) map[string]any {
	return object{"kind": "Pod", "apiVersion": "v1", "metadata": object{"name": name, "namespace": "shop"}, "status": status}
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.ready = 1
	s.pods = []map[string]any{
		podNamed("booking-app-1", object{"phase": "Running", "conditions": []object{{"type": "Ready", "status": "True"}}}),
		podNamed("booking-app-2", object{"phase": "Pending", "containerStatuses": []object{{"name": "app", "ready": false, "restartCount": 0,
			"state": object{"waiting": object{"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\x1b[2J\""}}}}}),
		podNamed("booking-app-3", object{"phase": "Running", "conditions": []object{{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "not ready: [app]"}},
			"containerStatuses": []object{{"name": "app", "ready": false, "restartCount": 7, "state": object{"terminated": object{"reason": "Error", "exitCode": 3}}}}}),
		podNamed("booking-app-4", object{"phase": "Pending", "conditions": []object{{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/5 nodes are available"}}}),
		podNamed("booking-app-old", object{"phase": "Failed", "reason": "Evicted"}),
	}
	r := newRig(t, s.kubectl())
	var last, total int64
	r.env.Progress = func(n, of int64, _ string) { last, total = n, of }
	c := r.call("kube.wait", map[string]any{"deployment": "booking-app", "for": "1s"})
	_, err := c.Run(t.Context(), r.env, r.plan(c))
	if !errors.Is(err, action.ErrCheck) || last != 1 || total != 3 {
		t.Fatalf("%v, progress %d of %d", err, last, total)
	}
	for _, want := range []string{
		"1 of 3 replicas of shop/booking-app in test are ready; booking-app-2", "booking-app-2: container app: ImagePullBackOff: Back-off", "booking-app-3: container app: Error: exit 3: started 7 times over",
		"booking-app-4: Unschedulable: 0/5 nodes are available",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\x1b") || strings.Contains(err.Error(), "-old") || !strings.Contains(strings.Join(hint.All(err), ""), "kubectl --context=test describe pod/booking-app-2") {
		t.Errorf("%q %q", err, hint.All(err))
	}

	// They become ready while it waits, and the cluster fails to answer once meanwhile.
	c = r.call("kube.wait", map[string]any{"deployment": "booking-app", "for": "30s"})
	p := r.plan(c)
	s.mu.Lock()
	s.refuse["GET deployment"] = -503
	s.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		res, err := c.Run(t.Context(), r.env, p)
		if err == nil && !strings.Contains(res.Evidence, "3 of 3 replicas") {
			err = errors.New(res.Evidence)
		}
		done <- err
	}()
	s.mu.Lock()
	s.ready = 3
	s.mu.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}

	// Another number than that which was asked for.
	c = r.call("kube.wait", map[string]any{"deployment": "booking-app", "for": "10m", "replicas": 5})
	if _, err := c.Run(t.Context(), r.env, r.plan(c)); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "the deployment asks for 3") {
		t.Errorf("%v", err)
	}
}

// A rollout that is stuck keeps its old pods, and all of those may be ready.
func TestWaitForRollout(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.old = 2
	s.pods = []map[string]any{podNamed("booking-app-4", object{"phase": "Running", "containerStatuses": []object{{"name": "app", "ready": false, "restartCount": 4,
		"state": object{"waiting": object{"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}}}})}
	r := newRig(t, s.kubectl())
	c := r.call("kube.wait", map[string]any{"deployment": "booking-app", "for": "1s"})
	_, err := c.Run(t.Context(), r.env, r.plan(c))
	if want := "3 of 3 replicas of shop/booking-app in test are ready; 1 of 3 are of the newest version; booking-app-4: container app: CrashLoopBackOff"; !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v does not say %q", err, want)
	}
	s.mu.Lock()
	s.paused = true // then it is as it is wanted
	s.mu.Unlock()
	if res, err := c.Run(t.Context(), r.env, r.plan(c)); err != nil {
		t.Errorf("%v %+v", err, res)
	}
}

// TestKubectlLogsIn: what a login program of a context wants is said, and nothing waits for
// an answer that nobody can give.
func TestKubectlLogsIn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, tt := range map[string]struct{ script, mode, advice string }{
		"wants a terminal": {"exit 0", "Always", "Log in by hand first"},
		"asks":             {"read -r answer </dev/tty && exit 0; echo 'no terminal' >&2; exit 4", "IfAvailable", "did not work"},
		"reads":            {"read -r answer && exit 0; exit 5", "IfAvailable", "did not work"},
		"expired":          {"echo 'the token has expired' >&2; exit 254", "Never", "log in, then try again"},
		"is not there":     {"", "Never", "cannot be started"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := s.kubectl()
			dir := filepath.Dir(program)
			plugin := filepath.Join(dir, "login")
			config := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: %q, interactiveMode: %s}}}]
contexts: [{name: test, context: {cluster: c, user: u, namespace: shop}}]
current-context: test
`, plugin, tt.mode)
			write(t, filepath.Join(dir, "config"), config)
			if tt.script != "" {
				write(t, plugin, "#!/bin/sh\n"+tt.script+"\n")
			}
			r := newRig(t, program)
			_, err := r.call("kube.scale", stopIt).Plan(t.Context(), r.env)
			if advice := strings.Join(hint.All(err), "\n"); err == nil || !strings.Contains(advice, tt.advice) || strings.Contains(advice, "VPN") {
				t.Errorf("%v\n%s", err, advice)
			}
		})
	}
}

// TestWaitForNone: a pod that is being ended may still write.
func TestWaitForNone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.set(0)
	ending := podNamed("booking-app-1", object{"phase": "Running"})
	ending["metadata"].(object)["deletionTimestamp"] = "2026-11-20T16:00:00Z"
	s.pods = []map[string]any{ending}
	r := newRig(t, s.kubectl())
	c := r.call("kube.wait", map[string]any{"deployment": "booking-app", "for": "1s"})
	if _, err := c.Run(t.Context(), r.env, r.plan(c)); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "shop/booking-app in test still has 1 pod; booking-app-1: is being ended") {
		t.Errorf("%v", err)
	}
	s.mu.Lock()
	s.refuse["GET pods"] = 403
	s.mu.Unlock()
	if _, err := c.Run(t.Context(), r.env, r.plan(c)); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("what cannot be seen is not gone: %v", err)
	}
	s.mu.Lock()
	s.refuse, s.pods = map[string]int{}, nil
	s.mu.Unlock()
	if res, err := c.Run(t.Context(), r.env, r.plan(c)); err != nil || !strings.Contains(res.Evidence, "no pod of shop/booking-app in test is left") {
		t.Errorf("%v %+v", err, res)
	}
	s.mu.Lock()
	s.behind = 1 // no pod is there, and nobody has begun to end them: more may come
	s.mu.Unlock()
	if _, err := c.Run(t.Context(), r.env, r.plan(c)); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "no pod of shop/booking-app in test is seen; the cluster has not taken notice of the change yet") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.mu.Lock()
	s.pods, s.behind = []map[string]any{ending}, 0
	s.mu.Unlock()
	p := r.plan(c)
	cancel()
	if _, err := c.Run(ctx, r.env, p); err == nil || errors.Is(err, action.ErrCheck) {
		t.Errorf("stopped: %v", err)
	}
}

// TestStrangeAnswers puts something else in the place of kubectl that says all is well.
func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{
		"nothing": "", "an error": "error: you must log in", "a page": "<html>log in</html>", "cut off": `{"metadata": {"name": "booking-app"`,
		"another": `{"metadata": {"name": "other", "uid": "u"}}`, "without identity": `{"metadata": {"name": "booking-app"}}`,
		"wrong types": `{"metadata": {"name": "booking-app", "uid": "u"}, "spec": {"replicas": "three"}}`,
		"negative":    `{"metadata": {"name": "booking-app", "uid": "u"}, "spec": {"replicas": -1}}`, "a list": "[]", "hostile": "\x1b]0;x\x07",
	} {
		path := filepath.Join(t.TempDir(), "kubectl")
		write(t, path, "#!/bin/sh\ncat <<'X'\n"+said+"\nX\n")
		r := newRig(t, path)
		for _, action := range []string{"kube.scale", "kube.wait"} {
			_, err := r.call(action, map[string]any{"deployment": "booking-app", "replicas": 0}).Plan(t.Context(), r.env)
			if err == nil || !strings.Contains(err.Error(), "is not understood") || strings.ContainsAny(err.Error(), "\x1b\x07") {
				t.Errorf("%s: %s: %v", name, action, err)
			}
		}
	}
}

// Somebody has started the application meanwhile, with more than it had: giving back what is
// owed takes nothing away from it.
func TestScaleOwedAndMore(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := newRig(t, s.kubectl())
	p := r.plan(r.call("kube.scale", stopIt))
	r.env.Debts = p.Opens
	s.mu.Lock()
	s.set(5)
	s.mu.Unlock()
	args := maps.Clone(stopIt)
	delete(args, "replicas")
	if p = r.plan(r.call("kube.scale", args)); !p.Nothing || len(p.Closes) != 1 {
		t.Errorf("%+v", p)
	}
}

// A second attempt, after one that was in doubt or did not bring what it should, keeps the
// number from before the first one also where it is not 0 that is scaled to.
func TestScaleAgainKeepsTheFirstNumber(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := newRig(t, s.kubectl())
	one := r.call("kube.scale", map[string]any{"deployment": "booking-app", "replicas": 1})
	first := r.plan(one)
	for _, c := range []struct {
		live  int           // by the time of the second attempt
		saved int64         // as the number from before
		more  []action.Plan // earlier attempts besides the first
	}{{1, 3, nil}, {3, 3, nil}, {5, 5, nil}, {1, 3, []action.Plan{{Target: first.Target, Facts: map[string]string{"from": "1", "to": "1"}}}}, {1, 3, []action.Plan{{}}}} {
		s.mu.Lock()
		s.set(c.live)
		s.mu.Unlock()
		r.env.Earlier = append([]action.Plan{first}, c.more...)
		again := r.plan(one)
		if probe, err := one.Probe(t.Context(), r.env, again); err != nil || probe.Outputs["replicas"] != c.saved {
			t.Errorf("at %d: %v %+v", c.live, err, probe)
		}
		if res, err := one.Run(t.Context(), r.env, again); err != nil || res.Outputs["replicas"] != c.saved || s.replicas != 1 {
			t.Errorf("at %d: %v %+v", c.live, err, res)
		}
	}
}

// Whoever switches the current context of kubectl in the middle of a run leads nothing
// astray: a step goes to the cluster that its plan has read, and what is owed is owed there.
func TestScaleContextSwitched(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	program := s.kubectl()
	r := newRig(t, program, workload.App{Name: "booking", Deployment: "booking-app"})
	stop := r.call("kube.scale", map[string]any{"app": "booking", "replicas": 0})
	p := r.plan(stop)
	if !strings.Contains(p.Command[0], "--context=test") || !strings.HasSuffix(p.Opens[0].ID, " in test") {
		t.Fatalf("the plan is of no context: %+v", p)
	}
	config := filepath.Join(filepath.Dir(program), "config")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("current-context: test"), []byte("current-context: prod"), 1)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r.env.Log = &log
	if _, err := stop.Run(t.Context(), r.env, p); err != nil || !strings.Contains(log.String(), "--context=test") {
		t.Fatalf("%v\n%s", err, &log)
	}
	r.env.Debts = p.Opens
	back := r.call("kube.scale", map[string]any{"app": "booking"})
	if _, err := back.Plan(t.Context(), r.env); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "in prod") {
		t.Errorf("what is owed in test is given to prod: %v", err)
	}
}
