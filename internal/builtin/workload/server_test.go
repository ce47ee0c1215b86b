package workload_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// server is an API server that keeps one Deployment and its scale, with resource versions
// that a write must match, for the real kubectl. It fails as it is told to.
type server struct {
	t    *testing.T
	http *httptest.Server

	mu                  sync.Mutex // guards what follows
	replicas, ready     int
	version, generation int
	uid                 string
	gone, paused        bool
	labels, annotations map[string]string
	old                 int // replicas of an older version
	behind              int // generations that the controllers have not seen
	pods, scalers       []map[string]any
	refuse              map[string]int // "METHOD resource" -> HTTP status
	fault               string         // of the next write of the scale, see put
	writes              int            // that were stored
	meanwhile           int            // replicas that somebody else sets between the read and the write of kubectl
	asked               []string
}

const (
	lost    = "lost"    // stored, and the answer never comes
	dropped = "dropped" // not stored, and no answer comes
)

func newServer(t *testing.T) *server {
	s := &server{t: t, replicas: 3, ready: 3, version: 500, generation: 7, uid: "uid-1", refuse: map[string]int{}, meanwhile: -1}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	return s
}

// kubectl makes a program that is the real kubectl with a configuration for this server:
// the contexts "prod" and, as the current one, "test", both with namespace "shop".
func (s *server) kubectl() string { return kubectlFor(s.t, s.http.URL, "") }

// kubectlFor makes a kubectl for the server at a URL. With a certificate authority the
// user shows a token.
func kubectlFor(t *testing.T, url, cluster string) string {
	t.Helper()
	real, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not installed")
	}
	dir := t.TempDir()
	config := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q%s}}]
users: [{name: u, user: {token: e2e}}]
contexts:
- {name: test, context: {cluster: c, user: u, namespace: shop}}
- {name: prod, context: {cluster: c, user: u, namespace: shop}}
current-context: test
`, url, cluster)
	path := filepath.Join(dir, "kubectl")
	script := fmt.Sprintf("#!/bin/sh\nHOME='%[1]s' KUBECONFIG='%[1]s/config' exec '%[2]s' \"$@\"\n", dir, real)
	write(t, filepath.Join(dir, "config"), config)
	write(t, path, script)
	return path
}

// write makes a file, which may be a program.
func write(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock() // a child of another test that inherited the open file would keep it from being started
	err := os.WriteFile(path, []byte(text), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}

func give(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

type object = map[string]any

// refusal is what an API server says in place of an answer.
func refusal(w http.ResponseWriter, status int, reason, message string) {
	give(w, status, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status})
}

var reasons = map[int]string{401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 504: "Timeout"}

func resources(group string, names ...string) object {
	var list []object
	for _, n := range names {
		kind := map[string]string{"deployments": "Deployment", "deployments/scale": "Scale", "statefulsets": "StatefulSet", "pods": "Pod", "horizontalpodautoscalers": "HorizontalPodAutoscaler", "namespaces": "Namespace"}[n]
		r := object{"name": n, "singularName": strings.TrimSuffix(n, "s"), "namespaced": n != "namespaces", "kind": kind, "verbs": []string{"get", "list", "update", "patch"}}
		if n == "deployments/scale" {
			r["group"], r["version"] = "autoscaling", "v1"
		}
		list = append(list, r)
	}
	return object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": list}
}

func group(name string, versions ...string) object {
	var list []object
	for _, v := range versions {
		list = append(list, object{"groupVersion": name + "/" + v, "version": v})
	}
	return object{"name": name, "versions": list, "preferredVersion": list[0]}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch path {
	case "/api":
		give(w, 200, object{"kind": "APIVersions", "versions": []string{"v1"}})
		return
	case "/apis":
		give(w, 200, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": []object{group("apps", "v1"), group("autoscaling", "v2", "v1")}})
		return
	case "/api/v1":
		give(w, 200, resources("v1", "pods", "namespaces"))
		return
	case "/apis/apps/v1":
		give(w, 200, resources("apps/v1", "deployments", "deployments/scale", "statefulsets"))
		return
	case "/apis/autoscaling/v1", "/apis/autoscaling/v2":
		give(w, 200, resources(strings.TrimPrefix(path, "/apis/"), "horizontalpodautoscalers"))
		return
	case "/version":
		give(w, 200, object{"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	const base = "/apis/apps/v1/namespaces/shop/deployments/booking-app"
	if path == "/apis/apps/v1/namespaces/shop/statefulsets/mongo" {
		give(w, 200, object{"kind": "StatefulSet", "apiVersion": "apps/v1", "metadata": object{"name": "mongo", "namespace": "shop"}})
		return
	}
	what := map[string]string{base: "deployment", base + "/scale": "scale", "/api/v1/namespaces/shop/pods": "pods"}[path]
	if strings.HasSuffix(path, "/namespaces/shop/horizontalpodautoscalers") {
		what = "scalers"
	}
	call := r.Method + " " + what
	s.asked = append(s.asked, call)
	if status := s.refuse[call]; status != 0 {
		if status < 0 { // only once
			status = -status
			delete(s.refuse, call)
		}
		refusal(w, status, reasons[status], "the test refuses "+call)
		return
	}
	switch {
	case what == "" || s.gone:
		refusal(w, 404, "NotFound", fmt.Sprintf("%s %q not found", "deployments.apps", filepath.Base(path)))
	case call == "GET deployment":
		give(w, 200, s.deployment())
	case call == "GET scale":
		give(w, 200, s.scale())
		if s.meanwhile >= 0 {
			s.set(s.meanwhile)
			s.meanwhile = -1
		}
	case call == "PUT scale":
		s.put(w, r)
	case call == "GET pods":
		give(w, 200, object{"kind": "PodList", "apiVersion": "v1", "metadata": object{}, "items": s.pods})
	case call == "GET scalers":
		give(w, 200, object{"kind": "HorizontalPodAutoscalerList", "apiVersion": "autoscaling/v2", "metadata": object{}, "items": s.scalers})
	default:
		refusal(w, 405, "MethodNotAllowed", "the test knows no "+call)
	}
}

// set is a scale by anybody.
func (s *server) set(replicas int) {
	s.replicas, s.ready = replicas, replicas
	s.version++
	s.generation++
}

func (s *server) meta() object {
	return object{"name": "booking-app", "namespace": "shop", "uid": s.uid, "resourceVersion": strconv.Itoa(s.version), "generation": s.generation, "labels": s.labels, "annotations": s.annotations}
}

func (s *server) deployment() object {
	return object{
		"kind": "Deployment", "apiVersion": "apps/v1", "metadata": s.meta(),
		"spec":   object{"replicas": s.replicas, "paused": s.paused, "selector": object{"matchLabels": object{"app": "booking-app"}}},
		"status": object{"observedGeneration": s.generation - s.behind, "replicas": s.replicas, "updatedReplicas": s.replicas - s.old, "readyReplicas": s.ready, "availableReplicas": s.ready},
	}
}

func (s *server) scale() object {
	return object{"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": s.meta(), "spec": object{"replicas": s.replicas}, "status": object{"replicas": s.replicas, "selector": "app=booking-app"}}
}

// put stores a scale, if its resource version is that of now.
func (s *server) put(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Metadata struct{ ResourceVersion string }
		Spec     struct{ Replicas int }
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refusal(w, 400, "BadRequest", err.Error())
		return
	}
	fault := s.fault
	s.fault = ""
	if fault == dropped {
		hangUp(w)
		return
	}
	if v := body.Metadata.ResourceVersion; v != "" && v != strconv.Itoa(s.version) {
		refusal(w, 409, "Conflict", "Operation cannot be fulfilled on deployments.apps \"booking-app\": the object has been modified; please apply your changes to the latest version and try again")
		return
	}
	s.set(body.Spec.Replicas)
	s.writes++
	if fault == lost {
		hangUp(w)
		return
	}
	give(w, 200, s.scale())
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}
