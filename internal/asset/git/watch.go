package git

import (
	"context"
	"fmt"
	"io"
	"time"

	"lifeboat/internal/hint"
)

// watchdog ends a context when a server stays silent. Only the time spent waiting for
// the server counts, not the time the bucket takes.
type watchdog struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
}

func watch(ctx context.Context, idle time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{ctx: ctx, cancel: cancel, idle: idle}
	w.timer = time.AfterFunc(idle, func() {
		cancel(hint.Wrap(fmt.Errorf("%w: nothing for %s", ErrStalled, idle),
			"Look whether the server and the network are up, then run the step again; nothing was stored."))
	})
	return w
}

// awake starts the clock anew; asleep stops it until the next read.
func (w *watchdog) awake()  { w.timer.Reset(w.idle) }
func (w *watchdog) asleep() { w.timer.Stop() }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

func (w *watchdog) reader(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		w.awake()
		n, err := r.Read(p)
		w.asleep()
		return n, w.cause(err)
	})
}

// cause says why a read or a session ended: the watchdog or the caller, if it was one
// of them, else err.
func (w *watchdog) cause(err error) error {
	if err == nil || err == io.EOF && w.ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(w.ctx); cause != nil {
		return cause
	}
	return err
}
