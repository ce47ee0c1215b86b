package app

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"lifeboat/internal/command"
)

// reachTimeout bounds one request to a forge, a health page or an alert channel: a server
// that accepts and says nothing must not hold up a recovery.
const reachTimeout = 30 * time.Second

// client is what actions speak HTTP with. In a drill it leads into the sandbox, and to
// nothing else.
func (w *world) client() *http.Client {
	return &http.Client{Timeout: reachTimeout, Transport: reach{w}}
}

// reach chooses the way of a request when it is made: the sandbox of a world comes, and is
// replaced, after its actions were built.
type reach struct{ w *world }

// RoundTrip implements http.RoundTripper.
func (r reach) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.w.sandbox() == nil {
		return http.DefaultTransport.RoundTrip(req)
	}
	leave, err := r.w.enter(req.Context()) // an alert is also told where no run is
	if err != nil {
		if req.Body != nil {
			req.Body.Close() // as the interface asks
		}
		return nil, err
	}
	resp, err := r.w.sandbox().Transport().RoundTrip(req)
	if err != nil {
		leave()
		return nil, err
	}
	resp.Body = visited{resp.Body, leave}
	return resp, nil
}

// visited is a body that is read from a sandbox, which lives until it is closed.
type visited struct {
	io.ReadCloser
	leave func()
}

func (v visited) Close() error {
	defer v.leave()
	return v.ReadCloser.Close()
}

// enter makes the sandbox of this world alive until leave is called. Outside of a sandbox
// there is nothing to do.
func (w *world) enter(ctx context.Context) (leave func(), err error) {
	if w.sandbox() == nil {
		return func() {}, nil
	}
	visit, err := w.sandbox().Enter(ctx, w.env.exe)
	if err != nil {
		return nil, err
	}
	var once sync.Once
	return func() { once.Do(func() { visit.Leave() }) }, nil // what is left open goes with the process
}

// programs lets a run in a sandbox find the programs of the sandbox first.
func (w *world) programs(ctx context.Context) context.Context {
	if w.sandbox() == nil {
		return ctx
	}
	return command.InFront(ctx, w.sandbox().Bin())
}
