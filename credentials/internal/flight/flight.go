// Package flight lets several callers that ask the same question at once share
// one answer.
package flight

import (
	"context"
	"errors"
	"sync"
	"time"
)

// grace is how long the last caller that gives up waits for the call to end, so
// that what a call does at its end is done when the program goes on, and perhaps
// exits: a terminal is put back, a helper is told to end.
const grace = time.Second

// A Group shares the calls with the same key. The zero value is ready to use.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	cancel  context.CancelFunc
	waiting int
	done    chan struct{}
	value   V
	err     error
}

// errAbandoned is the result of an f that ended its goroutine.
var errAbandoned = errors.New("proxyauth: call ended without a result")

// Do returns what f returns, or what the f of a call with the same key returns
// that is under way. The context of f has the values of the first caller's, and
// ends when nobody waits any more; each caller waits no longer than its own
// context, the last one up to a second more for f to return.
func (g *Group[K, V]) Do(ctx context.Context, key K, f func(context.Context) (V, error)) (V, error) {
	c := g.join(ctx, key, f)
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		if g.leave(key, c) {
			c.settle()
		}
		var none V
		return none, context.Cause(ctx)
	}
}

func (g *Group[K, V]) join(ctx context.Context, key K, f func(context.Context) (V, error)) *call[V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, found := g.calls[key]; found {
		c.waiting++
		return c
	}
	if g.calls == nil {
		g.calls = make(map[K]*call[V])
	}
	callCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &call[V]{cancel: cancel, waiting: 1, done: make(chan struct{}), err: errAbandoned}
	g.calls[key] = c
	go g.run(callCtx, key, c, f)
	return c
}

func (g *Group[K, V]) run(ctx context.Context, key K, c *call[V], f func(context.Context) (V, error)) {
	defer g.finish(key, c)
	c.value, c.err = f(ctx)
}

func (g *Group[K, V]) finish(key K, c *call[V]) {
	c.cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(key, c)
	close(c.done)
}

// leave reports whether nobody waits any more.
func (g *Group[K, V]) leave(key K, c *call[V]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.waiting--
	if c.waiting > 0 {
		return false
	}
	// Whoever comes now must not join a call that is being cancelled.
	g.forget(key, c)
	c.cancel()
	return true
}

func (c *call[V]) settle() {
	select {
	case <-c.done:
	case <-time.After(grace):
	}
}

func (g *Group[K, V]) forget(key K, c *call[V]) {
	if g.calls[key] == c {
		delete(g.calls, key)
	}
}
