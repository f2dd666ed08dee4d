//go:build unix

package prompt

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// endings are the signals that would end the program with the terminal in raw mode.
var endings = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}

// raiseTime is how long the program has to end of a signal, which another thread may take,
// before it goes on.
const raiseTime = 100 * time.Millisecond

// An ending waits for a signal that ends the program.
type ending struct {
	signals chan os.Signal
	done    chan struct{}
	stopped chan struct{}
	got     os.Signal // set before stopped is closed
}

// notifyEnding returns a context that ends with one of the signals, but for those that the
// program ignores.
func notifyEnding(ctx context.Context) (context.Context, *ending) {
	ctx, cancel := context.WithCancelCause(ctx)
	e := &ending{signals: make(chan os.Signal, 1), done: make(chan struct{}), stopped: make(chan struct{})}
	for _, s := range endings {
		if !signal.Ignored(s) {
			signal.Notify(e.signals, s)
		}
	}
	go func() {
		defer close(e.stopped)
		defer cancel(nil)
		select {
		case e.got = <-e.signals:
			cancel(fmt.Errorf("ended by the signal %q", e.got))
		case <-e.done:
		}
	}()
	return ctx, e
}

// raise sends the program the signal that has come, if one has, for what it does with it
// otherwise. A handler of its own is called twice.
func (e *ending) raise() {
	signal.Stop(e.signals)
	close(e.done)
	<-e.stopped
	select {
	case e.got = <-e.signals: // as the answer came
	default:
	}
	if e.got != nil {
		syscall.Kill(os.Getpid(), e.got.(syscall.Signal))
		time.Sleep(raiseTime)
	}
}
