package workload_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

// apiServer is the version that "make e2e-kube" builds.
const apiServer = "v1.34.4"

// TestRealAPIServer takes the family to a real kube-apiserver on a real etcd, without a
// kubelet and without controllers: numbers are set and compared there as everywhere, and
// what a kubelet would report is written into the status by the test. It is not part of
// CI: LIFEBOAT_E2E_KUBE names a directory for the build, which takes ten minutes once.
func TestRealAPIServer(t *testing.T) {
	dir := os.Getenv("LIFEBOAT_E2E_KUBE")
	if dir == "" {
		t.Skip("only for make e2e-kube")
	}
	k := startKube(t, buildKube(t, dir))
	r := newRig(t, k.kubectl)
	down := r.call("kube.scale", stopIt)

	p := r.plan(down)
	if p.Token != "booking-app@3" || len(p.Opens) != 1 || !tells(p, "true no autoscaler") {
		t.Fatalf("plan %+v", p)
	}
	k.run("scale", "deployment/booking-app", "--replicas=5")
	if _, err := down.Run(t.Context(), r.env, p); !errors.Is(err, action.ErrChanged) || !strings.Contains(err.Error(), "asks for 5 replicas now") {
		t.Errorf("somebody scaled: %v", err)
	}
	p = r.plan(down)
	res, err := down.Run(t.Context(), r.env, p)
	if err != nil || k.replicas() != "0" || res.Outputs["replicas"] != int64(5) {
		t.Fatalf("%v %+v", err, res)
	}
	if probe, err := down.Probe(t.Context(), r.env, p); err != nil || probe.Finding != action.Applied || probe.Outputs["replicas"] != int64(5) {
		t.Errorf("probe %+v, %v", probe, err)
	}
	undo, err := down.PlanUndo(t.Context(), r.env, p, res)
	if err != nil || !tells(undo, "from 0 to 5") {
		t.Fatalf("undo: %v %+v", err, undo)
	}
	if _, err := down.RunUndo(t.Context(), r.env, undo, p, res); err != nil || k.replicas() != "5" {
		t.Fatalf("undo: %v, %s replicas", err, k.replicas())
	}
	k.races(t)
	p = r.plan(down)
	if res, err = down.Run(t.Context(), r.env, p); err != nil || k.replicas() != "0" {
		t.Fatalf("%v %+v", err, res)
	}
	none := r.call("kube.wait", map[string]any{"deployment": "booking-app", "for": "20s"})
	k.status(0, 0)
	if res, err := none.Run(t.Context(), r.env, r.plan(none)); err != nil || !strings.Contains(res.Evidence, "no pod") {
		t.Errorf("wait for none: %v %+v", err, res)
	}

	r.env.Debts = p.Opens
	back := r.call("kube.scale", map[string]any{"deployment": "booking-app"})
	p = r.plan(back)
	if _, err := back.Run(t.Context(), r.env, p); err != nil || k.replicas() != "5" || len(p.Closes) != 1 {
		t.Fatalf("back: %v %+v", err, p)
	}
	k.status(5, 2)
	some := r.call("kube.wait", map[string]any{"deployment": "booking-app", "for": "1s"})
	var seen []int64
	r.env.Progress = func(n, of int64, _ string) {
		if seen = append(seen, n); n == 2 && of == 5 && len(seen) == 1 {
			k.status(5, 3)
		}
	}
	if _, err := some.Run(t.Context(), r.env, r.plan(some)); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "3 of 5 replicas") || !slices.Contains(seen, 2) || !slices.Contains(seen, 3) {
		t.Errorf("wait: %v; progress %v", err, seen)
	}
	k.status(5, 5)
	if _, err := some.Run(t.Context(), r.env, r.plan(some)); err != nil {
		t.Errorf("wait: %v", err)
	}

	k.run("rollout", "pause", "deployment/booking-app")
	k.run("autoscale", "deployment/booking-app", "--min=2", "--max=6")
	if p = r.plan(r.call("kube.scale", map[string]any{"deployment": "booking-app", "replicas": 1})); !tells(p, "paused") || !tells(p, "will soon change 1") {
		t.Errorf("plan %+v", p)
	}

	bob := newRig(t, k.limited)
	theirs := bob.call("kube.scale", stopIt)
	p = bob.plan(theirs)
	if !tells(p, "could not be looked at") {
		t.Errorf("plan %+v", p)
	}
	_, err = theirs.Run(t.Context(), bob.env, p)
	if err == nil || errors.Is(err, action.ErrUnclear) || !strings.Contains(err.Error(), "Forbidden") || !strings.Contains(strings.Join(hint.All(err), ""), "deployments/scale") {
		t.Errorf("without the right: %v %q", err, hint.All(err))
	}

	p = r.plan(down)
	k.run("delete", "deployment/booking-app")
	if _, err := down.Run(t.Context(), r.env, p); err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Errorf("no deployment: %v", err)
	}
	if probe, err := down.Probe(t.Context(), r.env, p); err != nil || probe.Finding != action.Unknown {
		t.Errorf("no deployment: %+v, %v", probe, err)
	}
	k.run("create", "deployment", "booking-app", "--image=example.org/booking", "--replicas=5")
	if _, err := down.Run(t.Context(), r.env, p); !errors.Is(err, action.ErrChanged) || !strings.Contains(err.Error(), "made anew") {
		t.Errorf("another deployment: %v", err)
	}
}

// races lets something happen at the one moment that is left, between the last look of the
// step and the effect of its kubectl, and lets the answer of an effect be lost.
func (k *kube) races(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after string // what a shell does around "kubectl scale", which $* is
		want          error
		says          string
		left          string
		probe         action.Finding
	}{
		"somebody scales":       {k.kubectl + " scale deployment/booking-app --replicas=4", "", action.ErrChanged, "asks for 4 replicas now", "4", action.Unknown},
		"another change":        {k.kubectl + " annotate deployment/booking-app note=x --overwrite", "", nil, "asks for 0 replicas, was 5", "0", action.Applied},
		"the answer is lost":    {"", "exec kill -9 $$", nil, "the answer of the cluster was lost", "0", action.Applied},
		"killed before it asks": {"kill -9 $$", "", action.ErrUnclear, "may still arrive", "5", action.NotApplied},
		"it is deleted":         {k.kubectl + " delete deployment/booking-app", "", errPlain, "no objects passed to scale", "", action.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			between := filepath.Join(t.TempDir(), "kubectl")
			write(t, between, fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *' scale '*) %s\n;; esac\n'%s' \"$@\"\ncode=$?\ncase \"$*\" in *' scale '*) %s\n;; esac\nexit $code\n",
				orTrue(tt.before), k.kubectl, orTrue(tt.after)))
			r := newRig(t, between)
			down := r.call("kube.scale", stopIt)
			p := r.plan(down)
			res, err := down.Run(t.Context(), r.env, p)
			if tt.want == nil && err != nil || errors.Is(tt.want, errPlain) != (err != nil && !errors.Is(err, action.ErrUnclear) && !errors.Is(err, action.ErrChanged)) ||
				tt.want != nil && tt.want != errPlain && !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err, res.Evidence), tt.says) {
				t.Errorf("%v %+v", err, res)
			}
			if probe, err := down.Probe(t.Context(), r.env, p); err != nil || probe.Finding != tt.probe {
				t.Errorf("probe %+v, %v", probe, err)
			}
			if tt.left == "" {
				k.run("create", "deployment", "booking-app", "--image=example.org/booking", "--replicas=5")
			} else if n := k.replicas(); n != tt.left {
				t.Errorf("%s replicas are left, not %s", n, tt.left)
			}
			k.run("scale", "deployment/booking-app", "--replicas=5")
		})
	}
}

func orTrue(script string) string {
	if script == "" {
		return "true"
	}
	return script
}

func (k *kube) replicas() string {
	k.t.Helper()
	return k.run("get", "deployment/booking-app", "-o", "jsonpath={.spec.replicas}")
}

// kube is a running API server.
type kube struct {
	t                *testing.T
	url              string
	kubectl, limited string // programs, for an administrator and for somebody who may only look
}

// buildKube builds kube-apiserver in dir, once. Its staging modules are published with the
// same minor and patch under v0.
func buildKube(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := filepath.Abs(filepath.Join(dir, "kube-apiserver-"+apiServer))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(out); err == nil {
		return out
	}
	tool := func(args ...string) []byte {
		t.Helper()
		c := exec.Command("go", args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0")
		var errs bytes.Buffer
		c.Stderr = &errs
		text, err := c.Output()
		if err != nil {
			t.Fatalf("go %q: %v\n%s", args, err, &errs)
		}
		return text
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module e2e\n\ngo 1.25\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var module struct{ GoMod string }
	if err := json.Unmarshal(tool("mod", "download", "-json", "k8s.io/kubernetes@"+apiServer), &module); err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(module.GoMod)
	if err != nil {
		t.Fatal(err)
	}
	mod := "module e2e\n\ngo 1.25\n\nrequire k8s.io/kubernetes " + apiServer + "\n"
	for line := range strings.Lines(string(theirs)) {
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), " v0.0.0"); ok && strings.HasPrefix(name, "k8s.io/") {
			mod += "replace " + name + " => " + name + " v0" + strings.TrimPrefix(apiServer, "v1") + "\n"
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	tool("build", "-trimpath", "-ldflags=-s -w", "-o", out, "k8s.io/kubernetes/cmd/kube-apiserver")
	t.Logf("kube-apiserver %s built in %s", apiServer, time.Since(began).Round(time.Second))
	return out
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// startKube starts etcd and the API server on loopback, with a deployment of 3 replicas.
func startKube(t *testing.T, apiserver string) *kube {
	t.Helper()
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		t.Fatal("etcd is missing: install etcd-server")
	}
	dir := t.TempDir()
	background := func(program string, args ...string) {
		log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(program, args...)
		c.Stdout, c.Stderr, c.Dir = log, log, dir
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.Process.Kill()
			c.Wait()
			log.Close()
			if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
				t.Logf("%s:\n%s", program, text[max(0, len(text)-4000):])
			}
		})
	}
	client, peer, port := freePort(t), freePort(t), freePort(t)
	background(etcd, "--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls=http://127.0.0.1:"+client, "--advertise-client-urls=http://127.0.0.1:"+client,
		"--listen-peer-urls=http://127.0.0.1:"+peer, "--initial-advertise-peer-urls=http://127.0.0.1:"+peer, "--initial-cluster=default=http://127.0.0.1:"+peer)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	for name, text := range map[string]string{"key.pem": string(private), "tokens.csv": "e2e,admin,1,\"system:masters\"\nlimited,bob,2\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	background(apiserver, "--etcd-servers=http://127.0.0.1:"+client, "--bind-address=127.0.0.1", "--secure-port="+port, "--cert-dir="+filepath.Join(dir, "certs"),
		"--service-account-issuer=https://e2e.invalid", "--service-account-signing-key-file=key.pem", "--service-account-key-file=key.pem",
		"--token-auth-file=tokens.csv", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount")
	k := &kube{t: t, url: "https://127.0.0.1:" + port}
	k.kubectl = kubectlFor(t, k.url, ", insecure-skip-tls-verify: true")
	k.limited = kubectlFor(t, k.url, ", insecure-skip-tls-verify: true")
	config := filepath.Join(filepath.Dir(k.limited), "config")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, bytes.ReplaceAll(text, []byte("token: e2e"), []byte("token: limited")), 0o600); err != nil {
		t.Fatal(err)
	}
	deadline, tick := time.After(3*time.Minute), time.NewTicker(500*time.Millisecond)
	defer tick.Stop()
	for exec.Command(k.kubectl, "create", "namespace", "shop").Run() != nil {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the API server does not answer")
		}
	}
	k.run("create", "deployment", "booking-app", "--image=example.org/booking", "--replicas=3")
	k.run("create", "role", "look", "--verb=get,list", "--resource=deployments,pods")
	k.run("create", "rolebinding", "look", "--role=look", "--user=bob")
	return k
}

// run calls kubectl as an administrator.
func (k *kube) run(args ...string) string {
	k.t.Helper()
	out, err := exec.Command(k.kubectl, args...).CombinedOutput()
	if err != nil {
		k.t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// status reports what controllers and kubelets would.
func (k *kube) status(replicas, ready int) {
	k.t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 20 * time.Second} // its certificate is made at the start
	body := fmt.Sprintf(`{"status":{"observedGeneration":99,"replicas":%d,"updatedReplicas":%d,"readyReplicas":%d,"availableReplicas":%d}}`, replicas, replicas, ready, ready)
	req, err := http.NewRequestWithContext(k.t.Context(), http.MethodPatch, k.url+"/apis/apps/v1/namespaces/shop/deployments/booking-app/status", strings.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/merge-patch+json")
	req.Header.Set("Authorization", "Bearer e2e")
	resp, err := client.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		k.t.Fatalf("status: %s %s", resp.Status, text)
	}
}
