package krb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// flightTimeout bounds what a flight does, whoever waits for it.
const flightTimeout = 30 * time.Second

// flights let one goroutine do what many wait for. The zero value is ready.
type flights struct {
	mu sync.Mutex
	m  map[string]*flight
}

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	left    bool // everybody has gone
	cred    *credential
	err     error
}

// do returns what f returns, or waits for another's f for the same key that is
// under way. It waits no longer than ctx; f is cancelled when nobody waits for
// it any more. f has the values of one of the contexts and a deadline of its
// own.
func (g *flights) do(ctx context.Context, key string, f func(context.Context) (*credential, error)) (*credential, error) {
	for {
		fl := g.join(ctx, key, f)
		select {
		case <-fl.done:
			if g.leave(fl) && fl.err != nil && ctx.Err() == nil {
				continue // those before us had called it off
			}
			return fl.cred, fl.err
		case <-ctx.Done():
			g.leave(fl)
			return nil, context.Cause(ctx)
		}
	}
}

func (g *flights) join(ctx context.Context, key string, f func(context.Context) (*credential, error)) *flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	if fl, ok := g.m[key]; ok {
		fl.waiters++
		return fl
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
	fl := &flight{done: make(chan struct{}), cancel: cancel, waiters: 1}
	if g.m == nil {
		g.m = map[string]*flight{}
	}
	g.m[key] = fl
	go func() {
		defer cancel()
		fl.cred, fl.err = run(ctx, f)
		g.mu.Lock()
		delete(g.m, key)
		g.mu.Unlock()
		close(fl.done)
	}()
	return fl
}

// run calls f, whose panics would end the program, since the goroutine is ours.
func run(ctx context.Context, f func(context.Context) (*credential, error)) (*credential, error) {
	cred, err := guard(func() (*credential, error) { return f(ctx) })
	return cred, overdue(ctx, err)
}

// overdue puts the error of a flight in words that has reached its limit.
func overdue(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) == context.DeadlineExceeded {
		return fmt.Errorf("%w: no answer within %v", ErrKDCUnreachable, flightTimeout)
	}
	return err
}

// leave reports whether the flight was called off, and calls it off if nobody
// else waits for it.
func (g *flights) leave(fl *flight) (calledOff bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	calledOff = fl.left
	if fl.waiters--; fl.waiters == 0 {
		fl.left = true
		fl.cancel()
	}
	return calledOff
}
