// Package onecall lets goroutines that want the same share one call.
package onecall

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Group makes one call at a time for each key. The zero value is ready to use. A
// Group is safe for concurrent use and must not be copied after first use.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

// Options are the limits of a call. The zero value sets none.
type Options struct {
	// Limit is how long after its beginning the call's context ends. Zero means
	// no limit.
	Limit time.Duration

	// Linger is how long the last goroutine that stops waiting goes on waiting
	// until the call has returned, so that a call's cleanup is done when the program
	// goes on, and perhaps exits. Zero means not at all.
	Linger time.Duration

	// Abandon is how long after the end of its context a call keeps its key. Then
	// waiting ends with the context's error, and the next call begins beside the
	// old one. Zero means until the call returns.
	Abandon time.Duration

	// NoValues leaves the values of the first caller's context out of the call's, such
	// as hooks of net/http/httptrace, which are about a request of that caller's alone.
	NoValues bool
}

// A Panic is the value that Do panics with if the call has panicked.
type Panic struct {
	Value any    // what the call panicked with
	Stack []byte // of the call
}

// Error returns value and stack.
func (p *Panic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error, or else nil.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

var (
	// errNoResult is the error of a call that has ended its goroutine.
	errNoResult = errors.New("proxyauth: call ended without a result")

	// errPanicked is the error of a call that has panicked for another goroutine.
	errPanicked = errors.New("proxyauth: call panicked in another goroutine")
)

// A call is under way, or has ended.
type call[V any] struct {
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when the call has ended

	// Guarded by Group.mu.
	waiting   int
	calledOff bool // there was a time when nobody waited
	orphaned  bool // the one whose call it is has stopped waiting
	ended     bool

	result[V]             // not changed after done is closed
	taken     atomic.Bool // somebody has taken over the panic of an orphaned call
}

type result[V any] struct {
	value    V
	err      error
	panicked *Panic
}

// get returns the result, or panics as the call did, which one goroutine does: the one whose
// call it is, or else the first.
func (c *call[V]) get(own bool) (V, error) {
	if c.panicked != nil && !own && !(c.orphaned && c.taken.CompareAndSwap(false, true)) {
		return failed[V](errPanicked)
	}
	return c.result.get()
}

// get returns the result, or panics.
func (r result[V]) get() (V, error) {
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.value, r.err
}

// Do returns the result of f, or that of the call with the same key that is under
// way. All that wait for a call get its value or error. A panic goes to the one whose f is
// called or, if that has stopped waiting, to another; the rest get an error.
//
// The end of ctx ends the wait, not the call: f runs in a goroutine of its own, with
// a context that has the values of the first caller's ctx. This context ends when
// nobody waits for the call any more, or at options.Limit. A call whose context has
// ended because nobody waited keeps its key until it returns. A later caller then
// takes its value, but not its error, in place of which it makes a call of its own.
//
// The options are those of the caller whose f is called, but for Linger. A panic of f
// that nobody waits for ends the program. f must not wait for a call with its own key.
func (g *Group[K, V]) Do(ctx context.Context, key K, options Options, f func(context.Context) (V, error)) (V, error) {
	for {
		if ctx.Err() != nil {
			return failed[V](context.Cause(ctx))
		}
		c, own := g.join(ctx, key, options, f)
		select {
		case <-c.done:
		case <-ctx.Done():
			if left, last := g.leave(c, own); left {
				if last {
					c.linger(options.Linger)
				}
				return failed[V](context.Cause(ctx))
			}
		}
		if !c.calledOff || c.err == nil {
			return c.get(own)
		}
	}
}

// Go returns the result of f, or panics as f does, which runs in a goroutine of its own. The
// end of ctx ends the wait, which left reports. Then late is called with the value that f
// returns after all, and a panic of f ends the program.
func Go[V any](ctx context.Context, f func() (V, error), late func(V)) (value V, err error, left bool) {
	done := make(chan result[V])
	go func() {
		r := result[V]{err: errNoResult}
		defer func() {
			select {
			case done <- r:
				return
			case <-ctx.Done():
			}
			if r.panicked != nil {
				panic(r.panicked)
			}
			late(r.value)
		}()
		r = resultOf(ctx, func(context.Context) (V, error) { return f() })
	}()
	select {
	case r := <-done:
		value, err = r.get()
		return value, err, false
	case <-ctx.Done():
		value, err = failed[V](context.Cause(ctx))
		return value, err, true
	}
}

func failed[V any](err error) (V, error) {
	var none V
	return none, err
}

// join begins to wait for the call of a key, which it starts if there is none: then it is the
// caller's own.
func (g *Group[K, V]) join(ctx context.Context, key K, options Options, f func(context.Context) (V, error)) (c *call[V], own bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, found := g.calls[key]; found {
		c.waiting++
		return c, false
	}
	if g.calls == nil {
		g.calls = make(map[K]*call[V])
	}
	c = &call[V]{waiting: 1, done: make(chan struct{})}
	c.ctx, c.cancel = callContext(ctx, options)
	g.calls[key] = c
	go g.run(key, c, options, f)
	return c, true
}

func callContext(ctx context.Context, options Options) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if options.NoValues {
		ctx = context.Background()
	}
	if options.Limit > 0 {
		return context.WithTimeout(ctx, options.Limit)
	}
	return context.WithCancel(ctx)
}

func (g *Group[K, V]) run(key K, c *call[V], options Options, f func(context.Context) (V, error)) {
	defer c.cancel()
	if options.Abandon > 0 {
		defer g.abandonLater(key, c, options.Abandon)()
	}
	r := result[V]{err: errNoResult}
	defer func() {
		if waited := g.end(key, c, r); r.panicked != nil && !waited {
			panic(r.panicked)
		}
	}()
	r = resultOf(c.ctx, f)
}

// abandonLater ends the call d after the end of its context, unless stop is called
// before.
func (g *Group[K, V]) abandonLater(key K, c *call[V], d time.Duration) (stop func() bool) {
	return context.AfterFunc(c.ctx, func() {
		time.AfterFunc(d, func() { g.end(key, c, result[V]{err: context.Cause(c.ctx)}) })
	})
}

func resultOf[V any](ctx context.Context, f func(context.Context) (V, error)) (r result[V]) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *Panic: // of a call within f
			r = result[V]{panicked: v}
		default:
			r = result[V]{panicked: &Panic{v, debug.Stack()}}
		}
	}()
	r.value, r.err = f(ctx)
	return r
}

// end gives r to all that wait, and reports whether there is anybody.
func (g *Group[K, V]) end(key K, c *call[V], r result[V]) (waited bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.ended {
		return false // abandoned
	}
	c.ended, c.result = true, r
	delete(g.calls, key)
	close(c.done)
	return c.waiting > 0
}

// leave stops waiting, unless the call has ended: then its result must be taken, which
// may be a panic.
func (g *Group[K, V]) leave(c *call[V], own bool) (left, last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.ended {
		return false, false
	}
	c.waiting--
	c.orphaned = c.orphaned || own
	if c.waiting == 0 {
		c.calledOff = true
		c.cancel()
	}
	return true, c.waiting == 0
}

// linger waits for the end of the call, no longer than d.
func (c *call[V]) linger(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
}
