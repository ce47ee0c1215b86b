package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

// Hosts of a sandbox. They exist on no network: [Sandbox.Transport] leads to the process
// that keeps the sandbox alive, over a socket that lies in it.
const (
	ForgeHost   = "forge.sandbox"   // the three services that keep protections of branches
	BookingHost = "booking.sandbox" // whatever replicas of the booking app are ready
	AlertsHost  = "alerts.sandbox"  // takes alerts and keeps them; see [Sandbox.Alerts]
	ClusterHost = "cluster.sandbox" // for the sandbox's own kubectl; the fence keeps runbooks from it
)

// open are the hosts that runbooks may reach.
var open = []string{ForgeHost, BookingHost, AlertsHost}

// fenceHTTP tests a web address: plain HTTP to one of the hosts of a sandbox.
func fenceHTTP(target string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return errors.New("is no sound URL")
	case u.User != nil:
		return errors.New("holds credentials")
	case !slices.Contains(open, u.Host): // a port would be another one
		return fmt.Errorf("is on the host %q", u.Host)
	}
	return nil
}

// Transport reaches the hosts of this sandbox and nothing else: whatever a request names,
// also after a redirect, it cannot leave. It waits a while for the process that serves
// them, which may just be starting anew.
func (s *Sandbox) Transport() http.RoundTripper {
	return &transport{inner: &http.Transport{
		Proxy:                 nil, // a proxy would lead out
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return s.reach(ctx) },
		DisableKeepAlives:     true, // the other side may be another process the next time
		ResponseHeaderTimeout: 30 * time.Second,
	}}
}

type transport struct{ inner *http.Transport }

var _ http.RoundTripper = (*transport)(nil)

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "http" || r.URL.User != nil || !slices.Contains(append(slices.Clone(open), ClusterHost), r.URL.Host) {
		if r.Body != nil {
			r.Body.Close() // as the interface asks
		}
		return nil, hint.Wrap(fmt.Errorf("%w: %q is outside of the sandbox", action.ErrRefused, r.URL.Redacted()),
			"This is a drill: it reaches http://"+ForgeHost+", http://"+BookingHost+" and http://"+AlertsHost+" only.")
	}
	return t.inner.RoundTrip(r)
}

// reachPatience is how long a request waits for a process that is not there.
const reachPatience = 10 * time.Second

// reach connects to the process that keeps the sandbox alive.
func (s *Sandbox) reach(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := s.Dial(ctx, socketName)
		if err == nil || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
			return conn, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, hint.Wrap(fmt.Errorf("reach the sandbox: %w", err), "The process that keeps the sandbox alive has ended. See "+s.runtime(logName)+".")
		}
	}
}
