// Package live is the process that makes a sandbox alive.
//
// It serves the hosts of the sandbox over one Unix socket: the forge, the alert channel,
// the booking app. It is the cluster as well: it keeps a Deployment on disk and runs its
// replicas as child processes, each of which really serves requests and really writes
// bookings, so that an app scaled to zero is an app that nobody writes with. The kubectl of
// the sandbox (in this package too, so that both sides of the talk stand together) asks it.
//
// The process belongs to nobody: see [sandbox.Visit] for how long it lives. Killing it
// harms nothing. Its children notice the end of their standard input and leave; what must
// be known afterwards is on disk before anybody is told.
package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/sandbox"
	"lifeboat/internal/sandbox/forge"
)

// Serve keeps the sandbox alive until nobody needs it, or ctx ends. exe is this program,
// whose "sandbox-app" the replicas are. Where another process does it, Serve returns nil.
func Serve(ctx context.Context, s *sandbox.Sandbox, exe string) error {
	vigil, err := s.Keep(ctx)
	if errors.Is(err, sandbox.ErrKept) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keep the sandbox alive: %w", err)
	}
	defer vigil.End()
	ctx, end := context.WithCancel(ctx)
	defer end()
	c, err := openCluster(s, exe)
	if err != nil {
		return fmt.Errorf("keep the sandbox alive: %w", err)
	}
	hosts, err := hosts(s, c, end)
	if err != nil {
		return fmt.Errorf("keep the sandbox alive: %w", err)
	}
	l, err := s.Listen(sandbox.Socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: hosts, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var group sync.WaitGroup
	group.Go(func() { c.run(ctx) })
	tick := time.NewTicker(vigil.Every())
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case err = <-served:
			served <- http.ErrServerClosed
			over = true
		case <-tick.C:
			over = vigil.Over()
		}
	}
	end()
	server.Close() // nobody is there who waits for an answer
	<-served
	group.Wait()
	return err
}

// hosts serves each host of the sandbox, and nothing under any other name.
func hosts(s *sandbox.Sandbox, c *cluster, end func()) (http.Handler, error) {
	f, err := forge.New(s.Forge())
	if err != nil {
		return nil, err
	}
	by := map[string]http.Handler{
		sandbox.ForgeHost:   f,
		sandbox.AlertsHost:  alerts{s},
		sandbox.BookingHost: c.balancer(),
		sandbox.ClusterHost: c.api(end),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := by[strings.ToLower(r.Host)]
		if !ok {
			http.Error(w, "the sandbox has no such host", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	}), nil
}
