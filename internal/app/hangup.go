package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onHangup gives a context that ends when the terminal goes away. Without it SIGHUP
// would end the process in the middle of a frame; with it the console leaves, and the
// runs, which live in processes of their own, do not notice.
func onHangup(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	stop := context.AfterFunc(ctx, func() { signal.Stop(ch); close(ch) })
	go func() {
		if _, ok := <-ch; ok {
			cancel()
		}
	}()
	return ctx, func() { cancel(); stop() }
}
