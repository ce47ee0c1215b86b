package live

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// api answers the kubectl of the sandbox. Deployments and pods have the form that
// Kubernetes gives them, as far as anybody in a sandbox reads them.
func (c *cluster) api(end func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /id", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.s.ID())) })
	mux.HandleFunc("POST /end", func(http.ResponseWriter, *http.Request) { end() })
	mux.HandleFunc("GET /deployments", func(w http.ResponseWriter, _ *http.Request) { give(w, []object{c.deployment()}) })
	mux.HandleFunc("GET /pods", func(w http.ResponseWriter, _ *http.Request) { give(w, c.podList()) })
	mux.HandleFunc("PUT /scale", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("replicas"))
		if err != nil || n < 0 || n > maxReplicas {
			http.Error(w, "the sandbox runs 0 to "+strconv.Itoa(maxReplicas)+" replicas", http.StatusUnprocessableEntity)
			return
		}
		err = c.scale(n, r.FormValue("current-replicas"), r.FormValue("resource-version"))
		var no conflict
		switch {
		case errors.As(err, &no):
			http.Error(w, no.Error(), http.StatusConflict)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// maxReplicas bounds the processes of a sandbox.
const maxReplicas = 6

func give(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // whoever asked is gone then
}

type object = map[string]any

// deployment is the Deployment as kubectl prints it.
func (c *cluster) deployment() object {
	c.mu.Lock()
	defer c.mu.Unlock()
	live, ready := 0, 0
	for _, p := range c.pods {
		if !p.ending {
			live++
		}
		if p.ready {
			ready++
		}
	}
	status := object{"observedGeneration": c.want.Generation}
	for name, n := range map[string]int{"replicas": live, "updatedReplicas": live, "readyReplicas": ready, "availableReplicas": ready, "unavailableReplicas": c.want.Replicas - ready} {
		if n > 0 { // Kubernetes leaves out what is zero
			status[name] = n
		}
	}
	available := "False"
	if ready >= c.want.Replicas {
		available = "True"
	}
	status["conditions"] = []object{{"type": "Available", "status": available}}
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": object{"name": App, "namespace": namespace, "labels": object{"app": App}, "creationTimestamp": c.want.Created.Format(time.RFC3339), "uid": c.s.ID(), "generation": c.want.Generation, "resourceVersion": strconv.FormatInt(c.want.Version, 10)},
		"spec":     object{"replicas": c.want.Replicas, "selector": object{"matchLabels": object{"app": App}}},
		"status":   status,
	}
}

func (c *cluster) podList() []object {
	c.mu.Lock()
	defer c.mu.Unlock()
	items := []object{}
	for _, p := range c.pods {
		meta := object{"name": p.name, "namespace": namespace, "labels": object{"app": App}, "creationTimestamp": p.began.Format(time.RFC3339)}
		if p.ending {
			meta["deletionTimestamp"] = p.began.Format(time.RFC3339)
		}
		phase, state := "Running", object{"running": object{}}
		if p.process == nil {
			phase, state = "Pending", object{"waiting": object{"reason": "ContainerCreating", "message": p.why}}
		}
		ready := "False"
		if p.ready {
			ready = "True"
		}
		condition := object{"type": "Ready", "status": ready}
		if p.why != "" {
			condition["message"] = p.why
		}
		items = append(items, object{
			"apiVersion": "v1", "kind": "Pod", "metadata": meta,
			"status": object{"phase": phase, "conditions": []object{condition},
				"containerStatuses": []object{{"name": App, "ready": p.ready, "restartCount": 0, "state": state}}},
		})
	}
	return items
}
