package live

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/sandbox"
)

// pod is one replica: a child process.
type pod struct {
	name  string
	began time.Time
	reach *http.Transport

	// Guarded by the mutex of the cluster:
	process *command.Process // nil when it could not be started
	ready   bool
	why     string // why it is not
	ending  bool
}

const (
	probeEvery = 300 * time.Millisecond
	podGrace   = 3 * time.Second // between the wish to end and the kill
)

// run has as many pods as are wanted until ctx ends, and then none.
func (c *cluster) run(ctx context.Context) {
	c.sweep()
	var group sync.WaitGroup // of the pods
	defer group.Wait()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		c.reconcile(ctx, &group)
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-tick.C:
		}
	}
}

// sweep removes the sockets that killed replicas have left.
func (c *cluster) sweep() {
	entries, err := os.ReadDir(c.s.Runtime(""))
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), App+"-") {
			_ = os.Remove(c.s.Runtime(e.Name()))
		}
	}
}

// reconcile starts the pods that are missing, ends the youngest of those that are too many.
func (c *cluster) reconcile(ctx context.Context, group *sync.WaitGroup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	live := 0
	for _, p := range c.pods {
		if !p.ending {
			live++
		}
	}
	for i := len(c.pods) - 1; i >= 0 && live > c.want.Replicas; i-- {
		if p := c.pods[i]; !p.ending {
			p.ending, p.ready, p.why = true, false, "terminating"
			if p.process != nil {
				_ = p.process.Signal(syscall.SIGTERM)
			}
			live--
		}
	}
	for ; live < c.want.Replicas; live++ {
		p := c.newPod()
		c.pods = append(c.pods, p)
		group.Go(func() { c.live(ctx, p) })
	}
}

func (c *cluster) newPod() *pod {
	name := App + "-" + strings.ToLower(rand.Text()[:5])
	return &pod{name: name, began: time.Now().UTC(), why: "ContainerCreating", reach: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.s.Dial(ctx, name+".sock") },
	}}
}

// live is the life of a pod, from its start until its process has ended. A process that
// ends by itself is replaced after a moment.
func (c *cluster) live(ctx context.Context, p *pod) {
	defer func() {
		p.reach.CloseIdleConnections()
		_ = os.Remove(c.s.Runtime(p.name + ".sock"))
		c.mu.Lock()
		c.pods = slices.DeleteFunc(c.pods, func(o *pod) bool { return o == p })
		c.mu.Unlock()
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}()
	pause := time.NewTimer(time.Second)
	defer pause.Stop()
	x, err := command.Start(ctx, command.Cmd{
		Argv: []string{c.exe, "sandbox-app", c.s.Dir(), p.name}, Dir: c.s.Dir(), StdinPipe: true, Grace: podGrace,
	})
	if err != nil {
		c.note(p, false, err.Error())
		wait(ctx, pause.C)
		return
	}
	c.mu.Lock()
	p.process = x
	if p.ending {
		_ = x.Signal(syscall.SIGTERM)
	}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); x.Wait() }()
	c.watch(ctx, p, done)
	<-done
	wait(ctx, pause.C)
}

func wait(ctx context.Context, until <-chan time.Time) {
	select {
	case <-ctx.Done():
	case <-until:
	}
}

// watch asks the pod for its health until it has ended. One that does not end in time is
// killed.
func (c *cluster) watch(ctx context.Context, p *pod, done <-chan struct{}) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var asked time.Time
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		ending := p.ending
		c.mu.Unlock()
		if !ending && ctx.Err() == nil {
			ready, why := probe(ctx, p.reach)
			c.note(p, ready, why)
			continue
		}
		if asked.IsZero() {
			asked = time.Now()
		} else if time.Since(asked) > podGrace {
			c.mu.Lock()
			_ = p.process.Signal(syscall.SIGKILL)
			c.mu.Unlock()
		}
	}
}

func (c *cluster) note(p *pod, ready bool, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !p.ending {
		p.ready, p.why = ready, why
	}
}

// probe is the readiness probe.
func probe(ctx context.Context, reach http.RoundTripper) (ready bool, why string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pod/health", nil)
	if err != nil {
		return false, err.Error()
	}
	resp, err := reach.RoundTrip(req)
	if err != nil {
		return false, "Readiness probe failed: connection refused"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode == http.StatusOK {
		return true, ""
	}
	var said struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(body, &said)
	return false, fmt.Sprintf("Readiness probe failed: HTTP probe failed with statuscode: %d: %s", resp.StatusCode, said.Reason)
}

// balancer hands requests to the pods that are ready, each in its turn.
func (c *cluster) balancer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := c.turn()
		if p == nil {
			http.Error(w, `no endpoints available for service "`+App+`"`, http.StatusServiceUnavailable)
			return
		}
		proxy := httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: sandbox.BookingHost}) },
			Transport: p.reach,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				http.Error(w, "upstream "+p.name+": connection failed", http.StatusBadGateway)
			},
		}
		proxy.ServeHTTP(w, r)
	})
}

func (c *cluster) turn() *pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range c.pods {
		c.next = (c.next + 1) % len(c.pods)
		if p := c.pods[c.next]; p.ready {
			return p
		}
	}
	return nil
}
